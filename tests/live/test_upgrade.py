#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyportd -s upgrade`: another program takes over under load; nobody is refused, nothing is dropped.

The gateway runs from a copy of the stage, whose programs are replaced as a package does it: by rename.
"""

import threading

from harness import *


def replace_programs(g):
    """The same programs as other files: which one a process runs shows in /proc."""
    for path in [*(g.stage / "sbin").iterdir(), *(g.stage / "libexec" / "sallyport").iterdir()]:
        new = path.with_name(path.name + ".dpkg-new")
        shutil.copy2(path, new)
        new.rename(path)


def is_old(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)")
    except FileNotFoundError:
        return False  # it has ended since


def upgrade(g):
    replace_programs(g)
    done = g.daemon("-s", "upgrade", timeout=120)
    assert done.code == 0, f"{done!r}\n{g.logs()}"


class Load:
    """Log-ins one after the other, and sessions that stay and ask; what each of them was told."""

    def __init__(self, w, comers=3, stayers=3):
        self.w, self.stop, self.wrong, self.done = w, threading.Event(), [], {}
        w.token()
        self.threads = [threading.Thread(target=self.come, args=(f"c{n}",)) for n in range(comers)]
        self.threads += [threading.Thread(target=self.stay, args=(f"s{n}",)) for n in range(stayers)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        wait_for(lambda: len(self.done) == len(self.threads), 30, said="the load does not begin")
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()

    def tell(self, who, got, want):
        if got.out != want or got.code != 0:
            self.wrong.append((who, repr(got)))
        self.done[who] = self.done.get(who, 0) + 1

    def come(self, who):
        n = 0
        while not self.stop.is_set():
            n += 1
            self.tell(who, self.w.psql(f"SELECT 'one {n}'"), f"one {n}")

    def stay(self, who):
        one = self.w.psql_waiting(stdin="")
        n = 0
        while not self.stop.is_set():
            n += 1
            one.say(f"SELECT 'row {n}';\n")
            self.done[who] = n
            got = one.process.stdout.readline().strip()
            if got != f"row {n}":
                self.wrong.append((who, f"{got!r} for row {n}"))
                break
        last = one.result()
        if last.code != 0:
            self.wrong.append((who, repr(last)))

    def more(self, each=3):
        """Everybody has asked that often since."""
        before = dict(self.done)
        wait_for(lambda: self.wrong or all(self.done[t] >= before[t] + each for t in before), 60, said="the load stands still")
        assert not self.wrong, f"{self.wrong}\n{self.w.gateway.logs()}"


@test
def nobody_is_refused_and_nothing_dropped(w):
    g = w.gateway
    held = w.psql_waiting("UPDATE orders SET price = 7 WHERE id = 7", user="hanna")
    request = w.waiting_request()
    ticket = w.command("ticket", "orders", "--format", "json", token=w.token("tim", "dev", api=True))
    assert ticket.code == 0, repr(ticket)
    before, master = g.children(), g.process.pid
    with Load(w) as load:
        load.more()
        upgrade(g)
        after = g.children()
        assert g.process.pid == master and g.process.poll() is None
        assert not is_old(master) and int((g.dir / "run" / "sallyportd.pid").read_text()) == master
        for role in ("keeper", "recorder", "console"):
            assert len(after[role]) == 1 and not is_old(after[role][0]), (role, after)
        assert set(before["worker"]) & set(after["worker"]), "the old workers have sessions, and do not drain"
        assert len([p for p in after["worker"] if not is_old(p)]) == 2, after
        load.more()
    assert not load.wrong, load.wrong
    # What was held is held, by the same request, and can be decided now.
    assert [r["id"] for r in w.requests() if r["state"] == "waiting"] == [request["id"]], w.requests()
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    assert held.result().code == 0 and w.pg.sql("SELECT price FROM orders WHERE id = 7") == "7.00"
    # A ticket of before opens a session of now.
    got = by_ticket(w, ticket.json)
    assert got.out == "by ticket", repr(got)
    wait_for(lambda: not [p for p in g.children()["worker"] if is_old(p)], 30, said="workers without a session do not end")
    # And each recording is whole: of who stayed, with every statement from the first to the last.
    verified = w.command("verify", g.dir / "sessions")
    assert verified.code == 0, repr(verified)
    found = w.command("search", "SELECT 'row 1'", "--json")
    ids = {m["session"] for m in found.json["matches"]}
    rows = sorted(max(recorded_rows(w, one), default=0) for one in ids)
    assert rows == sorted(n for who, n in load.done.items() if who.startswith("s")), (rows, load.done)


def recorded_rows(w, session):
    """The numbers that a stayer's statements ask for: none is missing, none is there twice."""
    lines = [json.loads(line) for line in w.command("replay", session, "--format", "jsonl").out.splitlines()]
    rows = [int(m.group(1)) for line in lines if line.get("type") == "operation" and (m := re.fullmatch(r"SELECT 'row (\d+)';?", line.get("text", "").strip()))]
    assert rows == list(range(1, len(rows) + 1)), (session, rows)
    return rows


