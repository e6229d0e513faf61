/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. */
#include <config.h>

#include "stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../base/clock.h"
#include "budget.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "reads.h"
#include "record.h"
#include "sends.h"
#include "session.h"

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static ssize_t stream_push(void *owner, const struct iovec *iov, size_t n);

void
stream_init(struct stream *st, struct sp_session *s, enum sp_side side)
{
	st->s = s;
	st->side = side;
	st->fd = -1;
	st->want = 1;
	st->late.max = STREAM_LATE;
}

void
stream_open(struct stream *st, int fd)
{
	st->fd = fd;
	event_assign(&st->readable, st->s->w->base, fd, EV_READ | EV_PERSIST, on_readable, st);
	event_assign(&st->writable, st->s->w->base, fd, EV_WRITE | EV_PERSIST, on_writable, st);
	st->made = true;
}

void
stream_move(struct stream *to, struct stream *from)
{
	reads_settle(from->s->w->reads, from);
	event_del(&from->readable);
	event_del(&from->writable);
	stream_open(to, from->fd);
	to->tls = from->tls;
	if (to->tls != NULL && tls_ready(to->tls))
		tls_pushes(to->tls, stream_push, to);
	to->in = from->in;
	to->error = from->error;
	from->fd = -1;
	from->tls = NULL;
	from->in = (struct buffer){ .p = NULL };
	from->view = (struct sp_bytes){ NULL, 0 };
	from->made = from->reading = from->writing = false;
}

void
stream_close(struct stream *st)
{
	if (st->made) {
		event_del(&st->readable);
		event_del(&st->writable);
	}
	reads_forget(st->s->w->reads, st);
	if (st->sending)
		sends_go(st->s->w->sends);
	if (st->tls != NULL && !st->error)
		tls_bye(st->tls);
	tls_free(&st->tls);
	if (st->fd >= 0)
		close(st->fd);
	st->fd = -1;
	st->made = st->reading = st->writing = false;
	buffer_free(&st->in);
	buffer_free(&st->out);
	buffer_free(&st->late);
	st->view = (struct sp_bytes){ NULL, 0 };
	st->nsegments = 0;
	st->pending = 0;
}

/* Its handshake is under way. */
static bool
stream_shakes(const struct stream *st)
{
	return st->tls != NULL && !tls_ready(st->tls);
}

/* ---- input ---- */

void
stream_begin(struct stream *st)
{
	st->view = buffer_bytes(&st->in);
	st->base = st->view.p;
	st->view_in_scratch = false;
}

/* …on what was just read. */
static void
stream_look(struct stream *st, struct sp_bytes read)
{
	st->view = read;
	st->base = read.p;
	st->view_in_scratch = true;
}

