#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where clients come in and where targets are: IPv6, sockets of this machine, sockets from systemd, load balancers that say
whose connection it is (ID2), several servers of a target, and TCP's own question whether the other end is there."""

import struct

from harness import *

CLIENT = "203.0.113.9"
V1 = f"PROXY TCP4 {CLIENT} 127.0.0.1 4711 5432\r\n".encode()
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton(CLIENT) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4711, 5432)
PORTS = {name: free_port() for name in ("six", "listed", "others")}
# What systemd does: the socket stands at 3, and the environment says whose it is.
ACTIVATED = """import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
s.listen()
for fd in (3, 4, 5):
    os.dup2(s.fileno(), fd)
    os.set_inheritable(fd, True)  # also when it was that before
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="3", LISTEN_FDNAMES="pg.socket:twice.socket:twice.socket")
os.execv(sys.argv[2], sys.argv[2:])"""


def conf(g):
    g.sockets = g.dir / "sockets"
    g.sockets.mkdir(exist_ok=True)
    g.dead, g.hung = free_port(), free_port()
    g.extra = f"""
listener six    {{ listen [::1]:{PORTS['six']}; protocol postgres; cleartext loopback; }}
listener path   {{ listen unix:{g.sockets}/.s.PGSQL.5432; protocol postgres; cleartext loopback; }}
listener handed {{ listen systemd:pg.socket; protocol postgres; cleartext loopback; }}
listener listed {{ listen 127.0.0.1:{PORTS['listed']}; protocol postgres; cleartext loopback; proxy_from 127.0.0.1 10.0.0.0/8; }}
listener others {{ listen 127.0.0.1:{PORTS['others']}; protocol postgres; cleartext loopback; proxy_from 10.0.0.0/8; }}
"""
    g.more_targets = "".join(TARGET.format(name=name, port=port, dir=g.dir, extra=f"standby 127.0.0.1:{g.pg.port};")
                             for name, port in (("moved", g.dead), ("stuck", g.hung)))
    g.wrap = [sys.executable, "-c", ACTIVATED, str(g.sockets / "handed")]
    g.workers = 1  # each remembers by itself which servers did not answer
    g.write()


def come(w, host, port=5432, database="orders", sql="SELECT 1", start=run):
    env = {"PGPASSWORD": w.token(fresh=True)}
    return start(["psql", f"host={host} port={port} dbname={database} user=ann sslmode=disable", "-XAtqc", sql], env=env)


def last_address(w):
    return w.sessions()[0]["address"]


@test
def ipv6_and_sockets_of_this_machine(w):
    g = w.gateway
    got = come(w, "::1", PORTS["six"])
    assert got.out == "1" and last_address(w) == "::1", (repr(got), last_address(w))
    got = come(w, g.sockets)
    assert got.out == "1" and last_address(w) == f"uid={os.getuid()}", (repr(got), last_address(w))


@test
def a_socket_that_systemd_hands_over(w):
    os.link(w.gateway.sockets / "handed", w.gateway.sockets / ".s.PGSQL.6000")
    got = come(w, w.gateway.sockets, 6000)
    assert got.out == "1", repr(got)


@test
def a_socket_that_systemd_does_not_hand_over_is_said(w):
    g = w.gateway
    text = g.conf_text()
    g.write(text.replace("systemd:pg.socket", "systemd:other.socket"))
    done = g.reload()
    assert done.code == 1 and "no listening socket of that name" in done.err, repr(done)
    g.write(text.replace("systemd:pg.socket", "systemd:twice.socket"))  # of two, one would be left unheard
    done = g.reload()
    assert done.code == 1 and "several sockets of that name" in done.err, repr(done)
    g.write(text)
    assert g.reload().code == 0


