# SPDX-License-Identifier: Apache-2.0
"""A real nginx, a server of our own, and a gateway in front of both: `from http_world import *`, tests, `http_main()`.

    w.curl("/x")                          curl through the gateway: .code, .status, .body
    w.raw(b"GET …")                       bytes on a socket, and all that comes back
"""

import hashlib
import http.server
import ssl

import harness
from harness import *
from authority import Authority
from ssh_world import NoPostgres

HTTP_POLICY = """\
rule "no-delete" {
  doc  = "Nothing is deleted by hand.",
  on   = "http.request",
  when = { method = "DELETE" },
  deny = "Ask for it in a ticket.",
}
rule "big-orders" {
  doc     = "Large orders wait for a lead.",
  on      = "http.request",
  when    = { template = "/orders", fields = "order.size=large" },
  approve = { by = "leads", within = "5m", ["else"] = "wait" },
}
rule "no-admin" { doc = "Administration is not done here.", on = "http.request", when = { segments = "admin" }, deny = "Not here." }
rule "uploads" {
  doc   = "Files may be sent to /upload.",
  on    = "http.request",
  when  = { path = { "/upload", "/trailers", "/echo", "/count" } },
  allow = { unclear = "body", name = "application/octet-stream" },
}
rule "no-sinking" { doc = "Ships stay up.", on = "http.request", when = { path = "/ships", fields = "sink=true" }, deny = "Nothing is sunk." }
rule "matrix" {
  doc   = "That server takes a path as it stands.",
  on    = "http.request",
  when  = { segments = "matrix;a=b" },
  allow = { unclear = "path", name = "parameters" },
}
rule "end" { doc = "The end of it.", on = "http.request", when = { path = "/kill" }, kill = "Goodbye." }
rule "cards" { doc = "No card on any screen.", on = "output", when = { user = "cards", detect = { "card" } }, mask = mask.redact }
"""

PEOPLE_POLICY = """\
tag "pii" { "*.email", "customer.card", "*.address" }
rule "hide-pii" {
  doc    = "Personal data is for the fraud team.",
  on     = "http.result",
  when   = { column = tagged "pii" },
  unless = { groups = "leads" },
  mask   = mask.redact,
}
"""

HTTP_CONF = """\
load_module {modules}/http.so;
listener http     {{ listen 127.0.0.1:{port}; protocol http; target api; cleartext loopback; }}
listener http_tls {{ listen 127.0.0.1:{tls_port}; protocol http; by_host on; tls cert={dir}/tls/cert.pem key={dir}/tls/key.pem certificates=on; }}
identity people {{ certificate ca={ca}; user claim=cn; groups claim=ou; }}
identity jobs   {{ certificate ca={ca}; class workload; user claim=uri; groups claim=ou; allow o=jobs; }}
"""

HTTP_TARGET = """\
target {name} {{
    protocol http;
    server   127.0.0.1:{port};
    tls      {tls};
    {login}
    host     {host};
    any_case on;
    allow    groups=dev,leads;
    label    env=prod;
    policy   {dir}/policies/{policy}.lua;
    templates /orders /orders/:id;
    judged   if-match;
    {extra}
}}
"""


PEOPLE = {"items": [{"id": 1, "email": "ann@example.com", "price": 1.5, "customer": {"card": "4111", "name": "Ann"}},
                    {"id": 2, "email": None, "customer": {"card": 4242, "address": {"street": "x", "no": [1, 2]}}},
                    {"id": 3, "email": ["bob@example.com", {"email": "eve@example.com"}]}], "card": "kept"}


