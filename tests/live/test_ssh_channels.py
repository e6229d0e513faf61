#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Terminals, shared connections, forwards and what may not be opened (SS7, SS8, SS9, SS14), by OpenSSH's own client."""

import pty
import select

from ssh_world import *


class Terminal:
    """ssh -t in a pseudo terminal of ours."""

    def __init__(self, w, *command, user="ann", options=()):
        argv = w.ssh_argv(*command, options=["-t", *options])
        env = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8", **w.environment(w.token(user)))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.seen = b""

    def until(self, text, seconds=10):
        end = time.monotonic() + seconds * SLOW
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                got = b""
            assert got, f"it ended before {text!r}: {self.seen!r}"
            self.seen += got
        at = self.seen.index(text.encode()) + len(text)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before.decode(errors="replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=20):
        end = time.monotonic() + seconds * SLOW
        while True:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError("it did not end")
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@test
def a_shell_in_a_terminal(w):
    t = Terminal(w, user="tty")
    t.type("PS1='% '; stty size; echo here''now\n")
    t.until("herenow")
    import fcntl, struct, termios
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    os.kill(t.pid, signal.SIGWINCH)
    wait_for(lambda: (t.type("stty size; echo do''ne\n"), "33 77" in t.until("done\r\n"))[1], said="the new size did not arrive")
    t.type("sleep 12345\n")
    wait_for(lambda: "sleep 12345" in run(["ps", "ax", "-o", "args"]).out.splitlines(), said="it does not run")
    t.type("\x03")
    t.until("^C")
    t.type("exit 5\n")
    assert t.end() == 5
    text = w.recording("tty")
    assert "herenow" in text, text
    session = [s for s in w.sessions() if s["user"] == "tty"][0]["id"]
    cast = w.command("replay", session, "--format", "asciicast").out.splitlines()
    head = json.loads(cast[0])
    assert head["version"] == 2 and any("herenow" in json.loads(l)[2] for l in cast[1:] if json.loads(l)[1] == "o"), cast[:3]


@test
def what_is_not_echoed_is_not_recorded(w):
    t = Terminal(w, user="typist")
    t.type("PS1='% '; read -r -s -p 'wo''rd:' SECRET; echo ag''ain\n")
    t.until("word:")
    t.type("hunter2hunter2\n")
    t.until("again")
    t.type("exit\n")
    t.end()
    text = w.recording("typist")
    assert "hunter2hunter2" not in text and "again" in text, text


@test
def cards_are_hidden_in_a_terminal_too(w):
    t = Terminal(w)
    t.type("PS1='% '; printf '4111 1111'; printf ' 1111 1111\\n'; echo do''ne\n")
    said = t.until("done")
    t.type("exit\n")
    t.end()
    assert "1111 1111 1111" not in said and "****" in said, said


@test
def channels_of_one_connection_are_each_judged(w):
    path = w.client / "mux"
    options = ["-o", f"ControlPath={path}", "-o", "ControlPersist=no"]
    master = w.ssh_start(user="mux", options=["-M", "-N", *options])
    wait_for(path.exists, said="there is no master connection")
    run_one = lambda *command: w.ssh(*command, options=options, user="mux")
    held = w.ssh_start("factor", "9", options=options, user="mux")
    request = w.waiting_request()
    many = [w.ssh_start("echo", str(i), options=options, user="mux") for i in range(8)]
    assert [p.communicate(timeout=20 * SLOW)[0] for p in many] == [f"{i}\n" for i in range(8)]
    done = run_one("rm", "x")
    assert done.code == 126 and "no-rm" in done.err, repr(done)
    assert held.poll() is None, "one that waits delays no other, and is not let go by them"
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    assert held.communicate(timeout=20 * SLOW)[0] == "9: 3 3\n"
    hang_up(master)
    text = w.recording("mux")
    assert all(f"echo {i}" in text for i in range(8)) and "no-rm" in text, text


@test
def a_status_that_comes_long_after_the_output(w):
    """A shared connection's client closes a channel once both have said their last, and waits for the status then."""
    path = w.client / "late"
    options = ["-o", f"ControlPath={path}", "-o", "ControlPersist=no"]
    master = w.ssh_start(user="late", options=["-M", "-N", *options])
    try:
        wait_for(path.exists, said="there is no master connection")
        for end, code in (("exit 7", 7), ("exit 0", 0)):
            done = w.ssh(f"sh -c 'exec >&- 2>&-; sleep 1; {end}'", options=options, user="late")
            assert done.code == code, f"{end}: {done!r}"
    finally:
        hang_up(master)


@test
def ss8_forwards_are_refused_unless_allowed(w):
    done = w.ssh(options=["-W", f"127.0.0.1:{w.sshd.port}"])
    assert done.code != 0 and "SSH-2.0" not in done.out, repr(done)
    done = w.ssh(name="forwards", options=["-W", f"127.0.0.1:{w.sshd.port}"])
    assert done.out.startswith("SSH-2.0-OpenSSH"), f"{done!r}\n{w.gateway.logs()}"
    done = w.ssh(name="forwards", options=["-W", "127.0.0.1:1"])
    assert done.code != 0, repr(done)
    text = w.recording("ann")
    assert "direct-tcpip 127.0.0.1 1" in text, text
    port = free_port()
    done = w.ssh("true", options=["-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1"])
    assert done.code != 0 and "forward" in done.err.lower(), repr(done)
    done = w.ssh("true", name="forwards", options=["-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1"])
    assert done.code != 0, "what the target does not name"
    done = w.ssh(name="forwards", options=["-W", "169.254.169.254:80"])
    assert done.code != 0 and "no-metadata" in w.recording("ann"), repr(done)


@test
def ss8_channels_that_a_target_does_not_name(w):
    done = w.ssh("true", name="nothing")
    assert done.code == 126 and "unclear: channel" in done.err, repr(done)
    t = run(["sftp", *w.options(w.ssh_port), "-o", f"Port={w.ssh_port}", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no", "-b", "-",
             "nothing@127.0.0.1"], env=w.environment(w.token()), stdin="ls /\n")
    assert t.code != 0, repr(t)


@test
def ss9_variables_by_list(w):
    whole = {"LC_TEST": "fine", "LD_PRELOAD": "/x.so", "LC_BAD": "a\x1b[2Jb"}
    options = ["-o", "SendEnv=LC_TEST LC_BAD"]
    done = w.ssh("printenv LC_TEST; printenv LC_BAD; printenv LD_PRELOAD; true", options=options, env=dict(whole, LD_PRELOAD=""))
    assert done.out == "fine", repr(done)
    done = w.ssh("printenv LD_PRELOAD; printenv LC_X; true", options=["-o", "SetEnv=LD_PRELOAD=/x.so LC_X=1"])
    assert done.out == "1", repr(done)


@test
def ss14_no_agent_and_no_display_at_the_target(w):
    agent = run(["ssh-agent", "-s"]).out
    sock = re.search(r"SSH_AUTH_SOCK=([^;]+)", agent).group(1)
    pid = int(re.search(r"SSH_AGENT_PID=(\d+)", agent).group(1))
    try:
        argv = [a for a in w.ssh_argv("printenv SSH_AUTH_SOCK; printenv DISPLAY; echo end", options=["-A", "-X"]) if a != "IdentityAgent=none"]
        done = w.ssh("printenv SSH_AUTH_SOCK; printenv DISPLAY; echo end", options=["-A", "-X", "-o", f"IdentityAgent={sock}"], env={"SSH_AUTH_SOCK": sock})
        assert done.out == "end", f"{done!r} {argv}"
    finally:
        os.kill(pid, signal.SIGTERM)


@test
def ss8_subsystems_other_than_sftp_are_refused_by_name(w):
    done = w.ssh("netconf", options=["-s"], user="subs")
    assert done.code != 0 and "subsystem request failed" in done.err, repr(done)
    text = w.recording("subs")
    assert "refused: subsystem netconf" in text, text


@test
def ss13_a_host_key_that_is_not_pinned_ends_it(w):
    done = w.ssh("true", name="changed", options=LOUDLY)
    assert done.code == 255 and "is not the one that its configuration pins" in done.err and w.sshd.fingerprint() in done.err, repr(done)
    before = w.sshd.log().count("Accepted")
    w.ssh("true", name="changed")
    assert w.sshd.log().count("Accepted") == before, "something was proved to a stranger"


@test
def a_kill_ends_a_running_command(w):
    p = w.ssh_start("sleep", "100", user="victim")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "victim"], said="no live session")[0]["id"]
    wait_for(lambda: "sleep 100" in run(["ps", "ax", "-o", "args"]).out, said="it does not run")
    assert w.command("kill", session).code == 0
    p.communicate(timeout=20 * SLOW)
    assert p.returncode == 255


