#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What changes, as server-sent events: requests, grants and sessions, to who may see them, resumed where one was, ended with the sign-in (P6, ID6)."""

import datetime
import http.client
import ssl
import threading

from harness import *


class Events:
    """An event stream, read in a thread: .all is [(event, id, data)…], .ended is set at its end."""

    def __init__(self, world, token=None, after=None, at_socket=False, query=""):
        if at_socket:
            self.c = http.client.HTTPConnection("sallyport")
            self.c.sock = socket.socket(socket.AF_UNIX)
            self.c.sock.settimeout(60 * SLOW)
            self.c.sock.connect(str(world.gateway.control))
        else:
            context = ssl.create_default_context(cafile=str(world.gateway.dir / "tls" / "cert.pem"))
            self.c = http.client.HTTPSConnection("localhost", world.gateway.console_port, timeout=60 * SLOW, context=context)
        headers = {"Authorization": "Bearer " + token} if token else {}
        if after is not None:
            headers["Last-Event-ID"] = after
        self.c.request("GET", "/api/v1/events" + query, headers=headers)
        self.r = self.c.getresponse()
        self.all, self.ended, self.comments, self.told = [], threading.Event(), 0, {}
        self.status, self.kind = self.r.status, self.r.headers.get("Content-Type")
        if self.status != 200:
            self.body = self.r.read()
            return
        threading.Thread(target=self.take, daemon=True).start()
        self.has("ready", "reset")

    def take(self):
        name = number = data = None
        try:
            while line := self.r.readline().decode():
                field, _, value = line.rstrip("\n").partition(": ")
                if line == "\n" and data is not None:
                    self.all.append((name, number, json.loads(data)))
                    if name == "request":
                        self.told.setdefault(self.all[-1][2]["request"]["id"], time.time())
                    name = number = data = None
                elif field == "event":
                    name = value
                elif field == "id":
                    number = value
                elif field == "data":
                    data = value
                elif line == ":\n":
                    self.comments += 1
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed by us, too
        self.ended.set()

    def find(self, *names, **members):
        for name, number, data in list(self.all):
            if name in names and all(data.get(name, {}).get(k) == v for k, v in members.items()):
                return name, number, data

    def has(self, *names, **members):
        return wait_for(lambda: self.find(*names, **members), 20, said=f"no {names} {members} in {self.all[-5:]}")

    def last_id(self):
        return next(number for _, number, _ in reversed(self.all) if number)

    def close(self):
        if self.c.sock is not None:
            self.c.sock.shutdown(socket.SHUT_RDWR)
        self.c.close()
        self.ended.wait(20 * SLOW)


def api(world, user, groups):
    return world.token(user, groups, api=True)


@test
def what_is_held_is_told_to_who_decides(world):
    """… and to who asked, and to nobody else: as in the list of requests."""
    lead, ann, other = (Events(world, api(world, u, g)) for u, g in (("lea", "leads"), ("ann", "dev"), ("eve", "fraud")))
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    name, _, data = lead.has("request", state="waiting", user="ann")
    asked = datetime.datetime.fromisoformat(data["request"]["asked"].replace("Z", "+00:00")).timestamp()
    print(f"        (told {1000 * (lead.told[data['request']['id']] - asked):.0f} ms after it was held)")
    assert data["request"]["text"] == "UPDATE orders SET price = 2 WHERE id = 1" and data["request"]["by"] == "leads"
    ann.has("request", id=data["request"]["id"])
    ann.has("session", user="ann", state="live")
    done = world.command("approve", data["request"]["id"], token=api(world, "lea", "leads"))
    assert done.code == 0, repr(done)
    lead.has("request", id=data["request"]["id"], votes=1)
    assert waiting.result().code == 0
    ann.has("session", user="ann", state="ended")
    assert not other.find("request") and not lead.find("session") and not other.find("session"), (other.all, lead.all)
    for s in (lead, ann, other):
        s.close()


@test
def sessions_to_who_may_see_all(world):
    audit = Events(world, api(world, "aud", "auditor"))
    assert world.psql("SELECT 1").code == 0
    live = audit.has("session", user="ann")[2]["session"]
    audit.has("session", id=live["id"], state="ended")
    audit.close()
    here = Events(world, at_socket=True)
    assert world.psql("SELECT 1").code == 0
    here.has("session", user="ann", state="ended")
    here.close()


@test
def it_goes_on_where_it_was(world):
    token = api(world, "lea", "leads")
    first = Events(world, token)
    waiting = world.psql_waiting("UPDATE orders SET price = 3 WHERE id = 1")
    one = first.has("request", state="waiting")[2]["request"]["id"]
    wait_for(lambda: first.find("at"), 20)
    at = first.last_id()
    first.close()
    waiting.interrupt()
    assert waiting.result().code != 0
    second = Events(world, token, after=at)
    second.has("request", id=one, state="withdrawn")
    assert not second.find("reset")
    second.close()
    third = Events(world, token, query=f"?after={at}")
    third.has("request", id=one, state="withdrawn")
    third.close()
    for stale in ("1", "99999999999999999"):
        s = Events(world, token, after=stale)
        assert s.find("reset") and not s.find("request"), s.all
        s.close()
    for wrong in ("x", "-1", "1x"):
        assert Events(world, token, after=wrong).status == 400, wrong


@test
def it_lives_while_nothing_happens_and_ends_with_the_sign_in(world):
    token = world.token("zoe", "leads", api=True, fresh=True)
    s = Events(world, token)
    wait_for(lambda: s.comments >= 2, 20, said="no sign of life")
    assert world.command("revoke", "--user", "zoe").code == 0
    assert s.ended.wait(20 * SLOW), "it goes on"
    assert s.all[-1][0] == "end" and "sign in" in s.all[-1][2]["error"], s.all
    assert Events(world, token).status == 401


@test
def it_survives_the_keeper(world):
    s = Events(world, api(world, "lea", "leads"))
    os.kill(world.gateway.children()["keeper"][0], signal.SIGKILL)
    s.has("reset")
    waiting = world.psql_waiting("UPDATE orders SET price = 4 WHERE id = 1")
    s.has("request", state="waiting")
    waiting.interrupt()
    waiting.result()
    s.close()


@test
def many_watch(world):
    token = api(world, "lea", "leads")
    all_of_them = [Events(world, token, at_socket=True) for _ in range(30)]
    waiting = world.psql_waiting("UPDATE orders SET price = 5 WHERE id = 1")
    for s in all_of_them:
        s.has("request", state="waiting")
    waiting.interrupt()
    waiting.result()
    for s in all_of_them:
        s.close()


main(console=True)
