/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings as the command shows them (replay.c, show.c, search.c, explain.c, recordings.c), made by a real
 * recorder: each form whole, sealed ones only with the key, nothing that a terminal obeys (RC5), no tampering unseen.
 */
#include <config.h>
#include "cunit_main.h"

#include "core/record/terminal.h"
#include "command_world.h"
#include "recorder_world.h"

#define main command_main
#include "core/command/main.c"
#undef main

static struct world *w;
static uint8_t id[ID_LEN], auditor[SEAL_KEY];
static char file[256];

/* One session with a statement that tries things, and one that was refused. */
static void
record(bool sealed)
{
	w = world_new();
	memset(auditor, 7, sizeof(auditor));
	w->options.seals = sealed;
	seal_public(auditor, w->options.auditor);
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT '\x1b[2J\xe2\x80\xae needle'");
	say_verdict(w, id, 1, "allow");
	say_rows(w, id, 1, 1, "\x1b]0;title\x07");
	say_done(w, id, 1, 1);
	say_operation(w, id, 2, "DROP TABLE orders");
	say_verdict(w, id, 2, "deny");
	say_end(w, id);
	world_tick(w);
	world_stop(w, false);
	session_file(w, id, file);
}

static void
harmless(void)
{
	for (const char *p = command.out; *p != '\0'; p++)
		if (((uint8_t)*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f) {
			CU_FAIL("a control character went through");
			return;
		}
	CU_ASSERT_PTR_NULL(strstr(command.out, "\xe2\x80\xae"));
}

static void
test_text(void)
{
	record(false);
	RUN(NULL, "replay", file);
	command_expect(0, "SELECT '\\x1b[2J\\u{202e} needle'", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "ann (dba) of https://idp.example.com from 192.0.2.1 to orders/orders as app_gw"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "what=deny"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "title"));
	harmless();
	world_free(&w);
}

static void
test_json_lines(void)
{
	record(false);
	RUN(NULL, "replay", file, "--format", "jsonl");
	command_expect(0, "needle", NULL);
	harmless();
	unsigned lines = 0;
	char *at = command.out;
	for (char *line = strsep(&at, "\n"); line != NULL && *line != '\0'; line = strsep(&at, "\n"), lines++) {
		json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		CU_ASSERT_TRUE(json_is_object(j));
		json_decref(j);
	}
	CU_ASSERT(lines >= 8); /* a line for each frame */
	RUN(NULL, "replay", file, "--format", "asciicast", "--speed", "1000000");
	command_expect(0, "\"version\"", NULL);
	harmless();
	world_free(&w);
}

/* Of a recording that an older recorder took from a worker in others' hands: numbers that no reader of JSON takes as such. */
static void
test_numbers(void)
{
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	json_t *at, *rows;
	w = world_new();
	world_start(w);
	say_header(w, id);
	world_tick(w);
	frame_field_u64(&o, KEY_ROWS, UINT64_MAX);
	frame_field_u64(&o, KEY_BYTES, FRAME_NUMBER_MAX);
	session_frame(w->r, session_find(w->r, id), &(struct frame){ .type = FRAME_RESIZE, .at = UINT64_C(1) << 63, .payload = sp_written(&o) });
	world_stop(w, false);
	session_file(w, id, file);
	RUN(NULL, "replay", file, "--format", "jsonl");
	command_expect(0, "\"type\":\"resize\"", NULL);
	json_t *j = json_loads(strchr(command.out, '\n') + 1, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_TRUE((at = json_object_get(j, "at_us")) != NULL && (rows = json_object_get(j, "rows")) != NULL);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "bytes")), FRAME_NUMBER_MAX);
	CU_ASSERT_STRING_EQUAL(json_is_string(at) ? json_string_value(at) : "", "9223372036854775808");
	CU_ASSERT_STRING_EQUAL(json_is_string(rows) ? json_string_value(rows) : "", "18446744073709551615");
	json_decref(j);
	RUN(NULL, "replay", file, "--format", "asciicast");
	command_expect(0, "\"width\":80,\"height\":24,", NULL);
	world_free(&w);
}

/* Sealed for a while: with the key, each operation is shown, in one piece or in two. */
static void
test_sealed_for_a_while(void)
{
	char hex[2 * SEAL_KEY + 1];
	w = world_new();
	memset(auditor, 7, sizeof(auditor));
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT early");
	world_tick(w);
	seal_public(auditor, w->r->options.auditor);
	w->r->options.seals = true;
	say_statement(w, id, 2, "SELECT sealed");
	world_tick(w);
	w->r->options.seals = false;
	say_statement(w, id, 3, "SELECT late");
	say_end(w, id);
	world_tick(w);
	world_stop(w, false);
	session_file(w, id, file);
	text_hex((struct sp_bytes){ auditor, sizeof(auditor) }, hex);
	RUN(NULL, "replay", file, "--key", command_file("key", hex));
	command_expect(0, "SELECT early", NULL);
	const char *sealed = strstr(command.out, "SELECT sealed");
	CU_ASSERT(sealed != NULL && strstr(sealed + 1, "SELECT sealed") == NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "SELECT late"));
	RUN(NULL, "replay", file);
	command_expect(0, "SELECT late", "sealed to an auditor");
	CU_ASSERT_PTR_NULL(strstr(command.out, "SELECT sealed"));
	world_free(&w);
}

