/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recorded terminal was told, for another one: what draws goes on, what does more is left out (RC5).
 *
 * Goes on: characters, colours, moves, erasing, scrolling, which screen.  Left out: titles, clipboard, links and all other
 * strings (OSC, DCS, APC …), questions that a terminal answers as if somebody typed, modes of mouse and keyboard, printing.
 */
#ifndef SALLYPORT_TERMINAL_H
#define SALLYPORT_TERMINAL_H

#include "../base/memory.h"

struct terminal { /* begins zeroed */
	uint8_t sequence[64]; /* so far */
	size_t len;
	unsigned state;
	uint8_t before; /* the last byte that went on */
};

void terminal_feed(struct terminal *t, struct sp_bytes in, struct sp_writer *out);
/* Its colours, margins and other screen are gone, its cursor is seen. */
void terminal_reset(struct terminal *t, struct sp_writer *out);

#endif
