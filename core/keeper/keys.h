/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's own keys, beside the store, each made at first need and readable for the keeper only.
 *
 *   signing.key  Ed25519: signs the ledger
 *   issuer.key   Ed25519: signs the local issuer's tokens
 *   master.key   32 random bytes: every other key is derived from it, by purpose and name
 *
 * A file holds 64 hexadecimal digits.  One that others may read, or that is no key, is refused.
 */
#ifndef SALLYPORT_KEEPER_KEYS_H
#define SALLYPORT_KEEPER_KEYS_H

#include "../base/digest.h"

struct key_pair {
	struct sp_secret *seed;
	uint8_t public[32];
};

struct keys {
	char *folder;
	struct key_pair signing, issuer; /* issuer: no seed until keys_issuer() */
	struct sp_secret *master;
};

/* folder NULL: keys that go with the process. */
int keys_open(const char *folder, struct keys *k_r, const char **err_r) SP_MUST;
/* Makes the issuer's key unless it is there. */
int keys_issuer(struct keys *k, const char **err_r) SP_MUST;
void keys_close(struct keys *k);
/* A key's file goes by another name, on disk as well when this returns; what had that name is gone. */
int keys_rename(const char *folder, const char *from, const char *to) SP_MUST;
int keys_sign(const struct key_pair *k, struct sp_bytes in, uint8_t out[SIGNATURE_LEN]) SP_MUST;
void keys_derive(const struct keys *k, const char *purpose, struct sp_bytes name, uint8_t out[DIGEST_LEN]);

#endif
