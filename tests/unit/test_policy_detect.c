/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors: what each finds, what it leaves alone, and the same in streams cut at every byte (MK9). */
#define _GNU_SOURCE /* memmem */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/policy/detect.h"
#include "cunit_main.h"

static const struct row {
	const char *detector, *text;
	const char *found; /* NULL: nothing */
} rows[] = {
	{ "email", "write to ada@example.com.", "ada@example.com" },
	{ "email", "a.b+c@sub.example.co.uk", "a.b+c@sub.example.co.uk" },
	{ "email", "at @ home", NULL },
	{ "email", "root@localhost", NULL },
	{ "card", "4111111111111111", "4111111111111111" },
	{ "card", "pay 4111-1111-1111-1111 now", "4111-1111-1111-1111" },
	{ "card", "pay 4111 1111 1111 1111 now", "4111 1111 1111 1111" },
	{ "card", "378282246310005", "378282246310005" },
	{ "card", "4111111111111112", NULL }, /* the check digit is wrong */
	{ "card", "order 1234567", NULL },
	{ "iban", "DE89370400440532013000", "DE89370400440532013000" },
	{ "iban", "to DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00" },
	{ "iban", "DE89370400440532013001", NULL },
	{ "ssn", "ssn 123-45-6789.", "123-45-6789" },
	{ "ssn", "000-12-3456", NULL },
	{ "ssn", "666-12-3456", NULL },
	{ "ssn", "912-12-3456", NULL },
	{ "ssn", "123-00-6789", NULL },
	{ "phone", "call +49 30 1234567 now", "+49 30 1234567" },
	{ "phone", "call (212) 555-0100", "(212) 555-0100" },
	{ "phone", "version 1.2.3", NULL },
	{ "ip", "from 10.1.2.3.", "10.1.2.3" },
	{ "ip", "2001:db8::1", "2001:db8::1" },
	{ "ip", "1.2.3", NULL },
	{ "ip", "300.1.2.3", NULL },
	{ "jwt", "t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl;", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl" },
	{ "jwt", "eyJub3Rhand0", NULL },
	{ "aws_key", "id AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE" },
	{ "aws_key", "AKIASHORT", NULL },
	{ "bearer", "Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef" },
	{ "github_token", "ghp_0123456789abcdefghijklmnopqrstuvwxyz", "ghp_0123456789abcdefghijklmnopqrstuvwxyz" },
	{ "private_key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----" },
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct span s[8];
		struct sp_bytes in = sp_str(rows[i].text);
		size_t n = detect_find(detect_bit(rows[i].detector), in, s, 8);
		bool good = rows[i].found == NULL ? n == 0
		    : n == 1 && sp_bytes_is((struct sp_bytes){ in.p + s[0].from, s[0].to - s[0].from }, rows[i].found);
		if (!good)
			fprintf(stderr, "\n%s in \"%s\": %zu findings, %.*s\n", rows[i].detector, rows[i].text, n,
			    n == 0 ? 0 : (int)(s[0].to - s[0].from), n == 0 ? "" : rows[i].text + s[0].from);
		CU_ASSERT_TRUE(good);
	}
}

static void
test_names(void)
{
	CU_ASSERT_EQUAL(detect_bit("cards"), 0);
	for (unsigned i = 0; i < DETECTORS; i++)
		CU_ASSERT_EQUAL(detect_bit(detector_name[i]), 1u << i);
	CU_ASSERT_PTR_NULL(detector_name[DETECTORS]);
}

/* Spans are in order, within the text, and apart; too many reach to the end. */
static void
test_many(void)
{
	struct buffer b = { 0 };
	struct span s[4];

	for (unsigned i = 0; i < 1000; i++)
		CU_ASSERT_FATAL(buffer_printf(&b, "a%u@example.com, ", i) == SP_OK);
	size_t n = detect_find(detect_bit("email"), buffer_bytes(&b), s, 4);
	CU_ASSERT_EQUAL(n, 4);
	for (size_t i = 0; i < n; i++)
		CU_ASSERT_TRUE(s[i].from < s[i].to && (i == 0 || s[i].from >= s[i - 1].to));
	CU_ASSERT_EQUAL(s[3].to, b.len);
	buffer_free(&b);
}

/* What a stream shows, however it is cut. */
static void
stream_cut(const char *text, size_t at, struct buffer *out)
{
	struct detect_stream *d = detect_stream_new(~0u >> (32 - DETECTORS));
	struct sp_bytes in = sp_str(text);

	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(detect_stream_feed(d, (struct sp_bytes){ in.p, at }, false, out), SP_OK);
	CU_ASSERT_EQUAL(detect_stream_feed(d, (struct sp_bytes){ in.p + at, in.len - at }, true, out), SP_OK);
	detect_stream_free(&d);
}

static void
test_streams(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buffer whole = { 0 };
		stream_cut(rows[i].text, 0, &whole);
		for (size_t at = 1; at <= strlen(rows[i].text); at++) {
			struct buffer cut = { 0 };
			stream_cut(rows[i].text, at, &cut);
			bool same = sp_bytes_eq(buffer_bytes(&whole), buffer_bytes(&cut));
			if (!same)
				fprintf(stderr, "\n\"%s\" cut at %zu: %.*s\n", rows[i].text, at, (int)cut.len, (const char *)buffer_bytes(&cut).p);
			CU_ASSERT_TRUE(same);
			if (rows[i].found != NULL)
				CU_ASSERT_PTR_NULL(memmem(buffer_bytes(&cut).p, cut.len, rows[i].found, strlen(rows[i].found)));
			buffer_free(&cut);
		}
		buffer_free(&whole);
	}
}

