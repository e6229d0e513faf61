// SPDX-License-Identifier: Apache-2.0
// A terminal as it was, or as it is.  The player is loaded here, and nowhere else.
import { useEffect, useRef, useState } from "preact/hooks";
import type * as Asciinema from "asciinema-player";
import { Problem } from "../lib/api";
import { hits, Screening, type Hit, type Mark as Place } from "../lib/cast";
import { plain } from "../lib/text";
import { measured } from "../lib/time";
import type { Timeline } from "../lib/timeline";
import { Chip, Shown, Trouble } from "./parts";

const hitsAtMost = 200;

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

let sheet: Promise<typeof Asciinema> | undefined;
function load(): Promise<typeof Asciinema> {
  sheet ??= Promise.all([import("asciinema-player"), import("./player_style")]).then(([player, { adopt }]) => { adopt(); return player; });
  return sheet;
}

const problemOf = (e: unknown) => (e instanceof Problem ? e : new Problem(-1, String(e)));

// What was printed, looked through from its first frame, anew for each word.
function Found({ url, what, seek }: { url: string; what: string; seek: (s: number) => void }) {
  const [state, set] = useState<{ hits: Hit[]; looking: boolean; problem?: Problem }>({ hits: [], looking: true });
  useEffect(() => {
    const stop = new AbortController();
    const look = async () => {
      const list: Hit[] = [];
      for await (const hit of hits(url, what, stop.signal)) {
        list.push(hit);
        set({ hits: list.slice(), looking: true });
        if (list.length >= hitsAtMost) break;
      }
      set({ hits: list, looking: false });
    };
    set({ hits: [], looking: true });
    const soon = setTimeout(() => look().catch((e: unknown) => stop.signal.aborted || set({ hits: [], looking: false, problem: problemOf(e) })), 200);
    return () => { clearTimeout(soon); stop.abort(); };
  }, [url, what]);
  if (state.problem !== undefined) return <Trouble problem={state.problem} />;
  return (
    <ul class="hits-list">
      {state.hits.map((h, i) => <li key={i}><button class="quiet small" onClick={() => seek(h.at)}>{measured(h.at * 1e6)}</button> <code><Shown text={plain(h.text, 100)} /></code></li>)}
      {state.looking && <li class="soft" role="status">Looking…</li>}
      {!state.looking && state.hits.length === 0 && <li class="soft" role="status">Not printed here.</li>}
    </ul>
  );
}

export function Player({ id, live, t, seconds }: { id: string; live: boolean; t: Timeline; seconds: number }) {
  const at = useRef<HTMLDivElement>(null);
  const player = useRef<Asciinema.Player>();
  const screening = useRef<Screening>();
  const [idle, setIdle] = useState(true);
  const [what, setWhat] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [follow, setFollow] = useState(live);
  const marks = marksOf(t);
  const bar = useRef<[number, Place[]]>([0, []]);
  bar.current = [seconds, marks.map((m) => [m.at, m.label])];
  const url = `/api/v1/recordings/${id}/replay?format=asciicast`;
  useEffect(() => {
    let over = false;
    const failed = (e: unknown) => setProblem(problemOf(e));
    load().then((asciinema) => {
      if (over) return;
      screening.current = new Screening(follow ? `${url}&follow=1` : url, follow, idle ? 2 : 1e9, failed);
      screening.current.tell(...bar.current);
      player.current = asciinema.create(screening.current.source as unknown as Asciinema.Source, at.current!, {
        fit: "width", autoPlay: follow, terminalFontFamily: "ui-monospace, 'SF Mono', Consolas, 'DejaVu Sans Mono', monospace", controls: true,
      });
    }).catch(failed);
    return () => { over = true; player.current?.dispose(); player.current = screening.current = undefined; };
  }, [id, follow, idle]);
  useEffect(() => screening.current?.tell(...bar.current), [seconds, marks.length]);
  const seek = (s: number) => void player.current?.seek(Math.max(0, s - 0.5));
  const wanted = what.trim();
  return (
    <section class="terminal" aria-label="Terminal">
      <div class="filters">
        <input type="search" class="wide" aria-label="Find in what was printed" placeholder="Find in what was printed" onInput={(e) => setWhat(e.currentTarget.value)} />
        {!follow && <label class="check"><input type="checkbox" checked={idle} onChange={(e) => setIdle(e.currentTarget.checked)} /> Skip idle time</label>}
        {follow && live && <span class="chip good"><i class="pulse" /> live</span>}
        {follow && !live && <button class="quiet small" onClick={() => setFollow(false)}>It has ended: play it from the start</button>}
      </div>
      {wanted.length > 1 && <Found url={url} what={wanted} seek={seek} />}
      {problem !== undefined && <Trouble problem={problem} />}
      <div ref={at} class="player" />
      {marks.length > 0 && <ul class="marks" aria-label="Marks">{marks.map((m, i) => <li key={i}><button class="quiet small" disabled={follow} onClick={() => seek(m.at)}>{measured(m.at * 1e6)}</button> <Chip text={m.label} tone={m.tone} /></li>)}</ul>}
    </section>
  );
}
