/* SPDX-License-Identifier: Apache-2.0 */
/* SELECT, INSERT, UPDATE, DELETE, MERGE and COPY: scopes, what is read, what is written. */
#include "analyse_internal.h"

/* Where an INSERT's values go, by position. */
struct targets {
	const struct range *range;
	struct set *columns; /* of each position, with what is behind a view */
	size_t n;
	struct set rest;     /* beyond, or when positions are not known */
};

/* ---- WITH ---- */

static const struct sp_bytes none = { NULL, 0 };

static void
cte_body(struct analysis *a, struct cte *c, const PgQuery__CommonTableExpr *e)
{
	const ProtobufCMessage *m = WALK(e->ctequery);

	c->derived.first = a->nliterals;
	c->begun = true;
	if (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_SELECT_STMT)
		analyse_select(a, (const PgQuery__SelectStmt *)m, &c->derived.outputs);
	else
		analyse_nested(a, m, &c->derived.outputs);
	c->derived.last = a->nliterals;
	cte_ended(a, c);
	c->derived.renamed = analyse_alloc(a, (e->n_aliascolnames + 1) * sizeof(struct sp_bytes));
	for (size_t i = 0; i < e->n_aliascolnames && c->derived.renamed != NULL; i++)
		c->derived.renamed[c->derived.nrenamed++] = analyse_string(e->aliascolnames[i]);
	for (size_t i = 0; i < c->derived.nrenamed && i < c->derived.outputs.n; i++)
		c->derived.outputs.v[i] = c->derived.renamed[i];
	if (e->search_clause != NULL || e->cycle_clause != NULL || c->derived.nrenamed > c->derived.outputs.n)
		c->derived.outputs.open = true; /* columns that these add */
}

/*
 * Each name is visible to what follows it; with RECURSIVE to all of the list.  Before that the same
 * name still means a table: WITH t AS (SELECT * FROM t).
 */
static void
with_clause(struct analysis *a, const PgQuery__WithClause *w)
{
	size_t n = w == NULL ? 0 : w->n_ctes;
	struct cte *list = analyse_alloc(a, (n + 1) * sizeof(*list));
	unsigned outer = use_begin(a, 0);

	for (size_t i = 0; i < n && list != NULL; i++) {
		if (w->ctes[i]->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR)
			continue;
		list[i].derived.alias = sp_str(w->ctes[i]->common_table_expr->ctename);
		list[i].derived.outputs.open = true; /* until its body is known */
		if (!w->recursive)
			continue;
		list[i].pending = true;
		list[i].next = a->scope->ctes;
		a->scope->ctes = &list[i];
	}
	for (size_t i = 0; i < n && list != NULL; i++) {
		if (w->ctes[i]->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR)
			continue;
		cte_body(a, &list[i], w->ctes[i]->common_table_expr);
		if (w->recursive)
			continue;
		list[i].next = a->scope->ctes;
		a->scope->ctes = &list[i];
	}
	a->use = outer;
}

/* ---- FROM ---- */

static void
from_subselect(struct analysis *a, const PgQuery__RangeSubselect *s)
{
	struct range *siblings = a->scope->ranges;
	struct outputs out = { .open = true };
	size_t first = a->nliterals;
	const ProtobufCMessage *m = WALK(s->subquery);

	if (!s->lateral)
		a->scope->ranges = NULL; /* it does not see them */
	if (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_SELECT_STMT)
		analyse_select(a, (const PgQuery__SelectStmt *)m, &out);
	else
		analyse_visit(a, m);
	if (!s->lateral)
		a->scope->ranges = siblings;
	struct range *r = scope_range(a);
	if (r == NULL)
		return;
	r->outputs = out;
	r->first = first;
	r->last = a->nliterals;
	scope_alias(a, r, s->alias);
}

