/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names mean in one database: an immutable snapshot of its catalogue.
 *
 *   side session ─ pg_names_sql[] ─▶ rows ─▶ pg_names_feed() ─▶ pg_names_finish() ─▶ struct pg_names
 *                                                                 shared by sessions, counted
 *
 * A session's own view of it (search_path, role, temporary tables) is a struct pg_view; that is what
 * classify() gets as scope->view.
 */
#ifndef PG_NAMES_H
#define PG_NAMES_H

#include <sallyport/module.h>

struct pg_names;
struct pg_names_builder;

struct pg_column {
	int16_t attnum;
	bool not_null;
	uint32_t type;          /* pg_type.oid */
	const char *name;
};

struct pg_relation {
	uint32_t oid;
	char kind;              /* pg_class.relkind: r v m p f S i c t */
	bool partition;         /* of its parent */
	bool acts_read, acts_written; /* code that no statement shows runs when it is; read: when written, too */
	const char *schema, *name;
	const struct pg_column *column; /* by attnum; dropped ones are left out */
	size_t ncolumns;
};

struct pg_function {
	uint32_t oid;
	const char *schema, *name;
	char kind;              /* pg_proc.prokind: f p a w; o: operator, named by its symbol */
	char volatility;        /* i s v */
	int16_t min_args, max_args; /* max_args -1: variadic */
	const char *extension;  /* it belongs to, or "" */
};

/* Each relation, by number, and NULL behind the last. */
const struct pg_relation *pg_names_at(const struct pg_names *n, size_t i);
/* Every column's name, as sp_columns_known() wants it; owner: the names. */
void pg_names_columns(void *owner, int (*take)(void *to, struct sp_bytes column), void *to);

/* ---- building ---- */

/* The catalogue queries; results in text format, of those from PG_NAMES_RELATIONS on, go to pg_names_feed() row by row, in any order. */
enum pg_names_query {
	PG_NAMES_SNAPSHOT,      /* transactions that have ended, as txid_current_snapshot(), and when settings were read; whether in recovery, where it does not tell all */
	PG_NAMES_STATE,         /* one text, another one for a base whenever an answer of the following may be another; one of who may use which schema */
	PG_NAMES_RELATIONS,     /* oid, schema, name, relkind, is partition */
	PG_NAMES_COLUMNS,       /* relation oid, attnum, name, type oid, not null */
	PG_NAMES_DEPENDS,       /* oid of a view, or of what else holds or tells others' values, relation oid (0: nobody knows), attnum (0: all) */
	PG_NAMES_GENERATED,     /* relation oid, attnum of a generated column, attnum it is made of */
	PG_NAMES_INHERITS,      /* child oid, parent oid */
	PG_NAMES_FUNCTIONS,     /* oid, schema, name, prokind, volatility, args, defaults, variadic, extension; not the built-in ones */
	PG_NAMES_OPERATORS,     /* oid, schema, symbol, volatility, extension; not the built-in ones */
	PG_NAMES_ACTS,          /* oid of a relation that is not touched without code of somebody's own, w: not written; 0: nor are values of some types */
	PG_NAMES_QUERIES
};

extern const char *const pg_names_sql[PG_NAMES_QUERIES];
extern const unsigned char pg_names_fields[PG_NAMES_QUERIES];
/* The query; base: of PG_NAMES_STATE, a transaction before which all had ended when the names were read, at most 1e9 ago. */
int pg_names_write(struct sp_writer *w, enum pg_names_query q, uint64_t base) SP_MUST;

/*
 * The same within a transaction, for pg_names_begin_over(): of what the server came with nothing is asked, but
 * instead of PG_NAMES_STATE whether any of it was changed since base: if not, the answer is "f".
 */
int pg_names_write_over(struct sp_writer *w, enum pg_names_query q, uint64_t base) SP_MUST;

/* max: bytes of memory the snapshot may take; 0: 256 MB. */
struct pg_names_builder *pg_names_begin(size_t max);
/* What the server came with is taken from another snapshot, which lives as long. */
struct pg_names_builder *pg_names_begin_over(struct pg_names *under, size_t max);
/* Each relation that was added so far, and NULL behind the last. */
const struct pg_relation *pg_names_built(const struct pg_names_builder *b, size_t i);
/* One row; a NULL field has p == NULL.  SP_EPROTO: not what the query gives; SP_ETOOBIG. */
int pg_names_feed(struct pg_names_builder *b, enum pg_names_query q, const struct sp_bytes *field, size_t n) SP_MUST;
/* Ends the builder; NULL when memory is out.  version: any number that differs from earlier ones. */
struct pg_names *pg_names_finish(struct pg_names_builder **b, uint64_t version);
bool pg_names_number(struct sp_bytes text, uint32_t *n_r); /* false: it is none */
void pg_names_abandon(struct pg_names_builder **b);
/*
 * What had other names in `before`, an earlier snapshot of the same database, keeps them as sources of
 * itself: a tag is a pattern of names, and goes on to match.  SP_ETOOBIG: n is of no use.
 */
int pg_names_follow(struct pg_names *n, const struct pg_names *before) SP_MUST;

