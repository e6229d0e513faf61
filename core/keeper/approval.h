/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals: a person's decision on one operation, bound to the hash of its bytes (P7).
 *
 *                       ┌─ enough persons said yes ─▶ GRANTED   the operation that waits goes on
 *   HOLD ─▶ WAITING ────┤        … and next run ────▶ APPROVED ─ the same bytes again ─▶ USED
 *                       ├─ one said no ─────────────▶ DENIED          │
 *                       ├─ nobody in time ──────────▶ EXPIRED ◀── ten minutes
 *                       └─ client, session or worker gone ─▶ WITHDRAWN
 *
 * Every arrow is one conditional UPDATE on the former state, so that of two only one happens
 * (AP6), and is on disk before anybody hears of it.
 */
#ifndef SALLYPORT_KEEPER_APPROVAL_H
#define SALLYPORT_KEEPER_APPROVAL_H

#include "live.h"

enum approval_state { /* stored: never renumber */
	APPROVAL_WAITING, APPROVAL_APPROVED, APPROVAL_DENIED, APPROVAL_EXPIRED, APPROVAL_WITHDRAWN, APPROVAL_USED, APPROVAL_GRANTED,
	APPROVAL_STATES
};
const char *approval_state_name(unsigned state);

struct approval {
	const char *id;
	uint8_t session[ID_LEN], hash[DIGEST_LEN], rule_hash[DIGEST_LEN];
	uint32_t op;
	const char *rule, *by, *view, *text;
	uint64_t count, created, expires, decided; /* wall µs */
	bool next_run, need_reason;
	struct principal who;
	const char *target;
	enum approval_state state;
};

int approval_hold(struct keeper *k, struct link *l, struct message *m);
int approval_withdraw(struct keeper *k, struct link *l, struct message *m);
/* The same for a session that nobody here has. */
void approval_withdraw_of(struct keeper *k, struct sp_bytes session, const char *why);
/* Another gateway changed it: our worker, if it is about an operation of ours, hears what was decided. */
void approval_heard(struct keeper *k, const char *id);
void approval_withdraw_session(struct keeper *k, struct live *s, const char *why);
/* The worker that announced it may have missed what was decided. */
void approval_resume(struct keeper *k, struct live *s);
/* Every second. */
void approval_tick(struct keeper *k);

/* ---- for the API ---- */

/* An id, or at least four letters of one: SP_EPROTO when there is none, SP_ETOOBIG when there are several. */
int approval_get(struct keeper *k, struct arena *a, const char *id, struct approval *a_r) SP_MUST;
/* Newest first; `each` gets a struct that is good until it returns.  state -1: any. */
int approval_list(struct keeper *k, int state, uint64_t limit, int (*each)(void *owner, const struct approval *a), void *owner) SP_MUST;
/* An array of who voted how. */
json_t *approval_votes(struct keeper *k, const struct approval *a, uint64_t *allow_r);
/* May this caller see it; may it decide on it?  NULL: yes, else the sentence that says why not. */
bool approval_visible(const struct approval *a, const struct verified *v);
const char *approval_may_not(const struct approval *a, const struct verified *v);

struct decision {
	bool allow;
	const char *comment;
	unsigned status;     /* out: as HTTP counts */
	const char *text;    /* out: why not, when status is not 200 */
	uint64_t votes;      /* out */
	enum approval_state state; /* out */
};
void approval_decide(struct keeper *k, const struct verified *v, const struct approval *a, struct decision *d);

#endif
