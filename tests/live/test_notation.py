#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Functions and operators that a statement runs without a call of theirs in it: x.name for name(x), and what CASE, IN, BETWEEN, USING compare by."""

from harness import *
from wire import *

SQL = """SET ROLE app_gw;
CREATE TABLE secret (id int, ssn text); INSERT INTO secret VALUES (1, 'zqCANARY1');
CREATE TABLE open (id int, note text); INSERT INTO open VALUES (1, 'x');
CREATE TABLE hit (n int);
CREATE FUNCTION tells(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT ssn FROM public.secret LIMIT 1); END';
CREATE FUNCTION kills(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.hit VALUES (1); RETURN 1; END';
CREATE TABLE o2 (id int, note int); INSERT INTO o2 VALUES (1, 1);
CREATE FUNCTION compares(text, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.hit VALUES (1); RETURN true; END';
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = int, FUNCTION = compares);
CREATE OPERATOR public.<= (LEFTARG = text, RIGHTARG = int, FUNCTION = compares);
CREATE OPERATOR public.>= (LEFTARG = text, RIGHTARG = int, FUNCTION = compares);
"""
POLICY = """
tag "canary" { "*.ssn" }
rule "hide" { doc = "Nobody sees it.", on = "sql.result", when = { column = tagged "canary" }, mask = mask.redact }
"""


def refused(w, statements):
    c = Wire.through(w)
    for text in statements:
        seen = c.ask(query(text))
        said = [fields(body).get("M", "") for kind, body in seen if kind == "E"]
        assert said and "unclear" in said[0], f"{text}: {seen}"
        assert b"CANARY" not in b"".join(body for _, body in seen), text
        assert w.pg.sql("SELECT count(*) FROM hit") == "0", text
    c.close()


@test
def pg13_attribute_notation_is_a_call(w):
    refused(w, ["SELECT tells('a')", "SELECT ('a'::text).tells", "SELECT (note).tells FROM open", "SELECT (1).kills", "SELECT (ARRAY['a'::text])[1].tells",
                "SELECT ((SELECT 'a'::text)).tells", "SELECT * FROM open WHERE (note).tells LIKE 'zqC%'", "SELECT x.tells FROM upper('a') x",
                "SELECT x.kills FROM (VALUES (1)) x", "WITH x AS (SELECT 1) SELECT (x).kills FROM x"])


@test
def pg13_operators_that_no_statement_names(w):
    refused(w, ["SELECT note = 1 FROM open", "SELECT CASE note WHEN 1 THEN 2 END FROM open", "SELECT note IN (SELECT 1) FROM open",
                "SELECT note = ANY (SELECT 1) FROM open", "SELECT note BETWEEN 1 AND 2 FROM open", "SELECT note NOT BETWEEN SYMMETRIC 1 AND 2 FROM open",
                "SELECT (note, id) IN (SELECT 1, 1) FROM open", "SELECT 1 FROM open JOIN o2 USING (note)", "SELECT 1 FROM open NATURAL JOIN o2"])


@test
def what_is_a_column_stays_one(w):
    c = Wire.through(w)
    for text in ("SELECT o.note FROM open o", "SELECT (o).note FROM open o", "SELECT x.length FROM (SELECT 1 AS length) x",
                 "SELECT x.count FROM (SELECT count(*) FROM open) x", "SELECT (x).id FROM (SELECT id FROM open) x"):
        seen = c.ask(query(text))
        assert not [fields(body) for kind, body in seen if kind == "E"], f"{text}: {seen}"
    c.close()


main(sql=SQL, policy=POLICY)
