/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes sealed under a key of ours: AES-256-GCM, a random nonce, and bytes that are bound to it unsealed.
 *
 *   nonce, 12 | sealed text | tag, 16
 *
 * Nonces are random: a key seals at most some thousands of millions of texts.  Recordings, sealed to
 * a public key, are record/seal.h.
 */
#ifndef SALLYPORT_AEAD_H
#define SALLYPORT_AEAD_H

#include "memory.h"

enum { AEAD_KEY = 32, AEAD_MORE = 28 };

/* Appends len + AEAD_MORE bytes. */
int aead_seal(const uint8_t key[AEAD_KEY], struct sp_bytes bound, struct sp_bytes plain, struct buffer *out) SP_MUST;
/* Appends the plain text; SP_EPROTO, and nothing, when key, bound or any byte is another. */
int aead_open(const uint8_t key[AEAD_KEY], struct sp_bytes bound, struct sp_bytes sealed, struct buffer *out) SP_MUST;

#endif
