// SPDX-License-Identifier: Apache-2.0
// The audit log: what was decided and done, line by line, newest first, and as it comes.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, get, lines, Problem } from "../lib/api";
import { go, type Place } from "../lib/route";
import { count, plain } from "../lib/text";
import { useAsk, useNarrow } from "../lib/use";
import { LongList } from "../ui/long_list";
import { Chip, Empty, Icon, Loading, Sheet, Shown, Time, Trouble } from "../ui/parts";

interface Entry {
  id: string; // its cursor
  e: Record<string, unknown>;
}
const names = ["user", "target", "event", "verdict", "session", "text", "since"] as const;
type Filter = Partial<Record<(typeof names)[number], string>>;
const pageSize = 1000;
const kept = 5000; // of what comes while one follows
const usually = "1d";
const str = (e: Record<string, unknown>, name: string): string => (e[name] === undefined || e[name] === null ? "" : typeof e[name] === "string" ? (e[name] as string) : JSON.stringify(e[name]));

interface Log {
  list: Entry[]; // newest first
  reading: boolean;
  older: boolean; // there may be more
  problem?: Problem;
}

// The newest lines that fit, older ones page by page; following, what comes.
function useLog(f: Filter, follow: boolean) {
  const [state, set] = useState<Log>({ list: [], reading: true, older: false });
  const [turn, again] = useState(0);
  const stop = useRef(new AbortController());
  const read = (query: Record<string, unknown>, have: Entry[], draw: (got: Entry[]) => void) => {
    const signal = stop.current.signal;
    const got: Entry[] = [];
    let frame = 0;
    const each = (o: Record<string, unknown>) => {
      if (typeof o["entry"] === "object" && o["entry"] !== null) got.push({ id: String(o["cursor"] ?? ""), e: o["entry"] as Record<string, unknown> });
      if (typeof o["error"] === "string") set((s) => ({ ...s, problem: new Problem(503, o["error"] as string) }));
      if (got.length > kept) got.splice(0, got.length - kept);
      if (follow) frame = frame || requestAnimationFrame(() => { frame = 0; if (!signal.aborted) draw(got); });
    };
    lines(address("/api/v1/audit", undefined, { ...f, since: f.since ?? usually, ...query }), each, signal).then(
      () => {
        const known = new Set(have.map((x) => x.id));
        const fresh = got.filter((x) => !known.has(x.id)).reverse();
        if (!signal.aborted) set((s) => ({ ...s, list: [...have, ...fresh], reading: false, older: !follow && got.length === pageSize && fresh.length > 0 }));
      },
      (e: unknown) => signal.aborted || set((s) => ({ ...s, reading: false, problem: e instanceof Problem ? e : new Problem(-1, String(e)) })));
  };
  useEffect(() => {
    stop.current = new AbortController();
    set({ list: [], reading: true, older: false });
    read(follow ? { follow: true } : { last: pageSize }, [], (got) => set((s) => ({ ...s, list: got.slice().reverse() })));
    return () => stop.current.abort();
  }, [JSON.stringify(f), follow, turn]);
  const more = () => {
    const oldest = state.list[state.list.length - 1];
    if (state.reading || !state.older || oldest === undefined) return;
    set((s) => ({ ...s, reading: true }));
    read({ last: pageSize, until: new Date(Date.parse(str(oldest.e, "time")) + 1).toISOString() }, state.list, () => undefined);
  };
  return { ...state, more, again: () => again((n) => n + 1) };
}

function Line({ x, show }: { x: Entry; show: () => void }) {
  const { e } = x;
  const about = ["rule", "text", "why", "tag", "reason", "kind", "comment"].map((n) => str(e, n)).filter((v) => v !== "");
  if (str(e, "session") !== "") about.push(`session ${str(e, "session").slice(0, 8)}`);
  return (
    <button type="button" class="line audit-line" onClick={show}>
      <span class="audit-time"><Time at={str(e, "time")} /></span><span class="op-event"><Chip text={str(e, "event") || str(e, "verdict")} /></span>
      <span class="op-text one-line"><b><Shown text={str(e, "user") || str(e, "by") || "gateway"} /></b>{str(e, "target") !== "" && <> <span class="soft">at</span> <Shown text={str(e, "target")} /></>} <span class="soft"><Shown text={plain(about.join(" · "), 180)} /></span></span>
    </button>
  );
}