@test
def the_console_on_a_socket_of_this_machine(w):
    g = w.gateway
    text, path = g.conf_text(), g.sockets / "console"
    g.write(text + f"console {{ listen unix:{path}; tls cert={g.dir}/tls/cert.pem key={g.dir}/tls/key.pem; url https://localhost; }}\n")
    done = g.reload()
    assert done.code == 0, repr(done)

    def whoami(*more):
        return run(["curl", "-sS", "--cacert", g.dir / "tls" / "cert.pem", "--unix-socket", path, *more, "https://localhost/api/v1/whoami"])
    got = wait_for(lambda: (r := whoami("-H", f"Authorization: Bearer {w.token('ann', 'dev', api=True)}")).code == 0 and r, 20, said="the console does not answer")
    assert got.json["user"] == "ann", repr(got)
    assert '"user"' not in whoami().out, repr(whoami())
    g.write(text)
    assert g.reload().code == 0
    wait_for(lambda: not path.exists(), 20, said="the path of a socket that nobody listens on is left")


def start_packet():
    body = b"\0\3\0\0user\0ann\0database\0orders\0\0"
    return struct.pack("!I", len(body) + 4) + body


def by_hand(w, port, header, cut=False):
    """A log-in behind a header, sent at once or byte by byte; the first byte of what is said."""
    token = w.token(fresh=True).encode() + b"\0"
    with socket.create_connection(("127.0.0.1", port), timeout=30 * SLOW) as s:
        try:
            for i in range(len(header)) if cut else ():
                s.sendall(header[i:i + 1])
            s.sendall((b"" if cut else header) + start_packet())
            said = s.recv(9)
            if said[:1] != b"R":
                return said
            s.sendall(b"p" + struct.pack("!I", len(token) + 4) + token)
            said = s.recv(9)
            s.sendall(b"X\0\0\0\4")
            return said
        except ConnectionResetError:
            return b""


