/* SPDX-License-Identifier: Apache-2.0 */
/* Directive tables: every type, defaults, mistakes with their nearest, modules' own rows. */
#include <config.h>
#include "cunit_main.h"

#include <stdio.h>

#include "core/base/directive.h"

struct inner {
	struct conf_block b;
	const char *word;
};

struct outer {
	const char *text;
	bool on;
	uint64_t n, size, time;
	struct sp_strings list;
	unsigned choice;
	struct { const char *path; bool flag, cleartext; struct sp_strings who; } params;
	struct pairs pairs;
	struct { uint64_t a; const char *b; } group;
	struct inner *inner;
};

#define O(member) offsetof(struct outer, member)
static const char *const choices[] = { "red", "green", NULL };
static const struct directive params[] = {
	{ .name = ":path", .type = DIR_STRING, .offset = O(params.path), .help = "p" },
	{ .name = "flag", .type = DIR_FLAG, .offset = O(params.flag), .help = "p" },
	{ .name = "cleartext", .type = DIR_BOOL, .offset = O(params.cleartext), .dflt = "off", .help = "p" },
	{ .name = "who", .type = DIR_STRINGS, .offset = O(params.who), .dflt = "", .help = "p" },
	{ .name = NULL },
};
static const struct directive group[] = {
	{ .name = "a", .type = DIR_INT, .offset = 0, .dflt = "7", .help = "x" },
	{ .name = "b", .type = DIR_STRING, .offset = O(group.b) - O(group), .dflt = "", .help = "x" },
	{ .name = NULL },
};
static const struct directive inner[] = {
	{ .name = "word", .type = DIR_STRING, .offset = offsetof(struct inner, word), .help = "x" },
	{ .name = NULL },
};
static const struct directive table[] = {
	{ .name = "text", .type = DIR_STRING, .offset = O(text), .dflt = "none", .help = "a | b" },
	{ .name = "switch", .type = DIR_BOOL, .offset = O(on), .dflt = "on", .help = "x" },
	{ .name = "number", .type = DIR_INT, .offset = O(n), .dflt = "auto", .flags = DIR_AUTO, .help = "x" },
	{ .name = "size", .type = DIR_SIZE, .offset = O(size), .dflt = "1k", .help = "x" },
	{ .name = "time", .type = DIR_DURATION, .offset = O(time), .dflt = "off", .help = "x" },
	{ .name = "list", .type = DIR_STRINGS, .offset = O(list), .dflt = "", .flags = DIR_MANY, .help = "x" },
	{ .name = "color", .type = DIR_CHOICE, .offset = O(choice), .dflt = "red", .choices = choices, .help = "x" },
	{ .name = "params", .type = DIR_PARAMS, .dflt = "", .params = params, .help = "x" },
	{ .name = "pairs", .type = DIR_PAIRS, .offset = O(pairs), .dflt = "", .help = "x" },
	{ .name = "group", .type = DIR_GROUP, .offset = O(group), .params = group, .help = "x" },
	{ .name = "inner", .type = DIR_BLOCK, .offset = O(inner), .params = inner, .size = sizeof(struct inner), .flags = DIR_OPEN, .help = "x" },
	{ .name = NULL },
};

static struct arena *arena;
static const char *err;
static struct outer out;

static int
fill(const char *text)
{
	struct conf_node *top;
	arena_free(&arena);
	arena = arena_new(0);
	err = "";
	memset(&out, 0, sizeof(out));
	if (conf_parse(arena, "t", sp_str(text), &top, &err) != SP_OK)
		return SP_ECONF;
	struct place place = { .first = top, .file = "t" };
	return directive_fill(arena, table, &place, &out, &err);
}

static void
refused(const char *text, const char *expected)
{
	CU_ASSERT_EQUAL(fill(text), SP_ECONF);
	if (strcmp(err, expected) != 0)
		printf("\nfor %s\n  got  %s\n  want %s\n", text, err, expected);
	CU_ASSERT_STRING_EQUAL(err, expected);
}

static void
test_defaults(void)
{
	CU_ASSERT_EQUAL_FATAL(fill(""), SP_OK);
	CU_ASSERT_STRING_EQUAL(out.text, "none");
	CU_ASSERT(out.on && out.n == 0 && out.size == 1024 && out.time == 0 && out.choice == 0);
	CU_ASSERT(out.list.n == 0 && out.list.v != NULL);
	CU_ASSERT_STRING_EQUAL(out.params.path, ""); /* never NULL, though not given and without default */
	CU_ASSERT(!out.params.flag && out.params.who.n == 0);
	CU_ASSERT(out.group.a == 7 && out.group.b != NULL);
	CU_ASSERT_PTR_NULL(out.inner);
}

