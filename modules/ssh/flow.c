/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of an open channel: recorded, then on.
 *
 *   client ─ stdin ─▶ recorded ─▶ target
 *   client ◀─ pending ◀─ recorded ◀─ filter ◀─ stdout, stderr ─ target
 *
 * A side is read only when the other may take it, so that what waits stays in the peers' windows.
 */
#include "ssh.h"

#include <stdlib.h>

#define HOLD_COMMAND 10 /* times `hold` for what nobody types into */

static uint8_t chunk[CHUNK]; /* one thread, one channel at a time */

/* 0: nothing there.  A peer that sends beyond its window is not waited for. */
static int
available(struct channel *c, enum sp_side side, bool errors, size_t *n_r)
{
	int n = ssh_channel_poll(c->leg[side], errors);
	*n_r = n > 0 ? (size_t)n : 0;
	if (*n_r > BUFFERED)
		return ssh_fail(c->s, SP_ETOOBIG, "the %s sends more than its window allows", side == SP_CLIENT ? "client" : "target");
	return SP_OK;
}

static int
read_some(struct channel *c, enum sp_side side, bool errors, size_t room, size_t *n_r)
{
	int rc = available(c, side, errors, n_r);
	if (rc != SP_OK || *n_r == 0)
		return rc;
	int n = ssh_channel_read_nonblocking(c->leg[side], chunk, (uint32_t)(*n_r < room ? *n_r : room), errors);
	*n_r = n > 0 ? (size_t)n : 0;
	return SP_OK;
}

static int
write_some(struct channel *c, enum sp_side side, bool errors, struct sp_bytes b)
{
	struct ssh *h = sp_state(c->s);
	int n = errors ? ssh_channel_write_stderr(c->leg[side], b.p, (uint32_t)b.len) : ssh_channel_write(c->leg[side], b.p, (uint32_t)b.len);
	if (n < 0 || (size_t)n != b.len) /* it was asked what fits */
		return ssh_fail(c->s, SP_EIO, "the %s's channel broke off", side == SP_CLIENT ? "client" : "target");
	h->leg[side].unsent += b.len;
	return SP_OK;
}

/* ---- to the target ---- */

static int
to_target(struct channel *c, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	for (;;) {
		size_t room = sp_full(c->s, SP_TARGET) ? 0 : leg_room(h, SP_TARGET, c->leg[SP_TARGET]), n = 0;
		int rc = room == 0 ? SP_OK : read_some(c, SP_CLIENT, false, room, &n);
		if (rc != SP_OK || n == 0)
			break;
		struct sp_bytes b = { chunk, n };
		*moved_r = true;
		c->bytes[SP_TARGET] += n;
		/* what is typed is recorded as the terminal echoes it: a password is not (RC6) */
		if (!c->pty)
			rc = sp_record(c->s, c->op, SP_REC_INPUT, b);
		if (rc == SP_OK)
			rc = write_some(c, SP_TARGET, false, b);
		if (rc != SP_OK)
			return rc;
	}
	if (!c->eof_sent[SP_TARGET] && ssh_channel_is_eof(c->leg[SP_CLIENT])) {
		(void)ssh_channel_send_eof(c->leg[SP_TARGET]);
		c->eof_sent[SP_TARGET] = true;
		*moved_r = true;
	}
	return SP_OK;
}

/* ---- to the client ---- */

static int
grow(struct sp_writer *w, size_t more)
{
	size_t cap = w->cap == 0 ? CHUNK : w->cap;
	while (cap - w->len < more)
		cap *= 2;
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL)
		return SP_ENOMEM;
	w->p = p;
	w->cap = cap;
	return SP_OK;
}

/* What a stream's filter lets out now: recorded, and waiting for the client. */
static int
filter(struct channel *c, unsigned stream, struct sp_bytes in, bool last)
{
	struct pending *p = &c->pending[stream];
	struct sp_writer w = { .p = p->p, .cap = p->cap, .grow = grow };
	int rc = SP_OK;
	if (c->filter[stream] == NULL)
		sp_wr_put(&w, in);
	else
		rc = sp_filter_feed(c->filter[stream], in, last, &w);
	*p = (struct pending){ .p = w.p, .len = w.bad ? 0 : w.len, .cap = w.cap };
	if (rc != SP_OK || w.bad)
		return rc != SP_OK ? rc : SP_ENOMEM;
	const struct ssh_conf *conf = sp_conf(c->s);
	bool holds = c->filter[stream] != NULL && sp_filter_holds(c->filter[stream]);
	if (!holds || p->len > 0 || c->hold_until[stream] == 0)
		c->hold_until[stream] = holds ? ssh_now() + conf->hold * (c->pty ? 1 : HOLD_COMMAND) + 1 : 0;
	c->bytes[SP_CLIENT] += p->len;
	return p->len == 0 ? SP_OK : sp_record(c->s, c->op, SP_REC_OUTPUT, (struct sp_bytes){ p->p, p->len });
}

