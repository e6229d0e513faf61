/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an operation to a decision: every rule is asked about every statement in it.
 *
 *   kill > deny > pinned > (failed rule, unclear) > approve > limit > allow
 *
 * A restriction applies where its `when` fits or may fit and its `unless` does not surely fit; an
 * allow applies where its `when` surely fits and its `unless` surely does not.
 */
#include <config.h>

#include "judge.h"

#include <stdlib.h>

#include "../base/clock.h"

#define SPENT_US 60000000u /* for which a rule that used up its time is not asked again */

/* ---- runs ---- */

struct policy_run *
policy_run_new(struct policy *p)
{
	struct policy_run *r = mem_alloc(sizeof(*r));

	r->p = policy_ref(p);
	return r;
}

void
policy_run_free(struct policy_run **rp)
{
	struct policy_run *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	function_close(r);
	policy_free(&r->p);
	free(r);
}

void
policy_run_reveal(struct policy_run *r)
{
	r->reveal = true;
}

void
policy_run_switch(struct policy_run *r, struct policy *p)
{
	struct policy *old = r->p;

	function_close(r);
	r->p = policy_ref(p);
	policy_free(&old);
}

void
decision_free(struct decision *d)
{
	struct arena *a = d->arena;

	*d = (struct decision){ .what = SP_DENY };
	arena_free(&a);
}

/* ---- one judgement ---- */

int
judging_begin(struct judging *j, struct policy_run *run, const struct subject *who, const struct op *op, struct arena *a)
{
	*j = (struct judging){ .run = run, .p = run->p, .arena = a, .valid_until = UINT64_MAX };
	j->budget.allowed = run->p->limits.deadline_ms * 1000;
	return asking_begin(&j->q, &run->p->schema, who, op, a);
}

void
judging_end(struct judging *j)
{
	if (j->armed)
		sandbox_disarm(j->run->box);
	j->armed = false;
}

void
judging_renew(struct judging *j)
{
	judging_end(j);
	j->budget = (struct budget){ .allowed = j->budget.allowed };
}

bool
judging_observes(const struct judging *j, const struct rule *r)
{
	(void)j;
	return r->observe;
}

bool
judging_spares(const struct judging *j)
{
	const struct target *t = j->q.who->target;

	return t != NULL && t->mode == MODE_OBSERVE;
}

void
judging_fail(struct judging *j, const struct rule *r, const char *why, const char *detail)
{
	j->failed = true;
	if (judging_observes(j, r) || j->broken != NULL)
		return;
	j->broken = r;
	j->broken_why = why;
	j->broken_detail = arena_string(j->arena, sp_str(detail));
}

void
judging_edges(struct judging *j, const struct rule *r)
{
	j->of_session = j->of_session || r->of_session;
	for (size_t i = 0; i < r->nwindows; i++) {
		uint64_t next = window_next(r->window[i], j->q.who->now);
		if (next < j->valid_until)
			j->valid_until = next;
	}
}

bool
rule_is_on(const struct rule *r, const char *kind)
{
	for (size_t i = 0; r->on[i] != NULL; i++)
		if (strcmp(r->on[i], kind) == 0)
			return true;
	return false;
}

/* ---- one rule ---- */

/* A column of unknown source may be any that the operation touches, and nothing else. */
static enum truth
fits_unknown_column(struct judging *j, const struct condition *c, const struct value *v)
{
	if (v->known == UNKNOWN)
		return MAYBE;
	/* One that fits is enough to doubt, in exceptions as well. */
	return test_fits(c->test, v, &c->attribute, true, &j->budget) == NO ? NO : MAYBE;
}

static enum truth
condition_fits(struct judging *j, const struct condition *c, bool strict)
{
	struct value v = attribute_value(&c->attribute, &j->q);
	const struct answer_column *column = j->q.column;

	if (c->attribute.source == FROM_RESULT && column != NULL && column->unknown
	    && (c->attribute.index[0] == RESULT_COLUMN || c->attribute.index[0] == RESULT_TABLE))
		return fits_unknown_column(j, c, &v);
	return test_fits(c->test, &v, &c->attribute, strict, &j->budget);
}

