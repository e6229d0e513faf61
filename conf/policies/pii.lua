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
