#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MK8: what names mean changes past the gateway, between a statement's Parse and Describe and its Bind and Execute.

Everything that a tagged column holds begins with CANARY, and the mask shows none of it.
"""

from harness import *
from wire import *

POLICY_DRIFT = """\
tag "pii" { "*.secret.value", "there.t.value" }
rule "hide" { doc = "Masked for all.", on = "sql.result", when = { column = tagged "pii" }, mask = mask.redact }
rule "tells" { doc = "Functions of somebody.", on = "sql.statement", when = { groups = "dev" }, allow = { unclear = "function", name = matches "." } }
"""

SQL = """
SET ROLE app_gw;
CREATE SCHEMA here; CREATE SCHEMA there;
CREATE FUNCTION anew() RETURNS void LANGUAGE sql AS $$
  DROP TABLE IF EXISTS secret, decoy, kept, here.t, there.t CASCADE;
  CREATE TABLE secret (id int, value text, note text);
  CREATE TABLE decoy (id int, value text, note text);
  CREATE TABLE here.t (id int, value text);
  CREATE TABLE there.t (id int, value text);
  CREATE VIEW shown AS SELECT id, note AS text FROM secret;
$$;
CREATE VIEW sets AS SELECT set_config('search_path', 'there', false) AS s;
CREATE VIEW more_sets AS SELECT * FROM sets;
CREATE FUNCTION moves() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN set_config('search_path', 'there', false); END$$;
CREATE FUNCTION opens() RETURNS text LANGUAGE plpgsql AS
  $$DECLARE c refcursor := 'c'; BEGIN OPEN c FOR SELECT set_config('search_path', 'there', false); RETURN c; END$$;
