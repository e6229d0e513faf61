// SPDX-License-Identifier: Apache-2.0
// The rules in force, what each did, and what they would say.  Read only: policies live in files.
import { useState } from "preact/hooks";
import { get, Problem, post, type Explained, type Policy, type Rule, type Whoami } from "../lib/api";
import type { Place } from "../lib/route";
import { count, words } from "../lib/text";
import { useAsk } from "../lib/use";
import { Bar, Chip, Code, Empty, Facts, Field, Hash, Icon, Loading, Shown, Tabs, Time, Trouble } from "../ui/parts";

type Hits = Record<string, number>;
const dayOf = (r: Rule): Record<string, number[]> | undefined => (typeof r.day === "object" && r.day !== null ? (r.day as Record<string, number[]>) : undefined);
const hitsOf = (r: Rule): Hits => (typeof r.hits === "object" && r.hits !== null ? (r.hits as Hits) : {});
const sum = (h: Hits): number => Object.values(h).reduce((a, b) => a + b, 0);
const toneOf: Record<string, string> = { deny: "bad", kill: "bad", held: "wait", approve: "wait", masked: "calm", observed: "warn" };

// In each of the last 24 hours, this one last.
function Hours({ hours, what, tone }: { hours: number[]; what: string; tone: string }) {
  const top = Math.max(1, ...hours);
  const all = hours.reduce((a, b) => a + b, 0);
  return (
    <svg class={`hours ${tone}`} viewBox="0 0 96 20" preserveAspectRatio="none" role="img" aria-label={`${what} ${all} times in the last day`}>
      <title>{`${all} in the last day`}</title>
      {hours.slice(-24).map((n, i) => <rect key={i} class={n > 0 ? "fill" : "ground"} x={i * 4} width="3" y={n > 0 ? 20 - Math.max(3, (n / top) * 20) : 18.5} height={n > 0 ? Math.max(3, (n / top) * 20) : 1.5} />)}
    </svg>
  );
}

function OneRule({ r, most }: { r: Rule; most: number }) {
  const hits = hitsOf(r);
  const day = dayOf(r);
  const place = `${r.file.split("/").slice(-2).join("/")}:${r.line}`;
  return (
    <details class="rule">
      <summary>
        <span class="rule-name"><b><Shown text={r.rule} /></b><span class="soft"><Shown text={r.doc} /></span></span>
        <Chip text={r.decision} />
        {r.mode === "observe" && <Chip text="observes" tone="warn" title="it only says what it would have done" />}
        <span class="hits">{Object.entries(hits).map(([what, n]) => <span key={what} class="hit">{day?.[what] !== undefined ? <Hours hours={day[what]} what={what} tone={toneOf[what] ?? ""} /> : <Bar part={n / most} tone={toneOf[what] ?? ""} />}<span class="num">{n.toLocaleString()} <span class="soft"><Shown text={what} /></span></span></span>)}{sum(hits) === 0 && <span class="soft">never</span>}</span>
      </summary>
      <div class="rule-body">
        <Facts rows={[
          ["On", r.on.map((o) => <Chip key={o} text={o} tone="table" />)], ["When", r.when.length > 0 && <ul class="plain">{r.when.map((w) => <li key={w}><code><Shown text={w} /></code></li>)}</ul>],
          ["Unless", r.unless.length > 0 && <ul class="plain">{r.unless.map((w) => <li key={w}><code><Shown text={w} /></code></li>)}</ul>], ["Says", r.text !== "" && <Shown text={r.text} />],
          ["Where", <code title={r.file}><Shown text={place} /></code>], ["Hash", <Hash hex={r.hash} />],
        ]} />
      </div>
    </details>
  );
}

function OnePolicy({ p, since }: { p: Policy; since: string | undefined }) {
  const most = Math.max(1, ...p.rules.flatMap((r) => Object.values(hitsOf(r))));
  return (
    <section class="card policy">
      <header><h2><Shown text={p.target} /></h2>{p.mode === "observe" && <Chip text="observe" tone="warn" />}<span class="grow" /><Hash hex={p.hash} /></header>
      {p.rules.length === 0 && <p class="soft">No rule: everything that the target allows is allowed.</p>}
      {p.rules.map((r) => <OneRule key={r.hash} r={r} most={most} />)}
      <footer class="soft">{p.tags.map((t) => <span key={t.tag} title={t.columns.join(", ")}><Chip text={`tag ${t.tag}`} tone="calm" /> <Shown text={t.columns.join(", ")} /></span>)}<span class="grow" />{since !== undefined ? <>counted since <Time at={since} /></> : "counters are away: the recorder does not answer"}</footer>
    </section>
  );
}

/* ---- explain ---- */

