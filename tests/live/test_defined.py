#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an open transaction has defined: its names are known, tags follow them, and what can't be known is masked (MK1, MK3).

Each case is a list of statements of one transaction; of a SELECT stands what each of its columns has to be: = as it is, * hidden.
"""

from harness import *
from wire import *

SQL = """CREATE TABLE secret (id int PRIMARY KEY, ssn text, note text);
INSERT INTO secret VALUES (1, 'zqCANARY1', 'plain1'), (2, 'zqCANARY2', 'plain2');
CREATE TABLE open (id int PRIMARY KEY, note text);
INSERT INTO open VALUES (1, 'plain1');
CREATE VIEW v AS SELECT id, note AS label FROM open;
CREATE SCHEMA other AUTHORIZATION app_gw;
CREATE FUNCTION redefines() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  CREATE OR REPLACE VIEW v AS SELECT id, ssn AS label FROM secret; RETURN NEW; END$$;
CREATE TABLE watched (id int);
CREATE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION redefines();
CREATE FUNCTION replaces() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
  CREATE OR REPLACE VIEW public.v AS SELECT id, ssn AS label FROM public.secret; RETURN true; END$$;
CREATE VIEW acts AS SELECT replaces();
CREATE TABLE policed (id int); INSERT INTO policed VALUES (1);
ALTER TABLE policed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON policed USING (replaces());
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE harmless (id int);
CREATE TRIGGER t BEFORE INSERT ON harmless FOR EACH ROW EXECUTE FUNCTION fires();
CREATE FUNCTION nothing() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION swaps() RETURNS int LANGUAGE plpgsql AS $$BEGIN
  ALTER TABLE secret RENAME COLUMN ssn TO x; RETURN 1; END$$;
