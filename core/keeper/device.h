/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of SSH that a person lets in with a browser (api_device.c): two questions of the worker's.
 *
 *   AUTHENTICATE, SP_PROOF_DEVICE ─▶ device_begin() ─▶ SP_CHALLENGE: the URL, code and all
 *   AUTHENTICATE, SP_PROOF_DEVICE ─▶ device_prove(): later … a person says yes: who that is; or no
 *
 * A code is forgotten with its session, its worker, its time, and once it was answered.
 */
#ifndef SALLYPORT_KEEPER_DEVICE_H
#define SALLYPORT_KEEPER_DEVICE_H

#include "live.h"

/* Is the next question of this session the second? */
bool device_begun(const struct keeper *k, struct sp_bytes session);
int device_begin(struct keeper *k, struct link *l, struct message *m);
/* SP_ETIME: nobody has answered yet; the message is kept, and admission_authenticate() gets it again. */
int device_prove(struct keeper *k, struct link *l, const struct message *m, struct arena *a, struct verified *v_r, const char **why_r) SP_MUST;
void device_forget(struct keeper *k, struct sp_bytes session);
void device_link_gone(struct keeper *k, const struct link *l);

#endif
