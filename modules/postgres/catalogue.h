/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's names in this worker: one snapshot per target and database, read by a connection of
 * the gateway's own and shared by all sessions there.
 *
 *   EMPTY ─first session─▶ LOADING ─▶ READY ─DDL, unknown table, age─▶ LOADING (the old one serves on)
 *                            └─error─▶ FAILED ─next session or statement─▶ LOADING (nothing is known)
 *
 * A reading begins with cheap questions, whether anything changed at all:
 *
 *   has a transaction ended since?  ─no─▶ as it was
 *      └─yes─▶ was a row written since, or one more or less of those that count?  ─no─▶ as it was
 *                 └─yes─▶ the same as of now, to compare with from here on ─▶ all is read
 */
#ifndef PG_CATALOGUE_H
#define PG_CATALOGUE_H

#include "names.h"
#include "postgres.h"

#define PG_SOURCE_MAX (3 * 2 * PG_NAME_MAX + 3) /* schema.table.column, every byte escaped */

/* Take part; PG_WAIT until a snapshot is there, PG_PASS once it is. */
int pg_catalogue_join(struct pg *p) SP_MUST;
void pg_catalogue_leave(struct pg *p); /* close(), of side sessions too */
/* What names mean to this session: the committed ones, or in a transaction that has defined some, its own; NULL: not known. */
const struct pg_names *pg_catalogue_names(const struct pg *p);
uint64_t pg_catalogue_version(const struct pg *p); /* of those names; 0: none */
struct pg_names *pg_catalogue_committed(const struct pg *p);
uint64_t pg_catalogue_base(const struct pg *p); /* a transaction before which all had ended when the committed names were read */
uint64_t pg_catalogue_number(void); /* for a version */
uint64_t pg_catalogue_rights(const struct pg *p); /* another whenever who may use which schema may have changed */
/* The catalogue may have changed: read it again.  Returns a number for pg_catalogue_fresh(). */
uint64_t pg_catalogue_stale(struct pg *p);
/* It has changed, by this session's own DDL: that of temporary tables and views shows in no question but the whole one. */
uint64_t pg_catalogue_defined(struct pg *p);
/* … because a statement names a table that it lacks; 0: it was read for such a one a moment ago. */
uint64_t pg_catalogue_missing(struct pg *p);
/* … because it was read longer than sp_recheck() ago; 0: it was not. */
uint64_t pg_catalogue_aged(struct pg *p);
/* True when a reading that began after that number was given is in (or has failed). */
bool pg_catalogue_fresh(const struct pg *p, uint64_t since);
/*
 * Where a column of op's answer comes from; PG_WAIT while a table that nobody knew is looked up.
 * What c points at is good until the next call.
 */
int pg_catalogue_column(struct pg *p, const struct sp_op *op, uint32_t table, uint16_t attnum, struct sp_column *c) SP_MUST;
/*
 * It was let through: cursors that it opens may hold columns that are masked, and FETCH does not say
 * which; it changes what their queries change.  named: by a portal of the protocol's, which FETCH reads like a cursor of DECLARE.
 */
void pg_cursor_note(struct pg *p, const struct sp_op *op, bool named);
/* May a column of schema.table, or one behind it, be tagged?  True where nobody knows. */
bool pg_catalogue_tagged(struct pg *p, struct sp_bytes schema, struct sp_bytes table);
/* Is one of the columns that it is, or is made of, tagged for sure?  Its name in w. */
bool pg_catalogue_tells(struct pg *p, uint32_t table, int16_t attnum, struct sp_writer *w);
/* Tells the core all of the target's columns, when they are known and it has not heard them. */
void pg_catalogue_tell(struct pg *p);
void pg_catalogue_described(struct pg *p); /* all columns of a description were asked for, and none waits */
/* A number for this view of the names; equal views of this worker's sessions get equal numbers. */
uint64_t pg_catalogue_scope(struct pg *p, struct sp_bytes description);

/* On the side session: its turn; it is logged in; a row; the end of a query; an error. */
int pg_catalogue_turn(struct pg *p) SP_MUST;
int pg_catalogue_ready(struct pg *p) SP_MUST;
int pg_catalogue_row(struct pg *p, struct sp_bytes body) SP_MUST;
int pg_catalogue_next(struct pg *p) SP_MUST;
int pg_catalogue_failed(struct pg *p, const char *code) SP_MUST;

/* inspect.c, in a trial: begins; a row; the end of a query */
int pg_inspect(struct pg *p) SP_MUST;
int pg_inspect_row(struct pg *p, struct sp_bytes body) SP_MUST;
int pg_inspect_next(struct pg *p) SP_MUST;

#endif
