#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The planner's row estimate for who decides: what is shown, what is never planned, and that nothing of it leaves a trace.

TRAP is a function called immutable that says in the server's log that it ran: a planner computes it whenever it meets a call with
values that it knows.  Each way to such a call must be refused before anything is planned.
"""

import contextlib

import wire

from harness import *

RULES = """\
rule "all-waits" {
  doc     = "Everything waits.",
  on      = "sql.statement",
  when    = { verb = { "select", "insert", "update", "delete", "batch" } },
  unless  = { tables = "app.later" },
  approve = { by = "leads", within = "5m" },
}
rule "what-others-made" {
  doc   = "Their functions and operators may be asked for.",
  on    = "sql.statement",
  when  = { verb = { "select", "insert", "update", "delete" } },
  allow = { unclear = "function", name = prefix "" },
}
rule "later" {
  doc     = "This one is to be run again.",
  on      = "sql.statement",
  when    = { tables = "app.later" },
  approve = { by = "leads", within = "5m", ["else"] = "fail" },
}
"""

TRAPS = """
CREATE ROLE est LOGIN PASSWORD 'est-secret';
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO est, app_gw;
CREATE TABLE app.plain (id int PRIMARY KEY, name text, at date DEFAULT current_date);
INSERT INTO app.plain SELECT n, 'n' || n FROM generate_series(1, 1000) n;
CREATE TABLE app.child (more int) INHERITS (app.plain);
CREATE TABLE app.later (id int);
CREATE TYPE app.kind AS ENUM ('a', 'b');
CREATE TABLE app.kinds AS SELECT n AS id, 'a'::app.kind AS kind FROM generate_series(1, 50) n;
CREATE TABLE app.log (what text);
CREATE FUNCTION app.write() RETURNS void VOLATILE LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log VALUES ('trap'); END $$;
CREATE FUNCTION app.trap(int DEFAULT 1) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RAISE LOG 'TRAP'; PERFORM app.write(); RETURN $1; END $$;
CREATE FUNCTION app.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT app.trap(1)::text $$;
CREATE FUNCTION app.same(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT app.trap(1) = 1 $$;
CREATE FUNCTION app.ofkind(app.kind) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT app.trap(1) $$;
CREATE VIEW app.view AS SELECT * FROM app.plain WHERE id = app.trap();
CREATE DOMAIN app.dom AS int CHECK (VALUE = app.trap(VALUE));
CREATE TABLE app.domains (id app.dom);
CREATE TABLE app.defaults (id int DEFAULT app.trap(), n int);
CREATE TABLE app.checks (id int CHECK (id <> app.trap()));
CREATE TABLE app.indexes (id int);
CREATE INDEX ON app.indexes ((id + app.trap()));
CREATE TABLE app.partial (id int);
CREATE INDEX ON app.partial (id) WHERE id > app.trap();
CREATE TABLE app.statistics (id int, n int);
CREATE STATISTICS app.stats ON (id + app.trap()), n FROM app.statistics;
CREATE TABLE app.generated (id int, twice int GENERATED ALWAYS AS (id + app.trap()) STORED);
CREATE TABLE app.parts (id int) PARTITION BY RANGE ((id + app.trap()));
CREATE TABLE app.part PARTITION OF app.parts FOR VALUES FROM (1) TO (10);
CREATE TABLE app.policies (id int);
ALTER TABLE app.policies ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON app.policies USING (id = app.trap());
CREATE TABLE app.rules (id int);
CREATE RULE r AS ON DELETE TO app.rules DO INSTEAD SELECT app.trap();
CREATE OPERATOR app.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = app.same);
CREATE SEQUENCE app.seq;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app, public TO est, app_gw;
ANALYZE;
TRUNCATE app.log;
"""


@contextlib.contextmanager
def held(w, sql, database="orders"):
    """The request that a statement makes, which is denied in the end."""
    before = {r["id"] for r in w.requests()}
    waiting = w.psql_waiting(stdin=sql + ";\n", database=database)
    request = wait_for(lambda: [r for r in w.requests() if r["state"] == "waiting" and r["id"] not in before], said="no request came")[0]
    try:
        yield request["id"]
    finally:
        assert w.command("deny", request["id"], token=w.token("lea", "leads", api=True)).code == 0
        waiting.result()


def shown(w, request):
    return wait_for(lambda: w.command("requests", request, "--json").json.get("estimate"), said="no estimate came")


LATE = "not estimated: it, or a lock that it needs, would have taken longer than 200 ms"


def in_time(w, hold):
    """What is shown of it; a machine that is busy with other things gets another try."""
    for _ in range(20):
        with hold() as request:
            got = shown(w, request)
        if got != LATE:
            break
    return got


def estimate(w, sql, **to):
    return in_time(w, lambda: held(w, sql, **to))


def traps(w):
    return w.pg.log().count("TRAP"), w.pg.sql("SELECT count(*) FROM app.log"), w.pg.sql("SELECT last_value, is_called FROM app.seq")


def refused(w, sql, why):
    before = traps(w)
    got = estimate(w, sql)
    assert got.startswith("not estimated: ") and why in got, (sql, got)
    assert traps(w) == before, f"{sql}: the trap ran"


def login(w, more="user=est secret=file:{dir}/keeper/est.secret"):
    g = w.gateway
    path = g.dir / "keeper" / "est.secret"
    path.write_text("est-secret")
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
    g.target_extra = "estimate " + more.format(dir=g.dir) + ";"
    g.write()
    return g.reload()


@test
def off_by_default(w):
    w.pg.sql(TRAPS)
    w.gateway.policy = RULES
    w.gateway.write()
    assert w.gateway.reload().code == 0
    with held(w, "DELETE FROM app.plain WHERE id > 10") as request:
        assert "estimate" not in w.command("requests", request, "--json").json
        assert "sallyport estimate" not in w.pg.log() and "user=est " not in w.pg.log()
    assert "sallyport estimate" not in w.pg.sql("SELECT string_agg(application_name, ',') FROM pg_stat_activity")


@test
def its_login_is_its_own(w):
    g = w.gateway
    for more in ("user=app_gw secret=file:{dir}/keeper/orders.secret", "user=est", "user=est secret=file:{dir}/keeper/est.secret cert=/x key=file:/x"):
        done = login(w, more)
        assert done.code != 0 and "estimate" in done.err, repr(done)
    assert login(w).code == 0
    done = g.daemon("-t", "--connect")
    assert done.code == 0 and 'estimate login "est"' not in done.err, repr(done)
    w.pg.sql("ALTER ROLE est SUPERUSER")
    done = g.daemon("-t", "--connect")
    assert done.code != 0 and 'estimate login "est": it is a superuser' in done.out + done.err, repr(done)
    w.pg.sql("ALTER ROLE est NOSUPERUSER; GRANT app_gw TO est")
    done = g.daemon("-t", "--connect")
    assert done.code != 0 and 'estimate login "est": it owns tables' in done.out + done.err, repr(done)
    w.pg.sql("REVOKE app_gw FROM est")


@test
def the_number_is_shown(w):
    assert estimate(w, "SELECT * FROM app.plain") == "about 1001 rows, the planner expects"
    assert estimate(w, "DELETE FROM ONLY app.plain") == "about 1000 rows, the planner expects"
    assert estimate(w, "UPDATE app.kinds SET id = 1 WHERE kind = 'a' AND id > 0").startswith("about 50 rows"), "an enum is built in enough"
    assert estimate(w, "INSERT INTO app.plain SELECT id, lower(name) || 'x' FROM public.orders JOIN app.plain USING (id)").startswith("not estimated"), \
        "lower() may be app.lower()"
    assert estimate(w, "INSERT INTO app.kinds SELECT id + 1, 'b' FROM public.orders").startswith("about 100 rows")
    for _ in range(20):
        with held(w, "WITH plain AS (SELECT * FROM public.orders) SELECT count(*) FROM plain") as request:
            got, text = shown(w, request), w.command("requests", request).out
        if got != LATE:
            break
    assert got.startswith("about 1 row,") and "estimate" in text and "about 1 row" in text, (got, text)
    assert w.pg.sql("SELECT count(*) FROM app.plain") == "1000"
    begun = [line for line in w.pg.log().splitlines() if "BEGIN ISOLATION LEVEL READ COMMITTED" in line]
    assert begun and all("READ ONLY; SET LOCAL statement_timeout = 200; SET LOCAL lock_timeout = 200;" in line for line in begun), begun[:2]


@contextlib.contextmanager
def prepared(w, sql, types, *values):
    """The same by extended query, with values of those types."""
    before = {r["id"] for r in w.requests()}
    c = wire.Wire.through(w)
    c.send(wire.parse("", sql, types), wire.bind(values=values), wire.execute(), wire.message(b"S"))
    request = wait_for(lambda: [r for r in w.requests() if r["state"] == "waiting" and r["id"] not in before], said="no request came")[0]
    try:
        yield request["id"]
    finally:
        assert w.command("deny", request["id"], token=w.token("lea", "leads", api=True)).code == 0
        c.close()


@test
def parameters_are_bound(w):
    got = in_time(w, lambda: prepared(w, "SELECT * FROM app.plain WHERE id <= $1", [23], b"10"))
    assert got.startswith("about 1") and "rows" in got, got
    got = in_time(w, lambda: prepared(w, "UPDATE public.orders SET item = $1 WHERE id = $2", [0, 0], b"x'; DROP TABLE orders; --", b"7"))
    assert got.startswith("about 1 row,"), got
    dom = int(w.pg.sql("SELECT 'app.dom'::regtype::oid"))
    before = traps(w)
    got = in_time(w, lambda: prepared(w, "SELECT $1", [dom], b"1"))
    assert "type is not built in" in got, got
    assert traps(w) == before, "the trap ran"


@contextlib.contextmanager
def failed(w, sql):
    got = w.psql(sql)
    assert got.code != 0 and "run the same again" in got.err, repr(got)
    request = [r for r in w.requests() if r["state"] == "waiting"][0]["id"]
    yield request
    assert w.command("deny", request, token=w.token("lea", "leads", api=True)).code == 0


@test
def it_is_shown_for_a_next_run(w):
    got = in_time(w, lambda: failed(w, "SELECT * FROM app.later WHERE id = 3"))
    assert got.startswith("about "), got


@test
def the_trap_works(w):
    """Else the rest of this file would show nothing."""
    before = traps(w)[0]
    w.pg.sql("EXPLAIN SELECT * FROM app.view")
    after = traps(w)
    assert after[0] > before and after[1] != "0", after
    w.pg.sql("TRUNCATE app.log")


CASES = [
    ("SELECT * FROM app.plain WHERE id = app.trap()", "it calls app.trap"),
    ("SELECT * FROM app.plain p WHERE p.trap = 1", "trap"),
    ("SELECT * FROM app.plain WHERE name = lower('X')", "lower"),
    ("SELECT * FROM app.plain WHERE name = pg_catalog.lower('X') AND id = nextval('app.seq')", "does more than compute: nextval"),
    ("SELECT * FROM app.plain WHERE name OPERATOR(app.===) 'x'", "app.==="),
    ("SELECT '1'::app.dom", "app.dom"),
    ("SELECT * FROM app.plain WHERE name = pg_catalog.table_to_xml('app.view', true, true, '')::text", "table_to_xml"),
    *((f"SELECT * FROM app.{table}", why) for table, why in (
        ("view", "not a plain table"), ("domains", "not built in"), ("defaults", "not built in"), ("checks", "not built in"),
        ("indexes", "not built in"), ("partial", "not built in"), ("statistics", "not built in"), ("generated", "not built in"),
        ("parts", "not built in"), ("part", "not built in"), ("policies", "row security"), ("rules", "rules stand"))),
    ("INSERT INTO app.defaults (n) VALUES (1)", "default"),
    ("INSERT INTO app.domains VALUES (1)", "type"),
]


@test
def what_is_not_built_in_is_not_planned(w):
    before, lea = traps(w), w.token("lea", "leads", api=True)
    for n in range(0, len(CASES), 7):  # so many at once
        waiting = [w.psql_waiting(stdin=sql + ";\n") for sql, _ in CASES[n:n + 7]]
        asked = lambda: {r["text"].rstrip(";"): r["id"] for r in w.requests() if r["state"] == "waiting"}
        requests = wait_for(lambda: asked() if len(asked()) == len(waiting) else None, said="not all requests came")
        for sql, why in CASES[n:n + 7]:
            got = shown(w, requests[sql])
            assert got.startswith("not estimated: ") and why in got, (sql, got)
        assert traps(w) == before, "the trap ran"
        for request in requests.values():
            assert w.command("deny", request, token=lea).code == 0
        for one in waiting:
            one.result()


@test
def casts_and_operators_are_looked_for_in_the_whole_database(w):
    w.pg.sql("CREATE CAST (app.kind AS int) WITH FUNCTION app.ofkind(app.kind) AS IMPLICIT")
    refused(w, "SELECT * FROM app.kinds WHERE kind = 'a'", "cast of somebody's own")
    w.pg.sql("DROP CAST (app.kind AS int)")
    w.pg.sql("CREATE OPERATOR app.= (LEFTARG = text, RIGHTARG = text, FUNCTION = app.same)")
    refused(w, "SELECT * FROM app.plain WHERE name = 'x'", "an operator that it uses is not only built in: =")
    w.pg.sql("DROP OPERATOR app.= (text, text)")
    assert estimate(w, "SELECT * FROM app.plain WHERE name = 'x'").startswith("about ")


@test
def extensions_types_do_not_stand_in_the_way(w):
    """An operator on types that nothing in the statement can have cannot be meant."""
    if w.pg.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'") != "1":
        skip("PostgreSQL's citext is not installed")
    w.pg.sql("CREATE EXTENSION citext")
    assert estimate(w, "SELECT * FROM app.plain WHERE name = 'x'").startswith("about ")
    refused(w, "SELECT * FROM app.plain WHERE 'x' = 'X'", "an operator that it uses is not only built in: =")
    w.pg.sql("DROP EXTENSION citext")


@test
def a_locked_table_delays_nobody(w):
    lock = w.psql_waiting(stdin="BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE;\n", direct=True)
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'public.orders'::regclass") == "1")
    try:
        with held(w, "UPDATE public.orders SET price = 1") as locked:
            assert estimate(w, "SELECT * FROM app.plain").startswith("about ")
            assert shown(w, locked) == LATE
    finally:
        lock.interrupt()
        lock.result()


@test
def rights_and_rudeness_of_the_target_are_told_in_our_words(w):
    w.pg.sql("REVOKE UPDATE ON app.plain FROM est")
    assert estimate(w, "UPDATE app.plain SET name = 'x'") == "not estimated: the login for estimates may not do what it does"
    w.pg.sql("GRANT UPDATE ON app.plain TO est; ALTER ROLE est PASSWORD 'other'")
    assert estimate(w, "SELECT * FROM app.plain") == "not estimated: the login for estimates could not log in, or was cut off"
    w.pg.sql("ALTER ROLE est PASSWORD 'est-secret'")
    assert estimate(w, "SELECT * FROM app.plain").startswith("about ")


@test
def nobody_may_slip_something_into_the_path(w):
    w.pg.sql("CREATE ROLE guest; GRANT CREATE ON SCHEMA public TO guest")
    refused(w, "SELECT * FROM public.orders WHERE id = 1", "may create what its names could come to mean, in the schema public")
    w.pg.sql("REVOKE CREATE ON SCHEMA public FROM guest; GRANT CREATE ON SCHEMA public TO PUBLIC")
    refused(w, "SELECT * FROM public.orders WHERE id = 1", "in the schema public")
    w.pg.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC; DROP ROLE guest")
    assert estimate(w, "SELECT * FROM public.orders WHERE id = 1").startswith("about 1 row")


CLOSE_WAIT = "08"


def tcp_states(pid):
    """Of a process's connections, as the kernel numbers them."""
    sockets = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(fd))
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    states = {row[3] for row in rows if f"socket:[{row[9]}]" in sockets}
    assert states, "the backend has no connection by TCP"
    return states


