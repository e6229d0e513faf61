/* SPDX-License-Identifier: Apache-2.0 */
/* See pool.h. */
#include <config.h>

#include "pool.h"

#include "epoch_use.h"
#include "session.h"

#define KEYS 4       /* ways to log in to one target that connections are kept for */
#define REST_MS 5000 /* after one failed to log in */

#define WARM_OF(n) LIST_OF(n, struct sp_session, warm)

int
pool_key(struct sp_session *s, struct sp_bytes key)
{
	if (s->home == NULL || s->home->pool.warm == 0 || settings_lends(s->home))
		return SP_OK;
	s->pool_key.p = arena_alloc(s->arena, key.len + 1);
	if (s->pool_key.p == NULL)
		return SP_ENOMEM;
	if (key.len > 0)
		memcpy((void *)(uintptr_t)s->pool_key.p, key.p, key.len);
	s->pool_key.len = key.len;
	return SP_OK;
}

/* ---- which fits whom ---- */

static bool
same_pins(const struct sp_session *a, const struct sp_session *b)
{
	if (a->npins != b->npins)
		return false;
	for (size_t i = 0; i < a->npins; i++)
		if (strcmp(a->pin[i].name, b->pin[i].name) != 0 || strcmp(a->pin[i].value, b->pin[i].value) != 0)
			return false;
	return true;
}

static bool
same_home(const struct sp_session *warm, const struct sp_session *s)
{
	return warm->dialled == s->dialled && warm->home == s->home && warm->module == s->module;
}

static bool
fits(const struct sp_session *warm, const struct sp_session *s)
{
	return same_home(warm, s) && strcmp(warm->part, s->part) == 0 && strcmp(warm->login, s->home->login.user) == 0 &&
	    sp_bytes_eq(warm->pool_key, s->pool_key) && same_pins(warm, s);
}

static bool
pooled(const struct sp_session *s)
{
	return s->purpose[0] == '\0' && s->pool_key.p != NULL && !settings_lends(s->home) && s->module->adopt != NULL && s->dialled == s->w->epoch && !s->w->draining;
}

/* Out of the pool, and no line in the log for it. */
static void
dismiss(struct sp_session *warm, const char *why)
{
	list_remove(&warm->warm);
	warm->end_told = true;
	session_finish(warm, SP_END_SHUTDOWN, why);
}

/* ---- taking ---- */

static bool
waits(const struct sp_session *warm)
{
	const struct stream *st = &warm->side[SP_TARGET];
	return warm->state == SESSION_RUN && st->made && !st->eof && !st->error && stream_idle(st) && !(st->tls != NULL && tls_pending(st->tls));
}

bool
pool_take(struct sp_session *s)
{
	if (!pooled(s))
		return false;
	LIST_EACH(n, next, &s->w->warm) {
		struct sp_session *warm = WARM_OF(n);
		if (!fits(warm, s) || !waits(warm))
			continue;
		s->reached = warm->reached == NULL ? NULL : arena_string(s->arena, sp_str(warm->reached));
		stream_move(&s->side[SP_TARGET], &warm->side[SP_TARGET]);
		dismiss(warm, "a session took its connection");
		return true;
	}
	return false;
}

/* ---- keeping ---- */

/* Room for one more way to log in: the one that waits longest leaves. */
static void
make_room(const struct sp_session *like, size_t all)
{
	LIST_EACH(n, next, &like->w->warm) {
		struct sp_session *warm = WARM_OF(n);
		if (all < KEYS * like->home->pool.warm)
			return;
		if (!same_home(warm, like) || fits(warm, like))
			continue;
		dismiss(warm, "others are wanted more");
		all--;
	}
}

static void
warm_up(struct sp_session *like)
{
	struct sp_session *s = session_side(like, "warm", NULL);
	struct pin *pin = arena_alloc(s->arena, (like->npins + 1) * sizeof(*pin));
	s->login = s->login_as = s->home->login.user;
	for (size_t i = 0; pin != NULL && i < like->npins; i++)
		pin[i] = (struct pin){ .name = arena_string(s->arena, sp_str(like->pin[i].name)),
			.value = arena_string(s->arena, sp_str(like->pin[i].value)), .rule = "" };
	s->pin = pin;
	s->npins = pin == NULL ? 0 : like->npins;
	if (pin == NULL || pool_key(s, like->pool_key) != SP_OK)
		session_finish(s, SP_END_ERROR, "there is no memory for it");
	else
		list_add(&s->w->warm, &s->warm);
}

void
pool_fill(struct sp_session *s)
{
	size_t fit = 0, all = 0;
	s->to_fill = false;
	struct target_use *t = pooled(s) ? epoch_use_target(s->dialled, s->target_name) : NULL;
	if (t == NULL || s->w->now < t->pool_rest)
		return;
	LIST_EACH(n, next, &s->w->warm) {
		fit += fits(WARM_OF(n), s);
		all += same_home(WARM_OF(n), s);
	}
	for (; fit < s->home->pool.warm; fit++, all++) {
		make_room(s, all);
		warm_up(s);
	}
}

/* ---- leaving ---- */

void
pool_left(struct sp_session *s)
{
	if (s->warm.next == NULL)
		return;
	struct target_use *t = epoch_use_target(s->dialled, s->target_name);
	if (t != NULL && !s->logged_in) /* the target may be full */
		t->pool_rest = s->w->now + REST_MS;
	list_remove(&s->warm);
}

void
pool_clear(struct worker *w)
{
	LIST_EACH(n, next, &w->warm)
		dismiss(WARM_OF(n), "there is a new configuration");
}

void
pool_tick(struct worker *w)
{
	LIST_EACH(n, next, &w->warm) {
		struct sp_session *warm = WARM_OF(n);
		if (warm->state == SESSION_RUN && w->now - warm->active >= warm->home->pool.age)
			dismiss(warm, "nobody took it");
	}
}
