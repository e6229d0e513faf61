/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends on one loop; then an end whose peer is hostile. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/link.h"
#include "core/base/log.h"
#include "cunit_main.h"

struct end {
	struct link *link;
	unsigned got, gone, fds;
	uint64_t last;
	size_t bytes;
	bool in_order, free_in_handler, refuse;
	ino_t inode; /* of the last descriptor */
	int kept;
};

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct end *e = owner;
	(void)l;
	e->got++;
	if (m->type == MSG_WORKER_GONE) {
		e->in_order = e->in_order && m->f[0].q == e->last + 1;
		e->last = m->f[0].q;
	}
	if (m->type == MSG_AUDIT)
		e->bytes += m->f[0].s.len;
	for (unsigned i = 0; i < m->nfds; i++) {
		struct stat st;
		e->fds += fstat(m->fd[i], &st) == 0;
		e->inode = st.st_ino;
	}
	if (m->nfds > 0 && e->kept == -2) {
		e->kept = m->fd[0];
		m->fd[0] = -1;
	}
	if (e->free_in_handler)
		link_free(&e->link);
	return e->refuse ? SP_EPROTO : SP_OK;
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	struct end *e = owner;
	(void)l;
	CU_ASSERT_PTR_NOT_NULL(why);
	e->gone++;
	link_free(&e->link);
}

static struct event_base *base;

static int
end_new(struct end *e, int fd, enum role self, enum role peer)
{
	*e = (struct end){ .in_order = true, .kept = -1 };
	const struct link_handler h = { on_message, on_gone, e };
	e->link = link_new(base, fd, self, peer, 7, &h);
	return e->link == NULL;
}

static void
pair_new(struct end *a, enum role a_role, struct end *b, enum role b_role)
{
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	base = event_base_new();
	(void)end_new(a, fd[0], a_role, b_role);
	(void)end_new(b, fd[1], b_role, a_role);
}

