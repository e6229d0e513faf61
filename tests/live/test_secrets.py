#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P5, ID8: after a hundred logins to ten targets no worker holds a password, a SCRAM key or a token; nothing secret is in
arguments, environments, logs or files."""

import hashlib
import base64
import hmac

from harness import *
from process_memory import holds

TARGETS = 10
LOGINS = 100


def scram_keys(verifier, password):
    """ClientKey and StoredKey of PostgreSQL's verifier."""
    head, keys = verifier.split("$")[1], verifier.split("$")[2]
    rounds, salt = head.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    stored = hashlib.sha256(client).digest()
    assert base64.b64encode(stored).decode() == keys.split(":")[0], "the test derives other keys than the server"
    return salted, client, stored


def make_targets(w):
    g, needles, text = w.gateway, {}, ""
    for n in range(TARGETS):
        password = "hush-" + os.urandom(12).hex()
        w.pg.sql(f"CREATE ROLE t{n}_gw LOGIN PASSWORD '{password}'", "postgres")
        path = g.dir / "keeper" / f"t{n}.secret"
        path.write_text(password + "\n")
        path.chmod(0o600)
        if IS_ROOT:
            shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
        text += TARGET.format(name=f"t{n}", port=w.pg.port, dir=g.dir, extra="").replace("user=app_gw", f"user=t{n}_gw").replace(
            "orders.secret", f"t{n}.secret")
        verifier = w.pg.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = 't{n}_gw'", "postgres")
        salted, client, stored = scram_keys(verifier, password)
        needles.update({f"password of t{n}": password.encode(), f"SaltedPassword of t{n}": salted, f"ClientKey of t{n}": client,
                        f"StoredKey of t{n}": stored})
    g.more_targets = text
    g.write()
    done = g.reload()
    assert done.code == 0, repr(done)
    return needles


needles = {}


@test
def no_worker_holds_a_secret(w):
    if not IS_ROOT:
        skip("only root reads another process's memory")
    if SANITIZED:
        skip("AddressSanitizer keeps freed memory as it was")
    needles.update(make_targets(w))
    live = []
    for n in range(LOGINS):
        user, tls = f"u{n}", n % 3 == 0
        token = w.token(user, fresh=True)
        needles[f"token of {user}"] = token.encode()[-40:]  # the signature: nobody else has it
        got = w.psql("SELECT 1", user=user, token=token, database=f"t{n % TARGETS}", tls=tls)
        assert got.out == "1", repr(got)
        if n % 20 == 0:
            live.append(w.psql_waiting(stdin="SELECT 'in';\n", user=user, token=token, database=f"t{n % TARGETS}", tls=tls))
    wait_for(lambda: len(w.sessions(live=True)) >= len(live), said="no live sessions")
    marker = b"SELECT 'in'"  # this one a worker may know: the search works
    seen = set()
    for pid in w.gateway.children()["worker"]:
        found = holds(pid, {**needles, "marker": marker})
        seen |= found & {"marker"}
        assert not found - {"marker"}, f"worker {pid} holds {sorted(found)}"
    keeper = holds(w.gateway.children()["keeper"][0], needles)
    assert any("password" in k for k in keeper), "the search finds nothing where it must"
    for role in ("console", "recorder"):
        for pid in w.gateway.children()[role]:
            found = {f for f in holds(pid, needles) if not f.startswith("token")}
            assert not found, f"{role} holds {sorted(found)}"
    for one in live:
        one.say("SELECT 'out';\n")
        assert "out" in one.result().out


@test
def nothing_is_in_arguments_or_environments(w):
    if not needles:
        skip("the test before this one did not run")
    for role, pids in w.gateway.children().items():
        for pid in pids:
            for name in ("cmdline", "environ"):
                try:
                    text = open(f"/proc/{pid}/{name}", "rb").read()
                except OSError:
                    continue
                assert not any(b in text for b in needles.values()), f"{name} of {role}"


@test
def nothing_is_in_files(w):
    """Logs, audit, store, recordings; the keeper's secret files are the only place."""
    if not needles:
        skip("the test before this one did not run")
    for path in w.gateway.dir.rglob("*"):
        if not path.is_file() or path.suffix == ".secret":
            continue
        data = path.read_bytes()
        for name, needle in needles.items():
            assert needle not in data, f"{name} is in {path}"


@test
def a_decided_request_is_forgotten(w):
    """An approver sees the exact text; once it is decided, no file of the keeper's holds it."""
    def kept():
        return [f for f in (w.gateway.dir / "keeper").rglob("*") if f.is_file() and b"canary-held-7711" in f.read_bytes()]

    waiting = w.psql_waiting("UPDATE orders SET item = 'canary-held-7711' WHERE id = 11")
    request = w.waiting_request()
    assert "canary-held-7711" in request["text"] and kept(), "the approver's text is nowhere: this test could not fail"
    assert w.command("deny", request["id"], token=w.token("lea", "leads", api=True)).code == 0
    waiting.result()
    wait_for(lambda: not kept(), 5, said=f"it is still in {kept()}")
    shown = w.command("requests", "--all", "--json")
    assert "canary-held-7711" not in shown.out and request["id"] in shown.out, repr(shown)


@test
def core_dumps_are_off(w):
    for role, pids in w.gateway.children().items():
        for pid in pids:
            limits = open(f"/proc/{pid}/limits", encoding="ascii").read()
            assert re.search(r"Max core file size\s+0\s+0", limits), f"{role}: {limits}"


main()
