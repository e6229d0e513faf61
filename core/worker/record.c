/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h. */
#include "record.h"

#include <config.h>

#include <stdio.h>
#include <unistd.h>

#include "../base/clock.h"
#include "epoch_use.h"
#include "operation.h"
#include "session.h"

#define OVERFLOW_MAX (60u << 20) /* what a buffer has above is for the ends of sessions */
#define SPANS_MAX (64u << 20)    /* memory for the places of hidden values of one text */
#define BEHIND_SPACE (1u << 20)  /* less room than this in the ring, or than a quarter of it: do not read more */
#define GROUP_WITHIN_MS 20       /* P1: how old an unsynced frame may be before forwarding waits */

/* ---- frames ---- */

/* All of it or nothing: where there is no room for it either, or would be none in an empty ring, its session ends (P8). */
static void
overflow_put(struct sp_session *s, const struct frame *f, const struct sp_bytes more[2])
{
	struct buffer *to = &s->w->overflow;
	const size_t len = ID_LEN + 4 + FRAME_HEAD + more[0].len + more[1].len;
	bool fits = more[0].len + more[1].len <= ring_longest(s->w->ring) && (f->type == FRAME_END || to->len + len <= OVERFLOW_MAX);
	uint8_t *room = fits ? buffer_room(to, len) : NULL;
	struct sp_writer w = sp_writer(room, room == NULL ? 0 : len);
	if (room == NULL) {
		s->unrecorded = true;
		return;
	}
	sp_wr_put(&w, (struct sp_bytes){ s->id, ID_LEN });
	sp_wr_be32(&w, (uint32_t)(more[0].len + more[1].len));
	sp_wr_u8(&w, (uint8_t)f->type);
	sp_wr_be16(&w, f->channel);
	sp_wr_be32(&w, f->op);
	sp_wr_be64(&w, f->at);
	sp_wr_put(&w, more[0]);
	sp_wr_put(&w, more[1]);
	buffer_added(to, w.len);
}

/* Puts waiting frames into the ring, oldest first, as far as there is room. */
static void
overflow_drain(struct worker *w)
{
	while (w->overflow.len > 0) {
		struct sp_reader r = sp_reader(buffer_bytes(&w->overflow));
		struct sp_bytes id = sp_rd_take(&r, ID_LEN);
		uint32_t len = sp_rd_be32(&r);
		struct frame f = { .type = sp_rd_u8(&r) };
		f.channel = sp_rd_be16(&r);
		f.op = sp_rd_be32(&r);
		f.at = sp_rd_be64(&r);
		struct sp_bytes body = sp_rd_take(&r, len);
		if (r.bad || ring_put(w->ring, id.p, &f, &body, 1) == 0)
			return;
		buffer_drop(&w->overflow, w->overflow.len - r.left);
	}
}

void
record_frame(struct sp_session *s, enum frame_type type, uint16_t channel, uint32_t op, struct sp_bytes head, struct sp_bytes body)
{
	struct worker *w = s->w;
	struct frame f = { .type = type, .channel = channel, .op = op, .at = s->w->now_us - s->started_mono };
	struct sp_bytes more[2] = { head, body };
	if (s->purpose[0] != '\0' || (s->unrecorded && type != FRAME_END))
		return;
	uint64_t at = w->overflow.len > 0 ? 0 : ring_put(w->ring, s->id, &f, more, 2);
	if (at == 0)
		overflow_put(s, &f, more);
	else
		s->recorded = at;
}

void
record_publish(struct worker *w)
{
	if (w->ring == NULL)
		return;
	uint64_t before = ring_position(w->ring);
	if (ring_publish(w->ring)) {
		uint64_t one = 1;
		if (write(w->recorder_bell, &one, sizeof(one)) < 0)
			log_debug("the recorder's doorbell is full");
	}
	if (w->unsynced_position <= ring_synced(w->ring) && ring_position(w->ring) != before) {
		w->unsynced_position = ring_position(w->ring);
		w->unsynced_at = w->now;
	}
}

