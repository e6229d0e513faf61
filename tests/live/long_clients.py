#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every tool of docs/clients.md under the whole shipped policy set, direct and through the gateway: no denial that
was not meant, and the same result.  The table there is what this finds."""

import difflib
import pprint

from clients_table import ROWS, render
from every import SHIPPED, SQL as EVERY
from harness import *
from maven import JAVA, jars
from npm import node_modules
from psql_work import SHOWS, TYPED, complete

POLICIES = SHIPPED + "\n" + "\n".join(f"do\n{(TOP / 'conf/policies' / name).read_text()}\nend" for name in ("rate.lua", "readonly.lua"))
# DO is unclear, and refused, unless a rule lifts that: here a DBA then reads each block.
POLICIES += """
rule "blocks-are-read" { doc = "A DBA reads them.", on = "sql.statement", when = { verb = "do", groups = "service" }, allow = { unclear = "code", name = "do plpgsql" } }
rule "blocks-need-approval" { doc = "Nobody sees what they do.", on = "sql.statement", when = { verb = "do" }, approve = { by = "dba", within = "5m" } }
"""
SQL = EVERY + """
CREATE SEQUENCE tickets START 7;
CREATE TABLE kinds (id int PRIMARY KEY, m mood, p pair, tags text[], doc jsonb);
CREATE INDEX kinds_doc ON kinds USING gin (doc);
COMMENT ON TABLE kinds IS 'one of each';
CREATE VIEW open_orders AS SELECT id, item FROM orders WHERE state = 'open';
CREATE TABLE parts (at date, v int) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
"""
results = {}


class Side:
    """One way to the database, as a tool sees it: .env, .dsn, .port, .user, .password, .database."""

    def __init__(self, w, name, direct, groups="dev,service", database="orders"):
        self.w, self.direct, self.database = w, direct, database
        self.user, self.port = ("app_gw", w.pg.port) if direct else (name, w.gateway.port)
        self.password = w.password(name, groups, direct=direct)
        self.dsn = f"host=127.0.0.1 port={self.port} dbname={database} user={self.user} sslmode=disable"
        self.env = {"PGPASSWORD": self.password, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": database,
                    "PGSSLMODE": "disable", "HOME": str(w.dir)}
        self.url = f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def run(self, argv, stdin=None, env=None, timeout=240, **more):
        return run(argv, env={**self.env, **(env or {})}, stdin=stdin, timeout=timeout, **more)

    def python(self, text, *args):
        return self.run(["/usr/bin/python3", "-c", text, *args], env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"})


def denied_of(w, user):
    """How many operations were denied in all sessions of that user, once they have ended."""
    def all_ended():
        found = [s for s in w.sessions() if s["user"] == user]
        return found if found and not any(s["ended"] is None for s in found) else None
    return sum(s["denied"] for s in wait_for(all_ended, 30, said=f"sessions of {user} go on"))


def tool(function):
    """function(w) → (direct, through): what was seen each way.  Judged with how many denials there were."""
    name = function.__name__

    def judged(w):
        direct, through = function(w)
        denied = denied_of(w, name)
        results[name] = (denied, direct == through)
        assert direct == through, "\n".join(difflib.unified_diff(*(pprint.pformat(side, width=160).splitlines() for side in (direct, through)), lineterm="", n=0))[:4000]
        assert denied == 0, [a for a in w.gateway.audit() if a.get("user") == name and a.get("verdict") == "deny"][-3:]
    judged.__name__ = name
    return test(judged)


def sides(w, name, **more):
    return Side(w, name, True, **more), Side(w, name, False, **more)


def each(w, name, work, **more):
    return tuple(work(side) for side in sides(w, name, **more))


def good(done):
    assert done.code == 0, repr(done)[-3000:]
    return done.out


DEFINES = re.compile(r"\s*(CREATE|ALTER|DROP|COMMENT|TRUNCATE|GRANT|REVOKE|DO)\b", re.I)


def statements(log, database):
    """What a run sent, from the server's log, but for what nobody has to approve."""
    lines = re.split(r"(?m)^\d{4}-\d\d-\d\d \S+ \S+ \[", log)
    texts = [re.search(r"\A\d+\] LOG:  (?:statement|execute [^:]*): (.*)\Z", line, re.S) for line in lines]
    return [t.group(1).strip().replace("\n\t", "\n").rstrip(";") for t in texts if t and DEFINES.match(t.group(1))]


