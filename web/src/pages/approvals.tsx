// SPDX-License-Identifier: Apache-2.0
// What waits for a person: everything there is to know on one card, and the two words that decide it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, Problem, post, type Request, type RequestWhole, type Whoami } from "../lib/api";
import { mayNot } from "../lib/decide";
import { useLive } from "../lib/live";
import { go, type Place } from "../lib/route";
import { count, plain, words } from "../lib/text";
import { useAsk, useKeys, useStored } from "../lib/use";
import { Ago, Chip, Code, Empty, Facts, Hash, Icon, Left, Loading, Shown, Tabs, Time, Trouble } from "../ui/parts";

type View = Record<string, unknown>;
const view = (w: RequestWhole | undefined): View => (typeof w?.view === "object" && w.view !== null ? (w.view as View) : {});
const said = (v: View, name: string): string => (typeof v[name] === "string" ? (v[name] as string) : "");

/* ---- what the analysis says ---- */

interface Seen {
  chips: [string, string][]; // text, tone
  tables: string[];
}

function seen(v: View): Seen {
  const chips = new Map<string, string>();
  const tables = new Set<string>();
  for (const s of Array.isArray(v["statements"]) ? (v["statements"] as Record<string, string>[]) : []) {
    const effects = words(s["effects"]);
    for (const e of effects) chips.set(e.toUpperCase(), e === "read" ? "calm" : e === "ddl" || e === "privileges" ? "bad" : "warn");
    if (s["where"] === "false" && effects.includes("write")) chips.set("no WHERE", "bad");
    if (words(s["statements"])[0] !== "1" && s["statements"] !== undefined) chips.set(`${words(s["statements"])[0]} statements`, "warn");
    for (const t of words(s["tables"])) tables.add(t);
  }
  if (v["unseen"] === true) chips.set("data not yet seen", "bad");
  return { chips: [...chips], tables: [...tables] };
}

function Params({ v }: { v: View }) {
  const params = Array.isArray(v["params"]) ? (v["params"] as unknown[]) : [];
  if (params.length === 0) return null;
  const valueOf = (p: unknown): unknown => (typeof p === "object" && p !== null && "value" in p ? p.value : p);
  return (
    <table class="params"><caption>Parameters</caption><tbody>
      {params.map((p, i) => {
        const value = valueOf(p);
        return <tr key={i}><th scope="row">${i + 1}</th><td>{value === null ? <span class="soft">NULL</span> : <Shown text={typeof value === "string" ? value : JSON.stringify(value)} />}</td></tr>;
      })}
    </tbody></table>
  );
}

function estimateOf(w: RequestWhole | undefined): string {
  const e: unknown = w?.estimate;
  if (e === undefined || e === null || e === "") return "";
  if (typeof e === "object" && "rows" in e) return `about ${count(Number(e.rows), "row")}`;
  return String(e);
}

/* ---- one request ---- */

function Votes({ r }: { r: Request }) {
  if (r.count < 2) return null;
  return (
    <span class="votes" role="img" aria-label={`${r.votes} of ${r.count} have approved`} title={`${r.votes} of ${r.count} have approved`}>
      {Array.from({ length: r.count }, (_, i) => <i key={i} class={i < r.votes ? "on" : ""} />)} {r.votes} of {r.count}
    </span>
  );
}

function Decisions({ r }: { r: Request }) {
  const list = (r.decisions as unknown[]).filter((d): d is Record<string, unknown> => typeof d === "object" && d !== null);
  if (list.length === 0) return null;
  return (
    <ul class="decisions">
      {list.map((d, i) => (
        <li key={i}><Chip text={d["allow"] === true ? "approved" : "denied"} /> <b><Shown text={String(d["name"] || d["user"] || "")} /></b> <Time at={String(d["at"] ?? "")} />{typeof d["comment"] === "string" && d["comment"] !== "" && <q><Shown text={d["comment"]} /></q>}</li>
      ))}
    </ul>
  );
}

