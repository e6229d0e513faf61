#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings and the audit log by the API: lists, pages, ranges, replays and what is followed; a slow reader delays nobody (RC8, P10)."""

import http.client
import ssl
import threading
import urllib.parse

from harness import *


def connection(world, timeout=15):
    context = ssl.create_default_context(cafile=str(world.gateway.dir / "tls" / "cert.pem"))
    return http.client.HTTPSConnection("localhost", world.gateway.console_port, timeout=timeout * SLOW, context=context)


def auditor(world):
    return world.token("aud", "auditor", api=True)


def get(world, path, token=None, **fields):
    c = connection(world)
    c.request("GET", "/api/v1/" + path, headers={"Authorization": "Bearer " + (token or auditor(world)), **fields})
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, r.headers, body


def answer(world, path, token=None):
    status, _, body = get(world, path, token)
    assert status == 200, (path, status, body)
    return json.loads(body)


def lines(world, path):
    status, headers, body = get(world, path)
    assert status == 200, (path, status, body)
    return [json.loads(x) for x in body.decode().splitlines()]


class Stream:
    """What a follower is told, line by line, in a thread of its own."""

    def __init__(self, world, path, token=None):
        self.lines, self.over = [], threading.Event()
        self.c = connection(world, timeout=60)
        self.c.request("GET", "/api/v1/" + path, headers={"Authorization": "Bearer " + (token or auditor(world))})
        self.r = self.c.getresponse()
        assert self.r.status == 200, (self.r.status, self.r.read())
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while line := self.r.readline():
                self.lines.append(json.loads(line))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed by us, too
        self.over.set()

    def has(self, what, seconds=15):
        return wait_for(lambda: next((x for x in list(self.lines) if what(x)), None), seconds, said=f"it did not come: {self.lines[-3:]}")


def ended_session(world, sql):
    """The id of a session that ran this."""
    mine = {s["id"] for s in world.sessions()}
    assert world.psql(sql).code in (0, 1)
    return wait_for(lambda: [s["id"] for s in world.sessions() if s["id"] not in mine and s["state"] == "ended"], 10)[0]


# ---- recordings ----

@test
def a_list_by_time_user_target_and_verdict(world):
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    first, denied = ended_session(world, "SELECT 'one'"), ended_session(world, "DELETE FROM orders")
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    wait_for(lambda: any(r["state"] == "waiting" for r in world.requests()), 20)  # psql hears no interrupt while it connects
    waiting.interrupt()
    waiting.result()
    ids = lambda query: [r["id"] for r in answer(world, "recordings" + query)["recordings"]]
    wait_for(lambda: len(ids(f"?since={begun}")) >= 2, 10)
    assert first in ids("?user=ann&target=orders") and denied in ids("?user=ann")
    assert ids("?user=bob") == [] and ids("?target=nowhere") == []
    assert denied in ids("?verdict=deny") and first not in ids("?verdict=deny") and first in ids("?verdict=allow")
    assert first in ids("?since=10m") and first not in ids("?until=10m") and ids("?since=2030-01-01T00:00:00Z") == []
    for bad in ("?since=yesterday", "?until=2026-13-01T00:00:00Z", "?verdict=maybe", "?cursor=x", "?cursor=1.x"):
        assert get(world, "recordings" + bad)[0] == 400, bad
    one = wait_for(lambda: [r for r in [answer(world, f"recordings/{first[:12]}")] if r["recording"] == "kept" and r["frames"] >= 4], 10)[0]
    assert one["id"] == first and one["user"] == "ann" and one["size"] > 0, one
    assert get(world, "recordings", world.token("ann", "dev", api=True))[0] == 403
    assert get(world, f"recordings/{first}", world.token("opa", "admin", api=True))[0] == 403


