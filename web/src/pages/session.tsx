// SPDX-License-Identifier: Apache-2.0
// One session: what was done in it, in order; as a terminal where it was one; whether the record is whole.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, get, lines, Problem, post, type Session, type Whoami } from "../lib/api";
import { useLive } from "../lib/live";
import type { Place } from "../lib/route";
import { bytes, count, plain } from "../lib/text";
import { measured, span, utc } from "../lib/time";
import { rowsMore, take, timeline, verdictOf, type Operation, type Timeline } from "../lib/timeline";
import { useAsk, useNow } from "../lib/use";
import { Chip, Code, Empty, Facts, Field, Hash, Icon, Loading, Sheet, Shown, Tabs, Time, Trouble } from "../ui/parts";
import { Player } from "../ui/player";

/* ---- operations ---- */

function Rows({ o }: { o: Operation }) {
  if (o.columns.length === 0) return null;
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label="The answer">
      <table class="answer">
        <thead><tr>{o.columns.map((c, i) => <th key={i} scope="col"><Shown text={c.name} />{c.masked && <Chip text="masked" />}</th>)}</tr></thead>
        <tbody>{o.rows.map((r, i) => <tr key={i}>{r.map((v, j) => <td key={j} class={o.columns[j]?.masked ? "masked" : ""}>{v === null ? <span class="soft">NULL</span> : <Shown text={v} />}</td>)}</tr>)}</tbody>
      </table>
      {rowsMore(o) > 0 && <p class="soft">{count(rowsMore(o), "row")} more: the export has them.</p>}
      {o.cut !== undefined && <p class="soft">The recording keeps only the head of this answer{o.cut.rows !== undefined && ` of ${count(o.cut.rows, "row")}`}; its SHA-256 is kept.</p>}
    </div>
  );
}

function Events({ o }: { o: Operation }) {
  if (o.events.length < 2 && o.events[0]?.rule === undefined && o.events[0]?.observed === undefined) return null;
  return (
    <ol class="events">
      {o.events.map((e, i) => (
        <li key={i}><Chip text={e.what} /> <span class="soft">+{measured(e.at - o.at)}</span> {e.rule !== undefined && <Chip text={e.rule} tone="rule" />} {e.observed !== undefined && <span>would have applied: <Chip text={e.observed} tone="warn" /></span>} {e.approver !== undefined && <span>by <b><Shown text={e.approver} /></b></span>} {e.message !== undefined && <Shown text={e.message} />}</li>
      ))}
    </ol>
  );
}

// What the gateway says at a file's end: "upload of 5 bytes, sha256 …".
function Transfer({ o }: { o: Operation }) {
  const m = /^(upload|download) of (\d+) bytes/.exec(o.done?.tag ?? "");
  return m === null ? null : <><Chip text={m[1]!} tone="calm" /><span class="soft num">{bytes(Number(m[2]))}</span></>;
}

