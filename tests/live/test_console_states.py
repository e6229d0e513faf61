#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The console in a real browser when something is not as one would like it: refusals that the gateway itself gives, a lost stream, no network, an ended
sign-in; and what leaves the page: notifications, exports, and links that sign in (P6, ID10, RC5)."""

from console_world import *

NOTES = """
    Object.defineProperty(document, 'hidden', { get: () => true });
    globalThis.notes = [];
    globalThis.Notification = class {
        static permission = 'default';
        static requestPermission() { this.permission = 'granted'; return Promise.resolve('granted'); }
        constructor(title, of) { globalThis.notes.push([title, of.body]); }
        close() {}
    };
"""


def card(id):
    return f'article.request[data-id="{id}"]'


def give_up(waiting):
    waiting.interrupt()
    waiting.result()


@test
def a_decision_that_comes_too_late_is_said(w):
    """409, the gateway's own: another approver was faster, and this page has not heard of it."""
    b = browser(w)
    as_user(w, "lea", "leads")
    waiting, id = held(w, "UPDATE orders SET price = 2 WHERE id = 1")
    b.run("local", """
        await page.goto(arg.url);
        await page.locator(arg.card + ' .approve').waitFor();
        await page.waitForFunction((at) => !document.querySelector(at).disabled, arg.card + ' .approve');
        await page.route(/api.v1.(requests$|requests.[0-9a-z]+$|events)/, () => undefined); // nothing is heard any more
    """, {"url": console(w) + "/approvals", "card": card(id)})
    assert w.command("approve", id, token=w.token("max", "leads", api=True)).code == 0
    assert waiting.result().code == 0
    text = b.run("local", """
        await page.locator(arg + ' .approve').click();
        await page.locator(arg + ' [role=alert]').waitFor();
        return page.locator(arg + ' [role=alert]').innerText();
    """, card(id))
    assert "Look again" in text and len(text) > 20, text
    b.run("local", "await page.locator(arg + ' [role=alert] button').click(); await page.unroute(/api.v1.(requests$|requests.[0-9a-z]+$|events)/); await page.locator(arg).waitFor({ state: 'detached' })", card(id))


@test
def what_is_not_for_somebody_is_said(w):
    """403, the gateway's own."""
    as_user(w, "dora", "dev")
    visit(w, "local", "/audit", "main .trouble")
    text = browser(w).run("local", "return [await page.locator('main .trouble').innerText(), await page.locator('nav.pages').innerText()]")
    assert "Not for you" in text[0] and "groups" in text[0] and "Audit" not in text[1], text


@test
def rules_are_explained_and_a_hurry_is_slowed_down(w):
    """The explain box; and 429, the gateway's own, of who asks too often."""
    b = browser(w)
    as_user(w, "dora", "dev")
    visit(w, "local", "/policies")
    said = b.run("local", """
        await page.locator('.explain textarea').fill('DELETE FROM orders');
        await page.getByRole('button', { name: 'Explain' }).click();
        await page.locator('.verdict').waitFor();
        return [await page.locator('.verdict .big').innerText(), await page.locator('.judged').innerText()];
    """)
    assert "deny" in said[0] and "no-unbounded-write" in said[0] and "price-needs-lead" in said[1], said
    text = b.run("local", """
        const many = () => page.evaluate(async () => {
            const { csrf } = await (await fetch('/api/v1/whoami')).json();
            await Promise.all(Array.from({ length: 60 }, () => fetch('/api/v1/policies/explain', { method: 'POST', body: JSON.stringify({ target: 'orders', text: 'SELECT 1' }),
                headers: { 'Content-Type': 'application/json', 'X-Sallyport-CSRF': csrf } }).then((r) => r.arrayBuffer())));
        });
        const trouble = page.locator('.explain .trouble');
        for (let i = 0; i < 20 && await trouble.count() === 0; i++) {
            const sent = many();
            const ask = page.getByRole('button', { name: 'Explain' });
            await ask.click();
            await ask.isEnabled();
            await sent;
            await page.locator('.explain .trouble, .verdict').first().waitFor();
        }
        return trouble.innerText();
    """)
    assert "Too many at once" in text, text


@test
def a_lost_stream_is_said_and_mends_itself(w):
    """The console's process ends for real; what waits meanwhile appears when it is back."""
    b = browser(w)
    as_user(w, "lea", "leads")
    visit(w, "local", "/approvals")
    os.kill(w.gateway.children()["console"][0], signal.SIGKILL)
    b.run("local", "await page.locator('.banner').waitFor()")
    wait_for(lambda: w.command("requests").code == 0, 30, said="the console does not come back")
    waiting, id = held(w, "UPDATE orders SET price = 3 WHERE id = 1")
    b.run("local", "await page.locator(arg).waitFor(); await page.locator('.banner').waitFor({ state: 'detached' })", card(id))
    give_up(waiting)


