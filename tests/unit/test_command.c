/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `sallyport` command: mistakes are exit status 2 and say what to do (options.c, main.c), what others wrote
 * reaches no terminal as itself (print.c, gateway.c; AP1, AP2), a gateway that lies is not believed (client.c,
 * search.c, recordings.c), policies are tried without a gateway (policies.c, policy_files.c, policy_explain.c,
 * explain.c), and the manual comes from the tables (manual.c).
 */
#include <config.h>
#include "cunit_main.h"

#include "core/command/command.h"
#include "command_world.h"

#define main command_main
#include "core/command/main.c"
#undef main

#define OK_JSON(json) "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" json
#define END(text) ((struct sp_bytes){ (const uint8_t *)(text), sizeof(text) })
#define ID "abcdefghijklmnopqrstuvwxyz"

/* A whole answer with this body: the last few stay. */
static const char *
good(const char *body)
{
	static char *text[4];
	static unsigned turn;
	char **out = &text[turn++ % 4];
	free(*out);
	CU_ASSERT(asprintf(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body) > 0);
	return *out;
}

/* ---- the command line ---- */

static void
test_misused(void)
{
	static const struct {
		const char *words[6], *text;
	} row[] = {
		{ { NULL }, "usage: sallyport COMMAND" },
		{ { "tokn" }, "did you mean \"token\"?" },
		{ { "frobnicate" }, "`sallyport help` lists all" },
		{ { "--json", "status" }, "options come after the command" },
		{ { "policy" }, "sallyport policy test" },
		{ { "policy", "chek" }, "sallyport policy check" },
		{ { "whoami", "more" }, "\"more\" is one word too many" },
		{ { "whoami", "--jsn" }, "did you mean --json?" },
		{ { "whoami", "--jsn=1" }, "there is no option --jsn, did you mean --json?" },
		{ { "whoami", "--frobnicate" }, "there is no option --frobnicate\n" },
		{ { "whoami", "-j" }, "there is no option -j" },
		{ { "whoami", "--json=yes" }, "--json takes no value" },
		{ { "whoami", "--control" }, "--control takes a value: --control PATH" },
		{ { "whoami", "--", "--json" }, "\"--json\" is one word too many" },
		{ { "kill" }, "it takes ID" },
		{ { "export", ID }, "it takes ID FILE" },
		{ { "token" }, "it needs --user NAME" },
		{ { "token", "--user=" }, "it needs --user NAME" },
		{ { "token", "--user", "ann", "--ttl", "5" }, "unit, such as 10m" },
		{ { "token", "--user", "ann", "--ttl=0s" }, "unit, such as 10m" },
		{ { "revoke" }, "it needs --user NAME" },
		{ { "sessions", "--limit", "0" }, "whole number from 1 on" },
		{ { "sessions", "--limit", "" }, "whole number from 1 on" },
		{ { "sessions", "--limit", "-1" }, "whole number from 1 on" },
		{ { "sessions", "--limit", "7x" }, "whole number from 1 on" },
		{ { "sessions", "--limit", "99999999999999999999999" }, "whole number from 1 on" },
		{ { "replay", "x", "--format", "film" }, "text, jsonl, asciicast or terminal" },
		{ { "replay", "x", "--speed", "nan" }, "takes a number" },
		{ { "replay", "x", "--speed", "-1" }, "takes a number" },
		{ { "explain", "x" }, "SESSION.NUMBER" },
		{ { "explain", ID ".1x" }, "SESSION.NUMBER" },
		{ { "explain", ".1" }, "SESSION.NUMBER" },
		{ { "explain", "x", "0" }, "no number of an operation" },
		{ { "explain", "x", "4294967296" }, "no number of an operation" },
		{ { "verify", "/tmp", "--key", "12" }, "64 hexadecimal digits" },
		{ { "help", "frobnicate" }, "there is no command" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		(void)command_run(NULL, row[i].words);
		command_expect(2, NULL, row[i].text);
	}
}

static void
test_help(void)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		char first[32], expected[64];
		const char *space = strchr(c->name, ' ');
		(void)snprintf(first, sizeof(first), "%.*s", (int)(space == NULL ? strlen(c->name) : (size_t)(space - c->name)), c->name);
		(void)snprintf(expected, sizeof(expected), "sallyport %s", c->name);
		RUN(NULL, first, space == NULL ? "-h" : space + 1, space == NULL ? NULL : "--help");
		command_expect(0, expected, NULL);
		CU_ASSERT_PTR_NOT_NULL(strstr(command.out, c->help));
		CU_ASSERT_EQUAL(strstr(command.out, "--control") == NULL, c->alone);
		RUN(NULL, "help", first, space == NULL ? NULL : space + 1);
		command_expect(0, expected, NULL);
	}
	RUN(NULL, "help", "policy");
	command_expect(0, "sallyport policy explain", NULL);
	RUN(NULL, "--version");
	command_expect(0, "sallyport " PACKAGE_VERSION, NULL);
}

