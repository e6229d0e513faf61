/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a WHERE restrict anything?  A condition is worked through as AND, OR and NOT over terms, and
 * a term restricts when it depends on a column of the table and is not of a kind that is always, or
 * as good as always, true.
 *
 *   RESTRICTS  some rows may fail it
 *   NEVER      no row passes: that restricts, too
 *   HARDLY     true for every row, or nobody can tell that it isn't
 *
 * HARDLY is the answer to everything that is not understood, and where patience ends.
 */
#include "analyse_internal.h"

#include <stdlib.h>

enum verdict { HARDLY, RESTRICTS, NEVER };

struct question {
	struct analysis *a;
	const struct range *target; /* NULL: any column will do */
};

static enum verdict judge(const struct question *q, const ProtobufCMessage *m, bool negated);

/* ---- does it depend on the table? ---- */

struct dependence {
	const struct question *q;
	bool found;
	unsigned inside; /* sub-selects around */
};

/* Inside a sub-select a name alone is most likely one of its own tables'. */
static void
look_for_column(void *owner, const ProtobufCMessage *m)
{
	struct dependence *d = owner;

	if (m == NULL || d->found || d->q->a->patience == 0)
		return;
	d->q->a->patience--;
	walk_case which = walk_case_of(m);
	if (which == PG_QUERY__NODE__NODE_CURRENT_OF_EXPR)
		d->found = true;
	if (which == PG_QUERY__NODE__NODE_COLUMN_REF) {
		const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;
		bool plain = d->inside == 0 || c->n_fields > 1;
		d->found = d->q->target == NULL ? d->inside == 0 || c->n_fields > 1 : plain && scope_is_of(d->q->a, c, d->q->target);
		return;
	}
	bool select = which == PG_QUERY__NODE__NODE_SELECT_STMT;
	d->inside += select;
	walk_children(m, look_for_column, d);
	d->inside -= select;
}

static bool
depends(const struct question *q, const ProtobufCMessage *m)
{
	struct dependence d = { .q = q };
	look_for_column(&d, m);
	return d.found;
}

/* ---- constants ---- */

static const ProtobufCMessage *
uncast(const ProtobufCMessage *m)
{
	while (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_TYPE_CAST)
		m = WALK(((const PgQuery__TypeCast *)m)->arg);
	return m;
}

static const PgQuery__AConst *
as_constant(const ProtobufCMessage *m)
{
	m = uncast(m);
	return m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_A_CONST ? (const PgQuery__AConst *)m : NULL;
}

/* A constant's number, also when it is written as text: 1 and '1' compare as numbers. */
static bool
as_number(struct analysis *a, const ProtobufCMessage *m, double *number_r)
{
	const PgQuery__AConst *c = as_constant(m);
	struct sp_bytes text = c == NULL ? (struct sp_bytes){ NULL, 0 } : analyse_constant(a, &c->base);
	char copy[64], *end;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	*number_r = strtod(copy, &end);
	return *end == '\0';
}

static bool
is_true_word(struct sp_bytes t)
{
	static const char *const word[] = { "t", "tr", "tru", "true", "y", "ye", "yes", "on", "1" };
	char low[8] = "";

	for (size_t i = 0; i < t.len && t.len < sizeof(low); i++)
		low[i] = (char)(t.p[i] >= 'A' && t.p[i] <= 'Z' ? t.p[i] + 32 : t.p[i]);
	for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
		if (strcmp(low, word[i]) == 0)
			return true;
	return false;
}

static enum verdict
judge_constant(const struct question *q, const PgQuery__AConst *c, bool negated)
{
	if (c->isnull)
		return NEVER; /* and NOT NULL is no better */
	bool yes = is_true_word(analyse_constant(q->a, &c->base));
	return yes != negated ? HARDLY : NEVER;
}

/* ---- comparisons ---- */

static struct sp_bytes
operator_of(const PgQuery__AExpr *e)
{
	return e->n_name == 0 ? (struct sp_bytes){ NULL, 0 } : analyse_string(e->name[e->n_name - 1]);
}

