/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner's row estimate, for who decides on a held statement.
 *
 *   held ─▶ pg_estimate_choose()  by its text ─ no ─▶ "not estimated: …"
 *             │ perhaps
 *             ▼ a connection of its own, with a login of its own
 *           BEGIN READ ONLY; 200 ms for each lock and statement
 *           check   what the names in it may stand for, and what hangs on its tables ─ no ─▶ "not estimated: …"
 *           path    the session's search_path, and whether it leads to the same tables
 *           check once more, an error if it finds something, and in the same message
 *           EXPLAIN (FORMAT JSON) the exact text, its parameters bound as the client did ─▶ "about 1200 rows"
 *           ROLLBACK
 *
 * A planner runs code: it computes functions that are called immutable, or stable, with values that it
 * knows, from the statement and from all that it looks at (views, policies, defaults, checks, indexes,
 * statistics, bounds of partitions).  So a statement is planned only when nothing of that can be code of
 * somebody's own: each function, operator, type and cast is built in, whatever search_path says, and so
 * is all that hangs on its tables, and when nobody but owners can create in the schemas of the path.
 * Read-only is what is left should that have been overlooked, or been defined by an owner between the check
 * and the plan.  (A planner looks names up as they are now, whatever its transaction's snapshot is: so each
 * check has to, too, and the transaction is READ COMMITTED.)
 *
 * It also takes time and memory to compute values, for somebody whom nobody has approved: what can make much
 * of little is not planned, and what does not end is cancelled, and counts until its backend is gone.
 */
#ifndef PG_ESTIMATE_H
#define PG_ESTIMATE_H

#include "names.h"

#define PG_ESTIMATE_SQL 24576u
#define PG_ESTIMATE_TEXT 8192u

enum pg_estimate_step { PG_ESTIMATE_BEGIN, PG_ESTIMATE_CHECK, PG_ESTIMATE_PATH, PG_ESTIMATE_EXPLAIN, PG_ESTIMATE_ROLLBACK, PG_ESTIMATE_STEPS };

struct pg_estimate {
	char why[160];                     /* why not, printable ASCII; "" when it can be asked */
	uint8_t memory[PG_ESTIMATE_SQL];   /* of check and path */
	struct sp_bytes check, path;       /* SQL; of path's row each field must be the table's number in oid */
	struct sp_bytes set_path;          /* path without its question */
	uint32_t oid[32];
	unsigned ntables;
};

/* By the text alone, and what its tables are in the session's view. */
/* params: values go with it, so that it may have $1. */
void pg_estimate_choose(const struct pg_view *view, struct sp_bytes text, bool params, struct pg_estimate *e);
/* What a row of check says: a number and a name; why is set, or SP_EPROTO. */
int pg_estimate_found(struct pg_estimate *e, struct sp_bytes number, struct sp_bytes name) SP_MUST;
/* Rows that a plan of EXPLAIN (FORMAT JSON) is about: those that it returns, or writes.  SP_EPROTO: it is no such plan. */
int pg_estimate_rows(struct sp_bytes json, uint64_t *rows_r) SP_MUST;

#endif
