#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/security.md, "If it is compromised": the *cannot* of each process that files and processes decide.

What the system call filter decides is in tests/unit/test_sandbox.c, what the internal protocol decides in
tests/unit/test_keeper.c and test_message.c.  Here the uid of a role tries, outside of any sandbox.
"""

from harness import *

WORKER, KEEPER, RECORDER, CONSOLE = "sallyport", "sallyport-keeper", "sallyport-recorder", "sallyport-console"
HELPERS = [name for name in ROLES if name not in (WORKER, KEEPER, RECORDER, CONSOLE)]
ATTEMPT = """
import os, sys
what = sys.argv[1]
for path in sys.argv[2:]:
    try:
        if what == "read":
            open(path, "rb").read(1)
        elif what == "write":
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
        elif what == "list":
            os.listdir(path)
        elif what == "create":
            open(os.path.join(path, "planted"), "x").close()
        elif what == "connect":
            import socket
            socket.socket(socket.AF_UNIX).connect(path)
        elif what == "kill":
            os.kill(int(path), 0)
        print("could", path)
    except OSError as e:
        print("could not:", e.strerror, path)
"""


def tries(role, what, *paths):
    """Those with which a program of that role's uid succeeds."""
    got = run(["/usr/bin/python3", "-IS", "-c", ATTEMPT, what, *paths], cwd="/", **as_user(role))
    said = got.out.splitlines()
    assert len(said) == len(paths) and all(line.startswith("could") for line in said), repr(got)
    return [path for path, line in zip(paths, said) if not line.startswith("could not")]


def cannot(role, what, *paths):
    if not IS_ROOT:
        skip("without root all processes have one uid")
    could = tries(role, what, *paths)
    assert not could, f"{role} can {what} {could}"


def processes(w, *but):
    return [pid for role, pids in w.gateway.children().items() if role not in but for pid in pids]


def recording(w):
    w.psql("SELECT 'recorded'", user="rory")
    return wait_for(lambda: list((w.gateway.dir / "sessions").rglob("*.rec")) or
                    [p for p in (w.gateway.dir / "sessions").rglob("*") if p.is_file()], said="no recording")[0]


@test
def the_attempts_can_succeed(w):
    if not IS_ROOT:
        skip("without root all processes have one uid")
    assert tries(KEEPER, "read", w.gateway.dir / "keeper" / "orders.secret")
    assert tries(RECORDER, "list", w.gateway.dir / "sessions")
    assert tries(WORKER, "read", "/etc/passwd")


@test
def worker_cannot_read_secrets_store_or_recordings(w):
    keeper = w.gateway.dir / "keeper"
    cannot(WORKER, "read", keeper / "orders.secret", keeper / "state.db", keeper / "signing.key", keeper / "issuer.key", recording(w))
    cannot(WORKER, "write", keeper / "state.db", recording(w))
    cannot(WORKER, "create", keeper, w.gateway.dir / "sessions", w.gateway.dir / "anchor", w.gateway.dir / "policies")


@test
def worker_cannot_operate_or_look_into_others(w):
    cannot(WORKER, "connect", w.gateway.control)
    cannot(WORKER, "read", *[f"/proc/{pid}/mem" for pid in processes(w)])
    cannot(WORKER, "kill", *processes(w, "worker"))


@test
def worker_cannot_read_environments(w):
    cannot(WORKER, "read", *[f"/proc/{pid}/environ" for pid in processes(w)])


@test
def console_cannot_open_anything_of_others(w):
    keeper = w.gateway.dir / "keeper"
    cannot(CONSOLE, "read", keeper / "orders.secret", keeper / "state.db", recording(w), w.gateway.dir / "tls" / "key.pem")
    cannot(CONSOLE, "connect", w.gateway.control)
    cannot(CONSOLE, "kill", *processes(w, "console"))
    cannot(CONSOLE, "read", *[f"/proc/{pid}/mem" for pid in processes(w)])


