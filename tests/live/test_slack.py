#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clicks on Slack messages through the console's HTTPS (AP8): the test is Slack; the person signs in with a real provider (npm)."""

import hashlib
import hmac

import harness
from harness import *

import test_oidc
import test_webhooks
from npm import node_folder

harness._tests.clear()  # theirs

KEY = "slack-" + os.urandom(12).hex()
IDENTITY = """\
webhook chat {{ url https://localhost:{port}/chat; format slack; ca {dir}/tls/cert.pem; server https://localhost:{port}; signing file:{dir}/keeper/slack.key; team T1; decide both;
    users ULEA=corp/lea UANN=corp/ann; }}
identity corp {{
    oidc     issuer={corp} client=gate secret=file:{dir}/keeper/client.secret audience=sallyport api_audience=sallyport-api ca={dir}/tls/cert.pem;
    user     claim=sub show=email;
    person   claim=oid;
    roles    approver=leads;
}}
"""
test_oidc.USERS["lea"] = {"email": "lea@example.com", "groups": ["leads"], "oid": "o-lea"}
turn = 0


def ready(w):
    g = w.gateway
    if getattr(w, "corp", None) is not None:
        return
    node_folder()
    w.receiver = test_webhooks.Receiver(g)
    w.corp = test_oidc.Provider(w, "corp", "ES256", True, [{"client_id": "gate", "client_secret": "secret",
        "redirect_uris": [test_oidc.console(w) + "/signin/callback/corp"], "grant_types": ["authorization_code"], "id_token_signed_response_alg": "ES256"}])
    w.corp.start()
    for name, text in (("slack.key", KEY), ("client.secret", "secret")):
        path = g.dir / "keeper" / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        if IS_ROOT:
            shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
    g.extra = IDENTITY.format(port=w.receiver.port, dir=g.dir, corp=w.corp.issuer)
    g.write(g.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))
    done = g.reload()
    assert done.code == 0, repr(done)
    test_oidc.corp_is_known(w)


def held(w, sql):
    waiting = w.psql_waiting(sql, user="ann")
    return waiting, w.waiting_request()


def form(w, user, action, value):
    global turn
    turn += 1
    payload = {"type": "block_actions", "trigger_id": str(turn), "team": {"id": "T1"}, "user": {"id": user, "name": "x"},
               "response_url": f"https://localhost:{w.receiver.port}/back", "actions": [{"action_id": action, "value": value}]}
    return test_oidc.urllib.parse.urlencode({"payload": json.dumps(payload)})


def post(w, body, key=KEY, at=None, method="POST", **more):
    stamp = str(int(time.time()) if at is None else at)
    signature = "v0=" + hmac.new(key.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"X_Slack_Request_Timestamp": stamp, "X_Slack_Signature": signature, "Content_Type": "application/x-www-form-urlencoded", **more}
    return test_oidc.ask(w, method, test_oidc.console(w) + "/api/v1/slack/chat", body=body, **{k: v for k, v in headers.items() if v is not None})[0]


def message(w, request):
    """The message that asked: its buttons, by what they are called."""
    body = wait_for(lambda: [h[2] for h in w.receiver.of("/chat") if request["id"].encode() in h[2]], said=f"nobody was told:\n{w.gateway.logs()}")[0]
    return {e["action_id"]: e for b in json.loads(body)["blocks"] if b["type"] == "actions" for e in b["elements"]}, body


def back(w):
    return [json.loads(h[2]) for h in w.receiver.of("/back")]


def click(w, user, button):
    before = len(back(w))
    assert post(w, form(w, user, button["action_id"], button["value"])) == 200
    return wait_for(lambda: back(w)[before:], said=f"who clicked was told nothing:\n{w.gateway.logs()}")[0]


