#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who calls is said by a proof and by nothing else (ID1); what is somebody else's is nobody's business (ID7); secrets stay out of
addresses and logs (ID8)."""

import http.client
import re
import ssl

from harness import *

# What gateways of this kind have believed, in the spellings that servers and frameworks turn into one another.
NAMES = ["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Remote-User", "X-Remote-Group",
         "X-Remote-Extra-Scopes", "Remote-User", "Remote-Groups", "X-Auth-Request-User", "X-Auth-Request-Groups", "X-Authenticated-User",
         "X-WebAuth-User", "X-User", "X-Username", "X-Sallyport-User", "X-Sallyport-Groups", "X-Sallyport-Roles", "X-Warpgate-Username",
         "Impersonate-User", "Impersonate-Group", "Tailscale-User-Login", "Cf-Access-Authenticated-User-Email", "X-Amzn-Oidc-Identity",
         "X-Ms-Client-Principal-Name", "Ssl-Client-S-Dn", "X-Ssl-Client-Cn", "X-Client-Cert", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url",
         "X-Http-Method-Override", "From"]
WHO = {"Groups": "admin,auditor,leads", "Group": "admin", "Roles": "admin"}


def spelled(name):
    """As it is, in small letters, with underscores, and both."""
    return {name, name.lower(), name.replace("-", "_"), name.lower().replace("-", "_"), name.upper()}


HEADERS = [(s, WHO.get(name.rsplit("-", 1)[-1], "opa")) for name in NAMES for s in sorted(spelled(name))]
HEADERS += [("Forwarded", "for=127.0.0.1;by=opa;host=localhost"), ("X-Forwarded-For", "127.0.0.1"), ("X_Forwarded_For", "127.0.0.1")]


class Peer:
    """An HTTPS connection that can send what no client library would."""

    def __init__(self, world, address="127.0.0.1"):
        self.world, self.address = world, address
        self.host = f"localhost:{world.gateway.console_port}"
        self.connect()

    def connect(self):
        context = ssl.create_default_context(cafile=str(self.world.gateway.dir / "tls" / "cert.pem"))
        self.s = context.wrap_socket(socket.create_connection(("127.0.0.1", self.world.gateway.console_port), 10 * SLOW, source_address=(self.address, 0)),
                                     server_hostname="localhost")

    def ask(self, method, path, headers=(), token=None, body=b"", trailers=None):
        """(status, text); of a stream of events, which has no end, no text."""
        head = [("Host", self.host)] + ([("Authorization", "Bearer " + token)] if token else []) + list(headers)
        if trailers is not None:
            head += [("Transfer-Encoding", "chunked"), ("Trailer", ", ".join(n for n, _ in trailers))]
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body) + "".join(f"{n}: {v}\r\n" for n, v in trailers).encode() + b"\r\n"
        elif body or method == "POST":
            head += [("Content-Length", str(len(body)))]
        if body:
            head += [("Content-Type", "application/json")]
        self.s.sendall((f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in head) + "\r\n").encode() + body)
        r = http.client.HTTPResponse(self.s, method=method)
        r.begin()
        if r.headers.get_content_type() == "text/event-stream":
            self.s.close()
            self.connect()
            return r.status, ""
        return r.status, r.read().decode("utf-8", "replace")


def once(world, *args, address="127.0.0.1", **more):
    return Peer(world, address).ask(*args, **more)


def routes(world):
    doc = json.loads(once(world, "GET", "/api/v1/openapi.json")[1])
    for path, item in doc["paths"].items():
        for method, op in item.items():
            yield method.upper(), path, op


def steady(text):
    """Without what differs from one answer to the next."""
    text = re.sub(r'\d{4}-\d\d-\d\dT[0-9:.]+Z', "TIME", text)
    return re.sub(r'"(expires_in|ledger|n|looked|cursor|flow|device_code|user_code|location|verification_uri_complete)": ?("[^"]*"|\d+)', r'"\1":0', text)


@test
def id1_no_header_names_a_caller_on_any_route(world):
    """ID1: each route for a user, with all of them and without: the same answer; nor is a stranger anybody."""
    ann, n = world.token("ann", "dev", api=True), 0
    for method, path, op in routes(world):
        query = {"/api/v1/search": "?text=x", "/api/v1/sessions/{id}/explain": "?op=1"}.get(path, "")
        if path in ("/metrics", "/api/v1/logout") or path.startswith("/api/v1/device") or path.startswith("/api/v1/signin"):
            continue  # other numbers each time, or a state of their own: below
        where = path.replace("{id}", "nnnnnnnn") + query
        peer = Peer(world)
        plain = peer.ask(method, where, token=ann)
        for part in range(0, len(HEADERS), 80):
            told = peer.ask(method, where, HEADERS[part:part + 80], token=ann)
            assert (told[0], steady(told[1])) == (plain[0], steady(plain[1])), (method, path, plain, told)
        n += 1
        if op["security"]:
            stranger = once(world, method, where, HEADERS[:80], address=f"127.0.3.{n}")
            assert stranger[0] == 401, (method, path, stranger)
    assert n > 30, n
    assert once(world, "GET", "/metrics", HEADERS[:80], token=ann)[0] == 403


@test
def id1_a_state_of_its_own_is_nobodys_either(world):
    """ID1: the routes that the test above leaves out because their answers differ each time: a stranger with all of the headers is one."""
    left = [(method, path) for method, path, op in routes(world)
            if op["security"] and (path == "/api/v1/logout" or path.startswith(("/api/v1/device", "/api/v1/signin")))]
    assert ("POST", "/api/v1/logout") in left and len(left) > 2, left
    for n, (method, path) in enumerate(left):
        for part in range(0, len(HEADERS), 80):
            status, text = once(world, method, path.replace("{id}", "nnnnnnnn"), HEADERS[part:part + 80], address=f"127.0.6.{n * 10 + part // 80 + 1}")
            assert status == 401, (method, path, status, text)


@test
def id1_each_header_by_itself_says_nothing(world):
    ann = world.token("ann", "dev", api=True)
    mine = json.loads(once(world, "GET", "/api/v1/whoami", token=ann)[1])
    assert mine["user"] == "ann" and "operate" not in mine["may"]
    peer = Peer(world)
    for header in HEADERS:
        status, text = peer.ask("GET", "/api/v1/whoami", [header], token=ann)
        assert status == 200 and json.loads(text) == mine, header


@test
def id1_upgrades_and_trailers_are_no_way_around(world):
    """WebSocket, HTTP/2, h2c, trailers, CONNECT and absolute targets: nothing is upgraded, nothing is believed."""
    ann, ops = world.token("ann", "dev", api=True), world.token("opa", "admin", api=True)
    upgrades = ([("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")],
                [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")])
    for method, path, op in routes(world):
        if not op["security"] or path in ("/api/v1/logout", "/metrics"):
            continue
        where = path.replace("{id}", "nnnnnnnn")
        peer = Peer(world)
        plain = peer.ask(method, where, token=ann)
        for upgrade in upgrades:
            status, text = peer.ask(method, where, upgrade + HEADERS[:40], token=ann)
            assert status != 101 and (status, steady(text)) == (plain[0], steady(plain[1])), (method, path, status, text)
    for name in ("Authorization", "Cookie", "Host", "X-Forwarded-User", "x_remote_user"):
        value = "Bearer " + ops if name == "Authorization" else "__Host-sallyport=" + ops if name == "Cookie" else "opa"
        status, text = once(world, "POST", "/api/v1/revoke", token=ann, body=b'{"user": "nobody-there"}', trailers=[(name, value)])
        assert status in (400, 403), (name, status, text)
        status, text = once(world, "POST", "/api/v1/revoke", body=b'{"user": "nobody-there"}', trailers=[(name, value)], address="127.0.4.9")
        assert status in (400, 401), (name, status, text)
    for line in ("PRI * HTTP/2.0", "CONNECT localhost:443 HTTP/1.1", f"GET http://localhost:{world.gateway.console_port}/api/v1/whoami HTTP/1.1"):
        peer = Peer(world)
        peer.s.sendall(f"{line}\r\nHost: {peer.host}\r\nAuthorization: Bearer {ann}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 (400|405|505) ", peer.s.recv(4096)), line


@test
def id1_the_control_socket_believes_the_kernel_only(world):
    """Who is at its other end is the account; a header, and a token of somebody else's class, make no admin of a user."""
    for part in range(0, len(HEADERS), 80):
        done = run(["curl", "-sS", "--unix-socket", world.gateway.control, *sum((["-H", f"{n}: eve"] for n, _ in HEADERS[part:part + 80]), []),
                    "http://sallyport/api/v1/whoami"])
        assert done.json["identity"] == "unix" and done.json["user"] != "eve", repr(done)


