#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MK16: a tagged column of any type, by any way out, in text and binary: masked or NULL, never the value."""

import re
import struct

from harness import *
from wire import *

# type, a value, and bytes of it that must not be seen: as text, and on the wire in binary
TYPES = [
    ("int", "271828182", ["271828182"], [(271828182).to_bytes(4, "big")]),
    ("smallint", "27182", ["27182"], [b"\0\0\0\2" + (27182).to_bytes(2, "big")]),
    ("bigint", "2718281828459045", ["2718281828459045"], [(2718281828459045).to_bytes(8, "big")]),
    ("numeric", "31415926.535", ["31415926"], [bytes.fromhex("0c451726")]),
    ("real", "2718281.5", ["2718281", "2.71828"], [struct.pack("!f", 2718281.5)]),
    ("float8", "27182818.25", ["27182818"], [struct.pack("!d", 27182818.25)]),
    ("money", "27182.81", ["27,182", "27182"], [(2718281).to_bytes(8, "big")]),
    ("date", "'1987-06-15'", ["06-15", "15/06", "06/15"], [(-4583 & 0xffffffff).to_bytes(4, "big")]),
    ("time", "'12:34:56.789'", ["12:34:56"], [(45296789000).to_bytes(8, "big")]),
    ("timestamp", "'1987-06-15 12:34:56'", ["06-15", "12:34"], [((-4583 * 86400 + 45296) * 1000000 & (1 << 64) - 1).to_bytes(8, "big")]),
    ("timestamptz", "'1987-06-15 12:34:56+00'", ["06-15", "12:34"], [((-4583 * 86400 + 45296) * 1000000 & (1 << 64) - 1).to_bytes(8, "big")]),
    ("interval", "'12 days 34:56:00'", ["12 days", "34:56"], [((34 * 3600 + 56 * 60) * 1000000).to_bytes(8, "big")]),
    ("bytea", "'\\x73656372657421'", ["73656372657421", "secret!"], [b"secret!"]),
    ("json", "'{\"secret\": \"needle\"}'", ["needle"], [b"needle"]),
    ("jsonb", "'{\"secret\": \"needle\"}'", ["needle"], [b"needle"]),
    ("int[]", "'{27182818,28}'", ["27182818"], [(27182818).to_bytes(4, "big")]),
    ("text[]", "'{needle,straw}'", ["needle", "straw"], [b"needle", b"straw"]),
    ("secret_pair", "'(27182818,needle)'", ["27182818", "needle"], [b"needle"]),
    ("secret_word", "'needle'", ["needle"], [b"needle"]),
    ("uuid", "'deadbeef-1234-5678-9abc-def012345678'", ["deadbeef", "1234-5678"], [bytes.fromhex("deadbeef12345678")]),
    ("inet", "'203.0.113.77'", ["203.0.113", "113.77"], [bytes([203, 0, 113, 77])]),
    ("cidr", "'203.0.113.0/24'", ["203.0.113"], [bytes([203, 0, 113, 0])]),
    ("macaddr", "'de:ad:be:ef:01:02'", ["de:ad:be"], [bytes.fromhex("deadbeef0102")]),
    ("boolean", "true", [], []),
    ("int4range", "'[2718281,3141592)'", ["2718281", "3141592"], [(2718281).to_bytes(4, "big")]),
    ("tstzrange", "'[1987-06-15 12:34:56+00,)'", ["06-15", "12:34"], [((-4583 * 86400 + 45296) * 1000000 & (1 << 64) - 1).to_bytes(8, "big")]),
    ("secret_domain", "'needle-needle'", ["needle-n"], [b"needle-n"]),
    ("secret_number", "27182818", ["27182818"], [(27182818).to_bytes(4, "big")]),
    ("varchar(40)", "'needle in varchar'", ["needle in"], [b"needle in"]),
    ("char(40)", "'needle in char'", ["needle in"], [b"needle in"]),
    ("text", "'needle in a haystack'", ["needle in"], [b"needle in"]),
    ("name", "'needle_name'", ["needle_"], [b"needle_"]),
    ("xml", "'<a>needle</a>'", ["needle"], [b"needle"]),
    ("point", "'(2718.25,3141.5)'", ["2718.25", "3141.5"], [struct.pack("!d", 2718.25)]),
    ("bit(16)", "B'1011001110001111'", ["1011001110001111"], [bytes([0xb3, 0x8f])]),
    ("tsvector", "'needle:1 straw:2'", ["needle"], [b"needle"]),
    ("oid", "2718281", ["2718281"], [(2718281).to_bytes(4, "big")]),
    ("hstore_like", "NULL", [], []),
]
SQL = """
CREATE TYPE secret_pair AS (a int, b text);
CREATE TYPE secret_word AS ENUM ('needle', 'straw');
CREATE DOMAIN secret_domain AS text CHECK (VALUE <> '');
CREATE DOMAIN secret_number AS int;
CREATE DOMAIN hstore_like AS text;
""" + "CREATE TABLE vault (id int PRIMARY KEY, " + ", ".join(f"v{n} {t}" for n, (t, *_) in enumerate(TYPES)) + ");\n" + \
    "INSERT INTO vault VALUES (1, " + ", ".join(value for _, value, _, _ in TYPES) + "), (2" + ", NULL" * len(TYPES) + ");\n" + """
CREATE VIEW vault_view AS SELECT * FROM vault;
CREATE TABLE wide (id int PRIMARY KEY, email text, body text);
INSERT INTO wide VALUES (1, 'ada@example.com', repeat('x', 3000000)), (2, 'bob@example.com', 'short');
"""
TAGS = "tag \"vault\" { " + ", ".join(f'"*.vault.v{n}", "*.vault_view.v{n}"' for n in range(len(TYPES))) + " }\n"
RULE = """
rule "hide-vault" { doc = "x", on = "sql.result", when = { column = tagged "vault" }, unless = { groups = "fraud" }, mask = mask.MASK }
"""


