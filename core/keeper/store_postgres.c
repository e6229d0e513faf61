/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL server that several gateways share, by libpq.
 *
 *   connect ─▶ schema, under a lock ─▶ LISTEN ─▶ every statement prepared ─▶ the sandbox is entered
 *
 * There is one connection, made before the lock-down.  When it breaks, or an answer is late, the
 * keeper ends as it does when its disk fails: what a broken transaction did is not known, and
 * another keeper asks the store instead of guessing.  Sessions live on meanwhile (store_grace).
 *
 * Values travel in binary: int8, text, bytea.  What others have to hear goes by NOTIFY in the same
 * transaction: "GATEWAY NUMBER TOPIC KEY"; and it stands in the table "change" for a minute.
 */
#include <config.h>

#include "store_engine.h"

#include <ctype.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/ready.h"
#include "../record/text.h"

#define CONNECT_MS 5000
#define ANSWER_MS 3000 /* the server gives up before: statement_timeout below */
#define COPY_MS 60000  /* of all that stands there, before it is brought up to date */
#define OPTIONS "-c synchronous_commit=on -c statement_timeout=2000 -c lock_timeout=1500 -c idle_in_transaction_session_timeout=10000 -c client_min_messages=warning"
#define CHANNEL "sallyport"
#define NOWHERE "/nonexistent" /* else libpq looks in the home of who started us, and gives up where it may not look */
#define LOCK "SELECT pg_advisory_xact_lock(7020382)"

enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 }; /* catalog/pg_type.dat */

struct postgres {
	struct engine e;
	PGconn *c;
	struct event *readable;
	struct store_server server; /* host, ca and password only while it is opened */
	char *host;
	unsigned answer_ms;
};

static char error_text[512];

static int
fail(struct postgres *p, const char *what)
{
	log_error("the store at %s could not %s: %s", p->host, what, log_quote(sp_str(PQerrorMessage(p->c))));
	return SP_EIO;
}

/* ---- waiting, for so long and no longer ---- */

/* False: late, or the socket failed. */
static bool
wait_for(struct postgres *p, short events, uint64_t deadline)
{
	return ready_by(PQsocket(p->c), events, deadline);
}

/* All was sent and nothing of an answer is missing that PQgetResult() would wait for. */
static bool
settle(struct postgres *p, uint64_t deadline)
{
	for (;;) {
		int left = PQflush(p->c);
		if (left < 0 || (left == 0 && !PQisBusy(p->c)))
			return left == 0;
		if (!wait_for(p, left > 0 ? POLLIN | POLLOUT : POLLIN, deadline) || PQconsumeInput(p->c) == 0)
			return false;
	}
}

/* The answer to what was sent, if it is of that kind, else NULL: logged. */
static PGresult *
answer(struct postgres *p, bool sent, ExecStatusType wanted)
{
	uint64_t deadline = clock_mono_ms() + p->answer_ms;
	PGresult *got = NULL, *next = NULL;
	bool whole = sent && settle(p, deadline);
	while (whole && (next = PQgetResult(p->c)) != NULL) {
		PQclear(got);
		got = next;
		whole = settle(p, deadline);
	}
	if (whole && got != NULL && PQresultStatus(got) == wanted)
		return got;
	(void)fail(p, whole ? "do what it was asked" : "answer in time");
	PQclear(got);
	return NULL;
}

static int
run(struct postgres *p, const char *sql, ExecStatusType wanted)
{
	PGresult *r = answer(p, PQsendQuery(p->c, sql) == 1, wanted);
	PQclear(r);
	return r == NULL ? SP_EIO : SP_OK;
}

/* ---- our SQL as PostgreSQL spells it ---- */

static const struct {
	const char *ours, *theirs;
} words[] = { { "user", "\"user\"" }, { "BLOB", "bytea" }, { "INTEGER", "bigint" }, { "WITHOUT", "" }, { "ROWID", "" },
	{ "NOCASE", "\"C\"" } /* inside lower(): letters of ASCII only, as SQLite and words_of() have it, and quickly */ };