static enum truth
clause_fits(struct judging *j, const struct rule *r, const struct clause *c, bool strict, struct reason *why)
{
	enum truth answer = YES;

	*why = (struct reason){ .clause = c, .truth = YES };
	if (c->function) {
		answer = function_ask(j, r, c == &r->when);
		why->truth = answer;
		return answer;
	}
	for (size_t i = 0; i < c->n && answer != NO; i++) {
		enum truth one = condition_fits(j, &c->condition[i], strict);
		if (one < answer) {
			answer = one;
			why->condition = &c->condition[i];
			why->truth = one;
		}
	}
	return answer;
}

static void
check_budget(struct judging *j, const struct rule *r)
{
	if (j->budget.spent)
		judging_fail(j, r, "it ran out of time", "");
	else if (j->budget.limit)
		judging_fail(j, r, "a pattern took too many steps", "");
	j->budget.limit = false;
}

bool
rule_applies(struct judging *j, const struct rule *r, struct reason *why_r)
{
	bool permits = r->decide == DECIDE_ALLOW, applies;
	struct reason why;

	j->skipped = j->failed = false;
	enum truth when = clause_fits(j, r, &r->when, !permits, why_r);
	check_budget(j, r);
	applies = permits ? when == YES : when != NO;
	if (applies && r->unless.given) {
		enum truth unless = clause_fits(j, r, &r->unless, permits, &why);
		check_budget(j, r);
		if (permits ? unless != NO : unless == YES) {
			*why_r = why;
			applies = false;
		}
	}
	/* A rule that failed denies by itself; in observe mode it is told as one that would have applied. */
	if (j->failed)
		return judging_observes(j, r) && !permits;
	/* Wanted parameters that come only with the run: it will be judged then. */
	return applies && !j->skipped;
}

/* ---- explanation ---- */

/* The value as it may be told: findings are recorded. */
static struct value
told_value(struct judging *j, const struct attribute *a)
{
	static const struct sp_bytes hidden = { (const uint8_t *)"{hidden}", 8 };
	struct value v = attribute_value(a, &j->q);
	const struct shape *s = j->q.op == NULL ? NULL : j->q.op->shape;

	if (j->run->reveal || s == NULL || (a->source != FROM_NODE && a->source != FROM_ROOT))
		return v;
	if (j->hiding == NULL)
		j->hiding = hiding_new(j->p, s, j->arena);
	if (v.text.len > 0 && hiding_has(j->hiding, v.text))
		v.text = hidden;
	struct sp_bytes *set = v.n == 0 ? NULL : arena_alloc(j->arena, v.n * sizeof(*set));
	if (set == NULL)
		v.n = 0;
	for (size_t i = 0; i < v.n; i++)
		set[i] = hiding_has(j->hiding, v.set[i]) ? hidden : v.set[i];
	v.set = set;
	return v;
}

/* `verb is "drop", which is not any_of { "delete", "update" }` */
static const char *
condition_text(struct judging *j, const struct condition *c, enum truth truth)
{
	static const char *const fits[] = { [NO] = "which does not fit", [MAYBE] = "which may fit", [YES] = "which fits" };
	struct value v = told_value(j, &c->attribute);
	struct buffer b = { 0 };
	const char *text = NULL;
	char when[32];

	if (c->attribute.source == FROM_CORE && c->attribute.index[0] == CORE_TIME)
		return arena_printf(j->arena, "it is %s, %s %s", clock_format(v.number, when), fits[truth], c->text + strlen("time = "));
	if (buffer_printf(&b, "%s is ", c->attribute.name) == SP_OK && value_print(&v, c->attribute.type, &b) == SP_OK
	    && buffer_printf(&b, ", %s %s", fits[truth], c->text + strlen(c->attribute.name) + strlen(" = ")) == SP_OK)
		text = arena_string(j->arena, buffer_bytes(&b));
	buffer_free(&b);
	return text == NULL ? "" : text;
}

const char *
reason_text(struct judging *j, const struct rule *r, const struct reason *why, bool applies)
{
	const char *clause = why->clause == &r->unless ? "unless" : "when";
	const char *text = "";

	if (j->skipped)
		return "asked when the statement runs, with its parameters";
	if (why->clause != NULL && why->clause->function)
		return arena_printf(j->arena, "%s: the function says %s", clause,
		    why->truth == YES ? "true" : why->truth == NO ? "false" : "it is not known");
	if (why->condition != NULL)
		return arena_printf(j->arena, "%s %s", clause, condition_text(j, why->condition, why->truth));
	if (r->decide == DECIDE_ALLOW && why->clause == NULL)
		return "nothing that it lifts is unclear here";
	if (!applies && why->clause == &r->unless)
		clause = "unless";
	for (size_t i = 0; why->clause != NULL && i < why->clause->n; i++)
		text = arena_printf(j->arena, "%s%s%s", text == NULL ? "" : text, i == 0 ? "" : "; ",
		    condition_text(j, &why->clause->condition[i], YES));
	if (why->clause == NULL || why->clause->n == 0)
		return "it has no condition";
	return arena_printf(j->arena, "%s %s", clause, text == NULL ? "" : text);
}

