#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A migration is one decision: a file, approved as a whole, spent in order by one later session (P7, AP1 to AP6)."""

import threading

from harness import *
from wire import *

try:
    import psycopg
except ImportError:
    psycopg = None
try:
    import psycopg2
except ImportError:
    psycopg2 = None

RULES = """
rule "no-unbounded-write" {
  doc  = "DELETE and UPDATE must name the rows they change.",
  on   = "sql.statement",
  when = { verb = { "delete", "update" }, where = false },
  deny = "Add a WHERE clause that is not always true.",
}
rule "definitions-need-dba" {
  doc     = "Definitions wait for a DBA.",
  on      = "sql.statement",
  when    = { effects = "ddl" },
  approve = { by = "dba", within = "5m", ["else"] = "fail" },
}
rule "orders-need-dba" {
  doc     = "So do changes to orders.",
  on      = "sql.statement",
  when    = { effects = "write", tables = "public.orders" },
  approve = { by = "dba", within = "5m", ["else"] = "fail" },
}
"""
HISTORY = "SET ROLE app_gw; CREATE TABLE history (version text PRIMARY KEY, checksum bigint, at timestamptz DEFAULT now());"
OTHER = """
target other {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     user=app_gw secret=file:{dir}/keeper/orders.secret;
    database  orders;
    allow     groups=dev;
    policy    {dir}/policies/orders.lua;
}}
"""

FILE = """\
-- one table; and its first row
CREATE TABLE {t} (id int PRIMARY KEY, note text);
SELECT count(*) FROM {t};
INSERT INTO {t} VALUES (1, 'a;b');  /* nobody need approve this one */
UPDATE orders SET state = '{t}'
 WHERE id = 1;
DROP TABLE {t};
"""
count = 0


def fresh():
    global count
    count += 1
    return f"m{count}"


def dora(w):
    return w.token("dora", "dba", api=True)


def request(w, text, user="ann", *more):
    path = w.dir / "migrate.sql"
    path.write_text(text)
    return w.command("request", "orders", "--file", path, "--by", "dba", "--reason", "release 7", "--json", *more, token=w.token(user, "dev", api=True))


def approved(w, text, user="ann", *more):
    done = request(w, text, user, *more)
    assert done.code == 0, repr(done)
    assert w.command("approve", done.json["id"], token=dora(w)).code == 0
    return done.json["id"]


def state(w, id):
    return w.command("requests", id, "--json", token=dora(w)).json["state"]


def clean(w):
    """Nothing waits that a test left."""
    for r in w.requests():
        if r["state"] == "waiting" and r["kind"] == "operation":
            assert w.command("deny", r["id"], token=dora(w)).code == 0


def run(w, text, *args, user="ann", database="orders"):
    path = w.dir / "run.sql"
    path.write_text(text)
    return w.psql(None, ("-A", "-t", "-q", *args, "-f", str(path)), user=user, database=database)


def refused(w, got, why="run the same again once it is approved"):
    assert got.code != 0 and why in got.err, repr(got)
    clean(w)


@test
def psql_runs_it_as_it_stands(w):
    for args in ((), ("-1",)):
        t = fresh()
        text = FILE.format(t=t)
        done = request(w, text)
        assert done.code == 0 and done.json["kind"] == "file", repr(done)
        id = done.json["id"]
        refused(w, run(w, text, *args))  # asking is not having
        own = w.command("approve", id, token=w.token("ann", "dba", api=True))
        assert own.code == 1 and "own request" in own.err, repr(own)
        shown = w.command("requests", id, token=dora(w))
        for line in text.splitlines():
            assert line in shown.out, (line, shown.out)
        assert "release 7" in shown.out and done.json["hash"][:12] in shown.out, shown.out
        assert w.command("approve", id, token=dora(w)).code == 0
        got = run(w, text, *args)
        assert got.code == 0 and got.out == "0", repr(got)
        assert w.pg.sql("SELECT state FROM orders WHERE id = 1") == t
        assert w.pg.sql(f"SELECT to_regclass('{t}') IS NULL") == "t"
        assert state(w, id) == "used", state(w, id)
        refused(w, run(w, text, *args))  # once
    seen = [line.get("event") for line in w.gateway.audit() if line.get("request") == id]
    assert seen == ["asked", "vote for", "approved", "file run", "file run", "file run", "used"], seen


