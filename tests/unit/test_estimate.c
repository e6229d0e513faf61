/* SPDX-License-Identifier: Apache-2.0 */
/* Which held statements a planner may be asked about, and what is read of its plan (P12); what the target says to the rest: tests/live. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "cunit_main.h"
#include "modules/postgres/estimate.h"
#include "pg_world.h"

static struct pg_names *world;
static struct pg_view view;
static struct pg_estimate e;

static const struct {
	const char *text, *why; /* "": it is asked */
} statements[] = {
	{ "SELECT * FROM orders", "" },
	{ "SELECT lower(name), count(*) FROM customers c JOIN orders o ON o.customer = c.id WHERE born BETWEEN '1800-01-01' AND now() GROUP BY 1", "" },
	{ "UPDATE public.orders SET price = price * 2 WHERE id IN (1, 2) AND item LIKE 'a%';", "" },
	{ "DELETE FROM orders USING customers WHERE customer = customers.id AND email IS NULL RETURNING *", "" },
	{ "INSERT INTO orders VALUES (1, 2, 'x', 1.5, DEFAULT) ON CONFLICT (id) DO UPDATE SET item = excluded.item", "" },
	{ "WITH x AS (SELECT id FROM orders) SELECT * FROM x WHERE id > ANY (ARRAY[1, 2])", "" },
	{ "SELECT CASE WHEN id = 1 THEN 'a' ELSE coalesce(item, 'b') END::text FROM orders WHERE price::int > 3 FOR UPDATE", "" },
	{ "SELECT 1; SELECT 2", "it is not one SELECT, INSERT, UPDATE or DELETE" },
	{ "", "it is not one SELECT, INSERT, UPDATE or DELETE" },
	{ "EXPLAIN ANALYZE SELECT 1", "it is not one SELECT, INSERT, UPDATE or DELETE" },
	{ "CREATE TABLE x AS SELECT 1", "it is not one SELECT, INSERT, UPDATE or DELETE" },
	{ "TRUNCATE orders", "it is not one SELECT, INSERT, UPDATE or DELETE" },
	{ "SELECT FROM WHERE", "it can't be read" },
	{ "SELECT 1 INTO x", "it has a part that is not looked into: IntoClause" },
	{ "SELECT * FROM orders WHERE id = $1", "it has parameters without values" },
	{ "SELECT * FROM orders WHERE id = app.f(1)", "it calls app.f" },
	{ "SELECT * FROM orders WHERE id = somebody(1)", "it calls what is not built in: somebody" },
	{ "SELECT nextval('s')", "it calls a function that does more than compute: nextval" },
	{ "SELECT pg_sleep(10)", "it calls a function that does more than compute: pg_sleep" },
	{ "SELECT pg_catalog.table_to_xml('v', true, true, '')", "it calls a function that does more than compute: table_to_xml" },
	{ "SELECT query_to_xml('select 1', true, true, '')", "it calls a function that does more than compute: query_to_xml" },
	{ "SELECT repeat('x', 100000000)", "it calls a function that can make much of little: repeat" },
	{ "SELECT * FROM orders WHERE item = pg_catalog.lpad('x', 100000000)", "it calls a function that can make much of little: lpad" },
	{ "SELECT 9 ^ 99999.0", "it uses an operator that can make much of little: ^" },
	{ "SELECT 9 OPERATOR(pg_catalog.^) 99999.0", "it uses an operator that can make much of little: ^" },
	{ "SELECT 1e131071 * 1e2", "it holds a number that is too long: 1e131071" },
	{ "SELECT '1E+131071'::numeric", "it holds a number that is too long: 1E+131071" },
	{ "SELECT 'see 1e131071', 1e300 FROM orders", "" },
	{ "SELECT 'x'::char(10000000)", "it names a length that is too large: bpchar" },
	{ "SELECT B'1'::bit(80000000)", "it names a length that is too large: bit" },
	{ "SELECT item::varchar(20), price::numeric(10, 2) FROM orders", "" },
	{ "SELECT '1'::app.positive", "it names the type app.positive" },
	{ "SELECT CAST(id AS app.positive) FROM orders", "it names the type app.positive" },
	{ "SELECT '1' OPERATOR(app.+) '2'", "it uses the operator app.+" },
	{ "SELECT item @@@@ 'x' FROM orders", "it uses an operator that is not built in: @@@@" },
	{ "SELECT * FROM orders ORDER BY id USING operator(app.<)", "it has a part that is not looked into: SortBy" },
	{ "INSERT INTO orders VALUES (1) ON CONFLICT (id app.ops) DO NOTHING", "it has a part that is not looked into: IndexElem" },
	{ "SELECT * FROM orders TABLESAMPLE app.some(1)", "it has a part that is not looked into: RangeTableSample" },
	{ "SELECT * FROM json_to_record('{}') AS x(a app.positive)", "it has a part that is not looked into: ColumnDef" },
	{ "SELECT xmlparse(content 'x')", "it has a part that is not looked into: XmlExpr" },
	{ "WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d", "it writes inside of WITH" },
	{ "WITH d AS (DELETE FROM orders RETURNING id) INSERT INTO notes SELECT id FROM d", "it writes inside of WITH" },
	{ "SELECT * FROM t7", "it names a table that is not known, or temporary: t7" },
	{ "SELECT * FROM nowhere.orders", "it names a table that is not known, or temporary: orders" },
	{ "SELECT * FROM other.public.orders", "it names another database: other" },
	{ "DELETE FROM orders WHERE CURRENT OF c", "it has a part that is not looked into: CurrentOfExpr" },
	{ "SELECT \"b\xc3\xa4h\n\x1b[1m\"(1)", "it calls what is not built in: b??h??[1m" },
};