/* x + 0, x * 1, x || '', coalesce(x): the x in it. */
static const ProtobufCMessage *
plain(struct analysis *a, const ProtobufCMessage *m)
{
	for (;;) {
		m = uncast(m);
		if (m == NULL)
			return NULL;
		if (walk_case_of(m) == PG_QUERY__NODE__NODE_COALESCE_EXPR && ((const PgQuery__CoalesceExpr *)m)->n_args > 0) {
			m = WALK(((const PgQuery__CoalesceExpr *)m)->args[0]);
			continue;
		}
		if (walk_case_of(m) != PG_QUERY__NODE__NODE_A_EXPR)
			return m;
		const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;
		struct sp_bytes op = operator_of(e);
		const PgQuery__AConst *c = as_constant(WALK(e->rexpr));
		struct sp_bytes by = c == NULL ? sp_str("?") : analyse_constant(a, &c->base);
		bool neutral = ((sp_bytes_is(op, "+") || sp_bytes_is(op, "-")) && sp_bytes_is(by, "0")) ||
		    ((sp_bytes_is(op, "*") || sp_bytes_is(op, "/")) && sp_bytes_is(by, "1")) ||
		    (sp_bytes_is(op, "||") && by.len == 0 && !c->isnull);
		if (e->lexpr == NULL || !neutral)
			return m;
		m = WALK(e->lexpr);
	}
}

static bool
is_column(const ProtobufCMessage *m)
{
	return m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_COLUMN_REF;
}

static struct sp_bytes
last_field(const ProtobufCMessage *m)
{
	const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;
	return c->n_fields == 0 ? (struct sp_bytes){ NULL, 0 } : analyse_string(c->fields[c->n_fields - 1]);
}

/* The table a column belongs to when that is beyond doubt, else NULL. */
static const struct name *
table_of(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)m;
	const struct range *found = NULL;

	if (c->n_fields == 2)
		found = scope_find(a, analyse_string(c->fields[0]));
	for (const struct range *r = a->scope->ranges; r != NULL && c->n_fields == 1; r = r->next)
		if (scope_belongs(r, analyse_string(c->fields[0])) != BELONGS_NO)
			found = r;
	return found == NULL ? NULL : found->table;
}

/* Both the same, as written or as the same column of a table joined with itself. */
static bool
same(struct analysis *a, const ProtobufCMessage *x, const ProtobufCMessage *y)
{
	x = plain(a, x);
	y = plain(a, y);
	if (x == NULL || y == NULL)
		return x == y;
	a->mattered = a->mattered || (walk_case_of(x) == walk_case_of(y) && !is_column(x));
	if (walk_equal(x, y))
		return true;
	if (!is_column(x) || !is_column(y) || !sp_bytes_eq(last_field(x), last_field(y)))
		return false;
	const struct name *tx = table_of(a, x), *ty = table_of(a, y);
	return tx != NULL && tx == ty;
}

/* x * 0, x - x, x % 1: the same for every row. */
static bool
is_void(struct analysis *a, const ProtobufCMessage *m)
{
	m = uncast(m);
	if (m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_A_EXPR)
		return false;
	const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;
	struct sp_bytes op = operator_of(e);
	double by;
	bool number = as_number(a, WALK(e->rexpr), &by) || as_number(a, WALK(e->lexpr), &by);

	if ((sp_bytes_is(op, "*") || sp_bytes_is(op, "&")) && number && by == 0)
		return true;
	if (sp_bytes_is(op, "%") && number && by == 1)
		return true;
	return (sp_bytes_is(op, "-") || sp_bytes_is(op, "/") || sp_bytes_is(op, "#")) && e->lexpr != NULL &&
	    same(a, WALK(e->lexpr), WALK(e->rexpr));
}

