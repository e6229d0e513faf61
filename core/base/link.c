/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One socketpair end on a libevent loop.
 *
 *   link_send ─▶ out ─▶ sendmsg ═══▶ recvmsg ─▶ in, fds ─▶ message_decode ─▶ handler
 *
 * File descriptors travel with the first byte of their message, so they are there when it is; both
 * sides keep them in order.  What was sent or handled is wiped: it may have been a token.
 */
#include <config.h>

#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "ready.h"

#define READ_SIZE (64u << 10)
#define READ_ROUNDS 16 /* then the loop's other events have their turn */
#define KEEP_CAP (256u << 10)
#define FDS_WAITING 64
#define QUEUE_FULL ((56u << 20) - 4096) /* of the 64 MB that a buffer holds, so that one message may not fit */

/* Descriptors of one queued message, which starts at this position of the stream. */
struct parcel {
	struct parcel *next;
	uint64_t at;
	unsigned n;
	int fd[MESSAGE_FDS];
};

struct link {
	struct event *readable, *writable;
	int fd;
	enum role self, peer;
	unsigned peer_index;
	struct link_handler handler;
	struct buffer in, out;
	uint64_t sent; /* stream position of out's first byte */
	struct parcel *parcels, **parcels_end;
	int fds[FDS_WAITING]; /* received, not yet claimed by a message */
	unsigned nfds;
	const char *broken;   /* why, once it is */
	bool told, busy, dead;
};

int
link_pair(int fd_r[2])
{
	fd_r[0] = fd_r[1] = -1;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd_r) == 0 ? SP_OK : SP_EIO;
}

enum role
link_peer(const struct link *l)
{
	return l->peer;
}

unsigned
link_peer_index(const struct link *l)
{
	return l->peer_index;
}

static void
parcel_free(struct link *l)
{
	struct parcel *p = l->parcels;
	for (unsigned i = 0; i < p->n; i++)
		(void)close(p->fd[i]);
	l->parcels = p->next;
	if (l->parcels == NULL)
		l->parcels_end = &l->parcels;
	free(p);
}

static void
link_destroy(struct link *l)
{
	while (l->parcels != NULL)
		parcel_free(l);
	for (unsigned i = 0; i < l->nfds; i++)
		(void)close(l->fds[i]);
	event_free(l->readable);
	event_free(l->writable);
	(void)close(l->fd);
	buffer_free(&l->in);
	buffer_free(&l->out);
	free(l);
}

/* A handler may free the link that calls it: it lives until the handler has returned. */
void
link_free(struct link **l)
{
	struct link *gone = *l;
	*l = NULL;
	if (gone == NULL)
		return;
	gone->dead = true;
	(void)event_del(gone->readable);
	(void)event_del(gone->writable);
	if (!gone->busy)
		link_destroy(gone);
}

/* The owner learns of it from the loop, never from inside its own call of link_send(). */
static void
link_break(struct link *l, const char *why)
{
	if (l->broken != NULL)
		return;
	l->broken = why;
	(void)event_del(l->readable);
	event_active(l->writable, EV_WRITE, 0);
}

/* ---- sending ---- */

static size_t
send_length(const struct link *l)
{
	/* Up to the next message with descriptors; they go with its first byte. */
	const struct parcel *p = l->parcels;
	if (p != NULL && p->at == l->sent)
		p = p->next;
	return p == NULL ? l->out.len : (size_t)(p->at - l->sent);
}

