#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Master alone: starts, reloads, deaths and ends, over processes that only pretend (fake_role.c)."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback

# `make check` runs us in the build folder; by hand we may be anywhere.
BUILD = pathlib.Path.cwd()
if not (BUILD / "core/sallyportd").exists():
    BUILD = pathlib.Path(__file__).resolve().parents[2]
ROLES = ["keeper", "recorder", "worker", "console", "check"]
ACCOUNTS = {"worker": "sallyport", "check": "sallyport", "keeper": "sallyport-keeper",
            "recorder": "sallyport-recorder", "console": "sallyport-console"}
SLOW = 5 if os.environ.get("SALLYPORT_SANITIZED") == "1" else 1
tests = []


def test(f):
    tests.append(f)
    return f


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, said, seconds=8):
    end = time.monotonic() + seconds * SLOW
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(said)
        time.sleep(0.02)


class World:
    """A master with its own folder, configuration and programs."""

    def __init__(self, as_root):
        self.root = as_root
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-master."))
        self.bin = self.dir / "bin"
        self.bin.mkdir()
        shutil.copy(BUILD / "core/sallyportd", self.bin)
        for role in ROLES:
            shutil.copy(BUILD / "tests/master/fake_role", self.bin / f"sallyport-{role}")
        for path in [self.dir, self.bin, *self.bin.iterdir()]:
            path.chmod(0o755)
        self.port = free_port()
        self.conf_file = self.dir / "sallyport.conf"
        self.process = None
        self.who = {}
        if os.geteuid() == 0 and not as_root:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self.who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.conf()

    def conf(self, targets=(), more="", ports=None, workers=2):
        listeners = "".join(f"listener l{i} {{ listen 127.0.0.1:{p}; protocol postgres; cleartext loopback; }}\n"
                            for i, p in enumerate(ports or [self.port]))
        blocks = "".join(f"target {t} {{ protocol postgres; server 127.0.0.1:1; tls off; database d;\n"
                         f"  login user=u secret=env:SECRET; allow groups=g; policy p.lua; }}\n" for t in ["one", *targets])
        (self.dir / "p.lua").write_text("-- nothing is refused\n")
        self.conf_file.write_text(
            f"user sallyport; workers {workers}; load_module postgres;\npid {self.dir}/run/pid;\n"
            f"log {self.dir}/log/error.log level=debug;\naudit {self.dir}/log/audit.jsonl;\n"
            f"access {self.dir}/log/access.log;\ncontrol {self.dir}/run/control.sock mode=0660;\n"
            f"store sqlite:{self.dir}/lib/state.db;\nrecord {{ store {self.dir}/lib/sessions; ring 1m; }}\n"
            f"local_issuer on;\nshutdown_timeout 2s;\n{listeners}{blocks}{more}\n")
        self.conf_file.chmod(0o644)

    def daemon(self, *args, **more):
        return subprocess.run([self.bin / "sallyportd", "-c", self.conf_file, *args], capture_output=True, text=True,
                              timeout=60 * SLOW, env=dict(os.environ, SECRET="canary"), **self.who, **more)

    def begin(self):
        self.process = subprocess.Popen([self.bin / "sallyportd", "-f", "-c", self.conf_file],
                                        env=dict(os.environ, SECRET="canary"), stderr=subprocess.PIPE, text=True, **self.who)

    def start(self):
        self.begin()
        self.said("is ready")
        return self

    @property
    def log(self):
        try:
            return (self.dir / "log/error.log").read_text()
        except FileNotFoundError:
            return ""

    def said(self, pattern, times=1, since=0):
        wait_for(lambda: len(re.findall(pattern, self.log[since:])) >= times, f"the log does not say {pattern!r} {times} ×")

    def while_it_works(self, what, said, starts=20):
        """However slow the machine is: as long as master goes on logging, and does not only start one worker after the other."""
        first, seen, quiet_since = self.starts(), self.log, time.monotonic()
        while not what():
            log, now = self.log, time.monotonic()
            if log != seen:
                seen, quiet_since = log, now
            if now - quiet_since > 60 * SLOW or self.starts() - first > starts or self.process.poll() is not None:
                raise AssertionError(said)
            time.sleep(0.05)

    def starts(self):
        return len(re.findall(r"worker \d+ starts as process", self.log))

    def children(self, role=None):
        """pid → role of what lives below our master."""
        found = {}
        for line in subprocess.run(["ps", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True).stdout.splitlines():
            pid, parent, state, args = line.split(None, 3)
            if int(parent) == self.process.pid and "Z" not in state and args.startswith("sallyport-"):
                name = args.split()[0].removeprefix("sallyport-")
                if role in (None, name):
                    found[int(pid)] = name
        return found

    def pids(self, role):
        return sorted(self.children(role))

    def reload(self):
        return self.daemon("-s", "reload")

    def end(self):
        if self.process is not None:
            kids = self.children()
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in kids:
                try:
                    if b"sallyport-" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
                except (FileNotFoundError, ProcessLookupError):
                    pass
            self.process.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- starting ----

@test
def it_starts_everybody(w):
    w.start()
    assert sorted(w.children().values()) == ["console", "keeper", "recorder", "worker", "worker"], w.children()
    log = w.log
    for role in ["recorder", "console", "worker"]:
        assert re.search(rf" keeper\[\d+\] link to {role} ", log), role
    assert not re.search(r" (worker|console|recorder)\[\d+\] link to (worker|console|recorder)", log)
    assert len(re.findall(r" recorder\[\d+\] got ring \d+  fds 3", log)) == 2
    assert len(re.findall(r" worker\[\d+\] got ring \d+  fds 3", log)) == 2
    assert len(re.findall(r" worker\[\d+\] got listener \d+ l0 fds 1", log)) == 2
    w.said(r" recorder\[\d+\] reopened audit access")
    assert int((w.dir / "run/pid").read_text()) == w.process.pid
    assert stat.S_IMODE((w.dir / "run/control.sock").stat().st_mode) == 0o660


@test
def each_has_its_own_user(w):
    w.start()
    for pid, role in w.children().items():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        want = pwd.getpwnam(ACCOUNTS[role]).pw_uid if w.root else w.who.get("user", os.getuid())
        assert re.search(rf"^Uid:\s+{want}\s+{want}\s+{want}\s+{want}$", status, re.M), (role, status)
        assert "CapEff:\t0000000000000000" in status or not w.root, status
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), role
        if w.root:
            assert len(re.search(r"^Groups:(.*)$", status, re.M)[1].split()) == 1, status
    check = w.who.get("user", os.getuid()) if not w.root else pwd.getpwnam("sallyport").pw_uid
    assert w.reload().returncode == 0
    assert f"check uid {check} " in w.log


