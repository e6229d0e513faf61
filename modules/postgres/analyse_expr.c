/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions: every node that the grammar can put into one has a row here; a node without a row makes
 * the statement unclear, so that a newer grammar cannot slip anything past.
 */
#include "analyse_internal.h"

#include <stdio.h>

static const struct sp_bytes none = { NULL, 0 };

struct sp_bytes
analyse_string(const PgQuery__Node *n)
{
	return n != NULL && n->node_case == PG_QUERY__NODE__NODE_STRING ? sp_str(n->string->sval) : none;
}

void
analyse_qualified(size_t n, PgQuery__Node **v, struct sp_bytes *schema_r, struct sp_bytes *name_r)
{
	*name_r = n > 0 ? analyse_string(v[n - 1]) : none;
	*schema_r = n > 1 ? analyse_string(v[n - 2]) : none;
}

static struct sp_bytes
constant_text(struct analysis *a, const PgQuery__AConst *c)
{
	char number[16];

	a->mattered = true;
	switch (c->val_case) {
	case PG_QUERY__A__CONST__VAL_SVAL:
		return sp_str(c->sval->sval);
	case PG_QUERY__A__CONST__VAL_FVAL:
		return sp_str(c->fval->fval);
	case PG_QUERY__A__CONST__VAL_BOOLVAL:
		return sp_str(c->boolval->boolval ? "true" : "false");
	case PG_QUERY__A__CONST__VAL_IVAL:
		(void)snprintf(number, sizeof(number), "%d", c->ival->ival);
		return analyse_copy(a, sp_str(number));
	default:
		return none;
	}
}

struct sp_bytes
analyse_constant(struct analysis *a, const ProtobufCMessage *m)
{
	while (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_TYPE_CAST)
		m = WALK(((const PgQuery__TypeCast *)m)->arg);
	if (m == NULL)
		return none;
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_STRING)
		return sp_str(((const PgQuery__String *)m)->sval);
	if (walk_case_of(m) != PG_QUERY__NODE__NODE_A_CONST || ((const PgQuery__AConst *)m)->isnull)
		return none;
	return constant_text(a, (const PgQuery__AConst *)m);
}

static void
visit_child(void *owner, const ProtobufCMessage *child)
{
	analyse_visit(owner, child);
}

void
analyse_list(struct analysis *a, size_t n, PgQuery__Node **v)
{
	for (size_t i = 0; i < n; i++)
		analyse_visit(a, walk_inside(&v[i]->base));
}

static bool
set_has(const struct set *s, const struct name *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == name)
			return true;
	return false;
}

/*
 * Columns of the group besides those that it is assigned to; also those, where others see whether it acts.
 * What a function gives back that is assigned to nothing goes nowhere else.
 */
static void
note_moved(struct analysis *a, const struct group *g, const struct set *assigned)
{
	unsigned outer = use_begin(a, USE_MOVE);
	const struct name *own = assigned == NULL && g->foreign ? analyse_dotted(a, sp_str("?"), sp_str("?"), sp_str("?")) : NULL;

	for (size_t i = g->assigned; i < g->columns.n; i++)
		if (g->columns.v[i] != own && (g->acts || !set_has(assigned, g->columns.v[i])))
			note_use(a, g->columns.v[i]);
	a->use = outer;
}

/* A column as it is. */
static bool
is_plain(const ProtobufCMessage *m)
{
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_RES_TARGET)
		m = WALK(((const PgQuery__ResTarget *)m)->val);
	return m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_COLUMN_REF;
}

void
analyse_output(struct analysis *a, const ProtobufCMessage *m, const struct set *columns, const struct outputs *o, size_t i)
{
	struct group g;

	if (m == NULL)
		return;
	group_begin(a, &g);
	if (columns != NULL) {
		g.columns = *columns;
		g.columns.cap = g.columns.n; /* shared: an addition copies it */
		g.columns.computed = false;
		g.assigned = g.columns.n;
	}
	analyse_visit(a, m);
	group_end(a);
	if (columns != NULL || g.acts)
		note_moved(a, &g, columns);
	const struct set read = { .v = g.columns.v, .n = g.columns.n, .computed = g.columns.computed || !is_plain(m) };
	output_made_of(a, o, i, &read);
}

void
analyse_grouped(struct analysis *a, const ProtobufCMessage *m, const struct set *columns)
{
	analyse_output(a, m, columns, NULL, 0);
}