"""
POLICY = """
tag "canary" { "*.ssn" }
rule "hide" { doc = "Nobody sees it.", on = "sql.result", when = { column = tagged "canary" }, mask = mask.redact }
rule "untouched" { doc = "Nobody writes there.", on = "sql.statement", when = { tables_written = "public.secret", verb = "update" }, deny = "No." }
rule "plans" { doc = "None is made there.", on = "sql.statement", when = { objects = "public.plans" }, deny = "No plans." }
rule "code" { doc = "They may run code.", on = "sql.statement", when = { groups = "dev" }, allow = { unclear = "code", name = matches "." } }
rule "functions" { doc = "They may run code.", on = "sql.statement", when = { groups = "dev" }, allow = { unclear = "function", name = matches "." } }
"""
REPLACE = "CREATE OR REPLACE VIEW v AS SELECT id, ssn AS label FROM secret"

CASES = {
    "a table of its own": ["CREATE TABLE made (id int, a text, ssn text)", "INSERT INTO made VALUES (1, 'a', 'zqCANARY')", ("SELECT id, a, ssn FROM made", "==*"),
                           ("SELECT * FROM made m", "==*"), ("SELECT a || 'x' FROM made", "="), ("SELECT upper(ssn) FROM made", "*"), ("SELECT label FROM v", "="), ("SELECT note FROM secret", "=")],
    "copied columns": ["CREATE TABLE made (LIKE secret INCLUDING ALL)", "INSERT INTO made SELECT * FROM secret", ("SELECT id, ssn FROM made", "**")],
    "inherits": ["CREATE TABLE made (more text) INHERITS (secret)", "INSERT INTO made VALUES (7, 'zqCANARY7', 'n', 'm')", ("SELECT more, ssn FROM made", "=*"), ("SELECT note, ssn FROM secret", "=*"),
                 "ALTER TABLE made NO INHERIT secret", "ALTER TABLE made RENAME ssn TO y", ("SELECT more, y FROM made", "=*")],
    "a column renamed": ["ALTER TABLE secret RENAME ssn TO x", ("SELECT x, note FROM secret", "*="), ("SELECT x || '' FROM secret", "*"), ("SELECT to_json(s) FROM secret s", "*"),
                         "ALTER TABLE secret RENAME note TO z", ("SELECT x, z FROM secret", "*="), "ALTER TABLE secret RENAME x TO w", ("SELECT w FROM secret", "*")],
    "a table renamed and moved": ["ALTER TABLE secret RENAME TO s2", "ALTER TABLE s2 SET SCHEMA other", ("SELECT ssn, note FROM other.s2", "*="), "ALTER TABLE other.s2 RENAME ssn TO q",
                                  "CREATE TABLE secret (id int, q text)", ("SELECT q, note FROM other.s2", "*=")],
    "names that its own tables had": ["CREATE TABLE made (ssn text)", "INSERT INTO made VALUES ('zqCANARY')", "ALTER TABLE made RENAME ssn TO t", ("SELECT t FROM made", "*")],
    "a view replaced": [("SELECT label FROM v", "="), REPLACE, ("SELECT label FROM v", "*"), ("SELECT label || '' FROM v", "*"), "CREATE OR REPLACE VIEW v AS SELECT id, note AS label FROM secret",
                        ("SELECT label FROM v", "=")],
    "savepoints": ["SAVEPOINT a", REPLACE, ("SELECT label FROM v", "*"), "ROLLBACK TO a", ("SELECT label FROM v", "="), REPLACE, "RELEASE a", ("SELECT label FROM v", "*")],
    "a savepoint after an error": ["SAVEPOINT a", REPLACE, "SAVEPOINT b", "CREATE OR REPLACE VIEW v AS SELECT id, note AS label FROM open", ("SELECT label FROM v", "="), "!SELECT 1/0", "ROLLBACK TO b",
                                   ("SELECT label FROM v", "*"), "ROLLBACK TO a", ("SELECT label FROM v", "=")],
    "a column dropped and one added": ["ALTER TABLE secret DROP note", "ALTER TABLE secret ADD extra text DEFAULT 'e'", ("SELECT * FROM secret", "=*="), ("SELECT extra FROM secret", "=")],
    "a generated column": ["ALTER TABLE secret ADD g text GENERATED ALWAYS AS (ssn || '') STORED", ("SELECT g, note FROM secret", "*=")],
    "a path that a new table shadows": ["SET LOCAL search_path = other, public", "CREATE TABLE other.open (id int, ssn text)", "INSERT INTO other.open VALUES (1, 'zqCANARY')",
                                        ("SELECT ssn FROM open", "*"), ("SELECT note FROM public.open", "="), "CREATE VIEW other.v AS SELECT ssn AS label FROM secret", ("SELECT label FROM v", "*"),
                                        ("SELECT label FROM public.v", "=")],
    "temporary ones": ["CREATE TEMP TABLE open (id int, ssn text)", "INSERT INTO open VALUES (1, 'zqCANARY')", ("SELECT ssn FROM open", "*"), "CREATE TEMP VIEW v AS SELECT ssn AS label FROM secret",
                       ("SELECT label FROM v", "*"), ("SELECT label FROM pg_temp.v", "*"), ("SELECT note FROM public.open", "=")],
    "a materialised view": ["CREATE MATERIALIZED VIEW m AS SELECT id, ssn AS a FROM secret", ("SELECT a FROM m", "*")],
    "partitions": ["CREATE TABLE p (id int, ssn text) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)", "INSERT INTO p VALUES (1, 'zqCANARY')",
                   ("SELECT id, ssn FROM p1", "=*"), "ALTER TABLE p DETACH PARTITION p1", "ALTER TABLE p1 RENAME ssn TO u", ("SELECT id, u FROM p1", "=*")],
    "a rule": ["CREATE TABLE r (label text)", "CREATE RULE \"_RETURN\" AS ON SELECT TO r DO INSTEAD SELECT ssn AS label FROM secret", ("SELECT label FROM r", "*")],
    "code that defines": [f"DO $$BEGIN {REPLACE}; END$$", ("SELECT label FROM v", "*")],
    "a function that defines": ["SELECT swaps()", ("SELECT x, note FROM secret", "*=")],
    "a trigger that defines": ["INSERT INTO watched VALUES (1)", ("SELECT label FROM v", "*"), ("SELECT label || '' FROM v", "*"), ("SELECT note FROM open", "=")],
    "a trigger that defines, behind a savepoint": ["SAVEPOINT a", "INSERT INTO watched VALUES (1)", ("SELECT label || '' FROM v", "*"), "ROLLBACK TO a", ("SELECT label || '' FROM v", "=")],
    "a view that defines": [("SELECT label || '' FROM v", "="), "SELECT count(*) FROM acts", ("SELECT label || '' FROM v", "*")],
    "a row policy that defines": ["SELECT count(*) FROM policed", ("SELECT label || '' FROM v", "*")],
    "a trigger that defines nothing": ["INSERT INTO harmless VALUES (1)", ("SELECT label || '' FROM v", "="), ("SELECT ssn, note FROM secret", "*=")],
    "a trigger that defines, after a definition": ["CREATE TABLE empty (n int)", ("SELECT label FROM v", "="), "INSERT INTO watched VALUES (1)", ("SELECT label FROM v", "*")],
    "a function of its own in a view": ["CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.secret LIMIT 1'", "CREATE VIEW w AS SELECT f() AS label", ("SELECT label FROM w", "*")],
    "an operator of its own": ["CREATE FUNCTION f(text, int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.secret LIMIT 1'", "CREATE OPERATOR public.+ (LEFTARG = text, RIGHTARG = int, FUNCTION = f)",
                               ("SELECT note + 1 FROM open", "*")],
    "made of what is tagged": ["CREATE TABLE made AS SELECT id, ssn AS a FROM secret", ("SELECT a FROM made", "*"), ("SELECT a || '' FROM made", "*"), ("SELECT note FROM open", "=")],
    "selected into": ["SELECT ssn AS a INTO made FROM secret", ("SELECT a FROM made", "*")],
    "moved by an update": ["ALTER TABLE open ADD x text", "UPDATE open SET x = (SELECT ssn FROM secret LIMIT 1)", ("SELECT x FROM open", "*")],
    "moved by a conversion": ["ALTER TABLE secret ALTER note TYPE text USING ssn", ("SELECT note FROM secret", "*")],
    "where it is written to": ["CREATE TABLE made AS SELECT ssn AS a FROM secret", "INSERT INTO made VALUES ('zqCANARY')", "UPDATE made SET a = a || '' WHERE a <> ''", ("SELECT a FROM made", "*")],
    "copied on": ["CREATE TABLE made AS SELECT ssn AS a FROM secret", "CREATE TABLE more AS SELECT a AS b FROM made", ("SELECT b FROM more", "*"), "ALTER TABLE more RENAME TO most",
                  ("SELECT b FROM most", "*"), "CREATE VIEW w AS SELECT b AS c FROM most", ("SELECT c FROM w", "*")],
}


def extended(text):
    return [parse("", text), bind(), describe("P"), execute(), SYNC]


def judged(c, text, marks, ask):
    seen = c.ask(*ask(text))
    assert b"CANARY" not in b"".join(body for _, body in seen), f"{text}: {seen}"
    rows = [row(body) for kind, body in seen if kind == "D"]
    assert rows, f"{text}: {[fields(b) for k, b in seen if k == 'E']}"
    got = "".join("*" if value in (None, b"****") else "=" for value in rows[0])
    assert got == marks, f"{text}: {rows[0]} is {got}, not {marks}"


def run_case(w, name, ask):
    c = Wire.through(w)
    c.values("BEGIN")
    for step in CASES[name]:
        if isinstance(step, tuple):
            judged(c, *step, ask)
            continue
        seen = c.ask(*ask(step.lstrip("!")))
        errors = [fields(body) for kind, body in seen if kind == "E"]
        assert bool(errors) == step.startswith("!"), f"{name}: {step}: {errors}"
    c.values("ROLLBACK")
    assert c.values("SELECT label FROM v WHERE id = 1") == [[b"plain1"]]
    c.close()


def each(w, names, ask):
    wrong = []
    for name in names:
        try:
            run_case(w, name, ask)
        except AssertionError as e:
            wrong.append(f"{name}: {e}")
    assert not wrong, "\n".join(wrong)


@test
def by_simple_queries(w):
    each(w, CASES, lambda text: [query(text)])


@test
def by_the_extended_protocol(w):
    each(w, list(CASES)[::3], extended)


@test
def in_one_batch_of_the_protocol(w):
    c = Wire.through(w)
    replace = [parse("", REPLACE), bind(), execute()]
    asks = [parse("", "SELECT label FROM v"), bind(), execute()]
    seen = c.ask(query("CREATE TABLE spare (n int)"))
    seen = c.ask(*asks, *replace, *asks, parse("s", "SELECT label || '' FROM v"), bind("p", "s"), execute("p"), parse("", "ROLLBACK"), bind(), execute(), SYNC)
    rows = [row(body)[0] for kind, body in seen if kind == "D"]
    assert rows == [b"plain1"] + [b"****"] * 4, seen
    assert c.values("DROP TABLE spare; SELECT 1") == [[b"1"]]
    c.close()


@test
def what_was_moved_by_an_execute_that_suspends(w):
    """All of an INSERT … RETURNING runs at its first Execute, however few rows that one asks for."""
    c = Wire.through(w)
    c.values("BEGIN; CREATE TABLE made (a text)")
    assert c.values("SELECT a FROM made") == []
    seen = c.ask(parse("", "INSERT INTO made SELECT ssn FROM secret RETURNING 1"), bind(), execute("", 1), SYNC)
    assert [kind for kind, _ in seen] == ["1", "2", "D", "s", "Z"], seen
    judged(c, "SELECT a FROM made", "*", lambda text: [query(text)])
    c.values("ROLLBACK")
    c.close()


@test
def prepared_before_and_run_after(w):
    c = Wire.through(w)
    c.ask(parse("s", "SELECT label, label || '' FROM v"), SYNC)
    c.values("PREPARE q AS SELECT label FROM v; BEGIN")
    run = [bind("", "s"), execute(), SYNC]
    assert [row(b) for k, b in c.ask(*run) if k == "D"] == [[b"plain1", b"plain1"]]
    c.values("SAVEPOINT a")
    c.values(REPLACE)
    assert [row(b) for k, b in c.ask(*run) if k == "D"][0] == [b"****", b"****"]
    assert c.values("EXECUTE q")[0] == [b"****"]
    c.values("ROLLBACK TO a")
    assert [row(b) for k, b in c.ask(*run) if k == "D"] == [[b"plain1", b"plain1"]]
    assert c.values("EXECUTE q") == [[b"plain1"]]
    c.values("ROLLBACK")
    c.close()


@test
def code_that_defines_nothing_costs_no_reading(w):
    """As many rows of the catalogue as before: what was read stands.  What a savepoint takes back is read all the same."""
    def readings():
        return w.pg.log().count("SELECT * FROM (SELECT inhrelid, inhparent")
    c = Wire.through(w)
    c.values("BEGIN; CREATE TABLE made (n int)")
    assert c.values("SELECT label FROM v") == [[b"plain1"]]
    before = readings()
    for _ in range(3):
        c.values("SELECT nothing()")
        c.values("INSERT INTO open VALUES (3, 'x')")
        c.values("DELETE FROM open WHERE id = 3")
        assert c.values("SELECT label FROM v") == [[b"plain1"]]
    assert readings() == before, readings() - before
    c.values("SAVEPOINT a")
    c.values(f"DO $$BEGIN {REPLACE}; END$$")
    assert c.values("SELECT label FROM v")[0] == [b"****"]
    c.values("ROLLBACK TO a; SELECT nothing()")
    assert c.values("SELECT label FROM v") == [[b"plain1"]]
    assert readings() == before + 2, readings() - before
    c.values("ROLLBACK")
    c.close()


@test
def others_change_them_meanwhile(w):
    """What another session commits is noticed within `catalogue recheck`, in a transaction with definitions of its own too."""
    c = Wire.through(w)
    c.values("BEGIN; CREATE TABLE made (n int)")
    assert c.values("SELECT n FROM made") == []
    w.pg.sql(f"SET ROLE app_gw; {REPLACE}")
    assert c.values("SELECT label FROM v")[0] == [b"****"]
    c.values("ROLLBACK")
    w.pg.sql("SET ROLE app_gw; CREATE OR REPLACE VIEW v AS SELECT id, note AS label FROM open")
    assert c.values("SELECT label FROM v") == [[b"plain1"]]
    c.close()


@test
def a_snapshot_of_long_ago_tells_nothing(w):
    """REPEATABLE READ: what the server goes by can't be read there, so nothing is believed."""
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        c = Wire.through(w)
        c.values(f"BEGIN ISOLATION LEVEL {level}")
        assert c.values("SELECT label FROM v") == [[b"plain1"]]
        c.values("CREATE TABLE made (n int)")
        assert c.values("SELECT label FROM v") == [[None]] or c.values("SELECT label FROM v") == [[b"****"]]
        c.values("ROLLBACK")
        assert c.values("SELECT label FROM v") == [[b"plain1"]]
        c.close()