long
stream_receive(struct stream *st, uint8_t *to, size_t room)
{
	ssize_t n = recv(st->fd, to, room, 0);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static long
stream_read(struct stream *st, uint8_t *to, size_t room)
{
	return st->tls != NULL ? tls_read(st->tls, to, room) : stream_receive(st, to, room);
}

/* Small leftovers move to the scratch so that one read completes them; large ones grow in place. */
static long
stream_fill(struct stream *st)
{
	struct worker *w = st->s->w;
	struct sp_bytes old = buffer_bytes(&st->in);
	if (old.len >= SCRATCH / 2) {
		size_t room = st->want > old.len ? st->want - old.len : STREAM_INPUT;
		if (room > SCRATCH)
			room = SCRATCH;
		uint8_t *to = buffer_room(&st->in, room);
		long n = to == NULL ? -2 : stream_read(st, to, room);
		if (n > 0)
			buffer_added(&st->in, (size_t)n);
		stream_begin(st);
		return n;
	}
	if (old.len > 0)
		memcpy(w->scratch, old.p, old.len);
	long n = stream_read(st, w->scratch + old.len, SCRATCH - old.len);
	if (n <= 0) {
		stream_begin(st);
		return n;
	}
	if (old.len > 0)
		buffer_free(&st->in);
	stream_look(st, (struct sp_bytes){ w->scratch, old.len + (size_t)n });
	return n;
}

void
stream_end(struct stream *st)
{
	if (!st->view_in_scratch)
		return;
	if (st->view.len > 0 && buffer_put(&st->in, st->view) != SP_OK)
		st->error = true;
	if (st->wipe)
		mem_wipe((void *)(uintptr_t)st->base, (size_t)(st->view.p - st->base) + st->view.len);
	st->view_in_scratch = false;
	stream_begin(st);
}

static int
stream_consume(struct stream *st, size_t n)
{
	if (n > st->view.len)
		return SP_EINTERNAL;
	st->view.p += n;
	st->view.len -= n;
	st->want = 1;
	if (!st->view_in_scratch) {
		if (st->wipe)
			mem_wipe(st->in.p + st->in.start, n);
		/* the bytes stay where they are until stream_flush(): segments may point at them */
		st->in.start += n;
		st->in.len -= n;
	}
	return SP_OK;
}

int
stream_drop(struct stream *st, size_t n)
{
	return stream_consume(st, n);
}

/* ---- output ---- */

static struct segment *
segments_of(const struct stream *st)
{
	return st->s->w->segment[st->side];
}

static const uint8_t *
segment_bytes(const struct stream *st, const struct segment *g)
{
	const struct stream *from = &st->s->side[SP_OTHER(st->side)];
	return g->where == SEGMENT_WRITER ? st->s->w->writer.p + g->offset : from->base + g->offset;
}

/* What they name ends with the turn. */
static void
segments_forget(struct stream *st)
{
	st->nsegments = 0;
	st->pending = 0;
}

/* Segments become a copy: what the socket did not take, or may not have yet. */
static void
segments_fold(struct stream *st)
{
	for (unsigned i = 0; i < st->nsegments && !st->error; i++) { /* nothing behind what is lost */
		const struct segment *g = &segments_of(st)[i];
		struct sp_bytes b = { segment_bytes(st, g), g->len };
		if (buffer_put(&st->out, b) != SP_OK)
			st->error = true;
	}
	segments_forget(st);
}

/*
 * What the writer holds for its stream becomes a segment.  For a session that is not the running one
 * it becomes a copy: the writer's memory ends with the running one's turn, and its own turn comes next.
 */
static void
writer_commit(struct worker *w)
{
	struct stream *st = w->writer_stream;
	w->writer_stream = NULL;
	if (st == NULL || w->writer.len == w->writer_start)
		return;
	if (w->writer.bad) { /* a message that did not fit: not even its header goes out */
		st->error = true;
		w->writer.len = w->writer_start;
		return;
	}
	struct sp_bytes made = { w->writer.p + w->writer_start, w->writer.len - w->writer_start };
	if (st->s == w->running) {
		segments_of(st)[st->nsegments++] = (struct segment){ SEGMENT_WRITER, w->writer_start, made.len };
		st->pending += made.len;
		return;
	}
	if (buffer_put(&st->out, made) != SP_OK)
		st->error = true;
	session_kick(st->s);
}

static void
stream_fold(struct stream *st)
{
	if (st->s->w->writer_stream == st)
		writer_commit(st->s->w);
	segments_fold(st);
}

static void
segment_room(struct stream *st)
{
	if (st->nsegments + 1 >= STREAM_SEGMENTS)
		stream_fold(st);
}

struct sp_writer *
stream_writer(struct stream *st)
{
	struct worker *w = st->s->w;
	if (w->writer_stream == st)
		return &w->writer;
	writer_commit(w);
	segment_room(st);
	w->writer_stream = st;
	w->writer_start = w->writer.len;
	return &w->writer;
}

void
stream_foreign(struct worker *w)
{
	if (w->writer_stream != NULL && w->writer_stream->s != w->running)
		writer_commit(w);
}

int
stream_pass(struct stream *from, struct stream *to, size_t n)
{
	struct worker *w = to->s->w;
	if (n > from->view.len || to->s != w->running)
		return SP_EINTERNAL;
	if (w->writer_stream != NULL)
		writer_commit(w);
	size_t offset = (size_t)(from->view.p - from->base);
	struct segment *last = to->nsegments > 0 ? &segments_of(to)[to->nsegments - 1] : NULL;
	if (last != NULL && last->where == SEGMENT_INPUT && last->offset + last->len == offset) {
		last->len += n;
	} else {
		segment_room(to);
		segments_of(to)[to->nsegments++] = (struct segment){ SEGMENT_INPUT, offset, n };
	}
	to->pending += n;
	from->passes = true;
	return stream_consume(from, n);
}

static enum board_time
time_of(const struct stream *st)
{
	return st->side == SP_TARGET ? BOARD_FORWARD : BOARD_ANSWER;
}

/* Output that nothing waits before: from when its bytes came until the socket was first offered them, whatever it took. */
static void
stream_sample(struct stream *st)
{
	const struct sp_session *s = st->s;
	if (st->since == 0 && st->out.len == 0 && s->state == SESSION_RUN && s->purpose[0] == '\0' && worker_samples(s->w, time_of(st)))
		st->since = s->w->now_us;
}

static void
stream_sampled(struct stream *st)
{
	struct worker *w = st->s->w;
	if (st->since == 0)
		return;
	board_add(w->board, w->board_slot, time_of(st), clock_mono_us() - st->since);
	st->since = 0;
}

/* Nothing waits for the end of its output: it may go with that of others. */
static bool
stream_runs(const struct stream *st)
{
	return st->s->state == SESSION_RUN && !st->shut && !st->s->starttls[st->side].wanted;
}

void
stream_sent(struct stream *st, struct sp_bytes rest)
{
	stream_sampled(st);
	if (rest.len == 0)
		return;
	if (buffer_put(&st->late, rest) != SP_OK)
		st->error = true;
	session_kick(st->s); /* to be tried once more, and to hear why not */
}

/* What was late goes before all else.  False: some of it still waits. */
static bool
stream_late(struct stream *st, int *rc_r)
{
	struct sp_bytes b = buffer_bytes(&st->late);
	if (b.len == 0)
		return true;
	ssize_t sent = send(st->fd, b.p, b.len, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		*rc_r = SP_EIO;
	if (sent > 0)
		buffer_drop(&st->late, (size_t)sent);
	if (st->late.len == 0)
		buffer_free(&st->late);
	return st->late.len == 0;
}

/* Among the sends of this turn, or out, in one call, the cheaper one for one piece. */
static ssize_t
stream_put(struct stream *st, const struct iovec *iov, size_t n)
{
	const struct worker *w = st->s->w;
	size_t taken = stream_runs(st) && !reads_alone(w->reads) ? sends_add(w->sends, st, iov, n) : 0;
	if (taken > 0)
		return (ssize_t)taken;
	const struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	return n == 1 ? send(st->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL) : sendmsg(st->fd, &m, MSG_NOSIGNAL);
}

/* Records are taken whole, behind those that went before: GnuTLS, asked for a new key amid one, would send its bytes twice. */
static ssize_t
stream_push(void *owner, const struct iovec *iov, size_t n)
{
	struct stream *st = owner;
	size_t all = 0;
	if (st->sending)
		sends_go(st->s->w->sends);
	ssize_t sent = st->late.len > 0 ? 0 : stream_put(st, iov, n);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	size_t skip = sent < 0 ? 0 : (size_t)sent;
	for (size_t i = 0; i < n; all += iov[i++].iov_len) {
		size_t gone = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		skip -= gone;
		if (buffer_put(&st->late, (struct sp_bytes){ (const uint8_t *)iov[i].iov_base + gone, iov[i].iov_len - gone }) != SP_OK) {
			errno = ENOMEM;
			return -1;
		}
	}
	return (ssize_t)all;
}

/* What a plain socket takes now of `out` and the segments, at once. */
static int
stream_send(struct stream *st)
{
	struct iovec iov[STREAM_SEGMENTS + 1];
	unsigned n = 0;
	struct sp_bytes old = buffer_bytes(&st->out);
	if (old.len > 0)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)old.p, old.len };
	for (const struct segment *g = segments_of(st), *end = g + st->nsegments; g < end; g++)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)segment_bytes(st, g), g->len };
	size_t all = old.len + st->pending;
	ssize_t sent = stream_put(st, iov, n);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			segments_forget(st);
			return SP_EIO;
		}
		sent = 0;
	}
	if ((size_t)sent == all) {
		buffer_drop(&st->out, old.len);
		st->nsegments = 0;
		st->pending = 0;
		return SP_OK;
	}
	stream_fold(st);
	buffer_drop(&st->out, (size_t)sent);
	return SP_OK;
}

