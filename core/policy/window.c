/* SPDX-License-Identifier: Apache-2.0 */
/* Hours of the week: is it time, and until when. */
#include <config.h>

#include "window.h"
#include "zone.h"

#define DAY 86400
#define RANGES_MAX 8

struct window {
	const struct zone *zone;
	unsigned days; /* bit 0 is Monday */
	struct {
		int32_t from, to; /* seconds; to may be up to two days */
	} range[RANGES_MAX];
	size_t n;
};

static const char *const day_name[7] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

static int
read_day(struct sp_reader *r)
{
	struct sp_bytes word = sp_rd_take(r, 3);

	for (int i = 0; i < 7; i++)
		if (sp_bytes_is(word, day_name[i]))
			return i;
	r->bad = true;
	return 0;
}

static bool
accept(struct sp_reader *r, char c)
{
	if (r->bad || r->left == 0 || r->p[0] != (uint8_t)c)
		return false;
	(void)sp_rd_u8(r);
	return true;
}

/* Mon-Fri,Sun */
static bool
read_days(struct sp_bytes text, struct window *w)
{
	struct sp_reader r = sp_reader(text);

	do {
		int from = read_day(&r), to = accept(&r, '-') ? read_day(&r) : from;
		for (int i = from; !r.bad; i = (i + 1) % 7) {
			w->days |= 1u << i;
			if (i == to)
				break;
		}
	} while (accept(&r, ','));
	return sp_rd_done(&r);
}

static int32_t
read_clock(struct sp_reader *r)
{
	struct sp_bytes t = sp_rd_take(r, 5);

	if (t.len < 5 || t.p[2] != ':') {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < 5; i++)
		if (i != 2 && (t.p[i] < '0' || t.p[i] > '9'))
			r->bad = true;
	int32_t hour = (t.p[0] - '0') * 10 + (t.p[1] - '0'), minute = (t.p[3] - '0') * 10 + (t.p[4] - '0');
	if (hour > 24 || minute > 59 || (hour == 24 && minute > 0))
		r->bad = true;
	return hour * 3600 + minute * 60;
}

/* 08:00-12:00,22:00-06:00 */
static bool
read_ranges(struct sp_bytes text, struct window *w)
{
	struct sp_reader r = sp_reader(text);

	do {
		if (w->n == RANGES_MAX)
			return false;
		int32_t from = read_clock(&r);
		r.bad |= !accept(&r, '-');
		int32_t to = read_clock(&r);
		if (from == to)
			return false; /* never, or always: say 00:00-24:00 */
		w->range[w->n].from = from;
		w->range[w->n++].to = to < from ? to + DAY : to;
	} while (accept(&r, ','));
	return sp_rd_done(&r);
}

static struct sp_bytes
next_word(struct sp_reader *r)
{
	while (accept(r, ' '))
		;
	size_t n = 0;
	while (n < r->left && r->p[n] != ' ')
		n++;
	return sp_rd_take(r, n);
}

int
window_parse(struct arena *a, const char *text, struct window **w_r, const char **err_r)
{
	struct sp_reader r = sp_reader(sp_str(text));
	struct sp_bytes days = next_word(&r), hours = next_word(&r), zone = next_word(&r);
	struct window *w = arena_alloc(a, sizeof(*w));
	const char *name = arena_string(a, zone);

	*w_r = NULL;
	*err_r = "out of memory";
	if (w == NULL || name == NULL)
		return SP_ENOMEM;
	if (!read_days(days, w) || !read_ranges(hours, w) || next_word(&r).len > 0 || *name == '\0') {
		*err_r = arena_printf(a, "\"%s\" is no window like \"Mon-Fri 09:00-18:00 Europe/Berlin\"", text);
		return SP_ECONF;
	}
	w->zone = zone_load(a, name);
	if (w->zone == NULL) {
		*err_r = arena_printf(a, "there is no time zone \"%s\" on this system", name);
		return SP_ECONF;
	}
	*w_r = w;
	return SP_OK;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool
has_day(const struct window *w, int64_t day)
{
	return (w->days >> (((day + 3) % 7 + 7) % 7) & 1) != 0; /* day 0 was a Thursday */
}

bool
window_inside(const struct window *w, uint64_t now_us)
{
	int64_t now = (int64_t)(now_us / 1000000), local = now + zone_offset(w->zone, now);
	int64_t today = floor_div(local, DAY), second = local - today * DAY;

	for (size_t i = 0; i < w->n; i++) {
		if (has_day(w, today) && second >= w->range[i].from && second < w->range[i].to)
			return true;
		if (has_day(w, today - 1) && second + DAY < w->range[i].to)
			return true;
	}
	return false;
}

uint64_t
window_next(const struct window *w, uint64_t now_us)
{
	int64_t now = (int64_t)(now_us / 1000000), offset = zone_offset(w->zone, now), today = floor_div(now + offset, DAY);
	int64_t next = zone_next(w->zone, now); /* the offset changes: ask again then */

	for (int64_t day = today - 1; day <= today + 8; day++) {
		if (!has_day(w, day))
			continue;
		for (size_t i = 0; i < w->n; i++) {
			int64_t from = day * DAY + w->range[i].from - offset, to = day * DAY + w->range[i].to - offset;
			if (from > now && from < next)
				next = from;
			if (to > now && to < next)
				next = to;
		}
	}
	return next == INT64_MAX ? UINT64_MAX : (uint64_t)next * 1000000;
}
