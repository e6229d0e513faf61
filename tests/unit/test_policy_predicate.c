/* SPDX-License-Identifier: Apache-2.0 */
/* Predicates, tags and patterns one by one: of texts, numbers, sets, addresses; strictly and mildly. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/policy/predicate.h"
#include "core/policy/regex.h"
#include "core/policy/tag.h"
#include "cunit_main.h"
#include "toy.h"

/* "?": the rule with this condition says about this statement. */
static void
says(const char *condition, const char *unless, const char *statement, const char *word)
{
	char text[1024];
	char *err = NULL;
	struct toy t;

	snprintf(text, sizeof(text), "rule 'r' { on = 'sql.statement', when = { %s }, %s%s%s deny = 'no' }", condition,
	    unless == NULL ? "" : "unless = { ", unless == NULL ? "" : unless, unless == NULL ? "" : " },");
	struct policy *p = toy_policy(text, &err);
	if (p == NULL)
		fprintf(stderr, "\n%s: %s\n", condition, err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	toy_begin(&t, p);
	const char *said = toy_say(&t, statement);
	if (strcmp(said, word) != 0)
		fprintf(stderr, "\n%s %s, %s: %s\n", condition, unless == NULL ? "" : unless, statement, said);
	CU_ASSERT_STRING_EQUAL(said, word);
	toy_end(&t);
	policy_free(&p);
}

#define YES_(condition, statement) says(condition, NULL, statement, "deny by r")
#define NO_(condition, statement) says(condition, NULL, statement, "allow")

static void
test_texts(void)
{
	YES_("verb = 'drop'", "verb=DROP");
	YES_("verb = prefix 'dr'", "verb=drop");
	NO_("verb = prefix 'dr'", "verb=d");
	YES_("verb = suffix 'op'", "verb=drop");
	NO_("verb = suffix 'drop it'", "verb=drop");
	YES_("verb = matches '^d.*p$'", "verb=drop");
	YES_("verb = matches 'DROP'", "verb=drop");
	NO_("verb = matches '^rop'", "verb=drop");
	YES_("verb = { 'a', 'b', prefix 'dr' }", "verb=drop");
	YES_("verb = none_of { 'a', 'b' }", "verb=drop");
	NO_("verb = none_of { 'drop' }", "verb=drop");
	YES_("verb = all_of { prefix 'd', suffix 'p' }", "verb=drop");
	NO_("verb = all_of { prefix 'd', suffix 'x' }", "verb=drop");
	YES_("verb = none_of { any_of { 'a', all_of { prefix 'b', suffix 'c' } } }", "verb=bd");
}

static void
test_numbers(void)
{
	YES_("limit = 5", "limit=5");
	NO_("limit = 5", "limit=6");
	YES_("limit = at_least(5)", "limit=5");
	YES_("limit = at_most(5)", "limit=5");
	NO_("limit = more_than(5)", "limit=5");
	NO_("limit = less_than(5)", "limit=5");
	YES_("size = more_than '1k'", "size=1025");
	NO_("size = more_than '1k'", "size=1024");
	YES_("wait = at_least '3s'", "wait=3000");
	YES_("where = false", "where=false");
	NO_("where = false", "where=true");
	YES_("limit = any_of { 1, more_than(100) }", "limit=101");
}

static void
test_sets(void)
{
	YES_("tables = all_of { 'a.x', 'a.y' }", "tables=a.x,a.y");
	NO_("tables = all_of { 'a.x', 'a.y' }", "tables=a.x,a.z");
	YES_("tables = absent", "verb=x");
	NO_("tables = present", "verb=x");
	YES_("tables = present", "tables=a.x");
	says("verb = 'x'", "tables = any_of { prefix 'a.', prefix 'b.' }", "verb=x tables=a.x,b.y", "allow");
	says("verb = 'x'", "tables = any_of { prefix 'a.', prefix 'b.' }", "verb=x tables=a.x,c.y", "deny by r");
	says("verb = 'x'", "tables = none_of { prefix 'a.' }", "verb=x tables=b.x", "allow");
	says("verb = 'x'", "tables = absent", "verb=x", "allow");
	/* Whoever writes the sign for what is not resolved means it. */
	says("verb = 'x'", "tables = 'a.*'", "verb=x tables=a.*", "allow");
	says("verb = 'x'", "tables = 'a.b'", "verb=x tables=a.*", "deny by r");
	YES_("tables = prefix 'a.'", "tables=?.b");
	NO_("tables = suffix '.c'", "tables=?.b");
}

static void
test_networks(void)
{
	static const struct {
		const char *network, *address;
		bool inside;
	} row[] = {
		{ "10.0.0.0/8", "10.255.1.2", true }, { "10.0.0.0/8", "11.0.0.1", false }, { "10.1.2.3", "10.1.2.3", true },
		{ "0.0.0.0/0", "1.2.3.4", true }, { "10.0.0.128/25", "10.0.0.127", false }, { "10.0.0.128/25", "10.0.0.129", true },
		{ "2001:db8::/32", "2001:db8:1::1", true }, { "2001:db8::/32", "2001:db9::1", false }, { "::1", "::1", true },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true }, { "10.0.0.0/8", "10.1.2.3:5432", true }, { "::1/128", "[::1]:5432", true },
	};
	static const char *const bad[] = { "", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/1234", "host" };
	struct network n;

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct test t = { .kind = TEST_CIDR };
		struct test *copy = (struct test[]){ t };
		struct budget b = { .allowed = 1000000 };
		CU_ASSERT_TRUE(network_parse(row[i].network, &copy->network));
		CU_ASSERT_EQUAL(test_fits_text(copy, sp_str(row[i].address), true, &b), row[i].inside ? YES : NO);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_FALSE(network_parse(bad[i], &n));
}

static void
test_tags(void)
{
	static const struct {
		const char *pattern, *column;
		enum truth truth;
	} row[] = {
		{ "*.ssn", "crm.people.ssn", YES }, { "*.ssn", "crm.people.SSN", YES }, { "*.ssn", "crm.people.ssn2", NO },
		{ "ssn", "crm.people.ssn", YES }, { "crm.people.ssn", "crm.people.ssn", YES }, { "crm.people.ssn", "hr.people.ssn", NO },
		{ "people.*", "crm.people.name", YES }, { "people.*", "people.x.name", NO }, { "crm.*", "crm.people.name", NO },
		{ "crm.*.*", "crm.people.name", YES }, { "*.card_*", "a.b.card_number", YES }, { "*.*card*", "a.b.old_card_number", YES },
		{ "*.ssn", "crm.people.*", MAYBE }, { "*.ssn", "crm.?.ssn", YES }, { "people.ssn", "crm.?.ssn", MAYBE },
		{ "people.ssn", "?.?.name", NO },
	};
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "a.b.c.d" };
	struct arena *a = arena_new(1 << 20);
	struct tag_pattern p;

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CU_ASSERT_TRUE(tag_pattern_parse(a, row[i].pattern, &p));
		enum truth got = tag_pattern_matches(&p, sp_str(row[i].column));
		if (got != row[i].truth)
			fprintf(stderr, "\n%s, %s: %d\n", row[i].pattern, row[i].column, (int)got);
		CU_ASSERT_EQUAL(got, row[i].truth);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_FALSE(tag_pattern_parse(a, bad[i], &p));
	/* Linear in the product: a pattern that would take for ever by backtracking. */
	char stars[200], text[2000];
	memset(stars, '*', sizeof(stars));
	for (size_t i = 1; i < sizeof(stars); i += 2)
		stars[i] = 'a';
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	CU_ASSERT_FALSE(glob_matches((struct sp_bytes){ (uint8_t *)stars, sizeof(stars) }, (struct sp_bytes){ (uint8_t *)text, sizeof(text) }));
	arena_free(&a);
}

