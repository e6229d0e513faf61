// SPDX-License-Identifier: Apache-2.0
// Frames of a recording, as the replay tells them, put together by operation.

export type Cell = string | null;
export interface Column {
  name: string;
  masked: boolean;
}
export interface Event {
  at: number; // µs since the session began
  what: string;
  rule?: string;
  message?: string;
  approver?: string;
  observed?: string;
}
export interface Operation {
  op: number;
  at: number;
  kind: string;
  tag: string;
  text: string;
  sealed: boolean;
  sha256: string;
  params: (Cell | undefined)[];
  attributes: string[];
  facts: string[];
  events: Event[];
  columns: Column[];
  rows: Cell[][];
  more: number; // rows that are not kept here
  output: string;
  done?: { at: number; rows?: number; bytes?: number; tag?: string; error?: string };
  cut?: { rows?: number; bytes?: number; hash?: string };
}
export interface Timeline {
  header?: Record<string, unknown>;
  operations: Map<number, Operation>;
  end?: { at: number; torn: boolean; why: string; message: string };
  frames: number;
  last: number; // µs
}

export const rowsKept = 500;
const outputKept = 256 * 1024;

export function timeline(): Timeline {
  return { operations: new Map(), frames: 0, last: 0 };
}

type Frame = Record<string, unknown>;
const str = (f: Frame, name: string): string => (typeof f[name] === "string" ? (f[name] as string) : "");
const num = (f: Frame, name: string): number | undefined => (typeof f[name] === "number" ? (f[name] as number) : undefined);
const list = (f: Frame, name: string): unknown[] => (Array.isArray(f[name]) ? (f[name] as unknown[]) : []);

// Bytes that are no text come as {"hex": "…"}.
export function cell(value: unknown): Cell {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "object" && "hex" in value) return `0x${String(value.hex)}`;
  return String(value);
}

function param(value: unknown): Cell | undefined {
  if (typeof value !== "object" || value === null || !("value" in value)) return cell(value);
  return cell(value.value);
}

function operation(t: Timeline, f: Frame): Operation {
  const op = num(f, "op") ?? 0;
  let o = t.operations.get(op);
  if (o === undefined) {
    o = { op, at: num(f, "at_us") ?? 0, kind: "", tag: "", text: "", sealed: false, sha256: "", params: [], attributes: [], facts: [], events: [], columns: [], rows: [], more: 0, output: "" };
    t.operations.set(op, o);
  }
  return o;
}

function verdict(o: Operation, f: Frame, what: string): void {
  const e: Event = { at: num(f, "at_us") ?? 0, what };
  if (str(f, "rule") !== "") e.rule = str(f, "rule");
  if (str(f, "message") !== "") e.message = str(f, "message");
  if (str(f, "approver") !== "") e.approver = str(f, "approver");
  if (str(f, "observed") !== "") e.observed = str(f, "observed");
  o.events.push(e);
}

function asked(o: Operation, f: Frame): void {
  o.kind = str(f, "kind") || o.kind;
  o.tag = str(f, "tag") || o.tag;
  o.sha256 = str(f, "sha256") || o.sha256;
  if (typeof f["text"] === "string" || typeof f["text"] === "object") o.text = cell(f["text"]) ?? "";
  o.sealed = f["text"] === undefined && o.text === "" && o.sha256 !== "";
  if (list(f, "params").length > 0) o.params = list(f, "params").map(param);
  if (list(f, "attributes").length > 0) o.attributes = list(f, "attributes").map(String);
  if (list(f, "facts").length > 0) o.facts = list(f, "facts").map(String);
}

function rows(o: Operation, f: Frame): void {
  for (const row of list(f, "rows")) {
    if (o.rows.length < rowsKept) o.rows.push(Array.isArray(row) ? row.map(cell) : [cell(row)]);
    else o.more++;
  }
}

function column(c: unknown): Column {
  const o = (typeof c === "object" && c !== null ? c : {}) as Frame;
  return { name: cell(o["name"] ?? "") ?? "", masked: o["masked"] === true };
}

const takes: Record<string, (t: Timeline, f: Frame) => void> = {
  header: (t, f) => { t.header = f; },
  operation: (t, f) => asked(operation(t, f), f),
  verdict: (t, f) => verdict(operation(t, f), f, str(f, "what")),
  held: (t, f) => verdict(operation(t, f), f, "held"),
  columns: (t, f) => { operation(t, f).columns = list(f, "columns").map(column); },
  rows: (t, f) => rows(operation(t, f), f),
  output: (t, f) => {
    const o = operation(t, f);
    if (o.output.length < outputKept) o.output += cell(f["data"] ?? "") ?? "";
  },
  done: (t, f) => { operation(t, f).done = { at: num(f, "at_us") ?? 0, rows: num(f, "rows"), bytes: num(f, "bytes"), tag: str(f, "tag"), error: str(f, "error") }; },
  cut: (t, f) => { operation(t, f).cut = { rows: num(f, "rows"), bytes: num(f, "bytes"), hash: str(f, "hash") }; },
  end: (t, f) => { t.end = { at: num(f, "at_us") ?? 0, torn: false, why: str(f, "why"), message: str(f, "message") }; },
  torn: (t, f) => { t.end = { at: num(f, "at_us") ?? 0, torn: true, why: "torn", message: str(f, "message") }; },
};

export function take(t: Timeline, f: Frame): void {
  t.frames = Math.max(t.frames, num(f, "frame") ?? 0);
  t.last = Math.max(t.last, num(f, "at_us") ?? 0);
  takes[str(f, "type")]?.(t, f);
}

// The last word on an operation.
export function verdictOf(o: Operation): string {
  return o.events[o.events.length - 1]?.what ?? "";
}

// Rows that the recording has and this does not: those behind the head that was asked for, too.
export function rowsMore(o: Operation): number {
  return o.columns.length === 0 ? 0 : Math.max(o.more, (o.done?.rows ?? 0) - (o.cut?.rows ?? 0) - o.rows.length);
}
