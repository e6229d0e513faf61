# SPDX-License-Identifier: Apache-2.0
"""A real OpenID provider (npm oidc-provider), and requests as a browser makes them: `from oidc_world import *`."""

import http.client
import ssl
import urllib.parse

from harness import *
from npm import node_folder

USERS = {"ann": {"email": "ann@example.com", "groups": ["dev"], "oid": "o-ann"}, "opa": {"email": "opa@example.com", "groups": ["ops"], "oid": "o-opa"},
         "kim": {"email": "kim@example.com", "groups": ["dev"], "oid": "o-kim"}}



def new_key(kid, alg):
    """A private JWK, made by jose."""
    program = ("import { generateKeyPair, exportJWK } from 'jose'; const { privateKey } = await generateKeyPair(process.argv[1], { extractable: true });"
               " console.log(JSON.stringify({ ...await exportJWK(privateKey), kid: process.argv[2], alg: process.argv[1], use: 'sig' }))")
    done = run(["node", "--input-type=module", "-e", program, alg, kid], cwd=node_folder())
    assert done.code == 0, repr(done)
    return json.loads(done.out)


class Provider:
    """One issuer, one process; it can be ended and started anew with other keys."""

    def __init__(self, w, name, alg, tls, clients, users=None):
        self.w, self.name, self.port, self.tls, self.alg, self.clients, self.users = w, name, free_port(), tls, alg, clients, users or USERS
        self.issuer = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.process, self.serial = None, 0
        self.rotate()

    def rotate(self):
        self.serial += 1
        self.keys = [new_key(f"{self.name}-{self.serial}", self.alg)]

    def start(self):
        tls = self.w.gateway.dir / "tls"
        config = {"issuer": self.issuer, "port": self.port, "keys": self.keys, "clients": self.clients, "users": self.users,
                  **({"cert": str(tls / "cert.pem"), "key": str(tls / "key.pem")} if self.tls else {})}
        script = node_folder() / "provider.mjs"  # beside node_modules: that is where imports are looked for
        script.write_text((HERE / "node" / "provider.mjs").read_text())
        log = open(self.w.dir / f"{self.name}.log", "ab")
        self.process = subprocess.Popen(["node", str(script)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                        env={**os.environ, "CONFIG": json.dumps(config), "NODE_EXTRA_CA_CERTS": str(tls / "cert.pem")})
        atexit.register(self.stop)
        wait_for(lambda: self.w.gateway.listens(self.port), 20, said=f"the provider did not start: {(self.w.dir / (self.name + '.log')).read_text()[-2000:]}")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def control(self, what, **args):
        status, _, text = ask(self.w, "POST" if args else "GET", f"{self.issuer}/test/{what}", json.dumps(args) if args else None)
        assert status == 200, (status, text)
        return json.loads(text)

    def token(self, kid=None, **claims):
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": "sallyport", "sub": "ann", "iat": now, "exp": now + 600, "jti": os.urandom(8).hex(), **claims}
        return self.control("sign", claims=whole, **({"kid": kid} if kid else {}))["token"]

    def asked(self, path):
        return self.control("asked")["asked"].count(f"GET {path}")


def ask(w, method, url, body=None, jar=None, form=None, **fields):
    """One request, no redirect followed; cookies of each origin are kept in the jar."""
    u = urllib.parse.urlsplit(url)
    if u.scheme == "https":
        c = http.client.HTTPSConnection("localhost", u.port, timeout=10 * SLOW, context=ssl.create_default_context(cafile=str(w.gateway.dir / "tls" / "cert.pem")))
    else:
        c = http.client.HTTPConnection(u.hostname, u.port, timeout=10 * SLOW)
    headers = {k.replace("_", "-"): v for k, v in fields.items()}
    cookies = jar.setdefault(u.netloc, {}) if jar is not None else {}
    if cookies:
        headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in cookies.items())
    if form is not None:
        body, headers["Content-Type"] = urllib.parse.urlencode(form), "application/x-www-form-urlencoded"
    elif body is not None:
        headers["Content-Type"] = "application/json"
    c.request(method, u.path + ("?" + u.query if u.query else ""), body=body, headers=headers)
    r = c.getresponse()
    text = r.read().decode("utf-8", "replace")
    for line in r.headers.get_all("Set-Cookie") or []:
        name, _, value = line.split(";")[0].partition("=")
        if value and "Max-Age=0" not in line and "1970" not in line:
            cookies[name.strip()] = value
        else:
            cookies.pop(name.strip(), None)
    c.close()
    return r.status, r.headers, text


def console(w):
    return f"https://localhost:{w.gateway.console_port}"


def corp_is_known(w):
    """Seldom: each try to sign in counts at the gateway, and with too many of them a test's own are refused."""
    wait_for(lambda: ask(w, "POST", console(w) + "/api/v1/signin", json.dumps({"identity": "corp", "return": "/"}))[0] == 200, 20, step=0.5,
             said="the provider is not known:\n" + w.gateway.logs())
