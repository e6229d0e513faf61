#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P11, AV3: a reload takes over whole or not at all, and a live session follows where the design says so.

The table (DESIGN section 3): policy, labels, allow, limits and idle timeout count at once for live
sessions; server, login, tls and module settings for new ones only.  One test per row.
"""

import contextlib
import os
import pathlib
import time

from harness import *

WATCHED = """
rule "no-numbers" { doc = "x", on = "sql.statement", when = { tables = "public.numbers" }, deny = "closed" }
"""
BY_LABEL = """
rule "frozen" { doc = "x", on = "sql.statement", when = { freeze = "on", tables = "public.numbers" }, deny = "frozen" }
"""


class Fresh:
    """The gateway as it was, whatever a test changes."""

    def __init__(self, w):
        self.w = w

    def __enter__(self):
        return self.w.gateway

    def __exit__(self, *_):
        g = self.w.gateway
        g.policy, g.extra, g.target_extra, g.more_targets = POLICY, "", "", ""
        g.write()
        done = g.reload()
        assert done.code == 0, repr(done)


def again(g, text=None):
    g.write(text)
    done = g.reload()
    assert done.code == 0, repr(done)


def live_one(w, user):
    one = w.psql_waiting(stdin="SELECT 'in';\n", user=user, args=("-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"))
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == user], said="no live session")
    return one


def ended(w, user, what, seconds=10):
    """The session of that user ends by itself, for that reason."""
    over = wait_for(lambda: [s for s in w.sessions() if s["user"] == user and s["state"] == "ended"], seconds,
                    said=f"the session of {user} did not end")[0]
    assert what in over["why"] + " " + over["text"], over


def refused_reload(w, what, text=None):
    """Reload says why, changes nothing, drops nobody."""
    g = w.gateway
    one = live_one(w, "steady")
    g.write(text)
    done = g.reload()
    assert done.code == 1 and what in done.err + done.out, repr(done)
    tested = g.daemon("-t")
    assert tested.code == 1 and what in tested.err + tested.out, repr(tested)
    one.say("SELECT 'still';\n")
    got = one.result()
    assert got.out.split() == ["in", "still"], repr(got)
    assert w.psql("SELECT 1").out == "1"


def rings(pid):
    """How many io_uring a process has open; without root nobody may look."""
    if not IS_ROOT:
        return 0
    found = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    return found.count("anon_inode:[io_uring]")


@test
def without_a_ring_come_new_workers(w):
    with Fresh(w) as g:
        old = g.children()["worker"]
        one = live_one(w, "rita")
        had = [rings(pid) for pid in old]
        assert had in ([1] * len(old), [0] * len(old)), had  # the kernel gives it to all or to none
        again(g, g.conf_text() + "io_uring off;\n")
        new = [pid for pid in g.children()["worker"] if pid not in old]
        assert len(new) == g.workers and [rings(pid) for pid in new] == [0] * len(new), (old, new)
        assert w.psql("SELECT 1").out == "1"
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out
    if had[0] == 0:
        print("        no io_uring was seen: the kernel gives none, or this is not root")


# ---- nothing happens ----

@test
def bad_conf_is_refused(w):
    with Fresh(w) as g:
        refused_reload(w, 'unknown directive "workrs", did you mean "workers"?', g.conf_text() + "workrs 3;\n")
        g.process.send_signal(signal.SIGHUP)  # what -s does not even send
        wait_for(lambda: 'the configuration is refused' in g.logs(), said="master did not say why")


@test
def bad_policy_is_refused(w):
    with Fresh(w) as g:
        g.policy = 'rule "broken" {'
        refused_reload(w, "orders.lua:1")


@test
def policy_with_an_unknown_attribute_is_refused(w):
    with Fresh(w) as g:
        g.policy = POLICY + 'rule "x" { doc = "x", on = "sql.statement", when = { tabels = "a" }, deny = "x" }\n'
        refused_reload(w, "tabels")


@test
def failing_policy_test_is_refused(w):
    with Fresh(w) as g:
        g.policy = POLICY
        g.write()
        path = g.dir / "policies" / "orders_test.lua"
        path.write_text('test "it is denied" { as = { user = "ann", groups = { "dev" } }, send = sql [[SELECT 1]], expect = "deny by no-unbounded-write" }\n')
        try:
            refused_reload(w, "it is denied")
        finally:
            path.unlink()


@test
def bad_module_is_refused(w):
    with Fresh(w) as g:
        path = g.dir / "broken.so"
        path.write_bytes(b"\x7fELF not quite")
        refused_reload(w, "broken.so", g.conf_text() + f"load_module {path};\n")
        path.write_bytes((g.modules() / "postgres.so").read_bytes())
        path.chmod(0o777)  # writable by others: never trusted
        refused_reload(w, "broken.so", g.conf_text() + f"load_module {path};\n")


@test
def taken_port_is_refused(w):
    with Fresh(w) as g, socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        g.write(g.conf_text() + f"listener more {{ listen 127.0.0.1:{port}; protocol postgres; cleartext loopback; }}\n")
        done = g.reload()
        assert done.code == 1 and str(port) in done.err, repr(done)
        assert w.psql("SELECT 1").out == "1"


@test
def another_store_is_refused(w):
    with Fresh(w) as g:
        g.write(g.conf_text().replace("keeper/state.db", "keeper/other.db"))
        done = g.reload()
        assert done.code == 1 and "restart" in done.err, repr(done)
        assert w.psql("SELECT 1").out == "1"


def keeper_secret(g, folder, text):
    owned(folder, "sallyport-keeper")
    path = folder / "orders.secret"
    path.write_text(text + "\n")
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
    return path


@test
def secret_in_a_new_folder_is_taken(w):
    """Landlock names folders at a process's start: the keeper starts again, and no session is dropped."""
    with Fresh(w) as g:
        one = live_one(w, "fold")
        before = g.children()["keeper"]
        path = keeper_secret(g, w.dir / "elsewhere", w.pg.password)
        again(g, g.conf_text().replace(f"{g.dir}/keeper/orders.secret", str(path)))
        assert g.children()["keeper"] != before
        assert w.psql("SELECT 1", user="newfold").out == "1"
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out