def columns():
    return ", ".join(f"v{n}" for n in range(len(TYPES)))


def leak(data, n):
    """What of the value of column n is in these bytes."""
    kind, _, texts, raws = TYPES[n]
    return [t for t in texts if t.encode() in data] + [r for r in raws if r in data]


def leaks(data):
    return [(TYPES[n][0], leak(data, n)) for n in range(len(TYPES)) if leak(data, n)]


def whole(seen):
    return b"".join(body for kind, body in seen if kind != "T")


WAYS = {
    "simple": lambda c: c.ask(query("SELECT * FROM vault")),
    "simple, one by one": lambda c: sum((c.ask(query(f"SELECT v{n} FROM vault")) for n in range(len(TYPES))), []),
    "alias": lambda c: c.ask(query("SELECT " + ", ".join(f"v{n} AS c{n}" for n in range(len(TYPES))) + " FROM (SELECT * FROM vault) x")),
    "view": lambda c: c.ask(query("SELECT * FROM vault_view")),
    "row": lambda c: c.ask(query("SELECT vault FROM vault")) + c.ask(query("SELECT row_to_json(vault) FROM vault")) + c.ask(query("SELECT vault::text FROM vault")),
    "cast": lambda c: sum((c.ask(query(f"SELECT v{n}::text, v{n}::text || '' FROM vault")) for n in range(len(TYPES))), []),
    "extended text": lambda c: c.ask(parse("", "SELECT * FROM vault"), bind(), describe("P"), execute(), SYNC),
    "extended binary": lambda c: c.ask(parse("", "SELECT * FROM vault"), bind(results=[1]), execute(), SYNC),
    "named, twice, suspended": lambda c: c.ask(parse("v", "SELECT * FROM vault ORDER BY id"), SYNC) +
    c.ask(bind("p", "v", results=[1]), execute("p", 1), execute("p", 1), bind("", "v"), execute(), close("S", "v"), SYNC),
    "cursor": lambda c: c.ask(query("BEGIN; DECLARE k CURSOR FOR SELECT * FROM vault; FETCH ALL FROM k; COMMIT")),
    "binary cursor": lambda c: c.ask(query("BEGIN")) + c.ask(query("DECLARE k BINARY CURSOR FOR SELECT * FROM vault")) + c.ask(query("FETCH ALL FROM k")) + c.ask(query("COMMIT")),
    "held cursor": lambda c: c.ask(query("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT * FROM vault; COMMIT")) + c.ask(query("FETCH ALL FROM h")) + c.ask(query("CLOSE h")),
    "copy": lambda c: c.ask(query("COPY vault TO STDOUT")),
    "copy csv": lambda c: c.ask(query("COPY vault TO STDOUT (FORMAT csv, HEADER)")),
    "copy csv, odd": lambda c: c.ask(query("COPY vault TO STDOUT (FORMAT csv, DELIMITER ';', QUOTE '''', FORCE_QUOTE *, NULL 'none')")),
    "copy text, odd": lambda c: c.ask(query("COPY vault TO STDOUT (DELIMITER '|', NULL 'nil', HEADER)")),
    "copy binary": lambda c: c.ask(query("COPY vault TO STDOUT (FORMAT binary)")),
    "copy columns": lambda c: c.ask(query(f"COPY vault (id, {columns()}) TO STDOUT")),
    "copy query": lambda c: c.ask(query("COPY (SELECT * FROM vault) TO STDOUT")),
    "copy query binary": lambda c: c.ask(query(f"COPY (SELECT {columns()} FROM vault_view) TO STDOUT WITH BINARY")),
    "copy extended": lambda c: c.ask(parse("", "COPY vault TO STDOUT"), bind(), execute(), SYNC),
    "copy in a batch": lambda c: c.ask(query("SELECT 1; COPY vault TO STDOUT; COPY vault TO STDOUT (FORMAT csv)")),
    "returning": lambda c: c.ask(query("BEGIN")) + c.ask(query("INSERT INTO vault SELECT 3, " + columns() + " FROM vault WHERE id = 1 RETURNING *")) + c.ask(query("ROLLBACK")),
    "prepared by sql": lambda c: c.ask(query("PREPARE s AS SELECT * FROM vault")) + c.ask(query("EXECUTE s")) + c.ask(query("DEALLOCATE s")),
}


