#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings of real sessions: replayed, searched, verified, sealed, cut, and kept through kill -9 and full disks."""

import contextlib
import ctypes
import hashlib
import itertools
import pathlib
import random
import re

from harness import *

_n = itertools.count()


@contextlib.contextmanager
def another(w, **conf):
    """A second gateway before the same PostgreSQL, with a configuration of its own."""
    o = World.__new__(World)
    o.dir, o.stage, o.pg, o.tokens = w.dir, w.stage, w.pg, {}
    o.gateway = Gateway(w.dir / f"gateway{next(_n)}", w.stage, w.pg, **conf)
    try:
        o.start()
        yield o
        assert o.gateway.stop(), o.gateway.logs()
        assert not o.gateway.loud(), o.gateway.loud()
    finally:
        o.gateway.stop()


def ended(w, user, n=1, state=("ended", "torn")):
    """Ids of the user's sessions, once n of them are over."""
    def over():
        found = [s["id"] for s in w.sessions() if s["user"] == user and s["state"] in state]
        return found if len(found) >= n else None
    return wait_for(over, 20, said=f"{user}'s session did not end")


def store(w):
    return w.gateway.dir / "sessions"


def file_of(w, session):
    return store(w) / "sessions" / session[:2] / f"{session}.spr"


def copy_store(w, name):
    """The store as a backup would see it."""
    to = w.gateway.dir / name
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(store(w), to)
    return to


def signed(w, session):
    """Waits until the ledger has the session's end."""
    wait_for(lambda: w.signed(session), 20, said=f"session {session} was not signed")


def jsonl(w, session, *args):
    got = w.command("replay", session, "--format", "jsonl", *args)
    assert got.code == 0, repr(got)
    return [json.loads(line) for line in got.out.splitlines()]


def one_session(w, user, sql, **more):
    got = w.psql(sql, user=user, **more)
    assert got.code == 0, repr(got)
    return ended(w, user)[0]


# ---- texts that differ in literals only ----

ALIKE = ["SELECT item FROM orders WHERE id = 7", "SELECT item FROM orders WHERE id = 100", "SELECT item FROM orders WHERE id = 31 AND state = 'open'",
         "SELECT item FROM orders WHERE id = 8 AND state = 'paid'", "SELECT name FROM customers WHERE email = 'ada@example.com'",
         "SELECT name FROM customers WHERE email = 'grace@example.org'"]


@test
def each_text_is_recorded_as_it_was(w):
    """They are analysed and judged once: what is recorded is each one's own, and what is hidden of it, too."""
    got = w.psql(stdin="".join(f"{sql};\n" for sql in ALIKE), user="like")
    assert got.code == 0, repr(got)
    assert got.out.splitlines() == ["item 7", "item 100", "item 31", "item 8", "Ada Lovelace", "Grace Hopper"], got.out
    told = jsonl(w, ended(w, "like")[0])
    asked = [line for line in told if line.get("kind") == "sql.statement"]
    assert [line["text"] for line in asked][:4] == [sql + ";" for sql in ALIKE[:4]], asked
    assert all(hashlib.sha256(line["text"].encode()).hexdigest() == line["sha256"] for line in asked), asked
    sizes = [[a for a in line["attributes"] if a.startswith("0:size=")] for line in asked]
    assert sizes == [[f"0:size={len(sql) + 1}"] for sql in ALIKE], sizes
    assert "ada@" not in str(told) and "grace@" not in str(told), "a literal for a tagged column is recorded"


@test
def a_literal_that_matters_is_looked_at_each_time(w):
    rows = w.pg.sql("SELECT count(*) FROM numbers")
    for n, (sql, denied) in enumerate((("DELETE FROM numbers WHERE n = -5 AND 1 = 2", False), ("DELETE FROM numbers WHERE n = -5 OR 1 = 2", False),
                                       ("DELETE FROM numbers WHERE n = -5 OR 1 = 1", True), ("DELETE FROM numbers WHERE 2 = 2", True))):
        got = w.psql(sql)
        assert (got.code != 0) == denied, (n, got)
    assert w.pg.sql("SELECT count(*) FROM numbers") == rows


# ---- replay ----

