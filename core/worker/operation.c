/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one path of an operation (DESIGN section 4): asked, judged, perhaps held, decided, done.
 *
 *     NEW ─ sp_ask ─▶ ASKED ─┬─ deny, kill ───────────────▶ DECIDED ─▶ DONE
 *                            ├─ limit over ───────────────▶ DECIDED
 *                            ├─ allow ─ recorded ─────────▶ DECIDED
 *                            └─ hold ─▶ HELD ─ a person ─▶ ASKED (judged again)
 *
 * What is announced ("sql.prepare") and run in one turn is one operation to who reads the recording: the run's frames
 * tell of both, when no rule is about announcing and both are allowed.  Else the announced one has its own, before
 * its bytes leave.
 */
#include <config.h>

#include "operation.h"

#include <jansson.h>
#include <stdlib.h>
#include <stdio.h>

#include "../base/clock.h"
#include "approval_hash.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "record.h"
#include "session.h"

#define RESULTS 64
#define DESCRIPTION_MAX 8192u /* bytes that are remembered of an answer's description */
#define PARAMS_MAX (64u << 20) /* of one operation */
#define OPS_MAX 4096 /* asked and not done, of one session: pipelining */

static const char session_kind[] = "session";

/* ---- making and freeing ---- */

static const char *
kind_of(const struct sp_module *m, const char *kind)
{
	for (const char *const *k = m->kinds; k != NULL && *k != NULL; k++)
		if (*k == kind || strcmp(*k, kind) == 0)
			return *k;
	return NULL;
}

static struct sp_op *
op_new(struct sp_session *s, unsigned channel, const char *kind, struct shape *shape)
{
	struct arena *a = arena_new(PARAMS_MAX);
	struct sp_op *op = arena_alloc(a, sizeof(*op));
	op->op.arena = a;
	op->op.shape = shape;
	op->op.kind = kind;
	op->s = s;
	op->view_version = s->view_version;
	op->channel = (uint16_t)channel;
	op->number = ++s->op_last;
	list_add(&s->ops, &op->all);
	return op;
}

struct sp_op *
sp_op_new(struct sp_session *s, unsigned channel, const char *kind, struct sp_bytes text)
{
	const char *known = kind_of(s->module, kind);
	if (known == NULL)
		return NULL;
	struct shape *shape = shape_find(s, known, text);
	return shape == NULL ? NULL : op_new(s, channel, known, shape);
}

static bool
is_statement(const struct sp_op *op)
{
	const char *dot = strchr(op->op.kind, '.');
	return dot != NULL && strcmp(dot, ".statement") == 0;
}

struct sp_op *
sp_op_again(struct sp_session *s, struct sp_op *model, const char *kind)
{
	const char *known = kind_of(s->module, kind);
	if (known == NULL)
		return NULL;
	struct shape *shape = model->op.shape;
	if (model->view_version == s->view_version)
		shape->refs++;
	else /* names may mean something else by now */
		shape = shape_find(s, known, shape->text);
	struct sp_op *op = shape == NULL ? NULL : op_new(s, model->channel, known, shape);
	if (op != NULL && model == s->announced && is_statement(op)) /* else it is no run of it, and does not tell of it */
		op->of = model->number;
	for (unsigned i = 0; op != NULL && i < model->op.nparams; i++) {
		const struct param *p = &model->op.param[i];
		if (sp_op_param(op, i, p->type, p->format, p->null, p->value) != SP_OK)
			break; /* remembered in the operation, which is denied for it */
	}
	return op;
}

bool
sp_op_stands(const struct sp_op *op)
{
	const struct sp_session *s = op->s;
	uint64_t now = s->w->wall;
	return op->plan != NULL && op->epoch == s->epoch->epoch->number && op->plan->decision.valid_until > now &&
	    session_expired_us(s) == 0;
}

static void
approvals_free(struct op_approvals **a)
{
	if (*a == NULL)
		return;
	free((*a)->by);
	free(*a);
	*a = NULL;
}

void
sp_op_free(struct sp_op **opp)
{
	struct sp_op *op = *opp;
	*opp = NULL;
	if (op == NULL)
		return;
	if (op->state == OP_HELD)
		keeper_withdraw(op, "the client gave up");
	if (op == op->s->announced)
		op_record_announced(op->s);
	if (op->state != OP_NEW)
		op->s->asked--;
	list_remove(&op->all);
	plan_unref(&op->plan);
	shape_free(&op->op.shape);
	buffer_free(&op->columns);
	approvals_free(&op->approvals);
	struct arena *a = op->op.arena;
	arena_free(&a);
}

void
op_end_all(struct sp_session *s)
{
	LIST_EACH(n, next, &s->ops) {
		struct sp_op *op = LIST_OF(n, struct sp_op, all);
		sp_op_free(&op);
	}
}

/* ---- recording ---- */

static void
record_operation(struct sp_op *op)
{
	struct sp_session *s = op->s;
	struct buffer *fields = &s->w->fields, hidden = { 0 };
	struct sp_writer w = buffer_writer(fields);
	struct sp_bytes head = plan_record_put(op, &w);
	for (unsigned i = 0; i < op->op.nparams; i++) {
		const struct param *p = &op->op.param[i];
		bool hide = !p->null && plan_hides(op->plan, i);
		struct sp_bytes value = p->value;
		if (hide && record_hidden(s->w, p->value, &hidden) == SP_OK)
			value = buffer_bytes(&hidden);
		sp_wr_u8(&w, KEY_PARAM);
		sp_wr_be32(&w, (uint32_t)value.len + 7);
		sp_wr_be32(&w, p->type);
		sp_wr_be16(&w, p->format);
		sp_wr_u8(&w, (uint8_t)((p->null ? 1 : 0) | (hide ? 2 : 0)));
		sp_wr_put(&w, value);
		buffer_free(&hidden);
	}
	if (buffer_written(fields, &w) == SP_OK)
		record_frame(s, FRAME_OPERATION, op->channel, op->number, head, buffer_bytes(fields));
	else
		s->unrecorded = true;
	buffer_reset(fields);
}