/* Functions and XMLTABLE: columns that come out of code. */
static void
from_function(struct analysis *a, const ProtobufCMessage *m, const PgQuery__Alias *alias)
{
	size_t first = a->nliterals;
	struct group g;

	unsigned outer = use_begin(a, USE_ROWS);
	group_begin(a, &g);
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_RANGE_FUNCTION) {
		const PgQuery__RangeFunction *f = (const PgQuery__RangeFunction *)m;
		for (size_t i = 0; i < f->n_functions; i++) { /* (call, column definitions or nothing) */
			const ProtobufCMessage *pair = WALK(f->functions[i]);
			if (pair != NULL && walk_case_of(pair) == PG_QUERY__NODE__NODE_LIST && ((const PgQuery__List *)pair)->n_items > 0)
				analyse_grouped(a, WALK(((const PgQuery__List *)pair)->items[0]), NULL);
			else
				analyse_visit(a, pair);
		}
	} else {
		const PgQuery__RangeTableFunc *f = (const PgQuery__RangeTableFunc *)m;
		VISIT(a, f->docexpr);
		VISIT(a, f->rowexpr);
		analyse_list(a, f->n_namespaces, f->namespaces);
		for (size_t i = 0; i < f->n_columns; i++) {
			const PgQuery__RangeTableFuncCol *c = f->columns[i]->range_table_func_col;
			if (f->columns[i]->node_case != PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC_COL)
				continue;
			VISIT(a, c->colexpr);
			VISIT(a, c->coldefexpr);
		}
	}
	a->group = g.outer;
	a->use = outer;
	g.columns.computed = true;
	struct range *r = scope_range(a);
	if (r == NULL)
		return;
	r->outputs = outputs_new(a, 0);
	r->outputs.open = true;
	output_made_of(a, &r->outputs, SIZE_MAX, &g.columns);
	r->first = first;
	r->last = a->nliterals;
	scope_alias(a, r, alias);
}

static void
from_sample(struct analysis *a, const PgQuery__RangeTableSample *s)
{
	struct sp_bytes schema, name;

	analyse_from(a, WALK(s->relation));
	analyse_qualified(s->n_method, s->method, &schema, &name);
	note_function_named(a, schema, name, 1);
	unsigned outer = use_begin(a, USE_ROWS);
	analyse_list(a, s->n_args, s->args);
	VISIT(a, s->repeatable);
	a->use = outer;
}

static bool
in_join(const struct range *r, struct sp_bytes name)
{
	return scope_belongs(r, name) != BELONGS_NO;
}

/* USING (c): both sides' c; NATURAL: every column that both sides have, or may have. */
static void
join_columns(struct analysis *a, const PgQuery__JoinExpr *j, struct range *first)
{
	if (j->n_using_clause > 0 || j->is_natural)
		note_equals(a);
	for (struct range *r = first; r != NULL; r = r->next) {
		for (size_t i = 0; i < j->n_using_clause; i++)
			if (in_join(r, analyse_string(j->using_clause[i])))
				scope_named(a, r, analyse_string(j->using_clause[i]), PG_READ);
		if (!j->is_natural)
			continue;
		if (r->relation == NULL)
			scope_all(a, r, PG_READ);
		for (size_t i = 0; r->relation != NULL && i < r->relation->ncolumns; i++) {
			struct sp_bytes name = i < r->nrenamed ? r->renamed[i] : sp_str(r->relation->column[i].name);
			for (struct range *o = first; o != NULL; o = o->next)
				if (o != r && in_join(o, name))
					scope_named(a, r, name, PG_READ);
		}
	}
}

static void
from_join(struct analysis *a, const PgQuery__JoinExpr *j)
{
	struct range *all = a->scope->ranges, *last = all;

	while (last != NULL && last->next != NULL)
		last = last->next;
	analyse_from(a, WALK(j->larg));
	analyse_from(a, WALK(j->rarg));
	struct range *first = last == NULL ? a->scope->ranges : last->next;
	unsigned outer = use_begin(a, USE_FILTER | USE_SEARCH);
	join_columns(a, j, first);
	a->use = outer;
	struct range *whole = a->scope->ranges;
	a->scope->ranges = first; /* ON sees the join's own sides only */
	analyse_condition(a, WALK(j->quals));
	a->scope->ranges = whole;
	const PgQuery__Alias *alias = j->alias != NULL ? j->alias : j->join_using_alias;
	struct range *r = alias == NULL || first == NULL ? NULL : scope_range(a);
	if (r == NULL)
		return;
	r->joined = first;
	r->joined_end = r;
	for (struct range *in = first; in != r && j->alias != NULL; in = in->next)
		in->hidden = true;
	scope_alias(a, r, alias);
}

