/* SPDX-License-Identifier: Apache-2.0 */
/* An approved file by the keeper's messages (P7): its hash, who may spend it, where, in which order, and how often. */
#include <config.h>

#include <fcntl.h>
#include <sqlite3.h>

#include "cunit_main.h"
#include "keeper_fake.h"

#include "core/keeper/statements.h"

static const char conf[] =
    "local_issuer on;\n"
    "control /tmp/nowhere.sock may=mint,approve;\n"
    "load_module postgres;\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev,leads; login user=app secret=env:KEEPER_TEST_SECRET;"
    " database shop; }\n";

#include "keeper_world.h"

#define THREE "CREATE TABLE a(x int);\nSELECT 1;\nDROP TABLE a;\n"

static const char *
api_token(const char *user, const char *group)
{
	return token_of(user, group, AUDIENCE_API);
}

static const char *
asked_by(const char *user, const char *text, const char *more)
{
	static char id[8][64], args[1024];
	static unsigned turn;
	char *out = id[turn++ % 8];
	json_t *quoted = json_string(text);
	char *json = json_dumps(quoted, JSON_ENCODE_ANY);
	(void)snprintf(args, sizeof(args), "{\"target\":\"orders\",\"text\":%s,\"reason\":\"INC-1\",\"by\":\"dba\"%s}", json, more);
	free(json);
	json_decref(quoted);
	json_t *j = call(api_token(user, "dev"), 0, CALL_ASK, args, 200);
	const char *is = json_string_value(json_object_get(j, "id"));
	(void)snprintf(out, sizeof(id[0]), "%s", is == NULL ? "" : is);
	json_decref(j);
	return out;
}

static const char *
approved(const char *text, const char *more)
{
	const char *request = asked_by("ann", text, more);
	expect_call(api_token("dora", "dba"), 0, CALL_APPROVE, with_id(request), 200);
	return request;
}

static bool
is_state(const char *request, const char *state)
{
	json_t *j = call(api_token("dora", "dba"), 0, CALL_REQUEST, with_id(request), 200);
	bool is = strcmp(json_string_value(json_object_get(j, "state")), state) == 0;
	if (!is)
		printf("%s is %s\n", request, json_string_value(json_object_get(j, "state")));
	json_decref(j);
	return is;
}

static void
session(unsigned n, const char *user, bool reports)
{
	const struct message *m = authenticate_at(&f.worker, n, token_of(user, "dev", AUDIENCE_DATA), user, "orders", "10.0.0.1:4711");
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT && m->f[9].q == reports);
}

static struct message
held_with(unsigned n, uint64_t op, const char *text, const char *search_path)
{
	static char view[1024];
	struct message m = hold_message(n, op, "dba", 1, 60000, true);
	json_t *j = json_pack("{s:s,s:[],s:{s:s,s:s,s:s}}", "text", text, "params", "facts", "role", "app", "search_path", search_path, "transaction",
	    "open");
	char *json = json_dumps(j, JSON_COMPACT);
	(void)snprintf(view, sizeof(view), "%s", json);
	free(json);
	json_decref(j);
	m.f[9] = (struct field)Z(view);
	return m;
}

/* True: it runs.  False: somebody has to decide on it. */
static bool
runs_as(struct message *m)
{
	const struct message *r = fake_ask(&f, &f.worker, m, 0);
	(void)r;
	const struct message *yes = fake_heard(&f.worker, MSG_DECISION), *no = fake_heard(&f.worker, MSG_HELD);
	bool covered = yes != NULL && yes->f[1].q == m->f[1].q && yes->f[3].q == 1 && sp_bytes_eq(yes->f[6].s, m->f[2].s);
	CU_ASSERT(covered || (no != NULL && no->f[1].q == m->f[1].q));
	return covered;
}

static bool
runs(unsigned n, uint64_t op, const char *text)
{
	struct message m = held_with(n, op, text, "\"$user\", public");
	return runs_as(&m);
}

