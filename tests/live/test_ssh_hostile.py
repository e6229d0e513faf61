#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that sends what it may not: before it has logged in, and afterwards (SS1, SS2, SS3, SS10, SS11, SS12).

It is paramiko, taught strict key exchange, whose messages are written by hand.
"""

import base64
import contextlib
import logging
import socket
import struct

from ssh_world import *

try:
    import paramiko
    from paramiko.message import Message
    logging.disable(logging.CRITICAL)
except ImportError:
    paramiko = None

NEWKEYS, SERVICE_REQUEST, SERVICE_ACCEPT, AUTH, AUTH_FAILURE, AUTH_SUCCESS, PK_OK, INFO_RESPONSE = 21, 5, 6, 50, 51, 52, 60, 61
GLOBAL, OPEN, WINDOW_ADJUST, REQUEST, SUCCESS, FAILURE = 80, 90, 93, 98, 99, 100


def hostile(w, strict=True):
    """A connection with keys, and nobody logged in."""
    if paramiko is None:
        skip("paramiko is not installed (apt-get install python3-paramiko)")

    class Client(paramiko.Transport):
        _preferred_ciphers = ("aes128-ctr",)
        _preferred_macs = ("hmac-sha2-256-etm@openssh.com",)  # the length of a packet goes in clear
        _preferred_kex = ("curve25519-sha256@libssh.org",) + (("kex-strict-c-v00@openssh.com",) if strict else ())

        def _activate_outbound(self):
            super()._activate_outbound()
            if strict:
                self.packetizer._Packetizer__sequence_number_out = 0

        def newkeys(self, m):
            paramiko.Transport._parse_newkeys(self, m)
            if strict:
                self.packetizer._Packetizer__sequence_number_in = 0

    Client._handler_table = dict(paramiko.Transport._handler_table)
    Client._handler_table[NEWKEYS] = Client.newkeys
    t = Client(socket.create_connection(("127.0.0.1", w.ssh_port)))
    t.daemon = True
    t.start_client(timeout=20 * SLOW)
    return t


def message(kind, *parts):
    m = Message()
    m.add_byte(bytes([kind]))
    for part in parts:
        if isinstance(part, bool):
            m.add_boolean(part)
        elif isinstance(part, int):
            m.add_int(part)
        else:
            m.add_string(part)
    return m


def say(t, sent):
    """It may have been cut off by what was said before."""
    with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
        t._send_message(sent)


def is_cut_off(t, said):
    wait_for(lambda: not t.is_active(), said=f"{said}: the connection lives on")
    t.close()


def healthy(w):
    """Nothing of all that has hurt the workers, and nobody got in."""
    done = w.ssh("echo", "well", user="healthy")
    assert done.out.strip() == "well", f"{done!r}\n{w.gateway.logs()}"


def workers(w):
    return sorted(w.gateway.children()["worker"])


def logged_in(w, user="ann"):
    t = hostile(w)
    made = w.command("ticket", "host", "--host", "127.0.0.1", "--format", "json", token=w.token(user, "dev", api=True)).json
    t.auth_password(made["id"], made["password"])
    assert t.is_authenticated()
    return t


@test
def ss1_without_strict_key_exchange_only_gcm(w):
    t = None
    try:
        t = hostile(w, strict=False)
    except (paramiko.SSHException, EOFError):
        pass
    if t is not None:
        is_cut_off(t, "no strict key exchange")
    wait_for(lambda: "strict key exchange" in w.gateway.logs(100), said="nobody said why")


@test
def ss3_messages_of_a_server_let_nobody_in(w):
    before, pids = len(w.sessions()), workers(w)
    opening = message(OPEN, b"session", 0, 1 << 20, 1 << 15)
    for said, sent in (("success", message(AUTH_SUCCESS)), ("failure", message(AUTH_FAILURE, b"none", False)), ("pk_ok", message(PK_OK, b"ssh-ed25519", b"x")),
                       ("an answer to no question", message(INFO_RESPONSE, 1, b"x")), ("service accept", message(SERVICE_ACCEPT, b"ssh-userauth")),
                       ("a global request", message(GLOBAL, b"tcpip-forward", True, b"", 0)), ("nothing", None)):
        t = hostile(w)
        if sent is not None:
            say(t, sent)
        say(t, opening)
        is_cut_off(t, said)
    assert len(w.sessions()) == before and workers(w) == pids
    healthy(w)


@test
def ss3_the_service_and_then_a_channel(w):
    t = hostile(w)
    say(t, message(SERVICE_REQUEST, b"ssh-connection"))
    say(t, message(OPEN, b"session", 0, 1 << 20, 1 << 15))
    is_cut_off(t, "ssh-connection before a log-in")
    healthy(w)


@test
def ss2_an_offer_is_no_proof(w):
    """The certificate of somebody, offered without a signature, and then a channel."""
    home = w.client / "home"
    home.mkdir()
    done = w.command("ssh-config", "--host", "127.0.0.1", token=w.token("vic", "dev", api=True), env={"HOME": str(home), "XDG_CONFIG_HOME": ""})
    assert done.code == 0, repr(done)
    kind, blob = (home / ".config" / "sallyport" / "ssh" / "key-cert.pub").read_text().split()[:2]
    blob = base64.b64decode(blob)
    offer = message(AUTH, b"host", b"ssh-connection", b"publickey", False, kind.encode(), blob)
    wrong = message(AUTH, b"host", b"ssh-connection", b"publickey", True, kind.encode(), blob,
                    message(0, b"ssh-ed25519", bytes(64)).asbytes()[1:])
    for said, sent in (("offered", [offer]), ("offered twice", [offer, offer]), ("signed with nothing", [offer, wrong])):
        t = hostile(w)
        say(t, message(SERVICE_REQUEST, b"ssh-userauth"))
        for one in sent:
            say(t, one)
        say(t, message(OPEN, b"session", 0, 1 << 20, 1 << 15))
        is_cut_off(t, said)
    assert not any(s["user"] == "vic" for s in w.sessions())
    healthy(w)


@test
def ss10_no_dress_hides_a_program(w):
    """What is judged is the command line, whole; keystrokes in a shell are not judged, and the operators' page says so."""
    for line in ("ls;rm x", "ls\nrm x", "r\"\"m x", "FOO=1 /bin/rm x"):
        done = w.ssh(line)
        assert done.code == 126 and "no-rm" in done.err, f"{line!r}: {done!r}"
    for line in ("$(echo rm) x", "echo cm0geA== | base64 -d | sh", "X=rm; $X x", "r? x"):
        done = w.ssh(line)
        assert done.code == 126, f"{line!r}: {done!r}"


