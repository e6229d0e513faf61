-- SPDX-License-Identifier: Apache-2.0
-- The rules that the bypass corpus tries to get around: a guarded production database for developers,
-- and the same for those who may only read.  Masks are null, so that two databases that differ in
-- tagged columns alone must look the same through the gateway.
tag "pii" { "*.email", "*.card_number" }

rule "read-only" {
  doc  = "Readers change nothing.",
  on   = "sql.statement",
  when = { groups = "readers", effects = { "write", "ddl", "dcl", "execute" } },
  deny = "You may only read here.",
}
rule "read-without-locks" {
  doc  = "Readers do not lock rows or tables.",
  on   = "sql.statement",
  when = { groups = "readers", locking = true },
  deny = "You may only read here.",
}
rule "no-unbounded-write" {
  doc  = "DELETE and UPDATE must name the rows they change.",
  on   = "sql.statement",
  when = { verb = { "delete", "update", "merge", "truncate" }, where = false },
  deny = "Add a WHERE clause that is not always true.",
}
rule "no-ddl" {
  doc  = "Definitions come by migration.",
  on   = "sql.statement",
  when = { effects = "ddl" },
  deny = "Write a migration.",
}
rule "no-dcl" {
  doc  = "Roles and privileges come by migration.",
  on   = "sql.statement",
  when = { effects = "dcl" },
  deny = "Write a migration.",
}
rule "no-execute" {
  doc  = "No code, files or other processes.",
  on   = "sql.statement",
  when = { effects = "execute" },
  deny = "This runs code or reaches outside the database.",
}
rule "no-copy-of-pii" {
  doc    = "Who sees tagged columns masked does not store them under other names.",
  on     = "sql.statement",
  when   = { effects = "write", columns_read = tagged "pii" },
  unless = { groups = "fraud" },
  deny   = "This would copy personal data.",
}
rule "no-statistics" {
  doc  = "Statistics hold values of the columns they are of.",
  on   = "sql.statement",
  when = { tables = { "pg_catalog.pg_stats", "pg_catalog.pg_statistic", "pg_catalog.pg_stats_ext", "pg_catalog.pg_stats_ext_exprs",
    "pg_catalog.pg_statistic_ext_data" } },
  deny = "Statistics of columns are not shown.",
}
rule "hide-pii" {
  doc    = "Personal data is shown to the fraud team only.",
  on     = "sql.result",
  when   = { column = tagged "pii" },
  unless = { groups = "fraud" },
  mask   = mask.null,
}
