#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tickets: native clients log in by SCRAM-SHA-256 with what the gateway made for them (P5, AP4)."""

import contextlib

from harness import *


def ticket(w, *more, user="ann", groups="dev", fmt="json"):
    done = w.command("ticket", "orders", "--format", fmt, *more, token=w.token(user, groups, api=True))
    assert done.code == 0, repr(done)
    return done.json if fmt == "json" else done.out


def psql(w, t, sql="SELECT 1", tls=False, address=None, password=None, more=""):
    port = w.gateway.tls_port if tls else w.gateway.port
    mode = f"sslmode=verify-ca sslrootcert={w.gateway.dir}/tls/cert.pem" if tls else "sslmode=disable"
    dsn = f"host={address or '127.0.0.1'} port={port} dbname=orders user={t['id']} {mode} {more}"
    return run(["psql", dsn, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql], env={"PGPASSWORD": password or t["password"]})


@test
def psql_logs_in_by_scram(w):
    t = ticket(w)
    assert t["id"].startswith("spt-") and len(t["password"]) == 32, t
    got = psql(w, t)
    assert got.out == "1", repr(got)
    assert psql(w, t, more="require_auth=scram-sha-256" if libpq() >= 16 else "").out == "1"
    one = w.sessions()[0]
    assert one["user"] == "ann" and one["target"] == "orders", one


def libpq():
    return int(re.search(r"\d+", run(["psql", "--version"]).out).group(0))


@test
def over_tls_too_and_channel_binding_is_refused_by_the_client(w):
    t = ticket(w)
    assert psql(w, t, tls=True).out == "1"
    assert psql(w, t, tls=True, more="channel_binding=prefer").out == "1"
    got = psql(w, t, tls=True, more="channel_binding=require")
    assert got.code != 0 and "channel binding" in got.err, repr(got)


@test
def a_wrong_password_is_no_proof(w):
    t = ticket(w)
    got = psql(w, t, password="x" * 32)
    assert got.code != 0 and "access denied" in got.err, repr(got)
    got = psql(w, {"id": "spt-00000000000000000000", "password": "x"})
    assert got.code != 0 and "access denied" in got.err, repr(got)
    assert psql(w, t).out == "1"


@test
def dsn_and_env_work_as_they_are_printed(w):
    dsn = ticket(w, fmt="dsn")
    got = run(["psql", dsn, "-XAtqc", "SELECT 2"])
    assert got.out == "2" or "self" in got.err or "certificate" in got.err, repr(got)
    got = run(["sh", "-c", ticket(w, fmt="env") + '; exec psql -XAtqc "SELECT current_database()"'])
    assert got.out == "orders", repr(got)


@test
def connect_starts_psql_for_one_session(w):
    env = {"PATH": os.environ["PATH"]}
    done = w.command("connect", "orders", "--", "-XAtq", "-c", "SELECT 3", "-c", "\\! tr '\\0' ' ' </proc/$PPID/cmdline", token=w.token("cat", "dev", api=True), env=env)
    assert done.code == 0 and done.out.splitlines()[0] == "3", repr(done)
    shown = done.out.splitlines()[-1]
    assert "psql -XAtq" in shown and "spt-" not in shown and "PASSWORD" not in shown, repr(done)  # P5: argv says nothing
    again = w.command("connect", "orders", "--", "-XAtq", "-c", "SELECT 4", "-c", "\\c", "-c", "SELECT 5",
                      token=w.token("cat", "dev", api=True), env=env)
    assert "used up" in again.err and "5" not in again.out.splitlines(), repr(again)


