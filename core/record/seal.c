/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing to an auditor's public key. */
#include <config.h>

#include "seal.h"

#include <stdlib.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <nettle/curve25519.h>

#define NONCE 12
#define TAG 16

void
seal_public(const uint8_t private[SEAL_KEY], uint8_t public_r[SEAL_KEY])
{
	curve25519_mul_g(public_r, private);
}

/* HKDF (RFC 5869) with one block of output. */
static void
hkdf(struct sp_bytes salt, struct sp_bytes secret, struct sp_bytes info, uint8_t out[SEAL_KEY])
{
	uint8_t prk[DIGEST_LEN], text[128];
	struct sp_writer w = sp_writer(text, sizeof(text));
	digest_hmac(salt, secret, prk);
	sp_wr_put(&w, info);
	sp_wr_u8(&w, 1);
	digest_hmac((struct sp_bytes){ prk, sizeof(prk) }, sp_written(&w), out);
	mem_wipe(prk, sizeof(prk));
}

static int
agree(const uint8_t private[SEAL_KEY], const uint8_t peer[SEAL_KEY], uint8_t shared[SEAL_KEY])
{
	static const uint8_t zero[SEAL_KEY];
	curve25519_mul(shared, private, peer);
	/* A point of small order: everybody would know the key. */
	return mem_equal((struct sp_bytes){ shared, SEAL_KEY }, (struct sp_bytes){ zero, SEAL_KEY }) ? SP_ECONF : SP_OK;
}

static void
derive(const uint8_t shared[SEAL_KEY], const uint8_t ephemeral[SEAL_KEY], const uint8_t auditor[SEAL_KEY],
    const uint8_t session[ID_LEN], uint8_t key[SEAL_KEY])
{
	uint8_t text[96];
	struct sp_writer info = sp_writer(text, sizeof(text));
	sp_wr_put(&info, SP_LIT("sallyport seal 1"));
	sp_wr_put(&info, (struct sp_bytes){ ephemeral, SEAL_KEY });
	sp_wr_put(&info, (struct sp_bytes){ auditor, SEAL_KEY });
	hkdf((struct sp_bytes){ session, ID_LEN }, (struct sp_bytes){ shared, SEAL_KEY }, sp_written(&info), key);
}

int
seal_begin(const uint8_t auditor[SEAL_KEY], const uint8_t session[ID_LEN], struct seal *s_r)
{
	uint8_t private[SEAL_KEY], shared[SEAL_KEY];
	*s_r = (struct seal){ { 0 }, { 0 } };
	random_bytes(private, sizeof(private));
	seal_public(private, s_r->ephemeral);
	int rc = agree(private, auditor, shared);
	if (rc == SP_OK)
		derive(shared, s_r->ephemeral, auditor, session, s_r->key);
	mem_wipe(private, sizeof(private));
	mem_wipe(shared, sizeof(shared));
	return rc;
}

static gnutls_aead_cipher_hd_t
cipher(const uint8_t key[SEAL_KEY])
{
	gnutls_aead_cipher_hd_t c;
	const gnutls_datum_t k = { (unsigned char *)key, SEAL_KEY };
	return gnutls_aead_cipher_init(&c, GNUTLS_CIPHER_AES_256_GCM, &k) < 0 ? NULL : c;
}

int
seal_close(const struct seal *s, struct sp_bytes bound, struct sp_bytes plain, uint8_t *out)
{
	uint8_t *nonce = out + SEAL_KEY, *text = nonce + NONCE;
	size_t len = plain.len + TAG;
	gnutls_aead_cipher_hd_t c = cipher(s->key);
	if (c == NULL)
		return SP_ENOMEM;
	memcpy(out, s->ephemeral, SEAL_KEY);
	random_bytes(nonce, NONCE);
	int rc = gnutls_aead_cipher_encrypt(c, nonce, NONCE, bound.p, bound.len, TAG, plain.p, plain.len, text, &len);
	gnutls_aead_cipher_deinit(c);
	return rc < 0 || len != plain.len + TAG ? SP_EINTERNAL : SP_OK;
}

struct unseal {
	uint8_t private[SEAL_KEY], public[SEAL_KEY], session[ID_LEN];
	struct seal last;
	bool known; /* `last` holds a key */
};

struct unseal *
unseal_new(const uint8_t private[SEAL_KEY], const uint8_t session[ID_LEN])
{
	struct unseal *u = mem_alloc(sizeof(*u));
	*u = (struct unseal){ .known = false };
	memcpy(u->private, private, SEAL_KEY);
	memcpy(u->session, session, ID_LEN);
	seal_public(private, u->public);
	return u;
}

void
unseal_free(struct unseal **u)
{
	if (*u == NULL)
		return;
	mem_wipe(*u, sizeof(**u));
	free(*u);
	*u = NULL;
}

static int
key_for(struct unseal *u, const uint8_t *ephemeral)
{
	uint8_t shared[SEAL_KEY];
	if (u->known && memcmp(u->last.ephemeral, ephemeral, SEAL_KEY) == 0)
		return SP_OK;
	u->known = false;
	if (agree(u->private, ephemeral, shared) != SP_OK)
		return SP_EDENIED;
	memcpy(u->last.ephemeral, ephemeral, SEAL_KEY);
	derive(shared, ephemeral, u->public, u->session, u->last.key);
	mem_wipe(shared, sizeof(shared));
	u->known = true;
	return SP_OK;
}

int
unseal_open(struct unseal *u, struct sp_bytes bound, struct sp_bytes sealed, uint8_t *out)
{
	struct sp_reader r = sp_reader(sealed);
	struct sp_bytes ephemeral = sp_rd_take(&r, SEAL_KEY), nonce = sp_rd_take(&r, NONCE), text = sp_rd_rest(&r);
	if (r.bad || text.len < TAG || key_for(u, ephemeral.p) != SP_OK)
		return SP_EDENIED;
	gnutls_aead_cipher_hd_t c = cipher(u->last.key);
	if (c == NULL)
		return SP_ENOMEM;
	size_t len = text.len - TAG;
	int rc = gnutls_aead_cipher_decrypt(c, nonce.p, nonce.len, bound.p, bound.len, TAG, text.p, text.len, out, &len);
	gnutls_aead_cipher_deinit(c);
	return rc < 0 || len != text.len - TAG ? SP_EDENIED : SP_OK;
}
