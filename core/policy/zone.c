/* SPDX-License-Identifier: Apache-2.0 */
/* Reads TZif files: the table of transitions, and the rule at the end as transitions until 2100. */
#include <config.h>

#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZONES "/usr/share/zoneinfo"
#define FILE_MAX (64u << 10)
#define LAST_YEAR 2100

struct change {
	int64_t at;
	int32_t offset;
};

struct zone {
	int32_t first; /* before the first change */
	struct change *change;
	size_t n;
};

/* ---- the calendar ---- */

int64_t
days_of(int64_t year, unsigned month, unsigned day)
{
	/* Years begin in March, so that the leap day is the last. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void
date_of(int64_t days, int64_t *year_r, unsigned *month_r, unsigned *day_r)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day_r = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*month_r = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year_r = y + era * 400 + (*month_r <= 2);
}

/* ---- the rule at the end of a file: "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

struct day_rule {
	char kind; /* 'M' month.week.day, 'J' day without leap days, '0' day of the year */
	unsigned month, week, day;
	int32_t time;
};

struct year_rule {
	bool dst;
	int32_t std_offset, dst_offset;
	struct day_rule begin, end;
};

static char
peek(const struct sp_reader *r)
{
	return (char)(r->bad || r->left == 0 ? '\0' : r->p[0]);
}

static bool
accept(struct sp_reader *r, char c)
{
	if (peek(r) != c || c == '\0')
		return false;
	(void)sp_rd_u8(r);
	return true;
}

static int32_t
read_number(struct sp_reader *r)
{
	int32_t n = 0;

	if (peek(r) < '0' || peek(r) > '9')
		r->bad = true;
	while (peek(r) >= '0' && peek(r) <= '9' && n < 1000)
		n = n * 10 + (sp_rd_u8(r) - '0');
	return n;
}

/* [+-]hh[:mm[:ss]] in seconds */
static int32_t
read_time(struct sp_reader *r)
{
	bool minus = accept(r, '-');

	if (!minus)
		(void)accept(r, '+');
	int32_t s = read_number(r) * 3600;
	if (accept(r, ':'))
		s += read_number(r) * 60;
	if (accept(r, ':'))
		s += read_number(r);
	return minus ? -s : s;
}

static void
read_name(struct sp_reader *r)
{
	if (accept(r, '<')) {
		(void)sp_rd_until(r, '>');
		return;
	}
	while ((peek(r) >= 'A' && peek(r) <= 'Z') || (peek(r) >= 'a' && peek(r) <= 'z'))
		(void)sp_rd_u8(r);
}

static struct day_rule
read_day_rule(struct sp_reader *r)
{
	struct day_rule d = { .kind = '0', .time = 7200 };

	if (!accept(r, ','))
		r->bad = true;
	if (accept(r, 'M')) {
		d.kind = 'M';
		d.month = (unsigned)read_number(r);
		r->bad |= !accept(r, '.');
		d.week = (unsigned)read_number(r);
		r->bad |= !accept(r, '.');
		d.day = (unsigned)read_number(r);
		r->bad |= d.month < 1 || d.month > 12 || d.week < 1 || d.week > 5 || d.day > 6;
	} else {
		if (accept(r, 'J'))
			d.kind = 'J';
		d.day = (unsigned)read_number(r);
	}
	if (accept(r, '/'))
		d.time = read_time(r);
	return d;
}

static bool
read_year_rule(struct sp_bytes text, struct year_rule *y)
{
	struct sp_reader r = sp_reader(text);

	*y = (struct year_rule){ .dst = false };
	read_name(&r);
	y->std_offset = -read_time(&r);
	if (!r.bad && r.left > 0) {
		y->dst = true;
		read_name(&r);
		y->dst_offset = peek(&r) == ',' ? y->std_offset + 3600 : -read_time(&r);
		y->begin = read_day_rule(&r);
		y->end = read_day_rule(&r);
	}
	return sp_rd_done(&r);
}

