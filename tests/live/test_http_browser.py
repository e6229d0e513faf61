#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real browser at an HTTP target behind the gateway: it signs in when it is asked to, and what the target says of cookies and
redirects stays at the target's own name (ID9, ID10)."""

import console_world
from http_world import *

b = None


def visit(w, name, path, token):
    """A page of the target, by the dialog that a 401 opens; the gateway's port, the target's name."""
    return b.run(name, "await page.goto(arg); await page.waitForFunction(() => document.title.endsWith('alive')); return await page.title();",
                 f"http://token:{token}@127.0.0.1:{w.http_port}{path}")


def fetch(name, path):
    return b.run(name, """
        return await page.evaluate(async (path) => {
          const r = await fetch(location.origin + path, { credentials: 'same-origin' });
          return { status: r.status, url: new URL(r.url).pathname, origin: new URL(r.url).origin, text: await r.text() };
        }, arg)""", path)


@test
def a_browser_is_at_home(w):
    global b
    b = console_world.browser(w)
    assert visit(w, "ann", "/page", w.token()) == "of the target, alive"
    seen = json.loads(fetch("ann", "/x")["text"])
    assert seen["headers"]["x-gate-user"] == "ann" and "authorization" not in seen["headers"], seen
    assert fetch("ann", "/admin")["status"] == 403


@test
def cookies_stay_with_the_host(w):
    fetch("ann", "/cookies")
    kept = b.run("ann", "return await page.context().cookies();")
    assert {c["name"] for c in kept} == {"wide", "own"} and all(c["domain"] == "127.0.0.1" for c in kept), kept
    seen = json.loads(fetch("ann", "/x")["text"])["headers"]
    assert sorted(seen["cookie"].split("; ")) == ["own=2", "wide=1"], seen
    assert b.run("ann", "return await page.evaluate(() => document.cookie);") == "wide=1"


@test
def redirects_stay_there(w):
    home = fetch("ann", "/home")
    assert home["status"] == 200 and home["url"] == "/elsewhere" and home["origin"] == f"http://127.0.0.1:{w.http_port}", home
    assert fetch("ann", "/away")["status"] == 502
    where = b.run("ann", "await page.goto(arg); return page.url();", f"http://127.0.0.1:{w.http_port}/away")
    assert where.endswith(f":{w.http_port}/away"), where


@test
def another_browser_is_asked_who_it_is(w):
    status = b.run("stranger", "return await page.request.get(arg).then((r) => r.status());", f"http://127.0.0.1:{w.http_port}/page")
    assert status == 401


http_main()
