/* SPDX-License-Identifier: Apache-2.0 */
/* Every call has a route, every route a role; what is not in the table is nowhere. */
#include "core/base/route.h"
#include "cunit_main.h"

static enum call
find(const char *method, const char *path)
{
	struct sp_bytes id;
	const struct route *r = route_find(sp_str(method), sp_str(path), &id);
	return r == NULL ? CALL_NONE : r->call;
}

static void
every_call_has_one_route_with_a_role(void)
{
	unsigned seen[CALLS] = { 0 };
	for (const struct route *r = route_table; r->method != NULL; r++) {
		CU_ASSERT_TRUE_FATAL(r->call > CALL_NONE && r->call < CALLS);
		seen[r->call]++;
		CU_ASSERT_NOT_EQUAL(r->role, 0);
		CU_ASSERT_TRUE(strlen(r->help) > 0);
		CU_ASSERT_EQUAL(find(r->method, r->path), r->call);
	}
	for (unsigned c = 1; c < CALLS; c++)
		CU_ASSERT_EQUAL(seen[c], 1);
}

static void
what_changes_something_is_a_post(void)
{
	static const enum call changes[] = { CALL_KILL, CALL_APPROVE, CALL_DENY, CALL_TOKEN, CALL_REVOKE, CALL_SIGNIN_BEGIN, CALL_SIGNIN_CODE,
		CALL_LOGOUT, CALL_DEVICE_BEGIN, CALL_DEVICE_POLL, CALL_DEVICE_CONFIRM, CALL_BACKCHANNEL, CALL_RENEW, CALL_ASK, CALL_END, CALL_BREAK_GLASS,
		CALL_CODES_MAKE, CALL_CODE_END, CALL_CODE_SPEND, CALL_TICKET, CALL_TICKET_END, CALL_SSH_CERTIFICATE, CALL_SAML_ACS, CALL_SAML_LOGOUT, CALL_SLACK,
		CALL_LINK_MAKE, CALL_LINK_USE };
	static const enum call for_oneself[] = { CALL_LOGOUT, CALL_DEVICE_CONFIRM, CALL_ASK, CALL_END, CALL_BREAK_GLASS, CALL_TICKET,
		CALL_TICKET_END, CALL_SSH_CERTIFICATE };
	for (const struct route *r = route_table; r->method != NULL; r++) {
		bool change = false, own = false;
		for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
			change = change || changes[i] == r->call;
		for (size_t i = 0; i < sizeof(for_oneself) / sizeof(*for_oneself); i++)
			own = own || for_oneself[i] == r->call;
		bool tells = r->call == CALL_POLICY_EXPLAIN; /* changes nothing; what it brings belongs in no URL */
		CU_ASSERT_STRING_EQUAL(r->method, change || tells ? "POST" : "GET");
		CU_ASSERT_TRUE(!change || own || (r->role & (MAY_USE | MAY_AUDIT)) == 0);
	}
}

/* What needs no proof of who calls is what brings a proof, or asks for one: these, and no other. */
static void
few_are_for_anybody(void)
{
	static const enum call open[] = { CALL_IDENTITIES, CALL_SIGNIN_BEGIN, CALL_SIGNIN_CODE, CALL_DEVICE_BEGIN, CALL_DEVICE_POLL,
		CALL_BACKCHANNEL, CALL_RENEW, CALL_CODE_SPEND, CALL_SAML_METADATA, CALL_SAML_ACS, CALL_SAML_LOGOUT, CALL_SLACK, CALL_LINK_USE };
	for (const struct route *r = route_table; r->method != NULL; r++) {
		bool anybody = false;
		for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
			anybody = anybody || open[i] == r->call;
		CU_ASSERT_EQUAL(r->role == MAY_ANYBODY, anybody);
		CU_ASSERT_TRUE(anybody || (r->role & MAY_ANYBODY) == 0);
	}
}

/* Beyond the calls there is nothing either. */
static void
every_call_says_what_it_takes_and_gives(void)
{
	for (unsigned c = 1; c < CALLS; c++) {
		CU_ASSERT_PTR_NOT_NULL(answer_find((enum call)c));
		CU_ASSERT_PTR_NULL(argument_find((enum call)c, ""));
	}
	CU_ASSERT_PTR_NULL(answer_find(CALL_NONE));
	CU_ASSERT_PTR_NOT_NULL(argument_find(CALL_KILL, "reason"));
	CU_ASSERT_PTR_NULL(argument_find(CALL_KILL, "reasons"));
	CU_ASSERT_PTR_NULL(argument_find(CALL_KEYS, "reason"));
	for (const struct argument *a = argument_table; a->name != NULL; a++) {
		CU_ASSERT_TRUE(a->call > CALL_NONE && a->call < CALLS && strlen(a->help) > 0);
		CU_ASSERT_PTR_EQUAL(argument_find(a->call, a->name), a);
	}
}

static void
ids_are_found(void)
{
	struct sp_bytes id;
	const struct route *r = route_find(SP_LIT("GET"), SP_LIT("/api/v1/sessions/3kq7/recording"), &id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->call, CALL_RECORDING);
	CU_ASSERT_TRUE(sp_bytes_is(id, "3kq7"));
	r = route_find(SP_LIT("GET"), SP_LIT("/api/v1/sessions"), &id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(id.len, 0);
}

static void
anything_else_is_nowhere(void)
{
	static const char *const nowhere[][2] = {
		{ "GET", "" }, { "GET", "/" }, { "GET", "api/v1/whoami" }, { "GET", "/api/v1/whoami/" },
		{ "GET", "//api/v1/whoami" }, { "GET", "/api//v1/whoami" }, { "GET", "/api/v1/whoamix" },
		{ "GET", "/api/v1/whoam" }, { "GET", "/API/v1/whoami" }, { "get", "/api/v1/whoami" },
		{ "POST", "/api/v1/whoami" }, { "", "/api/v1/whoami" }, { "GET", "/api/v1/sessions/" },
		{ "GET", "/api/v1/sessions//recording" }, { "GET", "/api/v1/sessions/x/y" },
		{ "GET", "/api/v1/sessions/x/kill" }, { "POST", "/api/v1/sessions/x/kill/" },
		{ "GET", "/api/v1/sessions/a/b/recording" }, { "GET", "/api/v1/whoami?x=1" }, { "HEAD", "/api/v1/keys" },
	};
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++)
		CU_ASSERT_EQUAL(find(nowhere[i][0], nowhere[i][1]), CALL_NONE);
	struct sp_bytes id;
	CU_ASSERT_PTR_NULL(route_find(SP_LIT("GET"), SP_LIT("/api/v1/whoami\0"), &id));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "every call has one route with a role", every_call_has_one_route_with_a_role },
		{ "what changes something is a POST", what_changes_something_is_a_post },
		{ "few are for anybody", few_are_for_anybody },
		{ "every call says what it takes and gives", every_call_says_what_it_takes_and_gives },
		{ "ids are found", ids_are_found },
		{ "anything else is nowhere", anything_else_is_nowhere },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("route", tests);
}
