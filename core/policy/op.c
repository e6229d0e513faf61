/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: what classify() says of a text is written down here, and never changed afterwards.
 *
 *   shape_make() ─▶ module->classify() ─▶ sp_op_node(), sp_op_str() … ─▶ shape, shared by its runs
 *
 * A call with the wrong type, an index out of the table, or more than the caps allow, makes the whole
 * shape a failure: a classifier that was half understood must not be believed.
 */
#include <config.h>

#include "op.h"

#include <assert.h>

/* struct sp_op is whatever begins with a struct op: the worker's, a policy test's, ours. */
static inline struct op *
op_of(struct sp_op *op)
{
	return (struct op *)op;
}

static inline const struct op *
op_of_const(const struct sp_op *op)
{
	return (const struct op *)op;
}

static int
op_fail(struct op *op, int rc)
{
	op->failed = true;
	return rc;
}

int
attr_find(const struct sp_module *m, const char *name)
{
	if (m == NULL || m->attrs == NULL)
		return -1;
	for (int i = 0; m->attrs[i].name != NULL; i++)
		if (strcmp(m->attrs[i].name, name) == 0)
			return i;
	return -1;
}

bool
attr_on(const struct sp_attr *a, const char *kind)
{
	size_t len = strlen(kind);

	for (const char *p = a->on == NULL ? "" : a->on; *p != '\0';) {
		size_t n = strcspn(p, " ");
		if (n == len && memcmp(p, kind, n) == 0)
			return true;
		p += n;
		p += strspn(p, " ");
	}
	return false;
}

/* ---- shapes ---- */

static int
shape_add_node(struct shape *s)
{
	if (s->nnodes == SHAPE_NODES)
		return SP_ETOOBIG;
	if (s->nnodes == s->nodes_cap) {
		size_t cap = s->nodes_cap == 0 ? 2 : 2 * s->nodes_cap;
		struct node *more = arena_alloc(s->arena, cap * sizeof(*more));
		if (more == NULL)
			return SP_ENOMEM;
		if (s->nnodes > 0)
			memcpy(more, s->node, s->nnodes * sizeof(*more));
		s->node = more;
		s->nodes_cap = cap;
	}
	struct value *value = arena_alloc(s->arena, (s->nattrs + 1) * sizeof(*value));
	if (value == NULL)
		return SP_ENOMEM;
	s->node[s->nnodes++].value = value;
	return SP_OK;
}

static uint64_t serial;

static struct shape *
shape_new(const struct sp_module *m, const char *kind, struct sp_bytes text)
{
	size_t room = SHAPE_MEMORY;

	if (text.len > SIZE_MAX - SHAPE_MEMORY)
		return NULL;
	struct arena *a = arena_new(text.len + room);
	struct shape *s = a == NULL ? NULL : arena_alloc(a, sizeof(*s));
	if (s == NULL) {
		arena_free(&a);
		return NULL;
	}
	s->arena = a;
	s->module = m;
	s->refs = 1;
	s->serial = ++serial;
	s->kind = arena_string(a, sp_str(kind));
	s->text = arena_bytes(a, text);
	s->tag = "";
	while (m != NULL && m->attrs != NULL && m->attrs[s->nattrs].name != NULL)
		s->nattrs++;
	if (s->kind == NULL || (text.len > 0 && s->text.p == NULL) || shape_add_node(s) != SP_OK) {
		arena_free(&a);
		return NULL;
	}
	return s;
}

struct shape *
shape_make(const struct sp_module *m, const struct sp_scope *scope, const char *kind, struct sp_bytes text)
{
	struct shape *s = shape_new(m, kind, text);

	if (s == NULL)
		return NULL;
	struct op op = { .shape = s, .kind = s->kind, .current = s->node };
	if (m == NULL || m->classify == NULL || m->classify(scope, (struct sp_op *)&op, s->text) != SP_OK)
		op.failed = true;
	s->failed = op.failed;
	return s;
}

struct shape *
shape_empty(const struct sp_module *m, const char *kind)
{
	return shape_new(m, kind, (struct sp_bytes){ NULL, 0 });
}

void
shape_free(struct shape **sp)
{
	struct shape *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	if (s->model != NULL)
		shape_free(&s->model);
	struct arena *a = s->arena;
	arena_free(&a);
}

/* ---- the same for another text ---- */

