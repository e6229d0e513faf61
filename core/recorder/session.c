/* SPDX-License-Identifier: Apache-2.0 */
/* The sessions being recorded, and how a tick's frames become blocks. */
#include <config.h>

#include "recorder.h"

#include <stdlib.h>

#include "../base/log.h"

#define KEEP_CAP (64u << 10) /* more than this of buffer is given back after a tick */
#define REST_MS 4000
#define STRAIGHT_FROM (128u << 10)
#define STRAIGHT_MOST 4

static size_t
bucket_of(const uint8_t id[ID_LEN])
{
	return ((size_t)id[0] << 8 | id[1]) % SESSION_BUCKETS; /* ids are random */
}

struct session *
session_find(struct recorder *r, const uint8_t id[ID_LEN])
{
	struct session *s = r->bucket[bucket_of(id)];
	while (s != NULL && memcmp(s->id, id, ID_LEN) != 0)
		s = s->next;
	return s;
}

struct session *
session_new(struct recorder *r, const uint8_t id[ID_LEN])
{
	struct session *s = mem_alloc(sizeof(*s));
	struct session **bucket = &r->bucket[bucket_of(id)];
	*s = (struct session){ .next = *bucket, .bytes = RECORDING_HEAD, .fresh = true, .sign = { .at = r->now } };
	memcpy(s->id, id, ID_LEN);
	(void)id_format(id, s->name);
	block_chain_start(id, s->chain);
	s->clear.bytes.max = s->sealed.bytes.max = BLOCK_PLAIN_MAX;
	*bucket = s;
	r->nsessions++;
	return s;
}

void
session_who(struct session *s, struct sp_bytes members)
{
	free((void *)(uintptr_t)s->who.p);
	s->who = members.len == 0 ? members : (struct sp_bytes){ (const uint8_t *)mem_string(members), members.len };
}

/* What is only kept for what comes next. */
static void
let_go(struct session *s)
{
	buffer_free(&s->clear.bytes);
	buffer_free(&s->sealed.bytes);
	if (s->file.len == 0)
		buffer_free(&s->file);
}

void
session_slim(struct session *s)
{
	if (s->clear.n > 0 || s->sealed.n > 0)
		return;
	operations_free(s);
	let_go(s);
}

void
session_rest(const struct recorder *r, struct session *s)
{
	if (s->file.len == 0 && s->clear.n == 0 && s->sealed.n == 0 && r->now - s->file_since >= REST_MS)
		let_go(s);
}

void
session_free(struct recorder *r, struct session *s)
{
	struct session **at = &r->bucket[bucket_of(s->id)];
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	r->nsessions--;
	if (s->file.len > 0)
		TAILQ_REMOVE(&r->buffered, s, in_buffered);
	if (s->unsynced)
		TAILQ_REMOVE(&r->unsynced, s, in_unsynced);
	operations_free(s);
	if (s->seal != NULL)
		mem_wipe(s->seal, sizeof(*s->seal));
	free(s->seal);
	session_who(s, (struct sp_bytes){ NULL, 0 });
	buffer_free(&s->clear.bytes);
	buffer_free(&s->sealed.bytes);
	buffer_free(&s->file);
	free(s);
}

void
session_touch(struct recorder *r, struct session *s)
{
	if (s->touched)
		return;
	s->touched = true;
	s->next_touched = r->touched;
	r->touched = s;
}

uint32_t
session_next_number(const struct session *s)
{
	return s->state.frames + s->clear.n + 1;
}

void
session_entry(const struct session *s, struct journal_entry *e_r)
{
	*e_r = (struct journal_entry){ .ring = s->ring, .offset = s->bytes, .state = s->state };
	e_r->state.from = operations_from(s);
	memcpy(e_r->session, s->id, ID_LEN);
	memcpy(e_r->previous, s->chain, DIGEST_LEN);
	memcpy(e_r->hash, s->chain, DIGEST_LEN);
}

static const struct seal *
session_seal(struct recorder *r, struct session *s)
{
	if (s->seal != NULL)
		return s->seal;
	s->seal = mem_alloc(sizeof(*s->seal));
	if (seal_begin(r->options.auditor, s->id, s->seal) != SP_OK)
		abort(); /* the key was tried when the configuration was taken */
	return s->seal;
}

static void
empty(struct frames *f)
{
	buffer_drop(&f->bytes, f->bytes.len);
	if (f->bytes.cap > KEEP_CAP)
		buffer_free(&f->bytes);
	f->n = 0;
}

/*
 * A flood goes into its file first, and the journal only tells of it: written once, not twice.  For few
 * sessions of a batch, since each is one more sync.  Never for the first block of a file: a file
 * whose session no batch names could not be told from another's.
 */
static bool
goes_straight(struct recorder *r, struct session *s, const struct frames *f)
{
	if (s->straight)
		return true;
	if (f->bytes.len < STRAIGHT_FROM || r->straight == STRAIGHT_MOST || r->options.sync == SYNC_WRITE || s->doubtful)
		return false;
	if (s->in_file <= RECORDING_HEAD || s->in_file + s->file.len != s->bytes)
		return false;
	r->straight++;
	return s->straight = true;
}

static void
close_block(struct recorder *r, struct session *s, struct frames *f, const struct seal *seal)
{
	struct journal_entry e;
	struct block b = { .number = s->state.blocks + 1, .first = s->state.frames + 1, .frames = f->n, .wall = r->wall };
	if (f->n == 0)
		return;
	session_entry(s, &e);
	bool straight = goes_straight(r, s, f);
	struct buffer *out = straight ? &r->batch.placed : &r->batch.blocks;
	if (block_make(r->maker, seal, s->id, buffer_bytes(&f->bytes), &b, s->chain, out) != SP_OK) {
		/* Only without memory; what was published must not be lost: the next recorder does better. */
		log_error("no memory for a block of %zu bytes: starting anew", f->bytes.len);
		abort();
	}
	s->state.blocks = b.number;
	s->state.frames += f->n;
	s->bytes += b.whole.len;
	e.state = s->state;
	e.state.from = operations_from(s);
	memcpy(e.hash, s->chain, DIGEST_LEN);
	if (straight)
		e.placed = (uint32_t)b.whole.len;
	else
		e.block = b.whole;
	(straight ? batch_place : batch_entry)(&r->batch, &e);
	if (straight)
		files_begin(r, s);
	empty(f);
}

void
session_close_blocks(struct recorder *r, struct session *s)
{
	cut_flush_all(s);
	if (s->ending && s->state.state == SESSION_LIVE)
		s->state.state = SESSION_ENDED;
	close_block(r, s, &s->clear, NULL);
	if (s->sealed.n > 0)
		close_block(r, s, &s->sealed, session_seal(r, s));
}
