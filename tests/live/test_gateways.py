#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two gateways with one store at a real PostgreSQL: what one decides holds at the other; a store that is away harms no live session."""

import http.client

from gateways_world import *


class Local(http.client.HTTPConnection):
    """Over the control socket."""

    def __init__(self, path):
        super().__init__("sallyport", timeout=60 * SLOW)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(place, method, path, body, headers):
    """(status, answer)"""
    c = Local(place.gateway.control)
    c.request(method, path, json.dumps(body), {"Content-Type": "application/json", **headers})
    r = c.getresponse()
    got = r.status, json.loads(r.read())
    c.close()
    return got


@test
def second_needs_the_same_keys(w):
    other = Place(w)
    other.gateway.dir.rename(w.dir / "stranger")
    stranger = Gateway(w.dir / "third", w.stage, w.pg)
    give(stranger, "store.secret", w.store_password)
    stranger.store = store_of(w.store, stranger.dir)
    stranger.write()
    try:
        stranger.start()
    except AssertionError as e:
        assert "have the same master.key and issuer.key" in str(e), e
    else:
        stranger.stop()
        raise AssertionError("a gateway with keys of its own joined the store")


@test
def sessions_are_one_list(w):
    a, b = pair(w)
    wait_a, wait_b = (p.psql_waiting("SELECT pg_sleep(3)", user="ann") for p in (a, b))
    both = wait_for(lambda: [s for s in a.sessions(live=True)] if len(a.sessions(live=True)) >= 2 else None, said="not both are listed")
    assert len({s["gateway"] for s in both}) == 2, both
    assert {s["id"] for s in both} == {s["id"] for s in b.sessions(live=True)}
    assert wait_a.result().code == 0 and wait_b.result().code == 0


@test
def approved_here_runs_there(w):
    a, b = pair(w)
    held = b.psql_waiting("UPDATE orders SET state = 'held' WHERE id = 1", user="ann")
    r = a.waiting_request()
    done = a.command("approve", r["id"], token=a.token("kim", "leads", api=True))
    assert done.code == 0, done
    assert held.result().code == 0
    assert w.pg.sql("SELECT state FROM orders WHERE id = 1") == "held"
    wait_for(lambda: audited(a.gateway, "approved", request=r["id"]))
    assert not audited(b.gateway, "approved", request=r["id"])


@test
def denied_here_fails_there(w):
    a, b = pair(w)
    held = a.psql_waiting("UPDATE orders SET state = 'no' WHERE id = 2", user="ann")
    r = b.waiting_request()
    assert b.command("deny", r["id"], token=b.token("kim", "leads", api=True)).code == 0
    assert "denied by kim" in held.result().err
    assert w.pg.sql("SELECT state FROM orders WHERE id = 2") != "no"


