#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections kept ready (`pool warm=`): each is one session's, and what the session is could not be told from a new log-in.

ID11: nothing of one session reaches another; P12: a connection on which the target spoke is nobody's.
"""

from harness import *

POLICY_PINNED = POLICY + """
rule "readonly-session" { on = "session", when = { groups = "readonly" }, pin = { default_transaction_read_only = "on" } }
"""
WARM = 2
OWN = "SELECT pg_backend_pid(), current_setting('application_name'), current_setting('sallyport.user'), current_setting('sallyport.session')"


def warm(w):
    """Process ids of the target's connections that wait."""
    return set(w.pg.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'sallyport warm' AND state = 'idle'").split())


def filled(w, without=frozenset()):
    """… once there are all, and none of those."""
    def all_there():
        pids = warm(w)
        return len(pids) >= WARM and not pids & set(without) and pids
    return wait_for(all_there, said="no connections are kept ready")


def begin(w, **who):
    """One session, so that connections like its own are made; then they wait."""
    w.psql("SELECT 1", **who)
    return filled(w)


def psql_of(w, sql, **more):
    got = w.psql(sql, **more)
    assert got.code == 0, repr(got)
    return got.out


@test
def a_session_takes_one_and_it_ends_with_it(w):
    ready = begin(w)
    seen = set()
    for _ in range(4):
        pid = psql_of(w, "PREPARE mine AS SELECT 1; SELECT pg_backend_pid()").split()[-1]
        assert pid in ready, f"{pid} is none of {ready}"
        assert pid not in seen, "a connection served twice"
        seen.add(pid)
        wait_for(lambda: w.pg.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "0", said="the used connection stays")
        ready = filled(w, seen)


@test
def it_is_the_sessions_own(w):
    for user in ("ann", "bob"):
        ready = begin(w, user=user)
        pid, name, who, session = psql_of(w, OWN, user=user).split("|")
        assert pid in ready and who == user and session == w.last_session(), (pid, ready, who, session)
        assert name.startswith(f"sallyport {user} "), name


@test
def what_is_reset_is_said_again(w):
    for sql in ("RESET ALL", "DISCARD ALL", "BEGIN;\nRESET ALL;\nCOMMIT"):
        ready = begin(w)
        done = w.psql(stdin=f"{sql};\n{OWN};\n")
        assert done.code == 0, repr(done)
        pid, name, who, session = done.out.splitlines()[-1].split("|")
        assert pid in ready and who == "ann" and name.startswith("sallyport ann ") and session, (sql, done.out, ready)
    begin(w)
    both = w.psql("RESET ALL; SELECT current_setting('sallyport.user')")
    assert both.code != 0 and "42501" in both.err, repr(both)


@test
def settings_and_client_see_a_new_log_in(w):
    import psycopg2

    def connect():
        return psycopg2.connect(w.dsn() + " options='-c DateStyle=German -c statement_timeout=77s'", password=w.token("ann"))
    before = filled(w)
    connect().close()
    ready = wait_for(lambda: len(warm(w) - before) >= WARM and warm(w) - before)
    with connect() as c: # psycopg2 makes it ISO and leaves the order of day and month
        at = c.cursor()
        at.execute("SHOW statement_timeout")
        assert at.fetchone() == ("77s",) and c.get_parameter_status("DateStyle") == "ISO, DMY", c.get_parameter_status("DateStyle")
        assert c.get_parameter_status("application_name").startswith("sallyport ann "), c.get_parameter_status("application_name")
        at.execute("SELECT pg_backend_pid()")
        assert at.fetchone()[0] == c.get_backend_pid() and str(c.get_backend_pid()) in ready
    c.close()
    assert psql_of(w, "SHOW statement_timeout") == "0", "another's setting"


@test
def pins_hold_on_it(w):
    reader = {"groups": "dev,readonly"}
    w.psql("SELECT 1", **reader)

    def pinned():
        pid = psql_of(w, "SELECT pg_backend_pid()", **reader)
        return pid in before
    before = set()
    for _ in range(3):
        wait_for(lambda: len(warm(w)) >= WARM)
        before = warm(w)
        taken = pinned()
        if taken:
            break
    assert taken, "no pinned session found a connection ready"
    filled(w)
    refused = w.psql(stdin="RESET ALL;\nINSERT INTO customers VALUES (99, 'written');\n", **reader)
    assert refused.code != 0 and w.pg.sql("SELECT count(*) FROM customers WHERE id = 99") == "0", repr(refused)
    assert psql_of(w, "SHOW default_transaction_read_only", **reader) == "on"
    assert psql_of(w, "SHOW default_transaction_read_only") == "off"


@test
def masked_and_recorded_as_ever(w):
    begin(w)
    got = psql_of(w, "SELECT email FROM customers WHERE id = 1")
    assert "ada@" not in got, got
    told = w.command("replay", w.last_session(), "--json")
    assert told.code == 0 and "sallyport.user" in told.out and "customers" in told.out, repr(told)


@test
def cancel_reaches_it(w):
    begin(w)
    waiting = w.psql_waiting("SELECT pg_sleep(30)")
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == "1")
    waiting.interrupt()
    assert "57014" in waiting.result().err


