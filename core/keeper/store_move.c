/* SPDX-License-Identifier: Apache-2.0 */
/* A store's rows from SQLite to PostgreSQL. */
#include <config.h>

#include "store_move.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_engine.h"

/* All that gateways share: every table but those of a gateway's own (ledger, provider, renewal). */
static const char *const tables[] = {
	"session", "token", "revoked", "approval", "vote", "estimate", "grants", "ticket", "code", "signin", "hook", "gateway", "wish", "change", "share", "session_group",
};
#define TABLES (sizeof(tables) / sizeof(*tables))
/* The file keeps a copy: a gateway that is started on it again must not take what was revoked or used up. */
static const char *const kept[] = { "token", "revoked" };
#define TELL_EVERY 1000

struct move {
	struct engine *from, *to;
	struct store_moved table[TABLES];
	const struct store_moved *now;
	uint64_t done;
	store_progress *progress;
};

static int
add_row(void *owner, const struct field *row)
{
	struct move *m = owner;
	int rc = store_postgres_add(m->to, m->now->types, row);
	if (rc == SP_OK && ++m->done % TELL_EVERY == 0)
		m->progress(m->now->name, m->done, m->now->rows);
	return rc;
}

static int
move_table(struct move *m, struct store_moved *t)
{
	struct buffer sql = { 0 };
	int rc = store_sqlite_walk(m->from, t, NULL, NULL);
	struct sp_bytes names = buffer_bytes(&t->columns);
	if (rc == SP_OK)
		rc = buffer_printf(&sql, "INSERT INTO %s(%.*s) VALUES(", t->name, (int)names.len, (const char *)names.p);
	for (size_t i = 0; rc == SP_OK && t->types[i] != '\0'; i++)
		rc = buffer_printf(&sql, i == 0 ? "?" : ", ?");
	if (rc == SP_OK)
		rc = buffer_put(&sql, (struct sp_bytes){ (const uint8_t *)")", 2 });
	if (rc == SP_OK)
		rc = store_postgres_expect(m->to, (const char *)buffer_bytes(&sql).p, t->types);
	m->now = t;
	m->done = 0;
	if (rc == SP_OK)
		rc = store_sqlite_walk(m->from, t, add_row, m);
	buffer_free(&sql);
	if (rc == SP_OK)
		m->progress(t->name, t->rows, t->rows);
	return rc;
}

/* Nobody's rows are mixed with others'. */
static int
check_empty(struct move *m, const char **err_r)
{
	for (size_t i = 0; i < TABLES; i++) {
		long n = store_postgres_count(m->to, tables[i]);
		if (n == 0)
			continue;
		*err_r = n < 0 ? "the store's tables can't be read" : "the store at the server has rows already: move into an empty database, "
		    "or, when an earlier move said that it was done, start the gateway";
		return SP_ECONF;
	}
	return SP_OK;
}

static int
check_counts(struct move *m)
{
	int rc = SP_OK;
	for (size_t i = 0; i < TABLES && rc == SP_OK; i++)
		rc = store_postgres_count(m->to, tables[i]) == (long)m->table[i].rows ? SP_OK : SP_EIO;
	return rc;
}

static bool
is_kept(const char *table)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (strcmp(kept[i], table) == 0)
			return true;
	return false;
}

static int
move_all(struct move *m, const char *file, const char **err_r)
{
	size_t size = strlen(file) + sizeof(STORE_MOVED_END);
	char *copy = mem_alloc(size);
	(void)snprintf(copy, size, "%s%s", file, STORE_MOVED_END);
	*err_r = "the store at the server does not take part";
	int rc = store_postgres_begin(m->to);
	if (rc == SP_OK)
		rc = check_empty(m, err_r);
	for (size_t i = 0; i < TABLES && rc == SP_OK; i++) {
		*err_r = "a row could not be moved: nothing was changed";
		m->table[i].name = tables[i];
		rc = move_table(m, &m->table[i]);
	}
	if (rc == SP_OK && (rc = check_counts(m)) != SP_OK)
		*err_r = "not all rows have arrived: nothing was changed";
	if (rc == SP_OK && (rc = store_sqlite_copy(m->from, copy)) != SP_OK)
		*err_r = "the file can't be copied: nothing was changed";
	if (rc == SP_OK && (rc = m->to->kind->commit(m->to)) != SP_OK)
		*err_r = "the server did not say whether it has kept the rows: look there before you try again";
	for (size_t i = 0; i < TABLES && rc == SP_OK; i++)
		if (!is_kept(tables[i]) && (rc = store_sqlite_empty(m->from, tables[i])) != SP_OK)
			*err_r = "all rows are moved, but the file still has them: don't start a gateway on it";
	free(copy);
	return rc;
}

int
store_move(const char *file, const struct store_server *server, store_progress *progress, const char **err_r)
{
	struct move m = { .progress = progress };
	if (access(file, F_OK) != 0) {
		*err_r = "there is no such file: `store postgresql://… folder=` must name the folder in which state.db is";
		return SP_ECONF;
	}
	int rc = store_sqlite_open(file, &m.from, err_r);
	if (rc == SP_EIO)
		*err_r = "it is in use by another keeper: stop the gateway first; or it can't be read";
	if (rc == SP_OK)
		rc = store_postgres_open(server, &m.to, err_r);
	if (rc == SP_OK)
		rc = move_all(&m, file, err_r);
	for (size_t i = 0; i < TABLES; i++)
		buffer_free(&m.table[i].columns);
	if (m.to != NULL) {
		m.to->dirty = false; /* what is not committed is not wanted */
		m.to->kind->close(m.to);
	}
	if (m.from != NULL)
		m.from->kind->close(m.from);
	return rc;
}
