-- SPDX-License-Identifier: Apache-2.0

local read = sql "SELECT * FROM orders"

test "people are counted" { as = { groups = { "dev" } }, send = read, expect = { "limit by statement-rate", "limit by row-limit" } }
test "so is who has no group at all" { send = read, expect = "limit by statement-rate" }
test "programs are not" { as = { groups = { "service" } }, send = read, expect = { "not by statement-rate", "not by row-limit" } }
test "agents are, everywhere" {
  as = { class = "agent", groups = { "service" } }, send = read, expect = { "limit by agent-rate", "not by statement-rate" },
}
test "connections are counted" { as = { groups = { "dev" } }, send = session, expect = "limit by session-rate" }
test "connections of programs are not" { as = { groups = { "service" } }, send = session, expect = "not by session-rate" }
