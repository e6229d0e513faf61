/* SPDX-License-Identifier: Apache-2.0 */
/* A session's streams: order, partial sends, half-closed ends, and what is bounded. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"

static struct world v;
static bool together; /* what is sent goes among others' sends */
static int (*lines)(struct sp_session *s, enum sp_side from);

static void
begin(int (*data)(struct sp_session *s, enum sp_side from))
{
	world_begin(&v, WRITE, "");
	if (together)
		sends_share(v.w->sends);
	world_run(&v);
	lines = toy.data;
	v.mode = RAW;
	if (data != NULL)
		toy.data = data;
}

static void
end(void)
{
	toy.data = lines;
	world_end(&v);
}

/* Bytes of a known order. */
static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i % 251);
}

/* Writes so much, or until nobody takes any more; how much it was. */
static size_t
pour(int fd, size_t from, size_t n)
{
	uint8_t b[16384];
	size_t done = 0;
	for (unsigned stuck = 0; done < n && stuck < 4;) {
		size_t len = n - done < sizeof(b) ? n - done : sizeof(b);
		for (size_t i = 0; i < len; i++)
			b[i] = byte_at(from + done + i);
		ssize_t w = send(fd, b, len, MSG_NOSIGNAL);
		stuck = w > 0 ? 0 : stuck + 1;
		done += w > 0 ? (size_t)w : 0;
		world_turn(&v);
	}
	return done;
}

/* Reads what comes, checks it, adds it to *at. */
static void
drink(int fd, size_t *at)
{
	static uint8_t b[65536];
	bool good = true;
	for (unsigned dry = 0; dry < 100;) {
		ssize_t n = recv(fd, b, sizeof(b), 0);
		for (ssize_t i = 0; i < n; i++)
			good = good && b[i] == byte_at(*at + (size_t)i);
		*at += n > 0 ? (size_t)n : 0;
		dry = n > 0 ? 0 : dry + 1;
		if (n <= 0)
			(void)poll(NULL, 0, 1); /* the last of a flood waits for more of it */
		world_turn(&v);
	}
	CU_ASSERT(good);
}

/* A client that does not read: the target is not read either, and what waits is bounded. */
static void
test_client_does_not_read(void)
{
	begin(NULL);
	size_t sent = pour(v.target, 0, 64u << 20), got = 0;
	const struct stream *to = &v.s->side[SP_CLIENT], *from = &v.s->side[SP_TARGET];
	CU_ASSERT(sent < 64u << 20);
	CU_ASSERT(!from->reading);
	CU_ASSERT(to->out.len > STREAM_LAG && to->out.len <= STREAM_LAG + SCRATCH && from->in.len <= STREAM_INPUT + SCRATCH);
	drink(v.client, &got);
	CU_ASSERT_EQUAL(got, sent);
	CU_ASSERT(!to->full && from->reading);
	CU_ASSERT_EQUAL(to->out.cap, 0); /* an idle session owns no buffer */
	sent += pour(v.target, sent, 100000);
	drink(v.client, &got);
	CU_ASSERT_EQUAL(got, sent);
	end();
}

/* A module that consumes nothing: what is read is bounded. */
static void
test_nobody_consumes(void)
{
	begin(NULL);
	v.mode = DEAF;
	(void)pour(v.client, 0, 4u << 20);
	CU_ASSERT(!v.s->side[SP_CLIENT].reading);
	CU_ASSERT(v.s->side[SP_CLIENT].in.len <= STREAM_INPUT + SCRATCH);
	end();
}

#define LONGER 600000u
static bool all_came;

/* Waits for all of it, then passes on as much as fits: what is left is for drained(). */
static int
polite(struct sp_session *s, enum sp_side from)
{
	struct sp_bytes in = sp_peek(s, from);
	if (from == SP_CLIENT && !all_came && in.len < LONGER)
		return sp_want(s, from, LONGER, LONGER);
	all_came = true;
	int rc = SP_OK;
	while (rc == SP_OK && in.len > 0 && !sp_full(s, SP_OTHER(from))) {
		rc = sp_pass(s, from, in.len < 100000 ? in.len : 100000);
		in = sp_peek(s, from);
	}
	return rc;
}

