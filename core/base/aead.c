/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM by GnuTLS. */
#include <config.h>

#include "aead.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "digest.h"

enum { NONCE = 12, TAG = 16 };
_Static_assert(NONCE + TAG == AEAD_MORE, "what sealing adds");

static int
cipher(const uint8_t key[AEAD_KEY], gnutls_aead_cipher_hd_t *c_r)
{
	const gnutls_datum_t k = { (unsigned char *)(uintptr_t)key, AEAD_KEY };
	return gnutls_aead_cipher_init(c_r, GNUTLS_CIPHER_AES_256_GCM, &k) < 0 ? SP_ENOMEM : SP_OK;
}

int
aead_seal(const uint8_t key[AEAD_KEY], struct sp_bytes bound, struct sp_bytes plain, struct buffer *out)
{
	gnutls_aead_cipher_hd_t c;
	uint8_t *to = buffer_room(out, AEAD_MORE + plain.len);
	size_t len = plain.len + TAG;
	if (to == NULL || cipher(key, &c) != SP_OK)
		return SP_ENOMEM;
	random_bytes(to, NONCE);
	int rc = gnutls_aead_cipher_encrypt(c, to, NONCE, bound.p, bound.len, TAG, plain.p, plain.len, to + NONCE, &len);
	gnutls_aead_cipher_deinit(c);
	if (rc < 0 || len != plain.len + TAG)
		return SP_EINTERNAL;
	buffer_added(out, NONCE + len);
	return SP_OK;
}

int
aead_open(const uint8_t key[AEAD_KEY], struct sp_bytes bound, struct sp_bytes sealed, struct buffer *out)
{
	gnutls_aead_cipher_hd_t c;
	if (sealed.len < AEAD_MORE)
		return SP_EPROTO;
	size_t want = sealed.len - AEAD_MORE, len = want;
	uint8_t none, *to = want == 0 ? &none : buffer_room(out, want);
	struct sp_reader r = sp_reader(sealed);
	struct sp_bytes nonce = sp_rd_take(&r, NONCE), text = sp_rd_rest(&r);
	if (to == NULL || cipher(key, &c) != SP_OK)
		return SP_ENOMEM;
	int rc = gnutls_aead_cipher_decrypt(c, nonce.p, nonce.len, bound.p, bound.len, TAG, text.p, text.len, to, &len);
	gnutls_aead_cipher_deinit(c);
	if (rc < 0 || len != want) {
		mem_wipe(to, want == 0 ? 1 : want);
		return SP_EPROTO;
	}
	buffer_added(out, len);
	return SP_OK;
}
