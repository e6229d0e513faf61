#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`login command=`: a program of the operator's prints the password; no shell, a deadline, a cap, nothing of the gateway's."""

from lend_world import *

TARGET_COMMAND = """\
target {name} {{
    protocol  postgres;
    server    127.0.0.1:{port};
    tls       off;
    login     command={name} user=app_gw;
    catalogue user=cat_gw secret=file:{dir}/keeper/cat.secret;
    database  orders;
    allow     groups=dev;
    policy    {dir}/policies/open.lua;
}}
command {name} {{ run {run}; timeout {timeout}; }}
"""
begun = []


def program(w, name, text):
    folder = w.gateway.dir / "programs"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def start(w):
    if begun:
        return
    begun.append(True)
    g, cat = w.gateway, "cat-" + os.urandom(9).hex()
    w.pg.sql(ROLES_SQL.format(cat=cat, admin=admin), "postgres")
    secret(g, "cat.secret", cat)
    (g.dir / "policies" / "open.lua").write_text(NO_RULES)
    say = program(w, "say", 'test "$1" = "a b;c" && test "$#" = 1 && printf "%s\\n" "' + w.pg.password + '"\n')
    look = program(w, "look", f"env > {g.dir}/seen/env; id -un > {g.dir}/seen/id; ls -l /proc/self/fd > {g.dir}/seen/fds; cat >> {g.dir}/seen/env\n"
                   f"printf %s '{w.pg.password}'\n")
    (g.dir / "seen").mkdir()
    (g.dir / "seen").chmod(0o777)
    texts = {"good": (f'"{say}" "a b;c"', "5s"), "look": (look, "5s"), "hangs": (program(w, "hangs", "sleep 60 & echo $! > " + f"{g.dir}/seen/pid; sleep 60\n"), "500ms"),
             "fails": (program(w, "fails", f"printf %s '{w.pg.password}'; exit 3\n"), "5s"), "much": (program(w, "much", "yes\n"), "2s"),
             "none": (program(w, "none", "true\n"), "5s"), "gone": ("/nonexistent/program", "5s")}
    g.more_targets = "".join(TARGET_COMMAND.format(name=name, port=w.pg.port, dir=g.dir, run=run_, timeout=timeout) for name, (run_, timeout) in texts.items())
    reload(w)
    wait_for(lambda: len(g.children().get("lend", [])) == len(texts), said="not as many lenders as commands")


@test
def what_it_prints_is_the_password(w):
    start(w)
    got = w.psql("SELECT current_user", database="good")
    assert got.out == "app_gw", f"{got!r}\n{w.gateway.logs()}"


@test
def it_gets_nothing_of_the_gateway(w):
    """P5: its own environment, no descriptor, no input, the lend helper's user."""
    start(w)
    got = w.psql("SELECT current_user", database="look")
    assert got.out == "app_gw", f"{got!r}\n{w.gateway.logs()}"
    seen = w.gateway.dir / "seen"
    names = {line.split("=")[0] for line in (seen / "env").read_text().split()}
    assert names <= {"PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}, names
    fds = re.findall(r" (\d+) -> (\S+)", (seen / "fds").read_text())
    assert {n: to for n, to in fds if int(n) < 3 and n != "1"} == {"0": "/dev/null", "2": "/dev/null"}, fds
    assert all("socket" not in to for _, to in fds), fds
    if IS_ROOT:
        assert (seen / "id").read_text().strip() == "sallyport-lend"


@test
def what_goes_wrong_is_a_refusal(w):
    start(w)
    for target, why in (("hangs", "did not end in time"), ("fails", "it failed"), ("much", "too much"), ("none", "printed nothing"), ("gone", "it failed")):
        got = w.psql("SELECT 1", database=target)
        assert got.code == 2 and "credential could not be had" in got.err, f"{target}: {got!r}"
        assert why in w.gateway.logs(200), f"{target}: {w.gateway.logs()}"
    pid = int((w.gateway.dir / "seen" / "pid").read_text())
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists() or open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "Z",
             said="what it left behind goes on")


@test
def another_command_after_a_reload(w):
    start(w)
    text = w.gateway.more_targets
    w.gateway.more_targets = text.replace('"a b;c"', '"another"')
    reload(w)
    wait_for(lambda: w.psql("SELECT 1", database="good").code == 2, said="the former command is still run")
    w.gateway.more_targets = text
    reload(w)
    wait_for(lambda: w.psql("SELECT 1", database="good").out == "1", said="the command does not come back")


@test
def no_log_has_it(w):
    start(w)
    for path in w.gateway.dir.rglob("*"):
        if path.is_file() and path.suffix != ".secret" and path.parent.name != "programs":
            assert w.pg.password.encode() not in path.read_bytes(), path


main()
