/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for a text in frames: what `search` finds, in the console and where an auditor's key is. */
#ifndef SALLYPORT_MATCH_H
#define SALLYPORT_MATCH_H

#include "frame.h"

/* Offset of `text` in `in`, letters of ASCII in any case; in.len when it is not there. */
size_t match_find(struct sp_bytes in, struct sp_bytes text);
/* The field, or the stream's bytes, where the text stands, borrowed from the frame; at_r: its offset there. */
bool match_frame(const struct frame *f, struct sp_bytes text, struct sp_bytes *where_r, size_t *at_r);
/* About 160 bytes around a match, one line, for others to make safe. */
struct sp_bytes match_around(struct sp_bytes in, size_t at, size_t len);

#endif
