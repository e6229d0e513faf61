// SPDX-License-Identifier: Apache-2.0
// Sessions, live and past: found by who, where, when, how they went, or what was done in them.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { address, get, lines, Problem, type Session, type Whoami } from "../lib/api";
import { useLive } from "../lib/live";
import { go, type Place } from "../lib/route";
import { count, plain } from "../lib/text";
import { span } from "../lib/time";
import { merged } from "../lib/window";
import { useNow } from "../lib/use";
import { Chip, Empty, Icon, Loading, Shown, Time, Trouble } from "../ui/parts";
import { LongList } from "../ui/long_list";

// text: of who, where and how; done: of what was done, which is looked for in the recordings.
const names = ["user", "target", "verdict", "since", "until", "text", "group", "done"] as const;
type Filter = Partial<Record<(typeof names)[number] | "live", string>>;
const pageSize = 1000;

function filterOf(query: URLSearchParams): Filter {
  const f: Filter = {};
  for (const n of [...names, "live" as const]) if (query.get(n)) f[n] = query.get(n)!;
  return f;
}

const addressOf = (f: Filter): string => address("/sessions", undefined, f);
const asTime = (text: string | undefined): string | undefined => (text !== undefined && /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text) ? new Date(text).toISOString() : text);

/* ---- the list, page by page ---- */

interface Listing {
  rows: Session[];
  next?: string;
  loading: boolean;
  problem?: Problem;
  more: () => void;
  again: () => void;
}

function useSessions(f: Filter): Listing {
  const [state, set] = useState<{ rows: Session[]; next?: string; loading: boolean; problem?: Problem }>({ rows: [], loading: true });
  const turn = useRef(0);
  const key = JSON.stringify(f);
  const query = { user: f.user, target: f.target, since: asTime(f.since), until: asTime(f.until), live: f.live === "1" || undefined, verdict: f.verdict, text: f.text, group: f.group };
  const fail = (mine: number) => (e: unknown) => {
    if (mine === turn.current) set((s) => ({ ...s, loading: false, problem: e instanceof Problem ? e : new Problem(-1, String(e)) }));
  };
  const first = useCallback(() => {
    const mine = ++turn.current;
    set({ rows: [], loading: true });
    get("/api/v1/sessions", { query: { ...query, limit: 100 } }).then((a) => mine === turn.current && set({ rows: a.sessions, next: a.next, loading: false }), fail(mine));
  }, [key]);
  useEffect(first, [first]);
  const more = () => {
    if (state.loading || state.next === undefined) return;
    const mine = turn.current;
    set((s) => ({ ...s, loading: true }));
    get("/api/v1/sessions", { query: { ...query, limit: pageSize, cursor: state.next } }).then(
      (a) => mine === turn.current && set((s) => ({ rows: [...s.rows, ...a.sessions], next: a.next, loading: false })), fail(mine));
  };
  // What is new, and how live ones got on: the first page again, and those that go on.
  const refresh = () => {
    const mine = turn.current;
    const quiet = () => undefined;
    get("/api/v1/sessions", { query: { ...query, limit: 100 } }).then((a) => mine === turn.current && set((s) => ({ ...s, rows: f.live === "1" ? a.sessions : merged(s.rows, a.sessions) })), quiet);
  };
  useLive(["session"], refresh);
  return { ...state, more, again: first };
}

function Row({ s, now }: { s: Session; now: number }) {
  const live = s.state === "live";
  const took = (s.ended !== undefined ? Date.parse(s.ended) : live ? now : Date.parse(s.started)) - Date.parse(s.started);
  return (
    <a class={`line session ${live ? "live" : ""}`} href={`/sessions/${s.id}`}>
      <span class="c-state">{live ? <i class="pulse" role="img" aria-label="live" /> : <i class={`dot ${s.state === "torn" || s.denied > 0 ? "bad" : ""}`} role="img" aria-label={s.state} />}</span>
      <span class="c-user"><Shown text={s.user} /></span>
      <span class="c-target"><Shown text={s.target} />{s.part !== "" && s.part !== s.target && <span class="soft">/<Shown text={s.part} /></span>}</span>
      <span class="c-protocol soft"><Shown text={s.protocol} /></span>
      <span class="c-time"><Time at={s.started} /></span>
      <span class="c-took num">{span(took)}</span>
      <span class="c-ops num">{!(live && s.operations === 0) && count(s.operations, "operation")}</span>
      <span class="c-denied">{s.denied > 0 && <Chip text={`${s.denied} denied`} tone="bad" />}{s.state === "torn" && <Chip text="torn" />}</span>
      <span class="c-why soft one-line">{s.text !== undefined ? <Shown text={plain(s.text, 80)} /> : <Shown text={s.address} />}</span>
    </a>
  );
}

/* ---- by what was done ---- */

interface Match {
  session: string;
  user: string;
  target: string;
  op: number;
  kind: string;
  text: string;
  at: string;
}

function matchOf(o: unknown): Match | undefined {
  if (typeof o !== "object" || o === null || !("session" in o)) return undefined;
  const m = o as Record<string, unknown>;
  return { session: String(m["session"]), user: String(m["user"] ?? ""), target: String(m["target"] ?? ""), op: Number(m["op"] ?? 0), kind: String(m["kind"] ?? ""), text: String(m["text"] ?? ""), at: String(m["at"] ?? "") };
}