@test
def only_slacks_fresh_word_counts(w):
    ready(w)
    waiting, request = held(w, "UPDATE orders SET state = 'S3CRET' WHERE id = 1")
    buttons, body = message(w, request)
    assert set(buttons) == {"sallyport-look", "sallyport-approve", "sallyport-deny"} and b"S3CRET" not in body, body
    assert buttons["sallyport-deny"]["value"] == f"{request['id']} {request['hash'][:12]}", buttons
    one = form(w, "ULEA", "sallyport-deny", buttons["sallyport-deny"]["value"])
    assert post(w, one, key="not Slack's") == 401
    assert post(w, one, at=int(time.time()) - 301) == 401
    assert post(w, one, X_Slack_Signature=None) == 401
    assert post(w, one, X_Slack_Request_Timestamp=None) == 401
    assert post(w, one, method="GET") in (400, 405), "a chat bot that follows links decides nothing"
    assert post(w, one, Origin="https://evil.example") == 403
    same = int(time.time())
    assert post(w, one, at=same) == 200 and post(w, one, at=same) == 401, "a replay"
    wait_for(lambda: back(w), said="who clicked was told nothing")
    assert "not signed in" in back(w)[0]["text"] and back(w)[0]["response_type"] == "ephemeral", back(w)
    assert [r for r in w.requests() if r["id"] == request["id"]][0]["state"] == "waiting"
    told = click(w, "USOMEBODY", buttons["sallyport-approve"])
    assert "does not know who you are" in told["text"] and f"/requests/{request['id']}" in told["text"], told
    waiting.interrupt()
    waiting.result()


@test
def a_click_counts_as_who_is_signed_in(w):
    ready(w)
    jar = test_oidc.sign_in(w, "lea")
    waiting, request = held(w, "UPDATE orders SET state = 'new' WHERE id = 4 RETURNING state")
    buttons, _ = message(w, request)
    assert "look at the whole request first" in click(w, "ULEA", buttons["sallyport-approve"])["text"]
    assert buttons["sallyport-look"]["url"] == f"{test_oidc.console(w)}/requests/{request['id']}", buttons
    status, headers, _ = test_oidc.ask(w, "GET", buttons["sallyport-look"]["url"])
    assert status == 303 and headers["Location"].startswith("/signin?return="), (status, dict(headers))
    status, _, text = test_oidc.ask(w, "GET", buttons["sallyport-look"]["url"], jar=jar)
    assert status == 200 and "RETURNING state" in text and "<form" in text, text
    told = click(w, "ULEA", buttons["sallyport-approve"])
    assert told.get("replace_original") is True and "approved" in json.dumps(told), told
    got = waiting.result()
    assert got.code == 0 and got.out == "new", repr(got)
    assert "does not wait" in click(w, "ULEA", buttons["sallyport-deny"])["text"]
    lines = [a for a in w.gateway.audit() if a.get("event") == "slack click"]
    assert lines and lines[-1]["as"] == "corp/lea", lines


@test
def a_click_denies(w):
    ready(w)
    test_oidc.sign_in(w, "lea")
    waiting, request = held(w, "UPDATE orders SET state = 'never' WHERE id = 5")
    buttons, _ = message(w, request)
    told = click(w, "ULEA", buttons["sallyport-deny"])
    assert "denied" in json.dumps(told), told
    assert waiting.result().code != 0


@test
def the_page_that_a_link_opens_decides(w):
    ready(w)
    jar = test_oidc.sign_in(w, "lea")
    waiting, request = held(w, "UPDATE orders SET state = 'page' WHERE id = 6 RETURNING state")
    url = f"{test_oidc.console(w)}/requests/{request['id']}"
    _, _, text = test_oidc.ask(w, "GET", url, jar=jar)
    hidden = dict(test_oidc.re.findall(r'name="(csrf|hash)" value="([^"]*)"', text))
    status, _, text = test_oidc.ask(w, "POST", url, jar=jar, form={**hidden, "hash": "0" * 64, "allow": "1"}, Origin=test_oidc.console(w))
    assert status == 409 and "other bytes" in text, (status, text)
    status, _, text = test_oidc.ask(w, "POST", url, jar=jar, form={**hidden, "comment": "seen", "allow": "1"}, Origin=test_oidc.console(w))
    assert status == 200 and "It is approved" in text, (status, text)
    got = waiting.result()
    assert got.code == 0 and got.out == "page", repr(got)


@test
def odd_hooks_are_refused(w):
    ready(w)
    g, extra = w.gateway, w.gateway.extra
    for line, why in (("signing file:/x; team T1", "format slack"), ("format slack; signing file:/x", "team"), ("format slack; users U1=corp/x", "signing"),
                      ("format slack; signing file:/x; team T1; users U1=nobody/x", "identity of people"),
                      ("format slack; signing file:/x; team T1; users U1=corp", "identity of people")):
        g.extra = extra + f"webhook odd {{ url https://e.example/; {line}; }}\n"
        g.write(g.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))
        done = g.daemon("-t")
        assert done.code != 0 and why in done.err + done.out, (line, done)
    g.extra = extra
    g.write(g.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))


if __name__ == "__main__":
    main(console=True)
