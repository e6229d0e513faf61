/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every statement of the grammar, by one table: its verb, its effects, and what looks into it.  A
 * statement without a row is unclear.
 */
#include "analyse_internal.h"

static const struct sp_bytes none = { NULL, 0 };

/* ---- settings ---- */

static struct sp_bytes
lower_case(struct analysis *a, struct sp_bytes name)
{
	struct sp_bytes copy = analyse_copy(a, name);
	uint8_t *p = (uint8_t *)(uintptr_t)copy.p;

	for (size_t i = 0; i < copy.len; i++)
		p[i] = (uint8_t)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
	return copy;
}

/* What rules may pin; RESET brings back what the session began with, but this transaction's own began otherwise. */
static void
note_pinnable(struct analysis *a, struct sp_bytes name, struct sp_bytes value, bool known)
{
	const struct pg_setting *s = pg_setting_find(name);

	if (name.len == 0)
		note_change(a, NULL, none);
	else if (sp_bytes_is(name, "transaction_read_only"))
		note_change(a, READ_ONLY, known ? value : none);
	else if (s != NULL && s->pinnable && !(known && value.p == NULL))
		note_change(a, s->name, known ? value : none);
}

/* SET ROLE to the role that the session has: tools put back what they found. */
static bool
is_current_role(const struct analysis *a, struct sp_bytes name, struct sp_bytes value)
{
	const struct pg_view *v = a->view;
	return sp_bytes_is(name, "role") && v != NULL && !v->path_unknown && v->role != NULL && *v->role != '\0' && sp_bytes_is(value, v->role);
}

/*
 * value.p NULL and known: back to the default.  A value that is not known is unclear whatever the
 * setting: it may be a column's, which SHOW then shows.  Not so a parameter of the protocol, where any will do.
 */
void
note_setting(struct analysis *a, struct sp_bytes name, struct sp_bytes value, bool known)
{
	struct sp_bytes low = lower_case(a, name);

	note_effects(a, PG_SESSION);
	note_pinnable(a, low, value, known);
	note_text(a, PG_A_SETTING, low.len > 0 ? low : sp_str("?"));
	note_text(a, PG_A_SETTING_VALUE, !known ? sp_str("?") : value.p == NULL ? sp_str("default") : value);
	if (known && is_current_role(a, low, value))
		return;
	if (sp_bytes_is(low, "role") || sp_bytes_is(low, "session_authorization")) {
		note_effects(a, PG_DCL);
		note_text(a, PG_A_ROLES, known && value.p != NULL ? value : sp_str("?"));
	}
	enum pg_setting_answer answer = PG_SETTING_REFUSED;
	if (value.p == NULL && !known && a->bound && low.len > 0)
		answer = pg_setting_any(low);
	else if (low.len > 0 && known)
		answer = pg_setting_check(low, value, PG_BY_SET);
	else if (low.len > 0 && pg_setting_check(low, none, PG_BY_SET) == PG_SETTING_PINNED)
		answer = PG_SETTING_PINNED;
	if (answer == PG_SETTING_PINNED)
		a->pinned = true;
	if (answer == PG_SETTING_FINE)
		return;
	note_unclear(a, "setting", low.len > 0 ? low : sp_str("?"));
	a->hide_settings = true; /* of our own making, it may be a token */
}

/* Values of SET in one text: 'a', 'b' → "a, b". */
static struct sp_bytes
joined_values(struct analysis *a, size_t n, PgQuery__Node **v, bool *known_r)
{
	struct sp_bytes all = none;

	*known_r = true;
	for (size_t i = 0; i < n; i++) {
		struct sp_bytes one = analyse_constant(a, WALK(v[i]));
		if (one.p == NULL)
			*known_r = false;
		uint8_t *p = analyse_alloc(a, all.len + one.len + 3);
		if (p == NULL)
			return none;
		struct sp_writer w = sp_writer(p, all.len + one.len + 3);
		sp_wr_put(&w, all);
		if (i > 0)
			sp_wr_put(&w, SP_LIT(", "));
		sp_wr_put(&w, one);
		all = sp_written(&w);
	}
	return all;
}

