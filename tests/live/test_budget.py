#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P10: who makes the gateway think a lot waits for it; nobody else does, and nothing is refused."""

import threading
import time

from harness import *


def long_statement(n):
    return "SELECT " + " + ".join(f"({n} * {i})" for i in range(1500))


@test
def a_spender_waits_and_others_do_not(w):
    stop = threading.Event()
    done = []

    def spend():
        with w.psql_waiting(stdin="", user="greta").process as p:
            n = 0
            while not stop.is_set() and n < 4000:
                p.stdin.write(long_statement(n) + ";\n")
                n += 1
            p.stdin.close()
            done.append(p.stdout.read().count("\n"))

    thread = threading.Thread(target=spend)
    thread.start()
    try:
        wait_for(lambda: "took too long to judge" in w.gateway.logs(400), 30, said="the spender never had to wait")
        assert w.psql("SELECT 1", user="bob").out == "1"
    finally:
        stop.set()
        thread.join()
    assert done and done[0] > 0, "the spender got no answers"
    assert w.psql("SELECT 2", user="greta").out == "2"


def run_file(w, text):
    path = w.dir / "long.sql"
    path.write_text(text)
    return w.psql(None, ("-XAtq", "-f", str(path)), user="greta")


@test
def a_long_list_ends_no_worker(w):
    """A statement with thousands of hidden literals, one of which is a word of ours; thousands of rows; columns of columns."""
    others = [w.psql_waiting(stdin="", user="bob") for _ in range(4)]
    words = ",".join(f"'x{i}'" for i in range(20000))
    got = run_file(w, f"SELECT count(*) FROM customers WHERE email IN ('read',{words});")
    assert got.code == 0, repr(got)
    rows = ",".join(f"({i},'x','y{i}')" for i in range(1000, 13000))
    got = run_file(w, f"BEGIN; INSERT INTO customers (id, name, email) VALUES {rows}; ROLLBACK;")
    assert got.code == 0, repr(got)
    columns = ",".join(f"u.c{i}" for i in range(2040))
    got = run_file(w, f"WITH RECURSIVE r AS (SELECT {columns} FROM nowhere u UNION ALL SELECT * FROM r) SELECT 1 FROM r;")
    assert "nowhere" in got.err or "withheld" in got.err, repr(got)
    inner = ",".join(f"1 AS a{i}" for i in range(1600))
    got = run_file(w, "SELECT 1 FROM " + "(SELECT * FROM " * 50 + f"(SELECT {inner}) x" + ") x" * 50 + ";")
    assert got.out == "1", repr(got)
    for other in others:
        other.process.stdin.write("SELECT 3;\n")
        assert "3" in other.process.communicate(timeout=30)[0]
    assert "gave no sign" not in w.gateway.logs(400)


main(extra="policy { budget 20ms; }")
