#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Forwards through the gateway by OpenSSH's own client: -L, -J, -R, the agent; refused unless allowed (SS8, SS14)."""

import contextlib
import threading

from ssh_world import *


class Echo:
    """Who connects gets back the SHA-256 and the length of what it sent until its EOF, and then EOF."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    @staticmethod
    def one(c):
        with c:
            sum, n = hashlib.sha256(), 0
            while got := c.recv(1 << 16):
                sum.update(got)
                n += len(got)
            c.sendall(f"{n} {sum.hexdigest()}\n".encode())


def ask(port, data):
    """What Echo says to it, sent whole with a half-close."""
    with socket.create_connection(("127.0.0.1", port), timeout=30 * SLOW) as c:
        sender = threading.Thread(target=lambda: (c.sendall(data), c.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        said = b""
        while got := c.recv(4096):
            said += got
        sender.join()
    return said.decode()


def expected(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}\n"


@contextlib.contextmanager
def forwarding(w, *options, user="ann", name="forwards", listens=None):
    p = w.ssh_start("-N", name=name, user=user, options=["-N", "-o", "ExitOnForwardFailure=yes", *options])
    try:
        if listens:
            wait_for(lambda: Gateway.listens(listens) or p.poll() is not None, said="nothing listens")
        assert p.poll() is None, p.communicate()
        yield p
    finally:
        p.said = hang_up(p)[1]


@test
def l_forwards_whole_and_half_closed(w):
    echo, port, data = Echo(), free_port(), os.urandom(6 << 20)
    with forwarding(w, "-L", f"127.0.0.1:{port}:127.0.0.1:{echo.port}", user="lou", listens=port):
        assert ask(port, data) == expected(data)
        assert ask(port, b"") == expected(b"")
        many = [threading.Thread(target=lambda: results.append(ask(port, b"x" * 70000))) for _ in range(8)]
        results = []
        for t in many:
            t.start()
        for t in many:
            t.join()
        assert results == [expected(b"x" * 70000)] * 8
    text = w.recording("lou")
    assert f"direct-tcpip 127.0.0.1 {echo.port}" in text and f"closed: {len(data)} bytes to the target, {len(expected(data))} to the client" in text, text[-2000:]


@test
def j_to_another_host(w):
    jump = " ".join(["ssh", "-W", "%h:%p", *w.gate_options(), "forwards@127.0.0.1"])
    done = run(["ssh", "-o", f"ProxyCommand={jump}", *w.direct_options(), f"{LOGIN}@127.0.0.1", "echo behind"], env=w.environment(w.token("joe")))
    assert done.code == 0 and done.out == "behind", repr(done)
    config = w.client / "config"
    config.write_text("Host gate\n    HostName 127.0.0.1\n    User forwards\n    " + "\n    ".join(
        o.replace("=", " ", 1) for o in w.gate_options() if "=" in o) + f"\nHost final\n    HostName 127.0.0.1\n    User {LOGIN}\n    ProxyJump gate\n    "
        + "\n    ".join(o.replace("=", " ", 1) for o in w.direct_options() if "=" in o) + "\n")
    done = run(["ssh", "-F", config, "final", "echo", "jumped"], env=w.environment(w.token("joe")))
    assert done.code == 0 and done.out == "jumped", repr(done)
    assert f"direct-tcpip 127.0.0.1 {w.sshd.port}" in w.recording("joe")


@test
def r_forwards_from_the_target(w):
    echo, port, data = Echo(), free_port(), os.urandom(3 << 20)
    with forwarding(w, "-R", f"127.0.0.1:{port}:127.0.0.1:{echo.port}", user="rob", listens=port):
        assert ask(port, data) == expected(data)
        assert ask(port, b"more") == expected(b"more")
    text = w.recording("rob")
    assert f"tcpip-forward 127.0.0.1 {port}" in text and f"forwarded-tcpip 127.0.0.1 {port}" in text, text[-2000:]
    wait_for(lambda: not Gateway.listens(port), said="the target still listens")


@test
def r_with_a_port_of_the_targets_choice(w):
    echo = Echo()
    path = w.client / "r-mux"
    with forwarding(w, "-M", "-o", f"ControlPath={path}", user="ria"):
        wait_for(path.exists, said="there is no master connection")
        control = lambda *args: run(["ssh", "-F", "none", "-o", f"ControlPath={path}", *args, "forwards@127.0.0.1"])
        done = control("-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{echo.port}")
        assert done.code == 0, repr(done)
        port = int(done.out.split()[-1])
        assert ask(port, b"any") == expected(b"any")
        done = control("-O", "cancel", "-R", f"127.0.0.1:0:127.0.0.1:{echo.port}")
        assert done.code == 0, repr(done)
        wait_for(lambda: not Gateway.listens(port), said="the target still listens")


@test
def ss8_refused_unless_allowed(w):
    for options in (["-R", f"{free_port()}:127.0.0.1:1"], ["-R", f"/nonexistent/{free_port()}:127.0.0.1:1"]):
        done = w.ssh("true", options=["-o", "ExitOnForwardFailure=yes", *options])
        assert done.code != 0 and "forward" in done.err.lower(), (options, done)
    done = w.ssh(options=["-v", "-W", f"127.0.0.1:{w.sshd.port}"])
    assert done.code != 0 and "SSH-2.0-" not in done.out and "channel" in done.err, repr(done)
    port = free_port()
    with forwarding(w, "-v", "-L", f"127.0.0.1:{port}:/nonexistent/socket", user="unix", listens=port) as p:
        with socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW) as c:
            assert c.recv(10) == b"", "Unix sockets are refused always"
    assert "a Unix socket's, whose path libssh 0.10 does not tell" in p.said, p.said
    assert "forward a port instead" in w.recording("unix")
    done = w.ssh("true", name="forwards", options=["-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:7:127.0.0.1:1"])
    assert done.code != 0, "a rule denies this port"


def with_agent(w, *args, name):
    agent = run(["ssh-agent", "-s"]).out
    sock, pid = re.search(r"SSH_AUTH_SOCK=([^;]+)", agent).group(1), int(re.search(r"SSH_AGENT_PID=(\d+)", agent).group(1))
    try:
        run(["ssh-add", "-q", w.sshd.user_key], env={"SSH_AUTH_SOCK": sock}, check=True)
        return w.ssh(*args, name=name, options=["-A", "-o", f"IdentityAgent={sock}"], env={"SSH_AUTH_SOCK": sock})
    finally:
        os.kill(pid, signal.SIGTERM)


@test
def ss14_an_agent_where_it_is_allowed(w):
    done = with_agent(w, "printenv SSH_AUTH_SOCK; ssh-add -l", name="agents")
    assert done.code == 0 and fingerprint(w.sshd.dir / "user_key.pub") in done.out, f"{done!r}\n{w.gateway.logs()[-3000:]}"
    done = with_agent(w, "printenv SSH_AUTH_SOCK; echo none", name="forwards")
    assert done.out == "none", repr(done)


X_CLIENT = """\
import os, socket, struct, subprocess
display = os.environ["DISPLAY"]
cookie = bytes.fromhex(subprocess.run(["xauth", "list", display], capture_output=True, text=True, check=True).stdout.split()[-1])
with socket.create_connection(("localhost", 6000 + int(display.split(":")[1].split(".")[0])), timeout=60) as s:
    s.sendall(b"l\\0" + struct.pack("<HHHHH", 11, 0, 18, len(cookie), 0) + b"MIT-MAGIC-COOKIE-1\\0\\0" + cookie)
    s.recv(1)
