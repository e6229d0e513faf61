/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY: data in and out beside the rows of a result.
 *
 * "Frontend/Backend Protocol", section "COPY Operations".
 *
 *   G  the client sends CopyData … CopyDone      recorded as input
 *   H  the target sends CopyData … CopyDone      judged by column before the first byte
 */
#include "postgres.h"

static struct sp_op *
copy_op(const struct pg_answer *a)
{
	return a->portal != NULL ? a->portal->op : a->op;
}

static unsigned
copy_traits(const struct pg *p, const struct pg_answer *a)
{
	return a->portal != NULL ? a->portal->statement->traits : p->traits;
}

/* ---- in ---- */

/* A Sync that went out behind the COPY is ignored by the server: nothing answers it. */
static int
forget_sync(struct pg *p)
{
	while (p->queue.n > 1) {
		struct pg_answer *last = &p->queue.v[(p->queue.first + p->queue.n - 1) % PG_QUEUE];
		if (last->state != T_SYNC)
			return SP_EPROTO;
		p->queue.n--;
		p->batch_sent = true;
	}
	return SP_OK;
}

int
pg_copy_in(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_copy copy;
	if (pg_read_copy(m->body, &copy) != SP_OK)
		return SP_EPROTO;
	if (p->muted || p->client != C_READY || (copy_traits(p, a) & PG_COPIES_IN) == 0)
		return sp_fail(p->s, SP_EPROTO, "the target asks for COPY data that no statement offered");
	if (a->portal != NULL && forget_sync(p) != SP_OK)
		return SP_EPROTO;
	a->state = a->portal != NULL ? T_EXECUTE_COPY_IN : T_COPY_IN;
	pg_enter(p, C_COPY);
	return PG_PASS;
}

int
pg_copy_data_in(struct pg *p, const struct pg_message *m)
{
	const struct pg_answer *a = pg_head(p);
	if (a == NULL || (a->state != T_COPY_IN && a->state != T_EXECUTE_COPY_IN))
		return SP_EINTERNAL;
	if (m->body.len + PG_HEADER < m->size)
		return pg_stream_begin(p, SP_CLIENT, m, false);
	int rc = pg_record(p, copy_op(a), SP_REC_INPUT, m->body);
	return rc != SP_OK ? rc : PG_PASS;
}

static int
copy_in_ended(struct pg *p)
{
	struct pg_answer *a = pg_head(p);
	if (a == NULL || (a->state != T_COPY_IN && a->state != T_EXECUTE_COPY_IN))
		return SP_EINTERNAL;
	a->state = a->portal != NULL ? T_EXECUTE : T_QUERY;
	pg_enter(p, C_READY);
	return PG_PASS;
}

int
pg_copy_done_in(struct pg *p, const struct pg_message *m)
{
	(void)m;
	return copy_in_ended(p);
}

int
pg_copy_fail(struct pg *p, const struct pg_message *m)
{
	struct sp_bytes why;
	if (pg_read_cstr(m->body, &why) != SP_OK)
		return SP_EPROTO;
	return copy_in_ended(p);
}

/* Data that a client sends before it was asked for it: the target has yet to say what becomes of its COPY. */
static bool
copy_is_near(const struct pg *p)
{
	for (unsigned i = 0; i < p->queue.n; i++) {
		const struct pg_answer *a = &p->queue.v[(p->queue.first + i) % PG_QUEUE];
		bool runs = a->state == T_QUERY || a->state == T_QUERY_ROWS || a->state == T_EXECUTE;
		if (runs && (copy_traits(p, a) & PG_COPIES_IN) != 0)
			return true;
	}
	return false;
}

/* What a client still sends when the server has given up on its COPY. */
int
pg_copy_stray(struct pg *p, const struct pg_message *m)
{
	if (copy_is_near(p))
		return PG_WAIT;
	if (!p->stray_copy)
		return sp_fail(p->s, SP_EPROTO, "COPY data from the client without a COPY");
	return pg_skip(p, m);
}

/* ---- out ---- */

