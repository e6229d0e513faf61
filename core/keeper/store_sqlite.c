/* SPDX-License-Identifier: Apache-2.0 */
/* One SQLite file, of one keeper: WAL, and a commit is on disk when it returns. */
#include <config.h>

#include "store_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"

struct sqlite {
	struct engine e;
	sqlite3 *db;
	sqlite3_stmt *statement[STORE_STATEMENTS];
	bool forgets; /* the text of a request went: the log of writes must lose it too */
};

static int
fail(struct sqlite *s, const char *what)
{
	log_error("the store could not %s: %s", what, sqlite3_errmsg(s->db));
	return SP_EIO;
}

static int
run(struct sqlite *s, const char *sql)
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

/* VACUUM INTO takes an empty file, and ours is readable for nobody else. */
static int
copy_to(struct sqlite *s, const char *copy)
{
	size_t size = strlen(copy) + 5;
	char *fresh = mem_alloc(size);
	(void)snprintf(fresh, size, "%s.new", copy);
	(void)unlink(fresh);
	int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	char *sql = sqlite3_mprintf("VACUUM INTO %Q", fresh);
	int rc = fd < 0 || sql == NULL || run(s, sql) != SP_OK || fsync(fd) != 0 || rename(fresh, copy) != 0 ? SP_EIO : SP_OK;
	if (rc != SP_OK)
		log_error("the copy %s of the store could not be made: %s", copy, strerror(errno));
	sqlite3_free(sql);
	if (fd >= 0)
		(void)close(fd);
	free(fresh);
	return rc;
}

/* PATH.vN: what the former Sallyport would want back.  One that is there already is that. */
static int
back_up(struct sqlite *s, const char *path, int version)
{
	size_t size = strlen(path) + 32;
	char *copy = mem_alloc(size);
	(void)snprintf(copy, size, "%s.v%d", path, version);
	bool there = access(copy, F_OK) == 0;
	int rc = there ? SP_OK : copy_to(s, copy);
	if (rc == SP_OK && !there)
		log_info("the store is brought up to date; as it was it is in %s", copy);
	free(copy);
	return rc;
}

