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
test "a reader tells others" { as = reader, send = sql "NOTIFY jobs, 'run'", expect = "deny by readonly-no-messages" }
test "a reader tells others by a call" {
  as = reader, send = sql "SELECT 1 WHERE (SELECT pg_notify('jobs', 'run')) IS NULL", expect = "deny by readonly-no-messages-by-call",
}
test "a reader listens" {
  as = reader, send = sql "LISTEN jobs", expect = { "not by readonly-no-messages", "not by readonly-no-writes" },
}
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

test "a reader's session" { as = reader, send = session, expect = { "allow", "pin default_transaction_read_only by readonly-session" } }
test "others' sessions" { as = { groups = { "dev" } }, send = session, expect = "not by readonly-session" }
test "others begin as they like" { as = { groups = { "dev" } }, send = sql "BEGIN READ WRITE", expect = "not by readonly-session" }

-- What would make the session's transactions write again.
for _, text in ipairs {
  "SET default_transaction_read_only = off", "SET LOCAL default_transaction_read_only TO false", "SET transaction_read_only = 0",
  "SET SESSION default_transaction_read_only TO 'no'", [[SET "default_transaction_read_only" = off]],
  [[SET U&"default\005ftransaction_read_only" = off]], "SET DEFAULT_TRANSACTION_READ_ONLY = OFF",
  "RESET transaction_read_only", "SET transaction_read_only TO DEFAULT", "SET LOCAL transaction_read_only TO DEFAULT",
  "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE", "START TRANSACTION READ WRITE",
  "BEGIN; SET TRANSACTION READ WRITE; SELECT 1", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "/* READ ONLY */ BEGIN /* ; */ READ /* */ WRITE",
  "BEGIN READ ONLY, READ WRITE", "SELECT set_config('default_transaction_read_only', 'off', false)",
  "SELECT pg_catalog.set_config('transaction_read_only', 'off', true)", "SELECT set_config('Default_Transaction_Read_Only', 'off', false)",
  "SELECT set_config('default_' || 'transaction_read_only', 'off', false)", "SELECT set_config($1, $2, false)",
  "SELECT set_config('default_transaction_read_only', NULL, false)",
  "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'default_transaction_read_only'",
  "WITH s AS (SELECT set_config('transaction_read_only', 'off', false)) SELECT * FROM s",
  "SELECT 1 WHERE set_config('transaction_read_only', 'off', false) = 'off'",
  "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
  "UPDATE pg_catalog.pg_settings SET setting = 'off'", "ALTER ROLE ALL SET default_transaction_read_only = off",
  "ALTER ROLE rae IN DATABASE orders SET default_transaction_read_only TO off",
  "ALTER DATABASE orders SET default_transaction_read_only TO off", "ALTER SYSTEM SET default_transaction_read_only = off",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET default_transaction_read_only = off AS 'SELECT 1'",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET default_transaction_read_only FROM CURRENT AS 'SELECT 1'",
  "ALTER FUNCTION f() SET transaction_read_only = off", "DO $$ BEGIN SET default_transaction_read_only = off; END $$",
  "SELECT 1; COMMIT; SELECT 2", "BEGIN; SELECT 1; ROLLBACK; BEGIN; SELECT 2", "SELECT 1; END; BEGIN",
  "FETCH c; COMMIT; SELECT 1", "CALL p()", "SELECT public.f()", "SELECT 1 OPERATOR(public.+) 2", "EXECUTE p", "SELEKT 1",
  "SELECT query_to_xml('SELECT set_config(''transaction_read_only'', ''off'', false)', true, true, '')",
  "EXPLAIN ANALYZE SELECT set_config('transaction_read_only', 'off', false)",
  "PREPARE p AS SELECT set_config('transaction_read_only', 'off', false)",
  "DECLARE c CURSOR FOR SELECT set_config('transaction_read_only', 'off', false)",
  "COPY (SELECT set_config('transaction_read_only', 'off', false)) TO STDOUT",
} do
  test("a reader sends " .. text) { as = reader, send = sql(text), expect = "deny by readonly-session" }
  test("a reader prepares " .. text) { as = reader, send = prepare(text), expect = "deny by readonly-session" }
end

-- What clients and pools send, and changes nothing.
for _, text in ipairs {
  "BEGIN", "BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE", "SET TRANSACTION READ ONLY",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET default_transaction_read_only = on", "SET default_transaction_read_only TO TRUE",
  "SET LOCAL transaction_read_only = 1", "SELECT set_config('transaction_read_only', 'on', true)", "RESET default_transaction_read_only",
  "SET default_transaction_read_only TO DEFAULT", "RESET ALL", "DISCARD ALL", "SHOW transaction_read_only", "COMMIT AND CHAIN",
  "BEGIN; SELECT 1; COMMIT", "SELECT 1; SELECT 2", "ROLLBACK; BEGIN; SELECT 1", "BEGIN; SAVEPOINT s; SELECT 1; ROLLBACK TO s; SELECT 2",
  "SET statement_timeout = '5s'", "SET search_path = public", "SET TRANSACTION SNAPSHOT '0-1-1'", "SELECT 'SET transaction_read_only = off'",
} do
  test("a reader may send " .. text) { as = reader, send = sql(text), expect = "not by readonly-session" }
end

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
