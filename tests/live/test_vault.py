#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Passwords of targets out of a Vault: KV version 2, and dynamic database secrets whose lease ends with the session.

Debian has no Vault: FakeVault below answers as its HTTP API is documented (KV v2 read, database/creds, sys/leases/renew and
revoke, X-Vault-Token, errors), over TLS, and makes and drops real roles at the real PostgreSQL.  It shows that the gateway speaks
that API, not that a release of Vault speaks it.
"""

import http.server
import ssl

from lend_world import *

TOKEN = "hvs." + os.urandom(12).hex()
TARGET_VAULT = """\
target {name} {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     vault=main {login};
    catalogue user=cat_gw secret=file:{dir}/keeper/cat.secret;
    database  orders;
    allow     groups=dev;
    policy    {dir}/policies/open.lua;
}}
"""


class FakeVault:
    def __init__(self, w):
        self.w, self.leases, self.calls, self.ttl, self.sealed, self.number = w, {}, [], 3600, False, 0
        vault = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def say(self, status, body=None):
                data = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                vault.calls.append((self.command, self.path))
                if vault.sealed:
                    return self.say(503, {"errors": ["Vault is sealed"]})
                if self.headers.get("X-Vault-Token") != TOKEN:
                    return self.say(403, {"errors": ["permission denied"]})
                return self.say(*vault.handle(self.command, self.path, json.loads(body) if body else {}))

            do_GET = do_PUT = answer
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(w.gateway.dir / "tls" / "cert.pem", w.gateway.dir / "tls" / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, method, path, body):
        if (method, path) == ("GET", "/v1/secret/data/orders"):
            return 200, {"request_id": "x", "lease_id": "", "renewable": False, "lease_duration": 0, "data": {
                "data": {"password": self.w.pg.password, "other": "x"}, "metadata": {"version": 3, "destroyed": False}}}
        if (method, path) == ("GET", "/v1/database/creds/app"):
            self.number += 1
            role, password, lease = f"v-token-app-{self.number}", os.urandom(10).hex(), f"database/creds/app/{self.number:020d}"
            self.w.pg.sql(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}' IN ROLE app_staff", "postgres")
            self.leases[lease] = role
            return 200, {"request_id": "x", "lease_id": lease, "renewable": True, "lease_duration": self.ttl,
                         "data": {"username": role, "password": password}}
        lease = body.get("lease_id", "")
        if lease in self.leases and (method, path) == ("PUT", "/v1/sys/leases/renew"):
            return 200, {"lease_id": lease, "renewable": True, "lease_duration": self.ttl}
        if lease in self.leases and (method, path) == ("PUT", "/v1/sys/leases/revoke"):
            self.w.pg.sql(f"DROP ROLE \"{self.leases.pop(lease)}\"", "postgres")
            return 204, None
        if path.startswith("/v1/sys/leases/"):
            return 400, {"errors": ["invalid lease"]}
        return 404, {"errors": []}


vault = None


def start(w):
    global vault
    if vault is not None:
        return
    g, cat = w.gateway, "cat-" + os.urandom(9).hex()
    w.pg.sql(ROLES_SQL.format(cat=cat, admin=admin), "postgres")
    w.pg.sql(GRANTS_SQL)
    vault = FakeVault(w)
    secret(g, "cat.secret", cat)
    secret(g, "vault.secret", TOKEN)
    (g.dir / "policies" / "open.lua").write_text(NO_RULES)
    g.extra = (f"store_grace 3s;\nvault main {{ server https://localhost:{vault.port}; ca {g.dir}/tls/cert.pem; "
               f"token file:{g.dir}/keeper/vault.secret; }}\n")
    g.more_targets = "".join(TARGET_VAULT.format(name=name, port=w.pg.port, dir=g.dir, login=login) for name, login in (
        ("kv", "path=secret/data/orders user=app_gw"), ("dyn", "path=database/creds/app dynamic"),
        ("none", "path=secret/data/none user=app_gw"), ("nofield", "path=secret/data/orders user=app_gw field=pin")))
    reload(w)
    wait_for(lambda: g.children().get("lend"), said="no lender was started")


def ask_of(w, database, sql="SELECT session_user", **more):
    return w.psql(sql, database=database, **more)


@test
def a_password_of_kv(w):
    start(w)
    got = ask_of(w, "kv")
    assert got.out == "app_gw", f"{got!r}\n{w.gateway.logs()}"
    assert ("GET", "/v1/secret/data/orders") in vault.calls


@test
def a_changed_password_is_taken_at_once(w):
    start(w)
    w.pg.password = "other-" + os.urandom(9).hex()
    w.pg.sql(f"ALTER ROLE app_gw PASSWORD '{w.pg.password}'", "postgres")
    assert ask_of(w, "kv").out == "app_gw"


@test
def a_new_token_is_taken_by_a_reload(w):
    global TOKEN
    start(w)
    old, TOKEN = TOKEN, "hvs." + os.urandom(12).hex()
    try:
        assert ask_of(w, "kv", token=w.token(fresh=True)).code != 0, "the old token is good"
        secret(w.gateway, "vault.secret", TOKEN)
        reload(w)
        wait_for(lambda: ask_of(w, "kv", token=w.token(fresh=True)).out == "app_gw", 20, said="the new token is not used")
    finally:
        TOKEN = old
        secret(w.gateway, "vault.secret", TOKEN)
        reload(w)
    wait_for(lambda: ask_of(w, "kv", token=w.token(fresh=True)).out == "app_gw", 20, said="the first token is not used again")


@test
def a_dynamic_login_lasts_as_long_as_its_session(w):
    start(w)
    one = w.psql_waiting(stdin="SELECT session_user;\n", database="dyn", args=("-A", "-t", "-q", "-n"))
    wait_for(lambda: len(vault.leases) == 1, said=f"no lease; {w.gateway.logs()}")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["target"] == "dyn"], said="no session")
    one.process.stdin.close()
    assert re.fullmatch(r"v-token-app-\d+", one.process.stdout.read().strip())
    one.process.wait()
    wait_for(lambda: not vault.leases, said="the lease was not revoked")
    assert vault.calls[-1] == ("PUT", "/v1/sys/leases/revoke")


@test
def a_lease_is_renewed_while_its_session_lives(w):
    start(w)
    vault.ttl = 6
    one = w.psql_waiting(stdin="SELECT 'in';\n", database="dyn", args=("-A", "-t", "-q", "-n"))
    wait_for(lambda: vault.calls.count(("PUT", "/v1/sys/leases/renew")) >= 2, 20, said="it was not renewed")
    one.say("SELECT 'still';\n")
    one.process.stdin.close()
    assert "still" in one.process.stdout.read()
    one.process.wait()
    wait_for(lambda: not vault.leases, said="the lease was not revoked")


@test
def a_session_ends_with_a_lease_that_is_not_renewed(w):
    start(w)
    vault.ttl = 2
    one = w.psql_waiting(stdin="SELECT 'in';\n", database="dyn", args=("-A", "-t", "-q", "-n"))
    wait_for(lambda: vault.leases, said="no lease")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["target"] == "dyn"], said="no session")
    vault.sealed = True
    wait_for(lambda: not [s for s in w.sessions(live=True) if s["target"] == "dyn"], 15, said="the session goes on")
    one.process.kill()
    vault.sealed, vault.ttl = False, 3600
    restart(w, "lend")  # what could not be given back is given back to the next
    wait_for(lambda: not vault.leases, said="the lease was not revoked")


@test
def refusals_are_refusals(w):
    start(w)
    for target, why in (("none", "status 404"), ("nofield", "not what its API says")):
        got = ask_of(w, target)
        assert got.code == 2 and "credential could not be had" in got.err and why in w.gateway.logs(), f"{target}: {got!r}\n{w.gateway.logs()}"
    vault.sealed = True
    got = ask_of(w, "kv")
    assert got.code == 2 and "Vault is sealed" in w.gateway.logs(), repr(got)
    vault.sealed = False
    assert ask_of(w, "kv").out == "app_gw"


@test
def another_certificate_gets_no_token(w):
    """P12"""
    start(w)
    other = w.dir / "other"
    other.mkdir()
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", other / "key.pem", "-out", other / "cert.pem"], check=True)
    shutil.copy(other / "cert.pem", w.gateway.dir / "tls" / "other.pem")
    kept, calls = w.gateway.extra, len(vault.calls)
    w.gateway.extra = kept.replace("tls/cert.pem", "tls/other.pem")
    reload(w)
    got = ask_of(w, "kv")
    assert got.code == 2 and len(vault.calls) == calls, repr(got)
    w.gateway.extra = kept
    reload(w)
    assert ask_of(w, "kv").out == "app_gw"


@test
def the_token_is_nowhere(w):
    """P5, ID8"""
    start(w)
    for path in w.gateway.dir.rglob("*"):
        if path.is_file() and path.suffix != ".secret":
            data = path.read_bytes()
            assert TOKEN.encode() not in data and w.pg.password.encode() not in data, path


main()
