#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets that are known by their host's certificate (`host_ca`), and certificates that are none (SS6, SS7, SS13)."""

import concurrent.futures
import select
import socketserver

from ssh_world import *

HOST = "127.0.0.1"
GOOD = {  # name: key of the host, of the authority; what ssh-keygen is told
    "plain": ("ed25519", "ed25519", []),
    "nistp256": ("ecdsa", "ed25519", []),
    "nistp384": ("ecdsa:384", "ecdsa", []),
    "nistp521": ("ecdsa:521", "ecdsa:521", []),
    "rsa": ("rsa:2048", "rsa:2048", []),
    "several": ("ed25519", "ecdsa:384", ["-n", f"elsewhere,{HOST}", "-V", "-1d:+1d"]),
}
BAD = {  # name: what ssh-keygen is told, what the client reads
    "expired": (["-V", "-2d:-1d"], "it is not in force now"),
    "early": (["-V", "+1d:+2d"], "it is not in force now"),
    "another": (["-n", "127.0.0.2"], "it is for another host"),
    "pattern": (["-n", "*"], "it is for another host"),
    "everybody": (["-n", ""], "it is for another host"),
    "critical": (["-O", "critical:force-command=true"], "it has a critical option"),
    "user": (None, "it is not a host's"),
    "stranger": ([], "another authority signed it"),
}


def make_key(path, kind):
    kind, _, bits = kind.partition(":")
    run(["ssh-keygen", "-q", "-N", "", "-t", kind, *(["-b", bits] if bits else []), "-f", path], check=True)
    return pathlib.Path(path)


class Certified:
    """An sshd with a certificate; `sign` says how it is made."""

    def __init__(self, w, name, kind="ed25519", ca="ed25519", sign=(), user=False, other_key=False, none=False):
        self.w, self.kind, self.sign, self.user, self.other_key, self.none = w, kind, list(sign), user, other_key, none
        folder = w.dir / ("host-" + name)
        self.keys = w.dir / ("keys-" + name)
        self.keys.mkdir()
        self.ca = make_key(self.keys / "ca", ca)
        self.sshd = Sshd(folder, before=self.before)
        w.others.append(self.sshd)

    def certify(self, key):
        names = [] if "-n" in self.sign else ["-n", HOST]
        if "-n" in self.sign and self.sign[self.sign.index("-n") + 1] == "":
            i = self.sign.index("-n")
            names, self.sign = [], self.sign[:i] + self.sign[i + 2:]
        run(["ssh-keygen", "-q", "-s", self.ca, *([] if self.user else ["-h"]), "-I", "host", *names, *self.sign, f"{key}.pub"], check=True)
        return f"{key}-cert.pub"

    def new_key(self, name):
        key = make_key(self.keys / name, self.kind)
        return f"HostKey {key}\nHostCertificate {self.certify(key)}\n"

    def before(self, sshd):
        lines = "" if self.none else self.new_key("key")
        own = f"HostKey {sshd.key}\n"
        text = sshd.conf.read_text()
        self.rest = text.replace(own, "").replace(f"TrustedUserCAKeys {sshd.dir}/ca.pub", f"TrustedUserCAKeys {self.w.sshd.dir}/ca.pub")
        sshd.conf.write_text((own if self.other_key or self.none else "") + lines + self.rest)

    def renew(self):
        """Another key and a certificate for it."""
        self.sshd.conf.write_text(self.new_key("renewed") + self.rest)
        self.sshd.stop()
        self.sshd.start()

    def asked(self):
        return self.sshd.log().count("certificate seen")

    def target(self, name, *more, ca=None, port=None):
        line = f"host_ca {fingerprint(f'{ca or self.ca}.pub')};"
        return self.w.ssh_target(name, port=port or self.sshd.port, extra="\n    ".join([line, *more])).replace(
            f"    host_key {self.w.sshd.fingerprint()};\n", "", 1)


