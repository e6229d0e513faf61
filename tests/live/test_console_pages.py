#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The console's pages in a real browser: signing in by a real OpenID provider and a real SAML one, deciding on a real psql, watching,
killing, finding; hostile texts stay texts under a policy that is enforced; errors are shown (MC1, ID10). Terminals: test_console_terminal.py;
how every page looks, and what axe-core says of it: long_console.py."""

import saml_world
from oidc_world import *
from console_world import *

PEOPLE = {user: {"email": email, "groups": groups, "oid": f"o-{user}"}
          for user, email, groups in (("lea", "lea@example.com", ["leads"]), ("opa", "opa@example.com", ["ops", "leads"]), ("max", "max@example.com", ["leads"]),
                                      ("dora", "<img src=x onerror=alert(7)>\u202e\x1b]0;dora\x07@example.com", ["dev"]))}
IDENTITY = """\
identity corp {{
    oidc     issuer={corp} client=gate secret=file:{dir}/keeper/client.secret audience=sallyport api_audience=sallyport-api ca={dir}/tls/cert.pem;
    user     claim=sub show=email;
    person   claim=oid;
    roles    admin=ops auditor=ops;
}}
"""
RULES = POLICY + """
rule "two-leads" {
  doc     = "Customers are changed by two.",
  on      = "sql.statement",
  when    = { verb = "update", tables = "public.customers" },
  approve = { by = "leads", count = 2, within = "5m" },
}
"""
NEEDS_GRANT = """
target vault {{ protocol postgres; server 127.0.0.1:{port}; tls off; login user=app_gw secret=file:{dir}/keeper/orders.secret; database orders;
    allow groups=dev; access grant approvers=leads; policy {dir}/policies/orders.lua; }}
"""
HOSTILE = ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil.example\x07link", "\u202egnp.exe\u2066\u200b",
           "</textarea></pre><svg onload=alert(3)>", "${alert(4)} {{constructor}} &lt;b&gt;"]


b = corp = None


def ready(w):
    """Providers, their people's browsers: once."""
    global b, corp
    if b is not None:
        return
    chromium = browser(w)
    corp = Provider(w, "corp", "ES256", True, [{"client_id": "gate", "client_secret": "of a test", "redirect_uris": [console(w) + "/signin/callback/corp"],
                    "grant_types": ["authorization_code", "refresh_token"], "id_token_signed_response_alg": "ES256"}], PEOPLE)
    corp.start()
    secret = w.gateway.dir / "keeper" / "client.secret"
    secret.write_text("of a test\n")
    secret.chmod(0o600)
    if IS_ROOT:
        shutil.chown(secret, "sallyport-keeper", "sallyport-keeper")
    w.gateway.policy = RULES
    w.gateway.more_targets += NEEDS_GRANT.format(dir=w.gateway.dir, port=w.pg.port)
    w.gateway.extra = IDENTITY.format(dir=w.gateway.dir, corp=corp.issuer)
    saml_world.start_provider(w)
    corp_is_known(w)
    b = chromium


def sign_in(w, user, path="/approvals"):
    """The whole way, as that person clicks it; a second time it is only a visit."""
    return b.run(user, """
        await page.goto(arg.url + arg.path);
        const there = page.locator('main#main'), link = page.getByRole('link', { name: arg.with });
        await there.or(link).first().waitFor();
        if (await link.count() > 0) {
            await link.click();
            if (arg.with === 'corp') { // the other's page posts itself
                await page.locator('input[name=login]').fill(arg.user);
                await page.locator('input[name=password]').fill('x');
                await page.locator('[type=submit]').first().click();
            }
        }
        await there.waitFor().catch(async (e) => { throw new Error(`${page.url()}: ${(await page.content()).slice(0, 1500)}: ${e}`); });
        return page.url();
    """, {"url": console(w), "path": path, "user": user, "with": "corp" if user in PEOPLE else "okta"})


def card(id):
    return f'article.request[data-id="{id}"]'