@test
def missing_secret_is_refused_and_the_old_serves_on(w):
    with Fresh(w) as g:
        one = live_one(w, "miss")
        for where in (g.dir / "keeper" / "nothing", w.dir / "nowhere" / "nothing"):
            g.write(g.conf_text().replace(f"{g.dir}/keeper/orders.secret", str(where)))
            done = g.reload()
            assert done.code == 1 and "nothing" in done.err, repr(done)
            wait_for(lambda: w.psql("SELECT 1", user="old").code == 0, 20, said="the old configuration does not serve")
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out


# ---- live sessions follow ----

@test
def policy_counts_at_once(w):
    with Fresh(w) as g:
        one = live_one(w, "polly")
        g.policy = POLICY + WATCHED
        again(g)
        one.say("SELECT count(*) FROM numbers;\nSELECT 'lives';\n")
        got = one.result()
        assert 'blocked by rule "no-numbers"' in got.err and "lives" in got.out, repr(got)


@test
def label_counts_at_once(w):
    with Fresh(w) as g:
        g.policy = POLICY + BY_LABEL
        calm = g.conf_text().replace("label     env=prod;", "label     env=prod freeze=off;")
        again(g, calm)
        one = live_one(w, "lab")
        one.say("SELECT count(*) FROM numbers;\n")
        wait_for(lambda: "FROM numbers" in w.pg.log(), said="the first statement did not run")
        again(g, calm.replace("freeze=off", "freeze=on"))
        one.say("SELECT count(*) FROM numbers;\n")
        got = one.result()
        assert "20000" in got.out and 'blocked by rule "frozen"' in got.err, repr(got)


