/* SPDX-License-Identifier: Apache-2.0 */
/* See typed.h.  Of a terminal it knows what line editors use: the cursor in a line and its rows, erasing, inserting, deleting. */
#include "typed.h"

#include <string.h>

enum { TEXT, ESCAPE, CONTROL, STRING, STRING_ESCAPE, CHARSET };

void
typed_keys(struct typed *t, struct sp_bytes keys)
{
	for (size_t i = 0; i < keys.len; i++) {
		uint8_t key = keys.p[i];
		if (key == 0x03) { /* ^C: the line is given up */
			t->typing = false;
			t->entered = 0;
			continue;
		}
		if (!t->typing)
			t->from = t->entered == 0 ? t->at : 0; /* typed ahead: where its prompt ends is not known yet */
		t->typing = true;
		if (key == '\r' || key == '\n') {
			t->typing = false;
			t->entered++;
		}
	}
}

static void
forget(struct typed *t)
{
	t->len = t->at = t->from = 0;
}

static void
blank(struct typed *t, size_t from, size_t to)
{
	for (size_t i = from; i < to && i < TYPED_CELLS; i++)
		t->cell[i] = ' ';
}

static void
move(struct typed *t, size_t to)
{
	t->at = to < TYPED_CELLS ? to : TYPED_CELLS - 1;
}

static void
put(struct typed *t, uint8_t b)
{
	if ((b & 0xc0) == 0x80) { /* goes on with the character before it */
		if (t->at > 0)
			t->cell[t->at - 1] = t->cell[t->at - 1] << 8 | b;
		return;
	}
	blank(t, t->len, t->at);
	t->cell[t->at] = b;
	t->len = t->len > t->at + 1 ? t->len : t->at + 1;
	move(t, t->at + 1);
}

static void
end_line(struct typed *t, struct sp_writer *lines)
{
	size_t len = t->len;
	while (len > t->from && t->cell[len - 1] == ' ')
		len--;
	for (size_t i = t->from; i < len; i++)
		for (int shift = 24; shift >= 0; shift -= 8)
			if (t->cell[i] >> shift != 0)
				sp_wr_u8(lines, (uint8_t)(t->cell[i] >> shift));
	if (len > t->from)
		sp_wr_u8(lines, '\n');
}

static void
newline(struct typed *t, unsigned columns, struct sp_writer *lines)
{
	if (t->entered == 0 && t->typing && columns > 0 && t->at - t->at % columns + columns < t->len) {
		move(t, t->at + columns); /* a row further down in the same line */
		return;
	}
	if (t->entered > 0 && !t->whole_screen)
		end_line(t, lines);
	t->entered -= t->entered > 0;
	forget(t);
}

static void
erase(struct typed *t, unsigned columns)
{
	size_t row_end = columns == 0 ? TYPED_CELLS : t->at - t->at % columns + columns;
	if (row_end < t->len)
		blank(t, t->at, row_end);
	else if (t->at < t->len)
		t->len = t->at;
}

/* The characters behind the cursor, moved by n: to the right where they make room, else to the left. */
static void
shift(struct typed *t, size_t n, bool right)
{
	if (t->at >= t->len)
		return;
	size_t rest = t->len - t->at;
	if (!right) {
		n = n < rest ? n : rest;
		memmove(t->cell + t->at, t->cell + t->at + n, (rest - n) * sizeof(*t->cell));
		t->len -= n;
	} else if (n <= TYPED_CELLS - t->len) {
		memmove(t->cell + t->at + n, t->cell + t->at, rest * sizeof(*t->cell));
		blank(t, t->at, t->at + n);
		t->len += n;
	}
}

static void
control(struct typed *t, uint8_t final, unsigned columns)
{
	const unsigned p = t->parameter[0];
	const size_t n = p == 0 ? 1 : p < TYPED_CELLS ? p : TYPED_CELLS, row = columns == 0 ? 0 : t->at - t->at % columns;
	if (t->private) {
		if ((final == 'h' || final == 'l') && (p == 47 || p == 1047 || p == 1049)) {
			t->whole_screen = final == 'h';
			forget(t);
		}
		return;
	}
	switch (final) {
	case 'A':
		t->at -= n * columns <= t->at ? n * columns : 0;
		break;
	case 'B':
		move(t, t->at + n * columns);
		break;
	case 'C':
		move(t, t->at + n);
		break;
	case 'D':
		t->at -= n < t->at ? n : t->at;
		break;
	case 'G':
		move(t, row + n - 1);
		break;
	case 'H':
		t->at = 0;
		break;
	case 'J':
		t->len = t->at < t->len ? t->at : t->len;
		break;
	case 'K':
		if (p == 0)
			erase(t, columns);
		break;
	case 'P':
	case '@':
		shift(t, n, final == '@');
		break;
	default:
		break;
	}
}

static void
plain(struct typed *t, uint8_t b, unsigned columns, struct sp_writer *lines)
{
	switch (b) {
	case 0x1b:
		t->state = ESCAPE;
		break;
	case '\b':
		t->at -= t->at > 0;
		break;
	case '\r':
		t->at = columns == 0 ? 0 : t->at - t->at % columns;
		break;
	case '\n':
		newline(t, columns, lines);
		break;
	case '\t':
		move(t, t->at + 8 - t->at % 8);
		break;
	default:
		if (b >= ' ' && b != 0x7f)
			put(t, b);
	}
}

static void
escaped(struct typed *t, uint8_t b)
{
	t->state = b == '[' ? CONTROL : b == ']' || b == 'P' || b == '_' || b == '^' || b == 'X' ? STRING : b == '(' || b == ')' ? CHARSET : TEXT;
	t->nparameters = 0;
	t->private = false;
	memset(t->parameter, 0, sizeof(t->parameter));
}

static void
parameters(struct typed *t, uint8_t b, unsigned columns)
{
	const unsigned last = sizeof(t->parameter) / sizeof(*t->parameter) - 1;
	unsigned *p = &t->parameter[t->nparameters < last ? t->nparameters : last];
	if (b >= '0' && b <= '9')
		*p = *p < 10000 ? *p * 10 + b - '0' : *p;
	else if (b == ';')
		t->nparameters += t->nparameters < last;
	else if (b >= '<' && b <= '?')
		t->private = true;
	else if (b >= '@') {
		control(t, b, columns);
		t->state = TEXT;
	}
}

void
typed_screen(struct typed *t, struct sp_bytes shown, unsigned columns, struct sp_writer *lines)
{
	columns = columns < TYPED_CELLS ? columns : 0;
	for (size_t i = 0; i < shown.len; i++) {
		uint8_t b = shown.p[i];
		switch (t->state) {
		case TEXT:
			plain(t, b, columns, lines);
			break;
		case ESCAPE:
			escaped(t, b);
			break;
		case CONTROL:
			parameters(t, b, columns);
			break;
		case STRING:
			t->state = b == 0x07 ? TEXT : b == 0x1b ? STRING_ESCAPE : STRING;
			break;
		default: /* the byte behind a string's escape, or a set's name */
			t->state = TEXT;
		}
	}
}
