/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the helpers have in common: small processes that do one thing for the keeper which the
 * keeper must not do itself.
 *
 *   keeper ─ MSG_OUTSIDE ─▶ sallyport-fetch   asks an HTTPS server for keys, tokens, …; delivers webhooks
 *          ─ MSG_SAML ────▶ sallyport-saml    reads XML
 *          ─ MSG_LEND ────▶ sallyport-lend    borrows a credential from Vault, makes a role in a database
 *          ─ MSG_DIAL ────▶ sallyport-dial    connects to a socket of this machine's
 *                           sallyport-ship    sends the audit log to a log host; is asked nothing
 *
 * Master starts one of a kind when the configuration needs it (core/base/helpers.c): the index, of
 * several, says which.  A helper has no listener and no store, and speaks with the keeper only.  What
 * it is given in a job it keeps no longer than the job.  When the keeper goes, all jobs are void:
 * another keeper asks again.
 */
#ifndef SALLYPORT_HELPER_HELPER_H
#define SALLYPORT_HELPER_HELPER_H

#include "../base/role.h"
#include "../base/sandbox.h"

struct helper;

struct helper_kind {
	enum role role;
	const struct sandbox_paths *paths; /* NULL: no files at all */
	/* Before the lock-down, with h->epoch.  NULL: nothing to do. */
	int (*start)(struct helper *h, const char **err_r);
	/* h->epoch is the later one.  It can't be refused: jobs that no longer fit fail.  NULL: nothing to do. */
	void (*epoch)(struct helper *h);
	/* Of the keeper.  As in link_handler. */
	int (*job)(struct helper *h, struct message *m);
	/* The keeper is gone: drop every job without an answer.  NULL: nothing to do. */
	void (*void_jobs)(struct helper *h);
	/* The fds that come with a reopened error log; they are the callee's, -1 when there are none.  NULL: there never are any. */
	void (*reopen)(struct helper *h, int first, int second);
	/* Told to go, and the keeper will ask for nothing more: helper_end() when all is done.  NULL: at once. */
	void (*quit)(struct helper *h);
	/* The last of all: what start() made.  NULL: nothing to do. */
	void (*close)(struct helper *h);
};

struct helper {
	struct role_process process;
	const struct helper_kind *kind;
	struct epoch *epoch;
	struct link *keeper; /* NULL: it is away */
	void *own;           /* the kind's */
};

/* The whole of a helper's main(). */
int helper_main(const struct helper_kind *kind, int argc, char **argv);
/* To the keeper; nobody hears it when it is away. */
void helper_answer(struct helper *h, const struct message *m);
static inline void
helper_end(struct helper *h)
{
	role_end(&h->process, 0);
}

#endif
