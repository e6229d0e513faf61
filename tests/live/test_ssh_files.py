#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files by SSH: sftp, scp both ways, rsync, git; what rules say of paths; what is recorded."""

import hashlib

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


def sftp(w, batch, user="ann", options=()):
    argv = ["sftp", *options, *w.gate_options(), "-b", "-", "host@127.0.0.1"]
    # sftp -b refuses to ask: the token comes by askpass all the same
    argv[argv.index("-b"):argv.index("-b")] = ["-o", "BatchMode=no"]
    return run(argv, env=w.environment(w.token(user)), stdin=batch)


def scp(w, *args, user="ann"):
    return run(["scp", *w.gate_options(), *map(str, args)], env=w.environment(w.token(user)))


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

ssh_main(policy=POLICY_FILES)
