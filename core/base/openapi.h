/* SPDX-License-Identifier: Apache-2.0 */
/* The API described as an OpenAPI 3.1 document, from the tables of route.c. */
#ifndef SALLYPORT_OPENAPI_H
#define SALLYPORT_OPENAPI_H

#include <jansson.h>

#include "route.h"

/* The caller's reference; NULL: no memory, or a row of the tables that says nothing. */
json_t *openapi_document(void);

#endif