function Whole({ x, close }: { x: Entry; close: () => void }) {
  const rest = Object.entries(x.e).filter(([, v]) => v !== "" && v !== null);
  return (
    <Sheet title={str(x.e, "event") || str(x.e, "verdict")} close={close}>
      <dl class="facts wide">{rest.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{k === "session" ? <a href={`/sessions/${String(v)}`}><code>{String(v)}</code></a> : k === "time" ? <Time at={String(v)} /> : <Shown text={typeof v === "string" ? v : JSON.stringify(v)} />}</dd></div>)}</dl>
    </Sheet>
  );
}

function Chain() {
  const status = useAsk((signal) => get("/api/v1/status", { signal }), "status");
  const keys = useAsk((signal) => get("/api/v1/keys", { signal }), "keys");
  if (status.data === undefined) return null;
  const up = status.data.recorder;
  return (
    <span class={`badge-box ${up ? "good" : "bad"}`} title={`signed by ${keys.data?.keys.map((k) => k.key).join(", ") ?? "…"}`}>
      <Icon name={up ? "policy" : "bolt"} />{up ? <>{count(status.data.ledger, "ledger entry", "ledger entries")}, signed by <code>{keys.data?.keys[0]?.key.slice(0, 12) ?? "…"}</code></> : "The recorder does not answer"}
    </span>
  );
}

export function Audit({ place }: { place: Place }) {
  const f: Filter = {};
  for (const n of names) if (place.query.get(n)) f[n] = place.query.get(n)!;
  const follow = place.query.has("follow");
  const log = useLog(f, follow);
  const [open, show] = useState<Entry>();
  const narrow = useNarrow();
  const set = (name: string, value: string) => go(address("/audit", undefined, { ...f, follow, [name]: value }), true);
  const late = useRef(0);
  const soon = (name: string) => (e: { currentTarget: HTMLInputElement }) => {
    const value = e.currentTarget.value;
    clearTimeout(late.current);
    late.current = setTimeout(() => set(name, value), 300) as unknown as number;
  };
  return (
    <div class="tall">
      <header class="head"><h1>Audit</h1><span class="grow" /><Chain /></header>
      <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
        <input type="search" class="wide" aria-label="Text" placeholder="What a line says" maxLength={100} defaultValue={f.text} onInput={soon("text")} />
        <input type="search" aria-label="User" placeholder="User" defaultValue={f.user} onInput={soon("user")} />
        <input type="search" aria-label="Target" placeholder="Target" defaultValue={f.target} onInput={soon("target")} />
        <input type="search" aria-label="Event" placeholder="Event" defaultValue={f.event} onInput={soon("event")} />
        <select aria-label="Verdict" value={f.verdict ?? ""} onChange={(e) => set("verdict", e.currentTarget.value)}>{["", "allow", "deny", "kill", "held"].map((v) => <option key={v} value={v}>{v || "Any verdict"}</option>)}</select>
        <select aria-label="Since" value={f.since ?? usually} onChange={(e) => set("since", e.currentTarget.value)}>{[["10m", "Last 10 minutes"], ["1h", "Last hour"], ["1d", "Last day"], ["7d", "Last week"], ["90d", "All that is here"]].map(([v, name]) => <option key={v} value={v}>{name}</option>)}</select>
        <button type="button" class="quiet small" aria-pressed={follow} onClick={() => go(address("/audit", undefined, { ...f, follow: !follow }), true)}>{follow ? <i class="pulse" /> : <Icon name="eye" />}{follow ? "Following" : "Follow"}</button>
        <span class="soft" role="status">{log.reading && !follow ? "Reading…" : `${count(log.list.length, "line")}${log.older || (follow && log.list.length >= kept) ? ", the newest" : ""}`}</span>
      </form>
      {log.problem !== undefined && <Trouble problem={log.problem} again={log.again} />}
      {log.reading && log.list.length === 0 && log.problem === undefined && (follow ? <Empty icon="eye" title="Waiting for the next line" /> : <Loading rows={8} />)}
      {!log.reading && log.list.length === 0 && log.problem === undefined && <Empty icon="audit" title="No line fits">Widen the time, or take a filter away.</Empty>}
      {log.list.length > 0 && <LongList rows={log.list} height={narrow ? 60 : 40} label="Lines" end={log.more} row={(x) => <Line x={x} show={() => show(x)} />} />}
      {open !== undefined && <Whole x={open} close={() => show(undefined)} />}
    </div>
  );
}
