/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys of issuers: from JSON to GnuTLS, and signatures checked with them. */
#include <config.h>

#include "jwks.h"

#include <gnutls/crypto.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/digest.h"

#define RSA_BITS_MIN 2048u
#define RSA_BITS_MAX 8192u
#define KID_MAX 256

struct jwk_algorithm {
	const char *name;  /* in JWK and JWS */
	const char *kty, *crv;
	gnutls_sign_algorithm_t sign;
	gnutls_ecc_curve_t curve;
	size_t half;       /* ECDSA: bytes of r and of s */
};

/* The first that fits a key's type and curve is its default. */
static const struct jwk_algorithm algorithms[] = {
	{ "RS256", "RSA", "", GNUTLS_SIGN_RSA_SHA256, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "RS384", "RSA", "", GNUTLS_SIGN_RSA_SHA384, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "RS512", "RSA", "", GNUTLS_SIGN_RSA_SHA512, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "PS256", "RSA", "", GNUTLS_SIGN_RSA_PSS_SHA256, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "PS384", "RSA", "", GNUTLS_SIGN_RSA_PSS_SHA384, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "PS512", "RSA", "", GNUTLS_SIGN_RSA_PSS_SHA512, GNUTLS_ECC_CURVE_INVALID, 0 },
	{ "ES256", "EC", "P-256", GNUTLS_SIGN_ECDSA_SHA256, GNUTLS_ECC_CURVE_SECP256R1, 32 },
	{ "ES384", "EC", "P-384", GNUTLS_SIGN_ECDSA_SHA384, GNUTLS_ECC_CURVE_SECP384R1, 48 },
	{ "ES512", "EC", "P-521", GNUTLS_SIGN_ECDSA_SHA512, GNUTLS_ECC_CURVE_SECP521R1, 66 },
	{ "EdDSA", "OKP", "Ed25519", GNUTLS_SIGN_EDDSA_ED25519, GNUTLS_ECC_CURVE_ED25519, 0 },
};

static gnutls_datum_t
datum(struct sp_bytes b)
{
	return (gnutls_datum_t){ (unsigned char *)b.p, (unsigned)b.len };
}

static const char *
member(const json_t *key, const char *name)
{
	const char *text = json_string_value(json_object_get(key, name));
	return text == NULL ? "" : text;
}

/* NULL: not for signatures that we check. */
static const struct jwk_algorithm *
algorithm_of(const json_t *key)
{
	const char *kty = member(key, "kty"), *crv = member(key, "crv"), *alg = member(key, "alg");
	if (json_object_get(key, "alg") != NULL && alg[0] == '\0')
		return NULL;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
		const struct jwk_algorithm *a = &algorithms[i];
		if (strcmp(a->kty, kty) != 0 || (a->crv[0] != '\0' && strcmp(a->crv, crv) != 0))
			continue;
		if (alg[0] == '\0' || strcmp(a->name, alg) == 0)
			return a;
	}
	return NULL;
}

static bool
for_signatures(const json_t *key)
{
	const json_t *use = json_object_get(key, "use"), *ops = json_object_get(key, "key_ops");
	if (use != NULL && strcmp(member(key, "use"), "sig") != 0)
		return false;
	if (ops == NULL)
		return true;
	for (size_t i = 0; i < json_array_size(ops); i++) {
		const char *op = json_string_value(json_array_get(ops, i));
		if (op != NULL && strcmp(op, "verify") == 0)
			return true;
	}
	return false;
}

static int
number(const json_t *key, const char *name, struct buffer *out)
{
	const json_t *v = json_object_get(key, name);
	struct sp_bytes text = { (const uint8_t *)json_string_value(v), json_string_length(v) };
	int rc = text.len == 0 ? SP_EPROTO : text_unbase64url(text, out);
	return rc == SP_OK && out->len == 0 ? SP_EPROTO : rc;
}

