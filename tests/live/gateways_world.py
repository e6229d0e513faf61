# SPDX-License-Identifier: Apache-2.0
"""Two gateways with one store at a real PostgreSQL: `from gateways_world import *`, tests, `gateways_main()`."""

import os
import shutil

import harness
from harness import *

GRACE = 8
CRM = """
target crm {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads; policy {dir}/policies/orders.lua; }}
"""


def store_of(pg, folder):
    return f"postgresql://sallyport@127.0.0.1:{pg.port}/state tls=off secret=file:{folder}/keeper/store.secret folder={folder}/keeper"


class Place:
    """The second gateway, as the tests of a world see theirs."""

    def __init__(self, w, name="second"):
        self.dir, self.stage, self.pg, self.tokens = w.dir, w.stage, w.pg, {}
        self.gateway = Gateway(w.dir / name, w.stage, w.pg, extra=w.gateway.extra, policy=w.gateway.policy)
        self.gateway.store = store_of(w.store, self.gateway.dir)
        self.gateway.more_targets = CRM.format(port=w.pg.port, dir=self.gateway.dir)

    command, token, dsn, psql_argv = World.command, World.token, World.dsn, World.psql_argv
    password, psql, psql_waiting = World.password, World.psql, World.psql_waiting
    sessions, requests, waiting_request = World.sessions, World.requests, World.waiting_request


def give(gateway, name, text):
    path = gateway.dir / "keeper" / name
    path.write_text(text)
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")


def pair(w):
    """Both gateways, the second started at first need."""
    if not hasattr(w, "second"):
        w.second = Place(w)
        for key in ("master.key", "issuer.key"):
            give(w.second.gateway, key, (w.gateway.dir / "keeper" / key).read_text())
        give(w.second.gateway, "store.secret", w.store_password)
        w.second.gateway.write()
        w.second.gateway.start()
        atexit.register(w.second.gateway.stop)
    return w, w.second


def stored(w, sql):
    return w.store.sql(sql, "state")


def end_of(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def back(w):
    """Both answer again."""
    for p in (w, w.second):
        wait_for(lambda: p.psql("SELECT 1").out == "1", 30, 0.3, "a gateway did not come back")


def audited(gateway, event, **members):
    return [a for a in gateway.audit() if a.get("event") == event and all(a.get(k) == v for k, v in members.items())]


class Shared(World):
    def start(self):
        self.store = Postgres(self.dir / "store", "")
        self.store_password = "store-" + os.urandom(9).hex()
        self.store.sql(f"CREATE ROLE sallyport LOGIN PASSWORD '{self.store_password}'", "postgres")
        self.store.sql("CREATE DATABASE state OWNER sallyport", "postgres")
        give(self.gateway, "store.secret", self.store_password)
        self.gateway.store = store_of(self.store, self.gateway.dir)
        self.gateway.more_targets = CRM.format(port=self.pg.port, dir=self.gateway.dir)
        self.gateway.write()
        return super().start()

    def end(self, keep=False):
        clean = super().end(keep=True)
        if hasattr(self, "second"):
            self.second.gateway.stop()
        if hasattr(self, "store"):
            self.store.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean


def gateways_main(**conf):
    globals()["World"] = harness.World = Shared
    main(**{"extra": f"store_grace {GRACE}s;\nlimit per_user=50;", **conf})
