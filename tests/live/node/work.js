// SPDX-License-Identifier: Apache-2.0
// What a node-postgres program does; prints one JSON line per step, which must be equal direct and through.
'use strict'
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const copy = require('pg-copy-streams')
const { pipeline } = require('node:stream/promises')
const { Readable, Writable } = require('node:stream')

const config = JSON.parse(process.env.CONFIG)
const show = (step, value) => console.log(JSON.stringify([step, value]))
const failure = e => [e.code, e.message, e.detail, e.constraint]

async function main () {
  const c = new Client(config)
  const notices = []
  c.on('notice', n => notices.push([n.severity, n.code, n.message]))
  await c.connect()
  show('types', (await c.query('SELECT * FROM every ORDER BY id')).rows)
  show('fields', (await c.query('SELECT * FROM every WHERE false')).fields.map(f => [f.name, f.dataTypeID, f.tableID > 0, f.columnID]))
  show('parameters', (await c.query('SELECT $1::int AS a, $2::text AS b, $3::jsonb AS c, $4::text[] AS d, $5::bytea AS e, $6::timestamptz AS f',
    [1, "it's", { k: [1] }, ['x', null], Buffer.from([0, 255]), new Date(0)])).rows)
  show('array', await c.query({ text: 'SELECT id, item FROM orders WHERE id < $1 ORDER BY id', values: [4], rowMode: 'array' }).then(r => r.rows))
  for (let n = 1; n < 4; n++) show('named', (await c.query({ name: 'by-id', text: 'SELECT item FROM orders WHERE id = $1', values: [n] })).rows)
  show('several', (await c.query('SELECT 1 AS a; SELECT 2 AS b; INSERT INTO notes VALUES (1, $$x$$)')).map(r => [r.command, r.rowCount, r.rows]))
  for (const text of ['SELECT 1/0', 'INSERT INTO notes VALUES (1, $$y$$)', 'SELECT nothing FROM orders']) await c.query(text).catch(e => show('error', failure(e)))
  await c.query('SELECT $1::int', ['x']).catch(e => show('error', failure(e)))
  await c.query('BEGIN')
  await c.query('INSERT INTO notes VALUES ($1, $2)', [2, 'two'])
  await c.query('SAVEPOINT s')
  await c.query('INSERT INTO notes VALUES ($1, $2)', [2, 'again']).catch(e => show('error', failure(e)))
  await c.query('ROLLBACK TO s')
  await c.query('COMMIT')
  show('rows', (await c.query('SELECT * FROM notes ORDER BY id')).rows)
  show('at once', await Promise.all([...Array(50).keys()].map(n => c.query('SELECT $1::int AS n', [n]).then(r => r.rows[0].n))))

  const cursor = c.query(new Cursor('SELECT id FROM orders WHERE id > $1 ORDER BY id', [5]))
  show('cursor', [await cursor.read(3), await cursor.read(2)])
  await cursor.close()
  let sum = 0
  for await (const row of c.query(new QueryStream('SELECT n FROM numbers', [], { batchSize: 500 }))) sum += row.n
  show('stream', sum)

  await pipeline(Readable.from([...Array(2000).keys()].map(n => `${n + 100}\tline ${n}\n`)), c.query(copy.from('COPY notes FROM STDIN')))
  let out = ''
  await pipeline(c.query(copy.to('COPY (SELECT * FROM notes ORDER BY id) TO STDOUT (FORMAT csv)')), new Writable({ write (b, _, done) { out += b; done() } }))
  show('copy', [out.length, out.slice(0, 80)])
  await pipeline(Readable.from(['broken\n']), c.query(copy.from('COPY notes FROM STDIN'))).catch(e => show('error', failure(e)))

  await c.query('ROLLBACK')
  show('notices', notices)
  const heard = new Promise(resolve => c.on('notification', n => resolve([n.channel, n.payload])))
  await c.query('LISTEN news')
  await c.query("NOTIFY news, 'hi'")
  show('notification', await heard)
  await c.query("SET TimeZone = 'Asia/Tokyo'")
  show('time zone', (await c.query("SELECT '2024-01-01 00:00+00'::timestamptz::text AS t")).rows)

  const slow = new Client({ ...config, query_timeout: 1000 })
  await slow.connect()
  await slow.query('SELECT count(*) FROM generate_series(1, 20000000)').catch(e => show('timeout', e.message))
  await slow.end().catch(() => {})
  const limited = new Client({ ...config, statement_timeout: 300, application_name: 'node' })
  await limited.connect()
  await limited.query('SELECT count(*) FROM generate_series(1, 2000000000)').catch(e => show('statement timeout', failure(e)))
  await limited.end()
  await c.end()

  const pool = new Pool({ ...config, max: 4 })
  show('pool', (await Promise.all([...Array(40).keys()].map(n => pool.query('SELECT $1::int * 2 AS n', [n])))).map(r => r.rows[0].n))
  await pool.end()
}

main().then(() => show('end', true), e => { show('failed', [e.code, e.message, e.stack]); process.exit(1) })
