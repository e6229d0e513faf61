/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as text with holes: {{NAME}} is filled with text, escaped; {{&NAME}} with a page's own markup. */
#ifndef SALLYPORT_PAGE_TEXT_H
#define SALLYPORT_PAGE_TEXT_H

#include "../base/memory.h"

struct hole {
	const char *name; /* a list of them ends with a NULL name */
	const char *text; /* NULL: nothing */
};

/* A file of pages/ by its name; empty p when there is none. */
struct sp_bytes page_file(const char *name);
/* Appends the file, filled.  SP_EINTERNAL: a hole of it has no text, or the file is none. */
int page_fill(const char *file, const struct hole *holes, struct buffer *out) SP_MUST;
/* A whole page: `file` inside the layout, under that title. */
int page_whole(const char *file, const char *title, const char *host, const struct hole *holes, struct buffer *out) SP_MUST;

#endif
