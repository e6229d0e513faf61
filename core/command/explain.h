/* SPDX-License-Identifier: Apache-2.0 */
/* Printing an explanation, as policy_explain() makes it and as recordings hold it. */
#ifndef SALLYPORT_COMMAND_EXPLAIN_H
#define SALLYPORT_COMMAND_EXPLAIN_H

#include "command.h"

/* The attributes of each statement: an array of objects of texts. */
void print_statements(const json_t *statements);
/* Rules and whether they applied, the verdict, and what would make it pass. */
void print_why(const json_t *why);

#endif