@test
def where_the_target_spoke_nobody_comes(w):
    ready = begin(w)
    for pid in ready:
        w.pg.sql(f"SELECT pg_terminate_backend({pid})")
    wait_for(lambda: not warm(w) & ready, said="they are still there")
    assert psql_of(w, "SELECT 'here'") == "here"
    filled(w, ready)


@test
def a_reload_begins_anew(w):
    """Also a password that only the keeper reads."""
    ready = begin(w)
    w.pg.sql("ALTER ROLE app_gw PASSWORD 'another'")
    secret = w.gateway.dir / "keeper" / "orders.secret"
    secret.write_text("another\n")
    w.gateway.reload()
    wait_for(lambda: not warm(w) & ready, said="connections of the former login still wait")
    assert psql_of(w, "SELECT 1") == "1"
    filled(w, ready)
    w.pg.password = "another"


@test
def nobody_takes_it_for_long(w):
    ready = begin(w)
    w.gateway.target_extra = f"pool warm={WARM} age=200ms;"
    w.gateway.write()
    w.gateway.reload()
    w.psql("SELECT 1")
    wait_for(lambda: not warm(w), said="connections wait for longer than age=")
    w.gateway.target_extra = f"pool warm={WARM};"
    w.gateway.write()
    w.gateway.reload()
    assert ready


@test
def it_has_the_sessions_login_beside_one_for_the_catalogue(w):
    g = w.gateway
    w.pg.sql("CREATE ROLE reads_names LOGIN PASSWORD 'names'; GRANT CONNECT ON DATABASE orders TO reads_names")
    secret = g.dir / "keeper" / "names.secret"
    secret.write_text("names\n")
    secret.chmod(0o600)
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    before = g.target_extra
    g.target_extra += f" catalogue user=reads_names secret=file:{secret};"
    g.write()
    g.reload()
    ready = begin(w)
    pid, user = psql_of(w, "SELECT pg_backend_pid(), current_user").split("|")
    assert pid in ready and user == "app_gw", (pid, user, ready)
    g.target_extra = before
    g.write()
    g.reload()


@test
def over_tls_too(w):
    data = w.pg.data
    for name in ("cert.pem", "key.pem"):
        shutil.copy(w.gateway.dir / "tls" / name, data / name)
        (data / name).chmod(0o600)
        if IS_ROOT:
            shutil.chown(data / name, "postgres", "postgres")
    for name, value in (("ssl_cert_file", "cert.pem"), ("ssl_key_file", "key.pem"), ("ssl", "on")):
        w.pg.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    w.pg.sql("SELECT pg_reload_conf()")
    g = w.gateway
    g.write(g.conf_text().replace("tls       off", f"tls       verify-full ca={g.dir}/tls/cert.pem"))
    g.reload()
    ready = begin(w)
    pid, ssl = psql_of(w, "SELECT pid, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").split("|")
    assert pid in ready and ssl == "t", (pid, ready, ssl)
    assert psql_of(w, "SELECT count(*), sum(length(filler)) FROM numbers") == "20000|2000000"


main(workers=1, policy=POLICY_PINNED, target_extra=f"pool warm={WARM};")
