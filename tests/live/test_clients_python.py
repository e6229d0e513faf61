#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""psycopg, psycopg2 and asyncpg: the same work direct and through the gateway, with equal results."""

import asyncio
import datetime
import decimal
import ipaddress
import uuid

from harness import *
from every import SHIPPED, SLOW_QUERY, SQL

try:
    import psycopg
except ImportError:
    psycopg = None
try:
    import psycopg2
    import psycopg2.extras
except ImportError:
    psycopg2 = None
try:
    import asyncpg
except ImportError:
    asyncpg = None



def need(module, package):
    if module is None:
        skip(f"{package} is not installed (apt-get install {package})")


def both(w, work):
    """work(connection string, password) twice, from the same state; equal results."""
    results = []
    for direct in (True, False):
        w.pg.sql("TRUNCATE notes")
        results.append(work(w.dsn(direct=direct), w.password(direct=direct)))
    assert results[0] == results[1], f"\ndirect:  {results[0]!r}\nthrough: {results[1]!r}"
    return results[1]


# ---- psycopg 3 ----

def psy3(work, **options):
    need(psycopg, "python3-psycopg")

    def run_it(dsn, password):
        with psycopg.connect(dsn, password=password, **options) as c:
            return work(c)
    return run_it


@test
def psycopg_types_in_text_and_binary(w):
    def work(c):
        got = []
        for binary in (False, True):
            cur = c.cursor(binary=binary)
            # xml has no binary form in psycopg
            columns = [r[0] for r in c.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'every'::regclass AND attnum > 0 ORDER BY attnum").fetchall()]
            cur.execute("SELECT * FROM every ORDER BY id")
            got.append([(d.name, d.type_code) for d in cur.description])
            got.append([tuple(str(v) for v in row) for row in cur.fetchall()])
            for v in (1, 2 ** 40, decimal.Decimal("1.50"), 1.5, True, "x'y", b"\0\xff", None, datetime.date(2024, 2, 29), uuid.UUID(int=5),
                      datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), datetime.timedelta(days=3), [1, 2], ["a", None], ipaddress.ip_address("10.0.0.1")):
                got.append(str(c.execute(f"SELECT {'%b' if binary else '%s'}", (v,), binary=binary).fetchone()[0]) if v is not None else None)
            got.append(columns)
        return got
    both(w, psy3(work, autocommit=True))


@test
def psycopg_transactions_and_errors(w):
    def work(c):
        got = []
        with c.transaction():
            c.execute("INSERT INTO notes VALUES (1, 'a')")
            try:
                with c.transaction():
                    c.execute("INSERT INTO notes VALUES (1, 'twice')")
            except psycopg.errors.UniqueViolation as e:
                got.append((e.sqlstate, e.diag.message_primary, e.diag.message_detail, e.diag.constraint_name, e.diag.table_name))
            c.execute("INSERT INTO notes VALUES (2, 'b')")
        try:
            c.execute("SELECT 1/0")
        except psycopg.Error as e:
            got.append((type(e).__name__, e.sqlstate, c.info.transaction_status.name))
            c.rollback()
        got.append(c.execute("SELECT * FROM notes ORDER BY id").fetchall())
        c.rollback()
        c.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        c.read_only = True
        got.append(c.execute("SHOW transaction_isolation").fetchone())
        try:
            c.execute("INSERT INTO notes VALUES (3, 'c')")
        except psycopg.Error as e:
            got.append(e.sqlstate)
        return got
    both(w, psy3(work))


