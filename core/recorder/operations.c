/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a session that are under way: what their later frames are about. */
#include <config.h>

#include <stdlib.h>

#include "recorder.h"

#define FEW 7      /* room for so many is kept */
#define ASTRAY 64u /* operations begin in the order of their numbers, or nearly so */

struct operation *
operation_find(struct session *s, uint32_t op)
{
	for (size_t i = s->noperations; i > 0; i--)
		if (s->operation[i - 1].op == op)
			return &s->operation[i - 1];
	return NULL;
}

void
operation_drop(struct session *s, struct operation *o)
{
	uint8_t hash[DIGEST_LEN];
	if (o->cut != NULL)
		digest_end(&o->cut, hash);
	s->noperations--;
	memmove(o, o + 1, (size_t)(&s->operation[s->noperations] - o) * sizeof(*o));
	if (s->noperations > 0 || s->operations_cap <= FEW)
		return;
	free(s->operation);
	s->operation = NULL;
	s->operations_cap = 0;
}

/* A client may leave any number of statements unfinished: the oldest whose verdict was told makes room, or else the oldest. */
static void
make_room(struct session *s)
{
	struct operation *o = s->operation, *end = o + s->noperations;
	while (o < end && o->undecided)
		o++;
	if (o == end)
		o = s->operation;
	cut_flush(s, o);
	operation_drop(s, o);
}

struct operation *
operation_get(struct session *s, const struct frame *f, uint64_t from)
{
	struct operation *o = operation_find(s, f->op);
	if (o != NULL)
		return o;
	if (s->noperations == OPERATIONS_MAX)
		make_room(s);
	if (s->noperations == s->operations_cap) {
		s->operations_cap = 2 * s->noperations + 1;
		struct operation *more = mem_alloc(s->operations_cap * sizeof(*more));
		if (s->noperations > 0)
			memcpy(more, s->operation, s->noperations * sizeof(*more));
		free(s->operation);
		s->operation = more;
	}
	o = &s->operation[s->noperations++];
	*o = (struct operation){ .op = f->op, .channel = f->channel, .from = from, .unsure = true };
	return o;
}

void
operations_free(struct session *s)
{
	while (s->noperations > 0)
		operation_drop(s, s->operation);
	free(s->operation);
	free(s->common);
	s->operation = NULL;
	s->common = NULL;
	s->operations_cap = 0;
	s->ncommon = 0;
}

/* May an operation still come that it serves? */
static bool
common_stands(const struct session *s, const struct common *c)
{
	return c->written && (uint32_t)(s->last_op + ASTRAY - c->op) < RECORD_STANDS + 2 * ASTRAY;
}

uint64_t
operations_from(const struct session *s)
{
	uint64_t from = s->bytes;
	for (size_t i = 0; i < s->noperations; i++)
		if (s->operation[i].from < from)
			from = s->operation[i].from;
	for (unsigned i = 0; i < s->ncommon; i++)
		if (s->common[i].from < from && common_stands(s, &s->common[i]))
			from = s->common[i].from;
	return from;
}

/* ---- what operations have in common ---- */

void
common_put(struct session *s, unsigned place, const struct common *c)
{
	if (place >= RECORD_PLACES)
		return;
	if (place >= s->ncommon) {
		struct common *more = mem_alloc((place + 1) * sizeof(*more));
		if (s->ncommon > 0)
			memcpy(more, s->common, s->ncommon * sizeof(*more));
		free(s->common);
		s->common = more;
		s->ncommon = place + 1;
	}
	s->common[place] = *c;
}

const struct common *
common_find(const struct session *s, unsigned place, uint32_t op)
{
	const struct common *c = place < s->ncommon ? &s->common[place] : NULL;
	return c != NULL && c->written && frame_place_serves(c->op, op) ? c : NULL;
}
