-- SPDX-License-Identifier: Apache-2.0

local write = sql "INSERT INTO orders VALUES (1)"

test "a change at noon" { at = "2026-01-07 12:00 UTC", send = write, expect = "not by changes-out-of-hours" }
test "a change at night" { at = "2026-01-07 03:00 UTC", send = write, expect = "approve by changes-out-of-hours" }
test "a change on Sunday" { at = "2026-01-11 12:00 UTC", send = write, expect = "approve by changes-out-of-hours" }
test "the last minute of the day" { at = "2026-01-07 18:59 UTC", send = write, expect = "not by changes-out-of-hours" }
test "the first minute after it" { at = "2026-01-07 19:00 UTC", send = write, expect = "approve by changes-out-of-hours" }
test "reading at night" { at = "2026-01-07 03:00 UTC", send = sql "SELECT 1", expect = "not by changes-out-of-hours" }
test "a program at night" {
  as = { class = "workload" }, at = "2026-01-07 03:00 UTC", send = write, expect = "not by changes-out-of-hours",
}
