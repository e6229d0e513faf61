/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock on the wall that tests put forward and back for the gateway alone: loaded before libc, it adds to CLOCK_REALTIME
 * the µs that stand in the file $SALLYPORT_TEST_CLOCK.  The file is mapped before any sandbox is entered.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead; /* µs */

__attribute__((constructor)) static void
map_file(void)
{
	const char *path = getenv("SALLYPORT_TEST_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		abort(); /* a test that only thinks that it stepped the clock would pass */
	(void)close(fd);
	ahead = p;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);
	if (rc != 0 || ahead == NULL || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return rc;
	int64_t us = t->tv_sec * INT64_C(1000000) + t->tv_nsec / 1000 + *ahead;
	t->tv_sec = us / 1000000;
	t->tv_nsec = us % 1000000 * 1000 + t->tv_nsec % 1000;
	return 0;
}

time_t
time(time_t *to)
{
	struct timespec t = { 0 };
	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (to != NULL)
		*to = t.tv_sec;
	return t.tv_sec;
}

int
gettimeofday(struct timeval *restrict to, void *restrict zone)
{
	struct timespec t = { 0 };
	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	*to = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
	return 0;
}
