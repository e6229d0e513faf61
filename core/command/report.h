/* SPDX-License-Identifier: Apache-2.0 */
/* What `report` gathers, and how exceptions are made of it. */
#ifndef SALLYPORT_COMMAND_REPORT_H
#define SALLYPORT_COMMAND_REPORT_H

#include "command.h"

/*
 * Of each group: { target, would, rule, text, n, users: { NAME: n }, examples: [ ID … ] }.  Policy text for all
 * that can be excepted; of what can't, a comment says why.  alone: no gateway is asked, rules are named only.
 */
int report_suggest(const struct run *r, const json_t *groups, bool alone, FILE *out);

#endif
