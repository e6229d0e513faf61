/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module for tests of policies: its statements say of themselves what they are.
 *
 *     verb=delete tables=public.a,public.b where=false effects=write; verb=select columns=?
 *
 * `;` begins a node (what stands before the first is the root's own), `?` is unknown, `,` is in
 * sets, `unclear=why:name` is unclear, `changes=setting:value` changes a setting, and the word `broken`
 * fails.  The setting `gear` can be pinned to `low` or `high`.
 */
#ifndef TOY_H
#define TOY_H

#include "core/policy/policy.h"

extern const struct sp_module toy_module;
extern const struct sp_module other_module; /* kinds of another protocol: "other.thing" with the attribute `colour` */
extern const struct policy_schema toy_schema;

/* Loads one text as "policy.lua"; on failure *err_r is to be freed. */
struct policy *toy_policy(const char *text, char **err_r);
struct policy *toy_policy_within(const char *text, const struct policy_limits *limits, char **err_r);

/* Somebody who asks; fields can be changed. */
struct toy {
	struct principal principal;
	struct target target;
	struct subject subject;
	const char *groups[4], *label_key[4], *label_value[4];
	struct fact fact[4];
	struct policy_run *run;
};
void toy_begin(struct toy *t, struct policy *p);
void toy_end(struct toy *t);
void toy_group(struct toy *t, const char *group);
void toy_label(struct toy *t, const char *key, const char *value);
void toy_fact(struct toy *t, const char *name, const char *value);
/* One operation, judged.  decision_free() it. */
struct decision toy_ask(struct toy *t, const char *kind, const char *text);
/* The same in a word: "allow", "deny by x", "kill by x", "approve by x", "unclear", "fail by x"; good until the next call. */
const char *toy_say(struct toy *t, const char *text);
const char *toy_say_kind(struct toy *t, const char *kind, const char *text);
const char *toy_word(const struct decision *d);

#endif
