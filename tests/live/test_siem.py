#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log at a log host: RFC 5424 over TLS and TCP, or JSON lines, each line at least once, whatever dies, hangs or is rotated."""

import ssl
import threading

from harness import *

HEAD = re.compile(r"^<(\d{1,3})>1 (\S+) (\S+) sallyport - audit - (\{.*\})$", re.S)


class LogHost:
    """Takes counted frames on a port that stays the same; may be stopped, and started again."""

    def __init__(self, folder, tls=True, framed=True):
        self.folder, self.tls, self.framed, self.port = folder, tls, framed, free_port()
        self.lines, self.heads, self.connections, self.listener = [], [], [], None
        self.start()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for c in self.connections:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            c.close()
        self.connections = []

    def accept(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.take, args=(c,), daemon=True).start()

    def take(self, c):
        try:
            if self.tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
                c = context.wrap_socket(c, server_side=True)
            self.connections.append(c)
            with c.makefile("rb") as f:
                while not self.framed:
                    line = f.readline()
                    if not line.endswith(b"\n"):
                        return
                    self.lines.append(line.decode().rstrip("\n"))
                while True:
                    count = b""
                    while not count.endswith(b" "):
                        byte = f.read(1)
                        if not byte:
                            return
                        count += byte
                    frame = f.read(int(count)).decode()
                    match = HEAD.match(frame)
                    assert match, frame
                    self.heads.append(match.groups()[:3])
                    self.lines.append(match.group(4))
        except (OSError, ValueError):
            pass


def written(world):
    """Every line of the audit log, rotated files included."""
    return {x for p in (world.gateway.dir / "log").glob("audit.jsonl*") if not p.name.endswith("shipped") for x in p.read_text().splitlines()}


def has_all(world, host, known):
    """Every line that is not among the known ones has come."""
    wait_for(lambda: written(world) - known and written(world) - known <= set(host.lines), 30,
             said=f"lines are missing at the log host, which has {len(host.lines)}")


def send_to(world, host, scheme="tls"):
    ca = f" ca={world.gateway.dir}/tls/cert.pem" if scheme == "tls" else ""
    world.gateway.extra = f"siem {scheme}://localhost:{host.port}{ca} facility=local3;"
    world.gateway.write()
    assert world.gateway.reload().code == 0
    wait_for(lambda: "ship" in world.gateway.children(), 10)


host, old = None, set()


@test
def each_line_comes_in_its_form(world):
    global host, old
    host = LogHost(world.gateway.dir / "tls")
    assert world.psql("SELECT 'before'").code == 0
    send_to(world, host)
    wait_for(lambda: host.connections, 15, said="nobody came")
    old = written(world)  # what stood there before somebody read it is not sent
    assert world.psql("SELECT 1").code == 0 and world.psql("DELETE FROM orders").code != 0
    wait_for(lambda: any(json.loads(x).get("verdict") == "deny" for x in written(world) - old), said="the recorder did not write it")
    has_all(world, host, old)
    audit = {json.dumps(a, sort_keys=True): a for a in world.gateway.audit()}
    for (priority, when, name), line in zip(host.heads, host.lines):
        said = json.loads(line)
        assert json.dumps(said, sort_keys=True) in audit and when == said["time"] and name == socket.gethostname(), line
        warning = said.get("verdict") in ("deny", "kill") or said.get("event") == "refused"
        assert int(priority) == 19 * 8 + (4 if warning else 6), (priority, line)
    assert any(json.loads(x).get("verdict") == "deny" for x in host.lines)


@test
def a_host_that_is_away_misses_nothing(world):
    host.stop()
    seen, count = written(world), len(world.gateway.audit())
    for n in range(5):
        assert world.psql(f"SELECT {n}").code == 0
    wait_for(lambda: len(world.gateway.audit()) >= count + 5, 10)
    host.start()
    has_all(world, host, seen)


@test
def a_helper_that_died_misses_nothing(world):
    seen = written(world)
    os.kill(world.gateway.children()["ship"][0], signal.SIGKILL)
    assert world.psql("SELECT 'while it is dead'").code == 0
    has_all(world, host, seen)


