/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a name stands for: FROM items and WITH in their scopes, columns by alias, as the server looks
 * them up.  Where the snapshot of the catalogue does not say, every table that may be meant counts:
 * too many columns are found then, never too few.
 */
#include "analyse_internal.h"

static const struct sp_bytes none = { NULL, 0 }, unknown = { (const uint8_t *)"?", 1 }, star = { (const uint8_t *)"*", 1 };

void
scope_begin(struct analysis *a, struct scope *s)
{
	*s = (struct scope){ .outer = a->scope };
	a->scope = s;
}

void
scope_end(struct analysis *a)
{
	a->scope = a->scope->outer;
}

struct range *
scope_range(struct analysis *a)
{
	struct range *r = analyse_alloc(a, sizeof(*r));

	if (r == NULL)
		return NULL;
	struct range **end = &a->scope->ranges;
	while (*end != NULL)
		end = &(*end)->next;
	*end = r;
	return r;
}

struct cte *
scope_cte(struct analysis *a, struct sp_bytes name)
{
	for (const struct scope *s = a->scope; s != NULL; s = s->outer)
		for (struct cte *c = s->ctes; c != NULL; c = c->next)
			if (sp_bytes_eq(c->derived.alias, name))
				return c;
	return NULL;
}

/* ---- tables ---- */

static bool
is_temporary(const struct pg_view *v, struct sp_bytes name)
{
	for (size_t i = 0; i < v->ntemporary; i++)
		if (sp_bytes_is(name, v->temporary[i]))
			return true;
	return false;
}

static const struct name *
table_name(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, const struct pg_relation **relation_r)
{
	const struct pg_view *v = a->view;

	*relation_r = NULL;
	bool first = v != NULL && schema.len == 0 && !v->path_unknown; /* a path may place pg_temp behind others */
	if (v != NULL && (first || sp_bytes_is(schema, "pg_temp")) && is_temporary(v, name)) {
		if (v->names != NULL && v->temporary_schema != NULL)
			*relation_r = pg_names_find(v->names, sp_str(v->temporary_schema), name);
		return analyse_dotted(a, sp_str("pg_temp"), name, none);
	}
	if (v != NULL && v->names != NULL && (schema.len > 0 || !v->path_unknown))
		*relation_r = pg_view_find(v, schema, name);
	if (*relation_r != NULL)
		return analyse_dotted(a, pg_schema_name(*relation_r), sp_str((*relation_r)->name), none);
	if (v != NULL && v->names != NULL && v->missing != NULL)
		v->missing(v);
	if (schema.len > 0)
		return analyse_dotted(a, schema, name, none);
	if (pg_builtin_relation(name) && (v == NULL || !v->path_unknown))
		return analyse_dotted(a, sp_str("pg_catalog"), name, none);
	return analyse_dotted(a, v == NULL ? sp_str("public") : unknown, name, none);
}

const struct pg_relation *
scope_relation(struct analysis *a, struct sp_bytes schema, struct sp_bytes name)
{
	const struct pg_relation *r;

	(void)table_name(a, schema, name, &r);
	return r;
}

const struct name *
scope_table(struct analysis *a, const PgQuery__RangeVar *v, const struct pg_relation **relation_r)
{
	return table_name(a, sp_str(v->schemaname), sp_str(v->relname), relation_r);
}

const struct name *
scope_new_name(struct analysis *a, const PgQuery__RangeVar *v)
{
	const struct pg_view *view = a->view;
	const struct pg_relation *there;

	if (sp_bytes_is(sp_str(v->relpersistence), "t") && v->schemaname[0] == '\0')
		return analyse_dotted(a, sp_str("pg_temp"), sp_str(v->relname), none);
	if (v->schemaname[0] != '\0' || view == NULL)
		return table_name(a, v->schemaname[0] != '\0' ? sp_str(v->schemaname) : sp_str("public"), sp_str(v->relname), &there);
	if (view->creates != NULL && !view->path_unknown)
		return analyse_dotted(a, view->creates[0] == '\0' ? unknown : sp_str(view->creates), sp_str(v->relname), none);
	for (size_t i = 0; i < view->npath && !view->path_unknown; i++)
		if (strcmp(view->path[i], "pg_catalog") != 0)
			return analyse_dotted(a, sp_str(view->path[i]), sp_str(v->relname), none);
	return analyse_dotted(a, unknown, sp_str(v->relname), none);
}

