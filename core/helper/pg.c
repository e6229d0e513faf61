/* SPDX-License-Identifier: Apache-2.0 */
/* libpq's asynchronous half, driven by libevent. */
#include <config.h>

#include "pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/address.h"
#include "../base/clock.h"
#include "../base/settings.h"

#define PASSWORD_MAX 8192

enum pg_state { PG_CLOSED, PG_CONNECTING, PG_IDLE, PG_ASKED };

struct pg {
	enum pg_state state;
	struct event_base *base;
	struct event *event;
	PGconn *conn;
	PGresult *result;     /* of what is asked: the first error, or the last rows */
	char *server, *database, *user, *tls, *name;
	struct sp_secret *password;
	int ca, crl;          /* memfds; -1: none */
	char *sql;
	uint64_t deadline;    /* mono ms */
	pg_done done;
	void *owner;
	char why[256];
};

static void step(struct pg *c);

static void
on_event(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	step(owner);
}

/* libpq reads authorities, and what they revoked, from files only. */
static int
keep_file(struct sp_bytes pem, int *fd_r)
{
	*fd_r = -1;
	if (pem.len == 0)
		return SP_OK;
	int fd = memfd_create("authorities", MFD_CLOEXEC);
	if (fd < 0 || write(fd, pem.p, pem.len) != (ssize_t)pem.len) {
		if (fd >= 0)
			(void)close(fd);
		return SP_EIO;
	}
	*fd_r = fd;
	return SP_OK;
}

struct pg *
pg_new(struct event_base *base, const struct pg_login *login)
{
	struct pg *c = mem_alloc(sizeof(*c));
	*c = (struct pg){ .base = base, .server = mem_string(sp_str(login->server)), .database = mem_string(sp_str(login->database)),
		.user = mem_string(sp_str(login->user)), .tls = mem_string(sp_str(login->tls)), .name = mem_string(sp_str(login->name)),
		.password = secret_new(login->password), .ca = -1, .crl = -1 };
	c->event = event_new(base, -1, 0, on_event, c);
	if (c->password == NULL || c->event == NULL || keep_file(login->ca, &c->ca) != SP_OK || keep_file(login->crl, &c->crl) != SP_OK)
		pg_free(&c);
	return c;
}

static void
hang_up(struct pg *c)
{
	if (c->event != NULL)
		(void)event_del(c->event);
	PQclear(c->result);
	PQfinish(c->conn);
	c->result = NULL;
	c->conn = NULL;
	c->state = PG_CLOSED;
}

void
pg_free(struct pg **at)
{
	struct pg *c = *at;
	*at = NULL;
	if (c == NULL)
		return;
	hang_up(c);
	if (c->event != NULL)
		event_free(c->event);
	if (c->ca >= 0)
		(void)close(c->ca);
	if (c->crl >= 0)
		(void)close(c->crl);
	secret_free(&c->password);
	char *const own[] = { c->server, c->database, c->user, c->tls, c->name, c->sql };
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		free(own[i]);
	free(c);
}

bool
pg_busy(const struct pg *c)
{
	return c->done != NULL;
}

int
pg_version(const struct pg *c)
{
	return c->conn == NULL ? 0 : PQserverVersion(c->conn);
}

const char *
pg_cell(const struct pg_answer *a, int row, int column)
{
	return a->rows_of == NULL ? "" : PQgetvalue(a->rows_of, row, column);
}

/* ---- the answer ---- */

static void
answer(struct pg *c, struct pg_answer *a)
{
	pg_done done = c->done;
	PGresult *result = c->result;
	c->done = NULL;
	c->result = NULL;
	free(c->sql);
	c->sql = NULL;
	done(c->owner, a);
	PQclear(result);
}

static void
broken(struct pg *c, const char *why)
{
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	c->why[strcspn(c->why, "\n")] = '\0';
	hang_up(c);
	struct pg_answer a = { .broken = true, .text = c->why };
	if (c->done != NULL)
		answer(c, &a);
}

static void
answered(struct pg *c)
{
	const PGresult *r = c->result;
	ExecStatusType status = r == NULL ? PGRES_FATAL_ERROR : PQresultStatus(r);
	struct pg_answer a = { .ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, .text = "" };
	c->state = PG_IDLE;
	(void)event_del(c->event);
	if (!a.ok) {
		const char *code = r == NULL ? NULL : PQresultErrorField(r, PG_DIAG_SQLSTATE), *text = r == NULL ? NULL : PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
		(void)snprintf(a.sqlstate, sizeof(a.sqlstate), "%s", code == NULL ? "" : code);
		(void)snprintf(c->why, sizeof(c->why), "%s", text == NULL ? PQerrorMessage(c->conn) : text);
		a.text = c->why;
	} else if (status == PGRES_TUPLES_OK) {
		a.rows = PQntuples(r);
		a.rows_of = c->result;
	}
	answer(c, &a);
}

/* ---- connecting ---- */

/* libpq would write them to stderr, which is the log. */
static void
ignore_notice(void *owner, const char *text)
{
	(void)owner, (void)text;
}

