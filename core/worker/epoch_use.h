/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker makes of an epoch: policies loaded, TLS credentials made, modules' conf blocks
 * filled.  Counted: a session holds the epochs in which its listener, target and policy live.
 */
#ifndef SALLYPORT_EPOCH_USE_H
#define SALLYPORT_EPOCH_USE_H

#include "worker.h"

struct conf_use {                /* a module's block for one listener and target */
	struct conf_use *next;
	const char *listener;
	const void *conf;
};

struct target_use {
	const struct target *target;
	const struct sp_module *module;
	struct policy *policy;
	struct tls_credentials *tls;
	struct conf_use *confs;  /* made at first need */
	bool tags_checked;       /* against the target's columns */
	enum { ALIKE_UNKNOWN, ALIKE_NO, ALIKE_YES } alike; /* verdicts hold for texts that differ in literals, see plan.c */
	uint64_t pool_rest;      /* mono ms: no connection is made ready before, see pool.c */
};

struct listener_use {
	const struct listener *listener;
	const struct sp_module *module;
	struct tls_credentials *tls;
	const void *conf;        /* without a target: for a client of whom nothing is known */
};

struct worker_epoch {
	struct epoch *epoch;
	struct arena *arena;
	unsigned refs;
	struct target_use *target;
	size_t ntargets;
	struct listener_use *listener;
	size_t nlisteners;
};

/* e is the use's once it is taken; on an error it stays the caller's. */
int epoch_use(struct worker *w, struct epoch *e, struct worker_epoch **u_r, const char **err_r) SP_MUST;
struct worker_epoch *epoch_use_ref(struct worker_epoch *u);
void epoch_use_unref(struct worker_epoch **u);
struct target_use *epoch_use_target(struct worker_epoch *u, const char *name);
struct listener_use *epoch_use_listener(struct worker_epoch *u, const char *name);
/*
 * The module's block for a session from l (which may be of an older epoch) to t; lives as long as u.
 * NULL with a sentence: what the module's check() says of that pair.
 */
const void *epoch_use_conf(struct worker_epoch *u, struct target_use *t, const struct listener *l, const char **err_r);

#endif