function Verdict({ e }: { e: Explained }) {
  const statements = Array.isArray(e.statements) ? (e.statements as Record<string, string>[]) : [];
  return (
    <div class="verdict">
      <p class={`big v-${e.verdict}`}><Chip text={e.verdict} /> {e.rule !== "" && <>by <Chip text={e.rule} tone="rule" /></>} <Shown text={e.text} /></p>
      {Array.isArray(e.unclear) && e.unclear.length > 0 && <p class="note bad">Unclear, so denied: <Shown text={JSON.stringify(e.unclear)} /></p>}
      <div class="chips">{statements.flatMap((s, i) => [...words(s["verb"]).map((v) => <Chip key={`v${i}${v}`} text={v.toUpperCase()} />), ...words(s["effects"]).map((v) => <Chip key={`e${i}${v}`} text={v} tone="warn" />), ...words(s["tables"]).map((v) => <Chip key={`t${i}${v}`} text={v} tone="table" />)])}</div>
      {e.pass.length > 0 && e.verdict !== "allow" && <><h3>To pass</h3><ul class="plain">{e.pass.map((p) => <li key={p}><Shown text={p} /></li>)}</ul></>}
      <h3>Every rule</h3>
      <ul class="judged">{e.rules.map((r) => <li key={`${r.rule}${r.place}`} class={r.applies ? "applies" : ""}><Icon name={r.applies ? "check" : "cross"} /><span class="sr">{r.applies ? "applies" : "does not apply"}</span><b><Shown text={r.rule} /></b> <Chip text={r.decision} />{r.observed && <Chip text="observes" tone="warn" />}<p class="soft"><Shown text={r.why} /></p></li>)}</ul>
    </div>
  );
}

const example = "UPDATE orders SET state = 'paid'";

export function Explain({ me, targets }: { me: Whoami; targets: string[] }) {
  const anybody = me.may.includes("audit") || me.may.includes("operate");
  const [target, setTarget] = useState("");
  const [user, setUser] = useState("");
  const [groups, setGroups] = useState("");
  const [text, setText] = useState("");
  const [state, set] = useState<{ busy?: boolean; said?: Explained; problem?: Problem }>({});
  const ask = (e?: Event) => {
    e?.preventDefault();
    set({ busy: true });
    const who = user.trim() === "" ? {} : { user: user.trim(), groups: groups.split(/[\s,]+/).filter((g) => g !== "") };
    post("/api/v1/policies/explain", { target: target || targets[0] || "", text, ...who }).then((said) => set({ said }), (p: unknown) => set({ problem: p instanceof Problem ? p : new Problem(-1, String(p)) }));
  };
  return (
    <section class="card explain">
      <header><h2>What would the rules say?</h2></header>
      <form onSubmit={ask}>
        <div class="fields">
          <Field label="Target"><select value={target || targets[0]} onChange={(e) => setTarget(e.currentTarget.value)}>{targets.map((t) => <option key={t} value={t}>{t}</option>)}</select></Field>
          {anybody && <Field label="Who"><input type="text" value={user} placeholder={me.user} onInput={(e) => setUser(e.currentTarget.value)} /></Field>}
          {anybody && <Field label="In groups"><input type="text" value={groups} disabled={user.trim() === ""} placeholder={user.trim() === "" ? me.groups.join(" ") : "dev dba"} onInput={(e) => setGroups(e.currentTarget.value)} /></Field>}
        </div>
        <Field label="Statement"><textarea rows={4} spellcheck={false} value={text} placeholder={example} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={(e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && ask()} /></Field>
        <div class="actions"><button type="submit" disabled={state.busy === true || text.trim() === ""}>{state.busy ? "Asking…" : "Explain"}</button></div>
      </form>
      {state.problem !== undefined && <Trouble problem={state.problem} />}
      {state.said !== undefined && <><Code text={text} kind="sql" /><Verdict e={state.said} /></>}
    </section>
  );
}

export function Policies({ me, place }: { me: Whoami; place: Place }) {
  const reader = me.may.includes("audit") || me.may.includes("operate");
  const tab = place.query.get("tab") ?? (reader ? "rules" : "explain");
  const asked = useAsk((signal) => (reader ? get("/api/v1/policies", { signal }) : Promise.resolve({ epoch: 0, policies: [], counted_since: "" })), "policies");
  const targets = useAsk((signal) => get("/api/v1/targets", { signal }), "targets");
  const names = targets.data?.targets.map((t) => t.name) ?? [];
  return (
    <>
      <header class="head">
        <h1>Policies</h1>
        {reader && <Tabs now={tab} all={[["rules", "/policies", "Rules"], ["explain", "/policies?tab=explain", "Explain"]]} />}
        <span class="grow" />{asked.data !== undefined && reader && <span class="soft">epoch {asked.data.epoch} · {count(asked.data.policies.reduce((n, p) => n + p.rules.length, 0), "rule")}</span>}
      </header>
      {tab === "explain" ? <Explain me={me} targets={names} /> : (
        <>
          {asked.problem !== undefined && <Trouble problem={asked.problem} again={asked.again} />}
          {asked.data === undefined && asked.problem === undefined && <Loading />}
          {asked.data?.policies.length === 0 && <Empty icon="policy" title="No policy is loaded">Targets name their files: <code>policy policies/orders.lua;</code></Empty>}
          {asked.data?.policies.map((p) => <OnePolicy key={p.target} p={p} since={asked.data?.counted_since} />)}
        </>
      )}
    </>
  );
}
