/* SPDX-License-Identifier: Apache-2.0 */
/* See revoked.h.  Serial numbers of all lists are sorted once, when they are read. */
#include <config.h>

#include "revoked.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16u
#define LISTS_MAX 256u
#define SERIAL_MAX 30u /* RFC 5280 allows 20 */
#define KEY_ID 32u     /* SHA-256 */

struct list {
	uint8_t key[KEY_ID];   /* of who signed it: authorities may have one name, a new key after the old one */
	gnutls_datum_t issuer; /* DER */
	time_t from, until;
};

struct serial {
	uint16_t list;
	uint8_t len;
	uint8_t bytes[SERIAL_MAX];
};

struct revoked {
	gnutls_x509_crt_t *ca;
	unsigned nca, nlists;
	struct list list[LISTS_MAX];
	struct serial *serial;
	size_t n, room;
};

static int
serial_order(const void *one, const void *other)
{
	const struct serial *a = one, *b = other;
	if (a->list != b->list)
		return a->list < b->list ? -1 : 1;
	return a->len != b->len ? (a->len < b->len ? -1 : 1) : memcmp(a->bytes, b->bytes, a->len);
}

/* false: longer than any may be. */
static bool
serial_make(unsigned list, const uint8_t *p, size_t n, struct serial *s_r)
{
	*s_r = (struct serial){ .list = (uint16_t)list };
	while (n > 0 && *p == 0)
		p++, n--;
	if (n > SERIAL_MAX)
		return false;
	s_r->len = (uint8_t)n;
	memcpy(s_r->bytes, p, n);
	return true;
}

/* ---- reading ---- */

static bool
have_room(struct revoked *r)
{
	size_t room = r->room == 0 ? 256 : 2 * r->room;
	if (r->n < r->room)
		return true;
	struct serial *more = realloc(r->serial, room * sizeof(*more));
	if (more == NULL)
		return false;
	r->serial = more;
	r->room = room;
	return true;
}