def policy_with(mask):
    return POLICY + TAGS + RULE.replace("MASK", mask)


def reload_with(w, mask):
    w.gateway.policy = policy_with(mask)
    w.gateway.write()
    done = w.gateway.reload()
    assert done.code == 0, repr(done)


@test
def the_needles_are_real(w):
    """Direct, every value is found by the very search that must find nothing below."""
    c = Wire.direct(w)
    text, binary = whole(WAYS["simple"](c)), whole(WAYS["extended binary"](c))
    for n, (kind, _, texts, raws) in enumerate(TYPES):
        assert not texts or leak(text, n), f"{kind} in text"
        assert not raws or leak(binary, n), f"{kind} in binary"


@test
def mk16_every_type_by_every_way(w):
    failed = []
    for mask in ("redact", "last4", "null", "date_year", "hash"):
        reload_with(w, mask)
        c = Wire.through(w)
        for name, way in WAYS.items():
            seen = way(c)
            found = leaks(whole(seen))
            # last4 shows four characters of a text, which is what it is for
            if found:
                failed.append(f"{mask}, {name}: {found}")
            if c.ask(query("SELECT 1"))[-1] != ("Z", b"I"):
                c.ask(query("ROLLBACK"))
        assert c.values("SELECT id FROM vault ORDER BY id") == [[b"1"], [b"2"]]
    assert not failed, "\n".join(failed)


