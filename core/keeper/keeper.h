/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: who it talks to, and what its files share.
 *
 *   worker ×N ── authenticate, prove, hold … ──▶ ┌────────┐ ◀── sign, remove ── recorder
 *   console ──── call ─────────────────────────▶ │ keeper │ ◀── epoch, caller … ── master
 *                                                └───┬────┘
 *                                               store, keys, secrets
 *
 * Each concern is one file with one or more handlers; keeper_handlers (dispatch.c) names them by
 * message.  A handler answers with reply(): what was promised is on disk before the answer leaves.
 */
#ifndef SALLYPORT_KEEPER_KEEPER_H
#define SALLYPORT_KEEPER_KEEPER_H

#include <event2/event.h>
#include <jansson.h>

#include "../base/epoch.h"
#include "../base/link.h"
#include "../base/role.h"
#include "identity.h"
#include "keys.h"
#include "store.h"

struct approvals;
struct callers;
struct cancels;
struct credentials;
struct ledger;
struct lending;
struct live;
struct ticket_logins;
struct live_table;
struct webhooks;
struct fetches;
struct gateways;
struct metrics;
struct outside;
struct policy_asks;
struct providers;
struct signins;
struct devices;
struct events;
struct exchange;
struct saml_jobs;
struct saml_trust;

struct worker {
	struct worker *next;
	struct keeper *k;
	struct link *link;
	unsigned index;
};

struct helper_link { /* to a fetch, saml or lend process */
	struct helper_link *next;
	struct keeper *k;
	struct link *link;
	enum role role;
	unsigned index;
};

struct reply {
	struct reply *next;
	struct link *link; /* NULL: its peer has gone */
	struct message m;
	struct buffer bytes;
};

struct keeper {
	struct role_process *role;
	struct event_base *base;
	struct epoch *epoch;
	bool trial;                      /* of `sallyportd -t --connect`: in memory only, and worker's sides need no session */
	struct store *store;
	struct keys keys;
	struct trust *trust;             /* of the epoch */
	struct credentials *credentials; /* of the epoch, and what was derived from them */
	struct live_table *live;
	struct lending *lending;
	struct webhooks *webhooks;       /* of the epoch */
	unsigned hooks_sending;
	struct approvals *approvals;
	struct cancels *cancels;
	struct code_wrongs *wrongs;    /* codes that were none */
	struct ticket_logins *tickets; /* log-ins under way */
	struct callers *callers;
	struct fetches *fetches;
	struct gateways *gateways;
	struct events *events;
	struct metrics *metrics;
	struct policy_asks *policy_asks;
	struct ledger *ledger;
	struct saml_trust *saml_trust;   /* of the epoch */
	struct saml_jobs *saml_jobs;
	struct worker *workers;
	struct link *recorder, *console;
	struct helper_link *helpers;
	struct outside *outside;
	struct providers *providers;
	struct signins *signins;
	struct devices *devices;
	struct exchange *exchanges;      /* codes that are being redeemed */
	struct buffer audit;             /* lines for a recorder that is away */
	int audit_log;                   /* what they become, to read; -1: none */
	struct reply *replies, **replies_end;
	struct event *commit;            /* soon: commit, then let the replies go */
	uint64_t commit_due;             /* mono µs; 0: nothing was written */
	uint64_t commit_rested;          /* mono µs until which the disk is the recorder's, but for a credit */
	struct event *tick;              /* every second */
	struct live *deriving;           /* sessions whose SCRAM keys are being made (proof.c) */
	struct event *derive;
	uint64_t started, started_mono;  /* wall µs; mono ms */
	int64_t clock_ahead;             /* µs that the wall's clock is ahead of the monotonic one, at the last tick */
	uint64_t ticks;
	bool leaving;                    /* leave.c */
	uint64_t leaving_since;          /* mono ms */
	struct event *leave;
	bool settled;                    /* store_grace is over: who did not resume is gone */
	void (*left)(struct keeper *k);
	void (*failed)(struct keeper *k); /* the store can't be written: nothing may be promised any more */
};

extern const struct role_handler keeper_handler; /* what master's messages do; the owner is the keeper, its role set */

/* Everything but the links.  e is the keeper's from here on, also when it fails. */
int keeper_open(struct keeper *k, struct event_base *base, struct epoch *e, const char **err_r) SP_MUST;
void keeper_close(struct keeper *k);
/* A later epoch: all of it or nothing; e is the keeper's when it was taken. */
int keeper_epoch(struct keeper *k, struct epoch *e, const char **err_r) SP_MUST;
/* A new link; fd is the keeper's.  It replaces an older one to the recorder or the console. */
int keeper_link(struct keeper *k, enum role peer, unsigned index, int fd) SP_MUST;
/* The link to a helper, or NULL: there is none, or it is being started again. */
struct link *keeper_helper(const struct keeper *k, enum role role, unsigned index);
/*
 * Ends in order: who is logging in gets through, who comes is left to the next keeper.  left() is called from the loop
 * when all that was promised is written and said.
 */
void keeper_leave(struct keeper *k);
/* From master. */
int keeper_told(struct keeper *k, struct message *m) SP_MUST;

static inline const struct settings *
keeper_settings(const struct keeper *k)
{
	return &k->epoch->settings;
}

/* The worker at the other end, or NULL. */
static inline struct worker *
worker_of(struct keeper *k, const struct link *l)
{
	struct worker *w = k->workers;
	while (w != NULL && w->link != l)
		w = w->next;
	return w;
}

/* ---- reply.c ---- */

/* store_write(), and a commit soon; a failure ends the keeper. */
long keeper_write(struct keeper *k, enum store_statement which, const struct field *args);
/* What was written is on disk when it returns, and the replies that waited for it are sent. */
void keeper_commit(struct keeper *k);
/* Copies m and sends it once everything written so far is on disk; at once when nothing is. */
void reply(struct keeper *k, struct link *l, const struct message *m);
/* The link is going: its replies go nowhere. */
void reply_forget(struct keeper *k, const struct link *l);
void reply_open(struct keeper *k);
void reply_close(struct keeper *k);
/* One line of the audit log.  Takes the object over; adds when; cuts what is long, so that every line can be read. */
void audit(struct keeper *k, const char *event, json_t *members);
/* How many bytes of the text to keep: at most `max`, and no part of a character. */
int audit_cut(const char *text, int max);
void audit_flush(struct keeper *k);

#endif
