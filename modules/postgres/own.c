/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to the gateway's own statements: they never reach the client.
 *
 *   one of track.c, defined.c  1 2 D… C 3 3    [Z when a Sync of ours ends it]
 *   one of copy_mask.c  1 t T 3       [Z]
 *   one of catalogue.c, inspect.c, estimate.c  T D… C Z
 */
#include "catalogue.h"
#include "defined.h"
#include "track.h"

struct pg_answer *
pg_expect_own(struct pg *p, enum pg_own own, uint8_t last)
{
	struct pg_answer *a = pg_expect(p, T_OWN);
	if (a != NULL) {
		a->own = (uint8_t)own;
		a->last = last;
	}
	return a;
}

int
pg_own_step(struct pg *p, const struct pg_message *m)
{
	const struct pg_answer *a = pg_head(p);
	if (m->type == 'T' && a->own == OWN_COPY && pg_copy_fields(p, m->body) != SP_OK)
		return SP_EPROTO;
	if (m->type != a->last)
		return PG_DROP;
	enum pg_own own = (enum pg_own)a->own;
	int rc = pg_answered(p);
	if (own == OWN_CLAIM)
		p->unclaimed = false;
	if (rc == SP_OK && (own == OWN_MAY || own == OWN_DEFINED))
		pg_defined_complete(p, own);
	if (rc == SP_OK && (own == OWN_NAMES || own == OWN_PREPARED))
		pg_track_complete(p, own);
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_own_row(struct pg *p, const struct pg_message *m)
{
	const struct pg_answer *a = pg_head(p);
	int rc = a->own == OWN_CATALOGUE ? pg_catalogue_row(p, m->body) : a->own == OWN_INSPECT ? pg_inspect_row(p, m->body)
	    : a->own == OWN_ESTIMATE ? pg_estimate_row(p, m->body)
	    : a->own == OWN_MAY || a->own == OWN_DEFINED ? pg_defined_row(p, (enum pg_own)a->own, m->body) : pg_track_row(p, (enum pg_own)a->own, m->body);
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_own_ready(struct pg *p, const struct pg_message *m)
{
	const struct pg_answer *a = pg_head(p);
	uint8_t status = m->body.p[0];
	if (a->last != 'Z' || (status != 'I' && status != 'T' && status != 'E'))
		return SP_EPROTO;
	enum pg_own own = (enum pg_own)a->own;
	int rc = pg_answered(p);
	if (rc == SP_OK)
		rc = own == OWN_CATALOGUE ? pg_catalogue_next(p) : own == OWN_INSPECT ? pg_inspect_next(p)
		    : own == OWN_ESTIMATE ? pg_estimate_next(p) : pg_track_status(p, status);
	return rc != SP_OK ? rc : PG_DROP;
}

/* With a Sync of ours behind it the error ends there; amid a client's batch it is the client's, too. */
int
pg_own_error(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_error_text e;
	if (pg_read_error(m->body, &e) != SP_OK)
		return SP_EPROTO;
	if (a->own == OWN_CATALOGUE) {
		int rc = pg_catalogue_failed(p, (const char *)e.code.p);
		return rc != SP_OK ? rc : PG_DROP;
	}
	if (a->own == OWN_ESTIMATE) {
		pg_estimate_failed(p, (const char *)e.code.p);
		return PG_DROP;
	}
	if (a->own == OWN_INSPECT)
		return sp_fail(p->s, SP_EIO, "it could not ask what it may do: %s", (const char *)e.code.p);
	if (a->own == OWN_CLAIM)
		return pg_fatal(p, "08006", "the target would not hear whose connection this is");
	if (a->own != OWN_COPY) /* else the COPY itself will say what is wrong */
		pg_track_failed(p);
	for (unsigned i = 0; i < p->queue.n; i++) {
		if (p->queue.v[(p->queue.first + i) % PG_QUEUE].last != 'Z')
			continue;
		while (pg_head(p)->last != 'Z')
			if (pg_answered(p) != SP_OK)
				return SP_EINTERNAL;
		return PG_DROP;
	}
	int rc = pg_void_batch(p);
	return rc != SP_OK ? rc : PG_PASS;
}
