-- SPDX-License-Identifier: Apache-2.0
-- What tools send, word by word, and what must not pass with it.

-- psql
test "psql: \\d finds tables" { expect = "allow", send = sql [[
SELECT n.nspname as "Schema", c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'p' THEN 'partitioned table' END as "Type",
  pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r','p','v','m','S','f','')
      AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2;]] }
test "psql: \\d orders, by name" { expect = "allow", send = sql [[
SELECT c.oid, n.nspname, c.relname
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname OPERATOR(pg_catalog.~) '^(orders)$' COLLATE pg_catalog.default
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 2, 3;]] }
test "psql: \\d orders, its columns" { expect = "allow", send = sql [[
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
  (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
  a.attnotnull, a.attidentity, a.attgenerated, pg_catalog.col_description(a.attrelid, a.attnum)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = '16390' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;]] }
test "psql: \\l" { expect = "allow", send = sql [[
SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding),
  pg_catalog.array_to_string(d.datacl, E'\n'),
  CASE WHEN pg_catalog.has_database_privilege(d.datname, 'CONNECT')
       THEN pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(d.datname)) ELSE 'No Access' END
FROM pg_catalog.pg_database d ORDER BY 1;]] }
test "psql: tab completion" { expect = "allow", send = sql [[
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'ord%' AND pg_catalog.pg_table_is_visible(c.oid)
UNION ALL
SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 'ord%' LIMIT 1000]] }
test "psql: SHOW" { send = sql "show search_path", expect = "allow" }

-- pg_dump and psql that plays its file back
test "pg_dump: search_path" { send = sql "SELECT pg_catalog.set_config('search_path', '', false);", expect = "allow" }
test "pg_dump: how dates are written" { send = sql "SET DATESTYLE = ISO", expect = "allow" }
test "pg_dump: floats whole" { send = sql "SET extra_float_digits TO 3", expect = "allow" }
test "pg_dump: no timeouts" { send = sql "SET statement_timeout = 0", expect = "allow" }
test "pg_dump: row security" { send = sql "SET row_security = off", expect = "allow" }
test "pg_dump: snapshot" { send = sql "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", expect = "allow" }
test "pg_dump: locks" { send = sql "LOCK TABLE public.orders IN ACCESS SHARE MODE", expect = "allow" }
test "pg_dump: copies out" { send = sql "COPY public.orders (id, item) TO stdout;", expect = "allow" }
test "pg_dump: hides views" {
  send = sql [[SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind']],
  expect = "allow",
}
test "not pg_dump: another value" {
  send = sql [[SELECT set_config(name, 'postgres', false) FROM pg_settings WHERE name = 'role']],
  expect = "deny",
}
test "not pg_dump: another table beside it" {
  send = sql [[SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings, orders]],
  expect = "deny",
}
test "not pg_dump: another setting beside it" {
  send = sql [[SELECT set_config(name, 'view, foreign-table', false), set_config(name, 'x', false) FROM pg_settings]],
  expect = "deny",
}
test "restore: bodies unchecked" { send = sql "SET check_function_bodies = false", expect = "allow" }
test "restore: default tablespace" { send = sql "SET default_tablespace = ''", expect = "allow" }
test "restore: access method" { send = sql "SET default_table_access_method = heap", expect = "allow" }
test "restore: XML" { send = sql "SET xmloption = content", expect = "allow" }
test "restore: transaction_timeout" { send = sql "SET transaction_timeout = 0", expect = "allow by client-restore" }

-- drivers and pools
test "encoding by another name" { send = sql "SET client_encoding = 'UTF-8'", expect = "allow" }
test "one setting back" { send = sql "RESET statement_timeout", expect = "allow" }
test "not a role's" { send = sql "RESET ROLE", expect = "deny" }
test "settings by UPDATE" { send = sql "UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'", expect = "deny" }
test "settings by another row" { send = sql "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name <> 'jit'", expect = "deny" }
test "settings by a row inside" {
  send = sql "SELECT (SELECT set_config(name, 'x', false) FROM pg_roles r(name) LIMIT 1) FROM pg_settings WHERE name = 'jit'", expect = "deny",
}
test "asyncpg: given back to its pool" {
  send = sql "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", expect = "allow",
}
test "Npgsql: given back to its pool" { send = sql "DISCARD ALL", expect = "allow" }
test "JDBC: float digits" { send = sql "SET extra_float_digits = 3", expect = "allow" }
test "JDBC: application_name" { send = sql "SET application_name = 'PostgreSQL JDBC Driver'", expect = "allow" }
test "JDBC: read only" { send = sql "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", expect = "allow" }
test "Django: time zone" { send = sql "SELECT set_config('TimeZone', 'UTC', false)", expect = "allow" }
test "pgAdmin: bytea_output" {
  send = sql [[SET DateStyle=ISO; SET client_min_messages=notice;
SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='utf-8';]],
  expect = "allow",
}
test "Rails: a lock for migrations" { send = sql "SELECT pg_try_advisory_lock(2053462845)", expect = "allow" }
test "Flyway: a lock for migrations" { send = sql "SELECT pg_advisory_lock(77431708279161)", expect = "allow" }
test "anybody: version" { send = sql "SELECT version(), current_schema(), session_user", expect = "allow" }

-- people
test "a plan without sequential scans" { send = sql "SET enable_seqscan = off", expect = "allow by client-planner" }
test "and back" { send = sql "RESET enable_seqscan", expect = "allow by client-planner" }
test "costs" { send = sql "SET LOCAL random_page_cost = 1.1", expect = "allow by client-planner" }
test "numbers as at home" { send = sql "SET lc_numeric = 'de_DE.UTF-8'", expect = "allow by client-format" }

-- what stays unclear
test "a setting that nobody named" { send = sql "SET session_preload_libraries = 'evil'", expect = { "deny", "not by client-planner" } }
test "a planner's name by another way" {
  send = sql "SELECT set_config('enable_' || 'seqscan', 'off', false)", expect = { "deny", "not by client-planner" },
}
test "who the session belongs to" { send = sql "SET sallyport.user = 'ann'", expect = "deny" }
test "how texts are read" { send = sql "SET standard_conforming_strings = off", expect = "deny" }
test "an allow lifts one refusal, not the next" { send = sql "RESET ALL; SET unheard_of = 1", expect = "deny" }