/* ---- what a terminal makes of bytes ---- */

static const struct {
	const char *in;    /* of a terminal, or not */
	const char *shown; /* by a stream that looks for cards */
} screens[] = {
	{ "a \033[1m4111 1111\033[0m 1111 1111 z\n", "a \033[1m****\033[0m z\n" },
	{ "41\033]0;title\00711 1111 1111 1111\n", "****\033]0;title\007\n" },
	{ "41\033]8;;http://x\033\\11111111111111\n", "****\033]8;;http://x\033\\\n" },
	{ "4111\033(B1111\033[38;5;1m11111111\n", "****\033(B\033[38;5;1m\n" },
	{ "4111\302\233" "1m111111111111\n", "****\302\233" "1m\n" },
	{ "4\b41\b11\b11\b1111111111111 b\bb\n", "**** b\bb\n" }, /* bold, as man has it */
	{ "41111\b111111111111\n", "****\n" }, /* overstruck */
	{ "4111\007" "111111111111\n", "****\n" },
	{ "4111\033[\0071m111111111111\n", "****\033[\0071m\n" },
	{ "\033[4111111111111111m.\n", "\033[****m.\n" }, /* a sequence that is one: who keeps the bytes reads it */
	{ "\033[31mred\033[0m and 1234\n", "\033[31mred\033[0m and 1234\n" },
	{ "4111\033[31\n1111", "4111\033[31\n1111" },
	{ "\033]0;no end\n4111111111111111\n", "\033]0;no end\n****\n" },
	{ "\305\233" "4111111111111111\n", "\305\233****\n" }, /* a letter with 9b in it begins nothing */
};

static void
test_screens(void)
{
	for (size_t i = 0; i < sizeof(screens) / sizeof(*screens); i++)
		for (size_t at = 0; at <= strlen(screens[i].in); at++) {
			struct buffer out = { 0 };
			struct detect_stream *d = detect_stream_new(detect_bit("card"));
			struct sp_bytes in = sp_str(screens[i].in);
			CU_ASSERT_EQUAL(detect_stream_feed(d, (struct sp_bytes){ in.p, at }, false, &out), SP_OK);
			CU_ASSERT_EQUAL(detect_stream_feed(d, (struct sp_bytes){ in.p + at, in.len - at }, true, &out), SP_OK);
			bool good = sp_bytes_is(buffer_bytes(&out), screens[i].shown);
			if (!good)
				fprintf(stderr, "\nscreen %zu cut at %zu: %.*s\n", i, at, (int)out.len, (const char *)buffer_bytes(&out).p);
			CU_ASSERT_TRUE(good);
			buffer_free(&out);
			detect_stream_free(&d);
		}
}

/* Let out before it was complete, since somebody waited: the rest of it is hidden, and nothing is said twice. */
static void
test_let_out(void)
{
	static const struct {
		const char *piece[5];
		const char *shown;
	} rows_of[] = {
		{ { "pay 4111 11", "11 1111 1111 now\n" }, "pay 4111 11**** now\n" },
		{ { "name: ", "ann\n", "password: ", "x" }, "name: ann\npassword: x" },
		{ { "ghp_0123456789abcdefgh", "ijklmnopqrstuvwxyz0123\n", "." }, "ghp_0123456789abcdefgh****\n." },
		{ { "-----BEGIN PRIVATE", " KEY-----\nMIIB\n", "AAAA\n", "-----END PRIVATE KEY-----\n", "ok" }, "-----BEGIN PRIVATE****\nok" },
	};
	for (size_t i = 0; i < sizeof(rows_of) / sizeof(*rows_of); i++) {
		struct buffer out = { 0 };
		struct detect_stream *d = detect_stream_new(~0u >> (32 - DETECTORS));
		for (size_t k = 0; k < 5 && rows_of[i].piece[k] != NULL; k++) {
			CU_ASSERT_EQUAL(detect_stream_feed(d, sp_str(rows_of[i].piece[k]), false, &out), SP_OK);
			CU_ASSERT_EQUAL(detect_stream_feed(d, sp_str(""), true, &out), SP_OK);
			CU_ASSERT_FALSE(detect_stream_holds(d));
		}
		bool good = sp_bytes_is(buffer_bytes(&out), rows_of[i].shown);
		if (!good)
			fprintf(stderr, "\nlet out %zu: %.*s\n", i, (int)out.len, (const char *)buffer_bytes(&out).p);
		CU_ASSERT_TRUE(good);
		buffer_free(&out);
		detect_stream_free(&d);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "each detector", test_rows },
		{ "names", test_names },
		{ "many findings", test_many },
		{ "streams, cut at every byte", test_streams },
		{ "SSH: an escape sequence hides nothing from a detector", test_screens },
		{ "SSH: the rest of what was let out early", test_let_out },
		CU_TEST_INFO_NULL,
	};

	if (detect_prepare() != SP_OK)
		return 1;
	return cunit_main("policy detect", tests);
}
