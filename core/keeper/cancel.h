/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancel keys: how one connection finds another's session, on whatever worker (THREATS PG18).
 *
 * Kept and looked up by their HMAC under a key of this process, so that the time of a look-up says
 * nothing about a key; tries are counted by address.
 */
#ifndef SALLYPORT_KEEPER_CANCEL_H
#define SALLYPORT_KEEPER_CANCEL_H

#include "live.h"

void cancel_open(struct keeper *k);
void cancel_close(struct keeper *k);
int cancel_key(struct keeper *k, struct link *l, struct message *m);
int cancel_request(struct keeper *k, struct link *l, struct message *m);
/* The session ends. */
void cancel_forget(struct keeper *k, struct live *s);

#endif
