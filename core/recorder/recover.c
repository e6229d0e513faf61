/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash: the journal says what was taken, session files are brought up to it, and the rings
 * are read on from where the journal says.
 *
 *   journal ─▶ sessions as they were after the last whole batch, their blocks once more into the files
 *           ─▶ positions of the rings (recovered_position)
 *   files   ─▶ who it was, and operations under way, for the lines of the audit log still to come
 */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"
#include "recorder.h"

#define RINGS_MAX 4096
#define FILE_SOME (1u << 20) /* blocks of one session in memory before they are written */

struct recovered {
	struct { uint64_t ring, position; } at[RINGS_MAX];
	size_t n;
	uint64_t audited; /* the last batch whose audit lines are known to be on disk */
	uint64_t boot;    /* the kernel's run that the journal's last batch was written in; 0: it does not say */
};

bool
recovered_position(struct recorder *r, uint64_t ring, uint64_t *position_r)
{
	*position_r = 0;
	for (size_t i = 0; r->recovered != NULL && i < r->recovered->n; i++) {
		if (r->recovered->at[i].ring != ring)
			continue;
		*position_r = r->recovered->at[i].position;
		return true;
	}
	return false;
}

static bool
is_handed_over(const struct recorder *r, uint64_t ring)
{
	for (const struct source *src = r->sources; src != NULL; src = src->next)
		if (source_ring(r, src) == ring)
			return true;
	return false;
}

void
recovered_rings(struct recorder *r)
{
	for (size_t i = 0; r->recovered != NULL && r->settled != 0 && i < r->recovered->n; i++)
		if (!is_handed_over(r, r->recovered->at[i].ring))
			batch_ring(&r->batch, r->recovered->at[i].ring, r->recovered->at[i].position);
}

void
recovered_free(struct recovered **d)
{
	free(*d);
	*d = NULL;
}

/* ---- the journal ---- */

static int
on_ring(void *owner, uint64_t identity, uint64_t position)
{
	struct recorder *r = owner;
	struct recovered *d = r->recovered;
	size_t i = 0;
	while (i < d->n && d->at[i].ring != identity)
		i++;
	if (i == RINGS_MAX) { /* long forgotten ones make room */
		memmove(&d->at[0], &d->at[1], (RINGS_MAX - 1) * sizeof(d->at[0]));
		i = RINGS_MAX - 1;
	} else if (i == d->n) {
		d->n++;
	}
	d->at[i].ring = identity;
	d->at[i].position = position;
	return SP_OK;
}

static int
first_ring(void *owner, uint64_t identity, uint64_t position)
{
	(void)owner;
	(void)identity;
	(void)position;
	return SP_OK;
}

static int
first_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	struct recorder *r = owner;
	(void)e;
	if (b->audited > r->recovered->audited)
		r->recovered->audited = b->audited;
	return SP_OK;
}

/* The file has it: what the journal has of it goes before. */
static int
placed(struct recorder *r, struct session *s, const struct journal_entry *e)
{
	char id[ID_TEXT];
	if (file_flush(r, s) != SP_OK)
		return SP_EIO;
	s->bytes = s->in_file = e->offset + e->placed;
	memcpy(s->chain, e->hash, DIGEST_LEN);
	if (store_size(&r->store, s->id) < (int64_t)s->bytes)
		log_error("session %s: its file ends before byte %llu, which was on disk: `sallyport verify` will name what is missing",
		    id_format(s->id, id), (unsigned long long)s->bytes);
	return SP_OK;
}

static int
on_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	struct recorder *r = owner;
	struct session *s = session_find(r, e->session);
	if (s == NULL) {
		s = session_new(r, e->session);
		s->bytes = s->in_file = s->state.from = e->offset;
		s->fresh = true;
		session_who(s, SP_LIT(WHO_UNKNOWN)); /* until its header is read */
		memcpy(s->chain, e->previous, DIGEST_LEN);
	}
	if (e->block.len + e->placed > 0 && b->number > r->recovered->audited && s->again.lines == 0) {
		s->again.lines = e->offset;
		s->again.facts = s->state.from;
	}
	s->ring = e->ring;
	s->state = e->state;
	if (s->bytes != e->offset || memcmp(s->chain, e->previous, DIGEST_LEN) != 0) {
		char id[ID_TEXT];
		log_error("session %s: the journal is damaged, blocks are missing before byte %llu: `sallyport verify` will name them",
		    id_format(s->id, id), (unsigned long long)e->offset);
		if (file_flush(r, s) != SP_OK)
			return SP_EIO;
		s->bytes = s->in_file = e->offset;
		memcpy(s->chain, e->previous, DIGEST_LEN);
	}
	if (e->placed > 0)
		return placed(r, s, e);
	if (e->block.len == 0)
		return SP_OK;
	file_add(r, s, e->block);
	s->bytes = e->offset + e->block.len;
	memcpy(s->chain, e->hash, DIGEST_LEN);
	return s->file.len >= FILE_SOME ? file_flush(r, s) : SP_OK;
}