static void
pump(void)
{
	for (unsigned i = 0; i < 50; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
pair_free(struct end *a, struct end *b)
{
	link_free(&a->link);
	link_free(&b->link);
	event_base_free(base);
}

static unsigned
open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* P9: what a recorder said before it ended is heard, whatever master noticed first. */
static void
what_the_dead_said_is_heard(void)
{
	struct end m, r;
	pair_new(&m, ROLE_MASTER, &r, ROLE_RECORDER);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(link_send(r.link, &(struct message){ .type = MSG_ANCHOR, .f = { Z("sallyport-anchor 1 ab") } }), SP_OK);
	link_free(&r.link);
	link_drain(m.link);
	CU_ASSERT_EQUAL(m.got, 100);
	pump();
	CU_ASSERT_EQUAL(m.gone, 0);
	pair_free(&m, &r);

	pair_new(&m, ROLE_MASTER, &r, ROLE_RECORDER);
	m.refuse = true; /* and no more of it than is right */
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(link_send(r.link, &(struct message){ .type = MSG_ANCHOR, .f = { Z("x") } }), SP_OK);
	link_free(&r.link);
	link_drain(m.link);
	CU_ASSERT_EQUAL(m.got, 1);
	pump();
	CU_ASSERT_EQUAL(m.gone, 0);
	pair_free(&m, &r);
}

static void
messages_arrive_in_order(void)
{
	struct end m, k;
	pair_new(&m, ROLE_MASTER, &k, ROLE_KEEPER);
	for (uint64_t i = 1; i <= 20000; i++)
		CU_ASSERT_EQUAL_FATAL(link_send(m.link, &(struct message){ .type = MSG_WORKER_GONE, .f = { Q(i) } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(k.got, 20000);
	CU_ASSERT_TRUE(k.in_order);
	CU_ASSERT_EQUAL(link_peer(k.link), ROLE_MASTER);
	CU_ASSERT_EQUAL(link_peer_index(k.link), 7);
	pair_free(&m, &k);
}

static void
take_signature(void *owner, const struct message *m)
{
	unsigned *taken = owner;
	CU_ASSERT(sp_bytes_is(m->f[2].s, "signature"));
	++*taken;
}

/* One answer is taken out of the queue; what stands before and behind it keeps its order. */
static void
one_answer_is_awaited(void)
{
	struct end w, k;
	unsigned taken = 0;
	const uint32_t wanted = 5, never = 6;
	pair_new(&w, ROLE_WORKER, &k, ROLE_KEEPER);
	const struct message other = { .type = MSG_EXPIRES, .f = { Z("session"), Q(1) } };
	const struct message stale = { .type = MSG_TLS_SIGNED, .id = 4, .f = { Z("session"), Q(1), Z("stale") } };
	const struct message answer = { .type = MSG_TLS_SIGNED, .id = 5, .f = { Z("session"), Q(1), Z("signature") } };
	const struct message *const sent[] = { &other, &stale, &answer, &other };
	for (size_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(link_send(k.link, sent[i]), SP_OK);
	CU_ASSERT_EQUAL(link_await(w.link, MSG_TLS_SIGNED, &wanted, 1000, take_signature, &taken), SP_OK);
	CU_ASSERT_EQUAL(taken, 1);
	CU_ASSERT_EQUAL(w.got, 0);
	CU_ASSERT_EQUAL(link_await(w.link, MSG_TLS_SIGNED, &never, 5, take_signature, &taken), SP_ETIME);
	pump();
	CU_ASSERT_EQUAL(w.got, 3);
	CU_ASSERT_EQUAL(taken, 1);
	link_free(&k.link);
	CU_ASSERT_EQUAL(link_await(w.link, MSG_TLS_SIGNED, &never, 1000, take_signature, &taken), SP_EIO);
	pump();
	CU_ASSERT_EQUAL(w.gone, 1);
	event_base_free(base);
}

static void
large_messages_arrive(void)
{
	struct end k, r;
	uint8_t *big = calloc(1, 7u << 20);
	pair_new(&k, ROLE_KEEPER, &r, ROLE_RECORDER);
	for (unsigned i = 0; i < 3; i++) {
		const struct message m = { .type = MSG_AUDIT, .f = { S(((struct sp_bytes){ big, 7u << 20 })) } };
		CU_ASSERT_EQUAL(link_send(k.link, &m), SP_OK);
	}
	for (unsigned i = 0; i < 50; i++)
		pump();
	CU_ASSERT_EQUAL(r.got, 3);
	CU_ASSERT_EQUAL(r.bytes, 3u * (7u << 20));
	pair_free(&k, &r);
	free(big);
}

/* Descriptors stay with their messages, even when the socket is full in between. */
static void
descriptors_stay_with_their_messages(void)
{
	struct end m, w;
	unsigned before = open_fds();
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	struct stat st;
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	CU_ASSERT_EQUAL(fstat(fd[0], &st), 0);
	char name[3000];
	memset(name, 'n', sizeof(name));
	for (unsigned i = 0; i < 120; i++) {
		const struct message l = { .type = MSG_LISTENER, .nfds = 1, .fd = { fd[i % 2], -1, -1 },
			.f = { S(((struct sp_bytes){ (const uint8_t *)name, sizeof(name) })) } };
		CU_ASSERT_EQUAL(link_send(m.link, &l), SP_OK);
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT }), SP_OK);
	}
	const struct message ring = { .type = MSG_RING, .nfds = 3, .fd = { fd[0], fd[1], fd[0] }, .f = { Q(1) } };
	CU_ASSERT_EQUAL(link_send(m.link, &ring), SP_OK);
	(void)close(fd[0]), (void)close(fd[1]); /* the link has its own */
	pump();
	CU_ASSERT_EQUAL(w.got, 241);
	CU_ASSERT_EQUAL(w.fds, 123);
	CU_ASSERT_EQUAL(w.inode, st.st_ino);
	CU_ASSERT_EQUAL(w.gone + m.gone, 0);
	pair_free(&m, &w);
	CU_ASSERT_EQUAL(open_fds(), before);
}

static void
descriptors_are_closed_unless_taken(void)
{
	struct end m, w;
	unsigned before = open_fds();
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	w.kept = -2;
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_BOARD, .nfds = 1, .fd = { 0, -1, -1 }, .f = { Q(i) } }), SP_OK);
	pump();
	CU_ASSERT_TRUE(w.kept >= 0);
	CU_ASSERT_EQUAL(fcntl(w.kept, F_GETFD), FD_CLOEXEC);
	(void)close(w.kept);
	pair_free(&m, &w);
	CU_ASSERT_EQUAL(open_fds(), before);
}

