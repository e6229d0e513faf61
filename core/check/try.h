/* SPDX-License-Identifier: Apache-2.0 */
/* Trying a configuration as a worker would use it: modules loaded, policies compiled, their tests run. */
#ifndef SALLYPORT_TRY_H
#define SALLYPORT_TRY_H

#include "../base/epoch.h"

struct trial {
	unsigned targets, modules, tests;
	unsigned problems;
	struct buffer text;      /* a line per problem */
	struct buffer warnings;
};

void trial_run(const struct epoch *e, struct trial *t);

#endif
