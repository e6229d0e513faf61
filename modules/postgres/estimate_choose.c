/* SPDX-License-Identifier: Apache-2.0 */
/* Which statements the planner may be asked about, and the question whether their names are built in: see estimate.h. */
#include "estimate.h"

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>

#include "analyse_functions.h"
#include "analyse_scan.h"
#include "walk.h"

#define NAMES_MAX 96u
#define TABLES_MAX 32u
#define DEPTH_MAX 64u /* as any stack has room for */
#define TOKENS_MAX 20000u
#define LENGTH_MAX 32767  /* of a type: char(n) is filled up */
#define EXPONENT_MAX 3u   /* digits: 1e131071 is a number of 64 KB */

enum list { FUNCTIONS, TYPES, OPERATORS, LOOSE, CTES, LISTS };

struct names {
	const char *v[NAMES_MAX];
	size_t n;
};

struct choice {
	struct pg_estimate *e;
	const struct pg_view *view;
	struct names list[LISTS];
	const PgQuery__RangeVar *table[TABLES_MAX];
	size_t ntables;
	unsigned writes;
	bool params;
};

/* ---- why not ---- */

static void
refuse(struct choice *c, const char *what, const char *name)
{
	char *why = c->e->why;
	if (why[0] != '\0')
		return;
	(void)snprintf(why, sizeof(c->e->why), "%s%s%.64s", what, name[0] == '\0' ? "" : " ", name);
	for (; *why != '\0'; why++)
		if (*why < ' ' || *why > '~')
			*why = '?';
}

static void
add(struct choice *c, enum list which, const char *name)
{
	struct names *l = &c->list[which];
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], name) == 0)
			return;
	if (l->n == NAMES_MAX)
		refuse(c, "it has too many names", "");
	else
		l->v[l->n++] = name;
}

/* ---- what it is made of ---- */

static const char *
string_of(const PgQuery__Node *n)
{
	return n != NULL && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : "";
}

/* The last part; NULL, and refused: it stands in a schema of somebody's own. */
static const char *
built_in_name(struct choice *c, PgQuery__Node **v, size_t n, const char *what)
{
	const char *name = n == 0 ? "" : string_of(v[n - 1]);
	if (name[0] != '\0' && (n == 1 || (n == 2 && strcmp(string_of(v[0]), "pg_catalog") == 0)))
		return name;
	char full[PG_ESTIMATE_TEXT / 64];
	(void)snprintf(full, sizeof(full), "%s.%s", n > 1 ? string_of(v[n - 2]) : "", name);
	refuse(c, what, full);
	return NULL;
}

/*
 * A planner computes what has values only, before anybody has approved it; these make much of little, in one
 * call or in some that are nested, and do not look up from it.
 */
