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
		CU_TEST_INFO_NULL,
	};
	return cunit_main("scram", tests);
}
