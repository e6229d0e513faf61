/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MK14: policies that never end, or eat all memory, or hide that they do.  Each is stopped, denies, and leaves the
 * rules after it as they were.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cunit_main.h"
#include "toy.h"

struct attempt {
	const char *name, *body; /* of `when = function(op) … end` */
	const char *why;         /* begins what is said of the failure */
};

#define TIME "it ran out of time"
#define MEMORY "it ran out of memory"
#define ERROR "an error in its code"

static const struct attempt attempts[] = {
	{ "a loop", "while true do end", TIME },
	{ "a loop by goto", "::again:: goto again", TIME },
	{ "a loop of calls", "local function f() return true end while true do f() end", TIME },
	{ "a loop in pcall", "while true do pcall(function() while true do end end) end", TIME },
	{ "pcall in pcall", "local function f() return pcall(f) end while true do f() end", TIME },
	{ "a loop after pcall", "pcall(function() while true do end end) return false", TIME },
	{ "an answer after pcall", "local ok = pcall(function() while true do end end) return ok", TIME },
	{ "error of error", "while true do pcall(error, setmetatable) end", TIME },
	{ "xpcall's handler", "xpcall(error, function() while true do end end)", ERROR },
	{ "__gc", "setmetatable({}, { __gc = function() while true do end end })", ERROR },
	{ "__index of texts", "getmetatable('').__index = function() while true do end end", ERROR },
	{ "a coroutine", "coroutine.wrap(function() while true do end end)()", ERROR },
	{ "load", "load('while true do end')()", ERROR },
	{ "collectgarbage", "collectgarbage('stop')", ERROR },
	{ "a memory bomb", "local t = {} while true do t[#t + 1] = {} end", MEMORY },
	{ "a memory bomb in pcall", "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) end", MEMORY },
	{ "an answer after a bomb in pcall", "pcall(function() local t = {} while true do t[#t + 1] = {} end end) return false", MEMORY },
	{ "a large concat", "local s = 'x' while true do s = s .. s end", MEMORY },
	{ "table.concat", "local t = {} for i = 1, 1e5 do t[i] = 'xxxxxxxxxx' end while true do table.concat(t, 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') end", "" },
	{ "string.rep", "return #string.rep('x', 1e12) > 0", "" },
	{ "string.rep by method", "return #('x'):rep(1 << 40) > 0", "" },
	{ "string.rep, many", "while true do ('x'):rep(1e6) end", "" },
	{ "string.format", "while true do string.format('%99.99f %99.99f', 1e300, 1e300) end", TIME },
	{ "string.byte", "local s = ('x'):rep(1e6) while true do select('#', s:byte(1, 1e5)) end", "" },
	{ "table.unpack", "while true do select('#', table.unpack({}, 1, 1e6)) end", "" },
	{ "table.insert at the front", "local t = {} while true do table.insert(t, 1, 1) end", "" },
	{ "table.sort", "local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t, function(a, b) return a < b end) end", TIME },
	{ "recursion", "local function f() return 1 + f() end return f() > 0", "" },
	{ "a pattern", "return ('x'):find(('a?'):rep(30) .. ('a'):rep(30)) == nil", ERROR },
	{ "__close", "local x <close> = setmetatable({}, { __close = function() while true do end end })", ERROR },
	{ "__index without end", "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) local x = t[1]", ERROR },
	{ "__eq", "local m = { __eq = function() while true do end end } local x = setmetatable({}, m) == setmetatable({}, m)", ERROR },
	{ "__call by itself", "setmetatable({}, { __call = function(self) return self() end })()", ERROR },
	{ "an iterator without end", "for i in function() return 1 end do end", TIME },
	{ "a for without end", "for i = 1, 1e308 do end", TIME },
	{ "arguments without end", "local function f(...) f(1, ...) end f()", "" },
	{ "gsub with a function", "while true do ('xxxx'):gsub('x', function() return 'xxxxxxxx' end) end", "" },
	{ "error with a table", "error({})", ERROR },
	{ "error with nothing", "error()", ERROR },
	{ "os.execute", "os.execute('true')", ERROR },
	{ "io.open", "io.open('/etc/passwd')", ERROR },
	{ "require", "require('os')", ERROR },
	{ "dofile", "dofile('/etc/passwd')", ERROR },
	{ "debug", "debug.sethook()", ERROR },
	{ "string.dump", "string.dump(function() end)", ERROR },
	{ "rawset", "rawset(_G, 'fits', function() return false end)", ERROR },
	{ "another fits()", "fits = function() return false end", ERROR },
	{ "a rule by a rule", "rule 'x' { on = 'session', deny = 'x' }", ERROR },
	{ "another operation", "op.verb = 'select'", ERROR },
	{ "no answer", "return nil", ERROR },
	{ "an answer of another type", "return 1", ERROR },
};

