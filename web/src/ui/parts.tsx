// SPDX-License-Identifier: Apache-2.0
// Small things that every page is made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../lib/api";
import { tokens } from "../lib/sql";
import { pieces } from "../lib/text";
import { ago, clock, local, utc } from "../lib/time";
import { useNow } from "../lib/use";

/* ---- text of others ---- */

// Strings become text nodes; what would not be seen is shown by its name.
export function Shown({ text }: { text: string }) {
  return (
    <>
      {pieces(text).map((p) =>
        p.hidden === undefined ? p.text : <span class="hidden-char" title={`a hidden character: ${p.hidden}`}>{p.hidden}</span>,
      )}
    </>
  );
}

const colourful = 200_000; // characters; a longer text is shown without colours

export function Code({ text, kind = "", label = "Statement" }: { text: string; kind?: string; label?: string }) {
  const sql = kind.startsWith("sql") && text.length <= colourful;
  return (
    <pre class="code" tabIndex={0} role="group" aria-label={label}>
      <code>{sql ? tokens(text).map((t) => (t.kind === "space" || t.kind === "word" || t.kind === "sign" ? <Shown text={t.text} /> : <span class={`t-${t.kind}`}><Shown text={t.text} /></span>)) : <Shown text={text} />}</code>
    </pre>
  );
}

/* ---- times ---- */

export function Time({ at }: { at: string | undefined }) {
  return at === undefined || at === "" ? <span class="soft">–</span> : <time dateTime={at} title={utc(at)}>{local(at)}</time>;
}

export function Ago({ at }: { at: string }) {
  const now = useNow();
  return <time dateTime={at} title={`${local(at)} · ${utc(at)}`}>{ago(now - Date.parse(at))}</time>;
}

export function Left({ until }: { until: string }) {
  const left = Date.parse(until) - useNow();
  return <time class={left < 60000 ? "left short" : "left"} dateTime={until} title={`until ${local(until)} · ${utc(until)}`}>{left <= 0 ? "over" : `${clock(left)} left`}</time>;
}

/* ---- signs ---- */

const drawn: Record<string, string> = {
  home: "M3 11l9-7 9 7M5 10v10h5v-6h4v6h5V10", inbox: "M4 5h16v14H4zM4 14h5l1.5 2h3L15 14h5", sessions: "M4 5h16v14H4zM7 10l3 2.5L7 15M12 15h5",
  policy: "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM9 12l2 2 4-4", audit: "M6 3h9l4 4v14H6zM9 11h7M9 15h7M9 7h3", chart: "M4 20h16M7 17v-6M12 17V6M17 17v-9",
  check: "M5 12l5 5 9-10", cross: "M6 6l12 12M18 6L6 18", copy: "M9 9h11v11H9zM5 15H4V4h11v1", key: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8M11 12l9-9M16 7l3 3",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21h4", bolt: "M13 3L5 14h6l-1 7 8-11h-6z", lock: "M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3", cloud: "M4 4l16 16M7 18a4 4 0 0 1 0-8 6 6 0 0 1 2-3M13 5a6 6 0 0 1 6 6 4 4 0 0 1 1 7",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5", sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10", out: "M10 4H5v16h5M14 8l4 4-4 4M9 12h9", down: "M12 4v11M7 11l5 5 5-5M5 20h14", clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l3 2",
  server: "M4 5h16v6H4zM4 13h16v6H4zM7 8h.1M7 16h.1", eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6", stop: "M7 7h10v10H7z", empty: "M4 8l8-4 8 4-8 4zM4 8v8l8 4 8-4V8M12 12v8",
};

export function Icon({ name }: { name: string }) {
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d={drawn[name] ?? drawn["empty"]!} /></svg>;
}

const tones: Record<string, string> = {
  allow: "good", approved: "good", used: "good", live: "good", active: "good", kept: "good", standing: "good", deny: "bad", denied: "bad", kill: "bad", killed: "bad", torn: "bad",
  held: "wait", waiting: "wait", approve: "wait", grant: "wait", mask: "calm", masked: "calm", observed: "warn", expired: "off", withdrawn: "off", ended: "off", limit: "warn",
};

