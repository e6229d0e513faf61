/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open transaction has defined: the names as it sees them, asked on its own connection.
 *
 *   STALE ─before the next statement─▶ ASKED ─yes─▶ MAY ─▶ READING ─▶ KNOWN ─DDL, ROLLBACK TO, others' DDL─▶ STALE
 *                                        └─no, an error─▶ UNKNOWN (every name is, as long as nothing else runs)
 *
 *   UNKNOWN ─code ran that nobody saw, before the next statement─▶ PROBED ─it has written no row of the catalogue─▶ UNKNOWN (the committed names are it)
 *                                                                     └─some, or nobody can say─▶ STALE
 *
 * Whatever defined it (a statement, a function, DO, an event trigger, another savepoint's end) shows in the
 * server's own catalogue, which nothing has to be guessed from.  Where code ran that nobody sees, the server is asked first
 * how many rows of the catalogue the transaction has written: as many as before, and what was read stands.  What the server itself came with is taken from
 * the committed names.  A snapshot of REPEATABLE READ does not show what the server goes by: there nothing is known.
 */
#ifndef PG_DEFINED_H
#define PG_DEFINED_H

#include "names.h"
#include "postgres.h"

/* NULL: not known; good until the next statement's end. */
const struct pg_names *pg_defined_names(const struct pg *p);
/* A statement ended that may have changed definitions; surely: they are read again even if no row of the catalogue was written. */
void pg_defined_stale(struct pg *p, bool surely);
/* May code that no statement shows have changed them, while any statement ran? */
bool pg_defined_unseen(const struct pg *p);
/*
 * A statement that is called op ended: what it moved out of tagged columns is behind those that it wrote, or the tables
 * that it made, until the transaction ends.  Before pg_track_answer().
 */
void pg_defined_moved(struct pg *p, const struct sp_op *op, unsigned traits);
/* Have the committed names changed since? */
bool pg_defined_old(const struct pg *p);
/* Has the server to be asked, or is it being asked? */
bool pg_defined_wanted(const struct pg *p);
/* Before anything is read: may it be, and would it be the truth?  Written behind other questions. */
int pg_defined_ask(struct pg *p) SP_MUST;
/* Nothing is owed by the target: PG_PASS, it is known or never will be; 0, the reading was written, and wants its Flush; PG_WAIT. */
int pg_defined_look(struct pg *p) SP_MUST;
void pg_defined_end(struct pg *p); /* of the transaction, or the session */

/* Answers. */
int pg_defined_row(struct pg *p, enum pg_own own, struct sp_bytes body) SP_MUST;
void pg_defined_complete(struct pg *p, enum pg_own own);
void pg_defined_failed(struct pg *p);

#endif
