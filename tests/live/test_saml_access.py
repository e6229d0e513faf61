#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who has SAML only: `sallyport login` at the gateway's device page, then psql and ssh by tickets, and no way past their end."""

from saml_world import *
from ssh_world import *

HERS = {}


def signed_in(w):
    """The environment of a machine where ann, of groups dev, has signed in: once."""
    if not HERS:
        start_provider(w)
        be(id="00u1", uid="ann", groups=["dev"])
        HERS["env"] = machine(w)
        login(w, HERS["env"], sign_in(w)[0])
    return HERS["env"]


def sallyport(w, *args, **more):
    return run([w.stage / "bin" / "sallyport", *args], env=signed_in(w), **more)


def ticket(w, target, *more, fmt="json"):
    done = sallyport(w, "ticket", target, "--format", fmt, *more)
    assert done.code == 0, repr(done)
    return done.json if fmt == "json" else done.out


def ssh_by(w, t, *command, options=(), user=None):
    argv = ["ssh", *options, *w.gate_options(), "-l", user or t["id"], "127.0.0.1", *command]
    return run(argv, env=w.environment(t["password"]), stdin="")


@test
def whoami_says_saml(w):
    me = sallyport(w, "whoami", "--json").json
    assert me["identity"] == "okta" and me["user"] == "ann" and me["class"] == "human", me
    assert w.psql("SELECT 1", user="ann", token="sps_x").code != 0  # a sign-in is no password


@test
def to_psql_by_a_ticket(w):
    t = ticket(w, "orders")
    got = run(["psql", f"host=127.0.0.1 port={w.gateway.tls_port} dbname=orders user={t['id']} sslmode=require", "-XAtqc", "SELECT email FROM customers WHERE id = 1"],
              env={"PGPASSWORD": t["password"]})
    assert got.code == 0 and got.out == "****.com", repr(got)
    got = run(["psql", ticket(w, "orders", fmt="dsn"), "-XAtqc", "SELECT 2"])
    assert got.out == "2", repr(got)
    got = run(["sh", "-c", ticket(w, "orders", fmt="env") + '; exec psql -XAtqc "SELECT 3"'])
    assert got.out == "3", repr(got)
    one = w.sessions()[0]
    assert one["user"] == "ann" and one["target"] == "orders", one


@test
def to_psql_by_connect(w):
    got = sallyport(w, "connect", "orders", "--", "-XAtqc", "SELECT 4")
    assert got.code == 0 and got.out == "4", repr(got)


@test
def to_ssh_by_a_ticket(w):
    t = ticket(w, "host")
    assert t["id"].startswith("spt-") and t["protocol"] == "ssh" and t["port"] == w.ssh_port, t
    for way in ("password", "keyboard-interactive"):
        got = ssh_by(w, t, "echo in", options=["-o", f"PreferredAuthentications={way}"])
        assert got.code == 0 and got.out == "in", (way, got)
    got = ssh_by(w, t, "rm x")
    assert got.code == 126 and "no-rm" in got.err, repr(got)
    one = w.sessions()[0]
    assert one["user"] == "ann" and one["target"] == "host", one
    assert ssh_by(w, t, "id -un", user=f"{LOGIN}%{t['id']}").out == LOGIN
    got = ssh_by(w, t, "true", user=f"root%{t['id']}", options=LOUDLY)
    assert got.code == 255 and "access denied" in got.err, repr(got)
    assert ticket(w, "host", fmt="dsn").startswith("ssh://spt-")
    got = run(["sh", "-c", ticket(w, "host", fmt="env") + '; echo "$SSH_PORT"; SALLYPORT_TEST_TOKEN="$SSHPASS" exec "$@" -l "$SSH_USER" 127.0.0.1 echo by env', "sh",
               "ssh", *w.gate_options()], env=w.environment(""))
    assert got.out.split("\n") == [str(w.ssh_port), "by env"], repr(got)


