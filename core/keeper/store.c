/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's SQLite file: its tables, its statements, its commits. */
#include <config.h>

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"

#define COLUMNS_MAX 24

/* Version n is what schema[0..n) made; a newer file is refused. */
static const char *const schema[] = {
	"CREATE TABLE session(id BLOB PRIMARY KEY, principal TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,"
	" user TEXT NOT NULL, target TEXT NOT NULL, part TEXT NOT NULL, address TEXT NOT NULL, protocol TEXT NOT NULL,"
	" started INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, why INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '', operations INTEGER NOT NULL DEFAULT 0, denied INTEGER NOT NULL DEFAULT 0,"
	" rows INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE INDEX session_started ON session(started);"
	"CREATE INDEX session_live ON session(id) WHERE ended = 0;"
	"CREATE TABLE token(token TEXT PRIMARY KEY, address TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX token_expires ON token(expires);"
	"CREATE TABLE revoked(kind INTEGER NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL, not_before INTEGER NOT NULL,"
	" PRIMARY KEY(kind, issuer, name)) WITHOUT ROWID;"
	"CREATE TABLE ledger(number INTEGER PRIMARY KEY, session BLOB NOT NULL, kind INTEGER NOT NULL, entry BLOB NOT NULL);"
	"CREATE INDEX ledger_session ON ledger(session, number);"
	"CREATE TABLE approval(id TEXT PRIMARY KEY, session BLOB NOT NULL, op INTEGER NOT NULL, hash BLOB NOT NULL,"
	" rule TEXT NOT NULL, rule_hash BLOB NOT NULL, by TEXT NOT NULL, count INTEGER NOT NULL, created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL, next_run INTEGER NOT NULL, view TEXT NOT NULL, need_reason INTEGER NOT NULL,"
	" principal TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, person TEXT NOT NULL, user TEXT NOT NULL,"
	" target TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, decided INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '') WITHOUT ROWID;"
	"CREATE INDEX approval_open ON approval(state, expires);"
	"CREATE INDEX approval_session ON approval(session, op);"
	"CREATE INDEX approval_hash ON approval(hash);"
	"CREATE TABLE vote(approval TEXT NOT NULL, person TEXT NOT NULL, allow INTEGER NOT NULL, by TEXT NOT NULL,"
	" reason TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(approval, person)) WITHOUT ROWID;",
};
#define SCHEMA_VERSION ((int)(sizeof(schema) / sizeof(*schema)))

#define SESSION_COLUMNS \
	"id, principal, user, target, part, address, protocol, started, ended, why, text, operations, denied, rows, bytes, issuer, subject"
#define APPROVAL_COLUMNS \
	"id, session, op, hash, rule, rule_hash, by, count, created, expires, next_run, view, need_reason, principal, issuer," \
	" subject, person, user, target, state, decided, text"