/* ---- what is printed ---- */

static const char *
safe(struct sp_bytes text, size_t most)
{
	static char out[256];
	memset(out, 0, sizeof(out));
	FILE *f = fmemopen(out, sizeof(out), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	print_safe(f, text, most);
	(void)fclose(f);
	return out;
}

#define SAFE(text, most) safe((struct sp_bytes){ (const uint8_t *)(text), sizeof(text) - 1 }, most)

static void
test_safe(void)
{
	CU_ASSERT_STRING_EQUAL(SAFE("a\x1b[2J\r\n\t\x7f", 0), "a\\x1b[2J\\r\\n\\t\\x7f");
	CU_ASSERT_STRING_EQUAL(SAFE("\0end", 0), "\\x00end");
	CU_ASSERT_STRING_EQUAL(SAFE("\xc2\x9b" "2J", 0), "\\u{9b}2J");              /* CSI in eight bits */
	CU_ASSERT_STRING_EQUAL(SAFE("\xe2\x80\xae\xe2\x81\xa6", 0), "\\u{202e}\\u{2066}"); /* overrides, isolates */
	CU_ASSERT_STRING_EQUAL(SAFE("\xe2\x80\x8b\xef\xbb\xbf", 0), "\\u{200b}\\u{feff}"); /* zero width */
	CU_ASSERT_STRING_EQUAL(SAFE("\xcd\x8f\xc2\xad", 0), "\\u{34f}\\u{ad}");
	CU_ASSERT_STRING_EQUAL(SAFE("\xf3\xa0\x81\x81", 0), "\\u{e0041}");            /* a tag character */
	CU_ASSERT_STRING_EQUAL(SAFE("\xff\xc0\xaf\xed\xa0\x80", 0), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
	CU_ASSERT_STRING_EQUAL(SAFE("gr\xc3\xbc\xc3\x9f", 0), "gr\xc3\xbc\xc3\x9f");
	CU_ASSERT_STRING_EQUAL(SAFE("abcdef", 3), "abc…");
	CU_ASSERT_STRING_EQUAL(SAFE("abc", 3), "abc");
	CU_ASSERT_STRING_EQUAL(SAFE("ab\x1b", 3), "ab…"); /* never half an escape */
}

static void
test_table(void)
{
	RUN(ANSWER(good("{\"targets\":[{\"name\":\"a\\u001b[1m\",\"mode\":\"observe\",\"protocol\":\"p\",\"database\":\"d\",\"access\":\"grant\",\"host\":\"h\",\"port\":5,\"tls\":true},"
		   "{\"name\":\"\xe6\xbc\xa2\xe5\xad\x97\",\"protocol\":\"postgres\",\"database\":true,\"access\":\"standing\"}]}")), "targets");
	command_expect(0, "NAME      MODE     PROTOCOL  DATABASE  ACCESS    HOST  PORT  TLS\n"
			  "a\\x1b[1m  observe  p         d         grant     h     5     yes\n"
			  "\xe6\xbc\xa2\xe5\xad\x97               postgres  yes       standing              \n", NULL);
}

/* JSON for people is read on terminals too: no control of eight bits, nothing that turns the line around. */
static void
test_json(void)
{
	RUN(ANSWER(good("{\"user\":\"\xc2\x9b" "2J\xe2\x80\xae\x7f\\u001b\xf3\xa0\x81\x81\xc3\xbc\",\"n\":1,\"l\":[]}")), "whoami", "--json");
	command_expect(0, "\"user\": \"\\u009b2J\\u202e\\u007f\\u001B\\udb40\\udc41\xc3\xbc\"", NULL);
	json_t *j = json_loads(command.out, 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "user")), "\xc2\x9b" "2J\xe2\x80\xae\x7f\x1b\xf3\xa0\x81\x81\xc3\xbc");
	json_decref(j);
}

