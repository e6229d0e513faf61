# SPDX-License-Identifier: Apache-2.0
"""A real sshd and a gateway in front of it, for live tests: `from ssh_world import *`, tests, `ssh_main(policy=…)`.

    w.ssh("uname", user="ann")            OpenSSH's client through the gateway: a Result
    w.direct("uname")                     the same past it
"""

import contextlib
import fcntl
import hashlib
import pty
import select
import struct
import termios

import harness
from harness import *

SSH_POLICY = """\
rule "no-rm" {
  doc  = "Nothing is removed by hand.",
  on   = "ssh.exec",
  when = { program = "rm" },
  deny = "Ask for it in a ticket.",
}
rule "restart-needs-lead" {
  doc     = "Restarts wait for a lead.",
  on      = "ssh.exec",
  when    = { program = "factor" },
  approve = { by = "leads", within = "5m", unseen = true, ["else"] = "wait" },
}
rule "tac-needs-lead" {
  doc     = "A command that a lead has to have seen whole.",
  on      = "ssh.exec",
  when    = { program = "tac" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "variables" {
  doc   = "Variables are fine for echo.",
  on    = "ssh.exec",
  when  = { command = prefix "echo " },
  allow = { unclear = "shell", name = "variable" },
}
rule "sh" {
  doc   = "Scripts are fine here.",
  on    = "ssh.exec",
  when  = { command = prefix "sh -c " },
  allow = { unclear = "program", name = "sh" },
}
rule "cards" { doc = "No card on any screen.", on = "output", when = { detect = { "card" } }, mask = mask.redact }
rule "no-secrets-by-sftp" {
  doc  = "Secrets stay.",
  on   = "ssh.sftp",
  when = { path = matches "/secret" },
  deny = "Not by file either.",
}
"""

SSH_CONF = """\
load_module {modules}/ssh.so;
listener ssh {{ listen 127.0.0.1:{port}; protocol ssh; host_key {dir}/tls/ssh_host_key; {listener_extra} }}
"""

SSH_TARGET = """\
target {name} {{
    protocol ssh;
    server   127.0.0.1:{port};
    login    user={login} {proof};
    host_key {host_key};
    allow    groups=dev,leads;
    label    env=prod;
    policy   {dir}/policies/ssh.lua;
    {extra}
}}
"""

LOUDLY = ["-o", "LogLevel=INFO"]  # before the default: the first counts
LOGIN = "sp-deploy" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


def hang_up(client):
    """Ends an ssh that was started, gently; (stdout, stderr).  Once more if need be: a signal just before its poll() it does not see."""
    while True:
        client.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return client.communicate(timeout=5)


class NoPostgres:
    """The harness's gateway has a target orders; nobody asks for it here."""
    password, port = "none", 1

    def stop(self):
        pass


def keygen(path, *args):
    run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", path, *args], check=True)
    return pathlib.Path(path)


def fingerprint(public):
    return run(["ssh-keygen", "-l", "-E", "sha256", "-f", public], check=True).out.split()[1]


def make_login():
    if not IS_ROOT:
        return
    try:
        pwd.getpwnam(LOGIN)
    except KeyError:
        subprocess.run(["useradd", "--system", "--user-group", "--home-dir", "/var/lib/" + LOGIN, "--create-home",
                        "--shell", "/bin/bash", LOGIN], check=True)
    subprocess.run(["usermod", "-p", "*", LOGIN], check=True)  # not locked, and no password fits


