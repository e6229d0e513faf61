#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts beside the programs: the configuration, the example, the unit, the users."""

from harness import *


def shipped(w, path):
    file = w.stage / path
    assert file.exists(), f"{file} is not installed"
    return file


def unit(w, name):
    text = shipped(w, "lib/systemd/system/sallyport.service").read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.M)


def refit(w, text):
    """The example with this machine's server, secret and certificates."""
    gate = w.gateway.dir
    changes = {
        r"/\S*/tls/gateway\.pem": f"{gate}/tls/cert.pem", r"/\S*/tls/gateway\.key": f"{gate}/tls/key.pem",
        r"file:/\S*/secrets/orders": f"file:{gate}/keeper/orders.secret", r"0\.0\.0\.0:5432": f"127.0.0.1:{free_port()}",
        r"db1\.example\.com:5432": f"127.0.0.1:{w.pg.port}", r"verify-full ca=\S+;": "off;",
    }
    for old, new in changes.items():
        text, n = re.subn(old, new, text)
        assert n == 1, f"{old} stands {n} times in the example"
    return text


@test
def shipped_conf_is_good(w):
    conf = shipped(w, "etc/sallyport/sallyport.conf")
    for args in (["-t"], ["-T"]):
        got = run([w.stage / "sbin/sallyportd", "-c", conf, *args])
        assert got.code == 0, repr(got)


@test
def example_is_good(w):
    """With the shipped policies and their tests."""
    example = shipped(w, "share/doc/sallyport/examples/conf.d/orders.conf").read_text()
    for path in re.findall(r"\S+\.lua", example):
        assert pathlib.Path(path.rstrip(";")).exists(), f"{path} is not installed"
    folder = w.dir / "example"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "sallyport.conf").write_text(shipped(w, "share/doc/sallyport/examples/sallyport.conf").read_text())
    (folder / "conf.d" / "orders.conf").write_text(refit(w, example))
    got = run([w.stage / "sbin/sallyportd", "-c", folder / "sallyport.conf", "-t"])
    assert got.code == 0 and "1 targets" in got.out, repr(got)
    tests = int(re.search(r"(\d+) policy tests passed", got.out).group(1))
    assert tests > 30, f"only {tests} policy tests ran: {got!r}"


@test
def mistakes_are_named(w):
    listener = "listener l { listen 127.0.0.1:1; protocol postgres; cleartext loopback; %s }\n"
    target = "target t { server 127.0.0.1:1; protocol postgres; policy p.lua; %s }\n"
    folder = w.dir / "mistakes"
    folder.mkdir()
    (folder / "p.lua").write_text('rule "x" { doc = "x", on = "session", when = { user = "z" }, deny = "x" }\n')
    for text, said in (
            ("lsten 1;", ':2: unknown directive "lsten", did you mean "listen"? It belongs in "listener NAME { }"'),
            ("wrkers 1;", ':2: unknown directive "wrkers", did you mean "workers"?'),
            (listener % "server x;", ':2: "server" belongs in "target NAME { }"'),
            (listener % "workers 2;", ':2: "workers" belongs outside of all blocks'),
            (target % "statement_mxa 1m;", ':2: unknown directive "statement_mxa", did you mean "statement_max"?'),
            (target % "allwo groups=a;", ':2: unknown directive "allwo", did you mean "allow"?'),
            (listener % "" + target % "allwo groups=a;", ':3: unknown directive "allwo", did you mean "allow"?'),
            ("listener l { listen 127.0.0.1:1; protocol mysql; cleartext loopback; }", ':2: protocol "mysql" has no module: "load_module mysql;" is missing'),
            ("include nothere.conf;", "no such file")):
        (folder / "sallyport.conf").write_text("load_module postgres;\n" + text + "\n")
        got = run([w.stage / "sbin/sallyportd", "-c", folder / "sallyport.conf", "-t"])
        assert got.code == 1 and got.err.count(said) == 1, f"{text}: {got!r}"


@test
def reinstall_keeps_an_operators_file(w):
    source = w.stage.parent / "src"
    if not (source / "Makefile").exists():
        skip(f"{source} is not the build that {w.stage} was installed from")
    into = w.dir / "destdir"
    make = ["make", "-s", "-C", source, f"DESTDIR={into}"]
    run([*make, "install-data-local"], check=True, timeout=120)
    conf = into / str(w.stage).lstrip("/") / "etc/sallyport/sallyport.conf"
    conf.write_text("# an operator's own\n")
    run([*make, "install-data-local"], check=True, timeout=120)
    run([*make, "uninstall-local"], check=True, timeout=120)
    assert conf.read_text() == "# an operator's own\n"


@test
def users_are_those_of_the_roles(w):
    named = re.findall(r"^u (\S+)", shipped(w, "lib/sysusers.d/sallyport.conf").read_text(), re.M)
    assert sorted(named) == sorted(ROLES), named


@test
def unit_is_well_formed(w):
    if not shutil.which("systemd-analyze"):
        skip("systemd-analyze is not installed (apt-get install systemd)")
    got = run(["systemd-analyze", "verify", "--man=no", shipped(w, "lib/systemd/system/sallyport.service")])
    said = [line for line in got.err.splitlines() if "sallyport.service" in line]
    assert not said, repr(got)


@test
def unit_leaves_enough_capabilities(w):
    """The master with no more than the unit's capabilities, and no way to more."""
    if not IS_ROOT:
        skip("only root has capabilities to give up")
    keep = "".join(f",+{c.removeprefix('CAP_').lower()}" for c in unit(w, "CapabilityBoundingSet")[0].split())
    w.gateway.stop()
    whole = w.gateway.stage
    try:
        bare = w.dir / "bare"
        (bare / "sbin").mkdir(parents=True)
        wrapper = bare / "sbin" / "sallyportd"
        wrapper.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-all{keep} --no-new-privs {whole}/sbin/sallyportd "$@"\n')
        wrapper.chmod(0o755)
        w.gateway.stage = bare
        w.gateway.start()
        status = (pathlib.Path("/proc") / str(w.gateway.process.pid) / "status").read_text()
        assert "NoNewPrivs:\t1" in status and "CapEff:\t000001ffffffffff" not in status, status
        assert w.psql("SELECT 1").out == "1", w.gateway.logs()
    finally:
        w.gateway.stage = whole


main()