static int
migrate(struct sqlite *s, const char *path, const char **err_r)
{
	int version = -1;
	if (sqlite3_exec(s->db, "PRAGMA user_version", user_version, &version, NULL) != SQLITE_OK || version < 0) {
		*err_r = "the store's file is not a database of ours";
		return SP_ECONF;
	}
	if (version > (int)store_schema_version) {
		*err_r = "the store was written by a newer Sallyport";
		return SP_ECONF;
	}
	if (version > 0 && version < (int)store_schema_version && back_up(s, path, version) != SP_OK) {
		*err_r = "the store is older and could not be copied before it is brought up to date: the error log says why";
		return SP_EIO;
	}
	/* All that the list of sessions filters by: a hundred thousand are looked through in it, and not in their long rows. */
	static const char list[] = "CREATE INDEX IF NOT EXISTS session_list ON session(started, id, user, target, part, address, protocol, ended,"
				   " issuer, subject, operations, denied); DROP INDEX IF EXISTS session_started";
	for (; version < (int)store_schema_version; version++) {
		char set[48];
		(void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", version + 1);
		if (run(s, "BEGIN IMMEDIATE") != SP_OK || run(s, store_schema[version]) != SP_OK || run(s, set) != SP_OK ||
		    run(s, "COMMIT") != SP_OK) {
			*err_r = "the store's tables could not be made";
			return SP_EIO;
		}
	}
	if (run(s, list) == SP_OK)
		return SP_OK;
	*err_r = "the store's index could not be made";
	return SP_EIO;
}

static int
prepare(struct sqlite *s, const char **err_r)
{
	for (size_t i = 0; i < STORE_STATEMENTS; i++) {
		if (sqlite3_prepare_v3(s->db, store_table[i].sql, -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL) == SQLITE_OK &&
		    (size_t)sqlite3_bind_parameter_count(s->statement[i]) == strlen(store_table[i].args) &&
		    (size_t)sqlite3_column_count(s->statement[i]) == strlen(store_table[i].columns))
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
	bool memory = strcmp(path, STORE_MEMORY) == 0;
	int fd = memory ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && !memory) {
		log_error("the store %s: %s", log_quote(sp_str(path)), strerror(errno));
		*err_r = "the store could not be opened";
		return SP_EIO;
	}
	if (fd >= 0)
		(void)close(fd);
	if (sqlite3_open_v2(path, db_r, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		return SP_OK;
	*err_r = "the store could not be opened";
	return SP_EIO;
}

static void
sqlite_close(struct engine *e)
{
	struct sqlite *s = (struct sqlite *)e;
	for (size_t i = 0; i < STORE_STATEMENTS; i++)
		(void)sqlite3_finalize(s->statement[i]);
	if (s->e.dirty)
		(void)run(s, "COMMIT");
	(void)sqlite3_close(s->db);
	free(s);
}

/* ---- statements ---- */

static int
bind_values(struct sqlite *s, enum store_statement which, const struct field *args)
{
	sqlite3_stmt *st = s->statement[which];
	int rc = SQLITE_OK;
	for (int i = 0; rc == SQLITE_OK && store_table[which].args[i] != '\0'; i++) {
		const void *p = args[i].s.p == NULL ? "" : (const void *)args[i].s.p;
		switch (store_table[which].args[i]) {
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
columns(sqlite3_stmt *st, const char *types, struct field row[STORE_COLUMNS])
{
	for (int i = 0; types[i] != '\0' && i < STORE_COLUMNS; i++) {
		if (types[i] == 'q') {
			row[i] = (struct field)Q(sqlite3_column_int64(st, i));
			continue;
		}
		const void *p = types[i] == 't' ? (const void *)sqlite3_column_text(st, i) : sqlite3_column_blob(st, i);
		row[i] = (struct field)S(((struct sp_bytes){ p, (size_t)sqlite3_column_bytes(st, i) }));
	}
}

static void
done(struct sqlite *s, enum store_statement which)
{
	(void)sqlite3_reset(s->statement[which]);
	(void)sqlite3_clear_bindings(s->statement[which]);
}

static long
sqlite_write(struct engine *e, enum store_statement which, const struct field *args)
{
	struct sqlite *s = (struct sqlite *)e;
	if (!s->e.dirty && run(s, "BEGIN IMMEDIATE") != SP_OK)
		return SP_EIO;
	s->e.dirty = true;
	int rc = bind_values(s, which, args);
	if (rc == SP_OK && sqlite3_step(s->statement[which]) != SQLITE_DONE)
		rc = fail(s, "write");
	done(s, which);
	s->forgets = s->forgets || which == STORE_APPROVAL_STATE;
	return rc == SP_OK ? (long)sqlite3_changes(s->db) : rc;
}

static int
sqlite_read(struct engine *e, enum store_statement which, const struct field *args, store_row *row, void *owner)
{
	struct sqlite *s = (struct sqlite *)e;
	struct field values[STORE_COLUMNS] = { { 0 } };
	int rc = bind_values(s, which, args), step = SQLITE_DONE;
	while (rc == SP_OK && (step = sqlite3_step(s->statement[which])) == SQLITE_ROW) {
		columns(s->statement[which], store_table[which].columns, values);
		if (row != NULL)
			rc = row(owner, values);
	}
	if (rc == SP_OK && step != SQLITE_DONE)
		rc = fail(s, "read");
	done(s, which);
	return rc;
}

static int
sqlite_commit(struct engine *e)
{
	struct sqlite *s = (struct sqlite *)e;
	if (run(s, "COMMIT") != SP_OK)
		return SP_EIO;
	s->e.dirty = false;
	if (!s->forgets)
		return SP_OK;
	/* The text of a request may hold a password: once it is decided not even the write-ahead log keeps it. */
	s->forgets = false;
	return run(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}

/* ---- the engine ---- */

static const struct engine_kind sqlite_kind = { sqlite_write, sqlite_read, sqlite_commit, sqlite_close };

int
store_sqlite_open(const char *path, struct engine **e_r, const char **err_r)
{
	struct sqlite *s = mem_alloc(sizeof(*s));
	s->e.kind = &sqlite_kind;
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
		rc = migrate(s, path, err_r);
	if (rc == SP_OK)
		rc = prepare(s, err_r);
	if (rc == SP_OK)
		*e_r = &s->e;
	else
		sqlite_close(&s->e);
	return rc;
}

/* ---- moving out (store_move.c) ---- */

static const char *
type_letter(const char *declared)
{
	return strcmp(declared, "INTEGER") == 0 ? "q" : strcmp(declared, "TEXT") == 0 ? "t" : "b";
}

/* Its columns, and how many rows it has. */
static int
describe(struct sqlite *s, struct store_moved *t)
{
	sqlite3_stmt *st = NULL;
	size_t n = 0;
	int rc = SP_OK;
	if (sqlite3_prepare_v2(s->db, "SELECT name, type FROM pragma_table_info(?1) ORDER BY cid", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC) != SQLITE_OK)
		rc = fail(s, "describe a table");
	while (rc == SP_OK && sqlite3_step(st) == SQLITE_ROW) {
		rc = n == STORE_COLUMNS ? SP_ETOOBIG : buffer_printf(&t->columns, "%s%s", n == 0 ? "" : ", ", (const char *)sqlite3_column_text(st, 0));
		if (rc == SP_OK)
			t->types[n++] = *type_letter((const char *)sqlite3_column_text(st, 1));
	}
	(void)sqlite3_finalize(st);
	return rc;
}

int
store_sqlite_walk(struct engine *e, struct store_moved *t, store_row *row, void *owner)
{
	struct sqlite *s = (struct sqlite *)e;
	sqlite3_stmt *st = NULL;
	struct field values[STORE_COLUMNS] = { { 0 } };
	int rc = t->columns.len > 0 ? SP_OK : describe(s, t), step = SQLITE_DONE;
	if (rc != SP_OK)
		return rc;
	struct sp_bytes names = buffer_bytes(&t->columns);
	char *sql = sqlite3_mprintf("SELECT %.*s FROM %s", (int)names.len, (const char *)names.p, t->name);
	if (sql == NULL || sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		rc = fail(s, "read a table");
	for (t->rows = 0; rc == SP_OK && (step = sqlite3_step(st)) == SQLITE_ROW; t->rows++) {
		columns(st, t->types, values);
		rc = row == NULL ? SP_OK : row(owner, values);
	}
	if (rc == SP_OK && step != SQLITE_DONE)
		rc = fail(s, "read a table to its end");
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
	return rc;
}

int
store_sqlite_copy(struct engine *e, const char *to)
{
	return copy_to((struct sqlite *)e, to);
}

int
store_sqlite_empty(struct engine *e, const char *table)
{
	char sql[64];
	(void)snprintf(sql, sizeof(sql), "DELETE FROM %s", table);
	return run((struct sqlite *)e, sql);
}
