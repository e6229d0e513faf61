#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real OpenID provider (npm oidc-provider): discovery, keys that change, a provider that is down, two issuers, workloads' tokens;
signing in with a browser, machines, re-checks, logout (ID3, ID5, ID9)."""

import re
import urllib.parse

from oidc_world import *

IDENTITIES = """\
identity corp {{
    oidc     issuer={corp} client=gate secret=file:{dir}/keeper/client.secret audience=sallyport api_audience=sallyport-api ca={dir}/tls/cert.pem;
    user     claim=sub show=email;
    person   claim=oid;
    roles    admin=ops;
    recheck  {recheck};
}}
identity ci {{
    oidc     issuer={ci} audience=sallyport insecure_loopback=on;
    class    workload;
    allow    repository=shop ref=refs/heads/main environment=prod;
    token_use any;
}}
"""


corp = ci = None


def ready(w, recheck="5m"):
    global corp, ci
    if corp is None:
        node_folder()
        corp = Provider(w, "corp", "ES256", True, [{"client_id": "gate", "client_secret": "not so secret: + %", "redirect_uris": [console(w) + "/signin/callback/corp"],
                        "grant_types": ["authorization_code", "refresh_token"], "id_token_signed_response_alg": "ES256",
                        "post_logout_redirect_uris": [console(w)], "backchannel_logout_uri": console(w) + "/backchannel-logout/corp",
                        "backchannel_logout_session_required": True}])
        ci = Provider(w, "ci", "RS256", False, [{"client_id": "x", "client_secret": "y", "redirect_uris": ["https://x.invalid/"]}])
        corp.start()
        ci.start()
    secret = w.gateway.dir / "keeper" / "client.secret"
    secret.write_text("not so secret: + %\n")
    secret.chmod(0o600)
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    w.gateway.extra = IDENTITIES.format(dir=w.gateway.dir, corp=corp.issuer, ci=ci.issuer, recheck=recheck)
    w.gateway.write(w.gateway.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))
    done = w.gateway.reload()
    assert done.code == 0, repr(done)
    corp_is_known(w)


def admitted(w, token, **more):
    got = w.psql("SELECT 1", token=token, **more)
    assert got.code == 0 or (got.code == 2 and "access denied" in got.err), repr(got)
    return got.code == 0


def login_pages(w, jar, status, headers, text, url, user):
    """The provider's own pages, as a person would fill them in; ends at the first address of the console."""
    for _ in range(12):
        if status in (302, 303):
            url = urllib.parse.urljoin(url, headers["Location"])
            if url.startswith(console(w)):
                return url
            status, headers, text = ask(w, "GET", url, jar=jar)
        else:
            assert status == 200, (url, status, re.sub(r"(?s)<style.*?</style>|<[^>]*>|\s+", " ", text)[:500])
            action = urllib.parse.urljoin(url, re.search(r'action="([^"]*)"', text).group(1))
            form = {"prompt": "login", "login": user, "password": "x"} if 'value="login"' in text else {"prompt": "consent"}
            url = action
            status, headers, text = ask(w, "POST", action, jar=jar, form=form)
    raise AssertionError(f"no way back from {url}")


def patiently(w, url, jar):
    """As ask(): so many sign-ins from one address have to wait now and then."""
    for _ in range(60):
        answer = ask(w, "GET", url, jar=jar)
        if answer[0] != 429:
            return answer
        time.sleep(1)
    raise AssertionError(answer)


def to_provider(w, jar, back="/signin"):
    status, headers, text = patiently(w, f"{console(w)}/signin/with/corp?return={urllib.parse.quote(back)}", jar)
    assert status == 303, (status, text)
    return headers["Location"]


