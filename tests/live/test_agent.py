#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An AI agent's run, with native clients: masked, limited, held, and approved by a human; and it can approve nothing (MC5)."""

from harness import *

AGENT_RULES = POLICY + """
rule "agents-go-slowly" {
  doc   = "An agent asks for at most three things in ten seconds, tables of numbers only.",
  on    = "sql.statement",
  when  = { class = "agent", tables = "public.numbers" },
  limit = { per = "user", rate = "3/10s" },
}
"""


def agent(w, user="bot", groups="dev", sponsor="ann", api=False):
    key = ("agent", user, groups, sponsor, api)
    if key not in w.tokens:
        args = ["token", "--user", user, "--groups", groups, "--class", "agent", "--sponsor", sponsor, "--ttl", "10m"] + (["--api"] if api else [])
        done = w.command(*args)
        assert done.code == 0, repr(done)
        w.tokens[key] = done.out
    return w.tokens[key]


def ask(w, sql, user="bot", **more):
    return w.psql(sql, user=user, token=agent(w, user, **more))


def asked_for(w, sql, user="bot"):
    """The request that an agent's statement made, having failed at once."""
    start = time.monotonic()
    got = ask(w, sql, user)
    assert got.code != 0 and "42501" in got.err, repr(got)
    waiting = [r for r in w.requests() if r["state"] == "waiting" and r["user"] == user]
    assert len(waiting) == 1 and waiting[0]["id"][:8] in got.err, (repr(got), waiting)
    assert time.monotonic() - start < 60 * SLOW, "it waited"
    return waiting[0]


def price(w, n):
    return w.pg.sql(f"SELECT price FROM orders WHERE id = {n}")


@test
def it_says_what_it_is(w):
    me = w.command("whoami", "--json", token=agent(w, api=True)).json
    assert me["class"] == "agent" and me["sponsor"] == "ann" and "approve" not in me["may"], me
    assert ask(w, "SELECT 1").out == "1"
    session = w.sessions()[0]
    assert session["user"] == "bot", session


@test
def it_is_masked(w):
    assert ask(w, "SELECT email, card_number FROM customers WHERE id = 1").out == "****.com|****1111"


@test
def it_is_limited(w):
    got = w.psql(stdin="SELECT count(*) FROM numbers;\n" * 4, user="bot", token=agent(w))
    assert got.out.split() == ["20000"] * 3 and "53400" in got.err and "agents-go-slowly" in got.err, repr(got)
    assert w.psql("SELECT count(*) FROM numbers", user="ann").out == "20000"  # no agent


@test
def what_is_denied_is_denied(w):
    got = ask(w, "DELETE FROM orders")
    assert "no-unbounded-write" in got.err and "explain" in got.err, repr(got)


@test
def it_fails_at_once_and_runs_once_when_a_human_said_yes(w):
    before, sql = price(w, 21), "UPDATE orders SET price = 1234 WHERE id = 21"
    request = asked_for(w, sql)
    shown = w.command("requests", request["id"], "--json", token=w.token("lea", "leads", api=True)).json
    assert sql in json.dumps(shown) and shown["class"] == "agent" and shown["sponsor"] == "ann", shown
    printed = w.command("requests", request["id"], token=w.token("lea", "leads", api=True)).out
    assert re.search(r"^sponsor +ann$", printed, re.M) and sql in printed, printed
    again = ask(w, sql)  # the same question, not a second one
    assert again.code != 0 and [r["id"] for r in w.requests() if r["state"] == "waiting"] == [request["id"]], repr(again)
    assert w.command("approve", request["id"], token=w.token("lea", "leads", api=True)).code == 0
    assert price(w, 21) == before
    for other in (sql.replace("1234", "1235"), sql + " "):  # AP3: these bytes
        assert ask(w, other).code != 0
    assert w.psql(sql, user="bot2", token=agent(w, "bot2")).code != 0  # this principal
    assert price(w, 21) == before
    assert ask(w, sql).code == 0
    assert price(w, 21) == "1234.00"
    assert ask(w, sql).code != 0  # once
    for r in w.requests():
        if r["state"] == "waiting":
            assert w.command("deny", r["id"], token=w.token("lea", "leads", api=True)).code == 0


