/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens and key sets, as they should be and as attackers make them (THREATS ID3).  Keys and
 * signatures are made here with GnuTLS; one path is also signed by libjwt, as a second opinion.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <jwt.h>

#include "cunit_main.h"

#include "core/base/clock.h"
#include "core/keeper/jwt.h"

struct signer {
	const char *alg, *kty, *crv;
	gnutls_pk_algorithm_t pk;
	unsigned bits;
	gnutls_sign_algorithm_t sign;
	size_t half;
	gnutls_privkey_t key;
	char jwk[2048]; /* without kid and alg */
};

static struct signer signers[] = {
	{ .alg = "RS256", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_SHA256 },
	{ .alg = "RS384", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_SHA384 },
	{ .alg = "RS512", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_SHA512 },
	{ .alg = "PS256", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_PSS_SHA256 },
	{ .alg = "PS384", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_PSS_SHA384 },
	{ .alg = "PS512", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 2048, .sign = GNUTLS_SIGN_RSA_PSS_SHA512 },
	{ .alg = "ES256", .kty = "EC", .crv = "P-256", .pk = GNUTLS_PK_ECDSA, .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
	    .sign = GNUTLS_SIGN_ECDSA_SHA256, .half = 32 },
	{ .alg = "ES384", .kty = "EC", .crv = "P-384", .pk = GNUTLS_PK_ECDSA, .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1),
	    .sign = GNUTLS_SIGN_ECDSA_SHA384, .half = 48 },
	{ .alg = "ES512", .kty = "EC", .crv = "P-521", .pk = GNUTLS_PK_ECDSA, .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1),
	    .sign = GNUTLS_SIGN_ECDSA_SHA512, .half = 66 },
	{ .alg = "EdDSA", .kty = "OKP", .crv = "Ed25519", .pk = GNUTLS_PK_EDDSA_ED25519, .bits = 0, .sign = GNUTLS_SIGN_EDDSA_ED25519 },
};
#define SIGNERS (sizeof(signers) / sizeof(*signers))
enum { RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EDDSA };

static struct arena *arena;

static const char *
base64(struct sp_bytes b)
{
	struct buffer out = { 0 };
	CU_ASSERT_EQUAL_FATAL(text_base64url(b, &out), SP_OK);
	const char *text = arena_string(arena, buffer_bytes(&out));
	buffer_free(&out);
	return text;
}

static struct sp_bytes
fixed(const gnutls_datum_t *d, size_t n)
{
	uint8_t *out = arena_alloc(arena, n);
	size_t skip = d->size > n ? d->size - n : 0; /* GnuTLS writes a leading zero */
	memcpy(out + (n - (d->size - skip)), d->data + skip, d->size - skip);
	return (struct sp_bytes){ out, n };
}

static void
make_key(struct signer *s)
{
	gnutls_datum_t a = { NULL, 0 }, b = { NULL, 0 };
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_init(&s->key), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_generate(s->key, s->pk, s->bits, 0), 0);
	if (s->pk == GNUTLS_PK_RSA) {
		CU_ASSERT_EQUAL_FATAL(gnutls_privkey_export_rsa_raw2(s->key, &a, &b, NULL, NULL, NULL, NULL, NULL, NULL, GNUTLS_EXPORT_FLAG_NO_LZ), 0);
		(void)snprintf(s->jwk, sizeof(s->jwk), "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", base64((struct sp_bytes){ a.data, a.size }),
		    base64((struct sp_bytes){ b.data, b.size }));
	} else {
		CU_ASSERT_EQUAL_FATAL(gnutls_privkey_export_ecc_raw2(s->key, NULL, &a, &b, NULL, 0), 0);
		size_t half = s->half > 0 ? s->half : 32;
		(void)snprintf(s->jwk, sizeof(s->jwk), "\"kty\":\"%s\",\"crv\":\"%s\",\"x\":\"%s\"%s%s%s", s->kty, s->crv, base64(fixed(&a, half)),
		    s->half > 0 ? ",\"y\":\"" : "", s->half > 0 ? base64(fixed(&b, half)) : "", s->half > 0 ? "\"" : "");
	}
	gnutls_free(a.data);
	gnutls_free(b.data);
}