@test
def people_sign_in_by_both_providers(w):
    ready(w)
    assert sign_in(w, "lea").endswith("/approvals")
    saml_world.be(id="p-sal", uid="sal", groups=["leads"])
    assert sign_in(w, "sal").endswith("/approvals")
    assert b.run("lea", "return page.locator('.who-name').innerText()").startswith("lea@example.com")


@test
def a_link_of_the_control_socket_opens_it(w):
    """`sallyport console --open` hands the browser a file of its own; the link stands in no address of the gateway's, and not in the history."""
    ready(w)
    browser = w.dir / "a-browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" >{w.dir}/opened\n")
    browser.chmod(0o755)
    done = w.command("console", "--open", env={**os.environ, "BROWSER": str(browser), "HOME": str(w.dir), "XDG_CONFIG_HOME": ""})
    assert done.code == 0, repr(done)
    page = wait_for(lambda: (w.dir / "opened").exists() and (w.dir / "opened").read_text().strip(), 20, said="no browser was started")
    assert page.startswith(f"file://{w.dir}/") and os.stat(page[7:]).st_mode & 0o77 == 0, page
    said = b.run("local", """
        await page.goto(arg);
        await page.getByRole('button', { name: 'Open' }).waitFor();
        const before = page.url();
        await page.getByRole('button', { name: 'Open' }).click();
        await page.locator('main#main').waitFor();
        return [before, page.url(), await page.locator('.who-name').innerText()];
    """, page)
    assert said[0] == console(w) + "/signin/link" and said[2].startswith("unix:"), said
    b.run("local", "await page.goto(arg); await page.getByRole('button', { name: 'Open' }).click(); await page.getByText('used before').waitFor()", done.out.strip())


@test
def what_is_held_appears_and_an_approval_lets_it_go(w):
    ready(w)
    sign_in(w, "lea")
    waiting, id = held(w, "UPDATE orders SET price = 2 WHERE id = 1")
    text = b.run("lea", "await page.locator(arg).waitFor(); return page.locator(arg).innerText()", card(id))  # nothing was loaded anew
    assert "UPDATE orders SET price = 2" in text and "ann" in text and "price-needs-lead" in text, text
    b.run("lea", "await page.locator(arg + ' .comment').fill('looked at'); await page.locator(arg + ' .approve').click(); await page.locator(arg).waitFor({ state: 'detached' })", card(id))
    done = waiting.result()
    assert done.code == 0, repr(done)
    r = next(r for r in w.command("requests", "--all", "--json").json["requests"] if r["id"] == id)
    assert r["decisions"][0]["comment"] == "looked at" and r["decisions"][0]["user"] == "lea", r


@test
def access_is_asked_for_and_granted(w):
    """The form of the first page: a request as `sallyport request` makes it, granted on another's page, and used. Who asks has a hostile name at the
    provider, and writes a hostile reason: both are text to who decides."""
    reason = "INC-42 <img src=x onerror=alert(1)><script>alert(2)</script>\x1b[31mred\x1b]0;t\x07\u202egnp.exe\u200b</p>"
    ready(w)
    sign_in(w, "dora", "/")
    sign_in(w, "lea")
    token = corp.token(sub="dora", groups=["dev"], oid="o-dora", email=PEOPLE["dora"]["email"])
    assert w.psql("SELECT 1", database="vault", user="dora", token=token).code != 0
    b.run("dora", """
        const target = page.locator('article.target').filter({ has: page.getByRole('heading', { name: 'vault', exact: true }) });
        await target.getByRole('button', { name: 'Request access' }).click();
        const sheet = page.locator('form').filter({ has: page.getByLabel('Why') });
        await sheet.getByLabel('Why').fill(arg);
        await sheet.getByRole('button', { name: 'Ask' }).click();
        await sheet.waitFor({ state: 'detached' });
        await target.getByText('asked', { exact: true }).waitFor();
    """, reason)
    asked = [r for r in w.requests() if r["state"] == "waiting" and r["target"] == "vault"]
    assert len(asked) == 1 and asked[0]["user"] == "dora" and ": INC-42 <img src=x" in asked[0]["text"], asked
    text, odd, policy = b.run("lea", """
        await page.locator(arg).getByText('INC-42').first().waitFor();
        const seen = [await page.locator(arg).innerText(), await page.evaluate(() => document.querySelectorAll('main img, main script, svg[onload], [onerror]').length), noted];
        await page.locator(arg + ' .approve').click();
        await page.locator(arg).waitFor({ state: 'detached' });
        return seen;
    """, card(asked[0]["id"]))
    assert odd == 0 and policy == [] and "<script>alert(2)" in text and not set(text) & set("\x1b\x07\u202e\u200b"), (text, odd, policy)
    b.run("dora", "await page.locator('article.target').filter({ has: page.getByRole('heading', { name: 'vault', exact: true }) }).getByText('granted', { exact: true }).waitFor()")
    done = w.psql("SELECT 1", database="vault", user="dora", token=token)
    assert done.code == 0 and done.out == "1", repr(done)


