#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everyday tools under all of the shipped policies at once, and what those refuse."""

import asyncio

from harness import *

SHIPPED = sorted(p for p in (TOP / "conf" / "policies").glob("*.lua") if not p.name.endswith("_test.lua"))
# Each file is a chunk of its own, with its own locals; the time of day is not this test's business.
TEXT = "\n".join(f"do\n{p.read_text()}\nend" for p in SHIPPED if p.name not in ("hours.lua",))

# psql's \d commands, word by word as it sends them, have their answers compared with direct ones.
BACKSLASH = r"\d \d+_orders \dt+ \di+ \dv \ds \df+ \du \dn+ \l+ \dp \dx \dT \conninfo".split()


def shipped(w):
    if w.gateway.policy != TEXT:
        w.gateway.policy = TEXT
        w.gateway.write()
        done = w.gateway.reload()
        assert done.code == 0, repr(done)


def client_env(w, user="ann", groups="dev"):
    return {"PGHOST": "127.0.0.1", "PGPORT": str(w.gateway.port), "PGUSER": user, "PGDATABASE": "orders",
            "PGPASSWORD": w.password(user, groups, None, False)}


@test
def backslash_commands(w):
    shipped(w)
    for one in BACKSLASH:
        command = one.replace("_", " ")
        if command == r"\conninfo":
            got = w.psql(command)
        else:
            got = w.both(command)
        assert got.code == 0 and "42501" not in got.err, f"{command}: {got!r}"


@test
def pg_dump_of_definitions_and_data(w):
    shipped(w)
    for args in (("-s",), ("-t", "orders"), ("-a", "--inserts", "-t", "orders")):
        done = run(["pg_dump", *args], env=client_env(w, groups="dev,export"))  # --inserts has a cursor: no row limit
        direct = run(["pg_dump", *args, "-h", w.pg.folder, "-p", w.pg.port, "-U", "app_gw", "orders"])
        plain = [[line for line in d.out.splitlines() if "restrict " not in line] for d in (done, direct)]
        assert done.code == 0 and direct.code == 0, f"{args}: {done!r} {direct.err}"
        assert plain[0] == plain[1], f"{args}: the dumps differ"


@test
def a_dump_of_customers_is_masked(w):
    shipped(w)
    done = run(["pg_dump", "-a", "-t", "customers"], env=client_env(w))
    assert done.code == 0 and "ada@example.com" not in done.out and "4111111111111111" not in done.out, repr(done)
    assert "@example.com" in done.out and "1111" in done.out, repr(done)


@test
def pgbench_reads(w):
    shipped(w)
    w.pg.sql("CREATE TABLE IF NOT EXISTS pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));"
             "ALTER TABLE pgbench_accounts OWNER TO app_gw;"
             "INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) n ON CONFLICT DO NOTHING;"
             "CREATE TABLE IF NOT EXISTS pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));"
             "ALTER TABLE pgbench_branches OWNER TO app_gw; INSERT INTO pgbench_branches VALUES (1, 0, '') ON CONFLICT DO NOTHING")
    for mode in ("simple", "extended", "prepared"):
        done = run(["pgbench", "-n", "-S", "-t", "20", "-M", mode], env=client_env(w, groups="dev,service"))
        assert done.code == 0 and "number of failed transactions: 0" in done.out, repr(done)


@test
def asyncpg_gives_connections_back(w):
    try:
        import asyncpg
    except ImportError:
        skip("asyncpg is not installed (apt-get install python3-asyncpg)")
    shipped(w)

    async def go():
        env = client_env(w)
        pool = await asyncpg.create_pool(host=env["PGHOST"], port=int(env["PGPORT"]), user=env["PGUSER"], ssl=False,
                                         password=env["PGPASSWORD"], database="orders", min_size=1, max_size=1)
        for n in range(3):
            async with pool.acquire() as c:
                assert await c.fetchval("SELECT id FROM orders WHERE id = $1", n + 1) == n + 1
        await pool.close()

    asyncio.run(go())


@test
def what_they_refuse(w):
    shipped(w)
    for sql, rule in (("DELETE FROM orders", "no-unbounded-write"), ("UPDATE orders SET price = 1 WHERE true", "no-unbounded-write"),
                      ("COPY orders TO PROGRAM 'cat'", "no-copy-program"), ("SELECT pg_read_file('/etc/passwd')", "no-server-files"),
                      ("SELECT pg_sleep(1)", "no-sleep"), ("CREATE ROLE eve SUPERUSER", "no-superusers"),
                      ("SELECT * FROM pg_stats", "no-column-statistics")):
        got = w.psql(sql)
        assert got.code != 0 and rule in got.err, f"{sql}: {got!r}"
    got = w.psql("INSERT INTO orders VALUES (1000)", groups="dev,readonly")
    assert got.code != 0 and "readonly-no-writes" in got.err, repr(got)


@test
def what_they_hold(w):
    shipped(w)
    waiting = w.psql_waiting("CREATE TABLE fresh (id int)", user="ann")
    request = w.waiting_request()
    assert request["rule"] == "ddl-needs-approval" and request["by"] == "dba", request
    w.command("approve", request["id"], "--comment", "fine", token=w.token("dora", "dba", api=True))
    got = waiting.result()
    assert got.code == 0, repr(got)
    assert w.pg.sql("SELECT count(*) FROM fresh") == "0"


@test
def secrets_in_text(w):
    shipped(w)
    got = w.psql("SELECT 'key AKIAIOSFODNN7EXAMPLE' AS note, 'card 4111 1111 1111 1111' AS other")
    assert got.code == 0 and "AKIA" not in got.out and "4111 1111" not in got.out, repr(got)


main()