static void
test_statements(void)
{
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++) {
		pg_estimate_choose(&view, sp_str(statements[i].text), false, &e);
		if (strcmp(e.why, statements[i].why) != 0)
			(void)fprintf(stderr, "%s: \"%s\"\n", statements[i].text, e.why);
		CU_ASSERT_STRING_EQUAL(e.why, statements[i].why);
	}
}

static bool
asks(struct sp_bytes sql, const char *text)
{
	char copy[PG_ESTIMATE_SQL + 1];
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)sql.len, (const char *)sql.p);
	return strstr(copy, text) != NULL;
}

/* Names go into the question as literals, whatever is in them; those that search_path may lead elsewhere all do. */
static void
test_question(void)
{
	pg_estimate_choose(&view, sp_str("SELECT lower(o.item), pg_catalog.upper('x') FROM orders o WHERE o.\"it's\" = 1 AND 'a' < 'b' AND price::numeric + 1 > 2"), false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "");
	CU_ASSERT(asks(e.check, "p.proname = ANY (ARRAY['lower','item','it''s']::name[])") || asks(e.check, "p.proname = ANY (ARRAY['item','lower','it''s']::name[])"));
	CU_ASSERT(asks(e.check, "t.typname = ANY (ARRAY['lower']::name[])"));
	CU_ASSERT(asks(e.check, "(o.oprname = ANY (ARRAY['<']::name[]) OR")); /* between literals: of any types */
	CU_ASSERT(asks(e.check, "o.oprname = ANY (ARRAY['=','>','+']::name[])"));
	CU_ASSERT(asks(e.check, "unnest(ARRAY[101]::oid[])") && e.ntables == 1 && e.oid[0] == 101);
	CU_ASSERT(asks(e.set_path, "SET LOCAL search_path = \"pg_catalog\", \"public\"") && !asks(e.set_path, ";"));
	CU_ASSERT(asks(e.check, "s.nspname = ANY (ARRAY['pg_catalog','public']::name[])"));
	CU_ASSERT(asks(e.path, "SET LOCAL search_path = \"pg_catalog\", \"public\"; SELECT pg_catalog.to_regclass('\"orders\"')::pg_catalog.oid"));
}

/* A table behind a WITH of the same name is looked at, too: where the name counts is not followed. */
static void
test_with(void)
{
	pg_estimate_choose(&view, sp_str("WITH orders AS (SELECT 1), x AS (SELECT 2) SELECT * FROM orders, x, v"), false, &e);
	CU_ASSERT(e.why[0] == '\0' && e.ntables == 2 && e.oid[0] == 101 && e.oid[1] == 103);
}

static void
test_parameters(void)
{
	pg_estimate_choose(&view, sp_str("SELECT * FROM orders WHERE id = $1 AND $2 < $3"), true, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "");
	CU_ASSERT(asks(e.check, "(o.oprname = ANY (ARRAY['<']::name[]) OR") && asks(e.check, "o.oprname = ANY (ARRAY['=']::name[])"));
	pg_estimate_choose(&view, sp_str("SELECT $1::app.positive"), true, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "it names the type app.positive");
}

static void
test_unknown_names(void)
{
	struct pg_view other = view;
	other.path_unknown = true;
	pg_estimate_choose(&other, SP_LIT("SELECT 1"), false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "what its names mean is not known");
	pg_estimate_choose(NULL, SP_LIT("SELECT 1"), false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "what its names mean is not known");
}