/* Writing the catalogue defines things and grants rights; a rule of pg_settings calls set_config(). */
static void
catalogue_written(struct analysis *a, struct sp_bytes table)
{
	static const char catalogue[] = "pg_catalog.";
	size_t n = sizeof(catalogue) - 1;

	if (table.len <= n || memcmp(table.p, catalogue, n) != 0 || sp_bytes_is(table, "pg_catalog.pg_largeobject"))
		return;
	if (sp_bytes_is(table, "pg_catalog.pg_settings"))
		note_setting(a, none, none, false);
	else
		note_effects(a, PG_DDL | PG_DCL);
}

static void
add_table(struct analysis *a, const struct name *table, unsigned effects)
{
	note_add(a, PG_A_TABLES, table);
	if ((effects & PG_READ) != 0)
		note_add(a, PG_A_TABLES_READ, table);
	if ((effects & PG_WRITE) != 0)
		note_add(a, PG_A_TABLES_WRITTEN, table);
	if ((effects & PG_WRITE) != 0 && table != NULL)
		catalogue_written(a, table->text);
}

/* What runs then may set the path, or anything. */
static void
note_table_runs(struct analysis *a, const struct pg_relation *r, unsigned effects)
{
	if (r != NULL && (r->acts_read || (r->acts_written && (effects & PG_WRITE) != 0)))
		note_runs_code(a);
}

struct touch {              /* for callbacks */
	struct analysis *a;
	unsigned effects;
	const struct pg_relation *last;
};

static int
touch_table(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	struct touch *t = owner;

	(void)c;
	if (r == NULL)
		add_table(t->a, analyse_dotted(t->a, unknown, unknown, none), t->effects);
	else if (r != t->last) /* a table's columns come one after another */
		add_table(t->a, analyse_dotted(t->a, pg_schema_name(r), sp_str(r->name), none), t->effects);
	if (r != t->last)
		note_table_runs(t->a, r, t->effects);
	t->last = r;
	return t->a->failed;
}

/* What is behind a column, or with 0 behind any: read there what is read here, and written what is written. */
static void
touch_behind(struct analysis *a, const struct pg_relation *r, int16_t attnum, pg_source_fn *each, unsigned effects)
{
	struct touch reads = { a, effects & ~(unsigned)PG_WRITE, NULL }, writes = { a, effects, NULL };

	if ((effects & PG_WRITE) != 0)
		(void)pg_names_targets(a->view->names, r->oid, attnum, each, &writes);
	if ((effects & PG_WRITE) == 0 || (effects & PG_READ) != 0)
		(void)pg_names_sources(a->view->names, r->oid, attnum, each, &reads);
}

/* What else is reached by this name: tables behind a view, parents, children that are no partitions. */
static void
add_behind(struct analysis *a, const struct pg_relation *r, bool children, unsigned effects)
{
	struct touch t = { a, effects, NULL };

	touch_behind(a, r, 0, touch_table, effects);
	const struct pg_relation *child;
	for (size_t i = 0; children && (child = pg_names_child(a->view->names, r->oid, i)) != NULL && !a->failed; i++)
		if (!child->partition)
			(void)touch_table(&t, child, NULL);
}

const struct name *
note_table(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects, const struct pg_relation **relation_r)
{
	const struct pg_relation *r;
	const struct name *table = scope_table(a, v, &r);

	add_table(a, table, effects);
	note_table_runs(a, r, effects);
	if (r != NULL)
		add_behind(a, r, v->inh, effects);
	if (relation_r != NULL)
		*relation_r = r;
	return table;
}