@test
def replay_in_three_forms(w):
    session = one_session(w, "rea", "SELECT id, item FROM orders WHERE id < 3 ORDER BY id")
    text = w.command("replay", session)
    assert text.code == 0 and "SELECT id, item FROM orders" in text.out and "| item 1 |" in text.out, repr(text)
    frames = jsonl(w, session)
    rows = [r for f in frames if f["type"] == "rows" for r in f["rows"]]
    assert rows == [["1", "item 1"], ["2", "item 2"]], rows
    assert [f["frame"] for f in frames] == sorted(f["frame"] for f in frames)
    assert frames[0]["type"] == "header" and frames[0]["target"] == "orders" and frames[-1]["type"] == "end", frames
    for key in ("session", "principal", "module", "version", "policy", "started", "address"):
        assert frames[0][key] not in ("", None), (key, frames[0])
    cast = w.command("replay", session, "--format", "asciicast").out.splitlines()
    head = json.loads(cast[0])
    assert head["version"] == 2 and head["width"] > 0 and head["timestamp"] > 1e9, head
    events = [json.loads(line) for line in cast[1:]]
    assert all(len(e) == 3 and e[1] in "oir" for e in events) and [e[0] for e in events] == sorted(e[0] for e in events), events
    assert any("item 1" in e[2] for e in events)
    assert w.command("replay", session, "--format", "xml").code == 2
    assert w.command("replay", session, "--speed", "fast").code == 2
    assert w.command("replay", session, "--speed", "1000").out == text.out


@test
def rc5_nothing_reaches_a_terminal_raw(w):
    session = one_session(w, "esc", "SELECT E'\\x1b[2J\\x1b]0;title\\x07\\u202e' AS a, 'line\ntwo' AS b")
    for form in ("text", "jsonl", "asciicast"):
        got = w.command("replay", session, "--format", form)
        assert got.code == 0 and not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", got.out), repr(got)
    found = w.command("search", "title")
    assert session in found.out and "\x1b" not in found.out, repr(found)


@test
def long_rows_are_whole(w):
    session = one_session(w, "lon", "SELECT repeat('x', 3000000) || 'end', 'next'")
    rows = [r for f in jsonl(w, session) if f["type"] == "rows" for r in f["rows"]]
    assert [len(v) for v in rows[0]] == [3000003, 4] and rows[0][0].endswith("xend"), [len(v) for r in rows for v in r]
    assert w.command("verify", session).code == 0


@test
def head_keeps_size_rows_and_hash(w):
    with another(w, record="output head=1k;") as o:
        session = one_session(o, "hed", "SELECT n, filler FROM numbers ORDER BY n LIMIT 100")
        frames = jsonl(o, session)
        cut = [f for f in frames if f["type"] == "cut"]
        assert sum(f["rows"] for f in cut) >= 90 and sum(f["bytes"] for f in cut) > 10000 and len(cut[0]["hash"]) == 64, cut
        assert "not recorded (`output head`)" in o.command("replay", session).out
        assert o.command("verify", session).code == 0


# ---- verify: RC1, live ----

def verify_dir(w, folder, *args):
    got = w.command("verify", str(folder), *args)
    return got.code, got.out + got.err


@test
def rc1_each_change_is_found(w):
    first = one_session(w, "ver", "SELECT 1")
    second = one_session(w, "vex", "SELECT 'evidence'")
    for s in (first, second):
        signed(w, s)
    anchor = w.gateway.dir / "anchor" / "anchor"
    good = copy_store(w, "copy")
    code, text = verify_dir(w, good, "--anchor", anchor)
    assert code == 0, text
    path = good / "sessions" / second[:2] / f"{second}.spr"
    whole = path.read_bytes()
    for name, data, said in (("flipped", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "frame"),
                             ("cut", whole[:-40], "cut"), ("emptied", whole[:8], "empty")):
        path.write_bytes(data)
        code, text = verify_dir(w, good)
        assert code == 1 and said in text and second in text, (name, text)
    path.unlink()
    code, text = verify_dir(w, good)
    assert code == 1 and "gone" in text and second in text, text
    # yesterday's store, all of it: whole by itself, but the anchor knows better
    old = copy_store(w, "old")
    signed(w, one_session(w, "vey", "SELECT 'later'"))
    code, text = verify_dir(w, old)
    assert code == 0, text
    code, text = verify_dir(w, old, "--anchor", anchor)
    assert code == 1 and "it was cut" in text, text
    # with the wrong public key nothing holds
    code, text = verify_dir(w, old, "--key", "ab" * 32)
    assert code == 1 and "another key" in text, text


