#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pinned read-only session: PG13, MK11.  Every rule of analysis is taken away and what is unclear is let through, so that nothing
but the pin stands between a reader and the data; each way in is first shown to write for somebody who is not pinned."""

from harness import *
from wire import Closed, Wire, SYNC, bind, execute, fields, parse, query

PINNED = """
rule "readonly-session" { on = "session", when = { groups = "readonly" }, pin = { default_transaction_read_only = "on" } }
"""
OPEN = """
local everybody = { user = prefix "" }
rule "any-function" { on = "sql.statement", when = everybody, allow = { unclear = "function", name = prefix "" } }
rule "any-code"     { on = "sql.statement", when = everybody, allow = { unclear = "code", name = prefix "" } }
rule "any-setting"  { on = "sql.statement", when = everybody, allow = { unclear = "setting", name = prefix "" } }
"""
SHIPPED = "\n".join(f"do\n{(TOP / 'conf' / 'policies' / name).read_text()}\nend" for name in ("clients.lua", "readonly.lua"))

SQL = """
CREATE TABLE tally (n int);
INSERT INTO tally VALUES (1);
CREATE SEQUENCE serial_of;
CREATE MATERIALIZED VIEW still AS SELECT count(*) FROM tally;
CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'INSERT INTO public.tally VALUES (1) RETURNING 1';
CREATE FUNCTION unpins() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN
  RETURN set_config('default_transaction_read_only', 'off', false); END $$;
CREATE FUNCTION unpins_by_itself() RETURNS int LANGUAGE sql SET default_transaction_read_only = off SET transaction_read_only = off
  AS 'INSERT INTO public.tally VALUES (1) RETURNING 1';
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN
  PERFORM set_config('default_transaction_read_only', 'off', false); COMMIT; INSERT INTO tally VALUES (1); END $$;