/* A module that was told "full" goes on, also when the socket then takes all of it at once. */
static void
test_told_full(void)
{
	all_came = false;
	begin(polite);
	size_t got = 0;
	CU_ASSERT_EQUAL(pour(v.client, 0, LONGER), LONGER);
	drink(v.target, &got);
	CU_ASSERT_EQUAL(got, LONGER);
	CU_ASSERT(v.drained >= 1);
	CU_ASSERT(v.s->side[SP_CLIENT].reading && !v.s->side[SP_TARGET].full);
	end();
}

static unsigned segments;

/* Each byte is passed on with a mark behind it; every fifth is dropped. */
static int
marks(struct sp_session *s, enum sp_side from)
{
	int rc = SP_OK;
	for (size_t n = sp_peek(s, from).len, i = 0; i < n && rc == SP_OK; i++) {
		if (i % 5 == 4) {
			rc = sp_drop(s, from, 1);
			continue;
		}
		rc = sp_pass(s, from, 1);
		if (rc == SP_OK && i % 5 != 0)
			rc = sp_put(s, SP_OTHER(from), SP_LIT("-"));
		if (v.s->side[SP_OTHER(from)].nsegments > segments)
			segments = v.s->side[SP_OTHER(from)].nsegments;
	}
	return rc;
}

static void
marked(char *text_r)
{
	char said[201];
	for (size_t i = 0; i < 200; i++)
		said[i] = (char)('a' + i % 26);
	said[200] = '\0';
	for (size_t i = 0; i < 200; i++) {
		if (i % 5 == 4)
			continue;
		*text_r++ = said[i];
		if (i % 5 != 0)
			*text_r++ = '-';
	}
	*text_r = '\0';
	world_say(&v, said);
}

static void
test_order(void)
{
	char want[512];
	begin(marks);
	segments = 0;
	marked(want);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), want);
	CU_ASSERT(segments > 8 && segments <= STREAM_SEGMENTS);
	v.send_max = 7; /* a socket that takes little at a time */
	marked(want);
	for (unsigned i = 0; i < 20; i++)
		world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), want);
	CU_ASSERT(stream_idle(&v.s->side[SP_TARGET]));
	end();
}

/* Bytes that follow one another are one segment, without a copy. */
static int
pieces(struct sp_session *s, enum sp_side from)
{
	int rc = sp_pass(s, from, 2);
	while (rc == SP_OK && sp_peek(s, from).len > 0)
		rc = sp_pass(s, from, 1);
	segments = s->side[SP_OTHER(from)].nsegments;
	return rc == SP_OK && sp_pass(s, from, 1) == SP_OK ? SP_EINTERNAL : rc; /* more than there is: no */
}

static void
test_one_segment(void)
{
	begin(pieces);
	world_say(&v, "abcdefgh");
	CU_ASSERT_EQUAL(segments, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "abcdefgh");
	CU_ASSERT_EQUAL(v.closed, 0);
	end();
}

#define LONG 300000u
static unsigned calls;

static int
wants(struct sp_session *s, enum sp_side from)
{
	size_t n = sp_peek(s, from).len;
	calls++;
	return n < LONG ? sp_want(s, from, LONG, 1u << 20) : sp_pass(s, from, n);
}