static bool
copy_nodes(struct shape *s, const struct shape *model)
{
	size_t bytes = model->nattrs * sizeof(struct value);
	struct node *node = arena_alloc(s->arena, model->nnodes * sizeof(*node));
	struct value *value = arena_alloc(s->arena, model->nnodes * bytes + 1);
	if (node == NULL || value == NULL)
		return false;
	for (size_t i = 0; i < model->nnodes; i++, value += model->nattrs) {
		memcpy(value, model->node[i].value, bytes);
		node[i].value = value;
		if (value[model->length].known == PRESENT)
			value[model->length].number = s->text.len;
	}
	s->node = node;
	return true;
}

/* A place of the model's, in the other text: behind as many of the literals. */
static bool
move_literal(struct literal *l, struct spans from, struct spans to)
{
	size_t i = 0, offset = l->offset;
	while (i < from.n && from.v[i].offset + from.v[i].len <= l->offset)
		i++;
	if (i > 0)
		offset = to.v[i - 1].offset + to.v[i - 1].len + (l->offset - (from.v[i - 1].offset + from.v[i - 1].len));
	if (i < from.n && from.v[i].offset == l->offset && from.v[i].len == l->len)
		l->len = to.v[i].len;
	else if (i < from.n && from.v[i].offset < l->offset + l->len)
		return false;
	l->offset = offset;
	return true;
}

static bool
move_literals(struct shape *s, const struct shape *model, struct spans from, struct spans to)
{
	s->literal = arena_alloc(s->arena, (model->nliterals + 1) * sizeof(*s->literal));
	for (size_t i = 0; s->literal != NULL && i < model->nliterals; i++) {
		struct literal *l = &s->literal[i];
		*l = model->literal[i];
		if (l->len > 0 && (!move_literal(l, from, to) || l->offset > s->text.len || l->len > s->text.len - l->offset))
			return false;
	}
	return s->literal != NULL;
}

struct shape *
shape_like(struct shape *model, struct spans from, struct sp_bytes text, struct spans to)
{
	if (!model->alike || model->model != NULL || from.n != to.n)
		return NULL;
	struct arena *a = arena_new(SHAPE_MEMORY);
	struct shape *s = a == NULL ? NULL : arena_alloc(a, sizeof(*s));
	if (s == NULL) {
		arena_free(&a);
		return NULL;
	}
	*s = *model;
	s->arena = a;
	s->refs = 1;
	s->serial = ++serial;
	s->text = arena_bytes(a, text);
	if (s->text.p == NULL || !copy_nodes(s, model) || !move_literals(s, model, from, to)) {
		arena_free(&a);
		return NULL;
	}
	s->model = model;
	model->refs++;
	return s;
}

static bool
equal_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
equal_values(const struct value *a, const struct value *b)
{
	if (a->known != b->known || a->number != b->number || a->n != b->n || !sp_bytes_eq(a->text, b->text))
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!sp_bytes_eq(a->set[i], b->set[i]))
			return false;
	return true;
}

static bool
equal_nodes(const struct shape *a, const struct shape *b)
{
	for (size_t i = 0; i < a->nnodes; i++)
		for (unsigned k = 0; k < a->nattrs; k++)
			if (!equal_values(&a->node[i].value[k], &b->node[i].value[k]))
				return false;
	return true;
}

bool
shape_equal(const struct shape *a, const struct shape *b)
{
	if (a->module != b->module || a->failed != b->failed || a->unseen != b->unseen || a->renames != b->renames || a->nnodes != b->nnodes || a->nattrs != b->nattrs ||
	    a->nunclear != b->nunclear || a->nchanges != b->nchanges || a->nmeanings != b->nmeanings || a->nliterals != b->nliterals || !equal_text(a->tag, b->tag) ||
	    !sp_bytes_eq(a->text, b->text) || !equal_nodes(a, b))
		return false;
	for (size_t i = 0; i < a->nunclear; i++)
		if (!equal_text(a->unclear[i].why, b->unclear[i].why) || !sp_bytes_eq(a->unclear[i].name, b->unclear[i].name) ||
		    a->unclear[i].node != b->unclear[i].node)
			return false;
	for (size_t i = 0; i < a->nchanges; i++)
		if (!equal_text(a->change[i].name, b->change[i].name) || !equal_text(a->change[i].value, b->change[i].value))
			return false;
	for (size_t i = 0; i < a->nmeanings; i++)
		if (!equal_text(a->meaning[i].name, b->meaning[i].name) || !sp_bytes_eq(a->meaning[i].value, b->meaning[i].value))
			return false;
	for (size_t i = 0; i < a->nliterals; i++) {
		const struct literal *x = &a->literal[i], *y = &b->literal[i];
		if (x->offset != y->offset || x->len != y->len || x->param != y->param || !equal_text(x->column, y->column))
			return false;
	}
	return true;
}

