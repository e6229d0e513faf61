/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules mean, cell by cell.  docs/policy-authors.md has the same cells in a table, by the same names: a cell
 * without a test, or a test without a cell, fails.
 *
 * Statements are the toy module's: `verb=delete tables=a.b,c.d where=false; verb=select`, `?` is unknown.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/base/digest.h"
#include "cunit_main.h"
#include "toy.h"

struct cell {
	const char *id;
	const char *rules;
	const char *test;  /* body of a test; NULL: the rules don't load */
	const char *error; /* then what is said, in part */
};

#define ON "on = 'sql.statement', "
#define DENY(conditions) "rule 'r' { " ON conditions ", deny = 'no' }"
#define LIFT(conditions) "rule 'a' { " ON conditions ", allow = { unclear = 'function', name = 'x.f' } }"
#define RULE(name, rest) "rule '" name "' { " ON rest " } "
#define MASK(name, column, how) "rule '" name "' { on = 'sql.result', when = { column = tagged '" column "' }, mask = " how " } "
#define PIN(name, value) "rule '" name "' { on = 'session', pin = { gear = '" value "' } } "
#define ALWAYS "when = { verb = 'select' }, "
#define CALL "unclear=function:x.f"

static const struct cell cells[] = {
	/* sets of the operation */
	{ "set-when", DENY("when = { tables = 'a.x' }"), "send = sql 'tables=a.x,b.y', expect = 'deny by r'", NULL },
	{ "set-when-none", DENY("when = { tables = 'a.x' }"), "send = sql 'tables=b.y,b.z', expect = 'allow'", NULL },
	{ "set-when-empty", DENY("when = { tables = 'a.x' }"), "send = sql 'verb=select', expect = 'allow'", NULL },
	{ "set-unless-some", DENY("when = { verb = 'drop' }, unless = { tables = prefix 'tmp.' }"),
	    "send = sql 'verb=drop tables=tmp.x,b.y', expect = 'deny by r'", NULL },
	{ "set-unless-all", DENY("when = { verb = 'drop' }, unless = { tables = prefix 'tmp.' }"),
	    "send = sql 'verb=drop tables=tmp.x,tmp.y', expect = 'allow'", NULL },
	{ "set-unless-empty", DENY("when = { verb = 'drop' }, unless = { tables = prefix 'tmp.' }"),
	    "send = sql 'verb=drop', expect = 'deny by r'", NULL },
	{ "set-allow-some", LIFT("when = { tables = prefix 'tmp.' }"), "send = sql 'tables=tmp.x,b.y " CALL "', expect = 'deny as unclear'", NULL },
	{ "set-allow-all", LIFT("when = { tables = prefix 'tmp.' }"), "send = sql 'tables=tmp.x,tmp.y " CALL "', expect = 'allow by a'", NULL },
	{ "set-allow-empty", LIFT("when = { tables = prefix 'tmp.' }"), "send = sql '" CALL "', expect = 'deny as unclear'", NULL },
	{ "set-none-of", DENY("when = { tables = none_of { 'a.x', 'a.y' } }"),
	    "send = sql 'tables=a.x,b.y', expect = 'deny by r'", NULL },
	{ "set-none-of-unless", DENY("when = { verb = 'drop' }, unless = { tables = none_of { 'a.x' } }"),
	    "send = sql 'verb=drop tables=a.x,b.y', expect = 'deny by r'", NULL },
	/* sets of the principal */
	{ "groups-when", DENY("when = { groups = 'dev' }"), "as = { groups = { 'ops', 'dev' } }, send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "groups-unless", DENY(ALWAYS "unless = { groups = 'dba' }"),
	    "as = { groups = { 'ops', 'dba' } }, send = sql 'verb=select', expect = 'allow'", NULL },
	{ "groups-allow", LIFT("when = { groups = 'dba' }"),
	    "as = { groups = { 'ops', 'dba' } }, send = sql '" CALL "', expect = 'allow by a'", NULL },
	{ "groups-exact", DENY(ALWAYS "unless = { groups = 'dba' }"),
	    "as = { groups = { 'DBA', 'dba2' } }, send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "groups-exact-when", DENY("when = { groups = 'dev' }"), "as = { groups = { 'DEV' } }, send = sql 'verb=select', expect = 'allow'", NULL },
	{ "groups-none", DENY("when = { groups = none_of 'service' }"), "send = sql 'verb=select', expect = 'deny by r'", NULL },
	/* present, absent, unknown */
	{ "present-when", DENY("when = { verb = 'drop' }"), "send = sql 'verb=drop', expect = 'deny by r'", NULL },
	{ "present-unless", DENY("unless = { verb = 'select' }"), "send = sql 'verb=select', expect = 'allow'", NULL },
	{ "present-allow", LIFT("when = { verb = 'select' }"), "send = sql 'verb=select " CALL "', expect = 'allow by a'", NULL },
	{ "absent-when", DENY("when = { limit = more_than(5) }"), "send = sql 'verb=select', expect = 'allow'", NULL },
	{ "absent-unless", DENY("unless = { limit = at_most(5) }"), "send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "absent-allow", LIFT("when = { limit = at_most(5) }"), "send = sql '" CALL "', expect = 'deny as unclear'", NULL },
	{ "unknown-when", DENY("when = { limit = more_than(5) }"), "send = sql 'limit=?', expect = 'deny by r'", NULL },
	{ "unknown-unless", DENY("unless = { limit = at_most(5) }"), "send = sql 'limit=?', expect = 'deny by r'", NULL },
	{ "unknown-allow", LIFT("when = { limit = at_most(5) }"), "send = sql 'limit=? " CALL "', expect = 'deny as unclear'", NULL },
	{ "unknown-set-when", DENY("when = { tables = 'a.x' }"), "send = sql 'tables=b.y,?', expect = 'deny by r'", NULL },
	{ "unknown-set-unless", DENY("when = { verb = 'drop' }, unless = { tables = prefix 'tmp.' }"),
	    "send = sql 'verb=drop tables=tmp.x,?', expect = 'deny by r'", NULL },
	{ "unknown-name", DENY("when = { tables = 'a.x' }"), "send = sql 'tables=?.x', expect = 'deny by r'", NULL },
	{ "unknown-name-unless", DENY("when = { verb = 'drop' }, unless = { tables = 'tmp.x' }"),
	    "send = sql 'verb=drop tables=?.x', expect = 'deny by r'", NULL },
	{ "unknown-fact", DENY("when = { database = 'prod' }"), "send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "word-absent", DENY("when = { limit = absent }"), "send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "word-present", DENY("when = { limit = present }"), "send = sql 'limit=3', expect = 'deny by r'", NULL },
	/* conditions */
	{ "when-all", DENY("when = { verb = 'drop', where = false }"), "send = sql 'verb=drop where=true', expect = 'allow'", NULL },
	{ "unless-all", DENY("when = { verb = 'drop' }, unless = { where = true, groups = 'dba' }"),
	    "send = sql 'verb=drop where=true', expect = 'deny by r'", NULL },
	{ "when-missing", DENY("doc = ''"), "send = sql 'verb=select', expect = 'deny by r'", NULL },
	/* which decision wins */
	{ "kill-deny", RULE("k", ALWAYS "kill = 'x'") RULE("r", ALWAYS "deny = 'x'"), "send = sql 'verb=select', expect = 'kill by k'", NULL },
	{ "deny-approve", RULE("p", ALWAYS "approve = { by = 'g' }") RULE("r", ALWAYS "deny = 'x'"),
	    "send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "deny-error", RULE("e", "when = function() error('x') end, deny = 'x'") RULE("r", ALWAYS "deny = 'x'"),
	    "send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "error-approve", RULE("e", "when = function() error('x') end, deny = 'x'") RULE("p", ALWAYS "approve = { by = 'g' }"),
	    "send = sql 'verb=select', expect = 'fail by e'", NULL },
	{ "unclear-approve", RULE("p", ALWAYS "approve = { by = 'g' }"), "send = sql 'verb=select " CALL "', expect = 'deny as unclear'", NULL },
	{ "approve-limit", RULE("p", ALWAYS "approve = { by = 'g' }") RULE("l", ALWAYS "limit = { rate = '1/1s' }"),
	    "send = sql 'verb=select', expect = { 'approve by p', 'limit by l' }", NULL },
	{ "approve-allow", RULE("p", ALWAYS "approve = { by = 'g' }") LIFT("when = { verb = 'select' }"),
	    "send = sql 'verb=select " CALL "', expect = 'approve by p'", NULL },
	{ "limit-allow", RULE("l", ALWAYS "limit = { rate = '1/1s' }") LIFT("when = { verb = 'select' }"),
	    "send = sql 'verb=select " CALL "', expect = { 'allow by a', 'limit by l' }", NULL },
	{ "limits-all", RULE("l", ALWAYS "limit = { rate = '1/1s' }") RULE("m", ALWAYS "limit = { rows = 5 }"),
	    "send = sql 'verb=select', expect = { 'limit by l', 'limit by m' }", NULL },
	{ "mask-limit", MASK("m", "t", "mask.redact") RULE("l", ALWAYS "limit = { rate = '1/1s' }") "tag 't' { '*.c' }",
	    "send = sql 'verb=select columns=a.b.c', columns = { 'a.b.c' }, expect = { 'allow', 'mask c by m', 'limit by l' }", NULL },
	{ "deny-allow", RULE("r", ALWAYS "deny = 'x'") LIFT("when = { verb = 'select' }"),
	    "send = sql 'verb=select " CALL "', expect = 'deny by r'", NULL },
	{ "allow-one", LIFT("when = { verb = 'select' }"), "send = sql 'verb=select " CALL " unclear=function:x.g', expect = 'deny as unclear'", NULL },
	{ "allow-why", LIFT("when = { verb = 'select' }"), "send = sql 'verb=select unclear=code:x.f', expect = 'deny as unclear'", NULL },
	{ "allow-case", LIFT("when = { verb = 'select' }"), "send = sql 'verb=select unclear=function:x.F', expect = 'deny as unclear'", NULL },
	{ "allow-broken", LIFT("when = { verb = 'select' }"), "send = sql 'broken', expect = 'deny as unclear'", NULL },
	{ "default-clear", "", "send = sql 'verb=select', expect = 'allow'", NULL },
	{ "default-unclear", "", "send = sql '" CALL "', expect = 'deny as unclear'", NULL },
	{ "approvals-all", RULE("p", ALWAYS "approve = { by = 'g' }") RULE("q", ALWAYS "approve = { by = 'h' }"),
	    "send = sql 'verb=select', expect = { 'approve by p', 'approve by q' }", NULL },
	{ "order-nothing", RULE("r", ALWAYS "deny = 'x'") RULE("k", ALWAYS "kill = 'x'"), "send = sql 'verb=select', expect = 'kill by k'", NULL },
	/* statements in statements */
	{ "node-each", DENY("when = { verb = 'delete', where = false }"),
	    "send = sql 'verb=select; verb=delete where=false', expect = 'deny by r'", NULL },
	{ "node-own", DENY("when = { verb = 'delete', where = false }"),
	    "send = sql 'verb=select where=false; verb=delete where=true', expect = 'allow'", NULL },
	{ "node-root", DENY("when = { verb = 'delete', root = { verb = 'explain' } }"),
	    "send = sql 'verb=explain; verb=delete', expect = 'deny by r'", NULL },
	{ "node-allow", LIFT("when = { verb = 'call' }"), "send = sql 'verb=call; verb=select " CALL "', expect = 'deny as unclear'", NULL },
	/* announced */
	{ "prepare-deny", DENY(ALWAYS "doc = ''"), "send = prepare 'verb=select', expect = 'deny by r'", NULL },
	{ "prepare-approve", RULE("p", ALWAYS "approve = { by = 'g' }"), "send = prepare 'verb=select', expect = 'allow'", NULL },
	{ "prepare-unclear", "", "send = prepare '" CALL "', expect = 'deny as unclear'", NULL },
	/* names and tags */
	{ "fold-when", DENY("when = { tables = 'a.x' }"), "send = sql 'tables=A.X', expect = 'deny by r'", NULL },
	{ "fold-unless", DENY("when = { verb = 'drop' }, unless = { tables = 'a.x' }"), "send = sql 'verb=drop tables=A.X', expect = 'deny by r'", NULL },
	{ "fold-allow", LIFT("when = { tables = 'a.x' }"), "send = sql 'tables=A.x " CALL "', expect = 'deny as unclear'", NULL },
	{ "tag-right", MASK("m", "t", "mask.null") "tag 't' { 'b.c' }",
	    "send = sql 'columns=a.b.c', columns = { 'a.b.c', 'b.c.d' }, expect = { 'mask c', 'show d' }", NULL },
	{ "tag-star", MASK("m", "t", "mask.null") "tag 't' { 'a.*' }",
	    "send = sql 'columns=a.b.c', columns = { 'a.b.c', 'x.a.d' }, expect = { 'show c', 'mask d' }", NULL },
	{ "tag-fold", MASK("m", "t", "mask.null") "tag 't' { '*.c' }",
	    "send = sql 'columns=a.b.C', columns = { 'a.b.C' }, expect = 'mask C'", NULL },
	{ "tag-more", MASK("m", "t", "mask.null") "tag 't' { '*.c' } tag 't' { '*.d' }",
	    "send = sql 'columns=a.b.c', columns = { 'a.b.c', 'a.b.d' }, expect = { 'mask c', 'mask d' }", NULL },
	/* several masks on one column */
#define TWO(one, two) "tag 't' { '*.c' } " MASK("m", "t", one) MASK("n", "t", two)
#define SHOWS(value) "send = sql 'columns=a.b.c', columns = { 'a.b.c' }, row = { '2001-02-03' }, shown = { " value " }, expect = 'mask c'"
	{ "mask-null", TWO("mask.redact", "mask.null"), SHOWS("false"), NULL },
	{ "mask-redact", TWO("mask.redact", "mask.date_year"), SHOWS("'****'"), NULL },
	{ "mask-date", TWO("mask.last4", "mask.date_year"), SHOWS("'2001-01-01'"), NULL },
	{ "mask-hash", TWO("mask.date_year", "mask.hash") DENY("when = { columns_written = tagged 't' }"), SHOWS("'dc35be18c7d0a56e'"), NULL },
	{ "mask-hash-writer", TWO("mask.date_year", "mask.hash"), SHOWS("'****'"), NULL },
	{ "mask-email", "tag 't' { '*.c' } " MASK("m", "t", "mask.last4") MASK("n", "t", "mask.email"),
	    "send = sql 'columns=a.b.c', columns = { 'a.b.c' }, row = { 'ann@example.com' }, shown = { 'a***@example.com' }, expect = 'mask c'", NULL },
	{ "mask-same", TWO("mask.last4", "mask.last4"), SHOWS("'****2-03'"), NULL },
	{ "mask-equal", TWO("mask.last4", "mask.keep { first = 2 }"), SHOWS("'****'"), NULL },
	/* columns of answers */
	{ "column-alias", MASK("m", "t", "mask.null") "tag 't' { '*.c' }",
	    "send = sql 'columns=a.b.c', columns = { { name = 'z', source = 'a.b.c' } }, expect = 'mask z'", NULL },
	{ "column-unknown", MASK("m", "t", "mask.null") "tag 't' { '*.c' }",
	    "send = sql 'columns=a.b.c', columns = { { name = 'z' } }, expect = 'mask z'", NULL },
	{ "column-unknown-clear", MASK("m", "t", "mask.null") "tag 't' { '*.c' }",
	    "send = sql 'columns=a.b.d', columns = { { name = 'z' } }, expect = 'show z'", NULL },
	{ "column-unless", "tag 't' { '*.c' } rule 'm' { on = 'sql.result', when = { column = tagged 't' }, "
			   "unless = { table = 'a.b' }, mask = mask.null }",
	    "send = sql 'columns=a.b.c', columns = { { name = 'z' } }, expect = 'mask z'", NULL },
	{ "result-deny", "tag 't' { '*.c' } rule 'r' { on = 'sql.result', when = { column = tagged 't' }, deny = 'no' }",
	    "send = sql 'verb=select columns=a.b.c', columns = { 'a.b.c' }, expect = 'deny by r'", NULL },
	{ "result-deny-effects", "tag 't' { '*.c' } rule 'r' { on = 'sql.result', when = { column = tagged 't' }, deny = 'no' }",
	    "send = sql 'verb=insert effects=write columns=a.b.c', expect = 'deny by r'", NULL },
	{ "result-deny-read", "tag 't' { '*.c' } rule 'r' { on = 'sql.result', when = { column = tagged 't' }, deny = 'no' }",
	    "send = sql 'verb=select effects=read columns=a.b.c', expect = 'allow'", NULL },
	/* the dry run */
	{ "observe-rule", RULE("r", ALWAYS "mode = 'observe', deny = 'x'"), "send = sql 'verb=select', expect = { 'allow', 'observe r' }", NULL },
	{ "observe-error", RULE("r", "when = function() error('x') end, mode = 'observe', deny = 'x'"),
	    "send = sql 'verb=select', expect = { 'allow', 'observe r' }", NULL },
	{ "observe-target", DENY(ALWAYS "doc = ''"), "target = { mode = 'observe' }, send = sql 'verb=select', expect = { 'allow', 'observe r' }", NULL },
	{ "observe-unclear", DENY("when = { verb = 'drop' }"), "target = { mode = 'observe' }, send = sql '" CALL "', expect = { 'allow', 'not by r' }", NULL },
	{ "observe-allow", "rule 'a' { " ON ALWAYS "mode = 'observe', allow = { unclear = 'function', name = 'x.f' } }",
	    "send = sql 'verb=select " CALL "', expect = 'deny as unclear'", NULL },
	/* sessions and time */
	{ "session-deny", "rule 'r' { on = 'session', when = { class = 'agent' }, deny = 'no' }",
	    "as = { class = 'agent' }, send = session, expect = 'deny by r'", NULL },
	/* pins */
	{ "pin-session", PIN("r", "low"), "send = session, expect = { 'allow', 'pin gear by r' }", NULL },
	{ "pin-other", PIN("r", "low"), "send = sql 'changes=gear:high', expect = 'deny by r'", NULL },
	{ "pin-same", PIN("r", "low"), "send = sql 'changes=gear:low', expect = { 'allow', 'not by r' }", NULL },
	{ "pin-unknown", PIN("r", "low"), "send = sql 'changes=gear:?', expect = 'deny by r'", NULL },
	{ "pin-unseen", PIN("r", "low") LIFT("when = { verb = 'select' }"), "send = sql 'verb=select " CALL " changes=?:?', expect = 'deny by r'", NULL },
	{ "pin-node", PIN("r", "low"), "send = sql 'verb=batch; verb=set changes=gear:high; verb=select', expect = 'deny by r'", NULL },
	{ "pin-free", PIN("r", "low"), "send = sql 'changes=lamp:on', expect = { 'allow', 'not by r' }", NULL },
	{ "pin-prepare", PIN("r", "low"), "send = prepare 'changes=gear:high', expect = 'deny by r'", NULL },
	{ "pin-who", "rule 'r' { on = 'session', when = { groups = 'ro' }, pin = { gear = 'low' } }",
	    "as = { groups = { 'dev' } }, send = sql 'changes=gear:high', expect = { 'allow', 'not by r' }", NULL },
	{ "pin-doubt", "rule 'r' { on = 'session', when = { database = 'prod' }, pin = { gear = 'low' } }",
	    "send = sql 'changes=gear:high', expect = 'deny by r'", NULL },
	{ "pin-deny", PIN("r", "low") RULE("d", "deny = 'no'"), "send = sql 'changes=gear:high', expect = { 'deny by d', 'deny by r' }", NULL },
	{ "pin-twice", PIN("r", "low") PIN("q", "low"), "send = session, expect = { 'allow', 'pin gear' }", NULL },
	{ "pin-conflict", PIN("r", "low") PIN("q", "high"), "send = session, expect = 'fail by q'", NULL },
	{ "pin-observe", "rule 'r' { on = 'session', mode = 'observe', pin = { gear = 'low' } }",
	    "send = sql 'changes=gear:high', expect = { 'allow', 'not by r' }", NULL },
	{ "time-within", DENY("when = { within 'Mon-Fri 09:00-18:00 UTC' }"),
	    "at = '2026-01-07 09:00 UTC', send = sql 'verb=select', expect = 'deny by r'", NULL },
	{ "time-end", DENY("when = { within 'Mon-Fri 09:00-18:00 UTC' }"), "at = '2026-01-07 18:00 UTC', send = sql 'verb=select', expect = 'allow'", NULL },
	{ "time-outside", DENY("when = { outside 'Mon-Fri 09:00-18:00 Europe/Berlin' }"),
	    "at = '2026-07-08 07:30 UTC', send = sql 'verb=select', expect = 'allow'", NULL },
	/* what does not load */
	{ "load-attribute", DENY("when = { tabels = 'a.b', verb = 'x' }, unless = { column = 'a' }"), NULL, "has no attribute \"column\"" },
	{ "load-kind", "rule 'r' { on = 'sql.statment', deny = 'x' }", NULL, "did you mean \"sql.statement\"" },
	{ "load-allow", "rule 'a' { " ON "when = {}, allow = { unclear = 'function' } }", NULL, "an allow needs a `when`" },
	{ "load-allow-all", "rule 'a' { " ON ALWAYS "allow = true }", NULL, "allow lifts one named refusal" },
	{ "load-approve", "rule 'p' { on = 'sql.result', approve = { by = 'g' } }", NULL, "approve can't stand on sql.result" },
	{ "load-pin-kind", "rule 'r' { " ON "pin = { gear = 'low' } }", NULL, "pin can't stand on sql.statement" },
	{ "load-pin-name", "rule 'r' { on = 'session', pin = { gaer = 'low' } }", NULL, "rules can pin gear" },
	{ "load-pin-value", "rule 'r' { on = 'session', pin = { gear = 'up' } }", NULL, "rule \"r\": pin: gear = \"up\": its value is" },
	{ "load-pin-list", "rule 'r' { on = 'session', pin = { 'gear' } }", NULL, "pin is a table of settings" },
	{ "load-two", RULE("r", "deny = 'x', kill = 'y'"), NULL, "two decisions" },
	{ "load-none", RULE("r", ALWAYS "doc = 'x'"), NULL, "decides nothing" },
	{ "load-unless", DENY("unless = {}"), NULL, "an empty `unless`" },
	{ "load-word", RULE("r", "dney = 'x'"), NULL, "did you mean \"deny\"" },
	{ "load-tag", MASK("m", "piii", "mask.null") "tag 'pii' { '*.c' }", NULL, "did you mean \"pii\"" },
	{ "load-twice", RULE("r", "deny = 'x'") RULE("r", "deny = 'x'"), NULL, "is already at policy.lua:1" },
};

#define CELLS (sizeof(cells) / sizeof(*cells))

static void
run_cell(const struct cell *c)
{
	struct policy_source test = { .path = "test.lua" };
	const struct policy_source *tests[] = { &test };
	struct policy_report report;
	struct buffer b = { 0 };
	char *err = NULL;
	struct policy *p = toy_policy(c->rules, &err);

	CU_ASSERT_FATAL(buffer_printf(&b, "test '%s' { %s }", c->id, c->test == NULL ? "" : c->test) == SP_OK);
	test.text = buffer_bytes(&b);
	digest_sha256(test.text, test.hash);
	if (c->test == NULL) {
		bool said = p == NULL && err != NULL && strstr(err, c->error) != NULL && strncmp(err, "policy.lua:1: ", 14) == 0;
		if (!said)
			fprintf(stderr, "\n%s: expected \"%s\", got \"%s\"\n", c->id, c->error, err == NULL ? "no error" : err);
		CU_ASSERT_TRUE(said);
	} else if (p == NULL) {
		fprintf(stderr, "\n%s: %s\n", c->id, err);
		CU_FAIL("the rules don't load");
	} else {
		CU_ASSERT_EQUAL(policy_test(p, tests, 1, &toy_module, &report), SP_OK);
		if (report.text.len > 0)
			fwrite(buffer_bytes(&report.text).p, 1, report.text.len, stderr);
		CU_ASSERT_EQUAL(report.run, 1);
		CU_ASSERT_EQUAL(report.failed, 0);
		buffer_free(&report.text);
	}
	free(err);
	buffer_free(&b);
	policy_free(&p);
}

static void
test_cells(void)
{
	for (size_t i = 0; i < CELLS; i++)
		run_cell(&cells[i]);
}

/* ---- the table in the docs ---- */

static bool
has_cell(const char *id, size_t len)
{
	for (size_t i = 0; i < CELLS; i++)
		if (strlen(cells[i].id) == len && strncmp(cells[i].id, id, len) == 0)
			return true;
	return false;
}

/* Rows of the table that begins with "| cell |": "| `id` | …". */
static void
test_docs(void)
{
	const char *src = getenv("srcdir");
	char path[512], line[4096];
	bool told[CELLS] = { false }, within = false;
	size_t rows = 0;

	snprintf(path, sizeof(path), "%s/docs/policy-authors.md", src == NULL ? "." : src);
	FILE *f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *end = strncmp(line, "| `", 3) == 0 ? strstr(line + 3, "` |") : NULL;
		within = line[0] == '|' && (within || strncmp(line, "| cell |", 8) == 0);
		if (end == NULL || !within)
			continue;
		size_t len = (size_t)(end - line) - 3;
		rows++;
		if (!has_cell(line + 3, len))
			fprintf(stderr, "\n%s: the cell %.*s has no test\n", path, (int)len, line + 3);
		CU_ASSERT_TRUE(has_cell(line + 3, len));
		for (size_t i = 0; i < CELLS; i++)
			told[i] = told[i] || (strlen(cells[i].id) == len && strncmp(cells[i].id, line + 3, len) == 0);
	}
	fclose(f);
	for (size_t i = 0; i < CELLS; i++) {
		if (!told[i])
			fprintf(stderr, "\n%s says nothing of the cell %s\n", path, cells[i].id);
		CU_ASSERT_TRUE(told[i]);
	}
	CU_ASSERT_EQUAL(rows, CELLS);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "every cell", test_cells },
		{ "the docs name the same cells", test_docs },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("semantics", tests);
}