interface Deciding {
  r: Request;
  whole: boolean;
  me: Whoami;
  done: (said: string) => void;
  changed: () => void;
}

function Decide({ r, whole, me, done, changed }: Deciding) {
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const why = mayNot(r, me);
  if (why !== undefined) return <p class="note with-icon"><Icon name="lock" /> {why}</p>;
  const decide = async (allow: boolean) => {
    setBusy(allow ? "allow" : "deny");
    setProblem(undefined);
    try {
      const body = { comment: comment.trim(), hash: r.hash };
      const a = allow ? await post("/api/v1/requests/{id}/approve", body, r.id) : await post("/api/v1/requests/{id}/deny", body, r.id);
      done(a.state === "waiting" ? `Your approval counts: ${a.votes} of ${a.count}.` : `${a.state === "denied" ? "Denied" : "Approved"}: ${r.user} at ${r.target}.`);
    } catch (e) {
      setProblem(e instanceof Problem ? e : new Problem(-1, String(e)));
    }
    setBusy("");
  };
  const missing = r.reason && comment.trim() === "";
  const long = new TextEncoder().encode(comment).length > 200;
  return (
    <form class="decide" onSubmit={(e) => e.preventDefault()}>
      <input class="comment" type="text" value={comment} placeholder={r.reason ? "Why? The rule wants a comment" : "Comment, for the record"} aria-label="Comment" onInput={(e) => setComment(e.currentTarget.value)} aria-invalid={long} />
      <button type="button" class="deny" disabled={busy !== "" || !whole || long} onClick={() => decide(false)}><Icon name="cross" />{busy === "deny" ? "Denying…" : "Deny"}</button>
      <button type="button" class="approve" disabled={busy !== "" || !whole || missing || long} onClick={() => decide(true)}><Icon name="check" />{busy === "allow" ? "Approving…" : "Approve"}</button>
      {long && <p class="note bad">A comment has at most 200 bytes.</p>}
      {problem !== undefined && (
        <div class="note bad" role="alert">
          <Shown text={problem.message} />{" "}
          {problem.status === 409 && <button type="button" class="quiet small" onClick={() => { setProblem(undefined); changed(); }}>Look again</button>}
          {problem.status === 429 && `Try again in ${problem.wait} s.`}
        </div>
      )}
    </form>
  );
}

