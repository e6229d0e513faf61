/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that come one JSON text after another, masked by tags as they come: ndjson, server-sent events. */
#ifndef SALLYPORT_HTTP_LINES_H
#define SALLYPORT_HTTP_LINES_H

#include <sallyport/module.h>

enum lines_kind { LINES_NONE, LINES_JSON, LINES_EVENTS };
/* By the type, in small letters and without parameters. */
enum lines_kind lines_kind(struct sp_bytes type);

struct lines;
/* At most `most` bytes of one line, or event.  NULL: no memory. */
struct lines *lines_new(enum lines_kind kind, size_t most);
/*
 * Appends what can be shown by now of `in`.  SP_EPROTO: it is no JSON, or no event; SP_ETOOBIG: longer than `most`;
 * SP_EDENIED: none of it may be shown.  After an error nothing more may be shown of this answer.
 */
int lines_feed(struct lines *l, struct sp_op *op, struct sp_bytes in, bool last, struct sp_writer *out) SP_MUST;
void lines_free(struct lines **l);

#endif
