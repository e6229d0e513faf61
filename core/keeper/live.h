/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions as the keeper knows them: admitted, not yet closed, each on one worker's link.
 *
 *   admission ─▶ LIVE_ADMITTED ── OPENED ─▶ LIVE_OPEN ── CLOSED, worker gone ─▶ gone
 *       └ `login ephemeral`: LIVE_BORROWING until it is lent (lend.h)
 *   SIDE ──────▶ LIVE_ADMITTED (side: no principal; only proofs for the target's catalogue login)
 *
 * Limits are counted here; after a restart workers announce theirs again (RESUME).
 */
#ifndef SALLYPORT_KEEPER_LIVE_H
#define SALLYPORT_KEEPER_LIVE_H

#include "keeper.h"

enum live_state { LIVE_ADMITTED, LIVE_OPEN, LIVE_BORROWING };
#define LIVE_TORN 100 /* beside enum sp_why, in the store: it ended without a word */

struct lent;
struct proof;
struct file_run;

enum credential_use { OF_LOGIN, OF_CATALOGUE, OF_ADMIN, OF_ESTIMATE }; /* which of a target's logins */

struct live {
	struct live *next, *all_next, **all_at;
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	enum live_state state;
	enum credential_use use; /* which login its proofs are for */
	bool tls; /* its client's connection */
	bool side, ended; /* ended: its worker was told to end it */
	struct worker *worker;
	struct arena *arena;         /* all strings below */
	struct principal principal;
	const char *principal_json;
	const char *target, *part, *address, *host, *protocol;
	uint64_t started, expires;   /* wall µs */
	uint64_t proved;             /* wall µs: so long its principal stands, by its first token or by `renewed` */
	const char *renewed;         /* id of the token that it lives by now; NULL: by the first one */
	struct sp_bytes final;       /* for a client that has a ticket: our proof */
	struct proof *proof;         /* login under way */
	struct lent *lent;           /* its own role at the target; NULL: none */
	struct cancel_key *cancel;
	struct file_run *files;      /* approved files that it may spend (approval.h) */
	unsigned holds;
	unsigned groups;             /* that it said to belong to (share.h) */
};

void live_open(struct keeper *k);
void live_close(struct keeper *k);
struct live *live_add(struct keeper *k, struct sp_bytes id, struct worker *w); /* NULL: there is one, or the id is none */
struct live *live_find(struct keeper *k, struct sp_bytes id);
/* …on that worker, else NULL. */
struct live *live_of(struct keeper *k, struct sp_bytes id, const struct link *l);
void live_remove(struct keeper *k, struct live *s);
struct live *live_first(struct keeper *k);
/* The address without its port. */
const char *live_host(struct arena *a, struct sp_bytes address);

struct live_count {
	uint64_t all, user, address, target, target_user;
};
/* How many there are beside a new one of this principal, host and target. */
struct live_count live_count(struct keeper *k, const struct principal *p, const char *host, const char *target);

/* False once it was told to end, or its principal has expired: then nothing more is proved, held or opened for it. */
bool live_may(const struct live *s);

/*
 * Its end: that of its principal and, where the target wants one, of its grant.  The worker hears of a
 * change; without a grant it is killed.
 */
void live_bound(struct keeper *k, struct live *s);

/* End it: MSG_KILL to its worker. */
void live_kill(struct keeper *k, struct live *s, enum sp_why why, const char *text);

/* …when the configuration has no such target any more, or the target does not allow its principal. */
void live_check(struct keeper *k, struct live *s);
void live_check_all(struct keeper *k);
/* …when its principal was revoked since it began. */
void live_check_revoked(struct keeper *k);

int live_opened(struct keeper *k, struct link *l, struct message *m);
int live_closed(struct keeper *k, struct link *l, struct message *m);
int live_resume(struct keeper *k, struct link *l, struct message *m);
int live_side(struct keeper *k, struct link *l, struct message *m);
/* All of its sessions are gone. */
void live_worker_gone(struct keeper *k, struct worker *w);
/* store_grace after the start: what the store calls live and nobody announced is torn. */
void live_settle(struct keeper *k);
/* A gateway that shares our store is gone: its sessions are torn, and what they held is withdrawn. */
void live_bury(struct keeper *k, const char *gateway);

#endif
