#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other clients than OpenSSH's, and tools on top of it: the same through the gateway as past it."""

import npm
from pypi import python_path
from ssh_world import *


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            skip(f"{program} is not installed")


def ticket(w, user="ann"):
    return w.command("ticket", "host", "--host", "127.0.0.1", "--format", "json", token=w.token(user, "dev", api=True)).json


def password_file(w, text):
    path = w.client / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def gate_fingerprint(w):
    return fingerprint(w.gateway.dir / "tls" / "ssh_host_key.pub")


def folder(w, name):
    path = w.dir / name
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    return path


@test
def plink_and_psftp(w):
    needs("plink", "psftp")
    t = ticket(w)
    env = {"HOME": str(w.client)}
    words = ["-P", str(w.ssh_port), "-l", t["id"], "-pwfile", password_file(w, t["password"]), "-batch", "-hostkey", gate_fingerprint(w)]
    done = run(["plink", "-ssh", *words, "127.0.0.1", "echo out; echo err >&2; exit 7"], env=env, stdin="")
    assert (done.code, done.out.strip(), done.err.split()[-1]) == (7, "out", "err"), f"{done!r}\n{w.gateway.logs()}"
    there, data = folder(w, "psftp"), os.urandom(300_000)
    (w.client / "data").write_bytes(data)
    batch = w.client / "batch"
    batch.write_text(f"put {w.client}/data {there}/data\nget {there}/data {w.client}/back\nquit\n")
    done = run(["psftp", *words, "-b", batch, "127.0.0.1"], env=env, stdin="")
    assert done.code == 0 and (there / "data").read_bytes() == (w.client / "back").read_bytes() == data, repr(done)


@test
def dropbear(w):
    needs("dbclient")
    t = ticket(w)
    done = run(["dbclient", "-y", "-y", "-p", str(w.ssh_port), "-l", t["id"], "127.0.0.1", "echo out; exit 5"],
               env={"HOME": str(w.client), "DROPBEAR_PASSWORD": t["password"]}, stdin="")
    assert done.code == 5 and done.out.strip() == "out", f"{done!r}\n{w.gateway.logs()}"


@test
def npm_ssh2(w):
    modules, t, there = npm.node_modules(), ticket(w), folder(w, "node")

    def work(**how):
        argument = json.dumps(dict(host="127.0.0.1", folder=str(there), **how))
        done = run(["node", HERE / "node" / "ssh.js", argument], env={"NODE_PATH": str(modules)}, timeout=120 * SLOW)
        assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"
        return json.loads(done.out)
    direct = work(port=w.sshd.port, username=LOGIN, keyFile=str(w.sshd.user_key), fingerprint=w.sshd.fingerprint())
    through = work(port=w.ssh_port, username=t["id"], password=t["password"], fingerprint=gate_fingerprint(w))
    assert through == direct and through[0]["code"] == 7 and through[0]["err"] == "err\n", (through, direct)
    assert through[3]["size"] == 700_000, through


@test
def through_a_jump_host(w):
    conf = w.client / "jump.conf"
    conf.write_text(f"""\
Host jump
    HostName 127.0.0.1
    Port {w.sshd.port}
    User {LOGIN}
    IdentityFile {w.sshd.user_key}
    IdentitiesOnly yes
Host gate
    HostName 127.0.0.1
    Port {w.ssh_port}
    User host
    PubkeyAuthentication no
Host *
    UserKnownHostsFile {w.known}
    GlobalKnownHostsFile none
    IdentityAgent none
    LogLevel ERROR
""")
    done = run(["ssh", "-F", conf, "-J", "jump", "gate", "echo out; exit 9"], env=w.environment(w.token()), stdin="")
    assert done.code == 9 and done.out.strip() == "out", f"{done!r}\n{w.gateway.logs()}"


@test
def a_program_with_libssh2_or_paramiko_is_told_to_update(w):
    """Neither of Debian 12's does strict key exchange, or AES-GCM: refused before anything of it is read (SS1)."""
    code = f"""
import socket, sys
try:
    import paramiko
except ImportError:
    sys.exit(77)
t = paramiko.Transport(socket.create_connection(("127.0.0.1", {w.ssh_port})))
try:
    t.start_client(timeout=20)
except (paramiko.SSHException, EOFError) as error:
    print("refused", error)
    sys.exit(0)
try:
    t.auth_password("host", "x")
except Exception as error:
    print("refused", type(error).__name__, error)
    sys.exit(0)
print("let in")
"""
    done = run(["/usr/bin/python3", "-c", code])
    if done.code == 77:
        skip("paramiko is not installed (apt-get install python3-paramiko)")
    assert done.out.startswith("refused"), repr(done)
    wait_for(lambda: "strict key exchange" in w.gateway.logs(200), said="nobody said why")


@test
def a_paramiko_of_today_does_the_same_direct_and_through(w):
    """Commands with their status, streams and halves, a shell's terminal, files by SFTP, two at once on one connection."""
    path = python_path()
    code = w.client / "with_paramiko.py"
    code.write_text("""
import hashlib, os, sys, threading
import paramiko

port, user, secret, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
c = paramiko.SSHClient()
c.load_host_keys(sys.argv[5])
how = {"key_filename": secret} if os.path.exists(secret) else {"password": secret}
c.connect("127.0.0.1", port, user, look_for_keys=False, allow_agent=False, timeout=30, **how)
print("strict", c.get_transport().packetizer is not None, paramiko.__version__)
stdin, stdout, stderr = c.exec_command("cat; echo err >&2; exit 7")
stdin.write("given\\n" * 50000)
stdin.channel.shutdown_write()
out = stdout.read()
print(hashlib.sha256(out).hexdigest(), stderr.read(), stdout.channel.recv_exit_status())
s = c.open_sftp()
data = os.urandom(1) * 3000000 + b"end"
with s.open(folder + "/up", "wb") as f:
    f.set_pipelined(True)
    f.write(data)
print(s.stat(folder + "/up").st_size, sorted(s.listdir(folder)))
back = os.path.join(os.path.dirname(sys.argv[5]), "back")
s.get(folder + "/up", back)
print(open(back, "rb").read() == data)
s.rename(folder + "/up", folder + "/moved")
s.remove(folder + "/moved")
said = {}
def one(n):
    _, out, _ = c.exec_command(f"sleep 0.2; echo {n}")
    said[n] = out.read()
many = [threading.Thread(target=one, args=(n,)) for n in range(8)]
[t.start() for t in many]
[t.join() for t in many]
print(sorted(said.items()))
shell = c.invoke_shell(width=77, height=33)
shell.send("stty size; exit 3\\n")
text = b""
while more := shell.recv(4096):
    text += more
print(b"33 77" in text, shell.recv_exit_status())
c.close()
""")
    there = w.dir / "paramiko"
    there.mkdir(exist_ok=True)
    there.chmod(0o777)
    answers = []
    for port, user, secret in ((w.sshd.port, LOGIN, w.sshd.user_key), (w.ssh_port, "host", w.token())):
        done = run(["/usr/bin/python3", "-W", "ignore", code, port, user, secret, there, w.known], env={"PYTHONPATH": str(path)}, timeout=120)
        assert done.code == 0, f"{done!r}\n{w.gateway.logs()}"
        answers.append(done.out)
    assert answers[0] == answers[1] and "b'err\\n' 7" in answers[0] and "True 3" in answers[0], answers


ssh_main()
