/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a replay, and the keys by which who looks changes it: space, +, -, n, q. */
#ifndef SALLYPORT_PLAYER_H
#define SALLYPORT_PLAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct player {
	double speed;    /* 0: all at once */
	uint64_t idle;   /* µs: nothing is waited for longer; 0: as it was */
	uint64_t at;     /* µs of the recording */
	bool keys, over; /* over: q */
	struct termios before;
};

/* Keys are read where this is a terminal. */
void player_begin(struct player *p, bool keys);
/* Until it is time for what happened then, µs since the recording began. */
void player_wait(struct player *p, uint64_t at);
void player_end(struct player *p);

#endif