export function Chip({ text, tone, title }: { text: string; tone?: string; title?: string }) {
  return <span class={`chip ${tone ?? tones[text] ?? ""}`} title={title}><Shown text={text} /></span>;
}

export function Hash({ hex }: { hex: string }) {
  return <code class="hash" title={`SHA-256 ${hex}`}>{hex.slice(0, 12)}</code>;
}

/* ---- states of a page ---- */

export function Empty({ icon = "empty", title, children }: { icon?: string; title: string; children?: ComponentChildren }) {
  return <div class="state"><Icon name={icon} /><h2>{title}</h2><div>{children}</div></div>;
}

const titles: Record<number, [string, string]> = {
  0: ["cloud", "No connection"], 401: ["lock", "Your sign-in has ended"], 403: ["lock", "Not for you"], 404: ["search", "Nothing here"],
  409: ["bolt", "It has changed meanwhile"], 429: ["clock", "Too many at once"],
};

export function Trouble({ problem, again }: { problem: Problem; again?: () => void }) {
  const [icon, title] = titles[problem.status] ?? ["bolt", "That did not work"];
  const now = useNow();
  const [since] = useState(Date.now());
  const wait = Math.ceil((since + problem.wait * 1000 - now) / 1000);
  useEffect(() => {
    if (again === undefined || problem.status !== 429 || wait > 0) return;
    again();
  }, [wait <= 0]);
  return (
    <div class="state trouble" role="alert">
      <Icon name={icon} />
      <h2>{title}</h2>
      <p><Shown text={problem.message} /></p>
      {problem.status === 429 && wait > 0 && <p class="soft">Asked again in {wait} s.</p>}
      {problem.status === 403 && <p class="soft">Your sign-in is good; your groups give no right to this. Who runs the gateway can change that.</p>}
      {again !== undefined && <button class="quiet" onClick={again}>Try again</button>}
    </div>
  );
}

export function Loading({ rows = 4 }: { rows?: number }) {
  return <div class="loading" role="status" aria-label="Loading">{Array.from({ length: rows }, (_, i) => <div class="bone" key={i} />)}</div>;
}

/* ---- acts ---- */

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, set] = useState("");
  const copy = () => navigator.clipboard.writeText(text).then(() => set("copied"), () => set("not allowed"));
  useEffect(() => {
    const t = setTimeout(() => set(""), 1600);
    return () => clearTimeout(t);
  }, [done]);
  return <button class="quiet small" onClick={copy} aria-label={`Copy ${label}`}><Icon name={done === "copied" ? "check" : "copy"} /><span aria-live="polite">{done || "Copy"}</span></button>;
}

// The browser's own dialog: it keeps the focus, and Escape closes it.
export function Sheet({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const at = useRef<HTMLDialogElement>(null);
  useEffect(() => at.current?.showModal(), []);
  return (
    <dialog ref={at} class="sheet" aria-label={title} onClose={close} onClick={(e) => e.target === at.current && at.current?.close()}>
      <header><h2>{title}</h2><button class="quiet small" aria-label="Close" onClick={() => at.current?.close()}><Icon name="cross" /></button></header>
      <div class="sheet-body">{children}</div>
    </dialog>
  );
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return <label class="field"><span>{label}</span>{children}</label>;
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return <dl class="facts">{rows.filter(([, v]) => v !== undefined && v !== "" && v !== false).map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>;
}

export function Tabs({ now, all }: { now: string; all: [string, string, ComponentChildren][] }) {
  return <nav class="tabs" aria-label="Views">{all.map(([name, href, label]) => <a key={name} href={href} aria-current={name === now ? "page" : undefined}>{label}</a>)}</nav>;
}

export function Bar({ part, tone = "" }: { part: number; tone?: string }): JSX.Element {
  return <svg class={`bar ${tone}`} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="ground" width="100" height="6" rx="1" /><rect class="fill" width={Math.max(part > 0 ? 1.5 : 0, Math.min(100, part * 100))} height="6" rx="1" /></svg>;
}