/* ---- what an approver sees ---- */

#define REQUEST(view) "{\"id\":\"" ID "\",\"state\":\"waiting\",\"user\":\"ann\",\"rule\":\"r\",\"hash\":\"0123\"," \
		"\"text\":\"DROP\\u202e \\u001b[8mTABLE\\u200b t\\nGO\",\"view\":" view "}"

static void
test_request(void)
{
	const char *held = good(REQUEST("{\"text\":\"DROP\\u202e \\u001b[8mTABLE\\u200b t\\nGO\",\"user\":\"bob\",\"in\":{\"user\":\"c\\u009b\"},"
		"\"params\":[\"a\\u2066\"],\"none\":null}"));
	RUN(ANSWER(held), "requests", ID); /* AP2 */
	command_expect(0, "\n    DROP\\u{202e} \\x1b[8mTABLE\\u{200b} t\\nGO\n", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "user      ann\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "user (2)  bob\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "user (3)  c\\u{9b}\n")); /* none hides another */
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "a\\u{2066}"));
	RUN(ANSWER(held, good("{\"id\":\"x\",\"state\":\"done\"} ")), "approve", ID, "--comment", "go on");
	command_expect(0, "x: done", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[1], "\"hash\":\"0123\"")); /* what was seen, no other */
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[1], "\"comment\":\"go on\""));
}

/* AP1: what is long is shown to its end; what can't be shown whole can't be approved here. */
static void
test_request_whole(void)
{
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL(buffer_printf(&b, "{\"id\":\"x\",\"text\":\"t\",\"view\":{\"param\":\""), SP_OK);
	for (unsigned i = 0; i < 1500; i++)
		CU_ASSERT_EQUAL(buffer_printf(&b, "%01000u", 0), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&b, END("the end\"}}")), SP_OK);
	const char *held = good((const char *)buffer_bytes(&b).p);
	RUN(ANSWER(held), "requests", ID);
	command_expect(0, "the end\n", NULL);
	buffer_free(&b);
	CU_ASSERT_EQUAL(buffer_printf(&b, "{\"id\":\"x\",\"hash\":\"h\",\"text\":\"t\",\"view\":{"), SP_OK);
	for (unsigned i = 0; i < 60; i++)
		CU_ASSERT_EQUAL(buffer_printf(&b, "\"m%u\":\"v\",", i), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&b, END("\"z\":1}}")), SP_OK);
	held = good((const char *)buffer_bytes(&b).p);
	RUN(ANSWER(held, good("{}")), "approve", ID);
	command_expect(1, "m37", "not all of it");
	CU_ASSERT_EQUAL(command.asked, 1); /* it asked nobody to approve */
	buffer_free(&b);
}

/* ---- a gateway that lies ---- */

static void
test_lies(void)
{
	static const struct {
		const char *answer, *text;
	} row[] = {
		{ "", "hung up before its answer was complete" },
		{ "HTTP/1.1 200 OK\r\nConte", "hung up before its answer was complete" },
		{ "SSH-2.0-OpenSSH\r\n\r\n", "is no HTTP" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "is no HTTP" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "is no HTTP" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", "is no HTTP" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "is no HTTP" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"user\":\"ann\"}", "hung up before its answer was complete" },
		{ OK_JSON("e\r\n{\"user\":\"ann\"}\r\n"), "hung up before its answer was complete" },
		{ OK_JSON("zz\r\n{}"), "is no HTTP" },
		{ OK_JSON("2\r\n{}}\r\n0\r\n\r\n"), "is no HTTP" },
		{ OK_JSON("0\r\n\r\n"), "is no JSON" },
		{ OK_JSON("5\r\nhello\r\n0\r\n\r\n"), "is no JSON" },
		{ OK_JSON("1c\r\n{\"user\":\"a\",\"user\":\"root\"}  \r\n0\r\n\r\n"), "is no JSON" },
		{ "HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\n{\"error\":\"no \\u001b[2J\"}", "sallyport: no \\x1b[2J\n" },
		{ "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", "sallyport: Forbidden\n" },
		{ "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", "sallyport: " },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		RUN(ANSWER(row[i].answer), "whoami");
		command_expect(1, NULL, row[i].text);
	}
}

