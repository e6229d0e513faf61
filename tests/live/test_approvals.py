#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Persons decide: what they see, how many they are, what nobody has seen, and how a request ends by itself (P7, AP1, AP5, AP6, AP9)."""

from harness import *
from wire import *

SQL = "CREATE TABLE log (n int);\nCREATE TABLE bulk (n int);\n"
MORE = """
rule "log-needs-two" {
  doc = "What is logged is agreed on by two.",
  on = "sql.statement", when = { effects = "write", tables = "public.log" },
  approve = { by = "leads", count = 2, within = "5m", reason = true, ["else"] = "wait" },
}
rule "bulk-unseen" {
  doc = "Bulk data come as they come.",
  on = "sql.statement", when = { effects = "write", tables = "public.bulk" },
  approve = { by = "leads", within = "5m", unseen = true, ["else"] = "wait" },
}
rule "quick" {
  doc = "A second to decide.",
  on = "sql.statement", when = { verb = "delete", tables = "public.orders" },
  approve = { by = "leads", within = "1s", ["else"] = "wait" },
}
"""
WAIT = 'approve = { by = "leads", within = "5m", ["else"] = "wait" }'
ACCESS = """
target crm {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     user=app_gw secret=file:{dir}/keeper/orders.secret;
    database  orders;
    allow     groups=dev;
    access    grant approvers=leads expire=1s;
    policy    {dir}/policies/orders.lua;
}}
"""


def lead(w, name="lea"):
    return w.token(name, "leads", api=True)


def ended(w, id):
    return w.command("requests", id, "--json", token=lead(w)).json["state"]


def until_notice(c):
    while not [n for n in c.notices if "held by rule" in n["M"]]:
        c.sock.settimeout(10 * SLOW)
        c.buffer += c.sock.recv(65536)
        while len(c.buffer) - c.at >= 5:
            size = 1 + struct.unpack_from("!I", c.buffer, c.at + 1)[0]
            if len(c.buffer) - c.at < size:
                break
            if c.buffer[c.at:c.at + 1] != b"N":
                return
            c.notices.append(fields(bytes(c.buffer[c.at + 5:c.at + size])))
            c.at += size


@test
def the_notice_shows_the_hash_that_the_approver_sees(w):
    c = Wire.through(w)
    c.send(query("UPDATE orders SET price = 1 WHERE id = 1"))
    until_notice(c)
    said = [n["M"] for n in c.notices if "held by rule" in n["M"]][0]
    request = w.waiting_request()
    short = re.search(r"hash ([0-9a-f]{12})\b", said)
    assert short and request["hash"].startswith(short.group(1)) and request["id"] in said, (said, request)
    shown = w.command("requests", request["id"], token=lead(w))
    assert short.group(1) in shown.out and "UPDATE orders SET price = 1 WHERE id = 1" in shown.out, shown.out
    other = w.command("approve", request["id"], "--hash", "0" * 12, token=lead(w))
    assert other.code != 0, "other bytes than were looked at"
    assert w.command("approve", request["id"], token=lead(w)).code == 0
    assert shape(c.until_ready()) == "C(UPDATE 1)Z(I)"


@test
def the_approver_sees_all_of_it(w):
    """What a client binds, what the statement does, to what, and whose session it is."""
    c = Wire.through(w, user="pam")
    c.send(parse("", "UPDATE orders SET price = $1 WHERE id = $2"), bind("", "", [b"4.25", b"8"]), execute(), SYNC)
    id = w.waiting_request()["id"]
    seen = w.command("requests", id, "--json", token=lead(w)).json
    session = [s["id"] for s in w.sessions(live=True) if s["user"] == "pam"]
    assert (seen["user"], seen["target"], [seen["session"]], seen["op"] > 0) == ("pam", "orders", session, True), seen
    view = seen["view"]
    assert view["text"] == "UPDATE orders SET price = $1 WHERE id = $2" and view["params"] == ["4.25", "8"], view
    assert (view["target"], view["database"], view["login"], [view["session"]]) == ("orders", "orders", "app_gw", session), view
    assert len(view["statements"]) == 1, view
    one = view["statements"][0]
    wanted = {"verb": '"update"', "effects": '{ "read", "write" }', "tables": '{ "public.orders" }', "where": "true", "columns_written": '{ "public.orders.price" }'}
    assert {name: one[name] for name in wanted} == wanted, one
    shown = w.command("requests", id, token=lead(w)).out
    for part in ("4.25", "public.orders", "pam", session[0]):
        assert part in shown, (part, shown)
    assert w.command("approve", id, token=lead(w)).code == 0
    c.until_ready()
    assert w.pg.sql("SELECT price FROM orders WHERE id = 8") == "4.25"
    c.close()


