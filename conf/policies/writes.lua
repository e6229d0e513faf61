-- SPDX-License-Identifier: Apache-2.0
-- Writes that change more than was meant.

local approvers = "dba"

rule "no-unbounded-write" {
  doc    = "DELETE and UPDATE must name the rows they change; Liquibase empties its own table of one lock.",
  on     = "sql.statement",
  when   = { verb = { "delete", "update" }, where = false },
  unless = { verb = "delete", tables_written = matches [[\.databasechangeloglock$]] },
  deny   = "Add a WHERE clause that is not always true.",
}

rule "truncate-needs-approval" {
  doc     = "TRUNCATE empties a table at once and locks it for everybody.",
  on      = "sql.statement",
  when    = { verb = "truncate" },
  approve = { by = approvers, within = "15m", reason = true },
}

rule "no-catalogue-writes" {
  doc  = "Nobody writes to PostgreSQL's own tables by hand.",
  on   = "sql.statement",
  when = { verb = { "insert", "update", "delete", "merge", "copy" }, tables_written = prefix "pg_catalog." },
  deny = "Change definitions with CREATE, ALTER, DROP and GRANT, not by writing to pg_catalog.",
}
