#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sallyportd -t --connect: logs in at each target as the gateway would, and says what those logins may do."""

from harness import *

TAGGED = """\
tag "pii" { "public.customers.email" }
rule "hide" { doc = "Masked for all.", on = "sql.result", when = { column = tagged "pii" }, mask = mask.redact }
"""
SETUP = """
CREATE ROLE app_catalogue LOGIN PASSWORD 'catalogue-only';
REVOKE ALL ON DATABASE orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO app_catalogue; GRANT ALL ON DATABASE orders TO app_gw;
CREATE ROLE readers;
CREATE SCHEMA away; CREATE VIEW away.addresses AS SELECT lower(email) AS address FROM customers;
GRANT USAGE ON SCHEMA away TO app_catalogue;
"""


def connect(w):
    return w.gateway.daemon("-t", "--connect")


def catalogue(w, password="catalogue-only", user="app_catalogue"):
    secret = w.gateway.dir / "keeper" / "catalogue.secret"
    secret.write_text(password + "\n")
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    secret.chmod(0o600)
    w.gateway.target_extra = f"catalogue user={user} secret=file:{secret};"
    w.gateway.write()


@test
def a_login_with_connect_alone_is_good(w):
    w.pg.sql(SETUP)
    catalogue(w)
    got = connect(w)
    assert got.code == 0 and "all targets answered" in got.out and "syntax is ok" in got.out, repr(got)
    assert "catalogue login" not in got.err, repr(got)
    assert w.psql("SELECT 1").out == "1", "the gateway that runs beside it has noticed nothing"


@test
def every_server_of_a_target(w):
    """A standby that does not let one in is found out now, and not when it is needed; the servers are named."""
    catalogue(w)
    extra, dead = w.gateway.target_extra, free_port()
    try:
        for standby, code in ((f"[::1]:{dead}", 1), (f"localhost:{w.pg.port}", 0)):
            w.gateway.target_extra = f"{extra} standby {standby};"
            w.gateway.write()
            got = connect(w)
            assert got.code == code and f'data login "app_gw" at {standby}: ' in got.err and f'data login "app_gw" at 127.0.0.1:{w.pg.port}: it owns' in got.err, repr(got)
            assert (f"at {standby}: cannot reach" in got.err) == (code == 1), repr(got)
    finally:
        w.gateway.target_extra = extra
        w.gateway.write()


@test
def powers_are_refused(w):
    for grant, said, back in (
            ("ALTER ROLE app_catalogue SUPERUSER", "is a superuser", "ALTER ROLE app_catalogue NOSUPERUSER"),
            ("ALTER ROLE app_catalogue BYPASSRLS", "passes row security (BYPASSRLS)", "ALTER ROLE app_catalogue NOBYPASSRLS"),
            ("ALTER ROLE app_catalogue CREATEROLE", "makes roles (CREATEROLE)", "ALTER ROLE app_catalogue NOCREATEROLE"),
            ("ALTER ROLE app_catalogue REPLICATION", "may replicate", "ALTER ROLE app_catalogue NOREPLICATION"),
            ("ALTER ROLE readers CREATEROLE; ALTER ROLE app_catalogue NOINHERIT; GRANT readers TO app_catalogue", "makes roles (CREATEROLE)",
             "REVOKE readers FROM app_catalogue; ALTER ROLE app_catalogue INHERIT; ALTER ROLE readers NOCREATEROLE"),
            ("GRANT pg_read_server_files TO app_catalogue", "reads or writes the server's files", "REVOKE pg_read_server_files FROM app_catalogue")):
        w.pg.sql(grant)
        got = connect(w)
        w.pg.sql(back)
        line = f'target orders, catalogue login "app_catalogue": it {said}'
        assert got.code == 1 and line in got.err and "test failed: " in got.err and "answered" not in got.out, f"{grant}: {got!r}"
    assert connect(w).code == 0


@test
def tagged_columns_are_refused(w):
    for grant, name, back in (
            ("GRANT SELECT (email) ON customers TO app_catalogue", "public.customers.email", "REVOKE SELECT (email) ON customers FROM app_catalogue"),
            ("GRANT SELECT ON customers TO PUBLIC", "public.customers.email", "REVOKE SELECT ON customers FROM PUBLIC"),
            ("GRANT SELECT ON away.addresses TO app_catalogue", "public.customers.email", "REVOKE SELECT ON away.addresses FROM app_catalogue"),
            ("GRANT SELECT ON customers TO readers; ALTER ROLE app_catalogue NOINHERIT; GRANT readers TO app_catalogue", "public.customers.email",
             "REVOKE SELECT ON customers FROM readers; REVOKE readers FROM app_catalogue; ALTER ROLE app_catalogue INHERIT"),
            ("GRANT pg_read_all_data TO app_catalogue", "public.customers.email", "REVOKE pg_read_all_data FROM app_catalogue")):
        w.pg.sql(grant)
        got = connect(w)
        w.pg.sql(back)
        assert got.code == 1 and f"it can read the tagged column {name}" in got.err, f"{grant}: {got!r}"
    w.pg.sql("GRANT SELECT (id) ON customers TO app_catalogue")
    got = connect(w)
    w.pg.sql("REVOKE SELECT (id) ON customers FROM app_catalogue")
    assert got.code == 0, f"no tag is on it: {got!r}"


@test
def the_data_login_is_told_of(w):
    w.pg.sql("ALTER ROLE app_gw SUPERUSER")
    got = connect(w)
    w.pg.sql("ALTER ROLE app_gw NOSUPERUSER")
    assert got.code == 0 and 'warning: target orders, data login "app_gw": it is a superuser' in got.err, repr(got)


@test
def who_cannot_log_in_is_named(w):
    catalogue(w, password="wrong")
    got = connect(w)
    assert got.code == 1 and 'target orders, catalogue login "app_catalogue": ' in got.err and "28P01" in got.err, repr(got)
    catalogue(w)
    w.pg.sql("ALTER ROLE app_catalogue NOLOGIN")
    got = connect(w)
    w.pg.sql("ALTER ROLE app_catalogue LOGIN")
    assert got.code == 1 and 'target orders, catalogue login "app_catalogue": ' in got.err, repr(got)
    port, w.gateway.pg.port = w.gateway.pg.port, free_port()
    w.gateway.write()
    got = connect(w)
    w.gateway.pg.port = port
    w.gateway.write()
    assert got.code == 1 and "cannot reach target orders" in got.err, repr(got)


@test
def without_a_second_login_it_says_so(w):
    w.gateway.target_extra = ""
    w.gateway.write()
    got = connect(w)
    assert got.code == 0 and "warning: target orders, no `catalogue user=`" in got.err, repr(got)
    got = run([w.stage / "sbin/sallyportd", "-c", w.gateway.conf_file, "--connect"])
    assert got.code == 2, "it goes with -t only"


@test
def nothing_is_left_behind(w):
    """The keeper beside the running one has its store and its keys in memory."""
    def files():
        return {str(p) for p in w.gateway.dir.rglob("*") if "journal" not in p.name and p.suffix != ".spr"}
    catalogue(w)
    before = files()
    assert connect(w).code == 0
    assert files() == before, files() ^ before


main(policy=TAGGED)
