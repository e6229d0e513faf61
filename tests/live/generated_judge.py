# SPDX-License-Identifier: Apache-2.0
"""The oracle of what generated.py makes: the policy, what may come through and why, and the two sides that are compared."""

import collections
import struct

from generated import *
from harness import *
import wire

MASKS = "tag \"canary\" { " + ", ".join(f'"*.c_{k}"' for k in KINDS) + ', "crm.things.label", "crm.things.price" }\n' + """
rule "hide-canaries" { doc = "Nobody sees them.", on = "sql.result", when = { column = tagged "canary" }, mask = mask.MASK }
rule "no-copies" {
  doc  = "What is masked is not stored under another name.",
  on   = "sql.statement",
  when = { effects = { "write", "ddl" }, columns_read = tagged "canary", verb = none_of { "create view", "alter table", "create index", "create rule" } },
  unless = { tables_written = matches [[\\.kept\\d?$]] }, -- in one transaction tags follow what is moved
  deny = "This would copy what is masked.",
}
rule "own-functions" {
  doc   = "Functions that nobody can see into: they run, and their values are masked.",
  on    = "sql.statement",
  when  = { groups = "dev" },
  allow = { unclear = "function", name = { FUNCTIONS } },
}
rule "no-statistics" {
  doc  = "Statistics hold values of the columns they are of.",
  on   = "sql.statement",
  when = { tables = { "pg_catalog.pg_stats", "pg_catalog.pg_statistic", "pg_catalog.pg_stats_ext", "pg_catalog.pg_stats_ext_exprs",
    "pg_catalog.pg_statistic_ext_data" } },
  deny = "Statistics of columns are not shown.",
}
"""


def policy_with(mask, more=""):
    return MASKS.replace("MASK", mask).replace("FUNCTIONS", ", ".join(f'"public.{f}"' for f in FUNCTIONS)) + more


# Why a value that is made of no tagged column may be masked all the same: the gateway cannot know, or says so in modules/postgres/README.md.
KNOWN_OVERMASK = {
    "own function": "what it returns is of unknown source",
    "view": "every column that a view uses counts as behind each of its columns",
    "view of code": "columns of views that call somebody's function",
    "relation of the session's own": "it was made of something tagged or unknown, and each of its columns counts as made of all of it",
    "written by the session": "a column that a statement writes and returns may hold anything that it reads",
    "set operation": "an arm of a UNION with a tagged column masks the column",
    "field of a row": "a row counts with all of its columns",
    "search path": "what follows SET search_path in the same text is unknown",
    "recursion": "the same for the arms of a recursion",
    "notification": "its payload is withheld while a statement that touches anything tagged is under way",
    "cursor": "a session that had a cursor over tagged columns: expressions of any later one are masked",
    "beside": "an expression counts with every tagged column that its statement reads",
    "error withheld": "a cursor's error comes at COMMIT, and a session that had one over tagged columns keeps that",
    "explain": "a plan holds values of conditions",
    "triggers": "what is returned of rows that triggers may have changed",
    "notify": "void is masked where anything tagged is read",
}
CARD_BY_CHANCE = "a card by chance"  # digits of several values side by side: the shipped net for cards is meant to hide such a number
DIGIT_RUN = re.compile(rb"\d(?:[ -]?\d){12,}")
HIDDEN = "the target's message is withheld: it may hold masked values"
AFTER_CURSORS = ("COMMIT", "FETCH ", "MOVE ")
DENIED = re.compile(r"blocked by rule|approv|unclear|refused|the gateway|not allowed", re.I)
WINDOWS6 = Windows()


class Wrong(Exception):
    pass


# ---- running ----

