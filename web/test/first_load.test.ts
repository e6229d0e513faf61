// SPDX-License-Identifier: Apache-2.0
// What the first page waits for fits the budget: 150 KB of JavaScript, compressed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { gzipSync } from "node:zlib";

test("JavaScript of the first load", () => {
  const { limit, files } = JSON.parse(readFileSync("first-load.json", "utf8")) as { limit: number; files: string[] };
  assert.ok(files.length > 0, "the build names what loads first");
  const size = files.reduce((sum, name) => sum + gzipSync(readFileSync(name)).length, 0);
  assert.ok(size > 1000 && size < limit, `${size} bytes of ${limit}`);
});
