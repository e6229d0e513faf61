// SPDX-License-Identifier: Apache-2.0
// Builds the console: types from the OpenAPI document, a check by tsc, one bundle by esbuild, index.html with its names.
//
//   node build.mjs OPENAPI.json OUT     run in a folder that has src/, test/, tsconfig.json and node_modules/
//
// OUT gets index.html, icon.svg and assets/NAME-HASH.EXT: a name never means two contents, so it may be kept for ever.
// Each has NAME-HASH.EXT.gz beside it.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, copyFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import openapiTS, { astToString } from "openapi-typescript";

const [openapi, out] = process.argv.slice(2);
const limit = 150 * 1024; // of JavaScript before the first page works, compressed

async function types() {
  const document = JSON.parse(readFileSync(openapi, "utf8"));
  const nodes = await openapiTS(document, { alphabetize: true });
  writeFileSync("src/openapi.ts", `// Written by build.mjs from the gateway's OpenAPI document.\n${astToString(nodes)}`);
}

function check() {
  const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"], { stdio: "inherit" });
  if (tsc.status !== 0) process.exit(1);
}

async function bundle() {
  const result = await build({
    entryPoints: { console: "src/main.tsx" },
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["es2022", "chrome109", "firefox115", "safari16.4"],
    outdir: path.join(out, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    minify: true,
    metafile: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
  });
  return result.metafile.outputs;
}

// Only the pure functions: those need no browser.
async function bundleTests() {
  const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: tests.map((name) => `test/${name}`),
    bundle: true,
    format: "esm",
    platform: "node",
    outdir: "tests",
    outExtension: { ".js": ".mjs" },
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
}

// The entry and whatever it imports at once: what the first page waits for.
function firstLoad(outputs, entry) {
  const seen = new Set([entry]);
  for (const name of seen)
    for (const i of outputs[name].imports) if (i.kind === "import-statement") seen.add(i.path);
  return [...seen];
}

function page(outputs) {
  const entry = Object.keys(outputs).find((name) => outputs[name].entryPoint === "src/main.tsx");
  const scripts = firstLoad(outputs, entry);
  const url = (name) => `/${path.relative(out, name)}`;
  const head = [
    `<link rel="stylesheet" href="${url(outputs[entry].cssBundle)}">`,
    ...scripts.filter((s) => s !== entry).map((s) => `<link rel="modulepreload" href="${url(s)}">`),
    `<script type="module" src="${url(entry)}"></script>`,
  ];
  writeFileSync(path.join(out, "index.html"), readFileSync("src/index.html", "utf8").replace("<!-- assets -->", head.join("\n")));
  writeFileSync("first-load.json", JSON.stringify({ limit, files: scripts }));
}

// NAME.gz beside each: the gateway answers with it whoever takes gzip.
function pack() {
  const assets = path.join(out, "assets");
  for (const name of readdirSync(assets)) writeFileSync(path.join(assets, `${name}.gz`), gzipSync(readFileSync(path.join(assets, name)), { level: 9 }));
}

rmSync(out, { recursive: true, force: true });
rmSync("tests", { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await types();
check();
page(await bundle());
await bundleTests();
copyFileSync("src/icon.svg", path.join(out, "icon.svg"));
pack();
