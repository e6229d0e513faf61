/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets: a short-lived user name and password for one principal and one target, for clients that
 * know nothing of us.
 *
 *   POST /tickets ─▶ TICKET_LIVE: id (the user name) and password, shown once; a verifier is kept, sealed
 *   client-first ─▶ ticket_begin() ─▶ server-first        over the worker, which can't check anything
 *   client-final ─▶ ticket_prove(), then admission as with a token, then ticket_use() ─▶ server-final
 *   or the password, from a protocol that knows nothing better ─▶ ticket_check(), then the same
 *
 * A ticket dies with its window, its sign-in, its grant, a revocation, or when somebody ends it.  Only
 * who has proved to know the password hears which of these it was.  Rows carry the keeper's mark (row.h).
 */
#ifndef SALLYPORT_KEEPER_TICKET_H
#define SALLYPORT_KEEPER_TICKET_H

#include "keeper.h"
#include "live.h"

#define TICKET_PREFIX "spt-"
#define TICKET_ID 25 /* with its NUL */
#define TICKET_WINDOW (15ull * 60 * 1000) /* ms, unless somebody asks for more */
#define TICKET_WINDOW_MAX (24ull * 3600 * 1000)
#define TICKET_AT_ONCE 10

/* Stored: never renumber.  One session; any number; SSH by a certificate of ours, to any target (ssh_key.h). */
enum ticket_kind { TICKET_CONNECT, TICKET_MANY, TICKET_KEY };
#define TICKET_ANY_TARGET "*" /* of TICKET_KEY */
enum ticket_state { TICKET_LIVE, TICKET_ENDED };  /* stored: never renumber */

struct ticket {
	const char *id, *target, *host, *grant, *parent, *text;
	enum ticket_kind kind;
	enum ticket_state state;
	struct principal who;        /* its token is the ticket's id */
	struct sp_bytes verifier;    /* sealed */
	uint64_t created, window, issued; /* wall µs: sessions begin before `window`; `issued`: the sign-in, for revocations */
	uint64_t used;               /* sessions so far */
	struct field column[T_MAC + 1];
};

void ticket_open(struct keeper *k);
void ticket_close(struct keeper *k);

struct ticket_wish {
	const struct verified *who;
	const struct target *target; /* NULL: any, with TICKET_KEY */
	enum ticket_kind kind;
	uint64_t span;      /* ms: the window; 0: the usual */
};
struct ticket_made {
	char id[TICKET_ID];
	char password[64];  /* the caller wipes it */
	uint64_t window, until; /* wall µs: sessions begin before; end by, as things stand */
	uint64_t ends;      /* wall µs: of the sign-in behind it */
};
/* NULL, or why not. */
const char *ticket_make(struct keeper *k, const struct ticket_wish *w, struct ticket_made *made_r);

/* ---- logging in ---- */

/* Is this the second message of a log-in under way? */
bool ticket_under_way(struct keeper *k, struct sp_bytes session);
bool ticket_any_under_way(const struct keeper *k);
/* The first: the challenge goes to the worker. */
int ticket_begin(struct keeper *k, struct link *l, struct message *m);
/*
 * The second, which ends the log-in: SP_OK: it is the ticket's password; everything in the arena.
 * final_r: for the client, once it is admitted.
 */
int ticket_prove(struct keeper *k, struct sp_bytes session, struct sp_bytes proof, struct arena *a, struct ticket *t_r,
    struct buffer *final_r, const char **why_r) SP_MUST;
/* The password itself, of the ticket of that id: SP_OK: it is right; everything in the arena. */
int ticket_check(struct keeper *k, struct sp_bytes id, struct sp_bytes password, struct arena *a, struct ticket *t_r, const char **why_r) SP_MUST;
/* NULL, or what the client, who has proved who it is, hears.  t->who is then whom the sign-in behind it stands for now. */
const char *ticket_refuses(struct keeper *k, struct arena *a, struct ticket *t, const char *target, const char *host);
/* One session of it begins.  NULL, or what the client hears. */
const char *ticket_use(struct keeper *k, struct arena *a, struct ticket *t, const char *target, const char *host);
/* The log-in is given up. */
void ticket_forget(struct keeper *k, struct sp_bytes session);
void ticket_worker_gone(struct keeper *k, const struct worker *w);
/* Every second. */
void ticket_tick(struct keeper *k);

/* ---- ending ---- */

int ticket_get(struct keeper *k, struct arena *a, const char *id, struct ticket *t_r) SP_MUST;
int ticket_list(struct keeper *k, int (*each)(void *owner, const struct ticket *t), void *owner) SP_MUST;
/* It and its sessions.  False: it had ended already. */
bool ticket_end(struct keeper *k, const struct ticket *t, const char *text);
/* Another gateway ended it: its sessions here follow. */
void ticket_heard(struct keeper *k, const char *id);
/* Those that a sign-in, or a token, made: `parent` is the credential's id (struct principal, token). */
void ticket_end_of(struct keeper *k, const char *parent, const char *text);

#endif
