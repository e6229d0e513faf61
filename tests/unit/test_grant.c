/* SPDX-License-Identifier: Apache-2.0 */
/* Grants by the keeper's messages: asking, deciding, using, ending; broken glass; rows that somebody else wrote. */
#include <config.h>

#include <fcntl.h>
#include <sqlite3.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "core/keeper/grant.h"
#include "core/keeper/row.h"

static const char conf[] =
    "local_issuer on;\n"
    "control /tmp/nowhere.sock may=mint,approve;\n"
    "load_module postgres;\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev,leads; login user=app secret=env:KEEPER_TEST_SECRET;"
    " access grant approvers=leads count=1 max=2h reason=INC-[0-9]+ break_glass=oncall; }\n"
    "target vault { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev,leads; login user=app secret=env:KEEPER_TEST_SECRET;"
    " access grant approvers=leads count=2 max=2h; }\n"
    "target robots { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev,leads; login user=app secret=env:KEEPER_TEST_SECRET;"
    " access grant approvers=leads sponsor; }\n"
    "target open { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev; login user=app secret=env:KEEPER_TEST_SECRET; }\n";

#include "keeper_world.h"

/* The store, as root with sqlite3 would change it. */
static void
with_sql(const char *sql)
{
	char path[128];
	sqlite3 *db;
	const char *why = "";
	fake_stop(&f);
	(void)snprintf(path, sizeof(path), "%s/state.db", f.folder);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		printf("%s: %s\n", sql, sqlite3_errmsg(db));
	CU_ASSERT_EQUAL(rc, SQLITE_OK);
	CU_ASSERT(sqlite3_total_changes(db) > 0);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
	fake_links(&f);
}

static const char *
api_token(const char *user, const char *group)
{
	return token_of(user, group, AUDIENCE_API);
}

static const char *
id_in(json_t *answer)
{
	static char text[8][64];
	static unsigned turn;
	char *out = text[turn++ % 8];
	(void)snprintf(out, sizeof(text[0]), "%s", json_string_value(json_object_get(answer, "id")) == NULL ? ""
	    : json_string_value(json_object_get(answer, "id")));
	json_decref(answer);
	return out;
}

static const char *
ask(const char *user, const char *target)
{
	char args[256];
	(void)snprintf(args, sizeof(args), "{\"target\":\"%s\",\"for\":3600000,\"reason\":\"INC-42 disk\"}", target);
	return id_in(call(api_token(user, "dev"), 0, CALL_ASK, args, 200));
}

static bool
gets_in(unsigned n, const char *user, const char *target)
{
	return admitted(n, token_of(user, "dev", AUDIENCE_DATA), user, target);
}

/* ---- asking and deciding ---- */

static void
test_grant(void)
{
	start();
	new_ids();
	CU_ASSERT(!gets_in(0, "ann", "orders"));
	const struct message *no = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(no != NULL && strstr(arena_string(f.k.epoch->arena, no->f[2].s), "sallyport request orders") != NULL);
	const char *request = ask("ann", "orders");
	CU_ASSERT_EQUAL_FATAL(strlen(request), 26);
	CU_ASSERT(!gets_in(1, "ann", "orders")); /* asking is not having */
	json_t *j = call(api_token("lea", "leads"), 0, CALL_REQUEST, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "kind")), "grant");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(j, "view"), "text")), "access to orders for 1h: INC-42 disk");
	json_decref(j);
	expect_call(api_token("ann", "leads"), 0, CALL_APPROVE, with_id(request), 403); /* AP5 */
	expect_call(api_token("joe", "dev"), 0, CALL_APPROVE, with_id(request), 404);
	expect_call(api_token("joe", "dev"), 0, CALL_REQUEST, with_id(request), 404); /* ID7 */
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT(gets_in(2, "ann", "orders"));
	const struct message *yes = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(yes != NULL && yes->f[7].q <= clock_wall_us() + 3600ull * 1000000);
	CU_ASSERT(!gets_in(3, "bob", "orders")); /* hers, not his */
	CU_ASSERT(!gets_in(4, "ann", "vault")); /* AP4: for this target only */
	CU_ASSERT(gets_in(5, "ann", "open"));
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 409); /* AP6 */
	with_sql("CREATE TABLE unrelated(x); INSERT INTO unrelated VALUES(1)");
	CU_ASSERT(gets_in(6, "ann", "orders")); /* it survives a restart */
	stop();
}

