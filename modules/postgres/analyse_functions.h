/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of functions by their name: PostgreSQL's own, and what makes some of them more than
 * a computation.  A volatile function that is not listed as harmless counts as "execute".
 */
#ifndef PG_ANALYSE_FUNCTIONS_H
#define PG_ANALYSE_FUNCTIONS_H

#include <sallyport/module.h>

/* In the order of pg_effect_name[]. */
enum pg_effect {
	PG_READ = 1,
	PG_WRITE = 2,
	PG_DDL = 4,
	PG_DCL = 8,
	PG_SESSION = 16,
	PG_EXECUTE = 32,
	PG_OPAQUE = 64,
	PG_EFFECTS = 7 /* how many */
};

extern const char *const pg_effect_name[PG_EFFECTS];

enum pg_special {
	PG_ORDINARY,
	PG_SETS,      /* set_config(name, value, local) */
	PG_RUNS,      /* runs SQL that an argument holds */
	PG_TABLE_IN,  /* the first argument names a table that is read whole */
	PG_SEQUENCE,  /* the first argument names a sequence */
	PG_SEQUENCES, /* it may be of any sequence */
	PG_LARGE,     /* large objects: pg_catalog.pg_largeobject */
	PG_CARRIES,   /* others, or a later statement, can see its arguments: a write, when they are computed */
	PG_SECRETS    /* its arguments are, or may hold, secrets */
};

struct pg_function_class {
	unsigned effects;  /* beside those of the statement */
	enum pg_special special;
	bool set;          /* any number of rows */
};

/* True: a built-in function. */
bool pg_builtin(struct sp_bytes name, struct pg_function_class *class_r);
/* Functions of well-known extensions, by name wherever they are installed. */
struct pg_function_class pg_extension_function(struct sp_bytes name);
bool pg_builtin_operator(struct sp_bytes symbol);
bool pg_builtin_relation(struct sp_bytes name); /* of pg_catalog */

#endif