static void
add_finding(struct judging *j, struct finding *f, const struct rule *r, bool applies, const struct reason *why)
{
	const char *text = reason_text(j, r, why, applies);

	*f = (struct finding){ .rule = r->name, .file = r->file, .line = r->line, .applies = applies,
		.observed = applies && (r->observe || (judging_spares(j) && r->decide != DECIDE_ALLOW)), .decision = decide_name[r->decide], .why = text == NULL ? "" : text };
}

/* ---- decisions ---- */

int
decision_observe(struct decision *d, const char *rule)
{
	for (size_t i = 0; i < d->nobserved; i++)
		if (strcmp(d->observed[i], rule) == 0)
			return SP_OK;
	const char **more = arena_alloc(d->arena, (d->nobserved + 1) * sizeof(*more));
	if (more == NULL)
		return SP_ENOMEM;
	if (d->nobserved > 0)
		memcpy(more, d->observed, d->nobserved * sizeof(*more));
	more[d->nobserved++] = rule;
	d->observed = more;
	return SP_OK;
}

static int
add_approval(struct judging *j, struct decision *d, const struct rule *r)
{
	struct approval_rule *more = arena_alloc(d->arena, (d->napprovals + 1) * sizeof(*more));
	const struct principal *who = j->q.who->principal;

	if (more == NULL)
		return SP_ENOMEM;
	if (d->napprovals > 0)
		memcpy(more, d->approval, d->napprovals * sizeof(*more));
	more[d->napprovals] = r->approval;
	/* A program can't sit and wait: it comes again once a person agreed. */
	if (!r->next_run_given)
		more[d->napprovals].next_run = who == NULL || who->class == NULL || strcmp(who->class, "human") != 0;
	d->approval = more;
	d->napprovals++;
	return SP_OK;
}

static int
add_limit(struct decision *d, const struct rule *r)
{
	struct limit_rule *more = arena_alloc(d->arena, (d->nlimits + 1) * sizeof(*more));

	if (more == NULL)
		return SP_ENOMEM;
	if (d->nlimits > 0)
		memcpy(more, d->limit, d->nlimits * sizeof(*more));
	more[d->nlimits++] = r->limit;
	d->limit = more;
	return SP_OK;
}

/* ---- what stays as it is for a whole session ---- */

static const struct sp_module *
module_named(const struct policy_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n; i++)
		if (strcmp(schema->module[i]->name, name) == 0)
			return schema->module[i];
	return NULL;
}

/* NULL: nothing is in the way of this pin. */
static const char *
pin_trouble(struct judging *j, const struct decision *d, const struct pin *pin)
{
	const struct sp_module *m = module_named(&j->p->schema, j->q.who->module);
	const char *err, *text = NULL;

	if (m == NULL || m->pinnable == NULL || m->pinnable(pin->name, pin->value, &err) != SP_OK)
		text = arena_printf(j->arena, "%s can't be pinned on targets of this protocol", pin->name);
	for (size_t i = 0; i < d->npins && text == NULL; i++)
		if (strcmp(d->pin[i].name, pin->name) == 0 && strcmp(d->pin[i].value, pin->value) != 0)
			text = arena_printf(j->arena, "it pins %s to \"%s\", and rule \"%s\" to \"%s\"", pin->name, pin->value,
			    d->pin[i].rule, d->pin[i].value);
	return text;
}

static bool
is_pinned(const struct decision *d, const char *name)
{
	for (size_t i = 0; i < d->npins; i++)
		if (strcmp(d->pin[i].name, name) == 0)
			return true;
	return false;
}