@test
def no_network_is_said(w):
    b = browser(w)
    as_user(w, "lea", "leads")
    visit(w, "local", "/approvals")
    text = b.run("local", """
        await page.context().setOffline(true);
        await page.locator('.banner.bad').waitFor();
        const said = await page.locator('.banner.bad').innerText();
        await page.context().setOffline(false);
        await page.locator('.banner').waitFor({ state: 'detached' });
        return said;
    """)
    assert "offline" in text, text


@test
def an_ended_sign_in_is_said(w):
    """401, the gateway's own: a revocation ends what an open page may do (P6)."""
    b = browser(w)
    as_user(w, "eve", "leads")
    visit(w, "local", "/approvals")
    assert w.command("revoke", "--user", "eve").code == 0
    text = b.run("local", "await page.locator('.lone main').waitFor(); return page.locator('.lone main').innerText()")
    assert "Your sign-in has ended" in text, text


@test
def what_breaks_is_said(w):
    """500: the gateway gives none, so this answer is made up."""
    b = browser(w)
    as_user(w, "lea", "leads")
    text = b.run("local", """
        await page.route('**/api/v1/targets', (r) => r.fulfill({ status: 500, contentType: 'text/html', body: '<h1>oops' }));
        await page.goto(arg);
        await page.locator('main .trouble').first().waitFor();
        const said = await page.locator('main').innerText();
        await page.unroute('**/api/v1/targets');
        await page.getByRole('button', { name: 'Try again' }).first().click({ timeout: 5000 }).catch(() => 'it asked again by itself');
        await page.locator('main .target').first().waitFor();
        return said;
    """, console(w) + "/home")
    assert "500" in text, text


@test
def who_wants_to_be_notified_is(w):
    """The browser's own notifications are replaced by ones that are counted; nobody is asked before the button is pressed."""
    b = browser(w)
    as_user(w, "lea", "leads", "notified")
    b.run("notified", "await page.context().addInitScript({ content: arg.notes }); await page.goto(arg.url); await page.getByText('Nothing waits').waitFor()",
          {"notes": NOTES, "url": console(w) + "/approvals"})
    first, id = held(w, "UPDATE orders SET price = 4 WHERE id = 1")
    said = b.run("notified", """
        await page.locator(arg).waitFor();
        const before = await page.evaluate(() => [Notification.permission, globalThis.notes.length]);
        await page.getByRole('button', { name: 'Notify me' }).click();
        await page.locator('button[aria-pressed=true][aria-label="Notify me"]').waitFor();
        return before;
    """, card(id))
    assert said == ["default", 0], said
    second, other = held(w, "UPDATE orders SET price = 5 WHERE id = 2", user="bob")
    said = b.run("notified", "await page.waitForFunction(() => globalThis.notes.length > 0); return page.evaluate(() => globalThis.notes)")
    assert len(said) == 1 and said[0][0].startswith("bob waits at orders") and "price = 5" in said[0][1], said
    give_up(first)
    give_up(second)


@test
def recordings_are_exported_from_the_page(w):
    b = browser(w)
    as_user(w, "aud", "auditor")
    assert w.psql("SELECT 'to be exported'", user="exa").code == 0
    id = wait_for(lambda: [s["id"] for s in w.sessions() if s["user"] == "exa" and s["state"] == "ended"], 30, said="the session did not end")[0]
    visit(w, "local", f"/sessions/{id}")
    got = b.run("local", """
        const got = {};
        for (const name of ['JSON lines', 'Text', 'asciicast', 'Recording itself']) {
            if (await page.locator('details.menu[open]').count() === 0) await page.locator('details.menu summary').click();
            const coming = page.waitForEvent('download');
            await page.locator('.menu-body').getByRole('link', { name, exact: true }).click();
            const download = await coming;
            await download.saveAs(`${arg}/${download.suggestedFilename()}`);
            got[name] = download.suggestedFilename();
        }
        return got;
    """, str(w.dir))
    assert list(got.values()) == [f"{id}.{e}" for e in ("jsonl", "txt", "cast", "spr")], got
    for name, form in (("JSON lines", "jsonl"), ("Text", "text"), ("asciicast", "asciicast")):
        here = w.command("replay", id, "--format", form, token=w.token("aud", "auditor", api=True))
        assert (w.dir / got[name]).read_text().strip() == here.out.strip() and "to be exported" in here.out, name
    assert w.command("verify", w.dir / got["Recording itself"]).code == 0