/* A pattern that everything fits. */
static bool
fits_all(struct analysis *a, const ProtobufCMessage *m, bool like)
{
	const PgQuery__AConst *c = as_constant(m);

	if (c == NULL || c->isnull)
		return false;
	struct sp_bytes t = analyse_constant(a, &c->base);
	for (size_t i = 0; i < t.len; i++)
		if (like ? t.p[i] != '%' && t.p[i] != '_' : strchr(".*^$+?()|", t.p[i]) == NULL)
			return false;
	return !like || t.len > 0;
}

/* length(x), abs(x), count… are never below zero. */
static bool
is_never_negative(const ProtobufCMessage *m)
{
	static const char *const name[] = { "length", "char_length", "character_length", "octet_length", "bit_length", "abs",
		"cardinality", "array_length", "pg_column_size" };
	m = uncast(m);
	if (m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_FUNC_CALL)
		return false;
	const PgQuery__FuncCall *f = (const PgQuery__FuncCall *)m;
	struct sp_bytes called = f->n_funcname == 0 ? (struct sp_bytes){ NULL, 0 } : analyse_string(f->funcname[f->n_funcname - 1]);
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (sp_bytes_is(called, name[i]))
			return true;
	return false;
}

enum relation { NO_RELATION, EQUAL, UNEQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, LIKE, UNLIKE, MATCH, UNMATCH };

static const struct {
	const char *op;
	enum relation is, opposite, mirrored;
} relations[] = {
	{ "=", EQUAL, UNEQUAL, EQUAL },
	{ "<>", UNEQUAL, EQUAL, UNEQUAL },
	{ "<", LESS, GREATER_EQUAL, GREATER },
	{ "<=", LESS_EQUAL, GREATER, GREATER_EQUAL },
	{ ">", GREATER, LESS_EQUAL, LESS },
	{ ">=", GREATER_EQUAL, LESS, LESS_EQUAL },
	{ "~~", LIKE, UNLIKE, NO_RELATION },
	{ "!~~", UNLIKE, LIKE, NO_RELATION },
	{ "~~*", LIKE, UNLIKE, NO_RELATION },
	{ "!~~*", UNLIKE, LIKE, NO_RELATION },
	{ "~", MATCH, UNMATCH, NO_RELATION },
	{ "!~", UNMATCH, MATCH, NO_RELATION },
	{ "~*", MATCH, UNMATCH, NO_RELATION },
	{ "!~*", UNMATCH, MATCH, NO_RELATION },
};

static enum relation
relation_of(const PgQuery__AExpr *e, bool negated)
{
	struct sp_bytes op = operator_of(e);

	if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT)
		return negated ? EQUAL : UNEQUAL;
	if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT)
		return negated ? UNEQUAL : EQUAL;
	for (size_t i = 0; i < sizeof(relations) / sizeof(*relations); i++)
		if (sp_bytes_is(op, relations[i].op))
			return negated ? relations[i].opposite : relations[i].is;
	return NO_RELATION;
}

static bool
holds(enum relation r, double x, double y)
{
	switch (r) {
	case EQUAL: return x == y;
	case UNEQUAL: return x != y;
	case LESS: return x < y;
	case LESS_EQUAL: return x <= y;
	case GREATER: return x > y;
	case GREATER_EQUAL: return x >= y;
	default: return true;
	}
}

/* Two constants: NEVER only where that is certain. */
static enum verdict
judge_constants(const struct question *q, enum relation r, const ProtobufCMessage *x, const ProtobufCMessage *y)
{
	double m, n;
	const PgQuery__AConst *cx = as_constant(x), *cy = as_constant(y);

	if (cx == NULL || cy == NULL)
		return HARDLY;
	if (cx->isnull || cy->isnull)
		return NEVER;
	if (as_number(q->a, x, &m) && as_number(q->a, y, &n))
		return holds(r, m, n) ? HARDLY : NEVER;
	if (r == EQUAL || r == UNEQUAL) {
		bool equal = sp_bytes_eq(analyse_constant(q->a, x), analyse_constant(q->a, y));
		return equal == (r == EQUAL) ? HARDLY : NEVER;
	}
	return HARDLY;
}

