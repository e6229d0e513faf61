/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One analysis under way: what its files share.
 *
 *   analyse.c           the text: limits, parse, statements, hand-over to the operation
 *   analyse_note.c      what was found: names, sets per statement, unclear parts, literals
 *   analyse_scope.c     what a name stands for: FROM items, WITH, columns
 *   analyse_expr.c      expressions: columns, functions, literals that belong to a column
 *   analyse_query.c     SELECT, INSERT, UPDATE, DELETE, MERGE, COPY
 *   analyse_outputs.c   the columns of a sub-select: their names, what they are made of
 *   analyse_use.c       what becomes of a column: shown, filtered by, sorted by, moved
 *   analyse_where.c     does a WHERE restrict anything
 *   analyse_like.c      which texts differ in literals only
 *   analyse_utility.c   every statement, by table
 *   analyse_define.c    definitions, roles and privileges
 *
 * All memory is the analysis's own and goes with it.  When it runs out, `failed` is set, nothing more
 * is found, and the whole is unclear.
 */
#ifndef PG_ANALYSE_INTERNAL_H
#define PG_ANALYSE_INTERNAL_H

#include <sallyport/module.h>

#include "analyse.h"
#include "analyse_functions.h"
#include "analyse_scan.h"
#include "attributes.h"
#include "names.h"
#include "settings_table.h"
#include "walk.h"

/* ---- what was found (analyse_note.c) ---- */

struct name {               /* each text once per analysis */
	struct sp_bytes text;
	uint32_t id;
	uint32_t hash;
	struct cte *cte;        /* stands for the columns of this one, which are not known yet */
};

struct unclear_part {
	struct unclear_part *next;
	const char *why;
	struct sp_bytes name;
};

struct set {
	const struct name **v;
	size_t n, cap;
	bool computed;          /* of what is made of them: it is not simply one of their values */
	bool mixed;             /* of all of a sub-select's: each of its columns may be made of all */
};

struct stmt {               /* becomes a node of the operation */
	struct stmt *parent;
	uint32_t id;
	const char *verb, *object, *copy;
	struct sp_bytes language;
	unsigned effects;       /* enum pg_effect, or-ed */
	struct set set[PG_ATTRS]; /* of the attributes that are sets */
	int8_t where, analyze, temporary, locking, runs_code; /* 0 absent, 1 false, 2 true */
	bool nested, prepared, limited, limit_unknown;
	uint64_t limit, rows;
	const PgQuery__SelectStmt *select; /* the statement's own query: where and limit are of it */
	struct unclear_part *unclear, **unclear_end;
};

struct literal {
	size_t offset, len;     /* len 0: parameter */
	unsigned param;
};

/* An expression whose literals and columns belong together. */
struct group {
	struct group *outer;
	struct set columns;
	size_t assigned;        /* as many of them come first because it is assigned to them */
	size_t first;           /* literal of its own */
	struct span {
		size_t first, last;
	} *span;                /* literals of sub-selects and WITH that it refers to */
	size_t nspans, spans_cap;
	bool acts, foreign;     /* calls something that others may notice; a function that isn't built in */
};

struct lookup {             /* column = given */
	const struct name *column;
	const ProtobufCMessage *given;
};

struct hidden {
	uint32_t literal;
	const struct name *column; /* NULL: always */
};

/* ---- what names stand for (analyse_scope.c) ---- */

struct outputs {            /* a sub-select's columns */
	struct sp_bytes *v;     /* their names */
	struct set *from;       /* what each is made of; shared by all copies */
	struct set *all;        /* … and what any of them is made of */
	size_t n, cap;
	size_t *at;             /* the first of each item of the target list; SIZE_MAX: none of its own */
	bool loose;             /* positions are not certain: `*` of a join */
	bool open;              /* and others that we can't name */
};

/* What becomes of a column that is read: bits of analysis.use.  USE_ROWS: it says how many rows there are. */
enum use { USE_FILTER = 1, USE_SEARCH = 2, USE_SORT = 4, USE_MOVE = 8, USE_ROWS = 16 };

struct range {              /* a FROM item */
	struct range *next;
	struct sp_bytes alias, schema; /* schema: as written */
	bool aliased;           /* by AS: the table's own name does not count */
	bool only;
	bool hidden;            /* in a join that AS names: only that name is seen from outside */
	bool made;              /* by this statement: nothing else is behind it */
	const struct pg_relation *relation; /* NULL: derived, or a table not in the snapshot */
	const struct name *table;           /* schema.name; NULL: derived */
	struct sp_bytes *renamed; /* AS t (a, b) */
	size_t nrenamed;
	struct outputs outputs; /* derived */
	struct range *joined, *joined_end; /* an aliased join: its members, end exclusive, in the scope's list */
	size_t first, last;     /* literals inside a derived one */
	struct cte *cte;        /* it is made by WITH */
};

