#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How every page of the console looks: axe-core finds nothing serious on any, in light and dark, at 1440, 390 and 360 px; none is wider than its
window; a hundred thousand sessions are scrolled through and few are drawn. Pictures of 1440 and 390 px are left in $SALLYPORT_PICTURES, a folder."""

from ssh_world import *
from console_world import *

PICTURES = pathlib.Path(os.environ["SALLYPORT_PICTURES"]) if "SALLYPORT_PICTURES" in os.environ else None
WIDTHS = (1440, 390, 360)
LOOK = """
    const wrong = [];
    for (const theme of ['light', 'dark'])
        for (const width of arg.widths) {
            await page.emulateMedia({ colorScheme: theme });
            await page.setViewportSize({ width, height: width < 1000 ? 844 : 900 });
            wrong.push(...(await wrongs(page)).map((v) => `${theme} ${width}: ${v}`));
            const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (over > 0) wrong.push(`${theme} ${width}: ${over} px wider than the window`);
            if (arg.picture !== null && width !== 360) await page.screenshot({ path: `${arg.picture}-${width}-${theme}.png` });
        }
    await page.setViewportSize({ width: 1440, height: 900 });
    return [...new Set(wrong)];
"""


def look(w, name):
    if PICTURES is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
    return browser(w).run("local", LOOK, {"widths": WIDTHS, "picture": None if PICTURES is None else str(PICTURES / name)})


def filled(w):
    """People at work: what waits, what was denied, masked, printed; ids of each."""
    assert w.psql("SELECT name, email, card_number FROM customers").code == 0
    assert w.psql("DELETE FROM customers").code != 0
    w.ssh("sh -c 'ls --color=always /; sleep 0.3; uname -a; echo done'", options=["-tt"], user="bea")
    w.ssh("rm -rf /", user="bea")
    waiting, id = held(w, "UPDATE orders SET price = price * 1.1\n WHERE state = 'open' AND item LIKE 'item 4%' -- before the sale\n")
    live = w.ssh_start("sh -c 'echo it-lives; sleep 300'", user="cyd", options=["-tt"], stdin=subprocess.PIPE)
    sessions = wait_for(lambda: (s := w.sessions()) and any(x["user"] == "cyd" for x in s) and sum(x["state"] == "ended" for x in s) >= 4 and s, 45)
    psql = next(s["id"] for s in sessions if s["user"] == "ann" and s["denied"] == 0 and s["state"] == "ended")
    shell = next(s["id"] for s in sessions if s["user"] == "bea" and s["denied"] == 0)
    return waiting, id, live, psql, shell


@test
def every_page_in_every_width_and_theme(w):
    b = open_console(w)
    waiting, id, live, psql, shell = filled(w)
    pages = {"home": "/home", "approvals": "/approvals", "approval": f"/approvals/{id}", "history": "/approvals?all", "sessions": "/sessions", "session": f"/sessions/{psql}?op=1",
             "terminal": f"/sessions/{shell}?tab=terminal", "policies": "/policies", "audit": "/audit?since=1d", "overview": "/overview", "nowhere": "/sessions?text=nobody-has-this"}
    wrong = {}
    for name, path in pages.items():
        visit(w, "local", path)
        b.run("local", "await page.locator('[aria-busy=true], .loading').first().waitFor({ state: 'detached' }).catch(() => undefined); await page.waitForTimeout(500)")
        wrong[name] = look(w, name)
    as_user(w, "lea", "leads")
    for name, path in (("approver-home", "/home"), ("approver", "/approvals")):
        visit(w, "local", path)
        b.run("local", "await page.waitForTimeout(500)")
        wrong[name] = look(w, name)
    wrong = {name: found for name, found in wrong.items() if found}
    live.terminate()
    live.communicate()
    waiting.interrupt()
    waiting.result()
    assert not wrong, json.dumps(wrong, indent=1)
    assert b.run("local", "return noted") == []


@test
def what_goes_wrong_looks_as_meant(w):
    """Sheets, errors, a lost stream, an ended sign-in, nobody signed in."""
    b = open_console(w)
    wrong = {}
    as_user(w, "ann", "dev")
    visit(w, "local", "/home")
    b.run("local", "await page.getByRole('button', { name: /Request access|Connect/ }).first().click(); await page.waitForTimeout(500)")
    wrong["sheet"] = look(w, "sheet")
    b = open_console(w)
    for status in (403, 429, 500):
        b.run("local", """
            await page.route('**/api/v1/sessions?**', (r) => r.fulfill({ status: arg.status, contentType: 'application/json', headers: { 'Retry-After': '7' }, body: '{"error": "the gateway said no"}' }));
            await page.goto(arg.url);
            await page.getByText('the gateway said no').first().waitFor();
        """, {"status": status, "url": console(w) + "/sessions"})
        wrong[f"error-{status}"] = look(w, f"error-{status}")
        b.run("local", "await page.unroute('**/api/v1/sessions?**')")
    b.run("local", "await page.route('**/api/v1/events', (r) => r.abort()); await page.goto(arg); await page.locator('.banner').first().waitFor()", console(w) + "/approvals")
    wrong["offline"] = look(w, "offline")
    b.run("local", "await page.unroute('**/api/v1/events')")
    for name, path in (("signin", "/home"), ("link", "/signin/link#something")):
        b.run("local", "await page.context().clearCookies(); await page.goto(arg); await page.locator('.lone main').waitFor(); await page.waitForTimeout(500)", console(w) + path)
        wrong[name] = look(w, name)
    wrong = {name: found for name, found in wrong.items() if found}
    assert not wrong, json.dumps(wrong, indent=1)


SCROLLED = """
    const rows = page.locator('.long [role=listitem]'), drawn = [];
    const size = () => page.evaluate(() => Number(document.querySelector('.long [role=listitem]')?.getAttribute('aria-setsize') ?? 0));
    const place = (part) => page.evaluate((part) => { const l = document.querySelector('.long'); l.scrollTop = part * l.scrollHeight; }, part);
    await rows.first().waitFor();
    for (let have = await size(); have < arg.rows; have = await size()) {
        await place(1);
        await page.waitForFunction((have) => Number(document.querySelector('.long [role=listitem]').getAttribute('aria-setsize')) > have, have);
        drawn.push(await rows.count());
    }
    const all = await size();
    await place(1);
    await page.locator(`.long [aria-posinset="${all}"]`).waitFor();
    const last = await page.locator(`.long [aria-posinset="${all}"]`).innerText();
    await place(0.5);
    const middle = page.locator(`.long [aria-posinset="${Math.floor(all / 2)}"]`);
    await middle.waitFor();
    drawn.push(await rows.count());
    const href = await middle.locator('a').getAttribute('href');
    await place(0);
    await page.locator('.long [aria-posinset="1"]').waitFor();
    await page.getByLabel('User, target or address').fill('user42 target2');
    await page.waitForFunction((all) => Number(document.querySelector('.long [role=listitem]')?.getAttribute('aria-setsize') ?? all) < all, all);
    return { all, last, href, most: Math.max(...drawn), filtered: await rows.allInnerTexts() };
"""


@test
def a_hundred_thousand_sessions_are_scrolled_through(w):
    """To the end, to the middle and back: every one can be reached, and no more than those in sight are in the document."""
    w.gateway.stop()
    fill_sessions(w.gateway.dir / "keeper" / "state.db", 100000)
    w.gateway.start()
    b = open_console(w)
    visit(w, "local", "/sessions")
    said = b.run("local", SCROLLED, {"rows": 100000})
    assert said["all"] >= 100000 and said["most"] < 80, {k: v for k, v in said.items() if k != "filtered"}
    assert "user499" in said["last"] and said["href"].startswith("/sessions/"), said["last"]
    assert said["filtered"] and all("user42" in r and "target2" in r for r in said["filtered"]), said["filtered"][:3]
    assert b.run("local", "return noted") == []


ssh_main(postgres=True, console=True)
