#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets by name: looked up anew for each session, every address tried, and nobody waits for another's lookup. The gateway sees a
/etc/resolv.conf of its own, in a mount namespace, which names a resolver that the test is."""

import struct

from harness import *

ALONE = """set -e
mount --bind "$1" /etc/resolv.conf
shift
exec "$@"
"""


class Resolver(threading.Thread):
    """Answers for addresses of IPv4 as `names` has them: a list, None for silence; a name that is not there does not exist."""

    def __init__(self):
        super().__init__(daemon=True)
        self.names, self.asked = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            packet, who = self.socket.recvfrom(1500)
            answer = self.answer(packet)
            if answer:
                self.socket.sendto(answer, who)

    def answer(self, packet):
        words, at = [], 12
        while packet[at]:
            words.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        question, kind = packet[12:at + 5], struct.unpack("!H", packet[at + 1:at + 3])[0]
        name = ".".join(words)
        self.asked.append((name, kind))
        there = self.names.get(name, ())
        if there is None:
            return None
        records = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 3600, 4) + socket.inet_aton(a) for a in there if kind == 1]
        code = 0 if name in self.names else 3
        return packet[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + question + b"".join(records)


class Forwarder(threading.Thread):
    """The target at an address that is not this machine's own to itself: names may not lead to 127.0.0.1."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.to, self.listening = port, socket.create_server((address, 0))
        self.port = self.listening.getsockname()[1]

    def run(self):
        while True:
            one = self.listening.accept()[0]
            other = socket.create_connection(("127.0.0.1", self.to))
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self.pass_on, args=(a, b), daemon=True).start()

    @staticmethod
    def pass_on(a, b):
        try:
            while piece := a.recv(65536):
                b.sendall(piece)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def own_address():
    """One by which others reach this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return s.getsockname()[0]


def come(w, database, **more):
    return w.psql("SELECT 1", database=database, token=w.token(fresh=True), **more)


def may_mount():
    return IS_ROOT and run(["unshare", "--mount", "mount", "--bind", "/etc/hostname", "/etc/resolv.conf"]).code == 0


def prepare(w):
    if not may_mount():
        skip("this may not give the gateway a resolv.conf of its own")
    g, w.address = w.gateway, own_address()
    if w.address is None or w.address.startswith("127."):
        skip("this machine has no address but its own to itself")
    assert g.stop()
    w.resolver, w.forwarder = Resolver(), Forwarder(w.address, w.pg.port)
    w.forwarder.start()
    w.resolver.start()
    own = w.dir / "resolv.conf"
    own.write_text(f"nameserver 127.0.0.1:{w.resolver.port}\noptions timeout:20 attempts:3\n")
    own.chmod(0o644)
    g.workers = 1
    g.more_targets = "".join(TARGET.format(name=name, port=w.forwarder.port, dir=g.dir, extra="timeout connect=60s;").replace("127.0.0.1:", f"{name}.test:")
                             for name in ("moves", "slow", "none"))
    g.wrap = ["unshare", "--mount", "sh", "-c", ALONE, "sh", own]
    g.write()
    g.start()


@test
def a_name_is_looked_up_for_each_session(w):
    prepare(w)
    names, asked = w.resolver.names, w.resolver.asked
    names["moves.test"] = [w.address]
    assert come(w, "moves").out == "1", w.gateway.logs(100)
    before = len(asked)
    names["moves.test"] = ["127.0.0.250"]  # the answer before was good for an hour
    got = come(w, "moves")
    assert got.code != 0 and "its name leads to this machine" in w.gateway.logs(100), repr(got)
    assert ("moves.test", 1) in asked[before:], asked
    names["moves.test"] = [w.address]
    assert come(w, "moves").out == "1", w.gateway.logs(100)


@test
def every_address_is_tried(w):
    w.resolver.names["moves.test"] = ["255.255.255.255", "127.0.0.250", w.address]
    for _ in range(3):
        assert come(w, "moves").out == "1", w.gateway.logs(100)


@test
def a_name_that_does_not_exist_is_said(w):
    got = come(w, "none")
    assert got.code != 0 and "cannot reach" in got.err + w.gateway.logs(100), repr(got)
    assert ("none.test", 1) in w.resolver.asked


@test
def nobody_waits_for_anothers_lookup(w):
    """One worker: a session whose name is not answered is being looked up while others ask, and come."""
    w.resolver.names["slow.test"] = None
    w.resolver.names["moves.test"] = [w.address]
    one = w.psql_waiting(stdin="SELECT 'in';\n", token=w.token(fresh=True))
    wait_for(lambda: w.sessions(live=True), said="no live session")
    waiting = w.psql_waiting("SELECT 1", database="slow", token=w.token(fresh=True))
    wait_for(lambda: ("slow.test", 1) in w.resolver.asked, 30, said="the name is not asked for")
    for n in range(20):
        one.say(f"SELECT 'row {n}';\n")
    assert come(w, "orders").out == "1"
    got = one.result()
    assert "row 19" in got.out, repr(got)
    assert waiting.process.poll() is None, "it was not looked up any more while the others asked"
    waiting.interrupt()
    waiting.result()


main()
