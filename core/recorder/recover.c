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
on_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	struct recorder *r = owner;
	struct session *s = session_find(r, e->session);
	if (s == NULL) {
		s = session_new(r, e->session);
		s->bytes = s->in_file = e->offset;
		s->fresh = true;
		memcpy(s->chain, e->previous, DIGEST_LEN);
	}
	if (b->audited > r->recovered->audited)
		r->recovered->audited = b->audited;
	s->ring = e->ring;
	s->state = e->state;
	if (e->block.len == 0)
		return SP_OK;
	if (s->bytes != e->offset || memcmp(s->chain, e->previous, DIGEST_LEN) != 0) {
		log_error("the journal does not fit together: a block of a session is missing");
		return SP_EPROTO;
	}
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
	if (block_plain(b, NULL, s->id, plain) != SP_OK)
		return; /* sealed: nothing that the audit log would say */
	struct sp_reader in = sp_reader(buffer_bytes(plain));
	struct frame f;
	for (; in.left > 0 && frame_decode(&in, &f) == SP_OK; number++) {
		if (f.type == FRAME_HEADER && facts_header(s, &f) != SP_OK)
			log_warn("the header of a recovered session cannot be read");
		if (offset >= s->state.from)
			facts_frame(r, s, &f, number);
	}
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
		while ((rc = block_file_next(&f, &b)) == 1)
			read_frames(r, s, &b, f.from, &plain);
		block_file_close(&f);
	}
	if (fd >= 0)
		close(fd);
	buffer_free(&plain);
	return rc < 0 ? SP_EIO : SP_OK;
}

static int
read_all_facts(struct recorder *r)
{
	unsigned unread = 0;
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next) {
			s->sign.opened = false; /* the keeper may have signed it; signing again is harmless */
			if (s->state.blocks > 0 && read_facts(r, s) != SP_OK)
				unread++;
			if (s->who == NULL)
				s->who = mem_string(SP_LIT("\"who\":null"));
			s->ending = s->state.state != SESSION_LIVE;
		}
	if (unread > 0)
		log_error("%u recordings cannot be read back: `sallyport verify` will name them", unread);
	return SP_OK;
}

int
recorder_recover(struct recorder *r, const char **err_r)
{
	const struct journal_reader reader = { on_ring, on_entry, r };
	bool damaged = false;
	r->recovered = mem_alloc(sizeof(*r->recovered));
	r->recovering = true;
	int rc = journal_replay(&r->journal, &reader, &damaged);
	if (rc == SP_OK && damaged)
		log_error("the journal is damaged: what was whole is kept");
	if (rc == SP_OK) {
		r->seen = audit_seen_load(r->audit.fd, r->access.fd);
		rc = read_all_facts(r);
		audit_seen_free(&r->seen);
	}
	r->recovering = false;
	r->rotated = r->journal.batch;
	r->audited = r->recovered->audited;
	if (rc == SP_OK)
		rc = journal_rotate(&r->journal);
	r->census_due = true;
	if (rc != SP_OK)
		*err_r = "the journal of recordings cannot be read or begun";
	return rc;
}
