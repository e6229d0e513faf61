/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to understand and judge a user's operations, and who waits for it (P10).
 *
 * Time that parsing and rules take is charged to the user, over all sessions and workers.  Once the
 * budget is used up, a session that spends more is not read until there is some again: the cost
 * falls on who causes it, and nothing is refused.
 */
#ifndef SALLYPORT_BUDGET_H
#define SALLYPORT_BUDGET_H

#include "worker.h"

/* Before what is charged, and may take long: what others sent goes first.  CPU time of this thread so far, µs. */
uint64_t budget_begin(struct sp_session *s);
/* Charges what was used since then. */
void budget_charge(struct sp_session *s, uint64_t since);
/* True while the client has to wait; its bytes stay in the socket. */
static inline bool
budget_waits(const struct sp_session *s)
{
	return s->paused_until > s->w->now;
}

#endif