static bool
is_costly(const char *name)
{
	static const char *const names[] = {
		"^", "!", "array_fill", "array_to_json", "array_to_string", "bit", "bpchar", "concat_ws", "decode", "dexp", "dpow", "encode",
		"exp", "factorial", "format", "gcd", "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object",
		"jsonb_pretty", "lcm", "lpad", "normalize", "numeric", "numeric_exp", "numeric_fac", "numeric_power", "overlay", "pow", "power",
		"quote_ident", "quote_literal", "quote_nullable", "regexp_replace", "repeat", "replace", "row_to_json", "rpad", "textregexreplace",
		"to_json", "to_jsonb", "translate", "varbit",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* 1e131071, as a number or as a text that may become one. */
static void
take_constant(struct choice *c, const PgQuery__AConst *k)
{
	const char *text = k->isnull ? "" : k->val_case == PG_QUERY__A__CONST__VAL_FVAL ? k->fval->fval
	    : k->val_case == PG_QUERY__A__CONST__VAL_SVAL ? k->sval->sval : "";
	for (const char *at = strpbrk(text, "eE"); at != NULL; at = strpbrk(at, "eE")) {
		at++;
		size_t digits = strspn(at + (*at == '+'), "0123456789_");
		if (digits > EXPONENT_MAX && strspn(text, " +-.0123456789_eE") == strlen(text))
			refuse(c, "it holds a number that is too long:", text);
	}
}

static void
take_function(struct choice *c, const PgQuery__FuncCall *f)
{
	struct pg_function_class class;
	const char *name = built_in_name(c, f->funcname, f->n_funcname, "it calls");
	if (name == NULL)
		return;
	if (!pg_builtin(sp_str(name), &class))
		refuse(c, "it calls what is not built in:", name);
	else if (class.effects != 0 || class.special == PG_RUNS || class.special == PG_TABLE_IN)
		refuse(c, "it calls a function that does more than compute:", name);
	else if (is_costly(name))
		refuse(c, "it calls a function that can make much of little:", name);
	if (f->n_funcname == 1) {
		add(c, FUNCTIONS, name);
		add(c, TYPES, name); /* f('x') may be a cast */
	}
}

static void
take_type(struct choice *c, const PgQuery__TypeName *t)
{
	const char *name = built_in_name(c, t->names, t->n_names, "it names the type");
	if (name != NULL && t->pct_type)
		refuse(c, "it names the type of a column:", name);
	for (size_t i = 0; name != NULL && i < t->n_typmods; i++) {
		const PgQuery__Node *n = t->typmods[i];
		bool fits = n->node_case == PG_QUERY__NODE__NODE_A_CONST && n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
		    n->a_const->ival->ival <= LENGTH_MAX;
		if (!fits)
			refuse(c, "it names a length that is too large:", name);
	}
	if (name != NULL && t->n_names == 1)
		add(c, TYPES, name);
}

/* Has it a type of its own, that no operator's choice can change? */
static bool
has_type(const PgQuery__Node *n)
{
	switch (n == NULL ? PG_QUERY__NODE__NODE__NOT_SET : n->node_case) {
	case PG_QUERY__NODE__NODE_COLUMN_REF:
	case PG_QUERY__NODE__NODE_TYPE_CAST:
	case PG_QUERY__NODE__NODE_FUNC_CALL:
	case PG_QUERY__NODE__NODE_A_EXPR:
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return true;
	case PG_QUERY__NODE__NODE_A_CONST:
		return !n->a_const->isnull && (n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL || n->a_const->val_case == PG_QUERY__A__CONST__VAL_FVAL);
	default:
		return false;
	}
}

/* loose: none of its operands has a type of its own, so that an operator on any types may be meant. */
static void
take_operator(struct choice *c, PgQuery__Node **v, size_t n, bool loose)
{
	const char *name = built_in_name(c, v, n, "it uses the operator");
	if (name == NULL)
		return;
	if (!pg_builtin_operator(sp_str(name)))
		refuse(c, "it uses an operator that is not built in:", name);
	else if (is_costly(name))
		refuse(c, "it uses an operator that can make much of little:", name);
	if (n == 1)
		add(c, loose ? LOOSE : OPERATORS, name);
}

static void
take_expression(struct choice *c, const PgQuery__AExpr *x)
{
	static const char *const between[] = { "<", "<=", ">", ">=" };
	bool loose = !has_type(x->lexpr) && !has_type(x->rexpr);
	if (x->kind < PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN || x->kind > PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM) {
		take_operator(c, x->name, x->n_name, loose);
		return;
	}
	for (size_t i = 0; i < sizeof(between) / sizeof(*between); i++)
		add(c, has_type(x->lexpr) ? OPERATORS : LOOSE, between[i]);
}

/* t.name may be the function `name` of the row t. */
static void
take_fields(struct choice *c, PgQuery__Node **v, size_t n, size_t from)
{
	for (size_t i = from; i < n; i++)
		if (string_of(v[i])[0] != '\0')
			add(c, FUNCTIONS, string_of(v[i]));
}

static void
take_table(struct choice *c, const PgQuery__RangeVar *r)
{
	if (r->catalogname[0] != '\0' || c->ntables == TABLES_MAX)
		refuse(c, r->catalogname[0] != '\0' ? "it names another database:" : "it has too many tables", r->catalogname);
	else
		c->table[c->ntables++] = r;
}

static void visit(struct choice *c, const ProtobufCMessage *m);

static void
visit_child(void *owner, const ProtobufCMessage *m)
{
	if (m != NULL)
		visit(owner, m);
}

/* What has to be looked at besides its children; false: not a part of what is planned here. */
static bool
take(struct choice *c, const ProtobufCMessage *m)
{
	const void *p = m;
	switch (walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		take_function(c, p);
		return true;
	case PG_QUERY__NODE__NODE_TYPE_NAME:
		take_type(c, p);
		return true;
	case PG_QUERY__NODE__NODE_A_CONST:
		take_constant(c, p);
		return true;
	case PG_QUERY__NODE__NODE_A_EXPR:
		take_expression(c, p);
		return true;
	case PG_QUERY__NODE__NODE_SUB_LINK: {
		const PgQuery__SubLink *s = p;
		if (s->n_oper_name > 0)
			take_operator(c, s->oper_name, s->n_oper_name, !has_type(s->testexpr));
		else if (s->testexpr != NULL)
			add(c, has_type(s->testexpr) ? OPERATORS : LOOSE, "=");
		return true;
	}
	case PG_QUERY__NODE__NODE_COLUMN_REF: {
		const PgQuery__ColumnRef *r = p;
		take_fields(c, r->fields, r->n_fields, 1);
		return true;
	}
	case PG_QUERY__NODE__NODE_A_INDIRECTION: {
		const PgQuery__AIndirection *i = p;
		take_fields(c, i->indirection, i->n_indirection, 0);
		return true;
	}
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		take_table(c, p);
		return true;
	case PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR: {
		const PgQuery__CommonTableExpr *t = p;
		add(c, CTES, t->ctename);
		return true;
	}
	case PG_QUERY__NODE__NODE_CASE_EXPR: {
		const PgQuery__CaseExpr *x = p;
		if (x->arg != NULL)
			add(c, has_type(x->arg) ? OPERATORS : LOOSE, "=");
		return true;
	}
	case PG_QUERY__NODE__NODE_SORT_BY:
		return ((const PgQuery__SortBy *)p)->n_use_op == 0;
	case PG_QUERY__NODE__NODE_INDEX_ELEM:
		return ((const PgQuery__IndexElem *)p)->n_opclass == 0;
	case PG_QUERY__NODE__NODE_INSERT_STMT:
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
	case PG_QUERY__NODE__NODE_DELETE_STMT:
		c->writes++;
		return true;
	default:
		return false;
	}
}

/* These have nothing to be looked at but their children. */
static bool
is_plain(walk_case which)
{
	static const walk_case plain[] = {
		PG_QUERY__NODE__NODE_SELECT_STMT, PG_QUERY__NODE__NODE_RES_TARGET, PG_QUERY__NODE__NODE_INTEGER,
		PG_QUERY__NODE__NODE_FLOAT, PG_QUERY__NODE__NODE_BOOLEAN, PG_QUERY__NODE__NODE_STRING, PG_QUERY__NODE__NODE_BIT_STRING,
		PG_QUERY__NODE__NODE_LIST, PG_QUERY__NODE__NODE_A_STAR, PG_QUERY__NODE__NODE_A_INDICES, PG_QUERY__NODE__NODE_A_ARRAY_EXPR,
		PG_QUERY__NODE__NODE_ALIAS, PG_QUERY__NODE__NODE_BOOL_EXPR, PG_QUERY__NODE__NODE_NULL_TEST, PG_QUERY__NODE__NODE_BOOLEAN_TEST,
		PG_QUERY__NODE__NODE_CASE_WHEN, PG_QUERY__NODE__NODE_COALESCE_EXPR, PG_QUERY__NODE__NODE_MIN_MAX_EXPR,
		PG_QUERY__NODE__NODE_ROW_EXPR, PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION, PG_QUERY__NODE__NODE_TYPE_CAST,
		PG_QUERY__NODE__NODE_SET_TO_DEFAULT, PG_QUERY__NODE__NODE_JOIN_EXPR, PG_QUERY__NODE__NODE_RANGE_SUBSELECT,
		PG_QUERY__NODE__NODE_RANGE_FUNCTION, PG_QUERY__NODE__NODE_WITH_CLAUSE, PG_QUERY__NODE__NODE_WINDOW_DEF,
		PG_QUERY__NODE__NODE_GROUPING_SET, PG_QUERY__NODE__NODE_GROUPING_FUNC, PG_QUERY__NODE__NODE_INFER_CLAUSE,
		PG_QUERY__NODE__NODE_ON_CONFLICT_CLAUSE, PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF, PG_QUERY__NODE__NODE_NAMED_ARG_EXPR,
		PG_QUERY__NODE__NODE_COLLATE_CLAUSE, PG_QUERY__NODE__NODE_LOCKING_CLAUSE, PG_QUERY__NODE__NODE_PARAM_REF,
	};
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (which == plain[i])
			return true;
	return false;
}

static void
visit(struct choice *c, const ProtobufCMessage *m)
{
	if (c->e->why[0] != '\0')
		return;
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_PARAM_REF && !c->params)
		refuse(c, "it has parameters without values", "");
	else if (!is_plain(walk_case_of(m)) && !take(c, m))
		refuse(c, "it has a part that is not looked into:", walk_name(m));
	else
		walk_children(m, visit_child, c);
}

/* ---- the question ---- */

static void
put_literal(struct sp_writer *w, const char *text)
{
	sp_wr_u8(w, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			sp_wr_u8(w, '\'');
		sp_wr_u8(w, (uint8_t)*text);
	}
	sp_wr_u8(w, '\'');
}

static void
put_names(struct sp_writer *w, const char *const *v, size_t n)
{
	sp_wr_put(w, SP_LIT("ARRAY["));
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			sp_wr_u8(w, ',');
		put_literal(w, v[i]);
	}
	sp_wr_put(w, SP_LIT("]::name[]"));
}

