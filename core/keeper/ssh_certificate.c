/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ssh_certificate.h.
 *
 *   string "ssh-ed25519-cert-v01@openssh.com" | string nonce | string public key | u64 serial | u32 type
 *   string id | string principals | u64 after | u64 before | string critical options | string extensions
 *   string reserved | string key of the authority | string signature over all before it
 */
#include <config.h>

#include "ssh_certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>

#include "../base/digest.h"

#define CERTIFICATE_TYPE "ssh-ed25519-cert-v01@openssh.com"
#define KEY_TYPE "ssh-ed25519"
#define EARLIER 60u /* s: a target's clock may be behind ours */
enum { TYPE_USER = 1 };
enum { KEY_LEN = 32, ED25519_LEN = 64, CERTIFICATE_MAX = 8192 };

/* ---- strings of the wire ---- */

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

static void
wr_string(struct sp_writer *w, struct sp_bytes b)
{
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

static void
wr_key(struct sp_writer *w, struct sp_bytes key)
{
	sp_wr_be32(w, 4 + (uint32_t)strlen(KEY_TYPE) + 4 + KEY_LEN);
	wr_string(w, sp_str(KEY_TYPE));
	wr_string(w, key);
}

/* The 32 bytes of a public key as on the wire; empty when it is another kind of key. */
static struct sp_bytes
key_of(struct sp_bytes blob)
{
	struct sp_reader r = sp_reader(blob);
	struct sp_bytes type = rd_string(&r), key = rd_string(&r);
	bool fits = sp_rd_done(&r) && sp_bytes_is(type, KEY_TYPE) && key.len == KEY_LEN;
	return fits ? key : (struct sp_bytes){ NULL, 0 };
}

bool
ssh_certificate_key(struct sp_bytes key)
{
	return key_of(key).len > 0;
}

/* ---- the authority's private key ---- */

struct authority {
	gnutls_privkey_t private;
	uint8_t public[KEY_LEN];
};

static const char not_a_key[] = "is not an Ed25519 private key without a passphrase (ssh-keygen -t ed25519 -N '' makes one)";

static int
import(struct authority *a, struct sp_bytes public, struct sp_bytes seed)
{
	const gnutls_datum_t x = { (unsigned char *)(uintptr_t)public.p, (unsigned)public.len };
	const gnutls_datum_t k = { (unsigned char *)(uintptr_t)seed.p, (unsigned)seed.len };
	memcpy(a->public, public.p, KEY_LEN);
	return gnutls_privkey_import_ecc_raw(a->private, GNUTLS_ECC_CURVE_ED25519, &x, NULL, &k) < 0 ? SP_ECONF : SP_OK;
}

/* "openssh-key-v1": cipher and kdf none, one key; its private part begins with the same number twice. */
static int
read_openssh(struct authority *a, struct sp_bytes in)
{
	struct sp_reader r = sp_reader(in);
	bool magic = sp_bytes_is(sp_rd_cstr(&r), "openssh-key-v1");
	struct sp_bytes cipher = rd_string(&r), kdf = rd_string(&r), options = rd_string(&r);
	uint32_t n = sp_rd_be32(&r);
	struct sp_bytes public = rd_string(&r), private = rd_string(&r);
	if (!magic || !sp_rd_done(&r) || n != 1 || !sp_bytes_is(cipher, "none") || !sp_bytes_is(kdf, "none") || options.len != 0)
		return SP_ECONF;
	struct sp_reader p = sp_reader(private);
	uint32_t check = sp_rd_be32(&p);
	bool same = sp_rd_be32(&p) == check;
	struct sp_bytes type = rd_string(&p), key = rd_string(&p), both = rd_string(&p);
	if (p.bad || !same || !sp_bytes_is(type, KEY_TYPE) || key.len != KEY_LEN || both.len != 2 * KEY_LEN ||
	    !sp_bytes_eq(key_of(public), key))
		return SP_ECONF;
	return import(a, key, (struct sp_bytes){ both.p, KEY_LEN });
}

static int
read_pem(struct authority *a, const gnutls_datum_t *text)
{
	gnutls_ecc_curve_t curve;
	gnutls_datum_t x = { NULL, 0 }, k = { NULL, 0 };
	if (gnutls_privkey_import_x509_raw(a->private, text, GNUTLS_X509_FMT_PEM, NULL, 0) < 0 ||
	    gnutls_privkey_export_ecc_raw(a->private, &curve, &x, NULL, &k) < 0)
		return SP_ECONF;
	bool fits = curve == GNUTLS_ECC_CURVE_ED25519 && x.size == KEY_LEN;
	if (fits)
		memcpy(a->public, x.data, KEY_LEN);
	mem_wipe(k.data, k.size);
	gnutls_free(k.data);
	gnutls_free(x.data);
	return fits ? SP_OK : SP_ECONF;
}

static int
authority_read(const struct sp_secret *ca, struct authority *a)
{
	const gnutls_datum_t text = { (unsigned char *)(uintptr_t)secret_bytes(ca).p, (unsigned)secret_bytes(ca).len };
	gnutls_datum_t raw = { NULL, 0 };
	if (gnutls_privkey_init(&a->private) < 0)
		return SP_ENOMEM;
	if (gnutls_pem_base64_decode2("OPENSSH PRIVATE KEY", &text, &raw) < 0)
		return read_pem(a, &text);
	int rc = read_openssh(a, (struct sp_bytes){ raw.data, raw.size });
	mem_wipe(raw.data, raw.size);
	gnutls_free(raw.data);
	return rc;
}

static void
authority_forget(struct authority *a)
{
	gnutls_privkey_deinit(a->private);
	a->private = NULL;
}

int
ssh_ca_check(const struct sp_secret *ca, const char **why_r)
{
	struct buffer out = { 0 };
	int rc = ssh_ca_public(ca, &out, why_r);
	buffer_free(&out);
	return rc;
}

int
ssh_ca_public(const struct sp_secret *ca, struct buffer *out, const char **why_r)
{
	struct authority a = { 0 };
	*why_r = not_a_key;
	int rc = authority_read(ca, &a);
	if (rc == SP_OK) {
		struct sp_writer w = buffer_writer(out);
		wr_string(&w, sp_str(KEY_TYPE));
		wr_string(&w, (struct sp_bytes){ a.public, KEY_LEN });
		rc = buffer_written(out, &w);
	}
	authority_forget(&a);
	return rc;
}

/* ---- signing ---- */

static void
wr_principals(struct sp_writer *w, const char *principal)
{
	sp_wr_be32(w, 4 + (uint32_t)strlen(principal));
	wr_string(w, sp_str(principal));
}

static void
wr_critical(struct sp_writer *w, const char *from)
{
	size_t at = w->len;
	sp_wr_be32(w, 0);
	if (from[0] != '\0') {
		wr_string(w, SP_LIT("source-address"));
		sp_wr_be32(w, 4 + (uint32_t)strlen(from));
		wr_string(w, sp_str(from));
	}
	sp_wr_patch32(w, at, w->len - at - 4);
}

static void
wr_extensions(struct sp_writer *w, bool forwarding)
{
	/* in this order, as OpenSSH wants them */
	static const char *const name[] = { "permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty" };
	size_t at = w->len;
	sp_wr_be32(w, 0);
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		if (!forwarding && !sp_bytes_is(sp_str(name[i]), "permit-pty"))
			continue;
		wr_string(w, sp_str(name[i]));
		sp_wr_be32(w, 0);
	}
	sp_wr_patch32(w, at, w->len - at - 4);
}