/* ---- functions ---- */

static bool
in_path(const struct pg_view *v, const char *schema)
{
	for (size_t i = 0; i < v->npath; i++)
		if (strcmp(v->path[i], schema) == 0)
			return true;
	return v->path_unknown;
}

/* A function that isn't built in: named, and unclear by its name. */
static void
foreign_function(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, const struct pg_function *f)
{
	struct pg_function_class class = pg_extension_function(name);
	const struct name *full = analyse_dotted(a, schema.len == 0 ? sp_str("?") : schema, name, none);

	if (full == NULL)
		return;
	if (f != NULL && f->volatility != 'v' && class.special == PG_ORDINARY)
		class.effects = 0;
	note_add(a, PG_A_FUNCTIONS, full);
	note_effects(a, class.effects);
	if (class.effects != 0)
		note_acts(a, true);
	note_unclear(a, "function", full->text);
	unsigned outer = use_begin(a, a->use & ~(unsigned)USE_ROWS);
	if (f == NULL || f->volatility == 'v' || f->extension[0] == '\0' || (class.effects & PG_OPAQUE) != 0)
		note_any_column(a, PG_READ); /* what it gives back may come from anywhere */
	a->use = outer;
}

/* More arguments than it has may be fewer: the server leaves out parameters of type void, which JDBC sends for OUT. */
static bool
takes(const struct pg_function *f, size_t nargs)
{
	return f->kind != 'o' && nargs >= (size_t)f->min_args;
}

/* Those of the snapshot that this call may mean; false when there are none. */
static bool
known_functions(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, size_t nargs, bool builtin)
{
	size_t n = 0;
	const struct pg_view *v = a->view;
	const struct pg_function *f = v == NULL || v->names == NULL ? NULL : pg_names_functions(v->names, name, &n);
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (!takes(&f[i], nargs) || (schema.len > 0 ? !sp_bytes_is(schema, f[i].schema) : !in_path(v, f[i].schema)))
			continue;
		found = true;
		if (f[i].volatility != 'v' && (strcmp(f[i].schema, "pg_catalog") == 0 || (builtin && f[i].extension[0] != '\0')))
			note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, sp_str(f[i].schema), name, none));
		else
			foreign_function(a, sp_str(f[i].schema), name, &f[i]);
	}
	return found;
}

void
note_function_named(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, size_t nargs)
{
	struct pg_function_class class;
	bool system = schema.len == 0 || sp_bytes_is(schema, "pg_catalog");
	bool builtin = system && pg_builtin(name, &class);

	if (builtin) {
		note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, sp_str("pg_catalog"), name, none));
		note_effects(a, class.effects);
	}
	bool known = known_functions(a, schema, name, nargs, builtin);
	if (builtin || known)
		return;
	if (sp_bytes_is(schema, "information_schema") && name.len > 4 && memcmp(name.p, "_pg_", 4) == 0)
		note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, schema, name, none));
	else
		foreign_function(a, schema.len > 0 || a->view != NULL ? schema : sp_str("public"), name, NULL);
}

static const ProtobufCMessage *
argument(const PgQuery__FuncCall *call, size_t i)
{
	const ProtobufCMessage *m = i < call->n_args ? WALK(call->args[i]) : NULL;
	if (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR)
		m = NULL; /* order unknown */
	return m;
}

/* 'schema.table', as regclass reads it; how many parts, 0: something else. */
static size_t
table_text(struct analysis *a, struct sp_bytes text, struct sp_bytes part[2])
{
	struct pg_scan s = pg_scan(text, 0);

	for (size_t n = 0; n < 2;) {
		struct pg_token t = pg_scan_next(&s);
		bool quoted = t.kind == PG_TOKEN_NAME;
		if (t.kind != PG_TOKEN_WORD && !quoted)
			return 0;
		part[n] = analyse_copy(a, (struct sp_bytes){ text.p + t.offset + quoted, t.len - 2 * quoted });
		uint8_t *p = (uint8_t *)(uintptr_t)part[n].p;
		for (size_t i = 0; i < part[n].len && !quoted; i++)
			p[i] = (uint8_t)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
		n++;
		t = pg_scan_next(&s);
		if (t.kind == PG_TOKEN_END)
			return n;
		if (t.kind != PG_TOKEN_SELF || text.p[t.offset] != '.')
			return 0;
	}
	return 0;
}