static void
test_ask_refused(void)
{
	static const struct { const char *args; unsigned status; } row[] = {
		{ "{\"target\":\"orders\",\"for\":3600000,\"reason\":\"please\"}", 400 }, /* no ticket in it */
		{ "{\"target\":\"orders\",\"for\":3600000}", 400 },
		{ "{\"target\":\"orders\",\"for\":7200001,\"reason\":\"INC-1\"}", 400 }, /* longer than max */
		{ "{\"target\":\"orders\",\"reason\":\"INC-1\"}", 400 },
		{ "{\"target\":\"open\",\"for\":1000,\"reason\":\"INC-1\"}", 409 },
		{ "{\"target\":\"nowhere\",\"for\":1000,\"reason\":\"INC-1\"}", 404 },
		{ "{\"target\":\"orders\",\"for\":7200000,\"reason\":\"INC-1\"}", 200 },
	};
	start();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		expect_call(api_token("ann", "dev"), 0, CALL_ASK, row[i].args, row[i].status);
	expect_call(api_token("zoe", "other"), 0, CALL_ASK, row[6].args, 404); /* not in allow */
	expect_call(token_of("ann", "dev", AUDIENCE_DATA), 0, CALL_ASK, row[6].args, 401);
	stop();
}

static void
test_two_persons(void)
{
	start();
	new_ids();
	const char *request = ask("ann", "vault");
	json_t *j = call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "waiting");
	json_decref(j);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 409); /* one vote each */
	caller(9, "lea");
	expect_call("", 9, CALL_APPROVE, with_id(request), 409); /* lea again, by the control socket */
	CU_ASSERT(!gets_in(0, "ann", "vault"));
	expect_call(api_token("max", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT(gets_in(1, "ann", "vault"));
	stop();
}

/* MC5: a program decides on nothing, whatever groups it is in. */
static void
test_programs_decide_nothing(void)
{
	static const char *const classes[] = { "agent", "workload" };
	start();
	new_ids();
	const char *request = ask("ann", "orders"), *leads = "leads";
	for (size_t i = 0; i < 2; i++) {
		struct buffer b = { 0 };
		uint64_t expires;
		const char *why = "";
		const struct token_request q = { .user = "bot", .class = classes[i], .sponsor = i == 0 ? "sam" : "", .groups = { &leads, 1 }, .ttl = 600000, .audience = AUDIENCE_API };
		CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
		char *token = mem_string(buffer_bytes(&b));
		expect_call(token, 0, CALL_APPROVE, with_id(request), 403);
		expect_call(token, 0, CALL_DENY, with_id(request), 403);
		free(token);
		buffer_free(&b);
	}
	CU_ASSERT(!gets_in(0, "ann", "orders"));
	stop();
}

/* AP6: a hundred decisions in one turn of the loop, each by another person: one counts. */
static void
test_hundred_at_once(void)
{
	start();
	new_ids();
	const char *request = ask("ann", "orders"), *args = with_id(request);
	unsigned won = 0, lost = 0;
	fake_forget(&f.console);
	for (unsigned i = 0; i < 100; i++) {
		char user[16];
		(void)snprintf(user, sizeof(user), "lead%u", i);
		const char *token = api_token(user, "leads");
		const struct message m = { .type = MSG_CALL, .id = ++f.id, .f = { Q(0), Z(token), Q(i % 2 == 0 ? CALL_DENY : CALL_APPROVE), Z(args) } };
		CU_ASSERT_EQUAL(link_send(f.console.link, &m), SP_OK);
		if (i % 50 != 49)
			continue;
		fake_turn(&f);
		for (size_t n = 0; n < f.console.n; n++) {
			won += f.console.m[n].f[0].q == 200;
			lost += f.console.m[n].f[0].q == 409;
		}
		fake_forget(&f.console);
	}
	CU_ASSERT_EQUAL(won, 1);
	CU_ASSERT_EQUAL(lost, 99);
	CU_ASSERT(!gets_in(0, "ann", "orders")); /* the first was a no */
	stop();
}

/* ---- ends ---- */

static const char *
granted(const char *user)
{
	const char *request = ask(user, "orders");
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	return request;
}

static void
test_ends(void)
{
	start();
	new_ids();
	static const struct { const char *user, *by, *group; unsigned status; } row[] = {
		{ "ann", "ann", "dev", 200 }, { "bob", "lea", "leads", 200 }, { "joe", "adm", "admin", 200 }, { "kim", "ann", "dev", 404 },
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *grant = granted(row[i].user);
		CU_ASSERT(gets_in(i, row[i].user, "orders"));
		opened(i);
		fake_forget(&f.worker);
		expect_call(api_token(row[i].by, row[i].group), 0, CALL_END, with_id(grant), row[i].status);
		fake_turn(&f);
		const struct message *kill = fake_heard(&f.worker, MSG_KILL);
		CU_ASSERT_EQUAL(kill != NULL, row[i].status == 200); /* AP7: its session ends with it */
		CU_ASSERT(kill == NULL || (sp_bytes_eq(kill->f[0].s, id(i)) && kill->f[1].q == SP_END_REVOKED));
		CU_ASSERT_EQUAL(gets_in(10 + i, row[i].user, "orders"), row[i].status != 200);
		if (row[i].status == 200)
			expect_call(api_token(row[i].by, row[i].group), 0, CALL_END, with_id(grant), 409);
	}
	stop();
}

static void
test_take_back(void)
{
	start();
	new_ids();
	const char *request = ask("ann", "orders");
	expect_call(api_token("bob", "dev"), 0, CALL_END, with_id(request), 404);
	expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(request), 200);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 409);
	CU_ASSERT(!gets_in(0, "ann", "orders"));
	stop();
}

