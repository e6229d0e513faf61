// SPDX-License-Identifier: Apache-2.0
// What a program does with Docker by its SDK (dockerode); prints one JSON object.  docker.js PORT [TOKEN]
"use strict";

const path = require("path");
const { createRequire } = require("module");
const need = createRequire(path.join(process.env.SALLYPORT_NODE_FOLDER, "package.json"));
const Docker = need("dockerode");
const { PassThrough } = require("stream");

const [port, token] = process.argv.slice(2);
const docker = new Docker({ host: "127.0.0.1", port, protocol: "http", headers: token ? { Authorization: `Bearer ${token}` } : {} });

function collect(stream) {
  const parts = [];
  stream.on("data", (part) => parts.push(part));
  return () => Buffer.concat(parts).toString();
}

async function exec(container, options, stdin) {
  const made = await container.exec({ AttachStdout: true, AttachStderr: true, AttachStdin: stdin !== undefined, ...options });
  const stream = await made.start({ hijack: stdin !== undefined, stdin: stdin !== undefined });
  const out = new PassThrough(), err = new PassThrough(), said = collect(out), complained = collect(err);
  docker.modem.demuxStream(stream, out, err);
  if (stdin !== undefined) {
    stream.write(stdin);
    stream.end();
  }
  await new Promise((done) => { stream.on("end", done); stream.on("close", done); });
  const { ExitCode } = await made.inspect();
  return { out: said(), err: complained(), code: ExitCode };
}

async function main() {
  const web = docker.getContainer("web"), result = {};
  result.names = (await docker.listContainers({ all: true, filters: { name: ["web"] } })).map((c) => c.Names);
  result.image = (await web.inspect()).Config.Image;
  result.plain = await exec(web, { Cmd: ["id", "-u"], User: "web" });
  result.piped = await exec(web, { Cmd: ["cat"] }, "through stdin\n");
  result.refused = await exec(web, { Cmd: ["rm", "x"] }).catch((e) => ({ status: e.statusCode, message: e.json && e.json.message }));
  const made = await docker.createContainer({ Image: "test:1", Cmd: ["echo", "made"], HostConfig: { NetworkMode: "none" } });
  await made.start();
  result.waited = (await made.wait()).StatusCode;
  const log = await made.logs({ stdout: true, stderr: true });
  result.log = log.subarray(8).toString();
  await made.remove();
  result.missing = await docker.getContainer("nowhere").inspect().catch((e) => e.statusCode);
  console.log(JSON.stringify(result));
}

main().catch((e) => { console.error(e); process.exit(1); });
