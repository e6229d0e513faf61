#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client's certificate is its proof: curl against an HTTP target, a gateway that asks for certificates."""

from http_world import *


def by_certificate(w, pair, *args, name="api", path="/x"):
    return w.curl(path, "--cert", pair[0], "--key", pair[1], *args, name=name, token="")


@test
def a_certificate_says_who_it_is(w):
    done = by_certificate(w, w.authority.issue("ann", "/O=shop/OU=dev/OU=night/CN=ann"))
    assert done.status == "200" and json.loads(done.body)["headers"]["x-gate-user"] == "ann", f"{done!r}\n{w.gateway.logs()}"
    seen = wait_for(lambda: [x for x in w.gateway.audit() if x.get("event") == "admitted" and x.get("user") == "ann"], said="no audit line")
    assert seen[-1]["issuer"] == "x509:people", seen
    job = by_certificate(w, w.authority.issue("job", "/O=jobs/OU=dev", san="URI:spiffe://shop/nightly"))
    assert job.status == "200" and json.loads(job.body)["headers"]["x-gate-user"] == "spiffe://shop/nightly", f"{job!r}\n{w.gateway.logs()}"


@test
def nobody_else_vouches(w):
    other = Authority(w.gateway.dir / "tls", "others")
    pairs = {
        "another authority": other.issue("ann", "/OU=dev/CN=ann"),
        "a server's": w.authority.issue("server", "/OU=dev/CN=ann", purpose="serverAuth"),
        "no group": w.authority.issue("lone", "/CN=ann"),
        "another group": w.authority.issue("guest", "/OU=guests/CN=ann"),
        "two names": w.authority.issue("two", "/OU=dev/CN=ann/CN=bob"),
        "no name": w.authority.issue("none", "/OU=dev"),
        "out of date": w.authority.issue("old", "/OU=dev/CN=ann", days=-1),
    }
    for what, pair in pairs.items():
        done = by_certificate(w, pair)
        assert done.status == "401" and "path" not in done.body, f"{what}: {done!r}"
    assert w.curl("/x", name="api", token="").status == "401"
    self_made = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/OU=dev/CN=ann",
                     "-keyout", w.dir / "self.key", "-out", w.dir / "self.pem"])
    assert self_made.code == 0 and by_certificate(w, (w.dir / "self.pem", w.dir / "self.key")).status == "401"


@test
def a_token_goes_before_it(w):
    pair = w.authority.issue("cora", "/OU=dev/CN=cora")
    done = by_certificate(w, pair, "-H", f"Authorization: Bearer {w.token('bob')}")
    assert json.loads(done.body)["headers"]["x-gate-user"] == "bob", repr(done)
    assert by_certificate(w, pair, "-H", "Authorization: Bearer wrong").status == "401"  # not: then by the certificate


@test
def the_proof_of_a_connection_is_fixed(w):
    cert, key = w.authority.issue("dora", "/OU=dev/CN=dora")
    context = ssl.create_default_context(cafile=w.gateway.dir / "tls" / "cert.pem")
    context.check_hostname = False
    context.load_cert_chain(cert, key)
    ask = b"GET /%d HTTP/1.1\r\nHost: api.gate.test\r\n%s\r\n"
    with context.wrap_socket(socket.create_connection(("127.0.0.1", w.https_port), timeout=20 * SLOW), server_hostname="localhost") as s:
        s.sendall(ask % (1, b"") + ask % (2, b"") + ask % (3, f"Authorization: Bearer {w.token()}\r\n".encode()))
        back = b""
        while piece := s.recv(65536):
            back += piece
    assert back.count(b"HTTP/1.1 200") == 2 and b"HTTP/1.1 401" in back and b'"/3"' not in back, back


@test
def id10_pages_of_others_write_nothing(w):
    pair = w.authority.issue("eve", "/OU=dev/CN=eve")
    for site, method, status in (("cross-site", "POST", "403"), ("same-site", "DELETE", "403"), ("same-origin", "POST", "200"), ("cross-site", "GET", "200")):
        done = by_certificate(w, pair, "-X", method, "-H", f"Sec-Fetch-Site: {site}")
        assert done.status == status, f"{site} {method} {done!r}"


