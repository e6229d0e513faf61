/* SPDX-License-Identifier: Apache-2.0 */
/* See certificate.h. */
#include <config.h>

#include "certificate.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/revoked.h"

#define CHAIN_MAX 16u
#define VALUES_MAX 64u /* of one kind in a certificate */

struct authorities {
	gnutls_x509_trust_list_t list;
	struct revoked *revoked; /* NULL: nobody asks */
};

int
authorities_new(struct sp_bytes pem, struct authorities **a_r, const char **err_r)
{
	const gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem.p, (unsigned)pem.len };
	struct authorities *a = mem_alloc(sizeof(*a));
	*a_r = NULL;
	*err_r = "holds no certificate in PEM";
	if (gnutls_x509_trust_list_init(&a->list, 0) < 0) {
		free(a);
		return SP_ENOMEM;
	}
	if (gnutls_x509_trust_list_add_trust_mem(a->list, &text, NULL, GNUTLS_X509_FMT_PEM, 0, 0) < 1) {
		authorities_free(&a);
		return SP_ECONF;
	}
	*a_r = a;
	return SP_OK;
}

int
authorities_revoked(struct authorities *a, struct sp_bytes pem, struct sp_bytes crl, const char **err_r)
{
	return revoked_new(pem, crl, &a->revoked, err_r);
}

void
authorities_free(struct authorities **a)
{
	if (*a == NULL)
		return;
	gnutls_x509_trust_list_deinit((*a)->list, 1);
	revoked_free(&(*a)->revoked);
	free(*a);
	*a = NULL;
}

/* ---- what it says ---- */

/* A second value makes a list of it.  A NUL inside would end a name early. */
static int
claim_add(json_t *claims, const char *name, const char *text, size_t len)
{
	json_t *have = json_object_get(claims, name), *value = len == 0 || memchr(text, '\0', len) != NULL ? NULL : json_stringn(text, len);
	if (value == NULL)
		return SP_EDENIED;
	if (json_is_array(have))
		return json_array_append_new(have, value) == 0 ? SP_OK : SP_ENOMEM;
	if (have != NULL)
		value = json_pack("[O,o]", have, value);
	return json_object_set_new(claims, name, value) == 0 ? SP_OK : SP_ENOMEM;
}

static int
claim_names(json_t *claims, gnutls_x509_crt_t crt)
{
	static const struct {
		const char *oid, *claim;
	} part[] = { { GNUTLS_OID_X520_COMMON_NAME, "cn" }, { GNUTLS_OID_X520_ORGANIZATION_NAME, "o" },
		{ GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, "ou" } };
	gnutls_datum_t whole = { NULL, 0 };
	char text[256];
	int rc = gnutls_x509_crt_get_dn3(crt, &whole, 0) < 0 ? SP_EDENIED : claim_add(claims, "sub", (const char *)whole.data, whole.size);
	gnutls_free(whole.data);
	for (size_t p = 0; p < sizeof(part) / sizeof(*part); p++)
		for (unsigned i = 0; rc == SP_OK; i++) {
			size_t len = sizeof(text);
			int got = gnutls_x509_crt_get_dn_by_oid(crt, part[p].oid, i, 0, text, &len);
			if (got == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
				break;
			/* '#': GnuTLS's way to show what is no text, a NUL in it */
			rc = got < 0 || i >= VALUES_MAX || text[0] == '#' ? SP_EDENIED : claim_add(claims, part[p].claim, text, len);
		}
	return rc;
}

static int
claim_others(json_t *claims, gnutls_x509_crt_t crt)
{
	static const struct {
		unsigned type;
		const char *claim;
	} kind[] = { { GNUTLS_SAN_RFC822NAME, "email" }, { GNUTLS_SAN_DNSNAME, "dns" }, { GNUTLS_SAN_URI, "uri" } };
	char text[512];
	int rc = SP_OK;
	for (unsigned i = 0; rc == SP_OK; i++) {
		size_t len = sizeof(text);
		unsigned type = 0;
		int got = gnutls_x509_crt_get_subject_alt_name2(crt, i, text, &len, &type, NULL);
		if (got == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		rc = got < 0 || i >= VALUES_MAX ? SP_EDENIED : SP_OK;
		for (size_t k = 0; rc == SP_OK && k < sizeof(kind) / sizeof(*kind); k++)
			if (type == kind[k].type)
				rc = claim_add(claims, kind[k].claim, text, len);
	}
	return rc;
}

static int
read_claims(gnutls_x509_crt_t crt, struct certificate *c)
{
	time_t from = gnutls_x509_crt_get_activation_time(crt), until = gnutls_x509_crt_get_expiration_time(crt);
	if (from < 0 || until <= from || (uint64_t)until > INT64_MAX / 1000000)
		return SP_EDENIED;
	c->issued = (uint64_t)from * 1000000;
	c->expires = (uint64_t)until * 1000000;
	c->claims = json_object();
	int rc = claim_names(c->claims, crt);
	return rc == SP_OK ? claim_others(c->claims, crt) : rc;
}

/* ---- who vouches for it ---- */

struct chain {
	gnutls_x509_crt_t crt[CHAIN_MAX];
	unsigned n;
	struct sp_bytes first; /* its DER */
};

static int
chain_read(struct sp_bytes in, struct chain *c)
{
	struct sp_reader r = sp_reader(in);
	while (r.left > 0) {
		struct sp_bytes der = sp_rd_take(&r, sp_rd_be32(&r));
		const gnutls_datum_t d = { (unsigned char *)(uintptr_t)der.p, (unsigned)der.len };
		if (r.bad || c->n == CHAIN_MAX || gnutls_x509_crt_init(&c->crt[c->n]) < 0)
			return SP_EDENIED;
		if (gnutls_x509_crt_import(c->crt[c->n++], &d, GNUTLS_X509_FMT_DER) < 0)
			return SP_EDENIED;
		if (c->n == 1)
			c->first = der;
	}
	return c->n > 0 ? SP_OK : SP_EDENIED;
}

static int
chain_verify(const struct authorities *a, struct chain *c, const char **err_r)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
	unsigned status = GNUTLS_CERT_INVALID;
	*err_r = "nobody whom an identity trusts vouches for the client's certificate";
	if (gnutls_x509_trust_list_verify_crt2(a->list, c->crt, c->n, &purpose, 1, 0, &status, NULL) < 0)
		return SP_EDENIED;
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		*err_r = "the client's certificate is out of date, or not good yet";
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		*err_r = "the client's certificate is for another purpose than a client's";
	return status == 0 ? SP_OK : SP_EDENIED;
}

int
certificate_check(const struct authorities *a, struct sp_bytes in, struct certificate *c_r, const char **err_r)
{
	struct chain c = { .n = 0 };
	*c_r = (struct certificate){ NULL, 0, 0, { 0 } };
	*err_r = "the client's certificate is malformed";
	int rc = chain_read(in, &c);
	if (rc == SP_OK)
		rc = chain_verify(a, &c, err_r);
	if (rc == SP_OK && a->revoked != NULL)
		rc = revoked_check(a->revoked, c.crt[0], clock_wall_us() / 1000000, err_r);
	if (rc == SP_OK) {
		*err_r = "the client's certificate has an odd name";
		digest_sha256(c.first, c_r->id);
		rc = read_claims(c.crt[0], c_r);
	}
	for (unsigned i = 0; i < c.n; i++)
		gnutls_x509_crt_deinit(c.crt[i]);
	if (rc != SP_OK) {
		json_decref(c_r->claims);
		c_r->claims = NULL;
	}
	return rc;
}
