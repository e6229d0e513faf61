/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and queries as sets of "name=value", for policies. */
#ifndef SALLYPORT_HTTP_FIELDS_H
#define SALLYPORT_HTTP_FIELDS_H

#include <sallyport/module.h>

struct fields_json {
	unsigned fields, names; /* sets: name=value, and the names alone */
	bool any_case;          /* names in small letters: the target takes them in any case */
};

/* What is no JSON makes the operation unclear: "body", malformed; so do names of one object that differ in case alone: ambiguous. */
int fields_of_json(struct sp_op *op, const struct fields_json *as, struct sp_bytes body) SP_MUST;
/* a=1&b=2, decoded; also for a query, with `names` the same as `fields`: then there are no names. */
int fields_of_form(struct sp_op *op, unsigned fields, unsigned names, struct sp_bytes body);

#endif
