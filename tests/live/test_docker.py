#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Docker through the gateway: a real dockerd, the docker CLI, direct and through, equal but for what rules say."""

from docker_world import *


@test
def the_cli_works_unchanged(w):
    w.same("exec", "web", "id")
    w.same("exec", "-u", "web", "-w", "/tmp", "-e", "A=b", "web", "sh", "-c", "id; echo $A; pwd; echo err >&2; exit 3")
    w.same("exec", "-i", "web", "cat", stdin="hello\n" * 1000)
    w.same("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}}")
    w.same("images", "--format", "{{.ID}} {{.Repository}}")
    w.same("top", "web", "-o", "args")
    w.same("version", "--format", "{{.Server.Version}}")
    w.same("info", "--format", "{{.ServerVersion}} {{.Containers}}")
    w.same("inspect", "web", "--format", "{{.Id}} {{.State.Running}}")
    w.same("exec", "nowhere", "id")
    w.same("inspect", "nowhere")


@test
def logs_and_run(w):
    w.direct("run", "--network", "none", "--name", "talk", "test:1", "sh", "-c", "echo out; echo err >&2; seq 1 1000")
    w.same("logs", "talk")
    w.same("logs", "--tail", "3", "talk")
    through = w.docker("run", "--rm", "--network", "none", "test:1", "sh", "-c", "echo one; echo two >&2; exit 4")
    assert (through.out, through.err, through.code) == ("one", "two", 4), repr(through)
    through = w.docker("run", "--rm", "-i", "--network", "none", "test:1", "cat", stdin="to and fro")
    assert (through.out, through.code) == ("to and fro", 0), repr(through)
    p = w.docker_start("logs", "-f", "talk")
    out, _ = p.communicate(timeout=20 * SLOW)
    assert out.startswith("out\n") and p.returncode == 0, out
    w.direct("rm", "talk")


@test
def a_terminal(w):
    say = [("# ", "while test \"$(stty size)\" != '31 97'; do sleep 0.1; done; stty size; exit 5\r")]
    direct, through = w.direct_tty("exec", "-it", "web", "sh", say=say), w.through_tty("exec", "-it", "web", "sh", say=say)
    assert "31 97" in through[0] and through[1] == direct[1] == 5, (direct, through)


@test
def a_rule_denies(w):
    done = w.docker("exec", "web", "rm", "-rf", "/tmp/x")
    assert done.code != 0 and 'blocked by rule "no-rm": Ask for it in a ticket.' in done.err, repr(done)
    done = w.docker("run", "--rm", "--privileged", "test:1", "true")
    assert done.code != 0 and "no-privileged" in done.err, repr(done)
    for bind in ("/:/host", "/var/run/docker.sock:/x", "/srv/shared/../..:/x"):
        done = w.docker("run", "--rm", "-v", bind, "--network", "none", "test:1", "true")
        assert done.code != 0 and ("no-host-paths" in done.err or "analysed" in done.err or "unclear" in done.err), f"{bind} {done!r}"
    done = w.docker("run", "--rm", "--mount", "type=bind,source=/etc,target=/x", "--network", "none", "test:1", "true")
    assert done.code != 0 and "no-host-paths" in done.err, repr(done)
    status, body = w.api("DELETE", "/v1.41/plugins/x")
    assert status == 403 and "message" in json.loads(body), body


