#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the gateway logs in at the target: a key that only the keeper has, a password that a program prints."""

from ssh_world import *


PASSWORD_LOGIN = f"sp-{os.getpid()}"  # its password is this run's own


def secret(w, name, text=None):
    """A file of the keeper's."""
    path = w.gateway.dir / "keeper" / name
    if text is not None:
        path.write_text(text)
    path.chmod(0o600)
    if IS_ROOT:
        shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
    return path


def with_targets(w):
    """The world's own, and two that log in with keys."""
    keygen(w.gateway.dir / "keeper" / "login_key")
    keygen(w.gateway.dir / "keeper" / "stranger_key")
    with (w.sshd.dir / "authorized_keys").open("a") as f:
        f.write((w.gateway.dir / "keeper" / "login_key.pub").read_text())
    (w.gateway.dir / "keeper" / "bad_key").write_text("no key\n")
    return "".join(w.ssh_target(name, proof=f"key=file:{secret(w, key)}") for name, key in (("keyed", "login_key"), ("stranger", "stranger_key")))


@test
def a_key_of_the_keepers(w):
    for command in ("id -un", "echo out; exit 3", "head -c 300000 /dev/zero | wc -c"):
        direct, through = w.direct(command), w.ssh(command, name="keyed")
        assert (direct.out, direct.code) == (through.out, through.code), f"{direct!r}\n{through!r}\n{w.gateway.logs()[-2000:]}"
    line = [l for l in w.sshd.log().splitlines() if "Accepted publickey" in l][-1]
    assert fingerprint(w.gateway.dir / "keeper" / "login_key.pub") in w.sshd.log() and "CERT" not in line, line


@test
def many_at_once(w):
    many = [w.ssh_start("echo", str(i), name="keyed", user=f"u{i}") for i in range(6)]
    assert [p.communicate(timeout=60 * SLOW)[0] for p in many] == [f"{i}\n" for i in range(6)]


@test
def a_trial_of_the_configuration_logs_in(w):
    done = w.gateway.daemon("-t", "--connect")
    text = done.out + done.err
    for name in ("host", "keyed"):
        assert f'target {name}, data login "{LOGIN}": the host key is known, and it logs in' in text, text
    assert f'target stranger, data login "{LOGIN}": the target does not let the gateway in' in text and "target host, no `catalogue" not in text, text


@test
def a_key_that_the_target_does_not_know(w):
    done = w.ssh("true", name="stranger", options=LOUDLY)
    assert done.code == 255 and "does not let the gateway in" in done.err and "authorized_keys" in done.err, repr(done)


@test
def another_login_name_needs_an_authority(w):
    more = w.ssh_target("many", proof=f"key=file:{w.gateway.dir}/keeper/login_key", extra="logins ghost;")
    w.write(w.gateway.more_targets + more)
    assert w.gateway.reload().code == 0
    done = w.ssh("true", name="ghost%many", options=LOUDLY)
    assert done.code == 255 and "another login name needs" in done.err, repr(done)


@test
def a_password_for_each_session(w):
    """`login command=`, which is lent as a Vault's password is."""
    if not IS_ROOT:
        skip("a login with a password can be made by root only")
    word = os.urandom(12).hex()
    crypted = run(["openssl", "passwd", "-6", word], check=True).out.strip()
    if run(["id", PASSWORD_LOGIN]).code != 0:
        run(["useradd", "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/bin/sh", PASSWORD_LOGIN], check=True)
    run(["usermod", "-p", crypted, PASSWORD_LOGIN], check=True)
    program = w.gateway.dir / "word"
    program.write_text(f"#!/bin/sh\necho {word}\n")
    program.chmod(0o755)
    w.write(w.gateway.more_targets + f"command word {{ run {program}; }}\n" + w.ssh_target("worded", login=PASSWORD_LOGIN, proof="command=word cleartext on")
            + w.ssh_target("unsaid", login=PASSWORD_LOGIN, proof="command=word"))
    done = w.gateway.reload()
    assert done.code == 0, repr(done)
    wait_for(lambda: w.gateway.children().get("lend"), said="no lender")
    done = w.ssh("id -un", name="worded")
    assert done.out == PASSWORD_LOGIN, f"{done!r}\n{w.gateway.logs()[-2000:]}"
    done = w.ssh("true", name="unsaid", options=LOUDLY)
    assert done.code == 255 and "cleartext on" in done.err, repr(done)
    run(["userdel", PASSWORD_LOGIN])


