/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `report`: what is counted of an audit log (report.c), and that the exceptions which it suggests are a policy whatever
 * the names in it are (report_lua.c): for every target and verdict of a rule, and nothing besides.
 */
#include <config.h>
#include "cunit_main.h"

#include "core/command/command.h"
#include "core/record/frame.h"
#include "command_world.h"

#define main command_main
#include "core/command/main.c"
#undef main

#define SESSION "abcdefghijklmnopqrstuvwxyz"

static const char *
good(const char *body)
{
	static char *text[32];
	static unsigned turn;
	char **out = &text[turn++ % 32];
	free(*out);
	CU_ASSERT(asprintf(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body) > 0);
	return *out;
}

static const char *
entry(const char *target, const char *would, const char *rule, const char *user, unsigned op)
{
	static char text[8][1024];
	static unsigned turn;
	char *p = text[turn++ % 8];
	(void)snprintf(p, sizeof(text[0]), "{\"time\":\"2026-11-20T10:00:00Z\",\"kind\":\"sql.statement\",\"verdict\":\"allow\",\"session\":\"" SESSION
	    "\",\"op\":%u,\"target\":\"%s\",\"would\":\"%s\",\"rule\":\"%s\",\"user\":\"%s\",\"text\":\"no\"}", op, target, would, rule, user);
	return p;
}

/* An answer of the audit log: its entries, and that these are all. */
static const char *
lines(const char *const *entries)
{
	struct buffer b = { 0 };
	for (; *entries != NULL; entries++)
		CU_ASSERT_EQUAL(buffer_printf(&b, "{\"entry\":%s}\n", *entries), SP_OK);
	CU_ASSERT_EQUAL(buffer_printf(&b, "{\"done\":{}}\n%c", '\0'), SP_OK);
	const char *answer = good((const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return answer;
}

#define LINES(...) lines((const char *const[]){ __VA_ARGS__, NULL })

static const char *
asked(const char *tables)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "{\"statements\":[{\"verb\":\"delete\",\"tables\":\"%s\"}],\"why\":{}}", tables);
	return good(text);
}

#define RULES(target, file, line, tags) "{\"target\":\"" target "\",\"tags\":[" tags "],\"rules\":[{\"rule\":\"no-delete\",\"doc\":\"d\",\"file\":\"" file \
	"\",\"line\":" line ",\"on\":[\"sql.statement\"],\"when\":[\"verb = \\\"delete\\\"\"],\"decides\":\"deny = \\\"no\\\"\"}," \
	"{\"rule\":\"hide\",\"doc\":\"d\",\"file\":\"" file "\",\"line\":9,\"on\":[\"sql.result\"],\"when\":[\"column = tagged \\\"pii\\\"\"]," \
	"\"unless\":[\"groups = \\\"fraud\\\"\"],\"decides\":\"mask = mask.last4\"}]}"
#define PII "{\"tag\":\"pii\",\"columns\":[\"*.email\"]}"

/* The module as built, in a folder of ours: the way up from the build tree may be open to others. */
static const char *
module(void)
{
	static char path[128];
	const char *built = getenv("REPORT_MODULE");
	(void)snprintf(path, sizeof(path), "%s/postgres.so", command.folder);
	CU_ASSERT_TRUE_FATAL(files_copy(built == NULL ? "modules/postgres/.libs/postgres.so" : built, path, 0755));
	return path;
}

static unsigned
times(const char *in, const char *text)
{
	unsigned n = 0;
	for (const char *p = strstr(in, text); p != NULL; p = strstr(p + 1, text))
		n++;
	return n;
}

/* What was printed is a policy with so many rules. */
static void
is_policy(unsigned rules)
{
	static char lua[SAID];
	memcpy(lua, command.out, strlen(command.out) + 1);
	RUN(NULL, "policy", "check", command_file("out.lua", lua), "--module", module(), "--json");
	if (command.code != 0)
		printf("\n%s\n%s", command.err, lua);
	CU_ASSERT_EQUAL(command.code, 0);
	CU_ASSERT_EQUAL(times(command.out, "\"rule\": "), rules);
	memcpy(command.out, lua, strlen(lua) + 1);
}

static bool
stands(const char *text)
{
	bool found = strstr(command.out, text) != NULL;
	if (!found)
		printf("\n  wanted \"%s\" in \"%.3000s\"\n", text, command.out);
	return found;
}

