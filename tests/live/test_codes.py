#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A day without the identity provider: codes on paper break the glass, once each, for one person (P6, AP5, AP6, ID8)."""

import http.client
import threading

from harness import *

ACCESS = "access grant approvers=leads count=1 max=2h reason=INC-[0-9]+ break_glass=oncall;"
# Nothing listens there: whoever signs in by it can't, for the day.
AWAY = "identity corp {{ oidc issuer=https://localhost:{port} client=console audience=sallyport; class human; groups claim=groups; }}"


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30 * SLOW)
        self.sock.connect(self.path)


def post(w, body):
    c = Unix(w.gateway.control)
    c.request("POST", "/api/v1/break-glass/code", json.dumps(body), {"Content-Type": "application/json"})
    answer = c.getresponse()
    text = answer.read()
    c.close()
    return answer.status, json.loads(text)


def codes(w, user="ann", groups="dev,oncall", count=1, *more):
    done = w.command("break-glass", "codes", "--user", user, "--groups", groups, "--count", str(count), "--json", *more)
    assert done.code == 0, repr(done)
    return done.json["codes"]


def spend(w, code, reason="INC-9 nobody can sign in", target="orders", *more):
    """From a machine that has nothing but the code, over HTTPS."""
    g = w.gateway
    return run([w.stage / "bin" / "sallyport", "break-glass", target, "--server", f"https://localhost:{g.console_port}", "--ca", g.dir / "tls" / "cert.pem",
                "--code", "-", "--reason", reason, "--json", *more], stdin=code + "\n", env={"HOME": str(w.dir), "SALLYPORT_TOKEN": ""})


def lead(w, name="lea"):
    return w.token(name, "leads", api=True)


def audited(w, event, **what):
    return [line for line in w.gateway.audit() if line.get("event") == event and all(line.get(k) == v for k, v in what.items())]


@test
def made_by_an_admin_and_shown_once(w):
    made = codes(w, count=3)
    assert len({c["code"] for c in made}) == 3 and all(re.fullmatch(r"([0-9a-z]{4}-){5}[0-9a-z]{4}", c["code"]) for c in made), made
    no = w.command("break-glass", "codes", "--user", "bob", "--groups", "oncall", token=w.token("ann", "dev,oncall", api=True))
    assert no.code == 1, repr(no)
    listed = w.command("break-glass", "codes", "--json")
    assert {c["id"] for c in listed.json["codes"]} >= {c["id"] for c in made}
    kept = b"".join(p.read_bytes() for p in (w.gateway.dir / "keeper").glob("state.db*")) + (w.gateway.dir / "log" / "audit.jsonl").read_bytes()
    for c in made:
        assert c["code"] not in listed.out and c["code"].encode() not in kept and c["code"].replace("-", "").encode() not in kept, "ID8"
        assert c["id"].encode() in kept
    assert len(audited(w, "code made", user="ann")) >= 3
    nobody = w.command("break-glass", "codes", "--user", "nobody")
    assert nobody.code == 1 and "signed in here" in nobody.err, repr(nobody)