@test
def the_keys_to_a_target_are_exchanged(w):
    """As docs/operations.md says: the target knows both, the file is another, a reload; then the old one is taken away."""
    keeper, keys, authorities = w.gateway.dir / "keeper", w.sshd.dir / "authorized_keys", w.sshd.dir / "ca.pub"
    going = {name: w.ssh_start("cat", name=name, stdin=subprocess.PIPE) for name in ("keyed", "host")}
    wait_for(lambda: len(w.sessions(live=True)) == 2, 30, said="no live sessions")
    for name, mine, known in (("keyed", "login_key", keys), ("host", "ssh_ca", authorities)):
        new, old, there = keygen(w.dir / f"new_{mine}"), (keeper / mine).read_text(), known.read_text()
        public = (w.dir / f"new_{mine}.pub").read_text()
        known.write_text(there + public)
        (keeper / mine).write_text(new.read_text())
        done = w.gateway.reload()
        assert done.code == 0, repr(done)
        known.write_text(public)
        wait_for(lambda: w.ssh("id -un", name=name).code == 0, 30, said=f"the new {mine} is not used")
        known.write_text(there)
        assert w.ssh("id -un", name=name).code != 0, f"the old {mine} is used"
        (keeper / mine).write_text(old)
        done = w.gateway.reload()
        assert done.code == 0, repr(done)
        wait_for(lambda: w.ssh("id -un", name=name).code == 0, 30, said=f"the first {mine} is not used again")
    for one in going.values():
        assert one.communicate("lives\n", timeout=60 * SLOW)[0] == "lives\n"


@test
def the_listeners_host_key_is_read_anew(w):
    """Clients see the new one after a reload; sessions that are there go on; what is no key leaves the old one."""
    key = w.gateway.dir / "tls" / "ssh_host_key"
    old = key.read_text()

    def shown():
        seen = w.dir / "seen_host_keys"  # by a whole log-in: who breaks off in the key exchange makes libssh lose a buffer
        seen.unlink(missing_ok=True)
        changed = {f"UserKnownHostsFile={w.known}": f"UserKnownHostsFile={seen}", "StrictHostKeyChecking=yes": "StrictHostKeyChecking=accept-new"}
        done = run([changed.get(str(a), a) for a in w.ssh_argv("true", name="keyed")], env=w.environment(w.token()), stdin="")
        assert done.code == 0, repr(done)
        return seen.read_text().split()[2]
    first = shown()
    assert first == key.with_suffix(".pub").read_text().split()[1]
    going = w.ssh_start("cat", name="keyed", stdin=subprocess.PIPE)
    wait_for(lambda: w.sessions(live=True), 30, said="no live session")
    fresh = keygen(w.dir / "fresh_host_key")
    key.write_text(fresh.read_text())
    assert shown() == first, "without a reload"
    assert w.gateway.reload().code == 0, w.gateway.logs()
    wait_for(lambda: shown() == (w.dir / "fresh_host_key.pub").read_text().split()[1], 30, said="the old host key is shown")
    assert going.communicate("lives\n", timeout=60 * SLOW)[0] == "lives\n"
    key.write_text("no key\n")
    done = w.gateway.reload()
    assert done.code == 1 and "holds no private key" in done.err, repr(done)
    key.write_text(old)
    assert w.gateway.reload().code == 0
    wait_for(lambda: shown() == first, 30, said="the first host key does not come back")


@test
def what_is_no_key_is_refused(w):
    for proof, said in ((f"key=file:{secret(w, 'bad_key')}", "not an Ed25519 private key"), (f"{w.ca_proof()} key=file:{w.gateway.dir}/keeper/login_key", "one of ca="),
                        (f"key=file:{w.gateway.dir}/keeper/login_key cert={w.gateway.dir}/tls/cert.pem", "is for TLS")):
        w.write(w.ssh_target() + w.ssh_target("odd", proof=proof))
        done = w.gateway.reload()
        assert done.code != 0 and said in done.err, (proof, done)


ssh_main(more=with_targets, sshd_extra=f"Match User {PASSWORD_LOGIN}\n    PasswordAuthentication yes")
