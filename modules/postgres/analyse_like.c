/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which texts are like one another: those that are equal but for whole numbers and plain strings.
 *
 *   SELECT 1 FROM t WHERE a = 5 AND b = 'x'      key: SELECT # FROM t WHERE a = # AND b = '
 *
 * What is made of them is the same tree with other constants, and what is said of it the same when
 * nobody looked at one (analysis.mattered).  So nothing is left out that the lexer or the grammar look
 * into: strings with a letter or an escape in front, numbers that are not int4, the precision of float.
 */
#include "analyse_internal.h"

#define INT4_DIGITS 9u /* any number of so many is one */
#define NUMBER 1       /* bytes that no text has here */
#define STRING 2

/* Only what is printed, and white space: the marks are ours. */
static bool
is_printed(struct sp_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < ' ' && text.p[i] != '\t' && text.p[i] != '\n' && text.p[i] != '\r')
			return false;
	return true;
}

static bool
is_whole(struct sp_bytes text, const struct pg_token *t)
{
	size_t end = t->offset + t->len;
	uint8_t before = t->offset > 0 ? text.p[t->offset - 1] : ' ', after = end < text.len ? text.p[end] : ' ';

	if (t->len > INT4_DIGITS || (t->len > 1 && text.p[t->offset] == '0'))
		return false;
	for (size_t i = 0; i < t->len; i++)
		if (text.p[t->offset + i] < '0' || text.p[t->offset + i] > '9')
			return false;
	/* nothing that could be read as one with it, by another lexer or the next version's */
	return strchr(" \t\n\r(,=<>+-*/%[", before) != NULL && strchr(" \t\n\r),=<>+-*/%];:", after) != NULL;
}

static uint8_t
mark_of(struct sp_bytes text, const struct pg_token *t)
{
	if (t->kind == PG_TOKEN_STRING && text.p[t->offset] == '\'')
		return STRING;
	return t->kind == PG_TOKEN_NUMBER && is_whole(text, t) ? NUMBER : 0;
}

/* A word before which or after which literals are more than constants. */
static bool
is_special(const struct pg_scan *s, const struct pg_token *t)
{
	static const char *const words[] = { "float", "uescape" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (pg_token_is(s, t, words[i]))
			return true;
	return false;
}

long
pg_skeleton(struct sp_bytes text, struct sp_writer *key, struct sp_span *span, size_t max)
{
	struct pg_scan s = pg_scan(text, 0);
	size_t from = 0, n = 0;

	if (!is_printed(text))
		return SP_EPROTO;
	for (;;) {
		struct pg_token t = pg_scan_next(&s);
		uint8_t mark = mark_of(text, &t);
		if (t.kind == PG_TOKEN_END)
			break;
		if (t.kind == PG_TOKEN_BAD || is_special(&s, &t) || (mark != 0 && n == max))
			return SP_EPROTO;
		if (mark == 0)
			continue;
		sp_wr_put(key, (struct sp_bytes){ text.p + from, t.offset - from });
		sp_wr_u8(key, mark);
		from = t.offset + t.len;
		span[n++] = (struct sp_span){ t.offset, t.len };
	}
	sp_wr_put(key, (struct sp_bytes){ text.p + from, text.len - from });
	return (long)n;
}
