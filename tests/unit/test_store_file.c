/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a file: brought up from every version there was, with a copy of what it was; a newer one is refused; one writer. */
#include <config.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/keeper/store.h"
#include "core/keeper/store_engine.h"
#include "cunit_main.h"

static char folder[] = "/tmp/store-XXXXXX";
static char path[64];
static const uint8_t id[ID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static unsigned syncs;

/* In place of the C library's, for SQLite as well. */
__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int
fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static void
remove_all(void)
{
	char name[96];
	static const char *const tails[] = { "", "-wal", "-journal", "-shm" };
	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, tails[i]);
		(void)unlink(name);
	}
	for (unsigned v = 0; v <= store_schema_version + 1; v++) {
		(void)snprintf(name, sizeof(name), "%s.v%u", path, v);
		(void)unlink(name);
	}
}

static int
take_number(void *owner, int n, char **value, char **name)
{
	(void)n, (void)name;
	*(int *)owner = value[0] == NULL ? -1 : atoi(value[0]);
	return 0;
}

static int
take_text(void *owner, int n, char **value, char **name)
{
	(void)n, (void)name;
	(void)snprintf(owner, 16, "%s", value[0]);
	return 0;
}

static int
number_in(const char *file, const char *sql)
{
	sqlite3 *db = NULL;
	int n = -1;
	CU_ASSERT_EQUAL(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, sql, take_number, &n, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
	return n;
}

/* A store as that version left it, with one session. */
static void
make_old(unsigned version)
{
	sqlite3 *db = NULL;
	char sql[64];
	remove_all();
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	for (unsigned v = 0; v < version; v++)
		CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, store_schema[v], NULL, NULL, NULL), SQLITE_OK);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", version);
	CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, "INSERT INTO session(id, principal, issuer, subject, user, target, part, address, protocol, started)"
	    " VALUES(x'0102030405060708090a0b0c0d0e0f10', '{}', 'i', 's', 'ann', 'orders', 'p', 'a', 'postgres', 7)", NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

static int
take_session(void *owner, const struct field *row)
{
	*(bool *)owner = sp_bytes_is(row[2].s, "ann") && sp_bytes_is(row[3].s, "orders") && row[7].q == 7;
	return SP_OK;
}

static bool
has_session(struct store *s)
{
	const struct field args[] = { S(((struct sp_bytes){ id, ID_LEN })) };
	bool there = false;
	CU_ASSERT_EQUAL(store_read(s, STORE_SESSION_GET, args, take_session, &there), SP_OK);
	return there;
}

static void
test_from_every_version(void)
{
	CU_ASSERT(store_schema_version > 5);
	for (unsigned v = 1; v < store_schema_version; v++) {
		struct store *s = NULL;
		struct stat st;
		const char *err = NULL;
		char copy[96];
		make_old(v);
		(void)snprintf(copy, sizeof(copy), "%s.v%u", path, v);
		for (unsigned again = 0; again < 2; again++) { /* the second time nothing is old */
			CU_ASSERT_EQUAL_FATAL(store_open(path, NULL, &s, &err), SP_OK);
			CU_ASSERT(has_session(s));
			store_close(&s);
		}
		CU_ASSERT_EQUAL(number_in(path, "PRAGMA user_version"), (int)store_schema_version);
		CU_ASSERT(stat(copy, &st) == 0 && (st.st_mode & 0777) == 0600);
		CU_ASSERT_EQUAL(number_in(copy, "PRAGMA user_version"), (int)v);
		CU_ASSERT_EQUAL(number_in(copy, "SELECT count(*) FROM session WHERE user = 'ann'"), 1);
	}
	remove_all();
}

static void
test_newer(void)
{
	sqlite3 *db = NULL;
	struct store *s = NULL;
	const char *err = NULL;
	char sql[64];
	make_old(store_schema_version);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", store_schema_version + 1);
	CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
	CU_ASSERT_NOT_EQUAL(store_open(path, NULL, &s, &err), SP_OK);
	CU_ASSERT_PTR_NULL(s);
	CU_ASSERT_STRING_EQUAL(err, "the store was written by a newer Sallyport");
	CU_ASSERT_EQUAL(number_in(path, "PRAGMA user_version"), (int)store_schema_version + 1);
	CU_ASSERT_EQUAL(number_in(path, "SELECT count(*) FROM session"), 1);
	remove_all();
}

/* WAL, so that reading waits for nobody; and nobody else while a keeper has it. */
static void
test_one_writer(void)
{
	struct store *s = NULL, *other = NULL;
	const char *err = NULL;
	char mode[16] = "";
	sqlite3 *db = NULL;
	make_old(store_schema_version);
	CU_ASSERT_EQUAL_FATAL(store_open(path, NULL, &s, &err), SP_OK);
	CU_ASSERT_NOT_EQUAL(store_open(path, NULL, &other, &err), SP_OK);
	CU_ASSERT_PTR_NULL(other);
	CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "UPDATE session SET user = 'eve'", NULL, NULL, NULL), SQLITE_BUSY);
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
	CU_ASSERT(has_session(s));
	store_close(&s);
	CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA journal_mode", take_text, mode, NULL), SQLITE_OK);
	CU_ASSERT_STRING_EQUAL(mode, "wal");
	CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
	remove_all();
}

/* What was committed is on the disk, be it a decision or a session's row; and nothing goes there before. */
static void
test_on_disk(void)
{
	struct store *s = NULL;
	const char *err = NULL;
	struct field args[] = { Q(2), Z(""), Z("ann"), Q(7) };
	remove_all();
	CU_ASSERT_EQUAL_FATAL(store_open(path, NULL, &s, &err), SP_OK);
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = syncs;
		args[3].q++;
		CU_ASSERT_EQUAL(store_write(s, STORE_REVOKE, args), 1);
		CU_ASSERT_EQUAL(syncs, before);
		CU_ASSERT_EQUAL(store_commit(s), SP_OK);
		CU_ASSERT(syncs > before);
	}
	store_close(&s);
	remove_all();
}

static void
test_no_database(void)
{
	struct store *s = NULL;
	const char *err = NULL;
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (unsigned i = 0; i < 500; i++)
		(void)fputs("this is no database\n", f);
	(void)fclose(f);
	CU_ASSERT_NOT_EQUAL(store_open(path, NULL, &s, &err), SP_OK);
	CU_ASSERT(s == NULL && err != NULL);
	remove_all();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "brought up from every version", test_from_every_version },
		{ "a newer one is refused", test_newer },
		{ "one writer", test_one_writer },
		{ "a commit is on the disk", test_on_disk },
		{ "no database", test_no_database },
		CU_TEST_INFO_NULL,
	};
	int null = open("/dev/null", O_WRONLY);
	log_init("test", null, SP_ERROR);
	if (mkdtemp(folder) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/state.db", folder);
	int rc = cunit_main("store file", tests);
	(void)rmdir(folder);
	return rc;
}
