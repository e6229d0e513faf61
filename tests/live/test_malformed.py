#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PG2, PG4, PG5, PG9: messages that can't be, from a raw client: one connection closed, one line in the log, nothing else."""

import struct

from harness import *

NOISE = re.compile(r" worker\[\d+\] s=(\w+) ")


def message(kind, body=b"", length=None):
    return kind + struct.pack(">I", len(body) + 4 if length is None else length) + body


def startup(*pairs, code=196608):
    body = struct.pack(">I", code) + b"".join(p.encode() + b"\0" for p in pairs)
    return struct.pack(">I", len(body) + 4 + (1 if pairs else 0)) + body + (b"\0" if pairs else b"")


HELLO = ("user", "ann", "database", "orders")


class Raw:
    def __init__(self, w):
        self.socket = socket.create_connection(("127.0.0.1", w.gateway.port), timeout=20 * SLOW)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # closed on the first bytes already
        return self

    def read_until(self, end):
        got = b""
        while end not in got:
            more = self.socket.recv(65536)
            assert more, f"closed early: {got!r}"
            got += more
        return got

    def rest(self):
        """What comes until the gateway closes; AssertionError when it does not."""
        got = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return got
            except TimeoutError:
                raise AssertionError("the gateway did not close the connection") from None
            if not more:
                return got
            got += more


def ready(w):
    raw = Raw(w).send(startup(*HELLO))
    raw.read_until(b"R\0\0\0\x08\0\0\0\x03")
    raw.send(message(b"p", w.token().encode() + b"\0"))
    raw.read_until(b"Z\0\0\0\x05I")
    return raw


def log_lines(w):
    return [l for l in (w.gateway.dir / "log" / "error.log").read_text(errors="replace").splitlines() if NOISE.search(l)]


def one_line(w, what, attack):
    """attack() ends one session: exactly one line of the log is about it."""
    before = len(log_lines(w))
    attack()
    wait_for(lambda: len(log_lines(w)) > before, said=f"{what}: no line in the log")
    assert w.psql("SELECT 1").out == "1", f"{what}: others are hurt"
    new = log_lines(w)[before:]
    warned = [l for l in new if " warn " in l]
    assert len(warned) == 1, f"{what}: {new}"
    session = NOISE.search(warned[0]).group(1)
    assert len([l for l in new if session in l]) == 1, f"{what}: {new}"
    return warned[0]


@test
def impossible_lengths_before_authentication(w):
    for length in (0, 3, 4, 10001, 0x80000000, 0xFFFFFFFF):
        said = one_line(w, f"startup {length:#x}", lambda: Raw(w).send(struct.pack(">II", length, 196608)).rest())
        assert "StartupMessage" in said, said
    for length in (0, 3, 0x10006, 0x80000000, 0xFFFFFFFF):
        def password():
            raw = Raw(w).send(startup(*HELLO))
            raw.read_until(b"R\0\0\0\x08\0\0\0\x03")
            assert raw.send(message(b"p", length=length)).rest() == b""
        said = one_line(w, f"password {length:#x}", password)
        assert "'p'" in said, said


@test
def impossible_lengths_after_authentication(w):
    for kind in (b"Q", b"P", b"B", b"E", b"D", b"C", b"d"):
        for length in (0, 3, 0x80000000, 0xFFFFFFFF):
            raw = ready(w)
            said = one_line(w, f"{kind} {length:#x}", lambda: raw.send(message(kind, length=length)).rest())
            assert f"'{kind.decode()}'" in said, said


@test
def messages_of_no_kind_or_phase(w):
    for data in (message(b"\xff"), message(b"R", b"\0\0\0\0"), message(b"Z", b"I"), message(b"p", b"x\0"), startup(*HELLO),
                 startup(code=80877103), message(b"Q", b"SELECT 1"), message(b"Q", b"SELECT 1\0DROP TABLE orders\0"), message(b"S", b"x")):
        raw = ready(w)
        said = one_line(w, repr(data), lambda: raw.send(data).rest())
        assert "message" in said, said
    assert "DROP TABLE" not in w.pg.log()


@test
def plain_text_behind_the_request_for_tls(w):
    def attack():
        with socket.create_connection(("127.0.0.1", w.gateway.tls_port), timeout=20 * SLOW) as s:
            s.sendall(startup(code=80877103) + startup(*HELLO))
            assert b"R" not in s.recv(65536)
    said = one_line(w, "plain text", attack)
    assert "plain text follows" in said, said


@test
def replication_and_function_calls_are_refused(w):
    got = Raw(w).send(startup(*HELLO, "replication", "database")).rest()
    assert b"0A000" in got and b"replication does not go through the gateway" in got, got
    raw = ready(w)
    raw.send(message(b"F", struct.pack(">IHHIH", 2159, 0, 1, 0xFFFFFFFF, 0)))
    got = raw.read_until(b"Z\0\0\0\x05I")
    assert b"0A000" in got and b"function calls by number are refused" in got, got
    raw.send(message(b"X"))


main()