/* Bytes sent, 0 when the socket is full, or negative. */
static ssize_t
send_some(struct link *l)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { l->out.p + l->out.start, send_length(l) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	const struct parcel *p = l->parcels;
	if (p != NULL && p->at == l->sent) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(p->n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(p->n * sizeof(int));
		memcpy(CMSG_DATA(c), p->fd, p->n * sizeof(int));
	}
	ssize_t n;
	do {
		n = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (m.msg_control != NULL)
		parcel_free(l);
	mem_wipe(l->out.p + l->out.start, (size_t)n);
	buffer_drop(&l->out, (size_t)n);
	l->sent += (uint64_t)n;
	return n;
}

static void
send_all(struct link *l)
{
	while (l->broken == NULL && l->out.len > 0) {
		ssize_t n = send_some(l);
		if (n == 0)
			break;
		if (n < 0)
			link_break(l, "the peer is gone");
	}
	if (l->broken == NULL && l->out.len > 0)
		(void)event_add(l->writable, NULL);
	if (l->out.len == 0 && l->out.cap > KEEP_CAP)
		buffer_free(&l->out);
}

static int
parcel_add(struct link *l, const struct message *m, uint64_t at)
{
	struct parcel *p = mem_alloc(sizeof(*p));
	p->at = at;
	*l->parcels_end = p;
	l->parcels_end = &p->next;
	for (unsigned i = 0; i < m->nfds; i++) {
		p->fd[i] = fcntl(m->fd[i], F_DUPFD_CLOEXEC, 3);
		if (p->fd[i] < 0)
			return SP_EIO;
		p->n++;
	}
	return SP_OK;
}

int
link_send(struct link *l, const struct message *m)
{
	if (l->broken != NULL || l->dead)
		return SP_EIO;
	if (!message_allowed(m->type, l->self, l->peer)) {
		log_error("message %s from %s to %s is not in the table", message_name(m->type), role_name(l->self),
		    role_name(l->peer));
		return SP_EINTERNAL;
	}
	uint64_t at = l->sent + l->out.len;
	bool idle = l->out.len == 0;
	size_t before = l->out.len;
	int rc = message_encode(m, &l->out);
	if (rc == SP_OK && m->nfds > 0)
		rc = parcel_add(l, m, at);
	if (rc != SP_OK) {
		/* Half a message is none, and a full queue means that nobody reads. */
		if (l->out.len > before || before > QUEUE_FULL)
			link_break(l, "it could not be sent to: the queue is full or descriptors ran out");
		return rc;
	}
	if (idle)
		send_all(l);
	return SP_OK;
}

void
link_flush(struct link *l, unsigned ms)
{
	uint64_t end = clock_mono_ms() + ms;
	send_all(l);
	while (l->broken == NULL && l->out.len > 0 && ready_by(l->fd, POLLOUT, end))
		send_all(l);
}

bool
link_quiet(const struct link *l)
{
	return l->broken == NULL && l->in.len == 0 && l->out.len == 0 && l->nfds == 0;
}

int
link_fd(const struct link *l)
{
	return l->fd;
}

/* ---- receiving ---- */

static bool
take_fds(struct link *l, struct msghdr *m)
{
	bool fits = (m->msg_flags & MSG_CTRUNC) == 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (l->nfds < FDS_WAITING) {
				l->fds[l->nfds++] = fd;
			} else {
				(void)close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* 1 something came, 0 nothing is there, negative: broken. */
static int
receive_some(struct link *l)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_WAITING * sizeof(int))];
	} control;
	uint8_t *room = buffer_room(&l->in, READ_SIZE);
	if (room == NULL) {
		link_break(l, "no memory for its message");
		return -1;
	}
	struct iovec iov = { room, READ_SIZE };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control)
	};
	ssize_t n;
	do {
		n = recvmsg(l->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0) {
		link_break(l, "the peer is gone");
		return -1;
	}
	buffer_added(&l->in, (size_t)n);
	if (!take_fds(l, &m)) {
		link_break(l, "it sent more descriptors than any message has");
		return -1;
	}
	return 1;
}

static const char *
claim_fds(struct link *l, struct message *m)
{
	if (m->nfds > l->nfds)
		return "it sent a message without its descriptors";
	memcpy(m->fd, l->fds, m->nfds * sizeof(int));
	l->nfds -= m->nfds;
	memmove(l->fds, l->fds + m->nfds, l->nfds * sizeof(int));
	return NULL;
}

static void
deliver(struct link *l, struct message *m, size_t length)
{
	const char *why = claim_fds(l, m);
	if (why != NULL) {
		link_break(l, why);
		return;
	}
	int rc = l->handler.message(l->handler.owner, l, m);
	for (unsigned i = 0; i < m->nfds; i++) {
		if (m->fd[i] >= 0)
			(void)close(m->fd[i]);
	}
	mem_wipe(l->in.p + l->in.start, length);
	buffer_drop(&l->in, length);
	if (rc != SP_OK && !l->dead)
		link_break(l, "it sent a message that was refused");
}

