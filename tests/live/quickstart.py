#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/quickstart from a copy of the checkout with blanks in its path: twice, then --stop.  quickstart.py [--user NAME]"""

import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
USER = sys.argv[sys.argv.index("--user") + 1] if "--user" in sys.argv else None
home = pathlib.Path(f"/var/tmp/sallyport-quicktest-{USER or os.geteuid()}")


def environment():
    kept = {name: os.environ[name] for name in ("PATH", "CC", "CCACHE_DIR", "HOME", "TERM") if name in os.environ}
    if USER:
        kept = {"PATH": kept["PATH"], "HOME": "/nonexistent"}
    return dict(kept, SALLYPORT_QUICKSTART=str(home))  # without LANG


def quickstart(*args, code=0, **more):
    who = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []} if USER else {}
    start = time.monotonic()
    done = subprocess.run([str(checkout / "scripts" / "quickstart"), *args], env=dict(environment(), **more), cwd="/", text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **who)
    print(f"  quickstart {' '.join(args)}: {time.monotonic() - start:.0f} s, exit {done.returncode}", flush=True)
    if done.returncode != code:
        sys.exit(f"exit {done.returncode} instead of {code}:\n{done.stdout}")
    return done.stdout


def has(out, *patterns):
    for pattern in patterns:
        if not re.search(pattern, out, re.M):
            sys.exit(f"/{pattern}/ is not in:\n{out}")


def shows_all(out):
    """What the six steps promise, in this order."""
    steps = re.split(r"^\d\. ", out, flags=re.M)
    if len(steps) != 7:
        sys.exit(f"{len(steps) - 1} steps instead of 6:\n{out}")
    has(steps[1], r"user +ann$", r"groups +dev$", r"expires +20\d\d-")
    has(steps[2], r"Ada Lovelace \| a\*\*\*@example\.com +\| \*{4,}1111", r"Grace Hopper \| .*@example\.org +\| \*{4,}5559",
        r"database says: Ada Lovelace\|ada@example\.com\|4111111111111111")
    has(steps[3], r'ERROR:  blocked by rule "no-unbounded-write": ', r"^ +100$")
    has(steps[4], r"NOTICE:  held by rule ", r"waiting +ann +orders", r"nobody decides on their own request", r"approved, 1 of 1 votes", r"\| +9\.99$",
        r"UPDATE 1")
    has(steps[5], r"operation +UPDATE orders SET price", r"approver=lea")
    has(steps[6], r"^ +ok +yes", r"copy\.rec: intact", r"NOT INTACT: .*frame")
    has(steps[6], r"^  https://localhost:\d+/signin/link#[\w-]{40,}$", r"--stop", re.escape(f". {home}/env"))


def ports():
    return [int(p) for p in re.search(r"127\.0\.0\.1:(\d+), the gateway on 127\.0\.0\.1:(\d+)", first).groups()]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def ours():
    """Processes whose program or arguments are in the folder."""
    return subprocess.run(["pgrep", "-a", "-f", str(home)], text=True, capture_output=True).stdout


with tempfile.TemporaryDirectory(prefix="sallyport quick start ") as folder:
    os.chmod(folder, 0o755)
    checkout = pathlib.Path(folder) / "a checkout"
    subprocess.run(["bash", "-c", 'set -o pipefail; . scripts/common; copy_source "$1"', "-", str(checkout)], cwd=TOP, check=True)
    if home.exists():
        quickstart("--stop")
    try:
        has(quickstart("--help"), "usage: scripts/quickstart", "--stop")
        quickstart("--nonsense", code=2)
        first = quickstart()
        shows_all(first)
        assert all(map(listens, ports())), "PostgreSQL or the gateway does not run on"
        asked = subprocess.run(["bash", "-c", '. "$1/env"; sallyport whoami && PGPASSWORD=$(sallyport token --user ann --groups dev) psql "$DSN" -Atc "SELECT 40 + 2"',
                                "-", str(home)], env=environment(), text=True, capture_output=True)
        assert asked.stdout.endswith("42\n"), f"what it prints on how to connect does not work: {asked}"
        again = quickstart()
        shows_all(again)
        assert all(map(listens, ports())), "PostgreSQL or the gateway does not run on, the second time"
    finally:
        stopped = quickstart("--stop")
    has(stopped, "Stopped")
    assert not home.exists(), f"{home} is still there"
    assert not any(map(listens, ports())), "something still listens"
    assert not ours(), f"processes are left: {ours()}"
    has(quickstart("--stop"), "nothing .* to stop")
    if not USER:
        home.mkdir(0o755)
        (home / "of-someone-else").touch()
        has(quickstart(code=1), "holds files of something else")
        has(quickstart("--stop"), "nothing .* to stop")
        assert (home / "of-someone-else").exists()
        shutil.rmtree(home)