# ---- sealed ----

@test
def sealed_to_an_auditor(w):
    def auditor(name):
        key = w.dir / name
        run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER", "-out", key], check=True)
        return key, subprocess.run(["openssl", "pkey", "-in", str(key), "-inform", "DER", "-pubout", "-outform", "DER"],
                                   capture_output=True, check=True).stdout[-32:].hex()
    key, public = auditor("auditor.der")
    with another(w, record=f"encrypt to={public};") as o:
        session = one_session(o, "sea", "SELECT 'needle-sealed', item FROM orders WHERE id = 5")
        signed(o, session)
        assert b"needle-sealed" not in decompressed(o, session) and b"item 5" not in decompressed(o, session)
        blind = o.command("replay", session)
        assert blind.code == 0 and "needle-sealed" not in blind.out and "allow" in blind.out and "sealed" in blind.err, repr(blind)
        seen = o.command("replay", session, "--key", str(key))
        assert seen.code == 0 and "needle-sealed" in seen.out and "| item 5 |" in seen.out, repr(seen)
        assert o.command("verify", session).code == 0
        found = o.command("search", "needle-sealed", "--json")
        assert found.code == 0 and not found.json["matches"] and found.json["sealed"] >= 1, repr(found)
        found = o.command("search", "needle-sealed", "--json", "--key", str(key))
        assert found.code == 0 and session in [m["session"] for m in found.json["matches"]], repr(found)
        other, others = auditor("other.der")
        wrong = o.command("replay", session, "--key", str(other))
        assert wrong.code == 1 and "another key" in wrong.err, repr(wrong)
        # What backtest is told: nothing without the key, and with it what stands behind the seal.
        policy = w.dir / "sealed.lua"
        policy.write_text('rule "no-orders" { doc = "", on = "sql.statement", when = { tables = "public.orders" }, deny = "no" }\n')
        test = ("policy", "backtest", policy, "--since", "1h", "--user", "sea", "--conf", o.gateway.conf_file, "--json")
        blind, seen = o.command(*test).json, o.command(*test, "--key", str(key)).json
        assert blind["operations"] == 0 and blind["sealed"] == 1 and not blind["differences"], blind
        assert [(d["was"], d["now"]) for d in seen["differences"]] == [("allow", "deny by no-orders")] and seen["sealed"] == 0, seen
        # A new auditor: what is recorded from now on is theirs, what was stays the first one's.
        o.gateway.write(o.gateway.conf_text().replace(public, others))
        done = o.gateway.reload()
        assert done.code == 0, repr(done)
        later = one_session(o, "sealed-anew", "SELECT 'needle-of-later'")
        signed(o, later)
        assert "needle-of-later" in o.command("replay", later, "--key", str(other)).out
        wrong = o.command("replay", later, "--key", str(key))
        assert wrong.code == 1 and "another key" in wrong.err, repr(wrong)
        assert "needle-sealed" in o.command("replay", session, "--key", str(key)).out


def decompressed(w, session):
    """All that stands in a recording, opened without a key."""
    w.command("replay", session)  # one that is asked for is brought to its file
    return w.command("replay", str(file_of(w, session)), "--format", "jsonl").out.encode() + file_of(w, session).read_bytes()


# ---- canaries: ID8, RC6 ----

