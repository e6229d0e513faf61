#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport --server`: the whole command line over HTTPS, verified, and what it keeps at home."""

import contextlib
import http.server
import ssl
import stat
import threading

from harness import *


def url(world, host="localhost"):
    return f"https://{host}:{world.gateway.console_port}"


def home(world):
    folder = world.dir / "home"
    folder.mkdir(exist_ok=True)
    return folder


def sallyport(world, *args, token=None, env=None, ca=True, stdin=None):
    """The command, far from the gateway: no socket, a home of its own."""
    whole = {"HOME": str(home(world)), "XDG_CONFIG_HOME": "", "SALLYPORT_CONTROL": "", "SALLYPORT_SERVER": url(world), **(env or {})}
    if token is not None:
        whole["SALLYPORT_TOKEN"] = token
    if ca:
        whole["SALLYPORT_CA"] = str(world.gateway.dir / "tls" / "cert.pem")
    return run([world.stage / "bin" / "sallyport", *args], env=whole, stdin=stdin)


def api(world, user, groups):
    return world.token(user, groups, api=True)


@test
def who_one_is(world):
    done = sallyport(world, "whoami", "--json", token=api(world, "ann", "dev"))
    assert done.code == 0 and done.json["user"] == "ann", repr(done)
    done = sallyport(world, "whoami")
    assert done.code == 1 and "a token is needed" in done.err, repr(done)
    done = sallyport(world, "whoami", "--server", url(world) + "/", "--ca", world.gateway.dir / "tls" / "cert.pem", "--json",
                     token=api(world, "ann", "dev"), env={"SALLYPORT_SERVER": "https://elsewhere.invalid"}, ca=False)
    assert done.code == 0 and done.json["user"] == "ann", repr(done)


@test
def a_token_from_a_file(world):
    path = world.dir / "token"
    path.write_text(api(world, "bob", "dba") + "\n")
    done = sallyport(world, "whoami", "--json", "--token-file", path)
    assert done.code == 0 and done.json["user"] == "bob", repr(done)


@test
def everything_works_from_afar(world):
    """Each command that asks the gateway gives over HTTPS what it gives at the socket."""
    assert world.psql("SELECT 'needle in a haystack'").code == 0
    assert world.psql("DELETE FROM orders").code != 0
    wait_for(lambda: len([s for s in world.sessions() if s["state"] == "ended"]) >= 2, 10)
    sessions = [s for s in world.sessions() if s["state"] == "ended"]
    audit, ops = api(world, "aud", "auditor"), api(world, "opa", "admin,auditor")
    for words in (["targets"], ["sessions", "--json"], ["requests", "--all", "--json"], ["explain", f"{sessions[0]['id']}", "1"],
                  ["search", "needle", "--json"], ["replay", sessions[1]["id"]], ["verify", sessions[1]["id"]]):
        far, near = sallyport(world, *words, token=ops), world.command(*words, token=ops)
        assert far.code == near.code and far.out == near.out, f"{words}\nfar:\n{far!r}\nnear:\n{near!r}"
        assert far.code == 0 and far.out, repr(far)
    kept = world.dir / "kept"
    assert sallyport(world, "export", sessions[1]["id"], kept, token=audit).code == 0
    assert kept.stat().st_size > 100
    assert sallyport(world, "status", token=ops).code == 0
    done = sallyport(world, "revoke", "--user", "nobody-there", token=ops)
    assert done.code == 0, repr(done)


