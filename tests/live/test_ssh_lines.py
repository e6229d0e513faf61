#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`shell exec`: a line editor in the gateway, each line a command that is judged; `shell off`; and who waits in a terminal gives up."""

import fcntl
import select
import struct
import termios

from ssh_world import *


@test
def each_line_is_a_command_that_is_judged(w):
    t = Terminal(w)
    t.until("lines:~> ")
    t.type("echo one two\r")
    t.until("\none two\r\n")
    t.until("lines:~> ")
    t.type("rm -rf /nothing\r")
    t.until("Ask for it in a ticket.")
    t.until("lines:~> ")
    t.type("echo `id`\r")
    t.until("blocked by rule")
    t.until("lines:~> ")
    t.type("cd /usr/bin/../share\r")
    t.until("lines:/usr/share> ")
    t.type("pwd\r")
    t.until("\n/usr/share\r\n")
    t.until("lines:/usr/share> ")
    t.type("cd /nowhere-at-all\r")
    t.until("No such file")
    t.until("lines:/usr/share> ")
    t.type("cd /tmp; cd -\r")   # within one line the target's shell does it, and it ends with it
    t.until("lines:/usr/share> ")
    t.type("cd ..\r")
    t.until("lines:/usr> ")
    t.type("cd -\r")
    t.until("lines:/usr/share> ")
    t.type("false\r")
    t.until("lines:/usr/share> ")
    t.type("exit\r")
    assert t.end() == 1
    said = w.recording("ann")
    assert "rm -rf /nothing" in said and "cd '/usr/share' && cd '..' && pwd" in said, said


@test
def editing_history_and_keys(w):
    t = Terminal(w, user="keys")
    t.until("lines:~> ")
    t.type("ecko x\x1b[D\x1b[D\x1b[D\x7fh\x05y\r")
    t.until("\nxy\r\n")
    t.until("lines:~> ")
    t.type("\x1b[A\r")
    t.until("\nxy\r\n")
    t.until("lines:~> ")
    t.type("not this\x03")
    t.until("^C\r\n")
    t.until("lines:~> ")
    t.type("cat\r")  # its input is the terminal's
    t.type("typed\r")
    t.until("typed\r\ntyped\r\n")
    t.type("\x03")
    t.until("lines:~> ")
    t.type("history\r")
    assert "echo xy\r\n" in t.until("lines:~> ")
    t.type("\x04")
    t.end()


@test
def variables_are_kept_by_list(w):
    t = Terminal(w, user="variables")
    t.until("lines:~> ")
    t.type("export LC_TEST='a b'\r")
    t.until("lines:~> ")
    t.type("printenv LC_TEST\r")
    t.until("\na b\r\n")
    t.until("lines:~> ")
    t.type("export LD_PRELOAD=/x.so\r")
    t.until("does not keep this variable")
    t.until("lines:~> ")
    t.type("exit 7\r")
    assert t.end() == 7


@test
def the_command_has_the_terminal_s_size(w):
    t = Terminal(w, user="size")
    t.until("lines:~> ")
    t.type("stty size\r")
    t.until("\n24 80\r\n")
    t.until("lines:~> ")
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    def resized():
        t.type("stty size\r")
        return "30 100" in t.until("lines:~> ")
    wait_for(resized, said="the size did not change")
    t.type("exit\r")
    t.end()


@test
def rc5_its_recording_is_played_and_harmless(w):
    """A title, a question and a bell are the terminal's own affair, not those of who looks later; sizes are kept."""
    t = Terminal(w, name="host", user="played")
    t.until("$ ")
    t.type("PS1='READY '\r")
    t.until("READY ")
    t.until("READY ")
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    t.type(r"printf '\033]0;owned\007\033[c\033[6n\033[32mgreen\033[0m\033]52;c;eA==\033\\\n'; sleep 0.1; stty size" + "\r")
    t.until("green")
    t.until("READY ")
    t.type("\x15exit\r")
    t.end()
    cast = w.recording("played", "--format", "asciicast").splitlines()
    head = json.loads(cast[0])
    assert (head["width"], head["height"]) == (80, 24), head
    assert [e for e in map(json.loads, cast[1:]) if e[1] == "r" and e[2] == "100x30"], cast
    screen = w.recording("played", "--format", "terminal")
    assert "\x1b[32mgreen\x1b[0m" in screen, screen
    for bad in ("\x1b]", "\x07", "\x1b[c", "\x1b[6n", "owned\x07", "\x1b\\"):
        assert bad not in screen, (bad, screen)


@test
def a_live_session_is_watched_and_ended(w):
    t = Terminal(w, user="watched")
    t.until("lines:~> ")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "watched"], said="no live session")[0]["id"]
    env = dict(os.environ, SALLYPORT_CONTROL=str(w.gateway.control))
    watch = subprocess.Popen([w.stage / "bin" / "sallyport", "watch", session], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    t.type("echo seen by another\r")
    seen = b""
    while b"\nseen by another" not in seen:
        assert select.select([watch.stdout], [], [], 30 * SLOW)[0], seen
        more = os.read(watch.stdout.fileno(), 65536)
        assert more, (seen, watch.stderr.read())
        seen += more
    assert w.command("kill", session, "--reason", "enough for today").code == 0
    assert t.end() == 255 and b"enough for today" in t.seen, t.seen
    assert watch.wait(30 * SLOW) == 0, watch.stderr.read()


@test
def why_it_was_ended_is_harmless_at_a_terminal(w):
    process = w.ssh_start("sleep", "60", user="ended")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "ended"], said="no live session")[0]["id"]
    assert w.command("kill", session, "--reason", "a\x1b[31mred" + "é" * 110).code == 0
    said = process.communicate(timeout=30 * SLOW)[1]
    # cut at 200 bytes, which is in the midst of one: no piece of it is left
    assert "a?[31mred" in said and said.rstrip().endswith(("\\303\\251", "\u00e9")), said


