/* SPDX-License-Identifier: Apache-2.0 */
/* From claims to principals: conditions, groups left out, sponsors, how and when somebody proved who they are (ID3). */
#include <config.h>

#include <stdlib.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "signer.h"

#include "core/keeper/identity.h"

static const char conf[] =
    "identity corp { oidc issuer=https://idp audience=us api_audience=us-api jwks=file:/corp.json; user claim=sub show=email;"
    " person claim=oid; roles approver=leads auditor=audit admin=ops; }\n"
    "identity teams { oidc issuer=https://idp audience=teams jwks=file:/corp.json; groups claim=teams; allow plan=gold; }\n"
    "identity ci { oidc issuer=https://ci audience=us jwks=file:/ci.json; class workload;"
    " allow repository_id=4711 ref=refs/heads/main environment=prod protected=true; }\n"
    "identity bots { oidc issuer=https://bots audience=us jwks=file:/ci.json; class agent; allow fleet=a; sponsor claim=act; }\n";

static struct signer corp, ci;
static struct epoch *epoch;
static struct keys no_keys;
static struct trust *trust;
static struct arena *arena;

static void
begin(void)
{
	static struct epoch_file files[2];
	const char *why = "";
	signer_new(&corp, "c");
	signer_new(&ci, "w");
	epoch = fake_epoch(conf, 1);
	arena = arena_new(1u << 20);
	files[0] = (struct epoch_file){ .path = "/corp.json", .content = sp_str(arena_string(arena, sp_str(signer_set(&corp)))) };
	files[1] = (struct epoch_file){ .path = "/ci.json", .content = sp_str(arena_string(arena, sp_str(signer_set(&ci)))) };
	epoch->files = files;
	epoch->nfiles = 2;
	int rc = settings_check(arena, &epoch->settings, &why);
	if (rc == SP_OK)
		rc = trust_new(epoch, &no_keys, NULL, &trust, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
}

static void
end(void)
{
	trust_free(&trust);
	epoch->files = NULL;
	epoch->nfiles = 0;
	epoch_free(&epoch);
	arena_free(&arena);
	signer_free(&corp);
	signer_free(&ci);
}

static const char *
claims(const char *issuer, const char *audience, const char *more)
{
	long long now = (long long)(clock_wall_us() / 1000000);
	return arena_printf(arena, "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"ann\",\"iat\":%lld,\"exp\":%lld%s%s}", issuer, audience, now,
	    now + 600, more[0] == '\0' ? "" : ",", more);
}

static int
verify(const struct signer *s, const char *issuer, const char *audience, const char *more, struct verified *v_r, const char **why_r)
{
	*why_r = "";
	return identity_verify(trust, sp_str(signer_token(s, claims(issuer, audience, more))), AUDIENCE_DATA, arena, v_r, why_r);
}

static void
test_principal(void)
{
	struct verified v;
	const char *why;
	begin();
	CU_ASSERT_EQUAL_FATAL(verify(&corp, "https://idp", "us", "\"email\":\"ann@example.com\",\"oid\":\"o1\",\"groups\":[\"dev\",\"leads\"],"
	    "\"auth_time\":1795493500,\"amr\":[\"pwd\",\"mfa\"],\"sponsor\":\"x\",\"act\":\"x\",\"class\":\"agent\"", &v, &why), SP_OK);
	const struct principal *p = &v.principal;
	CU_ASSERT_STRING_EQUAL(p->identity, "corp");
	CU_ASSERT_STRING_EQUAL(p->issuer, "https://idp");
	CU_ASSERT_STRING_EQUAL(p->subject, "ann");
	CU_ASSERT_STRING_EQUAL(p->name, "ann@example.com");
	CU_ASSERT_STRING_EQUAL(p->person, "o1");
	CU_ASSERT_STRING_EQUAL(p->class, "human"); /* the operator's word, not the token's */
	CU_ASSERT_STRING_EQUAL(p->sponsor, "");
	CU_ASSERT(strings_have(&p->groups, "leads") && strings_have(&p->roles, "approver") && !strings_have(&p->roles, "admin"));
	CU_ASSERT(p->methods.n == 2 && strings_have(&p->methods, "mfa"));
	CU_ASSERT_EQUAL(p->authenticated, 1795493500000000u);
	/* A token that says nothing of how and when. */
	CU_ASSERT_EQUAL_FATAL(verify(&corp, "https://idp", "us", "\"auth_time\":\"x\",\"amr\":{}", &v, &why), SP_OK);
	CU_ASSERT(v.principal.methods.n == 0 && v.principal.authenticated == 0 && v.principal.person[0] == '\0');
	end();
}

/* One issuer, two audiences: each with its own claims, and its own conditions. */
static void
test_audiences(void)
{
	struct verified v;
	const char *why;
	begin();
	CU_ASSERT_EQUAL_FATAL(verify(&corp, "https://idp", "teams", "\"plan\":\"gold\",\"teams\":\"red\",\"groups\":[\"dev\"]", &v, &why), SP_OK);
	CU_ASSERT_STRING_EQUAL(v.principal.identity, "teams");
	CU_ASSERT(v.principal.groups.n == 1 && strings_have(&v.principal.groups, "red"));
	CU_ASSERT_EQUAL(verify(&corp, "https://idp", "teams", "\"plan\":\"tin\"", &v, &why), SP_EDENIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "allow")); /* and not what the other identity says of it */
	CU_ASSERT_PTR_NULL(v.tell);
	CU_ASSERT_EQUAL(verify(&corp, "https://idp", "us-api", "", &v, &why), SP_EDENIED);
	CU_ASSERT_EQUAL(verify(&ci, "https://idp", "us", "", &v, &why), SP_EDENIED);
	end();
}

