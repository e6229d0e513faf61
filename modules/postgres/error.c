/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors and notices: ours, and the target's on their way to the client.
 *
 * Fields: "Frontend/Backend Protocol", section "Error and Notice Message Fields"; when they come:
 * "Asynchronous Operations".
 * An error of the target may quote the very value that is masked in its rows.  When the operation
 * is sensitive only what cannot hold one goes on: severity, SQLSTATE, names of schema objects.
 */
#define _POSIX_C_SOURCE 200809L /* strdup */

#include "postgres.h"

#include "attributes.h"
#include "catalogue.h"
#include "track.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HIDDEN "the target's message is withheld: it may hold masked values"

static void
write_field(struct sp_writer *w, uint8_t field, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	sp_wr_u8(w, field);
	sp_wr_cstr(w, sp_str(text));
}

int
pg_write_report(struct sp_writer *w, uint8_t type, const struct pg_report *e)
{
	size_t at = pg_begin(w, type);
	write_field(w, 'S', e->severity);
	write_field(w, 'V', e->severity);
	write_field(w, 'C', e->code);
	write_field(w, 'M', *e->message == '\0' ? "no reason was given" : e->message);
	write_field(w, 'H', e->hint);
	sp_wr_u8(w, 0);
	return pg_end(w, at);
}

const char *
pg_last_hint(const struct pg *p)
{
	return p->question.what == SP_KILL ? p->question.refusal.hint : NULL;
}

int
pg_fatal(struct pg *p, const char *code, const char *fmt, ...)
{
	char text[512];
	va_list list;
	va_start(list, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, list);
	va_end(list);
	bool listens = *sp_purpose(p->s) == '\0' && p->client != C_SECURING && p->client != C_GONE
	    && p->stream[SP_TARGET].left == 0;
	if (listens) {
		struct pg_report e = { "FATAL", code, text, pg_last_hint(p) };
		int rc = pg_write_report(pg_out(p, SP_CLIENT), 'E', &e);
		pg_enter(p, C_GONE);
		if (rc != SP_OK)
			return rc;
	}
	return sp_fail(p->s, SP_EDENIED, "%s", text);
}

/* A copy that ends between two characters, whatever the length. */
static void
copy_text(char *to, size_t cap, const char *from)
{
	size_t n = strlen(from);
	if (n >= cap)
		for (n = cap - 1; n > 0 && ((uint8_t)from[n] & 0xc0) == 0x80;)
			n--;
	memcpy(to, from, n);
	to[n] = '\0';
}

void
pg_refusal_set(struct pg_refusal *r, const char *code, const char *message, const char *hint)
{
	copy_text(r->code, sizeof(r->code), code);
	copy_text(r->message, sizeof(r->message), message == NULL ? "" : message);
	copy_text(r->hint, sizeof(r->hint), hint == NULL ? "" : hint);
}

static int
record_text(struct pg *p, const struct sp_op *op, const char *severity, const char *code, const char *message)
{
	char line[768];
	int n = snprintf(line, sizeof(line), "%s %s: %s", severity, code, message);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
	return sp_record(p->s, op, SP_REC_NOTICE, (struct sp_bytes){ (const uint8_t *)line, len });
}

int
pg_refuse(struct pg *p, const struct pg_refusal *r)
{
	struct pg_report e = { "ERROR", r->code, r->message, r->hint };
	int rc = record_text(p, NULL, e.severity, e.code, e.message);
	return rc != SP_OK ? rc : pg_write_report(pg_out(p, SP_CLIENT), 'E', &e);
}

int
pg_notice_text(struct pg *p, const char *message, const char *hint)
{
	if (*sp_purpose(p->s) != '\0' || p->client < C_READY || p->client >= C_GONE)
		return SP_OK;
	if (p->stream[SP_TARGET].left > 0) { /* in the middle of a row: later */
		free(p->delayed);
		p->delayed = strdup(message);
		return p->delayed == NULL ? SP_ENOMEM : SP_OK;
	}
	struct pg_report e = { "NOTICE", "00000", message, hint };
	int rc = record_text(p, NULL, e.severity, e.code, e.message);
	return rc != SP_OK ? rc : pg_write_report(pg_out(p, SP_CLIENT), 'N', &e);
}

int
pg_delayed_notice(struct pg *p)
{
	if (p->delayed == NULL || p->stream[SP_TARGET].left > 0)
		return SP_OK;
	char *text = p->delayed;
	p->delayed = NULL;
	int rc = pg_notice_text(p, text, "");
	free(text);
	return rc;
}

/* ---- the target's ---- */

static const struct sp_op *
operation_of(const struct pg_answer *a)
{
	return a == NULL ? NULL : a->op != NULL ? a->op : a->portal != NULL ? a->portal->op : NULL;
}

