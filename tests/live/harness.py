# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL and a private gateway, for tests that use real ones.

    from harness import *

    @test
    def one_is_one(w):
        assert w.psql("SELECT 1").out == "1"

    main()                       # or main(policies=…, conf=…): one world for all tests of the file

Run a file by itself:            tests/live/test_first.py [-v] [--keep] [NAME…]
A world to look around in:       tests/live/harness.py        (prints how to connect, ends with Enter)
Where the gateway is installed:  $SALLYPORT_STAGE, else build/live/stage, built when missing.

Every file ends with one line `tally PASSED FAILED SKIPPED`, which run.py adds up.
"""

import atexit
import contextlib
import fcntl
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
IS_ROOT = os.geteuid() == 0
SANITIZED = os.environ.get("SALLYPORT_SANITIZED") == "1"
SLOW = 5 if SANITIZED else 1  # factor for deadlines of tests
# A sanitizer that has found something, or could not look.
LOUD = re.compile(r"ERROR: (Address|Leak)Sanitizer|LeakSanitizer has encountered|runtime error:|ended with status 99$", re.M)

_ports = set()


def free_port():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return port


def wait_for(what, seconds=10, step=0.05, said="it did not happen"):
    """Calls what() until it is true; its value, or AssertionError."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{said} within {seconds * SLOW} s")
        time.sleep(step)


@contextlib.contextmanager
def only_one(folder):
    """Of the test files that run at the same time one fills that folder, and the others find it full."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


class Result:
    """What a program said: .out and .err stripped, .code."""

    def __init__(self, done):
        self.out = (done.stdout or "").strip()
        self.err = (done.stderr or "").strip()
        self.code = done.returncode

    def __repr__(self):
        return f"code {self.code}\nout: {self.out}\nerr: {self.err}"

    @property
    def json(self):
        return json.loads(self.out)


def run(argv, env=None, stdin=None, timeout=60, check=False, **more):
    whole = {**os.environ, "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "20", **(env or {})}
    done = subprocess.run([str(a) for a in argv], env=whole, input=stdin, capture_output=True, text=True,
                          timeout=timeout * SLOW, errors="replace", **more)
    result = Result(done)
    if check and result.code != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: {result!r}")
    return result


# ---- PostgreSQL ----

def pg_bin():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if not found:
        skip("PostgreSQL's server is not installed (apt-get install postgresql)")
    return found[-1].parent


def as_user(name):
    """preexec and env for subprocess: another uid when we are root."""
    if not IS_ROOT:
        return {}
    who = pwd.getpwnam(name)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


class Postgres:
    """A server of our own on 127.0.0.1: SCRAM over TCP, trust on its own socket."""

    def __init__(self, folder, conf=""):
        self.bin = pg_bin()
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self.password = "app-" + os.urandom(9).hex()
        self.folder.mkdir(parents=True)
        if IS_ROOT:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
                  "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n"
                    "fsync = off\nmax_connections = 300\npassword_encryption = 'scram-sha-256'\n"
                    "log_connections = on\nlog_statement = 'all'\nshared_buffers = '32MB'\n" + conf)
        self.start()

    def _run(self, program, *args):
        done = subprocess.run([str(self.bin / program), *map(str, args)], capture_output=True, text=True,
                              cwd="/", **as_user("postgres"))
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")

    def start(self):
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-l", self.folder / "log", "start")

    def stop(self, mode="immediate"):
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-w", "-s", "-m", mode, "stop")

    def pid(self):
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def sql(self, text, database="orders"):
        """As the superuser, past the gateway; rows as `a|b` lines."""
        done = run(["psql", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database, "-XAtq",
                    "-v", "ON_ERROR_STOP=1", "-c", text])
        if done.code != 0:
            raise AssertionError(f"direct psql: {done!r}")
        return done.out

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def make_orders(self, more=""):
        """The database orders, with `more` SQL run as its owner."""
        self.sql("CREATE ROLE app_gw LOGIN PASSWORD '%s'" % self.password, "postgres")
        self.sql("CREATE DATABASE orders OWNER app_gw", "postgres")
        done = run(["psql", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d", "orders", "-Xq",
                    "-v", "ON_ERROR_STOP=1"], stdin=ORDERS_SQL + more)
        if done.code != 0:
            raise AssertionError(f"orders database: {done!r}")


ORDERS_SQL = """
SET ROLE app_gw;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text, card_number text, born date);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, item text, price numeric(10,2), state text);
INSERT INTO customers VALUES
  (1, 'Ada Lovelace',  'ada@example.com',   '4111111111111111', '1815-12-10'),
  (2, 'Grace Hopper',  'grace@example.org', '5500005555555559', '1906-12-09'),
  (3, 'Alan Turing',   'alan@example.net',  '340000000000009',  '1912-06-23'),
  (4, 'No Card',       NULL,                NULL,               NULL);