@test
def only_the_keeper_sees_the_environment(w):
    w.start()
    assert w.reload().returncode == 0
    assert "check uid" in w.log and not re.search(r"(check uid \d+|worker) secret yes", w.log)
    assert "keeper secret yes" in w.log


@test
def descriptors_are_the_roles_own(w):
    w.start()
    if not w.root and os.geteuid() != 0:
        return  # a process that may not be dumped shows its descriptors to root only
    for pid, role in w.children().items():
        fds = {int(p.name): os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        assert fds[0] == fds[1] == "/dev/null", (role, fds)
        assert fds[2].endswith("error.log") and fds[3].startswith("socket:"), (role, fds)
        assert (4 in fds and fds[4].endswith("/sessions")) == (role in ("keeper", "recorder")), (role, fds)
        for n, to in fds.items():
            assert n <= 4 or not to.startswith("/") or "memfd" in to, (role, fds)


@test
def folders_are_made(w):
    w.start()
    sessions, lib = (w.dir / "lib/sessions").stat(), (w.dir / "lib").stat()
    assert stat.S_IMODE(sessions.st_mode) == 0o700
    if w.root:
        assert sessions.st_uid == pwd.getpwnam("sallyport-recorder").pw_uid
        assert lib.st_uid == pwd.getpwnam("sallyport-keeper").pw_uid and stat.S_IMODE(lib.st_mode) == 0o711


@test
def a_linked_folder_is_refused(w):
    if not w.root:
        return
    (w.dir / "lib").mkdir()
    (w.dir / "victim").mkdir()
    (w.dir / "lib/sessions").symlink_to(w.dir / "victim")
    w.begin()
    assert w.process.wait(20 * SLOW) == 1
    assert (w.dir / "victim").stat().st_uid == 0


@test
def a_bad_configuration_does_not_start(w):
    w.conf(more="lsten 1;")
    w.begin()
    assert w.process.wait(20 * SLOW) == 1
    assert 'unknown directive "lsten"' in w.process.stderr.read()


@test
def the_caller_learns_why(w):
    w.conf(more="lsten 1;")
    done = w.daemon()
    assert done.returncode == 1 and 'unknown directive "lsten"' in done.stderr, done


@test
def it_goes_to_the_background(w):
    done = w.daemon()
    assert done.returncode == 0, done
    pid = int((w.dir / "run/pid").read_text())
    assert alive(pid) and os.getpgid(pid) == pid
    assert w.daemon("-s", "stop").returncode == 0
    wait_for(lambda: not alive(pid), "it did not stop")
    assert not (w.dir / "run/pid").exists()


@test
def a_role_that_refuses_stops_the_start(w):
    for target in ["refuse-keeper", "die-worker", "die-check"]:
        w.conf(targets=[target])
        w.begin()
        assert w.process.wait(30 * SLOW) == 1, target
        w.process.stderr.close()


@test
def a_port_in_use_is_said(w):
    with socket.socket() as s:
        s.bind(("127.0.0.1", w.port))
        s.listen()
        w.begin()
        assert w.process.wait(20 * SLOW) == 1
        assert f"cannot listen on 127.0.0.1:{w.port}: Address already in use" in w.process.stderr.read()


@test
def two_masters_never_share_a_store(w):
    w.start()
    second = w.daemon("-f")
    assert second.returncode == 1 and "Address already in use" in second.stderr, second
    w.conf_file.write_text(w.conf_file.read_text().replace(str(w.port), str(free_port())))
    second = w.daemon("-f")
    assert second.returncode == 1 and "in use by another sallyportd" in second.stderr, second
    assert (w.dir / "run/control.sock").exists() and int((w.dir / "run/pid").read_text()) == w.process.pid
    assert w.process.poll() is None and w.reload().returncode == 0


@test
def options(w):
    assert w.daemon("-V").stdout.startswith("sallyportd ")
    assert "usage:" in w.daemon("-h").stdout
    assert w.daemon("--nonsense").returncode == 2
    assert w.daemon("-s", "dance").returncode == 2
    assert w.daemon("-s", "reload").returncode == 1
    uid = pwd.getpwnam("sallyport").pw_uid if w.root else w.who.get("user", os.getuid())
    for option in ["-t", "-T"]:
        assert w.daemon(option).stdout == f"{option} uid {uid} ok\n", w.daemon(option)


@test
def programs_that_others_can_write_are_not_started(w):
    if not w.root:
        return
    (w.bin / "sallyport-keeper").chmod(0o775)
    w.begin()
    assert w.process.wait(20 * SLOW) == 1
    assert "is not root's alone to write" in w.log + w.process.stderr.read()
    (w.bin / "sallyport-keeper").chmod(0o755)
    w.bin.chmod(0o777)
    assert "is not root's alone to write" in w.daemon("-t").stderr


# ---- another program takes over ----

@test
def an_upgrade_replaces_every_process_and_keeps_the_ports(w):
    w.start()
    before, pid = w.children(), w.process.pid
    with socket.socket() as waits:  # in the listener's queue: nobody accepts, and nobody refuses
        waits.connect(("127.0.0.1", w.port))
        for path in list(w.bin.iterdir()):
            shutil.copy2(path, path.with_name("new"))
            path.with_name("new").rename(path)
        done = w.daemon("-s", "upgrade")
        assert done.returncode == 0, (done, w.log)
        assert w.process.poll() is None and int((w.dir / "run/pid").read_text()) == pid
        wait_for(lambda: not set(before) & set(w.children()), "an old process stays")
        assert sorted(w.children().values()) == ["console", "keeper", "recorder", "worker", "worker"], w.children()
        with socket.socket() as s:
            s.connect(("127.0.0.1", w.port))
    assert w.reload().returncode == 0
    assert w.daemon("-s", "stop").returncode == 0
    assert w.process.wait(20 * SLOW) == 0 and not (w.dir / "run/pid").exists()


@test
def a_keeper_that_refuses_after_an_upgrade_leaves_the_workers(w):
    w.start()
    workers = w.pids("worker")
    w.conf(targets=["refuse-keeper"])
    done = w.daemon("-s", "upgrade")
    assert done.returncode == 1 and "all stays as it was" in done.stderr, done
    w.conf()
    wait_for(lambda: len(w.pids("keeper")) == 1, "there is no keeper")
    assert set(workers) <= set(w.pids("worker")), "a worker was dropped"
    wait_for(lambda: w.reload().returncode == 0, "no reload completes it", 30)
    wait_for(lambda: not set(workers) & set(w.pids("worker")), "an old worker stays")


# ---- reload ----

@test
def a_good_reload_reaches_everybody(w):
    w.start()
    before = w.children()
    w.conf(targets=["two"])
    done = w.reload()
    assert done.returncode == 0, done
    assert len(re.findall(r"took epoch 2 ", w.log)) == 5
    assert w.children() == before


@test
def a_bad_reload_changes_nothing(w):
    w.start()
    before = w.children()
    w.conf(more="lsten 1;")
    done = w.reload()
    assert done.returncode == 1 and 'unknown directive "lsten"' in done.stderr and "sallyport.conf:" in done.stderr, done
    assert "took epoch 2" not in w.log and w.children() == before
    w.conf()
    assert w.reload().returncode == 0


@test
def a_check_that_dies_changes_nothing(w):
    w.start()
    before = w.children()
    w.conf(targets=["die-check"])
    done = w.reload()
    assert done.returncode == 1 and "ended without an answer" in done.stderr, done
    assert w.children() == before


@test
def a_port_that_is_taken_changes_nothing(w):
    w.start()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        w.conf(ports=[free_port(), s.getsockname()[1]])
        done = w.reload()
    assert done.returncode == 1 and "Address already in use" in done.stderr, done
    assert "took epoch 2" not in w.log


@test
def who_took_a_refused_one_gets_the_old_one_back(w):
    w.start()
    before = w.children()
    for role, took in [("keeper", 0), ("recorder", 1)]:
        at = len(w.log)
        w.conf(targets=[f"refuse-{role}"])
        done = w.reload()
        assert done.returncode == 1 and "told to refuse" in done.stderr, done
        w.said(rf" keeper\[\d+\] took epoch \d+", took * 2, at)
        assert not re.search(r" (worker|console)\[\d+\] took epoch", w.log[at:])
    assert w.children() == before


@test
def a_keeper_that_dies_over_it_refuses_it(w):
    w.start()
    w.conf(targets=["die-keeper"])
    at = len(w.log)
    done = w.reload()
    assert done.returncode == 1 and "ended while it took it" in done.stderr, done
    w.said(r" keeper\[\d+\] took epoch 3 ", 1, at)  # the old one, under a new number
    w.conf()
    wait_for(lambda: len(w.pids("keeper")) == 1, "no keeper")
    wait_for(lambda: w.reload().returncode == 0, "no reload after it")


@test
def a_worker_that_cannot_follow_is_replaced(w):
    w.start()
    before = w.pids("worker")
    w.conf(targets=["die-worker"])
    os.kill(w.process.pid, signal.SIGHUP)
    ended = r"worker \d+ \(process \d+\) was ended by signal 9"
    w.while_it_works(lambda: len(re.findall(ended, w.log)) >= 2, "no worker is ended")
    w.conf()
    done = w.reload()
    assert done.returncode == 0, done
    w.while_it_works(lambda: len(w.pids("worker")) == 2 and not set(w.pids("worker")) & set(before), "no new workers")


@test
def other_modules_need_new_workers(w):
    w.start()
    before = w.pids("worker")
    w.conf_file.write_text(w.conf_file.read_text().replace("load_module postgres;", "load_module postgres; load_module http;"))
    done = w.reload()
    assert done.returncode == 0, done
    wait_for(lambda: len(w.pids("worker")) == 2 and not set(w.pids("worker")) & set(before), "the old workers stay")
    log = w.log
    assert len(re.findall(r"\] quit gracefully", log)) == 2
    # the new ones are up before the old ones are told to go
    ready = [m.start() for m in re.finditer(r" worker\[\d+\] took epoch 2 ", log)]
    assert ready[1] < re.search(r"\] quit gracefully", log).start()
    w.said(r"got worker-gone 1", 2)
    w.said(r"got listener \d+ l0", 4)


@test
def new_workers_that_do_not_come_up_refuse_it(w):
    w.start()
    before = w.children()
    w.conf(targets=["die-worker"])
    w.conf_file.write_text(w.conf_file.read_text().replace("load_module postgres;", "load_module postgres; load_module http;"))
    done = w.reload()
    assert done.returncode == 1 and "ended while it took it" in done.stderr, done
    wait_for(lambda: w.children() == before, "something changed")
    assert not re.search(r" (keeper|recorder|console)\[\d+\] took epoch [23]", w.log)


@test
def listeners_come_and_go(w):
    w.start()
    second = free_port()
    w.conf(ports=[w.port, second])
    assert w.reload().returncode == 0
    w.said(r" worker\[\d+\] got listener \d+ l1 fds 1", 2)
    socket.create_connection(("127.0.0.1", second)).close()
    w.conf(ports=[second])
    assert w.reload().returncode == 0
    w.conf(ports=[second], workers=1)
    assert w.reload().returncode == 0
    wait_for(lambda: len(w.pids("worker")) == 1, "there are still two workers")
    w.conf(ports=[second], workers=3)
    assert w.reload().returncode == 0
    wait_for(lambda: len(w.pids("worker")) == 3, "there are not three workers")


@test
def a_change_during_a_check_is_read_again(w):
    w.start()
    w.conf(targets=["slow-check"])
    os.kill(w.process.pid, signal.SIGHUP)
    time.sleep(0.4 * SLOW)
    w.conf(more="lsten 1;")
    done = w.reload()
    assert done.returncode == 1 and "lsten" in done.stderr, done


# ---- deaths ----

def dies_and_comes_back(w, role, told):
    w.start()
    pid = w.pids(role)[0]
    others = {p for p, r in w.children().items() if p != pid}
    at = len(w.log)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(w.pids(role)) == (2 if role == "worker" else 1) and pid not in w.pids(role), f"no new {role}")
    for pattern, times in told:
        w.said(pattern, times, at)
    assert others <= set(w.children())