@test
def what_does_not_answer_counts_until_it_is_gone(w):
    """A backend that stands still: it is told so in time, its connection stays, and a cancel awaits it."""
    lock = w.psql_waiting(stdin="BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE;\n", direct=True)
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'public.orders'::regclass") == "1")
    planning = "SELECT pid FROM pg_stat_activity WHERE usename = 'est' AND wait_event_type = 'Lock'"
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'est'"
    stopped = None
    try:
        for _ in range(20):
            with held(w, "UPDATE public.orders SET price = 1") as request:
                deadline = time.monotonic() + 3 * SLOW
                while stopped is None and time.monotonic() < deadline and not w.command("requests", request, "--json").json.get("estimate"):
                    pid = w.pg.sql(planning)
                    if pid:
                        os.kill(int(pid), signal.SIGSTOP)
                        stopped = int(pid)
                got = shown(w, request)
            if stopped is not None and got != LATE:
                break
            if stopped is not None:
                os.kill(stopped, signal.SIGCONT)
                stopped = None
        assert got == "not estimated: the target did not answer in time", got
        assert CLOSE_WAIT not in tcp_states(stopped), "its connection was given up while its backend lives"
        os.kill(stopped, signal.SIGCONT)
        stopped = None
        wait_for(lambda: w.pg.sql(left) == "0", said="it was not ended")
        assert estimate(w, "SELECT * FROM app.plain").startswith("about ")
    finally:
        if stopped is not None:
            os.kill(stopped, signal.SIGCONT)
        lock.interrupt()
        lock.result()


