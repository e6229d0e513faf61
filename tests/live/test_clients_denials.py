#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a denied or held client sees, message by message: PG14, PG15, and DESIGN 6.5."""

from harness import *
from wire import *

SQL = "CREATE TABLE log (n int);\nCREATE TABLE t (id int PRIMARY KEY, v text);\nINSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');\n"
MORE = """
rule "at-once" {
  doc = "Held statements fail at once here, to be run again once agreed.",
  on = "sql.statement", when = { verb = "update", tables = "public.t" },
  approve = { by = "leads", within = "5m", ["else"] = "fail" },
}
rule "few-rows" { doc = "Three rows of numbers.", on = "sql.statement", when = { tables = "public.numbers" }, limit = { rows = 3 } }
rule "no-born" { doc = "Nobody sees dates of birth.", on = "sql.result", when = { column = "public.customers.born" }, deny = "Leave out born." }
"""
DENIED = "DELETE FROM log"


def P(text, *values):
    return parse("", text) + bind(values=values) + describe("P") + execute()


def logged(w):
    return w.pg.sql("SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM log")


def clean(w):
    w.pg.sql("TRUNCATE log")


def denied(seen):
    said = [fields(body) for kind, body in seen if kind == "E"]
    assert len(said) == 1 and said[0]["C"] == "42501" and 'blocked by rule "' in said[0]["M"] and "sallyport explain " in said[0]["H"], said
    return said[0]


@test
def pg14_order_under_pipelining(w):
    clean(w)
    c = Wire.through(w)
    c.send(P("SELECT 1"), P(DENIED), P("SELECT 2"), SYNC, P("SELECT 3"), SYNC)
    first, second = c.until_ready(), c.until_ready()
    denied(first)
    assert shape(first) == "12TDC(SELECT 1)E(42501)Z(I)" and shape(second) == "12TDC(SELECT 1)Z(I)", (shape(first), shape(second))
    c.send(query("SELECT 1"), query(DENIED), query("SELECT 2"))
    assert [shape(c.until_ready()) for _ in range(3)] == ["TDC(SELECT 1)Z(I)", "E(42501)Z(I)", "TDC(SELECT 1)Z(I)"]
    c.send(P(DENIED), FLUSH)
    assert shape([c.read()]) == "E(42501)"
    c.send(P("SELECT 1"), SYNC)
    assert shape(c.until_ready()) == "Z(I)"
    c.send(query("SELECT 1; DELETE FROM log; SELECT 2"))
    assert shape(c.until_ready()) == "E(42501)Z(I)"
    c.send(SYNC, SYNC)
    assert shape(c.until_ready()) == shape(c.until_ready()) == "Z(I)"


@test
def earlier_executes_of_the_batch_do_not_commit(w):
    clean(w)
    c = Wire.through(w)
    for batch in (P("INSERT INTO log VALUES (1)") + P(DENIED) + SYNC, P("INSERT INTO log VALUES (1)") + P("SELECT 1") + P(DENIED) + P("INSERT INTO log VALUES (2)") + SYNC):
        seen = c.ask(batch)
        denied(seen)
        assert shape(seen).endswith("E(42501)Z(I)") and logged(w) == "", (shape(seen), logged(w))
    seen = c.ask(P("BEGIN"), P("INSERT INTO log VALUES (1)"), P(DENIED), SYNC)
    assert shape(seen).endswith("E(42501)Z(E)"), shape(seen)
    assert shape(c.ask(P("COMMIT"), SYNC)) == "12nC(ROLLBACK)Z(I)" and logged(w) == ""
    seen = c.ask(P("INSERT INTO log VALUES (1)"), P("COMMIT"), P(DENIED), SYNC)
    assert shape(seen).endswith("E(42501)Z(I)")
    c.close()
    session = wait_for(lambda: [s for s in w.sessions() if s["user"] == "ann" and s["state"] == "ended"])[0]["id"]
    frames = w.command("replay", session, "--format", "jsonl")
    assert "sallyport: statement refused" in frames.out, f"the gateway's own statement is recorded: {frames!r}"