static void
test_values(void)
{
	CU_ASSERT_EQUAL_FATAL(fill("text \"a b\"; switch off; number 12; size 16m; time 90s; list a b; list c; color green;"
				   "params /x flag cleartext on who=a,b; pairs env=prod \"team=the crew\"; group { a 3; }"
				   "inner one { word w; other 1; } inner two { word v; }"), SP_OK);
	CU_ASSERT_STRING_EQUAL(out.text, "a b");
	CU_ASSERT(!out.on && out.n == 12 && out.size == 16 << 20 && out.time == 90000 && out.choice == 1);
	CU_ASSERT_EQUAL_FATAL(out.list.n, 3);
	CU_ASSERT_STRING_EQUAL(out.list.v[2], "c");
	CU_ASSERT_STRING_EQUAL(out.params.path, "/x");
	CU_ASSERT(out.params.flag && out.params.cleartext && out.params.who.n == 2);
	CU_ASSERT_STRING_EQUAL(out.pairs.key[1], "team");
	CU_ASSERT_STRING_EQUAL(out.pairs.value[1], "the crew");
	CU_ASSERT_EQUAL(out.group.a, 3);
	CU_ASSERT_STRING_EQUAL(out.inner->b.name, "one");
	CU_ASSERT_STRING_EQUAL(((struct inner *)out.inner->b.next)->word, "v");
	CU_ASSERT_EQUAL(fill("params /x cleartext=on;"), SP_OK);
	CU_ASSERT(out.params.cleartext);
	CU_ASSERT_EQUAL(fill("params /x=y/z;"), SP_OK); /* not a key: a path */
	CU_ASSERT_STRING_EQUAL(out.params.path, "/x=y/z");
}

static void
test_mistakes(void)
{
	refused("txt a;", "t:1: unknown directive \"txt\", did you mean \"text\"?");
	refused("nonsense a;", "t:1: unknown directive \"nonsense\"");
	refused("text a;\ntext b;", "t:2: \"text\" is given twice, first at t:1");
	refused("text;", "t:1: \"text\" takes one value, and has 0");
	refused("text a b;", "t:1: \"text\" takes one value, and has 2");
	refused("text { }", "t:1: \"text\" takes no block");
	refused("group;", "t:1: \"group\" needs a block { }");
	refused("group x { }", "t:1: \"group\" takes a block only, not \"x\"");
	refused("group { c 1; }", "t:1: unknown directive \"c\", did you mean \"a\"?");
	refused("switch yes;", "t:1: \"switch\" is on or off, not \"yes\"");
	refused("number 3x;", "t:1: \"number\" takes a whole number or auto, not \"3x\"");
	refused("number -1;", "t:1: \"number\" takes a whole number or auto, not \"-1\"");
	refused("size 16;", "t:1: \"size\" takes a size with its unit (512b, 64k, 16m, 2g), not \"16\"");
	refused("time 3;", "t:1: \"time\" takes a time with its unit (50ms, 30s, 10m, 8h, 90d), not \"3\"");
	refused("color blue;", "t:1: \"color\" is one of red, green, not \"blue\"");
	refused("color \"\";", "t:1: \"color\" has an empty value");
	refused("params;", "t:1: \"params\" needs arguments");
	refused("params flag;", "t:1: \"params\" needs a path");
	refused("params /x wo=a;", "t:1: unknown argument \"wo=\" of \"params\", did you mean \"who=\"?");
	refused("params /x flg;", "t:1: unknown argument \"flg\" of \"params\", did you mean \"flag\"?");
	refused("params /x flag=1;", "t:1: unknown argument \"flag=\" of \"params\", did you mean \"flag\"?");
	refused("params /x who=a who=b;", "t:1: \"who\" is given twice in \"params\"");
	refused("params /x who=a,,b;", "t:1: \"who\" has an empty word in its list");
	refused("params /x cleartext;", "t:1: \"cleartext\" needs on or off after it");
	refused("pairs a;", "t:1: \"pairs\" takes words like name=value, not \"a\"");
	refused("pairs =a;", "t:1: \"pairs\" takes words like name=value, not \"=a\"");
	refused("pairs a=1 a=2;", "t:1: \"a\" is given twice in \"pairs\"");
	refused("inner x { }", "t:1: \"word\" is missing");
	refused("inner { word a; }", "t:1: \"inner\" takes one name of a-z, 0-9, _ and -, and a block");
	refused("inner A/b { word a; }", "t:1: \"inner\" takes one name of a-z, 0-9, _ and -, and a block");
	refused("inner x { word a; }\ninner x { word a; }", "t:2: there is another inner \"x\" at t:1");
	refused("list \"\";", "t:1: \"list\" has an empty word");
}