/* A second grant carries a session on; the end of the first does not end it. */
static void
test_two_grants(void)
{
	start();
	new_ids();
	const char *first = id_in(call(api_token("ann", "dev"), 0, CALL_ASK, "{\"target\":\"orders\",\"for\":60000,\"reason\":\"INC-1\"}", 200));
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(first), 200);
	CU_ASSERT(gets_in(0, "ann", "orders"));
	opened(0);
	fake_forget(&f.worker);
	const char *second = id_in(call(api_token("ann", "dev"), 0, CALL_ASK, "{\"target\":\"orders\",\"for\":120000,\"reason\":\"INC-2\"}", 200));
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(second), 200);
	const struct message *later = fake_heard(&f.worker, MSG_EXPIRES);
	CU_ASSERT(later != NULL && later->f[1].q > clock_wall_us() + 100ull * 1000000);
	expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(first), 200);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_KILL));
	expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(second), 200);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_KILL));
	stop();
}

static void
test_time_over(void)
{
	start();
	new_ids();
	const char *grant = id_in(call(api_token("ann", "dev"), 0, CALL_ASK, "{\"target\":\"orders\",\"for\":1,\"reason\":\"INC-1\"}", 200));
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(grant), 200);
	(void)usleep(3000);
	CU_ASSERT(!gets_in(0, "ann", "orders"));
	grant_tick(&f.k);
	json_t *j = call(api_token("ann", "dev"), 0, CALL_GRANTS, "{\"all\":true}", 200);
	const json_t *one = json_array_get(json_object_get(j, "grants"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "state")), "ended");
	json_decref(j);
	stop();
}