void
analyse_from(struct analysis *a, const ProtobufCMessage *m)
{
	switch (m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		scope_from_table(a, (const PgQuery__RangeVar *)m);
		break;
	case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
		from_subselect(a, (const PgQuery__RangeSubselect *)m);
		break;
	case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
		from_function(a, m, ((const PgQuery__RangeFunction *)m)->alias);
		break;
	case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC:
		from_function(a, m, ((const PgQuery__RangeTableFunc *)m)->alias);
		break;
	case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
		from_sample(a, (const PgQuery__RangeTableSample *)m);
		break;
	case PG_QUERY__NODE__NODE_JOIN_EXPR:
		from_join(a, (const PgQuery__JoinExpr *)m);
		break;
	default:
		analyse_visit(a, m); /* unclear */
	}
}

static void
from_list(struct analysis *a, size_t n, PgQuery__Node **v)
{
	for (size_t i = 0; i < n && !a->failed; i++)
		analyse_from(a, WALK(v[i]));
}

/* ---- SELECT ---- */

static void
select_values(struct analysis *a, const ProtobufCMessage *row, const struct targets *t, const struct outputs *out)
{
	const PgQuery__List *list = (const PgQuery__List *)row;

	if (row == NULL || walk_case_of(row) != PG_QUERY__NODE__NODE_LIST) {
		analyse_visit(a, row);
		return;
	}
	for (size_t i = 0; i < list->n_items; i++)
		analyse_output(a, WALK(list->items[i]), t == NULL ? NULL : i < t->n ? &t->columns[i] : &t->rest, out, i);
}

static void
select_targets(struct analysis *a, const PgQuery__SelectStmt *s, const struct targets *t, const struct outputs *out)
{
	for (size_t i = 0; i < s->n_target_list && !a->failed; i++)
		analyse_output(a, WALK(s->target_list[i]), t == NULL ? NULL : i < t->n ? &t->columns[i] : &t->rest, out, out->at[i]);
	for (size_t i = 0; i < s->n_values_lists; i++)
		select_values(a, WALK(s->values_lists[i]), t, out);
}

static bool
is_output(const struct outputs *o, struct sp_bytes name)
{
	for (size_t i = 0; i < o->n; i++)
		if (sp_bytes_eq(o->v[i], name))
			return true;
	return false;
}

/* A name alone; true when it can't be anything but a column of the answer. */
static bool
sort_name(struct analysis *a, struct sp_bytes name, const struct outputs *out, bool from_first)
{
	enum belongs from = from_first ? scope_has(a, name) : BELONGS_NO;
	bool output = is_output(out, name);
	analyse_spend(a, out->n);

	if (from == BELONGS_YES || (!output && !out->open))
		return false;
	outputs_read_named(a, out, name);
	return output && from == BELONGS_NO;
}

static void sort_item(struct analysis *a, const ProtobufCMessage *m, const struct outputs *out, bool from_first);

static void
sort_items(struct analysis *a, size_t n, PgQuery__Node **v, const struct outputs *out, bool from_first)
{
	for (size_t i = 0; i < n; i++)
		sort_item(a, WALK(v[i]), out, from_first);
}

/*
 * ORDER BY, DISTINCT ON: a name alone is a column of the answer first.  GROUP BY: a column of FROM
 * first; (a, b), ROLLUP (a, b) and the like are of such items.  Anything else is an expression over FROM.
 */
