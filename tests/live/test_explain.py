#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport explain ID`: why an operation was refused or held, for whom it may be told."""

import re

from harness import *

MORE = """
rule "few" { doc = "Two an hour.", on = "sql.statement", when = { tables = "public.numbers" }, limit = { per = "user", rate = "2/1h" } }
rule "no-dates" { doc = "Nobody reads when.", on = "sql.result", when = { column = "public.customers.born" }, deny = "Not by this road." }
rule "breaks" { doc = "It fails.", on = "sql.statement", when = function(op) return op.verb == "listen" and error("on purpose") end, deny = "never" }
rule "ends" { doc = "It ends.", on = "sql.statement", when = { verb = "unlisten" }, kill = "Goodbye." }
"""


def refused(w, sql, **more):
    """The id in the hint of a statement's refusal."""
    got = w.psql(sql, **more)
    assert got.code != 0, repr(got)
    found = re.search(r"sallyport explain (\w+\.\d+)", got.err)
    assert found, repr(got)
    return found.group(1)


@test
def the_asker_learns_why(w):
    ident = refused(w, "DELETE FROM orders", user="ann")
    said = w.command("explain", ident, token=w.token("ann", "dev", api=True))
    assert said.code == 0, repr(said)
    for word in (ident, "DELETE FROM orders", 'verb is "delete"', "no-unbounded-write", "to pass", "where", "yes"):
        assert word in said.out, f"{word!r} is not in {said.out}"
    rules = w.command("explain", ident, "--json", token=w.token("ann", "dev", api=True)).json["why"]["rules"]
    assert [r["rule"] for r in rules if r["applies"]] == ["no-unbounded-write"], rules
    assert all(r["why"] for r in rules), rules
    session = ident.split(".")[0]
    shown = wait_for(lambda: (r := w.command("replay", session)).code == 0 and "what=deny" in r.out and r.out, 20)
    assert "sallyport explain tells" in shown and '"applies"' not in shown, shown
    assert '"applies"' in w.command("replay", session, "--format", "jsonl").out.replace("\\", ""), "what a machine reads has it"


@test
def nobody_else_does(w):
    ident = refused(w, "DELETE FROM orders", user="ann")
    said = w.command("explain", ident, token=w.token("bob", "dev", api=True))
    assert said.code == 1 and "no such session" in said.err, repr(said)
    said = w.command("explain", ident)  # the control socket's callers audit
    assert said.code == 0 and "no-unbounded-write" in said.out, repr(said)


@test
def a_held_one_too(w):
    waiting = w.psql_waiting("UPDATE orders SET price = 3 WHERE id = 3", user="ann")
    request = w.waiting_request()
    w.command("deny", request["id"], token=w.token("lea", "leads", api=True))
    got = waiting.result()
    ident = re.search(r"sallyport explain (\w+\.\d+)", got.err).group(1)
    said = w.command("explain", ident, token=w.token("ann", "dev", api=True))
    assert said.code == 0 and "approve" in said.out and "lea" in said.out, repr(said)


@test
def what_is_unclear_is_named(w):
    ident = refused(w, "SELECT no_such_function(1)", user="ann")
    said = w.command("explain", ident, token=w.token("ann", "dev", api=True))
    assert 'unclear = "function"' in said.out and "no_such_function" in said.out, repr(said)


@test
def every_kind_of_refusal_has_an_id(w):
    """A limit, a refused answer, a rule that fails, a text that is none: each says what to ask, and asked it says why."""
    w.gateway.policy += MORE
    w.gateway.write()
    assert w.gateway.reload().code == 0
    for _ in range(2):
        assert w.psql("SELECT count(*) FROM numbers", user="ann").code == 0
    for sql, words in (("SELECT count(*) FROM numbers", ("few",)), ("SELECT born FROM customers", ("no-dates",)), ("LISTEN x", ("breaks", "the rule failed")),
                       ("SELEC", ("syntax",)), ("UNLISTEN x", ("ends", "kill"))):
        said = w.command("explain", refused(w, sql, user="ann"), token=w.token("ann", "dev", api=True))
        assert said.code == 0 and all(word in said.out for word in words) and sql in said.out, (sql, repr(said))


@test
def secrets_stay_out(w):
    ident = refused(w, "SET my.token = 'canary-4711'", user="ann")
    said = w.command("explain", ident, "--json", token=w.token("ann", "dev", api=True))
    assert said.code == 0 and "canary" not in said.out, repr(said)


@test
def a_wrong_id_is_said_so(w):
    ident = refused(w, "DELETE FROM orders", user="ann")
    token = w.token("ann", "dev", api=True)
    assert w.command("explain", ident.split(".")[0], token=token).code == 2
    said = w.command("explain", ident.split(".")[0] + ".999", token=token)
    assert said.code == 1 and "no such operation" in said.err, repr(said)


main()
