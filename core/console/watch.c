/* SPDX-License-Identifier: Apache-2.0 */
/* A timer for who follows something, and the question that is asked again and again: may it still? */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "console.h"

#define LOOK_US 500000
#define CHECK_MS 2000
#define GRACE_MS 60000 /* so long a keeper may be away: as for sessions, what was allowed goes on meanwhile */

struct watch {
	struct caller *caller;
	struct watch_use use;
	struct ask *ask;
	struct sp_secret *token;
	struct event *timer;
	uint64_t asked, sure; /* mono ms */
};

static bool
may_audit(const json_t *answer)
{
	const json_t *may = json_object_get(answer, "may"), *one;
	size_t i;
	json_array_foreach(may, i, one)
		if (json_is_string(one) && strcmp(json_string_value(one), "audit") == 0)
			return true;
	return false;
}

static void
on_answer(void *owner, struct answer *a)
{
	struct watch *w = owner;
	uint64_t now = clock_mono_ms();
	json_t *o = json_loadb((const char *)a->json.p, a->json.len, 0, NULL);
	bool away = a->status >= 500, may = a->status == 200 && may_audit(o);
	json_decref(o);
	w->ask = NULL;
	if (may)
		w->sure = now;
	else if (!away)
		w->use.over(w->use.owner, "you may not see this any more: your access has expired, was revoked, or has changed");
	else if (now - w->sure >= GRACE_MS)
		w->use.over(w->use.owner, "the gateway could not check for too long whether you may still see this");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	uint64_t now = clock_mono_ms();
	(void)fd, (void)what;
	if (caller_console(w->caller)->quitting) {
		w->use.over(w->use.owner, "the gateway ends: ask again in a moment");
		return;
	}
	if (!caller_full(w->caller))
		caller_alive(w->caller);
	if (w->ask == NULL && now - w->asked >= CHECK_MS) {
		const struct question q = { caller_connection(w->caller), secret_bytes(w->token), CALL_WHOAMI, NULL };
		w->asked = now;
		w->ask = ask_keeper(caller_console(w->caller), &q, on_answer, w);
	}
	w->use.look(w->use.owner);
}

struct watch *
watch_new(struct caller *c, struct sp_bytes token, const struct watch_use *use)
{
	static const struct timeval each = { 0, LOOK_US };
	struct watch *w = mem_alloc(sizeof(*w));
	uint64_t now = clock_mono_ms();
	*w = (struct watch){ .caller = c, .use = *use, .asked = now, .sure = now, .token = secret_new(token) };
	w->timer = event_new(caller_console(c)->role.base, -1, EV_PERSIST, on_timer, w);
	if (w->token == NULL || w->timer == NULL || event_add(w->timer, &each) != 0)
		watch_free(&w);
	return w;
}

void
watch_free(struct watch **at)
{
	struct watch *w = *at;
	*at = NULL;
	if (w == NULL)
		return;
	ask_cancel(&w->ask);
	if (w->timer != NULL)
		event_free(w->timer);
	secret_free(&w->token);
	free(w);
}
