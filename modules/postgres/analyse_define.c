/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions, roles and privileges.  They are walked whole: tables, roles, objects and expressions are
 * found wherever they stand, by one table of the nodes that definitions are made of; the functions
 * below it add what a statement says beyond that.
 */
#include "analyse_internal.h"

#include <strings.h>

static const struct sp_bytes none = { NULL, 0 };

/* ---- objects ---- */

static const struct {
	PgQuery__ObjectType type;
	const char *kind;
	bool relation; /* its name is a table's */
} kinds[] = {
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TABLE, "table", true },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, "view", true },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW, "materialized view", true },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE, "foreign table", true },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, "sequence", true },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_INDEX, "index", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_ACCESS_METHOD, "access method", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_AGGREGATE, "aggregate", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE, "type", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_CAST, "cast", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN, "column", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_COLLATION, "collation", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_CONVERSION, "conversion", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE, "database", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_DEFACL, "default privileges", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN, "domain", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_DOMCONSTRAINT, "constraint", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_EVENT_TRIGGER, "event trigger", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION, "extension", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_FDW, "foreign data wrapper", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_SERVER, "server", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION, "function", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_LANGUAGE, "language", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_LARGEOBJECT, "large object", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_OPCLASS, "operator class", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_OPERATOR, "operator", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_OPFAMILY, "operator family", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_PARAMETER_ACL, "parameter", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_POLICY, "policy", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE, "procedure", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_PUBLICATION, "publication", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_ROLE, "role", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE, "routine", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_RULE, "rule", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA, "schema", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_SUBSCRIPTION, "subscription", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_STATISTIC_EXT, "statistics", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT, "constraint", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE, "tablespace", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TRANSFORM, "transform", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER, "trigger", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TSCONFIGURATION, "text search configuration", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TSDICTIONARY, "text search dictionary", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TSPARSER, "text search parser", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TSTEMPLATE, "text search template", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_TYPE, "type", false },
	{ PG_QUERY__OBJECT_TYPE__OBJECT_USER_MAPPING, "user mapping", false },
};

const char *
define_kind(PgQuery__ObjectType type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return kinds[i].kind;
	return "object";
}

static bool
is_relation(PgQuery__ObjectType type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return kinds[i].relation;
	return false;
}

const char *
analyse_concat(struct analysis *a, const char *x, const char *y)
{
	size_t n = strlen(x), m = strlen(y);
	char *p = analyse_alloc(a, n + m + 1);

	if (p == NULL)
		return x;
	memcpy(p, x, n);
	memcpy(p + n, y, m);
	return p;
}

const char *
analyse_joined(struct analysis *a, const char *x, const char *y)
{
	return analyse_concat(a, analyse_concat(a, x, " "), y);
}

void
note_role(struct analysis *a, const PgQuery__RoleSpec *r)
{
	static const char *const name[] = {
		[PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE] = "current_user",
		[PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER] = "current_user",
		[PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER] = "session_user",
		[PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC] = "public",
	};

	if (r == NULL)
		return;
	bool special = r->roletype < sizeof(name) / sizeof(*name) && name[r->roletype] != NULL;
	note_text(a, PG_A_ROLES, sp_str(special ? name[r->roletype] : r->rolename));
}

/* An option's value: on, unless it says off. */
bool
define_is_on(const ProtobufCMessage *m)
{
	static const char *const off[] = { "off", "false", "no", "0" };

	if (m == NULL)
		return true;
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_BOOLEAN)
		return ((const PgQuery__Boolean *)m)->boolval;
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_INTEGER)
		return ((const PgQuery__Integer *)m)->ival != 0;
	if (walk_case_of(m) != PG_QUERY__NODE__NODE_STRING)
		return true;
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++)
		if (strcasecmp(((const PgQuery__String *)m)->sval, off[i]) == 0)
			return false;
	return true;
}