static struct sp_bytes
raw_signature(const struct signer *s, const char *text)
{
	gnutls_datum_t data = { (unsigned char *)text, (unsigned)strlen(text) }, sig = { NULL, 0 }, r, t;
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_sign_data2(s->key, s->sign, 0, &data, &sig), 0);
	uint8_t *out = arena_alloc(arena, 1024);
	struct sp_bytes done = { out, sig.size };
	if (s->half > 0) {
		CU_ASSERT_EQUAL_FATAL(gnutls_decode_rs_value(&sig, &r, &t), 0);
		memcpy(out, fixed(&r, s->half).p, s->half);
		memcpy(out + s->half, fixed(&t, s->half).p, s->half);
		done.len = 2 * s->half;
		gnutls_free(r.data);
		gnutls_free(t.data);
	} else {
		memcpy(out, sig.data, sig.size);
	}
	gnutls_free(sig.data);
	return done;
}

static const char *
token(const struct signer *s, const char *header, const char *claims)
{
	const char *body = arena_printf(arena, "%s.%s", base64(sp_str(header)), base64(sp_str(claims)));
	return arena_printf(arena, "%s.%s", body, base64(raw_signature(s, body)));
}

static const char *
header_of(const struct signer *s)
{
	return arena_printf(arena, "{\"alg\":\"%s\",\"kid\":\"k\",\"typ\":\"JWT\"}", s->alg);
}

static struct jwks *
keys(const char *list)
{
	struct jwks *set = NULL;
	const char *why = NULL;
	int rc = jwks_parse(sp_str(list), &set, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	return set;
}

static const char *
set_of(const struct signer *s)
{
	return arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"k\",\"alg\":\"%s\",\"use\":\"sig\"}]}", s->jwk, s->alg);
}

#define NOW 1800000000ull
#define CLAIMS "\"iss\":\"https://idp\",\"sub\":\"ann\",\"aud\":\"us\",\"iat\":1799999990,\"exp\":1800000100"

static struct jwt_rules
rules(const struct jwks *set)
{
	return (struct jwt_rules){ .keys = set, .issuer = "https://idp", .audience = "us", .other_audience = "api", .now = NOW * 1000000,
		.max_age = 12ull * 3600 * 1000 };
}

static bool
good(const char *text, const struct jwks *set)
{
	struct jwt t;
	const char *why = NULL;
	struct jwt_rules r = rules(set);
	int rc = jwt_verify(sp_str(text), &r, &t, &why);
	CU_ASSERT((rc == SP_OK) == (why == NULL));
	jwt_clear(&t);
	return rc == SP_OK;
}

static void
test_keys(void)
{
	for (size_t i = 0; i < SIGNERS; i++)
		make_key(&signers[i]);
}

/* ---- what is right ---- */

static void
test_algorithms(void)
{
	for (size_t i = 0; i < SIGNERS; i++) {
		struct jwks *set = keys(set_of(&signers[i]));
		CU_ASSERT_STRING_EQUAL(jwk_algorithm_name(jwks_find(set, "k")), signers[i].alg);
		bool yes = good(token(&signers[i], header_of(&signers[i]), "{" CLAIMS "}"), set);
		if (!yes)
			printf("%s failed\n", signers[i].alg);
		CU_ASSERT(yes);
		jwks_free(&set);
	}
}

/* A second implementation made it. */
static void
test_libjwt(void)
{
	unsigned char pem[8192];
	size_t n = sizeof(pem);
	gnutls_x509_privkey_t x;
	jwt_t *j = NULL;
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_export_x509(signers[RS256].key, &x), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export(x, GNUTLS_X509_FMT_PEM, pem, &n), 0);
	gnutls_x509_privkey_deinit(x);
	CU_ASSERT_EQUAL_FATAL(jwt_new(&j), 0);
	CU_ASSERT_EQUAL(jwt_add_grants_json(j, "{" CLAIMS "}"), 0);
	CU_ASSERT_EQUAL(jwt_add_header(j, "kid", "k"), 0);
	CU_ASSERT_EQUAL_FATAL(jwt_set_alg(j, JWT_ALG_RS256, pem, (int)n), 0);
	char *text = jwt_encode_str(j);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	struct jwks *set = keys(set_of(&signers[RS256]));
	CU_ASSERT(good(text, set));
	jwks_free(&set);
	free(text);
	jwt_free(j);
}