static const struct {
	const char *sql, *args, *columns; /* q integer, t text, b blob */
} table[STORE_STATEMENTS] = {
	[STORE_SESSION_ADD] = { "INSERT INTO session(id, principal, issuer, subject, user, target, part, address, protocol, started)"
	    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING", "bttttttttq", "" },
	[STORE_SESSION_END] = { "UPDATE session SET ended = ?, why = ?, text = ?, operations = ?, denied = ?, rows = ?, bytes = ?"
	    " WHERE id = ? AND ended = 0", "qqtqqqqb", "" },
	[STORE_SESSION_OPEN_IDS] = { "SELECT id FROM session WHERE ended = 0", "", "b" },
	[STORE_SESSION_LIST] = { "SELECT " SESSION_COLUMNS " FROM session WHERE started < ?1 AND (NOT ?2 OR ended = 0)"
	    " AND (?3 = '' OR user = ?3) AND (?4 = '' OR target = ?4) AND (?5 = '' OR (issuer = ?5 AND subject = ?6))"
	    " ORDER BY started DESC LIMIT ?7", "qqttttq", "btttttt" "qqqtqqqq" "tt" },
	[STORE_SESSION_GET] = { "SELECT " SESSION_COLUMNS " FROM session WHERE id = ?", "b", "btttttt" "qqqtqqqq" "tt" },
	[STORE_TOKEN_SEEN] = { "INSERT INTO token VALUES(?, ?, ?) ON CONFLICT DO NOTHING", "ttq", "" },
	[STORE_TOKEN_GET] = { "SELECT address FROM token WHERE token = ?", "t", "t" },
	[STORE_TOKEN_FORGET] = { "DELETE FROM token WHERE expires < ?", "q", "" },
	[STORE_REVOKE] = { "INSERT INTO revoked VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET not_before = excluded.not_before"
	    " WHERE excluded.not_before > not_before", "qttq", "" },
	[STORE_REVOKED] = { "SELECT max(not_before) FROM (SELECT not_before FROM revoked WHERE kind = 1 AND issuer = ?1 AND name = ?2"
	    " UNION ALL SELECT not_before FROM revoked WHERE kind = 2 AND issuer IN ('', ?1) AND name = ?3)", "ttt", "q" },
	[STORE_REVOKED_FORGET] = { "DELETE FROM revoked WHERE not_before < ?", "q", "" },
	[STORE_LEDGER_ADD] = { "INSERT INTO ledger VALUES(?, ?, ?, ?)", "qbqb", "" },
	[STORE_LEDGER_LAST] = { "SELECT entry FROM ledger ORDER BY number DESC LIMIT 1", "", "b" },
	[STORE_LEDGER_SESSION] = { "SELECT entry FROM ledger WHERE session = ? ORDER BY number", "b", "b" },
	[STORE_LEDGER_SINCE] = { "SELECT entry FROM ledger WHERE number > ? ORDER BY number LIMIT 4096", "q", "b" },
	[STORE_LEDGER_LAST_OF] = { "SELECT entry FROM ledger WHERE session = ? ORDER BY number DESC LIMIT 1", "b", "b" },
	[STORE_APPROVAL_ADD] = { "INSERT INTO approval(id, session, op, hash, rule, rule_hash, by, count, created, expires, next_run,"
	    " view, need_reason, principal, issuer, subject, person, user, target)"
	    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "tbqbtbtqqqqtqtttttt", "" },
	[STORE_APPROVAL_GET] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE id = ?", "t", "tbqbtbtqqqqtqttttttqqt" },
	[STORE_APPROVAL_PREFIX] = { "SELECT id FROM approval WHERE id BETWEEN ? AND ? LIMIT 2", "tt", "t" },
	[STORE_APPROVAL_LIST] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE ?1 < 0 OR state = ?1 ORDER BY created DESC LIMIT ?2",
	    "qq", "tbqbtbtqqqqtqttttttqqt" },
	[STORE_APPROVAL_OF_OP] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE session = ? AND op = ? AND hash = ? AND rule_hash = ?"
	    " ORDER BY created DESC LIMIT 1", "bqbb", "tbqbtbtqqqqtqttttttqqt" },
	[STORE_APPROVAL_OF_RUN] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE hash = ? AND rule_hash = ? AND issuer = ?"
	    " AND subject = ? AND target = ? AND next_run = 1 AND state IN (0, 1) AND expires > ? ORDER BY state DESC LIMIT 1",
	    "bbtttq", "tbqbtbtqqqqtqttttttqqt" },
	[STORE_APPROVAL_OF_SESSION] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE session = ? AND state = ? AND next_run = 0",
	    "bq", "tbqbtbtqqqqtqttttttqqt" },
	[STORE_APPROVAL_STATE] = { "UPDATE approval SET state = ?1, decided = ?2, text = ?3, expires = ?4,"
	    " view = CASE WHEN ?1 IN (0, 1) THEN view ELSE '{}' END WHERE id = ?5 AND state = ?6 AND expires > ?7", "qqtqtqq", "" },
	[STORE_APPROVAL_PENDING] = { "SELECT count(*) FROM approval WHERE state = 0 AND issuer = ? AND subject = ?", "tt", "q" },
	[STORE_APPROVAL_DUE] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE state IN (0, 1) AND expires <= ? LIMIT 100", "q",
	    "tbqbtbtqqqqtqttttttqqt" },
	[STORE_VOTE_ADD] = { "INSERT INTO vote VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", "ttqttq", "" },
	[STORE_VOTES] = { "SELECT person, allow, by, reason, at FROM vote WHERE approval = ? ORDER BY at", "t", "tqttq" },
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statement[STORE_STATEMENTS];
	bool dirty;
	bool forgets; /* the text of a request went: the log of writes must lose it too */
};

