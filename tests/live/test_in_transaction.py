#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nobody waits for a person inside a transaction that has written: others would wait with them (AP9, DESIGN 6.5)."""

from harness import *
from wire import *

SQL = """CREATE TABLE log (n int);
CREATE FUNCTION adds() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO public.log VALUES (7) RETURNING n';
"""
MORE = """
rule "patient" {
  doc = "Customers' names wait even then.",
  on = "sql.statement", when = { verb = "update", tables = "public.customers" },
  approve = { by = "leads", within = "5m", ["else"] = "wait", in_transaction = true },
}
rule "adds-is-known" {
  doc = "adds() adds a line to log.",
  on = "sql.statement", when = { groups = "dev" },
  allow = { unclear = "function", name = "public.adds" },
}
"""
HELD = "UPDATE orders SET price = price + 1 WHERE id = 1"
PATIENT = "UPDATE customers SET name = name WHERE id = 1"


def waits(w, c, *sent):
    """It is held: withdrawn again, and the session is as before."""
    c.send(*sent)
    request = w.waiting_request()
    assert w.command("deny", request["id"], token=w.token("lea", "leads", api=True)).code == 0
    seen = c.until_ready()
    assert "denied by lea" in told(seen).lower(), seen


def told(seen):
    return " ".join(fields(body)["M"] for kind, body in seen if kind == "E")


def refused(w, c, *sent):
    c.send(*sent)
    seen = c.until_ready()
    assert "its transaction has written" in told(seen) and "in_transaction" in told(seen), seen
    assert not [r for r in w.requests() if r["state"] == "waiting"]
    return seen


def asks(text):
    return parse("", text) + bind() + execute()


def run(c, *sent):
    c.send(*sent)
    seen = c.until_ready()
    assert not told(seen), seen
    return seen


@test
def ap9_psql_in_a_block_that_has_written(w):
    one = w.psql_waiting(args=("-A", "-t", "-q"), stdin=f"BEGIN;\nINSERT INTO log VALUES (1);\n{HELD};\n")
    one.process.stdin.close()
    one.process.stdin = None
    got = one.result()
    assert got.code != 0 and "its transaction has written" in got.err, repr(got)
    assert w.pg.sql("SELECT count(*) FROM log") == "0", "it was rolled back"


@test
def a_block_that_only_read_may_wait(w):
    c = Wire.through(w)
    run(c, query("BEGIN"))
    run(c, query("SELECT count(*) FROM log"))
    waits(w, c, query(HELD))
    run(c, query("ROLLBACK"))


@test
def what_writes_or_locks(w):
    for text in ("INSERT INTO log VALUES (1)", "DELETE FROM log WHERE n = 1", "SELECT id FROM orders WHERE id = 2 FOR UPDATE", "LOCK TABLE log",
                 "SELECT adds()", "WITH x AS (INSERT INTO log VALUES (2) RETURNING n) SELECT n FROM x",
                 "EXPLAIN ANALYZE INSERT INTO log VALUES (3)", "SELECT n FROM log; INSERT INTO log VALUES (4)"):
        c = Wire.through(w)
        run(c, query("BEGIN"))
        run(c, query(text))
        refused(w, c, query(HELD))
        run(c, query("ROLLBACK"))
        waits(w, c, query(HELD))  # that transaction is over


@test
def a_copy_and_a_savepoint_that_is_taken_back(w):
    c = Wire.through(w)
    run(c, query("BEGIN"))
    c.send(query("COPY log FROM STDIN"))
    while c.read()[0] != "G":
        pass
    run(c, message(b"d", b"1\n") + message(b"c"))
    refused(w, c, query(HELD))
    run(c, query("ROLLBACK"))
    run(c, query("BEGIN; SAVEPOINT a"))
    run(c, query("INSERT INTO log VALUES (1)"))
    run(c, query("ROLLBACK TO a"))
    refused(w, c, query(HELD))  # careful: nobody has counted what the savepoint took back
    run(c, query("ROLLBACK"))


@test
def one_message_is_judged_before_any_of_it_runs(w):
    c = Wire.through(w)
    waits(w, c, query(f"BEGIN; INSERT INTO log VALUES (1); {HELD}; COMMIT"))
    run(c, query("BEGIN; INSERT INTO log VALUES (1)"))
    refused(w, c, query(f"SELECT 1; {HELD}"))
    run(c, query("ROLLBACK"))
    run(c, query("INSERT INTO log VALUES (5); COMMIT; BEGIN"))
    refused(w, c, query(HELD))  # a block is open, and that message has written
    run(c, query("ROLLBACK"))


@test
def batches_of_the_extended_protocol(w):
    c = Wire.through(w)
    refused(w, c, asks("INSERT INTO log VALUES (1)"), asks(HELD), SYNC)  # one transaction up to Sync
    c.send(asks("INSERT INTO log VALUES (1)"), FLUSH)
    while c.read()[0] != "C":
        pass
    refused(w, c, asks(HELD), SYNC)
    waits(w, c, asks("SELECT 1"), asks(HELD), SYNC)
    c.send(asks("INSERT INTO log VALUES (6)"), SYNC, asks(HELD), SYNC)  # pipelined, and two transactions
    first = c.until_ready()
    assert not told(first), first
    waits(w, c)
    c.send(asks("BEGIN"), SYNC, asks("INSERT INTO log VALUES (1)"), SYNC, asks(HELD), SYNC)  # pipelined, and one
    assert not told(c.until_ready()) and not told(c.until_ready())
    refused(w, c)
    run(c, query("ROLLBACK"))
    c.send(asks("SELECT 1"), SYNC, asks("BEGIN"), asks("INSERT INTO log VALUES (1)"), SYNC, asks(HELD), SYNC)
    assert not told(c.until_ready()) and not told(c.until_ready())
    refused(w, c)
    run(c, query("ROLLBACK"))
    waits(w, c, asks(HELD), SYNC)


@test
def a_rule_may_say_otherwise(w):
    c = Wire.through(w)
    run(c, query("BEGIN"))
    run(c, query("INSERT INTO log VALUES (1)"))
    waits(w, c, query(PATIENT))
    run(c, query("ROLLBACK"))


if __name__ == "__main__":
    main(sql=SQL, policy=POLICY.replace('approve = { by = "leads", within = "5m" }', 'approve = { by = "leads", within = "5m", ["else"] = "wait" }') + MORE)
