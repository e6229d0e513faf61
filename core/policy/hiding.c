/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that recordings hide of a statement's text, and what else must not tell them.
 *
 * A statement may have a hundred thousand literals, and all that is done here happens on the loop of all
 * sessions: spans are sorted once, tags asked once per column, and looking for values in them ends where
 * patience does.  What was not looked for is hidden.
 */
#include <config.h>

#include "policy.h"

#include <stdlib.h>

#include "op.h"

#define PATIENCE 20000000u /* bytes compared, for all values that are asked for */

struct hiding {
	const struct shape *shape;
	struct span {
		size_t from, to;
	} *span;                    /* sorted; they may overlap */
	size_t n;
	uint64_t patience;
};

/* ---- which ---- */

bool
tagging_hides(struct tagging *t, const struct literal *l)
{
	if (l->column == NULL)
		return true;
	for (unsigned i = 0; i < t->n; i++)
		if (strcmp(t->seen[i].column, l->column) == 0)
			return t->seen[i].tagged;
	bool tagged = policy_tagged(t->policy, sp_str(l->column));
	if (t->n < sizeof(t->seen) / sizeof(t->seen[0])) {
		t->seen[t->n].column = l->column;
		t->seen[t->n++].tagged = tagged;
	}
	return tagged;
}

static int
by_place(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to < y->to) - (x->to > y->to);
}

struct hiding *
hiding_new(const struct policy *p, const struct shape *s, struct arena *a)
{
	struct tagging tags = { .policy = p };
	struct hiding *h = arena_alloc(a, sizeof(*h));
	bool sorted = true;

	if (h == NULL || (h->span = arena_alloc(a, (s->nliterals + 1) * sizeof(*h->span))) == NULL)
		return NULL;
	h->shape = s;
	h->patience = PATIENCE;
	for (size_t i = 0; i < s->nliterals; i++) {
		const struct literal *l = &s->literal[i];
		if (l->len == 0 || l->offset > s->text.len || l->len > s->text.len - l->offset || !tagging_hides(&tags, l))
			continue;
		h->span[h->n] = (struct span){ l->offset, l->offset + l->len };
		sorted = sorted && (h->n == 0 || by_place(&h->span[h->n - 1], &h->span[h->n]) <= 0);
		h->n++;
	}
	if (!sorted)
		qsort(h->span, h->n, sizeof(*h->span), by_place);
	return h;
}

bool
hiding_next(const struct hiding *h, size_t *i, size_t at, struct sp_bytes *shown_r, struct sp_bytes *hidden_r)
{
	struct sp_bytes text = h->shape->text;

	while (*i < h->n && h->span[*i].to <= at)
		++*i;
	bool more = *i < h->n;
	size_t from = !more ? text.len : h->span[*i].from < at ? at : h->span[*i].from, to = more ? h->span[*i].to : from;
	*shown_r = (struct sp_bytes){ text.p + at, from - at };
	*hidden_r = (struct sp_bytes){ text.p + from, to - from };
	return more;
}

/* ---- does a value stand there ---- */

/* Letters and digits only, in one case: quotes may be doubled in the text and single in the value. */
static size_t
plain_next(struct sp_bytes t, size_t i)
{
	while (i < t.len && (t.p[i] < '0' || (t.p[i] > '9' && t.p[i] < 'A')))
		i++;
	return i;
}

static uint8_t
folded(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* False, and no patience left, when it was not looked through. */
static bool
stands_in(struct sp_bytes span, struct sp_bytes value, uint64_t *patience)
{
	for (size_t from = plain_next(span, 0); from < span.len && *patience > 0; from = plain_next(span, from + 1)) {
		size_t i = from, k = plain_next(value, 0);
		while (k < value.len && i < span.len && folded(span.p[i]) == folded(value.p[k])) {
			*patience -= *patience > 0;
			i = plain_next(span, i + 1);
			k = plain_next(value, k + 1);
		}
		*patience -= *patience > 0;
		if (k >= value.len)
			return true;
	}
	return false;
}

static bool
is_shown(struct hiding *h, struct sp_bytes value)
{
	struct sp_bytes shown, hidden;
	size_t i = 0, at = 0;
	bool more;

	do {
		more = hiding_next(h, &i, at, &shown, &hidden);
		if (stands_in(shown, value, &h->patience))
			return true;
		at = (size_t)(hidden.p - h->shape->text.p) + hidden.len;
	} while (more && h->patience > 0);
	return false;
}

bool
hiding_has(struct hiding *h, struct sp_bytes value)
{
	uint64_t tag = PATIENCE;
	bool hidden = false;

	if (plain_next(value, 0) == value.len)
		return false;
	if (h == NULL)
		return true;
	if (h->shape->tag != NULL && stands_in(sp_str(h->shape->tag), value, &tag))
		return false;
	for (size_t i = 0; i < h->n && !hidden && h->patience > 0; i++) {
		struct sp_bytes span = { h->shape->text.p + h->span[i].from, h->span[i].to - h->span[i].from };
		/* In a statement that is hidden whole, what escapes stand for is not known: it may be any value. */
		bool whole = strchr("'$\"", span.p[0]) == NULL;
		hidden = stands_in(span, value, &h->patience) || (whole && memchr(span.p, '\\', span.len) != NULL);
	}
	hidden = hidden || (h->n > 0 && h->patience == 0);
	return hidden && !is_shown(h, value);
}
