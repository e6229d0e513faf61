/* SPDX-License-Identifier: Apache-2.0 */
/* See sends.h. */
#include <config.h>

#include "sends.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/log.h"
#include "session.h"

#define MOST 64u      /* pieces in one call */
#define WAIT_US 500u  /* none waits longer for those after it, whose turns may take long */
#define FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

struct piece {
	struct stream *st;
	size_t offset, len;
	int sent; /* or -errno */
};

struct sends {
	bool has_ring;
	struct io_uring ring;
	struct piece piece[MOST];
	unsigned n;
	size_t used;
	uint64_t since; /* mono µs of the first */
	uint8_t bytes[MOST * SENDS_PIECE / 4];
};

/* ---- the ring ---- */

static const struct io_uring_restriction only_sends[] = {
	{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND },
};

/* liburing 2.3 declares calls for these two, and does not export them. */
static bool
ring_register(struct io_uring *ring, unsigned what, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, arg, n) == 0;
}

bool
sends_ring(struct io_uring *ring)
{
	const unsigned flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL;
	errno = -io_uring_queue_init(MOST, ring, flags);
	if (errno != 0)
		return false;
	if (ring_register(ring, IORING_REGISTER_RESTRICTIONS, only_sends, 1) && ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return true;
	int error = errno;
	io_uring_queue_exit(ring);
	errno = error;
	return false;
}

struct sends *
sends_new(void)
{
	return mem_alloc(sizeof(struct sends));
}

void
sends_share(struct sends *sends)
{
	sends->has_ring = sends_ring(&sends->ring);
	if (!sends->has_ring)
		log_info("io_uring: %s; what sessions send goes out one by one", strerror(errno));
}

void
sends_free(struct sends **sends)
{
	if (*sends != NULL && (*sends)->has_ring)
		io_uring_queue_exit(&(*sends)->ring);
	free(*sends);
	*sends = NULL;
}

/* ---- a turn ---- */

size_t
sends_add(struct sends *sends, struct stream *st, const struct iovec *iov, size_t n)
{
	size_t all = 0;
	for (size_t i = 0; i < n; i++)
		all += iov[i].iov_len;
	if (!sends->has_ring || all == 0 || all > SENDS_PIECE || st->sending)
		return 0;
	if (sends->n == MOST || sends->used + all > sizeof(sends->bytes))
		sends_go(sends);
	if (sends->n == 0)
		sends->since = st->s->w->now_us;
	struct piece *p = &sends->piece[sends->n++];
	*p = (struct piece){ st, sends->used, all, 0 };
	for (size_t i = 0; i < n; i++) {
		memcpy(sends->bytes + sends->used, iov[i].iov_base, iov[i].iov_len);
		sends->used += iov[i].iov_len;
	}
	st->sending = true;
	return all;
}

static void
send_each(struct sends *sends, unsigned from)
{
	for (unsigned i = from; i < sends->n; i++) {
		struct piece *p = &sends->piece[i];
		ssize_t sent = send(p->st->fd, sends->bytes + p->offset, p->len, FLAGS);
		p->sent = sent < 0 ? -errno : (int)sent;
	}
}

static unsigned
reap(struct sends *sends)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	io_uring_for_each_cqe(&sends->ring, head, cqe) {
		sends->piece[cqe->user_data].sent = cqe->res;
		n++;
	}
	io_uring_cq_advance(&sends->ring, n);
	return n;
}

/* How many went by the ring: all, or those before the call that failed.  Sends that may not wait are done when it returns. */
static unsigned
send_by_ring(struct sends *sends)
{
	for (unsigned i = 0; i < sends->n; i++) {
		struct piece *p = &sends->piece[i];
		struct io_uring_sqe *sqe = io_uring_get_sqe(&sends->ring);
		io_uring_prep_send(sqe, p->st->fd, sends->bytes + p->offset, p->len, FLAGS);
		io_uring_sqe_set_data64(sqe, i);
	}
	unsigned done = 0;
	for (int rc = 0; done < sends->n && (rc >= 0 || rc == -EINTR); done += reap(sends))
		rc = io_uring_submit_and_wait(&sends->ring, sends->n - done);
	return done;
}

static void
ring_give_up(struct sends *sends, unsigned done)
{
	if (done != sends->n - io_uring_sq_ready(&sends->ring)) {
		log_error("io_uring: the kernel took sends and does not say what became of them");
		abort();
	}
	log_warn("io_uring failed: from now on what sessions send goes out one by one");
	io_uring_queue_exit(&sends->ring);
	sends->has_ring = false;
}

void
sends_due(struct sends *sends, uint64_t now_us)
{
	if (sends->n > 0 && now_us - sends->since > WAIT_US)
		sends_go(sends);
}

void
sends_go(struct sends *sends)
{
	if (sends->n == 0)
		return;
	unsigned n = sends->n, done = n == 1 ? 0 : send_by_ring(sends);
	if (n > 1 && done < n)
		ring_give_up(sends, done);
	send_each(sends, done);
	sends->n = 0;
	sends->used = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct piece *p = &sends->piece[i];
		size_t sent = p->sent < 0 ? 0 : (size_t)p->sent;
		p->st->sending = false;
		stream_sent(p->st, (struct sp_bytes){ sends->bytes + p->offset + sent, p->len - sent });
	}
}