static void
wr_body(struct sp_writer *w, const struct authority *a, const struct ssh_certificate *want)
{
	uint8_t nonce[32];
	uint64_t serial;
	random_bytes(nonce, sizeof(nonce));
	random_bytes(&serial, sizeof(serial));
	wr_string(w, sp_str(CERTIFICATE_TYPE));
	wr_string(w, (struct sp_bytes){ nonce, sizeof(nonce) });
	wr_string(w, key_of(want->key));
	sp_wr_be64(w, serial);
	sp_wr_be32(w, TYPE_USER);
	wr_string(w, sp_str(want->id));
	wr_principals(w, want->principal);
	sp_wr_be64(w, want->now - EARLIER);
	sp_wr_be64(w, want->now + (want->life == 0 ? SSH_CERTIFICATE_LIFE : want->life));
	wr_critical(w, want->from);
	wr_extensions(w, want->forwarding);
	wr_string(w, (struct sp_bytes){ NULL, 0 });
	wr_key(w, (struct sp_bytes){ a->public, KEY_LEN });
}

static int
sign_body(const struct authority *a, struct sp_writer *w)
{
	const gnutls_datum_t body = { w->p, (unsigned)w->len };
	gnutls_datum_t signature = { NULL, 0 };
	if (w->bad || gnutls_privkey_sign_data2(a->private, GNUTLS_SIGN_EDDSA_ED25519, 0, &body, &signature) < 0)
		return SP_EINTERNAL;
	sp_wr_be32(w, 4 + (uint32_t)strlen(KEY_TYPE) + 4 + signature.size);
	wr_string(w, sp_str(KEY_TYPE));
	wr_string(w, (struct sp_bytes){ signature.data, signature.size });
	gnutls_free(signature.data);
	return w->bad ? SP_ETOOBIG : SP_OK;
}

