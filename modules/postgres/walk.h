/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse trees of libpg_query as one kind of thing: every message knows its descriptor, so children can
 * be found without naming their fields, and no construct is missed because nobody thought of it.
 */
#ifndef PG_WALK_H
#define PG_WALK_H

#include <stdbool.h>

#include <pg_query/pg_query.pb-c.h>

typedef PgQuery__Node__NodeCase walk_case; /* which of the grammar's nodes; the one typedef, libpg_query's */

/* The message inside a Node wrapper, or NULL; any other message as it is. */
const ProtobufCMessage *walk_inside(const ProtobufCMessage *m);
/* Which node a message (not a wrapper) is; PG_QUERY__NODE__NODE__NOT_SET for the few that never stand alone. */
walk_case walk_case_of(const ProtobufCMessage *m);
/* The grammar's name of it: "SelectStmt". */
const char *walk_name(const ProtobufCMessage *m);

/* Calls each() for every child message, wrappers taken off; an empty wrapper comes as NULL. */
typedef void walk_fn(void *owner, const ProtobufCMessage *child);
void walk_children(const ProtobufCMessage *m, walk_fn *each, void *owner);

/* Same tree but for where it stands in the text. */
bool walk_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

#define WALK(p) ((p) == NULL ? NULL : walk_inside(&(p)->base))

#endif
