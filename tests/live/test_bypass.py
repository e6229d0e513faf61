#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The masking part of the bypass corpus, against a real server.

Two databases differ in the values of tagged columns and in nothing else, not even in their order.  Straight at the server each
statement tells them apart (so the test can fail); through the gateway nobody can: MK1, MK2, MK3, MK6, MK7.
"""

import concurrent.futures
import re

from harness import *
import wire

CORPUS = TOP / "tests" / "bypass"
SECRETS = {
    "orders": {"email": "ada.lovelace@canary.example", "card": "4111111111111111"},
    "twin": {"email": "zz-top@other.example", "card": "550000555555559"},
}
LIVE = ("MK1", "MK2", "MK3", "MK6", "MK7")


class Entry:
    def __init__(self, number, line):
        self.threat, self.who, self.verdict, text = line.split("\t")
        self.same = text.startswith("!")
        self.where = f"corpus.txt:{number}: {text}"
        text = re.sub(r"\{([0-9a-f]{2})\}", lambda m: chr(int(m.group(1), 16)), text.lstrip("!"))
        self.messages = [part.strip() for part in text.split(";;")]

    @property
    def writes(self):
        return re.search(r"(?i)\b(insert|update|delete|merge|create|into|lo_from_bytea|setval)\b", " ".join(self.messages))


def corpus():
    lines = (CORPUS / "corpus.txt").read_text(encoding="utf-8").splitlines()
    return [Entry(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]


def masking(entry):
    return entry.threat in LIVE or (entry.threat == "MK12" and entry.verdict in ("known", "masked"))


def at_once(function, *values):
    with concurrent.futures.ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(function, values))


def prepare(w, databases=SECRETS, more=""):
    text = "SET client_min_messages = warning; SET ROLE app_gw;\n" + (CORPUS / "setup.sql").read_text() + more

    def one(database):
        secret = SECRETS[database]
        return run(["psql", "-h", w.pg.folder, "-p", w.pg.port, "-U", "postgres", "-d", database, "-Xq", "-v", "ON_ERROR_STOP=1",
                    "-v", f"email={secret['email']}", "-v", f"card={secret['card']}", "-f", "-"], stdin=text)
    for done in at_once(one, *databases):
        assert done.code == 0, repr(done)


def said(w, entry, database, **to):
    """All that a client sees of it, but for what names the session."""
    args = ["-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"]
    for message in entry.messages:
        args += ["-c", message]
    if not to.get("direct") and database != "orders":
        database = "orders/" + database
    got = w.psql(args=args, database=database, timeout=20, **to)
    return re.sub(r"sallyport explain \S+|with PID \d+|sallyport ann \S+ psql", "", got.out + "\n" + got.err)


def unexpected(entry, got):
    """Is this not what the corpus says of it?"""
    verdict, blocked = entry.verdict.split(), "ERROR:  42501" in got
    if verdict[0] == "deny":
        return f'blocked by rule "{verdict[1]}"' not in got
    if verdict[0] in ("unclear", "refused"):
        return not blocked
    return blocked and not entry.messages[0].startswith("COPY")


@test
def secrets_do_not_come_through(w):
    w.pg.sql("CREATE DATABASE twin OWNER app_gw", "postgres")
    prepare(w)
    leaks, blind, other_verdict, shown = [], [], [], 0
    for entry in filter(masking, corpus()):
        through = at_once(lambda d: said(w, entry, d), *SECRETS)
        if entry.writes and entry.verdict == "open":
            prepare(w)
        straight = at_once(lambda d: said(w, entry, d, direct=True), *SECRETS)
        if entry.writes:
            prepare(w)
        if through[0] != through[1] or SECRETS["orders"]["email"] in through[0]:
            leaks.append(f"{entry.where}\n  {through[0].strip()[:300]}\n  {through[1].strip()[:300]}")
        if straight[0] == straight[1] and not entry.same and entry.verdict != "open":
            blind.append(f"{entry.where}\n  {straight[0].strip()[:200]}")
        if unexpected(entry, through[0]):
            other_verdict.append(f"{entry.where}: not {entry.verdict}\n  {through[0].strip()[:300]}")
        shown += straight[0] != straight[1]
    assert not leaks, f"{len(leaks)} statements tell the secret:\n" + "\n".join(leaks + other_verdict + blind)
    assert not other_verdict, f"{len(other_verdict)} verdicts:\n" + "\n".join(other_verdict + blind)
    assert not blind, f"{len(blind)} statements prove nothing, for they show no secret to anybody:\n" + "\n".join(blind)
    assert shown > 100, shown


@test
def untagged_tables_stay_usable(w):
    """The same, straight and through the gateway, of all that touches no tagged column."""
    prepare(w)
    for sql in ("SELECT * FROM orders ORDER BY id", "SELECT count(*), sum(price), max(item), string_agg(state, ',' ORDER BY id) FROM orders",
                "SELECT o FROM orders o ORDER BY id", "SELECT to_json(o) FROM orders o ORDER BY id", "TABLE notes", "VALUES (1, 'a')",
                "SELECT name, born FROM customers ORDER BY id", "SELECT upper(name) FROM customers ORDER BY id",
                "SELECT c.name, o.item FROM customers c JOIN orders o ON o.customer = c.id ORDER BY o.id",
                "WITH t AS (SELECT state, count(*) AS n FROM orders GROUP BY state) SELECT * FROM t ORDER BY 1",
                "SELECT id * 2 FROM orders UNION SELECT id FROM customers ORDER BY 1",
                "SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
                "COPY (SELECT id, item || '!' FROM orders ORDER BY id) TO STDOUT",
                "BEGIN; DECLARE c CURSOR FOR SELECT id * 2, lower(item) FROM orders ORDER BY id; FETCH ALL c; COMMIT",
                "EXPLAIN (COSTS off) SELECT item FROM orders WHERE id = 5",
                "SELECT count(*) FROM customers"):
        w.both(sql)


# ---- what leads to a tagged column without naming it ----

UNNAMED = """
CREATE TABLE made (id int, low text GENERATED ALWAYS AS (lower(email)) STORED, email text, note text);
INSERT INTO made (id, email, note) VALUES (1, :'email', 'plain');
CREATE VIEW by_function AS SELECT leak() AS x;
CREATE VIEW by_operator AS SELECT name === 'x' AS x FROM customers;
CREATE VIEW by_text AS SELECT query_to_xml('SELECT email FROM customers', true, true, '')::text AS x;
CREATE TABLE mails (email text PRIMARY KEY, id int);
INSERT INTO mails VALUES (:'email', 1);
CREATE TABLE sent (id int, address text REFERENCES mails DEFERRABLE INITIALLY DEFERRED);
INSERT INTO sent VALUES (1, :'email');
CREATE TABLE crm.persons (id int, phone text);
INSERT INTO crm.persons VALUES (1, :'email');
CREATE TABLE public.persons (id int, phone text);
INSERT INTO public.persons VALUES (1, 'nobody''s');
CREATE MATERIALIZED VIEW numbers_of AS SELECT email::int AS x FROM customers WITH NO DATA;
CREATE STATISTICS number_of ON (email::int), id FROM customers;
CREATE VIEW by_row AS SELECT id, c AS who, to_jsonb(c) AS doc FROM customers c;
DROP DOMAIN IF EXISTS word CASCADE;
CREATE DOMAIN word AS text;
CREATE TABLE worded (id int, email word);
INSERT INTO worded VALUES (1, :'email');
ALTER TABLE worded ADD CONSTRAINT later CHECK (email::int > 0) NOT VALID;
RESET ROLE;
DROP SCHEMA IF EXISTS closed CASCADE;
CREATE SCHEMA closed;
CREATE TABLE closed.persons (id int, phone text);
"""


def all_bytes(c, steps):
    """Everything that these steps, texts or lists of messages, are answered with."""
    said = b""
    for step in steps:
        said += b"".join(body for _, body in c.ask(*([wire.query(step)] if isinstance(step, str) else step)))
    said += repr(c.notices).encode()
    c.close()
    return said


def told(w, *steps):
    """Does the email come through the gateway?  Straight at the server it must."""
    secret = re.compile(re.escape(SECRETS["orders"]["email"].encode()), re.IGNORECASE)
    straight = all_bytes(wire.Wire.direct(w), ["SET ROLE app_gw", *steps])
    assert secret.search(straight), f"{steps} tells nothing to anybody: {straight[:300]}"
    through = all_bytes(wire.Wire.through(w), steps)
    return f"{steps}\n  {through[:400]}" if secret.search(through) else None


def none_told(w, *attacks):
    prepare(w, ["orders"], UNNAMED)
    leaks = [leak for leak in (told(w, *steps) for steps in attacks) if leak]
    assert not leaks, f"{len(leaks)} tell the secret:\n" + "\n".join(leaks)


def portal(text):
    return [wire.parse("s", text), wire.bind("p", "s"), wire.describe("P", "p"), wire.SYNC]


def batch(*texts):
    return [m for text in texts for m in (wire.parse("", text), wire.bind(), wire.execute())] + [wire.SYNC]


RUN = [wire.execute("p"), wire.SYNC]
LOWER = "SELECT lower(email) FROM customers"


@test
def portals_are_cursors(w):
    """PG17: FETCH reads a portal of the protocol; DECLARE takes the name of one."""
    none_told(w, ("BEGIN", portal(LOWER), 'FETCH ALL "p"'),
              ("BEGIN", portal("SELECT name FROM customers"), "CLOSE p", f"DECLARE p CURSOR FOR {LOWER}", RUN),
              ("BEGIN", portal("SELECT name FROM customers"), f"ROLLBACK; BEGIN; DECLARE p CURSOR FOR {LOWER}", RUN),
              ("BEGIN", [wire.parse("d", f"DECLARE p CURSOR FOR {LOWER}"), wire.bind("q", "d"), wire.SYNC],
               portal("SELECT name FROM customers"), "CLOSE p", [wire.execute("q"), wire.SYNC], RUN))


@test
def errors_without_the_column(w):
    """MK4: a cursor's error comes with FETCH or COMMIT, a constraint's with columns that nobody named."""
    number = "CURSOR WITH HOLD FOR SELECT email::int FROM customers"
    none_told(w, ("BEGIN", f"DECLARE c {number}", "FETCH c"), ("BEGIN", f"DECLARE c {number}", "MOVE c"),
              ("BEGIN", f"DECLARE c {number}", "COMMIT"),
              ("UPDATE customers SET name = NULL WHERE id = 1",),
              ("DELETE FROM mails WHERE id = 1",), ("BEGIN", "DELETE FROM mails WHERE id = 1", "COMMIT"),
              ("BEGIN", "DELETE FROM mails WHERE id = 1", "SET CONSTRAINTS ALL IMMEDIATE"),
              ([wire.parse("", "DELETE FROM mails WHERE id = 1"), wire.bind(), wire.execute(), wire.SYNC],),
              ("ANALYZE customers",), ("REFRESH MATERIALIZED VIEW numbers_of",))


@test
def columns_made_of_others(w):
    """MK7: generated columns, views over code, statistics."""
    none_told(w, ("SELECT low FROM made",), ("SELECT upper(low) FROM made",), ("COPY made TO STDOUT",), ("COPY (SELECT low FROM made) TO STDOUT",),
              ("SELECT who FROM by_row",), ("SELECT doc FROM by_row",), ("SELECT doc ->> 'email' FROM by_row",), ("COPY (SELECT * FROM by_row) TO STDOUT",),
              ("SELECT x FROM by_function",), ("SELECT x || '' FROM by_function",), ("SELECT x FROM by_text",))
    assert w.psql("SELECT id, low, note FROM made").out == "1||plain"
    assert w.psql("SELECT x FROM by_operator WHERE x <> ''").out == "", "an operator of somebody's own may tell anything"


@test
def definitions_compute(w):
    """MK4: who may change definitions has the server compute expressions of columns that the statement does not name."""
    before = w.gateway.policy
    try:
        w.gateway.policy = OPEN
        w.gateway.write()
        assert w.gateway.reload().code == 0
        none_told(w, ("ALTER DOMAIN word ADD CHECK (VALUE::int > 0)",), ("ALTER TABLE worded VALIDATE CONSTRAINT later",),
                  ("BEGIN", "ALTER DOMAIN word ADD CHECK (VALUE::regclass::oid > 0)"))
        # temporary views are replaced without a trace in what the gateway asks others' changes by
        none_told(w, ("CREATE TEMP VIEW w AS SELECT name AS x FROM customers", "DROP TABLE IF EXISTS unrelated", "CREATE TABLE unrelated (id int)", "SELECT x || '' FROM w",
                      "CREATE OR REPLACE TEMP VIEW w AS SELECT email AS x FROM customers", "SELECT x || '' FROM w", "COPY (SELECT x FROM w) TO STDOUT"))
        none_told(w, ("CREATE OR REPLACE VIEW hides AS SELECT name AS x FROM customers", "BEGIN", "CREATE OR REPLACE VIEW hides AS SELECT email AS x FROM customers",
                   "SELECT x FROM hides", "ROLLBACK"))
        assert w.psql(args=["-Atqc", "CREATE TEMP TABLE w AS SELECT name AS x FROM customers WHERE id = 1", "-c", "SELECT x, x || '!' FROM w"]).out == "Ada|Ada!"
        assert "already exists" in w.psql("ALTER TABLE orders ADD item text").err
    finally:
        w.gateway.policy = before
        w.gateway.write()
        assert w.gateway.reload().code == 0


@test
def untagged_errors_stay(w):
    """What a constraint says of a table without tagged columns is the client's to read."""
    prepare(w, ["orders"])
    w.both("INSERT INTO orders (id) VALUES (1)")
    w.both("UPDATE orders SET id = 2 WHERE id = 1")