static int
add_pins(struct judging *j, struct decision *d, const struct rule *r)
{
	struct pin *more = arena_alloc(d->arena, (d->npins + r->npins) * sizeof(*more));

	if (more == NULL)
		return SP_ENOMEM;
	if (d->npins > 0)
		memcpy(more, d->pin, d->npins * sizeof(*more));
	d->pin = more;
	for (size_t i = 0; i < r->npins; i++) {
		const char *trouble = pin_trouble(j, d, &r->pin[i]);
		if (trouble != NULL)
			judging_fail(j, r, trouble, "");
		else if (!is_pinned(d, r->pin[i].name))
			more[d->npins++] = r->pin[i];
	}
	return SP_OK;
}

/* The pin that this change would undo, or NULL. */
static const struct pin *
pin_against(const struct subject *who, const struct change *c)
{
	for (size_t i = 0; i < who->npins; i++)
		if (c->name == NULL || (strcmp(c->name, who->pin[i].name) == 0 && (c->value == NULL || strcmp(c->value, who->pin[i].value) != 0)))
			return &who->pin[i];
	return NULL;
}

/* What the operation would unpin, in words; *pin_r NULL: nothing. */
static const char *
unpins(struct judging *j, const struct pin **pin_r)
{
	const struct shape *s = j->q.op == NULL ? NULL : j->q.op->shape;

	*pin_r = NULL;
	for (size_t i = 0; s != NULL && i < s->nchanges; i++) {
		const struct change *c = &s->change[i];
		*pin_r = pin_against(j->q.who, c);
		if (*pin_r == NULL)
			continue;
		const char *text = arena_printf(j->arena, "%s stays \"%s\" in this session%s", (*pin_r)->name, (*pin_r)->value,
		    c->name == NULL ? ": code that can't be seen might change it" : c->value == NULL ? ": it might be otherwise after this" : "");
		return text == NULL ? "" : text;
	}
	return "";
}

struct verdicts { /* what the rules said, before the strictest wins */
	const struct rule *kill, *deny;
	bool *lifted;         /* by index of the shape's unclear parts */
};

static int
take(struct judging *j, struct decision *d, struct verdicts *v, const struct rule *r)
{
	if (r->observe || (judging_spares(j) && r->decide != DECIDE_ALLOW)) {
		/* Whether a limit is reached is found out where it is counted. */
		int rc = !r->observe && r->decide == DECIDE_LIMIT ? SP_OK : decision_observe(d, r->name);
		if (r->observe || rc != SP_OK || r->decide == DECIDE_PIN)
			return rc;
	}
	switch (r->decide) {
	case DECIDE_KILL:
		v->kill = v->kill == NULL ? r : v->kill;
		return SP_OK;
	case DECIDE_DENY:
		v->deny = v->deny == NULL ? r : v->deny;
		return SP_OK;
	case DECIDE_APPROVE:
		return j->prepare ? SP_OK : add_approval(j, d, r);
	case DECIDE_LIMIT:
		return j->prepare ? SP_OK : add_limit(d, r);
	case DECIDE_PIN:
		return add_pins(j, d, r);
	default:
		return SP_OK;
	}
}

/* A restriction applies when it does to any statement. */
static bool
ask_restriction(struct judging *j, const struct rule *r, struct reason *why_r)
{
	const struct shape *s = j->q.op == NULL ? NULL : j->q.op->shape;
	struct reason why = { 0 };
	size_t n = s == NULL ? 1 : s->nnodes;

	for (size_t i = 0; i < n; i++) {
		j->q.node = s == NULL ? NULL : &s->node[i];
		bool applies = rule_applies(j, r, &why);
		if (applies || i == 0)
			*why_r = why;
		if (applies)
			return true; /* j->q.node is where */
		if (j->budget.spent)
			break;
	}
	if (s != NULL)
		j->q.node = s->node;
	return false;
}

static bool
lifts(struct judging *j, const struct rule *r, const struct unclear *u)
{
	if (strcmp(r->allow.why, u->why) != 0)
		return false;
	if (r->allow.name == NULL)
		return u->name.len == 0;
	return test_fits_text(r->allow.name, u->name, false, &j->budget) == YES;
}

/* An allow is asked about the statement in which the unclear part stands. */
static bool
ask_allow(struct judging *j, const struct rule *r, struct verdicts *v, struct reason *why_r)
{
	const struct shape *s = j->q.op == NULL ? NULL : j->q.op->shape;
	bool any = false;
	struct reason why = { 0 };

	*why_r = why;
	for (size_t i = 0; s != NULL && i < s->nunclear; i++) {
		const struct unclear *u = &s->unclear[i];
		if (v->lifted[i] || !lifts(j, r, u) || u->node >= s->nnodes)
			continue;
		j->q.node = &s->node[u->node];
		bool applies = rule_applies(j, r, &why);
		if (applies || !any)
			*why_r = why;
		if (applies && !judging_observes(j, r))
			v->lifted[i] = true;
		any = any || applies;
	}
	if (s != NULL)
		j->q.node = s->node;
	return any;
}

