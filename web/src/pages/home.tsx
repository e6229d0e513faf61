// SPDX-License-Identifier: Apache-2.0
// What I may reach, how to get in, and how to ask.
import { useEffect, useState } from "preact/hooks";
import { get, Problem, post, type Made, type Target, type Whoami } from "../lib/api";
import { forms } from "../lib/connect";
import { useLive } from "../lib/live";
import { clock, span } from "../lib/time";
import { useAsk, useNow } from "../lib/use";
import { Chip, Copy, Empty, Field, Icon, Left, Loading, Sheet, Shown, Time, Trouble } from "../ui/parts";

const hour = 3600_000;
const spans: [string, number][] = [["5 minutes", hour / 12], ["15 minutes", hour / 4], ["1 hour", hour], ["4 hours", 4 * hour], ["8 hours", 8 * hour]];

/* ---- connect ---- */

function Ticket({ ticket, anew }: { ticket: Made; anew: () => void }) {
  const left = Date.parse(ticket.window) - useNow();
  const all = forms(ticket, location.hostname);
  const [form, choose] = useState(all[0]?.name ?? "");
  const now = all.find((f) => f.name === form);
  if (all.length === 0) return <p class="note bad">The gateway has no listener for {ticket.protocol}.</p>;
  return (
    <>
      <p class={left < 60000 ? "countdown short" : "countdown"} role="timer">
        <Icon name="clock" />
        {left > 0 ? <><b>{clock(left)}</b> in which sessions may begin. Those that have begun go on.</> : <><b>Over.</b> No session begins by it any more.</>}
        {left <= 0 && <button class="quiet small" onClick={anew}>A new ticket</button>}
      </p>
      <div class="segments" role="tablist" aria-label="Forms">
        {all.map((f) => <button key={f.name} role="tab" aria-selected={f.name === form} onClick={() => choose(f.name)}>{f.name}</button>)}
      </div>
      {now !== undefined && <div class="copyable"><pre class="code" tabIndex={0} role="group" aria-label={now.name}><code>{now.text}</code></pre><Copy text={now.text} label={now.name} /></div>}
      <p class="soft">The password is shown here and never again. It opens this one target only, as you.</p>
    </>
  );
}

function Connect({ target, close }: { target: Target; close: () => void }) {
  const [ticket, set] = useState<Made>();
  const [problem, setProblem] = useState<Problem>();
  const make = () => {
    setProblem(undefined);
    set(undefined);
    post("/api/v1/tickets", { target: target.name }).then(set, (e: unknown) => setProblem(e instanceof Problem ? e : new Problem(-1, String(e))));
  };
  useEffect(make, []);
  return (
    <Sheet title={`Connect to ${target.name}`} close={close}>
      {problem !== undefined && <Trouble problem={problem} again={make} />}
      {ticket === undefined && problem === undefined && <Loading rows={2} />}
      {ticket !== undefined && <Ticket key={ticket.id} ticket={ticket} anew={make} />}
      <p class="soft">In a terminal, <code>sallyport connect {target.name}</code> does all of this.</p>
    </Sheet>
  );
}

/* ---- ask ---- */

function Ask({ target, close, done }: { target: Target; close: () => void; done: () => void }) {
  const [length, setLength] = useState(Math.min(hour, target.longest ?? hour));
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const send = (e: Event) => {
    e.preventDefault();
    setBusy(true);
    post("/api/v1/requests", { target: target.name, for: length, reason: reason.trim() }).then(
      () => { done(); close(); },
      (why: unknown) => { setBusy(false); setProblem(why instanceof Problem ? why : new Problem(-1, String(why))); },
    );
  };
  return (
    <Sheet title={`Access to ${target.name}`} close={close}>
      <form onSubmit={send}>
        <Field label="For how long"><select value={length} onChange={(e) => setLength(Number(e.currentTarget.value))}>{spans.filter(([, ms], i) => i === 0 || ms <= (target.longest ?? Infinity)).map(([name, ms]) => <option key={ms} value={ms}>{name}</option>)}</select></Field>
        <Field label="Why"><input type="text" required maxLength={200} value={reason} placeholder="What you will do, and the ticket it is for" onInput={(e) => setReason(e.currentTarget.value)} /></Field>
        {problem !== undefined && <p class="note bad" role="alert"><Shown text={problem.message} /></p>}
        <div class="actions"><button type="submit" disabled={busy || reason.trim() === ""}>{busy ? "Asking…" : "Ask"}</button></div>
        <p class="soft">Who approves sees your name, this reason and where you are. You are let in as soon as they say yes.</p>
      </form>
    </Sheet>
  );
}

