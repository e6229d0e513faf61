#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the live tests, each file by itself, two at a time, and adds up: run.py [-v] [--keep] [FILE…].  Non-zero when one
failed.  Files that take long (long_*.py) are run one after the other.

A file in which a test failed is run once more, alone.  One that passes then is called unstable, in a line of its own and in
the last one of scripts/test: a race of the test's or of the gateway's, to be mended.  Three files of a run at most, and never
one whose gateway ended badly or in which a sanitizer spoke."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading
import time

AGAIN = 3  # files of a run
AT_ONCE = int(os.environ.get("SALLYPORT_AT_ONCE", "2"))
ENDED_BADLY = 3  # harness.py's exit status
HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable  # Debian's, which has the drivers


speaking = threading.Lock()  # what a file says stands together


def run_file(path, options):
    start, said, tally = time.monotonic(), [path.name], None
    process = subprocess.Popen([PYTHON, "-u", str(path), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    for line in process.stdout:
        if line.startswith("tally "):
            tally = [int(n) for n in line.split()[1:]]
        else:
            said.append(line.rstrip("\n"))
    process.wait()
    if tally is None:
        said.append(f"  FAIL  {path.name} ended with {process.returncode} before its tally")
        tally = [0, 1, 0]
    said.append(f"        {time.monotonic() - start:.1f} s")
    with speaking:
        print("\n".join(said), flush=True)
    return tally, process.returncode == 1


def main():
    options = [a for a in sys.argv[1:] if a.startswith("-")]
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if set(options) - {"-v", "--keep"}:
        sys.exit(__doc__)
    files = [pathlib.Path(n) for n in names] or sorted(HERE.glob("test_*.py"))
    if os.environ.get("SALLYPORT_LONG") == "1" and not names:
        files += sorted(HERE.glob("long_*.py"))
    at_once = 1 if any(f.name.startswith("long_") for f in files) else AT_ONCE
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        results = list(pool.map(lambda path: run_file(path, options), files))
    failed = [n for n, (tally, may_again) in enumerate(results) if tally[1] and may_again]
    for n in failed[:AGAIN]:
        print(f"  again {files[n].name}, alone: {results[n][0][1]} failed", flush=True)
        results[n] = run_file(files[n], options)
        if not results[n][0][1]:
            print(f"unstable {files[n].name}", flush=True)
    total = [sum(column) for column in zip(*(tally for tally, _ in results))]
    print(f"tally {total[0]} {total[1]} {total[2]}")
    sys.exit(1 if total[1] or not any(total) else 0)


main()
