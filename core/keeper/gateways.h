/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways that share a store: who is there, and what they do for one another.
 *
 *   A approves what is held at B      B hears "approval ID", and tells its worker
 *   A revokes a principal             B hears "revoked NAME", and ends its sessions
 *   A is to end a session of B        A stores a wish, B hears "wish B" and carries it out
 *   A is not heard of for a while     B writes that A's sessions are torn, and withdraws what they held
 *
 *   A lets an operation through that     A tells all, once a second, how much of which limit; B counts it as its own
 *   a limit counts
 *
 * They listen, and look once a second for what listening missed.  A gateway that is alone has the same rows, and hears nothing.
 */
#ifndef SALLYPORT_KEEPER_GATEWAYS_H
#define SALLYPORT_KEEPER_GATEWAYS_H

#include "live.h"

/* Opens k->store as the configuration says; before the lock-down, since a server is connected. */
int gateways_open(struct keeper *k, const char **err_r) SP_MUST;
void gateways_close(struct keeper *k);
/* The name of this one: its host's, and what its signing key begins with. */
const char *gateways_self(void);
/* True for our own, and for what is from before gateways had names. */
bool gateways_own(struct sp_bytes gateway);
/* Every second. */
void gateways_tick(struct keeper *k);
/* A session of another gateway is to end.  SP_OK: it will hear of it. */
int gateways_wish(struct keeper *k, const uint8_t session[ID_LEN], const char *gateway, const char *text) SP_MUST;

#endif