static void
test_caller(void)
{
	const char *token = command_file("token", "a.b.c\r\n"), *empty = command_file("empty", "\n"), *two = command_file("two", "a\r\nX-Other: b");
	const char *me = good("{\"user\":\"ann\"}");
	RUN(ANSWER(me), "whoami", "--token-file", token);
	command_expect(0, "user           ann\n", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[0], "\r\nAuthorization: Bearer a.b.c\r\n"));
	RUN(ANSWER(me), "whoami");
	CU_ASSERT_PTR_NULL(strstr(command.question[0], "Authorization"));
	RUN(ANSWER(me), "whoami", "--token-file", empty);
	command_expect(1, NULL, "there is no token in it");
	RUN(ANSWER(me), "whoami", "--token-file", two); /* no second header by way of a token */
	command_expect(1, NULL, "can't be sent");
	CU_ASSERT_EQUAL(command.asked, 0);
	RUN(NULL, "whoami");
	command_expect(1, NULL, "is sallyportd running?");
	RUN(NULL, "kill", "../status");
	command_expect(1, NULL, "is no id");
	RUN(ANSWER(good("{\"sessions\":[]}")), "sessions", "--live", "--user", "a&b=c d", "--limit", "3");
	command_expect(0, "ID  USER", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[0], "user=a%26b%3Dc%20d"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[0], "limit=3"));
	RUN(ANSWER(good("{}")), "token", "--user", "ann");
	command_expect(1, NULL, "has no token");
}

/* ---- search, verify, export ---- */

static void
test_search(void)
{
	RUN(ANSWER(good("{\"match\":{\"session\":\"s\\u001b\",\"op\":7,\"text\":\"x\\u202ey\"}}\n{\"done\":{\"sealed\":2,\"more\":true}}\n")), "search", "x");
	command_expect(0, "s\\x1b.7  x\\u{202e}y\n", "2 recordings are sealed to an auditor");
	CU_ASSERT_PTR_NOT_NULL(strstr(command.err, "there are more"));
	RUN(ANSWER(good("{\"match\":{\"session\":\"s\",\"op\":7}}   \n")), "search", "x");
	command_expect(1, "s.7", "ended before its end"); /* never: "that was all" */
	RUN(ANSWER(good("{\"error\":\"broken\"}\n")), "search", "x");
	command_expect(1, NULL, "sallyport: broken\n");
	RUN(ANSWER(good("{]}\n")), "search", "x");
	command_expect(1, NULL, "is no JSON");
	RUN(NULL, "search", "x", "--key", command_file("nokey", "12"));
	command_expect(1, NULL, "holds no X25519 private key");
}

#define SESSION_OF(id, user, target) "{\"id\":\"" id "\",\"user\":\"" user "\",\"target\":\"" target "\",\"part\":\"\"}"