/* y is x and a number more: x - 1 is x and -1 more. */
static bool
is_shifted(struct analysis *a, const ProtobufCMessage *x, const ProtobufCMessage *y, double *by_r)
{
	y = uncast(y);
	if (y == NULL || walk_case_of(y) != PG_QUERY__NODE__NODE_A_EXPR)
		return false;
	const PgQuery__AExpr *e = (const PgQuery__AExpr *)y;
	bool minus = sp_bytes_is(operator_of(e), "-");

	if ((!minus && !sp_bytes_is(operator_of(e), "+")) || !same(a, x, WALK(e->lexpr)) || !as_number(a, WALK(e->rexpr), by_r))
		return false;
	*by_r = minus ? -*by_r : *by_r;
	return true;
}

static enum verdict
judge_operator(const struct question *q, const PgQuery__AExpr *e, bool negated)
{
	const ProtobufCMessage *x = WALK(e->lexpr), *y = WALK(e->rexpr);
	enum relation r = relation_of(e, negated);
	double n;

	if (!depends(q, &e->base))
		return judge_constants(q, r, x, y);
	if (x == NULL || is_void(q->a, x) || is_void(q->a, y))
		return HARDLY;
	if (same(q->a, x, y))
		return r == UNEQUAL || r == LESS || r == GREATER || r == UNLIKE || r == UNMATCH ? NEVER : HARDLY;
	if (is_shifted(q->a, x, y, &n))
		return holds(r, 0, n) ? HARDLY : NEVER;
	if (is_shifted(q->a, y, x, &n))
		return holds(r, n, 0) ? HARDLY : NEVER;
	if (((r == LIKE || r == UNLIKE) && fits_all(q->a, y, true)) || ((r == MATCH || r == UNMATCH) && fits_all(q->a, y, false)))
		return r == LIKE || r == MATCH ? HARDLY : NEVER;
	if (is_never_negative(x) && as_number(q->a, y, &n))
		return (r == GREATER_EQUAL && n <= 0) || (r == GREATER && n < 0) || (r == UNEQUAL && n < 0) ? HARDLY : RESTRICTS;
	return RESTRICTS;
}

/* A truth value: two answers fit all of it. */
static bool
is_truth(const ProtobufCMessage *m)
{
	m = uncast(m);
	switch (m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
	case PG_QUERY__NODE__NODE_NULL_TEST:
	case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
		return true;
	case PG_QUERY__NODE__NODE_A_EXPR:
		return relation_of((const PgQuery__AExpr *)m, false) != NO_RELATION;
	default:
		return false;
	}
}

/* x IN (…): always true when x is in the list. */
static enum verdict
judge_in(const struct question *q, const PgQuery__AExpr *e, bool negated)
{
	const ProtobufCMessage *x = WALK(e->lexpr), *list = WALK(e->rexpr);
	bool in = !sp_bytes_is(operator_of(e), "<>");

	if (!depends(q, x) || is_void(q->a, x) || list == NULL || walk_case_of(list) != PG_QUERY__NODE__NODE_LIST)
		return HARDLY;
	const PgQuery__List *l = (const PgQuery__List *)list;
	if (is_truth(x))
		return HARDLY;
	for (size_t i = 0; i < l->n_items; i++)
		if (same(q->a, x, WALK(l->items[i])))
			return in != negated ? HARDLY : NEVER;
	return RESTRICTS;
}