CREATE VIEW calm AS SELECT public.unpins() AS harmless;
CREATE FUNCTION adds(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1 FROM public.unpins()';
CREATE OPERATOR public.@+ (LEFTARG = int, RIGHTARG = int, FUNCTION = adds);
CREATE DOMAIN careful AS int CHECK (public.unpins() IS NOT NULL);
CREATE TABLE guarded (n int);
INSERT INTO guarded VALUES (1);
CREATE FUNCTION sees(int) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT public.unpins() IS NOT NULL';
CREATE POLICY p ON guarded USING (sees(n));
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
RESET ROLE;
CREATE ROLE app_ro;
"""

READER = "dev,readonly"  # who may come in, and is pinned
WRITE = "INSERT INTO tally VALUES (1)"
OFF = "SET default_transaction_read_only = off"

# Each way is a session: statements one after the other, whatever some of them answer.
WAYS = [
    [WRITE],
    ["UPDATE tally SET n = n + 1"],
    ["DELETE FROM tally WHERE ctid = (SELECT max(ctid) FROM tally)"],
    ["TRUNCATE tally; INSERT INTO tally SELECT generate_series(1, 1 + (random() * 1000)::int)"],
    ["WITH w AS (INSERT INTO tally VALUES (1) RETURNING n) SELECT * FROM w"],
    ["MERGE INTO tally t USING (VALUES (1)) v (n) ON false WHEN NOT MATCHED THEN INSERT VALUES (v.n)"],
    ["COPY tally FROM PROGRAM 'echo 1'", "\\copy tally FROM PROGRAM 'echo 1'"],
    ["SELECT nextval('serial_of')"],
    ["SELECT setval('serial_of', 1 + (random() * 1000000)::int)"],
    ["CREATE TABLE made_by_{n} (n int)"],
    ["SELECT 1 AS n INTO made_by_{n}"],
    ["CREATE TABLE made_by_{n} AS SELECT 1 AS n"],
    ["GRANT SELECT ON tally TO app_ro", "REVOKE SELECT ON tally FROM app_ro", "COMMENT ON TABLE tally IS 'way {n}'"],
    ["EXPLAIN ANALYZE " + WRITE],
    ["BEGIN READ WRITE; " + WRITE + "; COMMIT"],
    ["BEGIN READ WRITE", WRITE, "COMMIT"],
    ["BEGIN", "SET TRANSACTION READ WRITE", WRITE, "COMMIT"],
    ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", WRITE, "COMMIT"],
    ["BEGIN READ ONLY", "SET TRANSACTION READ WRITE", WRITE, "COMMIT"],
    ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", WRITE],
    [OFF, WRITE],
    [OFF + "; " + WRITE],
    ["BEGIN; SET LOCAL transaction_read_only = off; " + WRITE + "; COMMIT"],
    ["BEGIN", "SET transaction_read_only TO DEFAULT", WRITE, "COMMIT"],
    ["BEGIN", "RESET transaction_read_only", WRITE, "COMMIT"],
    ["SELECT set_config('default_transaction_read_only', 'off', false)", WRITE],
    ["BEGIN", "SELECT set_config('transaction_read_only', 'off', true)", WRITE, "COMMIT"],
    ["SELECT set_config('default_' || 'transaction_read_only', 'off', false)", WRITE],
    ["SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'default_transaction_read_only'", WRITE],
    ["UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'", WRITE],
    ["RESET default_transaction_read_only", WRITE],
    ["RESET ALL", WRITE],
    ["DISCARD ALL", WRITE],
    ["SET default_transaction_read_only TO DEFAULT", WRITE],
    ["SELECT writes()"],
    ["SELECT unpins_by_itself()"],
    ["SELECT unpins()", WRITE],
    ["SELECT unpins(); " + WRITE],
    ["SELECT * FROM calm", WRITE],
    ["SELECT * FROM calm; " + WRITE],
    ["SELECT * FROM calm; COMMIT; " + WRITE],
    ["BEGIN; SELECT * FROM calm; COMMIT; BEGIN; " + WRITE + "; COMMIT"],
    ["SELECT * FROM guarded", WRITE],
    ["SELECT * FROM guarded; COMMIT; " + WRITE],
    ["SELECT 1::careful; END; " + WRITE],
    ["SELECT 1::careful; ROLLBACK; SELECT 1; COMMIT; SELECT set_config('search_path', 'public', false); " + WRITE + "; SELECT 1::careful; COMMIT; " + WRITE],
    ["SELECT 1 @+ 2", WRITE],
    ["CALL commits()"],
    ["DO $$ BEGIN INSERT INTO tally VALUES (1); END $$"],
    ["DO $$ BEGIN SET default_transaction_read_only = off; COMMIT; INSERT INTO tally VALUES (1); END $$"],
    ["PREPARE p AS SELECT set_config('default_transaction_read_only', 'off', false)", "EXECUTE p", WRITE],
    ["BEGIN", "DECLARE c CURSOR FOR SELECT set_config('default_transaction_read_only', 'off', false)", "FETCH c", "COMMIT", WRITE],
    ["SELECT query_to_xml('SELECT set_config(''default_transaction_read_only'', ''off'', false)', true, true, '')", WRITE],
    ["COPY (SELECT set_config('default_transaction_read_only', 'off', false)) TO STDOUT", WRITE],
    ["CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS '" + WRITE + " RETURNING 1'", "SELECT pg_temp.f()"],
    ["BEGIN", "ROLLBACK AND CHAIN", WRITE, "COMMIT"],
    ["REFRESH MATERIALIZED VIEW still; " + WRITE],
]

STATE = """SELECT md5(string_agg(x, '|' ORDER BY x)) FROM (
  SELECT ctid || ':' || n FROM tally UNION ALL SELECT 's' || last_value || is_called FROM serial_of
  UNION ALL SELECT relname || relfilenode || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT description FROM pg_description WHERE objoid = 'tally'::regclass) t (x)"""


def policy(w, text):
    if w.gateway.policy != text:
        w.gateway.policy = text
        w.gateway.write()
        done = w.gateway.reload()
        assert done.code == 0, repr(done)


def walk(w, way, n, groups):
    args = ["-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"]
    for text in way:
        args += ["-c", text.replace("{n}", f"{n}_{len(groups)}")]
    return w.psql(args=args, groups=groups)


@test
def every_way_to_write(w):
    policy(w, PINNED + OPEN)
    blind, wrote, direct = [], [], Wire.direct(w)
    for n, way in enumerate(WAYS):
        for groups, bad in (("dev", blind), (READER, wrote)):
            before = direct.values(STATE)
            got = walk(w, way, n, groups)
            if (direct.values(STATE) == before) == (groups == "dev"):
                bad.append(f"{way}: {got!r}")
            if groups == READER and "ERROR" not in got.err and "FATAL" not in got.err:
                bad.append(f"{way} was not refused: {got!r}")
    direct.close()
    assert not wrote, f"{len(wrote)} ways write in a pinned session:\n" + "\n".join(wrote)
    assert not blind, f"{len(blind)} ways prove nothing:\n" + "\n".join(blind)


@test
def in_one_pipeline(w):
    """By messages that are under way together: nobody waits for the answer of the first."""
    policy(w, PINNED + OPEN)
    direct = Wire.direct(w)
    firsts = (OFF, "SELECT unpins()", "BEGIN READ WRITE", "SELECT set_config('transaction_read_only', 'off', true)", "SELECT * FROM calm",
              "SELECT * FROM guarded", "SELECT 1::careful")
    for first in firsts:
        for between in ([], [SYNC], [parse("c", "COMMIT"), bind("", "c"), execute()], [SYNC, query("SELECT 1; COMMIT")]):
            for groups, writes in (("dev", True), (READER, False)):
                before = direct.values(STATE)
                c = Wire.through(w, groups=groups)
                c.send(parse("", first), bind(), execute(), *between, parse("", WRITE), bind(), execute(), SYNC, query("COMMIT"), query(WRITE),
                       query("COMMIT"))
                try:
                    for _ in range(4 + (SYNC in between) + len([b for b in between if b[:1] == b"Q"])):
                        c.until_ready()
                except (Closed, OSError):
                    pass
                c.close()
                assert (direct.values(STATE) != before) == writes, f"{first}, {between}: {groups}"
    direct.close()


@test
def at_startup(w):
    policy(w, PINNED + OPEN)
    for groups, allowed in (("dev", True), (READER, False)):
        for name in ("default_transaction_read_only", "Default_Transaction_Read_Only"):
            for parameters in ({name: "off"}, {"options": f"-c {name}=off"}, {"options": f"-c{name}=0"}, {"options": f"--{name}=false"}):
                try:
                    c = Wire.through(w, groups=groups, **parameters)
                    c.close()
                    assert allowed, f"{parameters} was let in"
                except AssertionError as e:
                    assert not allowed and "42501" in str(e), f"{groups} {parameters}: {e}"
    for parameters in ({"options": "-c default_transaction_read_only=on"}, {"default_transaction_read_only": "true"}, {}):
        c = Wire.through(w, groups=READER, **parameters)
        c.send(query("SHOW default_transaction_read_only"))
        assert any(b"on" in body for kind, body in c.until_ready() if kind == "D"), parameters
        c.close()


@test
def what_stays_on(w):
    """RESET and DISCARD bring back what the gateway said at startup, whatever the role or the database has."""
    policy(w, PINNED + OPEN)
    w.pg.sql("ALTER ROLE app_gw IN DATABASE orders SET default_transaction_read_only = off; ALTER DATABASE orders SET default_transaction_read_only = off")
    for reset in ("RESET default_transaction_read_only", "RESET ALL", "DISCARD ALL", "SET default_transaction_read_only TO DEFAULT",
                  "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET default_transaction_read_only = true", "BEGIN READ ONLY; COMMIT"):
        got = w.psql(args=["-A", "-t", "-q", "-c", reset, "-c", "SHOW default_transaction_read_only", "-c", "SHOW transaction_read_only"],
                     groups=READER)
        assert got.code == 0 and got.out.split() == ["on", "on"], f"{reset}: {got!r}"
    w.pg.sql("ALTER ROLE app_gw IN DATABASE orders RESET ALL; ALTER DATABASE orders RESET ALL")
    w.pg.sql("ALTER SYSTEM SET default_transaction_read_only = off", "postgres")
    c = Wire.through(w, groups=READER)
    w.pg.sql("SELECT pg_reload_conf()")
    c.send(query("SELECT pg_sleep(0.3)"), query(WRITE))
    c.until_ready()
    assert any(fields(body).get("C") == "25006" for kind, body in c.until_ready() if kind == "E")
    c.close()
    w.pg.sql("ALTER SYSTEM RESET default_transaction_read_only", "postgres")
    w.pg.sql("SELECT pg_reload_conf()")


@test
def a_timeout_stays(w):
    policy(w, OPEN + 'rule "short" { on = "session", when = { groups = "readonly" }, pin = { statement_timeout = "300ms" } }')
    for first in ("SET statement_timeout = 0", "SET LOCAL statement_timeout TO '1h'", "SELECT set_config('statement_timeout', '0', false)",
                  "RESET statement_timeout", "RESET ALL", "DISCARD ALL"):
        got = w.psql(args=["-A", "-t", "-q", "-v", "ON_ERROR_STOP=0", "-c", first, "-c", "SELECT pg_sleep(20)"], groups=READER)
        assert "57014" in got.err and ("42501" in got.err) == (first[0] == "S"), f"{first}: {got!r}"
    got = w.psql(args=["-A", "-t", "-q", "-c", "SET statement_timeout = '300ms'", "-c", "BEGIN READ WRITE", "-c", "COMMIT"], groups=READER)
    assert got.code == 0, repr(got)


@test
def the_refusal_says_why(w):
    policy(w, PINNED + OPEN)
    got = w.psql(OFF, groups=READER)
    assert 'blocked by rule "readonly-session": default_transaction_read_only stays "on" in this session' in got.err and "42501" in got.err, repr(got)
    name = re.search(r"sallyport explain (\S+)", got.err).group(1)
    told = w.command("explain", name)
    assert told.code == 0 and 'rule "readonly-session" must not apply' in told.out, repr(told)
    got = w.psql("SELECT unpins()", groups=READER)
    assert "code that can't be seen might change it" in got.err, repr(got)


@test
def the_target_tells_when_it_is_off(w):
    """Code that no analysis of the statement shows: a row policy of the owner's."""
    policy(w, PINNED + OPEN)
    before = w.pg.sql(STATE)
    got = w.psql(args=["-A", "-t", "-q", "-v", "ON_ERROR_STOP=0", "-c", "SELECT * FROM guarded", "-c", WRITE], groups=READER)
    assert "FATAL:  42501: default_transaction_read_only is pinned" in got.err, repr(got)
    assert w.pg.sql(STATE) == before


@test
def a_reload_that_pins_ends_live_sessions(w):
    policy(w, OPEN)
    c, other = Wire.through(w, groups=READER), Wire.through(w, groups="dev")
    for one in (c, other):
        one.send(query("SELECT 1"))
        one.until_ready()
    policy(w, PINNED + OPEN)
    try:
        c.send(query(WRITE))
        messages = c.until_ready()
        raise AssertionError(f"the session goes on: {messages}")
    except (Closed, OSError):
        pass
    other.send(query("SELECT 1"))
    other.until_ready()
    pinned = Wire.through(w, groups=READER)
    policy(w, OPEN)  # pins less: it keeps what it has
    pinned.send(query(WRITE))
    assert any(fields(body).get("C") == "25006" for kind, body in pinned.until_ready() if kind == "E")
    for one in (c, other, pinned):
        one.close()


@test
def clients_work(w):
    policy(w, SHIPPED)
    env = {"PGHOST": "127.0.0.1", "PGPORT": str(w.gateway.port), "PGUSER": "ann", "PGDATABASE": "orders",
           "PGPASSWORD": w.password("ann", READER, None, False)}
    for args in (("-t", "orders"), ("-s", "-t", "orders"), ("-a", "-t", "tally")):
        through = run(["pg_dump", *args], env=env)
        direct = run(["pg_dump", *args, "-h", w.pg.folder, "-p", w.pg.port, "-U", "app_gw", "orders"])
        plain = [[line for line in d.out.splitlines() if "restrict " not in line] for d in (through, direct)]
        assert through.code == 0 and plain[0] == plain[1], f"{args}: {through!r}"
    for command in (r"\d", r"\d orders", r"\dt+", r"\df", r"\conninfo", "SELECT count(*) FROM orders", "BEGIN; SELECT 1; COMMIT", "DISCARD ALL",
                    "RESET ALL", "SET search_path = public", "SHOW transaction_read_only", "COPY orders TO STDOUT"):
        got = w.psql(command, groups=READER)
        assert got.code == 0 and "42501" not in got.err, f"{command}: {got!r}"
    done = run(["pgbench", "-n", "-f", "-", "-t", "5"], env=env, stdin="SELECT count(*) FROM orders;")
    assert done.code == 0, repr(done)


@test
def what_the_server_lets_pass(w):
    """The pin is a lock of three: what a read-only transaction still may do is refused by analysis."""
    lets = ["SELECT lo_create(0)"] if int(w.pg.sql("SHOW server_version_num")) < 160000 else []
    lets += ["VACUUM tally", "REINDEX TABLE tally", "NOTIFY x"]
    policy(w, PINNED + OPEN)
    for text in lets:
        got = w.psql(text, groups=READER)
        assert got.code == 0, f"{text}: {got!r}"
    policy(w, SHIPPED)
    for text in lets + ["SELECT pg_notify('x', 'told')", "BEGIN; NOTIFY x, 'told'", "SELECT (SELECT pg_notify('x', note) FROM orders LIMIT 1)"]:
        got = w.psql(text, groups=READER)
        assert got.code != 0 and 'blocked by rule "readonly-no-' in got.err, f"{text}: {got!r}"


@test
def a_catalogue_login_needs_no_rights(w):
    """The gateway reads definitions by a login that may connect and nothing else; what operators.md asks of it is so."""
    w.pg.sql("CREATE ROLE app_catalogue LOGIN PASSWORD 'catalogue-only'; REVOKE ALL ON DATABASE orders FROM PUBLIC; "
             "GRANT CONNECT ON DATABASE orders TO app_catalogue; REVOKE ALL ON SCHEMA public FROM PUBLIC")
    secret = w.gateway.dir / "keeper" / "catalogue.secret"
    secret.write_text("catalogue-only\n")
    secret.chmod(0o600)
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    w.gateway.target_extra = f"catalogue user=app_catalogue secret=file:{secret};"
    w.gateway.policy = POLICY
    w.gateway.write()
    assert w.gateway.stop()  # a worker keeps the connection that it has
    w.gateway.start()
    got = w.psql("SELECT email, id FROM customers WHERE id = 1")
    assert got.code == 0 and "ada@example.com" not in got.out and got.out.endswith("|1"), repr(got)
    logins = w.pg.sql("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'sallyport catalogue%'").split()
    assert "app_catalogue" in logins, logins
    rights = w.pg.sql("SELECT rolsuper OR rolbypassrls OR rolcreaterole OR pg_has_role(oid, 'pg_read_server_files', 'MEMBER') "
                      "OR pg_has_role(oid, 'pg_execute_server_program', 'MEMBER') OR has_column_privilege(rolname, 'public.customers', 'email', 'SELECT') "
                      "FROM pg_roles WHERE rolname = 'app_catalogue'")
    assert rights == "f", rights


main(policy=PINNED + OPEN, sql=SQL, workers=1)