class Sshd:
    """OpenSSH's server on 127.0.0.1, which trusts the gateway's authority."""

    def __init__(self, folder, extra="", before=None):
        """before: is given this before it is started, to change `conf` and files."""
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o755)
        self.port = free_port()
        make_login()
        self.key = keygen(self.dir / "host_key")
        self.user_key = keygen(self.dir / "user_key")  # for the way past the gateway
        self.ca = keygen(self.dir / "ca")
        keys = self.dir / "authorized_keys"
        keys.write_text((self.dir / "user_key.pub").read_text())
        keys.chmod(0o644)
        self.conf = self.dir / "sshd_config"
        self.conf.write_text(f"""\
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.key}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
TrustedUserCAKeys {self.dir}/ca.pub
AuthorizedKeysFile {keys}
AcceptEnv LANG LC_* LD_PRELOAD
Subsystem sftp internal-sftp
MaxSessions 50
MaxStartups 200
LogLevel VERBOSE
{extra}
""")
        if before is not None:
            before(self)
        self.start()

    def start(self):
        if IS_ROOT:
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(self.conf), "-E", str(self.dir / "log")],
                                        stdin=subprocess.DEVNULL)
        wait_for(lambda: Gateway.listens(self.port), said="sshd did not come up")

    def fingerprint(self):
        return fingerprint(self.dir / "host_key.pub")

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class SshWorld(World):
    def __init__(self, postgres=False, sshd_extra="", policy=SSH_POLICY, target_extra="", listener_extra="", login=None, more="", **conf):
        if not os.access("/usr/sbin/sshd", os.X_OK):
            skip("OpenSSH's server is not installed (apt-get install openssh-server)")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-", dir=os.environ.get("TMPDIR", "/tmp")))
        self.dir.chmod(0o755)
        self.stage = stage_folder()
        self.tokens = {}
        self.pg = self.gateway = None
        if not (self.stage / "lib" / "sallyport" / "modules" / "ssh.so").exists():
            skip("the ssh module was not built (apt-get install libssh-dev)")
        self.pg = NoPostgres()
        if postgres:
            self.pg = Postgres(self.dir / "pg")
            self.pg.make_orders()
        self.gateway = Gateway(self.dir / "gateway", self.stage, self.pg, **conf)
        self.sshd = Sshd(self.dir / "sshd", sshd_extra)
        self.others = []  # of a test's own, to be stopped with it
        self.ssh_port = free_port()
        self.listener_extra, self.ssh_policy, self.ssh_target_extra = listener_extra, policy, target_extra
        g = self.gateway
        keygen(g.dir / "tls" / "ssh_host_key")
        shutil.copy(self.sshd.ca, g.dir / "keeper" / "ssh_ca")
        if IS_ROOT:
            shutil.chown(g.dir / "tls" / "ssh_host_key", "sallyport", "sallyport")
            shutil.chown(g.dir / "keeper" / "ssh_ca", "sallyport-keeper", "sallyport-keeper")
        (g.dir / "keeper" / "ssh_ca").chmod(0o600)
        self.client = self.dir / "client"
        self.client.mkdir()
        self.known = self.client / "known_hosts"
        self.known.write_text(f"[127.0.0.1]:{self.ssh_port} " + (g.dir / "tls" / "ssh_host_key.pub").read_text()
                              + f"[127.0.0.1]:{self.sshd.port} " + (self.sshd.dir / "host_key.pub").read_text())
        self.askpass = self.client / "askpass"
        self.askpass.write_text('#!/bin/sh\nprintf "%s\\n" "$SALLYPORT_TEST_TOKEN"\n')
        self.askpass.chmod(0o755)
        self.more = more
        self.write()

    def ca_proof(self):
        return f"ca=file:{self.gateway.dir}/keeper/ssh_ca from=127.0.0.1"

    def ssh_target(self, name="host", **change):
        values = dict(name=name, port=self.sshd.port, login=LOGIN, proof=self.ca_proof(), host_key=self.sshd.fingerprint(),
                      dir=self.gateway.dir, extra=self.ssh_target_extra)
        return SSH_TARGET.format(**dict(values, **change))

    def write(self, targets=None):
        g = self.gateway
        g.extra = SSH_CONF.format(modules=g.modules(), dir=g.dir, port=self.ssh_port, listener_extra=self.listener_extra)
        g.more_targets = targets if targets is not None else self.ssh_target() + (self.more(self) if callable(self.more) else self.more)
        (g.dir / "policies" / "ssh.lua").write_text(self.ssh_policy)
        g.write()

    def end(self, keep=False):
        clean = super().end(keep=True)
        for server in [self.sshd, *self.others]:
            server.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean

    def options(self, port, *more):
        words = ["-F", "none", "-o", f"UserKnownHostsFile={self.known}", "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes",
                 "-o", "IdentityAgent=none", "-o", "NumberOfPasswordPrompts=1", "-o", "LogLevel=ERROR"]
        return words + list(more)

    def gate_options(self, *more):
        return self.options(self.ssh_port, "-o", "PubkeyAuthentication=no", "-o", f"Port={self.ssh_port}", *more)

    def environment(self, token):
        return {"SSH_ASKPASS": str(self.askpass), "SSH_ASKPASS_REQUIRE": "force", "SALLYPORT_TEST_TOKEN": token, "DISPLAY": ":0"}

    def ssh_argv(self, *command, name="host", options=()):
        return ["ssh", *options, *self.gate_options(), f"{name}@127.0.0.1", *command]

    def ssh(self, *command, name="host", user="ann", groups="dev", token=None, options=(), stdin=None, timeout=60, env=None):
        token = token if token is not None else self.token(user, groups)
        whole = dict(self.environment(token), **(env or {}))
        return run(self.ssh_argv(*command, name=name, options=options), env=whole, stdin=stdin if stdin is not None else "", timeout=timeout)

    def ssh_start(self, *command, name="host", user="ann", groups="dev", options=(), **pipes):
        env = dict(os.environ, LC_ALL="C.UTF-8", **self.environment(self.token(user, groups)))
        pipes = dict(dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE), **pipes)
        return subprocess.Popen(self.ssh_argv(*command, name=name, options=options), env=env, text=pipes.pop("text", True), **pipes)

    def direct_options(self):
        return self.options(self.sshd.port, "-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={self.sshd.user_key}", "-o", f"Port={self.sshd.port}")

    def direct(self, *command, stdin=None, options=()):
        return run(["ssh", *self.direct_options(), *options, f"{LOGIN}@127.0.0.1", *command], stdin=stdin if stdin is not None else "")

    def recording(self, user, *how):
        """The text of the user's last session, once it has ended."""
        ended = wait_for(lambda: [s for s in self.sessions() if s["user"] == user and s["state"] == "ended"], said="the session did not end")
        session = ended[0]["id"]
        got = wait_for(lambda: (r := self.command("replay", session, "--speed", "0", *how)).code == 0 and r, said="there is no recording")
        return got.out


class Terminal:
    """ssh in a terminal of ours, 24 rows of 80."""

    def __init__(self, w, *command, name="lines", user="ann", groups="dev", options=()):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(w.environment(w.token(user, groups)), TERM="xterm", LC_ALL="C.UTF-8")
            os.execvp("ssh", w.ssh_argv(*command, name=name, options=["-tt", *options]))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.seen = b""

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def until(self, text):
        """What came until this text did."""
        text = text.encode()
        end = time.monotonic() + 30 * SLOW
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} did not come: {self.seen!r}"
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                more = b""
            assert more, f"it ended without {text!r}: {self.seen!r}"
            self.seen += more
        before, _, self.seen = self.seen.partition(text)
        return before.decode(errors="replace")

    def end(self):
        try:
            while more := os.read(self.fd, 65536):
                self.seen += more
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def ssh_main(**conf):
    harness.World = lambda **more: SshWorld(**more)
    main(**conf)
