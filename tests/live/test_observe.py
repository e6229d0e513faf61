#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A target in observe mode: clients meet what they would without a gateway, and `sallyport report` tells what the rules
would have done, with exceptions that pass `policy check` and then let it through."""

from harness import *

MORE = """
rule "few-selects" {
  doc   = "Two reads of numbers an hour.",
  on    = "sql.statement",
  when  = { verb = "select", tables = "public.numbers" },
  limit = { per = "user", rate = "2/1h" },
}
rule "no-card-answers" {
  doc  = "Nobody exports cards by name.",
  on   = "sql.result",
  when = { column = "public.customers.born" },
  deny = "Not by this road.",
}
"""


def observe(world, on):
    world.gateway.target_extra = "mode observe;" if on else ""
    world.gateway.write()
    done = world.gateway.reload()
    assert done.code == 0, repr(done)
    return done


def auditor(world):
    return world.token("aud", "auditor", api=True)


def report(world, *args):
    done = world.command("report", "--since", "1h", *args, token=auditor(world))
    assert done.code == 0, repr(done)
    return done


def told(world):
    return {(g["would"], g["rule"]): g for g in report(world, "--json").json["would"]}


@test
def enforced_there_is_nothing_to_report(world):
    assert world.psql("DELETE FROM orders").code != 0, lua
    assert "Nothing would have been" in report(world).out


def observes(world):
    """What /metrics says of the target."""
    text = run(["curl", "-sS", "--unix-socket", world.gateway.control, "http://x/metrics"]).out
    return re.findall(r'^sallyport_target_observes\{target="orders"\} (\d)$', text, re.M)


@test
def it_is_loud(world):
    assert observes(world) == ["0"], observes(world)
    world.gateway.policy += MORE
    observe(world, True)
    wait_for(lambda: observes(world) == ["1"], 20, said="the metric does not say so")
    assert "target orders is in observe mode: nothing is denied, held or masked there" in world.gateway.daemon("-t").err
    targets = world.command("targets", "--json", token=world.token("ann", "dev", api=True)).json["targets"]
    assert [t["mode"] for t in targets] == ["observe"], targets
    assert "in observe mode" in world.command("policy", "list", token=auditor(world)).out


@test
def nothing_is_denied_held_limited_or_masked(world):
    world.both("SELECT * FROM customers ORDER BY id")
    world.both("COPY customers TO STDOUT")
    world.both("SELECT born FROM customers WHERE id = 1")
    world.both("SELECT email::int FROM customers", args=("-q",))
    assert world.psql("SELECT 1/0 FROM customers WHERE email > 'a'").err == world.psql("SELECT 1/0 FROM customers WHERE email > 'a'", direct=True).err
    for _ in range(4):
        world.both("SELECT count(*) FROM numbers")
    assert world.psql("UPDATE orders SET price = 3 WHERE id = 1").code == 0, "one that a person would have to agree to"
    assert world.psql("DO $$ BEGIN PERFORM 1; END $$").code == 0, "one that nobody can look into"
    assert world.psql("CREATE TABLE scratch (a int)").code == 0
    assert world.psql("BEGIN; DELETE FROM scratch; COMMIT").code == 0
    world.both("SELECT 1 FROM nowhere")
    world.both("SELEC 1")


@test
def what_would_have_been_is_told(world):
    def all_there():
        there = told(world)
        wanted = {("deny", "no-unbounded-write"), ("held", "price-needs-lead"), ("held", "ddl-needs-dba"), ("limit", "few-selects"),
                  ("deny", "no-card-answers"), ("mask", "hide-pii"), ("deny", "")}
        return wanted <= set(there) and there
    there = wait_for(all_there, 20)
    assert there["limit", "few-selects"]["n"] == 2 and there["limit", "few-selects"]["users"] == {"ann": 2}, there
    assert there["held", "price-needs-lead"]["users"] == {"ann": 1}, there
    assert "email" in there["mask", "hide-pii"]["text"], there
    plain = report(world)
    assert re.search(r"orders +deny +no-unbounded-write +ann +1 ", plain.out), plain
    assert told(world) and report(world, "--user", "bob", "--json").json["would"] == []
    why = world.command("explain", there["deny", "no-unbounded-write"]["examples"][0], token=auditor(world))
    assert why.code == 0 and "it would be deny by rule \"no-unbounded-write\"" in why.out and "must not apply" in why.out, repr(why)
    lines = [e for e in world.gateway.audit() if e.get("would")]
    assert lines and all(e["verdict"] == "allow" for e in lines), lines
    again = world.command("report", world.gateway.dir / "log" / "audit.jsonl", "--json", token=auditor(world))
    assert again.code == 0 and {(g["would"], g["rule"]) for g in again.json["would"]} == set(there), repr(again)


@test
def metrics_say_so(world):
    text = world.command("status", token=auditor(world))
    assert text.code == 0
    hit = {r["rule"]: r["hits"] for p in world.command("policy", "list", "--json", token=auditor(world)).json["policies"] for r in p["rules"]}
    assert hit["no-unbounded-write"].get("would deny") == 1 and hit["hide-pii"].get("would mask", 0) >= 1, hit


@test
def suggested_exceptions_pass_and_work(world):
    """The rules as they would be, in force: the same things pass, others not."""
    lua = report(world, "--lua").out
    path = world.dir / "suggested.lua"
    path.write_text(lua)
    checked = world.command("policy", "check", path, "--json")
    assert checked.code == 0, f"{checked!r}\n{lua}"
    names = {r["rule"] for r in checked.json["rules"]}
    assert {"no-unbounded-write", "price-needs-lead", "ddl-needs-dba", "few-selects", "no-card-answers", "hide-pii"} <= names and any(n.startswith("from-observe") for n in names), lua
    world.gateway.policy = lua
    observe(world, False)
    assert world.psql("BEGIN; DELETE FROM scratch; COMMIT").code == 0, lua
    assert world.psql("DELETE FROM orders").code != 0, lua
    assert world.psql("DELETE FROM scratch", user="bob").code != 0
    assert world.psql("UPDATE orders SET price = 4 WHERE id = 1").code == 0
    assert world.psql("DO $$ BEGIN PERFORM 1; END $$").code == 0
    assert world.psql("DO $$ BEGIN PERFORM 1; END $$", user="bob").code != 0
    world.pg.sql("DROP TABLE scratch")
    assert world.psql("CREATE TABLE scratch (a int)", timeout=20 * SLOW).code == 0, lua
    world.both("SELECT id, email FROM customers ORDER BY id")
    world.both("SELECT born FROM customers WHERE id = 1")
    for _ in range(4):
        world.both("SELECT count(*) FROM numbers")
    seen = world.psql("SELECT id, email FROM customers ORDER BY id", user="bob")
    assert seen.code == 0 and "ada@example.com" not in seen.out, repr(seen)
    assert world.psql("SELECT born FROM customers WHERE id = 1", user="bob").code != 0
    assert [world.psql("SELECT count(*) FROM numbers", user="bob").code == 0 for _ in range(3)] == [True, True, False]


main()