@test
def a_target_that_vanishes_ends_the_session(w):
    p = w.ssh_start("sleep", "10101", user="gone")
    wait_for(lambda: "sleep 10101" in run(["ps", "ax", "-o", "args"]).out.splitlines(), said="it does not run")
    found = [int(l.split()[0]) for l in run(["ps", "ax", "-o", "pid=,args="]).out.splitlines() if f"sshd: {LOGIN}" in l]
    assert found, run(["ps", "ax", "-o", "pid=,args="]).out
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # its parent took it along
    out, err = p.communicate(timeout=20 * SLOW)
    for line in run(["ps", "ax", "-o", "pid=,args="]).out.splitlines():
        if line.split()[1:] == ["sleep", "10101"]:
            os.kill(int(line.split()[0]), signal.SIGKILL)
    assert p.returncode == 255, (out, err)


def more(w):
    return (w.ssh_target("forwards", proof=w.ca_proof() + " forwarding on", extra="channels exec direct-tcpip;")
            + w.ssh_target("nothing", extra="channels shell;")
            + w.ssh_target("changed", host_key=fingerprint(w.gateway.dir / "tls" / "ssh_host_key.pub")))


POLICY_CHANNELS = SSH_POLICY + """\
rule "no-metadata" { doc = "Nobody asks the cloud.", on = "ssh.forward", when = { host = prefix "169.254." }, deny = "Not there." }
"""

ssh_main(more=more, policy=POLICY_CHANNELS)