function Op({ o, open, session }: { o: Operation; open: boolean; session: string }) {
  const at = useRef<HTMLDetailsElement>(null);
  const [shown, show] = useState(open);
  const verdict = verdictOf(o);
  const rule = [...o.events].reverse().find((e) => e.rule !== undefined)?.rule;
  const approver = o.events.find((e) => e.approver !== undefined)?.approver;
  useEffect(() => {
    if (open) at.current?.scrollIntoView({ block: "center" });
  }, [open]);
  const text = o.text !== "" ? o.text : o.kind === "session" ? "the session begins" : o.sealed ? "(sealed: read it where the auditor's key is)" : o.tag || o.kind;
  return (
    <details ref={at} class={`op v-${verdict}`} open={open} onToggle={(e) => show(e.currentTarget.open)}>
      <summary>
        <span class="num soft op-at">{measured(o.at)}</span>
        <span class="op-verdict"><Chip text={verdict || "…"} /></span>
        <span class="op-text one-line"><code><Shown text={plain(text, 240)} /></code></span>
        <span class="op-end">
          <Transfer o={o} />
          {rule !== undefined && <Chip text={rule} tone="rule" />}
          {approver !== undefined && <span class="soft" title="approved by"><Shown text={approver} /></span>}
          {o.done?.rows !== undefined && (o.done.rows > 0 || o.columns.length > 0) && <span class="soft num">{count(o.done.rows, "row")}</span>}
          {o.done?.bytes !== undefined && o.done.bytes > 0 && <span class="soft num">{bytes(o.done.bytes)}</span>}
          {o.done !== undefined && <span class="soft num">{measured(o.done.at - o.at)}</span>}
        </span>
      </summary>
      {shown && (
        <div class="op-body">
          {o.text !== "" && <Code text={o.text} kind={o.kind} />}
          <Events o={o} />
          {o.params.length > 0 && <table class="params"><caption>Parameters</caption><tbody>{o.params.map((p, i) => <tr key={i}><th scope="row">${i + 1}</th><td>{p === null || p === undefined ? <span class="soft">NULL</span> : <Shown text={p} />}</td></tr>)}</tbody></table>}
          {o.done?.error !== undefined && o.done.error !== "" && <p class="note bad"><Shown text={o.done.error} /></p>}
          {o.done?.tag !== undefined && o.done.tag !== "" && !o.kind.startsWith("sql.") && <p class="op-done"><Shown text={o.done.tag} /></p>}
          <Rows o={o} />
          {o.output !== "" && <Code text={o.output} label="Output" />}
          <div class="op-foot">{o.facts.map((f) => <Chip key={f} text={f} tone="table" />)}{o.text !== "" && o.sha256 !== "" && <Hash hex={o.sha256} />}<span class="soft">sallyport explain {session.slice(0, 8)} {o.op}</span></div>
        </div>
      )}
    </details>
  );
}

/* ---- what the recording tells ---- */

interface Replay {
  t: Timeline;
  turn: number;
  state: "reading" | "done";
  problem?: Problem;
}

const headOfEach = 256 << 10; // bytes of what an operation printed or answered: a page shows no more of it

function useReplay(id: string, follow: boolean, wanted: boolean): Replay {
  const t = useRef<Timeline>(timeline());
  const [s, set] = useState<Omit<Replay, "t">>({ turn: 0, state: "reading" });
  useEffect(() => {
    if (!wanted) return;
    const stop = new AbortController();
    let frame = 0;
    const draw = () => { frame = 0; set((x) => ({ ...x, turn: x.turn + 1 })); };
    t.current = timeline();
    set({ turn: 0, state: "reading" });
    const each = (f: Record<string, unknown>) => { take(t.current, f); frame = frame || requestAnimationFrame(draw); };
    lines(address(`/api/v1/recordings/${id}/replay`, undefined, { head: headOfEach, follow: follow && "1" }), each, stop.signal).then(
      () => set((x) => ({ turn: x.turn + 1, state: "done" })),
      (e: unknown) => stop.signal.aborted || set((x) => ({ turn: x.turn + 1, state: "done", problem: e instanceof Problem ? e : new Problem(-1, String(e)) })));
    return () => { stop.abort(); cancelAnimationFrame(frame); };
  }, [id, follow, wanted]);
  return { t: t.current, ...s };
}

const drawnAtOnce = 300;

