/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for one descriptor, so long and no longer, outside of an event loop. */
#ifndef SALLYPORT_READY_H
#define SALLYPORT_READY_H

#include <stdbool.h>
#include <stdint.h>

/* poll() says something of fd, whatever signals come meanwhile.  false: it is `end` (mono ms), or poll() fails. */
bool ready_by(int fd, short events, uint64_t end);

#endif
