-- SPDX-License-Identifier: Apache-2.0
-- A profile for people and programs that only read: by analysis and by the server; give their target a login
-- that may only SELECT besides.

local readers = { "readonly", "auditors" }

rule "readonly-session" {
  doc  = "Whatever analysis may miss: the server itself lets readers' transactions change nothing.",
  on   = "session",
  when = { groups = readers },
  pin  = { default_transaction_read_only = "on" },
}

rule "readonly-no-writes" {
  doc  = "Readers change no data, definition or privilege, and run no code that might.",
  on   = "sql.statement",
  when = { groups = readers, effects = { "write", "ddl", "dcl", "execute", "opaque" } },
  deny = "You have read-only access here.",
}

rule "readonly-no-messages" {
  doc  = "A notification reaches every session that listens; the server sends it from a read-only transaction, too.",
  on   = "sql.statement",
  when = { groups = readers, verb = "notify" },
  deny = "You have read-only access here: no NOTIFY.",
}

rule "readonly-no-messages-by-call" {
  doc  = "The same as a function.",
  on   = "sql.statement",
  when = { groups = readers, functions = "pg_catalog.pg_notify" },
  deny = "You have read-only access here: no pg_notify().",
}

rule "readonly-no-locks" {
  doc    = "Readers don't keep others from writing; pg_dump's LOCK … IN ACCESS SHARE MODE does not.",
  on     = "sql.statement",
  when   = { groups = readers, locking = true },
  unless = { verb = "lock", options = "access share" },
  deny   = "You have read-only access here: no FOR UPDATE and no LOCK.",
}