/* A verdict that is not the plan's own: over a limit, after a person's decision. */
static void
record_verdict(struct sp_op *op, const char *what, const char *rule, const char *text)
{
	uint8_t space[2048];
	struct sp_writer w = sp_writer(space, sizeof(space));
	frame_field(&w, KEY_WHAT, sp_str(what));
	frame_field(&w, KEY_RULE, (struct sp_bytes){ (const uint8_t *)rule, strnlen(rule, 200) });
	frame_field(&w, KEY_MESSAGE, (struct sp_bytes){ (const uint8_t *)text, strnlen(text, 1000) });
	const struct op_approvals *a = op->approvals;
	if (a != NULL && a->request[0] != '\0')
		frame_field(&w, KEY_APPROVAL, sp_str(a->request));
	if (a != NULL && a->by != NULL)
		frame_field(&w, KEY_APPROVER, (struct sp_bytes){ (const uint8_t *)a->by, strnlen(a->by, 400) });
	record_frame(op->s, FRAME_VERDICT, op->channel, op_recorded_as(op), sp_written(&w), (struct sp_bytes){ NULL, 0 });
}

/* ---- what is only announced ---- */

/* Allowed, and nothing to be said of it that its run would not say. */
static bool
op_announces(const struct sp_op *op)
{
	return op->plan->announces && session_expired_us(op->s) == 0 && !record_failed(op->s->w) && write_back_column(op) == NULL;
}

void
op_record_announced(struct sp_session *s)
{
	struct sp_op *op = s->announced;
	if (op == NULL)
		return;
	s->announced = NULL;
	s->operations++;
	record_operation(op);
	record_frame(s, FRAME_VERDICT, op->channel, op->number, op->plan->verdict, (struct sp_bytes){ NULL, 0 });
	s->side[SP_TARGET].gate = record_gate(s->w);
}

uint32_t
op_recorded_as(const struct sp_op *op)
{
	if (op == op->s->announced)
		op_record_announced(op->s);
	return op->told_by != 0 ? op->told_by : op->number;
}

/* What is refused or held tells of nothing else, and comes after what announced it: in the audit log, too. */
static bool
op_may_tell(const struct sp_op *run)
{
	const struct decision *d = &run->plan->decision;
	return run->of == run->s->announced->number && d->what == SP_ALLOW && d->napprovals == 0;
}

/* It runs: is that all there is to tell of what announced it? */
static void
op_tells_of(const struct sp_op *run, enum sp_what what)
{
	struct sp_op *op = run->s->announced;
	if (op == NULL || op->number != run->of || what != SP_ALLOW)
		return;
	op->told_by = run->number;
	run->s->announced = NULL;
}

/* ---- the answer to the module ---- */

static const char *
denial_hint(const struct sp_op *op, const char *todo)
{
	static char hint[320];
	snprintf(hint, sizeof(hint), "%s%ssallyport explain %s.%u", todo, todo[0] == '\0' ? "" : " ", op->s->name, op_recorded_as(op));
	return hint;
}

static int
op_tell(struct sp_op *op, const struct sp_verdict *v)
{
	struct sp_session *s = op->s;
	op->state = OP_DECIDED;
	op->epoch = s->epoch->epoch->number;
	op_tells_of(op, v->what);
	if (v->what != SP_ALLOW && s->reports) /* its transaction fails for it */
		keeper_ran(op, true);
	if (v->what != SP_ALLOW)
		s->denied++;
	else if (s->purpose[0] == '\0')
		s->side[SP_TARGET].gate = record_gate(s->w);
	if (op->op.kind == session_kind)
		return session_judged(s, op, v);
	int rc = s->module->verdict(s, op, v);
	if (v->what == SP_KILL)
		session_finish(s, SP_END_RULE, v->message);
	return rc;
}

static int
op_refuse(struct sp_op *op, const struct decision *d)
{
	char message[1200];
	struct sp_verdict v = { .what = d->what == SP_KILL ? SP_KILL : SP_DENY, .because = d->because, .rule = d->rule == NULL ? "" : d->rule,
		.unclear = d->unclear };
	const char *text = d->text == NULL ? "" : d->text;
	if (d->because == SP_BY_RULE)
		snprintf(message, sizeof(message), "blocked by rule \"%s\": %s", v.rule, text);
	else if (v.rule[0] != '\0')
		snprintf(message, sizeof(message), "%s (rule \"%s\")", text, v.rule);
	else
		snprintf(message, sizeof(message), "%s", text);
	v.message = message;
	v.hint = denial_hint(op, "");
	return op_tell(op, &v);
}

int
op_deny(struct sp_op *op, enum sp_because because, const char *rule, const char *text, uint32_t retry_after)
{
	struct sp_verdict v = { .what = SP_DENY, .because = because, .rule = rule, .message = text, .retry_after = retry_after };
	record_verdict(op, "deny", rule, text);
	v.hint = denial_hint(op, "");
	return op_tell(op, &v);
}

