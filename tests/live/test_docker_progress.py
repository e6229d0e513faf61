#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the gateway says in streams of Docker's: that a pull waits, why it does not come, why a terminal ends."""

import gzip
import http.server
import io

from docker_world import *


class Registry:
    """One image, app:1, on loopback."""

    def __init__(self):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as t:
            t.addfile(tarfile.TarInfo("pulled"), io.BytesIO())
        plain = layer.getvalue()
        packed = gzip.compress(plain)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]}}).encode()
        self.blob = {"sha256:" + hashlib.sha256(b).hexdigest(): b for b in (packed, config)}
        names = list(self.blob)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                               "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": names[1]},
                               "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(packed), "digest": names[0]}]}).encode()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                last = self.path.rpartition("/")[2]
                found = b"{}" if self.path == "/v2/" else registry.blob.get(last) or (manifest if "/app/manifests/" in self.path and last in ("1", "sha256:" + hashlib.sha256(manifest).hexdigest()) else None)
                self.send_response(404 if found is None else 200)
                found = found or b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
                if "/manifests/" in self.path and b"errors" not in found:
                    self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
                    self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(manifest).hexdigest())
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(found)
            do_HEAD = do_GET
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.name = f"127.0.0.1:{self.server.server_address[1]}/app"


def held(w, *words, user):
    """(the process, its request, the line that says so)"""
    p = w.docker_start(*words, user=user)
    request = w.waiting_request()
    line = p.stdout.readline()
    assert f'held by rule "pulls": request {request["id"]} waits for leads' in line and p.poll() is None, (line, request)
    return p, request


def decide(w, what, request):
    done = w.command(what, request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)


@test
def a_pull_says_that_it_waits(w):
    w.registry = Registry()
    name = f"{w.registry.name}:1"
    p, request = held(w, "pull", name, user="puller")
    assert name not in w.direct("images", "--format", "{{.Repository}}:{{.Tag}}").out
    decide(w, "deny", request)
    out, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == 1 and "denied" in err and "sallyport explain" in err, (out, err)
    assert name not in w.direct("images", "--format", "{{.Repository}}:{{.Tag}}").out
    p, request = held(w, "pull", name, user="puller")
    decide(w, "approve", request)
    out, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == 0 and "Downloaded newer image" in out, (out, err, w.gateway.logs())
    assert name in w.direct("images", "--format", "{{.Repository}}:{{.Tag}}").out
    assert "waits for leads" in w.recording("puller")


@test
def the_engines_refusal_comes_in_the_same_way(w):
    name = f"{w.registry.name}:none"
    p, request = held(w, "pull", name, user="none")
    decide(w, "approve", request)
    out, err = p.communicate(timeout=30 * SLOW)
    direct = w.direct("pull", name)
    last = direct.err.replace("Error response from daemon: ", "").strip()
    assert p.returncode == 1 == direct.code and last in err and "unknown" in last, (out, err, direct)
    # one connection, kept: what comes behind it is in step
    with socket.create_connection(("127.0.0.1", w.docker_port), timeout=30 * SLOW) as s:
        head = f"Host: x\r\nAuthorization: Bearer {w.token('step')}\r\n"
        s.sendall(f"POST /images/create?fromImage={w.registry.name}&tag=none HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\nGET /_ping HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        decide(w, "deny", w.waiting_request())
        back = b""
        while piece := s.recv(65536):
            back += piece
    assert back.startswith(b"HTTP/1.1 200") and back.count(b"HTTP/1.1 200") == 2 and b"errorDetail" in back and back.endswith(b"OK"), back


@test
def a_pull_is_given_up(w):
    p, request = held(w, "pull", f"{w.registry.name}:1", user="giver")
    p.terminate()
    p.communicate()
    wait_for(lambda: not [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"], said="it still waits")


@test
def who_cannot_read_chunks_waits_in_silence(w):
    with socket.create_connection(("127.0.0.1", w.docker_port), timeout=30 * SLOW) as s:
        s.sendall(f"POST /images/create?fromImage={w.registry.name}&tag=1 HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {w.token('old')}\r\nContent-Length: 0\r\n\r\n".encode())
        decide(w, "deny", w.waiting_request())
        assert s.recv(65536).startswith(b"HTTP/1.1 403")


@test
def what_is_looked_at_in_silence_ends(w):
    w.direct("run", "-dit", "--network", "none", "--name", "talks", "--label", "team=blue", "--label", "sallyport.owner=ann", "test:1", "sh", check=True)
    shown = {}

    def look(name, *words):
        shown[name] = w.tty(w.env(own=True), ("exec", "-it", "blue", *words), say=[])
    still = "; sleep 0.7; ".join(["echo still"] * 11) + "; exit 9"
    threads = [threading.Thread(target=look, args=words) for words in (("silent", "sh"), ("moving", "sh", "-c", still))]
    for t in threads:
        t.start()
    attached = w.api_start("POST", "/containers/talks/attach?stream=1&stdin=1&stdout=1", own=True)
    followed = [w.docker_start(*words, own=True) for words in (("logs", "-f", "blue"), ("events",))]
    # a command has its own time
    assert w.docker("exec", "blue", "sh", "-c", "sleep 8; echo over", own=True).out == "over"
    for t in threads:
        t.join(60 * SLOW)
    assert "nothing went through this for too long" in shown["silent"][0], shown
    text, code = shown["moving"]
    assert text.count("still") == 11 and code == 9 and "too long" not in text, shown
    assert "nothing went through this for too long" in attached.communicate(timeout=30 * SLOW)[0]
    for p in followed:
        p.communicate(timeout=30 * SLOW)
    w.direct("rm", "-f", "talks")


@test
def who_is_ended_is_told_why(w):
    for user, words in (("killed", ("exec", "-it", "web", "sleep", "1000")), ("framed", ("exec", "web", "sleep", "1001"))):
        p = w.docker_start(*words, user=user, stdout=subprocess.PIPE) if user == "framed" else None
        shown = []
        t = threading.Thread(target=lambda: shown.append(w.tty(w.env(user=user), words, say=[])))
        if p is None:
            t.start()
        session = wait_for(lambda: next((s for s in w.sessions() if s["user"] == user and s["state"] == "live" and "/start" in w.command("replay", s["id"]).out), None), said="it does not run")
        done = w.command("kill", session["id"], "--reason", "the lunch break")
        assert done.code == 0, repr(done)
        if p is None:
            t.join(60 * SLOW)
            assert "the lunch break" in shown[0][0], shown
        else:
            out, err = p.communicate(timeout=30 * SLOW)
            assert "the lunch break" in err and out == "", (out, err)


docker_main()