static int
wanted_fits(const struct ssh_certificate *want, const char **why_r)
{
	*why_r = "the public key is not an ssh-ed25519 key";
	if (key_of(want->key).len == 0)
		return SP_EDENIED;
	/* an empty list of principals means everybody (CVE-2024-7594), and a comma may become two (CVE-2026-35414) */
	*why_r = "the login name is empty, or can't be a principal";
	return want->principal[0] == '\0' || strpbrk(want->principal, ", *?!\t\r\n") != NULL ? SP_EDENIED : SP_OK;
}

static int
sign(const struct authority *a, const struct ssh_certificate *want, struct buffer *out)
{
	uint8_t space[2048];
	struct sp_writer w = sp_writer(space, sizeof(space));
	wr_body(&w, a, want);
	int rc = sign_body(a, &w);
	return rc == SP_OK ? buffer_put(out, sp_written(&w)) : rc;
}

int
ssh_certificate_sign(const struct sp_secret *ca, const struct ssh_certificate *want, struct buffer *out, const char **why_r)
{
	struct authority a = { 0 };
	if (wanted_fits(want, why_r) != SP_OK)
		return SP_EDENIED;
	*why_r = not_a_key;
	int rc = authority_read(ca, &a);
	if (rc == SP_OK)
		rc = sign(&a, want, out);
	authority_forget(&a);
	return rc;
}

int
ssh_certificate_issue(const uint8_t seed[SSH_SEED_LEN], const struct ssh_certificate *want, struct buffer *out, const char **why_r)
{
	struct authority a = { 0 };
	uint8_t public[KEY_LEN];
	if (wanted_fits(want, why_r) != SP_OK)
		return SP_EDENIED;
	*why_r = "the certificate could not be signed";
	digest_public(seed, public);
	if (gnutls_privkey_init(&a.private) < 0)
		return SP_ENOMEM;
	int rc = import(&a, (struct sp_bytes){ public, KEY_LEN }, (struct sp_bytes){ seed, SSH_SEED_LEN });
	if (rc == SP_OK)
		rc = sign(&a, want, out);
	authority_forget(&a);
	return rc;
}

int
ssh_seed_public(const uint8_t seed[SSH_SEED_LEN], struct buffer *out)
{
	uint8_t public[KEY_LEN];
	struct sp_writer w = buffer_writer(out);
	digest_public(seed, public);
	wr_string(&w, sp_str(KEY_TYPE));
	wr_string(&w, (struct sp_bytes){ public, KEY_LEN });
	return buffer_written(out, &w);
}

/* ---- logging in ---- */

static bool
is_login(struct sp_bytes what, const char *user, const uint8_t public[KEY_LEN])
{
	enum { USERAUTH_REQUEST = 50 };
	struct sp_reader r = sp_reader(what);
	struct sp_bytes session = rd_string(&r);
	bool fits = sp_rd_u8(&r) == USERAUTH_REQUEST;
	fits = sp_bytes_is(rd_string(&r), user) && fits;
	fits = sp_bytes_is(rd_string(&r), "ssh-connection") && fits;
	fits = sp_bytes_is(rd_string(&r), "publickey") && fits;
	fits = sp_rd_u8(&r) == 1 && fits;
	fits = sp_bytes_is(rd_string(&r), KEY_TYPE) && fits;
	fits = sp_bytes_eq(key_of(rd_string(&r)), (struct sp_bytes){ public, KEY_LEN }) && fits;
	return sp_rd_done(&r) && fits && session.len >= 20 && session.len <= 64;
}

int
ssh_login_sign(const struct sp_secret *key, const char *user, struct sp_bytes what, struct buffer *out, const char **why_r)
{
	struct authority a = { 0 };
	const gnutls_datum_t data = { (unsigned char *)(uintptr_t)what.p, (unsigned)what.len };
	gnutls_datum_t signature = { NULL, 0 };
	*why_r = not_a_key;
	int rc = authority_read(key, &a);
	if (rc == SP_OK && !is_login(what, user, a.public)) {
		*why_r = "what has to be signed is not the log-in of its user with its key";
		rc = SP_EDENIED;
	}
	if (rc == SP_OK && gnutls_privkey_sign_data2(a.private, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &signature) < 0)
		rc = SP_EINTERNAL;
	authority_forget(&a);
	if (rc != SP_OK)
		return rc;
	struct sp_writer w = buffer_writer(out);
	wr_string(&w, sp_str(KEY_TYPE));
	wr_string(&w, (struct sp_bytes){ signature.data, signature.size });
	gnutls_free(signature.data);
	return buffer_written(out, &w);
}

