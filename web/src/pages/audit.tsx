// SPDX-License-Identifier: Apache-2.0
// The audit log: what was decided and done, line by line, newest first, and as it comes.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, get, lines, Problem } from "../lib/api";
import { go, type Place } from "../lib/route";
import { count, plain } from "../lib/text";
import { useAsk } from "../lib/use";
import { Chip, Empty, Icon, Loading, Shown, Time, Trouble } from "../ui/parts";

interface Entry {
  cursor: string;
  e: Record<string, unknown>;
}
const names = ["user", "target", "event", "verdict", "session", "since"] as const;
type Filter = Partial<Record<(typeof names)[number], string>>;
const kept = 5000;
const str = (e: Record<string, unknown>, name: string): string => (e[name] === undefined || e[name] === null ? "" : typeof e[name] === "string" ? (e[name] as string) : JSON.stringify(e[name]));

function useLog(f: Filter, follow: boolean) {
  const [state, set] = useState<{ list: Entry[]; reading: boolean; problem?: Problem }>({ list: [], reading: true });
  const [turn, again] = useState(0);
  const got = useRef<Entry[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    let frame = 0;
    got.current = [];
    set({ list: [], reading: true });
    const draw = () => { frame = 0; set((s) => ({ ...s, list: got.current.slice() })); };
    const each = (o: Record<string, unknown>) => {
      if (typeof o["entry"] === "object" && o["entry"] !== null) got.current.push({ cursor: String(o["cursor"] ?? ""), e: o["entry"] as Record<string, unknown> });
      if (typeof o["error"] === "string") set((s) => ({ ...s, problem: new Problem(503, o["error"] as string) }));
      if (got.current.length > kept) got.current.splice(0, got.current.length - kept);
      frame = frame || requestAnimationFrame(draw);
    };
    const query = { ...f, since: f.since ?? "1h", ...(follow ? { follow: true } : { limit: kept }) };
    lines(address("/api/v1/audit", undefined, query), each, stop.signal).then(
      () => set((s) => ({ ...s, list: got.current.slice(), reading: false })),
      (e: unknown) => stop.signal.aborted || set((s) => ({ ...s, reading: false, problem: e instanceof Problem ? e : new Problem(-1, String(e)) })));
    return () => { stop.abort(); cancelAnimationFrame(frame); };
  }, [JSON.stringify(f), follow, turn]);
  return { ...state, again: () => again((n) => n + 1) };
}

function Line({ x }: { x: Entry }) {
  const [open, set] = useState(false);
  const { e } = x;
  const what = str(e, "event") || str(e, "verdict");
  const about = ["rule", "text", "why", "tag", "reason", "kind", "comment"].map((n) => str(e, n)).filter((v) => v !== "");
  if (str(e, "session") !== "") about.push(`session ${str(e, "session").slice(0, 8)}`);
  const rest = Object.entries(e).filter(([, v]) => v !== "" && v !== null);
  return (
    <details class="op" onToggle={(ev) => set(ev.currentTarget.open)}>
      <summary>
        <span class="audit-time"><Time at={str(e, "time")} /></span><span class="op-event"><Chip text={what} /></span>
        <span class="op-text one-line"><b><Shown text={str(e, "user") || str(e, "by") || "gateway"} /></b>{str(e, "target") !== "" && <> <span class="soft">at</span> <Shown text={str(e, "target")} /></>} <span class="soft"><Shown text={plain(about.join(" · "), 180)} /></span></span>
      </summary>
      {open && <div class="op-body"><dl class="facts wide">{rest.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{k === "session" ? <a href={`/sessions/${String(v)}`}><code>{String(v)}</code></a> : <Shown text={typeof v === "string" ? v : JSON.stringify(v)} />}</dd></div>)}</dl></div>}
    </details>
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
  const [most, setMost] = useState(200);
  const set = (name: string, value: string) => go(address("/audit", undefined, { ...f, follow, [name]: value }), true);
  const late = useRef(0);
  const soon = (name: string) => (e: { currentTarget: HTMLInputElement }) => {
    const value = e.currentTarget.value;
    clearTimeout(late.current);
    late.current = setTimeout(() => set(name, value), 300) as unknown as number;
  };
  const list = log.list.slice(-most).reverse();
  return (
    <>
      <header class="head"><h1>Audit</h1><span class="grow" /><Chain /></header>
      <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
        <input type="search" aria-label="User" placeholder="User" defaultValue={f.user} onInput={soon("user")} />
        <input type="search" aria-label="Target" placeholder="Target" defaultValue={f.target} onInput={soon("target")} />
        <input type="search" aria-label="Event" placeholder="Event" defaultValue={f.event} onInput={soon("event")} />
        <select aria-label="Verdict" value={f.verdict ?? ""} onChange={(e) => set("verdict", e.currentTarget.value)}>{["", "allow", "deny", "kill", "held"].map((v) => <option key={v} value={v}>{v || "Any verdict"}</option>)}</select>
        <select aria-label="Since" value={f.since ?? "1h"} onChange={(e) => set("since", e.currentTarget.value)}>{[["10m", "Last 10 minutes"], ["1h", "Last hour"], ["1d", "Last day"], ["7d", "Last week"], ["90d", "All that is here"]].map(([v, name]) => <option key={v} value={v}>{name}</option>)}</select>
        <button type="button" class="quiet small" aria-pressed={follow} onClick={() => go(address("/audit", undefined, { ...f, follow: !follow }), true)}>{follow ? <i class="pulse" /> : <Icon name="eye" />}{follow ? "Following" : "Follow"}</button>
        <span class="soft" role="status">{log.reading && !follow ? "Reading…" : `${count(log.list.length, "line")}${log.list.length >= kept ? ", the newest" : ""}`}</span>
      </form>
      {log.problem !== undefined && <Trouble problem={log.problem} again={log.again} />}
      {log.reading && log.list.length === 0 && log.problem === undefined && (follow ? <Empty icon="eye" title="Waiting for the next line" /> : <Loading rows={8} />)}
      {!log.reading && log.list.length === 0 && log.problem === undefined && <Empty icon="audit" title="No line fits">Widen the time, or take a filter away.</Empty>}
      <div class="ops">{list.map((x) => <Line key={x.cursor} x={x} />)}</div>
      {log.list.length > most && <button class="quiet" onClick={() => setMost(most + 500)}>Show older lines</button>}
    </>
  );
}
