# SPDX-License-Identifier: Apache-2.0
"""One table with a column of every type, small things beside it, and the shipped policies, for the tests of clients."""

import pathlib

_conf = pathlib.Path(__file__).resolve().parent.parent.parent / "conf" / "policies"
SHIPPED = "\n".join(f"do\n{(_conf / name).read_text()}\nend" for name in ("clients.lua", "writes.lua", "ddl.lua", "dangerous.lua", "pii.lua"))
SLOW_QUERY = "SELECT count(*) FROM generate_series(1, 2000000000)"  # pg_sleep() is not for everybody

SQL = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE every (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, f4 float4, f8 float8, b bool, t text, v varchar(20), c char(5), y bytea,
  d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ai int[], at text[], m mood, p pair, ip inet, ci cidr,
  mac macaddr, r int4range, tr tstzrange, bits bit varying, pt point, x xml);
INSERT INTO every VALUES (1, 2, 9000000000, 1234.5678, 1.5, 2.25, true, 'tëxt ✓', 'var', 'ch', '\\x00ff10', '2024-02-29', '12:34:56.789', '2024-02-29 12:34:56',
  '2024-02-29 12:34:56+02', '1 year 2 days 03:04:05', '12345678-1234-5678-1234-567812345678', '{"a": 1}', '{"b": [1, null]}', '{1,NULL,3}', '{a,"b c"}', 'ok',
  (7, 'x y'), '10.1.2.3', '10.0.0.0/8', '08:00:2b:01:02:03', '[1,5)', '[2024-01-01 00:00+00,2024-02-01 00:00+00)', B'1011', '(1,2)', '<a>b</a>');
INSERT INTO every (id) VALUES (2);
CREATE TABLE notes (id int PRIMARY KEY, body text);
"""
