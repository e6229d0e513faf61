#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Faults: processes killed and stopped under load.  What must survive survives, the rest is said honestly (P1, P8, P10)."""

import random

from harness import *
from wire import *


def children(w, role):
    return w.gateway.children().get(role, [])


def with_token(w, user, groups="dev"):
    c = Wire.tcp(w.gateway.port)
    c.login(w.token(user, groups), user=user, database="orders")
    return c


def worker_of(w, c):
    """The worker that holds the other end of this connection."""
    port = c.sock.getsockname()[1]
    for pid in children(w, "worker"):
        if f":{port} " in run(["ss", "-Htnp", "sport", "=", f":{w.gateway.port}", "and", "dport", "=", f":{port}"]).out and \
                f"pid={pid}," in run(["ss", "-Htnp", "sport", "=", f":{w.gateway.port}", "and", "dport", "=", f":{port}"]).out:
            return pid
    raise AssertionError("no worker has it")


def one_on_each(w, user):
    """{worker's pid: a session}"""
    found = {}
    for _ in range(60):
        c = with_token(w, user)
        pid = worker_of(w, c)
        if pid in found:
            c.close()
        else:
            found[pid] = c
        if len(found) == len(children(w, "worker")):
            return found
    raise AssertionError("all connections went to one worker")


def settled(w):
    """All processes are there and serve."""
    wait_for(lambda: {r: len(p) for r, p in w.gateway.children().items()} ==
             {"keeper": 1, "recorder": 1, "console": 1, "worker": 2}, 20, said="not all processes came back")
    wait_for(lambda: w.psql("SELECT 1").out == "1", 20, said="nobody is served")


# ---- kill -9 ----

@test
def a_killed_worker_takes_only_its_own_sessions(w):
    each = one_on_each(w, "wanda")
    dead, survivor = list(each)
    for c in each.values():
        assert c.values("SELECT 'before'") == [[b"before"]]
    ids = {s["id"] for s in w.sessions(live=True) if s["user"] == "wanda"}
    os.kill(dead, signal.SIGKILL)
    assert each[dead].ended() == []
    assert each[survivor].values("SELECT 'after'") == [[b"after"]]
    wait_for(lambda: len(children(w, "worker")) == 2 and dead not in children(w, "worker"), 20, said="no worker took its place")
    settled(w)
    torn = wait_for(lambda: [s for s in w.sessions() if s["id"] in ids and s["state"] == "torn"], 10, said="its session is not torn")
    assert len(torn) == 1, torn
    got = wait_for(lambda: (lambda r: r if r.code == 0 and "before" in r.out else None)(
        w.command("replay", torn[0]["id"], "--speed", "0")), 20, said="the recording of the torn session lacks its operation")
    assert "torn" in (got.out + got.err + w.command("verify", torn[0]["id"]).out).lower(), repr(got)
    each[survivor].close()


@test
def a_killed_worker_withdraws_what_was_held(w):
    one = w.psql_waiting("UPDATE orders SET price = 1 WHERE id = 70", user="hank")
    request = w.waiting_request()
    for pid in children(w, "worker"):
        os.kill(pid, signal.SIGKILL)
    one.result()
    settled(w)
    after = [r for r in w.requests() if r["id"] == request["id"]]
    assert not after or after[0]["state"] == "withdrawn", after
    late = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert late.code == 1, repr(late)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 70") == "105.00"


@test
def a_killed_keeper_drops_no_session(w):
    live = with_token(w, "kit")
    held = w.psql_waiting("UPDATE orders SET price = 2 WHERE id = 71", user="kim")
    request = w.waiting_request()
    for _ in range(3):
        os.kill(children(w, "keeper")[0], signal.SIGKILL)
        assert live.values("SELECT 1") == [[b"1"]]  # what is remembered or allowed by rule needs no keeper
        settled(w)
        assert live.values("SELECT 2") == [[b"2"]]
    assert [s for s in w.sessions(live=True) if s["user"] == "kit"], "the new keeper does not know the session"
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    if done.code == 0:
        assert held.result().code == 0
        assert w.pg.sql("SELECT price FROM orders WHERE id = 71") == "2.00"
    else:  # withdrawn with the old keeper: the client is told
        assert held.result().code != 0
        assert w.pg.sql("SELECT price FROM orders WHERE id = 71") == "106.50"
    session = [s for s in w.sessions(live=True) if s["user"] == "kit"][0]["id"]
    assert w.command("kill", session).code == 0
    live.ended()


@test
def a_hung_keeper_ends_sessions_after_the_grace(w):
    """P6: nobody stays in whom nobody can check any more (store_grace 10s)."""
    live = with_token(w, "hug")
    os.kill(children(w, "keeper")[0], signal.SIGSTOP)
    try:
        assert live.values("SELECT 1") == [[b"1"]]
        live.sock.settimeout(30 * SLOW)
        seen = live.ended()
        assert any(kind == "E" and fields(body)["C"] == "28000" for kind, body in seen), seen
    finally:
        os.kill(children(w, "keeper")[0], signal.SIGCONT)
    settled(w)


