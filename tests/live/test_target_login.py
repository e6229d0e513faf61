#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the gateway proves itself to a target: SCRAM, with and without channel binding, md5, client certificate, clear text.

P5: the credential is the keeper's; PG21: a target that asks for more than it should gets less.
"""

import contextlib
import re
import ssl
import struct

from harness import *

TARGET_TLS = """\
target {name} {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       {tls};
    login     {login};
    database  orders;
    allow     groups=dev;
    policy    {dir}/policies/orders.lua;
}}
"""


def secret(g, name, text):
    path = g.dir / "keeper" / name
    path.write_text(text)
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
    return path


def server_tls(w):
    """The target speaks TLS under a certificate of an authority of its own."""
    ca, pg = w.dir / "ca", w.pg
    if ca.exists():
        return ca
    ca.mkdir()
    ca.chmod(0o755)
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ca",
         "-keyout", ca / "ca.key", "-out", ca / "ca.pem"], check=True)
    for name, cn in (("server", "localhost"), ("middle", "localhost"), ("client", "cert_gw"), ("stranger", "cert_gw")):
        kind = ["rsa:2048"] if name == "client" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run(["openssl", "req", "-newkey", *kind, "-nodes", "-subj", f"/CN={cn}", "-keyout", ca / f"{name}.key", "-out", ca / f"{name}.csr"],
            check=True)
        (ca / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signer = ["-signkey", ca / "stranger.key"] if name == "stranger" else ["-CA", ca / "ca.pem", "-CAkey", ca / "ca.key", "-CAcreateserial"]
        run(["openssl", "x509", "-req", "-in", ca / f"{name}.csr", "-days", "2", "-extfile", ca / "ext", "-out", ca / f"{name}.pem", *signer],
            check=True)
    for name in ("server.key", "server.pem", "ca.pem"):
        shutil.copy(ca / name, pg.data / name)
        (pg.data / name).chmod(0o600)
        if IS_ROOT:
            shutil.chown(pg.data / name, "postgres", "postgres")
    with open(pg.data / "postgresql.conf", "a", encoding="utf-8") as f:
        f.write("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.pem'\n")
    pg.sql("CREATE ROLE cert_gw LOGIN; CREATE ROLE md5_gw LOGIN; CREATE ROLE clear_gw LOGIN PASSWORD 'clear-secret';"
           "SET password_encryption = 'md5'; ALTER ROLE md5_gw PASSWORD 'md5-secret'", "postgres")
    hba = pg.data / "pg_hba.conf"
    hba.write_text("local all all trust\nhostssl all cert_gw all cert\nhost all md5_gw all md5\nhost all clear_gw all password\n"
                   "host all all all scram-sha-256\n")
    pg._run("pg_ctl", "-D", pg.data, "reload", "-s")
    wait_for(lambda: pg.sql("SHOW ssl") == "on", said="the target did not take TLS")
    return ca


def with_target(w, tls, login, port=None):
    g = w.gateway
    g.more_targets = TARGET_TLS.format(name="other", port=port or w.pg.port, dir=g.dir, tls=tls, login=login)
    g.write()
    done = g.reload()
    assert done.code == 0, repr(done)


def ask(w, **more):
    return w.psql("SELECT current_user", database="other", **more)


def method(w):
    """How the server says the last connection was authenticated."""
    return re.findall(r'connection authenticated: identity="[^"]*" method=([\w-]+)', w.pg.log())[-1]


@test
def scram(w):
    server_tls(w)
    with_target(w, "off", f"user=app_gw secret=file:{w.gateway.dir}/keeper/orders.secret")
    assert ask(w).out == "app_gw" and method(w) == "scram-sha-256"


@test
def scram_with_channel_binding_over_verified_tls(w):
    ca = server_tls(w)
    with_target(w, f"verify-full ca={ca}/ca.pem name=localhost", f"user=app_gw secret=file:{w.gateway.dir}/keeper/orders.secret")
    got = ask(w)
    assert got.out == "app_gw" and method(w) == "scram-sha-256", repr(got)
    session = w.psql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", database="other")
    assert session.out == "t|TLSv1.3", repr(session)


# ---- which mechanism, as somebody between the gateway and the target sees it ----

SSL_REQUEST = struct.pack("!II", 8, 80877103)
BOTH, PLAIN_ONLY = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", b"SCRAM-SHA-256\0\0"


class Relay:
    """Ends TLS under a certificate of its own, when it has one, and starts another to the target; notes how the gateway begins
    its log-in, and may hide what the target offers."""

    def __init__(self, port, certificate=None, hide=False):
        self.port, self.certificate, self.hide = port, certificate, hide
        self.began, self.offered = [], []  # (mechanism, flag of channel binding); lists of mechanisms
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.at = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=self.listener.accept()[:1], daemon=True).start()

    def serve(self, down):
        with contextlib.suppress(OSError):
            up = socket.create_connection(("127.0.0.1", self.port))
            if self.certificate is not None:
                down, up = self.secure(down, up)
            threading.Thread(target=self.move, args=(up, down, self.from_target), daemon=True).start()
            self.move(down, up, self.from_gateway)

    def secure(self, down, up):
        assert down.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
        down.sendall(b"S")
        up.sendall(SSL_REQUEST)
        assert up.recv(1) == b"S"
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.load_cert_chain(f"{self.certificate}.pem", f"{self.certificate}.key")
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        return server.wrap_socket(down, server_side=True), client.wrap_socket(up)

    @staticmethod
    def move(one, other, look):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(look(data))
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def from_gateway(self, data):
        first = re.match(rb"p.{4}(SCRAM-SHA-256(?:-PLUS)?)\0.{4}([^,]*),,n=,r=", data, re.S)
        if first:
            self.began.append((first.group(1).decode(), first.group(2).decode()))
        return data

    def from_target(self, data):
        offer = re.match(rb"R.{4}\0\0\0\x0a(.*\0)\0$", data, re.S)
        if offer:
            self.offered.append(offer.group(1).decode().strip("\0").split("\0"))
        if offer and self.hide:
            assert data[9:] == BOTH, data
            return b"R" + struct.pack("!II", 8 + len(PLAIN_ONLY), 10) + PLAIN_ONLY
        return data

    def close(self):
        self.listener.close()


@contextlib.contextmanager
def relayed(w, tls, **more):
    """A target behind a Relay; the file with the password is the harness's."""
    relay = Relay(w.pg.port, **more)
    with_target(w, tls, f"user=app_gw secret=file:{w.gateway.dir}/keeper/orders.secret", relay.at)
    try:
        yield relay
    finally:
        relay.close()


