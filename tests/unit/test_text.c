/* SPDX-License-Identifier: Apache-2.0 */
/* RC5: what others wrote, for terminals and for JSON. */
#include <config.h>
#include "cunit_main.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/record/text.h"

typedef void put_text(struct sp_writer *w, struct sp_bytes s);

static const char *
by(put_text *put, struct sp_bytes in)
{
	static char out[65536];
	struct sp_writer w = sp_writer((uint8_t *)out, sizeof(out) - 1);
	put(&w, in);
	CU_ASSERT_FALSE(w.bad);
	out[w.len] = '\0';
	return out;
}

static void
lines(struct sp_writer *w, struct sp_bytes s)
{
	text_lines(w, s, "  ");
}

static void
test_shown(void)
{
	static const struct {
		struct sp_bytes in;
		const char *shown, *lines;
	} row[] = {
		{ { (const uint8_t *)"plain", 5 }, "plain", "plain" },
		{ { (const uint8_t *)"a\nb\tc\r", 6 }, "a\\nb\\tc\\r", "a\n  b\tc\\r" },
		{ { (const uint8_t *)"a\r\nb", 4 }, "a\\r\\nb", "a\n  b" },
		{ { (const uint8_t *)"\x1b[2J\x1b]52;c;eA==\x07", 16 }, "\\x1b[2J\\x1b]52;c;eA==\\x07", "\\x1b[2J\\x1b]52;c;eA==\\x07" },
		{ { (const uint8_t *)"\xc3\xa4\xe2\x82\xac", 5 }, "\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac" },
		{ { (const uint8_t *)"\xc2\x9b" "2J", 4 }, "\\u{9b}2J", "\\u{9b}2J" }, /* CSI in eight bits */
		{ { (const uint8_t *)"\xe2\x80\xaetxt", 6 }, "\\u{202e}txt", "\\u{202e}txt" },
		{ { (const uint8_t *)"\xff\xc0\x80\xed\xa0\x80", 6 }, "\\xff\\xc0\\x80\\xed\\xa0\\x80", "\\xff\\xc0\\x80\\xed\\xa0\\x80" },
		{ { (const uint8_t *)"\0\x7f", 2 }, "\\x00\\x7f", "\\x00\\x7f" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CU_ASSERT_STRING_EQUAL(by(text_shown, row[i].in), row[i].shown);
		CU_ASSERT_STRING_EQUAL(by(lines, row[i].in), row[i].lines);
	}
}

/* Whatever bytes come in: one line of printable characters comes out, and JSON that a parser takes. */
static void
test_any_bytes(void)
{
	uint8_t in[64];
	srandom(1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % sizeof(in);
		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)(random() % 3 == 0 ? 0xc0 + random() % 64 : random());
		const char *out = by(text_shown, (struct sp_bytes){ in, n });
		struct sp_reader r = sp_reader(sp_str(out));
		while (r.left > 0) {
			uint32_t c;
			size_t used = text_character((struct sp_bytes){ r.p, r.left }, &c);
			if (used == 0 || !text_harmless(c))
				CU_FAIL_FATAL("harmful text went through");
			(void)sp_rd_take(&r, used);
		}
		out = by(text_json, (struct sp_bytes){ in, n });
		json_t *j = json_loads(out, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		CU_ASSERT_PTR_NOT_NULL(j);
		CU_ASSERT_PTR_NULL(strpbrk(out, "\n\r\x1b\x7f"));
		json_decref(j);
	}
}

static void
test_json(void)
{
	CU_ASSERT_STRING_EQUAL(by(text_json, SP_LIT("a\"b\\c\n\x1b\xc3\xa4")), "\"a\\\"b\\\\c\\n\\u001b\xc3\xa4\"");
	CU_ASSERT_STRING_EQUAL(by(text_json, SP_LIT("\xff")), "\"\\ufffd\"");
	CU_ASSERT_STRING_EQUAL(by(text_json, SP_LIT("\xf3\xa0\x80\x81")), "\"\\udb40\\udc01\"");
	CU_ASSERT_STRING_EQUAL(by(text_json_again, SP_LIT("{\n  \"a\": \"\xc2\x9b\xcd\x8f\\n\xc3\xa4\x7f\"\n}")),
	    "{\n  \"a\": \"\\u009b\\u034f\\n\xc3\xa4\\u007f\"\n}");
	char out[64] = "";
	struct sp_writer w = sp_writer((uint8_t *)out, sizeof(out) - 1);
	sp_wr_u8(&w, '{');
	text_json_member(&w, "a", SP_LIT("x"));
	text_json_number(&w, "b", 7);
	text_json_hex(&w, "c", SP_LIT("\1\xff"));
	sp_wr_u8(&w, '}');
	CU_ASSERT_STRING_EQUAL(out, "{\"a\":\"x\",\"b\":7,\"c\":\"01ff\"}");
}

/* Every byte at every place among plain ones, which are taken eight at a time: as it is escaped alone. */
static void
test_json_runs(void)
{
	char expected[64], alone[16];
	uint8_t in[19];
	for (unsigned c = 0; c < 256; c++)
		for (size_t n = 1; n <= sizeof(in); n++)
			for (size_t at = 0; at < n; at++) {
				memset(in, "!#[]~ "[(at + c) % 6], n); /* each next to one that is none of them */
				in[at] = (uint8_t)c;
				const char *out = by(text_json, (struct sp_bytes){ in + at, 1 });
				(void)snprintf(alone, sizeof(alone), "%.*s", (int)strlen(out) - 2, out + 1);
				(void)snprintf(expected, sizeof(expected), "\"%.*s%s%.*s\"", (int)at, in, alone, (int)(n - at - 1), in + at + 1);
				out = by(text_json, (struct sp_bytes){ in, n });
				if (strcmp(out, expected) != 0)
					CU_FAIL_FATAL("a byte is escaped otherwise among others");
			}
}

static void
test_width(void)
{
	CU_ASSERT_EQUAL(text_width(SP_LIT("abc")), 3);
	CU_ASSERT_EQUAL(text_width(SP_LIT("\xe6\xbc\xa2\xe5\xad\x97")), 4); /* two wide ones */
	CU_ASSERT_EQUAL(text_width(SP_LIT("e\xcc\x81")), 1); /* and a combining mark */
	CU_ASSERT_EQUAL(text_width(SP_LIT("")), 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "shown (RC5)", test_shown }, { "any bytes (RC5)", test_any_bytes }, { "json", test_json },
		{ "json's plain runs", test_json_runs }, { "width", test_width },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("text", tests);
}