static void
test_want(void)
{
	size_t got = 0;
	begin(wants);
	calls = 0;
	CU_ASSERT_EQUAL(pour(v.client, 0, LONG - 1), LONG - 1);
	CU_ASSERT_EQUAL(calls, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	CU_ASSERT_EQUAL(pour(v.client, LONG - 1, 1), 1);
	CU_ASSERT_EQUAL(calls, 2);
	drink(v.target, &got);
	CU_ASSERT_EQUAL(got, LONG);
	end();
}

static int
wants_too_much(struct sp_session *s, enum sp_side from)
{
	return sp_want(s, from, 1001, 1000);
}

static int
writes_too_much(struct sp_session *s, enum sp_side from)
{
	int rc = sp_drop(s, from, sp_peek(s, from).len);
	struct sp_writer *w = sp_out(s, SP_TARGET);
	sp_wr_put(w, SP_LIT("head of a message"));
	(void)sp_wr_room(w, (size_t)1 << 30);
	return rc;
}

/* A length over its limit, a message that does not fit: the session ends, and no part of it has left. */
static void
test_too_long(void)
{
	begin(wants_too_much);
	world_say(&v, "x");
	CU_ASSERT(v.closed == 1 && v.why == SP_END_ERROR);
	end();
	begin(writes_too_much);
	world_say(&v, "x");
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	end();
}

static int
writes_much(struct sp_session *s, enum sp_side from)
{
	int rc = sp_drop(s, from, sp_peek(s, from).len);
	struct sp_writer *w = sp_out(s, SP_OTHER(from));
	for (size_t i = 0; i < LONG; i++)
		sp_wr_u8(w, byte_at(i));
	return rc;
}

static void
test_writer_grows(void)
{
	size_t got = 0;
	begin(writes_much);
	world_say(&v, "x");
	drink(v.target, &got);
	CU_ASSERT_EQUAL(got, LONG);
	end();
}

static void
test_half_closed(void)
{
	char c;
	begin(NULL);
	v.half_close = true;
	world_say(&v, "last words");
	shutdown(v.client, SHUT_WR);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "last words");
	CU_ASSERT_EQUAL(recv(v.target, &c, 1, 0), 0); /* the end, after them */
	CU_ASSERT_EQUAL(v.closed, 0);
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "answer");
	close(v.target);
	v.target = -1;
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_EOF);
	CU_ASSERT_EQUAL(recv(v.client, &c, 1, 0), 0);
	end();
}

/* A module that says nothing of ends: either side's is the session's. */
static void
test_end_of_a_side(void)
{
	int (*eof)(struct sp_session *, enum sp_side) = toy.eof;
	begin(NULL);
	toy.eof = NULL;
	CU_ASSERT_EQUAL(write(v.target, "bye", 3), 3);
	close(v.target);
	v.target = -1;
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_EOF);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "byeBYE the target closed the connection");
	toy.eof = eof;
	end();
}

/* ---- among others' reads ---- */

static unsigned looked; /* how often the module was shown something */

static int
looks(struct sp_session *s, enum sp_side from)
{
	looked++;
	return lines(s, from);
}

static void
loop_once(void)
{
	(void)event_base_loop(v.base, EVLOOP_NONBLOCK);
}

/* Read in the turn, for both sides; looked at when all were read. */
static void
test_read_then_looked_at(void)
{
	begin(looks);
	looked = 0;
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	loop_once();
	CU_ASSERT(v.s->side[SP_CLIENT].ahead && v.s->side[SP_TARGET].ahead);
	CU_ASSERT_EQUAL(looked, 0);
	worker_handler.turned(v.w);
	CU_ASSERT(!v.s->side[SP_CLIENT].ahead && !v.s->side[SP_TARGET].ahead);
	CU_ASSERT(looked >= 2);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "answer");
	end();
}

/* The session ended between the two: what was read for it reaches nobody. */
static void
test_read_for_nobody(void)
{
	begin(looks);
	looked = 0;
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	loop_once();
	CU_ASSERT(v.s->side[SP_CLIENT].ahead);
	session_finish(v.s, SP_END_REVOKED, "it was told to");
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_EQUAL(looked, 0);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	end();
}

/* A connection changes hands between the two: what was read for it goes along, before what comes later. */
static void
test_read_and_moved(void)
{
	struct stream to;
	begin(NULL);
	struct stream *from = &v.s->side[SP_TARGET];
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	loop_once();
	CU_ASSERT(from->ahead);
	memset(&to, 0, sizeof(to));
	stream_init(&to, v.s, SP_TARGET);
	stream_move(&to, from);
	CU_ASSERT(!from->ahead && !to.ahead);
	CU_ASSERT(to.in.len == 6 && memcmp(buffer_bytes(&to.in).p, "answer", 6) == 0);
	stream_move(from, &to);
	stream_arm(from);
	CU_ASSERT_EQUAL(write(v.target, " more", 5), 5);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "answer more");
	end();
}

