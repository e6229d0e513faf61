#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P6, AP7: a token's end, a revocation and a kill reach live sessions, and what they run at the target."""

from harness import *
from wire import *


def running(w, seconds):
    return w.pg.sql(f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep({seconds})%' AND state = 'active'"
                    " AND pid <> pg_backend_pid()") != "0"


def busy(w, user, seconds, **more):
    """A session of that user with a statement at work."""
    one = w.psql_waiting(f"SELECT pg_sleep({seconds})", user=user, **more)
    wait_for(lambda: running(w, seconds), said="it does not run")
    return one


def ended(w, user, what, seconds=10):
    over = wait_for(lambda: [s for s in w.sessions() if s["user"] == user and s["state"] == "ended"], seconds,
                    said=f"the session of {user} did not end")[0]
    assert what in over["why"] + " " + over["text"], over


def with_token(w, user, token):
    c = Wire.tcp(w.gateway.port)
    c.login(token, user=user, database="orders")
    return c


@test
def a_minute_before_comes_a_notice(w):
    c = with_token(w, "nora", w.token("nora", ttl="63s", fresh=True))
    assert not c.notices
    c.sock.settimeout(20 * SLOW)
    try:
        head = c.take(5)  # nothing is asked: the notice comes by itself
        assert head[:1] == b"N", head
        text = fields(c.take(struct.unpack("!I", head[1:])[0] - 4))
    finally:
        c.sock.settimeout(10)
    assert "expires in 1 minute" in text["M"], text
    assert c.values("SELECT 1") == [[b"1"]]
    c.close()


@test
def five_minutes_before_comes_a_notice(w):
    c = with_token(w, "nick", w.token("nick", ttl="302s", fresh=True))
    wait_for(lambda: c.values("SELECT 1") and c.notices, 20, said="no notice came")
    assert "expires in 5 minutes" in c.notices[0]["M"] and len(c.notices) == 1, c.notices
    c.close()


@test
def no_operation_starts_after_expiry(w):
    c = with_token(w, "exa", w.token("exa", ttl="2s", fresh=True))
    last = None
    try:
        for _ in range(10000):
            c.values("SELECT 1")
            last = time.time()
    except (Closed, AssertionError, OSError) as e:
        assert "28000" in str(e) or "expired" in str(e) or isinstance(e, (Closed, OSError)), e
    assert last is not None
    ended(w, "exa", "expired")


@test
def expiry_ends_what_runs_at_the_target(w):
    one = busy(w, "exo", 41, token=w.token("exo", ttl="3s", fresh=True))
    got = one.result()
    assert "expired" in got.err, repr(got)
    wait_for(lambda: not running(w, 41), 20, said="the target still runs it")


@test
def drain_lets_a_running_one_finish_and_no_other_start(w):
    g = w.gateway
    g.extra = "drain 20s;"
    g.write()
    assert g.reload().code == 0
    try:
        c = with_token(w, "dora", w.token("dora", ttl="3s", fresh=True))
        started = time.time()
        assert c.values("SELECT pg_sleep(5), 'done'")[0][1] == b"done"
        assert time.time() - started > 4
        try:
            seen = c.ask(query("SELECT 'late'"))
            assert all(kind != "D" for kind, _ in seen), seen
        except (Closed, OSError):
            pass
        ended(w, "dora", "expired")
    finally:
        g.extra = ""
        g.write()
        assert g.reload().code == 0


@test
def held_past_expiry_never_runs(w):
    token = w.token("hope", ttl="4s", fresh=True)
    one = w.psql_waiting("UPDATE orders SET price = 66 WHERE id = 66", user="hope", token=token)
    request = w.waiting_request()
    got = one.result()
    assert got.code != 0 and "expired" in got.err, repr(got)
    late = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert late.code == 1, repr(late)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 66") == "99.00"