def by_ticket(w, t):
    dsn = f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable"
    return run(["psql", dsn, "-XAtqc", "SELECT 'by ticket'"], env={"PGPASSWORD": t["password"]})


@test
def a_draining_session_ends_at_shutdown_timeout(w):
    g = w.gateway
    g.extra = "shutdown_timeout 1s;"
    g.write()
    assert g.reload().code == 0
    one = w.psql_waiting(stdin="SELECT 'in';\n", user="late")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "late"], said="no live session")
    upgrade(g)
    over = wait_for(lambda: [s for s in w.sessions() if s["user"] == "late" and s["state"] == "ended"], 30, said="it goes on")[0]
    assert over["why"] == "shutdown", over
    one.result()
    wait_for(lambda: not [p for p in g.children()["worker"] if is_old(p)], 30, said="an old worker stays")
    g.extra = ""
    g.write()
    assert g.reload().code == 0


@test
def a_program_that_cannot_take_over_is_refused(w):
    g, before = w.gateway, w.gateway.children()
    program = g.stage / "sbin" / "sallyportd"
    good = program.with_name("good")
    # The hand that gives the signal stays the one that works: -s is given by another copy.
    shutil.copy2(program, good)
    other = program.with_name("sallyportd.new")
    for text, what in (("#!/bin/sh\necho 'this one speaks otherwise' >&2\nexit 1\n", "speaks otherwise"), ("not a program", "does not run"),):
        other.write_text(text)
        other.chmod(0o755)
        other.rename(program)
        done = run([good, "-c", g.conf_file, "-s", "upgrade"], timeout=120)
        assert done.code == 1 and what in done.err, repr(done)
        assert g.children() == before and w.psql("SELECT 1").out == "1"
    good.rename(program)


@test
def a_conf_that_is_refused_leaves_the_old_processes(w):
    g, before = w.gateway, w.gateway.children()
    g.policy = 'rule "broken" {'
    g.write()
    replace_programs(g)
    done = g.daemon("-s", "upgrade", timeout=120)
    assert done.code == 1 and "orders.lua:1" in done.err, repr(done)
    assert g.children() == before and not is_old(g.process.pid) and w.psql("SELECT 1").out == "1"
    g.policy = POLICY
    g.write()
    done = g.reload()  # and the next one completes it
    assert done.code == 0, repr(done)
    wait_for(lambda: all(not is_old(p) for pids in g.children().values() for p in pids), 30, said="old processes stay")
    assert w.psql("SELECT 1").out == "1"


def private_stage():
    own = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-stage-", dir=os.environ.get("TMPDIR", "/tmp")))
    own.chmod(0o755)
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    shutil.copytree(stage_folder(), own / "stage", symlinks=True)
    os.environ["SALLYPORT_STAGE"] = str(own / "stage")


private_stage()
main(console=True)
