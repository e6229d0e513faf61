#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`login ephemeral`: a role for each session, made by the lend helper, dropped at the session's end, swept after a crash.

P5: neither worker nor log nor recording has a credential; ID12: what others made is never dropped; ID13: the admin's secret is
in one helper only.
"""

import base64

from lend_world import *
from process_memory import holds


@test
def a_session_has_a_role_of_its_own(w):
    prepare(w)
    got = ask(w, "SELECT session_user, current_user")
    assert got.code == 0, f"{got!r}\n{w.gateway.logs()}"
    mine, acts = got.out.split("|")
    assert re.fullmatch(r"sallyport_ann_[0-9a-z]{20}", mine) and acts == "app_staff", repr(got)
    no_roles(w)
    assert ask(w, "SELECT session_user").out != mine


@test
def ten_at_once_have_ten_roles(w):
    """ID12: made in parallel, each for one session and under a name of its own; none is left."""
    prepare(w)
    many = [w.psql_waiting(stdin="SELECT session_user;\n", database="eph", args=("-A", "-t", "-q", "-n"), user=f"u{n % 2}") for n in range(10)]
    wait_for(lambda: len(roles(w)) == 10, 30, said=f"no ten roles: {roles(w)}\n{w.gateway.logs()}")
    there = roles(w)
    for one in many:
        one.process.stdin.close()
    said = [one.process.stdout.read().strip() for one in many]
    for one in many:
        assert one.process.wait() == 0
    assert len(set(said)) == 10 and sorted(said) == there, (said, there)
    no_roles(w, 30)


@test
def the_role_is_what_it_should_be(w):
    prepare(w)
    one = session(w)
    role = roles(w)[0]
    row = w.pg.sql(f"SELECT rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolconnlimit, rolvaliduntil - now() <= '15 minutes' "
                   f"FROM pg_roles WHERE rolname = '{role}'", "postgres")
    assert row == "f|f|f|f|f|1|t", row
    assert w.pg.sql(f"SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = '{role}'::regrole") == "app_staff"
    mark = w.pg.sql(f"SELECT shobj_description('{role}'::regrole, 'pg_authid')")
    live = [s["id"] for s in w.sessions(live=True) if s["target"] == "eph"]
    assert re.fullmatch(rf"sallyport 1 eph {live[0]} [0-9a-f]{{32}}", mark), (mark, live)
    one.process.stdin.close()
    one.process.wait()
    no_roles(w)


@test
def what_the_session_made_belongs_to_the_parent(w):
    """CREATE TABLE as the parent, and as the role itself after RESET ROLE; in two databases; while a second backend of it is open."""
    prepare(w)
    w.pg.sql("CREATE DATABASE aside", "postgres")
    w.pg.sql("CREATE SCHEMA theirs; GRANT ALL ON SCHEMA theirs TO PUBLIC", "aside")
    one = session(w)
    role = roles(w)[0]
    one.say("CREATE TABLE made (n int);\nINSERT INTO made VALUES (1);\nSELECT 'made';\n")
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'made'") == "1", said="no table")
    # As the server's superuser would: the role owns something, has rights in another database, and a second open session.
    w.pg.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1 PASSWORD 'known'", "postgres")
    w.pg.sql(f"CREATE TABLE theirs.own (n int); ALTER TABLE theirs.own OWNER TO {role}; CREATE TABLE theirs.seen (n int); "
             f"ALTER TABLE theirs.seen OWNER TO app_staff; SET ROLE app_staff; GRANT SELECT ON theirs.seen TO {role}", "aside")
    w.pg.sql(f"CREATE TABLE own_here (n int); ALTER TABLE own_here OWNER TO {role}")
    second = Waiting(["psql", f"host=127.0.0.1 port={w.pg.port} dbname=aside user={role}", "-X", "-A", "-t", "-q"], {"PGPASSWORD": "known"},
                     "BEGIN; SELECT 1;\n")
    wait_for(lambda: w.pg.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'") == "2", said="no second session")
    one.process.stdin.close()
    one.process.wait()
    no_roles(w)
    said = second.result()
    second_said = said.err
    assert w.pg.sql("SELECT tableowner FROM pg_tables WHERE tablename IN ('made', 'own_here')").split() == ["app_staff", "app_staff"]
    assert w.pg.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'own'", "aside") == "app_staff", second_said
    assert w.pg.sql("SELECT count(*) FROM made") == "1"
    w.pg.sql("DROP TABLE made, own_here")
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'aside'", "postgres") == "0", said="the lender stays there")
    w.pg.sql("DROP DATABASE aside", "postgres")


@test
def what_the_admin_cannot_undo_leaves_a_role_that_is_locked(w):
    """A right that the superuser gave: the role can't log in any more, the log says why, and it goes once that is revoked."""
    prepare(w)
    one = session(w)
    role = roles(w)[0]
    w.pg.sql(f"CREATE TABLE roots (n int); GRANT SELECT ON roots TO {role}")
    one.process.stdin.close()
    one.process.wait()
    wait_for(lambda: f"role {role} could not be dropped" in w.gateway.logs(), said=f"no word of it: {w.gateway.logs()}")
    assert w.pg.sql(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{role}'") == "f"
    w.pg.sql("DROP TABLE roots")
    restart(w, "lend")
    no_roles(w)


@test
def a_killed_session_loses_its_role(w):
    prepare(w)
    one = session(w)
    live = [s["id"] for s in w.sessions(live=True) if s["target"] == "eph"]
    assert w.command("kill", live[0]).code == 0
    one.result()
    no_roles(w)


@test
def no_clear_text_anywhere(w):
    """P5, ID8: the server logs every statement, and has only a verifier to log; the admin's password is nowhere but in its file."""
    prepare(w)
    ask(w, "SELECT 1")
    no_roles(w)
    made = re.findall(r"CREATE ROLE \"?sallyport_\S+.*", w.pg.log())
    assert made and all(re.search(r"PASSWORD 'SCRAM-SHA-256\$4096:[^']+'", line) for line in made), made[:2]
    for path in w.gateway.dir.rglob("*"):
        if path.is_file() and path.suffix != ".secret":
            assert admin.encode() not in path.read_bytes(), path


@test
def the_audit_says_who_had_which_role(w):
    prepare(w)
    role = ask(w, "SELECT session_user").out
    no_roles(w)
    events = {e["event"]: e for e in w.gateway.audit() if e.get("login") == role}
    assert events["lent"]["target"] == "eph" and events["lent"]["session"] and "returned" in events, events


@test
def an_admin_that_may_not_is_a_refusal(w):
    prepare(w)
    w.pg.sql("ALTER ROLE lend_admin NOCREATEROLE", "postgres")
    got = ask(w, "SELECT 1")
    assert got.code == 2 and "credential could not be had" in got.err, repr(got)
    assert "permission denied to create role" in w.gateway.logs(), w.gateway.logs()
    w.pg.sql("ALTER ROLE lend_admin CREATEROLE", "postgres")
    assert ask(w, "SELECT 1").out == "1"


@test
def a_role_that_is_not_ours_stays(w):
    """ID12: a name with our prefix, a mark of our form, a mark copied from another role."""
    prepare(w)
    one = session(w)
    mark = w.pg.sql(f"SELECT shobj_description('{roles(w)[0]}'::regrole, 'pg_authid')")
    for role, comment in (("sallyport_plain", None), ("sallyport_forged", "sallyport 1 eph 00000000000000000000000000 " + "0" * 32),
                          ("sallyport_copied", mark), ("stranger", mark)):
        w.pg.sql(f"CREATE ROLE {role}" + (f"; COMMENT ON ROLE {role} IS '{comment}'" if comment else ""), "postgres")
    one.process.stdin.close()
    one.process.wait()
    restart(w, "lend")  # its link makes the keeper sweep
    ask(w, "SELECT 1")
    wait_for(lambda: len(roles(w)) == 3, said="the session's role is left")
    assert roles(w) == ["sallyport_copied", "sallyport_forged", "sallyport_plain"], roles(w)
    w.pg.sql("DROP ROLE sallyport_plain, sallyport_forged, sallyport_copied, stranger", "postgres")


@test
def no_worker_has_what_the_role_logs_in_with(w):
    """P5: the keeper has the role's ServerKey; no worker has it, nor the StoredKey, nor the admin's password."""
    if not IS_ROOT:
        skip("only root reads another process's memory")
    if SANITIZED:
        skip("AddressSanitizer keeps freed memory as it was")
    prepare(w)
    one = session(w)
    verifier = w.pg.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{roles(w)[0]}'", "postgres")
    stored, server = (base64.b64decode(part) for part in verifier.split("$")[2].split(":"))
    needles = {"StoredKey": stored, "ServerKey": server, "admin": admin.encode()}
    assert "ServerKey" in holds(w.gateway.children()["keeper"][0], needles), "the search finds nothing where it must"
    assert "admin" in holds(w.gateway.children()["lend"][0], needles)
    for role in ("worker", "console", "recorder"):
        for pid in w.gateway.children()[role]:
            assert not holds(pid, needles), f"{role} {pid} holds {holds(pid, needles)}"
    one.process.stdin.close()
    one.process.wait()
    no_roles(w)


@test
def over_tls_that_is_verified(w):
    """P12: the lender verifies the target as workers do; a certificate that it does not trust gets no log-in."""
    prepare(w)
    g, pg = w.gateway, w.pg
    for name in ("cert.pem", "key.pem"):
        shutil.copy(g.dir / "tls" / name, pg.data / name)
        (pg.data / name).chmod(0o600)
        if IS_ROOT:
            shutil.chown(pg.data / name, "postgres", "postgres")
    with open(pg.data / "postgresql.conf", "a", encoding="utf-8") as f:
        f.write("ssl = on\nssl_cert_file = 'cert.pem'\nssl_key_file = 'key.pem'\n")
    pg._run("pg_ctl", "-D", pg.data, "reload", "-s")
    wait_for(lambda: pg.sql("SHOW ssl") == "on", said="the target did not take TLS")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x",
         "-keyout", w.dir / "other.key", "-out", g.dir / "tls" / "other.pem"], check=True)
    kept = g.more_targets
    g.more_targets = target(w, tls=f"verify-full ca={g.dir}/tls/cert.pem")
    reload(w)
    got = ask(w, "SELECT 1")
    assert got.out == "1", f"{got!r}\n{g.logs()}"
    no_roles(w)
    for user in ("lend_admin", "sallyport_ann_"):
        assert re.search(rf"connection authorized: user={user}.*SSL enabled", pg.log()), f"{user} came without TLS"
    g.more_targets = target(w, tls=f"verify-full ca={g.dir}/tls/other.pem")
    reload(w)
    got = ask(w, "SELECT 1")
    assert got.code == 2 and "certificate verify failed" in g.logs() and not roles(w), f"{got!r}\n{g.logs()}"
    g.more_targets = kept
    reload(w)


@test
def the_lender_is_locked_down(w):
    """P5, ID13: it has the admin's password and nothing else; the worker has none of it."""
    prepare(w)
    ask(w, "SELECT 1")
    pid = w.gateway.children()["lend"][0]
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status", encoding="ascii") if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    if IS_ROOT:
        assert pwd.getpwuid(int(status["Uid"].split()[0])).pw_name == "sallyport-lend", status["Uid"]


main()
