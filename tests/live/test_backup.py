#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/operations.md says of backups and keys: a snapshot restored elsewhere is a gateway that verifies and knows
what was granted; and keys that are exchanged end what they vouched for, and nothing else."""

from harness import *

CRM = """
target crm {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads; policy {dir}/policies/orders.lua; }}
"""
FOLDERS = ("keeper", "sessions", "anchor")
HELD = "UPDATE orders SET state = 'x' WHERE id = 1"


class Place:
    """Another gateway over the same database, as the tests of a world see theirs."""

    def __init__(self, w, name):
        self.dir, self.stage, self.pg, self.tokens = w.dir, w.stage, w.pg, {}
        self.gateway = Gateway(w.dir / name, w.stage, w.pg)
        self.gateway.more_targets = CRM.format(port=w.pg.port, dir=self.gateway.dir)
        self.gateway.write()

    command, token, dsn, psql_argv, password, psql = World.command, World.token, World.dsn, World.psql_argv, World.password, World.psql
    psql_waiting, sessions, requests, waiting_request, last_session = World.psql_waiting, World.sessions, World.requests, World.waiting_request, World.last_session


def lea(w):
    return w.token("lea", "leads", api=True)


def with_ticket(w, ticket):
    return run(["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={ticket['id']} sslmode=disable", "-XAtqc", "SELECT 7"],
               env={"PGPASSWORD": ticket["password"]})


def ticket_of(w):
    done = w.command("ticket", "orders", "--format", "json", token=w.token("ann", "dev", api=True))
    assert done.code == 0, repr(done)
    return done.json


def public_key(w):
    said = run(["curl", "-s", "--unix-socket", w.gateway.control, "http://x/api/v1/keys"]).out
    return re.search(r"[0-9a-f]{64}", said).group(0)


def snapshot(w, to):
    """As a snapshot of the file system takes them: all folders in one moment, whatever the gateway is doing."""
    children = w.gateway.children()
    pids = children["keeper"] + children["recorder"]  # who write there
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        to.mkdir()
        for name in FOLDERS:
            run(["cp", "-a", w.gateway.dir / name, to / name], check=True)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@test
def a_snapshot_restored_elsewhere_knows_all(w):
    w.gateway.more_targets = CRM.format(port=w.pg.port, dir=w.gateway.dir)
    w.gateway.write()
    assert w.gateway.reload().code == 0
    asked = w.command("request", "crm", "--for", "1h", "--reason", "ticket 7", "--json", token=w.token("ann", "dev", api=True))
    assert asked.code == 0 and w.command("approve", asked.json["id"], token=lea(w)).code == 0, repr(asked)
    assert w.psql("SELECT 42").out == "42"
    ended = w.last_session()
    wait_for(lambda: w.command("verify", ended).code == 0, 20, said="the recording does not verify")
    waiting = w.psql_waiting(HELD)
    held = w.waiting_request()["id"]
    ticket = ticket_of(w)
    key = public_key(w)
    snapshot(w, w.dir / "snapshot")
    assert w.command("deny", held, token=lea(w)).code == 0 and waiting.result().code != 0

    p = Place(w, "restored")
    for name in FOLDERS:
        shutil.rmtree(p.gateway.dir / name)
        run(["cp", "-a", w.dir / "snapshot" / name, p.gateway.dir / name], check=True)
    p.gateway.start()
    atexit.register(p.gateway.stop)
    wait_for(lambda: p.command("verify", ended).code == 0, 20, said="the restored recording does not verify")
    assert "42" in p.command("replay", ended).out
    offline = p.command("verify", p.gateway.dir / "sessions", "--key", key)
    assert offline.code == 0, repr(offline)
    assert p.psql("SELECT 42", database="crm").out == "42"  # by the grant
    assert with_ticket(p, ticket).out == "7"
    assert p.command("requests", held, "--json", token=lea(p)).json["state"] in ("waiting", "withdrawn", "expired")
    assert p.psql("SELECT 1", token=w.token("ann", "dev")).out == "1"  # a token of the local issuer is good at both
    assert p.gateway.stop()


@test
def a_new_issuer_key_ends_its_tokens_and_nothing_else(w):
    old, ticket, session = w.token("ann", "dev"), ticket_of(w), w.last_session()
    assert w.gateway.stop()
    (w.gateway.dir / "keeper" / "issuer.key").unlink()
    w.gateway.start()
    w.tokens.clear()
    refused = w.psql("SELECT 1", token=old)
    assert refused.code != 0 and "access denied" in refused.err, repr(refused)
    assert w.psql("SELECT 1").out == "1" and with_ticket(w, ticket).out == "7"
    assert w.psql("SELECT 42", database="crm").out == "42" and w.command("verify", session).code == 0


@test
def all_keys_anew_and_the_old_recordings_still_verify(w):
    ticket, key, session, keeper = ticket_of(w), public_key(w), w.last_session(), w.gateway.dir / "keeper"
    assert w.gateway.stop()
    archive = w.dir / "archive"
    archive.mkdir()
    for path in [*keeper.glob("state.db*"), *(keeper / n for n in ("master.key", "signing.key", "issuer.key")), w.gateway.dir / "sessions"]:
        run(["mv", path, archive], check=True)
    for path in (w.gateway.dir / "anchor").iterdir():
        run(["mv", path, archive], check=True)
    w.gateway.start()
    w.tokens.clear()
    assert public_key(w) != key
    assert with_ticket(w, ticket).code != 0
    assert w.psql("SELECT 42", database="crm").code != 0  # the grant is gone
    assert w.psql("SELECT 8").out == "8"
    new = w.last_session()
    wait_for(lambda: w.command("verify", new).code == 0, 20, said="the new recording does not verify")
    old = w.command("verify", archive / "sessions", "--key", key)
    assert old.code == 0, repr(old)
    assert w.command("verify", archive / "sessions", "--key", public_key(w)).code != 0
    assert session in "".join(str(p) for p in (archive / "sessions").rglob("*"))


@test
def a_new_master_key_alone(w):
    """What it vouched for is over, and may be asked for anew; recordings, their keys and local tokens stay."""
    token, key, session = w.token("ann", "dev", ttl="2h", fresh=True), public_key(w), w.last_session()
    asked = w.command("request", "crm", "--for", "1h", "--reason", "ticket 8", "--json", token=w.token("ann", "dev", api=True))
    assert asked.code == 0 and w.command("approve", asked.json["id"], token=lea(w)).code == 0, repr(asked)
    ticket = ticket_of(w)
    assert w.psql("SELECT 42", database="crm").out == "42"
    assert w.gateway.stop()
    (w.gateway.dir / "keeper" / "master.key").unlink()
    w.gateway.start()
    assert public_key(w) == key and w.psql("SELECT 1", token=token).out == "1"
    assert with_ticket(w, ticket).code != 0
    assert w.psql("SELECT 42", database="crm").code != 0, "a grant under the old key is good"
    done = w.command("verify", session)
    assert done.code == 0, repr(done)
    asked = w.command("request", "crm", "--for", "1h", "--reason", "ticket 9", "--json", token=w.token("ann", "dev", api=True))
    assert asked.code == 0 and w.command("approve", asked.json["id"], token=lea(w)).code == 0, repr(asked)
    assert w.psql("SELECT 42", database="crm").out == "42"


@test
def a_new_ledger_that_was_not_whole(w):
    """The old key is aside before the ledger ends: never is there an empty ledger that the old key would sign anew."""
    key, keeper = public_key(w), w.gateway.dir / "keeper"
    key_file, aside = keeper / "signing.key", keeper / "signing.key.ended"
    assert w.psql("SELECT 9").out == "9"
    old = w.last_session()
    wait_for(lambda: w.signed(old), 30, said="the recording does not end")
    assert w.gateway.stop()
    (aside / "in the way").mkdir(parents=True)
    stopped = w.command("store", "new-ledger", "--conf", w.gateway.conf_file)
    assert stopped.code == 1 and "nothing was changed" in stopped.err and key_file.exists(), repr(stopped)
    shutil.rmtree(aside)
    w.gateway.start()
    assert public_key(w) == key
    done = w.command("verify", old)
    assert done.code == 0, repr(done)
    assert w.gateway.stop()
    key_file.rename(aside)  # as far as one came that was stopped there
    w.gateway.process = None
    refused = run([w.stage / "sbin" / "sallyportd", "-f", "-c", w.gateway.conf_file], timeout=60 * SLOW)
    assert refused.code != 0 and "of another signing.key" in w.gateway.logs(100) + refused.err, repr(refused)
    assert aside.exists() and key_file.exists()  # which that start made
    done = w.command("store", "new-ledger", "--conf", w.gateway.conf_file)
    assert done.code == 0 and key in done.out and not aside.exists() and not key_file.exists(), repr(done)
    archive = w.dir / "not-whole"
    archive.mkdir()
    for path in (w.gateway.dir / "sessions", *(w.gateway.dir / "anchor").iterdir()):
        run(["mv", path, archive], check=True)
    w.gateway.start()
    assert public_key(w) != key and w.psql("SELECT 9").out == "9"
    there = w.command("verify", archive / "sessions", "--key", key)
    assert there.code == 0, repr(there)


@test
def a_new_signing_key_alone(w):
    """Grants and tickets stay; new recordings are of a new ledger, the old ones verify where they were moved to."""
    key, keeper, ticket = public_key(w), w.gateway.dir / "keeper", ticket_of(w)
    busy = w.command("store", "new-ledger", "--conf", w.gateway.conf_file)
    assert busy.code == 1 and "stop the gateway first" in busy.err, repr(busy)
    assert public_key(w) == key
    old = w.last_session()
    wait_for(lambda: w.signed(old), 30, said="the recording does not end")
    assert w.gateway.stop()
    (keeper / "signing.key").rename(keeper / "aside")
    w.gateway.process = None
    refused = run([w.stage / "sbin" / "sallyportd", "-f", "-c", w.gateway.conf_file], timeout=60 * SLOW)
    assert refused.code != 0 and "of another signing.key" in w.gateway.logs(100) + refused.err, repr(refused)
    (keeper / "aside").rename(keeper / "signing.key")
    done = w.command("store", "new-ledger", "--conf", w.gateway.conf_file)
    assert done.code == 0 and key in done.out, repr(done)
    archive = w.dir / "older"
    archive.mkdir()
    for path in (w.gateway.dir / "sessions", *(w.gateway.dir / "anchor").iterdir()):
        run(["mv", path, archive], check=True)
    w.gateway.start()
    assert public_key(w) != key
    assert w.psql("SELECT 42", database="crm").out == "42" and with_ticket(w, ticket).out == "7"
    new = w.last_session()
    wait_for(lambda: w.signed(new), 30, said="the new recording does not verify")
    assert w.command("verify", w.gateway.dir / "sessions", "--key", public_key(w)).code == 0
    there = w.command("verify", archive / "sessions", "--key", key)
    assert there.code == 0, repr(there)
    assert w.command("verify", archive / "sessions", "--key", public_key(w)).code != 0
    assert old in "".join(str(p) for p in (archive / "sessions").rglob("*"))


main()
