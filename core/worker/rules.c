/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules, told to the keeper: what there are, and what they would say of a text that nobody sent.
 *
 *   {"target": NAME or ""}                        → {"epoch", "policies": [{"target", "mode", and what policy_describe() says}]}
 *   {"target", "principal", "text", "kind", …}    → what policy_explain() says, and the policy's hash
 *
 * Judged by the policy and the module's settings that sessions have, at a cost that is one operation's: the module's
 * limits of depth and memory, the rules' deadline.  Nothing is charged, nothing is remembered, nothing runs.
 */
#include <config.h>

#include "rules.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "epoch_use.h"

static int
answer(struct worker *w, uint32_t id, unsigned status, json_t *o)
{
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	const struct message m = { .type = MSG_RULED, .id = id,
		.f = { Q(text == NULL ? 503 : status), Z(text == NULL ? "{\"error\":\"a worker has no memory for the answer\"}" : text) } };
	int rc = w->keeper == NULL ? SP_OK : link_send(w->keeper, &m);
	free(text);
	json_decref(o);
	if (rc != SP_ETOOBIG)
		return rc;
	return link_send(w->keeper, &(struct message){ .type = MSG_RULED, .id = id,
	    .f = { Q(409), Z("{\"error\":\"the rules of all targets are more than one answer holds: name one target\"}") } });
}

/* ---- what there are ---- */

static json_t *
described(const struct target_use *t)
{
	struct buffer b = { 0 };
	json_t *o = t->policy != NULL && policy_describe(t->policy, &b) == SP_OK ? json_loadb((const char *)buffer_bytes(&b).p, b.len, 0, NULL) : NULL;
	buffer_free(&b);
	if (o == NULL || json_object_set_new(o, "target", json_string(t->target->b.name)) != 0 ||
	    json_object_set_new(o, "mode", json_string(t->target->mode == MODE_OBSERVE ? "observe" : "enforce")) != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *
list(const struct worker_epoch *u, const char *target)
{
	json_t *policies = json_array();
	for (size_t i = 0; i < u->ntargets; i++)
		if (target[0] == '\0' || strcmp(target, u->target[i].target->b.name) == 0)
			(void)json_array_append_new(policies, described(&u->target[i]));
	return json_pack("{s:I,s:o}", "epoch", (json_int_t)u->epoch->number, "policies", policies);
}

/* ---- what they would say ---- */

struct asked {
	const json_t *args;
	struct arena *arena;
	struct target_use *target;
	struct principal who;
	struct fact fact[3];
	struct subject subject;
	struct sp_scope scope;
	struct op op;
};

static const char *
word(const struct asked *q, const char *name)
{
	const char *text = json_string_value(json_object_get(q->args, name));
	return text == NULL ? "" : text;
}

static bool
has_kind(const struct sp_module *m, const char *kind)
{
	for (size_t i = 0; m->kinds[i] != NULL; i++)
		if (strcmp(m->kinds[i], kind) == 0)
			return true;
	return strcmp(kind, "session") == 0;
}

/* Any listener that speaks its protocol has settings as good: what a module classifies by stands in the target. */
static const void *
conf_for(struct worker_epoch *u, struct target_use *t)
{
	const char *err;
	for (size_t i = 0; i < u->nlisteners; i++)
		if (u->listener[i].module == t->module)
			return epoch_use_conf(u, t, u->listener[i].listener, &err);
	return NULL;
}

/* NULL: *q is ready; else why not. */
static const char *
prepare(struct worker *w, struct asked *q)
{
	static const char *const facts[] = { "database", "role", "search_path" };
	struct sp_bytes who = sp_str(word(q, "principal"));
	q->target = epoch_use_target(w->epoch, word(q, "target"));
	if (q->target == NULL || q->target->module == NULL || q->target->policy == NULL)
		return "there is no such target";
	if (principal_parse(q->arena, who, &q->who) != SP_OK)
		return "nobody is named whom the rules could judge";
	q->op.kind = word(q, "kind");
	if (!has_kind(q->target->module, q->op.kind))
		return "the target's protocol has no such kind of operation";
	q->subject = (struct subject){ .principal = &q->who, .target = q->target->target, .session = "explain", .address = word(q, "address"),
		.module = q->target->module->name, .fact = q->fact, .now = clock_wall_us() };
	if (word(q, "at")[0] != '\0' && !policy_time(q->arena, word(q, "at"), &q->subject.now))
		return "\"at\" is a time like \"2026-11-24 10:00 Europe/Berlin\"";
	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		if (word(q, facts[i])[0] != '\0')
			q->fact[q->subject.nfacts++] = (struct fact){ facts[i], sp_str(word(q, facts[i])) };
	q->scope.conf = conf_for(w->epoch, q->target);
	return q->scope.conf == NULL ? "no listener speaks the target's protocol" : NULL;
}

static json_t *
judged(struct asked *q)
{
	const struct sp_module *m = q->target->module;
	struct decision session = { 0 };
	struct buffer b = { 0 };
	char hash[2 * DIGEST_LEN + 1];
	json_t *o = NULL;
	q->op.shape = strcmp(q->op.kind, "session") == 0 ? shape_empty(m, q->op.kind) : shape_make(m, &q->scope, q->op.kind, sp_str(word(q, "text")));
	if (q->op.shape == NULL)
		return NULL;
	struct policy_run *run = policy_run_new(q->target->policy);
	policy_run_reveal(run);
	if (policy_what_if(run, &q->subject, &q->op, &session, &b) == SP_OK)
		o = json_loadb((const char *)buffer_bytes(&b).p, b.len, 0, NULL);
	text_hex((struct sp_bytes){ policy_hash(q->target->policy), DIGEST_LEN }, hash);
	if (o != NULL)
		(void)json_object_set_new(o, "policy", json_string(hash));
	buffer_free(&b);
	decision_free(&session);
	policy_run_free(&run);
	shape_free(&q->op.shape);
	return o;
}

static int
explain(struct worker *w, uint32_t id, const json_t *args)
{
	struct asked q = { .args = args, .arena = arena_new(0) };
	const char *wrong = q.arena == NULL ? "no memory" : prepare(w, &q);
	json_t *o = wrong != NULL ? NULL : judged(&q);
	unsigned status = wrong != NULL ? 400 : o == NULL ? 503 : 200;
	if (o == NULL)
		o = json_pack("{s:s}", "error", wrong != NULL ? wrong : "the rules could not be asked; the worker's log says why");
	arena_free(&q.arena);
	return answer(w, id, status, o);
}

int
rules_asked(struct worker *w, const struct message *m)
{
	json_t *args = json_loadb((const char *)m->f[0].s.p, m->f[0].s.len, JSON_REJECT_DUPLICATES, NULL);
	const char *target = json_string_value(json_object_get(args, "target"));
	int rc = target == NULL ? SP_EPROTO
	    : json_object_get(args, "principal") == NULL ? answer(w, m->id, 200, list(w->epoch, target))
							 : explain(w, m->id, args);
	json_decref(args);
	return rc;
}