@test
def all_of_it_in_one_message(w):
    text = f"UPDATE orders SET state = 'one' WHERE id = 2; -- two\nSELECT 1;\nCREATE TABLE {fresh()} (id int);\n"
    refused(w, w.psql(text))
    id = approved(w, text)
    refused(w, w.psql(text + "DROP TABLE orders;"))
    got = w.psql(text)
    assert got.code == 0 and state(w, id) == "used", (got, state(w, id))


@test
def only_its_bytes_in_its_order(w):
    for change in (lambda s: s.replace("WHERE id = 1", "WHERE id = 2"), lambda s: s.replace(" WHERE", "  WHERE"),
                   lambda s: s.replace("SELECT count(*)", "SELECT count(id)"),  # what nobody approves is of the file, too
                   lambda s: "\n".join(s.splitlines()[:2] + s.splitlines()[4:]), lambda s: "DROP TABLE orders;\n" + s,
                   lambda s: s.replace("INSERT", "DELETE FROM orders WHERE id = 3; INSERT", 1)):
        t = fresh()
        text = FILE.format(t=t)
        id = approved(w, text)
        assert change(text) != text
        refused(w, run(w, change(text)))
        assert w.pg.sql("SELECT count(*) FROM orders WHERE id <= 3") == "3"
        assert w.pg.sql(f"SELECT state FROM orders WHERE id = 1") != t
        w.pg.sql(f"DROP TABLE IF EXISTS {t}")
        assert state(w, id) in ("approved", "withdrawn"), state(w, id)
    t = fresh()  # the last one first
    text = f"CREATE TABLE {t}(id int);\nDROP TABLE {t};\n"
    w.pg.sql(f"SET ROLE app_gw; CREATE TABLE {t}(id int)")
    approved(w, text)
    refused(w, run(w, f"DROP TABLE {t};\nCREATE TABLE {t}(id int);\n"))
    w.pg.sql(f"DROP TABLE {t}")


@test
def for_who_asked_and_where(w):
    t = fresh()
    text = FILE.format(t=t)
    id = approved(w, text)
    refused(w, run(w, text, user="bob"))
    refused(w, run(w, text, database="other"))
    refused(w, run(w, f"SET search_path = pg_catalog, public;\n{text}"))
    assert state(w, id) == "approved"
    assert run(w, text).code == 0


@test
def what_was_decided_under_other_rules_is_void(w):
    t = fresh()
    text = FILE.format(t=t)
    asked, id = request(w, text).json["id"], approved(w, text)
    g = w.gateway
    g.policy = RULES + '-- changed\nrule "more" { doc = "More.", on = "sql.statement", when = { verb = "merge" }, deny = "no" }\n'
    g.write()
    assert g.reload().code == 0
    try:
        refused(w, run(w, text))
        late = w.command("approve", asked, token=dora(w))
        assert late.code == 1, repr(late)
    finally:
        g.policy = RULES
        g.write()
        assert g.reload().code == 0
    assert run(w, text).code == 0 and state(w, id) == "used"


@test
def its_window_and_its_people(w):
    t = fresh()
    text = FILE.format(t=t)
    id = approved(w, text, "ann", "--for", "1s")
    wait_for(lambda: state(w, id) == "expired", said="its window does not end")
    refused(w, run(w, text))
    # The asker named people whom the rules do not ask: that approves nothing.
    done = w.command("request", "orders", "--file", w.dir / "migrate.sql", "--by", "leads", "--reason", "x", "--json", token=w.token("ann", "dev", api=True))
    assert w.command("approve", done.json["id"], token=w.token("lea", "leads", api=True)).code == 0
    refused(w, run(w, text))
    # Taken back by who asked, before and after the approval.
    for ask in (lambda: request(w, text).json["id"], lambda: approved(w, text)):
        assert w.command("end", ask(), token=w.token("ann", "dev", api=True)).code == 0
        refused(w, run(w, text))


