/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session has changed about the meaning of its next statement: search_path, role, temporary
 * tables, the transaction.
 *
 * Servers before 18 do not report search_path, and functions can set it unseen; so whenever a
 * statement may have changed it, a recorded statement of our own asks the server before the next
 * one is looked at.
 */
#ifndef PG_TRACK_H
#define PG_TRACK_H

#include "postgres.h"

/* PG_PASS: names mean what the view says.  PG_WAIT: the server is being asked. */
int pg_track(struct pg *p) SP_MUST;
/* True: the operation just classified has to be made anew, once the catalogue has been read again. */
bool pg_track_reads_again(struct pg *p);
/* A statement was answered, or failed: what may be different now? */
void pg_track_answer(struct pg *p, unsigned traits);
void pg_track_error(struct pg *p);
void pg_track_defined(struct pg *p); /* code that nobody saw has defined something in this transaction */
void pg_track_moved(struct pg *p); /* what the transaction has defined is to be read again */
int pg_track_status(struct pg *p, uint8_t status) SP_MUST;

struct pg_view;
const struct pg_view *pg_track_view(const struct pg *p); /* NULL: it has none yet */
struct pg_names *pg_track_names(const struct pg *p);     /* the view's, counted; or NULL */

/* Answers to our own statement. */
int pg_track_row(struct pg *p, enum pg_own own, struct sp_bytes body) SP_MUST;
void pg_track_complete(struct pg *p, enum pg_own own);
void pg_track_failed(struct pg *p);

/* ---- prepared.c ---- */
void pg_prepared_forget(struct pg *p);
void pg_prepared_add(struct pg *p, struct sp_bytes name, struct sp_bytes text);
void pg_prepared_touched(struct pg *p, struct sp_bytes name);
struct sp_bytes pg_prepared_text(const struct pg_view *view, struct sp_bytes name);

/* A statement of the gateway's own, in front of the client's next. */
int pg_track_ask(struct pg *p, enum pg_own own, struct sp_bytes text) SP_MUST;

#endif