static int
stream_send_tls(struct stream *st)
{
	stream_fold(st);
	if (st->error)
		return SP_EIO;
	for (struct sp_bytes b = buffer_bytes(&st->out); b.len > 0 && st->late.len == 0; b = buffer_bytes(&st->out)) {
		long n = tls_write(st->tls, b.p, b.len);
		if (n == -1)
			return SP_OK;
		if (n < 0)
			return SP_EIO;
		buffer_drop(&st->out, (size_t)n);
	}
	return SP_OK;
}

void
stream_keepalive(int fd, uint64_t ms)
{
	enum { PROBES = 4 };
	int on = 1, idle = ms < 1000 ? 1 : ms > 32767000 ? 32767 : (int)(ms / 1000), each = idle < 8 ? 2 : idle / PROBES, probes = PROBES;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (ms == 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each, sizeof(each));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	/* No TCP_USER_TIMEOUT: it would count what a slow reader, whose window is shut, has yet to take. */
}

bool
stream_idle(const struct stream *st)
{
	return st->out.len == 0 && st->late.len == 0 && !st->sending && st->nsegments == 0 && st->s->w->writer_stream != st;
}

bool
stream_shut_out(const struct stream *st)
{
	return st->shut && stream_idle(st);
}

/* What was not recorded never leaves (P1); the client is told at the end why. */
static bool
stream_is_recorded(const struct stream *st)
{
	const struct sp_session *s = st->s;
	return (!s->unrecorded || (st->side == SP_CLIENT && s->state >= SESSION_ENDING)) && record_durable(s->w, st->gate);
}

