/* SPDX-License-Identifier: Apache-2.0 */
/* See edit.h: the keys that people know from readline, in one table. */
#include "edit.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL(letter) ((letter) & 0x1f)

static bool
continues(uint8_t c) /* a character of UTF-8 that began before */
{
	return (c & 0xc0) == 0x80;
}

static size_t
width(const uint8_t *p, size_t n)
{
	size_t columns = 0;
	for (size_t i = 0; i < n; i++)
		columns += !continues(p[i]);
	return columns;
}

/* ---- the screen ---- */

static size_t
step_back(const struct edit *e, size_t at)
{
	while (at > 0 && continues(e->line[--at]))
		;
	return at;
}

static size_t
step_forth(const struct edit *e, size_t at)
{
	at += at < e->len;
	while (at < e->len && continues(e->line[at]))
		at++;
	return at;
}

/* What fits in one row, so that the cursor is in it. */
void
edit_show(const struct edit *e, struct sp_writer *screen)
{
	size_t used = strlen(e->prompt), columns = e->columns < 20 ? 80 : e->columns;
	if (used + 8 > columns)
		used = 0;
	size_t room = columns - used - 1, from = e->at;
	for (size_t n = 0; n < room && from > 0; n++)
		from = step_back(e, from);
	size_t to = from;
	for (size_t n = 0; n < room && to < e->len; n++)
		to = step_forth(e, to);
	sp_wr_put(screen, SP_LIT("\r"));
	sp_wr_put(screen, used == 0 ? (struct sp_bytes){ NULL, 0 } : sp_str(e->prompt));
	sp_wr_put(screen, (struct sp_bytes){ e->line + from, to - from });
	sp_wr_put(screen, SP_LIT("\x1b[K"));
	for (size_t left = width(e->line + e->at, to > e->at ? to - e->at : 0); left > 0; left--)
		sp_wr_put(screen, SP_LIT("\b"));
}

/* ---- changes ---- */

static void
cut(struct edit *e, size_t from, size_t to)
{
	memmove(e->line + from, e->line + to, e->len - to);
	e->len -= to - from;
	e->at = from;
}

static void
insert(struct edit *e, uint8_t c)
{
	if (e->len == EDIT_MAX)
		return;
	memmove(e->line + e->at + 1, e->line + e->at, e->len - e->at);
	e->line[e->at++] = c;
	e->len++;
}

static void
cut_word(struct edit *e)
{
	size_t from = e->at;
	while (from > 0 && e->line[from - 1] == ' ')
		from--;
	while (from > 0 && e->line[from - 1] != ' ')
		from--;
	cut(e, from, e->at);
}

static void
go_in_history(struct edit *e, unsigned to)
{
	if (to > e->nhistory)
		return;
	e->shown = to;
	e->len = to == e->nhistory ? 0 : strlen(e->history[to]);
	if (e->len > 0)
		memcpy(e->line, e->history[to], e->len);
	e->at = e->len;
}

void
edit_begin(struct edit *e)
{
	e->len = e->at = 0;
	e->escape = 0;
	e->shown = e->nhistory;
}

bool
edit_remember(struct edit *e)
{
	if (e->len == 0 || (e->nhistory > 0 && sp_bytes_is((struct sp_bytes){ e->line, e->len }, e->history[e->nhistory - 1])))
		return true;
	char *line = malloc(e->len + 1);
	if (line == NULL)
		return false;
	memcpy(line, e->line, e->len);
	line[e->len] = '\0';
	if (e->nhistory == EDIT_HISTORY) {
		free(e->history[0]);
		memmove(e->history, e->history + 1, --e->nhistory * sizeof(e->history[0]));
	}
	e->history[e->nhistory++] = line;
	return true;
}

void
edit_free(struct edit *e)
{
	for (unsigned i = 0; i < e->nhistory; i++)
		free(e->history[i]);
	e->nhistory = 0;
}

/* ---- keys ---- */

enum action { NOTHING, HOME, END, LEFT, RIGHT, UP, DOWN, CUT_BEFORE, CUT_AT, CUT_TO_BEGIN, CUT_TO_END, CUT_WORD, CLEAR };