class Repeats(socketserver.ThreadingTCPServer):
    """Passes connections on to a server until one has asked for a certificate, and answers all later ones with what that was told; or says nothing."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, port, silent=False):
        super().__init__((HOST, 0), None)
        self.to, self.silent, self.said, self.listens = port, silent, None, False
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        request.settimeout(30 * SLOW)
        with contextlib.suppress(OSError):
            self.relay(request) if self.said is None and not self.silent else self.repeat(request)

    def relay(self, request):
        said = asked = b""
        with socket.create_connection((HOST, self.to)) as server:
            while True:
                for end in select.select([request, server], [], [], 30 * SLOW)[0]:
                    more = end.recv(65536)
                    if not more:
                        self.said = said if self.listens and asked.startswith(b"SSH-2.0-sallyport\r\n") else self.said
                        return
                    (request if end is server else server).sendall(more)
                    said, asked = (said + more, asked) if end is server else (said, asked + more)

    def repeat(self, request):
        request.sendall(self.said or b"")
        while request.recv(65536):
            pass

    def stop(self):
        self.shutdown()
        self.server_close()


class Holds(socketserver.ThreadingTCPServer):
    """Passes connections on to a server, but none before it may."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, port):
        super().__init__((HOST, 0), None)
        self.to, self.came, self.may, self.port = port, 0, threading.Event(), self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        self.came += 1
        self.may.wait(30 * SLOW)
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.to)) as server:
            while True:
                for end in select.select([request, server], [], [], 30 * SLOW)[0]:
                    if not (more := end.recv(65536)):
                        return
                    (request if end is server else server).sendall(more)

    def stop(self):
        self.may.set()
        self.shutdown()
        self.server_close()


def more(w):
    text = ""
    if not hasattr(w, "hosts"):
        w.hosts = {name: Certified(w, name, kind, ca, sign) for name, (kind, ca, sign) in GOOD.items()}
        w.hosts |= {name: Certified(w, name, sign=sign or (), user=sign is None) for name, (sign, _) in BAD.items()}
        w.hosts |= {"renewed": Certified(w, "renewed"), "asked": Certified(w, "asked"),
                    "liar": Certified(w, "liar", other_key=True), "none": Certified(w, "none", none=True)}
        w.bare, w.named = Certified(w, "bare", none=True), Certified(w, "named", sign=["-n", "127.0.0.2"])
        w.repeats, w.silent = Repeats(w.hosts["plain"].sshd.port), Repeats(None, silent=True)
        w.holds, w.holds_by = Holds(w.hosts["plain"].sshd.port), w.hosts["several"].ca
        w.others += [w.repeats, w.silent, w.holds]
    for name, host in w.hosts.items():
        text += host.target(name, ca=w.hosts["plain"].ca if name == "stranger" else None)
    plain = w.hosts["plain"]
    return (text + plain.target("held", ca=w.holds_by, port=w.holds.port) + plain.target("repeated", port=w.repeats.port) + plain.target("again", port=w.repeats.port) + plain.target("silent", port=w.silent.port)
            + w.named.target("renamed", "host_name 127.0.0.2;")
            + plain.target("both", f"host_key {w.sshd.fingerprint()};")
            + w.bare.target("pinned", f"host_key {w.bare.sshd.fingerprint()};")
            + w.hosts["none"].target("unpinned", f"host_key {w.sshd.fingerprint()};"))


def refused(w, name, why):
    done = w.ssh("true", name=name, options=LOUDLY)
    assert done.code == 255 and why in done.err, f"{name}: {done!r}\n{w.gateway.logs()}"
    if name in w.hosts:
        assert "Accepted" not in w.hosts[name].sshd.log(), f"{name}: something was proved to a stranger"


def slow(w):
    """A client of a server that says nothing, and a trial of all targets; begun early, since each waits for ten seconds."""
    if not hasattr(w, "quiet"):
        w.quiet = w.ssh_start("true", name="silent", options=LOUDLY)
        w.trial = concurrent.futures.ThreadPoolExecutor(1).submit(w.gateway.daemon, "-t", "--connect")
    return w


@test
def keys_and_authorities_of_every_kind_are_known(w):
    slow(w)
    for name in GOOD:
        done = w.ssh("echo", name, name=name)
        assert done.code == 0 and done.out.strip() == name, f"{name}: {done!r}\n{w.gateway.logs()}"


@test
def what_a_certificate_says_is_remembered(w):
    host = w.hosts["asked"]
    for _ in range(w.gateway.workers + 4):
        assert w.ssh("true", name="asked").code == 0
    assert 1 <= host.asked() <= w.gateway.workers + 1, host.sshd.log()  # each worker once, and a trial


@test
def ss7_certificates_that_are_none_for_this_host(w):
    for name, (_, why) in BAD.items():
        refused(w, name, why)


@test
def ss13_a_server_whose_certificate_is_about_another_key(w):
    refused(w, "liar", "vouches for another key")