@test
def allow_counts_at_once(w):
    with Fresh(w) as g:
        one = live_one(w, "allan")
        again(g, g.conf_text().replace("allow     groups=dba,dev,leads,fraud;", "allow     groups=dba;"))
        ended(w, "allan", "revoked")
        with contextlib.suppress(BrokenPipeError):  # psql may have heard, and ended
            one.say("SELECT 'late';\n")
        assert "late" not in one.result().out


@test
def target_removed_ends_the_session_as_revoked(w):
    with Fresh(w) as g:
        text = g.conf_text()
        g.more_targets = TARGET.format(name="second", port=w.pg.port, dir=g.dir, extra="database postgres;").replace(
            "database  orders;", "")
        again(g)
        one = w.psql_waiting(stdin="SELECT 'in';\n", user="tara", database="second")
        wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "tara"], said="no live session")
        g.more_targets = ""
        again(g, text)
        ended(w, "tara", "revoked")
        one.result()


@test
def session_limit_counts_at_once_for_admission(w):
    with Fresh(w) as g:
        one = live_one(w, "lim")
        g.target_extra = "limit per_user=1;"
        again(g)
        more = w.psql("SELECT 1", user="lim")
        assert more.code == 2 and "too many sessions" in more.err, repr(more)
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out  # those that are in stay in


@test
def idle_timeout_counts_at_once(w):
    with Fresh(w) as g:
        one = live_one(w, "ida")
        g.target_extra = "timeout idle=1s;"
        again(g)
        ended(w, "ida", "idle")
        one.result()


@test
def server_counts_for_new_sessions_only(w):
    with Fresh(w) as g:
        one = live_one(w, "serv")
        dead = free_port()
        again(g, g.conf_text().replace(f"server    127.0.0.1:{w.pg.port};", f"server    127.0.0.1:{dead};"))
        new = w.psql("SELECT 1", user="newserv")
        assert new.code == 2, repr(new)
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out


@test
def cancel_goes_to_the_old_server(w):
    """A live session's side connections follow the session, not the new `server`."""
    with Fresh(w) as g:
        one = w.psql_waiting("SELECT pg_sleep(30)", user="canny")
        wait_for(lambda: sleeping(w) == "1", said="it does not run")
        again(g, g.conf_text().replace(f"server    127.0.0.1:{w.pg.port};", f"server    127.0.0.1:{free_port()};"))
        one.interrupt()
        got = one.result()
        assert "57014" in got.err or "canceling" in got.err, repr(got)


def sleeping(w):
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
                    " AND pid <> pg_backend_pid()")


@test
def login_counts_for_new_sessions_only(w):
    with Fresh(w) as g:
        w.pg.sql("DROP ROLE IF EXISTS other_gw", "postgres")
        w.pg.sql("CREATE ROLE other_gw LOGIN PASSWORD '%s'" % w.pg.password, "postgres")
        one = live_one(w, "log")
        again(g, g.conf_text().replace("user=app_gw", "user=other_gw"))
        assert w.psql("SELECT current_user", user="newlog").out == "other_gw"
        one.say("SELECT current_user;\n")
        assert "app_gw" in one.result().out


@test
def tls_counts_for_new_sessions_only(w):
    with Fresh(w) as g:
        one = live_one(w, "tess")
        again(g, g.conf_text().replace("tls       off;", "tls       require;"))
        new = w.psql("SELECT 1", user="newtess")
        assert new.code == 2 and "TLS" in new.err + g.logs(), repr(new)
        one.say("SELECT 'lives';\n")
        assert "lives" in one.result().out


@test
def module_settings_count_for_new_sessions_only(w):
    with Fresh(w) as g:
        long = "SELECT '" + "x" * 3000 + "' = 'y';\n"
        one = live_one(w, "mod")
        g.target_extra = "statement_max 2k;"
        again(g)
        assert w.psql(long, user="newmod").code != 0
        one.say(long)
        assert one.result().out.split() == ["in", "f"]


