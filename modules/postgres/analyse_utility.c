/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every statement by its node: what it is called, what it does, and who looks inside.  A node that has
 * no row is unclear.
 */
#include "analyse_internal.h"

#include <string.h>

static const struct sp_bytes none = { NULL, 0 };

/* ---- settings ---- */

void
note_setting(struct analysis *a, struct sp_bytes name, struct sp_bytes value, bool known)
{
	note_effects(a, PG_SESSION);
	note_text(a, PG_A_SETTING, name);
	if (known)
		note_text(a, PG_A_SETTING_VALUE, value);
	enum pg_setting_answer answer = known ? pg_setting_check(name, value, PG_BY_SET) : PG_SETTING_REFUSED;
	if (answer == PG_SETTING_PINNED)
		a->pinned = true;
	if (answer != PG_SETTING_FINE)
		note_unclear(a, "setting", analyse_copy(a, name));
}

static void
variable_set(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__VariableSetStmt *s = (const PgQuery__VariableSetStmt *)m;
	char joined[512];
	struct sp_writer w = sp_writer(joined, sizeof(joined));
	struct sp_bytes name = sp_str(s->name);
	bool known = s->n_args > 0;
	if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET || s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT) {
		a->stmt->verb = s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ? "reset" : "set";
		note_effects(a, PG_SESSION);
		note_text(a, PG_A_SETTING, name);
		if (pg_setting_find(name) == NULL && !sp_bytes_is(name, "role") && !sp_bytes_is(name, "session_authorization"))
			note_unclear(a, "setting", analyse_copy(a, name));
		return;
	}
	if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI && sp_bytes_is(name, "TRANSACTION")) {
		note_effects(a, PG_SESSION);
		note_text(a, PG_A_SETTING, SP_LIT("transaction"));
		return;
	}
	for (size_t i = 0; i < s->n_args; i++) {
		struct sp_bytes v = analyse_constant(a, WALK(s->args[i]));
		known = known && v.p != NULL;
		if (i > 0)
			sp_wr_put(&w, SP_LIT(", "));
		sp_wr_put(&w, v);
	}
	note_setting(a, name, analyse_copy(a, sp_written(&w)), known && !w.bad);
}

/* ---- tables, wherever they are named ---- */

struct inside {
	struct analysis *a;
	unsigned effects;
};

static void
look_inside(void *owner, const ProtobufCMessage *child)
{
	struct inside *in = owner;
	if (child == NULL)
		return;
	switch (walk_case_of(child)) {
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		(void)note_table(in->a, (const PgQuery__RangeVar *)child, in->effects, NULL);
		return;
	case PG_QUERY__NODE__NODE_SELECT_STMT:
	case PG_QUERY__NODE__NODE_INSERT_STMT:
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
	case PG_QUERY__NODE__NODE_DELETE_STMT:
	case PG_QUERY__NODE__NODE_EXECUTE_STMT:
		analyse_nested(in->a, child, NULL);
		return;
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		analyse_visit(in->a, child);
		return;
	default:
		walk_children(child, look_inside, owner);
	}
}

static void
objects_dropped(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__DropStmt *s = (const PgQuery__DropStmt *)m;
	for (size_t i = 0; i < s->n_objects; i++) {
		const ProtobufCMessage *o = WALK(s->objects[i]);
		struct sp_bytes schema = none, name = none;
		if (o == NULL || walk_case_of(o) != PG_QUERY__NODE__NODE_LIST)
			continue;
		const PgQuery__List *l = (const PgQuery__List *)o;
		analyse_qualified(l->n_items, l->items, &schema, &name);
		switch (s->remove_type) {
		case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
		case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
		case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
		case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
		case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
		case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
			note_table_named(a, schema, name, PG_WRITE, false);
			break;
		default:
			break;
		}
	}
}

/* ---- those that have more to say ---- */

static void
explained(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ExplainStmt *s = (const PgQuery__ExplainStmt *)m;
	bool analyze = false;
	for (size_t i = 0; i < s->n_options; i++) {
		const ProtobufCMessage *o = WALK(s->options[i]);
		if (o != NULL && walk_case_of(o) == PG_QUERY__NODE__NODE_DEF_ELEM && strcmp(((const PgQuery__DefElem *)o)->defname, "analyze") == 0)
			analyze = true; /* `analyze off` too: judged as if it ran */
	}
	note_effects(a, PG_READ);
	note_flag(&a->stmt->analyze, analyze);
	analyse_nested(a, WALK(s->query), NULL);
}

static void
prepared(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__PrepareStmt *s = (const PgQuery__PrepareStmt *)m;
	note_effects(a, PG_SESSION);
	analyse_nested(a, WALK(s->query), NULL);
}