OPEN = """
tag "pii" { "*.email" }
rule "hide-pii" { doc = "Personal data is masked, and all else is open.", on = "sql.result", when = { column = tagged "pii" }, mask = mask.null }
"""
QUALIFIED = """
tag "phones" { "crm.persons.phone" }
rule "hide-phones" { doc = "Phones are nobody's business.", on = "sql.result", when = { column = tagged "phones" }, mask = mask.null }
"""


@test
def which_table_a_name_is(w):
    """MK8: the server skips schemas that the role may not use, has pg_temp where the path puts it, and at Sync ends what was LOCAL."""
    before = w.gateway.policy
    try:
        w.gateway.policy = QUALIFIED
        w.gateway.write()
        assert w.gateway.reload().code == 0
        temporary = "CREATE TEMP TABLE persons (id int, phone text)"
        none_told(w, ("SET search_path = closed, crm, public", "SELECT lower(phone) FROM persons"),
                  (temporary, "SET search_path = crm, pg_temp", "SELECT lower(phone) FROM persons"),
                  (temporary, "SET search_path = crm, pg_temp; SELECT lower(phone) FROM persons"),
                  ("SET search_path = crm", batch("SET LOCAL search_path = public", "SELECT 1 FROM persons"), "SELECT lower(phone) FROM persons"),
                  ("SET search_path = crm", batch("SELECT set_config('search_path', 'public', true)", "SELECT 1 FROM persons"),
                   batch("SELECT lower(phone) FROM persons")))
        assert w.psql("SELECT lower(phone) FROM persons").out == "nobody's"
        assert w.psql("SELECT most_common_vals FROM pg_stats WHERE tablename = 'customers' AND most_common_vals IS NOT NULL").out == ""
    finally:
        w.gateway.policy = before
        w.gateway.write()
        assert w.gateway.reload().code == 0


