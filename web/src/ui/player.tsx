// SPDX-License-Identifier: Apache-2.0
// A terminal as it was, or as it is.  The player is loaded here, and nowhere else.
import { useEffect, useRef, useState } from "preact/hooks";
import type * as Asciinema from "asciinema-player";
import { Problem, text } from "../lib/api";
import { castLine, streamed } from "../lib/cast";
import { plain } from "../lib/text";
import { measured } from "../lib/time";
import type { Timeline } from "../lib/timeline";
import { Chip, Shown, Trouble } from "./parts";

const atOnce = 16 << 20; // bytes of a recording that is loaded whole, and can be sought in

interface Mark {
  at: number; // s
  label: string;
  tone: string;
}

// Where something was denied, held or ended.
function marksOf(t: Timeline): Mark[] {
  return [...t.operations.values()].flatMap((o) => o.events.filter((e) => e.what !== "allow" || e.approver !== undefined).map((e) => ({
    at: e.at / 1e6, label: `${e.what}${e.rule === undefined ? "" : ` by ${plain(e.rule, 40)}`}`, tone: e.what === "held" ? "wait" : e.what === "allow" ? "good" : "bad",
  })));
}

interface Hit {
  at: number;
  text: string;
}

// In what the terminal printed, with its control sequences taken away.
function find(cast: string, what: string): Hit[] {
  const hits: Hit[] = [];
  for (const line of cast.split("\n")) {
    const e = castLine(line);
    if (!Array.isArray(e) || e[1] === "r") continue;
    const shown = e[2].replace(/\r/g, "").replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g, "");
    const i = shown.toLowerCase().indexOf(what.toLowerCase());
    if (i >= 0) hits.push({ at: e[0], text: shown.slice(Math.max(0, i - 30), i + 60) });
    if (hits.length >= 200) break;
  }
  return hits;
}

let sheet: Promise<typeof Asciinema> | undefined;
function load(): Promise<typeof Asciinema> {
  sheet ??= Promise.all([import("asciinema-player"), import("./player_style")]).then(([player, { adopt }]) => { adopt(); return player; });
  return sheet;
}

export function Player({ id, live, t }: { id: string; live: boolean; t: Timeline }) {
  const at = useRef<HTMLDivElement>(null);
  const player = useRef<Asciinema.Player>();
  const [cast, setCast] = useState("");
  const [idle, setIdle] = useState(true);
  const [what, setWhat] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [follow, setFollow] = useState(live);
  const marks = marksOf(t);
  useEffect(() => {
    let over = false;
    const url = `/api/v1/recordings/${id}/replay?format=asciicast`;
    const start = async () => {
      const asciinema = await load();
      const big = follow ? true : Number((JSON.parse(await text(`/api/v1/recordings/${id}`)) as { size: number }).size) > atOnce;
      const whole = big ? "" : await text(url);
      if (over) return;
      setCast(whole);
      const source = big ? streamed(follow ? `${url}&follow=1` : url, follow, idle ? 2 : 1e9) : { data: whole };
      player.current = asciinema.create(source as Asciinema.Source, at.current!, {
        fit: "width", autoPlay: follow, preload: true, idleTimeLimit: idle ? 2 : undefined, terminalFontFamily: "ui-monospace, 'SF Mono', Consolas, 'DejaVu Sans Mono', monospace",
        markers: marks.map((m): [number, string] => [m.at, m.label]), controls: true,
      });
    };
    start().catch((e: unknown) => setProblem(e instanceof Problem ? e : new Problem(-1, String(e))));
    return () => { over = true; player.current?.dispose(); player.current = undefined; };
  }, [id, follow, idle]);
  const hits = what.trim().length > 1 ? find(cast, what.trim()) : [];
  const seek = (s: number) => void player.current?.seek(Math.max(0, s - 0.5));
  return (
    <section class="terminal" aria-label="Terminal">
      <div class="filters">
        {cast !== "" && <input type="search" class="wide" aria-label="Find in what was printed" placeholder="Find in what was printed" onInput={(e) => setWhat(e.currentTarget.value)} />}
        {!follow && <label class="check"><input type="checkbox" checked={idle} onChange={(e) => setIdle(e.currentTarget.checked)} /> Skip idle time</label>}
        {follow && live && <span class="chip good"><i class="pulse" /> live</span>}
        {follow && !live && <button class="quiet small" onClick={() => setFollow(false)}>It has ended: play it from the start</button>}
      </div>
      {what.trim().length > 1 && <ul class="hits-list">{hits.map((h, i) => <li key={i}><button class="quiet small" onClick={() => seek(h.at)}>{measured(h.at * 1e6)}</button> <code><Shown text={plain(h.text, 100)} /></code></li>)}{hits.length === 0 && <li class="soft">Not printed here.</li>}</ul>}
      {problem !== undefined && <Trouble problem={problem} />}
      <div ref={at} class="player" />
      {marks.length > 0 && <ul class="marks" aria-label="Marks">{marks.map((m, i) => <li key={i}><button class="quiet small" disabled={follow} onClick={() => seek(m.at)}>{measured(m.at * 1e6)}</button> <Chip text={m.label} tone={m.tone} /></li>)}</ul>}
    </section>
  );
}
