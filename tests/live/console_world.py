# SPDX-License-Identifier: Apache-2.0
"""The console in a real browser: `from console_world import *` beside a world, `open_console(w)` in a test.

    b = browser(w)                        Debian's Chromium, once for all tests of a file
    b.run("lea", "await page.goto(arg)", url)     JavaScript with that person's page; what it returns comes back
"""

import queue
import random
import sqlite3

from harness import *
from npm import node_folder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 45000 * SLOW  # ms
_browsers = {}


class Browser:
    """tests/live/node/browser.mjs: run(page, code, arg) → what the code returned."""

    def __init__(self, w):
        script = node_folder() / "browser.mjs"  # beside node_modules
        script.write_text((HERE / "node" / "browser.mjs").read_text())
        self.log = open(w.dir / "browser.log", "ab")
        self.process = subprocess.Popen(["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, "CHROMIUM": CHROMIUM, "PATIENCE": str(PATIENCE), "HOME": str(w.dir)})
        atexit.register(self.end)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def run(self, page, code, arg=None):
        self.process.stdin.write(json.dumps({"page": page, "code": code, "arg": arg}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.lines.get(timeout=6 * PATIENCE / 1000))
        assert "error" not in answer, f"{page}: {answer['error']}"
        return answer["value"]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()


def browser(w):
    if CHROMIUM is None:
        skip("chromium is not installed")
    if not (w.stage / "share" / "sallyport" / "console" / "index.html").exists():
        skip("the gateway was installed without the console's pages")
    if w not in _browsers:
        _browsers[w] = Browser(w)
    return _browsers[w]


def console(w):
    return f"https://localhost:{w.gateway.console_port}"


def open_console(w, who="local"):
    """Signed in by a link of the control socket: an operator and auditor, without any provider."""
    b = browser(w)
    made = w.command("console")
    assert made.code == 0, repr(made)
    b.run(who, """
        await page.goto(arg);
        await page.getByRole('button', { name: 'Open' }).click();
        await page.locator('main#main').waitFor();
    """, made.out.strip())
    return b


def as_user(w, user, groups, who="local"):
    """The browser is that person's, by a token of the local issuer in place of a sign-in."""
    browser(w).run(who, "await page.context().addCookies([{ name: '__Host-sallyport', value: arg[0], url: arg[1], secure: true, httpOnly: true }])",
                   [w.token(user, groups, api=True), console(w)])


def visit(w, who, path, wait="main h1"):
    browser(w).run(who, "await page.goto(arg[0]); await page.locator(arg[1]).first().waitFor()", [console(w) + path, wait])


def held(w, sql, token=None, **more):
    """A psql that waits, and the id of what it waits for."""
    before = {r["id"] for r in w.requests()}
    waiting = w.psql_waiting(sql, groups="dev", token=token, **more)
    return waiting, wait_for(lambda: [r["id"] for r in w.requests() if r["state"] == "waiting" and r["id"] not in before], 45, said="it is not held")[0]


def fill_sessions(path, n):
    """So many sessions of 500 users in the store's file, of a gateway that is down."""
    db = sqlite3.connect(path)
    principal = json.dumps({"groups": ["g" * 20] * 20, "claims": "x" * 200})
    now = 1795000000000000
    rows = ((random.randbytes(16), principal, "https://idp.example.com", f"subject-{i % 500}", f"user{i % 500}", f"target{i % 40}", "orders",
             f"192.0.2.{i % 250}:{1024 + i % 60000}", "postgres", now - i * 30_000_000, now - i * 30_000_000 + 5_000_000, 0, "", i % 100, i % 7, i, i * 100)
            for i in range(n))
    db.executemany("INSERT INTO session(id, principal, issuer, subject, user, target, part, address, protocol, started, ended, why, text, operations,"
                   " denied, rows, bytes) VALUES(" + ", ".join("?" * 17) + ")", rows)
    db.commit()
    db.close()
