#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P9: checkpoints go to a log host as RFC 5424 messages in UDP datagrams, and `verify --anchor` takes the file that it writes."""

import re

from harness import *

LINE = re.compile(r"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z [!-~]{1,255} sallyport \d+ anchor - (sallyport-anchor (\d+) [0-9a-f]{354})")


class LogHost:
    """A syslog daemon's ear: every datagram, as it came."""

    def __init__(self, port=0):
        self.open(port)
        self.port = self.socket.getsockname()[1]

    def open(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.setblocking(False)

    def heard(self):
        got = []
        try:
            while True:
                got.append(self.socket.recv(65536).decode())
        except BlockingIOError:
            return got


host = LogHost()
said = []  # all datagrams, in order


def hear():
    said.extend(host.heard())
    return said


def numbers():
    return [int(LINE.fullmatch(text).group(2)) for text in hear()]


def session(w, user):
    """One that is over and signed; its id."""
    assert w.psql("SELECT 1", user=user).out == "1"

    def signed():
        found = [s["id"] for s in w.sessions() if s["user"] == user and s["state"] != "live"]
        return found[0] if found and w.signed(found[0]) else None
    return wait_for(signed, 20, said=f"{user}'s session was not signed")


def entries(w):
    return ((w.gateway.dir / "sessions" / "ledger").stat().st_size - 40) // 177


def caught_up(w):
    wait_for(lambda: len(hear()) >= entries(w), said="the log host does not have every entry")


def written(w, name, texts):
    """The file that a syslog daemon would write, with lines of others between."""
    path = w.gateway.dir / name
    path.write_text("".join(f"Nov 25 00:00:01 kernel: hello\nNov 25 00:00:02 gate sallyport[7]: {LINE.fullmatch(t).group(1)}\n" for t in texts))
    return path


def verify(w, folder, anchor):
    return w.command("verify", str(folder), "--anchor", anchor)


@test
def each_entry_is_one_datagram(w):
    session(w, "one")
    session(w, "two")
    caught_up(w)
    assert all(LINE.fullmatch(text) for text in said), said
    assert numbers() == list(range(1, entries(w) + 1)), numbers()
    assert all(len(text) < 1024 for text in said)


@test
def what_the_log_host_wrote_finds_a_cut(w):
    old = w.gateway.dir / "old"
    shutil.copytree(w.gateway.dir / "sessions", old)
    before = entries(w)
    session(w, "later")
    wait_for(lambda: entries(w) > before, 20, said="the ledger did not grow")
    caught_up(w)
    got = verify(w, w.gateway.dir / "sessions", written(w, "all", said))
    assert got.code == 0, repr(got)
    got = verify(w, old, written(w, "all", said))
    assert got.code == 1 and "it was cut" in got.out + got.err, repr(got)
    raw = w.gateway.dir / "raw"  # as RFC 5424 has it, for who keeps messages whole
    raw.write_text("\n".join(said) + "\n")
    assert verify(w, w.gateway.dir / "sessions", raw).code == 0
    forged = written(w, "forged", said)
    forged.write_text(re.sub(r"(sallyport-anchor 2 [0-9a-f]{353})(.)", lambda m: m[1] + ("1" if m[2] == "0" else "0"), forged.read_text()))
    got = verify(w, w.gateway.dir / "sessions", forged)
    assert got.code == 1 and "entry 2 is not the one that was anchored" in got.out + got.err, repr(got)


@test
def lost_datagrams_leave_a_gap_and_no_more(w):
    """What was lost bounds nothing; what arrived does, whatever is missing in front of it."""
    assert verify(w, w.gateway.dir / "sessions", written(w, "some", said[::2] + said[-1:])).code == 0
    host.socket.close()
    log = w.gateway.dir / "log" / "error.log"
    for n in range(3):  # the first goes out, and comes back as an error of a later one
        session(w, f"deaf{n}")
    wait_for(lambda: "takes nothing" in log.read_text(), said="nobody is told that the log host is away")
    host.open(host.port)
    for n in range(2):
        session(w, f"again{n}")
    wait_for(lambda: "entries go to syslog://" in log.read_text(), said="nobody is told that it is back")
    wait_for(lambda: numbers()[-1] == entries(w), said="the newest entry is not there")
    assert len(said) < entries(w), "nothing was lost: the host was not away"
    old = w.gateway.dir / "older"
    shutil.copytree(w.gateway.dir / "sessions", old)
    session(w, "last")
    wait_for(lambda: numbers()[-1] == entries(w), said="the newest entry is not there")
    assert verify(w, w.gateway.dir / "sessions", written(w, "gap", said)).code == 0
    got = verify(w, old, written(w, "gap", said))
    assert got.code == 1 and "it was cut" in got.out + got.err, repr(got)


@test
def only_master_holds_the_socket(w):
    to = f"0100007F:{host.port:04X}"
    inodes = {line.split()[9] for line in open("/proc/net/udp", encoding="ascii") if line.split()[2] == to}
    assert len(inodes) == 1, inodes

    def holds(pid):
        found = set()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except FileNotFoundError:
                pass
        return f"socket:[{next(iter(inodes))}]" in found
    assert holds(w.gateway.process.pid)
    for role, pids in w.gateway.children().items():
        assert not any(holds(pid) for pid in pids), role


@test
def the_last_checkpoint_is_sent_at_the_end(w):
    w.psql("SELECT 1", user="end")
    waiting = w.psql_waiting("SELECT pg_sleep(60)", user="open")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "open"], said="it does not run")
    assert w.gateway.stop(), w.gateway.logs()
    waiting.result()
    assert numbers()[-1] == entries(w), (numbers()[-3:], entries(w))
    w.gateway.start()


@test
def a_name_is_looked_up_at_the_start(w):
    g = w.gateway
    assert g.stop(), g.logs()
    g.anchor = f"syslog://localhost:{host.port}"
    g.write()
    if socket.getaddrinfo("localhost", host.port, type=socket.SOCK_DGRAM)[0][0] != socket.AF_INET:
        g.anchor = f"syslog://127.0.0.1:{host.port}"
        g.write()
        g.start()
        skip("localhost is an IPv6 address first here")
    g.start()
    session(w, "name")
    wait_for(lambda: numbers()[-1] == entries(w), said="the newest entry is not there")


@test
def a_host_that_is_not_there_or_none_is_said(w):
    g = w.gateway
    kept = g.anchor
    for bad in ("syslog://", "syslog://:514", "syslog://host:0", "syslog://::1", "syslog://[::1", "syslog:/host"):
        g.anchor = f'"{bad}"'
        g.write()
        line = 1 + next(n for n, text in enumerate(g.conf_text().splitlines()) if text.startswith("record"))
        done = g.daemon("-t")
        assert done.code == 1 and f"{g.conf_file}:{line}: \"anchor\" takes syslog://HOST[:PORT]" in done.err, repr(done)
    assert g.stop(), g.logs()
    g.anchor = "syslog://no-such-host.invalid"
    g.write()
    done = g.daemon("-f", timeout=30)
    assert done.code == 1 and "no-such-host.invalid is not found; write its address" in done.err + g.logs(), repr(done) + g.logs()
    g.anchor = kept
    g.write()
    g.start()


main(anchor=f"syslog://127.0.0.1:{host.port}")