/* ---- checking ---- */

static bool
signature_good(struct sp_bytes public, struct sp_bytes body, struct sp_bytes signature)
{
	const gnutls_datum_t x = { (unsigned char *)(uintptr_t)public.p, (unsigned)public.len };
	const gnutls_datum_t what = { (unsigned char *)(uintptr_t)body.p, (unsigned)body.len };
	const gnutls_datum_t s = { (unsigned char *)(uintptr_t)signature.p, (unsigned)signature.len };
	gnutls_pubkey_t key;
	if (gnutls_pubkey_init(&key) < 0)
		return false;
	bool good = gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x, NULL) >= 0 &&
	    gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &what, &s) >= 0;
	gnutls_pubkey_deinit(key);
	return good;
}

/* Exactly one, and not empty. */
static bool
read_principal(struct sp_bytes list, struct sp_bytes *principal_r)
{
	struct sp_reader r = sp_reader(list);
	*principal_r = rd_string(&r);
	return sp_rd_done(&r) && principal_r->len > 0 && memchr(principal_r->p, ',', principal_r->len) == NULL;
}

static bool
read_critical(struct sp_bytes list, struct sp_bytes *from_r)
{
	struct sp_reader r = sp_reader(list);
	*from_r = (struct sp_bytes){ NULL, 0 };
	while (!r.bad && r.left > 0) {
		struct sp_bytes name = rd_string(&r), data = rd_string(&r);
		struct sp_reader d = sp_reader(data);
		if (r.bad || !sp_bytes_is(name, "source-address") || from_r->len > 0)
			return false;
		*from_r = rd_string(&d);
		if (!sp_rd_done(&d) || from_r->len == 0)
			return false;
	}
	return !r.bad;
}

static bool
read_extensions(struct sp_bytes list)
{
	struct sp_reader r = sp_reader(list);
	while (!r.bad && r.left > 0) {
		(void)rd_string(&r);
		(void)rd_string(&r);
	}
	return !r.bad;
}

static int
wrong(const char **why_r, const char *why)
{
	*why_r = why;
	return SP_EDENIED;
}

int
ssh_certificate_check(struct sp_bytes certificate, struct sp_bytes ca, uint64_t now, struct ssh_shown *shown_r, const char **why_r)
{
	struct sp_reader r = sp_reader(certificate);
	*shown_r = (struct ssh_shown){ .serial = 0 };
	bool type = sp_bytes_is(rd_string(&r), CERTIFICATE_TYPE);
	(void)rd_string(&r); /* the nonce */
	shown_r->key = rd_string(&r);
	shown_r->serial = sp_rd_be64(&r);
	uint32_t use = sp_rd_be32(&r);
	shown_r->id = rd_string(&r);
	struct sp_bytes principals = rd_string(&r);
	shown_r->after = sp_rd_be64(&r);
	shown_r->before = sp_rd_be64(&r);
	struct sp_bytes critical = rd_string(&r), extensions = rd_string(&r);
	(void)rd_string(&r); /* reserved */
	struct sp_bytes signer = rd_string(&r);
	size_t body = certificate.len - r.left;
	struct sp_bytes signature = rd_string(&r);
	if (!type || !sp_rd_done(&r) || certificate.len > CERTIFICATE_MAX || shown_r->key.len != KEY_LEN)
		return wrong(why_r, "it is not an Ed25519 certificate");
	if (use != TYPE_USER)
		return wrong(why_r, "it is a host's certificate, not a user's");
	if (key_of(ca).len == 0 || !sp_bytes_eq(signer, ca))
		return wrong(why_r, "another authority signed it");
	struct sp_reader s = sp_reader(signature);
	struct sp_bytes algorithm = rd_string(&s), value = rd_string(&s);
	if (!sp_rd_done(&s) || !sp_bytes_is(algorithm, KEY_TYPE) || value.len != ED25519_LEN ||
	    !signature_good(key_of(ca), (struct sp_bytes){ certificate.p, body }, value))
		return wrong(why_r, "its signature is wrong");
	if (now < shown_r->after || now >= shown_r->before)
		return wrong(why_r, "it is not in force now");
	if (!read_principal(principals, &shown_r->principal))
		return wrong(why_r, "it does not name exactly one principal");
	if (!read_critical(critical, &shown_r->from))
		return wrong(why_r, "it has a critical option that is not known here");
	return read_extensions(extensions) ? SP_OK : wrong(why_r, "its extensions are malformed");
}