/* A modulus of 2048 to 8192 bits that is odd, a public exponent that is odd and more than 1. */
static const char *
rsa_weak(struct sp_bytes n, struct sp_bytes e)
{
	while (n.len > 0 && n.p[0] == 0)
		n = (struct sp_bytes){ n.p + 1, n.len - 1 };
	while (e.len > 0 && e.p[0] == 0)
		e = (struct sp_bytes){ e.p + 1, e.len - 1 };
	if (n.len == 0 || e.len == 0 || (n.p[n.len - 1] & 1) == 0 || (e.p[e.len - 1] & 1) == 0 || (e.len == 1 && e.p[0] == 1))
		return "an RSA key in the set is no key";
	size_t bits = 8 * (n.len - 1);
	for (unsigned top = n.p[0]; top > 0; top >>= 1)
		bits++;
	if (bits < RSA_BITS_MIN)
		return "an RSA key in the set has less than 2048 bits";
	return bits > RSA_BITS_MAX || e.len > 8 ? "an RSA key in the set is too large" : NULL;
}

static const char *
import_rsa(const json_t *key, gnutls_pubkey_t into)
{
	struct buffer n = { 0 }, e = { 0 };
	const char *why = "an RSA key in the set cannot be read";
	if (number(key, "n", &n) == SP_OK && number(key, "e", &e) == SP_OK) {
		gnutls_datum_t dn = datum(buffer_bytes(&n)), de = datum(buffer_bytes(&e));
		const char *weak = rsa_weak(buffer_bytes(&n), buffer_bytes(&e));
		if (weak != NULL || gnutls_pubkey_import_rsa_raw(into, &dn, &de) >= 0)
			why = weak;
	}
	buffer_free(&n);
	buffer_free(&e);
	return why;
}

static const char *
import_curve(const json_t *key, const struct jwk_algorithm *a, gnutls_pubkey_t into)
{
	struct buffer x = { 0 }, y = { 0 };
	bool pair = a->half > 0, good = number(key, "x", &x) == SP_OK && (!pair || number(key, "y", &y) == SP_OK);
	size_t size = pair ? a->half : 32;
	if (good && x.len == size && (!pair || y.len == size)) {
		gnutls_datum_t dx = datum(buffer_bytes(&x)), dy = datum(buffer_bytes(&y));
		good = gnutls_pubkey_import_ecc_raw(into, a->curve, &dx, pair ? &dy : NULL) >= 0;
	} else {
		good = false;
	}
	buffer_free(&x);
	buffer_free(&y);
	return good ? NULL : "an elliptic curve key in the set cannot be read";
}

struct jwk_good {
	uint8_t digest[JWK_GOOD][DIGEST_LEN]; /* of data and signature, at its first byte; zeros: none */
};

static const char *
add_key(struct jwks *set, const json_t *key)
{
	const struct jwk_algorithm *a = algorithm_of(key);
	const json_t *kid = json_object_get(key, "kid");
	if (a == NULL || !for_signatures(key))
		return NULL;
	if (json_object_get(key, "d") != NULL)
		return "the set holds a private key: whoever can read it is the issuer";
	if (kid != NULL && (json_string_length(kid) == 0 || json_string_length(kid) > KID_MAX))
		return "a key's kid is no text, empty or too long";
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->key[i].kid, member(key, "kid")) == 0)
			return "two keys of the set have the same kid, or none";
	}
	if (set->n == JWKS_KEYS)
		return "the set has too many keys";
	gnutls_pubkey_t public;
	if (gnutls_pubkey_init(&public) < 0)
		return "no memory for a key";
	const char *why = strcmp(a->kty, "RSA") == 0 ? import_rsa(key, public) : import_curve(key, a, public);
	if (why != NULL) {
		gnutls_pubkey_deinit(public);
		return why;
	}
	set->key[set->n++] = (struct jwk){ a, mem_string(sp_str(member(key, "kid"))), public,
		mem_alloc(sizeof(struct jwk_good)) };
	return NULL;
}