/* Who was revoked after asking gets nothing of it. */
static void
test_revoked_asker(void)
{
	start();
	new_ids();
	const char *request = ask("ann", "orders");
	caller(1, "root");
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"ann\"}", 200);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 409);
	stop();
}

/* ---- broken glass ---- */

static void
test_break_glass(void)
{
	static const char args[] = "{\"target\":\"orders\",\"reason\":\"INC-9 site is down\"}";
	const char *two[] = { "dev", "oncall" };
	start();
	new_ids();
	expect_call(api_token("ann", "dev"), 0, CALL_BREAK_GLASS, args, 403);
	struct buffer b = { 0 };
	uint64_t expires;
	const char *why = "";
	const struct token_request q = { .user = "ann", .class = "human", .groups = { two, 2 }, .ttl = 7200000, .audience = AUDIENCE_API };
	CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
	char *token = mem_string(buffer_bytes(&b));
	expect_call(token, 0, CALL_BREAK_GLASS, "{\"target\":\"orders\",\"reason\":\"INC-9\",\"for\":3600001}", 403); /* an hour at most */
	expect_call(token, 0, CALL_BREAK_GLASS, "{\"target\":\"orders\",\"reason\":\"\"}", 400);
	expect_call(token, 0, CALL_BREAK_GLASS, "{\"target\":\"vault\",\"reason\":\"INC-9\"}", 403); /* nobody may there */
	const char *incident = id_in(call(token, 0, CALL_BREAK_GLASS, args, 200));
	CU_ASSERT(gets_in(0, "ann", "orders"));
	opened(0);
	struct message m = hold_message(0, 1, "dba", 2, 60000, false);
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 1); /* no approval is waited for */
	expect_call(api_token("ann", "leads"), 0, CALL_APPROVE, with_id(incident), 403); /* another person closes it */
	expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(incident), 200); /* she is done */
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_KILL));
	json_t *j = call(api_token("lea", "leads"), 0, CALL_REQUESTS, "{}", 200); /* but it stands open */
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "requests")), 1);
	json_decref(j);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(incident), 400); /* with a comment */
	char closing[128];
	(void)snprintf(closing, sizeof(closing), "{\"id\":\"%s\",\"comment\":\"seen\"}", incident);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, closing, 200);
	free(token);
	buffer_free(&b);
	stop();
}

/* ---- rows of others (the store is not trusted to grant) ---- */

static void
test_altered_rows(void)
{
	static const char *const altered[] = {
		"UPDATE grants SET until = until + 1", "UPDATE grants SET target = 'vault'", "UPDATE grants SET subject = 'bob', user = 'bob'",
		"UPDATE grants SET state = 0, ended = 0 WHERE state = 1", "UPDATE grants SET mac = randomblob(32)",
		"UPDATE grants SET principal = replace(principal, 'ann', 'bob')",
	};
	for (size_t i = 0; i < sizeof(altered) / sizeof(*altered); i++) {
		start();
		new_ids();
		const char *grant = granted("ann");
		if (i == 3)
			expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(grant), 200);
		with_sql(altered[i]);
		CU_ASSERT(!gets_in(0, "ann", "orders"));
		CU_ASSERT(!gets_in(1, "ann", "vault"));
		CU_ASSERT(!gets_in(2, "bob", "orders"));
		stop();
	}
}

static void
test_inserted_rows(void)
{
	start();
	new_ids();
	(void)granted("ann");
	with_sql("INSERT INTO grants SELECT 'zzzzzzzzzzzzzzzzzzzzzzzzzz', kind, principal, issuer, 'bob', 'bob', target, reason, by, since, until,"
		 " state, ended, text, mac FROM grants");
	CU_ASSERT(!gets_in(0, "bob", "orders"));
	CU_ASSERT(gets_in(1, "ann", "orders")); /* the genuine one stands */
	stop();
}

