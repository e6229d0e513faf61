/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of a sub-select or of WITH: what they are called, and which columns of tables they are made of.
 *
 * A condition on the outside counts for what is inside.  Where that can't be told, a column stands for
 * all that the sub-select reads into its own columns.
 */
#include "analyse_internal.h"

#define SET_MAX 2048u /* columns that one is made of; beyond: any */
#define STAR_MAX 4096u /* columns that `*` stands for; beyond: any */

static const struct sp_bytes none = { NULL, 0 };

/* ---- what they are made of ---- */

static void
set_join(struct analysis *a, struct set *s, const struct name *name)
{
	analyse_spend(a, s->n);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == name)
			return;
	if (s->n >= SET_MAX)
		name = analyse_dotted(a, sp_str("?"), sp_str("?"), sp_str("?"));
	if (s->n <= SET_MAX)
		note_set_add(a, s, name);
}

static void
set_join_all(struct analysis *a, struct set *s, const struct set *more)
{
	s->computed = s->computed || more->computed;
	for (size_t i = 0; i < more->n && !a->failed; i++)
		set_join(a, s, more->v[i]);
}

struct outputs
outputs_new(struct analysis *a, size_t n)
{
	struct outputs o = { .v = analyse_alloc(a, (n + 1) * sizeof(*o.v)), .cap = n };

	o.from = analyse_alloc(a, (n + 1) * sizeof(*o.from));
	o.all = analyse_alloc(a, sizeof(*o.all));
	return o;
}

void
output_made_of(struct analysis *a, const struct outputs *o, size_t i, const struct set *columns)
{
	if (o == NULL || a->failed)
		return;
	if (o->from != NULL && i < o->n)
		set_join_all(a, &o->from[i], columns);
	if (o->all != NULL)
		set_join_all(a, o->all, columns);
}

void
outputs_mix(const struct outputs *o)
{
	if (o->all != NULL)
		o->all->mixed = true;
}

/* UNION: a column is made of both arms' columns. */
void
outputs_join(struct analysis *a, const struct outputs *o, const struct outputs *right)
{
	bool mixed = right->all != NULL && right->all->mixed;
	bool aligned = !mixed && !o->open && !o->loose && !right->open && !right->loose && right->from != NULL;

	for (size_t i = 0; aligned && i < right->n; i++)
		output_made_of(a, o, i, &right->from[i]);
	if (!aligned && right->all != NULL)
		output_made_of(a, o, SIZE_MAX, right->all);
	if (!aligned)
		outputs_mix(o);
}

static void
read_set(struct analysis *a, const struct set *s)
{
	unsigned outer = s != NULL && s->computed ? use_computed(a) : a->use;

	analyse_spend(a, s == NULL ? 0 : s->n);
	for (size_t i = 0; s != NULL && i < s->n && !a->failed; i++) {
		if (s->v[i]->cte != NULL && !s->v[i]->cte->pending)
			continue; /* all that it stood for is there as well */
		note_use(a, s->v[i]);
		group_column(a, s->v[i]);
	}
	a->use = outer;
}

void
outputs_read(struct analysis *a, const struct outputs *o, size_t i)
{
	bool one = i < o->n && o->from != NULL && !o->open && !o->loose && !(o->all != NULL && o->all->mixed);
	read_set(a, one ? &o->from[i] : o->all);
}

/* Of a column of the outputs by its name: all of that name, or what may be meant. */
void
outputs_read_named(struct analysis *a, const struct outputs *o, struct sp_bytes name)
{
	bool found = false, mixed = o->all != NULL && o->all->mixed;

	analyse_spend(a, o->n);
	for (size_t i = 0; i < o->n && o->from != NULL && !mixed && !a->failed; i++)
		if (sp_bytes_eq(o->v[i], name)) {
			read_set(a, &o->from[i]);
			found = true;
		}
	if (!found || o->open)
		read_set(a, o->all);
}

/* ---- what they are called ---- */

/* The last name in a list that may hold subscripts and `*`. */
static struct sp_bytes
last_name(size_t n, PgQuery__Node **v)
{
	while (n > 0 && v[n - 1]->node_case != PG_QUERY__NODE__NODE_STRING)
		n--;
	return n == 0 ? none : analyse_string(v[n - 1]);
}

static struct sp_bytes figure_name(const ProtobufCMessage *m, bool *weak_r);
static struct sp_bytes output_name(const ProtobufCMessage *m);