@test
def a_keeper_comes_back(w):
    dies_and_comes_back(w, "keeper", [(r" keeper\[\d+\] link to ", 4), (r"link to keeper 0", 4)])


@test
def a_recorder_comes_back_to_the_same_rings(w):
    dies_and_comes_back(w, "recorder", [(r" recorder\[\d+\] got ring [12] ", 2), (r"reopened audit access", 1)])


@test
def a_console_comes_back(w):
    dies_and_comes_back(w, "console", [(r"link to console 0", 1)])


@test
def a_worker_comes_back(w):
    dies_and_comes_back(w, "worker", [(r" keeper\[\d+\] got worker-gone 1 ", 1), (r" recorder\[\d+\] got worker-gone 1 ", 1),
                                      (r" recorder\[\d+\] got ring 3 ", 1), (r" worker\[\d+\] got listener", 1)])


@test
def a_recorder_learns_of_the_dead_whose_rings_it_gets(w):
    w.start()
    os.kill(w.pids("worker")[0], signal.SIGKILL)
    w.said(r" recorder\[\d+\] got worker-gone 1")
    at = len(w.log)
    os.kill(w.pids("recorder")[0], signal.SIGKILL)
    w.said(r" recorder\[\d+\] got ring 1 ", 1, at)
    w.said(r" recorder\[\d+\] got worker-gone 1 ", 1, at)


