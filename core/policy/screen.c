/* SPDX-License-Identifier: Apache-2.0 */
/* See screen.h: sequences as ECMA-48 and xterm's control sequences have them. */
#include <config.h>

#include "screen.h"

#include <stdlib.h>

enum state { GROUND, ESCAPE, SEQUENCE, STRING, STRING_ESCAPE };
enum { BEL = 0x07, BS = 0x08, CAN = 0x18, SUB = 0x1a, ESC = 0x1b, DEL = 0x7f };

/* A control character that a terminal shows nothing for, and that does not move on. */
static bool
is_silent(uint8_t c)
{
	return (c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == DEL;
}

/* CSI as one character of eight bits, in UTF-8.  The byte alone is the middle of many letters. */
static bool
is_wide_sequence(struct sp_bytes in, size_t i)
{
	return in.p[i] == 0xc2 && i + 1 < in.len && in.p[i + 1] == 0x9b;
}

bool
screen_hides(struct sp_bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if ((in.p[i] < ' ' && is_silent(in.p[i])) || in.p[i] == DEL || is_wide_sequence(in, i))
			return true;
	return false;
}

/* ---- states: each takes one byte, and says what is next ---- */

static enum state
begin_escape(uint8_t c)
{
	if (c == ESC || (c >= 0x20 && c <= 0x2f))
		return ESCAPE;
	if (c == '[')
		return SEQUENCE;
	return c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_' ? STRING : GROUND;
}

static enum state
in_sequence(uint8_t c)
{
	if (c == ESC)
		return ESCAPE;
	return c <= 0x3f && c != CAN && c != SUB ? SEQUENCE : GROUND; /* control characters in it are carried out, and it goes on */
}

static enum state
in_string(uint8_t c)
{
	return c == ESC ? STRING_ESCAPE : c == BEL || c == CAN || c == SUB ? GROUND : STRING;
}

/* Does a sequence that this byte ends take it along?  A letter ends it, and belongs to it; a new line breaks it off. */
static bool
belongs(enum state was, uint8_t c)
{
	if (was == STRING || was == STRING_ESCAPE)
		return c != '\n';
	return was != GROUND && c >= 0x20 && c <= 0x7e;
}

static enum state
next_state(enum state was, uint8_t c)
{
	if (c == '\n' || was == GROUND)
		return c == ESC ? ESCAPE : GROUND;
	switch (was) {
	case ESCAPE:
		return begin_escape(c);
	case SEQUENCE:
		return in_sequence(c);
	case STRING_ESCAPE:
		return c == '\\' ? GROUND : begin_escape(c);
	default:
		return in_string(c);
	}
}

static struct {
	struct screen s;
	size_t cap;
	size_t over; /* where it is that the next character is written over; SIZE_MAX: it is not */
} memory;

/* A character in the open: seen, or what it does to the one before it. */
static void
show(struct screen *s, struct sp_bytes in, size_t i)
{
	uint8_t c = in.p[i];
	if (c == BS && s->len > 0 && s->text[s->len - 1] != '\n') {
		memory.over = s->at[--s->len]; /* the next one is what is read there */
	} else if (!is_silent(c)) {
		s->text[s->len] = c;
		s->at[s->len] = memory.over < i ? memory.over : i;
		s->to[s->len++] = i + 1;
		memory.over = SIZE_MAX;
	}
}

static int
make_room(size_t n)
{
	if (n <= memory.cap)
		return SP_OK;
	free(memory.s.text);
	free(memory.s.at);
	free(memory.s.to);
	free(memory.s.escape);
	memory.s = (struct screen){ .text = malloc(n), .at = calloc(n, sizeof(size_t)), .to = calloc(n, sizeof(size_t)), .escape = calloc(n, sizeof(bool)) };
	memory.cap = memory.s.text != NULL && memory.s.at != NULL && memory.s.to != NULL && memory.s.escape != NULL ? n : 0;
	return memory.cap > 0 ? SP_OK : SP_ENOMEM;
}

int
screen_read(struct sp_bytes in, struct screen *screen_r)
{
	enum state state = GROUND;
	size_t open = in.len;
	*screen_r = (struct screen){ .text = NULL };
	if (make_room(in.len) != SP_OK)
		return SP_ENOMEM;
	struct screen *s = &memory.s;
	s->len = 0;
	memory.over = SIZE_MAX;
	for (size_t i = 0; i < in.len; i++) {
		enum state was = state;
		bool wide = was == GROUND && is_wide_sequence(in, i);
		state = wide ? SEQUENCE : next_state(was, in.p[i]);
		if (was == GROUND && state != GROUND)
			open = i;
		s->escape[i] = state != GROUND || belongs(was, in.p[i]);
		if (!s->escape[i])
			show(s, in, i);
		if (wide)
			s->escape[++i] = true;
		if (state == GROUND)
			open = in.len;
	}
	s->open = open;
	*screen_r = *s;
	return SP_OK;
}
