#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Much data streams: a million rows, 100 MB of COPY either way, values of 50 MB, in workers that stay small."""

import hashlib

from harness import *
from wire import *

SQL = """
CREATE TABLE big (n int, filler text);
CREATE TABLE blob (id int, data bytea);
CREATE TABLE target (n int, filler text);
"""
MOST = 120 << 20  # bytes that a worker may take more than before; what a client asked for is kept nowhere


def resident(w):
    total = {}
    for pid in w.gateway.children()["worker"]:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        total[pid] = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) << 10
    return total


def bounded(w, before):
    after = resident(w)
    assert set(after) == set(before), "a worker was replaced"
    grown = max(after[pid] - before[pid] for pid in after)
    assert grown < (MOST if not SANITIZED else 8 * MOST), f"a worker grew by {grown >> 20} MB"


def digest_of(c, text, kinds="Dd"):
    """Number and hash of the rows or data of a simple query, without keeping them."""
    c.sock.settimeout(120)
    c.send(query(text))
    n, h, end = 0, hashlib.sha256(), ""
    while True:
        kind, body = c.read()
        if kind in kinds:
            n += 1
            h.update(body)
        elif kind == "E":
            end += f"E({fields(body)['C']})"
        elif kind == "Z":
            return n, h.hexdigest(), end + body.decode()


@test
def a_million_rows(w):
    before = resident(w)
    text = "SELECT n, 'row ' || n, n % 7 = 0 FROM generate_series(1, 1000000) n"
    direct, through = digest_of(Wire.direct(w), text), digest_of(Wire.through(w), text)
    assert direct == through and direct[0] == 1000000, (direct, through)
    bounded(w, before)


@test
def an_answer_that_pauses(w):
    """What comes in a flood is fetched in large pieces; what comes slowly, or last, waits for no more of it."""
    text = ("SELECT n, repeat('x', n % 200), CASE WHEN n % 30001 = 0 THEN pg_sleep(0.05)::text END FROM generate_series(1, 120000) n "
            "UNION ALL SELECT n, 'last', pg_sleep(0.02)::text FROM generate_series(1, 10) n")
    direct, c = digest_of(Wire.direct(w), text), Wire.through(w)
    for _ in range(2):
        assert digest_of(c, text) == direct and direct[0] == 120010, direct
        assert c.values("SELECT 1") == [[b"1"]]


@test
def findings_here_and_there(w):
    """Rows that come out as they are and rows that are written anew, in their order."""
    text = "SELECT n, CASE WHEN n % {each} = 0 THEN 'to ' || {what} ELSE 'row ' || n END, repeat('y', n % 50) FROM generate_series(1, 100000) n"
    for each in (3, 997, 30001):
        direct = digest_of(Wire.direct(w), text.format(each=each, what="'****' || '.'"))
        through = digest_of(Wire.through(w, "bob"), text.format(each=each, what="'ada' || n % 10 || '@example.com' || '.'"))
        assert direct == through and direct[0] == 100000, (each, direct, through)


@test
def copy_out_of_100_mb(w):
    before = resident(w)
    text = "COPY (SELECT n, repeat('x', 90) FROM generate_series(1, 1000000) n) TO STDOUT"
    direct, through = digest_of(Wire.direct(w), text), digest_of(Wire.through(w), text)
    assert direct == through and direct[0] == 1000000, (direct, through)
    bounded(w, before)


@test
def copy_in_of_100_mb(w):
    before = resident(w)
    c = Wire.through(w)
    c.sock.settimeout(120)
    c.send(query("COPY target FROM STDIN"))
    assert c.read()[0] == "G"
    line = b"7\t" + b"y" * 97 + b"\n"
    for _ in range(1000):
        c.send(message(b"d", line * 1000))
    c.send(message(b"c"))
    assert shape(c.until_ready()) == "C(COPY 1000000)Z(I)"
    assert w.pg.sql("SELECT count(*), sum(length(filler)) FROM target") == "1000000|97000000"
    bounded(w, before)


@test
def values_of_50_mb(w):
    before = resident(w)
    text = "SELECT decode(repeat('00ff10ab', 12500000), 'hex')"
    direct, through = digest_of(Wire.direct(w), text), digest_of(Wire.through(w), text)
    assert direct == through and direct[0] == 1, (direct, through)
    c = Wire.through(w)
    c.sock.settimeout(120)
    data = hashlib.sha256(b"seed").digest() * (3 << 20 >> 5)
    seen = c.ask(parse("", "INSERT INTO blob VALUES (1, $1)"), bind("", "", [data], [1]), execute(), SYNC)
    assert shape(seen) == "12C(INSERT 0 1)Z(I)", shape(seen)
    assert w.pg.sql("SELECT length(data), encode(sha256(data), 'hex') FROM blob") == f"{len(data)}|{hashlib.sha256(data).hexdigest()}"
    seen = c.ask(parse("", "INSERT INTO blob VALUES (2, $1)"), bind("", "", [data * 4], [1]), execute(), SYNC)
    assert shape(seen) == "1E(54000)Z(I)", f"longer than the recorder takes at once: {shape(seen)}"
    audit = (w.gateway.dir / "log" / "audit.jsonl")
    wait_for(lambda: "longer than can be recorded" in audit.read_text().splitlines()[-1] and '"verdict":"deny"' in audit.read_text().splitlines()[-1],
             said="its refusal is not in the audit log")
    seen = c.ask(parse("", "SELECT data FROM blob"), bind(results=[1]), execute(), SYNC)
    assert row([b for k, b in seen if k == "D"][0]) == [data]
    bounded(w, before)


@test
def a_client_that_does_not_read_costs_little(w):
    before = resident(w)
    slow = [Wire.through(w) for _ in range(4)]
    for c in slow:
        c.send(query("SELECT n, repeat('x', 200) FROM generate_series(1, 500000) n"))
    other = Wire.through(w, "bob")
    for _ in range(20):
        assert other.values("SELECT 1") == [[b"1"]]
        time.sleep(0.1)
    bounded(w, before)
    for c in slow:
        c.sock.close()


LOOKS = """
rule "no-addresses" { on = "output", when = { user = "bob", detect = { "email" } }, mask = mask.redact }
"""

main(sql=SQL, record="output head=1m;", policy=POLICY + LOOKS)
