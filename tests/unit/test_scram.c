/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM-SHA-256: RFC 7677's example, and what a hostile target may say (THREATS PG21). */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "cunit_main.h"

#include "core/keeper/scram.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST "r=" NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

static void
begin(struct scram *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->nonce, NONCE, sizeof(NONCE));
}

static void
derive(const char *password, const struct scram *s, uint32_t rounds, struct scram_keys *k)
{
	struct scram_derivation *d = scram_derive_begin(sp_str(password), (struct sp_bytes){ s->salt, s->salt_len }, s->iterations);
	while (!scram_derive_step(d, rounds, k))
		;
	scram_derive_end(&d);
	CU_ASSERT_PTR_NULL(d);
}

static void
test_rfc7677(void)
{
	struct scram s;
	struct scram_keys keys;
	struct buffer out = { 0 };
	const char *why = NULL;
	begin(&s);
	/* The example has a user name; PostgreSQL's clients send none. */
	CU_ASSERT_EQUAL(buffer_put(&s.first, SP_LIT("n=user,r=" NONCE)), SP_OK);
	CU_ASSERT_EQUAL(scram_first(&s, false, (struct sp_bytes){ NULL, 0 }, &out), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out), "n,,n=user,r=" NONCE));
	buffer_free(&out);
	CU_ASSERT_EQUAL_FATAL(scram_server_first(&s, SP_LIT(SERVER_FIRST), &why), SP_OK);
	CU_ASSERT_EQUAL(s.iterations, 4096);
	derive("pencil", &s, 7, &keys);
	CU_ASSERT_EQUAL(scram_final(&s, &keys, &out), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out),
	    "c=biws,r=" NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
	CU_ASSERT_EQUAL(scram_server_final(&s, SP_LIT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &why), SP_OK);
	CU_ASSERT_EQUAL(scram_server_final(&s, SP_LIT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), &why), SP_EPROTO);
	buffer_free(&out);
	scram_clear(&s);
}

/* However the rounds are cut, the keys are the same. */
static void
test_slices(void)
{
	struct scram s;
	struct scram_keys a, b;
	const char *why = NULL;
	begin(&s);
	CU_ASSERT_EQUAL(scram_server_first(&s, SP_LIT(SERVER_FIRST), &why), SP_OK);
	derive("pencil", &s, 1000000, &a);
	derive("pencil", &s, 1, &b);
	CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	derive("pencil", &s, 4095, &b);
	CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	derive("Pencil", &s, 4095, &b);
	CU_ASSERT_NOT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	scram_clear(&s);
}

static void
test_binding(void)
{
	struct scram s;
	struct buffer out = { 0 };
	begin(&s);
	CU_ASSERT_EQUAL(scram_first(&s, true, (struct sp_bytes){ NULL, 0 }, &out), SP_EPROTO);
	CU_ASSERT_EQUAL(scram_first(&s, true, SP_LIT("hash"), &out), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out), "p=tls-server-end-point,,n=,r=" NONCE));
	CU_ASSERT(sp_bytes_is(buffer_bytes(&s.header), "p=tls-server-end-point,,hash"));
	buffer_free(&out);
	scram_clear(&s);
	begin(&s);
	/* We could have bound: a server that offered -PLUS will notice that it was taken away. */
	CU_ASSERT_EQUAL(scram_first(&s, false, SP_LIT("hash"), &out), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out), "y,,n=,r=" NONCE));
	buffer_free(&out);
	scram_clear(&s);
}

static void
test_nonce(void)
{
	struct scram a = { .salt_len = 0 }, b = { .salt_len = 0 };
	struct buffer out = { 0 };
	CU_ASSERT_EQUAL(scram_first(&a, false, (struct sp_bytes){ NULL, 0 }, &out), SP_OK);
	CU_ASSERT_EQUAL(scram_first(&b, false, (struct sp_bytes){ NULL, 0 }, &out), SP_OK);
	CU_ASSERT_EQUAL(strlen(a.nonce), 32);
	CU_ASSERT_STRING_NOT_EQUAL(a.nonce, b.nonce);
	buffer_free(&out);
	scram_clear(&a);
	scram_clear(&b);
}

