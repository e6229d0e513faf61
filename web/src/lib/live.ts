// SPDX-License-Identifier: Apache-2.0
// What happens, as it happens: server-sent events; while there are none, the page asks every few seconds.
import { useEffect, useRef, useState } from "preact/hooks";

export type Live = "live" | "lost" | "asking"; // asking: this gateway has no such stream
type Listener = (what: string) => void;

const events = "/api/v1/events";
const kinds = ["request", "session", "grant"];
const listeners = new Set<Listener>();
const watchers = new Set<(state: Live) => void>();
let source: EventSource | undefined;
let state: Live = "lost";
let poll = 0;
let retry = 0;

function become(next: Live): void {
  if (next !== state) {
    state = next;
    watchers.forEach((w) => w(next));
  }
  clearInterval(poll);
  if (next !== "live") poll = setInterval(() => document.hidden || tell("poll"), 4000) as unknown as number;
}

function tell(what: string): void {
  listeners.forEach((l) => l(what));
}

function open(): void {
  const es = new EventSource(events);
  source = es;
  es.onopen = () => {
    if (state !== "live") tell("poll"); // what was missed
    become("live");
  };
  es.addEventListener("reset", () => tell("poll"));
  es.addEventListener("end", () => tell("poll")); // the sign-in is over, or the gateway: the next question says which
  for (const kind of kinds) es.addEventListener(kind, () => tell(kind));
  es.onerror = () => {
    if (source !== es) return;
    const refused = es.readyState === EventSource.CLOSED;
    become(refused ? "asking" : "lost");
    if (refused) {
      clearTimeout(retry);
      retry = setTimeout(open, 30000) as unknown as number;
    }
  };
}

export function connect(): void {
  if (source === undefined) open();
}

export function disconnect(): void {
  source?.close();
  source = undefined;
  clearInterval(poll);
  clearTimeout(retry);
}

// then(): something of these kinds changed, or nobody knows and it is time to look.
export function useLive(what: string[], then: () => void): Live {
  const [now, set] = useState<Live>(state);
  const act = useRef(then);
  act.current = then;
  useEffect(() => {
    let due = 0;
    const hear: Listener = (kind) => {
      if (kind !== "poll" && !what.includes(kind)) return;
      clearTimeout(due); // many at once are one
      due = setTimeout(() => act.current(), 40) as unknown as number;
    };
    listeners.add(hear);
    watchers.add(set);
    set(state);
    return () => {
      clearTimeout(due);
      listeners.delete(hear);
      watchers.delete(set);
    };
  }, []);
  return now;
}
