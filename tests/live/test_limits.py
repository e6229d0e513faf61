#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits: sessions, half-open connections (AV1), descriptors (AV2), sizes before authentication, cancel requests (PG18)."""

from harness import *
from wire import *


def with_token(w, user, **parameters):
    c = Wire.tcp(w.gateway.port)
    c.login(w.token(user), user=user, **{"database": "orders", **parameters})
    return c


def reconfigure(w, extra="", target_extra="", text=None):
    g = w.gateway
    g.extra, g.target_extra = extra, target_extra
    g.write(text)
    done = g.reload()
    assert done.code == 0, repr(done)


def refused(w, user):
    got = w.psql("SELECT 1", user=user)
    assert got.code == 2, repr(got)
    return got.err


def workers(w):
    return wait_for(lambda: w.gateway.children().get("worker"), said="no worker runs")


# ---- sessions ----

@test
def sessions_of_one_user_are_limited(w):
    reconfigure(w, "limit per_user=2;")
    try:
        two = [with_token(w, "una") for _ in range(2)]
        assert "too many sessions" in refused(w, "una")
        assert w.psql("SELECT 1", user="other").out == "1"
        two[0].close()
        wait_for(lambda: w.psql("SELECT 1", user="una").code == 0, said="its place did not become free")
        assert two[1].values("SELECT 2") == [[b"2"]]
        two[1].close()
    finally:
        reconfigure(w)


@test
def sessions_on_all_workers_are_limited(w):
    wait_for(lambda: not w.sessions(live=True), said="sessions of before live on")
    reconfigure(w, "limit sessions=3;")
    try:
        all_of_them = [with_token(w, f"u{n}") for n in range(3)]
        assert "too many sessions" in refused(w, "u9") or "closed" in refused(w, "u9")
        for c in all_of_them:
            assert c.values("SELECT 1") == [[b"1"]]
            c.close()
    finally:
        reconfigure(w)


# ---- AV1 ----

@test
def half_open_handshakes_stop_nobody(w):
    """500 that say nothing, or half a startup message, or stop amid the TLS handshake."""
    reconfigure(w, text=w.gateway.conf_text().replace("cleartext loopback; }", "cleartext loopback; timeout handshake=4s login=6s; }")
                .replace("key.pem; }", "key.pem; timeout handshake=4s login=6s; }"))
    try:
        crowd = []
        for n in range(500):
            s = socket.create_connection(("127.0.0.1", w.gateway.port if n % 2 else w.gateway.tls_port))
            s.sendall((b"", b"\0\0\0", SSL_REQUEST, SSL_REQUEST + b"\x16\x03\x01")[n % 4])
            crowd.append(s)
        assert w.psql("SELECT 1").out == "1"
        assert w.psql("SELECT 1", tls=True).out == "1"

        def gone(s):
            s.settimeout(0.01)
            try:
                while s.recv(1000):
                    pass
                return True
            except socket.timeout:
                return False
            except OSError:
                return True
        wait_for(lambda: all(gone(s) for s in crowd), 30, said="half-open connections stay for ever")
        for s in crowd:
            s.close()
    finally:
        reconfigure(w)


@test
def a_login_that_stops_is_ended(w):
    reconfigure(w, text=w.gateway.conf_text().replace("cleartext loopback; }", "cleartext loopback; timeout handshake=2s login=3s; }"))
    try:
        c = Wire.tcp(w.gateway.port)
        c.send(startup(user="ann", database="orders"))
        assert c.read()[0] == "R"
        c.sock.settimeout(30 * SLOW)
        c.ended()
        c.sock.close()
    finally:
        reconfigure(w)


# ---- sizes ----

@test
def startup_over_10_kb_is_refused(w):
    c = Wire.tcp(w.gateway.port)
    c.send(startup(user="ann", database="orders", application_name="x" * 10500))
    assert all(kind == "E" for kind, _ in c.ended())


@test
def password_up_to_64_kb_is_read(w):
    """A large one is judged as a token, a larger one ends the session unread."""
    for size, read in ((60000, True), (70000, False)):
        c = Wire.tcp(w.gateway.port)
        c.send(startup(user="ann", database="orders"))
        assert c.read()[0] == "R"
        try:
            c.send(message(b"p", z("x" * size)))
            seen = [fields(body)["C"] for kind, body in c.ended() if kind == "E"]
        except OSError:
            seen = []
        assert (seen in (["28000"], ["28P01"])) == read, (size, seen)


