/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a keeper that another one follows at once: an upgrade, or a secret in a folder that this one can't read.
 *
 *   QUIT, gracefully ─▶ MSG_LEAVING to workers: their new questions wait for the next keeper
 *                       who is in the middle of a log-in goes on ─ all are in, or LEAVE_MS ─▶ commit, flush, end
 *
 * What is held stays so in the store; the workers tell the next keeper of it, and of what lives (RESUME).
 */
#include <config.h>

#include "keeper.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "live.h"
#include "proof.h"
#include "ticket.h"

#define LEAVE_MS 5000
#define LOOK_US 10000
#define FLUSH_MS 500

/* The gateway's own are never told of as open; one that has not asked for its first proof asks the next keeper. */
static bool
logins_under_way(struct keeper *k)
{
	for (const struct live *s = live_first(k); s != NULL; s = s->all_next)
		if (!s->ended && (s->side ? proof_under_way(s) : s->state != LIVE_OPEN))
			return true;
	return ticket_any_under_way(k);
}

static void
flush(struct link *l)
{
	if (l != NULL)
		link_flush(l, FLUSH_MS);
}

static void
on_look(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	struct keeper *k = owner;
	uint64_t spent = clock_mono_ms() - k->leaving_since;
	bool waits = logins_under_way(k);
	if (waits && spent < LEAVE_MS)
		return;
	if (waits)
		log_warn("a log-in does not come to an end: the keeper leaves nevertheless");
	(void)event_del(k->leave);
	keeper_commit(k);
	for (const struct worker *w = k->workers; w != NULL; w = w->next)
		flush(w->link);
	flush(k->recorder);
	flush(k->console);
	k->left(k);
}

void
keeper_leave(struct keeper *k)
{
	const struct message leaving = { .type = MSG_LEAVING };
	k->leaving = true;
	k->leaving_since = clock_mono_ms();
	k->leave = event_new(k->base, -1, EV_PERSIST, on_look, k);
	if (k->leave == NULL || event_add(k->leave, &(struct timeval){ 0, LOOK_US }) != 0) {
		k->left(k);
		return;
	}
	for (const struct worker *w = k->workers; w != NULL; w = w->next)
		if (link_send(w->link, &leaving) != SP_OK)
			log_warn("worker[%u] cannot be told that the keeper leaves", w->index);
}
