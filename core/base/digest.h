/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, keys, signatures and their text forms, over GnuTLS and nettle.  Failure of the library ends the process: no answer would be safe. */
#ifndef SALLYPORT_DIGEST_H
#define SALLYPORT_DIGEST_H

#include "memory.h"

#define DIGEST_LEN 32
#define SIGNATURE_LEN 64
#define ID_LEN 16
#define ID_TEXT 27 /* 26 letters of Crockford's base 32, lower case, and a NUL */

void digest_sha256(struct sp_bytes in, uint8_t out[DIGEST_LEN]);
void digest_hmac(struct sp_bytes key, struct sp_bytes in, uint8_t out[DIGEST_LEN]);
/* HMAC(key, purpose 0 name): keys that are never used for two things. */
void digest_derive(struct sp_bytes key, const char *purpose, struct sp_bytes name, uint8_t out[DIGEST_LEN]);

/* Running hash of many parts. */
struct digest;
struct digest *digest_begin(void);
void digest_add(struct digest *d, struct sp_bytes b);
/* With its length in front (four bytes, big-endian): other parts never add up to the same. */
void digest_add_part(struct digest *d, struct sp_bytes b);
void digest_next(struct digest *d, uint8_t out[DIGEST_LEN]); /* …and it begins anew */
void digest_end(struct digest **d, uint8_t out[DIGEST_LEN]);

/* Ed25519 (RFC 8032). */
int digest_keypair(uint8_t seed_r[32], uint8_t public_r[32]) SP_MUST;
void digest_public(const uint8_t seed[32], uint8_t public_r[32]);
int digest_sign(const uint8_t seed[32], struct sp_bytes in, uint8_t out[SIGNATURE_LEN]) SP_MUST;
bool digest_verify(const uint8_t public[32], struct sp_bytes in, const uint8_t sig[SIGNATURE_LEN]);

void random_bytes(void *p, size_t n);

void text_hex(struct sp_bytes in, char *out);       /* 2 × len + 1 */
int text_unhex(const char *in, uint8_t *out, size_t len) SP_MUST; /* exactly len bytes */
int text_base64(struct sp_bytes in, struct buffer *out) SP_MUST; /* padded, for HTTP */
int text_base64url(struct sp_bytes in, struct buffer *out) SP_MUST; /* no padding */
int text_unbase64url(struct sp_bytes in, struct buffer *out) SP_MUST; /* strict: no padding, no slack bits */

/* 128 random bits and their name. */
void id_new(uint8_t id[ID_LEN]);
const char *id_format(const uint8_t id[ID_LEN], char out[ID_TEXT]);
int id_parse(const char *text, uint8_t id[ID_LEN]) SP_MUST;

#endif
