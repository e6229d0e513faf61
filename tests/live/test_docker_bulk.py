#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Much, and many at once, through the gateway to a real dockerd."""

from docker_world import *
from npm import node_folder

WAIT_FOR_SIZE = "while test \"$(stty size)\" != '31 97'; do sleep 0.1; done; stty size; "  # the CLI tells it once it has started


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


@test
def a_program_by_its_sdk(w):
    folder = node_folder()
    said = []
    for port, token in ((w.engine.port, ""), (w.docker_port, w.token())):
        done = run(["node", TOP / "tests/live/node/docker.js", port, token], env={"SALLYPORT_NODE_FOLDER": str(folder)})
        assert done.code == 0, repr(done)
        said.append(done.json)
    refused = said[1].pop("refused")
    assert said[0].pop("refused")["code"] == 1 and refused["status"] == 403 and "no-rm" in refused["message"], refused
    assert said[0] == said[1] and said[1]["piped"]["out"] == "through stdin\n" and said[1]["plain"]["out"] == "1000\n", said


@test
def attach_detach_and_attach_again(w):
    w.direct("run", "-dit", "--network", "none", "--name", "term", "test:1", "sh", check=True)
    # over TLS: on a plain TCP connection the CLI does not notice its own detach keys, direct neither
    shown, code = w.through_tty("attach", "--detach-keys", "ctrl-a", "term", tls=True, say=[("", "\r"), ("# ", "echo to$((20+3))\r"), ("to23", "\x01")])
    assert "to23" in shown and "read escape sequence" in shown, (shown, code)
    assert "term" in w.direct("ps").out
    shown, code = w.through_tty("attach", "term", say=[("", "\r"), ("# ", "exit 6\r")])
    assert code == 6, (shown, code)
    w.direct("rm", "term")


@test
def run_with_a_terminal(w):
    shown, code = w.through_tty("run", "--rm", "-it", "--network", "none", "test:1", "sh", say=[("# ", WAIT_FOR_SIZE + "exit 7\r")])
    assert "31 97" in shown and code == 7, (shown, code)


docker_main()