@test
def a_later_session_and_one_only(w):
    if psycopg2 is None:
        skip("python3-psycopg2 is not installed")
    t = fresh()
    text = f"CREATE TABLE {t}(id int);\nDROP TABLE {t};\n"
    first, second = text.split("\n")[:2]

    def session():
        c = psycopg2.connect(w.dsn(), password=w.password())
        c.autocommit = True
        return c

    def tries(c, sql):
        try:
            c.cursor().execute(sql)
            return True
        except psycopg2.Error as e:
            assert "run the same again" in str(e), e
            return False
    before = session()
    id = approved(w, text)
    assert not tries(before, first), "it began before the decision"
    clean(w)
    both, done = [session(), session()], {}
    threads = [threading.Thread(target=lambda c=c: done.__setitem__(c, tries(c, first))) for c in both]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(done.values()) == [False, True], done
    clean(w)
    winner = both[0] if done[both[0]] else both[1]
    loser = both[1] if winner is both[0] else both[0]
    assert not tries(loser, second), "it is the other session's"
    clean(w)
    w.command("sessions")
    assert tries(winner, second)
    assert state(w, id) == "used"
    # Rolled back in the middle: what is spent stays spent, and the session's end is the file's.
    id = approved(w, text)
    c = session()
    c.cursor().execute("BEGIN")
    assert tries(c, first)
    c.cursor().execute("ROLLBACK")
    assert not tries(c, first)
    clean(w)
    for one in (before, *both, c):
        one.close()
    wait_for(lambda: state(w, id) == "withdrawn", said="the file outlives its session")
    refused(w, run(w, text))


@test
def like_flyway_with_connections_and_statements_of_its_own(w):
    if psycopg2 is None:
        skip("python3-psycopg2 is not installed")
    t = fresh()
    text = FILE.format(t=t)
    id = approved(w, text)
    history, work = (psycopg2.connect(w.dsn(), password=w.password()) for _ in range(2))
    h = history.cursor()
    h.execute("SELECT version FROM history ORDER BY at FOR UPDATE")
    m = work.cursor()
    m.execute("SELECT current_schema()")
    for statement in re.split(r";(?:  /\*.*\*/)?\n", text)[:-1]:
        m.execute(statement)
        m.execute("SELECT 1")  # is it alive?
    work.commit()
    h.execute("INSERT INTO history(version, checksum) VALUES (%s, %s)", (t, 42))
    history.commit()
    history.close()
    work.close()
    assert w.pg.sql(f"SELECT state || ' ' || version FROM orders, history WHERE id = 1 AND version = '{t}'") == f"{t} {t}"
    assert state(w, id) == "used"


@test
def like_an_orm_by_the_extended_protocol(w):
    if psycopg is None:
        skip("python3-psycopg is not installed")
    t = fresh()
    statements = [f"CREATE TABLE {t} (id int PRIMARY KEY)", f"UPDATE orders SET state = '{t}' WHERE id = 1", f"DROP TABLE {t}"]
    id = approved(w, ";\n".join(statements) + ";\n")
    with psycopg.connect(w.dsn(), password=w.password()) as c:
        assert c.execute("SELECT count(*) FROM history WHERE version = %s", (t,)).fetchone() == (0,)
        for n, statement in enumerate(statements):
            c.execute(statement, prepare=n == 1)
        c.execute("INSERT INTO history(version, checksum) VALUES (%s, %s)", (t, 1))
    assert w.pg.sql(f"SELECT state FROM orders WHERE id = 1") == t and state(w, id) == "used"
    # A statement with parameters is none that anybody has read.
    approved(w, f"UPDATE orders SET state = 'x' WHERE id = 1;\n")
    with psycopg.connect(w.dsn(), password=w.password(), autocommit=True) as c:
        try:
            c.execute("UPDATE orders SET state = %s WHERE id = 1", ("x",))
            raise AssertionError("it ran")
        except psycopg.Error as e:
            assert "run the same again" in str(e), e
    clean(w)