static void
test_sealed(void)
{
	char hex[2 * SEAL_KEY + 1], wrong[2 * SEAL_KEY + 1];
	record(true);
	text_hex((struct sp_bytes){ auditor, sizeof(auditor) }, hex);
	memset(wrong, '1', sizeof(wrong) - 1);
	wrong[sizeof(wrong) - 1] = '\0';
	RUN(NULL, "replay", file);
	command_expect(0, "what=deny", "sealed to an auditor: --key FILE opens them");
	CU_ASSERT_PTR_NULL(strstr(command.out, "needle"));
	RUN(NULL, "replay", file, "--key", command_file("key", hex));
	command_expect(0, "needle", NULL);
	RUN(NULL, "replay", file, "--key", command_file("wrong", wrong));
	CU_ASSERT_EQUAL(command.code, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.err, "sealed to another key"));
	CU_ASSERT_PTR_NULL(strstr(command.out, "needle"));
	RUN(NULL, "explain", file, "1");
	command_expect(0, "sealed to its auditors", NULL);
	CU_ASSERT_PTR_NULL(strstr(command.out, "needle"));
	world_free(&w);
}

static void
test_explain(void)
{
	record(false);
	RUN(NULL, "explain", file, "2");
	command_expect(0, "DROP TABLE orders", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "deny; rule a-rule"));
	RUN(NULL, "explain", file, "1");
	command_expect(0, "\\x1b[2J\\u{202e} needle", NULL);
	harmless();
	RUN(NULL, "explain", file, "3");
	command_expect(1, NULL, "has no operation 3");
	world_free(&w);
}

static void
test_verify(void)
{
	char key[65];
	record(false);
	text_hex((struct sp_bytes){ w->public, 32 }, key);
	RUN(NULL, "verify", file);
	command_expect(0, "intact", "only its own chain");
	RUN(NULL, "verify", w->dir, "--key", key);
	command_expect(0, "intact", NULL);
	RUN(NULL, "verify", w->dir);
	command_expect(0, "intact", "give the keeper's by --key");
	RUN(NULL, "verify", w->dir, "--json", "--key", "1111111111111111111111111111111111111111111111111111111111111111");
	command_expect(1, "\"ok\": false", NULL);
	int fd = open(file, O_RDWR | O_CLOEXEC);
	uint8_t byte;
	CU_ASSERT_EQUAL(pread(fd, &byte, 1, 200), 1);
	byte ^= 1;
	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, 200), 1);
	close(fd);
	RUN(NULL, "verify", file);
	command_expect(1, NULL, "NOT INTACT");
	RUN(NULL, "verify", w->dir, "--key", key);
	command_expect(1, NULL, "NOT INTACT");
	RUN(NULL, "replay", file);
	CU_ASSERT_EQUAL(command.code, 1); /* what can't be read is not shown as if it were all */
	world_free(&w);
}

/* What of a recorded terminal's bytes reaches another one, cut at every byte (RC5). */
static void
test_terminal(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain \303\244\r\n\ttext\b", "plain \303\244\r\n\ttext\b" }, { "\033[1;31mred\033[0m", "\033[1;31mred\033[0m" },
		{ "\033[2J\033[10;20Hx\033[K\033[3A\033[?25l", "\033[2J\033[10;20Hx\033[K\033[3A\033[?25l" },
		{ "\033[?1049h\033(0qq\033(B\0337\0338\033M", "\033[?1049h\033(0qq\033(B\0337\0338\033M" },
		{ "a\033]0;title\007b", "ab" }, { "a\033]52;c;eA==\033\\b", "ab" }, { "a\033]8;;http://x\033\\b", "ab" },
		{ "a\033P+q544e\033\\b\033_x\033\\c\033^x\033\\d\033Xx\033\\e", "abcde" }, { "a\033[c\033[6n\033[>c\033[=cb", "ab" },
		{ "a\033[?1000h\033[?2004h\033[?1006h\033[5ib\033[21tc\033[?6nd", "abcd" }, { "a\033cb\033Zc\005d\007e\177f", "abcdef" },
		{ "a\033[1$rb\033[?1$pc\033#8d\033 Fe", "abcde" }, { "a\302\2331mb", "a\302\2771mb" }, { "a\033[31\033[32mb", "a\033[32mb" },
		{ "a\033]no end", "a" }, { "a\033[31", "a" }, { "a\033]0;x\030b", "ab" },
		{ "a\xc2\x1b]0;x\x07\x9b" "31m", "a\xc2\xbf" "31m" }, { "\xc2\x7f\x9b", "\xc2\xbf" }, { "\xe2\x82\x9b", "\xe2\x82\x9b" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t at = 0; at <= strlen(rows[i].in); at++) {
			uint8_t space[256];
			struct terminal t = { .state = 0 };
			struct sp_writer out = sp_writer(space, sizeof(space));
			struct sp_bytes in = sp_str(rows[i].in);
			terminal_feed(&t, (struct sp_bytes){ in.p, at }, &out);
			terminal_feed(&t, (struct sp_bytes){ in.p + at, in.len - at }, &out);
			bool good = sp_bytes_is(sp_written(&out), rows[i].out);
			if (!good)
				fprintf(stderr, "\nterminal %zu cut at %zu\n", i, at);
			CU_ASSERT_TRUE(good);
		}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "text (RC5)", test_text }, { "JSON lines, asciicast (RC5)", test_json_lines }, { "numbers", test_numbers }, { "sealed (P9)", test_sealed }, { "sealed for a while", test_sealed_for_a_while }, { "a terminal's bytes (RC5)", test_terminal },
		{ "explain", test_explain }, { "verify (RC1)", test_verify }, CU_TEST_INFO_NULL,
	};
	command_begin();
	int rc = cunit_main("replay", tests);
	command_end();
	return rc;
}