# ---- relations that hold a tagged column's values under other names ----

ELSEWHERE = """
DROP EXTENSION IF EXISTS postgres_fdw CASCADE;
CREATE EXTENSION postgres_fdw;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'orders');
CREATE USER MAPPING FOR app_gw SERVER loop OPTIONS (user 'app_gw', password '{password}');
GRANT USAGE ON FOREIGN SERVER loop TO app_gw;
GRANT USAGE ON SCHEMA pg_toast TO app_gw;
SET ROLE app_gw;
CREATE FOREIGN TABLE far (id int, email text) SERVER loop OPTIONS (table_name 'customers');
CREATE FOREIGN TABLE far_named (id int, x text OPTIONS (column_name 'email')) SERVER loop OPTIONS (table_name 'customers');
CREATE FOREIGN TABLE far_view (id int, x text, y text) SERVER loop OPTIONS (table_name 'v');
CREATE VIEW over_far AS SELECT id, x AS z FROM far_named;
CREATE TABLE cut_up (id int, email text, note text) PARTITION BY LIST (id);
CREATE FOREIGN TABLE far_part PARTITION OF cut_up FOR VALUES IN (2) SERVER loop OPTIONS (table_name 'far_source');
CREATE TABLE above (id int, note text);
CREATE FOREIGN TABLE far_child (note text OPTIONS (column_name 'email')) INHERITS (above) SERVER loop OPTIONS (table_name 'customers');
CREATE TABLE far_source (id int, email text, note text);
INSERT INTO far_source VALUES (2, :'email', 'plain');
CREATE TABLE wide (id int, email text);
ALTER TABLE wide ALTER email SET STORAGE EXTERNAL;
INSERT INTO wide SELECT 1, repeat(:'email' || ' ', 200);
CREATE STATISTICS of_pairs (mcv) ON email, name FROM customers;
ANALYZE customers;
"""


