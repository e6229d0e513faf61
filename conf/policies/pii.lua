-- SPDX-License-Identifier: Apache-2.0
-- Personal data: which columns hold it, who sees it, and what others see instead.
--
-- Patterns are right-aligned to schema.table.column and `*` stays within one part.  Add your own:
-- a tag may be given in several files.

local cleared = { "fraud", "privacy" }

tag "email" { "*.email", "*.e_mail", "*.email_address", "*.mail" }
tag "card"  { "*.card_number", "*.credit_card", "*.pan", "*.iban" }
tag "born"  { "*.born", "*.birth_date", "*.birthday", "*.date_of_birth" }
tag "pii"   {
  "*.ssn", "*.social_security_number", "*.tax_id", "*.passport", "*.passport_number", "*.phone", "*.phone_number",
  "*.mobile", "*.street", "*.home_address",
}
tag "secret" { "*.password", "*.passwd", "*.password_hash", "*.api_key", "*.secret", "*.token", "*.totp_secret" }

rule "hide-email" {
  doc    = "E-mail addresses keep their domain.",
  on     = "sql.result",
  when   = { column = tagged "email" },
  unless = { groups = cleared },
  mask   = mask.email,
}

rule "hide-card" {
  doc    = "Card and account numbers keep their last four.",
  on     = "sql.result",
  when   = { column = tagged "card" },
  unless = { groups = cleared },
  mask   = mask.last4,
}

rule "hide-born" {
  doc    = "A year is enough for statistics.",
  on     = "sql.result",
  when   = { column = tagged "born" },
  unless = { groups = cleared },
  mask   = mask.date_year,
}

rule "hide-pii" {
  doc    = "Everything else that says who somebody is.",
  on     = "sql.result",
  when   = { column = tagged "pii" },
  unless = { groups = cleared },
  mask   = mask.redact,
}

rule "hide-secrets" {
  doc  = "Nobody needs to see a password or a key, however it is stored.",
  on   = "sql.result",
  when = { column = tagged "secret" },
  mask = mask.null,
}

rule "no-secrets-on-screen" {
  doc  = "A second net for what is in no tagged column: keys and tokens are known by their form.",
  on   = "output",
  when = { detect = { "aws_key", "private_key", "jwt", "bearer" } },
  mask = mask.redact,
}

rule "no-cards-on-screen" {
  doc    = "A second net for numbers of cards (with a valid check digit) in notes and logs.",
  on     = "output",
  when   = { detect = { "card" } },
  unless = { groups = cleared },
  mask   = mask.redact,
}

rule "no-column-statistics" {
  doc    = "The planner's statistics hold the most common values of each column, in clear.",
  on     = "sql.statement",
  when   = {
    tables = {
      "pg_catalog.pg_statistic", "pg_catalog.pg_stats", "pg_catalog.pg_stats_ext", "pg_catalog.pg_stats_ext_exprs",
      "pg_catalog.pg_statistic_ext_data",
    },
  },
  unless = { groups = cleared },
  deny   = "Statistics show values of masked columns: ask somebody who may see those.",
}

-- What a mask hides, answers still tell, a bit at a time: by which rows come back, in which order, or how many.

local hidden = { tagged "email", tagged "card", tagged "born", tagged "pii", tagged "secret" }

rule "no-search-by-hidden" {
  doc    = "A range, a pattern or a list narrows a hidden value down with each answer; so does a join with other values.",
  on     = "sql.statement",
  when   = { columns_searched = hidden },
  unless = { groups = cleared },
  deny   = "Search by a masked column with `column = value` only, or ask somebody who may see it.",
}

rule "few-lookups-by-hidden" {
  doc    = "One value at a time is how customers are found; hundreds are a guess.  Programs look up by the group `service`.",
  on     = "sql.statement",
  when   = { columns_filtered = hidden },
  unless = { groups = { "fraud", "privacy", "service" } },
  limit  = { per = "user", rate = "10/1m" },
}

rule "no-order-by-hidden" {
  doc    = "The order of rows, and which of them fall together, tell hidden values.",
  on     = "sql.statement",
  when   = { columns_sorted = hidden },
  unless = { groups = cleared },
  deny   = "Rows can't be ordered or grouped by a masked column: use another one.",
}

rule "no-explain-by-hidden" {
  doc    = "The planner's estimates are made from the values.",
  on     = "sql.statement",
  when   = { verb = "explain", columns_filtered = hidden },
  unless = { groups = cleared },
  deny   = "The plan of a search by a masked column tells its values: ask somebody who may see them.",
}

rule "no-copies-of-hidden" {
  doc    = "In another column, table or channel nothing would hide it any more.",
  on     = "sql.statement",
  when   = { columns_moved = hidden },
  unless = { groups = cleared },
  deny   = "Values of masked columns can't be copied elsewhere: ask somebody who may see them.",
}

rule "no-dump-of-hidden" {
  doc    = "A dump with masks in it would restore them as if they were the values.",
  on     = "sql.statement",
  when   = { application_name = { "pg_dump", "pg_dumpall" }, columns_read = hidden },
  unless = { groups = cleared },
  deny   = "This table has masked columns: leave it out with pg_dump --exclude-table-data, or ask somebody who may see them.",
}
