/* SPDX-License-Identifier: Apache-2.0 */
/* Matching columns to tags. */
#include <config.h>

#include "tag.h"

static uint8_t
fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool
glob_matches(struct sp_bytes pattern, struct sp_bytes text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, from = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.p[p] == '*') {
			star = p++;
			from = t;
		} else if (p < pattern.len && fold(pattern.p[p]) == fold(text.p[t])) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1; /* the last star takes one more */
			t = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.p[p] == '*')
		p++;
	return p == pattern.len;
}

/* Takes the part after the last dot off *rest. */
static struct sp_bytes
last_part(struct sp_bytes *rest)
{
	size_t at = rest->len;

	while (at > 0 && rest->p[at - 1] != '.')
		at--;
	struct sp_bytes part = { rest->p + at, rest->len - at };
	rest->len = at > 0 ? at - 1 : 0;
	return part;
}

bool
tag_pattern_parse(struct arena *a, const char *text, struct tag_pattern *p_r)
{
	struct sp_bytes rest = arena_bytes(a, sp_str(text));

	*p_r = (struct tag_pattern){ .text = text };
	if (rest.len == 0 || rest.p[0] == '.')
		return false;
	while (rest.len > 0) {
		if (p_r->parts == 3)
			return false;
		struct sp_bytes part = last_part(&rest);
		if (part.len == 0)
			return false;
		p_r->part[p_r->parts++] = part;
	}
	return true;
}

enum truth
tag_pattern_matches(const struct tag_pattern *p, struct sp_bytes column)
{
	enum truth answer = YES;

	for (unsigned i = 0; i < p->parts; i++) {
		if (column.len == 0) {
			answer = truth_and(answer, MAYBE); /* not qualified so far: it may be that one */
			break;
		}
		struct sp_bytes part = last_part(&column);
		if (sp_bytes_is(p->part[i], "*"))
			continue;
		if (sp_bytes_is(part, "?") || sp_bytes_is(part, "*"))
			answer = truth_and(answer, MAYBE);
		else if (!glob_matches(p->part[i], part))
			return NO;
	}
	return answer;
}

enum truth
tag_matches(const struct tag *t, struct sp_bytes column)
{
	enum truth answer = NO;

	for (size_t i = 0; i < t->n && answer != YES; i++)
		answer = truth_or(answer, tag_pattern_matches(&t->pattern[i], column));
	return answer;
}