@test
def what_was_typed_into_a_shell_is_found_by_what_its_screen_showed(w):
    t = Terminal(w, user="typist", name="host")
    t.until("$ ")
    t.type("PS1='there> '\r")
    t.until("there> '")
    t.until("there> ")
    t.type("echo wor_ds-81\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x7f\r")  # back to what is too much
    t.until("words-81\r\n")
    t.until("there> ")
    t.type("stty -echo; echo may-type; read word; stty echo; echo read:${#word}\r")
    t.until("may-type\r\n")  # what comes before the terminal is read by lines has no end of line
    t.type("not-on-any-screen-4711\r")
    t.until("read:22")
    t.until("there> ")
    t.type("exit\r")
    assert t.end() == 0, t.seen
    text = w.recording("typist")
    assert "typed, as the screen shows it: echo words-81" in text, text
    assert "typed, as the screen shows it: stty -echo; echo may-type; read word" in text and "not-on-any-screen" not in text, text
    found = w.command("search", "it: echo words-81")
    assert found.code == 0 and "echo words-81" in found.out, repr(found)


@test
def masks_hold_in_it(w):
    t = Terminal(w, user="masks")
    t.until("lines:~> ")
    t.type(r"printf '4111\033[1m1111%s\n' 11111111" + "\r")
    t.until("****")
    assert "1111" not in t.until("lines:~> ")
    t.type("exit\r")
    t.end()


@test
def without_a_terminal_lines_are_read_as_they_come(w):
    done = w.ssh(name="lines", user="script", stdin="cd /usr\npwd\n# nothing\n\nrm x\ncat\nfalse || echo last; exit 3\necho after\nexit 5\n", options=["-T"])
    assert done.out.splitlines() == ["/usr", "last", "after"], repr(done)
    assert "Ask for it in a ticket" in done.err and done.code == 5, repr(done)
    done = w.ssh(name="lines", user="script", stdin="echo no end", options=["-T"])
    assert (done.out, done.code) == ("no end", 0), repr(done)


@test
def a_held_line_waits_and_is_given_up(w):
    t = Terminal(w, user="waits")
    t.until("lines:~> ")
    t.type("factor 6\r")
    t.until("^C gives up")
    t.type("\x03")
    t.until("given up")
    t.until("lines:~> ")
    wait_for(lambda: not [r for r in w.requests() if r["user"] == "waits"], said="the request is still there")
    t.type("factor 6\r")
    t.until("Request ")
    request = t.until(" ")
    t.until("^C gives up")
    assert w.command("approve", request, token=w.token("lea", "leads", api=True)).code == 0
    t.until("\n6: 2 3\r\n")
    t.until("lines:~> ")
    t.type("exit\r")
    assert t.end() == 0


@test
def a_command_that_waits_in_a_terminal_is_given_up(w):
    t = Terminal(w, "factor 6", name="host", user="waits2")
    t.until("^C gives up")
    t.type("\x03")
    t.until("given up")
    assert t.end() == 130
    wait_for(lambda: not [r for r in w.requests() if r["user"] == "waits2"], said="the request is still there")


@test
def a_terminal_has_its_time(w):
    t = Terminal(w, name="idle", user="idle")
    t.until("$ ")
    assert t.end() == 255 and b"this terminal was idle for too long" in t.seen, t.seen
    assert "this terminal was idle for too long" in w.recording("idle")
    t = Terminal(w, name="idle-lines", user="idle")
    t.until("idle-lines:~> ")
    assert t.end() == 255 and b"this terminal was idle for too long" in t.seen, t.seen
    t = Terminal(w, "sh -c 'while sleep 0.1; do echo x; done'", name="brief", user="brief")  # never idle
    assert t.end() == 255 and b"the time of this terminal is over" in t.seen, t.seen[-1000:]
    assert w.ssh("sleep 2; echo fine", name="brief", options=["-T"]).out == "fine", "a command without a terminal takes what it needs"


@test
def no_shell_where_it_is_off(w):
    done = w.ssh(name="off", user="off", stdin="id\n", options=["-T"])
    assert done.code != 0 and "uid=" not in done.out, repr(done)
    assert w.ssh("echo fine", name="off").out == "fine"


def more(w):
    return (w.ssh_target("lines", extra="shell exec;") + w.ssh_target("off", extra="shell off;") + w.ssh_target("idle", extra="shell_idle 1s;")
            + w.ssh_target("idle-lines", extra="shell exec; shell_idle 1s;") + w.ssh_target("brief", extra="shell_time 1s;"))


ssh_main(more=more)
