#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""With sanitizers, a process that ends is looked through for leaks: a module that leaks is noticed.

The module is the installed skeleton with an allocation in each session that nobody frees.  That the other
tests' processes have no leak is asked at the end of each (harness.py: LOUD), and that each role's sandbox
lets the search work in tests/unit/test_sandbox.c.
"""

from harness import *

LEAK = """\
#include <stdlib.h>

static void __attribute__((noinline))
forget_a_block(void)
{
	char *volatile p = malloc(4321);
	p[0] = 'x';
	p = NULL;
}

static int
line_accept(struct sp_session *s)
{
	forget_a_block();
"""

CONF_LINES = """\
load_module {so};
listener lines {{ listen 127.0.0.1:{port}; protocol skeleton; cleartext loopback; }}
"""

TARGET_LINES = """\
target lines {{
    protocol skeleton;
    server   127.0.0.1:{port};
    tls      off;
    login    user=lines secret=file:{dir}/keeper/orders.secret;
    allow    groups=dev;
    policy   {dir}/policies/orders.lua;
}}
"""

SESSIONS = 3


def build_leaking(w):
    folder = w.dir / "leaking"
    shutil.copytree(w.stage / "share" / "sallyport" / "skeleton", folder)
    folder.chmod(0o755)
    source, head = folder / "skeleton.c", "static int\nline_accept(struct sp_session *s)\n{\n"
    text = source.read_text()
    assert text.count(head) == 1
    source.write_text(text.replace(head, LEAK))
    run(["make", "-C", folder], check=True, env={"PKG_CONFIG_PATH": str(w.stage / "lib" / "pkgconfig")})
    (folder / "skeleton.so").chmod(0o755)
    return folder / "skeleton.so"


def with_module(g, so):
    g.extra = CONF_LINES.format(so=so, port=g.lines_port)
    g.more_targets = TARGET_LINES.format(port=g.pg.port, dir=g.dir)
    g.write()


def without_module(g):
    g.extra = g.more_targets = ""
    g.write()


def reload_to_new_workers(g):
    """A module more or less takes new workers: returns when the old ones are gone."""
    old = set(g.children()["worker"])
    done = g.reload()
    assert done.code == 0, f"{done!r}\n{g.logs()}"
    wait_for(lambda: not old & set(g.children().get("worker", [])), 20, said=f"the old workers stay\n{g.logs()}")


def one_session(g):
    with socket.create_connection(("127.0.0.1", g.lines_port), timeout=20 * SLOW) as s:
        s.sendall(b"HELLO ann lines x\n")
        assert s.makefile("rb").readline().startswith(b"NO "), "it is no token"


@test
def a_leak_of_a_module_is_found(w):
    """In the workers that a reload replaces, and in those that end with the gateway; and named."""
    if not SANITIZED:
        skip("built without sanitizers: nobody looks for leaks")
    so = build_leaking(w)
    g = Gateway(w.dir / "gateway-leaking", w.stage, w.pg, policy="")
    g.lines_port = free_port()
    with_module(g, so)
    g.start()
    try:
        for _ in range(SESSIONS):
            one_session(g)
        assert not g.loud(), g.loud()
        without_module(g)
        reload_to_new_workers(g)
        found = wait_for(g.loud, said="the replaced workers' leak was not found")
        assert "detected memory leaks" in found and "in forget_a_block" in found, found
        assert leaked(g) == SESSIONS, found
        with_module(g, so)
        reload_to_new_workers(g)
        one_session(g)
    finally:
        g.stop()
    assert leaked(g) == SESSIONS + 1, g.logs(400)
    ended = re.findall(r"(\w+) \d+ \(process \d+\) ended with status 99", (g.dir / "log" / "error.log").read_text())
    assert ended and set(ended) == {"worker"}, f"others leak too: {ended}"


def leaked(g):
    """How many blocks of the module have been reported."""
    log = (g.dir / "log" / "error.log").read_text()
    return sum(int(n) // 4321 for n in re.findall(r"Direct leak of (\d+) byte\(s\) in \d+ object\(s\)", log) if int(n) % 4321 == 0)


main()
