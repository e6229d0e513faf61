/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker asks of the keeper, and what it is told.  While the keeper is away nobody is
 * admitted and nothing is held; sessions go on for store_grace.
 */
#ifndef SALLYPORT_KEEPER_TALK_H
#define SALLYPORT_KEEPER_TALK_H

#include "operation.h"

int keeper_authenticate(struct sp_session *s, const struct sp_proof *p) SP_MUST;
/* The keeper has answered; challenged: and wants a next message. */
void keeper_answered(struct sp_session *s, bool challenged);
/* Nobody is there to say whether it may: the client is told. */
void keeper_unheard(struct sp_session *s);
int keeper_prove(struct sp_session *s, const struct sp_challenge *c) SP_MUST;
/* tls_start.sign: the keeper's signature for this session's client certificate; waits up to 100 ms. */
int keeper_tls_sign(void *session, unsigned algorithm, struct sp_bytes data, struct tls_signature *out_r) SP_MUST;
/* A connection to its target, which is a socket of this machine's: session_connected(), or the end. */
int keeper_connect_target(struct sp_session *s) SP_MUST;
void keeper_side(struct sp_session *s);
void keeper_opened(struct sp_session *s);
void keeper_closed(struct sp_session *s);
int keeper_cancel_key(struct sp_session *s, uint32_t pid, struct sp_bytes key) SP_MUST;
int keeper_cancel(struct sp_session *s, uint32_t pid, struct sp_bytes key) SP_MUST;
int keeper_hold(struct sp_op *op, const struct approval_rule *a) SP_MUST;
/* It runs, and nobody was asked; failed: it did, or was refused. */
void keeper_ran(const struct sp_op *op, bool failed);
void keeper_withdraw(struct sp_op *op, const char *text);
/* For who decides; text: printable ASCII. */
void keeper_estimate(struct sp_session *s, const char *approval, const char *text);
/* The key of a tag's hash mask; false: asked for, not there yet. */
bool keeper_mask_key(void *owner, const char *tag, uint8_t key_r[DIGEST_LEN]);

/* A link to a (new) keeper: tell it of every session. */
void keeper_connect(struct worker *w, int fd);
void keeper_tick(struct worker *w);

#endif