/* A list of Strings: the last two are schema and name. */
static void
object_list(struct analysis *a, PgQuery__ObjectType type, size_t n, PgQuery__Node **v, unsigned effects)
{
	struct sp_bytes schema, name;

	analyse_qualified(n, v, &schema, &name);
	if (is_relation(type)) {
		const struct pg_relation *r;
		PgQuery__RangeVar table = PG_QUERY__RANGE_VAR__INIT;
		table.schemaname = (char *)(uintptr_t)(schema.len > 0 ? (const char *)schema.p : "");
		table.relname = (char *)(uintptr_t)(name.len > 0 ? (const char *)name.p : "");
		note_add(a, PG_A_OBJECTS, note_table(a, &table, effects, &r));
		return;
	}
	if (name.len == 0)
		return;
	bool on_table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER || type == PG_QUERY__OBJECT_TYPE__OBJECT_RULE ||
	    type == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY || type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT ||
	    type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
	if (!on_table || n < 2) {
		note_add(a, PG_A_OBJECTS, analyse_dotted(a, schema, name, none));
		return;
	}
	struct sp_bytes outer = n > 2 ? analyse_string(v[n - 3]) : none; /* schema.table.name */
	note_table_named(a, outer, schema, effects, false);
	note_add(a, PG_A_OBJECTS, analyse_name(a, name));
}

void
note_object(struct analysis *a, PgQuery__ObjectType type, const ProtobufCMessage *m, unsigned effects)
{
	switch (m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_LIST: {
		const PgQuery__List *l = (const PgQuery__List *)m;
		object_list(a, type, l->n_items, l->items, effects);
		break;
	}
	case PG_QUERY__NODE__NODE_STRING:
		note_text(a, PG_A_OBJECTS, sp_str(((const PgQuery__String *)m)->sval));
		break;
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		note_add(a, PG_A_OBJECTS, note_table(a, (const PgQuery__RangeVar *)m, effects, NULL));
		break;
	case PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS: {
		const PgQuery__ObjectWithArgs *o = (const PgQuery__ObjectWithArgs *)m;
		object_list(a, type, o->n_objname, o->objname, effects);
		break;
	}
	case PG_QUERY__NODE__NODE_TYPE_NAME: {
		const PgQuery__TypeName *t = (const PgQuery__TypeName *)m;
		object_list(a, type, t->n_names, t->names, effects);
		break;
	}
	case PG_QUERY__NODE__NODE_ROLE_SPEC:
		note_role(a, (const PgQuery__RoleSpec *)m);
		break;
	case PG_QUERY__NODE__NODE_INTEGER:
	case PG_QUERY__NODE__NODE_FLOAT:
		break; /* a large object's number */
	default:
		analyse_visit(a, m);
	}
}

/* ---- what definitions are made of ---- */

struct definition {
	struct analysis *a;
	unsigned effects;
};

static void
define_child(void *owner, const ProtobufCMessage *child)
{
	const struct definition *d = owner;
	analyse_define(d->a, child, d->effects);
}

static void
define_column(struct analysis *a, const PgQuery__ColumnDef *c, unsigned effects)
{
	struct range *r = a->scope == NULL ? NULL : a->scope->ranges;

	if (r != NULL && c->colname[0] != '\0')
		scope_named(a, r, sp_str(c->colname), PG_WRITE);
	analyse_grouped(a, WALK(c->raw_default), NULL);
	analyse_define_list(a, c->n_constraints, c->constraints, effects);
	if (c->n_fdwoptions > 0)
		note_hide_text(a, a->begin, a->end, false);
}

static void
define_constraint(struct analysis *a, const PgQuery__Constraint *c, unsigned effects)
{
	struct range *r = a->scope == NULL ? NULL : a->scope->ranges;

	unsigned outer = use_begin(a, r != NULL && !r->made ? USE_FILTER | USE_SEARCH : 0); /* it says whether all rows fulfil it */
	analyse_grouped(a, WALK(c->raw_expr), NULL);
	a->use = outer;
	analyse_condition(a, WALK(c->where_clause));
	analyse_define_list(a, c->n_exclusions, c->exclusions, effects);
	for (size_t i = 0; i < c->n_keys && r != NULL; i++)
		scope_named(a, r, analyse_string(c->keys[i]), 0);
	for (size_t i = 0; i < c->n_fk_attrs && r != NULL; i++)
		scope_named(a, r, analyse_string(c->fk_attrs[i]), 0);
	if (c->pktable != NULL)
		(void)note_table(a, c->pktable, PG_READ, NULL);
}

static void
define_option(struct analysis *a, const PgQuery__DefElem *e, unsigned effects)
{
	const ProtobufCMessage *arg = WALK(e->arg);

	if (arg != NULL && walk_case_of(arg) != PG_QUERY__NODE__NODE_STRING)
		analyse_define(a, arg, effects);
}

