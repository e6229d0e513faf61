#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the live tests, each file by itself, and adds up: run.py [-v] [--keep] [FILE…].  Non-zero when one failed."""

import os
import pathlib
import subprocess
import sys
import time

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
    return tally


def main():
    options = [a for a in sys.argv[1:] if a.startswith("-")]
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if set(options) - {"-v", "--keep"}:
        sys.exit(__doc__)
    files = [pathlib.Path(n) for n in names] or sorted(HERE.glob("test_*.py"))
    if os.environ.get("SALLYPORT_LONG") == "1" and not names:
        files += sorted(HERE.glob("long_*.py"))
    total = [0, 0, 0]
    for path in files:
        total = [a + b for a, b in zip(total, run_file(path, options))]
    print(f"tally {total[0]} {total[1]} {total[2]}")
    sys.exit(1 if total[1] or not any(total) else 0)


main()
