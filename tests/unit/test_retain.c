/* SPDX-License-Identifier: Apache-2.0 */
/* Retention by age and by size: a tombstone first, then the file; never without the keeper's word. */
#include <config.h>
#include "cunit_main.h"

#include <dirent.h>
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

static uint8_t canary[32];

/* Bytes of a block of the first recording's: they stand in the journal as they do in its file. */
static void
take_canary(void)
{
	struct sp_bytes b = file_bytes(path[0]);
	CU_ASSERT_FATAL(b.len > 4 * sizeof(canary));
	memcpy(canary, b.p + b.len / 2, sizeof(canary));
}

/* In whichever file of its folder. */
static bool
journal_has_canary(const struct world *w)
{
	char name[256];
	bool found = false;
	world_path(w, "journal", name);
	DIR *d = opendir(name);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/journal/%.32s", w->dir, e->d_name);
		struct sp_bytes b = file_bytes(name);
		found = found || (b.len > 0 && memmem(b.p, b.len, canary, sizeof(canary)) != NULL);
	}
	closedir(d);
	return found;
}

static void
others_until(struct world *w, bool (*come)(const struct world *w))
{
	uint8_t other[ID_LEN];
	for (unsigned i = 0; i < 200 && !come(w); i++) {
		say_header(w, other);
		say_statement(w, other, 1, "SELECT 1");
		say_end(w, other);
		world_sweep(w);
	}
	CU_ASSERT_TRUE_FATAL(come(w));
}

static bool
is_half_full(const struct world *w)
{
	return w->r->journal.size > 5000;
}

static bool
is_over(const struct world *w)
{
	return w->r->journal.tail;
}

static bool
is_over_and_has_spare(const struct world *w)
{
	return w->r->journal.tail && w->r->journal.spare;
}

/* A recording whose bytes are in the spare, behind the end of the segment that took it over, or there and older than a spare. */
static struct world *
left_over(bool (*where)(const struct world *w))
{
	struct world *w = world_new();
	world_start(w);
	w->r->journal.full = 8000;
	w->r->begun_at = w->r->now - 61ull * 3600 * 1000; /* it has been so long */
	others_until(w, is_half_full); /* where it is not written over soon */
	say_header(w, id[0]);
	say_statement(w, id[0], 1, "SELECT 1");
	say_end(w, id[0]);
	session_file(w, id[0], path[0]);
	world_sweep(w);
	take_canary();
	others_until(w, where);
	time_t then = time(NULL) - 3 * 86400;
	CU_ASSERT_EQUAL(utime(path[0], &(struct utimbuf){ then, then }), 0);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	return w;
}

/* …and is in no file of the journal's when its time is over, by age or for room, also when nobody says anything any more. */
static void
test_left_over(void)
{
	bool (*const where[])(const struct world *w) = { world_has_spare, is_over, is_over_and_has_spare };
	for (unsigned i = 0; i < 6; i++) {
		struct world *w = left_over(where[i / 2]);
		struct verify_result v;
		CU_ASSERT_EQUAL(access(path[0], F_OK), 0);
		CU_ASSERT_TRUE(journal_has_canary(w));
		w->r->options.keep = i % 2 == 0 ? 60ull * 3600 * 1000 : 0;
		w->r->options.max = i % 2 == 0 ? 0 : 1;
		walk_again(w);
		CU_ASSERT_NOT_EQUAL(access(path[0], F_OK), 0);
		CU_ASSERT_FALSE(journal_has_canary(w));
		CU_ASSERT_FALSE(world_has_spare(w));
		CU_ASSERT_TRUE(verified(w, NULL, &v));
		others_until(w, is_over_and_has_spare); /* and it goes on as before */
		CU_ASSERT_FALSE(journal_has_canary(w));
		world_free(&w);
	}
}

/* The recorder died before it could purge. */
static void
test_left_over_and_dies(void)
{
	bool (*const where[])(const struct world *w) = { is_half_full, world_has_spare, is_over_and_has_spare };
	for (unsigned i = 0; i < 3; i++) {
		struct world *w = left_over(where[i]);
		w->r->options.max = 1;
		w->options.keep = 60ull * 3600 * 1000; /* the next one's: what it began itself is younger */
		for (unsigned k = 0; k < 10 && access(path[0], F_OK) == 0; k++)
			retention_step(w->r);
		CU_ASSERT_NOT_EQUAL(access(path[0], F_OK), 0);
		world_stop_at_once(w);
		CU_ASSERT_TRUE(journal_has_canary(w));
		world_start(w);
		walk_again(w);
		CU_ASSERT_FALSE(journal_has_canary(w));
		world_free(&w);
	}
}

/* What is younger than all that the journal has taken over since ends no segment. */
static void
test_not_left_over(void)
{
	struct world *w = left_over(is_over_and_has_spare);
	w->r->begun_at = w->r->now;
	uint64_t segment = w->r->journal.segment;
	w->r->options.keep = 60ull * 3600 * 1000;
	walk_again(w);
	CU_ASSERT_NOT_EQUAL(access(path[0], F_OK), 0);
	CU_ASSERT_EQUAL(w->r->journal.segment, segment);
	CU_ASSERT_TRUE(world_has_spare(w));
	world_free(&w);
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
		{ "age", test_age }, { "size", test_size }, { "the journal", test_journal }, { "left over", test_left_over },
		{ "left over, and the recorder dies", test_left_over_and_dies }, { "not left over", test_not_left_over }, { "refused", test_refused }, { "keeper away", test_keeper_away },
		{ "live", test_live }, { "for ever", test_for_ever }, CU_TEST_INFO_NULL,
	};
	return cunit_main("retain", tests);
}