class Talk(wire.Wire):
    """Every message of an answer, notices and notifications in their place."""

    def everything(self, messages, data=None):
        self.send(*messages)
        seen, ready = [], sum(m[:1] in (b"Q", b"S") for m in messages)
        while ready > 0:
            head = self.take(5)
            kind, body = chr(head[0]), self.take(struct.unpack("!I", head[1:])[0] - 4)
            seen.append((kind, body))
            ready -= kind == "Z"
            if kind == "G":
                self.send(*([wire.message(b"f", wire.z("no data"))] if data is None else [wire.message(b"d", data), wire.message(b"c")]))
        return seen


def answers(connection, case):
    return [connection.everything(step.messages, step.data) for step in case.steps]


def clean(connection):
    """As after its start."""
    seen = connection.everything([wire.query("ROLLBACK")]) + connection.everything([wire.query("DISCARD ALL")])
    assert not any(kind == "E" for kind, _ in seen), [wire.fields(b) for k, b in seen if k == "E"]


# ---- judging ----

def denial(seen):
    for kind, body in seen:
        if kind == "E":
            said = wire.fields(body)
            if said.get("C") == "42501" and DENIED.search(said.get("M", "")):
                return said["M"]
    return None


def kinds(seen):
    text = []
    for kind, body in seen:
        if kind == "C":
            kind = f"C({body[:-1].decode()})"
        elif kind == "Z":
            kind = f"Z({body.decode()})"
        elif kind == "E":
            kind = f"E({wire.fields(body)['C']})"
        elif kind == "S":
            continue
        text.append(kind)
    return text


def described(body):
    """Of a RowDescription, without numbers that differ between sessions."""
    n, at, out = struct.unpack_from("!H", body)[0], 2, []
    for _ in range(n):
        end = body.index(b"\0", at)
        _, _, kind, size, modifier, form = struct.unpack_from("!IhIhih", body, end + 1)
        out.append((body[at:end], kind if kind < 16384 else 0, size, modifier, form))
        at = end + 19
    return out


def hides(value):
    """Could this be a mask's work?"""
    return value in (None, b"****", b"\\N")


def luhn(digits):
    return sum(d if n % 2 == 0 else d * 2 - 9 * (d > 4) for n, d in enumerate(reversed(digits))) % 10 == 0


def is_card(text):
    digits = [c - 48 for c in text if 48 <= c <= 57]
    return 13 <= len(digits) <= 19 and 2 <= digits[0] <= 6 and luhn(digits)


def card_hidden(direct, through):
    """One part of the value is redacted, and it was a card's number, as far as anybody can tell."""
    head, mask, tail = (through or b"").partition(b"****")
    if not mask or direct is None or len(direct) <= len(head) + len(tail) or not direct.startswith(head) or not direct.endswith(tail):
        return False
    part = direct[len(head):len(direct) - len(tail)]
    return DIGIT_RUN.fullmatch(part) is not None and is_card(part)


HEAP_FETCHES = re.compile(rb"Heap Fetches: \d+")  # by when the table was vacuumed last


