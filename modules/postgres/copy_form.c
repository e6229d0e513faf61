/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one COPY … TO: its options by the server's own grammar, its query as it was written. */
#define _POSIX_C_SOURCE 200809L /* strndup, strcasecmp */
#include "copy_form.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "analyse_scan.h"

#define DEPTH_MAX 64u /* of nesting, on an ordinary stack */

/* ---- options ---- */

static const char *
option_text(const PgQuery__DefElem *e)
{
	const PgQuery__Node *arg = e->arg;
	if (arg == NULL)
		return "";
	if (arg->node_case == PG_QUERY__NODE__NODE_STRING)
		return arg->string->sval;
	if (arg->node_case == PG_QUERY__NODE__NODE_INTEGER)
		return arg->integer->ival != 0 ? "on" : "off";
	return arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN ? (arg->boolean->boolval ? "on" : "off") : NULL;
}

static bool
one_byte(const char *text, uint8_t *to)
{
	*to = (uint8_t)text[0];
	return text[0] != '\0' && text[1] == '\0' && (uint8_t)text[0] < 0x80;
}

static bool
option_null(struct pg_copy_form *f, const char *text)
{
	size_t n = strlen(text);
	if (n > sizeof(f->null))
		return false;
	memcpy(f->null, text, n);
	f->null_len = (uint8_t)n;
	return true;
}

static bool
option_format(struct pg_copy_form *f, const char *text)
{
	f->format = strcmp(text, "csv") == 0 ? PG_COPY_CSV : strcmp(text, "binary") == 0 ? PG_COPY_BINARY
	          : strcmp(text, "text") == 0 ? PG_COPY_TEXT : PG_COPY_UNKNOWN;
	return f->format != PG_COPY_UNKNOWN;
}

static bool
option_header(struct pg_copy_form *f, const char *text)
{
	static const char *const yes[] = { "", "on", "true", "1" }, *const no[] = { "off", "false", "0" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (strcasecmp(text, yes[i]) == 0)
			return f->header = true;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		if (strcasecmp(text, no[i]) == 0)
			return true;
	return false;
}

/* Formats first, since others have defaults by it; false: something that we can't follow. */
static bool
read_options(const PgQuery__CopyStmt *s, struct pg_copy_form *f)
{
	f->format = PG_COPY_TEXT;
	for (size_t i = 0; i < s->n_options; i++) {
		const PgQuery__DefElem *e = s->options[i]->def_elem;
		const char *text = option_text(e);
		if (strcmp(e->defname, "format") == 0 && (text == NULL || !option_format(f, text)))
			return false;
	}
	f->delimiter = f->format == PG_COPY_CSV ? ',' : '\t';
	f->quote = '"';
	bool escaped = false, fine = option_null(f, f->format == PG_COPY_CSV ? "" : "\\N");
	for (size_t i = 0; i < s->n_options && fine; i++) {
		const PgQuery__DefElem *e = s->options[i]->def_elem;
		const char *name = e->defname, *text = option_text(e);
		if (strcmp(name, "format") == 0 || strcmp(name, "force_quote") == 0)
			continue;
		fine = text != NULL;
		if (fine && strcmp(name, "delimiter") == 0)
			fine = one_byte(text, &f->delimiter);
		else if (fine && strcmp(name, "quote") == 0)
			fine = one_byte(text, &f->quote);
		else if (fine && strcmp(name, "escape") == 0)
			fine = escaped = one_byte(text, &f->escape);
		else if (fine && strcmp(name, "null") == 0)
			fine = option_null(f, text);
		else if (fine && strcmp(name, "header") == 0)
			fine = option_header(f, text);
		else if (fine && strcmp(name, "encoding") == 0)
			fine = strcasecmp(text, "utf8") == 0 || strcasecmp(text, "utf-8") == 0;
		else
			fine = false;
	}
	if (!escaped)
		f->escape = f->quote;
	return fine;
}

/* ---- the query ---- */

static void
write_identifier(struct sp_writer *w, const char *name)
{
	sp_wr_u8(w, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			sp_wr_u8(w, '"');
		sp_wr_u8(w, (uint8_t)*name);
	}
	sp_wr_u8(w, '"');
}

static void
select_from(const PgQuery__CopyStmt *s, struct sp_writer *w)
{
	sp_wr_put(w, SP_LIT("SELECT "));
	for (size_t i = 0; i < s->n_attlist; i++) {
		if (i > 0)
			sp_wr_u8(w, ',');
		if (s->attlist[i]->node_case == PG_QUERY__NODE__NODE_STRING)
			write_identifier(w, s->attlist[i]->string->sval);
	}
	if (s->n_attlist == 0)
		sp_wr_u8(w, '*');
	sp_wr_put(w, SP_LIT(" FROM ONLY "));
	if (s->relation->schemaname != NULL && s->relation->schemaname[0] != '\0') {
		write_identifier(w, s->relation->schemaname);
		sp_wr_u8(w, '.');
	}
	write_identifier(w, s->relation->relname);
}

/* COPY ( … ): what is between the first bracket and its partner, byte for byte. */
static void
select_inside(struct sp_bytes text, struct sp_writer *w)
{
	struct pg_scan scan = pg_scan(text, 0);
	size_t begin = 0, depth = 0;
	for (;;) {
		struct pg_token t = pg_scan_next(&scan);
		if (t.kind == PG_TOKEN_END || t.kind == PG_TOKEN_BAD)
			return;
		if (t.kind != PG_TOKEN_SELF)
			continue;
		if (text.p[t.offset] == '(' && depth++ == 0)
			begin = t.offset + 1;
		if (text.p[t.offset] == ')' && --depth == 0) {
			sp_wr_put(w, (struct sp_bytes){ text.p + begin, t.offset - begin });
			return;
		}
	}
}

void
pg_copy_form_read(struct sp_bytes text, struct pg_copy_form *form_r, struct sp_writer *query)
{
	*form_r = (struct pg_copy_form){ .format = PG_COPY_UNKNOWN };
	if (!pg_scan_utf8(text) || pg_scan_depth(text) >= DEPTH_MAX)
		return;
	char *copy = strndup((const char *)text.p, text.len);
	if (copy == NULL)
		return;
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(copy);
	PgQuery__ParseResult *tree = r.error != NULL ? NULL
	    : pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
	const PgQuery__Node *node = tree == NULL || tree->n_stmts != 1 ? NULL : tree->stmts[0]->stmt;
	if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_COPY_STMT && !node->copy_stmt->is_from) {
		if (node->copy_stmt->relation != NULL)
			select_from(node->copy_stmt, query);
		else
			select_inside(text, query);
		if (!read_options(node->copy_stmt, form_r))
			form_r->format = PG_COPY_UNKNOWN;
	}
	if (tree != NULL)
		pg_query__parse_result__free_unpacked(tree, NULL);
	pg_query_free_protobuf_parse_result(r);
	free(copy);
}
