#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Gateways of one store: limits count together, changes are found without LISTEN, TLS to the store, rows that SQL wrote grant nothing."""

from gateways_world import *

RULES = POLICY + """
rule "numbers-slowly" {
  doc   = "Numbers are read six times in ten minutes.",
  on    = "sql.statement",
  when  = { tables = "public.numbers" },
  limit = { per = "user", rate = "6/10m" },
}
"""
PROMISE = 10  # seconds: ten times what is promised


def counts(p, user, n):
    """How many of n statements were let through there."""
    got = p.psql(stdin="SELECT count(*) FROM numbers;\n" * n, args=("-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"), user=user)
    assert got.out.split() == ["20000"] * len(got.out.split()), repr(got)
    assert got.err.count("53400") == n - len(got.out.split()), repr(got)
    return len(got.out.split())


@test
def a_limit_counts_over_both(w):
    a, b = pair(w)
    assert counts(a, "lim", 4) == 4
    told = "SELECT count(*) FROM change WHERE topic = 'limit'"
    wait_for(lambda: stored(w, told) != "0", PROMISE, said="nothing was told")
    time.sleep(2.4)  # b looks once a second
    assert counts(b, "lim", 4) == 2
    assert counts(b, "lim", 1) == 0
    time.sleep(2.4)  # b tells once a second, a looks once a second
    assert counts(a, "lim", 1) == 0
    assert counts(b, "other", 1) == 1


@test
def what_both_let_through_at_once_is_paid_for(w):
    """The stated bound: a burst may pass once at each gateway; nothing more passes before all of it is paid."""
    a, b = pair(w)
    first = counts(a, "bur", 6) + counts(b, "bur", 6)
    assert 6 <= first <= 12, first
    time.sleep(2.4)
    got = b.psql("SELECT count(*) FROM numbers", user="bur")
    assert got.code != 0 and "53400" in got.err, repr(got)
    seconds = int(re.search(r"try again in (\d+) s", got.err).group(1))
    assert seconds > 100 * (first - 6), (first, seconds)  # six in ten minutes: 100 s for each that was too much


@test
def changes_are_found_without_being_told(w):
    """As if LISTEN were broken somewhere on the way: a change in the table alone."""
    a, b = pair(w)
    sleeper = b.psql_waiting("SELECT pg_sleep(60)", user="poll")
    wait_for(lambda: [s for s in b.sessions(live=True) if s["user"] == "poll"])
    stored(w, "BEGIN; INSERT INTO revoked VALUES (2, '', 'poll', (extract(epoch FROM now()) * 1000000)::bigint + 1000000);"
              "INSERT INTO change SELECT 'elsewhere', (extract(epoch FROM now()) * 1000000)::bigint, 'revoked', 'poll'; COMMIT")
    wait_for(lambda: not [s for s in b.sessions(live=True) if s["user"] == "poll"], PROMISE, said="nobody looked")
    assert "revoked" in sleeper.result().err


@test
def changes_are_found_behind_many(w):
    """P10: what others do in a flood of changes is heard, the newest as well, and limits are not held up by it."""
    a, b = pair(w)
    sleeper = b.psql_waiting("SELECT pg_sleep(60)", user="flood")
    wait_for(lambda: [s for s in b.sessions(live=True) if s["user"] == "flood"])
    stored(w, "BEGIN; INSERT INTO revoked VALUES (2, '', 'flood', (extract(epoch FROM now()) * 1000000)::bigint + 1000000);"
              "INSERT INTO change SELECT 'flooded', (extract(epoch FROM now()) * 1000000)::bigint - 20000 + n, 'ticket', 'spt-none'"
              " FROM generate_series(1, 12000) n;"
              "INSERT INTO change SELECT 'flooded', (extract(epoch FROM now()) * 1000000)::bigint, 'revoked', 'flood'; COMMIT")
    wait_for(lambda: not [s for s in b.sessions(live=True) if s["user"] == "flood"], 2 * PROMISE, said="nobody looked to the end")
    assert "revoked" in sleeper.result().err
    assert counts(a, "many", 4) == 4
    time.sleep(2.4)
    assert counts(b, "many", 4) == 2
    stored(w, "DELETE FROM change WHERE gateway = 'flooded'")


