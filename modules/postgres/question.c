/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for a verdict.  The message that asks stays in the input until it is there, so that
 * "now" and "in fifteen minutes" are one path: the handler is simply run again.
 */
#include "postgres.h"

#include "attributes.h"
#include "names.h"
#include "track.h"

#include <stdio.h>

static int
outcome(struct pg *p)
{
	struct pg_question *q = &p->question;
	if (!q->answered)
		return PG_WAIT;
	if (q->what == SP_KILL)
		return pg_fatal(p, q->refusal.code, "%s", q->refusal.message);
	return q->what == SP_ALLOW ? PG_PASS : PG_DROP;
}

int
pg_ask(struct pg *p, struct sp_op *op)
{
	struct pg_question *q = &p->question;
	if (op == NULL)
		return SP_ENOMEM;
	if (pg_track_reads_again(p)) {
		sp_op_free(&op);
		return PG_WAIT;
	}
	pg_names_free(&q->names);
	q->op = op;
	q->names = pg_track_names(p);
	q->answered = q->held = false;
	q->what = SP_DENY;
	q->max_rows = 0;
	int rc = sp_ask(op);
	return rc != SP_OK ? rc : outcome(p);
}

int
pg_asked(struct pg *p)
{
	return outcome(p);
}

struct sp_op *
pg_question_take(struct pg *p)
{
	struct sp_op *op = p->question.op;
	p->question.op = NULL;
	p->question.answered = false;
	pg_names_free(&p->question.names);
	return op;
}

void
pg_question_clear(struct pg *p)
{
	struct pg_question *q = &p->question;
	if (q->op != NULL)
		sp_op_free(&q->op);
	pg_names_free(&q->names);
	q->answered = q->held = false;
	q->what = SP_DENY;
}

void
pg_question_withdraw(struct pg *p, const char *code, const char *why)
{
	struct pg_question *q = &p->question;
	if (q->op == NULL || q->answered)
		return;
	sp_withdraw(q->op);
	q->answered = true;
	q->what = SP_DENY;
	pg_refusal_set(&q->refusal, code, why, "");
}

/* The rules allow it, and it does not go on all the same: what is recorded as allowed has that end. */
int
pg_question_refuse(struct pg *p, const char *code, const char *message, const char *hint)
{
	p->question.what = SP_DENY;
	pg_refusal_set(&p->question.refusal, code, message, hint);
	return pg_finish(p->question.op, 0, code, SP_LIT(""));
}

/* What was said, or is yet to be said, of a message is no other's: the next would pass by it unread. */
int
pg_question_skipped(struct pg *p)
{
	struct pg_question *q = &p->question;
	int rc = SP_OK;
	if (q->op != NULL && !q->answered)
		sp_withdraw(q->op);
	else if (q->op != NULL && q->what == SP_ALLOW)
		rc = pg_finish(q->op, 0, "25P02", SP_LIT(""));
	pg_question_clear(p);
	return rc;
}

int
pg_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h)
{
	struct pg *p = sp_state(s);
	char message[512], hint[256];
	if (op != p->question.op)
		return SP_OK;
	p->question.held = true;
	(void)snprintf(message, sizeof(message), "held by rule \"%s\" until %s agrees: approval %s, hash %s", h->rule,
	    h->by, h->id, h->hash);
	(void)snprintf(hint, sizeof(hint), "%s%sAn approver runs: sallyport approve %s", h->text,
	    *h->text == '\0' ? "" : " ", h->id);
	return pg_notice_text(p, message, hint);
}

/* Reasons of analyse.h, with the code that tools know them by, and what to do. */
static const struct unclear {
	const char *why, *code, *hint;
} unclear[] = {
	{ "syntax", "42601", "PostgreSQL 15's grammar, by which statements are judged, does not take it; the server was not asked." },
	{ "size", "54000", "The statement is longer than `statement_max`." },
	{ "depth", "54001", "It is nested deeper than can be judged." },
	{ "encoding", "22021", "The text holds a NUL, or is not UTF-8." },
	{ "node", "0A000", "This version does not know the construct, so it can't be judged." },
	{ "code", "42501", "It runs code that can't be seen." },
	{ "function", "42501", "What the function does is not known: a rule may allow it by its name." },
	{ "setting", "42501", "`sallyport doc` lists the settings that may be changed, and to what." },
};

static void
refuse_unclear(struct pg_refusal *r, const struct sp_verdict *v)
{
	char hint[512];
	const struct unclear *u = NULL;
	for (size_t i = 0; v->unclear != NULL && i < sizeof(unclear) / sizeof(*unclear); i++)
		if (strcmp(v->unclear, unclear[i].why) == 0)
			u = &unclear[i];
	(void)snprintf(hint, sizeof(hint), "%s%s%s", u == NULL ? "" : u->hint, u == NULL ? "" : " ", v->hint);
	pg_refusal_set(r, u == NULL ? "42501" : u->code, v->message, hint);
}

int
pg_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	struct pg *p = sp_state(s);
	struct pg_question *q = &p->question;
	if (op != q->op || q->answered)
		return SP_OK; /* withdrawn while it was on its way */
	q->answered = true;
	q->held = false;
	q->what = v->what;
	q->max_rows = v->max_rows;
	if (v->what == SP_ALLOW && v->max_rows > 0 && sp_op_has(op, PG_A_VERB, "declare")) /* FETCH by FETCH it would show them all */
		return pg_question_refuse(p, "53400", "a rule limits the rows of this query, so it can't have a cursor",
		    "Run the query itself, with LIMIT.");
	const char *code = v->because == SP_BY_LIMIT ? "53400" : v->because == SP_BY_SIZE ? "54000" : "42501";
	if (v->what != SP_ALLOW && v->because == SP_BY_UNCLEAR)
		refuse_unclear(&q->refusal, v);
	else if (v->what != SP_ALLOW)
		pg_refusal_set(&q->refusal, code, v->message, v->hint);
	return SP_OK;
}