@test
def a_denial_is_one(w):
    ready(w)
    sign_in(w, "lea")
    waiting, id = held(w, "UPDATE orders SET price = 3 WHERE id = 1")
    b.run("lea", "await page.locator(arg + ' .comment').fill('not today'); await page.locator(arg + ' .deny').click(); await page.locator(arg).waitFor({ state: 'detached' })", card(id))
    done = waiting.result()
    assert done.code != 0 and "not today" in done.err, repr(done)


@test
def the_page_that_messages_link_to_decides(w):
    """/requests/ID is a form without scripts: a browser's own POST has to be taken."""
    ready(w)
    sign_in(w, "lea")
    waiting, id = held(w, "UPDATE orders SET price = 5 WHERE id = 1")
    b.run("lea", """
        await page.goto(arg);
        await page.locator('button[name=allow][value="1"]').click();
        await page.getByText('It is approved').waitFor();
    """, f"{console(w)}/requests/{id}")
    done = waiting.result()
    assert done.code == 0, repr(done)


@test
def two_have_to_agree(w):
    ready(w)
    sign_in(w, "lea")
    saml_world.be(id="p-sal", uid="sal", groups=["leads"])
    sign_in(w, "sal")
    waiting, id = held(w, "UPDATE customers SET name = 'x' WHERE id = 1")
    b.run("lea", "await page.locator(arg + ' .approve').click(); await page.locator(arg).getByText('1 of 2').first().waitFor()", card(id))
    assert waiting.running()
    assert b.run("lea", "await page.locator(arg + ' .note').first().waitFor(); return page.locator(arg + ' .approve').count()", card(id)) == 0
    b.run("sal", "await page.locator(arg).getByText('1 of 2').first().waitFor(); await page.locator(arg + ' .approve').click(); await page.locator(arg).waitFor({ state: 'detached' })", card(id))
    done = waiting.result()
    assert done.code == 0, repr(done)


@test
def nobody_approves_their_own(w):
    ready(w)
    sign_in(w, "lea")
    token = corp.token(sub="lea", groups=["leads", "dev"], oid="o-lea", email="lea@example.com")
    waiting, id = held(w, "UPDATE orders SET price = 4 WHERE id = 1", token=token, user="lea")
    said = b.run("lea", "await page.locator(arg + ' .note').first().waitFor(); return [await page.locator(arg).innerText(), await page.locator(arg + ' .approve').count()]", card(id))
    assert said[1] == 0, said
    status = b.run("lea", """return page.evaluate(async (id) => {
        const { csrf } = await (await fetch('/api/v1/whoami')).json();
        const r = await fetch(`/api/v1/requests/${id}/approve`, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Sallyport-CSRF': csrf }, body: '{}' });
        return [r.status, (await r.json()).error];
    }, arg)""", id)
    assert status[0] == 403 and "their own" in status[1], status
    waiting.interrupt()
    waiting.result()


