// SPDX-License-Identifier: Apache-2.0
// What in a text nobody sees, or would be seen as something else: named, so that it can be shown (AP2, RC5).

export interface Piece {
  text: string;
  hidden?: string; // what it is called; then `text` is the character itself
}

const names: Record<number, string> = {
  0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0b: "VT", 0x0c: "FF", 0x0d: "CR", 0x1b: "ESC", 0x7f: "DEL", 0x85: "NEL",
  0xa0: "NBSP", 0xad: "SHY", 0x34f: "CGJ", 0x61c: "ALM", 0x180e: "MVS", 0x200b: "ZWSP", 0x200c: "ZWNJ", 0x200d: "ZWJ",
  0x200e: "LRM", 0x200f: "RLM", 0x2028: "LSEP", 0x2029: "PSEP", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO",
  0x202e: "RLO", 0x202f: "NNBSP", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xfeff: "BOM",
};

// From, to: whole ranges that show nothing, turn the direction, or look like a space.
const ranges: [number, number][] = [
  [0x00, 0x08], [0x0b, 0x1f], [0x7f, 0xa0], [0xad, 0xad], [0x34f, 0x34f], [0x61c, 0x61c], [0x115f, 0x1160], [0x1680, 0x1680],
  [0x17b4, 0x17b5], [0x180b, 0x180f], [0x2000, 0x200f], [0x2028, 0x202f], [0x205f, 0x206f], [0x2800, 0x2800], [0x3000, 0x3000],
  [0x3164, 0x3164], [0xd800, 0xdfff], [0xfe00, 0xfe0f], [0xfeff, 0xfeff], [0xffa0, 0xffa0], [0xfff0, 0xfffc],
  [0x1bca0, 0x1bca3], [0x1d173, 0x1d17a], [0xe0000, 0xe0fff],
];

export function hiddenName(point: number): string | undefined {
  if (point === 0x09 || point === 0x0a || (point > 0x1f && point < 0x7f)) return undefined;
  if (!ranges.some(([from, to]) => point >= from && point <= to)) return undefined;
  return names[point] ?? `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}

// Joined, the pieces are the text again.
export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const point = text.codePointAt(at)!;
    const size = point > 0xffff ? 2 : 1;
    const hidden = hiddenName(point);
    if (hidden !== undefined) {
      if (at > from) out.push({ text: text.slice(from, at) });
      out.push({ text: text.slice(at, at + size), hidden });
      from = at + size;
    }
    at += size;
  }
  if (from < text.length) out.push({ text: text.slice(from) });
  return out;
}

// For titles, notifications and labels, which take no marks: hidden characters by name.
export function plain(text: string, most = 200): string {
  const whole = pieces(text).map((p) => (p.hidden === undefined ? p.text.replace(/\s+/g, " ") : `<${p.hidden}>`)).join("");
  return whole.length > most ? `${whole.slice(0, most)}…` : whole;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}

export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

// Attributes come as policies write them: "{ \"read\", \"write\" }", "\"alter table\"", "true".
export function words(written: string | undefined): string[] {
  if (written === undefined || written === "") return [];
  const quoted = [...written.matchAll(/"((?:\\.|[^"\\])*)"/g)].map((m) => m[1]!.replace(/\\(.)/g, "$1"));
  return quoted.length > 0 ? quoted : written.startsWith("{") ? [] : written.split(",").map((w) => w.trim());
}
