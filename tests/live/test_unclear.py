#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""RC4: what the gateway cannot read is recorded as well, refused or let through by a rule, with nothing of its literals.

Every literal holds the word TOPSECRET.
"""

import hashlib

from harness import *
from wire import *

SECRET = "TOPSECRET"
ALLOW = "".join(f'rule "lets-{why}" {{ doc = "For who may.", on = "sql.statement", when = {{ groups = "trusted" }}, '
                f'allow = {{ unclear = "{why}"{name} }} }}\n'
                for why, name in (("syntax", ', name = matches "."'), ("encoding", ""), ("size", ""), ("depth", "")))
STATEMENT_MAX = 65536

# why it is unclear, and the text
UNREADABLE = [
    ("syntax", b"SELEC 'TOPSECRET'"),
    ("syntax", b"COPY 'TOPSECRET'"),  # the word that the grammar stumbles over is the literal
    ("syntax", b"SELECT 1 E'TOPSECRET\\n' $$TOPSECRET$$"),
    ("syntax", b"SELECT 'TOPSECRET"),  # nothing ends it
    ("syntax", b"SELECT $x$TOPSECRET"),
    ("syntax", b"SELECT U&'TOPSECRET\\zzzz'"),
    ("syntax", b"/* SELECT 1 'TOPSECRET'"),
    ("encoding", b"SELECT 'TOPSECRET\xff'"),
    ("encoding", b"SELECT \xc0\xa7TOPSECRET\xc0\xa7"),
    ("encoding", b"SELECT 'TOPSECRET\xed\xa0\x80'"),
    ("size", b"SELECT 'TOPSECRET" + b"x" * STATEMENT_MAX + b"'"),
    ("depth", b"SELECT " + b"(" * 20000 + b"'TOPSECRET'" + b")" * 20000),
]


def whole(w, session):
    """All that is kept of a session once it has ended: its frames, its lines of the audit log, and both as bytes."""
    wait_for(lambda: [s for s in w.sessions() if s["id"] == session and s["state"] != "live"], said="the session did not end")
    replayed = w.command("replay", session, "--format", "jsonl")
    assert replayed.code == 0, repr(replayed)
    audit = [a for a in w.gateway.audit() if a.get("session") == session]
    return [json.loads(line) for line in replayed.out.splitlines()], audit, replayed.out + json.dumps(audit)


def ask(w, groups, *messages):
    """What came, and the session's id; the session is over then."""
    before = {s["id"] for s in w.sessions()}
    c = Wire.through(w, user="eve", groups=groups)
    c.send(*messages)
    try:
        seen = c.until_ready()
    except (Closed, ConnectionResetError):
        seen = None
    c.close()
    return seen, next(s["id"] for s in w.sessions() if s["id"] not in before)


def ways(text):
    return (("sql.statement", [query(text)]), ("sql.prepare", [parse("", text), bind(), execute(), SYNC]))


def operations(frames):
    """What was asked, each with its verdict; the hash is that of the text as it is kept, without its literals."""
    verdict = {f["op"]: f["what"] for f in frames if f["type"] == "verdict"}
    asked = [f for f in frames if f["type"] == "operation" and f["kind"] != "session"]
    for f in asked:
        text = f["text"].encode() if isinstance(f["text"], str) else bytes.fromhex(f["text"]["hex"])
        assert f["sha256"] == hashlib.sha256(text).hexdigest() and f["tag"] == "UNCLEAR", f
    return [(f["kind"], verdict.get(f["op"]), f["sha256"]) for f in asked]


def lines(audit):
    return [(a["kind"], a["verdict"], a["sha256"]) for a in audit if a.get("tag") == "UNCLEAR"]


@test
def rc4_what_cannot_be_read_is_recorded_and_refused(w):
    mark = len(w.pg.log())
    for why, text in UNREADABLE:
        for kind, messages in ways(text):
            seen, session = ask(w, "dev", *messages)
            said = [fields(body) for k, body in seen if k == "E"]
            assert len(said) == 1 and f"unclear: {why}" in said[0]["M"], (why, text[:40], seen)
            frames, audit, kept = whole(w, session)
            found = operations(frames)
            assert [one[:2] for one in found] == [(kind, "deny")] and lines(audit) == found, (text[:40], found, audit)
            assert SECRET not in kept, (kind, text[:40], [f for f in frames if SECRET in str(f)])
            assert w.command("verify", session).code == 0
    assert SECRET not in w.pg.log()[mark:], "the target has seen it"
    assert SECRET not in (w.gateway.dir / "log" / "error.log").read_text()


@test
def rc4_what_a_rule_lets_through_unread_is_recorded(w):
    for why, text in UNREADABLE:
        for kind, messages in ways(text):
            mark = len(w.pg.log())
            seen, session = ask(w, "dev,trusted", *messages)
            assert "unclear" not in str([fields(body) for k, body in seen if k == "E"]), (text[:40], seen)
            frames, audit, kept = whole(w, session)
            found = operations(frames)
            whole_at_once = [("sql.statement", "allow")]  # not what is longer than one read
            assert [one[:2] for one in found] == whole_at_once if why != "size" or kind == "sql.statement" else found[-1][:2] == whole_at_once[0], (text[:40], found)
            assert lines(audit) == found, (text[:40], found, audit)
            assert SECRET not in kept, (kind, text[:40], [f for f in frames if SECRET in str(f)])
            assert {f["op"] for f in frames if f["type"] == "operation"} - {1} <= {f.get("op") for f in frames if f["type"] == "done"}, frames
            wait_for(lambda: len(w.pg.log()) > mark, said="the target has not seen it")


@test
def rc4_what_is_no_message_ends_the_session_and_is_noted(w):
    """Bytes that no operation can be made of: nothing of them goes on, and the recording says why it ended."""
    inner = b"SELECT 1\0; DROP TABLE numbers -- TOPSECRET"
    tries = {
        "a NUL inside": [message(b"Q", inner + b"\0")],
        "no NUL at the end": [message(b"Q", b"SELECT 'TOPSECRET'")],
        "NUL inside Parse": [message(b"P", b"\0" + inner + b"\0\0\0"), SYNC],
        "Parse cut short": [message(b"P", b"\0SELECT 'TOPSECRET'\0\0\5"), SYNC],
        "longer than a statement may be": [query("SELECT 'TOPSECRET" + "x" * STATEMENT_MAX * 2 + "'")],
    }
    mark = len(w.pg.log())
    for name, messages in tries.items():
        for groups in ("dev", "dev,trusted"):
            seen, session = ask(w, groups, *messages)
            assert seen is None, (name, seen)
            frames, _, kept = whole(w, session)
            assert frames[-1]["type"] == "end" and frames[-1]["why"] not in ("", "eof"), (name, frames[-1])
            assert len(frames[-1]["message"]) > 10 and SECRET not in kept, (name, frames[-1])
    assert SECRET not in w.pg.log()[mark:] and w.pg.sql("SELECT count(*) FROM numbers") == "20000"


main(policy=POLICY + ALLOW, target_extra=f"statement_max {STATEMENT_MAX}b;")