@test
def pages_miss_and_repeat_nothing(world):
    while len(answer(world, "sessions?limit=1000")["sessions"]) < 7:
        assert world.psql("SELECT 1").code == 0
    for what in ("sessions", "recordings"):
        whole = [s["id"] for s in answer(world, what + "?limit=200")[what]]
        seen, cursor = [], ""
        while True:
            page = answer(world, f"{what}?limit=2{cursor}")
            assert len(page[what]) <= 2
            seen += [s["id"] for s in page[what]]
            if "next" not in page:
                break
            cursor = "&cursor=" + page["next"]
        assert seen == whole, (seen, whole)
    done = world.command("recordings", "--limit", "2", token=auditor(world))
    assert done.code == 0 and "there are more: --cursor" in done.err, repr(done)


@test
def downloads_go_on_by_range(world):
    """By RFC 9110: one range; what makes no sense is as if it were not there, what is beyond the end is 416."""
    id = ended_session(world, "SELECT 'range'")
    path = f"sessions/{id}/recording"
    status, headers, whole = get(world, path)
    assert status == 200 and headers["Accept-Ranges"] == "bytes" and int(headers["Content-Length"]) == len(whole)
    n = len(whole)
    for said, part in (("bytes=0-9", whole[:10]), ("bytes=10-", whole[10:]), ("bytes=-7", whole[-7:]), (f"bytes={n - 1}-{n + 50}", whole[-1:]),
                       (f"bytes=-{n * 2}", whole)):
        status, headers, body = get(world, path, Range=said)
        assert status == 206 and body == part and headers["Content-Range"].endswith(f"/{n}"), (said, status, headers["Content-Range"])
    assert get(world, path, Range=f"bytes={n}-")[0] == 416
    for odd in ("bytes=5-2", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes=a-b", "x" * 200):
        status, _, body = get(world, path, Range=odd)
        assert status == 200 and body == whole, odd
    assert get(world, path, Range="bytes=0-9", **{"If-Range": '"x"'})[0] == 200
    saved = world.dir / "saved.rec"
    saved.write_bytes(whole)
    assert world.command("verify", saved).code == 0


@test
def a_replay_streams_what_the_command_shows(world):
    id = ended_session(world, "SELECT email, 'a ✓' FROM customers")
    for form in ("jsonl", "text", "asciicast"):
        status, headers, body = get(world, f"recordings/{id}/replay?format={form}")
        here = world.command("replay", id, "--format", form, token=auditor(world))
        assert status == 200 and body.decode().strip() == here.out.strip() and here.code == 0, form
    frames = lines(world, f"recordings/{id}/replay")
    assert [f["type"] for f in frames][0] == "header" and frames[-1]["type"] == "end"
    after = lines(world, f"recordings/{id}/replay?after={frames[2]['frame']}")
    assert after == frames[3:], after
    assert get(world, f"recordings/{id}/replay?format=html")[0] == 400


@test
def of_each_operation_only_the_head_is_sent_when_asked(world):
    """What the console's timeline shows of a recording that may be long: every operation, and about so many bytes of each one's rows."""
    mine = {s["id"] for s in world.sessions()}
    assert world.psql(stdin="SELECT md5(g::text) FROM generate_series(1, 20000) g;\nSELECT 'the second';\n").code == 0
    id = wait_for(lambda: [s["id"] for s in world.sessions() if s["id"] not in mine and s["state"] == "ended"], 20)[0]
    whole, head = lines(world, f"recordings/{id}/replay"), lines(world, f"recordings/{id}/replay?head=5000")
    told = lambda frames: [f for f in frames if f["type"] != "rows"]
    assert told(head) == told(whole), (len(head), len(whole))
    rows = {name: [r[0] for f in frames if f["type"] == "rows" for r in f["rows"]] for name, frames in (("whole", whole), ("head", head))}
    assert len(rows["whole"]) == 20001 and 100 < len(rows["head"]) < 10000 and rows["head"][-1] == "the second", {k: len(v) for k, v in rows.items()}
    assert rows["head"][:-1] == rows["whole"][: len(rows["head"]) - 1] and not any("unfinished" in f for f in head)


@test
def nothing_of_a_statement_reaches_a_terminal(world):
    """RC5: escapes, titles, OSC 52 and forged lines in SQL, in every form a replay has, and in the audit log."""
    evil = "SELECT '\x1b]52;c;cm0=\x07\x1b]0;title\x07\x1b[2J\x1bPq\x1b\\' AS \"x\n{\"\"time\"\":1}\u202e\""
    id = ended_session(world, evil)
    for form in ("jsonl", "text"):
        body = get(world, f"recordings/{id}/replay?format={form}")[2]
        assert b"\x1b" not in body and b"\x07" not in body and "\u202e".encode() not in body, form
    for line in get(world, f"audit?session={id}")[2].splitlines():
        assert b"\x1b" not in line and json.loads(line)
    shown = world.command("audit", "--session", id, token=auditor(world))
    assert shown.code == 0 and "\x1b" not in shown.out and all(re.match(r"20\d\d-", x) for x in shown.out.splitlines()), repr(shown)


@test
def a_live_session_is_followed_to_its_end(world):
    before = {s["id"] for s in world.sessions(live=True)}
    psql = world.psql_waiting(None)
    live = wait_for(lambda: [s for s in world.sessions(live=True) if s["id"] not in before], 10)[0]["id"]
    stream = Stream(world, f"recordings/{live}/replay?follow=1")
    assert stream.has(lambda f: f["type"] == "header")
    psql.say("SELECT 'while it is watched';\n")
    assert stream.has(lambda f: "while it is watched" in json.dumps(f))
    assert not stream.over.is_set()
    psql.say("DELETE FROM orders;\n\\q\n")
    psql.result()
    assert stream.has(lambda f: f["type"] == "verdict" and f["what"] == "deny")
    assert stream.over.wait(20) and stream.lines[-1]["type"] == "end", stream.lines[-1]
    numbers = [f["frame"] for f in stream.lines]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)


