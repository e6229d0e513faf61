// SPDX-License-Identifier: Apache-2.0
// What /metrics says, read: samples by name, and quantiles of histograms.

export interface Sample {
  labels: Record<string, string>;
  value: number;
}
export type Metrics = Map<string, Sample[]>;

function labelsOf(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const m of text.matchAll(/([a-zA-Z_]\w*)="((?:\\.|[^"\\])*)"/g)) out[m[1]!] = m[2]!.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
  return out;
}

export function metrics(text: string): Metrics {
  const out: Metrics = new Map();
  for (const line of text.split("\n")) {
    const m = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (m === null) continue;
    const list = out.get(m[1]!) ?? [];
    list.push({ labels: labelsOf(m[2] ?? ""), value: m[3] === "+Inf" ? Infinity : Number(m[3]) });
    out.set(m[1]!, list);
  }
  return out;
}

export function total(m: Metrics, name: string, where: Record<string, string> = {}): number {
  const fits = (s: Sample) => Object.entries(where).every(([k, v]) => s.labels[k] === v);
  return (m.get(name) ?? []).filter(fits).reduce((sum, s) => sum + s.value, 0);
}

// Sums of a name by one of its labels, largest first.
export function by(m: Metrics, name: string, label: string, where: Record<string, string> = {}): [string, number][] {
  const sums = new Map<string, number>();
  for (const s of m.get(name) ?? [])
    if (Object.entries(where).every(([k, v]) => s.labels[k] === v)) sums.set(s.labels[label] ?? "", (sums.get(s.labels[label] ?? "") ?? 0) + s.value);
  return [...sums].sort((a, b) => b[1] - a[1]);
}

export interface Bucket {
  upto: number; // seconds, Infinity last
  n: number; // in this one alone
}

export function buckets(m: Metrics, name: string): Bucket[] {
  const sums = new Map<number, number>();
  for (const s of m.get(`${name}_bucket`) ?? []) {
    const le = s.labels["le"] === "+Inf" ? Infinity : Number(s.labels["le"]);
    sums.set(le, (sums.get(le) ?? 0) + s.value);
  }
  let below = 0;
  return [...sums].sort((a, b) => a[0] - b[0]).map(([upto, n]) => {
    const own = n - below;
    below = n;
    return { upto, n: own };
  });
}

// As Prometheus does: evenly spread inside the bucket.  undefined: nothing was measured.
export function quantile(list: Bucket[], q: number): number | undefined {
  const all = list.reduce((sum, b) => sum + b.n, 0);
  let seen = 0;
  let from = 0;
  if (all === 0) return undefined;
  for (const b of list) {
    if (b.n > 0 && seen + b.n >= q * all) return b.upto === Infinity ? from : from + ((b.upto - from) * (q * all - seen)) / b.n;
    seen += b.n;
    from = b.upto;
  }
  return from;
}
