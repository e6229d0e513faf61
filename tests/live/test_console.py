#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The console over HTTPS: TLS, who one is, what a browser could be made to send, limits, reloads (ID6, ID10, AV1, MC1)."""

import http.client
import shutil
import ssl

from harness import *


def context(world, **how):
    c = ssl.create_default_context(cafile=str(world.gateway.dir / "tls" / "cert.pem"))
    for name, value in how.items():
        setattr(c, name, value)
    return c


def url(world):
    return f"https://localhost:{world.gateway.console_port}"


def call(world, method, path, body=None, token=None, **fields):
    """(status, headers, text) of one request over a connection of its own."""
    c = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=context(world), timeout=10 * SLOW)
    headers = {k.replace("_", "-"): v for k, v in fields.items()}
    if token:
        headers["Authorization"] = "Bearer " + token
    if body is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    c.request(method, path, body=json.dumps(body) if isinstance(body, (dict, list)) else body, headers=headers)
    r = c.getresponse()
    text = r.read().decode("utf-8", "replace")
    c.close()
    return r.status, r.headers, text


def memory(pid):
    """All that the process can read of itself, as root sees it."""
    out = b""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in open(f"/proc/{pid}/maps", encoding="ascii").read().splitlines():
            span, mode = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if mode.startswith("rw") and "[v" not in line:
                mem.seek(start)
                out += mem.read(end - start)
    return out


def api_token(world, user="ann", groups="dev"):
    return world.token(user, groups, api=True)


@test
def curl_asks_who_it_is(world):
    done = run(["curl", "-sS", "--cacert", world.gateway.dir / "tls" / "cert.pem", "-H", f"Authorization: Bearer {api_token(world)}",
                url(world) + "/api/v1/whoami"])
    assert done.code == 0 and done.json["user"] == "ann" and done.json["may"] == ["use", "approve"], repr(done)
    assert "csrf" not in done.json


@test
def it_is_never_who_runs_it(world):
    """Over HTTPS nobody is unix:NAME: without a token there is no caller, and a token of sessions is none."""
    status, fields, text = call(world, "GET", "/api/v1/whoami")
    assert status == 401 and "a token is needed" in text and fields["WWW-Authenticate"] == "Bearer", (status, text)
    for token in (world.token("ann"), "nonsense", "a.b.c", "sps_" + "a" * 43):
        status, _, text = call(world, "GET", "/api/v1/whoami", token=token)
        assert status == 401, (token[:20], status, text)
    assert call(world, "GET", "/api/v1/whoami", Authorization="Basic YW5uOmFubg==")[0] == 401


@test
def roles_hold_over_https(world):
    """ID6: what needs a role is refused to who has it not."""
    ann, audit, ops = api_token(world), api_token(world, "aud", "auditor"), api_token(world, "opa", "admin")
    for method, path, may in (("GET", "/api/v1/search?text=x", {audit}), ("GET", "/api/v1/status", {audit, ops}), ("POST", "/api/v1/revoke", {ops}),
                              ("POST", "/api/v1/token", set())):
        for token in (ann, audit, ops):
            status, _, text = call(world, method, path, {"user": "nobody-there"} if method == "POST" else None, token=token)
            assert (status != 403) == (token in may), (method, path, status, text)


@test
def only_our_name_is_answered(world):
    """MC1: another Host, as after DNS rebinding, gets nothing."""
    token = api_token(world)
    for host in ("evil.example.com", f"127.0.0.1:{world.gateway.console_port}", "localhost", f"localhost:{world.gateway.console_port}.evil"):
        status, _, text = call(world, "GET", "/api/v1/whoami", token=token, Host=host)
        assert status == (400 if host.endswith(".evil") else 421), (host, status, text)
    assert call(world, "GET", "/signin", Host="evil.example.com")[0] == 421
    assert call(world, "GET", "/healthz", Host="evil.example.com")[0] == 200


