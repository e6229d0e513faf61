#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest (ID8, P5): set, used, listed, rotated and removed beside a running gateway; what was tampered with is
refused; a rotation that is killed anywhere leaves all of them usable."""

import pty
import select

from harness import *

NAMES = ("one", "two", "three")


def secret(w, *args, stdin=None, wrap=()):
    conf = [] if args[0] == "--help" else ["--conf", w.gateway.conf_file]
    return run([*wrap, w.stage / "bin" / "sallyport", "secret", *args, *conf], stdin=stdin)


def key_file(w):
    return w.gateway.dir / "keys" / "secrets.key"


def folder(w):
    return w.gateway.dir / "keeper" / "sealed"


def use_sealed(w):
    """The target orders takes its password from a sealed secret, with no file of it left."""
    g = w.gateway
    if "secrets" in g.extra:
        return
    owned(g.dir / "keys", "sallyport-keeper")
    g.extra = f"secrets key=file:{key_file(w)} folder={folder(w)};\n"
    g.write()
    assert secret(w, "set", "orders", stdin=w.pg.password + "\n").code == 0
    (g.dir / "keeper" / "orders.secret").unlink()
    text = g.conf_text().replace(f"secret=file:{g.dir}/keeper/orders.secret", "secret=sealed:orders")
    g.write(text)
    done = g.reload()
    assert done.code == 0, repr(done)


def works(w):
    got = w.psql("SELECT current_user")
    return got.out == "app_gw" or repr(got)


def log_in_again(w):
    """A reload reads every secret anew."""
    done = w.gateway.reload()
    return works(w) if done.code == 0 else repr(done)


@test
def a_target_logs_in_by_a_sealed_secret(w):
    use_sealed(w)
    assert works(w) is True, works(w)
    for path in (folder(w) / "orders.sealed", key_file(w)):
        assert path.stat().st_mode & 0o777 == 0o600, path
        if IS_ROOT:
            assert path.owner() == "sallyport-keeper", path


@test
def nothing_of_it_is_in_clear_text(w):
    """ID8"""
    use_sealed(w)
    needle = w.pg.password.encode()
    for path in w.gateway.dir.rglob("*"):
        assert not path.is_file() or needle not in path.read_bytes(), f"the password is in {path}"


@test
def set_replaces_and_reload_takes_it(w):
    use_sealed(w)
    assert secret(w, "set", "orders", stdin="wrong").code == 0
    assert works(w) is True, "the running keeper has the old one"
    assert log_in_again(w) is not True
    assert secret(w, "set", "orders", stdin=w.pg.password).code == 0
    assert log_in_again(w) is True


@test
def what_was_tampered_with_is_refused(w):
    """Moved, renamed, cut, altered: the reload is refused, and the gateway goes on as it was."""
    use_sealed(w)
    assert secret(w, "set", "other", stdin="another").code == 0
    path, other = folder(w) / "orders.sealed", folder(w) / "other.sealed"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[-20] ^= 1
    for bad, why in ((other.read_bytes(), "another secret's under this name"), (good[:-1], "cut short"), (good[:10], "cut short"),
                     (bytes(flipped), "altered"), (good + b"x", "altered"), (b"", "newer format"), (b"sp-seal\2" + good[8:], "newer format")):
        path.write_bytes(bad)
        done = w.gateway.reload()
        assert done.code == 1 and "sealed:orders" in done.err and why in done.err, f"{why}: {done!r}"
        listed = {row["name"]: row["state"] for row in secret(w, "list", "--json").json}
        assert why in listed["orders"] and listed["other"] == "opens", listed
        assert works(w) is True
    path.write_bytes(good)
    assert log_in_again(w) is True
    assert secret(w, "remove", "other").code == 0


@test
def the_key_file_must_be_nobody_elses(w):
    use_sealed(w)
    key_file(w).chmod(0o644)
    done = w.gateway.reload()
    assert done.code == 1 and "chmod 0600" in done.err, repr(done)
    key_file(w).chmod(0o600)
    assert log_in_again(w) is True


@test
def list_and_remove(w):
    use_sealed(w)
    assert secret(w, "set", "spare", stdin="x").code == 0
    got = secret(w, "list")
    assert re.search(r"^NAME +SEALED +STATE +USED BY$", got.out, re.M) and re.search(r"^orders .* opens +orders$", got.out, re.M), repr(got)
    got = secret(w, "remove", "orders")
    assert got.code == 1 and "is the secret of orders" in got.err, repr(got)
    assert secret(w, "remove", "spare").code == 0
    got = secret(w, "remove", "spare")
    assert got.code == 1 and "there is no secret spare" in got.err, repr(got)
    assert [row["name"] for row in secret(w, "list", "--json").json] == ["orders"]


@test
def misuse(w):
    use_sealed(w)
    for name, stdin, code, text in (("../x", "x", 2, "a name has letters"), ("x", "", 1, "empty secret"), ("x", "\n", 1, "empty secret"),
                                    ("x", "a" * 8193, 1, "at most 8192 bytes"), ("x", "a\0b", 1, "no NUL")):
        got = secret(w, "set", name, stdin=stdin)
        assert got.code == code and text in got.err, repr(got)
    got = run([w.stage / "bin" / "sallyport", "secret", "set", "x", "--conf", "/nonexistent"], stdin="x")
    assert got.code == 1 and "--conf FILE" in got.err, repr(got)
    assert not (folder(w) / "x.sealed").exists()


@test
def a_terminal_shows_nothing(w):
    use_sealed(w)
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(w.stage / "bin" / "sallyport", ["sallyport", "secret", "set", "typed", "--conf", str(w.gateway.conf_file)])
    seen = b""

    def said(text):
        nonlocal seen
        if select.select([fd], [], [], 0)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                pass
        return text in seen
    for prompt in (b"Secret: ", b"The same again: "):
        wait_for(lambda p=prompt: said(p), said=f"no prompt {prompt}")
        os.write(fd, b"hush-hush\n")
    wait_for(lambda: said(b"typed is sealed"), said=f"it was not sealed: {seen}")
    assert os.waitpid(pid, 0)[1] == 0 and b"hush" not in seen, seen
    os.close(fd)
    assert secret(w, "remove", "typed").code == 0


@test
def rotation(w):
    use_sealed(w)
    before_key, before = key_file(w).read_text(), (folder(w) / "orders.sealed").read_bytes()
    got = secret(w, "rotate")
    assert got.code == 0 and "1 secret was sealed anew" in got.out, repr(got)
    assert key_file(w).read_text() not in (before_key, "") and key_file(w).read_text().count("\n") == 1
    assert log_in_again(w) is True
    (folder(w) / "orders.sealed").write_bytes(before)
    done = w.gateway.reload()
    assert done.code == 1 and "sealed under another key" in done.err, repr(done)
    assert secret(w, "set", "orders", stdin=w.pg.password).code == 0
    assert log_in_again(w) is True


@test
def a_rotation_killed_anywhere_is_finished_by_the_next(w):
    """Killed at each call that changes what is on the disk: before it, every secret opens, and the gateway logs in."""
    use_sealed(w)
    if shutil.which("strace") is None:
        skip("strace is not installed (apt-get install strace)")
    for name in NAMES:
        assert secret(w, "set", name, stdin=f"secret-{name}").code == 0
    calls, killed = ("openat", "unlinkat", "fchown", "write", "fsync", "renameat"), 0
    for call in calls[1:]:
        for nth in range(1, 20):
            got = secret(w, "rotate", wrap=("strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}"))
            if got.code == 1 and "ptrace" in got.err.lower():
                skip(f"strace may not trace here: {got.err.splitlines()[0]}")
            states = {row["state"] for row in secret(w, "list", "--json").json}
            assert states <= {"opens", "opens, under the old key"}, f"killed at {call} {nth}: {states}"
            if got.code == 0:
                break
            killed += 1
            if call == "renameat":
                assert log_in_again(w) is True, f"killed at {call} {nth}"
                got = secret(w, "rotate")
                assert got.code == 0, repr(got)
                assert {row["state"] for row in secret(w, "list", "--json").json} == {"opens"}
    assert killed >= 20, f"only {killed} kills: this test could not fail"
    assert secret(w, "rotate").code == 0 and key_file(w).read_text().count("\n") == 1
    left = [p.name for p in [*folder(w).iterdir(), *key_file(w).parent.iterdir()] if p.name.endswith(".new")]
    assert not left, left
    assert log_in_again(w) is True


@test
def a_lost_key_is_not_made_anew_over_what_it_sealed(w):
    use_sealed(w)
    kept = key_file(w).read_text()
    key_file(w).unlink()
    got = secret(w, "set", "x", stdin="x")
    assert got.code == 1 and "is gone, and the secret" in got.err and not key_file(w).exists(), repr(got)
    key_file(w).write_text(kept)
    key_file(w).chmod(0o600)
    if IS_ROOT:
        shutil.chown(key_file(w), "sallyport-keeper", "sallyport-keeper")
    assert log_in_again(w) is True


@test
def others_may_not(w):
    use_sealed(w)
    if not IS_ROOT:
        skip("without root all processes have one uid")
    got = run([w.stage / "bin" / "sallyport", "secret", "list", "--conf", w.gateway.conf_file], cwd="/", **as_user("sallyport"))
    assert got.code == 1 and "Permission denied" in got.err, repr(got)


main()
