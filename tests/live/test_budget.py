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


main(extra="policy { budget 20ms; }")
