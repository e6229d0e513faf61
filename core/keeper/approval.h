/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals: persons' decisions, in one queue: on an operation, bound to the hash of its bytes (P7),
 * on a grant, on a file of statements, on what somebody did behind a broken glass.
 *
 *                       ┌─ enough persons said yes ─▶ GRANTED   the operation that waits goes on; the grant begins
 *   HOLD ─▶ WAITING ────┤   … and next run, file ───▶ APPROVED ─ the same bytes again ─▶ USED
 *                       ├─ one said no ─────────────▶ DENIED          │
 *                       ├─ nobody in time ──────────▶ EXPIRED ◀── ten minutes
 *                       └─ client, session or worker gone, or its asker's wish ─▶ WITHDRAWN
 *
 * Every arrow is one conditional UPDATE on the former state, so that of two only one happens
 * (AP6), and is on disk before anybody hears of it.  Rows and votes carry the keeper's mark (row.h):
 * one that was altered or inserted behind our back is nobody's request and nobody's vote.
 */
#ifndef SALLYPORT_KEEPER_APPROVAL_H
#define SALLYPORT_KEEPER_APPROVAL_H

#include "live.h"

enum approval_state { /* stored: never renumber */
	APPROVAL_WAITING, APPROVAL_APPROVED, APPROVAL_DENIED, APPROVAL_EXPIRED, APPROVAL_WITHDRAWN, APPROVAL_USED, APPROVAL_GRANTED,
	APPROVAL_STATES
};
const char *approval_state_name(unsigned state);

enum approval_kind { /* stored: never renumber */
	APPROVAL_OPERATION, APPROVAL_GRANT, APPROVAL_FILE, APPROVAL_INCIDENT,
	APPROVAL_KINDS
};
const char *approval_kind_name(unsigned kind);

struct approval {
	const char *id;
	enum approval_kind kind;
	struct field column[A_MAC + 1]; /* as stored */
	uint8_t session[ID_LEN], hash[DIGEST_LEN], rule_hash[DIGEST_LEN];
	uint32_t op;
	const char *rule, *by, *view, *text;
	const char *reason;  /* why it is asked for, in its asker's words */
	uint64_t span;       /* ms: how long a grant lasts, a file may be run */
	uint64_t spent;      /* a file: where in its text the next statement begins */
	uint64_t count, created, expires, decided; /* wall µs */
	bool next_run, need_reason, sponsor; /* sponsor: an agent's sponsor may decide */
	struct principal who;
	const char *target;
	enum approval_state state;
};

int approval_hold(struct keeper *k, struct link *l, struct message *m);
int approval_withdraw(struct keeper *k, struct link *l, struct message *m);
/* What the planner expects, or why it was not asked: shown beside the request, and no part of its hash. */
int approval_estimate(struct keeper *k, struct link *l, struct message *m);
/* The same for a session that nobody here has. */
void approval_withdraw_of(struct keeper *k, struct sp_bytes session, const char *why);
/* Another gateway changed it: our worker, if it is about an operation of ours, hears what was decided. */
void approval_heard(struct keeper *k, const char *id);
void approval_withdraw_session(struct keeper *k, struct live *s, const char *why);
/* The worker that announced it may have missed what was decided. */
void approval_resume(struct keeper *k, struct live *s);
/* Every second. */
void approval_tick(struct keeper *k);

/*
 * A request that no session waits for: a grant, a file, an incident.  a: id is made here; who,
 * kind, hash, rule, rule_hash, by, sponsor, count, expires, view, reason, span, need_reason are the caller's.  NULL, or why not.
 */
const char *approval_ask(struct keeper *k, struct approval *a, char id_r[ID_TEXT]);
/* The one way from a state to another: false when it was somebody else who did it. */
bool approval_enter(struct keeper *k, const struct approval *a, enum approval_state to, uint64_t expires, const char *text);

/* ---- file.c: an approved file, spent statement by statement ---- */

#define FILE_MAX (256u << 10) /* bytes: a person has to read it */

