/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: what a module's classify() said of a text (a shape, shared and immutable), and one
 * run of it (an op).  The sp_op_*() calls of module.h that fill or read attributes live in op.c,
 * and so are the same in a worker, in `policy test` and in explain: sp_op_node, _str, _add, _int,
 * _bool, _unknown, _unclear, _changes, _alike, _tag, _literal, _param, _has, _is_unclear, _kind, _text, _cookie
 * and _set_cookie.  The worker has sp_op_new, _again and _free.
 */
#ifndef SALLYPORT_OP_H
#define SALLYPORT_OP_H

#include "../base/memory.h"

enum known { ABSENT, PRESENT, UNKNOWN };

struct value {
	enum known known;
	uint64_t number;        /* int, bool */
	struct sp_bytes text;
	struct sp_bytes *set;
	size_t n, cap;
};

struct node {               /* one statement, nested ones too; node 0 is the root */
	struct value *value;    /* by index in the module's attrs */
};

struct unclear {
	const char *why;
	struct sp_bytes name;
	size_t node;            /* where it stands: what an allow rule's `when` is asked about */
};

struct change {             /* of a setting that can be pinned */
	const char *name;       /* NULL: any may be changed, by what can't be seen */
	const char *value;      /* NULL: to what is not known */
};

struct meaning {            /* of the text, beside its bytes: an approval is for these, too */
	const char *name;
	struct sp_bytes value;
};

struct literal {
	size_t offset, len;
	unsigned param;
	const char *column;     /* NULL: always hidden */
};

struct shape {              /* immutable once classified */
	const struct sp_module *module;
	const char *kind;
	struct arena *arena;
	struct sp_bytes text;
	const char *tag;
	struct node *node;
	size_t nnodes, nodes_cap;
	struct unclear *unclear;
	size_t nunclear;
	struct change *change;
	size_t nchanges;
	struct meaning *meaning;
	size_t nmeanings;
	struct literal *literal;
	size_t nliterals;
	unsigned nattrs;
	bool unseen;            /* it brings data that come later */
	bool renames;           /* names may mean something else behind it */
	bool failed;            /* classify() failed: denied, and no rule lifts it */
	bool alike;             /* the same was said of any text with its skeleton … */
	unsigned length;        /* … but for this attribute, the length of the text */
	struct shape *model;    /* counted: what was said of that text was taken for this one's; NULL: of itself */
	unsigned note;          /* the module's, of what was said: of a model, where there is one */
	unsigned refs;
	uint64_t serial;        /* unique in this process */
};

struct param {
	uint32_t type;
	uint16_t format;
	bool null;
	struct sp_bytes value;
};

/* The part of an operation that policies see.  The worker's struct sp_op begins with it. */
struct op {
	struct shape *shape;    /* counted */
	const char *kind;       /* a prepared statement is asked as sql.prepare, run as sql.statement */
	struct param *param;
	unsigned nparams;
	struct node *current;   /* while classify() runs */
	bool failed;            /* an sp_op_ call did not succeed: denied, and no rule lifts it */
	struct arena *arena;    /* where sp_op_param() copies to; set by whoever makes the op */
	void *cookie;           /* the module's own */
};

/* A text over this many statements, or of this many bytes of attributes, is a failure to classify. */
#define SHAPE_NODES 1000
#define SHAPE_MEMORY (16u << 20)

/* Runs the module's classify(); a failure makes the shape unclear, never NULL unless memory is out. */
struct shape *shape_make(const struct sp_module *m, const struct sp_scope *scope, const char *kind, struct sp_bytes text);
void shape_free(struct shape **s); /* drops one reference */
/*
 * What was said of `model`, which is alike and has its literals at `from`, for a text with the same
 * skeleton that has them at `to`.  NULL: no memory, or a place that can't be told.
 */
struct spans {
	const struct sp_span *v;
	size_t n;
};
struct shape *shape_like(struct shape *model, struct spans from, struct sp_bytes text, struct spans to);
/* The same was said of both. */
bool shape_equal(const struct shape *a, const struct shape *b);
/* The same for an operation that has no text: `session`.  m may be NULL. */
struct shape *shape_empty(const struct sp_module *m, const char *kind);
/* Index of the attribute in the module's table, or -1. */
int attr_find(const struct sp_module *m, const char *name);
/* True when operations of this kind have the attribute. */
bool attr_on(const struct sp_attr *a, const char *kind);

#endif
