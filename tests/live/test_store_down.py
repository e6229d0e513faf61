#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The store is away, or the keeper ends, under load: sessions go on, nobody gains anything, nothing is lost (P6, P8, P10).

For a store at PostgreSQL (the first gateway of the world) and for SQLite (a gateway of its own).  Clients insert numbers and note
what they were told; afterwards the target, the recordings, the list of sessions and the audit log must agree with that.
"""

import contextlib

from gateways_world import *
from wire import *

CLIENTS = 4


class Load:
    """Sessions that stay: any error in one of them is a failure."""

    def __init__(self, p, name):
        self.p, self.name, self.stop, self.told, self.errors = p, name, threading.Event(), {}, []
        self.clients = {}
        for n in range(CLIENTS):
            who = f"{name}{n}"
            c = Wire.tcp(p.gateway.port)
            c.login(p.token(who), user=who, database="orders")
            self.clients[who] = c
        self.ids = {s["id"]: s["user"] for s in p.sessions(live=True) if s["user"] in self.clients}
        assert len(self.ids) == CLIENTS, self.ids
        self.threads = [threading.Thread(target=self.work, args=one, daemon=True) for one in self.clients.items()]
        for t in self.threads:
            t.start()

    def work(self, who, c):
        n = 0
        try:
            while not self.stop.is_set():
                n += 1
                c.values(f"INSERT INTO tally VALUES ('{who}', {n})")
                self.told.setdefault(who, []).append(n)
                time.sleep(0.005)
        except Exception as e:  # noqa: BLE001 - whatever it is
            self.errors.append((who, n, repr(e)))

    def count(self):
        return sum(map(len, self.told.values()))

    def goes_on(self, by=20):
        before = self.count()
        wait_for(lambda: self.errors or self.count() >= before + by, 20, said="nothing moves")
        assert not self.errors, self.errors

    def end(self, w):
        """All that clients were told is at the target, once, and in the recordings; sessions began and ended once."""
        self.stop.set()
        for t in self.threads:
            t.join()
        assert not self.errors, self.errors
        for c in self.clients.values():
            c.close()
        for who, numbers in self.told.items():
            there = [int(n) for n in w.pg.sql(f"SELECT n FROM tally WHERE who = '{who}' ORDER BY n").split()]
            assert there == numbers, f"{who}: {len(there)} at the target, {len(numbers)} told"
        for i, who in self.ids.items():
            wait_for(lambda: [s for s in self.p.sessions() if s["id"] == i and s["state"] == "ended"], 20, said=f"session {i} did not end")
            text = wait_for(lambda: (r := self.p.command("replay", i, "--speed", "0")).code == 0 and r.out, 20, said="there is no recording")
            recorded = [int(n) for n in re.findall(rf"INSERT INTO tally VALUES \('{who}', (\d+)\)", text)]
            assert sorted(set(recorded)) == self.told[who], f"{who}: {len(set(recorded))} recorded, {len(self.told[who])} told"
            assert len(audited(self.p.gateway, "admitted", session=i)) == 1, i
        assert self.p.command("verify", self.p.gateway.dir / "sessions").code == 0
        print(f"        {self.count()} statements in {len(self.ids)} sessions")


def nothing_is_gained(p, held, hangs):
    """Nobody gets in, asks for, is given or decides anything; and each hears why.  Who asks a keeper that hangs waits for it."""
    tokens = {name: p.token(name, groups, api=True) for name, groups in (("ann", "dev"), ("kim", "leads"))}
    got = p.psql("SELECT 'in'", user="ann", timeout=40)
    assert got.code == 2 and got.out == "" and "keeper is away" in got.err, repr(got)
    for who, words in () if hangs else (("ann", ("request", "crm", "--for", "1h", "--reason", "x")), ("ann", ("ticket", "orders")), ("kim", ("approve", held)), ("kim", ("revoke", "--user", "x"))):
        done = p.command(*words, token=tokens[who], timeout=40)
        assert done.code == 1 and done.err != "", (words, repr(done))


def through(w, p, name, down, up, hangs=False):
    w.pg.sql("CREATE TABLE IF NOT EXISTS public.tally (who text, n int); GRANT ALL ON tally TO app_gw")
    p.token("ann"), [p.token(n, g, api=True) for n, g in (("ann", "dev"), ("kim", "leads"))]
    load = Load(p, name)
    held = p.psql_waiting(f"UPDATE orders SET state = '{name}' WHERE id = 13", user="hal")
    request = [r for r in wait_for(lambda: [r for r in p.requests() if r["state"] == "waiting" and r["user"] == "hal"], said="nothing is held")][0]["id"]
    load.goes_on()
    down()
    try:
        load.goes_on()
        nothing_is_gained(p, request, hangs)
        load.goes_on()
        assert held.running()
    finally:
        up()
    wait_for(lambda: p.psql("SELECT 1", user="ann").out == "1", 30, 0.3, "the gateway did not come back")
    load.goes_on()
    done = p.command("approve", request, token=p.token("kim", "leads", api=True))
    assert done.code == 0 and held.result().code == 0, (done, held)
    assert w.pg.sql("SELECT state FROM orders WHERE id = 13") == name
    load.end(w)
    assert len(audited(p.gateway, "approved", request=request)) == 1
    assert not [r for r in p.command("requests", "--all", "--json").json["requests"] if r["kind"] == "grant"]  # an audit line of a wish may be there
    assert not p.command("tickets", "--json").json["tickets"] and not p.command("grants", "--all", "--json").json["grants"]


def alone(w):
    """A gateway with an SQLite store, in a file system of its own where that can be."""
    if not hasattr(w, "alone"):
        p = w.alone = Place(w, "alone")
        p.gateway.store = f"sqlite:{p.gateway.dir}/keeper/state.db"
        p.gateway.write()
        p.gateway.start()
        atexit.register(p.gateway.stop)
    return w.alone


@test
def a_server_that_is_down(w):
    through(w, w, "psd", lambda: w.store.stop("fast"), w.store.start)


@test
def the_doctor_says_so(w):
    def store():
        found = w.command("doctor", "--json", "--conf", w.gateway.conf_file, timeout=60).json["found"]
        return [f["finding"] for f in found if f["about"] == "store" and "store's server" in f["text"]]
    assert store() == ["ok"], store()
    w.store.stop("fast")
    try:
        assert wait_for(lambda: (f := store()) != ["ok"] and f, 20, 0.3, "the doctor finds nothing") == ["danger"]
    finally:
        w.store.start()
    wait_for(lambda: store() == ["ok"], 30, 0.3, "the doctor finds no end of it")


@test
def a_keeper_that_hangs(w):
    p = alone(w)
    keeper = p.gateway.children()["keeper"][0]
    through(w, p, "hng", lambda: os.kill(keeper, signal.SIGSTOP), lambda: os.kill(keeper, signal.SIGCONT), hangs=True)


def killed_often(w, p, name):
    w.pg.sql("CREATE TABLE IF NOT EXISTS public.tally (who text, n int); GRANT ALL ON tally TO app_gw")
    load = Load(p, name)
    for n in range(4):
        os.kill(wait_for(lambda: p.gateway.children().get("keeper"), 20, said="no keeper")[0], signal.SIGKILL)
        load.goes_on()
        wait_for(lambda: p.psql("SELECT 1", user="ann").out == "1", 30, 0.1, "nobody is served")
    load.end(w)


@test
def a_keeper_that_is_killed_at_a_server(w):
    killed_often(w, w, "kps")


@test
def a_keeper_that_is_killed_at_sqlite(w):
    killed_often(w, alone(w), "ksq")


@test
def a_full_disk(w):
    """The keeper's file cannot be written: it ends, and comes back once it can."""
    if not IS_ROOT:
        skip("needs root, to mount a small file system")
    p = Place(w, "full")
    keeper = p.gateway.dir / "keeper"
    kept = {f.name: f.read_bytes() for f in keeper.iterdir()}
    if run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", keeper]).code != 0:
        skip("a small file system cannot be mounted here")
    atexit.register(lambda: run(["umount", "-l", keeper]))
    shutil.chown(keeper, "sallyport-keeper", "sallyport-keeper")
    for name, text in kept.items():
        give(p.gateway, name, text.decode())
    p.gateway.store = f"sqlite:{keeper}/state.db"
    p.gateway.write()
    p.gateway.start()
    atexit.register(p.gateway.stop)
    filler = keeper / "filler"

    def fill():
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
            while True:
                f.write(b"x" * 4096)
    try:
        through(w, p, "ful", fill, filler.unlink)
    finally:
        p.gateway.stop()
        run(["umount", "-l", keeper])


gateways_main(extra="store_grace 60s;\nlimit per_user=50;")