static bool
stream_may_send(struct stream *st)
{
	if (st->fd < 0 || stream_shakes(st))
		return false;
	if (!stream_is_recorded(st))
		return false;
	st->gate = 0;
	return true;
}

/* What is to be sent is offered to the socket, or to the sends of this turn. */
static int
stream_offer(struct stream *st)
{
	bool more = st->out.len > 0 || st->nsegments > 0;
	int rc = SP_OK;
	if (st->sending && (more || !stream_runs(st)))
		sends_go(st->s->w->sends);
	if (st->error) { /* nothing behind what is lost */
		segments_forget(st);
		return SP_EIO;
	}
	if (!more && st->late.len == 0)
		return SP_OK;
	stream_sample(st);
	if (!stream_may_send(st) || !stream_late(st, &rc)) {
		stream_fold(st);
	} else if (more) {
		rc = st->tls == NULL ? stream_send(st) : stream_send_tls(st);
		if (!st->sending)
			stream_sampled(st);
	}
	return rc;
}

int
stream_flush(struct stream *st)
{
	struct worker *w = st->s->w;
	if (w->writer_stream == st)
		writer_commit(w);
	int rc = stream_offer(st);
	if (rc == SP_OK && st->error)
		rc = SP_EIO;
	if (st->out.len > STREAM_HIGH)
		st->full = true;
	if (st->out.len == 0 && st->out.cap > 0)
		buffer_free(&st->out);
	if (st->shut && !st->bye && stream_idle(st) && st->fd >= 0) {
		st->bye = true;
		if (st->tls != NULL)
			tls_bye(st->tls);
	}
	if (st->bye && !st->shut_done && stream_idle(st)) {
		st->shut_done = true;
		shutdown(st->fd, SHUT_WR);
	}
	return rc;
}