@test
def what_is_not_known_is_denied(w):
    for method, path in (("GET", "/v1.23/containers/json"), ("GET", "/v1.48/containers/json"), ("GET", "/v2.0/info"), ("POST", "/containers/web/unheard"), ("PATCH", "/info"),
                         ("POST", "/session"), ("POST", "/grpc"), ("POST", "/v1.41/build"), ("POST", "/swarm/init"), ("GET", "/secrets"), ("POST", "/commit?container=web"),
                         ("POST", "/containers/web/update"), ("GET", "/v1.41"), ("POST", "/v1.41/auth"), ("POST", "/images/create?fromSrc=http://169.254.169.254/")):
        status, body = w.api(method, path)
        assert status == 403 and "message" in json.loads(body) or (method, path) == ("POST", "/v1.41/build"), f"{method} {path} {status} {body}"
    for more in ({"Sysctls": {"kernel.x": "1"}}, {"hostconfig": {}}, {"HostConfig": {"privileged": True}}, {"HostConfig": {"MaskedPaths": []}},
                 {"HostConfig": {"VolumesFrom": ["web"]}}, {"HostConfig": {"Unheard": 1}}, {"HostConfig": {"PidMode": "container:web"}},
                 {"HostConfig": {"DeviceCgroupRules": ["a *:* rwm"]}}, {"Healthcheck": {"Test": ["CMD", "x"]}}, {"HostConfig": {"Binds": ["~/x:/y"]}}):
        status, body = w.api("POST", "/v1.41/containers/create", dict({"Image": "test:1", "Cmd": ["true"]}, **more))
        assert status == 403, f"{more} {status} {body}"
    status, body = w.api("POST", "/containers/web/exec", '{"Cmd":["id"],"Cmd":["rm"]}')
    assert status == 403, body
    status, body = w.api("POST", "/volumes/create", {"Name": "x", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}})
    assert status == 403, body


