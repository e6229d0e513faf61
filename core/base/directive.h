/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directive tables: name, type, where it is stored, default, help.  The same rows check a
 * configuration, fill the settings and print the manual.
 *
 *   listen 127.0.0.1:5432;              → a value: DIR_STRING, DIR_INT …
 *   login user=app secret=file:/x;      → DIR_PARAMS, params = a table of key=value words
 *   label env=prod team=pay;            → DIR_PAIRS, any keys
 *   record { … }                        → DIR_GROUP, params = the table of what is inside
 *   target orders { … }                 → DIR_BLOCK, the same, named and many: a list of structs
 *
 * In DIR_PARAMS a word without `=` is a DIR_FLAG of that name, or the name of a switch followed by
 * on|off, or fits the next row whose name begins with `:`.
 *
 * After a fill no string is NULL and no set is without an array: what was not given and has no
 * default is "", zero, empty.
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
	DIR_STRINGS = SP_TYPE_STRINGS, /* words; in DIR_PARAMS one word, with commas */
	DIR_CHOICE = 32, /* unsigned; index in choices */
	DIR_FLAG,        /* bool; in DIR_PARAMS: the bare word */
	DIR_PARAMS,      /* a struct, by the table params */
	DIR_PAIRS,       /* struct pairs: any key=value words */
	DIR_GROUP,       /* a struct, by the table params, written as a block */
	DIR_BLOCK        /* list of struct, by the table params; size bytes each; first member is struct conf_block */
};

struct pairs {
	const char *const *key, *const *value;
	size_t n;
};

/* Head of every struct that a DIR_BLOCK row fills. */
struct conf_block {
	struct conf_block *next;
	const char *name; /* first word after the directive */
	const char *file;
	unsigned line;
	const struct conf_node *node; /* for what the table does not know: module directives */
};

struct directive {
	const char *name;
	enum directive_type type;
	size_t offset;
	const char *dflt; /* NULL: must be given; "": empty, zero.  Not for groups and blocks */
	const char *help;
	const struct directive *params; /* ends with a NULL name */
	const char *const *choices;     /* ends with NULL */
	size_t size;
	unsigned flags; /* enum directive_flags */
};

enum directive_flags {
	DIR_MANY = 1, /* DIR_STRINGS: may be given again, and adds */
	DIR_OPEN = 2, /* the block may hold directives of modules */
	DIR_AUTO = 4  /* the word `auto` is 0 */
};

/* Directives, and where they stand. */
struct place {
	const struct conf_node *first;
	const char *file;
	unsigned line;
	bool open; /* unknown directives are left to the modules */
	const struct directive *top; /* table of the whole configuration, for hints; NULL: this place is the top */
};

/* Fills `into` (zeroed) from the directives of a place. */
int directive_fill(struct arena *a, const struct directive *table, const struct place *place, void *into,
    const char **err_r) SP_MUST;

/* One of the places that a module's block is filled from. */
struct module_place {
	enum sp_where where;
	const struct conf_node *first;
	const char *file;
	unsigned line;
	const struct directive *core; /* rows of the core's own in this place: skipped */
	const struct directive *top;  /* table of the whole configuration, for hints; or NULL */
};
/* A module's own rows out of all the places, in order: later ones win.  An unknown directive is an error. */
int directive_fill_module(struct arena *a, const struct sp_directive *table, const struct module_place *place, size_t n,
    void *into, const char **err_r) SP_MUST;

/* Text to value, with units required: "3s", "16m", "off" for zero. */
int directive_duration(const char *word, uint64_t *ms_r) SP_MUST;
/* "2026-11-24T04:12:33Z", or "90m": so long ago. */
int directive_moment(const char *word, uint64_t *wall_us_r) SP_MUST;
int directive_size(const char *word, uint64_t *bytes_r) SP_MUST;
int directive_rate(const char *word, uint64_t *count_r, uint64_t *ms_r) SP_MUST; /* "5/10s", "5/s" */
/* key and value of a word with "=" in it; SP_ECONF without, or with an empty key. */
int directive_pair(struct arena *a, const char *word, const char **key_r, const char **value_r) SP_MUST;

/* The manual, as Markdown: one table for `context` and one for each block inside. */
int directive_manual(const struct directive *table, const char *context, struct buffer *out) SP_MUST;
/* A text as a cell of a table. */
int manual_cell(const char *text, struct buffer *out) SP_MUST;
int directive_manual_module(const struct sp_directive *table, struct buffer *out) SP_MUST;

#endif
