/* SPDX-License-Identifier: Apache-2.0 */
/* See dial.h. */
#include <config.h>

#include "dial.h"

#include "../base/log.h"
#include "live.h"

int
dial_connect(struct keeper *k, struct link *l, struct message *m)
{
	const struct live *s = live_of(k, m->f[0].s, l);
	const struct target *t = s == NULL || s->target == NULL ? NULL : settings_target(keeper_settings(k), s->target);
	const char *path = t == NULL ? NULL : settings_unix(t->server);
	struct link *helper = keeper_helper(k, ROLE_DIAL, 0);
	const char *why = path == NULL || s->state == LIVE_BORROWING || !live_may(s) ? "it may not be used by this session"
	    : helper == NULL ? "the dial helper is away; try again in a few seconds" : NULL;
	const struct message ask = { .type = MSG_DIAL, .f = { m->f[0], Z(path == NULL ? "" : path) } };
	if (why == NULL && link_send(helper, &ask) != SP_OK)
		why = "the dial helper could not be told";
	const struct message no = { .type = MSG_CONNECTED, .f = { m->f[0], Q(0), Z(why == NULL ? "" : why) } };
	return why == NULL ? SP_OK : link_send(l, &no);
}

int
dial_dialed(struct keeper *k, struct link *l, struct message *m)
{
	const struct live *s = live_find(k, m->f[0].s);
	const struct message done = { .type = MSG_CONNECTED, .f = { m->f[0], m->f[1], m->f[2] }, .fd = { m->fd[0], -1, -1 }, .nfds = m->nfds };
	(void)l;
	/* the descriptor that came is closed with the message; the worker gets its own */
	if (s != NULL && live_may(s) && s->worker != NULL && link_send(s->worker->link, &done) != SP_OK)
		log_warn("session %s: its worker could not be given its connection", s->name);
	return SP_OK;
}