static void
define_publication_table(struct analysis *a, const PgQuery__PublicationTable *t)
{
	struct scope scope;

	if (t == NULL || t->relation == NULL)
		return;
	scope_begin(a, &scope);
	(void)scope_target(a, t->relation, PG_READ);
	analyse_condition(a, WALK(t->where_clause));
	scope_end(a);
}

static void
define_index_part(struct analysis *a, const PgQuery__IndexElem *e)
{
	if (e->name[0] != '\0' && a->scope != NULL && a->scope->ranges != NULL)
		scope_named(a, a->scope->ranges, sp_str(e->name), PG_READ);
	VISIT(a, e->expr);
}

static void
define_names_of_table(struct analysis *a, const PgQuery__VacuumRelation *v, unsigned effects)
{
	struct scope scope;

	if (v->relation == NULL)
		return;
	scope_begin(a, &scope);
	struct range *r = scope_target(a, v->relation, effects);
	for (size_t i = 0; i < v->n_va_cols && r != NULL; i++)
		scope_named(a, r, analyse_string(v->va_cols[i]), PG_READ);
	scope_end(a);
}

/* A parent, a table to attach, the model of LIKE, a partition to drop … */
static void
define_other_table(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects)
{
	if (v != NULL)
		(void)note_table(a, v, effects, NULL);
}

void
analyse_define(struct analysis *a, const ProtobufCMessage *m, unsigned effects)
{
	struct definition d = { a, effects };

	if (a->failed || m == NULL)
		return;
	switch (walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		define_other_table(a, (const PgQuery__RangeVar *)m, effects);
		break;
	case PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE:
		define_other_table(a, ((const PgQuery__TableLikeClause *)m)->relation, PG_READ);
		break;
	case PG_QUERY__NODE__NODE_ROLE_SPEC:
		note_role(a, (const PgQuery__RoleSpec *)m);
		break;
	case PG_QUERY__NODE__NODE_COLUMN_DEF:
		define_column(a, (const PgQuery__ColumnDef *)m, effects);
		break;
	case PG_QUERY__NODE__NODE_CONSTRAINT:
		define_constraint(a, (const PgQuery__Constraint *)m, effects);
		break;
	case PG_QUERY__NODE__NODE_DEF_ELEM:
		define_option(a, (const PgQuery__DefElem *)m, effects);
		break;
	case PG_QUERY__NODE__NODE_INDEX_ELEM:
		define_index_part(a, (const PgQuery__IndexElem *)m);
		break;
	case PG_QUERY__NODE__NODE_PUBLICATION_OBJ_SPEC:
		define_publication_table(a, ((const PgQuery__PublicationObjSpec *)m)->pubtable);
		break;
	case PG_QUERY__NODE__NODE_VACUUM_RELATION:
		define_names_of_table(a, (const PgQuery__VacuumRelation *)m, effects);
		break;
	case PG_QUERY__NODE__NODE_FUNCTION_PARAMETER:
		VISIT(a, ((const PgQuery__FunctionParameter *)m)->defexpr);
		break;
	case PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS:
		note_object(a, PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION, m, effects);
		break;
	case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
		note_set_stmt(a, (const PgQuery__VariableSetStmt *)m);
		break;
	case PG_QUERY__NODE__NODE_LIST:
	case PG_QUERY__NODE__NODE_PARTITION_CMD:
	case PG_QUERY__NODE__NODE_PARTITION_SPEC:
	case PG_QUERY__NODE__NODE_PARTITION_ELEM:
	case PG_QUERY__NODE__NODE_PARTITION_BOUND_SPEC:
	case PG_QUERY__NODE__NODE_PARTITION_RANGE_DATUM:
	case PG_QUERY__NODE__NODE_ALTER_TABLE_CMD:
	case PG_QUERY__NODE__NODE_CREATE_OP_CLASS_ITEM:
	case PG_QUERY__NODE__NODE_STATS_ELEM:
	case PG_QUERY__NODE__NODE_TRIGGER_TRANSITION:
	case PG_QUERY__NODE__NODE_REPLICA_IDENTITY_STMT:
	case PG_QUERY__NODE__NODE_ACCESS_PRIV:
		walk_children(m, define_child, &d);
		break;
	default:
		analyse_visit(a, m);
	}
}