def prepare_elsewhere(w):
    prepare(w, ["orders"], "RESET ROLE;" + ELSEWHERE.format(port=w.pg.port, password=w.pg.password))


def elsewhere(w, *attacks):
    leaks = [leak for leak in (told(w, *steps) for steps in attacks) if leak]
    assert not leaks, f"{len(leaks)} tell the secret:\n" + "\n".join(leaks)


@test
def foreign_tables(w):
    """MK1, MK7: a foreign table's columns have whatever names its owner gave them."""
    prepare_elsewhere(w)
    elsewhere(w, ("SELECT email FROM far",), ("SELECT upper(email) FROM far",), ("SELECT x FROM far_named",), ("SELECT x || '' FROM far_named",),
              ("SELECT x, y FROM far_view",), ("SELECT z FROM over_far",), ("COPY (SELECT x FROM far_named) TO STDOUT",),
              ("SELECT f FROM far_named f",), ("TABLE far_part",), ("SELECT email FROM cut_up",), ("SELECT lower(email) FROM far_part",),
              ("SELECT note FROM above",), ("SELECT note || '' FROM above",), ("SELECT a FROM above a",),
              ("BEGIN", "DECLARE c CURSOR FOR SELECT x FROM far_named", "FETCH ALL c"))


COUNTED = """
SET ROLE app_gw;
CREATE SEQUENCE of_emails; CREATE SEQUENCE harmless;
CREATE TABLE counts (n int, email bigint DEFAULT nextval('of_emails'), id int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE owns (email bigserial, n int);
CREATE SEQUENCE of_type; CREATE DOMAIN counted AS bigint DEFAULT nextval('of_type'); CREATE TABLE typed (n int, email counted);
CREATE VIEW of_last AS SELECT lastval() AS l; CREATE VIEW of_current AS SELECT currval(('of_' || 'emails')::regclass) AS l;
CREATE VIEW of_each AS SELECT c.relname, pg_sequence_last_value(c.oid) AS l FROM pg_class c WHERE c.relkind = 'S';
CREATE VIEW of_next AS SELECT nextval(('of_' || 'emails')::regclass) AS l;
SELECT setval('of_emails', 72519346), setval('owns_email_seq', 72519346), setval('of_type', 72519346), setval('harmless', 72519346);
"""