function Found({ f }: { f: Filter }) {
  const [found, set] = useState<Match[]>([]);
  const [state, setState] = useState<"looking" | "done">("looking");
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    const stop = new AbortController();
    set([]);
    setState("looking");
    setProblem(undefined);
    const take = (o: Record<string, unknown>) => {
      const m = matchOf(o["match"]);
      if (m !== undefined) set((list) => [...list, m]);
    };
    lines(address("/api/v1/search", undefined, { text: f.done, user: f.user, target: f.target, since: asTime(f.since), until: asTime(f.until), limit: 500 }), take, stop.signal).then(
      () => setState("done"), (e: unknown) => stop.signal.aborted || setProblem(e instanceof Problem ? e : new Problem(-1, String(e))));
    return () => stop.abort();
  }, [JSON.stringify(f)]);
  if (problem !== undefined) return <Trouble problem={problem} />;
  return (
    <>
      <p class="soft" role="status">{state === "looking" ? `Looking through recordings… ${count(found.length, "match", "matches")} so far` : count(found.length, "match", "matches")}</p>
      {state === "done" && found.length === 0 && <Empty icon="search" title="Nobody did that">No recording that you may read has this text.</Empty>}
      <div class="cards">{found.map((m, i) => (
        <a key={i} class="row" href={`/sessions/${m.session}?op=${m.op}`}><Chip text={m.kind || "operation"} /><span class="row-main"><b><Shown text={m.user} /></b> <span class="soft">at</span> <b><Shown text={m.target} /></b> <code class="one-line"><Shown text={plain(m.text, 200)} /></code></span><Time at={m.at} /></a>
      ))}</div>
    </>
  );
}

/* ---- the page ---- */

function Filters({ f, me }: { f: Filter; me: Whoami }) {
  const set = (name: keyof Filter, value: string) => go(addressOf({ ...f, [name]: value }), true);
  const late = useRef(0);
  const soon = (name: keyof Filter) => (e: { currentTarget: HTMLInputElement }) => {
    const value = e.currentTarget.value;
    clearTimeout(late.current);
    late.current = setTimeout(() => set(name, value), 250) as unknown as number;
  };
  const auditor = me.may.includes("audit");
  return (
    <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
      <div class="segments" role="group" aria-label="Which">
        <button type="button" aria-pressed={f.live !== "1"} onClick={() => set("live", "")}>All</button>
        <button type="button" aria-pressed={f.live === "1"} onClick={() => set("live", "1")}><i class="pulse" /> Live</button>
      </div>
      <input type="search" aria-label="User, target or address" placeholder="Who, or where" defaultValue={f.text} disabled={f.done !== undefined} onInput={soon("text")} />
      {auditor && <input type="search" class="wide" aria-label="Text of an operation" placeholder="What was done" defaultValue={f.done} onInput={soon("done")} />}
      <select aria-label="Verdict" value={f.verdict ?? ""} onChange={(e) => set("verdict", e.currentTarget.value)}>
        {[["", "Any verdict"], ["deny", "With denials"], ["held", "With holds"], ["allow", "With allowed"]].map(([v, name]) => <option key={v} value={v}>{name}</option>)}
      </select>
      <select aria-label="Begun" value={f.since ?? ""} onChange={(e) => set("since", e.currentTarget.value)}>
        {[["", "Any time"], ["1h", "Last hour"], ["1d", "Last day"], ["7d", "Last week"], ["30d", "Last 30 days"]].map(([v, name]) => <option key={v} value={v}>{name}</option>)}
      </select>
    </form>
  );
}

export function Sessions({ me, place }: { me: Whoami; place: Place }) {
  const f = filterOf(place.query);
  const now = useNow();
  const byText = f.done !== undefined && me.may.includes("audit");
  const list = useSessions(byText ? {} : f);
  return (
    <div class="tall">
      <header class="head"><h1>Sessions</h1><span class="grow" /><span class="soft" role="status">{!byText && list.rows.length > 0 && `${count(list.rows.length, "session")}${list.next !== undefined ? ", and more" : ""}`}</span></header>
      <Filters f={f} me={me} />
      {f.group !== undefined && <p class="soft">Those that belong together as <code class="hash"><Shown text={f.group} /></code> <button class="quiet" onClick={() => go(addressOf({ ...f, group: undefined }), true)}>Show all</button></p>}
      {byText ? <Found f={f} /> : (
        <>
          {list.problem !== undefined && <Trouble problem={list.problem} again={list.again} />}
          {list.loading && list.rows.length === 0 && list.problem === undefined && <Loading rows={8} />}
          {!list.loading && list.rows.length === 0 && list.problem === undefined && (
            <Empty icon="sessions" title={Object.keys(f).length > 0 ? "No session fits" : "No session yet"}>{Object.keys(f).length > 0 ? <button class="quiet" onClick={() => go("/sessions", true)}>Show all</button> : "Connect to a target and it appears here."}</Empty>
          )}
          {list.rows.length > 0 && <div class="line line-head soft" aria-hidden="true"><span /><span>User</span><span>Target</span><span class="c-protocol">Protocol</span><span class="c-time">Began</span><span class="c-took num">Lasts</span><span class="c-ops num">Did</span><span class="c-denied" /><span class="c-why">Ended, or from where</span></div>}
          {list.rows.length > 0 && <LongList rows={list.rows} height={44} label="Sessions" end={list.more} row={(s) => <Row s={s} now={now} />} />}
          {list.loading && list.rows.length > 0 && <p class="soft"><Icon name="clock" /> More…</p>}
        </>
      )}
    </div>
  );
}
