-- SPDX-License-Identifier: Apache-2.0
-- Statements that reach past the database: files, programs, other servers, the server itself.

local operators = "dba"

rule "no-copy-program" {
  doc  = "COPY … PROGRAM runs a command on the database server.",
  on   = "sql.statement",
  when = { copy = { "program in", "program out" } },
  deny = "COPY … PROGRAM is not allowed: use \\copy, or COPY … STDIN and STDOUT.",
}

rule "no-copy-file" {
  doc  = "COPY to and from a file reads and writes files of the database server.",
  on   = "sql.statement",
  when = { copy = { "file in", "file out" } },
  deny = "COPY with a file of the server is not allowed: use \\copy, or COPY … STDIN and STDOUT.",
}

rule "no-server-files" {
  doc  = "Functions that read, write or list files of the database server.",
  on   = "sql.statement",
  when = {
    functions = {
      prefix "pg_catalog.pg_read_", prefix "pg_catalog.pg_ls_", "pg_catalog.pg_stat_file", "pg_catalog.pg_current_logfile",
      "pg_catalog.pg_hba_file_rules", "pg_catalog.pg_ident_file_mappings", "pg_catalog.pg_show_all_file_settings",
      "pg_catalog.lo_import", "pg_catalog.lo_export", matches [[\.pg_file_\w+$]],
    },
  },
  deny = "Files of the database server can't be reached through the gateway.",
}

rule "no-other-servers" {
  doc  = "From inside the database to other servers: past every rule of theirs.",
  on   = "sql.statement",
  when = { functions = { matches [[\.dblink(_\w+)?$]], matches [[\.http(_\w+)?$]], matches [[\.aws_\w+$]] } },
  deny = "Connect to that server through the gateway instead.",
}

rule "no-code" {
  doc  = "Libraries and languages run as the database server itself.",
  on   = "sql.statement",
  when = { verb = { "load", "create language", "create extension", "create transform" } },
  deny = "Libraries, languages and extensions are installed by the server's operator.",
}

rule "server-control-needs-approval" {
  doc     = "Other people's sessions, replication, backups and logs.",
  on      = "sql.statement",
  when    = {
    functions = {
      "pg_catalog.pg_cancel_backend", "pg_catalog.pg_terminate_backend", "pg_catalog.pg_reload_conf",
      prefix "pg_catalog.pg_rotate_logfile", "pg_catalog.pg_promote", "pg_catalog.pg_switch_wal", prefix "pg_catalog.pg_wal_replay_",
      "pg_catalog.pg_create_restore_point", prefix "pg_catalog.pg_backup_", prefix "pg_catalog.pg_stat_reset",
      matches [[^pg_catalog\.pg_(create|copy|drop)_\w*replication_slot$]], prefix "pg_catalog.pg_logical_slot_",
      "pg_catalog.pg_replication_slot_advance", prefix "pg_catalog.pg_replication_origin_", "pg_catalog.pg_logical_emit_message",
      prefix "pg_catalog.binary_upgrade_", "pg_catalog.pg_import_system_collations",
      "pg_catalog.pg_log_backend_memory_contexts", "pg_catalog.pg_nextoid",
    },
  },
  approve = { by = operators, within = "15m", reason = true },
}

rule "no-sleep" {
  doc  = "pg_sleep() holds a connection, and tells secrets by how long it takes.",
  on   = "sql.statement",
  when = { functions = prefix "pg_catalog.pg_sleep" },
  deny = "pg_sleep() is not allowed: wait in the client.",
}
