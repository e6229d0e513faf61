#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport policy backtest`: what was recorded, judged by other policies; the same ones change nothing."""

from harness import *

WORK = ("SELECT * FROM wide", "SELECT id, email FROM customers ORDER BY id", "SELECT count(*) FROM orders", "UPDATE customers SET name = 'Grace' WHERE id = 2",
        "SELECT name FROM customers WHERE email = 'ada@example.com'")


def auditor(world):
    return world.token("aud", "auditor", api=True)


def backtest(world, policy, *args):
    path = world.dir / "new.lua"
    path.write_text(policy)
    done = world.command("policy", "backtest", path, "--since", "1h", "--conf", world.gateway.conf_file, "--json", *args, token=auditor(world))
    assert done.out.startswith("{"), repr(done)
    return done


def differences(done):
    return {(d["was"], d["now"], d["user"]): d for d in done.json["differences"]}


@test
def work_is_recorded(world):
    world.pg.sql(f"CREATE TABLE wide ({', '.join(f'column_of_a_wide_table_{n} int' for n in range(90))})")
    world.pg.sql("GRANT SELECT ON wide TO app_gw")
    for sql in WORK:
        assert world.psql(sql).code == 0, sql
    assert world.psql("SELECT count(*) FROM numbers", user="bob").code == 0
    assert world.psql("DELETE FROM orders").code != 0
    assert world.psql("DO $$ BEGIN PERFORM 1; END $$").code != 0
    assert world.psql("SELEC 1").code != 0
    waiting = world.psql_waiting("UPDATE orders SET price = 9 WHERE id = 1")
    world.waiting_request()
    waiting.interrupt()
    waiting.result()
    wait_for(lambda: not world.sessions(live=True), 20)


@test
def the_same_policies_change_nothing(world):
    for args in ((), ("--store", world.gateway.dir / "sessions")):
        done = wait_for(lambda: (d := backtest(world, world.gateway.policy, *args)).json["operations"] >= len(WORK) + 5 and d, 20)
        assert done.code == 0 and done.json["differences"] == [] and done.json["unreadable"] == 0, (args, done)


@test
def what_would_change_is_told_by_rule_user_and_statement(world):
    new = world.gateway.policy.replace('"no-unbounded-write"', '"all-rows"') + """
rule "bob-reads-nothing" { doc = "", on = "sql.statement", when = { user = "bob" }, deny = "Not bob." }
rule "hide-names" { doc = "", on = "sql.result", when = { column = "public.customers.name" }, mask = mask.redact }
rule "far-column" { doc = "", on = "sql.statement", when = { verb = "select", columns = "public.wide.column_of_a_wide_table_89" }, deny = "The last one." }
rule "some-code" { doc = "", on = "sql.statement", when = { user = "ann" }, allow = { unclear = "code", name = present } }
"""
    done = backtest(world, new)
    found = differences(done)
    assert done.code == 1, repr(done)
    assert ("allow", "deny by bob-reads-nothing", "bob") in found and "public.numbers" in found["allow", "deny by bob-reads-nothing", "bob"]["statement"], found
    assert ("deny by no-unbounded-write", "deny by all-rows", "ann") in found, found
    assert ("show name", "mask name by hide-names", "ann") in found, found
    assert ("allow", "deny by far-column", "ann") in found, found
    code = [k for k in found if k[1] == "allow"]
    assert [k[2] for k in code] == ["ann"] and "code" in code[0][0], found
    assert all(d["n"] == 1 for d in found.values()), found
    plain = world.command("policy", "backtest", world.dir / "new.lua", "--since", "1h", "--conf", world.gateway.conf_file, token=auditor(world))
    assert plain.code == 1 and re.search(r"allow +deny by bob-reads-nothing +bob ", plain.out) and "kinds of difference" in plain.out, repr(plain)


@test
def a_mask_that_would_be_lost(world):
    done = backtest(world, world.gateway.policy.replace("hide-pii", "hide-none").replace('tagged "pii"', '"public.nothing.at_all"'), "--user", "ann")
    assert any(k[0] == "mask email" and k[1] == "show email" for k in differences(done)), repr(done)


@test
def it_says_what_it_cannot_do(world):
    wrong = world.command("policy", "backtest", world.dir / "nowhere.lua")
    assert wrong.code == 1 and "nowhere.lua" in wrong.err, repr(wrong)
    path = world.dir / "new.lua"
    when = world.command("policy", "backtest", path, "--since", "soon")
    assert when.code == 2 and "take times like" in when.err, repr(when)
    away = world.command("policy", "backtest", path, "--store", world.dir / "no-store")
    assert away.code == 1 and "no-store" in away.err, repr(away)


main()