@test
def pg15_denied_inside_a_transaction(w):
    for ask in (query, lambda text: P(text) + SYNC):
        clean(w)
        c = Wire.through(w)
        c.ask(ask("BEGIN"))
        assert shape(c.ask(ask("INSERT INTO log VALUES (1)"))).endswith("C(INSERT 0 1)Z(T)")
        seen = c.ask(ask(DENIED))
        denied(seen)
        assert shape(seen) == "E(42501)Z(E)", shape(seen)
        assert shape(c.ask(query("SELECT 1"))) == "E(25P02)Z(E)"
        assert "C(ROLLBACK)Z(I)" in shape(c.ask(ask("COMMIT"))) and logged(w) == ""
        c.ask(query("BEGIN"))
        c.ask(query("INSERT INTO log VALUES (2)"))
        c.ask(query("SAVEPOINT s"))
        denied(c.ask(ask(DENIED)))
        assert shape(c.ask(query("ROLLBACK TO s"))) == "C(ROLLBACK)Z(T)"
        assert shape(c.ask(query("COMMIT"))) == "C(COMMIT)Z(I)" and logged(w) == "2"
        # pipelined: the client has sent COMMIT before it knows
        clean(w)
        c.send(query("BEGIN"), query("INSERT INTO log VALUES (1)"), query(DENIED), query("COMMIT"))
        assert [shape(c.until_ready()) for _ in range(4)] == ["C(BEGIN)Z(T)", "C(INSERT 0 1)Z(T)", "E(42501)Z(E)", "C(ROLLBACK)Z(I)"]
        assert logged(w) == ""


@test
def denied_prepare(w):
    c = Wire.through(w)
    seen = c.ask(parse("d", DENIED), SYNC)
    denied(seen)
    assert shape(seen) == "E(42501)Z(I)"
    assert shape(c.ask(bind("", "d"), execute(), SYNC)) == "E(26000)Z(I)"
    assert shape(c.ask(query("PREPARE d AS DELETE FROM log"))) == "E(42501)Z(I)"
    assert shape(c.ask(query("EXPLAIN ANALYZE DELETE FROM log"))) == "E(42501)Z(I)"
    # an unnamed statement survives the refusal of another that was to replace it no more than the server lets it
    assert shape(c.ask(parse("keep", "SELECT 7"), SYNC)) == "1Z(I)"
    denied(c.ask(parse("", DENIED), SYNC))
    assert shape(c.ask(bind("", "keep"), execute(), SYNC)) == "2DC(SELECT 1)Z(I)"


def approve(w):
    request = w.waiting_request()
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    return request


@test
def held_in_a_pipeline(w):
    c, other = Wire.through(w), Wire.through(w, "bob")
    c.send(P("SELECT 1"), P("UPDATE orders SET price = 3 WHERE id = 3 RETURNING id"), P("SELECT 2"), SYNC, P("SELECT 3"), SYNC)
    w.waiting_request()
    assert other.values("SELECT 1") == [[b"1"]], "another session waits"
    request = approve(w)
    first, second = c.until_ready(), c.until_ready()
    assert shape(first) == "12TDC(SELECT 1)12TDC(UPDATE 1)12TDC(SELECT 1)Z(I)" and shape(second) == "12TDC(SELECT 1)Z(I)", (shape(first), shape(second))
    held = [n for n in c.notices if "held by rule" in n["M"]]
    assert len(held) == 1 and request["id"] in held[0]["M"] + held[0]["H"], c.notices


@test
def held_then_cancelled(w):
    for pid_of in ("simple", "extended"):
        c = Wire.through(w)
        text = "UPDATE orders SET price = 4 WHERE id = 4"
        c.ask(query("BEGIN"))
        c.send(query(text) if pid_of == "simple" else P("SELECT 1") + P(text) + SYNC)
        request = w.waiting_request()
        x = Wire.tcp(w.gateway.tls_port)
        x.send(cancel(*c.key))
        seen = c.until_ready()
        assert shape(seen).endswith("E(57014)Z(E)"), shape(seen)
        wait_for(lambda: all(r["id"] != request["id"] or r["state"] != "waiting" for r in w.requests()), said="it still waits")
        assert shape(c.ask(query("COMMIT"))) == "C(ROLLBACK)Z(I)"
    assert w.pg.sql("SELECT price FROM orders WHERE id = 4") == "6.00"