static const struct {
	uint8_t key;    /* of a sequence: its last byte */
	uint8_t before; /* 0: a key by itself; '[': ESC [ or ESC O before it; a digit: ESC [ digit */
	enum action action;
} keys[] = {
	{ CONTROL('a'), 0, HOME }, { CONTROL('e'), 0, END }, { CONTROL('b'), 0, LEFT }, { CONTROL('f'), 0, RIGHT },
	{ CONTROL('p'), 0, UP }, { CONTROL('n'), 0, DOWN }, { CONTROL('h'), 0, CUT_BEFORE }, { 0x7f, 0, CUT_BEFORE },
	{ CONTROL('u'), 0, CUT_TO_BEGIN }, { CONTROL('k'), 0, CUT_TO_END }, { CONTROL('w'), 0, CUT_WORD }, { CONTROL('l'), 0, CLEAR },
	{ 'A', '[', UP }, { 'B', '[', DOWN }, { 'C', '[', RIGHT }, { 'D', '[', LEFT }, { 'H', '[', HOME }, { 'F', '[', END },
	{ '~', '1', HOME }, { '~', '3', CUT_AT }, { '~', '4', END }, { '~', '7', HOME }, { '~', '8', END },
};

static enum action
action_of(uint8_t key, uint8_t before)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (keys[i].key == key && keys[i].before == before)
			return keys[i].action;
	return NOTHING;
}

static void
act(struct edit *e, enum action action)
{
	switch (action) {
	case HOME:         e->at = 0; break;
	case END:          e->at = e->len; break;
	case LEFT:         e->at = step_back(e, e->at); break;
	case RIGHT:        e->at = step_forth(e, e->at); break;
	case UP:           go_in_history(e, e->shown == 0 ? 0 : e->shown - 1); break;
	case DOWN:         go_in_history(e, e->shown + 1); break;
	case CUT_BEFORE:   cut(e, step_back(e, e->at), e->at); break;
	case CUT_AT:       cut(e, e->at, step_forth(e, e->at)); break;
	case CUT_TO_BEGIN: cut(e, 0, e->at); break;
	case CUT_TO_END:   cut(e, e->at, e->len); break;
	case CUT_WORD:     cut_word(e); break;
	case CLEAR:
	case NOTHING:      break;
	}
}

/* ESC, then [ or O, then perhaps a number, then what key it was. */
static enum action
in_escape(struct edit *e, uint8_t key)
{
	if (e->escape == 1) {
		e->escape = key == '[' || key == 'O' ? 2 : 0;
		e->parameter = '[';
		return NOTHING;
	}
	if (key >= 0x20 && key < 0x40) { /* of two parameters the first counts: ctrl-arrow is an arrow */
		if (e->escape == 2)
			e->parameter = key;
		e->escape = 3;
		return NOTHING;
	}
	e->escape = 0;
	return action_of(key, key == '~' ? e->parameter : '[');
}

static enum edit_what
end_line(struct sp_writer *screen, enum edit_what what)
{
	sp_wr_put(screen, what == EDIT_CANCEL ? SP_LIT("^C\r\n") : SP_LIT("\r\n"));
	return what;
}

enum edit_what
edit_key(struct edit *e, uint8_t key, struct sp_writer *screen)
{
	bool same_key = e->after_return && key == '\n';
	enum action action;
	e->after_return = key == '\r';
	if (same_key)
		return EDIT_MORE;
	if (e->escape > 0) {
		action = in_escape(e, key);
	} else {
		if (key == '\r' || key == '\n')
			return end_line(screen, EDIT_LINE);
		if (key == CONTROL('c'))
			return end_line(screen, EDIT_CANCEL);
		if (key == CONTROL('d') && e->len == 0)
			return end_line(screen, EDIT_END);
		e->escape = key == 0x1b;
		action = key == CONTROL('d') ? CUT_AT : action_of(key, 0);
		if (key >= ' ' && key != 0x7f) {
			insert(e, key);
			if (e->at == e->len && width(e->line, e->len) + strlen(e->prompt) + 1 < e->columns) {
				sp_wr_u8(screen, key);
				return EDIT_MORE;
			}
		} else if (action == NOTHING) {
			return EDIT_MORE;
		}
	}
	if (action == CLEAR)
		sp_wr_put(screen, SP_LIT("\x1b[H\x1b[2J"));
	act(e, action);
	edit_show(e, screen);
	return EDIT_MORE;
}
