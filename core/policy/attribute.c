/* SPDX-License-Identifier: Apache-2.0 */
/* Names to attributes when a policy is loaded, attributes to values when it is asked. */
#include <config.h>

#include "attribute.h"

#include <stdio.h>

#include "../base/directive.h"

struct core_row {
	const char *name;
	enum sp_type type;
	bool exact;
	const char *help;
};

static const struct core_row core_row[] = {
	[CORE_USER] = { "user", SP_TYPE_STRING, false,
	    "Login name of the principal." },
	[CORE_GROUPS] = { "groups", SP_TYPE_STRINGS, true,
	    "Groups of the principal, as its token says." },
	[CORE_ROLES] = { "roles", SP_TYPE_STRINGS, true,
	    "What its groups let it do at the gateway: approver, auditor, admin." },
	[CORE_CLASS] = { "class", SP_TYPE_STRING, false,
	    "What the identity vouches for: human, workload or agent." },
	[CORE_IDENTITY] = { "identity", SP_TYPE_STRING, false,
	    "Name of the identity block that its token fits." },
	[CORE_ISSUER] = { "issuer", SP_TYPE_STRING, false,
	    "Who issued the token (iss)." },
	[CORE_SUBJECT] = { "subject", SP_TYPE_STRING, false,
	    "Whom the issuer means (sub)." },
	[CORE_PERSON] = { "person", SP_TYPE_STRING, false,
	    "The person behind it, where the identity says which claim tells persons apart; unknown elsewhere." },
	[CORE_SPONSOR] = { "sponsor", SP_TYPE_STRING, false,
	    "Whom an agent works for, where its identity says which claim names that; absent for people." },
	[CORE_METHODS] = { "methods", SP_TYPE_STRINGS, true,
	    "How the principal proved who it is, as the issuer says (amr): pwd, mfa, hwk …; unknown where it says nothing." },
	[CORE_ADDRESS] = { "address", SP_TYPE_STRING, false,
	    "The client's address." },
	[CORE_TARGET] = { "target", SP_TYPE_STRING, false,
	    "Name of the target." },
	[CORE_PROTOCOL] = { "protocol", SP_TYPE_STRING, false,
	    "The module that speaks with it." },
	[CORE_SESSION] = { "session", SP_TYPE_STRING, false,
	    "Id of the session." },
	[CORE_MODE] = { "mode", SP_TYPE_STRING, false,
	    "Mode of the target: enforce or observe." },
	[CORE_TIME] = { "time", SP_TYPE_DURATION, false,
	    "Now; compared by within and outside only." },
	[CORE_DETECT] = { "detect", SP_TYPE_STRINGS, false,
	    "On output only: detectors whose findings are meant." },
};
_Static_assert(sizeof(core_row) / sizeof(*core_row) == CORE_ATTRS, "a row for each");

static const char *const fact_name[] = { "database", "role", "search_path", "transaction", "application_name", NULL };

static const struct core_row result_row[] = {
	[RESULT_COLUMN] = { "column", SP_TYPE_COLUMNS, false, "The column that this one of the answer comes from, as schema.table.column." },
	[RESULT_TABLE] = { "table", SP_TYPE_STRINGS, false, "Its table, as schema.name." },
	[RESULT_NAME] = { "name", SP_TYPE_STRING, false, "The column's name as the client sees it." },
	[RESULT_TYPE] = { "type", SP_TYPE_INT, false, "Number of its type at the target." },
};
_Static_assert(sizeof(result_row) / sizeof(*result_row) == RESULT_ATTRS, "a row for each");

/* ---- kinds ---- */

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n > m && strcmp(text + n - m, end) == 0;
}

static bool
module_has_kind(const struct sp_module *m, const char *kind)
{
	for (size_t i = 0; m->kinds != NULL && m->kinds[i] != NULL; i++)
		if (strcmp(m->kinds[i], kind) == 0)
			return true;
	return false;
}

enum kind_class
kind_class(const struct policy_schema *schema, const char *kind)
{
	if (strcmp(kind, "session") == 0)
		return KIND_SESSION;
	if (strcmp(kind, "output") == 0)
		return KIND_OUTPUT;
	for (size_t i = 0; i < schema->n; i++) {
		if (!module_has_kind(schema->module[i], kind))
			continue;
		if (ends_with(kind, ".result"))
			return KIND_RESULT;
		return ends_with(kind, ".prepare") ? KIND_PREPARE : KIND_OPERATION;
	}
	return KIND_NONE;
}

