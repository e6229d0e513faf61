#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs of the whole screen, past the gateway and through it: what a terminal shows of both is the same."""

import fcntl
import pty
import select
import struct
import termios

from ssh_world import *

try:
    import pyte
except ImportError:
    pyte = None


def make_screen(columns, rows):
    class Screen(pyte.Screen):
        def select_graphic_rendition(self, *attributes, private=False):  # vim asks xterm for more of its keys so
            if not private:
                super().select_graphic_rendition(*attributes)

    return Screen(columns, rows)


class Terminal:
    """ssh in a terminal whose screen can be read."""

    def __init__(self, w, argv, env, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env, TERM="xterm", LC_ALL="C.UTF-8")
            os.execvp(argv[0], argv)
        self.screen = make_screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.ended = False
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def read(self):
        while not self.ended and select.select([self.fd], [], [], 0)[0]:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                more = b""
            self.ended = not more
            self.stream.feed(more)

    def shows(self):
        self.read()
        return [line.rstrip() for line in self.screen.display], (self.screen.cursor.y, self.screen.cursor.x)

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


class Both:
    """The same keys to both; what they show has to become the same."""

    def __init__(self, w, user):
        if pyte is None:
            skip("python3-pyte is not installed (apt-get install python3-pyte)")
        direct = ["ssh", "-tt", *w.direct_options(), f"{LOGIN}@127.0.0.1"]
        self.all = [Terminal(w, direct, {}), Terminal(w, w.ssh_argv(options=["-tt"]), w.environment(w.token(user)))]
        try:
            self.both_show("$", "#", "bash-")
            self.type("stty sane; PS1='READY '; clear\r")
            self.same("READY")
        except BaseException:
            self.close()
            raise

    def both_show(self, *any_of):
        wait_for(lambda: all(any(word in line for line in t.shows()[0] for word in any_of) for t in self.all), 30 * SLOW,
                 said="no prompt came")

    def type(self, keys):
        for t in self.all:
            t.type(keys)

    def same(self, text, but=lambda line: line):
        """Until `text` is on both, and both are the same."""
        def look():
            a, b = (t.shows() for t in self.all)
            self.last = a, b
            return any(text in line for line in a[0]) and ([but(l) for l in a[0]], a[1]) == ([but(l) for l in b[0]], b[1])
        end = time.monotonic() + 30 * SLOW
        while not look():
            assert time.monotonic() < end, "past the gateway:\n" + "\n".join(self.last[0][0]) + "\nthrough it:\n" + "\n".join(self.last[1][0])
            time.sleep(0.05)

    def resize(self, rows, columns):
        for t in self.all:
            t.resize(rows, columns)

    def close(self):
        for t in self.all:
            t.close()


def in_both(user):
    def decorate(function):
        def run_it(w):
            both = Both(w, user)
            try:
                function(w, both)
            finally:
                both.close()
        run_it.__name__ = function.__name__
        return test(run_it)
    return decorate


@in_both("vim")
def vim(w, both):
    if not shutil.which("vim"):
        skip("vim is not installed (apt-get install vim)")
    both.type("vim -u NONE -i NONE -N -n --cmd 'set nocp'\r")
    both.same("VIM - Vi IMproved")
    both.type(":set number ruler\r")
    both.type("ifirst line\rzweite Zeile: äöü€\rthird\x1b")
    both.same("3,5")
    both.type("ggyy50p")
    both.same("2,1")
    both.type("G:syntax on\r:split\r")
    both.same("[No Name]")
    both.resize(30, 100)
    both.type("\x0c")
    both.same("52 zweite Zeile")
    both.type(":qa!\r")
    both.both_show("READY")
    both.type("clear\r")  # vim does not draw again what it has cleared, when keys wait; here or there
    both.same("READY")


@in_both("tmux")
def tmux(w, both):
    if not shutil.which("tmux"):
        skip("tmux is not installed (apt-get install tmux)")
    both.type("tmux -L t$$ -f /dev/null new 'PS1=\"in$((1)) \" bash --norc' \\; set -g status off \\; bind Q kill-server\r")
    both.same("in1")
    both.type("echo $((6 * 7))\r")
    both.same("42")
    both.type("\x02\"")
    both.same("qqqqqq")  # lines, in a terminal without UTF-8
    both.type("\x02%")
    both.type("\x02x")
    both.same("kill-pane")
    both.type("n")
    both.type("\x02Q")
    both.same("READY")


@in_both("top")
def top(w, both):
    both.type("top -d 100\r")
    both.same("COMMAND", but=lambda line: line if "PID" in line else "")
    both.resize(40, 120)
    both.type("h")
    both.same("Help for Interactive Commands", but=lambda line: line.partition(" - ")[0])
    both.type("q")
    both.same("COMMAND", but=lambda line: line if "PID" in line else "")
    both.type("q")
    both.same("READY", but=lambda line: line if line == "READY" else "")


ssh_main(policy='rule "nothing" { doc = "Nothing is refused here.", on = "ssh.exec", when = { program = "none" }, deny = "No." }\n')
