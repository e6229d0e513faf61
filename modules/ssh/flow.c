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

#include "scp.h"
#include "typed.h"

#define HOLD_COMMAND 10 /* times `hold` for what nobody types into, but may speak with */

static bool
empty(const struct pending *p)
{
	return p->at == p->len;
}

static void
taken(struct pending *p, size_t n)
{
	p->at += n;
	if (empty(p)) { /* an idle channel owns no buffer */
		free(p->p);
		*p = (struct pending){ .p = NULL };
	}
}

static int
make_room(struct pending *p, size_t more)
{
	if (p->cap - p->len >= more)
		return SP_OK;
	size_t cap = p->cap == 0 ? more : p->cap;
	while (cap - p->len < more)
		cap *= 2;
	uint8_t *to = realloc(p->p, cap);
	if (to == NULL)
		return SP_ENOMEM;
	p->p = to;
	p->cap = cap;
	return SP_OK;
}

static int
keep(struct pending *p, struct sp_bytes b)
{
	if (b.len == 0)
		return SP_OK;
	if (make_room(p, b.len) != SP_OK)
		return SP_ENOMEM;
	memcpy(p->p + p->len, b.p, b.len);
	p->len += b.len;
	return SP_OK;
}

/*
 * Whatever is read, libssh opens the peer's window again to 1.28 MB, however much else of the peer's it
 * still has.  Piece by piece a slow reader's channel would hold ever more; so all of it is taken at once,
 * and nothing more before that has gone on: a channel never holds more than two windows.
 */
int
flow_gulp(struct channel *c, enum sp_side side, bool errors, struct pending *into, size_t *n_r)
{
	int n = ssh_channel_poll(c->leg[side], errors);
	*n_r = 0;
	if (n <= 0)
		return SP_OK;
	if ((size_t)n > BUFFERED)
		return ssh_fail(c->s, SP_ETOOBIG, "the %s sends more than its window allows", side == SP_CLIENT ? "client" : "target");
	if (into->at > 0) {
		memmove(into->p, into->p + into->at, into->len - into->at);
		into->len -= into->at;
		into->at = 0;
	}
	if (make_room(into, (size_t)n) != SP_OK)
		return SP_ENOMEM;
	n = ssh_channel_read_nonblocking(c->leg[side], into->p + into->len, (uint32_t)n, errors);
	*n_r = n > 0 ? (size_t)n : 0;
	into->len += *n_r;
	return SP_OK;
}

int
flow_write(struct channel *c, enum sp_side side, bool errors, struct sp_bytes b, size_t *n_r)
{
	struct ssh *h = sp_state(c->s);
	int n = errors ? ssh_channel_write_stderr(c->leg[side], b.p, (uint32_t)b.len) : ssh_channel_write(c->leg[side], b.p, (uint32_t)b.len);
	/* a channel that its peer has closed already: what is still for it goes nowhere, the session lives on */
	bool closed = n < 0 && ssh_is_connected(h->leg[side].ssh);
	*n_r = closed ? b.len : n < 0 ? 0 : (size_t)n;
	if (closed)
		return SP_OK;
	if (n < 0)
		return ssh_fail(c->s, SP_EIO, "the %s's channel broke off", side == SP_CLIENT ? "client" : "target");
	h->leg[side].unsent += *n_r;
	return SP_OK;
}

static int
grow(struct sp_writer *w, size_t more)
{
	struct pending p = { .p = w->p, .len = w->len, .cap = w->cap };
	int rc = make_room(&p, more < CHUNK ? CHUNK : more);
	w->p = p.p;
	w->cap = p.cap;
	return rc;
}

/* ---- what is typed in a terminal ---- */

static int
note_keys(struct channel *c, struct sp_bytes keys)
{
	if (!c->pty || c->lines != NULL || c->purpose == FOR_FORWARD)
		return SP_OK;
	if (c->typed == NULL)
		c->typed = calloc(1, sizeof(*c->typed));
	if (c->typed == NULL)
		return SP_ENOMEM;
	typed_keys(c->typed, keys);
	return SP_OK;
}

