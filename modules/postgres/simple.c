/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simple query: one text, judged as a whole, answered up to one ReadyForQuery.
 *
 * "Frontend/Backend Protocol", sections "Simple Query", "Function Call", "Termination".
 * It is looked at only when nothing is owed by the target any more, so the transaction status
 * and the names it is judged by are known, and its refusal can be answered on the spot.
 */
#include "postgres.h"

#include "catalogue.h"
#include "defined.h"
#include "track.h"

/* Denied: an error and ReadyForQuery.  An open transaction has to fail at the target, too. */
static int
refuse_query(struct pg *p, const struct pg_refusal *r)
{
	if (p->status != 'T' && !p->batch_ran) {
		int rc = pg_refuse(p, r);
		return rc != SP_OK ? rc : pg_write_ready(pg_out(p, SP_CLIENT), p->status) == SP_OK ? PG_DROP : SP_ETOOBIG;
	}
	p->refusal = *r;
	p->batch_sent = p->batch_ran = p->began = p->ended = false;
	return pg_fail_transaction(p) == SP_OK ? PG_DROP : SP_EIO;
}

int
pg_fail_transaction(struct pg *p)
{
	if (pg_expect(p, T_REFUSED) == NULL || pg_expect(p, T_SYNC) == NULL)
		return SP_EINTERNAL;
	p->barrier = true;
	int rc = sp_own_statement(p->s, SP_LIT(PG_OWN_STATEMENT));
	return rc != SP_OK ? rc : pg_write_cstr(pg_out(p, SP_TARGET), 'Q', SP_LIT(PG_OWN_STATEMENT));
}

/* A simple query also ends the unnamed statement and portal. */
static void
forget_unnamed(struct pg *p)
{
	pg_statement_unlist(p, pg_statement_find(p, SP_LIT("")));
	pg_portal_unlist(p, pg_portal_find(p, SP_LIT("")));
}

static int
query_start(struct pg *p)
{
	p->traits = pg_traits(p->question.op);
	if ((p->traits & PG_WRITES) != 0)
		sp_wrote(p->s, true);
	if ((p->traits & PG_COPIES_OUT) != 0 && pg_copy_describe(p, p->question.op, true) != SP_OK)
		return SP_EIO;
	struct pg_answer *a = pg_expect(p, T_QUERY);
	if (a == NULL)
		return SP_EINTERNAL;
	p->max_rows = p->question.max_rows;
	p->rows = 0;
	p->tag[0] = p->error_code[0] = '\0';
	pg_shape_clear(&p->shape);
	a->op = pg_question_take(p);
	pg_cursor_note(p, a->op, false);
	p->barrier = true;
	p->batch_sent = p->batch_ran = p->began = p->ended = false; /* it ends a batch as Sync does */
	p->batch++;
	forget_unnamed(p);
	return PG_PASS;
}

int
pg_query(struct pg *p, const struct pg_message *m)
{
	struct sp_bytes text;
	p->stray_copy = false;
	if (!pg_settled(p) || p->cancels != NULL)
		return PG_WAIT;
	if (pg_behind(p, SP_CLIENT))
		return PG_AGAIN;
	int rc = pg_track(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_cstr(m->body, &text) != SP_OK)
		return SP_EPROTO;
	rc = p->question.op != NULL ? pg_asked(p) : pg_ask(p, sp_op_new(p->s, 0, "sql.statement", text));
	if (rc == PG_PASS && !pg_claim_stands(p, p->question.op)) {
		rc = pg_question_refuse(p, "42501", "RESET ALL has to be a query of its own in this session", "");
		rc = rc != SP_OK ? rc : PG_DROP;
	}
	if (rc == PG_PASS)
		return query_start(p);
	if (rc == PG_DROP) {
		forget_unnamed(p);
		rc = refuse_query(p, &p->question.refusal);
		pg_question_clear(p);
	}
	return rc;
}

/* The fast path interface names functions by number: nothing a policy could judge. */
int
pg_function_call(struct pg *p, const struct pg_message *m)
{
	struct pg_refusal r;
	if (!pg_settled(p))
		return PG_WAIT;
	if (pg_behind(p, SP_CLIENT))
		return PG_AGAIN;
	if (m->body.len + PG_HEADER < m->size)
		return SP_ETOOBIG;
	pg_refusal_set(&r, "0A000", "function calls by number are refused", "Call the function in a SELECT.");
	return refuse_query(p, &r);
}

/* One statement of the query is complete; more may follow. */
int
pg_query_complete(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct sp_bytes tag;
	if (pg_read_cstr(m->body, &tag) != SP_OK)
		return SP_EPROTO;
	bool rows = a->state == T_QUERY_ROWS;
	if (a->cut && !p->muted && pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	a->state = T_QUERY;
	if (a->cut || p->muted) { /* what was withheld ends here, in an error of ours */
		int rc = p->muted ? SP_OK : pg_refuse(p, &p->refusal);
		p->fail_next = p->muted = true;
		memcpy(p->error_code, p->refusal.code, sizeof(p->error_code));
		return rc != SP_OK ? rc : PG_DROP;
	}
	if (!rows)
		p->rows += pg_tag_rows(tag);
	size_t n = tag.len < sizeof(p->tag) ? tag.len : sizeof(p->tag) - 1;
	memcpy(p->tag, tag.p, n);
	p->tag[n] = '\0';
	return PG_PASS;
}

int
pg_query_empty(struct pg *p, const struct pg_message *m)
{
	(void)p;
	(void)m;
	return PG_PASS;
}

int
pg_ready(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	uint8_t status = m->body.p[0];
	if (status != 'I' && status != 'T' && status != 'E')
		return SP_EPROTO;
	if (p->fail_next && status == 'T' && pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	int rc = SP_OK;
	if (a->op != NULL)
		pg_defined_moved(p, a->op, p->traits);
	if (a->op != NULL)
		pg_track_answer(p, p->traits);
	if (a->op != NULL)
		rc = pg_finish(a->op, p->rows, p->error_code, sp_str(p->tag));
	if (rc == SP_OK)
		rc = pg_answered(p);
	if (rc == SP_OK)
		rc = pg_track_status(p, status);
	if (rc != SP_OK)
		return rc;
	if (status == 'I')
		pg_portals_end(p);
	bool fail = p->fail_next && status == 'T';
	p->fail_next = false;
	if (fail) { /* the client has its error: now the transaction fails, too, and ReadyForQuery says so */
		p->muted = true;
		rc = pg_fail_transaction(p);
		return rc != SP_OK ? rc : PG_DROP;
	}
	p->muted = false;
	return PG_PASS;
}

int
pg_terminate(struct pg *p, const struct pg_message *m)
{
	(void)m;
	if (pg_behind(p, SP_CLIENT))
		return PG_AGAIN;
	int rc = SP_OK;
	if (p->login == T_IDLE) {
		rc = pg_write_empty(pg_out(p, SP_TARGET), 'X');
		if (rc == SP_OK)
			rc = sp_shut(p->s, SP_TARGET);
	}
	pg_enter(p, C_GONE);
	if (rc == SP_OK)
		rc = sp_shut(p->s, SP_CLIENT);
	return rc != SP_OK ? rc : PG_DROP;
}