@test
def canaries_are_nowhere(w):
    """Secrets in statements, tagged values and credentials: in no file of the gateway, whatever its form."""
    with another(w) as o:
        token = o.token("can", "dba,leads,dev", fresh=True)
        o.pg.sql("CREATE TABLE IF NOT EXISTS vault (id int, email text); ALTER TABLE vault OWNER TO app_gw")
        statements = [
            "CREATE ROLE canary1 PASSWORD 'canary-create-role'",
            "ALTER ROLE canary1 PASSWORD 'canary-alter-role'",
            "SELECT id FROM customers WHERE email = 'canary-where@example.com'",
            "SELECT id FROM customers WHERE email LIKE 'canary-like%'",
            "SELECT id FROM customers WHERE email IN ('x', 'canary-in@example.com')",
            "SELECT id FROM customers c WHERE lower(c.email) = 'canary-function@example.com'",
            "INSERT INTO vault (id, email) VALUES (1, 'canary-insert@example.com')",
            "INSERT INTO vault SELECT 2, 'canary-select@example.com'",
            "UPDATE vault SET email = 'canary-update@example.com' WHERE id = 1",
            "SELECT FROM WHERE 'canary-unparsable'",
            "SELECT dblink_connect('host=x password=canary-dblink')",
            "SELECT email, card_number FROM customers",
        ]
        for sql in statements:
            o.psql(sql, user="can", groups="dba,leads,dev", token=token)
        o.psql(stdin="PREPARE p(text) AS SELECT id FROM customers WHERE email = $1;\nEXECUTE p('canary-execute@example.com');\n",
               user="can", groups="dba,leads,dev", token=token)
        o.psql(stdin="COPY vault FROM STDIN;\n9\tcanary-copy-in@example.com\n\\.\n", user="can", groups="dba,leads,dev", token=token)
        for sql, values in (("SELECT id FROM customers WHERE email = $1", ["canary-param-where"]),
                            ("INSERT INTO vault VALUES ($1, $2)", ["5", "canary-param-insert"]),
                            ("UPDATE vault SET email = $1 || 'x' WHERE id = 1", ["canary-param-update"]),
                            ("SELECT id FROM customers WHERE lower(email) = lower($1)", ["canary-param-function"]),
                            ("SELECT id FROM customers WHERE email = ANY($1::text[])", ["{canary-param-any}"])):
            exec_params(o.dsn(user="can") + f" password={token}", sql, values)
        ended(o, "can", len(statements) + 7)
        whole = b""
        for path in everything(o):
            whole += path.read_bytes()
        for s in o.sessions():
            if s["user"] == "can":
                whole += decompressed(o, s["id"])
        names = sorted(set(re.findall("canary-[a-z-]+", " ".join(statements) + " canary-execute canary-copy-in canary-param"))) + [
            "ada@example.com", "4111111111111111", token, token.split(".")[2], o.pg.password]
        found = [n for n in names if n.encode() in whole]
        assert not found, f"in the gateway's files: {found}"
        assert b"{" in whole and b"SELECT id FROM customers" in whole


def exec_params(dsn, sql, values):
    """One statement in the extended protocol, its parameters as text, by libpq itself."""
    pq = ctypes.CDLL("libpq.so.5")
    for name in ("PQconnectdb", "PQexecParams"):
        getattr(pq, name).restype = ctypes.c_void_p
    pq.PQresultErrorMessage.restype = ctypes.c_char_p
    connection = ctypes.c_void_p(pq.PQconnectdb(dsn.encode()))
    array = (ctypes.c_char_p * len(values))(*[v.encode() for v in values])
    result = ctypes.c_void_p(pq.PQexecParams(connection, sql.encode(), len(values), None, array, None, None, 0))
    error = pq.PQresultErrorMessage(result)
    pq.PQclear(result)
    pq.PQfinish(connection)
    assert error == b"", (sql, error)


def everything(w):
    skip_names = {"orders.secret", "sallyport.conf"}
    for path in sorted(w.gateway.dir.rglob("*")):
        if path.is_file() and path.name not in skip_names and path.suffix != ".key" and "tls" not in path.parts:
            yield path


# ---- audit and access log ----

@test
def a_line_for_each_decision(w):
    before = len(w.gateway.audit())
    session = None
    got = w.psql(stdin="SELECT 1;\nDELETE FROM orders;\nSELECT 2;\n", user="aud", args=("-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"))
    assert got.code == 0, repr(got)
    session = ended(w, "aud")[0]
    wait_for(lambda: [a for a in access(w) if a["session"] == session], said="no access line")
    lines = [a for a in w.gateway.audit()[before:] if a.get("session") == session and a.get("kind") == "sql.statement"]
    assert [a["verdict"] for a in lines] == ["allow", "deny", "allow"], lines
    denied = lines[1]
    assert denied["rule"] == "no-unbounded-write" and denied["user"] == "aud" and denied["target"] == "orders", denied
    assert len(denied["sha256"]) == 64 and len(denied["policy"]) == 64 and denied["tag"], denied
    line = [a for a in access(w) if a["session"] == session]
    assert len(line) == 1 and line[0]["denied"] == 1 and line[0]["rows"] == 2 and line[0]["why"] == "eof", line


