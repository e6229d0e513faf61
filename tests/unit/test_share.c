/* SPDX-License-Identifier: Apache-2.0 */
/* Facts beside sessions, by the keeper's messages: whose they are, how long, and rows that somebody else wrote; sessions that belong together. */
#include <config.h>

#include <fcntl.h>
#include <sqlite3.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "core/keeper/share.h"

static const char conf[] =
    "local_issuer on;\n"
    "control /tmp/nowhere.sock may=mint;\n"
    "load_module postgres;\n"
    "target one { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app secret=env:KEEPER_TEST_SECRET; }\n"
    "target two { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app secret=env:KEEPER_TEST_SECRET; }\n";

#include "keeper_world.h"

enum { ANN, ANN_AGAIN, BOB, ANN_TWO, SESSIONS };

static void
come(void)
{
	static const struct {
		const char *user, *target;
	} who[SESSIONS] = { { "ann", "one" }, { "ann", "one" }, { "bob", "one" }, { "ann", "two" } };
	new_ids();
	for (unsigned n = 0; n < SESSIONS; n++) {
		CU_ASSERT_FATAL(admitted(n, token_of(who[n].user, "dev", AUDIENCE_DATA), who[n].user, who[n].target));
		opened(n);
	}
}

static bool
put(unsigned n, enum sp_share scope, const char *key, const char *value, uint64_t ttl)
{
	struct message m = { .type = MSG_SHARE_PUT, .f = { S(id(n)), Q(scope), Z(key), Z(value), Q(ttl) } };
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_SHARED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->id, m.id);
	return r->f[1].q == 1;
}

/* Its value; "": it is not there; NULL: the keeper does not say. */
static const char *
get(unsigned n, enum sp_share scope, const char *key)
{
	static char value[SP_SHARE_VALUE + 1];
	struct message m = { .type = MSG_SHARE_GET, .f = { S(id(n)), Q(scope), Z(key) } };
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_SHARED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	(void)snprintf(value, sizeof(value), "%.*s", (int)r->f[3].s.len, r->f[3].s.p == NULL ? "" : (const char *)r->f[3].s.p);
	CU_ASSERT_EQUAL(r->f[2].q == 1, r->f[4].q > 0);
	return r->f[1].q == 0 ? NULL : r->f[2].q == 1 ? value : "";
}

static void
test_whose(void)
{
	start();
	come();
	CU_ASSERT(put(ANN, SP_SHARE_PRINCIPAL, "k", "ann's", 60000));
	CU_ASSERT_STRING_EQUAL(get(ANN_AGAIN, SP_SHARE_PRINCIPAL, "k"), "ann's");
	CU_ASSERT_STRING_EQUAL(get(BOB, SP_SHARE_PRINCIPAL, "k"), "");
	CU_ASSERT_STRING_EQUAL(get(ANN_TWO, SP_SHARE_PRINCIPAL, "k"), "");
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_TARGET, "k"), "");
	CU_ASSERT(put(BOB, SP_SHARE_PRINCIPAL, "k", "bob's", 60000)); /* another fact */
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "k"), "ann's");
	CU_ASSERT(put(ANN_AGAIN, SP_SHARE_PRINCIPAL, "k", "", 60000));
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "k"), "");
	CU_ASSERT(put(ANN, SP_SHARE_TARGET, "k", "all's", 60000));
	CU_ASSERT_STRING_EQUAL(get(BOB, SP_SHARE_TARGET, "k"), "all's");
	CU_ASSERT_STRING_EQUAL(get(ANN_TWO, SP_SHARE_TARGET, "k"), "");
	stop();
}

static void
test_bounds(void)
{
	static char key[SP_SHARE_KEY + 2], value[SP_SHARE_VALUE + 2];
	start();
	come();
	memset(key, 'k', SP_SHARE_KEY + 1);
	memset(value, 'v', SP_SHARE_VALUE + 1);
	CU_ASSERT(!put(ANN, SP_SHARE_PRINCIPAL, key, "v", 1000));
	CU_ASSERT(!put(ANN, SP_SHARE_PRINCIPAL, "", "v", 1000));
	CU_ASSERT(!put(ANN, SP_SHARE_PRINCIPAL, "k", value, 1000));
	CU_ASSERT(!put(ANN, SP_SHARE_PRINCIPAL, "k", "v", 0));
	CU_ASSERT(!put(ANN, SP_SHARE_PRINCIPAL, "k", "v", SP_SHARE_TTL + 1));
	CU_ASSERT(!put(ANN, (enum sp_share)2, "k", "v", 1000));
	CU_ASSERT_PTR_NULL(get(ANN, (enum sp_share)2, "k"));
	CU_ASSERT_PTR_NULL(get(ANN, SP_SHARE_PRINCIPAL, key));
	key[SP_SHARE_KEY] = value[SP_SHARE_VALUE] = '\0';
	CU_ASSERT(put(ANN, SP_SHARE_PRINCIPAL, key, value, SP_SHARE_TTL));
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, key), value);
	/* nobody's session, and one that has ended: nobody is there to be told */
	struct message m = { .type = MSG_SHARE_GET, .f = { S(id(40)), Q(0), Z("k") } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.worker, &m, MSG_SHARED));
	closed(BOB);
	m = (struct message){ .type = MSG_SHARE_PUT, .f = { S(id(BOB)), Q(0), Z("k"), Z("v"), Q(1000) } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.worker, &m, MSG_SHARED));
	stop();
}