static void
executed(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ExecuteStmt *s = (const PgQuery__ExecuteStmt *)m;
	struct sp_bytes text = a->view == NULL || a->view->prepared == NULL ? none : a->view->prepared(a->view, sp_str(s->name));
	note_effects(a, PG_EXECUTE);
	analyse_list(a, s->n_params, s->params);
	if (text.len > 0 && analyse_inner_text(a, text))
		return;
	char name[96];
	struct sp_writer w = sp_writer(name, sizeof(name));
	sp_wr_put(&w, SP_LIT("execute "));
	sp_wr_put(&w, sp_str(s->name));
	note_unclear(a, "code", analyse_copy(a, sp_written(&w)));
}

static void
transaction(struct analysis *a, const ProtobufCMessage *m)
{
	static const char *const verbs[] = { "transaction", "begin", "begin", "commit", "rollback", "savepoint", "release", "rollback",
		"prepare transaction", "commit prepared", "rollback prepared" };
	const PgQuery__TransactionStmt *s = (const PgQuery__TransactionStmt *)m;
	a->stmt->verb = (unsigned)s->kind < sizeof(verbs) / sizeof(*verbs) ? verbs[s->kind] : "transaction";
	note_effects(a, PG_SESSION);
}

static void
secret_role(struct analysis *a, const ProtobufCMessage *m)
{
	(void)m;
	note_hide_text(a, a->begin, a->end, false);
}

static void
opaque_code(struct analysis *a, const ProtobufCMessage *m)
{
	note_hide_text(a, a->begin, a->end, false);
	note_unclear(a, "code", sp_str(walk_name(m)));
}

static void
queried(struct analysis *a, const ProtobufCMessage *m)
{
	switch (walk_case_of(m)) {
	case PG_QUERY__NODE__NODE_INSERT_STMT:
		analyse_insert(a, (const PgQuery__InsertStmt *)m, NULL);
		break;
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
		analyse_update(a, (const PgQuery__UpdateStmt *)m, NULL);
		break;
	case PG_QUERY__NODE__NODE_DELETE_STMT:
		analyse_delete(a, (const PgQuery__DeleteStmt *)m, NULL);
		break;
	case PG_QUERY__NODE__NODE_MERGE_STMT:
		analyse_merge(a, (const PgQuery__MergeStmt *)m);
		break;
	default:
		analyse_copy_stmt(a, (const PgQuery__CopyStmt *)m);
	}
}

/* Tables anywhere inside, and queries, are found by walking. */
static void
generic(struct analysis *a, const ProtobufCMessage *m)
{
	struct inside in = { a, PG_WRITE };
	walk_children(m, look_inside, &in);
}

/* ---- the table ---- */

#define CASE(x) PG_QUERY__NODE__NODE_##x

