#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hours in minutes: many clients, and all that goes wrong in a month, one after the other.

    tests/live/long_soak.py [--minutes 10] [--seed N] [--keep]

Clients run statements, each with a mark of its own, while an unlucky hand reloads, kills workers, keeper,
recorder, console and the database's server, fills the disk, stops processes and steps the clock by an hour.  Afterwards:

  every statement that the server executed stands in a recording, by the server's own log;
  no row that should be masked arrived in clear, and nobody got another's answer;
  `verify` passes over all recordings, closed and torn;
  the processes that lived through it have no more descriptors than before, and memory is flat.

The clock is stepped for the gateway alone (clock_world.py); not with sanitizers, which have to be loaded first.
"""

import argparse
import contextlib
import pathlib
import random
import re
import sys
import threading
import time

from clock_world import *

try:
    import psycopg
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")
    import psycopg

USERS = ["ann", "ben", "cas", "dee"]
STORE = "600m"  # a segment of the journal alone has 64


def mine(value, mark):
    """Its own mark; or masked, as everything is while the target can't be asked what names mean."""
    return value == mark or (value.startswith("****") and mark.endswith(value[4:]))


class Client(threading.Thread):
    """Connects, works, is thrown out, comes back; notes what it was told."""

    def __init__(self, world, number, seed, end):
        super().__init__(daemon=True)
        self.world, self.number, self.end = world, number, end
        self.chance = random.Random(seed * 1000 + number)
        self.done, self.lost, self.refused, self.wrong, self.n = 0, 0, 0, [], 0

    def mark(self):
        self.n += 1
        return f"m{self.number}_{self.n}x"

    def statement(self, c):
        mark, kind, rows = self.mark(), self.chance.randrange(6), []
        if kind == 0:
            rows = c.execute(f"SELECT id, email FROM customers WHERE id = 1 /* {mark} */").fetchall()
            good = rows == [(1, "****.com")]
        elif kind == 1:
            rows = c.execute(f"SELECT %s::text AS m /* {mark} */", (mark,)).fetchall()
            good = mine(rows[0][0], mark)
        elif kind == 2:
            rows = c.execute(f"SELECT n, '{mark}' FROM numbers ORDER BY n LIMIT {self.chance.randrange(3000)}").fetchall()
            good = all(mine(r[1], mark) for r in rows)
        elif kind == 3:
            with c.transaction():
                c.execute(f"UPDATE orders SET state = '{mark}' WHERE id = {1 + self.number}")
                rows = c.execute(f"SELECT state FROM orders WHERE id = {1 + self.number} /* {mark} */").fetchall()
            good = rows == [(mark,)]
        elif kind == 4:
            with c.cursor().copy(f"COPY (SELECT '{mark}', n FROM numbers LIMIT 500) TO STDOUT") as rows:
                good = all(mine(bytes(r).decode().split("\t")[0], mark) for r in rows)
        else:
            try:
                c.execute(f"DELETE FROM orders /* {mark} */")
                good = False
            except psycopg.errors.InsufficientPrivilege:
                good = True
        if not good:
            self.wrong.append((mark, kind, str(rows)[:200]))
        self.done += 1

    def visit(self):
        user = self.chance.choice(USERS)
        token = self.world.tokens[(user, "dev", "10h", False)]
        with psycopg.connect(self.world.dsn(user=user), password=token, autocommit=True, connect_timeout=10) as c:
            for _ in range(self.chance.randrange(1, 200)):
                if time.monotonic() > self.end:
                    return
                self.statement(c)

    def run(self):
        while time.monotonic() < self.end:
            try:
                self.visit()
            except psycopg.OperationalError:
                self.lost += 1
                time.sleep(0.2)
            except psycopg.Error:
                self.refused += 1
                time.sleep(0.1)


# ---- what goes wrong ----

def kill(role):
    def it(w, chance):
        os.kill(chance.choice(w.gateway.children()[role]), signal.SIGKILL)
    it.__name__ = f"kill {role}"
    return it


def reload(w, chance):
    w.gateway.extra = f"limit sessions={chance.randrange(500, 1000)} per_user=400;"
    w.gateway.write()
    done = w.gateway.reload()
    if done.code != 0 and "master" not in done.err:
        print(f"      reload: {done.err}", flush=True)


def restart_target(w, chance):
    w.pg.stop(chance.choice(("fast", "immediate")))
    time.sleep(chance.random())
    w.pg.start()


def fill_disk(w, chance):
    filler = w.store / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
        while f.write(b"x" * 65536) > 0:
            pass
    time.sleep(1 + chance.random())
    filler.unlink()


def stop_a_while(w, chance):
    children = w.gateway.children()
    pid = chance.choice(children[chance.choice(["recorder", "keeper"])])
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.random() * 1.5)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def step_clock(w, chance):
    w.clock.step(chance.choice([h for h in (-3600, 0, 3600) if h != w.clock.ahead]) - w.clock.ahead)


def kill_sessions(w, chance):
    live = w.sessions(live=True)
    if live:
        w.command("kill", chance.choice(live)["id"])


MISHAPS = [kill("worker"), kill("keeper"), kill("recorder"), kill("console"), reload, reload, restart_target, fill_disk,
           stop_a_while, kill_sessions, step_clock]


# ---- before and after ----

def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def state_of(w):
    pids = {p for ps in w.gateway.children().values() for p in ps} | {w.gateway.process.pid}
    return {p: (descriptors(p), resident(p)) for p in pids}