/* The lines that Enter ended, as the screen shows them: what is not echoed is in none. */
static int
record_typed(struct channel *c, struct sp_bytes shown)
{
	static const char mark[] = "typed, as the screen shows it: ";
	uint8_t space[4 * TYPED_CELLS + sizeof(mark)];
	struct sp_writer lines = sp_writer(space, sizeof(space));
	if (c->typed == NULL)
		return SP_OK;
	sp_wr_put(&lines, sp_str(mark));
	typed_screen(c->typed, shown, c->columns, &lines);
	return lines.len < sizeof(mark) ? SP_OK : sp_record(c->s, c->op, SP_REC_INPUT, (struct sp_bytes){ space, lines.len });
}

/* ---- to the target ---- */

/* As it is; or what is uploaded, as detectors leave it. */
static int
record_input(struct channel *c, struct sp_bytes in, bool last)
{
	if (c->unrecorded == NULL)
		return in.len == 0 ? SP_OK : sp_record(c->s, c->op, SP_REC_INPUT, in);
	struct sp_writer w = { .p = NULL, .grow = grow };
	int rc = sp_filter_feed(c->unrecorded, in, last, &w);
	if (rc == SP_OK && w.len > 0)
		rc = sp_record(c->s, c->op, SP_REC_INPUT, sp_written(&w));
	free(w.p);
	return rc;
}

static int
to_target(struct channel *c, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	struct pending *in = &c->come[2];
	if (!lines_feeds(c)) {
		if (!c->eof_sent[SP_TARGET])
			(void)ssh_channel_send_eof(c->leg[SP_TARGET]);
		*moved_r = *moved_r || !c->eof_sent[SP_TARGET];
		c->eof_sent[SP_TARGET] = true;
		return SP_OK;
	}
	for (;;) {
		size_t room = sp_full(c->s, SP_TARGET) ? 0 : leg_room(h, SP_TARGET, c->leg[SP_TARGET]), n = 0;
		int rc = room == 0 || !empty(in) ? SP_OK : flow_gulp(c, SP_CLIENT, false, in, &n);
		n = in->len - in->at < room ? in->len - in->at : room;
		if (rc != SP_OK || n == 0)
			break;
		/* what is typed is recorded as the terminal echoes it: a password is not (RC6) */
		if (!c->pty && c->purpose != FOR_FORWARD && n > c->noted)
			rc = record_input(c, (struct sp_bytes){ in->p + in->at + c->noted, n - c->noted }, false);
		c->noted = n > c->noted ? n : c->noted;
		size_t written = 0;
		if (rc == SP_OK)
			rc = flow_write(c, SP_TARGET, false, (struct sp_bytes){ in->p + in->at, n }, &written);
		if (rc != SP_OK || written == 0)
			return rc;
		*moved_r = true;
		rc = note_keys(c, (struct sp_bytes){ in->p + in->at, written });
		if (rc != SP_OK)
			return rc;
		c->bytes[SP_TARGET] += written;
		c->noted -= written;
		taken(in, written);
	}
	if (!c->eof_sent[SP_TARGET] && empty(in) && ssh_channel_is_eof(c->leg[SP_CLIENT])) {
		int rc = record_input(c, (struct sp_bytes){ NULL, 0 }, true);
		if (rc != SP_OK)
			return rc;
		(void)ssh_channel_send_eof(c->leg[SP_TARGET]);
		c->eof_sent[SP_TARGET] = true;
		*moved_r = true;
	}
	return SP_OK;
}

/* ---- to the client ---- */

