#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bodies of HTTP as clients send them: 100-continue, chunks, trailers, connections that are kept, both ways at once."""

from http_world import *

OCTETS = "application/octet-stream"


def lines_until_empty(f):
    """A head, from a file of a socket."""
    got = b""
    while (line := f.readline()) not in (b"\r\n", b""):
        got += line
    return got


def connection(w):
    s = socket.create_connection(("127.0.0.1", w.http_port), timeout=30 * SLOW)
    return s, s.makefile("rb")


def post(w, path, *fields, user="ann"):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.token(user)}\r\n{''.join(f + chr(13) + chr(10) for f in fields)}\r\n".encode()


@test
def a_client_that_waits_for_100(w):
    body = os.urandom(100000)
    for kind, path, user in ((OCTETS, "/upload", "up"), ("application/json", "/orders", "spool")):  # one flows, one is read first
        sent = body if kind == OCTETS else json.dumps({"order": body[:1000].hex()}).encode()
        (w.dir / "sent").write_bytes(sent)
        done = w.curl(path, "-v", "-X", "POST", "-H", f"Content-Type: {kind}", "-H", "Expect: 100-continue", "--expect100-timeout", "20", "--data-binary", f"@{w.dir}/sent", user=user)
        assert "HTTP/1.1 100 Continue" in done.err and done.status == "200", repr(done)
        assert json.loads(done.body)["sha256"] == hashlib.sha256(sent).hexdigest(), repr(done)
        assert "expect" not in json.loads(done.body)["headers"], repr(done)
    # nothing is sent before it is allowed
    s, f = connection(w)
    with s:
        before = len(w.server.got)
        s.sendall(post(w, "/admin/upload", f"Content-Type: {OCTETS}", "Content-Length: 5", "Expect: 100-continue"))
        head = lines_until_empty(f)
        assert head.startswith(b"HTTP/1.1 403") and b"Connection: close" in head and len(w.server.got) == before, head
        f.read()  # to its end: nobody could tell whether the body comes
    s, f = connection(w)
    with s:
        s.sendall(post(w, "/upload", f"Content-Type: {OCTETS}", "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert lines_until_empty(f) == b"HTTP/1.1 100 Continue\r\n"
        s.sendall(b"hello")
        assert lines_until_empty(f).startswith(b"HTTP/1.1 200") and json.loads(f.read())["length"] == 5


@test
def trailers_stay_where_they_came_from(w):
    """Neither a client's nor a target's trailers go on: what is judged and shown was said before the body."""
    program = """
const http = require("http");
const [port, token] = process.argv.slice(-2);
const q = http.request({ port, path: "/trailers", method: "POST", headers: { authorization: "Bearer " + token, "content-type": "application/octet-stream",
  "transfer-encoding": "chunked", trailer: "X-Sum, X-Forwarded-User" } }, (r) => {
  let text = "";
  r.on("data", (d) => text += d);
  r.on("end", () => console.log(JSON.stringify({ status: r.statusCode, headers: r.headers, trailers: r.trailers, text })));
});
q.write("to and ");
q.addTrailers({ "X-Sum": "4711", "X-Forwarded-User": "root" });
q.end("fro");
"""
    done = run(["node", "-e", program, str(w.http_port), w.token("trails")])
    said = done.json
    assert said["status"] == 200 and said["text"] == "to and fro" and said["trailers"] == {} and "trailer" not in said["headers"], repr(done)
    method, path, headers, body = w.server.got[-1]
    assert (method, path, body) == ("POST", "/trailers", b"to and fro") and "Trailer" not in headers, (headers, body)
    assert w.server.server.trailers == [], w.server.server.trailers
    text = w.recording("trails")
    assert "to and fro" in text and "4711" not in text and "secret-of-the-target" not in text, text
    # the connection is in step after both
    s, f = connection(w)
    with s:
        for _ in range(2):
            s.sendall(post(w, "/trailers", f"Content-Type: {OCTETS}", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\nX-Sum: 4711\r\n\r\n")
            assert lines_until_empty(f).startswith(b"HTTP/1.1 200")
            assert f.readline() == b"3\r\n" and f.readline() == b"abc\r\n" and f.readline() == b"0\r\n" and f.readline() == b"\r\n"


@test
def a_connection_is_kept(w):
    words = ["curl", "-sS", "-H", f"Authorization: Bearer {w.token('kept')}", "-w", "%{num_connects}\n"]
    for path in ("/1", "/admin", "/2", "/3"):
        words += ["-o", "/dev/null", w.url(path)]
    done = run(words)
    assert done.out.split() == ["1", "0", "0", "0"], repr(done)
    assert len([s for s in w.sessions() if s["user"] == "kept"]) == 1
    done = run(["curl", "-0", *words[1:]])  # HTTP/1.0: each its own
    assert done.out.split() == ["1"] * 4, repr(done)


@test
def pipelined_with_bodies_in_order(w):
    text = b""
    for i in range(50):
        body = f'{{"order": {{"size": "small", "n": {i}}}}}'.encode()
        if i % 3 == 0:
            text += post(w, f"/orders?n={i}", "Content-Type: application/json", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif i % 3 == 1:
            text += post(w, f"/orders?n={i}", "Content-Type: application/json", f"Content-Length: {len(body)}") + body
        else:
            text += post(w, f"/admin?n={i}", "Content-Type: application/json", f"Content-Length: {len(body)}") + body
    text += post(w, "/last", "Content-Length: 0", "Connection: close")
    back = w.raw(text, seconds=30)
    found = [a or b for a, b in re.findall(rb"HTTP/1.1 (\d+)|\"path\": \"(/[a-z]+(?:\?n=\d+)?)\"", back)]
    wanted = []
    for i in range(50):
        wanted += [b"403"] if i % 3 == 2 else [b"200", b"/orders?n=%d" % i]
    assert found == [*wanted, b"200", b"/last"], found


@test
def both_ways_at_once(w):
    """The answer flows while the request still does."""
    s, f = connection(w)
    with s:
        s.sendall(post(w, "/echo", f"Content-Type: {OCTETS}", "Transfer-Encoding: chunked"))
        for i in range(5):
            s.sendall(b"2\r\n%d\n\r\n" % i)
            if i == 0:
                assert lines_until_empty(f).startswith(b"HTTP/1.1 200")
            assert f.readline() == b"2\r\n" and f.readline() == b"%d\n" % i and f.readline() == b"\r\n"
        s.sendall(b"0\r\n\r\n")
        assert f.readline() == b"0\r\n" and f.readline() == b"\r\n"


http_main()