static bool
leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds since 1970 at which the rule's day and time come in a year. */
static int64_t
day_rule_at(const struct day_rule *d, int64_t year)
{
	int64_t day;

	if (d->kind == 'M') {
		int64_t first = days_of(year, d->month, 1);
		unsigned weekday = (unsigned)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday; Sunday is 0 */
		day = first + (d->day + 7 - weekday) % 7 + 7 * ((int64_t)d->week - 1);
		int64_t after = d->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, d->month + 1, 1);
		while (day >= after)
			day -= 7;
	} else {
		day = days_of(year, 1, 1) + (int64_t)d->day - (d->kind == 'J' ? 1 : 0);
		if (d->kind == 'J' && leap(year) && d->day >= 60)
			day++;
	}
	return day * 86400 + d->time;
}

static void
zone_add(struct zone *z, int64_t at, int32_t offset)
{
	if (z->n > 0 && at <= z->change[z->n - 1].at)
		return;
	z->change[z->n++] = (struct change){ at, offset };
}

static void
zone_extend(struct zone *z, const struct year_rule *y)
{
	int64_t year = 1970, last = z->n == 0 ? 0 : z->change[z->n - 1].at;
	unsigned month, day;

	if (!y->dst) {
		if (z->n == 0)
			z->first = y->std_offset;
		return;
	}
	date_of(last / 86400, &year, &month, &day);
	for (year--; year <= LAST_YEAR; year++) {
		int64_t on = day_rule_at(&y->begin, year) - y->std_offset;
		int64_t off = day_rule_at(&y->end, year) - y->dst_offset;
		if (on < off) {
			zone_add(z, on, y->dst_offset);
			zone_add(z, off, y->std_offset);
		} else {
			zone_add(z, off, y->std_offset);
			zone_add(z, on, y->dst_offset);
		}
	}
}

/* ---- files ---- */

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static struct counts
read_header(struct sp_reader *r)
{
	struct counts c = { 0 };

	if (!sp_bytes_is(sp_rd_take(r, 4), "TZif"))
		r->bad = true;
	(void)sp_rd_take(r, 16);
	c.isut = sp_rd_be32(r);
	c.isstd = sp_rd_be32(r);
	c.leap = sp_rd_be32(r);
	c.time = sp_rd_be32(r);
	c.type = sp_rd_be32(r);
	c.chars = sp_rd_be32(r);
	if (c.isut > 256 || c.isstd > 256 || c.leap > 256 || c.time > 4096 || c.type > 256 || c.chars > 4096 || c.type == 0)
		r->bad = true;
	return c;
}

static size_t
body_size(const struct counts *c, size_t time)
{
	return c->time * (time + 1) + (size_t)c->type * 6 + c->chars + c->leap * (time + 4) + c->isstd + c->isut;
}

static void
read_body(struct sp_reader *r, const struct counts *c, struct zone *z)
{
	struct sp_reader times = sp_reader(sp_rd_take(r, (size_t)c->time * 8));
	struct sp_reader kinds = sp_reader(sp_rd_take(r, c->time));
	struct sp_bytes types = sp_rd_take(r, (size_t)c->type * 6);
	int32_t offset[256] = { 0 };

	(void)sp_rd_take(r, body_size(c, 8) - (size_t)c->time * 9 - (size_t)c->type * 6);
	struct sp_reader t = sp_reader(types);
	for (uint32_t i = 0; i < c->type && i < 256; i++) {
		offset[i] = (int32_t)sp_rd_be32(&t);
		(void)sp_rd_be16(&t);
		if (offset[i] < -93600 || offset[i] > 93600)
			r->bad = true;
	}
	z->first = offset[0];
	for (uint32_t i = 0; i < c->time; i++) {
		int64_t at = (int64_t)sp_rd_be64(&times);
		unsigned kind = sp_rd_u8(&kinds);
		if (kind >= c->type)
			r->bad = true;
		else
			zone_add(z, at, offset[kind]);
	}
}

