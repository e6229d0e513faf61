// SPDX-License-Identifier: Apache-2.0
// What pages compute before they show it.
import assert from "node:assert/strict";
import test from "node:test";
import { castLine, Finder, Pace, placeOf, Screening, type CastEvent, type Mark } from "../src/lib/cast";
import { forms } from "../src/lib/connect";
import { mayNot } from "../src/lib/decide";
import { buckets, by, metrics, quantile, total } from "../src/lib/metrics";
import { rowsKept, rowsMore, take, timeline, verdictOf } from "../src/lib/timeline";
import { merged, rowsInSight } from "../src/lib/window";

const me = { user: "lea", issuer: "i", groups: ["leads"], may: ["use", "approve"] };
const asked = { state: "waiting", user: "ann", by: "leads", decisions: [] as unknown[] };

test("who may not decide is told why", () => {
  assert.equal(mayNot(asked, me), undefined);
  assert.match(mayNot({ ...asked, user: "lea" }, me)!, /yourself/);
  assert.match(mayNot({ ...asked, by: "dba" }, me)!, /“dba”/);
  assert.match(mayNot(asked, { ...me, may: ["use"] })!, /no approver/);
  assert.match(mayNot({ ...asked, state: "denied" }, me)!, /denied/);
  assert.match(mayNot({ ...asked, decisions: [{ user: "lea", allow: true }] }, me)!, /have decided/);
  assert.equal(mayNot({ ...asked, may_not: "the gateway says so" }, me), "the gateway says so");
});

test("of a hundred thousand rows those in sight are drawn", () => {
  for (const scrolled of [0, 1, 44 * 50_000, 44 * 100_000 - 800, 44 * 100_000]) {
    const w = rowsInSight(100_000, 44, scrolled, 800);
    assert.ok(w.to - w.from < 60, `${w.to - w.from} rows`);
    assert.equal(w.above + (w.to - w.from) * 44 + w.below, 44 * 100_000);
    assert.ok(w.from * 44 <= scrolled && (w.to * 44 >= scrolled + 800 || w.to === 100_000));
  }
  assert.deepEqual(rowsInSight(0, 44, 0, 800), { from: 0, to: 0, above: 0, below: 0 });
});

test("a fresh first page replaces and adds, and loses nothing", () => {
  const have = [{ id: "c", n: 1 }, { id: "b", n: 1 }, { id: "a", n: 1 }];
  assert.deepEqual(merged(have, [{ id: "d", n: 2 }, { id: "c", n: 2 }]), [{ id: "d", n: 2 }, { id: "c", n: 2 }, { id: "b", n: 1 }, { id: "a", n: 1 }]);
});

test("frames become operations", () => {
  const t = timeline();
  const frames = [
    { type: "header", frame: 1, at_us: 1, session: "s" }, { type: "operation", frame: 2, at_us: 10, op: 2, kind: "sql.statement", text: "SELECT 1", tag: "SELECT", sha256: "00", params: [{ type: 23, value: "7" }, { type: 25, value: null }] },
    { type: "held", frame: 3, at_us: 20, op: 2, rule: "r" }, { type: "verdict", frame: 4, at_us: 30, op: 2, what: "allow", approver: "lea" },
    { type: "columns", frame: 5, at_us: 31, op: 2, columns: [{ name: "a", masked: true }, { name: { hex: "ff" }, masked: false }] },
    { type: "rows", frame: 6, at_us: 32, op: 2, rows: Array.from({ length: rowsKept + 3 }, () => ["x", null]) }, { type: "rows", frame: 7, at_us: 32, op: 2, rows: [[{ hex: "00ff" }, "y"]] },
    { type: "done", frame: 8, at_us: 40, op: 2, rows: 504, tag: "SELECT 504" }, { type: "what is new", frame: 9, at_us: 41, op: 2 }, { type: "end", frame: 10, at_us: 50, why: "eof", message: "closed" },
  ];
  for (const f of frames) take(t, f);
  const o = t.operations.get(2)!;
  assert.deepEqual([o.text, o.events.map((e) => e.what), verdictOf(o), o.params], ["SELECT 1", ["held", "allow"], "allow", ["7", null]]);
  assert.deepEqual(o.columns, [{ name: "a", masked: true }, { name: "0xff", masked: false }]);
  assert.deepEqual([o.rows.length, rowsMore(o), o.done?.rows, t.frames, t.end?.torn], [rowsKept, 4, 504, 10, false]);
  take(t, { type: "done", frame: 11, at_us: 41, op: 2, rows: 1504 }); // behind the head that was asked for
  take(t, { type: "cut", frame: 12, at_us: 41, op: 2, rows: 900 });
  assert.equal(rowsMore(o), 1504 - 900 - rowsKept);
});

test("a long pause is played as a short one", () => {
  const pace = new Pace(2);
  assert.deepEqual([1, 1.5, 100, 101].map((s) => pace.at(s)), [1000, 1500, 3500, 4500]);
});

test("lines of an asciicast", () => {
  assert.deepEqual(castLine('{"version": 2, "width": 120, "height": 40}'), { width: 120, height: 40 });
  assert.deepEqual(castLine('[1.5, "o", "hi"]'), [1.5, "o", "hi"]);
  assert.equal(castLine(""), undefined);
  assert.equal(castLine('["x", 1]'), undefined);
});

