/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directive tables: name, type, where it is stored, default, help.  The same rows check a
 * configuration, fill the settings and print the manual.
 *
 *   login user=app secret=file:/x;      → DIR_PARAMS, params = a table of key=value words
 *   target orders { … }                 → DIR_BLOCK, params = the table of what is inside
 *
 * A word without `=` in DIR_PARAMS fits the next row of params whose name begins with `:`.
 */
#ifndef SALLYPORT_DIRECTIVE_H
#define SALLYPORT_DIRECTIVE_H

#include "conf.h"

enum directive_type {
	DIR_STRING = SP_TYPE_STRING,
	DIR_BOOL = SP_TYPE_BOOL,
	DIR_INT = SP_TYPE_INT,
	DIR_SIZE = SP_TYPE_SIZE,
	DIR_DURATION = SP_TYPE_DURATION,
	DIR_STRINGS = SP_TYPE_STRINGS,
	DIR_CHOICE,  /* unsigned; index in choices */
	DIR_PARAMS,  /* a struct, by the table params */
	DIR_PAIRS,   /* struct pairs: any key=value words */
	DIR_BLOCK    /* list of struct, by the table params; size bytes each; first member is struct block */
};

struct pairs {
	const char *const *key, *const *value;
	size_t n;
};

/* Head of every struct that a DIR_BLOCK row fills. */
struct block {
	struct block *next;
	const char *name; /* first word after the directive, or "" */
	const char *file;
	unsigned line;
	const struct conf_node *node; /* for what the table does not know: module directives */
};

struct directive {
	const char *name;
	enum directive_type type;
	size_t offset;
	const char *dflt; /* NULL: must be given; "": empty */
	const char *help;
	const struct directive *params;
	const char *const *choices;
	size_t size;
	unsigned flags; /* DIR_MANY, DIR_OPEN */
};
enum { DIR_MANY = 1 /* may be given again */, DIR_OPEN = 2 /* the block may hold directives of modules */ };

/* Fills `into` (zeroed) from the directives in `first`. */
int directive_fill(struct arena *a, const struct directive *table, const struct conf_node *first, const char *file,
    unsigned line, unsigned flags, void *into, const char **err_r) SP_MUST;
/* The same for a module's own rows, out of a block that has DIR_OPEN; rows outside `where` are errors. */
int directive_fill_module(struct arena *a, const struct sp_directive *table, unsigned where, const struct conf_node *first,
    void *into, const char **err_r) SP_MUST;
/* Text to value, with units required: "3s", "16m", "on". */
int directive_duration(const char *word, uint64_t *ms_r) SP_MUST;
int directive_size(const char *word, uint64_t *bytes_r) SP_MUST;
int directive_rate(const char *word, uint64_t *count_r, uint64_t *ms_r) SP_MUST; /* "5/10s" */
/* The manual, as Markdown. */
int directive_manual(const struct directive *table, const char *context, struct buffer *out) SP_MUST;

#endif