def log_since(w, mark):
    return w.pg.log()[mark:]


@test
def scram_plus_is_chosen_where_the_target_offers_it(w):
    """Who has the target's own key may look on: the binding is to its certificate."""
    ca = server_tls(w)
    with relayed(w, f"verify-full ca={ca}/ca.pem name=localhost", certificate=ca / "server") as relay:
        assert ask(w).out == "app_gw", w.gateway.logs()
        assert relay.offered[0] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], relay.offered
        assert set(relay.began) == {("SCRAM-SHA-256-PLUS", "p=tls-server-end-point")}, relay.began


@test
def scram_plus_fails_through_somebody_elses_tls(w):
    """PG21: a certificate that the gateway trusts, but not the target's: the target itself refuses, and nothing was told."""
    ca = server_tls(w)
    mark = len(w.pg.log())
    with relayed(w, f"verify-full ca={ca}/ca.pem name=localhost", certificate=ca / "middle") as relay:
        assert ask(w).code == 2
        assert set(relay.began) == {("SCRAM-SHA-256-PLUS", "p=tls-server-end-point")}, relay.began
    assert "SCRAM channel binding check failed" in log_since(w, mark), log_since(w, mark)


@test
def scram_plus_hidden_from_us_is_found_out(w):
    """PG21: who takes -PLUS out of the target's offer is betrayed by our flag: we could have, so the target refuses."""
    ca = server_tls(w)
    mark = len(w.pg.log())
    for certificate in ("middle", "server"):
        with relayed(w, f"verify-full ca={ca}/ca.pem name=localhost", certificate=ca / certificate, hide=True) as relay:
            assert ask(w).code == 2
            assert set(relay.began) == {("SCRAM-SHA-256", "y")}, relay.began
    assert log_since(w, mark).count("The client supports SCRAM channel binding but thinks the server does not.") >= 2, log_since(w, mark)


@test
def scram_without_tls_says_that_it_cannot_bind(w):
    server_tls(w)
    with relayed(w, "off") as relay:
        assert ask(w).out == "app_gw"
        assert relay.offered[0] == ["SCRAM-SHA-256"] and set(relay.began) == {("SCRAM-SHA-256", "n")}, (relay.offered, relay.began)


@test
def a_name_that_does_not_fit_is_refused(w):
    ca = server_tls(w)
    with_target(w, f"verify-full ca={ca}/ca.pem name=elsewhere", f"user=app_gw secret=file:{w.gateway.dir}/keeper/orders.secret")
    assert ask(w).code == 2
    assert "not trusted" in w.gateway.logs(), w.gateway.logs()


@test
def another_authority_is_refused(w):
    ca = server_tls(w)
    with_target(w, f"verify-full ca={ca}/stranger.pem name=localhost", f"user=app_gw secret=file:{w.gateway.dir}/keeper/orders.secret")
    assert ask(w).code == 2