test("where the player's keys lead", () => {
  const marks: Mark[] = [[3, "a"], [7, "b"]];
  const go = (where: Parameters<typeof placeOf>[0]) => placeOf(where, 5, 40, marks);
  assert.deepEqual([go(12), go(-1), go("<<"), go(">>"), go("<<<"), go("50%"), go("nonsense")], [12, 0, 0, 10, 1, 20, undefined]);
  assert.deepEqual([go({ marker: "prev" }), go({ marker: "next" }), go({ marker: 0 }), go({ marker: 9 })], [3, 7, 3, undefined]);
});

test("words are found over pieces and control sequences, once", () => {
  const f = new Finder("Needle");
  const events: CastEvent[] = [[1, "o", "a nee"], [2, "o", "\u001b[3"], [3, "o", "1mdl\u001b]0;title\u0007e in"], [4, "o", " the hay"], [5, "i", "needle"], [6, "o", "no need"]];
  assert.deepEqual(events.map((e) => f.look(e)?.at), [undefined, undefined, 3, undefined, undefined, undefined]);
  assert.equal(new Finder("dle").look([1, "o", "\u001b[1mneedle\u001b[0m"])?.text, "needle");
});

// Where a recording has come to, from what its player was told.
async function screened(lines: string[], act: (driver: ReturnType<Screening["source"]>, heard: string[], until: (what: string) => Promise<void>) => Promise<void>, fetched: (n: number) => Response = () => new Response(lines.join("\n"))): Promise<string[]> {
  const heard: string[] = [];
  const was = globalThis.fetch;
  let times = 0;
  globalThis.fetch = () => Promise.resolve(fetched(++times));
  const until = async (what: string) => {
    for (let i = 0; i < 1000 && !heard.includes(what); i++) await new Promise((done) => setTimeout(done, 5));
    assert.ok(heard.includes(what), `${what} in ${heard.join(" ")}`);
  };
  const s = new Screening("/x", false, 0.01, (why) => heard.push(`failed ${String(why)}`));
  const driver = s.source({ dispatch: (event, data) => { if (event !== "timing" && event !== "metadata") heard.push(event === "output" ? String(data) : event); } });
  try {
    driver.init();
    await act(driver, heard, until);
  } finally {
    driver.stop();
    globalThis.fetch = was;
  }
  return heard;
}
const cast = ['{"version": 2, "width": 80, "height": 24}', '[0, "o", "one"]', '[500, "o", "two"]', '[900, "r", "100x30"]', '[1000, "o", "three"]', ""];

test("a recording is played, gone back in, and passed over", async () => {
  const heard = await screened(cast, async (driver, heard, until) => {
    await until("reset");
    assert.deepEqual(heard, ["reset"]); // nothing before it is played
    driver.play();
    await until("ended");
    assert.deepEqual(heard.splice(0).filter((h) => h !== "play" && h !== "playing"), ["reset", "one", "two", "resize", "three", "ended"]);
    driver.seek!(600);
    await until("seeked");
    assert.equal(driver.getTiming().time, 600);
    assert.deepEqual(heard.splice(0).filter((h) => h !== "play" && h !== "loading"), ["reset", "one", "two", "pause", "seeked"]);
    driver.seek!(950); // on, still paused
    await until("seeked");
  });
  assert.deepEqual(heard.filter((h) => h !== "play" && h !== "loading"), ["resize", "pause", "seeked"]);
});

test("a stream that breaks is begun anew where it was, as long as it gets further", async () => {
  const broken = (n: number) => new Response(new ReadableStream({
    start(c) {
      c.enqueue(new TextEncoder().encode(cast.slice(0, n === 1 ? 2 : 3).join("\n") + "\n"));
      if (n === 1) setTimeout(() => c.error(new Error("cut")), 100);
      else setTimeout(() => c.error(new Error("cut again")), 200);
    },
  }));
  const heard = await screened(cast, async (driver, _heard, until) => {
    driver.play();
    await until("error");
  }, broken);
  assert.equal(heard.filter((h) => h === "reset").length, 3);
  assert.match(heard.find((h) => h.startsWith("failed"))!, /cut again/);
});

test("numbers of /metrics", () => {
  const m = metrics('# HELP a b\nops_total{verdict="allow",rule=""} 21\nops_total{verdict="deny",rule="no \\"x\\""} 2\nops_total{verdict="deny",rule="y"} 5\nw_bucket{le="0.1"} 5\nw_bucket{le="1"} 9\nw_bucket{le="+Inf"} 10\nup 1\n');
  assert.equal(total(m, "ops_total"), 28);
  assert.deepEqual(by(m, "ops_total", "rule", { verdict: "deny" }), [["y", 5], ['no "x"', 2]]);
  const b = buckets(m, "w");
  assert.deepEqual(b.map((x) => x.n), [5, 4, 1]);
  assert.equal(quantile(b, 0.5), 0.1);
  assert.equal(quantile(b, 0.99), 1);
  assert.equal(quantile([], 0.5), undefined);
});

test("how one connects", () => {
  const t = { id: "spt-x", password: "pw", target: "orders", protocol: "postgres", host: "", port: 5432, tls: true };
  assert.equal(forms(t, "gate").find((f) => f.name === "DSN")!.text, "postgresql://spt-x:pw@gate:5432/orders?sslmode=require");
  assert.equal(forms({ ...t, host: "::1", tls: false }, "gate")[0]!.text, "psql 'postgresql://spt-x:pw@[::1]:5432/orders?sslmode=disable'");
  assert.deepEqual(forms({ ...t, protocol: "ssh" }, "gate").map((f) => f.name), ["ssh", "password", "env", "JSON"]);
  assert.deepEqual(forms({ ...t, port: undefined }, "gate"), []);
});