@test
def id10_nor_by_a_password_that_the_browser_keeps(w):
    """Basic goes out for any page's sake, as certificates do; where a browser doesn't say from where, its Origin does."""
    basic = ("-u", f"token:{w.token('gil')}")
    for fields, status in ((("Sec-Fetch-Site: cross-site",), "403"), (("Sec-Fetch-Site: same-origin",), "200"), ((), "200"),
                           (("Origin: https://evil.example",), "403"), (("Origin: null",), "403"), (("Origin: https://api.gate.test",), "200")):
        done = w.curl("/x", "-X", "POST", "-H", "Host: api.gate.test", *basic, *(x for f in fields for x in ("-H", f)), name="api", token="")
        assert done.status == status, f"{fields} {done!r}"
    bearer = w.curl("/x", "-X", "POST", "-H", "Sec-Fetch-Site: cross-site", name="api", user="gil")
    assert bearer.status == "200", repr(bearer)  # which only a page's own script sends


@test
def p10_a_key_that_takes_long_is_not_tried(w):
    """RSA of 4608 bits by the right authority: refused before its signature costs anybody's time."""
    pair = w.authority.issue("lon", "/OU=dev/CN=lon", kind=("rsa:4608",))
    done = by_certificate(w, pair)
    assert done.status == "000", repr(done)
    assert by_certificate(w, w.authority.issue("lod", "/OU=dev/CN=lod", kind=("rsa:2048",))).status == "200"


@test
def what_its_own_identity_refuses_is_nobody_elses(w):
    """A job's certificate without the name that `jobs` wants is not a person of `people`, which trusts the same authority."""
    done = by_certificate(w, w.authority.issue("nightly", "/O=jobs/OU=dev/CN=nightly"))
    assert done.status == "401", repr(done)


@test
def a_session_ends_with_its_identity(w):
    context = ssl.create_default_context(cafile=w.gateway.dir / "tls" / "cert.pem")
    context.check_hostname = False
    context.load_cert_chain(*w.authority.issue("fay", "/OU=dev/CN=fay"))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", w.https_port), timeout=20 * SLOW), server_hostname="localhost") as s:
        s.sendall(b"GET /1 HTTP/1.1\r\nHost: api.gate.test\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        conf = w.gateway.conf_text()
        w.gateway.write(conf.replace("identity people {", "identity others {", 1))
        assert w.gateway.reload().code == 0, w.gateway.logs()
        while s.recv(65536):
            pass
    w.gateway.write()
    assert w.gateway.reload().code == 0


@test
def who_is_revoked_is_out(w):
    pair = w.authority.issue("rex", "/OU=dev/CN=rex")
    assert by_certificate(w, pair).status == "200"
    assert w.command("revoke", "--user", "rex").code == 0
    assert by_certificate(w, pair).status == "401"


@test
def lists_of_revoked_ones(w):
    """On a list: out. A list that is out of date, or none of the issuer's: everybody is out, with words that say so."""
    a, g = w.authority, w.gateway
    good, bad = a.issue("gus", "/OU=dev/CN=gus"), a.issue("bea", "/OU=dev/CN=bea")

    def denied(pair, why):
        wait_for(lambda: (r := by_certificate(w, pair)).status == "401" and "path" not in r.body, 30, said=f"taken, though: {why}")
        wait_for(lambda: any(why in json.dumps(x, ensure_ascii=False) for x in g.audit()[-20:]) or why in g.logs(200), 30, said=f"nothing says: {why}")

    def comes_in(pair):
        return by_certificate(w, pair).status == "200"

    crl = a.crl()
    text = g.conf_text()
    g.write(text.replace(f"certificate ca={a.cert};", f"certificate ca={a.cert} crl={crl};"))
    assert g.reload().code == 0, g.logs()
    wait_for(lambda: comes_in(good) and comes_in(bad), 30, said="the lists shut everybody out")
    a.crl(bad)
    assert comes_in(bad), "without a reload"
    g.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not comes_in(bad), 30, said="who is revoked comes in after SIGHUP")
    denied(bad, "was revoked by its issuer")
    assert comes_in(good)
    a.crl(hours=-2)
    assert g.reload().code == 0, g.logs()
    denied(good, "is out of date")
    crl.write_text(Authority(g.dir / "tls", "strangers").crl().read_text())
    done = g.reload()
    assert done.code == 1 and "none of the authorities" in done.err, repr(done)
    denied(good, "is out of date")  # the last good conf is in force
    crl.write_text("nothing\n")
    done = g.reload()
    assert done.code == 1 and "holds no list" in done.err, repr(done)
    a.crl(good)
    assert g.reload().code == 0, g.logs()
    denied(good, "was revoked by its issuer")
    wait_for(lambda: comes_in(bad), 30, said="who is on no list any more stays out")
    g.write(text.replace(f"certificate ca={a.cert};", f"certificate ca={a.cert} crl={crl};", 1))
    done = g.reload()
    assert done.code == 1 and "another crl=" in done.err, repr(done)
    g.write(text)
    assert g.reload().code == 0


http_main()
