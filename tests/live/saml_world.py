# SPDX-License-Identifier: Apache-2.0
"""A real SAML provider (npm samlp), and the browser of a person that signs in there: `from saml_world import *`."""

import base64
import html
import http.client
import ssl
import urllib.parse
import urllib.request

from harness import *
from npm import NODE, node_modules

IDP = {}
VISITS = iter(range(10 ** 6))


def start_provider(w):
    """The provider, its metadata in the gateway's folder, and the identities: once."""
    if IDP:
        return
    modules = node_modules()
    tls, port = w.gateway.dir / "tls", free_port()
    for name in ("idp", "sp"):
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", tls / f"{name}.key",
             "-out", tls / f"{name}.pem"], check=True)
    secret = w.gateway.dir / "keeper" / "sp.key"
    secret.write_bytes((tls / "sp.key").read_bytes())
    secret.chmod(0o600)
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    conf = {"port": port, "issuer": "urn:example:idp", "key": (tls / "idp.key").read_text(), "cert": (tls / "idp.pem").read_text(),
            "acs": url(w) + "/saml/acs/okta", "signingCert": (tls / "sp.pem").read_text()}
    env = dict(os.environ, IDP=json.dumps(conf), NODE_PATH=str(modules), NODE_NO_WARNINGS="1")
    IDP["process"] = subprocess.Popen(["node", str(NODE / "idp.js")], env=env, stdout=subprocess.PIPE, text=True)
    atexit.register(IDP["process"].kill)
    assert IDP["process"].stdout.readline() == "ready\n"
    IDP["url"] = f"http://127.0.0.1:{port}"
    (w.gateway.dir / "okta.xml").write_text(get("/metadata"))
    write(w)


def write(w, more="", idp_initiated="off"):
    base = IDP.setdefault("base", w.gateway.extra)
    w.gateway.extra = base + (f"identity okta {{ saml metadata={w.gateway.dir}/okta.xml idp_initiated={idp_initiated} sp_key=file:{w.gateway.dir}/keeper/sp.key "
                       f"sp_cert={w.gateway.dir}/tls/sp.pem; user attribute=uid; groups attribute=groups; person nameid; roles auditor=audit; session 8h; {more} }}")
    w.gateway.write(w.gateway.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))
    done = w.gateway.reload()
    assert done.code == 0, repr(done)
    wait_for(lambda: w.gateway.children().get("saml"), 10, said="sallyport-saml is not there")


def get(path):
    with urllib.request.urlopen(IDP["url"] + path, timeout=20 * SLOW) as r:
        return r.read().decode()


def be(**user):
    get("/be?user=" + urllib.parse.quote(json.dumps(user)))


def url(w):
    return f"https://localhost:{w.gateway.console_port}"


def ask(w, method, path, form=None, cookie=None, **fields):
    """(status, headers, text); what a browser sends.  Each comes from an address of its own: one may try a few times only."""
    n = next(VISITS)
    c = http.client.HTTPSConnection("localhost", w.gateway.console_port, timeout=20 * SLOW, source_address=(f"127.1.{n // 250}.{n % 250 + 1}", 0),
                                    context=ssl.create_default_context(cafile=str(w.gateway.dir / "tls" / "cert.pem")))
    headers = dict(fields)
    if cookie:
        headers["Cookie"] = cookie
    if form is not None:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": IDP["url"], **headers}
    c.request(method, path, body=None if form is None else urllib.parse.urlencode(form), headers=headers)
    r = c.getresponse()
    text = r.read().decode("utf-8", "replace")
    c.close()
    return r.status, r.headers, text


def cookie_of(headers, name):
    for line in headers.get_all("Set-Cookie") or []:
        if line.startswith(name + "="):
            return line.split(";")[0], line
    return None, ""


def form_of(page):
    """The hidden fields of the provider's page, which posts itself."""
    return {html.unescape(n): html.unescape(v) for n, v in re.findall(r'name="(\w+)"\s+value="([^"]*)"', page)}


def to_provider(w, path="/signin/with/okta"):
    """(flow cookie, the provider's form), after being sent there."""
    status, headers, text = ask(w, "GET", path)
    assert status == 303, (status, text)
    flow, line = cookie_of(headers, "__Host-sallyport-flow")
    assert flow and "SameSite=None" in line and "Secure" in line and "HttpOnly" in line, line
    assert headers["Location"].startswith(IDP["url"] + "/sso?SAMLRequest="), headers["Location"]
    return flow, form_of(get(headers["Location"][len(IDP["url"]):]))


def sign_in(w, path="/signin/with/okta"):
    """The cookie, and where one came back to."""
    flow, form = to_provider(w, path)
    status, headers, text = ask(w, "POST", "/saml/acs/okta", form, flow)
    assert status == 303, (status, text)
    cookie, line = cookie_of(headers, "__Host-sallyport")
    assert cookie and "SameSite=Lax" in line and "Secure" in line and "HttpOnly" in line, line
    return cookie, headers["Location"]


def whoami(w, cookie):
    status, _, text = ask(w, "GET", "/api/v1/whoami", cookie=cookie)
    return status, json.loads(text)


def machine(w, name="machine"):
    """The environment of somebody who sits at a machine that knows where the gateway's HTTPS is, and no more."""
    home = w.dir / name
    home.mkdir()
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": "", "SALLYPORT_CONTROL": "", "SALLYPORT_SERVER": url(w),
            "SALLYPORT_CA": str(w.gateway.dir / "tls" / "cert.pem")}


def login(w, env, cookie):
    """`sallyport login` on a machine without a browser; the person confirms in theirs."""
    said = w.dir / "login.out"
    with open(said, "wb") as out:
        going = subprocess.Popen([str(w.stage / "bin" / "sallyport"), "login", "--no-browser"], env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        code = wait_for(lambda: re.search(r"code=([A-Z]{4}-[A-Z]{4})", said.read_text()), 20, said="no code is shown").group(1)
        status, _, page = ask(w, "GET", f"/device?code={code}", cookie=cookie)
        assert status == 200 and code in page and "ann" in page, (status, page)
        form = {"csrf": re.search(r'name="csrf" value="([^"]*)"', page).group(1), "code": code, "allow": "1"}
        status, _, page = ask(w, "POST", "/device", form, cookie, Origin=url(w))
        assert status == 200 and "Connected" in page, (status, page)
        assert going.wait(30 * SLOW) == 0, said.read_text()
    finally:
        going.kill()
        going.wait()
