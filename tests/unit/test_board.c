/* SPDX-License-Identifier: Apache-2.0 */
/* Rates over many processes, places that make room, a lock whose holder died, a board that lies. */
#include <config.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/board.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "cunit_main.h"

static struct board *
board_new(int *fd_r)
{
	struct board *b = NULL;
	CU_ASSERT_EQUAL_FATAL(board_create(fd_r), SP_OK);
	CU_ASSERT_EQUAL_FATAL(board_map(*fd_r, &b), SP_OK);
	return b;
}

static void
board_end(struct board **b, int fd)
{
	board_unmap(b);
	CU_ASSERT_PTR_NULL(*b);
	(void)close(fd);
}

static const struct board_rate five = { 5, 10000 };

static void
five_in_ten_seconds(void)
{
	int fd;
	uint64_t retry;
	struct board *b = board_new(&fd);
	const uint8_t ann[16] = "ann", bob[16] = "bob";
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_TRUE(board_charge(b, ann, &five, 100000, &retry));
	CU_ASSERT_EQUAL(retry, 0);
	CU_ASSERT_FALSE(board_charge(b, ann, &five, 100000, &retry));
	CU_ASSERT_EQUAL(retry, 2000);
	CU_ASSERT_FALSE(board_charge(b, ann, &five, 101000, &retry));
	CU_ASSERT_EQUAL(retry, 1000);
	CU_ASSERT_TRUE(board_charge(b, bob, &five, 101000, &retry));
	CU_ASSERT_TRUE(board_charge(b, ann, &five, 102000, &retry));
	CU_ASSERT_FALSE(board_charge(b, ann, &five, 102000, &retry));
	/* a window later all is well again, and no better than that */
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_TRUE(board_charge(b, ann, &five, 900000, &retry));
	CU_ASSERT_FALSE(board_charge(b, ann, &five, 900000, &retry));
	board_end(&b, fd);
}

/* P10: what was used counts even when it was too much; the debt is paid by waiting. */
static void
a_budget_goes_into_debt(void)
{
	int fd;
	const struct board_share half = { 500000, 1000 };
	struct board *b = board_new(&fd);
	const uint8_t ann[16] = "ann", bob[16] = "bob";
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 100000, 5000), 0);
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 400000, 5000), 0);
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 50000, 5000), 100);
	CU_ASSERT_EQUAL(board_spend(b, bob, &half, 50000, 5000), 0);
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 1, 5100), 1);
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 0, 5200), 0);
	CU_ASSERT_EQUAL(board_spend(b, ann, &half, 100000000, 9000), 1000); /* never more than a window */
	const struct board_share none = { 0, 1000 };
	CU_ASSERT_EQUAL(board_spend(b, bob, &none, 1, 5000), 1000);
	board_end(&b, fd);
}

struct told {
	uint8_t key[8][16];
	uint64_t ns[8];
	size_t n, max;
};

static bool
take(void *owner, const uint8_t key[16], uint64_t ns)
{
	struct told *t = owner;
	if (t->n == t->max)
		return false;
	memcpy(t->key[t->n], key, 16);
	t->ns[t->n++] = ns;
	return true;
}

/* Two boards, as of two gateways: what one lets through the other counts. */
static void
gateways_count_together(void)
{
	int fd[2];
	uint64_t retry;
	struct board *a = board_new(&fd[0]), *b = board_new(&fd[1]);
	const uint8_t ann[16] = "ann", bob[16] = "bob";
	struct told t = { .max = 8 }, none = { .max = 8 };
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(board_charge(a, ann, &five, 100000, &retry));
	board_take(a, take, &t);
	CU_ASSERT_EQUAL_FATAL(t.n, 1);
	CU_ASSERT(memcmp(t.key[0], ann, 16) == 0 && t.ns[0] == 3 * 2000000000ull);
	board_take(a, take, &none);
	CU_ASSERT_EQUAL(none.n, 0); /* once */
	board_pay(b, t.key[0], t.ns[0], 100000);
	board_take(b, take, &none);
	CU_ASSERT_EQUAL(none.n, 0); /* and not told back */
	CU_ASSERT_TRUE(board_charge(b, ann, &five, 100000, &retry));
	CU_ASSERT_TRUE(board_charge(b, ann, &five, 100000, &retry));
	CU_ASSERT_FALSE(board_charge(b, ann, &five, 100000, &retry));
	CU_ASSERT_EQUAL(retry, 2000);
	/* Both let through all at once before they heard: what was too much is waited for. */
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_TRUE(board_charge(a, bob, &five, 200000, &retry) && board_charge(b, bob, &five, 200000, &retry));
	board_pay(b, bob, 10000000000ull, 200000);
	CU_ASSERT_FALSE(board_charge(b, bob, &five, 211000, &retry));
	CU_ASSERT_EQUAL(retry, 1000);
	CU_ASSERT_TRUE(board_charge(b, bob, &five, 212000, &retry));
	/* Who takes no more is told the rest the next time. */
	t = (struct told){ .max = 1 };
	board_take(b, take, &t);
	CU_ASSERT_EQUAL(t.n, 1);
	t = (struct told){ .max = 8 };
	board_take(b, take, &t);
	CU_ASSERT_EQUAL(t.n, 1);
	board_pay(b, bob, UINT64_MAX, 300000); /* nonsense of another gateway ends, too */
	CU_ASSERT_FALSE(board_charge(b, bob, &five, 300000, &retry));
	CU_ASSERT(retry <= 10000);
	board_end(&a, fd[0]);
	board_end(&b, fd[1]);
}