static int
put_word(struct buffer *out, struct sp_bytes word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (sp_bytes_is(word, words[i].ours))
			return buffer_put(out, sp_str(words[i].theirs));
	return buffer_put(out, word);
}

/* How long is what stands there: a literal, a word, a parameter, or one character. */
static size_t
piece(const char *at)
{
	size_t n = 1;
	if (*at == '\'')
		return strcspn(at + 1, "'") + 2;
	if (*at == '?')
		return 1 + strspn(at + 1, "0123456789");
	while (isalpha((unsigned char)*at) && (isalnum((unsigned char)at[n]) || at[n] == '_'))
		n++;
	return n;
}

static char *
translate(const char *sql)
{
	struct buffer out = { 0 };
	unsigned last = 0;
	int rc = SP_OK;
	for (size_t n; *sql != '\0' && rc == SP_OK; sql += n) {
		const struct sp_bytes p = { (const uint8_t *)sql, n = piece(sql) };
		if (*sql != '?')
			rc = put_word(&out, p);
		else
			rc = n > 1 ? buffer_printf(&out, "$%.*s", (int)n - 1, sql + 1) : buffer_printf(&out, "$%u", ++last);
	}
	char *text = rc == SP_OK ? mem_string(buffer_bytes(&out)) : NULL;
	buffer_free(&out);
	return text;
}

/* ---- values ---- */

struct values {
	const char *p[STORE_ARGS];
	int length[STORE_ARGS], format[STORE_ARGS];
	Oid type[STORE_ARGS];
	uint8_t number[STORE_ARGS][8];
	struct buffer clean[STORE_ARGS]; /* texts that were none */
	int n;
};

static Oid
type_of(char letter)
{
	return letter == 'q' ? OID_INT8 : letter == 't' ? OID_TEXT : OID_BYTEA;
}

/* SQLite takes any bytes for a text; here they must be UTF-8 without NUL: others become '?'. */
static struct sp_bytes
text_of(struct sp_bytes in, struct buffer *clean)
{
	size_t good = 0, n;
	uint32_t c;
	while (good < in.len && in.p[good] != 0 && (n = text_character((struct sp_bytes){ in.p + good, in.len - good }, &c)) > 0)
		good += n;
	if (good == in.len)
		return in;
	for (size_t i = 0; i < in.len; i += n) {
		n = in.p[i] == 0 ? 0 : text_character((struct sp_bytes){ in.p + i, in.len - i }, &c);
		const struct sp_bytes one = n > 0 ? (struct sp_bytes){ in.p + i, n } : SP_LIT("?");
		n = n > 0 ? n : 1;
		if (buffer_put(clean, one) != SP_OK)
			break;
	}
	return buffer_bytes(clean);
}

static void
values_set(struct values *v, const char *types, const struct field *args)
{
	*v = (struct values){ .n = 0 };
	for (int i = 0; types[i] != '\0' && i < STORE_ARGS; i++, v->n++) {
		v->type[i] = type_of(types[i]);
		v->format[i] = 1;
		if (types[i] == 'q') {
			for (unsigned b = 0; b < 8; b++)
				v->number[i][b] = (uint8_t)(args[i].q >> (56 - 8 * b));
			v->p[i] = (const char *)v->number[i];
			v->length[i] = 8;
			continue;
		}
		struct sp_bytes s = types[i] == 't' ? text_of(args[i].s, &v->clean[i]) : args[i].s;
		v->p[i] = s.len == 0 ? "" : (const char *)s.p;
		v->length[i] = (int)s.len;
	}
}

static void
values_free(struct values *v)
{
	for (int i = 0; i < v->n; i++)
		buffer_free(&v->clean[i]);
}

