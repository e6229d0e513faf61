/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport replay TEXT --together`: what names one thing, of all sessions, by its time, as if it were one session.
 *
 *   search TEXT ─▶ sessions, and which of their operations ─▶ their frames ─▶ by time ─▶ shown
 *
 * A docker exec is created, started, resized and asked for its end on connections of their own; its id stands in all of them.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../record/recording.h"
#include "recordings.h"

#define MATCHES_MAX 1000
#define BYTES_MAX (256u << 20) /* of all frames, which are sorted here */

struct piece {
	struct frame f; /* its payload is ours */
	uint64_t wall;  /* µs */
	size_t order;
};

struct together {
	json_t *sessions; /* id: [operation …] */
	bool more;
	struct buffer pieces; /* of struct piece, never dropped from */
	size_t n, bytes;
	uint32_t numbered; /* operations that have a number here */
};

static int
take_line(void *owner, json_t *line)
{
	struct together *t = owner;
	const json_t *match = json_object_get(line, "match"), *error = json_object_get(line, "error");
	const char *id = json_string_value(json_object_get(match, "session"));
	if (error != NULL)
		return failed("%s", json_is_string(error) ? json_string_value(error) : "the search failed");
	t->more = t->more || json_is_true(json_object_get(json_object_get(line, "done"), "more"));
	if (id == NULL)
		return DONE;
	json_t *ops = json_object_get(t->sessions, id), *op = json_object_get(match, "op");
	if (ops == NULL) {
		ops = json_array();
		(void)json_object_set_new(t->sessions, id, ops);
	}
	for (size_t i = 0; i < json_array_size(ops); i++)
		if (json_equal(json_array_get(ops, i), op))
			return DONE;
	return json_integer_value(op) == 0 || json_array_append(ops, op) == 0 ? DONE : failed("out of memory");
}

/* Its number among those of all sessions; 0: it is not asked for. */
static uint32_t
number_of(const struct together *t, const json_t *ops, uint32_t op)
{
	for (size_t i = 0; i < json_array_size(ops); i++)
		if (json_integer_value(json_array_get(ops, i)) == (json_int_t)op)
			return t->numbered + 1 + (uint32_t)i;
	return 0;
}

static int
keep(struct together *t, const struct frame *f, uint32_t op, uint64_t started)
{
	if (f->payload.len > BYTES_MAX - t->bytes)
		return failed("that is more than 256 MB: replay the sessions one by one");
	uint8_t *copy = malloc(f->payload.len + 1);
	if (copy == NULL)
		return failed("out of memory");
	if (f->payload.len > 0)
		memcpy(copy, f->payload.p, f->payload.len);
	struct piece piece = { .f = *f, .wall = started + f->at, .order = t->n };
	piece.f.op = op;
	piece.f.payload = (struct sp_bytes){ copy, f->payload.len };
	if (buffer_put(&t->pieces, (struct sp_bytes){ (const uint8_t *)&piece, sizeof(piece) }) != SP_OK) {
		free(copy);
		return failed("out of memory");
	}
	t->bytes += f->payload.len;
	t->n++;
	return DONE;
}

static struct piece *
pieces_of(const struct together *t)
{
	return (struct piece *)(void *)t->pieces.p;
}

static int
take_session(struct together *t, const struct run *r, const char *id, const json_t *ops)
{
	struct recording *rec = NULL;
	const char *err = "";
	struct frame f;
	uint64_t started = 0;
	int fd = recording_fetch(r, id), rc = fd < 0 ? FAILED : DONE, next = 1;
	if (rc == DONE && recording_open(fd, NULL, &rec, &err) != SP_OK)
		return failed("%s: %s", id, err);
	while (rc == DONE && (next = recording_next(rec, &f, &err)) == 1) {
		uint32_t op = f.op == 0 ? 0 : number_of(t, ops, f.op);
		if (f.type == FRAME_HEADER)
			(void)frame_field_u64_get(frame_get(&f, KEY_STARTED), &started);
		if (op > 0 || f.type == FRAME_HEADER)
			rc = keep(t, &f, op, started);
	}
	recording_close(&rec);
	t->numbered += (uint32_t)json_array_size(ops);
	return rc == DONE && next < 0 ? failed("%s: %s", id, err) : rc;
}

static int
by_time(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	if (x->wall != y->wall)
		return x->wall < y->wall ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
find(struct together *t, const struct run *r)
{
	const char *id;
	json_t *ops;
	int rc = client_lines(r, "/api/v1/search", json_pack("{s:s,s:i}", "text", r->word[0], "limit", MATCHES_MAX), take_line, t);
	if (rc == DONE && json_object_size(t->sessions) == 0)
		return failed("no recording that the gateway can read names %s", r->word[0]);
	json_object_foreach(t->sessions, id, ops)
		if (rc == DONE)
			rc = take_session(t, r, id, ops);
	if (t->n > 0)
		qsort(pieces_of(t), t->n, sizeof(struct piece), by_time);
	return rc;
}

int
recordings_together(const struct run *r, bool one_header, int (*each)(void *owner, const struct frame *f), void *owner)
{
	struct together t = { .sessions = json_object(), .pieces = { .max = BYTES_MAX } };
	int rc = find(&t, r);
	bool headed = false;
	struct piece *piece = pieces_of(&t);
	for (size_t i = 0; i < t.n; i++) {
		struct frame *f = &piece[i].f;
		f->at = piece[i].wall - piece[0].wall;
		f->number = (uint32_t)i + 1;
		if (rc == DONE && !(one_header && headed && f->type == FRAME_HEADER))
			rc = each(owner, f);
		headed = headed || f->type == FRAME_HEADER;
		free((void *)(uintptr_t)f->payload.p);
	}
	if (rc == DONE && t.more)
		(void)fprintf(stderr, "sallyport: more than %d places name it; the rest is left out\n", MATCHES_MAX);
	buffer_free(&t.pieces);
	json_decref(t.sessions);
	return rc;
}