void
note_table_named(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, unsigned effects, bool whole)
{
	const struct pg_relation *r;
	struct range range = { .table = table_name(a, schema, name, &r) };

	range.relation = r;
	add_table(a, range.table, effects);
	note_table_runs(a, r, effects);
	if (r != NULL)
		add_behind(a, r, true, effects);
	if (whole && range.table != NULL)
		scope_all(a, &range, PG_READ);
}

/* ---- ranges ---- */

void
scope_alias(struct analysis *a, struct range *r, const PgQuery__Alias *alias)
{
	if (alias == NULL || r == NULL)
		return;
	r->alias = sp_str(alias->aliasname);
	r->aliased = true;
	r->renamed = analyse_alloc(a, (alias->n_colnames + 1) * sizeof(*r->renamed));
	for (size_t i = 0; i < alias->n_colnames && r->renamed != NULL; i++)
		r->renamed[r->nrenamed++] = analyse_string(alias->colnames[i]);
}

static struct range *
table_range(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects)
{
	struct range *r = scope_range(a);

	if (r == NULL)
		return NULL;
	r->table = note_table(a, v, effects, &r->relation);
	r->schema = sp_str(v->schemaname);
	r->alias = sp_str(v->relname);
	r->only = !v->inh;
	scope_alias(a, r, v->alias);
	return r;
}

struct range *
scope_target(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects)
{
	return table_range(a, v, effects);
}

void
scope_from_table(struct analysis *a, const PgQuery__RangeVar *v)
{
	struct cte *c = v->schemaname[0] == '\0' ? scope_cte(a, sp_str(v->relname)) : NULL;

	if (c == NULL) {
		(void)table_range(a, v, PG_READ);
		return;
	}
	struct range *r = scope_range(a);
	if (r == NULL)
		return;
	r->alias = c->derived.alias;
	r->outputs = c->derived.outputs;
	r->first = c->derived.first;
	r->last = c->derived.last;
	r->cte = c;
	scope_alias(a, r, v->alias);
}

struct range *
scope_find(struct analysis *a, struct sp_bytes alias)
{
	for (const struct scope *s = a->scope; s != NULL; s = s->outer)
		for (struct range *r = s->ranges; r != NULL; r = r->next)
			if (!r->hidden && sp_bytes_eq(r->alias, alias))
				return r;
	return NULL;
}

/* ---- columns ---- */

static bool
is_system_column(struct sp_bytes name)
{
	static const char *const system[] = { "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid" };
	for (size_t i = 0; i < sizeof(system) / sizeof(*system); i++)
		if (sp_bytes_is(name, system[i]))
			return true;
	return false;
}

/* Position among the names that AS t (a, b) gave, or SIZE_MAX. */
static size_t
renamed_at(const struct range *r, struct sp_bytes name)
{
	for (size_t i = 0; i < r->nrenamed; i++)
		if (sp_bytes_eq(r->renamed[i], name))
			return i;
	return SIZE_MAX;
}

static const struct pg_column *
known_column(const struct range *r, struct sp_bytes name)
{
	size_t i = renamed_at(r, name);

	if (i != SIZE_MAX)
		return i < r->relation->ncolumns ? &r->relation->column[i] : NULL;
	const struct pg_column *c = pg_relation_named(r->relation, name);
	return c != NULL && (size_t)(c - r->relation->column) >= r->nrenamed ? c : NULL;
}

static enum belongs
derived_has(const struct range *r, struct sp_bytes name)
{
	if (renamed_at(r, name) != SIZE_MAX)
		return BELONGS_YES;
	for (size_t i = r->nrenamed; i < r->outputs.n; i++)
		if (sp_bytes_eq(r->outputs.v[i], name))
			return BELONGS_YES;
	return r->outputs.open ? BELONGS_MAYBE : BELONGS_NO;
}

