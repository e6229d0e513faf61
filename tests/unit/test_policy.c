/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from text to verdict: loading, mistakes, precedence, functions, observe mode, the test runner. */
#include <config.h>

#include <stdlib.h>

#include "cunit_main.h"
#include "toy.h"

static struct policy *
load(const char *text)
{
	char *err = NULL;
	struct policy *p = toy_policy(text, &err);

	if (p == NULL)
		fprintf(stderr, "\n%s\n", err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	free(err);
	return p;
}

#define SAYS(t, text, word) CU_ASSERT_STRING_EQUAL(toy_say(t, text), word)

static const char example[] =
	"tag 'pii' { '*.ssn', 'crm.people.email' }\n"
	"rule 'no-unbounded-write' {\n"
	"  doc = 'DELETE and UPDATE must name the rows they change.', on = 'sql.statement',\n"
	"  when = { verb = { 'delete', 'update' }, where = false },\n"
	"  deny = 'Add a WHERE clause that is not always true.',\n"
	"}\n"
	"rule 'ddl-needs-dba' {\n"
	"  on = 'sql.statement', when = { env = 'prod', effects = 'ddl' }, unless = { tables = prefix 'scratch.' },\n"
	"  approve = { by = 'dba', within = '15m', reason = true },\n"
	"}\n"
	"rule 'slow-scraping' { on = 'sql.statement', when = { groups = none_of 'service' }, limit = { per = 'user', rate = '5/10s' } }\n";

static void
test_example(void)
{
	struct policy *p = load(example);
	struct toy t;

	toy_begin(&t, p);
	toy_label(&t, "env", "prod");
	SAYS(&t, "verb=delete tables=public.orders where=false effects=write", "deny by no-unbounded-write");
	SAYS(&t, "verb=delete tables=public.orders where=true effects=write", "allow");
	SAYS(&t, "verb=create tables=public.x effects=ddl", "approve by ddl-needs-dba");
	SAYS(&t, "verb=create tables=scratch.x effects=ddl", "allow");
	SAYS(&t, "verb=create tables=scratch.x,public.y effects=ddl", "approve by ddl-needs-dba");
	SAYS(&t, "verb=select; verb=delete where=false", "deny by no-unbounded-write");
	SAYS(&t, "broken", "unclear");
	SAYS(&t, "verb=do unclear=opaque:DO", "unclear");
	struct decision d = toy_ask(&t, "sql.statement", "verb=select");
	CU_ASSERT_EQUAL(d.nlimits, 1);
	CU_ASSERT_EQUAL(d.limit[0].count, 5);
	CU_ASSERT_EQUAL(d.limit[0].window, 10000);
	decision_free(&d);
	d = toy_ask(&t, "sql.statement", "verb=create effects=ddl");
	CU_ASSERT_TRUE(d.hold);
	CU_ASSERT_STRING_EQUAL(d.approval[0].by, "dba");
	CU_ASSERT_EQUAL(d.approval[0].within, 900000);
	CU_ASSERT_TRUE(d.approval[0].reason);
	CU_ASSERT_FALSE(d.approval[0].next_run);
	decision_free(&d);
	t.principal.class = "agent";
	d = toy_ask(&t, "sql.statement", "verb=create effects=ddl");
	CU_ASSERT_TRUE(d.approval[0].next_run);
	decision_free(&d);
	CU_ASSERT_STRING_EQUAL(policy_labels(p)[0].name, "env");
	CU_ASSERT_EQUAL(policy_labels(p)[0].line, 8);
	toy_end(&t);
	policy_free(&p);
}

static void
test_functions(void)
{
	struct policy *p = load(
	    "local limit = 3\n"
	    "rule 'few-tables' { on = 'sql.statement', when = function(op) return #op.tables > limit end, deny = 'x' }\n"
	    "rule 'param' { on = 'sql.statement', when = function(op) return op.verb == 'call' and op.param(1) == 'secret' end, deny = 'x' }\n"
	    "rule 'loop' { on = 'sql.statement', when = function(op) if op.verb == 'loop' then while true do end end return false end, deny = 'x' }\n"
	    "rule 'err' { on = 'sql.statement', when = function(op) if op.verb == 'err' then error('boom') end return false end, deny = 'x' }\n"
	    "rule 'nil' { on = 'sql.statement', when = function(op) if op.verb ~= 'nil' then return false end end, deny = 'x' }\n");
	struct toy t;

	toy_begin(&t, p);
	SAYS(&t, "verb=select tables=a.b", "allow");
	SAYS(&t, "verb=select tables=a.b,a.c,a.d,a.e", "deny by few-tables");
	SAYS(&t, "verb=select tables=?", "deny by few-tables");
	SAYS(&t, "verb=loop tables=a.b", "fail by loop");
	SAYS(&t, "verb=err", "fail by err");
	SAYS(&t, "verb=nil", "fail by nil");
	SAYS(&t, "verb=select tables=a.b", "allow");
	toy_end(&t);
	policy_free(&p);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "the example of the contract", test_example },
		{ "rules that are code", test_functions },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("policy", tests);
}