static int
fail(struct store *s, const char *what)
{
	log_error("the store could not %s: %s", what, sqlite3_errmsg(s->db));
	return SP_EIO;
}

static int
run(struct store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SP_OK : fail(s, "run a statement");
}

/* ---- opening ---- */

static int
user_version(void *owner, int n, char **value, char **name)
{
	(void)n, (void)name;
	*(int *)owner = atoi(value[0]);
	return 0;
}

static int
migrate(struct store *s, const char **err_r)
{
	int version = -1;
	if (sqlite3_exec(s->db, "PRAGMA user_version", user_version, &version, NULL) != SQLITE_OK || version < 0) {
		*err_r = "the store's file is not a database of ours";
		return SP_ECONF;
	}
	if (version > SCHEMA_VERSION) {
		*err_r = "the store was written by a newer Sallyport";
		return SP_ECONF;
	}
	for (; version < SCHEMA_VERSION; version++) {
		char set[48];
		(void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", version + 1);
		if (run(s, "BEGIN IMMEDIATE") != SP_OK || run(s, schema[version]) != SP_OK || run(s, set) != SP_OK ||
		    run(s, "COMMIT") != SP_OK) {
			*err_r = "the store's tables could not be made";
			return SP_EIO;
		}
	}
	return SP_OK;
}

static int
prepare(struct store *s, const char **err_r)
{
	for (size_t i = 0; i < STORE_STATEMENTS; i++) {
		if (sqlite3_prepare_v3(s->db, table[i].sql, -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL) == SQLITE_OK &&
		    (size_t)sqlite3_bind_parameter_count(s->statement[i]) == strlen(table[i].args) &&
		    (size_t)sqlite3_column_count(s->statement[i]) == strlen(table[i].columns))
			continue;
		log_error("statement %zu of the store: %s", i, sqlite3_errmsg(s->db));
		*err_r = "the store's tables are not as they should be";
		return SP_EIO;
	}
	return SP_OK;
}

static int
open_file(const char *path, sqlite3 **db_r, const char **err_r)
{
	/* SQLite would make it readable for everybody that the umask allows; journal files take its mode. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("the store %s: %s", log_quote(sp_str(path)), strerror(errno));
		*err_r = "the store could not be opened";
		return SP_EIO;
	}
	(void)close(fd);
	if (sqlite3_open_v2(path, db_r, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		return SP_OK;
	*err_r = "the store could not be opened";
	return SP_EIO;
}

int
store_open(const char *path, struct store **s_r, const char **err_r)
{
	struct store *s = mem_alloc(sizeof(*s));
	*s_r = NULL;
	int rc = open_file(path, &s->db, err_r);
	if (rc == SP_OK) {
		(void)sqlite3_busy_timeout(s->db, 2000);
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		/* Exclusive: one keeper per store, and no shared memory file for the sandbox to allow. */
		rc = run(s, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			    " PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON");
		if (rc != SP_OK)
			*err_r = "the store is in use by another keeper, or is no database";
	}
	if (rc == SP_OK)
		rc = migrate(s, err_r);
	if (rc == SP_OK)
		rc = prepare(s, err_r);
	if (rc != SP_OK)
		store_close(&s);
	*s_r = s;
	return rc;
}

