/* SPDX-License-Identifier: Apache-2.0 */
/* A session's streams: order, partial sends, half-closed ends, and what is bounded. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
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
	for (unsigned stuck = 0; done < n && stuck < 8;) {
		size_t len = n - done < sizeof(b) ? n - done : sizeof(b);
		for (size_t i = 0; i < len; i++)
			b[i] = byte_at(from + done + i);
		ssize_t w = send(fd, b, len, MSG_NOSIGNAL);
		stuck = w > 0 ? 0 : stuck + 1;
		done += w > 0 ? (size_t)w : 0;
		if (w <= 0)
			(void)poll(NULL, 0, 1); /* in a flood a socket rests for a moment */
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
	for (unsigned i = 1; i < SESSIONS; i++)
		world_another(&v, &client[i], &target[i]);
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

/* More than the client's socket takes; what is left waits in the session, and the target's socket is empty. */
static size_t
too_much(void)
{
	int least = 1;
	char b[20000] = "";
	CU_ASSERT_EQUAL(setsockopt(v.s->side[SP_CLIENT].fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	CU_ASSERT_EQUAL(write(v.target, b, sizeof(b)), (ssize_t)sizeof(b));
	world_turn(&v);
	CU_ASSERT(v.s->side[SP_CLIENT].out.len > 5000 && v.s->side[SP_TARGET].reading);
	return sizeof(b);
}

static size_t
hears_all(void)
{
	size_t got = 0;
	char b[4096];
	for (unsigned i = 0; i < 300; i++) {
		for (ssize_t n; (n = recv(v.client, b, sizeof(b), MSG_DONTWAIT)) > 0;)
			got += (size_t)n;
		world_turn_once(&v);
	}
	return got;
}

/* The target ends, and so does in the same turn a client that has said all it had to (FIN) and waits for the answer's rest. */
static void
test_answer_to_half_closed(void)
{
	begin(NULL);
	size_t sent = too_much();
	close(v.target);
	v.target = -1;
	CU_ASSERT_EQUAL(shutdown(v.client, SHUT_WR), 0);
	world_turn(&v);
	CU_ASSERT_EQUAL(hears_all(), sent);
	CU_ASSERT_EQUAL(v.closed, 1);
	end();
}

/* …or for the rest and for why it ended. */
static void
test_farewell_to_half_closed(void)
{
	begin(NULL);
	v.half_close = true;
	size_t sent = too_much();
	CU_ASSERT_EQUAL(shutdown(v.client, SHUT_WR), 0);
	(void)event_base_loop(v.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	session_finish(v.s, SP_END_EXPIRED, "your access has expired"); /* as the tick does */
	world_turn(&v);
	CU_ASSERT_EQUAL(hears_all(), sent + strlen("BYE your access has expired"));
	CU_ASSERT_EQUAL(v.closed, 1);
	end();
}

/* A statement that is there when the tick comes: who sent it is not idle.  (Sockets come before timers in a turn.) */
static void
test_idle(void)
{
	struct timeval tick = { .tv_usec = 50000 };
	begin(NULL);
	v.mode = LINES;
	struct target *t = (struct target *)(uintptr_t)v.s->target;
	worker_clock(v.w);
	v.s->active = v.w->now;
	t->timeout.idle = 300;
	event_add(&v.w->tick, &tick);
	(void)poll(NULL, 0, 400);
	CU_ASSERT_EQUAL(write(v.client, "select 1\n", 9), 9);
	world_turn_once(&v);
	t->timeout.idle = 0;
	event_del(&v.w->tick);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 0);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	end();
}

static int
pairs(struct sp_session *s, enum sp_side from)
{
	size_t n = sp_peek(s, from).len;
	return n < 3 ? SP_OK : sp_pass(s, from, n - n % 3);
}

/* Once round, and the loop asks the kernel twice: more than 32 deferred callbacks (answers of the name server) do that. */
static int later_fd;

static void
on_later(struct evbuffer *b, const struct evbuffer_cb_info *info, void *arg)
{
	(void)b, (void)info, (void)arg;
	if (later_fd >= 0)
		CU_ASSERT_EQUAL(write(later_fd, "cdef", 4), 4);
	later_fd = -1;
}

static void
on_now(evutil_socket_t fd, short what, void *arg)
{
	struct evbuffer **b = arg;
	(void)fd, (void)what;
	for (unsigned i = 0; i < 80; i++)
		evbuffer_add(b[i], "x", 1);
}

static void
test_twice_in_a_turn(void)
{
	struct evbuffer *b[80];
	struct event now;
	begin(pairs);
	for (unsigned i = 0; i < 80; i++) {
		b[i] = evbuffer_new();
		evbuffer_defer_callbacks(b[i], v.base);
		evbuffer_add_cb(b[i], on_later, NULL);
	}
	event_assign(&now, v.base, -1, 0, on_now, b);
	later_fd = v.client;
	CU_ASSERT_EQUAL(write(v.client, "ab", 2), 2);
	event_active(&now, EV_TIMEOUT, 0);
	(void)event_base_loop(v.base, EVLOOP_ONCE); /* as loop_run() in role.c */
	worker_handler.turned(v.w);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "abcdef");
	for (unsigned i = 0; i < 80; i++)
		evbuffer_free(b[i]);
	end();
}

static void
test_twice(void)
{
	begin(pairs);
	CU_ASSERT_EQUAL(write(v.client, "ab", 2), 2);
	loop_once();
	CU_ASSERT_EQUAL(write(v.client, "cdef", 4), 4);
	loop_once();
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "abcdef");
	end();
}