@test
def ss11_lengths_after_the_keys(w):
    pids = workers(w)
    for head in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xf0", b"\x00\x00\x00\x00", b"\x00\x10\x00\x00", b"\x00\x00\x00\x01"):
        t = hostile(w)
        t.sock.sendall(head + os.urandom(60_000))
        is_cut_off(t, head.hex())
    t = logged_in(w)
    t.sock.sendall(b"\xff\xff\xff\xff" + os.urandom(60_000))
    is_cut_off(t, "logged in")
    assert workers(w) == pids
    healthy(w)


@test
def ss11_windows_at_their_edges(w):
    pids = workers(w)
    t = logged_in(w)
    c = t.open_session(window_size=1 << 15)
    for _ in range(4):
        t._send_message(message(WINDOW_ADJUST, c.remote_chanid, 0xffffffff))
    try:
        c.exec_command("echo over")
        c.settimeout(10 * SLOW)
        got = c.recv(100)
        assert got in (b"over\n", b""), got
    except (paramiko.SSHException, EOFError, OSError):
        pass  # cut off: fine, too
    t.close()
    assert workers(w) == pids
    healthy(w)


@test
def ss12_channels_without_end(w):
    pids = workers(w)
    t = logged_in(w)
    for i in range(1200):
        if not t.is_active():
            break
        try:
            t._send_message(message(OPEN, b"x11", 1000 + i, 1 << 20, 1 << 15, b"127.0.0.1", 6000))
        except (paramiko.SSHException, EOFError, OSError):
            break
    is_cut_off(t, "a thousand things that it can't have")
    assert workers(w) == pids
    healthy(w)


@test
def ss12_keys_that_cost_much(w):
    """A modulus of 65536 bits, offered, and signed with: neither is computed with."""
    pids = workers(w)
    number = lambda n: b"\0" + n
    blob = message(0, b"ssh-rsa", number(b"\x01\x00\x01"), number(b"\xff" * 8192)).asbytes()[1:]
    for signed in (False, True):
        t = hostile(w)
        say(t, message(SERVICE_REQUEST, b"ssh-userauth"))
        parts = [b"host", b"ssh-connection", b"publickey", signed, b"rsa-sha2-256", blob]
        say(t, message(AUTH, *parts, *([message(0, b"rsa-sha2-256", b"\x01" * 8192).asbytes()[1:]] if signed else [])))
        say(t, message(OPEN, b"session", 0, 1 << 20, 1 << 15))
        is_cut_off(t, f"signed {signed}")
    assert workers(w) == pids
    healthy(w)