def access(w):
    path = w.gateway.dir / "log" / "access.log"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


@test
def reopen_loses_no_line(w):
    log = w.gateway.dir / "log" / "audit.jsonl"
    live = w.psql_waiting(stdin="SELECT 'x';\n" * 200, user="reo")
    log.rename(log.with_suffix(".1"))
    assert w.gateway.daemon("-s", "reopen").code == 0
    for _ in range(100):
        live.say("SELECT 'y';\n")
    assert live.result().code == 0
    session = ended(w, "reo")[0]
    wait_for(lambda: [a for a in access(w) if a["session"] == session], said="no access line")
    text = log.with_suffix(".1").read_text() + log.read_text()
    lines = [json.loads(a) for a in text.splitlines()]
    mine = [a["op"] for a in lines if a.get("session") == session and a.get("kind") == "sql.statement"]
    assert len(mine) == 300 and len(set(mine)) == 300, (len(mine), len(set(mine)))


# ---- faults ----

class Load:
    """psqls that write numbered rows: what the target has must be in a recording."""

    def __init__(self, w, user, clients=4, statements=4000):
        w.pg.sql(f"DROP TABLE IF EXISTS marks_{user}; CREATE TABLE marks_{user} (c int, n int); ALTER TABLE marks_{user} OWNER TO app_gw")
        self.w, self.user = w, user
        self.live = []
        for c in range(clients):
            script = "".join(f"INSERT INTO marks_{user} VALUES ({c}, {n});\n" for n in range(statements))
            self.live.append(w.psql_waiting(stdin="SELECT 1;\n", user=user))
            threading.Thread(target=self._feed, args=(self.live[-1], script), daemon=True).start()
        wait_for(lambda: self.count() > 20, said="no load came")

    @staticmethod
    def _feed(live, script):
        try:
            live.say(script)
            live.process.stdin.close()
        except (OSError, ValueError):
            pass

    def count(self):
        return int(self.w.pg.sql(f"SELECT count(*) FROM marks_{self.user}"))

    def wait(self):
        codes = []
        for one in self.live:
            try:
                codes.append(one.process.wait(60 * SLOW))
            except subprocess.TimeoutExpired:
                one.process.kill()
                codes.append("hung")
        return codes

    def end(self):
        for one in self.live:
            one.process.kill()
            one.process.wait()

    def recorded(self):
        """(c, n) of every INSERT that a recording says was allowed."""
        found = set()
        for s in self.w.sessions():
            if s["user"] != self.user:
                continue
            allowed, texts = set(), {}
            for f in jsonl(self.w, s["id"]):
                if f["type"] == "operation":
                    texts[f["op"]] = f.get("text", "")
                if f["type"] == "verdict" and f.get("what") == "allow":
                    allowed.add(f["op"])
            for op in allowed:
                match = re.search(r"VALUES \((\d+), (\d+)\)", texts.get(op, ""))
                if match:
                    found.add((int(match[1]), int(match[2])))
        return found

    def at_target(self):
        rows = self.w.pg.sql(f"SELECT c, n FROM marks_{self.user}")
        return {tuple(map(int, line.split("|"))) for line in rows.splitlines()}


def all_verify(w):
    def whole():
        code, text = verify_dir(w, store(w), "--anchor", w.gateway.dir / "anchor" / "anchor")
        return (code, text) if code == 0 else None
    try:
        wait_for(whole, 15)
    except AssertionError:
        raise AssertionError(verify_dir(w, store(w))[1]) from None