/* Lengths first: no name of another's choosing makes the text long. */
static const char *
unclear_text(struct judging *j, const struct unclear *u)
{
	const char *why = arena_printf(j->arena, "unclear: %.40s", u->why);
	struct buffer b = { 0 };

	if (u->name.len > 0 && why != NULL && text_print((struct sp_bytes){ u->name.p, u->name.len > 80 ? 80 : u->name.len }, &b) == SP_OK) {
		struct sp_bytes name = buffer_bytes(&b);
		why = arena_printf(j->arena, "%s %.*s", why, (int)name.len, (const char *)name.p);
	}
	buffer_free(&b);
	return why == NULL ? "unclear" : why;
}

static void
refuse(struct decision *d, enum sp_what what, enum sp_because because, const char *rule, const char *text)
{
	d->what = what;
	d->because = because;
	d->rule = rule;
	d->text = text;
	d->hold = false;
	d->approval = NULL;
	d->limit = NULL;
	d->napprovals = d->nlimits = 0;
}

/* P10: it is not asked again for a while: whatever the next run's parameters, it would cost as much. */
static void
remember(const struct judging *j, struct decision *d)
{
	uint64_t until = j->q.who->now + SPENT_US;
	d->cacheable = true;
	if (d->valid_until > until)
		d->valid_until = until;
}

void
decision_spare(struct decision *d)
{
	static const char *const what[] = { [SP_DENY] = "deny", [SP_ALLOW] = "held", [SP_KILL] = "kill" };

	if (d->what != SP_ALLOW || d->hold) {
		d->would.what = what[d->what];
		d->would.rule = d->rule == NULL ? "" : d->rule;
		d->would.text = d->text == NULL ? "" : d->text;
	}
	d->what = SP_ALLOW;
	d->because = SP_BY_RULE;
	d->hold = false;
	d->rule = d->text = "";
	d->unclear = NULL;
}

/* The strictest wins. */
static void
conclude(struct judging *j, struct decision *d, const struct verdicts *v)
{
	const struct op *op = j->q.op;
	const struct shape *s = op == NULL ? NULL : op->shape;
	const struct pin *pin;
	const char *unpinned = unpins(j, &pin);

	d->unpins = pin == NULL ? NULL : pin->rule;
	d->cacheable = !j->uncacheable;
	d->of_session = j->of_session;
	d->detail = "";
	d->valid_until = j->valid_until;
	if (v->kill != NULL) {
		refuse(d, SP_KILL, SP_BY_RULE, v->kill->name, v->kill->text);
		return;
	}
	if (v->deny != NULL) {
		refuse(d, SP_DENY, SP_BY_RULE, v->deny->name, v->deny->text);
		return;
	}
	if (pin != NULL) {
		refuse(d, SP_DENY, SP_BY_RULE, pin->rule, unpinned);
		return;
	}
	if (j->broken != NULL) {
		const char *text = arena_printf(j->arena, "the rule failed: %s", j->broken_why);
		if (j->spent)
			remember(j, d);
		refuse(d, SP_DENY, SP_BY_ERROR, j->broken->name, text == NULL ? "the rule failed" : text);
		d->detail = j->broken_detail == NULL ? "" : j->broken_detail;
		return;
	}
	if (op != NULL && (op->failed || (s != NULL && s->failed))) {
		refuse(d, SP_DENY, SP_BY_UNCLEAR, "", "it could not be analysed");
		return;
	}
	for (size_t i = 0; s != NULL && i < s->nunclear; i++) {
		if (!v->lifted[i]) {
			refuse(d, SP_DENY, SP_BY_UNCLEAR, "", unclear_text(j, &s->unclear[i]));
			d->unclear = s->unclear[i].why;
			return;
		}
	}
	d->what = SP_ALLOW;
	d->because = SP_BY_RULE;
	d->hold = d->napprovals > 0;
	d->rule = d->hold ? d->approval[0].rule : "";
	d->text = d->hold ? d->approval[0].text : "";
}