CREATE VIEW calls AS SELECT moves();
"""

# Code that no statement shows: each of these tables, or what stands behind it, has some that sets the path.
UNSEEN = """
SET ROLE app_gw;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'there', false); RETURN NULL; END$$;
CREATE FUNCTION pure(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM set_config('search_path', 'there', false); RETURN i; END$$;
CREATE TABLE before_row (id int); CREATE TRIGGER t BEFORE INSERT ON before_row FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TABLE after_all (id int); CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON after_all EXECUTE FUNCTION fires();
CREATE TABLE at_end (id int); CREATE CONSTRAINT TRIGGER t AFTER INSERT ON at_end DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TABLE when_it (id int); CREATE TRIGGER t BEFORE INSERT ON when_it FOR EACH ROW WHEN (set_config('search_path', 'there', false) = '') EXECUTE FUNCTION fires();
CREATE TABLE defaults (id int, a text DEFAULT set_config('search_path', 'there', false));
CREATE TABLE defaults_own (id int, a int DEFAULT pure(1));
CREATE TABLE checks (id int CHECK (pure(id) > 0));
CREATE TABLE generates (id int, a int GENERATED ALWAYS AS (pure(id)) STORED);
CREATE TABLE indexed (id int); CREATE INDEX ON indexed (pure(id));
CREATE TABLE policed (id int); INSERT INTO policed VALUES (1); ALTER TABLE policed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON policed USING (set_config('search_path', 'there', false) <> '');
CREATE TABLE policed_own (id int); INSERT INTO policed_own VALUES (1); ALTER TABLE policed_own ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON policed_own USING (EXISTS (SELECT FROM public.sets));
CREATE TABLE up (id int PRIMARY KEY); CREATE TABLE down (id int REFERENCES up ON DELETE CASCADE);
CREATE TRIGGER t AFTER DELETE ON down FOR EACH ROW EXECUTE FUNCTION fires(); INSERT INTO up SELECT generate_series(1, 9); INSERT INTO down TABLE up;
CREATE TABLE whole (id int) PARTITION BY LIST (id); CREATE TABLE piece PARTITION OF whole DEFAULT;
CREATE TRIGGER t BEFORE INSERT ON piece FOR EACH ROW EXECUTE FUNCTION fires();
CREATE VIEW over AS SELECT id FROM before_row; CREATE VIEW over_over AS SELECT id FROM over;
CREATE VIEW policed_over AS SELECT id FROM policed;
CREATE TABLE copied (id int); CREATE TRIGGER t AFTER INSERT ON copied FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TABLE later (id int); CREATE TABLE fine (id int);
CREATE TABLE trunk (id int PRIMARY KEY); CREATE TABLE twig (id int REFERENCES trunk);
CREATE TRIGGER t AFTER TRUNCATE ON twig EXECUTE FUNCTION fires();
"""

# The planner computes what is constant in them, and so runs it.
PLANNED = """
SET ROLE app_gw;
CREATE FUNCTION one(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN i; END$$;
CREATE TABLE by_index (id int PRIMARY KEY); CREATE INDEX ON by_index ((id + one(1))); INSERT INTO by_index VALUES (1), (2);
CREATE TABLE refers (id int REFERENCES by_index);
CREATE TABLE by_predicate (id int); CREATE INDEX ON by_predicate (id) WHERE id > one(1);
CREATE TABLE by_statistics (id int, b int); CREATE STATISTICS of_it ON (id + one(1)), b FROM by_statistics;
CREATE TABLE above (id int); CREATE TABLE by_check (CHECK (id > one(1))) INHERITS (above);
CREATE TABLE by_key (id int) PARTITION BY RANGE ((id + one(1))); CREATE TABLE by_key_1 PARTITION OF by_key FOR VALUES FROM (0) TO (10);
CREATE OR REPLACE FUNCTION one(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM set_config('search_path', 'there', false); RETURN i; END$$;
"""

FILL = """
INSERT INTO secret SELECT n, 'CANARY-' || n, 'note ' || n FROM generate_series(1, 3) n;
INSERT INTO decoy SELECT n, 'plain ' || n, 'note ' || n FROM generate_series(1, 3) n;
INSERT INTO here.t SELECT n, 'plain ' || n FROM generate_series(1, 3) n;
INSERT INTO there.t SELECT n, 'CANARY-' || n FROM generate_series(1, 3) n;
"""

SWAP_TABLES = "ALTER TABLE secret RENAME TO x; ALTER TABLE decoy RENAME TO secret; ALTER TABLE x RENAME TO decoy"
SWAP_COLUMNS = "ALTER TABLE secret RENAME value TO x; ALTER TABLE secret RENAME note TO value; ALTER TABLE secret RENAME x TO note"

SECOND = """\
target second {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     user=app_gw secret=file:{dir}/keeper/orders.secret;
    database  orders;
    allow     groups=dev;
    policy    {dir}/policies/orders.lua;
    catalogue recheck=200ms;
}}
"""

# what changes, and statements that were prepared before
DRIFTS = {
    "column renamed": ("ALTER TABLE secret RENAME value TO contact",
                       ["SELECT * FROM secret", "SELECT s FROM secret s", "TABLE secret"]),
    "columns swapped": (SWAP_COLUMNS,
                        ["SELECT * FROM secret", "SELECT note FROM secret", "SELECT upper(note) FROM secret", "SELECT text FROM shown",
                         "SELECT max(note) FROM secret"]),
    "dropped and added": ("ALTER TABLE secret ADD again text; UPDATE secret SET again = value; ALTER TABLE secret DROP value;"
                          "ALTER TABLE secret RENAME again TO value",
                          ["SELECT value FROM secret", "SELECT lower(value) FROM secret", "SELECT value || '' FROM secret"]),
    "column of the decoy": ("ALTER TABLE decoy ADD more text; UPDATE decoy SET more = 'CANARY'; ALTER TABLE secret RENAME TO y;"
                            "ALTER TABLE decoy DROP value; ALTER TABLE decoy RENAME more TO value; ALTER TABLE decoy RENAME TO secret;"
                            "ALTER TABLE y RENAME TO decoy",
                            ["SELECT value FROM decoy", "SELECT value || 'x' FROM decoy"]),
    "tables swapped": (SWAP_TABLES,
                       ["SELECT value FROM decoy", "SELECT * FROM decoy", "SELECT upper(value) FROM decoy", "SELECT decoy FROM decoy",
                        "SELECT (SELECT max(value) FROM decoy)", "WITH a AS (SELECT value v FROM decoy) SELECT v || '!' FROM a",
                        "SELECT string_agg(value, ',') FROM decoy"]),
    "view replaced": ("CREATE OR REPLACE VIEW shown AS SELECT id, value AS text FROM secret",
                      ["SELECT text FROM shown", "SELECT * FROM shown", "SELECT upper(text) FROM shown"]),
    "tables of two schemas swapped": ("ALTER TABLE here.t SET SCHEMA public; ALTER TABLE there.t SET SCHEMA here; ALTER TABLE public.t SET SCHEMA there",
                                      ["SELECT value FROM here.t", "SELECT upper(value) FROM here.t"]),
    "schemas swapped": ("ALTER SCHEMA here RENAME TO x; ALTER SCHEMA there RENAME TO here; ALTER SCHEMA x RENAME TO there",
                        ["SELECT value FROM here.t", "SELECT upper(value) FROM here.t"]),
}


def anew(w):
    w.pg.sql("DROP SCHEMA IF EXISTS here, there, x CASCADE; CREATE SCHEMA here AUTHORIZATION app_gw; CREATE SCHEMA there AUTHORIZATION app_gw;"
             "SET ROLE app_gw; DROP TABLE IF EXISTS y; SELECT anew();" + FILL)


def told(seen):
    return b"".join(kind.encode() + body for kind, body in seen)


def prepared(w, statements, **to):
    """A session that has prepared and described them, and has seen each answer without a canary."""
    c = Wire.through(w, **to)
    for n, text in enumerate(statements):
        seen = c.ask(parse(f"s{n}", text), describe("S", f"s{n}"), bind("", f"s{n}"), execute(), SYNC)
        assert "E" not in [kind for kind, _ in seen], f"{text}: {shape(seen)}"
        assert b"CANARY" not in told(seen), text
    return c


def leaks(c, statements):
    """Those whose answer shows a canary: prepared, described in the batch or not, and as a simple query."""
    found = []
    for n, text in enumerate(statements):
        for way, messages in (("prepared", (bind("", f"s{n}"), execute(), SYNC)),
                              ("described", (bind("", f"s{n}"), describe("P"), execute(), SYNC)),
                              ("rows at a time", (bind("", f"s{n}"), execute("", 1), execute("", 1), execute(), SYNC)),
                              ("simple", (query(text),))):
            if b"CANARY" in told(c.ask(*messages)):
                found.append(f"{way}: {text}")
    return found


def drift(w, name, wait=0, **to):
    change, statements = DRIFTS[name]
    anew(w)
    c = prepared(w, statements, **to)
    w.pg.sql(change)
    time.sleep(wait)
    found = leaks(c, statements)
    c.close()
    return found


@test
def mk8_definitions_change_between_parse_and_execute(w):
    found = {name: drift(w, name) for name in DRIFTS}
    assert not any(found.values()), json.dumps({k: v for k, v in found.items() if v}, indent=1)


@test
def mk8_what_is_old_is_asked_for_again(w):
    """Where definitions may be believed for a while, they are not after it."""
    g = w.gateway
    g.more_targets = SECOND.format(port=g.pg.port, dir=g.dir)
    g.write()
    done = g.reload()
    assert done.code == 0, repr(done)
    found = {name: drift(w, name, wait=0.25, database="second") for name in DRIFTS}
    assert not any(found.values()), json.dumps({k: v for k, v in found.items() if v}, indent=1)


@test
def mk8_a_renamed_column_is_told(w):
    anew(w)
    c = prepared(w, ["SELECT * FROM secret"])
    w.pg.sql("ALTER TABLE secret RENAME value TO renamed_once")
    assert b"CANARY" not in told(c.ask(query("SELECT * FROM secret")))
    w.pg.sql("ALTER TABLE secret RENAME renamed_once TO renamed_twice")
    assert b"CANARY" not in told(c.ask(query("SELECT renamed_twice || '' FROM secret")))
    said = (w.gateway.dir / "log" / "error.log").read_text()
    assert "the tagged column public.secret.value is called public.secret.renamed_once now" in said, w.gateway.logs()


@test
def mk8_between_bind_and_execute(w):
    """A bound statement holds its tables: who wants to change them waits for the end of its transaction."""
    anew(w)
    for name, (change, statements) in DRIFTS.items():
        for text in statements:
            c = Wire.through(w)
            c.send(parse("", text), bind("p"), describe("P", "p"), message(b"H"))
            seen = [c.read(), c.read(), c.read()]
            assert [kind for kind, _ in seen] == ["1", "2", "T"], seen
            try:
                w.pg.sql(f"SET lock_timeout = '50ms'; {change}")
                changed = True
            except AssertionError as e:
                assert "lock timeout" in str(e), e
                changed = False
            assert b"CANARY" not in told(c.ask(execute("p"), SYNC)), (name, text)
            c.close()
            if changed:  # names of schemas are not held
                anew(w)


@test
def mk8_a_function_replaced_between_bind_and_execute(w):
    anew(w)
    make = "CREATE OR REPLACE FUNCTION tells() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN {}; END $$; ALTER FUNCTION tells() OWNER TO app_gw"
    w.pg.sql(make.format("'harmless'"))
    c = Wire.through(w)
    c.send(parse("", "SELECT tells()"), bind("p"), message(b"H"))
    assert [c.read()[0], c.read()[0]] == ["1", "2"]
    w.pg.sql(make.format("(SELECT max(value) FROM public.secret)"))
    assert w.pg.sql("SELECT tells()") == "CANARY-3"
    seen = c.ask(execute("p"), SYNC)
    assert b"CANARY" not in told(seen) and shape(seen).startswith("DC(SELECT 1)"), shape(seen)


@test
def mk8_search_path_changes_between_parse_and_execute(w):
    anew(w)
    statements = ["SELECT value FROM t", "SELECT * FROM t", "SELECT upper(value) FROM t", "SELECT max(value) FROM t"]
    for change in ("SET search_path = there", "SELECT set_config('search_path', 'there', false)", "SET LOCAL search_path = there", "SET SCHEMA 'there'"):
        c = Wire.through(w)
        c.values("SET search_path = here")
        for n, text in enumerate(statements):
            c.ask(parse(f"s{n}", text), describe("S", f"s{n}"), SYNC)
            assert c.ask(bind("", f"s{n}"), execute(), SYNC)[1][0] == "D", text
        c.values("BEGIN")
        c.values(change)
        assert leaks(c, statements) == [], change
        c.values("COMMIT")
        c.close()
        c = Wire.through(w)  # all of it in one batch
        c.values("SET search_path = here")
        seen = c.ask(parse("", statements[2]), bind("p"), parse("", change), bind(), execute(), execute("p"), parse("", statements[2]), bind(), execute(), SYNC)
        assert b"CANARY" not in told(seen), change
        c.close()


SETS = "SELECT set_config('search_path', 'there', false)"
AFTER = "SELECT upper(value) FROM t"

# What changes the path: texts of queries, or the messages of a batch.  After it t is there.t.
SUSPENDED = {
    "suspended": [(parse("", SETS), bind(), execute("", 1), SYNC)],
    "suspended and closed": [(parse("", SETS), bind("p"), execute("p", 1), close("P", "p"), SYNC)],
    "suspended, in a transaction": ["BEGIN", (parse("", SETS), bind(), execute("", 1), SYNC)],
    "suspended, and its transaction ended": ["BEGIN", (parse("", SETS), bind(), execute("", 1), SYNC), "COMMIT"],
}
DECLARE = f"DECLARE c CURSOR FOR {SETS}"
CURSORS = {
    "fetched": ["BEGIN", DECLARE, "FETCH c"],
    "fetched by messages": ["BEGIN", DECLARE, (parse("", "FETCH c"), bind(), execute(), SYNC)],
    "moved": ["BEGIN", DECLARE, "MOVE ALL IN c"],
    "fetched, and its transaction ended": ["BEGIN", DECLARE, "FETCH c", "COMMIT"],
    "held": [f"DECLARE c CURSOR WITH HOLD FOR {SETS}"],
    "fetch prepared first": [(parse("f", "FETCH c"), SYNC), "BEGIN", DECLARE, (bind("", "f"), execute(), SYNC)],
    "a portal": ["BEGIN", (parse("", SETS), bind("p"), SYNC), "FETCH p"],
    "a portal of no block": [(parse("", SETS), bind("p"), query("FETCH p"))],
    "a portal, by messages": [(parse("", SETS), bind("p"), parse("", "MOVE p"), bind(), execute(), SYNC)],
    "of a function": ["BEGIN", "DECLARE c CURSOR FOR SELECT public.moves()", "FETCH c"],
    "opened by a function": ["BEGIN", "SELECT public.opens()", "FETCH c"],
}
VIEWS = {
    "a view": ["TABLE public.sets"],
    "a view by messages": [(parse("", "TABLE public.sets"), bind(), execute(), SYNC)],
    "in a transaction": ["BEGIN", "SELECT * FROM public.sets", "COMMIT"],
    "a view of a view": ["SELECT count(s) FROM public.more_sets"],
    "a view with somebody's function": ["SELECT * FROM public.calls"],
    "fetched": ["BEGIN", "DECLARE c CURSOR FOR TABLE public.sets", "FETCH c"],
}
PRIVILEGES = {
    "of a schema": ["SET search_path = here, there", "REVOKE USAGE ON SCHEMA here FROM CURRENT_USER"],
    "by messages": ["SET search_path = here, there", (parse("", "REVOKE ALL ON SCHEMA here FROM CURRENT_USER"), bind(), execute(), SYNC)],
    "in a transaction": ["SET search_path = here, there", "BEGIN", "REVOKE USAGE ON SCHEMA here FROM CURRENT_USER"],
}


ASKS = (("simple", lambda: (query(AFTER),)), ("parsed", lambda: (parse("", AFTER), bind(), execute(), SYNC)),
        ("prepared", lambda: (bind("", "before"), execute(), SYNC)), ("by name", lambda: (query("EXECUTE q"),)))


def path_left(w, steps, again, asks=ASKS):
    """What t shows after these, and after the same prepared before them: as queries, and in batches."""
    found = []
    for way, ask in asks:
        if again:
            anew(w)
        c = Wire.through(w)
        c.values("SET search_path = here")
        c.values(f"PREPARE q AS {AFTER}")
        c.ask(parse("before", AFTER), SYNC)
        assert [row(body) for kind, body in c.ask(query(AFTER)) if kind == "D"] == [[b"PLAIN %d" % n] for n in (1, 2, 3)]
        for step in steps:
            seen = c.ask(*((query(step),) if isinstance(step, str) else step))
            assert "E" not in [kind for kind, _ in seen], f"{step}: {shape(seen)}"
        rows = [row(body) for kind, body in c.ask(*ask()) if kind == "D"]
        if rows != [[b"****"]] * 3:
            found.append(f"{way}: {rows}")
        c.close()
    return found


def paths_left(w, ways, again=False):
    anew(w)
    found = {name: path_left(w, steps, again) for name, steps in ways.items()}
    assert not any(found.values()), json.dumps({k: v for k, v in found.items() if v}, indent=1)


@test
def mk8_an_execute_that_suspends_has_run(w):
    paths_left(w, SUSPENDED)


@test
def mk8_a_cursor_that_changes_nothing_costs_nothing(w):
    anew(w)
    c = Wire.through(w)
    for step in ("SET search_path = here", "BEGIN", "DECLARE c CURSOR FOR SELECT upper(value) FROM t", AFTER):
        c.values(step)
    before = w.pg.log().count("has_schema_privilege")
    assert [c.values("FETCH c") for _ in range(3)] == [[[b"PLAIN %d" % n]] for n in (1, 2, 3)] and len(c.values(AFTER)) == 3
    assert before > 0 and w.pg.log().count("has_schema_privilege") == before
    c.close()


@test
def mk8_a_cursor_runs_when_it_is_fetched(w):
    paths_left(w, CURSORS)
    c = Wire.through(w)  # the fetch and what follows it in one text
    for step in ("SET search_path = here", "BEGIN", DECLARE):
        c.values(step)
    seen = c.ask(query(f"FETCH c; {AFTER}"))
    assert b"CANARY" not in told(seen), seen
    assert [row(body) for kind, body in seen if kind == "D"][1:] == [[b"****"]] * 3, shape(seen)
    c.close()


@test
def mk8_a_view_sets_the_path(w):
    paths_left(w, VIEWS)
    c = Wire.through(w)  # the view and what follows it in one text
    c.values("SET search_path = here")
    seen = c.ask(query(f"TABLE public.sets; {AFTER}"))
    assert b"CANARY" not in told(seen), seen
    assert [row(body) for kind, body in seen if kind == "D"][1:] == [[b"****"]] * 3, shape(seen)
    c.close()


@test
def mk8_a_privilege_changes_the_path(w):
    """A schema that the role may not use is skipped."""
    paths_left(w, PRIVILEGES, again=True)
    anew(w)
    c = Wire.through(w)  # the privilege and what follows it in one text
    c.values("SET search_path = here, there")
    seen = c.ask(query(f"REVOKE USAGE ON SCHEMA here FROM CURRENT_USER; {AFTER}"))
    assert b"CANARY" not in told(seen), seen
    assert [row(body) for kind, body in seen if kind == "D"] == [[b"****"]] * 3, shape(seen)
    c.close()


INSERT = "INSERT INTO public.{} VALUES (1)"
RUNS = {
    "a trigger": [INSERT.format("before_row")],
    "by messages": [(parse("", INSERT.format("before_row")), bind(), execute(), SYNC)],
    "prepared": [(parse("i", INSERT.format("before_row")), SYNC), (bind("", "i"), execute(), SYNC)],
    "in a transaction": ["BEGIN", INSERT.format("before_row")],
    "and its transaction ended": ["BEGIN", INSERT.format("before_row"), "COMMIT"],
    "a trigger of all rows": ["DELETE FROM public.after_all"],
    "an update": ["UPDATE public.after_all SET id = 2 WHERE id = 1"],
    "truncated": ["TRUNCATE public.after_all"],
    "at the end": [INSERT.format("at_end")],
    "at the end of a block": ["BEGIN", INSERT.format("at_end"), "COMMIT"],
    "at once": ["BEGIN", INSERT.format("at_end"), "SET CONSTRAINTS ALL IMMEDIATE"],
    "a trigger's WHEN": [INSERT.format("when_it")],
    "a default": [INSERT.format("defaults")],
    "a default of somebody's": [INSERT.format("defaults_own")],
    "a check": [INSERT.format("checks")],
    "a generated column": [INSERT.format("generates")],
    "an index": [INSERT.format("indexed")],
    "a row policy": ["SELECT * FROM public.policed"],
    "a row policy, fetched": ["BEGIN", "DECLARE c CURSOR FOR SELECT id FROM public.policed", "FETCH c"],
    "a row policy, suspended": [(parse("", "SELECT id FROM public.policed"), bind(), execute("", 1), SYNC)],
    "a row policy over a view": ["SELECT * FROM public.policed_own"],
    "a row policy below a view": ["SELECT * FROM public.policed_over"],
    "a cascade": ["DELETE FROM public.up WHERE id = (SELECT min(id) FROM public.up)"],
    "a cascade of TRUNCATE": ["TRUNCATE public.trunk CASCADE"],
    "an index, planned": ["SELECT count(*) FROM public.by_index"],
    "an index, explained": ["EXPLAIN SELECT count(*) FROM public.by_index"],
    "an index, prepared": ["PREPARE p AS SELECT count(*) FROM public.by_index", "EXECUTE p"],
    "an index's predicate": ["SELECT count(*) FROM public.by_predicate"],
    "an index of what is referred to": [INSERT.format("refers")],
    "statistics": ["SELECT count(*) FROM public.by_statistics WHERE id + 1 = 2"],
    "a child's check": ["SELECT count(*) FROM public.above WHERE id = 3"],
    "a partition's key": ["SELECT count(*) FROM public.by_key"],
    "a partition's key, from its partition": [INSERT.format("by_key_1")],
    "a default, explained": ["EXPLAIN INSERT INTO public.defaults_own (id) VALUES (1)"],
    "a partition": [INSERT.format("whole")],
    "a view": [INSERT.format("over")],
    "a view of a view": [INSERT.format("over_over")],
    "in WITH": ["WITH i AS (INSERT INTO public.before_row VALUES (1) RETURNING id) SELECT * FROM i"],
    "explained": ["EXPLAIN ANALYZE " + INSERT.format("before_row")],
    "copied": [(query("COPY public.copied FROM STDIN"), message(b"d", b"1\n"), message(b"c"))],
}


@test
def mk8_code_that_no_statement_shows_sets_the_path(w):
    anew(w)
    found = {name: path_left(w, steps, False, ASKS[n % 4:n % 4 + 1]) for n, (name, steps) in enumerate(RUNS.items())}
    assert not any(found.values()), json.dumps({k: v for k, v in found.items() if v}, indent=1)
    c = Wire.through(w)  # such a statement and what follows it in one text
    for text in (INSERT.format("before_row"), "TABLE public.policed"):
        c.values("SET search_path = here")
        seen = c.ask(query(f"{text}; {AFTER}"))
        assert b"CANARY" not in told(seen) and [row(body) for kind, body in seen if kind == "D"][-3:] == [[b"****"]] * 3, (text, shape(seen))
    c.values("SET search_path = here")  # a trigger that came behind the gateway's back, after its Parse
    c.ask(parse("i", INSERT.format("later")), SYNC)
    w.pg.sql("SET ROLE app_gw; CREATE TRIGGER t BEFORE INSERT ON later FOR EACH ROW EXECUTE FUNCTION fires()")
    assert "E" not in [kind for kind, _ in c.ask(bind("", "i"), execute(), SYNC)]
    assert c.values(AFTER) == [[b"****"]] * 3
    c.close()


# Types whose values run somebody's code; any statement may make one.
TYPES = {
    "a domain": "CREATE DOMAIN checked AS int CHECK (public.pure(VALUE) > 0)",
    "a cast": "CREATE TYPE pair AS (a int, b int); CREATE FUNCTION to_pair(i int) RETURNS pair LANGUAGE sql AS 'SELECT (public.pure(i), 1)::public.pair';"
              "CREATE CAST (int AS pair) WITH FUNCTION to_pair(int)",
}


@test
def mk8_types_that_run_code_set_the_path(w):
    w.pg.sql("SET ROLE app_gw; " + "; ".join(TYPES.values()))
    try:
        paths_left(w, {"a domain": ["SELECT 1::public.checked"], "its parameter": [(parse("", "SELECT $1::public.checked"), bind("", "", [b"1"]), execute(), SYNC)],
                       "a cast": ["SELECT 1::public.pair"], "by CAST": ["SELECT (CAST(id AS public.pair)).a FROM public.secret"]})
    finally:
        w.pg.sql("DROP DOMAIN checked; DROP TYPE pair CASCADE")


# Functions of extensions whose volatility says that they only compute.
TEXTS = ("SELECT b FROM public.crosstab('SELECT 1, 2, value FROM public.secret') AS t(a int, b text)",
         "SELECT min(b) FROM public.connectby('public.secret', 'value', 'note', 'note 1', 0) AS t(b text, p text, l int)")
SETS_IN_TEXT = "SELECT count(b) FROM public.crosstab($$SELECT 1, 2, set_config('search_path', 'there', false)$$) AS t(a int, b text)"


@test
def mk8_extensions_that_run_a_text(w):
    anew(w)
    w.pg.sql("CREATE EXTENSION tablefunc SCHEMA public")
    c, straight = Wire.through(w), Wire.direct(w)
    try:
        shown = [text for text in TEXTS if b"CANARY" in told(c.ask(query(text)))]
        assert not shown and all(b"CANARY" in told(straight.ask(query(text))) for text in TEXTS), shown
        paths_left(w, {"a text": [SETS_IN_TEXT], "by messages": [(parse("", SETS_IN_TEXT), bind(), execute(), SYNC)]})
    finally:
        c.close()
        straight.close()
        w.pg.sql("DROP EXTENSION tablefunc")


@test
def mk8_what_runs_nothing_unseen_costs_nothing(w):
    anew(w)
    c = Wire.through(w)
    for step in ("SET search_path = here", AFTER):
        c.values(step)
    before = w.pg.log().count("has_schema_privilege")
    for step in (INSERT.format("fine"), "SELECT * FROM public.before_row", "UPDATE public.fine SET id = 2", "DELETE FROM public.fine", AFTER):
        c.values(step)
    assert before > 0 and w.pg.log().count("has_schema_privilege") == before
    c.values(INSERT.format("before_row"))
    c.values(AFTER)
    assert w.pg.log().count("has_schema_privilege") == before + 1
    c.close()


# What another session does to the path of this one: it stands at `here, there` and may use the schema here by …
RIGHTS = {
    "a schema's privilege": ("", "REVOKE USAGE ON SCHEMA here FROM app_gw, PUBLIC"),
    "a role's": ("GRANT USAGE ON SCHEMA here TO helper; GRANT helper TO app_gw", "REVOKE helper FROM app_gw"),
    "a role of a role's": ("GRANT USAGE ON SCHEMA here TO helper; GRANT helper TO other; GRANT other TO app_gw", "REVOKE helper FROM other"),
    "inheritance": ("GRANT USAGE ON SCHEMA here TO helper; GRANT helper TO app_gw", "ALTER ROLE app_gw NOINHERIT"),
    "another owner of the database": ("GRANT USAGE ON SCHEMA here TO pg_database_owner", "ALTER DATABASE orders OWNER TO postgres"),
    "another owner": ("ALTER SCHEMA here OWNER TO app_gw", "ALTER SCHEMA here OWNER TO postgres; REVOKE ALL ON SCHEMA here FROM app_gw"),
}
RIGHTS_BEGIN = """
ALTER SCHEMA here OWNER TO postgres; REVOKE ALL ON SCHEMA here FROM app_gw, PUBLIC; ALTER ROLE app_gw INHERIT;
DROP ROLE IF EXISTS helper, other; CREATE ROLE helper; CREATE ROLE other;
"""


@test
def mk8_the_server_skips_a_schema_that_may_be_used_again(w):
    """It looks at roles' roles when it reads the path, and not again when they change."""
    anew(w)
    w.pg.sql(RIGHTS_BEGIN + "GRANT USAGE ON SCHEMA here TO helper")
    c = Wire.through(w)
    try:
        c.values("SET search_path = here, there")
        assert c.values(AFTER) == [[b"****"]] * 3
        w.pg.sql("GRANT helper TO app_gw")
        assert c.values(AFTER) == [[b"****"]] * 3
        c.values("SET search_path = here, there")
        assert c.values(AFTER) == [[b"PLAIN %d" % n] for n in (1, 2, 3)]
    finally:
        c.close()
        w.pg.sql("DROP SCHEMA here CASCADE; DROP ROLE IF EXISTS helper, other")


@test
def mk8_another_session_takes_a_privilege(w):
    found = {}
    for n, (name, (before, change)) in enumerate(RIGHTS.items()):
        anew(w)
        w.pg.sql(RIGHTS_BEGIN + (before or "GRANT USAGE ON SCHEMA here TO app_gw"))
        c = Wire.through(w)
        try:
            c.values("SET search_path = here, there")
            c.ask(parse("before", AFTER), SYNC)
            assert c.values(AFTER) == [[b"PLAIN %d" % n] for n in (1, 2, 3)], name
            w.pg.sql(change)
            seen = [row(body) for kind, body in c.ask(*ASKS[n % 3][1]()) if kind == "D"]
            if seen != [[b"****"]] * 3:
                found[f"{name}, {ASKS[n % 3][0]}"] = str(seen)
        finally:
            c.close()
            w.pg.sql("DROP SCHEMA here CASCADE; ALTER ROLE app_gw INHERIT; DROP ROLE IF EXISTS helper, other; ALTER DATABASE orders OWNER TO app_gw")
    assert not found, json.dumps(found, indent=1)


def path_of_files(w, path):
    w.pg.sql(f"ALTER SYSTEM SET search_path = {path}")
    w.pg.sql("SELECT pg_reload_conf()")
    wait_for(lambda: w.pg.sql("SHOW search_path") == path, said="the server does not read its files")


@test
def mk8_the_servers_files_set_another_path(w):
    anew(w)
    path_of_files(w, "here, public")
    c = Wire.through(w)
    try:
        assert c.values(AFTER) == [[b"PLAIN %d" % n] for n in (1, 2, 3)]
        path_of_files(w, "there, public")
        assert b"CANARY" not in told(c.ask(query(AFTER)))
        wait_for(lambda: c.values("SHOW search_path") == [[b"there, public"]], said="the session does not hear of it")
        assert c.values(AFTER) == [[b"****"]] * 3
    finally:
        c.close()
        w.pg.sql("ALTER SYSTEM RESET search_path")
        w.pg.sql("SELECT pg_reload_conf()")


# Each is another meaning of some name, or of nothing that statements can name.
CHANGES = """
    ALTER TABLE secret RENAME note TO remark
    ALTER TABLE secret ADD more int
    ALTER TABLE secret DROP more
    ALTER TABLE secret ALTER id SET NOT NULL
    CREATE OR REPLACE VIEW shown AS SELECT id, value AS text FROM secret
    DROP VIEW shown
    CREATE TABLE parted (id int, value text) PARTITION BY LIST (id)
    CREATE TABLE part (id int, value text)
    ALTER TABLE parted ATTACH PARTITION part FOR VALUES IN (1)
    ALTER TABLE parted DETACH PARTITION part
    CREATE TABLE child () INHERITS (decoy)
    ALTER TABLE child NO INHERIT decoy
    DROP TABLE part
    CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'
    ALTER FUNCTION one() STABLE
    ALTER FUNCTION one() RENAME TO uno
    DROP FUNCTION uno()
    CREATE FUNCTION eq(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true'
    CREATE OPERATOR === (LEFTARG = int, RIGHTARG = text, FUNCTION = eq)
    DROP OPERATOR === (int, text)
    CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a + 1) STORED)
    ALTER TABLE made ALTER b DROP EXPRESSION
    CREATE SCHEMA another
    ALTER SCHEMA another RENAME TO yet_another
    DROP SCHEMA yet_another
    CREATE EXTENSION citext
    ALTER EXTENSION citext DROP FUNCTION citext_eq(citext, citext)
    DROP EXTENSION citext CASCADE
"""
SAME = """
    SELECT 1
    INSERT INTO decoy VALUES (4, 'more', 'more')
    CREATE TEMP TABLE passing (a int)
    CREATE INDEX ON decoy (id)
    ANALYZE secret
    CREATE ROLE somebody; DROP ROLE somebody
"""


def looked(w):
    marks = {"s": "SELECT pg_catalog.txid_current_snapshot()", "w": "WITH since(n)", "r": "SELECT inhrelid, inhparent"}
    before = len(w.pg.log())
    w.session.values("SELECT id FROM secret LIMIT 0")
    said = w.pg.log()[before:]
    return "".join(k for k in marks if marks[k] in said)


def asked(w, statement):
    """What the gateway's own connection asked the target on account of one statement: s(napshot), w(ritten since), r(ead anew)."""
    wait_for(lambda: looked(w) == "s", 30, said="the target goes on to change")  # a session that has left drops its temporary tables a moment later
    w.pg.sql(statement)
    return looked(w)


@test
def mk8_only_what_changes_is_read_again(w):
    anew(w)
    w.session = Wire.through(w)
    w.session.values("SELECT id FROM secret")
    try:
        found = {line.strip(): asked(w, line) for line in CHANGES.strip().splitlines()}
        assert set(found.values()) == {"swr"}, {k: v for k, v in found.items() if v != "swr"}
        found = {line.strip(): asked(w, line) for line in SAME.strip().splitlines()}
        assert set(found.values()) <= {"s", "sw"} and found["SELECT 1"] == "s", found
        other = Wire.direct(w)
        other.values("BEGIN")
        other.values("ALTER TABLE decoy RENAME note TO remark")
        assert asked(w, "SELECT 1") == "s", "it has not ended"
        other.values("COMMIT")
        other.close()
    finally:
        w.session.close()


def sides(w):
    """What the gateway's own connections for the catalogue are at the target."""
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'orders' AND usename = 'app_gw' AND query ~ 'xmin|txid_current_snapshot'")


@test
def mk8_what_cannot_be_asked_is_unknown(w):
    anew(w)
    c = Wire.through(w)
    assert c.values("SELECT note FROM secret ORDER BY id")[0] == [b"note 1"]
    w.pg.sql("ALTER ROLE app_gw CONNECTION LIMIT 0")
    try:
        w.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app_gw' AND query ~ 'xmin|txid_current_snapshot' AND pid <> pg_backend_pid()")
        wait_for(lambda: sides(w) == "0", said="the gateway's own connection is still there")
        w.pg.sql(SWAP_TABLES)
        for text in ("SELECT value FROM decoy", "SELECT upper(value) FROM decoy", "SELECT note FROM decoy"):
            seen = c.ask(query(text))
            assert [row(body) for kind, body in seen if kind == "D"] == [[b"****"]] * 3, f"{text}: {shape(seen)}"
    finally:
        w.pg.sql("ALTER ROLE app_gw CONNECTION LIMIT -1")
    wait_for(lambda: c.values("SELECT note FROM secret ORDER BY id")[0] == [b"note 1"], said="the catalogue is not read again")
    assert "CANARY" not in str(c.values("SELECT value FROM secret"))


main(policy=POLICY_DRIFT, sql=SQL + UNSEEN + PLANNED, pg_conf="autovacuum = off\n", target_extra="catalogue recheck=0s;")
