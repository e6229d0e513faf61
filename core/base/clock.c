/* SPDX-License-Identifier: Apache-2.0 */
/* Two clocks, read through the vDSO. */
#include <config.h>

#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t
clock_us(clockid_t id)
{
	struct timespec t;
	if (clock_gettime(id, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
clock_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* Days since 1970 to a date of the Gregorian calendar, in eras of 400 years that begin in March. */
static void
civil_date(uint64_t days, unsigned *year_r, unsigned *month_r, unsigned *day_r)
{
	uint64_t shifted = days + 719468, era = shifted / 146097;
	unsigned of_era = (unsigned)(shifted % 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
	*day_r = of_year - (153 * month + 2) / 5 + 1;
	*month_r = month < 10 ? month + 3 : month - 9;
	*year_r = (unsigned)(era * 400) + year + (*month_r <= 2);
}

/* Without gmtime_r(), which takes a lock: the log is written from signal handlers too. */
const char *
clock_format(uint64_t wall_us, char buf[32])
{
	const uint64_t last = 253402300799u; /* the end of 9999 */
	uint64_t s = wall_us / 1000000 < last ? wall_us / 1000000 : last;
	unsigned year, month, day, of_day = (unsigned)(s % 86400);
	civil_date(s / 86400, &year, &month, &day);
	(void)snprintf(buf, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year % 10000, month % 100, day % 100,
	    of_day / 3600, of_day / 60 % 60, of_day % 60, (unsigned)(wall_us / 1000 % 1000));
	return buf;
}

static bool
take_number(const char **at, unsigned digits, char after, unsigned *n_r)
{
	*n_r = 0;
	for (unsigned i = 0; i < digits; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*n_r = *n_r * 10 + (unsigned)(**at - '0');
	}
	return after == '\0' || *(*at)++ == after;
}

static uint64_t
days_to(unsigned year, unsigned month, unsigned day)
{
	unsigned y = year - (month <= 2), of_era = y % 400, m = month > 2 ? month - 3 : month + 9;
	uint64_t of_year = (153 * m + 2) / 5 + day - 1;
	return (uint64_t)(y / 400) * 146097 + of_era * 365u + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool
clock_parse(const char *text, uint64_t *wall_us_r)
{
	unsigned year, month, day, hour, minute, second, y, m, d;
	uint64_t fraction = 0, unit = 100000;
	*wall_us_r = 0;
	if (!take_number(&text, 4, '-', &year) || !take_number(&text, 2, '-', &month) || !take_number(&text, 2, 'T', &day) ||
	    !take_number(&text, 2, ':', &hour) || !take_number(&text, 2, ':', &minute) || !take_number(&text, 2, '\0', &second))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60)
		return false;
	uint64_t days = days_to(year, month, day);
	civil_date(days, &y, &m, &d);
	if (m != month || d != day) /* 30 February */
		return false;
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
			fraction += (uint64_t)(*text - '0') * unit;
	if (strcmp(text, "Z") != 0)
		return false;
	*wall_us_r = ((days * 24 + hour) * 60 + minute) * 60000000 + second * UINT64_C(1000000) + fraction;
	return true;
}
