/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder as a process that master starts: its links and its loop. */
#ifndef SALLYPORT_RECORDER_PROCESS_H
#define SALLYPORT_RECORDER_PROCESS_H

#include "../base/role.h"
#include "recorder.h"

struct recorder_process {
	struct role_process role;
	struct recorder recorder;
	struct link *keeper; /* NULL: it is away */
	struct event *tick;
	uint64_t due; /* mono µs: the tick, when it is pending */
	bool quitting;
};

/* Files and the tick: all of a start but the lock. */
int recorder_process_open(struct recorder_process *p, const struct settings *s, const char **err_r) SP_MUST;

extern const struct role_handler recorder_handler; /* the owner is the recorder_process */

#endif