static void
test_bits_flipped(void)
{
	static const size_t some[] = { ES256, EDDSA, PS256 };
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		const struct signer *s = &signers[some[i]];
		struct jwks *set = keys(set_of(s));
		const char *right = token(s, header_of(s), "{" CLAIMS "}");
		CU_ASSERT(good(right, set)); /* … and its signature is remembered */
		for (size_t at = 0; at < strlen(right); at++) {
			char *text = arena_string(arena, sp_str(right));
			text[at] = text[at] == 'A' ? 'B' : 'A';
			if (text[at] != right[at])
				CU_ASSERT(!good(text, set));
		}
		for (size_t len = 0; len < strlen(right); len += 7)
			CU_ASSERT(!good(arena_string(arena, (struct sp_bytes){ (const uint8_t *)right, len }), set));
		CU_ASSERT(!good(arena_printf(arena, "%s=", right), set));
		CU_ASSERT(!good(arena_printf(arena, "%s.", right), set));
		CU_ASSERT(!good(arena_printf(arena, "%s.x", right), set));
		CU_ASSERT(!good(arena_printf(arena, " %s", right), set));
		CU_ASSERT(!good(arena_printf(arena, "%s\n", right), set));
		jwks_free(&set);
	}
}

/* A signature is remembered by the key that verified it, not by the key's name, and of a token nothing else is. */
static void
test_remembered(void)
{
	const char *text = token(&signers[ES256], header_of(&signers[ES256]), "{" CLAIMS "}"), *why = NULL;
	struct jwks *set = keys(set_of(&signers[ES256])), *other = keys(set_of(&signers[EDDSA]));
	struct jwt_rules r = rules(set);
	struct jwt t;
	CU_ASSERT(good(text, set) && good(text, set));
	CU_ASSERT(!good(text, other));
	r.now = (NOW + 101) * 1000000;
	CU_ASSERT_EQUAL(jwt_verify(sp_str(text), &r, &t, &why), SP_EDENIED);
	CU_ASSERT_STRING_EQUAL(why, "it has expired");
	jwks_free(&set);
	jwks_free(&other);
	gnutls_privkey_deinit(signers[ES256].key);
	make_key(&signers[ES256]); /* the issuer has another one, of the same kid */
	set = keys(set_of(&signers[ES256]));
	CU_ASSERT(!good(text, set));
	jwks_free(&set);
}

/* ---- headers ---- */

static void
test_algorithm_confusion(void)
{
	struct jwks *set = keys(set_of(&signers[RS256]));
	const struct signer *s = &signers[RS256];
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"kid\":\"k\"}", "{\"alg\":\"None\",\"kid\":\"k\"}", "{\"alg\":\"\",\"kid\":\"k\"}", "{\"kid\":\"k\"}",
		"{\"alg\":null,\"kid\":\"k\"}", "{\"alg\":[\"RS256\"],\"kid\":\"k\"}", "{\"alg\":\"rs256\",\"kid\":\"k\"}",
		"{\"alg\":\"HS256\",\"kid\":\"k\"}", "{\"alg\":\"RS384\",\"kid\":\"k\"}", "{\"alg\":\"PS256\",\"kid\":\"k\"}",
		"{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"k\"}", "{\"alg\":\"RS256\\u0000\",\"kid\":\"k\"}",
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		CU_ASSERT(!good(token(s, headers[i], "{" CLAIMS "}"), set));
	/* Signed with an empty signature. */
	CU_ASSERT(!good(arena_printf(arena, "%s.%s.", base64(sp_str("{\"alg\":\"none\"}")), base64(sp_str("{" CLAIMS "}"))), set));
	/* HMAC keyed with what everybody can read. */
	uint8_t mac[DIGEST_LEN];
	const char *body = arena_printf(arena, "%s.%s", base64(sp_str("{\"alg\":\"HS256\",\"kid\":\"k\"}")), base64(sp_str("{" CLAIMS "}")));
	digest_hmac(sp_str(signers[RS256].jwk), sp_str(body), mac);
	CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64((struct sp_bytes){ mac, sizeof(mac) })), set));
	jwks_free(&set);
	/* A key for PS256 does not check RS256, nor the other way. */
	set = keys(arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"k\",\"alg\":\"PS256\"}]}", signers[RS256].jwk));
	CU_ASSERT(!good(token(s, "{\"alg\":\"RS256\",\"kid\":\"k\"}", "{" CLAIMS "}"), set));
	CU_ASSERT(!good(token(s, "{\"alg\":\"PS256\",\"kid\":\"k\"}", "{" CLAIMS "}"), set));
	jwks_free(&set);
}