@test
def else_fail_fails_at_once_and_runs_later(w):
    c = Wire.through(w)
    text = "UPDATE t SET v = 'z' WHERE id = 1"
    seen = c.ask(query(text))
    said = [fields(body) for kind, body in seen if kind == "E"]
    assert shape(seen) == "E(42501)Z(I)" and "approv" in (said[0]["M"] + said[0].get("H", "")).lower(), said
    assert w.pg.sql("SELECT v FROM t WHERE id = 1") == "a"
    request = approve(w)
    assert request["id"] in said[0]["M"] + said[0].get("H", ""), (said, request)
    c.close()
    c = Wire.through(w)
    assert shape(c.ask(query("UPDATE t SET v = 'y' WHERE id = 1"))) == "E(42501)Z(I)", "other bytes"
    w.command("deny", w.waiting_request()["id"], token=w.token("lea", "leads", api=True))
    assert shape(c.ask(query(text))) == "C(UPDATE 1)Z(I)"
    assert shape(c.ask(query(text))) == "E(42501)Z(I)", "once only"
    w.command("deny", w.waiting_request()["id"], token=w.token("lea", "leads", api=True))


@test
def too_many_rows_end_in_an_error(w):
    c = Wire.through(w)
    assert shape(c.ask(query("SELECT n FROM numbers WHERE n <= 3"))) == "TDDDC(SELECT 3)Z(I)"
    assert shape(c.ask(query("SELECT n FROM numbers"))) == "TDDDE(53400)Z(I)"
    assert shape(c.ask(P("SELECT n FROM numbers"), P("SELECT 1"), SYNC)) == "12TDDDE(53400)Z(I)"
    c.ask(query("BEGIN"))
    assert shape(c.ask(query("SELECT n FROM numbers"))) == "TDDDE(53400)Z(E)"
    assert shape(c.ask(query("COMMIT"))) == "C(ROLLBACK)Z(I)"
    c.ask(query("BEGIN"))
    assert shape(c.ask(P("SELECT n FROM numbers"), SYNC)) == "12TDDDE(53400)Z(E)"
    assert shape(c.ask(query("COMMIT"))) == "C(ROLLBACK)Z(I)"
    c.ask(query("BEGIN"), )
    c.ask(query("DECLARE c CURSOR FOR SELECT n FROM numbers"))
    assert "D" * 4 not in shape(c.ask(query("FETCH 10 FROM c"))), "a cursor is a way round the row limit"
    c.ask(query("ROLLBACK"))
    assert c.values("SELECT 1") == [[b"1"]]


@test
def a_cursor_that_a_row_limit_refuses_has_that_end(w):
    """The rules allow it, and the gateway does not: its recording says both."""
    text = "DECLARE c CURSOR FOR SELECT n FROM numbers"
    for messages in ([query(text)], [P(text), SYNC]):
        before = {s["id"] for s in w.sessions()}
        c = Wire.through(w)
        assert "E(53400)Z(I)" in shape(c.ask(*messages))
        session = next(s["id"] for s in w.sessions() if s["id"] not in before)
        c.close()
        wait_for(lambda: [s for s in w.sessions() if s["id"] == session and s["state"] != "live"], said="the session did not end")
        frames = [json.loads(line) for line in w.command("replay", session, "--format", "jsonl").out.splitlines()]
        op = next(f["op"] for f in frames if f["type"] == "operation" and f["kind"] == "sql.statement")
        assert [f.get("error") for f in frames if f["type"] == "done" and f["op"] == op] == ["53400"], frames


@test
def denied_results(w):
    c = Wire.through(w)
    for ask in (query, lambda text: P(text) + SYNC):
        seen = c.ask(ask("SELECT name, born FROM customers"))
        assert "D" not in shape(seen) and shape(seen).endswith("E(42501)Z(I)") and b"1815" not in b"".join(b for _, b in seen), shape(seen)
        assert 'blocked by rule "no-born"' in [fields(b)["M"] for k, b in seen if k == "E"][0]
    assert shape(c.ask(query("SELECT 1"))) == "TDC(SELECT 1)Z(I)"
    c.ask(query("BEGIN"))
    c.ask(query("SELECT born FROM customers"))
    assert shape(c.ask(query("COMMIT"))) == "C(ROLLBACK)Z(I)"


@test
def unclear_is_denied_and_the_session_lives(w):
    c = Wire.through(w)
    for text in ("DO $$ BEGIN DELETE FROM log; END $$", "SELEC 1", "SELECT no_such_function_of_ours()", "CALL nothing()"):
        seen = c.ask(query(text))
        assert shape(seen).startswith("E(") and shape(seen).endswith("Z(I)"), (text, shape(seen))
    assert c.values("SELECT 1") == [[b"1"]]


main(sql=SQL, policy=POLICY + MORE)