void
analyse_define_list(struct analysis *a, size_t n, PgQuery__Node **v, unsigned effects)
{
	for (size_t i = 0; i < n; i++)
		analyse_define(a, WALK(v[i]), effects);
}

/* ---- statements ---- */

/* The table a definition is about becomes the scope of its expressions. */
static void
about(struct analysis *a, const PgQuery__RangeVar *v, struct scope *scope)
{
	scope_begin(a, scope);
	if (v == NULL)
		return;
	const struct range *r = scope_target(a, v, PG_WRITE);
	if (r != NULL)
		note_add(a, PG_A_OBJECTS, r->table);
}

/* …one that the statement makes. */
static const struct name *
about_new(struct analysis *a, const PgQuery__RangeVar *v, struct scope *scope)
{
	const struct name *table = scope_new_name(a, v);

	scope_begin(a, scope);
	struct range *r = scope_range(a);
	if (r != NULL) {
		r->alias = sp_str(v->relname);
		r->table = table;
		r->made = true;
	}
	note_add(a, PG_A_TABLES, table);
	note_add(a, PG_A_TABLES_WRITTEN, table);
	note_add(a, PG_A_OBJECTS, table);
	if (a->stmt != NULL && strcmp(v->relpersistence, "t") == 0)
		note_flag(&a->stmt->temporary, true);
	return table;
}

static const PgQuery__RangeVar *
table_field(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].descriptor == &pg_query__range_var__descriptor && d->fields[i].label != PROTOBUF_C_LABEL_REPEATED)
			return *(const PgQuery__RangeVar *const *)(const void *)((const char *)m + d->fields[i].offset);
	return NULL;
}

/* Names and flags that many statements carry, by the name of their field. */
static void
note_fields(struct analysis *a, const ProtobufCMessage *m)
{
	static const struct {
		const char *field, *option;
	} flags[] = {
		{ "if_not_exists", "if not exists" }, { "missing_ok", "if exists" }, { "replace", "or replace" },
		{ "concurrent", "concurrently" }, { "nowait", "nowait" }, { "for_all_tables", "all tables" },
		{ "restart_seqs", "restart identity" }, { "unique", "unique" }, { "pltrusted", "trusted" },
	};
	static const char *const names[] = { "idxname", "trigname", "policy_name", "rulename", "dbname", "servername", "fdwname",
		"extname", "pubname", "subname", "tablespacename", "plname", "amname", "newname", "newschema" };
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const void *at = (const char *)m + d->fields[i].offset;
		bool set = d->fields[i].type == PROTOBUF_C_TYPE_BOOL && *(const protobuf_c_boolean *)at;
		for (size_t k = 0; set && k < sizeof(flags) / sizeof(*flags); k++)
			if (strcmp(d->fields[i].name, flags[k].field) == 0)
				note_option(a, flags[k].option);
		if (strcmp(d->fields[i].name, "behavior") == 0 && *(const int *)at == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
			note_option(a, "cascade");
		if (d->fields[i].type != PROTOBUF_C_TYPE_STRING || d->fields[i].label == PROTOBUF_C_LABEL_REPEATED)
			continue;
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			if (strcmp(d->fields[i].name, names[k]) == 0)
				note_text(a, PG_A_OBJECTS, sp_str(*(const char *const *)at));
	}
}

/* Lists of Strings that name an object: `CREATE TYPE s.t`. */
static void
note_name_lists(struct analysis *a, const ProtobufCMessage *m)
{
	static const char *const names[] = { "type_name", "domainname", "defnames", "collname", "conversion_name", "opclassname",
		"opfamilyname", "dictname", "cfgname" };
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		if (f->label != PROTOBUF_C_LABEL_REPEATED || f->descriptor != &pg_query__node__descriptor)
			continue;
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
			if (strcmp(f->name, names[k]) != 0)
				continue;
			size_t n;
			memcpy(&n, (const char *)m + f->quantifier_offset, sizeof(n));
			object_list(a, PG_QUERY__OBJECT_TYPE__OBJECT_TYPE, n, *(PgQuery__Node **const *)(const void *)((const char *)m + f->offset), 0);
		}
	}
}