@test
def recorder_cannot_sign_or_see_credentials(w):
    keeper = w.gateway.dir / "keeper"
    cannot(RECORDER, "read", keeper / "signing.key", keeper / "orders.secret", keeper / "state.db", w.gateway.dir / "tls" / "key.pem")
    cannot(RECORDER, "kill", *processes(w, "recorder"))
    cannot(RECORDER, "connect", w.gateway.control)


@test
def keeper_cannot_read_what_flows(w):
    cannot(KEEPER, "read", recording(w), w.gateway.dir / "tls" / "key.pem")
    cannot(KEEPER, "read", *[f"/proc/{pid}/mem" for pid in processes(w)])
    found = run(["ss", "-Hltnp"]).out
    for role in ("keeper", "recorder", "console"):
        for pid in w.gateway.children()[role]:
            assert f"pid={pid}," not in found, f"{role} listens"


@test
def helpers_cannot_read_what_is_anothers_or_operate(w):
    """Those that speak to the outside (fetch, saml, lend, ship, dial): nothing of the keeper's, of a session's or of each other's."""
    keeper, log = w.gateway.dir / "keeper", w.gateway.dir / "log" / "audit.jsonl"
    w.psql("SELECT 1")
    there, others = recording(w), [f"/proc/{pid}/{what}" for pid in processes(w) for what in ("mem", "environ")]
    for role in HELPERS:
        cannot(role, "read", keeper / "orders.secret", keeper / "state.db", keeper / "signing.key", keeper / "issuer.key", keeper / "master.key",
               w.gateway.dir / "tls" / "key.pem", there, *others)
        cannot(role, "write", keeper / "state.db", there, log, w.gateway.conf_file)
        cannot(role, "create", keeper, w.gateway.dir / "sessions", w.gateway.dir / "anchor", w.gateway.dir / "policies")
        cannot(role, "connect", w.gateway.control)
        cannot(role, "kill", *processes(w))


@test
def the_audit_log_is_read_only_but_for_the_recorder(w):
    """The keeper has it for auditors, the console for as long as one reads; neither has it to write, nor may open it so."""
    log = w.gateway.dir / "log" / "audit.jsonl"
    w.psql("SELECT 1")
    token = w.token("aud", "auditor", api=True)
    reader = subprocess.Popen([w.stage / "bin" / "sallyport", "audit", "--follow"], stdout=subprocess.DEVNULL,
                              env={**os.environ, "SALLYPORT_CONTROL": str(w.gateway.control), "SALLYPORT_TOKEN": token})

    def modes(role):
        """How that process has the file open, as /proc tells."""
        pid = w.gateway.children()[role][0]
        there = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.path.exists(f"/proc/{pid}/fd/{fd}") and os.path.samefile(f"/proc/{pid}/fd/{fd}", log)]
        return {int(re.search(r"flags:\s+(\d+)", open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii").read()).group(1), 8) & os.O_ACCMODE for fd in there}
    try:
        wait_for(lambda: modes("console"), 10, said="the console was not handed the log")
        assert modes("keeper") == modes("console") == {os.O_RDONLY} and modes("recorder") == {os.O_RDWR}
        assert all(not modes(role) for role in w.gateway.children() if role not in ("keeper", "console", "recorder", "master"))
        for role in (KEEPER, CONSOLE, WORKER):
            cannot(role, "write", log)
    finally:
        reader.terminate()
        reader.wait()
    wait_for(lambda: not modes("console"), 10, said="the console keeps the log though nobody reads")


@test
def each_role_is_locked_down(w):
    """No new privileges, a system call filter, no core dumps, nobody's root."""
    for role, pids in w.gateway.children().items():
        for pid in pids:
            status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status", encoding="ascii") if ":\t" in line)
            assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", (role, status)
            if IS_ROOT:
                assert "0" not in status["Uid"].split(), f"{role} is root"
                assert status["CapEff"].strip().strip("0") == "", f"{role} has capabilities"


main()
