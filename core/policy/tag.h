/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags: patterns of columns, as in  tag "pii" { "*.ssn", "crm.people.email", "*.card_*" }
 *
 * A pattern is aligned to the right of schema.table.column, letter case does not count, and `*`
 * stands for any run of characters within one name.  A part of a column that is not resolved ("?",
 * or "*" for all columns) may be anything: MAYBE.
 */
#ifndef SALLYPORT_TAG_H
#define SALLYPORT_TAG_H

#include "truth.h"

struct tag_pattern {
	struct sp_bytes part[3]; /* from the right: column, table, schema */
	unsigned parts;
	const char *text, *file;
	unsigned line;
};

struct tag {
	const char *name;
	struct tag_pattern *pattern;
	size_t n;
	bool sensitive; /* a rule hides something by it */
	struct tag *next;
};

/* False: not one to three names, or an empty one. */
bool tag_pattern_parse(struct arena *a, const char *text, struct tag_pattern *p_r);
enum truth tag_pattern_matches(const struct tag_pattern *p, struct sp_bytes column);
enum truth tag_matches(const struct tag *t, struct sp_bytes column);

/* A text against a pattern whose only sign is `*`; linear in their product. */
bool glob_matches(struct sp_bytes pattern, struct sp_bytes text);

#endif