static void
odd_rates_deny(void)
{
	int fd;
	uint64_t retry;
	struct board *b = board_new(&fd);
	const uint8_t key[16] = "k";
	static const struct board_rate odd[] = { { 0, 0 }, { 0, 1000 }, { 5, 0 }, { 5, UINT64_MAX } };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		CU_ASSERT_FALSE(board_charge(b, key, &odd[i], 1000, &retry));
	CU_ASSERT_FALSE(board_charge(b, key, &five, UINT64_MAX, &retry));
	const struct board_rate many = { UINT64_MAX, 1 }, one = { 1, 3600000 };
	CU_ASSERT_TRUE(board_charge(b, key, &many, 1000, &retry));
	CU_ASSERT_TRUE(board_charge(b, (const uint8_t *)"0123456789abcdef", &one, 1000, &retry));
	CU_ASSERT_FALSE(board_charge(b, (const uint8_t *)"0123456789abcdef", &one, 1000, &retry));
	CU_ASSERT_EQUAL(retry, 3600000);
	board_end(&b, fd);
}

static void
a_full_bucket_denies_and_makes_room(void)
{
	int fd;
	uint64_t retry;
	struct board *b = board_new(&fd);
	uint8_t key[16] = { 0 };
	for (uint8_t i = 0; i < 8; i++) { /* the first four bytes choose the bucket: all the same */
		key[15] = i;
		CU_ASSERT_TRUE(board_charge(b, key, &five, 100000u + i, &retry));
	}
	key[15] = 99;
	CU_ASSERT_FALSE(board_charge(b, key, &five, 100100, &retry));
	CU_ASSERT_TRUE(retry > 0);
	CU_ASSERT_TRUE(board_charge(b, key, &five, 102000, &retry)); /* the first one's is unused again */
	board_end(&b, fd);
}

static unsigned
count_allowed(int fd, const uint8_t key[16], unsigned tries)
{
	struct board *b;
	unsigned got = 0;
	uint64_t retry;
	const struct board_rate rate = { 1000, 60000 };
	if (board_map(fd, &b) != SP_OK)
		return 0;
	for (unsigned i = 0; i < tries; i++)
		got += board_charge(b, key, &rate, 500000, &retry);
	board_unmap(&b);
	return got;
}

static void
workers_count_together(void)
{
	int fd, out[2];
	struct board *b = board_new(&fd);
	uint8_t key[16];
	id_new(key);
	CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
	for (unsigned i = 0; i < 4; i++) {
		if (fork() == 0) {
			unsigned got = count_allowed(fd, key, 2000);
			_exit(write(out[1], &got, sizeof(got)) == sizeof(got) ? 0 : 1);
		}
	}
	unsigned sum = 0, got;
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(read(out[0], &got, sizeof(got)), sizeof(got));
		sum += got;
		(void)wait(NULL);
	}
	CU_ASSERT_EQUAL(sum, 1000);
	(void)close(out[0]), (void)close(out[1]);
	board_end(&b, fd);
}

#define SLOT_WORDS 48 /* beat and times, to a whole number of cache lines */

/* The words of a board as a broken or dying worker may leave them. */
static uint64_t *
board_words(int fd, size_t *n_r)
{
	off_t size = lseek(fd, 0, SEEK_END);
	uint64_t *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(p, MAP_FAILED);
	*n_r = (size_t)size / sizeof(*p);
	return p;
}

static void
a_dead_workers_lock_is_taken_from_it(void)
{
	int fd;
	size_t n;
	uint64_t retry;
	struct board *b = board_new(&fd);
	uint64_t *word = board_words(fd, &n);
	const uint8_t key[16] = { 0 };
	word[BOARD_SLOTS * SLOT_WORDS] = 12345; /* the first bucket's lock */
	CU_ASSERT_TRUE(board_charge(b, key, &five, 1000, &retry));
	CU_ASSERT_EQUAL(word[BOARD_SLOTS * SLOT_WORDS], 0);
	(void)munmap(word, n * sizeof(*word));
	board_end(&b, fd);
}

