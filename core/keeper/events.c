/* SPDX-License-Identifier: Apache-2.0 */
/* See events.h. */
#include <config.h>

#include "events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "api.h"

#define KEPT 1024          /* changes */
#define WAITERS 512
#define WAIT_MS 2000       /* of one question: how long a sign-in that ended may still be told */
#define GATHER_MS 20       /* after a change: what comes with it is told with it */
#define REST_MS 150        /* between two wakes: a storm of changes costs each watcher seven questions a second */
#define TOLD_MAX 100       /* of one answer */
#define LOOKED_MAX 300     /* for one: each is a question to the store */

enum what { REQUEST, GRANT, SESSION, WHATS };
static const char *const names[] = { [REQUEST] = "request", [GRANT] = "grant", [SESSION] = "session" };
_Static_assert(sizeof(names) / sizeof(*names) == WHATS, "a name for each");

struct change {
	uint64_t number;
	enum what what;
	char id[ID_TEXT];
};

struct waiter {
	struct waiter *next;
	struct api_later *later;
	uint64_t at, since; /* the number that it has come to; mono ms */
};

struct events {
	struct change kept[KEPT];
	uint64_t n;            /* ever; the last one is kept[(n - 1) % KEPT] */
	uint64_t first, last;  /* numbers: what was before first is not known; wall µs, and ascending */
	struct waiter *waiters;
	size_t nwaiters;
	struct event *wake;
	uint64_t woken;        /* mono ms */
	bool waking;
};

/* ---- what changed ---- */

static void
note(struct keeper *k, enum what what, const char *id)
{
	struct events *e = k->events;
	if (e == NULL || id == NULL || id[0] == '\0')
		return;
	uint64_t now = clock_wall_us(), mono = clock_mono_ms();
	struct change *c = &e->kept[e->n % KEPT];
	if (e->n >= KEPT)
		e->first = c->number;
	e->last = now > e->last ? now : e->last + 1;
	e->n++;
	*c = (struct change){ .number = e->last, .what = what };
	(void)snprintf(c->id, sizeof(c->id), "%.*s", ID_TEXT - 1, id);
	if (e->waiters == NULL || e->waking)
		return;
	uint64_t wait = mono - e->woken >= REST_MS ? GATHER_MS : REST_MS - (mono - e->woken);
	const struct timeval after = { 0, (suseconds_t)(wait * 1000) };
	e->waking = event_add(e->wake, &after) == 0;
}

void
events_wrote(struct keeper *k, enum store_statement which, const struct field *args)
{
	static const struct {
		enum store_statement which;
		enum what what;
		unsigned column;
	} rows[] = { { STORE_APPROVAL_ADD, REQUEST, A_ID }, { STORE_APPROVAL_STATE, REQUEST, 8 }, { STORE_VOTE_ADD, REQUEST, V_APPROVAL },
		{ STORE_ESTIMATE_KEEP, REQUEST, 0 }, { STORE_GRANT_ADD, GRANT, G_ID }, { STORE_GRANT_END, GRANT, 4 }, { STORE_SESSION_ADD, SESSION, 0 },
		{ STORE_SESSION_END, SESSION, 7 } };
	char id[ID_TEXT];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].which != which)
			continue;
		struct sp_bytes b = args[rows[i].column].s;
		if (rows[i].what == SESSION && b.len == ID_LEN)
			(void)id_format(b.p, id);
		else
			(void)snprintf(id, sizeof(id), "%.*s", rows[i].what == SESSION ? 0 : (int)(b.len < ID_TEXT ? b.len : 0), (const char *)b.p);
		note(k, rows[i].what, id);
	}
}

void
events_heard(struct keeper *k, const char *topic, const char *id)
{
	note(k, strcmp(topic, "grant") == 0 ? GRANT : REQUEST, id);
}

/* ---- who waits ---- */

static json_t *
nothing_new(uint64_t at)
{
	return json_pack("{s:o,s:[]}", "after", json_sprintf("%" PRIu64, at), "events");
}