/* What evaluates an open cursor: one WITH HOLD at the end of its transaction, which may be Sync's. */
static bool
moves_cursor(const struct sp_op *op)
{
	static const char *const verb[] = { "fetch", "move", "commit", "prepare transaction" };
	for (size_t i = 0; i < sizeof(verb) / sizeof(*verb) && op != NULL; i++)
		if (sp_op_has(op, PG_A_VERB, verb[i]))
			return true;
	return op == NULL;
}

/* What computes expressions that it does not show: of indexes, statistics, materialized views, constraints. */
static bool
computes_unseen(const struct pg *p, const struct sp_op *op)
{
	static const char *const verb[] = {
		"analyze", "vacuum", "cluster", "reindex", "refresh materialized view", "alter table", "alter domain",
	};
	for (size_t i = 0; i < sizeof(verb) / sizeof(*verb) && op != NULL; i++)
		if (sp_op_has(op, PG_A_VERB, verb[i]))
			return sp_column_tagged(p->s, SP_LIT("?.?.?"));
	return false;
}

/* Contexts that the server writes by itself: of what the client sent. */
static bool
is_own_context(struct sp_bytes text)
{
	static const char *const first[] = { "COPY ", "JSON data, line ", "unnamed portal with parameter", "unnamed portal parameter",
		"extended query with parameter" };
	bool own = text.len == 0;
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		own = own || (text.len > strlen(first[i]) && memcmp(text.p, first[i], strlen(first[i])) == 0);
	return own && (text.len == 0 || memchr(text.p, '\n', text.len) == NULL);
}

/*
 * Somebody's code speaks, a trigger's, a policy's, a default's, that no statement shows: with a context of another kind.  What it
 * read, nobody knows.
 */
static bool
is_of_code(const struct pg *p, const struct pg_message *m)
{
	struct sp_reader r = sp_reader(m->body);
	bool code = false;
	for (uint8_t field; (field = sp_rd_u8(&r)) != 0;) {
		struct sp_bytes text = sp_rd_cstr(&r);
		code = code || (field == 'W' && !is_own_context(text));
	}
	return code && sp_column_tagged(p->s, SP_LIT("?.?.?"));
}

static bool
is_sensitive(const struct pg *p, const struct pg_answer *a)
{
	const struct sp_op *op = operation_of(a);
	if (op == NULL && a != NULL && a->statement != NULL)
		op = a->statement->op;
	return (op != NULL && sp_op_sensitive(op)) || (p->secret_cursor && moves_cursor(op));
}

/*
 * A violated constraint: the detail quotes whole rows and keys, of columns that the statement does not
 * name.  A foreign key's values are another table's as well.  The message itself has names only.
 */
static bool
quotes_row(struct pg *p, const struct pg_message *m, const struct pg_error_text *e)
{
	struct sp_reader r = sp_reader(m->body);
	struct sp_bytes schema = { NULL, 0 }, table = { NULL, 0 };
	if ((e->code.len < 2 || memcmp(e->code.p, "23", 2) != 0) && !sp_bytes_is(e->code, "44000"))
		return false;
	for (uint8_t field; (field = sp_rd_u8(&r)) != 0;) {
		struct sp_bytes text = sp_rd_cstr(&r);
		schema = field == 's' ? text : schema;
		table = field == 't' ? text : table;
	}
	if (sp_bytes_is(e->code, "23503"))
		table.len = 0;
	return pg_catalogue_tagged(p, schema, table);
}

/* The message without its values: severity, code and names of objects stay. */
static int
write_stripped(struct pg *p, const struct pg_message *m, bool whole)
{
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	struct sp_reader r = sp_reader(m->body);
	size_t at = pg_begin(w, m->type);
	for (uint8_t field; (field = sp_rd_u8(&r)) != 0;) {
		struct sp_bytes text = sp_rd_cstr(&r);
		if (field == 'M' && !whole)
			text = SP_LIT(HIDDEN);
		else if (strchr("MSVCstcdnP", field) == NULL)
			continue;
		sp_wr_u8(w, field);
		sp_wr_cstr(w, text);
	}
	sp_wr_u8(w, 0);
	return pg_end(w, at);
}

/*
 * A name in the client's own text that means nothing: said with a position in that text and without a
 * context, so by nobody's code but the server's own, before anything ran.
 */
static bool
is_of_names(const struct pg_message *m, const struct pg_error_text *e)
{
	static const char *const code[] = { "42601", "42P01", "42703", "42883", "42702", "42704", "42803", "42P02", "42725", "3F000" };
	struct sp_reader r = sp_reader(m->body);
	bool position = false, listed = false;
	for (size_t i = 0; i < sizeof(code) / sizeof(*code); i++)
		listed = listed || sp_bytes_is(e->code, code[i]);
	for (uint8_t field; listed && (field = sp_rd_u8(&r)) != 0;) {
		(void)sp_rd_cstr(&r);
		position = position || field == 'P';
		listed = strchr("WqpD", field) == NULL;
	}
	return listed && position && m->type == 'E';
}

