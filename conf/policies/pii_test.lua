-- SPDX-License-Identifier: Apache-2.0

local all = sql "SELECT id, email, card_number, born, phone, password FROM crm.people"
local columns = {
  "crm.people.id", "crm.people.email", "crm.people.card_number", "crm.people.born", "crm.people.phone", "crm.people.password",
}
local row = { "7", "ada@example.com", "4111111111111111", "1815-12-10", "+44 20 7946 0000", "hunter2" }

test "everything at once" {
  send = all, columns = columns, row = row,
  expect = {
    "allow", "show id", "mask email by hide-email", "mask card_number by hide-card", "mask born by hide-born",
    "mask phone by hide-pii", "mask password by hide-secrets",
  },
}
test "the fraud team sees all but secrets" {
  as = { user = "fay", groups = { "dev", "fraud" } }, send = all, columns = columns,
  expect = { "show email", "show card_number", "show born", "show phone", "mask password by hide-secrets" },
}
test "groups are exact" {
  as = { groups = { "Fraud", "fraud2" } }, send = all, columns = columns, expect = "mask email by hide-email",
}
test "what an e-mail address keeps" {
  send = sql "SELECT email FROM crm.people", columns = { "crm.people.email" }, row = { "ada@example.com" }, shown = { "a***@example.com" },
  expect = "mask email",
}
test "what a card number keeps" {
  send = sql "SELECT card_number FROM crm.people", columns = { "crm.people.card_number" },
  row = { "4111111111111111" }, shown = { "****1111" }, expect = "mask card_number",
}
test "what a birthday keeps" {
  send = sql "SELECT born FROM crm.people", columns = { "crm.people.born" },
  row = { "1815-12-10" }, shown = { "1815-01-01" }, expect = "mask born",
}
test "a secret is NULL" {
  send = sql "SELECT password FROM users", columns = { "public.users.password" }, row = { "hunter2" }, shown = { false },
  expect = "mask password",
}
test "an alias hides nothing" {
  send = sql "SELECT email AS harmless FROM crm.people",
  columns = { { name = "harmless", source = "crm.people.email" } }, expect = "mask harmless by hide-email",
}
test "computed from a tagged column" {
  send = sql "SELECT upper(email) FROM crm.people", columns = { { name = "upper" } }, expect = "mask upper",
}
test "computed from others" {
  send = sql "SELECT upper(name) FROM crm.people", columns = { { name = "upper" } }, expect = { "not by hide-email", "not by hide-pii" },
}
test "capital letters hide nothing" {
  send = sql [[SELECT "Email" FROM crm.people]], columns = { "crm.people.Email" }, expect = "mask Email by hide-email",
}
test "a column that only looks alike" {
  send = sql "SELECT email_count FROM stats", columns = { "public.stats.email_count" }, expect = "not by hide-email",
}
test "keys are known by their form" {
  send = sql "SELECT note FROM notes", columns = { "public.notes.note" },
  row = { "use AKIAIOSFODNN7EXAMPLE" }, shown = { "use ****" }, expect = "mask note by no-secrets-on-screen",
}
test "cards are known by their check digit" {
  send = sql "SELECT note FROM notes", columns = { "public.notes.note" },
  row = { "4111111111111111 and 4111111111111112" }, shown = { "**** and 4111111111111112" },
  expect = "mask note by no-cards-on-screen",
}
test "keys are hidden from the fraud team too" {
  as = { groups = { "fraud" } }, send = sql "SELECT note FROM notes", columns = { "public.notes.note" },
  expect = { "mask note by no-secrets-on-screen", "not by no-cards-on-screen" },
}
test "statistics tell values" { send = sql "SELECT most_common_vals FROM pg_stats", expect = "deny by no-column-statistics" }
test "statistics by their table" {
  send = sql "SELECT stavalues1 FROM pg_catalog.pg_statistic", expect = "deny by no-column-statistics",
}
test "statistics for those who may" {
  as = { groups = { "privacy" } }, send = sql "SELECT most_common_vals FROM pg_stats", expect = "not by no-column-statistics",
}
