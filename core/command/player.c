/* SPDX-License-Identifier: Apache-2.0 */
/* See player.h. */
#include <config.h>

#include "player.h"

#include <poll.h>
#include <unistd.h>

#include "../base/clock.h"

void
player_begin(struct player *p, bool keys)
{
	struct termios raw;
	p->keys = keys && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && tcgetattr(STDIN_FILENO, &p->before) == 0;
	if (!p->keys)
		return;
	raw = p->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	p->keys = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void
player_end(struct player *p)
{
	if (p->keys)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &p->before);
	p->keys = false;
}

/* '\0': none came. */
static char
key_within(const struct player *p, int ms)
{
	struct pollfd on = { .fd = p->keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key = '\0';
	if (poll(&on, 1, ms) <= 0)
		return '\0';
	return read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';
}

/* True: the wait goes on. */
static bool
take_key(struct player *p, char key)
{
	if (key == '+' && p->speed < 64)
		p->speed *= 2;
	else if (key == '-' && p->speed > 1.0 / 64)
		p->speed /= 2;
	while (key == ' ' && (key = key_within(p, -1)) != ' ' && key != 'q' && key != 3)
		key = ' ';
	p->over = p->over || key == 'q' || key == 3;
	return !p->over && key != 'n';
}

void
player_wait(struct player *p, uint64_t at)
{
	uint64_t left = at > p->at ? at - p->at : 0; /* of the recording's own time */
	p->at = at;
	if (p->idle > 0 && left > p->idle)
		left = p->idle;
	while (left > 0 && p->speed > 0 && !p->over) {
		uint64_t begun = clock_mono_us();
		double ms = (double)left / 1000 / p->speed;
		char key = key_within(p, ms > 1000 ? 1000 : (int)ms + 1);
		double gone = (double)(clock_mono_us() - begun) * p->speed;
		left = gone >= (double)left ? 0 : left - (uint64_t)gone;
		if (key != '\0' && !take_key(p, key))
			return;
	}
}
