#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes of SSH that come all at once: nothing is left lying, whatever comes in one read of the gateway's."""

import hashlib
import select
import struct

from ssh_world import *


def queued(port, mine):
    """Bytes in the kernel at the gateway's end of its connection: to the sshd (mine: its side is remote), or from a client."""
    total = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues = line.split()[:5]
        end = local if mine else remote
        if state == "01" and int(end.split(":")[1], 16) == port:
            total += int(queues.split(":")[1], 16)
    return total


class Late(Exception):
    """The machine was too slow: the worker was stopped for longer than it may be."""


class Stopped:
    """The worker, while what it will read next gathers in the kernel.  For less than the second after which it would be ended."""

    def __init__(self, w):
        self.pid = w.gateway.children()["worker"][0]

    def __enter__(self):
        self.since = time.monotonic()
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            raise Late()
        if time.monotonic() - self.since > 0.6:
            raise Late()


def come_to_rest(look, least):
    last, end = -1, time.monotonic() + 0.5
    while True:
        now = look()
        if now == last and now >= least:
            return
        if time.monotonic() > end:
            raise Late()
        last = now
        time.sleep(0.02)


def patient(function):
    """Tried again when the machine was too slow."""
    def run_it(w):
        for _ in range(5):
            try:
                return function(w)
            except Late:
                w.gateway.children()  # a worker that was ended has a successor soon
                wait_for(lambda: len(w.gateway.children().get("worker", [])) == 1, said="no worker")
        skip("this machine is too slow to stop a worker for less than a second")
    run_it.__name__ = function.__name__
    return run_it


