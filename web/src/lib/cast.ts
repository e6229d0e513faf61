// SPDX-License-Identifier: Apache-2.0
// A recording of a terminal as it arrives: played at once, however long it is; live ones as they happen.
//
//   lines of an asciicast ─▶ passed over, up to where one wants to be ─▶ each when it is due ─▶ the player's screen
//
// Nothing is kept: going back asks for the recording anew, and passes over what comes before that place.
import { textLines } from "./api";

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

/* ---- playing ---- */

export type Mark = [time: number, label: string];
export type Where = number | string | { marker: number | "prev" | "next" };

// Where the player's keys, bar and marks lead, s; undefined: nowhere.
export function placeOf(where: Where, now: number, duration: number, marks: Mark[]): number | undefined {
  const steps: Record<string, number> = { "<<": -5, ">>": 5, "<<<": -duration / 10, ">>>": duration / 10 };
  if (typeof where === "number") return Math.max(0, where);
  if (typeof where === "string") {
    const part = Number(where.replace(/%$/, ""));
    return where in steps ? Math.max(0, now + steps[where]!) : where.endsWith("%") && Number.isFinite(part) ? (duration * part) / 100 : undefined;
  }
  if (where.marker === "prev") return [...marks].reverse().find((m) => m[0] < now - 1)?.[0] ?? 0;
  return where.marker === "next" ? marks.find((m) => m[0] > now)?.[0] : marks[where.marker]?.[0];
}

interface Callbacks {
  dispatch: (event: string, data?: unknown) => void;
}

const tick = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

// What the player calls a driver.  live: what there is comes at once, and then as it happens.
export class Screening {
  private dispatch: Callbacks["dispatch"] = () => undefined;
  private stop = new AbortController();
  private paused = true;
  private over = true; // nothing is being read
  private goal = -1; // s: up to there nothing waits
  private now = 0; // s: of the last event shown
  private next = 0; // s: of the one that waits
  private shown = 0; // ms, of the browser's clock: when `now` was
  private told = 0; // ms: when the player heard it last
  private reopened = -1; // s: where a broken stream was begun anew
  private duration = 0;
  private marks: Mark[] = [];
  private wake: () => void = () => undefined;
  constructor(private readonly url: string, private readonly live: boolean, private readonly idle: number, private readonly failed: (why: unknown) => void) {}

  // The player's bar: its length, s, and where something was denied or held.
  tell(duration: number, marks: Mark[]): void {
    this.duration = duration;
    this.marks = marks;
    if (!this.live) this.dispatch("metadata", { duration: duration > 0 ? duration : undefined, markers: marks });
  }

  readonly source = ({ dispatch }: Callbacks) => {
    this.dispatch = dispatch;
    return {
      init: () => { this.tell(this.duration, this.marks); this.begin(-1); },
      play: () => this.play(),
      ...(this.live ? {} : { pause: () => this.pause(), seek: (where: Where) => this.seek(where) }),
      stop: () => { this.stop.abort(); this.wake(); },
      getTiming: () => ({ time: this.place(), rate: this.running() ? 1 : 0, sampledAt: performance.timeOrigin + performance.now() }),
      getDuration: () => (this.duration > 0 ? this.duration : undefined),
    };
  };

  private running(): boolean {
    return !this.paused && !this.over && this.goal < 0;
  }

  private place(): number {
    return this.running() && !this.live ? Math.max(this.now, Math.min(this.next, this.now + (performance.now() - this.shown) / 1000)) : this.now;
  }

  private timing(): void {
    this.told = performance.now();
    this.dispatch("timing", { time: this.place(), rate: this.running() ? 1 : 0, sampledAt: performance.timeOrigin + this.told });
  }

  private changed(): void {
    this.wake();
    this.timing();
  }

  private begin(goal: number): void {
    this.stop.abort();
    this.stop = new AbortController();
    this.goal = goal;
    this.over = false;
    this.now = this.next = 0;
    const stop = this.stop;
    this.run(stop.signal).catch((why: unknown) => {
      if (stop.signal.aborted) return;
      if (this.now > this.reopened) { // who pauses for long loses the connection
        this.reopened = this.now;
        this.begin(this.now);
      } else {
        this.dispatch("error", String(why));
        this.failed(why);
      }
    });
  }