static void
test_headers(void)
{
	const struct signer *s = &signers[ES256];
	struct jwks *set = keys(set_of(s));
	static const struct {
		const char *more;
		bool good;
	} row[] = {
		{ "", true }, { ",\"typ\":\"JWT\"", true }, { ",\"typ\":\"at+jwt\"", true }, { ",\"typ\":\"jwt\"", true },
		{ ",\"typ\":\"dpop+jwt\"", false }, { ",\"typ\":\"logout+jwt\"", false }, { ",\"typ\":1", false },
		{ ",\"crit\":[\"exp\"]", false }, { ",\"crit\":[]", false }, { ",\"b64\":false", false }, { ",\"zip\":\"DEF\"", false },
		{ ",\"enc\":\"A128GCM\"", false },
		/* Key material is never read from the token: these are signed by the issuer's key and stay so. */
		{ ",\"jku\":\"https://evil/keys\"", true }, { ",\"x5u\":\"https://evil/cert\"", true },
		{ ",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}", true },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool yes = good(token(s, arena_printf(arena, "{\"alg\":\"ES256\",\"kid\":\"k\"%s}", row[i].more), "{" CLAIMS "}"), set);
		if (yes != row[i].good)
			printf("header %s\n", row[i].more);
		CU_ASSERT_EQUAL(yes, row[i].good);
	}
	static const char *const kids[] = { "\"\"", "\"K\"", "\"k \"", "\"../../k\"", "\"' OR 1=1 --\"", "1", "null", "[\"k\"]", "\"k\\u0000\"" };
	for (size_t i = 0; i < sizeof(kids) / sizeof(*kids); i++)
		CU_ASSERT(!good(token(s, arena_printf(arena, "{\"alg\":\"ES256\",\"kid\":%s}", kids[i]), "{" CLAIMS "}"), set));
	/* One's own key in the header. */
	CU_ASSERT(!good(token(&signers[ES384], arena_printf(arena, "{\"alg\":\"ES384\",\"kid\":\"k\",\"jwk\":{%s}}", signers[ES384].jwk),
	    "{" CLAIMS "}"), set));
	/* No kid: only where there is one key. */
	CU_ASSERT(good(token(s, "{\"alg\":\"ES256\"}", "{" CLAIMS "}"), set));
	jwks_free(&set);
	set = keys(arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"k\"},{%s,\"kid\":\"l\"}]}", s->jwk, signers[ES384].jwk));
	CU_ASSERT(!good(token(s, "{\"alg\":\"ES256\"}", "{" CLAIMS "}"), set));
	CU_ASSERT(good(token(s, "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{" CLAIMS "}"), set));
	CU_ASSERT(!good(token(s, "{\"alg\":\"ES256\",\"kid\":\"l\"}", "{" CLAIMS "}"), set));
	jwks_free(&set);
}

/* ---- claims ---- */

