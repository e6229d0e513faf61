/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to a target without waiting: name, then address after address, then session_connected(). */
#ifndef SALLYPORT_DIAL_H
#define SALLYPORT_DIAL_H

#include "worker.h"

void dial_start(struct sp_session *s);
void dial_stop(struct sp_session *s);

#endif
