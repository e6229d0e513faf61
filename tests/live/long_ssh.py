#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SSH under load: a GB each way while keys are exchanged anew, 200 sessions at once, and what the workers' memory does meanwhile."""

import hashlib
import threading

from ssh_world import *

SIZE = int(os.environ.get("SALLYPORT_LONG_MB", "1024")) << 20


def memory(w):
    """Of the workers, in KB: what is theirs alone."""
    total = 0
    for pid in w.gateway.children()["worker"]:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Dirty:", "Private_Clean:")):
                total += int(line.split()[1])
    return total


class Highest:
    """The most that it was, looked at several times a second."""

    def __init__(self, w):
        self.w, self.most, self.over = w, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.2):
            self.most = max(self.most, memory(self.w))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def digest(stream):
    sha, n = hashlib.sha256(), 0
    while more := stream.read(1 << 20):
        sha.update(more)
        n += len(more)
    return sha.hexdigest(), n


def large_file(w):
    path, sha = w.dir / "gigabyte", hashlib.sha256()
    if not path.exists():
        with open(path, "wb") as to:
            piece = os.urandom(1 << 20)
            for i in range(SIZE >> 20):
                to.write(i.to_bytes(8, "big") + piece[8:])
        path.chmod(0o644)
    with open(path, "rb") as from_:
        return path, digest(from_)[0]


@test
def a_gigabyte_to_the_client(w):
    path, want = large_file(w)
    w.ssh("true")
    before = memory(w)
    with Highest(w) as highest:
        p = w.ssh_start(f"cat {path}", text=False, options=["-o", "RekeyLimit=64M"])
        got, n = digest(p.stdout)
    assert p.wait(60 * SLOW) == 0 and n == SIZE and got == want, (n, p.stderr.read())
    assert highest.most - before < 24 << 10, f"{before} KB, and up to {highest.most} KB"


@test
def a_gigabyte_to_the_target(w):
    path, want = large_file(w)
    w.ssh("true")
    before = memory(w)
    with Highest(w) as highest, open(path, "rb") as from_:
        p = w.ssh_start("sha256sum", stdin=from_, text=False, options=["-o", "RekeyLimit=64M"])
        out, err = p.communicate(timeout=600 * SLOW)
    assert p.returncode == 0 and out.split()[0].decode() == want, (out, err)
    assert highest.most - before < 24 << 10, f"{before} KB, and up to {highest.most} KB"


@test
def a_gigabyte_by_sftp_there_and_back(w):
    path, want = large_file(w)
    there = w.dir / "there"
    there.mkdir()
    there.chmod(0o777)
    back = w.client / "back"
    before = memory(w)
    with Highest(w) as highest:
        done = run(["sftp", *w.gate_options(), "-o", "BatchMode=no", "-b", "-", "host@127.0.0.1"], env=w.environment(w.token("files")),
                   stdin=f"put {path} {there}/up\nget {there}/up {back}\n", timeout=1200 * SLOW)
    assert done.code == 0, repr(done)
    for file in (there / "up", back):
        with open(file, "rb") as from_:
            assert digest(from_) == (want, SIZE)
        file.unlink()
    assert highest.most - before < 32 << 10, f"{before} KB, and up to {highest.most} KB"
    assert f"upload of {SIZE} bytes, sha256 {want}" in w.recording("files")


def live(w):
    return len(w.command("sessions", "--live", "--limit", "1000", "--json").json["sessions"])


@test
def two_hundred_sessions_at_once(w):
    w.ssh("true", user="first")
    before, go = memory(w), w.dir / "go"
    all_of_them = []
    try:
        for i in range(200):
            all_of_them.append(w.ssh_start(f"sh -c 'until [ -e {go} ]; do sleep 5; done; echo {i}'", user=f"u{i % 20}"))
            if i % 20 == 19:  # in twenties: how fast they come is another test's
                wait_for(lambda: live(w) > i or [p.communicate() for p in all_of_them if p.poll() is not None], 120 * SLOW,
                         said="they are not all there")
                assert all(p.poll() is None for p in all_of_them), [p.communicate() for p in all_of_them if p.poll() is not None]
        each = (memory(w) - before) / 200
        assert w.ssh("echo one more", user="more").out == "one more"
        go.touch()
        for i, p in enumerate(all_of_them):
            out, err = p.communicate(timeout=120 * SLOW)
            assert (p.returncode, out) == (0, f"{i}\n"), (i, out, err)
        print(f"        {each:.0f} KB of the workers for each idle session")
    finally:
        go.touch()  # those at the target end, too
        for p in all_of_them:
            if p.poll() is None:
                p.kill()
            p.wait()


POLICY = '''rule "sh" { doc = "Scripts are fine here.", on = "ssh.exec", when = { command = prefix "sh -c " }, allow = { unclear = "program", name = "sh" } }
'''

ssh_main(policy=POLICY, sshd_extra="MaxStartups 500")