@test
def a_rotation_misses_nothing(world):
    seen = written(world)
    log = world.gateway.dir / "log" / "audit.jsonl"
    assert world.psql("SELECT 'old file'").code == 0
    log.rename(log.with_name("audit.jsonl.1"))
    assert world.gateway.daemon("-s", "reopen").code == 0
    wait_for(log.exists, 10)
    assert world.psql("SELECT 'new file'").code == 0
    has_all(world, host, seen)


@test
def a_restart_goes_on_where_it_was(world):
    wait_for(lambda: (world.gateway.dir / "log" / "audit.jsonl.shipped").read_text().split()[1].strip("0"), 15)
    assert world.gateway.stop()
    world.gateway.start()
    assert world.psql("SELECT 'after the restart'").code == 0
    has_all(world, host, old)


@test
def checkpoints_at_the_log_host_are_an_anchor(world):
    """P9: each minute the last entry of the ledger is a line of the audit log, with its signature: `verify --anchor` takes what the log
    host wrote, finds a ledger that was cut, and is not misled by what people write."""
    assert world.command("kill", "nnnnnnnn", "--reason", "sallyport-anchor 1 zz").code == 1
    wait_for(lambda: any('"event":"checkpoint"' in x for x in host.lines), 15, said="no checkpoint came")
    kept = world.dir / "kept.log"
    kept.write_text("\n".join("<86>1 - - sallyport - audit - " + x for x in host.lines + ['{"time":"x","event":"asked","text":"sallyport-anchor 1 zz"}']))
    assert world.gateway.stop()
    store = world.gateway.dir / "sessions"
    whole = world.command("verify", store, "--anchor", kept)
    assert whole.code == 0 and "intact" in whole.out, repr(whole)
    ledger = (store / "ledger").read_bytes()
    last = max(int(n) for n in re.findall(r'"event":"checkpoint".*?sallyport-anchor (\d+) ', "\n".join(host.lines)))
    (store / "ledger").write_bytes(ledger[:40 + 177 * (last - 1)])
    cut = world.command("verify", store, "--anchor", kept)
    assert cut.code == 1 and "it was cut: the anchor has entry" in cut.err, repr(cut)
    (store / "ledger").write_bytes(ledger)
    world.gateway.start()


@test
def what_is_not_trusted_gets_nothing(world):
    """Another certificate than the host's: not a line goes out, and sessions do not care."""
    other = LogHost(world.dir / "other")
    (world.dir / "other").mkdir()
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", world.dir / "other" / "key.pem", "-out", world.dir / "other" / "cert.pem"], check=True)
    send_to(world, other)
    wait_for(lambda: "the audit log waits for it" in (world.gateway.dir / "log" / "error.log").read_text().split("localhost")[-1], 15)
    assert world.psql("SELECT 1").code == 0
    assert other.lines == []
    other.stop()


@test
def without_tls_to_a_relay_nearby(world):
    plain, seen = LogHost(world.gateway.dir / "tls", tls=False), written(world)
    send_to(world, plain, "tcp")
    assert world.psql("SELECT 'plain'").code == 0
    has_all(world, plain, seen)
    plain.stop()


@test
def as_plain_json_lines(world):
    """`format=json`: what stands in the file, line for line, over TLS; a host that was away misses nothing."""
    lines = LogHost(world.gateway.dir / "tls", framed=False)
    seen = written(world)
    world.gateway.extra = f"siem tls://localhost:{lines.port} ca={world.gateway.dir}/tls/cert.pem format=json;"
    world.gateway.write()
    assert world.gateway.reload().code == 0
    assert world.psql("SELECT 'as json'").code == 0
    has_all(world, lines, seen)
    lines.stop()
    seen = written(world)
    assert world.psql("DELETE FROM orders").code != 0
    lines.start()
    has_all(world, lines, seen)
    assert all(json.loads(x) for x in lines.lines)
    lines.stop()


@test
def what_is_missing_is_said(world):
    good = world.gateway.conf_text()
    for wrong, said in (("siem udp://localhost:514;", "tls://HOST:PORT"), ("siem tls://;", "tls://HOST:PORT"), ("siem ca=/x;", "lacks where to"),
                        ("siem tls://localhost facility=mail;", "facility"), ("siem tls://localhost format=cef;", "format")):
        world.gateway.write(good.replace(world.gateway.extra, wrong))
        done = world.gateway.daemon("-t")
        assert done.code != 0 and said in done.err, repr(done)
    world.gateway.write()


main()
