-- SPDX-License-Identifier: Apache-2.0
-- Changes of definitions and privileges wait for a person.

local approvers = "dba"

rule "ddl-needs-approval" {
  doc     = "Schema changes wait for a DBA; temporary tables are nobody else's business.",
  on      = "sql.statement",
  when    = { effects = "ddl" },
  unless  = { temporary = true },
  approve = { by = approvers, within = "30m", reason = true },
}

rule "dcl-needs-approval" {
  doc     = "Who may do what is changed by two people: one asks, another agrees.",
  on      = "sql.statement",
  when    = { effects = "dcl" },
  approve = { by = approvers, within = "30m", reason = true },
}

rule "no-superusers" {
  doc  = "No role past all checks is made through the gateway.",
  on   = "sql.statement",
  when = { options = { "superuser", "bypassrls", "replication" }, effects = "dcl" },
  deny = "Roles with SUPERUSER, BYPASSRLS or REPLICATION are not made through the gateway.",
}

rule "no-alter-system" {
  doc  = "The server's settings are its operator's.",
  on   = "sql.statement",
  when = { verb = "alter system" },
  deny = "ALTER SYSTEM changes the server for everybody: ask its operator.",
}
