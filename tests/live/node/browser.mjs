// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium for a live test: a JSON line {page, code, arg} in, a line {value} or {error} out.  Each page is a person's
// browser of their own.  What a page reports of its content policy, its errors and its dialogs is kept under `noted`.
import fs from 'node:fs';
import readline from 'node:readline';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const pages = new Map();
const noted = [];
const AsyncFunction = (async () => {}).constructor;

async function open(name) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  await context.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`)));
  const page = await context.newPage();
  page.setDefaultTimeout(Number(process.env.PATIENCE));
  page.on('console', (m) => { if (m.type() === 'error' && /policy/i.test(m.text())) noted.push(`${name}: ${m.text()}`); });
  page.on('pageerror', (e) => noted.push(`${name}: ${e}`));
  page.on('dialog', (d) => { noted.push(`${name}: a dialog: ${d.message()}`); d.dismiss().catch(() => {}); });
  return page;
}

// What axe-core calls serious or worse, as sentences.
async function wrongs(page) {
  await page.evaluate(axe); // by the debugger's way, which no content policy stops
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
  return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`);
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { page: name, code, arg } = JSON.parse(line);
  let answer;
  try {
    if (!pages.has(name)) pages.set(name, await open(name));
    const value = await new AsyncFunction('page', 'arg', 'wrongs', 'noted', code)(pages.get(name), arg, wrongs, noted);
    answer = { value: value ?? null };
  } catch (e) {
    answer = { error: String(e.stack ?? e) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