@test
def held_approved_and_killed_from_afar(world):
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1", user="ann", groups="dev")
    request = world.waiting_request()
    bob, ops = api(world, "bob", "leads"), api(world, "opa", "admin")
    done = sallyport(world, "requests", request["id"][:8], token=bob)
    assert done.code == 0 and "UPDATE orders" in done.out, repr(done)
    done = sallyport(world, "approve", request["id"], "--comment", "go on", token=bob)
    assert done.code == 0, repr(done)
    assert waiting.result().code == 0
    sleeping = world.psql_waiting("SELECT pg_sleep(60)", user="ann", groups="dev")
    live = wait_for(lambda: world.sessions(live=True), 10)[0]["id"]
    assert sallyport(world, "kill", live, token=api(world, "ann", "dev")).code == 1
    done = sallyport(world, "kill", live, "--reason", "enough", token=ops)
    assert done.code == 0, repr(done)
    assert sleeping.result().code != 0


@test
def others_are_not_believed(world):
    """The certificate must be of the name asked for, and by an authority that one trusts."""
    token = api(world, "ann", "dev")
    done = sallyport(world, "whoami", token=token, ca=False)
    assert done.code == 1 and "not trusted" in done.err, repr(done)
    done = sallyport(world, "whoami", "--server", url(world, "localhost.localdomain"), token=token)
    assert done.code == 1 and ("not trusted" in done.err or "known" in done.err.lower()), repr(done)
    for bad in (f"http://localhost:{world.gateway.console_port}", "localhost", "https://", "https://user@localhost", "https://localhost/path"):
        done = sallyport(world, "whoami", "--server", bad, token=token)
        assert done.code == 1 and "is no server" in done.err, (bad, repr(done))
    done = sallyport(world, "whoami", "--server", url(world), "--control", "/x", token=token)
    assert done.code == 2 and "two places" in done.err, repr(done)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        done = sallyport(world, "whoami", "--server", f"https://127.0.0.1:{s.getsockname()[1]}", token=token)
        assert done.code == 1 and "refused" in done.err, repr(done)


@test
def what_others_could_read_is_not_used(world):
    """A kept sign-in that is not one's own alone."""
    folder = home(world) / ".config" / "sallyport"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "signins.json"
    path.write_text(json.dumps({"server": url(world), "signins": {url(world): {"secret": api(world, "ann", "dev")}}}))
    path.chmod(0o644)
    done = sallyport(world, "whoami")
    assert done.code == 1 and "chmod 600" in done.err and "a token is needed" in done.err, repr(done)
    path.chmod(0o600)
    done = sallyport(world, "whoami", "--json", env={"SALLYPORT_SERVER": ""})
    assert done.code == 0 and done.json["user"] == "ann", repr(done)
    done = sallyport(world, "whoami", "--json", token=api(world, "bob", "dba"))
    assert done.json["user"] == "bob", repr(done)
    path.unlink()


class Gate(http.server.BaseHTTPRequestHandler):
    """What a gateway answers in the device flow, word for word (core/console/README.md), and what it was asked."""
    protocol_version = "HTTP/1.1"
    script, asked, port = [], [], 0

    def log_message(self, *args):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        Gate.asked.append((self.command, self.path, self.headers.get("Authorization"), json.loads(body or "null"), self.headers["Host"]))
        if self.path == "/api/v1/device":
            at = f"https://localhost:{Gate.port}/device"
            status, said = 200, {"device_code": "dc-1", "user_code": "WDJB-MJHT", "verification_uri": at, "expires_in": 60, "interval": 1,
                                 "verification_uri_complete": at + "?code=WDJB-MJHT"}
        elif self.path == "/api/v1/device/token":
            status, said = Gate.script.pop(0)
        elif self.path == "/api/v1/logout":
            status, said = 200, {"ended": 0, "location": ""}
        else:
            status, said = 200, {"user": "ann", "name": "Ann", "identity": "corp", "issuer": "i", "subject": "s", "class": "human", "groups": [],
                                 "roles": [], "may": ["use"]}
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer


SIGNED_IN = (200, {"secret": "sps_" + "s" * 43, "expires": "2126-11-26T10:00:00.000Z", "user": "ann", "name": "Ann", "class": "human", "return": ""})