def sign_in(w, user, jar=None):
    """A browser's way; its jar with the console's cookie."""
    jar = {} if jar is None else jar
    url = to_provider(w, jar)
    status, headers, text = ask(w, "GET", url, jar=jar)
    url = login_pages(w, jar, status, headers, text, url, user)
    assert url.startswith(console(w) + "/signin/callback/corp?"), url
    status, headers, text = patiently(w, url, jar)
    assert status == 303 and headers["Location"] == "/signin", (status, dict(headers), text, w.gateway.logs())
    assert "__Host-sallyport" in jar[urllib.parse.urlsplit(console(w)).netloc]
    return jar


def whoami(w, jar):
    status, _, text = ask(w, "GET", console(w) + "/api/v1/whoami", jar=jar)
    return status, json.loads(text)


def ticket_of(w, jar):
    """How psql comes in by a ticket that the signed-in person gets."""
    status, _, text = ask(w, "POST", console(w) + "/api/v1/tickets", json.dumps({"target": "orders"}), jar=jar, Origin=console(w), X_Sallyport_CSRF=whoami(w, jar)[1]["csrf"])
    assert status == 200, (status, text)
    ticket = json.loads(text)
    return dict(user=ticket["id"], token=ticket["password"])


def sleeping(w, seconds):
    """Whether the target runs pg_sleep(seconds)."""
    return w.pg.sql(f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep({seconds})%' AND state = 'active' AND pid <> pg_backend_pid()") != "0"


@test
def a_new_key_is_asked_for_once_a_minute(w):
    ready(w)
    old = corp.token(groups=["dev"])
    assert admitted(w, old)
    corp.stop()
    corp.rotate()
    corp.start()
    new = corp.token(groups=["dev"])
    before = corp.asked("/jwks")
    assert admitted(w, new), "the new key was not asked for\n" + w.gateway.logs()
    assert corp.asked("/jwks") == before + 1
    assert not admitted(w, old), "the old key is gone"
    for _ in range(3):  # what anybody can send asks for nothing more
        assert not admitted(w, corp.token(kid="nobody", groups=["dev"]))
    assert corp.asked("/jwks") == before + 1


@test
def keys_come_by_discovery(w):
    ready(w)
    assert admitted(w, corp.token(groups=["dev"]))
    assert not admitted(w, corp.token(groups=["other"]))
    assert not admitted(w, corp.token(groups=["dev"], aud="other"))
    assert not admitted(w, corp.token(groups=["dev"], iss="https://evil.example.com"))
    assert not admitted(w, ci.token(iss=corp.issuer, groups=["dev"])), "the other issuer's key"
    assert w.command("whoami", token=corp.token(aud="sallyport-api", groups=["dev"])).code == 0


@test
def workload_tokens_with_conditions(w):
    ready(w)
    job = {"sub": "job-1", "repository": "shop", "ref": "refs/heads/main", "environment": ["test", "prod"], "groups": ["dev"]}
    assert admitted(w, ci.token(**job), user="job-1")
    for other in ({"ref": "refs/heads/evil"}, {"repository": "shopx"}, {"environment": "test"}, {"repository": None}):
        assert not admitted(w, ci.token(**{**job, **other}), user="job-1"), other


@test
def down_over_a_restart(w):
    ready(w)
    token = corp.token(groups=["dev"])
    assert admitted(w, token)
    corp.stop()
    try:
        w.gateway.stop()
        w.gateway.start()
        assert admitted(w, token), "the last good keys are gone\n" + w.gateway.logs()
        status, _, text = ask(w, "POST", console(w) + "/api/v1/signin", json.dumps({"identity": "corp", "return": "/"}))
        assert status == 200, text
    finally:
        corp.start()


@test
def signing_in_with_a_browser(w):
    ready(w)
    jar = sign_in(w, "opa")
    status, who = whoami(w, jar)
    assert status == 200 and who["user"] == "opa" and who["name"] == "opa@example.com" and who["identity"] == "corp", who
    assert "operate" in who["may"] and who["groups"] == ["ops"], who
    secret = jar[urllib.parse.urlsplit(console(w)).netloc]["__Host-sallyport"]
    assert secret.startswith("sps_")
    assert w.command("status", token=secret).code == 0
    assert not admitted(w, secret, user="opa"), "a sign-in is no password of a database"
    for path in (w.gateway.dir / "keeper").glob("state.db*"):
        assert secret.encode() not in path.read_bytes(), path
    assert secret not in w.gateway.logs(4000)


@test
def another_browsers_answer_is_not_taken(w):
    """ID5: the code of one browser's way, shown by another."""
    ready(w)
    mine, other = {}, {}
    url = to_provider(w, mine)
    to_provider(w, other)
    status, headers, text = ask(w, "GET", url, jar=mine)
    back = login_pages(w, mine, status, headers, text, url, "ann")
    netloc = urllib.parse.urlsplit(console(w)).netloc
    for jar in ({}, other):
        status, _, text = ask(w, "GET", back, jar=jar)
        assert status == 400 and "__Host-sallyport" not in jar.get(netloc, {}), (status, text)
    status, _, text = ask(w, "GET", back.replace("code=", "code=x"), jar={netloc: dict(mine[netloc])})
    assert status != 303, text
    status, _, text = ask(w, "GET", back, jar=mine)
    assert status in (303, 403), (status, text)  # some providers take a code back that was shown wrongly


@test
def login_to_a_machine_by_the_browser(w):
    ready(w)
    home = w.dir / "machine"
    home.mkdir(exist_ok=True)
    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": "", "SALLYPORT_CONTROL": "", "SALLYPORT_SERVER": console(w),
           "SALLYPORT_CA": str(w.gateway.dir / "tls" / "cert.pem")}
    sallyport = str(w.stage / "bin" / "sallyport")
    with open(w.dir / "login.out", "wb") as out:
        login = subprocess.Popen([sallyport, "login", "--no-browser"], env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        said = wait_for(lambda: re.search(r"code=([A-Z]{4}-[A-Z]{4})", (w.dir / "login.out").read_text()), 20, said="no code is shown")
        jar = sign_in(w, "ann")
        status, _, page = ask(w, "GET", f"{console(w)}/device?code={said.group(1)}", jar=jar)
        assert status == 200 and said.group(1) in page, (status, page)
        csrf = re.search(r'name="csrf" value="([^"]*)"', page).group(1)
        status, _, page = ask(w, "POST", console(w) + "/device", jar=jar, form={"csrf": csrf, "code": said.group(1), "allow": "1"}, Origin=console(w))
        assert status == 200 and "Connected" in page, (status, page)
        assert login.wait(30 * SLOW) == 0, (w.dir / "login.out").read_text()
    finally:
        login.kill()
        login.wait()
    done = run([sallyport, "whoami", "--json"], env=env)
    assert done.code == 0 and done.json["user"] == "ann" and done.json["identity"] == "corp", repr(done)
    assert run([sallyport, "logout"], env=env).code == 0
    assert run([sallyport, "whoami"], env=env).code == 1
    assert whoami(w, jar)[0] == 200, "the browser's own sign-in is another one"


@test
def a_user_who_is_locked_out_there_is_out_here(w):
    ready(w, recheck="1s")
    jar = sign_in(w, "kim")
    corp.control("groups", user="kim", groups=["dev", "ops"])
    wait_for(lambda: whoami(w, jar)[1].get("groups") == ["dev", "ops"], 20, said="the new groups did not come\n" + w.gateway.logs())
    running = w.psql_waiting("SELECT pg_sleep(62)", **ticket_of(w, jar))
    wait_for(lambda: sleeping(w, 62), 20, said="it does not run")
    corp.control("lock", user="kim")
    wait_for(lambda: whoami(w, jar)[0] == 401, 20, said="kim is still in\n" + w.gateway.logs())
    wait_for(lambda: not w.sessions(live=True), 20, said="kim's session lives on\n" + w.gateway.logs())
    wait_for(lambda: not sleeping(w, 62), 20, said="the target still runs it")
    assert running.result().code != 0


@test
def a_sign_in_outlives_its_id_token(w):
    """An IDE's pool goes on, and the person need not sign in anew, once the provider's token is over: what says so is `session`."""
    ready(w)
    corp.control("ttl", seconds=2)
    try:
        jar = sign_in(w, "ann")
        over = time.time() + 3  # the token was made before this
        by = ticket_of(w, jar)
        one = w.psql_waiting(stdin="SELECT 'before';\n", args=("-A", "-t", "-q", "-n"), **by)
        wait_for(lambda: w.sessions(live=True), 20, said="no session came in")
        wait_for(lambda: time.time() > over, 20)
        one.say("SELECT 'after';\n")
        one.process.stdin.close()
        assert one.process.stdout.read().split() == ["before", "after"] and one.process.wait() == 0
        assert w.psql("SELECT 1", **by).out == "1", "no new session of the ticket"
        status, who = whoami(w, jar)
        assert status == 200 and who["user"] == "ann", who
    finally:
        corp.control("ttl", seconds=600)


@test
def logged_out_at_the_provider(w):
    """OpenID Connect Back-Channel Logout, by the provider itself; what stands on the sign-in ends, in the middle of a query or held (P6, AP7)."""
    ready(w)
    jar = sign_in(w, "ann")
    other = sign_in(w, "ann")
    by = ticket_of(w, jar)
    running, held = w.psql_waiting("SELECT pg_sleep(61)", **by), w.psql_waiting("UPDATE orders SET price = 0 WHERE id = 5", **by)
    request = w.waiting_request()
    wait_for(lambda: sleeping(w, 61), said="it does not run")
    status, headers, text = ask(w, "GET", f"{corp.issuer}/session/end?client_id=gate", jar=jar)
    assert status == 200, (status, text)
    form = dict(re.findall(r'name="(xsrf)" value="([^"]*)"', text), logout="yes")
    status, headers, text = ask(w, "POST", f"{corp.issuer}/session/end/confirm", jar=jar, form=form)
    assert status in (302, 303), (status, text)
    wait_for(lambda: whoami(w, jar)[0] == 401, 15, said="the sign-in lives on\n" + w.gateway.logs() + (w.dir / "corp.log").read_text()[-2000:])
    wait_for(lambda: not w.sessions(live=True), 10, said="sessions live on")  # ten times what P6 promises
    wait_for(lambda: not sleeping(w, 61), 20, said="the target still runs it")
    assert running.result().code != 0 and held.result().code != 0
    assert not [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"]
    assert "revoked" in w.psql("SELECT 1", **by).err
    wait_for(lambda: whoami(w, other)[0] == 200, 30, 1, said="another session there is another session")  # 429 for a while: we asked too often


@test
def the_issuer_of_the_document_must_be_it(w):
    ready(w)
    extra = w.gateway.extra
    w.gateway.extra = extra + f"identity odd {{ oidc issuer={ci.issuer}/ audience=sallyport insecure_loopback=on; }}\n"
    w.gateway.write(w.gateway.conf_text().replace("local_issuer  on;", "local_issuer  on beside;"))
    try:
        assert w.gateway.reload().code == 0
        wait_for(lambda: "of another issuer" in w.gateway.logs(400), 15, said="it was taken")
        assert not admitted(w, ci.token(iss=ci.issuer + "/", groups=["dev"]))
    finally:
        w.gateway.extra = extra


@test
def a_secret_that_the_provider_does_not_know(w):
    """The log says what to look at, and the secret of before is good again."""
    ready(w)
    (w.gateway.dir / "keeper" / "client.secret").write_text("another one\n")
    assert w.gateway.reload().code == 0
    jar = {}
    url = to_provider(w, jar)
    url = login_pages(w, jar, *ask(w, "GET", url, jar=jar), url, "ann")
    assert patiently(w, url, jar)[0] == 403
    wait_for(lambda: "knows no client of this name and secret" in w.gateway.logs(200), 20, said=w.gateway.logs(20))
    ready(w)
    sign_in(w, "ann")


if __name__ == "__main__":
    main(console=True)
