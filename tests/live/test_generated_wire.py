#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages of the extended protocol in any order, again, in one another's place and cut anywhere: PG10, PG14, PG17.

    GENERATED=20000 their number, SEED=7 their seed, CASE=123 only that one, with all that was said

The same bytes go straight to the server and through the gateway.  What the server answers is what the gateway has to answer, in
kind and order: one ReadyForQuery for each Sync and Query, and no six characters of a canary.  Where the gateway denies something
or closes, what follows differs by right: then answers have to be well formed, and a closed session has its line in the log.
"""

import collections
import select

from generated import *
from generated_judge import *
from harness import *
import wire

NUMBER = int(os.environ.get("GENERATED", "1000"))
SEED = os.environ.get("SEED", "1")
ONLY = os.environ.get("CASE")

TEXTS = ["SELECT id, label FROM things ORDER BY id", "SELECT id, c_text FROM people ORDER BY id", "SELECT upper(c_text), id FROM people", "SELECT 1 / 0", "SELECT 1", "",
         "BEGIN", "COMMIT", "ROLLBACK", "SELECT c_text::int FROM people", "SAVEPOINT a", "ROLLBACK TO a", "INSERT INTO sink SELECT 7, c_text FROM people", "COPY people TO STDOUT",
         "COPY (SELECT id FROM things) TO STDOUT", "SELEC 1", "SELECT $1::int", "SELECT c_text FROM people WHERE id = $1::int", "DECLARE k CURSOR FOR SELECT lower(c_text) FROM people",
         "FETCH 1 FROM k", "FETCH ALL FROM p", "INSERT INTO sink VALUES (8, 'eight') RETURNING *", "SELECT says(1)", "SELECT nothing FROM nowhere", "SET search_path = crm, public",
         "SELECT label FROM things ORDER BY 1", "PREPARE a AS SELECT c_num FROM people", "EXECUTE a", "DEALLOCATE ALL", "SELECT query_to_xml('SELECT c_text FROM people', true, true, '')",
         "EXPLAIN (COSTS off) SELECT c_text FROM people WHERE c_text > 'b'", "TABLE v_over", "SHOW search_path", "LISTEN ch", "NOTIFY ch, 'x'", "DISCARD ALL"]
END = "ROLLBACK; SELECT 1 AS fin"  # answered in any state, and so tells where the answers end
NAMES, PORTALS = ["", "a", "b"], ["", "p", "q"]


def one_message(c):
    kind = c.pick(24)
    if kind < 5:
        return wire.parse(c.of(NAMES), c.of(TEXTS))
    if kind < 9:
        return wire.bind(c.of(PORTALS), c.of(NAMES), c.of([(), (), (), (b"2",)]), (), c.of([(), (), (1,)]))
    if kind < 12:
        return wire.describe("S", c.of(NAMES)) if c.chance(50) else wire.describe("P", c.of(PORTALS))
    if kind < 17:
        return wire.execute(c.of(PORTALS), c.of([0, 0, 1, 2]))
    if kind < 18:
        return wire.close("S", c.of(NAMES)) if c.chance(50) else wire.close("P", c.of(PORTALS))
    if kind < 20:
        return wire.SYNC
    if kind < 21:
        return wire.FLUSH
    if kind < 23:
        return wire.query(c.of(TEXTS))
    return c.of([wire.SYNC, wire.SYNC, wire.message(b"d", b"x"), wire.message(b"c"), wire.message(b"f", wire.z("no"))])


def sensible(c):
    """A round as drivers make it, which mutations then spoil."""
    name, portal, text = c.of(NAMES), c.of(PORTALS), c.of(TEXTS)
    values = (b"2",) if "$1" in text else ()
    return [wire.parse(name, text), wire.describe("S", name), wire.bind(portal, name, values, (), c.of([(), (1,)])), wire.execute(portal, c.of([0, 1])), wire.SYNC]


def make_messages(c):
    found = []
    for _ in range(1 + c.pick(4)):
        found += sensible(c) if c.chance(70) else [one_message(c) for _ in range(c.pick(6))]
    for _ in range(c.pick(6)):
        at, to = c.pick(len(found) or 1), c.pick(len(found) or 1)
        how = c.pick(5)
        if not found or how == 4:
            found.insert(at, one_message(c))
        elif how == 0:
            found[at], found[to] = found[to], found[at]
        elif how == 1:
            found.insert(to, found[at])
        elif how == 2:
            del found[at]
        else:
            found[at:at] = found[to:to + 3]
    return found + [wire.SYNC, wire.query(END)]


def pieces(data, c):
    """The bytes, cut anywhere or not at all."""
    if c.chance(50):
        return [data]
    cuts = sorted({c.pick(len(data)) for _ in range(1 + c.pick(8))})
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)]) if a < b]


def say(connection, parts):
    """Everything that comes until the answer to END, or the end of the session: a list that ends with ("closed", b"") then."""
    seen, ended = [], False
    try:
        for part in parts:
            connection.sock.sendall(part)
        while not (seen and seen[-1][0] == "Z" and ended):
            head = connection.take(5)
            seen.append((chr(head[0]), connection.take(struct.unpack("!I", head[1:])[0] - 4)))
            ended = ended or (seen[-1][0] == "T" and seen[-1][1].startswith(b"\0\1fin\0"))
    except (wire.Closed, ConnectionError):
        return seen + [("closed", b"")]
    return seen


def nothing_more(connection):
    """Is the session silent, as it must be after its last ReadyForQuery?"""
    return connection.at == len(connection.buffer) and not select.select([connection.sock], [], [], 0)[0]


# Refused by the gateway where the server goes on: it closes a door that need not be closed, and is no leak.
KNOWN_OTHER = {
    "not known to the gateway": "statements and portals that SQL made are not found by the protocol's messages",
    "within a pipeline": "the gateway's own questions between the messages of a batch are a pipeline to the server",
}


class Tally:
    def __init__(self):
        self.known = collections.Counter()
        self.same = self.denied = self.closed = self.messages = self.died = 0


def judge(strays, direct, through, tally):
    for kind, body in through:
        found = WINDOWS6.found(body)
        if found:
            raise Wrong(f"LEAK in {kind}: {found!r} in {body[:300]!r}")
    tally.messages += len(through)
    if through and through[-1][0] == "closed" and kinds(through) != kinds(direct):  # the server may have closed, too, later
        if not strays:
            raise Wrong(f"the gateway closed: {kinds(through[:-1])} instead of {kinds(direct)}")
        tally.closed += 1
        return
    known = next((why for why in KNOWN_OTHER if any(k == "E" and why in wire.fields(b)["M"] for k, b in through)), None)
    if denial(through) or (known and kinds(direct) != kinds(through)):
        text = "".join(k if k in "EZ" else "." for k, _ in through)
        if not re.fullmatch(r"(\.*E?\.*Z)+", text):
            raise Wrong(f"a wrong sequence after a denial: {kinds(through)}")
        tally.denied += denial(through) is not None
        tally.known[known] += denial(through) is None
        return
    if kinds(direct) != kinds(through):
        raise Wrong(f"another sequence: {' '.join(kinds(direct))}\n  became  {' '.join(kinds(through))}\n" + str([wire.fields(b)["M"] for k, b in through if k == "E"]))
    tally.same += 1


def shown(data):
    """Messages in short, for people."""
    text, at = [], 0
    while at < len(data):
        size = struct.unpack_from("!I", data, at + 1)[0]
        text.append(f"{chr(data[at])} {data[at + 5:at + 1 + size]!r}")
        at += size + 1
    return "\n    ".join(text)


def died_of_it(sides, data, tally):
    """The server lost a process behind the gateway: by itself it must lose one, too."""
    sides.reopen()
    sides.restore()
    say(sides.direct, [data])
    alike = sides.server_died()
    sides.reopen()
    if not alike:
        raise Wrong("the server died behind the gateway only")
    tally.died += 1


def once(sides, n, tally):
    c = Choices(f"{SEED}/wire/{n}")
    messages = make_messages(c)
    data = b"".join(messages)
    try:
        sides.restore()
        through = say(sides.through, pieces(data, c))
        if any(k == "E" and wire.fields(b)["C"] == "08006" for k, b in through) and sides.server_died():
            died_of_it(sides, data, tally)
            return
        if "closed" not in dict(through[-1:]) and not nothing_more(sides.through):
            raise Wrong("something came after the last ReadyForQuery")
        sides.restore()
        direct = say(sides.direct, [data])
        judge(any(m[:1] in (b"d", b"c", b"f") for m in messages), direct, through, tally)
        if "closed" in dict(through[-1:] + direct[-1:]):
            sides.open()
        else:
            clean(sides.direct)
            clean(sides.through)
    except (Wrong, TimeoutError, AssertionError) as e:
        sides.open()
        raise Wrong(f"{e!s}\n    {shown(data)}") from e
    if ONLY:
        print(shown(data), f"direct: {direct}", f"through: {through}", sep="\n")


@test
def any_order_is_answered_as_by_the_server(w):
    sides, tally, wrong = Sides(w, {"user": "ann", "groups": "dev"}), Tally(), []
    for n in [int(ONLY)] if ONLY else range(NUMBER):
        try:
            once(sides, n, tally)
        except Wrong as e:
            wrong.append(f"SEED={SEED} CASE={n}: {e}")
            if len(wrong) >= 15:
                break
    print(f"        seed {SEED}: {n + 1} sequences, {tally.messages} messages: {tally.same} answered alike, {tally.denied} with a denial, {tally.closed} closed, "
          f"{tally.died} that the server itself died of, "
          f"{dict(tally.known)}", flush=True)
    told = collections.Counter(re.findall(r" warn worker\S* s=(\w+) ", w.gateway.dir.joinpath("log", "error.log").read_text(errors="replace")))
    assert len(told) == tally.closed and set(told.values()) <= {1}, f"{tally.closed} sessions closed, and lines of {dict(told)}"
    assert not wrong, f"{len(wrong)} sequences:\n" + "\n".join(wrong)
    assert ONLY or tally.same > NUMBER // 3


main(sql=SCHEMA, policy=policy_with("null"), pg_conf="autovacuum = off\n")
