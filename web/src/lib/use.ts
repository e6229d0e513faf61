// SPDX-License-Identifier: Apache-2.0
// Hooks: what is asked for, what ticks, what comes live.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api";

export interface Asked<T> {
  data?: T;
  problem?: Problem;
  loading: boolean;
  again: () => void;
}

// Asks anew when `key` changes or again() is called; what was there stays until the next answer.
export function useAsk<T>(ask: (signal: AbortSignal) => Promise<T>, key: string): Asked<T> {
  const [state, set] = useState<{ key: string; data?: T; problem?: Problem; loading: boolean }>({ key, loading: true });
  const [turn, next] = useState(0);
  const asked = useRef(ask);
  asked.current = ask;
  useEffect(() => {
    const stop = new AbortController();
    set((s) => (s.key === key ? { ...s, loading: true } : { key, loading: true }));
    asked.current(stop.signal).then(
      (data) => stop.signal.aborted || set({ key, data, loading: false }),
      (why: unknown) => {
        if (stop.signal.aborted) return;
        set((s) => ({ ...s, problem: why instanceof Problem ? why : new Problem(-1, String(why)), loading: false }));
      },
    );
    return () => stop.abort();
  }, [key, turn]);
  const again = useCallback(() => next((n) => n + 1), []);
  const mine = state.key === key;
  return { data: mine ? state.data : undefined, problem: mine ? state.problem : undefined, loading: state.loading || !mine, again };
}

// The time, each second; one clock for the page.
const tickers = new Set<() => void>();
setInterval(() => tickers.forEach((t) => t()), 1000);
export function useNow(): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const tick = () => set(Date.now());
    tickers.add(tick);
    return () => void tickers.delete(tick);
  }, []);
  return now;
}

// A phone, as the style sheet has it.
const phone = "(max-width: 820px)";
export function useNarrow(): boolean {
  const [narrow, set] = useState(matchMedia(phone).matches);
  useEffect(() => {
    const of = matchMedia(phone);
    const look = () => set(of.matches);
    of.addEventListener("change", look);
    return () => of.removeEventListener("change", look);
  }, []);
  return narrow;
}

// Keys that work while nobody types.
export function useKeys(keys: Record<string, () => void>): void {
  const now = useRef(keys);
  now.current = keys;
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      const at = e.target instanceof Element ? e.target : document.body;
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest("input, textarea, select, [contenteditable], dialog, .player") !== null) return;
      const act = now.current[e.key];
      if (act === undefined) return;
      e.preventDefault();
      act();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

export function useStored(name: string, first: string): [string, (value: string) => void] {
  const [value, set] = useState(() => {
    try {
      return localStorage.getItem(name) ?? first;
    } catch {
      return first;
    }
  });
  return [value, (v) => {
    set(v);
    try {
      localStorage.setItem(name, v);
    } catch {
      // a browser that keeps nothing
    }
  }];
}
