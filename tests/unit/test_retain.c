/* SPDX-License-Identifier: Apache-2.0 */
/* Retention by age and by size: a tombstone first, then the file; never without the keeper's word. */
#include <config.h>
#include "cunit_main.h"

#include <time.h>
#include <utime.h>

#include "recorder_world.h"

static uint8_t id[4][ID_LEN];
static char path[4][256];

/* Four ended sessions, the first the oldest: 4, 3, 2 and 1 days. */
static struct world *
store(void)
{
	struct world *w = world_new();
	world_start(w);
	for (unsigned i = 0; i < 4; i++) {
		say_header(w, id[i]);
		say_end(w, id[i]);
		session_file(w, id[i], path[i]);
	}
	world_sweep(w);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	for (unsigned i = 0; i < 4; i++) {
		time_t then = time(NULL) - (4 - (time_t)i) * 86400;
		CU_ASSERT_EQUAL(utime(path[i], &(struct utimbuf){ then, then }), 0);
	}
	return w;
}

static const char *
left(void)
{
	static char text[5];
	for (unsigned i = 0; i < 4; i++)
		text[i] = access(path[i], F_OK) == 0 ? 'x' : '.';
	return text;
}

static void
walk_again(struct world *w)
{
	for (unsigned i = 0; i < 10; i++)
		world_sweep(w);
}

static void
test_age(void)
{
	struct world *w = store();
	struct verify_result v;
	w->r->options.keep = 60ull * 3600 * 1000; /* 2.5 days */
	walk_again(w);
	CU_ASSERT_STRING_EQUAL(left(), "..xx");
	CU_ASSERT_EQUAL(w->removes, 2);
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(w->entry[w->entries - 1][8], LEDGER_TOMBSTONE);
	world_free(&w);
}

static void
test_size(void)
{
	struct world *w = store();
	struct verify_result v;
	struct stat third, fourth; /* sizes differ by a few bytes: ids compress as they please */
	CU_ASSERT(stat(path[2], &third) == 0 && stat(path[3], &fourth) == 0);
	w->r->options.max = (uint64_t)third.st_size + (uint64_t)fourth.st_size;
	walk_again(w);
	CU_ASSERT_STRING_EQUAL(left(), "..xx");
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	world_free(&w);
}

/* What is removed leaves the journal too, and does not come back from it. */
static void
test_journal(void)
{
	for (unsigned dies = 0; dies < 2; dies++) {
		struct world *w = store();
		struct verify_result v;
		char first[256];
		world_path(w, "journal/00000001.jnl", first);
		w->r->options.max = 1;
		if (dies == 1)
			w->r->census_due = true; /* the segment stays, and is there after the start */
		for (unsigned i = 0; i < 10 && w->removes < 4; i++) {
			w->r->purge = false;
			w->r->swept = 0;
			retention_step(w->r);
		}
		CU_ASSERT_STRING_EQUAL(left(), "....");
		CU_ASSERT_TRUE(w->r->purge);
		if (dies == 1) {
			world_stop_at_once(w);
			CU_ASSERT_EQUAL(access(first, F_OK), 0);
			world_start(w);
		}
		walk_again(w);
		CU_ASSERT_STRING_EQUAL(left(), "....");
		CU_ASSERT_EQUAL(w->r->nsessions, 0);
		CU_ASSERT_NOT_EQUAL(access(first, F_OK), 0);
		CU_ASSERT_TRUE(verified(w, NULL, &v));
		world_free(&w);
	}
}

/* The keeper gives no tombstone: the file stays. */
static void
test_refused(void)
{
	struct world *w = store();
	w->refuse = 1;
	w->r->options.keep = 3600ull * 1000;
	walk_again(w);
	CU_ASSERT(w->removes > 0);
	CU_ASSERT_STRING_EQUAL(left(), "xxxx");
	world_free(&w);
}

static void
test_keeper_away(void)
{
	struct world *w = store();
	sign_keeper_gone(w->r);
	w->r->options.keep = 3600ull * 1000;
	walk_again(w);
	CU_ASSERT_EQUAL(w->removes, 0);
	CU_ASSERT_STRING_EQUAL(left(), "xxxx");
	world_keeper(w);
	walk_again(w);
	CU_ASSERT_STRING_EQUAL(left(), "....");
	world_free(&w);
}

/* A session that is being written stays, however old its file. */
static void
test_live(void)
{
	struct world *w = world_new();
	world_start(w);
	say_header(w, id[0]);
	session_file(w, id[0], path[0]);
	world_sweep(w);
	CU_ASSERT_EQUAL(utime(path[0], &(struct utimbuf){ 1000, 1000 }), 0);
	w->r->options.keep = 3600ull * 1000;
	w->r->options.max = 1;
	walk_again(w);
	CU_ASSERT_EQUAL(w->removes, 0);
	CU_ASSERT_EQUAL(access(path[0], F_OK), 0);
	world_free(&w);
}

/* Nothing is removed unless the configuration says so. */
static void
test_for_ever(void)
{
	struct world *w = store();
	walk_again(w);
	CU_ASSERT_EQUAL(w->removes, 0);
	CU_ASSERT_STRING_EQUAL(left(), "xxxx");
	world_free(&w);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "age", test_age }, { "size", test_size }, { "the journal", test_journal }, { "refused", test_refused }, { "keeper away", test_keeper_away },
		{ "live", test_live }, { "for ever", test_for_ever }, CU_TEST_INFO_NULL,
	};
	return cunit_main("retain", tests);
}
