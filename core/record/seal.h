/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing to an auditor: X25519 → HKDF-SHA256 → AES-256-GCM.  Who has the public key can only write.
 *
 * Sealed = ephemeral public key[32] | nonce[12] | ciphertext | tag[16]
 * key    = HKDF(salt = session id, secret = X25519(ephemeral, auditor),
 *               info = "sallyport seal 1" | ephemeral public | auditor's public)
 * Each run of the recorder has an ephemeral key of its own for each recording; the nonce is random.
 */
#ifndef SALLYPORT_SEAL_H
#define SALLYPORT_SEAL_H

#include "../base/digest.h"

#define SEAL_KEY 32
#define SEAL_OVERHEAD (32 + 12 + 16)

struct seal {
	uint8_t ephemeral[SEAL_KEY]; /* public half */
	uint8_t key[SEAL_KEY];       /* wiped by its owner */
};

void seal_public(const uint8_t private[SEAL_KEY], uint8_t public_r[SEAL_KEY]);
/* A fresh key for this session; SP_ECONF when the auditor's public key is no key. */
int seal_begin(const uint8_t auditor[SEAL_KEY], const uint8_t session[ID_LEN], struct seal *s_r) SP_MUST;
/* Writes plain.len + SEAL_OVERHEAD bytes.  `bound` is not stored, but must be the same on opening. */
int seal_close(const struct seal *s, struct sp_bytes bound, struct sp_bytes plain, uint8_t *out) SP_MUST;

struct unseal; /* an auditor's private key, and the key of the last block */
struct unseal *unseal_new(const uint8_t private[SEAL_KEY], const uint8_t session[ID_LEN]);
void unseal_free(struct unseal **u);
/* Writes sealed.len - SEAL_OVERHEAD bytes; SP_EDENIED when it is not for this key or was changed. */
int unseal_open(struct unseal *u, struct sp_bytes bound, struct sp_bytes sealed, uint8_t *out) SP_MUST;

#endif