const char *
kind_statement(const char *kind, char buf[64])
{
	if (!ends_with(kind, ".result") && !ends_with(kind, ".prepare"))
		return kind;
	snprintf(buf, 64, "%.*s.statement", (int)(strrchr(kind, '.') - kind), kind);
	return buf;
}

const char *const *
kind_names(struct arena *a, const struct policy_schema *schema)
{
	size_t n = 3;

	for (size_t i = 0; i < schema->n; i++)
		for (size_t j = 0; schema->module[i]->kinds != NULL && schema->module[i]->kinds[j] != NULL; j++)
			n++;
	const char **list = arena_alloc(a, n * sizeof(*list));
	if (list == NULL)
		return NULL;
	n = 0;
	list[n++] = "session";
	list[n++] = "output";
	for (size_t i = 0; i < schema->n; i++)
		for (size_t j = 0; schema->module[i]->kinds != NULL && schema->module[i]->kinds[j] != NULL; j++)
			list[n++] = schema->module[i]->kinds[j];
	return list;
}

/* ---- names ---- */

/* The module's attributes of a kind, in every module that has it. */
static bool
find_in_modules(const struct policy_schema *schema, const char *kind, const char *name, struct attribute *a_r)
{
	bool found = false;

	for (size_t i = 0; i < schema->n && i < MODULES_MAX; i++) {
		const struct sp_module *m = schema->module[i];
		int at = attr_find(m, name);
		a_r->index[i] = -1;
		if (at < 0 || !attr_on(&m->attrs[at], kind))
			continue;
		if (found && a_r->type != m->attrs[at].type)
			continue; /* another module's, by the same name: not this one */
		a_r->index[i] = at;
		a_r->type = m->attrs[at].type;
		a_r->of_operation = m->attrs[at].whose == SP_OF_OPERATION;
		found = true;
	}
	return found;
}

static bool
find_in_rows(const struct core_row *row, int n, const char *name, struct attribute *a_r)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(row[i].name, name) != 0)
			continue;
		a_r->type = row[i].type;
		a_r->exact = row[i].exact;
		a_r->index[0] = i;
		return true;
	}
	return false;
}

static const char *
kind_that_has(const struct policy_schema *schema, const char *name)
{
	struct attribute ignored;

	for (size_t i = 0; i < schema->n; i++)
		for (size_t j = 0; schema->module[i]->kinds != NULL && schema->module[i]->kinds[j] != NULL; j++)
			if (find_in_modules(schema, schema->module[i]->kinds[j], name, &ignored))
				return schema->module[i]->kinds[j];
	return find_in_rows(result_row, RESULT_ATTRS, name, &ignored) ? "a result" : NULL;
}

bool
attribute_find(const struct policy_schema *schema, const char *kind, const char *name, struct attribute *a_r,
    const char **other_r)
{
	enum kind_class class = kind_class(schema, kind);
	char buf[64];

	*other_r = NULL;
	*a_r = (struct attribute){ .name = name, .source = FROM_NODE };
	if (strncmp(name, "root.", 5) == 0) {
		a_r->source = FROM_ROOT;
		if (find_in_modules(schema, kind_statement(kind, buf), name + 5, a_r))
			return true;
		*other_r = kind_that_has(schema, name + 5);
		return false;
	}
	a_r->source = FROM_RESULT;
	a_r->of_operation = true;
	if (class == KIND_RESULT && find_in_rows(result_row, RESULT_ATTRS, name, a_r))
		return true;
	/* The core's before the module's: no module may stand in for who asks. */
	a_r->of_operation = false;
	a_r->source = FROM_CORE;
	if (find_in_rows(core_row, CORE_ATTRS, name, a_r) && (a_r->index[0] != CORE_DETECT || class == KIND_OUTPUT))
		return true;
	a_r->source = FROM_NODE;
	if (find_in_modules(schema, kind, name, a_r))
		return true;
	a_r->of_operation = a_r->exact = false;
	a_r->source = FROM_FACT;
	a_r->type = SP_TYPE_STRING;
	for (size_t i = 0; fact_name[i] != NULL; i++)
		if (strcmp(fact_name[i], name) == 0)
			return true;
	*other_r = strcmp(name, "detect") == 0 ? "output" : kind_that_has(schema, name);
	return false;
}

void
attribute_label(const char *name, struct attribute *a_r)
{
	*a_r = (struct attribute){ .name = name, .source = FROM_LABEL, .type = SP_TYPE_STRING };
}

