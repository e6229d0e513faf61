/* SPDX-License-Identifier: Apache-2.0 */
/* What a recording tells of one operation, gathered frame by frame: for the console and `sallyport explain`. */
#ifndef SALLYPORT_RECORD_EXPLAIN_H
#define SALLYPORT_RECORD_EXPLAIN_H

#include <jansson.h>

#include "frame.h"

struct explain;

struct explain *explain_begin(uint32_t op);
/* Each frame of the recording in its order.  True once nothing more can come. */
bool explain_frame(struct explain *e, const struct frame *f);
/*
 * The caller's reference; NULL: the recording has no such operation.  Members: session op target user policy (hex of
 * the policies' hash when the session began) kind text tag params[] facts{} statements[] (attributes of each) events[]
 * of { at_us what rule message approval approver }, why (policy_explain(), when it was refused or held) or null, and
 * sealed: true when its text is in a part that could not be read.
 */
json_t *explain_end(struct explain **e);

#endif