static void
test_claims(void)
{
	const struct signer *s = &signers[EDDSA];
	struct jwks *set = keys(set_of(s));
#define BASE "\"iss\":\"https://idp\",\"sub\":\"ann\""
#define TIMES ",\"iat\":1799999990,\"exp\":1800000100"
	static const struct {
		const char *claims;
		bool good;
	} row[] = {
		{ BASE ",\"aud\":\"us\"" TIMES, true },
		{ BASE ",\"aud\":\"us\",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}" TIMES, false }, /* a logout token */
		{ BASE ",\"aud\":[\"us\"]" TIMES, true },
		{ BASE ",\"aud\":[\"them\",\"us\"],\"azp\":\"us\"" TIMES, true },
		{ BASE ",\"aud\":[\"us\",\"api\"],\"azp\":\"api\"" TIMES, true },
		{ BASE ",\"aud\":[\"them\",\"us\"]" TIMES, false },
		{ BASE ",\"aud\":[\"them\",\"us\"],\"azp\":\"them\"" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"azp\":\"them\"" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"azp\":[\"us\"]" TIMES, false },
		{ BASE ",\"aud\":\"api\"" TIMES, false },
		{ BASE ",\"aud\":\"US\"" TIMES, false },
		{ BASE ",\"aud\":\"us \"" TIMES, false },
		{ BASE ",\"aud\":\"\"" TIMES, false },
		{ BASE ",\"aud\":[]" TIMES, false },
		{ BASE ",\"aud\":[\"us\",1]" TIMES, false },
		{ BASE ",\"aud\":{\"us\":1}" TIMES, false },
		{ BASE TIMES, false },
		{ "\"iss\":\"https://idp/\",\"sub\":\"ann\",\"aud\":\"us\"" TIMES, false },
		{ "\"iss\":\"HTTPS://IDP\",\"sub\":\"ann\",\"aud\":\"us\"" TIMES, false },
		{ "\"iss\":[\"https://idp\"],\"sub\":\"ann\",\"aud\":\"us\"" TIMES, false },
		{ "\"sub\":\"ann\",\"aud\":\"us\"" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"aud\":\"us\"" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"\\u0061ud\":\"us\"" TIMES, false },
		/* times: now is 1800000000 */
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":1800000001", true },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":1800000000", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":1799999999", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990", false },
		{ BASE ",\"aud\":\"us\",\"exp\":1800000100", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":\"1800000100\"", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":-1", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":1e300", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":9223372036854775807", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990,\"exp\":18446744073710", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799999990.5,\"exp\":1800000000.5", true },
		{ BASE ",\"aud\":\"us\",\"iat\":1800000060,\"exp\":1800000100", true },
		{ BASE ",\"aud\":\"us\",\"iat\":1800000061,\"exp\":1800000100", false },
		{ BASE ",\"aud\":\"us\",\"iat\":1800000200,\"exp\":1800000100", false },
		{ BASE ",\"aud\":\"us\",\"nbf\":1800000060" TIMES, true },
		{ BASE ",\"aud\":\"us\",\"nbf\":1800000061" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"nbf\":\"x\"" TIMES, false },
		{ BASE ",\"aud\":\"us\",\"iat\":1799990000,\"exp\":1800033200", true },  /* 12 h */
		{ BASE ",\"aud\":\"us\",\"iat\":1799990000,\"exp\":1800033201", false },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool yes = good(token(s, header_of(s), arena_printf(arena, "{%s}", row[i].claims)), set);
		if (yes != row[i].good)
			printf("claims {%s}\n", row[i].claims);
		CU_ASSERT_EQUAL(yes, row[i].good);
	}
	static const char *const odd[] = { "", "[]", "null", "\"x\"", "{", "{}x", "{\"a\":\"\xff\"}" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		CU_ASSERT(!good(token(s, header_of(s), odd[i]), set));
	jwks_free(&set);
}

/* ---- signatures ---- */