def answers_of(t):
    """What the client's channel requests are answered with, in order."""
    got = []
    t._channel_handler_table = dict(t._channel_handler_table)
    t._channel_handler_table.update({SUCCESS: lambda channel, m: got.append(True), FAILURE: lambda channel, m: got.append(False)})
    return got


def decide(w, word):
    request = w.waiting_request()
    done = w.command(word, request["id"], "--comment", "so be it", token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)


def ask(t, c, kind, *parts):
    t._send_message(message(REQUEST, c.remote_chanid, kind, True, *parts))


def comes(c, n=100):
    c.settimeout(20 * SLOW)
    return c.recv(n)


@test
def each_request_has_its_own_answer(w):
    """One that was held, then a command behind it on the same channel: neither takes the other's answer."""
    for user, held, word in (("env", (b"env", b"LC_HELD", b"x"), "approve"), ("env", (b"env", b"LC_HELD", b"x"), "deny"),
                             ("starter", (b"subsystem", b"sftp"), "deny")):
        t = logged_in(w, user)
        got, c = answers_of(t), t.open_session()
        ask(t, c, *held)
        ask(t, c, b"exec", b"echo mine")
        w.waiting_request()
        assert got == [], f"{held}: answered before anybody has decided: {got}"
        decide(w, word)
        assert comes(c) == b"mine\n", f"{held} {word}: {got}"
        assert got == [word == "approve", True], f"{held} {word}: {got}"
        t.close()
    t = logged_in(w, "env")
    got, c = answers_of(t), t.open_session()
    ask(t, c, b"env", b"LC_HELD", b"x")
    ask(t, c, b"exec", b"rm x")
    decide(w, "approve")
    assert c.recv_exit_status() == 126 and got == [True, True], got
    t.close()
    t = logged_in(w, "starter")
    got, c = answers_of(t), t.open_session()
    ask(t, c, b"subsystem", b"sftp")
    decide(w, "approve")
    wait_for(lambda: got == [True], said=f"an approved start of sftp is answered {got}")
    t.close()
    healthy(w)


def packet(kind, number, *parts):
    body = bytes([kind]) + struct.pack(">I", number)
    for part in parts:
        body += struct.pack(">I", part) if isinstance(part, int) else struct.pack(">I", len(part)) + part
    return struct.pack(">I", len(body)) + body


def replies(c, n):
    got, data = [], b""
    while len(got) < n:
        more = comes(c, 1 << 15)
        assert more, f"{len(got)} answers came in place of {n}"
        data += more
        while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
            size = 4 + struct.unpack(">I", data[:4])[0]
            got.append(data[4:size])
            data = data[size:]
    return got


@test
def a_handle_that_is_being_closed_is_of_no_file(w):
    """CLOSE, OPEN of another, and what names the old handle, in one write: a server gives the handle to the other."""
    folder = w.dir / "handles"
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("mine", "other"):
        (folder / name).write_text(name)
        if IS_ROOT:
            shutil.chown(folder / name, LOGIN)
        (folder / name).chmod(0o644)
    t = logged_in(w, "closer")
    c = t.open_session()
    c.invoke_subsystem("sftp")
    c.sendall(packet(1, 3))
    replies(c, 1)
    for i in range(10):
        at = 100 * i
        c.sendall(packet(3, at, f"{folder}/mine".encode(), 1, 0))
        handle = replies(c, 1)[0]
        assert handle[0] == 102, handle
        handle = handle[9:]
        c.sendall(packet(4, at + 1, handle) + packet(3, at + 2, f"{folder}/other".encode(), 1, 0) + packet(10, at + 3, handle, 4, 0o666) +
                  packet(5, at + 4, handle, 0, 0, 5))
        got = {struct.unpack(">I", r[1:5])[0] - at: r for r in replies(c, 4)}
        assert (folder / "other").stat().st_mode & 0o777 == 0o644, "judged for one file and done to another"
        assert got[2][0] == 102, got
        c.sendall(packet(4, at + 9, got[2][9:]))
        replies(c, 1)
    t.close()
    healthy(w)


POLICY_HOSTILE = SSH_POLICY + """\
rule "held-variable" {
  doc     = "A variable that waits.",
  on      = "ssh.env",
  when    = { name = "LC_HELD" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "held-start" {
  doc     = "SFTP that waits.",
  on      = "ssh.sftp",
  when    = { operation = "start", user = "starter" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "other-stays" {
  doc  = "Its attributes stay.",
  on   = "ssh.sftp",
  when = { operation = "setstat", path = suffix "/other" },
  deny = "Not this one.",
}
"""

ssh_main(policy=POLICY_HOSTILE)