/* Another target's engine may say the same name: whose session was named is shown, and no refusal. */
static void
test_together(void)
{
	static const char no[] = "HTTP/1.1 503 No\r\nContent-Length: 21\r\n\r\n{\"error\":\"that far\"}\n\n";
	static const char *const exec = "0123456789012345678901234567890123456789";
	const char *one = good("{\"id\":\"" ID "\",\"user\":\"ann\",\"target\":\"engine\",\"part\":\"\",\"groups\":[\"e1\"]}");
	const char *list = good("{\"sessions\":[" SESSION_OF("b", "eve", "other") "," SESSION_OF("c", "eve", "engine") "," SESSION_OF(ID, "ann", "engine") "]}");
	const char *none = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", *empty = good("{\"sessions\":[]}");
	RUN(ANSWER(one, list, no), "replay", ID, "--together");
	command_expect(1, NULL, "that far");
	CU_ASSERT_EQUAL(command.asked, 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[1], "group=e1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[1], "target=engine"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[2], "/sessions/" ID "/recording"));
	RUN(ANSWER(list), "replay", exec);
	command_expect(1, NULL, "more than one group, of eve at other and of eve at engine: replay a session of the one that is meant with --together");
	CU_ASSERT_PTR_NULL(strstr(command.question[0], "target="));
	RUN(ANSWER(none, empty), "replay", ID, "--together");
	command_expect(1, NULL, "no group, and no session that belongs to one");
	RUN(ANSWER(empty), "replay", "A name", "--together");
	command_expect(1, NULL, "no group, and no session that belongs to one");
}

static void
test_recordings(void)
{
	const char *file = command_file("out.spr", NULL);
	RUN(ANSWER(good("bytes")), "export", ID, file);
	command_expect(0, "", NULL);
	RUN(NULL, "export", ID, file);
	command_expect(1, NULL, "File exists"); /* and is not overwritten */
	RUN(NULL, "verify", file);
	command_expect(1, NULL, "NOT INTACT");
	RUN(NULL, "replay", file);
	CU_ASSERT_EQUAL(command.code, 1);
	const char *half = command_file("half.spr", NULL);
	RUN(ANSWER(OK_JSON("5\r\nbytes\r\n")), "export", ID, half);
	command_expect(1, NULL, "hung up");
	CU_ASSERT_NOT_EQUAL(access(half, F_OK), 0); /* half a recording is none */
	RUN(ANSWER(good("{\"ok\":false,\"text\":\"cut \\u001b\"}")), "verify", ID);
	CU_ASSERT_EQUAL(command.code, 1);
	RUN(ANSWER(good("{\"ok\":true} ")), "verify", ID);
	CU_ASSERT_EQUAL(command.code, 0);
	RUN(ANSWER(good("{\"ok\":\"true\"}")), "verify", ID);
	CU_ASSERT_EQUAL(command.code, 1); /* "true" is not true */
}

/* ---- policies and the manual, without a gateway ---- */

/* The module as built, in a folder of ours: the way up from the build tree may be open to others. */
static const char *
module(void)
{
	static char path[128], from[512];
	const char *built = getenv("LOAD_TEST_FOLDER");
	(void)snprintf(path, sizeof(path), "%s/echo.so", command.folder);
	(void)snprintf(from, sizeof(from), "%s/load_module.so", built == NULL ? "tests/unit/.libs" : built);
	CU_ASSERT_TRUE_FATAL(files_copy(from, path, 0755));
	return path;
}

#define RULE "rule 'no-drop' { on = 'line.send', when = { text = 'DROP' }, deny = 'never' }\n"
#define TEST_OF(verdict) "test 't' { send = operation 'line.send' 'DROP', expect = '" verdict "' }\n"

static void
test_policies(void)
{
	const char *m = module(), *p = command_file("p.lua", RULE);
	RUN(NULL, "policy", "check", p, "--module", m);
	command_expect(0, "no-drop  line.send  deny", NULL);
	RUN(NULL, "policy", "check", p, p, "--module", m); /* named twice, read once */
	command_expect(0, "no-drop", NULL);
	RUN(NULL, "policy", "test", p, "--module", m);
	command_expect(1, "0 tests, 0 failed", "there is no test in these files");
	(void)command_file("p_test.lua", TEST_OF("deny"));
	RUN(NULL, "policy", "test", p, "--module", m); /* found by itself */
	command_expect(0, "1 tests, 0 failed", NULL);
	(void)command_file("p_test.lua", TEST_OF("allow"));
	RUN(NULL, "policy", "test", p, "--module", m, "--json");
	command_expect(1, "\"failed\": 1", "p_test.lua:1");
	RUN(NULL, "policy", "test", command.folder, "--module", m);
	command_expect(1, "1 tests, 1 failed", "p_test.lua:1");
	RUN(NULL, "policy", "check", command_file("bad.lua", "rule 'x' { on = 'line.sned', deny = 'y' }"), "--module", m);
	command_expect(1, NULL, "bad.lua:1: ");
	RUN(NULL, "policy", "check", command_file("label.lua", "rule 'x' { on = 'line.send', when = { txet = 'a' }, deny = 'y' }"), "--module", m);
	command_expect(0, "x", "label.lua:1: \"txet\" is no attribute: the target needs a label of that name; did you mean \"text\"?");
	RUN(NULL, "policy", "check", "/nonexistent.lua", "--module", m);
	command_expect(1, NULL, "cannot open /nonexistent.lua");
	RUN(NULL, "policy", "check", "/proc/self/fd", "--module", m);
	command_expect(1, NULL, "there is no *.lua in /proc/self/fd");
	RUN(NULL, "policy", "check", p, "--module", "../evil");
	command_expect(1, NULL, "by its name or by its absolute path");
}

static void
test_explain(void)
{
	const char *m = module(), *p = command_file("p.lua", RULE);
	RUN(NULL, "policy", "explain", "DROP", "--policy", p, "--module", m, "--kind", "line.send");
	command_expect(0, "verdict    deny by rule \"no-drop\": never", NULL);
	RUN(NULL, "policy", "explain", "DROP\xe2\x80\xae\x1b[2J", "--policy", p, "--module", m, "--kind", "line.send");
	command_expect(0, "DROP\\u{202e}\\x1b[2J", NULL);
	CU_ASSERT_PTR_NULL(strpbrk(command.out, "\x1b")); /* AP2 */
	CU_ASSERT_PTR_NULL(strstr(command.out, "\xe2\x80\xae"));
	RUN(NULL, "policy", "explain", "x", "--policy", p, "--module", m, "--kind", "line.sned");
	CU_ASSERT_NOT_EQUAL(command.code, 0);
	RUN(ANSWER(good("{\"session\":\"s\",\"op\":3,\"text\":\"a\\u001b\",\"why\":{\"verdict\":\"deny\",\"rule\":\"r\",\"text\":\"no\\u202e\"}}")),
	    "explain", ID ".3");
	command_expect(0, "verdict    deny by rule \"r\": no\\u{202e}", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "a\\x1b"));
	CU_ASSERT_PTR_NOT_NULL(strstr(command.question[0], "op=3"));
}

