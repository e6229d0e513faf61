#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A key certified by the gateway, and everything that is no such key (SS2, SS4, SS6, SS7)."""

from ssh_world import *


def home_of(w, name):
    home = w.client / f"home-{name}"
    home.mkdir(exist_ok=True)
    return home


def certified(w, user="ann", groups="dev", *args):
    """`sallyport ssh-config` of a user: the folder with key, certificate and config."""
    home = home_of(w, user)
    done = w.command("ssh-config", "--host", "127.0.0.1", *args, token=w.token(user, groups, api=True), env={"HOME": str(home), "XDG_CONFIG_HOME": ""})
    assert done.code == 0, repr(done)
    return home / ".config" / "sallyport" / "ssh", done


def by_config(w, folder, *command, name="host", options=()):
    """ssh with nothing but what `ssh-config` wrote."""
    return run(["ssh", "-F", folder / "config", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", *options, name, *command], env={"SSH_AUTH_SOCK": ""})


def by_key(w, key, certificate=None, *command, name="host"):
    """ssh with this key, and this certificate of it."""
    more = ["-o", f"CertificateFile={certificate}"] if certificate else []
    return run(["ssh", *w.options(w.ssh_port), "-o", f"Port={w.ssh_port}", "-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={key}", *more,
                "-o", "PreferredAuthentications=publickey", "-o", "BatchMode=yes", f"{name}@127.0.0.1", *(command or ("true",))])


def shown(certificate):
    return run(["ssh-keygen", "-L", "-f", certificate], check=True).out


@test
def ssh_config_is_all_that_ssh_needs(w):
    folder, done = certified(w)
    assert "1 host in" in done.out and (folder / "key").stat().st_mode & 0o77 == 0, repr(done)
    got = by_config(w, folder, "id", "-un")
    assert got.code == 0 and got.out.strip() == LOGIN, f"{got!r}\n{w.gateway.logs()}"
    text = shown(folder / "key-cert.pub")
    assert "user certificate" in text and "source-address" not in text and "permit-pty" in text, text
    session = [s for s in w.sessions() if s["user"] == "ann"][0]
    assert session["target"] == "host", session
    wait_for(lambda: any(e.get("event") == "ticket" and e.get("text") == "an SSH certificate" for e in w.gateway.audit()), said="no audit line")


@test
def ss13_the_gateways_own_key_is_known_by_what_it_writes(w):
    folder, _ = certified(w, "kim")
    known = folder / "known_hosts"
    assert known.read_text().split()[1:3] == (w.gateway.dir / "tls" / "ssh_host_key.pub").read_text().split()[:2], known.read_text()
    assert by_config(w, folder, "true").code == 0
    known.write_text("* " + (w.sshd.dir / "host_key.pub").read_text())
    got = by_config(w, folder, "true")
    assert got.code == 255 and "HOST IDENTIFICATION HAS CHANGED" in got.err, repr(got)
    known.unlink()
    got = by_config(w, folder, "true")
    assert got.code == 255 and "Host key verification failed" in got.err, repr(got)


@test
def what_it_writes_prefers_aes_gcm_and_removes_nothing(w):
    folder, _ = certified(w)
    ciphers = {line.split()[0]: line.split()[1] for line in run(["ssh", "-G", "-F", folder / "config", "host"], check=True).out.splitlines()
               if " " in line}["ciphers"].split(",")
    known = set(run(["ssh", "-G", "-F", "none", "host"], check=True).out.split("ciphers ")[1].split()[0].split(","))
    assert ciphers[:2] == ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"] and set(ciphers) == known, ciphers
    got = by_config(w, folder, "true", options=("-v",))
    assert got.code == 0 and "cipher: aes128-gcm@openssh.com" in got.err, repr(got)


@test
def rules_and_allowances_hold_as_with_a_token(w):
    folder, _ = certified(w)
    assert by_config(w, folder, "rm", "x").code == 126
    mal, _ = certified(w, "mal", "others")
    got = by_config(w, mal, "true", name="host") if "Host host" in (mal / "config").read_text() else by_key(w, mal / "key", mal / "key-cert.pub")
    assert got.code == 255 and "access denied" in got.err, repr(got)
    got = by_key(w, folder / "key", folder / "key-cert.pub", name="nobody%host")
    assert got.code == 255, "a login name that the target does not allow"
    got = by_key(w, folder / "key", folder / "key-cert.pub", name="elsewhere")
    assert got.code == 255, "a target that there is not"


@test
def it_ends_with_its_ticket_and_with_its_principal(w):
    folder, _ = certified(w, "eve")
    listed = [t for t in w.command("tickets", "--json", token=w.token("eve", "dev", api=True)).json["tickets"] if t["user"] == "eve"]
    assert len(listed) == 1 and listed[0]["target"] == "*", listed
    p = subprocess.Popen(["ssh", *w.options(w.ssh_port), "-p", str(w.ssh_port), "-o", "IdentitiesOnly=yes", "-i", str(folder / "key"),
                          "-o", f"CertificateFile={folder}/key-cert.pub", "host@127.0.0.1", "sleep", "100"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(s["user"] == "eve" for s in w.sessions(live=True)), said="no session")
    done = w.command("end", listed[0]["id"], token=w.token("eve", "dev", api=True))
    assert done.code == 0, repr(done)
    assert p.wait(20 * SLOW) == 255
    got = by_key(w, folder / "key", folder / "key-cert.pub")
    assert got.code == 255 and "revoked" in got.err, repr(got)
    folder, _ = certified(w, "rex")
    assert by_key(w, folder / "key", folder / "key-cert.pub").code == 0
    assert w.command("revoke", "--user", "rex").code == 0
    got = by_key(w, folder / "key", folder / "key-cert.pub")
    assert got.code == 255, repr(got)


@test
def ss2_a_certificate_without_its_private_key(w):
    folder, _ = certified(w)
    thief = w.client / "thief"
    thief.mkdir()
    key = keygen(thief / "key")
    shutil.copy(folder / "key-cert.pub", thief / "key-cert.pub")
    got = by_key(w, key, thief / "key-cert.pub")
    assert got.code == 255 and "denied" in got.err, repr(got)


@test
def ss6_ss7_certificates_that_are_none_of_ours(w):
    folder, _ = certified(w)
    own = next(line.split()[-1] for line in shown(folder / "key-cert.pub").splitlines() if "spt-" in line)
    other = w.client / "other"
    other.mkdir()
    ca, key = keygen(other / "ca"), keygen(other / "key")

    def sign(*args, by=ca):
        run(["ssh-keygen", "-q", "-s", by, "-I", "id", *args, f"{key}.pub"], check=True)
        return other / "key-cert.pub"

    for said, args in (("another authority", ["-n", own]), ("any principal", []), ("a host's", ["-h", "-n", own]),
                       ("two principals", ["-n", f"{own},{own}"]), ("an option that is not known", ["-n", own, "-O", "critical:x@y=z"])):
        got = by_key(w, key, sign(*args))
        assert got.code == 255 and "Permission denied" in got.err + got.out or "access denied" in got.err, f"{said}: {got!r}"
    # a certificate of ours as the authority: what it signs is not taken for ours (CVE-2025-49825)
    got = by_key(w, key, sign("-n", own, by=folder / "key"))
    assert got.code == 255, repr(got)
    assert by_key(w, key).code == 255, "a key alone is nobody's"
    # the target's authority is not the users'
    got = by_key(w, key, sign("-n", own, by=w.sshd.ca))
    assert got.code == 255, repr(got)
    for kind in ("ecdsa", "rsa"):
        run(["ssh-keygen", "-q", "-N", "", "-t", kind, "-f", other / kind], check=True)
        assert by_key(w, other / kind).code == 255


@test
def host_keys_are_scanned(w):
    done = w.command("scan-hostkey", f"127.0.0.1:{w.sshd.port}")
    assert done.code == 0 and done.out.startswith(f"host_key {w.sshd.fingerprint()};"), repr(done)
    assert "Compare" in done.err, repr(done)
    got = w.command("scan-hostkey", "--json", f"127.0.0.1:{w.sshd.port}").json
    assert got["keys"] == [{"kind": "ssh-ed25519", "fingerprint": w.sshd.fingerprint()}], got
    assert w.command("scan-hostkey", f"127.0.0.1:{free_port()}").code == 1
    assert w.command("scan-hostkey", "127.0.0.1:x").code == 2
    assert w.command("scan-hostkey", "--", "-oProxyCommand=id").code != 0


@test
def keys_that_are_not_certified(w):
    token = w.token("ann", "dev", api=True)
    for key in ("", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA", "x" * 5000):
        home = home_of(w, "bad")
        folder = home / ".config" / "sallyport" / "ssh"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.pub").write_text(key + "\n")
        done = w.command("ssh-config", token=token, env={"HOME": str(home), "XDG_CONFIG_HOME": ""})
        assert done.code == 1 and not (folder / "key-cert.pub").exists(), f"{key[:20]}: {done!r}"


ssh_main()
