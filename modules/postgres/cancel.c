/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancelling: a client's key of ours becomes the server's key, on a connection of its own.
 *
 * "Frontend/Backend Protocol", section "Canceling Requests in Progress".
 *
 *   client ─CancelRequest(pid, our secret)─▶ sp_cancel() ─▶ the session, on any worker
 *       held: the question is withdrawn     running: side session "cancel" ─▶ target
 *
 * The same side session stops what a session leaves behind that is ended by the gateway (P6).
 *
 * A request that comes late would stop the next statement.  So the session's next message waits until
 * the target has closed the side session: by then it has passed the signal on.
 */
#include "postgres.h"

#include <stdlib.h>

struct pg_cancel { /* what the side session carries; its own, since it may outlive who asked */
	uint32_t pid;
	uint8_t secret[4];
	struct pg *waits;        /* who asked; NULL once that is gone */
	struct pg_cancel *next;  /* of the same */
};

int
pg_cancel_target(struct pg *p)
{
	if (!p->keyed)
		return SP_OK;
	struct pg_cancel *c = malloc(sizeof(*c));
	if (c == NULL)
		return SP_ENOMEM;
	*c = (struct pg_cancel){ .pid = p->pid, .waits = p, .next = p->cancels };
	memcpy(c->secret, p->secret, sizeof(c->secret));
	if (sp_side_session(p->s, "cancel", c) == NULL) {
		free(c);
		sp_log(p->s, SP_WARN, "the request to cancel could not be sent to the target");
		return SP_OK;
	}
	p->cancels = c;
	return SP_OK;
}

int
pg_cancel_secured(struct pg *p)
{
	const struct pg_cancel *c = sp_cookie(p->s);
	struct sp_writer *w = pg_out(p, SP_TARGET);
	size_t at = pg_begin(w, 0);
	sp_wr_be32(w, 80877102);
	sp_wr_be32(w, c->pid);
	sp_wr_put(w, (struct sp_bytes){ c->secret, sizeof(c->secret) });
	int rc = pg_end(w, at);
	pg_enter_login(p, T_NONE); /* the target closes once it has read it; closing first could take it back */
	return rc;
}

void
pg_cancel_close(struct pg *p)
{
	for (struct pg_cancel *c = p->cancels; c != NULL; c = c->next)
		c->waits = NULL;
	p->cancels = NULL;
	struct pg_cancel *own = strcmp(sp_purpose(p->s), "cancel") == 0 ? sp_cookie(p->s) : NULL;
	if (own != NULL && own->waits != NULL) {
		struct pg_cancel **at = &own->waits->cancels;
		while (*at != own)
			at = &(*at)->next;
		*at = own->next;
		sp_wake(own->waits->s);
	}
	free(own);
}

int
pg_cancelled(struct sp_session *s)
{
	struct pg *p = sp_state(s);
	if (p->question.op != NULL && !p->question.answered) {
		pg_question_withdraw(p, "57014", "canceling statement due to user request");
		return SP_OK;
	}
	return pg_settled(p) ? SP_OK : pg_cancel_target(p);
}