@test
def to_ssh_by_connect(w):
    options = ["-F", "none", "-o", f"UserKnownHostsFile={w.known}", "-o", "GlobalKnownHostsFile=none", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"]
    got = sallyport(w, "connect", "host", "--", *options, "echo", "hello")
    assert got.code == 0 and got.out == "hello", repr(got)
    watched = run(["sh", "-c", '"$@" & sleep 0; for i in $(seq 200); do tr "\\0" " " <"/proc/$!/cmdline" 2>/dev/null | grep "^ssh " && break; done; kill -0 $!; wait',
                   "sh", w.stage / "bin" / "sallyport", "connect", "host", "--", *options, "sleep", "1"], env=signed_in(w))
    assert "spt-" in watched.out and "PASS" not in watched.out.upper().replace("NUMBEROFPASSWORDPROMPTS", ""), repr(watched)  # P5: its name, no more
    unknown = sallyport(w, "connect", "host", "--", *[o.replace(str(w.known), "/dev/null") for o in options], "true", start_new_session=True)
    assert unknown.code == 255 and "verification failed" in unknown.err, repr(unknown)  # nobody is there to say yes; the password is no answer


@test
def four_ways_to_be_no_good(w):
    t = ticket(w, "host")
    assert ssh_by(w, dict(t, password="x" * 32), "true", options=LOUDLY).err.count("access denied") == 1
    assert "access denied" in ssh_by(w, dict(t, id="spt-00000000000000000000"), "true", options=LOUDLY).err
    assert ssh_by(w, t, "true").code == 0
    assert "another address" in ssh_by(w, t, "true", options=[*LOUDLY, "-o", "BindAddress=127.0.0.2"]).err
    assert sallyport(w, "end", t["id"]).code == 0
    assert "was revoked" in ssh_by(w, t, "true", options=LOUDLY).err
    short = ticket(w, "host", "--for", "1s")
    wait_for(lambda: "has expired" in ssh_by(w, short, "true", options=LOUDLY).err, said="it did not expire")
    other = ticket(w, "orders")
    assert "another target" in ssh_by(w, other, "true", options=LOUDLY).err
    got = run(["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={t['id']} sslmode=disable", "-c", "SELECT 1"], env={"PGPASSWORD": t["password"]})
    assert got.code != 0 and "another target" in got.err, repr(got)


@test
def one_session_of_connect(w):
    asked = run(["curl", "-sS", "--unix-socket", w.gateway.control, "-H", "Content-Type: application/json", "-H", "Authorization: Bearer " + w.token("eve", "dev", api=True),
                 "-d", '{"target":"host","once":true}', "http://localhost/api/v1/tickets"])
    t = asked.json
    assert ssh_by(w, t, "echo once").out == "once", repr(asked)
    assert "used up" in ssh_by(w, t, "true", options=LOUDLY).err


@test
def its_password_is_nowhere(w):
    t = ticket(w, "host")
    assert ssh_by(w, t, "true").code == 0
    for path in w.gateway.dir.rglob("*"):
        if path.is_file() and not path.is_socket():
            assert t["password"].encode() not in path.read_bytes(), path


@test
def who_is_revoked_is_out_of_both(w):
    ssh, psql = ticket(w, "host"), ticket(w, "orders")
    env = dict(os.environ, **w.environment(ssh["password"]))
    open_ssh = subprocess.Popen(["ssh", *w.gate_options(), "-l", ssh["id"], "127.0.0.1", "sleep", "61"], env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    open_psql = Waiting(["psql", f"host=127.0.0.1 port={w.gateway.port} dbname=orders user={psql['id']} sslmode=disable", "-XAtq", "-c", "SELECT pg_sleep(61)"],
                        {"PGPASSWORD": psql["password"]})
    wait_for(lambda: len([s for s in w.sessions(live=True) if s["user"] == "ann"]) == 2, said="both did not get in")
    assert w.command("revoke", "--user", "ann").code == 0
    assert open_ssh.wait(10 * SLOW) == 255
    assert open_psql.result().code != 0
    assert "was revoked" in ssh_by(w, ssh, "true", options=LOUDLY).err
    assert sallyport(w, "ticket", "host").code == 1
    HERS.clear()


ssh_main(postgres=True, console=True)