/* ---- exceptions ---- */

/* The same rule at two targets and with two verdicts is one rule, for all who met it. */
static void
test_targets(void)
{
	RUN(ANSWER(LINES(entry("a", "deny", "no-delete", "ann", 1), entry("b", "deny", "no-delete", "bob", 2), entry("b", "held", "no-delete", "cid", 3)),
	    good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "," RULES("b", "p.lua", "1", PII) "]}"), asked("public.x"), asked("public.y"), asked("public.z")),
	    "report", "--lua");
	CU_ASSERT_EQUAL(command.code, 0);
	is_policy(1);
	CU_ASSERT(stands("user = any_of { \"ann\", \"bob\", \"cid\" }") && stands("tables = any_of { \"public.x\", \"public.y\", \"public.z\" }"));
	CU_ASSERT(stands("-- 1 × deny at a, 1 × deny at b, 1 × held at b by rule no-delete, p.lua:1.  In its place:"));
	CU_ASSERT_EQUAL(times(command.out, "tag \"pii\""), 1);
}

/* Another target's rule or tag of the same name is another one: it can't stand in the same file. */
static void
test_other_policies(void)
{
	RUN(ANSWER(LINES(entry("a", "deny", "no-delete", "ann", 1), entry("b", "deny", "no-delete", "bob", 2)),
	    good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "," RULES("b", "q.lua", "5", "{\"tag\":\"pii\",\"columns\":[\"*.ssn\"]}") "]}"), asked("public.x"),
	    asked("public.y")), "report", "--lua");
	CU_ASSERT_EQUAL(command.code, 0);
	is_policy(1);
	CU_ASSERT(stands("user = any_of { \"ann\" }") && stands("q.lua:5.  Change it by hand: a rule of this name stands above"));
	CU_ASSERT(stands("-- At b this tag has other columns, ask with --target: tag \"pii\" { \"*.ssn\" }"));
}

/* Of a rule with an `unless`: by user alone where it hides columns, by hand where it denies. */
static void
test_unless(void)
{
	RUN(ANSWER(LINES(entry("a", "mask", "hide", "ann", 1)), good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "]}"), asked("public.x")), "report", "--lua");
	is_policy(1);
	CU_ASSERT(stands("when   = { column = tagged \"pii\", user = none_of { \"ann\" } }") && stands("unless = { groups = \"fraud\" }"));
	RUN(ANSWER(LINES(entry("a", "deny", "x", "ann", 1)), good("{\"policies\":[{\"target\":\"a\",\"rules\":[{\"rule\":\"x\",\"doc\":\"\",\"file\":\"p\",\"line\":1,"
	    "\"on\":[\"sql.statement\"],\"when\":[\"verb = \\\"delete\\\"\"],\"unless\":[\"groups = \\\"dba\\\"\"],\"decides\":\"deny = \\\"no\\\"\"}]}]}"), asked("public.x")),
	    "report", "--lua");
	is_policy(0);
	CU_ASSERT(stands("Change it by hand: it has an `unless` already"));
	RUN(ANSWER(LINES(entry("a", "deny", "gone", "ann", 1)), good("{\"policies\":[]}"), asked("public.x")), "report", "--lua");
	is_policy(0);
	CU_ASSERT(stands("Change it by hand: it is no rule of the gateway's any more"));
}

/* What is not known is not written down as if it were. */
static void
test_unknown_tables(void)
{
	static const char *const list[] = { "?", "public.a," RECORD_CUT, "public.a,{hidden}" };
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		RUN(ANSWER(LINES(entry("a", "deny", "no-delete", "ann", 1)), good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "]}"), asked(list[i])), "report",
		    "--lua");
		is_policy(1);
		CU_ASSERT(stands("unless = { user = any_of { \"ann\" } }"));
	}
	RUN(ANSWER(LINES(entry("a", "deny", "no-delete", "ann", 1)), good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "]}"),
	    "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"), "report", "--lua");
	is_policy(1);
	CU_ASSERT(stands("unless = { user = any_of { \"ann\" } }"));
}

