/* SPDX-License-Identifier: Apache-2.0 */
/* P7: the bytes that an approval binds to, by vectors made elsewhere; AP3, AP4: whatever changes, changes the hash. */
#include <config.h>

#include <string.h>

#include "cunit_main.h"

#include "core/worker/approval_hash.h"

static struct shape shape;
static struct param params[2];
static struct meaning meanings[2];
static struct sp_session session;
static struct op_approvals approvals;
static struct sp_op op;
static struct approval_rule rule;

static void
fresh(const char *text, unsigned nparams)
{
	static const struct sp_bytes seven = { (const uint8_t *)"\0\0\0\7", 4 };
	meanings[0] = (struct meaning){ "table", SP_LIT("public.t") };
	meanings[1] = (struct meaning){ "EXECUTE m", SP_LIT("DELETE FROM t WHERE id > 0") };
	shape = (struct shape){ .text = sp_str(text), .meaning = meanings, .nmeanings = 1 };
	params[0] = (struct param){ .type = 23, .format = 1, .value = seven };
	params[1] = (struct param){ .type = 25, .null = true };
	session = (struct sp_session){ .target_name = "orders", .part = "shop", .login = "app", .nfacts = 2,
		.fact = { { "search_path", SP_LIT("public") }, { "transaction", SP_LIT("idle") } },
		.principal = { .issuer = "https://idp", .subject = "ann", .token = "tok" } };
	for (unsigned i = 0; i < ID_LEN; i++)
		session.id[i] = (uint8_t)i;
	approvals = (struct op_approvals){ 0 };
	op = (struct sp_op){ .s = &session, .op = { .shape = &shape, .param = params, .nparams = nparams }, .approvals = &approvals };
	rule = (struct approval_rule){ .rule = "x" };
	memset(rule.hash, 7, sizeof(rule.hash));
}

static const char *
hash(void)
{
	static char text[4][2 * DIGEST_LEN + 1];
	static unsigned turn;
	uint8_t out[DIGEST_LEN];
	approval_hash(&op, &rule, out);
	text_hex((struct sp_bytes){ out, sizeof(out) }, text[++turn % 4]);
	return text[turn % 4];
}

static void
vectors(void)
{
	static const struct {
		const char *text;
		unsigned nparams;
		size_t nmeanings;
		bool next_run;
		const char *hash;
	} row[] = {
		{ "DROP TABLE t", 0, 0, false, "8f129388fb91277da8da5064e083b65db1057b3b04d7c98692c8aae8d79bde5e" },
		{ "DROP TABLE t", 0, 1, true, "025b77568cbfb9bd3b16dc86b676defcebe38c2d0804dd88d3e1448fb70e6d2e" },
		{ "UPDATE t SET a = $1", 2, 1, false, "dbe26f342a6e4fd7421e23be784bd077028a288af8fc94734d693c99c8dc7290" },
		{ "UPDATE t SET a = $1", 2, 1, true, "a97596b9935303f1b82fca33666ff32ff2da9be3f08e165d5beefb5b673cbe7f" },
		{ "EXECUTE m", 0, 2, false, "a216a4f3979aec157b3f394f2727dbc3769f61f445c54955fa7bb1593f43e47d" },
		{ "EXECUTE m", 0, 2, true, "da0d540d5f4b26fcdb291bd21624d502ee1a2bad8f2757db6d590fb1c55f6a8f" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		fresh(row[i].text, row[i].nparams);
		shape.nmeanings = row[i].nmeanings;
		rule.next_run = row[i].next_run;
		CU_ASSERT_STRING_EQUAL(hash(), row[i].hash);
	}
}

/* Each of these must make another hash; the last three only where the approval is for this session. */
static void
change(unsigned what)
{
	switch (what) {
	case 0: shape.text = SP_LIT("UPDATE t SET a = $2"); break;
	case 1: params[0].value = SP_LIT("8888"); break;
	case 2: params[0].type = 20; break;
	case 3: params[0].format = 0; break;
	case 4: params[1].null = false; break;
	case 5: op.op.nparams = 1; break;
	case 6: session.principal.issuer = "https://other"; break;
	case 7: session.principal.subject = "bob"; break;
	case 8: session.target_name = "order"; break;
	case 9: session.part = "sshop"; break;
	case 10: session.login = "admin"; break;
	case 11: session.fact[0].value = SP_LIT("evil, public"); break;
	case 12: rule.hash[31] = 8; break;
	case 13: meanings[0].value = SP_LIT("pg_temp.t"); break;
	case 14: meanings[0].name = "tables"; break;
	case 15: shape.nmeanings = 2; break;
	case 16: session.fact[1].value = SP_LIT("open"); break;
	case 17: session.id[0] = 9; break;
	case 18: session.principal.token = "another"; break;
	}
}

static void
whatever_changes_changes_it(void)
{
	for (unsigned scope = 0; scope < 2; scope++) {
		for (unsigned what = 0; what < 19; what++) {
			fresh("UPDATE t SET a = $1", 2);
			rule.next_run = scope == 1;
			const char *before = hash();
			change(what);
			bool same = strcmp(before, hash()) == 0;
			CU_ASSERT_EQUAL(same, scope == 1 && what >= 16);
		}
	}
}

/* "order" + "sshop" is not "orders" + "shop". */
static void
lengths_stand_in_front(void)
{
	fresh("x", 0);
	const char *before = hash();
	session.target_name = "order";
	session.part = "sshop";
	CU_ASSERT_STRING_NOT_EQUAL(before, hash());
}

/* AP3: what was approved is what runs, or it is asked for again. */
static void
given_for_these_bytes_only(void)
{
	for (unsigned scope = 0; scope < 2; scope++) {
		for (unsigned what = 0; what < 19; what++) {
			fresh("UPDATE t SET a = $1", 2);
			rule.next_run = scope == 1;
			const struct decision d = { .approval = &rule, .napprovals = 1 };
			CU_ASSERT_PTR_EQUAL(approval_missing(&op, &d), &rule);
			approval_hash(&op, &rule, approvals.had[approvals.n++]);
			CU_ASSERT_PTR_NULL(approval_missing(&op, &d));
			change(what);
			CU_ASSERT_EQUAL(approval_missing(&op, &d) == NULL, scope == 1 && what >= 16);
		}
	}
}

/* Two rules ask: an approval for one is none for the other. */
static void
each_rule_its_own(void)
{
	fresh("DROP TABLE t", 0);
	struct approval_rule both[2] = { rule, rule };
	both[1].hash[0] = 9;
	const struct decision d = { .approval = both, .napprovals = 2 };
	approval_hash(&op, &both[0], approvals.had[approvals.n++]);
	CU_ASSERT_PTR_EQUAL(approval_missing(&op, &d), &both[1]);
	approval_hash(&op, &both[1], approvals.had[approvals.n++]);
	CU_ASSERT_PTR_NULL(approval_missing(&op, &d));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "vectors", vectors },
		{ "whatever changes, changes it", whatever_changes_changes_it },
		{ "lengths stand in front", lengths_stand_in_front },
		{ "given for these bytes only", given_for_these_bytes_only },
		{ "each rule its own", each_rule_its_own },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("approval hash", tests);
}
