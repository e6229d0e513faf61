#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A module built outside the tree, against the installed headers only, and run by a real gateway."""

import ssl

from harness import *

POLICY_LINES = """\
rule "no-forbidden" {
  doc  = "Some words stay here.",
  on   = "line.send",
  when = { words = "forbidden" },
  deny = "Say it in other words.",
}
rule "careful" {
  doc     = "Care takes two.",
  on      = "line.send",
  when    = { words = "careful" },
  approve = { by = "leads", within = "5m" },
}
"""

CONF_LINES = """\
load_module {so};
listener lines     {{ listen 127.0.0.1:{port}; protocol skeleton; cleartext loopback; }}
listener lines_tls {{ listen 127.0.0.1:{tls_port}; protocol skeleton; tls cert={dir}/tls/cert.pem key={dir}/tls/key.pem; }}
"""

TARGET_LINES = """\
target lines {{
    protocol skeleton;
    server   127.0.0.1:{port};
    tls      off;
    login    user=lines secret=file:{dir}/keeper/orders.secret;
    allow    groups=dev;
    policy   {dir}/policies/lines.lua;
}}
"""


class Echo:
    """A target that answers each line with itself, and remembers what it got."""

    def __init__(self):
        self.got = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as lines:
            for line in lines:
                self.got.append(line.decode())
                client.sendall(line)


class Lines:
    def __init__(self, w, token, user="ann", tls=False):
        self.socket = socket.create_connection(("127.0.0.1", w.lines_tls_port if tls else w.lines_port), timeout=20 * SLOW)
        if tls:
            context = ssl.create_default_context(cafile=w.gateway.dir / "tls" / "cert.pem")
            context.set_alpn_protocols(["line"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        self.send(f"HELLO {user} lines {token}")

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def line(self):
        return self.file.readline().decode().rstrip("\n")

    def ask(self, text):
        self.send(text)
        return self.line()

    def close(self):
        self.file.close()
        self.socket.close()


def build_outside(w):
    """Copies the installed example out of the stage and builds it with the installed pkg-config file."""
    folder = w.dir / "outside"
    shutil.copytree(w.stage / "share" / "sallyport" / "skeleton", folder)
    folder.chmod(0o755)
    env = {"PKG_CONFIG_PATH": str(w.stage / "lib" / "pkgconfig"), "PKG_CONFIG_LIBDIR": "/nonexistent"}
    run(["make", "-C", folder], env=env, check=True)
    (folder / "skeleton.so").chmod(0o755)
    flags = run(["pkg-config", "--cflags", "sallyport"], env=env, check=True).out.split()
    used = run(["cc", "-M", *flags, folder / "skeleton.c"], check=True).out.replace("\\\n", " ").split()
    ours = [f for f in used if "sallyport/" in f and f.endswith(".h")]
    stage = str((w.stage / "include").resolve())
    assert sorted(pathlib.Path(f).name for f in ours) == ["module.h", "wire.h"], ours
    assert all(str(pathlib.Path(f).resolve()).startswith(stage) for f in ours), ours
    assert not any(str(TOP / "include") in f or str(TOP / "core") in f for f in used), used
    return folder / "skeleton.so"


def lines_ready(w):
    """The gateway as harness.py makes it, and the module beside its own; once for all tests."""
    if hasattr(w, "echo"):
        return
    so = build_outside(w)
    w.echo = Echo()
    w.lines_port, w.lines_tls_port = free_port(), free_port()
    g = w.gateway
    (g.dir / "policies" / "lines.lua").write_text(POLICY_LINES)
    g.extra = CONF_LINES.format(so=so, port=w.lines_port, tls_port=w.lines_tls_port, dir=g.dir)
    g.more_targets = TARGET_LINES.format(port=w.echo.port, dir=g.dir)
    g.write()
    done = g.daemon("-t")
    assert done.code == 0, repr(done)
    one = w.psql_waiting(stdin="SELECT 'in';\n", user="old")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "old"], said="no live session")
    done = g.reload()  # a module more: new workers
    assert done.code == 0, f"{done!r}\n{g.logs()}"
    wait_for(lambda: g.listens(w.lines_port), said=f"the module's listener did not come up\n{g.logs()}")
    one.say("SELECT 'still';\n")
    assert one.result().out.split() == ["in", "still"]
    errors = [line for line in (g.dir / "log" / "error.log").read_text().splitlines() if "not taken" in line]
    assert not errors, errors  # the old worker's sessions follow the new rules, although it lacks the module


@test
def lines_pass_and_one_is_denied(w):
    lines_ready(w)
    c = Lines(w, w.token())
    assert c.line() == "OK ann"
    assert c.ask("hello world") == "hello world"
    denied = c.ask("a forbidden word")
    assert denied.startswith('NO blocked by rule "no-forbidden": Say it in other words.'), denied
    assert c.ask("still here") == "still here"
    c.close()
    assert "hello world\n" in w.echo.got and not any("forbidden" in line for line in w.echo.got), w.echo.got


@test
def they_are_recorded(w):
    lines_ready(w)
    c = Lines(w, w.token(user="rec"), user="rec")
    assert c.line() == "OK rec"
    assert c.ask("needle in a line") == "needle in a line"
    assert c.ask("forbidden needle").startswith("NO ")
    c.close()
    session = wait_for(lambda: [s for s in w.sessions() if s["user"] == "rec" and s["state"] == "ended"],
                       said="the session did not end")[0]["id"]
    got = wait_for(lambda: (r := w.command("replay", session, "--speed", "0")).code == 0 and r, said="there is no recording")
    assert got.out.count("needle in a line") >= 2 and "forbidden needle" in got.out, repr(got)
    assert "no-forbidden" in got.out, repr(got)
    assert w.command("verify", session).code == 0
    verdicts = [a for a in w.gateway.audit() if a.get("session") == session and a.get("rule") == "no-forbidden"]
    assert verdicts, "the denial is not in the audit"


@test
def one_waits_for_a_person(w):
    lines_ready(w)
    c = Lines(w, w.token())
    assert c.line() == "OK ann"
    held = c.ask("careful now")
    assert held.startswith("HELD "), held
    done = w.command("approve", held.split()[1], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    assert c.line() == "careful now"
    c.close()


@test
def without_a_token_nothing(w):
    lines_ready(w)
    for token, user in (("x", "ann"), (w.token(), "bob"), (w.token(groups="other"), "ann")):
        c = Lines(w, token, user)
        assert c.line().startswith("NO "), "a wrong token was good enough"
        assert c.line() == ""
        c.close()


@test
def over_tls(w):
    lines_ready(w)
    c = Lines(w, w.token(), tls=True)
    assert c.line() == "OK ann"
    assert c.ask("in private") == "in private"
    c.close()


@test
def it_is_refused_when_others_may_write_it(w):
    lines_ready(w)
    so = w.dir / "outside" / "skeleton.so"
    so.chmod(0o757)
    done = w.gateway.daemon("-t")
    so.chmod(0o755)
    assert done.code == 1 and "others than its owner may write it" in done.err, repr(done)
    assert w.gateway.daemon("-t").code == 0
    again = w.dir / "again"
    again.mkdir(mode=0o755)
    shutil.copy(so, again / "skeleton.so")
    text = w.gateway.conf_text()
    w.gateway.write(text + f"load_module {again}/skeleton.so;\n")
    done = w.gateway.daemon("-t")
    w.gateway.write()
    assert done.code == 1 and 'is given twice' in done.err, repr(done)


main()