const char *const *
attribute_names(struct arena *a, const struct policy_schema *schema, const char *kind)
{
	size_t max = CORE_ATTRS + RESULT_ATTRS + sizeof(fact_name) / sizeof(*fact_name) + 1, n = 0;

	for (size_t i = 0; i < schema->n; i++)
		for (size_t j = 0; schema->module[i]->attrs != NULL && schema->module[i]->attrs[j].name != NULL; j++)
			max++;
	const char **list = arena_alloc(a, max * sizeof(*list));
	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < schema->n; i++)
		for (size_t j = 0; schema->module[i]->attrs != NULL && schema->module[i]->attrs[j].name != NULL; j++)
			if (attr_on(&schema->module[i]->attrs[j], kind))
				list[n++] = schema->module[i]->attrs[j].name;
	for (int i = 0; kind_class(schema, kind) == KIND_RESULT && i < RESULT_ATTRS; i++)
		list[n++] = result_row[i].name;
	for (int i = 0; i < CORE_ATTRS; i++)
		if (i != CORE_DETECT || kind_class(schema, kind) == KIND_OUTPUT)
			list[n++] = core_row[i].name;
	for (size_t i = 0; fact_name[i] != NULL; i++)
		list[n++] = fact_name[i];
	return list;
}

/* ---- the manual ---- */

static const char *
type_name(enum sp_type type, bool is_time)
{
	static const char *const name[] = { [SP_TYPE_STRING] = "text", [SP_TYPE_BOOL] = "true or false", [SP_TYPE_INT] = "number",
		[SP_TYPE_SIZE] = "size", [SP_TYPE_DURATION] = "time", [SP_TYPE_STRINGS] = "set of texts", [SP_TYPE_COLUMNS] = "set of columns" };
	return is_time ? "time of the week" : name[type];
}

static const char *
attribute_help(const struct policy_schema *schema, const char *kind, const struct attribute *a)
{
	if (a->source == FROM_CORE)
		return core_row[a->index[0]].help;
	if (a->source == FROM_RESULT)
		return result_row[a->index[0]].help;
	for (size_t i = 0; a->source == FROM_NODE && i < schema->n; i++) {
		int at = attr_find(schema->module[i], a->name);
		if (at >= 0 && attr_on(&schema->module[i]->attrs[at], kind))
			return schema->module[i]->attrs[at].help;
	}
	if (strcmp(a->name, "application_name") == 0)
		return "What the client called itself when it came: a claim, to tell tools apart and not to lock by. Absent where it said nothing.";
	return "Of the session, where its module reports it; else unknown.";
}

/* What this kind has beyond what all have. */
static bool
is_own(const struct attribute *a)
{
	return a->source == FROM_NODE || a->source == FROM_RESULT || (a->source == FROM_CORE && a->index[0] == CORE_DETECT);
}

static int
put_attribute(const struct policy_schema *schema, const char *kind, const struct attribute *a, struct buffer *out)
{
	bool is_time = a->source == FROM_CORE && a->index[0] == CORE_TIME;
	if (buffer_printf(out, "| `%s` | %s | ", a->name, type_name(a->type, is_time)) != SP_OK ||
	    manual_cell(attribute_help(schema, kind, a), out) != SP_OK)
		return SP_ENOMEM;
	return buffer_printf(out, " |\n");
}

int
attribute_manual(struct arena *arena, const struct policy_schema *schema, const char *kind, struct buffer *out)
{
	const char *like = kind == NULL ? "session" : kind, *other;
	const char *const *name = attribute_names(arena, schema, like);
	int rc = name == NULL ? SP_ENOMEM : buffer_printf(out, "| attribute | type | what it is |\n|---|---|---|\n");
	for (size_t i = 0; rc == SP_OK && name[i] != NULL; i++) {
		struct attribute a;
		bool again = false;
		for (size_t k = 0; k < i; k++)
			again = again || strcmp(name[k], name[i]) == 0;
		if (!again && attribute_find(schema, like, name[i], &a, &other) && is_own(&a) == (kind != NULL))
			rc = put_attribute(schema, like, &a, out);
	}
	return rc;
}

/* ---- values ---- */

static void
set_text(struct value *v, const char *text)
{
	v->known = text == NULL || *text == '\0' ? ABSENT : PRESENT;
	v->text = sp_str(text);
}

static int
set_strings(struct value *v, const struct sp_strings *words, struct arena *a)
{
	v->known = PRESENT;
	v->set = arena_alloc(a, (words->n + 1) * sizeof(*v->set));
	if (v->set == NULL)
		return SP_ENOMEM;
	for (v->n = 0; v->n < words->n; v->n++)
		v->set[v->n] = sp_str(words->v[v->n]);
	return SP_OK;
}