@test
def a_listener_that_is_cut_off_comes_back_and_knows(w):
    """Its connection is cut in the middle: what was decided meanwhile holds there, and nobody lost a session."""
    a, b = pair(w)
    token = b.token("cut", "dev")
    stays = b.psql_waiting(stdin="SELECT 'one';\n", user="stay", args=("-A", "-t", "-q"))
    gone = b.psql_waiting("SELECT pg_sleep(60)", user="cut", token=token)
    held = b.psql_waiting("UPDATE orders SET state = 'cut' WHERE id = 11", user="ann")
    request = a.waiting_request()
    wait_for(lambda: len([s for s in b.sessions(live=True) if s["user"] in ("cut", "stay")]) == 2)
    assert stored(w, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'sallyport' AND query <> ''") != "0"
    wait_for(lambda: a.command("revoke", "--user", "cut").code == 0, 20, said="a did not come back")
    wait_for(lambda: a.command("approve", request["id"], token=a.token("kim", "leads", api=True)).code == 0, 20, said="nobody could approve")
    assert gone.result().code != 0
    assert held.result().code == 0 and w.pg.sql("SELECT state FROM orders WHERE id = 11") == "cut"
    assert b.psql("SELECT 1", user="cut", token=token).code != 0
    stays.say("SELECT 'two';\n\\q\n")
    assert stays.result().out.split() == ["one", "two"]


# ---- rows that SQL wrote ----

def grant(a, user):
    request = a.command("request", "crm", "--for", "10m", "--reason", "x", "--json", token=a.token(user, "dev", api=True)).json["id"]
    assert a.command("approve", request, token=a.token("kim", "leads", api=True)).code == 0
    return request


def columns(w, table, **change):
    names = stored(w, f"SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0").split(",")
    return ",".join(names), ",".join(change.get(n.strip('"'), n) for n in names)


def copied(w, table, where, **change):
    """A row of that table once more, with some columns changed."""
    names, values = columns(w, table, **change)
    assert stored(w, f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE {where} RETURNING 1").split() == ["1"]


@test
def a_grant_that_sql_wrote_is_none(w):
    a, b = pair(w)
    request = grant(a, "gra")
    assert a.psql("SELECT 1", user="gra", database="crm").out == "1"
    mallory = b.token("mal", "dev")
    subject = b.command("whoami", "--json", token=b.token("mal", "dev", api=True)).json["subject"]
    copied(w, "grants", f"id = '{request}'", id="'zzzzzzzzzzzzzzzzzzzzzzzzzz'", subject=f"'{subject}'", user="'mal'")
    for p in (a, b):
        got = p.psql("SELECT 1", user="mal", token=mallory, database="crm")
        assert got.code != 0 and "no grant" in got.err, repr(got)
    stored(w, f"UPDATE grants SET until = until + 3600000000 WHERE id = '{request}'")
    assert b.psql("SELECT 1", user="gra", database="crm").code != 0


@test
def an_approval_or_vote_that_sql_wrote_is_none(w):
    a, b = pair(w)
    before = w.pg.sql("SELECT state FROM orders WHERE id = 12")
    held = b.psql_waiting("UPDATE orders SET state = 'sql' WHERE id = 12", user="ann")
    request = a.waiting_request()
    stored(w, f"UPDATE approval SET state = 1, decided = created, text = 'approved' WHERE id = '{request['id']}'")
    stored(w, f"INSERT INTO vote VALUES ('{request['id']}', 'kim', 1, 'kim', '', 1, '\\x00')")
    stored(w, f"INSERT INTO change VALUES ('elsewhere', 99, 'approval', '{request['id']}')")
    done = a.command("approve", request["id"], token=a.token("kim", "leads", api=True))
    assert done.code != 0, repr(done)  # nobody knows such a row
    held.interrupt()
    assert held.result().code != 0
    assert w.pg.sql("SELECT state FROM orders WHERE id = 12") == before


@test
def a_ticket_that_sql_wrote_is_none(w):
    a, b = pair(w)
    t = a.command("ticket", "orders", "--format", "json", token=a.token("ann", "dev", api=True)).json
    assert b.psql("SELECT 1", user=t["id"], token=t["password"]).out == "1"
    stored(w, f"UPDATE ticket SET principal = replace(principal, 'ann', 'bob') WHERE id = '{t['id']}'")
    for p in (a, b):
        got = p.psql("SELECT 1", user=t["id"], token=t["password"])
        assert got.code != 0 and "access denied" in got.err, repr(got)
    good = a.command("ticket", "orders", "--format", "json", token=a.token("ann", "dev", api=True)).json
    copied(w, "ticket", f"id = '{good['id']}'", id="'spt-11111111111111111111'")
    assert b.psql("SELECT 1", user="spt-11111111111111111111", token=good["password"]).code != 0


# ---- TLS to the store ----

def certificate(w, name, host):
    """A self-signed certificate for the store's server, readable for it."""
    key, cert = w.dir / f"{name}.key", w.dir / f"{name}.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={host}",
         "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", cert], check=True)
    key.chmod(0o600)
    if IS_ROOT:
        shutil.chown(key, "postgres", "postgres")
    cert.chmod(0o644)
    return key, cert


