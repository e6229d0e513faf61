#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every route of the API, as it describes itself, for every kind of caller, at the socket and over HTTPS (ID6): who may not
is refused, who may is not, what is no route is nowhere, and what is answered is what was described."""

import http.client
import ssl

from harness import *

# What a call needs to be more than malformed; none of it may change what the next call meets.
BODY = {("post", "/api/v1/revoke"): {"user": "nobody-there"}, ("post", "/api/v1/sessions/{id}/kill"): {"reason": "a test"}}
QUERY = {("get", "/api/v1/search"): "?text=needle", ("get", "/api/v1/sessions/{id}/explain"): "?op=1"}


class Local(http.client.HTTPConnection):
    """Over the control socket."""

    def __init__(self, path):
        super().__init__("sallyport")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20 * SLOW)
        self.sock.connect(self.path)


class Caller:
    """One kind of caller by one way in: address None is the control socket."""

    def __init__(self, world, name, token, address):
        self.world, self.name, self.token, self.address = world, name, token, address
        if address is None:
            self.c = Local(world.gateway.control)
        else:
            context = ssl.create_default_context(cafile=str(world.gateway.dir / "tls" / "cert.pem"))
            self.c = http.client.HTTPSConnection("localhost", world.gateway.console_port, context=context, timeout=20 * SLOW,
                                                 source_address=(address, 0))

    def __repr__(self):
        return f"{self.name} {'at the socket' if self.address is None else 'over HTTPS'}"

    def call(self, method, path, body=None):
        headers = {"Authorization": "Bearer " + self.token} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.c.request(method.upper(), path, body=None if body is None else json.dumps(body), headers=headers)
        r = self.c.getresponse()
        if r.headers.get("Content-Type") == "text/event-stream":  # it has no end
            said = b"".join(iter(r.readline, b"data: {}\n"))
            r.close()
            self.c.close()
            return r.status, "text/event-stream", said
        return r.status, r.headers.get("Content-Type"), r.read()


def kinds(world):
    """{name: token} of callers that have a proof of some kind."""
    def agent():
        done = world.command("token", "--user", "bot", "--groups", "dev", "--class", "agent", "--sponsor", "ann", "--api")
        assert done.code == 0, repr(done)
        return done.out
    return {"nobody": None, "nonsense": "a.b.c", "a session's token": world.token("ann", "dev"), "a made-up secret": "sps_" + "x" * 43,
            "a user": world.token("ann", "dev", api=True), "an auditor": world.token("aud", "auditor", api=True),
            "an admin": world.token("opa", "admin", api=True), "an agent": agent()}


def callers(world):
    n = 10
    for name, token in kinds(world).items():
        n += 1
        yield Caller(world, name, token, f"127.0.1.{n}")
        yield Caller(world, name, token, None)


def fits(doc, schema, value, where="answer"):
    """What of a value is not as its schema says, as sentences."""
    if "$ref" in schema:
        schema = doc["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kind = schema.get("type")
    good = {None: True, "string": isinstance(value, str), "integer": isinstance(value, int) and not isinstance(value, bool),
            "boolean": isinstance(value, bool), "array": isinstance(value, list), "object": isinstance(value, dict)}[kind]
    if not good:
        yield f"{where} is no {kind}: {value!r}"
    elif kind == "object":
        yield from (f"{where}.{n} is missing" for n in schema["required"] if n not in value)
        for name, inner in value.items():
            if name not in schema["properties"]:
                yield f"{where}.{name} is not described"
            else:
                yield from fits(doc, schema["properties"][name], inner, f"{where}.{name}")
    elif kind == "array":
        for inner in value:
            yield from fits(doc, schema["items"], inner, where + "[]")


def described(world):
    status, _, text = Caller(world, "nobody", None, "127.0.1.1").call("get", "/api/v1/openapi.json")
    assert status == 200
    doc = json.loads(text)
    printed = run([world.stage / "bin" / "sallyport", "doc", "openapi"])
    assert printed.json == doc
    return doc


def operations(doc):
    for path, item in doc["paths"].items():
        for method, op in item.items():
            yield method, path, op


@test
def every_route_for_every_caller(world):
    """ID6: 401 without a proof, 403 without the role, and neither of them with it."""
    doc, seen = described(world), 0
    for caller in callers(world):
        status, _, text = caller.call("get", "/api/v1/whoami")
        may = set(json.loads(text)["may"]) if status == 200 else None
        assert (may is None) == (caller.name in ("nonsense", "a session's token", "a made-up secret") or
                                 (caller.name == "nobody" and caller.address is not None)), (caller, status, text)
        for method, path, op in operations(doc):
            if path == "/api/v1/logout":
                continue  # of a sign-in that there is: test_signin.py
            anybody, wanted = not op["security"], set(op["x-sallyport-roles"])
            status, _, text = caller.call(method, path.replace("{id}", "nnnnnnnn") + QUERY.get((method, path), ""),
                                          BODY.get((method, path), {}) if method == "post" else None)
            said = (caller, method, path, status, text[:200])
            if anybody:
                assert status != 403, said
            elif may is None:
                assert status in (401, 429), said
            else:
                assert (status == 403) == (not may & wanted) and status != 401, said
            seen += 1
    assert seen > 300, seen


@test
def agents_and_workloads_approve_nothing(world):
    doc = described(world)
    for name in ("agent", "workload"):
        args = ["token", "--user", "bot", "--groups", "dev,leads,dba", "--class", name, "--api"] + (["--sponsor", "ann"] if name == "agent" else [])
        token = world.command(*args).out
        caller = Caller(world, name, token, "127.0.1.50")
        assert "approve" not in json.loads(caller.call("get", "/api/v1/whoami")[2])["may"]
        for method, path, op in operations(doc):
            if op["x-sallyport-roles"] == ["approve"]:
                assert caller.call(method, path.replace("{id}", "nnnnnnnn"), {})[0] == 403, path


@test
def what_is_no_route_is_nowhere(world):
    doc = described(world)
    admin = world.token("opa", "admin", api=True)
    for caller in (Caller(world, "an admin", admin, "127.0.1.51"), Caller(world, "an admin", admin, None)):
        for path in ("/api", "/api/v1", "/api/v1/", "/api/v2/whoami", "/api/v1/whoami/", "/api/v1/Whoami", "/api/v1/sessions/x/y/z", "/admin"):
            assert caller.call("get", path)[0] == 404, (caller, path)
        for path, item in doc["paths"].items():
            for method in ("get", "post", "put", "delete", "patch", "options", "head"):
                if method not in item:
                    status = caller.call(method, path.replace("{id}", "nnnnnnnn"))[0]
                    assert status == 405, (caller, method, path, status)
        assert caller.call("get", "/api/v1/sessions?nonsense=1")[0] == 400
        assert caller.call("post", "/api/v1/revoke", {"user": "x", "nonsense": 1})[0] == 400


@test
def answers_are_as_described(world):
    assert world.psql("SELECT 'needle'").code == 0 and world.psql("DELETE FROM orders").code != 0
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    request = world.waiting_request()
    ended = wait_for(lambda: [s for s in world.sessions() if s["state"] == "ended"], 10)
    doc, seen = described(world), set()
    token = world.token("bob", "leads,auditor,admin", api=True)
    ids = {"/api/v1/requests": request["id"], "/api/v1/sessions": ended[0]["id"]}
    for caller in (Caller(world, "bob", token, "127.0.1.52"), Caller(world, "bob", token, None)):
        for method, path, op in operations(doc):
            about = "/".join(path.split("/")[:4])
            if method != "get" or ("{id}" in path and about not in ids):
                continue
            status, kind, text = caller.call(method, path.replace("{id}", ids.get(about, "")) + QUERY.get((method, path), ""))
            if status in (400, 404, 501):
                continue  # it wants more than this test has
            kind = kind.split(";")[0]
            assert status == 200 and kind in op["responses"]["200"]["content"], (path, status, kind, text[:200])
            schema = op["responses"]["200"]["content"][kind]["schema"]
            lines = text.splitlines() if kind == "application/x-ndjson" else [text] if kind == "application/json" else []
            for line in lines:
                wrong = list(fits(doc, schema, json.loads(line)))
                assert not wrong, (path, wrong)
            seen.add(path)
    bob = Caller(world, "bob", token, "127.0.1.53")
    status, _, text = bob.call("post", f"/api/v1/requests/{request['id']}/approve", {"comment": "yes"})
    assert status == 200 and not list(fits(doc, doc["paths"]["/api/v1/requests/{id}/approve"]["post"]["responses"]["200"]["content"]
                                           ["application/json"]["schema"], json.loads(text))), text
    assert waiting.result().code == 0
    assert len(seen) >= 12, seen


@test
def answers_to_wishes_are_as_described(world):
    """What asks, decides, makes a ticket, breaks the glass and ends all of it."""
    g, doc = world.gateway, described(world)
    g.more_targets = TARGET.format(name="crm", port=g.pg.port, dir=g.dir, extra="access grant approvers=leads break_glass=dev;")
    g.write()
    assert g.reload().code == 0
    ann, lea = (Caller(world, name, world.token(name, group, api=True), None) for name, group in (("ann", "dev"), ("lea", "leads")))

    def post(who, path, id, body):
        status, kind, text = who.call("post", "/api/v1" + path.replace("{id}", id), body)
        assert status == 200 and kind.split(";")[0] == "application/json", (path, status, text)
        answer, schema = json.loads(text), doc["paths"]["/api/v1" + path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        wrong = list(fits(doc, schema, answer))
        assert not wrong, (path, wrong, answer)
        return answer.get("id", "")
    wish = {"target": "crm", "for": 3600000, "reason": "INC-42"}
    request = post(ann, "/requests", "", wish)
    post(lea, "/requests/{id}/approve", request, {})
    post(ann, "/tickets/{id}/end", post(ann, "/tickets", "", {"target": "crm"}), {})
    post(ann, "/grants/{id}/end", request, {})
    post(lea, "/requests/{id}/deny", post(ann, "/requests", "", wish), {"comment": "no"})
    post(ann, "/grants/{id}/end", post(ann, "/requests", "", wish), {})  # taken back
    post(ann, "/requests", "", {**wish, "text": "SELECT 1;"})
    post(ann, "/grants/{id}/end", post(ann, "/break-glass", "", wish), {})


main(console=True)