/* ---- limits ---- */

static void
limit_key(const struct sp_op *op, const struct limit_rule *l, uint8_t key[16])
{
	const struct sp_session *s = op->s;
	uint8_t hash[DIGEST_LEN];
	char text[1024];
	const char *of = strcmp(l->per, "session") == 0 ? s->name
	    : strcmp(l->per, "address") == 0		? s->address
	    : strcmp(l->per, "target") == 0		? ""
							: s->principal.subject;
	int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s", l->rule, s->target_name, l->per, s->principal.issuer, of);
	digest_sha256((struct sp_bytes){ (const uint8_t *)text, n < 0 ? 0 : strnlen(text, sizeof(text)) }, hash);
	memcpy(key, hash, 16);
}

/* Charges every rate; the first that is used up refuses. */
static const struct limit_rule *
limits_charge(struct sp_op *op, uint64_t *retry_ms_r)
{
	const struct decision *d = &op->plan->decision;
	for (size_t i = 0; i < d->nlimits; i++) {
		uint8_t key[16];
		if (d->limit[i].window == 0)
			continue;
		limit_key(op, &d->limit[i], key);
		const struct board_rate rate = { d->limit[i].count, d->limit[i].window };
		if (!board_charge(op->s->w->board, key, &rate, op->s->w->now, retry_ms_r))
			return &d->limit[i];
	}
	return NULL;
}

/* ---- judging ---- */

static const struct approval_rule *
missing_approval(const struct sp_op *op)
{
	return approval_missing(op, &op->plan->decision);
}

/* COMMIT, too, rolls back then. */
static bool
in_failed_transaction(const struct sp_session *s)
{
	for (size_t i = 0; i < s->nfacts; i++)
		if (strcmp(s->fact[i].name, "transaction") == 0)
			return sp_bytes_is(s->fact[i].value, "failed");
	return false;
}

/* Nothing is refused at its target; what would have been is recorded. */
static bool
op_observed(const struct sp_op *op)
{
	return op->s->target->mode == MODE_OBSERVE;
}

static void
record_would(struct sp_op *op, const struct limit_rule *over)
{
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	frame_field(&w, KEY_WHAT, SP_LIT("allow"));
	frame_field(&w, KEY_WOULD, SP_LIT("limit"));
	frame_field(&w, KEY_RULE, (struct sp_bytes){ (const uint8_t *)over->rule, strnlen(over->rule, 200) });
	frame_field(&w, KEY_OBSERVED, (struct sp_bytes){ (const uint8_t *)over->rule, strnlen(over->rule, 200) });
	record_frame(op->s, FRAME_VERDICT, op->channel, op->number, sp_written(&w), (struct sp_bytes){ NULL, 0 });
}

static int
op_allow(struct sp_op *op)
{
	uint64_t retry = 0;
	const struct limit_rule *over = op->plan->decision.nlimits > 0 ? limits_charge(op, &retry) : NULL;
	if (over != NULL && op_observed(op)) {
		record_would(op, over);
	} else if (over != NULL) {
		char text[512];
		uint32_t seconds = (uint32_t)((retry + 999) / 1000);
		snprintf(text, sizeof(text), "blocked by rule \"%s\": more than %llu in %llu s; try again in %u s", over->rule,
		    (unsigned long long)over->count, (unsigned long long)(over->window / 1000), seconds);
		return op_deny(op, SP_BY_LIMIT, over->rule, text, seconds);
	}
	struct sp_verdict v = { .what = SP_ALLOW, .rule = "", .message = "", .hint = "", .max_rows = op->plan->max_rows };
	if (op->s->reports && is_statement(op))
		keeper_ran(op, in_failed_transaction(op->s));
	if (op_napproved(op) == 0 && worker_samples(op->s->w, BOARD_DECISION)) /* from when its bytes were there */
		board_add(op->s->w->board, op->s->w->board_slot, BOARD_DECISION, clock_mono_us() - op->s->w->now_us);
	if (op_napproved(op) > 0)
		record_verdict(op, "allow", op->plan->decision.napprovals > 0 ? op->plan->decision.approval[0].rule : "", "approved");
	else if (over == NULL)
		record_frame(op->s, FRAME_VERDICT, op->channel, op->number, op->plan->verdict, (struct sp_bytes){ NULL, 0 });
	if (op->plan->decision.would.what != NULL)
		op_record_why(op);
	return op_tell(op, &v);
}

static int
op_announced(struct sp_op *op)
{
	const struct sp_verdict v = { .what = SP_ALLOW, .rule = "", .message = "", .hint = "", .max_rows = op->plan->max_rows };
	op->s->announced = op;
	return op_tell(op, &v);
}

static int
op_deny_write_back(struct sp_op *op, const char *column)
{
	char text[400];
	snprintf(text, sizeof(text), "the new value of %.200s is what a mask shows, not the value itself: leave that column out", column);
	return op_deny(op, SP_BY_RULE, "", text, 0);
}

/* P7: an approval is for what somebody has seen. */
static int
op_deny_unseen(struct sp_op *op, const struct approval_rule *a)
{
	char text[400];
	snprintf(text, sizeof(text), "rule \"%.100s\" wants an approval, and the data that come after it can't be shown to anybody before: say it all in the "
	    "request itself, or ask for a rule that says `unseen = true`", a->rule);
	op_record_why(op);
	return op_deny(op, SP_BY_RULE, a->rule, text, 0);
}

