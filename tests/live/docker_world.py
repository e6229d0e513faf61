# SPDX-License-Identifier: Apache-2.0
"""A real dockerd and a gateway in front of it: `from docker_world import *`, tests, `docker_main()`.

    w.docker("ps")                        the docker CLI through the gateway: a Result
    w.direct("ps")                        the same past it

Where dockerd can't run (no root, no cgroups) everything fails with what it said, unless SALLYPORT_NO_DOCKER says why that is fine.
"""

import base64
import fcntl
import hashlib
import pty
import select
import struct
import tarfile
import termios

import harness
from harness import *
from authority import Authority
from ssh_world import NoPostgres

DOCKER_POLICY = """\
rule "no-rm" { doc = "Nothing is removed by hand.", on = { "docker.exec", "docker.exec.create" }, when = { program = "rm" }, deny = "Ask for it in a ticket." }
rule "no-privileged" {
  doc  = "No container is privileged.",
  on   = "docker.container.create",
  when = { privileged = true },
  deny = "Run it without --privileged.",
}
rule "no-host-paths" {
  doc    = "Of the host only /srv/shared is seen.",
  on     = "docker.container.create",
  when   = { host_paths = any_of(prefix "/") },
  unless = { host_paths = prefix "/srv/shared" },
  deny   = "Mount a volume.",
}
rule "stop-prod" {
  doc     = "In production a lead agrees to a stop.",
  on      = "docker.container",
  when    = { action = { "stop", "remove" }, labels = "env=prod" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "held" {
  doc     = "factor waits.",
  on      = "docker.exec",
  when    = { program = "factor" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "pulls" {
  doc     = "Images of others wait for a lead.",
  on      = "docker.image",
  when    = { action = { "pull", "push" } },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "sh" { doc = "Shells are fine here.", on = { "docker.exec", "docker.exec.create", "docker.container.create" }, when = { program = "sh" }, allow = { unclear = "program", name = "sh" } }
rule "sh-words" {
  doc   = "… with what they make of variables.",
  on    = { "docker.exec", "docker.exec.create", "docker.container.create" },
  when  = { shell = "sh" },
  allow = { unclear = "shell", name = "variable" },
}
rule "build" { doc = "Builds are fine here.", on = "docker.image", when = { action = "build" }, allow = { unclear = "route", name = "build" } }
rule "build-body" { doc = "… with what they are built of.", on = "docker.image", when = { action = "build" }, allow = { unclear = "body", name = "build" } }
rule "buildkit" {
  doc   = "BuildKit passes as it is, for one.",
  on    = "docker.system",
  when  = { action = { "grpc", "session" }, user = "kit" },
  allow = { unclear = "route", name = "grpc" },
}
rule "buildkit-session" { doc = "… both.", on = "docker.system", when = { action = "session", user = "kit" }, allow = { unclear = "route", name = "session" } }
rule "mails" { doc = "No address on any screen.", on = "output", when = { user = "mails", detect = { "email" } }, mask = mask.redact }
"""

DOCKER_CONF = """\
load_module {modules}/docker.so;
listener docker     {{ listen 127.0.0.1:{port}; protocol docker; target engine; cleartext loopback; }}
listener docker_tls {{ listen 127.0.0.1:{tls_port}; protocol docker; target engine; tls cert={dir}/tls/cert.pem key={dir}/tls/key.pem certificates=on; }}
identity people {{ certificate ca={ca}; user claim=cn; groups claim=ou; }}
listener docker_unix {{ listen 127.0.0.1:{unix_port}; protocol docker; target local; cleartext loopback; }}
listener docker_own {{ listen 127.0.0.1:{own_port}; protocol docker; target own; cleartext loopback; }}
"""

DOCKER_TARGET = """\
target {name} {{
    protocol docker;
    server   {server};
    tls      off;
    allow    groups=dev,leads;
    label    env=prod;
    hold     2s;
    policy   {dir}/policies/docker.lua;
    {extra}
}}
"""

APPLETS = "sh ls cat echo sleep id head wc sha256sum seq stty tty env tar true false kill printf mkdir yes rm factor dd hostname trap test".split()


def no_docker(why):
    """What can't be shown here is a failure, unless somebody has said that it is not."""
    if os.environ.get("SALLYPORT_NO_DOCKER"):
        skip(f"{why} (SALLYPORT_NO_DOCKER={os.environ['SALLYPORT_NO_DOCKER']})")
    raise AssertionError(f"{why}; SALLYPORT_NO_DOCKER=REASON excuses it")