HOSTILE = "<img src=x onerror=alert(1)>\x1b]0;title\x07\x1b]8;;http://evil.example\x07\u202egnp.exe</pre><svg onload=alert(2)>"


@test
def what_people_write_is_text(w):
    """RC5: the comments of who decides, and the reason of who ends a session: markup, OSC, bidi; on every page that shows them. The local issuer lets nobody
    be called so."""
    b = browser(w)
    lead = w.token("max", "leads", api=True)
    allowed, id = held(w, "UPDATE orders SET price = 6 WHERE id = 1", user="gus")
    waiting, other = held(w, "UPDATE orders SET price = 7 WHERE id = 1", user="gus")
    assert w.command("approve", id, "--comment", HOSTILE, token=lead).code == 0 and allowed.result().code == 0
    session = next(r["session"] for r in w.requests() if r["id"] == other)
    assert w.command("kill", session, "--reason", HOSTILE, token=w.token("opa", "admin", api=True)).code == 0
    assert waiting.result().code != 0
    wait_for(lambda: not [s for s in w.sessions() if s["id"] == session and s["state"] == "live"], 30)
    as_user(w, "aud", "auditor", "reads")
    seen = ""
    for path in (f"/approvals/{id}", "/approvals?all", "/sessions", f"/sessions/{session}", "/audit", "/audit?event=kill", "/audit?text=evil.example"):
        visit(w, "reads", path)
        text, odd = b.run("reads", """
            await page.locator('.loading').first().waitFor({ state: 'detached' });
            await page.locator('.request, .row, .line, details.op').first().waitFor();
            return [await page.locator('main').innerText(), await page.evaluate(() => document.querySelectorAll('main img, svg[onload], [onerror], a[href*=evil]').length)];
        """)
        assert odd == 0 and not set(text) & set("\x1b\x07\u202e"), (path, odd)
        seen += text
    assert seen.count("<img src=x") >= 5 and "<svg onload" in seen, seen[:2000]
    assert b.run("reads", "return [noted, await page.title()]")[0] == []


@test
def keys_decide_and_what_is_copied_connects(w):
    b = browser(w)
    as_user(w, "kay", "leads", "keys")
    visit(w, "keys", "/approvals")
    waiting, id = held(w, "UPDATE orders SET price = 8 WHERE id = 1", user="gus")
    when = b.run("keys", """
        await page.locator(arg).waitFor();
        const when = await page.locator(arg + ' time').first().getAttribute('title');
        await page.locator('body').press('j');
        await page.locator('body').press('a');
        await page.keyboard.press('Enter');
        await page.locator(arg).waitFor({ state: 'detached' });
        return when;
    """, card(id))
    assert waiting.result().code == 0 and "UTC" in when, when
    as_user(w, "ann", "dev", "copies")
    visit(w, "copies", "/")
    copied = b.run("copies", """
        await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
        await page.locator('article.target').getByRole('button', { name: 'Connect' }).first().click();
        await page.getByRole('button', { name: 'Copy psql' }).click();
        await page.getByText('copied').waitFor();
        return page.evaluate(() => navigator.clipboard.readText());
    """)
    done = run(["sh", "-c", copied + " -XAtc 'SELECT 40 + 2'"])
    assert copied.startswith("psql 'postgresql://") and done.out.strip() == "42", (copied, done)


@test
def a_link_says_whose_it_is_before_it_is_opened(w):
    """ID10: who was sent somebody else's link sees so, and loses nothing by looking; without scripts there is a form."""
    b = browser(w)
    made = w.command("console", "--json").json["url"]
    account = w.command("whoami", "--json").json["user"]
    said = b.run("opened", """
        await page.goto(arg);
        await page.locator('.link-owner').filter({ hasNotText: '…' }).waitFor();
        return [await page.locator('.link-owner').innerText(), (await page.context().cookies()).length];
    """, made)
    assert said == [account, 0], said
    b.run("opened", "await page.goto('about:blank'); await page.goto(arg); await page.getByText('used before').waitFor()", made[:-6])
    b.run("opened", "await page.goto(arg); await page.getByRole('button', { name: 'Open' }).waitFor()", made)  # in the same tab: only what is behind the # is new
    said = b.run("opened", """
        const context = await page.context().browser().newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
        const plain = await context.newPage();
        await plain.goto(arg[0]);
        await plain.locator('input[name=link]').fill(arg[1]);
        await plain.getByRole('button', { name: 'Sign in' }).click();
        await plain.waitForURL((u) => u.pathname === '/');
        const who = await (await context.request.get(new URL('/api/v1/whoami', arg[0]).href)).json();
        await context.close();
        return who.user;
    """, made.split("#"))
    assert said == account, said
    assert b.run("opened", "return noted") == []


main(console=True)