static int
op_judge(struct sp_op *op)
{
	const struct decision *d = &op->plan->decision;
	const struct approval_rule *a;
	const char *column = op_observed(op) || d->what != SP_ALLOW ? NULL : write_back_column(op);
	if (column != NULL)
		return op_deny_write_back(op, column);
	if (op_observed(op) || d->what == SP_ALLOW) {
		a = op_observed(op) ? NULL : missing_approval(op);
		if (a == NULL)
			return op_allow(op);
		if (op_napproved(op) == MOST_APPROVALS)
			return op_deny(op, SP_BY_ERROR, a->rule, "too many approvals are asked for", 0);
		if (op->op.shape->unseen && !a->unseen)
			return op_deny_unseen(op, a);
		op->state = OP_HELD;
		if (op->approvals == NULL)
			op->approvals = mem_alloc(sizeof(*op->approvals));
		op_record_why(op);
		return keeper_hold(op, a);
	}
	record_frame(op->s, FRAME_VERDICT, op->channel, op->number, op->plan->verdict, (struct sp_bytes){ NULL, 0 });
	op_record_why(op);
	return op_refuse(op, d);
}

static const char expired_text[] = "your access has expired: log in again, or ask for another grant";

bool
op_may_finish(const struct sp_session *s)
{
	uint64_t drain = s->epoch->epoch->settings.drain * 1000;
	if (drain == 0 || session_expired_us(s) > drain)
		return false;
	for (const struct list_node *n = s->ops.node.next; n != &s->ops.node; n = n->next)
		if (LIST_OF(n, const struct sp_op, all)->state == OP_DECIDED)
			return true;
	return false;
}

/* A frame that never fits the ring could not be recorded, ever: half of it is for others. */
static bool
fits_recorder(const struct sp_op *op, size_t text)
{
	const struct ring *ring = op->s->w->ring;
	size_t n = text + FRAME_FIELD_HEAD + 1; /* … and the name of a place */
	for (unsigned i = 0; i < op->op.nparams; i++)
		n += op->op.param[i].value.len + 64;
	return ring == NULL || (n <= ring_size(ring) / 2 && n <= ring_longest(ring));
}

/* Its text is known by its keyed hash, so that it can be told later what it was: it may hold secrets. */
static int
deny_oversize(struct sp_op *op)
{
	static const char text[] = "the statement and its parameters are longer than can be recorded at once: send long values by COPY, "
				   "or have `record { ring … }` made larger, for 20 MB at most";
	uint8_t space[512], hash[DIGEST_LEN];
	struct buffer shown = { 0 };
	struct sp_writer w = sp_writer(space, sizeof(space));
	int rc = buffer_put(&shown, SP_LIT("{too long to be recorded} "));
	if (rc == SP_OK)
		rc = record_hidden(op->s->w, sp_op_text(op), &shown);
	digest_sha256(buffer_bytes(&shown), hash);
	op->s->operations++;
	frame_field(&w, KEY_KIND, sp_str(op->op.kind));
	frame_field(&w, KEY_TEXT, rc == SP_OK ? buffer_bytes(&shown) : SP_LIT("{too long to be recorded}"));
	frame_field(&w, KEY_TEXT_HASH, (struct sp_bytes){ hash, sizeof(hash) });
	if (op->op.shape->tag != NULL)
		frame_field(&w, KEY_TAG, sp_str(op->op.shape->tag));
	record_frame(op->s, FRAME_OPERATION, op->channel, op->number, sp_written(&w), (struct sp_bytes){ NULL, 0 });
	buffer_free(&shown);
	return op_deny(op, SP_BY_SIZE, "", text, 0);
}

int
sp_ask(struct sp_op *op)
{
	struct sp_session *s = op->s;
	if (op->state != OP_NEW)
		return sp_fail(s, SP_EINTERNAL, "an operation was asked twice");
	if (++s->asked > OPS_MAX)
		return sp_fail(s, SP_ETOOBIG, "more than %d operations wait for their end", OPS_MAX);
	op->state = OP_ASKED;
	s->active = s->w->now;
	if (!fits_recorder(op, sp_op_text(op).len))
		return deny_oversize(op);
	if (op->plan == NULL)
		op->plan = plan_find(op);
	if (s->announced != NULL && !op_may_tell(op))
		op_record_announced(s);
	size_t len = plan_record_len(op);
	if (len == 0 || !fits_recorder(op, len)) /* what stands for hidden values may be longer than they are */
		return deny_oversize(op);
	if (op_announces(op))
		return op_announced(op);
	s->operations++;
	record_operation(op);
	if (session_expired_us(s) > 0) {
		if (!op_may_finish(s))
			session_finish(s, SP_END_EXPIRED, expired_text);
		return op_deny(op, SP_BY_ERROR, "", expired_text, 0);
	}
	if (record_failed(s->w)) {
		session_finish(s, SP_END_RECORDER, "the session can no longer be recorded");
		return op_deny(op, SP_BY_ERROR, "", "the session can no longer be recorded", 0);
	}
	return op_judge(op);
}

/* Under the rules of now: after a person's decision, after a reload. */
static int
op_judge_again(struct sp_op *op)
{
	const struct sp_session *s = op->s;
	plan_unref(&op->plan);
	op->plan = plan_find(op);
	op->state = OP_ASKED;
	if (session_expired_us(s) > 0)
		return op_deny(op, SP_BY_ERROR, "", expired_text, 0);
	return op_judge(op);
}