void
store_close(struct store **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < STORE_STATEMENTS; i++)
		(void)sqlite3_finalize((*s)->statement[i]);
	if ((*s)->dirty)
		(void)run(*s, "COMMIT");
	(void)sqlite3_close((*s)->db);
	free(*s);
	*s = NULL;
}

/* ---- statements ---- */

static int
bind(struct store *s, enum store_statement which, const struct field *args)
{
	sqlite3_stmt *st = s->statement[which];
	int rc = SQLITE_OK;
	for (int i = 0; rc == SQLITE_OK && table[which].args[i] != '\0'; i++) {
		const void *p = args[i].s.p == NULL ? "" : (const void *)args[i].s.p;
		switch (table[which].args[i]) {
		case 'q':
			rc = sqlite3_bind_int64(st, i + 1, (sqlite3_int64)args[i].q);
			break;
		case 't':
			rc = sqlite3_bind_text64(st, i + 1, p, args[i].s.len, SQLITE_STATIC, SQLITE_UTF8);
			break;
		default:
			rc = sqlite3_bind_blob64(st, i + 1, p, args[i].s.len, SQLITE_STATIC);
			break;
		}
	}
	return rc == SQLITE_OK ? SP_OK : fail(s, "take a value");
}

static void
columns(struct store *s, enum store_statement which, struct field row[COLUMNS_MAX])
{
	sqlite3_stmt *st = s->statement[which];
	for (int i = 0; table[which].columns[i] != '\0' && i < COLUMNS_MAX; i++) {
		if (table[which].columns[i] == 'q') {
			row[i] = (struct field)Q(sqlite3_column_int64(st, i));
			continue;
		}
		const void *p = table[which].columns[i] == 't' ? (const void *)sqlite3_column_text(st, i) : sqlite3_column_blob(st, i);
		row[i] = (struct field)S(((struct sp_bytes){ p, (size_t)sqlite3_column_bytes(st, i) }));
	}
}

static void
done(struct store *s, enum store_statement which)
{
	(void)sqlite3_reset(s->statement[which]);
	(void)sqlite3_clear_bindings(s->statement[which]);
}

long
store_write(struct store *s, enum store_statement which, const struct field *args)
{
	if (!s->dirty && run(s, "BEGIN IMMEDIATE") != SP_OK)
		return SP_EIO;
	s->dirty = true;
	int rc = bind(s, which, args);
	if (rc == SP_OK && sqlite3_step(s->statement[which]) != SQLITE_DONE)
		rc = fail(s, "write");
	done(s, which);
	s->forgets = s->forgets || which == STORE_APPROVAL_STATE;
	return rc == SP_OK ? (long)sqlite3_changes(s->db) : rc;
}

int
store_read(struct store *s, enum store_statement which, const struct field *args, store_row *row, void *owner)
{
	struct field values[COLUMNS_MAX] = { { 0 } };
	int rc = bind(s, which, args), step = SQLITE_DONE;
	while (rc == SP_OK && (step = sqlite3_step(s->statement[which])) == SQLITE_ROW) {
		columns(s, which, values);
		if (row != NULL)
			rc = row(owner, values);
	}
	if (rc == SP_OK && step != SQLITE_DONE)
		rc = fail(s, "read");
	done(s, which);
	return rc;
}

bool
store_dirty(const struct store *s)
{
	return s->dirty;
}

int
store_commit(struct store *s)
{
	if (!s->dirty)
		return SP_OK;
	if (run(s, "COMMIT") != SP_OK)
		return SP_EIO;
	s->dirty = false;
	if (!s->forgets)
		return SP_OK;
	/* The text of a request may hold a password: once it is decided not even the write-ahead log keeps it. */
	s->forgets = false;
	return run(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}