  private play(): boolean {
    if (this.over) this.begin(-1);
    this.paused = false;
    this.dispatch("play");
    this.dispatch("playing");
    this.changed();
    return true;
  }

  private pause(): boolean {
    this.now = this.place();
    this.paused = true;
    this.dispatch("pause");
    this.changed();
    return true;
  }

  private seek(where: Where): boolean {
    const to = placeOf(where, this.place(), this.duration, this.marks);
    if (to === undefined) return false;
    if (this.over) this.paused = true;
    if (this.over || to < this.now) this.begin(to);
    else this.goal = to;
    this.changed();
    return true;
  }

  // The place that was sought; zero: when the recording would have begun, ms.
  private arrive(at: number): void {
    this.now = at;
    this.shown = performance.now();
    this.goal = -1;
    this.dispatch("play"); // no longer "loading"
    this.dispatch(this.paused ? "pause" : "playing");
    this.dispatch("seeked");
    this.timing();
  }

  private show(e: CastEvent): void {
    this.now = e[0];
    this.shown = performance.now();
    if (e[1] === "o") this.dispatch("output", e[2]);
    const size = e[1] === "r" ? /^(\d+)x(\d+)$/.exec(e[2]) : null;
    if (size !== null) this.dispatch("resize", { cols: Number(size[1]), rows: Number(size[2]) });
    if (this.goal < 0 && this.shown - this.told > 100) this.timing();
  }

  private async run(signal: AbortSignal): Promise<void> {
    const pace = new Pace(this.idle);
    const begun = performance.now();
    let zero = begun; // ms: when the event at 0 was due
    let drew = begun;
    let waits = false;
    for await (const line of textLines(this.url, signal)) {
      const e = castLine(line);
      if (e === undefined) continue;
      if (!Array.isArray(e)) {
        this.dispatch("reset", { size: { cols: e.width, rows: e.height } });
        continue;
      }
      const due = pace.at(e[0]);
      this.next = e[0];
      while (!signal.aborted && e[0] > this.goal) {
        if (this.goal >= 0) {
          this.arrive(this.goal);
          zero = performance.now() - due + Math.min(e[0] - this.now, this.idle) * 1000;
        }
        const from = performance.now();
        const left = this.paused ? Infinity : due - (from - zero);
        if (this.live || left <= 4) break;
        await Promise.race([new Promise<void>((done) => { this.wake = done; }), ...(this.paused ? [] : [tick(left)])]);
        if (left === Infinity) zero += performance.now() - from;
      }
      if (signal.aborted) return;
      this.show(e);
      if (performance.now() - drew < 30) continue;
      if (this.goal >= 0 && !waits && performance.now() - begun > 300) this.dispatch("loading");
      waits = this.goal >= 0;
      await tick(0); // the screen has its turn
      drew = performance.now();
    }
    if (signal.aborted) return;
    this.over = true;
    if (this.goal >= 0) this.arrive(this.now);
    this.paused = true;
    this.timing();
    this.dispatch("ended", this.live ? { message: "The session has ended" } : {});
  }
}

/* ---- finding ---- */

export interface Hit {
  at: number; // s
  text: string;
}

// What the terminal printed, with its control sequences taken away; words may come in several pieces.
export class Finder {
  private tail = "";
  private readonly what: string;
  constructor(what: string) {
    this.what = what.toLowerCase();
  }
  look(e: CastEvent): Hit | undefined {
    if (e[1] !== "o") return undefined;
    const all = (this.tail + e[2]).replace(/\r/g, "").replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g, "");
    const at = all.toLowerCase().indexOf(this.what);
    this.tail = at >= 0 ? "" : all.slice(-(this.what.length + 80));
    return at < 0 ? undefined : { at: e[0], text: all.slice(Math.max(0, at - 30), at + 60) };
  }
}

export async function* hits(url: string, what: string, signal: AbortSignal): AsyncGenerator<Hit> {
  const finder = new Finder(what);
  for await (const line of textLines(url, signal)) {
    const e = castLine(line);
    const hit = Array.isArray(e) ? finder.look(e) : undefined;
    if (hit !== undefined) yield hit;
  }
}