@test
def id2_who_is_listed_says_whose_connection_it_is(w):
    for header in (V1, V2):
        for cut in (False, True):
            before = len(w.sessions())
            assert by_hand(w, PORTS["listed"], header, cut)[:1] == b"R", (header, cut)
            wait_for(lambda: len(w.sessions()) > before, 20, said="no session")
            assert last_address(w) == CLIENT, last_address(w)
    # LOCAL: the balancer itself.
    assert by_hand(w, PORTS["listed"], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")[:1] == b"R"


@test
def id2_who_is_listed_must_say_it_and_others_may_not(w):
    assert by_hand(w, PORTS["listed"], b"") == b"", "a connection without a header came in"
    assert by_hand(w, PORTS["listed"], V1[:-2] + b"\n") == b""
    assert by_hand(w, PORTS["listed"], V1 + V1)[:1] != b"R"
    for header in (V1, V2):
        assert by_hand(w, PORTS["others"], header)[:1] != b"R", "a stranger's header was believed"
    assert by_hand(w, PORTS["others"], b"")[:1] == b"R" and last_address(w) == "127.0.0.1"


@test
def who_only_looks_whether_anybody_is_there(w):
    """A balancer's checks: a connection that says nothing, and one for itself. Nothing of it is a warning. What is said at length is passed over."""
    before = len(warnings(w))
    for header in (b"", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"):
        with socket.create_connection(("127.0.0.1", PORTS["listed"]), timeout=30 * SLOW) as s:
            s.sendall(header)
    more = V2[:14] + struct.pack("!H", 12 + 3 + 2000) + V2[16:] + b"\x04" + struct.pack("!H", 2000) + b"\0" * 2000
    assert by_hand(w, PORTS["listed"], more)[:1] == b"R" and last_address(w) == CLIENT, last_address(w)
    local = V2[:13] + b"\x31" + struct.pack("!H", 216) + b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")
    assert by_hand(w, PORTS["listed"], local)[:1] == b"R" and last_address(w) == "127.0.0.1", last_address(w)
    assert len(warnings(w)) == before, warnings(w)[before:]


def warnings(w):
    return [x for x in (w.gateway.dir / "log" / "error.log").read_text().splitlines() if re.search(r" (warn|error) ", x) and "listed" in x]


@test
def another_server_answers_when_the_first_does_not(w):
    began = time.monotonic()
    got = come(w, "127.0.0.1", w.gateway.port, database="moved/orders")
    assert got.out == "1", repr(got)
    assert f"server 127.0.0.1:{w.gateway.dead} of target moved is not reached" in w.gateway.logs(400)
    # It is asked last for ten seconds.
    before = w.gateway.logs(10000).count("of target moved is not reached")
    assert come(w, "127.0.0.1", w.gateway.port, database="moved/orders").out == "1"
    if time.monotonic() - began < 8:
        assert w.gateway.logs(10000).count("of target moved is not reached") == before
    else:
        print("        too slow to see that it was not asked again")


@test
def a_server_that_says_nothing_has_its_part_of_the_time(w):
    with socket.socket() as s:
        s.bind(("127.0.0.1", w.gateway.hung))
        s.listen(0)
        full = [socket.socket() for _ in range(4)]  # more than its queue holds: the kernel answers nobody else
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", w.gateway.hung))
        got = come(w, "127.0.0.1", w.gateway.port, database="stuck/orders")
        for one in full:
            one.close()
    assert got.out == "1", repr(got)
    assert f"server 127.0.0.1:{w.gateway.hung} of target stuck is not reached: it did not answer in its part" in w.gateway.logs(400)


def asleep(w):
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(77)%' AND state = 'active' AND pid <> pg_backend_pid()") == "1"


@test
def p6_a_cancel_goes_to_the_server_that_has_the_session(w):
    g = w.gateway
    sleeper = come(w, "127.0.0.1", g.port, database="moved/orders", sql="SELECT pg_sleep(77)", start=Waiting)
    wait_for(lambda: asleep(w), 30, said="nobody sleeps")
    at = [s["id"] for s in w.sessions(live=True) if s["target"] == "moved"]
    with socket.socket() as s:  # the first server is back, and is asked first again
        s.bind(("127.0.0.1", g.dead))
        s.listen()
        def shut():
            while True:
                try:
                    s.accept()[0].close()
                except OSError:
                    return
        threading.Thread(target=shut, daemon=True).start()
        wait_for(lambda: come(w, "127.0.0.1", g.port, database="moved/orders").code != 0, 60, said="the first server is asked no more")
        for one in at:
            assert w.command("kill", one).code == 0
        wait_for(lambda: not asleep(w), 30, said="the target runs it on")
        s.shutdown(socket.SHUT_RDWR)
    sleeper.result()


@test
def an_upgrade_keeps_every_door(w):
    done = w.gateway.daemon("-s", "upgrade", timeout=120)
    assert done.code == 0, repr(done)
    for host, port in (("::1", PORTS["six"]), (w.gateway.sockets, 5432), (w.gateway.sockets, 6000)):
        got = come(w, host, port)
        assert got.out == "1", (host, port, repr(got))


def keepalive(port):
    """Timer 2 of /proc/net/tcp is TCP's keepalive; in jiffies until it asks."""
    found = []
    for line in open("/proc/net/tcp", encoding="ascii").read().splitlines()[1:]:
        word = line.split()
        if word[3] == "01" and f"{port:04X}" in (word[1].split(":")[1], word[2].split(":")[1]) and word[5].startswith("02:"):
            found.append(int(word[5].split(":")[1], 16))
    return found


@test
def silent_ends_are_asked_on_both_legs(w):
    one = w.psql_waiting(stdin="SELECT 'in';\n", token=w.token(fresh=True))
    wait_for(lambda: w.sessions(live=True), said="no live session")
    hz = os.sysconf("SC_CLK_TCK")
    for port in (w.gateway.port, w.pg.port):
        # One end is the client's or the target's, with the kernel's two hours; the other is the gateway's.
        wait_for(lambda: any(jiffies <= 61 * hz for jiffies in keepalive(port)), 20, said=f"nobody asks at port {port}")
    one.result()


@test
def no_path_is_left(w):
    assert (w.gateway.sockets / ".s.PGSQL.5432").exists()  # after the upgrade, too
    assert w.gateway.stop()
    assert not (w.gateway.sockets / ".s.PGSQL.5432").exists()


class Ready(World):
    def start(self):
        conf(self.gateway)
        return super().start()


import harness  # noqa: E402
harness.World = Ready
main()