/* More than are looked at: said, since others may meet the rule still. */
static void
test_many(void)
{
	const char *answer[24], *one[24];
	static char text[23][400];
	unsigned n = 0;
	for (; n < 21; n++) {
		(void)snprintf(text[n], sizeof(text[n]), "%s", entry("a", "deny", "no-delete", "ann", n + 1));
		one[n] = text[n];
	}
	one[n] = NULL;
	answer[0] = lines(one);
	answer[1] = good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "]}");
	for (unsigned i = 2; i < 22; i++)
		answer[i] = asked("public.x");
	answer[22] = NULL;
	command_run(answer, (const char *const[]){ "report", "--lua", NULL });
	CU_ASSERT_EQUAL(command.code, 0);
	is_policy(1);
	CU_ASSERT(stands("-- Its tables are those of 20 of them; what others asked for may meet it still.\nrule \"no-delete\""));
}

/* Names, rules and tables that try to be something else than texts. */
static void
test_hostile_names(void)
{
	static const char *const odd[] = { "x\\\" } } rule \\\"y\\\" { ", "x\\nrule 'y' { doc = '', on = 'session', deny = 'z' }\\n--", "]] --[[", "\\u001b[2J\\u202e",
		"x\\\\", "\\r\\nos.exit(1)", "a\\tb\\u0001", "--[==[", "\\u007f" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		char who[512], policies[1024];
		(void)snprintf(who, sizeof(who), "%s", entry("a", "deny", "no-delete", odd[i], 1));
		RUN(ANSWER(LINES(who), good("{\"policies\":[" RULES("a", "p.lua", "1", PII) "]}"), asked(odd[i])), "report", "--lua");
		CU_ASSERT_EQUAL(command.code, 0);
		is_policy(1);
		CU_ASSERT_PTR_NULL(strchr(command.out, 0x1b));
		/* A rule that is there no more, a verdict and a target that are none of ours, and the text of no rule. */
		(void)snprintf(who, sizeof(who), "%s", entry(odd[i], odd[i], odd[i], "ann", 1));
		RUN(ANSWER(LINES(who), good("{\"policies\":[]}"), asked("x")), "report", "--lua");
		is_policy(0);
		(void)snprintf(who, sizeof(who), "%s", entry("a", odd[i], "", "ann", 1));
		char *text = strstr(who, "\"text\":\"no\"");
		(void)snprintf(text, sizeof(who) - (size_t)(text - who), "\"text\":\"%s\"}", odd[i]);
		RUN(ANSWER(LINES(who), good("{\"policies\":[]}"), asked("x")), "report", "--lua");
		is_policy(0);
		/* A rule of that name is written with it; so are its tags. */
		(void)snprintf(who, sizeof(who), "%s", entry("a", "deny", odd[i], "ann", 1));
		(void)snprintf(policies, sizeof(policies), "{\"policies\":[{\"target\":\"a\",\"tags\":[],\"rules\":[{\"rule\":\"%s\",\"doc\":\"%s\",\"file\":\"%s\",\"line\":1,"
		    "\"on\":[\"sql.statement\"],\"when\":[],\"decides\":\"deny = \\\"no\\\"\"}]}]}", odd[i], odd[i], odd[i]);
		RUN(ANSWER(LINES(who), good(policies), asked("public.x")), "report", "--lua");
		CU_ASSERT_EQUAL(times(command.out, "\nrule "), 1);
		CU_ASSERT_PTR_NULL(strchr(command.out, 0x1b));
	}
}

/* ---- counting ---- */