static void
sort_item(struct analysis *a, const ProtobufCMessage *m, const struct outputs *out, bool from_first)
{
	const ProtobufCMessage *inner = m;

	if (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_SORT_BY)
		inner = WALK(((const PgQuery__SortBy *)m)->node);
	switch (inner == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(inner)) {
	case PG_QUERY__NODE__NODE_COLUMN_REF: {
		const PgQuery__ColumnRef *c = (const PgQuery__ColumnRef *)inner;
		struct sp_bytes name = c->n_fields == 1 ? analyse_string(c->fields[0]) : none;
		if (name.len > 0 && sort_name(a, name, out, from_first))
			return;
		break;
	}
	case PG_QUERY__NODE__NODE_A_CONST: { /* a position */
		const PgQuery__AConst *c = (const PgQuery__AConst *)inner;
		a->mattered = true;
		outputs_read(a, out, c->val_case == PG_QUERY__A__CONST__VAL_IVAL && c->ival->ival > 0 ? (size_t)c->ival->ival - 1 : SIZE_MAX);
		break;
	}
	case PG_QUERY__NODE__NODE_GROUPING_SET:
		sort_items(a, ((const PgQuery__GroupingSet *)inner)->n_content, ((const PgQuery__GroupingSet *)inner)->content, out, from_first);
		return;
	case PG_QUERY__NODE__NODE_ROW_EXPR:
		sort_items(a, ((const PgQuery__RowExpr *)inner)->n_args, ((const PgQuery__RowExpr *)inner)->args, out, from_first);
		break;
	default:
		break;
	}
	analyse_grouped(a, m, NULL);
}

static void
select_rest(struct analysis *a, const PgQuery__SelectStmt *s, const struct outputs *out)
{
	unsigned outer = use_begin(a, a->use | USE_SORT);

	for (size_t i = 0; i < s->n_distinct_clause; i++) /* plain DISTINCT is one empty item */
		if (WALK(s->distinct_clause[i]) != NULL)
			sort_item(a, WALK(s->distinct_clause[i]), out, false);
		else
			outputs_read(a, out, SIZE_MAX);
	if (s->op > PG_QUERY__SET_OPERATION__SETOP_UNION || (s->op == PG_QUERY__SET_OPERATION__SETOP_UNION && !s->all))
		outputs_read(a, out, SIZE_MAX);
	for (size_t i = 0; i < s->n_group_clause; i++)
		sort_item(a, WALK(s->group_clause[i]), out, true);
	analyse_condition(a, WALK(s->having_clause));
	analyse_list(a, s->n_window_clause, s->window_clause);
	for (size_t i = 0; i < s->n_sort_clause; i++)
		sort_item(a, WALK(s->sort_clause[i]), out, false);
	a->use = outer | USE_FILTER | USE_SEARCH;
	VISIT(a, s->limit_offset);
	VISIT(a, s->limit_count);
	a->use = outer;
}

/* What a query shows goes into a table. */
void
analyse_moved(struct analysis *a, const struct outputs *out)
{
	unsigned outer = use_begin(a, USE_MOVE);

	outputs_read(a, out, SIZE_MAX);
	a->use = outer;
}

/* SELECT … INTO: a table is made. */
static void
select_into(struct analysis *a, const PgQuery__IntoClause *into, const struct outputs *out)
{
	if (into == NULL || into->rel == NULL)
		return;
	analyse_moved(a, out);
	const struct name *table = scope_new_name(a, into->rel);
	note_effects(a, PG_DDL | PG_WRITE);
	if (a->stmt != NULL && strcmp(into->rel->relpersistence, "t") == 0)
		note_flag(&a->stmt->temporary, true);
	note_add(a, PG_A_TABLES, table);
	note_add(a, PG_A_TABLES_WRITTEN, table);
	note_add(a, PG_A_OBJECTS, table);
}