class Judge:
    def __init__(self, cards=False):
        self.cards = cards  # a rule of the policy hides what looks like a card's number
        self.over, self.names, self.denied = collections.Counter(), collections.Counter(), collections.Counter()
        self.examples = {}
        self.shown = self.rows = self.values = self.masked = self.errors = 0

    def value(self, step, case, column, d, t):
        self.values += 1
        if t == d or (column.name == "QUERY PLAN" and HEAP_FETCHES.sub(b"", t or b"") == HEAP_FETCHES.sub(b"", d or b"")):
            if column.secret and d not in (None, b"\\N") and column.kind != "void":
                raise Wrong(f"tagged data as it is: {column.name} of {step.text}: {d!r}")
            return
        if column.secret:
            self.masked += 1
            return
        if self.cards and card_hidden(d, t):
            self.overmasked(CARD_BY_CHANCE, f"{column.name} of {step.text}")
            return
        if not hides(t):
            raise Wrong(f"another value: {column.name} of {step.text}: {d!r} became {t!r}")
        if column.plain and step.text.startswith("FETCH") and "leaks()" in str(case):
            self.overmasked("cursor over own function", step.text)
            return
        if column.plain:
            raise Wrong(f"a plain column of an untagged table is masked: {column.name} of {step.text}: {d!r} became {t!r}")
        why = column.why or ({"beside"} if case.touched else {"cursor"} if step.text.startswith("FETCH") else set())
        if not why or not why <= set(KNOWN_OVERMASK):
            raise Wrong(f"masked, and nobody knows why: {column.name} of {step.text}: {d!r} became {t!r}")
        self.overmasked(" + ".join(sorted(why)), f"{column.name} of {step.text}")

    def overmasked(self, why, example):
        self.over[why] += 1
        self.examples.setdefault(why, example)

    def rows_of(self, step, case, d, t):
        self.rows += 1
        if len(d) != len(t):
            raise Wrong(f"{len(t)} columns instead of {len(d)}: {step.text}")
        if step.cols is None or len(step.cols) != len(d):
            return
        for column, a, b in zip(step.cols, d, t):
            self.value(step, case, column, a, b)

    @staticmethod
    def in_order(case, d, t):
        """Rows of a table that was written to come in any order: those of t as those of d come."""
        if not case.writing:
            return t
        rows, out = [m for m in t if m[0] == "D"], []
        for kind, body in (m for m in d if m[0] != "S"):
            if kind != "D":
                out.append(next(m for m in t[len(out):] if m[0] == kind))
                continue
            like = [m for m in rows if all(x == y or hides(y) for x, y in zip(wire.row(body), wire.row(m[1])))]
            out.append((like or rows)[0])
            rows.remove(out[-1])
        return out

    def message(self, step, case, kind, d, t):
        if kind == "D":
            self.rows_of(step, case, wire.row(d), wire.row(t))
        elif kind == "T" and described(d) != described(t):
            raise Wrong(f"another description: {step.text}: {described(d)} became {described(t)}")
        elif kind == "d" and step.how == "copy":
            self.rows_of(step, case, d.rstrip(b"\n").split(b"\t"), t.rstrip(b"\n").split(b"\t"))
        elif kind == "d" and not case.touched and d != t:
            raise Wrong(f"other data of COPY: {step.text}: {d!r} became {t!r}")
        elif kind in "EN" and d != t:
            self.error(step, case, wire.fields(d), wire.fields(t))
        elif kind in "tsn123IG" and d != t:
            raise Wrong(f"another message {kind}: {step.text}: {d!r} became {t!r}")
        elif kind == "A" and d[4:] != t[4:]:
            if case.touched and t[4:] == d[4:d.index(b"\0", 4)] + b"\0\0":
                self.overmasked("notification", step.text)
                return
            raise Wrong(f"another notification: {step.text}: {d!r} became {t!r}")

    def error(self, step, case, d, t):
        same = all(d.get(f) == t.get(f) for f in "SVCMDH")
        if d["C"] != t["C"]:
            raise Wrong(f"another SQLSTATE: {step.text}: {d} became {t}")
        self.errors += not same
        if not same and not case.touched:
            withheld = all(t.get(f) == d.get(f) for f in "SVC") and t["M"] == HIDDEN
            if withheld and (step.text.startswith(AFTER_CURSORS) or "FROM made" in step.text):
                self.overmasked("error withheld", step.text)
                return
            if withheld and "SQL function" in d.get("W", ""): # whose code it is the name alone does not tell: lpad() is one, too
                self.overmasked("error out of a function", step.text)
                return
            if "not known to the gateway" in t["M"]:
                return
            raise Wrong(f"another error where nothing is tagged: {step.text}: {d} became {t}")

    def leaks(self, step, seen):
        for kind, body in seen:
            found = WINDOWS6.found(body)
            if found and not (kind == "D" and step.cols and found.isdigit()):  # digits of a hash; columns that are known are judged one by one
                raise Wrong(f"LEAK in {kind}: {step.text}: {found!r} in {body[:300]!r}")

    def well_formed(self, step, seen):
        """Of an answer after a denial: one end for each Sync or Query, at most one error before it."""
        text = "".join(k if k in "EZ" else "." for k, _ in seen)
        if not re.fullmatch(r"(\.*E?\.*Z)+", text) or not text.endswith("Z"):
            raise Wrong(f"a wrong sequence after a denial: {step.text}: {kinds(seen)}")

    def case(self, case, direct, through):
        denied = None
        for step, d, t in zip(case.steps, direct, through):
            self.leaks(step, t)
            self.shown += any(WINDOWS6.found(body) for _, body in d)
            denied = denied or denial(t)
            if denied:
                self.well_formed(step, t)
                continue
            if kinds(d)[:1] == ["I"] and any(k == "E" and "portal is not known to the gateway" in wire.fields(b)["M"] for k, b in t):
                self.overmasked("portal whose Bind failed", step.text)  # the server has it, without a plan
                continue
            if kinds(d) != kinds(t):
                raise Wrong(f"another sequence: {step.text}: {' '.join(kinds(d))[:300]} became {' '.join(kinds(t))[:300]}\n"
                            + str([wire.fields(b) for k, b in d + t if k == "E"]))
            pairs = zip((m for m in d if m[0] != "S"), self.in_order(case, d, [m for m in t if m[0] != "S"]))
            for (kind, a), (_, b) in pairs:
                self.message(step, case, kind, a, b)
        if denied:
            self.denied[re.sub(r'.*(rule "[^"]*"|unclear[^:]*).*', r"\1", denied, flags=re.S)[:60]] += 1
        self.names[case.name] += 1
        return denied