/* Of objects that are there already, depend on others, or are in use: said by nobody's code, and computed from no value. */
static bool
is_of_objects(const struct pg_message *m, const struct pg_error_text *e)
{
	static const char *const code[] = { "42P07", "42701", "42710", "42P16", "2BP01", "55006", "55P03", "42501", "25P02" };
	struct sp_reader r = sp_reader(m->body);
	bool listed = false;
	for (size_t i = 0; i < sizeof(code) / sizeof(*code); i++)
		listed = listed || sp_bytes_is(e->code, code[i]);
	for (uint8_t field; listed && (field = sp_rd_u8(&r)) != 0;) {
		(void)sp_rd_cstr(&r);
		listed = strchr("Wqp", field) == NULL;
	}
	return listed && m->type == 'E';
}

/* What was asked, when nobody could read it: the server's error quotes a word of it, which may be a literal. */
static const struct sp_op *
unread_of(const struct pg_answer *a)
{
	const struct sp_op *op = operation_of(a);
	if (op == NULL && a != NULL && a->state == T_PARSE && a->statement != NULL)
		op = a->statement->op;
	return op != NULL && sp_op_has(op, PG_A_VERB, "unclear") ? op : NULL;
}

/* The target's words to the client: recorded, stripped where they may tell what is masked. */
static int
relay(struct pg *p, const struct pg_message *m, const struct pg_answer *a, const struct pg_error_text *e)
{
	bool unseen = (computes_unseen(p, operation_of(a)) && !is_of_objects(m, e)) || is_of_code(p, m);
	bool dead = sp_bytes_is(e->code, "25P02") && is_of_objects(m, e); /* the transaction has failed already, and nothing runs */
	bool strip = (is_sensitive(p, a) || unseen) && !is_of_names(m, e) && !dead, detail = !strip && quotes_row(p, m, e);
	const char *text = strip || unread_of(a) != NULL ? HIDDEN : (const char *)e->message.p;
	int rc = record_text(p, operation_of(a), (const char *)e->severity.p, (const char *)e->code.p, text);
	if (rc != SP_OK || (!strip && !detail))
		return rc != SP_OK ? rc : PG_PASS;
	rc = write_stripped(p, m, detail);
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_notice(struct pg *p, const struct pg_message *m)
{
	struct pg_error_text e;
	if (pg_read_error(m->body, &e) != SP_OK)
		return SP_EPROTO;
	if (pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	const struct pg_answer *a = pg_head(p);
	return a != NULL && (a->state == T_OWN || a->state == T_REFUSED) ? PG_DROP : relay(p, m, a, &e);
}

/* Nobody asked: the server says farewell, and the end of its stream follows. */
int
pg_error_idle(struct pg *p, const struct pg_message *m)
{
	struct pg_error_text e;
	if (pg_read_error(m->body, &e) != SP_OK)
		return SP_EPROTO;
	return pg_behind(p, SP_TARGET) ? PG_AGAIN : relay(p, m, NULL, &e);
}

/* The operation of the failed message is over. */
static int
finish_failed(struct pg *p, struct pg_answer *a, const char *code)
{
	struct pg_portal *portal = a->state == T_BIND || a->state == T_EXECUTE || a->state == T_EXECUTE_COPY_IN
	    || a->state == T_EXECUTE_COPY_OUT ? a->portal : NULL;
	if (portal != NULL && !portal->finished) {
		portal->finished = true;
		return pg_finish(portal->op, portal->rows, code, SP_LIT(""));
	}
	if (a->state == T_PARSE && a->statement != NULL)
		return pg_finish(a->statement->op, 0, code, SP_LIT(""));
	if (a->op != NULL)
		memcpy(p->error_code, code, sizeof(p->error_code));
	return SP_OK;
}

/* After an error: a simple query has only its ReadyForQuery left, a batch is void up to Sync. */
static int
after_error(struct pg *p, struct pg_answer *a)
{
	bool copying = a->state == T_COPY_IN || (p->traits & PG_COPIES_IN) != 0;
	if (a->op != NULL) {
		a->state = T_SYNC;
		a->cut = false;
		p->stray_copy = copying;
		if (p->client == C_COPY)
			pg_enter(p, C_READY);
		return SP_OK;
	}
	if (a->state == T_SYNC)
		return SP_OK;
	if (a->state != T_REFUSED)
		return pg_void_batch(p);
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : pg_void_batch(p);
}

int
pg_error(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_error_text e;
	char code[6];
	if (pg_read_error(m->body, &e) != SP_OK)
		return SP_EPROTO;
	if (pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	bool ours = a->state == T_REFUSED || a->cut;
	memcpy(code, ours ? p->refusal.code : (const char *)e.code.p, sizeof(code));
	int rc = p->muted ? PG_DROP : ours ? pg_refuse(p, &p->refusal) : relay(p, m, a, &e);
	if (rc < 0)
		return rc;
	int fate = ours ? PG_DROP : rc;
	pg_track_error(p);
	rc = finish_failed(p, a, code);
	if (rc == SP_OK)
		rc = after_error(p, a);
	return rc != SP_OK ? rc : fate;
}