void
sp_withdraw(struct sp_op *op)
{
	if (op->state != OP_HELD)
		return;
	keeper_withdraw(op, "withdrawn by the client");
	record_verdict(op, "deny", "", "withdrawn by the client");
	op->state = OP_DECIDED;
}

/* ---- a person's part ---- */

static struct sp_op *
op_find_held(struct sp_session *s, uint32_t number)
{
	LIST_EACH(n, next, &s->ops) {
		struct sp_op *op = LIST_OF(n, struct sp_op, all);
		if (op->number == number && op->state == OP_HELD)
			return op;
	}
	return NULL;
}

static const char *
deciders(const struct approval_rule *a)
{
	return *a->by == '\0' ? "the agent's sponsor" : a->by;
}

void
op_held(struct sp_session *s, uint32_t number, const struct sp_hold *h)
{
	struct sp_op *op = op_find_held(s, number);
	if (op == NULL)
		return;
	snprintf(op->approvals->request, sizeof(op->approvals->request), "%s", h->id);
	const struct approval_rule *a = missing_approval(op);
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	frame_field(&w, KEY_APPROVAL, sp_str(h->id));
	frame_field(&w, KEY_HASH, sp_str(h->hash));
	frame_field(&w, KEY_RULE, sp_str(a == NULL ? "" : a->rule));
	record_frame(s, FRAME_HELD, op->channel, op->number, sp_written(&w), (struct sp_bytes){ NULL, 0 });
	struct sp_hold hold = { .id = h->id, .hash = h->hash, .rule = a == NULL ? "" : a->rule, .text = a == NULL ? "" : a->text,
		.by = a == NULL ? "" : deciders(a), .within = a == NULL ? 0 : a->within };
	session_enter_module(s);
	int rc = SP_OK;
	if (s->module->estimate != NULL && settings_estimates(s->home) && op->op.kind != session_kind)
		s->module->estimate(s, op, h->id);
	if (a != NULL && a->next_run) {
		char text[700];
		snprintf(text, sizeof(text), "rule \"%s\" wants an approval by %s: request %s (%s); run the same again once it is approved",
		    a->rule, deciders(a), h->id, h->hash);
		rc = op_deny(op, SP_BY_RULE, a->rule, text, 0);
	} else if (s->module->held != NULL && op->op.kind != session_kind) {
		rc = s->module->held(s, op, &hold);
	}
	(void)session_leave_module(s, rc);
}

void
op_decided(struct sp_session *s, uint32_t number, const struct op_decision *d)
{
	struct sp_op *op = op_find_held(s, number);
	/* It may have crossed our withdrawal: another rule asks by now, and waits for its own answer. */
	if (op == NULL || !sp_bytes_eq(d->hash, (struct sp_bytes){ op->approvals->hash, DIGEST_LEN }))
		return;
	struct op_approvals *have = op->approvals;
	const struct approval_rule *a = missing_approval(op);
	free(have->by);
	have->by = mem_string(d->by);
	session_enter_module(s);
	int rc;
	if (d->allow && a != NULL && have->n < MOST_APPROVALS) {
		memcpy(have->had[have->n++], have->hash, DIGEST_LEN);
		rc = op_judge_again(op);
	} else {
		char *why = mem_string(d->text);
		rc = op_deny(op, SP_BY_PERSON, a == NULL ? "" : a->rule, why[0] != '\0' ? why : "the approval was refused", 0);
		free(why);
	}
	(void)session_leave_module(s, rc);
}

void
op_hold_again(struct sp_session *s)
{
	uint64_t denied = s->denied;
	session_enter_module(s);
	LIST_EACH(n, next, &s->ops) {
		struct sp_op *op = LIST_OF(n, struct sp_op, all);
		int rc = op->state == OP_HELD && op->approvals->request[0] == '\0' ? keeper_hold(op, missing_approval(op)) : SP_OK;
		if (rc != SP_OK || s->denied != denied) { /* this one is away too; nothing is sure of the list any more */
			(void)session_leave_module(s, rc);
			return;
		}
	}
	(void)session_leave_module(s, SP_OK);
}

/* The next that is held for what is no rule any more; those that still are get their new plan. */
static struct sp_op *
op_overtaken(struct sp_session *s)
{
	LIST_EACH(n, next, &s->ops) {
		struct sp_op *op = LIST_OF(n, struct sp_op, all);
		if (op->state != OP_HELD || op->approvals->request[0] == '\0')
			continue;
		struct plan *now = plan_find(op);
		const struct approval_rule *had = missing_approval(op);
		bool same = false;
		for (size_t i = 0; had != NULL && i < now->decision.napprovals; i++)
			same = same || memcmp(now->decision.approval[i].hash, had->hash, DIGEST_LEN) == 0;
		if (now->decision.what == SP_ALLOW && same) {
			plan_unref(&op->plan);
			op->plan = now;
			continue;
		}
		plan_unref(&now);
		return op;
	}
	return NULL;
}

/* Each verdict may free others, and end the session: the list is looked through anew. */
void
op_rejudge_all(struct sp_session *s)
{
	for (struct sp_op *op; s->state < SESSION_ENDING && (op = op_overtaken(s)) != NULL;) {
		keeper_withdraw(op, "the policy changed");
		op->approvals->request[0] = '\0';
		session_enter_module(s);
		(void)session_leave_module(s, op_judge_again(op));
	}
}

/* ---- rules on the session itself ---- */