@test
def held_ones_are_judged_again(w):
    with Fresh(w) as g:
        one = w.psql_waiting("UPDATE orders SET price = 3 WHERE id = 3", user="holly")
        w.waiting_request()
        g.policy = POLICY + 'rule "no-updates" { doc = "x", on = "sql.statement", when = { verb = "update" }, deny = "not now" }\n'
        again(g)
        got = one.result()
        assert 'blocked by rule "no-updates"' in got.err, repr(got)
        wait_for(lambda: all(r["state"] != "waiting" for r in w.requests()), 5, said="its request still waits")


@test
def approval_before_a_reload_meets_the_new_policy(w):
    """AP3: approved under the old policy, denied by the new one before it runs."""
    with Fresh(w) as g:
        one = w.psql_waiting("UPDATE orders SET price = 4 WHERE id = 4", user="race")
        request = w.waiting_request()
        g.policy = POLICY + "-- the same rules\n"
        again(g)  # the same rule hash keeps waiting
        assert [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"], w.requests()
        done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
        assert done.code == 0, repr(done)
        assert one.result().code == 0
        assert w.pg.sql("SELECT price FROM orders WHERE id = 4") == "4.00"


def crossing(w, g):
    """Approved for one rule while the worker does not listen; when it does, another rule asks.  False: master ended it."""
    g.policy = POLICY
    again(g)
    one = w.psql_waiting("UPDATE orders SET price = 5 WHERE id = 5", user="cross")
    request = w.waiting_request()
    lea = w.token("lea", "leads", api=True)
    g.policy = POLICY.replace('"leads"', '"owners"')
    g.write()
    epoch = w.command("status", "--json").json["epoch"]
    workers = g.children()["worker"]
    g.process.send_signal(signal.SIGHUP)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        # Workers are given it once the keeper has it: then it waits at their doors, and the decision comes behind it.
        wait_for(lambda: w.command("status", "--json").json["epoch"] > epoch, said="the keeper took no new epoch")
        time.sleep(0.3)
        done = w.command("approve", request["id"], token=lea)
    finally:
        alive = set(g.children()["worker"]) & set(workers)
        for pid in alive:
            os.kill(pid, signal.SIGCONT)
    if alive != set(workers):
        one.interrupt()
        one.result()
        return False
    assert done.code == 0, repr(done)
    wait_for(lambda: not one.running() or [r for r in w.requests() if r["state"] == "waiting" and r["id"] != request["id"]],
             said="nothing was asked anew")
    assert one.running(), f"the leads' word counted for the owners' rule: {one.result()!r}"
    assert w.pg.sql("SELECT price FROM orders WHERE id = 5") != "5.00"
    done = w.command("approve", w.waiting_request()["id"], token=w.token("olga", "owners", api=True))
    assert done.code == 0, repr(done)
    assert one.result().code == 0
    return True


@test
def a_decision_that_crosses_a_reload_is_for_its_own_rule(w):
    """AP3, P7: master ends a worker that shows no sign for a second, so it may take more than one try."""
    with Fresh(w) as g:
        assert any(crossing(w, g) for _ in range(8)), "no worker was quick enough"


# ---- AV3 ----

@test
def hangups_every_100_ms_drop_nothing(w):
    """AV3: good and bad configurations in turn, under load; new sessions come in all the while."""
    with Fresh(w) as g:
        script = "".join(f"SELECT {n};\n" for n in range(600))
        live = [w.psql_waiting(stdin=script, user=f"load{n}") for n in range(6)]
        n = 0
        while any(one.running() for one in live) and n < 100:
            g.policy = POLICY + (f"-- version {n}\n" if n % 3 != 0 else 'rule "broken" {')
            g.write()
            g.process.send_signal(signal.SIGHUP)
            if n % 5 == 0:
                assert w.psql("SELECT 1", user="comer").out == "1"
            n += 1
            time.sleep(0.1)
        for one in live:
            got = one.result()
            assert got.code == 0 and got.out.splitlines() == [str(n) for n in range(600)], repr(got)[-800:]
        print(f"        {n} hangups")


main()