static void
ran_and(unsigned n, uint64_t op, const char *text, uint64_t what)
{
	struct message m = { .type = MSG_RAN, .f = { S(id(n)), Q(op), Z(text), Q(what) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
}

static void
ran(unsigned n, uint64_t op, const char *text)
{
	ran_and(n, op, text, 0);
}

/* ---- the hash ---- */

static const char *
hash_of(const struct approval *a, const struct file_wish *w)
{
	static char text[4][2 * DIGEST_LEN + 1];
	static unsigned turn;
	uint8_t out[DIGEST_LEN];
	file_hash(a, w, out);
	text_hex((struct sp_bytes){ out, sizeof(out) }, text[++turn % 4]);
	return text[turn % 4];
}

/* P7: vectors made elsewhere, and each part changes it. */
static void
test_vectors(void)
{
	struct approval a = { .who = { .issuer = "https://idp", .subject = "ann" }, .target = "orders", .reason = "INC-1", .by = "dba", .span = 3600000,
		.count = 2 };
	struct file_wish w = { .text = "DROP TABLE t", .database = "shop", .login = "app", .search_path = "\"$user\", public" };
	memset(a.rule_hash, 7, sizeof(a.rule_hash));
	static const char one[] = "888506c275fd3d6cb504dc37c048279612a80ae60e4e0ff00325806a01fc5a6c";
	CU_ASSERT_STRING_EQUAL(hash_of(&a, &w), one);
	w.text = "-- what stands between them is shown, and is nothing that runs\nDROP TABLE t ;\n";
	CU_ASSERT_STRING_EQUAL(hash_of(&a, &w), one);
	w.text = "CREATE TABLE a(x int);\nINSERT INTO a VALUES ('é;')";
	CU_ASSERT_STRING_EQUAL(hash_of(&a, &w), "15864a55fb16475de3ab1209ab1b94708ef6a711eb27e7cb6eb8a859f6a834b5");
	w.text = "DROP TABLE t";
	const char **const part[] = { &a.who.issuer, &a.who.subject, &a.target, &w.database, &w.login, &w.search_path, &a.reason, &a.by, &w.text };
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++) {
		const char *was = *part[i];
		*part[i] = "other";
		CU_ASSERT_STRING_NOT_EQUAL(hash_of(&a, &w), one);
		*part[i] = was;
	}
	a.span++;
	CU_ASSERT_STRING_NOT_EQUAL(hash_of(&a, &w), one);
	a.span--;
	a.count++;
	CU_ASSERT_STRING_NOT_EQUAL(hash_of(&a, &w), one);
	a.count--;
	a.rule_hash[31] ^= 1;
	CU_ASSERT_STRING_NOT_EQUAL(hash_of(&a, &w), one);
}

/* ---- asking ---- */

static void
test_asking(void)
{
	static const struct { const char *args; unsigned status; } row[] = {
		{ "{\"target\":\"orders\",\"text\":\"SELECT 1\",\"reason\":\"x\",\"by\":\"dba\"}", 200 },
		{ "{\"target\":\"orders\",\"text\":\"SELECT 1\",\"reason\":\"x\"}", 400 }, /* whom do the rules ask? */
		{ "{\"target\":\"orders\",\"text\":\"SELECT 1\",\"by\":\"dba\"}", 400 },
		{ "{\"target\":\"orders\",\"text\":\"-- nothing\",\"reason\":\"x\",\"by\":\"dba\"}", 400 },
		{ "{\"target\":\"orders\",\"text\":\"\\\\i f\",\"reason\":\"x\",\"by\":\"dba\"}", 400 },
		{ "{\"target\":\"orders\",\"text\":\"SELECT (1\",\"reason\":\"x\",\"by\":\"dba\"}", 400 },
		{ "{\"target\":\"orders\",\"text\":\"SELECT 1\",\"reason\":\"x\",\"by\":\"dba\",\"count\":11}", 400 },
		{ "{\"target\":\"orders\",\"text\":\"SELECT 1\",\"reason\":\"x\",\"by\":\"dba\",\"for\":86400001}", 400 },
		{ "{\"target\":\"nowhere\",\"text\":\"SELECT 1\",\"reason\":\"x\",\"by\":\"dba\"}", 404 },
	};
	start();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		expect_call(api_token("ann", "dev"), 0, CALL_ASK, row[i].args, row[i].status);
	const char *request = asked_by("ann", THREE, "");
	json_t *j = call(api_token("dora", "dba"), 0, CALL_REQUEST, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "text")), THREE); /* AP1 */
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(j, "view"), "statements")), 3);
	json_decref(j);
	expect_call(api_token("ann", "dba"), 0, CALL_APPROVE, with_id(request), 403); /* AP5 */
	expect_call(api_token("joe", "dev"), 0, CALL_APPROVE, with_id(request), 404);
	stop();
}

/* ---- spending ---- */