static void
put_identifier(struct sp_writer *w, const char *name)
{
	sp_wr_u8(w, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			sp_wr_u8(w, '"');
		sp_wr_u8(w, (uint8_t)*name);
	}
	sp_wr_u8(w, '"');
}

static void
put_number(struct sp_writer *w, uint32_t n)
{
	char text[12];
	(void)snprintf(text, sizeof(text), "%u", n);
	sp_wr_put(w, sp_str(text));
}

/*
 * Runs with pg_catalog alone in the path: these names are its.  A type is strange that no value in the
 * statement can have: what works on such alone cannot be meant.  Rows of tables, domains and enums can be.
 */
static const char relations[] =
    "WITH RECURSIVE down(oid) AS (SELECT unnest($o) UNION SELECT i.inhrelid FROM down d JOIN pg_inherits i ON i.inhparent = d.oid), "
    "up(oid) AS (SELECT unnest($o) UNION SELECT i.inhparent FROM up u JOIN pg_inherits i ON i.inhrelid = u.oid), "
    "rel AS (SELECT c.* FROM pg_class c WHERE c.oid IN (SELECT oid FROM down UNION SELECT oid FROM up)), "
    "typ AS (SELECT t.oid, coalesce(e.oid, t.oid) < 16384 OR coalesce(e.typtype, t.typtype) = 'e' AS plain, "
    "coalesce(e.oid, t.oid) >= 16384 AND coalesce(e.typtype, t.typtype) IN ('b', 'r', 'm') AS strange "
    "FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'), "
    "strange AS (SELECT oid FROM typ WHERE strange UNION ALL SELECT 0), "
    "part(class, oid, rel) AS (SELECT 'pg_class'::regclass::oid, oid, relname FROM rel UNION ALL "
    "SELECT 'pg_class'::regclass, i.indexrelid, r.relname FROM rel r JOIN pg_index i ON i.indrelid = r.oid UNION ALL "
    "SELECT 'pg_attrdef'::regclass, a.oid, r.relname FROM rel r JOIN pg_attrdef a ON a.adrelid = r.oid UNION ALL "
    "SELECT 'pg_constraint'::regclass, k.oid, r.relname FROM rel r JOIN pg_constraint k ON k.conrelid = r.oid UNION ALL "
    "SELECT 'pg_statistic_ext'::regclass, s.oid, r.relname FROM rel r JOIN pg_statistic_ext s ON s.stxrelid = r.oid) "
    "SELECT n, name FROM (SELECT 1 AS n, p.proname AS name FROM pg_proc p WHERE p.oid >= 16384 AND p.proname = ANY ($f) UNION ALL "
    "SELECT 2, t.typname FROM pg_type t WHERE t.oid >= 16384 AND t.typname = ANY ($t) UNION ALL "
    "SELECT 3, o.oprname FROM pg_operator o WHERE o.oid >= 16384 AND (o.oprname = ANY ($l) OR (o.oprname = ANY ($p) AND NOT "
    "(o.oprleft IN (SELECT oid FROM strange) AND o.oprright IN (SELECT oid FROM strange)))) UNION ALL "
    "SELECT 4, '' FROM pg_cast c WHERE c.oid >= 16384 AND c.castsource NOT IN (SELECT oid FROM strange) AND "
    "(c.castcontext = 'i' OR c.casttarget NOT IN (SELECT oid FROM strange)) UNION ALL "
    "SELECT 5, relname FROM rel WHERE relkind NOT IN ('r', 'p') OR relpersistence = 't' OR relam >= 16384 UNION ALL "
    "SELECT 6, relname FROM rel WHERE relrowsecurity UNION ALL SELECT 7, relname FROM rel WHERE relhasrules UNION ALL "
    "SELECT 8, r.relname FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid JOIN typ t ON t.oid = a.atttypid "
    "WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT t.plain UNION ALL "
    "SELECT 9, p.rel FROM part p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid WHERE d.refobjid >= 16384 AND "
    "(d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_am'::regclass) "
    "OR (d.refclassid = 'pg_type'::regclass AND d.refobjid NOT IN (SELECT oid FROM typ WHERE plain)))"
    " UNION ALL SELECT 10, s.nspname FROM pg_namespace s CROSS JOIN LATERAL aclexplode(s.nspacl) a WHERE (s.nspname = ANY ($s) OR "
    "s.nspname = 'pg_catalog') AND a.privilege_type = 'CREATE' AND a.grantee <> s.nspowner AND "
    "NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee AND r.rolsuper)"
    ") AS found ORDER BY n LIMIT 1";