@test
def id7_what_is_anothers_is_not_there(world):
    """ID7: each route that takes an id, with ids of somebody else's session, request and ticket: nothing is told, nothing changes."""
    assert world.psql("SELECT 'anns'").code == 0
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    request = world.waiting_request()["id"]
    ticket = world.command("ticket", "orders", "--format", "json", token=world.token("ann", "dev", api=True)).json["id"]
    session = next(s["id"] for s in world.sessions() if s["user"] == "ann")
    eve, told = world.token("eve", "dev", api=True), 0
    ann = world.token("ann", "dev", api=True)
    assert once(world, "GET", f"/api/v1/sessions/{session}", token=ann)[0] == 200
    for method, path, op in routes(world):
        if "{id}" not in path or not op["security"]:
            continue
        for id in (session, request, ticket):
            query = "?op=1" if path.endswith("/explain") else ""
            status, text = once(world, method, path.replace("{id}", id) + query, token=eve)
            assert status in (403, 404), (method, path, id, status, text)
            told += 1
    assert told > 25, told
    assert world.waiting_request()["id"] == request
    assert ticket in [t["id"] for t in json.loads(once(world, "GET", "/api/v1/tickets", token=ann)[1])["tickets"]]
    for path in ("sessions", "tickets"):
        assert json.loads(once(world, "GET", f"/api/v1/{path}?user=ann" if path == "sessions" else f"/api/v1/{path}", token=eve)[1])[path] == []
    waiting.interrupt()
    waiting.result()