static void
test_in_order_and_once(void)
{
	start();
	new_ids();
	session(0, "ann", false);
	const char *file = approved(THREE, "");
	CU_ASSERT(!runs(0, 1, "CREATE TABLE a(x int)")); /* it began before the decision */
	session(1, "ann", true);
	session(2, "ann", true);
	session(3, "bob", false);
	CU_ASSERT(!runs(1, 1, "DROP TABLE a"));
	CU_ASSERT(!runs(1, 2, "CREATE TABLE a(x  int)"));
	CU_ASSERT(!runs(3, 1, "CREATE TABLE a(x int)"));
	CU_ASSERT(runs(1, 3, "CREATE TABLE a(x int);"));
	CU_ASSERT(!runs(1, 4, "CREATE TABLE a(x int)"));
	CU_ASSERT(!runs(2, 1, "CREATE TABLE a(x int)")); /* the other one's (AP4) */
	CU_ASSERT(!runs(1, 5, "DROP TABLE a")); /* what stands between was not run */
	ran(1, 6, "SELECT 2");
	ran(2, 2, "SELECT 1");
	CU_ASSERT(!runs(1, 7, "DROP TABLE a"));
	ran(1, 8, "SELECT 1;");
	CU_ASSERT(is_state(file, "approved"));
	CU_ASSERT(runs(1, 9, "DROP TABLE a"));
	CU_ASSERT(runs(1, 9, "DROP TABLE a")); /* another rule holds it, too */
	ran(1, 9, "DROP TABLE a");
	CU_ASSERT(is_state(file, "used"));
	CU_ASSERT(!runs(1, 10, "DROP TABLE a"));
	stop();
}

/* An operation that is told twice (held, and then allowed) moves it on once. */
static void
test_same_twice(void)
{
	start();
	new_ids();
	const char *file = approved("INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1);\nSELECT 1;", "");
	session(0, "ann", true);
	CU_ASSERT(runs(0, 1, "INSERT INTO a VALUES (1)"));
	ran(0, 1, "INSERT INTO a VALUES (1)");
	CU_ASSERT(runs(0, 2, "INSERT INTO a VALUES (1)"));
	ran(0, 2, "INSERT INTO a VALUES (1)");
	CU_ASSERT(!runs(0, 3, "INSERT INTO a VALUES (1)"));
	CU_ASSERT(is_state(file, "approved"));
	ran(0, 4, "SELECT 1"); /* its last one is nothing that anybody approves */
	CU_ASSERT(is_state(file, "used"));
	stop();
}

/* P7: what rolls back, fails, or changes what names mean, and is not the file's own, ends a file that was begun. */
static void
test_strays(void)
{
	static const struct { const char *text; uint64_t op, what; bool ends; } row[] = {
		{ "SELECT 2", 3, 0, false }, { "", 3, RAN_RENAMES, true }, { "ROLLBACK", 3, RAN_RENAMES, true }, { "", 3, RAN_FAILED, true },
		{ "", 2, RAN_FAILED, true }, /* its own */
		{ "SELECT 1", 3, RAN_RENAMES | RAN_FAILED, true }, /* its next, which was refused */
	};
	start();
	new_ids();
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *file = approved("CREATE TABLE a(x int);\nDROP TABLE a;", "");
		session(i, "ann", true);
		ran_and(i, 1, "DROP TABLE other", RAN_RENAMES); /* it is not begun yet */
		CU_ASSERT(runs(i, 2, "CREATE TABLE a(x int)"));
		ran_and(i, 2, "CREATE TABLE a(x int)", RAN_RENAMES);
		ran_and(i, row[i].op, row[i].text, row[i].what);
		CU_ASSERT_EQUAL(runs(i, 4, "DROP TABLE a"), !row[i].ends);
		CU_ASSERT(is_state(file, row[i].ends ? "withdrawn" : "approved"));
		closed(i);
	}
	stop();
}

static bool
runs_meaning(unsigned n, uint64_t op, const char *text, const char *name, const char *value)
{
	static char view[2048];
	struct message m = held_with(n, op, text, "\"$user\", public");
	json_t *j = json_loadb((const char *)m.f[9].s.p, m.f[9].s.len, 0, NULL);
	(void)json_object_set_new(j, "means", json_pack("{s:[s]}", name, value));
	char *json = json_dumps(j, JSON_COMPACT);
	(void)snprintf(view, sizeof(view), "%s", json);
	free(json);
	json_decref(j);
	m.f[9] = (struct field)Z(view);
	return runs_as(&m);
}