void
op_ask_session(struct sp_session *s)
{
	struct shape *shape = shape_empty(s->module, session_kind);
	if (shape == NULL) {
		session_finish(s, SP_END_ERROR, "out of memory");
		return;
	}
	struct sp_op *op = op_new(s, 0, session_kind, shape);
	session_enter_module(s);
	op->plan = plan_make(op);
	(void)session_leave_module(s, sp_ask(op));
}

/* Copied: they outlive the policy that had them. */
static void
session_take_pins(struct sp_session *s, const struct decision *d)
{
	struct pin *pin = arena_alloc(s->arena, (d->npins + 1) * sizeof(*pin));
	for (size_t i = 0; i < d->npins; i++) {
		pin[i].name = arena_string(s->arena, sp_str(d->pin[i].name));
		pin[i].value = arena_string(s->arena, sp_str(d->pin[i].value));
		pin[i].rule = arena_string(s->arena, sp_str(d->pin[i].rule));
		sp_log(s, SP_INFO, "rule \"%s\" pins %s to %s", pin[i].rule, pin[i].name, log_quote(sp_str(pin[i].value)));
	}
	s->pin = pin;
	s->npins = d->npins;
	scope_unref(&s->scope);
}

static bool
has_pin(const struct sp_session *s, const struct pin *pin)
{
	for (size_t i = 0; i < s->npins; i++)
		if (strcmp(s->pin[i].name, pin->name) == 0 && strcmp(s->pin[i].value, pin->value) == 0)
			return true;
	return false;
}

bool
session_pins_stand(struct sp_session *s)
{
	struct subject who = session_subject(s);
	struct decision d;
	bool stand = policy_pins(s->run, &who, s->module, &d) == SP_OK;
	for (size_t i = 0; i < d.npins && stand; i++)
		stand = has_pin(s, &d.pin[i]);
	decision_free(&d);
	return stand;
}

int
session_judged(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	if (s->state != SESSION_DIALING)
		return SP_OK;
	if (v->what == SP_ALLOW && op->plan != NULL)
		session_take_pins(s, &op->plan->decision);
	if (v->what == SP_ALLOW)
		session_dial_soon(s);
	else
		session_finish(s, v->what == SP_KILL ? SP_END_RULE : SP_END_REVOKED, v->message);
	op->state = OP_DONE;
	sp_op_free(&op);
	return SP_OK;
}

/* ---- results ---- */

int
sp_columns_begin(struct sp_op *op, unsigned n)
{
	(void)n;
	buffer_drop(&op->columns, op->columns.len);
	op->ncolumns = 0;
	op->result = NULL;
	return SP_OK;
}

int
sp_column(struct sp_op *op, unsigned i, const struct sp_column *c)
{
	if (i != op->ncolumns)
		return SP_EINTERNAL;
	op->ncolumns++;
	struct sp_writer w = buffer_writer(&op->columns);
	sp_wr_be32(&w, c->type);
	sp_wr_be16(&w, c->format);
	sp_wr_u8(&w, (uint8_t)c->known);
	sp_wr_u8(&w, c->text);
	sp_wr_be32(&w, (uint32_t)c->name.len);
	sp_wr_put(&w, c->name);
	sp_wr_be32(&w, (uint32_t)c->source.len);
	sp_wr_put(&w, c->source);
	sp_wr_be32(&w, (uint32_t)c->nbehind);
	for (size_t k = 0; k < c->nbehind; k++) {
		sp_wr_be32(&w, (uint32_t)c->behind[k].len);
		sp_wr_put(&w, c->behind[k]);
	}
	return buffer_written(&op->columns, &w);
}

static struct sp_column *
columns_of(struct sp_bytes key, unsigned n)
{
	struct sp_column *c = mem_alloc((n + 1) * sizeof(*c));
	struct sp_reader r = sp_reader(key);
	for (unsigned i = 0; i < n; i++) {
		c[i].type = sp_rd_be32(&r);
		c[i].format = sp_rd_be16(&r);
		c[i].known = (enum sp_source)sp_rd_u8(&r);
		c[i].text = sp_rd_u8(&r);
		c[i].name = sp_rd_take(&r, sp_rd_be32(&r));
		c[i].source = sp_rd_take(&r, sp_rd_be32(&r));
		c[i].nbehind = sp_rd_be32(&r);
		struct sp_bytes *behind = c[i].nbehind == 0 ? NULL : mem_alloc(c[i].nbehind * sizeof(*behind));
		for (size_t k = 0; k < c[i].nbehind; k++)
			behind[k] = sp_rd_take(&r, sp_rd_be32(&r));
		c[i].behind = behind;
	}
	return c;
}

static void
columns_free(struct sp_column *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free((void *)(uintptr_t)c[i].behind);
	free(c);
}

/* A column that is hidden; one that is only looked through for what detectors know is not called so. */
static bool
is_hidden(const struct policy_masks *masks, unsigned i)
{
	const struct sp_mask *m = masks == NULL ? NULL : policy_mask(masks, i);
	return m != NULL && sp_mask_kind(m) != SP_MASK_DETECT;
}

/* The rules that hide something, each once: the first few, of a result that more of them hide. */
static void
put_hiding_rules(struct sp_writer *w, const struct policy_masks *masks, unsigned n)
{
	const char *named[16];
	size_t nnamed = 0, k;
	for (unsigned i = 0; i < n && nnamed < sizeof(named) / sizeof(*named); i++) {
		const char *rule = is_hidden(masks, i) ? policy_mask_rule(masks, i) : "";
		for (k = 0; k < nnamed && strcmp(named[k], rule) != 0; k++)
			;
		if (rule[0] == '\0' || k < nnamed)
			continue;
		named[nnamed++] = rule;
		frame_field(w, KEY_RULE, sp_str(rule));
	}
}

