/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: memory that all workers and master share.
 *
 *   heartbeats   one slot a worker, written by it, watched by master
 *   times        how long operations took to be decided, forwarded and answered, in the same slots
 *   counters     how much of a rate is used up, over all workers, and those of gateways that share a store: 65,536 keys
 *
 * A counter is a token bucket: `count` at once, then one each window / count; a full bucket holds
 * no more than is used in one window.  What other gateways let through meanwhile may bring it into
 * debt, of BOARD_DEBT windows at most.  Keys that are not in use any more make room for new ones;
 * when a place is wanted and all are in use, the answer is no (P3).
 *
 * Workers trust one another here for limits, not for memory: whatever a broken one writes, the
 * others read within bounds and wait no longer than BOARD_WAIT_MS.
 */
#ifndef SALLYPORT_BOARD_H
#define SALLYPORT_BOARD_H

#include "memory.h"

#define BOARD_SLOTS 256
#define BOARD_WAIT_MS 10
#define BOARD_DEBT 8

struct board;

int board_create(int *fd_r) SP_MUST;               /* master: a memfd that can't be resized */
int board_map(int fd, struct board **b_r) SP_MUST; /* does not take fd over */
void board_unmap(struct board **b);

/* slot < BOARD_SLOTS, or nothing happens. */
void board_beat(struct board *b, unsigned slot, uint64_t now_ms);
uint64_t board_last_beat(const struct board *b, unsigned slot);

/* What the gateway adds, as samples: each worker adds up in its own slot, without a lock. */
enum board_time {
	BOARD_DECISION, /* from a client's bytes to the verdict allow */
	BOARD_FORWARD,  /* …to their being handed to the target, the record's waiting included */
	BOARD_ANSWER,   /* from the target's bytes to the client's socket */
	BOARD_TIMES
};
#define BOARD_STEPS 12
extern const uint64_t board_added_us[BOARD_STEPS]; /* upper ends of the histogram's steps */
struct board_added {
	uint64_t count[BOARD_STEPS + 1], sum_us;
};
void board_add(struct board *b, unsigned slot, enum board_time what, uint64_t us);
void board_added_read(const struct board *b, enum board_time what, struct board_added *a_r); /* over all slots */

struct board_rate {
	uint64_t count, window_ms; /* neither 0: else the answer is no */
};
/*
 * Takes one of `count` per window.  key: 128 bits of a hash over rule and whom it counts.
 * false: over the limit, nothing was taken; *retry_ms_r says when there will be one.
 */
bool board_charge(struct board *b, const uint8_t key[16], const struct board_rate *rate, uint64_t now_ms,
    uint64_t *retry_ms_r) SP_MUST;

/*
 * Several gateways count together: each tells the others what its workers have charged since it last
 * told, and takes what was charged elsewhere.  The keeper does; it waits for no worker's lock.
 */
typedef bool board_charged(void *owner, const uint8_t key[16], uint64_t ns); /* false: no more for now */
void board_take(struct board *b, board_charged *each, void *owner);
void board_pay(struct board *b, const uint8_t key[16], uint64_t ns, uint64_t now_ms);

struct board_share {
	uint64_t us, window_ms; /* so much of each window; neither 0: else the wait is a window */
};
/*
 * Takes what was used already, even when it is more than there was: the ms after which the debt is
 * paid, at most a window; 0 while there is none.
 */
uint64_t board_spend(struct board *b, const uint8_t key[16], const struct board_share *share, uint64_t us, uint64_t now_ms) SP_MUST;

#endif