/* "sql.prepare" is judged by the rules on "sql.statement", as far as they refuse. */
static bool
rule_concerns(const struct judging *j, const struct rule *r, const char *kind)
{
	char buf[64];

	if (r->class == KIND_RESULT || r->class == KIND_OUTPUT)
		return false;
	return rule_is_on(r, kind) || (j->prepare && rule_is_on(r, kind_statement(kind, buf)));
}

/*
 * Rules that count are asked before those that observe, which get time of their own: whatever
 * happens to an observing rule, the verdict stays.
 */
static int
ask_rules(struct judging *j, const char *kind, struct decision *d, struct verdicts *v, struct finding *findings, size_t *n_r)
{
	int rc = SP_OK;

	for (int observing = 0; observing < 2; observing++) {
		size_t n = 0;
		for (size_t i = 0; i < j->p->nrules && rc == SP_OK; i++) {
			const struct rule *r = j->p->rule[i];
			struct reason why = { 0 };
			if (!rule_concerns(j, r, kind))
				continue;
			n++;
			if (judging_observes(j, r) != (observing != 0))
				continue;
			judging_edges(j, r);
			bool applies = r->decide == DECIDE_ALLOW ? ask_allow(j, r, v, &why) : ask_restriction(j, r, &why);
			if (applies)
				rc = take(j, d, v, r);
			if (findings != NULL)
				add_finding(j, &findings[n - 1], r, applies, &why);
		}
		*n_r = n;
		judging_renew(j);
	}
	return rc;
}

int
policy_judge(struct policy_run *run, const struct subject *who, const struct op *op, struct decision *d_r,
    struct finding **findings_r, size_t *nfindings_r)
{
	const struct shape *s = op->shape;
	struct judging j;
	struct verdicts v = { 0 };
	struct finding *findings = NULL;
	size_t n = 0;

	*d_r = (struct decision){ .what = SP_DENY, .because = SP_BY_ERROR, .rule = "", .text = "out of memory",
		.detail = "" };
	if (findings_r != NULL) {
		*findings_r = NULL;
		*nfindings_r = 0;
	}
	d_r->arena = arena_new(0);
	if (d_r->arena == NULL || judging_begin(&j, run, who, op, d_r->arena) != SP_OK)
		return SP_ENOMEM;
	j.prepare = kind_class(&run->p->schema, op->kind) == KIND_PREPARE;
	j.kind = op->kind;
	v.lifted = arena_alloc(d_r->arena, s == NULL ? 1 : s->nunclear + 1);
	if (findings_r != NULL)
		findings = arena_alloc(d_r->arena, (run->p->nrules + 1) * sizeof(*findings));
	if (v.lifted == NULL || (findings_r != NULL && findings == NULL))
		return SP_ENOMEM;
	int rc = ask_rules(&j, op->kind, d_r, &v, findings, &n);
	if (rc != SP_OK) {
		refuse(d_r, SP_DENY, SP_BY_ERROR, "", "out of memory");
		return rc;
	}
	conclude(&j, d_r, &v);
	if (judging_spares(&j))
		decision_spare(d_r);
	d_r->lifted = v.lifted;
	if (findings_r != NULL) {
		*findings_r = findings;
		*nfindings_r = n;
	}
	return SP_OK;
}

int
policy_pins(struct policy_run *run, const struct subject *who, const struct sp_module *m, struct decision *d_r)
{
	struct op op = { .kind = "session" };

	*d_r = (struct decision){ .what = SP_DENY };
	if (!run->p->pins)
		return SP_OK;
	op.shape = shape_empty(m, op.kind);
	int rc = op.shape == NULL ? SP_ENOMEM : policy_judge(run, who, &op, d_r, NULL, NULL);
	shape_free(&op.shape);
	return rc == SP_OK && d_r->what != SP_ALLOW && d_r->because == SP_BY_ERROR ? SP_EDENIED : rc;
}

bool
policy_is_on(const struct policy *p, const char *kind)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (rule_is_on(p->rule[i], kind))
			return true;
	return false;
}

bool
policy_may_pin(const struct policy *p, const char *name, const char *value)
{
	for (size_t i = 0; i < p->nrules; i++)
		for (size_t k = 0; k < p->rule[i]->npins; k++)
			if (strcmp(p->rule[i]->pin[k].name, name) == 0 && strcmp(p->rule[i]->pin[k].value, value) == 0)
				return true;
	return false;
}