/* BEGIN, SET TRANSACTION, SET SESSION CHARACTERISTICS: isolation level …, read only, deferrable. */
static void
transaction_options(struct analysis *a, size_t n, PgQuery__Node **v, bool session)
{
	for (size_t i = 0; i < n; i++) {
		const PgQuery__DefElem *e = v[i]->def_elem;
		if (v[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
			continue;
		struct sp_bytes value = analyse_constant(a, WALK(e->arg));
		bool on = !sp_bytes_is(value, "0") && !sp_bytes_is(value, "false");
		const char *name = e->defname;
		if (strcmp(name, "transaction_read_only") == 0) {
			note_option(a, on ? "read only" : "read write");
			note_change(a, READ_ONLY, value);
		} else if (strcmp(name, "transaction_deferrable") == 0)
			note_option(a, on ? "deferrable" : "not deferrable");
		else if (value.len > 0)
			note_text(a, PG_A_OPTIONS, value);
		if (!session)
			continue;
		bool boolean = strcmp(name, "transaction_isolation") != 0;
		note_setting(a, sp_str(analyse_concat(a, "default_", name)), boolean ? sp_str(on ? "on" : "off") : value, true);
	}
}

void
note_set_stmt(struct analysis *a, const PgQuery__VariableSetStmt *s)
{
	bool known;
	struct sp_bytes value;

	switch (s->kind) {
	case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
		value = joined_values(a, s->n_args, s->args, &known);
		note_setting(a, sp_str(s->name), value.p == NULL ? sp_str("") : value, known);
		break;
	case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
		note_effects(a, PG_SESSION);
		if (strcmp(s->name, "TRANSACTION SNAPSHOT") == 0)
			note_option(a, "snapshot");
		else
			transaction_options(a, s->n_args, s->args, strcmp(s->name, "TRANSACTION") != 0);
		break;
	case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
		note_setting(a, sp_str("all"), none, true);
		break;
	case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
	case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
		note_setting(a, sp_str(s->name), none, true);
		break;
	default: /* SET … FROM CURRENT, of functions */
		note_setting(a, sp_str(s->name), none, false);
	}
}

static void
do_set(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__VariableSetStmt *s = (const PgQuery__VariableSetStmt *)m;

	if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET || s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL)
		a->stmt->verb = "reset";
	if (s->is_local)
		note_option(a, "local");
	note_set_stmt(a, s);
}

static void
do_show(struct analysis *a, const ProtobufCMessage *m)
{
	note_text(a, PG_A_OBJECTS, lower_case(a, sp_str(((const PgQuery__VariableShowStmt *)m)->name)));
}

static void
do_alter_system(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AlterSystemStmt *s = (const PgQuery__AlterSystemStmt *)m;
	if (s->setstmt != NULL)
		note_set_stmt(a, s->setstmt);
}

static void
do_alter_role_set(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AlterRoleSetStmt *s = (const PgQuery__AlterRoleSetStmt *)m;
	note_text(a, PG_A_ROLES, s->role == NULL ? sp_str("all") : none);
	note_role(a, s->role);
	note_text(a, PG_A_OBJECTS, sp_str(s->database));
	if (s->setstmt != NULL)
		note_set_stmt(a, s->setstmt);
}

static void
do_alter_database_set(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__AlterDatabaseSetStmt *s = (const PgQuery__AlterDatabaseSetStmt *)m;
	note_text(a, PG_A_OBJECTS, sp_str(s->dbname));
	if (s->setstmt != NULL)
		note_set_stmt(a, s->setstmt);
}

/* ---- transactions, cursors, prepared statements ---- */

static void
do_transaction(struct analysis *a, const ProtobufCMessage *m)
{
	static const char *const verb[] = {
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN] = "begin",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START] = "begin",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT] = "commit",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK] = "rollback",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT] = "savepoint",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE] = "release",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO] = "rollback to",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE] = "prepare transaction",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED] = "commit prepared",
		[PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED] = "rollback prepared",
	};
	const PgQuery__TransactionStmt *s = (const PgQuery__TransactionStmt *)m;

	if (s->kind >= sizeof(verb) / sizeof(*verb) || verb[s->kind] == NULL) {
		note_unclear(a, "node", sp_str("TransactionStmt"));
		return;
	}
	a->stmt->verb = verb[s->kind];
	if (s->gid[0] != '\0') /* two-phase: it outlives the session, and may be another's work */
		note_effects(a, PG_WRITE);
	transaction_options(a, s->n_options, s->options, false);
	if (s->chain)
		note_option(a, "chain");
	note_text(a, PG_A_OBJECTS, sp_str(s->gid));
}

