// SPDX-License-Identifier: Apache-2.0
// Times as people read them: in the viewer's zone, UTC beside; spans as "3 m 20 s".

export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// As a clock shows what is left: 4:05, 1:00:00.
export function clock(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export function ago(ms: number): string {
  if (ms < 5000) return "now";
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function local(text: string, now = new Date(), zone?: string): string {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  // From its parts: what a locale makes of a date is not the same everywhere.
  const days = new Intl.DateTimeFormat("en-GB", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
  const day = (d: Date) => {
    const part = Object.fromEntries(days.formatToParts(d).map((p) => [p.type, p.value]));
    return `${part["year"]}-${part["month"]}-${part["day"]}`;
  };
  const time = at.toLocaleTimeString("en-GB", { timeZone: zone });
  return day(at) === day(now) ? time : `${day(at)} ${time}`;
}

export function utc(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : `${at.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
}

// Of microseconds, as measured: 850 µs, 1.2 ms, 3.4 s.
export function measured(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms`;
  return us < 6e7 ? `${(us / 1e6).toFixed(1)} s` : span(us / 1000);
}