const struct zone *
zone_parse(struct arena *a, struct sp_bytes file)
{
	struct sp_reader r = sp_reader(file);
	struct counts c = read_header(&r);

	if (r.bad || file.len < 5 || file.p[4] < '2')
		return NULL; /* version 1 has no dates after 2037 */
	(void)sp_rd_take(&r, body_size(&c, 4));
	c = read_header(&r);
	if (r.bad)
		return NULL;
	struct zone *z = arena_alloc(a, sizeof(*z));
	if (z == NULL)
		return NULL;
	z->change = arena_alloc(a, (c.time + 2 * (size_t)(LAST_YEAR - 1900)) * sizeof(*z->change));
	if (z->change == NULL)
		return NULL;
	read_body(&r, &c, z);
	if (sp_rd_u8(&r) != '\n')
		return NULL;
	struct sp_bytes footer = sp_rd_until(&r, '\n');
	struct year_rule y;
	if (r.bad)
		return NULL;
	if (footer.len > 0) {
		if (!read_year_rule(footer, &y))
			return NULL;
		zone_extend(z, &y);
	}
	return z;
}

static struct sp_bytes
read_file(const char *path)
{
	struct sp_bytes none = { NULL, 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return none;
	uint8_t *p = mem_alloc(FILE_MAX);
	size_t len = 0;
	ssize_t n = 0;
	while (len < FILE_MAX && ((n = read(fd, p + len, FILE_MAX - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	close(fd);
	if (n < 0 || len == FILE_MAX || len < 44 || memcmp(p, "TZif", 4) != 0) {
		free(p);
		return none;
	}
	uint8_t *fits = realloc(p, len);
	return (struct sp_bytes){ fits == NULL ? p : fits, len };
}

/* ---- all of them, kept ---- */

static struct kept {
	char *name;
	struct sp_bytes file;
} *kept;
static size_t nkept;

static int
keep(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = path + sizeof(ZONES);

	(void)at;
	if (type != FTW_F || st->st_size > FILE_MAX || strlen(path) <= sizeof(ZONES) || strncmp(name, "posix/", 6) == 0
	    || strncmp(name, "right/", 6) == 0)
		return 0;
	struct sp_bytes file = read_file(path);
	if (file.p == NULL)
		return 0;
	if ((nkept & (nkept - 1)) == 0) {
		struct kept *more = realloc(kept, (nkept == 0 ? 1 : 2 * nkept) * sizeof(*kept));
		if (more == NULL) {
			free((void *)(uintptr_t)file.p);
			return 1;
		}
		kept = more;
	}
	kept[nkept++] = (struct kept){ mem_string(sp_str(name)), file };
	return 0;
}

void
zones_prepare(void)
{
	if (nkept == 0)
		(void)nftw(ZONES, keep, 8, 0);
}

static bool
name_is_sane(const char *name)
{
	if (*name == '\0' || *name == '/' || strstr(name, "..") != NULL || strlen(name) > 64)
		return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-") == strlen(name);
}

const struct zone *
zone_load(struct arena *a, const char *name)
{
	char path[sizeof(ZONES) + 80];

	if (!name_is_sane(name))
		return NULL;
	for (size_t i = 0; i < nkept; i++)
		if (strcmp(kept[i].name, name) == 0)
			return zone_parse(a, kept[i].file);
	if (nkept > 0)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", ZONES, name);
	struct sp_bytes file = read_file(path);
	if (file.p == NULL)
		return NULL;
	const struct zone *z = zone_parse(a, file);
	free((void *)(uintptr_t)file.p);
	return z;
}

/* ---- answers ---- */

/* Index of the first change after `at`. */
static size_t
zone_after(const struct zone *z, int64_t at)
{
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (z->change[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int32_t
zone_offset(const struct zone *z, int64_t at)
{
	size_t i = zone_after(z, at);

	return i == 0 ? z->first : z->change[i - 1].offset;
}

int64_t
zone_next(const struct zone *z, int64_t at)
{
	size_t i = zone_after(z, at);

	return i == z->n ? INT64_MAX : z->change[i].at;
}