static void
select_locking(struct analysis *a, const PgQuery__SelectStmt *s)
{
	if (s->n_locking_clause == 0)
		return;
	note_effects(a, PG_SESSION);
	for (struct stmt *t = a->stmt; t != NULL; t = t->parent)
		note_flag(&t->locking, true);
	for (size_t i = 0; i < s->n_locking_clause; i++) {
		const PgQuery__LockingClause *l = s->locking_clause[i]->locking_clause;
		if (s->locking_clause[i]->node_case != PG_QUERY__NODE__NODE_LOCKING_CLAUSE)
			continue;
		if (l->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitSkip)
			note_option(a, "skip locked");
		else if (l->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitError)
			note_option(a, "nowait");
	}
}

static struct outputs
values_outputs(struct analysis *a, const PgQuery__SelectStmt *s)
{
	static const char *const name[] = { "column1", "column2", "column3", "column4", "column5", "column6", "column7", "column8" };
	const ProtobufCMessage *row = WALK(s->values_lists[0]);
	size_t n = row != NULL && walk_case_of(row) == PG_QUERY__NODE__NODE_LIST ? ((const PgQuery__List *)row)->n_items : 0;
	struct outputs o = outputs_new(a, n);

	for (; o.v != NULL && o.n < n; o.n++) {
		bool named = o.n < sizeof(name) / sizeof(*name);
		o.v[o.n] = named ? sp_str(name[o.n]) : none;
		o.open = o.open || !named;
	}
	return o;
}

static void select_any(struct analysis *a, const PgQuery__SelectStmt *s, struct outputs *out, const struct targets *t);

/* The statement's own query, or an arm of it. */
static bool
is_main(const struct analysis *a, const PgQuery__SelectStmt *s)
{
	return a->stmt != NULL && a->stmt->select == s;
}

static void
select_leaf(struct analysis *a, const PgQuery__SelectStmt *s, struct outputs *out, const struct targets *t)
{
	unsigned outer = use_begin(a, 0);

	from_list(a, s->n_from_clause, s->from_clause);
	a->use = outer;
	*out = s->n_values_lists > 0 ? values_outputs(a, s) : analyse_outputs(a, s->n_target_list, s->target_list);
	select_targets(a, s, t, out);
	analyse_condition(a, WALK(s->where_clause));
	if (is_main(a, s) && s->n_from_clause > 0) {
		bool restricts = where_restricts(a, WALK(s->where_clause), NULL);
		note_flag(&a->stmt->where, restricts && a->stmt->where != 1); /* of UNION: in each arm */
	}
}

static void
select_limit(struct analysis *a, const PgQuery__SelectStmt *s)
{
	const ProtobufCMessage *m = WALK(s->limit_count);
	const PgQuery__AConst *c = m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_A_CONST ? (const PgQuery__AConst *)m : NULL;

	if (m == NULL || (c != NULL && c->isnull)) /* LIMIT ALL */
		return;
	a->mattered = true;
	a->stmt->limited = c != NULL && c->val_case == PG_QUERY__A__CONST__VAL_IVAL && c->ival->ival >= 0;
	a->stmt->limit_unknown = !a->stmt->limited;
	if (a->stmt->limited)
		a->stmt->limit = (uint64_t)c->ival->ival;
}

static void
select_any(struct analysis *a, const PgQuery__SelectStmt *s, struct outputs *out, const struct targets *t)
{
	struct scope scope;
	struct outputs right = { .open = true };

	if (s == NULL || a->failed)
		return;
	scope_begin(a, &scope);
	with_clause(a, s->with_clause);
	if (s->op == PG_QUERY__SET_OPERATION__SETOP_NONE) {
		select_leaf(a, s, out, t);
	} else {
		bool main = is_main(a, s);
		if (main)
			a->stmt->select = s->larg;
		select_any(a, s->larg, out, t);
		if (main)
			a->stmt->select = s->rarg;
		select_any(a, s->rarg, &right, t);
		outputs_join(a, out, &right);
		if (main)
			a->stmt->select = s;
	}
	if (is_main(a, s))
		select_limit(a, s);
	select_into(a, s->into_clause, out);
	select_locking(a, s);
	select_rest(a, s, out);
	scope_end(a);
}