@test
def sequences_of_columns(w):
    """MK7: what a sequence counted last is in the column that it counts for."""
    prepare(w, ["orders"])
    w.pg.sql(COUNTED)
    ways = [*(f"SELECT last_value{x} FROM {s}" for s in ("of_emails", "owns_email_seq", "of_type") for x in ("", "::text", " + 0")), "TABLE of_emails",
            "COPY (SELECT last_value FROM of_emails) TO STDOUT", "SELECT lastval()", "SELECT lastval() + 0",
            "SELECT last_value FROM pg_sequences WHERE sequencename = 'of_emails'", "SELECT max(last_value) FROM pg_sequences",
            *(f"SELECT {f}({s}){x}" for f in ("currval", "pg_sequence_last_value") for s in ("'of_emails'", "'owns_email_seq'::regclass", "('of_' || 'emails')::regclass")
              for x in ("", " || ''")),
            "SELECT l FROM of_last", "SELECT l + 0 FROM of_current", "SELECT l FROM of_next", "SELECT l FROM of_each WHERE relname = 'of_emails'", "SELECT max(l) FROM of_each"]
    leaks = []
    for text in ways:
        c = wire.Wire.through(w)
        seen = [c.ask(wire.query(step)) for step in ("INSERT INTO counts (n) VALUES (1)", "INSERT INTO owns (n) VALUES (1)", text)]
        assert b"INSERT 0 1" in seen[1][0][1], seen
        if b"725193" in b"".join(body for _, body in seen[2]):
            leaks.append(text)
        c.close()
    straight = wire.Wire.direct(w)
    for step in ("INSERT INTO counts (n) VALUES (1)", "INSERT INTO owns (n) VALUES (1)"):
        straight.ask(wire.query(step))
    blind = [text for text in ways if b"725193" not in b"".join(body for _, body in straight.ask(wire.query(text)))]
    straight.close()
    assert not leaks and not blind, f"{len(leaks)} tell it: {leaks}\n{len(blind)} prove nothing: {blind}"
    c = wire.Wire.through(w)  # what counts for nothing tagged is told
    assert c.values("SELECT nextval('harmless')") == [[b"72519347"]] and c.values("SELECT currval('harmless')") == [[b"72519347"]]
    assert c.values("SELECT last_value FROM harmless") == [[b"72519347"]]
    c.close()