static void
dial(struct pg *c)
{
	struct hostport h;
	const char *why;
	char address[ADDRESS_DIGITS], port[16], ca[64] = "/etc/ssl/certs/ca-certificates.crt", crl[64] = "", password[PASSWORD_MAX + 1] = { 0 };
	struct sp_bytes secret = secret_bytes(c->password);
	/* as digits: libpq would wait for names, and go wherever they lead (ID9) */
	if (address_find(c->server, &h, address, &why) != SP_OK || secret.len > PASSWORD_MAX) {
		broken(c, why == NULL ? "the password is too long" : why);
		return;
	}
	memcpy(password, secret.p, secret.len);
	(void)snprintf(port, sizeof(port), "%u", h.port);
	if (c->ca >= 0)
		(void)snprintf(ca, sizeof(ca), "/proc/self/fd/%d", c->ca);
	if (c->crl >= 0)
		(void)snprintf(crl, sizeof(crl), "/proc/self/fd/%d", c->crl);
	const char *const key[] = { "host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "sslcrl", "gssencmode",
		"application_name", "options", "passfile", NULL };
	const char *const value[] = { c->name[0] != '\0' ? c->name : h.host, address, port, c->database, c->user, password, c->tls,
		strcmp(c->tls, "verify-full") == 0 ? ca : "", crl, "disable", "sallyport",
		"-c search_path=pg_catalog -c default_transaction_read_only=off", "/nonexistent", NULL };
	c->conn = PQconnectStartParams(key, value, 0);
	mem_wipe(password, sizeof(password));
	c->state = PG_CONNECTING;
	if (c->conn != NULL)
		(void)PQsetNoticeProcessor(c->conn, ignore_notice, NULL);
	if (c->conn == NULL || PQstatus(c->conn) == CONNECTION_BAD)
		broken(c, c->conn == NULL ? "no memory" : PQerrorMessage(c->conn));
}

static void
wait_for(struct pg *c, short what)
{
	uint64_t now = clock_mono_ms(), left = c->deadline > now ? c->deadline - now : 1;
	const struct timeval tv = { (time_t)(left / 1000), (suseconds_t)(left % 1000 * 1000) };
	(void)event_del(c->event);
	if (event_assign(c->event, c->base, PQsocket(c->conn), what, on_event, c) != 0 || event_add(c->event, &tv) != 0)
		broken(c, "no event");
}

static void
send_question(struct pg *c)
{
	c->state = PG_ASKED;
	(void)PQsetnonblocking(c->conn, 1);
	if (PQsendQuery(c->conn, c->sql) != 1) {
		broken(c, PQerrorMessage(c->conn));
		return;
	}
	int left = PQflush(c->conn);
	if (left < 0)
		broken(c, PQerrorMessage(c->conn));
	else
		wait_for(c, left > 0 ? EV_READ | EV_WRITE : EV_READ);
}

static void
step_connecting(struct pg *c)
{
	switch (PQconnectPoll(c->conn)) {
	case PGRES_POLLING_READING:
		wait_for(c, EV_READ);
		return;
	case PGRES_POLLING_WRITING:
		wait_for(c, EV_WRITE);
		return;
	case PGRES_POLLING_OK:
		send_question(c);
		return;
	default:
		broken(c, PQerrorMessage(c->conn));
	}
}

/* Of several statements, the first error counts, else the last rows. */
static void
keep_result(struct pg *c, PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);
	bool failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
	ExecStatusType had = c->result == NULL ? PGRES_EMPTY_QUERY : PQresultStatus(c->result);
	bool had_error = had != PGRES_EMPTY_QUERY && had != PGRES_COMMAND_OK && had != PGRES_TUPLES_OK;
	if (!had_error && (c->result == NULL || failed || status == PGRES_TUPLES_OK)) {
		PQclear(c->result);
		c->result = r;
	} else {
		PQclear(r);
	}
}

static void
step_asked(struct pg *c)
{
	int left = PQflush(c->conn);
	if (left < 0 || PQconsumeInput(c->conn) != 1) {
		broken(c, PQerrorMessage(c->conn));
		return;
	}
	while (PQisBusy(c->conn) == 0) {
		PGresult *r = PQgetResult(c->conn);
		if (r == NULL && PQstatus(c->conn) == CONNECTION_BAD) {
			broken(c, PQerrorMessage(c->conn));
			return;
		}
		if (r == NULL) {
			answered(c);
			return;
		}
		keep_result(c, r);
	}
	wait_for(c, left > 0 ? EV_READ | EV_WRITE : EV_READ);
}

static void
step(struct pg *c)
{
	if (clock_mono_ms() >= c->deadline) {
		broken(c, c->state == PG_CONNECTING ? "the server could not be reached in time" : "the server did not answer in time");
		return;
	}
	if (c->state == PG_CLOSED)
		dial(c);
	else if (c->state == PG_IDLE)
		send_question(c);
	if (c->state == PG_CONNECTING)
		step_connecting(c);
	else if (c->state == PG_ASKED)
		step_asked(c);
}

void
pg_ask(struct pg *c, const char *sql, uint64_t ms, pg_done done, void *owner)
{
	c->sql = mem_string(sp_str(sql));
	c->done = done;
	c->owner = owner;
	c->deadline = clock_mono_ms() + ms;
	/* From the loop: who asks is not answered on its own stack. */
	(void)event_del(c->event);
	(void)event_assign(c->event, c->base, -1, 0, on_event, c);
	event_active(c->event, EV_TIMEOUT, 0);
}

/* ---- quoting ---- */

static int
quoted(struct buffer *out, const char *text, char quote)
{
	const char q[2] = { quote, '\0' };
	int rc = buffer_printf(out, "%s", q);
	for (const char *p = text; *p != '\0' && rc == SP_OK; p++)
		rc = buffer_printf(out, "%s%c", *p == quote ? q : "", *p);
	return rc == SP_OK ? buffer_printf(out, "%s", q) : rc;
}

/* standard_conforming_strings may be off there: a backslash makes it an E'' string. */
int
pg_literal(struct buffer *out, const char *text)
{
	int rc = strchr(text, '\\') == NULL ? SP_OK : SP_EPROTO;
	return rc == SP_OK ? quoted(out, text, '\'') : rc;
}

int
pg_name(struct buffer *out, const char *text)
{
	return text[0] == '\0' ? SP_EPROTO : quoted(out, text, '"');
}