static int
send_pending(struct channel *c, unsigned stream, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	struct pending *p = &c->pending[stream];
	while (p->at < p->len) {
		size_t room = sp_full(c->s, SP_CLIENT) ? 0 : leg_room(h, SP_CLIENT, c->leg[SP_CLIENT]), n = p->len - p->at;
		n = n < room ? n : room;
		if (n == 0)
			return SP_OK;
		int rc = write_some(c, SP_CLIENT, stream == 1, (struct sp_bytes){ p->p + p->at, n });
		if (rc != SP_OK)
			return rc;
		p->at += n;
		*moved_r = true;
	}
	if (p->cap > CHUNK || p->len > 0) {
		free(p->p); /* an idle channel owns no buffer */
		*p = (struct pending){ .p = NULL };
	}
	return SP_OK;
}

static int
from_target(struct channel *c, unsigned stream, bool *moved_r)
{
	int rc = send_pending(c, stream, moved_r);
	while (rc == SP_OK && c->pending[stream].at == c->pending[stream].len && !sp_full(c->s, SP_CLIENT)) {
		size_t n;
		rc = read_some(c, SP_TARGET, stream == 1, sizeof(chunk), &n);
		if (rc != SP_OK || n == 0)
			break;
		*moved_r = true;
		rc = filter(c, stream, (struct sp_bytes){ chunk, n }, false);
		if (rc == SP_OK)
			rc = send_pending(c, stream, moved_r);
	}
	return rc;
}

/*
 * A detector waits for what comes next; whoever is at the other end may wait for what the detector has (a
 * prompt, a protocol without ends of lines).  So it waits for so long only: a second net has its holes.
 */
static int
end_hold(struct channel *c, unsigned stream, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	if (c->hold_until[stream] == 0)
		return SP_OK;
	if (c->pending[stream].at < c->pending[stream].len)
		return SP_OK;
	if (ssh_now() < c->hold_until[stream]) {
		if (h->wake_at == 0 || c->hold_until[stream] < h->wake_at)
			h->wake_at = c->hold_until[stream];
		return SP_OK;
	}
	c->hold_until[stream] = 0;
	*moved_r = true;
	int rc = filter(c, stream, (struct sp_bytes){ NULL, 0 }, true);
	return rc == SP_OK ? send_pending(c, stream, moved_r) : rc;
}

/* Both streams are read to their end: what the filters held is let out, then the client hears of it. */
static int
at_end(struct channel *c, bool *moved_r)
{
	size_t left[2] = { 0, 0 };
	int rc = SP_OK;
	if (!ssh_channel_is_eof(c->leg[SP_TARGET]) && !ssh_channel_is_closed(c->leg[SP_TARGET]))
		return SP_OK;
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		rc = available(c, SP_TARGET, i == 1, &left[i]);
	if (rc != SP_OK || left[0] > 0 || left[1] > 0 || c->pending[0].at < c->pending[0].len || c->pending[1].at < c->pending[1].len)
		return rc;
	for (unsigned i = 0; i < 2 && rc == SP_OK && !c->flushed; i++) {
		rc = filter(c, i, (struct sp_bytes){ NULL, 0 }, true);
		if (rc == SP_OK)
			rc = send_pending(c, i, moved_r);
	}
	c->flushed = true;
	if (rc != SP_OK || c->pending[0].at < c->pending[0].len || c->pending[1].at < c->pending[1].len || c->eof_sent[SP_CLIENT])
		return rc;
	(void)ssh_channel_send_eof(c->leg[SP_CLIENT]);
	c->eof_sent[SP_CLIENT] = true;
	*moved_r = true;
	return SP_OK;
}

int
flow_step(struct channel *c, bool *moved_r)
{
	if (c->purpose == FOR_SFTP)
		return sftp_step(c, moved_r);
	int rc = to_target(c, moved_r);
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		rc = from_target(c, i, moved_r);
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		rc = end_hold(c, i, moved_r);
	return rc == SP_OK ? at_end(c, moved_r) : rc;
}
