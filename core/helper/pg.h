/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a PostgreSQL server that waits for nobody: one question at a time, connecting when it
 * has to, over libevent.
 *
 *   pg_new() ─▶ closed ── pg_ask() ─▶ connecting ─▶ asked ── done() ─▶ idle ── pg_ask() ─▶ asked …
 *                  ▲                       └── failed, too late: done(), closed ──┘
 *
 * Names mean pg_catalog's, whatever is in the database's or the login's settings.  Only resolving a
 * host's name blocks.
 */
#ifndef SALLYPORT_HELPER_PG_H
#define SALLYPORT_HELPER_PG_H

#include <event2/event.h>

#include "../base/memory.h"

struct pg;

struct pg_login { /* all borrowed; "" where there is none */
	const char *server; /* HOST:PORT */
	const char *database, *user;
	const char *tls;    /* libpq's: verify-full, require, disable */
	const char *name;   /* in the certificate, when it is not the host */
	struct sp_bytes ca; /* PEM; empty: the system's */
	struct sp_bytes crl; /* PEM: what these have revoked; empty: nobody asks */
	struct sp_bytes password;
};

struct pg_answer {
	bool ok;
	bool broken;         /* the connection went, or never was: nothing is known of what was asked */
	char sqlstate[6];    /* when the server refused */
	const char *text;    /* borrowed: why not */
	int rows;            /* of the last statement that has any */
	void *rows_of;
};
const char *pg_cell(const struct pg_answer *a, int row, int column); /* "" for NULL; borrowed */

typedef void (*pg_done)(void *owner, const struct pg_answer *a);

/* NULL: no memory. */
struct pg *pg_new(struct event_base *base, const struct pg_login *login);
/* Not from inside done().  What was asked gets no answer. */
void pg_free(struct pg **c);
bool pg_busy(const struct pg *c);
/* Statements with `;` between them are one transaction.  Not while it is busy.  done() is called from the loop, within ms. */
void pg_ask(struct pg *c, const char *sql, uint64_t ms, pg_done done, void *owner);
/* Since the connection stands; 0 else. */
int pg_version(const struct pg *c);

/* As a literal, or as a name, quoted. */
int pg_literal(struct buffer *out, const char *text) SP_MUST;
int pg_name(struct buffer *out, const char *text) SP_MUST;

#endif
