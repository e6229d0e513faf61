-- SPDX-License-Identifier: Apache-2.0

test "drop table" { send = sql "DROP TABLE orders", expect = "approve by ddl-needs-approval" }
test "create table" { send = sql "CREATE TABLE x (id int)", expect = "approve by ddl-needs-approval" }
test "alter table among others" { send = sql "SELECT 1; ALTER TABLE orders ADD c int", expect = "approve by ddl-needs-approval" }
test "create index concurrently" {
  send = sql "CREATE INDEX CONCURRENTLY i ON orders (item)", expect = "approve by ddl-needs-approval",
}
test "select into is a create table" { send = sql "SELECT item INTO x FROM orders", expect = "approve by ddl-needs-approval" }
test "a temporary table is free" { send = sql "CREATE TEMP TABLE t (id int)", expect = "not by ddl-needs-approval" }
test "select into one, too" { send = sql "SELECT item INTO TEMP t FROM orders", expect = "not by ddl-needs-approval" }
test "beside a temporary table nothing else is" {
  send = sql "CREATE TEMP TABLE t (id int); DROP TABLE orders", expect = "approve by ddl-needs-approval",
}
test "select is no ddl" { send = sql "SELECT 1", expect = "not by ddl-needs-approval" }
test "grant" { send = sql "GRANT SELECT ON orders TO PUBLIC", expect = "approve by dcl-needs-approval" }
test "create role" { send = sql "CREATE ROLE eve LOGIN", expect = "approve by dcl-needs-approval" }
test "create superuser" { send = sql "CREATE ROLE eve SUPERUSER", expect = "deny by no-superusers" }
test "make a superuser" { send = sql "ALTER ROLE eve SUPERUSER", expect = "deny by no-superusers" }
test "alter system" { send = sql "ALTER SYSTEM SET work_mem = '1GB'", expect = "deny by no-alter-system" }