static int
set_principal(struct asking *q, const struct principal *p)
{
	if (p == NULL) {
		for (int i = CORE_USER; i <= CORE_METHODS; i++)
			q->core[i].known = UNKNOWN;
		return SP_OK;
	}
	set_text(&q->core[CORE_USER], p->user);
	set_text(&q->core[CORE_CLASS], p->class);
	set_text(&q->core[CORE_IDENTITY], p->identity);
	set_text(&q->core[CORE_ISSUER], p->issuer);
	set_text(&q->core[CORE_SUBJECT], p->subject);
	set_text(&q->core[CORE_PERSON], p->person);
	if (q->core[CORE_PERSON].known == ABSENT)
		q->core[CORE_PERSON].known = UNKNOWN; /* everybody is some person */
	set_text(&q->core[CORE_SPONSOR], p->sponsor);
	if (q->core[CORE_SPONSOR].known == ABSENT && p->class != NULL && strcmp(p->class, "agent") == 0)
		q->core[CORE_SPONSOR].known = UNKNOWN; /* somebody sent it */
	if (set_strings(&q->core[CORE_METHODS], &p->methods, q->arena) != SP_OK)
		return SP_ENOMEM;
	if (p->methods.n == 0)
		q->core[CORE_METHODS].known = UNKNOWN;
	if (set_strings(&q->core[CORE_GROUPS], &p->groups, q->arena) != SP_OK)
		return SP_ENOMEM;
	return set_strings(&q->core[CORE_ROLES], &p->roles, q->arena);
}

static void
set_target(struct asking *q, const struct subject *who)
{
	const struct target *t = who->target;

	set_text(&q->core[CORE_TARGET], t == NULL ? NULL : t->b.name);
	set_text(&q->core[CORE_PROTOCOL], t == NULL || t->protocol == NULL ? who->module : t->protocol);
	set_text(&q->core[CORE_MODE], t != NULL && t->mode == MODE_OBSERVE ? "observe" : "enforce");
	set_text(&q->core[CORE_ADDRESS], who->address);
	if (q->core[CORE_ADDRESS].known == ABSENT)
		q->core[CORE_ADDRESS].known = UNKNOWN;
	set_text(&q->core[CORE_SESSION], who->session);
	q->core[CORE_TIME] = (struct value){ .known = PRESENT, .number = who->now };
}

int
asking_begin(struct asking *q, const struct policy_schema *schema, const struct subject *who, const struct op *op,
    struct arena *a)
{
	const struct sp_module *m = op == NULL || op->shape == NULL ? NULL : op->shape->module;

	*q = (struct asking){ .schema = schema, .who = who, .op = op, .module = -1, .arena = a };
	if (m != NULL)
		q->node = op->shape->node;
	for (size_t i = 0; m != NULL && i < schema->n && i < MODULES_MAX; i++)
		if (schema->module[i] == m || strcmp(schema->module[i]->name, m->name) == 0)
			q->module = (int)i;
	set_target(q, who);
	return set_principal(q, who->principal);
}

static struct value
node_value(const struct attribute *a, const struct asking *q, const struct node *node)
{
	int at = q->module < 0 ? -1 : a->index[q->module];

	if (at < 0 || node == NULL || (unsigned)at >= q->op->shape->nattrs)
		return (struct value){ .known = ABSENT };
	return node->value[at];
}

/* A client that says no name has none; before its first operation nobody knows. */
static struct value
fact_value(const char *name, const struct asking *q)
{
	for (size_t i = 0; i < q->who->nfacts; i++)
		if (strcmp(q->who->fact[i].name, name) == 0)
			return (struct value){ .known = PRESENT, .text = q->who->fact[i].value };
	return (struct value){ .known = q->op != NULL && strcmp(name, "application_name") == 0 ? ABSENT : UNKNOWN };
}

static struct value
label_value(const char *name, const struct target *t)
{
	for (size_t i = 0; t != NULL && i < t->label.n; i++)
		if (strcmp(t->label.key[i], name) == 0)
			return (struct value){ .known = PRESENT, .text = sp_str(t->label.value[i]) };
	return (struct value){ .known = UNKNOWN };
}

struct value
attribute_value(const struct attribute *a, const struct asking *q)
{
	switch (a->source) {
	case FROM_NODE:
		return node_value(a, q, q->node);
	case FROM_ROOT:
		return node_value(a, q, q->op == NULL || q->op->shape == NULL ? NULL : q->op->shape->node);
	case FROM_CORE:
		return q->core[a->index[0]];
	case FROM_FACT:
		return fact_value(a->name, q);
	case FROM_LABEL:
		return label_value(a->name, q->who->target);
	case FROM_RESULT:
		if (q->column != NULL)
			return q->column->value[a->index[0]];
		break;
	}
	return (struct value){ .known = UNKNOWN };
}