static const char *const found[] = {
	NULL, "it calls what is not built in:", "it names a type that is not built in:", "an operator that it uses is not only built in:",
	"the database has a cast of somebody's own, which may be applied unseen", "it reads what is not a plain table:", "row security stands on",
	"rules stand on", "a column's type is not built in:", "a default, check, index, statistics or partition calls what is not built in:",
	"others than its owner may create what its names could come to mean, in the schema",
};

int
pg_estimate_found(struct pg_estimate *e, struct sp_bytes number, struct sp_bytes name)
{
	struct choice c = { .e = e };
	char text[65];
	uint32_t n;
	if (!pg_names_number(number, &n) || n == 0 || n >= sizeof(found) / sizeof(*found))
		return SP_EPROTO;
	(void)snprintf(text, sizeof(text), "%.*s", (int)(name.len > 64 ? 64 : name.len), name.p == NULL ? "" : (const char *)name.p);
	refuse(&c, found[n], text);
	return SP_OK;
}

static void
put_oids(struct sp_writer *w, const struct pg_estimate *e)
{
	sp_wr_put(w, SP_LIT("ARRAY["));
	for (unsigned i = 0; i < e->ntables; i++) {
		if (i > 0)
			sp_wr_u8(w, ',');
		put_number(w, e->oid[i]);
	}
	sp_wr_put(w, SP_LIT("]::oid[]"));
}

