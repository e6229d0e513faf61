/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tick: take, make one batch, write, sync, release, then see to the files.
 *
 *   IDLE ─frames─▶ WRITE ─▶ SYNC ─rings released─▶ LINES ─▶ IDLE
 *
 * A stage that fails is tried again a little later; meanwhile nothing is taken, the rings say that
 * the recorder can't write, and the workers end their sessions (P8).  Nothing published is lost:
 * it waits in the ring or in the batch.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "recorder.h"

#define RETRY_MS 250
#define SWEEP_MS 500
#define ASK_AT_ONCE 32      /* signatures in a tick: the keeper has others to serve */
#define ROUND_BUDGET 2000   /* µs of each tick, to go round the sessions: statements wait for the next one (P10) */
#define BUSY (16u << 10)    /* bytes in one tick: compress faster */
#define VERY_BUSY (6u << 20)
#define KEPT 1000           /* µs: longer than any statement needs, which waits for an answer then; a slice of a processor that is short */
#define AGAIN 50000         /* µs: twice within it, and it is no accident */
#define BRISK 250000        /* µs: so long, then, what is in the rings goes first */
#define RESERVE(full) ((full) / 8 < 256u << 10 ? 256u << 10 : (full) / 8) /* of a full disk, to get out of there */

/* ---- failing and recovering ---- */

static void
wake(struct source *src)
{
	uint64_t one = 1;
	if (src->wake >= 0 && write(src->wake, &one, sizeof(one)) < 0)
		log_debug("worker %u: its doorbell is full", src->worker);
}

static void
set_failing(struct recorder *r, bool failing)
{
	r->failing = failing;
	for (struct source *src = r->sources; src != NULL; src = src->next) {
		ring_fail(src->ring, failing || src->broken);
		wake(src);
	}
}

/* What the journal holds of a full disk it can give back: by the reserve, and then by ending this segment early. */
static void
make_room(struct recorder *r)
{
	int error = errno;
	r->cramped = true;
	store_give_up(&r->store);
	if (journal_keep_none(&r->journal) != SP_OK)
		log_debug("the journal keeps more than it needs: %s", strerror(errno));
	if (files_progress(r) != SP_OK)
		log_debug("files of recordings wait for room: %s", strerror(errno));
	errno = error;
}

static bool
fails(struct recorder *r)
{
	r->retry_at = r->now + RETRY_MS;
	if (!r->failing) {
		int error = errno;
		log_error("recordings cannot be written: %s; sessions are stopped until they can", strerror(error));
		set_failing(r, true);
		errno = error;
	}
	if (errno == ENOSPC || errno == EDQUOT)
		make_room(r);
	return true;
}

static void
works(struct recorder *r)
{
	if (!r->failing)
		return;
	log_info("recordings can be written again");
	set_failing(r, false);
}

/* P1 comes first: where somebody computes all the time, each step would cost the tick his slice, and a place behind him. */
void
recorder_step_aside(struct recorder *r)
{
	uint64_t now = r->polite == 0 ? 0 : clock_mono_us();
	if (now >= r->polite || now < r->brisk)
		return;
	(void)sched_yield();
	if (clock_mono_us() - now <= KEPT)
		return;
	if (now - r->kept < AGAIN) /* once may be the host's doing, who gave the processor to others */
		r->brisk = now + BRISK;
	r->kept = now;
}

/* ---- the batch ---- */

/* Compression keeps up with what comes, or gives way. */
static int
level_for(size_t bytes)
{
	return bytes > VERY_BUSY ? -20 : bytes > BUSY ? -5 : 1;
}

static void
step_aside(void *owner)
{
	recorder_step_aside(owner);
}

static bool
make_batch(struct recorder *r)
{
	size_t bytes = 0;
	batch_begin(&r->batch);
	batch_boot(&r->batch, r->boot);
	r->straight = 0;
	recorder_clock(r);
	r->batch.wall = r->wall;
	take_all(r);
	for (struct session *s = r->touched; s != NULL; s = s->next_touched)
		bytes += s->clear.bytes.len + s->sealed.bytes.len;
	block_maker_pause(r->maker, r->polite != 0 ? step_aside : NULL, r);
	block_maker_level(r->maker, level_for(bytes + r->batch.blocks.len + r->batch.placed.len));
	for (struct session *s = r->touched; s != NULL; s = s->next_touched) {
		recorder_step_aside(r);
		session_close_blocks(r, s);
	}
	if (r->batch.entries == 0)
		return false;
	for (struct source *src = r->sources; src != NULL; src = src->next)
		batch_ring(&r->batch, source_ring(r, src), ring_taken_position(src->ring));
	return true;
}

void
recorder_begins(struct recorder *r)
{
	r->begun_at = r->now;
	r->begun_wall = clock_wall_us() / 1000;
}