/* PG21 */
static void
test_hostile(void)
{
	static const char *const bad[] = {
		"",
		"r=",
		"r=" NONCE "x",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==",
		"r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",              /* adds nothing to our nonce */
		"r=Xx" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"r=" NONCE "\001,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"r=" NONCE " ,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"r=" NONCE "x,s=,i=4096",
		"r=" NONCE "x,s=QQ==,i=4096",                                  /* one byte of salt */
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096",
		"r=" NONCE "x,s=W22Z aJ0SNY7soEsUEjb6gQ==,i=4096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gR==,i=4096",              /* slack bits */
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483647",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294971392",        /* 4096 after a wrap */
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=18446744073709555712",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-4096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=+4096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i= 4096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=04096",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096x",
		"r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=1",
		"m=1,r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",          /* an extension that must be understood */
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,r=" NONCE "x,i=4096",
		"e=other-error",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct scram s;
		const char *why = NULL;
		begin(&s);
		int rc = scram_server_first(&s, sp_str(bad[i]), &why);
		if (rc == SP_OK)
			printf("taken: %s\n", bad[i]);
		CU_ASSERT_EQUAL(rc, SP_EPROTO);
		CU_ASSERT_PTR_NOT_NULL(why);
		scram_clear(&s);
	}
}

static void
test_long(void)
{
	static char text[4096];
	struct scram s;
	const char *why = NULL;
	begin(&s);
	(void)snprintf(text, sizeof(text), "r=" NONCE "%0600d,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", 0);
	CU_ASSERT_EQUAL(scram_server_first(&s, sp_str(text), &why), SP_EPROTO);
	scram_clear(&s);
	begin(&s);
	memset(text, 'A', sizeof(text) - 1);
	CU_ASSERT_EQUAL(scram_server_first(&s, sp_str(text), &why), SP_EPROTO);
	scram_clear(&s);
	begin(&s);
	CU_ASSERT_EQUAL(scram_server_first(&s, SP_LIT(SERVER_FIRST), &why), SP_OK);
	CU_ASSERT_EQUAL(scram_server_first(&s, SP_LIT(SERVER_FIRST), &why), SP_EPROTO); /* twice */
	static const char *const last[] = { "", "v=", "e=invalid-proof", "v=AAAA", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,x=1" };
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		CU_ASSERT_EQUAL(scram_server_final(&s, sp_str(last[i]), &why), SP_EPROTO);
	scram_clear(&s);
}

/* ---- the server's side ---- */

static void
pencil(struct scram_verifier *v)
{
	struct scram s;
	struct scram_keys keys;
	const char *why;
	begin(&s);
	CU_ASSERT_EQUAL_FATAL(scram_server_first(&s, SP_LIT(SERVER_FIRST), &why), SP_OK);
	derive("pencil", &s, 4096, &keys);
	memset(v, 0, sizeof(*v));
	memcpy(v->salt, s.salt, sizeof(v->salt));
	v->iterations = s.iterations;
	digest_sha256((struct sp_bytes){ keys.client, DIGEST_LEN }, v->stored);
	memcpy(v->server, keys.server, DIGEST_LEN);
	scram_clear(&s);
}

#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FINAL "c=biws,r=" NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void
serve(struct scram_server *s, const struct scram_verifier *v)
{
	struct buffer out = { 0 };
	const char *why = NULL;
	memset(s, 0, sizeof(*s));
	memcpy(s->nonce, SERVER_NONCE, sizeof(SERVER_NONCE));
	CU_ASSERT_EQUAL_FATAL(scram_serve_first(s, v, SP_LIT("n,,n=user,r=" NONCE), &out, &why), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out), SERVER_FIRST));
	buffer_free(&out);
}

