// SPDX-License-Identifier: Apache-2.0
// npm ssh2: a command with both streams and a status, two channels at once, a file there and back.
// node ssh.js JSON, where JSON has the connection's options, `fingerprint` and `folder`; prints one line of JSON.
const { createHash } = require('node:crypto');
const { Client } = require('ssh2');

const { fingerprint, folder, keyFile, ...options } = JSON.parse(process.argv[2]);
const sum = (data) => createHash('sha256').update(data).digest('hex');

function exec(client, command, input) {
  return new Promise((resolve, reject) => client.exec(command, (error, stream) => {
    if (error) return reject(error);
    const out = [], err = [];
    stream.on('data', (d) => out.push(d)).on('close', (code, signal) => resolve({ code: code ?? null, signal: signal ?? null,
      out: sum(Buffer.concat(out)), err: Buffer.concat(err).toString() }));
    stream.stderr.on('data', (d) => err.push(d));
    stream.end(input);
  }));
}

function files(client, data) {
  return new Promise((resolve, reject) => client.sftp((error, sftp) => {
    if (error) return reject(error);
    const path = `${folder}/node`;
    sftp.writeFile(path, data, (e) => e ? reject(e) : sftp.readFile(path, (e2, back) => e2 ? reject(e2) : sftp.stat(path, (e3, attributes) =>
      e3 ? reject(e3) : sftp.unlink(path, (e4) => e4 ? reject(e4) : resolve({ back: sum(back), size: attributes.size })))));
  }));
}

const client = new Client();
client.on('ready', async () => {
  try {
    const data = Buffer.alloc(700_000, 'some bytes of no meaning ');
    const done = [await exec(client, 'echo out; echo err >&2; exit 7'),
      ...await Promise.all([exec(client, 'cat', data), exec(client, 'seq 1 20000'), files(client, data)])];
    console.log(JSON.stringify(done));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
  client.end();
}).on('error', (error) => { console.log(JSON.stringify({ error: String(error) })); process.exit(1); }).connect({
  ...options,
  ...(keyFile ? { privateKey: require('node:fs').readFileSync(keyFile) } : {}),
  hostVerifier: (key) => 'SHA256:' + createHash('sha256').update(key).digest('base64').replace(/=+$/, '') === fingerprint,
});