RUNNERS = """
CREATE EXTENSION tablefunc; CREATE EXTENSION xml2; SET ROLE app_gw;
CREATE TABLE whose (id int, email text, note text); INSERT INTO whose VALUES (1, '<a>72519347</a>', 'plain');
CREATE VIEW of_crosstab AS SELECT * FROM crosstab('SELECT 1, 2, email FROM whose') AS t(a int, b text);
CREATE VIEW of_xpath AS SELECT * FROM xpath_table('id', 'email', 'whose', '/a', 'true') AS t(a int, b text);
CREATE VIEW of_connectby AS SELECT * FROM connectby('whose', 'email', 'note', 'plain', 0) AS t(b text, p text, l int);
"""


@test
def extensions_that_run_a_text(w):
    """MK7: their volatility says that they only compute."""
    prepare(w, ["orders"])
    w.pg.sql(RUNNERS)
    ways = ["SELECT b FROM of_crosstab", "SELECT upper(b) FROM of_xpath", "SELECT b FROM of_connectby", "SELECT min(b) FROM of_connectby"]
    c, straight = wire.Wire.through(w), wire.Wire.direct(w)
    leaks = [text for text in ways if b"725193" in b"".join(body for _, body in c.ask(wire.query(text)))]
    blind = [text for text in ways if b"725193" not in b"".join(body for _, body in straight.ask(wire.query(text)))]
    c.close()
    straight.close()
    assert not leaks and not blind, f"{len(leaks)} tell it: {leaks}\n{len(blind)} prove nothing: {blind}"


@test
def toast_and_statistics(w):
    """MK5, MK7: what the server keeps of a column beside its table."""
    prepare_elsewhere(w)
    toast = w.pg.sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'wide'")
    elsewhere(w, (f"SELECT convert_from(chunk_data, 'UTF8') FROM {toast}",), (f"SELECT encode(chunk_data, 'escape') FROM {toast}",),
              (f"SELECT string_agg(encode(chunk_data, 'escape'), '' ORDER BY chunk_seq) FROM {toast}",),
              (f"COPY (SELECT encode(chunk_data, 'escape') FROM {toast}) TO STDOUT",),
              ("SELECT most_common_vals FROM pg_stats_ext WHERE statistics_name = 'of_pairs'",),
              ("SELECT m.* FROM pg_statistic_ext s JOIN pg_statistic_ext_data d ON s.oid = d.stxoid, pg_mcv_list_items(d.stxdmcv) m WHERE stxname = 'of_pairs'",)
              if w.pg.sql("SELECT has_table_privilege('app_gw', 'pg_statistic_ext_data', 'SELECT')") == "t" else
              ("SELECT most_common_vals::text FROM pg_stats_ext WHERE statistics_name = 'of_pairs'",),
              ("SELECT histogram_bounds FROM pg_stats WHERE tablename = 'customers' AND attname = 'email'",))


main(policy=(CORPUS / "rules.lua").read_text())