@test
def two_persons_each_with_a_comment(w):
    """AP5"""
    one = w.psql_waiting("INSERT INTO log VALUES (1)", user="ann")
    id = w.waiting_request()["id"]
    assert w.command("approve", id, token=lead(w)).code == 1, "the rule wants a comment"
    first = w.command("approve", id, "--comment", "fine", token=lead(w))
    assert first.code == 0 and w.pg.sql("SELECT count(*) FROM log") == "0" and one.running(), repr(first)
    again = w.command("approve", id, "--comment", "fine", token=lead(w))
    assert again.code == 1 and "voted before" in again.err, repr(again)
    assert w.command("approve", id, "--comment", "fine", token=w.token("ann", "leads", api=True)).code == 1
    assert w.command("approve", id, "--comment", "me too", token=lead(w, "max")).code == 0
    assert one.result().code == 0 and w.pg.sql("SELECT count(*) FROM log") == "1"


@test
def what_nobody_has_seen_is_not_approved(w):
    """P7: the rows of a COPY come after the decision."""
    c = Wire.through(w)
    c.send(query("COPY log FROM STDIN"))
    seen = c.until_ready()
    assert shape(seen) == "E(42501)Z(I)" and "unseen" in fields(seen[0][1])["M"], seen
    assert not [r for r in w.requests() if r["state"] == "waiting"]
    c.send(query("COPY bulk FROM STDIN"))  # its rule accepts that
    request = w.waiting_request()
    view = w.command("requests", request["id"], "--json", token=lead(w)).json["view"]
    assert view["unseen"] is True, view
    assert w.command("approve", request["id"], token=lead(w)).code == 0
    while c.read()[0] != "G":
        pass
    c.send(message(b"d", b"1\n2\n") + message(b"c"))
    c.until_ready()
    assert w.pg.sql("SELECT count(*) FROM bulk") == "2"


@test
def nobody_decides_in_time_and_that_denies(w):
    got = w.psql("DELETE FROM orders WHERE id = 3")
    assert got.code != 0 and "nobody decided in time" in got.err, repr(got)
    assert w.pg.sql("SELECT count(*) FROM orders WHERE id = 3") == "1"
    asked = w.command("request", "crm", "--for", "1h", "--reason", "INC-1", "--json", token=w.token("ann", "dev", api=True)).json["id"]
    wait_for(lambda: ended(w, asked) == "expired", said="a request for a grant does not expire")
    late = w.command("approve", asked, token=lead(w))
    assert late.code == 1 and "does not wait" in late.err, repr(late)
    assert w.psql("SELECT 1", database="crm").code != 0


@test
def who_goes_takes_it_along(w):
    """AP9"""
    one = w.psql_waiting("UPDATE orders SET price = 1 WHERE id = 4")
    id = w.waiting_request()["id"]
    one.process.kill()
    one.process.communicate()
    wait_for(lambda: ended(w, id) == "withdrawn", said="it waits for nobody")
    assert w.command("approve", id, token=lead(w)).code == 1
    assert w.pg.sql("SELECT price FROM orders WHERE id = 4") == "6.00"


@test
def it_outlives_the_time_that_a_client_may_be_idle(w):
    """AP9: who waits for a decision is not idle; who has it and does nothing is."""
    w.gateway.target_extra = "timeout idle=2s;"
    w.gateway.write()
    assert w.gateway.reload().code == 0
    try:
        one = Wire.through(w)
        one.send(query("UPDATE orders SET price = 6 WHERE id = 6"))
        id = w.waiting_request()["id"]
        idle = Wire.through(w, user="ida")
        idle.sock.settimeout(30 * SLOW)
        idle.ended()  # the same time, and more
        assert ended(w, id) == "waiting"
        assert w.command("approve", id, token=lead(w)).code == 0
        assert shape(one.until_ready()) == "C(UPDATE 1)Z(I)" and w.pg.sql("SELECT price FROM orders WHERE id = 6") == "6.00"
        one.close()
    finally:
        w.gateway.target_extra = ""
        w.gateway.write()
        assert w.gateway.reload().code == 0


@test
def it_outlives_keeper_and_console(w):
    one = w.psql_waiting("UPDATE orders SET price = 5 WHERE id = 5")
    id = w.waiting_request()["id"]
    for role in ("keeper", "console"):
        pid = w.gateway.children()[role][0]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: w.gateway.children().get(role, [pid])[0] != pid, said=f"no new {role} came")
    wait_for(lambda: w.command("status").code == 0, said="it does not answer")
    wait_for(lambda: w.sessions(live=True), said="the session was not taken up again")
    assert w.command("approve", id, token=lead(w)).code == 0
    assert one.result().code == 0 and w.pg.sql("SELECT price FROM orders WHERE id = 5") == "5.00"


plain = Gateway.conf_text
Gateway.conf_text = lambda self: plain(self) + ACCESS.format(port=self.pg.port, dir=self.dir)
main(sql=SQL, policy=POLICY.replace('approve = { by = "leads", within = "5m" }', WAIT) + MORE)