static void
test_signatures(void)
{
	const struct signer *s = &signers[ES256];
	struct jwks *set = keys(set_of(s));
	const char *body = arena_printf(arena, "%s.%s", base64(sp_str(header_of(s))), base64(sp_str("{" CLAIMS "}")));
	struct sp_bytes right = raw_signature(s, body);
	uint8_t zero[132] = { 0 };
	CU_ASSERT(good(arena_printf(arena, "%s.%s", body, base64(right)), set));
	for (size_t n = 0; n <= sizeof(zero); n += 4) /* r = s = 0, of any length */
		CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64((struct sp_bytes){ zero, n })), set));
	CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64((struct sp_bytes){ right.p, 63 })), set));
	uint8_t longer[65] = { 0 };
	memcpy(longer, right.p, 64);
	CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64((struct sp_bytes){ longer, 65 })), set));
	/* DER, as other systems have it. */
	gnutls_datum_t data = { (unsigned char *)body, (unsigned)strlen(body) }, der = { NULL, 0 };
	CU_ASSERT_EQUAL(gnutls_privkey_sign_data2(s->key, s->sign, 0, &data, &der), 0);
	CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64((struct sp_bytes){ der.data, der.size })), set));
	gnutls_free(der.data);
	jwks_free(&set);
	/* Right, by a key that is not in the set. */
	set = keys(set_of(&signers[EDDSA]));
	CU_ASSERT(!good(arena_printf(arena, "%s.%s", body, base64(right)), set));
	jwks_free(&set);
}

/* The same token has the same id, however its signature is spelled. */
static void
test_ids(void)
{
	const struct signer *s = &signers[ES256];
	struct jwks *set = keys(set_of(s));
	struct jwt a, b;
	const char *why = NULL;
	struct jwt_rules r = rules(set);
	const char *first = token(s, header_of(s), "{" CLAIMS "}"), *second = token(s, header_of(s), "{" CLAIMS "}");
	CU_ASSERT_STRING_NOT_EQUAL(first, second);
	CU_ASSERT_EQUAL(jwt_verify(sp_str(first), &r, &a, &why), SP_OK);
	CU_ASSERT_EQUAL(jwt_verify(sp_str(second), &r, &b, &why), SP_OK);
	CU_ASSERT_EQUAL(memcmp(a.id, b.id, DIGEST_LEN), 0);
	jwt_clear(&a);
	jwt_clear(&b);
	jwks_free(&set);
}

static void
test_large(void)
{
	const struct signer *s = &signers[EDDSA];
	struct jwks *set = keys(set_of(s));
	char *pad = arena_alloc(arena, 80000);
	memset(pad, 'x', 70000);
	CU_ASSERT(!good(token(s, header_of(s), arena_printf(arena, "{" CLAIMS ",\"x\":\"%s\"}", pad)), set));
	CU_ASSERT(!good(pad, set));
	pad[20000] = '\0';
	CU_ASSERT(good(token(s, header_of(s), arena_printf(arena, "{" CLAIMS ",\"x\":\"%s\"}", pad)), set));
	memset(pad, '[', 40000);
	pad[40000] = '\0';
	CU_ASSERT(!good(token(s, header_of(s), pad), set)); /* deep */
	jwks_free(&set);
}

/* ---- key sets ---- */

static void
test_sets(void)
{
	const char *rsa = signers[RS256].jwk, *ec = signers[ES256].jwk;
	const struct {
		const char *text;
		size_t n; /* 0: an error */
	} row[] = {
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\"},{%s,\"kid\":\"b\"}]}", rsa, ec), 2 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\",\"use\":\"enc\"},{%s,\"kid\":\"b\"}]}", rsa, ec), 1 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\",\"key_ops\":[\"encrypt\"]},{%s,\"kid\":\"b\",\"key_ops\":[\"verify\"]}]}", rsa, ec), 1 },
		{ arena_printf(arena, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"},{%s,\"kid\":\"b\"}]}", ec), 1 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\",\"alg\":\"HS256\"},{%s,\"kid\":\"b\"}]}", rsa, ec), 1 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\",\"alg\":1},{%s,\"kid\":\"b\"}]}", rsa, ec), 1 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"a\"},{%s,\"kid\":\"a\"}]}", rsa, ec), 0 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":1}]}", rsa), 0 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"kid\":\"\"}]}", rsa), 0 },
		{ arena_printf(arena, "{\"keys\":[{%s,\"d\":\"AAAA\"}]}", ec), 0 },
		{ arena_printf(arena, "{\"keys\":[{%s}],\"keys\":[]}", ec), 0 },
		{ "{\"keys\":[]}", 0 },
		{ "{\"keys\":{}}", 0 },
		{ "{\"keys\":[1]}", 0 },
		{ "[]", 0 },
		{ "", 0 },
		{ "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", 0 },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", 0 },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", 0 },
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}", 0 },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}]}", 0 },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"*\"}]}", 0 },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct jwks *set = NULL;
		const char *why = NULL;
		int rc = jwks_parse(sp_str(row[i].text), &set, &why);
		if ((rc == SP_OK) != (row[i].n > 0) || (rc == SP_OK && set->n != row[i].n))
			printf("set %zu: %s\n", i, why == NULL ? "taken" : why);
		CU_ASSERT_EQUAL(rc == SP_OK, row[i].n > 0);
		CU_ASSERT_EQUAL(rc == SP_OK, why == NULL);
		if (rc == SP_OK)
			CU_ASSERT_EQUAL(set->n, row[i].n);
		jwks_free(&set);
	}
}