@test
def a_live_session_is_ended(w):
    ready(w)
    sign_in(w, "opa", "/sessions?live=1")
    waiting = w.psql_waiting("SELECT pg_sleep(120)")
    id = wait_for(lambda: [s["id"] for s in w.sessions(live=True) if s["user"] == "ann"], 20)[0]
    visit(w, "opa", f"/sessions/{id}")
    b.run("opa", """
        await page.getByRole('button', { name: /^End/ }).first().click();
        const sheet = page.locator('form').filter({ has: page.locator('button.deny') });
        const reason = sheet.locator('input, textarea').first();
        if (await reason.count() > 0) await reason.fill('a test ends it');
        await sheet.locator('button.deny').click();
        await sheet.waitFor({ state: 'detached' });
    """)
    done = waiting.result()
    assert done.code != 0 and "ended by" in done.err, repr(done)


@test
def hostile_texts_are_texts(w):
    """Markup, escapes, bidi, a megabyte: in statements, names, reasons and comments; the browser's policy stops nothing, since nothing tries."""
    ready(w)
    sign_in(w, "lea")
    sign_in(w, "opa")
    for text in HOSTILE:
        w.psql("SELECT " + "'" + text.replace("'", "''").replace("\x00", "") + "' AS \"" + text.replace('"', '').replace("\x00", "")[:50] + '"')
    big = w.psql_waiting(stdin="SELECT length('" + "<b>" * 340000 + "');\n", args=("-A", "-t", "-q", "-f", "-"))
    big.process.stdin.close()
    big.process.wait(60 * SLOW)
    sql = "UPDATE orders SET item = '" + " ".join(HOSTILE) + "' WHERE id = 1"
    waiting, id = held(w, sql)
    shown = b.run("lea", "await page.locator(arg).waitFor(); return page.locator(arg + ' code, ' + arg + ' pre').allInnerTexts()", card(id))
    assert any("<img src=x onerror=alert(1)>" in s for s in shown) and not any("\u202e" in s or "\x1b" in s for s in shown), shown
    session = next(s["id"] for s in w.sessions() if s["user"] == "ann" and s["state"] == "ended" and s["operations"] > 0)
    for path in ("/approvals", f"/approvals/{id}", "/sessions", f"/sessions/{session}", "/audit", "/approvals?all"):
        visit(w, "opa", path)
        odd = b.run("opa", "await page.waitForTimeout(300); return page.evaluate(() => document.querySelectorAll('img[src=x], svg[onload], script:not([src]), [onerror]').length)")
        assert odd == 0, (path, odd)
    waiting.interrupt()
    waiting.result()
    assert b.run("opa", "return noted") == []


@test
def errors_are_shown(w):
    ready(w)
    sign_in(w, "lea")
    for status, said in ((403, "may not"), (409, "other bytes"), (429, "too many"), (500, "broke")):
        text = b.run("lea", """
            await page.route('**/api/v1/requests', (r) => r.fulfill({ status: arg.status, contentType: 'application/json', headers: { 'Retry-After': '7' }, body: JSON.stringify({ error: 'it ' + arg.said + ' so' }) }));
            await page.goto(arg.url);
            await page.getByText('it ' + arg.said + ' so').first().waitFor();
            const shown = await page.locator('main').innerText();
            await page.unroute('**/api/v1/requests');
            return shown;
        """, {"status": status, "said": said, "url": console(w) + "/approvals"})
        assert said in text, text
    b.run("lea", """
        await page.route('**/api/v1/events', (r) => r.abort());
        await page.goto(arg);
        await page.locator('.banner').first().waitFor();
        await page.unroute('**/api/v1/events');
    """, console(w) + "/approvals")
    text = b.run("lea", """
        await page.route('**/api/v1/**', (r) => r.fulfill({ status: 401, contentType: 'application/json', body: '{"error": "your sign-in has ended"}' }));
        await page.goto(arg);
        await page.locator('.lone main').waitFor();
        const shown = await page.locator('.lone main').innerText();
        await page.unroute('**/api/v1/**');
        return shown;
    """, console(w) + "/approvals")
    assert "sign" in text.lower(), text


main(console=True)
