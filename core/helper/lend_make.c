/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a role.  It has no password: salt, ClientKey and ServerKey of its SCRAM verifier are random,
 * and the keeper gets them.  What the server's log may show is the verifier, of which nobody logs in.
 */
#include <config.h>

#include "lend.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <time.h>

#include "../base/log.h"

enum { SALT = 16, TRIES = 5, ITERATIONS = 4096 };

static int
base64(struct sp_bytes in, struct buffer *out)
{
	const gnutls_datum_t data = { (unsigned char *)(uintptr_t)in.p, (unsigned)in.len };
	gnutls_datum_t text = { NULL, 0 };
	if (gnutls_base64_encode2(&data, &text) < 0)
		return SP_ENOMEM;
	int rc = buffer_put(out, (struct sp_bytes){ text.data, text.size });
	gnutls_free(text.data);
	return rc;
}

/* RFC 5802: StoredKey = H(ClientKey).  As PostgreSQL keeps it. */
static int
verifier(struct job *j, struct buffer *out)
{
	struct sp_writer w = sp_writer(j->keys, sizeof(j->keys));
	uint8_t salt[SALT], client[DIGEST_LEN], server[DIGEST_LEN], stored[DIGEST_LEN];
	random_bytes(salt, sizeof(salt));
	random_bytes(client, sizeof(client));
	random_bytes(server, sizeof(server));
	digest_sha256((struct sp_bytes){ client, sizeof(client) }, stored);
	sp_wr_put(&w, (struct sp_bytes){ salt, sizeof(salt) });
	sp_wr_be32(&w, ITERATIONS);
	sp_wr_put(&w, (struct sp_bytes){ client, sizeof(client) });
	sp_wr_put(&w, (struct sp_bytes){ server, sizeof(server) });
	int rc = buffer_printf(out, "SCRAM-SHA-256$%d:", ITERATIONS);
	if (rc == SP_OK)
		rc = base64((struct sp_bytes){ salt, sizeof(salt) }, out);
	if (rc == SP_OK)
		rc = buffer_printf(out, "$");
	if (rc == SP_OK)
		rc = base64((struct sp_bytes){ stored, sizeof(stored) }, out);
	if (rc == SP_OK)
		rc = buffer_printf(out, ":");
	if (rc == SP_OK)
		rc = base64((struct sp_bytes){ server, sizeof(server) }, out);
	mem_wipe(client, sizeof(client));
	mem_wipe(server, sizeof(server));
	return rc == SP_OK && w.len == sizeof(j->keys) && !w.bad ? SP_OK : SP_ENOMEM;
}

/* All of it or nothing: statements sent together are one transaction, so that no role is without its mark. */
static int
statement(struct job *j, struct buffer *sql)
{
	char mark[MARK_TEXT + 256], until[32];
	struct tm tm;
	time_t end = time(NULL) + (time_t)(j->valid / 1000);
	struct buffer role = { 0 }, parent = { 0 }, comment = { 0 }, secret = { 0 };
	mark_format(j->mark, j->role, j->target, j->session_name, mark);
	(void)strftime(until, sizeof(until), "%Y-%m-%d %H:%M:%S+00", gmtime_r(&end, &tm));
	int rc = pg_name(&role, j->role);
	if (rc == SP_OK)
		rc = pg_name(&parent, j->parent);
	if (rc == SP_OK)
		rc = pg_literal(&comment, mark);
	if (rc == SP_OK)
		rc = verifier(j, &secret);
	struct sp_bytes r = buffer_bytes(&role), p = buffer_bytes(&parent), c = buffer_bytes(&comment), s = buffer_bytes(&secret);
	if (rc == SP_OK)
		rc = buffer_printf(sql, "CREATE ROLE %.*s LOGIN NOINHERIT CONNECTION LIMIT 1 VALID UNTIL '%s' PASSWORD '%.*s' IN ROLE %.*s; "
			"ALTER ROLE %.*s SET role = %.*s; COMMENT ON ROLE %.*s IS %.*s", (int)r.len, (const char *)r.p, until, (int)s.len,
		    (const char *)s.p, (int)p.len, (const char *)p.p, (int)r.len, (const char *)r.p, (int)p.len, (const char *)p.p, (int)r.len,
		    (const char *)r.p, (int)c.len, (const char *)c.p);
	if (rc == SP_OK)
		rc = buffer_put(sql, (struct sp_bytes){ (const uint8_t *)"", 1 });
	buffer_free(&role);
	buffer_free(&parent);
	buffer_free(&comment);
	buffer_free(&secret);
	return rc;
}

static void made(void *owner, const struct pg_answer *a);

static void
try(struct job *j)
{
	struct buffer sql = { 0 };
	if (statement(j, &sql) == SP_OK)
		pg_ask(j->at->front, (const char *)buffer_bytes(&sql).p, j->within, made, j);
	else
		job_made(j, false, "names of targets and roles must have no backslash");
	buffer_free(&sql);
}

static void
made(void *owner, const struct pg_answer *a)
{
	struct job *j = owner;
	bool taken = !a->ok && strcmp(a->sqlstate, "42710") == 0;
	/* A connection that was idle may have gone: what was said on it may have been heard, under a name that is swept. */
	bool stale = a->broken && j->tries == 0;
	if ((taken || stale) && j->tries++ < TRIES) {
		log_info(taken ? "a role's name is taken: another is tried" : "the admin's connection had gone: once more");
		role_name_new(j->user, j->role);
		try(j);
		return;
	}
	job_made(j, a->ok, a->ok ? "" : a->text);
}

void
make_begin(struct job *j)
{
	try(j);
}
