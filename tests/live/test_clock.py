#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The clock on the wall is put forward and back by an hour: sessions, their limits and their recordings go on, everybody can see
it, and what is good until a time of that clock is never good for longer.  See clock_world.py."""

import http.client
import ssl

from clock_world import *

try:
    import psycopg
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")
    import psycopg

HOUR = 3600


def stepped(w):
    return [x for x in w.gateway.audit() if x.get("event") == "clock stepped"]


def step(w, seconds):
    """The gateway's clock, until it has noticed."""
    before = len(stepped(w))
    w.clock.step(seconds)
    line = wait_for(lambda: (s := stepped(w))[before:] and s[-1], 30, said=f"nothing says that the clock was stepped\n{w.gateway.logs()}")
    assert abs(line["seconds"] - seconds) < 30, line
    return line


def live_one(w, token):
    one = psycopg.connect(w.dsn(), password=token, autocommit=True)
    lives(one)
    return one


def lives(one):
    assert one.execute("SELECT 'lives'").fetchall() == [("lives",)]


def ends(w, one):
    """No statement of it runs any more, and it goes."""
    wait_for(lambda: not w.sessions(live=True), 60, said="the session lives on")
    try:
        lives(one)
        raise AssertionError("a statement ran after its end")
    except psycopg.Error:
        one.close()


def refused(w, token):
    got = w.psql("SELECT 1", token=token)
    assert got.code != 0, f"let in: {got!r}"
    return got


@test
def sessions_and_limits_go_on(w):
    """`idle=20m`: an hour forward is no idleness.  A session of ten hours lives on over both steps, and so does its recording."""
    one = live_one(w, token=w.token(ttl="10h", fresh=True))
    session = w.last_session()
    for seconds in (HOUR, -HOUR, -HOUR, HOUR):
        line = step(w, seconds)
        assert line["to"] > line["from"] if seconds > 0 else line["to"] < line["from"], line
        lives(one)
    assert "the clock was stepped by +3600" in w.gateway.logs(400) and "the clock was stepped by -3600" in w.gateway.logs(400)
    one.close()
    wait_for(lambda: w.signed(session), 30, said="the recording does not end")
    done = w.command("verify", session)
    assert done.code == 0, repr(done)
    told = w.command("replay", session, "--format", "jsonl")
    assert told.code == 0 and told.out.count("'lives'") >= 4, repr(told)


@test
def what_is_good_until_then_is_good_no_longer(w):
    """Forward: a token of half an hour is over, with its session.  Back: one of the time that has not come yet is refused."""
    short = w.token(ttl="30m", fresh=True)
    one = live_one(w, token=short)
    step(w, HOUR)
    refused(w, short)
    ends(w, one)
    later = w.token(ttl="30m", fresh=True)
    assert w.psql("SELECT 1", token=later).out == "1"
    step(w, -HOUR)
    refused(w, later)
    assert w.psql("SELECT 1", token=w.token(ttl="30m", fresh=True)).out == "1"


@test
def back_is_no_longer_life(w):
    """A session with seconds left ends after them, though the clock on the wall says that an hour and seconds are left."""
    one = live_one(w, token=w.token(ttl="8s", fresh=True))
    step(w, -HOUR)
    ends(w, one)
    step(w, HOUR)


@test
def held_ones(w):
    """Forward: nobody may decide any more, and it does not run.  Back: a person still decides, and it runs once."""
    lead = w.token("lea", "leads", api=True, ttl="10h", fresh=True)
    ann = w.token(ttl="10h", fresh=True)
    one = w.psql_waiting("UPDATE orders SET state = 'late' WHERE id = 1", token=ann)
    request = w.waiting_request(30)
    step(w, HOUR)
    assert w.command("approve", request["id"], token=lead).code != 0
    got = one.result()
    assert got.code != 0, repr(got)
    assert w.pg.sql("SELECT state FROM orders WHERE id = 1") != "late"
    two = w.psql_waiting("UPDATE orders SET state = 'done' WHERE id = 2", token=ann)
    request = w.waiting_request(30)
    step(w, -HOUR)
    lead = w.token("lea", "leads", api=True, ttl="10h", fresh=True)
    done = w.command("approve", request["id"], token=lead)
    assert done.code == 0, repr(done)
    got = two.result()
    assert got.code == 0, repr(got)
    assert w.pg.sql("SELECT state FROM orders WHERE id = 2") == "done"


@test
def all_of_it_verifies(w):
    wait_for(lambda: not w.sessions(live=True), 30, said="sessions live on")
    done = wait_for(lambda: (v := w.command("verify", w.gateway.dir / "sessions")).code == 0 and v, 30, said="it does not verify")
    assert done.code == 0, repr(done)
    assert len(stepped(w)) == w.clock.steps, stepped(w)
    text = metrics(w, w.token("met", "metrics", api=True, ttl="10h", fresh=True))
    assert re.search(rf"^sallyport_clock_steps_total {w.clock.steps}$", text, re.M), text


def metrics(w, token):
    c = http.client.HTTPSConnection("localhost", w.gateway.console_port, timeout=30 * SLOW,
                                    context=ssl.create_default_context(cafile=str(w.gateway.dir / "tls" / "cert.pem")))
    c.request("GET", "/metrics", headers={"Authorization": "Bearer " + token})
    text = c.getresponse().read().decode()
    c.close()
    return text


def with_its_clock(w):
    if SANITIZED:
        raise Skip("what steps the clock would be loaded before the sanitizers' own library, which does not allow it")
    w.clock = Clock(w)


main(before=with_its_clock, console=True, target_extra="timeout idle=20m;")