@test
def a_keeper_that_starts_again_goes_on_with_it(w):
    if psycopg2 is None:
        skip("python3-psycopg2 is not installed")
    t = fresh()
    text = f"CREATE TABLE {t}(id int);\nDROP TABLE {t};\n"
    id, left = approved(w, text), approved(w, FILE.format(t=fresh()))
    c = psycopg2.connect(w.dsn(), password=w.password())
    c.autocommit = True
    c.cursor().execute(text.split("\n")[0])
    pid = w.gateway.children()["keeper"][0]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: w.gateway.children().get("keeper", [pid])[0] != pid, said="no new keeper came")
    wait_for(lambda: w.command("status").code == 0, said="it does not answer")
    wait_for(lambda: w.sessions(live=True), said="the session was not taken up again")
    c.cursor().execute(text.split("\n")[1])
    assert state(w, id) == "used" and state(w, left) == "approved"
    c.close()


@test
def what_nobody_could_read_is_refused(w):
    for text, why in (("\\i other.sql\n", "psql's own"), ("SELECT 'a\n", "does not end"), ("COPY orders FROM stdin;\n1\n\\.\n", "inline data"),
                      ("-- nothing\n", "no statement"), ("SELECT 1;\n" + "-- x\n" * 60000, "a person has to read it")):
        done = request(w, text)
        assert done.code == 1 and why in done.err, (text[:40], repr(done))
    done = request(w, "SELECT 1 -- \u202e\x1b[2J\n;\n")
    assert done.code == 0, repr(done)
    shown = w.command("requests", done.json["id"], token=dora(w))
    assert "\u202e" not in shown.out and "\x1b" not in shown.out and "202" in shown.out, shown.out  # AP2
    clean(w)


def held(c, sql):
    """The id of the request that the query makes; None: it ran."""
    c.send(query(sql))
    seen = c.until_ready()
    errors = [fields(body)["M"] for kind, body in seen if kind == "E"]
    assert not errors or "run the same again" in errors[0], errors
    return re.search(r"request (\S+)", errors[0])[1] if errors else None


def say(c, *messages):
    c.send(b"".join(messages))
    return c.until_ready()


@test
def what_execute_runs_is_what_was_approved(w):
    """P7, AP1: the text behind a prepared statement's name is seen, and bound."""
    c, again = Wire.through(w), "PREPARE z{} AS SELECT 1"
    say(c, parse("m", "UPDATE orders SET state = 'fine' WHERE id = 4"), SYNC)
    say(c, query(again.format(1)))
    id = held(c, "EXECUTE m")
    shown = w.command("requests", id, token=dora(w))
    assert "UPDATE orders SET state = 'fine' WHERE id = 4" in shown.out, shown.out
    assert w.command("approve", id, token=dora(w)).code == 0
    say(c, close("S", "m"), parse("m", "UPDATE orders SET state = 'evil' WHERE id > 0"), SYNC)
    say(c, query(again.format(2)))
    other = held(c, "EXECUTE m")
    assert other is not None and other != id, (other, id)
    say(c, close("S", "m"), parse("m", "UPDATE orders SET state = 'fine' WHERE id = 4"), SYNC)
    say(c, query(again.format(3)))
    assert held(c, "EXECUTE m") is None
    assert w.pg.sql("SELECT count(*) FROM orders WHERE state = 'evil'") == "0"
    assert w.pg.sql("SELECT state FROM orders WHERE id = 4") == "fine"
    for sql in ("EXPLAIN (ANALYZE) EXECUTE m", f"CREATE TABLE {fresh()} AS EXECUTE m"):
        id = held(c, sql)
        assert "WHERE id = 4" in w.command("requests", id, token=dora(w)).out, sql
    clean(w)
    c.close()


