/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One signed token (RFC 7519, 7515 compact): is it what the issuer made, for us, and good now?
 *
 *   header . claims . signature      each base64url without padding, exactly three parts
 *     │        │         └─ checked with the key that `kid` names, by that key's own algorithm
 *     │        └─ an object without duplicate names: iss, aud, azp, exp, nbf, iat
 *     └─ `alg` must repeat what the key says; `crit` is refused; key material in it is never read
 *
 * Nothing of a token is believed before its signature is: jwt_issuer() only chooses whose keys to try.
 */
#ifndef SALLYPORT_KEEPER_JWT_H
#define SALLYPORT_KEEPER_JWT_H

#include <jansson.h>

#include "../base/digest.h"
#include "jwks.h"

#define JWT_MAX (64u << 10)
#define JWT_LEEWAY 60 /* seconds, for nbf and iat; none for exp */

struct jwt_rules {
	const struct jwks *keys;
	const char *issuer, *audience;
	const char *other_audience; /* also one of ours, for azp; or "" */
	uint64_t now;               /* wall µs */
	uint64_t max_age;           /* ms from iat to exp; 0: any */
	bool logout;                /* a logout token, and nothing else */
};

struct jwt {
	json_t *claims;
	uint64_t issued, expires; /* wall µs */
	uint8_t id[DIGEST_LEN];   /* of what is signed: the same token is the same, whatever its signature's form */
};

/* Who it says made it; SP_EPROTO when it is no token at all. */
int jwt_issuer(struct sp_bytes token, struct arena *a, const char **issuer_r) SP_MUST;
/* The key that it names; NULL: none.  Nothing of it is verified. */
const char *jwt_kid(struct sp_bytes token, struct arena *a);
/* The id that jwt_verify() gives it, whether or not it is any good. */
int jwt_id(struct sp_bytes token, uint8_t id[DIGEST_LEN]) SP_MUST;
/* *err_r: a sentence for the log, without anything of the token. */
int jwt_verify(struct sp_bytes token, const struct jwt_rules *rules, struct jwt *t_r, const char **err_r) SP_MUST;
void jwt_clear(struct jwt *t);

#endif