@test
def cancel_keys_outlive_the_keeper(w):
    c = with_token(w, "cory")
    os.kill(children(w, "keeper")[0], signal.SIGKILL)
    settled(w)
    c.send(query("SELECT pg_sleep(33)"))
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(33)%' AND state = 'active'"
                              " AND pid <> pg_backend_pid()") == "1", said="it does not run")
    other = Wire.tcp(w.gateway.port)
    other.send(cancel(*c.key))
    other.ended()
    seen = c.until_ready()
    assert any(kind == "E" and fields(body)["C"] == "57014" for kind, body in seen), seen
    c.close()


@test
def a_killed_recorder_is_replaced_and_loses_nothing(w):
    live = with_token(w, "rec")
    for n in range(3):
        assert live.values(f"SELECT 'kept {n}'") == [[f"kept {n}".encode()]]
        os.kill(children(w, "recorder")[0], signal.SIGKILL)
        wait_for(lambda: len(children(w, "recorder")) == 1, 20, said="no recorder came")
        try:
            assert live.values("SELECT 1") == [[b"1"]]
        except (Closed, AssertionError) as e:  # P8: recorded or stopped
            assert "record" in str(e) or isinstance(e, Closed), e
            live = with_token(w, "rec")
    live.close()
    settled(w)
    ids = [s["id"] for s in w.sessions() if s["user"] == "rec"]
    wait_for(lambda: all(f"kept {n}" in "".join(w.command("replay", i, "--speed", "0").out for i in ids) for n in range(3)), 20,
             said="an operation that ran is not in the recording")


@test
def a_killed_console_is_replaced(w):
    live = with_token(w, "con")
    os.kill(children(w, "console")[0], signal.SIGKILL)
    settled(w)
    wait_for(lambda: w.command("sessions").code == 0, 10, said="the control socket is silent")
    assert live.values("SELECT 1") == [[b"1"]]
    live.close()


@test
def a_killed_backend_ends_its_session_only(w):
    one, other = with_token(w, "bea"), with_token(w, "ben")
    pid = int(one.values("SELECT pg_backend_pid()")[0][0])
    w.pg.sql(f"SELECT pg_terminate_backend({pid})")
    try:
        one.values("SELECT 1")
        raise AssertionError("it lives on without its backend")
    except (Closed, OSError):
        pass
    except AssertionError as e:
        assert "57P01" in str(e) or "closed" in str(e), e
    assert other.values("SELECT 1") == [[b"1"]]
    other.close()


@test
def a_killed_postmaster_is_survived(w):
    live = [with_token(w, f"pm{n}") for n in range(4)]
    os.kill(w.pg.pid(), signal.SIGKILL)
    for pid in run(["pgrep", "-f", str(w.pg.data)]).out.split():
        os.kill(int(pid), signal.SIGKILL)
    for c in live:
        try:
            c.send(query("SELECT pg_sleep(0)"))
            c.ended()
        except OSError:
            pass
    refused = w.psql("SELECT 1")
    assert refused.code == 2, repr(refused)
    pids = children(w, "worker")
    (w.pg.data / "postmaster.pid").unlink(missing_ok=True)
    for _ in range(20):
        try:
            w.pg.start()
            break
        except AssertionError:
            time.sleep(0.5)
    wait_for(lambda: w.psql("SELECT 1").out == "1", 20, said="the target is back, and nobody is served")
    assert children(w, "worker") == pids


@test
def random_kills_under_load(w):
    """What a client was told to be done is done; every process comes back; recordings can be verified."""
    w.pg.sql("CREATE TABLE IF NOT EXISTS public.tally (who text, n int); GRANT ALL ON tally TO app_gw")
    told, stop = {}, threading.Event()

    def load(who):
        n = 0
        while not stop.is_set():
            try:
                c = with_token(w, who)
                while not stop.is_set():
                    n += 1
                    c.values(f"INSERT INTO tally VALUES ('{who}', {n})")
                    told.setdefault(who, []).append(n)
                c.close()
            except (Closed, OSError, AssertionError):
                time.sleep(0.05)
    for n in range(4):
        w.token(f"rnd{n}")
    threads = [threading.Thread(target=load, args=(f"rnd{n}",)) for n in range(4)]
    for t in threads:
        t.start()
    chance = random.Random(4711)
    try:
        for _ in range(12):
            time.sleep(chance.uniform(0.1, 0.7))
            role = chance.choice(("worker", "worker", "keeper", "recorder"))
            pids = children(w, role)
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)
    finally:
        stop.set()
        for t in threads:
            t.join()
    settled(w)
    for who, numbers in told.items():
        there = set(map(int, w.pg.sql(f"SELECT n FROM tally WHERE who = '{who}'").split()))
        assert set(numbers) <= there, f"{who} was told of {sorted(set(numbers) - there)[:5]}, which the target lacks"
    assert sum(map(len, told.values())) > 20, told
    print(f"        {sum(map(len, told.values()))} statements acknowledged, 12 kills")