# ---- the two sides ----

class Sides:
    def __init__(self, w, user):
        self.w, self.user = w, user
        self.super = self.direct = self.through = None
        self.deaths = 0
        self.open()
        self.before = self.hash()

    def open(self):
        for c in (self.direct, self.through):
            if c is not None:
                c.close()
        self.super = self.super or wire.Wire.direct(self.w, user="postgres")
        self.direct, self.through = Talk.direct(self.w), Talk.through(self.w, ttl="12h", **self.user)
        for c in (self.direct, self.through):
            c.sock.settimeout(30 * SLOW)

    def server_died(self):
        """One of its processes, of its own fault; all sessions end with it."""
        try:
            wait_for(lambda: self.w.pg.log().count("was terminated by signal 11") > self.deaths, 5)
        except AssertionError:
            return False
        return True

    def reopen(self):
        """Once the server is there again."""
        self.deaths = self.w.pg.log().count("was terminated by signal 11")
        self.super.close()
        self.super = None
        wait_for(lambda: self.w.pg.log().rstrip().endswith("ready to accept connections"), 30, said="the server does not come back")
        self.open()

    def hash(self):
        return self.super.values(HASH_SQL)

    def restore(self):
        seen = self.super.ask(wire.query(restore_sql()))
        assert not any(k == "E" for k, _ in seen), [wire.fields(b) for k, b in seen if k == "E"]

    def run(self, case, judge):
        """Both answers, judged; raises Wrong."""
        try:
            if case.commits:
                self.restore()
            through = answers(self.through, case)
            after = self.hash() if case.commits or any(map(denial, through)) else None
            if case.commits:
                self.restore()
            direct = answers(self.direct, case)
            denied = judge.case(case, direct, through)
            if denied and after != self.before:
                raise Wrong(f"denied, and something changed: {case}: {after} instead of {self.before}")
            clean(self.direct)
            clean(self.through)
            if case.commits:
                self.restore()
        except (wire.Closed, ConnectionError, TimeoutError, struct.error) as e:
            self.open()
            raise Wrong(f"a session ended: {e!r}: {case}") from e
        except Wrong:
            self.open()
            if case.commits:
                self.restore()
            raise
        return direct, through