/* Texts that differ behind their 400th byte are two; one that is cut there within a character is one. */
static void
test_long_texts(void)
{
	char text[1400], one[2000], two[2000], three[2000];
	memset(text, 'a', sizeof(text));
	for (size_t i = 397; i < 1200; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[1199] = '\0';
	static const char head[] = "{\"time\":\"2026-11-20T10:00:00Z\",\"kind\":\"sql.statement\",\"session\":\"" SESSION "\",\"op\":1,\"target\":\"a\",\"would\":\"deny\",\"user\":\"ann\","
				   "\"text\":\"";
	(void)snprintf(one, sizeof(one), "%s%s\"}", head, text);
	(void)snprintf(two, sizeof(two), "%s%s!\"}", head, text);
	(void)snprintf(three, sizeof(three), "%s%s\"}", head, text);
	RUN(ANSWER(LINES(one, two, three)), "report", "--json");
	CU_ASSERT_EQUAL(command.code, 0);
	CU_ASSERT_EQUAL(times(command.out, "\"would\": \"deny\""), 2);
	CU_ASSERT(stands("\"n\": 2") && stands("\"n\": 1"));
}

static void
test_pages(void)
{
	static const char first[] = "{\"done\":{\"next\":\"here\"}}\n";
	RUN(ANSWER(good(first), LINES(entry("a", "deny", "r", "ann", 1))), "report", "--json", "--since", "2026-11-01T00:00:00Z");
	CU_ASSERT(command.code == 0 && command.asked == 2 && strstr(command.question[1], "cursor=here") != NULL);
	RUN(ANSWER(good("{\"entry\":{}}\n")), "report", "--json"); /* it says nowhere that these are all */
	command_expect(1, NULL, "the gateway's answer is not whole");
	RUN(ANSWER(good("{\"error\":\"no log\"}\n")), "report", "--json");
	command_expect(1, NULL, "no log");
	RUN(ANSWER(LINES(entry("a", "deny", "r", "ann", 1)), good("{\"policies\":{}}"), good("[]")), "report"); /* of odd answers nothing comes */
	CU_ASSERT_EQUAL(command.code, 0);
}

static void
test_files(void)
{
	char log[4096];
	(void)snprintf(log, sizeof(log), "%s\n%s\n%s\n{\"time\":\"2026-11-20T10:00:00Z\",\"kind\":\"sql.prepare\",\"would\":\"deny\",\"rule\":\"r\"}\n{\"half",
	    entry("a", "deny", "r", "ann", 1), entry("a", "deny", "r", "bob", 2), entry("b", "deny", "r", "ann", 3));
	const char *path = command_file("audit", log);
	RUN(NULL, "report", path, "--since", "2026-11-20T10:00:00Z", "--json");
	CU_ASSERT_EQUAL(command.code, 0); /* the last line is on its way */
	CU_ASSERT(stands("\"n\": 2") && stands("\"ann\": 1") && stands("\"bob\": 1"));
	RUN(NULL, "report", path, "--since", "2026-11-20T10:00:00Z", "--json", "--target", "b");
	CU_ASSERT(command.code == 0 && times(command.out, "\"n\": 1") == 1);
	RUN(NULL, "report", path, "--since", "2026-11-20T10:00:00Z", "--json", "--user", "bob");
	CU_ASSERT(command.code == 0 && times(command.out, "\"n\": 1") == 1);
	RUN(NULL, "report", path, "--since", "2026-11-20T10:00:01Z");
	command_expect(0, "Nothing would have been denied", NULL);
	RUN(NULL, "report", path, "--since", "2026-11-20T09:00:00Z", "--until", "2026-11-20T10:00:00Z");
	command_expect(0, "Nothing would have been denied", NULL);
	static const char *const bad[] = { "\x28\xb5\x2f\xfdpacked\n", "no JSON\n", "{\"a\":1,\"a\":2}\n", "{\"user\":\"\\u0000\"}\n", "[}\n{\"half" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		RUN(NULL, "report", command_file("bad", bad[i]));
		command_expect(1, "", "no lines of an audit log");
	}
	RUN(NULL, "report", command_file("odd", "[]\n7\nnull\n{}\n{\"would\":\"deny\",\"op\":-9223372036854775808,\"time\":\"2026-11-20T10:00:00Z\",\"rule\":7,\"user\":{}}\n"), "--since",
	    "2026-11-20T09:00:00Z", "--json");
	CU_ASSERT(command.code == 0 || command.code == 1);
	RUN(NULL, "report", command_file("empty", ""));
	command_expect(0, "Nothing would have been denied", NULL);
	RUN(NULL, "report", command.folder);
	command_expect(1, NULL, "cannot read");
	RUN(NULL, "report", "/nonexistent");
	command_expect(1, NULL, "cannot open");
	RUN(NULL, "report", path, "--since", "soon");
	command_expect(2, NULL, "takes a time like");
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "several targets", test_targets }, { "other policies", test_other_policies }, { "rules with an unless", test_unless },
		{ "unknown tables", test_unknown_tables }, { "many", test_many }, { "hostile names", test_hostile_names }, { "long texts", test_long_texts },
		{ "pages", test_pages }, { "files", test_files }, CU_TEST_INFO_NULL,
	};
	command_begin();
	int rc = cunit_main("report", tests);
	command_end();
	return rc;
}
