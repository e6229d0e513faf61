# SPDX-License-Identifier: Apache-2.0
"""Statements by a grammar over a schema, each with what is known of every column that it answers with.

    choices ──▶ Grammar.case() ──▶ Case: steps of one session, each with its columns (tagged data in it? plain?)

A case is made of nothing but its choices, numbers of a seeded stream: the same numbers make the same case, and smaller
numbers a simpler one (zero is always the leaf), which is how a failing case is shrunk.
"""

import base64
import os
import random
import re

import wire

# ---- choices ----


class Choices:
    def __init__(self, seed=None, given=()):
        self.random = random.Random(seed) if seed is not None else None
        self.given, self.taken = list(given), []

    def pick(self, n):
        at = len(self.taken)
        if at < len(self.given):
            value = self.given[at] % n
        else:
            value = self.random.randrange(n) if self.random else 0
        self.taken.append(value)
        return value

    def of(self, things):
        return things[self.pick(len(things))]

    def chance(self, percent):
        return self.pick(100) >= 100 - percent


# ---- canaries and the schema ----

KINDS = {  # short name, its SQL type
    "text": "text", "vc": "varchar(60)", "dom": "secret_domain", "big": "int8", "num": "numeric", "date": "date", "ts": "timestamptz",
    "uuid": "uuid", "bytea": "bytea", "json": "jsonb", "arr": "text[]", "pair": "pair", "range": "int8range", "inet": "inet", "enum": "mood",
}
LIKE = {"vc": "text", "dom": "text"}  # behave as
ROWS = 4


def make_canaries():
    """{kind: one canary per row}: its text, and bytes that it is on the wire in binary."""
    r = random.Random("canaries")
    letters = "bcdfghjkmnpqrtvwxz23456789"

    def word(n=14):
        return "".join(r.choice(letters) for _ in range(n))

    def digits(n):
        return str(r.randrange(1, 10)) + "".join(str(r.randrange(10)) for _ in range(n - 1))
    made = {k: [] for k in KINDS}
    for _ in range(ROWS):
        for k in ("text", "vc", "dom", "json", "arr", "pair"):
            made[k].append(word())
        made["big"].append(digits(16))
        made["num"].append(digits(8) + "." + digits(6))
        made["date"].append(f"19{r.randrange(21, 69)}-{r.randrange(2, 13):02}-{r.randrange(11, 29)}")
        made["ts"].append(f"18{r.randrange(21, 69)}-{r.randrange(2, 13):02}-{r.randrange(11, 29)} {r.randrange(10, 23)}:{r.randrange(11, 59)}:{r.randrange(11, 59)}")
        made["uuid"].append("-".join("".join(r.choice("0123456789abcdef") for _ in range(n)) for n in (8, 4, 4, 4, 12)))
        made["bytea"].append("".join(r.choice("89abcdef") + r.choice("0123456789abcdef") for _ in range(12)))
        made["range"].append(digits(16))
        made["inet"].append(".".join(str(r.randrange(113, 254)) for _ in range(4)))
    made["enum"] = [word() for _ in range(ROWS)]
    return made


CANARIES = make_canaries()


def literal(kind, row):
    value = CANARIES[kind][row]
    return {"json": f"'{{\"k\": \"{value}\"}}'", "arr": f"'{{{value}}}'", "pair": f"ROW({row}, '{value}')::pair", "bytea": f"'\\x{value}'",
            "range": f"'[{value},9{value})'", "ts": f"'{value}+00'"}.get(kind, f"'{value}'")


EXPLAIN = re.compile(rb"sallyport explain [0-9a-z]{26}\.\d{1,6}\0")  # the gateway's own hint: chance makes an operation's name, and sometimes six characters of a canary