static PGresult *
execute_named(struct postgres *p, const char *name, const char *types, const struct field *args, ExecStatusType wanted)
{
	struct values v;
	values_set(&v, types, args);
	PGresult *r = answer(p, PQsendQueryPrepared(p->c, name, v.n, v.p, v.length, v.format, 1) == 1, wanted);
	values_free(&v);
	return r;
}

static PGresult *
execute(struct postgres *p, enum store_statement which, const struct field *args, ExecStatusType wanted)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "s%u", (unsigned)which);
	return execute_named(p, name, store_table[which].args, args, wanted);
}

/* ---- the engine ---- */

/* Others hear of it at once, or find it when they look (gateways.c). */
static int
notify(struct postgres *p, const struct store_sql *row, const struct field *args)
{
	char text[512];
	const struct sp_bytes key = { args[row->key].s.p, args[row->key].s.len < 256 ? args[row->key].s.len : 256 };
	const struct field change[STORE_ARGS] = { Z(p->server.gateway), Q(store_number()), Z(row->topic), S(key) };
	(void)snprintf(text, sizeof(text), "%s %llu %s %.*s", p->server.gateway, (unsigned long long)change[1].q, row->topic, (int)key.len,
	    key.len == 0 ? "" : (const char *)key.p);
	const char *const values[] = { CHANNEL, text };
	PGresult *r = execute(p, STORE_CHANGE_ADD, change, PGRES_COMMAND_OK);
	PQclear(r);
	if (r == NULL)
		return SP_EIO;
	r = answer(p, PQsendQueryParams(p->c, "SELECT pg_notify($1, $2)", 2, NULL, values, NULL, NULL, 0) == 1, PGRES_TUPLES_OK);
	PQclear(r);
	return r == NULL ? SP_EIO : SP_OK;
}

