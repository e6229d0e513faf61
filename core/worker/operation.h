/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: the one path from sp_op_new() to the verdict (DESIGN section 4), and what is
 * remembered of it.
 *
 * A *scope* is everything a verdict may depend on besides the text: epoch, principal, target,
 * address, facts, the module's view.  A *plan* is what the rules said of a text in a scope.
 */
#ifndef SALLYPORT_OPERATION_H
#define SALLYPORT_OPERATION_H

#include "worker.h"

struct scope;

struct result_plan {             /* what the rules said of one description of the answer */
	struct result_plan *next;
	struct sp_bytes key;     /* the description */
	struct sp_bytes sent;    /* … as the target sent it, and what else it was made from */
	uint64_t version;
	struct policy_masks *masks;
	struct sp_bytes record;  /* payload of its FRAME_COLUMNS */
	bool denied;
	struct decision decision;
};

struct plan {
	struct plan *next;       /* in the scope's bucket */
	struct scope *scope;     /* NULL once the scope is gone */
	struct shape *shape;     /* counted */
	const char *kind;
	uint64_t serial;         /* unique in this process */
	struct decision decision;
	struct sp_bytes record;  /* payload of FRAME_OPERATION, but for parameters */
	size_t own;              /* where in it begins what is the text's own … */
	bool alike;              /* … and neither the rest nor the verdict is, among texts whose model the shape is */
	bool of_other;           /* … and the record is that of another text than the shape's: one that was asked first */
	bool described;          /* there is something of it besides, kind and tag: it may come again */
	struct sp_bytes verdict; /* payload of FRAME_VERDICT */
	struct result_plan *results;
	unsigned nresults, refs;
	bool sensitive;          /* touches a tagged column */
	bool *hidden;            /* by parameter: recordings hide its value */
	unsigned nhidden;
	uint64_t max_rows;
	bool announces;          /* what it says of the shape, any run of it says as well */
};

enum op_state { OP_NEW, OP_ASKED, OP_HELD, OP_DECIDED, OP_DONE };

#define MOST_APPROVALS 4

struct op_approvals {      /* of an operation that is held, or was */
	uint8_t hash[DIGEST_LEN]; /* what the awaited one is for */
	uint8_t had[MOST_APPROVALS][DIGEST_LEN]; /* what was approved: by approval_hash() */
	unsigned n;
	char request[64];        /* that is awaited; "" while the keeper has not named it */
	char *by;                /* who agreed */
};

struct sp_op {
	struct op op;            /* first: what policies see */
	struct list_node all;    /* in its session */
	struct sp_session *s;
	uint16_t channel;
	uint32_t number;
	uint32_t of;             /* the number of what announced it, amid the same turn; else 0 */
	uint32_t told_by;        /* the number of the run that tells of it; 0: its own frames do */
	enum op_state state;
	struct plan *plan;       /* counted */
	struct result_plan *result;
	uint64_t view_version;   /* what names meant when it was made */
	uint64_t epoch;          /* in which it was decided */
	unsigned ncolumns;
	struct buffer columns;   /* the description of the answer, encoded: also its plan's key */
	struct op_approvals *approvals; /* NULL: it was never held */
};

static inline unsigned
op_napproved(const struct sp_op *op)
{
	return op->approvals == NULL ? 0 : op->approvals->n;
}

/* What a person, or the keeper, said of a held operation. */
struct op_decision {
	bool allow;
	struct sp_bytes hash;    /* of what was asked */
	struct sp_bytes by, text;
};

/* The keeper's answers. */
void op_held(struct sp_session *s, uint32_t number, const struct sp_hold *h);
void op_decided(struct sp_session *s, uint32_t number, const struct op_decision *d);
/* A new keeper: what the former one did not name yet is asked again. */
void op_hold_again(struct sp_session *s);
/* Before anything that the turn said leaves: what was only announced is recorded, unless a run told of it. */
void op_record_announced(struct sp_session *s);
/* The number in its frames, from now on. */
uint32_t op_recorded_as(const struct sp_op *op);
/* The session ends: everything of it. */
void op_end_all(struct sp_session *s);
/* The principal has expired: something runs that `drain` lets finish. */
bool op_may_finish(const struct sp_session *s);
/* A new policy: what is held is judged again. */
void op_rejudge_all(struct sp_session *s);
/* May this session be at all?  Rules on "session"; then the target is dialled. */
void op_ask_session(struct sp_session *s);
/* False: the policy of now pins what this session has not: it was not told to its target. */
bool session_pins_stand(struct sp_session *s);
int session_judged(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v) SP_MUST;
/* Inside a callback: the answer is no, and recorded as such. */
int op_deny(struct sp_op *op, enum sp_because because, const char *rule, const char *text, uint32_t retry_after) SP_MUST;

/* Into the recording: what each rule said of it (why.c). */
void op_record_why(struct sp_op *op);

/* ---- plans ---- */

struct scope *scope_find(struct sp_session *s);
void scope_unref(struct scope **c);
bool plan_hides(const struct plan *p, unsigned param);
struct plan *plan_find(struct sp_op *op);   /* remembered, or made now by asking the rules */
struct plan *plan_make(struct sp_op *op);   /* asked anew */
void plan_unref(struct plan **p);
/* Bytes of its FRAME_OPERATION at most, but for parameters; 0: there was no memory. */
size_t plan_record_len(const struct sp_op *op);
/*
 * Payload of FRAME_OPERATION, but for parameters, for its session's recording, which has what many operations share once (KEY_KEPT):
 * its beginning, the plan's, and what goes on into w.
 */
struct sp_bytes plan_record_put(struct sp_op *op, struct sp_writer *w);
bool kind_is_prepare(const char *kind);     /* announced, not run */
struct subject session_subject(const struct sp_session *s);
/* "sql.statement" → "sql.result" */
const char *result_kind(const struct sp_op *op, char kind[64]);
/* The column that would be overwritten by what a mask shows of it, or NULL (write_back.c). */
const char *write_back_column(const struct sp_op *op);
/* Of a text, by a seed; keyed by a secret of this process. */
uint64_t shape_hash(struct sp_bytes b, uint64_t seed);
/* Counted; NULL when memory is out. */
struct shape *shape_find(struct sp_session *s, const char *kind, struct sp_bytes text);

#endif
