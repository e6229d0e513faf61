/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this token, from there, have a session to that target?
 *
 * Every check is a row of one table (admission.c), in order; the first that fails refuses.  The
 * client hears one sentence whatever failed; the log and the audit hear which.
 */
#ifndef SALLYPORT_KEEPER_ADMISSION_H
#define SALLYPORT_KEEPER_ADMISSION_H

#include "live.h"

int admission_authenticate(struct keeper *k, struct link *l, struct message *m);
/* Its credential is there, or why is not NULL: the answer to the request with that id.  s may be gone after it. */
void admission_lent(struct keeper *k, struct live *s, uint32_t id, const char *why);
/* From that address, as the identity's `token_use` lets it be used; it is remembered.  *why_r on refusal. */
int admission_use(struct keeper *k, const struct verified *who, const char *host, const char **why_r) SP_MUST;
/* True when the target's `allow` names the principal. */
bool admission_allows(const struct target *t, const struct principal *p);

#endif
