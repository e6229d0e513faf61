// SPDX-License-Identifier: Apache-2.0
// How the gateway does: what it let through, what it costs, whether its parts are well.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, text } from "../lib/api";
import { buckets, by, metrics, quantile, total, type Metrics } from "../lib/metrics";
import { bytes, count } from "../lib/text";
import { measured, span } from "../lib/time";
import { useAsk } from "../lib/use";
import { Columns, Lines, Rank, Stack } from "../ui/charts";
import { Chip, Loading, Shown, Time, Trouble } from "../ui/parts";

const every = 5000; // ms
const points = 60;

interface Now {
  m: Metrics;
  sessions: number[];
  rate: number[]; // operations a second
}

// What has been since this page was opened: the gateway itself keeps no past of its numbers.
function useNumbers() {
  const asked = useAsk(async () => metrics(await text("/metrics")), "metrics");
  const past = useRef<{ at: number; operations: number }>();
  const [now, set] = useState<Now>();
  useEffect(() => {
    const t = setInterval(() => document.hidden || asked.again(), every);
    return () => clearInterval(t);
  }, []);
  useEffect(() => {
    const m = asked.data;
    if (m === undefined) return;
    const operations = total(m, "sallyport_operations_total");
    const at = performance.now();
    const rate = past.current === undefined ? 0 : Math.max(0, operations - past.current.operations) / Math.max(0.5, (at - past.current.at) / 1000);
    past.current = { at, operations };
    set((n) => ({ m, sessions: [...(n?.sessions ?? []), total(m, "sallyport_sessions")].slice(-points), rate: n === undefined ? [0] : [...n.rate, rate].slice(-points) }));
  }, [asked.data]);
  return { now, problem: asked.problem, again: asked.again };
}

function Tile({ title, big, small, children, wide }: { title: string; big?: ComponentChildren; small?: ComponentChildren; children?: ComponentChildren; wide?: boolean }) {
  return <section class={`card tile ${wide === true ? "wide" : ""}`}><h2>{title}</h2>{big !== undefined && <p class="big num">{big} <span class="soft">{small}</span></p>}{children}</section>;
}

const seconds = (s: number | undefined): string => (s === undefined ? "–" : measured(s * 1e6));
const named = (upto: number): string => (upto === Infinity ? "more" : measured(upto * 1e6));

function Latency({ m }: { m: Metrics }) {
  const b = buckets(m, "sallyport_forward_seconds");
  return (
    <Tile title="Latency added" big={seconds(quantile(b, 0.5))} small={<>median · p99 {seconds(quantile(b, 0.99))}</>}>
      <Columns label="Time from a client's bytes to the target" values={b.map((x) => ({ name: named(x.upto), n: x.n }))} />
    </Tile>
  );
}

function Waiting({ m }: { m: Metrics }) {
  const b = buckets(m, "sallyport_approval_wait_seconds");
  const n = b.reduce((sum, x) => sum + x.n, 0);
  return (
    <Tile title="Waiting for approval" big={total(m, "sallyport_requests_waiting").toLocaleString()} small={n === 0 ? "now; none decided yet" : <>now · decided after {seconds(quantile(b, 0.5))} at the median</>}>
      <Columns label="Time from a request to its decision" values={b.map((x) => ({ name: named(x.upto), n: x.n }))} />
    </Tile>
  );
}

function Health({ m }: { m: Metrics }) {
  const commits = buckets(m, "sallyport_store_commit_seconds");
  const up = total(m, "sallyport_recorder_up") === 1;
  const rows: [string, ComponentChildren][] = [
    ["Recorder", up ? <Chip text="writes" tone="good" /> : <Chip text="away" tone="bad" />], ["Its lag", seconds(total(m, "sallyport_recorder_lag_seconds"))],
    ["Not yet taken", bytes(total(m, "sallyport_recorder_waiting_bytes"))], ["Store commit, p99", seconds(quantile(commits, 0.99))], ["Workers", String(total(m, "sallyport_workers"))],
    ["Log-ins", <>{total(m, "sallyport_logins_total", { result: "admitted" }).toLocaleString()} <span class="soft">and {total(m, "sallyport_logins_total", { result: "refused" }).toLocaleString()} refused</span></>],
    ["API calls refused", total(m, "sallyport_api_refused_total").toLocaleString()],
  ];
  return <Tile title="Health" wide={true}><dl class="health">{rows.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl></Tile>;
}

export function Overview() {
  const { now, problem, again } = useNumbers();
  const status = useAsk((signal) => get("/api/v1/status", { signal }), "status");
  if (now === undefined) return <><header class="head"><h1>Overview</h1></header>{problem !== undefined ? <Trouble problem={problem} again={again} /> : <Loading />}</>;
  const { m } = now;
  const denied = by(m, "sallyport_operations_total", "rule", { verdict: "deny" }).map(([rule, n]): [string, number] => [rule || "unclear or refused by the gateway", n]);
  const s = status.data;
  return (
    <>
      <header class="head"><h1>Overview</h1><span class="grow" />{s !== undefined && <span class="soft">version <Shown text={s.version} /> · epoch {s.epoch} · up {span(Date.now() - Date.parse(s.started))} · since <Time at={s.started} /></span>}</header>
      {problem !== undefined && <div class="banner warn" role="status">These numbers are old: {problem.message}</div>}
      <div class="tiles">
        <Tile title="Sessions" big={total(m, "sallyport_sessions").toLocaleString()} small="open now"><Lines points={now.sessions} label="Open sessions" format={(n) => count(n, "session")} /></Tile>
        <Tile title="Operations" big={total(m, "sallyport_operations_total").toLocaleString()} small={`${(now.rate[now.rate.length - 1] ?? 0).toFixed(1)} a second`}><Lines points={now.rate} label="Operations a second" format={(n) => n.toFixed(1)} /></Tile>
        <Latency m={m} />
        <Waiting m={m} />
        <Tile title="Verdicts" wide={true}><Stack parts={by(m, "sallyport_operations_total", "verdict")} label="Operations by verdict" /></Tile>
        <Tile title="Most denied by"><Rank rows={denied.slice(0, 6)} label="Rules by how often they denied" tone="bad" /></Tile>
        <Tile title="Most held by"><Rank rows={by(m, "sallyport_operations_total", "rule", { verdict: "held" }).slice(0, 6)} label="Rules by how often they held" tone="wait" /></Tile>
        <Tile title="Masks" big={total(m, "sallyport_masked_values_total").toLocaleString()} small={`values in ${count(total(m, "sallyport_masked_columns_total"), "column")}`}><Rank rows={by(m, "sallyport_rule_hits_total", "rule", { verdict: "masked" }).slice(0, 5)} label="Rules by how often they masked" tone="calm" /></Tile>
        <Tile title="Sessions by target"><Rank rows={by(m, "sallyport_sessions", "target").filter(([, n]) => n > 0).slice(0, 6)} label="Open sessions by target" tone="accent" /></Tile>
        <Health m={m} />
      </div>
    </>
  );
}