static void
test_manual(void)
{
	static const char *const topics[][2] = {
		{ "directives", "## Of module `echo`" }, { "attributes", "line.send" }, { "policy", "# Words of the policy language" },
		{ "settings", "# Module `echo`" }, { "api", "| `POST /api/v1/requests/:id/approve` | approver |" },
		{ "commands", "## `sallyport approve ID`" },
	};
	const char *m = module();
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
		RUN(NULL, "doc", topics[i][0], m);
		command_expect(0, topics[i][1], NULL);
	}
	RUN(NULL, "doc", "all", m);
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
		command_expect(0, topics[i][1], NULL);
	for (const struct command *c = commands; c->name != NULL; c++)
		command_expect(0, c->help, NULL); /* none is left out */
	RUN(NULL, "doc", "polcy", m);
	command_expect(2, NULL, "did you mean \"policy\"?");
}

/* A run has a place for each option of its command. */
static void
options_have_places(void)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		size_t n = 0;
		while (c->options != NULL && c->options[n].name != NULL)
			n++;
		if (n > OPTIONS)
			(void)printf("\n%s has %zu options\n", c->name, n);
		CU_ASSERT(n <= OPTIONS);
	}
	size_t common = 0;
	while (common_options[common].name != NULL)
		common++;
	CU_ASSERT(common < 8); /* unknown_option() has that many more */
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "misused: 2, and what to do", test_misused }, { "help", test_help }, { "safe text (AP2, RC5)", test_safe },
		{ "tables", test_table }, { "JSON (AP2)", test_json }, { "a request, shown (AP2)", test_request },
		{ "a request, whole (AP1)", test_request_whole }, { "a gateway that lies", test_lies }, { "as whom", test_caller },
		{ "search", test_search }, { "recordings", test_recordings }, { "groups of several targets", test_together }, { "policies", test_policies },
		{ "explanations (AP2)", test_explain }, { "the manual", test_manual }, { "options have places", options_have_places }, CU_TEST_INFO_NULL,
	};
	command_begin();
	int rc = cunit_main("command", tests);
	command_end();
	return rc;
}