@test
def recorder_killed_under_load(w):
    """P8: the gateway goes on, and every statement that reached the target is in a recording."""
    with another(w, record="sync_wait 20s;") as o:
        load = Load(o, "kre", statements=3000)
        for _ in range(4):
            time.sleep(random.uniform(0.05, 0.5))
            old = o.gateway.children()["recorder"][0]
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: o.gateway.children().get("recorder", [old])[0] != old, said="no new recorder")
        codes = load.wait()
        load.end()
        assert o.psql("SELECT 'goes on'").out == "goes on", o.gateway.logs()
        ended(o, "kre", 4)
        target = load.at_target()
        wait_for(lambda: len(access(o)) >= 4, said="no access lines")
        missing = target - load.recorded()
        assert not missing, f"{len(missing)} of {len(target)} statements are in no recording: {sorted(missing)[:5]}"
        all_verify(o)
        audit_once(o)
        assert codes == [0] * 4, f"sessions ended: {codes}\n{o.gateway.logs()}"


@test
def recorder_killed_amid_a_session(w):
    """What is said again by its place alone is known to a recorder that came since."""
    def lines():
        return len([a for a in o.gateway.audit() if a.get("user") == "kam" and a.get("kind") == "sql.statement"])

    text = "SELECT 1;\nSELECT 'a', 2;\nSELECT 'b', 3;\n"
    with another(w) as o:
        live = o.psql_waiting(stdin=text, user="kam")
        for n in range(1, 4):
            wait_for(lambda n=n: lines() == 3 * n, said="its statements are not in the audit log")
            time.sleep(0.2)
            old = o.gateway.children()["recorder"][0]
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: o.gateway.children().get("recorder", [old])[0] != old, said="no new recorder")
            live.say(text)
        assert live.result().code == 0, o.gateway.logs()
        wait_for(lambda: lines() == 12, said="its last statements are not in the audit log")
        ended(o, "kam")
        audit_once(o)


def audit_once(w):
    """No line twice, and one for every verdict in the recordings, which says of its operation what the recording says."""
    seen = [(a["session"], a["frame"]) for a in w.gateway.audit() if "frame" in a]
    assert len(seen) == len(set(seen)), f"{len(seen) - len(set(seen))} lines stand twice"
    line = {(a["session"], a["frame"]): a for a in w.gateway.audit() if "frame" in a}
    for s in w.sessions():
        frames = jsonl(w, s["id"])
        operation = {f["op"]: f for f in frames if f["type"] == "operation"}
        want = {f["frame"]: operation[f["op"]] for f in frames if f["type"] in ("verdict", "held")}
        missing = [n for n in want if (s["id"], n) not in line]
        assert not missing, f"{len(missing)} of {len(want)} verdicts of {s['id']} have no line"
        for n, o in want.items():
            a = line[s["id"], n]
            told, said = [[x.get("kind"), x.get("tag", ""), x.get("sha256")] for x in (a, o)]
            assert told == said, f"frame {n} of {s['id']}: the audit log says {told}, the recording {said}"


@test
def worker_killed_under_load(w):
    with another(w) as o:
        load = Load(o, "kwo")
        time.sleep(random.uniform(0.05, 0.5))
        for pid in o.gateway.children()["worker"]:
            os.kill(pid, signal.SIGKILL)
        load.wait()
        wait_for(lambda: o.psql("SELECT 1").out == "1", 20, said="the gateway does not go on")
        torn = ended(o, "kwo", 4, state=("torn",))
        for session in torn:
            frames = jsonl(o, session)
            assert frames[-1]["type"] == "torn", frames[-1]
            assert o.command("verify", session).code == 0
        missing = load.at_target() - load.recorded()
        assert not missing, f"{len(missing)} statements are in no recording: {sorted(missing)[:5]}"
        all_verify(o)


@test
def gateway_killed_whole(w):
    """Everything dies at once; the next start closes what was open as torn."""
    with another(w) as o:
        load = Load(o, "kga")
        children = [p for pids in o.gateway.children().values() for p in pids]
        o.gateway.process.kill()
        o.gateway.process.wait()
        for pid in children:
            wait_for(lambda p=pid: not pathlib.Path(f"/proc/{p}").exists() or
                     "Z" in pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1][:3], said="a process outlives its master")
        load.wait()
        (o.gateway.dir / "run" / "control.sock").unlink(missing_ok=True)
        o.start()
        sessions = [s["id"] for s in o.sessions() if s["user"] == "kga"]
        wait_for(lambda: all(jsonl(o, s)[-1]["type"] in ("torn", "end") for s in sessions), 20, said="recordings stay open")
        missing = load.at_target() - load.recorded()
        assert not missing, f"{len(missing)} statements are in no recording: {sorted(missing)[:5]}"
        all_verify(o)


