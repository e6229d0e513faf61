/* SPDX-License-Identifier: Apache-2.0 */
/* The local issuer: tokens for a first start, signed with the keeper's own Ed25519 key.  Off unless the conf says `local_issuer on`. */
#ifndef SALLYPORT_KEEPER_ISSUER_H
#define SALLYPORT_KEEPER_ISSUER_H

#include "identity.h"

#define ISSUER_TTL_DEFAULT (10u * 60 * 1000)
#define ISSUER_TTL_MAX (24u * 3600 * 1000)

struct token_request {
	const char *user;
	const char *class; /* human, workload, agent */
	const char *sponsor; /* of an agent; NULL or "": none */
	struct sp_strings groups;
	uint64_t ttl; /* ms */
	enum audience audience;
};

/* Appends the token; SP_EPROTO with a sentence when the request is odd. */
int issuer_mint(const struct key_pair *key, const struct token_request *q, struct buffer *token_r, uint64_t *expires_r,
    const char **err_r) SP_MUST;

#endif