/* x = ANY (array) */
static enum verdict
judge_array(const struct question *q, const PgQuery__AExpr *e)
{
	const ProtobufCMessage *x = WALK(e->lexpr), *y = uncast(WALK(e->rexpr));

	if (!depends(q, x) || is_void(q->a, x) || y == NULL)
		return HARDLY;
	if (is_truth(x))
		return HARDLY;
	if (walk_case_of(y) == PG_QUERY__NODE__NODE_A_ARRAY_EXPR) {
		const PgQuery__AArrayExpr *array = (const PgQuery__AArrayExpr *)y;
		if (array->n_elements == 0 && e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL)
			return HARDLY;
		for (size_t i = 0; i < array->n_elements; i++)
			if (same(q->a, x, WALK(array->elements[i])))
				return HARDLY;
	}
	return RESTRICTS;
}

static enum verdict
judge_between(const struct question *q, const PgQuery__AExpr *e, bool negated)
{
	const ProtobufCMessage *x = WALK(e->lexpr), *bounds = WALK(e->rexpr);
	bool not = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN || e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;

	if (!depends(q, x) || is_void(q->a, x) || bounds == NULL || walk_case_of(bounds) != PG_QUERY__NODE__NODE_LIST)
		return HARDLY;
	const PgQuery__List *l = (const PgQuery__List *)bounds;
	bool low = l->n_items == 2 && same(q->a, x, WALK(l->items[0]));
	bool high = l->n_items == 2 && same(q->a, x, WALK(l->items[1]));
	if (low && high)
		return not == negated ? HARDLY : NEVER;
	return RESTRICTS;
}

static enum verdict
judge_expression(const struct question *q, const PgQuery__AExpr *e, bool negated)
{
	switch (e->kind) {
	case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
		return judge_in(q, e, negated);
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
		return judge_array(q, e);
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
		return judge_between(q, e, negated);
	default:
		return judge_operator(q, e, negated);
	}
}

/* ---- AND, OR, NOT ---- */

/* x < 5 OR x >= 5, x IS NULL OR x IS NOT NULL, x OR NOT x, x < 9 OR x > 3: together always true. */
static bool
bounds_meet(struct analysis *a, const PgQuery__AExpr *x, const PgQuery__AExpr *y)
{
	enum relation rx = relation_of(x, false), ry = relation_of(y, false);
	double nx, ny;

	if (!same(a, WALK(x->lexpr), WALK(y->lexpr)))
		return false;
	if (rx != NO_RELATION && rx == relation_of(y, true) && same(a, WALK(x->rexpr), WALK(y->rexpr)))
		return true;
	if (!as_number(a, WALK(x->rexpr), &nx) || !as_number(a, WALK(y->rexpr), &ny))
		return false;
	if (rx == UNEQUAL && ry == UNEQUAL)
		return nx != ny;
	bool below = rx == LESS || rx == LESS_EQUAL, above = ry == GREATER || ry == GREATER_EQUAL;
	return below && above && (ny < nx || (ny == nx && (rx == LESS_EQUAL || ry == GREATER_EQUAL)));
}

static bool
complementary(struct analysis *a, const ProtobufCMessage *x, const ProtobufCMessage *y)
{
	if (walk_case_of(x) == PG_QUERY__NODE__NODE_BOOL_EXPR) {
		const PgQuery__BoolExpr *b = (const PgQuery__BoolExpr *)x;
		if (b->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR && b->n_args == 1) {
			a->mattered = true;
			return walk_equal(WALK(b->args[0]), y);
		}
	}
	if (walk_case_of(x) != walk_case_of(y))
		return false;
	if (walk_case_of(x) == PG_QUERY__NODE__NODE_NULL_TEST) {
		const PgQuery__NullTest *m = (const PgQuery__NullTest *)x, *n = (const PgQuery__NullTest *)y;
		return m->nulltesttype != n->nulltesttype && same(a, WALK(m->arg), WALK(n->arg));
	}
	return walk_case_of(x) == PG_QUERY__NODE__NODE_A_EXPR && bounds_meet(a, (const PgQuery__AExpr *)x, (const PgQuery__AExpr *)y);
}

