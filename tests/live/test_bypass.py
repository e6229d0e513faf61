#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The masking part of the bypass corpus, against a real server.

Two databases differ in the values of tagged columns and in nothing else, not even in their order.  Straight at the server each
statement tells them apart (so the test can fail); through the gateway nobody can: MK1, MK2, MK3, MK6, MK7.
"""

import concurrent.futures
import re

from harness import *

CORPUS = TOP / "tests" / "bypass"
SECRETS = {
    "orders": {"email": "ada.lovelace@canary.example", "card": "4111111111111111"},
    "twin": {"email": "zz-top@other.example", "card": "550000555555559"},
}
LIVE = ("MK1", "MK2", "MK3", "MK6", "MK7")


class Entry:
    def __init__(self, number, line):
        self.threat, self.who, self.verdict, text = line.split("\t")
        self.same = text.startswith("!")
        self.where = f"corpus.txt:{number}: {text}"
        text = re.sub(r"\{([0-9a-f]{2})\}", lambda m: chr(int(m.group(1), 16)), text.lstrip("!"))
        self.messages = [part.strip() for part in text.split(";;")]

    @property
    def writes(self):
        return re.search(r"(?i)\b(insert|update|delete|merge|create|into|lo_from_bytea|setval)\b", " ".join(self.messages))


def corpus():
    lines = (CORPUS / "corpus.txt").read_text(encoding="utf-8").splitlines()
    return [Entry(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]


def masking(entry):
    return entry.threat in LIVE or (entry.threat == "MK12" and entry.verdict in ("known", "masked"))


def at_once(function, *values):
    with concurrent.futures.ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(function, values))


def prepare(w):
    text = "SET client_min_messages = warning; SET ROLE app_gw;\n" + (CORPUS / "setup.sql").read_text()

    def one(database):
        secret = SECRETS[database]
        return run(["psql", "-h", w.pg.folder, "-p", w.pg.port, "-U", "postgres", "-d", database, "-Xq", "-v", "ON_ERROR_STOP=1",
                    "-v", f"email={secret['email']}", "-v", f"card={secret['card']}", "-f", "-"], stdin=text)
    for done in at_once(one, *SECRETS):
        assert done.code == 0, repr(done)


def said(w, entry, database, **to):
    """All that a client sees of it, but for what names the session."""
    args = ["-A", "-t", "-q", "-v", "ON_ERROR_STOP=0"]
    for message in entry.messages:
        args += ["-c", message]
    if not to.get("direct") and database != "orders":
        database = "orders/" + database
    got = w.psql(args=args, database=database, timeout=20, **to)
    return re.sub(r"sallyport explain \S+|with PID \d+|sallyport ann \S+ psql", "", got.out + "\n" + got.err)


def unexpected(entry, got):
    """Is this not what the corpus says of it?"""
    verdict, blocked = entry.verdict.split(), "ERROR:  42501" in got
    if verdict[0] == "deny":
        return f'blocked by rule "{verdict[1]}"' not in got
    if verdict[0] in ("unclear", "refused"):
        return not blocked
    return blocked and not entry.messages[0].startswith("COPY")


@test
def secrets_do_not_come_through(w):
    w.pg.sql("CREATE DATABASE twin OWNER app_gw", "postgres")
    prepare(w)
    leaks, blind, other_verdict, shown = [], [], [], 0
    for entry in filter(masking, corpus()):
        through = at_once(lambda d: said(w, entry, d), *SECRETS)
        if entry.writes and entry.verdict == "open":
            prepare(w)
        straight = at_once(lambda d: said(w, entry, d, direct=True), *SECRETS)
        if entry.writes:
            prepare(w)
        if through[0] != through[1] or SECRETS["orders"]["email"] in through[0]:
            leaks.append(f"{entry.where}\n  {through[0].strip()[:300]}\n  {through[1].strip()[:300]}")
        if straight[0] == straight[1] and not entry.same and entry.verdict != "open":
            blind.append(f"{entry.where}\n  {straight[0].strip()[:200]}")
        if unexpected(entry, through[0]):
            other_verdict.append(f"{entry.where}: not {entry.verdict}\n  {through[0].strip()[:300]}")
        shown += straight[0] != straight[1]
    assert not leaks, f"{len(leaks)} statements tell the secret:\n" + "\n".join(leaks + other_verdict + blind)
    assert not other_verdict, f"{len(other_verdict)} verdicts:\n" + "\n".join(other_verdict + blind)
    assert not blind, f"{len(blind)} statements prove nothing, for they show no secret to anybody:\n" + "\n".join(blind)
    assert shown > 100, shown


@test
def untagged_tables_stay_usable(w):
    """The same, straight and through the gateway, of all that touches no tagged column."""
    prepare(w)
    for sql in ("SELECT * FROM orders ORDER BY id", "SELECT count(*), sum(price), max(item), string_agg(state, ',' ORDER BY id) FROM orders",
                "SELECT o FROM orders o ORDER BY id", "SELECT to_json(o) FROM orders o ORDER BY id", "TABLE notes", "VALUES (1, 'a')",
                "SELECT name, born FROM customers ORDER BY id", "SELECT upper(name) FROM customers ORDER BY id",
                "SELECT c.name, o.item FROM customers c JOIN orders o ON o.customer = c.id ORDER BY o.id",
                "WITH t AS (SELECT state, count(*) AS n FROM orders GROUP BY state) SELECT * FROM t ORDER BY 1",
                "SELECT id * 2 FROM orders UNION SELECT id FROM customers ORDER BY 1",
                "SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
                "COPY (SELECT id, item || '!' FROM orders ORDER BY id) TO STDOUT",
                "BEGIN; DECLARE c CURSOR FOR SELECT id * 2, lower(item) FROM orders ORDER BY id; FETCH ALL c; COMMIT",
                "EXPLAIN (COSTS off) SELECT item FROM orders WHERE id = 5",
                "SELECT count(*) FROM customers"):
        w.both(sql)


main(policy=(CORPUS / "rules.lua").read_text())
