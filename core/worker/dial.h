/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to a target without waiting: name, then address after address, then session_connected().
 * A socket of this machine's is connected by the dial helper, whom the keeper tells to.
 */
#ifndef SALLYPORT_DIAL_H
#define SALLYPORT_DIAL_H

#include "worker.h"

void dial_start(struct sp_session *s);
/* What the dial helper has connected, taken over; -1: it could not, and why. */
void dial_done(struct sp_session *s, int fd, struct sp_bytes why);
void dial_stop(struct sp_session *s);

#endif