static void
test_serve(void)
{
	struct scram_verifier v;
	struct scram_server s;
	struct buffer out = { 0 };
	const char *why = NULL;
	pencil(&v);
	serve(&s, &v);
	CU_ASSERT_EQUAL(scram_serve_final(&s, &v, SP_LIT(FINAL), &out, &why), SP_OK);
	CU_ASSERT(sp_bytes_is(buffer_bytes(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
	buffer_free(&out);
	v.stored[0] ^= 1;
	CU_ASSERT_EQUAL(scram_serve_final(&s, &v, SP_LIT(FINAL), &out, &why), SP_EDENIED);
	CU_ASSERT_EQUAL(out.len, 0);
	scram_server_clear(&s);
}

/* Our own client with our own server, by a password made for it; and another's. */
static void
test_both_sides(void)
{
	for (unsigned right = 0; right < 2; right++) {
		struct scram_verifier v;
		struct scram_server server = { .nonce = "" };
		struct scram client = { .salt_len = 0 };
		struct scram_keys keys;
		struct buffer one = { 0 }, two = { 0 }, three = { 0 }, four = { 0 };
		const char *why = NULL;
		scram_verifier_make(SP_LIT("long and random"), &v);
		CU_ASSERT_EQUAL(scram_first(&client, false, SP_LIT("seen"), &one), SP_OK); /* "y": it saw TLS, and no -PLUS */
		CU_ASSERT_EQUAL(scram_serve_first(&server, &v, buffer_bytes(&one), &two, &why), SP_OK);
		CU_ASSERT_EQUAL(scram_server_first(&client, buffer_bytes(&two), &why), SP_OK);
		derive(right ? "long and random" : "long and randon", &client, 4096, &keys);
		CU_ASSERT_EQUAL(scram_final(&client, &keys, &three), SP_OK);
		CU_ASSERT_EQUAL(scram_serve_final(&server, &v, buffer_bytes(&three), &four, &why), right ? SP_OK : SP_EDENIED);
		CU_ASSERT(!right || scram_server_final(&client, buffer_bytes(&four), &why) == SP_OK);
		buffer_free(&one);
		buffer_free(&two);
		buffer_free(&three);
		buffer_free(&four);
		scram_clear(&client);
		scram_server_clear(&server);
	}
}

/* PG21: what a hostile client may say. */
static void
test_hostile_client(void)
{
	static const char *const first[] = { "", "n", "n,", "n,,", "n,,n=", "n,,n=,", "n,,n=,r=", "x,,n=,r=abc", "n,a=root,n=,r=abc", "n,,r=abc",
		"n,,n=,r=abc,x=1", "n,,m=1,n=,r=abc", "n,,n=,r=a\001c", "n,,n=,r=a c", "p=tls-server-end-point,,n=,r=abc", "p=,,n=,r=abc", "y,n=,r=abc" };
	static const char *const last[] = { "", "c=biws", "c=biws,r=" NONCE SERVER_NONCE, "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=eSws,r=" NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", /* another header than the first said */
		"c=biws,r=" NONCE SERVER_NONCE ",p=", "c=biws,r=" NONCE SERVER_NONCE ",p=AAAA",
		"c=biws,r=" NONCE SERVER_NONCE ",x=1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		FINAL ",x=1", "c=bi ws,r=" NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"r=" NONCE SERVER_NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" };
	static char lengthy[4096];
	struct scram_verifier v;
	const char *why = NULL;
	struct buffer out = { 0 };
	pencil(&v);
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
		struct scram_server s = { .nonce = "" };
		int rc = scram_serve_first(&s, &v, sp_str(first[i]), &out, &why);
		if (rc == SP_OK)
			printf("taken: %s\n", first[i]);
		CU_ASSERT_EQUAL(rc, SP_EPROTO);
		scram_server_clear(&s);
	}
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++) {
		struct scram_server s;
		serve(&s, &v);
		int rc = scram_serve_final(&s, &v, sp_str(last[i]), &out, &why);
		if (rc == SP_OK)
			printf("taken: %s\n", last[i]);
		CU_ASSERT_EQUAL(rc, SP_EPROTO);
		scram_server_clear(&s);
	}
	memset(lengthy, 'A', sizeof(lengthy) - 1);
	struct scram_server s = { .nonce = "" };
	CU_ASSERT_EQUAL(scram_serve_first(&s, &v, sp_str(lengthy), &out, &why), SP_EPROTO);
	CU_ASSERT_EQUAL(scram_serve_final(&s, &v, SP_LIT(FINAL), &out, &why), SP_EPROTO); /* the last comes first */
	CU_ASSERT_EQUAL(out.len, 0);
	scram_server_clear(&s);
	buffer_free(&out);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "RFC 7677", test_rfc7677 },
		{ "keys in slices", test_slices },
		{ "channel binding", test_binding },
		{ "nonces", test_nonce },
		{ "hostile targets", test_hostile },
		{ "long and repeated messages", test_long },
		{ "RFC 7677, as the server", test_serve },
		{ "both sides", test_both_sides },
		{ "hostile clients (PG21)", test_hostile_client },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("scram", tests);
}