enum belongs
scope_belongs(const struct range *r, struct sp_bytes name)
{
	enum belongs best = BELONGS_NO;

	for (const struct range *j = r->joined; j != NULL && j != r->joined_end; j = j->next) {
		enum belongs b = scope_belongs(j, name);
		best = b > best ? b : best;
	}
	if (r->joined != NULL) /* which of its names AS j (a, b) took away is not counted */
		return renamed_at(r, name) != SIZE_MAX || (r->nrenamed > 0 && best != BELONGS_NO) ? BELONGS_MAYBE : best;
	if (r->table == NULL)
		return derived_has(r, name);
	if (is_system_column(name))
		return BELONGS_YES;
	if (r->relation == NULL)
		return BELONGS_MAYBE;
	return known_column(r, name) != NULL ? BELONGS_YES : BELONGS_NO;
}

static void
add_column(struct analysis *a, const struct name *column, unsigned effects)
{
	note_add(a, PG_A_COLUMNS, column);
	if ((effects & PG_READ) != 0) {
		note_add(a, PG_A_COLUMNS_READ, column);
		note_use(a, column);
	}
	if ((effects & PG_WRITE) != 0)
		note_add(a, PG_A_COLUMNS_WRITTEN, column);
	group_column(a, column);
}

void
note_any_column(struct analysis *a, unsigned effects)
{
	add_column(a, analyse_dotted(a, unknown, unknown, unknown), effects);
}

static int
touch_column(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	struct touch *t = owner;

	if (r == NULL)
		note_any_column(t->a, t->effects);
	else if (c != NULL)
		add_column(t->a, analyse_dotted(t->a, pg_schema_name(r), sp_str(r->name), sp_str(c->name)), t->effects);
	return t->a->failed;
}

static int
touch_counted(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	return r != NULL && r->kind == 'S' ? 0 : touch_column(owner, r, c);
}

void
note_counted(struct analysis *a, const struct pg_relation *sequence)
{
	struct touch t = { a, PG_READ, NULL };
	const struct pg_names *names = a->view == NULL ? NULL : a->view->names;
	const struct pg_relation *r;

	if (sequence != NULL)
		(void)pg_names_sources(names, sequence->oid, 0, touch_counted, &t);
	for (size_t i = 0; sequence == NULL && names != NULL && (r = pg_names_at(names, i)) != NULL && !a->failed; i++)
		if (r->kind == 'S')
			(void)pg_names_sources(names, r->oid, 0, touch_counted, &t);
	if (names == NULL && a->view != NULL)
		note_any_column(a, PG_READ);
}

/*
 * A column of a table that the snapshot does not have, or not with this column: its full name.  It
 * may have become a view over anything since, so it may be any column.
 */
static void
add_part(struct analysis *a, const struct range *r, struct sp_bytes column, unsigned effects)
{
	const struct name *table = r->table;
	size_t room = table->text.len + 2 * column.len + 1;
	uint8_t *p = analyse_alloc(a, room);

	if (p == NULL)
		return;
	struct sp_writer w = sp_writer(p, room);
	sp_wr_put(&w, table->text);
	sp_wr_u8(&w, '.');
	for (size_t i = 0; i < column.len; i++) {
		if (column.p[i] == '.' || column.p[i] == '\\')
			sp_wr_u8(&w, '\\');
		sp_wr_u8(&w, column.p[i]);
	}
	add_column(a, analyse_name(a, sp_written(&w)), effects);
	if (a->view != NULL && !r->made && r->relation == NULL)
		note_any_column(a, effects);
}

/* A column of a sub-select: what it is made of, and the literals inside. */
static void
derived_read(struct analysis *a, const struct range *r, size_t at, struct sp_bytes name)
{
	group_literals(a, r->first, r->last);
	cte_refer(a, r);
	if (at == SIZE_MAX && name.len > 0)
		outputs_read_named(a, &r->outputs, name);
	else
		outputs_read(a, &r->outputs, at);
}

