#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Webhooks: a real HTTPS receiver hears of requests and decisions, signed, again after a failure, and never a statement's own bytes."""

import hashlib
import hmac
import http.server
import ssl

from harness import *

KEY = "hook-" + os.urandom(12).hex()
HOOKS = """\
console {{ url https://gate.example.com:8443; }}
webhook desk  {{ url https://localhost:{port}/desk; secret file:{dir}/keeper/hook.key; ca {dir}/tls/cert.pem; }}
webhook chat  {{ url file:{dir}/keeper/chat.url; ca {dir}/tls/cert.pem; server https://localhost:{port}; format slack; events asked; }}
webhook teams {{ url https://localhost:{port}/teams; ca {dir}/tls/cert.pem; format teams; events denied; targets orders; }}
"""
CRM = """
target crm {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads break_glass=dev; policy {dir}/policies/orders.lua; }}
"""


class Receiver:
    def __init__(self, gateway):
        self.heard, self.failing = [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 200
                if outer.failing > 0:
                    outer.failing -= 1
                    status = 503
                outer.heard.append((self.path, dict(self.headers), body, status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(gateway.dir / "tls" / "cert.pem", gateway.dir / "tls" / "key.pem")
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path, event=None):
        return [h for h in self.heard if h[0] == path and (event is None or json.loads(h[2]).get("event") == event)]


def hold(w, sql):
    held = w.psql_waiting(sql, user="ann")
    return held, w.waiting_request()


@test
def asked_is_told_signed_and_without_literals(w):
    held, r = hold(w, "UPDATE orders SET state = 'S3CRET' WHERE id = 1")
    _, headers, body, _ = wait_for(lambda: w.receiver.of("/desk", "asked"), said=f"nobody was told:\n{w.gateway.logs()}")[0]
    told = json.loads(body)
    assert told["id"] == r["id"] and told["user"] == "ann" and told["target"] == "orders" and told["by"] == "leads", told
    assert told["link"] == f"https://gate.example.com:8443/requests/{r['id']}" and told["hash"] == r["hash"][:12], told
    assert told["shape"] == "UPDATE public.orders", told
    text = f"v1:{headers['Sallyport-Timestamp']}:{headers['Sallyport-Nonce']}:".encode() + body
    assert headers["Sallyport-Signature"] == "v1=" + hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()
    assert abs(int(headers["Sallyport-Timestamp"]) - time.time()) < 300
    chat = wait_for(lambda: w.receiver.of("/chat"))[0]
    assert json.loads(chat[2])["blocks"][-1]["elements"][0]["url"] == told["link"] and "Sallyport-Signature" not in chat[1], chat
    assert w.command("approve", r["id"], token=w.token("kim", "leads", api=True)).code == 0
    assert held.result().code == 0
    wait_for(lambda: w.receiver.of("/desk", "approved"))
    assert not any(b"S3CRET" in h[2] for h in w.receiver.heard)
    assert not w.receiver.of("/teams"), "it wants denials only"


@test
def denied_is_told_to_teams(w):
    held, r = hold(w, "UPDATE orders SET state = 'x' WHERE id = 2")
    assert w.command("deny", r["id"], token=w.token("kim", "leads", api=True)).code == 0
    assert held.result().code != 0
    card = json.loads(wait_for(lambda: w.receiver.of("/teams"))[0][2])["attachments"][0]["content"]
    assert card["type"] == "AdaptiveCard" and card["actions"][0]["url"].endswith(r["id"]), card


@test
def failing_receiver_hears_again(w):
    """Across a keeper's death, too: what is to be told is stored with what it tells of."""
    before = len(w.receiver.of("/desk", "withdrawn"))
    held, _ = hold(w, "UPDATE orders SET state = 'y' WHERE id = 3")
    w.receiver.failing = 3
    held.interrupt()
    assert held.result().code != 0
    wait_for(lambda: w.receiver.failing < 3, 20)
    os.kill(w.gateway.children()["keeper"][0], signal.SIGKILL)
    good = wait_for(lambda: [h for h in w.receiver.of("/desk", "withdrawn")[before:] if h[3] == 200], 60, said="it was not told again")
    tries = [h for h in w.receiver.of("/desk") if h[1]["Sallyport-Delivery"] == good[0][1]["Sallyport-Delivery"]]
    assert len({h[1].get("Sallyport-Nonce") for h in tries}) == len(tries)


@test
def url_that_is_a_secret_is_in_no_log(w):
    assert w.receiver.of("/chat")
    for path in (w.gateway.dir / "log").iterdir():
        assert b"/chat" not in path.read_bytes(), path


@test
def a_broken_glass_is_told(w):
    done = w.command("break-glass", "crm", "--for", "5m", "--reason", "INC-7", token=w.token("ann", "dev", api=True))
    assert done.code == 0, done
    told = json.loads(wait_for(lambda: w.receiver.of("/desk", "break-glass"))[0][2])
    assert told["kind"] == "incident" and told["user"] == "ann" and told["target"] == "crm", told


@test
def odd_hooks_are_refused(w):
    extra = w.gateway.extra
    for line, why in (("url http://example.com/x;", "says where it is"), ("url https://e.example/; events aproved;", "not \"aproved\""),
                      ("url https://e.example/; targets nowhere;", "no \"target nowhere"), ("url https://e.example/; format slack; secret file:/x;", "format generic")):
        w.gateway.extra = extra + f"webhook odd {{ {line} }}\n"
        w.gateway.write()
        done = w.gateway.daemon("-t")
        assert done.code != 0 and why in done.err + done.out, (line, done)
    w.gateway.extra = extra
    w.gateway.write()


@test
def another_secret_signs_after_a_reload(w):
    """The file's contents count, under the name that it had; before the reload the old one signs on."""
    def signed_by(key):
        before = len(w.receiver.of("/desk", "asked"))
        known = {r["id"] for r in w.requests()}
        held = w.psql_waiting("UPDATE orders SET state = 'r' WHERE id = 6")
        r = wait_for(lambda: [r for r in w.requests() if r["id"] not in known], 30, said="no request came")[0]
        _, headers, body, _ = wait_for(lambda: w.receiver.of("/desk", "asked")[before:], 30, said="nobody was told")[0]
        assert w.command("deny", r["id"], token=w.token("kim", "leads", api=True)).code == 0 and held.result().code != 0
        text = f"v1:{headers['Sallyport-Timestamp']}:{headers['Sallyport-Nonce']}:".encode() + body
        return headers["Sallyport-Signature"] == "v1=" + hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
    other = "other-" + os.urandom(12).hex()
    (w.gateway.dir / "keeper" / "hook.key").write_text(other + "\n")
    assert signed_by(KEY), "a new secret without a reload"
    assert w.gateway.reload().code == 0
    assert signed_by(other)
    (w.gateway.dir / "keeper" / "hook.key").write_text(KEY + "\n")
    assert w.gateway.reload().code == 0
    assert signed_by(KEY)


class Hooked(World):
    def start(self):
        g = self.gateway
        self.receiver = Receiver(g)
        for name, text in (("hook.key", KEY), ("chat.url", f"https://localhost:{self.receiver.port}/chat")):
            path = g.dir / "keeper" / name
            path.write_text(text + "\n")
            path.chmod(0o600)
            if IS_ROOT:
                shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
        g.extra = HOOKS.format(port=self.receiver.port, dir=g.dir)
        g.more_targets = CRM.format(port=self.pg.port, dir=g.dir)
        g.write()
        return super().start()


if __name__ == "__main__":
    import harness
    harness.World = Hooked
    main()
