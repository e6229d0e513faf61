// SPDX-License-Identifier: Apache-2.0
// AP2, RC5: what nobody would see is named, and nothing of a text is lost on the way.
import assert from "node:assert/strict";
import test from "node:test";
import { tokens } from "../src/lib/sql";
import { bytes, hiddenName, pieces, plain, words } from "../src/lib/text";

const hostile = [
  "", "plain", "a\u202eb\u202c", "\u001b]0;title\u0007\u001b[31mred", "zero\u200bwidth\u200d\ufeff", "nul\u0000\u007f\u0085", "\ud83d\ude00 \ud800 lone", "\u{e0041}\u{e007f} tags",
  "<script>alert(1)</script>", "tab\tline\nend\r\n", "\u00a0\u3000\u2028\u2029\u3164\u2800", "a\u034fb\u00ad",
];

test("the pieces of a text are the text", () => {
  for (const text of hostile) assert.equal(pieces(text).map((p) => p.text).join(""), text);
});

test("every hidden character has a name, and what is seen has none", () => {
  for (const c of ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u001b", "\u0000", "\u007f", "\u009b", "\u061c", "\u00ad", "\u2028", "\u{e0041}", "\ufe0f", "\ud800", "\r", "\u00a0"])
    assert.notEqual(hiddenName(c.codePointAt(0)!), undefined, `U+${c.codePointAt(0)!.toString(16)}`);
  for (const c of ["a", " ", "\n", "\t", "é", "漢", "😀", "ß", "\u0301"]) assert.equal(hiddenName(c.codePointAt(0)!), undefined, c);
  assert.equal(hiddenName(0x202e), "RLO");
  assert.equal(hiddenName(0xe0041), "U+E0041");
});

test("plain text holds no hidden character", () => {
  for (const text of hostile) assert.ok(pieces(plain(text)).every((p) => p.hidden === undefined), JSON.stringify(text));
  assert.equal(plain("a\u202eb"), "a<RLO>b");
  assert.equal(plain("x".repeat(300), 10), `${"x".repeat(10)}…`);
});

test("the tokens of a statement are the statement", () => {
  const statements = [
    ...hostile, "SELECT 'it''s', E'\\'x', $$body 'q' $$, $f$a$$b$f$, \"na\"\"me\" FROM t -- end\n/* a /* nested */ b */ WHERE x = $1 AND n > 1.5e3;",
    "SELECT 'not closed", "/* not closed", "$tag$ not closed", "\"not closed", "E'\\", "$", "::int", "'", "é = ñ",
  ];
  for (const s of statements) assert.equal(tokens(s).map((t) => t.text).join(""), s);
});

test("what is a comment or a string is never a keyword", () => {
  const kinds = (s: string) => tokens(s).filter((t) => t.kind !== "space").map((t) => `${t.kind}:${t.text}`);
  assert.deepEqual(kinds("DROP TABLE t"), ["danger:DROP", "keyword:TABLE", "word:t"]);
  assert.deepEqual(kinds("-- DROP\nSELECT 'DELETE'"), ["comment:-- DROP", "keyword:SELECT", "string:'DELETE'"]);
  assert.deepEqual(kinds("/* a /* DROP */ b */ x"), ["comment:/* a /* DROP */ b */", "word:x"]);
  assert.deepEqual(kinds("$$ DROP $$ $1"), ["string:$$ DROP $$", "param:$1"]);
});

test("a megabyte is read in one go", () => {
  const s = "INSERT INTO t VALUES (1, 'a'); ".repeat(33000);
  assert.equal(tokens(s).map((t) => t.text).join("").length, s.length);
});

test("attributes as policies write them", () => {
  assert.deepEqual(words('{ "read", "write" }'), ["read", "write"]);
  assert.deepEqual(words('"alter table"'), ["alter table"]);
  assert.deepEqual(words("{ }"), []);
  assert.deepEqual(words("public.a,public.b"), ["public.a", "public.b"]);
  assert.deepEqual(words(undefined), []);
});

test("sizes", () => {
  assert.deepEqual([0, 999, 1500, 123456, 1.5e9].map(bytes), ["0 B", "999 B", "1.5 KB", "123 KB", "1.5 GB"]);
});