/* The rules that would have hidden something, and what: at a target in observe mode. */
static void
put_spared(struct sp_writer *w, const struct sp_column *c, unsigned n, const struct result_plan *r)
{
	bool masks = r->masks != NULL && policy_masked(r->masks) > 0, refused = r->decision.would.what != NULL;
	char names[512];
	size_t len = 0;
	const char *rule = refused ? r->decision.would.rule : "";
	for (size_t i = 0; i < r->decision.nobserved; i++)
		frame_field(w, KEY_OBSERVED, sp_str(r->decision.observed[i]));
	for (unsigned i = 0; masks && i < n; i++) {
		if (!is_hidden(r->masks, i))
			continue;
		rule = refused || rule[0] != '\0' ? rule : policy_mask_rule(r->masks, i);
		if (c[i].name.len + 2 < sizeof(names) - len)
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s", len == 0 ? "" : ", ", (int)c[i].name.len, (const char *)c[i].name.p);
	}
	if (!refused && len == 0)
		return;
	frame_field(w, KEY_WOULD, sp_str(refused ? r->decision.would.what : "mask"));
	frame_field(w, KEY_RULE, sp_str(rule));
	frame_field(w, KEY_MESSAGE, refused ? sp_str(r->decision.would.text) : (struct sp_bytes){ (const uint8_t *)names, len });
}

static struct sp_bytes
result_record(const struct sp_op *op, const struct sp_column *c, const struct result_plan *r)
{
	const struct policy_masks *masks = op_observed(op) ? NULL : r->masks;
	unsigned n = op->ncolumns;
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	for (unsigned i = 0; i < n; i++) {
		sp_wr_u8(&w, KEY_COLUMN);
		sp_wr_be32(&w, (uint32_t)c[i].name.len + 7);
		sp_wr_u8(&w, masks != NULL && is_hidden(masks, i));
		sp_wr_be32(&w, c[i].type);
		sp_wr_be16(&w, c[i].format);
		sp_wr_put(&w, c[i].name);
	}
	if (op_observed(op))
		put_spared(&w, c, n, r);
	else
		put_hiding_rules(&w, masks, n);
	struct sp_bytes out = { NULL, 0 };
	if (buffer_written(&b, &w) == SP_OK && b.len > 0) {
		uint8_t *p = mem_alloc(b.len);
		memcpy(p, buffer_bytes(&b).p, b.len);
		out = (struct sp_bytes){ p, b.len };
	}
	buffer_free(&b);
	return out;
}

const char *
result_kind(const struct sp_op *op, char kind[64])
{
	const char *dot = strchr(op->op.kind, '.');
	snprintf(kind, 64, "%.*s.result", dot == NULL ? 0 : (int)(dot - op->op.kind), op->op.kind);
	return kind;
}

static struct result_plan *
result_make(struct sp_op *op)
{
	struct subject who = session_subject(op->s);
	struct result_plan *r = mem_alloc(sizeof(*r));
	struct sp_bytes in = buffer_bytes(&op->columns);
	uint8_t *key = mem_alloc(in.len + 1);
	if (in.len > 0)
		memcpy(key, in.p, in.len);
	r->key = (struct sp_bytes){ key, in.len };
	struct sp_column *c = columns_of(r->key, op->ncolumns);
	char kind[64];
	int rc = policy_judge_result(op->s->run, &who, &op->op, result_kind(op, kind), c, op->ncolumns, &r->decision, &r->masks);
	if (rc != SP_OK)
		r->decision = (struct decision){ .what = SP_DENY, .because = SP_BY_ERROR, .rule = "", .text = "the policy could not judge the answer" };
	r->denied = r->decision.what != SP_ALLOW && !op_observed(op);
	r->record = result_record(op, c, r);
	if (op_observed(op))
		policy_masks_free(&r->masks);
	columns_free(c, op->ncolumns);
	r->next = op->plan->results;
	op->plan->results = r;
	if (++op->plan->nresults >= RESULTS)
		op->plan->decision.valid_until = 0; /* too many descriptions of one text: plan it anew next time */
	return r;
}

/* What the rules said of an answer holds for the next run of it, too. */
static bool
result_stands(const struct sp_op *op, const struct result_plan *r)
{
	const struct decision *d = &r->decision;
	return d->cacheable && !d->of_session && d->valid_until > op->s->w->wall;
}

int
sp_columns_judge(struct sp_op *op, const struct sp_verdict **denied_r)
{
	static struct sp_verdict denied;
	static char message[1200];
	*denied_r = NULL;
	if (op->plan == NULL)
		return sp_fail(op->s, SP_EINTERNAL, "an answer came before the verdict");
	struct result_plan *r = op->result != NULL ? op->result : op->plan->results;
	while (r != NULL && r != op->result && !(sp_bytes_eq(r->key, buffer_bytes(&op->columns)) && result_stands(op, r)))
		r = r->next;
	if (r == NULL)
		r = result_make(op);
	op->result = r;
	if (r->denied) {
		const char *rule = r->decision.rule == NULL ? "" : r->decision.rule, *text = r->decision.text == NULL ? "" : r->decision.text;
		snprintf(message, sizeof(message), "blocked by rule \"%s\": %s", rule, text);
		denied = (struct sp_verdict){ .what = r->decision.what, .because = r->decision.because, .rule = rule, .message = message };
		record_verdict(op, "deny", rule, text);
		denied.hint = denial_hint(op, "");
		*denied_r = &denied;
		op->s->denied++;
		return SP_EDENIED;
	}
	if (r->record.len > 0)
		record_frame(op->s, FRAME_COLUMNS, op->channel, op_recorded_as(op), r->record, (struct sp_bytes){ NULL, 0 });
	return r->masks == NULL ? 0 : (int)policy_masked(r->masks);
}

