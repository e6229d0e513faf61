#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files by SSH: sftp, scp both ways, rsync, git; what rules say of paths; what is recorded."""

import hashlib
import select
import struct

from ssh_world import *


def sha(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def folder(w, name):
    """On the target, which is this machine."""
    path = w.dir / name
    if not path.exists():
        path.mkdir()
        path.chmod(0o777)
    return path


def file(w, name, size):
    path = w.client / name
    path.write_bytes(os.urandom(size))
    return path


def sftp(w, batch, user="ann", options=(), name="host"):
    argv = ["sftp", *options, *w.gate_options(), "-b", "-", name + "@127.0.0.1"]
    # sftp -b refuses to ask: the token comes by askpass all the same
    argv[argv.index("-b"):argv.index("-b")] = ["-o", "BatchMode=no"]
    return run(argv, env=w.environment(w.token(user)), stdin=batch)


def scp(w, *args, user="ann"):
    return run(["scp", *w.gate_options(), *map(str, args)], env=w.environment(w.token(user)))


class Packets:
    """A client of SFTP whose packets are written by hand."""

    def __init__(self, w, user):
        self.process = w.ssh_start("sftp", user=user, options=("-s",), text=False, stdin=subprocess.PIPE)
        self.got = b""
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
        taken, self.got = self.got[:n], self.got[n:]
        return taken

    def read(self):
        return self.take(struct.unpack(">I", self.take(4))[0])

    def ask(self, kind, path, rest=b"", number=7):
        """The answer's type, and its status if it has one."""
        path = str(path).encode()
        self.send(struct.pack(">BII", kind, number, len(path)) + path + rest)
        answer = self.read()
        assert struct.unpack(">I", answer[1:5])[0] == number, answer
        return answer[0], struct.unpack(">I", answer[5:9])[0] if answer[0] == 101 else None

    def open(self, path, flags):
        return self.ask(3, path, struct.pack(">II", flags, 0))

    def end(self):
        self.process.stdin.close()
        self.process.wait(30 * SLOW)


@test
def sftp_puts_gets_and_lists(w):
    there, small, large = folder(w, "files"), file(w, "small", 10), file(w, "large", 5 << 20)
    done = sftp(w, f"put {small} {there}/small\nput {large} {there}/large\nls -l {there}\nget {there}/large {w.client}/back\n"
                   f"mkdir {there}/d\nrename {there}/small {there}/d/small\nchmod 600 {there}/d/small\nsymlink small {there}/d/link\n", user="files")
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"
    assert sha(large) == sha(there / "large") == sha(w.client / "back")
    assert (there / "d" / "small").read_bytes() == small.read_bytes()
    assert (there / "d" / "small").stat().st_mode & 0o777 == 0o600
    assert os.readlink(there / "d" / "link") == "small"
    text = w.recording("files")
    assert f"open {there}/large" in text and f"sha256 {sha(large)}" in text and f"upload of {5 << 20} bytes" in text, text
    assert f"download of {5 << 20} bytes, sha256 {sha(large)}" in text, text
    assert f"rename {there}/small" in text and f"setstat {there}/d/small" in text, text


@test
def a_rule_on_paths_holds_for_every_way_to_write_one(w):
    there = folder(w, "files")
    (there / "secret").mkdir(exist_ok=True)
    (there / "secret" / "x").write_text("s")
    (there / "secret").chmod(0o777)
    for path in (f"{there}/secret/x", f"{there}//secret/./x", f"{there}/other/../secret/x"):
        done = sftp(w, f"get {path} {w.client}/stolen\n")
        assert done.code != 0 and not (w.client / "stolen").exists(), f"{path}: {done!r}"
    done = sftp(w, f"rename {there}/large {there}/secret/y\n")
    assert done.code != 0 and not (there / "secret" / "y").exists(), repr(done)
    done = sftp(w, f"symlink secret/x {there}/alias\n")
    assert done.code != 0 and not (there / "alias").is_symlink(), repr(done)
    done = sftp(w, f"-rm {there}/secret/x\nls {there}\n")
    assert done.code == 0 and (there / "secret" / "x").exists(), repr(done)


@test
def relative_paths_are_those_of_the_login(w):
    up = "../" * 12
    there = folder(w, "files")
    (there / "secret").mkdir(exist_ok=True)
    (there / "secret" / "x").write_text("s")
    done = sftp(w, f"get {up}{str(there)[1:]}/secret/x {w.client}/stolen\n")
    assert done.code != 0 and not (w.client / "stolen").exists(), repr(done)


def makes_link(path, to):
    if not path.is_symlink():
        path.symlink_to(to)


@test
def links_are_followed_by_the_target_before_rules_judge(w):
    there = folder(w, "links")
    (there / "secret").mkdir()
    (there / "secret").chmod(0o777)
    (there / "secret" / "x").write_text("s")
    (there / "secret" / "x").chmod(0o666)
    makes_link(there / "file", "secret/x")
    makes_link(there / "dir", "secret")
    makes_link(there / "twice", there / "dir")
    makes_link(there / "new", "secret/new")
    data = file(w, "link-data", 5)
    for batch in (f"get {there}/file {w.client}/stolen", f"get {there}/dir/x {w.client}/stolen", f"get {there}/twice/x {w.client}/stolen",
                  f"put {data} {there}/file", f"put {data} {there}/dir/y", f"put {data} {there}/new", f"rm {there}/dir/x", f"mkdir {there}/twice/z",
                  f"rename {there}/dir/x {there}/x", f"rename {data} {there}/dir/z", f"ln {there}/file {there}/hard", f"ln -s {there}/dir/x {there}/again",
                  f"chmod 600 {there}/file"):
        done = sftp(w, batch + "\n", user="linker")
        assert done.code != 0, f"{batch}: {done!r}"
    assert sorted(p.name for p in there.iterdir()) == ["dir", "file", "new", "secret", "twice"], list(there.iterdir())
    assert [p.name for p in (there / "secret").iterdir()] == ["x"] and (there / "secret" / "x").read_text() == "s"
    assert (there / "secret" / "x").stat().st_mode & 0o777 == 0o666 and not (w.client / "stolen").exists()
    assert f"{there}/twice/x" not in (done := sftp(w, f"ls {there}/twice/\n", user="linker")).out, repr(done)
    there.chmod(0o777)
    done = sftp(w, f"rename {there}/file {there}/moved\nrm {there}/moved\n", user="linker")
    assert done.code == 0 and (there / "secret" / "x").exists(), f"the link itself is no secret: {done!r}"


@test
def only_what_creates_may_fail_at_a_link(w):
    there = folder(w, "exclusive")
    (there / "secret").mkdir()
    (there / "secret" / "x").write_text("s")
    (there / "secret" / "x").chmod(0o666)
    makes_link(there / "file", "secret/x")
    client = Packets(w, "exclusive")
    for flags in (0x21, 0x22, 0x01, 0x0a):
        assert client.open(there / "file", flags) == (101, 3), hex(flags)
    assert client.open(there / "file", 0x2a) == (101, 4), "the link itself is no secret; it is there"
    assert client.open(there / "new", 0x2a)[0] == 102 and (there / "new").exists()
    client.end()


@test
def more_links_than_the_target_counts_lead_to_nothing_new(w):
    there = folder(w, "chain")
    (there / "secret").mkdir()
    (there / "secret").chmod(0o777)
    for i in range(36):  # OpenSSH's REALPATH gives up after 32, the kernel after 40
        makes_link(there / f"l{i}", f"l{i + 1}" if i < 35 else "secret/made")
    data = file(w, "chain-data", 5)
    done = sftp(w, f"put {data} {there}/l0\n", user="chain")
    assert done.code != 0 and not (there / "secret" / "made").exists(), repr(done)


@test
def where_a_new_link_leads_is_what_the_target_makes_of_its_words(w):
    there = folder(w, "contents")
    (there / "secret" / "sub").mkdir(parents=True)
    (there / "secret" / "x").write_text("s")
    makes_link(there / "d", "secret/sub")
    long = "./" * 1900
    for content in ("d/../x", "d/../new", f"{there}/d/../x", "nowhere/../x", f"{long}d/../x"):
        done = sftp(w, f"symlink {content} {there}/alias\n", user="contents")
        assert done.code != 0 and not (there / "alias").is_symlink(), f"{content[-20:]}: {done!r}"
    done = sftp(w, f"symlink ./../contents/plain {there}/alias\nsymlink nowhere/at/all {there}/dangling\n", user="contents")
    assert done.code == 0 and os.readlink(there / "alias") == "./../contents/plain" and os.readlink(there / "dangling") == "nowhere/at/all", repr(done)


@test
def every_number_of_a_request_is_the_clients(w):
    there = folder(w, "numbers")
    client = Packets(w, "numbers")
    for number in (0xffffffff, 0xfffffffe, 0):
        assert client.ask(7, there, number=number)[0] == 105, number
    client.end()


@test
def what_links_lead_to_that_is_allowed_works_as_ever(w):
    there = folder(w, "good-links")
    (there / "real").mkdir()
    (there / "real").chmod(0o777)
    makes_link(there / "alias", "real")
    makes_link(there / "dangling", "real/made")
    data = file(w, "alias-data", 3000)
    done = sftp(w, f"put {data} {there}/alias/a\nput {data} {there}/dangling\nget {there}/alias/a {w.client}/a\nmkdir {there}/alias/d\nls {there}/alias\n"
                   f"rename {there}/alias/a {there}/alias/b\nsymlink nowhere/at/all {there}/alias/l\nln {there}/alias/b {there}/alias/h\nput {data} \"{there}/alias/odd\\\\name\"\nrm {there}/alias/l\n", user="alias")
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()[-2000:]}"
    assert sha(there / "real" / "b") == sha(there / "real" / "made") == sha(there / "real" / "h") == sha(w.client / "a") == sha(data)
    done = sftp(w, f"get {there}/alias/none {w.client}/none\n", user="misses")
    assert done.code != 0 and "not found" in done.err, repr(done)
    assert f"{there}/real/a" in w.recording("alias"), "what it was is recorded"


