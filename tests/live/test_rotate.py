#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A reload reads the contents of files anew, under the names that they had: certificates and keys of listeners, authorities of
targets, secrets of logins. Sessions that are there go on; a bad file leaves the old one in force. Nothing but a reload does it."""

import ssl

from authority import Authority
from harness import *


def certificate(folder, name, owner):
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True)
    (folder / f"{name}.key").chmod(0o600)
    if IS_ROOT:
        shutil.chown(folder / f"{name}.key", owner, owner)
    return folder / f"{name}.pem", folder / f"{name}.key"


def shown(port):
    """The certificate that a listener shows, to a client that speaks PostgreSQL's SSLRequest; PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30 * SLOW) as s:
        s.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
        assert s.recv(1) == b"S"
        with context.wrap_socket(s, server_hostname="localhost") as t:
            return ssl.DER_cert_to_PEM_cert(t.getpeercert(True)).strip()


def live_one(w):
    one = w.psql_waiting(stdin="SELECT 'in';\n", token=w.token(fresh=True))
    wait_for(lambda: w.sessions(live=True), said="no live session")
    return one


def lives(one):
    one.say("SELECT 'lives';\n")
    got = one.result()
    assert "lives" in got.out, repr(got)


@test
def certificate_and_key_of_a_listener(w):
    g = w.gateway
    cert, key = g.dir / "tls" / "cert.pem", g.dir / "tls" / "key.pem"
    old, one = cert.read_text(), live_one(w)
    assert shown(g.tls_port) == old.strip()
    new_cert, new_key = certificate(w.dir, "renewed", "sallyport")
    cert.write_text(new_cert.read_text())
    assert g.daemon("-s", "reopen").code == 0
    assert shown(g.tls_port) == old.strip(), "without a reload"
    done = g.reload()  # half of it: the key is another one's
    assert done.code == 1 and "cert.pem" in done.err, (repr(done), g.logs(40))
    assert shown(g.tls_port) == old.strip()
    lives(one)  # workers that can't take it would be ended, and all sessions with them
    one = live_one(w)
    trusted = g.dir / "tls" / "nothing.pem"
    trusted.write_text("nothing\n")
    text = g.conf_text()
    key.write_text(new_key.read_text())
    g.write(text.replace("tls       off", f"tls       verify-full ca={trusted}"))
    done = g.reload()
    assert done.code == 1 and "nothing.pem" in done.err, repr(done)
    g.write(text)
    done = g.reload()
    assert done.code == 0, repr(done)
    wait_for(lambda: shown(g.tls_port) == new_cert.read_text().strip(), 20, said="the old certificate is shown")
    lives(one)


@test
def secret_of_a_login(w):
    g = w.gateway
    secret, one = g.dir / "keeper" / "orders.secret", live_one(w)
    w.pg.sql("ALTER ROLE app_gw PASSWORD 'another one'")
    assert w.psql("SELECT 1", token=w.token(fresh=True)).code != 0, "the old secret is good"
    secret.write_text("another one\n")
    done = g.reload()
    assert done.code == 0, repr(done)
    got = wait_for(lambda: (r := w.psql("SELECT 1", token=w.token(fresh=True))).code == 0 and r, 20, said="the new secret is not used")
    assert got.out == "1"
    lives(one)


@test
def authorities_of_a_target(w):
    g = w.gateway
    for name in ("first", "second"):
        certificate(w.pg.data, name, "postgres")
    trusted = g.dir / "tls" / "ca.pem"
    trusted.write_text((w.pg.data / "first.pem").read_text())

    def serves(name):
        for setting, value in (("ssl_cert_file", f"{name}.pem"), ("ssl_key_file", f"{name}.key"), ("ssl", "on")):
            w.pg.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
        w.pg.sql("SELECT pg_reload_conf()")
        wait_for(lambda: w.pg.sql("SHOW ssl_cert_file") == f"{name}.pem" and w.pg.sql("SHOW ssl") == "on", 20, said="the target keeps its certificate")

    def comes_in():
        return w.psql("SELECT 1", token=w.token(fresh=True)).code == 0

    serves("first")
    g.write(g.conf_text().replace("tls       off", f"tls       verify-full ca={trusted} name=localhost"))
    assert g.reload().code == 0
    wait_for(comes_in, 30, said="nobody comes in by TLS")
    one = live_one(w)
    serves("second")
    wait_for(lambda: not comes_in(), 30, said="an unknown authority is trusted")
    trusted.write_text((w.pg.data / "second.pem").read_text())
    assert g.reload().code == 0
    wait_for(comes_in, 30, said="the new authority is not trusted")
    serves("first")
    wait_for(lambda: not comes_in(), 30, said="the old authority is trusted still")
    lives(one)


@test
def certificates_that_a_target_s_authority_revoked(w):
    g, a = w.gateway, Authority(w.gateway.dir / "tls", "targets")
    first, second = (a.issue(name, f"/CN={name}", purpose="serverAuth", san="DNS:localhost") for name in ("one", "two"))

    def serves(pair):
        for kind, path in zip(("pem", "key"), pair):
            shutil.copy(path, w.pg.data / f"server.{kind}")
            (w.pg.data / f"server.{kind}").chmod(0o600)
            if IS_ROOT:
                shutil.chown(w.pg.data / f"server.{kind}", "postgres", "postgres")
        for setting, value in (("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key"), ("ssl", "on")):
            w.pg.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
        w.pg.sql("SELECT pg_reload_conf()")
        wait_for(lambda: w.pg.sql("SHOW ssl_cert_file") == "server.pem" and w.pg.sql("SHOW ssl") == "on", 20, said="the target keeps its certificate")

    def comes_in():
        return w.psql("SELECT 1", token=w.token(fresh=True)).code == 0

    serves(first)
    crl = a.crl()
    text = g.conf_text()
    g.write(re.sub(r"tls +(off|verify-full [^;]*);", f"tls verify-full ca={a.cert} crl={crl} name=localhost;", text))
    assert g.reload().code == 0, g.logs()
    wait_for(comes_in, 30, said="nobody comes in by TLS")
    one = live_one(w)
    a.crl(first)
    assert g.reload().code == 0, g.logs()
    wait_for(lambda: not comes_in(), 30, said="a revoked certificate is trusted")
    wait_for(lambda: "was revoked by its issuer" in g.logs(200), 20, said="the log does not say why")
    lives(one)
    serves(second)
    wait_for(comes_in, 30, said="the new certificate is refused")
    a.crl(first, hours=-2)
    assert g.reload().code == 0, g.logs()
    wait_for(lambda: not comes_in(), 30, said="a list that is out of date is trusted")
    wait_for(lambda: "is out of date" in g.logs(200), 20, said="the log does not say why")
    told = w.command("doctor", "orders", "--conf", g.conf_file)
    assert "crl.pem" in told.out, repr(told)
    g.write(text)
    assert g.reload().code == 0


main()