# ---- stopped, slow and hung (P10) ----

@test
def a_stuck_worker_is_ended_and_replaced(w):
    each = one_on_each(w, "stu")
    stuck, other = list(each)
    os.kill(stuck, signal.SIGSTOP)
    try:
        wait_for(lambda: stuck not in children(w, "worker"), 20, said="a worker that is stuck stays")
    finally:
        try:
            os.kill(stuck, signal.SIGCONT)
        except ProcessLookupError:
            pass
    assert each[other].values("SELECT 1") == [[b"1"]]
    settled(w)
    assert "gave no sign for a second" in w.gateway.logs(200)
    each[other].close()


def goes_on(w, each):
    """P10: two seconds in which no session of `each` waits for half of them: a worker that waits for a sick peer lets all wait as long."""
    delayed_nobody(w, {f"beside {n}": c for n, c in enumerate(each.values())}, lambda: time.sleep(2 * SLOW), SLOW)


@test
def a_slow_client_delays_nobody(w):
    """It asks for a lot and reads a byte a second; its neighbours on both workers go on."""
    each = one_on_each(w, "neigh")
    greedy = [with_token(w, "slow") for _ in range(6)]
    for c in greedy:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"))
    for c in greedy:
        c.sock.recv(1)
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND query LIKE '%generate_series(1, 300000)%'") == "6",
             60, said="the target sends on to clients that do not read")
    goes_on(w, each)
    resident = max(int(run(["ps", "-o", "rss=", "-p", str(pid)]).out) for pid in each)
    assert resident < 300 * 1024, f"a worker holds {resident} kB for clients that do not read"
    for c in greedy:
        c.sock.close()
    for c in each.values():
        c.close()


@test
def a_hung_target_delays_nobody(w):
    each = one_on_each(w, "near")
    hung = [with_token(w, "hung") for _ in range(4)]
    pids = [int(c.values("SELECT pg_backend_pid()")[0][0]) for c in hung]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for c in hung:
            c.send(query("SELECT 1"))
        goes_on(w, each)
        session = [s for s in w.sessions(live=True) if s["user"] == "hung"][0]["id"]
        assert w.command("kill", session).code == 0  # the hung one can be ended, too
        wait_for(lambda: len([s for s in w.sessions(live=True) if s["user"] == "hung"]) == 3, 10, said="it can't be killed")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for c in hung:
        c.sock.close()
    for c in each.values():
        c.close()


@test
def a_held_approval_delays_nobody(w):
    each = one_on_each(w, "beside")
    held = [with_token(w, f"held{n % 5}") for n in range(20)]
    for n, c in enumerate(held):
        c.send(query(f"UPDATE orders SET price = 3 WHERE id = {n + 10}"))

    def waiting():
        return [r for r in w.requests() if r["state"] == "waiting"]
    wait_for(lambda: len(waiting()) == 20, 20, said="not all are held")
    goes_on(w, each)
    assert len(waiting()) == 20, "they were not held all the time"
    for c in held:
        c.sock.close()
    wait_for(lambda: not waiting(), 20, said="they wait for nobody")
    for c in each.values():
        c.close()


@test
def a_hung_postmaster_is_a_deadline(w):
    """Connections that the target's kernel accepts and nobody serves."""
    g = w.gateway
    g.target_extra = "timeout connect=2s login=2s;"
    g.write()
    assert g.reload().code == 0
    live = with_token(w, "lia")
    os.kill(w.pg.pid(), signal.SIGSTOP)
    try:
        got = w.psql("SELECT 1", user="late")
        assert got.code == 2, repr(got)
        assert live.values("SELECT 1") == [[b"1"]]
    finally:
        os.kill(w.pg.pid(), signal.SIGCONT)
        g.target_extra = ""
        g.write()
        assert g.reload().code == 0
    live.close()


@test
def a_killed_master_takes_all_along(w):
    """Nobody serves without its master; what was recorded is there at the next start."""
    live = with_token(w, "mary")
    assert live.values("SELECT 'last'") == [[b"last"]]
    pids = [pid for some in w.gateway.children().values() for pid in some]
    w.gateway.process.kill()
    w.gateway.process.wait()

    def gone(pid):
        try:
            return open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True
    wait_for(lambda: all(gone(pid) for pid in pids), 20, said="a process lives on without its master")
    w.gateway.control.unlink(missing_ok=True)
    w.gateway.start()
    # torn; or ended, where its worker heard of it before it was gone itself
    session = wait_for(lambda: [s for s in w.sessions() if s["user"] == "mary" and s["state"] in ("torn", "ended")], 60,
                       said="the session lives on")[0]["id"]
    assert "last" in w.command("replay", session, "--speed", "0").out


main(extra="store_grace 10s;")