static void
test_units(void)
{
	static const struct { const char *word; bool ok; uint64_t value; } times[] = {
		{ "50ms", true, 50 }, { "3s", true, 3000 }, { "2m", true, 120000 }, { "1h", true, 3600000 }, { "90d", true, UINT64_C(7776000000) },
		{ "off", true, 0 }, { "0s", true, 0 }, { "3", false, 0 }, { "s", false, 0 }, { "3 s", false, 0 }, { "3S", false, 0 },
		{ "-3s", false, 0 }, { "+3s", false, 0 }, { "3.5s", false, 0 }, { "9223372036854775808ms", false, 0 },
		{ "9223372036854775807d", false, 0 }, { "", false, 0 }, { "1h30m", false, 0 }, { "0x3s", false, 0 },
	};
	uint64_t v, n;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		v = 1;
		CU_ASSERT_EQUAL(directive_duration(times[i].word, &v) == SP_OK, times[i].ok);
		CU_ASSERT_EQUAL(v, times[i].value);
	}
	CU_ASSERT(directive_size("512b", &v) == SP_OK && v == 512);
	CU_ASSERT(directive_size("2g", &v) == SP_OK && v == UINT64_C(2) << 30);
	CU_ASSERT(directive_size("9000000t", &v) != SP_OK && v == 0);
	CU_ASSERT(directive_rate("5/10s", &n, &v) == SP_OK && n == 5 && v == 10000);
	CU_ASSERT(directive_rate("5/m", &n, &v) == SP_OK && n == 5 && v == 60000);
	static const char *const bad[] = { "5", "5/", "/s", "0/s", "5/0s", "5/10", "5s", "5/off", "-5/s" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_NOT_EQUAL(directive_rate(bad[i], &n, &v), SP_OK);
}

/* ---- modules ---- */

struct module_block {
	uint64_t max;
	bool strict;
	const char *must;
	struct sp_strings list;
};

static const struct sp_directive rows[] = {
	{ "statement_max", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct module_block, max), "1m", "x" },
	{ "strict", SP_TYPE_BOOL, SP_IN_LISTENER, offsetof(struct module_block, strict), "on", "x" },
	{ "must", SP_TYPE_STRING, SP_IN_TARGET, offsetof(struct module_block, must), NULL, "x" },
	{ "words", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct module_block, list), "a,b", "x" },
	{ 0 },
};

static int
fill_module(const char *module, const char *listener, const char *target, struct module_block *block)
{
	struct module_place place[3] = {
		{ .where = SP_IN_MODULE, .file = "m" },
		{ .where = SP_IN_LISTENER, .file = "l", .core = table },
		{ .where = SP_IN_TARGET, .file = "g", .line = 9, .core = table },
	};
	const char *const text[3] = { module, listener, target };
	arena_free(&arena);
	arena = arena_new(0);
	memset(block, 0, sizeof(*block));
	for (unsigned i = 0; i < 3; i++) {
		struct conf_node *top = NULL;
		CU_ASSERT_EQUAL_FATAL(conf_parse(arena, place[i].file, sp_str(text[i]), &top, &err), SP_OK);
		place[i].first = top;
	}
	return directive_fill_module(arena, rows, place, 3, block, &err);
}

static void
test_module(void)
{
	struct module_block b;
	CU_ASSERT_EQUAL_FATAL(fill_module("", "text x;", "must y; text z;", &b), SP_OK);
	CU_ASSERT(b.max == 1 << 20 && b.strict && b.list.n == 2);
	CU_ASSERT_EQUAL_FATAL(fill_module("statement_max 2m; words c;", "strict off;", "must y; statement_max 3m; words d e;", &b), SP_OK);
	CU_ASSERT(b.max == 3 << 20 && !b.strict && b.list.n == 2);
	CU_ASSERT_STRING_EQUAL(b.list.v[0], "d");
	CU_ASSERT_STRING_EQUAL(b.must, "y");
	CU_ASSERT_EQUAL(fill_module("", "", "", &b), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "g:9: \"must\" is missing");
	CU_ASSERT_EQUAL(fill_module("strict off;", "", "must y;", &b), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "m:1: \"strict\" belongs in a listener");
	CU_ASSERT_EQUAL(fill_module("", "strct off;", "must y;", &b), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "l:1: unknown directive \"strct\", did you mean \"strict\"?");
	CU_ASSERT_EQUAL(fill_module("", "", "must y;\nmust z;", &b), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "g:2: \"must\" is given twice, first at g:1");
	CU_ASSERT_EQUAL(fill_module("statement_max 2;", "", "must y;", &b), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "m:1: \"statement_max\" takes a size with its unit (512b, 64k, 16m, 2g), not \"2\"");
}

static void
test_manual(void)
{
	struct buffer text = { .p = NULL };
	CU_ASSERT_EQUAL(directive_manual(table, "Top", &text), SP_OK);
	CU_ASSERT_EQUAL(directive_manual_module(rows, &text), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&text, (struct sp_bytes){ (const uint8_t *)"", 1 }), SP_OK);
	const char *all = (const char *)buffer_bytes(&text).p;
	CU_ASSERT_PTR_NOT_NULL(strstr(all, "\n## Top\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(all, "| `text` | *text* | `none` | a \\| b |\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(all, "| `color` | `red`, `green` | `red` | x |\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(all, "\n## In `inner NAME { … }`\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(all, "| `must` | *text* | must be given | a target | x |\n"));
	buffer_free(&text);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "defaults", test_defaults },
		{ "values", test_values },
		{ "mistakes", test_mistakes },
		{ "units", test_units },
		{ "module", test_module },
		{ "manual", test_manual },
		CU_TEST_INFO_NULL,
	};
	int rc = cunit_main("directive", tests);
	arena_free(&arena);
	return rc;
}
