#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where it runs: under a root that is read-only, with two folders that are writable: the state, and what ends with the run."""

from harness import *

# Everything is read-only but the two folders; a mount namespace of its own, that ends with the daemon.
READ_ONLY = """set -e
for folder in "$1" "$2"; do mount --bind "$folder" "$folder"; done
for mounted in $(awk '{ print $2 }' /proc/self/mounts | sort -u); do
    case $mounted in "$1"|"$2"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$mounted" 2>/dev/null || : ;; esac
done
mount -o remount,bind,rw "$1" && mount -o remount,bind,rw "$2"
if touch "$3/written" 2>/dev/null; then echo "it is writable" >&2; exit 1; fi
shift 3
exec "$@"
"""


def may_mount():
    return IS_ROOT and run(["unshare", "--mount", "mount", "-o", "remount,bind,ro", "/"]).code == 0


@test
def a_read_only_root(w):
    if not may_mount():
        skip("this may not remount its root read-only")
    g = w.gateway
    assert g.stop()
    state = w.dir / "state"
    state.mkdir()
    text = g.conf_text()
    for name in ("sessions", "keeper", "log", "anchor"):
        (g.dir / name).rename(state / name)
        (g.dir / name).symlink_to(state / name)
        text = text.replace(f"{g.dir}/{name}", f"{state}/{name}")
    g.write(text)
    g.wrap = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", state, g.dir / "run", g.dir]
    g.start()
    got = w.psql("SELECT count(*) FROM numbers")
    assert got.code == 0, repr(got)
    assert g.reload().code == 0
    assert w.psql("SELECT 1", token=w.token(fresh=True)).out == "1"
    done = w.command("verify", state / "sessions")
    assert done.code == 0, repr(done)


main()