/* More of them than a turn has room for, of those that have much to say, too. */
static void
test_reads_of_many(void)
{
	enum { SESSIONS = 40, MUCH = 30000 };
	static uint8_t text[MUCH];
	int client[SESSIONS], target[SESSIONS];
	begin(NULL);
	memset(text, 'x', sizeof(text));
	client[0] = v.client;
	target[0] = v.target;
	v.mode = LINES;
	for (unsigned i = 1; i < SESSIONS; i++) {
		v.client = v.target = -1;
		world_connect(&v);
		world_hello(&v);
		world_admit(&v);
		world_accept_target(&v);
		client[i] = v.client;
		target[i] = v.target;
	}
	v.mode = RAW;
	for (unsigned i = 0; i < SESSIONS; i++) {
		text[0] = (uint8_t)i;
		CU_ASSERT_EQUAL(write(client[i], text, i % 8 == 0 ? MUCH : 2), i % 8 == 0 ? MUCH : 2);
		CU_ASSERT_EQUAL(write(target[i], text, 2), 2);
	}
	world_turn_once(&v);
	for (unsigned i = 0; i < SESSIONS; i++) {
		const char *asked = world_read(target[i]);
		CU_ASSERT_EQUAL(asked[0], (char)i);
		CU_ASSERT_EQUAL(strlen(asked + 1), i % 8 == 0 ? MUCH - 1 : 1);
		const char *answered = world_read(client[i]);
		CU_ASSERT(answered[0] == (char)i && strlen(answered + 1) == 1);
	}
	for (unsigned i = 0; i < SESSIONS; i++) {
		close(client[i]);
		close(target[i]);
	}
	v.client = v.target = -1;
	world_turn(&v);
	end();
}

/* ---- among others' sends ---- */

static void
begin_together(void)
{
	together = true;
	begin(NULL);
	together = false;
}