/* ---- attributes, while classify() runs ---- */

static bool
type_is_number(enum sp_type t)
{
	return t == SP_TYPE_INT || t == SP_TYPE_SIZE || t == SP_TYPE_DURATION;
}

/* The current node's value of an attribute, or NULL and failed. */
static struct value *
op_value(struct op *op, unsigned attr)
{
	if (op->current == NULL || attr >= op->shape->nattrs) {
		op->failed = true;
		return NULL;
	}
	return &op->current->value[attr];
}

/* …if it has the type that `fits`; unknown stays unknown whatever is set afterwards. */
static struct value *
op_set_value(struct op *op, unsigned attr, bool fits)
{
	struct value *v = op_value(op, attr);

	if (v == NULL)
		return NULL;
	if (!fits) {
		op->failed = true;
		return NULL;
	}
	if (v->known == ABSENT)
		v->known = PRESENT;
	return v;
}

static enum sp_type
op_attr_type(const struct op *op, unsigned attr)
{
	return attr < op->shape->nattrs ? op->shape->module->attrs[attr].type : 0;
}

int
sp_op_node(struct sp_op *sp)
{
	struct op *op = op_of(sp);

	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	int rc = shape_add_node(op->shape);
	if (rc != SP_OK)
		return op_fail(op, rc);
	op->current = &op->shape->node[op->shape->nnodes - 1];
	return SP_OK;
}

int
sp_op_str(struct sp_op *sp, unsigned attr, struct sp_bytes text)
{
	struct op *op = op_of(sp);
	struct value *v = op_set_value(op, attr, op_attr_type(op, attr) == SP_TYPE_STRING);

	if (v == NULL)
		return SP_EINTERNAL;
	v->text = arena_bytes(op->shape->arena, text);
	return text.len > 0 && v->text.p == NULL ? op_fail(op, SP_ENOMEM) : SP_OK;
}

int
sp_op_add(struct sp_op *sp, unsigned attr, struct sp_bytes text)
{
	enum { COMPARED = 64 }; /* duplicates beyond are harmless, comparing each pair is not */
	struct op *op = op_of(sp);
	enum sp_type type = op_attr_type(op, attr);
	struct value *v = op_set_value(op, attr, type == SP_TYPE_STRINGS || type == SP_TYPE_COLUMNS);

	if (v == NULL)
		return SP_EINTERNAL;
	for (size_t i = 0; i < v->n && i < COMPARED; i++)
		if (sp_bytes_eq(v->set[i], text))
			return SP_OK;
	if (v->n == v->cap) {
		size_t cap = v->cap == 0 ? 4 : 2 * v->cap;
		struct sp_bytes *more = arena_alloc(op->shape->arena, cap * sizeof(*more));
		if (more == NULL)
			return op_fail(op, SP_ENOMEM);
		if (v->n > 0)
			memcpy(more, v->set, v->n * sizeof(*more));
		v->set = more;
		v->cap = cap;
	}
	v->set[v->n] = arena_bytes(op->shape->arena, text);
	if (text.len > 0 && v->set[v->n].p == NULL)
		return op_fail(op, SP_ENOMEM);
	v->n++;
	return SP_OK;
}

int
sp_op_int(struct sp_op *sp, unsigned attr, uint64_t number)
{
	struct op *op = op_of(sp);
	struct value *v = op_set_value(op, attr, type_is_number(op_attr_type(op, attr)));

	if (v == NULL)
		return SP_EINTERNAL;
	v->number = number;
	return SP_OK;
}

int
sp_op_bool(struct sp_op *sp, unsigned attr, bool yes)
{
	struct op *op = op_of(sp);
	struct value *v = op_set_value(op, attr, op_attr_type(op, attr) == SP_TYPE_BOOL);

	if (v == NULL)
		return SP_EINTERNAL;
	v->number = yes;
	return SP_OK;
}

