/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking frames from rings.  A worker may be hostile: it writes only to sessions that it began, a
 * session begins once and ends once, and every frame is what its type says; else its ring is
 * broken, nothing more is taken from it, and its sessions are torn when it dies.
 */
#include <config.h>

#include <stdio.h>

#include "../base/log.h"
#include "recorder.h"

#define TAKE_MAX (16u << 20)  /* bytes in one tick, of all rings; then the batch is written */
#define FEW 8                 /* frames */
#define MUCH (96u << 10)      /* bytes in one tick: there is no lack of work for any processor, and a tick is best done in one go */
#define BLOCK_FULL (1u << 20)
#define SESSIONS_MAX 200000u

static void
breaks(struct source *src, const uint8_t id[ID_LEN], const char *why)
{
	char text[ID_TEXT];
	log_error("worker %u: session %s: %s; nothing more is taken from it", src->worker, id_format(id, text), why);
	src->broken = true;
	ring_fail(src->ring, true);
}

static const char *
begin(struct recorder *r, struct source *src, const uint8_t id[ID_LEN], const struct frame *f)
{
	char text[ID_TEXT];
	if (f->type != FRAME_HEADER)
		return "a frame of a session that did not begin";
	if (!sp_bytes_is(frame_get(f, KEY_SESSION), id_format(id, text)))
		return "its header names another session";
	if (store_size(&r->store, id) >= 0)
		return "a session of that name was recorded before";
	if (r->nsessions >= SESSIONS_MAX)
		return "too many sessions";
	struct session *s = session_new(r, id);
	s->source = src;
	s->ring = source_ring(r, src);
	if (facts_header(s, f) != SP_OK) {
		session_free(r, s);
		return "its header is malformed";
	}
	session_frame(r, s, f);
	return NULL;
}

void
session_frame(struct recorder *r, struct session *s, const struct frame *f)
{
	session_touch(r, s);
	if (f->at > s->state.last_at)
		s->state.last_at = f->at;
	if (frame_is_stream(f->type)) {
		cut_stream(r, s, f);
	} else {
		cut_flush(s, f->type == FRAME_DONE ? operation_find(s, f->op) : NULL);
		if (f->type == FRAME_END || f->type == FRAME_TORN)
			cut_flush_all(s);
		facts_frame(r, s, f, session_next_number(s));
		frames_store(r, s, f);
	}
	if (f->type == FRAME_END || f->type == FRAME_TORN)
		s->ending = true;
	if (s->clear.bytes.len > BLOCK_FULL || s->sealed.bytes.len > BLOCK_FULL)
		session_close_blocks(r, s);
}

/* In the clear, and nothing of them left out. */
static bool
stay_together(const struct recorder *r, struct session *s, const struct frame *f, size_t n)
{
	size_t output = 0;
	for (size_t i = 0; i < n; i++)
		output += frame_is_stream(f[i].type) ? f[i].payload.len : 0;
	return n > 1 && !r->options.seals && cut_keeps(r, s, f, output);
}

/* Those of one record: stored as they came, when they may be. */
static void
session_frames(struct recorder *r, struct session *s, const struct frame *f, size_t n, struct sp_bytes whole)
{
	if (!stay_together(r, s, f, n)) {
		for (size_t i = 0; i < n; i++)
			session_frame(r, s, &f[i]);
		return;
	}
	session_touch(r, s);
	if (f->at > s->state.last_at)
		s->state.last_at = f->at;
	const uint32_t first = session_next_number(s);
	frames_store_whole(s, whole, (uint32_t)n); /* before anything that one of them leads to, a cut of an operation that makes room */
	for (size_t i = 0; i < n; i++)
		if (frame_is_stream(f[i].type))
			cut_count(r, s, &f[i]);
		else
			facts_frame(r, s, &f[i], first + (uint32_t)i);
	if (s->clear.bytes.len > BLOCK_FULL)
		session_close_blocks(r, s);
}

void
session_tear(struct recorder *r, struct session *s, const char *why)
{
	uint8_t bytes[256];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	frame_field(&w, KEY_WHY, sp_str(why));
	const struct frame f = { .type = FRAME_TORN, .at = s->state.last_at, .payload = sp_written(&w) };
	s->state.state = SESSION_TORN;
	session_frame(r, s, &f);
}

/* All of a record; 0: malformed. */
static size_t
read_frames(struct sp_bytes bytes, struct frame f_r[TOGETHER_MOST])
{
	struct frames_walk w = { .in = sp_reader(bytes) };
	size_t n = 0;
	do {
		if (n == TOGETHER_MOST || frames_next(&w, &f_r[n]) != 1 || frame_note(&f_r[n]) != SP_OK)
			return 0;
		n++;
	} while (w.in.left > 0 || w.together.left > 0);
	return n;
}

static const char *
accept_record(struct recorder *r, struct source *src, const uint8_t id[ID_LEN], struct sp_bytes bytes, size_t *n_r)
{
	struct frame f[TOGETHER_MOST];
	const size_t n = *n_r = read_frames(bytes, f);
	if (n == 0)
		return "a malformed frame";
	if (n == 1)
		f->whole = f->payload.len == bytes.len - FRAME_HEAD ? bytes : (struct sp_bytes){ NULL, 0 };
	if (f->flags != 0 || f->type == FRAME_TORN || f->type == FRAME_CUT)
		return "a frame that only the recorder writes";
	struct session *s = session_find(r, id);
	if (s == NULL)
		return begin(r, src, id, f);
	if (s->source == NULL && s->ring == source_ring(r, src))
		s->source = src; /* we were started anew, it is back */
	if (s->source != src)
		return "a frame of another worker's session";
	if (s->ending || s->state.state != SESSION_LIVE)
		return "a frame after the session's end";
	if (f->type == FRAME_HEADER)
		return "a second header";
	session_frames(r, s, f, n, bytes);
	return NULL;
}

/* Up to `most` bytes. */
static void
take_source(struct recorder *r, struct source *src, uint64_t most)
{
	const uint64_t start = ring_taken_position(src->ring);
	size_t frames = 0;
	while (!src->broken && ring_taken_position(src->ring) - start < most && r->audit.pending.len < LINES_MAX) {
		uint8_t id[ID_LEN] = { 0 };
		struct sp_bytes bytes;
		size_t n = 0;
		int rc = ring_take(src->ring, id, &bytes);
		if (rc == 0)
			break;
		const char *why = rc < 0 ? "what its ring says cannot be" : accept_record(r, src, id, bytes, &n);
		if (why != NULL)
			breaks(src, id, why);
		frames += n;
		if (frames >= FEW) {
			recorder_step_aside(r);
			frames = 0;
		}
	}
}

static void
tear_all_of(struct recorder *r, const struct source *src)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next)
			if (s->source == src || (s->source == NULL && s->ring == source_ring(r, src))) {
				if (!s->ending && s->state.state == SESSION_LIVE)
					session_tear(r, s, "its worker died");
				s->source = NULL;
			}
}

void
take_all(struct recorder *r)
{
	unsigned n = 0;
	uint64_t waiting = 0;
	for (struct source *src = r->sources; src != NULL; src = src->next, n++)
		waiting += src->broken ? 0 : ring_waiting(src->ring);
	if (waiting > MUCH)
		r->polite = 0;
	for (struct source *src = r->sources; src != NULL; src = src->next) {
		take_source(r, src, TAKE_MAX / n);
		if (src->gone && (src->broken || ring_waiting(src->ring) == 0))
			tear_all_of(r, src);
	}
}