@test
def id8_no_secret_in_an_address_and_none_in_a_log(world):
    """A token in a query is no proof; and after all of this, at debug level, no log has one."""
    ops = world.token("opa", "admin", api=True)
    for query in ("token=", "access_token=", "authorization=Bearer%20", "csrf="):
        status, text = once(world, "GET", f"/api/v1/whoami?{query}{ops}", address="127.0.5.1")
        assert status in (400, 401), (query, status, text)
        assert ops not in text and ops.split(".")[2] not in text, query
    status, text = once(world, "GET", f"/api/v1/status?x={ops}", token=ops)
    assert status == 400 and ops not in text, text
    made = world.command("ticket", "orders", "--format", "json", token=world.token("ann", "dev", api=True)).json
    once(world, "GET", "/api/v1/whoami", [("Cookie", "__Host-sallyport=" + ops)])
    once(world, "POST", "/api/v1/policies/explain", token=ops, body=b'{"target": "orders", "text": "SELECT \'canary-5a1f\'"}')
    secrets = [ops, ops.split(".")[2], made["password"], "canary-5a1f"]
    for log in (world.gateway.dir / "log").iterdir():
        text = log.read_text(errors="replace")
        assert log.name.startswith(("error", "audit", "access", "stderr")) and not [s[:12] for s in secrets if s in text], log


os.environ["SALLYPORT_DEBUG"] = "1"  # the gateway's level is debug
main(console="limit connections=500 per_address=200;")