/* A temporary table that the session made before is not what the approvers saw a name for. */
static void
test_temporary(void)
{
	start();
	new_ids();
	for (unsigned i = 0; i < 2; i++) {
		(void)approved("DELETE FROM a WHERE x = 1;", "");
		session(i, "ann", true);
		if (i == 1)
			ran_and(i, 1, "CREATE TEMP TABLE a(x int)", RAN_RENAMES);
		CU_ASSERT_EQUAL(runs_meaning(i, 2, "DELETE FROM a WHERE x = 1", "table", "pg_temp.a"), i == 0);
		CU_ASSERT_EQUAL(runs_meaning(i, 3, "DELETE FROM a WHERE x = 1", "table", "public.a"), i == 1);
		closed(i);
	}
	stop();
}

/* EXECUTE runs what the file's last PREPARE of that name says. */
static void
test_execute(void)
{
	static const struct { const char *file, *text; bool own; } row[] = {
		{ "PREPARE m AS DELETE FROM a;", "PREPARE m AS DELETE FROM a;", true },
		{ "PREPARE m AS DELETE FROM a;", "prepare m AS DELETE FROM a;", false },
		{ "DELETE FROM a;", "DELETE FROM a", false },
		{ "SELECT 1;", "", false },
		{ "PREPARE m AS DELETE FROM a; DEALLOCATE m; PREPARE m AS DELETE FROM b;", "PREPARE m AS DELETE FROM a", false },
		{ "PREPARE m AS DELETE FROM a; DEALLOCATE m; PREPARE m(int) AS DELETE FROM b;", "PREPARE m(int) AS DELETE FROM b", true },
		{ "PREPARE m AS DELETE FROM a; PREPARE n AS DELETE FROM b;", "PREPARE m AS DELETE FROM a", true },
		{ "PREPARE m AS DELETE FROM a; PREPARE n AS DELETE FROM b;", "PREPARE n AS DELETE FROM b", false },
		{ "PREPARE m AS DELETE FROM a; PREPARE \"m\" AS DELETE FROM b;", "PREPARE m AS DELETE FROM a", false },
		{ "SELECT 1; /* PREPARE m AS DELETE FROM a; */", "PREPARE m AS DELETE FROM a", false },
	};
	start();
	new_ids();
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), "%s EXECUTE m; PREPARE m AS DELETE FROM c;", row[i].file);
		const char *file = approved(text, "");
		session(i, "ann", true);
		struct statement s;
		uint64_t op = 1;
		for (size_t from = 0; statements_next(sp_str(row[i].file), from, &s); from = s.next) {
			char one[256];
			(void)snprintf(one, sizeof(one), "%.*s", (int)(s.end - s.start), row[i].file + s.start);
			ran(i, op++, one);
		}
		CU_ASSERT_EQUAL(runs_meaning(i, op, "EXECUTE m", "EXECUTE m", row[i].text), row[i].own);
		closed(i);
		if (!row[i].own)
			expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(file), 200);
	}
	stop();
}

static void
test_place_and_people(void)
{
	start();
	new_ids();
	(void)approved(THREE, "");
	session(0, "ann", true);
	struct message m = held_with(0, 1, "CREATE TABLE a(x int)", "public");
	CU_ASSERT(!runs_as(&m));
	m = held_with(0, 2, "CREATE TABLE a(x int)", "\"$user\", public");
	m.f[5] = (struct field)Z("leads"); /* the rule asks others */
	CU_ASSERT(!runs_as(&m));
	m = held_with(0, 3, "CREATE TABLE a(x int)", "\"$user\", public");
	m.f[6].q = 2; /* … or more of them */
	CU_ASSERT(!runs_as(&m));
	m = held_with(0, 4, "CREATE TABLE a(x int)", "\"$user\", public");
	m.f[10].q = 1; /* … or a comment, and dora gave none */
	CU_ASSERT(!runs_as(&m));
	CU_ASSERT(runs(0, 5, "CREATE TABLE a(x int)"));
	/* Two persons, with comments. */
	const char *two = asked_by("ann", "DROP TABLE b", ",\"count\":2");
	char args[128];
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"comment\":\"fine\"}", two);
	expect_call(api_token("dora", "dba"), 0, CALL_APPROVE, args, 200);
	CU_ASSERT(is_state(two, "waiting"));
	expect_call(api_token("dan", "dba"), 0, CALL_APPROVE, args, 200);
	session(1, "ann", true);
	m = held_with(1, 1, "DROP TABLE b", "\"$user\", public");
	m.f[6].q = 2;
	m.f[10].q = 1;
	CU_ASSERT(runs_as(&m));
	stop();
}