@test
def a_stuck_worker_is_ended(w):
    w.start()
    w.conf(targets=["stuck"])
    assert w.reload().returncode == 0
    before = time.monotonic()
    w.said("gave no sign for a second and is ended")
    assert time.monotonic() - before < 4 * SLOW


@test
def a_stopped_worker_is_ended(w):
    w.start()
    pid = w.pids("worker")[0]
    before = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: not alive(pid), "it lives on")
    assert time.monotonic() - before < 3 * SLOW
    w.said(r"worker \d+ gave no sign for a second")


@test
def a_worker_that_lies_is_ended(w):
    w.start()
    w.conf(targets=["wild"])
    os.kill(w.process.pid, signal.SIGHUP)
    w.said("broke the table of messages")
    w.said(r"worker \d+ \(process \d+\) was ended by signal 9")
    assert w.process.poll() is None


@test
def all_end_with_master(w):
    w.start()
    kids = list(w.children())
    w.process.kill()
    wait_for(lambda: not any(alive(p) for p in kids), "some outlive master")
    w.process.wait()
    w.process.stderr.close()
    (w.dir / "log/error.log").unlink()
    w.start()  # its lock is free again


# ---- signals and the control socket ----

def gone(w, code=0):
    assert w.process.wait(20 * SLOW) == code
    assert not w.children() and not (w.dir / "run/pid").exists() and not (w.dir / "run/control.sock").exists()


