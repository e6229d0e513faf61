/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See host_certificate.h.
 *
 *   string type | string nonce | the fields of a plain key | u64 serial | u32 use | string id | string principals
 *   u64 after | u64 before | string critical options | string extensions | string reserved
 *   string key of the authority | string signature over all before it
 *
 * Keys: RFC 8709 (Ed25519), RFC 5656, 3.1 (ECDSA), RFC 4253, 6.6 (RSA) with signatures of RFC 8332 only: no SHA-1.
 * The authority's key has to be a plain one: a certificate vouches for no certificate (SS6).
 */
#include "host_certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <strings.h>

#include "base64.h"

#define CERTIFICATE_MAX 16384u
#define MODULUS_MIN 2048u
#define MODULUS_MAX 8192u
#define TYPE_HOST 2u
enum { ED25519_LEN = 32, ED25519_SIGNATURE = 64 };

enum family { FAMILY_ED25519, FAMILY_ECDSA, FAMILY_RSA };

static const struct host_kind {
	enum family family;
	const char *algorithm;   /* in a list of them */
	const char *type;        /* at the front of the certificate */
	const char *key;         /* of the plain key */
	const char *plain;       /* as libssh takes it */
	unsigned fields;
	gnutls_ecc_curve_t curve;
	const char *curve_name;
	size_t curve_len;
	gnutls_sign_algorithm_t sign;
} kinds[] = {
	{ FAMILY_ED25519, "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "ssh-ed25519", 1,
	    GNUTLS_ECC_CURVE_ED25519, "", ED25519_LEN, GNUTLS_SIGN_EDDSA_ED25519 },
	{ FAMILY_ECDSA, "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256",
	    "ecdsa-sha2-nistp256", 2, GNUTLS_ECC_CURVE_SECP256R1, "nistp256", 32, GNUTLS_SIGN_ECDSA_SHA256 },
	{ FAMILY_ECDSA, "ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384",
	    "ecdsa-sha2-nistp384", 2, GNUTLS_ECC_CURVE_SECP384R1, "nistp384", 48, GNUTLS_SIGN_ECDSA_SHA384 },
	{ FAMILY_ECDSA, "ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521",
	    "ecdsa-sha2-nistp521", 2, GNUTLS_ECC_CURVE_SECP521R1, "nistp521", 66, GNUTLS_SIGN_ECDSA_SHA512 },
	{ FAMILY_RSA, "rsa-sha2-512-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "ssh-rsa", "rsa-sha2-512,rsa-sha2-256", 2,
	    GNUTLS_ECC_CURVE_INVALID, "", 0, GNUTLS_SIGN_RSA_SHA512 },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

const char host_algorithms[] = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"
			       "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"
			       "rsa-sha2-512-cert-v01@openssh.com";

const struct host_kind *
host_kind_of(struct sp_bytes algorithm)
{
	for (size_t i = 0; i < KINDS; i++)
		if (sp_bytes_is(algorithm, kinds[i].algorithm))
			return &kinds[i];
	return NULL;
}

const char *
host_kind_plain(const struct host_kind *kind)
{
	return kind->plain;
}

/* ---- the wire (RFC 4251, 5) ---- */

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

/* A positive number without the zero in front that a sign bit needs; empty: it is zero, negative, or longer than it need be. */
static struct sp_bytes
number(struct sp_bytes mpint)
{
	const struct sp_bytes none = { NULL, 0 };
	if (mpint.len == 0 || mpint.p[0] >= 0x80)
		return none;
	if (mpint.p[0] != 0)
		return mpint;
	return mpint.len > 1 && mpint.p[1] >= 0x80 ? (struct sp_bytes){ mpint.p + 1, mpint.len - 1 } : none;
}

static gnutls_datum_t
datum(struct sp_bytes b)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)b.p, (unsigned)b.len };
}

void
host_print(struct sp_bytes blob, char print_r[HOST_PRINT])
{
	uint8_t hash[32];
	char text[48] = "";
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, blob.p, blob.len, hash) < 0 || !base64_encode((struct sp_bytes){ hash, sizeof(hash) }, text, sizeof(text)))
		text[0] = '\0'; /* equal to none */
	(void)snprintf(print_r, HOST_PRINT, "SHA256:%.43s", text);
}

/* ---- keys and signatures ---- */

