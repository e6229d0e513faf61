#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An exec over connections, workers, keepers and restarts of the gateway: whose it is, and shown as one."""

import http.client

from docker_world import *


class Connection:
    """One connection of a user's, which stays open."""

    def __init__(self, w, user):
        self.c = http.client.HTTPConnection("127.0.0.1", w.docker_port, timeout=60 * SLOW)
        self.head = {"Authorization": f"Bearer {w.token(user)}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        self.send(method, path, body)
        return self.answer()

    def send(self, method, path, body=None):
        self.c.request(method, path, None if body is None else json.dumps(body), self.head)

    def answer(self):
        r = self.c.getresponse()
        return r.status, r.read().decode()

    def close(self):
        self.c.close()


def made(w, user, **more):
    c = Connection(w, user)
    status, body = c.ask("POST", "/containers/web/exec", dict({"Cmd": ["sleep", "1000"], "AttachStdout": True, "Tty": True}, **more))
    c.close()
    assert status == 201, (status, body)
    return json.loads(body)["Id"]


def one(w, user, method, path, body=None):
    c = Connection(w, user)
    try:
        return c.ask(method, path, body)
    finally:
        c.close()


@test
def an_exec_is_its_creators_after_a_restart(w):
    ident = made(w, "ann")
    assert one(w, "ann", "POST", f"/exec/{ident}/start", {"Detach": True, "Tty": True})[0] == 200
    assert w.gateway.stop()
    w.gateway.start()
    for _ in range(4):  # two workers
        status, body = one(w, "ann", "GET", f"/exec/{ident}/json")
        assert status == 200 and json.loads(body)["Running"], (status, body, w.gateway.logs())
        assert one(w, "ann", "POST", f"/exec/{ident}/resize?h=40&w=120")[0] in (200, 201)
        for method, path in (("GET", "json"), ("POST", "start"), ("POST", "resize?h=1&w=1")):
            status, body = one(w, "bob", method, f"/exec/{ident}/{path}", {} if path == "start" else None)
            assert status == 404 and "No such exec" in body, (status, body)
    text = w.recording("bob")  # a try leaves its trace
    assert f"POST /exec/{ident}/start" in text and "No such exec" in text, text


@test
def shown_and_replayed_as_one(w):
    ident = made(w, "cora", Cmd=["sh", "-c", "echo shown by the exec; sleep 1000"])
    c = Connection(w, "cora")  # started on one, which stays open
    c.send("POST", f"/exec/{ident}/start", {"Tty": True, "ConsoleSize": [33, 101]})
    wait_for(lambda: json.loads(one(w, "cora", "GET", f"/exec/{ident}/json")[1])["Running"], said="the exec does not run")
    assert one(w, "cora", "POST", f"/exec/{ident}/resize?h=41&w=121")[0] in (200, 201)
    assert one(w, "cora", "GET", "/containers/json")[0] == 200  # another session of hers
    assert one(w, "dan", "GET", f"/exec/{ident}/json")[0] == 404
    other = made(w, "cora")
    c.close()

    def listed(*args):
        done = w.command("sessions", "--json", *args)
        assert done.code == 0, repr(done)
        return done.json["sessions"]
    mine = wait_for(lambda: (s := listed("--group", ident)) and len(s) >= 4 and all(x["state"] == "ended" for x in s) and s, said="the sessions are not shown as one")
    assert all(s["user"] == "cora" and s["target"] == "engine" and s["group"] == ident for s in mine), mine
    assert {s["id"] for s in mine} < {s["id"] for s in listed("--user", "cora")} and not listed("--group", "nothing")
    assert len(listed("--group", other)) == 1
    assert ident in w.command("sessions", "--group", ident).out
    whole = wait_for(lambda: (r := w.command("replay", ident)).code == 0 and "121x41" in r.out and "shown by the exec" in r.out and r, said="it is not replayed as one")
    at = [whole.out.find(what) for what in ("/containers/", f"/exec/{ident}/start", "shown by the exec", "121x41")]
    assert -1 not in at and at[0] < at[1] < at[3] and whole.out.count(" header ") == len(mine), f"{at} {whole!r}"
    assert "/containers/json" not in whole.out and other not in whole.out, repr(whole)
    assert w.command("replay", mine[0]["id"], "--together").out == whole.out
    assert any(" group " in line and ident in line for line in w.command("replay", mine[0]["id"]).out.splitlines())
    alone = next(s for s in listed("--user", "cora") if "group" not in s)
    for what in ("0" * 64, alone["id"]):
        done = w.command("replay", what, "--together")
        assert done.code == 1 and "no group" in done.err, repr(done)


@test
def only_what_is_of_the_exec_is_replayed_of_a_connection_that_lives_on(w):
    c, idents = Connection(w, "eve"), []
    for word in ("first", "second"):
        status, body = c.ask("POST", "/containers/web/exec", {"Cmd": ["echo", word], "AttachStdout": True})
        assert status == 201, body
        idents.append(json.loads(body)["Id"])
    for ident in idents:
        assert c.ask("GET", f"/exec/{ident}/json")[0] == 200
    c.close()
    session = wait_for(lambda: (s := [x for x in w.sessions() if x["user"] == "eve"]) and s[0]["state"] == "ended" and s[0], said="it did not end")
    for i, ident in enumerate(idents):
        text = wait_for(lambda: (r := w.command("replay", ident)).code == 0 and f"/exec/{ident}/json" in r.out and r.out, said="it is not replayed")
        assert idents[1 - i] not in text and ("first", "second")[i] in text and ("second", "first")[i] not in text, text
    both = w.command("replay", session["id"], "--together").out
    assert all(f"/exec/{ident}/json" in both for ident in idents), both


@test
def frames_are_there_where_the_start_asks_for_them(w):
    """Whatever the exec was made with: the engine goes by what its start says."""
    def output(base, ident, tty):
        done = subprocess.run(["curl", "-sS", "-m", "30", *base[:-1], "-H", "Content-Type: application/json", "-d", json.dumps({"Tty": tty}), f"{base[-1]}/exec/{ident}/start"],
                              capture_output=True)
        assert done.returncode == 0, done
        return done.stdout
    body = {"Cmd": ["sh", "-c", "printf 'a ann@exa'; sleep 0.1; printf 'mple.com b'"], "AttachStdout": True}
    straight = ["--unix-socket", str(w.engine.sock), "http://x"]
    for made_tty in (False, True):
        for tty in (False, True):
            ident = run(["curl", "-sS", *straight[:-1], "-H", "Content-Type: application/json", "-d", json.dumps(dict(body, Tty=made_tty)), "http://x/containers/web/exec"]).json["Id"]
            direct = output(straight, ident, tty)
            shown = []
            for user in ("hal", "mails"):
                through = ["-H", f"Authorization: Bearer {w.token(user)}", f"http://127.0.0.1:{w.docker_port}"]
                shown.append(output(through, made(w, user, **dict(body, Tty=made_tty)), tty))
            plain = [re.sub(rb"[\0-\2]\0\0\0\0\0\0.", b"", s, flags=re.S) for s in (direct, *shown)]
            assert plain == [b"a ann@example.com b"] * 2 + [b"a **** b"], (made_tty, tty, direct, shown)
            assert all((s[:1] == b"\1") == (not tty) for s in (direct, *shown)), (made_tty, tty, direct, shown)
    text = w.recording("hal")
    assert text.count("a ann@exa") >= 4 and "\\x01" not in text and "mple" not in w.recording("mails").replace("'mple.com b'", ""), text


@test
def what_a_field_tells_is_recorded(w):
    c = Connection(w, "stat")
    c.send("HEAD", "/containers/web/archive?path=/etc/passwd")
    r = c.c.getresponse()
    told = r.getheader("X-Docker-Container-Path-Stat")
    c.close()
    assert json.loads(base64.b64decode(told))["name"] == "passwd"
    assert told in w.recording("stat")


@test
def events_are_ones_own(w):
    for user in ("ann", "bob"):
        done = w.docker("run", "-d", "--network", "none", "--name", f"of-{user}", "test:1", "sleep", "1000", own=True, user=user)
        assert done.code == 0, repr(done)
    seen = {}
    ps = {user: w.docker_start("events", "--format", "{{.Actor.Attributes.name}}", own=True, user=user) for user in ("ann", "bob")}

    def look(user):
        seen[user] = [ps[user].stdout.readline().strip() for _ in range(8)]
    threads = [threading.Thread(target=look, args=(user,), daemon=True) for user in ps]
    for t in threads:
        t.start()

    def happen():
        for user in ps:
            w.direct("exec", f"of-{user}", "true")
        return not any(t.is_alive() for t in threads)
    wait_for(happen, 40, said="too few events came")
    for user, p in ps.items():
        p.terminate()
        p.communicate()
        assert set(seen[user]) == {f"of-{user}"}, seen
        w.direct("rm", "-f", f"of-{user}")


@test
def a_question_outlives_its_keeper(w):
    ident = made(w, "fay")
    mine, others = Connection(w, "fay"), Connection(w, "gus")
    for c in (mine, others):
        assert c.ask("GET", "/_ping")[0] == 200
    keeper = w.gateway.children()["keeper"][0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for c in (mine, others):
            c.send("GET", f"/exec/{ident}/json")
    finally:
        os.kill(keeper, signal.SIGKILL)
    status, body = mine.answer()
    assert status == 200 and json.loads(body)["ID"] == ident, (status, body, w.gateway.logs())
    assert others.answer()[0] == 404
    # made while the next keeper stands still: its id is shown once it is written down, and not before
    keeper = wait_for(lambda: (k := w.gateway.children().get("keeper")) and k[0] != keeper and k[0], said="no keeper came")
    assert mine.ask("GET", f"/exec/{ident}/json")[0] == 200

    def execs():
        return run(["curl", "-sS", "--unix-socket", w.engine.sock, "http://x/containers/web/json"]).json["ExecIDs"] or []
    before = execs()
    os.kill(keeper, signal.SIGSTOP)
    try:
        mine.send("POST", "/containers/web/exec", {"Cmd": ["true"]})
        wait_for(lambda: set(execs()) - set(before), said="the engine has made none")
        assert not select.select([mine.c.sock], [], [], 0.5)[0]
    finally:
        os.kill(keeper, signal.SIGCONT)
    status, body = mine.answer()
    assert status == 201, (status, body)
    assert one(w, "fay", "GET", f"/exec/{json.loads(body)['Id']}/json")[0] == 200


docker_main(workers=2)