void
define_plain(struct analysis *a, const ProtobufCMessage *m)
{
	struct scope scope;
	struct definition d = { a, PG_WRITE };
	const PgQuery__RangeVar *table = table_field(m);

	about(a, table, &scope);
	note_fields(a, m);
	note_name_lists(a, m);
	bool policy = walk_case_of(m) == PG_QUERY__NODE__NODE_CREATE_POLICY_STMT || walk_case_of(m) == PG_QUERY__NODE__NODE_ALTER_POLICY_STMT;
	unsigned outer = use_begin(a, policy ? USE_FILTER | USE_SEARCH : 0);
	walk_children(m, define_child, &d);
	a->use = outer;
	scope_end(a);
}

void
define_table(struct analysis *a, const ProtobufCMessage *m)
{
	struct scope scope;
	struct definition d = { a, PG_WRITE };
	const PgQuery__CreateStmt *s = (const PgQuery__CreateStmt *)m;

	if (walk_case_of(m) == PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT)
		s = ((const PgQuery__CreateForeignTableStmt *)m)->base_stmt;
	if (s == NULL || s->relation == NULL)
		return;
	(void)about_new(a, s->relation, &scope);
	note_fields(a, &s->base);
	analyse_define_list(a, s->n_table_elts, s->table_elts, PG_WRITE);
	analyse_define_list(a, s->n_inh_relations, s->inh_relations, PG_WRITE);
	analyse_define_list(a, s->n_constraints, s->constraints, PG_WRITE);
	if (s->partbound != NULL)
		walk_children(&s->partbound->base, define_child, &d);
	if (s->partspec != NULL)
		walk_children(&s->partspec->base, define_child, &d);
	scope_end(a);
}

void
define_table_as(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__CreateTableAsStmt *s = (const PgQuery__CreateTableAsStmt *)m;
	struct scope scope;

	if (s->into == NULL || s->into->rel == NULL)
		return;
	if (s->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) {
		a->stmt->verb = "create materialized view";
		a->stmt->object = "materialized view";
	}
	(void)about_new(a, s->into->rel, &scope);
	note_fields(a, m);
	scope_end(a);
	struct outputs out;
	analyse_nested(a, WALK(s->query), &out);
	if (s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) /* behind that one the catalogue knows them */
		analyse_moved(a, &out);
}

void
define_view(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ViewStmt *s = (const PgQuery__ViewStmt *)m;
	struct scope scope;

	if (s->view == NULL)
		return;
	(void)about_new(a, s->view, &scope);
	scope_end(a);
	note_fields(a, m);
	analyse_nested(a, WALK(s->query), NULL);
}

/* OLD and NEW stand for rows of the table. */
static void
old_and_new(struct analysis *a, const PgQuery__RangeVar *table)
{
	static const char *const names[] = { "old", "new" };

	for (size_t i = 0; i < 2; i++) {
		struct range *r = table == NULL ? NULL : scope_range(a);
		if (r == NULL)
			return;
		r->table = scope_table(a, table, &r->relation);
		r->alias = sp_str(names[i]);
		r->aliased = true;
	}
}

void
define_rule(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__RuleStmt *s = (const PgQuery__RuleStmt *)m;
	struct scope scope;

	about(a, s->relation, &scope);
	scope.ranges = NULL;
	old_and_new(a, s->relation);
	note_fields(a, m);
	analyse_condition(a, WALK(s->where_clause));
	for (size_t i = 0; i < s->n_actions; i++)
		analyse_nested(a, WALK(s->actions[i]), NULL);
	scope_end(a);
}

void
define_trigger(struct analysis *a, const ProtobufCMessage *m)
{
	struct sp_bytes schema, name;
	struct scope scope;
	size_t n;
	PgQuery__Node **function;

	scope_begin(a, &scope);
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_CREATE_TRIG_STMT) {
		const PgQuery__CreateTrigStmt *s = (const PgQuery__CreateTrigStmt *)m;
		n = s->n_funcname;
		function = s->funcname;
		if (s->relation != NULL)
			note_add(a, PG_A_OBJECTS, note_table(a, s->relation, PG_WRITE, NULL));
		old_and_new(a, s->relation);
		analyse_condition(a, WALK(s->when_clause));
	} else {
		n = ((const PgQuery__CreateEventTrigStmt *)m)->n_funcname;
		function = ((const PgQuery__CreateEventTrigStmt *)m)->funcname;
	}
	note_fields(a, m);
	analyse_qualified(n, function, &schema, &name);
	note_add(a, PG_A_FUNCTIONS, analyse_dotted(a, schema.len > 0 ? schema : sp_str(a->view == NULL ? "public" : "?"), name, none));
	scope_end(a);
}

