// SPDX-License-Identifier: Apache-2.0
// A recording of a terminal as it arrives: played at once, however long it is; live ones as they happen.

export type CastEvent = [time: number, code: string, data: string];
export interface CastHeader {
  width: number;
  height: number;
}

// asciicast version 2: a header, then an event a line.
export function castLine(line: string): CastHeader | CastEvent | undefined {
  if (line === "") return undefined;
  const o: unknown = JSON.parse(line);
  if (Array.isArray(o)) return typeof o[0] === "number" && typeof o[1] === "string" && typeof o[2] === "string" ? [o[0], o[1], o[2]] : undefined;
  if (typeof o !== "object" || o === null || !("width" in o)) return undefined;
  const { width, height } = o as { width: unknown; height: unknown };
  return { width: Number(width) || 80, height: Number(height) || 24 };
}

// When an event is shown, ms after the first: long pauses become short ones.
export class Pace {
  private last = 0;
  private skipped = 0;
  constructor(private readonly idle: number) {}
  at(time: number): number {
    const gap = time - this.last;
    if (gap > this.idle) this.skipped += gap - this.idle;
    this.last = time;
    return (time - this.skipped) * 1000;
  }
}

interface Callbacks {
  dispatch: (event: string, data?: unknown) => void;
}
interface Timing {
  time: number;
  rate: number;
  sampledAt: number; // ms, of the clock that the player reads
}

async function* castLines(url: string, signal: AbortSignal): AsyncGenerator<string> {
  const r = await fetch(url, { signal, credentials: "same-origin", cache: "no-store" });
  if (!r.ok) throw new Error(`The gateway answered ${r.status}.`);
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : parts.pop()!;
    yield* parts;
    if (done) return;
  }
}

// What the player calls a driver.  live: what there is comes at once, and then as it happens.
export function streamed(url: string, live: boolean, idle: number) {
  return ({ dispatch }: Callbacks) => {
    const stop = new AbortController();
    let resume: (() => void) | undefined;
    let paused = false;
    let started = false;
    let now = 0;
    const timing = (): Timing => ({ time: now, rate: paused ? 0 : 1, sampledAt: performance.timeOrigin + performance.now() });
    const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
    const wait = async () => { while (paused) await new Promise<void>((done) => { resume = done; }); };
    const show = (e: CastEvent) => {
      now = e[0];
      if (e[1] === "o") dispatch("output", e[2]);
      const size = e[1] === "r" ? /^(\d+)x(\d+)$/.exec(e[2]) : null;
      if (size !== null) dispatch("resize", { cols: Number(size[1]), rows: Number(size[2]) });
    };
    const run = async () => {
      const pace = new Pace(idle);
      let zero = performance.now();
      for await (const line of castLines(url, stop.signal)) {
        const e = castLine(line);
        if (e === undefined) continue;
        if (!Array.isArray(e)) {
          dispatch("reset", { size: { cols: e.width, rows: e.height } });
          dispatch("playing");
          continue;
        }
        const due = live ? 0 : pace.at(e[0]) - (performance.now() - zero);
        if (due > 4) await sleep(due);
        if (paused) {
          const from = performance.now();
          await wait();
          zero += performance.now() - from;
        }
        show(e);
        dispatch("timing", timing());
      }
      dispatch("ended", { message: live ? "The session has ended" : "" });
    };
    const begin = () => {
      if (started) return;
      started = true;
      dispatch("play");
      run().catch((why: unknown) => stop.signal.aborted || dispatch("error", String(why)));
    };
    return {
      play: () => { paused = false; resume?.(); begin(); dispatch("playing"); return true; },
      ...(live ? {} : { pause: () => { paused = true; dispatch("pause"); return true; } }),
      stop: () => { stop.abort(); paused = false; resume?.(); },
      getTiming: timing,
    };
  };
}