/* What an approver must see of it, and what the approval is for; mem_alloc()ed.  NULL: it is no text. */
struct file_wish {
	const char *text, *database, *login, *search_path, *reason, *window;
};
char *file_view(const struct file_wish *w);
/* Of all of it, and of a's principal, target, reason, by, count, span and rule_hash. */
void file_hash(const struct approval *a, const struct file_wish *w, uint8_t out[DIGEST_LEN]);
size_t file_statements(const char *text);
/* What stands in place of the rule that asks: the hash of the target's policy. */
void file_policy(const struct keeper *k, const struct target *t, uint8_t out[DIGEST_LEN]);
/* NULL, or why it can't be approved or spent any more. */
const char *file_overtaken(const struct keeper *k, const struct approval *a);

/* One that a session may spend, and how far it has come there. */
struct file_run {
	struct file_run *next;
	char id[ID_TEXT];
	char *text;
	size_t at;   /* where its next statement is looked for */
	size_t was;  /* … before the last operation moved it on, which several rules may hold */
	uint64_t op; /* that operation; 0: none */
	bool renamed; /* the session may have made temporary tables of its own before */
};
/* Those that may be spent by a session that begins, or goes on after our restart.  False: there is none. */
bool file_follow(struct keeper *k, struct live *s, bool resumed);
void file_forget(struct live *s);
int file_ran(struct keeper *k, struct link *l, struct message *m);
void file_first(struct live *s, struct file_run *r);
/* Is what is asked for by an operation (a HOLD's view) its next? */
bool file_is_next(const struct file_run *r, uint64_t op, const json_t *asked, size_t *next_r);
/* Behind that. */
void file_moved(struct file_run *r, uint64_t op, size_t next);

/* What a rule asks for on what is held. */
struct file_ask {
	struct sp_bytes by;
	uint64_t count;
	bool reason;
	const json_t *asked; /* the view */
};
bool file_covers(struct keeper *k, const struct approval *a, const struct live *s, const struct file_ask *ask);
/* …those approved for the session's principal and target, that nobody's window has ended. */
int approval_files(struct keeper *k, const struct live *s, int (*each)(void *owner, const struct approval *a), void *owner) SP_MUST;
/* The session that has begun it has come to its end. */
void approval_file_over(struct keeper *k, const struct live *s, const struct file_run *r);
/* … or has done what ends it before that. */
void approval_file_ended(struct keeper *k, const struct live *s, const struct file_run *r);

/* ---- for the API ---- */

/* An id, or at least four letters of one: SP_EPROTO when there is none, SP_ETOOBIG when there are several. */
int approval_get(struct keeper *k, struct arena *a, const char *id, struct approval *a_r) SP_MUST;
/*
 * Newest first, at most so many; `each` gets a struct that is good until it returns, and must not write.  What it
 * returns, when not SP_OK, ends the walk.  state -1: any.
 */
int approval_list(struct keeper *k, int state, uint64_t limit, int (*each)(void *owner, const struct approval *a), void *owner) SP_MUST;
/* An array of who voted how. */
json_t *approval_votes(struct keeper *k, const struct approval *a, uint64_t *allow_r);
/* What approval_estimate() was told; NULL: nothing. */
json_t *approval_estimated(struct keeper *k, const struct approval *a);
/* May this caller see it; may it decide on it?  NULL: yes, else the sentence that says why not. */
bool approval_visible(const struct approval *a, const struct verified *v);
const char *approval_may_not(const struct approval *a, const struct verified *v);
/* … now: also whether it still waits, and whether that person has voted. */
const char *approval_may_not_now(struct keeper *k, const struct approval *a, const struct verified *v);

/* Does the hash, or its first twelve digits or more, name what the request is for?  "" does. */
bool approval_hash_fits(const struct approval *a, const char *hash);
/* That person is shown all of it now; was shown it since this keeper started, under the same hash. */
void approval_shown(const struct approval *a, const struct principal *p);
bool approval_was_shown(const struct approval *a, const struct principal *p);

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