static void
unsent_descriptors_are_closed(void)
{
	struct end m, w;
	unsigned before = open_fds();
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	for (unsigned i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_BOARD, .nfds = 1, .fd = { 0, -1, -1 }, .f = { Q(i) } }), SP_OK);
	pair_free(&m, &w);
	CU_ASSERT_EQUAL(open_fds(), before);
}

static void
the_table_holds_on_sending(void)
{
	struct end w, k;
	pair_new(&w, ROLE_WORKER, &k, ROLE_KEEPER);
	log_level(0);
	CU_ASSERT_NOT_EQUAL(link_send(w.link, &(struct message){ .type = MSG_CALL }), SP_OK);
	CU_ASSERT_NOT_EQUAL(link_send(w.link, &(struct message){ .type = MSG_OPENED, .nfds = 1 }), SP_OK);
	CU_ASSERT_EQUAL(link_send(w.link, &(struct message){ .type = MSG_OPENED, .f = { Z("s") } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(k.got, 1);
	CU_ASSERT_EQUAL(w.gone, 0);
	pair_free(&w, &k);
}

/* A compromised worker that says what only the console may say, though its own code would not. */
static void
the_table_holds_on_receiving(void)
{
	struct end liar, k;
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	base = event_base_new();
	(void)end_new(&liar, fd[0], ROLE_CONSOLE, ROLE_KEEPER);
	(void)end_new(&k, fd[1], ROLE_KEEPER, ROLE_WORKER);
	log_level(0);
	CU_ASSERT_EQUAL(link_send(liar.link, &(struct message){ .type = MSG_CALL, .f = { Q(1), Z("t"), Q(4), Z("{}") } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(k.got, 0);
	CU_ASSERT_EQUAL(k.gone, 1);
	CU_ASSERT_EQUAL(liar.gone, 1);
	pair_free(&liar, &k);
}

static void
a_peer_that_leaves_is_told_once(void)
{
	struct end m, w;
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }), SP_OK);
	link_free(&m.link);
	pump();
	CU_ASSERT_EQUAL(w.got, 1); /* what it said before is still heard */
	CU_ASSERT_EQUAL(w.gone, 1);
	pair_free(&m, &w);
}

static void
sending_to_the_gone_is_an_error(void)
{
	struct end m, w;
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	link_free(&w.link);
	CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }), SP_OK);
	CU_ASSERT_EQUAL(m.gone, 0); /* from the loop, not from link_send() */
	CU_ASSERT_NOT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(m.gone, 1);
	pair_free(&m, &w);
}

static void
a_handler_may_free_its_link(void)
{
	struct end m, w;
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	w.free_in_handler = true;
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(w.got, 1);
	CU_ASSERT_EQUAL(w.gone, 0);
	CU_ASSERT_EQUAL(m.gone, 1);
	pair_free(&m, &w);
}

static void
a_refused_message_ends_the_link(void)
{
	struct end m, w;
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	w.refuse = true;
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }), SP_OK);
	pump();
	CU_ASSERT_EQUAL(w.got, 1);
	CU_ASSERT_EQUAL(w.gone, 1);
	pair_free(&m, &w);
}

static void
a_peer_that_does_not_read_breaks_the_link(void)
{
	struct end k;
	int fd[2], rc = SP_OK;
	unsigned sent = 0;
	uint8_t *big = calloc(1, 4u << 20);
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	base = event_base_new();
	(void)end_new(&k, fd[0], ROLE_KEEPER, ROLE_RECORDER);
	for (; sent < 40 && rc == SP_OK; sent++)
		rc = link_send(k.link, &(struct message){ .type = MSG_AUDIT, .f = { S(((struct sp_bytes){ big, 4u << 20 })) } });
	CU_ASSERT_NOT_EQUAL(rc, SP_OK);
	CU_ASSERT_TRUE(sent > 10 && sent < 20);
	pump();
	CU_ASSERT_EQUAL(k.gone, 1);
	link_free(&k.link);
	event_base_free(base);
	(void)close(fd[1]);
	free(big);
}

