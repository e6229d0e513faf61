/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that are made for one session (`login ephemeral`): asked of a lend helper while the
 * session waits to be admitted, used for its one login, given back when it ends.
 *
 *   admission ─▶ ASKED ── LENT ─▶ HELD ── session ends ─▶ RETURNING ── RETURNED ─▶ gone
 *                  │ no, too late, helper gone: refused      └ again, ever less often
 *                  └ session gone ─▶ ORPHAN ── LENT ─▶ RETURNING
 *
 * What nobody gave back, since keeper, helper or machine died, is swept: the helper drops what bears
 * our mark and belongs to no session that lives.  Only once everybody who lives has said so.
 */
#ifndef SALLYPORT_KEEPER_LEND_H
#define SALLYPORT_KEEPER_LEND_H

#include "live.h"
#include "proof.h"

void lend_open(struct keeper *k);
void lend_close(struct keeper *k);

/* Asks for one; admission_lent() is called later, or SP_EDENIED and *why_r at once.  id: of the worker's request. */
int lend_begin(struct keeper *k, struct live *s, const struct target *t, const struct message *m, const char **why_r) SP_MUST;
/* The session is going. */
void lend_end(struct keeper *k, struct live *s);
/* What it logs in with; NULL: its target's own login. */
const struct credential *lend_credential(const struct live *s);

int lend_lent(struct keeper *k, struct link *l, struct message *m);
int lend_returned(struct keeper *k, struct link *l, struct message *m);
void lend_linked(struct keeper *k, unsigned index);
void lend_lost(struct keeper *k, unsigned index);
void lend_tick(struct keeper *k);
/* Another configuration: those that are held know the one that they came under. */
void lend_epoch(struct keeper *k);

#endif