/* Those that have waited since before then; UINT64_MAX: all. */
static void
answer_waiters(struct keeper *k, uint64_t before)
{
	for (struct waiter **at = &k->events->waiters; *at != NULL;) {
		struct waiter *w = *at;
		if (w->since >= before) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		k->events->nwaiters--;
		api_later_answer(k, &w->later, 200, nothing_new(w->at));
		free(w);
	}
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;
	(void)fd, (void)what;
	k->events->waking = false;
	k->events->woken = clock_mono_ms();
	answer_waiters(k, UINT64_MAX);
}

void
events_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	answer_waiters(k, now < WAIT_MS ? 0 : now - WAIT_MS);
}

void
events_open(struct keeper *k)
{
	k->events = mem_alloc(sizeof(*k->events));
	*k->events = (struct events){ .first = clock_wall_us() };
	k->events->last = k->events->first;
	k->events->wake = event_new(k->base, -1, 0, on_wake, k);
}

void
events_close(struct keeper *k)
{
	struct events *e = k->events;
	if (e == NULL)
		return;
	while (e->waiters != NULL) {
		struct waiter *w = e->waiters;
		e->waiters = w->next;
		api_later_drop(k, &w->later);
		free(w);
	}
	if (e->wake != NULL)
		event_free(e->wake);
	free(e);
	k->events = NULL;
}

/* ---- the call ---- */

static json_t *
see(struct api *a, const struct change *c)
{
	if (c->what == REQUEST)
		return api_request_seen(a, c->id);
	return c->what == GRANT ? api_grant_seen(a, c->id) : api_session_seen(a, c->id);
}

/* A later one about the same thing says all that there is to say. */
static bool
told_later(const struct events *e, uint64_t i)
{
	const struct change *c = &e->kept[i % KEPT];
	for (uint64_t j = i + 1; j < e->n; j++)
		if (e->kept[j % KEPT].what == c->what && strcmp(e->kept[j % KEPT].id, c->id) == 0)
			return true;
	return false;
}

/* What the caller may see of what came after *at, which moves on. */
static json_t *
gather(struct api *a, uint64_t *at)
{
	const struct events *e = a->k->events;
	json_t *list = json_array();
	unsigned looked = 0;
	for (uint64_t i = e->n > KEPT ? e->n - KEPT : 0; i < e->n && json_array_size(list) < TOLD_MAX && looked < LOOKED_MAX; i++) {
		const struct change *c = &e->kept[i % KEPT];
		if (c->number <= *at)
			continue;
		*at = c->number;
		looked++;
		json_t *seen = told_later(e, i) ? NULL : see(a, c);
		if (seen != NULL)
			(void)json_array_append_new(list, json_pack("{s:s,s:o}", "what", names[c->what], names[c->what], seen));
	}
	return list;
}

static int
wait_for_more(struct api *a, uint64_t at)
{
	struct events *e = a->k->events;
	if (e->nwaiters >= WAITERS)
		return api_refuse(a, 429, "too many watch already: load the lists, and try again in a while");
	struct waiter *w = mem_alloc(sizeof(*w));
	*w = (struct waiter){ e->waiters, api_later(a), at, clock_mono_ms() };
	e->waiters = w;
	e->nwaiters++;
	return SP_OK;
}

int
api_events(struct api *a)
{
	struct events *e = a->k->events;
	const char *after = api_text(a, "after");
	char *end = NULL;
	uint64_t at = after[0] == '\0' ? e->last : strtoull(after, &end, 10);
	if (after[0] != '\0' && (after[0] < '0' || after[0] > '9' || *end != '\0'))
		return api_refuse(a, 400, "\"after\" is the id of an event");
	bool reset = at < e->first || at > e->last;
	if (reset)
		at = e->last;
	json_t *list = gather(a, &at);
	if (after[0] != '\0' && !reset && json_array_size(list) == 0 && at == e->last) {
		json_decref(list);
		return wait_for_more(a, at);
	}
	api_set(a, "after", json_sprintf("%" PRIu64, at));
	api_set(a, "events", list);
	if (reset)
		api_set(a, "reset", json_true());
	return SP_OK;
}
