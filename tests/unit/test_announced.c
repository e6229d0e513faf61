/* SPDX-License-Identifier: Apache-2.0 */
/* What is announced and what runs of it: when one recording tells of both, and when each has its own (P1). */
#include <config.h>

#include <stdio.h>

#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"
#define RULES \
	"rule 'no-delete' { on = 'toy.statement', when = { verb = 'delete' }, deny = 'no deletes' }\n" \
	"rule 'agree' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'dba', within = '10m' } }\n" \
	"rule 'once' { on = 'toy.statement', when = { verb = 'call' }, limit = { per = 'session', rate = '1/1m' } }\n" \
	"rule 'not-x' { on = 'toy.statement', when = function(op) return op.verb == 'select' and op.param(1) == 'x' end, deny = 'not x' }\n"

static struct world v;
static uint32_t before; /* the number of the session's last operation, when a test begins */

static void
begin_as(const char *conf, const char *policy)
{
	world_begin(&v, conf, policy);
	world_run(&v);
	world_forget(&v);
	v.keep = true;
	before = v.s->op_last;
}

static void
begin(const char *policy)
{
	begin_as(WRITE, policy);
}

/* The frames since the last call: each one's name, and which operation of this test it is of. */
static const char *
frames(void)
{
	static char text[1024];
	uint8_t session[ID_LEN];
	struct sp_bytes b;
	struct frame f;
	size_t n = 0;
	text[0] = '\0';
	while (ring_take(v.recorder, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		while (frames_next(&all, &f) == 1)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%u", n == 0 ? "" : " ", frame_name((unsigned)f.type), f.op == 0 ? 0 : f.op - before);
	}
	ring_taken(v.recorder);
	return text;
}

#define SAID(what) \
	do { \
		const char *said_ = frames(); \
		if (strcmp(said_, what) != 0) \
			fprintf(stderr, "%d: \"%s\", expected \"%s\"\n", __LINE__, said_, what); \
		CU_ASSERT_STRING_EQUAL(said_, what); \
	} while (0)

static struct sp_op *
ask(struct sp_op *op)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(op);
	CU_ASSERT_EQUAL(sp_ask(op), SP_OK);
	v.op[v.nops++] = op; /* freed with the session */
	return op;
}

static struct sp_op *
announce(const char *text)
{
	return ask(sp_op_new(v.s, 0, "toy.prepare", sp_str(text)));
}

static struct sp_op *
run(struct sp_op *announced)
{
	return ask(sp_op_again(v.s, announced, "toy.statement"));
}

static void
leave(void)
{
	(void)session_leave_module(v.s, SP_OK);
	world_turn(&v);
}

static void
done(struct sp_op *op, const char *error)
{
	CU_ASSERT_EQUAL(sp_done(op, &(struct sp_outcome){ 1, error, "" }), SP_OK);
}

/* ---- one operation ---- */

static void
test_one_turn(void)
{
	begin(RULES);
	uint64_t asked = v.s->operations;
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1"), *r = run(a);
	leave();
	SAID("operation2 verdict2");
	CU_ASSERT_EQUAL(v.s->operations, asked + 1);
	session_enter_module(v.s);
	done(a, "");
	done(r, "");
	leave();
	SAID("done2");
	session_enter_module(v.s); /* its next run is its own, as ever */
	(void)run(a);
	leave();
	SAID("operation3 verdict3");
	world_end(&v);
}

/* What the target does not take as announced does not run: the run has that end, once. */
static void
test_not_taken(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1"), *r = run(a);
	leave();
	SAID("operation2 verdict2");
	session_enter_module(v.s);
	done(a, "42601");
	done(r, "");
	leave();
	SAID("done2");
	session_enter_module(v.s); /* the run has ended, and is gone, when the word comes: it is told all the same */
	a = announce("select 2");
	r = run(a);
	done(r, "");
	sp_op_free(&r);
	v.nops--;
	done(a, "42601");
	leave();
	SAID("operation4 verdict4 done4 done4");
	world_end(&v);
}

/* Announced once more is no run: each has its own. */
static void
test_announced_again(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1"), *b = ask(sp_op_again(v.s, a, "toy.prepare"));
	leave();
	SAID("operation1 verdict1 operation2 verdict2");
	session_enter_module(v.s);
	done(a, "");
	done(b, "");
	leave();
	SAID("done1 done2");
	world_end(&v);
}

