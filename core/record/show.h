/* SPDX-License-Identifier: Apache-2.0 */
/* A recording's frames as a person reads them, as JSON lines, as an asciicast (version 2), or as its terminal's screen. */
#ifndef SALLYPORT_RECORD_SHOW_H
#define SALLYPORT_RECORD_SHOW_H

#include "frame.h"
#include "terminal.h"

enum show_form { SHOW_TEXT, SHOW_JSONL, SHOW_ASCIICAST, SHOW_TERMINAL, SHOW_FORMS };

struct show {
	enum show_form form;
	bool unsealed;      /* opened with the auditor's key: of an operation's two halves the sealed one says all */
	uint8_t rest[4];    /* asciicast: a character that the next output completes */
	unsigned nrest;
	struct buffer head, early; /* asciicast: its head waits for the terminal's size, and what comes before that with it */
	uint32_t after;     /* frames up to this one are left out, but an asciicast's head */
	struct buffer rows; /* a row that the next frame of this operation completes */
	uint32_t op;
	uint16_t channel;
	struct terminal terminal;
	bool terminals;     /* the session's protocol has them */
};

/* false: no form of that name. */
bool show_form_named(const char *name, enum show_form *form_r);
void show_end(struct show *s); /* frees what it holds */
/* Appends what the frame looks like: whole lines, nothing in them that a terminal obeys (RC5), or what it may draw (terminal.h). */
void show_frame(struct show *s, const struct frame *f, struct sp_writer *w);

#endif
