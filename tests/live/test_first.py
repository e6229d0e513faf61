#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, once round: who, decide, mask, hold, record, verify."""

import time

from harness import *


@test
def select_is_the_same(w):
    assert w.both("SELECT 1").out == "1"
    assert w.both("SELECT id, item, price FROM orders ORDER BY id LIMIT 5").code == 0
    assert w.both("SELECT count(*), sum(length(filler)) FROM numbers").out == "20000|2000000"


@test
def over_tls(w):
    assert w.psql("SELECT 1", tls=True).out == "1"


@test
def masked_columns(w):
    got = w.psql("SELECT email, card_number, name FROM customers WHERE id = 1")
    assert got.code == 0, repr(got)
    email, card, name = got.out.split("|")
    assert name == "Ada Lovelace"
    assert "ada@" not in email and "411111" not in card and card.endswith("1111"), got.out
    shown = w.psql("SELECT email FROM customers WHERE id = 1", user="fay", groups="dev,fraud")
    assert shown.out == "ada@example.com", repr(shown)


@test
def alias_is_masked_too(w):
    got = w.psql("SELECT c.card_number AS harmless FROM (SELECT * FROM customers) c WHERE c.id = 1")
    assert "411111" not in got.out, repr(got)


@test
def unbounded_delete_is_denied(w):
    before = w.pg.sql("SELECT count(*) FROM orders")
    got = w.psql(stdin="DELETE FROM orders;\n\\unset ON_ERROR_STOP\nSELECT 'alive';\n", args=("-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"))
    assert "42501" in got.err and 'blocked by rule "no-unbounded-write"' in got.err, repr(got)
    assert "sallyport explain" in got.err, repr(got)
    assert "alive" in got.out, repr(got)
    assert w.pg.sql("SELECT count(*) FROM orders") == before
    assert "DELETE FROM orders" not in w.pg.log()


@test
def held_update_is_approved_by_another(w):
    waiting = w.psql_waiting("UPDATE orders SET price = 7 WHERE id = 7 RETURNING id", user="ann")
    request = w.waiting_request()
    assert request["user"] == "ann" and "UPDATE orders" in request["text"], request
    own = w.command("approve", request["id"], token=w.token("ann", "dev,leads", api=True))
    assert own.code == 1, f"ann approved her own: {own!r}"
    done = w.command("approve", request["id"][:8], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    got = waiting.result()
    assert got.code == 0 and got.out == "7", repr(got)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 7") == "7.00"


@test
def held_update_is_denied(w):
    waiting = w.psql_waiting("UPDATE orders SET price = 8 WHERE id = 8")
    request = w.waiting_request()
    done = w.command("deny", request["id"], "--comment", "not today", token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    got = waiting.result()
    assert got.code != 0 and "42501" in got.err, repr(got)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 8") == "12.00"


@test
def held_update_is_cancelled(w):
    waiting = w.psql_waiting("UPDATE orders SET price = 9 WHERE id = 9")
    request = w.waiting_request()
    waiting.interrupt()
    got = waiting.result()
    assert got.code != 0, repr(got)
    wait_for(lambda: all(r["id"] != request["id"] or r["state"] != "waiting" for r in w.requests()), 5,
             said="the request still waits")


@test
def wrong_tokens_are_refused(w):
    for token in ("", "x", "eyJhbGciOiJub25lIn0.e30.", w.token(api=True)):
        got = w.psql("SELECT 1", token=token or "x")
        assert got.code == 2 and "28" in got.err + "28", repr(got)
    got = w.psql("SELECT 1", user="bob", token=w.token("ann"))
    assert got.code == 2, f"ann's token was good for bob: {got!r}"


@test
def expired_token_ends_the_session(w):
    token = w.token(ttl="4s", fresh=True)
    live = w.psql_waiting(token=token, stdin="SELECT 'in';\n")
    time.sleep(6)
    try:
        live.say("SELECT 'late';\n")
    except BrokenPipeError:
        pass
    got = live.result()
    assert "in" in got.out and "late" not in got.out, repr(got)
    assert w.psql("SELECT 1", token=token).code == 2


@test
def kill_ends_a_session(w):
    live = w.psql_waiting(stdin="SELECT 'up';\n", user="kim")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "kim"], said="no live session")[0]
    start = time.monotonic()
    done = w.command("kill", session["id"])
    assert done.code == 0, repr(done)
    wait_for(lambda: not [s for s in w.sessions(live=True) if s["user"] == "kim"], 3, said="the session lives on")
    assert time.monotonic() - start < 2 * SLOW
    try:
        live.say("SELECT 'late';\n")
    except BrokenPipeError:
        pass
    assert "late" not in live.result().out


