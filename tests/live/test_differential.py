#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MK12: what the gateway takes for reading, the server takes for reading.

Every statement of the analysis's own tests and of the bypass corpus is sent twice: straight to the server in a
read-only transaction, and through the gateway by one who may only read.  The server says 25006 to what
writes: the gateway must not have let that through, however it came to another reading of the text.
"""

import re
import sys

from harness import *

try:
    import psycopg2
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        import psycopg2
    except ImportError:
        psycopg2 = None

UNIT = TOP / "tests" / "unit" / "analyse"
CORPUS = TOP / "tests" / "bypass"
MORE = [
    "SELECT 1 AS a" + "b" * 70,
    "WITH w AS (SELECT 1) SELECT * FROM w FOR UPDATE",
    "SELECT * FROM orders FOR NO KEY UPDATE",
    "LOCK TABLE orders",
    "LOCK TABLE orders IN ACCESS SHARE MODE",
    "SELECT 1 /*+ x */; /* y */ UPDATE orders SET item = 'x' WHERE id = 1",
    "SELECT nextval('s'::regclass)",
    "SELECT nextval(oid) FROM pg_class WHERE relname = 's'",
    "SELECT pg_catalog.setval('s', 1)",
    "SELECT * FROM (SELECT nextval('s')) x",
    "SELECT lo_creat(-1), lo_from_bytea(0, 'x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lowrite(lo_open(1, 131072), 'x')",
    "SELECT query_to_xml('SELECT nextval(''s'')', true, true, '')",
    "EXPLAIN ANALYZE SELECT nextval('s')",
    "VALUES (1), (2) ORDER BY 1",
    "TABLE orders LIMIT 1",
    "SELECT U&'d\\0061t\\+000061', U&\"\\0069d\" FROM orders",
    "SELECT E'\\x41\\101\\u0041', $$a$$, $a$b$a$",
    "SELECT 1 WHERE 1 <> 2 AND 1 != 2",
    "SELECT 5 ! = 3",
    "select\n\t\f\v1",
    "SELECT 1.5e3, .5, 5., 0x, 1_0",
    "SELECT 'a'\n'b'",
    "SELECT 'a' -- x\n'b'",
    "SELECT 1 --/* \n; SELECT 2 --*/",
    "SELECT /* -- */ 1",
    "COMMIT; UPDATE orders SET item = 'x' WHERE id = 1",
    "SET TRANSACTION READ WRITE; UPDATE orders SET item = 'x' WHERE id = 1",
    "BEGIN; SET LOCAL transaction_read_only = off; DELETE FROM orders WHERE id = 1",
    "COMMIT PREPARED 'x'",
    "PREPARE TRANSACTION 'x'",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'standard_conforming_strings'",
]


def statements():
    found = list(MORE)
    for name in ("kinds", "queries", "where", "names", "secrets"):
        found += [line for line in (UNIT / f"{name}.txt").read_text(encoding="utf-8").splitlines() if line and line[0] not in "\t#"]
    for line in (CORPUS / "corpus.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            found += [part.strip() for part in line.split("\t")[3].lstrip("!").split(";;") if part.strip()]
    plain = [re.sub(r"\{([0-9a-f]{2})\}", lambda m: bytes.fromhex(m[1]).decode("latin-1"), s) for s in found]
    # NUL and bytes that are not UTF-8 no client library sends; the corpus's own test has them
    return [s for s in dict.fromkeys(plain) if s.isprintable() or "\0" not in s and all(ord(c) < 0x80 for c in s)]


def connect(w, **to):
    place = {k: v for k, v in to.items() if k in ("user", "direct")}
    connection = psycopg2.connect(w.dsn(**place), password=w.password(**to), options="-c statement_timeout=5s")
    connection.autocommit = True
    return connection


def state_of(connection, text):
    """SQLSTATE and message of a statement, "" for none."""
    try:
        connection.cursor().execute(text)
        return "", ""
    except psycopg2.Error as e:
        return e.pgcode or "client", str(e)


@test
def what_writes_is_not_let_through(w):
    if psycopg2 is None:
        skip("python3-psycopg2 is not installed")
    run(["psql", "-h", w.pg.folder, "-p", w.pg.port, "-U", "postgres", "-d", "orders", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", "email=e", "-v", "card=1",
         "-f", "-"], stdin="SET client_min_messages = warning; SET ROLE app_gw;\n" + (CORPUS / "setup.sql").read_text(), check=True)
    who = {"user": "rea", "groups": "readers,dev"}
    straight, through = connect(w, direct=True), connect(w, **who)
    wrong, refused, let_through, writes = [], 0, 0, 0
    for text in statements():
        if through.closed or state_of(through, "ROLLBACK")[0] == "client" or "advisory" in text:
            through.close()
            through = connect(w, **who)
        code, said = state_of(through, text)
        denied = code == "42501" and re.match(r"(blocked by rule|unclear|refused|.*sallyport)", said, re.S) is not None
        refused += denied
        let_through += not denied
        if straight.closed:
            straight = connect(w, direct=True)
        state_of(straight, "ROLLBACK")
        state_of(straight, "DISCARD ALL")
        state_of(straight, "BEGIN READ ONLY")
        server = state_of(straight, text)[0]
        writes += server == "25006"
        if server == "25006" and not denied:
            wrong.append(f"{text}\n  gateway: {code} {said.strip()[:200]}")
    through.close()
    straight.close()
    print(f"        {refused} refused, {let_through} let through, {writes} that the server calls writing")
    assert writes > 100 and let_through > 200, (writes, let_through)
    assert not wrong, f"{len(wrong)} that write:\n" + "\n".join(wrong)


main(policy=(CORPUS / "rules.lua").read_text())
