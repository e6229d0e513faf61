/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the store and its engines.  Everything is in one SQLite file, or, when several gateways
 * share, what they share is at a PostgreSQL server and what is a gateway's own stays in the file:
 *
 *   store.c ── a row of store_table ──▶ store_sqlite.c     own: the ledger
 *                                   └─▶ store_postgres.c   shared: all the rest
 *
 * One SQL text serves both: standard SQL with SQLite's ?N, the types INTEGER, TEXT and BLOB, and
 * WITHOUT ROWID; store_postgres.c says how it is spelt there.
 */
#ifndef SALLYPORT_KEEPER_STORE_ENGINE_H
#define SALLYPORT_KEEPER_STORE_ENGINE_H

#include "store.h"

#define STORE_COLUMNS 32
#define STORE_ARGS 32

struct store_sql {
	const char *sql, *args, *columns; /* q integer, t text, b blob */
	const char *topic;                /* other gateways hear of it, under this word; NULL: they need not */
	unsigned key;                     /* … with this argument, a text */
	bool own;                         /* of this gateway alone */
};

extern const struct store_sql store_table[STORE_STATEMENTS];
extern const char *const store_schema[]; /* version n is what store_schema[0..n) made; a newer store is refused */
extern const unsigned store_schema_version;

struct engine {
	const struct engine_kind *kind;
	bool dirty;    /* a transaction is open */
};

struct engine_kind {
	/* In a transaction, which the first write opens.  Rows changed, or a negative sp_rc. */
	long (*write)(struct engine *e, enum store_statement which, const struct field *args);
	int (*read)(struct engine *e, enum store_statement which, const struct field *args, store_row *row, void *owner);
	int (*commit)(struct engine *e);
	void (*close)(struct engine *e);
};

int store_sqlite_open(const char *path, struct engine **e_r, const char **err_r) SP_MUST;
int store_postgres_open(const struct store_server *server, struct engine **e_r, const char **err_r) SP_MUST;

/* ---- a store that moves from the one to the other (store_move.c) ---- */

struct store_moved { /* a table */
	const char *name;
	struct buffer columns; /* their names with commas between; the caller's to free */
	char types[STORE_COLUMNS + 1];
	uint64_t rows;
};

/* Fills in columns, types and rows; row NULL: counts only. */
int store_sqlite_walk(struct engine *e, struct store_moved *t, store_row *row, void *owner) SP_MUST;
int store_sqlite_copy(struct engine *e, const char *to) SP_MUST; /* whole, readable for its owner alone */
int store_sqlite_empty(struct engine *e, const char *table) SP_MUST;
int store_postgres_begin(struct engine *e) SP_MUST;
long store_postgres_count(struct engine *e, const char *table) SP_MUST;
/* The statement, as SQLite has it, by which rows come next. */
int store_postgres_expect(struct engine *e, const char *sql, const char *types) SP_MUST;
int store_postgres_add(struct engine *e, const char *types, const struct field *row) SP_MUST;

#endif