static void
deliver_all(struct link *l)
{
	while (l->broken == NULL && !l->dead && l->in.len > 0) {
		struct message m;
		long n = message_decode(buffer_bytes(&l->in), &m);
		if (n < 0 || (m.type != 0 && !message_allowed(m.type, l->peer, l->self))) {
			log_error("%s[%u] broke the table of messages with a message %s", role_name(l->peer),
			    l->peer_index, message_name(m.type));
			link_break(l, "it broke the table of messages");
			return;
		}
		if (n == 0)
			return;
		deliver(l, &m, (size_t)n);
	}
	if (l->in.len == 0 && l->nfds > 0 && l->broken == NULL)
		link_break(l, "it sent descriptors that belong to no message");
	if (l->in.len == 0 && l->in.cap > KEEP_CAP)
		buffer_free(&l->in);
}

/* ---- one answer, now ---- */

/* 1 taken, 0 not there yet, negative: the queue is not what it should be. */
static int
take_answer(struct link *l, unsigned type, uint32_t id, void (*take)(void *owner, const struct message *m), void *owner)
{
	struct sp_bytes in = buffer_bytes(&l->in);
	struct message m;
	for (long n; (n = message_decode(in, &m)) != 0; in.p += n, in.len -= (size_t)n) {
		if (n < 0)
			return SP_EPROTO;
		if (m.type != type || m.id != id)
			continue;
		take(owner, &m);
		uint8_t *at = l->in.p + (in.p - l->in.p);
		memmove(at, at + n, in.len - (size_t)n);
		l->in.len -= (size_t)n;
		return 1;
	}
	return 0;
}

int
link_await(struct link *l, unsigned type, const uint32_t *id, unsigned ms,
    void (*take)(void *owner, const struct message *m), void *owner)
{
	uint64_t end = clock_mono_ms() + ms;
	if (l->busy || l->dead || l->broken != NULL)
		return SP_EIO;
	for (;;) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = { .fd = l->fd, .events = (short)(POLLIN | (l->out.len > 0 ? POLLOUT : 0)) };
		if (now >= end)
			return SP_ETIME;
		if (poll(&p, 1, (int)(end - now)) <= 0)
			continue;
		send_all(l);
		if ((p.revents & ~POLLOUT) != 0 && receive_some(l) < 0)
			return SP_EIO;
		int rc = take_answer(l, type, *id, take, owner);
		if (l->in.len > 0)
			event_active(l->readable, EV_READ, 0);
		if (rc != 0)
			return rc < 0 ? rc : SP_OK;
	}
}

/* ---- events ---- */

static void
link_finish(struct link *l)
{
	if (l->broken != NULL && !l->told && !l->dead) {
		l->told = true;
		l->handler.gone(l->handler.owner, l, l->broken);
	}
	l->busy = false;
	if (l->dead)
		link_destroy(l);
}

static void
on_readable(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	struct link *l = owner;
	l->busy = true;
	deliver_all(l); /* what link_await() has read */
	for (unsigned i = 0; i < READ_ROUNDS && l->broken == NULL && !l->dead; i++) {
		if (receive_some(l) <= 0)
			break;
		deliver_all(l);
	}
	link_finish(l);
}

void
link_drain(struct link *l)
{
	l->told = l->busy = true;
	deliver_all(l);
	while (l->broken == NULL && !l->dead && receive_some(l) > 0)
		deliver_all(l);
	link_finish(l);
}

static void
on_writable(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	struct link *l = owner;
	l->busy = true;
	if (l->broken == NULL)
		send_all(l);
	link_finish(l);
}

struct link *
link_new(struct event_base *base, int fd, enum role self, enum role peer, unsigned peer_index,
    const struct link_handler *h)
{
	struct link *l = mem_alloc(sizeof(*l));
	l->fd = fd;
	l->self = self;
	l->peer = peer;
	l->peer_index = peer_index;
	l->handler = *h;
	l->parcels_end = &l->parcels;
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE, on_writable, l);
	if (l->readable == NULL || l->writable == NULL || evutil_make_socket_nonblocking(fd) != 0 ||
	    event_add(l->readable, NULL) != 0) {
		log_error("a link to %s could not be set up", role_name(peer));
		abort();
	}
	return l;
}
