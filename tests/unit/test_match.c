/* SPDX-License-Identifier: Apache-2.0 */
/* What a search finds in frames, and what it must not look at. */
#include <config.h>
#include "cunit_main.h"

#include "core/record/match.h"

static void
test_find(void)
{
	static const struct {
		const char *in, *text;
		size_t at;
	} row[] = {
		{ "SELECT 1", "select", 0 }, { "SELECT 1", "CT 1", 4 }, { "SELECT 1", "1", 7 }, { "SELECT 1", "2", 8 }, { "abc", "abcd", 3 },
		{ "abc", "", 3 }, { "", "a", 0 }, { "", "", 0 }, { "aab", "ab", 1 }, { "a.c", "abc", 3 },
		{ "GR\xc3\x9c", "gr\xc3\xbc", 4 }, { "[", "{", 1 }, /* letters of ASCII alone are folded */
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_EQUAL(match_find(sp_str(row[i].in), sp_str(row[i].text)), row[i].at);
	CU_ASSERT_EQUAL(match_find((struct sp_bytes){ (const uint8_t *)"a\0b", 3 }, SP_LIT("B")), 2);
}

static void
test_frame(void)
{
	static const struct {
		unsigned key;
		bool found;
	} row[] = {
		{ KEY_TEXT, true }, { KEY_PARAM, true }, { KEY_MESSAGE, true }, { KEY_RULE, true }, { KEY_ERROR, true }, { KEY_FACT, true },
		{ KEY_PRINCIPAL, false }, { KEY_TEXT_HASH, false }, { KEY_POLICY_HASH, false }, { KEY_APPROVAL, false },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint8_t bytes[128];
		struct sp_bytes where;
		size_t at;
		struct sp_writer w = sp_writer(bytes, sizeof(bytes));
		frame_field(&w, KEY_KIND, SP_LIT("needle"));
		frame_field(&w, row[i].key, SP_LIT("a needle here"));
		const struct frame f = { .type = FRAME_OPERATION, .payload = sp_written(&w) };
		CU_ASSERT_EQUAL(match_frame(&f, SP_LIT("Needle"), &where, &at), row[i].found);
		if (row[i].found)
			CU_ASSERT(at == 2 && sp_bytes_is(where, "a needle here"));
		CU_ASSERT_FALSE(match_frame(&f, SP_LIT("nothing"), &where, &at));
		/* A payload cut anywhere finds less, and reads nothing beyond its end. */
		for (size_t n = 0; n < w.len; n++) {
			const struct frame cut = { .type = FRAME_OPERATION, .payload = { bytes, n } };
			CU_ASSERT_FALSE(match_frame(&cut, SP_LIT("needle here"), &where, &at));
		}
	}
	struct sp_bytes where;
	size_t at;
	const struct frame out = { .type = FRAME_OUTPUT, .payload = SP_LIT("rows of a Table") };
	CU_ASSERT_TRUE(match_frame(&out, SP_LIT("table"), &where, &at));
	CU_ASSERT_EQUAL(at, 10);
}

static void
test_around(void)
{
	static uint8_t text[1000];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 26);
	for (size_t at = 0; at < sizeof(text); at++) {
		struct sp_bytes all = { text, sizeof(text) };
		size_t len = at % 200 + 1 < sizeof(text) - at ? at % 200 + 1 : sizeof(text) - at;
		struct sp_bytes s = match_around(all, at, len);
		CU_ASSERT(s.len <= 160 && s.p >= text && s.p + s.len <= text + sizeof(text));
		CU_ASSERT(s.p <= text + at && s.p + s.len > text + at); /* the match's begin is in it */
		if (len <= 160)
			CU_ASSERT(s.p + s.len >= text + at + len);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = { { "find", test_find }, { "frames", test_frame }, { "around", test_around }, CU_TEST_INFO_NULL };
	return cunit_main("match", tests);
}
