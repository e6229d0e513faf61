/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings as the command shows them (replay.c, show.c, search.c, explain.c, recordings.c), made by a real
 * recorder: each form whole, sealed ones only with the key, nothing that a terminal obeys (RC5), no tampering unseen.
 */
#include <config.h>
#include "cunit_main.h"

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

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "text (RC5)", test_text }, { "JSON lines, asciicast (RC5)", test_json_lines }, { "sealed (P9)", test_sealed },
		{ "explain", test_explain }, { "verify (RC1)", test_verify }, CU_TEST_INFO_NULL,
	};
	command_begin();
	int rc = cunit_main("replay", tests);
	command_end();
	return rc;
}