static void
do_prepare(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__PrepareStmt *s = (const PgQuery__PrepareStmt *)m;
	note_text(a, PG_A_OBJECTS, sp_str(s->name));
	analyse_nested(a, WALK(s->query), NULL);
}

/* What it runs is known where the session remembers the text that PREPARE gave. */
static void
do_execute(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ExecuteStmt *s = (const PgQuery__ExecuteStmt *)m;
	struct sp_bytes name = sp_str(s->name), text = none;
	bool was_secret = a->secret;

	if (a->view != NULL && a->view->prepared != NULL)
		text = a->view->prepared(a->view, name);
	note_text(a, PG_A_OBJECTS, name);
	a->secret = true; /* which columns the values meet is not traced */
	analyse_list(a, s->n_params, s->params);
	a->secret = was_secret;
	note_executed(a, name, text);
	if (text.len == 0 || !analyse_inner_text(a, text)) {
		note_effects(a, PG_EXECUTE);
		note_unclear(a, "code", sp_str(analyse_joined(a, "execute", s->name)));
	}
}

static void
do_deallocate(struct analysis *a, const ProtobufCMessage *m)
{
	note_text(a, PG_A_OBJECTS, sp_str(((const PgQuery__DeallocateStmt *)m)->name));
}

static void
do_declare(struct analysis *a, const ProtobufCMessage *m)
{
	enum { HOLD = 0x0020 }; /* CURSOR_OPT_HOLD */
	const PgQuery__DeclareCursorStmt *s = (const PgQuery__DeclareCursorStmt *)m;
	note_text(a, PG_A_OBJECTS, sp_str(s->portalname));
	if ((s->options & HOLD) != 0)
		note_option(a, "with hold");
	analyse_nested(a, WALK(s->query), NULL);
}

static void
do_fetch(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__FetchStmt *s = (const PgQuery__FetchStmt *)m;
	if (s->ismove)
		a->stmt->verb = "move";
	note_text(a, PG_A_OBJECTS, sp_str(s->portalname));
	bool all = s->how_many == INT64_MAX || s->how_many < 0;
	a->stmt->limited = !all;
	a->stmt->limit = all ? 0 : (uint64_t)s->how_many;
}

static void
do_close(struct analysis *a, const ProtobufCMessage *m)
{
	note_text(a, PG_A_OBJECTS, sp_str(((const PgQuery__ClosePortalStmt *)m)->portalname));
}

static void
do_channel(struct analysis *a, const ProtobufCMessage *m)
{
	const char *name = *(const char *const *)(const void *)((const char *)m + m->descriptor->fields[0].offset);
	note_text(a, PG_A_OBJECTS, sp_str(name)); /* conditionname is the first field of all three */
}

static void
do_discard(struct analysis *a, const ProtobufCMessage *m)
{
	static const char *const what[] = {
		[PG_QUERY__DISCARD_MODE__DISCARD_ALL] = "all",
		[PG_QUERY__DISCARD_MODE__DISCARD_PLANS] = "plans",
		[PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES] = "sequences",
		[PG_QUERY__DISCARD_MODE__DISCARD_TEMP] = "temp",
	};
	unsigned target = ((const PgQuery__DiscardStmt *)m)->target;

	if (target < sizeof(what) / sizeof(*what) && what[target] != NULL)
		note_option(a, what[target]);
	if (target == PG_QUERY__DISCARD_MODE__DISCARD_ALL)
		note_setting(a, sp_str("all"), none, true);
}

