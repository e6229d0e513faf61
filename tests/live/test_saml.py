#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sign-ins by SAML with a real identity provider (npm samlp), as a browser does it (ID4, ID5)."""

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
    w.gateway.extra = (f"identity okta {{ saml metadata={w.gateway.dir}/okta.xml idp_initiated={idp_initiated} sp_key=file:{w.gateway.dir}/keeper/sp.key "
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


@test
def a_person_signs_in_with_a_browser(w):
    start_provider(w)
    be(id="00u1", uid="ann", groups=["dev", "audit"])
    cookie, back = sign_in(w)
    assert back == "/signin", back
    status, me = whoami(w, cookie)
    assert status == 200 and me["user"] == "ann" and me["identity"] == "okta" and me["subject"] == "00u1", me
    assert me["issuer"] == "saml:urn:example:idp" and me["class"] == "human" and me["groups"] == ["dev", "audit"], me
    assert me["roles"] == ["approver", "auditor"] and me["may"] == ["use", "approve", "audit"], me
    assert me["expires"] > me["authenticated"], me
    status, _, text = ask(w, "GET", "/signin", cookie=cookie)
    assert status == 200 and "ann" in text, text


@test
def one_comes_back_to_where_one_was(w):
    start_provider(w)
    _, back = sign_in(w, "/signin/with/okta?return=%2Fdevice%3Fcode%3DABCD")
    assert back == "/device?code=ABCD", back
    for evil in ("//evil.example.com", "https://evil.example.com", "javascript:alert(1)", "/\\evil.example.com"):
        _, back = sign_in(w, "/saml/login/okta?return=" + urllib.parse.quote(evil))
        assert back == "/signin", (evil, back)


@test
def the_provider_checks_our_signature(w):
    """Requests are signed, by the keeper: a provider that has our certificate takes them, and no changed one."""
    start_provider(w)
    _, headers, _ = ask(w, "GET", "/signin/with/okta")
    location = headers["Location"]
    assert "&SigAlg=" in location and "&Signature=" in location
    assert "SAMLResponse" in form_of(get(location[len(IDP["url"]):]))
    try:
        get(location[len(IDP["url"]):].replace("RelayState=_", "RelayState=x"))
        assert False, "samlp took a changed request"
    except urllib.error.HTTPError as e:
        assert e.code == 500


@test
def our_metadata_is_there(w):
    start_provider(w)
    status, headers, text = ask(w, "GET", "/saml/metadata/okta")
    assert status == 200 and headers["Content-Type"].startswith("application/samlmetadata+xml"), (status, text)
    assert f'entityID="{url(w)}/saml/metadata/okta"' in text and f'Location="{url(w)}/saml/acs/okta"' in text, text
    assert "".join((w.gateway.dir / "tls" / "sp.pem").read_text().split("-----")[2].split()) in text
    assert ask(w, "GET", "/saml/metadata/nothing")[0] == 404


@test
def id4_a_response_is_good_once(w):
    start_provider(w)
    flow, form = to_provider(w)
    assert ask(w, "POST", "/saml/acs/okta", form, flow)[0] == 303
    status, headers, text = ask(w, "POST", "/saml/acs/okta", form, flow)
    assert status == 403 and "used already" in text and cookie_of(headers, "__Host-sallyport")[0] is None, (status, text)


@test
def id4_only_the_browser_that_asked(w):
    """Another's response, posted by a foreign page into one's browser, signs nobody in."""
    start_provider(w)
    flow, form = to_provider(w)
    other, _ = to_provider(w)
    for cookie, said in ((None, "has not asked"), (flow[:-2] + "xx", "has not asked"), (other, "InResponseTo")):
        status, headers, text = ask(w, "POST", "/saml/acs/okta", form, cookie)
        assert status == 403 and said in text and cookie_of(headers, "__Host-sallyport")[0] is None, (cookie, status, text)
    assert ask(w, "POST", "/saml/acs/okta", form, flow)[0] == 303


@test
def id4_what_was_changed_is_refused(w):
    start_provider(w)
    for change in ((b">ann<", b">bob<"), (b"urn:example:idp", b"urn:example:idx"), (b"rsa-sha256", b"rsa-sha512"), (b"</saml:Subject>", b"<!-- --></saml:Subject>"),
                   (b"<saml:Assertion ", b"<saml:Assertion x='y' "), (b"ds#", b"ds#x")):
        flow, form = to_provider(w)
        xml = base64.b64decode(form["SAMLResponse"])
        assert change[0] in xml or change[0].startswith(b"ds"), change
        form["SAMLResponse"] = base64.b64encode(xml.replace(*change)).decode()
        if xml.replace(*change) == xml:
            continue
        status, headers, text = ask(w, "POST", "/saml/acs/okta", form, flow)
        assert status == 403 and cookie_of(headers, "__Host-sallyport")[0] is None, (change, status, text)
    for wrong in ("", "x", "%%%", "A" * 500000):
        flow, _ = to_provider(w)
        assert ask(w, "POST", "/saml/acs/okta", {"SAMLResponse": wrong}, flow)[0] in (400, 403), wrong[:10]


@test
def a_name_that_changes_each_time_is_refused(w):
    start_provider(w)
    be(id="x1", uid="ann", format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient")
    flow, form = to_provider(w)
    status, _, text = ask(w, "POST", "/saml/acs/okta", form, flow)
    assert status == 403 and "transient" in text, (status, text)
    be(id="00u1", groups=["dev"])  # no uid
    flow, form = to_provider(w)
    assert ask(w, "POST", "/saml/acs/okta", form, flow)[0] == 403
    be(id="00u1", uid="ann", groups=["dev"])


@test
def the_provider_begins(w):
    """Only where the identity lets it; its response answers nothing."""
    start_provider(w)
    audience = urllib.parse.quote(url(w) + "/saml/metadata/okta")
    status, _, text = ask(w, "POST", "/saml/acs/okta", form_of(get("/unasked?audience=" + audience)))
    assert status == 403 and "has not asked" in text, (status, text)
    write(w, idp_initiated="on")
    form = form_of(get("/unasked?audience=" + audience))
    status, headers, text = ask(w, "POST", "/saml/acs/okta", form)
    assert status == 303 and whoami(w, cookie_of(headers, "__Host-sallyport")[0])[1]["user"] == "ann", (status, text)
    assert ask(w, "POST", "/saml/acs/okta", form)[0] == 403  # once
    status, _, text = ask(w, "POST", "/saml/acs/okta", form_of(get("/unasked?audience=urn:other")))
    assert status == 403 and "audience" in text, (status, text)
    write(w)


@test
def who_is_revoked_or_leaves_is_out(w):
    start_provider(w)
    cookie, _ = sign_in(w)
    assert w.command("revoke", "--user", "ann").code == 0
    assert whoami(w, cookie)[0] == 401
    cookie, _ = sign_in(w)
    status, me = whoami(w, cookie)
    assert status == 200, me
    status, _, text = ask(w, "POST", "/logout", {"csrf": me["csrf"]}, cookie)  # from a page of the provider's
    assert status == 403 and whoami(w, cookie)[0] == 200, (status, text)
    status, _, text = ask(w, "POST", "/logout", {"csrf": me["csrf"]}, cookie, Origin=url(w))
    assert status == 200, (status, text)
    assert whoami(w, cookie)[0] == 401


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


@test
def who_has_saml_only_logs_in_on_a_machine(w):
    start_provider(w)
    be(id="00u1", uid="ann", groups=["dev"])
    home = w.dir / "machine"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": "", "SALLYPORT_CONTROL": "", "SALLYPORT_SERVER": url(w),
           "SALLYPORT_CA": str(w.gateway.dir / "tls" / "cert.pem")}
    cookie, _ = sign_in(w)
    login(w, env, cookie)
    done = run([w.stage / "bin" / "sallyport", "whoami", "--json"], env=env)
    assert done.code == 0 and done.json["user"] == "ann" and done.json["identity"] == "okta", repr(done)
    assert w.command("revoke", "--user", "ann").code == 0
    assert run([w.stage / "bin" / "sallyport", "whoami"], env=env).code == 1


@test
def an_unsigned_logout_ends_nothing(w):
    start_provider(w)
    cookie, _ = sign_in(w)
    xml = (f'<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_l" Version="2.0" '
           f'IssueInstant="2026-01-01T00:00:00Z" Destination="{url(w)}/saml/logout/okta"><saml:Issuer>urn:example:idp</saml:Issuer>'
           f'<saml:NameID>00u1</saml:NameID></samlp:LogoutRequest>')
    status, _, text = ask(w, "POST", "/saml/logout/okta", {"SAMLRequest": base64.b64encode(xml.encode()).decode()})
    assert status == 403 and "must be signed" in text, (status, text)
    assert whoami(w, cookie)[0] == 200


@test
def a_reader_of_xml_that_died_comes_back(w):
    start_provider(w)
    os.kill(w.gateway.children()["saml"][0], signal.SIGKILL)

    def works():
        return ask(w, "GET", "/signin/with/okta")[0] == 303
    wait_for(works, 15, said="nobody can sign in again")
    assert whoami(w, sign_in(w)[0])[0] == 200


@test
def nothing_secret_is_written_down(w):
    start_provider(w)
    cookie, _ = sign_in(w)
    flow, form = to_provider(w)
    for path in (w.gateway.dir / "log").iterdir():
        text = path.read_text(errors="replace")
        for secret in (cookie.split("=", 1)[1], flow.split("=", 1)[1], form["SAMLResponse"][:200]):
            assert secret not in text, path


main(console=True)
