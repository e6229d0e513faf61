/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and queries as sets of "name=value", for policies. */
#ifndef SALLYPORT_HTTP_FIELDS_H
#define SALLYPORT_HTTP_FIELDS_H

#include <sallyport/module.h>

/* To the sets `fields` and `names`; what is no JSON makes the operation unclear: "body", malformed. */
int fields_of_json(struct sp_op *op, unsigned fields, unsigned names, struct sp_bytes body);
/* a=1&b=2, decoded; also for a query, with `names` the same as `fields`: then there are no names. */
int fields_of_form(struct sp_op *op, unsigned fields, unsigned names, struct sp_bytes body);

#endif
