/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes on paper, for a day without an identity provider: each breaks the glass once, for the person
 * whom it was made for.
 *
 *   an admin ─ POST break-glass/codes ─▶ CODE_LIVE: shown once, its hash is kept
 *   anybody who has it ─ POST break-glass/code ─▶ CODE_SPENT: a broken glass (grant.h), and a ticket for it (ticket.h)
 *   its time, an admin, a revocation of the person ─▶ CODE_ENDED, or no good
 *
 * A code is good for nothing else: it signs nobody in, and decides nothing.  Of many attempts with
 * one code one wins, by one conditional UPDATE.  Rows carry the keeper's mark (row.h).
 */
#ifndef SALLYPORT_KEEPER_CODE_H
#define SALLYPORT_KEEPER_CODE_H

#include "keeper.h"

#define CODE_TEXT 40 /* with its NUL: groups of four letters */
#define CODE_DAYS 90
#define CODE_DAYS_MAX 400

enum code_state { CODE_LIVE, CODE_SPENT, CODE_ENDED }; /* stored: never renumber */

struct code {
	const char *id, *by, *text; /* by: who made it */
	struct principal who;       /* as they were then: its token is the code's id */
	enum code_state state;
	uint64_t created, expires, changed; /* wall µs */
	struct field column[O_MAC + 1];
};
const char *code_state_name(unsigned state);

struct code_wish {
	const struct principal *who, *by;
	uint64_t span; /* ms that it may be used */
};
struct code_made {
	char id[ID_TEXT], text[CODE_TEXT]; /* the caller wipes text */
	uint64_t expires;
};
/* NULL, or why not. */
const char *code_make(struct keeper *k, const struct code_wish *w, struct code_made *made_r);

/* SP_OK: it is one, and good.  Everything in the arena.  Letters count, not how they are grouped or written. */
int code_find(struct keeper *k, struct sp_bytes text, struct arena *a, struct code *c_r) SP_MUST;
/* False: somebody else was faster. */
bool code_change(struct keeper *k, const struct code *c, enum code_state to, const char *text);
/* Too many wrong ones came from there; code_wrong() counts one. */
bool code_barred(struct keeper *k, const char *address);
void code_wrong(struct keeper *k, const char *address);
void code_close(struct keeper *k);

int code_get(struct keeper *k, struct arena *a, const char *id, struct code *c_r) SP_MUST;
int code_list(struct keeper *k, struct arena *a, int (*each)(void *owner, const struct code *c), void *owner) SP_MUST;

#endif