/* What the client is told when that column is refused, or "". */
static const char *
describe(struct sp_op *op, const char *column)
{
	const struct sp_column c = { .name = sp_str(column), .known = SP_SOURCE_COLUMN, .source = sp_str(column) };
	const struct sp_verdict *denied;
	CU_ASSERT_EQUAL(sp_columns_begin(op, 1), SP_OK);
	CU_ASSERT_EQUAL(sp_column(op, 0, &c), SP_OK);
	int rc = sp_columns_judge(op, &denied);
	CU_ASSERT_EQUAL(rc, denied == NULL ? 0 : SP_EDENIED);
	return denied == NULL ? "" : denied->hint;
}

/* What a module says of the announced one when its run has told of it: all of it names what the recording has. */
static void
test_names_what_is_recorded(void)
{
	begin(RULES "rule 'no-pay' { on = 'toy.result', when = { column = 'public.staff.pay' }, deny = 'no pay' }");
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1"), *r = run(a);
	char hint[64];
	leave();
	SAID("operation2 verdict2");
	session_enter_module(v.s);
	CU_ASSERT_STRING_EQUAL(describe(a, "public.staff.name"), "");
	CU_ASSERT_EQUAL(sp_group(v.s, a, SP_LIT("g")), SP_OK);
	snprintf(hint, sizeof(hint), "sallyport explain %s.%u", v.s->name, r->number);
	CU_ASSERT_STRING_EQUAL(describe(a, "public.staff.pay"), hint);
	leave();
	SAID("columns2 group2 verdict2");
	world_end(&v);
}

/* Rows and notices that name what was announced stand with its run. */
static void
test_output(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1");
	(void)run(a);
	CU_ASSERT_EQUAL(sp_record(v.s, a, SP_REC_NOTICE, SP_LIT("beware")), SP_OK);
	leave();
	SAID("operation2 verdict2 notice2");
	session_enter_module(v.s);
	a = announce("select 1");
	CU_ASSERT_EQUAL(sp_record(v.s, a, SP_REC_NOTICE, SP_LIT("beware")), SP_OK);
	leave();
	SAID("operation3 verdict3 notice3");
	world_end(&v);
}

/* ---- two ---- */

static void
test_alone(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1");
	leave();
	SAID("operation1 verdict1");
	CU_ASSERT_PTR_NULL(v.s->announced);
	session_enter_module(v.s);
	(void)run(a);
	leave();
	SAID("operation2 verdict2");
	world_end(&v);
}

/* P1: it is recorded when its bytes leave. */
static void
test_before_its_bytes(void)
{
	begin(RULES);
	session_enter_module(v.s);
	(void)announce("select 1");
	CU_ASSERT_EQUAL(sp_put(v.s, SP_TARGET, SP_LIT("select 1\n")), SP_OK);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "");
	leave();
	CU_ASSERT_STRING_EQUAL(v.at_send, "operation verdict");
	world_end(&v);
}