static bool
key_read(struct sp_bytes blob, struct host_key *key_r)
{
	struct sp_reader r = sp_reader(blob);
	const struct sp_bytes type = rd_string(&r);
	*key_r = (struct host_key){ .kind = NULL };
	for (size_t i = 0; i < KINDS; i++)
		if (sp_bytes_is(type, kinds[i].key))
			key_r->kind = &kinds[i];
	for (unsigned i = 0; key_r->kind != NULL && i < key_r->kind->fields; i++)
		key_r->field[i] = rd_string(&r);
	return sp_rd_done(&r) && key_r->kind != NULL;
}

static bool
import_rsa(gnutls_pubkey_t to, const struct host_key *key)
{
	const struct sp_bytes e = number(key->field[0]), n = number(key->field[1]);
	if (e.len == 0 || e.len > 8 || n.len < MODULUS_MIN / 8 || n.len > MODULUS_MAX / 8 || (n.len == MODULUS_MIN / 8 && n.p[0] < 0x80))
		return false;
	const gnutls_datum_t modulus = datum(n), exponent = datum(e);
	return gnutls_pubkey_import_rsa_raw(to, &modulus, &exponent) >= 0;
}

/* An uncompressed point; GnuTLS finds out whether it is on the curve when it verifies. */
static bool
import_ecdsa(gnutls_pubkey_t to, const struct host_key *key)
{
	const struct host_kind *k = key->kind;
	const struct sp_bytes point = key->field[1];
	if (!sp_bytes_is(key->field[0], k->curve_name) || point.len != 1 + 2 * k->curve_len || point.p[0] != 4)
		return false;
	const gnutls_datum_t x = datum((struct sp_bytes){ point.p + 1, k->curve_len });
	const gnutls_datum_t y = datum((struct sp_bytes){ point.p + 1 + k->curve_len, k->curve_len });
	return gnutls_pubkey_import_ecc_raw(to, k->curve, &x, &y) >= 0;
}

static bool
import(gnutls_pubkey_t to, const struct host_key *key)
{
	const gnutls_datum_t x = datum(key->field[0]);
	if (key->kind->family == FAMILY_RSA)
		return import_rsa(to, key);
	if (key->kind->family == FAMILY_ECDSA)
		return import_ecdsa(to, key);
	return key->field[0].len == ED25519_LEN && gnutls_pubkey_import_ecc_raw(to, GNUTLS_ECC_CURVE_ED25519, &x, NULL) >= 0;
}

/* r and s (RFC 5656, 3.1.2) as GnuTLS takes them. */
static bool
ecdsa_value(struct sp_bytes value, gnutls_datum_t *out_r)
{
	struct sp_reader v = sp_reader(value);
	const struct sp_bytes r = number(rd_string(&v)), s = number(rd_string(&v));
	const gnutls_datum_t rd = datum(r), sd = datum(s);
	*out_r = (gnutls_datum_t){ NULL, 0 };
	return sp_rd_done(&v) && r.len > 0 && s.len > 0 && gnutls_encode_rs_value(out_r, &rd, &sd) >= 0;
}

/* What signs with it by that name; GNUTLS_SIGN_UNKNOWN: nothing modern. */
static gnutls_sign_algorithm_t
sign_of(const struct host_key *key, struct sp_bytes algorithm)
{
	if (key->kind->family != FAMILY_RSA)
		return sp_bytes_is(algorithm, key->kind->key) ? key->kind->sign : GNUTLS_SIGN_UNKNOWN;
	return sp_bytes_is(algorithm, "rsa-sha2-512") ? GNUTLS_SIGN_RSA_SHA512
	    : sp_bytes_is(algorithm, "rsa-sha2-256") ? GNUTLS_SIGN_RSA_SHA256 : GNUTLS_SIGN_UNKNOWN;
}

bool
host_signature_good(const struct host_key *key, struct sp_bytes data, struct sp_bytes signature)
{
	struct sp_reader r = sp_reader(signature);
	const struct sp_bytes algorithm = rd_string(&r), value = rd_string(&r);
	const gnutls_sign_algorithm_t sign = sign_of(key, algorithm);
	const gnutls_datum_t what = datum(data);
	gnutls_datum_t proof = datum(value), rs = { NULL, 0 };
	gnutls_pubkey_t public;
	if (!sp_rd_done(&r) || sign == GNUTLS_SIGN_UNKNOWN || (key->kind->family == FAMILY_ED25519 && value.len != ED25519_SIGNATURE) ||
	    gnutls_pubkey_init(&public) < 0)
		return false;
	bool good = import(public, key);
	if (key->kind->family == FAMILY_ECDSA) {
		good = ecdsa_value(value, &rs) && good;
		proof = rs;
	}
	good = good && gnutls_pubkey_verify_data2(public, sign, 0, &what, &proof) >= 0;
	gnutls_free(rs.data);
	gnutls_pubkey_deinit(public);
	return good;
}

