#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Detectors over the contents of files, where a rule asks: SFTP and scp, and what is recorded of them (MK9)."""

import hashlib
import select
import struct

from ssh_world import *

CARD = b"4111 1111 1111 1111"
STARS = b"*" * len(CARD)
BLOCK = 32768


def folder(w, name):
    """On the target, which is this machine."""
    path = w.dir / name
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o777)
        path.parent.chmod(0o777 if path.parent != w.dir else 0o755)
    return path


def exported(w, name, content, where="exports"):
    path = folder(w, where) / name
    path.write_bytes(content)
    path.chmod(0o644)
    return path


def at_every_edge(blocks=8):
    """Text with a card across each edge of a packet, cut elsewhere each time, and one at the very end."""
    line = b"nothing of interest, line %06d\n"
    text = bytearray(b"".join(line % i for i in range((blocks + 1) * BLOCK // len(line % 0))))
    for i in range(1, blocks + 1):
        at = i * BLOCK - 1 - i % len(CARD)
        text[at - 1:at + len(CARD) + 1] = b" " + CARD + b" "
    return bytes(text) + b"last " + CARD


def sftp(w, batch, user="ann", options=()):
    argv = ["sftp", *options, *w.gate_options(), "-o", "BatchMode=no", "-b", "-", "host@127.0.0.1"]
    return run(argv, env=w.environment(w.token(user)), stdin=batch)


def scp(w, *args, user="ann"):
    return run(["scp", *w.gate_options(), *map(str, args)], env=w.environment(w.token(user)))


class Packets:
    """A client of SFTP whose packets are written by hand."""

    def __init__(self, w, user):
        self.process = w.ssh_start("sftp", user=user, options=("-s",), text=False, stdin=subprocess.PIPE)
        self.got, self.number = b"", 0
        self.send(struct.pack(">BI", 1, 3))
        assert self.read()[0] == 2

    def send(self, packet):
        self.process.stdin.write(struct.pack(">I", len(packet)) + packet)
        self.process.stdin.flush()

    def take(self, n):
        while len(self.got) < n:
            assert select.select([self.process.stdout], [], [], 30 * SLOW)[0], "no answer"
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, self.process.stderr.read()
            self.got += more
        out, self.got = self.got[:n], self.got[n:]
        return out

    def read(self):
        return self.take(struct.unpack(">I", self.take(4))[0])

    def ask(self, kind, *words):
        """The request's number; a word is bytes, or a number of as many bits as its width says."""
        self.number += 1
        body = b"".join(struct.pack(">I", len(x)) + x if isinstance(x, bytes) else x.to_bytes(y, "big") for x, y in
                        (w if isinstance(w, tuple) else (w, 0) for w in words))
        self.send(struct.pack(">BI", kind, self.number) + body)
        return self.number

    def answer(self):
        """(kind, number, rest)"""
        packet = self.read()
        return packet[0], struct.unpack(">I", packet[1:5])[0], packet[5:]

    def open(self, path, flags=1):
        self.ask(3, os.fsencode(path), (flags, 4), (0, 4))
        kind, _, rest = self.answer()
        assert kind == 102, rest
        return rest[4:]

    def ask_read(self, handle, offset, length):
        return self.ask(5, handle, (offset, 8), (length, 4))

    def reads(self, handle, offset, length):
        """bytes; or the status, as a number"""
        self.ask_read(handle, offset, length)
        kind, _, rest = self.answer()
        return rest[4:] if kind == 103 else struct.unpack(">I", rest[:4])[0]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30 * SLOW) == 0, self.process.stderr.read()


@test
def mk9_a_file_that_is_fetched(w):
    content = at_every_edge()
    path, to = exported(w, "edges", content), w.client / "edges"
    for options in ((), ("-B", "1000"), ("-R", "1", "-B", "7777")):
        done = sftp(w, f"get {path} {to}\n", options=options)
        got = to.read_bytes()
        assert done.code == 0 and len(got) == len(content), f"{options}: {len(got)} of {len(content)}: {done!r}"
        assert got == content.replace(CARD, STARS) and CARD not in got and got.count(STARS) == 9, f"{options}: {got.count(STARS)}"


@test
def mk9_a_few_bytes_at_a_time(w):
    content = b"a " + CARD + b" b\n" + CARD[:10] + b" not one\n" + CARD
    path = exported(w, "small", content)
    client = Packets(w, "few")
    for step in (1, 7, 19, 255 << 10):
        handle, got = client.open(path), b""
        while not isinstance(some := client.reads(handle, len(got), step), int):
            got += some
        assert some == 1 and got == content.replace(CARD, STARS), (step, some, got)
        client.ask(4, handle)
        client.answer()
    client.end()


@test
def mk9_not_in_order_is_refused(w):
    content = at_every_edge(2)
    path = exported(w, "order", content)
    client = Packets(w, "order")
    handle = client.open(path)
    assert client.reads(handle, BLOCK - 10, 20) == 8, "it began in the midst"
    assert client.reads(handle, 0, 100) == content[:100]
    assert client.reads(handle, 0, 100) == 8 and client.reads(handle, 99, 100) == 8 and client.reads(handle, 101, 100) == 8
    numbers = [client.ask_read(handle, offset, BLOCK) for offset in (100, 100 + 2 * BLOCK, 100 + BLOCK)]  # sent at once, the last two exchanged
    answers = [client.answer() for _ in numbers]
    assert [a[1] for a in answers] == numbers and [a[0] for a in answers] == [103, 101, 103], [a[:2] for a in answers]
    got = answers[0][2][4:] + answers[2][2][4:]
    assert got == content.replace(CARD, STARS)[100:100 + 2 * BLOCK], got
    # two handles of one file know nothing of each other, and each begins at its beginning
    other = client.open(path)
    assert client.reads(other, 100 + 2 * BLOCK, 10) == 8 and client.reads(other, 0, 10) == content[:10]
    client.end()
    to = w.client / "resumed"
    to.write_bytes(content[:BLOCK - 5])
    done = sftp(w, f"reget {path} {to}\n")
    assert done.code != 0 and CARD not in to.read_bytes(), repr(done)


@test
def links_lead_to_it_and_handles_that_write_read_it_too(w):
    content = b"pay " + CARD + b" now\n"
    path = exported(w, "linked", content)
    link = folder(w, "elsewhere") / "link"
    if not link.is_symlink():
        link.symlink_to(path)
    to = w.client / "linked"
    assert sftp(w, f"get {link} {to}\n").code == 0 and to.read_bytes() == content.replace(CARD, STARS), to.read_bytes()
    path.chmod(0o666)
    client = Packets(w, "writer")
    handle = client.open(path, 3)
    assert client.reads(handle, 0, 100) == content.replace(CARD, STARS)
    client.end()


@test
def other_files_are_as_they_are(w):
    content = b"pay " + CARD + b" now\n" + os.urandom(100000)
    path, to = exported(w, "plain", content, where="plain"), w.client / "plain"
    for flag in ((), ("-R", "1")):
        assert sftp(w, f"get {path} {to}\n", options=flag).code == 0 and to.read_bytes() == content, "a rule that asks for no file changed one"


@test
def mk9_scp_as_it_was(w):
    content = at_every_edge()
    one = exported(w, "one", content, "exports/scp")
    for name, text in (("two", CARD), ("empty", b"")):
        exported(w, name, text, "exports/scp")
    to = w.client / "scp"
    shutil.rmtree(to, ignore_errors=True)
    done = scp(w, "-O", "-r", "-p", f"host@127.0.0.1:{one.parent}", to)
    assert done.code == 0, repr(done)
    assert (to / "one").read_bytes() == content.replace(CARD, STARS) and (to / "two").read_bytes() == STARS, "a card came through"
    assert (to / "empty").read_bytes() == b""
    done = scp(w, "-O", f"host@127.0.0.1:{one.parent}/missing", to)
    assert done.code != 0 and "No such file" in done.err, repr(done)


@test
def mk9_scp_of_a_folder_above_and_by_a_name_in_the_home(w):
    """No path on the command line is one that the rule names; what comes may be."""
    text, hidden = b"to ann@example.org\n", b"to " + b"*" * len("ann@example.org") + b"\n"
    one = exported(w, "one", text, "above/lists")
    to = w.client / "above"
    shutil.rmtree(to, ignore_errors=True)
    done = scp(w, "-O", "-r", f"host@127.0.0.1:{one.parent.parent}", to, user="above")
    assert done.code == 0 and (to / "lists" / "one").read_bytes() == hidden, f"{done!r}: {(to / 'lists' / 'one').read_bytes()}"
    home = w.ssh("pwd", user="home").out.strip()
    two = exported(w, "two", text, "above")
    done = scp(w, "-O", f"host@127.0.0.1:{os.path.relpath(two, home)}", to / "relative", user="home")
    assert done.code == 0 and (to / "relative").read_bytes() == hidden, f"{done!r}: {(to / 'relative').read_bytes()}"
    done = scp(w, "-O", f"host@127.0.0.1:{two}", to / "absolute", user="home")
    assert done.code == 0 and (to / "absolute").read_bytes() == text, repr(done)


@test
def mk9_scp_to_somebody_who_waits(w):
    """Where the file ends is known: nothing is let out early, and nobody waits for the rest."""
    path = exported(w, "waits", b"a" * 70000 + b" " + CARD)
    p = w.ssh_start(f"scp -f {path}", text=False, stdin=subprocess.PIPE, user="waits")

    def take(n):
        got = b""
        while len(got) < n:
            assert select.select([p.stdout], [], [], 30 * SLOW)[0], f"only {len(got)} of {n}"
            got += os.read(p.stdout.fileno(), n - len(got))
        return got
    for answer, want in ((b"\0", b"C0644 70020 waits\n"), (b"\0", b"a" * 70000 + b" " + STARS + b"\0")):
        p.stdin.write(answer)
        p.stdin.flush()
        assert take(len(want)) == want, want[:40]
    p.stdin.write(b"\0")
    p.stdin.close()
    assert p.wait(30 * SLOW) == 0, p.stderr.read()


@test
def hashes_of_both_are_recorded_and_only_what_was_sent(w):
    content = b"pay " + CARD + b" now\n"
    path, to = exported(w, "kept", content), w.client / "kept"
    assert sftp(w, f"get {path} {to}\n", user="hashes").code == 0
    text = w.recording("hashes")
    sent, theirs = (hashlib.sha256(x).hexdigest() for x in (content.replace(CARD, STARS), content))
    assert f"sha256 {sent} as sent" in text and f"the target's {theirs}" in text, text
    assert CARD.decode() not in text and STARS.decode() in text, text


@test
def uploads_reach_the_target_as_they_are_and_the_recording_without(w):
    source = w.client / "upload"
    source.write_bytes(b"pay " + CARD + b" now\n" + b"x" * 40000 + b" " + CARD + b"\n")
    for user, how in (("sftpup", lambda to: sftp(w, f"put {source} {to}\n", user="sftpup")),
                      ("scpup", lambda to: scp(w, "-O", source, f"host@127.0.0.1:{to}", user="scpup"))):
        to = folder(w, "exports") / user
        done = how(to)
        assert done.code == 0 and to.read_bytes() == source.read_bytes(), repr(done)
        text = w.recording(user)
        assert CARD.decode() not in text and "pay ****" in text, text[-3000:]


POLICY = SSH_POLICY + """\
rule "cards-in-exports" {
  doc  = "No card leaves in an export.",
  on   = "output",
  when = { detect = { "card" }, path = matches "/exports(/|$)" },
  mask = mask.redact,
}
rule "addresses-in-lists" {
  doc  = "No address leaves in a list.",
  on   = "output",
  when = { detect = { "email" }, path = matches "/lists(/|$)" },
  mask = mask.redact,
}
"""

ssh_main(policy=POLICY, target_extra="contents *;")
