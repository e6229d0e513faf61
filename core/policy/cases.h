/* SPDX-License-Identifier: Apache-2.0 */
/* Policy tests: `test "name" { as = …, send = …, expect = … }`, read from Lua and run against a policy. */
#ifndef SALLYPORT_CASES_H
#define SALLYPORT_CASES_H

#include "rule.h"

/* The table on top of the stack is the body of a test; it goes to l->cases. */
void case_read(struct loader *l, lua_State *L, const char *name, unsigned line);

/* policy.c: running files into a policy, or a list of tests. */
int loader_begin(struct loader *l, struct policy *p, struct arena *a) SP_MUST;
void loader_run(struct loader *l, const struct policy_source *file);
int loader_end(struct loader *l, char **err_r) SP_MUST;

#endif