@test
def a_server_without_a_certificate_is_not_known(w):
    refused(w, "none", "it has no host certificate")
    refused(w, "unpinned", "it has no host certificate")


@test
def pins_and_authorities_stand_side_by_side(w):
    for name in ("both", "pinned"):
        done = w.ssh("true", name=name)
        assert done.code == 0, f"{name}: {done!r}\n{w.gateway.logs()}"


@test
def the_certificate_may_be_for_a_name_that_the_operator_says(w):
    done = w.ssh("true", name="renamed")
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"


@test
def what_another_server_said_is_no_proof(w):
    w.repeats.listens = True
    done = w.ssh("true", name="repeated")
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"
    wait_for(lambda: w.repeats.said is not None, said="what the server said is not there")
    refused(w, "again", "does not have its key")


@test
def a_server_that_says_nothing_is_not_waited_for_long(w):
    out, err = slow(w).quiet.communicate(timeout=60 * SLOW)
    assert w.quiet.returncode == 255 and "in time" in err, (out, err)


@test
def a_trial_of_the_configuration_asks_for_certificates(w):
    done = slow(w).trial.result(60 * SLOW)
    text = done.out + done.err
    assert f'target plain, data login "{LOGIN}": the host key is known, and it logs in' in text, text
    assert f'target another, data login "{LOGIN}": the target is not known (host_ca): its host certificate is refused: it is for another host' in text, text


@test
def certificates_are_scanned(w):
    host = w.hosts["several"]
    done = w.command("scan-hostkey", f"{HOST}:{host.sshd.port}")
    ca = fingerprint(f"{host.ca}.pub")
    assert done.code == 0 and f"host_key {fingerprint(host.keys / 'key.pub')};\n" in done.out and f"\nhost_ca {ca};\n" in done.out, repr(done)
    assert f"# {ca} ssh-ed25519-cert-v01@openssh.com for elsewhere,{HOST} until 20" in done.out, repr(done)
    got = w.command("scan-hostkey", "--json", f"{HOST}:{w.hosts['rsa'].sshd.port}").json["certificates"]
    assert [(c["kind"], c["authority"], c["names"], c["until"]) for c in got] == [
        ("ssh-rsa-cert-v01@openssh.com", fingerprint(f"{w.hosts['rsa'].ca}.pub"), HOST, 0)], got
    assert w.command("scan-hostkey", "--json", f"{HOST}:{w.hosts['user'].sshd.port}").json["certificates"] == [], "a user's certificate"


@test
def a_new_key_with_a_new_certificate_is_known_at_once(w):
    assert w.ssh("true", name="renewed").code == 0
    w.hosts["renewed"].renew()
    for _ in range(w.gateway.workers + 1):
        done = w.ssh("true", name="renewed")
        assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"


@test
def who_waits_reads_no_verdict_by_an_older_configuration(w):
    """Sessions before a reload and after it wait for one connection that asks, which knows what was listed before."""
    before = [w.ssh_start("true", name="held", options=LOUDLY) for _ in range(3 * w.gateway.workers)]
    wait_for(lambda: w.holds.came > 0, 30, said="nobody asks")
    waiting = lambda: sum(x["target"] == "held" for x in w.sessions())
    wait_for(lambda: waiting() == len(before), 30, said="not all are there")
    w.holds_by = w.hosts["plain"].ca
    w.write(more(w) + w.ssh_target())
    assert w.gateway.reload().code == 0, w.gateway.logs()
    after = [w.ssh_start("true", name="held", options=LOUDLY) for _ in range(3 * w.gateway.workers)]
    wait_for(lambda: waiting() == len(before + after), 30, said="not all are there after the reload")
    w.holds.may.set()
    for p in before + after:
        out, err = p.communicate(timeout=60 * SLOW)
        assert p in before or p.returncode == 0, f"{out} {err}\n{w.gateway.logs()}"


@test
def an_authority_that_the_operator_takes_out_counts_no_more(w):
    host = w.hosts["several"]
    assert w.ssh("true", name="several").code == 0
    w.write(more(w).replace(fingerprint(f"{host.ca}.pub"), fingerprint(f"{w.hosts['plain'].ca}.pub")) + w.ssh_target())
    assert w.gateway.reload().code == 0, w.gateway.logs()

    def is_refused():
        done = w.ssh("true", name="several", options=LOUDLY)
        return done.code == 255 and "another authority signed it" in done.err
    wait_for(lambda: all(is_refused() for _ in range(4)), said="what was remembered counts still")


ssh_main(more=more)