@test
def a_job_goes_on_by_a_fresh_token(w):
    """`sallyport run`: one session, and new ones, long past the first token's end."""
    command = f"{w.stage}/bin/sallyport token --user job --groups dev --class workload --ttl 6s"
    job = f"""
    before=$(cat "$SALLYPORT_TOKEN_FILE")
    (for i in 1 2 3 4 5 6 7 8 9 10; do echo "SELECT 'turn ' || $i;"; sleep 1; done) | psql -qAt '{w.dsn()} user=token' || exit 3
    psql -qAt '{w.dsn()} user=token' -c "SELECT 'anew'" || exit 4
    [ "$before" != "$(cat "$SALLYPORT_TOKEN_FILE")" ] || exit 5
    [ -z "$PGPASSWORD$SALLYPORT_TOKEN" ] || exit 6
    ls -l "$SALLYPORT_TOKEN_FILE" "$PGPASSFILE" | grep -qv '^-rw-------' && exit 7
    echo "$SALLYPORT_TOKEN_FILE" > {w.dir}/where
    exit 42"""
    done = run([w.stage / "bin" / "sallyport", "run", "--token-command", command, "--", "sh", "-c", job],
               env={**os.environ, "SALLYPORT_CONTROL": str(w.gateway.control), "PGPASSWORD": ""}, timeout=60 * SLOW)
    assert done.code == 42, repr(done)
    assert [line for line in done.out.splitlines() if line] == [f"turn {i}" for i in range(1, 11)] + ["anew"], repr(done)
    assert not pathlib.Path((w.dir / "where").read_text().strip()).parent.exists(), "the token was left behind"
    assert [s for s in w.sessions() if s["user"] == "job"]


@test
def a_job_whose_token_is_not_renewed_loses_its_session(w):
    first = w.token("jim", ttl="9s", fresh=True)
    other = w.token("eve", fresh=True)
    script = w.dir / "next-token"
    script.write_text(f"#!/bin/sh\nif [ -e {w.dir}/asked ]; then echo {other}; else touch {w.dir}/asked; echo {first}; fi\n")
    script.chmod(0o755)
    job = f"(echo 'SELECT 1;'; sleep 11; echo 'SELECT 2;') | psql -qAt -v ON_ERROR_STOP=1 '{w.dsn()} user=token'"
    done = run([w.stage / "bin" / "sallyport", "run", "--token-command", script, "--", "sh", "-c", job],
               env={**os.environ, "SALLYPORT_CONTROL": str(w.gateway.control)}, timeout=60 * SLOW)
    assert done.code != 0 and done.out.strip() == "1" and "expired" in done.err, repr(done)


@test
def revocation_reaches_what_is_held(w):
    """AP7: a statement that waits for a person ends with its session, and nobody can let it run afterwards."""
    before = w.pg.sql("SELECT price FROM orders WHERE id = 67")
    one = w.psql_waiting("UPDATE orders SET price = price + 1 WHERE id = 67", user="rio")
    request = w.waiting_request()
    assert w.command("revoke", "--user", "rio").code == 0
    got = one.result()
    assert got.code != 0 and "revoked" in got.err, repr(got)
    late = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert late.code == 1, repr(late)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 67") == before


@test
def revocation_ends_sessions_and_their_statements(w):
    token = w.token("rex")
    one, idle = busy(w, "rex", 42), with_token(w, "rex", token)
    other = with_token(w, "ann", w.token("ann"))
    done = w.command("revoke", "--user", "rex")
    assert done.code == 0, repr(done)
    wait_for(lambda: not [s for s in w.sessions(live=True) if s["user"] == "rex"], 10, said="a session lives on")
    assert "revoked" in one.result().err
    assert any(kind == "E" and fields(body)["C"] == "28000" for kind, body in idle.ended())
    wait_for(lambda: not running(w, 42), 20, said="the target still runs it")
    again = w.psql("SELECT 1", user="rex", token=token)
    assert again.code == 2, f"a token from before the revocation is good again: {again!r}"
    assert other.values("SELECT 1") == [[b"1"]], "another user's session was hurt"
    other.close()


@test
def a_token_made_after_the_revocation_is_good(w):
    w.command("revoke", "--user", "rob")
    time.sleep(1.1)
    assert w.psql("SELECT 1", user="rob", token=w.token("rob", fresh=True)).out == "1"


@test
def kill_ends_what_runs_in_extended_query(w):
    c = with_token(w, "kay", w.token("kay"))
    c.send(parse("", "SELECT pg_sleep(43)"), bind(), execute(), SYNC)
    wait_for(lambda: running(w, 43), said="it does not run")
    session = [s for s in w.sessions(live=True) if s["user"] == "kay"][0]["id"]
    assert w.command("kill", session).code == 0
    c.ended()
    wait_for(lambda: not running(w, 43), 20, said="the target still runs it")


@test
def kill_reaches_a_client_that_does_not_read(w):
    c = with_token(w, "slo", w.token("slo"))
    c.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"))
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "slo"], said="no session")[0]["id"]
    time.sleep(1)
    assert w.command("kill", session).code == 0
    ended(w, "slo", "", 10)
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%slo %'") == "0", 20,
             said="the target still has its connection")
    c.sock.close()


main()
