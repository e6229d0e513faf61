/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a column that is read: shown, or used to filter, search, sort rows, or moved elsewhere.
 * What it is used for is known where it is visited: a->use.
 */
#include "analyse_internal.h"

#define LOOKUPS_MAX 256u /* columns that are told apart; all of more are searched */

/*
 * The same value twice is one lookup; two values are a list.  A parameter of a text inside the text is
 * another one each time.
 */
static bool
is_another(struct analysis *a, const struct name *column)
{
	bool unknown = column->text.len > 0 && column->text.p[0] == '?';
	bool param = a->depth > 0 && walk_case_of(a->given) == PG_QUERY__NODE__NODE_PARAM_REF;

	analyse_spend(a, a->nlookups);
	if (a->nlookups == LOOKUPS_MAX)
		return true;
	for (size_t i = 0; i < a->nlookups && !unknown; i++)
		if (a->lookup[i].column == column) {
			a->mattered = true;
			return param || !walk_equal(a->lookup[i].given, a->given);
		}
	struct lookup *v = analyse_grow(a, a->lookup, a->nlookups, &a->lookups_cap, sizeof(*v));
	if (v == NULL || unknown)
		return false;
	a->lookup = v;
	a->lookup[a->nlookups++] = (struct lookup){ column, a->given };
	return false;
}

void
note_use(struct analysis *a, const struct name *column)
{
	static const enum pg_attr attr[] = { PG_A_COLUMNS_FILTERED, PG_A_COLUMNS_SEARCHED, PG_A_COLUMNS_SORTED, PG_A_COLUMNS_MOVED };
	unsigned use = a->use;

	if (use == 0 || column == NULL)
		return;
	if ((use & USE_ROWS) != 0)
		use |= USE_FILTER | USE_SEARCH;
	if (column->cte != NULL) {
		column->cte->uses |= use;
		return;
	}
	if ((use & USE_FILTER) != 0 && (use & USE_SEARCH) == 0 && a->given != NULL && is_another(a, column))
		use |= USE_SEARCH;
	for (size_t i = 0; i < sizeof(attr) / sizeof(*attr); i++)
		if ((use & 1u << i) != 0)
			note_add(a, attr[i], column);
}

unsigned
use_begin(struct analysis *a, unsigned use)
{
	unsigned outer = a->use;
	a->use = use;
	return outer;
}

unsigned
use_computed(struct analysis *a)
{
	for (struct group *g = a->group; g != NULL; g = g->outer)
		g->columns.computed = true;
	return use_begin(a, a->use | ((a->use & USE_FILTER) != 0 ? USE_SEARCH : 0));
}

void
note_acts(struct analysis *a, bool foreign)
{
	for (struct group *g = a->group; g != NULL; g = g->outer) {
		g->acts = true;
		g->foreign = g->foreign || foreign;
	}
}

/* ---- conditions ---- */

static const ProtobufCMessage *
uncast(const ProtobufCMessage *m)
{
	while (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_TYPE_CAST)
		m = WALK(((const PgQuery__TypeCast *)m)->arg);
	return m;
}

static bool
is_a(const ProtobufCMessage *m, walk_case what)
{
	return m != NULL && walk_case_of(m) == what;
}

/* A constant or a parameter, which says nothing of the database. */
bool
is_given(const ProtobufCMessage *m)
{
	m = uncast(m);
	return is_a(m, PG_QUERY__NODE__NODE_A_CONST) || is_a(m, PG_QUERY__NODE__NODE_PARAM_REF);
}

static bool
is_one_given(const ProtobufCMessage *m)
{
	const PgQuery__List *l = (const PgQuery__List *)m;
	return is_a(m, PG_QUERY__NODE__NODE_LIST) ? l->n_items == 1 && is_given(WALK(l->items[0])) : is_given(m);
}

static const ProtobufCMessage *
the_given(const ProtobufCMessage *m)
{
	return uncast(is_a(m, PG_QUERY__NODE__NODE_LIST) ? WALK(((const PgQuery__List *)m)->items[0]) : m);
}

/* column = constant, column IN (constant), column IS NULL; given_r: the constant, or NULL */
static bool
is_lookup(const ProtobufCMessage *m, const ProtobufCMessage **given_r)
{
	*given_r = NULL;
	if (is_a(m, PG_QUERY__NODE__NODE_NULL_TEST))
		return is_a(WALK(((const PgQuery__NullTest *)m)->arg), PG_QUERY__NODE__NODE_COLUMN_REF);
	if (!is_a(m, PG_QUERY__NODE__NODE_A_EXPR))
		return false;
	const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;
	const ProtobufCMessage *x = WALK(e->lexpr), *y = WALK(e->rexpr);
	bool in = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_IN, op = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP;
	if ((!in && !op) || e->n_name != 1 || !sp_bytes_is(analyse_string(e->name[0]), "="))
		return false;
	if (is_a(x, PG_QUERY__NODE__NODE_COLUMN_REF) && is_one_given(y))
		*given_r = the_given(y);
	else if (op && is_a(y, PG_QUERY__NODE__NODE_COLUMN_REF) && is_given(x))
		*given_r = the_given(x);
	return *given_r != NULL;
}

/* Each term of AND, OR and NOT is a group; one that stands in AND alone may be a lookup. */
static void
condition(struct analysis *a, const ProtobufCMessage *m, bool all)
{
	if (m == NULL)
		return;
	if (!is_a(m, PG_QUERY__NODE__NODE_BOOL_EXPR)) {
		const ProtobufCMessage *was = a->given;
		unsigned outer = use_begin(a, USE_FILTER | (is_lookup(m, &a->given) && all ? 0 : USE_SEARCH));
		analyse_grouped(a, m, NULL);
		a->use = outer;
		a->given = was;
		return;
	}
	const PgQuery__BoolExpr *b = (const PgQuery__BoolExpr *)m;
	for (size_t i = 0; i < b->n_args; i++)
		condition(a, WALK(b->args[i]), all && b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR);
}

void
analyse_condition(struct analysis *a, const ProtobufCMessage *m)
{
	condition(a, m, true);
}

/* ---- WITH RECURSIVE ---- */

/*
 * A body that reads its own columns, or those of one that follows: what they are made of is known at
 * its end.  Then what was done with any of them counts for all, and each may be made of all.
 */
void
cte_ended(struct analysis *a, struct cte *c)
{
	const struct outputs *o = &c->derived.outputs;
	unsigned outer;

	c->pending = false;
	if (!c->referred)
		return;
	outer = use_begin(a, c->uses | ((c->uses & USE_FILTER) != 0 ? USE_SEARCH : 0));
	outputs_read(a, o, SIZE_MAX);
	a->use = outer;
	outputs_mix(o);
}

void
cte_refer(struct analysis *a, const struct range *r)
{
	if (r->cte == NULL || !r->cte->pending)
		return;
	r->cte->referred = true;
	const struct name *stand_in = r->cte->mark;
	if (!r->cte->begun) { /* it follows: whoever refers to it is done before */
		stand_in = analyse_dotted(a, sp_str("?"), sp_str("?"), sp_str("?"));
	} else if (stand_in == NULL) {
		struct name *mark = analyse_alloc(a, sizeof(*mark));
		if (mark == NULL)
			return;
		mark->cte = r->cte;
		stand_in = r->cte->mark = mark;
	}
	note_use(a, stand_in);
	group_column(a, stand_in);
}
