/* SPDX-License-Identifier: Apache-2.0 */
/* What an analysis has found, kept until it is handed to the operation: nodes come in order there. */
#include "analyse_internal.h"

#include <stdlib.h>

#define CHUNK (16u << 10)
#define STATEMENTS_MAX 900u     /* nodes of one operation; the core takes 1000 */
#define PAIRS_MAX 4096u         /* literal × column of one expression; beyond, always hidden */
#define HIDDEN_MAX 100000u
#define STEPS_MAX 50000000u     /* a tenth of a second */

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t data[];
};

/* ---- memory ---- */

void *
analyse_alloc(struct analysis *a, size_t n)
{
	struct chunk *c = a->chunks;

	n = (n + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (a->failed || n > a->cap - a->used)
		goto out;
	if (c == NULL || n > c->size - c->used) {
		size_t size = n > CHUNK ? n : CHUNK;
		c = calloc(1, sizeof(*c) + size);
		if (c == NULL)
			goto out;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	void *at = (char *)c->data + c->used;
	c->used += n;
	a->used += n;
	return at;
out:
	a->failed = true;
	return NULL;
}

void
analyse_spend(struct analysis *a, size_t steps)
{
	a->steps += steps;
	a->failed = a->failed || a->steps > STEPS_MAX;
}

void
analyse_release(struct analysis *a)
{
	while (a->chunks != NULL) {
		struct chunk *c = a->chunks;
		a->chunks = c->next;
		free(c);
	}
}

void *
analyse_grow(struct analysis *a, void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	size_t more = *cap == 0 ? 8 : 2 * *cap;
	void *grown = analyse_alloc(a, more * size);
	if (grown == NULL)
		return NULL;
	if (n > 0)
		memcpy(grown, array, n * size);
	*cap = more;
	return grown;
}

struct sp_bytes
analyse_copy(struct analysis *a, struct sp_bytes b)
{
	uint8_t *p = analyse_alloc(a, b.len + 1);

	if (p == NULL)
		return (struct sp_bytes){ NULL, 0 };
	if (b.len > 0)
		memcpy(p, b.p, b.len);
	return (struct sp_bytes){ p, b.len };
}

/* ---- names ---- */

static uint32_t
hash_bytes(struct sp_bytes b)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ b.p[i]) * 16777619u;
	return h;
}

/* Where the text is, or belongs. */
static struct name **
name_slot(struct analysis *a, struct sp_bytes text, uint32_t hash)
{
	for (size_t i = hash;; i++) {
		struct name **slot = &a->names[i & (a->names_cap - 1)];
		if (*slot == NULL || ((*slot)->hash == hash && sp_bytes_eq((*slot)->text, text)))
			return slot;
	}
}

static bool
names_room(struct analysis *a)
{
	size_t old = a->names_cap;
	struct name **was = a->names;

	if (old > 0 && a->nnames < old / 2)
		return true;
	struct name **now = analyse_alloc(a, (old == 0 ? 64 : 2 * old) * sizeof(struct name *));
	if (now == NULL)
		return false;
	a->names = now;
	a->names_cap = old == 0 ? 64 : 2 * old;
	for (size_t i = 0; i < old; i++)
		if (was[i] != NULL)
			*name_slot(a, was[i]->text, was[i]->hash) = was[i];
	return true;
}