static bool
has_complement(struct analysis *a, const PgQuery__BoolExpr *b)
{
	enum { COMPARED = 32 }; /* each with each */

	for (size_t i = 0; i < b->n_args && i < COMPARED; i++)
		for (size_t k = 0; k < b->n_args && k < COMPARED; k++) {
			const ProtobufCMessage *x = WALK(b->args[i]), *y = WALK(b->args[k]);
			if (i != k && x != NULL && y != NULL && complementary(a, x, y))
				return true;
		}
	return false;
}

static enum verdict
judge_bool(const struct question *q, const PgQuery__BoolExpr *b, bool negated)
{
	bool all = b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
	bool restricts = false, hardly = false, never = false;

	if (b->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR)
		return b->n_args == 1 ? judge(q, WALK(b->args[0]), !negated) : HARDLY;
	for (size_t i = 0; i < b->n_args; i++) {
		enum verdict v = judge(q, WALK(b->args[i]), negated);
		restricts = restricts || v == RESTRICTS;
		hardly = hardly || v == HARDLY;
		never = never || v == NEVER;
	}
	if (all != negated) /* AND, or NOT OR: one is enough */
		return never ? NEVER : restricts ? RESTRICTS : HARDLY;
	if (hardly || (!all && !negated && has_complement(q->a, b)))
		return HARDLY;
	return restricts ? RESTRICTS : NEVER;
}

/* ---- other terms ---- */

/* A column that can't be NULL, as far as we know. */
static bool
is_not_null(const struct question *q, const ProtobufCMessage *m)
{
	struct sp_bytes name = last_field(m);
	static const char *const system[] = { "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid" };

	for (size_t i = 0; i < sizeof(system) / sizeof(*system); i++)
		if (sp_bytes_is(name, system[i]))
			return true;
	for (const struct range *r = q->a->scope == NULL ? NULL : q->a->scope->ranges; r != NULL; r = r->next) {
		if (r->relation == NULL || !scope_is_of(q->a, (const PgQuery__ColumnRef *)m, r))
			continue;
		const struct pg_column *c = pg_relation_named(r->relation, name);
		if (c == NULL)
			return true; /* a whole row, or nonsense */
		return c->not_null;
	}
	return false;
}

static enum verdict
judge_null_test(const struct question *q, const PgQuery__NullTest *t, bool negated)
{
	bool is_null = (t->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL) != negated;
	const ProtobufCMessage *x = uncast(WALK(t->arg));

	if (!is_column(x) || !depends(q, x))
		return HARDLY;
	if (is_not_null(q, x))
		return is_null ? NEVER : HARDLY;
	return RESTRICTS;
}

static enum verdict
judge_boolean_test(const struct question *q, const PgQuery__BooleanTest *t, bool negated)
{
	const ProtobufCMessage *x = WALK(t->arg);

	switch (t->booltesttype) {
	case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE:
	case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE:
		return judge(q, x, negated);
	case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE:
	case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE:
		return judge(q, x, !negated);
	case PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN:
		return !negated && depends(q, x) ? RESTRICTS : HARDLY;
	default: /* IS NOT UNKNOWN */
		return negated && depends(q, x) ? RESTRICTS : HARDLY;
	}
}

