/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking somebody outside: the keeper opens no socket, the fetch helper does.
 *
 *   outside_ask() ─ MSG_OUTSIDE ─▶ fetch ─ MSG_OUTSIDE_TOLD ─▶ answer()
 *
 * What is asked before there is a helper waits for it, some seconds.  An answer comes exactly once, later, never from
 * within outside_ask(): also when no helper comes, when it dies, and when it says nothing in time.
 */
#ifndef SALLYPORT_KEEPER_OUTSIDE_H
#define SALLYPORT_KEEPER_OUTSIDE_H

#include "keeper.h"

struct outside_request {
	const char *method, *url; /* GET or POST */
	const char *headers;      /* lines "Name: value\n"; NULL: none */
	struct sp_bytes body;
	const char *ca;           /* a file of the epoch; "": the system's */
	uint64_t within;          /* ms */
	uint64_t most;            /* bytes of an answer */
};

struct outside_told {
	unsigned status;          /* of HTTP; 0: none came */
	struct sp_bytes type, body; /* borrowed until the answer function returns */
	struct sp_bytes why;      /* when none came */
};

typedef void outside_answer(struct keeper *k, void *owner, const struct outside_told *t);

/* All of the request is copied.  Its number, never 0. */
uint32_t outside_ask(struct keeper *k, const struct outside_request *q, outside_answer *answer, void *owner);
/* Nobody wants that answer any more.  0, and what was answered: nothing. */
void outside_cancel(struct keeper *k, uint32_t *number);

void outside_open(struct keeper *k);
/* The keeper ends: nothing is answered any more. */
void outside_mute(struct keeper *k);
void outside_close(struct keeper *k);
int outside_told(struct keeper *k, struct link *l, struct message *m);
void outside_linked(struct keeper *k, unsigned index);
void outside_lost(struct keeper *k, unsigned index);
/* What took too long is answered.  now: mono ms. */
void outside_tick(struct keeper *k, uint64_t now);

#endif
