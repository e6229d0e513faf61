/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of SQL is cut where PostgreSQL's own scanner cuts it, or it is refused: what an approver took for
 * a comment or a string must never be a statement that the approval covers (P7).
 */
#include <config.h>

#include <pg_query.h>
#include <pg_query.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/keeper/statements.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
differ(const char *text, const char *what)
{
	(void)fprintf(stderr, "%s: ‹%s›\n", what, text);
	abort();
}

/* Where PostgreSQL's lexer has tokens and semicolons: the next piece, from a token's first byte to a token's last. */
static bool
their_next(const PgQuery__ScanResult *r, size_t *token, struct statement *s_r)
{
	unsigned parens = 0;
	bool any = false;
	for (; *token < r->n_tokens; ++*token) {
		const PgQuery__ScanToken *t = r->tokens[*token];
		if (t->token == PG_QUERY__TOKEN__SQL_COMMENT || t->token == PG_QUERY__TOKEN__C_COMMENT)
			continue;
		if (t->token == PG_QUERY__TOKEN__ASCII_59 && parens == 0) {
			if (any)
				break;
			continue;
		}
		parens += t->token == PG_QUERY__TOKEN__ASCII_40;
		parens -= t->token == PG_QUERY__TOKEN__ASCII_41;
		s_r->start = any ? s_r->start : (size_t)t->start;
		s_r->end = (size_t)t->end;
		any = true;
	}
	return any;
}

static void
same_cuts(const char *text, const PgQuery__ScanResult *r)
{
	struct statement ours = { .next = 0 }, theirs = { .next = 0 };
	size_t token = 0, next;
	for (;;) {
		bool more = statements_next(sp_str(text), ours.next, &ours);
		if (more != their_next(r, &token, &theirs))
			differ(text, more ? "more than there are" : "fewer than there are");
		if (!more)
			return;
		if (ours.start != theirs.start || ours.end != theirs.end)
			differ(text, "another cut");
		const struct sp_bytes sent = { (const uint8_t *)text + ours.start, ours.end - ours.start };
		if (!statements_match(sp_str(text), ours.start, sent, &next) || next != ours.next)
			differ(text, "it does not match itself");
	}
}

/* As it comes, out of JSON: UTF-8, of which letters of two bytes will do here. */
static bool
is_text(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == 0 || (data[i] >= 0x80 && (data[i] < 0xc2 || data[i] > 0xdf || ++i == size || (data[i] & 0xc0) != 0x80)))
			return false;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096 || !is_text(data, size))
		return 0;
	char *text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	/* Bodies of SQL in functions are the parser's: the lexer doesn't know them.  It does not say where U&'…' ends. */
	if (!statements_odd(sp_str(text)) && strcasestr(text, "begin") == NULL && strcasestr(text, "u&") == NULL) {
		PgQueryScanResult scanned = pg_query_scan(text);
		PgQuery__ScanResult *r = scanned.error != NULL ? NULL
		    : pg_query__scan_result__unpack(NULL, scanned.pbuf.len, (const uint8_t *)scanned.pbuf.data);
		if (r != NULL) {
			same_cuts(text, r);
			pg_query__scan_result__free_unpacked(r, NULL);
		}
		pg_query_free_scan_result(scanned);
	}
	free(text);
	return 0;
}