const struct name *
analyse_name(struct analysis *a, struct sp_bytes text)
{
	uint32_t hash = hash_bytes(text);

	if (!names_room(a))
		return NULL;
	struct name **slot = name_slot(a, text, hash);
	if (*slot != NULL)
		return *slot;
	struct name *n = analyse_alloc(a, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->text = analyse_copy(a, text);
	n->hash = hash;
	n->id = (uint32_t)++a->nnames;
	*slot = a->failed ? NULL : n;
	return *slot;
}

static void
write_escaped(struct sp_writer *w, struct sp_bytes part)
{
	for (size_t i = 0; i < part.len; i++) {
		if (part.p[i] == '.' || part.p[i] == '\\')
			sp_wr_u8(w, '\\');
		sp_wr_u8(w, part.p[i]);
	}
}

const struct name *
analyse_dotted(struct analysis *a, struct sp_bytes x, struct sp_bytes y, struct sp_bytes z)
{
	uint8_t small[512];
	size_t room = 2 * (x.len + y.len + z.len) + 2;
	uint8_t *p = room <= sizeof(small) ? small : analyse_alloc(a, room);
	struct sp_bytes part[3] = { x, y, z };

	if (p == NULL)
		return NULL;
	struct sp_writer w = sp_writer(p, room);
	for (size_t i = 0; i < 3; i++) {
		if (part[i].len == 0)
			continue;
		if (w.len > 0)
			sp_wr_u8(&w, '.');
		write_escaped(&w, part[i]);
	}
	return analyse_name(a, sp_written(&w));
}

/* ---- statements and their sets ---- */

struct stmt *
analyse_stmt(struct analysis *a, const char *verb)
{
	if (a->nstmts == STATEMENTS_MAX)
		a->failed = true;
	struct stmt *s = analyse_alloc(a, sizeof(*s));
	struct stmt **all = s == NULL ? NULL : analyse_grow(a, a->all, a->nstmts, &a->all_cap, sizeof(*all));
	if (all == NULL)
		return NULL;
	a->all = all;
	s->id = (uint32_t)a->nstmts;
	s->parent = a->stmt;
	s->verb = verb;
	s->unclear_end = &s->unclear;
	a->all[a->nstmts++] = s;
	return s;
}

/* True the first time. */
static bool
mark(struct analysis *a, uint64_t key)
{
	if (a->nmarks >= a->marks_cap / 2) {
		size_t old = a->marks_cap, cap = old == 0 ? 256 : 2 * old;
		uint64_t *was = a->marks, *now = analyse_alloc(a, cap * sizeof(*now));
		if (now == NULL)
			return false;
		a->marks = now;
		a->marks_cap = cap;
		a->nmarks = 0;
		for (size_t i = 0; i < old; i++)
			if (was[i] != 0)
				(void)mark(a, was[i]);
	}
	for (uint64_t i = key * 0x9e3779b97f4a7c15u >> 20;; i++) {
		uint64_t *slot = &a->marks[i & (a->marks_cap - 1)];
		if (*slot == key)
			return false;
		if (*slot != 0)
			continue;
		*slot = key;
		a->nmarks++;
		return true;
	}
}

void
note_set_add(struct analysis *a, struct set *s, const struct name *name)
{
	const struct name **v = analyse_grow(a, s->v, s->n, &s->cap, sizeof(*v));

	if (v == NULL || name == NULL)
		return;
	s->v = v;
	s->v[s->n++] = name;
}

void
note_effects(struct analysis *a, unsigned effects)
{
	for (struct stmt *s = a->stmt; s != NULL; s = s->parent)
		s->effects |= effects;
}

void
note_runs_code(struct analysis *a)
{
	for (struct stmt *s = a->stmt; s != NULL; s = s->parent)
		note_flag(&s->runs_code, true);
}

void
note_add(struct analysis *a, enum pg_attr attr, const struct name *name)
{
	if (name == NULL)
		return;
	for (struct stmt *s = a->stmt; s != NULL; s = s->parent)
		if (mark(a, (uint64_t)name->id << 20 | (uint64_t)s->id << 8 | (uint64_t)attr << 1 | 1))
			note_set_add(a, &s->set[attr], name);
}

void
note_text(struct analysis *a, enum pg_attr attr, struct sp_bytes text)
{
	if (text.len > 0)
		note_add(a, attr, analyse_name(a, text));
}

void
note_option(struct analysis *a, const char *word)
{
	note_text(a, PG_A_OPTIONS, sp_str(word));
}

void
note_flag(int8_t *flag, bool value)
{
	*flag = value ? 2 : 1;
}

void
note_change(struct analysis *a, const char *name, struct sp_bytes value)
{
	const struct pg_setting *s = name == NULL ? NULL : pg_setting_find(sp_str(name));
	char copy[64];
	const char *written = s == NULL || value.p == NULL ? NULL : pg_setting_value(s, value, copy);
	struct change *c = analyse_alloc(a, sizeof(*c));

	if (c == NULL)
		return;
	c->name = s == NULL ? NULL : s->name;
	c->value = written == NULL ? NULL : (const char *)analyse_copy(a, sp_str(written)).p;
	c->next = a->changes;
	a->changes = c;
}

void
note_executed(struct analysis *a, struct sp_bytes name, struct sp_bytes text)
{
	for (const struct prepared_text *e = a->executed; e != NULL; e = e->next)
		if (sp_bytes_eq(e->name, name))
			return;
	struct prepared_text *e = analyse_alloc(a, sizeof(*e));
	if (e == NULL)
		return;
	e->name = analyse_copy(a, name);
	e->text = text;
	e->next = a->executed;
	a->executed = e;
}

void
note_unclear(struct analysis *a, const char *why, struct sp_bytes name)
{
	if (a->stmt == NULL)
		return;
	if (strcmp(why, "setting") != 0)
		note_change(a, NULL, (struct sp_bytes){ NULL, 0 }); /* what it runs nobody has seen */
	for (const struct unclear_part *u = a->stmt->unclear; u != NULL; u = u->next)
		if (strcmp(u->why, why) == 0 && sp_bytes_eq(u->name, name))
			return;
	struct unclear_part *u = analyse_alloc(a, sizeof(*u));
	if (u == NULL)
		return;
	u->why = why;
	u->name = analyse_copy(a, name);
	*a->stmt->unclear_end = u;
	a->stmt->unclear_end = &u->next;
	if (strcmp(why, "code") == 0)
		note_effects(a, PG_OPAQUE);
	if (strcmp(why, "setting") != 0 && strcmp(why, "function") != 0)
		note_any_column(a, PG_READ); /* nobody knows what it touches */
}

/* ---- literals ---- */

void
note_hidden(struct analysis *a, uint32_t literal, const struct name *column)
{
	uint64_t key = (uint64_t)(column == NULL ? 0 : column->id) << 32 | (uint64_t)literal << 1;

	if (a->nhidden >= HIDDEN_MAX)
		a->hide_all = true;
	if (a->hide_all || !mark(a, key | (1ull << 62)))
		return;
	struct hidden *h = analyse_grow(a, a->hidden, a->nhidden, &a->hidden_cap, sizeof(*h));
	if (h == NULL)
		return;
	a->hidden = h;
	a->hidden[a->nhidden++] = (struct hidden){ literal, column };
}

static void
literal_add(struct analysis *a, struct literal l)
{
	struct literal *v = analyse_grow(a, a->literal, a->nliterals, &a->literals_cap, sizeof(*v));

	if (v == NULL)
		return;
	a->literal = v;
	a->literal[a->nliterals++] = l;
	if (a->secret)
		note_hidden(a, (uint32_t)a->nliterals - 1, NULL);
}

void
note_literal(struct analysis *a, int32_t location)
{
	if (a->quiet || location < 0)
		return;
	struct pg_scan s = pg_scan(a->text, (size_t)location);
	struct pg_token t = pg_scan_next(&s);
	size_t from = t.offset;
	if (t.kind == PG_TOKEN_OPERATOR) /* a sign, which the grammar folds into its number */
		t = pg_scan_next(&s);
	if (t.kind != PG_TOKEN_STRING && t.kind != PG_TOKEN_DOLLAR && t.kind != PG_TOKEN_NUMBER)
		return; /* TRUE, NULL and words made into constants */
	size_t end = t.offset + t.len;
	for (;;) { /* 'a' newline 'b' is one constant */
		t = pg_scan_next(&s);
		if (t.kind != PG_TOKEN_STRING || a->text.p[t.offset] != '\'')
			break;
		end = t.offset + t.len;
	}
	literal_add(a, (struct literal){ .offset = from, .len = end - from });
}

void
note_param(struct analysis *a, int32_t number)
{
	if (a->quiet || number <= 0)
		return;
	for (struct stmt *s = a->stmt; s != NULL; s = s->parent)
		s->prepared = true;
	literal_add(a, (struct literal){ .param = (unsigned)number - 1 });
}

static void
hide(struct analysis *a, size_t offset, size_t len)
{
	literal_add(a, (struct literal){ .offset = offset, .len = len });
	if (!a->failed)
		note_hidden(a, (uint32_t)a->nliterals - 1, NULL);
}

void
note_hide_text(struct analysis *a, size_t from, size_t to, bool numbers)
{
	struct pg_scan s = pg_scan((struct sp_bytes){ a->text.p, to < a->text.len ? to : a->text.len }, from);
	bool named = false; /* PASSWORD stood before */

	if (a->quiet)
		return;
	for (;;) {
		struct pg_token t = pg_scan_next(&s);
		if (t.kind == PG_TOKEN_END)
			return;
		bool open = t.kind == PG_TOKEN_BAD && t.len > 1; /* an open string: all the rest may be its text */
		bool dark = numbers && (t.kind == PG_TOKEN_NUMBER || t.kind == PG_TOKEN_NAME || (named && t.kind == PG_TOKEN_WORD));
		named = pg_token_is(&s, &t, "password"); /* which may stand in the wrong quotes, or in none */
		if (t.kind == PG_TOKEN_STRING || t.kind == PG_TOKEN_DOLLAR || dark || open)
			hide(a, t.offset, t.len);
	}
}

void
note_hide_code(struct analysis *a, size_t from, size_t to)
{
	struct pg_scan s = pg_scan((struct sp_bytes){ a->text.p, to < a->text.len ? to : a->text.len }, from);

	if (a->quiet)
		return;
	for (;;) {
		struct pg_token t = pg_scan_next(&s);
		if (t.kind == PG_TOKEN_END)
			return;
		if (t.kind == PG_TOKEN_DOLLAR) /* verbatim: its own literals can be told apart */
			note_hide_text(a, t.body, t.body + t.body_len, true);
		else if (t.kind == PG_TOKEN_STRING)
			hide(a, t.offset, t.len);
	}
}

void
group_begin(struct analysis *a, struct group *g)
{
	*g = (struct group){ .outer = a->group, .first = a->nliterals };
	a->group = g;
}

void
group_column(struct analysis *a, const struct name *column)
{
	if (column == NULL || (column->cte != NULL && !column->cte->pending))
		return;
	for (struct group *g = a->group; g != NULL; g = g->outer)
		if (g->columns.n == g->assigned || g->columns.v[g->columns.n - 1] != column)
			note_set_add(a, &g->columns, column);
}

void
group_literals(struct analysis *a, size_t first, size_t last)
{
	for (struct group *g = a->group; g != NULL && first < last; g = g->outer) {
		struct span *v = analyse_grow(a, g->span, g->nspans, &g->spans_cap, sizeof(*v));
		if (v == NULL)
			return;
		g->span = v;
		g->span[g->nspans++] = (struct span){ first, last };
	}
}

static void
group_hide(struct analysis *a, const struct group *g, size_t first, size_t last)
{
	bool always = (last - first) * g->columns.n > PAIRS_MAX;

	for (size_t i = first; i < last; i++) {
		if (always)
			note_hidden(a, (uint32_t)i, NULL);
		for (size_t k = 0; k < g->columns.n && !always; k++)
			if (g->columns.v[k]->cte == NULL)
				note_hidden(a, (uint32_t)i, g->columns.v[k]);
	}
}

void
group_end(struct analysis *a)
{
	struct group *g = a->group;

	a->group = g->outer;
	if (g->columns.n == 0)
		return;
	group_hide(a, g, g->first, a->nliterals);
	for (size_t i = 0; i < g->nspans; i++)
		group_hide(a, g, g->span[i].first, g->span[i].last);
}

/* ---- handing over ---- */

static int
emit_flag(struct sp_op *op, enum pg_attr attr, int8_t flag)
{
	return flag == 0 ? SP_OK : sp_op_bool(op, attr, flag == 2);
}

static int
emit_sets(struct sp_op *op, const struct stmt *s)
{
	int rc = SP_OK;

	for (unsigned i = 0; i < PG_EFFECTS && rc == SP_OK; i++)
		if ((s->effects & 1u << i) != 0)
			rc = sp_op_add(op, PG_A_EFFECTS, sp_str(pg_effect_name[i]));
	for (unsigned i = 0; i < PG_ATTRS; i++)
		for (size_t k = 0; k < s->set[i].n && rc == SP_OK; k++)
			rc = sp_op_add(op, i, s->set[i].v[k]->text);
	return rc;
}

static int
emit_scalars(const struct analysis *a, const struct stmt *s)
{
	struct sp_op *op = a->op;
	int rc = sp_op_str(op, PG_A_VERB, sp_str(s->verb));

	if (rc == SP_OK && s->object != NULL)
		rc = sp_op_str(op, PG_A_OBJECT, sp_str(s->object));
	if (rc == SP_OK && s->copy != NULL)
		rc = sp_op_str(op, PG_A_COPY, sp_str(s->copy));
	if (rc == SP_OK && s->copy != NULL && strcmp(s->copy, "in") == 0)
		rc = sp_op_unseen(op);
	if (rc == SP_OK && s->language.len > 0)
		rc = sp_op_str(op, PG_A_LANGUAGE, s->language);
	if (rc == SP_OK && s->limited)
		rc = sp_op_int(op, PG_A_LIMIT, s->limit);
	if (rc == SP_OK && s->limit_unknown)
		rc = sp_op_unknown(op, PG_A_LIMIT);
	if (rc == SP_OK && s->rows > 0)
		rc = sp_op_int(op, PG_A_ROWS, s->rows);
	if (rc == SP_OK)
		rc = emit_flag(op, PG_A_WHERE, s->where);
	if (rc == SP_OK)
		rc = emit_flag(op, PG_A_ANALYZE, s->analyze);
	if (rc == SP_OK)
		rc = emit_flag(op, PG_A_TEMPORARY, s->temporary);
	if (rc == SP_OK)
		rc = emit_flag(op, PG_A_LOCKING, s->locking);
	if (rc == SP_OK)
		rc = emit_flag(op, PG_A_RUNS_CODE, s->runs_code);
	if (rc == SP_OK)
		rc = sp_op_bool(op, PG_A_NESTED, s->nested);
	if (rc == SP_OK)
		rc = sp_op_int(op, PG_A_STATEMENTS, a->statements);
	if (rc == SP_OK)
		rc = sp_op_int(op, PG_A_SIZE, a->text.len);
	return rc == SP_OK ? sp_op_bool(op, PG_A_PREPARED, s->prepared) : rc;
}

static int
emit_stmt(const struct analysis *a, const struct stmt *s)
{
	int rc = emit_scalars(a, s);

	if (rc == SP_OK)
		rc = emit_sets(a->op, s);
	for (const struct unclear_part *u = s->unclear; u != NULL && rc == SP_OK; u = u->next)
		rc = sp_op_unclear(a->op, u->why, u->name);
	return rc;
}

/* "create table" → "CREATE TABLE" */
static int
emit_tag(const struct analysis *a)
{
	char tag[48];
	const char *verb = a->all[0]->verb;
	size_t n = strlen(verb) < sizeof(tag) - 1 ? strlen(verb) : sizeof(tag) - 1;

	for (size_t i = 0; i < n; i++)
		tag[i] = (char)(verb[i] >= 'a' && verb[i] <= 'z' ? verb[i] - 32 : verb[i]);
	tag[n] = '\0';
	return sp_op_tag(a->op, tag);
}

static int
emit_hidden(const struct analysis *a, const struct hidden *h)
{
	const struct literal *l = &a->literal[h->literal];
	struct sp_literal out = { .offset = l->offset, .len = l->len, .param = l->param };

	if (h->column != NULL)
		out.column = (const char *)h->column->text.p; /* ends in NUL: analyse_copy() */
	return sp_op_literal(a->op, &out);
}

/* What may be something else in another session, or a moment later, for the same bytes. */
static int
emit_meanings(struct analysis *a)
{
	int rc = SP_OK;

	for (size_t i = 0; i < a->nstmts && rc == SP_OK; i++) {
		const struct set *tables = &a->all[i]->set[PG_A_TABLES];
		for (size_t k = 0; k < tables->n && rc == SP_OK && !a->all[i]->nested; k++)
			rc = sp_op_means(a->op, "table", tables->v[k]->text);
	}
	for (const struct prepared_text *e = a->executed; e != NULL && rc == SP_OK; e = e->next) {
		const char *name = analyse_joined(a, "EXECUTE", (const char *)e->name.p);
		rc = sp_op_means(a->op, name == NULL ? "EXECUTE" : name, e->text);
		if (rc == SP_OK && e->text.len == 0) /* nor can who decides */
			rc = sp_op_unseen(a->op);
	}
	return rc == SP_OK && a->renames ? sp_op_renames(a->op) : rc;
}

int
analyse_emit(struct analysis *a)
{
	int rc = emit_tag(a);

	if (rc == SP_OK)
		rc = emit_meanings(a);

	for (const struct change *c = a->changes; c != NULL && rc == SP_OK; c = c->next)
		rc = sp_op_changes(a->op, c->name, c->value);
	for (size_t i = 0; i < a->nstmts && rc == SP_OK; i++) {
		if (i > 0)
			rc = sp_op_node(a->op);
		if (rc == SP_OK)
			rc = emit_stmt(a, a->all[i]);
	}
	if (a->hide_all && rc == SP_OK) { /* too many to name: none of the text is kept */
		struct sp_literal all = { .len = a->text.len };
		return sp_op_literal(a->op, &all);
	}
	for (size_t i = 0; i < a->nhidden && rc == SP_OK; i++)
		rc = emit_hidden(a, &a->hidden[i]);
	return rc;
}