/* The same by hand, for tests. */
int pg_names_add_relation(struct pg_names_builder *b, uint32_t oid, const char *schema, const char *name, char kind) SP_MUST;
int pg_names_add_column(struct pg_names_builder *b, uint32_t relation, int16_t attnum, const char *name, uint32_t type) SP_MUST;
int pg_names_add_depend(struct pg_names_builder *b, uint32_t view, uint32_t relation, int16_t attnum) SP_MUST;
int pg_names_add_generated(struct pg_names_builder *b, uint32_t relation, int16_t attnum, int16_t from) SP_MUST;
int pg_names_add_parent(struct pg_names_builder *b, uint32_t child, uint32_t parent) SP_MUST;
/* Values of attnum of `from` (0: of nobody knows which) were written into that column (0: any) of the relation. */
int pg_names_add_moved(struct pg_names_builder *b, uint32_t relation, int16_t column, uint32_t from, int16_t attnum) SP_MUST;
int pg_names_add_acting(struct pg_names_builder *b, uint32_t relation, bool when_read) SP_MUST;
int pg_names_add_function(struct pg_names_builder *b, const struct pg_function *f) SP_MUST;

/* ---- asking ---- */

struct pg_names *pg_names_ref(struct pg_names *n);
void pg_names_free(struct pg_names **n); /* drops one reference */
uint64_t pg_names_version(const struct pg_names *n);
size_t pg_names_size(const struct pg_names *n); /* bytes it takes */

const struct pg_relation *pg_names_relation(const struct pg_names *n, uint32_t oid);
const struct pg_relation *pg_names_find(const struct pg_names *n, struct sp_bytes schema, struct sp_bytes name);
const struct pg_column *pg_relation_column(const struct pg_relation *r, int16_t attnum);
const struct pg_column *pg_relation_named(const struct pg_relation *r, struct sp_bytes name);
/* The i-th table that inherits from it, or is a partition of it; NULL: no more. */
const struct pg_relation *pg_names_child(const struct pg_names *n, uint32_t parent, size_t i);
/* Functions and operators of this name in any schema: an array of n_r, grouped by name. */
const struct pg_function *pg_names_functions(const struct pg_names *n, struct sp_bytes name, size_t *n_r);

/* Has somebody defined a function that can change anything, definitions too, when a statement runs it unseen? */
bool pg_names_acts(const struct pg_names *n);
/* Are there types whose values run somebody's code when they are made, in a statement that touches nothing else? */
bool pg_names_types_act(const struct pg_names *n);

/*
 * Every column behind this one: itself, under its former names too, the same column of its parents and of its children that are
 * no partitions, for a view all that the view uses, and what was moved into it.  attnum 0: of all columns.  each() returns non-zero to stop; that is returned.  It is called with NULL, NULL
 * where nobody can tell: anything may be behind it.
 */
typedef int pg_source_fn(void *owner, const struct pg_relation *r, const struct pg_column *c);
int pg_names_sources(const struct pg_names *n, uint32_t oid, int16_t attnum, pg_source_fn *each, void *owner);
/* … as far as a statement that writes to it writes there, too: not what was moved into it. */
int pg_names_targets(const struct pg_names *n, uint32_t oid, int16_t attnum, pg_source_fn *each, void *owner);
/* The i-th column that pg_names_follow() found under another name than before, as it was; its oid and attnum are today's. */
const struct pg_column *pg_names_renamed(const struct pg_names *n, size_t i, const struct pg_relation **was_r);

/* Its schema; "pg_temp" for any session's temporary ones. */
struct sp_bytes pg_schema_name(const struct pg_relation *r);
/* Writes schema.table or schema.table.column (c may be NULL), with dots inside names escaped. */
void pg_write_name(struct sp_writer *w, const struct pg_relation *r, const struct pg_column *c);

/* ---- one session's view ---- */

struct pg_view {
	const struct pg_names *names;   /* NULL: not known */
	const char *const *path;        /* schemas in order of search, pg_catalog where it is searched; see pg_path_parse() */
	size_t npath;
	const char *creates;            /* schema of what is made without one, "": none that is known; NULL: the first of the path */
	bool path_unknown;              /* someone may have changed it unseen: unqualified names are "?.name" */
	const char *const *temporary;   /* names of temporary tables of this session */
	size_t ntemporary;
	const char *temporary_schema;   /* pg_temp_N of this session; NULL: not known */
	const char *role;               /* current_user, "" when unknown */
	/* Text that SQL's PREPARE gave to a name; empty: not known.  NULL: none is. */
	struct sp_bytes (*prepared)(const struct pg_view *v, struct sp_bytes name);
	/* Told of a table that is not in the snapshot: it may have been made since.  NULL: nobody cares. */
	void (*missing)(const struct pg_view *v);
	void *owner;
};

/*
 * A search_path setting as written (`"$user", public`) → schemas in order of search, with pg_catalog
 * first unless it is named.  path: room for `max` entries, their bytes in w.  SP_EPROTO: not a list
 * of names; SP_ETOOBIG.
 */
int pg_path_parse(struct sp_bytes setting, const char *role, const char **path, size_t max, size_t *n_r, struct sp_writer *w) SP_MUST;
/* What an unqualified (schema.len 0) or qualified name stands for in this session, or NULL. */
const struct pg_relation *pg_view_find(const struct pg_view *v, struct sp_bytes schema, struct sp_bytes name);

#endif