/* ---- targets ---- */

interface Access {
  target: Target;
  glass: boolean; // by a broken glass
  asked: boolean;
}

function Card({ a, open }: { a: Access; open: (what: "connect" | "ask") => void }) {
  const labels = typeof a.target.label === "object" && a.target.label !== null ? Object.entries(a.target.label as Record<string, unknown>) : [];
  const { state } = a.target;
  const allowed = state === "allowed" || state === "granted";
  return (
    <article class="card target">
      <header><Icon name="server" /><h2><Shown text={a.target.name} /></h2><span class="soft"><Shown text={a.target.protocol} /></span></header>
      <div class="chips">{labels.map(([k, v]) => <Chip key={k} text={`${k}=${String(v)}`} tone={v === "prod" ? "warn" : "calm"} />)}{a.target.databases.length > 0 && a.target.database !== "" && <Chip text={a.target.database} tone="table" />}</div>
      <p class="access">
        {state === "allowed" && <><Chip text="allowed" tone="good" /> <span class="soft">standing access</span></>}
        {state === "granted" && <><Chip text={a.glass ? "break-glass" : "granted"} tone={a.glass ? "bad" : "good"} /> {a.target.until !== undefined && <Left until={a.target.until} />}</>}
        {state === "not yours" && <><Chip text="not yours" tone="off" /> <span class="soft">other groups use it</span></>}
        {state === "needs a grant" && (a.asked ? <><Chip text="asked" tone="wait" /> <span class="soft">waits for an approver</span></> : <><Chip text="needs a grant" tone="wait" />{a.target.longest !== undefined && <span class="soft"> of at most {span(a.target.longest)}</span>}</>)}
      </p>
      <div class="actions">
        {allowed ? <button onClick={() => open("connect")}><Icon name="key" />Connect</button> : state === "needs a grant" && <button class="quiet" disabled={a.asked} onClick={() => open("ask")}>Request access</button>}
      </div>
    </article>
  );
}

export function Home({ me }: { me: Whoami }) {
  const targets = useAsk((signal) => get("/api/v1/targets", { signal }), "targets");
  const grants = useAsk((signal) => get("/api/v1/grants", { signal }), "grants");
  const requests = useAsk((signal) => get("/api/v1/requests", { signal }), "requests");
  const [filter, setFilter] = useState("");
  const [sheet, setSheet] = useState<{ what: "connect" | "ask"; target: Target }>();
  const refresh = () => { targets.again(); grants.again(); requests.again(); };
  useLive(["grant", "request"], refresh);
  const access = (t: Target): Access => ({
    target: t,
    glass: grants.data?.grants.some((g) => g.id === t.grant && g.break_glass) ?? false,
    asked: requests.data?.requests.some((r) => r.kind === "grant" && r.target === t.name && r.user === me.user && r.state === "waiting") ?? false,
  });
  const list = targets.data?.targets.filter((t) => `${t.name} ${t.protocol} ${JSON.stringify(t.label)}`.toLowerCase().includes(filter.toLowerCase()));
  const mine = grants.data?.grants.filter((g) => g.user === me.user && g.state === "live") ?? [];
  return (
    <>
      <header class="head"><h1>Targets</h1><span class="grow" /><input type="search" aria-label="Filter targets" placeholder="Filter" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></header>
      {targets.problem !== undefined && <Trouble problem={targets.problem} again={targets.again} />}
      {targets.data === undefined && targets.problem === undefined && <Loading />}
      {list?.length === 0 && <Empty icon="server" title={filter === "" ? "No target is open to you" : "No target fits"}>{filter === "" && "Targets name the groups that may reach them. Who runs the gateway can add yours."}</Empty>}
      <div class="grid">{list?.map((t) => <Card key={t.name} a={access(t)} open={(what) => setSheet({ what, target: t })} />)}</div>
      {mine.length > 0 && (
        <section><h2>My grants</h2><div class="cards">{mine.map((g) => (
          <div class="row" key={g.id}><Chip text="granted" tone="good" /><span class="row-main"><b><Shown text={g.target} /></b> <Shown text={g.reason} /></span><span class="soft">since <Time at={g.since} /></span><Left until={g.until} />
            <button class="quiet small" onClick={() => post("/api/v1/grants/{id}/end", {}, g.id).then(refresh, refresh)}>End</button></div>
        ))}</div></section>
      )}
      {sheet?.what === "connect" && <Connect target={sheet.target} close={() => setSheet(undefined)} />}
      {sheet?.what === "ask" && <Ask target={sheet.target} close={() => setSheet(undefined)} done={refresh} />}
    </>
  );
}
