/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predicates: what stands to the right of a name in `when` and `unless`.
 *
 * A predicate is asked strictly in a restriction and mildly in an exception.  Strictly, one element
 * of a set is enough, letter case does not count, and what is not known may fit; mildly, every
 * element has to fit, exactly, and the caller takes MAYBE for no.  none_of turns the one into the other,
 * so that it is never easier to slip through a negation than through what it negates.
 */
#ifndef SALLYPORT_PREDICATE_H
#define SALLYPORT_PREDICATE_H

#include "../base/network.h"
#include "attribute.h"
#include "regex.h"
#include "tag.h"
#include "window.h"

enum test_kind {
	TEST_EQUAL, TEST_PREFIX, TEST_SUFFIX, TEST_MATCHES, TEST_TAGGED, TEST_CIDR,
	TEST_BOOL, TEST_NUMBER, TEST_AT_LEAST, TEST_AT_MOST, TEST_MORE_THAN, TEST_LESS_THAN,
	TEST_WITHIN, TEST_OUTSIDE, TEST_ABSENT, TEST_PRESENT, TEST_ANY_OF, TEST_ALL_OF, TEST_NONE_OF, TESTS
};
extern const char *const test_name[TESTS];

struct test {
	enum test_kind kind;
	struct sp_bytes text;
	uint64_t number; /* and bool */
	struct regex *regex;
	struct window *window;
	const struct tag *tag;
	struct network network;
	struct test **part;
	size_t n;
};

/* What asking may cost, and what went wrong. */
struct budget {
	uint64_t allowed;  /* µs of this thread's CPU time */
	uint64_t deadline; /* set at the first look at the clock */
	unsigned steps;
	bool spent;        /* out of time */
	bool limit;        /* a regular expression reached its limit */
};

enum truth test_fits(const struct test *t, const struct value *v, const struct attribute *a, bool strict, struct budget *b);
/* One text, as fits() of the language asks it. */
enum truth test_fits_text(const struct test *t, struct sp_bytes text, bool strict, struct budget *b);
/* In the language's own words, one canonical form. */
int test_print(const struct test *t, struct buffer *out) SP_MUST;
/* A value for people: "a, b", 5, true; cut when long. */
int value_print(const struct value *v, enum sp_type type, struct buffer *out) SP_MUST;
/* A text in double quotes, escaped. */
int text_print(struct sp_bytes text, struct buffer *out) SP_MUST;

#endif
