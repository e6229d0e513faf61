#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The wire protocol by hand: ways in, cancelling, settings, and every order of messages, against the server's own answers."""

import struct
import time

from harness import *
from wire import *

SQL = """
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE log (n int);
INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 10) n;
"""


def certificate(w):
    return str(w.gateway.dir / "tls" / "cert.pem")


def one(c):
    return c.values("SELECT 1")[0][0] == b"1"


# ---- ways in ----

@test
def ssl_request_then_tls(w):
    c = Wire.tcp(w.gateway.tls_port)
    c.send(SSL_REQUEST)
    assert c.take(1) == b"S"
    c.tls(certificate(w)).login(w.token(), user="ann", database="orders")
    assert one(c)
    c = Wire.tcp(w.gateway.port)
    c.send(SSL_REQUEST)
    assert c.take(1) == b"N"
    c.login(w.token(), user="ann", database="orders")
    assert one(c)


@test
def direct_tls_needs_its_alpn(w):
    c = Wire.tcp(w.gateway.tls_port).tls(certificate(w), ["postgresql"])
    c.login(w.token(), user="ann", database="orders")
    assert one(c)
    for alpn in (None, ["http/1.1"]):
        try:
            c = Wire.tcp(w.gateway.tls_port).tls(certificate(w), alpn)
            c.send(startup(user="ann", database="orders"))
            assert c.ended() == [], alpn
        except OSError:
            pass
    c = Wire.tcp(w.gateway.port)
    c.send(b"\x16\x03\x01\x00\x10")
    assert c.ended() == []


@test
def gss_is_refused_once(w):
    c = Wire.tcp(w.gateway.tls_port)
    c.send(GSS_REQUEST)
    assert c.take(1) == b"N"
    c.send(SSL_REQUEST)
    assert c.take(1) == b"S"
    c.tls(certificate(w)).login(w.token(), user="ann", database="orders")
    assert one(c)
    c = Wire.tcp(w.gateway.tls_port)
    c.send(GSS_REQUEST)
    assert c.take(1) == b"N"
    c.send(GSS_REQUEST)
    assert c.ended() == []


@test
def pg4_plain_text_behind_ssl_request(w):
    c = Wire.tcp(w.gateway.tls_port)
    c.send(SSL_REQUEST + startup(user="ann", database="orders"))
    assert c.ended() == []


@test
def plain_text_where_tls_is_required(w):
    c = Wire.tcp(w.gateway.tls_port)
    c.send(startup(user="ann", database="orders"))
    kind, body = c.read()
    assert kind == "E" and fields(body)["C"] == "28000" and "TLS" in fields(body)["M"], body
    assert c.ended() == []


@test
def versions(w):
    for version, want in (((3, 0), None), ((3, 2), None), ((3, 1), 0x30000), ((3, 9), 0x30002)):
        c = Wire.tcp(w.gateway.port)
        seen = c.login(w.token(), version, user="ann", database="orders")
        said = [struct.unpack("!I", body[:4])[0] for kind, body in seen if kind == "v"]
        assert said == ([want] if want else []), (version, said)
        assert one(c)
    c = Wire.tcp(w.gateway.port)
    seen = c.login(w.token(), (3, 2), user="ann", database="orders", **{"_pq_.odd": "x"})
    assert [body[8:] for kind, body in seen if kind == "v"] == [b"_pq_.odd\0"], seen
    for version in ((2, 0), (4, 0)):
        c = Wire.tcp(w.gateway.port)
        c.send(startup(version, user="ann", database="orders"))
        assert "protocol version" in fields(c.read()[1])["M"]


# ---- cancelling ----

def sleeper(c):
    """A statement that waits; returns once the target runs it."""
    c.send(query("SELECT pg_sleep(30), 'the sleeper'"))


def sleeps(w):
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%the sleeper%' AND state = 'active' AND pid <> pg_backend_pid()") == "1"