static const struct row {
	walk_case node;
	const char *verb;
	unsigned effects;
	void (*more)(struct analysis *a, const ProtobufCMessage *m);
} rows[] = {
	{ CASE(INSERT_STMT), "insert", 0, queried },
	{ CASE(UPDATE_STMT), "update", 0, queried },
	{ CASE(DELETE_STMT), "delete", 0, queried },
	{ CASE(MERGE_STMT), "merge", 0, queried },
	{ CASE(COPY_STMT), "copy", 0, queried },
	{ CASE(EXPLAIN_STMT), "explain", 0, explained },
	{ CASE(PREPARE_STMT), "prepare", 0, prepared },
	{ CASE(EXECUTE_STMT), "execute", 0, executed },
	{ CASE(DEALLOCATE_STMT), "deallocate", PG_SESSION, NULL },
	{ CASE(DECLARE_CURSOR_STMT), "declare", PG_READ, generic },
	{ CASE(FETCH_STMT), "fetch", PG_READ, NULL },
	{ CASE(CLOSE_PORTAL_STMT), "close", PG_SESSION, NULL },
	{ CASE(TRANSACTION_STMT), "transaction", 0, transaction },
	{ CASE(VARIABLE_SET_STMT), "set", 0, variable_set },
	{ CASE(VARIABLE_SHOW_STMT), "show", PG_READ, NULL },
	{ CASE(CONSTRAINTS_SET_STMT), "set constraints", PG_SESSION, NULL },
	{ CASE(DISCARD_STMT), "discard", PG_SESSION, NULL },
	{ CASE(LISTEN_STMT), "listen", PG_SESSION, NULL },
	{ CASE(UNLISTEN_STMT), "unlisten", PG_SESSION, NULL },
	{ CASE(NOTIFY_STMT), "notify", PG_SESSION, NULL },
	{ CASE(LOCK_STMT), "lock", PG_SESSION, generic },
	{ CASE(CREATE_STMT), "create", PG_DDL, generic },
	{ CASE(CREATE_TABLE_AS_STMT), "create", PG_DDL | PG_WRITE, generic },
	{ CASE(VIEW_STMT), "create", PG_DDL, generic },
	{ CASE(INDEX_STMT), "create", PG_DDL, generic },
	{ CASE(CREATE_SCHEMA_STMT), "create", PG_DDL, generic },
	{ CASE(CREATE_SEQ_STMT), "create", PG_DDL, generic },
	{ CASE(CREATE_ENUM_STMT), "create", PG_DDL, NULL },
	{ CASE(CREATE_EXTENSION_STMT), "create", PG_DDL | PG_OPAQUE, opaque_code },
	{ CASE(CREATE_FUNCTION_STMT), "create", PG_DDL | PG_OPAQUE, opaque_code },
	{ CASE(CREATE_TRIG_STMT), "create", PG_DDL | PG_OPAQUE, opaque_code },
	{ CASE(RULE_STMT), "create", PG_DDL | PG_OPAQUE, opaque_code },
	{ CASE(ALTER_SEQ_STMT), "alter", PG_DDL, generic },
	{ CASE(ALTER_TABLE_STMT), "alter", PG_DDL, generic },
	{ CASE(RENAME_STMT), "alter", PG_DDL, generic },
	{ CASE(ALTER_OBJECT_SCHEMA_STMT), "alter", PG_DDL, generic },
	{ CASE(ALTER_OWNER_STMT), "alter", PG_DDL | PG_DCL, generic },
	{ CASE(ALTER_ENUM_STMT), "alter", PG_DDL, NULL },
	{ CASE(DROP_STMT), "drop", PG_DDL, objects_dropped },
	{ CASE(TRUNCATE_STMT), "truncate", PG_DDL | PG_WRITE, generic },
	{ CASE(COMMENT_STMT), "comment", PG_DDL, NULL },
	{ CASE(REFRESH_MAT_VIEW_STMT), "refresh", PG_DDL | PG_WRITE, generic },
	{ CASE(VACUUM_STMT), "vacuum", PG_DDL, generic },
	{ CASE(REINDEX_STMT), "reindex", PG_DDL, generic },
	{ CASE(CLUSTER_STMT), "cluster", PG_DDL, generic },
	{ CASE(GRANT_STMT), "grant", PG_DCL, generic },
	{ CASE(GRANT_ROLE_STMT), "grant", PG_DCL, NULL },
	{ CASE(ALTER_DEFAULT_PRIVILEGES_STMT), "grant", PG_DCL, NULL },
	{ CASE(CREATE_ROLE_STMT), "create", PG_DCL, secret_role },
	{ CASE(ALTER_ROLE_STMT), "alter", PG_DCL, secret_role },
	{ CASE(DROP_ROLE_STMT), "drop", PG_DCL, NULL },
	{ CASE(CREATEDB_STMT), "create", PG_DDL, NULL },
	{ CASE(DROPDB_STMT), "drop", PG_DDL, NULL },
	{ CASE(DO_STMT), "do", PG_OPAQUE, opaque_code },
	{ CASE(CALL_STMT), "call", PG_EXECUTE | PG_OPAQUE, opaque_code },
};

void
analyse_statement(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r)
{
	if (a->stmt == NULL || m == NULL)
		return;
	if (walk_case_of(m) == CASE(SELECT_STMT)) {
		a->stmt->verb = "select";
		a->stmt->select = (const PgQuery__SelectStmt *)m;
		note_effects(a, PG_READ);
		analyse_select(a, a->stmt->select, outputs_r);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].node != walk_case_of(m))
			continue;
		a->stmt->verb = rows[i].verb;
		note_effects(a, rows[i].effects);
		if (rows[i].node == CASE(INSERT_STMT) && outputs_r != NULL)
			analyse_insert(a, (const PgQuery__InsertStmt *)m, outputs_r);
		else if (rows[i].node == CASE(UPDATE_STMT) && outputs_r != NULL)
			analyse_update(a, (const PgQuery__UpdateStmt *)m, outputs_r);
		else if (rows[i].node == CASE(DELETE_STMT) && outputs_r != NULL)
			analyse_delete(a, (const PgQuery__DeleteStmt *)m, outputs_r);
		else if (rows[i].more != NULL)
			rows[i].more(a, m);
		return;
	}
	note_effects(a, PG_OPAQUE);
	note_hide_text(a, a->begin, a->end, true);
	note_unclear(a, "node", sp_str(walk_name(m)));
}

void
analyse_nested(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r)
{
	struct stmt *outer = a->stmt, *s = analyse_stmt(a, "unknown");
	if (s == NULL)
		return;
	s->nested = outer != NULL;
	a->stmt = s;
	analyse_statement(a, m, outputs_r);
	a->stmt = outer;
}