void
analyse_select(struct analysis *a, const PgQuery__SelectStmt *s, struct outputs *outputs_r)
{
	struct outputs out = { .open = true };

	select_any(a, s, &out, NULL);
	if (outputs_r != NULL)
		*outputs_r = out;
}

/* ---- INSERT ---- */

/* A column that values are compared with or assigned to, once for all rows. */
static struct set
target_set(struct analysis *a, const struct range *r, struct sp_bytes name)
{
	struct group g;

	group_begin(a, &g);
	if (name.len == 0)
		scope_all(a, r, PG_WRITE);
	else
		scope_named(a, r, name, PG_WRITE);
	a->group = g.outer;
	return g.columns;
}

static void
insert_columns(struct analysis *a, struct targets *t, size_t n, PgQuery__Node **cols)
{
	const struct pg_relation *r = t->range->relation;
	bool listed = n > 0;

	if (!listed)
		t->rest = target_set(a, t->range, none);
	t->n = listed ? n : r != NULL ? r->ncolumns : 0;
	t->columns = analyse_alloc(a, (t->n + 1) * sizeof(*t->columns));
	if (t->columns == NULL)
		t->n = 0;
	for (size_t i = 0; i < t->n; i++) {
		struct sp_bytes name = listed ? none : sp_str(r->column[i].name);
		if (listed && cols[i]->node_case == PG_QUERY__NODE__NODE_RES_TARGET) {
			name = sp_str(cols[i]->res_target->name);
			analyse_list(a, cols[i]->res_target->n_indirection, cols[i]->res_target->indirection);
		}
		t->columns[i] = target_set(a, t->range, name);
	}
}

/* SET (a, b) = (1, 2) and SET a = 1; the columns belong to `target`. */
static void
assign(struct analysis *a, const struct range *target, size_t n, PgQuery__Node **list)
{
	for (size_t i = 0; i < n && target != NULL; i++) {
		const PgQuery__ResTarget *t = list[i]->res_target;
		if (list[i]->node_case != PG_QUERY__NODE__NODE_RES_TARGET) {
			analyse_visit(a, WALK(list[i]));
			continue;
		}
		struct set columns = target_set(a, target, sp_str(t->name));
		analyse_list(a, t->n_indirection, t->indirection);
		analyse_grouped(a, WALK(t->val), &columns);
	}
}

static void
returning(struct analysis *a, size_t n, PgQuery__Node **list, struct outputs *outputs_r)
{
	const struct outputs out = analyse_outputs(a, n, list);

	for (size_t i = 0; i < n; i++)
		analyse_output(a, WALK(list[i]), NULL, &out, a->failed ? SIZE_MAX : out.at[i]);
	if (n > 0)
		note_effects(a, PG_READ);
	if (outputs_r != NULL)
		*outputs_r = out;
}

/* Whether a row was there already is told by what is inserted: of one row a lookup, of several a list. */
static void
conflict_lookup(struct analysis *a, const PgQuery__InsertStmt *s, const struct range *target)
{
	const PgQuery__SelectStmt *source = s->select_stmt == NULL ? NULL : s->select_stmt->select_stmt;
	bool one = source != NULL && s->select_stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT && source->n_values_lists == 1;
	const PgQuery__InferClause *infer = s->on_conflict_clause->infer;
	unsigned outer = use_begin(a, USE_FILTER | (one ? 0 : USE_SEARCH));

	for (size_t i = 0; infer != NULL && i < infer->n_index_elems; i++)
		if (infer->index_elems[i]->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM && infer->index_elems[i]->index_elem->name[0] != '\0')
			scope_named(a, target, sp_str(infer->index_elems[i]->index_elem->name), PG_READ);
	for (size_t i = 0; infer == NULL && i < s->n_cols; i++) /* any of them may be unique */
		if (s->cols[i]->node_case == PG_QUERY__NODE__NODE_RES_TARGET)
			scope_named(a, target, sp_str(s->cols[i]->res_target->name), PG_READ);
	if (infer == NULL && s->n_cols == 0)
		scope_all(a, target, PG_READ);
	a->use = outer;
}