/* Nothing looks at it: recorded, and on, without being kept but for what did not fit. */
static int
pass(struct channel *c, unsigned stream, struct sp_bytes in, size_t *n_r)
{
	struct pending *p = &c->pending[stream];
	size_t room = leg_room(sp_state(c->s), SP_CLIENT, c->leg[SP_CLIENT]), written = 0;
	in.len = *n_r = in.len < room ? in.len : room;
	if (in.len == 0)
		return SP_OK;
	int rc = c->purpose == FOR_FORWARD ? SP_OK : sp_record(c->s, c->op, SP_REC_OUTPUT, in);
	if (rc == SP_OK && c->purpose != FOR_FORWARD)
		rc = record_typed(c, in);
	if (rc == SP_OK)
		rc = flow_write(c, SP_CLIENT, stream == 1, in, &written);
	c->bytes[SP_CLIENT] += in.len;
	return rc == SP_OK ? keep(p, (struct sp_bytes){ in.p + written, in.len - written }) : rc;
}

/* What a stream's filter lets out now: recorded, and waiting for the client. */
static int
filter(struct channel *c, unsigned stream, struct sp_bytes in, bool last)
{
	struct pending *p = &c->pending[stream];
	struct sp_writer w = { .p = p->p, .cap = p->cap, .grow = grow };
	int rc = SP_OK;
	if (lines_keep(c, stream, in))
		return in.len == 0 ? SP_OK : sp_record(c->s, c->op, SP_REC_OUTPUT, in);
	if (c->filter[stream] == NULL)
		sp_wr_put(&w, in);
	else if (stream == 0 && c->scp != NULL)
		rc = scp_feed(c->scp, c->filter[stream], in, last, &w);
	else
		rc = sp_filter_feed(c->filter[stream], in, last, &w);
	*p = (struct pending){ .p = w.p, .len = w.bad ? 0 : w.len, .cap = w.cap };
	if (rc == SP_EPROTO)
		return ssh_fail(c->s, rc, "what the target sends is no scp, and can't be looked through");
	if (rc != SP_OK || w.bad)
		return rc != SP_OK ? rc : SP_ENOMEM;
	const struct ssh_conf *conf = sp_conf(c->s);
	bool holds = c->filter[stream] != NULL && (stream == 1 || c->scp == NULL) && sp_filter_holds(c->filter[stream]);
	if (!holds || p->len > 0 || c->hold_until[stream] == 0)
		c->hold_until[stream] = holds ? ssh_now() + conf->hold * (c->pty ? 1 : HOLD_COMMAND) + 1 : 0;
	c->bytes[SP_CLIENT] += p->len;
	if (p->len == 0 || c->purpose == FOR_FORWARD)
		return SP_OK;
	rc = sp_record(c->s, c->op, SP_REC_OUTPUT, (struct sp_bytes){ p->p, p->len });
	return rc == SP_OK ? record_typed(c, (struct sp_bytes){ p->p, p->len }) : rc;
}

int
flow_send(struct channel *c, unsigned stream, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	struct pending *p = &c->pending[stream];
	while (p->at < p->len) {
		size_t room = sp_full(c->s, SP_CLIENT) ? 0 : leg_room(h, SP_CLIENT, c->leg[SP_CLIENT]), n = p->len - p->at;
		n = n < room ? n : room;
		if (n == 0)
			return SP_OK;
		int rc = flow_write(c, SP_CLIENT, stream == 1 && lines_has_errors(c), (struct sp_bytes){ p->p + p->at, n }, &n);
		if (rc != SP_OK || n == 0)
			return rc;
		taken(p, n);
		*moved_r = true;
	}
	taken(p, 0);
	return SP_OK;
}

/* Both streams have one window: they are taken together. */
static int
gulp_both(struct channel *c)
{
	int rc = SP_OK;
	size_t n;
	if (!empty(&c->come[0]) || !empty(&c->come[1]) || sp_full(c->s, SP_CLIENT))
		return SP_OK;
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		rc = flow_gulp(c, SP_TARGET, i == 1, &c->come[i], &n);
	return rc;
}

