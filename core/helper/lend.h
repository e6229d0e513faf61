/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-lend: makes a role for each session of a target whose login is ephemeral, and drops it.
 *
 *   LEND role ─▶ front connection: CREATE ROLE … IN ROLE parent, SET role, COMMENT = its mark   (one transaction)
 *   RETURN ────▶ back connection:  is the mark ours? ─▶ NOLOGIN ─▶ its backends end ─▶ in each database where
 *                                  something depends on it: REASSIGN OWNED, DROP OWNED ─▶ DROP ROLE
 *   LEND sweep ▶ back connection:  every role with our mark whose session is not to be kept: the same
 *
 *   lend.c       messages, jobs, their queues          lend_make.c   making a role
 *   lend_mark.c  what a role of ours bears             lend_drop.c   dropping one, and sweeping
 *   lend_vault.c, lend_command.c   passwords out of a Vault, or of a program: none of this
 *
 * Jobs stand alone: each has the admin's login.  While the keeper is away nothing is made; what was
 * to be dropped still is.
 */
#ifndef SALLYPORT_HELPER_LEND_H
#define SALLYPORT_HELPER_LEND_H

#include <jansson.h>

#include "../base/digest.h"
#include "helper.h"
#include "pg.h"

#define LEND_PREFIX "sallyport_"
enum { ROLE_NAME = 64, MARK_TEXT = 160, DROP_MS = 10000 };

enum job_kind { JOB_MAKE, JOB_DROP, JOB_SWEEP };

/* An admin's login at a server, and its two connections. */
struct admin {
	struct admin *next;
	struct helper *h;
	char *server, *database, *user, *tls, *name;
	struct buffer ca, crl;
	struct sp_secret *password;
	struct pg *front, *back, *other; /* other: in another database, while something is dropped there */
	char *other_database;
	struct job *make, *drop;         /* queues; the first is under way */
	uint64_t used;                   /* mono ms */
};

struct job {
	struct job *next;
	enum job_kind kind;
	struct admin *at;
	uint32_t id;              /* of the message */
	struct sp_bytes session;  /* the keeper's id; empty: a sweep */
	uint8_t session_id[ID_LEN];
	char session_name[ID_TEXT];
	char *target, *parent, *user;  /* user: whose session */
	char role[ROLE_NAME];          /* "": found by its mark */
	uint8_t mark[DIGEST_LEN];
	uint64_t valid, within;        /* ms */
	bool tell;                     /* the keeper waits for an answer */
	unsigned tries;
	uint8_t keys[84];              /* struct lent_scram of the keeper's */
	/* dropping */
	char *oid;
	char **database;
	size_t ndatabases, at_database;
	json_t *keep;                  /* sweep: names of sessions */
	struct buffer swept;
};

/* What is lent out since the keeper's link stands: never swept. */
struct out {
	struct out *next;
	char role[ROLE_NAME];
};

struct lend {
	struct admin *admins;
	struct out *out;
	bool quitting, outdated;
	uint64_t quit_at; /* mono ms */
	struct event *tick;
};

static inline struct lend *
lend_of(const struct admin *a)
{
	return a->h->own;
}

/* ---- lend.c ---- */

/* The first of its queue is done, and freed; the next one begins. */
void job_made(struct job *j, bool ok, const char *text);
void job_dropped(struct job *j, bool ok, const char *text);
void job_swept(struct job *j, bool ok, const char *text);
/* A role that a sweep found, or that nobody wants any more. */
void job_drop_also(const struct job *like, const char *role);
bool lend_is_out(const struct lend *l, const char *role);

/* ---- lend_mark.c ---- */

/* "sallyport 1 TARGET SESSION HMAC": of the role's name, the target and the session, under the gateway's own key. */
void mark_format(const uint8_t key[DIGEST_LEN], const char *role, const char *target, const char *session, char out[MARK_TEXT + 256]);
/* The session's name; false: it is not ours, or of another target. */
bool mark_read(const uint8_t key[DIGEST_LEN], const char *role, const char *target, const char *mark, char session_r[ID_TEXT]);
/* The prefix, some letters of the user, and 100 random bits. */
void role_name_new(const char *user, char out[ROLE_NAME]);

/* ---- lend_make.c, lend_drop.c ---- */

void make_begin(struct job *j);
void drop_begin(struct job *j);
void sweep_begin(struct job *j);

#endif
