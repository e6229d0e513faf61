/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keeper and who talks to it: clients with tokens by way of a worker, callers of the API, holds.
 * The file that includes this has said before what the configuration is: `conf`.
 */
#ifndef KEEPER_WORLD_H
#define KEEPER_WORLD_H

#include "keeper_fake.h"

static struct fake f;

static inline void
start_at(const char *text)
{
	const char *why = "";
	(void)setenv("KEEPER_TEST_SECRET", "pencil", 1);
	fake_folder(&f);
	int rc = fake_start(&f, text, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	fake_links(&f);
}

static inline void
start(void)
{
	start_at(conf);
}

static inline void
stop(void)
{
	fake_stop(&f);
	fake_clean(&f);
}

static inline void
restart(void)
{
	const char *why = "";
	fake_stop(&f);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
	fake_links(&f);
}

/* ---- as a client would ---- */

static inline const char *
token_lasting(const char *user, const char *group, enum audience audience, uint64_t ttl)
{
	static char text[8][2048];
	static unsigned turn;
	char *out = text[turn++ % 8];
	struct buffer b = { 0 };
	uint64_t expires;
	const char *why = "";
	const struct token_request q = { .user = user, .class = "human", .groups = { &group, group == NULL ? 0 : 1 }, .ttl = ttl,
		.audience = audience };
	CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
	(void)snprintf(out, sizeof(text[0]), "%.*s", (int)b.len, (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return out;
}

static inline const char *
token_of(const char *user, const char *group, enum audience audience)
{
	return token_lasting(user, group, audience, 600000);
}

static uint8_t ids[64][ID_LEN];
static bool id_made[64]; /* an id may begin with zeros */

static inline struct sp_bytes
id(unsigned n)
{
	if (!id_made[n])
		id_new(ids[n]);
	id_made[n] = true;
	return (struct sp_bytes){ ids[n], ID_LEN };
}

static inline void
new_ids(void)
{
	memset(id_made, 0, sizeof(id_made));
}

static inline const struct message *
authenticate_at(struct peer *w, unsigned n, const char *token, const char *user, const char *target, const char *address)
{
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id(n)), Q(SP_PROOF_BEARER), Z(token), Z(user), Z(target), Z(""), Z(address),
	    Z("postgres"), Q(1) } };
	return fake_ask(&f, w, &m, MSG_ADMITTED);
}

static inline bool
admitted(unsigned n, const char *token, const char *user, const char *target)
{
	const struct message *m = authenticate_at(&f.worker, n, token, user, target, "10.0.0.1:4711");
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(sp_bytes_eq(m->f[0].s, id(n)));
	return m->f[1].q == SP_ADMIT;
}

static inline void
opened(unsigned n)
{
	struct message m = { .type = MSG_OPENED, .f = { S(id(n)) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
}

static inline void
closed(unsigned n)
{
	struct message m = { .type = MSG_CLOSED, .f = { S(id(n)), Q(SP_END_EOF), Z(""), Q(3), Q(1), Q(10), Q(100) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
}

/* A call to the API; the answer's JSON is the caller's. */
static inline json_t *
call(const char *token, uint64_t connection, enum call which, const char *args, unsigned status)
{
	struct message m = { .type = MSG_CALL, .f = { Q(connection), Z(token), Q(which), Z(args) } };
	const struct message *r = fake_ask(&f, &f.console, &m, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->id, m.id);
	CU_ASSERT_EQUAL(r->f[0].q, status);
	json_t *j = json_loadb((const char *)r->f[1].s.p, r->f[1].s.len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	if (r->f[0].q != status)
		printf("wanted %u, got %u: %.*s\n", status, (unsigned)r->f[0].q, (int)r->f[1].s.len, (const char *)r->f[1].s.p);
	return j;
}

static inline void
caller(uint64_t connection, const char *name)
{
	struct message m = { .type = MSG_CALLER, .f = { Q(connection), Q(1000), Z(name) } };
	CU_ASSERT_EQUAL(keeper_told(&f.k, &m), SP_OK);
}

static inline void
expect_call(const char *token, uint64_t connection, enum call which, const char *args, unsigned status)
{
	json_decref(call(token, connection, which, args, status));
}

static inline struct message
hold_message(unsigned n, uint64_t op, const char *by, uint64_t count, uint64_t within, bool next_run)
{
	static const uint8_t rule[DIGEST_LEN] = "rule";
	static uint8_t hash[DIGEST_LEN];
	memset(hash, (int)op, sizeof(hash));
	struct message m = { .type = MSG_HOLD, .f = { S(id(n)), Q(op), S(((struct sp_bytes){ hash, DIGEST_LEN })), Z("ddl-needs-dba"),
	    S(((struct sp_bytes){ rule, DIGEST_LEN })), Z(by), Q(count), Q(within), Q(next_run), Z("{\"text\":\"DROP TABLE t\"}"), Q(0) } };
	return m;
}

/* The request's id, in one of a few buffers. */
static inline const char *
hold(unsigned n, uint64_t op, const char *by, uint64_t count, bool next_run)
{
	static char text[4][64];
	static unsigned turn;
	char *out = text[turn++ % 4];
	struct message m = hold_message(n, op, by, count, 600000, next_run);
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_HELD);
	out[0] = '\0';
	if (r != NULL)
		(void)snprintf(out, sizeof(text[0]), "%.*s", (int)r->f[2].s.len, (const char *)r->f[2].s.p);
	return out;
}

static inline const char *
with_id(const char *id_text)
{
	static char text[128];
	(void)snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id_text);
	return text;
}

#endif