@test
def a_login_that_may_not_read_the_catalogue(w):
    w.pg.sql("REVOKE SELECT ON pg_catalog.pg_depend FROM PUBLIC")
    try:
        c = Wire.through(w)
        c.values("BEGIN; CREATE TABLE made (n int)")
        assert c.values("SELECT label FROM v") in ([[None]], [[b"****"]]), "nobody asked what it may not, and nothing is believed"
        c.values("ROLLBACK")
        c.close()
    finally:
        w.pg.sql("GRANT SELECT ON pg_catalog.pg_depend TO PUBLIC")


@test
def what_the_server_came_with(w):
    """A superuser's view of the information schema, replaced in the transaction."""
    w.pg.sql("ALTER ROLE app_gw SUPERUSER")
    try:
        c = Wire.through(w)
        c.values("BEGIN; CREATE OR REPLACE VIEW information_schema.information_schema_catalog_name AS "
                 "SELECT (SELECT ssn FROM public.secret LIMIT 1)::information_schema.sql_identifier AS catalog_name")
        got = c.values("SELECT catalog_name FROM information_schema.information_schema_catalog_name")
        assert got in ([[None]], [[b"****"]]), got
        c.values("ROLLBACK")
        c.close()
    finally:
        w.pg.sql("ALTER ROLE app_gw NOSUPERUSER")


@test
def what_is_made_is_judged_in_the_schema_that_the_server_makes_it_in(w):
    c = Wire.through(w)

    def said(text):
        return [fields(body)["M"] for kind, body in c.ask(query(text)) if kind == "E"]

    for text in ("CREATE TABLE plans (a int)", "SELECT 1 AS a INTO plans", "CREATE VIEW plans AS SELECT 1 AS a"):
        assert "No plans." in str(said(text)), text  # "$user" comes first in the path, and there is no such schema
    w.pg.sql("GRANT CREATE ON DATABASE orders TO app_gw")
    assert said("CREATE SCHEMA app_gw") == [] and said("CREATE TABLE plans (a int)") == []
    assert w.pg.sql("SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'plans'").strip() == "app_gw"
    assert said("DROP SCHEMA app_gw CASCADE") == []
    assert "No plans." in str(said("CREATE TABLE plans (a int)"))
    assert w.pg.sql("SELECT count(*) FROM pg_class WHERE relname = 'plans'").strip() == "0"
    w.pg.sql("REVOKE CREATE ON DATABASE orders FROM app_gw")
    c.close()


main(sql=SQL, policy=POLICY, target_extra="catalogue recheck=0s;")
