/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passed, by target, verdict and rule, and what was masked: counted where frames are taken, so that it costs
 * no worker anything.  The keeper asks for the numbers when somebody looks at them.
 */
#include <config.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "recorder.h"

#define KINDS 2048 /* rules of targets' policies, by verdict; what comes beyond is counted as one */
#define SLOTS 4096 /* a power of two */
#define NAME 80
#define HOURS 24
#define HOUR 3600000000u /* µs */
#define ROWS_SOME (UINT64_C(1) << 40) /* more in one answer, which only a liar has, are so many: times columns of one frame, that is a number still */

struct kind {
	char target[64], what[12], rule[NAME];
	uint8_t nwhat, nrule;
	uint64_t n;
	uint32_t hour[HOURS]; /* of the day: ring, by hour of wall time */
	uint64_t last;        /* the hour that was counted last */
};

struct counts {
	struct kind *slot[SLOTS], *last;
	size_t nkinds;
	uint64_t since; /* wall µs */
	uint64_t others, masked_columns, masked_values;
};

struct counts *
counts_new(void)
{
	struct counts *c = mem_alloc(sizeof(*c));
	c->since = clock_wall_us();
	return c;
}

void
counts_free(struct counts **c)
{
	for (size_t i = 0; *c != NULL && i < SLOTS; i++)
		free((*c)->slot[i]);
	free(*c);
	*c = NULL;
}

static bool
kind_is(const struct kind *k, const char *target, struct sp_bytes what, struct sp_bytes rule)
{
	return sp_bytes_eq(what, (struct sp_bytes){ (const uint8_t *)k->what, k->nwhat }) &&
	    sp_bytes_eq(rule, (struct sp_bytes){ (const uint8_t *)k->rule, k->nrule }) && strcmp(target, k->target) == 0;
}

static bool
fits(struct sp_bytes text, size_t room)
{
	return text.len < room && (text.len == 0 || memchr(text.p, 0, text.len) == NULL);
}

/* FNV-1a, over what is at most a line. */
static size_t
slot_of(const char *target, struct sp_bytes what, struct sp_bytes rule)
{
	const struct sp_bytes part[] = { sp_str(target), what, rule };
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < part[i].len; k++)
			h = (h ^ part[i].p[k]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32) % SLOTS;
}

/* Hours in which nothing was counted are none of a day before. */
static void
count_one(struct kind *k, uint64_t hour)
{
	uint64_t gone = hour > k->last ? hour - k->last : 0;
	for (uint64_t i = 1; i <= gone && i <= HOURS; i++)
		k->hour[(hour - gone + i) % HOURS] = 0;
	k->last = hour > k->last ? hour : k->last;
	k->hour[hour % HOURS]++;
	k->n++;
}

static void
count_kind(struct recorder *r, const char *target, struct sp_bytes what, struct sp_bytes rule)
{
	struct counts *c = r->counts;
	uint64_t hour = r->wall / HOUR;
	if (c->last != NULL && kind_is(c->last, target, what, rule)) { /* mostly the same as before */
		count_one(c->last, hour);
		return;
	}
	if (what.len == 0 || !fits(what, sizeof(c->last->what)) || !fits(rule, NAME)) {
		c->others++;
		return;
	}
	size_t i = slot_of(target, what, rule);
	while (c->slot[i] != NULL && !kind_is(c->slot[i], target, what, rule))
		i = (i + 1) % SLOTS;
	if (c->slot[i] == NULL && c->nkinds == KINDS) {
		c->others++;
		return;
	}
	if (c->slot[i] == NULL) {
		struct kind *k = c->slot[i] = mem_alloc(sizeof(*k));
		memcpy(k->target, target, strlen(target)); /* of a session: no longer than this */
		memcpy(k->what, what.p, what.len);
		k->nwhat = (uint8_t)what.len;
		k->nrule = (uint8_t)rule.len;
		if (rule.len > 0)
			memcpy(k->rule, rule.p, rule.len);
		c->nkinds++;
	}
	c->last = c->slot[i];
	count_one(c->last, hour);
}

/* Each of a frame's fields of that key is a rule that did so. */
static void
count_rules(struct recorder *r, const char *target, const struct frame *f, enum frame_key of, struct sp_bytes what)
{
	struct sp_reader fields = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key;
	if (!frame_may_have(f, of))
		return;
	while (frame_next_field(&fields, &key, &value))
		if (key == of)
			count_kind(r, target, what, value);
}