static void
test_altered_requests(void)
{
	static const char *const altered[] = {
		"UPDATE approval SET count = 1", "UPDATE approval SET by = 'dev'", "UPDATE approval SET subject = 'joe', user = 'joe', person = 'joe'",
		"UPDATE approval SET span = 7200000", "UPDATE approval SET target = 'orders'", "UPDATE approval SET view = '{\"text\":\"nothing\"}'",
		"UPDATE approval SET expires = expires + 1000000", "UPDATE approval SET kind = 3",
	};
	for (size_t i = 0; i < sizeof(altered) / sizeof(*altered); i++) {
		start();
		const char *request = ask("ann", "vault");
		with_sql(altered[i]);
		expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 404);
		stop();
	}
	/* A vote that nobody gave. */
	start();
	new_ids();
	const char *request = ask("ann", "vault");
	char sql[512];
	(void)snprintf(sql, sizeof(sql), "INSERT INTO vote VALUES('%s', 'max', 1, '{\"user\":\"max\",\"name\":\"max\",\"issuer\":\"x\"}', '', 1, x'00')",
	    request);
	with_sql(sql);
	json_t *j = call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "waiting");
	json_decref(j);
	CU_ASSERT(!gets_in(0, "ann", "vault"));
	stop();
}

static void
test_seals(void)
{
	static const uint8_t value[] = "a verifier";
	struct buffer sealed = { 0 }, other = { 0 }, back = { 0 };
	struct sp_bytes in = { value, sizeof(value) };
	start();
	CU_ASSERT_EQUAL(row_seal(&f.k.keys, "ticket", SP_LIT("one"), in, &sealed), SP_OK);
	CU_ASSERT_EQUAL(row_seal(&f.k.keys, "ticket", SP_LIT("one"), in, &other), SP_OK);
	CU_ASSERT(!sp_bytes_eq(buffer_bytes(&sealed), buffer_bytes(&other)));
	CU_ASSERT(memmem(buffer_bytes(&sealed).p, sealed.len, value, sizeof(value)) == NULL);
	CU_ASSERT_EQUAL(row_open(&f.k.keys, "ticket", SP_LIT("one"), buffer_bytes(&sealed), &back), SP_OK);
	CU_ASSERT(sp_bytes_eq(buffer_bytes(&back), in));
	CU_ASSERT_EQUAL(row_open(&f.k.keys, "ticket", SP_LIT("two"), buffer_bytes(&sealed), &back), SP_EPROTO); /* another row's */
	CU_ASSERT_EQUAL(row_open(&f.k.keys, "grants", SP_LIT("one"), buffer_bytes(&sealed), &back), SP_EPROTO);
	sealed.p[sealed.start + sealed.len - 1] ^= 1;
	CU_ASSERT_EQUAL(row_open(&f.k.keys, "ticket", SP_LIT("one"), buffer_bytes(&sealed), &back), SP_EPROTO);
	CU_ASSERT_EQUAL(row_open(&f.k.keys, "ticket", SP_LIT("one"), SP_LIT("short"), &back), SP_EPROTO);
	buffer_free(&sealed);
	buffer_free(&other);
	buffer_free(&back);
	stop();
}

/* ---- codes on paper ---- */

static const char *
code_for(const char *user)
{
	static char text[4][64];
	static unsigned turn;
	char args[128], *out = text[turn++ % 4];
	caller(1, "root");
	(void)snprintf(args, sizeof(args), "{\"user\":\"%s\",\"groups\":[\"dev\",\"oncall\"],\"count\":1}", user);
	json_t *j = call("", 1, CALL_CODES_MAKE, args, 200);
	const char *code = json_string_value(json_object_get(json_array_get(json_object_get(j, "codes"), 0), "code"));
	(void)snprintf(out, sizeof(text[0]), "%s", code == NULL ? "" : code);
	json_decref(j);
	return out;
}