/* The end of a session is the end of the file that it began, and of no other. */
static void
test_ends(void)
{
	start();
	new_ids();
	const char *begun = approved(THREE, ""), *left = approved("DROP TABLE b", "");
	session(0, "ann", true);
	CU_ASSERT(runs(0, 1, "CREATE TABLE a(x int)"));
	closed(0);
	CU_ASSERT(is_state(begun, "withdrawn") && is_state(left, "approved"));
	expect_call(api_token("ann", "dev"), 0, CALL_END, with_id(left), 200); /* taken back */
	session(1, "ann", false);
	CU_ASSERT(!runs(1, 1, "DROP TABLE b"));
	const char *late = approved("DROP TABLE c", ",\"for\":1");
	(void)usleep(3000);
	session(2, "ann", false);
	CU_ASSERT(!runs(2, 1, "DROP TABLE c"));
	approval_tick(&f.k);
	CU_ASSERT(is_state(late, "expired"));
	/* Its window ends amid the session. */
	late = approved("DROP TABLE d; DROP TABLE e", ",\"for\":300");
	session(3, "ann", true);
	CU_ASSERT(runs(3, 1, "DROP TABLE d"));
	(void)usleep(310000);
	CU_ASSERT(!runs(3, 2, "DROP TABLE e"));
	/* Who asked was revoked, and signs in anew. */
	(void)approved("DROP TABLE f", "");
	caller(1, "root");
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"ann\"}", 200);
	stop();
}

static void
test_restart(void)
{
	start();
	new_ids();
	const char *file = approved(THREE, "");
	const struct message *yes = authenticate_at(&f.worker, 0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders", "10.0.0.1:4711");
	CU_ASSERT_PTR_NOT_NULL_FATAL(yes);
	char who[1024];
	(void)snprintf(who, sizeof(who), "%.*s", (int)yes->f[4].s.len, (const char *)yes->f[4].s.p);
	uint64_t expires = yes->f[7].q, began = yes->f[8].q;
	opened(0);
	CU_ASSERT(runs(0, 1, "CREATE TABLE a(x int)"));
	restart();
	struct message m = { .type = MSG_RESUME, .f = { S(id(0)), Z(who), Z("orders"), Z(""), Z("10.0.0.1:4711"), Q(began), Q(expires) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
	CU_ASSERT(!runs(0, 2, "DROP TABLE a"));
	ran(0, 3, "SELECT 1");
	CU_ASSERT(runs(0, 4, "DROP TABLE a"));
	ran(0, 4, "DROP TABLE a");
	CU_ASSERT(is_state(file, "used"));
	stop();
}

/* What was changed in the store approves nothing. */
static void
test_altered(void)
{
	static const char *const change[] = { "UPDATE approval SET view = replace(view, 'TABLE a', 'TABLE b')", "UPDATE approval SET spent = 24",
		"UPDATE approval SET target = 'orders', expires = expires + 1", "UPDATE vote SET person = 'max'" };
	for (size_t i = 0; i < sizeof(change) / sizeof(*change); i++) {
		char path[128];
		sqlite3 *db;
		const char *why = "";
		start();
		new_ids();
		(void)approved(THREE, "");
		fake_stop(&f);
		(void)snprintf(path, sizeof(path), "%s/state.db", f.folder);
		CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_exec(db, change[i], NULL, NULL, NULL), SQLITE_OK);
		CU_ASSERT(sqlite3_total_changes(db) > 0);
		CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
		CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
		fake_links(&f);
		CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
		CU_ASSERT(!runs(0, 1, "CREATE TABLE a(x int)") && !runs(0, 2, "CREATE TABLE b(x int)"));
		stop();
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "hash (P7)", test_vectors },
		{ "asking (AP1, AP5)", test_asking },
		{ "in order, and once (AP3, AP4)", test_in_order_and_once },
		{ "the same statement twice", test_same_twice },
		{ "strays (P7)", test_strays },
		{ "temporary tables (P7)", test_temporary },
		{ "execute (P7)", test_execute },
		{ "place and people", test_place_and_people },
		{ "ends", test_ends },
		{ "a keeper that starts again", test_restart },
		{ "altered rows", test_altered },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("file", tests);
}