static void
test_conditions(void)
{
#define JOB "\"repository_id\":\"4711\",\"ref\":\"refs/heads/main\",\"environment\":\"prod\""
	static const struct {
		const char *claims;
		bool good;
	} row[] = {
		{ JOB ",\"protected\":true", true },
		{ JOB ",\"protected\":\"true\"", true },
		{ "\"repository_id\":4711,\"ref\":\"refs/heads/main\",\"environment\":[\"test\",\"prod\"],\"protected\":true", true },
		{ JOB, false },
		{ JOB ",\"protected\":false", false },
		{ JOB ",\"protected\":1", false },
		{ JOB ",\"protected\":null", false },
		{ "\"repository_id\":4711.0,\"ref\":\"refs/heads/main\",\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":\"refs/heads/main2\",\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":\"refs/heads/mai\",\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":\"REFS/HEADS/MAIN\",\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":[],\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":[[\"refs/heads/main\"]],\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":{\"refs/heads/main\":1},\"environment\":\"prod\",\"protected\":true", false },
		{ "\"repository_id\":\"4711\",\"ref\":\"refs/heads/main\\u0000\",\"environment\":\"prod\",\"protected\":true", false },
	};
	struct verified v;
	const char *why;
	begin();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool good = verify(&ci, "https://ci", "us", row[i].claims, &v, &why) == SP_OK;
		if (good != row[i].good)
			printf("%s: %s\n", row[i].claims, why);
		CU_ASSERT_EQUAL(good, row[i].good);
		CU_ASSERT(!good || strcmp(v.principal.class, "workload") == 0);
		CU_ASSERT(!good || (v.may & (MAY_APPROVE | MAY_AUDIT | MAY_OPERATE)) == 0);
	}
	end();
}

