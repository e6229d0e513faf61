/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules may read, by name: what the core knows of everybody, the module's attributes of the kind,
 * with `root.` before one for the whole, and what is none of these: labels of the target.
 */
#ifndef SALLYPORT_ATTRIBUTE_H
#define SALLYPORT_ATTRIBUTE_H

#include "policy.h"

enum source {
	FROM_NODE,   /* the module's, of the statement that is judged */
	FROM_ROOT,   /* the module's, of the whole */
	FROM_CORE,   /* who, where, when */
	FROM_FACT,   /* sp_fact() */
	FROM_LABEL,  /* of the target */
	FROM_RESULT  /* a column of an answer */
};

enum core_attr {
	CORE_USER, CORE_GROUPS, CORE_ROLES, CORE_CLASS, CORE_IDENTITY, CORE_ISSUER, CORE_SUBJECT, CORE_PERSON,
	CORE_SPONSOR, CORE_METHODS,
	CORE_ADDRESS, CORE_TARGET, CORE_PROTOCOL, CORE_SESSION, CORE_MODE, CORE_TIME, CORE_DETECT, CORE_ATTRS
};

enum result_attr { RESULT_COLUMN, RESULT_TABLE, RESULT_NAME, RESULT_TYPE, RESULT_ATTRS };

enum { MODULES_MAX = 16 };

struct attribute {
	const char *name;
	enum source source;
	enum sp_type type;
	bool of_operation;       /* a set fits by ALL in exceptions; else by ANY everywhere */
	bool exact;              /* groups and roles: letter case always counts */
	int index[MODULES_MAX];  /* FROM_NODE, FROM_ROOT: in each module's table, -1 where it has none; else [0] */
};

/* Which kinds there are, for whom. */
enum kind_class { KIND_NONE, KIND_OPERATION, KIND_PREPARE, KIND_RESULT, KIND_SESSION, KIND_OUTPUT };
enum kind_class kind_class(const struct policy_schema *schema, const char *kind);
/* "sql.result" or "sql.prepare" → "sql.statement" in buf; kind itself when it is neither. */
const char *kind_statement(const char *kind, char buf[64]);

/*
 * Finds a name for a kind.  False: no attribute of that kind by that name; *other_r then names a kind
 * that has it, or is NULL when none does (it is a label, or a mistake).
 */
bool attribute_find(const struct policy_schema *schema, const char *kind, const char *name, struct attribute *a_r,
    const char **other_r);
/* All names that attribute_find() knows for a kind, NULL-terminated. */
const char *const *attribute_names(struct arena *a, const struct policy_schema *schema, const char *kind);
const char *const *kind_names(struct arena *a, const struct policy_schema *schema);
void attribute_label(const char *name, struct attribute *a_r);

/* ---- values ---- */

struct answer_column {
	struct value value[RESULT_ATTRS];
	bool unknown; /* no source is known: what the operation reads may be in it */
};

/* The manual, as a table of Markdown: what only rules on this kind may read; kind NULL: what all may. */
int attribute_manual(struct arena *a, const struct policy_schema *schema, const char *kind, struct buffer *out) SP_MUST;

/* Who asks for what; everything a rule can be asked about. */
struct asking {
	const struct policy_schema *schema;
	const struct subject *who;
	const struct op *op;              /* NULL for a session */
	const struct node *node;          /* NULL for a session */
	const struct answer_column *column; /* of a result */
	int module;                       /* of op, in schema; -1 */
	struct value core[CORE_ATTRS];
	struct arena *arena;
};

int asking_begin(struct asking *q, const struct policy_schema *schema, const struct subject *who, const struct op *op,
    struct arena *a) SP_MUST;
/* The value, borrowed from the asking's parts. */
struct value attribute_value(const struct attribute *a, const struct asking *q);

#endif