/* "would deny", "would mask": of a target in observe mode. */
static void
count_would(struct recorder *r, const char *target, const struct frame *f)
{
	static const char before[] = "would ";
	char what[sizeof(r->counts->last->what)];
	struct sp_bytes would = frame_get(f, KEY_WOULD);
	if (would.len == 0 || would.len >= sizeof(what) - sizeof(before))
		return;
	memcpy(what, before, sizeof(before) - 1);
	memcpy(what + sizeof(before) - 1, would.p, would.len);
	count_kind(r, target, (struct sp_bytes){ (const uint8_t *)what, sizeof(before) - 1 + would.len }, frame_get(f, KEY_RULE));
}

static uint32_t
masked_in(const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key;
	uint32_t n = 0;
	while (frame_next_field(&r, &key, &value))
		n += key == KEY_COLUMN && value.len > 0 && value.p[0] != 0;
	return n;
}

void
count_frame(struct recorder *r, struct session *s, const struct frame *f)
{
	struct counts *c = r->counts;
	struct operation *o;
	uint64_t rows;
	if (c == NULL || r->recovering)
		return;
	switch (f->type) {
	case FRAME_VERDICT:
		count_kind(r, s->target, frame_get(f, KEY_WHAT), frame_get(f, KEY_RULE));
		count_rules(r, s->target, f, KEY_OBSERVED, SP_LIT("observed"));
		count_would(r, s->target, f);
		break;
	case FRAME_HELD:
		count_kind(r, s->target, SP_LIT("held"), frame_get(f, KEY_RULE));
		break;
	case FRAME_COLUMNS:
		o = operation_find(s, f->op);
		if (o != NULL)
			c->masked_columns += o->masked = masked_in(f);
		count_rules(r, s->target, f, KEY_RULE, SP_LIT("masked"));
		count_rules(r, s->target, f, KEY_OBSERVED, SP_LIT("observed"));
		count_would(r, s->target, f);
		break;
	case FRAME_DONE:
		o = operation_find(s, f->op);
		if (o != NULL && frame_field_u64_get(frame_get(f, KEY_ROWS), &rows))
			c->masked_values = frame_number_sum(c->masked_values, (rows < ROWS_SOME ? rows : ROWS_SOME) * o->masked);
		break;
	default:
		break;
	}
}

static json_t *
text_of(const char *text)
{
	json_t *j = json_string(text);
	return j == NULL ? json_string("?") : j; /* a worker's word may be no UTF-8 */
}

static json_t *
kind_json(const struct kind *k)
{
	uint64_t now = clock_wall_us() / HOUR;
	json_t *day = json_array(); /* the last 24 hours, this one last */
	for (uint64_t h = now + 1 - HOURS; h <= now; h++)
		(void)json_array_append_new(day, json_integer(h > k->last || h + HOURS <= k->last ? 0 : (json_int_t)k->hour[h % HOURS]));
	return json_pack("{s:o,s:o,s:o,s:I,s:o}", "target", text_of(k->target), "verdict", text_of(k->what), "rule", text_of(k->rule), "n",
	    (json_int_t)k->n, "day", day);
}

/* A verdict is one of an operation's; what rules did besides is a hit. */
char *
counts_json(const struct recorder *r)
{
	const struct counts *c = r->counts;
	uint64_t waiting = 0;
	json_t *operations = json_array(), *hits = json_array();
	for (const struct source *src = r->sources; src != NULL; src = src->next)
		waiting += ring_waiting(src->ring);
	for (size_t i = 0; i < SLOTS; i++) {
		const struct kind *k = c->slot[i];
		bool hit = k != NULL && (strncmp(k->what, "would ", 6) == 0 || strcmp(k->what, "observed") == 0 || strcmp(k->what, "masked") == 0);
		if (k != NULL)
			(void)json_array_append_new(hit ? hits : operations, kind_json(k));
	}
	if (c->others > 0)
		(void)json_array_append_new(operations, json_pack("{s:s,s:s,s:s,s:I}", "target", "", "verdict", "other", "rule", "", "n",
		    (json_int_t)c->others));
	json_t *o = json_pack("{s:o,s:o,s:I,s:I,s:I,s:I,s:b,s:I}", "operations", operations, "hits", hits, "since", (json_int_t)c->since,
	    "masked_columns", (json_int_t)c->masked_columns, "masked_values", (json_int_t)c->masked_values, "waiting", (json_int_t)waiting,
	    "failing", r->failing, "tick_us", (json_int_t)r->tick_us);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