@test
def cancel_reaches_its_session_only(w):
    for port in (w.gateway.port, w.gateway.tls_port):
        for version in ((3, 0), (3, 2)):
            c, other = Wire.through(w, version=version), Wire.through(w)
            pid, secret = c.key
            sleeper(c)
            wait_for(lambda: sleeps(w), said="it does not run")
            for wrong in ((pid, bytes(len(secret))), (other.key[0], secret), (pid, other.key[1]), (pid, secret + b"\0\0\0\0")):
                x = Wire.tcp(port)
                x.send(cancel(*wrong))
                assert x.ended() == []
            x = Wire.tcp(port)  # in plain text, as libpq before 17 sends it, also where TLS is required
            if sleeps(w):
                x.send(cancel(pid, secret))
            else:
                raise AssertionError("a wrong key has cancelled")
            assert shape(c.until_ready()).endswith("E(57014)Z(I)")
            assert one(c) and one(other)


# ---- settings ----

@test
def startup_parameters(w):
    c = Wire.through(w, DateStyle="SQL, DMY", TimeZone="Asia/Tokyo", client_encoding="UTF8", extra_float_digits="2", IntervalStyle="iso_8601",
                     application_name="mine", options="-c statement_timeout=4321 --lock_timeout=99 -cidle_session_timeout=0")
    for name, value in (("DateStyle", "SQL, DMY"), ("TimeZone", "Asia/Tokyo"), ("extra_float_digits", "2"), ("IntervalStyle", "iso_8601"),
                        ("statement_timeout", "4321ms"), ("lock_timeout", "99ms"), ("client_encoding", "UTF8")):
        assert c.values(f"SHOW {name}")[0][0].decode() == value, name
    for bad in ({"session_preload_libraries": "x"}, {"role": "postgres"}, {"options": "-c role=postgres"}, {"options": "-c session_authorization=x"},
                {"replication": "database"}, {"replication": "true"}, {"client_encoding": "LATIN1"}, {"standard_conforming_strings": "off"},
                {"options": "-c sallyport.user=eve"}, {"sallyport.user": "eve"}, {"options": "-c DateStyle"}, {"options": "-x"}, {"statement_timeout": "1; x"},
                {"log_statement": "none"}, {"user": ""}, {"user": "a\tb"}, {"user": "x" * 64}):
        c = Wire.tcp(w.gateway.port)
        c.send(startup(**{"user": "ann", "database": "orders", **bad}))
        kind, body = c.read()
        said = fields(body)
        assert kind == "E" and said["S"] == "FATAL" and said["C"] in ("0A000", "28000") and len(said["M"]) > 20, (bad, kind, body)


@test
def database_names_the_target(w):
    w.pg.sql("CREATE DATABASE second OWNER app_gw", "postgres")
    assert Wire.through(w).values("SELECT current_database()") == [[b"orders"]]
    assert Wire.through(w, database="orders/second").values("SELECT current_database()") == [[b"second"]]
    for name in ("nowhere", "orders/nowhere", "", "/orders", "orders/", "x/y/z"):
        c = Wire.tcp(w.gateway.port)
        c.send(startup(user="ann", database=name))
        kind, body = c.read()
        if kind == "R":
            c.send(message(b"p", z(w.token())))
        while kind in "RKS":
            kind, body = c.read()
        assert kind == "E" and fields(body)["S"] == "FATAL", (name, kind, body)


WHO = 'SHOW sallyport."user"'


@test
def the_role_that_it_has_may_be_set_again(w):
    c = Wire.through(w)
    for text in ("SET ROLE app_gw", "SET ROLE 'app_gw'", "SET LOCAL ROLE app_gw"):
        assert "E(" not in shape(c.ask(query(text))), text
    for text in ("SET ROLE postgres", "SET ROLE 'APP_GW'", "SET ROLE none", "SET SESSION AUTHORIZATION app_gw", "RESET ROLE", "SET search_path = x; SET ROLE app_gw"):
        assert "E(" in shape(c.ask(query(text))), text


