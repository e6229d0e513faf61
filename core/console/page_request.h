/* SPDX-License-Identifier: Apache-2.0 */
/* The page of one request: what the keeper says of it, and a form that decides. */
#ifndef SALLYPORT_PAGE_REQUEST_H
#define SALLYPORT_PAGE_REQUEST_H

#include <jansson.h>

#include "../base/memory.h"

/* o: the answer of the call `request`.  SP_ETOOBIG: it can't be shown whole by a page. */
int page_request(const json_t *o, const char *host, const char *csrf, struct buffer *out) SP_MUST;

#endif