void
scope_output(struct analysis *a, const struct range *r, size_t i)
{
	derived_read(a, r, i, none);
}

void
scope_all(struct analysis *a, const struct range *r, unsigned effects)
{
	if (r->joined != NULL) {
		for (const struct range *j = r->joined; j != NULL && j != r->joined_end; j = j->next)
			scope_all(a, j, effects);
		return;
	}
	if (r->table == NULL)
		derived_read(a, r, SIZE_MAX, none);
	else if (r->relation == NULL || r->relation->ncolumns == 0)
		add_part(a, r, star, effects);
	else
		touch_behind(a, r->relation, 0, touch_column, effects);
}

/* The columns of a joined range of this name. */
static void
joined_named(struct analysis *a, const struct range *r, struct sp_bytes name, unsigned effects)
{
	if (renamed_at(r, name) != SIZE_MAX) {
		scope_all(a, r, effects);
		return;
	}
	for (const struct range *j = r->joined; j != NULL && j != r->joined_end; j = j->next)
		if (scope_belongs(j, name) != BELONGS_NO)
			scope_named(a, j, name, effects);
}

void
scope_named(struct analysis *a, const struct range *r, struct sp_bytes name, unsigned effects)
{
	if (r->joined != NULL) {
		joined_named(a, r, name, effects);
		return;
	}
	if (r->table == NULL) {
		derived_read(a, r, renamed_at(r, name), name);
		return;
	}
	if (r->relation == NULL) {
		if (renamed_at(r, name) != SIZE_MAX)
			scope_all(a, r, effects);
		else
			add_part(a, r, name, effects);
		return;
	}
	const struct pg_column *c = known_column(r, name);
	if (c != NULL)
		touch_behind(a, r->relation, c->attnum, touch_column, effects);
	else
		add_part(a, r, name, effects);
}

/*
 * t.name where t has no such column: the server takes it for the function name(t), which sees the
 * whole row; or it is a mistake.
 */
static void
row_function(struct analysis *a, const struct range *r, struct sp_bytes name)
{
	unsigned outer = use_computed(a);

	scope_all(a, r, PG_READ);
	a->use = outer;
	note_function_named(a, none, name, 1);
}

static void
qualified(struct analysis *a, const struct range *r, PgQuery__Node *last, const PgQuery__ColumnRef *c)
{
	struct sp_bytes name = analyse_string(last);
	PgQuery__Node row = PG_QUERY__NODE__INIT;

	if (scope_belongs(r, name) == BELONGS_NO && r->relation != NULL) {
		row_function(a, r, name);
		return;
	}
	scope_named(a, r, name, PG_READ);
	struct pg_function_class class;
	bool column = r->table != NULL && pg_builtin(name, &class) && class.effects == 0 && class.special == PG_ORDINARY;
	if (scope_belongs(r, name) == BELONGS_YES || column) /* of a table that nobody knows: a column rather than what does nothing */
		return;
	row.node_case = PG_QUERY__NODE__NODE_COLUMN_REF;
	row.column_ref = (PgQuery__ColumnRef *)(uintptr_t)c;
	unsigned outer = use_computed(a);
	if (note_attribute(a, last, &row))
		scope_all(a, r, PG_READ);
	a->use = outer;
}

/* What it takes to look for a name in it. */
static size_t
cost_of(const struct range *r)
{
	return 1 + r->nrenamed + r->outputs.n + (r->relation == NULL ? 0 : r->relation->ncolumns);
}