/* A sub-select without condition over the very table asked about. */
static bool
is_all_of(const struct question *q, const PgQuery__SelectStmt *s)
{
	const struct pg_relation *relation;

	if (s->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
		return (s->larg != NULL && is_all_of(q, s->larg)) || (s->rarg != NULL && is_all_of(q, s->rarg));
	if (s->n_from_clause == 0 || s->limit_count != NULL)
		return false;
	bool same_table = q->target == NULL;
	for (size_t i = 0; i < s->n_from_clause; i++)
		if (s->from_clause[i]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR && q->target != NULL)
			same_table = same_table || scope_table(q->a, s->from_clause[i]->range_var, &relation) == q->target->table;
	if (!same_table || s->n_group_clause > 0 || s->having_clause != NULL)
		return false;
	struct question inner = { q->a, NULL };
	return s->where_clause == NULL || judge(&inner, WALK(s->where_clause), false) == HARDLY;
}

static bool
is_empty(const struct question *q, const PgQuery__SelectStmt *s)
{
	struct question inner = { q->a, NULL };
	double limit;

	if (as_number(q->a, WALK(s->limit_count), &limit) && limit == 0)
		return true;
	return s->where_clause != NULL && judge(&inner, WALK(s->where_clause), false) == NEVER;
}

static enum verdict
judge_sublink(const struct question *q, const PgQuery__SubLink *l, bool negated)
{
	const ProtobufCMessage *m = WALK(l->subselect), *test = WALK(l->testexpr);
	const PgQuery__SelectStmt *s = m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_SELECT_STMT ? (const PgQuery__SelectStmt *)m : NULL;
	bool any = l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK;

	if (s == NULL)
		return HARDLY;
	if (l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK)
		return depends(q, m) && !(negated && is_empty(q, s)) ? RESTRICTS : HARDLY;
	if (test == NULL || !depends(q, test) || is_void(q->a, test))
		return depends(q, m) && test == NULL ? RESTRICTS : HARDLY;
	if (any && !negated)
		return q->target != NULL && is_all_of(q, s) ? HARDLY : RESTRICTS;
	return is_empty(q, s) ? HARDLY : RESTRICTS;
}

/* CASE: its ELSE, or all of its results, decide. */
static enum verdict
judge_case(const struct question *q, const PgQuery__CaseExpr *c, bool negated)
{
	const ProtobufCMessage *otherwise = WALK(c->defresult);
	bool restricts = false;

	if (otherwise != NULL && judge(q, otherwise, negated) == HARDLY)
		return HARDLY;
	for (size_t i = 0; i < c->n_args; i++) {
		const PgQuery__CaseWhen *w = c->args[i]->case_when;
		if (c->args[i]->node_case != PG_QUERY__NODE__NODE_CASE_WHEN)
			return HARDLY;
		if (judge(q, WALK(w->result), negated) != HARDLY)
			restricts = true;
		else if (judge(q, WALK(w->expr), false) == RESTRICTS || c->arg != NULL)
			restricts = true;
		else
			return HARDLY;
	}
	return restricts && depends(q, &c->base) ? RESTRICTS : HARDLY;
}

static enum verdict
judge(const struct question *q, const ProtobufCMessage *m, bool negated)
{
	m = uncast(m);
	switch (m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_A_CONST:
		return judge_constant(q, (const PgQuery__AConst *)m, negated);
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return judge_bool(q, (const PgQuery__BoolExpr *)m, negated);
	case PG_QUERY__NODE__NODE_A_EXPR:
		return judge_expression(q, (const PgQuery__AExpr *)m, negated);
	case PG_QUERY__NODE__NODE_NULL_TEST:
		return judge_null_test(q, (const PgQuery__NullTest *)m, negated);
	case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
		return judge_boolean_test(q, (const PgQuery__BooleanTest *)m, negated);
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return judge_sublink(q, (const PgQuery__SubLink *)m, negated);
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return judge_case(q, (const PgQuery__CaseExpr *)m, negated);
	case PG_QUERY__NODE__NODE_COALESCE_EXPR: /* its first argument decides; coalesce(x, true) restricts still */
		if (((const PgQuery__CoalesceExpr *)m)->n_args == 0)
			return HARDLY;
		return judge(q, WALK(((const PgQuery__CoalesceExpr *)m)->args[0]), negated);
	case PG_QUERY__NODE__NODE_COLUMN_REF:
	case PG_QUERY__NODE__NODE_FUNC_CALL:
	case PG_QUERY__NODE__NODE_A_INDIRECTION:
	case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR:
		return depends(q, m) ? RESTRICTS : HARDLY;
	default:
		return HARDLY;
	}
}

bool
where_restricts(struct analysis *a, const ProtobufCMessage *where, const struct range *target)
{
	struct question q = { a, target };
	return where != NULL && judge(&q, where, false) != HARDLY;
}