/* No memory for what was read, as its connection changes hands: who has it now must not go on without those bytes. */
static void
test_no_memory_moved(void)
{
	struct stream to;
	begin(NULL);
	struct stream *from = &v.s->side[SP_TARGET];
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
	loop_once();
	CU_ASSERT(from->ahead);
	from->in.max = 1;
	memset(&to, 0, sizeof(to));
	stream_init(&to, v.s, SP_TARGET);
	stream_move(&to, from);
	CU_ASSERT(to.error || to.in.len == 6);
	from->error = false;
	stream_move(from, &to);
	stream_arm(from);
	world_turn(&v);
	end();
}

/* ---- who waits for whom ---- */

static struct sp_session *mine;
static unsigned before_mine, others_in_all;
static bool mine_was;

static int
slow(struct sp_session *s, enum sp_side from)
{
	size_t n = sp_peek(s, from).len;
	if (s == mine) {
		mine_was = true;
		return sp_pass(s, from, n);
	}
	others_in_all++;
	before_mine += !mine_was;
	(void)poll(NULL, 0, 2); /* takes long: a key exchange, a statement to be judged */
	return n % 2 == 1 ? SP_OK : sp_drop(s, from, n);
}

static void
waits_for(bool logging_in)
{
	enum { OTHERS = 16 };
	int client[OTHERS], target[OTHERS];
	begin(NULL);
	mine = v.s;
	int my_client = v.client, my_target = v.target;
	v.slow_login = logging_in;
	v.mode = LINES;
	for (unsigned i = 0; i < OTHERS; i++)
		world_another(&v, &client[i], &target[i]);
	v.mode = RAW;
	toy.data = slow;
	mine_was = true;
	for (unsigned i = 0; i < OTHERS && !logging_in; i++) /* half of a message, which waits for the other half */
		CU_ASSERT_EQUAL(write(target[i], "x", 1), 1);
	world_turn(&v);
	mine_was = false;
	before_mine = others_in_all = 0;
	CU_ASSERT_EQUAL(write(my_client, "question", 8), 8);
	for (unsigned i = 0; i < OTHERS; i++)
		CU_ASSERT_EQUAL(write(target[i], "xx", logging_in ? 2 : 1), logging_in ? 2 : 1);
	world_turn_once(&v);
	CU_ASSERT(mine_was);
	CU_ASSERT(others_in_all >= OTHERS);
	CU_ASSERT(before_mine <= 1);
	if (before_mine > 1)
		printf("\n  it waited for %u long turns of others ", before_mine);
	for (unsigned i = 0; i < OTHERS; i++) {
		close(client[i]);
		close(target[i]);
	}
	v.client = my_client;
	v.target = my_target;
	world_turn(&v);
	end();
}

static void
test_waits_for_logins(void)
{
	waits_for(true);
}

static void
test_waits_for_halves(void)
{
	waits_for(false);
}

/* ---- at random ---- */

#define FEW 14
static void
turn_as_role(void)
{
	(void)event_base_loop(v.base, world_rounds);
	worker_handler.turned(v.w);
}

static struct one {
	struct sp_session *s;
	uint8_t id[ID_LEN];
	int fd[2];
	size_t said[2], got[2]; /* [i]: by and at that side */
	unsigned seed;
	bool killed;
} one[FEW];

static uint8_t
byte_of(const struct one *o, unsigned by, size_t i)
{
	uint32_t x = (uint32_t)(o->seed * 2654435761u + by * 40503u + i * 2246822519u);
	x ^= x >> 15;
	return (uint8_t)(x * 3266489917u >> 24);
}