/* ---- the files ---- */

static void
read_frames(struct recorder *r, struct session *s, const struct block *b, uint64_t offset, struct buffer *plain)
{
	uint32_t number = b->first;
	bool wanted = offset >= s->state.from || (s->again.lines != 0 && offset >= s->again.facts);
	if ((!wanted && b->number > 1) || block_plain(b, NULL, s->id, plain) != SP_OK)
		return; /* sealed: nothing that the audit log would say */
	struct frames_walk in = { .in = sp_reader(buffer_bytes(plain)) };
	struct frame f;
	r->quiet = s->again.lines == 0 || offset < s->again.lines;
	r->reading = offset;
	for (; frames_next(&in, &f) == 1; number++) {
		if (f.type == FRAME_HEADER && facts_header(s, &f) != SP_OK)
			log_warn("the header of a recovered session cannot be read");
		if (wanted)
			facts_frame(r, s, &f, number);
		if (r->audit.pending.len >= LINES_MAX && lines_write(&r->audit) != SP_OK)
			log_debug("lines of the audit log wait for room");
	}
}

/*
 * A power loss may spare more of the file than of the journal: what fits the chain is kept.  Without one,
 * it is what a batch was to tell of that never came to be (files_place()): the ring has those frames still.
 */
static int
adopt_rest(struct recorder *r, struct session *s, struct block_file *f)
{
	struct block b;
	struct buffer plain = { .max = BLOCK_PLAIN_MAX };
	if (r->recovered->boot == r->boot)
		return store_truncate(&r->store, s->id, f->at);
	if (s->again.lines == 0)
		s->again.lines = s->again.facts = f->at;
	while (block_file_next(f, &b) == 1) {
		read_frames(r, s, &b, f->from, &plain);
		s->state.blocks = b.number;
		s->state.frames = f->frames;
	}
	buffer_free(&plain);
	s->bytes = s->in_file = f->at;
	memcpy(s->chain, f->chain, DIGEST_LEN);
	return f->at == f->end ? SP_OK : store_truncate(&r->store, s->id, f->at);
}

/* Header and operations under way, from the session's own file. */
static int
read_facts(struct recorder *r, struct session *s)
{
	struct block_file f;
	struct block b;
	struct buffer plain = { .max = BLOCK_PLAIN_MAX };
	if (file_flush(r, s) != SP_OK)
		return SP_EIO;
	int fd = store_fetch(&r->store, s->id), rc = fd < 0 ? SP_EIO : block_file_open(&f, fd, s->id);
	if (rc == SP_OK) {
		while (f.at < s->bytes && (rc = block_file_next(&f, &b)) == 1)
			read_frames(r, s, &b, f.from, &plain);
		if (f.at == s->bytes && f.end > f.at)
			rc = adopt_rest(r, s, &f);
		block_file_close(&f);
	}
	if (fd >= 0)
		close(fd);
	buffer_free(&plain);
	return rc < 0 ? SP_EIO : SP_OK;
}

void
recorder_recover_lines(struct recorder *r)
{
	unsigned unread = 0;
	r->lines_due = false;
	r->recovering = true;
	lines_mend(&r->audit);
	lines_mend(&r->access);
	r->seen = audit_seen_load(r->audit.fd, r->access.fd);
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next) {
			if (s->state.blocks > 0 && read_facts(r, s) != SP_OK)
				unread++;
			s->ending = s->state.state != SESSION_LIVE;
		}
	if (unread > 0)
		log_error("%u recordings cannot be read back: `sallyport verify` will name them", unread);
	audit_seen_free(&r->seen);
	r->recovering = r->quiet = false;
	if (r->audit.pending.len > 0 || r->access.pending.len > 0)
		r->stage = STAGE_LINES;
}

int
recorder_recover(struct recorder *r, const char **err_r)
{
	bool damaged = false;
	struct journal again = r->journal;
	r->recovered = mem_alloc(sizeof(*r->recovered));
	*r->recovered = (struct recovered){ .n = 0 };
	const struct journal_reader first = { first_ring, first_entry, r, &r->recovered->boot };
	const struct journal_reader second = { on_ring, on_entry, r, NULL };
	int rc = journal_replay(&again, &first, &damaged);
	if (rc == SP_OK)
		rc = journal_replay(&r->journal, &second, &damaged);
	if (rc == SP_OK && damaged)
		log_error("the journal is damaged: what was whole is kept");
	r->rotated = r->journal.batch;
	r->audited = r->recovered->audited;
	if (rc == SP_OK)
		rc = journal_keep_none(&r->journal); /* whether retention was about to purge them nobody remembers */
	if (rc == SP_OK)
		rc = journal_rotate(&r->journal);
	r->census_due = true;
	recorder_begins(r);
	if (rc != SP_OK)
		*err_r = "the journal of recordings cannot be read or begun";
	return rc;
}
