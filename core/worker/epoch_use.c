/* SPDX-License-Identifier: Apache-2.0 */
/* See epoch_use.h. */
#include <config.h>

#include "epoch_use.h"

#include <stdio.h>
#include <stdlib.h>

static const struct epoch_file *
need_file(const struct epoch *e, const char *path)
{
	return path == NULL || path[0] == '\0' ? NULL : epoch_find_file(e, path);
}

static int
use_policy(struct worker *w, struct worker_epoch *u, struct target_use *t, const char **err_r)
{
	const struct settings *s = &u->epoch->settings;
	const struct policy_source **list = arena_alloc(u->arena, (t->target->policy.n + 1) * sizeof(struct policy_source *));
	for (size_t i = 0; i < t->target->policy.n; i++) {
		list[i] = epoch_find_policy(u->epoch, t->target->policy.v[i]);
		if (list[i] == NULL) {
			*err_r = "a policy file is missing from the epoch";
			return SP_ECONF;
		}
	}
	size_t n = 0;
	while (w->modules[n] != NULL)
		n++;
	struct policy_schema schema = { w->modules, n };
	struct policy_limits limits = { s->policy.deadline, s->policy.memory };
	char *err = NULL;
	int rc = policy_load(list, t->target->policy.n, &schema, &limits, &t->policy, &err);
	if (rc != SP_OK)
		*err_r = arena_string(u->arena, sp_str(err));
	free(err);
	return rc;
}

/* A worker that drains has the modules of former times; what it has none for nobody asks it for. */
static int
use_target(struct worker *w, struct worker_epoch *u, struct target_use *t, const char **err_r)
{
	t->module = modules_find(w->modules, t->target->protocol);
	if (t->module == NULL && w->draining)
		return SP_OK;
	if (t->module == NULL) {
		*err_r = "a target's protocol has no module";
		return SP_ECONF;
	}
	if (t->target->tls.mode != TLS_OFF) {
		int rc = tls_credentials_client(u->epoch, t->target, &t->tls, err_r);
		if (rc != SP_OK)
			return rc;
	}
	return use_policy(w, u, t, err_r);
}

static int
use_listener(struct worker *w, struct worker_epoch *u, struct listener_use *l, const char **err_r)
{
	void *conf = NULL;
	l->module = modules_find(w->modules, l->listener->protocol);
	if (l->module == NULL && w->draining)
		return SP_OK; /* its listeners are closed */
	if (l->module == NULL) {
		*err_r = "a listener's protocol has no module";
		return SP_ECONF;
	}
	int rc = module_conf(u->arena, l->module, &u->epoch->settings, l->listener, NULL, &conf, err_r);
	l->conf = conf;
	if (rc == SP_OK && need_file(u->epoch, l->listener->tls.cert) != NULL)
		rc = tls_credentials_server(u->epoch, &l->listener->tls, &l->tls, err_r);
	return rc;
}

static int
use_all(struct worker *w, struct worker_epoch *u, const char **err_r)
{
	size_t i = 0;
	int rc = SP_OK;
	for (const struct target *t = u->epoch->settings.targets; t != NULL; t = (const struct target *)t->b.next)
		u->ntargets++;
	for (const struct listener *l = u->epoch->settings.listeners; l != NULL; l = (const struct listener *)l->b.next)
		u->nlisteners++;
	u->target = arena_alloc(u->arena, (u->ntargets + 1) * sizeof(*u->target));
	u->listener = arena_alloc(u->arena, (u->nlisteners + 1) * sizeof(*u->listener));
	for (const struct target *t = u->epoch->settings.targets; t != NULL && rc == SP_OK; t = (const struct target *)t->b.next) {
		u->target[i].target = t;
		rc = use_target(w, u, &u->target[i++], err_r);
	}
	i = 0;
	for (const struct listener *l = u->epoch->settings.listeners; l != NULL && rc == SP_OK; l = (const struct listener *)l->b.next) {
		u->listener[i].listener = l;
		rc = use_listener(w, u, &u->listener[i++], err_r);
	}
	return rc;
}

int
epoch_use(struct worker *w, struct epoch *e, struct worker_epoch **u_r, const char **err_r)
{
	static char kept[1024];
	struct worker_epoch *u = mem_alloc(sizeof(*u));
	*u_r = NULL;
	u->epoch = e;
	u->refs = 1;
	u->arena = arena_new(0);
	int rc = use_all(w, u, err_r);
	if (rc != SP_OK) {
		snprintf(kept, sizeof(kept), "%s", *err_r == NULL ? "" : *err_r);
		*err_r = kept;
		u->epoch = NULL; /* not taken: it stays its owner's */
		epoch_use_unref(&u);
		return rc;
	}
	*u_r = u;
	return SP_OK;
}

struct worker_epoch *
epoch_use_ref(struct worker_epoch *u)
{
	u->refs++;
	return u;
}

void
epoch_use_unref(struct worker_epoch **up)
{
	struct worker_epoch *u = *up;
	*up = NULL;
	if (u == NULL || --u->refs > 0)
		return;
	for (size_t i = 0; i < u->ntargets; i++) {
		policy_free(&u->target[i].policy);
		tls_credentials_free(&u->target[i].tls);
	}
	for (size_t i = 0; i < u->nlisteners; i++)
		tls_credentials_free(&u->listener[i].tls);
	epoch_free(&u->epoch);
	arena_free(&u->arena);
	free(u);
}

struct target_use *
epoch_use_target(struct worker_epoch *u, const char *name)
{
	for (size_t i = 0; i < u->ntargets; i++)
		if (strcmp(u->target[i].target->b.name, name) == 0)
			return &u->target[i];
	return NULL;
}

struct listener_use *
epoch_use_listener(struct worker_epoch *u, const char *name)
{
	for (size_t i = 0; i < u->nlisteners; i++)
		if (strcmp(u->listener[i].listener->b.name, name) == 0)
			return &u->listener[i];
	return NULL;
}

const void *
epoch_use_conf(struct worker_epoch *u, struct target_use *t, const struct listener *l, const char **err_r)
{
	void *conf = NULL;
	struct listener_use *now = epoch_use_listener(u, l->b.name);
	*err_r = "";
	for (struct conf_use *c = t->confs; c != NULL; c = c->next)
		if (strcmp(c->listener, l->b.name) == 0)
			return c->conf;
	if (module_conf(u->arena, t->module, &u->epoch->settings, now == NULL ? NULL : now->listener, t->target, &conf, err_r) != SP_OK)
		return NULL;
	struct conf_use *c = arena_alloc(u->arena, sizeof(*c));
	*c = (struct conf_use){ t->confs, arena_string(u->arena, sp_str(l->b.name)), conf };
	t->confs = c;
	return conf;
}
