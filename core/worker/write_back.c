/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A masked value that is written back: a client that read `****1111` and stores the row again would
 * replace what it never saw.  A literal or parameter with three stars in a row, for a column that this
 * principal sees masked, is refused.  Other methods leave nothing to know their values by.
 */
#include <config.h>

#include "epoch_use.h"
#include "operation.h"
#include "session.h"

static bool
has_stars(struct sp_bytes b)
{
	unsigned n = 0;
	for (size_t i = 0; i < b.len && n < 3; i++)
		n = b.p[i] == '*' ? n + 1 : 0;
	return n == 3;
}

static struct sp_bytes
value_of(const struct sp_op *op, const struct literal *l)
{
	struct sp_bytes text = op->op.shape->text;
	if (l->len == 0)
		return l->param < op->op.nparams ? op->op.param[l->param].value : (struct sp_bytes){ NULL, 0 };
	if (l->offset > text.len || l->len > text.len - l->offset)
		return (struct sp_bytes){ NULL, 0 };
	return (struct sp_bytes){ text.p + l->offset, l->len };
}

static bool
is_written(const struct shape *shape, struct sp_bytes column)
{
	int written = attr_find(shape->module, "columns_written");
	for (size_t i = 0; written >= 0 && i < shape->nnodes; i++) {
		const struct value *v = &shape->node[i].value[written];
		for (size_t k = 0; k < v->n; k++)
			if (sp_bytes_eq(v->set[k], column))
				return true;
	}
	return false;
}

/* What the rules say of an answer with this column; not knowing is a mask. */
static bool
is_masked(const struct sp_op *op, struct sp_bytes column)
{
	struct subject who = session_subject(op->s);
	const struct sp_column c = { .name = column, .known = SP_SOURCE_COLUMN, .source = column };
	struct policy_masks *masks = NULL;
	struct decision d;
	char kind[64];
	int rc = policy_judge_result(op->s->run, &who, &op->op, result_kind(op, kind), &c, 1, &d, &masks);
	bool masked = rc != SP_OK || d.what != SP_ALLOW || (masks != NULL && policy_mask(masks, 0) != NULL);
	if (rc == SP_OK)
		decision_free(&d);
	policy_masks_free(&masks);
	return masked;
}

#define COLUMNS_MOST 64u /* judged of one operation: more with stars in their values are masks */

/* Columns that were found to take such values: thousands may come in one statement. */
struct fine {
	const char *column[COLUMNS_MOST];
	unsigned n;
};

static bool
is_fine(struct fine *f, const struct sp_op *op, const struct policy *policy, const char *column)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->column[i], column) == 0)
			return true;
	if (f->n == COLUMNS_MOST)
		return false;
	struct sp_bytes name = sp_str(column);
	if (policy_tagged(policy, name) && is_written(op->op.shape, name) && is_masked(op, name))
		return false;
	f->column[f->n++] = column;
	return true;
}

const char *
write_back_column(const struct sp_op *op)
{
	const struct shape *shape = op->op.shape;
	const struct target_use *t = epoch_use_target(op->s->epoch, op->s->target_name);
	struct fine fine = { .n = 0 };
	if (op->plan != NULL && !op->plan->sensitive)
		return NULL;
	for (size_t i = 0; i < shape->nliterals; i++) {
		const struct literal *l = &shape->literal[i];
		if (l->column != NULL && has_stars(value_of(op, l)) && !is_fine(&fine, op, t->policy, l->column))
			return l->column;
	}
	return NULL;
}
