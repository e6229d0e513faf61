/* SPDX-License-Identifier: Apache-2.0 */
/* `policy explain`: what the rules would say of a text, without a gateway: for whom, where and when the options say. */
#include <config.h>

#include "explain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../module/load.h"
#include "../policy/mask.h"
#include "policies.h"

#define DEFAULT_CONF SYSCONFDIR "/sallyport/sallyport.conf"

struct asked { /* who asks what, where */
	struct policies p;
	struct epoch *epoch;
	struct principal who;
	struct target target;
	struct subject subject;
	struct fact fact[4];
	struct op op;
	struct sp_scope scope;
	struct sp_column *column;
	size_t ncolumns;
};

/* ---- from words to structures ---- */

/* "a,b" */
static struct sp_strings
split(struct arena *a, const char *list)
{
	struct sp_reader r = sp_reader(sp_str(list == NULL ? "" : list));
	const char **v = arena_alloc(a, (r.left + 2) * sizeof(*v));
	struct sp_strings s = { v, 0 };
	while (v != NULL && r.left > 0) {
		struct sp_bytes word = memchr(r.p, ',', r.left) == NULL ? sp_rd_rest(&r) : sp_rd_until(&r, ',');
		if (word.len > 0)
			v[s.n++] = arena_string(a, word);
	}
	return s;
}

static int
set_labels(struct run *r, struct asked *q)
{
	struct sp_strings list = split(q->p.arena, option(r, "label"));
	const char **key = arena_alloc(q->p.arena, (list.n + 1) * sizeof(*key)), **value = arena_alloc(q->p.arena, (list.n + 1) * sizeof(*value));
	if (option(r, "label") == NULL)
		return DONE;
	for (size_t i = 0; i < list.n; i++) {
		const char *equals = strchr(list.v[i], '=');
		if (equals == NULL)
			return misused(r, "--label takes NAME=VALUE,…, not \"%s\"", list.v[i]);
		key[i] = arena_string(q->p.arena, (struct sp_bytes){ (const uint8_t *)list.v[i], (size_t)(equals - list.v[i]) });
		value[i] = equals + 1;
	}
	q->target.label = (struct pairs){ key, value, list.n };
	return DONE;
}

static const char *
given(const struct run *r, const char *name, const char *otherwise)
{
	return option(r, name) == NULL ? otherwise : option(r, name);
}

static int
set_who(struct run *r, struct asked *q)
{
	const char *self = getenv("USER");
	const char *user = given(r, "user", self == NULL ? "user" : self);
	q->who = (struct principal){ .identity = "none", .issuer = "", .subject = user, .user = user, .name = user, .person = user,
		.class = given(r, "class", "human"), .sponsor = given(r, "sponsor", ""), .token = "" };
	q->who.groups = split(q->p.arena, option(r, "groups"));
	q->who.roles = split(q->p.arena, option(r, "roles"));
	q->subject = (struct subject){ .principal = &q->who, .target = &q->target, .session = "explain", .address = given(r, "address", ""),
		.module = q->p.module->name, .fact = q->fact, .now = clock_wall_us() };
	if (option(r, "at") != NULL && !policy_time(q->p.arena, option(r, "at"), &q->subject.now))
		return misused(r, "--at takes a time like \"2026-11-24 10:00 Europe/Berlin\"");
	static const char *const facts[] = { "database", "role", "search-path" };
	static const char *const names[] = { "database", "role", "search_path" };
	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		if (option(r, facts[i]) != NULL)
			q->fact[q->subject.nfacts++] = (struct fact){ names[i], sp_str(option(r, facts[i])) };
	return DONE;
}

/* ---- which policies ---- */

/* The target's, of the configuration: policies, labels, mode, settings of its module. */
static int
from_conf(struct run *r, struct asked *q, const char *path)
{
	const char *err = "", *name = option(r, "target");
	if (epoch_read(path, &q->epoch, &err) != SP_OK)
		return failed("%s (name another with --conf FILE, or policies with --policy FILE|DIR)", err == NULL ? path : err);
	const struct settings *s = &q->epoch->settings;
	const struct target *t = name == NULL ? s->targets : settings_target(s, name);
	if (t == NULL || (name == NULL && t->b.next != NULL))
		return failed(name == NULL ? "%s has several targets, or none: say which with --target%s" : "%s has no target \"%s\"", path,
		    name == NULL ? "" : name);
	q->target = *t;
	q->p.limits = (struct policy_limits){ s->policy.deadline, s->policy.memory };
	for (size_t i = 0; i < t->policy.n && i < POLICY_FILES; i++)
		q->p.source[q->p.nsources++] = (struct policy_source *)(uintptr_t)epoch_find_policy(q->epoch, t->policy.v[i]);
	const char *module = t->protocol;
	for (size_t i = 0; i < s->load_module.n; i++)
		if (sp_bytes_is(settings_module_name(s->load_module.v[i]), t->protocol) && s->load_module.v[i][0] == '/')
			module = s->load_module.v[i];
	int rc = policies_module(&q->p, module);
	void *conf = NULL;
	for (const struct listener *l = s->listeners; rc == DONE && l != NULL && conf == NULL; l = (const struct listener *)l->b.next)
		if (strcmp(l->protocol, t->protocol) == 0 && module_conf(q->p.arena, q->p.module, s, l, t, &conf, &err) != SP_OK)
			rc = failed("%s", err);
	q->scope.conf = conf;
	return rc;
}