def approve_file(w, name, number, texts, database, path, dora):
    file = w.dir / f"{name}-{number}.sql"
    file.write_text("".join(f"{t};\n" for t in texts))
    asked = w.command("request", "orders", "--file", file, "--by", "dba", "--database", database, "--search-path", path, "--reason", "a release", "--json",
                      token=w.token(name, "dev,service", api=True))
    assert asked.code == 0, repr(asked)
    done = w.command("approve", asked.json["id"], "--comment", "read it", token=dora)
    assert done.code == 0, repr(done)
    return asked.json["id"]


def migrated(w, name, work, files=lambda text: (0, '"$user", public')):
    """
    A run into a fresh database, its definitions approved as a file, and the same through the gateway: what each said and left.
    files: of a statement, which file it belongs to, and the search_path it runs under.
    """
    found, dora = [], w.token("dora", "dba", api=True)
    for direct in (True, False):
        database = f"{name}_{'direct' if direct else 'through'}"
        w.pg.sql(f"CREATE DATABASE {database} OWNER app_gw", "postgres")
        at = len(w.pg.log())
        side = Side(w, name, direct, database=database if direct else f"orders/{database}")
        if not direct:
            ids = [approve_file(w, name, number, [t for t in sent if files(t) == (number, path)], database, path, dora) for number, path in sorted(set(map(files, sent)))]
        said = work(side)
        sent = statements(w.pg.log()[at:], database)
        schema = run(["pg_dump", "-s", "-d", w.dsn(database, direct=True)], env={"PGPASSWORD": w.pg.password}, check=True).out
        found.append((said.replace(side.database, "DATABASE").replace(database, "DATABASE"), re.sub(r"(?m)^\\(un)?restrict \w+$", "", schema)))
    assert "CREATE TABLE" in found[0][1]
    for id in ids:
        assert w.command("requests", id, "--json", token=dora).json["state"] == "used"
    return tuple(found)


# ---- PostgreSQL's own ----

@tool
def psql(w):
    script = "\n".join(SHOWS) + "\n\\set VERBOSITY default\nSELECT id, price FROM orders WHERE id = 1 \\gdesc\nSELECT 1/0;\n\\errverbose\n" \
        "SELECT 'SELECT ' || n FROM generate_series(1, 3) n \\gexec\nSELECT state, id % 3 AS r, count(*) FROM orders GROUP BY 1, 2 ORDER BY 1, 2 " \
        "\\crosstabview state r\nBEGIN;\nSAVEPOINT a;\nSELECT nowhere;\nROLLBACK TO a;\nUPDATE notes SET body = 'x' WHERE id = -1;\nROLLBACK;\n"

    def work(side):
        done = side.run(["psql", side.dsn, "-X", "-q"], stdin=script)
        return done.code, done.out, done.err
    return each(w, "psql", work, groups="dev")


@tool
def psql_completion(w):
    return tuple([complete(w, typed, direct, "psql_completion", "dev").lower() for typed, _ in TYPED] for direct in (True, False))


