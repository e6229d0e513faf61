#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport --server`: the whole command line over HTTPS, verified, and what it keeps at home."""

import stat

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


main(console=True)
