/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions are built in (a generated table), and which of them do more than compute. */
#include "analyse_functions.h"

#include <stdlib.h>

struct builtin {
	const char *name;
	char volatility; /* the worst of those that share the name */
};

#include "analyse_builtins.h"

const char *const pg_effect_name[PG_EFFECTS] = { "read", "write", "ddl", "dcl", "session", "execute", "opaque" };

struct listed {
	const char *name;
	unsigned effects;
	enum pg_special special;
};

/* Built-in functions whose volatility does not say what they do; by name. */
static const struct listed listed[] = {
	{ "amvalidate", 0, PG_ORDINARY },
	{ "bernoulli", 0, PG_ORDINARY },
	{ "brin_desummarize_range", PG_WRITE, PG_ORDINARY },
	{ "brin_summarize_new_values", PG_WRITE, PG_ORDINARY },
	{ "brin_summarize_range", PG_WRITE, PG_ORDINARY },
	{ "clock_timestamp", 0, PG_ORDINARY },
	{ "current_query", 0, PG_ORDINARY },
	{ "currtid2", PG_READ, PG_TABLE_IN },
	{ "currval", PG_READ, PG_SEQUENCE },
	{ "cursor_to_xml", PG_OPAQUE, PG_RUNS },
	{ "cursor_to_xmlschema", 0, PG_ORDINARY },
	{ "database_to_xml", PG_OPAQUE, PG_RUNS },
	{ "database_to_xml_and_xmlschema", PG_OPAQUE, PG_RUNS },
	{ "gen_random_uuid", 0, PG_ORDINARY },
	{ "gin_clean_pending_list", PG_WRITE, PG_ORDINARY },
	{ "lastval", 0, PG_SEQUENCES },
	{ "lo_close", PG_SESSION, PG_ORDINARY },
	{ "lo_creat", PG_WRITE, PG_LARGE },
	{ "lo_create", PG_WRITE, PG_LARGE },
	{ "lo_export", PG_READ | PG_EXECUTE, PG_LARGE },
	{ "lo_from_bytea", PG_WRITE, PG_LARGE },
	{ "lo_get", PG_READ, PG_LARGE },
	{ "lo_import", PG_WRITE | PG_EXECUTE, PG_LARGE },
	{ "lo_lseek", PG_SESSION, PG_CARRIES },
	{ "lo_lseek64", PG_SESSION, PG_CARRIES },
	{ "lo_open", PG_READ | PG_SESSION, PG_LARGE },
	{ "lo_put", PG_WRITE, PG_LARGE },
	{ "lo_tell", PG_SESSION, PG_ORDINARY },
	{ "lo_tell64", PG_SESSION, PG_ORDINARY },
	{ "lo_truncate", PG_WRITE, PG_LARGE },
	{ "lo_truncate64", PG_WRITE, PG_LARGE },
	{ "lo_unlink", PG_WRITE, PG_LARGE },
	{ "loread", PG_READ, PG_LARGE },
	{ "lowrite", PG_WRITE, PG_LARGE },
	{ "nextval", PG_WRITE, PG_SEQUENCE },
	{ "pg_advisory_lock", PG_SESSION, PG_CARRIES },
	{ "pg_advisory_lock_shared", PG_SESSION, PG_CARRIES },
	{ "pg_advisory_unlock", PG_SESSION, PG_ORDINARY },
	{ "pg_advisory_unlock_all", PG_SESSION, PG_ORDINARY },
	{ "pg_advisory_unlock_shared", PG_SESSION, PG_ORDINARY },
	{ "pg_advisory_xact_lock", PG_SESSION, PG_CARRIES },
	{ "pg_advisory_xact_lock_shared", PG_SESSION, PG_CARRIES },
	{ "pg_blocking_pids", 0, PG_ORDINARY },
	{ "pg_collation_actual_version", 0, PG_ORDINARY },
	{ "pg_control_checkpoint", 0, PG_ORDINARY },
	{ "pg_control_init", 0, PG_ORDINARY },
	{ "pg_control_recovery", 0, PG_ORDINARY },
	{ "pg_control_system", 0, PG_ORDINARY },
	{ "pg_current_wal_flush_lsn", 0, PG_ORDINARY },
	{ "pg_current_wal_insert_lsn", 0, PG_ORDINARY },
	{ "pg_current_wal_lsn", 0, PG_ORDINARY },
	{ "pg_database_collation_actual_version", 0, PG_ORDINARY },
	{ "pg_database_size", 0, PG_ORDINARY },
	{ "pg_export_snapshot", PG_SESSION, PG_ORDINARY },
	{ "pg_get_multixact_members", 0, PG_ORDINARY },
	{ "pg_get_shmem_allocations", 0, PG_ORDINARY },
	{ "pg_get_wal_replay_pause_state", 0, PG_ORDINARY },
	{ "pg_get_wal_resource_managers", 0, PG_ORDINARY },
	{ "pg_indexes_size", 0, PG_ORDINARY },
	{ "pg_is_in_recovery", 0, PG_ORDINARY },
	{ "pg_is_wal_replay_paused", 0, PG_ORDINARY },
	{ "pg_isolation_test_session_is_blocked", 0, PG_ORDINARY },
	{ "pg_jit_available", 0, PG_ORDINARY },
	{ "pg_last_committed_xact", 0, PG_ORDINARY },
	{ "pg_last_wal_receive_lsn", 0, PG_ORDINARY },
	{ "pg_last_wal_replay_lsn", 0, PG_ORDINARY },
	{ "pg_last_xact_replay_timestamp", 0, PG_ORDINARY },
	{ "pg_lock_status", 0, PG_ORDINARY },
	{ "pg_notification_queue_usage", 0, PG_ORDINARY },
	{ "pg_notify", PG_SESSION, PG_CARRIES },
	{ "pg_partition_ancestors", 0, PG_ORDINARY },
	{ "pg_partition_tree", 0, PG_ORDINARY },
	{ "pg_prepared_xact", 0, PG_ORDINARY },
	{ "pg_relation_size", 0, PG_ORDINARY },
	{ "pg_replication_origin_progress", 0, PG_ORDINARY },
	{ "pg_replication_origin_session_is_setup", 0, PG_ORDINARY },
	{ "pg_replication_origin_session_progress", 0, PG_ORDINARY },
	{ "pg_safe_snapshot_blocking_pids", 0, PG_ORDINARY },
	{ "pg_sequence_last_value", PG_READ, PG_SEQUENCE },
	{ "pg_show_replication_origin_status", 0, PG_ORDINARY },
	{ "pg_stat_clear_snapshot", 0, PG_ORDINARY },
	{ "pg_stat_force_next_flush", 0, PG_ORDINARY },
	{ "pg_stat_get_recovery_prefetch", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_blocks_fetched", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_blocks_hit", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_function_calls", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_function_self_time", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_function_total_time", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_numscans", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_deleted", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_fetched", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_hot_updated", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_inserted", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_returned", 0, PG_ORDINARY },
	{ "pg_stat_get_xact_tuples_updated", 0, PG_ORDINARY },
	{ "pg_stat_have_stats", 0, PG_ORDINARY },
	{ "pg_table_size", 0, PG_ORDINARY },
	{ "pg_tablespace_size", 0, PG_ORDINARY },
	{ "pg_total_relation_size", 0, PG_ORDINARY },
	{ "pg_try_advisory_lock", PG_SESSION, PG_CARRIES },
	{ "pg_try_advisory_lock_shared", PG_SESSION, PG_CARRIES },
	{ "pg_try_advisory_xact_lock", PG_SESSION, PG_CARRIES },
	{ "pg_try_advisory_xact_lock_shared", PG_SESSION, PG_CARRIES },
	{ "pg_xact_commit_timestamp", 0, PG_ORDINARY },
	{ "pg_xact_commit_timestamp_origin", 0, PG_ORDINARY },
	{ "pg_xact_status", 0, PG_ORDINARY },
	{ "query_to_xml", PG_OPAQUE, PG_RUNS },
	{ "query_to_xml_and_xmlschema", PG_OPAQUE, PG_RUNS },
	{ "query_to_xmlschema", PG_OPAQUE, PG_RUNS },
	{ "random", 0, PG_ORDINARY },
	{ "schema_to_xml", PG_OPAQUE, PG_RUNS },
	{ "schema_to_xml_and_xmlschema", PG_OPAQUE, PG_RUNS },
	{ "set_config", PG_SESSION, PG_SETS },
	{ "setseed", PG_SESSION, PG_CARRIES },
	{ "setval", PG_WRITE, PG_SEQUENCE },
	{ "system", 0, PG_ORDINARY },
	{ "table_to_xml", PG_READ, PG_TABLE_IN },
	{ "table_to_xml_and_xmlschema", PG_READ, PG_TABLE_IN },
	{ "timeofday", 0, PG_ORDINARY },
	{ "ts_rewrite", PG_OPAQUE, PG_RUNS },
	{ "ts_stat", PG_OPAQUE, PG_RUNS },
	{ "txid_status", 0, PG_ORDINARY },
};

/* Functions of extensions, by what begins their name; the first that fits. */
static const struct listed extensions[] = {
	{ "connectby", PG_OPAQUE, PG_RUNS },
	{ "crosstab", PG_OPAQUE, PG_RUNS },
	{ "dblink", PG_EXECUTE | PG_OPAQUE, PG_SECRETS },
	{ "pgp_", 0, PG_SECRETS },
	{ "pgr_", PG_OPAQUE, PG_RUNS },
	{ "xpath_table", PG_OPAQUE, PG_RUNS },
	{ "crypt", 0, PG_SECRETS },
	{ "encrypt", 0, PG_SECRETS },
	{ "decrypt", 0, PG_SECRETS },
	{ "hmac", 0, PG_SECRETS },
	{ "digest", 0, PG_SECRETS },
	{ "http", PG_EXECUTE, PG_SECRETS },
	{ "aws_", PG_EXECUTE, PG_SECRETS },
};

static int
compare(struct sp_bytes a, const char *b)
{
	size_t n = strlen(b);
	int order = memcmp(a.p, b, a.len < n ? a.len : n);
	return order != 0 ? order : (a.len > n) - (a.len < n);
}

static int
compare_builtin(const void *key, const void *entry)
{
	return compare(*(const struct sp_bytes *)key, ((const struct builtin *)entry)->name);
}

static int
compare_listed(const void *key, const void *entry)
{
	return compare(*(const struct sp_bytes *)key, ((const struct listed *)entry)->name);
}

static int
compare_name(const void *key, const void *entry)
{
	return compare(*(const struct sp_bytes *)key, *(const char *const *)entry);
}

#define FIND(key, table, how) bsearch(key, table, sizeof(table) / sizeof(*(table)), sizeof(*(table)), how)

bool
pg_builtin(struct sp_bytes name, struct pg_function_class *class_r)
{
	const struct builtin *b = name.len == 0 ? NULL : FIND(&name, builtins, compare_builtin);
	const struct listed *l = b == NULL ? NULL : FIND(&name, listed, compare_listed);

	*class_r = (struct pg_function_class){ .effects = PG_EXECUTE };
	if (l != NULL)
		*class_r = (struct pg_function_class){ .effects = l->effects, .special = l->special };
	else if (b != NULL && b->volatility != 'v')
		class_r->effects = 0;
	class_r->set = b != NULL && FIND(&name, sets, compare_name) != NULL;
	return b != NULL;
}

struct pg_function_class
pg_extension_function(struct sp_bytes name)
{
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		size_t n = strlen(extensions[i].name);
		if (name.len >= n && memcmp(name.p, extensions[i].name, n) == 0)
			return (struct pg_function_class){ .effects = extensions[i].effects | PG_EXECUTE, .special = extensions[i].special };
	}
	return (struct pg_function_class){ .effects = PG_EXECUTE };
}

bool
pg_builtin_operator(struct sp_bytes symbol)
{
	return symbol.len > 0 && FIND(&symbol, operators, compare_name) != NULL;
}

bool
pg_builtin_relation(struct sp_bytes name)
{
	return name.len > 0 && FIND(&name, relations, compare_name) != NULL;
}
