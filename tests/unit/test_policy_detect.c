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

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "each detector", test_rows },
		{ "names", test_names },
		{ "many findings", test_many },
		{ "streams, cut at every byte", test_streams },
		CU_TEST_INFO_NULL,
	};

	if (detect_prepare() != SP_OK)
		return 1;
	return cunit_main("policy detect", tests);
}
