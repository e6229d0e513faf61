/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: heartbeats and rate counters in shared memory.
 *
 *   key ─▶ bucket of 8 places, under one small lock ─▶ place: key, full_at
 *
 * full_at is when the bucket of tokens will be full again (GCRA's "theoretical arrival time"): in
 * the past, nothing is used up, and forgetting the place loses nothing.
 *
 * The lock's word names its holder and the time it was taken.  One that stays the same for
 * STEAL_MS belonged to a worker that died or was stopped inside, and is taken from it: the worst
 * outcome is one count too many or too few.
 */
#include <config.h>

#include "board.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

#define BUCKETS 8192u
#define PLACES 8u
#define STEAL_MS 5
#define SPINS 64
#define NS_PER_MS 1000000u
#define PAID_MAX (24ull * 3600 * 1000 * NS_PER_MS) /* at once, for another gateway */

struct place {
	uint8_t key[16];
	uint64_t full_at; /* ns */
	uint64_t charged; /* ns, by workers of this gateway, since the others were told */
};

struct bucket {
	_Alignas(64) _Atomic uint64_t lock; /* 0: free */
	struct place place[PLACES];
};

struct slot {
	_Alignas(64) _Atomic uint64_t beat;
	struct {
		_Atomic uint64_t count[BOARD_STEPS + 1], sum_us;
	} added[BOARD_TIMES];
};

const uint64_t board_added_us[BOARD_STEPS] = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000, 50000, 250000 };

struct shared {
	struct slot slot[BOARD_SLOTS];
	struct bucket bucket[BUCKETS];
	_Atomic uint64_t touched[BUCKETS / 64]; /* a bit for each bucket that has something to tell */
};

struct board {
	struct shared *shared;
	uint64_t turn; /* makes each lock word of ours different from the one before */
};

