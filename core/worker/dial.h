/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to a target without waiting: name, then address after address, then session_connected(). */
#ifndef SALLYPORT_DIAL_H
#define SALLYPORT_DIAL_H

#include "worker.h"

void dial_start(struct sp_session *s);
void dial_stop(struct sp_session *s);
/* "HOST:PORT", "[V6]:PORT" → host and port in buffers; SP_ECONF when it is neither. */
int dial_split(const char *server, char host[256], char port[8]) SP_MUST;

#endif
