/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an operation was refused or held, into the recording: `sallyport explain ID` tells it later, as the
 * rules, the groups and the catalogue were then.
 *
 * The rules are asked once more, by a run of their own: what functions remember within the session stays
 * as it is.  It costs only those who are refused, and is charged to them.
 */
#include <config.h>

#include <stdio.h>

#include "budget.h"
#include "epoch_use.h"
#include "operation.h"
#include "record.h"
#include "session.h"

#define WHY_MAX (1u << 20) /* a longer answer is read by nobody, and would fill the ring */

struct finding_list {
	struct finding *f;
	size_t n;
};

/* A statement that is prepared is refused for what it would be when it runs. */
static int
judge(struct sp_op *op, struct op *as, char kind[64], struct decision *d, struct finding_list *l)
{
	struct policy_run *run = policy_run_new(epoch_use_target(op->s->epoch, op->s->target_name)->policy);
	struct subject who = session_subject(op->s);
	*as = op->op;
	if (kind_is_prepare(op->op.kind)) {
		snprintf(kind, 64, "%.*s.statement", (int)(strlen(op->op.kind) - strlen(".prepare")), op->op.kind);
		as->kind = kind;
	}
	int rc = policy_judge_whole(run, &who, as, d, &l->f, &l->n);
	policy_run_free(&run);
	return rc;
}

void
op_record_why(struct sp_op *op)
{
	struct sp_session *s = op->s;
	struct decision d;
	struct finding_list l;
	struct op as;
	struct buffer json = { 0 };
	char kind[64];
	if (s->purpose[0] != '\0')
		return;
	uint64_t since = budget_begin(s);
	int rc = judge(op, &as, kind, &d, &l);
	if (rc == SP_OK)
		rc = policy_explain(epoch_use_target(s->epoch, s->target_name)->policy, &as, &d, l.f, l.n, false, &json);
	if (rc == SP_OK && json.len <= WHY_MAX && (s->w->ring == NULL || json.len < ring_size(s->w->ring) / 4)) {
		uint8_t space[8];
		struct sp_writer w = sp_writer(space, sizeof(space));
		sp_wr_u8(&w, KEY_TEXT);
		sp_wr_be32(&w, (uint32_t)json.len);
		record_frame(s, FRAME_WHY, op->channel, op->number, sp_written(&w), buffer_bytes(&json));
	}
	buffer_free(&json);
	decision_free(&d);
	budget_charge(s, since);
}