static int
take_serials(struct revoked *r, gnutls_x509_crl_t crl, const char **err_r)
{
	gnutls_x509_crl_iter_t at = NULL;
	uint8_t text[64];
	time_t when;
	int rc = SP_OK;
	while (rc == SP_OK) {
		size_t n = sizeof(text);
		int got = gnutls_x509_crl_iter_crt_serial(crl, &at, text, &n, &when);
		if (got == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (!have_room(r))
			rc = SP_ENOMEM;
		else if (got < 0 || !serial_make(r->nlists, text, n, &r->serial[r->n++])) {
			*err_r = "holds a list with an odd serial number";
			rc = SP_ECONF;
		}
	}
	gnutls_x509_crl_iter_deinit(at);
	return rc;
}

/* Such a list is of some of its issuer's certificates, or of changes, and says nothing of the others. */
static bool
is_partial(gnutls_x509_crl_t crl)
{
	char oid[128];
	for (unsigned i = 0;; i++) {
		unsigned critical = 0;
		size_t n = sizeof(oid);
		int got = gnutls_x509_crl_get_extension_info(crl, i, oid, &n, &critical);
		if (got == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (got < 0 || critical != 0)
			return true;
	}
}

static bool
key_of(gnutls_x509_crt_t crt, uint8_t key_r[KEY_ID])
{
	size_t n = KEY_ID;
	return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, key_r, &n) == 0 && n == KEY_ID;
}

static bool
is_by(gnutls_x509_crl_t crl, gnutls_x509_crt_t ca)
{
	const unsigned dates = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE; /* looked at later */
	unsigned status = GNUTLS_CERT_INVALID;
	return gnutls_x509_crl_verify(crl, &ca, 1, 0, &status) >= 0 && (status & ~(dates | GNUTLS_CERT_INVALID)) == 0 &&
	    ((status & GNUTLS_CERT_INVALID) == 0 || (status & dates) != 0);
}

static int
take_list(struct revoked *r, gnutls_x509_crl_t crl, const char **err_r)
{
	struct list *l = &r->list[r->nlists];
	unsigned by = 0;
	*err_r = "holds a list that none of the authorities of ca= has signed: put the certificate of who signed it into ca=";
	while (by < r->nca && !is_by(crl, r->ca[by]))
		by++;
	if (by == r->nca || !key_of(r->ca[by], l->key))
		return SP_ECONF;
	*err_r = "holds a list of a part of its issuer's certificates only: a whole one is needed";
	if (is_partial(crl))
		return SP_ECONF;
	l->from = gnutls_x509_crl_get_this_update(crl);
	l->until = gnutls_x509_crl_get_next_update(crl);
	*err_r = "holds a list that does not say until when it is good";
	if (l->from == (time_t)-1 || l->until == (time_t)-1)
		return SP_ECONF;
	*err_r = "holds a list with an odd issuer";
	if (gnutls_x509_crl_get_raw_issuer_dn(crl, &l->issuer) < 0)
		return SP_ECONF;
	int rc = take_serials(r, crl, err_r);
	r->nlists++;
	return rc;
}

static int
take_lists(struct revoked *r, const gnutls_datum_t *pem, const char **err_r)
{
	gnutls_x509_crl_t *all = NULL;
	unsigned n = 0;
	int rc = SP_OK;
	*err_r = "holds no list of revoked certificates (CRL) in PEM";
	if (gnutls_x509_crl_list_import2(&all, &n, pem, GNUTLS_X509_FMT_PEM, 0) < 0 || n == 0)
		rc = SP_ECONF;
	if (rc == SP_OK && n > LISTS_MAX) {
		*err_r = "holds too many lists";
		rc = SP_ETOOBIG;
	}
	for (unsigned i = 0; i < n && rc == SP_OK; i++)
		rc = take_list(r, all[i], err_r);
	for (unsigned i = 0; i < n && all != NULL; i++)
		gnutls_x509_crl_deinit(all[i]);
	gnutls_free(all);
	if (rc == SP_OK && r->n > 0)
		qsort(r->serial, r->n, sizeof(*r->serial), serial_order);
	return rc;
}

int
revoked_new(struct sp_bytes ca, struct sp_bytes crl, struct revoked **r_r, const char **err_r)
{
	const gnutls_datum_t trusted = { (unsigned char *)(uintptr_t)ca.p, (unsigned)ca.len };
	const gnutls_datum_t lists = { (unsigned char *)(uintptr_t)crl.p, (unsigned)crl.len };
	struct revoked *r = mem_alloc(sizeof(*r));
	int rc = SP_ECONF;
	*r_r = NULL;
	*err_r = "goes with authorities that hold no certificate in PEM";
	if (gnutls_x509_crt_list_import2(&r->ca, &r->nca, &trusted, GNUTLS_X509_FMT_PEM, 0) >= 0)
		rc = take_lists(r, &lists, err_r);
	if (rc == SP_OK)
		*r_r = r;
	else
		revoked_free(&r);
	return rc;
}

void
revoked_free(struct revoked **at)
{
	struct revoked *r = *at;
	*at = NULL;
	if (r == NULL)
		return;
	for (unsigned i = 0; i < r->nca; i++)
		gnutls_x509_crt_deinit(r->ca[i]);
	for (unsigned i = 0; i < r->nlists; i++)
		gnutls_free(r->list[i].issuer.data);
	gnutls_free(r->ca);
	free(r->serial);
	free(r);
}

/* ---- asking ---- */

static bool
is_listed(const struct revoked *r, unsigned list, const uint8_t *serial, size_t n)
{
	struct serial s;
	return !serial_make(list, serial, n, &s) || (r->n > 0 && bsearch(&s, r->serial, r->n, sizeof(*r->serial), serial_order) != NULL);
}

static int
check_one(const struct revoked *r, gnutls_x509_crt_t crt, gnutls_x509_crt_t by, time_t now, const char **err_r)
{
	uint8_t key[KEY_ID];
	gnutls_datum_t issuer = { NULL, 0 };
	uint8_t serial[64];
	size_t n = sizeof(serial);
	bool known = false, fresh = false, listed = false;
	*err_r = "the certificate has an odd issuer or serial number";
	if (!key_of(by, key) || gnutls_x509_crt_get_raw_issuer_dn(crt, &issuer) < 0)
		return SP_EDENIED;
	bool odd = gnutls_x509_crt_get_serial(crt, serial, &n) < 0;
	for (unsigned i = 0; i < r->nlists && !odd; i++) {
		const struct list *l = &r->list[i];
		if (memcmp(l->key, key, KEY_ID) != 0 ||
		    !sp_bytes_eq((struct sp_bytes){ l->issuer.data, l->issuer.size }, (struct sp_bytes){ issuer.data, issuer.size }))
			continue;
		known = true;
		fresh = fresh || (l->from <= now && now < l->until);
		listed = listed || is_listed(r, i, serial, n);
	}
	gnutls_free(issuer.data);
	if (!odd)
		*err_r = listed ? "the certificate was revoked by its issuer"
		    : !known ? "no list of revoked certificates (crl=) of the certificate's issuer is there: add that issuer's"
			     : "the list of revoked certificates (crl=) is out of date: fetch a new one and reload";
	return odd || listed || !fresh ? SP_EDENIED : SP_OK;
}

/* Of several with that name the one whose key signed it. */
static gnutls_x509_crt_t
issuer_of(const struct revoked *r, gnutls_x509_crt_t crt)
{
	const unsigned others = GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND;
	gnutls_x509_crt_t named = NULL;
	for (unsigned i = 0; i < r->nca; i++) {
		unsigned status = 0;
		if (gnutls_x509_crt_check_issuer(crt, r->ca[i]) != 1)
			continue;
		if (gnutls_x509_crt_verify(crt, &r->ca[i], 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) == 0 && (status & others) == 0)
			return r->ca[i];
		named = named == NULL ? r->ca[i] : named;
	}
	return named;
}

int
revoked_check(const struct revoked *r, gnutls_x509_crt_t leaf, uint64_t now, const char **err_r)
{
	gnutls_x509_crt_t at = leaf;
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		gnutls_x509_crt_t issuer = issuer_of(r, at);
		if (issuer == NULL && at != leaf)
			return SP_OK; /* trusted for its own sake */
		*err_r = "who issued the certificate is not in ca=: with crl=, put authorities between it and the root there, too";
		if (issuer == NULL)
			return SP_EDENIED;
		if (gnutls_x509_crt_equals(issuer, at) != 0)
			return SP_OK;
		int rc = check_one(r, at, issuer, (time_t)now, err_r);
		if (rc != SP_OK)
			return rc;
		at = issuer;
	}
	*err_r = "the certificate's chain is too long";
	return SP_EDENIED;
}