static void
do_lock(struct analysis *a, const ProtobufCMessage *m)
{
	/* By number, as in PostgreSQL's lockdefs.h. */
	static const char *const mode[] = { "?", "access share", "row share", "row exclusive", "share update exclusive", "share",
		"share row exclusive", "exclusive", "access exclusive" };
	const PgQuery__LockStmt *s = (const PgQuery__LockStmt *)m;
	note_flag(&a->stmt->locking, true);
	note_option(a, s->mode > 0 && (size_t)s->mode < sizeof(mode) / sizeof(*mode) ? mode[s->mode] : mode[0]);
	if (s->nowait)
		note_option(a, "nowait");
	analyse_define_list(a, s->n_relations, s->relations, 0);
}

static void
do_truncate(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__TruncateStmt *s = (const PgQuery__TruncateStmt *)m;
	note_flag(&a->stmt->where, false);
	if (s->restart_seqs)
		note_option(a, "restart identity");
	if (s->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
		note_option(a, "cascade");
	analyse_define_list(a, s->n_relations, s->relations, PG_WRITE);
}

/* ---- queries ---- */

static void
do_select(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__SelectStmt *s = (const PgQuery__SelectStmt *)m;
	const PgQuery__SelectStmt *first = s;

	while (first->op != PG_QUERY__SET_OPERATION__SETOP_NONE && first->larg != NULL)
		first = first->larg;
	if (first->into_clause != NULL)
		a->stmt->verb = "select into";
	a->stmt->select = s;
	analyse_select(a, s, a->outputs);
}

static void
do_insert(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_insert(a, (const PgQuery__InsertStmt *)m, a->outputs);
}

static void
do_update(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_update(a, (const PgQuery__UpdateStmt *)m, a->outputs);
}

static void
do_delete(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_delete(a, (const PgQuery__DeleteStmt *)m, a->outputs);
}

static void
do_merge(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_merge(a, (const PgQuery__MergeStmt *)m);
}

static void
do_copy(struct analysis *a, const ProtobufCMessage *m)
{
	analyse_copy_stmt(a, (const PgQuery__CopyStmt *)m);
}

/* On unless it says off: a doubt counts as ANALYZE. */
static void
do_explain(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ExplainStmt *s = (const PgQuery__ExplainStmt *)m;
	bool analyze = false;

	for (size_t i = 0; i < s->n_options; i++) {
		const PgQuery__DefElem *e = s->options[i]->def_elem;
		if (s->options[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
			continue;
		if (strcmp(e->defname, "analyze") == 0)
			analyze = analyze || define_is_on(WALK(e->arg));
		note_option(a, e->defname);
	}
	note_flag(&a->stmt->analyze, analyze);
	analyse_nested(a, WALK(s->query), NULL);
}

/* ---- code ---- */

static void
do_block(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__DoStmt *s = (const PgQuery__DoStmt *)m;

	a->stmt->language = sp_str("plpgsql");
	for (size_t i = 0; i < s->n_args; i++)
		if (s->args[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM && strcmp(s->args[i]->def_elem->defname, "language") == 0)
			a->stmt->language = analyse_constant(a, WALK(s->args[i]->def_elem->arg));
	note_hide_code(a, a->begin, a->end);
	note_unclear(a, "code", sp_str(analyse_joined(a, "do", (const char *)a->stmt->language.p)));
}

static void
do_call(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__CallStmt *s = (const PgQuery__CallStmt *)m;
	if (s->funccall != NULL)
		analyse_visit(a, &s->funccall->base);
}

static void
do_load(struct analysis *a, const ProtobufCMessage *m)
{
	const char *file = ((const PgQuery__LoadStmt *)m)->filename;
	note_text(a, PG_A_OBJECTS, sp_str(file));
	note_unclear(a, "code", sp_str(analyse_joined(a, "load", file)));
}

static void
do_extension(struct analysis *a, const ProtobufCMessage *m)
{
	const char *name = *(const char *const *)(const void *)((const char *)m + m->descriptor->fields[0].offset);
	define_plain(a, m);
	note_unclear(a, "code", sp_str(analyse_joined(a, "extension", name)));
}

static void
do_language(struct analysis *a, const ProtobufCMessage *m)
{
	const char *name = ((const PgQuery__CreatePLangStmt *)m)->plname;
	note_text(a, PG_A_OBJECTS, sp_str(name));
	note_unclear(a, "code", sp_str(analyse_joined(a, "language", name)));
}

static void
do_define(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__DefineStmt *s = (const PgQuery__DefineStmt *)m;
	a->stmt->object = define_kind(s->kind);
	a->stmt->verb = analyse_joined(a, "create", a->stmt->object);
	define_plain(a, m);
}

static void
every_table(struct analysis *a)
{
	struct sp_bytes all = sp_str("?.?");
	note_text(a, PG_A_TABLES, all);
	note_text(a, PG_A_TABLES_WRITTEN, all);
}

static void
do_vacuum(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__VacuumStmt *s = (const PgQuery__VacuumStmt *)m;

	if (!s->is_vacuumcmd)
		a->stmt->verb = "analyze";
	for (size_t i = 0; i < s->n_options; i++)
		if (s->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM)
			note_option(a, s->options[i]->def_elem->defname);
	analyse_define_list(a, s->n_rels, s->rels, PG_WRITE);
	if (s->n_rels == 0)
		every_table(a);
}

static void
do_cluster(struct analysis *a, const ProtobufCMessage *m)
{
	define_plain(a, m);
	if (((const PgQuery__ClusterStmt *)m)->relation == NULL)
		every_table(a);
}

static void
do_reassign(struct analysis *a, const ProtobufCMessage *m)
{
	every_table(a); /* that the role owns */
	define_plain(a, m);
}

static void
do_import(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ImportForeignSchemaStmt *s = (const PgQuery__ImportForeignSchemaStmt *)m;
	note_add(a, PG_A_TABLES, analyse_dotted(a, sp_str(s->local_schema), sp_str("?"), none));
	note_add(a, PG_A_TABLES_WRITTEN, analyse_dotted(a, sp_str(s->local_schema), sp_str("?"), none));
	note_text(a, PG_A_OBJECTS, sp_str(s->server_name));
}

static void
do_reindex(struct analysis *a, const ProtobufCMessage *m)
{
	const PgQuery__ReindexStmt *s = (const PgQuery__ReindexStmt *)m;

	if (s->relation != NULL && s->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX)
		note_add(a, PG_A_OBJECTS, analyse_dotted(a, sp_str(s->relation->schemaname), sp_str(s->relation->relname), none));
	else if (s->relation != NULL)
		note_add(a, PG_A_OBJECTS, note_table(a, s->relation, PG_WRITE, NULL));
	note_text(a, PG_A_OBJECTS, sp_str(s->name));
}

/* ---- the table ---- */

#define W PG_WRITE
#define R PG_READ
#define D PG_DDL
#define C PG_DCL
#define S PG_SESSION
#define X PG_EXECUTE
#define HIDES 256u /* every string in it may be a secret */

static const struct {
	const char *verb, *object;
	unsigned effects;
	void (*look)(struct analysis *a, const ProtobufCMessage *m);
} statements[] = {
#define STATEMENT(node) [PG_QUERY__NODE__NODE_##node]
	STATEMENT(SELECT_STMT) = { "select", NULL, R, do_select },
	STATEMENT(INSERT_STMT) = { "insert", NULL, W, do_insert },
	STATEMENT(UPDATE_STMT) = { "update", NULL, W, do_update },
	STATEMENT(DELETE_STMT) = { "delete", NULL, W, do_delete },
	STATEMENT(MERGE_STMT) = { "merge", NULL, R | W, do_merge },
	STATEMENT(COPY_STMT) = { "copy", NULL, 0, do_copy },
	STATEMENT(TRUNCATE_STMT) = { "truncate", "table", W, do_truncate },
	STATEMENT(EXPLAIN_STMT) = { "explain", NULL, R, do_explain },
	STATEMENT(PREPARE_STMT) = { "prepare", NULL, S, do_prepare },
	STATEMENT(EXECUTE_STMT) = { "execute", NULL, 0, do_execute },
	STATEMENT(DEALLOCATE_STMT) = { "deallocate", NULL, S, do_deallocate },
	STATEMENT(DECLARE_CURSOR_STMT) = { "declare", NULL, S, do_declare },
	STATEMENT(FETCH_STMT) = { "fetch", NULL, R, do_fetch },
	STATEMENT(CLOSE_PORTAL_STMT) = { "close", NULL, S, do_close },
	STATEMENT(TRANSACTION_STMT) = { "transaction", NULL, S, do_transaction },
	STATEMENT(VARIABLE_SET_STMT) = { "set", NULL, S, do_set },
	STATEMENT(VARIABLE_SHOW_STMT) = { "show", NULL, R, do_show },
	STATEMENT(DISCARD_STMT) = { "discard", NULL, S, do_discard },
	STATEMENT(CONSTRAINTS_SET_STMT) = { "set constraints", NULL, S, NULL },
	STATEMENT(LOCK_STMT) = { "lock", "table", S, do_lock },
	STATEMENT(LISTEN_STMT) = { "listen", NULL, S, do_channel },
	STATEMENT(UNLISTEN_STMT) = { "unlisten", NULL, S, do_channel },
	STATEMENT(NOTIFY_STMT) = { "notify", NULL, S, do_channel },
	STATEMENT(DO_STMT) = { "do", NULL, X, do_block },
	STATEMENT(CALL_STMT) = { "call", NULL, X, do_call },
	STATEMENT(LOAD_STMT) = { "load", NULL, X, do_load },
	STATEMENT(CHECK_POINT_STMT) = { "checkpoint", NULL, X, NULL },
	STATEMENT(VACUUM_STMT) = { "vacuum", "table", W, do_vacuum },
	STATEMENT(CLUSTER_STMT) = { "cluster", "table", D, do_cluster },
	STATEMENT(REINDEX_STMT) = { "reindex", "index", D, do_reindex },
	STATEMENT(REFRESH_MAT_VIEW_STMT) = { "refresh materialized view", "materialized view", R | W, define_plain },

	STATEMENT(CREATE_STMT) = { "create table", "table", D, define_table },
	STATEMENT(CREATE_FOREIGN_TABLE_STMT) = { "create foreign table", "foreign table", D | HIDES, define_table },
	STATEMENT(CREATE_TABLE_AS_STMT) = { "create table as", "table", D | W, define_table_as },
	STATEMENT(VIEW_STMT) = { "create view", "view", D, define_view },
	STATEMENT(RULE_STMT) = { "create rule", "rule", D, define_rule },
	STATEMENT(INDEX_STMT) = { "create index", "index", D, define_plain },
	STATEMENT(CREATE_TRIG_STMT) = { "create trigger", "trigger", D | X, define_trigger },
	STATEMENT(CREATE_EVENT_TRIG_STMT) = { "create event trigger", "event trigger", D | X, define_trigger },
	STATEMENT(ALTER_EVENT_TRIG_STMT) = { "alter event trigger", "event trigger", D | X, define_plain },
	STATEMENT(CREATE_POLICY_STMT) = { "create policy", "policy", D | C, define_plain },
	STATEMENT(ALTER_POLICY_STMT) = { "alter policy", "policy", D | C, define_plain },
	STATEMENT(CREATE_SCHEMA_STMT) = { "create schema", "schema", D, define_schema },
	STATEMENT(CREATE_SEQ_STMT) = { "create sequence", "sequence", D, define_plain },
	STATEMENT(ALTER_SEQ_STMT) = { "alter sequence", "sequence", D, define_plain },
	STATEMENT(ALTER_TABLE_STMT) = { "alter table", "table", D, define_alter_table },
	STATEMENT(ALTER_TABLE_MOVE_ALL_STMT) = { "alter table", "tablespace", D, do_reassign },
	STATEMENT(RENAME_STMT) = { "alter", NULL, D, define_rename },
	STATEMENT(ALTER_OBJECT_SCHEMA_STMT) = { "alter", NULL, D, define_rename },
	STATEMENT(ALTER_OBJECT_DEPENDS_STMT) = { "alter", NULL, D, define_rename },
	STATEMENT(ALTER_OWNER_STMT) = { "alter", NULL, D | C, define_rename },
	STATEMENT(COMMENT_STMT) = { "comment", NULL, D, define_rename },
	STATEMENT(SEC_LABEL_STMT) = { "security label", NULL, D | C, define_rename },
	STATEMENT(DROP_STMT) = { "drop", NULL, D, define_drop },
	STATEMENT(CREATE_FUNCTION_STMT) = { "create function", "function", D, define_function },
	STATEMENT(ALTER_FUNCTION_STMT) = { "alter function", "function", D, define_alter_function },
	STATEMENT(CREATE_PLANG_STMT) = { "create language", "language", D | X, do_language },
	STATEMENT(DEFINE_STMT) = { "create", NULL, D, do_define },
	STATEMENT(COMPOSITE_TYPE_STMT) = { "create type", "type", D, define_plain },
	STATEMENT(CREATE_ENUM_STMT) = { "create type", "type", D, define_plain },
	STATEMENT(CREATE_RANGE_STMT) = { "create type", "type", D, define_plain },
	STATEMENT(ALTER_ENUM_STMT) = { "alter type", "type", D, define_plain },
	STATEMENT(ALTER_TYPE_STMT) = { "alter type", "type", D, define_plain },
	STATEMENT(CREATE_DOMAIN_STMT) = { "create domain", "domain", D, define_plain },
	STATEMENT(ALTER_DOMAIN_STMT) = { "alter domain", "domain", D, define_plain },
	STATEMENT(CREATE_CAST_STMT) = { "create cast", "cast", D | X, define_plain },
	STATEMENT(CREATE_CONVERSION_STMT) = { "create conversion", "conversion", D | X, define_plain },
	STATEMENT(CREATE_TRANSFORM_STMT) = { "create transform", "transform", D | X, define_plain },
	STATEMENT(CREATE_AM_STMT) = { "create access method", "access method", D | X, define_plain },
	STATEMENT(CREATE_OP_CLASS_STMT) = { "create operator class", "operator class", D | X, define_plain },
	STATEMENT(CREATE_OP_FAMILY_STMT) = { "create operator family", "operator family", D, define_plain },
	STATEMENT(ALTER_OP_FAMILY_STMT) = { "alter operator family", "operator family", D | X, define_plain },
	STATEMENT(ALTER_OPERATOR_STMT) = { "alter operator", "operator", D | X, define_plain },
	STATEMENT(ALTER_COLLATION_STMT) = { "alter collation", "collation", D, define_plain },
	STATEMENT(CREATE_STATS_STMT) = { "create statistics", "statistics", D, define_plain },
	STATEMENT(ALTER_STATS_STMT) = { "alter statistics", "statistics", D, define_plain },
	STATEMENT(ALTER_TSDICTIONARY_STMT) = { "alter text search dictionary", "text search dictionary", D, define_plain },
	STATEMENT(ALTER_TSCONFIGURATION_STMT) = { "alter text search configuration", "text search configuration", D, define_plain },
	STATEMENT(CREATE_EXTENSION_STMT) = { "create extension", "extension", D | X, do_extension },
	STATEMENT(ALTER_EXTENSION_STMT) = { "alter extension", "extension", D | X, do_extension },
	STATEMENT(ALTER_EXTENSION_CONTENTS_STMT) = { "alter extension", "extension", D | X, do_extension },
	STATEMENT(CREATEDB_STMT) = { "create database", "database", D, define_plain },
	STATEMENT(DROPDB_STMT) = { "drop database", "database", D, define_plain },
	STATEMENT(ALTER_DATABASE_STMT) = { "alter database", "database", D, define_plain },
	STATEMENT(ALTER_DATABASE_SET_STMT) = { "alter database", "database", D | S, do_alter_database_set },
	STATEMENT(ALTER_DATABASE_REFRESH_COLL_STMT) = { "alter database", "database", D, define_plain },
	STATEMENT(ALTER_SYSTEM_STMT) = { "alter system", NULL, D | X, do_alter_system },
	STATEMENT(CREATE_TABLE_SPACE_STMT) = { "create tablespace", "tablespace", D | X, define_plain },
	STATEMENT(DROP_TABLE_SPACE_STMT) = { "drop tablespace", "tablespace", D | X, define_plain },
	STATEMENT(ALTER_TABLE_SPACE_OPTIONS_STMT) = { "alter tablespace", "tablespace", D, define_plain },
	STATEMENT(CREATE_PUBLICATION_STMT) = { "create publication", "publication", D, define_plain },
	STATEMENT(ALTER_PUBLICATION_STMT) = { "alter publication", "publication", D, define_plain },
	STATEMENT(CREATE_SUBSCRIPTION_STMT) = { "create subscription", "subscription", D | X | HIDES, define_plain },
	STATEMENT(ALTER_SUBSCRIPTION_STMT) = { "alter subscription", "subscription", D | X | HIDES, define_plain },
	STATEMENT(DROP_SUBSCRIPTION_STMT) = { "drop subscription", "subscription", D | X, define_plain },
	STATEMENT(CREATE_FDW_STMT) = { "create foreign data wrapper", "foreign data wrapper", D | X | HIDES, define_plain },
	STATEMENT(ALTER_FDW_STMT) = { "alter foreign data wrapper", "foreign data wrapper", D | X | HIDES, define_plain },
	STATEMENT(CREATE_FOREIGN_SERVER_STMT) = { "create server", "server", D | X | HIDES, define_plain },
	STATEMENT(ALTER_FOREIGN_SERVER_STMT) = { "alter server", "server", D | X | HIDES, define_plain },
	STATEMENT(CREATE_USER_MAPPING_STMT) = { "create user mapping", "user mapping", C | HIDES, define_plain },
	STATEMENT(ALTER_USER_MAPPING_STMT) = { "alter user mapping", "user mapping", C | HIDES, define_plain },
	STATEMENT(DROP_USER_MAPPING_STMT) = { "drop user mapping", "user mapping", C, define_plain },
	STATEMENT(IMPORT_FOREIGN_SCHEMA_STMT) = { "import foreign schema", "foreign table", D | X | HIDES, do_import },

	STATEMENT(GRANT_STMT) = { "grant", NULL, C, define_grant },
	STATEMENT(GRANT_ROLE_STMT) = { "grant", "role", C, define_grant_role },
	STATEMENT(ALTER_DEFAULT_PRIVILEGES_STMT) = { "alter default privileges", NULL, C, define_grant },
	STATEMENT(CREATE_ROLE_STMT) = { "create role", "role", C, define_role },
	STATEMENT(ALTER_ROLE_STMT) = { "alter role", "role", C, define_role },
	STATEMENT(ALTER_ROLE_SET_STMT) = { "alter role", "role", C | S, do_alter_role_set },
	STATEMENT(DROP_ROLE_STMT) = { "drop role", "role", C, define_plain },
	STATEMENT(DROP_OWNED_STMT) = { "drop owned", "role", D | C, do_reassign },
	STATEMENT(REASSIGN_OWNED_STMT) = { "reassign owned", "role", D | C, do_reassign },
#undef STATEMENT
};

void
analyse_statement(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r)
{
	walk_case which = m == NULL ? PG_QUERY__NODE__NODE__NOT_SET : walk_case_of(m);
	bool known = which < sizeof(statements) / sizeof(*statements) && statements[which].verb != NULL;
	struct outputs open = { .open = true }, *outer = a->outputs;

	if (outputs_r != NULL)
		*outputs_r = open;
	if (a->stmt == NULL || a->failed)
		return;
	if (!known || m->n_unknown_fields > 0) {
		note_unclear(a, "node", sp_str(m == NULL ? "?" : walk_name(m)));
		return;
	}
	a->stmt->verb = statements[which].verb;
	a->stmt->object = statements[which].object;
	note_effects(a, statements[which].effects & ~HIDES);
	if ((statements[which].effects & HIDES) != 0)
		note_hide_text(a, a->begin, a->end, false);
	a->outputs = outputs_r != NULL ? outputs_r : &open;
	if (statements[which].look != NULL)
		statements[which].look(a, m);
	a->outputs = outer;
}

void
analyse_nested(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r)
{
	struct stmt *outer = a->stmt, *s = analyse_stmt(a, "unclear");

	if (s == NULL)
		return;
	s->nested = true;
	a->stmt = s;
	analyse_statement(a, m, outputs_r);
	a->stmt = outer;
}