/* A table that a function gets as text. */
static void
table_argument(struct analysis *a, const PgQuery__FuncCall *call, unsigned effects, bool whole)
{
	struct sp_bytes text = analyse_constant(a, argument(call, 0)), part[2];
	size_t n = text.len == 0 ? 0 : table_text(a, text, part);

	if (n > 0) {
		note_table_named(a, n == 2 ? part[0] : none, part[n - 1], effects, whole);
		return;
	}
	note_text(a, PG_A_TABLES, sp_str("?.?"));
	if ((effects & PG_WRITE) != 0)
		note_text(a, PG_A_TABLES_WRITTEN, sp_str("?.?"));
	if ((effects & PG_READ) != 0)
		note_text(a, PG_A_TABLES_READ, sp_str("?.?"));
	if (whole)
		note_unclear(a, "code", sp_str("a table whose name is not a constant"));
}

/* One that is only read tells the last value of what it counts. */
static void
sequence_argument(struct analysis *a, const PgQuery__FuncCall *call, unsigned effects)
{
	struct sp_bytes text = analyse_constant(a, argument(call, 0)), part[2];
	size_t n = text.len == 0 ? 0 : table_text(a, text, part);
	const struct pg_relation *r = NULL;

	table_argument(a, call, effects, false);
	if (effects != PG_READ)
		return;
	if (n > 0)
		r = scope_relation(a, n == 2 ? part[0] : none, part[n - 1]);
	note_counted(a, r);
}

/* The text of SQL in an argument runs: it is judged, or the call is opaque. */
static void
text_argument(struct analysis *a, const PgQuery__FuncCall *call, struct sp_bytes name)
{
	bool rewrite = sp_bytes_is(name, "ts_rewrite");
	bool text = rewrite || sp_bytes_is(name, "ts_stat") || memcmp(name.p, "query_", 6) == 0;
	struct sp_bytes sql = text ? analyse_constant(a, argument(call, rewrite ? 1 : 0)) : none;

	if (rewrite && call->n_args == 3)
		return;
	if (sql.len > 0 && analyse_inner_text(a, sql))
		return;
	const struct name *full = analyse_dotted(a, sp_str("pg_catalog"), name, none);
	if (full != NULL)
		note_unclear(a, "code", full->text);
}

static void
large_object(struct analysis *a, unsigned effects)
{
	struct sp_bytes schema = sp_str("pg_catalog"), table = sp_str("pg_largeobject");
	note_table_named(a, schema, table, effects & (PG_READ | PG_WRITE), false);
}

/* A column by its bare name, or none. */
static struct sp_bytes
bare_column(const ProtobufCMessage *m)
{
	const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;

	return m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_COLUMN_REF || c->n_fields != 1 ? none : analyse_string(c->fields[0]);
}

/*
 * SELECT set_config(name, …) FROM pg_settings WHERE name = 'x', as pg_dump has it: the row's own name
 * can only be x.  Of the outermost select with that one table and that one condition.
 */
static struct sp_bytes
setting_of_row(struct analysis *a, const PgQuery__FuncCall *call)
{
	const PgQuery__SelectStmt *s = a->stmt->select;
	const struct range *r = a->scope == NULL ? NULL : a->scope->ranges;

	if (s == NULL || r == NULL || r->next != NULL || r->table == NULL || a->scope->outer != NULL || s->where_clause == NULL)
		return none;
	const PgQuery__AExpr *e = s->where_clause->a_expr;
	if (s->where_clause->node_case != PG_QUERY__NODE__NODE_A_EXPR || e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
	    e->n_name != 1 || !sp_bytes_is(analyse_string(e->name[0]), "="))
		return none;
	if (!sp_bytes_is(r->table->text, "pg_catalog.pg_settings") || !sp_bytes_is(bare_column(argument(call, 0)), "name") ||
	    !sp_bytes_is(bare_column(WALK(e->lexpr)), "name"))
		return none;
	return analyse_constant(a, WALK(e->rexpr));
}

/* Of the client's own text; inside of PREPARE or a function it is whatever somebody computes. */
static bool
is_parameter(const struct analysis *a, const ProtobufCMessage *m)
{
	return m != NULL && a->depth == 0 && !a->quiet && a->stmt->parent == NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_PARAM_REF;
}

