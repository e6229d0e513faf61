/* SPDX-License-Identifier: Apache-2.0 */
/* Two clocks, read through the vDSO. */
#include <config.h>

#include "clock.h"

#include <stdio.h>
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

const char *
clock_format(uint64_t wall_us, char buf[32])
{
	time_t s = (time_t)(wall_us / 1000000);
	struct tm t;
	if (gmtime_r(&s, &t) == NULL || t.tm_year > 9999 - 1900)
		t = (struct tm){ .tm_year = 9999 - 1900, .tm_mon = 11, .tm_mday = 31 };
	/* The remainders change nothing; they show the compiler that it fits. */
	(void)snprintf(buf, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(t.tm_year + 1900) % 10000,
	    (unsigned)(t.tm_mon + 1) % 100, (unsigned)t.tm_mday % 100, (unsigned)t.tm_hour % 100,
	    (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100, (unsigned)(wall_us / 1000 % 1000));
	return buf;
}