static int
from_target(struct channel *c, unsigned stream, bool *moved_r)
{
	struct pending *in = &c->come[stream];
	int rc = flow_send(c, stream, moved_r);
	while (rc == SP_OK && empty(&c->pending[stream]) && !sp_full(c->s, SP_CLIENT)) {
		rc = gulp_both(c);
		size_t n = in->len - in->at < CHUNK ? in->len - in->at : CHUNK;
		if (rc != SP_OK || n == 0)
			break;
		bool plain = c->filter[stream] == NULL && c->lines == NULL;
		struct sp_bytes piece = { in->p + in->at, n };
		rc = plain ? pass(c, stream, piece, &n) : filter(c, stream, piece, false);
		*moved_r = *moved_r || n > 0;
		if (rc == SP_OK && n == 0)
			break;
		if (rc == SP_OK)
			taken(in, n);
		if (rc == SP_OK)
			rc = flow_send(c, stream, moved_r);
	}
	return rc;
}

/* A command whose input has ended waits for no answer to what it said: what a detector holds of it may stay until it is clear. */
static bool
has_time(const struct channel *c)
{
	const struct ssh *h = sp_state(c->s);
	return !c->pty && c->eof_sent[SP_TARGET] && !h->leg[SP_TARGET].gone;
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
	if (!empty(&c->pending[stream]) || has_time(c))
		return SP_OK;
	if (ssh_now() < c->hold_until[stream]) {
		if (h->wake_at == 0 || c->hold_until[stream] < h->wake_at)
			h->wake_at = c->hold_until[stream];
		return SP_OK;
	}
	c->hold_until[stream] = 0;
	*moved_r = true;
	int rc = filter(c, stream, (struct sp_bytes){ NULL, 0 }, true);
	return rc == SP_OK ? flow_send(c, stream, moved_r) : rc;
}

static bool
all_sent(const struct channel *c)
{
	for (unsigned i = 0; i < 2; i++)
		if (!empty(&c->pending[i]) || !empty(&c->come[i]) || ssh_channel_poll(c->leg[SP_TARGET], i == 1) > 0)
			return false;
	return true;
}

bool
flow_has_output(const struct channel *c)
{
	return !all_sent(c) || c->hold_until[0] != 0 || c->hold_until[1] != 0;
}

bool
flow_has_input(const struct channel *c)
{
	return c->purpose == FOR_FORWARD && !ssh_channel_is_closed(c->leg[SP_TARGET]) &&
	    (!empty(&c->come[2]) || ssh_channel_poll(c->leg[SP_CLIENT], 0) > 0);
}

/* Both streams are read to their end: what the filters held is let out, then the client hears of it. */
static int
at_end(struct channel *c, bool *moved_r)
{
	int rc = SP_OK;
	if (!ssh_channel_is_eof(c->leg[SP_TARGET]) && !ssh_channel_is_closed(c->leg[SP_TARGET]))
		return SP_OK;
	if (!all_sent(c))
		return SP_OK;
	for (unsigned i = 0; i < 2 && rc == SP_OK && !c->flushed; i++) {
		rc = filter(c, i, (struct sp_bytes){ NULL, 0 }, true);
		if (rc == SP_OK)
			rc = flow_send(c, i, moved_r);
	}
	c->flushed = true;
	if (rc != SP_OK || !all_sent(c) || c->eof_sent[SP_CLIENT])
		return rc;
	if (c->lines == NULL)
		(void)ssh_channel_send_eof(c->leg[SP_CLIENT]);
	c->eof_sent[SP_CLIENT] = true;
	*moved_r = true;
	return SP_OK;
}

int
flow_show(struct channel *c, const struct sp_op *op, struct sp_bytes b)
{
	int rc = keep(&c->pending[0], b);
	c->bytes[SP_CLIENT] += rc == SP_OK ? b.len : 0;
	return rc == SP_OK ? sp_record(c->s, op, SP_REC_OUTPUT, b) : rc;
}

bool
flow_shown(const struct channel *c)
{
	return empty(&c->pending[0]) && empty(&c->pending[1]);
}

void
flow_forget(struct pending *p)
{
	taken(p, 0);
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