/* ---- the loop ---- */

static bool
stream_wants_input(const struct stream *st)
{
	const struct sp_session *s = st->s;
	const struct stream *other = &s->side[SP_OTHER(st->side)];
	if (stream_shakes(st))
		return true;
	if (st->eof || st->error)
		return false;
	if (s->state == SESSION_ENDING)
		return false;
	if (s->state == SESSION_WHO && st->side == SP_CLIENT && !s->of_person)
		return false; /* nobody yet: what it sends on stays in the kernel */
	if (other->full || (st->passes && other->out.len > STREAM_LAG) || record_behind(s->w) || (st->side == SP_CLIENT && budget_waits(s)))
		return false;
	return st->in.len < (st->want > STREAM_INPUT ? st->want : STREAM_INPUT);
}

static void
arm(struct event *ev, bool *is, bool should, const struct timeval *within)
{
	if (*is == should)
		return;
	*is = should;
	if (should)
		event_add(ev, within);
	else
		event_del(ev);
}

/*
 * A flood: an answer that comes faster than a wake-up for each piece is worth.  The socket then wakes us for
 * large pieces only, and what is less than one is fetched when no more has come for a moment.
 */
#define FLOOD_AFTER (4u << 20)  /* so much of one answer … */
#define FLOOD_WITHIN 80000u     /* … in so many µs */
#define FLOOD_PIECE (64u << 10)
#define FLOOD_EBB (8u << 10)    /* less than this in a moment, and it is over */
static const struct timeval flood_pause = { .tv_usec = 1000 };

static void
stream_await(struct stream *st, bool flood)
{
	int least = flood ? (int)FLOOD_PIECE : 1;
	if (st->flooding == flood || setsockopt(st->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)) != 0)
		return;
	st->flooding = flood;
	if (st->reading && flood)
		event_add(&st->readable, &flood_pause);
	else if (st->reading)
		event_remove_timer(&st->readable);
}

/* n bytes came. */
static void
stream_flows(struct stream *st, size_t n)
{
	struct stream *other = &st->s->side[SP_OTHER(st->side)];
	uint64_t now = st->s->w->now_us;
	other->flow = 0;
	stream_await(other, false);
	if (st->side != SP_TARGET || st->tls != NULL)
		return;
	if (st->flow == 0)
		st->flow_since = now;
	st->flow += n;
	if (st->flow < FLOOD_AFTER)
		return;
	if (now - st->flow_since <= FLOOD_WITHIN)
		stream_await(st, true);
	st->flow = 0;
}

void
stream_arm(struct stream *st)
{
	if (!st->made)
		return;
	bool handshake = stream_shakes(st);
	bool was = st->reading;
	arm(&st->readable, &st->reading, stream_wants_input(st), st->flooding ? &flood_pause : NULL);
	/* what GnuTLS has already decrypted, the socket will not announce again */
	if (!was && st->reading && !handshake && st->tls != NULL && tls_pending(st->tls))
		event_active(&st->readable, EV_READ, 0);
	if (!handshake)
		arm(&st->writable, &st->writing, (st->out.len > 0 || st->late.len > 0) && stream_is_recorded(st), NULL);
}

