-- SPDX-License-Identifier: Apache-2.0

test "delete without where" { send = sql "DELETE FROM orders", expect = "deny by no-unbounded-write" }
test "delete where 1=1" { send = sql "DELETE FROM orders WHERE 1=1", expect = "deny by no-unbounded-write" }
test "delete where true or something" {
  send = sql "DELETE FROM orders WHERE id = 7 OR true", expect = "deny by no-unbounded-write",
}
test "delete where id = id" { send = sql "DELETE FROM orders WHERE id = id", expect = "deny by no-unbounded-write" }
test "Liquibase: its own lock" { send = sql "DELETE FROM public.databasechangeloglock", expect = "not by no-unbounded-write" }
test "Liquibase: no more than that" {
  send = sql "WITH x AS (DELETE FROM orders RETURNING 1) DELETE FROM public.databasechangeloglock", expect = "deny by no-unbounded-write",
}
test "Liquibase: nor beside it" {
  send = sql "DELETE FROM public.databasechangeloglock; DELETE FROM orders", expect = "deny by no-unbounded-write",
}
test "update without where" { send = sql "UPDATE orders SET price = 0", expect = "deny by no-unbounded-write" }
test "update of one row" { send = sql "UPDATE orders SET price = 0 WHERE id = 7", expect = "not by no-unbounded-write" }
test "delete of one row" { send = sql "DELETE FROM orders WHERE id = $1", expect = "not by no-unbounded-write" }
test "delete in a CTE" {
  send = sql "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone",
  expect = "deny by no-unbounded-write",
}
test "delete behind a select" { send = sql "SELECT 1; DELETE FROM orders", expect = "deny by no-unbounded-write" }
test "delete under explain analyze" { send = sql "EXPLAIN ANALYZE DELETE FROM orders", expect = "deny by no-unbounded-write" }
test "delete that is prepared" { send = sql "PREPARE p AS DELETE FROM orders", expect = "deny by no-unbounded-write" }
test "delete, announced" { send = prepare "DELETE FROM orders", expect = "deny by no-unbounded-write" }
test "select without where" { send = sql "SELECT * FROM orders", expect = "not by no-unbounded-write" }
test "truncate" { send = sql "TRUNCATE orders", expect = "approve by truncate-needs-approval" }
test "a tempting column name" { send = sql [[SELECT "truncate" FROM orders]], expect = "not by truncate-needs-approval" }
test "catalogue by hand" {
  send = sql "UPDATE pg_catalog.pg_class SET relname = 'x' WHERE relname = 'y'", expect = "deny by no-catalogue-writes",
}
test "catalogue by its bare name" {
  send = sql "UPDATE pg_class SET relname = 'x' WHERE relname = 'y'", expect = "deny by no-catalogue-writes",
}
