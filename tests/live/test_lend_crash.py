#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ephemeral roles when processes die: lender, keeper, workers, all of them; at a stop; when their target goes."""

from lend_world import *


@test
def a_dead_lender_leaves_nothing(w):
    prepare(w)
    one = session(w)
    restart(w, "lend")
    one.say("SELECT 'still';\n")
    assert len(roles(w)) == 1
    one.process.stdin.close()
    assert "still" in one.process.stdout.read()
    one.process.wait()
    no_roles(w)
    assert wait_for(lambda: ask(w, "SELECT 1").out == "1", said="no session after the lender's death")
    no_roles(w)


@test
def a_lender_that_dies_at_some_steps_leaves_nothing(w):
    """long_lend.py has all of them."""
    prepare(w)
    if shutil.which("strace") is None:
        skip("strace is not installed (apt-get install strace)")
    ask(w, "SELECT 1")  # both of its connections are there
    no_roles(w)
    try:
        killed = [killed_at(w, nth) for nth in (2, 5)]
    except CannotTrace as e:
        skip(f"strace may not trace here: {e}")
    assert all(killed), "it was not killed: this test could not fail"


@test
def a_dead_keeper_leaves_nothing(w):
    prepare(w)
    one, two = session(w), session(w)
    wait_for(lambda: len(roles(w)) == 2, said="no two roles")
    restart(w, "keeper")
    wait_for(lambda: len([s for s in w.sessions(live=True) if s["target"] == "eph"]) == 2, said="sessions did not resume")
    one.say("SELECT 'still';\n")
    one.process.stdin.close()
    assert "still" in one.process.stdout.read()
    one.process.wait()
    wait_for(lambda: len(roles(w)) == 1, 20, said=f"not one role: {roles(w)}\n{w.gateway.logs()}")
    two.process.stdin.close()
    two.process.wait()
    no_roles(w, 20)


@test
def a_dead_worker_leaves_nothing(w):
    prepare(w)
    one = session(w)
    for pid in w.gateway.children()["worker"]:
        os.kill(pid, signal.SIGKILL)
    one.result()
    no_roles(w)
    wait_for(lambda: ask(w, "SELECT 1").out == "1", said="no session after the workers' death")


@test
def all_dead_leaves_nothing(w):
    """Master, and with it everybody: the next start sweeps."""
    prepare(w)
    one = session(w)
    role = roles(w)
    w.gateway.process.kill()
    w.gateway.process.wait()
    one.result()
    assert roles(w) == role
    w.gateway.start()
    no_roles(w, 20)
    wait_for(lambda: "left over from sessions" in w.gateway.logs(), said="no word of it")


@test
def a_stop_gives_everything_back(w):
    prepare(w)
    one, two = session(w), session(w)
    wait_for(lambda: len(roles(w)) == 2, said="no two roles")
    assert w.gateway.stop()
    one.result(), two.result()
    assert not roles(w), roles(w)
    w.gateway.start()


@test
def a_target_that_goes_gives_everything_back(w):
    prepare(w)
    one = session(w)
    kept, w.gateway.more_targets = w.gateway.more_targets, ""
    reload(w)
    one.result()
    no_roles(w)
    wait_for(lambda: not w.gateway.children().get("lend"), said="the lender stays")
    w.gateway.more_targets = kept
    reload(w)
    wait_for(lambda: ask(w, "SELECT 1").out == "1", said="no session after it came back")
    no_roles(w)


main()