class Dockerd:
    """An engine of our own: no bridge, no iptables, its own folders."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        if not IS_ROOT:
            no_docker("dockerd wants root")
        if not os.access("/usr/sbin/dockerd", os.X_OK):
            no_docker("dockerd is not installed (apt-get install docker.io)")
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o755)
        self.port, self.sock = free_port(), self.dir / "sock"
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen(
            ["/usr/sbin/dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs", "--tls=false",
             f"--data-root={self.dir}/data", f"--exec-root={self.dir}/exec", f"--pidfile={self.dir}/pid", f"--host=unix://{self.sock}",
             f"--host=tcp://127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            wait_for(self.up, 40, said="dockerd did not come up")
            self.make_image()
            make_users()
            shutil.chown(self.sock, "root", "sallyport-dial")  # who may use the engine: root, and the one helper
            self.sock.chmod(0o660)
        except AssertionError as why:
            tail = (self.dir / "log").read_text(errors="replace")[-800:]
            self.stop()
            no_docker(f"dockerd does not run here: {why}: {tail}")

    def up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"dockerd ended with {self.process.returncode}")
        return self.sock.exists() and Gateway.listens(self.port)

    def make_image(self):
        root = self.dir / "root"
        (root / "bin").mkdir(parents=True)
        for name in ("etc", "tmp"):
            (root / name).mkdir()
        shutil.copy("/usr/bin/busybox" if os.access("/usr/bin/busybox", os.X_OK) else "/bin/busybox", root / "bin" / "busybox")
        for name in APPLETS:
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n")
        with tarfile.open(self.dir / "image.tar", "w") as t:
            t.add(root, ".")
        run(["docker", "import", "-c", "ENV PATH=/bin", self.dir / "image.tar", "test:1"], env=self.env(), check=True)

    def env(self):
        return {"DOCKER_HOST": f"unix://{self.sock}", "DOCKER_CONFIG": str(self.dir / "config")}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            if line.split()[1].startswith(str(self.dir)):
                run(["umount", "-l", line.split()[1]])


class DockerWorld(World):
    def __init__(self, policy=DOCKER_POLICY, **conf):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-", dir=os.environ.get("TMPDIR", "/tmp")))
        self.dir.chmod(0o755)
        self.stage = stage_folder()
        self.tokens = {}
        self.gateway = None
        self.pg = NoPostgres()
        self.engine = Dockerd(self.dir / "dockerd")
        self.gateway = g = Gateway(self.dir / "gateway", self.stage, self.pg, record="sync_wait 20s;", **conf)
        g.issuer = "on beside"
        self.authority = Authority(g.dir / "tls", "clients")
        self.docker_port, self.docker_tls_port, self.own_port, self.unix_port = (free_port() for _ in range(4))
        g.extra = DOCKER_CONF.format(modules=g.modules(), dir=g.dir, port=self.docker_port, tls_port=self.docker_tls_port, own_port=self.own_port,
                                    unix_port=self.unix_port, ca=self.authority.cert)
        g.more_targets = self.docker_target("engine") + self.docker_target("own", "select team=blue; owner sallyport.owner; stream_idle 5s;") + self.docker_target("local", server=f"unix:{self.engine.sock}")
        (g.dir / "policies" / "docker.lua").write_text(policy)
        g.write()

    def docker_target(self, name, extra="", server=None):
        return DOCKER_TARGET.format(name=name, server=server or f"127.0.0.1:{self.engine.port}", dir=self.gateway.dir, extra=extra)

    def start(self):
        super().start()
        self.direct("run", "-d", "--network", "none", "--name", "web", "--label", "env=prod", "-e", "DB_PASSWORD=hunter2", "-e", "SHOWN=yes", "test:1", "sleep", "100000", check=True)
        self.direct("run", "-d", "--network", "none", "--name", "blue", "--label", "team=blue", "--label", "sallyport.owner=ann", "test:1", "sleep", "100000", check=True)
        return self

    def end(self, keep=False):
        clean = super().end(keep=True)
        self.direct("kill", "web", "blue")
        self.engine.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean

    def config(self, user, groups, token=None):
        """A folder for DOCKER_CONFIG with the user's token in HttpHeaders."""
        token = token if token is not None else self.token(user, groups)
        folder = self.dir / "config" / hashlib.sha256(token.encode()).hexdigest()[:16]
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps({"HttpHeaders": {"Authorization": f"Bearer {token}"}}))
        return folder

    def env(self, user="ann", groups="dev", token=None, own=False):
        return {"DOCKER_HOST": f"tcp://127.0.0.1:{self.own_port if own else self.docker_port}", "DOCKER_CONFIG": str(self.config(user, groups, token)),
                "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}

    def docker(self, *args, user="ann", groups="dev", token=None, own=False, stdin="", timeout=60):
        return run(["docker", *args], env=self.env(user, groups, token, own), stdin=stdin, timeout=timeout)

    def docker_start(self, *args, user="ann", groups="dev", own=False, **pipes):
        env = dict(os.environ, LC_ALL="C.UTF-8", **self.env(user, groups, own=own))
        pipes = dict(dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), **pipes)
        return subprocess.Popen(["docker", *map(str, args)], env=env, **pipes)

    def direct(self, *args, stdin="", check=False):
        return run(["docker", *args], env=self.engine.env(), stdin=stdin, check=check)

    def same(self, *args, stdin="", **more):
        direct, through = self.direct(*args, stdin=stdin), self.docker(*args, stdin=stdin, **more)
        assert (direct.out, direct.err, direct.code) == (through.out, through.err, through.code), f"{args}\n{direct!r}\n{through!r}\n{self.gateway.logs()}"
        return through

    def tty(self, env, args, say):
        """(what the terminal shows, exit status) of 31 rows of 97 columns; say: pairs of what is waited for and what is typed then."""
        main, sub = pty.openpty()
        fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
        p = subprocess.Popen(["docker", *args], env=dict(os.environ, **env), stdin=sub, stdout=sub, stderr=sub, start_new_session=True)
        os.close(sub)
        shown, end, say = b"", time.monotonic() + 20 * SLOW, list(say)
        while time.monotonic() < end:
            ready, _, _ = select.select([main], [], [], 0.2)
            if ready:
                try:
                    piece = os.read(main, 65536)
                except OSError:
                    break
                if not piece:
                    break
                shown += piece
            if say and say[0][0] in shown.decode(errors="replace"):
                os.write(main, say.pop(0)[1].encode())
        os.close(main)
        if p.poll() is None and time.monotonic() >= end:
            p.kill()
        return shown.decode(errors="replace"), p.wait(20)

    def direct_tty(self, *args, **more):
        return self.tty(self.engine.env(), args, **more)

    def through_tty(self, *args, tls=False, **more):
        env = self.env()
        if tls:
            certificates = self.dir / "certificates"
            certificates.mkdir(exist_ok=True)
            shutil.copy(self.gateway.dir / "tls" / "cert.pem", certificates / "ca.pem")
            env.update(DOCKER_HOST=f"tcp://localhost:{self.docker_tls_port}", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(certificates))
        return self.tty(env, args, **more)

    def engine_exec(self, argv, name="web"):
        done = run(["curl", "-sS", "--unix-socket", self.engine.sock, "-H", "Content-Type: application/json", "-d", json.dumps({"Cmd": argv}),
                    f"http://x/containers/{name}/exec"])
        return done.json["Id"]

    def api_argv(self, method, path, body=None, user="ann", own=False):
        words = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {self.token(user)}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "--data-binary", body if isinstance(body, str) else json.dumps(body)]
        return [*words, f"http://127.0.0.1:{self.own_port if own else self.docker_port}{path}"]

    def api(self, *args, **more):
        """One request by curl: (status, body)."""
        text, _, status = run(self.api_argv(*args, **more)).out.rpartition("\n")
        return int(status), text

    def api_start(self, *args, **more):
        return subprocess.Popen(self.api_argv(*args, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def recording(self, user):
        """The text of all the user's sessions, once they have ended."""
        wait_for(lambda: (s := [x for x in self.sessions() if x["user"] == user]) and all(x["state"] == "ended" for x in s), said="a session did not end")
        text = ""
        for s in self.sessions():
            if s["user"] == user:
                text += wait_for(lambda: (r := self.command("replay", s["id"], "--speed", "0")).code == 0 and r, said="there is no recording").out
        return text


def docker_main(**conf):
    harness.World = lambda **more: DockerWorld(**more)
    main(**conf)