/* LANGUAGE, SECURITY DEFINER and the like; the body is code that we can't see. */
static void
function_option(struct analysis *a, const PgQuery__DefElem *e)
{
	const ProtobufCMessage *arg = WALK(e->arg);

	if (strcmp(e->defname, "language") == 0)
		a->stmt->language = analyse_constant(a, arg);
	else if (strcmp(e->defname, "security") == 0 && define_is_on(arg))
		note_option(a, "security definer");
	else if (strcmp(e->defname, "set") == 0)
		analyse_define(a, arg, 0);
}

void
define_function(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__CreateFunctionStmt *s = (const PgQuery__CreateFunctionStmt *)m;
	struct sp_bytes schema, name;

	analyse_qualified(s->n_funcname, s->funcname, &schema, &name);
	if (s->is_procedure) {
		a->stmt->verb = "create procedure";
		a->stmt->object = "procedure";
	}
	const struct name *full = analyse_dotted(a, schema.len > 0 ? schema : sp_str(a->view == NULL ? "public" : "?"), name, none);
	if (schema.len == 0 && a->view != NULL) {
		PgQuery__RangeVar v = PG_QUERY__RANGE_VAR__INIT; /* made where a table would be */
		v.relname = (char *)(uintptr_t)(name.len > 0 ? (const char *)name.p : "");
		full = scope_new_name(a, &v);
	}
	note_add(a, PG_A_OBJECTS, full);
	note_fields(a, m);
	analyse_define_list(a, s->n_parameters, s->parameters, PG_READ);
	for (size_t i = 0; i < s->n_options; i++)
		if (s->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM)
			function_option(a, s->options[i]->def_elem);
	note_hide_code(a, a->begin, a->end);
	if (full != NULL)
		note_unclear(a, "code", sp_str(analyse_joined(a, a->stmt->object, (const char *)full->text.p)));
}