@test
def wrong_password_is_a_refusal(w):
    server_tls(w)
    path = secret(w.gateway, "wrong.secret", "not-it\n")
    with_target(w, "off", f"user=app_gw secret=file:{path}")
    got = ask(w)
    assert got.code == 2 and "not-it" not in got.err + w.gateway.logs(400), repr(got)


@test
def md5(w):
    server_tls(w)
    path = secret(w.gateway, "md5.secret", "md5-secret\n")
    with_target(w, "off", f"user=md5_gw secret=file:{path}")
    assert ask(w).out == "md5_gw" and method(w) == "md5"


@test
def clear_text_only_where_it_is_allowed(w):
    ca = server_tls(w)
    path = secret(w.gateway, "clear.secret", "clear-secret\n")
    tls = f"verify-full ca={ca}/ca.pem name=localhost"
    with_target(w, tls, f"user=clear_gw secret=file:{path}")
    assert ask(w).code == 2
    assert "cleartext on" in w.gateway.logs(), w.gateway.logs()
    with_target(w, tls, f"user=clear_gw secret=file:{path} cleartext on")
    assert ask(w).out == "clear_gw"
    w.gateway.more_targets = TARGET_TLS.format(name="other", port=w.pg.port, dir=w.gateway.dir, tls="off",
                                               login=f"user=clear_gw secret=file:{path} cleartext on")
    w.gateway.write()
    refused = w.gateway.daemon("-t")
    assert refused.code == 1 and "needs TLS" in refused.err, repr(refused)


@test
def client_certificate(w):
    """The key is the keeper's file; the worker shows the certificate and asks for the signature."""
    ca = server_tls(w)
    key = secret(w.gateway, "client.key", (ca / "client.key").read_text())
    with_target(w, f"verify-full ca={ca}/ca.pem name=localhost", f"user=cert_gw cert={ca}/client.pem key=file:{key}")
    got = ask(w)
    assert got.out == "cert_gw" and method(w) == "cert", repr(got) + w.gateway.logs()
    for pid in w.gateway.children()["worker"]:
        assert b"PRIVATE KEY" not in open(f"/proc/{pid}/environ", "rb").read()


@test
def a_renewed_client_certificate_is_shown_after_a_reload(w):
    """New files under the old names, and one session that is there meanwhile."""
    ca, g = server_tls(w), w.gateway
    key, cert = secret(g, "client.key", (ca / "client.key").read_text()), g.dir / "tls" / "client.pem"
    shutil.copy(ca / "client.pem", cert)
    with_target(w, f"verify-full ca={ca}/ca.pem name=localhost", f"user=cert_gw cert={cert} key=file:{key}")

    def serial():
        got = w.psql("SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()", database="other", token=w.token(fresh=True))
        assert got.code == 0, repr(got) + g.logs()
        return got.out
    old = serial()
    one = w.psql_waiting(stdin="SELECT 'in';\n", database="other", token=w.token(fresh=True))
    wait_for(lambda: [s for s in w.sessions(live=True) if s["target"] == "other"], said="no live session")
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=cert_gw", "-keyout", ca / "renewed.key", "-out", ca / "renewed.csr"],
        check=True)
    run(["openssl", "x509", "-req", "-in", ca / "renewed.csr", "-days", "2", "-CA", ca / "ca.pem", "-CAkey", ca / "ca.key", "-CAcreateserial", "-out", ca / "renewed.pem"],
        check=True)
    cert.write_text((ca / "renewed.pem").read_text())
    secret(g, "client.key", (ca / "renewed.key").read_text())
    done = g.reload()
    assert done.code == 0, repr(done)
    wait_for(lambda: serial() != old, 20, said="the old certificate is shown")
    one.say("SELECT 'lives';\n")
    got = one.result()
    assert "lives" in got.out, repr(got)


@test
def a_strangers_certificate_is_refused(w):
    ca = server_tls(w)
    key = secret(w.gateway, "stranger.key", (ca / "stranger.key").read_text())
    with_target(w, f"verify-full ca={ca}/ca.pem name=localhost", f"user=cert_gw cert={ca}/stranger.pem key=file:{key}")
    assert ask(w).code == 2


@test
def what_is_no_key_is_refused_at_reload(w):
    ca = server_tls(w)
    key = secret(w.gateway, "no.key", "not a key\n")
    g = w.gateway
    g.more_targets = TARGET_TLS.format(name="other", port=w.pg.port, dir=g.dir, tls=f"verify-full ca={ca}/ca.pem name=localhost",
                                       login=f"user=cert_gw cert={ca}/client.pem key=file:{key}")
    g.write()
    done = g.reload()
    assert done.code == 1 and "private key" in done.err, repr(done)


main()