PEOPLE_STREAMS = {
    "lines": ("application/x-ndjson; charset=utf-8", [b'{"id": 1, "email": "ann@exa', b'mple.com"}\n{"id": "wait"}\n', b'\r\n{"items": [{"email": "bob@example.com"}]}']),
    "events": ("text/event-stream", [b": ann@example.com\n\n", b'event: order\r\nid: 7\r\ndata: {"email":\r\ndata: "ann@exa', b'mple.com", "id": 1}\r\n\r\n', b'data: {"id": "wait"}\n\n',
                                     b'id: ann@example.com\nx: ann@example.com\ndata: [DONE]\n\ndata: {"email": "cut@example.com"}\n']),
    "nolines": ("application/x-ndjson", [b'{"id": 1}\n', b"email: ann@example.com\n"]),
    "noevents": ("text/event-stream", [b'data: {"id": 1}\n\n', b"data: ann@example.com\n\n"]),
    "long": ("application/x-ndjson", [b'{"id": 1}\n', b'{"email": "' + b"ann@example.com" * 20000 + b'"}\n']),
    "twice": ("application/x-ndjson", [b'{"id": 1}\n', b'{"id": 1, "email": 1, "email": "ann@example.com"}\n']),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what it got, and does what the path asks for."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while (n := int(self.rfile.readline(), 16)) > 0:
                body += self.rfile.read(n)
                self.rfile.readline()
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                self.server.trailers.append(line)
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def say(self, status, body, *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def count(self):
        """How long the body was, and nothing of it kept."""
        n = 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (size := int(self.rfile.readline(), 16)) > 0:
                n += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            while n < int(self.headers.get("Content-Length", 0)):
                n += len(self.rfile.read1(1 << 20))
        self.say(200, json.dumps({"length": n}).encode(), ("Content-Type", "application/json"))

    def echo(self):
        """Each chunk back as it comes."""
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (n := int(self.rfile.readline(), 16)) > 0:
            self.chunk(self.rfile.read(n))
            self.rfile.readline()
        self.rfile.readline()
        self.wfile.write(b"0\r\n\r\n")

    def do(self):
        if self.path in ("/echo", "/count"):
            return self.echo() if self.path == "/echo" else self.count()
        body = self.read_body()
        self.server.got.append((self.command, self.path, dict(self.headers.items()), body))
        path = self.path.split("?")[0]
        if path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(5):
                self.chunk(b"data: %d\n\n" % i)
                self.server.step.wait(20)
                self.server.step.clear()
            self.wfile.write(b"0\r\n\r\n")
        elif path.startswith("/people/"):
            kind, parts = PEOPLE_STREAMS[path.split("/")[2]]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in parts:
                self.chunk(part)
                if b"wait" in part:
                    self.server.step.wait(30)
                    self.server.step.clear()
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/cards/split":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"a 4111 11", b"11 1111 1", b"111 b"):
                self.chunk(part)
                time.sleep(0.01)
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/trailers":
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Trailer", "X-Note")
            self.end_headers()
            self.chunk(body)
            self.wfile.write(b"0\r\nX-Note: secret-of-the-target\r\n\r\n")
        elif path == "/cards":
            self.say(200, b"a 4111 1111 1111 1111 b")
        elif path == "/away":
            self.say(302, b"", ("Location", "http://169.254.169.254/latest/meta-data"))
        elif path.startswith("/away/"):
            self.say(302, b"", ("Location", ["http://api.internal//evil.example/x", "/\\evil.example/x", "/\t/evil.example", "//evil.example", "\\\\evil.example",
                                             "http:evil.example"][int(path.split("/")[2])]))
        elif path == "/home":
            self.say(302, b"", ("Location", "http://api.internal/elsewhere"))
        elif path == "/people":
            self.say(200, json.dumps(PEOPLE).encode(), ("Content-Type", "application/json; charset=utf-8"))
        elif path == "/csv":
            self.say(200, b"email\nann@example.com\n", ("Content-Type", "text/csv"))
        elif "/as/" in path:
            self.say(200, b"ann@example.com", ("Content-Type", path.split("/as/")[1]))
        elif path == "/long":
            self.say(200, json.dumps({"email": "ann@example.com" * 20000}).encode(), ("Content-Type", "application/json"))
        elif path == "/long/chunked":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(json.dumps({"email": "ann@example.com" * 20000}).encode())
            self.wfile.write(b"0\r\n\r\n")
        elif path.startswith("/many/"):
            one = {f"c{i}": i for i in range(int(path.split("/")[2]))} | {"email": "ann@example.com"}
            self.say(200, json.dumps([one] * 10).encode(), ("Content-Type", "application/json"))
        elif path == "/fields":
            self.say(200, b"{}", ("Content-Type", "application/json"), ("Link", "</ann@example.com>"), ("X-Who", "ann@example.com"), ("X-Shown", "yes"),
                     ("Set-Cookie", "who=ann@example.com"), ("Content-Location", "/ann@example.com"), ("Cache-Control", "no-store"))
        elif path == "/cards/field":
            self.say(302, b"", ("X-Note", "a 4111 1111 1111 1111 b"), ("Location", "/cards?of=4111111111111111"))
        elif path == "/twice":
            self.say(200, b'{"email": 1, "email": "ann@example.com"}', ("Content-Type", "application/json"))
        elif path == "/gzip":
            self.say(200, b"\x1f\x8b", ("Content-Encoding", "gzip"))
        elif path == "/page":
            self.say(200, b"<!doctype html><title>of the target</title><script src=/page.js></script>", ("Content-Type", "text/html"))
        elif path == "/page.js":
            self.say(200, b"document.title += ', alive'", ("Content-Type", "text/javascript"))
        elif path == "/cookies":
            self.say(200, b"", ("Set-Cookie", "wide=1; Domain=gate.test; Path=/"), ("Set-Cookie", "own=2; Path=/; HttpOnly"))
        elif path == "/cookie":
            self.say(200, b"", ("Set-Cookie", "a=1; Domain=example.com; Path=/; HttpOnly"), ("Set-Cookie", "b=2;\tDomain=example.com"), ("Set-Cookie", "__Host-sallyport=sps_x; Secure; Path=/"))
        elif path == "/two":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
        elif path == "/short":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            self.close_connection = True
        else:
            said = {"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                    "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            self.say(200, json.dumps(said).encode(), ("Content-Type", "application/json"))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do


class Server:
    def __init__(self, tls=None, clients=None):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.got, self.server.trailers, self.server.step = [], [], threading.Event()
        self.server.handle_error = lambda *_: None  # a client that was refused is gone
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            if clients:  # who connects has to prove a certificate of this authority
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def got(self):
        return self.server.got

    def stop(self):
        self.server.shutdown()


class Nginx:
    def __init__(self, folder):
        if not os.access("/usr/sbin/nginx", os.X_OK):
            skip("nginx is not installed (apt-get install nginx-light)")
        self.dir = pathlib.Path(folder)
        (self.dir / "www").mkdir(parents=True)
        self.dir.chmod(0o755)
        self.port = free_port()
        (self.dir / "www" / "hello").write_text("hello\n")
        (self.dir / "www" / "big").write_bytes(os.urandom(1 << 20) * 8)
        (self.dir / "nginx.conf").write_text(f"""\
daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log;
{"user root;" if IS_ROOT else ""}
events {{ }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f;
  uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s; gzip on; gzip_types *; gzip_min_length 1;
  server {{ listen 127.0.0.1:{self.port}; root {self.dir}/www; }}
}}
""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(self.dir / "nginx.conf"), "-e", str(self.dir / "error.log")],
                                        stdin=subprocess.DEVNULL)
        wait_for(lambda: Gateway.listens(self.port), said="nginx did not come up")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class HttpWorld(World):
    def __init__(self, policy=HTTP_POLICY, **conf):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-", dir=os.environ.get("TMPDIR", "/tmp")))
        self.dir.chmod(0o755)
        self.stage = stage_folder()
        self.tokens = {}
        self.pg = NoPostgres()
        self.gateway = g = Gateway(self.dir / "gateway", self.stage, self.pg, **conf)
        self.server, self.server_tls = Server(), Server(tls=(g.dir / "tls" / "cert.pem", g.dir / "tls" / "key.pem"))
        self.server_mtls = Server(tls=(g.dir / "tls" / "cert.pem", g.dir / "tls" / "key.pem"), clients=g.dir / "tls" / "cert.pem")
        self.nginx = Nginx(self.dir / "nginx")
        g.issuer = "on beside"
        self.authority = Authority(g.dir / "tls", "clients")
        self.http_port, self.https_port = free_port(), free_port()
        g.extra = HTTP_CONF.format(modules=g.modules(), port=self.http_port, tls_port=self.https_port, dir=g.dir, ca=self.authority.cert)
        secret = g.dir / "keeper" / "api.secret"
        secret.write_text("target-secret-4711\n")
        secret.chmod(0o600)
        if IS_ROOT:
            shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
        key = g.dir / "keeper" / "client.key"
        shutil.copy(g.dir / "tls" / "key.pem", key)
        key.chmod(0o600)
        if IS_ROOT:
            shutil.chown(key, "sallyport-keeper", "sallyport-keeper")
        verify = f"verify-full ca={g.dir}/tls/cert.pem name=localhost"
        login = f"login user=svc secret=file:{secret} cleartext on;"
        g.more_targets = "".join((
            self.http_target("api", self.server.port, extra="user_header X-Gate-User;"),
            self.http_target("web", self.nginx.port),
            self.http_target("itself", self.http_port),
            self.http_target("people", self.server.port, policy="people", extra="pages /pages/*; shown x-shown;"),
            self.http_target("sealed", self.server_tls.port, tls=verify, login=login, extra="credential bearer;"),
            self.http_target("mtls", self.server_mtls.port, tls=verify, login=f"login user=svc cert={g.dir}/tls/cert.pem key=file:{key};"),
            self.http_target("bare", self.server_mtls.port, tls=verify),
            self.http_target("basic", self.server_tls.port, tls=verify, login=login, extra="credential basic;"),
            self.http_target("own", self.server_tls.port, tls=verify, login=login, extra="credential x-secret-key;")))
        (g.dir / "policies" / "http.lua").write_text(policy)
        (g.dir / "policies" / "people.lua").write_text(PEOPLE_POLICY)
        g.write()

    def http_target(self, name, port, tls="off", login="", host="api.internal", extra="", policy="http"):
        return HTTP_TARGET.format(name=name, port=port, tls=tls, login=login, host=host, extra=extra, dir=self.gateway.dir, policy=policy)

    def end(self, keep=False):
        clean = super().end(keep=True)
        self.server.stop()
        self.server_tls.stop()
        self.server_mtls.stop()
        self.nginx.stop()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return clean

    def url(self, path, name=None):
        return f"https://{name}.gate.test:{self.https_port}{path}" if name else f"http://127.0.0.1:{self.http_port}{path}"

    def curl(self, path, *args, name=None, user="ann", groups="dev", token=None, timeout=60, stdin=None):
        """Result, with .status and .body."""
        token = token if token is not None else self.token(user, groups)
        words = ["curl", "-sS", "-w", "\n%{http_code}", "--max-time", str(timeout)]
        if token:
            words += ["-H", f"Authorization: Bearer {token}"]
        if name:
            words += ["--cacert", self.gateway.dir / "tls" / "cert.pem", "-k", "--resolve", f"{name}.gate.test:{self.https_port}:127.0.0.1"]
        done = run([*words, *args, self.url(path, name)], timeout=timeout, stdin=stdin)
        body, _, done.status = done.out.rpartition("\n")
        done.body = body.strip()
        return done

    def raw(self, data, seconds=10):
        """All that comes back until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=seconds * SLOW) as s:
            s.sendall(data)
            back = b""
            while True:
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                back += piece
            return back

    def recording(self, user):
        ended = wait_for(lambda: [s for s in self.sessions() if s["user"] == user and s["state"] == "ended"], said="the session did not end")
        session = ended[0]["id"]
        got = wait_for(lambda: (r := self.command("replay", session, "--speed", "0")).code == 0 and r, said="there is no recording")
        return got.out


    def server_step(self):
        self.server.server.step.set()

    def recordings(self, user):
        """The text of all the user's sessions, once they have ended."""
        wait_for(lambda: (all_of := [s for s in self.sessions() if s["user"] == user]) and all(s["state"] == "ended" for s in all_of), said="a session did not end")
        return "".join(wait_for(lambda: (r := self.command("replay", s["id"], "--speed", "0")).code == 0 and r, said="there is no recording").out
                       for s in self.sessions() if s["user"] == user)


def http_main(**conf):
    harness.World = lambda **more: HttpWorld(**more)
    main(**conf)