@test
def a_files_execute_runs_what_the_file_prepared(w):
    text = "PREPARE m AS UPDATE orders SET state = 'filed' WHERE id = 5;\nEXECUTE m;\n"
    one, two = text.splitlines()
    id = approved(w, text)
    got = run(w, text)
    assert got.code == 0 and state(w, id) == "used", (got, state(w, id))
    assert w.pg.sql("SELECT state FROM orders WHERE id = 5") == "filed"
    for name in ("DEALLOCATE", "PREPARE"):
        id = approved(w, text)
        c = Wire.through(w)
        assert held(c, one) is None
        say(c, query("DEALLOCATE m"))
        if name == "PREPARE":
            assert held(c, "PREPARE m AS SELECT 1") is None
        else:
            say(c, parse("m", "UPDATE orders SET state = 'evil' WHERE id > 0"), SYNC)
            say(c, query("PREPARE z AS SELECT 1"))
            assert held(c, two) is not None
        c.close()
        clean(w)
        assert w.pg.sql("SELECT count(*) FROM orders WHERE state = 'evil'") == "0"


@test
def a_name_means_the_table_that_was_seen(w):
    """P7: the same bytes after a temporary table of that name is gone are asked for again, and are none of a file's."""
    sql = "DELETE FROM orders WHERE id = 6 -- temporary"
    c = Wire.through(w)
    id = None
    for setup in ("CREATE TEMP TABLE orders (id int)",):
        asked = held(c, setup)
        assert w.command("approve", asked, token=dora(w)).code == 0 and held(c, setup) is None
    both = held(c, sql.replace("DELETE", "WITH t AS (SELECT * FROM public.orders FOR UPDATE) DELETE"))
    if both is not None:
        id = both
        shown = w.command("requests", both, token=dora(w)).out
        assert "pg_temp.orders" in shown and w.command("approve", both, token=dora(w)).code == 0, shown
    c.close()
    c = Wire.through(w)
    assert held(c, sql) is not None and held(c, sql.replace("DELETE", "WITH t AS (SELECT * FROM public.orders FOR UPDATE) DELETE")) != id
    c.close()
    clean(w)
    assert w.pg.sql("SELECT count(*) FROM orders WHERE id = 6") == "1"


@test
def a_rollback_that_is_not_the_files_ends_it(w):
    text = "BEGIN;\nCREATE TEMP TABLE orders (id int) ON COMMIT DROP;\nDELETE FROM orders WHERE id = 6;\nCOMMIT;\n"
    begin, create, delete, _ = text.splitlines()
    for between in (("ROLLBACK", "BEGIN"), ("COMMIT", "BEGIN"), ("SELECT 1/0", "COMMIT", "BEGIN"), ("DROP TABLE pg_temp.orders",)):
        id = approved(w, text)
        c = Wire.through(w)
        assert held(c, begin) is None and held(c, create) is None
        for sql in between:
            say(c, query(sql))
        assert state(w, id) == "withdrawn", (between, state(w, id))
        say(c, query(delete))
        c.close()
        clean(w)
        assert w.pg.sql("SELECT count(*) FROM orders WHERE id = 6") == "1", between
    id = approved(w, text)
    got = run(w, text)
    assert got.code == 0 and state(w, id) == "used", (got, state(w, id))
    assert w.pg.sql("SELECT count(*) FROM orders WHERE id = 6") == "1"


if __name__ == "__main__":
    World_init = World.__init__

    def init(self, **conf):
        World_init(self, **conf)
        self.gateway.more_targets = OTHER.format(port=self.pg.port, dir=self.gateway.dir)
        self.gateway.write()
    World.__init__ = init
    main(policy=RULES, sql=HISTORY)