void
define_alter_function(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AlterFunctionStmt *s = (const PgQuery__AlterFunctionStmt *)m;

	a->stmt->object = define_kind(s->objtype);
	a->stmt->verb = analyse_joined(a, "alter", a->stmt->object);
	if (s->func != NULL)
		note_object(a, s->objtype, &s->func->base, 0);
	for (size_t i = 0; i < s->n_actions; i++)
		if (s->actions[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM)
			function_option(a, s->actions[i]->def_elem);
}

void
define_schema(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__CreateSchemaStmt *s = (const PgQuery__CreateSchemaStmt *)m;

	note_text(a, PG_A_OBJECTS, sp_str(s->schemaname));
	note_role(a, s->authrole);
	note_fields(a, m);
	for (size_t i = 0; i < s->n_schema_elts; i++)
		analyse_nested(a, WALK(s->schema_elts[i]), NULL);
}

void
define_drop(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__DropStmt *s = (const PgQuery__DropStmt *)m;

	a->stmt->object = define_kind(s->remove_type);
	a->stmt->verb = analyse_joined(a, "drop", a->stmt->object);
	note_fields(a, m);
	for (size_t i = 0; i < s->n_objects; i++)
		note_object(a, s->remove_type, WALK(s->objects[i]), PG_WRITE);
}

/* ALTER COLUMN … TYPE … USING: other columns' values come into this one. */
static void
alter_type(struct analysis *a, const PgQuery__AlterTableCmd *c, struct range *r)
{
	const ProtobufCMessage *m = WALK(c->def);
	struct group g;

	group_begin(a, &g);
	scope_named(a, r, sp_str(c->name), PG_WRITE);
	a->group = g.outer;
	if (m != NULL && walk_case_of(m) == PG_QUERY__NODE__NODE_COLUMN_DEF)
		analyse_grouped(a, WALK(((const PgQuery__ColumnDef *)m)->raw_default), &g.columns);
	else
		analyse_define(a, m, PG_WRITE);
}

static void
alter_command(struct analysis *a, const PgQuery__AlterTableCmd *c, struct range *r)
{
	switch (c->subtype) {
	case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
		note_effects(a, PG_DCL);
		note_role(a, c->newowner);
		break;
	case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity:
		note_effects(a, PG_DCL);
		break;
	case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
		note_option(a, "drop column");
		scope_named(a, r, sp_str(c->name), PG_WRITE);
		break;
	case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage:
		scope_named(a, r, sp_str(c->name), PG_WRITE);
		break;
	case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
		alter_type(a, c, r);
		return;
	case PG_QUERY__ALTER_TABLE_TYPE__AT_GenericOptions:
	case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnGenericOptions:
		note_hide_text(a, a->begin, a->end, false);
		break;
	default:
		break;
	}
	if (c->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
		note_option(a, "cascade");
	analyse_define(a, WALK(c->def), PG_WRITE);
}

void
define_alter_table(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AlterTableStmt *s = (const PgQuery__AlterTableStmt *)m;
	struct scope scope;

	a->stmt->object = define_kind(s->objtype);
	a->stmt->verb = analyse_joined(a, "alter", a->stmt->object);
	about(a, s->relation, &scope);
	note_fields(a, m);
	for (size_t i = 0; i < s->n_cmds && scope.ranges != NULL; i++)
		if (s->cmds[i]->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_CMD)
			alter_command(a, s->cmds[i]->alter_table_cmd, scope.ranges);
		else
			analyse_define(a, WALK(s->cmds[i]), PG_WRITE);
	scope_end(a);
}

/* A column or constraint is renamed by ALTER TABLE, or ALTER VIEW …: the kind of what it belongs to. */
static PgQuery__ObjectType
renamed_in(const ProtobufCMessage *m, PgQuery__ObjectType type)
{
	bool part = type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN || type == PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE;

	if (walk_case_of(m) != PG_QUERY__NODE__NODE_RENAME_STMT)
		return type;
	if (type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT)
		return PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
	return part ? ((const PgQuery__RenameStmt *)m)->relation_type : type;
}

/* ALTER … RENAME, SET SCHEMA, OWNER TO, COMMENT ON, SECURITY LABEL: an object, and what about it. */
void
define_rename(struct analysis *a, const ProtobufCMessage *m)
{
	PgQuery__ObjectType type = PG_QUERY__OBJECT_TYPE__OBJECT_TYPE_UNDEFINED;
	const ProtobufCMessage *object = NULL;
	const PgQuery__RangeVar *table = table_field(m);
	struct scope scope;

	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const void *at = (const char *)m + f->offset;
		if (f->descriptor == &pg_query__object_type__descriptor && type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE_UNDEFINED)
			type = *(const PgQuery__ObjectType *)at;
		else if (strcmp(f->name, "object") == 0)
			object = *(const ProtobufCMessage *const *)at;
		else if (f->descriptor == &pg_query__role_spec__descriptor)
			note_role(a, *(const PgQuery__RoleSpec *const *)at);
	}
	a->stmt->object = define_kind(type);
	if (strcmp(a->stmt->verb, "alter") == 0)
		a->stmt->verb = analyse_joined(a, "alter", define_kind(renamed_in(m, type)));
	about(a, table, &scope);
	if (object != NULL)
		note_object(a, type, walk_inside(object), walk_case_of(m) == PG_QUERY__NODE__NODE_COMMENT_STMT ? 0 : PG_WRITE);
	if (walk_case_of(m) == PG_QUERY__NODE__NODE_RENAME_STMT && type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN && scope.ranges != NULL)
		scope_named(a, scope.ranges, sp_str(((const PgQuery__RenameStmt *)m)->subname), PG_WRITE);
	if (type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE) {
		note_effects(a, PG_DCL);
		if (walk_case_of(m) == PG_QUERY__NODE__NODE_RENAME_STMT)
			note_text(a, PG_A_ROLES, sp_str(((const PgQuery__RenameStmt *)m)->subname));
	}
	note_fields(a, m);
	scope_end(a);
}

/* ---- roles and privileges ---- */

static void
privilege(struct analysis *a, const PgQuery__Node *n, const PgQuery__GrantStmt *s)
{
	const PgQuery__AccessPriv *p = n->access_priv;

	if (n->node_case != PG_QUERY__NODE__NODE_ACCESS_PRIV)
		return;
	note_option(a, p->priv_name[0] != '\0' ? p->priv_name : "all");
	for (size_t i = 0; i < s->n_objects && p->n_cols > 0; i++) {
		const ProtobufCMessage *m = WALK(s->objects[i]);
		if (m == NULL || walk_case_of(m) != PG_QUERY__NODE__NODE_RANGE_VAR)
			continue;
		struct range r = { 0 };
		r.table = scope_table(a, (const PgQuery__RangeVar *)m, &r.relation);
		for (size_t k = 0; k < p->n_cols && r.table != NULL; k++)
			scope_named(a, &r, analyse_string(p->cols[k]), 0);
	}
}

void
define_grant(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__GrantStmt *s = (const PgQuery__GrantStmt *)m;

	if (walk_case_of(m) == PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT) {
		const PgQuery__AlterDefaultPrivilegesStmt *d = (const PgQuery__AlterDefaultPrivilegesStmt *)m;
		analyse_define_list(a, d->n_options, d->options, 0);
		s = d->action;
		if (s == NULL)
			return;
	} else if (!s->is_grant) {
		a->stmt->verb = "revoke";
	}
	a->stmt->object = define_kind(s->objtype);
	bool in_schema = s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA;
	for (size_t i = 0; i < s->n_objects; i++) {
		note_object(a, in_schema ? PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA : s->objtype, WALK(s->objects[i]), 0);
		if (in_schema)
			note_add(a, PG_A_TABLES, analyse_dotted(a, analyse_string(s->objects[i]), sp_str("?"), none));
	}
	for (size_t i = 0; i < s->n_privileges; i++)
		privilege(a, s->privileges[i], s);
	if (s->n_privileges == 0)
		note_option(a, "all");
	if (s->grant_option)
		note_option(a, "with grant option");
	if (s->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
		note_option(a, "cascade");
	analyse_define_list(a, s->n_grantees, s->grantees, 0);
	note_role(a, s->grantor);
}

void
define_grant_role(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__GrantRoleStmt *s = (const PgQuery__GrantRoleStmt *)m;

	if (!s->is_grant)
		a->stmt->verb = "revoke";
	for (size_t i = 0; i < s->n_granted_roles; i++) {
		const PgQuery__AccessPriv *p = s->granted_roles[i]->access_priv;
		if (s->granted_roles[i]->node_case != PG_QUERY__NODE__NODE_ACCESS_PRIV)
			continue;
		note_text(a, PG_A_ROLES, sp_str(p->priv_name));
		note_text(a, PG_A_OBJECTS, sp_str(p->priv_name));
	}
	analyse_define_list(a, s->n_grantee_roles, s->grantee_roles, 0);
	if (s->admin_opt)
		note_option(a, "with admin option");
}

/* SUPERUSER, CREATEROLE … as options; a password hides every string of the statement. */
static void
role_option(struct analysis *a, const PgQuery__DefElem *e)
{
	static const struct {
		const char *name, *on;
	} words[] = {
		{ "superuser", "superuser" }, { "createrole", "createrole" }, { "createdb", "createdb" }, { "canlogin", "login" },
		{ "inherit", "inherit" }, { "isreplication", "replication" }, { "bypassrls", "bypassrls" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(e->defname, words[i].name) != 0)
			continue;
		note_option(a, define_is_on(WALK(e->arg)) ? words[i].on : analyse_joined(a, "no", words[i].on));
	}
	if (strcmp(e->defname, "password") == 0) {
		note_option(a, "password");
		note_hide_text(a, a->begin, a->end, false);
	} else {
		define_option(a, e, 0);
	}
}

void
define_role(struct analysis *a, const ProtobufCMessage *m)
{
	size_t n;
	PgQuery__Node **options;

	if (walk_case_of(m) == PG_QUERY__NODE__NODE_CREATE_ROLE_STMT) {
		const PgQuery__CreateRoleStmt *s = (const PgQuery__CreateRoleStmt *)m;
		note_text(a, PG_A_ROLES, sp_str(s->role));
		n = s->n_options;
		options = s->options;
	} else {
		const PgQuery__AlterRoleStmt *s = (const PgQuery__AlterRoleStmt *)m;
		note_role(a, s->role);
		n = s->n_options;
		options = s->options;
	}
	for (size_t i = 0; i < n; i++)
		if (options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM)
			role_option(a, options[i]->def_elem);
}