@tool
def pg_dump(w):
    def work(side):
        found = [re.sub(r"(?m)^\\(un)?restrict \w+$", "", good(side.run(["pg_dump", "-d", side.dsn, *args]))) for args in (
            ("-s",), ("-T", "customers"), ("-T", "customers", "--inserts"), ("--exclude-table-data=customers",))]
        file, folder = w.dir / f"dump-{side.direct}", w.dir / f"folder-{side.direct}"
        good(side.run(["pg_dump", "-d", side.dsn, "-Fc", "-T", "customers", "-f", file]))
        good(side.run(["pg_dump", "-d", side.dsn, "-Fd", "-j2", "-T", "customers", "-f", folder]))
        database = f"restored_{'direct' if side.direct else 'through'}"
        w.pg.sql(f"CREATE DATABASE {database} OWNER app_gw", "postgres")
        direct = Side(w, "pg_dump", True, database=database)
        direct.run(["pg_restore", "-s", "-d", direct.dsn, file])
        to = Side(w, "pg_dump", side.direct, database=database if side.direct else f"orders/{database}")
        good(to.run(["pg_restore", "-a", "-d", to.dsn, file]))
        return found, [w.pg.sql(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {t} t", database) for t in ("orders", "every", "numbers")]
    found = each(w, "pg_dump", work)
    side = Side(w, "dump_of_hidden", False)
    tagged = side.run(["pg_dump", "-d", side.dsn, "-t", "customers"])
    assert tagged.code != 0 and "--exclude-table-data" in tagged.err and "Ada Lovelace" not in tagged.out, repr(tagged)
    return found


@tool
def pgbench(w):
    direct = Side(w, "pgbench", True)
    good(direct.run(["pgbench", "-i", "-q", direct.dsn]))
    pipeline = w.dir / "pipeline.sql"
    pipeline.write_text("\\startpipeline\nSELECT 1;\nSELECT abalance FROM pgbench_accounts WHERE aid = 7;\n\\endpipeline\n")

    def work(side):
        found = []
        for mode in ("simple", "extended", "prepared"):
            for script in (("-S",), ("-N",), (), *([("-f", pipeline)] if mode != "simple" else [])):
                said = good(side.run(["pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "50", *script, side.dsn]))
                found.append(re.findall(r"(?:transactions actually processed|number of failed transactions): \S+", said))
        return found
    return each(w, "pgbench", work)


@tool
def logical(w):
    w.pg.sql("ALTER ROLE app_gw REPLICATION", "postgres")
    side = Side(w, "logical", False)
    for argv in (["pg_recvlogical", "-d", side.dsn, "--slot=s", "--create-slot"], ["pg_receivewal", "-d", side.dsn, "-D", w.dir, "-n"],
                 ["pg_basebackup", "-d", side.dsn, "-D", w.dir / "base"]):
        done = side.run(argv)
        assert done.code != 0 and "replication" in done.err and "gateway" in done.err, repr(done)
    w.pg.sql("ALTER ROLE app_gw NOREPLICATION", "postgres")
    assert w.psql("SELECT 1", user="logical").out == "1"  # a session of theirs to count denials of
    return True, True


# ---- Python ----

@tool
def pgcli(w):
    program = """
import os
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
e = PGExecute(os.environ["PGDATABASE"], os.environ["PGUSER"], os.environ["PGPASSWORD"], "127.0.0.1", os.environ["PGPORT"])
for f in ("tables", "table_columns", "views", "view_columns", "schemata", "foreignkeys", "databases", "functions", "datatypes", "casing"):
    print(f, sorted(map(repr, getattr(e, f)())) if f != "databases" else len(e.databases()) > 0)
print(e.search_path(), e.server_version)
s = PGSpecial()
for text in ("\\\\d", "\\\\d+ orders", "\\\\dt+", "\\\\df", "\\\\dn", "\\\\du", "\\\\l", "\\\\dv", "\\\\di", "\\\\dT", "\\\\sf twice", "SELECT * FROM every ORDER BY id", "SELECT 1/0"):
    for title, rows, head, status, *_ in e.run(text, s, on_error_resume=True, exception_formatter=str):
        print(text, title, list(rows or []) if rows is not None else None, head, status)
"""
    return each(w, "pgcli", lambda side: good(side.python(program)))


@tool
def psycopg_pipeline(w):
    program = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    with c.pipeline():
        found = [c.execute("SELECT $1::int + %s" .replace("$1", "%s"), (n, 1)) for n in range(300)]
    print([f.fetchone() for f in found])
    try:
        with c.pipeline():
            c.execute("INSERT INTO notes VALUES (700, 'a')")
            c.execute("SELECT 1/0")
            c.execute("INSERT INTO notes VALUES (701, 'b')")
    except psycopg.Error as e:
        print(type(e).__name__, e.sqlstate)
    print(c.execute("SELECT id FROM notes WHERE id >= 700").fetchall())
    c.execute("DELETE FROM notes WHERE id >= 700")
"""
    return each(w, "psycopg_pipeline", lambda side: good(side.python(program, side.dsn)))


@tool
def asyncpg(w):
    program = """
import asyncio, sys, asyncpg
async def main():
    pool = await asyncpg.create_pool(sys.argv[1], min_size=10, max_size=10)
    async def one(n):
        async with pool.acquire() as c:
            return await c.fetch("SELECT m, p, ai, tr, ip, jb FROM every WHERE id = $1", 1 + n % 2)
    for rows in await asyncio.gather(*(one(n) for n in range(30))):
        print(rows)
    async with pool.acquire() as c, c.transaction():
        print([r["id"] async for r in c.cursor("SELECT id FROM orders ORDER BY id", prefetch=7)])
    await pool.close()
asyncio.run(main())
"""
    return each(w, "asyncpg", lambda side: good(side.python(program, side.url)))


@tool
def sqlalchemy(w):
    program = """
import sys, sqlalchemy as sa
e = sa.create_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg2://"))
i = sa.inspect(e)
print(i.get_schema_names(), i.get_table_names(), i.get_view_names(), i.get_enums(), i.get_sequence_names())
for t in i.get_table_names():
    print(t, [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in i.get_columns(t)], i.get_pk_constraint(t), i.get_foreign_keys(t), i.get_indexes(t),
          i.get_unique_constraints(t), i.get_check_constraints(t), i.get_table_comment(t))
print(i.get_view_definition("open_orders"))
m = sa.MetaData()
m.reflect(e, views=True)
print(sorted(m.tables))
with e.begin() as c:
    print(c.execute(sa.select(m.tables["orders"]).where(m.tables["orders"].c.id < 5).order_by(m.tables["orders"].c.id)).all())
"""
    return each(w, "sqlalchemy", lambda side: good(side.python(program, side.url)))


@tool
def django(w):
    program = """
import os, sys, django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
    "PASSWORD": os.environ["PGPASSWORD"], "HOST": "127.0.0.1", "PORT": os.environ["PGPORT"], "OPTIONS": {"sslmode": "disable"}}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"], DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=1, interactive=False, no_color=True)
call_command("showmigrations", no_color=True)
call_command("inspectdb", no_color=True)
call_command("sqlflush", no_color=True)
from django.contrib.contenttypes.models import ContentType
print(sorted(ContentType.objects.values_list("app_label", "model")))
"""
    return migrated(w, "django", lambda side: good(side.python(program)))


@tool
def alembic(w):
    folder = w.dir / "alembic"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text("import os\nimport sqlalchemy as sa\nfrom alembic import context\n"
                                   "with sa.create_engine(os.environ['URL']).connect() as c:\n    context.configure(connection=c, target_metadata=sa.MetaData())\n"
                                   "    with context.begin_transaction():\n        context.run_migrations()\n")
    (folder / "versions" / "one.py").write_text(
        "revision = 'one'\ndown_revision = None\nimport sqlalchemy as sa\nfrom alembic import op\n\n\ndef upgrade():\n"
        "    op.create_table('things', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50), nullable=False))\n"
        "    op.create_index('things_name', 'things', ['name'], unique=True)\n    op.add_column('things', sa.Column('at', sa.DateTime))\n"
        "    op.execute(\"INSERT INTO things (id, name) VALUES (1, 'x')\")\n\n\ndef downgrade():\n    op.drop_table('things')\n")
    program = """
import os, sys
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.autogenerate import compare_metadata
import sqlalchemy as sa
os.environ["URL"] = sys.argv[1]
c = Config()
c.set_main_option("script_location", sys.argv[2])
command.upgrade(c, "head")
command.current(c)
print([d[0] for d in compare_metadata(MigrationContext.configure(sa.create_engine(sys.argv[1]).connect()), sa.MetaData())])
"""
    return migrated(w, "alembic", lambda side: good(side.python(
        program, f"postgresql+psycopg2://{side.user}@127.0.0.1:{side.port}/?dbname={side.database.replace('/', '%2F')}&sslmode=disable", folder)))


# ---- others ----

def java(side, *args):
    database = side.database.replace("/", "%2F")
    done = side.run(["java", "-Xmx384m", "-Dliquibase.analytics.enabled=false", "-cp", jars(), JAVA / "Tools.java", *args],
                    env={"JDBC_URL": f"jdbc:postgresql://127.0.0.1:{side.port}/{database}?sslmode=disable", "JDBC_USER": side.user})
    assert done.out.endswith("end"), repr(done)[-3000:]
    return done.out


@tool
def jdbc_pool(w):
    return each(w, "jdbc_pool", lambda side: java(side, "pool"))


@tool
def liquibase(w):
    folder = w.dir / "liquibase"
    folder.mkdir()
    (folder / "changes.sql").write_text("--liquibase formatted sql\n--changeset ann:1\nCREATE TABLE things (id int PRIMARY KEY, name text);\n--rollback DROP TABLE things;\n"
                                        "--changeset ann:2\nALTER TABLE things ADD COLUMN at date;\nINSERT INTO things (id) VALUES (1);\n")

    def files(text):
        """Its two tables, and each change set."""
        number = 0 if "databasechangelog (" in text else 1 if "databasechangeloglock" in text else 2 if "CREATE TABLE things" in text else 3
        return number, '"$user", public' if number == 0 else 'public, "$user", public'
    return migrated(w, "liquibase", lambda side: "\n".join(java(side, "liquibase", folder, "changes.sql").splitlines()[-2:]), files)


@tool
def flyway(w):
    folder = w.dir / "flyway"
    folder.mkdir()
    (folder / "V1__things.sql").write_text("CREATE TABLE things (id int PRIMARY KEY, name text);\nINSERT INTO things VALUES (1, 'x');\nCREATE INDEX things_name ON things (name);\n")
    (folder / "V2__more.sql").write_text("ALTER TABLE things ADD COLUMN at date;\nUPDATE things SET at = '2024-01-01' WHERE id = 1;\n"
                                         "DO $$BEGIN EXECUTE 'CREATE TABLE others (id int REFERENCES things)'; END$$;\nINSERT INTO others VALUES (1);\n")

    def files(text):
        """The history table, by a connection of its own, and each version."""
        number = 0 if "flyway_schema_history" in text else 1 if "CREATE TABLE things" in text or "things_name" in text else 2
        return number, '"$user", public' if number == 0 else '"public","$user", public'
    return migrated(w, "flyway", lambda side: java(side, "flyway", folder), files)


@tool
def pgx(w):
    if not shutil.which("go"):
        skip("go is not installed")
    program = w.dir / "pgx"
    done = run(["go", "build", "-o", program, HERE / "go" / "pgx.go"], timeout=600, env={
        "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{w.dir}/go:/usr/share/gocode", "GOCACHE": os.environ.get("GOCACHE", f"{w.dir}/gocache"), "HOME": str(w.dir)})
    if done.code != 0:
        skip(f"pgx could not be built (apt-get install golang-go golang-github-jackc-pgx-v4-dev): {done.err[-300:]}")
    return each(w, "pgx", lambda side: good(side.run([program], env={"DSN": side.dsn})))


@tool
def node_postgres(w):
    modules = node_modules()
    program = """
const { Pool } = require('pg'); const Cursor = require('pg-cursor')
const pool = new Pool({ host: '127.0.0.1', max: 10 , ssl: false })
async function main () {
  const held = await Promise.all([...Array(10).keys()].map(() => pool.connect()))
  console.log(JSON.stringify(await Promise.all(held.map((c, n) => c.query('SELECT $1::int AS n', [n]).then(r => r.rows)))))
  held.forEach(c => c.release())
  console.log(JSON.stringify((await Promise.all([...Array(40).keys()].map(n => pool.query({ name: 'one', text: 'SELECT item FROM orders WHERE id = $1', values: [n] })))).map(r => r.rows)))
  const c = await pool.connect()
  const cursor = c.query(new Cursor('SELECT * FROM every ORDER BY id'))
  console.log(JSON.stringify(await cursor.read(5))); await cursor.close(); c.release()
  await pool.query('SELECT 1/0').catch(e => console.log(e.code, e.message))
  await pool.end()
}
main()
"""
    return each(w, "node_postgres", lambda side: good(side.run(["node", "-e", program], env={"NODE_PATH": str(modules)})))


@tool
def rails(w):
    program = """
require 'active_record'
ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: '127.0.0.1', port: ENV['PGPORT'], username: ENV['PGUSER'], password: ENV['PGPASSWORD'], database: ENV['PGDATABASE'])
class First < ActiveRecord::Migration[6.1]
  def change
    create_table(:things) { |t| t.string :name, null: false, index: true; t.jsonb :doc; t.timestamps }
    create_table(:others) { |t| t.references :thing, foreign_key: true }
  end
end
class Second < ActiveRecord::Migration[6.1]
  def change
    add_column :things, :state, :integer, default: 0
    add_index :things, [:state, :name]
  end
end
ActiveRecord::Migration.verbose = false
First.version, Second.version = 1, 2 rescue nil
migrations = [First.new('First', 1), Second.new('Second', 2)]
ActiveRecord::SchemaMigration.create_table
ActiveRecord::InternalMetadata.create_table
ActiveRecord::Migrator.new(:up, migrations, ActiveRecord::SchemaMigration).migrate
require 'stringio'
out = StringIO.new
ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, out)
puts out.string
class Thing < ActiveRecord::Base; end
Thing.create!(name: 'x', doc: { a: 1 })
puts Thing.where(name: 'x').pluck(:name, :state, :doc).inspect, ActiveRecord::SchemaMigration.all_versions.inspect
"""
    return migrated(w, "rails", lambda side: good(side.run(["ruby", "-e", program])))


NPGSQL = """
SELECT version();
SELECT n.nspname, t.oid, t.typname, t.kind, t.typnotnull, t.elem
FROM (SELECT y.oid, y.typname, y.typnamespace, y.typnotnull, y.typrelid, c.relkind,
             CASE WHEN f.proname = 'array_recv' THEN 'a' ELSE y.typtype END AS kind,
             CASE WHEN f.proname = 'array_recv' THEN y.typelem WHEN y.typtype = 'r' THEN r.rngsubtype
                  WHEN y.typtype = 'm' THEN (SELECT g.rngtypid FROM pg_range g WHERE g.rngmultitypid = y.oid)
                  WHEN y.typtype = 'd' THEN y.typbasetype END AS elem
      FROM pg_type AS y LEFT JOIN pg_class AS c ON (c.oid = y.typrelid) LEFT JOIN pg_proc AS f ON f.oid = y.typreceive
      LEFT JOIN pg_range AS r ON (r.rngtypid = y.oid)) AS t
LEFT JOIN pg_type AS e ON e.oid = t.elem LEFT JOIN pg_class AS ec ON (ec.oid = e.typrelid)
JOIN pg_namespace AS n ON (n.oid = t.typnamespace)
WHERE t.kind IN ('b', 'r', 'm', 'e', 'd') OR (t.kind = 'c' AND t.relkind = 'c') OR (t.kind = 'p' AND t.typname IN ('record', 'void', 'unknown'))
   OR (t.kind = 'a' AND (e.typtype IN ('b', 'r', 'm', 'e', 'd') OR (e.typtype = 'c' AND ec.relkind = 'c')))
ORDER BY CASE WHEN t.kind IN ('b', 'e', 'p') THEN 0 WHEN t.kind = 'c' THEN 1 WHEN t.kind = 'r' THEN 2 ELSE 3 END, t.oid;
SELECT t.oid, a.attname, a.atttypid FROM pg_type AS t JOIN pg_namespace AS n ON (n.oid = t.typnamespace) JOIN pg_class AS c ON (c.oid = t.typrelid)
JOIN pg_attribute AS a ON (a.attrelid = t.typrelid) WHERE t.typtype = 'c' AND c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.oid, a.attnum;
SELECT t.oid, l.enumlabel FROM pg_enum AS l JOIN pg_type AS t ON t.oid = l.enumtypid ORDER BY t.oid, l.enumsortorder;
"""


@tool
def npgsql(w):
    """All of it in one message, as Npgsql sends what it loads types by; the text is of the same shape, not its own."""
    return each(w, "npgsql", lambda side: good(side.run(["psql", side.dsn, "-XAtq", "-c", NPGSQL, "-c", "DISCARD ALL"])))


# ---- the table ----

@test
def the_table_of_the_docs_is_what_was_found(w):
    missing = [row[0] for row in ROWS if row[0] not in results]
    if missing:
        skip(f"not run or failed: {' '.join(missing)}")
    page = TOP / "docs" / "clients.md"
    text = page.read_text(encoding="utf-8")
    assert render(results) in text, f"docs/clients.md is stale; it has to have:\n{render(results)}"


main(sql=SQL, policy=POLICIES)