static void
put_check(struct sp_writer *w, const struct choice *c)
{
	for (const char *at = relations; *at != '\0'; at++) {
		if (*at != '$') {
			sp_wr_u8(w, (uint8_t)*at);
			continue;
		}
		switch (*++at) {
		case 'o':
			put_oids(w, c->e);
			break;
		case 'f':
			put_names(w, c->list[FUNCTIONS].v, c->list[FUNCTIONS].n);
			break;
		case 't':
			put_names(w, c->list[TYPES].v, c->list[TYPES].n);
			break;
		case 's':
			put_names(w, c->view->path, c->view->npath);
			break;
		case 'l':
			put_names(w, c->list[LOOSE].v, c->list[LOOSE].n);
			break;
		default:
			put_names(w, c->list[OPERATORS].v, c->list[OPERATORS].n);
		}
	}
}

/* The session's path, and what its tables are by it for this login, which may see other schemas. */
static void
put_path(struct sp_writer *w, const struct choice *c)
{
	bool first = true;
	sp_wr_put(w, SP_LIT("SET LOCAL search_path = "));
	for (size_t i = 0; i < c->view->npath; i++) {
		if (i > 0)
			sp_wr_put(w, SP_LIT(", "));
		put_identifier(w, c->view->path[i]);
	}
	c->e->set_path.len = w->len; /* so far; its start is its caller's */
	sp_wr_put(w, SP_LIT("; SELECT "));
	for (size_t i = 0; i < c->ntables; i++) {
		char quoted[4 * 64 + 8];
		struct sp_writer q = sp_writer((uint8_t *)quoted, sizeof(quoted) - 1);
		if (c->table[i] == NULL)
			continue;
		if (c->table[i]->schemaname[0] != '\0') {
			put_identifier(&q, c->table[i]->schemaname);
			sp_wr_u8(&q, '.');
		}
		put_identifier(&q, c->table[i]->relname);
		quoted[q.bad ? 0 : q.len] = '\0';
		sp_wr_put(w, first ? SP_LIT("pg_catalog.to_regclass(") : SP_LIT(", pg_catalog.to_regclass("));
		put_literal(w, quoted);
		sp_wr_put(w, SP_LIT(")::pg_catalog.oid"));
		first = false;
	}
	if (first)
		sp_wr_put(w, SP_LIT("1"));
}