/* … and synced, where that is asked for. */
static void
test_synced_before_its_bytes(void)
{
	begin_as("record { sync always; }", RULES);
	world_synced(&v);
	world_forget(&v);
	session_enter_module(v.s);
	(void)announce("select 1");
	CU_ASSERT_EQUAL(sp_put(v.s, SP_TARGET, SP_LIT("select 1\n")), SP_OK);
	leave();
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_synced(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
}

static void
test_run_is_refused(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select $1");
	struct sp_op *r = sp_op_again(v.s, a, "toy.statement");
	CU_ASSERT_EQUAL(sp_op_param(r, 0, 25, 0, false, SP_LIT("x")), SP_OK);
	(void)ask(r);
	CU_ASSERT_EQUAL(v.what, SP_DENY);
	leave();
	SAID("operation1 verdict1 operation2 verdict2 why2");
	session_enter_module(v.s);
	a = announce("call it");
	(void)run(a);
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	leave();
	SAID("operation4 verdict4");
	session_enter_module(v.s);
	a = announce("call it");
	(void)run(a);
	CU_ASSERT_EQUAL(v.because, SP_BY_LIMIT);
	leave();
	SAID("operation6 verdict6 operation5 verdict5"); /* that it is one too many is known when it is recorded */
	world_end(&v);
}

static void
test_run_is_held(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *r = run(announce("update x"));
	leave();
	SAID("operation1 verdict1 operation2 why2");
	CU_ASSERT_EQUAL(r->state, OP_HELD);
	world_end(&v);
}

static void
test_announced_is_refused(void)
{
	begin(RULES);
	session_enter_module(v.s);
	(void)announce("delete x");
	CU_ASSERT_EQUAL(v.what, SP_DENY);
	CU_ASSERT_PTR_NULL(v.s->announced);
	SAID("");
	leave();
	SAID("operation1 verdict1 why1");
	world_end(&v);
}

/* Another run, another announcement, a statement of ours: what was announced before them is recorded before them. */
static void
test_others(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = announce("select 1"), *b = announce("select 2");
	(void)run(b);
	(void)run(a);
	(void)run(b);
	leave();
	SAID("operation1 verdict1 operation3 verdict3 operation4 verdict4 operation5 verdict5");
	session_enter_module(v.s);
	(void)announce("select 3");
	CU_ASSERT_EQUAL(sp_own_statement(v.s, SP_LIT("select now")), SP_OK);
	(void)ask(sp_op_new(v.s, 0, "toy.statement", SP_LIT("select 3")));
	leave();
	SAID("operation6 verdict6 own0 operation7 verdict7");
	world_end(&v);
}

/* Made while it was announced, asked when it was no more. */
static void
test_late_run(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *r = sp_op_again(v.s, announce("select 1"), "toy.statement");
	leave();
	SAID("operation1 verdict1");
	session_enter_module(v.s);
	(void)ask(r);
	leave();
	SAID("operation2 verdict2");
	world_end(&v);
}

/* Given back in the turn it was announced in: its bytes may be on their way all the same. */
static void
test_given_back(void)
{
	begin(RULES);
	session_enter_module(v.s);
	struct sp_op *a = sp_op_new(v.s, 0, "toy.prepare", SP_LIT("select 1"));
	CU_ASSERT_EQUAL(sp_ask(a), SP_OK);
	sp_op_free(&a);
	CU_ASSERT_PTR_NULL(v.s->announced);
	leave();
	SAID("operation1 verdict1");
	session_enter_module(v.s);
	a = sp_op_new(v.s, 0, "toy.prepare", SP_LIT("select 1"));
	CU_ASSERT_EQUAL(sp_ask(a), SP_OK);
	done(a, "");
	sp_op_free(&a);
	leave();
	SAID("operation2 verdict2 done2");
	world_end(&v);
}

/* What a rule says of the announcement is recorded, whatever it says. */
static void
test_rules_on_it(void)
{
	begin(RULES "rule 'look' { on = 'toy.prepare', when = { verb = 'grant' }, deny = 'no grants' }");
	session_enter_module(v.s);
	(void)run(announce("select 1"));
	leave();
	SAID("operation1 verdict1 operation2 verdict2");
	world_end(&v);
	begin(RULES "rule 'look' { on = 'toy.statement', when = { verb = 'select' }, deny = 'soon', mode = 'observe' }");
	session_enter_module(v.s);
	(void)run(announce("select 1"));
	(void)run(announce("insert 1"));
	leave();
	SAID("operation1 verdict1 operation2 verdict2 operation4 verdict4");
	world_end(&v);
}

/* Where nothing is refused, what would have been is recorded for each. */
static void
test_observed(void)
{
	begin(RULES);
	((struct target *)(uintptr_t)v.s->target)->mode = MODE_OBSERVE;
	session_enter_module(v.s);
	(void)run(announce("select 1"));
	leave();
	SAID("operation1 verdict1 operation2 verdict2");
	world_end(&v);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "announced and run in one turn: one operation", test_one_turn },
		{ "not taken by the target: the run's end", test_not_taken },
		{ "what is recorded of the announced", test_output },
		{ "announced again", test_announced_again },
		{ "columns and groups of the announced", test_names_what_is_recorded },
		{ "announced alone", test_alone },
		{ "recorded before its bytes leave (P1)", test_before_its_bytes },
		{ "synced before its bytes leave (P1)", test_synced_before_its_bytes },
		{ "the run is refused", test_run_is_refused },
		{ "the run is held", test_run_is_held },
		{ "the announcement is refused", test_announced_is_refused },
		{ "others in between", test_others },
		{ "a run that is asked late", test_late_run },
		{ "given back", test_given_back },
		{ "a rule on announcing, one that observes", test_rules_on_it },
		{ "at a target that only observes", test_observed },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("announced", tests);
}