@test
def one_decision_wins(w):
    """AP6: a hundred answers at both gateways at once, one of them counts."""
    a, b = pair(w)
    held = a.psql_waiting("UPDATE orders SET state = 'won' WHERE id = 3", user="ann")
    r, ready, said = a.waiting_request(), threading.Barrier(100), []
    # Each gateway takes the tokens of either, so one of them makes them all.
    tokens = [call(a, "POST", "/api/v1/token", {"user": f"lead{n}", "groups": ["leads"], "ttl": 600000, "api": True}, {})[1]["token"] for n in range(100)]

    def decide(n):
        ready.wait(60 * SLOW)
        said.append(call((a, b)[n % 2], "POST", f"/api/v1/requests/{r['id']}/" + ("approve" if n % 3 else "deny"), {}, {"Authorization": "Bearer " + tokens[n]}))
    threads = [threading.Thread(target=decide, args=(n,)) for n in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    states = [status for status, _ in said]
    assert len(said) == 100 and states.count(409) == 99, said
    won = states.count(200)
    assert won == 1, f"{won} decisions were taken"
    assert (held.result().code == 0) == (w.pg.sql("SELECT state FROM orders WHERE id = 3") == "won")
    decided = [a for g in (a.gateway, b.gateway) for a in g.audit() if a.get("event") in ("approved", "denied") and a.get("request") == r["id"]]
    assert len(decided) == 1, decided


@test
def revoked_here_ends_there(w):
    a, b = pair(w)
    token = b.token("eve", "dev")
    sleeper = b.psql_waiting("SELECT pg_sleep(60)", user="eve", token=token)
    wait_for(lambda: [s for s in b.sessions(live=True) if s["user"] == "eve"])
    assert a.command("revoke", "--user", "eve").code == 0
    assert sleeper.result(10).code != 0
    assert b.psql("SELECT 1", user="eve", token=token).code != 0


@test
def killed_here_ends_there(w):
    a, b = pair(w)
    sleeper = b.psql_waiting("SELECT pg_sleep(60)", user="mallory")
    s = wait_for(lambda: [s for s in a.sessions(live=True) if s["user"] == "mallory"])[0]
    assert a.command("kill", s["id"]).code == 0
    assert sleeper.result(10).code != 0
    done = a.command("replay", s["id"])
    assert done.code != 0 and "is kept by the gateway" in done.err, done


@test
def granted_here_lets_in_there(w):
    """A grant asked for at one, given at the other, and ended at the first: its session at the other goes."""
    a, b = pair(w)
    ann, kim = a.token("ann", "dev", api=True), b.token("kim", "leads", api=True)
    assert b.psql("SELECT 1", database="crm").code != 0
    request = a.command("request", "crm", "--for", "10m", "--reason", "INC-1", "--json", token=ann).json["id"]
    assert b.command("approve", request, token=kim).code == 0
    assert b.psql("SELECT 1", database="crm").out == "1"
    sleeper = b.psql_waiting("SELECT pg_sleep(61)", database="crm")
    wait_for(lambda: w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(61)'") == "1")
    assert a.command("end", request, token=a.token("kim", "leads", api=True)).code == 0
    assert "grant has ended" in sleeper.result(10).err
    assert b.psql("SELECT 1", database="crm").code != 0


@test
def a_file_approved_here_is_spent_there_once(w):
    a, b = pair(w)
    path = w.dir / "migrate.sql"
    path.write_text("UPDATE orders SET state = 'file' WHERE id = 5;\nSELECT 1;\nUPDATE orders SET state = 'file' WHERE id = 6;\n")
    request = a.command("request", "orders", "--file", path, "--by", "leads", "--reason", "INC-1", "--json", token=a.token("ann", "dev", api=True)).json["id"]
    assert b.command("approve", request, token=b.token("kim", "leads", api=True)).code == 0
    one, two = (p.psql_waiting(None, ("-A", "-t", "-q", "-f", str(path))) for p in (a, b))
    held = a.waiting_request()
    assert held["kind"] == "operation" and a.command("deny", held["id"], token=a.token("kim", "leads", api=True)).code == 0
    assert sorted(p.result().code != 0 for p in (one, two)) == [False, True], "one of the two"
    assert w.pg.sql("SELECT count(*) FROM orders WHERE state = 'file'") == "2"
    assert b.command("requests", request, "--json", token=b.token("kim", "leads", api=True)).json["state"] == "used"


@test
def ticket_of_one_is_good_at_the_other(w):
    """Its verifier is sealed under the key that both have; ended at one, it is no good at either."""
    a, b = pair(w)
    made = a.command("ticket", "orders", "--format", "json", token=a.token("ann", "dev", api=True)).json

    def try_it(p):
        return p.psql("SELECT 1", user=made["id"], token=made["password"])
    assert try_it(b).out == "1" and try_it(a).out == "1"
    assert b.command("end", made["id"], token=b.token("ann", "dev", api=True)).code == 0
    for p in (a, b):
        got = try_it(p)
        assert got.code != 0 and "revoked" in got.err, got


@test
def ten_at_once_are_ten_at_all_of_them(w):
    a, b = pair(w)
    made = a.command("ticket", "orders", "--format", "json", token=a.token("tea", "dev", api=True)).json
    inside = [p.psql_waiting(stdin="SELECT 'in';\n", user=made["id"], token=made["password"]) for p in (a, b) for _ in range(5)]
    wait_for(lambda: len([s for s in a.sessions(live=True) if s["user"] == "tea"]) == 10, 30, said="they did not all get in")
    for p in (a, b):
        got = p.psql("SELECT 1", user=made["id"], token=made["password"])
        assert got.code != 0 and "ten open sessions" in got.err, got
    inside[9].say("\\q\n")
    assert inside[9].result().out == "in"
    wait_for(lambda: a.psql("SELECT 1", user=made["id"], token=made["password"]).code == 0, 30, said="a place free there stayed taken here")
    for one in inside[:9]:
        one.say("\\q\n")
        assert one.result().out == "in"


@test
def odd_bytes_do_not_break_the_store(w):
    """The store's texts are UTF-8; a client's need not be."""
    a, b = pair(w)
    with socket.create_connection(("127.0.0.1", b.gateway.port)) as s:
        body = b"\0\3\0\0user\0ann\0database\0orders/\xff\xfe\0\0"
        s.sendall((len(body) + 4).to_bytes(4, "big") + body)
        s.recv(1)
        password = b.token().encode() + b"\0"
        s.sendall(b"p" + (len(password) + 4).to_bytes(4, "big") + password)
        while s.recv(4096):
            pass
    assert b.psql("SELECT 1").out == "1"


@test
def store_away_harms_no_live_session(w):
    """It goes on for store_grace; nobody new comes in, with a reason; what was stored is there afterwards."""
    a, b = pair(w)
    live = a.psql_waiting(stdin="SELECT 'one';\n", args=("-A", "-t"), user="stays")
    wait_for(lambda: [s for s in a.sessions(live=True) if s["user"] == "stays"])
    w.store.stop("fast")
    try:
        live.say("SELECT 'two';\n")
        refused = b.psql("SELECT 1", timeout=30)
        assert refused.code != 0 and "orders" not in refused.out, refused
    finally:
        w.store.start()
    back(w)
    live.say("SELECT 'three';\n\\q\n")
    got = live.result()
    assert got.out.split() == ["one", "two", "three"] and got.code == 0, got


@test
def store_away_for_long_ends_sessions(w):
    a, _ = pair(w)
    sleeper = a.psql_waiting("SELECT pg_sleep(120)", user="sleeps")
    wait_for(lambda: [s for s in a.sessions(live=True) if s["user"] == "sleeps"])
    w.store.stop("fast")
    try:
        assert sleeper.result(GRACE + 20).code != 0
    finally:
        w.store.start()
    back(w)


# What undoes the store's versions from that of session.token on, the last one first: append yours in front.
UNDO = ["DROP INDEX session_token; ALTER TABLE session DROP COLUMN token", "DROP TABLE share; DROP TABLE session_group"]


@test
def an_older_store_is_copied_and_brought_up_to_date(w):
    _, b = pair(w)
    version, sessions = int(stored(w, "SELECT version FROM sallyport")), stored(w, "SELECT count(*) FROM session")
    stored(w, f"BEGIN; {'; '.join(UNDO)}; UPDATE sallyport SET version = version - {len(UNDO)}; COMMIT")
    os.kill(b.gateway.children()["keeper"][0], signal.SIGKILL)
    back(w)
    assert int(stored(w, "SELECT version FROM sallyport")) == version
    assert int(stored(w, f"SELECT count(*) FROM backup_v{version - len(UNDO)}_session")) >= int(sessions) > 0
    assert stored(w, f"SELECT version FROM backup_v{version - len(UNDO)}_sallyport") == str(version - len(UNDO))


@test
def what_is_promised_is_on_disk_whatever_the_role_says(w):
    pair(w)
    stored(w, """ALTER ROLE sallyport SET synchronous_commit = off;
        CREATE SCHEMA watch; CREATE TABLE watch.seen(value text); GRANT USAGE ON SCHEMA watch TO sallyport; GRANT INSERT ON watch.seen TO sallyport;
        CREATE FUNCTION watch.look() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO watch.seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
        CREATE TRIGGER look BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION watch.look()""")
    try:
        os.kill(w.gateway.children()["keeper"][0], signal.SIGKILL)
        back(w)
        assert set(stored(w, "SELECT DISTINCT value FROM watch.seen").split()) == {"on"}
    finally:
        stored(w, "DROP SCHEMA watch CASCADE; ALTER ROLE sallyport RESET synchronous_commit")


@test
def altered_newer_store_is_refused(w):
    a, b = pair(w)
    stored(w, "UPDATE sallyport SET version = version + 100")
    try:
        os.kill(b.gateway.children()["keeper"][0], signal.SIGKILL)
        wait_for(lambda: "written by a newer Sallyport" in b.gateway.logs(200), 20, said="a newer store was not refused")
    finally:
        stored(w, "UPDATE sallyport SET version = version - 100")
    back(w)


@test
def dead_gateway_is_buried(w):
    """Its sessions are torn and what they held is withdrawn, by the one that lives."""
    a, b = pair(w)
    held = b.psql_waiting("UPDATE orders SET state = 'never' WHERE id = 4", user="ann")
    r = a.waiting_request()
    stopped = [pid for pids in b.gateway.children().values() for pid in pids]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    b.gateway.process.kill()
    b.gateway.process.wait()
    atexit.register(end_of, stopped)
    held.process.kill()
    held.process.wait()
    stored(w, "UPDATE gateway SET seen = seen - 3600000000 WHERE name = (SELECT gateway FROM session ORDER BY started DESC LIMIT 1)")
    wait_for(lambda: [x for x in a.command("requests", "--all", "--json").json["requests"] if x["id"] == r["id"] and x["state"] == "withdrawn"], 20, said="it still waits")
    torn = [s for s in a.sessions() if s["id"] == r["session"]]
    assert torn and torn[0]["state"] == "torn", torn
    assert w.pg.sql("SELECT state FROM orders WHERE id = 4") != "never"


gateways_main()