static void
on_conflict(struct analysis *a, const PgQuery__InsertStmt *s, struct range *target)
{
	const PgQuery__OnConflictClause *c = s->on_conflict_clause;

	if (c == NULL || target == NULL)
		return;
	conflict_lookup(a, s, target);
	if (c->infer != NULL) {
		for (size_t i = 0; i < c->infer->n_index_elems; i++) {
			const PgQuery__IndexElem *e = c->infer->index_elems[i]->index_elem;
			if (c->infer->index_elems[i]->node_case != PG_QUERY__NODE__NODE_INDEX_ELEM)
				continue;
			unsigned outer = use_begin(a, USE_FILTER | USE_SEARCH);
			VISIT(a, e->expr);
			a->use = outer;
		}
		analyse_condition(a, WALK(c->infer->where_clause));
	}
	if (c->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE)
		return;
	struct range *excluded = scope_range(a); /* the row that was to be inserted */
	if (excluded == NULL)
		return;
	struct range *next = excluded->next;
	*excluded = *target;
	excluded->next = next;
	excluded->alias = sp_str("excluded");
	excluded->aliased = true;
	assign(a, target, c->n_target_list, c->target_list);
	analyse_condition(a, WALK(c->where_clause));
	excluded->alias = none; /* RETURNING does not see it */
	excluded->outputs = (struct outputs){ 0 };
	excluded->table = NULL;
	excluded->relation = NULL;
}

void
analyse_insert(struct analysis *a, const PgQuery__InsertStmt *s, struct outputs *outputs_r)
{
	struct scope scope, inner;
	struct outputs out;
	struct targets t = { 0 };

	note_effects(a, PG_WRITE);
	scope_begin(a, &scope);
	with_clause(a, s->with_clause);
	bool reads = s->n_returning_list > 0 || s->on_conflict_clause != NULL;
	struct range *target = s->relation == NULL ? NULL : scope_target(a, s->relation, reads ? PG_READ | PG_WRITE : PG_WRITE);
	if (target != NULL) {
		t.range = target;
		insert_columns(a, &t, s->n_cols, s->cols);
		scope.ranges = NULL; /* the source doesn't see the target */
		scope_begin(a, &inner);
		const PgQuery__SelectStmt *source = s->select_stmt == NULL ? NULL : s->select_stmt->select_stmt;
		if (source != NULL && s->select_stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
			if (source->n_values_lists > 0 && a->stmt != NULL)
				a->stmt->rows = source->n_values_lists;
			else
				note_effects(a, PG_READ);
			select_any(a, source, &out, &t);
		}
		scope_end(a);
		scope.ranges = target;
		on_conflict(a, s, target);
	}
	returning(a, s->n_returning_list, s->returning_list, outputs_r);
	scope_end(a);
}

/* ---- UPDATE, DELETE, MERGE ---- */

void
analyse_update(struct analysis *a, const PgQuery__UpdateStmt *s, struct outputs *outputs_r)
{
	struct scope scope;

	note_effects(a, PG_WRITE);
	scope_begin(a, &scope);
	with_clause(a, s->with_clause);
	bool reads = s->n_from_clause > 0 || s->where_clause != NULL || s->n_returning_list > 0;
	struct range *target = s->relation == NULL ? NULL : scope_target(a, s->relation, reads ? PG_READ | PG_WRITE : PG_WRITE);
	if (reads)
		note_effects(a, PG_READ);
	from_list(a, s->n_from_clause, s->from_clause);
	assign(a, target, s->n_target_list, s->target_list);
	analyse_condition(a, WALK(s->where_clause));
	if (a->stmt != NULL && target != NULL)
		note_flag(&a->stmt->where, where_restricts(a, WALK(s->where_clause), target));
	returning(a, s->n_returning_list, s->returning_list, outputs_r);
	scope_end(a);
}

