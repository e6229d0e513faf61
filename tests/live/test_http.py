#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP through the gateway: curl and bytes of our own, to nginx and to a server that says what it got."""

from http_world import *


@test
def a_request_goes_through(w):
    direct = run(["curl", "-sS", f"http://127.0.0.1:{w.nginx.port}/hello"])
    through = w.curl("/hello", name="web")
    assert through.status == "200" and through.body == direct.out == "hello", f"{through!r}\n{w.gateway.logs()}"
    done = w.curl("/orders/7?dry=1&x=%20y", "-H", "If-Match: \"7\"")
    said = json.loads(done.body)
    assert said["path"] == "/orders/7?dry=1&x=%20y" and said["headers"]["if-match"] == '"7"', said
    assert said["headers"]["host"] == "api.internal" and said["headers"]["x-gate-user"] == "ann", said


@test
def bodies_both_ways(w):
    done = w.curl("/big", "-o", w.dir / "big", name="web")
    assert done.status == "200", repr(done)
    assert hashlib.sha256((w.dir / "big").read_bytes()).digest() == hashlib.sha256((w.nginx.dir / "www" / "big").read_bytes()).digest()
    data = w.nginx.dir / "www" / "big"
    wanted = hashlib.sha256(data.read_bytes()).hexdigest()
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        done = w.curl("/upload", "-X", "POST", "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{data}", *more)
        assert done.status == "200" and json.loads(done.body)["sha256"] == wanted, f"{more} {done!r}\n{w.gateway.logs()}"
    done = w.curl("/x", "-I")
    assert done.status == "200", repr(done)


@test
def a_rule_denies_with_403(w):
    before = len(w.server.got)
    done = w.curl("/orders/7", "-X", "DELETE")
    said = json.loads(done.body)
    assert done.status == "403" and 'blocked by rule "no-delete": Ask for it in a ticket.' in said["error"] and "sallyport explain" in said["error"], repr(done)
    assert len(w.server.got) == before
    for path in ("/admin", "/a/admin/b", "/%61dmin", "/admin;x/1", "/admin%3Bx", "/orders/7;a=b"):
        assert w.curl(path).status == "403", path
    assert "path" in w.curl("/orders/7;a=b").body
    done = w.curl("/matrix;a=b")  # a rule says that this one's server takes it as it stands
    assert done.status == "200" and w.server.got[-1][1] == "/matrix;a=b", repr(done)


@test
def what_cannot_be_seen_is_denied(w):
    for kind, body in (("application/octet-stream", "x"), ("application/yaml", "a: 1"), ("application/json", '{"a":1,"a":2}'), ("application/json", "{"),
                       ("text/plain", "x"), ("multipart/form-data; boundary=x", "--x--")):
        before = len(w.server.got)
        done = w.curl("/orders", "-X", "POST", "-H", f"Content-Type: {kind}", "--data-binary", body, user="rc4")  # RC4
        assert done.status == "403" and "body" in done.body, f"{kind} {body} {done!r}"
        assert len(w.server.got) == before, kind
    for kind, body in (("application/x-www-form-urlencoded; charset=IBM037", "%A2%89%95%92=%A3%99%A4%85"), ("application/json;charset=\"utf-7\"", "{}"),
                       ("application/x-www-form-urlencoded", "_charset_=IBM037&a=1")):
        done = w.curl("/ships", "-X", "POST", "-H", f"Content-Type: {kind}", "--data-binary", body)
        assert done.status == "403" and "charset" in done.body, f"{kind} {done!r}"
    done = w.curl("/orders", "-X", "POST", "-H", "Content-Type: application/json; Charset=UTF-8", "--data-binary", "{}")
    assert done.status == "200", repr(done)
    for body in ('{"a": 1, "A": 2}', '{"o": [{"sink": 1, "ſink": 2}]}'):  # which of them does the server take?
        done = w.curl("/orders", "-X", "POST", "-H", "Content-Type: application/json", "--data-binary", body)
        assert done.status == "403" and "ambiguous" in done.body, repr(done)
    done = w.curl("/orders", "-X", "POST", "-H", "Content-Type: application/json", "--data-binary", '{"order": {"size": "small"}}')
    assert done.status == "200", repr(done)
    done = w.curl("/orders", "-X", "POST", "--data", "order.size=small")
    assert done.status == "200", repr(done)
    text = w.recording("rc4")
    assert "POST /orders" in text, text


@test
def names_in_any_case(w):
    for name in ("sink", "Sink", "SINK", "ſinK"):  # as Go's encoding/json takes them
        done = w.curl("/ships", "-X", "POST", "-H", "Content-Type: application/json", "--data-binary", json.dumps({name: True}, ensure_ascii=False))
        assert done.status == "403" and "Nothing is sunk." in done.body, f"{name} {done!r}"
    done = w.curl("/ships", "-X", "POST", "-H", "Content-Type: application/json", "--data-binary", '{"Sinks": true, "value": "Sink"}')
    assert done.status == "200", repr(done)