@test
def other_origins_write_nothing(world):
    """ID10, MC1: a page of another site."""
    ops = api_token(world, "opa", "admin")
    for origin in ("https://evil.example.com", "null", "http://localhost", url(world) + ".evil", url(world) + "/"):
        status, _, text = call(world, "POST", "/api/v1/revoke", {"user": "nobody-there"}, token=ops, Origin=origin)
        assert status == 403 and "another site" in text, (origin, status, text)
    assert call(world, "POST", "/api/v1/revoke", {"user": "nobody-there"}, token=ops, Origin=url(world))[0] == 200
    assert call(world, "POST", "/api/v1/revoke", {"user": "nobody-there"}, token=ops)[0] == 200


@test
def a_cookie_writes_only_with_its_token(world):
    """ID10: a cookie alone, as a foreign page could have it sent, writes nothing and is read by nobody."""
    cookie = {"Cookie": "__Host-sallyport=" + api_token(world, "opa", "admin")}
    status, _, text = call(world, "GET", "/api/v1/whoami", **cookie)
    assert status == 200, text
    csrf = json.loads(text)["csrf"]
    body, ours = {"user": "nobody-there"}, {"Origin": url(world)}
    refused = [{}, ours, {"X-Sallyport-CSRF": csrf}, {**ours, "X-Sallyport-CSRF": csrf[:-1]}, {**ours, "X-Sallyport-CSRF": csrf[::-1]},
               {"Origin": "https://evil.example.com", "X-Sallyport-CSRF": csrf}]
    for fields in refused:
        assert call(world, "POST", "/api/v1/revoke", body, **cookie, **fields)[0] == 403, fields
    status, _, text = call(world, "POST", "/api/v1/revoke", body, **cookie, **ours, **{"X-Sallyport-CSRF": csrf})
    assert status == 200, text
    assert call(world, "GET", "/api/v1/whoami", **cookie, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert call(world, "GET", "/api/v1/whoami", **cookie, **{"Sec-Fetch-Site": "same-origin"})[0] == 200
    twice = {"Cookie": cookie["Cookie"] + "; __Host-sallyport=other"}
    assert call(world, "GET", "/api/v1/whoami", **twice)[0] == 401


@test
def answers_say_what_browsers_may_do(world):
    for path in ("/signin", "/api/v1/whoami", "/style.css", "/nothing"):
        _, fields, _ = call(world, "GET", path)
        assert fields["Strict-Transport-Security"].startswith("max-age=31536000"), path
        assert "default-src 'none'" in fields["Content-Security-Policy"] and "frame-ancestors 'none'" in fields["Content-Security-Policy"], path
        assert "unsafe" not in fields["Content-Security-Policy"], path
        assert fields["X-Content-Type-Options"] == "nosniff" and fields["Referrer-Policy"] == "same-origin" and fields["X-Frame-Options"] == "DENY", path
        assert "Access-Control-Allow-Origin" not in fields, path
    assert call(world, "GET", "/signin")[1]["Cache-Control"] == "no-store"


@test
def the_console_is_healthy(world):
    assert call(world, "GET", "/healthz")[2] == "ok\n"
    assert call(world, "GET", "/readyz")[0] == 200


@test
def tls_is_new_enough(world):
    at = ("localhost", world.gateway.console_port)
    for version, good in (("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)):
        c = context(world, minimum_version=getattr(ssl.TLSVersion, version), maximum_version=getattr(ssl.TLSVersion, version))
        c.set_ciphers("ALL:@SECLEVEL=0")
        try:
            with socket.create_connection(at, 10) as s, c.wrap_socket(s, server_hostname="localhost") as t:
                assert good, version + " was spoken"
                assert t.version() == version.replace("_", ".")
        except ssl.SSLError:
            assert not good, version + " was refused"
    c = context(world)
    c.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(at, 10) as s, c.wrap_socket(s, server_hostname="localhost") as t:
        assert t.selected_alpn_protocol() == "http/1.1"
    with socket.create_connection(at, 10) as s:
        s.sendall(b"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in s.recv(4096)


@test
def half_open_handshakes_stop_nobody(world):
    """AV1: one address has its share of connections, and sessions do not notice."""
    idle = [socket.create_connection(("127.0.0.1", world.gateway.console_port), 10, source_address=("127.0.0.2", 0)) for _ in range(200)]
    try:
        def closed():
            n = 0
            for s in idle:
                s.setblocking(False)
                try:
                    n += s.recv(1) == b""
                except BlockingIOError:
                    pass
                except OSError:
                    n += 1
            return n
        wait_for(lambda: closed() >= 200 - 32, 10, said=f"{200 - closed()} of 200 idle connections are open")
        assert closed() < 200
        assert call(world, "GET", "/healthz")[0] == 200
        assert world.psql("SELECT 1").out == "1"
    finally:
        for s in idle:
            s.close()


@test
def a_large_answer_comes_whole(world):
    """A recording, over TLS, is what is in the store: more than one record, by pieces."""
    sql = "SELECT md5(g::text) || md5((g + 1)::text) FROM generate_series(1, 20000) g"
    assert world.psql(sql).code == 0
    audit = api_token(world, "aud", "auditor")
    session = wait_for(lambda: [s for s in world.sessions() if s["state"] == "ended"], 10)[0]["id"]
    c = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=context(world), timeout=20 * SLOW)
    c.request("GET", f"/api/v1/sessions/{session}/recording", headers={"Authorization": "Bearer " + audit})
    r = c.getresponse()
    assert r.status == 200, r.read()
    got = r.read()
    c.request("GET", "/api/v1/whoami", headers={"Authorization": "Bearer " + audit})  # the connection lives on
    assert c.getresponse().status == 200
    c.close()
    with tempfile.TemporaryDirectory() as folder:
        kept = pathlib.Path(folder) / "kept"
        assert world.command("export", session, kept, token=audit).code == 0
        assert kept.read_bytes() == got and len(got) > 200000


@test
def malformed_requests_are_refused(world):
    at = ("localhost", world.gateway.console_port)
    for said in (b"GET /api/v1/whoami HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /api/v1/whoami HTTP/1.1\r\n\r\n", b"NONSENSE\r\n\r\n",
                 b"POST /api/v1/revoke HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"):
        with socket.create_connection(at, 10) as s, context(world).wrap_socket(s, server_hostname="localhost") as t:
            t.sendall(said)
            assert re.match(rb"HTTP/1.1 (400|501) ", t.recv(4096)), said


def post_link(world, link, **fields):
    return call(world, "POST", "/signin/link", "link=" + link, **{"Content-Type": "application/x-www-form-urlencoded", "Origin": url(world), **fields})


def account_of(world, cookie):
    return json.loads(call(world, "GET", "/api/v1/whoami", Cookie=cookie)[2])


@test
def a_link_of_the_control_socket_opens_the_console_once(world):
    """ID10: whoever may use the socket gets in, as that account and with its rights; the link is good once, and in no log."""
    made = world.command("console", "--json")
    assert made.code == 0, repr(made)
    address, _, link = made.json["url"].partition("#")
    assert address == url(world) + "/signin/link" and len(link) > 40, made.json
    assert call(world, "GET", "/signin/link")[0] == 200
    for origin in ("https://evil.example.com", "null"):
        assert post_link(world, link, Origin=origin)[0] == 403
    for wrong in ("", link[:-1], link[1:], link[::-1], "A" * len(link), "%00"):
        status, fields, text = post_link(world, wrong)
        assert status == 400 and "sps_" not in str(fields), (wrong, status, text)
    status, fields, text = post_link(world, link, Cookie="__Host-sallyport=sps_of-another-time")  # which does not count
    cookie = fields.get_all("Set-Cookie")[0].split(";")
    assert status == 303 and fields["Location"] == "/" and cookie[0].startswith("__Host-sallyport=sps_") and " HttpOnly" in cookie and " Secure" in cookie, (status, text)
    who, socket = account_of(world, cookie[0]), world.command("whoami", "--json").json
    assert (who["user"], who["identity"]) == (socket["user"], "unix") and set(who["may"]) == set(socket["may"]) - {"mint"}, (who, socket)
    status, _, text = post_link(world, link)
    assert status == 400 and "used before" in text, (status, text)
    written = "".join(p.read_text(errors="replace") for p in (world.gateway.dir / "log").iterdir())
    assert link not in written and link[:40] not in written and cookie[0].partition("=")[2] not in written
    assert "console-link" in written


@test
def only_the_control_socket_makes_links(world):
    """A token makes none, a link's sign-in makes none and lets no machine in; a used link stays used when the keeper comes back."""
    assert call(world, "POST", "/api/v1/console-link", {}, token=api_token(world))[0] == 403
    status, _, text = call(world, "POST", "/api/v1/console-link", {}, token=api_token(world, "opa", "admin"))
    assert status == 400 and "control socket" in text, (status, text)
    links = [world.command("console", "--json").json["url"].partition("#")[2] for _ in range(2)]
    cookie = post_link(world, links[0])[1].get_all("Set-Cookie")[0].split(";")[0]
    csrf = account_of(world, cookie)["csrf"]
    ours = {"Cookie": cookie, "Origin": url(world), "X-Sallyport-CSRF": csrf}
    assert call(world, "POST", "/api/v1/console-link", {}, **ours)[0] == 400
    device = json.loads(call(world, "POST", "/api/v1/device", {"name": "elsewhere"})[2])
    assert call(world, "POST", "/api/v1/device/confirm", {"code": device["user_code"], "allow": True}, **ours)[0] == 403
    os.kill(world.gateway.children()["keeper"][0], signal.SIGKILL)
    wait_for(lambda: world.command("status").code == 0, 30, said="the keeper does not come back")
    assert post_link(world, links[0])[0] == 400
    assert post_link(world, links[1])[0] == 303
    assert call(world, "POST", "/api/v1/logout", {}, **ours)[0] == 200
    assert call(world, "GET", "/api/v1/whoami", Cookie=cookie)[0] == 401


@test
def a_link_ends_with_its_account(world):
    """P6: a revocation counts at once, for the sign-in and for links made before it; nobody becomes another by a sign-in of an hour."""
    made = world.command("console", "--json")
    links = [made.json["url"].partition("#")[2], world.command("console", "--json").json["url"].partition("#")[2]]
    cookie = post_link(world, links[0])[1].get_all("Set-Cookie")[0].split(";")[0]
    who = account_of(world, cookie)
    assert call(world, "POST", "/api/v1/token", {"user": "eve", "api": True}, **{"Cookie": cookie, "Origin": url(world), "X-Sallyport-CSRF": who["csrf"]})[0] == 403
    assert world.command("revoke", "--user", who["user"]).code == 0
    assert call(world, "GET", "/api/v1/whoami", Cookie=cookie)[0] == 401
    assert post_link(world, links[1])[0] == 400


@test
def guessing_is_slowed_down(world):
    """Proofs that are refused use up what an address may try; then it waits, and others do not."""
    seen = set()
    for n in range(60):
        c = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=context(world), timeout=10 * SLOW,
                                        source_address=("127.0.0.3", 0))
        c.request("GET", "/api/v1/whoami", headers={"Authorization": f"Bearer sps_{n:043}"})
        r = c.getresponse()
        seen.add(r.status)
        after = r.headers["Retry-After"]
        c.close()
        if r.status == 429:
            break
    assert seen == {401, 429} and int(after) > 0, seen
    assert call(world, "GET", "/api/v1/whoami", token=api_token(world))[0] == 200


@test
def no_secret_is_written_down(world):
    """ID8: neither in a log nor in the audit, and once it has been answered, not in the console's memory."""
    secret, good = "sps_canary" + os.urandom(20).hex(), world.token("eve", "dev", api=True, fresh=True)
    assert call(world, "GET", "/api/v1/whoami", token=secret)[0] == 401
    assert call(world, "GET", "/signin", Cookie="__Host-sallyport=" + secret)[0] < 600
    assert call(world, "GET", "/api/v1/whoami", token=good)[0] == 200
    for path in (world.gateway.dir / "log").iterdir():
        assert secret not in path.read_text(errors="replace") and good not in path.read_text(errors="replace"), path
    if SANITIZED:
        print("        (sanitized: the wiping allocator is left to the released build)")
        return
    if not IS_ROOT:
        print("        (not root: another process's memory can't be read)")
        return
    console = world.gateway.children()["console"][0]
    half = "sps_half" + os.urandom(20).hex()
    with socket.create_connection(("localhost", world.gateway.console_port), 10) as s, context(world).wrap_socket(s, server_hostname="localhost") as t:
        t.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {half}\r\n".encode())
        wait_for(lambda: half.encode() in memory(console), 5, said="what is half sent is not found: the search is blind")
    for name, canary in (("a refused secret", secret), ("a token", good), ("what was half sent", half)):
        wait_for(lambda c=canary: c.encode() not in memory(console), 5, said=f"{name} stays in the console's memory")


@test
def a_reload_swaps_the_certificate(world):
    """… for new connections; one that is open goes on."""
    old = context(world)
    c = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=old, timeout=10 * SLOW)
    c.request("GET", "/healthz")
    assert c.getresponse().read() == b"ok\n"
    kept = world.gateway.dir / "tls" / "kept"
    kept.mkdir()
    for name in ("cert.pem", "key.pem"):
        shutil.copy(world.gateway.dir / "tls" / name, kept / name)
    world.gateway._certificate()
    done = world.gateway.reload()
    assert done.code == 0, repr(done)
    assert call(world, "GET", "/healthz")[0] == 200  # verified by the new one
    c.request("GET", "/healthz")
    assert c.getresponse().read() == b"ok\n"
    c.close()
    try:
        d = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=old, timeout=10)
        d.request("GET", "/healthz")
        assert False, "the old certificate is still shown"
    except ssl.SSLError:
        pass