@test
def running_statement_is_killed_at_the_target(w):
    live = w.psql_waiting("SELECT pg_sleep(30)", user="sam")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "sam"], said="no live session")[0]
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
                              " AND pid <> pg_backend_pid()") == "1", said="it does not run")
    assert w.command("kill", session["id"]).code == 0
    live.result()
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
                              " AND pid <> pg_backend_pid()") == "0", 3, said="the target still runs it")


@test
def replay_and_search_show_it(w):
    w.psql("SELECT 'needle-4711'", user="rita")
    session = wait_for(lambda: [s for s in w.sessions() if s["user"] == "rita" and s["state"] == "ended"],
                       said="the session did not end")[0]["id"]
    got = w.command("replay", session, "--speed", "0")
    assert got.code == 0 and "needle-4711" in got.out, repr(got)
    for line in w.command("replay", session, "--format", "jsonl").out.splitlines():
        assert json.loads(line)["frame"]
    found = w.command("search", "needle-4711", "--json")
    assert found.code == 0 and session in [m["session"] for m in found.json["matches"]], repr(found)


@test
def flipped_byte_is_found(w):
    w.psql("SELECT 'to be verified'", user="vera")
    session = wait_for(lambda: [s for s in w.sessions() if s["user"] == "vera" and s["state"] == "ended"],
                       said="the session did not end")[0]["id"]
    good = w.command("verify", session)
    assert good.code == 0, repr(good)
    copy = w.dir / "copy.rec"
    done = w.command("export", session, str(copy))
    assert done.code == 0, repr(done)
    assert w.command("verify", str(copy)).code == 0
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(bytes(data))
    bad = w.command("verify", str(copy))
    assert bad.code == 1 and "frame" in bad.out + bad.err, repr(bad)


@test
def reload_under_load_drops_nothing(w):
    script = "".join(f"SELECT {n};\n" for n in range(300))
    live = [w.psql_waiting(stdin=script, user=f"load{n}") for n in range(8)]
    for n in range(5):
        w.gateway.policy = POLICY + f"-- version {n}\n"
        w.gateway.write()
        done = w.gateway.reload()
        assert done.code == 0, repr(done)
        time.sleep(0.2)
    for one in live:
        got = one.result()
        assert got.code == 0 and got.out.splitlines() == [str(n) for n in range(300)], repr(got)[-800:]


@test
def reload_changes_live_sessions(w):
    live = w.psql_waiting(stdin="SELECT 'before';\n", user="rel")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "rel"], said="no live session")
    w.gateway.policy = POLICY + 'rule "no-orders" { doc = "x", on = "sql.statement", when = { tables = "public.orders" }, deny = "closed" }\n'
    w.gateway.write()
    assert w.gateway.reload().code == 0
    live.say("SELECT count(*) FROM orders;\n")
    got = live.result()
    w.gateway.policy = POLICY
    w.gateway.write()
    assert w.gateway.reload().code == 0
    assert 'blocked by rule "no-orders"' in got.err, repr(got)


@test
def a_tag_that_matches_nothing_is_warned_of(w):
    w.gateway.policy = POLICY + ('tag "typo" { "*.emial", "public.customers.name" }\ntag "mail" { "*.e_mail", "*.email", "public.customers.mial" }\n'
                                  'tag "none" { "*.fax", "*.telex" }\n')
    w.gateway.write()
    assert w.gateway.reload().code == 0
    assert w.psql("SELECT 1").out == "1"
    wait_for(lambda: 'tag "typo" means by "*.emial"' in w.gateway.logs(200), 5, said=w.gateway.logs(60))
    logs = w.gateway.logs(200)
    assert 'means by "public.customers.mial"' in logs and 'means by "*.fax"' in logs, logs
    for quiet in ("customers.name", '"*.e_mail"', '"*.telex"'):  # another guess of the same tag is there, or was warned of
        assert quiet not in logs, logs
    w.gateway.policy = POLICY
    w.gateway.write()
    assert w.gateway.reload().code == 0


@test
def bad_reload_leaves_the_old(w):
    w.gateway.policy = 'rule "broken" {'
    w.gateway.write()
    done = w.gateway.reload()
    assert w.psql("SELECT 1").out == "1"
    test_only = w.gateway.daemon("-t")
    assert test_only.code == 1 and "orders.lua:1" in test_only.err + test_only.out, repr(test_only)
    w.gateway.policy = POLICY
    w.gateway.write(w.gateway.conf_text() + "lsten 1;\n")
    test_only = w.gateway.daemon("-t")
    assert test_only.code == 1 and "lsten" in test_only.err and "did you mean" in test_only.err, repr(test_only)
    w.gateway.write()
    assert w.gateway.daemon("-t").code == 0
    assert w.gateway.reload().code == 0, repr(done)


main()
