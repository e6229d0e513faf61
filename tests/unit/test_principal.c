/* SPDX-License-Identifier: Apache-2.0 */
/* A principal there and back, and what is none. */
#include "core/base/principal.h"
#include "cunit_main.h"

#define GOOD \
	"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\"," \
	"\"person\":\"p1\",\"class\":\"human\",\"token\":\"ab12\",\"groups\":[\"dba\",\"dev\"],\"roles\":[]," \
	"\"expires\":1795493553120000}"

static int
parse(struct sp_bytes json)
{
	struct arena *a = arena_new(0);
	struct principal p;
	int rc = principal_parse(a, json, &p);
	CU_ASSERT_TRUE(rc == SP_OK || (p.user == NULL && p.groups.n == 0));
	arena_free(&a);
	return rc;
}

static void
there_and_back(void)
{
	struct arena *a = arena_new(0);
	struct principal p, q;
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL_FATAL(principal_parse(a, SP_LIT(GOOD), &p), SP_OK);
	CU_ASSERT_EQUAL(principal_print(&p, &b), SP_OK);
	CU_ASSERT_EQUAL_FATAL(principal_parse(a, buffer_bytes(&b), &q), SP_OK);
	CU_ASSERT_STRING_EQUAL(q.identity, "corp");
	CU_ASSERT_STRING_EQUAL(q.issuer, "https://i");
	CU_ASSERT_STRING_EQUAL(q.subject, "42");
	CU_ASSERT_STRING_EQUAL(q.user, "ann");
	CU_ASSERT_STRING_EQUAL(q.name, "Ann");
	CU_ASSERT_STRING_EQUAL(q.person, "p1");
	CU_ASSERT_STRING_EQUAL(q.class, "human");
	CU_ASSERT_STRING_EQUAL(q.token, "ab12");
	CU_ASSERT_EQUAL(q.expires, 1795493553120000u);
	CU_ASSERT_TRUE(strings_have(&q.groups, "dev"));
	CU_ASSERT_FALSE(strings_have(&q.groups, "de"));
	CU_ASSERT_FALSE(strings_have(&q.groups, "Dev"));
	CU_ASSERT_EQUAL(q.roles.n, 0);
	/* What an older store does not know. */
	CU_ASSERT_STRING_EQUAL(q.sponsor, "");
	CU_ASSERT_EQUAL(q.methods.n, 0);
	CU_ASSERT_EQUAL(q.authenticated, 0);
	const char *methods[] = { "pwd", "mfa" };
	q.sponsor = "bob";
	q.methods = (struct sp_strings){ methods, 2 };
	q.authenticated = 1795493500000000u;
	b.len = 0;
	CU_ASSERT_EQUAL(principal_print(&q, &b), SP_OK);
	CU_ASSERT_EQUAL_FATAL(principal_parse(a, buffer_bytes(&b), &p), SP_OK);
	CU_ASSERT_STRING_EQUAL(p.sponsor, "bob");
	CU_ASSERT_TRUE(strings_have(&p.methods, "mfa"));
	CU_ASSERT_EQUAL(p.authenticated, 1795493500000000u);
	buffer_free(&b);
	arena_free(&a);
}

static void
odd_ones_are_refused(void)
{
	static const char *const bad[] = {
		"", "{", "[]", "null", "{}", GOOD "x",
		"{\"identity\":\"corp\",\"identity\":\"other\"}",
		/* one member changed in its type, then one left out, then one too many */
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":42,\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"roles\":[],\"expires\":1}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[1],\"roles\":[],\"expires\":1}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"roles\":[],\"expires\":-1}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"roles\":[],\"expires\":1.5}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"expires\":1}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\",\"person\":\"p1\","
		"\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"roles\":[],\"expires\":1,\"admin\":true}",
		"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\\u0000x\",\"name\":\"Ann\","
		"\"person\":\"p1\",\"class\":\"human\",\"token\":\"ab12\",\"groups\":[],\"roles\":[],\"expires\":1}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_NOT_EQUAL(parse(sp_str(bad[i])), SP_OK);
	CU_ASSERT_EQUAL(parse(SP_LIT(GOOD)), SP_OK);
	/* every prefix of a good one */
	struct sp_bytes good = SP_LIT(GOOD);
	for (size_t n = 0; n < good.len; n++)
		CU_ASSERT_NOT_EQUAL(parse((struct sp_bytes){ good.p, n }), SP_OK);
}

static void
what_cannot_be_printed_is_an_error(void)
{
	struct buffer b = { 0 };
	const struct principal empty = { .user = NULL }, odd = { .user = "\xff" }, late = { .expires = UINT64_MAX };
	CU_ASSERT_EQUAL(principal_print(&empty, &b), SP_OK);
	size_t len = b.len;
	CU_ASSERT_NOT_EQUAL(principal_print(&odd, &b), SP_OK);
	CU_ASSERT_NOT_EQUAL(principal_print(&late, &b), SP_OK);
	CU_ASSERT_EQUAL(b.len, len);
	buffer_free(&b);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "there and back", there_and_back },
		{ "odd ones are refused", odd_ones_are_refused },
		{ "what cannot be printed is an error", what_cannot_be_printed_is_an_error },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("principal", tests);
}