@contextlib.contextmanager
def gate(world, *script):
    """A server that plays the gateway, with the gateway's certificate; its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.gateway.dir / "tls" / "cert.pem", world.gateway.dir / "tls" / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Gate.script, Gate.asked, Gate.port = list(script), [], server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pending(code="authorization_pending"):
    return 400, {"error": "not yet", "code": code}


@test
def login_waits_keeps_and_forgets(world):
    ca, kept = world.gateway.dir / "tls" / "cert.pem", home(world) / ".config" / "sallyport" / "signins.json"
    shutil.rmtree(kept.parent.parent, ignore_errors=True)
    with gate(world, pending(), SIGNED_IN) as at:
        done = sallyport(world, "login", "--server", at, "--ca", ca, "--no-browser", ca=False, token="not-to-be-sent")
        assert done.code == 0 and at + "/device?code=WDJB-MJHT" in done.out and "WDJB-MJHT\n" in done.out, repr(done)
        assert "Signed in as Ann until 2126" in done.out and "sps_" not in done.out + done.err, repr(done)
        assert [a[1] for a in Gate.asked] == ["/api/v1/device", "/api/v1/device/token", "/api/v1/device/token"]
        assert all(a[2] is None for a in Gate.asked), "a token was shown while signing in"
        assert Gate.asked[0][3] == {"name": socket.gethostname()} and Gate.asked[1][3] == {"device_code": "dc-1"}
        assert Gate.asked[0][4] == at.removeprefix("https://")
        mode = kept.stat().st_mode
        assert stat.S_IMODE(mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        # from now on neither the server nor its authority has to be named
        done = sallyport(world, "whoami", "--json", env={"SALLYPORT_SERVER": ""}, ca=False)
        assert done.code == 0 and Gate.asked[-1][2] == "Bearer " + SIGNED_IN[1]["secret"], repr(done)
        done = sallyport(world, "logout", env={"SALLYPORT_SERVER": ""}, ca=False)
        assert done.code == 0 and Gate.asked[-1][:3] == ("POST", "/api/v1/logout", "Bearer " + SIGNED_IN[1]["secret"]), repr(done)
        assert "sps_" not in kept.read_text()
        done = sallyport(world, "logout", "--server", at, "--ca", ca, ca=False)
        assert done.code == 1 and "no sign-in" in done.err, repr(done)
    kept.unlink()


@test
def login_that_is_refused_keeps_nothing(world):
    ca, kept = world.gateway.dir / "tls" / "cert.pem", home(world) / ".config" / "sallyport" / "signins.json"
    with gate(world, pending(), (400, {"error": "it was refused by ann", "code": "access_denied"})) as at:
        done = sallyport(world, "login", "--server", at, "--ca", ca, ca=False)
        assert done.code == 1 and "it was refused by ann" in done.err and not kept.exists(), repr(done)
    done = sallyport(world, "login", env={"SALLYPORT_SERVER": ""})
    assert done.code == 2 and "--server" in done.err, repr(done)


@test
def a_browser_is_opened_where_there_is_one(world):
    """… with the address as its one argument, and no shell between."""
    fake, note = world.dir / "browser", world.dir / "opened"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" "$@" > {note}\n')
    fake.chmod(0o755)
    with gate(world, SIGNED_IN, SIGNED_IN) as at:
        done = sallyport(world, "login", "--server", at, "--ca", world.gateway.dir / "tls" / "cert.pem", ca=False, env={"BROWSER": str(fake)})
        assert done.code == 0, repr(done)
        wait_for(lambda: note.exists() and note.read_text() == f"1\n{at}/device?code=WDJB-MJHT\n", 10, said="no browser was opened")
        note.unlink()
        done = sallyport(world, "login", "--server", at, "--no-browser", "--ca", world.gateway.dir / "tls" / "cert.pem", ca=False,
                         env={"BROWSER": str(fake)})
        assert done.code == 0 and not note.exists(), repr(done)
    (home(world) / ".config" / "sallyport" / "signins.json").unlink()


main(console=True)
