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

-- what answers tell

local function find(condition) return sql("SELECT id FROM crm.people WHERE " .. condition) end

test "one value is a lookup" { send = find "email = 'ada@example.com'", expect = { "limit by few-lookups-by-hidden", "not by no-search-by-hidden" } }
test "with another condition beside it" { send = find "email = $1 AND name LIKE 'A%'", expect = "not by no-search-by-hidden" }
test "is it there at all" { send = find "phone IS NOT NULL", expect = { "limit by few-lookups-by-hidden", "not by no-search-by-hidden" } }
test "programs look up as often as they must" {
  as = { groups = { "service" } }, send = find "email = $1", expect = "not by few-lookups-by-hidden",
}
test "a program does not search either" { as = { groups = { "service" } }, send = find "email > 'm'", expect = "deny by no-search-by-hidden" }
test "a range" { send = find "card_number > '4111'", expect = "deny by no-search-by-hidden" }
test "a pattern" { send = find "email LIKE 'a%'", expect = "deny by no-search-by-hidden" }
test "a regular expression" { send = find "email ~ '^a'", expect = "deny by no-search-by-hidden" }
test "a function" { send = find "substr(email, 1, 1) = 'a'", expect = "deny by no-search-by-hidden" }
test "a list" { send = find "phone IN ('1', '2', '3')", expect = "deny by no-search-by-hidden" }
test "either of two" { send = find "phone = '1' OR phone = '2'", expect = "deny by no-search-by-hidden" }
test "anything but" { send = find "NOT email = 'a'", expect = "deny by no-search-by-hidden" }
test "in a filter" {
  send = sql "SELECT count(*) FILTER (WHERE email < 'm') FROM crm.people", expect = "deny by no-search-by-hidden",
}
test "from outside a sub-select" {
  send = sql "SELECT 1 FROM (SELECT email AS e FROM crm.people) s WHERE e LIKE 'a%'", expect = "deny by no-search-by-hidden",
}
test "by a join" {
  send = sql "SELECT 1 FROM crm.people p JOIN guesses g ON p.email = g.value", expect = "deny by no-search-by-hidden",
}
test "by a table of guesses" {
  send = sql "SELECT * FROM guesses WHERE value IN (SELECT email FROM crm.people)", expect = "deny by no-search-by-hidden",
}
test "a part of it in a sub-select" {
  send = sql "SELECT id FROM (SELECT id, left(email, 1) AS l FROM crm.people) s WHERE l = 'a'", expect = "deny by no-search-by-hidden",
}
test "many lookups in one statement" {
  send = sql "SELECT 1 FROM crm.people WHERE email = 'a' UNION ALL SELECT 2 FROM crm.people WHERE email = 'b'",
  expect = "deny by no-search-by-hidden",
}
test "many lookups in one text" {
  send = sql "SELECT id FROM crm.people WHERE email = 'a'; SELECT id FROM crm.people WHERE email = 'b'",
  expect = "deny by no-search-by-hidden",
}
test "the same lookup twice" {
  send = sql "SELECT id FROM crm.people WHERE email = $1 UNION ALL SELECT id FROM crm.old_people WHERE email = $1",
  expect = "not by no-search-by-hidden",
}
test "as many rows as it says" {
  send = sql "SELECT id, generate_series(1, ascii(email)) FROM crm.people", expect = "deny by no-search-by-hidden",
}
test "as many rows as it says, by FROM" {
  send = sql "SELECT p.id FROM crm.people p, generate_series(1, ascii(p.email))", expect = "deny by no-search-by-hidden",
}
test "which of several new rows were there" {
  send = sql "INSERT INTO crm.people (email) VALUES ('a'), ('b') ON CONFLICT (email) DO NOTHING RETURNING email",
  expect = "deny by no-search-by-hidden",
}
test "one new row, or a change" {
  send = sql "INSERT INTO crm.people (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = excluded.name",
  expect = { "limit by few-lookups-by-hidden", "not by no-search-by-hidden" },
}
test "the fraud team searches" {
  as = { groups = { "fraud" } }, send = find "email LIKE 'a%'", expect = { "not by no-search-by-hidden", "not by few-lookups-by-hidden" },
}
test "other columns are nobody's secret" { send = find "name LIKE 'A%'", expect = { "not by no-search-by-hidden", "not by few-lookups-by-hidden" } }
test "order tells" { send = sql "SELECT id FROM crm.people ORDER BY born", expect = "deny by no-order-by-hidden" }
test "order by number" { send = sql "SELECT id, email FROM crm.people ORDER BY 2", expect = "deny by no-order-by-hidden" }
test "groups tell" { send = sql "SELECT count(*) FROM crm.people GROUP BY email", expect = "deny by no-order-by-hidden" }
test "distinct tells" { send = sql "SELECT count(DISTINCT email) FROM crm.people", expect = "deny by no-order-by-hidden" }
test "order by a name that nobody gave" {
  send = sql "SELECT id, coalesce(email, '') FROM crm.people ORDER BY \"coalesce\"", expect = "deny by no-order-by-hidden",
}
test "groups by a name of the answer" {
  send = sql "SELECT left(email, 1) AS l, count(*) FROM crm.people GROUP BY ROLLUP (l)", expect = "deny by no-order-by-hidden",
}
test "groups by number" {
  send = sql "SELECT left(email, 1), count(*) FROM crm.people GROUP BY GROUPING SETS ((1))", expect = "deny by no-order-by-hidden",
}
test "order by others" { send = sql "SELECT id, email FROM crm.people ORDER BY name", expect = "not by no-order-by-hidden" }
test "estimates tell" {
  send = sql "EXPLAIN SELECT 1 FROM crm.people WHERE email = 'a'", expect = "deny by no-explain-by-hidden",
}
test "into a table" { send = sql "CREATE TABLE mine AS SELECT email FROM crm.people", expect = "deny by no-copies-of-hidden" }
test "into another column" { send = sql "UPDATE crm.people SET note = email WHERE id = 1", expect = "deny by no-copies-of-hidden" }
test "into another table" {
  send = sql "INSERT INTO notes (text) SELECT email FROM crm.people", expect = "deny by no-copies-of-hidden",
}
test "into a channel" { send = sql "SELECT pg_notify('c', email) FROM crm.people", expect = "deny by no-copies-of-hidden" }
test "into whether something happens" {
  send = sql "SELECT CASE WHEN email > 'm' THEN nextval('s') END FROM crm.people", expect = "deny by no-copies-of-hidden",
}
test "from what is named before it is made" {
  send = sql "WITH RECURSIVE i AS (INSERT INTO notes SELECT e FROM w RETURNING 1), w AS (SELECT email AS e FROM crm.people) TABLE i",
  expect = "deny by no-copies-of-hidden",
}
test "a new value is no copy" {
  send = sql "UPDATE crm.people SET email = 'new@example.com' WHERE id = 1", expect = "not by no-copies-of-hidden",
}
test "nor is what stays in its column" {
  send = sql "UPDATE crm.people SET email = lower(email) WHERE id = 1", expect = "not by no-copies-of-hidden",
}

local dump = sql "COPY crm.people (id, email) TO stdout;"

test "a dump with masks in it is none" {
  facts = { application_name = "pg_dump" }, send = dump, expect = "deny by no-dump-of-hidden",
}
test "… nor one of inserts" {
  facts = { application_name = "pg_dump" },
  send = sql "DECLARE _pg_dump_cursor CURSOR FOR SELECT id, email FROM ONLY crm.people", expect = "deny by no-dump-of-hidden",
}
test "who may see it may dump it" {
  as = { groups = { "dev", "fraud" } }, facts = { application_name = "pg_dump" }, send = dump, expect = "allow",
}
test "other tables are dumped" {
  facts = { application_name = "pg_dump" }, send = sql "COPY public.orders (id) TO stdout;", expect = "allow",
}
test "\\copy shows masks" {
  facts = { application_name = "psql" }, send = dump, expect = "not by no-dump-of-hidden",
}