int
sp_op_unknown(struct sp_op *sp, unsigned attr)
{
	struct value *v = op_value(op_of(sp), attr);

	if (v == NULL)
		return SP_EINTERNAL;
	v->known = UNKNOWN;
	return SP_OK;
}

/* An array in the shape's arena with room for one more; doubles at powers of two. */
static void *
shape_grow(struct shape *s, void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	void *more = arena_alloc(s->arena, (n == 0 ? 1 : 2 * n) * size);
	if (more != NULL && n > 0)
		memcpy(more, array, n * size);
	return more;
}

int
sp_op_unclear(struct sp_op *sp, const char *why, struct sp_bytes name)
{
	struct op *op = op_of(sp);
	struct shape *s = op->shape;

	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	size_t node = (size_t)(op->current - s->node);
	for (size_t i = 0; i < s->nunclear && i < 64; i++)
		if (s->unclear[i].node == node && strcmp(s->unclear[i].why, why) == 0
		    && sp_bytes_eq(s->unclear[i].name, name))
			return SP_OK;
	struct unclear *list = shape_grow(s, s->unclear, s->nunclear, sizeof(*list));
	if (list == NULL)
		return op_fail(op, SP_ENOMEM);
	s->unclear = list;
	struct unclear *u = &list[s->nunclear];
	u->node = node;
	u->why = arena_string(s->arena, sp_str(why));
	u->name = arena_bytes(s->arena, name);
	if (u->why == NULL || (name.len > 0 && u->name.p == NULL))
		return op_fail(op, SP_ENOMEM);
	s->nunclear++;
	return SP_OK;
}