/* ---- certificates ---- */

/* The plain key's blob is made of the certificate's fields: its fingerprint is what libssh's connection will show. */
static bool
print_plain(const struct host_key *key, char print_r[HOST_PRINT])
{
	uint8_t space[2 * (MODULUS_MAX / 8) + 64];
	struct sp_writer w = sp_writer(space, sizeof(space));
	sp_wr_be32(&w, (uint32_t)strlen(key->kind->key));
	sp_wr_put(&w, sp_str(key->kind->key));
	for (unsigned i = 0; i < key->kind->fields; i++) {
		sp_wr_be32(&w, (uint32_t)key->field[i].len);
		sp_wr_put(&w, key->field[i]);
	}
	host_print(sp_written(&w), print_r);
	return !w.bad;
}

/* It is in the list by itself; host names are the same in capitals (RFC 4343). */
static bool
names(struct sp_bytes list, const char *name)
{
	struct sp_reader r = sp_reader(list);
	const size_t len = strlen(name);
	bool found = false;
	while (!r.bad && r.left > 0) {
		const struct sp_bytes word = rd_string(&r);
		found = found || (len > 0 && word.len == len && strncasecmp((const char *)word.p, name, len) == 0);
	}
	return found && !r.bad;
}

static bool
pairs(struct sp_bytes list)
{
	struct sp_reader r = sp_reader(list);
	while (!r.bad && r.left > 0) {
		(void)rd_string(&r);
		(void)rd_string(&r);
	}
	return !r.bad;
}

static bool
is_listed(const struct sp_strings *prints, const char *print)
{
	for (size_t i = 0; i < prints->n; i++)
		if (strcmp(prints->v[i], print) == 0)
			return true;
	return false;
}

static int
wrong(const char **why_r, const char *why)
{
	*why_r = why;
	return SP_EDENIED;
}

struct read {
	uint32_t use;
	struct sp_bytes principals, critical, extensions, signer, signature, body;
};

static bool
read_all(const struct host_kind *kind, struct sp_bytes certificate, struct host_shown *shown, struct read *to)
{
	struct sp_reader r = sp_reader(certificate);
	const bool type = sp_bytes_is(rd_string(&r), kind->type);
	(void)rd_string(&r); /* the nonce */
	shown->key.kind = kind;
	for (unsigned i = 0; i < kind->fields; i++)
		shown->key.field[i] = rd_string(&r);
	(void)sp_rd_be64(&r); /* serial */
	to->use = sp_rd_be32(&r);
	(void)rd_string(&r); /* id */
	to->principals = rd_string(&r);
	shown->after = sp_rd_be64(&r);
	shown->before = sp_rd_be64(&r);
	to->critical = rd_string(&r);
	to->extensions = rd_string(&r);
	(void)rd_string(&r); /* reserved */
	to->signer = rd_string(&r);
	to->body = (struct sp_bytes){ certificate.p, certificate.len - r.left };
	to->signature = rd_string(&r);
	return type && sp_rd_done(&r) && certificate.len <= CERTIFICATE_MAX;
}

int
host_certificate_check(const struct host_kind *kind, struct sp_bytes certificate, const struct sp_strings *authorities, const char *name,
    uint64_t now, struct host_shown *shown_r, const char **why_r)
{
	struct read c = { .use = 0 };
	struct host_key signer;
	*shown_r = (struct host_shown){ .after = 0 };
	if (!read_all(kind, certificate, shown_r, &c) || !print_plain(&shown_r->key, shown_r->print))
		return wrong(why_r, "it is malformed");
	if (c.use != TYPE_HOST)
		return wrong(why_r, "it is not a host's");
	host_print(c.signer, shown_r->authority);
	if (!is_listed(authorities, shown_r->authority))
		return wrong(why_r, "another authority signed it");
	if (!key_read(c.signer, &signer))
		return wrong(why_r, "its authority's key is of no kind that is known here");
	if (!host_signature_good(&signer, c.body, c.signature))
		return wrong(why_r, "its signature is wrong");
	if (now < shown_r->after || now >= shown_r->before)
		return wrong(why_r, "it is not in force now");
	if (!names(c.principals, name))
		return wrong(why_r, "it is for another host");
	if (c.critical.len > 0)
		return wrong(why_r, "it has a critical option, and none is known here");
	return pairs(c.extensions) ? SP_OK : wrong(why_r, "its extensions are malformed");
}