_Static_assert(sizeof(attempts) / sizeof(*attempts) >= 40, "forty hostile scripts at least");

static void
judge_one(const struct attempt *a)
{
	char text[2048];
	char *err = NULL;
	struct toy t;

	snprintf(text, sizeof(text),
	    "rule 'r' { on = 'sql.statement', deny = 'no', when = function(op) if op.verb ~= 'go' then return false end %s%s end }",
	    a->body, strstr(a->body, "return") == NULL ? " return false" : "");
	/* A `return` has to be last. */
	if (strstr(a->body, "return f() > 0") == NULL && strstr(a->body, "return") != NULL)
		snprintf(text, sizeof(text),
		    "rule 'r' { on = 'sql.statement', deny = 'no', when = function(op) if op.verb ~= 'go' then return false end %s end }", a->body);
	/* Where memory is to end it, time is not: a sanitizer or a busy machine is slow to fill it. */
	const struct policy_limits limits = { .deadline_ms = strcmp(a->why, MEMORY) == 0 ? 60000 : 20, .memory = 8u << 20 };
	struct policy *p = toy_policy_within(text, &limits, &err);
	if (p == NULL)
		fprintf(stderr, "\n%s: %s\n", a->name, err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	toy_begin(&t, p);
	for (int twice = 0; twice < 2; twice++) {
		struct decision d = toy_ask(&t, "sql.statement", "verb=go");
		bool good = d.what == SP_DENY && d.because == SP_BY_ERROR && strcmp(d.rule, "r") == 0
		    && strncmp(d.text, "the rule failed: ", 17) == 0 && strncmp(d.text + 17, a->why, strlen(a->why)) == 0;
		if (!good)
			fprintf(stderr, "\n%s: %s by %s: %s (%s)\n", a->name, toy_word(&d), d.rule, d.text, d.detail);
		CU_ASSERT_TRUE(good);
		decision_free(&d);
		CU_ASSERT_STRING_EQUAL(toy_say(&t, "verb=select"), "allow"); /* the next one is as it was */
	}
	toy_end(&t);
	policy_free(&p);
}

static void
test_attempts(void)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++)
		judge_one(&attempts[i]);
}

