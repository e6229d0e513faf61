/* SPDX-License-Identifier: Apache-2.0 */
/* Hours of the week and time zones, with summer time, and files that are none. */
#include <config.h>

#include <stdlib.h>

#include "core/base/digest.h"
#include "core/policy/window.h"
#include "core/policy/zone.h"
#include "cunit_main.h"

static struct arena *arena;

/* Wall µs of a time in UTC. */
static uint64_t
at(int64_t year, unsigned month, unsigned day, unsigned hour, unsigned minute)
{
	return (uint64_t)(days_of(year, month, day) * 86400 + hour * 3600 + minute * 60) * 1000000;
}

static const struct window *
window(const char *text)
{
	struct window *w;
	const char *err;

	CU_ASSERT_EQUAL_FATAL(window_parse(arena, text, &w, &err), SP_OK);
	return w;
}

static void
test_days(void)
{
	int64_t year;
	unsigned month, day;

	CU_ASSERT_EQUAL(days_of(1970, 1, 1), 0);
	CU_ASSERT_EQUAL(days_of(2000, 3, 1) - days_of(2000, 2, 28), 2);
	CU_ASSERT_EQUAL(days_of(2100, 3, 1) - days_of(2100, 2, 28), 1);
	for (int64_t n = -800000; n < 800000; n += 997) {
		date_of(n, &year, &month, &day);
		CU_ASSERT_EQUAL(days_of(year, month, day), n);
		CU_ASSERT(month >= 1 && month <= 12 && day >= 1 && day <= 31);
	}
}

static void
test_inside(void)
{
	static const struct {
		const char *window;
		unsigned day, hour, minute; /* January 2026: the 5th is a Monday */
		bool inside;
	} row[] = {
		{ "Mon-Fri 09:00-18:00 UTC", 5, 9, 0, true },
		{ "Mon-Fri 09:00-18:00 UTC", 5, 8, 59, false },
		{ "Mon-Fri 09:00-18:00 UTC", 5, 17, 59, true },
		{ "Mon-Fri 09:00-18:00 UTC", 5, 18, 0, false },
		{ "Mon-Fri 09:00-18:00 UTC", 10, 12, 0, false },
		{ "Fri-Mon 00:00-24:00 UTC", 11, 23, 59, true },
		{ "Fri-Mon 00:00-24:00 UTC", 6, 0, 0, false },
		{ "Sat,Tue 08:00-12:00,13:00-17:00 UTC", 6, 12, 30, false },
		{ "Sat,Tue 08:00-12:00,13:00-17:00 UTC", 6, 13, 0, true },
		{ "Fri 22:00-06:00 UTC", 9, 23, 0, true },
		{ "Fri 22:00-06:00 UTC", 10, 5, 59, true },
		{ "Fri 22:00-06:00 UTC", 10, 6, 0, false },
		{ "Fri 22:00-06:00 UTC", 9, 5, 0, false },
		{ "Mon-Fri 09:00-18:00 Asia/Tokyo", 5, 0, 0, true },
		{ "Mon-Fri 09:00-18:00 Asia/Tokyo", 5, 9, 0, false },
		{ "Mon 00:00-01:00 Pacific/Auckland", 4, 11, 30, true },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_EQUAL(window_inside(window(row[i].window), at(2026, 1, row[i].day, row[i].hour, row[i].minute)), row[i].inside);
}

/* Berlin: UTC+1, in summer UTC+2 from 29 March 2026, 01:00 UTC. */
static void
test_summer(void)
{
	const struct zone *z = zone_load(arena, "Europe/Berlin");

	CU_ASSERT_PTR_NOT_NULL_FATAL(z);
	int64_t change = days_of(2026, 3, 29) * 86400 + 3600;
	CU_ASSERT_EQUAL(zone_offset(z, change - 1), 3600);
	CU_ASSERT_EQUAL(zone_offset(z, change), 7200);
	CU_ASSERT_EQUAL(zone_next(z, change - 1), change);
	/* Also where the file has only the rule: in the far future. */
	CU_ASSERT_EQUAL(zone_offset(z, days_of(2099, 7, 1) * 86400), 7200);
	CU_ASSERT_EQUAL(zone_offset(z, days_of(2099, 1, 1) * 86400), 3600);
	const struct window *w = window("Mon-Sun 09:00-10:00 Europe/Berlin");
	CU_ASSERT_TRUE(window_inside(w, at(2026, 3, 28, 8, 0)));
	CU_ASSERT_FALSE(window_inside(w, at(2026, 3, 29, 8, 0)));
	CU_ASSERT_TRUE(window_inside(w, at(2026, 3, 29, 7, 0)));
}

/* The next edge: nothing changes before it, something may at it. */
static void
test_edges(void)
{
	static const char *const windows[] = { "Mon-Fri 09:00-18:00 Europe/Berlin", "Fri 22:00-06:00 America/New_York",
		"Mon-Sun 00:00-24:00 UTC", "Sun 01:30-03:30 Europe/Berlin" };

	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		const struct window *w = window(windows[i]);
		uint64_t now = at(2026, 3, 25, 0, 0), end = at(2026, 4, 8, 0, 0);
		while (now < end) {
			uint64_t next = window_next(w, now);
			CU_ASSERT_TRUE_FATAL(next > now);
			bool inside = window_inside(w, now);
			for (uint64_t t = now; t < next && t < end; t += 600000000)
				CU_ASSERT_EQUAL(window_inside(w, t), inside);
			now = next;
		}
	}
}

