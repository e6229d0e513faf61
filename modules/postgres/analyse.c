/* SPDX-License-Identifier: Apache-2.0 */
/* From the text to the operation: limits, parse, statements one by one, hand-over.  See analyse.h. */
#include "analyse_internal.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

#define INNER_DEPTH 8

static const struct sp_bytes none = { NULL, 0 };

/* Where the grammar stopped, for the name of `syntax`. */
static struct sp_bytes
word_at(struct sp_bytes text, int cursor)
{
	size_t at = cursor > 0 ? (size_t)cursor - 1 : 0;
	if (at >= text.len)
		return none;
	struct pg_scan s = pg_scan(text, at);
	struct pg_token t = pg_scan_next(&s);
	return (struct sp_bytes){ text.p + t.offset, t.len > 63 ? 63 : t.len };
}

static void
opaque_text(struct analysis *a, const char *why, struct sp_bytes name)
{
	if (a->stmt == NULL)
		a->stmt = analyse_stmt(a, "unknown");
	note_effects(a, PG_OPAQUE);
	note_unclear(a, why, analyse_copy(a, name));
	note_hide_text(a, 0, a->text.len, true);
}

static PgQuery__ParseResult *
parse(struct analysis *a, struct sp_bytes text, struct sp_bytes *stopped_r)
{
	char *copy = analyse_alloc(a, text.len + 1);
	*stopped_r = none;
	if (copy == NULL)
		return NULL;
	if (text.len > 0)
		memcpy(copy, text.p, text.len);
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(copy);
	PgQuery__ParseResult *tree = NULL;
	if (r.error == NULL)
		tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
	else
		*stopped_r = analyse_copy(a, word_at(text, r.error->cursorpos));
	pg_query_free_protobuf_parse_result(r);
	return tree;
}

/* Why this text is not even parsed, or NULL. */
static const char *
too_hard(struct sp_bytes text)
{
	if (text.len > PG_STATEMENT_MAX)
		return "size";
	if (!pg_scan_utf8(text))
		return "encoding";
	return pg_scan_depth(text) >= PG_DEPTH_MAX ? "depth" : NULL;
}

static void
bounds(struct analysis *a, const PgQuery__RawStmt *s)
{
	size_t from = s->stmt_location < 0 ? 0 : (size_t)s->stmt_location;
	a->begin = from > a->text.len ? a->text.len : from;
	a->end = s->stmt_len <= 0 || (size_t)s->stmt_len > a->text.len - a->begin ? a->text.len : a->begin + (size_t)s->stmt_len;
}

static void
statements(struct analysis *a, const PgQuery__ParseResult *tree)
{
	a->statements = (unsigned)tree->n_stmts;
	if (tree->n_stmts == 0) {
		a->stmt = analyse_stmt(a, "empty");
		return;
	}
	if (tree->n_stmts == 1) {
		bounds(a, tree->stmts[0]);
		a->stmt = analyse_stmt(a, "unknown");
		analyse_statement(a, WALK(tree->stmts[0]->stmt), NULL);
		return;
	}
	struct stmt *batch = a->stmt = analyse_stmt(a, "batch");
	for (size_t i = 0; i < tree->n_stmts && !a->failed; i++) {
		bounds(a, tree->stmts[i]);
		a->stmt = batch;
		analyse_nested(a, WALK(tree->stmts[i]->stmt), NULL);
	}
	a->stmt = batch;
}

bool
analyse_inner_text(struct analysis *a, struct sp_bytes text)
{
	struct sp_bytes stopped, outer = a->text;
	bool quiet = a->quiet;
	PgQuery__ParseResult *tree = a->depth >= INNER_DEPTH || too_hard(text) != NULL ? NULL : parse(a, text, &stopped);
	if (tree == NULL)
		return false;
	a->depth++;
	a->quiet = true;
	a->text = text;
	for (size_t i = 0; i < tree->n_stmts; i++)
		analyse_nested(a, WALK(tree->stmts[i]->stmt), NULL);
	a->text = outer;
	a->quiet = quiet;
	a->depth--;
	pg_query__parse_result__free_unpacked(tree, NULL);
	return true;
}

int
pg_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct analysis a = { .op = op, .view = scope->view, .text = text, .end = text.len };
	struct sp_bytes stopped;
	PgQuery__ParseResult *tree = NULL;
	const char *why = too_hard(text);
	if (why != NULL) {
		opaque_text(&a, why, none);
	} else if ((tree = parse(&a, text, &stopped)) == NULL) {
		opaque_text(&a, "syntax", stopped);
	} else {
		statements(&a, tree);
	}
	int rc = a.failed ? SP_ENOMEM : analyse_emit(&a);
	if (tree != NULL)
		pg_query__parse_result__free_unpacked(tree, NULL);
	analyse_release(&a);
	return rc;
}