static bool
one_lives(const struct one *o)
{
	return session_find(v.w, (struct sp_bytes){ o->id, ID_LEN }) != NULL;
}

static void
one_begin(struct one *o, unsigned seed)
{
	world_another(&v, &o->fd[0], &o->fd[1]);
	CU_ASSERT_EQUAL_FATAL(v.s->state, SESSION_RUN);
	o->s = v.s;
	memcpy(o->id, v.s->id, ID_LEN);
	memset(o->said, 0, sizeof(o->said));
	memset(o->got, 0, sizeof(o->got));
	o->seed = seed;
	o->killed = false;
	v.s = NULL;
	v.client = v.target = -1;
}

static int
pairs_once_in(struct sp_session *s, enum sp_side from)
{
	return s->state == SESSION_RUN ? pairs(s, from) : lines(s, from);
}

static void
one_says(struct one *o, unsigned by, size_t n)
{
	static uint8_t b[200000];
	for (size_t i = 0; i < n; i++)
		b[i] = byte_of(o, by, o->said[by] + i);
	ssize_t w = o->fd[by] < 0 ? 0 : send(o->fd[by], b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	o->said[by] += w > 0 ? (size_t)w : 0;
}

static bool
one_hears(struct one *o, unsigned at, size_t most)
{
	static uint8_t b[400000];
	bool good = true;
	ssize_t n = o->fd[at] < 0 ? 0 : recv(o->fd[at], b, most, MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++)
		good = good && b[i] == byte_of(o, !at, o->got[at] + (size_t)i);
	o->got[at] += n > 0 ? (size_t)n : 0;
	good = good && o->got[at] <= o->said[!at];
	for (ssize_t i = 0; i < n && !good; i++) {
		size_t from = o->got[at] - (size_t)n + (size_t)i;
		if (b[i] == byte_of(o, !at, from))
			continue;
		printf("\n  wrong at side %u: %zd came, at %zu of %zu", at, n, from, o->said[!at]);
		for (size_t k = 0; k < o->said[!at] && i + 8 < n; k++) {
			bool same = true;
			for (size_t j = 0; j < 8; j++)
				same = same && b[(size_t)i + j] == byte_of(o, !at, k + j);
			if (same)
				printf(": here are those from %zu", k);
		}
		break;
	}
	return good;
}

static void
one_moves(struct one *o)
{
	struct stream to, *from = &o->s->side[SP_TARGET];
	if (from->flooding || !stream_idle(from))
		return;
	memset(&to, 0, sizeof(to));
	stream_init(&to, o->s, SP_TARGET);
	stream_move(&to, from);
	stream_move(from, &to);
	stream_arm(from);
	session_kick(o->s); /* what waits is looked at, as in session_log_in() */
}

static size_t
size_at_random(void)
{
	unsigned k = (unsigned)rand() % 20;
	return 1 + (size_t)rand() % (k == 0 ? 150000 : k < 4 ? 9000 : 60);
}

static bool
random_step(unsigned seed, unsigned step, bool twice)
{
	bool good = true;
	struct one *o = &one[rand() % FEW];
	unsigned side = (unsigned)rand() % 2;
	switch (rand() % 24) {
	case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7:
		one_says(o, side, size_at_random());
		break;
	case 8: case 9: case 10: case 11: case 12:
		good = one_hears(o, side, (size_t)rand() % 400000);
		break;
	case 13:
		if (one_lives(o))
			session_kick(o->s);
		break;
	case 14:
		(void)event_base_loop(v.base, world_rounds);
		if (one_lives(o) && o->s->state == SESSION_RUN)
			one_moves(o);
		worker_handler.turned(v.w);
		break;
	case 15:
		if (rand() % 8 != 0)
			break;
		(void)event_base_loop(v.base, world_rounds);
		if (one_lives(o))
			session_finish(o->s, SP_END_REVOKED, "killed");
		o->killed = true;
		if (rand() % 2)
			session_run_kicked(v.w);
		worker_handler.turned(v.w);
		break;
	case 16: {
		struct message m = { .type = MSG_KILL, .f = { S(((struct sp_bytes){ o->id, ID_LEN })), Q(SP_END_REVOKED), Z("by the keeper") } };
		if (rand() % 8 == 0)
			o->killed = true;
		else
			m = (struct message){ .type = MSG_EXPIRES, .f = { S(((struct sp_bytes){ o->id, ID_LEN })), Q(0) } };
		CU_ASSERT_EQUAL(link_send(v.keeper, &m), SP_OK);
		break;
	}
	case 17:
		worker_clock(v.w);
		record_progress(v.w);
		(void)world_recorded(&v);
		break;
	case 18:
		if (rand() % 8 != 0)
			break;
		o->killed = true;
		close(o->fd[side]);
		o->fd[side] = -1;
		break;
	case 19: /* its descriptors are used again */
		if (!o->killed || one_lives(o))
			break;
		if (o->fd[0] >= 0)
			close(o->fd[0]);
		if (o->fd[1] >= 0)
			close(o->fd[1]);
		one_begin(o, seed * 100000 + step);
		break;
	case 20:
		if (twice)
			(void)event_base_loop(v.base, world_rounds);
		break;
	case 21:
		worker_clock(v.w);
		LIST_EACH(n, next, &v.w->sessions)
			session_tick(LIST_OF(n, struct sp_session, all));
		break;
	default:
		turn_as_role();
	}
	return good;
}

static void
ends_whole(unsigned seed, bool good)
{
	for (unsigned i = 0; i < FEW; i++) {
		struct one *o = &one[i];
		bool whole = o->killed || (o->said[0] - o->got[1] < 3 && o->said[1] - o->got[0] < 3);
		CU_ASSERT(whole);
		if (!whole || !good)
			printf("\n  seed %u: session %u: %zu of %zu, %zu of %zu%s", seed, i, o->got[1], o->said[0], o->got[0], o->said[1], good ? "" : ", wrong");
		for (unsigned k = 0; k < 2; k++)
			if (o->fd[k] >= 0)
				close(o->fd[k]);
	}
}

static void
at_random(unsigned seed, bool twice)
{
	bool good = true;
	int (*said_end)(struct sp_session *, enum sp_why, const char *) = toy.end;
	srand(seed);
	world_rounds = twice ? EVLOOP_NONBLOCK : EVLOOP_ONCE | EVLOOP_NONBLOCK;
	begin(pairs_once_in);
	v.mode = LINES;
	toy.end = NULL;
	int c = v.client, t = v.target;
	v.s = NULL;
	for (unsigned i = 0; i < FEW; i++)
		one_begin(&one[i], seed * 1000 + i);
	for (unsigned step = 0; step < 4000 && good; step++)
		good = random_step(seed, step, twice);
	for (unsigned dry = 0; dry < 60 && good; dry++) {
		for (unsigned i = 0; i < FEW; i++)
			good = good && one_hears(&one[i], 0, 400000) && one_hears(&one[i], 1, 400000);
		(void)world_recorded(&v);
		turn_as_role();
		turn_as_role();
		(void)poll(NULL, 0, 2); /* Nagle's */
	}
	CU_ASSERT(good);
	ends_whole(seed, good);
	v.client = c;
	v.target = t;
	world_turn(&v);
	toy.end = said_end;
	world_rounds = EVLOOP_NONBLOCK;
	end();
}

static void
test_at_random(void)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		at_random(seed, false);
}