/* Masks or a denial, before the first byte; PG_WAIT while the catalogue is read. */
static int
judge(struct pg *p, struct sp_op *op, const struct pg_copy *copy)
{
	const struct sp_verdict *v = NULL;
	int rc = pg_copy_columns(p, op, copy->ncolumns);
	if (rc != SP_OK)
		return rc;
	int masked = sp_columns_judge(op, &v);
	if (masked == SP_EDENIED)
		return pg_cut(p, "42501", v == NULL ? "the result is denied" : v->message, v == NULL ? "" : v->hint);
	if (masked <= 0)
		return masked;
	bool readable = p->copy.form.format != PG_COPY_UNKNOWN && (copy->binary == 1) == (p->copy.form.format == PG_COPY_BINARY);
	p->copy.masked = readable;
	p->copy.expected = copy->ncolumns;
	if (readable)
		return SP_OK;
	return pg_cut(p, "42501", "this COPY holds columns that are masked for you, in a form that can't be masked",
	    "Run one COPY by itself, with plain options, or use SELECT.");
}

int
pg_copy_out(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_copy copy;
	if (pg_read_copy(m->body, &copy) != SP_OK)
		return SP_EPROTO;
	if ((copy_traits(p, a) & PG_COPIES_OUT) == 0)
		return sp_fail(p->s, SP_EPROTO, "the target sends COPY data that no statement asked for");
	int rc = p->muted || a->cut ? PG_DROP : judge(p, copy_op(a), &copy);
	if (rc != SP_OK && rc != PG_DROP)
		return rc;
	a->state = a->portal != NULL ? T_EXECUTE_COPY_OUT : T_COPY_OUT;
	return rc == PG_DROP || a->cut ? PG_DROP : PG_PASS;
}

static bool
is_whole(const struct pg_message *m)
{
	return m->body.len + PG_HEADER == m->size;
}

static int
discard(struct pg *p, const struct pg_message *m)
{
	return is_whole(m) ? PG_DROP : pg_stream_begin(p, SP_TARGET, m, true);
}

static int
cut(struct pg *p, const struct pg_message *m, const char *code, const char *message, const char *hint)
{
	int rc = pg_cut(p, code, message, hint);
	return rc != SP_OK ? rc : discard(p, m);
}

static int
masked_data(struct pg *p, const struct sp_op *op, const struct pg_message *m)
{
	if (m->size > p->conf->row_max)
		return cut(p, m, "54000", "a row with masked columns is longer than row_max", "Select fewer or shorter columns.");
	if (pg_behind(p, SP_TARGET) || (!is_whole(m) && pg_unsent(p, SP_TARGET)))
		return PG_AGAIN;
	if (!is_whole(m)) {
		int rc = sp_want(p->s, SP_TARGET, m->size, p->conf->row_max);
		return rc != SP_OK ? rc : PG_WAIT;
	}
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t front = w->len, at = pg_begin(w, 'd'), start = w->len;
	int rc = pg_copy_mask(p, op, m->body, w);
	if (rc == SP_EPROTO) {
		w->len = front;
		return cut(p, m, "0A000", "a row of this COPY could not be read, so it could not be masked", "Use SELECT.");
	}
	if (rc == SP_OK)
		rc = pg_end(w, at);
	if (rc == SP_OK)
		rc = pg_record(p, op, SP_REC_OUTPUT, (struct sp_bytes){ w->p + start, w->len - start });
	return rc != SP_OK ? rc : PG_DROP;
}

/* The server sends a row in each; what stands before the first and after the last is not counted. */
static bool
over_rows(struct pg *p, const struct pg_answer *a)
{
	uint64_t max = a->portal != NULL ? a->portal->max_rows : p->max_rows;
	uint64_t *rows = a->portal != NULL ? &a->portal->rows : &p->rows;
	uint64_t extra = p->copy.form.header || p->copy.form.format == PG_COPY_BINARY ? 1 : 0;
	return max > 0 && ++*rows > max + extra;
}

int
pg_copy_data_out(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	if (a->cut || p->muted)
		return discard(p, m);
	if (over_rows(p, a))
		return cut(p, m, "53400", "the answer has more rows than a rule allows; the rest is withheld", "Ask for fewer rows, with LIMIT.");
	if (p->copy.masked)
		return masked_data(p, copy_op(a), m);
	if (!is_whole(m))
		return pg_stream_begin(p, SP_TARGET, m, false);
	int rc = pg_record(p, copy_op(a), SP_REC_OUTPUT, m->body);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_copy_done_out(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	a->state = a->portal != NULL ? T_EXECUTE : T_QUERY;
	return a->cut ? PG_DROP : PG_PASS;
}
