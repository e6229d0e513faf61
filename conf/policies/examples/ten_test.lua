-- SPDX-License-Identifier: Apache-2.0
-- Tests of ten.lua: each requirement holds, and what it leaves alone.

local dev = { user = "ann", groups = { "dev" } }
local prod = { name = "shop", label = { env = "prod" } }

test "1 empties a table" { as = dev, target = prod, send = sql [[TRUNCATE orders]], expect = "deny by no-truncate" }
test "1 deletes rows" { as = dev, target = prod, send = sql [[DELETE FROM orders WHERE id = 1]], expect = "allow" }

test "2 changes the ledger" { as = dev, target = prod, send = sql [[UPDATE ledger SET amount = 1 WHERE id = 2]], expect = "deny by ledger-is-append-only" }
test "2 adds to it" { as = dev, target = prod, send = sql [[INSERT INTO ledger VALUES (1, 2)]], expect = "not by ledger-is-append-only" }
test "2 reads it to write elsewhere" {
  as = dev, target = prod,
  send = sql [[UPDATE sums SET s = (SELECT sum(amount) FROM ledger) WHERE id = 1]], expect = "not by ledger-is-append-only",
}

test "3 somebody reads salaries" {
  as = dev, target = prod,
  send = sql [[SELECT salary FROM hr.staff]], columns = { "hr.staff.salary" }, expect = "mask salary by salaries-are-for-hr",
}
test "3 by another road" {
  as = dev, target = prod,
  send = sql [[SELECT max(salary) FROM hr.staff]], columns = { { name = "max" } }, expect = "mask max by salaries-are-for-hr",
}
test "3 HR" {
  as = { user = "hal", groups = { "hr" } }, target = prod,
  send = sql [[SELECT salary FROM hr.staff]], columns = { "hr.staff.salary" }, expect = "show salary",
}

test "4 support" {
  as = { user = "sue", groups = { "support" } }, target = prod, send = sql [[SELECT email FROM customers WHERE id = 7]],
  columns = { "public.customers.email" }, row = { "ann@example.com" }, shown = { "a***@example.com" }, expect = "mask email by support-sees-domains",
}
test "4 others" { as = dev, target = prod, send = sql [[SELECT email FROM customers]], columns = { "public.customers.email" }, expect = "show email" }

test "5 on a Sunday" {
  as = { user = "con", groups = { "contractors" } }, target = prod, at = "2026-01-11 12:00 Europe/Berlin",
  send = session, expect = "deny by contractors-in-office-hours",
}
test "5 on a Monday" {
  as = { user = "con", groups = { "contractors" } }, target = prod, at = "2026-01-12 12:00 Europe/Berlin",
  send = session, expect = "allow",
}

test "6 a price" { as = dev, target = prod, send = sql [[UPDATE items SET price = 2 WHERE id = 1]], expect = "approve by prices-take-two" }
test "6 another column" { as = dev, target = prod, send = sql [[UPDATE items SET name = 'x' WHERE id = 1]], expect = "not by prices-take-two" }
test "6 not in production" {
  as = dev, target = { name = "shop", label = { env = "test" } },
  send = sql [[UPDATE items SET price = 2 WHERE id = 1]], expect = "not by prices-take-two",
}

test "7 an agent writes" {
  as = { user = "bot", groups = { "dev" }, class = "agent" }, target = prod,
  send = sql [[UPDATE orders SET state = 'x' WHERE id = 1]], expect = "deny by agents-write-notes",
}
test "7 its notes" {
  as = { user = "bot", groups = { "dev" }, class = "agent" }, target = prod,
  send = sql [[INSERT INTO notes.findings VALUES ('x')]], expect = "allow",
}
test "7 notes and more" {
  as = { user = "bot", groups = { "dev" }, class = "agent" }, target = prod,
  send = sql [[WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING id) INSERT INTO notes.findings SELECT id FROM gone]],
  expect = "deny by agents-write-notes",
}

test "8 an export" { as = dev, target = prod, send = sql [[COPY customers TO STDOUT]], expect = "deny by no-export-of-customers" }
test "8 of the data team" {
  as = { user = "dan", groups = { "data" } }, target = prod,
  send = sql [[COPY customers TO STDOUT]], expect = "not by no-export-of-customers",
}

test "9 a report" {
  as = { user = "rep", groups = { "reporting" } }, target = prod,
  send = sql [[SELECT * FROM orders]], expect = { "allow", "limit by reports-are-bounded" },
}
test "9 others" { as = dev, target = prod, send = sql [[SELECT * FROM orders]], expect = "not by reports-are-bounded" }

test "10 an auditor" {
  as = { user = "aud", groups = { "auditors" } }, target = prod,
  send = session, expect = "pin default_transaction_read_only by auditors-only-read",
}
test "10 others" { as = dev, target = prod, send = session, expect = "not by auditors-only-read" }