"""


@test
def x11_where_it_is_allowed(w):
    if not shutil.which("xauth"):
        skip("xauth is not installed (apt-get install xauth)")
    display = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve():
        c, _ = display.accept()
        with c:
            seen.append(c.recv(12))
    threading.Thread(target=serve, daemon=True).start()
    number = display.getsockname()[1] - 6000
    script = w.client / "client.py"
    script.write_text(X_CLIENT)
    w.client.chmod(0o755)
    done = w.ssh("python3 " + str(script), name="agents", options=["-Y"], env={"DISPLAY": f"127.0.0.1:{number}"})
    assert seen and seen[0][:2] == b"l\0", f"{done!r}\n{w.sshd.log()[-1500:]}"
    done = w.ssh("printenv DISPLAY; echo none", name="forwards", options=["-Y"], env={"DISPLAY": f"127.0.0.1:{number}"})
    assert done.out == "none", repr(done)


def more(w):
    proof = w.ca_proof() + " forwarding on"
    return (w.ssh_target("forwards", proof=proof, extra="channels exec direct-tcpip tcpip-forward;")
            + w.ssh_target("agents", proof=proof, extra="channels exec agent x11;"))


FORWARD_POLICY = SSH_POLICY + """\
rule "no-low-port" { doc = "Not below 1024.", on = "ssh.forward", when = { channel = "tcpip-forward", port = 7 }, deny = "Not there." }
rule "python" { doc = "The test's own.", on = "ssh.exec", when = { command = prefix "python3 " }, allow = { unclear = "program", name = "python3" } }
"""

ssh_main(more=more, policy=FORWARD_POLICY, sshd_extra="X11Forwarding yes\nX11UseLocalhost yes")
