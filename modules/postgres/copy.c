/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY: data in and out beside the rows of a result.
 *
 *   G  the client sends CopyData … CopyDone      recorded as input
 *   H  the target sends CopyData … CopyDone      judged by column before the first byte
 */
#include "postgres.h"

#include "catalogue.h"

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

/* Nobody says where the columns of a COPY come from: whatever its statement touches, any may hold it. */
static int
judge(struct pg *p, struct sp_op *op, uint16_t n)
{
	const struct sp_verdict *v = NULL;
	int rc = sp_columns_begin(op, n);
	for (uint16_t i = 0; i < n && rc == SP_OK; i++) {
		struct sp_column c = { .name = SP_LIT("?"), .known = SP_SOURCE_UNKNOWN, .text = true };
		rc = sp_column(op, i, &c);
	}
	if (rc == SP_OK)
		rc = sp_columns_judge(op, &v);
	if (rc == SP_EDENIED)
		return pg_cut(p, "42501", v == NULL ? "the result is denied" : v->message, v == NULL ? "" : v->hint);
	if (rc > 0)
		return pg_cut(p, "42501", "this COPY holds columns that are masked for you",
		    "Name other columns, or use SELECT, where they arrive masked.");
	return rc;
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
	a->state = a->portal != NULL ? T_EXECUTE_COPY_OUT : T_COPY_OUT;
	if (p->muted || a->cut)
		return PG_DROP;
	int rc = judge(p, copy_op(a), copy.ncolumns);
	return rc != SP_OK ? rc : a->cut ? PG_DROP : PG_PASS;
}

int
pg_copy_data_out(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	bool whole = m->body.len + PG_HEADER == m->size;
	if (a->cut || p->muted)
		return whole ? PG_DROP : pg_stream_begin(p, SP_TARGET, m, true);
	if (!whole)
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
