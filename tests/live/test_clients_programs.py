#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""node-postgres, JDBC and libpq: one program each, direct and through the gateway, with equal output."""

import difflib

from every import SHIPPED, SQL
from harness import *
from npm import NODE, node_modules

JDBC = pathlib.Path("/usr/share/java/postgresql.jar")


def same_output(w, work):
    """work(direct) → Result, twice from the same state."""
    results = []
    for direct in (True, False):
        w.pg.sql("TRUNCATE notes")
        results.append(work(direct))
    direct, through = results
    if direct.out != through.out or direct.code != through.code:
        diff = "\n".join(difflib.unified_diff(direct.out.splitlines(), through.out.splitlines(), "direct", "through", lineterm="", n=1))
        raise AssertionError(f"code {direct.code} and {through.code}\n{diff[:4000]}\ndirect: {direct.err[-1500:]}\nthrough: {through.err[-1500:]}")
    assert through.code == 0, repr(through)[-3000:]
    return through


@test
def node_postgres(w):
    modules = node_modules()

    def work(direct):
        config = {"host": "127.0.0.1", "port": w.pg.port if direct else w.gateway.port, "user": "app_gw" if direct else "ann", "database": "orders",
                  "password": w.password(direct=direct)}
        return run(["node", NODE / "work.js"], env={"CONFIG": json.dumps(config), "NODE_PATH": str(modules)}, timeout=120)
    assert '["end",true]' in same_output(w, work).out


@test
def node_postgres_over_tls(w):
    modules = node_modules()
    program = ("const { Client } = require('pg'); const fs = require('fs'); const c = new Client({ ...JSON.parse(process.env.CONFIG), ssl: { ca: fs.readFileSync(process.env.CA),"
               " servername: 'localhost' } }); c.connect().then(() => c.query('SELECT 42 AS n')).then(r => { console.log(r.rows[0].n); return c.end() })")
    config = {"host": "127.0.0.1", "port": w.gateway.tls_port, "user": "ann", "database": "orders", "password": w.token()}
    done = run(["node", "-e", program], env={"CONFIG": json.dumps(config), "NODE_PATH": str(modules), "CA": str(w.gateway.dir / "tls" / "cert.pem")})
    assert done.out == "42", repr(done)


def java(w, direct, tls=False):
    if not shutil.which("java") or not JDBC.exists():
        skip("JDBC is not installed (apt-get install libpostgresql-jdbc-java default-jdk-headless)")
    port = w.pg.port if direct else w.gateway.tls_port if tls else w.gateway.port
    url = f"jdbc:postgresql://localhost:{port}/orders" + (f"?sslmode=verify-full&sslrootcert={w.gateway.dir}/tls/cert.pem" if tls else "?sslmode=disable")
    scram = [str(p) for p in pathlib.Path("/usr/share/java").glob("*.jar") if re.match(r"(scram-client|scram-common|saslprep|stringprep)\.jar$", p.name)]
    return run(["java", "-Xmx256m", "-cp", os.pathsep.join([str(JDBC), *scram]), str(HERE / "ClientWork.java")],
               env={"JDBC_URL": url, "JDBC_USER": "app_gw" if direct else "ann", "PGPASSWORD": w.password(direct=direct)}, timeout=180)


@test
def jdbc(w):
    assert "end: true" in same_output(w, lambda direct: java(w, direct)).out


@test
def libpq(w):
    include = run(["pg_config", "--includedir"]).out if shutil.which("pg_config") else ""
    if not (pathlib.Path(include) / "libpq-fe.h").exists():
        skip("libpq's headers are not installed (apt-get install libpq-dev)")
    program = w.dir / "client_work"
    run(["cc", "-Wall", "-Werror", "-I", include, "-o", program, HERE / "client_work.c", "-lpq"], check=True)
    same_output(w, lambda direct: run([program, w.dsn(direct=direct)], env={"PGPASSWORD": w.password(direct=direct)}))
    over = run([program, w.dsn(tls=True)], env={"PGPASSWORD": w.password()})
    assert over.code == 0, repr(over)


main(sql=SQL, policy=SHIPPED)