static size_t
waits_there(int fd)
{
	char b[64];
	ssize_t n = recv(fd, b, sizeof(b), MSG_PEEK | MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

/* The loop's turn, not yet its end: what both sides said waits, and is there after it. */
static void
test_goes_together(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	world_turn_open(&v);
	CU_ASSERT(v.s->side[SP_CLIENT].sending && v.s->side[SP_TARGET].sending);
	CU_ASSERT(!stream_idle(&v.s->side[SP_CLIENT]));
	CU_ASSERT_EQUAL(waits_there(v.client) + waits_there(v.target), 0);
	worker_handler.turned(v.w);
	CU_ASSERT(!v.s->side[SP_CLIENT].sending && stream_idle(&v.s->side[SP_CLIENT]));
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "answer");
	end();
}

/* Others' turns may take long: nobody waits for all of them. */
static void
test_none_waits_long(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	world_turn_open(&v);
	CU_ASSERT(v.s->side[SP_TARGET].sending);
	sends_due(v.w->sends, v.w->now_us + 100);
	CU_ASSERT(v.s->side[SP_TARGET].sending);
	sends_due(v.w->sends, v.w->now_us + 1000);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
	end();
}

/* A socket takes a part: the rest keeps its place before what comes after it. */
static void
test_rest_goes_first(void)
{
	begin_together();
	int little = 1;
	size_t said = 0, got = 0, heard = 0;
	CU_ASSERT_EQUAL(setsockopt(v.s->side[SP_CLIENT].fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
	bool late = false;
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t b[3000];
		size_t n = 1000 + i % 2000;
		for (size_t k = 0; k < n; k++)
			b[k] = byte_at(said + k);
		ssize_t w = send(v.target, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		said += w > 0 ? (size_t)w : 0;
		heard += write(v.client, "x", 1) == 1;
		world_turn_once(&v);
		late = late || v.s->side[SP_CLIENT].late.len > 0;
	}
	CU_ASSERT(late);
	drink(v.client, &got);
	CU_ASSERT_EQUAL(got, said);
	CU_ASSERT_EQUAL(v.s->side[SP_CLIENT].late.cap, 0);
	CU_ASSERT_EQUAL(strlen(world_read(v.target)), heard);
	end();
}

/* Gone between the turn and its end: it is heard of as ever. */
static void
test_gone_meanwhile(void)
{
	struct linger at_once = { 1, 0 };
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	world_turn_open(&v);
	CU_ASSERT_EQUAL(setsockopt(v.target, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(v.target);
	v.target = -1;
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_EQUAL(strncmp(world_read(v.client), "answer", 6), 0);
	end();
}

/* A session that is closed in the same turn: what it had sent is out. */
static void
test_closed_meanwhile(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	world_turn_open(&v);
	CU_ASSERT(v.s->side[SP_TARGET].sending);
	session_finish(v.s, SP_END_SHUTDOWN, "it was told to");
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
	end();
}

static void
test_no_memory_for_late(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "abcdefgh", 8), 8);
	world_turn_open(&v);
	CU_ASSERT(v.s->side[SP_TARGET].sending);
	v.s->side[SP_TARGET].late.max = 1;
	v.send_max = 2;
	sends_go(v.w->sends); /* 2 of 8 leave, 6 are lost */
	CU_ASSERT_EQUAL(write(v.client, "ijkl", 4), 4);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "ab");
	CU_ASSERT_EQUAL(v.closed, 1);
	end();
}

/* Its descriptor, by what the kernel calls it. */
static int
fd_of_ring(void)
{
	char path[300], name[64] = "";
	DIR *all = opendir("/proc/self/fd");
	int fd = -1;
	for (const struct dirent *e = readdir(all); e != NULL && fd < 0; e = readdir(all)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		ssize_t n = readlink(path, name, sizeof(name) - 1);
		name[n < 0 ? 0 : n] = '\0';
		fd = strcmp(name, "anon_inode:[io_uring]") == 0 ? atoi(e->d_name) : -1;
	}
	closedir(all);
	return fd;
}

/* A kernel that takes no more: nothing is lost, and it goes on without. */
static void
test_ring_fails(void)
{
	begin_together();
	int ring = fd_of_ring(), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	CU_ASSERT_FATAL(ring >= 0 && null >= 0);
	CU_ASSERT_EQUAL(dup2(null, ring), ring);
	close(null);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
		CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
		world_turn(&v);
		CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
		CU_ASSERT_STRING_EQUAL(world_read(v.client), "answer");
	}
	end();
}

static int
asked_of(struct io_uring *ring, struct io_uring_sqe *what)
{
	struct io_uring_cqe *cqe = NULL;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	*sqe = *what;
	if (io_uring_submit_and_wait(ring, 1) < 0 || io_uring_peek_cqe(ring, &cqe) != 0)
		return 1;
	int res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

/* Who has taken over a worker can do with the ring what send() does, and nothing else. */
static void
test_ring_sends_only(void)
{
	struct io_uring ring;
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	CU_ASSERT_FATAL(sends_ring(&ring));
	struct io_uring_sqe sqe = { 0 };
	io_uring_prep_send(&sqe, fd[0], "a", 1, MSG_DONTWAIT);
	CU_ASSERT_EQUAL(asked_of(&ring, &sqe), 1);
	sqe.flags = IOSQE_IO_LINK;
	CU_ASSERT_EQUAL(asked_of(&ring, &sqe), -EACCES);
	sqe.flags = IOSQE_ASYNC;
	CU_ASSERT_EQUAL(asked_of(&ring, &sqe), -EACCES);
	for (unsigned op = 0; op < 256; op++) {
		if (op == IORING_OP_SEND)
			continue;
		sqe = (struct io_uring_sqe){ .opcode = (uint8_t)op, .fd = fd[0] };
		int rc = asked_of(&ring, &sqe);
		CU_ASSERT(rc == -EACCES || rc == -EINVAL); /* the latter: no such operation */
	}
	CU_ASSERT_EQUAL(io_uring_register_eventfd(&ring, fd[1]), -EACCES);
	io_uring_queue_exit(&ring);
	close(fd[0]);
	close(fd[1]);
}

static bool
kernel_has_a_ring(void)
{
	struct io_uring ring;
	bool has = sends_ring(&ring);
	if (has)
		io_uring_queue_exit(&ring);
	else
		printf("SKIP: this kernel gives no io_uring (%s): what goes among others' sends is not tested\n", strerror(errno));
	return has;
}

static int
thirty_one(struct sp_session *s, enum sp_side from)
{
	int rc = SP_OK;
	if (sp_peek(s, from).len < 4800)
		return sp_want(s, from, 4800, 1u << 20);
	for (unsigned i = 0; i < 16 && rc == SP_OK; i++) {
		rc = sp_pass(s, from, 300);
		if (rc == SP_OK && i < 15)
			rc = sp_put(s, SP_OTHER(from), SP_LIT("-"));
	}
	segments = s->side[SP_OTHER(from)].nsegments;
	return rc;
}

static void
say_4800(int fd)
{
	char b[4800];
	memset(b, 'x', sizeof(b));
	CU_ASSERT_EQUAL(write(fd, b, sizeof(b)), (ssize_t)sizeof(b));
}

/* The client is gone when an answer in as many pieces as there may be goes out: its farewell comes upon none of them (P10). */
static void
test_gone_amid_pieces(void)
{
	begin(thirty_one);
	say_4800(v.target);
	close(v.client);
	v.client = -1;
	world_turn(&v);
	CU_ASSERT_EQUAL(segments, STREAM_SEGMENTS - 1);
	CU_ASSERT_EQUAL(v.closed, 1);
	end();
}

/* No memory for a part of the output: nothing of what comes behind it leaves. */
static void
test_no_memory_for_pieces(void)
{
	begin(thirty_one);
	v.send_max = 7;
	v.s->side[SP_TARGET].out.max = 200;
	say_4800(v.client);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "xxxxxxx");
	end();
}

static CU_TestInfo streams[] = {
	{ "a client that does not read", test_client_does_not_read },
	{ "a module that does not consume", test_nobody_consumes },
	{ "order, folds and partial sends", test_order },
	{ "one segment", test_one_segment },
	{ "a long message comes whole", test_want },
	{ "too long", test_too_long },
	{ "a writer grows", test_writer_grows },
	{ "a module that was told \"full\" goes on", test_told_full },
	{ "half closed", test_half_closed },
	{ "the end of a side", test_end_of_a_side },
	{ "a client that went amid many pieces", test_gone_amid_pieces },
	{ "no memory for pieces", test_no_memory_for_pieces },
	{ "read first, then looked at", test_read_then_looked_at },
	{ "read for a session that is over", test_read_for_nobody },
	{ "read for one whose connection changes hands", test_read_and_moved },
	{ "reads of many", test_reads_of_many },
	CU_TEST_INFO_NULL,
};

/* All of the above among others' sends. */
static void
test_all_together(void)
{
	together = true;
	for (const CU_TestInfo *t = streams; t->pName != NULL; t++)
		t->pTestFunc();
	together = false;
}

static CU_TestInfo sends[] = {
	{ "what a turn sends goes at its end", test_goes_together },
	{ "nobody waits for long turns of others", test_none_waits_long },
	{ "what was late goes first", test_rest_goes_first },
	{ "a peer that went meanwhile", test_gone_meanwhile },
	{ "a session that ended meanwhile", test_closed_meanwhile },
	{ "no memory for what is late", test_no_memory_for_late },
	{ "a ring that fails", test_ring_fails },
	{ "streams, among others' sends", test_all_together },
	{ "the ring sends, and does nothing else", test_ring_sends_only },
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	if (!kernel_has_a_ring())
		return cunit_main("stream", streams);
	CU_TestInfo all[(sizeof(streams) + sizeof(sends)) / sizeof(*sends)];
	size_t n = sizeof(streams) / sizeof(*streams) - 1;
	memcpy(all, streams, n * sizeof(*streams));
	memcpy(all + n, sends, sizeof(sends));
	return cunit_main("stream", all);
}