struct cte {
	struct cte *next;
	struct range derived;
	bool pending, begun;    /* what it is made of is not known yet; its body is under way */
	bool referred;          /* … and somebody has read it already, for these */
	unsigned uses;
	const struct name *mark; /* stands for all of them until then */
};

struct scope {
	struct scope *outer;
	struct range *ranges;
	struct cte *ctes;
};

struct change {
	struct change *next;
	const char *name, *value; /* as of sp_op_changes() */
};

struct prepared_text {      /* what an EXECUTE runs */
	struct prepared_text *next;
	struct sp_bytes name, text;
};

struct analysis {
	struct sp_op *op;
	const struct pg_view *view;
	struct pg_view changed; /* what it is behind statements of the same text that change names */
	struct sp_bytes text;   /* that offsets speak of */
	bool quiet;             /* text of another origin: literals are not noted */
	unsigned depth;         /* of texts inside texts */
	size_t tokens;          /* that may still be parsed, of all texts */
	struct chunk *chunks;
	size_t used, cap;
	bool failed;
	struct name **names;    /* open addressing */
	size_t nnames, names_cap;
	uint64_t *marks;        /* (name, statement, attribute) that are noted already */
	size_t nmarks, marks_cap;
	struct stmt *stmt, **all;
	size_t nstmts, all_cap;
	struct scope *scope;
	struct group *group;
	unsigned use;           /* enum use, or-ed: of what is visited now */
	const ProtobufCMessage *given; /* what a column is compared with in the lookup that is visited now */
	struct lookup *lookup;
	size_t nlookups, lookups_cap;
	struct literal *literal;
	size_t nliterals, literals_cap;
	struct hidden *hidden;
	size_t nhidden, hidden_cap;
	bool hide_all;          /* too many literals to name */
	size_t begin, end;      /* of the top-level statement under way, in text */
	bool secret;            /* every literal is one */
	bool like;              /* other texts may be like this one, see analyse_like.c */
	bool mattered;          /* the value of a literal was looked at */
	bool bound;             /* the value of a setting is a parameter of the protocol: a constant that comes with Bind */
	bool pinned;            /* changes what must not change */
	struct change *changes; /* of settings that rules may pin */
	struct prepared_text *executed;
	bool renames;           /* names may mean something else behind it */
	unsigned patience;      /* steps left to look into conditions */
	uint64_t steps;         /* taken by looking up names; many columns in many levels are no statement of anybody's */
	bool hide_settings;     /* a setting of somebody's own: its value may be a secret */
	struct outputs *outputs; /* of the statement under way */
	unsigned statements;    /* top-level ones */
};

/* analyse_note.c */
void *analyse_alloc(struct analysis *a, size_t n); /* zeroed; NULL and failed when out */
void analyse_release(struct analysis *a);
void analyse_spend(struct analysis *a, size_t steps);
/* An array with room for one more element, or NULL. */
void *analyse_grow(struct analysis *a, void *array, size_t n, size_t *cap, size_t size);
struct sp_bytes analyse_copy(struct analysis *a, struct sp_bytes b);
const struct name *analyse_name(struct analysis *a, struct sp_bytes text);
/* schema.name or schema.table.column with dots escaped; a part of length 0 is left out. */
const struct name *analyse_dotted(struct analysis *a, struct sp_bytes x, struct sp_bytes y, struct sp_bytes z);
struct stmt *analyse_stmt(struct analysis *a, const char *verb); /* a new node, inside the current one */
void note_effects(struct analysis *a, unsigned effects);
void note_add(struct analysis *a, enum pg_attr attr, const struct name *name);
void note_text(struct analysis *a, enum pg_attr attr, struct sp_bytes text);
void note_unclear(struct analysis *a, const char *why, struct sp_bytes name);
/* It may change a setting that rules pin; value.p NULL: to what nobody knows; name NULL: any of them. */
void note_change(struct analysis *a, const char *name, struct sp_bytes value);
/* An EXECUTE of this name runs this text, which whoever decides on it has to see (P7). */
void note_executed(struct analysis *a, struct sp_bytes name, struct sp_bytes text);
#define READ_ONLY "default_transaction_read_only"
void note_option(struct analysis *a, const char *word);
void note_flag(int8_t *flag, bool value);
void note_runs_code(struct analysis *a); /* that no statement shows */
void note_set_add(struct analysis *a, struct set *s, const struct name *name);
/* A literal at this place of the text (or a parameter): joins the groups under way. */
void note_literal(struct analysis *a, int32_t location);
void note_param(struct analysis *a, int32_t number);
void note_hidden(struct analysis *a, uint32_t literal, const struct name *column);
/* Every string of a part of the text is hidden; `numbers`: and every number and quoted name. */
void note_hide_text(struct analysis *a, size_t from, size_t to, bool numbers);
/* The body of a function or block: literals inside it. */
void note_hide_code(struct analysis *a, size_t from, size_t to);
void group_begin(struct analysis *a, struct group *g);
void group_column(struct analysis *a, const struct name *column);
void group_literals(struct analysis *a, size_t first, size_t last);
void group_end(struct analysis *a);
int analyse_emit(struct analysis *a);