static bool
same_text(const char *x, const char *y)
{
	return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

/* NULL stays NULL; false: no memory. */
static bool
copy_text(struct arena *a, const char *text, const char **copy_r)
{
	*copy_r = text == NULL ? NULL : arena_string(a, sp_str(text));
	return text == NULL || *copy_r != NULL;
}

int
sp_op_changes(struct sp_op *sp, const char *name, const char *value)
{
	struct op *op = op_of(sp);
	struct shape *s = op->shape;

	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	for (size_t i = 0; i < s->nchanges; i++)
		if (same_text(s->change[i].name, name) && same_text(s->change[i].value, value))
			return SP_OK;
	struct change *list = shape_grow(s, s->change, s->nchanges, sizeof(*list));
	if (list == NULL)
		return op_fail(op, SP_ENOMEM);
	s->change = list;
	struct change *c = &list[s->nchanges];
	if (!copy_text(s->arena, name, &c->name) || !copy_text(s->arena, value, &c->value))
		return op_fail(op, SP_ENOMEM);
	s->nchanges++;
	return SP_OK;
}

int
sp_op_means(struct sp_op *sp, const char *name, struct sp_bytes value)
{
	struct op *op = op_of(sp);
	struct shape *s = op->shape;

	if (op->current == NULL || name == NULL)
		return op_fail(op, SP_EINTERNAL);
	struct meaning *list = shape_grow(s, s->meaning, s->nmeanings, sizeof(*list));
	if (list == NULL)
		return op_fail(op, SP_ENOMEM);
	s->meaning = list;
	struct meaning *m = &list[s->nmeanings];
	m->name = arena_string(s->arena, sp_str(name));
	m->value = arena_bytes(s->arena, value);
	if (m->name == NULL || (value.len > 0 && m->value.p == NULL))
		return op_fail(op, SP_ENOMEM);
	s->nmeanings++;
	return SP_OK;
}

int
sp_op_unseen(struct sp_op *sp)
{
	struct op *op = op_of(sp);
	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	op->shape->unseen = true;
	return SP_OK;
}

int
sp_op_renames(struct sp_op *sp)
{
	struct op *op = op_of(sp);
	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	op->shape->renames = true;
	return SP_OK;
}

int
sp_op_alike(struct sp_op *sp, unsigned length)
{
	struct op *op = op_of(sp);

	if (op->current == NULL || !type_is_number(op_attr_type(op, length)))
		return op_fail(op, SP_EINTERNAL);
	op->shape->alike = true;
	op->shape->length = length;
	return SP_OK;
}

int
sp_op_tag(struct sp_op *sp, const char *tag)
{
	struct op *op = op_of(sp);

	if (op->current == NULL)
		return op_fail(op, SP_EINTERNAL);
	const char *copy = arena_string(op->shape->arena, sp_str(tag));
	if (copy == NULL)
		return op_fail(op, SP_ENOMEM);
	op->shape->tag = copy;
	return SP_OK;
}

int
sp_op_literal(struct sp_op *sp, const struct sp_literal *l)
{
	struct op *op = op_of(sp);
	struct shape *s = op->shape;

	if (op->current == NULL || l->offset > s->text.len || l->len > s->text.len - l->offset)
		return op_fail(op, SP_EINTERNAL);
	struct literal *list = shape_grow(s, s->literal, s->nliterals, sizeof(*list));
	if (list == NULL)
		return op_fail(op, SP_ENOMEM);
	s->literal = list;
	list[s->nliterals] = (struct literal){ .offset = l->offset, .len = l->len, .param = l->param };
	if (l->column != NULL) {
		list[s->nliterals].column = arena_string(s->arena, sp_str(l->column));
		if (list[s->nliterals].column == NULL)
			return op_fail(op, SP_ENOMEM);
	}
	s->nliterals++;
	return SP_OK;
}

/* ---- one run ---- */

int
sp_op_param(struct sp_op *sp, unsigned index, uint32_t type, uint16_t format, bool null, struct sp_bytes value)
{
	struct op *op = op_of(sp);

	if (index == 0)
		op->nparams = 0; /* others than its model's */
	if (op->arena == NULL || index != op->nparams)
		return op_fail(op, SP_EINTERNAL); /* in order, without holes: they are hashed that way */
	if (index == 0 || (index & (index - 1)) == 0) {
		struct param *more = arena_alloc(op->arena, (index == 0 ? 1 : 2 * (size_t)index) * sizeof(*more));
		if (more == NULL)
			return op_fail(op, SP_ENOMEM);
		if (index > 0)
			memcpy(more, op->param, index * sizeof(*more));
		op->param = more;
	}
	struct param *p = &op->param[index];
	*p = (struct param){ .type = type, .format = format, .null = null, .value = arena_bytes(op->arena, value) };
	if (value.len > 0 && p->value.p == NULL)
		return op_fail(op, SP_ENOMEM);
	op->nparams++;
	return SP_OK;
}

bool
sp_op_param_at(const struct sp_op *sp, unsigned i, struct sp_value *v_r)
{
	const struct op *op = (const struct op *)(const void *)sp;
	*v_r = (struct sp_value){ .null = true };
	if (i >= op->nparams)
		return false;
	const struct param *p = &op->param[i];
	*v_r = (struct sp_value){ p->type, p->format, p->null, p->value };
	return true;
}

static bool
value_has(const struct value *v, enum sp_type type, struct sp_bytes word)
{
	if (type == SP_TYPE_STRING)
		return sp_bytes_eq(v->text, word);
	if (type == SP_TYPE_BOOL)
		return sp_bytes_is(word, v->number != 0 ? "true" : "false");
	for (size_t i = 0; i < v->n; i++)
		if (sp_bytes_eq(v->set[i], word))
			return true;
	return false;
}

/* In any node: what the whole does, its parts do. */
bool
sp_op_has(const struct sp_op *sp, unsigned attr, const char *word)
{
	const struct op *op = op_of_const(sp);
	const struct shape *s = op->shape;

	if (attr >= s->nattrs)
		return false;
	for (size_t i = 0; i < s->nnodes; i++) {
		const struct value *v = &s->node[i].value[attr];
		if (v->known != ABSENT && value_has(v, s->module->attrs[attr].type, sp_str(word)))
			return true;
	}
	return false;
}

bool
sp_op_is_unclear(const struct sp_op *sp)
{
	const struct op *op = op_of_const(sp);

	return op->failed || op->shape->failed || op->shape->nunclear > 0;
}

unsigned *
sp_op_note(const struct sp_op *sp)
{
	const struct op *op = op_of_const(sp);
	struct shape *s = op->shape->model != NULL ? op->shape->model : op->shape;

	return op->failed || s->failed ? NULL : &s->note;
}

const char *
sp_op_kind(const struct sp_op *sp)
{
	return op_of_const(sp)->kind;
}

struct sp_bytes
sp_op_text(const struct sp_op *sp)
{
	return op_of_const(sp)->shape->text;
}

void *
sp_op_cookie(const struct sp_op *sp)
{
	return op_of_const(sp)->cookie;
}

void
sp_op_set_cookie(struct sp_op *sp, void *cookie)
{
	op_of(sp)->cookie = cookie;
}