static void
special_call(struct analysis *a, const PgQuery__FuncCall *call, struct sp_bytes name, struct pg_function_class class)
{
	struct sp_bytes setting, value;

	switch (class.special) {
	case PG_SETS:
		setting = analyse_constant(a, argument(call, 0));
		if (setting.p == NULL)
			setting = setting_of_row(a, call);
		value = analyse_constant(a, argument(call, 1));
		a->bound = is_parameter(a, argument(call, 1));
		note_setting(a, setting, value, value.p != NULL);
		a->bound = false;
		break;
	case PG_RUNS:
		text_argument(a, call, name);
		break;
	case PG_TABLE_IN:
		table_argument(a, call, PG_READ, true);
		break;
	case PG_SEQUENCE:
		sequence_argument(a, call, class.effects & (PG_READ | PG_WRITE));
		break;
	case PG_SEQUENCES:
		note_counted(a, NULL);
		break;
	case PG_LARGE:
		large_object(a, class.effects);
		break;
	case PG_CARRIES:
		for (size_t i = 0; i < call->n_args; i++)
			if (!is_given(WALK(call->args[i])))
				note_effects(a, PG_WRITE);
		break;
	case PG_ORDINARY:
	case PG_SECRETS:
		break;
	}
}

/* PARTITION BY, ORDER BY; its frame's bounds are constants. */
static void
visit_window(struct analysis *a, const ProtobufCMessage *m)
{
	unsigned outer = use_begin(a, a->use | USE_SORT);

	walk_children(m, visit_child, a);
	a->use = outer;
}

/* What is noted of a call but its arguments, which are visited under the use that it leaves. */
static void
note_call(struct analysis *a, const PgQuery__FuncCall *call)
{
	struct sp_bytes schema, name;
	struct pg_function_class class;

	analyse_qualified(call->n_funcname, call->funcname, &schema, &name);
	if ((schema.len == 0 || sp_bytes_is(schema, "pg_catalog")) && pg_builtin(name, &class)) {
		note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, sp_str("pg_catalog"), name, none));
		if (class.special == PG_RUNS)
			class.effects &= ~(unsigned)PG_OPAQUE; /* when its text can be seen */
		note_effects(a, class.effects);
		if ((class.effects & ~(unsigned)(PG_READ | PG_OPAQUE)) != 0) {
			a->use |= USE_MOVE;
			note_acts(a, false);
		}
		a->use |= class.set ? USE_ROWS : 0;
		special_call(a, call, name, class);
		if (schema.len == 0)
			(void)known_functions(a, schema, name, call->n_args, true);
	} else {
		note_function_named(a, schema, name, call->n_args);
		a->secret = a->secret || pg_extension_function(name).special == PG_SECRETS;
	}
}

static bool
is_function(const struct analysis *a, struct sp_bytes name)
{
	struct pg_function_class class;
	size_t n = 0;
	const struct pg_view *v = a->view;
	const struct pg_function *f = v == NULL || v->names == NULL ? NULL : pg_names_functions(v->names, name, &n);

	if (pg_builtin(name, &class))
		return true;
	for (size_t i = 0; i < n; i++)
		if (takes(&f[i], 1) && in_path(v, f[i].schema))
			return true;
	return false;
}

bool
note_attribute(struct analysis *a, PgQuery__Node *name, PgQuery__Node *of)
{
	PgQuery__FuncCall call = PG_QUERY__FUNC_CALL__INIT;

	if (name->node_case != PG_QUERY__NODE__NODE_STRING || !is_function(a, analyse_string(name)))
		return false;
	call.n_funcname = call.n_args = 1;
	call.funcname = &name;
	call.args = &of;
	note_call(a, &call);
	return true;
}

static void
visit_indirection(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AIndirection *i = (const PgQuery__AIndirection *)m;
	PgQuery__Node whole = PG_QUERY__NODE__INIT, *of = i->arg;
	bool was_secret = a->secret;
	unsigned was_use = a->use;

	whole.node_case = PG_QUERY__NODE__NODE_A_INDIRECTION;
	whole.a_indirection = (PgQuery__AIndirection *)(uintptr_t)i;
	for (size_t k = 0; k < i->n_indirection; k++) {
		(void)note_attribute(a, i->indirection[k], of);
		of = &whole;
	}
	walk_children(m, visit_child, a);
	a->use = was_use;
	a->secret = was_secret;
}

