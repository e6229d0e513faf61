#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""200 MB through an HTTP target, each way and both at once: the same bytes, in constant memory.

    tests/live/long_http.py
"""

from http_world import *

MB = 1 << 20
SIZE = 200 * MB
ROOM = 24 * MB  # what a worker may grow by


def resident(w):
    """Of all workers, in bytes."""
    return sum(int(line.split()[1]) * 1024 for pid in w.gateway.children()["worker"] for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))


class Highest:
    """The most that workers had meanwhile, beside what they had before."""

    def __init__(self, w):
        self.w, self.before, self.most, self.over = w, resident(w), 0, threading.Event()

    def __enter__(self):
        self.t = threading.Thread(target=self.look)
        self.t.start()
        return self

    def look(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, resident(self.w) - self.before)

    def __exit__(self, *_):
        self.over.set()
        self.t.join()


def warm(w):
    assert w.curl("/upload", "-X", "POST", "-H", "Content-Type: application/octet-stream", "--data-binary", "x").status == "200"


@test
def up(w):
    warm(w)
    data = w.dir / "data"
    data.write_bytes(os.urandom(MB) * (SIZE // MB))
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        with Highest(w) as h:
            done = w.curl("/count", "-X", "POST", "-H", "Content-Type: application/octet-stream", "-T", data, *more, timeout=300)
        assert done.status == "200" and json.loads(done.body)["length"] == SIZE, repr(done)
        assert h.most < ROOM, h.most
    data.unlink()


@test
def down(w):
    warm(w)
    big = w.nginx.dir / "www" / "huge"
    piece = os.urandom(MB)
    big.write_bytes(piece * (SIZE // MB))
    wanted = hashlib.sha256()
    for _ in range(SIZE // MB):
        wanted.update(piece)
    for user in ("ann", "cards"):  # as it is, and looked through by a detector
        got, size = hashlib.sha256(), 0
        with Highest(w) as h:
            p = subprocess.Popen(["curl", "-sSk", "--resolve", f"web.gate.test:{w.https_port}:127.0.0.1", "-H", f"Authorization: Bearer {w.token(user)}", w.url("/huge", "web")], stdout=subprocess.PIPE)
            while data := p.stdout.read(MB):
                got.update(data)
                size += len(data)
        assert p.wait(60 * SLOW) == 0 and h.most < ROOM, (user, size, h.most)
        assert user == "cards" or got.digest() == wanted.digest(), (user, size)
    big.unlink()


@test
def both_at_once(w):
    """Each chunk comes back as it is sent; a client that reads late holds its own request up, and nothing piles up."""
    warm(w)
    piece = os.urandom(MB)
    with socket.create_connection(("127.0.0.1", w.http_port), timeout=300 * SLOW) as s, Highest(w) as h:
        def feed():
            s.sendall(f"POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.token()}\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for i in range(SIZE // MB):
                s.sendall(b"%x\r\n%s\r\n" % (MB, i.to_bytes(8, "big") + piece[8:]))
            s.sendall(b"0\r\n\r\n")
        t = threading.Thread(target=feed)
        t.start()
        f, got = s.makefile("rb"), hashlib.sha256()
        assert f.readline().startswith(b"HTTP/1.1 200"), w.gateway.logs()
        while f.readline() != b"\r\n":
            pass
        time.sleep(2)  # what comes meanwhile has to wait where it is
        size = 0
        while (n := int(f.readline(), 16)) > 0:
            got.update(f.read(n))
            size += n
            f.readline()
        t.join()
    wanted = hashlib.sha256()
    for i in range(SIZE // MB):
        wanted.update(i.to_bytes(8, "big") + piece[8:])
    assert size == SIZE and got.digest() == wanted.digest() and h.most < ROOM, (size, h.most)


http_main(record="output head=64k;")