@test
def contents_are_recorded_where_the_target_says_so(w):
    there = folder(w, "kept")
    text = w.client / "config"
    text.write_text("a line that somebody may look for: kept-47110815\n")
    done = sftp(w, f"put {text} {there}/config\nget {there}/config {w.client}/config-back\n", user="keeps", name="keeper")
    assert done.code == 0, repr(done)
    done = sftp(w, f"put {text} {folder(w, 'files')}/not-kept\n", user="keepsnot", name="keeper")
    assert done.code == 0, repr(done)
    assert w.recording("keeps").count("kept-47110815") == 2, w.recording("keeps")
    assert "kept-47110815" not in w.recording("keepsnot")


@test
def scp_by_sftp_and_as_it_was(w):
    there, data = folder(w, "copies"), file(w, "data", 1 << 20)
    for flags in ([], ["-O"]):
        name = "old" if flags else "new"
        done = scp(w, *flags, data, f"host@127.0.0.1:{there}/{name}", user="scp" + name)
        assert done.code == 0 and sha(there / name) == sha(data), f"{done!r}\n{w.gateway.logs()}"
        done = scp(w, *flags, f"host@127.0.0.1:{there}/{name}", w.client / f"{name}.back", user="scp" + name)
        assert done.code == 0 and sha(w.client / f"{name}.back") == sha(data), repr(done)
    assert f"scp -f {there}/old" in w.recording("scpold")


