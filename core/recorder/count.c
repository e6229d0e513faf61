/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passed, by verdict and rule, and what was masked: counted where frames are taken, so that it costs
 * no worker anything.  The keeper asks for the numbers when somebody looks at them.
 */
#include <config.h>

#include <jansson.h>
#include <stdlib.h>

#include "recorder.h"

#define KINDS 512 /* rules of policies; what comes beyond is counted as one */
#define NAME 80

struct kind {
	char what[8], rule[NAME];
	uint64_t n;
};

struct counts {
	struct kind kind[KINDS];
	size_t nkinds, last;
	uint64_t others, masked_columns, masked_values;
};

struct counts *
counts_new(void)
{
	return mem_alloc(sizeof(struct counts));
}

void
counts_free(struct counts **c)
{
	free(*c);
	*c = NULL;
}

static bool
kind_is(const struct kind *k, struct sp_bytes what, struct sp_bytes rule)
{
	return sp_bytes_is(what, k->what) && sp_bytes_is(rule, k->rule);
}

static void
count_verdict(struct counts *c, struct sp_bytes what, struct sp_bytes rule)
{
	if (c->last < c->nkinds && kind_is(&c->kind[c->last], what, rule)) { /* mostly the same as before */
		c->kind[c->last].n++;
		return;
	}
	size_t i = 0;
	while (i < c->nkinds && !kind_is(&c->kind[i], what, rule))
		i++;
	if (i == c->nkinds && (i == KINDS || what.len >= sizeof(c->kind[0].what) || rule.len >= NAME || what.len == 0 ||
				  memchr(what.p, 0, what.len) != NULL || (rule.len > 0 && memchr(rule.p, 0, rule.len) != NULL))) {
		c->others++;
		return;
	}
	if (i == c->nkinds) {
		memcpy(c->kind[i].what, what.p, what.len);
		if (rule.len > 0)
			memcpy(c->kind[i].rule, rule.p, rule.len);
		c->nkinds++;
	}
	c->kind[i].n++;
	c->last = i;
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
		count_verdict(c, frame_get(f, KEY_WHAT), frame_get(f, KEY_RULE));
		break;
	case FRAME_HELD:
		count_verdict(c, SP_LIT("held"), frame_get(f, KEY_RULE));
		break;
	case FRAME_COLUMNS:
		o = operation_find(s, f->op);
		if (o != NULL)
			c->masked_columns += o->masked = masked_in(f);
		break;
	case FRAME_DONE:
		o = operation_find(s, f->op);
		if (o != NULL && frame_field_u64_get(frame_get(f, KEY_ROWS), &rows))
			c->masked_values += rows * o->masked;
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

char *
counts_json(const struct recorder *r)
{
	const struct counts *c = r->counts;
	uint64_t waiting = 0;
	json_t *list = json_array();
	for (const struct source *src = r->sources; src != NULL; src = src->next)
		waiting += ring_waiting(src->ring);
	for (size_t i = 0; i < c->nkinds; i++)
		(void)json_array_append_new(list, json_pack("{s:o,s:o,s:I}", "verdict", text_of(c->kind[i].what), "rule", text_of(c->kind[i].rule), "n",
		    (json_int_t)c->kind[i].n));
	if (c->others > 0)
		(void)json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "verdict", "other", "rule", "", "n", (json_int_t)c->others));
	json_t *o = json_pack("{s:o,s:I,s:I,s:I,s:b,s:I}", "operations", list, "masked_columns", (json_int_t)c->masked_columns, "masked_values",
	    (json_int_t)c->masked_values, "waiting", (json_int_t)waiting, "failing", r->failing, "tick_us", (json_int_t)r->tick_us);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
