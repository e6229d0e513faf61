/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where frames go: into the clear or the sealed block, and for output only as far as `output head`
 * allows.  What is left out of one operation is counted and hashed, and stated by a FRAME_CUT in
 * the same tick, so that a crash leaves no gap in what is known.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/log.h"
#include "recorder.h"

static const bool sealed_types[FRAMES] = {
	[FRAME_COLUMNS] = true, [FRAME_ROWS] = true, [FRAME_OUTPUT] = true, [FRAME_INPUT] = true, [FRAME_NOTICE] = true,
	[FRAME_WHY] = true,
};

static _Noreturn void
no_memory(size_t len)
{
	log_error("no memory for a frame of %zu bytes: starting anew", len);
	abort();
}

static void
frames_add(struct session *s, const struct frame *f, bool sealed)
{
	struct frames *to = sealed ? &s->sealed : &s->clear;
	size_t len = FRAME_HEAD + f->payload.len;
	uint8_t *into = buffer_room(&to->bytes, len);
	struct sp_writer w = sp_writer(into, len);
	if (into != NULL && f->whole.len == len)
		sp_wr_put(&w, f->whole); /* as it came */
	else if (into == NULL || frame_encode(f, &w) != SP_OK)
		no_memory(len);
	buffer_added(&to->bytes, len);
	to->n++;
}

/* An operation's frame in two: kind, tag and hash in the clear, all the rest sealed.  Each has places of its own, of the same names. */
static void
add_halves(struct session *s, const struct frame *f)
{
	struct sp_reader fields = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key;
	uint8_t *space = mem_alloc(2 * f->payload.len + 1);
	struct sp_writer clear = sp_writer(space, f->payload.len), sealed = sp_writer(space + f->payload.len, f->payload.len);
	while (frame_next_field(&fields, &key, &value)) {
		bool open = frame_key_is_open(key);
		if (open || key == KEY_KEPT || key == KEY_AS)
			frame_field(&clear, (enum frame_key)key, value);
		if (!open)
			frame_field(&sealed, (enum frame_key)key, value);
	}
	struct frame half = *f;
	half.whole = (struct sp_bytes){ NULL, 0 };
	half.payload = sp_written(&clear);
	half.flags = FRAME_HALF;
	frames_add(s, &half, false);
	half.payload = sp_written(&sealed);
	half.flags = FRAME_PART;
	frames_add(s, &half, true);
	free(space);
}

void
frames_store(struct recorder *r, struct session *s, const struct frame *f)
{
	if (r->options.seals && f->type == FRAME_OPERATION)
		add_halves(s, f);
	else
		frames_add(s, f, r->options.seals && sealed_types[f->type]);
}

void
frames_store_whole(struct session *s, struct sp_bytes whole, uint32_t n)
{
	if (buffer_put(&s->clear.bytes, whole) != SP_OK)
		no_memory(whole.len);
	s->clear.n += n;
}

bool
cut_keeps(const struct recorder *r, struct session *s, const struct frame *f, size_t output)
{
	const struct operation *o = r->options.head == UINT64_MAX ? NULL : operation_find(s, f->op);
	return output <= r->options.head && (o == NULL || (o->cut == NULL && o->stored <= r->options.head - output));
}

/* Whose output it is, where that is of interest. */
static struct operation *
count(struct recorder *r, struct session *s, const struct frame *f)
{
	s->state.bytes += f->type == FRAME_INPUT ? 0 : f->payload.len;
	return r->options.head == UINT64_MAX ? NULL : operation_get(s, f, s->bytes);
}

static bool
counts_rows(const struct operation *o, const struct frame *f)
{
	return f->type == FRAME_ROWS && !o->unsure;
}

static void
keep(struct operation *o, const struct frame *f)
{
	if (counts_rows(o, f))
		(void)rows_walk(&o->rows, f->payload);
	o->stored += f->payload.len;
}

void
cut_count(struct recorder *r, struct session *s, const struct frame *f)
{
	struct operation *o = count(r, s, f);
	if (o != NULL)
		keep(o, f);
}

void
cut_stream(struct recorder *r, struct session *s, const struct frame *f)
{
	struct operation *o = count(r, s, f);
	if (o == NULL) {
		frames_store(r, s, f);
		return;
	}
	uint64_t room = o->stored < r->options.head ? r->options.head - o->stored : 0;
	struct sp_reader rest = sp_reader(f->payload);
	struct frame kept = *f;
	kept.payload = sp_rd_take(&rest, f->payload.len < room ? f->payload.len : (size_t)room);
	struct sp_bytes left = sp_rd_rest(&rest);
	if (left.len > 0)
		kept.whole = (struct sp_bytes){ NULL, 0 };
	keep(o, &kept);
	if (kept.payload.len > 0 || f->payload.len == 0)
		frames_store(r, s, &kept);
	if (left.len == 0)
		return;
	/* Once something was left out, the operation is cut: nothing behind it is stored. */
	o->stored = UINT64_MAX;
	if (o->cut == NULL)
		o->cut = digest_begin();
	digest_add(o->cut, left);
	o->cut_bytes += left.len;
	o->cut_rows += counts_rows(o, f) ? rows_walk(&o->rows, left) : 0;
}

void
cut_flush(struct session *s, struct operation *o)
{
	uint8_t bytes[3 * 5 + 8 + 8 + DIGEST_LEN], hash[DIGEST_LEN];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	if (o == NULL || o->cut == NULL)
		return;
	digest_end(&o->cut, hash);
	frame_field_u64(&w, KEY_BYTES, o->cut_bytes);
	frame_field_u64(&w, KEY_ROWS, o->cut_rows);
	frame_field(&w, KEY_HASH, (struct sp_bytes){ hash, sizeof(hash) });
	const struct frame f = { .type = FRAME_CUT, .channel = o->channel, .op = o->op, .at = s->state.last_at, .payload = sp_written(&w) };
	frames_add(s, &f, false);
	o->cut_bytes = o->cut_rows = 0;
}

void
cut_flush_all(struct session *s)
{
	for (size_t i = 0; i < s->noperations; i++)
		cut_flush(s, &s->operation[i]);
}