static void
test_weak_rsa(void)
{
	struct signer weak = { .alg = "RS256", .kty = "RSA", .pk = GNUTLS_PK_RSA, .bits = 1024, .sign = GNUTLS_SIGN_RSA_SHA256 };
	struct jwks *set = NULL;
	const char *why = NULL;
	make_key(&weak);
	CU_ASSERT_EQUAL(jwks_parse(sp_str(set_of(&weak)), &set, &why), SP_ECONF);
	gnutls_privkey_deinit(weak.key);
	/* An exponent of one: every message is its own signature. */
	char *text = arena_string(arena, sp_str(set_of(&signers[RS256])));
	char *e = strstr(text, "\"e\":\"AQAB\"");
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	memcpy(e, "\"e\":\"AQ\"  ", 10);
	CU_ASSERT_EQUAL(jwks_parse(sp_str(text), &set, &why), SP_ECONF);
	memcpy(e, "\"e\":\"AAAB\"", 10);
	CU_ASSERT_EQUAL(jwks_parse(sp_str(text), &set, &why), SP_ECONF);
	memcpy(e, "\"e\":\"AAAC\"", 10);
	CU_ASSERT_EQUAL(jwks_parse(sp_str(text), &set, &why), SP_ECONF);
}

static void
test_issuer(void)
{
	const char *who = NULL;
	CU_ASSERT_EQUAL(jwt_issuer(sp_str(token(&signers[EDDSA], "{}", "{" CLAIMS "}")), arena, &who), SP_OK);
	CU_ASSERT_STRING_EQUAL(who, "https://idp");
	CU_ASSERT_EQUAL(jwt_issuer(sp_str("a.b.c"), arena, &who), SP_EPROTO);
	CU_ASSERT_EQUAL(jwt_issuer(sp_str(""), arena, &who), SP_EPROTO);
	CU_ASSERT_EQUAL(jwt_issuer(sp_str(".."), arena, &who), SP_EPROTO);
	CU_ASSERT_EQUAL(jwt_issuer(sp_str(token(&signers[EDDSA], "{}", "{\"iss\":1}")), arena, &who), SP_EPROTO);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "keys are made", test_keys }, /* first: the others use them */
		{ "every algorithm", test_algorithms },
		{ "a token by libjwt", test_libjwt },
		{ "flipped, cut, continued", test_bits_flipped },
		{ "remembered", test_remembered },
		{ "algorithm confusion", test_algorithm_confusion },
		{ "headers", test_headers },
		{ "claims", test_claims },
		{ "signatures", test_signatures },
		{ "one id for one token", test_ids },
		{ "large and deep", test_large },
		{ "key sets", test_sets },
		{ "weak RSA keys", test_weak_rsa },
		{ "issuers", test_issuer },
		CU_TEST_INFO_NULL,
	};
	arena = arena_new(64u << 20);
	int status = cunit_main("jwt", tests);
	for (size_t i = 0; i < SIGNERS; i++)
		gnutls_privkey_deinit(signers[i].key);
	arena_free(&arena);
	return status;
}