/* analyse_scope.c */
void scope_begin(struct analysis *a, struct scope *s);
void scope_end(struct analysis *a);
struct range *scope_range(struct analysis *a); /* appended to the scope, empty */
/* What a table's name stands for, as schema.name; relation_r: its columns, if known. */
const struct name *scope_table(struct analysis *a, const PgQuery__RangeVar *v, const struct pg_relation **relation_r);
/* The name of one that a statement makes. */
const struct name *scope_new_name(struct analysis *a, const PgQuery__RangeVar *v);
/* …and noted in tables, tables_read, tables_written with what is behind it. */
const struct name *note_table(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects, const struct pg_relation **relation_r);
/* …by its name alone; whole: with all columns read. */
/* What an unqualified (schema.len 0) or qualified name stands for; NULL: nobody knows. */
const struct pg_relation *scope_relation(struct analysis *a, struct sp_bytes schema, struct sp_bytes name);
void note_counted(struct analysis *a, const struct pg_relation *sequence); /* the columns that it counts for; NULL: that any does */
void note_table_named(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, unsigned effects, bool whole);
/* A table that statements like UPDATE name: read and written through this range. */
struct range *scope_target(struct analysis *a, const PgQuery__RangeVar *v, unsigned effects);
void scope_from_table(struct analysis *a, const PgQuery__RangeVar *v);
void scope_alias(struct analysis *a, struct range *r, const PgQuery__Alias *alias);
void scope_column(struct analysis *a, const PgQuery__ColumnRef *c);
void scope_star(struct analysis *a); /* all columns of all ranges */
void scope_all(struct analysis *a, const struct range *r, unsigned effects);
/* A column that nobody can name: it may be any. */
void note_any_column(struct analysis *a, unsigned effects);
/* Column i of a sub-select's range. */
void scope_output(struct analysis *a, const struct range *r, size_t i);
/* A column of the range by name, read or written. */
void scope_named(struct analysis *a, const struct range *r, struct sp_bytes name, unsigned effects);
struct range *scope_find(struct analysis *a, struct sp_bytes alias);
enum belongs { BELONGS_NO, BELONGS_MAYBE, BELONGS_YES };
enum belongs scope_belongs(const struct range *r, struct sp_bytes column);
enum belongs scope_has(const struct analysis *a, struct sp_bytes name); /* to this scope itself */
struct cte *scope_cte(struct analysis *a, struct sp_bytes name);
/* Does `c` name a column of r, seen from the scope under way? */
bool scope_is_of(struct analysis *a, const PgQuery__ColumnRef *c, const struct range *r);

/* analyse_expr.c */
void analyse_visit(struct analysis *a, const ProtobufCMessage *m);
void analyse_list(struct analysis *a, size_t n, PgQuery__Node **v);
/* One expression with a group of its own; columns: what it is assigned to, or NULL. */
void analyse_grouped(struct analysis *a, const ProtobufCMessage *m, const struct set *columns);
/* The same for column i of these outputs, which is made of what it reads. */
void analyse_output(struct analysis *a, const ProtobufCMessage *m, const struct set *columns, const struct outputs *o, size_t i);
/* x.name, which the server takes for name(x) where x, of whatever type, has no such field: noted when there is such a function. */
bool note_attribute(struct analysis *a, PgQuery__Node *name, PgQuery__Node *of);
void note_equals(struct analysis *a); /* the operator, where a statement compares without naming one */
void note_function_named(struct analysis *a, struct sp_bytes schema, struct sp_bytes name, size_t nargs);
/* The text of a constant, from casts of it too; p NULL: not a constant, or NULL. */
struct sp_bytes analyse_constant(struct analysis *a, const ProtobufCMessage *m);
struct sp_bytes analyse_string(const PgQuery__Node *n); /* of a String, or empty */
/* Names in a list of String nodes: the last two, or one. */
void analyse_qualified(size_t n, PgQuery__Node **v, struct sp_bytes *schema_r, struct sp_bytes *name_r);