@test
def a_no_is_a_no(w):
    before = price(w, 22)
    request = asked_for(w, "UPDATE orders SET price = 99 WHERE id = 22")
    assert w.command("deny", request["id"], "--comment", "not you", token=w.token("lea", "leads", api=True)).code == 0
    got = ask(w, "UPDATE orders SET price = 99 WHERE id = 22")
    assert got.code != 0, repr(got)
    assert price(w, 22) == before
    for r in w.requests():
        if r["state"] == "waiting":
            assert w.command("deny", r["id"], token=w.token("lea", "leads", api=True)).code == 0


@test
def mc5_it_approves_nothing(w):
    """Not its own, not another's, not a grant; whatever groups its token names, by whatever way it asks."""
    before = price(w, 23)
    own = asked_for(w, "UPDATE orders SET price = 7 WHERE id = 23")
    human = w.psql_waiting("UPDATE orders SET price = 8 WHERE id = 23", user="hugo")
    other = wait_for(lambda: [r for r in w.requests() if r["state"] == "waiting" and r["user"] == "hugo"], said="no request came")[0]
    for who in (agent(w, api=True), agent(w, groups="dev,leads,dba,admin", api=True), agent(w, "judge", groups="leads", sponsor="lea", api=True)):
        for request in (own, other):
            for verb in ("approve", "deny"):
                done = w.command(verb, request["id"], token=who)
                assert done.code == 1, (verb, repr(done))
                asked = run(["curl", "-sS", "--unix-socket", w.gateway.control, "-H", "Authorization: Bearer " + who, "-H", "Content-Type: application/json",
                             "-X", "POST", "-d", "{}", "-w", " %{http_code}", f"http://localhost/api/v1/requests/{request['id']}/{verb}"])
                assert asked.out.endswith((" 403", " 404")), repr(asked)
    assert w.command("approve", own["id"], token=agent(w, groups="leads")).code == 1  # what it shows to targets
    assert {r["id"] for r in w.requests() if r["state"] == "waiting"} == {own["id"], other["id"]}
    assert price(w, 23) == before and human.running()
    assert w.command("deny", other["id"], token=w.token("lea", "leads", api=True)).code == 0
    assert human.result().code != 0
    assert w.command("deny", own["id"], token=w.token("lea", "leads", api=True)).code == 0
    assert price(w, 23) == before


@test
def mc5_it_mints_and_ends_nothing(w):
    who = agent(w, groups="dev,leads,dba,admin", api=True)
    assert w.command("token", "--user", "ann", token=who).code == 1
    assert w.command("request", "orders", "--for", "1h", "--reason", "x", token=who).code == 1  # takes no grant
    assert w.psql("SELECT 1", user="ann").out == "1"


@test
def its_driver_sees_the_same(w):
    """psycopg2 with parameters: masked, and the code of a statement that has to wait."""
    try:
        import psycopg2
    except ImportError:
        skip("python3-psycopg2 is not installed (apt-get install python3-psycopg2)")
    c = psycopg2.connect(host="127.0.0.1", port=w.gateway.port, dbname="orders", user="bot", password=agent(w), sslmode="disable")
    c.autocommit = True
    cursor = c.cursor()
    cursor.execute("SELECT email FROM customers WHERE id = %s", (2,))
    assert cursor.fetchone() == ("****.org",)
    try:
        cursor.execute("UPDATE orders SET price = %s WHERE id = %s", (5, 24))
        assert False, "it ran"
    except psycopg2.Error as e:
        assert e.pgcode == "42501", e.pgcode
        said = e.diag.message_primary
    request = [r for r in w.requests() if r["state"] == "waiting" and r["user"] == "bot"][0]
    assert request["id"] in said, said
    assert w.command("approve", request["id"], token=w.token("lea", "leads", api=True)).code == 0
    cursor.execute("UPDATE orders SET price = %s WHERE id = %s", (5, 24))  # in the session that stands, by the same words
    assert price(w, 24) == "5.00"
    c.close()


main(policy=AGENT_RULES)