@test
def one_waits_for_a_lead(w):
    words = ["curl", "-sS", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {w.token('held')}", "-H", "Content-Type: application/json",
             "-d", '{"order": {"size": "large"}}', w.url("/orders")]
    p = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    request = w.waiting_request()
    assert "POST /orders" in json.dumps(request) and "large" in json.dumps(request), request
    assert p.poll() is None
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    out, _ = p.communicate(timeout=20 * SLOW)
    assert out.endswith("\n200"), out
    p = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    request = w.waiting_request()
    p.terminate()
    p.communicate()
    wait_for(lambda: not [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"], said="it still waits")


@test
def no_token_no_way(w):
    for token in ("", "wrong", w.token(groups="other")):
        done = w.curl("/x", token=token)
        assert done.status == "401", repr(done)
    token = w.token()
    done = run(["curl", "-sS", "-u", f"token:{token}", w.url("/x")])
    assert done.json["path"] == "/x" and "authorization" not in done.json["headers"], repr(done)
    done = run(["curl", "-sS", "-u", f"bob:{token}", w.url("/x")])
    assert "path" not in done.out, repr(done)
    assert w.curl("/x", name="nowhere").status == "401"


def get(path, token, *fields):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{''.join(f + chr(13) + chr(10) for f in fields)}\r\n".encode()


@test
def pipelined_requests_are_answered_in_order(w):
    t = w.token()
    back = w.raw(b"".join((get("/1", t), get("/admin", t), get("/2", t), get("/3", t, "Connection: close"))))
    found = re.findall(rb"HTTP/1.1 (\d+)|\"path\": \"(/\d)\"", back)
    assert [a or b for a, b in found] == [b"200", b"/1", b"403", b"200", b"/2", b"200", b"/3"], back


@test
def a_connection_is_one_principals(w):
    back = w.raw(get("/1", w.token()) + get("/2", w.token("bob")))
    assert back.count(b"HTTP/1.1 200") == 1 and b"HTTP/1.1 401" in back and b"/2" not in back, back
    back = w.raw(get("/1", w.token()) + b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert back.count(b"HTTP/1.1 200") == 1 and b"HTTP/1.1 401" in back, back


@test
def id1_identity_fields_of_clients_never_pass(w):
    names = ["X-Forwarded-User", "X-Forwarded-For", "Forwarded", "X-Remote-User", "Remote-User", "X_Forwarded_User", "X-Gate-User", "X_Gate_User",
             "X-Real-IP", "X-WebAuth-User", "X-Auth-Request-Email", "Impersonate-User", "X-Sallyport-User", "X-HTTP-Method-Override", "X-Original-URL",
             "Proxy-Authorization", "X-Unheard-Of"]
    fields = [f"{n}: root" for n in names if n != "Proxy-Authorization"]
    said = json.loads(w.raw(get("/x", w.token(), *fields, "Connection: close")).split(b"\r\n\r\n", 1)[1])["headers"]
    assert "root" not in json.dumps(said) and said["x-gate-user"] == "ann", said
    # in trailers, and named as one connection's own
    post = (f"POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.token()}\r\nContent-Type: application/json\r\n"
            "Connection: close, Cookie\r\nCookie: a=1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Forwarded-User: root\r\n\r\n").encode()
    back = w.raw(post)
    assert b"root" not in back and (b"HTTP/1.1 4" in back or b'"cookie"' not in back), back
    conf = w.gateway.conf_text()
    assert "judged   if-match;" in conf
    w.gateway.write(conf.replace("judged   if-match;", "judged if-match; headers accept X-Forwarded-User;", 1))
    done = w.gateway.daemon("-t")
    w.gateway.write()
    assert done.code == 1 and "never send these through" in done.err, f"{done!r}"


@test
def the_targets_credential_is_injected_and_stays(w):
    for name, field, value in (("sealed", "authorization", "Bearer target-secret-4711"), ("own", "x-secret-key", "target-secret-4711"),
                               ("basic", "authorization", "Basic c3ZjOnRhcmdldC1zZWNyZXQtNDcxMQ==")):
        done = w.curl("/x", name=name, user="cred")
        assert done.status == "200" and json.loads(done.body)["headers"][field] == value, repr(done)
    bare = w.gateway.conf_text().replace("cleartext on;", ";")
    w.gateway.write(bare)
    done = w.gateway.reload()
    assert done.code == 0, repr(done)
    done = w.curl("/x", name="sealed")
    w.gateway.write()
    assert w.gateway.reload().code == 0
    assert done.status == "502" and "target-secret" not in done.body, repr(done)


@test
def the_gateways_certificate_is_shown_to_the_target(w):
    done = w.curl("/x", name="mtls", user="cred")  # the keeper signs; no worker has the key
    assert done.status == "200" and json.loads(done.body)["path"] == "/x", f"{done!r}\n{w.gateway.logs()}"
    done = w.curl("/x", name="bare", user="cred")
    assert done.status != "200" and "path" not in done.body, repr(done)


@test
def what_would_give_the_credential_away_is_refused(w):
    for method in ("TRACE", "TRACK", "trace"):
        before = len(w.server_tls.got)
        done = w.curl("/x", "-X", method, "-D", "-", name="sealed", user="echo")
        assert done.status == "405" and "TRACE" in done.body and "allow: get" in done.body.lower(), repr(done)
        assert len(w.server_tls.got) == before


@test
def detectors_look_through_answers(w):
    for path in ("/cards", "/cards/split"):
        done = w.curl(path, user="cards")
        assert done.status == "200" and done.body == "a **** b", repr(done)
    done = w.curl("/cards/field", "-D", "-", user="cards")
    assert "x-note: a **** b" in done.body.lower() and "/cards?of=****" in done.body and "4111" not in done.body, repr(done)
    assert "4111" not in w.recording("cards")
    assert w.curl("/cards", "-0", user="cards").body == "a **** b"


@test
def json_answers_are_masked_by_tags(w):
    plain = w.curl("/people", name="people", groups="leads")
    assert json.loads(plain.body) == json.loads(w.curl("/people").body) == PEOPLE, plain
    done = w.curl("/people", name="people", user="masked")
    said = json.loads(done.body)
    first, second, third = said["items"]
    assert "example.com" not in done.body and "4111" not in done.body and "4242" not in done.body and "street" not in done.body, repr(done)
    assert first["id"] == 1 and first["price"] == 1.5 and first["customer"]["name"] == "Ann" and said["card"] == "kept", said
    assert first["email"] and second["customer"]["address"] is None and third["id"] == 3, said
    # what can't be masked is not shown (P2)
    for path in ("/csv", "/as/text/html", "/as/text/javascript", "/as/application/javascript", "/as/image/svg+xml", "/as/image/unheard", "/as/font/unheard"):
        done = w.curl(path, name="people", user="masked")
        assert done.status == "403" and "ann@" not in done.body and "only JSON" in json.loads(done.body)["error"], f"{path} {done!r}"
    done = w.curl("/many/510", name="people", user="masked")
    rows = json.loads(done.body)
    assert done.status == "200" and len(rows) == 10 and "ann@" not in done.body, repr(done)
    assert all(row[f"c{i}"] == i for row in rows for i in range(510)), rows[0]
    for path, text in (("/many/600", "too many fields"), ("/twice", "can't be masked"), ("/long", "`whole`"), ("/long/chunked", "`whole`")):
        done = w.curl(path, name="people", user="masked")
        assert done.status == "502" and "ann@" not in done.body and text in json.loads(done.body)["error"], f"{path} {done!r}"
    for path in ("/as/text/css", "/as/image/png", "/as/font/woff2", "/pages/as/text/html", "/pages/as/text/javascript"):
        assert w.curl(path, name="people", user="masked").status == "200", path
    assert w.curl("/pages/as/text/csv", name="people", user="masked").status == "403"
    done = w.curl("/fields", "-D", "-", name="people", user="masked")
    assert "ann@" not in done.body and "x-shown: yes" in done.body.lower() and "no-store" in done.body, repr(done)
    assert "ann@" in w.curl("/fields", "-D", "-").body
    assert w.curl("/csv").status == "200"
    assert "ann@example.com" not in w.recording("masked")


@test
def streams_come_as_they_are_sent(w):
    p = subprocess.Popen(["curl", "-sSN", "-H", f"Authorization: Bearer {w.token()}", w.url("/stream")], stdout=subprocess.PIPE, text=True)
    for i in range(5):
        assert p.stdout.readline() == f"data: {i}\n" and p.stdout.readline() == "\n"
        w.server.server.step.set()
    assert p.wait(10 * SLOW) == 0


@test
def streams_are_masked_by_tags(w):
    for kind, first in (("lines", '{"id":1,"email":"****"}'), ("events", ":")):
        argv = ["curl", "-sSNk", "--resolve", f"people.gate.test:{w.https_port}:127.0.0.1", "-H", f"Authorization: Bearer {w.token('streams')}", w.url(f"/people/{kind}", "people")]
        p = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        got = p.stdout.readline()
        assert got == first + "\n", (kind, got)
        while "wait" not in got:  # it comes before the rest was sent
            got += (line := p.stdout.readline())
            assert line, (kind, got)
        w.server_step()
        got += p.stdout.read()
        assert p.wait(20 * SLOW) == 0 and "example.com" not in got, (kind, got)
        if kind == "lines":
            assert [json.loads(x) for x in got.split("\n") if x] == [{"id": 1, "email": "****"}, {"id": "wait"}, {"items": [{"email": "****"}]}], got
        else:
            assert got == ':\n\nevent: order\nid: 7\ndata: {"email":"****","id":1}\n\ndata: {"id":"wait"}\n\ndata: [DONE]\n\n', got
    for kind in ("nolines", "noevents", "long", "twice"):
        done = w.curl(f"/people/{kind}", name="people", user="streams")
        assert done.code != 0 and "ann@" not in done.out and '{"id":1}' in done.out, f"{kind} {done!r}"
    text = w.recordings("streams")
    assert "ann@example.com" not in text and "****" in text, text


@test
def answers_are_contained(w):  # ID9, ID10
    assert w.curl("/away").status == "502"
    for i in range(6):
        assert w.curl(f"/away/{i}").status == "502", i
    done = w.curl("/home", "-D", "-")
    assert "location: /elsewhere" in done.body.lower() and done.status == "302", repr(done)
    assert w.curl("/gzip").status == "502"
    done = w.curl("/cookie", "-D", "-")
    assert "a=1; Path=/; HttpOnly" in done.body and "example.com" not in done.body and "sallyport" not in done.body, repr(done)
    said = json.loads(w.curl("/x", "-H", "Cookie: a=1; __Host-sallyport=sps_secret; b=2; __Host-sallyport-flow=x").body)
    assert said["headers"]["cookie"] == "a=1; b=2", said
    assert w.curl("/two").status == "502"
    assert w.curl("/short").code != 0
    done = w.curl("/hello", "-H", "Accept-Encoding: gzip", name="web")
    assert done.body == "hello", repr(done)


@test
def id9_targets_do_not_point_inward(w):
    # the gateway itself
    done = w.curl("/x", name="itself")
    assert done.status in ("403", "502") and "this gateway itself listens" in w.gateway.logs(), f"{done!r}\n{w.gateway.logs()}"
    conf = w.gateway.conf_text()
    for place in ("169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "100.100.100.200:80"):
        w.gateway.write(conf.replace(f"server   127.0.0.1:{w.nginx.port}", f"server   {place}", 1))
        done = w.gateway.daemon("-t")
        assert done.code == 1 and "can't be a target" in done.err, f"{place} {done!r}"
    w.gateway.write()


SMUGGLING = [
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "Content-Length: 3, 3\r\n\r\nabc", "Content-Length: +3\r\n\r\nabc", "Content-Length : 3\r\n\r\nabc",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: xchunked\r\n\r\n", "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Host: y\r\n\r\n",
    "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-1\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1;" + "x" * 300 + "\r\na\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
]


@test
def the_smuggling_corpus_is_refused(w):
    t = w.token()
    hidden = get("/hidden", t).decode()
    for text in SMUGGLING:
        before = len(w.server.got)
        back = w.raw(f"POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {t}\r\nContent-Type: application/json\r\n{text}{hidden}".encode("latin-1"))
        assert re.match(rb"HTTP/1.1 (400|431|501)", back) and back.count(b"HTTP/1.1 ") == 1, f"{text!r}: {back}"
        assert len(w.server.got) == before, text
    for line in ("GET http://other/ HTTP/1.1", "CONNECT other:22 HTTP/1.1", "GET //x HTTP/1.1", "GET /a/../b HTTP/1.1", "GET /a%2fb HTTP/1.1", "GET /%2e%2e/b HTTP/1.1",
                 "GET / HTTP/2.0", "GET / HTTP/1.1 ", "GET /x\\y HTTP/1.1", "PRI * HTTP/2.0"):
        before = len(w.server.got)
        back = w.raw(f"{line}\r\nHost: x\r\nAuthorization: Bearer {t}\r\n\r\n{hidden}".encode())
        assert re.match(rb"HTTP/1.1 (400|501|505)", back) and back.count(b"HTTP/1.1 ") == 1, f"{line!r}: {back}"
        assert len(w.server.got) == before, line


@test
def a_rule_ends_the_session(w):
    back = w.raw(get("/kill", w.token()) + get("/1", w.token()))
    assert back.count(b"HTTP/1.1") == 1 and b"403" in back and b"Goodbye" in back, back


@test
def it_is_recorded(w):
    w.curl("/needle?in=haystack", user="rec")
    text = w.recording("rec")
    assert "GET /needle?in=haystack" in text and '"path"' in text and "200 OK" in text, text


http_main()