function Operations({ r, op, session }: { r: Replay; op: number; session: string }) {
  const [filter, setFilter] = useState("");
  const [only, setOnly] = useState(false);
  const [most, setMost] = useState(drawnAtOnce);
  const all = [...r.t.operations.values()];
  const list = all.filter((o) => (!only || verdictOf(o) !== "allow" || o.events.length > 1) && (filter === "" || `${o.text} ${o.kind} ${o.tag}`.toLowerCase().includes(filter.toLowerCase())));
  if (r.problem !== undefined) return <Trouble problem={r.problem} />;
  return (
    <>
      <div class="filters">
        <input type="search" class="wide" aria-label="Find in this session" placeholder="Find in this session" onInput={(e) => setFilter(e.currentTarget.value)} />
        <div class="segments" role="group" aria-label="Which"><button aria-pressed={!only} onClick={() => setOnly(false)}>All</button><button aria-pressed={only} onClick={() => setOnly(true)}>Denied or held</button></div>
        <span class="soft" role="status">{r.state === "reading" && all.length === 0 ? "Reading…" : count(list.length, "operation")}</span>
      </div>
      {r.state === "reading" && all.length === 0 && <Loading />}
      {r.state === "done" && all.length === 0 && <Empty icon="sessions" title="Nothing was done">The session ended without an operation.</Empty>}
      <div class="ops">{list.slice(0, Math.max(most, op)).map((o) => <Op key={o.op} o={o} open={o.op === op} session={session} />)}</div>
      {list.length > most && <button class="quiet" onClick={() => setMost(most + 1000)}>Show {Math.min(1000, list.length - most)} more</button>}
      {r.t.end !== undefined && <p class={r.t.end.torn ? "note bad" : "soft end-line"}>{r.t.end.torn ? "Torn: the gateway died here. All before this line is whole." : <>The session ended after {measured(r.t.end.at)}: <Shown text={r.t.end.message || r.t.end.why} /></>}</p>}
    </>
  );
}

/* ---- integrity ---- */

function Integrity({ id, live, may }: { id: string; live: boolean; may: boolean }) {
  const asked = useAsk((signal) => (may ? get("/api/v1/sessions/{id}/verify", { id, signal }) : Promise.reject(new Problem(403, ""))), `${id} ${live}`);
  const v = asked.data;
  if (!may) return null;
  if (asked.problem !== undefined) return <button class="badge-box wait" onClick={asked.again} title={asked.problem.message}><Icon name="policy" />Not verified: try again</button>;
  if (v === undefined) return <span class="badge-box"><Icon name="policy" />Verifying…</span>;
  return v.ok
    ? <button class="badge-box good" onClick={asked.again} title={v.signed_at === "" ? "not signed yet" : `signed at ${utc(v.signed_at)}`}><Icon name="policy" />Verified to frame {v.frames}{v.signed_at !== "" && <>, signed <Time at={v.signed_at} /></>}{!v.ended && live && " so far"}</button>
    : <button class="badge-box bad" onClick={asked.again} title={v.text}><Icon name="bolt" />Not whole: <Shown text={plain(v.text, 120)} /></button>;
}

/* ---- acts ---- */

function Kill({ s, close, done }: { s: Session; close: () => void; done: () => void }) {
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const kill = (e: Event) => {
    e.preventDefault();
    setBusy(true);
    post("/api/v1/sessions/{id}/kill", { reason }, s.id).then(() => { done(); close(); }, (why: unknown) => { setBusy(false); setProblem(why instanceof Problem ? why : new Problem(-1, String(why))); });
  };
  return (
    <Sheet title="End this session" close={close}>
      <form onSubmit={kill}>
        <p>The connection of <b><Shown text={s.user} /></b> to <b><Shown text={s.target} /></b> is cut now, and what runs at the target is cancelled.</p>
        <Field label="Reason: they read it, and it is recorded"><input type="text" value={reason} maxLength={200} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
        {problem !== undefined && <p class="note bad" role="alert"><Shown text={problem.message} /></p>}
        <div class="actions"><button type="button" class="quiet" onClick={close}>Leave it</button><button type="submit" class="deny" disabled={busy}><Icon name="stop" />{busy ? "Ending…" : "End it"}</button></div>
      </form>
    </Sheet>
  );
}

function Export({ id }: { id: string }) {
  const base = `/api/v1/recordings/${id}/replay?format=`;
  return (
    <details class="menu"><summary class="button quiet small"><Icon name="down" />Export</summary>
      <div class="menu-body">
        <a href={`${base}jsonl`} download={`${id}.jsonl`}>JSON lines</a>
        <a href={`${base}text`} download={`${id}.txt`}>Text</a>
        <a href={`${base}asciicast`} download={`${id}.cast`}>asciicast</a>
        <a href={`/api/v1/sessions/${id}/recording`} download={`${id}.spr`}>Recording itself</a>
      </div>
    </details>
  );
}

