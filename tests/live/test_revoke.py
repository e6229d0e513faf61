#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P6, AP7: whatever ends a right ends its sessions within a second: running, held or idle ones, and their queries at the target.

The promise is 1 s for a session and 2 s for its query; tests wait ten times as long, tests/bench/access prints what it really takes.
"""

import harness
from harness import *

SESSION, QUERY = 10, 20  # seconds: ten times what is promised
CRM = """
target crm {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev,leads; access grant approvers=leads; policy {dir}/policies/orders.lua; }}
"""
turn = iter(range(300, 10000))


def running(w, seconds):
    return w.pg.sql(f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep({seconds})%' AND state = 'active'"
                    " AND pid <> pg_backend_pid()") != "0"


def lead(w, *args):
    done = w.command(*args, token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    return done


class Three:
    """Sessions of one user: one in the middle of a query, one whose operation waits for a person, one idle."""

    def __init__(self, w, user, target="orders", login=None, password=None):
        self.w, self.user, self.seconds, self.order = w, user, next(turn), next(turn) % 90 + 5
        where = dict(user=login or user, token=password or w.token(user, fresh=True), database=target)
        self.running = w.psql_waiting(f"SELECT pg_sleep({self.seconds})", **where)
        self.held = w.psql_waiting(f"UPDATE orders SET price = 0 WHERE id = {self.order}", **where)
        self.idle = w.psql_waiting(stdin="SELECT 'in';\n", **where)
        wait_for(lambda: running(w, self.seconds), said="it does not run")
        self.request = wait_for(lambda: [r for r in w.requests() if r["state"] == "waiting" and r["user"] == user], said="nothing is held")[0]["id"]
        wait_for(lambda: len(self.live()) == 3, said="not all are in")

    def live(self):
        return [s["id"] for s in self.w.sessions(live=True) if s["user"] == self.user]

    def end(self, why, act):
        act()
        wait_for(lambda: not self.live(), SESSION, said=f"sessions live on after {why}")
        wait_for(lambda: not running(self.w, self.seconds), QUERY, said="the target still runs its query")
        self.idle.say("SELECT 'late';\n")
        for one in (self.running, self.held, self.idle):
            got = one.result()
            assert got.code != 0 and any(w in got.err for w in why.split("|")) and "late" not in got.out, (why, repr(got))
        late = self.w.command("approve", self.request, token=self.w.token("lea", "leads", api=True))
        assert late.code == 1, repr(late)  # nobody lets it run afterwards
        assert self.w.pg.sql(f"SELECT price FROM orders WHERE id = {self.order}") != "0.00"


@test
def ap7_revoke(w):
    three = Three(w, "rex")
    three.end("revoked", lambda: w.command("revoke", "--user", "rex").code == 0)


@test
def ap7_kill(w):
    three = Three(w, "kay")
    three.end("ended by", lambda: [w.command("kill", s) for s in three.live()])


@test
def ap7_the_end_of_a_grant(w):
    asked = w.command("request", "crm", "--for", "1h", "--reason", "x", "--json", token=w.token("gus", "dev", api=True))
    lead(w, "approve", asked.json["id"])
    Three(w, "gus", "crm").end("grant has ended", lambda: lead(w, "end", asked.json["id"]))


@test
def ap7_a_grants_own_end(w):
    asked = w.command("request", "crm", "--for", "4s", "--reason", "x", "--json", token=w.token("gil", "dev", api=True))
    lead(w, "approve", asked.json["id"])
    Three(w, "gil", "crm").end("expired|its grant has ended", lambda: None)


@test
def ap7_the_end_of_a_ticket(w):
    t = w.command("ticket", "orders", "--format", "json", token=w.token("tom", "dev", api=True)).json
    Three(w, "tom", login=t["id"], password=t["password"]).end("ticket was ended", lambda: w.command("end", t["id"], token=w.token("tom", "dev", api=True)))


@test
def ap7_a_tokens_own_end(w):
    Three(w, "exa", password=w.token("exa", ttl="5s", fresh=True)).end("expired", lambda: None)


@test
def what_was_issued_before_stays_refused_over_restarts(w):
    """The moment of a revocation is stored, whoever is started anew: the keeper by a crash, all of it by a stop."""
    old, ticket = w.token("ned"), w.command("ticket", "orders", "--format", "json", token=w.token("ned", "dev", api=True)).json
    assert w.psql("SELECT 1", user="ned", token=old).out == "1"
    assert w.command("revoke", "--user", "ned").code == 0

    def refused():
        by_token, by_ticket = w.psql("SELECT 1", user="ned", token=old), w.psql("SELECT 1", user=ticket["id"], token=ticket["password"])
        assert by_token.code == 2 and "access denied" in by_token.err, repr(by_token)
        assert by_ticket.code == 2 and "revoked" in by_ticket.err, repr(by_ticket)
        assert w.command("whoami", token=w.token("ned", "dev", api=True)).code == 1
    refused()
    before = w.gateway.times_ready()
    keeper = w.gateway.children()["keeper"][0]
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: w.gateway.children().get("keeper", [keeper]) != [keeper] and w.psql("SELECT 1", user="ann").out == "1", 20, said="the keeper did not come back")
    refused()
    w.gateway.stop()
    w.gateway.start()
    assert w.gateway.times_ready() > before
    refused()
    assert w.psql("SELECT 1", user="ann").out == "1"


class WithGrants(World):
    def start(self):
        self.gateway.more_targets = CRM.format(port=self.pg.port, dir=self.gateway.dir)
        self.gateway.write()
        return super().start()


harness.World = WithGrants
main()