// A list's row may have its text shortened; only the whole one can be decided.
export function Card({ r, me, chosen, done }: { r: Request; me: Whoami; chosen: boolean; done: (said: string) => void }) {
  const waiting = r.state === "waiting";
  const asked = useAsk((signal) => get("/api/v1/requests/{id}", { id: r.id, signal }), `${r.id} ${r.votes} ${r.state}`);
  const at = useRef<HTMLElement>(null);
  const v = view(asked.data);
  const { chips, tables } = seen(v);
  const now = asked.data ?? r;
  useEffect(() => {
    if (chosen) at.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const estimate = estimateOf(asked.data);
  const what = r.kind === "operation" ? (said(v, "tag") || "A statement") : r.kind === "grant" ? "Access" : r.kind === "file" ? "A file" : r.kind;
  const reason = said(v, "reason_given");
  return (
    <article ref={at} class={`card request ${chosen ? "chosen" : ""}`} data-id={r.id} aria-label={`${what} by ${plain(r.user)} at ${plain(r.target)}`}>
      <header>
        <div class="lead"><b><Shown text={r.user} /></b>{r.class !== "human" && <Chip text={r.class} tone="warn" />}{r.sponsor !== undefined && r.sponsor !== "" && <span class="soft">for <Shown text={r.sponsor} /></span>}<span class="soft">{r.kind === "grant" ? "asks for access to" : "at"}</span><b><Shown text={r.target} /></b></div>
        <div class="end">{waiting ? <>{r.until !== undefined && <Left until={r.until} />}</> : <Chip text={r.state} />}</div>
      </header>
      <div class="chips">
        {r.kind !== "grant" && <Chip text={what} />}
        {chips.map(([text, tone]) => <Chip key={text} text={text} tone={tone} />)}
        {tables.map((t) => <Chip key={t} text={t} tone="table" title="a table" />)}
        {estimate !== "" && <Chip text={estimate} tone="warn" title="what the target's planner expects" />}
        {r.next_run && r.kind === "operation" && <Chip text="next run" title="once approved, the same bytes may run once" />}
      </div>
      {r.kind === "grant" ? (
        <p class="ask"><Shown text={reason || r.text} />{said(v, "for") !== "" && <span class="soft"> · for <Shown text={said(v, "for")} /></span>}</p>
      ) : (
        <Code text={now.text} kind={r.kind === "operation" || r.kind === "file" ? "sql" : ""} />
      )}
      <Params v={v} />
      {asked.problem !== undefined && <Trouble problem={asked.problem} again={asked.again} />}
      <Facts rows={[
        ["Why held", r.kind === "grant" ? "" : <><Chip text={r.rule} tone="rule" /> <Shown text={said(v, "rule_text")} /></>],
        ["Asked", r.asked !== undefined && <Ago at={r.asked} />],
        ["From", said(v, "address") && <Shown text={said(v, "address")} />],
        ["As", said(v, "login") && <><Shown text={said(v, "login")} /> <span class="soft">in</span> <Shown text={said(v, "database")} /></>],
        ["Decided by", <><Shown text={r.by || "approvers of the target"} /> <Votes r={r} /></>],
        ["Session", r.session.replace(/0/g, "") !== "" && <a href={`/sessions/${r.session}`}><code>{r.session.slice(0, 8)}</code></a>],
        ["Hash", <Hash hex={r.hash} />],
        ["Outcome", !waiting && r.outcome !== undefined && <Shown text={r.outcome} />],
      ]} />
      <Decisions r={now} />
      {waiting && <Decide r={now} whole={asked.data !== undefined} me={me} done={done} changed={asked.again} />}
    </article>
  );
}

/* ---- the inbox ---- */

function Notify({ on, set }: { on: boolean; set: (on: boolean) => void }) {
  if (!("Notification" in window)) return null;
  const turn = async () => set(!on && (await Notification.requestPermission()) === "granted");
  return <button class="quiet small" aria-pressed={on} aria-label="Notify me" onClick={turn} title="Desktop notification when something waits for you"><Icon name="bell" /><span class="wide-only">{on ? "Notifying" : "Notify me"}</span></button>;
}

// Tells of what was not there before, when nobody looks.
function useNotes(list: Request[] | undefined, me: Whoami, on: boolean): void {
  const known = useRef<Set<string>>();
  useEffect(() => {
    if (list === undefined) return;
    const fresh = known.current === undefined ? [] : list.filter((r) => !known.current!.has(r.id) && mayNot(r, me) === undefined);
    known.current = new Set(list.map((r) => r.id));
    if (!on || !document.hidden || Notification.permission !== "granted") return;
    for (const r of fresh.slice(0, 3)) {
      const note = new Notification(`${plain(r.user, 40)} waits at ${plain(r.target, 40)}`, { body: plain(r.text, 120), tag: r.id, icon: "/icon.svg" });
      note.onclick = () => { window.focus(); go(`/approvals/${r.id}`); note.close(); };
    }
  }, [list]);
}

const keysHelp = [["j / k", "next, previous"], ["a", "to Approve"], ["d", "to Deny"], ["c", "to the comment"], ["Enter", "press what has the focus"]] as const;

export function Approvals({ me, place, requests }: { me: Whoami; place: Place; requests: ReturnType<typeof useRequests> }) {
  const history = place.query.has("all");
  const one = place.path[1];
  const [notify, setNotify] = useStored("notify", "off");
  const [told, tell] = useState("");
  const [chosen, choose] = useState(0);
  const all = useAsk((signal) => (history ? get("/api/v1/requests", { query: { all: true }, signal }) : Promise.resolve({ requests: [] })), `history ${history}`);
  useLive(["request"], () => history && all.again());
  const list = useMemo(() => (history ? all.data?.requests.filter((r) => r.state !== "waiting") : sorted(requests.data?.requests, me)), [history, all.data, requests.data]);
  useNotes(requests.data?.requests, me, notify === "on");
  const at = Math.min(chosen, Math.max(0, (list?.length ?? 1) - 1));
  const press = (what: string) => () => document.querySelector<HTMLElement>(`.request.chosen ${what}`)?.focus();
  useKeys({ j: () => choose(at + 1), k: () => choose(Math.max(0, at - 1)), a: press(".approve"), d: press(".deny"), c: press(".comment") });
  const done = (text: string) => { tell(text); requests.again(); all.again(); if (one !== undefined) go("/approvals"); };
  const problem = history ? all.problem : requests.problem;
  return (
    <>
      <header class="head">
        <h1>Approvals</h1>
        <Tabs now={history ? "history" : "waiting"} all={[["waiting", "/approvals", <>Waiting {requests.data !== undefined && requests.data.requests.length > 0 && <b class="badge">{requests.data.requests.length}</b>}</>], ["history", "/approvals?all", "History"]]} />
        <span class="grow" />
        <Notify on={notify === "on"} set={(on) => setNotify(on ? "on" : "off")} />
      </header>
      <p class="told" role="status">{told !== "" && <><Icon name="check" /> <Shown text={told} /></>}</p>
      {problem !== undefined && <Trouble problem={problem} again={history ? all.again : requests.again} />}
      {one !== undefined ? <One id={one} me={me} done={done} /> : (
        <>
          {list === undefined && problem === undefined && <Loading rows={3} />}
          {list?.length === 0 && !history && <Empty icon="check" title="Nothing waits">What is held or asked for appears here at once. You may leave this page open.</Empty>}
          {list?.length === 0 && history && !all.loading && <Empty icon="inbox" title="Nothing was decided yet" />}
          <div class="cards">{list?.map((r, i) => history ? <Row key={r.id} r={r} /> : <Card key={r.id} r={r} me={me} chosen={i === at} done={done} />)}</div>
          {!history && (list?.length ?? 0) > 0 && <p class="keys soft">{keysHelp.map(([k, what]) => <span key={k}><kbd>{k}</kbd> {what}</span>)}</p>}
        </>
      )}
    </>
  );
}

// Mine to decide first, then what ends soonest.
function sorted(list: Request[] | undefined, me: Whoami): Request[] | undefined {
  const key = (r: Request) => `${mayNot(r, me) === undefined ? 0 : 1} ${r.until ?? ""}`;
  return list === undefined ? undefined : [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function Row({ r }: { r: Request }) {
  return (
    <a class="row" href={`/approvals/${r.id}`}>
      <Chip text={r.state} />
      <span class="row-main"><b><Shown text={r.user} /></b> <span class="soft">at</span> <b><Shown text={r.target} /></b> <code class="one-line"><Shown text={plain(r.text, 160)} /></code></span>
      <Time at={r.decided ?? r.asked} />
    </a>
  );
}

function One({ id, me, done }: { id: string; me: Whoami; done: (said: string) => void }) {
  const asked = useAsk((signal) => get("/api/v1/requests/{id}", { id, signal }), id);
  useLive(["request"], asked.again);
  if (asked.problem !== undefined && asked.data === undefined) return <Trouble problem={asked.problem} again={asked.again} />;
  return asked.data === undefined ? <Loading rows={2} /> : <div class="cards"><Card r={asked.data} me={me} chosen={true} done={done} /></div>;
}

export function useRequests() {
  const asked = useAsk((signal) => get("/api/v1/requests", { signal }), "requests");
  useLive(["request"], asked.again);
  return asked;
}