static void
test_limits(void)
{
	char text[PG_ESTIMATE_TEXT + 2], nested[400] = "SELECT ";
	memset(text, ' ', sizeof(text));
	memcpy(text, "SELECT 1", 8);
	pg_estimate_choose(&view, (struct sp_bytes){ (const uint8_t *)text, sizeof(text) }, false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "it is too long, or nested too deep");
	for (unsigned i = 0; i < 150; i++)
		(void)strncat(nested, "(", sizeof(nested) - strlen(nested) - 1);
	pg_estimate_choose(&view, sp_str(nested), false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "it is too long, or nested too deep");
	(void)snprintf(text, sizeof(text), "SELECT 1 WHERE 1 IN (");
	for (unsigned i = 0; i < 120; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "'x'::t%u,", i);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "1)");
	pg_estimate_choose(&view, sp_str(text), false, &e);
	CU_ASSERT_STRING_EQUAL(e.why, "it has too many names");
}

/* What the target answers is its own, and cut to what can be shown. */
static void
test_found(void)
{
	char full[256];
	e.why[0] = '\0';
	CU_ASSERT(pg_estimate_found(&e, SP_LIT("1"), SP_LIT("tr\xe2\x80\xae\x1b[0m")) == SP_OK);
	CU_ASSERT_STRING_EQUAL(e.why, "it calls what is not built in: tr????[0m");
	e.why[0] = '\0';
	memset(full, 'x', sizeof(full));
	CU_ASSERT(pg_estimate_found(&e, SP_LIT("9"), (struct sp_bytes){ (const uint8_t *)full, sizeof(full) }) == SP_OK && strlen(e.why) < sizeof(e.why));
	CU_ASSERT(pg_estimate_found(&e, SP_LIT("0"), SP_LIT("x")) == SP_EPROTO && pg_estimate_found(&e, SP_LIT("11"), SP_LIT("x")) == SP_EPROTO);
	CU_ASSERT(pg_estimate_found(&e, SP_LIT("x"), SP_LIT("x")) == SP_EPROTO);
}

static const struct {
	const char *json;
	int rc;
	uint64_t rows;
} plans[] = {
	{ "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Relation Name\": \"t\", \"Plan Rows\": 2550, \"Plan Width\": 4}}]", SP_OK, 2550 },
	{ "[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Plan Rows\": 0, \"Plans\": [{\"Node Type\": \"Seq Scan\", "
	  "\"Parent Relationship\": \"Outer\", \"Plan Rows\": 12, \"Plans\": [{\"Parent Relationship\": \"Outer\", \"Plan Rows\": 99}]}]}}]", SP_OK, 12 },
	{ "[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Plan Rows\": 0, \"Plans\": [{\"Parent Relationship\": \"InitPlan\", \"Plan Rows\": 7}, "
	  "{\"Parent Relationship\": \"Member\", \"Plan Rows\": 3}, {\"Parent Relationship\": \"Member\", \"Plan Rows\": 4}]}}]", SP_OK, 7 },
	{ "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Relation Name\": \"\\\"Plan Rows\\\": 1, {[\", \"Plan Rows\": 5}}]", SP_OK, 5 }, /* a table's name */
	{ "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Plan Rows\": 99999999999999999999999}}]", SP_OK, 0 },
	{ "[{\"Plan\": {\"Node Type\": \"Seq Scan\"}}]", SP_EPROTO, 0 },
	{ "[{\"Plan\": {\"Plan Rows\": 5", SP_EPROTO, 0 },
	{ "{\"Plan Rows\": 5}", SP_EPROTO, 0 },
	{ "]]", SP_EPROTO, 0 },
	{ "", SP_EPROTO, 0 },
	{ "\"", SP_EPROTO, 0 },
};

static void
test_plans(void)
{
	for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
		uint64_t rows = 1;
		CU_ASSERT(pg_estimate_rows(sp_str(plans[i].json), &rows) == plans[i].rc);
		if (plans[i].rows > 0)
			CU_ASSERT(rows == plans[i].rows);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = { { "statements", test_statements }, { "the question", test_question }, { "WITH", test_with },
		{ "parameters", test_parameters }, { "unknown names", test_unknown_names }, { "limits", test_limits }, { "what was found (P12)", test_found },
		{ "plans", test_plans }, CU_TEST_INFO_NULL };
	world = pg_world_names();
	if (world == NULL)
		return 1;
	view = pg_world_view(world);
	int rc = cunit_main("estimate", tests);
	pg_names_free(&world);
	return rc;
}