def below(pid):
    """All processes under one."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(text.split()[0]))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


class Sftp:
    """Packets by hand, over `ssh -s host sftp`."""

    def __init__(self, w):
        self.ssh = w.ssh_start("sftp", options=["-s"], stdin=subprocess.PIPE, text=False)
        self.send(1, struct.pack(">I", 3))
        assert self.take()[0] == 2

    def send(self, kind, body):
        self.ssh.stdin.write(struct.pack(">IB", len(body) + 1, kind) + body)
        self.ssh.stdin.flush()

    def take(self):
        (length,) = struct.unpack(">I", self.exactly(4))
        body = self.exactly(length)
        return body[0], body[1:]

    def exactly(self, n):
        got = b""
        while len(got) < n:
            ready, _, _ = select.select([self.ssh.stdout], [], [], 10 * SLOW)
            assert ready, f"{len(got)} of {n} bytes came, then no more"
            more = os.read(self.ssh.stdout.fileno(), n - len(got))
            assert more, self.ssh.stderr.read()
            got += more
        return got

    def open(self, path, flags):
        self.send(3, struct.pack(">II", 1, len(str(path))) + str(path).encode() + struct.pack(">II", flags, 0))
        kind, body = self.take()
        assert kind == 102, body
        return body[4:]

    def end(self):
        self.ssh.stdin.close()
        assert self.ssh.wait(20 * SLOW) == 0, self.ssh.stderr.read()


@test
@patient
def output_and_its_end_in_one_read(w):
    for size in (1, 40_000, 70_000, 120_000):
        go, data = w.dir / f"go{os.urandom(8).hex()}", os.urandom(size)
        (w.dir / "data").write_bytes(data)
        (w.dir / "data").chmod(0o644)
        p = w.ssh_start(f"sh -c 'echo ready; while [ ! -e {go} ]; do sleep 0.01; done; cat {w.dir}/data; exit 3'", text=False)
        assert p.stdout.readline() == b"ready\n"
        with Stopped(w):
            go.touch()
            come_to_rest(lambda: queued(w.sshd.port, mine=False), size)
        out, err = p.communicate(timeout=20 * SLOW)
        assert p.returncode == 3 and out == data, f"{size}: {p.returncode}, {len(out)} bytes, {err}"


@test
@patient
def what_a_target_said_before_it_vanished(w):
    go, data, out = w.dir / f"go{os.urandom(8).hex()}", os.urandom(90_000), w.client / "out"
    (w.dir / "data").write_bytes(data)
    (w.dir / "data").chmod(0o644)
    with open(out, "wb") as to:  # OpenSSH's client drops what a pipe does not take at once
        p = w.ssh_start(f"sh -c 'echo ready; while [ ! -e {go} ]; do sleep 0.01; done; cat {w.dir}/data; exec sleep 60'", stdout=to, text=False)
    wait_for(lambda: out.read_bytes() == b"ready\n", said="it does not run")
    servers = below(w.sshd.process.pid)
    with Stopped(w):
        go.touch()
        come_to_rest(lambda: queued(w.sshd.port, mine=False), len(data))
        for pid in servers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # its parent took it along
    assert p.wait(20 * SLOW) == 255
    assert out.read_bytes()[6:] == data, (len(out.read_bytes()), p.stderr.read())
    assert b"the target closed the connection" in p.stderr.read()


@test
@patient
def replies_to_reads_of_a_file_in_one_read(w):
    data = os.urandom(100_000)
    (w.dir / "data").write_bytes(data)
    (w.dir / "data").chmod(0o644)
    sftp = Sftp(w)
    handle = sftp.open(w.dir / "data", 1)
    servers = below(w.sshd.process.pid)
    assert servers
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        for i in range(4):
            sftp.send(5, struct.pack(">I", 10 + i) + handle + struct.pack(">QI", i * 25_000, 25_000))
        wait_for(lambda: queued(w.sshd.port, mine=True) > 4 * 25, said="the requests did not arrive")
        with Stopped(w):
            for pid in servers:
                os.kill(pid, signal.SIGCONT)
            come_to_rest(lambda: queued(w.sshd.port, mine=False), len(data))
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    got = {}
    for _ in range(4):
        kind, body = sftp.take()
        assert kind == 103, (kind, body)
        got[struct.unpack(">I", body[:4])[0]] = body[8:]
    assert b"".join(got[10 + i] for i in range(4)) == data
    sftp.end()


@test
@patient
def a_write_in_one_read(w):
    there = w.dir / "written"
    there.mkdir(exist_ok=True)
    there.chmod(0o777)
    sftp = Sftp(w)
    handle = sftp.open(there / "file", 2 | 8 | 16)
    data = os.urandom(90_000)
    with Stopped(w):
        sftp.send(6, struct.pack(">I", 10) + handle + struct.pack(">QI", 0, len(data)) + data)
        come_to_rest(lambda: queued(w.ssh_port, mine=True), len(data))
    kind, body = sftp.take()
    assert kind == 101 and body[4:8] == b"\0\0\0\0", (kind, body)
    assert (there / "file").read_bytes() == data
    sftp.end()


def sums(w, p, *, stop):
    """SHA-256 of what a process of ours says, who is stopped again and again meanwhile."""
    digest, got = hashlib.sha256(), 0
    while True:
        more = p.stdout.read1(1 << 20)
        if not more:
            return digest.hexdigest()
        digest.update(more)
        if (got := got + len(more)) // (5 << 20) != (got - len(more)) // (5 << 20):
            os.kill(stop, signal.SIGSTOP)
            time.sleep(0.1)  # for the gateway's buffers to fill; nothing fails when they don't
            os.kill(stop, signal.SIGCONT)


@test
def a_reader_that_stops_again_and_again(w):
    (w.dir / "large").write_bytes(data := os.urandom(16 << 20))
    (w.dir / "large").chmod(0o644)
    p = w.ssh_start(f"cat {w.dir}/large", text=False)
    assert sums(w, p, stop=p.pid) == hashlib.sha256(data).hexdigest() and p.wait(20 * SLOW) == 0, p.stderr.read()


@test
def keys_are_exchanged_anew_under_load(w):
    """By the client at each megabyte, and by the target (RekeyLimit in its sshd_config), both ways."""
    (w.dir / "large").write_bytes(data := os.urandom(6 << 20))
    (w.dir / "large").chmod(0o644)
    out, want = w.client / "rekeyed", hashlib.sha256(data).hexdigest()
    with open(out, "wb") as to:
        p = w.ssh_start(f"cat {w.dir}/large", stdout=to, text=False, options=["-o", "RekeyLimit=1M"])
        assert p.wait(30 * SLOW) == 0, p.stderr.read()
    assert hashlib.sha256(out.read_bytes()).hexdigest() == want
    with open(w.dir / "large", "rb") as from_:
        p = w.ssh_start("sha256sum", stdin=from_, text=False, options=["-o", "RekeyLimit=1M"])
        said, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == 0 and said.split()[0].decode() == want, (said, err)


@test
def a_channel_that_is_closed_amid_its_output_takes_no_other_along(w):
    path, go = w.client / "mux", w.dir / "go-mux"
    options = ["-o", f"ControlPath={path}", "-o", "ControlPersist=no"]
    master = w.ssh_start(user="mux", options=["-M", "-N", *options])
    wait_for(path.exists, said="there is no master connection")
    other = w.ssh_start(f"sh -c 'until [ -e {go} ]; do sleep 0.05; done; echo whole'", options=options, user="mux")
    for command in ("cat /dev/zero", "head -c 50000000 /dev/zero"):
        loud = w.ssh_start(command, options=options, user="mux", text=False)
        assert len(loud.stdout.read(1 << 20)) == 1 << 20
        loud.kill()
        loud.communicate()
    fed = w.ssh_start("head -c 10", options=options, user="mux", stdin=subprocess.PIPE, text=False)
    try:
        fed.communicate(bytes(20 << 20), timeout=20 * SLOW)
    except BrokenPipeError:
        pass
    go.touch()
    assert other.communicate(timeout=20 * SLOW)[0] == "whole\n" and other.returncode == 0, master.poll()
    hang_up(master)


@test
def a_client_that_vanishes_amid_a_transfer_ends_it(w):
    for user, command, stdin in (("down", "cat /dev/zero", subprocess.DEVNULL), ("up", "wc -c", subprocess.PIPE)):
        p = w.ssh_start(command, user=user, text=False, stdin=stdin)
        if stdin == subprocess.PIPE:
            p.stdin.write(bytes(3 << 20))
        else:
            assert len(p.stdout.read(3 << 20)) == 3 << 20
        p.kill()
        p.communicate()
        wait_for(lambda: [s for s in w.sessions() if s["user"] == user and s["state"] == "ended"], said="its session lives on")
    wait_for(lambda: "cat /dev/zero" not in run(["ps", "ax", "-o", "args"]).out.splitlines(), said="its command runs on")


# No detector: one that holds a piece back looks again by itself.
POLICY = '''rule "sh" { doc = "Scripts are fine here.", on = "ssh.exec", when = { command = prefix "sh -c " }, allow = { unclear = "program", name = "sh" } }
'''

ssh_main(workers=1, policy=POLICY, sshd_extra="RekeyLimit 3M")
