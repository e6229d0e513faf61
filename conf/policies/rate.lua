-- SPDX-License-Identifier: Apache-2.0
-- How much is too much, for people and agents; programs have the group "service", dumps and exports "export".
--
-- A query with a row limit can't have a cursor: DECLARE, psql's FETCH_COUNT and pg_dump --inserts are refused.

local bulk = { "service", "export" }

rule "statement-rate" {
  doc    = "A person does not send ten statements a second for a minute; a script under their name does.",
  on     = "sql.statement",
  when   = { groups = none_of(bulk) },
  limit  = { per = "user", rate = "600/1m" },
}

rule "agent-rate" {
  doc   = "A model that loops is stopped early.",
  on    = "sql.statement",
  when  = { class = "agent" },
  limit = { per = "user", rate = "60/1m" },
}

rule "row-limit" {
  doc    = "Nobody reads a million rows by eye: an export has a group of its own.",
  on     = "sql.statement",
  when   = { groups = none_of(bulk), effects = "read" },
  limit  = { rows = 100000 },
}

rule "session-rate" {
  doc   = "Connections by the second are a loop or a guess.",
  on    = "session",
  when  = { groups = none_of(bulk) },
  limit = { per = "user", rate = "60/1m" },
}