@test
def one_waits_for_a_lead(w):
    p = w.docker_start("exec", "web", "factor", "6", user="held")
    request = w.waiting_request()
    assert "factor" in json.dumps(request) and "container: web" in json.dumps(request), request
    assert p.poll() is None
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    out, err = p.communicate(timeout=20 * SLOW)
    assert "2 3" in out and p.returncode == 0, (out, err)
    p = w.docker_start("rm", "-f", "web", user="giver")
    request = w.waiting_request()
    p.terminate()
    p.communicate()
    wait_for(lambda: not [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"], said="it still waits")
    assert "web" in w.direct("ps").out


@test
def an_exec_is_its_creators(w):
    status, body = w.api("POST", "/containers/web/exec", {"Cmd": ["id"], "AttachStdout": True}, user="ann")
    assert status == 201, body
    ident = json.loads(body)["Id"]
    for method, path in (("POST", f"/exec/{ident}/start"), ("GET", f"/exec/{ident}/json"), ("POST", f"/exec/{ident}/resize?h=1&w=1")):
        status, body = w.api(method, path, {"Detach": True} if "start" in path else None, user="bob")
        assert status == 404 and "No such exec" in body, f"{path} {status} {body}"
    status, body = w.api("GET", f"/exec/{ident}/json", user="ann")
    assert status == 200 and json.loads(body)["ID"] == ident, body
    status, body = w.api("POST", f"/exec/{ident}/start", {"Detach": True}, user="ann")
    assert status == 200, body
    made = w.engine_exec(["id"])  # past the gateway: nobody's here
    status, _ = w.api("GET", f"/exec/{made}/json", user="ann")
    assert status == 404
    # it is judged by what it is, not by what somebody says it is
    status, body = w.api("POST", "/containers/web/exec", {"Cmd": ["rm", "x"]}, user="ann")
    assert status == 403 and "no-rm" in body, body
    status, body = w.api("POST", "/containers/web/exec", {"Cmd": ["factor", "9"]}, user="ann")
    held = w.api_start("POST", f"/exec/{json.loads(body)['Id']}/start", {"Detach": True}, user="ann")
    request = w.waiting_request()
    assert 'exec.argv: ["factor","9"]' in request["text"], request
    held.terminate()
    held.communicate()


@test
def an_exec_is_its_creators_on_every_worker(w):
    status, body = w.api("POST", "/containers/web/exec", {"Cmd": ["id"], "AttachStdout": True}, user="ann")
    assert status == 201, body
    path = f"/exec/{json.loads(body)['Id']}/json"
    for _ in range(10):  # each on a connection of its own, to one of two workers
        assert w.api("GET", path, user="ann")[0] == 200 and w.api("GET", path, user="bob")[0] == 404
    # another ann: the same name, vouched for by somebody else
    cert, key = w.authority.issue("ann", "/OU=dev/CN=ann")
    ask = ["curl", "-sS", "--cacert", w.gateway.dir / "tls" / "cert.pem", "--cert", cert, "--key", key, f"https://localhost:{w.docker_tls_port}"]
    assert "No such exec" in run([*ask[:-1], ask[-1] + path]).out
    assert '"Id"' in run([*ask[:-1], ask[-1] + "/containers/web/json"]).out


@test
def the_id_goes_on_in_the_names_place(w):
    w.docker("exec", "web", "true", user="named")
    ident = w.direct("inspect", "web", "--format", "{{.Id}}").out
    text = w.recording("named")
    assert f"/containers/{ident}/exec" in text and "container: web" in text and "container.label: env=prod" in text, text


@test
def variables_with_secrets_are_hidden(w):
    done = w.docker("inspect", "web", "--format", "{{.Config.Env}}", user="env")
    assert "DB_PASSWORD=****" in done.out and "SHOWN=yes" in done.out and "hunter2" not in done.out, repr(done)
    assert "hunter2" not in w.recording("env")


@test
def everybody_sees_their_own(w):
    names = w.docker("ps", "--format", "{{.Names}}", own=True).out.split()
    assert names == ["blue"], names
    assert w.docker("ps", "-a", "--filter", "label=env=prod", "--format", "{{.Names}}", own=True).out == ""
    assert w.docker("ps", "--format", "{{.Names}}", own=True, user="bob").out == ""
    assert w.docker("exec", "blue", "echo", "in", own=True).out == "in"
    for user, name in (("ann", "web"), ("bob", "blue")):
        done = w.docker("exec", name, "id", own=True, user=user)
        assert done.code != 0 and "No such container" in done.err, repr(done)
    assert w.api("GET", "/system/df", own=True)[0] == 403
    assert w.api("GET", "/v1.24/networks", own=True)[0] == 403 and w.api("GET", "/v1.41/networks", own=True)[0] == 200
    # the filter of this target holds in every spelling of the client's own
    for query in ("all=1&%66ilters={}", "%66ilters=%7B%7D&all=1", "all=1&filters=%7B%7D"):
        status, body = w.api("GET", f"/containers/json?{query}".replace("{}", "%7B%7D"), own=True)
        assert status == 200 and [c["Names"] for c in json.loads(body)] == [["/blue"]], f"{query} {status} {body}"
    for query in ("%66ilters=&filters=", "all=1;filters=", "all=1&all=0"):
        status, body = w.api("POST", f"/containers/prune?{query}", own=True)
        assert status == 400 and "twice" in body, f"{query} {status} {body}"
    status, body = w.api("POST", "/containers/prune?%66ilters=", own=True, user="bob")
    assert status == 200 and not json.loads(body)["ContainersDeleted"], body
    done = run([*w.api_argv("POST", "/containers/prune", own=True), "-d", "filters="])
    assert done.out.endswith("415") and "forms are not read here" in done.out, repr(done)
    done = w.docker("run", "-d", "--network", "none", "--name", "bobs", "test:1", "sleep", "1000", own=True, user="bob")
    assert done.code == 0, repr(done)
    assert w.docker("ps", "--format", "{{.Names}}", own=True, user="bob").out == "bobs"
    assert w.docker("ps", "--format", "{{.Names}}", own=True, user="ann").out == "blue"
    w.direct("rm", "-f", "bobs")


@test
def detectors_look_through_frames(w):
    # not cards: an id of 64 hexadecimal digits may hold what looks like one
    done = w.docker("exec", "web", "sh", "-c", "printf 'a ann@exa'; sleep 0.01; printf 'mple.com b\\n'; echo bob@example.com >&2", user="mails")
    assert "mple.com" not in done.out and "****" in done.out and "****" in done.err and "bob" not in done.err, repr(done)
    w.direct("run", "--network", "none", "--name", "mails", "test:1", "sh", "-c", "echo x cora@example.com y", check=True)
    done = w.docker("logs", "mails", user="mails")
    assert done.out == "x **** y", repr(done)
    w.direct("rm", "mails")
    shown = w.recording("mails").replace("'a ann@exa'", "").replace("'mple.com b", "").replace("bob@example.com >&2", "")
    assert "mple.com" not in shown, shown


@test
def it_is_recorded(w):
    w.docker("exec", "-i", "web", "cat", user="rec", stdin="needle in stdin\n")
    text = w.recording("rec")
    assert text.count("needle in stdin") >= 1 and '"cat"' in text, text
    w.docker("exec", "web", "rm", "x", user="rec2")
    assert "no-rm" in w.recording("rec2")


@test
def sizes_and_exit_codes_are_recorded(w):
    done = w.docker("exec", "web", "sh", "-c", "exit 3", user="exits")
    assert done.code == 3, repr(done)
    wait_for(lambda: ", exit 3" in w.recording("exits"), said="no exit code is recorded")
    shown, code = w.tty(w.env(user="sizes"), ["exec", "-it", "web", "sh"], say=[("# ", "while test \"$(stty size)\" != '31 97'; do sleep 0.1; done; exit 7\r")])
    assert code == 7, (shown, code)
    text = w.recording("sizes")
    assert "97x31" in text and ", exit 7" in text, text
    ident = re.search(r"/exec/([0-9a-f]{64})/start", text)[1]  # created, started, resized and asked for its end on several connections
    whole = w.command("replay", ident)
    at = [whole.out.find(what) for what in ("/containers/", f"/exec/{ident}/start", "97x31", ", exit 7")]
    assert -1 not in at and at == sorted(at) and whole.out.count(" header ") > 1, f"{at} {whole!r}"
    cast = w.command("replay", ident, "--format", "asciicast").out.splitlines()
    assert all(json.loads(line) for line in cast) and any(json.loads(line)[1:] == ["r", "97x31"] for line in cast[1:]), cast
    assert w.command("replay", "0" * 64, "--together").code == 1
    status, body = w.api("POST", "/containers/web/exec", {"Cmd": ["true"], "Tty": True, "AttachStdout": True}, user="console")
    assert status == 201, body
    run([*w.api_argv("POST", f"/exec/{json.loads(body)['Id']}/start", {"Tty": True, "ConsoleSize": [33, 101]}, user="console"), "-m", "20"])
    assert "101x33" in w.recording("console")
    ids = [s["id"] for s in w.sessions() if s["user"] == "console"]
    assert any('"r","101x33"' in w.command("replay", i, "--format", "asciicast").out.replace(" ", "") for i in ids), ids


@test
def connect_starts_docker_with_a_ticket(w):
    home = w.dir / "home"
    home.mkdir(exist_ok=True)
    certificates = w.dir / "authority"
    certificates.mkdir(exist_ok=True)
    shutil.copy(w.gateway.dir / "tls" / "cert.pem", certificates / "ca.pem")
    token = w.token("tick", "dev", api=True)
    done = w.command("connect", "engine", "--", "exec", "web", "echo", "by ticket", token=token, env={"HOME": str(home), "DOCKER_CONFIG": "/nonexistent", "DOCKER_CERT_PATH": str(certificates)})
    assert done.out == "by ticket", f"{done!r}\n{w.gateway.logs()}"
    folder = home / ".config" / "sallyport" / "docker" / "engine"
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    assert token not in (folder / "config.json").read_text()
    done = w.command("ticket", "engine", "--format", "dsn", token=token)
    assert run(["curl", "-sS", "--cacert", certificates / "ca.pem", done.out + "_ping"]).out == "OK", repr(done)
    done = w.command("ticket", "engine", "--format", "env", token=token)
    if int(w.direct("version", "--format", "{{.Client.Version}}").out.split(".")[0]) >= 26:  # before, headers come from config.json alone
        through = run(["sh", "-c", done.out + '; docker ps --format "{{.Names}}"'], env={"DOCKER_CONFIG": str(home), "DOCKER_CERT_PATH": str(certificates)})
        assert "web" in through.out.split(), repr(through)


@test
def buildkit_is_opaque(w):
    """Refused, unless a rule lets it pass: HTTP/2 inside, which nobody looks into."""
    def ask(path, user, protocol="h2c"):
        with socket.create_connection(("127.0.0.1", w.docker_port), timeout=30 * SLOW) as s:
            s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.token(user)}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head and (piece := s.recv(1)):
                head += piece
            if b" 101 " not in head:
                return head, b""
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            return head, s.recv(9)
    for path in ("/grpc", "/session", "/v1.41/grpc"):
        head, _ = ask(path, "ann")
        assert head.startswith(b"HTTP/1.1 403"), (path, head)
    head, frame = ask("/grpc", "kit")
    assert head.startswith(b"HTTP/1.1 101") and len(frame) == 9 and frame[3] == 4, (head, frame, w.gateway.logs())  # a SETTINGS frame
    head, _ = ask("/grpc", "kit", "websocket")
    assert b" 101 " not in head, head


@test
def stdin_is_unseen_by_who_decides(w):
    done = w.docker("exec", "-i", "web", "factor", stdin="6\n", user="unseen")  # `held` does not say unseen = true
    assert done.code != 0 and "2 3" not in done.out, repr(done)
    assert not [r for r in w.requests() if r["state"] == "waiting"], w.requests()


@test
def an_engine_on_this_machine(w):
    env = dict(w.env(), DOCKER_HOST=f"tcp://127.0.0.1:{w.unix_port}")
    done = run(["docker", "exec", "-i", "web", "cat"], env=env, stdin="through a socket\n")
    assert done.out == "through a socket", f"{done!r}\n{w.gateway.logs()}"
    done = run(["docker", "exec", "web", "rm", "x"], env=env)
    assert done.code != 0 and "no-rm" in done.err, repr(done)
    # a worker may not connect by itself, nor anybody but the helper
    for user in [u for u in ROLES if u != "sallyport-dial"]:
        done = run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all", "curl", "-sS", "--unix-socket", w.engine.sock, "http://x/_ping"])
        assert done.code != 0 and "OK" not in done.out, f"{user} {done!r}"
    assert len(w.gateway.children()["dial"]) == 1
    w.engine.sock.chmod(0o600)
    try:
        done = run(["docker", "ps"], env=env)
        assert done.code != 0 and "web" not in done.out and "cannot be connected: Permission denied" in w.gateway.logs(), f"{done!r}\n{w.gateway.logs()}"
    finally:
        w.engine.sock.chmod(0o660)
    # a helper that dies is there again, and the worker that waited is told
    os.kill(w.gateway.children()["dial"][0], signal.SIGKILL)
    wait_for(lambda: run(["docker", "ps", "--format", "{{.Names}}"], env=env).out.split().count("web"), said="the dial helper did not come back")
    conf = w.gateway.conf_text()
    for server, tls, text in (("unix:sock", "off", "absolute path"), (f"unix:{w.engine.sock}", "require", "has no TLS")):
        w.gateway.write(conf.replace(f"server   unix:{w.engine.sock};\n    tls      off", f"server   {server};\n    tls      {tls}", 1))
        done = w.gateway.daemon("-t")
        assert done.code == 1 and text in done.err, f"{server} {done!r}"
    w.gateway.write()


@test
def without_a_token_nothing(w):
    for token in ("wrong", w.token(groups="other")):
        done = w.docker("ps", token=token)
        assert done.code != 0 and "web" not in done.out, repr(done)


@test
def the_cli_shows_its_certificate(w):
    folder = w.dir / "certificates-of-zoe"
    folder.mkdir()
    cert, key = w.authority.issue("zoe", "/OU=dev/CN=zoe")
    for source, name in ((cert, "cert.pem"), (key, "key.pem"), (w.gateway.dir / "tls" / "cert.pem", "ca.pem")):
        shutil.copy(source, folder / name)
    env = {"DOCKER_HOST": f"tcp://localhost:{w.docker_tls_port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder),
           "DOCKER_CONFIG": str(w.dir / "config-of-zoe"), "DOCKER_CLI_HINTS": "false"}
    done = run(["docker", "exec", "-i", "web", "cat"], env=env, stdin="by certificate")
    assert (done.out, done.code) == ("by certificate", 0), f"{done!r}\n{w.gateway.logs()}"
    done = run(["docker", "exec", "web", "rm", "x"], env=env)
    assert done.code != 0 and "no-rm" in done.err, repr(done)
    assert any(s["user"] == "zoe" for s in w.sessions()), w.sessions()
    (folder / "cert.pem").unlink()
    done = run(["docker", *(f"--tls{a}={folder}/{b}.pem" for a, b in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))), "ps"], env=env)
    assert done.code != 0 and "web" not in done.out, repr(done)


@test
def events_come_as_they_happen(w):
    p = w.docker_start("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}", user="eve")
    first = []
    threading.Thread(target=lambda: first.append(p.stdout.readline()), daemon=True).start()
    wait_for(lambda: w.direct("exec", "web", "true").code == 0 and first, said="no event came")
    assert "web" in first[0], first
    p.terminate()
    p.communicate()


docker_main()