@test
def lengths_are_judged_before_memory(w):
    for head in (b"\0\0\0\0", b"\0\0\0\4", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff"):
        c = Wire.tcp(w.gateway.port)
        c.send(head + b"\0\3\0\0")
        assert all(kind == "E" for kind, _ in c.ended()), head


# ---- PG18 ----

def cancel_by(w, port, pid, secret, tls=False):
    c = Wire.tcp(port)
    if tls:
        c.send(SSL_REQUEST)
        assert c.take(1) == b"S"
        c.tls(w.gateway.dir / "tls" / "cert.pem")
    c.send(cancel(pid, secret))
    assert c.ended() == []


def asleep(w):
    return int(w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(31)%' AND state = 'active' AND pid <> pg_backend_pid()"))


def sleepers(w, n, version=(3, 0)):
    some = []
    for _ in range(n):
        c = Wire.tcp(w.gateway.port)
        c.login(w.token("cora"), version, user="cora", database="orders")
        c.send(query("SELECT pg_sleep(31)"))
        some.append(c)
    wait_for(lambda: asleep(w) == n, said="they do not run")
    return some


@test
def cancel_reaches_its_session_on_any_worker(w):
    some = sleepers(w, 6)
    for i, c in enumerate(some):
        cancel_by(w, w.gateway.port, *c.key)
        seen = c.until_ready()
        assert any(kind == "E" and fields(body)["C"] == "57014" for kind, body in seen), seen
        assert asleep(w) == 5 - i, "another's statement was cancelled"
        c.close()


@test
def cancel_in_plain_text_where_tls_is_required_and_over_tls(w):
    for tls in (False, True):
        c = sleepers(w, 1)[0]
        cancel_by(w, w.gateway.tls_port, *c.key, tls=tls)
        assert any(kind == "E" and fields(body)["C"] == "57014" for kind, body in c.until_ready())
        c.close()


@test
def long_keys_of_protocol_3_2(w):
    c = sleepers(w, 1, (3, 2))[0]
    assert len(c.key[1]) > 4, c.key
    cancel_by(w, w.gateway.port, c.key[0], c.key[1][:4])
    cancel_by(w, w.gateway.port, c.key[0], c.key[1][:-1] + bytes([c.key[1][-1] ^ 1]))
    time.sleep(0.5)
    assert asleep(w) == 1, "a wrong key cancelled it"
    cancel_by(w, w.gateway.port, *c.key)
    c.until_ready()
    c.close()


def looked_up(w):
    return (w.gateway.dir / "log" / "error.log").read_text().count("has a key of no session")


@test
def wrong_keys_do_nothing_and_a_flood_is_limited(w):
    one, two = sleepers(w, 2)
    assert one.key[0] != two.key[0]
    cancel_by(w, w.gateway.port, one.key[0], two.key[1])  # another's secret
    tried, before = 0, looked_up(w)
    start = time.monotonic()
    while time.monotonic() - start < 2 or tried < 100:
        cancel_by(w, w.gateway.port, one.key[0], struct.pack("!I", tried))
        tried += 1
    allowed = 20 + 5 * (time.monotonic() - start) + 1
    assert asleep(w) == 2, "a wrong key cancelled something"
    assert looked_up(w) - before <= allowed < tried or tried <= allowed, (tried, looked_up(w) - before)
    wait_for(lambda: (time.sleep(1), cancel_by(w, w.gateway.port, *two.key), asleep(w) == 1)[2], 20, said="the limit never ends")
    two.until_ready()
    two.close()
    one.sock.close()


@test
def the_servers_own_key_does_not_work_here(w):
    """BackendKeyData carries the server's process id with a secret of ours."""
    c = with_token(w, "keys")
    assert c.key[0] == int(c.values("SELECT pg_backend_pid()")[0][0])
    c.close()


# ---- AV2 ----

@test
def descriptors_run_out_and_come_back(w):
    """As after `ulimit -n 64`: it refuses whom it can't serve, serves whom it has, recovers."""
    g = w.gateway
    assert g.stop()
    g.wrap = ["prlimit", "--nofile=64:64"]
    g.start()
    crowd = []
    try:
        pids = workers(w)
        live = [with_token(w, "fred") for _ in range(4)]
        for _ in range(200):
            crowd.append(socket.create_connection(("127.0.0.1", g.port), timeout=5))
        wait_for(lambda: "cannot accept" in g.logs(400), said="no descriptor was missed")
        for c in live:
            assert c.values("SELECT 1") == [[b"1"]], "a live session was hurt"
        assert workers(w) == pids, "a worker died of it"
        for s in crowd:
            s.close()
        wait_for(lambda: w.psql("SELECT 1").out == "1", 20, said="it does not recover")
        for c in live:
            assert c.values("SELECT 2") == [[b"2"]]
            c.close()
    finally:
        g.stop()
        g.wrap = []
        g.start()


main()
