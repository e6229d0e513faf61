#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sign-ins by SAML with a real identity provider (npm samlp), as a browser does it (ID4, ID5)."""

from process_memory import holds
from saml_world import *


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


@test
def who_has_saml_only_logs_in_on_a_machine(w):
    start_provider(w)
    be(id="00u1", uid="ann", groups=["dev"])
    env = machine(w)
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
def nobody_asks_for_keys_of_oidc(w):
    start_provider(w)
    sign_in(w)
    assert "could not be learned" not in w.gateway.logs(1000), w.gateway.logs(1000)


@test
def who_reads_xml_has_no_secret(w):
    """What parses a stranger's XML signs nothing and has nobody's sign-in: the key of our requests and the cookie are the keeper's."""
    if not IS_ROOT:
        skip("only root reads another process's memory")
    start_provider(w)
    cookie, _ = sign_in(w)
    numbers = run(["openssl", "rsa", "-in", w.gateway.dir / "tls" / "sp.key", "-noout", "-text"], check=True).out
    prime = bytes.fromhex(re.sub(r"[^0-9a-f]", "", re.search(r"(?s)prime1:(.*?)prime2", numbers).group(1)))[1:]
    needles = {"the key's file": "".join((w.gateway.dir / "tls" / "sp.key").read_text().splitlines()[3]).encode(), "the key's prime": prime,
               "the same, backwards": prime[::-1], "the cookie": cookie.split("=", 1)[1].encode()}
    assert holds(w.gateway.children()["keeper"][0], needles), "the search finds nothing where it must"
    assert not holds(w.gateway.children()["saml"][0], needles), holds(w.gateway.children()["saml"][0], needles)


@test
def the_providers_key_is_read_anew(w):
    """Metadata with another key: a reload, and nothing else, makes it count; who signed in before stays in."""
    start_provider(w)
    be(id="00u1", uid="ann", groups=["dev"])
    cookie, _ = sign_in(w)
    path, tls = w.gateway.dir / "okta.xml", w.gateway.dir / "tls"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other", "-keyout", tls / "other.key", "-out", tls / "other.pem"],
        check=True)
    old = path.read_text()
    in_metadata = re.search(r"X509Certificate>([^<]+)<", old).group(1)
    path.write_text(old.replace(in_metadata, "".join((tls / "other.pem").read_text().split("-----")[2].split())))
    sign_in(w)
    assert w.gateway.reload().code == 0
    flow, form = to_provider(w)
    status, headers, text = ask(w, "POST", "/saml/acs/okta", form, flow)
    assert status == 403 and cookie_of(headers, "__Host-sallyport")[0] is None, (status, text)
    assert whoami(w, cookie)[0] == 200
    path.write_text("nothing")
    assert w.gateway.reload().code == 1
    path.write_text(old)
    assert w.gateway.reload().code == 0
    sign_in(w)


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