INSERT INTO orders SELECT n, 1 + n % 3, 'item ' || n, n * 1.5, CASE WHEN n % 2 = 0 THEN 'paid' ELSE 'open' END
  FROM generate_series(1, 100) n;
CREATE TABLE numbers AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 20000) n;
"""

# ---- the gateway ----

POLICY = """\
tag "pii" { "*.email", "*.card_number" }

rule "no-unbounded-write" {
  doc  = "DELETE and UPDATE must name the rows they change.",
  on   = "sql.statement",
  when = { verb = { "delete", "update" }, where = false },
  deny = "Add a WHERE clause that is not always true.",
}
rule "ddl-needs-dba" {
  doc     = "Schema changes wait for a DBA.",
  on      = "sql.statement",
  when    = { effects = "ddl" },
  approve = { by = "dba", within = "5m" },
}
rule "price-needs-lead" {
  doc     = "Changes to orders wait for a lead.",
  on      = "sql.statement",
  when    = { verb = "update", tables = "public.orders" },
  approve = { by = "leads", within = "5m" },
}
rule "hide-pii" {
  doc    = "Personal data is shown to the fraud team only.",
  on     = "sql.result",
  when   = { column = tagged "pii" },
  unless = { groups = "fraud" },
  mask   = mask.last4,
}
"""

CONF = """\
user          sallyport;
workers       {workers};
load_module   {modules}/postgres.so;
pid           {dir}/run/sallyportd.pid;
log           {dir}/log/error.log level={level};
audit         {dir}/log/audit.jsonl;
access        {dir}/log/access.log;
control       {dir}/run/control.sock mode=0600 may=mint;
store         {store};
record        {{ store {dir}/sessions; anchor {anchor}; {record} }}
local_issuer  {issuer};
{extra}
{console}
listener pg   {{ listen 127.0.0.1:{port}; protocol postgres; cleartext loopback; }}
listener pgs  {{ listen 127.0.0.1:{tls_port}; protocol postgres; tls cert={dir}/tls/cert.pem key={dir}/tls/key.pem; }}
{targets}
"""

CONSOLE = "console {{ listen 127.0.0.1:{port}; tls cert={dir}/tls/cert.pem key={dir}/tls/key.pem; url https://localhost:{port}; {more} }}"

TARGET = """\
target {name} {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     user=app_gw secret=file:{dir}/keeper/orders.secret;
    database  orders;
    databases *;
    allow     groups=dba,dev,leads,fraud;
    label     env=prod;
    policy    {dir}/policies/orders.lua;
    {extra}
}}
"""

ROLES = ("sallyport", "sallyport-keeper", "sallyport-recorder", "sallyport-console", "sallyport-fetch", "sallyport-saml",
         "sallyport-lend", "sallyport-ship", "sallyport-dial")


def make_users():
    if not IS_ROOT:
        return
    for name in ROLES:
        try:
            pwd.getpwnam(name)
        except KeyError:
            subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                            "--shell", "/usr/sbin/nologin", name], check=True)


def owned(path, user, mode=0o700):
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    if IS_ROOT:
        shutil.chown(path, user, user)
    path.chmod(mode)
    return path


class Gateway:
    """sallyportd in a folder of its own.  Change .policy, .extra …, then write() and reload()."""

    def __init__(self, folder, stage, pg, **conf):
        self.dir = pathlib.Path(folder)
        self.stage = pathlib.Path(stage)
        self.pg = pg
        self.port, self.tls_port, self.console_port = free_port(), free_port(), free_port()
        self.console = conf.get("console", False)  # True, or what more stands in the block
        self.policy = conf.get("policy", POLICY)
        self.extra = conf.get("extra", "")
        self.store = conf.get("store", f"sqlite:{self.dir}/keeper/state.db")
        self.record = conf.get("record", "")
        self.anchor = conf.get("anchor", f"file:{self.dir}/anchor/anchor")
        self.target_extra = conf.get("target_extra", "")
        self.more_targets = conf.get("more_targets", "")
        self.workers = conf.get("workers", 2)
        self.level = "debug" if os.environ.get("SALLYPORT_DEBUG") else "info"
        self.process = None
        self.issuer = "on"  # … "on beside" other identities
        self.wrap = []  # a command before sallyportd: ["prlimit", …]
        make_users()
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o755)
        for name in ("run", "log", "tls", "policies", "anchor"):
            (self.dir / name).mkdir()
        owned(self.dir / "keeper", "sallyport-keeper")
        owned(self.dir / "sessions", "sallyport-recorder", 0o750)
        owned(self.dir / "anchor", "sallyport-recorder", 0o755)
        secret = self.dir / "keeper" / "orders.secret"
        secret.write_text(pg.password + "\n")
        secret.chmod(0o600)
        if IS_ROOT:
            shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
        self._certificate()
        self.write()

    def _certificate(self):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.dir / "tls" / "key.pem", "-out", self.dir / "tls" / "cert.pem"], check=True)
        (self.dir / "tls" / "key.pem").chmod(0o600)
        if IS_ROOT:  # the workers' key: read by the check process, which has the workers' uid
            shutil.chown(self.dir / "tls" / "key.pem", "sallyport", "sallyport")

    @property
    def conf_file(self):
        return self.dir / "sallyport.conf"

    @property
    def control(self):
        return self.dir / "run" / "control.sock"

    def modules(self):
        return self.stage / "lib" / "sallyport" / "modules"

    def conf_text(self):
        target = TARGET.format(name="orders", port=self.pg.port, dir=self.dir, extra=self.target_extra)
        console = CONSOLE.format(port=self.console_port, dir=self.dir, more=self.console if isinstance(self.console, str) else "")
        return CONF.format(console=console if self.console else "", modules=self.modules(), dir=self.dir, level=self.level, workers=self.workers, port=self.port, tls_port=self.tls_port,
                           anchor=self.anchor, issuer=self.issuer, record=self.record, extra=self.extra, store=self.store, targets=target + self.more_targets)

    def write(self, text=None):
        """The conf and policy files, as they stand in this object."""
        (self.dir / "policies" / "orders.lua").write_text(self.policy)
        self.conf_file.write_text(text if text is not None else self.conf_text())

    def daemon(self, *args, **more):
        return run([self.stage / "sbin" / "sallyportd", "-c", self.conf_file, *args], **more)

    def times_ready(self):
        path = self.dir / "log" / "error.log"
        return path.read_text(errors="replace").count(" is ready: ") if path.exists() else 0

    def start(self):
        """Until all processes are ready: before that, the death of one is the end of the start."""
        before = self.times_ready()
        self.stderr = open(self.dir / "log" / "stderr", "ab")
        self.process = subprocess.Popen([*self.wrap, str(self.stage / "sbin" / "sallyportd"), "-c", str(self.conf_file), "-f"],
                                        stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr, cwd="/",
                                        env=self.environment())

        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"sallyportd ended with {self.process.returncode}:\n{self.logs()}")
            return self.times_ready() > before and self.control.exists() and self.listens(self.port)
        wait_for(up, 20, said=f"the gateway did not come up:\n{self.logs()}")

    @staticmethod
    def environment():
        whole = dict(os.environ)
        if SANITIZED:
            whole.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99:log_path=stderr")
            whole.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        return whole

    @staticmethod
    def listens(port):
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", port)) == 0

    def stop(self, how=signal.SIGTERM, seconds=15):
        """Ends it; True when it went by itself."""
        if self.process is None or self.process.poll() is not None:
            return self.process is None or self.process.returncode == 0
        self.process.send_signal(how)
        try:
            self.process.wait(seconds * SLOW)
            return self.process.returncode == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False

    def reload(self):
        return self.daemon("-s", "reload")

    def children(self):
        """{role: [pid…]} of the running processes."""
        found = {}
        for line in run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="]).out.splitlines():
            pid, _, args = line.strip().partition(" ")
            match = re.search(r"sallyport-(\w+)", args)
            if match:
                found.setdefault(match.group(1), []).append(int(pid))
        return found

    def logs(self, lines=40):
        text = ""
        for name in ("stderr", "error.log"):
            path = self.dir / "log" / name
            if path.exists():
                text += f"--- {name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) + "\n"
        return text

    def loud(self):
        """What sanitizers have said from first to last, in every log that this gateway wrote; '' when nothing."""
        text = "".join(path.read_text(errors="replace") for path in sorted((self.dir / "log").glob("*err*")))
        found = LOUD.search(text)
        return "" if found is None else text[max(0, found.start() - 400):found.start() + 20000]

    def audit(self):
        """The lines that stand there whole: the last one may be on its way."""
        path = self.dir / "log" / "audit.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]


class Waiting:
    """A psql that runs by itself: .result() waits for its end."""

    def __init__(self, argv, env, stdin=None):
        self.process = subprocess.Popen([str(a) for a in argv], env={**os.environ, "LC_ALL": "C.UTF-8", **env}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.done = None
        if stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.flush()

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def running(self):
        return self.process.poll() is None

    def result(self, seconds=30):
        out, err = self.process.communicate(timeout=seconds * SLOW)
        return Result(subprocess.CompletedProcess([], self.process.returncode, out, err))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


class World:
    def __init__(self, **conf):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-", dir=os.environ.get("TMPDIR", "/tmp")))
        self.dir.chmod(0o755)
        self.stage = stage_folder()
        self.tokens = {}
        self.pg = self.gateway = None
        self.pg = Postgres(self.dir / "pg", conf.pop("pg_conf", ""))
        self.pg.make_orders(conf.pop("sql", ""))
        self.gateway = Gateway(self.dir / "gateway", self.stage, self.pg, **conf)

    def start(self):
        self.gateway.start()
        return self

    def end(self, keep=False):
        clean = self.gateway.stop() if self.gateway is not None else True
        if self.pg is not None:
            self.pg.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean

    def command(self, *args, token=None, stdin=None, env=None, timeout=60):
        """The `sallyport` command over the control socket, under `token` or as this uid."""
        whole = dict(env or {}, SALLYPORT_CONTROL=str(self.gateway.control))
        if token is not None:
            whole["SALLYPORT_TOKEN"] = token
        return run([self.stage / "bin" / "sallyport", *args], env=whole, stdin=stdin, timeout=timeout)

    def token(self, user="ann", groups="dev", ttl="10m", api=False, fresh=False):
        key = (user, groups, ttl, api)
        if fresh or key not in self.tokens:
            args = ["token", "--user", user, "--groups", groups, "--ttl", ttl] + (["--api"] if api else [])
            done = self.command(*args)
            assert done.code == 0, f"sallyport token: {done!r}\n{self.gateway.logs()}"
            self.tokens[key] = done.out
        return self.tokens[key]

    def dsn(self, database="orders", user="ann", tls=False, direct=False):
        if direct:
            return f"host=127.0.0.1 port={self.pg.port} dbname={database} user=app_gw"
        port = self.gateway.tls_port if tls else self.gateway.port
        mode = f"sslmode=verify-ca sslrootcert={self.gateway.dir}/tls/cert.pem" if tls else "sslmode=disable"
        return f"host=127.0.0.1 port={port} dbname={database} user={user} {mode}"

    def psql_argv(self, sql=None, args=(), **to):
        argv = ["psql", self.dsn(**to), "-X", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", *(args or ("-A", "-t", "-q"))]
        return argv + (["-c", sql] if sql is not None else [])

    def password(self, user="ann", groups="dev", token=None, direct=False, **_):
        return self.pg.password if direct else token or self.token(user, groups)

    def psql(self, sql=None, args=(), stdin=None, timeout=60, user="ann", groups="dev", token=None, **to):
        """psql through the gateway (direct=True: past it) as user, with a token of groups."""
        env = {"PGPASSWORD": self.password(user, groups, token, to.get("direct", False))}
        return run(self.psql_argv(sql, args, user=user, **to), env=env, stdin=stdin, timeout=timeout)

    def psql_waiting(self, sql=None, args=(), stdin=None, user="ann", groups="dev", token=None, **to):
        env = {"PGPASSWORD": self.password(user, groups, token, to.get("direct", False))}
        return Waiting(self.psql_argv(sql, args, user=user, **to), env, stdin)

    def both(self, sql, **more):
        """The same direct and through the gateway; asserts that they are equal."""
        direct, through = self.psql(sql, direct=True, **more), self.psql(sql, **more)
        assert direct.out == through.out and direct.code == through.code, f"direct:\n{direct!r}\nthrough:\n{through!r}"
        return through

    def sessions(self, live=False):
        done = self.command("sessions", "--json", *(["--live"] if live else []))
        assert done.code == 0, repr(done)
        return done.json["sessions"]

    def signed(self, session):
        """The session's end is in the keeper's ledger, and the recorder's file has all of it that the keeper has."""
        done = self.command("verify", session, "--json")
        if done.code != 0 or not done.json["ended"]:
            return False
        number = 0
        for letter in session:
            number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
        return (self.gateway.dir / "sessions" / "ledger").read_bytes().count(number.to_bytes(16, "big")) >= done.json["entries"]

    def last_session(self):
        return self.sessions()[0]["id"]

    def requests(self):
        done = self.command("requests", "--json")
        assert done.code == 0, repr(done)
        return done.json["requests"]

    def waiting_request(self, seconds=10):
        return wait_for(lambda: [r for r in self.requests() if r["state"] == "waiting"], seconds, said="no request came")[0]


