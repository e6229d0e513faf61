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
