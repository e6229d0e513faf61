/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session files, written from blocks that stand in the journal already; a flood's are placed before (files_place()).
 *
 *   file_add(): in memory ─(64 KB, 2 s, the end)─▶ file_flush(): in the file
 *      ─(a segment is full)─▶ files_progress(): on disk ─▶ the segment may go
 *
 * Until then the journal stands for the file, also when the session is over: file_part() keeps its
 * name, and the rest is forgotten.  Syncs are done a few at a time, so that a thousand files do not
 * hold up a tick.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "recorder.h"

#define FILE_FLUSH (64u << 10)
#define FILE_KEEP (128u << 10) /* memory, for as much again */
#define FILE_LITTLE (4u << 10)
#define FILE_AGE 2000     /* ms */
#define SYNC_BUDGET 3000  /* µs of each tick */
#define FLUSH_BUDGET 3000

static int
complain(const struct recorder *r, const uint8_t session[ID_LEN], const char *what)
{
	char id[ID_TEXT];
	int error = errno;
	log_at(r->failing ? SP_DEBUG : SP_ERROR, "session %s: its file cannot be %s: %s", id_format(session, id), what, strerror(error));
	errno = error;
	return SP_EIO;
}

static void
is_unsynced(struct recorder *r, struct session *s)
{
	if (!s->unsynced) {
		TAILQ_INSERT_TAIL(&r->unsynced, s, in_unsynced);
		s->segment = r->journal.segment;
	}
	s->unsynced = true;
}

void
file_add(struct recorder *r, struct session *s, struct sp_bytes block)
{
	if (s->file.len == 0) {
		s->file_since = r->now;
		TAILQ_INSERT_TAIL(&r->buffered, s, in_buffered);
	}
	if (buffer_put(&s->file, block) != SP_OK) {
		log_error("no memory for a block of %zu bytes: starting anew", block.len);
		abort();
	}
	is_unsynced(r, s);
}

static int
take_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	struct recorder *r = owner;
	struct session *s = session_find(r, e->session);
	(void)b;
	if (s != NULL && e->block.len > 0)
		file_add(r, s, e->block);
	return SP_OK;
}

int
files_take(struct recorder *r)
{
	return batch_each(&r->batch, take_entry, r);
}

int
file_flush(struct recorder *r, struct session *s)
{
	if (s->file.len == 0)
		return SP_OK;
	/* The first write makes the file, with the magic that every block's offset already counts. */
	if (s->in_file <= RECORDING_HEAD) {
		if (store_write(&r->store, s->id, 0, SP_LIT(RECORDING_MAGIC)) != SP_OK)
			return complain(r, s->id, "made");
		s->in_file = RECORDING_HEAD;
	}
	if (store_write(&r->store, s->id, s->in_file, buffer_bytes(&s->file)) != SP_OK)
		return complain(r, s->id, "written");
	size_t len = s->file.len;
	s->in_file += len;
	buffer_drop(&s->file, len);
	TAILQ_REMOVE(&r->buffered, s, in_buffered); /* what comes next is younger than what others wait with */
	if (s->file.cap > FILE_KEEP || (s->file.cap > FILE_LITTLE && len < s->file.cap / 8))
		buffer_free(&s->file);
	return SP_OK;
}

static int
write_placed(struct recorder *r, struct session *s, struct placement *p, const uint8_t *bytes)
{
	if (file_flush(r, s) != SP_OK)
		return SP_EIO;
	is_unsynced(r, s);
	if (store_write(&r->store, s->id, p->offset, (struct sp_bytes){ bytes, p->len }) != SP_OK)
		return complain(r, s->id, "written");
	if (s->in_file < p->offset + p->len) /* one that failed before may come behind later ones */
		s->in_file = p->offset + p->len;
	p->written = true;
	return SP_OK;
}

static struct placement *
placements(const struct recorder *r, size_t *n_r)
{
	*n_r = r->batch.places.len / sizeof(struct placement);
	return (void *)(uintptr_t)buffer_bytes(&r->batch.places).p;
}

void
files_begin(struct recorder *r, struct session *s)
{
	size_t n;
	struct placement *p = placements(r, &n) + n - 1;
	struct sp_bytes all = buffer_bytes(&r->batch.placed);
	if (!r->failing && write_placed(r, s, p, all.p + all.len - p->len) == SP_OK)
		store_start(&r->store, s->id, p->offset, p->len);
}

int
files_place(struct recorder *r)
{
	size_t n;
	struct placement *p = placements(r, &n);
	const uint8_t *bytes = buffer_bytes(&r->batch.placed).p;
	for (size_t i = 0; i < n; bytes += p[i++].len)
		if (!p[i].written && write_placed(r, session_find(r, p[i].session), &p[i], bytes) != SP_OK)
			return SP_EIO;
	for (size_t i = 0; i < n; i++) {
		if (file_sync(r, session_find(r, p[i].session)) == SP_OK)
			continue;
		for (size_t k = 0; k < n; k++) /* the kernel may have dropped what it could not write */
			p[k].written = false;
		return SP_EIO;
	}
	return SP_OK;
}

