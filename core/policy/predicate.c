/* SPDX-License-Identifier: Apache-2.0 */
/* Asking predicates: three-valued, by set and by element. */
#include <config.h>

#include "predicate.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

const char *const test_name[TESTS] = {
	[TEST_EQUAL] = "is", [TEST_PREFIX] = "prefix", [TEST_SUFFIX] = "suffix", [TEST_MATCHES] = "matches",
	[TEST_TAGGED] = "tagged", [TEST_CIDR] = "cidr", [TEST_BOOL] = "is", [TEST_NUMBER] = "is",
	[TEST_AT_LEAST] = "at_least", [TEST_AT_MOST] = "at_most", [TEST_MORE_THAN] = "more_than",
	[TEST_LESS_THAN] = "less_than", [TEST_WITHIN] = "within", [TEST_OUTSIDE] = "outside", [TEST_ABSENT] = "absent",
	[TEST_PRESENT] = "present", [TEST_ANY_OF] = "any_of", [TEST_ALL_OF] = "all_of", [TEST_NONE_OF] = "none_of",
};

/* ---- texts ---- */

static uint8_t
folded(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool
text_equal(struct sp_bytes a, struct sp_bytes b, bool fold)
{
	if (a.len != b.len)
		return false;
	if (!fold)
		return sp_bytes_eq(a, b);
	for (size_t i = 0; i < a.len; i++)
		if (folded(a.p[i]) != folded(b.p[i]))
			return false;
	return true;
}

static struct sp_bytes
text_head(struct sp_bytes t, size_t n)
{
	return (struct sp_bytes){ t.p, n < t.len ? n : t.len };
}

static struct sp_bytes
text_tail(struct sp_bytes t, size_t n)
{
	size_t skip = n < t.len ? t.len - n : 0;

	return (struct sp_bytes){ t.p + skip, t.len - skip };
}

/*
 * A name one of whose parts is not resolved ("?.orders", "crm.people.*") may be any that fits what is
 * known of it.  Finds the text before the first such part and after the last.
 */
static bool
unresolved(struct sp_bytes t, struct sp_bytes *head_r, struct sp_bytes *tail_r)
{
	bool found = false;

	if (t.len == 0 || (memchr(t.p, '?', t.len) == NULL && memchr(t.p, '*', t.len) == NULL))
		return false;
	for (size_t i = 0; i < t.len; i++) {
		bool begins = i == 0 || t.p[i - 1] == '.', ends = i + 1 == t.len || t.p[i + 1] == '.';
		if ((t.p[i] != '?' && t.p[i] != '*') || !begins || !ends)
			continue;
		if (!found)
			*head_r = text_head(t, i);
		*tail_r = text_tail(t, t.len - i - 1);
		found = true;
	}
	return found;
}

static enum truth
match_unresolved(const struct test *t, struct sp_bytes text, struct sp_bytes head, struct sp_bytes tail, bool fold)
{
	size_t n = t->text.len;

	switch (t->kind) {
	case TEST_EQUAL:
		if (text_equal(t->text, text, fold)) /* whoever writes "?" or "*" means what is unresolved */
			return YES;
		if (n < head.len + tail.len || !text_equal(text_head(t->text, head.len), head, fold)
		    || !text_equal(text_tail(t->text, tail.len), tail, fold))
			return NO;
		return MAYBE;
	case TEST_PREFIX:
		if (n <= head.len)
			return truth_of(text_equal(text_head(head, n), t->text, fold));
		return text_equal(text_head(t->text, head.len), head, fold) ? MAYBE : NO;
	case TEST_SUFFIX:
		if (n <= tail.len)
			return truth_of(text_equal(text_tail(tail, n), t->text, fold));
		return text_equal(text_tail(t->text, tail.len), tail, fold) ? MAYBE : NO;
	default:
		return MAYBE;
	}
}

static enum truth
match_regex(const struct test *t, struct sp_bytes text, bool fold, struct budget *b)
{
	switch (regex_matches(t->regex, text, fold)) {
	case REGEX_NO:
		return NO;
	case REGEX_YES:
		return YES;
	case REGEX_LIMIT:
		break;
	}
	b->limit = true;
	return MAYBE;
}

/* ---- addresses ---- */

static enum truth
match_network(const struct network *n, struct sp_bytes text)
{
	bool in = false;
	if (!network_has(n, text, &in))
		return MAYBE; /* a socket without an address: who knows from where */
	return in ? YES : NO;
}

/* ---- one element ---- */

/* CPU time, not time: that others use the machine is not the policy's fault. */
static uint64_t
cpu_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		return UINT64_MAX;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool
step(struct budget *b)
{
	enum { EACH = 64 };

	if (b->spent)
		return false;
	if (++b->steps % EACH != 0)
		return true;
	uint64_t now = cpu_us();
	if (b->deadline == 0)
		b->deadline = now + b->allowed;
	b->spent = now >= b->deadline;
	return !b->spent;
}

static enum truth match_text(const struct test *t, struct sp_bytes text, bool strict, bool exact, struct budget *b);

static enum truth
match_parts(const struct test *t, struct sp_bytes text, bool strict, bool exact, struct budget *b)
{
	enum truth answer = t->kind == TEST_ALL_OF ? YES : NO;

	for (size_t i = 0; i < t->n; i++) {
		enum truth one = match_text(t->part[i], text, t->kind == TEST_NONE_OF ? !strict : strict, exact, b);
		answer = t->kind == TEST_ALL_OF ? truth_and(answer, one) : truth_or(answer, one);
	}
	return t->kind == TEST_NONE_OF ? truth_not(answer) : answer;
}

static enum truth
match_text(const struct test *t, struct sp_bytes text, bool strict, bool exact, struct budget *b)
{
	bool fold = strict && !exact;
	struct sp_bytes head = { NULL, 0 }, tail = { NULL, 0 };

	if (!step(b))
		return MAYBE;
	if (t->kind == TEST_ANY_OF || t->kind == TEST_ALL_OF || t->kind == TEST_NONE_OF)
		return match_parts(t, text, strict, exact, b);
	if (t->kind <= TEST_MATCHES && unresolved(text, &head, &tail))
		return match_unresolved(t, text, head, tail, fold);
	switch (t->kind) {
	case TEST_EQUAL:
		return truth_of(text_equal(t->text, text, fold));
	case TEST_PREFIX:
		return truth_of(text.len >= t->text.len && text_equal(t->text, text_head(text, t->text.len), fold));
	case TEST_SUFFIX:
		return truth_of(text.len >= t->text.len && text_equal(t->text, text_tail(text, t->text.len), fold));
	case TEST_MATCHES:
		return match_regex(t, text, fold, b);
	case TEST_TAGGED:
		return tag_matches(t->tag, text);
	case TEST_CIDR:
		return match_network(&t->network, text);
	case TEST_PRESENT:
		return YES;
	default:
		return NO;
	}
}

static enum truth
match_number(const struct test *t, uint64_t n)
{
	switch (t->kind) {
	case TEST_BOOL:
	case TEST_NUMBER:
		return truth_of(n == t->number);
	case TEST_AT_LEAST:
		return truth_of(n >= t->number);
	case TEST_AT_MOST:
		return truth_of(n <= t->number);
	case TEST_MORE_THAN:
		return truth_of(n > t->number);
	case TEST_LESS_THAN:
		return truth_of(n < t->number);
	case TEST_WITHIN:
		return truth_of(window_inside(t->window, n));
	case TEST_OUTSIDE:
		return truth_of(!window_inside(t->window, n));
	default:
		return NO;
	}
}

/* ---- values ---- */

static enum truth
absence(const struct test *t, const struct value *v)
{
	bool empty = v->known == ABSENT;

	if (v->known == UNKNOWN && v->n == 0)
		return MAYBE;
	return truth_of(empty == (t->kind == TEST_ABSENT));
}

static enum truth
fits_scalar(const struct test *t, const struct value *v, const struct attribute *a, bool strict, struct budget *b)
{
	enum truth answer;

	switch (t->kind) {
	case TEST_ANY_OF:
	case TEST_ALL_OF:
	case TEST_NONE_OF:
		answer = t->kind == TEST_ALL_OF ? YES : NO;
		for (size_t i = 0; i < t->n; i++) {
			enum truth one = fits_scalar(t->part[i], v, a, t->kind == TEST_NONE_OF ? !strict : strict, b);
			answer = t->kind == TEST_ALL_OF ? truth_and(answer, one) : truth_or(answer, one);
		}
		if (t->kind != TEST_NONE_OF)
			return answer;
		/* An exception needs a value to be about. */
		return v->known == ABSENT && !strict ? NO : truth_not(answer);
	case TEST_ABSENT:
	case TEST_PRESENT:
		return absence(t, v);
	default:
		break;
	}
	if (v->known != PRESENT)
		return v->known == UNKNOWN ? MAYBE : NO;
	if (a->type == SP_TYPE_STRING)
		return match_text(t, v->text, strict, a->exact, b);
	return step(b) ? match_number(t, v->number) : MAYBE;
}

/* A set without elements fits nothing but absence. */
static enum truth
fits_empty(const struct test *t)
{
	enum truth answer = t->kind == TEST_ALL_OF ? YES : NO;

	if (t->kind == TEST_ABSENT)
		return YES;
	if (t->kind != TEST_ANY_OF && t->kind != TEST_ALL_OF)
		return NO;
	for (size_t i = 0; i < t->n; i++)
		answer = t->kind == TEST_ALL_OF ? truth_and(answer, fits_empty(t->part[i])) : truth_or(answer, fits_empty(t->part[i]));
	return answer;
}

/* Whether some element fits, or (all) each; what is not known of the set may be anything. */
static enum truth
fits_elements(const struct test *t, const struct value *v, const struct attribute *a, bool strict, bool all, struct budget *b)
{
	enum truth answer = all ? YES : NO;

	for (size_t i = 0; i < v->n && answer != (all ? NO : YES); i++) {
		enum truth one = match_text(t, v->set[i], strict, a->exact, b);
		answer = all ? truth_and(answer, one) : truth_or(answer, one);
	}
	if (v->known != UNKNOWN)
		return answer;
	return all ? truth_and(answer, MAYBE) : truth_or(answer, MAYBE);
}

static enum truth
fits_set(const struct test *t, const struct value *v, const struct attribute *a, bool strict, struct budget *b)
{
	enum truth answer;

	if (t->kind == TEST_ABSENT || t->kind == TEST_PRESENT) {
		struct value whole = *v;
		whole.known = v->known == UNKNOWN ? UNKNOWN : v->n == 0 ? ABSENT : PRESENT;
		return absence(t, &whole);
	}
	if (a->of_operation && v->known != UNKNOWN && v->n == 0)
		return fits_empty(t);
	if (t->kind == TEST_ALL_OF) {
		answer = YES;
		for (size_t i = 0; i < t->n; i++)
			answer = truth_and(answer, fits_set(t->part[i], v, a, strict, b));
		return answer;
	}
	if (a->of_operation)
		return fits_elements(t, v, a, strict, !strict, b);
	if (t->kind != TEST_ANY_OF && t->kind != TEST_NONE_OF)
		return fits_elements(t, v, a, strict, false, b);
	answer = NO;
	for (size_t i = 0; i < t->n; i++)
		answer = truth_or(answer, fits_set(t->part[i], v, a, t->kind == TEST_NONE_OF ? !strict : strict, b));
	return t->kind == TEST_NONE_OF ? truth_not(answer) : answer;
}

enum truth
test_fits(const struct test *t, const struct value *v, const struct attribute *a, bool strict, struct budget *b)
{
	if (a->type == SP_TYPE_STRINGS || a->type == SP_TYPE_COLUMNS)
		return fits_set(t, v, a, strict, b);
	return fits_scalar(t, v, a, strict, b);
}

enum truth
test_fits_text(const struct test *t, struct sp_bytes text, bool strict, struct budget *b)
{
	return match_text(t, text, strict, false, b);
}

/* ---- for people ---- */

int
text_print(struct sp_bytes text, struct buffer *out)
{
	int rc = buffer_put(out, SP_LIT("\""));

	for (size_t i = 0; i < text.len && rc == SP_OK; i++) {
		uint8_t c = text.p[i];
		if (c == '"' || c == '\\')
			rc = buffer_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			rc = buffer_printf(out, "\\x%02x", c);
		else
			rc = buffer_put(out, (struct sp_bytes){ &text.p[i], 1 });
	}
	return rc == SP_OK ? buffer_put(out, SP_LIT("\"")) : rc;
}

int
test_print(const struct test *t, struct buffer *out)
{
	int rc;

	switch (t->kind) {
	case TEST_EQUAL:
		return text_print(t->text, out);
	case TEST_BOOL:
		return buffer_printf(out, "%s", t->number != 0 ? "true" : "false");
	case TEST_NUMBER:
		return buffer_printf(out, "%" PRIu64, t->number);
	case TEST_AT_LEAST:
	case TEST_AT_MOST:
	case TEST_MORE_THAN:
	case TEST_LESS_THAN:
		return buffer_printf(out, "%s(%" PRIu64 ")", test_name[t->kind], t->number);
	case TEST_ABSENT:
	case TEST_PRESENT:
		return buffer_printf(out, "%s", test_name[t->kind]);
	case TEST_ANY_OF:
	case TEST_ALL_OF:
	case TEST_NONE_OF:
		rc = buffer_printf(out, "%s {", test_name[t->kind]);
		for (size_t i = 0; i < t->n && rc == SP_OK; i++) {
			rc = buffer_printf(out, i == 0 ? " " : ", ");
			if (rc == SP_OK)
				rc = test_print(t->part[i], out);
		}
		return rc == SP_OK ? buffer_put(out, SP_LIT(" }")) : rc;
	default:
		rc = buffer_printf(out, "%s ", test_name[t->kind]);
		return rc == SP_OK ? text_print(t->text, out) : rc;
	}
}

int
value_print(const struct value *v, enum sp_type type, struct buffer *out)
{
	enum { SHOWN = 8, CUT = 80 };
	int rc = SP_OK;

	if (v->known == ABSENT)
		return buffer_printf(out, "absent");
	if (type == SP_TYPE_STRINGS || type == SP_TYPE_COLUMNS) {
		rc = buffer_put(out, SP_LIT("{"));
		for (size_t i = 0; i < v->n && i < SHOWN && rc == SP_OK; i++) {
			rc = buffer_printf(out, i == 0 ? " " : ", ");
			if (rc == SP_OK)
				rc = text_print(text_head(v->set[i], CUT), out);
		}
		if (rc == SP_OK && v->n > SHOWN)
			rc = buffer_printf(out, ", %zu more", v->n - SHOWN);
		return rc != SP_OK ? rc : buffer_printf(out, "%s", v->known == UNKNOWN ? " and what is not known }" : " }");
	}
	if (v->known == UNKNOWN)
		return buffer_printf(out, "not known");
	if (type == SP_TYPE_STRING)
		return text_print(text_head(v->text, CUT), out);
	if (type == SP_TYPE_BOOL)
		return buffer_printf(out, "%s", v->number != 0 ? "true" : "false");
	return buffer_printf(out, "%" PRIu64, v->number);
}
