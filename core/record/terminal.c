/* SPDX-License-Identifier: Apache-2.0 */
/* See terminal.h: an allowlist; what is not in it does not reach the terminal of who looks. */
#include <config.h>

#include "terminal.h"

#include <stdlib.h>

enum { GROUND, ESCAPE, CSI, STRING, STRING_ESCAPE };
enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

static bool
is_shown_control(uint8_t c)
{
	return c == '\b' || c == '\t' || c == '\n' || c == '\r' || c == 0x0b || c == 0x0c || c == 0x0e || c == 0x0f;
}

/* CSI ? n h, n l: the cursor's look and keys, wrapping, the other screen, its origin; none that makes a terminal speak. */
static bool
is_mode(struct sp_bytes parameters)
{
	static const char *const modes[] = { "?1", "?5", "?6", "?7", "?12", "?25", "?47", "?1047", "?1048", "?1049", "4", "?12;25" };
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (sp_bytes_is(parameters, modes[i]))
			return true;
	return false;
}

static bool
is_plain(struct sp_bytes parameters) /* digits and what separates them */
{
	for (size_t i = 0; i < parameters.len; i++)
		if (!(parameters.p[i] >= '0' && parameters.p[i] <= ';'))
			return false;
	return true;
}

/* A whole sequence: may another terminal obey it? */
static bool
is_drawing(struct sp_bytes s)
{
	uint8_t last = s.p[s.len - 1];
	if (s.p[1] != '[') /* save, restore, lines down and up, a tab's stop; two of a character set; no reset, no question */
		return s.len == 2 ? strchr("78DEHM=>", last) != NULL : s.len == 3 && strchr("()*+", s.p[1]) != NULL && strchr("B0AU", last) != NULL;
	const struct sp_bytes parameters = { s.p + 2, s.len - 3 };
	if (last == 'h' || last == 'l')
		return is_mode(parameters);
	return is_plain(parameters) && strchr("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu", last) != NULL;
}

static void
end_sequence(struct terminal *t, struct sp_writer *out)
{
	const struct sp_bytes s = { t->sequence, t->len };
	if (t->len < sizeof(t->sequence) && is_drawing(s)) {
		sp_wr_put(out, s);
		t->before = ESC;
	}
	t->len = 0;
	t->state = GROUND;
}

static void
begin_sequence(struct terminal *t)
{
	t->sequence[0] = ESC;
	t->len = 1;
	t->state = ESCAPE;
}

static void
add(struct terminal *t, uint8_t c)
{
	if (t->len < sizeof(t->sequence))
		t->sequence[t->len++] = c;
}

static void
in_escape(struct terminal *t, uint8_t c, struct sp_writer *out)
{
	add(t, c);
	if (t->len == 2 && c == '[')
		t->state = CSI;
	else if (t->len == 2 && strchr("]PX^_", c) != NULL)
		t->state = STRING;
	else if (c >= 0x30)
		end_sequence(t, out);
}

static void
in_string(struct terminal *t, uint8_t c)
{
	bool over = c == BEL || c == CAN || c == SUB || (t->state == STRING_ESCAPE && c == '\\');
	t->state = over ? GROUND : c == ESC ? STRING_ESCAPE : STRING;
	t->len = 0;
}

static void
in_ground(struct terminal *t, uint8_t c, struct sp_writer *out)
{
	if ((c < ' ' && !is_shown_control(c)) || c == 0x7f)
		return;
	if (c >= 0x80 && c < 0xa0 && t->before == 0xc2) /* a control character of eight bits, in UTF-8 */
		c = '?' | 0x80; /* makes another character of it */
	sp_wr_u8(out, c);
	t->before = c;
}

void
terminal_feed(struct terminal *t, struct sp_bytes in, struct sp_writer *out)
{
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.p[i];
		if (t->state == STRING || t->state == STRING_ESCAPE) {
			in_string(t, c);
		} else if (c == ESC) {
			begin_sequence(t);
		} else if (t->state == GROUND) {
			in_ground(t, c, out);
		} else if (c == CAN || c == SUB) {
			t->state = GROUND;
		} else if (c < ' ') {
			in_ground(t, c, out); /* carried out amid a sequence */
		} else if (t->state == ESCAPE) {
			in_escape(t, c, out);
		} else {
			add(t, c);
			if (c >= 0x40)
				end_sequence(t, out);
		}
	}
}

void
terminal_reset(struct terminal *t, struct sp_writer *out)
{
	*t = (struct terminal){ .state = GROUND };
	sp_wr_put(out, SP_LIT("\x1b[?1049l\x1b[r\x1b[0m\x1b(B\x0f\x1b[?7h\x1b[?1l\x1b[4l\x1b[?25h\r\n"));
}