def stage_folder():
    stage = os.environ.get("SALLYPORT_STAGE")
    if stage:
        return pathlib.Path(stage).resolve()
    stage = TOP / "build" / "live" / "stage"
    if not (stage / "sbin" / "sallyportd").exists():
        print(f"building into {stage}", flush=True)
        subprocess.run(["bash", "-c", '. scripts/common; mkdir -p build/live; build_tree "$top/build/live" "$top/build/live/log" CC="ccache gcc" CFLAGS="-O1 -g"'
                        if shutil.which("ccache") else '. scripts/common; mkdir -p build/live; build_tree "$top/build/live" "$top/build/live/log"'],
                       cwd=TOP, check=True)
    return stage


# ---- tests ----

_tests = []


def test(function):
    _tests.append(function)
    return function


TEST_LIMIT = 600  # seconds of one test: what hangs is a failure of that test, not of all that come after it


def _too_long(*_):
    raise AssertionError(f"it goes on after {TEST_LIMIT * SLOW} s")


def _run_one(function, world, verbose):
    start = time.monotonic()
    name = function.__name__
    if not pathlib.Path(sys.argv[0]).name.startswith("long_"):
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(int(TEST_LIMIT * SLOW))
    try:
        function(world)
        signal.alarm(0)
        print(f"  ok    {name} ({time.monotonic() - start:.1f} s)", flush=True)
        return "passed"
    except Skip as why:
        signal.alarm(0)
        print(f"  skip  {name}: {why}", flush=True)
        return "skipped"
    except BaseException as e:  # noqa: BLE001 - a test may fail in any way
        signal.alarm(0)
        if isinstance(e, KeyboardInterrupt):
            raise
        print(f"  FAIL  {name} ({time.monotonic() - start:.1f} s)", flush=True)
        print("        " + traceback.format_exc().replace("\n", "\n        "), flush=True)
        if verbose and world is not None and world.gateway is not None:
            print(world.gateway.logs(), flush=True)
        return "failed"