/* ---- the page ---- */

function Took({ s }: { s: Session }) {
  const now = useNow();
  return <>{span((s.ended !== undefined ? Date.parse(s.ended) : now) - Date.parse(s.started))}</>;
}

function Body({ s, me, place, again }: { s: Session; me: Whoami; place: Place; again: () => void }) {
  const live = s.state === "live";
  const auditor = me.may.includes("audit");
  const terminal = s.protocol === "ssh" || s.protocol === "docker";
  const tab = place.query.get("tab") ?? "operations";
  const [killing, kill] = useState(false);
  const [follow] = useState(live);
  const r = useReplay(s.id, follow, auditor);
  return (
    <>
      <header class="head session-head">
        <h1><Shown text={s.user} /> <span class="soft">at</span> <Shown text={s.target} /></h1>
        {live ? <span class="chip good"><i class="pulse" /> live</span> : <Chip text={s.state} />}
        <span class="grow" />
        <Integrity id={s.id} live={live} may={auditor || me.may.includes("operate")} />
        {auditor && <Export id={s.id} />}
        {live && me.may.includes("operate") && <button class="deny small" onClick={() => kill(true)}><Icon name="stop" />End</button>}
      </header>
      <Facts rows={[
        ["Began", <Time at={s.started} />], ["Lasts", <Took s={s} />], ["Protocol", <Shown text={s.protocol} />], ["From", <Shown text={s.address} />],
        ["Database", s.part !== "" && <Shown text={s.part} />], ["Operations", !(live && s.operations === 0) && <>{s.operations.toLocaleString()}{s.denied > 0 && <> <Chip text={`${s.denied} denied`} tone="bad" /></>}</>],
        ["Rows", s.rows > 0 && s.rows.toLocaleString()], ["Bytes", s.bytes > 0 && bytes(s.bytes)], ["Gateway", <Shown text={s.gateway} />],
        ["Ended", s.text !== undefined && <Shown text={s.text} />], ["Session", <code class="hash">{s.id}</code>],
        ["Together", s.group !== undefined && <a href={`/sessions?group=${encodeURIComponent(s.group)}`}><Shown text={s.group.slice(0, 12)} /></a>],
      ]} />
      {!auditor ? <Empty icon="eye" title="What was done is for auditors">You see that the session was, and how it ended. Recordings are read by the group of auditors.</Empty> : (
        <>
          {terminal && <Tabs now={tab} all={[["operations", `/sessions/${s.id}`, "Operations"], ["terminal", `/sessions/${s.id}?tab=terminal`, "Terminal"]]} />}
          {tab === "terminal" && terminal ? <Player id={s.id} live={live} t={r.t} seconds={live ? 0 : Math.max(r.t.last / 1e6, (Date.parse(s.ended ?? s.started) - Date.parse(s.started)) / 1000)} /> : <Operations r={r} op={Number(place.query.get("op") ?? 0)} session={s.id} />}
        </>
      )}
      {killing && <Kill s={s} close={() => kill(false)} done={again} />}
    </>
  );
}

export function OneSession({ id, me, place }: { id: string; me: Whoami; place: Place }) {
  const asked = useAsk((signal) => get("/api/v1/sessions/{id}", { id, signal }), id);
  useLive(["session"], () => asked.data?.state === "live" && asked.again());
  return (
    <>
      <p class="crumb"><a href="/sessions">Sessions</a></p>
      {asked.problem !== undefined && asked.data === undefined && <Trouble problem={asked.problem} again={asked.again} />}
      {asked.data === undefined && asked.problem === undefined && <Loading />}
      {asked.data !== undefined && <Body s={asked.data} me={me} place={place} again={asked.again} />}
    </>
  );
}