# ---- the audit log ----

@test
def audit_lines_by_what_they_say(world):
    id = ended_session(world, "DELETE FROM orders")
    assert world.command("revoke", "--user", "nobody-there").code == 0
    entries = lambda query: [x["entry"] for x in lines(world, "audit" + query) if "entry" in x]
    wait_for(lambda: any(e.get("event") == "revoke" for e in entries("?event=revoke")), 10)
    assert all(e["verdict"] == "deny" for e in entries("?verdict=deny")) and any(e["session"] == id for e in entries("?verdict=deny"))
    mine = entries(f"?session={id}&event=decision")
    assert [e["verdict"] for e in mine] == ["allow", "deny"] and mine[1]["rule"] == "no-unbounded-write" and mine[1]["user"] == "ann", mine
    assert entries("?event=decision&user=bob") == [] and entries("?target=nowhere") == []
    assert all(e["target"] == "orders" for e in entries("?target=orders"))
    assert entries("?event=revoke&user=nobody-there") and entries("?since=2030-01-01T00:00:00Z") == []
    whole = entries("?event=decision")
    assert entries("?event=decision&last=1") == whole[-1:] and entries("?event=decision&last=100000") == whole and len(whole) > 1
    assert entries(f"?event=decision&last=1&until={whole[-1]['time']}") == [e for e in whole if e["time"] < whole[-1]["time"]][-1:]
    assert entries("?text=no-unbounded")[0]["rule"] == "no-unbounded-write" and entries("?text=NO-UNBOUNDED") == entries("?text=no-unbounded")
    assert entries("?text=nobody-there&event=revoke")[0]["user"] == "nobody-there" and entries("?text=nothing-has-this") == []
    assert entries("?text=verdict") == [], "names of members are no content"
    odd = 'od"d \\ \u00fcml\u0001\u202e'
    assert world.command("revoke", "--user", odd).code == 0
    wait_for(lambda: [e["user"] for e in entries("?text=" + urllib.parse.quote('D"D \\ \u00fcml'))] == [odd], 10, said="what JSON escapes is not found")
    assert [e["user"] for e in entries("?user=" + urllib.parse.quote(odd))] == [odd]
    assert get(world, "audit?text=" + "x" * 201)[0] == 400
    last = entries("")[-1]
    assert last["time"] >= entries("")[0]["time"]
    assert entries(f"?until={entries('')[0]['time']}") == []
    assert [e for e in entries("?event=audit%20read") if e["by"] == "aud"], "who reads it is itself in it"
    for who, groups in (("ann", "dev"), ("opa", "admin"), ("prom", "metrics")):
        assert get(world, "audit", world.token(who, groups, api=True))[0] == 403, who