/* ---- is it safe yet ---- */

bool
record_failed(struct worker *w)
{
	return w->ring == NULL || ring_failed(w->ring);
}

bool
record_durable(struct worker *w, uint64_t position)
{
	if (w->overflow.len > 0)
		return false;
	if (position == 0 || ring_synced(w->ring) >= position)
		return true;
	ring_want_wake(w->ring);
	return ring_synced(w->ring) >= position;
}

uint64_t
record_gate(struct worker *w)
{
	unsigned sync = w->epoch->epoch->settings.record.sync;
	if (sync == SYNC_WRITE)
		return 0;
	if (sync == SYNC_ALWAYS)
		return w->overflow.len > 0 ? UINT64_MAX : w->running->recorded;
	/* group: wait only when the disk is late with something older than it promised */
	if (w->unsynced_position > ring_synced(w->ring) && w->now - w->unsynced_at > GROUP_WITHIN_MS)
		return w->unsynced_position;
	return 0;
}

static bool
ring_is_short(const struct worker *w)
{
	size_t quarter = ring_size(w->ring) / 4;
	return ring_space(w->ring) < (quarter < BEHIND_SPACE ? quarter : BEHIND_SPACE);
}

bool
record_behind(struct worker *w)
{
	if (w->overflow.len == 0 && (w->ring == NULL || !ring_is_short(w)))
		return false;
	if (w->ring != NULL)
		ring_want_wake(w->ring);
	return w->overflow.len > 0 || ring_is_short(w);
}

static bool
session_waits(struct sp_session *s)
{
	struct stream *t = &s->side[SP_TARGET];
	if (t->gate == UINT64_MAX && s->state < SESSION_ENDING && s->w->overflow.len == 0)
		t->gate = ring_position(s->w->ring);
	if (record_durable(s->w, t->gate))
		t->gate = 0;
	return t->gate != 0 || s->w->overflow.len > 0;
}

static void
record_stop_all(struct worker *w, const char *text)
{
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		if (s->purpose[0] == '\0' && s->state >= SESSION_DIALING && s->state < SESSION_ENDING)
			session_finish(s, SP_END_RECORDER, text);
	}
}

/* A session whose output waits for the disk: on with it, or enough of it. */
static void
session_record_progress(struct sp_session *s, uint64_t limit)
{
	bool waited = s->side[SP_TARGET].gate != 0 || s->w->overflow.len > 0;
	if (s->unrecorded && s->state < SESSION_ENDING) {
		session_finish(s, SP_END_RECORDER, "the session can no longer be recorded: too much waits to be written; ask for less at once");
		return;
	}
	/* a gate that is open holds nobody up, also when nothing has come to it yet */
	if (!session_waits(s))
		s->stalled_since = 0;
	else if (s->stalled_since == 0)
		s->stalled_since = s->w->now;
	if (!waited)
		return;
	if (s->state < SESSION_ENDING && s->purpose[0] == '\0' && s->stalled_since != 0 &&
	    s->w->now - s->stalled_since > limit) {
		session_finish(s, SP_END_RECORDER, "the session can no longer be recorded: the disk is too slow");
		return;
	}
	session_output(&s->side[SP_TARGET]);
	if (s->state != SESSION_CLOSED)
		session_output(&s->side[SP_CLIENT]);
}

void
record_progress(struct worker *w)
{
	if (w->ring == NULL)
		return;
	overflow_drain(w);
	record_publish(w);
	if (w->unsynced_position <= ring_synced(w->ring) && ring_position(w->ring) > ring_synced(w->ring)) {
		w->unsynced_position = ring_position(w->ring);
		w->unsynced_at = w->now;
	}
	if (record_failed(w))
		record_stop_all(w, "the session can no longer be recorded: the recorder cannot write");
	(void)record_behind(w);
	uint64_t limit = w->epoch == NULL ? 1000 : w->epoch->epoch->settings.record.sync_wait;
	if (w->now < w->recorder_changes)
		limit = UINT64_MAX; /* nothing is passed on meanwhile; and how long that may take is known */
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		if (s->state == SESSION_CLOSED)
			continue;
		session_record_progress(s, limit);
		if (s->state < SESSION_ENDING) {
			stream_arm(&s->side[SP_CLIENT]);
			stream_arm(&s->side[SP_TARGET]);
		}
	}
}