@test
def psycopg_prepared(w):
    def work(c):
        got = [c.execute("SELECT id, body FROM notes WHERE id > %s", (n,), prepare=True).fetchall() for n in range(5)]
        for n in range(20):  # it prepares what comes often by itself
            c.execute("INSERT INTO notes VALUES (%s, %s) RETURNING id", (n, f"n{n}"))
        got.append(c.execute("SELECT count(*), max(body) FROM notes").fetchone())
        got.append(len(c.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE '\\_pg%'").fetchall()))
        return got
    both(w, psy3(work, autocommit=True, prepare_threshold=3))


@test
def psycopg_pipeline(w):
    def work(c):
        got = []
        with c.pipeline() as p:
            cursors = [c.execute("SELECT %s::int * 2", (n,)) for n in range(50)]
            p.sync()
            got += [cur.fetchone()[0] for cur in cursors]
            c.execute("INSERT INTO notes VALUES (1, 'x')")
            c.execute("INSERT INTO notes VALUES (2, 'y')")
        got.append(c.execute("SELECT count(*) FROM notes").fetchone())
        try:
            with c.pipeline():
                c.execute("INSERT INTO notes VALUES (3, 'z')")
                c.execute("SELECT 1/0")
                c.execute("INSERT INTO notes VALUES (4, 'w')")
        except psycopg.Error as e:
            got.append(e.sqlstate)
        got.append(c.execute("SELECT id FROM notes ORDER BY id").fetchall())
        with c.pipeline():
            cur = c.cursor()
            cur.executemany("INSERT INTO notes VALUES (%s, %s) RETURNING id", [(n, "m") for n in range(10, 60)], returning=True)
            ids = []
            while True:
                ids.append(cur.fetchone()[0])
                if not cur.nextset():
                    break
            got.append(ids)
        return got
    both(w, psy3(work, autocommit=True))


@test
def psycopg_server_side_cursors(w):
    def work(c):
        got = []
        with c.cursor("named") as cur:
            cur.itersize = 7
            cur.execute("SELECT id, item FROM orders WHERE id > %s ORDER BY id", (10,))
            got.append(cur.fetchmany(3))
            got.append([row for row in cur])
        with c.cursor("scrolled", scrollable=True) as cur:
            cur.execute("SELECT n FROM generate_series(1, 50) n")
            cur.scroll(10)
            got.append(cur.fetchone())
            cur.scroll(-5)
            got.append(cur.fetchmany(2))
        with c.cursor("binary", binary=True) as cur:
            cur.execute("SELECT i8, tz, ai FROM every ORDER BY id")
            got.append(cur.fetchall())
        c.commit()
        with c.cursor("held", withhold=True) as cur:
            cur.execute("SELECT n FROM generate_series(1, 5) n")
            c.commit()
            got.append(cur.fetchall())
        got.append(sum(1 for _ in c.cursor().stream("SELECT n FROM numbers")))
        return got
    both(w, psy3(work))


@test
def psycopg_copy(w):
    def work(c):
        got = []
        cur = c.cursor()
        with cur.copy("COPY notes FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((n, f"line {n}\twith tab"))
        with cur.copy("COPY (SELECT * FROM notes ORDER BY id LIMIT 3) TO STDOUT") as copy:
            got.append(list(copy.rows()))
        with cur.copy("COPY every (id, i8, n, tz, jb) TO STDOUT (FORMAT binary)") as copy:
            got.append(b"".join(bytes(b) for b in copy))
        with cur.copy("COPY notes (id, body) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for n in range(2000, 2010):
                copy.write_row((n, f"b{n}"))
        try:
            with cur.copy("COPY notes FROM STDIN") as copy:
                copy.write("broken\n")
        except psycopg.Error as e:
            got.append((e.sqlstate, e.diag.context))
        c.rollback()
        try:
            with cur.copy("COPY notes FROM STDIN") as copy:
                copy.write("1\tx\n")
                raise KeyError("on purpose")
        except (KeyError, psycopg.Error) as e:
            got.append(type(e).__name__)
        c.rollback()
        got.append(c.execute("SELECT count(*) FROM notes").fetchone())
        return got
    both(w, psy3(work))


@test
def psycopg_notify_and_cancel(w):
    def work(c):
        got = []
        c.add_notify_handler(lambda n: got.append((n.channel, n.payload, n.pid == c.info.backend_pid)))
        c.execute("LISTEN news")
        c.execute("SELECT pg_notify('news', 'hello')")
        c.execute("SELECT 1")
        heard = []
        c.add_notice_handler(lambda d: heard.append((d.severity, d.sqlstate, d.message_primary)))
        c.execute("ROLLBACK")
        got.append(heard)
        timer = threading.Timer(1.0, c.cancel)
        timer.start()
        try:
            c.execute(SLOW_QUERY)
        except psycopg.errors.QueryCanceled as e:
            got.append(e.sqlstate)
        timer.join()
        got.append(c.execute("SELECT 1").fetchone())
        return got
    both(w, psy3(work, autocommit=True))


@test
def psycopg_type_lookup(w):
    def work(c):
        from psycopg.types.composite import CompositeInfo, register_composite
        from psycopg.types.enum import EnumInfo
        from psycopg.types.range import Range
        info = CompositeInfo.fetch(c, "pair")
        register_composite(info, c)
        enum = EnumInfo.fetch(c, "mood")
        row = c.execute("SELECT p, m, r FROM every WHERE id = 1").fetchone()
        return [info.field_names, enum.labels, tuple(row[0]), row[1], row[2] == Range(1, 5), c.execute("SELECT int4pl(%s, %s)", (1, 2)).fetchone()]
    both(w, psy3(work, autocommit=True))


# ---- psycopg2 ----

def psy2(work):
    need(psycopg2, "python3-psycopg2")

    def run_it(dsn, password):
        c = psycopg2.connect(dsn, password=password)
        try:
            return work(c)
        finally:
            c.close()
    return run_it


@test
def psycopg2_does_its_work(w):
    def work(c):
        got = []
        cur = c.cursor()
        cur.execute("SELECT * FROM every ORDER BY id")
        got.append([tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cur.fetchall()])
        got.append([(d.name, d.type_code) for d in cur.description])
        cur.executemany("INSERT INTO notes VALUES (%s, %s)", [(n, "x") for n in range(5)])
        psycopg2.extras.execute_values(cur, "INSERT INTO notes VALUES %s", [(n, "y") for n in range(10, 20)])
        psycopg2.extras.execute_batch(cur, "UPDATE notes SET body = %s WHERE id = %s", [("z", n) for n in range(5)])
        cur.callproc("int4pl", (20, 22))
        got.append(cur.fetchone())
        c.commit()
        named = c.cursor("srv")
        named.itersize = 3
        named.execute("SELECT * FROM notes ORDER BY id")
        got.append([row for row in named])
        named.close()
        try:
            cur.execute("INSERT INTO notes VALUES (1, 'twice')")
        except psycopg2.IntegrityError as e:
            got.append((e.pgcode, e.diag.constraint_name))
        c.rollback()
        import io
        out = io.StringIO()
        cur.copy_expert("COPY (SELECT * FROM notes ORDER BY id) TO STDOUT", out)
        cur.execute("DELETE FROM notes WHERE id >= 0")
        out.seek(0)
        cur.copy_expert("COPY notes FROM STDIN", out)
        cur.execute("SELECT count(*) FROM notes")
        got.append((cur.fetchone(), len(out.getvalue())))
        c.commit()
        c.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cur.execute("SHOW transaction_isolation")
        got.append(cur.fetchone())
        c.rollback()
        c.autocommit = True
        c.set_client_encoding("UTF8")
        cur.execute("SELECT %s", ("ünï",))
        got.append(cur.fetchone())
        dictionary = c.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
        dictionary.execute("SELECT id, item FROM orders WHERE id < 3 ORDER BY id")
        got.append(dictionary.fetchall())
        return got
    both(w, psy2(work))


# ---- asyncpg ----

def apg(work):
    need(asyncpg, "python3-asyncpg")

    def run_it(dsn, password):
        words = dict(part.split("=", 1) for part in dsn.split())

        async def whole():
            c = await asyncpg.connect(host=words["host"], port=int(words["port"]), user=words["user"], database=words["dbname"], password=password, ssl=False)
            try:
                return await asyncio.wait_for(work(c), 60)
            finally:
                await c.close(timeout=5)
        return asyncio.run(whole())
    return run_it


@test
def asyncpg_types(w):
    async def work(c):
        got = [[tuple(str(v) for v in row.values()) for row in await c.fetch("SELECT * FROM every ORDER BY id")]]
        got.append(str(await c.fetchrow("SELECT $1::int[], $2::jsonb, $3::numeric, $4::timestamptz, $5::mood, $6::pair", [1, 2], '{"a": 1}', decimal.Decimal("1.5"),
                                        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), "ok", (1, "b"))))
        statement = await c.prepare("SELECT id, item, price FROM orders WHERE id = $1")
        got.append(([a.name for a in statement.get_attributes()], [str(p.name) for p in statement.get_parameters()]))
        got.append([str(await statement.fetchrow(n)) for n in range(1, 6)])
        return got
    both(w, apg(work))


@test
def asyncpg_transactions_cursors_and_many(w):
    async def work(c):
        got = []
        async with c.transaction():
            await c.execute("INSERT INTO notes VALUES ($1, $2)", 1, "a")
            try:
                async with c.transaction():
                    await c.execute("INSERT INTO notes VALUES ($1, $2)", 1, "b")
            except asyncpg.UniqueViolationError as e:
                got.append((e.sqlstate, e.detail, e.constraint_name))
            got.append([str(r) async for r in c.cursor("SELECT id, item FROM orders ORDER BY id", prefetch=9)][:20])
            cursor = await c.cursor("SELECT n FROM generate_series(1, 100) n")
            got.append([r["n"] for r in await cursor.fetch(10)])
            await cursor.forward(20)
            got.append((await cursor.fetchrow())["n"])
        await c.executemany("INSERT INTO notes VALUES ($1, $2)", [(n, f"m{n}") for n in range(100, 600)])
        got.append(await c.fetchval("SELECT count(*) FROM notes"))
        try:
            await c.executemany("INSERT INTO notes VALUES ($1, $2)", [(700, "x"), (100, "twice"), (701, "y")])
        except asyncpg.UniqueViolationError:
            got.append(await c.fetchval("SELECT count(*) FROM notes"))
        async with c.transaction(isolation="serializable", readonly=True, deferrable=True):
            got.append(await c.fetchval("SHOW transaction_isolation"))
        try:
            await c.fetch("SELECT * FROM nowhere")
        except asyncpg.PostgresError as e:
            got.append((type(e).__name__, e.sqlstate, str(e)))
        return got
    both(w, apg(work))


@test
def asyncpg_copy_notify_and_timeout(w):
    async def work(c):
        import io
        got = [await c.copy_records_to_table("notes", records=[(n, f"r{n}") for n in range(1000)])]
        out = io.BytesIO()
        got.append(await c.copy_from_query("SELECT * FROM notes WHERE id < $1 ORDER BY id", 5, output=out, format="csv"))
        got.append(out.getvalue())
        out = io.BytesIO()
        got.append(await c.copy_from_table("notes", output=out, format="binary"))
        got.append(len(out.getvalue()))
        got.append(await c.copy_to_table("notes", source=io.BytesIO(b"5000\tx\n5001\ty\n")))
        heard = asyncio.get_running_loop().create_future()
        await c.add_listener("news", lambda c, pid, channel, payload: heard.done() or heard.set_result((channel, payload)))
        await c.execute("NOTIFY news, 'hi'")
        got.append(await asyncio.wait_for(heard, 10))
        try:
            await c.fetch(SLOW_QUERY, timeout=1)
        except asyncio.TimeoutError:
            got.append("timeout")
        got.append(await c.fetchval("SELECT 41 + 1"))
        await c.reset()
        await c.reload_schema_state()
        got.append(await c.fetchval("SELECT 43"))
        return got
    both(w, apg(work))


@test
def asyncpg_pool(w):
    async def work(c):
        return await c.fetchval("SELECT 1")
    need(asyncpg, "python3-asyncpg")

    async def pooled(direct):
        port = w.pg.port if direct else w.gateway.port
        pool = await asyncpg.create_pool(host="127.0.0.1", port=port, user="app_gw" if direct else "ann", database="orders", ssl=False,
                                         password=w.password(direct=direct), min_size=2, max_size=5)

        async def one(n):
            async with pool.acquire() as c:
                return await c.fetchval("SELECT $1::int + 1", n)
        got = await asyncio.gather(*(one(n) for n in range(40)))
        await pool.close()
        return got
    assert asyncio.run(pooled(True)) == asyncio.run(pooled(False)) == list(range(1, 41))


main(sql=SQL, policy=SHIPPED)