/* ---- a hostile peer, byte by byte ---- */

static unsigned
hostile(struct sp_bytes bytes, unsigned nfds)
{
	struct end m;
	int fd[2];
	char space[CMSG_SPACE(80 * sizeof(int))] = { 0 };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	base = event_base_new();
	log_level(0);
	(void)end_new(&m, fd[0], ROLE_MASTER, ROLE_WORKER);
	struct iovec iov = { (void *)bytes.p, bytes.len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (nfds > 0) {
		h.msg_control = space;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memset(CMSG_DATA(c), 0, nfds * sizeof(int)); /* our own fd 0, many times */
	}
	CU_ASSERT_EQUAL(sendmsg(fd[1], &h, 0), (ssize_t)bytes.len);
	pump();
	unsigned gone = m.gone;
	link_free(&m.link);
	event_base_free(base);
	(void)close(fd[1]);
	return gone;
}

#define READY "\0\0\0\x08\0\x0a\0\0\0\0\0\0"
_Static_assert(MSG_READY == 10, "the bytes above say READY");

static void
hostile_bytes(void)
{
	unsigned before = open_fds();
	CU_ASSERT_EQUAL(hostile(SP_LIT(READY), 0), 0);
	CU_ASSERT_EQUAL(hostile(SP_LIT(READY), 1), 1);        /* a descriptor of no message */
	CU_ASSERT_EQUAL(hostile(SP_LIT(READY), 65), 1);       /* more than any has */
	CU_ASSERT_EQUAL(hostile(SP_LIT("\0\0\0\x08\0\x0a\0\x01\0\0\0\0"), 1), 1);
	CU_ASSERT_EQUAL(hostile(SP_LIT("\xff\xff\xff\xff\0\x0a\0\0\0\0\0\0"), 0), 1);
	CU_ASSERT_EQUAL(hostile(SP_LIT("\0\0\0\x10\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), 0), 1); /* QUIT is master's to say */
	CU_ASSERT_EQUAL(hostile(SP_LIT(READY "\0\0"), 0), 0); /* the rest may come */
	CU_ASSERT_EQUAL(hostile(SP_LIT("GET / HTTP/1.1\r\n"), 0), 1);
	CU_ASSERT_EQUAL(open_fds(), before);
}

static void
flush_sends_what_is_queued(void)
{
	struct end m, w;
	pair_new(&m, ROLE_MASTER, &w, ROLE_WORKER);
	for (uint64_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(link_send(m.link, &(struct message){ .type = MSG_QUIT, .f = { Q(0) } }), SP_OK);
	link_flush(m.link, 100);
	link_free(&m.link);
	pump();
	CU_ASSERT_EQUAL(w.got, 100);
	pair_free(&m, &w);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "messages arrive in order", messages_arrive_in_order },
		{ "one answer is awaited", one_answer_is_awaited },
		{ "large messages arrive", large_messages_arrive },
		{ "descriptors stay with their messages", descriptors_stay_with_their_messages },
		{ "descriptors are closed unless taken", descriptors_are_closed_unless_taken },
		{ "unsent descriptors are closed", unsent_descriptors_are_closed },
		{ "the table holds on sending", the_table_holds_on_sending },
		{ "the table holds on receiving", the_table_holds_on_receiving },
		{ "a peer that leaves is told once", a_peer_that_leaves_is_told_once },
		{ "sending to the gone is an error", sending_to_the_gone_is_an_error },
		{ "a handler may free its link", a_handler_may_free_its_link },
		{ "what the dead said is heard", what_the_dead_said_is_heard },
		{ "a refused message ends the link", a_refused_message_ends_the_link },
		{ "a peer that does not read breaks the link", a_peer_that_does_not_read_breaks_the_link },
		{ "hostile bytes", hostile_bytes },
		{ "flush sends what is queued", flush_sends_what_is_queued },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("link", tests);
}