static void
test_regex(void)
{
	struct arena *a = arena_new(1 << 20);
	struct regex *r;
	const char *err;
	static char large[70000], pattern[3000];

	CU_ASSERT_EQUAL_FATAL(regex_new(a, "^ab+$", &r, &err), SP_OK);
	CU_ASSERT_EQUAL(regex_matches(r, SP_LIT("abb"), false), REGEX_YES);
	CU_ASSERT_EQUAL(regex_matches(r, SP_LIT("ABB"), false), REGEX_NO);
	CU_ASSERT_EQUAL(regex_matches(r, SP_LIT("ABB"), true), REGEX_YES);
	memset(large, 'a', sizeof(large));
	CU_ASSERT_EQUAL(regex_matches(r, (struct sp_bytes){ (uint8_t *)large, sizeof(large) }, false), REGEX_LIMIT);
	regex_free(&r);
	CU_ASSERT_NOT_EQUAL(regex_new(a, "(", &r, &err), SP_OK);
	CU_ASSERT_PTR_NULL(r);
	CU_ASSERT_PTR_NOT_NULL(err);
	memset(pattern, 'a', sizeof(pattern) - 1);
	CU_ASSERT_NOT_EQUAL(regex_new(a, pattern, &r, &err), SP_OK);
	CU_ASSERT_NOT_EQUAL(regex_new(a, "(?{code})", &r, &err), SP_OK);
	arena_free(&a);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "texts", test_texts },
		{ "numbers", test_numbers },
		{ "sets", test_sets },
		{ "networks", test_networks },
		{ "tags", test_tags },
		{ "patterns", test_regex },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("policy predicate", tests);
}
