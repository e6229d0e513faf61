#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What SQL's PREPARE gave a name to is asked of the server; a long answer to that comes in pieces, and until its end nothing is judged."""

from harness import *
from wire import *

SQL = """CREATE TABLE secret (id int PRIMARY KEY, ssn text);
INSERT INTO secret VALUES (1, 'zqCANARY1'), (2, 'zqCANARY2');
ALTER TABLE secret OWNER TO app_gw;
"""
POLICY = """
tag "canary" { "*.ssn" }
rule "hide" { doc = "Nobody sees it.", on = "sql.result", when = { column = tagged "canary" }, mask = mask.redact }
rule "agreed" { doc = "Deleting is agreed on.", on = "sql.statement", when = { verb = "delete" }, approve = { by = "dba", within = "5m" } }
"""
LONG = "x" * 900000
TOLD = "SELECT ssn || '' FROM secret"


def harmless(w, name):
    """A session that runs a harmless statement of that name, by a batch that is looked at as soon as names are known."""
    a = Wire.through(w)
    a.ask(query(f"PREPARE {name} AS SELECT 'harmless' /* {LONG} */"))
    a.ask(parse("", "SELECT 1"), bind(), execute(), SYNC)
    assert b"harmless" in b"".join(body for _, body in a.ask(query(f"EXECUTE {name}")))
    return a


def other(c, name, text):
    """The same name for another statement, by the protocol, and what EXECUTE of it brings."""
    c.ask(parse(name, text), SYNC)
    return c.ask(query(f"EXECUTE {name}"))


def hidden(seen):
    assert b"CANARY" not in b"".join(body for _, body in seen), seen


@test
def a_name_of_ones_own(w):
    c = Wire.through(w)
    hidden(other(c, "s0", TOLD))
    c.close()


@test
def mk8_anothers_statement_of_that_name(w):
    a, b = harmless(w, "s1"), Wire.through(w)
    hidden(other(b, "s1", TOLD))
    a.close()
    b.close()


@test
def mk8_anothers_statement_is_no_approval(w):
    a, b = harmless(w, "s2"), Wire.through(w)
    seen = other(b, "s2", "DELETE FROM secret WHERE id = 2")
    assert not [kind for kind, _ in seen if kind == "C"], seen
    assert w.psql("SELECT count(*) FROM secret", direct=True).out.strip() == "2"
    a.close()
    b.close()


@test
def mk8_a_name_that_was_another_statements(w):
    a = harmless(w, "s3")
    a.ask(query("DEALLOCATE s3"))
    hidden(other(a, "s3", TOLD))
    a.close()


@test
def mk8_bound_before_the_answers_end(w):
    c = Wire.through(w)
    c.ask(parse("s", "SELECT 'harmless' AS a"), SYNC)
    c.ask(query(f"DEALLOCATE s; PREPARE s AS SELECT ssn || '' AS a FROM secret /* {LONG} */"))
    hidden(c.ask(bind("", "s"), execute(), SYNC))
    c.close()


main(sql=SQL, policy=POLICY, workers=1)