static int
from_files(struct run *r, struct asked *q)
{
	struct sp_strings files = split(q->p.arena, option(r, "policy"));
	int rc = policies_module(&q->p, option(r, "module"));
	for (size_t i = 0; i < files.n && rc == DONE; i++)
		rc = policies_add(&q->p, files.v[i]);
	q->target.b.name = given(r, "target", "target");
	q->target.protocol = rc == DONE ? q->p.module->name : "";
	return rc;
}

/* ---- judging ---- */

static int
take_columns(struct run *r, struct asked *q)
{
	struct sp_strings list = split(q->p.arena, option(r, "columns"));
	q->column = arena_alloc(q->p.arena, (list.n + 1) * sizeof(*q->column));
	for (; q->ncolumns < list.n; q->ncolumns++) {
		struct sp_column *c = &q->column[q->ncolumns];
		const char *dot = strrchr(list.v[q->ncolumns], '.');
		c->text = true;
		c->name = sp_str(dot == NULL ? list.v[q->ncolumns] : dot + 1);
		c->source = sp_str(dot == NULL ? "" : list.v[q->ncolumns]);
		c->known = dot == NULL ? SP_SOURCE_UNKNOWN : SP_SOURCE_COLUMN;
	}
	return DONE;
}

static json_t *
judge_columns(struct policy_run *run, struct asked *q)
{
	char kind[64];
	struct decision d = { 0 };
	struct policy_masks *masks = NULL;
	json_t *list = json_array();
	(void)snprintf(kind, sizeof(kind), "%.*s.result", (int)strcspn(q->op.kind, "."), q->op.kind);
	int rc = policy_judge_result(run, &q->subject, &q->op, kind, q->column, q->ncolumns, &d, &masks);
	for (size_t i = 0; rc == SP_OK && i < q->ncolumns; i++) {
		const struct sp_mask *m = policy_mask(masks, i);
		const char *rule = policy_mask_rule(masks, i);
		(void)json_array_append_new(list, json_pack("{s:s%,s:s,s:s}", "column", q->column[i].name.p, q->column[i].name.len, "shown",
		    d.what != SP_ALLOW ? "refused" : m == NULL ? "as it is" : m->kind == SP_MASK_DETECT ? "looked through" : "masked",
		    "rule", d.what != SP_ALLOW ? d.rule : rule == NULL ? "" : rule));
	}
	policy_masks_free(&masks);
	decision_free(&d);
	return list;
}

static void
print_columns(const json_t *columns)
{
	static const char *const heads[] = { "COLUMN", "SHOWN", "RULE", NULL };
	struct table *t = table_new(heads);
	const json_t *c;
	size_t i;
	json_array_foreach(columns, i, c) {
		table_member(t, c, "column");
		table_member(t, c, "shown");
		table_member(t, c, "rule");
	}
	(void)putchar('\n');
	table_print(&t);
}

static int
tell(struct run *r, json_t *why, json_t *columns)
{
	int rc = DONE;
	if (json_array_size(columns) > 0)
		(void)json_object_set(why, "columns", columns);
	if (r->json) {
		rc = print_json(why);
	} else {
		print_statements(json_object_get(why, "statements"));
		(void)putchar('\n');
		print_why(why);
		if (json_array_size(columns) > 0)
			print_columns(columns);
	}
	json_decref(columns);
	return rc;
}

static int
judge(struct run *r, struct asked *q)
{
	struct policy_run *run = policy_run_new(q->p.policy);
	struct decision session;
	struct buffer json = { 0 };
	policy_run_reveal(run);
	int rc = policy_what_if(run, &q->subject, &q->op, &session, &json);
	json_t *why = rc == SP_OK ? json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL) : NULL;
	int done = why == NULL ? failed("the rules could not be asked") : tell(r, why, judge_columns(run, q));
	json_decref(why);
	buffer_free(&json);
	decision_free(&session);
	policy_run_free(&run);
	return done;
}

static int
ask(struct run *r, struct asked *q)
{
	const char *kind = given(r, "kind", "sql.statement");
	bool known = strcmp(kind, "session") == 0;
	for (size_t i = 0; q->p.module->kinds[i] != NULL; i++)
		known = known || strcmp(q->p.module->kinds[i], kind) == 0;
	if (!known)
		return misused(r, "module %s has no kind of operation \"%s\"", q->p.module->name, kind);
	if (q->scope.conf == NULL)
		q->scope.conf = policy_default_conf(q->p.module, q->p.arena);
	if (strcmp(kind, "session") == 0)
		q->op.shape = shape_empty(q->p.module, kind);
	else
		q->op.shape = shape_make(q->p.module, &q->scope, kind, sp_str(r->nwords == 0 ? "" : r->word[0]));
	q->op.kind = kind;
	int rc = q->op.shape == NULL ? failed("out of memory") : judge(r, q);
	shape_free(&q->op.shape);
	return rc;
}

int
run_policy_explain(struct run *r)
{
	static struct asked q;
	if (flag(r, "live"))
		return policy_explain_live(r);
	policies_begin(&q.p);
	int rc = option(r, "policy") != NULL ? from_files(r, &q) : from_conf(r, &q, given(r, "conf", DEFAULT_CONF));
	if (rc == DONE)
		rc = set_labels(r, &q);
	if (rc == DONE)
		rc = set_who(r, &q);
	if (rc == DONE)
		rc = policies_load(&q.p);
	if (rc == DONE)
		rc = take_columns(r, &q);
	if (rc == DONE)
		rc = ask(r, &q);
	policies_end(&q.p);
	epoch_free(&q.epoch);
	return rc;
}