static int
flush_due(struct recorder *r)
{
	uint64_t stop = clock_mono_us() + FLUSH_BUDGET;
	struct session *s;
	while ((s = TAILQ_FIRST(&r->buffered)) != NULL && clock_mono_us() < stop) {
		if (r->now - s->file_since < FILE_AGE && s->state.state == SESSION_LIVE)
			return SP_OK;
		if (file_flush(r, s) != SP_OK)
			return SP_EIO;
	}
	return SP_OK;
}

int
file_sync(struct recorder *r, struct session *s)
{
	if (file_flush(r, s) != SP_OK)
		return SP_EIO;
	if (!s->unsynced)
		return SP_OK;
	if ((s->doubtful ? store_renew(&r->store, s->id) : store_sync(&r->store, s->id, s->fresh)) != SP_OK) {
		s->doubtful = true;
		return complain(r, s->id, "brought to disk");
	}
	s->fresh = s->doubtful = false;
	s->segment = 0;
	s->unsynced = false;
	TAILQ_REMOVE(&r->unsynced, s, in_unsynced);
	return SP_OK;
}

bool
file_part(struct recorder *r, const struct session *s)
{
	struct parted p = { .segment = s->segment, .fresh = s->fresh };
	if (s->file.len > 0 || s->doubtful)
		return false;
	if (!s->unsynced)
		return true;
	memcpy(p.id, s->id, ID_LEN);
	/* Those of older segments are synced in a moment; so the list is in the order of segments. */
	return s->segment == r->journal.segment && buffer_put(&r->parted, (struct sp_bytes){ (const uint8_t *)&p, sizeof(p) }) == SP_OK;
}

/* The first of those that parted, or NULL. */
static struct parted *
first_parted(const struct recorder *r)
{
	return (void *)(uintptr_t)buffer_bytes(&r->parted).p;
}

/* The oldest segment that holds blocks which a file has not on disk. */
static uint64_t
oldest_needed(const struct recorder *r)
{
	const struct session *s = TAILQ_FIRST(&r->unsynced);
	uint64_t of_sessions = s == NULL ? r->journal.segment : s->segment;
	uint64_t of_parted = r->parted.len == 0 ? r->journal.segment : first_parted(r)->segment;
	return of_sessions < of_parted ? of_sessions : of_parted;
}

bool
files_due(const struct recorder *r)
{
	return oldest_needed(r) < r->journal.segment;
}

static int
sync_parted(struct recorder *r)
{
	struct parted *p = first_parted(r);
	int rc = p->doubtful ? store_renew(&r->store, p->id) : store_sync(&r->store, p->id, p->fresh);
	if (rc != SP_OK && errno != ENOENT) { /* not there: its retention was over */
		p->doubtful = true;
		return complain(r, p->id, "brought to disk");
	}
	buffer_drop(&r->parted, sizeof(*p));
	if (r->parted.len == 0)
		buffer_free(&r->parted);
	return SP_OK;
}

int
files_stand(struct recorder *r)
{
	for (struct session *s; (s = TAILQ_FIRST(&r->unsynced)) != NULL;)
		if (file_sync(r, s) != SP_OK)
			return SP_EIO;
	while (r->parted.len > 0)
		if (sync_parted(r) != SP_OK)
			return SP_EIO;
	return SP_OK;
}

/* What a full segment still stands for, some at a time. */
static int
sync_due(struct recorder *r)
{
	uint64_t stop = clock_mono_us() + SYNC_BUDGET;
	struct session *s;
	while ((s = TAILQ_FIRST(&r->unsynced)) != NULL && s->segment < r->journal.segment && clock_mono_us() < stop)
		if (file_sync(r, s) != SP_OK)
			return SP_EIO;
	while (r->parted.len > 0 && first_parted(r)->segment < r->journal.segment && clock_mono_us() < stop)
		if (sync_parted(r) != SP_OK)
			return SP_EIO;
	return SP_OK;
}

/* Segments before the one that the oldest unsynced block is in have served. */
static int
remove_segments(struct recorder *r)
{
	uint64_t keep = oldest_needed(r);
	if (r->census_due || r->sync_due || r->audited < r->rotated)
		return SP_OK; /* the new segment must first stand for the old ones */
	for (; r->journal.oldest < keep; r->journal.oldest++)
		if (journal_remove(&r->journal, r->journal.oldest) != SP_OK) {
			log_error("a journal segment cannot be removed: %s", strerror(errno));
			return SP_EIO;
		}
	return SP_OK;
}

/* A flood of blocks goes out at once, whoever's they are. */
static int
flush_floods(struct recorder *r)
{
	for (struct session *s = r->touched; s != NULL; s = s->next_touched)
		if (s->file.len >= FILE_FLUSH && file_flush(r, s) != SP_OK)
			return SP_EIO;
	return SP_OK;
}

int
files_progress(struct recorder *r)
{
	if (flush_floods(r) == SP_OK && flush_due(r) == SP_OK && sync_due(r) == SP_OK)
		return remove_segments(r);
	int error = errno;
	(void)remove_segments(r); /* on a full disk that makes the room that is wanted */
	errno = error;
	return SP_EIO;
}
