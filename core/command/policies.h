/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files as the subcommands take them: read, and loaded with the module that classifies. */
#ifndef SALLYPORT_COMMAND_POLICIES_H
#define SALLYPORT_COMMAND_POLICIES_H

#include "../policy/policy.h"
#include "command.h"

enum { POLICY_FILES = 256 };

struct policies {
	struct arena *arena;       /* owns all of it */
	struct policy_source *source[POLICY_FILES], *test[POLICY_FILES];
	size_t nsources, ntests;
	const struct sp_module *module;
	struct policy_limits limits;
	struct policy *policy;
};

void policies_begin(struct policies *p);
void policies_end(struct policies *p);
/*
 * A file, with the NAME_test.lua beside it, or every *.lua of a folder (not of folders in it).  DONE, or FAILED
 * after having said why.
 */
int policies_add(struct policies *p, const char *path) SP_MUST;
/* The module that is called so, or whose file has this path; NULL: postgres. */
int policies_module(struct policies *p, const char *name) SP_MUST;
/* With p->limits; mistakes are printed as file:line. */
int policies_load(struct policies *p) SP_MUST;

/* `policy explain --live`. */
int policy_explain_live(struct run *r);

#endif
