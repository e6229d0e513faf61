/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What continuous verification costs an operation: `make tests/bench/recheck && tests/bench/recheck`.
 *
 *   re-check    sp_op_stands(): does what was decided still count: policy, principal, grant, by the worker's own memory
 *   remembered  plan_find() besides: the verdict for a text and a principal that were there before
 *
 * By hand only: nothing here passes or fails by a time.
 */
#include <config.h>

#include <stdio.h>
#include <time.h>

#include "core/worker/operation.h"
#include "../unit/cunit_main.h"
#include "../unit/worker_world.h"

#define TURNS 20000000u
#define ROUNDS 5
#define POLICY \
	"rule 'no-delete' { on = 'toy.statement', when = { verb = 'delete' }, deny = 'no deletes' }\n" \
	"rule 'agree' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'dba', within = '10m' } }\n"

static struct world v;

static double
now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool
recheck(struct sp_op *op)
{
	return sp_op_stands(op);
}

static bool
remembered(struct sp_op *op)
{
	struct plan *p = plan_find(op);
	bool same = p == op->plan;
	plan_unref(&p);
	return same;
}

static void
measure(const char *what, bool (*one)(struct sp_op *op), unsigned turns)
{
	double best = 1e9;
	unsigned good = 0;
	for (unsigned r = 0; r < ROUNDS; r++) {
		double begun = now_ns();
		for (unsigned i = 0; i < turns; i++)
			good += one(v.op[0]);
		double each = (now_ns() - begun) / turns;
		best = each < best ? each : best;
	}
	CU_ASSERT_EQUAL(good, ROUNDS * turns);
	printf("%-12s %8.1f ns\n", what, best);
}

static void
test_measure(void)
{
	world_begin(&v, "record { sync write; }", POLICY);
	v.keep = true;
	world_run(&v);
	world_say(&v, "select 1\n");
	world_turn(&v);
	CU_ASSERT_EQUAL_FATAL(v.nops, 1);
	v.s->expires = v.w->wall + 3600ull * 1000000;
	measure("re-check", recheck, TURNS);
	measure("remembered", remembered, TURNS / 20);
	world_end(&v);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "what it costs", test_measure }, CU_TEST_INFO_NULL };
	return cunit_main("recheck", tests);
}