@test
def ten_at_once_and_not_from_elsewhere(w):
    t = ticket(w, user="ten")
    token = {"PGPASSWORD": t["password"]}
    argv = ["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-XAtq"]
    all_of_them = [Waiting(argv, token, "SELECT 'in';\n") for _ in range(10)]
    wait_for(lambda: len([s for s in w.sessions(live=True) if s["user"] == "ten"]) == 10, said="they did not all get in")
    got = psql(w, t)
    assert got.code != 0 and "ten open sessions" in got.err, repr(got)
    for one in all_of_them:
        one.say("\\q\n")
        assert one.result().out == "in"
    wait_for(lambda: psql(w, t).code == 0, said="a free place stayed taken")
    with relay_from("127.0.0.2", w.gateway.port) as port:
        got = run(["psql", f"host=127.0.0.1 port={port} dbname=orders user={t['id']} sslmode=disable", "-XAtqc", "SELECT 1"], env=token)
    assert got.code != 0 and "another address" in got.err, repr(got)


@contextlib.contextmanager
def relay_from(address, port):
    """A port here; what connects to it comes to the gateway from that address."""
    door = socket.create_server(("127.0.0.1", 0))

    def pump(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        other.close()

    def serve():
        client, _ = door.accept()
        there = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        back = threading.Thread(target=pump, args=(there, client))
        back.start()
        pump(client, there)
        back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        thread.join(10)
        door.close()


@test
def ended_and_revoked(w):
    t = ticket(w, user="rex")
    argv = ["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-XAtq", "-c", "SELECT pg_sleep(61)"]
    one = Waiting(argv, {"PGPASSWORD": t["password"]})
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "rex"], said="it did not get in")
    assert w.command("end", t["id"], token=w.token("rex", "dev", api=True)).code == 0
    assert "ticket was ended" in one.result().err
    got = psql(w, t)
    assert got.code != 0 and "revoked" in got.err, repr(got)
    t = ticket(w, user="rex")
    assert w.command("revoke", "--user", "rex").code == 0
    got = psql(w, t)
    assert got.code != 0 and "revoked" in got.err, repr(got)


@test
def its_window_ends_and_its_sessions_do_not(w):
    t = ticket(w, "--for", "2s", user="win")
    one = Waiting(["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-XAtq"],
                  {"PGPASSWORD": t["password"]}, "SELECT 'first';\n")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "win"], said="it did not get in")
    wait_for(lambda: "has expired" in psql(w, t).err, said="it did not expire")
    one.say("SELECT 'second';\n\\q\n")
    assert one.result().out.split() == ["first", "second"]


@test
def a_hold_and_a_rule_apply_to_it_as_to_a_token(w):
    t = ticket(w, user="hal")
    got = psql(w, t, "DELETE FROM orders")
    assert "no-unbounded-write" in got.err, repr(got)
    argv = ["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-XAtq", "-c",
            "UPDATE orders SET price = 3 WHERE id = 3"]
    one = Waiting(argv, {"PGPASSWORD": t["password"]})
    request = w.waiting_request()
    assert w.command("approve", request["id"], token=w.token("hal", "leads", api=True)).code == 1  # AP5
    assert w.command("approve", request["id"], token=w.token("lea", "leads", api=True)).code == 0
    assert one.result().code == 0
    assert w.pg.sql("SELECT price FROM orders WHERE id = 3") == "3.00"


@test
def a_python_pool_uses_it(w):
    try:
        import psycopg2
    except ImportError:
        skip("python3-psycopg2 is not installed")
    t = ticket(w, user="pool")
    for _ in range(3):
        c = psycopg2.connect(host="127.0.0.1", port=w.gateway.port, dbname="orders", user=t["id"], password=t["password"], sslmode="disable")
        cursor = c.cursor()
        cursor.execute("SELECT count(*) FROM orders WHERE id < %s", (11,))
        assert cursor.fetchone() == (10,)
        c.close()


@test
def passwords_are_nowhere(w):
    t = ticket(w, user="gus")
    assert psql(w, t).code == 0
    w.gateway.stop()
    try:
        for path in w.gateway.dir.rglob("*"):
            if path.is_file() and not path.is_socket():
                assert t["password"].encode() not in path.read_bytes(), path
    finally:
        w.gateway.start()


main()
