/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: order, wrap-around, two threads, either side starting anew, and a worker that lies. */
#include <config.h>
#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/record/ring.h"

#define SIZE (64u << 10)
#define HEAD 4096u

static const uint8_t id[ID_LEN] = { 1, 2, 3 };

static struct ring *
ring_of(int fd)
{
	struct ring *r;
	CU_ASSERT_EQUAL_FATAL(ring_map(fd, &r), SP_OK);
	return r;
}

static int
ring_new(void)
{
	int fd;
	CU_ASSERT_EQUAL_FATAL(ring_create(SIZE, &fd), SP_OK);
	return fd;
}

static int
take(struct ring *r, struct frame *f_r)
{
	uint8_t session[ID_LEN];
	struct sp_bytes b;
	int rc = ring_take(r, session, &b);
	if (rc != 1)
		return rc;
	struct sp_reader in = sp_reader(b);
	CU_ASSERT(memcmp(session, id, ID_LEN) == 0);
	CU_ASSERT_EQUAL(frame_decode(&in, f_r), SP_OK);
	return 1;
}

static void
test_order(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	struct frame f = { .type = FRAME_OUTPUT, .payload = SP_LIT("a") }, g;
	CU_ASSERT_EQUAL(take(r, &g), 0);
	uint64_t at = ring_put(w, id, &f, &SP_LIT("bc"), 1);
	CU_ASSERT(at > 0);
	CU_ASSERT_EQUAL(take(r, &g), 0); /* not published */
	(void)ring_publish(w);
	CU_ASSERT_EQUAL(ring_position(w), at);
	CU_ASSERT_EQUAL_FATAL(take(r, &g), 1);
	CU_ASSERT(sp_bytes_is(g.payload, "abc"));
	CU_ASSERT_EQUAL(ring_journaled(w), 0);
	ring_taken(r);
	CU_ASSERT_EQUAL(ring_journaled(w), at);
	CU_ASSERT_EQUAL(ring_synced(w), 0);
	ring_synced_set(r);
	CU_ASSERT_EQUAL(ring_synced(w), at);
	CU_ASSERT_EQUAL(ring_space(w), SIZE);
	CU_ASSERT_EQUAL(ring_identity(w), ring_identity(r));
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

static size_t
length_of(uint32_t n)
{
	return n % 50 == 0 ? n * 7919u % 40000 : n * 37 % 5000;
}

/* Frames of all lengths, many times around, also longer than what the recorder copies at a time; full means 0 and nothing broken. */
static void
test_wrap(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	uint8_t text[40000];
	uint32_t put = 0, taken = 0;
	for (unsigned round = 0; round < 2000; round++) {
		for (;;) {
			memset(text, (uint8_t)put, sizeof(text));
			struct frame f = { .type = FRAME_OUTPUT, .op = put, .payload = { text, length_of(put) } };
			if (ring_put(w, id, &f, NULL, 0) == 0)
				break;
			put++;
		}
		(void)ring_publish(w);
		struct frame g;
		for (unsigned n = round % 13 + 1; n > 0 && take(r, &g) == 1; n--, taken++) {
			CU_ASSERT_FATAL(g.op == taken && g.payload.len == length_of(taken));
			CU_ASSERT_FATAL(g.payload.len == 0 || g.payload.p[0] == (uint8_t)taken);
			CU_ASSERT_FATAL(g.payload.len == 0 || g.payload.p[g.payload.len - 1] == (uint8_t)taken);
		}
		ring_taken(r);
	}
	CU_ASSERT(taken > 10000 && put > taken);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

static void
test_too_big(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd);
	uint8_t *big = mem_alloc(SIZE);
	struct frame f = { .type = FRAME_OUTPUT, .payload = { big, SIZE } };
	CU_ASSERT_EQUAL(ring_put(w, id, &f, NULL, 0), 0);
	f.payload.len = 1;
	struct sp_bytes more[] = { { big, SIZE_MAX / 2 }, { big, SIZE_MAX / 2 + 10 } };
	CU_ASSERT_EQUAL(ring_put(w, id, &f, more, 2), 0);
	CU_ASSERT_EQUAL(ring_space(w), SIZE);
	CU_ASSERT(ring_create(SIZE + 1, &(int){ 0 }) < 0);
	CU_ASSERT(ring_create(1, &(int){ 0 }) < 0);
	free(big);
	ring_unmap(&w);
	close(fd);
}

/* The recorder dies before it said `taken`: its successor takes the same frames. */
static void
test_resume(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	struct frame f = { .type = FRAME_OUTPUT }, g;
	uint64_t third = 0;
	for (f.op = 1; f.op <= 6; f.op++) {
		uint64_t at = ring_put(w, id, &f, NULL, 0);
		third = f.op == 3 ? at : third;
	}
	(void)ring_publish(w);
	CU_ASSERT(take(r, &g) == 1 && take(r, &g) == 1);
	ring_taken(r);
	CU_ASSERT_EQUAL(take(r, &g), 1);
	CU_ASSERT_EQUAL(ring_taken_position(r), third);
	ring_unmap(&r);
	r = ring_of(fd);
	CU_ASSERT(take(r, &g) == 1 && g.op == 3);
	/* The journal knows better than the shared page. */
	CU_ASSERT_EQUAL(ring_seek(r, third), SP_OK);
	CU_ASSERT(take(r, &g) == 1 && g.op == 4);
	CU_ASSERT(ring_seek(r, third + 1) < 0);
	CU_ASSERT(ring_seek(r, third + (1u << 20)) < 0);
	/* A worker that maps it again goes on behind what was published. */
	ring_unmap(&w);
	w = ring_of(fd);
	f.op = 7;
	CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
	(void)ring_publish(w);
	for (uint32_t op = 5; op <= 7; op++)
		CU_ASSERT(take(r, &g) == 1 && g.op == op);
	CU_ASSERT_EQUAL(take(r, &g), 0);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

static void
test_bells(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	struct frame f = { .type = FRAME_OUTPUT }, g;
	uint8_t text[1000] = { 0 };
	CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
	CU_ASSERT(!ring_publish(w)); /* it is awake */
	CU_ASSERT(!ring_sleep(r));   /* not empty */
	CU_ASSERT_EQUAL(take(r, &g), 1);
	CU_ASSERT(ring_sleep(r));
	CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
	CU_ASSERT(ring_publish(w));
	CU_ASSERT(!ring_publish(w)); /* once */
	CU_ASSERT(!ring_wake_wanted(r));
	ring_want_wake(w);
	CU_ASSERT(ring_wake_wanted(r));
	CU_ASSERT(!ring_wake_wanted(r));
	CU_ASSERT(!ring_failed(w));
	ring_fail(r, true);
	CU_ASSERT(ring_failed(w));
	ring_fail(r, false);
	CU_ASSERT(!ring_failed(w));
	/* Half full: ring, once for each progress. */
	f.payload = (struct sp_bytes){ text, sizeof(text) };
	unsigned rung = 0, fits = 0;
	for (; ring_put(w, id, &f, NULL, 0) > 0; fits++)
		rung += ring_publish(w);
	CU_ASSERT_EQUAL(rung, 1);
	CU_ASSERT(fits > 50);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

/* ---- two threads ---- */

#define MANY 300000u

static void *
produce(void *arg)
{
	struct ring *w = arg;
	uint8_t text[300];
	for (uint32_t op = 0; op < MANY;) {
		memset(text, (uint8_t)op, sizeof(text));
		struct frame f = { .type = FRAME_OUTPUT, .op = op, .payload = { text, op % sizeof(text) } };
		if (ring_put(w, id, &f, NULL, 0) > 0) {
			op++;
			if (op % 3 != 0)
				continue;
		} else {
			usleep(10);
		}
		(void)ring_publish(w);
	}
	(void)ring_publish(w);
	return NULL;
}

static void
test_threads(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	pthread_t thread;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, produce, w), 0);
	unsigned bad = 0;
	for (uint32_t op = 0; op < MANY;) {
		struct frame g;
		int rc = take(r, &g);
		if (rc != 1) {
			bad += rc < 0;
			ring_taken(r);
			usleep(10);
			continue;
		}
		bad += g.op != op || g.payload.len != op % 300;
		for (size_t i = 0; i < g.payload.len; i++)
			bad += g.payload.p[i] != (uint8_t)op;
		op++;
		if (op % 16 == 0)
			ring_taken(r);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(bad, 0);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

/* ---- a worker that lies ---- */

/* Shared positions as they lie in memory: published first, then the recorder's. */
static void
test_liar_positions(void)
{
	static const uint64_t odd[] = { 1, 7, SIZE + 8, UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 4, 8 };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		int fd = ring_new();
		struct ring *r = ring_of(fd);
			uint8_t session[ID_LEN];
		struct sp_bytes b;
		uint64_t *shared = mmap(NULL, HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CU_ASSERT_FATAL(shared != MAP_FAILED);
		shared[0] = odd[i];
		CU_ASSERT(ring_take(r, session, &b) < 0);
		munmap(shared, HEAD);
			ring_unmap(&r);
		close(fd);
	}
}

static void
test_liar_lengths(void)
{
	static const uint32_t odd[] = { 0, 1, ID_LEN, ID_LEN + FRAME_HEAD - 1, SIZE, UINT32_MAX, FRAME_MAX + 100, 0x80000000u };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		int fd = ring_new();
		struct ring *w = ring_of(fd), *r = ring_of(fd);
			uint8_t session[ID_LEN];
		struct sp_bytes b;
		struct frame f = { .type = FRAME_OUTPUT, .payload = SP_LIT("hello") };
		uint8_t *shared = mmap(NULL, HEAD + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CU_ASSERT_FATAL(shared != MAP_FAILED);
		CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
		(void)ring_publish(w);
		memcpy(shared + HEAD, &odd[i], 4);
		CU_ASSERT(ring_take(r, session, &b) < 0);
		/* The length outside is right again, the one inside lies. */
		memcpy(shared + HEAD, &(uint32_t){ ID_LEN + FRAME_HEAD + 5 }, 4);
		memcpy(shared + HEAD + 24, &odd[i], 4);
		CU_ASSERT(ring_take(r, session, &b) < 0);
		munmap(shared, HEAD + SIZE);
			ring_unmap(&w);
		ring_unmap(&r);
		close(fd);
	}
}

/* All that is there: of each record its operations, and how long each payload is. */
static const char *
records(struct ring *r)
{
	static char text[512];
	uint8_t session[ID_LEN];
	struct sp_bytes b;
	struct frame f;
	size_t n = 0;
	text[0] = '\0';
	while (ring_take(r, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		int rc;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[%u", session[0]);
		while ((rc = frames_next(&all, &f)) == 1)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s%u.%zu", frame_name(f.type), f.op, f.payload.len);
		CU_ASSERT_EQUAL(rc, 0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "]");
	}
	ring_taken(r);
	return text;
}

static void
put(struct ring *w, uint8_t session, enum frame_type type, uint32_t op, uint64_t at, size_t len)
{
	static const uint8_t text[5000] = { 7 };
	const uint8_t of[ID_LEN] = { session };
	struct frame f = { .type = type, .op = op, .at = at, .payload = { text, len / 2 } };
	CU_ASSERT(ring_put(w, of, &f, &(struct sp_bytes){ text, len - len / 2 }, 1) > 0);
}

/* What is of one session, operation and moment is one record, as long as nobody has seen that. */
static void
test_joined(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	put(w, 1, FRAME_OPERATION, 1, 1, 100);
	put(w, 1, FRAME_VERDICT, 1, 1, 0);
	put(w, 1, FRAME_DONE, 1, 1, 9);
	put(w, 1, FRAME_DONE, 2, 1, 9);   /* another operation */
	put(w, 1, FRAME_DONE, 2, 2, 9);   /* another moment */
	put(w, 2, FRAME_DONE, 2, 2, 9);   /* another session */
	put(w, 2, FRAME_NOTICE, 0, 3, 1); /* of none */
	put(w, 2, FRAME_NOTICE, 0, 3, 1);
	CU_ASSERT_STRING_EQUAL(records(r), "");
	(void)ring_publish(w);
	CU_ASSERT_STRING_EQUAL(records(r), "[1 operation1.100 verdict1.0 done1.9][1 done2.9][1 done2.9][2 done2.9][2 notice0.1][2 notice0.1]");
	put(w, 1, FRAME_COLUMNS, 3, 3, 5);
	(void)ring_publish(w);
	put(w, 1, FRAME_DONE, 3, 3, 5); /* the one before was shown */
	put(w, 1, FRAME_END, 3, 3, 5);  /* it stands alone, … */
	put(w, 1, FRAME_DONE, 3, 3, 5); /* … and nothing joins it */
	(void)ring_publish(w);
	CU_ASSERT_STRING_EQUAL(records(r), "[1 columns3.5][1 done3.5][1 end3.5][1 done3.5]");
	put(w, 1, FRAME_ROWS, 4, 4, 4000);
	put(w, 1, FRAME_ROWS, 4, 4, 96);
	put(w, 1, FRAME_ROWS, 4, 4, 1); /* too long */
	for (unsigned i = 0; i < 8; i++)
		put(w, 1, FRAME_ROWS, 4, 4, 1); /* and too many */
	(void)ring_publish(w);
	CU_ASSERT_STRING_EQUAL(records(r), "[1 rows4.4000 rows4.96][1 rows4.1 rows4.1 rows4.1 rows4.1 rows4.1 rows4.1 rows4.1 rows4.1][1 rows4.1]");
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

/* All lengths, across the end of the memory, and where there is no room: what was there before stays whole. */
static void
test_joined_everywhere(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	uint8_t text[300], session[ID_LEN];
	struct frame f = { .type = FRAME_ROWS }, g;
	struct sp_bytes b;
	unsigned puts = 0, full = 0, taken = 0;
	for (unsigned i = 0; i < 20000; i++) {
		memset(text, (int)i, sizeof(text));
		f.op = 1 + i / 3;
		f.payload = (struct sp_bytes){ text, i % sizeof(text) };
		if (ring_put(w, id, &f, NULL, 0) > 0)
			puts++;
		else
			full++;
		if (i % 500 != 499)
			continue;
		(void)ring_publish(w);
		while (ring_take(r, session, &b) == 1)
			for (struct frames_walk all = { .in = sp_reader(b) }; frames_next(&all, &g) == 1; taken++)
				for (size_t k = 1; k < g.payload.len; k++)
					CU_ASSERT_EQUAL_FATAL(g.payload.p[k], g.payload.p[0]);
		ring_taken(r);
	}
	CU_ASSERT(full > 100);
	CU_ASSERT_EQUAL(taken, puts);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

/* What was taken is a copy, also of frames behind it, and the file cannot be made shorter (no SIGBUS). */
static void
test_liar_rewrites(void)
{
	int fd = ring_new();
	struct ring *w = ring_of(fd), *r = ring_of(fd);
	struct frame f = { .type = FRAME_OUTPUT, .payload = SP_LIT("honest") }, g;
	CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
	f.payload = SP_LIT("behind it");
	CU_ASSERT(ring_put(w, id, &f, NULL, 0) > 0);
	(void)ring_publish(w);
	CU_ASSERT_EQUAL_FATAL(take(r, &g), 1);
	uint8_t *shared = mmap(NULL, HEAD + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL(shared != MAP_FAILED);
	memset(shared, 0xff, HEAD + SIZE);
	CU_ASSERT(sp_bytes_is(g.payload, "honest"));
	CU_ASSERT(take(r, &g) == 1 && sp_bytes_is(g.payload, "behind it"));
	CU_ASSERT(take(r, &g) < 0);
	CU_ASSERT(ftruncate(fd, 0) != 0);
	CU_ASSERT(ftruncate(fd, HEAD + 2 * SIZE) != 0);
	munmap(shared, HEAD + SIZE);
	ring_unmap(&w);
	ring_unmap(&r);
	close(fd);
}

/* Not a ring: a file that could be truncated, one of a wrong size. */
static void
test_not_a_ring(void)
{
	struct ring *r;
	FILE *t = tmpfile();
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(ftruncate(fileno(t), HEAD + SIZE), 0);
	CU_ASSERT(ring_map(fileno(t), &r) < 0);
	CU_ASSERT_PTR_NULL(r);
	fclose(t);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "frames come in order, once published", test_order },
		{ "all lengths, many times around", test_wrap },
		{ "what cannot fit is refused", test_too_big },
		{ "frames of a moment join", test_joined },
		{ "they join everywhere", test_joined_everywhere },
		{ "either side resumes", test_resume },
		{ "bells, sleep, failure", test_bells },
		{ "two threads", test_threads },
		{ "a worker lies about positions", test_liar_positions },
		{ "a worker lies about lengths", test_liar_lengths },
		{ "a worker rewrites what was taken", test_liar_rewrites },
		{ "memory that is no ring", test_not_a_ring },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("ring", tests);
}