@test
def it_lets_in_without_a_provider(w):
    code = codes(w)[0]
    assert w.psql("SELECT 1", user="ann", groups="dev,oncall").code != 0, "there is no grant"
    for odd in (spend(w, code["code"], "no ticket's number"), spend(w, code["code"], target="nowhere"), spend(w, code["code"], "INC-9", "orders", "--for", "2h")):
        assert odd.code == 1 and "429" not in odd.err, repr(odd)  # and the code is still good
    done = spend(w, code["code"].upper().replace("-", " "))
    assert done.code == 0, repr(done)
    t = done.json

    def psql(sql):
        return w.psql(sql, user=t["id"], token=t["password"])
    got = psql("UPDATE orders SET price = 9 WHERE id = 9")  # a rule asks for an approval
    assert got.code == 0, repr(got)
    assert w.pg.sql("SELECT price FROM orders WHERE id = 9") == "9.00"
    no = psql("DELETE FROM orders")
    assert no.code != 0 and "no-unbounded-write" in no.err, repr(no)
    assert "4111111111111111" not in psql("SELECT card_number FROM customers WHERE id = 1").out
    shown = [w.command("replay", one["id"], "--format", "text").out for one in w.sessions() if one["user"] == "ann"]
    assert any("UPDATE orders" in text for text in shown), shown
    assert w.psql("SELECT 1", user="bob", groups="dev,oncall").code != 0, "it is hers alone"
    assert audited(w, "code spent", user="ann") and audited(w, "break-glass", user="ann")
    # The incident: neither she nor who made the code closes it.
    for who in (w.token("ann", "leads", api=True), w.token("root", "leads", api=True)):
        own = w.command("approve", t["incident"], "--comment", "fine", token=who)
        assert own.code == 1, repr(own)
    again = spend(w, code["code"])
    assert again.code == 1 and "was used" in again.err, repr(again)
    one = w.psql_waiting("SELECT pg_sleep(55)", user=t["id"], token=t["password"])
    wait_for(lambda: w.sessions(live=True), said="it does not run")
    assert w.command("deny", t["incident"], "--comment", "no emergency", token=lead(w)).code == 0
    assert one.result().code != 0 and psql("SELECT 1").code != 0


@test
def ended_revoked_and_late(w):
    first, second, third = codes(w, "kim", count=3)
    assert w.command("break-glass", "codes", "--revoke", first["id"]).code == 0
    assert spend(w, first["code"]).code == 1
    late = codes(w, "tim", "dev,oncall", 1, "--for", "1s")[0]
    wait_for(lambda: time.time() > datetime_of(late["expires"]), said="its time does not end")
    assert spend(w, late["code"]).code == 1
    stranger = codes(w, "max", "dev")[0]  # in no group that may
    got = spend(w, stranger["code"])
    assert got.code == 1 and "break_glass" in got.err, repr(got)
    assert w.command("revoke", "--user", "kim").code == 0
    assert spend(w, second["code"]).code == 1, "she was revoked since then"
    assert spend(w, third["code"]).code == 1


def datetime_of(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@test
def it_approves_nothing(w):
    code = codes(w, "zoe", "dev,oncall,leads")[0]["code"]
    asked = w.command("request", "orders", "--for", "1h", "--reason", "INC-2", "--json", token=w.token("bob", "dev", api=True)).json["id"]
    assert w.command("approve", asked, token=code).code == 1
    assert w.command("whoami", token=code).code == 1
    done = w.command("break-glass", "orders", "--code", code, "--reason", "INC-2", "--json")
    assert done.code == 0, repr(done)
    assert w.command("approve", asked, token=done.json["password"]).code == 1
    got = w.psql("SELECT 1", user="zoe", token=code)
    assert got.code != 0, "it is no password either"


@test
def guesses_are_counted(w):
    code = codes(w, "olga")[0]["code"]
    said = [spend(w, "2222-2222-2222-2222-2222-222" + c) for c in "23456789abcd"]
    assert any("too many" in s.err for s in said), said
    assert "too many" in spend(w, code).err, "nor is the right one looked at from there"
    assert w.command("break-glass", "orders", "--code", code, "--reason", "INC-3").code == 0, "from elsewhere it is"
    assert audited(w, "code refused")


@test
def a_hundred_at_once_and_one_gets_in(w):
    """AP6"""
    code, answers = codes(w, "eve")[0]["code"], []
    threads = [threading.Thread(target=lambda: answers.append(post(w, {"code": code, "target": "orders", "reason": "INC-1"})[0])) for _ in range(100)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 100 and answers.count(200) == 1 and set(answers) <= {200, 400, 409, 429}, sorted(answers)
    assert len(audited(w, "break-glass", user="eve")) == 1


plain = Gateway.conf_text
Gateway.conf_text = lambda self: plain(self).replace("local_issuer  on;", "local_issuer  on beside;")
main(target_extra=ACCESS, console=True, extra=AWAY.format(port=free_port()))
