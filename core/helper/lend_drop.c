/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping a role, and finding those that nobody gave back.  Only what bears our mark (ID12); each step
 * may be repeated, so that one which died anywhere is gone through again.
 */
#include <config.h>

#include "lend.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/log.h"

#define ENDING_MS "5000" /* until a backend has ended */

/* Formats with at most two of the role, its parent and a literal, all quoted; NUL-terminated. */
static int
words(struct buffer *sql, const char *fmt, const char *one, const char *two)
{
	int rc = SP_OK;
	for (const char *p = fmt; *p != '\0' && rc == SP_OK; p++) {
		if (*p == '@')
			rc = pg_name(sql, one);
		else if (*p == '#')
			rc = pg_name(sql, two);
		else if (*p == '$')
			rc = pg_literal(sql, one);
		else
			rc = buffer_printf(sql, "%c", *p);
	}
	return rc == SP_OK ? buffer_put(sql, (struct sp_bytes){ (const uint8_t *)"", 1 }) : rc;
}

static void
ask(struct job *j, struct pg *c, const char *fmt, pg_done done)
{
	struct buffer sql = { 0 };
	if (words(&sql, fmt, j->role, j->parent) == SP_OK)
		pg_ask(c, (const char *)buffer_bytes(&sql).p, DROP_MS, done, j);
	else
		job_dropped(j, false, "no memory");
	buffer_free(&sql);
}

/* True when it went wrong, and the job is over. */
static bool
failed(struct job *j, const struct pg_answer *a)
{
	if (!a->ok)
		job_dropped(j, false, a->text);
	return !a->ok;
}

/* ---- steps, the last one first ---- */

static void
dropped(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	if (!failed(j, a))
		job_dropped(j, true, "");
}

static void next_database(struct job *j);

static void
emptied(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	if (failed(j, a))
		return;
	j->at_database++;
	next_database(j);
}

/* A connection for one database: the last one stays until another is needed. */
static struct pg *
connection_in(struct admin *a, const char *database)
{
	if (strcmp(database, a->database) == 0)
		return a->back;
	if (a->other_database != NULL && strcmp(a->other_database, database) == 0)
		return a->other;
	pg_free(&a->other);
	free(a->other_database);
	a->other_database = mem_string(sp_str(database));
	const struct pg_login login = { a->server, database, a->user, a->tls, a->name, buffer_bytes(&a->ca), buffer_bytes(&a->crl), secret_bytes(a->password) };
	a->other = pg_new(a->h->process.base, &login);
	return a->other;
}

static void
next_database(struct job *j)
{
	if (j->at_database == j->ndatabases) {
		ask(j, j->at->back, "DROP ROLE @", dropped);
		return;
	}
	struct pg *c = connection_in(j->at, j->database[j->at_database]);
	if (c == NULL)
		job_dropped(j, false, "no memory");
	else
		ask(j, c, "REASSIGN OWNED BY @ TO #; DROP OWNED BY @", emptied);
}

static void
listed(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	if (failed(j, a))
		return;
	j->database = mem_alloc(((size_t)a->rows + 1) * sizeof(*j->database));
	/* Where it is, there may be objects that belong to no database. */
	j->database[j->ndatabases++] = mem_string(sp_str(j->at->database));
	for (int i = 0; i < a->rows; i++)
		if (strcmp(pg_cell(a, i, 0), j->at->database) != 0)
			j->database[j->ndatabases++] = mem_string(sp_str(pg_cell(a, i, 0)));
	next_database(j);
}

static void
ended(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	if (failed(j, a))
		return;
	/* By its number, which is digits. */
	char sql[512];
	(void)snprintf(sql, sizeof(sql), "SELECT DISTINCT d.datname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid "
		"WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = %s", j->oid);
	pg_ask(j->at->back, sql, DROP_MS, listed, j);
}

static void
disarmed(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	if (failed(j, a))
		return;
	ask(j, j->at->back, pg_version(j->at->back) >= 140000 ?
	    "SELECT pg_catalog.pg_terminate_backend(pid, " ENDING_MS ") FROM pg_catalog.pg_stat_activity WHERE usename = $" :
	    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = $", ended);
}

/* Of the admin's own rights over a role that it made: PostgreSQL 16 gives it ADMIN and no more, older ones nothing. */
static void
known(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	char session[ID_TEXT];
	if (failed(j, a))
		return;
	if (a->rows == 0) {
		job_dropped(j, true, ""); /* gone already */
		return;
	}
	if (!mark_read(j->mark, j->role, j->target, pg_cell(a, 0, 1), session)) {
		job_dropped(j, false, "it does not bear the gateway's mark: it is somebody else's");
		return;
	}
	j->oid = mem_string(sp_str(pg_cell(a, 0, 0)));
	ask(j, j->at->back, "ALTER ROLE @ NOLOGIN; GRANT @ TO CURRENT_USER", disarmed);
}

#define KNOWN "SELECT oid, pg_catalog.shobj_description(oid, 'pg_authid'), rolname FROM pg_catalog.pg_roles WHERE "

void
drop_begin(struct job *j)
{
	ask(j, j->at->back, KNOWN "rolname = $", known);
}

/* ---- sweeping ---- */

static bool
kept(const struct job *j, const char *session)
{
	size_t i;
	const json_t *one;
	json_array_foreach(j->keep, i, one)
		if (json_is_string(one) && strcmp(json_string_value(one), session) == 0)
			return true;
	return false;
}

static void
looked(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	char session[ID_TEXT];
	for (int i = 0; a->ok && i < a->rows; i++) {
		const char *role = pg_cell(a, i, 2);
		if (!mark_read(j->mark, role, j->target, pg_cell(a, i, 1), session) || kept(j, session) || lend_is_out(lend_of(j->at), role))
			continue;
		log_info("role %s of session %s was left over", log_quote(sp_str(role)), session);
		if (buffer_printf(&j->swept, "%s%s", j->swept.len == 0 ? "" : " ", role) == SP_OK)
			job_drop_also(j, role);
	}
	job_swept(j, a->ok, a->ok ? "" : a->text);
}

void
sweep_begin(struct job *j)
{
	pg_ask(j->at->back, KNOWN "pg_catalog.starts_with(rolname, '" LEND_PREFIX "')", DROP_MS, looked, j);
}
