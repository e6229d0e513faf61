/* SPDX-License-Identifier: Apache-2.0 */
/* What `init` was told, and what it writes of it. */
#ifndef SALLYPORT_COMMAND_INIT_H
#define SALLYPORT_COMMAND_INIT_H

#include <limits.h>

#include "command.h"

struct init {
	const struct run *r;
	char folder[PATH_MAX / 2]; /* absolute */
	char server[300], database[64], login[64], issuer[300], groups[300], listen[300];
	char client[128], url[300]; /* with an issuer: the gateway's name there, and the console's address */
	char target[64];           /* the database's name, as a target may be called */
	char policies[PATH_MAX], module[PATH_MAX], shipped[PATH_MAX]; /* the shipped ones; module: a path or a name; shipped: "" or sallyport.conf */
	bool system;               /* root, at the usual place: logs and state go where they do */
};

/* DONE, or FAILED after having said why; what was begun is left for a person to look at. */
int init_write(const struct init *i) SP_MUST;

#endif