static void
test_at_random_twice(void)
{
	for (unsigned seed = 1; seed <= 3; seed++)
		at_random(seed, true);
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

/* Nobody else was heard in this turn: there is nothing to wait for. */
static void
test_alone_goes_at_once(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	world_turn_open(&v);
	CU_ASSERT(!v.s->side[SP_TARGET].sending);
	CU_ASSERT_EQUAL(waits_there(v.target), 8);
	worker_handler.turned(v.w);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "question");
	end();
}

/* Others' turns may take long: nobody waits for all of them. */
static void
test_none_waits_long(void)
{
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "question", 8), 8);
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
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
	CU_ASSERT_EQUAL(write(v.target, "answer", 6), 6);
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
	static const uint8_t long_answer[SENDS_PIECE + 1]; /* goes by itself, and is read in the same turn */
	begin_together();
	CU_ASSERT_EQUAL(write(v.client, "abcdefgh", 8), 8);
	CU_ASSERT_EQUAL(write(v.target, long_answer, sizeof(long_answer)), (ssize_t)sizeof(long_answer));
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
	{ "answer to one that has half closed", test_answer_to_half_closed },
	{ "farewell to one that has half closed", test_farewell_to_half_closed },
	{ "a statement in the turn of a tick", test_idle },
	{ "readable twice in a turn", test_twice },
	{ "readable twice in a turn, by deferred callbacks", test_twice_in_a_turn },
	{ "no memory for what moves", test_no_memory_moved },
	{ "waits for log-ins of others", test_waits_for_logins },
	{ "waits for halves of others", test_waits_for_halves },
	{ "at random", test_at_random },
	{ "at random, twice in a turn", test_at_random_twice },
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
	{ "who is alone in a turn sends at once", test_alone_goes_at_once },
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
