#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everyday tools under all of the shipped policies at once, and what those refuse."""

import asyncio
import sys

from harness import *

try:
    import psycopg
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")
    import psycopg

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


def pg_connection(w, user="ann", groups="dev"):
    env = client_env(w, user, groups)
    return psycopg.connect(host=env["PGHOST"], port=env["PGPORT"], dbname="orders", user=user, password=env["PGPASSWORD"],
                           sslmode="disable", autocommit=True)


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
def a_dump_of_customers_fails_before_its_first_row(w):
    """Whoever restored it would have masks for data; under a name that is no dump's the same rows come masked."""
    shipped(w)
    done = run(["pg_dump", "-a", "-t", "customers"], env=client_env(w))
    assert done.code == 1 and "no-dump-of-hidden" in done.err and "example.com" not in done.out and "1111" not in done.out, repr(done)
    done = run(["psql", "-XAtc", "COPY customers TO STDOUT"], env=client_env(w))
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


# Every row of this is a yes or no about the first letters of somebody's address.
ORACLES = [
    "SELECT id FROM customers WHERE email LIKE '{v}%'",
    "SELECT id FROM customers WHERE email >= '{v}'",
    "SELECT id FROM customers WHERE email ~ '^{v}'",
    "SELECT id FROM customers WHERE left(email, 1) = '{v}'",
    "SELECT id FROM customers WHERE starts_with(email, '{v}')",
    "SELECT id FROM customers WHERE position('{v}' in email) = 1",
    "SELECT id FROM customers WHERE email IN ('{v}', 'ada@example.com')",
    "SELECT id FROM customers WHERE email = ANY (ARRAY['{v}', 'ada@example.com'])",
    "SELECT id FROM customers WHERE email = '{v}' OR email = 'ada@example.com'",
    "SELECT id FROM customers WHERE NOT email < '{v}'",
    "SELECT id FROM customers WHERE (email, 1) > ('{v}', 0)",
    "SELECT id FROM customers c WHERE c::text LIKE '%{v}%'",
    "SELECT id FROM customers c WHERE to_json(c)->>'email' > '{v}'",
    "SELECT count(*) FROM customers WHERE email BETWEEN '{v}' AND 'zz'",
    "SELECT count(*) FILTER (WHERE email > '{v}') FROM customers",
    "SELECT count(*) FROM customers GROUP BY email > '{v}'",
    "SELECT 1 FROM customers HAVING max(email) > '{v}'",
    "SELECT id FROM customers ORDER BY email",
    "SELECT id FROM customers ORDER BY email > '{v}', id",
    "SELECT row_number() OVER (ORDER BY email), id FROM customers",
    "SELECT DISTINCT email FROM customers",
    "SELECT email FROM customers EXCEPT SELECT '{v}'",
    "SELECT 1 FROM (SELECT email AS e FROM customers) s WHERE e > '{v}'",
    "WITH w AS (SELECT email AS e FROM customers) SELECT 1 FROM w WHERE e > '{v}'",
    "SELECT 1 FROM (VALUES ('{v}')) g (v) JOIN customers ON email > v",
    "SELECT 1 FROM (VALUES ('{v}')) g (email) JOIN customers USING (email)",
    "SELECT 1 FROM (VALUES ('{v}')) g (v) WHERE v IN (SELECT email FROM customers)",
    "SELECT 1 FROM (VALUES ('{v}')) g (v) WHERE EXISTS (SELECT 1 FROM customers WHERE email > v)",
    "SELECT id FROM orders LIMIT (SELECT count(*) FROM customers WHERE email > '{v}')",
    "DELETE FROM customers WHERE email > '{v}' AND id = -1",
    "UPDATE customers SET id = id WHERE email > '{v}' AND id = -1",
    "EXPLAIN SELECT 1 FROM customers WHERE email = '{v}'",
    "COPY (SELECT id FROM customers WHERE email > '{v}') TO STDOUT",
    "DECLARE c CURSOR FOR SELECT id FROM customers WHERE email > '{v}'",
    "PREPARE p AS SELECT id FROM customers WHERE email > '{v}'",
    "CREATE TEMP TABLE mine AS SELECT email FROM customers",
    "SELECT pg_notify('c', email) FROM customers",
]


@test
def mk5_answers_do_not_tell(w):
    """A search letter by letter learns nothing: each question is refused, whatever the answer would be."""
    shipped(w)
    for n, oracle in enumerate(ORACLES):
        user = f"eve{n}"  # rates are another test's business
        answers = {w.psql(oracle.format(v=letter), user=user).out for letter in "am"}
        got = w.psql(oracle.format(v="m"), user=user)
        assert got.code != 0 and "-hidden" in got.err and answers == {""}, f"{oracle}: {got!r}"
    assert "ada" not in w.psql(r"SELECT id, email FROM customers WHERE id = 1", user="eve").out


@test
def mk5_lookups_are_counted(w):
    shipped(w)
    for n in range(10):
        got = w.psql(f"SELECT id FROM customers WHERE email = 'guess{n}@example.com'", user="gus")
        assert got.code == 0, f"{n}: {got!r}"
    got = w.psql("SELECT id FROM customers WHERE email = 'ada@example.com'", user="gus")
    assert got.code != 0 and "few-lookups-by-hidden" in got.err, repr(got)
    got = w.psql("SELECT id FROM customers WHERE id = 1", user="gus")
    assert got.code == 0, repr(got)


@test
def mk13_a_mask_is_not_written_back(w):
    """What a client read is masked; storing the row again must not replace the value."""
    shipped(w)
    before = w.pg.sql("SELECT email, card_number FROM customers ORDER BY id")
    card = w.psql("SELECT card_number FROM customers WHERE id = 1", user="max").out
    email = w.psql("SELECT email FROM customers WHERE id = 1", user="max").out
    assert "***" in card and "***" in email, (card, email)
    for sql in (f"UPDATE customers SET card_number = '{card}' WHERE id = 1", f"UPDATE customers SET name = 'x', email = E'{email}' WHERE id = 1",
                f"UPDATE customers SET (email, card_number) = ('{email}', '{card}') WHERE id = 1",
                f"INSERT INTO customers (id, email) VALUES (900, '{email}')",
                f"INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = '{email}'",
                "UPDATE customers SET card_number = '***-**-1234' WHERE id = 1"):
        got = w.psql(sql, user="max")
        assert got.code != 0 and "what a mask shows" in got.err, f"{sql}: {got!r}"
    with pg_connection(w, user="max") as c:
        try:
            c.execute("UPDATE customers SET email = %s WHERE id = %s", (email, 1))
            raise AssertionError("a parameter was written back")
        except psycopg.Error as e:
            assert "what a mask shows" in str(e), e
    assert w.pg.sql("SELECT email, card_number FROM customers ORDER BY id") == before
    got = w.psql(f"UPDATE customers SET name = '***' WHERE id = 1; UPDATE customers SET email = 'ada@example.com' WHERE id = 1", user="max")
    assert got.code == 0, repr(got)
    got = w.psql(f"UPDATE customers SET card_number = '4111111111111111 ***' WHERE id = 1", user="fay", groups="dev,fraud")
    assert got.code == 0, repr(got)  # they see the value, so they know what they write
    w.pg.sql("UPDATE customers SET card_number = '4111111111111111' WHERE id = 1")


main()
