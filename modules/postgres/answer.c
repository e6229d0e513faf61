/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the target still owes: one entry per message that went to it, oldest first.
 *
 * After an error the server reads and discards up to Sync: "Frontend/Backend Protocol", section
 * "Extended Query".
 *
 *   PARSE · BIND · DESCRIBE · EXECUTE · SYNC · PARSE …      an error takes everything up to SYNC
 */
#include "postgres.h"

#define LEAST_ROOM 4u /* one client message adds at most this many */

bool
pg_room(const struct pg *p)
{
	return PG_QUEUE - p->queue.n >= LEAST_ROOM;
}

struct pg_answer *
pg_expect(struct pg *p, enum pg_state state)
{
	struct pg_queue *q = &p->queue;
	if (q->n == PG_QUEUE)
		return NULL;
	struct pg_answer *a = &q->v[(q->first + q->n++) % PG_QUEUE];
	*a = (struct pg_answer){ .state = (uint8_t)state };
	return a;
}

struct pg_answer *
pg_head(struct pg *p)
{
	return p->queue.n == 0 ? NULL : &p->queue.v[p->queue.first];
}

bool
pg_sync_expected(const struct pg *p)
{
	for (unsigned i = 0; i < p->queue.n; i++)
		if (p->queue.v[(p->queue.first + i) % PG_QUEUE].state == T_SYNC)
			return true;
	return false;
}

static bool
is_refusal(const struct pg_answer *a)
{
	return a->state == T_LOCAL || a->state == T_REFUSED;
}

static void
pop(struct pg *p)
{
	struct pg_answer *a = pg_head(p);
	if (a == NULL)
		return;
	if (is_refusal(a))
		pg_statement_unlist(p, a->statement);
	pg_statement_drop(p, &a->statement);
	pg_portal_drop(p, &a->portal);
	if (a->op != NULL)
		sp_op_free(&a->op);
	p->queue.first = (p->queue.first + 1) % PG_QUEUE;
	if (--p->queue.n == 0) {
		p->queue.first = 0; /* the same few entries again */
		p->barrier = false;
	}
}

int
pg_answered(struct pg *p)
{
	if (p->queue.n == 0)
		return SP_EINTERNAL;
	pop(p);
	return SP_OK;
}

/* The server never looked at it: undo what we had taken for granted. */
static void
void_answer(struct pg *p, struct pg_answer *a)
{
	if (is_refusal(a))
		pg_statement_drop(p, &a->statement);
	if (a->state == T_PARSE)
		pg_statement_unlist(p, a->statement);
	else if (a->state == T_BIND)
		pg_portal_unlist(p, a->portal);
	else if (a->state == T_CLOSE && a->statement != NULL)
		a->statement->closing = false;
	else if (a->state == T_CLOSE && a->portal != NULL)
		a->portal->closing = false;
}

int
pg_void_batch(struct pg *p)
{
	struct pg_answer *a;
	while ((a = pg_head(p)) != NULL && a->state != T_SYNC) {
		void_answer(p, a);
		pop(p);
	}
	if (a != NULL)
		return SP_OK;
	if (p->client == C_READY || p->client == C_COPY)
		pg_enter(p, C_SKIP);
	return pg_question_skipped(p);
}

int
pg_local(struct pg *p)
{
	const struct pg_answer *a;
	while (p->stream[SP_TARGET].left == 0 && (a = pg_head(p)) != NULL && a->state == T_LOCAL) {
		int rc = p->muted ? SP_OK : pg_refuse(p, &p->refusal);
		if (rc != SP_OK)
			return rc;
		pop(p);
	}
	return SP_OK;
}

void
pg_queue_clear(struct pg *p)
{
	while (p->queue.n > 0)
		pop(p);
}