static json_t *
spend(const char *code, const char *address, unsigned status)
{
	char args[256];
	(void)snprintf(args, sizeof(args), "{\"target\":\"orders\",\"reason\":\"INC-1\",\"code\":\"%s\",\"address\":\"%s\"}", code, address);
	return call("", 0, CALL_CODE_SPEND, args, status);
}

static void
test_code(void)
{
	start();
	new_ids();
	expect_call(api_token("ann", "oncall"), 0, CALL_CODES_MAKE, "{\"user\":\"ann\",\"groups\":[\"oncall\"]}", 403);
	const char *code = code_for("ann");
	CU_ASSERT_EQUAL(strlen(code), 29);
	json_t *j = spend(code, "10.0.0.1", 200);
	CU_ASSERT(strncmp(json_string_value(json_object_get(j, "id")), "spt-", 4) == 0);
	const char *incident = json_string_value(json_object_get(j, "incident"));
	char args[128];
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"comment\":\"seen\"}", incident);
	json_decref(j);
	json_decref(spend(code, "10.0.0.1", 400)); /* once */
	expect_call(api_token("ann", "leads"), 0, CALL_APPROVE, args, 403);
	expect_call(api_token("root", "leads"), 0, CALL_APPROVE, args, 403); /* who made it */
	expect_call("", 1, CALL_APPROVE, args, 403);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, args, 200);
	/* Guesses: ten from an address; others may go on. */
	code = code_for("eve");
	for (unsigned i = 0; i < 10; i++)
		json_decref(spend(i % 2 == 0 ? "zzzz-zzzz-zzzz-zzzz-zzzz-zzzz" : "", "10.0.0.2", 400));
	json_decref(spend(code, "10.0.0.2", 429));
	json_decref(spend(code, "10.0.0.3", 200));
	/* At the control socket each caller for themselves. */
	caller(7, "eve");
	caller(8, "kim");
	for (unsigned i = 0; i < 10; i++)
		expect_call("", 7, CALL_CODE_SPEND, "{\"target\":\"orders\",\"reason\":\"x\",\"code\":\"zzzz\"}", 400);
	expect_call("", 7, CALL_CODE_SPEND, "{\"target\":\"orders\",\"reason\":\"x\",\"code\":\"zzzz\"}", 429);
	expect_call("", 8, CALL_CODE_SPEND, "{\"target\":\"orders\",\"reason\":\"x\",\"code\":\"zzzz\"}", 400);
	/* Written or changed in the store, past the keeper. */
	code = code_for("kim");
	with_sql("UPDATE code SET user = 'bob' WHERE user = 'kim'");
	json_decref(spend(code, "10.0.0.4", 400));
	with_sql("UPDATE code SET state = 0 WHERE state = 1");
	json_decref(spend(code, "10.0.0.4", 400));
	stop();
}

/* ---- an agent, and whom it works for ---- */