/* P10: one that ran out of time is remembered as denied, though it looks at what changes from run to run. */
static void
test_remembered(void)
{
	char *err = NULL;
	struct toy t;
	struct policy *p = toy_policy("rule 'r' { on = 'sql.statement', deny = 'no',"
	    " when = function(op) op.note('seen', 'x') while op.verb == 'go' do end return false end }", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	toy_begin(&t, p);
	struct decision d = toy_ask(&t, "sql.statement", "verb=select");
	CU_ASSERT_EQUAL(d.what, SP_ALLOW);
	CU_ASSERT_FALSE(d.cacheable);
	decision_free(&d);
	d = toy_ask(&t, "sql.statement", "verb=go");
	CU_ASSERT_EQUAL(d.what, SP_DENY);
	CU_ASSERT_TRUE(d.cacheable);
	CU_ASSERT_NOT_EQUAL(d.valid_until, UINT64_MAX);
	decision_free(&d);
	toy_end(&t);
	policy_free(&p);
}

/* ReDoS, as a predicate of a table and of a function. */
static void
test_patterns(void)
{
	static const char *const policies[] = {
		"rule 'r' { on = 'sql.statement', when = { verb = matches '^(a+)+$' }, deny = 'no' }",
		"rule 'r' { on = 'sql.statement', when = function(op) return fits(op.verb, matches '^(a|a)*$') end, deny = 'no' }",
		"rule 'r' { on = 'sql.statement', when = { verb = matches '(x+x+)+[yz]' }, deny = 'no' }",
	};
	char verb[4096];

	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		char *err = NULL;
		struct toy t;
		struct policy *p = toy_policy(policies[i], &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		memset(verb, 0, sizeof(verb));
		snprintf(verb, sizeof(verb), "verb=");
		memset(verb + 5, i == 2 ? 'x' : 'a', 3000);
		verb[3005] = '!';
		toy_begin(&t, p);
		struct decision d = toy_ask(&t, "sql.statement", verb);
		CU_ASSERT_EQUAL(d.what, SP_DENY);
		CU_ASSERT_EQUAL(d.because, SP_BY_ERROR);
		if (strstr(d.text, "a pattern took too many steps") == NULL)
			fprintf(stderr, "\npattern %zu: %s (%s)\n", i, d.text, d.detail);
		decision_free(&d);
		toy_end(&t);
		policy_free(&p);
	}
}

/* The same while a file is loaded: a mistake with its place, and no policy. */
static void
test_loading(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "while true do end", "out of time" },
		{ "\n\npcall(function() while true do end end)", "out of time" },
		{ "local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", "out of" },
		{ "rule 'r' {", "near" },
		{ "\033Lua", "" },
		{ "os.exit(0)", "os" },
		{ "io.open('/etc/passwd')", "io" },
		{ "require 'socket'", "require" },
		{ "_G.x = 1 rule = nil rule 'r' {}", "" },
		{ "rule 'r'", "has no body" },
		{ "for i = 1, 1e6 do rule('r' .. i) { on = 'sql.statement', deny = 'x' } end", "" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *err = NULL;
		struct policy *p = toy_policy(bad[i].text, &err);
		bool said = p == NULL && err != NULL && strstr(err, bad[i].says) != NULL;
		if (!said)
			fprintf(stderr, "\n%s: %s\n", bad[i].text, err == NULL ? "loads" : err);
		CU_ASSERT_TRUE(said);
		policy_free(&p);
		free(err);
	}
	/* Nesting that would be deep for any parser. */
	char *deep = malloc(200001), *err = NULL;
	memset(deep, '(', 200000);
	deep[200000] = '\0';
	struct policy *p = toy_policy(deep, &err);
	CU_ASSERT_PTR_NULL(p);
	free(deep);
	free(err);
}

/* What is spent on one operation does not grow with the number of rules that spend it. */
static void
test_many(void)
{
	struct buffer b = { 0 };
	char *err = NULL;
	struct toy t;

	for (unsigned i = 0; i < 200; i++)
		CU_ASSERT_FATAL(buffer_printf(&b, "rule 'r%u' { on = 'sql.statement', when = function() while true do end end, deny = 'x' }\n", i) == SP_OK);
	CU_ASSERT_FATAL(buffer_put(&b, (struct sp_bytes){ (const uint8_t *)"", 1 }) == SP_OK);
	struct policy *p = toy_policy((const char *)buffer_bytes(&b).p, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	toy_begin(&t, p);
	clock_t before = clock();
	CU_ASSERT_STRING_EQUAL(toy_say(&t, "verb=select"), "fail by r0");
	/* CPU time, so that a busy machine is none of its business: 20 ms are allowed, 200 rules would take 4 s. */
	CU_ASSERT_TRUE((double)(clock() - before) / CLOCKS_PER_SEC < 2);
	toy_end(&t);
	policy_free(&p);
	buffer_free(&b);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "functions that never end, or eat all memory", test_attempts },
		{ "one that ran out of time is remembered", test_remembered },
		{ "patterns", test_patterns },
		{ "files", test_loading },
		{ "many at once", test_many },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("policy limits", tests);
}