static void
stream_shake(struct stream *st)
{
	bool wants_write = false;
	const char *err = NULL;
	worker_clock(st->s->w); /* what others sent does not wait for many of these */
	int rc = tls_handshake(st->tls, &wants_write, &err);
	arm(&st->writable, &st->writing, rc == 0 && wants_write, NULL);
	if (rc == 1) {
		tls_pushes(st->tls, stream_push, st);
		session_secured(st);
	} else if (rc < 0) {
		st->error = true;
		session_fail(st->s, rc, err);
	}
}

/* False: the session is gone. */
static bool
stream_heard(struct stream *st, long n)
{
	if (n > 0)
		stream_flows(st, (size_t)n);
	else
		st->eof = true;
	if (n < 0)
		st->error = true;
	return !session_input(st);
}

/* Not where its session is over, nor an end that it would not have read by now: the socket says that again. */
void
stream_came(struct stream *st, const uint8_t *p, long n)
{
	if (st->s->state >= SESSION_ENDING || (n <= 0 && !st->reading))
		return;
	if (n > 0)
		stream_look(st, (struct sp_bytes){ p, (size_t)n });
	(void)stream_heard(st, n);
}

static bool
stream_reads_ahead(const struct stream *st)
{
	return st->tls == NULL && st->in.len == 0 && !st->flooding && st->s->state == SESSION_RUN;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;
	(void)fd;
	if (stream_reads_ahead(st) && reads_add(st->s->w->reads, st))
		return;
	reads_go(st->s->w->reads);
	if (!st->reading)
		return; /* its session's turn was among those */
	if (stream_shakes(st)) {
		stream_shake(st);
		return;
	}
	do {
		long n = stream_fill(st);
		if (what == EV_TIMEOUT && n < (long)FLOOD_EBB)
			stream_await(st, false);
		if (n == -1 || !stream_heard(st, n))
			return;
	} while (st->tls != NULL && !st->eof && tls_pending(st->tls) && stream_wants_input(st));
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;
	(void)fd;
	(void)what;
	reads_go(st->s->w->reads);
	if (!st->writing)
		return;
	if (stream_shakes(st))
		stream_shake(st);
	else
		session_output(st);
}

/* ---- TLS begins ---- */

void
stream_begin_tls(struct stream *st, bool direct, const char *alpn)
{
	struct sp_session *s = st->s;
	struct tls_start start = { .alpn = alpn, .must_alpn = direct, .reads_ahead = true };
	struct hostport at;
	struct tls_credentials *c = NULL;
	if (st->side == SP_CLIENT) {
		struct listener_use *l = s->listener == NULL ? NULL : epoch_use_listener(s->heard, s->listener->b.name);
		c = l == NULL ? NULL : l->tls;
	} else {
		struct target_use *t = epoch_use_target(s->dialled, s->target_name);
		c = t == NULL ? NULL : t->tls;
		start.verify = s->home->tls.mode == TLS_VERIFY_FULL;
		start.sign = keeper_tls_sign;
		start.sign_owner = s;
		const char *name = s->home->tls.name;
		if (name[0] == '\0' && settings_hostport(s->reached != NULL ? s->reached : s->home->server, &at) == SP_OK)
			name = at.host;
		start.name = name;
	}
	if (c == NULL) {
		session_fail(s, SP_ECONF, "TLS was asked for on a side that has no certificate configured");
		return;
	}
	reads_settle(s->w->reads, st);
	if (st->error) {
		session_fail(s, SP_EIO, "the connection failed before the TLS handshake");
		return;
	}
	struct sp_bytes early = buffer_bytes(&st->in);
	if (early.len > 0 && !direct) {
		session_fail(s, SP_EPROTO, "bytes came in clear before the TLS handshake");
		return;
	}
	start.early = early;
	int rc = tls_new(c, st->fd, &start, &st->tls);
	if (rc != SP_OK) {
		session_fail(s, rc, "cannot begin TLS");
		return;
	}
	buffer_free(&st->in);
	stream_begin(st);
	stream_shake(st);
}