static long
postgres_write(struct engine *e, enum store_statement which, const struct field *args)
{
	struct postgres *p = (struct postgres *)e;
	const struct store_sql *row = &store_table[which];
	if (!e->dirty && run(p, "BEGIN", PGRES_COMMAND_OK) != SP_OK)
		return SP_EIO;
	e->dirty = true;
	PGresult *r = execute(p, which, args, PGRES_COMMAND_OK);
	if (r == NULL)
		return SP_EIO;
	long n = strtol(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	return n > 0 && row->topic != NULL && notify(p, row, args) != SP_OK ? SP_EIO : n;
}

static int
take_row(const PGresult *r, int n, const char *types, struct field row[STORE_COLUMNS])
{
	for (int i = 0; types[i] != '\0'; i++) {
		const uint8_t *at = (const uint8_t *)PQgetvalue(r, n, i);
		int length = PQgetlength(r, n, i);
		struct sp_reader number = sp_reader((struct sp_bytes){ at, (size_t)length });
		if (PQgetisnull(r, n, i))
			row[i] = (struct field){ 0 };
		else if (types[i] != 'q')
			row[i] = (struct field)S(((struct sp_bytes){ at, (size_t)length }));
		else if (length == 8)
			row[i] = (struct field)Q(sp_rd_be64(&number));
		else
			return SP_EPROTO;
	}
	return SP_OK;
}

static int
postgres_read(struct engine *e, enum store_statement which, const struct field *args, store_row *row, void *owner)
{
	struct postgres *p = (struct postgres *)e;
	struct field values[STORE_COLUMNS] = { { 0 } };
	PGresult *r = execute(p, which, args, PGRES_TUPLES_OK);
	int rc = r == NULL ? SP_EIO : SP_OK;
	for (int i = 0; rc == SP_OK && i < PQntuples(r); i++) {
		rc = take_row(r, i, store_table[which].columns, values);
		if (rc == SP_OK && row != NULL)
			rc = row(owner, values);
	}
	PQclear(r);
	return rc;
}

static int
postgres_commit(struct engine *e)
{
	struct postgres *p = (struct postgres *)e;
	PGresult *r = answer(p, PQsendQuery(p->c, "COMMIT") == 1, PGRES_COMMAND_OK);
	bool done = r != NULL && strcmp(PQcmdStatus(r), "COMMIT") == 0; /* of a failed one it says ROLLBACK */
	PQclear(r);
	e->dirty = false;
	if (p->readable != NULL)
		event_active(p->readable, EV_READ, 0); /* what others said may have come with an answer */
	return done ? SP_OK : SP_EIO;
}

static void
postgres_close(struct engine *e)
{
	struct postgres *p = (struct postgres *)e;
	if (e->dirty)
		(void)postgres_commit(e);
	if (p->readable != NULL)
		event_free(p->readable);
	PQfinish(p->c);
	free(p->host);
	free(p);
}

static const struct engine_kind postgres_kind = { postgres_write, postgres_read, postgres_commit, postgres_close };

/* ---- what other gateways did ---- */

/* "GATEWAY NUMBER TOPIC KEY" */
static void
hear(struct postgres *p, char *text)
{
	char *number = strchr(text, ' '), *topic = number == NULL ? NULL : strchr(number + 1, ' '), *key = topic == NULL ? NULL : strchr(topic + 1, ' ');
	if (key == NULL)
		return;
	*number = *topic = *key = '\0';
	const struct store_change c = { text, strtoull(number + 1, NULL, 10), topic + 1, sp_str(key + 1) };
	if (strcmp(c.gateway, p->server.gateway) != 0)
		p->server.heard(p->server.owner, &c);
}

static void
on_readable(evutil_socket_t fd, short what, void *owner)
{
	struct postgres *p = owner;
	(void)fd, (void)what;
	if (PQconsumeInput(p->c) == 0 || PQstatus(p->c) != CONNECTION_OK) {
		(void)fail(p, "be heard any more");
		p->server.lost(p->server.owner);
		return;
	}
	for (PGnotify *n; (n = PQnotifies(p->c)) != NULL; PQfreemem(n))
		hear(p, n->extra);
}

/* ---- opening ---- */

static int
connect_server(struct postgres *p, const char **err_r)
{
	const struct store_server *s = &p->server;
	char *password = s->password == NULL ? NULL : mem_string(secret_bytes(s->password));
	const char *const names[] = { "host", "port", "user", "dbname", "password", "sslmode", "sslrootcert", "application_name",
		"client_encoding", "gssencmode", "target_session_attrs", "options", "sslcert", "sslkey", "sslcrl", "passfile", NULL };
	const char *const values[] = { s->host, s->port, s->user, s->database, password, s->tls, s->ca, "sallyport", "UTF8", "disable",
		"read-write", OPTIONS, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NULL };
	uint64_t deadline = clock_mono_ms() + CONNECT_MS;
	p->c = PQconnectStartParams(names, values, 0);
	bool good = p->c != NULL && PQstatus(p->c) != CONNECTION_BAD;
	for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; good && next != PGRES_POLLING_OK; next = PQconnectPoll(p->c))
		good = next != PGRES_POLLING_FAILED && wait_for(p, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
	if (password != NULL)
		mem_wipe(password, strlen(password));
	free(password);
	if (good && PQsetnonblocking(p->c, 1) == 0)
		return SP_OK;
	(void)snprintf(error_text, sizeof(error_text), "the store at %s can't be reached: %s", s->host,
	    p->c == NULL ? "no memory" : PQerrorMessage(p->c)[0] == '\0' ? "no answer" : log_quote(sp_str(PQerrorMessage(p->c))));
	*err_r = error_text;
	return SP_EIO;
}

/* The number of the schema, or -1; *same_r: the rows there are by our key. */
static long
version_of(struct postgres *p, bool *same_r)
{
	static const char sql[] = "SELECT version::text, encode(key_check, 'hex') FROM sallyport";
	char ours[2 * DIGEST_LEN + 1];
	PGresult *r = answer(p, PQsendQuery(p->c, sql) == 1, PGRES_TUPLES_OK);
	long version = r == NULL || PQntuples(r) != 1 ? -1 : strtol(PQgetvalue(r, 0, 0), NULL, 10);
	text_hex((struct sp_bytes){ p->server.key_check, DIGEST_LEN }, ours);
	*same_r = version >= 0 && strcmp(PQgetvalue(r, 0, 1), ours) == 0;
	PQclear(r);
	return version;
}

/* As it was, beside it: backup_vN_session and so on, which nobody reads but who has to go back. */
static int
copy_all(struct postgres *p, long version)
{
	char sql[512];
	(void)snprintf(sql, sizeof(sql), "SET LOCAL statement_timeout = %u; DO $$ DECLARE t text; BEGIN"
	    " FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE 'backup\\_v%%' LOOP"
	    " EXECUTE format('DROP TABLE IF EXISTS %%1$I; CREATE TABLE %%1$I AS TABLE %%2$I', 'backup_v%ld_' || t, t);"
	    " END LOOP; END $$", COPY_MS - 1000, version);
	p->answer_ms = COPY_MS;
	int rc = run(p, sql, PGRES_COMMAND_OK);
	p->answer_ms = ANSWER_MS;
	log_warn("the store is brought from version %ld to %u; its tables as they were: backup_v%ld_…", version, store_schema_version, version);
	return rc;
}

/* All that the list of sessions filters by, in its order, as in store_sqlite.c: long rows are read only of those that are shown. */
static int
make_list_index(struct postgres *p)
{
	char sql[512];
	(void)snprintf(sql, sizeof(sql), "SET LOCAL statement_timeout = %u; DO $$ BEGIN IF to_regclass('session_list') IS NULL THEN"
	    " CREATE INDEX session_list ON session(started, id) INCLUDE (\"user\", target, part, address, protocol, ended, issuer, subject,"
	    " operations, denied); DROP INDEX IF EXISTS session_started; END IF; END $$", COPY_MS - 1000);
	p->answer_ms = COPY_MS;
	int rc = run(p, sql, PGRES_COMMAND_OK);
	p->answer_ms = ANSWER_MS;
	return rc;
}

static int
migrate_from(struct postgres *p, long version)
{
	char set[64];
	int rc = version > 0 && version < (long)store_schema_version ? copy_all(p, version) : SP_OK;
	for (; rc == SP_OK && version < (long)store_schema_version; version++) {
		char *sql = translate(store_schema[version]);
		rc = sql == NULL ? SP_ENOMEM : run(p, sql, PGRES_COMMAND_OK);
		free(sql);
	}
	if (rc == SP_OK)
		rc = make_list_index(p);
	(void)snprintf(set, sizeof(set), "UPDATE sallyport SET version = %ld", version);
	return rc == SP_OK ? run(p, set, PGRES_COMMAND_OK) : rc;
}

/* One at a time, and all of it or nothing. */
static int
migrate(struct postgres *p, const char **err_r)
{
	char make[256], hex[2 * DIGEST_LEN + 1];
	bool same = false;
	text_hex((struct sp_bytes){ p->server.key_check, DIGEST_LEN }, hex);
	(void)snprintf(make, sizeof(make), "INSERT INTO sallyport SELECT 0, '\\x%s' WHERE NOT EXISTS (SELECT FROM sallyport)", hex);
	*err_r = "the store's tables could not be made: the error log says why";
	if (run(p, "BEGIN", PGRES_COMMAND_OK) != SP_OK || run(p, LOCK, PGRES_TUPLES_OK) != SP_OK ||
	    run(p, "CREATE TABLE IF NOT EXISTS sallyport(version bigint NOT NULL, key_check bytea NOT NULL)", PGRES_COMMAND_OK) != SP_OK ||
	    run(p, make, PGRES_COMMAND_OK) != SP_OK)
		return SP_EIO;
	long version = version_of(p, &same);
	if (version < 0)
		return SP_EIO;
	if (!same)
		*err_r = "the store is another gateway's: gateways that share one have the same master.key and issuer.key";
	else if (version > (long)store_schema_version)
		*err_r = "the store was written by a newer Sallyport";
	else
		return migrate_from(p, version) == SP_OK && run(p, "COMMIT", PGRES_COMMAND_OK) == SP_OK ? SP_OK : SP_EIO;
	return SP_ECONF;
}

/* ours: as SQLite has it. */
static int
prepare_named(struct postgres *p, const char *name, const char *ours, const char *types)
{
	static const struct field none[STORE_ARGS];
	struct values v;
	char *sql = translate(ours);
	values_set(&v, types, none);
	PGresult *r = answer(p, sql != NULL && PQsendPrepare(p->c, name, sql, v.n, v.type) == 1, PGRES_COMMAND_OK);
	int rc = r == NULL ? SP_EIO : SP_OK;
	PQclear(r);
	values_free(&v);
	free(sql);
	return rc;
}

static int
prepare(struct postgres *p, const char **err_r)
{
	char name[16];
	int rc = SP_OK;
	*err_r = "the store's tables are not as they should be: the error log says why";
	for (unsigned i = 0; i < STORE_STATEMENTS && rc == SP_OK; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		if (!store_table[i].own)
			rc = prepare_named(p, name, store_table[i].sql, store_table[i].args);
	}
	return rc;
}

int
store_postgres_open(const struct store_server *server, struct engine **e_r, const char **err_r)
{
	struct postgres *p = mem_alloc(sizeof(*p));
	*p = (struct postgres){ .e.kind = &postgres_kind, .server = *server, .host = mem_string(sp_str(server->host)), .answer_ms = ANSWER_MS };
	int rc = connect_server(p, err_r);
	if (rc == SP_OK)
		rc = migrate(p, err_r);
	if (rc == SP_OK && (rc = run(p, "LISTEN " CHANNEL, PGRES_COMMAND_OK)) != SP_OK)
		*err_r = "the store does not let us listen";
	if (rc == SP_OK)
		rc = prepare(p, err_r);
	if (rc == SP_OK) {
		p->readable = event_new(server->base, PQsocket(p->c), EV_READ | EV_PERSIST, on_readable, p);
		rc = p->readable != NULL && event_add(p->readable, NULL) == 0 ? SP_OK : SP_ENOMEM;
	}
	p->server.host = p->server.ca = NULL;
	p->server.password = NULL;
	if (rc == SP_OK)
		*e_r = &p->e;
	else
		postgres_close(&p->e);
	return rc;
}

/* ---- moving in (store_move.c) ---- */

int
store_postgres_begin(struct engine *e)
{
	struct postgres *p = (struct postgres *)e;
	int rc = run(p, "BEGIN", PGRES_COMMAND_OK);
	e->dirty = rc == SP_OK;
	return rc == SP_OK ? run(p, LOCK, PGRES_TUPLES_OK) : rc;
}

long
store_postgres_count(struct engine *e, const char *table)
{
	struct postgres *p = (struct postgres *)e;
	char sql[96];
	(void)snprintf(sql, sizeof(sql), "SELECT count(*)::text FROM %s", table);
	PGresult *r = answer(p, PQsendQuery(p->c, sql) == 1, PGRES_TUPLES_OK);
	long n = r == NULL || PQntuples(r) != 1 ? SP_EIO : strtol(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return n;
}

int
store_postgres_expect(struct engine *e, const char *sql, const char *types)
{
	struct postgres *p = (struct postgres *)e;
	return run(p, "DEALLOCATE PREPARE ALL", PGRES_COMMAND_OK) == SP_OK ? prepare_named(p, "moved", sql, types) : SP_EIO;
}

int
store_postgres_add(struct engine *e, const char *types, const struct field *row)
{
	PGresult *r = execute_named((struct postgres *)e, "moved", types, row, PGRES_COMMAND_OK);
	int rc = r == NULL ? SP_EIO : SP_OK;
	PQclear(r);
	return rc;
}
