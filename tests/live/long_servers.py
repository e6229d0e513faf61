#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway before PostgreSQL 13 to 18: Debian's 15, and those of Maven Central; what is newer than the grammar that it
judges by is refused, and says so."""

import harness
from harness import *
from maven import SERVERS, postgres_bin

# Of which release each is; on the newest server they would run.
NEWER = (
    (16, "SELECT 1_000"), (16, "SELECT 0x1F"), (16, "SELECT * FROM (SELECT 1)"), (16, "SELECT '{}' IS JSON"), (16, "SELECT JSON_ARRAY(1 NULL ON NULL)"),
    (17, "MERGE INTO orders o USING customers c ON o.id = c.id WHEN MATCHED THEN UPDATE SET state = 'x' RETURNING o.id"),
    (17, "MERGE INTO orders o USING customers c ON o.id = c.id WHEN NOT MATCHED BY SOURCE THEN DELETE"),
    (17, "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$')) t"),
    (18, "UPDATE orders SET state = 'x' WHERE id = 1 RETURNING WITH (OLD AS o) o.state"),
    (18, "CREATE TABLE x (id int4range, at tstzrange, PRIMARY KEY (id, at WITHOUT OVERLAPS))"),
    (18, "CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)"),
    (18, "ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0) NOT ENFORCED"),
)
# Read by the old grammar as something else: nothing of what is hidden may be seen by it.
READ_OTHERWISE = (
    "UPDATE customers SET name = name WHERE id = 1 RETURNING old.email, new.card_number",
    "UPDATE customers SET name = name WHERE id = 1 RETURNING upper(old.email), new.card_number || 'x'",
    "SELECT JSON_ARRAY(email) FROM customers", "SELECT JSON_OBJECT('a': email) FROM customers", "SELECT ANY_VALUE(email) FROM customers",
    "SELECT JSON_SERIALIZE(to_json(email)) FROM customers", "SELECT JSON_SCALAR(card_number) FROM customers",
)


def works(w, major):
    version = w.psql("SHOW server_version_num").out
    assert int(version) // 10000 == major, version
    assert w.both("SELECT count(*), sum(price) FROM orders").code == 0
    shown = w.psql("SELECT name, email, card_number FROM customers WHERE id = 1")
    assert "Ada Lovelace" in shown.out and "ada@example.com" not in shown.out and "4111111111111111" not in shown.out, repr(shown)
    assert "4111111111111111" in w.psql("SELECT card_number FROM customers WHERE id = 1", user="fay", groups="fraud").out
    assert w.psql("DELETE FROM orders").code != 0
    waiting = w.psql_waiting("UPDATE orders SET state = 'held' WHERE id = 1")
    assert w.command("approve", w.waiting_request()["id"], token=w.token("lea", "leads", api=True)).code == 0
    assert waiting.result().code == 0 and w.pg.sql("SELECT state FROM orders WHERE id = 1") == "held"
    out = w.psql("COPY (SELECT id, email FROM customers ORDER BY id) TO STDOUT")
    assert out.code == 0 and "ada@example.com" not in out.out and out.out.count("\n") == 3, repr(out)
    w.pg.sql("SET ROLE app_gw; CREATE TABLE later (id int, email text); INSERT INTO later VALUES (1, 'late@example.com')")
    assert "late@example.com" not in w.psql("SELECT * FROM later").out  # the catalogue is followed
    assert w.psql(stdin="PREPARE p AS SELECT item FROM orders WHERE id = $1;\nEXECUTE p(7);\n").out == "item 7"
    slow = w.psql_waiting("SELECT count(*) FROM generate_series(1, 2000000000), (SELECT 'the slow one') x")
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%the slow one%' AND state = 'active' AND pid <> pg_backend_pid()") == "1", 30)
    slow.interrupt()
    assert "57014" in slow.result().err
    for text in (r"\d", r"\d+ orders", r"\df", r"\l"):
        assert w.psql(stdin=text + "\n", args=("-q",)).code == w.psql(stdin=text + "\n", args=("-q",), direct=True).code, text


def refuses_what_is_newer(w):
    for release, text in NEWER:
        done = w.psql(text)
        assert done.code != 0 and "unclear: syntax" in done.err and "PostgreSQL 15's grammar" in done.err, f"{release}: {text}: {done!r}"
    for text in READ_OTHERWISE:
        done = w.psql(text)
        seen = (done.out + done.err).lower()
        assert "ada@example.com" not in seen and "4111111111111111" not in seen, f"{text}: {done!r}"


def on(major):
    def work(_):
        found = harness.pg_bin
        folder = postgres_bin(major)
        harness.pg_bin = lambda: folder
        world = None
        try:
            world = World()
            world.start()
            works(world, major)
            refuses_what_is_newer(world)
        finally:
            harness.pg_bin = found
            if world is not None:
                assert world.end()
    work.__name__ = f"postgresql_{major}"
    return test(work)


@test
def postgresql_15(w):
    works(w, 15)
    refuses_what_is_newer(w)


for one in sorted(SERVERS):
    on(one)
main()