static struct result_plan *
result_kept(const struct sp_op *op, struct sp_bytes description, uint64_t version)
{
	struct result_plan *r = op->plan == NULL ? NULL : op->plan->results;
	while (r != NULL && !(r->sent.len > 0 && r->version == version && sp_bytes_eq(r->sent, description) && result_stands(op, r)))
		r = r->next;
	return r;
}

bool
sp_columns_again(struct sp_op *op, struct sp_bytes description, uint64_t version)
{
	struct result_plan *r = result_kept(op, description, version);
#ifdef SANITIZED /* described anew each time, and compared: sp_columns_keep() */
	r = NULL;
#endif
	op->result = r;
	return r != NULL;
}

void
sp_columns_keep(struct sp_op *op, struct sp_bytes description, uint64_t version)
{
	const struct result_plan *kept = result_kept(op, description, version);
	struct result_plan *r = op->result;
	if (kept != NULL && r != NULL && !sp_bytes_eq(kept->key, r->key)) {
		log_error("a remembered description of an answer differs from a new one");
		abort();
	}
	if (kept != NULL || r == NULL || description.len > DESCRIPTION_MAX)
		return;
	free((void *)(uintptr_t)r->sent.p);
	uint8_t *p = mem_alloc(description.len + 1);
	memcpy(p, description.p, description.len);
	r->sent = (struct sp_bytes){ p, description.len };
	r->version = version;
}

const struct sp_mask *
sp_column_mask(const struct sp_op *op, unsigned i)
{
	return op->result == NULL || op->result->masks == NULL ? NULL : policy_mask(op->result->masks, i);
}

bool
sp_op_sensitive(const struct sp_op *op)
{
	return !op_observed(op) && (op->plan == NULL || op->plan->sensitive);
}

bool
sp_column_tagged(const struct sp_session *s, struct sp_bytes column)
{
	const struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	if (s->target != NULL && s->target->mode == MODE_OBSERVE && !s->trial)
		return false;
	return t == NULL || policy_tagged(t->policy, column);
}

bool
sp_pins(const struct sp_session *s, const char *setting, const char *value)
{
	const struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	return t != NULL && policy_may_pin(t->policy, setting, value);
}

static void
warn_of_tag(void *to, const char *tag, const char *pattern, const char *file, unsigned line)
{
	sp_log(to, SP_WARN, "%s/%s has no column that tag \"%s\" means by \"%s\" (%s:%u)", sp_target_name(to), sp_target_part(to), tag,
	    pattern, file == NULL ? "?" : file, line);
}

void
sp_columns_known(struct sp_session *s, sp_columns_fn *each, void *owner)
{
	struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	if (t == NULL || t->tags_checked)
		return;
	t->tags_checked = true;
	policy_tags_unmatched(t->policy, each, owner, warn_of_tag, s);
}

/* ---- the end of it ---- */

/* Is that an end to tell?  Of what its run told of, only that the target did not take it: that is the run's end, too. */
static bool
op_ends(struct sp_op *op, bool failed)
{
	if (op->told_by == 0 || op->state == OP_DONE)
		return op->state != OP_DONE;
	LIST_EACH(n, next, &op->s->ops) {
		struct sp_op *run = LIST_OF(n, struct sp_op, all);
		if (failed && run->number == op->told_by)
			run->state = OP_DONE;
	}
	return failed;
}

int
sp_done(struct sp_op *op, const struct sp_outcome *o)
{
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	uint64_t rows = o->rows < FRAME_NUMBER_MAX ? o->rows : FRAME_NUMBER_MAX; /* a target may say what it likes */
	bool failed = o->error != NULL && o->error[0] != '\0';
	frame_field_u64(&w, KEY_ROWS, rows);
	if (failed)
		frame_field(&w, KEY_ERROR, (struct sp_bytes){ (const uint8_t *)o->error, strnlen(o->error, 32) });
	if (o->text != NULL)
		frame_field(&w, KEY_TAG, (struct sp_bytes){ (const uint8_t *)o->text, strnlen(o->text, 512) });
	if (op_ends(op, failed))
		record_frame(op->s, FRAME_DONE, op->channel, op_recorded_as(op), sp_written(&w), (struct sp_bytes){ NULL, 0 });
	if (op->s->reports && failed)
		keeper_ran(op, true);
	op->s->rows = frame_number_sum(op->s->rows, rows);
	op->s->active = op->s->w->now;
	op->state = OP_DONE;
	return SP_OK;
}

int
sp_own_statement(struct sp_session *s, struct sp_bytes text)
{
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	op_record_announced(s);
	frame_field(&w, KEY_TEXT, (struct sp_bytes){ text.p, text.len < 400 ? text.len : 400 });
	record_frame(s, FRAME_OWN, 0, 0, sp_written(&w), (struct sp_bytes){ NULL, 0 });
	s->side[SP_TARGET].gate = record_gate(s->w);
	return SP_OK;
}
