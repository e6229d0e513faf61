// SPDX-License-Identifier: Apache-2.0
// Words of a statement, for colours only: what it means is said by the gateway's own analysis.

export type Kind = "word" | "keyword" | "danger" | "string" | "name" | "number" | "comment" | "param" | "space" | "sign";
export interface Token {
  kind: Kind;
  text: string;
}

const danger = new Set("delete drop truncate grant revoke alter update insert merge create copy call do execute".split(" "));
const keyword = new Set(
  ("select from where and or not in is null like ilike between exists case when then else end as on using join left right inner outer full cross natural " +
    "group by order having limit offset fetch first next rows only with recursive union all intersect except distinct values into set returning " +
    "default primary key foreign references unique check constraint index table view materialized schema database function procedure trigger type " +
    "column add if cascade restrict begin commit rollback savepoint transaction start isolation level explain analyze show for share of lateral window " +
    "over partition true false cast collate asc desc nulls last filter within prepare deallocate declare cursor close listen notify vacuum reindex " +
    "lock comment security language returns replace temporary temp unlogged sequence owned owner to role user extension").split(" "),
);

const space = /\s+/y, number = /\d[\w.]*/y, param = /\$\d+/y, word = /[\p{L}_][\p{L}\p{N}_$]*/uy, quote = /'(?:[^']|'')*(?:'|$)/y;
const escaped = /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/y, name = /"(?:[^"]|"")*(?:"|$)/y, line = /--[^\n]*/y, dollar = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy;

function match(re: RegExp, text: string, at: number): string | undefined {
  re.lastIndex = at;
  return re.exec(text)?.[0];
}

// PostgreSQL's comments nest.
function blockComment(text: string, at: number): string {
  let depth = 0;
  let i = at;
  do {
    const two = text.slice(i, i + 2);
    depth += two === "/*" ? 1 : two === "*/" ? -1 : 0;
    i += two === "/*" || two === "*/" ? 2 : 1;
  } while (depth > 0 && i < text.length);
  return text.slice(at, i);
}

function dollarString(text: string, at: number, tag: string): string {
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? text.slice(at) : text.slice(at, end + tag.length);
}

function next(text: string, at: number): Token {
  const rules: [Kind, RegExp][] = [["space", space], ["comment", line], ["string", escaped], ["string", quote], ["name", name], ["param", param], ["number", number]];
  for (const [kind, re] of rules) {
    const got = match(re, text, at);
    if (got !== undefined) return { kind, text: got };
  }
  if (text.startsWith("/*", at)) return { kind: "comment", text: blockComment(text, at) };
  const tag = match(dollar, text, at);
  if (tag !== undefined) return { kind: "string", text: dollarString(text, at, tag) };
  const got = match(word, text, at);
  if (got === undefined) return { kind: "sign", text: String.fromCodePoint(text.codePointAt(at)!) };
  const low = got.toLowerCase();
  return { kind: danger.has(low) ? "danger" : keyword.has(low) ? "keyword" : "word", text: got };
}

// Joined, the tokens are the text again.
export function tokens(text: string): Token[] {
  const out: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const t = next(text, at);
    const last = out[out.length - 1];
    if (last !== undefined && last.kind === "sign" && t.kind === "sign") last.text += t.text;
    else out.push(t);
    at += t.text.length;
  }
  return out;
}
