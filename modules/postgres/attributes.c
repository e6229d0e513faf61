/* SPDX-License-Identifier: Apache-2.0 */
/* The table of attributes: what policies may read, and the manual's text for each. */
#include "attributes.h"

#define ON_BOTH PG_STATEMENT " " PG_PREPARE
#define ATTR(NAME, TYPE, ON, HELP) { .name = NAME, .type = SP_TYPE_##TYPE, .whose = SP_OF_OPERATION, .on = ON, .help = HELP }

const char *const pg_kinds[] = { PG_STATEMENT, PG_PREPARE, PG_RESULT, NULL };

const struct sp_attr pg_attrs[PG_ATTRS + 1] = {
	[PG_A_VERB] = ATTR("verb", STRING, ON_BOTH,
	    "The statement's command in lower case, its first words where one says too little: select, insert, update, "
	    "delete, merge, truncate, copy, create table, alter role, drop, grant, set, show, begin, explain, call, do … "
	    "\"batch\" for the whole of several statements, \"empty\" for none, \"unclear\" for a text that was not understood."),
	[PG_A_EFFECTS] = ATTR("effects", STRINGS, ON_BOTH,
	    "What it may do: read, write (data), ddl (definitions), dcl (roles and privileges), session (settings, "
	    "transactions, locks, channels), execute (code, files, other processes), opaque (code that can't be seen)."),
	[PG_A_TABLES] = ATTR("tables", STRINGS, ON_BOTH,
	    "Every table, view and sequence it names or reaches by a view, as schema.name."),
	[PG_A_TABLES_READ] = ATTR("tables_read", STRINGS, ON_BOTH, "Those of `tables` that it reads."),
	[PG_A_TABLES_WRITTEN] = ATTR("tables_written", STRINGS, ON_BOTH, "Those of `tables` whose data or definition it changes."),
	[PG_A_COLUMNS] = ATTR("columns", COLUMNS, ON_BOTH,
	    "Every column it touches, in conditions too, as schema.table.column; views count with what is behind them."),
	[PG_A_COLUMNS_READ] = ATTR("columns_read", COLUMNS, ON_BOTH, "Those of `columns` that it reads."),
	[PG_A_COLUMNS_WRITTEN] = ATTR("columns_written", COLUMNS, ON_BOTH, "Those of `columns` that it changes."),
	[PG_A_COLUMNS_FILTERED] = ATTR("columns_filtered", COLUMNS, ON_BOTH,
	    "Those of `columns_read` that decide which rows there are: in WHERE, HAVING, ON, USING, FILTER, LIMIT."),
	[PG_A_COLUMNS_SEARCHED] = ATTR("columns_searched", COLUMNS, ON_BOTH,
	    "Those of `columns_filtered` for which there is more to it than `column = constant` or `IS NULL`, by AND with others: "
	    "ranges, LIKE, functions, lists, other columns, OR and NOT, so that each answer narrows a value down."),
	[PG_A_COLUMNS_SORTED] = ATTR("columns_sorted", COLUMNS, ON_BOTH,
	    "Those of `columns_read` that order or group rows: ORDER BY, GROUP BY, DISTINCT, PARTITION BY, UNION without ALL."),
	[PG_A_COLUMNS_MOVED] = ATTR("columns_moved", COLUMNS, ON_BOTH,
	    "Those of `columns_read` whose values go elsewhere than to the client: into another column, a new table, "
	    "a function that changes something or sends it on."),
	[PG_A_FUNCTIONS] = ATTR("functions", STRINGS, ON_BOTH,
	    "Every function, procedure and aggregate it calls by name, as schema.name; pg_catalog for built-in ones. "
	    "An operator that is not built in stands as schema.operator."),
	[PG_A_OBJECT] = ATTR("object", STRING, ON_BOTH,
	    "Kind of the object that a definition or privilege is about: table, view, index, function, role, schema, database …"),
	[PG_A_OBJECTS] = ATTR("objects", STRINGS, ON_BOTH,
	    "Names of the objects that it creates, changes, drops, or sets privileges on."),
	[PG_A_ROLES] = ATTR("roles_named", STRINGS, ON_BOTH,
	    "Roles that it creates, changes, takes on, grants to or revokes from."),
	[PG_A_WHERE] = ATTR("where", BOOL, ON_BOTH,
	    "True when a WHERE restricts its rows; false without one, and for one that is, or is likely, always true "
	    "(1=1, id=id, no column of the table in it …). Only for select, update, delete, merge, truncate, copy."),
	[PG_A_LIMIT] = ATTR("limit", INT, ON_BOTH, "The LIMIT of a select or fetch; unknown when it is not a constant."),
	[PG_A_ROWS] = ATTR("rows", INT, ON_BOTH, "How many rows an INSERT … VALUES spells out."),
	[PG_A_LOCKING] = ATTR("locking", BOOL, ON_BOTH, "True for SELECT … FOR UPDATE or SHARE, and LOCK."),
	[PG_A_RUNS_CODE] = ATTR("runs_code", BOOL, ON_BOTH,
	    "True when somebody's own code runs that the statement does not name: by a trigger, default or generated column of what it "
	    "writes, by what refers to that, by a row policy, by an index, statistics, check or partition's key (when it is only read, too: the "
	    "planner runs it), or by types of the database whose values run some."),
	[PG_A_SETTING] = ATTR("setting", STRINGS, ON_BOTH,
	    "Names of the settings that SET, RESET, ALTER … SET, ALTER SYSTEM or set_config() change; \"role\" and "
	    "\"session_authorization\" for theirs, \"?\" when the name is not a constant."),
	[PG_A_SETTING_VALUE] = ATTR("setting_value", STRINGS, ON_BOTH,
	    "Their new values; \"default\" for RESET, \"?\" for one that is not a constant."),
	[PG_A_COPY] = ATTR("copy", STRING, ON_BOTH, "Where COPY moves data: in, out (the client), file in, file out, program in, program out."),
	[PG_A_LANGUAGE] = ATTR("language", STRING, ON_BOTH, "Language of a function or DO block; plpgsql where none is written in DO."),
	[PG_A_ANALYZE] = ATTR("analyze", BOOL, ON_BOTH, "True for EXPLAIN ANALYZE, which runs what it explains."),
	[PG_A_TEMPORARY] = ATTR("temporary", BOOL, ON_BOTH, "True for CREATE TEMPORARY …"),
	[PG_A_OPTIONS] = ATTR("options", STRINGS, ON_BOTH,
	    "Words that change what it does: cascade, concurrently, if exists, if not exists, or replace, only, "
	    "restart identity, nowait, skip locked, superuser, createrole …, isolation levels, read only, read write, and the mode of LOCK: access share … access exclusive."),
	[PG_A_NESTED] = ATTR("nested", BOOL, ON_BOTH, "True for a statement inside another."),
	[PG_A_STATEMENTS] = ATTR("statements", INT, ON_BOTH, "How many statements the text has, nested ones not counted."),
	[PG_A_SIZE] = ATTR("size", SIZE, ON_BOTH, "Length of the text in bytes."),
	[PG_A_PREPARED] = ATTR("prepared", BOOL, ON_BOTH, "True when it has parameters ($1)."),
	[PG_A_COLUMN] = ATTR("column", COLUMNS, PG_RESULT,
	    "The column of a table that this column of the answer comes from, as schema.table.column."),
	[PG_A_TABLE] = ATTR("table", STRING, PG_RESULT, "Its table, as schema.name."),
	[PG_A_NAME] = ATTR("name", STRING, PG_RESULT, "The column's name as the client sees it."),
	[PG_A_TYPE] = ATTR("type", STRING, PG_RESULT, "Its type's number in the catalogue (pg_type.oid)."),
};