static void
times_are_added_up(void)
{
	int fd;
	struct board *b = board_new(&fd);
	struct board_added t;
	uint64_t all = 0;
	board_add(b, 0, BOARD_FORWARD, 0);
	board_add(b, 0, BOARD_FORWARD, board_added_us[0]);
	board_add(b, 1, BOARD_FORWARD, board_added_us[0] + 1);
	board_add(b, BOARD_SLOTS - 1, BOARD_FORWARD, UINT32_MAX);
	board_add(b, BOARD_SLOTS, BOARD_FORWARD, 7); /* nobody's */
	board_added_read(b, BOARD_FORWARD, &t);
	for (size_t i = 0; i <= BOARD_STEPS; i++)
		all += t.count[i];
	CU_ASSERT(t.count[0] == 2 && t.count[1] == 1 && t.count[BOARD_STEPS] == 1 && all == 4);
	CU_ASSERT_EQUAL(t.sum_us, 2 * board_added_us[0] + 1 + UINT32_MAX);
	board_add(b, 0, BOARD_TIMES, 7); /* nothing's */
	board_added_read(b, BOARD_ANSWER, &t);
	CU_ASSERT(t.count[0] == 0 && t.sum_us == 0);
	board_end(&b, fd);
}

static void
whatever_stands_there_harms_nobody(void)
{
	int fd;
	size_t n;
	uint64_t retry;
	struct board *b = board_new(&fd);
	uint64_t *word = board_words(fd, &n);
	for (unsigned round = 0; round < 3; round++) {
		if (round == 0)
			memset(word, 0xff, n * sizeof(*word));
		else
			random_bytes(word, n * sizeof(*word));
		for (unsigned i = 0; i < 20; i++) {
			uint8_t key[16];
			id_new(key);
			(void)!board_charge(b, key, &five, 1000000, &retry);
			CU_ASSERT_TRUE(retry <= 10000);
			(void)board_last_beat(b, i);
		}
	}
	/* a place that says "used up for ever" heals with time */
	memset(word, 0, n * sizeof(*word));
	const uint8_t key[16] = { 0 };
	CU_ASSERT_TRUE(board_charge(b, key, &five, 1000, &retry));
	word[BOARD_SLOTS * SLOT_WORDS + 3] = UINT64_MAX; /* lock, key, full_at */
	CU_ASSERT_FALSE(board_charge(b, key, &five, 1000, &retry));
	CU_ASSERT_TRUE(retry <= 10000);
	(void)munmap(word, n * sizeof(*word));
	board_end(&b, fd);
}

static void
only_a_board_is_mapped(void)
{
	struct board *b = (struct board *)&b;
	int fd = memfd_create("x", MFD_ALLOW_SEALING);
	CU_ASSERT_NOT_EQUAL(board_map(fd, &b), SP_OK);
	CU_ASSERT_PTR_NULL(b);
	int real;
	CU_ASSERT_EQUAL_FATAL(board_create(&real), SP_OK);
	off_t size = lseek(real, 0, SEEK_END);
	CU_ASSERT_EQUAL(ftruncate(fd, size), 0);
	CU_ASSERT_NOT_EQUAL(board_map(fd, &b), SP_OK); /* it could be cut under us */
	CU_ASSERT_NOT_EQUAL(ftruncate(real, 0), 0);
	(void)close(fd), (void)close(real);
}

static void
hearts_beat(void)
{
	int fd;
	struct board *b = board_new(&fd), *master;
	CU_ASSERT_EQUAL_FATAL(board_map(fd, &master), SP_OK);
	CU_ASSERT_EQUAL(board_last_beat(master, 3), 0);
	board_beat(b, 3, 4711);
	board_beat(b, BOARD_SLOTS, 1);
	CU_ASSERT_EQUAL(board_last_beat(master, 3), 4711);
	CU_ASSERT_EQUAL(board_last_beat(master, 2), 0);
	CU_ASSERT_EQUAL(board_last_beat(master, BOARD_SLOTS), 0);
	board_unmap(&master);
	board_end(&b, fd);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "five in ten seconds", five_in_ten_seconds },
		{ "a budget goes into debt", a_budget_goes_into_debt },
		{ "gateways count together", gateways_count_together },
		{ "odd rates deny", odd_rates_deny },
		{ "a full bucket denies and makes room", a_full_bucket_denies_and_makes_room },
		{ "workers count together", workers_count_together },
		{ "a dead worker's lock is taken from it", a_dead_workers_lock_is_taken_from_it },
		{ "whatever stands there harms nobody", whatever_stands_there_harms_nobody },
		{ "only a board is mapped", only_a_board_is_mapped },
		{ "hearts beat", hearts_beat },
		{ "times are added up", times_are_added_up },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("board", tests);
}
