#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Much data through exec and logs of a real dockerd: the same bytes as direct, in constant memory.

    tests/live/long_docker.py
"""

from docker_world import *

MB = 1 << 20


def piped(env, argv, size):
    """(SHA-256 of what was sent, of what came back, exit status): `size` bytes into its stdin while its output is read."""
    p = subprocess.Popen(["docker", *argv], env=dict(os.environ, **env), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sent, got, chunk = hashlib.sha256(), hashlib.sha256(), os.urandom(MB)

    def feed():
        for i in range(size // MB):
            piece = i.to_bytes(8, "big") + chunk[8:]
            sent.update(piece)
            p.stdin.write(piece)
        p.stdin.close()
    t = threading.Thread(target=feed)
    t.start()
    while piece := p.stdout.read(1 << 16):
        got.update(piece)
    t.join()
    return sent.hexdigest(), got.hexdigest(), p.wait(120 * SLOW)


def biggest(w):
    """Resident memory of the largest worker, in bytes."""
    return max(int(line.split()[1]) * 1024 for pid in w.gateway.children()["worker"] for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))


@test
def two_hundred_megabytes_both_ways(w):
    for way, env in (("direct", w.engine.env()), ("through", w.env())):
        sent, got, code = piped(env, ["exec", "-i", "web", "cat"], 200 * MB)
        assert code == 0 and sent == got, (way, code, sent, got, w.gateway.logs())
    # one way: what arrives there is counted there
    for way, env in (("direct", w.engine.env()), ("through", w.env())):
        p = subprocess.Popen(["docker", "exec", "-i", "web", "wc", "-c"], env=dict(os.environ, **env), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(200):
            p.stdin.write(bytes(MB))
        out, _ = p.communicate()
        assert out.strip() == str(200 * MB).encode() and p.returncode == 0, (way, out)


@test
def a_gigabyte_out_in_constant_memory(w):
    w.docker("exec", "web", "true")
    before = biggest(w)
    p = subprocess.Popen(["docker", "exec", "web", "sh", "-c", "yes 0123456789abcdef | head -c 1073741824"], env=dict(os.environ, **w.env()), stdout=subprocess.PIPE)
    size = 0
    while piece := p.stdout.read(1 << 18):
        size += len(piece)
    assert p.wait(60 * SLOW) == 0 and size == 1 << 30, (size, w.gateway.logs())
    assert biggest(w) - before < 64 * MB, (before, biggest(w))


@test
def logs_that_are_followed(w):
    w.direct("run", "-d", "--network", "none", "--name", "talks", "test:1", "sh", "-c", "seq 200000; echo end", check=True)
    direct, through = w.direct("logs", "-f", "talks"), w.docker("logs", "-f", "talks", timeout=300)
    w.direct("rm", "talks")
    assert direct.out == through.out and direct.out.endswith("\nend") and direct.out.count("\n") == 200000, (len(direct.out), len(through.out))


docker_main()
