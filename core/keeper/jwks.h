/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An issuer's public keys (RFC 7517), each with the one algorithm it is for.
 *
 * The algorithm is the key's: `alg` where the issuer says so, else the one its type and curve stand
 * for.  Symmetric keys and kinds we do not know are left out; a weak, ambiguous or private key
 * makes the whole set an error, since the issuer is not what the operator takes it for.
 */
#ifndef SALLYPORT_KEEPER_JWKS_H
#define SALLYPORT_KEEPER_JWKS_H

#include <gnutls/abstract.h>

#include "../base/memory.h"

#define JWKS_MAX (512u << 10) /* bytes of a set */
#define JWKS_KEYS 64
#define JWK_GOOD 64

struct jwk {
	const struct jwk_algorithm *algorithm;
	char *kid; /* "" when it has none */
	gnutls_pubkey_t key;
	struct jwk_good *good; /* signatures that it verified before */
};

struct jwks {
	struct jwk key[JWKS_KEYS];
	size_t n;
};

int jwks_parse(struct sp_bytes json, struct jwks **set_r, const char **err_r) SP_MUST;
/* The set of one Ed25519 key: the local issuer's. */
int jwks_local(const uint8_t public[32], const char *kid, struct jwks **set_r, const char **err_r) SP_MUST;
void jwks_free(struct jwks **set);
/* The key of that name; without a name, the only key there is.  NULL: none. */
const struct jwk *jwks_find(const struct jwks *set, const char *kid);
const char *jwk_algorithm_name(const struct jwk *k);
/* True when sig is k's signature of data, in the form that RFC 7518 gives it.  Of the same again only a hash is taken: tokens come often. */
bool jwk_verify(const struct jwk *k, struct sp_bytes data, struct sp_bytes sig);

#endif