static void
visit_function(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)m;
	bool was_secret = a->secret;
	unsigned was_use = a->use;

	note_call(a, call);
	a->use |= call->agg_distinct ? USE_SORT : 0;
	analyse_list(a, call->n_args, call->args);
	analyse_list(a, call->n_agg_order, call->agg_order);
	a->use = was_use;
	analyse_condition(a, WALK(call->agg_filter));
	if (call->over != NULL)
		visit_window(a, &call->over->base);
	a->secret = was_secret;
}

static void
visit_value_function(struct analysis *a, const ProtobufCMessage *m)
{
	static const char *const name[] = {
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE] = "current_user",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER] = "current_user",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER] = "current_user",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER] = "session_user",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG] = "current_database",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA] = "current_schema",
	};
	unsigned op = ((const PgQuery__SQLValueFunction *)m)->op;
	const char *called = op < sizeof(name) / sizeof(*name) && name[op] != NULL ? name[op] : "now";
	note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, sp_str("pg_catalog"), sp_str(called), none));
}

/* ---- operators ---- */

/* One that is not built in, or that someone may have put before the built-in one. */
static void
note_symbol(struct analysis *a, struct sp_bytes schema, struct sp_bytes symbol)
{
	size_t n = 0;
	const struct pg_view *v = a->view;
	bool system = schema.len == 0 || sp_bytes_is(schema, "pg_catalog");
	bool found = system && pg_builtin_operator(symbol);
	const struct pg_function *f = v == NULL || v->names == NULL ? NULL : pg_names_functions(v->names, symbol, &n);
	for (size_t i = 0; i < n; i++) {
		if (f[i].kind != 'o' || (schema.len > 0 ? !sp_bytes_is(schema, f[i].schema) : !in_path(v, f[i].schema)))
			continue;
		if (f[i].extension[0] == '\0' || f[i].volatility == 'v')
			foreign_function(a, sp_str(f[i].schema), symbol, &f[i]);
		else if (!found)
			note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, sp_str(f[i].schema), symbol, none));
		found = true;
	}
	if (!found)
		foreign_function(a, schema.len > 0 || v != NULL ? schema : sp_str("public"), symbol, NULL);
}

static void
note_operator(struct analysis *a, size_t n_name, PgQuery__Node **name)
{
	struct sp_bytes schema, symbol;

	analyse_qualified(n_name, name, &schema, &symbol);
	note_symbol(a, schema, symbol);
}

/* Of CASE x WHEN, IN (SELECT …), JOIN … USING: the server looks it up by its bare name. */
void
note_equals(struct analysis *a)
{
	note_symbol(a, none, sp_str("="));
}

/* All that BETWEEN, with NOT or SYMMETRIC or without, is made of. */
static void
note_between(struct analysis *a)
{
	static const char *const symbol[] = { "<", "<=", ">", ">=" };
	for (size_t i = 0; i < sizeof(symbol) / sizeof(*symbol); i++)
		note_symbol(a, none, sp_str(symbol[i]));
}

static void
visit_operator(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;

	switch (e->kind) {
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
		note_between(a); /* name is a keyword */
		break;
	default:
		note_operator(a, e->n_name, e->name);
	}
	VISIT(a, e->lexpr);
	VISIT(a, e->rexpr);
}

/* ---- the table ---- */

static void
visit_children(struct analysis *a, const ProtobufCMessage *m)
{
	walk_children(m, visit_child, a);
}

static void
visit_nothing(struct analysis *a, const ProtobufCMessage *m)
{
	(void)a;
	(void)m;
}

static void
visit_column(struct analysis *a, const ProtobufCMessage *m)
{
	scope_column(a, (const PgQuery__ColumnRef *)m);
}

static void
visit_param(struct analysis *a, const ProtobufCMessage *m)
{
	note_param(a, ((const PgQuery__ParamRef *)m)->number);
}

static void
visit_constant(struct analysis *a, const ProtobufCMessage *m)
{
	note_literal(a, ((const PgQuery__AConst *)m)->location);
}

static void
visit_sublink(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__SubLink *s = (const PgQuery__SubLink *)m;

	if (s->n_oper_name > 0)
		note_operator(a, s->n_oper_name, s->oper_name);
	else if (s->testexpr != NULL)
		note_equals(a);
	VISIT(a, s->testexpr);
	VISIT(a, s->subselect);
}

static void
visit_select(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_select(a, (const PgQuery__SelectStmt *)m, NULL);
}

