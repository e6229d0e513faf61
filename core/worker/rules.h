/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper asks about the rules in force, for the API: they are loaded here, and nowhere else while the gateway runs. */
#ifndef SALLYPORT_WORKER_RULES_H
#define SALLYPORT_WORKER_RULES_H

#include "worker.h"

int rules_asked(struct worker *w, const struct message *m);

#endif