/* The one that would end first makes room, and nobody else's. */
static void
test_room(void)
{
	char key[16];
	start();
	come();
	CU_ASSERT(put(BOB, SP_SHARE_PRINCIPAL, "bob", "b", 1000000));
	for (unsigned i = 0; i < SHARES_MAX + 10; i++) {
		(void)snprintf(key, sizeof(key), "%u", i);
		CU_ASSERT(put(ANN, SP_SHARE_PRINCIPAL, key, "v", 2000000 + i * 1000));
	}
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "0"), "");
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "9"), "");
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "10"), "v");
	CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, key), "v");
	CU_ASSERT_STRING_EQUAL(get(BOB, SP_SHARE_PRINCIPAL, "bob"), "b");
	stop();
}

static void
with_sql(const char *sql)
{
	char path[128];
	sqlite3 *db;
	(void)snprintf(path, sizeof(path), "%s/state.db", f.folder);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT(sqlite3_total_changes(db) > 0);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

/* It outlives keepers; one whose time is over, or that somebody else wrote, is not there. */
static void
test_kept(void)
{
	static const char *const changes[] = { "UPDATE share SET until = until + 1", "UPDATE share SET value = x'6f74686572'", "UPDATE share SET mac = x''",
		/* a fact of bob's in place of ann's */
		"CREATE TEMP TABLE was AS SELECT id FROM share WHERE value = CAST('a' AS BLOB); DELETE FROM share WHERE value = CAST('a' AS BLOB);"
		"UPDATE share SET id = (SELECT id FROM was) WHERE value = CAST('b' AS BLOB)" };
	const char *why = "";
	for (size_t i = 0; i <= sizeof(changes) / sizeof(*changes); i++) {
		start();
		come();
		CU_ASSERT(put(ANN, SP_SHARE_PRINCIPAL, "k", "a", 60000));
		CU_ASSERT(put(BOB, SP_SHARE_PRINCIPAL, "k", "b", 60000));
		CU_ASSERT(put(ANN, SP_SHARE_PRINCIPAL, "short", "v", 1));
		usleep(3000);
		CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "short"), "");
		fake_stop(&f);
		if (i > 0)
			with_sql(changes[i - 1]);
		CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
		fake_links(&f);
		come();
		CU_ASSERT_STRING_EQUAL(get(ANN, SP_SHARE_PRINCIPAL, "k"), i == 0 ? "a" : "");
		share_forget(&f.k);
		CU_ASSERT_STRING_EQUAL(get(ANN_AGAIN, SP_SHARE_PRINCIPAL, "k"), i == 0 ? "a" : "");
		stop();
	}
}

static void
group(unsigned n, const char *name)
{
	struct message m = { .type = MSG_GROUP, .f = { S(id(n)), Z(name) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
}

static size_t
listed(const char *user, const char *args, const char *groups)
{
	char path[128];
	json_t *j = call(token_of(user, "dev", AUDIENCE_API), 1, CALL_SESSIONS, args, 200), *list = json_object_get(j, "sessions"), *row;
	size_t i, n = json_array_size(list);
	json_array_foreach(list, i, row)
	{
		const char *said = json_string_value(json_object_get(row, "group"));
		CU_ASSERT_PTR_NOT_NULL(said);
		(void)snprintf(path, sizeof(path), "{\"id\":\"%s\"}", json_string_value(json_object_get(row, "id")));
		json_t *one = call(token_of(user, "dev", AUDIENCE_API), 1, CALL_SESSION, path, 200);
		char *text = json_dumps(json_object_get(one, "groups"), JSON_COMPACT);
		if (groups != NULL)
			CU_ASSERT_STRING_EQUAL(text, groups);
		free(text);
		json_decref(one);
	}
	json_decref(j);
	return n;
}

static void
test_groups(void)
{
	start();
	come();
	group(ANN, "exec-1");
	group(ANN, "exec-1");
	group(ANN_AGAIN, "exec-1");
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"exec-1\"}", "[\"exec-1\"]"), 2);
	group(ANN, "exec-0");
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"exec-0\"}", "[\"exec-0\",\"exec-1\"]"), 1);
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"exec-1\"}", NULL), 2);
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"exec\"}", NULL), 0);
	CU_ASSERT_EQUAL(listed("bob", "{\"group\":\"exec-1\"}", NULL), 0); /* not his to see */
	for (unsigned i = 0; i < SHARE_GROUPS_MAX + 10; i++) /* the same ones, by turns */
		group(BOB, i % 2 == 0 ? "even" : "odd");
	group(BOB, "later");
	CU_ASSERT_EQUAL(listed("bob", "{\"group\":\"later\"}", "[\"even\",\"later\",\"odd\"]"), 1);
	for (unsigned i = 0; i < SHARE_GROUPS_MAX + 10; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "many-%u", i);
		group(ANN_TWO, name);
	}
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"many-999\"}", NULL), 1);
	CU_ASSERT_EQUAL(listed("ann", "{\"group\":\"many-1009\"}", NULL), 0);
	group(BOB, "two words"); /* no module of ours says that: its worker's link ends */
	CU_ASSERT_EQUAL(listed("bob", "{\"group\":\"two words\"}", NULL), 0);
	stop();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "whose it is (ID7)", test_whose },
		{ "bounds", test_bounds },
		{ "room", test_room },
		{ "kept, and altered rows", test_kept },
		{ "what belongs together", test_groups },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("share", tests);
}
