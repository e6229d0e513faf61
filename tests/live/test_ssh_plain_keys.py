#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Long-lived public keys: only those that the configuration lists, and nobody learns which (SS2, SS5)."""

from ssh_world import *

KEYS = {}


def conf(w):
    """One key of ann's, one of a job's without a group that helps, one that is nobody's."""
    for name in ("ann", "job", "nobody"):
        KEYS[name] = keygen(w.client / name)
    line = lambda name: " ".join((w.client / f"{name}.pub").read_text().split()[:2])
    return (f'ssh_key laptop {{ key "{line("ann")} ann@laptop"; user ann; groups dev; class human; }}\n'
            f'ssh_key nightly {{ key "{line("job")}"; user nightly; groups jobs; }}\n')


def by_key(w, name, *command, target="host", options=(), port=None):
    return run(["ssh", *w.options(port or w.ssh_port), "-o", f"Port={port or w.ssh_port}", "-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={KEYS[name]}",
                "-o", "PreferredAuthentications=publickey", "-o", "BatchMode=yes", *options, f"{target}@127.0.0.1", *(command or ("true",))])


def set_keys(w, text):
    w.gateway.extra = w.gateway.extra.split("ssh_key ")[0] + text
    w.gateway.write()
    done = w.gateway.reload()
    assert done.code == 0, repr(done)


@test
def a_listed_key_is_its_principal(w):
    set_keys(w, conf(w))
    done = by_key(w, "ann", "id", "-un")
    assert done.code == 0 and done.out == LOGIN, f"{done!r}\n{w.gateway.logs()[-2000:]}"
    assert by_key(w, "ann", "rm", "x").code == 126, "rules hold"
    session = w.sessions()[0]
    assert session["user"] == "ann" and session["target"] == "host", session
    lines = [e for e in w.gateway.audit() if e.get("event") == "admitted" and e.get("user") == "ann"]
    assert lines and lines[-1]["issuer"] == "sallyport:keys", lines


@test
def ss5_others_are_nobodys(w):
    done = by_key(w, "nobody", options=LOUDLY)
    assert done.code == 255 and "Permission denied (publickey" in done.err, repr(done)
    done = by_key(w, "job", options=LOUDLY)
    assert done.code == 255 and "access denied" in done.err, f"its groups open nothing here: {done!r}"
    assert by_key(w, "ann", target="nowhere").code == 255
    assert by_key(w, "ann", target="root%host").code == 255


@test
def ss2_what_is_offered_is_answered_alike(w):
    """Whether a key is anybody's is said to who signs with it only: each one is worth a signature."""
    for name in ("ann", "nobody"):
        asked = by_key(w, name, options=["-v"])
        assert "Server accepts key" in asked.err, (name, asked)


@test
def a_key_of_no_one_hinders_no_other_way(w):
    done = run(["ssh", *w.options(w.ssh_port), "-o", f"Port={w.ssh_port}", "-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={KEYS['nobody']}",
                "host@127.0.0.1", "echo in"], env=w.environment(w.token("bob")))
    assert done.code == 0 and done.out == "in", repr(done)


@test
def tries_are_counted(w):
    keys = [keygen(w.client / f"many{i}") for i in range(8)]
    done = run(["ssh", *w.options(w.ssh_port), "-o", f"Port={w.ssh_port}", "-o", "IdentitiesOnly=yes", *[a for k in keys for a in ("-i", k)], "-o", "LogLevel=INFO",
                "-o", "PreferredAuthentications=publickey", "-o", "BatchMode=yes", "host@127.0.0.1", "true"])
    assert done.code == 255 and "tried 6 times" in done.err, repr(done)


@test
def a_key_that_is_taken_off_the_list_ends_its_sessions(w):
    p = subprocess.Popen(["ssh", *w.options(w.ssh_port), "-p", str(w.ssh_port), "-o", "IdentitiesOnly=yes", "-i", str(KEYS["ann"]), "-o", "BatchMode=yes",
                          "host@127.0.0.1", "sleep", "133"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(s["user"] == "ann" for s in w.sessions(live=True)), said="no session")
    set_keys(w, "")
    assert p.wait(20 * SLOW) == 255
    assert by_key(w, "ann").code == 255


@test
def odd_lists_are_refused(w):
    line = " ".join((w.client / "ann.pub").read_text().split()[:2])
    before = w.gateway.extra
    for text, said in ((f'ssh_key a {{ key "{line}"; user x; }} ssh_key b {{ key "{line}"; user y; }}', "same key"),
                       ('ssh_key a { key "ssh-rsa AAAA"; user x; }', "Ed25519"), (f'ssh_key a {{ key "{line}"; }}', "user")):
        w.gateway.extra = before + text
        w.gateway.write()
        done = w.gateway.reload()
        assert done.code != 0 and said in done.err, (text, done)
    w.gateway.extra = before
    w.gateway.write()


@test
def ss11_who_says_nothing_is_cut_off(w):
    """Before the keys, and after them before the log-in: each has its time."""
    w.gateway.extra = w.gateway.extra.replace("keys on;", "keys on; timeout handshake=2s login=2s;")
    w.gateway.write()
    assert w.gateway.reload().code == 0
    with socket.create_connection(("127.0.0.1", w.ssh_port), timeout=60 * SLOW) as silent:
        said = b""
        while got := silent.recv(4096):
            said += got
        assert said.startswith(b"SSH-2.0-"), said
    count = lambda: w.gateway.logs(400).count("did not say who it is in time")
    wait_for(lambda: count() == 1, 60, said=w.gateway.logs)
    slow = w.client / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 300\n")
    slow.chmod(0o755)
    p = subprocess.Popen(w.ssh_argv("true", options=["-o", "PreferredAuthentications=password"]), start_new_session=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **dict(w.environment(""), SSH_ASKPASS=str(slow))))
    try:
        wait_for(lambda: count() > 1, 60, said=w.gateway.logs)
    finally:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()


ssh_main(listener_extra="keys on;")