def _check_end(world, keep):
    """The gateway must end by itself, and no sanitizer may have spoken."""
    clean = world.end(keep=True)
    loud = world.gateway.loud()
    if not clean or loud:
        print(f"  FAIL  end of the gateway (exit {world.gateway.process.returncode})\n{loud or world.gateway.logs(400)}")
    if keep:
        print(f"  kept: {world.dir}")
    else:
        shutil.rmtree(world.dir, ignore_errors=True)
    return clean and not loud


def main(before=None, **conf):
    """before(world): what has to be done before the gateway is started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, so it is by all that is started: ssh would hear no ^C
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    verbose, keep = "-v" in sys.argv, "--keep" in sys.argv
    chosen = [t for t in _tests if not args or t.__name__ in args]
    if set(args) - {t.__name__ for t in chosen}:
        sys.exit(f"no such test; there are: {', '.join(t.__name__ for t in _tests)}")
    tally = {"passed": 0, "failed": 0, "skipped": 0}
    world = None
    try:
        world = World(**conf)
        atexit.register(world.end, keep=True)
        if before is not None:
            before(world)
        world.start()
    except Skip as why:
        for t in chosen:
            print(f"  skip  {t.__name__}: {why}")
        tally["skipped"] += len(chosen)
        chosen = []
    except Exception:  # noqa: BLE001
        print("  FAIL  start\n" + traceback.format_exc(), flush=True)
        if world is not None and world.gateway is not None:
            print(world.gateway.logs(), flush=True)
        tally["failed"] += max(1, len(chosen))
        chosen = []
    for t in chosen:
        tally[_run_one(t, world, verbose)] += 1
    ended_well = True
    if world is not None and world.gateway is not None and world.gateway.process is not None:
        ended_well = _check_end(world, keep)
        tally["passed" if ended_well else "failed"] += 1
    elif world is not None:
        world.end(keep)
    print(f"tally {tally['passed']} {tally['failed']} {tally['skipped']}", flush=True)
    sys.exit(0 if not tally["failed"] else 1 if ended_well else 3)  # run.py knows the 3


def look_around():
    world = World()
    atexit.register(world.end)
    world.start()
    print(f"stage    {world.stage}\nfolder   {world.dir}\ncontrol  export SALLYPORT_CONTROL={world.gateway.control}")
    print(f"psql     PGPASSWORD={world.token()} psql '{world.dsn()}'")
    print(f"direct   PGPASSWORD={world.pg.password} psql '{world.dsn(direct=True)}'")
    input("Enter ends it. ")


if __name__ == "__main__":
    look_around()
