/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who calls the API: a bearer token for the API's audience, or somebody at the control socket.
 *
 * Master says who stands behind a connection (SO_PEERCRED); the console only repeats its number.
 */
#ifndef SALLYPORT_KEEPER_CALLER_H
#define SALLYPORT_KEEPER_CALLER_H

#include "keeper.h"

void caller_open(struct keeper *k);
void caller_close(struct keeper *k);
/*
 * Nobody tells the keeper that a connection was closed, least of all a console that was taken over:
 * so each is good for a while only.  The console ends its connections well before that.
 */
#define CALLER_LIFE (30u * 60 * 1000) /* ms */
/* Who came before then (mono ms) is forgotten. */
void caller_forget(struct keeper *k, uint64_t before);
/* MSG_CALLER. */
int caller_add(struct keeper *k, struct message *m);
/*
 * The principal behind a call.  SP_EDENIED: none, *err_r says why.  SP_ETIME: master has not
 * spoken of that connection yet.
 */
int caller_find(struct keeper *k, uint64_t connection, struct sp_bytes token, struct arena *a, struct verified *v_r, const char **err_r) SP_MUST;

#endif
