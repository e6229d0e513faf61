/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of SQL, cut into statements where psql cuts it: at a semicolon outside of quotes, comments,
 * parentheses and BEGIN ATOMIC … END.  A statement is what lies between, without the white space and
 * comments before it.
 *
 * Nothing is decided by the cuts alone: what a session sends must be the very bytes from one
 * statement's beginning to a later one's end.
 */
#ifndef SALLYPORT_KEEPER_STATEMENTS_H
#define SALLYPORT_KEEPER_STATEMENTS_H

#include <sallyport/wire.h>

struct statement {
	size_t start, end; /* in the text */
	size_t next;       /* where the next one is looked for */
};

/* The first that begins at `from` or later.  False: none is left. */
bool statements_next(struct sp_bytes text, size_t from, struct statement *s_r);
/* From its first statement to its last, without what stands before and behind; empty when it is odd. */
struct sp_bytes statements_trim(struct sp_bytes text);
/* It has a command of psql's own (\…), inline data, or a quote or parenthesis that never ends: it can't be cut. */
bool statements_odd(struct sp_bytes text);
/*
 * Is `sent` what stands in the text from its next statement at `from` on, to the end of that or of a later one?
 * *next_r: what comes after.
 */
bool statements_match(struct sp_bytes text, size_t from, struct sp_bytes sent, size_t *next_r);
/* The same of what statements_trim() made of it: that reads all of it, so once for many texts. */
bool statements_match_bare(struct sp_bytes text, size_t from, struct sp_bytes bare, size_t *next_r);

#endif