@test
def who_it_is_stays_at_the_target(w):
    c = Wire.through(w, application_name="tool")
    name = c.values("SHOW application_name")[0][0].decode()
    said = c.values(WHO)[0][0].decode()
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "ann" and s["id"] in name + said], said=f"{name} {said}")[0]["id"]
    assert "ann" in said, said
    assert name.startswith("sallyport ann") and (session in name or session in c.values('SHOW sallyport."session"')[0][0].decode()), name
    for text in ("SET sallyport.\"user\" = 'eve'", "SET LOCAL sallyport.\"user\" = 'eve'", "SET SESSION sallyport.\"user\" TO eve", 'RESET sallyport."user"',
                 "SELECT set_config('sallyport.user', 'eve', false)", "SELECT set_config('sally' || 'port.user', 'eve', false)", 'SET "sallyport"."user" = \'eve\'',
                 "SET SALLYPORT.\"user\" = 'eve'", "ALTER ROLE app_gw SET sallyport.user = 'eve'", "UPDATE pg_settings SET setting = 'eve' WHERE name = 'application_name'"):
        seen = c.ask(query(text))
        assert c.values(WHO)[0][0].decode() == said, f"{text}: {shape(seen)}"
        assert "E(" in shape(seen) or text.startswith("RESET"), f"{text}: {shape(seen)}"
    for text in ("RESET ALL", "DISCARD ALL"):
        assert "C(" in shape(c.ask(query(text))), text
        assert c.values(WHO)[0][0].decode() == said, text


# ---- every order of messages, against the server ----

def P(text, name="", types=()):
    return parse(name, text, types)


def PBE(text, *values):
    return P(text) + bind(values=values) + describe("P") + execute()