@test
def rc2_disk_full_stops_sessions(w):
    """P8: a full disk stops sessions with a clear error; once there is room, all goes on and verifies."""
    if not IS_ROOT:
        skip("needs root, to mount a small file system")
    with another_mounted(w, "6m") as o:
        live = o.psql_waiting(stdin="SELECT 'up';\n", user="ful")
        wait_for(lambda: [s for s in o.sessions(live=True) if s["user"] == "ful"], said="no live session")
        before = o.pg.sql("SELECT count(*) FROM orders")
        with kept_full(store(o)):
            with contextlib.suppress(BrokenPipeError):
                # the last page of a file has room still, and small statements fit there and are recorded
                for _ in range(3000):
                    live.say(f"SELECT count(*) FROM orders WHERE item = '{os.urandom(2000).hex()}';\n")
                    if not live.running():
                        break
            got = live.result()
            assert got.code != 0 and "recorded" in got.err, repr(got)
            refused = o.psql("INSERT INTO orders(item) VALUES ('late')", user="ful")
        assert (refused.code != 0) == (o.pg.sql("SELECT count(*) FROM orders") == before), repr(refused)
        wait_for(lambda: o.psql("SELECT 'again'", user="ful").out == "again", 60, said="sessions stay refused")
        assert refused.code != 0 or in_a_recording(o, "ful", "VALUES ('late')"), repr(refused)
        all_verify(o)
        assert "recordings cannot be written" in (o.gateway.dir / "log" / "error.log").read_text()


def in_a_recording(w, user, text):
    return any(text in w.command("replay", s["id"]).out for s in w.sessions() if s["user"] == user)


@contextlib.contextmanager
def kept_full(folder):
    """Whatever room the recorder gives back is taken, too, now by one and now by the other."""
    done = threading.Event()

    def take():
        with open(folder / "filler", "ab", buffering=0) as f:
            while not done.is_set():
                try:
                    f.write(b"x" * 4096)
                except OSError:
                    time.sleep(0.001)
    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        (folder / "filler").unlink()


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "filler", "ab", buffering=0) as f:
        while f.write(b"x" * 4096) > 0:
            pass


@test
def rc2_full_disk_gets_its_journal_back(w):
    """P8: what the journal holds of a full disk it gives back, by the reserve, or when a little room is made."""
    if not IS_ROOT:
        skip("needs root, to mount a small file system")
    with another_mounted(w, "64m") as o:
        def journal():
            return sum(f.stat().st_size for f in (store(o) / "journal").iterdir())

        text = "".join(f"SELECT count(*) FROM orders WHERE item = '{os.urandom(800).hex()}';\n" for _ in range(1200))  # no flood, which goes past the journal
        reserve, filler = store(o) / "reserve", store(o) / "filler"
        for reserved in (True, False):
            assert o.psql(stdin=text, user="ful").code == 0
            assert journal() > 1 << 20, journal()
            wait_for(reserve.exists, 20, said="there is no reserve")
            if not reserved:
                reserve.unlink()
            fill(store(o))
            got = o.psql(stdin=text, user="ful")
            # it stops, or has room made in time
            assert (got.code != 0 and "record" in got.err) or got.out.split() == ["0"] * 1200, repr(got)
            if not reserved:
                os.truncate(filler, filler.stat().st_size - (1 << 20))
            wait_for(lambda: o.psql("SELECT 'again'", user="ful").out == "again", 60, said="sessions stay refused")
            wait_for(lambda: journal() < 1 << 20, 60, said="the journal keeps its room")
            filler.unlink()
        all_verify(o)
        said = (o.gateway.dir / "log" / "error.log").read_text()
        assert said.count("recordings cannot be written") == said.count("recordings can be written again"), said


