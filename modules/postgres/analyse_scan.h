/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's lexer, as far as it takes to know where literals, words and operators stand, and how
 * deep a text can nest, before anything recursive touches it.
 *
 * It follows scan.l with standard_conforming_strings on.  Where it errs, it errs on the deep side.
 */
#ifndef PG_ANALYSE_SCAN_H
#define PG_ANALYSE_SCAN_H

#include <sallyport/module.h>

enum pg_token_kind {
	PG_TOKEN_END,
	PG_TOKEN_WORD,     /* identifier or keyword, not quoted */
	PG_TOKEN_NAME,     /* "quoted identifier" */
	PG_TOKEN_STRING,   /* '…' E'…' U&'…' B'…' X'…' N'…' */
	PG_TOKEN_DOLLAR,   /* $tag$…$tag$ */
	PG_TOKEN_NUMBER,
	PG_TOKEN_PARAM,    /* $1 */
	PG_TOKEN_OPERATOR,
	PG_TOKEN_SELF,     /* , ( ) [ ] . ; : and the like, one byte */
	PG_TOKEN_BAD       /* an open string or comment, a byte no token begins with */
};

struct pg_token {
	enum pg_token_kind kind;
	size_t offset, len;
	size_t body, body_len; /* PG_TOKEN_DOLLAR: what is between the tags */
};

struct pg_scan {
	struct sp_bytes text;
	size_t at;
};

struct pg_scan pg_scan(struct sp_bytes text, size_t from);
struct pg_token pg_scan_next(struct pg_scan *s);
/* True when the token is this word, in any case. */
bool pg_token_is(const struct pg_scan *s, const struct pg_token *t, const char *word);

/* Valid UTF-8 as the server has it: shortest form, no surrogates, up to U+10FFFF, no NUL. */
bool pg_scan_utf8(struct sp_bytes text);
/* No more words, literals and signs than are left; they are taken off, or a short text's bytes are. */
bool pg_scan_few(struct sp_bytes text, size_t *left);
/* No less than the levels of nesting, in units of one operator or bracket; stops at PG_DEPTH_MAX. */
size_t pg_scan_depth(struct sp_bytes text);

#endif