def serve(w, key, cert):
    for name, value in (("ssl_cert_file", cert), ("ssl_key_file", key), ("ssl", "on")):
        w.store.sql(f"ALTER SYSTEM SET {name} = '{value}'", "postgres")
    w.store.sql("SELECT pg_reload_conf()", "postgres")
    wait_for(lambda: run(["psql", f"host=localhost port={w.store.port} user=sallyport dbname=state sslmode=verify-full sslrootcert={cert}", "-XAtc", "SELECT 1"],
                         env={"PGPASSWORD": w.store_password}).out == "1" or "does not match" in run(
                             ["psql", f"host=localhost port={w.store.port} user=sallyport dbname=state sslmode=verify-full sslrootcert={cert}", "-XAtc", "SELECT 1"],
                             env={"PGPASSWORD": w.store_password}).err, said="the store does not speak TLS")


def third(w, tls):
    """A gateway that reaches the store so; None and its last words when it does not start."""
    g = Gateway(w.dir / f"third-{next(names)}", w.stage, w.pg)
    for key in ("master.key", "issuer.key"):
        give(g, key, (w.gateway.dir / "keeper" / key).read_text())
    give(g, "store.secret", w.store_password)
    g.store = f"postgresql://sallyport@localhost:{w.store.port}/state {tls} secret=file:{g.dir}/keeper/store.secret folder={g.dir}/keeper"
    g.write()
    try:
        g.start()
    except AssertionError as e:
        g.stop()
        return None, str(e)
    return g, ""


names = iter(range(100))


@test
def tls_to_the_store_is_verified(w):
    pair(w)
    plain, why = third(w, f"ca={w.gateway.dir}/tls/cert.pem")  # verify-full is the default; the server speaks no TLS yet
    assert plain is None and "does not support SSL" in why, why
    key, cert = certificate(w, "store", "localhost")
    serve(w, key, cert)
    good, why = third(w, f"tls=verify-full ca={cert}")
    assert good is not None, why
    assert stored(w, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = 'sallyport'") == "1"
    assert good.stop()
    other, why = third(w, f"tls=verify-full ca={w.gateway.dir}/tls/cert.pem")
    assert other is None and "certificate verify failed" in why, why
    none, why = third(w, "tls=verify-full")
    assert none is None and "ca" in why, why
    serve(w, *certificate(w, "elsewhere", "elsewhere.example.com"))
    wrong, why = third(w, f"tls=verify-full ca={w.dir}/elsewhere.pem")
    assert wrong is None and "does not match" in why, why


gateways_main(policy=RULES)