static void
test_wrong(void)
{
	static const char *const bad[] = { "", "Mon", "Mon 09:00-18:00", "Mon 9:00-18:00 UTC", "Mon 09:00-25:00 UTC", "Mon 09:00-24:01 UTC",
		"Mon 09:60-18:00 UTC", "Mon 09:00-09:00 UTC", "mon 09:00-18:00 UTC", "Mon- 09:00-18:00 UTC", "Mon, 09:00-18:00 UTC",
		"Mon 09:00-18:00 Mars/Olympus", "Mon 09:00-18:00 ../../etc/passwd", "Mon 09:00-18:00 /etc/passwd", "Mon 09:00-18:00 UTC UTC",
		"Mon 09:00 UTC", "Mon 0a:00-18:00 UTC",
		"Mon 00:00-01:00,02:00-03:00,04:00-05:00,06:00-07:00,08:00-09:00,10:00-11:00,12:00-13:00,14:00-15:00,16:00-17:00 UTC" };
	struct window *w;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *err = NULL;
		CU_ASSERT_NOT_EQUAL(window_parse(arena, bad[i], &w, &err), SP_OK);
		CU_ASSERT_PTR_NULL(w);
		CU_ASSERT_PTR_NOT_NULL(err);
	}
}

/* A zone's file cut anywhere, and with any byte changed, is read within bounds (run with sanitizers). */
static void
test_files(void)
{
	static const uint8_t head[] = "TZif2";
	uint8_t file[1024];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "r");

	CU_ASSERT_PTR_NULL(zone_parse(arena, SP_LIT("")));
	CU_ASSERT_PTR_NULL(zone_parse(arena, SP_LIT("TZif")));
	CU_ASSERT_PTR_NULL(zone_parse(arena, (struct sp_bytes){ head, sizeof(head) }));
	if (f == NULL) {
		fprintf(stderr, "skipped: there is no /usr/share/zoneinfo/Europe/Berlin\n");
		return;
	}
	size_t n = fread(file, 1, sizeof(file), f);
	fclose(f);
	for (size_t len = 0; len < n; len++) {
		struct arena *a = arena_new(1 << 20);
		const struct zone *z = zone_parse(a, (struct sp_bytes){ file, len });
		if (z != NULL)
			(void)zone_offset(z, 1767787200);
		arena_free(&a);
	}
	for (size_t i = 0; i < n; i++) {
		struct arena *a = arena_new(1 << 20);
		uint8_t was = file[i];
		file[i] ^= 0xff;
		const struct zone *z = zone_parse(a, (struct sp_bytes){ file, n });
		for (int64_t t = -4000000000; z != NULL && t < 8000000000; t += 1000000000) {
			(void)zone_offset(z, t);
			CU_ASSERT_TRUE(zone_next(z, t) > t);
		}
		file[i] = was;
		arena_free(&a);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "days of the calendar", test_days },
		{ "inside and outside", test_inside },
		{ "summer time", test_summer },
		{ "edges", test_edges },
		{ "windows that are none", test_wrong },
		{ "files of zones, cut and changed", test_files },
		CU_TEST_INFO_NULL,
	};

	arena = arena_new(8 << 20);
	int rc = cunit_main("policy time", tests);
	arena_free(&arena);
	return rc;
}
