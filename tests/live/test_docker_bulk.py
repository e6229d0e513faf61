#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Much, and many at once, through the gateway to a real dockerd."""

from docker_world import *


@test
def a_pipe_of_much(w):
    size = 40 << 20
    chunk = base64.b64encode(os.urandom(1 << 20))[:1 << 20]
    env = dict(os.environ, **w.env())
    p = subprocess.Popen(["docker", "exec", "-i", "web", "cat"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sent, got = hashlib.sha256(), hashlib.sha256()

    def feed():
        for _ in range(size >> 20):
            sent.update(chunk)
            p.stdin.write(chunk)
        p.stdin.close()
    t = threading.Thread(target=feed)
    t.start()
    while piece := p.stdout.read(1 << 16):
        got.update(piece)
    t.join()
    assert p.wait(20 * SLOW) == 0 and sent.digest() == got.digest()


@test
def fifty_at_once(w):
    ps = [w.docker_start("exec", "web", "echo", str(i)) for i in range(50)]
    for i, p in enumerate(ps):
        out, err = p.communicate(timeout=60 * SLOW)
        assert out == f"{i}\n", (i, out, err)


@test
def a_classic_build(w):
    folder = w.dir / "build"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM test:1\nCOPY x /x\n")
    (folder / "x").write_text("built\n")
    done = w.docker("build", "-t", "built:1", folder, timeout=120)
    assert done.code == 0 and "Successfully built" in done.out, repr(done)
    assert w.direct("run", "--rm", "--network", "none", "built:1", "cat", "/x").out == "built"


@test
def files_both_ways(w):
    data = w.dir / "data"
    data.write_bytes(os.urandom(3 << 20))
    done = w.docker("cp", data, "web:/tmp/data")
    assert done.code == 0, repr(done)
    assert w.direct("exec", "web", "sha256sum", "/tmp/data").out.split()[0] == hashlib.sha256(data.read_bytes()).hexdigest()
    done = w.docker("cp", "web:/tmp/data", w.dir / "back")
    assert done.code == 0 and (w.dir / "back").read_bytes() == data.read_bytes(), repr(done)


docker_main()