/* One name alone: a column of the innermost scope that has it, else a whole row. */
static void
unqualified(struct analysis *a, struct sp_bytes name)
{
	bool found = false, maybe = false;

	for (const struct scope *s = a->scope; s != NULL && !found; s = s->outer)
		for (struct range *r = s->ranges; r != NULL && !a->failed; r = r->next) {
			enum belongs b = r->hidden ? BELONGS_NO : scope_belongs(r, name);
			analyse_spend(a, cost_of(r));
			found = found || b == BELONGS_YES;
			maybe = maybe || b == BELONGS_MAYBE;
			if (b != BELONGS_NO)
				scope_named(a, r, name, PG_READ);
		}
	const struct range *row = found ? NULL : scope_find(a, name);
	if (row != NULL)
		scope_all(a, row, PG_READ);
	else if (!found && !maybe)
		add_column(a, analyse_dotted(a, unknown, unknown, name), PG_READ);
}

enum belongs
scope_has(const struct analysis *a, struct sp_bytes name)
{
	enum belongs best = BELONGS_NO;

	for (const struct range *r = a->scope == NULL ? NULL : a->scope->ranges; r != NULL; r = r->next) {
		enum belongs b = r->hidden ? BELONGS_NO : scope_belongs(r, name);
		best = b > best ? b : best;
	}
	return best;
}

/* The range that schema.table names. */
static const struct range *
find_table(const struct analysis *a, struct sp_bytes schema, struct sp_bytes table)
{
	for (const struct scope *s = a->scope; s != NULL; s = s->outer)
		for (const struct range *r = s->ranges; r != NULL; r = r->next) {
			if (r->hidden || r->aliased || r->table == NULL || !sp_bytes_eq(r->alias, table))
				continue;
			if (sp_bytes_eq(r->schema, schema) || r->schema.len == 0)
				return r;
		}
	return NULL;
}

static bool
is_star(const PgQuery__Node *n)
{
	return n->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

void
scope_star(struct analysis *a)
{
	for (const struct range *r = a->scope == NULL ? NULL : a->scope->ranges; r != NULL; r = r->next)
		if (r->joined == NULL)
			scope_all(a, r, PG_READ);
}

/* `name` or `name.*` behind a range that is found, or not. */
static void
of_range(struct analysis *a, const struct range *r, struct sp_bytes schema, struct sp_bytes table, const PgQuery__ColumnRef *c)
{
	PgQuery__Node *last = c->fields[c->n_fields - 1];

	if (r != NULL && is_star(last))
		scope_all(a, r, PG_READ);
	else if (r != NULL)
		qualified(a, r, last, c);
	else
		add_column(a, analyse_dotted(a, schema, table, is_star(last) ? star : analyse_string(last)), PG_READ);
}

void
scope_column(struct analysis *a, const PgQuery__ColumnRef *c)
{
	size_t n = c->n_fields;
	const PgQuery__Node *last = n == 0 ? NULL : c->fields[n - 1];

	if (n == 0)
		return;
	if (n == 1 && is_star(last)) {
		scope_star(a);
	} else if (n == 1) {
		unqualified(a, analyse_string(last));
	} else if (n == 2) {
		struct sp_bytes alias = analyse_string(c->fields[0]);
		of_range(a, scope_find(a, alias), unknown, alias, c);
	} else {
		struct sp_bytes schema = analyse_string(c->fields[n - 3]), table = analyse_string(c->fields[n - 2]);
		of_range(a, find_table(a, schema, table), schema, table, c);
	}
}

bool
scope_is_of(struct analysis *a, const PgQuery__ColumnRef *c, const struct range *r)
{
	size_t n = c->n_fields;

	if (n == 0)
		return false;
	if (n == 1 && is_star(c->fields[0]))
		return false;
	struct sp_bytes name = analyse_string(c->fields[n - 1]);
	if (n == 1)
		return scope_belongs(r, name) != BELONGS_NO;
	if (n == 2)
		return scope_find(a, analyse_string(c->fields[0])) == r;
	return find_table(a, analyse_string(c->fields[n - 3]), analyse_string(c->fields[n - 2])) == r;
}