/* ---- first and last frame ---- */

static struct sp_bytes
session_policy_hash(const struct sp_session *s)
{
	struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	return (struct sp_bytes){ t == NULL ? NULL : policy_hash(t->policy), t == NULL ? 0 : DIGEST_LEN };
}

void
record_header(struct sp_session *s)
{
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	frame_field(&w, KEY_SESSION, sp_str(s->name));
	frame_field(&w, KEY_PRINCIPAL, sp_str(s->principal_json));
	frame_field(&w, KEY_TARGET, sp_str(s->target_name));
	frame_field(&w, KEY_PART, sp_str(s->part));
	frame_field(&w, KEY_MODULE, sp_str(s->module->name));
	frame_field(&w, KEY_PROTOCOL, sp_str(s->target->protocol));
	frame_field(&w, KEY_VERSION, SP_LIT(PACKAGE_VERSION));
	frame_field(&w, KEY_POLICY_HASH, session_policy_hash(s));
	frame_field(&w, KEY_ADDRESS, sp_str(s->address));
	frame_field(&w, KEY_LOGIN, sp_str(s->login));
	frame_field_u64(&w, KEY_STARTED, s->started);
	if (buffer_written(&b, &w) == SP_OK)
		record_frame(s, FRAME_HEADER, 0, 0, buffer_bytes(&b), (struct sp_bytes){ NULL, 0 });
	buffer_free(&b);
	s->header_written = true;
}

void
record_end(struct sp_session *s)
{
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	static const char *const why[] = { "eof", "shutdown", "revoked", "expired", "idle", "rule", "recorder", "error" };
	const char *text = s->end_text == NULL ? "" : s->end_text;
	frame_field(&w, KEY_WHY, sp_str(why[s->why]));
	frame_field(&w, KEY_MESSAGE, (struct sp_bytes){ (const uint8_t *)text, strnlen(text, 400) });
	frame_field_u64(&w, KEY_ROWS, s->rows);
	frame_field_u64(&w, KEY_BYTES, s->bytes);
	record_frame(s, FRAME_END, 0, 0, sp_written(&w), (struct sp_bytes){ NULL, 0 });
}

/* ---- hiding values ---- */

int
record_hidden(struct worker *w, struct sp_bytes value, struct buffer *out)
{
	uint8_t mac[DIGEST_LEN];
	char hex[2 * 8 + 1];
	if (!w->have_redact_key)
		return buffer_printf(out, "{hidden:%zu}", value.len);
	digest_hmac((struct sp_bytes){ w->redact_key, sizeof(w->redact_key) }, value, mac);
	text_hex((struct sp_bytes){ mac, 8 }, hex);
	return buffer_printf(out, "{%s:%zu}", hex, value.len);
}

int
record_redact(struct worker *w, const struct policy *p, const struct shape *shape, struct buffer *out)
{
	struct arena *a = arena_new(SPANS_MAX);
	const struct hiding *h = hiding_new(p, shape, a);
	struct sp_bytes shown, hidden;
	size_t i = 0;
	int rc = h == NULL ? record_hidden(w, shape->text, out) : SP_OK;
	for (size_t at = 0; h != NULL && rc == SP_OK; at = (size_t)(hidden.p - shape->text.p) + hidden.len) {
		bool more = hiding_next(h, &i, at, &shown, &hidden);
		rc = buffer_put(out, shown);
		if (rc != SP_OK || !more)
			break;
		rc = record_hidden(w, hidden, out);
	}
	arena_free(&a);
	return rc;
}