def grown(before, after):
    """Processes with more descriptors than before; master keeps a dead worker's ring for a minute."""
    return {p: (before[p], after[p]) for p in before if p in after and after[p][0] > before[p][0] + 4}


def recorded_marks(w):
    found = set()
    for path in sorted(w.store.glob("sessions/*/*.spr")):
        got = w.command("replay", path.stem, "--format", "jsonl", timeout=300)
        assert got.code == 0, repr(got)[:2000]
        found |= set(re.findall(r"m\d+_\d+x", got.out))
    return found


def executed_marks(w):
    """What the server says that it ran for us; what it refused to run is in ERROR lines' STATEMENT."""
    return set(re.findall(r"m\d+_\d+x", "\n".join(
        line for line in w.pg.log().splitlines() if re.search(r"LOG:  (statement|execute [^:]*|bind [^:]*|parse [^:]*):", line))))


def check(w, clients, before):
    wrong = [m for c in clients for m in c.wrong]  # (mark, kind, answer)
    assert not wrong, f"wrong answers: {wrong[:10]}"
    wait_for(lambda: not w.sessions(live=True), 30, said="sessions live on")
    executed, recorded = executed_marks(w), recorded_marks(w)
    missing = executed - recorded
    assert executed and not missing, f"{len(missing)} of {len(executed)} executed statements are in no recording: {sorted(missing)[:10]}"
    done = wait_for(lambda: (lambda v: v if v.code == 0 else None)(w.command("verify", w.store, timeout=300)), 60,
                    said=f"verify: {w.command('verify', w.store, timeout=300)!r}")
    wait_for(lambda: not grown(before, state_of(w)), 120, step=2, said=f"descriptors stay: {grown(before, state_of(w))}")
    after = state_of(w)
    fat = {p: (before[p], after[p]) for p in before if p in after and after[p][1] > 2 * before[p][1] + 65536}
    assert not fat, f"memory in KB: {fat}"
    print(f"  {len(executed)} statements that the server ran are all recorded; {done.out.splitlines()[-1]}", flush=True)


def small_store(w):
    """Recordings on a file system of their own, so that filling it hurts nobody else."""
    w.store = w.gateway.dir / "sessions"
    if not IS_ROOT or run(["mount", "-t", "tmpfs", "-o", f"size={STORE},mode=750", "tmpfs", w.store]).code != 0:
        MISHAPS.remove(fill_disk)
        print("  without full disks: a small file system cannot be mounted here", flush=True)
        return
    shutil.chown(w.store, "sallyport-recorder", "sallyport-recorder")


def soak(w, args):
    chance, clients = random.Random(args.seed), []
    for user in USERS:
        w.token(user, "dev", "10h")
    end = time.monotonic() + args.minutes * 60
    with psycopg.connect(w.dsn(), password=w.token("ann", "dev", "10h")) as c:
        c.execute("SELECT 1")
    before = state_of(w)
    clients = [Client(w, n, args.seed, end) for n in range(args.clients)]
    for c in clients:
        c.start()
    happened = {}
    while time.monotonic() < end - 5:
        time.sleep(0.5 + 2 * chance.random())
        mishap = chance.choice(MISHAPS)
        happened[mishap.__name__] = happened.get(mishap.__name__, 0) + 1
        with contextlib.suppress(KeyError, ProcessLookupError, IndexError):
            mishap(w, chance)
        left = max(0, end - time.monotonic())
        if sys.stdout.isatty():
            print(f"\r  {left:5.0f} s left, {sum(c.done for c in clients)} statements, {mishap.__name__:16}", end="", flush=True)
    for c in clients:
        c.join(60)
    if step_clock in MISHAPS:
        w.clock.step(-w.clock.ahead)
    print(f"\n  seed {args.seed}: {sum(c.done for c in clients)} statements, {sum(c.lost for c in clients)} connections lost, "
          f"{sum(c.refused for c in clients)} refused; " + ", ".join(f"{n} {k}" for k, n in sorted(happened.items())), flush=True)
    wait_for(lambda: w.psql("SELECT 1").out == "1", 30, said=f"it does not come back: {w.psql('SELECT 1')!r}")
    check(w, clients, before)


def main_():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--minutes", type=float, default=10)
    ap.add_argument("--clients", type=int, default=8)
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    ap.add_argument("--keep", action="store_true", help="leave the folder")
    args = ap.parse_args()
    policy = POLICY.replace("price-needs-lead", "nobody-waits").replace('tables = "public.orders"', 'tables = "public.nothing"')
    w = World(policy=policy, extra="limit sessions=900 per_user=400;", record="output head=64k;", pg_conf="log_connections = off\n")
    failed = True
    try:
        small_store(w)
        if SANITIZED:
            MISHAPS.remove(step_clock)
            print("  without steps of the clock: what does it is loaded before the sanitizers' own library", flush=True)
        else:
            w.clock = Clock(w)
        w.start()
        soak(w, args)
        failed = False
    finally:
        loud = w.gateway.loud()
        clean = w.gateway.stop(seconds=30)
        if failed or loud or not clean:
            print(loud or w.gateway.logs(60), flush=True)
        run(["umount", "-l", w.store])
        w.end(keep=args.keep)
    print("tally 1 0 0" if clean and not loud else "tally 0 1 0")
    return 0 if clean and not loud else 1


if __name__ == "__main__":
    sys.exit(main_())
