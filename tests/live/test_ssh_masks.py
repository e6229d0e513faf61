#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Detectors over what a command and a shell say: across packets, past escape sequences, and nothing else is changed."""

import select

from ssh_world import *

CARD = "4111 1111 1111 1111"


@test
def both_streams_of_a_command(w):
    done = w.ssh(f"sh -c 'echo pay {CARD} now; echo pay {CARD} later >&2'")
    assert (done.out, done.err, done.code) == ("pay **** now", "pay **** later", 0), repr(done)


@test
def mk9_an_escape_sequence_inside_hides_it_from_nobody(w):
    done = w.ssh(r"printf 'a \033[1m4111\033[0m 1111\033]0;t\007 1111 1111 z\n'")
    assert done.out == "a \x1b[1m****\x1b[0m\x1b]0;t\x07 z", repr(done.out)


@test
def mk9_pieces_that_come_slowly_are_joined_when_nobody_waits_for_them(w):
    """The command's input has ended: what it began to say is held until it is clear, however long that takes."""
    done = w.ssh("sh -c 'for i in 4111 1111 1111 1111; do printf $i; sleep 0.3; done; echo; echo end'")
    assert done.out == "****\nend", repr(done)


@test
def who_speaks_with_a_command_is_not_kept_waiting(w):
    """No end of line comes, and the client answers only what it has read."""
    p = w.ssh_start("sh -c 'printf \"name? \"; read -r n; printf \"hello %s\" \"$n\"; read -r n'", stdin=subprocess.PIPE)
    got = ""
    for want, answer in (("name? ", "ann\n"), ("name? hello ann", "x\n")):
        while got != want:
            ready, _, _ = select.select([p.stdout], [], [], 20 * SLOW)
            assert ready, f"only {got!r} came"
            got += os.read(p.stdout.fileno(), 100).decode()
        p.stdin.write(answer)
        p.stdin.flush()
    p.stdin.close()
    assert p.wait(20 * SLOW) == 0, p.stderr.read()


@test
def a_shell_s_screen(w):
    out = w.client / "screen"
    with open(out, "wb") as to:
        p = w.ssh_start(options=["-tt"], stdin=subprocess.PIPE, stdout=to, user="tty")
        p.stdin.write("stty -echo; PS1=; A=4111; printf '%s\\033[32m 1111 1111\\033[0m 1111\\n' $A; exit\n")
        p.stdin.flush()
        assert p.wait(20 * SLOW) == 0, p.stderr.read()
    text = out.read_bytes()
    assert b"****\x1b[32m\x1b[0m\r\n" in text and b"1111\x1b[0m 1111\r\n" not in text, text


@test
def byte_exact_when_nothing_is_found(w):
    """Escape sequences cut anywhere, bytes of no text at all, long lines; there and back."""
    screen = b"".join(b"\x1b[%d;%dH\x1b[3%dm%c\x1b]0;w%d\x07\r\n\x08 \x1b(B\x9b\xc2" % (i % 24, i % 80, i % 8, 65 + i % 26, i) for i in range(9000))
    data = screen + b"x" * 100_000 + bytes(set(range(256)) - set(b"0123456789")) * 900
    (w.dir / "screen").write_bytes(data)
    (w.dir / "screen").chmod(0o644)
    for command in (f"cat {w.dir}/screen", f"sh -c 'cat {w.dir}/screen >&2'"):
        out = w.client / "exact"
        with open(out, "wb") as to:
            p = w.ssh_start(command, stdout=to, stderr=to, text=False)
            assert p.wait(30 * SLOW) == 0
        assert out.read_bytes() == data, (len(out.read_bytes()), len(data))


POLICY_MASKS = SSH_POLICY + """\
rule "printf" { doc = "Text for a screen.", on = "ssh.exec", when = { command = prefix "printf " }, allow = { unclear = "shell", name = "variable" } }
"""

ssh_main(policy=POLICY_MASKS)