int
jwks_parse(struct sp_bytes json, struct jwks **set_r, const char **err_r)
{
	*set_r = NULL;
	json_t *top = json.len == 0 || json.len > JWKS_MAX ? NULL :
	    json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *keys = json_object_get(top, "keys");
	struct jwks *set = mem_alloc(sizeof(*set));
	*err_r = json_is_array(keys) ? NULL : "it is no set of keys ({\"keys\": […]})";
	for (size_t i = 0; *err_r == NULL && i < json_array_size(keys); i++) {
		const json_t *key = json_array_get(keys, i);
		*err_r = json_is_object(key) ? add_key(set, key) : "a key of the set is no object";
	}
	json_decref(top);
	if (*err_r == NULL && set->n == 0)
		*err_r = "it has no key that could sign tokens (RSA, P-256, P-384, P-521, Ed25519)";
	if (*err_r != NULL) {
		jwks_free(&set);
		return SP_ECONF;
	}
	*set_r = set;
	return SP_OK;
}

int
jwks_local(const uint8_t public[32], const char *kid, struct jwks **set_r, const char **err_r)
{
	struct buffer x = { 0 };
	char text[256] = "";
	if (text_base64url((struct sp_bytes){ public, 32 }, &x) == SP_OK)
		(void)snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%.*s\"}]}",
		    kid, (int)x.len, (const char *)buffer_bytes(&x).p);
	buffer_free(&x);
	return jwks_parse(sp_str(text), set_r, err_r);
}

void
jwks_free(struct jwks **set)
{
	if (*set == NULL)
		return;
	for (size_t i = 0; i < (*set)->n; i++) {
		gnutls_pubkey_deinit((*set)->key[i].key);
		free((*set)->key[i].kid);
		free((*set)->key[i].good);
	}
	free(*set);
	*set = NULL;
}

const struct jwk *
jwks_find(const struct jwks *set, const char *kid)
{
	if (kid == NULL)
		return set->n == 1 ? &set->key[0] : NULL;
	for (size_t i = 0; kid[0] != '\0' && i < set->n; i++) {
		if (strcmp(set->key[i].kid, kid) == 0)
			return &set->key[i];
	}
	return NULL;
}

const char *
jwk_algorithm_name(const struct jwk *k)
{
	return k->algorithm->name;
}

static bool
verify(const struct jwk *k, struct sp_bytes data, struct sp_bytes sig)
{
	const struct jwk_algorithm *a = k->algorithm;
	gnutls_datum_t d = datum(data), s = datum(sig), der = { NULL, 0 };
	if (data.len > UINT32_MAX || sig.len == 0 || sig.len > RSA_BITS_MAX / 8)
		return false;
	if (a->half > 0) {
		gnutls_datum_t r = { s.data, (unsigned)a->half };
		gnutls_datum_t rest = { s.data + a->half, (unsigned)a->half };
		if (sig.len != 2 * a->half || gnutls_encode_rs_value(&der, &r, &rest) < 0)
			return false;
		s = der;
	}
	bool good = gnutls_pubkey_verify_data2(k->key, a->sign, 0, &d, &s) >= 0;
	gnutls_free(der.data);
	return good;
}

/* ---- what was good is good ---- */

static void
digest_of(struct sp_bytes data, struct sp_bytes sig, uint8_t digest[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add_part(d, data);
	digest_add_part(d, sig);
	digest_end(&d, digest);
}

bool
jwk_verify(const struct jwk *k, struct sp_bytes data, struct sp_bytes sig)
{
	uint8_t digest[DIGEST_LEN];
	digest_of(data, sig, digest);
	uint8_t *kept = k->good->digest[digest[0] % JWK_GOOD];
	if (memcmp(kept, digest, DIGEST_LEN) == 0)
		return true;
	if (!verify(k, data, sig))
		return false;
	memcpy(kept, digest, DIGEST_LEN);
	return true;
}