/* ---- its tables ---- */

static bool
is_cte(const struct choice *c, const char *name)
{
	for (size_t i = 0; i < c->list[CTES].n; i++)
		if (strcmp(c->list[CTES].v[i], name) == 0)
			return true;
	return false;
}

static void
find_tables(struct choice *c)
{
	struct pg_estimate *e = c->e;
	for (size_t i = 0; i < c->ntables && e->why[0] == '\0'; i++) {
		const PgQuery__RangeVar *t = c->table[i];
		const struct pg_relation *r = pg_view_find(c->view, sp_str(t->schemaname), sp_str(t->relname));
		if (r == NULL && t->schemaname[0] == '\0' && is_cte(c, t->relname)) {
			c->table[i] = NULL;
			continue;
		}
		if (r == NULL || strncmp(r->schema, "pg_temp", 7) == 0) {
			refuse(c, "it names a table that is not known, or temporary:", t->relname);
			return;
		}
		e->oid[e->ntables++] = r->oid;
	}
}

/* ---- the text ---- */

static bool
is_planned(const PgQuery__ParseResult *tree)
{
	const PgQuery__Node *n = tree->n_stmts == 1 ? tree->stmts[0]->stmt : NULL;
	switch (n == NULL ? PG_QUERY__NODE__NODE__NOT_SET : n->node_case) {
	case PG_QUERY__NODE__NODE_SELECT_STMT:
	case PG_QUERY__NODE__NODE_INSERT_STMT:
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
	case PG_QUERY__NODE__NODE_DELETE_STMT:
		return true;
	default:
		return false;
	}
}

static void
choose(struct choice *c, const PgQuery__ParseResult *tree)
{
	struct pg_estimate *e = c->e;
	if (!is_planned(tree)) {
		refuse(c, "it is not one SELECT, INSERT, UPDATE or DELETE", "");
		return;
	}
	add(c, OPERATORS, "="); /* JOIN … USING has it unseen */
	visit(c, WALK(tree->stmts[0]->stmt));
	if (c->writes > 1 || (c->writes == 1 && tree->stmts[0]->stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT))
		refuse(c, "it writes inside of WITH", "");
	find_tables(c);
	if (e->why[0] != '\0')
		return;
	struct sp_writer w = sp_writer(e->memory, sizeof(e->memory));
	put_check(&w, c);
	size_t at = w.len;
	e->check = (struct sp_bytes){ e->memory, at };
	put_path(&w, c);
	e->path = (struct sp_bytes){ e->memory + at, w.len - at };
	e->set_path = (struct sp_bytes){ e->memory + at, e->set_path.len - at };
	if (w.bad)
		refuse(c, "it has too many names", "");
}

