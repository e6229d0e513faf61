/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies may read of a PostgreSQL operation, by index; attributes.c has the table.
 *
 * Names are folded as the server folds them and written out in full: schema.table,
 * schema.table.column, schema.function.  A part that could not be told is "?", and "*" stands for
 * every column of a table whose columns we do not know; restrictions and tags take both for a match.
 * A dot or a backslash inside a name is written "\.", "\\", so that parts can be told apart.
 *
 * Nodes of a text: a single statement is node 0, and what is nested in it follows (DML in WITH, what
 * EXPLAIN explains, PREPARE prepares, COPY copies, a view, cursor, rule or table is made of).  With
 * several statements node 0 is the whole, verb "batch", and each statement is a node.  A node's sets
 * hold all that is nested in it, so that root.* speaks of the whole; where, limit, verb and the like
 * are its own.
 */
#ifndef PG_ATTRIBUTES_H
#define PG_ATTRIBUTES_H

#include <sallyport/module.h>

enum pg_attr {
	PG_A_VERB,
	PG_A_EFFECTS,
	PG_A_TABLES,
	PG_A_TABLES_READ,
	PG_A_TABLES_WRITTEN,
	PG_A_COLUMNS,
	PG_A_COLUMNS_READ,
	PG_A_COLUMNS_WRITTEN,
	PG_A_COLUMNS_FILTERED,
	PG_A_COLUMNS_SEARCHED,
	PG_A_COLUMNS_SORTED,
	PG_A_COLUMNS_MOVED,
	PG_A_FUNCTIONS,
	PG_A_OBJECT,
	PG_A_OBJECTS,
	PG_A_ROLES,
	PG_A_WHERE,
	PG_A_LIMIT,
	PG_A_ROWS,
	PG_A_LOCKING,
	PG_A_RUNS_CODE,
	PG_A_SETTING,
	PG_A_SETTING_VALUE,
	PG_A_COPY,
	PG_A_LANGUAGE,
	PG_A_ANALYZE,
	PG_A_TEMPORARY,
	PG_A_OPTIONS,
	PG_A_NESTED,
	PG_A_STATEMENTS,
	PG_A_SIZE,
	PG_A_PREPARED,
	/* sql.result, of one column of an answer */
	PG_A_COLUMN,
	PG_A_TABLE,
	PG_A_NAME,
	PG_A_TYPE,
	PG_ATTRS
};

#define PG_STATEMENT "sql.statement"
#define PG_PREPARE "sql.prepare"
#define PG_RESULT "sql.result"

extern const struct sp_attr pg_attrs[PG_ATTRS + 1]; /* ends with a NULL name */
extern const char *const pg_kinds[];                /* ends with NULL */

#endif
