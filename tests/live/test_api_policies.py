#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies by the API: the rules in force, what each did, and what they would say of a text; by `sallyport policy list` and
`policy explain --live`, too."""

from harness import *

OBSERVED = """
rule "watch-deletes" {
  doc  = "Deletes are looked at.",
  on   = "sql.statement",
  when = { verb = "delete" },
  deny = "No.",
  mode = "observe",
}
"""


def listed(world, *args):
    done = world.command("policy", "list", *args, "--json", token=world.token("aud", "auditor", api=True))
    assert done.code == 0, repr(done)
    return done.json


def rules(world):
    return {r["rule"]: r for p in listed(world)["policies"] for r in p["rules"]}


def hits(world, rule, what):
    return rules(world)[rule]["hits"].get(what, 0)


def explained(world, text, *args, user="ann", groups="dev"):
    return world.command("policy", "explain", text, "--live", "--target", "orders", "--json", *args, token=world.token(user, groups, api=True))


@test
def what_is_in_force(world):
    answer = listed(world)
    assert [p["target"] for p in answer["policies"]] == ["orders"] and answer["counted_since"], answer
    policy = answer["policies"][0]
    checked = world.command("policy", "check", world.gateway.dir / "policies" / "orders.lua", "--json")
    here = checked.json[0] if isinstance(checked.json, list) else checked.json
    assert policy["hash"] == here["hash"] and [r["rule"] for r in policy["rules"]] == [r["rule"] for r in here["rules"]]
    one = rules(world)["no-unbounded-write"]
    assert one["doc"] and one["on"] == ["sql.statement"] and one["decision"] == "deny" and one["mode"] == "enforce" and one["when"], one
    plain = world.command("policy", "list", "orders", token=world.token("aud", "auditor", api=True))
    assert plain.code == 0 and "hide-pii" in plain.out and "Counted since" in plain.out, repr(plain)
    assert world.command("policy", "list", "nowhere", token=world.token("aud", "auditor", api=True)).code == 1
    user = world.command("policy", "list", token=world.token("ann", "dev", api=True))
    assert user.code == 1 and "you may not do this" in user.err, repr(user)


@test
def hits_are_counted_over_all_workers(world):
    """Of each verdict, in whichever worker it fell."""
    before = {name: hits(world, *name) for name in (("no-unbounded-write", "deny"), ("hide-pii", "masked"), ("price-needs-lead", "held"))}
    for _ in range(6):
        assert world.psql("DELETE FROM orders").code != 0
        assert world.psql("SELECT email, card_number FROM customers").code == 0
    wait_for(lambda: hits(world, "no-unbounded-write", "deny") == before["no-unbounded-write", "deny"] + 6, 10)
    wait_for(lambda: hits(world, "hide-pii", "masked") == before["hide-pii", "masked"] + 6, 10)
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    world.waiting_request()
    wait_for(lambda: hits(world, "price-needs-lead", "held") == before["price-needs-lead", "held"] + 1, 10)
    waiting.interrupt()
    waiting.result()
    assert hits(world, "ddl-needs-dba", "held") == 0


@test
def an_observed_rule_shows_what_it_would_do(world):
    """And a reload is seen at once: the rules listed are those in force."""
    assert "watch-deletes" not in rules(world)
    epoch = listed(world)["epoch"]
    world.gateway.policy += OBSERVED
    world.gateway.write()
    assert world.gateway.reload().code == 0
    wait_for(lambda: "watch-deletes" in rules(world), 10)
    assert listed(world)["epoch"] > epoch
    assert rules(world)["watch-deletes"]["mode"] == "observe" and rules(world)["watch-deletes"]["hits"] == {}
    assert world.psql("DELETE FROM orders WHERE id = -1").code == 0
    wait_for(lambda: hits(world, "watch-deletes", "observed") == 1, 10)


@test
def a_recording_names_the_rules_that_hid(world):
    assert world.psql("SELECT email FROM customers").code == 0
    frames = world.command("replay", world.last_session(), "--format", "jsonl").out
    columns = [json.loads(line) for line in frames.splitlines() if json.loads(line)["type"] == "columns"]
    assert columns and "hide-pii" in json.dumps(columns), columns


@test
def what_they_would_say_of_a_text(world):
    done = explained(world, "DELETE FROM orders")
    assert done.code == 0 and done.json["verdict"] == "deny" and done.json["rule"] == "no-unbounded-write", repr(done)
    said = {r["rule"]: r for r in done.json["rules"]}
    assert set(said) == {n for n, r in rules(world).items() if "sql.statement" in r["on"]} and said["no-unbounded-write"]["applies"] and not said["ddl-needs-dba"]["applies"]
    assert done.json["policy"] == listed(world)["policies"][0]["hash"]
    plain = world.command("policy", "explain", "DROP TABLE orders", "--live", "--target", "orders", token=world.token("ann", "dev", api=True))
    assert plain.code == 0 and "verdict    held" in plain.out, repr(plain)
    refused = world.psql("DELETE FROM orders")
    assert said["no-unbounded-write"]["applies"] and "no-unbounded-write" in refused.err
    assert explained(world, "SELECT (((").json["verdict"] == "deny"
    assert [s for s in world.sessions(live=True)] == [], "a text that is explained opens no session"


@test
def as_somebody_else_only_for_who_may_look(world):
    """ID6, ID7: a user asks for itself, at targets that are for it; auditors and operators for anybody."""
    for args in (["--user", "bob"], ["--groups", "fraud"], ["--roles", "admin"], ["--class", "agent"]):
        done = explained(world, "SELECT 1", *args)
        assert done.code == 1 and "you may ask for yourself" in done.err, (args, done)
    for user, groups in (("aud", "auditor"), ("opa", "admin")):
        done = explained(world, "SELECT 1", "--user", "bob", "--groups", "fraud", user=user, groups=groups)
        assert done.code == 0 and done.json["verdict"] == "allow", repr(done)
    stranger = explained(world, "SELECT 1", user="eve", groups="strangers")
    assert stranger.code == 1 and "which target" in stranger.err, repr(stranger)
    assert explained(world, "SELECT 1", "--kind", "nonsense").code == 1
    for kind in ("session", "sql.prepare", "sql.result", "sql.copy", "output"):  # whatever it is, it harms no worker
        assert explained(world, "SELECT 1", "--kind", kind).code in (0, 1), kind
        assert world.psql("SELECT 1").code == 0, kind
    assert "\"at\" is a time" in explained(world, "SELECT 1", "--at", "yesterday").err
    mixed = explained(world, "SELECT 1", "--policy", "x.lua")
    assert mixed.code == 2 and "judged here" in mixed.err, repr(mixed)


@test
def hard_texts_delay_no_session(world):
    """P10: what is long, deep or asked too often is refused; meanwhile sessions have their answers."""
    long = explained(world, "SELECT '" + "x" * 70000 + "'")
    assert long.code == 1 and "longer than 64 KB" in long.err, repr(long)
    deep = explained(world, "SELECT " + "(" * 20000 + "1" + ")" * 20000)
    assert deep.code == 0 and deep.json["verdict"] == "deny", repr(deep)[:300]
    assert world.psql("SELECT 1").code == 0


@test
def what_one_may_reach_and_how(world):
    targets = world.command("targets", "--json", token=world.token("ann", "dev", api=True)).json["targets"]
    one = targets[0]
    assert [t["name"] for t in targets] == ["orders"] and one["access"] == "standing" and one["tls"] is True, targets
    assert (one["host"], one["port"]) == ("127.0.0.1", world.gateway.tls_port), "the best door: the one with TLS"
    assert world.command("targets", "--json", token=world.token("eve", "strangers", api=True)).json["targets"] == []


@test
def without_the_recorder_rules_are_told_all_the_same(world):
    os.kill(world.gateway.children()["recorder"][0], signal.SIGKILL)
    assert "no-unbounded-write" in rules(world)
    wait_for(lambda: listed(world).get("counted_since"), 15)


main()