/* (SELECT x): what its only column is called; ARRAY(…), EXISTS (…). */
static struct sp_bytes
sublink_name(const PgQuery__SubLink *s)
{
	const ProtobufCMessage *m = WALK(s->subselect);

	if (s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK)
		return sp_str("exists");
	if (s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK)
		return sp_str("array");
	if (s->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK || m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_SELECT_STMT)
		return none;
	const PgQuery__SelectStmt *q = (const PgQuery__SelectStmt *)m;
	while (q->larg != NULL)
		q = q->larg;
	if (q->n_values_lists > 0)
		return sp_str("column1");
	const PgQuery__ResTarget *t = q->n_target_list == 1 ? q->target_list[0]->res_target : NULL;
	if (t == NULL || q->target_list[0]->node_case != PG_QUERY__NODE__NODE_RES_TARGET)
		return none;
	return t->name[0] != '\0' ? sp_str(t->name) : output_name(WALK(t->val));
}

static struct sp_bytes
cast_name(const PgQuery__TypeCast *t, bool *weak_r)
{
	struct sp_bytes name = figure_name(WALK(t->arg), weak_r);

	if ((name.len > 0 && !*weak_r) || t->type_name == NULL)
		return name;
	*weak_r = true;
	return last_name(t->type_name->n_names, t->type_name->names);
}

static struct sp_bytes
case_name(const PgQuery__CaseExpr *c, bool *weak_r)
{
	struct sp_bytes name = figure_name(WALK(c->defresult), weak_r);

	if (name.len > 0 && !*weak_r)
		return name;
	*weak_r = true;
	return sp_str("case");
}

static struct sp_bytes
value_function_name(const PgQuery__SQLValueFunction *f)
{
	static const struct {
		PgQuery__SQLValueFunctionOp op;
		const char *name;
	} names[] = {
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE, "current_date" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE, "current_role" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER, "current_user" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER, "user" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER, "session_user" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG, "current_catalog" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA, "current_schema" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME, "current_time" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N, "current_time" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP, "current_timestamp" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N, "current_timestamp" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME, "localtime" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N, "localtime" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP, "localtimestamp" },
		{ PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N, "localtimestamp" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].op == f->op)
			return sp_str(names[i].name);
	return none;
}

static struct sp_bytes
xml_name(const PgQuery__XmlExpr *x)
{
	switch (x->op) {
	case PG_QUERY__XML_EXPR_OP__IS_XMLCONCAT: return sp_str("xmlconcat");
	case PG_QUERY__XML_EXPR_OP__IS_XMLELEMENT: return sp_str("xmlelement");
	case PG_QUERY__XML_EXPR_OP__IS_XMLFOREST: return sp_str("xmlforest");
	case PG_QUERY__XML_EXPR_OP__IS_XMLPARSE: return sp_str("xmlparse");
	case PG_QUERY__XML_EXPR_OP__IS_XMLPI: return sp_str("xmlpi");
	case PG_QUERY__XML_EXPR_OP__IS_XMLROOT: return sp_str("xmlroot");
	case PG_QUERY__XML_EXPR_OP__IS_XMLSERIALIZE: return sp_str("xmlserialize");
	default: return none;
	}
}

