-- SPDX-License-Identifier: Apache-2.0
-- Ten requirements in plain words, and the rule that each became: to read, and to copy from.  Their tests are in
-- ten_test.lua; `sallyport policy test conf/policies/examples` runs them.

tag "salary" { "hr.staff.salary", "hr.staff.bonus" }
tag "address" { "*.email" }

-- 1. "Nobody empties a table."
rule "no-truncate" {
  doc  = "TRUNCATE is for migrations, which have a login of their own.",
  on   = "sql.statement",
  when = { verb = "truncate" },
  deny = "Delete the rows that have to go, with a WHERE clause.",
}

-- 2. "The ledger is written once: entries are added, never changed."
rule "ledger-is-append-only" {
  doc  = "Entries of the ledger are added, never changed.",
  on   = "sql.statement",
  when = { verb = { "update", "delete", "merge", "truncate" }, tables_written = "public.ledger" },
  deny = "Add an entry that corrects it.",
}

-- 3. "Salaries are for HR."
rule "salaries-are-for-hr" {
  doc    = "Everybody else sees no salary, whatever road it comes by.",
  on     = "sql.result",
  when   = { column = tagged "salary" },
  unless = { groups = "hr" },
  mask   = mask.null,
}

-- 4. "Support may look people up, but sees only the domain of an address."
rule "support-sees-domains" {
  doc  = "Support sees the domain of an e-mail address.",
  on   = "sql.result",
  when = { column = tagged "address", groups = "support" },
  mask = mask.email,
}

-- 5. "Contractors work from the office, on weekdays."
rule "contractors-in-office-hours" {
  doc  = "Contractors work on weekdays, from nine to six.",
  on   = "session",
  when = { groups = "contractors", time = outside "Mon-Fri 09:00-18:00 Europe/Berlin" },
  deny = "Come back on a weekday between 9:00 and 18:00.",
}

-- 6. "Changing prices in production takes two people of sales."
rule "prices-take-two" {
  doc     = "A price that is changed is looked at by two people of sales.",
  on      = "sql.statement",
  when    = { env = "prod", columns_written = "public.items.price" },
  approve = { by = "sales-leads", count = 2, within = "1h", reason = true },
}

-- 7. "Agents read; they write nothing but their own notes."
rule "agents-write-notes" {
  doc    = "Agents write to the schema notes only.",
  on     = "sql.statement",
  when   = { class = "agent", verb = { "insert", "update", "delete", "merge" } },
  unless = { tables_written = prefix "notes." },
  deny   = "Write to the schema notes, and let a person take it over.",
}

-- 8. "Nobody exports the customers."
rule "no-export-of-customers" {
  doc  = "COPY of customers goes by the data team.",
  on   = "sql.statement",
  when = { verb = "copy", tables = "public.customers", groups = none_of "data" },
  deny = "Ask the data team for an export.",
}

-- 9. "A report never takes the database down."
rule "reports-are-bounded" {
  doc   = "Reporting tools get a hundred thousand rows an answer, and thirty statements a minute.",
  on    = "sql.statement",
  when  = { groups = "reporting" },
  limit = { per = "user", rate = "30/60s", rows = 100000 },
}

-- 10. "Auditors read everything and change nothing."
rule "auditors-only-read" {
  doc  = "Sessions of auditors are read-only, at the server, too.",
  on   = "session",
  when = { groups = "auditors" },
  pin  = { default_transaction_read_only = "on" },
}
