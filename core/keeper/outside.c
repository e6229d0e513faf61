/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the fetch helper that have no answer yet. */
#include <config.h>

#include "outside.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"

#define PATIENCE 5000 /* ms that the helper may be late with its own deadline, or be away */

struct question {
	struct question *next;
	uint32_t number;
	uint64_t until;     /* mono ms: callers count on it, also for what was held */
	uint64_t within;    /* ms */
	outside_answer *answer;
	void *owner;
	struct buffer held; /* encoded: there is no helper yet */
	const char *failed; /* it was not sent: this is the answer, soon */
};

struct outside {
	struct question *first;
	uint32_t last;
	struct event *soon;
};

static void
question_free(struct question *q)
{
	buffer_free(&q->held);
	free(q);
}

static void
give(struct keeper *k, struct question **at, const struct outside_told *t)
{
	struct question *q = *at;
	*at = q->next;
	q->answer(k, q->owner, t);
	question_free(q);
}

/* An answer may ask anew, which waits for another turn, or cancel others: so from the beginning after each. */
static void
give_all(struct keeper *k, bool (*due)(const struct question *q, uint64_t now), uint64_t now, const char *why)
{
	uint32_t last = k->outside->last;
	for (struct question **at = &k->outside->first; *at != NULL;) {
		if (last - (*at)->number > UINT32_MAX / 2 || !due(*at, now)) {
			at = &(*at)->next;
			continue;
		}
		const struct outside_told t = { .why = sp_str((*at)->failed == NULL ? why : (*at)->failed) };
		give(k, at, &t);
		at = &k->outside->first;
	}
}

static bool
is_failed(const struct question *q, uint64_t now)
{
	(void)now;
	return q->failed != NULL;
}

static bool
is_late(const struct question *q, uint64_t now)
{
	return (q->held.len > 0 ? q->until - q->within : q->until) <= now;
}

static bool
is_sent(const struct question *q, uint64_t now)
{
	(void)now;
	return q->held.len == 0;
}

static void
on_soon(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	give_all(owner, is_failed, 0, "");
}

/* Kept while there is no helper: a configuration is the first to need one, or one died, and another comes in a moment. */
static void
ask(struct keeper *k, struct question *q, const struct message *m)
{
	struct link *l = keeper_helper(k, ROLE_FETCH, 0);
	if ((l == NULL ? message_encode(m, &q->held) : link_send(l, m)) == SP_OK)
		return;
	q->failed = "the fetch helper could not be told";
	event_active(k->outside->soon, EV_TIMEOUT, 0);
}

uint32_t
outside_ask(struct keeper *k, const struct outside_request *r, outside_answer *answer, void *owner)
{
	struct outside *o = k->outside;
	struct question *q = mem_alloc(sizeof(*q));
	if (++o->last == 0)
		o->last = 1;
	*q = (struct question){ .next = o->first, .number = o->last, .until = clock_mono_ms() + r->within + PATIENCE, .within = r->within,
		.answer = answer, .owner = owner };
	o->first = q;
	const struct message m = { .type = MSG_OUTSIDE, .id = q->number,
		.f = { Z(r->method), Z(r->url), Z(r->headers == NULL ? "" : r->headers), S(r->body), Z(r->ca), Q(r->within), Q(r->most) } };
	ask(k, q, &m);
	return q->number;
}

void
outside_cancel(struct keeper *k, uint32_t *number)
{
	for (struct question **at = &k->outside->first; *at != NULL; at = &(*at)->next) {
		struct question *q = *at;
		if (q->number != *number)
			continue;
		*at = q->next;
		question_free(q);
		break;
	}
	*number = 0;
}

int
outside_told(struct keeper *k, struct link *l, struct message *m)
{
	(void)l;
	const struct outside_told t = { (unsigned)(m->f[0].q > 599 ? 0 : m->f[0].q), m->f[1].s, m->f[2].s, m->f[3].s };
	for (struct question **at = &k->outside->first; *at != NULL; at = &(*at)->next) {
		if ((*at)->number == m->id && (*at)->failed == NULL) {
			give(k, at, &t);
			break;
		}
	}
	return SP_OK; /* or it was too late */
}

void
outside_lost(struct keeper *k, unsigned index)
{
	(void)index;
	if (k->outside != NULL)
		give_all(k, is_sent, 0, "the fetch helper ended");
}

void
outside_linked(struct keeper *k, unsigned index)
{
	struct message m;
	(void)index;
	for (struct question *q = k->outside->first; q != NULL; q = q->next) {
		struct buffer held = q->held;
		q->held = (struct buffer){ 0 };
		if (held.len > 0 && message_decode(buffer_bytes(&held), &m) > 0)
			ask(k, q, &m);
		buffer_free(&held);
	}
}

void
outside_tick(struct keeper *k, uint64_t now)
{
	const char *why = keeper_helper(k, ROLE_FETCH, 0) == NULL ? "the fetch helper is away" : "the fetch helper did not answer";
	give_all(k, is_late, now, why);
}

void
outside_open(struct keeper *k)
{
	k->outside = mem_alloc(sizeof(*k->outside));
	k->outside->soon = event_new(k->base, -1, 0, on_soon, k);
	if (k->outside->soon == NULL)
		log_error("no event for requests to others");
}

void
outside_mute(struct keeper *k)
{
	while (k->outside != NULL && k->outside->first != NULL) {
		struct question *q = k->outside->first;
		k->outside->first = q->next;
		question_free(q);
	}
}

void
outside_close(struct keeper *k)
{
	if (k->outside == NULL)
		return;
	outside_mute(k);
	if (k->outside->soon != NULL)
		event_free(k->outside->soon);
	free(k->outside);
	k->outside = NULL;
}
