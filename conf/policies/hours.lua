-- SPDX-License-Identifier: Apache-2.0
-- Out of hours, changes by people wait for whoever is on call.  Set your own hours and zone.

local oncall = "oncall"

rule "changes-out-of-hours" {
  doc     = "At night and at weekends nobody is there to see a change go wrong.",
  on      = "sql.statement",
  when    = { effects = { "write", "ddl", "dcl" }, outside "Mon-Fri 07:00-19:00 UTC" },
  unless  = { class = "workload" },
  approve = { by = oncall, within = "15m", reason = true },
}