/* A segment that was full is written over when it has served; not where room or trust is short, or what it held is to be gone. */
static int
rotate(struct recorder *r)
{
	bool anew = r->doubtful || r->cramped || r->low || r->purge;
	if (r->doubtful && r->sync_due && files_stand(r) != SP_OK) /* what it has of `sync write` nobody has elsewhere */
		return SP_EIO;
	if ((anew && journal_keep_none(&r->journal) != SP_OK) || journal_rotate(&r->journal) != SP_OK)
		return SP_EIO;
	if (anew)
		recorder_begins(r);
	r->rotated = r->journal.batch;
	r->begun = 0;
	r->census_due = true;
	r->doubtful = false;
	return SP_OK;
}

static int
stage_write(struct recorder *r)
{
	if (r->doubtful && rotate(r) != SP_OK)
		return SP_EIO;
	r->batch.audited = r->audited;
	if (files_place(r) != SP_OK || journal_append(&r->journal, &r->batch) != SP_OK)
		return SP_EIO;
	r->stage = STAGE_SYNC;
	return SP_OK;
}

static void
release(struct recorder *r, bool synced)
{
	for (struct source *src = r->sources; src != NULL; src = src->next) {
		ring_taken(src->ring);
		if (synced)
			ring_synced_set(src->ring);
		if (ring_wake_wanted(src->ring))
			wake(src);
	}
}

static int
stage_sync(struct recorder *r)
{
	bool lazy = r->options.sync == SYNC_WRITE;
	if (!lazy && journal_sync(&r->journal) != SP_OK) {
		/* What the kernel failed to write it may have dropped: the batch is written again, elsewhere. */
		r->doubtful = true;
		r->stage = STAGE_WRITE;
		return SP_EIO;
	}
	r->sync_due = r->sync_due || lazy;
	if (files_take(r) != SP_OK)
		abort(); /* our own batch, which was journaled as it stands */
	release(r, !lazy);
	r->stage = STAGE_LINES;
	return SP_OK;
}

static int
stage_lines(struct recorder *r)
{
	if (lines_write(&r->audit) != SP_OK || lines_write(&r->access) != SP_OK)
		return SP_EIO;
	r->stage = STAGE_IDLE;
	return SP_OK;
}

static int
commit(struct recorder *r)
{
	static int (*const stage[])(struct recorder *) = {
		[STAGE_WRITE] = stage_write, [STAGE_SYNC] = stage_sync, [STAGE_LINES] = stage_lines,
	};
	while (r->stage != STAGE_IDLE) {
		recorder_step_aside(r);
		if (stage[r->stage](r) != SP_OK)
			return SP_EIO;
	}
	return SP_OK;
}

/* ---- what is not urgent ---- */

/* Every ring and every session that is not finished, so that older segments may go. */
static int
take_census(struct recorder *r)
{
	if (r->doubtful && rotate(r) != SP_OK)
		return SP_EIO;
	uint64_t before = r->journal.size;
	batch_begin(&r->batch);
	batch_boot(&r->batch, r->boot);
	r->batch.wall = clock_wall_us();
	r->batch.audited = r->audited;
	for (struct source *src = r->sources; src != NULL; src = src->next)
		batch_ring(&r->batch, source_ring(r, src), ring_taken_position(src->ring));
	recovered_rings(r); /* those that master has yet to hand over: it may be the next recorder that gets them */
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next) {
			struct journal_entry e;
			session_entry(s, &e);
			batch_entry(&r->batch, &e);
		}
	if (journal_append(&r->journal, &r->batch) != SP_OK)
		return SP_EIO;
	r->doubtful = journal_sync(&r->journal) != SP_OK;
	if (r->doubtful)
		return SP_EIO; /* once more, elsewhere: behind one that is torn on disk nothing would be read */
	r->census_due = false;
	r->begun = r->journal.size - before;
	return SP_OK;
}

/* `sync write`: now and then, and when it fails the session files must stand for the segment. */
static int
sync_lazily(struct recorder *r)
{
	if (!r->sync_due)
		return SP_OK;
	if (!r->doubtful && journal_sync(&r->journal) != SP_OK)
		r->doubtful = true;
	if (r->doubtful && (rotate(r) != SP_OK || take_census(r) != SP_OK))
		return SP_EIO;
	r->sync_due = false;
	release(r, true);
	return SP_OK;
}

/* At rest: it takes no more memory than it must.  Over, its file written and its end in the ledger: forgotten. */
static int
see_off(struct recorder *r, struct session *s)
{
	if (s->state.state == SESSION_LIVE) {
		session_rest(r, s);
		return SP_OK;
	}
	if (file_flush(r, s) != SP_OK)
		return SP_EIO;
	session_slim(s);
	if (s->sign.closed && file_part(r, s))
		session_free(r, s);
	return SP_OK;
}