static void
visit_sort(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__SortBy *s = (const PgQuery__SortBy *)m;

	unsigned outer = use_begin(a, a->use | USE_SORT);

	if (s->n_use_op > 0)
		note_operator(a, s->n_use_op, s->use_op);
	VISIT(a, s->node);
	a->use = outer;
}

static void
visit_cast(struct analysis *a, const ProtobufCMessage *m)
{
	VISIT(a, ((const PgQuery__TypeCast *)m)->arg);
}

static void
visit_collate(struct analysis *a, const ProtobufCMessage *m)
{
	VISIT(a, ((const PgQuery__CollateClause *)m)->arg);
}

static void
visit_case(struct analysis *a, const ProtobufCMessage *m)
{
	if (((const PgQuery__CaseExpr *)m)->arg != NULL)
		note_equals(a);
	visit_children(a, m);
}

typedef void visitor(struct analysis *a, const ProtobufCMessage *m);

static visitor *const visitors[] = {
	[PG_QUERY__NODE__NODE_A_EXPR] = visit_operator,
	[PG_QUERY__NODE__NODE_A_CONST] = visit_constant,
	[PG_QUERY__NODE__NODE_PARAM_REF] = visit_param,
	[PG_QUERY__NODE__NODE_COLUMN_REF] = visit_column,
	[PG_QUERY__NODE__NODE_FUNC_CALL] = visit_function,
	[PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION] = visit_value_function,
	[PG_QUERY__NODE__NODE_SUB_LINK] = visit_sublink,
	[PG_QUERY__NODE__NODE_SELECT_STMT] = visit_select,
	[PG_QUERY__NODE__NODE_SORT_BY] = visit_sort,
	[PG_QUERY__NODE__NODE_TYPE_CAST] = visit_cast,
	[PG_QUERY__NODE__NODE_COLLATE_CLAUSE] = visit_collate,
	[PG_QUERY__NODE__NODE_A_INDICES] = visit_children,
	[PG_QUERY__NODE__NODE_A_INDIRECTION] = visit_indirection,
	[PG_QUERY__NODE__NODE_A_ARRAY_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_BOOL_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_BOOLEAN_TEST] = visit_children,
	[PG_QUERY__NODE__NODE_NULL_TEST] = visit_children,
	[PG_QUERY__NODE__NODE_CASE_EXPR] = visit_case,
	[PG_QUERY__NODE__NODE_CASE_WHEN] = visit_children,
	[PG_QUERY__NODE__NODE_COALESCE_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_MIN_MAX_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_ROW_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_GROUPING_FUNC] = visit_children,
	[PG_QUERY__NODE__NODE_GROUPING_SET] = visit_children,
	[PG_QUERY__NODE__NODE_NAMED_ARG_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_XML_EXPR] = visit_children,
	[PG_QUERY__NODE__NODE_XML_SERIALIZE] = visit_children,
	[PG_QUERY__NODE__NODE_WINDOW_DEF] = visit_window,
	[PG_QUERY__NODE__NODE_RES_TARGET] = visit_children,
	[PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF] = visit_children,
	[PG_QUERY__NODE__NODE_LIST] = visit_children,
	[PG_QUERY__NODE__NODE_TYPE_NAME] = visit_nothing,
	[PG_QUERY__NODE__NODE_SET_TO_DEFAULT] = visit_nothing,
	[PG_QUERY__NODE__NODE_CURRENT_OF_EXPR] = visit_nothing,
	[PG_QUERY__NODE__NODE_STRING] = visit_nothing,
	[PG_QUERY__NODE__NODE_INTEGER] = visit_nothing,
	[PG_QUERY__NODE__NODE_FLOAT] = visit_nothing,
	[PG_QUERY__NODE__NODE_BOOLEAN] = visit_nothing,
	[PG_QUERY__NODE__NODE_BIT_STRING] = visit_nothing,
	[PG_QUERY__NODE__NODE_A_STAR] = visit_nothing,
};

void
analyse_visit(struct analysis *a, const ProtobufCMessage *m)
{
	walk_case which = m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m);
	visitor *visit = which < sizeof(visitors) / sizeof(*visitors) ? visitors[which] : NULL;

	if (a->failed)
		return;
	if (visit == NULL || m->n_unknown_fields > 0)
		note_unclear(a, "node", sp_str(m == NULL ? "?" : walk_name(m)));
	else
		visit(a, m);
}
