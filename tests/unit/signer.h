/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An issuer in a test's hand: an Ed25519 key, its JWK, and tokens signed with it.
 */
#ifndef SIGNER_H
#define SIGNER_H

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <gnutls/abstract.h>

#include "core/base/digest.h"

struct signer {
	char kid[32];
	gnutls_privkey_t key;
	char jwk[256];
};

static inline void
signer_base64(struct sp_bytes b, char *out, size_t size)
{
	struct buffer text = { 0 };
	CU_ASSERT_EQUAL_FATAL(text_base64url(b, &text), SP_OK);
	CU_ASSERT_FATAL(text.len < size);
	(void)snprintf(out, size, "%.*s", (int)text.len, (const char *)buffer_bytes(&text).p);
	buffer_free(&text);
}

static inline void
signer_new(struct signer *s, const char *kid)
{
	gnutls_datum_t x = { NULL, 0 };
	char text[64];
	*s = (struct signer){ 0 };
	(void)snprintf(s->kid, sizeof(s->kid), "%s", kid);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_init(&s->key), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_generate(s->key, GNUTLS_PK_EDDSA_ED25519, 0, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_export_ecc_raw2(s->key, NULL, &x, NULL, NULL, 0), 0);
	signer_base64((struct sp_bytes){ x.data, x.size }, text, sizeof(text));
	(void)snprintf(s->jwk, sizeof(s->jwk), "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\",\"kid\":\"%s\"}", text, kid);
	gnutls_free(x.data);
}

static inline void
signer_free(struct signer *s)
{
	gnutls_privkey_deinit(s->key);
	s->key = NULL;
}

/* The set of one key; good until the next call. */
static inline const char *
signer_set(const struct signer *s)
{
	static char text[512];
	(void)snprintf(text, sizeof(text), "{\"keys\":[%s]}", s->jwk);
	return text;
}

/* A token of these claims (JSON) with that typ; good until eight calls later. */
static inline const char *
signer_token_as(const struct signer *s, const char *typ, const char *claims)
{
	static char text[8][8192];
	static unsigned turn;
	char header[128], *out = text[turn++ % 8];
	gnutls_datum_t sig = { NULL, 0 };
	(void)snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"%s\"}", s->kid, typ);
	signer_base64(sp_str(header), out, 1024);
	size_t n = strlen(out);
	out[n++] = '.';
	signer_base64(sp_str(claims), out + n, sizeof(text[0]) - n - 128);
	n += strlen(out + n);
	gnutls_datum_t data = { (unsigned char *)out, (unsigned)n };
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_sign_data2(s->key, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &sig), 0);
	out[n++] = '.';
	signer_base64((struct sp_bytes){ sig.data, sig.size }, out + n, sizeof(text[0]) - n);
	gnutls_free(sig.data);
	return out;
}

static inline const char *
signer_token(const struct signer *s, const char *claims)
{
	return signer_token_as(s, "JWT", claims);
}

#endif
