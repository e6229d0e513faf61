#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long `sallyport policy backtest` takes for a million operations: a real session's recording of a thousand statements of
twenty kinds, all with other numbers, a thousand times over, judged by all the shipped policies for PostgreSQL.

    tests/bench/backtest/run.py [TIMES [STATEMENTS]]       10 100000: a million of which a hundred thousand differ"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "live"))
from harness import *  # noqa: E402

KINDS = [f"SELECT id, item FROM orders WHERE id = {n} AND price > {n}" for n in range(10)] + \
        [f"UPDATE customers SET name = 'n{n}' WHERE id = {n}" for n in range(10)]


def main():
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    statements = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    world = World().start()
    try:
        script = ";\n".join(KINDS[n % 20].replace("id = ", f"id = {n} + ") for n in range(statements)) + ";\n"
        done = world.psql(stdin=script, args=("-q",), timeout=600)
        assert done.code == 0, done.err[:2000]
        wait_for(lambda: not world.sessions(live=True), 60)
        folder = world.dir / "many"
        folder.mkdir()
        biggest = max((p for p in (world.gateway.dir / "sessions").rglob("*") if p.is_file() and p.read_bytes()[:8] == b"SLPREC01"),
                      key=lambda p: p.stat().st_size)
        for n in range(times):
            os.link(biggest, folder / str(n))
        policies = [TOP / "conf" / "policies" / f"{n}.lua" for n in ("clients", "writes", "ddl", "dangerous", "pii")]
        begin, before = time.monotonic(), os.times()
        done = world.command("policy", "backtest", *policies, "--store", folder, "--conf", world.gateway.conf_file, "--json", timeout=600)
        wall, after = time.monotonic() - begin, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        told = done.json
        print(f"{told['operations']} operations of {told['sessions']} sessions in {wall:.1f} s, {cpu:.1f} s of CPU: "
              f"{cpu / max(1, told['operations']) * 1e6:.1f} us each; {len(told['differences'])} kinds of difference")
    finally:
        world.end()


main()