@test
def stop_is_now(w):
    w.start()
    assert w.daemon("-s", "stop").returncode == 0
    gone(w)
    log = w.log
    assert log.count("quit now") == 5 and "quit gracefully" not in log
    order = [m[1] for m in re.finditer(r" (\w+)\[\d+\] quit now", log)]
    assert order[:2] == ["worker", "worker"] and order[-1] == "keeper", order


@test
def a_broken_configuration_can_be_stopped(w):
    w.start()
    w.conf(more="lsten 1;")
    assert w.daemon("-s", "stop").returncode == 0
    gone(w)


@test
def quit_lets_sessions_end(w):
    w.start()
    assert w.daemon("-s", "quit").returncode == 0
    gone(w)
    assert w.log.count("quit gracefully") == 2


@test
def logs_are_reopened(w):
    w.start()
    for name in ["error.log", "audit.jsonl", "access.log"]:
        (w.dir / "log" / name).rename(w.dir / "log" / (name + ".1"))
    assert w.daemon("-s", "reopen").returncode == 0
    w.said("reopened audit access")
    for name in ["error.log", "audit.jsonl", "access.log"]:
        assert (w.dir / "log" / name).exists()
    assert (w.dir / "log/audit.jsonl").read_text() == "{}\n"


@test
def a_stale_pid_file_signals_nobody(w):
    (w.dir / "run").mkdir()
    sleeper = subprocess.Popen(["sleep", "30"])
    (w.dir / "run/pid").write_text(f"{sleeper.pid}\n")
    for what in ["stop", "reload"]:
        assert w.daemon("-s", what).returncode == 1
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


@test
def a_caller_is_named_to_the_keeper(w):
    w.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(w.dir / "run/control.sock"))
        w.said(rf" keeper\[\d+\] got caller 1 {pwd.getpwuid(os.getuid()).pw_name} fds 0")
        w.said(r" console\[\d+\] got caller 1 \S+ fds 1")


# ---- running ----

def worlds():
    yield False
    if os.geteuid() != 0:
        print("not as root: skipped, we are not root")
        return
    missing = [a for a in set(ACCOUNTS.values()) if a not in {p.pw_name for p in pwd.getpwall()}]
    if missing:
        print(f"as root: skipped, there is no user {missing[0]}")
    else:
        yield True


def main():
    chosen, passed, failed = sys.argv[1:], 0, 0
    for as_root in worlds():
        for t in tests:
            if chosen and t.__name__ not in chosen:
                continue
            w = World(as_root)
            began = time.monotonic()
            try:
                t(w)
                passed += 1
                print(f"ok    {'root ' if as_root else ''}{t.__name__} {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {'root ' if as_root else ''}{t.__name__}", traceback.format_exc(), w.log[-6000:], sep="\n", flush=True)
            finally:
                w.end()
    print(f"tally {passed} {failed} 0")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