@test
def one_waits_for_a_lead(w):
    there = folder(w, "files")
    (there / "held").write_text("h")
    (there / "held").chmod(0o666)
    process = threading.Thread(target=lambda: results.append(sftp(w, f"rm {there}/held\n", user="holder")))
    results = []
    there.chmod(0o777)
    process.start()
    request = w.waiting_request()
    assert (there / "held").exists() and f"remove {there}/held" in json.dumps(request), request
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    process.join(20 * SLOW)
    assert results and results[0].code == 0 and not (there / "held").exists(), results


@test
def a_rename_waits_and_is_refused_when_its_names_lead_elsewhere(w):
    there = folder(w, "renames")
    (there / "a").mkdir()
    (there / "b").mkdir()
    for name in ("a", "b"):
        (there / name / "held").write_text(name)
        (there / name).chmod(0o777)
    makes_link(there / "which", "a")
    for now, was in (("b", "a"), ("b", "b")):
        results = []
        process = threading.Thread(target=lambda: results.append(sftp(w, f"rename {there}/which/held {there}/which/moved\n", user="renamer")))
        process.start()
        request = w.waiting_request()
        assert f"{there}/{was}/held" in json.dumps(request), request
        (there / "which").unlink()
        makes_link(there / "which", now)
        done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
        assert done.code == 0, repr(done)
        process.join(30 * SLOW)
        assert results, "it still waits"
        if now != was:
            assert results[0].code != 0 and "denied" in results[0].err, results
            assert (there / "a" / "held").exists() and (there / "b" / "held").exists()
    assert results[0].code == 0 and (there / "b" / "moved").exists() and (there / "a" / "held").exists(), results


