/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to targets that are sockets of this machine's (unix:).  The keeper alone knows which session
 * may: it passes on what the dial helper has connected, and holds none of it.
 *
 *   worker ─ MSG_CONNECT ─▶ keeper: is it admitted, to such a target? ─ MSG_DIAL ─▶ dial helper
 *          ◀─ MSG_CONNECTED ─                                         ◀─ MSG_DIALED ─
 */
#ifndef SALLYPORT_KEEPER_DIAL_H
#define SALLYPORT_KEEPER_DIAL_H

#include "keeper.h"

int dial_connect(struct keeper *k, struct link *l, struct message *m) SP_MUST;
int dial_dialed(struct keeper *k, struct link *l, struct message *m) SP_MUST;

#endif
