#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the console's pages need of the API: may I decide, may I go there, which sessions, which rules did how much and when."""

from harness import *

MORE = """
target vault {{
    protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads max=2h; policy {dir}/policies/orders.lua;
}}
"""


def ask(world, path, token=None):
    argv = ["curl", "-sS", "--unix-socket", world.gateway.control, "http://sallyport/api/v1/" + path]
    done = run(argv + (["-H", "Authorization: Bearer " + token] if token else []))
    assert done.code == 0, repr(done)
    return done.json


def api(world, user, groups):
    return world.token(user, groups, api=True)


@test
def who_may_decide_is_said_before_they_try(world):
    ann, lea, eve, aud = (api(world, u, g) for u, g in (("ann", "dev,leads"), ("lea", "leads"), ("eve", "fraud,auditor"), ("aud", "auditor")))
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1", groups="dev,leads")
    id = world.waiting_request()["id"]
    for token, may, said in ((lea, True, None), (ann, False, "nobody decides on their own request"), (eve, False, "you are not in the group"),
                             (aud, False, "you are not in the group")):
        for r in (ask(world, f"requests/{id}", token), next(r for r in ask(world, "requests", token)["requests"] if r["id"] == id)):
            assert r["may_decide"] is may and ("may_not" not in r if may else said in r["may_not"]), r
    assert world.command("approve", id, token=lea).code == 0
    assert waiting.result().code == 0
    r = ask(world, f"requests/{id}", lea)
    assert r["may_decide"] is False and "does not wait" in r["may_not"] and r["decisions"][0]["user"] == "lea", r


@test
def what_stands_between_one_and_a_target(world):
    state = lambda token: {t["name"]: t for t in ask(world, "targets", token)["targets"]}
    world.gateway.more_targets = MORE.format(port=world.pg.port, dir=world.gateway.dir)
    world.gateway.write()
    assert world.gateway.reload().code == 0
    ann = api(world, "ann", "dev")
    mine = state(ann)
    assert mine["orders"]["state"] == "allowed" and mine["vault"]["state"] == "needs a grant" and mine["vault"]["longest"] == 7200000, mine
    done = world.command("request", "vault", "--for", "30m", "--reason", "a look", "--json", token=ann)
    assert done.code == 0, repr(done)
    assert world.command("approve", done.json["id"], token=api(world, "lea", "leads")).code == 0
    vault = state(ann)["vault"]
    assert vault["state"] == "granted" and vault["grant"] == done.json["id"] and vault["until"] > "2026", vault
    assert state(api(world, "aud", "auditor"))["vault"]["state"] == "not yours"


@test
def sessions_by_words_and_verdict(world):
    for user, sql in (("wordy", "SELECT 1"), ("den_ied", "DELETE FROM orders")):
        world.psql(sql, user=user, groups="dev")
    ended = lambda query: [s["user"] for s in ask(world, "sessions?" + query)["sessions"] if s["state"] == "ended"]
    wait_for(lambda: len(ended("text=wordy")) == 1 and len(ended("text=den_")) == 1, 10)
    assert ended("text=WORDY") == ["wordy"] and ended("text=ordy%20ord") == ["wordy"], ended("text=ordy%20ord")
    assert ended("text=den_ied") == ["den_ied"] and ended("text=%25") == [] and ended("text=_") == ["den_ied"] and ended("text=_ordy") == [] and ended("text=!") == []
    assert ended("verdict=deny&text=wordy") == [] and ended("verdict=deny&text=den_") == ["den_ied"]
    first = ask(world, "sessions?text=orders&limit=1")
    second = ask(world, "sessions?text=orders&limit=1&cursor=" + first["next"])
    assert first["sessions"][0]["id"] != second["sessions"][0]["id"]
    assert "error" in ask(world, "sessions?verdict=maybe") and "error" in ask(world, "sessions?text=" + "x" * 101)


@test
def hits_by_the_hour(world):
    for _ in range(3):
        assert world.psql("DELETE FROM orders").code != 0

    def rule():
        policies = ask(world, "policies?target=orders")["policies"]
        return next(r for r in policies[0]["rules"] if r["rule"] == "no-unbounded-write")
    r = wait_for(lambda: rule()["hits"].get("deny", 0) >= 3 and rule(), 10)
    assert len(r["day"]["deny"]) == 24 and sum(r["day"]["deny"]) == r["hits"]["deny"] and sum(r["day"]["deny"][-2:]) == r["hits"]["deny"], r


main()