class Windows:
    """Any 6 characters of a canary, as they are, in any case, in hex and base64; and what they are in binary."""

    def __init__(self):
        self.by_length = {}
        for values in CANARIES.values():
            for value in values:
                self.text(value.encode())
        for value in CANARIES["uuid"] + CANARIES["bytea"]:
            raw = bytes.fromhex(value.replace("-", ""))
            self.cut(raw, 6)
            self.cut(base64.b64encode(raw).lower(), 9)
        for value in CANARIES["ts"]:
            self.cut(value.replace(" ", "T").encode().lower(), 6)
        for value in CANARIES["inet"]:
            self.add(bytes(int(n) for n in value.split(".")))
        for value in CANARIES["big"] + CANARIES["range"]:
            self.add(int(value).to_bytes(8, "big"))

    def add(self, window):
        self.by_length.setdefault(len(window), set()).add(window.lower())

    def cut(self, value, n):
        for at in range(len(value) - n + 1):
            self.add(value[at:at + n])

    def text(self, value):
        self.cut(value, 6)
        self.cut(value.hex().encode(), 12)
        for at in range(len(value) - 5):
            for shift in range(3):  # whole base64 digits of these six, wherever they stand
                coded = base64.b64encode(b"\0" * shift + value[at:at + 6])
                whole = coded[-(-shift * 8 // 6):(shift + 6) * 8 // 6]
                if len(whole) >= 7:
                    self.add(whole)

    def found(self, data):
        data = EXPLAIN.sub(b"\0", data).lower()
        for n, windows in self.by_length.items():
            for at in range(len(data) - n + 1):
                if data[at:at + n] in windows:
                    return data[at:at + n]
        return None


def columns_sql():
    return ", ".join(f"c_{k} {t}" for k, t in KINDS.items())


def people_rows():
    plain = ("maple", "cedar", "birch", "aspen")
    return ", ".join(f"({n + 1}, '{plain[n]}', {n * 1.5}, '2020-01-0{n + 1}', " + ", ".join(literal(k, n) for k in KINDS) + ")" for n in range(ROWS))


def secrets(kind):
    return [literal(kind, n) for n in range(ROWS)]


SCHEMA = f"""
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ({", ".join(secrets("enum"))});
CREATE DOMAIN secret_domain AS text CHECK (VALUE <> '');
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, size numeric CHECK (size >= 0), day date, {columns_sql()},
  made text GENERATED ALWAYS AS (upper(c_text)) STORED, UNIQUE (c_text));
INSERT INTO people (id, name, size, day, {", ".join("c_" + k for k in KINDS)}) VALUES {people_rows()};
CREATE TABLE things (id int PRIMARY KEY, owner int REFERENCES people, label text, price numeric, at timestamptz, day date, tags text[], doc jsonb, word text);
INSERT INTO things SELECT n, 1 + n % 4, 'thing ' || n, n * 2.25, '2021-02-03 04:05:06+00'::timestamptz + n * interval '1 hour', '2021-02-03'::date + n,
  ARRAY['oak', 'elm' || n], jsonb_build_object('k', 'leaf', 'n', n), 'word' || n FROM generate_series(1, 6) n;
CREATE TABLE sink (id int, body text);
INSERT INTO sink VALUES (1, 'first'), (2, 'second');
CREATE TABLE events (id int, place text, c_text text, c_big int8, part int) PARTITION BY LIST (part);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
INSERT INTO events VALUES (1, 'harbour', {literal("text", 0)}, {literal("big", 0)}, 1), (2, 'market', {literal("text", 1)}, {literal("big", 1)}, 2);
CREATE TABLE base (id int, title text, c_text text);
CREATE TABLE derived (extra text, c_num numeric) INHERITS (base);
INSERT INTO base VALUES (1, 'ground', {literal("text", 2)});
INSERT INTO derived VALUES (2, 'above', {literal("text", 3)}, 'more', {literal("num", 3)});
CREATE TABLE lookup (c_vc varchar(60) PRIMARY KEY, n int);
INSERT INTO lookup VALUES ({literal("vc", 0)}, 1), ({literal("vc", 1)}, 2);
CREATE TABLE refers (id int, c_vc varchar(60) REFERENCES lookup);
INSERT INTO refers VALUES (1, {literal("vc", 0)}), (2, {literal("vc", 1)});
CREATE VIEW v_things AS SELECT id, label, price, day, upper(word) AS loud FROM things;
CREATE VIEW v_secret AS SELECT id, name, c_text AS alias, lower(c_text) AS low, c_num AS amount FROM people;
CREATE VIEW v_over AS SELECT id, name, alias || '' AS again, amount + 0 AS more FROM v_secret;
CREATE MATERIALIZED VIEW m_secret AS SELECT id, name, c_big AS n, c_json AS doc FROM people;
CREATE FUNCTION leak() RETURNS text LANGUAGE sql STABLE AS 'SELECT c_text FROM people WHERE id = 1';
CREATE FUNCTION leak_of(n int) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RETURN (SELECT c_text FROM people WHERE id = n); END$$;
CREATE FUNCTION leaks() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM people';
CREATE FUNCTION pure(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)';
CREATE FUNCTION says(n int) RETURNS int LANGUAGE plpgsql STABLE AS
  $$BEGIN RAISE NOTICE 'it is %', (SELECT c_text FROM people WHERE id = n) USING DETAIL = (SELECT c_num FROM people WHERE id = n); RETURN n; END$$;
CREATE FUNCTION fails(n int) RETURNS int LANGUAGE plpgsql STABLE AS
  $$BEGIN RAISE EXCEPTION 'it was %', (SELECT c_text FROM people WHERE id = n) USING HINT = (SELECT c_uuid FROM people WHERE id = n); END$$;
CREATE FUNCTION opens() RETURNS refcursor LANGUAGE plpgsql AS
  $$DECLARE fc refcursor := 'fc'; BEGIN OPEN fc FOR SELECT id, lower(c_text) FROM people ORDER BY id; RETURN fc; END$$;
CREATE FUNCTION fixed() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN (SELECT c_dom FROM people WHERE id = 1); END$$;
CREATE VIEW v_filtered AS SELECT id, label FROM things WHERE label <> fixed();
CREATE VIEW v_code AS SELECT leak() AS told, 1 AS id;
CREATE FUNCTION first_of(p people) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT p.c_text';
CREATE FUNCTION both_text(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE OPERATOR === (FUNCTION = both_text, LEFTARG = text, RIGHTARG = text);
CREATE AGGREGATE glued (text) (SFUNC = both_text, STYPE = text);
CREATE VIEW v_arms (id, x) AS SELECT id, label FROM things UNION ALL SELECT id, c_vc::text FROM people;
CREATE VIEW v_whole AS SELECT p.id, p AS who, to_jsonb(p) AS doc FROM people p;
CREATE VIEW v_joined AS SELECT id, t.label, p.c_dom::text AS d FROM things t JOIN people p USING (id);
CREATE VIEW v_cte AS WITH w AS (SELECT id, c_uuid AS u FROM people), x AS (SELECT * FROM w) SELECT id, u, (SELECT max(c_date) FROM people) AS late FROM x;
CREATE VIEW v_checked AS SELECT id, name, size FROM people WHERE size < 100 WITH CHECK OPTION;
CREATE RECURSIVE VIEW v_steps (n, x) AS SELECT 1, c_text FROM people UNION ALL SELECT n + 1, x FROM v_steps WHERE n < 2;
CREATE SCHEMA crm;
CREATE TABLE crm.things (id int, label text, price numeric, owner int);
INSERT INTO crm.things VALUES (1, {literal("text", 0)}, {literal("num", 0)}, 1), (2, {literal("text", 1)}, {literal("num", 1)}, 2);
CREATE TABLE "Odd.Table" (id int, "C_Text" text, "c_text" text, "select" text);
INSERT INTO "Odd.Table" VALUES (1, 'plain', {literal("text", 2)}, 'word');
CREATE TABLE watched (id int PRIMARY KEY, body text, n int);
INSERT INTO watched VALUES (1, 'first', 1), (2, 'second', 2);
CREATE FUNCTION fills() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN NEW.body := upper(NEW.body); RETURN NEW; END$$;
CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN IF NEW.n = 3 THEN RAISE NOTICE 'seen %', (SELECT c_vc FROM people WHERE id = 3); END IF;
    IF NEW.n = 4 THEN RAISE EXCEPTION 'no %', (SELECT c_dom FROM people WHERE id = 4); END IF; RETURN NULL; END$$;
CREATE TRIGGER fills BEFORE INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION fills();
CREATE TRIGGER tells AFTER INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION tells();
CREATE TABLE watched_parts (id int, body text, n int) PARTITION BY LIST (id);
CREATE TABLE watched_part PARTITION OF watched_parts DEFAULT;
CREATE TRIGGER fills BEFORE INSERT OR UPDATE ON watched_part FOR EACH ROW EXECUTE FUNCTION fills();
RESET ROLE;
CREATE ROLE other;
ALTER FUNCTION leak_of(int) OWNER TO other;
ALTER FUNCTION leak_of(int) SECURITY DEFINER;
GRANT SELECT ON people TO other;
CREATE SCHEMA pristine;
""" + "".join(f"CREATE TABLE pristine.{t} AS SELECT * FROM ONLY public.{t};\n" for t in
              ("people", "things", "sink", "watched", "events_1", "events_2", "base", "derived", "lookup", "refers")) + "ANALYZE;\n"
TABLES = ("people", "things", "sink", "watched", "events_1", "events_2", "base", "derived", "lookup", "refers")
FUNCTIONS = ("fixed", "first_of", "both_text", "===", "glued", "leak", "leak_of", "leaks", "pure", "says", "fails", "opens")


def restore_sql():
    """Every table as it was."""
    insert = {"people": "(id, name, size, day, " + ", ".join("c_" + k for k in KINDS) + ")"}
    text = "SET session_replication_role = replica;"
    for t in TABLES:
        names = insert.get(t, "")
        text += f"DELETE FROM ONLY public.{t}; INSERT INTO public.{t} {names} SELECT {names.strip('()') or '*'} FROM pristine.{t};"
    return text


HASH_SQL = " UNION ALL ".join(f"SELECT '{t}=' || coalesce(md5(string_agg(x::text, ',' ORDER BY x::text)), '') FROM ONLY public.{t} x" for t in TABLES) + \
    " UNION ALL SELECT 'relations=' || md5(string_agg(relname::text || relkind::text, ',' ORDER BY relname)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


# ---- columns, relations, expressions ----

class Col:
    def __init__(self, name, kind, secret=False, plain=False, why=()):
        self.name, self.kind, self.secret, self.plain, self.why = name, kind, secret, plain, frozenset(why)


def cols(text, secret=(), plain=False, why=()):
    made = [Col(*one.split(":"), False, plain, why) for one in text.split()]
    for c in made:
        c.secret = c.name in secret or c.name.startswith("c_")
    return made


PEOPLE = "id:int name:text size:num day:date " + " ".join(f"c_{k}:{LIKE.get(k, k)}" for k in KINDS) + " made:text"
RELATIONS = {
    "things": cols("id:int owner:int label:text price:num at:ts day:date tags:arr doc:json word:text", plain=True),
    "people": cols(PEOPLE, ("made",)),
    "sink": cols("id:int body:text", plain=True),
    "events": cols("id:int place:text c_text:text c_big:big part:int"),
    "events_1": cols("id:int place:text c_text:text c_big:big part:int"),
    "base": cols("id:int title:text c_text:text"),
    "derived": cols("id:int title:text c_text:text extra:text c_num:num"),
    "lookup": cols("c_vc:text n:int"),
    "refers": cols("id:int c_vc:text"),
    "v_things": cols("id:int label:text price:num day:date loud:text"),
    "v_secret": cols("id:int name:text alias:text low:text amount:num", ("alias", "low", "amount"), why=("view",)),
    "v_over": cols("id:int name:text again:text more:num", ("again", "more"), why=("view",)),
    "m_secret": cols("id:int name:text n:big doc:json", ("n", "doc"), why=("view",)),
    "v_code": cols("told:text id:int", ("told",), why=("view of code",)),
    "v_arms": cols("id:int x:text", ("x",), why=("view",)),
    "v_whole": cols("id:int doc:json", ("doc",), why=("view",)),
    "v_joined": cols("id:int label:text d:text", ("d",), why=("view",)),
    "v_cte": cols("id:int u:uuid late:date", ("u", "late"), why=("view",)),
    "v_steps": cols("n:int x:text", ("x",), why=("view",)),
    "crm.things": cols("id:int label:text price:num owner:int", ("label", "price")),
    '"Odd.Table"': [Col("id", "int"), Col('"C_Text"', "text"), Col("c_text", "text", True), Col('"select"', "text")],
    "v_filtered": cols("id:int label:text", why=("view of code",)),
    "leak_of(2)": cols("leak_of:text", ("leak_of",), why=("own function",)),
    "leaks()": cols(PEOPLE, ("made",), why=("own function",)),
}


class Expr:
    def __init__(self, sql, secret=False, plain=False, why=()):
        self.sql, self.secret, self.plain, self.why = sql, secret, plain, frozenset(why)


class Rel:
    def __init__(self, sql, alias, columns):
        self.sql, self.alias, self.cols = sql, alias, columns

    def whole(self, form):
        return Expr(form.format(self.alias), any(c.secret for c in self.cols), why=frozenset().union(*(c.why for c in self.cols)))


LITERALS = {
    "text": "'plain'", "int": "3", "big": "40", "num": "2.5", "bool": "true", "date": "DATE '2022-03-04'", "ts": "TIMESTAMPTZ '2022-03-04 05:06:07+00'",
    "uuid": "'00000000-0000-0000-0000-000000000001'::uuid", "bytea": "'\\x0102'::bytea", "json": "'{\"k\": 1}'::jsonb", "arr": "ARRAY['a', 'b']",
    "pair": "ROW(1, 'x')::pair", "range": "int8range(1, 5)", "inet": "'10.0.0.1'::inet", "enum": "NULL::mood",
}
ANY = ["text", "int", "big", "num", "date", "ts", "uuid", "bytea", "json", "arr", "pair", "range", "inet", "enum", "bool"]
MADE = {  # of a kind: templates, and the kinds of what goes in
    "text": [("upper({})", "text"), ("lower({})", "text"), ("substr({}, 1, 60)", "text"), ("({} || {})", "text text"), ("({})::text", "any"),
             ("concat({}, {})", "any any"), ("to_json({})::text", "any"), ("encode({}, 'hex')", "bytea"), ("encode({}, 'base64')", "bytea"),
             ("quote_literal({})", "text"), ("format('%s', {})", "any"), ("left({}, 40)", "text"), ("right({}, 40)", "text"),
             ("replace({}, 'e', 'e')", "text"), ("regexp_replace({}, '^', '')", "text"), ("split_part({}, ' ', 1)", "text"),
             ("array_to_string({}, ',')", "arr"), ("({} ->> 'k')", "json"), ("({} #>> '{{k}}')", "json"), ("({}).b", "pair"), ("host({})", "inet"),
             ("to_char({}, 'YYYY-MM-DD')", "date"), ("to_char({}, 'YYYY-MM-DD HH24:MI:SS')", "ts"), ("to_char({}, 'FM999999999999999999.999999')", "num"),
             ("json_build_object('k', {})::text", "any"), ("xmlforest({} AS k)::text", "text"), ("greatest({}, {})", "text text"), ("md5({})", "text"),
             ("({})[1]", "arr"), ("lpad({}, 50, '.')", "text"), ("trim({})", "text"), ("initcap({})", "text"), ("overlay({} placing '' from 1 for 0)", "text"),
             ("({})::varchar(50)::text", "text"), ("({} COLLATE \"C\")", "text"), ("CASE {} WHEN 'a' THEN 'b' ELSE {} END", "text text"),
             ("({})::name::text", "text"), ("jsonb_path_query_first({}, '$.k')::text", "json"), ("({})::secret_domain::text", "text"),
             ("CASE WHEN {} THEN {} ELSE {} END", "bool text text"), ("coalesce({}, {})", "text text"), ("nullif({}, {})", "text text"),
             ("range_merge({}, {})::text", "range range"), ("pg_typeof({})::text", "any"), ("translate({}, 'a', 'a')", "text"),
             ("xmlelement(name e, {})::text", "any"), ("(ROW({}, {}))::text", "any any"), ("normalize({})", "text"), ("unistr({})", "text"),
             ("(ARRAY(SELECT unnest({})))[1]", "arr"), ("pg_catalog.\"upper\"({})", "text"), ("btrim(U&'\\0061' || {})", "text"), ("(SELECT max(v) FROM (VALUES ({}), ('b')) q (v))", "text"),
             ("(SELECT string_agg(k || v, ',') FROM jsonb_each_text({}) q (k, v))", "json"), ("(regexp_match({}, '.*'))[1]", "text"),
             ("CAST({} AS text)", "any"), ("(xpath('/a/text()', ('<a>' || {} || '</a>')::xml))[1]::text", "text"), ("query_to_xml('SELECT 1', true, true, '')::text", ""),
             ("(SELECT x FROM jsonb_to_record(jsonb_build_object('x', {})) AS q (x text))", "any"), ("(SELECT q FROM LATERAL (SELECT {} AS y) q)::text", "any"),
             ("(SELECT y FROM XMLTABLE('/r' PASSING xmlelement(name r, {}) COLUMNS y text PATH '.') q)", "text"), ("(array_fill({}, ARRAY[1]))[1]", "text")],
    "int": [("length({})", "text"), ("({} + {})", "int int"), ("extract(year FROM {})::int", "date"), ("ascii({})", "text"), ("position('a' IN {})", "text"),
            ("cardinality({})", "arr"), ("octet_length({})", "bytea"), ("({}).a", "pair"), ("({} % 7)", "int"), ("hashtext({})", "text"),
            ("CASE WHEN {} THEN {} ELSE {} END", "bool int int"), ("coalesce({}, {})", "int int"), ("masklen({})", "inet"), ("({} - {})", "date date")],
    "big": [("({})::int8", "int"), ("({} + 0)", "big"), ("lower({})", "range"), ("extract(epoch FROM {})::int8", "ts"), ("abs({})", "big"),
            ("coalesce({}, {})", "big big"), ("({})::numeric::int8", "big"), ("hashtextextended({}, 0)", "text"), ("greatest({}, {})", "big big")],
    "num": [("({})::numeric", "big"), ("round({}, 6)", "num"), ("({} * 1)", "num"), ("abs({})", "num"), ("({})::numeric", "int"), ("least({}, {})", "num num"),
            ("trunc({}, 6)", "num"), ("({} + {})", "num num"), ("coalesce({}, {})", "num num"), ("({})::text::numeric", "num")],
    "bool": [("({} IS NULL)", "any"), ("(({}, {}) = ({}, {}))", "text int text int"), ("({} SIMILAR TO 'm%')", "text"), ("({} = ANY (ARRAY[{}]))", "int int"),
             ("({} OPERATOR(pg_catalog.=) {})", "text text"), ("starts_with({}, 'm')", "text"), ("({} <@ {})", "json json"), ("({} = {})", "text text"), ("({} > {})", "num num"), ("({} LIKE 'm%')", "text"), ("(NOT {})", "bool"),
             ("({} AND {})", "bool bool"), ("({} IN ({}, {}))", "text text text"), ("({} ? 'k')", "json"), ("({} && {})", "range range"),
             ("({} ~ '^[a-m]')", "text"), ("({} BETWEEN {} AND {})", "date date date"), ("({} = ANY ({}))", "text arr"), ("({} IS DISTINCT FROM {})", "uuid uuid")],
    "date": [("({})::date", "ts"), ("({} + 0)", "date"), ("greatest({}, {})", "date date"), ("({})::text::date", "date"), ("coalesce({}, {})", "date date"),
             ("date_trunc('day', {})::date", "date")],
    "ts": [("date_trunc('second', {})", "ts"), ("({})::timestamptz", "date"), ("({} + interval '0 s')", "ts"), ("coalesce({}, {})", "ts ts"),
           ("({} AT TIME ZONE 'UTC' AT TIME ZONE 'UTC')", "ts")],
    "uuid": [("({})::text::uuid", "uuid"), ("coalesce({}, {})", "uuid uuid"), ("CASE WHEN {} THEN {} END", "bool uuid")],
    "bytea": [("convert_to({}, 'UTF8')", "text"), ("({} || {})", "bytea bytea"), ("decode(encode({}, 'hex'), 'hex')", "bytea"), ("uuid_send({})", "uuid"),
              ("int8send({})", "big"), ("textsend({})", "text"), ("numeric_send({})", "num"), ("date_send({})", "date"), ("substring({} from 1)", "bytea"),
              ("sha256({})", "bytea"), ("jsonb_send({})", "json"), ("array_send({})", "arr"), ("record_send({})", "pair")],
    "json": [("to_jsonb({})", "any"), ("jsonb_build_object('k', {})", "any"), ("jsonb_build_array({}, {})", "any any"), ("({} || {})", "json json"),
             ("({} -> 'k')", "json"), ("jsonb_set({}, '{{k}}', {})", "json json"), ("jsonb_strip_nulls({})", "json"), ("({})::text::jsonb", "json"),
             ("jsonb_path_query_array({}, '$.*')", "json"), ("to_json({})::jsonb", "any"), ("array_to_json({})::jsonb", "arr"), ("row_to_json({})::jsonb", "pair")],
    "arr": [("ARRAY[{}, {}]", "text text"), ("string_to_array({}, ' ')", "text"), ("array_append({}, {})", "arr text"), ("({} || {})", "arr arr"),
            ("regexp_split_to_array({}, 'e')", "text"), ("({})[1:1]", "arr"), ("array_remove({}, 'a')", "arr"), ("regexp_match({}, '(.*)')", "text")],
    "pair": [("ROW({}, {})::pair", "int text"), ("coalesce({}, {})", "pair pair"), ("jsonb_populate_record(NULL::pair, jsonb_build_object('a', 1, 'b', {}))", "text")],
    "range": [("int8range({}, NULL)", "big"), ("({} * int8range(NULL, NULL))", "range"), ("coalesce({}, {})", "range range")],
    "inet": [("({} + 0)", "inet"), ("set_masklen({}, 32)", "inet"), ("({})::text::inet", "inet"), ("coalesce({}, {})", "inet inet"), ("broadcast({})", "inet")],
    "enum": [("({})::text::mood", "enum"), ("coalesce({}, {})", "enum enum"), ("CASE WHEN {} THEN {} END", "bool enum")],
}
OWN = {"text": [("pure({})", "text"), ("leak()", ""), ("fixed()", ""), ("leak_of({})", "int"), ("({} === {})", "text text"), ("(leaks()).c_text", "")], "int": [("says(2)", ""), ("fails(1)", "")]}
OWN_SECRET = ("leak", "(leaks", "fixed", "says", "fails")
AGGREGATES = {
    "text": [("max({})", "text"), ("string_agg({}, ',')", "text"), ("json_agg({})::text", "any"), ("array_agg({})::text", "any"), ("min({})", "text"),
             ("mode() WITHIN GROUP (ORDER BY {})", "text"), ("json_object_agg({}, {})::text", "int any"), ("xmlagg(xmlelement(name e, {}))::text", "any")],
    "int": [("count(*)", ""), ("count({})", "any"), ("count(DISTINCT {})", "text"), ("sum({})::int", "int")],
    "num": [("sum({})", "num"), ("avg({})", "num"), ("max({})", "num"), ("percentile_disc(0.5) WITHIN GROUP (ORDER BY {})", "num")],
    "json": [("jsonb_agg({})", "any"), ("jsonb_object_agg({}, {})", "int any")],
    "arr": [("array_agg({})", "text"), ("array_agg(DISTINCT {})", "text")], "bool": [("bool_and({})", "bool"), ("every({})", "bool")],
    "big": [("max({})", "big")], "date": [("min({})", "date")], "ts": [("max({})", "ts")], "inet": [("max({})", "inet")], "enum": [("max({})", "enum")],
}
WINDOWS = ["first_value({}) OVER ()", "lag({}) OVER (ORDER BY 1)", "max({}) OVER (PARTITION BY 1)", "nth_value({}, 1) OVER ()", "lead({}, 1, {}) OVER (ORDER BY 1)"]
MISTAKES = [  # what tells a value in its error
    "({})::text::int", "({})::text::date", "({})::text::uuid", "({})::text::inet", "('{{' || ({})::text)::jsonb", "({})::text::int8range", "({})::text::mood",
    "({})::text::regclass", "({})::text::xml", "('a' ~ ('(' || ({})::text))", "decode(({})::text || '!', 'base64')", "({})::text::bit(8)", "({})::text::interval",
    "({})::text::tsquery", "to_date(({})::text, 'YYYY-MM-DD')", "({})::text::numeric", "({})::text::bool", "({})::text::pair", "({})::text::point",
    "to_number(({})::text, '9')", "convert_to(({})::text, ({})::text)", "('{{' || ({})::text)::text[]", "timezone(({})::text, '2022-03-04 05:06:07+00'::timestamptz)", "({})::text::int8 * 9999999999",
    "to_timestamp(({})::text, 'YYYY')", "({})::text::macaddr", "({})::text::money", "has_table_privilege(({})::text, 'select')", "('0' || ({})::text)::float8",
    "pg_get_serial_sequence(({})::text, 'id')", "nextval(({})::text)", "current_setting(({})::text)", "to_tsvector(({})::text::regconfig, 'x')", "1 / (length(({})::text) * 0)",
    "json_populate_record(NULL::things, to_json(({})::text))", "xpath(({})::text, '<a/>')", "lpad(({})::text, 2000000000)", "({})::text::jsonpath", "({})::text::time",
]


class Query:
    def __init__(self, sql, columns, reads_secret):
        self.sql, self.cols, self.reads_secret = sql, columns, reads_secret


class Grammar:
    def __init__(self, choices):
        self.c = choices
        self.aliases = 0
        self.relations = RELATIONS
        self.params = None  # a list while literals may become $n
        self.touched = False  # anything tagged, own or unknown named at all

    def alias(self):
        self.aliases += 1
        return f"r{self.aliases}"

    # -- expressions

    def expr(self, kind, scope, depth):
        if kind == "any":
            kind = self.c.of(ANY)
        forms = [self.leaf]
        if depth > 0:
            forms += [self.leaf, self.made, self.made, self.made, self.made, self.subquery, self.row, self.own]
        return self.c.of(forms)(kind, scope, depth)

    def leaf(self, kind, scope, depth):
        found = [(r, c) for r in scope for c in r.cols if c.kind == kind]
        if found and self.c.pick(6) != 5:
            secret = [f for f in found if f[1].secret]
            r, c = self.c.of(secret if secret and self.c.chance(60) else found)
            self.touched |= c.secret
            return Expr(f"{r.alias}.{c.name}", c.secret, c.plain, c.why)
        text = LITERALS[kind]
        if self.params is not None and kind in ("text", "int", "num") and self.c.chance(30):
            self.params.append(text.strip("'").encode())
            text = f"${len(self.params)}::{'numeric' if kind == 'num' else kind}"
        return Expr(text)

    def filled(self, template, kinds, scope, depth, why=()):
        parts = [self.expr(k, scope, depth - 1) for k in kinds.split()]
        return Expr(template.format(*(p.sql for p in parts)), any(p.secret for p in parts), False, frozenset(why).union(*(p.why for p in parts)))

    def made(self, kind, scope, depth):
        template, kinds = self.c.of(MADE[kind])
        return self.filled(template, kinds, scope, depth)

    def own(self, kind, scope, depth):
        if kind not in OWN or not self.c.chance(25):
            return self.made(kind, scope, depth)
        template, kinds = self.c.of(OWN[kind])
        self.touched = True
        e = self.filled(template, kinds, scope, depth, ("own function",))
        e.secret = e.secret or template.startswith(OWN_SECRET)
        return e

    def row(self, kind, scope, depth):
        """A whole row as one value."""
        forms = {"text": ["({})::text", "row_to_json({})::text", "to_jsonb({}) ->> 'c_text'", "format('%s', {})", "hashtext(({})::text)::text", "({}.*)::text", "(SELECT {}::text)",
                          "(ARRAY[{}])[1]::text", "ROW({})::text", "(SELECT string_agg(v, ',') FROM jsonb_each_text(to_jsonb({})) q (k, v))", "xmlforest(to_jsonb({}))::text"],
                 "json": ["to_jsonb({})", "jsonb_build_array({})", "to_json({})::jsonb", "to_jsonb(ROW({}))"], "bool": ["({} IS NOT NULL)"]}
        rows = [r for r in scope if r.alias and r.cols]
        if kind not in forms or not rows:
            return self.made(kind, scope, depth)
        r = self.c.of(rows)
        e = r.whole(self.c.of(forms[kind]))
        self.touched |= e.secret
        return e

    def subquery(self, kind, scope, depth):
        inner = self.source(0)
        if kind == "bool" and self.c.chance(50):
            x, y = self.expr("text", scope, 0), self.expr("text", [inner], 0)
            return Expr(f"({x.sql} IN (SELECT {y.sql} FROM {inner.sql}))", x.secret or y.secret, why=x.why | y.why)
        if kind == "arr":
            e = self.expr("text", [inner], depth - 1)
            return Expr(f"ARRAY(SELECT {e.sql} FROM {inner.sql})", e.secret, why=e.why)
        e = self.expr(kind, [inner] + (list(scope) if self.c.chance(40) else []), depth - 1)
        return Expr(f"(SELECT {e.sql} FROM {inner.sql} LIMIT 1)", e.secret, why=e.why)

    def aggregate(self, scope, depth):
        kind = self.c.of(sorted(AGGREGATES))
        template, kinds = self.c.of(AGGREGATES[kind])
        return kind, self.filled(template, kinds, scope, depth)

    def window(self, scope, depth):
        kind = self.c.of(["text", "num", "date", "big"])
        template = self.c.of(WINDOWS)
        e = self.expr(kind, scope, depth - 1)
        return kind, Expr(template.format(e.sql, e.sql), e.secret, why=e.why)

    # -- relations

    def source(self, depth):
        if depth > 0 and self.c.chance(30):
            q, a = self.query(depth - 1), self.alias()
            return self.renamed(f"({q.sql}) {a}", a, q.cols)
        name, a = self.c.of(sorted(self.relations, key=lambda n: (n != "things", n))), self.alias()
        columns = self.relations[name]
        self.touched |= any(c.secret or c.why for c in columns)
        form = self.c.pick(20)
        if form == 19:
            return Rel(f"(TABLE {name}) {a}" if "(" not in name else f"{name} {a}", a, columns)
        if form == 18 and name in ("base", "people", "things"):
            return Rel(f"ONLY {name} {a}", a, columns)
        if form == 17 and name in ("people", "things", "events"):
            return Rel(f"{name} {a} TABLESAMPLE bernoulli (100)", a, columns)
        if form > 13 and "(" not in name:
            return self.renamed(f"{name} {a}", a, columns)
        return Rel(f"{name} {a}", a, columns)

    def renamed(self, text, alias, columns):
        """With other names for the first of its columns, perhaps those of others."""
        if not self.c.chance(40) or len({c.name for c in columns}) < len(columns):
            return Rel(text, alias, columns)
        n = 1 + self.c.pick(len(columns))
        names = [c.name for c in columns]
        if self.c.chance(30):
            new = names[1:n] + names[:1] if n == len(columns) else [f"z{i}" for i in range(n)]
        else:
            new = [f"z{i}" for i in range(n)]
        made = [Col(new[i] if i < n else c.name, c.kind, c.secret, c.plain, c.why) for i, c in enumerate(columns)]
        return Rel(f"{text} ({', '.join(new)})", alias, made)

    def sources(self, depth):
        rels = [self.source(depth)]
        text = rels[0].sql
        for _ in range(self.c.pick(3) if depth > 0 else 0):
            more = self.c.pick(5)
            if more < 2:
                r = self.source(depth - 1)
                how = self.c.of(["JOIN", "LEFT JOIN", "FULL JOIN"])
                x, y = (next((c.name for c in one.cols if c.kind == "int"), None) for one in (rels[0], r))
                on = f"{rels[0].alias}.{x} = {r.alias}.{y}" if x and y else "true"
                text += f" {how if on != 'true' or how != 'FULL JOIN' else 'JOIN'} {r.sql} ON {on}"
            else:
                r = self.lateral(rels, depth)
                text += f" CROSS JOIN LATERAL {r.sql}"
            rels.append(r)
        return text, rels

    def lateral(self, rels, depth):
        a = self.alias()
        form = self.c.pick(5)
        if form == 0:
            e = self.expr("text", rels, depth)
            return Rel(f"(SELECT {e.sql} AS x) {a}", a, [Col("x", "text", e.secret, e.plain, e.why)])
        if form == 1:
            e = self.expr("arr", rels, depth)
            return Rel(f"unnest({e.sql}) {a} (x)", a, [Col("x", "text", e.secret, False, e.why)])
        if form == 2:
            e = self.row("json", rels, depth)
            return Rel(f"jsonb_each_text(jsonb_build_object('k', {e.sql})) {a} (k, v)", a, [Col("k", "text", e.secret, why=e.why), Col("v", "text", e.secret, why=e.why)])
        if form == 3:
            e = self.expr("text", rels, depth)
            return Rel(f"(VALUES ({e.sql}), ('b')) {a} (x)", a, [Col("x", "text", e.secret, False, e.why)])
        e = self.expr("text", rels, depth)
        return Rel(f"regexp_split_to_table({e.sql}, ' ') {a} (x)", a, [Col("x", "text", e.secret, False, e.why)])

    # -- queries

    def query(self, depth):
        forms = [self.select, self.star, self.select, self.select]
        if depth > 0:
            forms += [self.grouped, self.union, self.cte, self.windowed, self.recursive, self.select, self.star, self.merged, self.shadowed, self.fields, self.many]
        return self.c.of(forms)(depth)

    def items(self, made):
        """A select list, and the columns it makes."""
        names = [f"x{n}" for n in range(len(made))]
        text = ", ".join(f"{e.sql} AS {n}" for n, (_, e) in zip(names, made))
        return text, [Col(n, k, e.secret, e.plain, e.why) for n, (k, e) in zip(names, made)]

    def where(self, rels, depth):
        return f" WHERE {self.expr('bool', rels, min(depth, 1)).sql}" if self.c.chance(20) else ""

    def tail(self, n):
        text = f" ORDER BY {1 + self.c.pick(n)}" if self.c.chance(20) else ""
        return text + (self.c.of(["", " LIMIT 3", " OFFSET 1", " FOR UPDATE", " FOR SHARE", " FETCH FIRST 2 ROWS ONLY"]) if self.c.chance(15) else "")

    def select(self, depth):
        text, rels = self.sources(depth)
        made = []
        for _ in range(1 + self.c.pick(3)):
            kind = self.c.of(ANY)
            made.append((kind, self.expr(kind, rels, depth)))
        items, columns = self.items(made)
        distinct = self.c.of(["", "", "", "DISTINCT ", "ALL ", f"DISTINCT ON ({made[0][1].sql}) "])
        return Query(f"SELECT {distinct}{items} FROM {text}{self.where(rels, depth)}{self.tail(len(columns))}", columns, self.touched)

    def star(self, depth):
        text, rels = self.sources(self.c.pick(2))
        if any(r.sql.startswith("v_whole") or "v_whole " in r.sql or "(TABLE v_whole)" in r.sql for r in rels):
            text, rels = "things r0", [Rel("things r0", "r0", RELATIONS["things"])]
        if len(rels) > 1 and self.c.chance(50):
            e = self.expr("text", rels, 1)
            return Query(f"SELECT *, {e.sql} AS more FROM {text}", [c for r in rels for c in r.cols] + [Col("more", "text", e.secret, False, e.why)], self.touched)
        if len(rels) > 1:
            return Query(f"SELECT * FROM {text}{self.where(rels, depth)}", [c for r in rels for c in r.cols], self.touched)
        if self.c.chance(30):
            return Query(f"SELECT {rels[0].alias}.* FROM {text}{self.where(rels, depth)}", rels[0].cols, self.touched)
        return Query(f"SELECT * FROM {text}{self.where(rels, depth)}", rels[0].cols, self.touched)

    def grouped(self, depth):
        text, rels = self.sources(depth - 1)
        made = [self.aggregate(rels, depth - 1) for _ in range(1 + self.c.pick(2))]
        items, columns = self.items(made)
        if self.c.chance(15):
            e = self.expr("text", rels, 1)
            how = self.c.of(["ROLLUP (1)", "CUBE (1)", "GROUPING SETS ((1), ())"])
            return Query(f"SELECT {e.sql} AS g, {items} FROM {text} GROUP BY {how} HAVING count(*) > 0", [Col("g", "text", e.secret, False, e.why)] + columns, self.touched)
        if self.c.chance(40):
            e = self.expr("text", rels, 1)
            return Query(f"SELECT {items}, {e.sql} AS g FROM {text}{self.where(rels, depth)} GROUP BY {len(made) + 1}", columns + [Col("g", "text", e.secret, False, e.why)], self.touched)
        return Query(f"SELECT {items} FROM {text}{self.where(rels, depth)}", columns, self.touched)

    def windowed(self, depth):
        text, rels = self.sources(depth - 1)
        items, columns = self.items([self.window(rels, depth - 1) for _ in range(1 + self.c.pick(2))])
        return Query(f"SELECT {items} FROM {text}{self.where(rels, depth)}", columns, self.touched)

    def union(self, depth):
        kinds = [self.c.of(ANY) for _ in range(1 + self.c.pick(2))]
        arms = []
        for _ in range(2):
            text, rels = self.sources(depth - 1)
            arms.append((text, [(k, self.expr(k, rels, depth - 1)) for k in kinds]))
        how = self.c.of(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])
        sql = f" {how} ".join(f"SELECT {self.items(made)[0]} FROM {text}" for text, made in arms)
        columns = [Col(f"x{n}", k, a.secret or b.secret, False, a.why | b.why | {"set operation"}) for n, (k, (_, a), (_, b)) in enumerate(zip(kinds, arms[0][1], arms[1][1]))]
        return Query(sql, columns, self.touched)

    def cte(self, depth):
        q, a, b = self.query(depth - 1), self.alias(), self.alias()
        rel = Rel(f"{a} {b}", b, q.cols)
        made = []
        for _ in range(1 + self.c.pick(2)):
            kind = self.c.of([c.kind for c in q.cols] + ["text"])
            made.append((kind, self.expr(kind, [rel], depth - 1)))
        items, columns = self.items(made)
        how = self.c.of(["", "MATERIALIZED ", "NOT MATERIALIZED "])
        return Query(f"WITH {a} AS {how}({q.sql}) SELECT {items} FROM {rel.sql}", columns, self.touched)

    def merged(self, depth):
        """JOIN … USING and NATURAL, and the columns that they merge."""
        left, right = self.alias(), self.alias()
        names = [n for n, c in self.relations.items() if c[0].name == "id" and "(" not in n]
        x, y = self.c.of(names), self.c.of(names)
        a, b = self.relations[x], self.relations[y]
        self.touched |= any(c.secret or c.why for c in a + b)
        twice = {c.name for c in a} & {c.name for c in b} - {"id"}
        only = [Rel("", left, [c for c in a if c.name != "id"]), Rel("", right, [c for c in b if c.name != "id"])]
        if self.c.chance(30):
            columns = [Col("id", "int", False, False, a[0].why)] + a[1:] + [c for c in b if c.name != "id"]
            return Query(f"SELECT * FROM {x} {left} {self.c.of(['JOIN', 'LEFT JOIN', 'FULL JOIN'])} {y} {right} USING (id)", columns, self.touched)
        if self.c.chance(30) and not twice:
            j = self.alias()
            columns = [Col(f"m{n}", c.kind, c.secret, False, c.why) for n, c in enumerate(a + [c for c in b if c.name != "id"])]
            e = [(k, self.expr(k, [Rel("", j, columns)], depth - 1)) for k in [self.c.of(columns).kind]]
            items, made = self.items(e)
            return Query(f"SELECT {items} FROM ({x} {left} JOIN {y} {right} USING (id)) AS {j} ({', '.join(c.name for c in columns)})", made, self.touched)
        kind = self.c.of(ANY)
        items, made = self.items([(kind, self.expr(kind, only, depth - 1)), ("int", Expr("id", False))])
        return Query(f"SELECT {items} FROM {x} {left} JOIN {y} {right} USING (id)", made, self.touched)

    def shadowed(self, depth):
        """A CTE by the name of a table, with columns by the names of others."""
        q = self.select(depth - 1)
        name = self.c.of(["things", "people", "sink", "v_things"])
        names = ["label", "id", "name"][:len(q.cols)]
        columns = [Col(n, c.kind, c.secret, False, c.why) for n, c in zip(names, q.cols)]
        kind = self.c.of(columns).kind
        a = self.alias()
        if self.c.chance(30):  # not seen by its own text, nor by what is qualified
            other = Rel(f"public.{name} {a}", a, RELATIONS[name])
            self.touched |= any(c.secret for c in other.cols)
        else:
            other = Rel(f"{name} {a}", a, columns)
        kind = self.c.of(other.cols).kind
        items, made = self.items([(kind, self.expr(kind, [other], depth - 1))])
        return Query(f"WITH {name} ({', '.join(names)}) AS ({q.sql}) SELECT {items} FROM {other.sql}", made, self.touched)

    def fields(self, depth):
        """Fields of rows: (r).c_text, c_text(r), (SELECT r).c_text, ((s.r)).c_text, (r).*"""
        r = self.source(0)
        c = self.c.of(r.cols)
        self.touched |= c.secret
        form = self.c.pick(7)
        if form == 6:
            return Query(f"SELECT (q.x).* FROM (SELECT {r.alias} AS x FROM {r.sql}) q", unplain(r.cols, "field of a row"), self.touched)
        sql = ["SELECT ({a}).{c} FROM {s}", "SELECT {c}({a}) FROM {s}", "SELECT (SELECT {a}).{c} FROM {s}", "SELECT (q.x).{c} FROM (SELECT {a} AS x FROM {s}) q",
               "SELECT ((ARRAY[{a}])[1]).{c} FROM {s}", "SELECT (coalesce({a}, {a})).{c} FROM {s}"][form]
        return Query(sql.format(a=r.alias, c=c.name, s=r.sql), [Col(c.name, c.kind, c.secret, False, c.why | {"field of a row"})], self.touched)

    def many(self, depth):
        """Functions of many rows in the select list."""
        text, rels = self.sources(depth - 1)
        template, kinds = self.c.of([("unnest({})", "arr"), ("regexp_split_to_table({}, 'e')", "text"), ("jsonb_array_elements(jsonb_build_array({}))", "any"),
                                     ("(jsonb_each_text(jsonb_build_object('k', {}))).value", "any"), ("(jsonb_each({})).value", "json"),
                                     ("string_to_table({}, 'e')", "text"), ("(regexp_matches({}, '.*'))[1]", "text"), ("jsonb_path_query({}, '$.*')", "json"),
                                     ("(json_each_text(row_to_json({}))).value", "pair"), ("generate_series(1, {} % 3)", "int")])
        e = self.filled(template, kinds, rels, depth)
        if self.c.chance(40):
            x = self.alias()
            items, made = self.items([("text", Expr(f"{x}.v::text", e.secret, False, e.why)), ("int", Expr(f"{x}.n::int", e.secret, False, e.why))])
            form = "{t} CROSS JOIN LATERAL ROWS FROM ({f}) WITH ORDINALITY AS {x} (v, n)" if not template.startswith("(") else "{t} CROSS JOIN LATERAL (SELECT {f}, 1) AS {x} (v, n)"
            return Query(f"SELECT {items} FROM " + form.format(t=text, f=e.sql, x=x), made, self.touched)
        items, made = self.items([("any", e), ("int", Expr("1"))])
        return Query(f"SELECT {items} FROM {text}", made, self.touched)

    def recursive(self, depth):
        a = self.alias()
        r = self.source(0)
        x, y = self.expr("text", [r], 1), self.expr("text", [r], 1)
        secret, why = x.secret or y.secret, x.why | y.why | {"recursion"}
        sql = (f"WITH RECURSIVE {a} (n, x) AS (SELECT 1, {x.sql} FROM {r.sql} UNION ALL SELECT {a}.n + 1, {y.sql} FROM {a}, {r.sql} WHERE {a}.n < 2) "
               f"SELECT n, x FROM {a}")
        return Query(sql, [Col("n", "int", False, False, why), Col("x", "text", secret, False, why)], self.touched)

    def returning(self, rel):
        made = []
        for _ in range(1 + self.c.pick(2)):
            kind = self.c.of([c.kind for c in rel.cols])
            made.append((kind, self.expr(kind, [rel], self.c.pick(2))))
        return self.items(made)


# ---- cases: what a session does ----

class Step:
    """One exchange, up to ReadyForQuery.  Columns: of its rows, in order; None where they are not those of one query."""

    def __init__(self, messages, columns=None, how="rows", text="", data=None):
        self.messages, self.cols, self.how, self.text, self.data = messages, columns, how, text, data


def ask(sql, columns=None, how="rows"):
    return Step([wire.query(sql)], columns, how, sql)


class Case:
    def __init__(self, name, steps, touched, writing, commits):
        self.name, self.steps, self.touched, self.writing, self.commits = name, steps, touched, writing, commits

    def __str__(self):
        return f"{self.name}:\n" + "\n".join("    " + s.text for s in self.steps)


def w_simple(g):
    q = g.query(2)
    return [ask(q.sql, q.cols)]


def w_several(g):
    q = g.query(1)
    return [ask(f"SELECT 1 AS one; {q.sql}; SELECT 2 AS two")]


def extended(g, q, name="", results=(), rows=(0,), portal="", twice=False):
    messages = [wire.parse(name, q.sql), wire.describe("S", name)]
    for again in range(2 if twice else 1):
        messages += [wire.bind(portal, name, g.params or [], [0] if g.params else [], results), wire.describe("P", portal)]
        messages += [wire.execute(portal, n) for n in rows]
        messages += [wire.close("P", portal)] if portal else []
    messages += ([wire.close("S", name)] if name else []) + [wire.SYNC]
    return [Step(messages, q.cols, "rows", f"{q.sql} -- {name} {portal} {results} {rows} {g.params}")]


def w_extended(g):
    g.params = []
    return extended(g, g.query(2))


def w_binary(g):
    g.params = []
    return extended(g, g.query(2), results=[1])


def w_named(g):
    g.params = []
    return extended(g, g.query(2), "s1", results=[g.c.pick(2)], twice=True)


def w_piecewise(g):
    g.params = []
    return extended(g, g.query(2), "s2", rows=(1, 2, 0), portal="p1")


def w_flushed(g):
    """Parse and Describe first, the rest in another exchange."""
    g.params = []
    q = g.query(2)
    params = g.params
    return [Step([wire.parse("s3", q.sql), wire.describe("S", "s3"), wire.SYNC], None, "rows", f"{q.sql} -- prepare"),
            Step([wire.bind("", "s3", params, [0] if params else []), wire.execute("", 0), wire.SYNC], q.cols, "rows", f"-- run {params}"),
            Step([wire.close("S", "s3"), wire.SYNC], None, "rows", "-- close")]


def w_cursor(g):
    q = g.query(2)
    binary, hold = g.c.of(["", "BINARY "]), g.c.of(["", " WITH HOLD"])
    fetch = g.c.of(["FETCH ALL FROM k", "FETCH 2 FROM k", "FETCH FORWARD 1 FROM k"])
    steps = [ask("BEGIN"), ask(f"DECLARE k {binary}CURSOR{hold} FOR {q.sql}"), ask(fetch, q.cols), ask("MOVE 1 FROM k")]
    if hold:
        steps += [ask("COMMIT"), ask("FETCH ALL FROM k", q.cols), ask("CLOSE k")]
    else:
        steps += [ask("FETCH ALL FROM k", q.cols), ask("ROLLBACK")]
    return steps


def w_copy(g):
    q = g.query(2)
    form = g.c.of(["", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT binary)", " WITH (DELIMITER '|', NULL 'nil')", " WITH (FORMAT csv, FORCE_QUOTE *)"])
    return [ask(f"COPY ({q.sql}) TO STDOUT{form}", q.cols, "copy" if form == "" else "bytes")]


def w_copy_table(g):
    name = g.c.of([n for n in RELATIONS if "(" not in n and not n.startswith("v_") and n not in ("events", "m_secret")])
    columns = RELATIONS[name]
    g.touched |= any(c.secret for c in columns)
    form = g.c.of(["", " WITH (FORMAT csv)", " WITH BINARY"])
    columns = [c for c in columns if c.name != "made"]
    return [ask(f"COPY {name} TO STDOUT{form}", columns, "copy" if form == "" else "bytes")]


def w_table(g):
    name = g.c.of([n for n in RELATIONS if "(" not in n])
    g.touched |= any(c.secret or c.why for c in RELATIONS[name])
    return [ask(f"TABLE {name}", RELATIONS[name])]


def w_prepare(g):
    q = g.query(2)
    return [ask(f"PREPARE p AS {q.sql}"), ask("EXECUTE p", q.cols), ask("EXECUTE p", q.cols), ask("DEALLOCATE p")]


def unplain(columns, why):
    return [Col(c.name, c.kind, c.secret, False, c.why | {why}) for c in columns]


def made_of(g, columns):
    """Columns of a relation that the session makes of a query: nothing is masked where the query reads nothing tagged or unknown."""
    return unplain(columns, "relation of the session's own") if g.touched else [Col(c.name, c.kind, c.secret, True) for c in columns]


def relation_made(g, create, drop, inside):
    q = g.query(1)
    made = made_of(g, q.cols)
    e = Grammar.returning(g, Rel("made", "made", made))
    steps = [ask(create.format(q.sql)), ask("SELECT * FROM made", made), ask(f"SELECT {e[0]} FROM made", e[1]),
             ask("COPY (SELECT * FROM made) TO STDOUT", made, "copy"), ask(f"DROP {drop} made")]
    return [ask("BEGIN"), *steps[:-1], ask("ROLLBACK")] if inside else steps


def w_temp_table(g):
    return relation_made(g, "CREATE TEMP TABLE made AS {}", "TABLE", g.c.chance(50))


def w_temp_view(g):
    return relation_made(g, "CREATE TEMP VIEW made AS {}", "VIEW", g.c.chance(50))


def w_select_into(g):
    q = g.query(0)
    made = made_of(g, q.cols)
    return [ask("BEGIN"), ask(q.sql.replace(" FROM ", " INTO TEMP made FROM ", 1)), ask("SELECT * FROM made", made), ask("ROLLBACK")]


def w_made_for_good(g):
    q = g.query(1)
    what = g.c.of(["TABLE", "VIEW", "MATERIALIZED VIEW"])
    made = made_of(g, q.cols)
    return [ask("BEGIN"), ask(f"CREATE {what} made AS {q.sql}"), ask("SELECT * FROM made", made), ask("ROLLBACK")]


def w_moved(g):
    """Copies of what is tagged, as long as the transaction that made them lasts."""
    q = g.query(1)
    made = made_of(g, q.cols)
    column = g.c.of([c.name for c in made])
    e = g.expr("text", [Rel("kept", "kept", made)], 1)
    how = g.c.of(["CREATE TABLE kept AS {}", "CREATE TEMP TABLE kept AS {}", "CREATE TABLE kept AS {} WITH NO DATA"])
    steps = [ask(how.format(q.sql)), ask(f"INSERT INTO kept {q.sql}"), ask("SELECT * FROM kept", made), ask(f"SELECT {e.sql} AS x FROM kept", [Col("x", "text", e.secret, False, e.why)]),
             ask("CREATE TABLE kept1 AS SELECT * FROM kept"), ask("SELECT * FROM kept1", made), ask("SAVEPOINT a"), ask(f'ALTER TABLE kept RENAME "{column}" TO renamed_one'),
             ask("ALTER TABLE kept RENAME TO kept2"), ask("SELECT * FROM kept2", [Col("renamed_one" if c.name == column else c.name, c.kind, c.secret, c.plain, c.why) for c in made]),
             ask("ROLLBACK TO a"), ask("CREATE TEMP VIEW kept3 AS SELECT * FROM kept"), ask("SELECT * FROM kept3", made), ask("COPY (SELECT * FROM kept) TO STDOUT", made, "copy")]
    return [ask("BEGIN"), *steps, ask("ROLLBACK")]


def w_insert_select(g):
    text, rels = g.sources(1)
    x = g.expr("text", rels, 1)
    columns = unplain(RELATIONS["sink"], "written by the session") if x.secret or x.why else RELATIONS["sink"]
    for c in columns:
        c.secret = c.secret or (x.secret and c.name == "body")
    way = g.c.of([f"INSERT INTO sink SELECT 7, {x.sql} FROM {text}", f"INSERT INTO sink SELECT 7, {x.sql} FROM {text} RETURNING *",
                  f"WITH w AS (INSERT INTO sink SELECT 7, {x.sql} FROM {text} RETURNING body) SELECT 7, body FROM w"])
    return [ask("BEGIN"), ask(way, columns), ask("SELECT * FROM sink", columns), ask("ROLLBACK")]


def w_update(g):
    name = g.c.of(["things", "people", "sink", "base"])
    rel = Rel(name, name, RELATIONS[name])
    to, kind = {"things": ("label", "text"), "people": ("name", "text"), "sink": ("body", "text"), "base": ("title", "text")}[name]
    x = g.expr(kind, [rel], 1)
    items, columns = g.returning(rel)
    if x.secret or x.why:
        columns = [Col(c.name, c.kind, True, False, c.why | {"written by the session"}) for c in columns]
    else:
        columns = unplain(columns, "written by the session")
    g.touched |= any(c.secret for c in rel.cols)
    return [ask("BEGIN"), ask(f"UPDATE {name} SET {to} = {x.sql} WHERE id = 1 RETURNING {items}", columns), ask(f"SELECT {to} FROM {name}"), ask("ROLLBACK")]


def w_delete(g):
    name = g.c.of(["things", "sink", "base", "refers"])
    rel = Rel(name, name, RELATIONS[name])
    items, columns = g.returning(rel)
    g.touched |= any(c.secret for c in rel.cols)
    return [ask("BEGIN"), ask(f"DELETE FROM {name} WHERE id = 1 RETURNING {items}", unplain(columns, "written by the session")), ask("ROLLBACK")]


VIOLATIONS = [
    "INSERT INTO sink VALUES (3, 'third')", "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING *",
    "INSERT INTO people (id, name) VALUES (60, 'x') RETURNING *", "INSERT INTO things (id, owner) VALUES (1, 1) ON CONFLICT (id) DO NOTHING RETURNING *",
    "INSERT INTO people (id, name) VALUES (2, 'x') ON CONFLICT (id) DO UPDATE SET size = people.c_num RETURNING size",
    "WITH x AS (UPDATE people SET size = 5 WHERE id = 1 RETURNING *) SELECT name, c_text, lower(c_text) FROM x",
    "INSERT INTO people (id, name) VALUES (1, 'again')", "UPDATE people SET name = NULL WHERE id = 2", "UPDATE people SET size = -1 WHERE id = 1",
    "DELETE FROM lookup WHERE n = 1", "INSERT INTO people SELECT * FROM people WHERE id = 1", "UPDATE people SET c_text = (SELECT c_text FROM people WHERE id = 1) WHERE id = 2",
    "INSERT INTO events (id, part) VALUES (9, 9)", "UPDATE events SET part = 9 WHERE id = 1", "INSERT INTO refers VALUES (3, 'nobody')",
    "INSERT INTO people (id, name, c_text) SELECT 9, 'x', c_text FROM people WHERE id = 3", "UPDATE lookup SET c_vc = 'x' WHERE n = 2", "INSERT INTO things (id) VALUES (1)",
    "UPDATE people SET id = 2 WHERE id = 1", "DELETE FROM people WHERE id = 1", "INSERT INTO things (id, owner) VALUES (77, 78)",
    "UPDATE people SET c_dom = '' WHERE id = 1", "UPDATE v_checked SET size = 1000 WHERE id = 1", "INSERT INTO v_checked VALUES (50, 'x', 1000)",
    "UPDATE v_checked SET size = -5 WHERE id = 2 RETURNING *", "DELETE FROM base WHERE c_text::int > 0", "UPDATE sink SET body = 'x' WHERE id = 1 AND 'a' = (SELECT c_text FROM people)",
    "UPDATE things SET owner = 99 WHERE id = 1", "DELETE FROM people WHERE id = 2 RETURNING c_text::int", "UPDATE people SET size = -1 WHERE id = 1 RETURNING *",
    "MERGE INTO people p USING things t ON p.id = t.id WHEN MATCHED THEN UPDATE SET size = -1", "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET size = -1",
]


def w_violation(g):
    g.touched = True
    text = g.c.of(VIOLATIONS)
    return [ask("BEGIN"), ask("SAVEPOINT a"), ask(text), ask("ROLLBACK TO a"), ask("SELECT id, label FROM things", RELATIONS["things"][:1] + RELATIONS["things"][2:3]), ask("ROLLBACK")]


def w_committed(g):
    """Not in a transaction: what is denied must not have happened."""
    g.touched = True
    form = g.c.pick(4)
    if form == 0:
        return [ask(g.c.of(VIOLATIONS))]
    text, rels = g.sources(1)
    x = g.expr("text", rels, 1)
    if form == 1:
        return [ask(f"INSERT INTO sink SELECT 8, {x.sql} FROM {text}")]
    if form == 2:
        return [ask(f"SELECT 1; INSERT INTO sink SELECT 8, {x.sql} FROM {text}; DELETE FROM things WHERE id = 2")]
    return [Step([wire.parse("", "INSERT INTO sink VALUES (9, 'nine')"), wire.bind(), wire.execute(), wire.parse("", f"INSERT INTO sink SELECT 8, {x.sql} FROM {text}"),
                  wire.bind(), wire.execute(), wire.SYNC], None, "rows", f"INSERT 9; INSERT INTO sink SELECT 8, {x.sql} FROM {text} -- one batch")]


def w_mistake(g):
    text, rels = g.sources(g.c.pick(2))
    e = g.expr("any", rels, g.c.pick(2))
    sql = f"SELECT {g.c.of(MISTAKES).format(e.sql, e.sql)} AS x FROM {text}"
    columns = [Col("x", "text", e.secret, False, e.why)]
    way = g.c.pick(6)
    if way == 1:
        return extended(g, Query(sql, columns, True))
    if way == 2:
        return [ask("BEGIN"), ask(f"DECLARE k CURSOR WITH HOLD FOR {sql}"), ask("COMMIT"), ask("ROLLBACK")]
    if way == 3:
        return [ask(f"COPY ({sql}) TO STDOUT", columns, "copy")]
    if way == 4:
        return [ask(f"PREPARE p AS {sql}"), ask("EXECUTE p", columns), ask("DEALLOCATE p")]
    if way == 5:
        return [ask("BEGIN"), ask("SAVEPOINT a"), ask(sql, columns), ask("ROLLBACK TO a"), ask("SELECT 1"), ask("ROLLBACK")]
    return [ask(sql, columns)]


def w_explain(g):
    q = g.query(1)
    form = g.c.of(["EXPLAIN (COSTS off) ", "EXPLAIN (COSTS off, VERBOSE) ", "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ",
                   "EXPLAIN (COSTS off, FORMAT json) "])
    column = Col("QUERY PLAN", "text", False, False, ("explain",))
    return [ask(form + q.sql, [column], "plan")]


def w_notice(g):
    g.touched = True
    return [ask(g.c.of(["SELECT says(1)", "SELECT says(id) FROM things", "SELECT fails(2)", "DO $$BEGIN RAISE NOTICE '%', (SELECT c_text FROM people WHERE id = 1); END$$",
                        "SELECT id FROM things WHERE says(3) = 3", "DECLARE k CURSOR WITH HOLD FOR SELECT fails(1)"]))]


def w_notify(g):
    text, rels = g.sources(0)
    x = g.expr("text", rels, 1)
    return [ask("LISTEN ch"), ask(f"SELECT pg_notify('ch', {x.sql}) FROM {text} LIMIT 1", [Col("pg_notify", "void", x.secret, False, x.why | {"notify"})]),
            ask("NOTIFY ch, 'plain'"), ask("UNLISTEN ch")]


def w_path(g):
    """The same names mean other tables."""
    g.relations = dict(RELATIONS, things=RELATIONS["crm.things"])
    del g.relations["v_things"]
    q = g.query(1)
    g.touched = True
    form = g.c.pick(5)
    if form == 0:
        return [ask("SET search_path = crm, public"), ask(q.sql, unplain(q.cols, "search path"))]
    if form == 1:
        return [ask(f"SET search_path = crm, public; {q.sql}", unplain(q.cols, "search path"))]
    if form == 2:
        return [ask("BEGIN"), ask("SET LOCAL search_path = crm, public"), ask(q.sql, unplain(q.cols, "search path")), ask("ROLLBACK"),
                ask("SELECT label FROM things", [RELATIONS["things"][2]])]
    if form == 3:
        return [ask("SELECT set_config('search_path', 'crm, public', false)"), ask(f"PREPARE p AS {q.sql}"), ask("SET search_path = public"),
                ask("EXECUTE p"), ask("SET search_path = crm, public"), ask("EXECUTE p")]
    return [Step([wire.parse("", "SET search_path = crm, public"), wire.bind(), wire.execute(), wire.parse("", q.sql), wire.bind(), wire.describe("P"), wire.execute(), wire.SYNC],
                 None, "rows", f"SET search_path in one batch with {q.sql}")]


def w_pipeline(g):
    """Two statements, their portals a row at a time in turn."""
    a, b = g.query(1), g.query(1)
    messages = [wire.parse("a", a.sql), wire.parse("b", b.sql), wire.bind("pa", "a"), wire.bind("pb", "b", results=[g.c.pick(2)]), wire.describe("P", "pb"),
                wire.execute("pa", 1), wire.execute("pb", 1), wire.describe("S", "a"), wire.execute("pa", 1), wire.close("S", "a"), wire.execute("pb"), wire.execute("pa"),
                wire.close("P", "pa"), wire.SYNC]
    return [Step(messages, None, "rows", f"a: {a.sql}  b: {b.sql}"), Step([wire.close("S", "b"), wire.SYNC], None, "rows", "-- close")]


def w_portal_by_sql(g):
    q = g.query(1)
    return [ask("BEGIN"), Step([wire.parse("s", q.sql), wire.bind("p", "s"), wire.SYNC], None, "rows", f"portal p: {q.sql}"),
            ask(g.c.of(["FETCH 1 FROM p", "FETCH ALL FROM p"]), q.cols), Step([wire.execute("p"), wire.SYNC], None, "rows", "-- run p"), ask("ROLLBACK"),
            Step([wire.close("S", "s"), wire.SYNC], None, "rows", "-- close")]


DEFINITIONS = [
    "CREATE INDEX ON things (label)", "CREATE UNIQUE INDEX ON people ((1))", "CREATE UNIQUE INDEX ON people ((left(c_vc, 0) || c_vc)) WHERE c_vc::int > 0",
    "CREATE INDEX ON people ((c_text::int))", "ALTER TABLE people ADD CHECK (c_text::int > 0)", "ALTER TABLE people ADD CHECK (c_text = 'x')",
    "ALTER TABLE people ALTER c_text TYPE int USING c_text::int", "ALTER TABLE people ADD z int GENERATED ALWAYS AS (c_vc::int) STORED",
    "ALTER TABLE people ADD FOREIGN KEY (c_vc) REFERENCES lookup (c_vc)", "ALTER TABLE people ADD FOREIGN KEY (c_text) REFERENCES lookup (c_vc)",
    "ALTER TABLE refers ADD UNIQUE (c_vc)", "INSERT INTO refers SELECT * FROM refers; CREATE UNIQUE INDEX ON refers (c_vc)", "CREATE STATISTICS st ON (c_text::int), id FROM people; ANALYZE people",
    "ALTER TABLE people ADD EXCLUDE USING gist (c_range WITH &&)", "ALTER TABLE people ALTER c_num TYPE int2", "ALTER TABLE people ALTER c_vc TYPE varchar(3)",
    "ALTER TABLE people ALTER c_vc TYPE text COLLATE \"C\"", "CREATE MATERIALIZED VIEW made AS SELECT c_text::int FROM people", "CREATE TABLE made AS SELECT c_text::int FROM people",
    "ALTER TABLE events ATTACH PARTITION sink FOR VALUES IN (3)", "CREATE RULE r AS ON INSERT TO sink DO ALSO SELECT c_text FROM people; INSERT INTO sink VALUES (5, 'x')",
    "ALTER TABLE base ALTER c_text TYPE uuid USING c_text::uuid", "ALTER DOMAIN secret_domain ADD CHECK (VALUE::int > 0)", "CREATE DOMAIN made AS text CHECK (VALUE::int > 0); SELECT c_text::made FROM people",
    "ALTER TABLE people ALTER c_text SET DEFAULT 'x'", "CLUSTER people USING people_pkey", "REINDEX TABLE people", "ALTER TABLE people RENAME c_text TO harmless; SELECT harmless FROM people",
    "ALTER TABLE people RENAME TO folk; SELECT c_text, upper(c_text) FROM folk", "ALTER VIEW v_secret RENAME alias TO other; SELECT other FROM v_secret",
    "ALTER TABLE people SET SCHEMA crm; SELECT c_text, lower(c_text) FROM crm.people", "CREATE OR REPLACE VIEW v_things AS SELECT id, c_text AS label, size AS price, day, name AS loud FROM people; SELECT label FROM v_things",
    "ALTER TABLE people RENAME c_text TO x; ALTER TABLE people RENAME name TO c_text; ALTER TABLE people RENAME x TO name; SELECT name, lower(name) FROM people",
]


def w_define(g):
    """Definitions, what they compute and what they tell when that fails; in a transaction that is rolled back."""
    g.touched = True
    text = g.c.of(DEFINITIONS)
    steps = [ask("BEGIN")] + ([ask(text)] if g.c.chance(40) else [ask(part) for part in text.split("; ")])
    return steps + [ask("ROLLBACK"), ask("SELECT label FROM things", [RELATIONS["things"][2]])]


REPLACED = ["CREATE OR REPLACE VIEW v_things AS SELECT id, c_text AS label, size AS price, day, c_vc::text AS loud FROM people",
            "CREATE OR REPLACE VIEW v_things AS SELECT 1 AS id, lower(c_dom) AS label, c_num AS price, c_date AS day, name AS loud FROM people",
            "ALTER TABLE crm.things DROP price, ADD price numeric; CREATE TABLE kid (id int, owner int, label text, price numeric, at timestamptz, day date, tags text[], doc jsonb, "
            "word text); INSERT INTO kid SELECT id, owner, label, price FROM crm.things; ALTER TABLE kid INHERIT things",
            "ALTER TABLE things RENAME TO other; ALTER TABLE crm.things SET SCHEMA public",
            "ALTER VIEW v_things RENAME TO other; CREATE VIEW v_things AS SELECT id, c_text AS label, size AS price, day, name AS loud FROM people"]
MEANWHILE = ["SELECT label FROM v_things", "SELECT upper(label) FROM v_things", "SELECT * FROM v_things", "SELECT price, label || '' FROM v_things", "SELECT to_jsonb(v) FROM v_things v",
             "SELECT label FROM things", "SELECT label || '' FROM things", "SELECT (v).label FROM v_things v"]


def w_redefined(g):
    """Prepared before a definition changes, run after, in the same transaction and after its end."""
    g.touched = True
    text, change, form = g.c.of(MEANWHILE), g.c.of(REPLACED), g.c.pick(5)
    changes = [ask(change)] if g.c.chance(30) else [ask(part) for part in change.split("; ")]
    binary = [g.c.pick(2)]
    if form == 0:
        return [ask(f"PREPARE p AS {text}"), ask("EXECUTE p"), ask("BEGIN"), *changes, ask("EXECUTE p"), ask(text), ask("ROLLBACK"), ask("EXECUTE p")]
    if form == 1:
        return [Step([wire.parse("s", text), wire.describe("S", "s"), wire.SYNC], None, "rows", text), ask("BEGIN"), *changes,
                Step([wire.bind("", "s", results=binary), wire.execute(), wire.SYNC], None, "rows", "-- run"), ask("ROLLBACK"),
                Step([wire.bind("", "s"), wire.execute(), wire.close("S", "s"), wire.SYNC], None, "rows", "-- run again")]
    if form == 2:
        return [ask("BEGIN"), Step([wire.parse("s", text), wire.bind("p", "s"), wire.describe("P", "p"), wire.execute("p", 1), wire.SYNC], None, "rows", text), *changes,
                Step([wire.bind("q", "s", results=binary), wire.describe("P", "q"), wire.execute("q"), wire.execute("p"), wire.SYNC], None, "rows", "-- run both"), ask("ROLLBACK"),
                Step([wire.close("S", "s"), wire.SYNC], None, "rows", "-- close")]
    if form == 3:
        return [ask("BEGIN"), ask("SAVEPOINT a"), *changes, ask(f"DECLARE k CURSOR WITH HOLD FOR {text}"), ask("FETCH 1 FROM k"), ask("FETCH ALL FROM k"),
                ask("ROLLBACK TO a"), ask(text), ask("ROLLBACK")]
    batch = [wire.parse("s", text), wire.parse("", change.split("; ")[0]), wire.bind(), wire.execute(), wire.bind("p", "s", results=binary), wire.describe("P", "p"), wire.execute("p"),
             wire.parse("", text), wire.bind(), wire.execute(), wire.close("S", "s"), wire.SYNC]
    return [ask("BEGIN"), Step(batch, None, "rows", f"{text} -- prepared, then {change}, in one batch"), ask("ROLLBACK")]


def w_shadow_temp(g):
    """A temporary relation by the name of another, or by one that was there a moment ago."""
    g.touched = True
    name = g.c.of(["things", "v_things", "sink"])
    kind = g.c.of(["VIEW", "TABLE"])
    q = g.c.of(["SELECT id, c_text AS label FROM people", "SELECT id, name AS label FROM people", "SELECT id, word AS label FROM things", "SELECT 1 AS id, 'x' AS label"])
    secret = "c_text" in q
    made = [Col("id", "int", False, not secret, ("view",) if secret else ()), Col("label", "text", secret, not secret)]
    asked = g.c.of([f"SELECT id, label FROM {name}", f"SELECT id, label || '' FROM {name}", f"SELECT * FROM pg_temp.{name}", f"COPY (SELECT id, label FROM {name}) TO STDOUT"])
    after = g.c.of([f"DROP {kind} pg_temp.{name}", "DISCARD TEMP"])
    return [ask(f"CREATE TEMP {kind} {name} AS {q}"), ask(asked, made, "copy" if "COPY" in asked else "rows"), ask(after),
            ask("SELECT label FROM things", [RELATIONS["things"][2]]), ask("SELECT label || '' AS l FROM things", [Col("l", "text")])]


def w_temp_of(g):
    """A view of the session's own over whatever, asked in many ways."""
    q = g.query(1)
    inside = g.c.chance(40)
    made = made_of(g, q.cols)
    e = g.expr("text", [Rel("made", "made", made)], 2)
    kind = g.c.of(["TEMP VIEW", "VIEW"]) if inside else "TEMP VIEW"
    steps = [ask(f"CREATE {kind} made AS {q.sql}"), ask(f"SELECT {e.sql} AS x FROM made", [Col("x", "text", e.secret, False, e.why)]),
             ask("CREATE TEMP VIEW more AS SELECT * FROM made"), ask("SELECT * FROM more", made), ask("COPY (SELECT * FROM more) TO STDOUT", made, "copy"),
             ask("SELECT to_jsonb(m) FROM more m", [Col("j", "json", any(c.secret for c in made), False, frozenset().union(*(c.why for c in made)))])]
    return [ask("BEGIN"), *steps, ask("ROLLBACK")] if inside else steps + [ask("DROP VIEW more"), ask("DROP VIEW made")]


WATCHED = [Col("id", "int", False, False, ("triggers",)), Col("body", "text", False, False, ("triggers",)), Col("n", "int", False, False, ("triggers",))]


def w_trigger(g):
    """What triggers say.  (What they put into untagged columns is untagged there, for every later SELECT as well.)"""
    g.touched, g.params = True, []
    table = g.c.of(["watched", "watched", "watched_parts", "watched_part"])
    n = g.c.pick(6)
    returns = g.c.of(["", " RETURNING *", " RETURNING id, body", " RETURNING body", " RETURNING upper(body) AS body", " RETURNING n", " RETURNING id, body || '' AS body"])
    columns = {" RETURNING *": WATCHED, " RETURNING id, body": WATCHED[:2], " RETURNING body": WATCHED[1:2], " RETURNING upper(body) AS body": WATCHED[1:2],
               " RETURNING n": WATCHED[2:], " RETURNING id, body || '' AS body": WATCHED[:2]}.get(returns)
    text = g.c.of([f"INSERT INTO {table} VALUES ({7 + n}, 'mine', {n})", f"INSERT INTO {table} SELECT id + 20, label, {n} FROM things WHERE id = 1",
                   f"UPDATE {table} SET n = {n} WHERE id = 1", f"WITH w AS (INSERT INTO {table} VALUES ({30 + n}, 'w', {n}) RETURNING id, body, n) SELECT * FROM w",
                   f"INSERT INTO {table} VALUES (1, 'again', {n}) ON CONFLICT DO NOTHING"])
    if text.startswith("WITH"):
        returns, columns = "", WATCHED
    way = g.c.pick(3)
    if way == 1:
        return [ask("BEGIN"), *extended(g, Query(text + returns, columns or [], True)), ask("ROLLBACK")] if columns else [ask("BEGIN"), ask(text + returns), ask("ROLLBACK")]
    if way == 2:
        return [ask("BEGIN"), ask(f"PREPARE p AS {text}{returns}"), ask("EXECUTE p", columns), ask("ROLLBACK"), ask("DEALLOCATE p")]
    return [ask("BEGIN"), ask(text + returns, columns), ask("ROLLBACK")]


COPIES_IN = [("sink", b"11\televen\n12\ttwelve\n"), ("sink", b"x\tbad\n"), ("sink", b"13\tthirteen\textra\n"), ("sink", b""), ("watched", b"41\tmine\t1\n"),
             ("watched", b"42\tmine\t3\n"), ("watched", b"43\tmine\t4\n"), ("watched", b"1\tagain\t0\n"), ("watched_parts", b"5\tx\t2\n"), ("lookup", None), ("refers", b"1\tnobody\n")]


def w_copy_in(g):
    """COPY … FROM STDIN: taken, refused by the server with a line of it, refused by a rule; and what triggers say of it."""
    g.touched = True
    table, data = g.c.of(COPIES_IN)
    if data is None:
        data = CANARIES["vc"][0].encode() + b"\t9\n"  # one that is there
    form = g.c.of(["", " (FORMAT csv, DELIMITER E'\\t')", " WITH (NULL 'x')"])
    sql = f"COPY {table} FROM STDIN{form}"
    return [ask("BEGIN"), Step([wire.query(sql)], None, "rows", sql, data), ask("SELECT id, body FROM sink ORDER BY id", unplain(RELATIONS["sink"], "written by the session")), ask("ROLLBACK")]


def w_do(g):
    """Code that no statement shows."""
    g.touched = True
    return [ask(g.c.of(["DO $$BEGIN INSERT INTO sink SELECT id, c_text FROM people; END$$", "DO 'BEGIN DELETE FROM things; END'", "DO LANGUAGE plpgsql $x$BEGIN PERFORM says(1); END$x$",
                        "DO $$BEGIN RAISE EXCEPTION '%', (SELECT c_text FROM people WHERE id = 1); END$$", "SELECT 1; DO $$BEGIN UPDATE sink SET body = 'x'; END$$",
                        "BEGIN; DO $$BEGIN PERFORM pg_notify('ch', (SELECT c_text FROM people WHERE id = 1)); END$$; COMMIT"]))]


def w_merge(g):
    g.touched = True
    rel = Rel("things", "t", RELATIONS["things"])
    src = g.source(0)
    key = next((c.name for c in src.cols if c.kind == "int"), None)
    x = g.expr("text", [rel, src], 1)
    items, columns = g.returning(Rel("", "t", RELATIONS["things"]))
    on = f"t.id = {src.alias}.{key}" if key else "t.id = 1"
    form = g.c.pick(4)
    secret = [Col(c.name, c.kind, c.secret, False, c.why | {"written by the session"}) for c in columns]
    after = None if x.secret else [RELATIONS["things"][2]]
    if form == 0:
        return [ask("BEGIN"), ask(f"MERGE INTO things t USING {src.sql} ON {on} AND t.id = 1 WHEN MATCHED THEN UPDATE SET label = {x.sql}"), ask("SELECT label FROM things ORDER BY id", after and unplain(after, "written by the session")), ask("ROLLBACK")]
    if form == 1:
        return [ask("BEGIN"), ask(f"UPDATE things t SET owner = 1 FROM {src.sql} WHERE {on} RETURNING {items}", secret), ask("ROLLBACK")]
    if form == 2:
        return [ask("BEGIN"), ask(f"DELETE FROM things t USING {src.sql} WHERE {on} RETURNING {src.alias}.*", unplain(src.cols, "written by the session")), ask("ROLLBACK")]
    return [ask("BEGIN"), ask(f"WITH d AS (DELETE FROM things t USING {src.sql} WHERE {on} RETURNING {x.sql} AS x) SELECT x FROM d", [Col("x", "text", x.secret, False, x.why | {"written by the session"})]), ask("ROLLBACK")]


def w_opened(g):
    g.touched = True
    columns = [Col("id", "int", False, False, ("own function",)), Col("lower", "text", True, False, ("own function",))]
    return [ask("BEGIN"), ask("SELECT opens()"), ask(g.c.of(["FETCH ALL FROM fc", "FETCH 1 FROM fc", "FETCH ALL FROM \"fc\""]), columns), ask("ROLLBACK")]


def w_statistics(g):
    g.touched = True
    return [ask(g.c.of(["SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = 'people'", "SELECT stavalues1::text FROM pg_statistic",
                        "SELECT query_to_xml('SELECT c_text FROM people', true, true, '')::text", "SELECT table_to_xml('people', true, true, '')::text",
                        "SELECT s::text FROM pg_stats s", "SELECT ts_stat('SELECT to_tsvector(c_text) FROM people')::text", "SELECT database_to_xml(true, true, '')::text",
                        "SELECT query FROM pg_stat_activity WHERE false", "SELECT currval('s')", "SELECT schema_to_xml('public', true, true, '')::text"]))]


WAYS = [(w_simple, 22), (w_extended, 8), (w_binary, 8), (w_named, 5), (w_piecewise, 5), (w_flushed, 4), (w_several, 2), (w_cursor, 6), (w_copy, 6), (w_copy_table, 1),
        (w_table, 1), (w_prepare, 4), (w_temp_table, 4), (w_temp_view, 2), (w_select_into, 1), (w_made_for_good, 2), (w_moved, 3), (w_insert_select, 3), (w_update, 3), (w_delete, 1),
        (w_violation, 3), (w_committed, 3), (w_mistake, 12), (w_explain, 3), (w_notice, 1), (w_notify, 1), (w_opened, 1), (w_statistics, 1),
        (w_path, 3), (w_pipeline, 3), (w_portal_by_sql, 2), (w_define, 3), (w_temp_of, 4), (w_merge, 3), (w_redefined, 4), (w_shadow_temp, 3),
        (w_trigger, 4), (w_copy_in, 3), (w_do, 1)]
WRITING = (w_moved, w_trigger, w_copy_in, w_do, w_committed, w_redefined, w_merge, w_define, w_insert_select, w_update, w_delete, w_violation)
WEIGHTED = [way for way, weight in WAYS for _ in range(weight) if os.environ.get("WAY", way.__name__) == way.__name__]


def make_case(choices):
    way = choices.of(WEIGHTED)
    g = Grammar(choices)
    steps = way(g)
    return Case(way.__name__[2:], steps, g.touched, way in WRITING, way in (w_committed, w_do))
