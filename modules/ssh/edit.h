/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line that somebody types, edited: bytes of the keyboard in, what the terminal shows out.
 *
 *   keys ─▶ edit_key() ─▶ EDIT_LINE "ls -l", EDIT_END (^D), EDIT_CANCEL (^C)
 *               └▶ screen: one row, which scrolls sideways when the line is longer
 *
 * No completion: it would have to ask the target for names that nobody judged.
 */
#ifndef SALLYPORT_SSH_EDIT_H
#define SALLYPORT_SSH_EDIT_H

#include <sallyport/wire.h>

#define EDIT_MAX 4096u   /* bytes of a line */
#define EDIT_HISTORY 64u /* lines */

enum edit_what { EDIT_MORE, EDIT_LINE, EDIT_CANCEL, EDIT_END };

struct edit {
	uint8_t line[EDIT_MAX];
	size_t len, at;               /* the cursor stands before line[at] */
	char prompt[128];             /* printable */
	unsigned columns;
	char *history[EDIT_HISTORY];  /* the newest last; owned */
	unsigned nhistory, shown;     /* shown == nhistory: the line is a new one */
	unsigned escape;              /* how far in a key's sequence */
	uint8_t parameter;            /* of it */
	bool after_return;            /* a \n behind it is the same key */
};

/* The prompt, and the line as far as it is. */
void edit_show(const struct edit *e, struct sp_writer *screen);
/* One byte.  EDIT_LINE: the line is line[0..len) until edit_begin(), and the cursor stands below it. */
enum edit_what edit_key(struct edit *e, uint8_t key, struct sp_writer *screen);
/* An empty line. */
void edit_begin(struct edit *e);
/* The line is kept for ↑, unless it is empty or the newest; false: no memory. */
bool edit_remember(struct edit *e);
void edit_free(struct edit *e);

#endif