@test
def audit_pages_by_cursor(world):
    whole = [x["entry"] for x in lines(world, "audit?event=decision") if "entry" in x]
    assert len(whole) >= 5, len(whole)
    seen, cursor = [], ""
    while cursor is not None:
        page = lines(world, f"audit?event=decision&limit=2{cursor}")
        assert len(page) <= 3 and "done" in page[-1]
        seen += [x["entry"] for x in page if "entry" in x]
        cursor = "&cursor=" + page[-1]["done"]["next"] if "next" in page[-1]["done"] else None
    assert seen[:len(whole)] == whole
    assert get(world, "audit?cursor=1-2")[0] == 409 and get(world, "audit?cursor=nonsense")[0] == 409


@test
def a_long_log_is_entered_by_time(world):
    """A hundred thousand lines before: `since` is found by halving, and what is looked at is little."""
    log = world.gateway.dir / "log" / "audit.jsonl"
    old = "".join(f'{{"time":"2020-01-{1 + n // 4000:02}T{n % 4000 // 200:02}:00:00.000Z","event":"old","n":{n}}}\n' for n in range(100000))
    now = log.read_text()
    with log.open("r+") as f:  # the same file: the recorder appends to it
        f.write(old + now)
    page = lines(world, "audit?since=1h")
    looked = page[-1]["done"]["looked"]
    assert len([x for x in page if "entry" in x]) >= len(now.splitlines()) and looked < len(now.splitlines()) + 3000, looked
    middle = [x["entry"]["n"] for x in lines(world, "audit?since=2020-01-10T05:00:00Z&until=2020-01-10T06:00:00Z") if "entry" in x]
    assert middle == [n for n in range(100000) if n // 4000 == 9 and n % 4000 // 200 == 5], (middle[:3], middle[-3:])


@test
def what_comes_is_followed_through_a_rotation(world):
    stream = Stream(world, "audit?follow=1&event=decision")
    assert world.psql("SELECT 'followed'").code == 0
    stream.has(lambda x: x["entry"]["verdict"] == "allow")
    log = world.gateway.dir / "log" / "audit.jsonl"
    log.rename(log.with_name("audit.jsonl.1"))
    assert world.psql("DELETE FROM orders").code != 0  # still into the old one
    assert world.gateway.daemon("-s", "reopen").code == 0
    wait_for(log.exists, 10)
    stream.has(lambda x: x["entry"]["verdict"] == "deny")
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    world.waiting_request()
    stream.has(lambda x: x["entry"]["verdict"] == "held")
    waiting.interrupt()
    waiting.result()
    told = [x["entry"] for x in stream.lines]
    assert len({(e["session"], e["frame"]) for e in told}) == len(told)
    stream.c.close()


@test
def who_may_no_longer_is_told_nothing_more(world):
    """P6: a follower whose access ends is cut off, with the reason."""
    token = world.token("vic", "auditor", api=True, fresh=True)
    stream = Stream(world, "audit?follow=1", token)
    assert world.psql("SELECT 'before'").code == 0
    stream.has(lambda x: "entry" in x)
    assert world.command("revoke", "--user", "vic").code == 0
    assert stream.over.wait(15 * SLOW) and "may not see this any more" in stream.lines[-1]["error"], stream.lines[-1]


@test
def the_command_follows_too(world):
    env = {"SALLYPORT_CONTROL": str(world.gateway.control), "SALLYPORT_TOKEN": auditor(world)}
    said = world.dir / "followed.jsonl"
    with said.open("w") as out:
        following = subprocess.Popen([world.stage / "bin" / "sallyport", "audit", "--follow", "--json", "--verdict", "deny"],
                                     env={**os.environ, **env}, stdout=out)
        try:
            wait_for(lambda: world.psql("DELETE FROM orders").code != 0 and "no-unbounded-write" in said.read_text(), 20)
        finally:
            following.terminate()
            following.wait()
    assert json.loads(said.read_text().splitlines()[0])["verdict"] == "deny"
    plain = world.command("audit", "--since", "10m", "--verdict", "deny", token=auditor(world))
    assert plain.code == 0 and "deny  ann at orders" in plain.out, repr(plain)


@test
def the_command_shows_recordings(world):
    id = ended_session(world, "SELECT 'needle in a haystack'")
    aud = auditor(world)
    listed = world.command("recordings", "--since", "10m", "--user", "ann", token=aud)
    assert listed.code == 0 and id in listed.out, repr(listed)
    one = wait_for(lambda: [r for r in [world.command("recordings", id, token=aud)] if "kept" in r.out], 10)[0]
    assert re.search(r"frames +[1-9]", one.out), repr(one)
    followed = world.command("replay", id, "--follow", token=aud)
    plain = world.command("replay", id, token=aud)
    assert followed.code == 0 and followed.out.strip() == plain.out.strip(), repr(followed)
    assert world.command("replay", id, "--follow", "--speed", "2", token=aud).code == 2
    assert world.command("replay", "zzzzzzzz", "--follow", token=aud).code == 1
    for args, found in ((["--since", "10m"], True), (["--until", "10m"], False)):
        done = world.command("search", "needle in a haystack", *args, token=aud)
        assert done.code == 0 and (id in done.out) == found, repr(done)
    for wrong in (["recordings", "--since", "soon"], ["recordings", "--verdict", "perhaps"], ["audit", "--until", "never"]):
        assert world.command(*wrong, token=aud).code == 1, wrong


# ---- slow readers ----

@test
def rc8_a_slow_reader_delays_nobody(world):
    """RC8, P10: dozens who ask for much and read nothing; others have their answers, sessions run, and memory stays."""
    id = ended_session(world, "SELECT n, filler FROM numbers")
    whole = get(world, f"recordings/{id}/replay?format=text")[2]
    assert len(whole) > 1 << 20, len(whole)
    pid = world.gateway.children()["console"][0]
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status", encoding="ascii").read()).group(1))
    before, slow = rss(), []
    for n in range(24):
        c = connection(world)
        path = f"recordings/{id}/replay?format=text" if n % 3 == 0 else f"sessions/{id}/recording" if n % 3 == 1 else "audit?limit=100000"
        c.request("GET", "/api/v1/" + path, headers={"Authorization": "Bearer " + auditor(world)})
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.append(c)  # and never reads
    assert world.psql("SELECT 1").code == 0
    assert answer(world, "whoami")["user"] == "aud"
    assert get(world, f"recordings/{id}/replay?format=text")[2] == whole
    if SANITIZED:
        print("        (sanitized: what was freed is kept, memory is left to the released build)")
    else:
        assert rss() - before < 24 * 1024, (before, rss())  # KB: less than a MB each
    for c in slow:
        c.close()


@test
def followers_do_not_hold_up_an_end(world):
    """An orderly end waits for nobody; that there would have been more is seen: no last line came."""
    stream = Stream(world, "audit?follow=1")
    assert world.psql("SELECT 'last'").code == 0
    stream.has(lambda x: "entry" in x)
    assert world.gateway.stop(signal.SIGQUIT)
    assert stream.over.wait(10 * SLOW) and not any("done" in x for x in stream.lines), stream.lines[-1]


main(console="limit connections=200 per_address=100;")