@test
def what_is_held_again_is_estimated_again(w):
    """… though definitions were read anew meanwhile: those by which it was judged are there as long (built with sanitizers: or the worker ends)."""
    w.gateway.policy = "".join(f"""rule "{name}" {{ doc = "Two agree.", on = "sql.statement", when = {{ verb = "select" }}, unless = {{ user = "bob" }},
        approve = {{ by = "{by}", within = "5m" }} }}\n""" for name, by in (("first", "leads"), ("second", "dba")))
    w.gateway.write()
    assert login(w, more="user=est secret=file:{dir}/keeper/est.secret; catalogue recheck=0s").code == 0
    waiting = w.psql_waiting("SELECT count(*) FROM app.plain")
    first = wait_for(lambda: [r for r in w.requests() if r["state"] == "waiting"], said="nothing is held")[0]["id"]
    for n in range(4):
        w.pg.sql(f"CREATE TABLE app.more{n} (id int); GRANT SELECT ON app.more{n} TO app_gw")
        assert w.psql(f"SELECT count(*) FROM app.more{n}", user="bob").code == 0
    assert w.command("approve", first, token=w.token("lea", "leads", api=True)).code == 0
    second = wait_for(lambda: [r["id"] for r in w.requests() if r["state"] == "waiting" and r["id"] != first], 20, said="it is not held again")[0]
    wait_for(lambda: "estimate" in w.command("requests", second, "--json").json, 20, said="it is not estimated again")
    assert w.command("deny", second, token=w.token("dea", "dba", api=True)).code == 0
    waiting.result()


@test
def nothing_is_left_behind(w):
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'est'") == "0", said="a connection is left")
    assert traps(w)[1:] == ("0", "1|f"), traps(w)
    assert "EXPLAIN ANALYZE" not in w.pg.log().upper()


if __name__ == "__main__":
    main()