/* The name that the server gives a column without AS, empty for ?column?; weak_r: another one goes before it. */
static struct sp_bytes
figure_name(const ProtobufCMessage *m, bool *weak_r)
{
	*weak_r = false;
	if (m == NULL)
		return none;
	switch (walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return last_name(((const PgQuery__ColumnRef *)m)->n_fields, ((const PgQuery__ColumnRef *)m)->fields);
	case PG_QUERY__NODE__NODE_A_INDIRECTION: {
		const PgQuery__AIndirection *i = (const PgQuery__AIndirection *)m;
		struct sp_bytes name = last_name(i->n_indirection, i->indirection);
		return name.len > 0 ? name : figure_name(WALK(i->arg), weak_r);
	}
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return last_name(((const PgQuery__FuncCall *)m)->n_funcname, ((const PgQuery__FuncCall *)m)->funcname);
	case PG_QUERY__NODE__NODE_A_EXPR:
		return ((const PgQuery__AExpr *)m)->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? sp_str("nullif") : none;
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		return cast_name((const PgQuery__TypeCast *)m, weak_r);
	case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
		return figure_name(WALK(((const PgQuery__CollateClause *)m)->arg), weak_r);
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return case_name((const PgQuery__CaseExpr *)m, weak_r);
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return sublink_name((const PgQuery__SubLink *)m);
	case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
		return sp_str(((const PgQuery__MinMaxExpr *)m)->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least");
	case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
		return value_function_name((const PgQuery__SQLValueFunction *)m);
	case PG_QUERY__NODE__NODE_XML_EXPR:
		return xml_name((const PgQuery__XmlExpr *)m);
	case PG_QUERY__NODE__NODE_XML_SERIALIZE:
		return sp_str("xmlserialize");
	case PG_QUERY__NODE__NODE_GROUPING_FUNC:
		return sp_str("grouping");
	case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
		return sp_str("array");
	case PG_QUERY__NODE__NODE_ROW_EXPR:
		return sp_str("row");
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return sp_str("coalesce");
	default:
		return none;
	}
}

static struct sp_bytes
output_name(const ProtobufCMessage *m)
{
	bool weak;
	struct sp_bytes name = figure_name(m, &weak);

	return name.len > 0 ? name : sp_str("?column?");
}

/* What `t.*` names: 0 nothing, else the ranges of the scope, or one. */
static bool
is_star(const ProtobufCMessage *m, struct sp_bytes *of_r)
{
	const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;

	*of_r = none;
	if (m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_COLUMN_REF || c->n_fields == 0)
		return false;
	if (c->n_fields == 2)
		*of_r = analyse_string(c->fields[0]);
	return c->n_fields <= 2 && c->fields[c->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

static bool
is_expanded(const ProtobufCMessage *m)
{
	const PgQuery__AIndirection *i = (const PgQuery__AIndirection *)m;
	const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;

	if (walk_case_of(m) == PG_QUERY__NODE__NODE_COLUMN_REF)
		return c->n_fields > 0 && c->fields[c->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
	return walk_case_of(m) == PG_QUERY__NODE__NODE_A_INDIRECTION && i->n_indirection > 0 &&
	    i->indirection[i->n_indirection - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

static bool
outputs_add(struct analysis *a, struct outputs *o, struct sp_bytes name)
{
	if (o->n == o->cap) {
		size_t cap = 2 * o->cap + 16;
		struct sp_bytes *v = analyse_alloc(a, (cap + 1) * sizeof(*v));
		struct set *from = analyse_alloc(a, (cap + 1) * sizeof(*from));
		if (v == NULL || from == NULL)
			return false;
		if (o->n > 0) {
			memcpy(v, o->v, o->n * sizeof(*v));
			memcpy(from, o->from, o->n * sizeof(*from));
		}
		o->v = v;
		o->from = from;
		o->cap = cap;
	}
	o->v[o->n++] = name;
	return true;
}

/* A column that `*` stands for, made of what the range says it is. */
static void
star_column(struct analysis *a, struct outputs *o, const struct range *r, struct sp_bytes name, size_t i)
{
	struct group g;

	if (!outputs_add(a, o, name))
		return;
	group_begin(a, &g);
	if (r->relation != NULL)
		scope_named(a, r, name, PG_READ);
	else
		scope_output(a, r, i);
	a->group = g.outer;
	output_made_of(a, o, o->n - 1, &g.columns);
}

static void
star_range(struct analysis *a, struct outputs *o, const struct range *r)
{
	bool table = r->relation != NULL && r->relation->ncolumns > 0;
	size_t n = table ? r->relation->ncolumns : r->outputs.n;

	if ((!table && (r->table != NULL || r->outputs.open)) || o->n + n > STAR_MAX) {
		o->open = true;
		return;
	}
	for (size_t i = 0; i < n && !a->failed; i++) {
		struct sp_bytes name = table ? sp_str(r->relation->column[i].name) : r->outputs.v[i];
		star_column(a, o, r, i < r->nrenamed ? r->renamed[i] : name, i);
	}
}

static void
star(struct analysis *a, struct outputs *o, struct sp_bytes of)
{
	unsigned ranges = 0;

	for (const struct range *r = a->scope == NULL ? NULL : a->scope->ranges; r != NULL; r = r->next) {
		if (of.len > 0 && !sp_bytes_eq(r->alias, of))
			continue;
		ranges++;
		if (r->joined != NULL)
			o->open = true;
		else
			star_range(a, o, r);
	}
	o->loose = o->loose || ranges != 1; /* USING shows a column once */
	o->open = o->open || ranges == 0;
}

struct outputs
analyse_outputs(struct analysis *a, size_t n, PgQuery__Node **targets)
{
	struct outputs o = outputs_new(a, n);
	unsigned outer = use_begin(a, 0);

	o.at = analyse_alloc(a, (n + 1) * sizeof(*o.at));
	for (size_t i = 0; i < n && !a->failed; i++) {
		const PgQuery__ResTarget *t = targets[i]->res_target;
		struct sp_bytes of;
		o.at[i] = SIZE_MAX;
		if (targets[i]->node_case != PG_QUERY__NODE__NODE_RES_TARGET || t->val == NULL)
			continue;
		const ProtobufCMessage *val = WALK(t->val);
		if (t->name[0] == '\0' && is_star(val, &of)) {
			star(a, &o, of);
			continue;
		}
		struct sp_bytes name = t->name[0] != '\0' ? sp_str(t->name) : output_name(val);
		if (val != NULL && t->name[0] == '\0' && is_expanded(val))
			o.open = true;
		if (outputs_add(a, &o, name))
			o.at[i] = o.n - 1;
	}
	a->use = outer;
	return o;
}
