/* SPDX-License-Identifier: Apache-2.0 */
/* See ready.h. */
#include <config.h>

#include "ready.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "clock.h"

bool
ready_by(int fd, short events, uint64_t end)
{
	struct pollfd p = { .fd = fd, .events = events };
	for (uint64_t now = clock_mono_ms(); now < end; now = clock_mono_ms()) {
		uint64_t left = end - now;
		int n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n >= 0 || errno != EINTR)
			return n > 0;
	}
	return false;
}
