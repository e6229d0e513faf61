/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was typed into a terminal, from what its screen shows of it: for who searches, and no more than likely.
 *
 *   keys ─▶ typed_keys() ─ Enter ─┐
 *   screen ─▶ typed_screen() ─────┴─ the line ends ─▶ what stands on it behind the prompt
 *
 * The keys themselves are not kept: history, completion and editing are the shell's, and what is not echoed (a
 * password) is on no screen.  Programs of the whole screen are left out.
 */
#ifndef SALLYPORT_SSH_TYPED_H
#define SALLYPORT_SSH_TYPED_H

#include <sallyport/wire.h>

#define TYPED_CELLS 1024u

struct typed {
	uint32_t cell[TYPED_CELLS]; /* UTF-8's bytes, the first one highest; of a line that may be several rows long */
	size_t len, at;             /* the cursor stands at cell[at] */
	size_t from;                /* there it stood when the first key came: behind the prompt */
	bool typing, whole_screen;
	unsigned entered;           /* Enter was typed, and its line has not ended on the screen */
	int state;
	unsigned parameter[4], nparameters;
	bool private;
};

void typed_keys(struct typed *t, struct sp_bytes keys);
/* Each line that ends is appended, with a newline behind it; those that do not fit are lost.  columns: 0 when unknown. */
void typed_screen(struct typed *t, struct sp_bytes shown, unsigned columns, struct sp_writer *lines);

#endif
