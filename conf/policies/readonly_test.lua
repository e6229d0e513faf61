-- SPDX-License-Identifier: Apache-2.0

local reader = { user = "rae", groups = { "readonly" } }

test "a reader reads" { as = reader, send = sql "SELECT * FROM orders", expect = "not by readonly-no-writes" }
test "a reader inserts" { as = reader, send = sql "INSERT INTO orders VALUES (1)", expect = "deny by readonly-no-writes" }
test "a reader writes in a CTE" {
  as = reader, send = sql "WITH n AS (INSERT INTO orders VALUES (1) RETURNING 1) SELECT * FROM n", expect = "deny by readonly-no-writes",
}
test "a reader creates" { as = reader, send = sql "CREATE TABLE x (id int)", expect = "deny by readonly-no-writes" }
test "a reader grants" { as = reader, send = sql "GRANT ALL ON orders TO rae", expect = "deny by readonly-no-writes" }
test "a reader takes the next number" { as = reader, send = sql "SELECT nextval('s')", expect = "deny by readonly-no-writes" }
test "a reader copies in" { as = reader, send = sql "COPY orders FROM STDIN", expect = "deny by readonly-no-writes" }
test "a reader sends what nobody understands" { as = reader, send = sql "SELEKT 1", expect = "deny by readonly-no-writes" }
test "a reader locks rows" { as = reader, send = sql "SELECT * FROM orders FOR UPDATE", expect = "deny by readonly-no-locks" }
test "a reader locks a table" {
  as = reader, send = sql "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", expect = "deny by readonly-no-locks",
}
test "a reader's pg_dump" {
  as = reader, send = sql "LOCK TABLE public.orders IN ACCESS SHARE MODE", expect = { "not by readonly-no-locks", "not by readonly-no-writes" },
}
test "a reader's psql" {
  as = reader, send = sql "SET application_name = 'psql'", expect = "not by readonly-no-writes",
}
test "others write" {
  as = { groups = { "dev" } }, send = sql "INSERT INTO orders VALUES (1)", expect = "not by readonly-no-writes",
}
test "a second group makes nobody more than a reader" {
  as = { groups = { "dev", "readonly" } }, send = sql "INSERT INTO orders VALUES (1)", expect = "deny by readonly-no-writes",
}

-- MK11: what looks like reading and is none.
for name, text in pairs {
  ["a comment before it"] = "/* SELECT */ DELETE FROM orders WHERE id = 7",
  ["a line comment before it"] = "-- SELECT\nDELETE FROM orders WHERE id = 7",
  ["nested comments before it"] = "/* /* SELECT */ */ DELETE FROM orders WHERE id = 7",
  ["a byte order mark before it"] = "\u{FEFF}DELETE FROM orders WHERE id = 7",
  ["a space that is none"] = "\u{A0}DELETE FROM orders WHERE id = 7",
  ["an empty statement before it"] = "; DELETE FROM orders WHERE id = 7",
  ["a letter that only looks alike"] = "S\u{0415}LECT 1",
  ["a CTE that deletes"] = "WITH SELECT_ AS (DELETE FROM orders WHERE id = 7 RETURNING *) SELECT * FROM SELECT_",
  ["a plan that runs"] = "EXPLAIN (ANALYZE, VERBOSE) DELETE FROM orders WHERE id = 7",
  ["a prepared one"] = "PREPARE SELECT_ AS DELETE FROM orders WHERE id = 7",
  ["a select that makes a table"] = "SELECT * INTO copy_of_orders FROM orders",
  ["a table from a select"] = "CREATE TABLE x AS SELECT * FROM orders",
  ["a large object"] = "SELECT lo_unlink(7)",
  ["a procedure"] = "CALL cleanup()",
  ["code"] = "DO $$ BEGIN DELETE FROM orders; END $$",
  ["a function's text"] = "SELECT query_to_xml('DELETE FROM orders', true, true, '')",
  ["a program"] = "COPY (SELECT 1) TO PROGRAM 'id'",
} do
  test("a reader sends " .. name) { as = reader, send = sql(text), expect = "deny by readonly-no-writes" }
end
test "a comment that holds it" { as = reader, send = sql "SELECT 1 /* /* */ ; DELETE FROM orders */", expect = "not by readonly-no-writes" }
test "a text that holds it" { as = reader, send = sql "SELECT 'DELETE FROM orders'", expect = "not by readonly-no-writes" }
