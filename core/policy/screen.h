/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a terminal's bytes a person reads: the characters, without escape sequences, and where each stood.
 *
 *     41 ESC[1m 11 BEL 1111 …     text: 41111111 …     at: 0 1 6 7 9 …
 *
 * One line's worth of a terminal, no screen: a sequence that moves the cursor is left out like any other.
 */
#ifndef SALLYPORT_SCREEN_H
#define SALLYPORT_SCREEN_H

#include "../base/memory.h"

struct screen {
	uint8_t *text;   /* what is read */
	size_t *at, *to; /* of each character: from where to where it is in the input, with what it was written over */
	size_t len;
	bool *escape;    /* of each byte of the input: does it stand in a sequence? */
	size_t open;     /* where a sequence begins that is not over yet; the input's length: none is */
};

/* Is there anything that a terminal would not show as a character?  False is the common case. */
bool screen_hides(struct sp_bytes in);
/* All of it is there until the next call, of this process: SP_ENOMEM when it can't be. */
int screen_read(struct sp_bytes in, struct screen *screen_r) SP_MUST;

#endif