SCRIPTS = {  # each entry: rounds; a round is sent as one piece and answered up to its last ReadyForQuery
    "simple": [[query("SELECT id, v FROM t ORDER BY id")], [query("SELECT 1; SELECT 2; SELECT 'x' WHERE false")], [query("")], [query(" ; ")], [query("-- nothing")]],
    "simple with an error": [[query("SELECT 1; SELECT 1/0; SELECT 2")], [query("SELECT nowhere")], [query("SELEC")], [query("SELECT 3")]],
    "simple pipelined": [[query("SELECT 1"), query("SELECT 1/0"), query("SELECT 2")]],
    "transaction": [[query("BEGIN")], [query("SELECT 1")], [query("SELECT 1/0")], [query("SELECT 2")], [query("COMMIT")], [query("ROLLBACK")]],
    "implicit transaction": [[query("INSERT INTO log VALUES (1); SELECT 1/0")], [query("SELECT count(*) FROM log")]],
    "extended": [[PBE("SELECT id FROM t WHERE id < $1 ORDER BY id", b"4"), SYNC]],
    "extended pipelined": [[PBE("SELECT 1"), PBE("SELECT 2"), SYNC, PBE("SELECT 3"), SYNC, SYNC]],
    "extended with an error": [[PBE("SELECT 1"), PBE("SELECT 1/0"), PBE("SELECT 2"), SYNC, PBE("SELECT 3"), SYNC]],
    "parse error": [[P("SELEC 1"), bind(), execute(), SYNC], [PBE("SELECT 1"), SYNC]],
    "named": [[P("SELECT $1::int + 1", "plus"), SYNC], [bind("", "plus", [b"1"]), execute(), bind("", "plus", [b"41"]), execute(), SYNC],
              [describe("S", "plus"), SYNC], [P("SELECT 1", "plus"), SYNC], [close("S", "plus"), SYNC], [bind("", "plus", [b"1"]), execute(), SYNC],
              [close("S", "never"), close("P", "never"), SYNC]],
    "named, bound at once": [[P("SELECT $1::text", "s1"), bind("p1", "s1", [b"x"]), describe("P", "p1"), execute("p1"), close("P", "p1"), close("S", "s1"), SYNC]],
    "two names": [[P("SELECT 1", "a"), P("SELECT 2", "b"), SYNC], [bind("", "b"), execute(), bind("", "a"), execute(), SYNC]],
    "binary": [[P("SELECT $1::int8, $2::text, now() > 'epoch', NULL::int", types=(20, 25)), bind("", "", [struct.pack("!q", 7), b"x"], [1, 0], [1]), describe("P"), execute(), SYNC]],
    "suspended": [[P("SELECT id FROM t ORDER BY id"), bind("c"), describe("P", "c"), execute("c", 3), execute("c", 3), execute("c", 0), execute("c", 5), SYNC]],
    "suspended over syncs": [[query("BEGIN")], [P("SELECT id FROM t ORDER BY id"), bind("c"), execute("c", 3), SYNC], [execute("c", 4), SYNC], [execute("c", 100), SYNC],
                             [close("P", "c"), SYNC], [execute("c", 1), SYNC], [query("ROLLBACK")]],
    "portal is gone after its transaction": [[P("SELECT id FROM t"), bind("c"), execute("c", 1), SYNC], [execute("c", 1), SYNC], [query("SELECT 1")]],
    "flush": [[P("SELECT 5"), FLUSH, bind(), FLUSH, execute(), FLUSH, SYNC]],
    "no sync before a query": [[PBE("SELECT 1"), query("SELECT 2")]],
    "begin in a batch": [[PBE("BEGIN"), PBE("INSERT INTO log VALUES (2)"), PBE("ROLLBACK"), SYNC], [query("SELECT count(*) FROM log")]],
    "error in a batch with begin": [[PBE("BEGIN"), PBE("SELECT 1/0"), PBE("COMMIT"), SYNC], [PBE("SELECT 1"), SYNC], [PBE("COMMIT"), SYNC], [query("SELECT 1")]],
    "batch is one transaction": [[PBE("INSERT INTO log VALUES (3)"), PBE("SELECT 1/0"), SYNC], [query("SELECT count(*) FROM log")]],
    "empty": [[PBE(""), SYNC], [P("-- x"), describe("S"), bind(), execute(), SYNC]],
    "wrong number of parameters": [[P("SELECT $1::int"), bind(values=[b"1", b"2"]), execute(), SYNC], [query("SELECT 1")]],
    "wrong parameter": [[PBE("SELECT $1::int", b"x"), SYNC]],
    "many parameters": [[P("SELECT " + " + ".join(f"${n}::int" for n in range(1, 301))), bind(values=[b"1"] * 300), execute(), SYNC]],
    "copy out": [[query("COPY t TO STDOUT")], [query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")], [query("COPY t TO STDOUT (FORMAT binary)")],
                 [query("SELECT 1; COPY (SELECT 1) TO STDOUT; SELECT 2")], [PBE("COPY t TO STDOUT"), SYNC], [query("COPY (SELECT 1/0) TO STDOUT")]],
    "copy in": [[query("COPY log FROM STDIN"), message(b"d", b"7\n8\n"), message(b"d", b"9\n"), message(b"c")], [query("SELECT * FROM log ORDER BY n")],
                [query("COPY log FROM STDIN"), message(b"d", b"10\n"), message(b"f", z("no more"))], [query("SELECT count(*) FROM log")],
                [query("COPY log FROM STDIN"), message(b"d", b"x\n"), message(b"c")], [query("DELETE FROM log WHERE n > 0")],
                [query("COPY log FROM STDIN; SELECT 5"), message(b"d", b"1\n"), message(b"c")],
                [query("COPY log FROM STDIN (FORMAT csv)"), message(b"d", b"11"), message(b"d", b"1\n\"12\"\n"), message(b"c")],
                [query("COPY log FROM STDIN (FORMAT binary)"), message(b"d", b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\0\0\0\4\0\0\0\5\xff\xff"), message(b"c")],
                [query("SELECT * FROM log ORDER BY n")]],
    "copy in, extended": [[P("COPY log FROM STDIN"), bind(), execute(), message(b"d", b"21\n"), message(b"c"), SYNC],
                          [P("COPY log FROM STDIN"), bind(), execute(), SYNC, message(b"d", b"22\n"), message(b"c"), SYNC],
                          [P("COPY log FROM STDIN"), bind(), execute(), message(b"d", b"oops\n"), message(b"c"), SYNC], [query("SELECT * FROM log ORDER BY n")]],
    "cursors": [[query("BEGIN")], [query("DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id")], [query("FETCH 2 FROM c")], [query("FETCH ALL FROM c")],
                [query("FETCH BACKWARD 1 FROM c")], [query("MOVE FIRST FROM c")], [PBE("FETCH NEXT FROM c"), SYNC], [query("CLOSE c")], [query("COMMIT")],
                [query("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT v FROM t; COMMIT")], [query("FETCH 1 FROM h")], [query("CLOSE ALL")]],
    "prepare by sql": [[query("PREPARE q AS SELECT id FROM t WHERE id = $1")], [query("DEALLOCATE q")], [bind("", "q"), execute(), SYNC]],
    "prepare by protocol, deallocate by sql": [[P("SELECT v FROM t WHERE id = $1", "w", (23,)), SYNC], [query("DEALLOCATE w")], [bind("", "w", [b"1"]), SYNC],
                                               [P("SELECT 1", "x"), SYNC], [query("DEALLOCATE ALL")], [bind("", "x"), SYNC]],
    "savepoints": [[query("BEGIN")], [query("SAVEPOINT s")], [query("SELECT 1/0")], [query("ROLLBACK TO s")], [query("SELECT 1")], [query("RELEASE s")], [query("COMMIT")]],
    "settings": [[query("SET DateStyle = 'SQL, DMY'")], [query("SELECT DATE '2024-02-03'")], [query("SHOW DateStyle")], [query("RESET DateStyle")], [query("SELECT DATE '2024-02-03'")],
                 [query("BEGIN; SET LOCAL TimeZone = 'UTC'; SHOW TimeZone; COMMIT")], [query("SET search_path = pg_catalog")], [query("SELECT count(*) > 0 FROM pg_class")], [query("RESET ALL")]],
    "temporary table": [[query("CREATE TEMP TABLE scratch (a int)")], [query("INSERT INTO scratch VALUES (1), (2)")], [query("SELECT sum(a) FROM scratch")], [query("DROP TABLE scratch")]],
    "explain": [[query("EXPLAIN (COSTS off) SELECT * FROM t WHERE id = 1")], [PBE("EXPLAIN (COSTS off, ANALYZE, TIMING off, SUMMARY off) SELECT 1"), SYNC]],
}


def comparable(seen, exact):
    """What a client sees; positions in the server's source are the server's, but every other word counts."""
    out = []
    for kind, body in seen:
        if kind == "E" and not exact:  # what the gateway can't parse it refuses, in its own words
            body = fields(body)["C"]
        out.append((kind, body))
    return out


@test
def every_order_is_answered_as_by_the_server(w):
    failed = []
    for name, rounds in SCRIPTS.items():
        w.pg.sql("TRUNCATE log")
        answers = []
        for c in (Wire.direct(w), Wire.through(w, groups="dev,lax")):
            w.pg.sql("TRUNCATE log")
            answer = []
            for n, messages in enumerate(rounds):
                data = b"".join(messages)
                c.send(data)
                wanted, seen = ready_count(data), []
                try:
                    for _ in range(wanted):
                        seen += c.until_ready()
                except (Closed, OSError) as e:
                    seen.append(("closed", str(e)))
                    answer.append(seen)
                    break
                answer.append(seen)
            answers.append(answer)
            c.close()
        for n, (want, got) in enumerate(zip(*answers)):
            if comparable(want, False) != comparable(got, False):
                failed.append(f"{name}, round {n}:\n  {shape(want)}\n  {shape2(got)}")
                break
    assert not failed, f"{len(failed)} of {len(SCRIPTS)} differ:\n" + "\n".join(failed)


def shape2(seen):
    return shape([m for m in seen if m[0] != "closed"]) + ("(closed)" if seen and seen[-1][0] == "closed" else "") + \
        "".join(" " + fields(body)["M"] for kind, body in seen if kind == "E")


def ready_count(data):
    """How many ReadyForQuery these messages deserve: one per Sync or Query; in COPY IN Sync is ignored."""
    n, at, copying = 0, 0, False
    while at < len(data):
        kind, size = data[at:at + 1], struct.unpack_from("!I", data, at + 1)[0]
        body = data[at + 5:at + 1 + size]
        if kind == b"Q":
            n += 1
        elif kind == b"S" and not copying:
            n += 1
        copying = kind == b"E" and b"FROM STDIN" in data[:at] or copying and kind not in (b"c", b"f")
        at += size + 1
    return n


@test
def listen_and_notify(w):
    a, b = Wire.through(w), Wire.through(w, "bob")
    assert "C(LISTEN)" in shape(a.ask(query("LISTEN news")))
    assert "C(NOTIFY)" in shape(b.ask(query("NOTIFY news, 'hello'")))
    kind, body = a.read()
    assert kind == "A" and body[4:] == b"news\0hello\0", (kind, body)
    assert b.values("SELECT pg_notify('news', 'again')") == [[b""]]
    assert a.read()[1][4:] == b"news\0again\0"
    assert "A" in shape(a.ask(query("NOTIFY news"))) and one(a)


@test
def notices_and_parameters(w):
    c = Wire.through(w, groups="dev,lax")
    got = c.ask(query("DROP TABLE IF EXISTS never_was"))
    assert shape(got) == "C(DROP TABLE)Z(I)", got
    assert c.notices[-1]["M"] == 'table "never_was" does not exist, skipping', c.notices
    assert c.parameters["server_version"].startswith("15") and c.parameters["client_encoding"] == "UTF8"
    c.ask(query("SET TimeZone = 'Asia/Tokyo'"))
    assert c.parameters["TimeZone"] == "Asia/Tokyo"
    c.ask(query("ROLLBACK"))
    assert c.notices[-1]["C"] == "25P01", c.notices


@test
def pg9_function_call_and_replication_are_refused(w):
    c = Wire.through(w)
    call = message(b"F", struct.pack("!IHHIH", 1598, 0, 0, 0, 0)[:10] + b"\0\0\0\0")
    assert shape(c.ask(call)) == "E(0A000)Z(I)"
    c.ask(query("BEGIN"))
    assert shape(c.ask(call)) == "E(0A000)Z(E)"
    assert shape(c.ask(query("COMMIT"))) == "C(ROLLBACK)Z(I)"
    for text in ("START_REPLICATION SLOT x LOGICAL 0/0", "IDENTIFY_SYSTEM", "BASE_BACKUP"):
        assert shape(c.ask(query(text))).startswith("E("), text
    assert one(c)


@test
def tables_made_past_the_gateway_are_found(w):
    """As a migration makes them: the first statement that names one is judged by what it is."""
    c = Wire.through(w)
    assert one(c)
    for n, (ask, end) in enumerate(((query, ""), (lambda text: parse("", text) + bind() + execute() + SYNC, "12"))):
        time.sleep(0.2)  # what is missing is looked up ten times a second for all
        w.pg.sql(f"SET ROLE app_gw; CREATE TABLE made_{n} (id int, email text); INSERT INTO made_{n} VALUES (1, 'ada@example.com')")
        assert shape(c.ask(ask(f"INSERT INTO made_{n} VALUES (2, 'x')"))) == end + "C(INSERT 0 1)Z(I)"
        assert b"ada@" not in b"".join(body for _, body in c.ask(ask(f"SELECT * FROM made_{n}")))
    assert shape(c.ask(query("SELECT * FROM still_nowhere"))) == "E(42P01)Z(I)"


@test
def nonsense_closes_that_session_only(w):
    other = Wire.through(w)
    for bad in (b"Q\0\0\0\3", b"Q\xff\xff\xff\xff", b"B" + struct.pack("!I", 12) + b"\0\0\0\0\xff\xff\0\0", b"\xff\0\0\0\4", message(b"Q", b"no nul"), message(b"E", b"\0\0\0\0\0\0"),
                message(b"p", b"x\0"), startup(user="bob", database="orders"), message(b"D", b"X\0"), message(b"S", b"x")):
        c = Wire.through(w)
        c.send(bad)
        assert all(kind == "E" and fields(body)["S"] == "FATAL" for kind, body in c.ended()), bad
    assert one(other)


POLICY_HERE = POLICY.replace('unless = { groups = "fraud" }', 'unless = { groups = { "fraud", "lax" } }') \
    .replace('when    = { effects = "ddl" },', 'when    = { effects = "ddl" },\n  unless  = { groups = "lax" },')
POLICY_HERE += """
rule "no-catalogue-writes" { doc = "A table that is not known might be one of these.", on = "sql.statement", when = { verb = "insert", tables_written = prefix "pg_catalog." }, deny = "no" }
"""
main(sql=SQL, policy=POLICY_HERE)