/* analyse_use.c */
/* A column that is read goes where a->use says. */
void note_use(struct analysis *a, const struct name *column);
unsigned use_begin(struct analysis *a, unsigned use); /* returns what it was, to be put back */
/* What is visited is made from columns by code: to compare it with anything is a search for them. */
unsigned use_computed(struct analysis *a);
/* Others may notice whether this call happens: what the expressions around it read goes elsewhere. */
void note_acts(struct analysis *a, bool foreign);
bool is_given(const ProtobufCMessage *m); /* a constant or parameter */
/* A condition: each term of AND, OR and NOT is a group. */
void analyse_condition(struct analysis *a, const ProtobufCMessage *m);
void cte_ended(struct analysis *a, struct cte *c);
void cte_refer(struct analysis *a, const struct range *r);

/* analyse_outputs.c */
struct outputs outputs_new(struct analysis *a, size_t n); /* room for n, none yet */
struct outputs analyse_outputs(struct analysis *a, size_t n, PgQuery__Node **targets);
void output_made_of(struct analysis *a, const struct outputs *o, size_t i, const struct set *columns);
void outputs_mix(const struct outputs *o); /* each may be made of all */
void outputs_join(struct analysis *a, const struct outputs *o, const struct outputs *right);
void outputs_read(struct analysis *a, const struct outputs *o, size_t i); /* SIZE_MAX: all of them */
void outputs_read_named(struct analysis *a, const struct outputs *o, struct sp_bytes name);

/* analyse_query.c */
void analyse_select(struct analysis *a, const PgQuery__SelectStmt *s, struct outputs *outputs_r);
void analyse_moved(struct analysis *a, const struct outputs *out); /* … into a table */
void analyse_insert(struct analysis *a, const PgQuery__InsertStmt *s, struct outputs *outputs_r);
void analyse_update(struct analysis *a, const PgQuery__UpdateStmt *s, struct outputs *outputs_r);
void analyse_delete(struct analysis *a, const PgQuery__DeleteStmt *s, struct outputs *outputs_r);
void analyse_merge(struct analysis *a, const PgQuery__MergeStmt *s);
void analyse_copy_stmt(struct analysis *a, const PgQuery__CopyStmt *s);
void analyse_from(struct analysis *a, const ProtobufCMessage *item);

/* analyse_where.c: target NULL: any column will do */
bool where_restricts(struct analysis *a, const ProtobufCMessage *where, const struct range *target);

/* analyse_define.c: the rest of a definition, node by node; tables in it are touched with `effects` */
void analyse_define(struct analysis *a, const ProtobufCMessage *m, unsigned effects);
void analyse_define_list(struct analysis *a, size_t n, PgQuery__Node **v, unsigned effects);
bool define_is_on(const ProtobufCMessage *m);
const char *define_kind(PgQuery__ObjectType type);
const char *analyse_joined(struct analysis *a, const char *x, const char *y); /* "x y" */
const char *analyse_concat(struct analysis *a, const char *x, const char *y); /* "xy" */
/* A role in a list; CURRENT_USER and the like by their names. */
void note_role(struct analysis *a, const PgQuery__RoleSpec *r);
/* Names of objects of a kind, as DROP, COMMENT and the like list them. */
void note_object(struct analysis *a, PgQuery__ObjectType type, const ProtobufCMessage *m, unsigned effects);
void define_table(struct analysis *a, const ProtobufCMessage *m);
void define_table_as(struct analysis *a, const ProtobufCMessage *m);
void define_view(struct analysis *a, const ProtobufCMessage *m);
void define_rule(struct analysis *a, const ProtobufCMessage *m);
void define_trigger(struct analysis *a, const ProtobufCMessage *m);
void define_function(struct analysis *a, const ProtobufCMessage *m);
void define_alter_function(struct analysis *a, const ProtobufCMessage *m);
void define_schema(struct analysis *a, const ProtobufCMessage *m);
void define_drop(struct analysis *a, const ProtobufCMessage *m);
void define_alter_table(struct analysis *a, const ProtobufCMessage *m);
void define_rename(struct analysis *a, const ProtobufCMessage *m);
void define_grant(struct analysis *a, const ProtobufCMessage *m);
void define_grant_role(struct analysis *a, const ProtobufCMessage *m);
void define_role(struct analysis *a, const ProtobufCMessage *m);
void define_plain(struct analysis *a, const ProtobufCMessage *m); /* what has a table, options, names */

/* analyse_utility.c: the statement `a->stmt` was made for */
void analyse_statement(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r);
/* …as a node inside the current one. */
void analyse_nested(struct analysis *a, const ProtobufCMessage *m, struct outputs *outputs_r);
void note_set_stmt(struct analysis *a, const PgQuery__VariableSetStmt *s);
void note_setting(struct analysis *a, struct sp_bytes name, struct sp_bytes value, bool known);
/* A text of SQL that will run: parsed and judged as nested statements; false when it can't be. */
bool analyse_inner_text(struct analysis *a, struct sp_bytes text);

#define VISIT(a, p) do { if ((p) != NULL) analyse_visit(a, walk_inside(&(p)->base)); } while (0)

#endif
