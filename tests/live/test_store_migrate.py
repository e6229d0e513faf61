#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport store migrate`: a store moves from its SQLite file to a real PostgreSQL, whole or not at all, and what it holds is good there."""

import contextlib
import sqlite3

import harness

from gateways_world import give, store_of
from harness import *

GRANTED = """
target crm {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads; policy {dir}/policies/orders.lua; }}
"""
HELD = "UPDATE orders SET state = 'x' WHERE id = 1"


def api(w, user, groups):
    return w.token(user, groups, api=True)


def tables(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as c:
        names = [n for (n,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {n: c.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names}


def migrate(w, password=None):
    """Under a configuration that names the server."""
    g = w.gateway
    give(g, "store.secret", password or w.store_password)
    g.store = store_of(w.store, g.dir)
    g.write()
    return w.command("store", "migrate", "--conf", g.conf_file)


def state_file(w):
    return w.gateway.dir / "keeper" / "state.db"


@test
def there_is_something_to_move(w):
    w.gateway.more_targets = GRANTED.format(port=w.pg.port, dir=w.gateway.dir)
    w.gateway.write()
    assert w.gateway.reload().code == 0
    lea = api(w, "lea", "leads")
    asked = w.command("request", "crm", "--for", "1h", "--reason", "ticket 7", "--json", token=api(w, "ann", "dev"))
    assert asked.code == 0 and w.command("approve", asked.json["id"], token=lea).code == 0, repr(asked)
    w.grant = asked.json["id"]
    assert w.psql("SELECT 42").out == "42"
    waiting = w.psql_waiting(HELD)
    w.held = w.waiting_request()["id"]
    assert w.command("deny", w.held, "--comment", "not today", token=lea).code == 0
    assert "not today" in waiting.result().err
    ticket = w.command("ticket", "orders", "--format", "json", token=api(w, "ann", "dev"))
    assert ticket.code == 0, repr(ticket)
    w.ticket = ticket.json
    w.gone = w.token("gil", "dev")
    assert w.command("revoke", "--user", "gil", token=api(w, "adm", "admin")).code == 0
    assert w.psql("SELECT 1", user="gil", token=w.gone).code != 0


@test
def refused_while_a_gateway_runs_on_it(w):
    done = migrate(w)
    assert done.code == 1 and "in use by another keeper: stop the gateway first" in done.err, repr(done)
    assert w.psql("SELECT 1").out == "1"
    assert w.store.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "state") == "0"


@test
def a_server_that_does_not_let_us_in_changes_nothing(w):
    w.sessions_before = {s["id"] for s in w.sessions()}
    assert w.gateway.stop()
    w.before = tables(state_file(w))
    done = migrate(w, password="wrong")
    assert done.code == 1 and "password authentication failed" in done.err, repr(done)
    assert tables(state_file(w)) == w.before and w.before["grants"] == 1 and w.before["approval"] >= 2 and w.before["revoked"] == 1


@test
def every_row_arrives(w):
    done = migrate(w)
    assert done.code == 0 and "done: the store is at 127.0.0.1" in done.out and "grants: 1" in done.out, repr(done)
    own = {"ledger", "provider", "renewal"}
    there = {n: int(w.store.sql(f"SELECT count(*) FROM {n}", "state")) for n in w.before}
    assert {n: c for n, c in there.items() if n not in own} == {n: c for n, c in w.before.items() if n not in own}
    # what is revoked and what is used up stays so, should a gateway be started on the file again
    left = tables(state_file(w))
    assert {n: c for n, c in left.items() if c} == {n: c for n, c in w.before.items() if n in own | {"revoked", "token"} and c}, left
    kept = pathlib.Path(f"{state_file(w)}.moved")
    assert tables(kept) == w.before and kept.stat().st_mode & 0o777 == 0o600
    if IS_ROOT:
        assert state_file(w).stat().st_uid == kept.stat().st_uid == pwd.getpwnam("sallyport-keeper").pw_uid
    again = w.command("store", "migrate", "--conf", w.gateway.conf_file)
    assert again.code == 1 and "has rows already" in again.err, repr(again)


@test
def all_is_good_there(w):
    w.gateway.start()
    assert w.sessions_before <= {s["id"] for s in w.sessions()}
    assert w.psql("SELECT 42", database="crm").out == "42"  # by the grant
    assert w.command("requests", w.held, "--json", token=api(w, "lea", "leads")).json["state"] == "denied"
    t = w.ticket
    used = run(["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-XAtqc", "SELECT 7"],
               env={"PGPASSWORD": t["password"]})
    assert used.out == "7", repr(used)
    assert w.psql("SELECT 1", user="gil", token=w.gone).code != 0  # revoked is revoked
    session = w.last_session()
    wait_for(lambda: w.command("verify", session).code == 0, 20, said="the recording does not verify")
    waiting = w.psql_waiting(HELD)
    request = w.waiting_request()
    assert w.command("approve", request["id"], token=api(w, "lea", "leads")).code == 0 and waiting.result().code == 0
    assert "row of the store" not in w.gateway.logs(500)


@test
def an_sqlite_configuration_has_nowhere_to_go(w):
    conf = w.dir / "plain.conf"
    conf.write_text(w.gateway.conf_file.read_text().replace(w.gateway.store, f"sqlite:{state_file(w)}"))
    done = w.command("store", "migrate", "--conf", conf)
    assert done.code == 1 and "store postgresql://" in done.err, repr(done)


class Moving(World):
    def start(self):
        self.store = Postgres(self.dir / "store", "")
        self.store_password = "store-" + os.urandom(9).hex()
        self.store.sql(f"CREATE ROLE sallyport LOGIN PASSWORD '{self.store_password}'", "postgres")
        self.store.sql("CREATE DATABASE state OWNER sallyport", "postgres")
        return super().start()

    def end(self, keep=False):
        clean = super().end(keep=True)
        if hasattr(self, "store"):
            self.store.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean


harness.World = Moving
main()