/* Too many groups to list is not no groups: refused, and the holder of the token is told so. */
static void
test_groups_left_out(void)
{
	static const char *const row[] = {
		"\"_claim_names\":{\"groups\":\"src1\"},\"_claim_sources\":{\"src1\":{\"endpoint\":\"https://graph\"}}",
		"\"groups\":[\"dev\"],\"_claim_names\":{\"groups\":\"src1\"}", "\"hasgroups\":true", "\"hasgroups\":\"true\"", "\"hasgroups\":1",
		"\"groups\":[\"dev\",\"groups:src1\"]", "\"groups\":\"groups:src1\"",
	};
	struct verified v;
	const char *why;
	begin();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CU_ASSERT_EQUAL(verify(&corp, "https://idp", "us", row[i], &v, &why), SP_EDENIED);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "overage"));
		CU_ASSERT_PTR_NOT_NULL(v.tell);
	}
	/* Of another claim, or of a token that is not genuine: nothing to tell. */
	CU_ASSERT_EQUAL(verify(&corp, "https://idp", "us", "\"_claim_names\":{\"other\":\"src1\"},\"hasgroups\":false", &v, &why), SP_OK);
	CU_ASSERT_EQUAL(verify(&ci, "https://idp", "us", "\"hasgroups\":true", &v, &why), SP_EDENIED);
	CU_ASSERT_PTR_NULL(v.tell);
	CU_ASSERT_PTR_NULL(strstr(why, "overage"));
	/* No groups at all is no groups. */
	CU_ASSERT_EQUAL(verify(&corp, "https://idp", "us", "", &v, &why), SP_OK);
	CU_ASSERT_EQUAL(v.principal.groups.n, 0);
	end();
}

static void
test_sponsors(void)
{
	struct verified v;
	const char *why;
	begin();
	CU_ASSERT_EQUAL_FATAL(verify(&ci, "https://bots", "us", "\"fleet\":\"a\",\"act\":\"o1\"", &v, &why), SP_OK);
	CU_ASSERT_STRING_EQUAL(v.principal.class, "agent");
	CU_ASSERT_STRING_EQUAL(v.principal.sponsor, "o1");
	CU_ASSERT_EQUAL(v.may, MAY_USE);
	const struct principal by_person = { .user = "ann", .subject = "1", .name = "Ann", .person = "o1" };
	const struct principal by_user = { .user = "o1", .subject = "1", .name = "Ann", .person = "" };
	const struct principal other = { .user = "bob", .subject = "2", .name = "Bob", .person = "o2" }, none = { .sponsor = "" };
	CU_ASSERT(identity_sponsors(&by_person, &v.principal) && identity_sponsors(&by_user, &v.principal));
	CU_ASSERT(!identity_sponsors(&other, &v.principal) && !identity_sponsors(&by_user, &none));
	/* What permits is narrow: the person's claim, or a subject of the same issuer, never what is only shown. */
	const struct principal same_issuer = { .user = "x", .subject = "o1", .name = "x", .person = "", .issuer = "https://bots" };
	const struct principal elsewhere = { .user = "o1", .subject = "o1", .name = "o1", .person = "o9", .issuer = "https://idp" };
	const struct principal person = { .user = "ann", .subject = "1", .name = "Ann", .person = "o1", .issuer = "https://idp" };
	CU_ASSERT(identity_is_sponsor(&person, &v.principal) && identity_is_sponsor(&same_issuer, &v.principal));
	CU_ASSERT(!identity_is_sponsor(&elsewhere, &v.principal) && identity_sponsors(&elsewhere, &v.principal));
	static const char *const odd[] = { "\"fleet\":\"a\"", "\"fleet\":\"a\",\"act\":\"\"", "\"fleet\":\"a\",\"act\":{\"sub\":\"o1\"}",
		"\"fleet\":\"a\",\"act\":[\"o1\"]", "\"act\":\"o1\"" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		CU_ASSERT_EQUAL(verify(&ci, "https://bots", "us", odd[i], &v, &why), SP_EDENIED);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "who a token makes one", test_principal },
		{ "audiences", test_audiences },
		{ "conditions", test_conditions },
		{ "groups left out", test_groups_left_out },
		{ "sponsors", test_sponsors },
		CU_TEST_INFO_NULL,
	};
	log_init("test", STDERR_FILENO, SP_ERROR);
	return cunit_main("identity", tests);
}