int
board_create(int *fd_r)
{
	*fd_r = memfd_create("sallyport-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd_r < 0)
		return SP_EIO;
	if (ftruncate(*fd_r, sizeof(struct shared)) == 0 &&
	    fcntl(*fd_r, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return SP_OK;
	(void)close(*fd_r);
	*fd_r = -1;
	return SP_EIO;
}

int
board_map(int fd, struct board **b_r)
{
	struct stat st;
	*b_r = NULL;
	if (fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof(struct shared))
		return SP_EPROTO;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return SP_EPROTO;
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return SP_ENOMEM;
	*b_r = mem_alloc(sizeof(**b_r));
	(*b_r)->shared = s;
	return SP_OK;
}

void
board_unmap(struct board **b)
{
	if (*b == NULL)
		return;
	(void)munmap((*b)->shared, sizeof(struct shared));
	free(*b);
	*b = NULL;
}

void
board_beat(struct board *b, unsigned slot, uint64_t now_ms)
{
	if (slot < BOARD_SLOTS)
		atomic_store_explicit(&b->shared->slot[slot].beat, now_ms, memory_order_relaxed);
}

uint64_t
board_last_beat(const struct board *b, unsigned slot)
{
	return slot < BOARD_SLOTS ? atomic_load_explicit(&b->shared->slot[slot].beat, memory_order_relaxed) : 0;
}

/* One writer for each slot: what is read may be one behind, no more. */
static void
add_relaxed(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void
board_add(struct board *b, unsigned slot, enum board_time what, uint64_t us)
{
	if (slot >= BOARD_SLOTS || what >= BOARD_TIMES)
		return;
	size_t i = 0;
	while (i < BOARD_STEPS && us > board_added_us[i])
		i++;
	add_relaxed(&b->shared->slot[slot].added[what].count[i], 1);
	add_relaxed(&b->shared->slot[slot].added[what].sum_us, us);
}

void
board_added_read(const struct board *b, enum board_time what, struct board_added *a_r)
{
	*a_r = (struct board_added){ .sum_us = 0 };
	for (size_t s = 0; s < BOARD_SLOTS; s++) {
		for (size_t i = 0; i <= BOARD_STEPS; i++)
			a_r->count[i] += atomic_load_explicit(&b->shared->slot[s].added[what].count[i], memory_order_relaxed);
		a_r->sum_us += atomic_load_explicit(&b->shared->slot[s].added[what].sum_us, memory_order_relaxed);
	}
}

/* ---- the lock of a bucket ---- */

static bool
lock_take(struct bucket *k, uint64_t mine)
{
	uint64_t seen = 0;
	if (atomic_compare_exchange_strong_explicit(&k->lock, &seen, mine, memory_order_acquire, memory_order_relaxed))
		return true;
	uint64_t begun = clock_mono_ms(), since = begun, holder = seen, now = begun;
	for (unsigned spins = 1;; spins++) {
		seen = now - since >= STEAL_MS ? holder : 0;
		if (atomic_compare_exchange_weak_explicit(&k->lock, &seen, mine, memory_order_acquire, memory_order_relaxed))
			return true;
		if (spins % SPINS != 0)
			continue;
		if (now - begun >= BOARD_WAIT_MS)
			return false;
		(void)sched_yield();
		now = clock_mono_ms();
		if (seen != holder) {
			holder = seen;
			since = now;
		}
	}
}

/* Unless it was stolen: then it is the thief's to give back. */
static void
lock_give(struct bucket *k, uint64_t mine)
{
	(void)atomic_compare_exchange_strong_explicit(&k->lock, &mine, 0, memory_order_release, memory_order_relaxed);
}

/* ---- counters ---- */

/* The key's place, or one that nobody needs: the one that was full the longest.  NULL: all in use. */
static struct place *
place_find(struct bucket *k, const uint8_t key[16], uint64_t now)
{
	struct place *idle = NULL;
	for (unsigned i = 0; i < PLACES; i++) {
		struct place *p = &k->place[i];
		if (memcmp(p->key, key, sizeof(p->key)) == 0)
			return p;
		if (p->full_at <= now && (idle == NULL || p->full_at < idle->full_at))
			idle = p;
	}
	if (idle != NULL) {
		memcpy(idle->key, key, sizeof(idle->key));
		idle->full_at = idle->charged = 0;
	}
	return idle;
}

static bool
place_charge(struct place *p, uint64_t each, uint64_t window, uint64_t now, uint64_t *wait_r)
{
	uint64_t full_at = p->full_at > now ? p->full_at : now;
	/* Further away than honest charges, ours and others', could bring it: a clock or a worker went wrong. */
	if ((full_at - now) / BOARD_DEBT > window)
		full_at = now + window;
	uint64_t used = full_at - now;
	if (used > window - each) {
		*wait_r = used - (window - each);
		return false;
	}
	p->full_at = full_at + each;
	p->charged += each;
	return true;
}

static unsigned
bucket_number(const uint8_t key[16])
{
	uint32_t n;
	memcpy(&n, key, sizeof(n));
	return n % BUCKETS;
}

static struct bucket *
bucket_of(struct board *b, const uint8_t key[16])
{
	return &b->shared->bucket[bucket_number(key)];
}

static void
touch(struct board *b, unsigned bucket)
{
	atomic_fetch_or_explicit(&b->shared->touched[bucket / 64], 1ull << bucket % 64, memory_order_relaxed);
}

bool
board_charge(struct board *b, const uint8_t key[16], const struct board_rate *rate, uint64_t now_ms,
    uint64_t *retry_ms_r)
{
	*retry_ms_r = rate->window_ms;
	if (rate->count == 0 || rate->window_ms == 0 || rate->window_ms > UINT64_MAX / 4 / NS_PER_MS ||
	    now_ms > UINT64_MAX / 4 / NS_PER_MS)
		return false;
	uint64_t window = rate->window_ms * NS_PER_MS, now = now_ms * NS_PER_MS;
	uint64_t each = rate->count >= window ? 1 : window / rate->count, wait = window;
	struct bucket *k = bucket_of(b, key);
	uint64_t mine = (uint64_t)getpid() << 32 | (++b->turn & UINT32_MAX);
	if (!lock_take(k, mine))
		return false;
	struct place *p = place_find(k, key, now);
	bool ok = p != NULL && place_charge(p, each, window, now, &wait);
	lock_give(k, mine);
	if (ok)
		touch(b, bucket_number(key));
	*retry_ms_r = ok ? 0 : (wait + NS_PER_MS - 1) / NS_PER_MS;
	return ok;
}

/* ---- several gateways ---- */

static uint64_t
lock_try(struct board *b, struct bucket *k)
{
	uint64_t seen = 0, mine = (uint64_t)getpid() << 32 | (++b->turn & UINT32_MAX);
	return atomic_compare_exchange_strong_explicit(&k->lock, &seen, mine, memory_order_acquire, memory_order_relaxed) ? mine : 0;
}

/* False: not all of it was told. */
static bool
take_bucket(struct board *b, unsigned n, board_charged *each, void *owner)
{
	struct bucket *k = &b->shared->bucket[n];
	uint64_t mine = lock_try(b, k);
	bool all = mine != 0;
	for (unsigned i = 0; all && i < PLACES; i++) {
		struct place p = k->place[i];
		if (p.charged == 0)
			continue;
		all = each(owner, p.key, p.charged);
		k->place[i].charged = all ? 0 : p.charged;
	}
	if (mine != 0)
		lock_give(k, mine);
	return all;
}

void
board_take(struct board *b, board_charged *each, void *owner)
{
	for (unsigned w = 0; w < BUCKETS / 64; w++) {
		if (atomic_load_explicit(&b->shared->touched[w], memory_order_relaxed) == 0)
			continue;
		uint64_t bits = atomic_exchange_explicit(&b->shared->touched[w], 0, memory_order_relaxed);
		for (unsigned i = 0; i < 64; i++)
			if ((bits >> i & 1) != 0 && !take_bucket(b, w * 64 + i, each, owner))
				touch(b, w * 64 + i); /* the next time */
	}
}

void
board_pay(struct board *b, const uint8_t key[16], uint64_t ns, uint64_t now_ms)
{
	uint64_t now = now_ms * NS_PER_MS;
	struct bucket *k = bucket_of(b, key);
	uint64_t mine = now_ms > UINT64_MAX / 4 / NS_PER_MS ? 0 : lock_try(b, k);
	struct place *p = mine == 0 ? NULL : place_find(k, key, now);
	if (p != NULL) {
		uint64_t full_at = p->full_at > now ? p->full_at : now;
		p->full_at = full_at > UINT64_MAX / 2 ? full_at : full_at + (ns < PAID_MAX ? ns : PAID_MAX);
	}
	if (mine != 0)
		lock_give(k, mine);
}

uint64_t
board_spend(struct board *b, const uint8_t key[16], const struct board_share *share, uint64_t us, uint64_t now_ms)
{
	if (share->us == 0 || share->window_ms == 0 || share->window_ms > 3600000 || us > share->us * 1000 || now_ms > UINT64_MAX / 4 / NS_PER_MS)
		return share->window_ms;
	uint64_t window = share->window_ms * NS_PER_MS, now = now_ms * NS_PER_MS;
	uint64_t mine = (uint64_t)getpid() << 32 | (++b->turn & UINT32_MAX), wait = window;
	struct bucket *k = bucket_of(b, key);
	if (!lock_take(k, mine))
		return share->window_ms;
	struct place *p = place_find(k, key, now);
	if (p != NULL) {
		uint64_t full_at = (p->full_at > now ? p->full_at : now) + window / share->us * us;
		p->full_at = full_at > now + 2 * window ? now + 2 * window : full_at;
		wait = p->full_at > now + window ? p->full_at - now - window : 0;
	}
	lock_give(k, mine);
	return (wait + NS_PER_MS - 1) / NS_PER_MS;
}