@test
def a_reload_moves_and_closes_the_door(world):
    was = world.gateway.console_port
    world.gateway.console_port = free_port()
    world.gateway.write()
    assert world.gateway.reload().code == 0
    assert call(world, "GET", "/healthz")[0] == 200
    assert not world.gateway.listens(was)
    world.gateway.console = False
    world.gateway.write()
    assert world.gateway.reload().code == 0
    assert not world.gateway.listens(world.gateway.console_port)
    assert world.command("whoami").code == 0
    world.gateway.console, world.gateway.console_port = True, was
    world.gateway.write()
    assert world.gateway.reload().code == 0
    assert call(world, "GET", "/healthz")[0] == 200


@test
def a_console_that_died_comes_back(world):
    os.kill(world.gateway.children()["console"][0], signal.SIGKILL)

    def answers():
        try:
            return call(world, "GET", "/readyz")[0] == 200
        except OSError:
            return False
    wait_for(answers, 10, said="the console does not answer again")


@test
def what_is_missing_is_said(world):
    good = world.gateway.conf_text()
    for wrong, said in ((good.replace(f"url https://localhost:{world.gateway.console_port};", ""), "needs \"url"),
                        (good.replace("url https://localhost", "url http://localhost"), "url"),
                        (good.replace(f"console {{ listen 127.0.0.1:{world.gateway.console_port}", f"console {{ listen 127.0.0.1:{world.gateway.port}"), "same address"),
                        (re.sub(r"console \{(.*?)tls cert=\S+ key=\S+;", r"console {\1", good), "needs \"tls")):
        assert wrong != good
        world.gateway.write(wrong)
        done = world.gateway.daemon("-t")
        assert done.code != 0 and said in done.err, repr(done)
    world.gateway.write()


main(console=True)