static const char *
agent_token(enum audience audience)
{
	static char text[4][2048];
	static unsigned turn;
	static const char *const dev = "dev";
	char *out = text[turn++ % 4];
	struct buffer b = { 0 };
	uint64_t expires;
	const char *why = "";
	const struct token_request q = { .user = "bot", .class = "agent", .sponsor = "lea", .groups = { &dev, 1 }, .ttl = 600000,
		.audience = audience };
	CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
	(void)snprintf(out, sizeof(text[0]), "%.*s", (int)b.len, (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return out;
}

static const char *
agent_holds(uint64_t op, const char *by, bool sponsor)
{
	static char text[64];
	struct message m = hold_message(0, op, by, 1, 60000, true);
	m.f[12].q = sponsor;
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_HELD);
	(void)snprintf(text, sizeof(text), "%.*s", r == NULL ? 0 : (int)r->f[2].s.len, r == NULL ? "" : (const char *)r->f[2].s.p);
	return text;
}

/* An agent's sponsor decides only where that is said (AP5). */
static void
test_sponsor(void)
{
	start();
	new_ids();
	const char *request = id_in(call(agent_token(AUDIENCE_API), 0, CALL_ASK, "{\"target\":\"orders\",\"for\":1000,\"reason\":\"INC-1\"}", 200));
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 403);
	expect_call(agent_token(AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 403);
	expect_call(api_token("max", "leads"), 0, CALL_APPROVE, with_id(request), 200);
	request = id_in(call(agent_token(AUDIENCE_API), 0, CALL_ASK, "{\"target\":\"robots\",\"for\":1000,\"reason\":\"x\"}", 200));
	expect_call(api_token("joe", "dev"), 0, CALL_APPROVE, with_id(request), 404);
	expect_call(api_token("lea", "dev"), 0, CALL_APPROVE, with_id(request), 200); /* in no group that could */
	CU_ASSERT(admitted(0, agent_token(AUDIENCE_DATA), "bot", "open"));
	request = agent_holds(1, "leads", false);
	expect_call(api_token("lea", "leads"), 0, CALL_APPROVE, with_id(request), 403);
	request = agent_holds(2, "leads", true);
	expect_call(api_token("lea", "dev"), 0, CALL_APPROVE, with_id(request), 200);
	request = agent_holds(3, "", true);
	expect_call(api_token("max", "leads"), 0, CALL_APPROVE, with_id(request), 404);
	expect_call(api_token("lea", "dev"), 0, CALL_DENY, with_id(request), 200);
	/* Nobody could decide on that. */
	CU_ASSERT(admitted(1, token_of("ann", "dev", AUDIENCE_DATA), "ann", "open"));
	struct message m = hold_message(1, 1, "", 1, 60000, true);
	m.f[12].q = 1;
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0 && strstr((const char *)r->f[5].s.p, "agent's sponsor") != NULL);
	stop();
}

/* AP9: two thousand wait for all together, whoever they are. */
static void
test_flood_of_all(void)
{
	char user[16], address[32];
	const unsigned users = 40, each = 50;
	start();
	new_ids();
	for (unsigned u = 0; u <= users; u++) {
		(void)snprintf(user, sizeof(user), "user%u", u);
		(void)snprintf(address, sizeof(address), "10.0.1.%u:4711", u);
		const struct message *yes = authenticate_at(&f.worker, u, token_of(user, "dev", AUDIENCE_DATA), user, "open", address);
		CU_ASSERT(yes != NULL && yes->f[1].q == SP_ADMIT);
		for (unsigned i = 0; u < users && i < each; i++)
			CU_ASSERT_EQUAL_FATAL(strlen(hold(u, 10 + i, "dba", 1, false)), 26);
	}
	struct message m = hold_message(users, 1, "dba", 1, 60000, false);
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0 && strncmp((const char *)r->f[5].s.p, "too many requests of everybody", 30) == 0);
	closed(0); /* those of one who goes are nobody's any more */
	CU_ASSERT_EQUAL(strlen(hold(users, 2, "dba", 1, false)), 26);
	stop();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a grant", test_grant },
		{ "requests that are refused", test_ask_refused },
		{ "two persons (AP5)", test_two_persons },
		{ "programs decide nothing (MC5)", test_programs_decide_nothing },
		{ "a hundred decisions at once (AP6)", test_hundred_at_once },
		{ "ends (AP7)", test_ends },
		{ "taken back", test_take_back },
		{ "two grants", test_two_grants },
		{ "its time is over", test_time_over },
		{ "who asked was revoked", test_revoked_asker },
		{ "broken glass", test_break_glass },
		{ "altered rows", test_altered_rows },
		{ "inserted rows", test_inserted_rows },
		{ "altered requests and votes", test_altered_requests },
		{ "seals", test_seals },
		{ "codes on paper (AP5, AP6)", test_code },
		{ "an agent's sponsor (AP5)", test_sponsor },
		{ "a flood by all together (AP9)", test_flood_of_all },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("grant", tests);
}