void
pg_estimate_choose(const struct pg_view *view, struct sp_bytes text, bool params, struct pg_estimate *e)
{
	struct choice c = { .e = e, .view = view, .params = params };
	size_t tokens = TOKENS_MAX;
	e->why[0] = '\0';
	e->ntables = 0;
	if (view == NULL || view->names == NULL || view->path_unknown)
		refuse(&c, "what its names mean is not known", "");
	else if (text.len > PG_ESTIMATE_TEXT || !pg_scan_utf8(text) || !pg_scan_few(text, &tokens) || pg_scan_depth(text) >= DEPTH_MAX)
		refuse(&c, "it is too long, or nested too deep", "");
	if (e->why[0] != '\0')
		return;
	char *copy = malloc(text.len + 1);
	if (copy == NULL) {
		refuse(&c, "out of memory", "");
		return;
	}
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(copy);
	PgQuery__ParseResult *tree = r.error != NULL ? NULL : pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
	if (tree == NULL)
		refuse(&c, "it can't be read", "");
	else
		choose(&c, tree);
	if (tree != NULL)
		pg_query__parse_result__free_unpacked(tree, NULL);
	pg_query_free_protobuf_parse_result(r);
	free(copy);
}

/* ---- the plan ---- */

#define AT_PLAN 3u  /* [ { "Plan": { : brackets around the members of the plan itself */
#define AT_CHILD 5u /* … "Plans": [ { : and of what it is made of */

struct plan {
	bool writes, counts;      /* counts: this child's rows are among those that are written */
	uint64_t rows, children;
	bool have;
};

static struct sp_bytes
json_string(struct sp_reader *r)
{
	struct sp_bytes all = { r->p, r->left };
	size_t n = 0;
	for (uint8_t c; (c = sp_rd_u8(r)) != '"' && !r->bad; n++)
		if (c == '\\') {
			(void)sp_rd_u8(r);
			n++;
		}
	return (struct sp_bytes){ all.p, r->bad ? 0 : n };
}

static uint64_t
json_number(struct sp_reader *r)
{
	uint64_t n = 0;
	while (r->left > 0 && *r->p >= '0' && *r->p <= '9') {
		uint8_t digit = (uint8_t)(sp_rd_u8(r) - '0');
		n = n > UINT64_MAX / 100 ? n : n * 10 + digit;
	}
	return n;
}

static void
plan_member(struct plan *p, unsigned depth, struct sp_bytes name, struct sp_reader *r)
{
	bool rows = sp_bytes_is(name, "Plan Rows"), type = sp_bytes_is(name, "Node Type"), relation = sp_bytes_is(name, "Parent Relationship");
	if (r->left > 0 && *r->p == '"' && (type || relation)) {
		(void)sp_rd_u8(r);
		struct sp_bytes value = json_string(r);
		if (type && depth == AT_PLAN)
			p->writes = sp_bytes_is(value, "ModifyTable");
		if (relation && depth == AT_CHILD)
			p->counts = sp_bytes_is(value, "Outer") || sp_bytes_is(value, "Member");
	} else if (rows && depth == AT_PLAN) {
		p->rows = json_number(r);
		p->have = true;
	} else if (rows && depth == AT_CHILD) {
		p->children += p->counts ? json_number(r) : 0;
	}
}

int
pg_estimate_rows(struct sp_bytes json, uint64_t *rows_r)
{
	struct plan p = { .have = false };
	struct sp_reader r = sp_reader(json);
	unsigned depth = 0;
	*rows_r = 0;
	while (r.left > 0 && !r.bad) {
		uint8_t c = sp_rd_u8(&r);
		depth += c == '{' || c == '[';
		if (c == '}' || c == ']') {
			if (depth == 0)
				return SP_EPROTO;
			depth--;
		}
		if (c == '{')
			p.counts = false;
		if (c != '"')
			continue;
		struct sp_bytes name = json_string(&r);
		if (r.left < 2 || r.p[0] != ':')
			continue;
		(void)sp_rd_u8(&r);
		while (r.left > 0 && *r.p == ' ')
			(void)sp_rd_u8(&r);
		plan_member(&p, depth, name, &r);
	}
	if (r.bad || depth != 0 || !p.have)
		return SP_EPROTO;
	*rows_r = p.writes ? p.children : p.rows;
	return SP_OK;
}
