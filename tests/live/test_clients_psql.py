#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own programs, direct and through the gateway, with equal answers: psql, pg_dump, pg_restore, pgbench, libpq."""

import re

from every import SHIPPED
from harness import *
from psql_work import SHOWS, TYPED, complete

SQL = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE tickets START 7;
CREATE TABLE kinds (id int PRIMARY KEY, m mood, p pair, n positive, tags text[], at timestamptz DEFAULT now(), doc jsonb);
CREATE INDEX kinds_doc ON kinds USING gin (doc);
COMMENT ON TABLE kinds IS 'one of each';
INSERT INTO kinds VALUES (1, 'ok', (1, 'x'), 5, '{a,b}', '2024-01-02 03:04:05+00', '{"k": [1, 2]}');
CREATE VIEW open_orders AS SELECT id, item FROM orders WHERE state = 'open';
CREATE TABLE parts (at date, v int) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER kinds_stamp BEFORE UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE notes (id int, body text);
"""

def same(w, script, args=("-q",), normal=lambda text: text, **more):
    """psql with this script, direct and through: the same words on both channels."""
    direct, through = w.psql(stdin=script, args=args, direct=True, **more), w.psql(stdin=script, args=args, **more)
    want, got = [(r.code, normal(r.out), normal(r.err)) for r in (direct, through)]
    assert want == got, f"{script}\ndirect:\n{direct!r}\nthrough:\n{through!r}"
    return through


@test
def backslash_commands_show_the_same(w):
    failed = []
    for show in SHOWS:
        try:
            same(w, show + "\n")
        except AssertionError as e:
            failed.append(str(e)[:1500])
    assert not failed, f"{len(failed)} of {len(SHOWS)} differ:\n" + "\n".join(failed)


@test
def session_commands(w):
    same(w, "\\x\nSELECT * FROM kinds;\n\\x auto\nSELECT * FROM orders WHERE id < 3;\n")
    same(w, "SELECT id, price FROM orders WHERE id = 1 \\gdesc\nSELECT 1 AS a, now() AS b \\gdesc\n")
    same(w, "SELECT state, id % 3 AS r, count(*) FROM orders GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview state r\n")
    same(w, "SELECT 5 AS five \\gset\nSELECT :five + 1;\n")
    same(w, "SELECT 'SELECT ' || n FROM generate_series(1, 3) n \\gexec\n")
    same(w, "\\set VERBOSITY default\nSELECT 1/0;\n\\errverbose\nSELECT nowhere FROM orders;\n\\errverbose\n", args=("-q", "-v", "ON_ERROR_STOP=0"))
    same(w, "SELECT 1; SELECT 2\\; SELECT 3;\nSHOW server_version;\nSHOW TimeZone;\n")
    same(w, "\\timing off\n\\pset null (none)\nSELECT NULL;\n\\pset format csv\nSELECT * FROM orders WHERE id < 4;\n")
    same(w, "SET DateStyle = 'SQL, DMY';\nSELECT at::date, at FROM kinds;\nSET IntervalStyle = iso_8601;\nSELECT interval '1 day 2:03';\n"
            "SET TimeZone = 'Asia/Tokyo';\nSELECT at FROM kinds;\nRESET ALL;\nSELECT at FROM kinds;\n")


@test
def transactions_and_rollback_to_savepoint(w):
    script = ("\\set ON_ERROR_ROLLBACK on\nBEGIN;\nINSERT INTO notes VALUES (1, 'kept');\nSELECT 1/0;\nINSERT INTO notes VALUES (2, 'too');\n"
              "SELECT id, body FROM notes ORDER BY 1;\nROLLBACK;\nSELECT count(*) FROM notes;\n")
    same(w, script, args=("-q", "-v", "ON_ERROR_STOP=0"))
    same(w, "BEGIN;\nSELECT 1/0;\nSELECT 1;\nCOMMIT;\n", args=("-v", "ON_ERROR_STOP=0"))
    same(w, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;\nSHOW transaction_isolation;\nINSERT INTO notes VALUES (1, 'x');\nROLLBACK;\n",
         args=("-v", "ON_ERROR_STOP=0"))
    same(w, "BEGIN;\nSAVEPOINT a;\nINSERT INTO notes VALUES (9, 'x');\nROLLBACK TO a;\nRELEASE a;\nCOMMIT AND CHAIN;\nROLLBACK;\n")
    file = w.dir / "one.sql"
    file.write_text("INSERT INTO notes VALUES (5, 'a');\nINSERT INTO notes VALUES (6, 'b');\nSELECT count(*) FROM notes;\nDELETE FROM notes WHERE id IN (5, 6);\n")
    same(w, None, args=("-1", "-f", str(file)))
    file.write_text("INSERT INTO notes VALUES (5, 'a');\nSELECT 1/0;\n")
    same(w, None, args=("-1", "-f", str(file)), normal=lambda t: t)
    assert w.pg.sql("SELECT count(*) FROM notes") == "0"


@test
def copy_to_and_from(w):
    for options in ("", "WITH (FORMAT csv, HEADER)", "WITH (FORMAT binary)"):
        files = []
        for direct in (True, False):
            files.append(w.dir / f"copy-{direct}")
            done = w.psql(f"\\copy (SELECT * FROM orders ORDER BY id) TO '{files[-1]}' {options}", direct=direct)
            assert done.code == 0, repr(done)
        assert files[0].read_bytes() == files[1].read_bytes() != b""
        w.pg.sql("TRUNCATE notes; SET ROLE app_gw; CREATE TABLE IF NOT EXISTS orders_in (LIKE orders)")
        done = w.psql(f"\\copy orders_in FROM '{files[1]}' {options}", args=())
        assert done.code == 0, repr(done)
        assert w.pg.sql("SELECT count(*) FROM ((TABLE orders EXCEPT TABLE orders_in) UNION ALL (TABLE orders_in EXCEPT TABLE orders)) x") == "0"
        w.pg.sql("DROP TABLE orders_in")
    same(w, "COPY orders (id, item) TO STDOUT;\n")
    same(w, "COPY notes FROM STDIN;\n1\tone\nbad\n\\.\nSELECT count(*) FROM notes;\n", args=("-v", "ON_ERROR_STOP=0"))
    same(w, "COPY notes FROM STDIN;\n1\tone\n2\ttwo\n\\.\nSELECT * FROM notes ORDER BY 1;\nDELETE FROM notes WHERE id IN (1, 2);\n")


@test
def tab_completion(w):
    for typed, wanted in TYPED:
        direct, through = complete(w, typed, True), complete(w, typed, False)
        assert direct.lower() == through.lower() and wanted in through.lower(), (typed, direct, through)


def dump(w, direct, *args, check=True):
    done = run(["pg_dump", "-d", w.dsn(direct=direct), *args], env={"PGPASSWORD": w.password(direct=direct)}, timeout=120)
    assert not check or done.code == 0, f"pg_dump {args}: {done!r}"
    done.out = re.sub(r"(?m)^\\(un)?restrict \w+$", r"\\\1restrict", done.out)  # a random word of newer releases
    return done


@test
def dumps(w):
    for args in (("-s",), ("-t", "orders", "-t", "kinds", "-t", "parts*"), ("-s", "-Fp", "--no-owner", "-n", "public"),
                 ("-t", "orders", "--inserts"), ("-t", "orders", "--column-inserts"), ("-t", "numbers", "--data-only")):
        assert dump(w, True, *args).out == dump(w, False, *args).out, args
    out = w.dir / "dir"
    done = dump(w, False, "-Fd", "-j2", "-f", str(out), "-T", "customers")
    assert done.code == 0 and (out / "toc.dat").exists()


@test
def restores(w):
    file = w.dir / "dump.custom"
    dump(w, False, "-Fc", "-T", "customers", "-f", str(file))
    w.pg.sql("CREATE DATABASE fresh OWNER app_gw", "postgres")
    # definitions are a DBA's to approve here: those go direct, the data through the gateway
    done = run(["pg_restore", "-s", "-d", w.dsn("fresh", direct=True), str(file)], env={"PGPASSWORD": w.pg.password})
    assert "errors ignored" not in done.err or "customers" in done.err, repr(done)
    done = run(["pg_restore", "-a", "-d", w.dsn("orders/fresh"), str(file)], env={"PGPASSWORD": w.password()})
    assert done.code == 0, repr(done)
    for table in ("orders", "kinds", "numbers", "parts"):
        assert w.pg.sql(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t", "fresh") == \
            w.pg.sql(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"), table


@test
def a_tagged_table_fails_before_its_first_row(w):
    for args in (("-t", "customers", "--data-only"), ("-t", "customers", "--inserts"), ()):
        done = dump(w, False, *args, check=False)
        assert done.code != 0 and "no-dump-of-hidden" in done.err and "--exclude-table-data" in done.err, f"{args}: {done!r}"
        for text in ("Ada Lovelace", "ada@example.com", "4111111111111111", "1111"):
            assert text not in done.out + done.err, args
    done = dump(w, False, "--exclude-table-data=customers")
    assert "CREATE TABLE public.customers" in done.out, repr(done)


@test
def a_masked_copy_shows_masks(w):
    done = w.psql("COPY customers TO STDOUT")
    assert done.code == 0 and "Ada Lovelace" in done.out and "1111" in done.out and "4111111111111111" not in done.out, repr(done)


@test
def pgbench_runs(w):
    env = {"PGPASSWORD": w.pg.password}
    assert run(["pgbench", "-i", "-q", "-s", "1", w.dsn(direct=True)], env=env, timeout=120).code == 0
    for mode in ("simple", "extended", "prepared"):
        for script in (("-S",), ("-N",), ()):
            done = run(["pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "50", *script, w.dsn()],
                       env={"PGPASSWORD": w.password()}, timeout=120)
            assert done.code == 0 and "number of failed transactions: 0 " in done.out, f"{mode} {script}: {done!r}"
            assert "actually processed: 200/200" in done.out, repr(done)
    file = w.dir / "pipeline.sql"
    file.write_text("\\startpipeline\nSELECT 1;\nSELECT abalance FROM pgbench_accounts WHERE aid = 7;\nSELECT 2;\n\\endpipeline\n")
    for mode in ("extended", "prepared"):
        done = run(["pgbench", "-n", "-M", mode, "-c", "2", "-t", "50", "-f", str(file), w.dsn()], env={"PGPASSWORD": w.password()}, timeout=120)
        assert done.code == 0 and "number of failed transactions: 0 " in done.out, f"{mode}: {done!r}"


main(sql=SQL, policy=SHIPPED)
