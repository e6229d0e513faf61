# SPDX-License-Identifier: Apache-2.0
"""What test_lend*.py share: a target with `login ephemeral`, its roles, sessions that wait."""

from harness import *

EPHEMERAL = """\
target {name} {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       {tls};
    login     ephemeral role=app_staff {login};
    catalogue user=cat_gw secret=file:{dir}/keeper/cat.secret;
    admin     user=lend_admin secret=file:{dir}/keeper/{admin}.secret;
    database  {database};
    databases *;
    allow     groups=dev;
    policy    {dir}/policies/{policy}.lua;
}}
"""
NO_RULES = 'rule "nothing" { doc = "Nothing.", on = "sql.statement", when = { tables = "none.such" }, deny = "No." }\n'
ROLES_SQL = """
CREATE ROLE app_staff; CREATE ROLE cat_gw LOGIN PASSWORD '{cat}'; CREATE ROLE lend_admin LOGIN CREATEROLE PASSWORD '{admin}';
GRANT app_staff TO lend_admin WITH ADMIN OPTION;
"""
GRANTS_SQL = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app_staff; GRANT CREATE ON SCHEMA public TO app_staff"
MARKED = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport\\_%' ORDER BY 1"

admin = "admin-" + os.urandom(9).hex()
prepared = []


def secret(g, name, text):
    path = g.dir / "keeper" / name
    path.write_text(text)
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")


def target(w, name="eph", **more):
    return EPHEMERAL.format(**{**dict(name=name, port=w.pg.port, dir=w.gateway.dir, tls="off", login="", admin="admin", database="orders",
                                      policy="open"), **more})


def prepare(w):
    g = w.gateway
    if prepared:
        return
    prepared.append(True)
    cat = "cat-" + os.urandom(9).hex()
    w.pg.sql(ROLES_SQL.format(cat=cat, admin=admin), "postgres")
    w.pg.sql(GRANTS_SQL)
    secret(g, "cat.secret", cat)
    secret(g, "admin.secret", admin)
    (g.dir / "policies" / "open.lua").write_text(NO_RULES)
    g.more_targets = target(w)
    g.extra = "store_grace 3s;"
    reload(w)
    wait_for(lambda: g.children().get("lend"), said="no lender was started")


def reload(w):
    w.gateway.write()
    done = w.gateway.reload()
    assert done.code == 0, repr(done)


def roles(w):
    return w.pg.sql(MARKED, "postgres").split()


def ask(w, sql, **more):
    return w.psql(sql, database="eph", **more)


def session(w, **more):
    """psql that waits, once it is in."""
    one = w.psql_waiting(stdin="SELECT 'in';\n", database="eph", args=("-A", "-t", "-q", "-n"), **more)
    wait_for(lambda: [s for s in w.sessions(live=True) if s["target"] == "eph"], said="no session came in")
    return one


def no_roles(w, seconds=10):
    wait_for(lambda: not roles(w), seconds, said=f"roles are left: {roles(w)}; {w.gateway.logs()}")


def restart(w, role):
    before = w.gateway.children()[role]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: set(w.gateway.children().get(role, [])) - set(before), said=f"no new {role}")


class CannotTrace(Exception):
    pass


def killed_at(w, nth):
    """One session with a lender that dies where it would send to the target for the nth time; whether it came so far.  Nothing is left."""
    lender = wait_for(lambda: w.gateway.children().get("lend"), 30, said="no lender")[0]
    trace = subprocess.Popen(["strace", "-f", "-p", str(lender), "-o", "/dev/null", "-e", "trace=sendto", "-e", f"inject=sendto:signal=SIGKILL:when={nth}"],
                             stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        said = trace.stderr.readline()
        if "attached" not in said:
            raise CannotTrace(said.strip())
        ask(w, "SELECT 1")  # refused where the lender dies before its role is there
        # A lender that has come to its last word has sent its last.
        wait_for(lambda: w.gateway.children().get("lend", [lender]) != [lender] or not roles(w), 30, said="it neither dies nor drops its role")
    finally:
        trace.terminate()
        trace.wait()
        trace.stderr.close()
    no_roles(w, 60)
    wait_for(lambda: w.gateway.children().get("lend"), 30, said="no new lender")
    wait_for(lambda: ask(w, "SELECT 1").out == "1", 60, 0.3, said="no session after the lender's death")
    no_roles(w, 30)
    return w.gateway.children()["lend"] != [lender]
