/* SPDX-License-Identifier: Apache-2.0 */
/* Why a verdict is what it is: what was asked, what each rule said, and what would make it pass. */
#include <config.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "judge.h"
#include "rule.h"

#define STATEMENTS 64 /* that are told of; a rule that applied to a later one is told all the same */

/* Bytes of others may be no UTF-8. */
static json_t *
text_of(struct sp_bytes text)
{
	json_t *o = json_stringn((const char *)text.p, text.len);

	return o == NULL ? json_string("{not UTF-8}") : o;
}

static const struct rule *
rule_named(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (strcmp(p->rule[i]->name, name) == 0)
			return p->rule[i];
	return NULL;
}

/* ---- what was asked ---- */

struct json_t *
policy_statements(const struct op *op)
{
	const struct shape *s = op->shape;
	json_t *list = json_array();

	for (size_t i = 0; s != NULL && i < s->nnodes && i < STATEMENTS; i++) {
		json_t *one = json_object();
		for (unsigned k = 0; k < s->nattrs; k++) {
			struct buffer b = { 0 };
			const struct sp_attr *a = &s->module->attrs[k];
			if (s->node[i].value[k].known == ABSENT || value_print(&s->node[i].value[k], a->type, &b) != SP_OK)
				continue;
			json_object_set_new(one, a->name, text_of(buffer_bytes(&b)));
			buffer_free(&b);
		}
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *
unclear_parts(const struct op *op, const struct decision *d)
{
	const struct shape *s = op->shape;
	json_t *list = json_array();

	for (size_t i = 0; s != NULL && i < s->nunclear && i < STATEMENTS; i++) {
		const struct unclear *u = &s->unclear[i];
		json_t *o = json_object();
		json_object_set_new(o, "why", json_string(u->why));
		json_object_set_new(o, "name", text_of(u->name));
		json_object_set_new(o, "statement", json_integer((json_int_t)u->node));
		json_object_set_new(o, "lifted", json_boolean(d->lifted != NULL && d->lifted[i]));
		json_array_append_new(list, o);
	}
	return list;
}

/* ---- what each rule said ---- */

static json_t *
conditions(const struct clause *c)
{
	json_t *list = json_array();

	if (c->function)
		json_array_append_new(list, json_string("its function says true"));
	for (size_t i = 0; i < c->n; i++)
		json_array_append_new(list, json_string(c->condition[i].text));
	return list;
}

static json_t *
one_rule(const struct policy *p, const struct finding *f)
{
	const struct rule *r = rule_named(p, f->rule);
	char place[512];
	json_t *o = json_object();

	snprintf(place, sizeof(place), "%s:%u", f->file, f->line);
	json_object_set_new(o, "rule", json_string(f->rule));
	json_object_set_new(o, "place", json_string(place));
	json_object_set_new(o, "decision", json_string(f->decision));
	json_object_set_new(o, "applies", json_boolean(f->applies));
	json_object_set_new(o, "observed", json_boolean(f->observed));
	json_object_set_new(o, "why", text_of(sp_str(f->why)));
	if (r == NULL || !f->applies)
		return o; /* what did not apply needs no more words */
	json_object_set_new(o, "doc", json_string(r->doc));
	json_object_set_new(o, "text", json_string(r->text == NULL ? "" : r->text));
	json_object_set_new(o, "when", conditions(&r->when));
	json_object_set_new(o, "unless", conditions(&r->unless));
	return o;
}

/* ---- what would make it pass ---- */

static int
say_conditions(const struct clause *c, const char *between, struct buffer *b)
{
	int rc = SP_OK;

	for (size_t i = 0; i < c->n && rc == SP_OK; i++)
		rc = buffer_printf(b, "%s%s", i == 0 ? "" : between, c->condition[i].text);
	if (c->function && rc == SP_OK)
		rc = buffer_printf(b, "its function says so");
	return rc;
}

static int
say_refusing(const struct rule *r, struct buffer *b)
{
	int rc = buffer_printf(b, "rule \"%s\" must not apply", r->name);

	if (rc == SP_OK && (r->when.n > 0 || r->when.function)) {
		rc = buffer_printf(b, ": one of these must not be so: ");
		if (rc == SP_OK)
			rc = say_conditions(&r->when, "; ", b);
	}
	if (rc == SP_OK && r->unless.given) {
		rc = buffer_printf(b, "; or all of these must: ");
		if (rc == SP_OK)
			rc = say_conditions(&r->unless, "; ", b);
	}
	return rc;
}

static int
say_waiting(const struct approval_rule *a, struct buffer *b)
{
	bool minutes = a->within % 60000 == 0;
	int rc = *a->by == '\0' ? buffer_printf(b, "the agent's sponsor")
	    : a->count == 1 ? buffer_printf(b, "somebody of the group \"%s\"", a->by)
			     : buffer_printf(b, "%u people of the group \"%s\"", a->count, a->by);

	if (rc != SP_OK)
		return rc;
	if (a->sponsor && *a->by != '\0')
		rc = buffer_printf(b, ", or the agent's sponsor,");
	return rc != SP_OK ? rc : buffer_printf(b, " must approve it within %" PRIu64 " %s, for rule \"%s\"%s%s", minutes ? a->within / 60000 : a->within / 1000,
	    minutes ? "min" : "s", a->rule, a->reason ? ", with a comment" : "", a->next_run ? "; then it is sent again" : "");
}

static int
say_unclear(const struct unclear *u, struct buffer *b)
{
	int rc = buffer_printf(b, "it must be clear, or a rule must allow this: { unclear = \"%s\"", u->why);

	if (rc == SP_OK && u->name.len > 0) {
		rc = buffer_printf(b, ", name = ");
		if (rc == SP_OK)
			rc = text_print((struct sp_bytes){ u->name.p, u->name.len < 80 ? u->name.len : 80 }, b);
	}
	return rc == SP_OK ? buffer_printf(b, " }") : rc;
}

static void
take_sentence(json_t *list, struct buffer *b, int rc)
{
	if (rc == SP_OK)
		json_array_append_new(list, text_of(buffer_bytes(b)));
	buffer_free(b);
}

static json_t *
to_pass(const struct policy *p, const struct op *op, const struct decision *d, const struct finding *f, size_t n)
{
	const struct shape *s = op->shape;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct rule *r = f[i].applies ? rule_named(p, f[i].rule) : NULL;
		struct buffer b = { 0 };
		if (r != NULL && !r->observe && (r->decide == DECIDE_KILL || r->decide == DECIDE_DENY))
			take_sentence(list, &b, say_refusing(r, &b));
	}
	/* A rule on its answer, asked before it runs. */
	const struct rule *answer = json_array_size(list) > 0 || d->what == SP_ALLOW || d->because != SP_BY_RULE ? NULL : rule_named(p, d->rule);
	if (answer != NULL) {
		struct buffer b = { 0 };
		take_sentence(list, &b, say_refusing(answer, &b));
	}
	for (size_t i = 0; s != NULL && i < s->nunclear && i < STATEMENTS; i++) {
		struct buffer b = { 0 };
		if (d->lifted == NULL || !d->lifted[i])
			take_sentence(list, &b, say_unclear(&s->unclear[i], &b));
	}
	for (size_t i = 0; i < d->napprovals; i++) {
		struct buffer b = { 0 };
		take_sentence(list, &b, say_waiting(&d->approval[i], &b));
	}
	if (d->what != SP_ALLOW && d->because == SP_BY_ERROR)
		json_array_append_new(list, json_string("the rule must not fail: its author has to mend it"));
	else if (d->what != SP_ALLOW && (op->failed || (s != NULL && s->failed)))
		json_array_append_new(list, json_string("it can't be analysed, and no rule can allow that"));
	return list;
}

int
policy_explain(const struct policy *p, const struct op *op, const struct decision *d, const struct finding *f, size_t n,
    bool values, struct buffer *json)
{
	static const char *const because[] = { [SP_BY_RULE] = "rule", [SP_BY_LIMIT] = "limit", [SP_BY_UNCLEAR] = "unclear",
		[SP_BY_ERROR] = "error", [SP_BY_PERSON] = "person", [SP_BY_SIZE] = "size" };
	json_t *o = json_object(), *rules = json_array();

	json_object_set_new(o, "kind", json_string(op->kind));
	json_object_set_new(o, "verdict", json_string(d->what == SP_KILL ? "kill" : d->what == SP_DENY ? "deny" : d->hold ? "held" : "allow"));
	json_object_set_new(o, "because", json_string(because[d->because]));
	json_object_set_new(o, "rule", json_string(d->rule == NULL ? "" : d->rule));
	json_object_set_new(o, "text", text_of(sp_str(d->text == NULL ? "" : d->text)));
	if (d->would.what != NULL)
		json_object_set_new(o, "would", json_pack("{s:s,s:s,s:o}", "verdict", d->would.what, "rule", d->would.rule, "text", text_of(sp_str(d->would.text))));
	if (values)
		json_object_set_new(o, "statements", policy_statements(op));
	json_object_set_new(o, "unclear", unclear_parts(op, d));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rules, one_rule(p, &f[i]));
	json_object_set_new(o, "rules", rules);
	json_object_set_new(o, "pass", to_pass(p, op, d, f, n));
	char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(o);
	if (text == NULL)
		return SP_ENOMEM;
	int rc = buffer_put(json, sp_str(text));
	json_free_t release;
	json_get_alloc_funcs(NULL, &release);
	release(text);
	return rc;
}

int
policy_what_if(struct policy_run *run, struct subject *who, const struct op *op, struct decision *session_r, struct buffer *json)
{
	struct decision d = { 0 };
	struct finding *f;
	size_t n;
	int rc = policy_pins(run, who, op->shape->module, session_r);

	who->pin = session_r->pin;
	who->npins = session_r->npins;
	if (rc == SP_OK || rc == SP_EDENIED) /* the session itself tells why */
		rc = policy_judge_whole(run, who, op, &d, &f, &n);
	if (rc == SP_OK)
		rc = policy_explain(run->p, op, &d, f, n, true, json);
	decision_free(&d);
	return rc;
}
