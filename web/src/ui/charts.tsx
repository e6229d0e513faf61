// SPDX-License-Identifier: Apache-2.0
// Charts for where people would rather look than read; each says in words what it shows.
import { Shown } from "./parts";

const colours: Record<string, string> = { allow: "good", deny: "bad", held: "wait", kill: "bad", mask: "calm", limit: "warn" };

export function Lines({ points, label, format }: { points: number[]; label: string; format: (n: number) => string }) {
  const top = Math.max(...points, 1e-9);
  const last = points[points.length - 1] ?? 0;
  const step = points.length > 1 ? 100 / (points.length - 1) : 100;
  const at = (n: number) => 36 - (n / top) * 32;
  const path = points.map((n, i) => `${i === 0 ? "M" : "L"}${(i * step).toFixed(2)} ${at(n).toFixed(2)}`).join("");
  return (
    <svg class="lines" viewBox="0 0 100 38" preserveAspectRatio="none" role="img" aria-label={`${label}: now ${format(last)}, at most ${format(top)}`}>
      <path class="area" d={`${path}L${((points.length - 1) * step).toFixed(2)} 38L0 38Z`} /><path class="stroke" d={path} vector-effect="non-scaling-stroke" />
    </svg>
  );
}

export function Stack({ parts, label }: { parts: [string, number][]; label: string }) {
  const all = parts.reduce((sum, [, n]) => sum + n, 0);
  let x = 0;
  return (
    <div class="stack">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={`${label}: ${parts.map(([k, n]) => `${k} ${n}`).join(", ")}`}>
        {all === 0 && <rect class="ground" width="100" height="8" />}
        {parts.map(([k, n]) => { const w = all === 0 ? 0 : (n / all) * 100; const from = x; x += w; return <rect key={k} class={`f-${colours[k] ?? "off"}`} x={from} width={Math.max(0, w - 0.3)} height="8" />; })}
      </svg>
      <ul class="legend">{parts.map(([k, n]) => <li key={k}><i class={`f-${colours[k] ?? "off"}`} /><Shown text={k} /> <b class="num">{n.toLocaleString()}</b></li>)}</ul>
    </div>
  );
}

export function Rank({ rows, label, tone }: { rows: [string, number][]; label: string; tone: string }) {
  const top = Math.max(1, ...rows.map(([, n]) => n));
  if (rows.length === 0) return <p class="soft">None so far.</p>;
  return (
    <table class="rank"><caption class="sr">{label}</caption><tbody>
      {rows.map(([name, n]) => <tr key={name}><th scope="row"><Shown text={name} /></th><td class="rank-bar"><svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class={`f-${tone}`} width={(n / top) * 100} height="6" rx="1" /></svg></td><td class="num">{n.toLocaleString()}</td></tr>)}
    </tbody></table>
  );
}

export function Columns({ values, label }: { values: { name: string; n: number }[]; label: string }) {
  const top = Math.max(1, ...values.map((v) => v.n));
  const width = 100 / Math.max(1, values.length);
  return (
    <div class="columns" role="img" aria-label={`${label}: ${values.filter((v) => v.n > 0).map((v) => `${v.name} ${v.n}`).join(", ") || "nothing yet"}`}>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">{values.map((v, i) => <rect key={v.name} class="f-accent" x={i * width + width * 0.12} width={width * 0.76} y={40 - (v.n / top) * 38} height={(v.n / top) * 38}><title>{`${v.name}: ${v.n}`}</title></rect>)}</svg>
      <div class="axis soft" aria-hidden="true"><span>{values[0]?.name}</span><span>{values[Math.floor(values.length / 2)]?.name}</span><span>{values[values.length - 1]?.name}</span></div>
    </div>
  );
}
