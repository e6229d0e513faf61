#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the live tests, each file by itself, and adds up: run.py [-v] [--keep] [FILE…].  Non-zero when one failed.

A file in which a test failed is run once more.  One that passes then is called unstable, in a line of its own and in the
last one of scripts/test: a race of the test's or of the gateway's, to be mended.  Three files of a run at most, and never
one whose gateway ended badly or in which a sanitizer spoke."""

import os
import pathlib
import subprocess
import sys
import time

AGAIN = 3  # files of a run
ENDED_BADLY = 3  # harness.py's exit status
HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable  # Debian's, which has the drivers


def run_file(path, options):
    start = time.monotonic()
    print(f"{path.name}", flush=True)
    process = subprocess.Popen([PYTHON, "-u", str(path), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    tally = None
    for line in process.stdout:
        if line.startswith("tally "):
            tally = [int(n) for n in line.split()[1:]]
        else:
            sys.stdout.write(line)
            sys.stdout.flush()
    process.wait()
    if tally is None:
        print(f"  FAIL  {path.name} ended with {process.returncode} before its tally")
        tally = [0, 1, 0]
    print(f"        {time.monotonic() - start:.1f} s", flush=True)
    return tally, process.returncode == 1


def main():
    options = [a for a in sys.argv[1:] if a.startswith("-")]
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if set(options) - {"-v", "--keep"}:
        sys.exit(__doc__)
    files = [pathlib.Path(n) for n in names] or sorted(HERE.glob("test_*.py"))
    if os.environ.get("SALLYPORT_LONG") == "1" and not names:
        files += sorted(HERE.glob("long_*.py"))
    total, again = [0, 0, 0], []
    for path in files:
        tally, may_again = run_file(path, options)
        if tally[1] and may_again and len(again) < AGAIN:
            again.append(path.name)
            print(f"  again {path.name}: {tally[1]} failed", flush=True)
            tally, _ = run_file(path, options)
            if not tally[1]:
                print(f"unstable {path.name}", flush=True)
        total = [a + b for a, b in zip(total, tally)]
    print(f"tally {total[0]} {total[1]} {total[2]}")
    sys.exit(1 if total[1] or not any(total) else 0)


main()
