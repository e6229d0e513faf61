#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Terminals in the console: a recording plays to its last frame, what was done is found, a live ssh is watched and ended (RC5)."""

from ssh_world import *
from console_world import *

HOSTILE = "\x1b]0;owned\x07\x1b]8;;http://evil.example\x07<img src=x onerror=alert(1)>\x1b]8;;\x07\u202egnp.exe"


def ended(w, user):
    return wait_for(lambda: [s["id"] for s in w.sessions() if s["user"] == user and s["state"] == "ended"], 30, said="the session did not end")[0]


@test
def a_recording_plays_to_its_last_frame(w):
    """… and what it printed is found in it; what a screen was told by a hostile host stays within the screen."""
    b = open_console(w)
    done = w.ssh(f"sh -c 'echo the-first-words; sleep 0.4; printf \"%s\\n\" \"{HOSTILE}\"; sleep 0.4; echo the-last-words'", options=["-tt"])
    assert "the-last-words" in done.out, repr(done)
    id = ended(w, "ann")
    visit(w, "local", f"/sessions/{id}?tab=terminal", ".ap-player")
    text = b.run("local", """
        const screen = page.locator('.ap-player');
        await screen.click(); // it plays
        await page.waitForFunction(() => /the-last-words/.test(document.querySelector('.ap-player')?.textContent ?? ''));
        await page.getByLabel('Find in what was printed').fill('last-words');
        const hit = page.locator('.hits-list li', { has: page.locator('button') }).first();
        await hit.waitFor();
        const found = await hit.innerText();
        await hit.locator('button').click();
        return [found, await screen.innerText(), await page.title()];
    """)
    assert "the-last-words" in text[0] and "owned" not in text[2], text
    assert b.run("local", "return page.evaluate(() => document.querySelectorAll('.ap-player img, .ap-player a[href*=evil]').length)") == 0
    assert b.run("local", "return noted") == []


@test
def what_was_denied_is_marked_and_gone_to(w):
    """Marks stand at denied lines, lead there and back; a long pause is skipped, or not: the recording is asked for anew, and played from its beginning."""
    b = open_console(w)
    t = Terminal(w, user="dan")
    for line in ("echo be''fore", "rm x", "echo af''ter", "exit"):
        t.until("lines:~> ")
        t.type(line + "\r")
    t.end()
    visit(w, "local", f"/sessions/{ended(w, 'dan')}?tab=terminal", ".ap-player")
    said = b.run("local", """
        const start = page.locator('.ap-overlay-start'), marks = page.getByRole('list', { name: 'Marks' }).locator('li');
        const reads = (re, not) => page.waitForFunction(([re, not]) => new RegExp(re).test(document.querySelector('.ap-player')?.textContent ?? '') !== not, [re, not ?? false]);
        await marks.first().waitFor();
        await start.click();
        await reads('after');
        await marks.first().locator('button').click();
        await reads('after', true);
        await page.getByLabel('Skip idle time').uncheck();
        await start.click();
        await reads('after');
        return [await marks.count(), await marks.first().innerText(), await page.locator('.ap-player .ap-marker, .ap-player .ap-marker-container').count()];
    """)
    assert said[0] == 1 and "deny by no-rm" in said[1] and said[2] >= 1, said
    assert b.run("local", "return noted") == []


@test
def transfers_stand_with_their_hashes(w):
    """A file's way up, in the list of what was done: which way, how much, and the SHA-256 of what went."""
    b = open_console(w)
    sent, there = w.dir / "sent.bin", pathlib.Path(f"/tmp/{w.dir.name}.bin")
    sent.write_bytes(os.urandom(50000))
    done = run(["sftp", *w.gate_options(), "-o", "BatchMode=no", "-b", "-", "host@127.0.0.1"], env=w.environment(w.token("fay")), stdin=f"put {sent} {there}\n")
    assert done.code == 0, repr(done)
    there.unlink()
    visit(w, "local", f"/sessions/{ended(w, 'fay')}", "details.op")
    said = b.run("local", """
        const op = page.locator('details.op', { hasText: 'upload' }).first();
        await op.waitFor();
        const short = await op.locator('summary').innerText();
        await op.locator('summary').click();
        return [short, await op.locator('.op-done').innerText()];
    """)
    assert there.name in said[0] and "upload" in said[0] and said[1] == f"upload of 50000 bytes, sha256 {hashlib.sha256(sent.read_bytes()).hexdigest()}", said


@test
def what_was_done_is_found(w):
    """By its text, over all recordings; from there one step to the operation."""
    b = open_console(w)
    assert w.ssh("echo a-needle-in-the-hay", user="bea").code == 0
    id = ended(w, "bea")
    visit(w, "local", "/sessions")
    url = b.run("local", """
        await page.getByLabel('Text of an operation').fill('a-needle-in');
        const row = page.locator('a.row', { hasText: 'a-needle-in-the-hay' }).first();
        await row.waitFor();
        await row.click();
        await page.locator('details.op[open]', { hasText: 'a-needle-in-the-hay' }).first().waitFor();
        return page.url();
    """)
    assert f"/sessions/{id}?op=" in url, url


@test
def a_live_terminal_is_watched_and_ended(w):
    b = open_console(w)
    live = w.ssh_start("sh -c 'echo it-lives; sleep 300'", user="cyd", options=["-tt"], stdin=subprocess.PIPE)
    id = wait_for(lambda: [s["id"] for s in w.sessions(live=True) if s["user"] == "cyd"], 30, said="the session is not listed")[0]
    visit(w, "local", f"/sessions/{id}?tab=terminal", ".ap-player")
    b.run("local", """
        await page.waitForFunction(() => /it-lives/.test(document.querySelector('.ap-player')?.textContent ?? ''));
        await page.getByRole('button', { name: /^End/ }).first().click();
        const sheet = page.locator('form').filter({ has: page.locator('button.deny') });
        await sheet.locator('input').first().fill('a test ends it');
        await sheet.locator('button.deny').click();
        await sheet.waitFor({ state: 'detached' });
    """)
    assert live.wait(30 * SLOW) != 0
    live.communicate()
    assert wait_for(lambda: [s for s in w.sessions() if s["id"] == id and s["state"] == "ended"], 30)[0]["text"].find("a test ends it") >= 0
    b.run("local", """
        await page.locator('main .pulse').first().waitFor({ state: 'detached' });
        await page.getByRole('button', { name: 'play it from the start' }).click();
        await page.getByLabel('Skip idle time').waitFor();
    """)


ssh_main(console=True, more=lambda w: w.ssh_target("lines", extra="shell exec;"))