@test
def masked_values_are_of_their_type(w):
    reload_with(w, "date_year")
    c = Wire.through(w)
    n = {t: i for i, (t, *_) in enumerate(TYPES)}
    got = c.values(f"SELECT v{n['date']}, v{n['timestamp']}, v{n['timestamptz']}, v{n['int']} FROM vault WHERE id = 1")[0]
    assert got == [b"1987-01-01", b"1987-01-01 00:00:00", b"1987-01-01 00:00:00+00", None], got
    seen = c.ask(parse("", f"SELECT v{n['date']} FROM vault WHERE id = 1"), bind(results=[1]), execute(), SYNC)
    days = int.from_bytes([row(b) for k, b in seen if k == "D"][0][0], "big", signed=True)
    assert days == -4748, days
    reload_with(w, "last4")
    got = Wire.through(w).values(f"SELECT v{n['text']}, v{n['int']}, v{n['jsonb']} FROM vault ORDER BY id")
    assert got[0][0].endswith(b"tack") and b"needle" not in got[0][0] and got[0][1:] == [None, None] and got[1] == [None] * 3, got


@test
def copy_masks_what_select_masks(w):
    """Row by row and column by column, COPY shows what SELECT shows."""
    reload_with(w, "last4")
    c = Wire.through(w)
    rows = c.values("SELECT id, name, email, card_number FROM customers ORDER BY id")
    plain = whole([m for m in c.ask(query("COPY (SELECT id, name, email, card_number FROM customers ORDER BY id) TO STDOUT")) if m[0] == "d"])
    assert [line.split(b"\t") for line in plain.splitlines()] == [[v if v is not None else b"\\N" for v in r] for r in rows], plain
    table = whole([m for m in c.ask(query("COPY customers (id, name, email, card_number) TO STDOUT")) if m[0] == "d"])
    assert sorted(table.splitlines()) == sorted(plain.splitlines())
    csv = whole([m for m in c.ask(query("COPY (SELECT id, name, email, card_number FROM customers ORDER BY id) TO STDOUT CSV HEADER")) if m[0] == "d"]).decode()
    import csv as reader
    read = list(reader.reader(csv.splitlines()))
    assert read[0] == ["id", "name", "email", "card_number"] and read[1:] == [[(v or b"").decode() for v in r] for r in rows], csv
    fay = Wire.through(w, "fay", "dev,fraud")
    assert b"ada@example.com" in whole(fay.ask(query("COPY customers TO STDOUT")))
    assert b"ada@" not in whole(c.ask(query("COPY customers TO STDOUT")))


@test
def long_rows_with_a_mask_end_in_an_error(w):
    reload_with(w, "last4")
    c = Wire.through(w)
    for ask in (query("SELECT * FROM wide ORDER BY id"), parse("", "SELECT * FROM wide ORDER BY id") + bind() + execute() + SYNC, query("COPY (SELECT * FROM wide ORDER BY id) TO STDOUT")):
        seen = c.ask(ask)
        assert "E(54000)Z(I)" in shape(seen) and b"ada@" not in whole(seen), shape(seen)
        assert c.values("SELECT 1") == [[b"1"]]
    assert c.values("SELECT length(body) FROM wide WHERE id = 1") != []
    assert len(c.values("SELECT id, body FROM wide WHERE id = 1")[0][1]) == 3000000, "without a mask it streams"


@test
def mk4_errors_do_not_tell(w):
    reload_with(w, "redact")
    c = Wire.through(w)
    for text in ("SELECT email::int FROM customers WHERE id = 1", "SELECT ('x' || v30)::int FROM vault WHERE id = 1",
                 "SELECT CASE WHEN id = 1 THEN card_number::date END FROM customers"):
        seen = c.ask(query(text))
        assert "E(" in shape(seen) and not re.search(rb"ada@example|needle|411111", whole(seen)), (text, whole(seen))


main(sql=SQL, policy=policy_with("redact"), target_extra="row_max 1m;")