@test
def rc2_unwritable_folder_stops_sessions(w):
    if not IS_ROOT:
        skip("needs root, to take the folder from the recorder's user")
    with another(w) as o:
        live = o.psql_waiting(stdin="SELECT 'up';\n", user="unw")
        wait_for(lambda: [s for s in o.sessions(live=True) if s["user"] == "unw"], said="no live session")
        folder = store(o) / "sessions"
        mode = folder.stat().st_mode
        folder.chmod(0)
        shutil.chown(folder, "root", "root")
        try:
            wait_for(lambda: o.psql("SELECT 'unrecorded'", user="unw").code != 0, 20, said="sessions go on")
            with contextlib.suppress(BrokenPipeError):
                live.say("SELECT 'late';\n")
            got = live.result()
            assert got.code != 0 and "late" not in got.out and "recorded" in got.err, repr(got)
        finally:
            shutil.chown(folder, "sallyport-recorder", "sallyport-recorder")
            folder.chmod(mode)
        wait_for(lambda: o.psql("SELECT 'again'", user="unw").out == "again", 20, said="sessions stay refused")
        all_verify(o)


@contextlib.contextmanager
def another_mounted(w, size):
    folder = w.dir / f"small{next(_n)}"
    folder.mkdir()
    done = run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder])
    if done.code != 0:
        skip(f"a file system cannot be mounted here: {done.err}")
    try:
        shutil.chown(folder, "sallyport-recorder", "sallyport-recorder")
        with another(w) as o:
            o.gateway.stop()
            text = o.gateway.conf_text().replace(f"store {store(o)};", f"store {folder};")
            shutil.rmtree(store(o))
            (o.gateway.dir / "sessions").symlink_to(folder)
            o.gateway.write(text)
            o.start()
            yield o
    finally:
        run(["umount", "-l", folder])


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@test
def slow_disk_pauses_forwarding(w):
    """P1: while the recorder does not get on, nothing new reaches the target; then it goes on, or ends (P8)."""
    for sync in ("always", "group"):
        with another(w, record=f"sync {sync}; sync_wait 20s;") as o:
            o.pg.sql("DROP TABLE IF EXISTS slow; CREATE TABLE slow (n int); ALTER TABLE slow OWNER TO app_gw")
            live = o.psql_waiting(stdin="INSERT INTO slow VALUES (0);\n", user="slo")
            wait_for(lambda: o.pg.sql("SELECT count(*) FROM slow") == "1", said="no load came")
            with stopped(o.gateway.children()["recorder"][0]):
                live.say("".join(f"INSERT INTO slow VALUES ({n});\n" for n in range(1, 200)))
                time.sleep(1.5)
                reached = int(o.pg.sql("SELECT count(*) FROM slow"))
                time.sleep(1.5)
                assert int(o.pg.sql("SELECT count(*) FROM slow")) == reached, "statements pass although nothing is recorded"
                assert reached < 200 if sync == "group" else reached == 1, reached
            got = live.result()
            assert got.code == 0 and o.pg.sql("SELECT count(*) FROM slow") == "200", repr(got)
    with another(w, record="sync_wait 1s;") as o:
        live = o.psql_waiting(stdin="INSERT INTO slow VALUES (1000);\n", user="slo")
        wait_for(lambda: o.pg.sql("SELECT count(*) FROM slow WHERE n = 1000") == "1", said="no load came")
        with stopped(o.gateway.children()["recorder"][0]):
            with contextlib.suppress(BrokenPipeError):
                live.say("INSERT INTO slow VALUES (1001);\n" * 200)
            got = live.result()
            assert got.code != 0 and "recorded" in got.err, repr(got)
            assert int(o.pg.sql("SELECT count(*) FROM slow WHERE n = 1001")) < 200
        wait_for(lambda: o.psql("SELECT 'again'", user="slo").out == "again", 20, said="sessions stay refused")


# ---- retention ----

@test
def retention_leaves_tombstones(w):
    with another(w, record="keep 3s;") as o:
        session = one_session(o, "ret", "SELECT 'to be forgotten'")
        signed(o, session)
        wait_for(lambda: not file_of(o, session).exists(), 30, said="the recording was not removed")
        got = o.command("replay", session)
        assert got.code == 1, repr(got)
        all_verify(o)
        assert [a for a in o.gateway.audit() if a.get("event") == "removed" and a["session"] == session]


main()
