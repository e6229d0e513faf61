/* SPDX-License-Identifier: Apache-2.0 */
/* A file of SQL is cut where psql cuts it, and only its own bytes match it. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "cunit_main.h"

#include "core/keeper/statements.h"

/* The statements, each in ‹›. */
static const char *
cut(const char *text)
{
	static char out[1024];
	struct statement s;
	size_t n = 0;
	out[0] = '\0';
	for (size_t from = 0; statements_next(sp_str(text), from, &s); from = s.next)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "<%.*s>", (int)(s.end - s.start), text + s.start);
	return out;
}

static void
test_cuts(void)
{
	static const struct { const char *text, *cut; } row[] = {
		{ "", "" }, { " ;; \n;", "" }, { "-- nothing\n/* at all */", "" },
		{ "SELECT 1", "<SELECT 1>" }, { "SELECT 1;", "<SELECT 1>" }, { "\n SELECT 1 ; SELECT 2\n;\n", "<SELECT 1><SELECT 2>" },
		{ "-- one; two\nSELECT 1; /* a;b /* c; */ ; */ SELECT 2;", "<SELECT 1><SELECT 2>" },
		{ "SELECT 1 -- a;b\n, 2; SELECT 3", "<SELECT 1 -- a;b\n, 2><SELECT 3>" },
		{ "SELECT ';', 'a''; b'; SELECT 2", "<SELECT ';', 'a''; b'><SELECT 2>" },
		{ "SELECT 'a\\'; SELECT 2", "<SELECT 'a\\'><SELECT 2>" }, /* standard_conforming_strings */
		{ "SELECT E'a\\';b'; SELECT 2", "<SELECT E'a\\';b'><SELECT 2>" },
		{ "SELECT fe'a\\'; SELECT 2", "<SELECT fe'a\\'><SELECT 2>" },
		{ "SELECT \"a;\"\"b\"; SELECT 2", "<SELECT \"a;\"\"b\"><SELECT 2>" },
		{ "SELECT $$a;b$$; SELECT $x$ ; $$ ; $x$; SELECT 3", "<SELECT $$a;b$$><SELECT $x$ ; $$ ; $x$><SELECT 3>" },
		{ "SELECT $1; SELECT a$b$; SELECT c$b$", "<SELECT $1><SELECT a$b$><SELECT c$b$>" },
		{ "CREATE RULE r AS ON UPDATE TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
		    "<CREATE RULE r AS ON UPDATE TO t DO (DELETE FROM a; DELETE FROM b)><SELECT 1>" },
		{ "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
		    "<CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END><SELECT 2>" },
		{ "BEGIN; CREATE TABLE t(); END; SELECT 1", "<BEGIN><CREATE TABLE t()><END><SELECT 1>" },
		{ "SELECT 1)); SELECT 2", "<SELECT 1))><SELECT 2>" },
		{ "-- a\rSELECT 1; SELECT 2 -- b;\r; SELECT 3", "<SELECT 1><SELECT 2><SELECT 3>" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		if (strcmp(cut(row[i].text), row[i].cut) != 0)
			printf("%s\n  %s\n  %s\n", row[i].text, cut(row[i].text), row[i].cut);
		CU_ASSERT_STRING_EQUAL(cut(row[i].text), row[i].cut);
	}
}

static void
test_odd(void)
{
	static const char *const odd[] = { "\\i other.sql", "SELECT 1 \\g", "COPY t FROM stdin;\n1\n\\.\n", "SELECT 'a", "SELECT \"a", "SELECT $$a", "/* a",
		"SELECT E'a\\'", "SELECT E'a'\n'b\\'; DROP TABLE t; --'", "SELECT E'a' -- x\n 'b'", "SELECT 1)", "SELECT (1; SELECT 2" };
	static const char *const fine[] = { "", "SELECT 1; SELECT '\\';", "SELECT $$ \\ $$;", "-- \\i x\nSELECT 1" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		CU_ASSERT(statements_odd(sp_str(odd[i])));
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
		CU_ASSERT(!statements_odd(sp_str(fine[i])));
}

static void
test_match(void)
{
	static const char file[] = "-- two\nCREATE TABLE a(x int);\nDROP TABLE b ;\nSELECT 1; DROP TABLE c;";
	static const struct { const char *sent; bool fits; } row[] = {
		{ "CREATE TABLE a(x int);", true }, { "CREATE TABLE a(x int)", true }, { "  -- psql\n CREATE TABLE a(x int) ; ", true },
		{ "DROP TABLE b", false }, { "DROP TABLE c", false }, { "CREATE TABLE a(x int);\nDROP TABLE b", true },
		{ "CREATE TABLE a(x int) -- a", true }, { "CREATE TABLE a(x int) /* a;", false }, { "-- \r DROP TABLE b;\nCREATE TABLE a(x int)", false }, { "DROP TABLE b;CREATE TABLE a(x int)", false },
		{ file, true }, { "", false }, { ";", false }, { "DROP TABLE", false }, { "DROP TABLE d", false }, { "drop table b", false },
		{ "CREATE TABLE a(x int);DROP TABLE b", false }, { "DROP TABLE b; DROP TABLE c", false }, { "TABLE b", false },
		{ "DROP TABLE b CASCADE", false }, { "CREATE TABLE a(x int", false }, { "SELECT 1; DROP TABLE c; SELECT 2", false },
	};
	size_t next, then;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		if (statements_match(sp_str(file), 0, sp_str(row[i].sent), &next) != row[i].fits)
			printf("%s\n", row[i].sent);
		CU_ASSERT_EQUAL(statements_match(sp_str(file), 0, sp_str(row[i].sent), &next), row[i].fits);
	}
	/* In order: nothing is left out, and what is past does not come again. */
	CU_ASSERT(statements_match(sp_str(file), 0, SP_LIT("CREATE TABLE a(x int);"), &next));
	CU_ASSERT(!statements_match(sp_str(file), next, SP_LIT("SELECT 1"), &then));
	CU_ASSERT(statements_match(sp_str(file), next, SP_LIT("DROP TABLE b"), &next));
	CU_ASSERT(!statements_match(sp_str(file), next, SP_LIT("CREATE TABLE a(x int)"), &then));
	CU_ASSERT(!statements_match(sp_str(file), next, SP_LIT("DROP TABLE b"), &then));
	CU_ASSERT(statements_match(sp_str(file), next, SP_LIT("SELECT 1; DROP TABLE c"), &then));
	struct statement s;
	CU_ASSERT(!statements_next(sp_str(file), then, &s));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "cuts", test_cuts },
		{ "what can't be cut", test_odd },
		{ "only its own bytes, in order", test_match },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("statements", tests);
}