static int
visit(struct recorder *r, size_t bucket, unsigned *asked)
{
	for (struct session *s = r->bucket[bucket], *next; s != NULL; s = next) {
		next = s->next; /* either may be its end, the signature when the keeper's answer comes at once */
		if (see_off(r, s) != SP_OK)
			return SP_EIO;
	}
	for (struct session *s = r->bucket[bucket], *next; s != NULL; s = next) {
		next = s->next;
		*asked += sign_session(r, s);
	}
	return SP_OK;
}

/* On from where the last tick stopped. */
static int
go_round(struct recorder *r, uint64_t stop, unsigned most)
{
	unsigned asked = 0;
	for (; r->round < SESSION_BUCKETS && asked < most && clock_mono_us() < stop; r->round++)
		if (visit(r, r->round, &asked) != SP_OK)
			return SP_EIO;
	return SP_OK;
}

static void
forget_sources(struct recorder *r)
{
	for (struct source *src = r->sources, *next; src != NULL; src = next) {
		next = src->next;
		if (src->gone && (src->broken || ring_waiting(src->ring) == 0))
			source_free(r, src);
	}
}

static int
sweep(struct recorder *r)
{
	bool all = r->swept == 0;
	if (r->now - r->swept < SWEEP_MS && !all)
		return go_round(r, clock_mono_us() + ROUND_BUDGET, ASK_AT_ONCE);
	r->swept = r->now;
	r->low = store_room(&r->store) / 2 < r->journal.full;
	if (r->low && journal_keep_none(&r->journal) != SP_OK)
		return SP_EIO;
	if (sync_lazily(r) != SP_OK || lines_sync(&r->audit) != SP_OK || lines_sync(&r->access) != SP_OK)
		return SP_EIO;
	r->audited = r->journal.batch;
	if (ledger_sync(r) != SP_OK)
		return SP_EIO;
	forget_sources(r);
	recorder_settle(r);
	sign_gap(r);
	retention_step(r);
	if (!r->failing && !r->cramped && !files_due(r))
		store_reserve(&r->store, RESERVE(r->journal.full));
	if (r->round >= SESSION_BUCKETS || all)
		r->round = 0;
	return all ? go_round(r, UINT64_MAX, UINT_MAX) : SP_OK;
}

/*
 * A full one.  On a full disk any, since all but the newest can go.  On one that is nearly full a short
 * one: what it has must go into the session files once more, and for so much there is the reserve.
 */
static bool
segment_ends(const struct recorder *r)
{
	bool gains = r->journal.oldest == r->journal.segment && !r->census_due && r->journal.batch > r->rotated + 1;
	bool enough = r->cramped || r->purge || (r->low && r->journal.size - r->begun >= RESERVE(r->journal.full) / 4);
	return r->journal.size - r->begun >= r->journal.full || (gains && enough);
}

static int
end_segment(struct recorder *r)
{
	if (r->purge && journal_keep_none(&r->journal) != SP_OK) /* at once, also where the segment itself need not end */
		return SP_EIO;
	if (!segment_ends(r))
		return SP_OK;
	/* nobody syncs it later */
	if (sync_lazily(r) != SP_OK || (segment_ends(r) && rotate(r) != SP_OK))
		return SP_EIO;
	r->cramped = r->purge = false;
	return SP_OK;
}

static int
keep_house(struct recorder *r)
{
	if (end_segment(r) != SP_OK)
		return SP_EIO;
	if (r->census_due && take_census(r) != SP_OK)
		return SP_EIO;
	recorder_step_aside(r);
	if (files_progress(r) != SP_OK)
		return SP_EIO;
	for (struct session *s = r->touched, *next; s != NULL; s = next) {
		next = s->next_touched;
		s->touched = s->straight = false;
		s->next_touched = NULL;
	}
	r->touched = NULL;
	return sweep(r);
}

bool
recorder_tick(struct recorder *r)
{
	uint64_t begun = clock_mono_us();
	r->now = begun / 1000;
	if (r->failing && r->now < r->retry_at)
		return true;
	bool work = r->stage != STAGE_IDLE;
	if (commit(r) != SP_OK) /* what was begun before, and lines of the keeper's: frames don't wait a tick for those */
		return fails(r);
	if ((!work || !r->failing) && make_batch(r)) {
		r->stage = STAGE_WRITE;
		work = true;
	}
	if (commit(r) != SP_OK || keep_house(r) != SP_OK)
		return fails(r);
	works(r);
	if (work)
		r->tick_us = clock_mono_us() - begun;
	return work;
}

bool
recorder_sleep(struct recorder *r)
{
	bool all = true;
	for (struct source *src = r->sources; src != NULL; src = src->next)
		all = (src->broken || ring_sleep(src->ring)) && all;
	return all && !r->failing && r->stage == STAGE_IDLE && r->round >= SESSION_BUCKETS && !files_due(r);
}

bool
recorder_pressed(const struct recorder *r)
{
	for (const struct source *src = r->sources; src != NULL; src = src->next)
		if (!src->broken && ring_filling(src->ring))
			return true;
	return false;
}