@test
def contents_that_nobody_has_seen_are_not_approved(w):
    there, data = folder(w, "files"), file(w, "unread", 10)
    for way in (lambda: sftp(w, f"put {data} {there}/unread\n", user="unread"), lambda: scp(w, "-O", data, f"host@127.0.0.1:{there}/unread", user="unread")):
        done = way()
        assert done.code != 0 and not (there / "unread").exists(), repr(done)
        assert not [r for r in w.requests() if r["state"] == "waiting"], w.requests()


@test
def rsync_and_git(w):
    there = folder(w, "trees")
    shell = " ".join(["ssh", *w.gate_options()])
    if shutil.which("rsync") is None:
        print("        (rsync is not installed: git only)")
    else:
        source = w.client / "tree"
        (source / "sub").mkdir(parents=True)
        for i in range(20):
            (source / "sub" / str(i)).write_bytes(os.urandom(1000 * i))
        done = run(["rsync", "-a", "-e", shell, f"{source}/", f"host@127.0.0.1:{there}/tree/"], env=w.environment(w.token()))
        assert done.code == 0, repr(done)
        assert all(sha(source / "sub" / str(i)) == sha(there / "tree" / "sub" / str(i)) for i in range(20))
    repository = there / "r.git"
    run(["git", "init", "-q", "--bare", repository], check=True)
    run(["chmod", "-R", "a+rwX", repository], check=True)
    if IS_ROOT:
        run(["chown", "-R", LOGIN, repository], check=True)
    env = dict(w.environment(w.token()), GIT_SSH_COMMAND=shell, HOME=str(w.client), GIT_CONFIG_NOSYSTEM="1")
    clone = w.client / "clone"
    done = run(["git", "clone", "-q", f"ssh://host@127.0.0.1:{w.ssh_port}{repository}", clone], env=env)
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"
    (clone / "a").write_text("a")
    git = ["git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@example.com"]
    run([*git, "add", "a"], env=env, check=True)
    run([*git, "commit", "-qm", "a"], env=env, check=True)
    done = run([*git, "push", "-q", "origin", "HEAD"], env=env)
    assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"


POLICY_FILES = SSH_POLICY + """\
rule "remove-needs-lead" {
  doc     = "Files are removed by two.",
  on      = "ssh.sftp",
  when    = { operation = "remove", path = suffix "/held" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "renames-need-lead" {
  doc     = "Files are renamed by two.",
  on      = "ssh.sftp",
  when    = { operation = "rename", path = suffix "/held" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "copies-need-lead" {
  doc     = "The same by scp.",
  on      = "ssh.scp",
  when    = { direction = "upload", path = suffix "/unread" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "uploads-need-lead" {
  doc     = "Some files are written by two.",
  on      = "ssh.sftp",
  when    = { operation = "open", path = suffix "/unread" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
"""

ssh_main(policy=POLICY_FILES, more=lambda w: w.ssh_target("keeper", extra=f"contents {w.dir}/kept/*;"))