void
analyse_delete(struct analysis *a, const PgQuery__DeleteStmt *s, struct outputs *outputs_r)
{
	struct scope scope;

	note_effects(a, PG_WRITE);
	scope_begin(a, &scope);
	with_clause(a, s->with_clause);
	bool reads = s->n_using_clause > 0 || s->where_clause != NULL || s->n_returning_list > 0;
	struct range *target = s->relation == NULL ? NULL : scope_target(a, s->relation, reads ? PG_READ | PG_WRITE : PG_WRITE);
	if (reads)
		note_effects(a, PG_READ);
	from_list(a, s->n_using_clause, s->using_clause);
	analyse_condition(a, WALK(s->where_clause));
	if (a->stmt != NULL && target != NULL)
		note_flag(&a->stmt->where, where_restricts(a, WALK(s->where_clause), target));
	returning(a, s->n_returning_list, s->returning_list, outputs_r);
	scope_end(a);
}

static void
merge_insert(struct analysis *a, const PgQuery__MergeWhenClause *w, struct range *target)
{
	struct targets t = { .range = target };

	insert_columns(a, &t, w->n_target_list, w->target_list);
	for (size_t i = 0; i < w->n_values; i++)
		analyse_grouped(a, WALK(w->values[i]), i < t.n ? &t.columns[i] : &t.rest);
}

void
analyse_merge(struct analysis *a, const PgQuery__MergeStmt *s)
{
	struct scope scope;

	note_effects(a, PG_READ | PG_WRITE);
	scope_begin(a, &scope);
	with_clause(a, s->with_clause);
	struct range *target = s->relation == NULL ? NULL : scope_target(a, s->relation, PG_READ | PG_WRITE);
	analyse_from(a, WALK(s->source_relation));
	analyse_condition(a, WALK(s->join_condition));
	for (size_t i = 0; i < s->n_merge_when_clauses && target != NULL; i++) {
		const PgQuery__MergeWhenClause *w = s->merge_when_clauses[i]->merge_when_clause;
		if (s->merge_when_clauses[i]->node_case != PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE)
			continue;
		analyse_condition(a, WALK(w->condition));
		if (w->command_type == PG_QUERY__CMD_TYPE__CMD_INSERT)
			merge_insert(a, w, target);
		else
			assign(a, target, w->n_target_list, w->target_list);
	}
	if (a->stmt != NULL && target != NULL)
		note_flag(&a->stmt->where, where_restricts(a, WALK(s->join_condition), target));
	scope_end(a);
}

/* ---- COPY ---- */

static void
copy_columns(struct analysis *a, const PgQuery__CopyStmt *s)
{
	struct scope scope;
	unsigned effects = s->is_from ? PG_WRITE : PG_READ;

	scope_begin(a, &scope);
	struct range *r = scope_target(a, s->relation, effects);
	if (r != NULL && s->n_attlist == 0)
		scope_all(a, r, effects);
	for (size_t i = 0; i < s->n_attlist && r != NULL; i++)
		scope_named(a, r, analyse_string(s->attlist[i]), effects);
	analyse_condition(a, WALK(s->where_clause));
	if (s->is_from && a->stmt != NULL && s->where_clause != NULL)
		note_flag(&a->stmt->where, where_restricts(a, WALK(s->where_clause), r));
	scope_end(a);
}

void
analyse_copy_stmt(struct analysis *a, const PgQuery__CopyStmt *s)
{
	bool file = s->filename[0] != '\0';
	static const char *const how[2][3] = {
		{ "out", "file out", "program out" },
		{ "in", "file in", "program in" },
	};

	if (a->stmt == NULL)
		return;
	a->stmt->copy = how[s->is_from ? 1 : 0][s->is_program ? 2 : file ? 1 : 0];
	note_effects(a, (s->is_from ? PG_WRITE : PG_READ) | (file || s->is_program ? PG_EXECUTE : 0));
	if (s->relation != NULL)
		copy_columns(a, s);
	if (s->query != NULL)
		analyse_nested(a, WALK(s->query), NULL);
}
