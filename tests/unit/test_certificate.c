/* SPDX-License-Identifier: Apache-2.0 */
/* Clients' certificates: who vouches for one, when, for what, and what it says; chains cut and crafted. */
#include <config.h>

#include <CUnit/CUnit.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <time.h>

#include "../../core/keeper/certificate.h"
#include "cunit_main.h"

struct party {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	struct buffer der;
};

struct wish { /* what a certificate shall be */
	const char *dn;
	const struct party *by; /* NULL: itself */
	bool ca;
	const char *purpose;    /* NULL: a client's; "": none said */
	const char *san[4];     /* kind letter (e, d, u), then the name */
	long from, until;       /* seconds from now; both 0: an hour around now */
	const char *cn;         /* set as it is, so many bytes */
	size_t cn_len;
	unsigned ous;
};

static void
make(struct party *p, const struct wish *w)
{
	static uint8_t serial;
	const char *err;
	time_t now = time(NULL);
	bool ok = gnutls_x509_privkey_init(&p->key) == 0 && gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0 &&
	    gnutls_x509_crt_init(&p->crt) == 0 && gnutls_x509_crt_set_version(p->crt, 3) == 0 && gnutls_x509_crt_set_key(p->crt, p->key) == 0 &&
	    gnutls_x509_crt_set_serial(p->crt, (uint8_t[]){ ++serial }, 1) == 0;
	ok = ok && gnutls_x509_crt_set_activation_time(p->crt, now + (w->until == 0 ? -3600 : w->from)) == 0;
	ok = ok && gnutls_x509_crt_set_expiration_time(p->crt, now + (w->until == 0 ? 3600 : w->until)) == 0;
	if (w->dn != NULL)
		ok = ok && gnutls_x509_crt_set_dn(p->crt, w->dn, &err) == 0;
	if (w->cn != NULL)
		ok = ok && gnutls_x509_crt_set_dn_by_oid(p->crt, GNUTLS_OID_X520_COMMON_NAME, 0, w->cn, (unsigned)w->cn_len) == 0;
	for (unsigned i = 0; i < w->ous; i++)
		ok = ok && gnutls_x509_crt_set_dn_by_oid(p->crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, 0, "x", 1) == 0;
	ok = ok && gnutls_x509_crt_set_basic_constraints(p->crt, w->ca, -1) == 0;
	if (w->ca)
		ok = ok && gnutls_x509_crt_set_key_usage(p->crt, GNUTLS_KEY_KEY_CERT_SIGN) == 0;
	else if (w->purpose == NULL || w->purpose[0] != '\0')
		ok = ok && gnutls_x509_crt_set_key_purpose_oid(p->crt, w->purpose == NULL ? GNUTLS_KP_TLS_WWW_CLIENT : w->purpose, 0) == 0;
	for (size_t i = 0; i < 4 && w->san[i] != NULL; i++) {
		gnutls_x509_subject_alt_name_t kind = w->san[i][0] == 'e' ? GNUTLS_SAN_RFC822NAME : w->san[i][0] == 'd' ? GNUTLS_SAN_DNSNAME : GNUTLS_SAN_URI;
		ok = ok && gnutls_x509_crt_set_subject_alt_name(p->crt, kind, w->san[i] + 1, (unsigned)strlen(w->san[i] + 1), GNUTLS_FSAN_APPEND) == 0;
	}
	ok = ok && gnutls_x509_crt_sign2(p->crt, w->by == NULL ? p->crt : w->by->crt, w->by == NULL ? p->key : w->by->key, GNUTLS_DIG_SHA256, 0) == 0;
	gnutls_datum_t der = { NULL, 0 };
	ok = ok && gnutls_x509_crt_export2(p->crt, GNUTLS_X509_FMT_DER, &der) == 0;
	CU_ASSERT_FATAL(ok && buffer_put(&p->der, (struct sp_bytes){ der.data, der.size }) == SP_OK);
	gnutls_free(der.data);
}

static void
drop(struct party *p)
{
	gnutls_x509_crt_deinit(p->crt);
	gnutls_x509_privkey_deinit(p->key);
	buffer_free(&p->der);
}

static struct authorities *
trusting(const struct party *ca)
{
	gnutls_datum_t pem = { NULL, 0 };
	struct authorities *a = NULL;
	const char *err = "";
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(ca->crt, GNUTLS_X509_FMT_PEM, &pem), 0);
	CU_ASSERT_EQUAL_FATAL(authorities_new((struct sp_bytes){ pem.data, pem.size }, &a, &err), SP_OK);
	gnutls_free(pem.data);
	return a;
}

static struct buffer chain; /* as sp_client_certificate() gives it */

static struct sp_bytes
chain_of(const struct party *const *p, size_t n)
{
	chain.len = 0;
	for (size_t i = 0; i < n; i++) {
		struct sp_bytes der = buffer_bytes(&p[i]->der);
		const uint8_t len[] = { (uint8_t)(der.len >> 24), (uint8_t)(der.len >> 16), (uint8_t)(der.len >> 8), (uint8_t)der.len };
		CU_ASSERT_FATAL(buffer_put(&chain, (struct sp_bytes){ len, 4 }) == SP_OK && buffer_put(&chain, der) == SP_OK);
	}
	return buffer_bytes(&chain);
}
#define CHAIN(...) chain_of((const struct party *const[]){ __VA_ARGS__ }, sizeof((const struct party *const[]){ __VA_ARGS__ }) / sizeof(void *))

/* What it says, as JSON, the caller's; NULL: refused, and *why says so. */
static char *
said(const struct authorities *a, struct sp_bytes in, const char **why)
{
	struct certificate c;
	int rc = certificate_check(a, in, &c, why);
	CU_ASSERT_EQUAL(rc == SP_OK, c.claims != NULL);
	CU_ASSERT(rc == SP_OK || rc == SP_EDENIED);
	char *text = rc == SP_OK ? json_dumps(c.claims, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(c.claims);
	return text;
}

static void
refused(const struct authorities *a, struct sp_bytes in, const char *part)
{
	const char *why = "";
	char *text = said(a, in, &why);
	CU_ASSERT_PTR_NULL(text);
	if (text != NULL || strstr(why, part) == NULL)
		printf("wanted \"%s\": %s %s\n", part, why, text == NULL ? "" : text);
	CU_ASSERT(strstr(why, part) != NULL);
	free(text);
}

static void
test_says(void)
{
	struct party ca = { .key = NULL }, ann = { .key = NULL }, bare = { .key = NULL };
	const char *why = "";
	struct certificate c;
	uint8_t id[DIGEST_LEN];
	make(&ca, &(struct wish){ .dn = "CN=clients", .ca = true });
	make(&ann, &(struct wish){ .dn = "CN=ann,OU=dev,OU=ops,O=Example", .by = &ca, .san = { "eann@example.com", "dhost.example.com", "dother.example.com", "uspiffe://x/ann" } });
	make(&bare, &(struct wish){ .cn = "b", .cn_len = 1, .by = &ca });
	struct authorities *a = trusting(&ca);
	char *text = said(a, CHAIN(&ann), &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	json_t *j = json_loads(text, 0, NULL), *ou = json_object_get(j, "ou");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "cn")), "ann");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "o")), "Example");
	CU_ASSERT_EQUAL(json_array_size(ou), 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "email")), "ann@example.com");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(j, "dns"), 1)), "other.example.com");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "uri")), "spiffe://x/ann");
	CU_ASSERT(strstr(json_string_value(json_object_get(j, "sub")), "CN=ann") != NULL);
	json_decref(j);
	free(text);
	text = said(a, CHAIN(&bare), &why);
	CU_ASSERT_STRING_EQUAL(text, "{\"cn\":\"b\",\"sub\":\"CN=b\"}");
	free(text);
	/* when, and which: the whole certificate's hash */
	CU_ASSERT_EQUAL_FATAL(certificate_check(a, CHAIN(&ann, &ca), &c, &why), SP_OK);
	digest_sha256(buffer_bytes(&ann.der), id);
	CU_ASSERT(memcmp(id, c.id, DIGEST_LEN) == 0);
	CU_ASSERT_EQUAL(c.issued, (uint64_t)gnutls_x509_crt_get_activation_time(ann.crt) * 1000000);
	CU_ASSERT_EQUAL(c.expires, (uint64_t)gnutls_x509_crt_get_expiration_time(ann.crt) * 1000000);
	json_decref(c.claims);
	authorities_free(&a);
	CU_ASSERT_PTR_NULL(a);
	drop(&ca);
	drop(&ann);
	drop(&bare);
}

static void
test_refused(void)
{
	static const struct {
		struct wish wish;
		const char *why;
	} row[] = {
		{ { .dn = "CN=ann", .from = -7200, .until = -3600 }, "out of date" },
		{ { .dn = "CN=ann", .from = 3600, .until = 7200 }, "out of date" },
		{ { .dn = "CN=ann", .purpose = GNUTLS_KP_TLS_WWW_SERVER }, "another purpose" },
		{ { .dn = "CN=ann", .purpose = GNUTLS_KP_EMAIL_PROTECTION }, "another purpose" },
		{ { .cn = "ann\0root", .cn_len = 8 }, "odd name" },
		{ { .dn = "CN=ann", .ous = 70 }, "odd name" },
	};
	struct party ca = { .key = NULL }, other = { .key = NULL }, p = { .key = NULL };
	make(&ca, &(struct wish){ .dn = "CN=clients", .ca = true });
	make(&other, &(struct wish){ .dn = "CN=clients", .ca = true }); /* of the same name */
	struct authorities *a = trusting(&ca);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct wish w = row[i].wish;
		w.by = &ca;
		make(&p, &w);
		refused(a, CHAIN(&p), row[i].why);
		drop(&p);
		p = (struct party){ .key = NULL };
	}
	make(&p, &(struct wish){ .dn = "CN=ann", .by = &other });
	refused(a, CHAIN(&p), "nobody whom an identity trusts");
	refused(a, CHAIN(&p, &other), "nobody whom an identity trusts");
	refused(a, CHAIN(&p, &ca), "nobody whom an identity trusts");
	drop(&p);
	p = (struct party){ .key = NULL };
	make(&p, &(struct wish){ .dn = "CN=ann" }); /* by itself */
	refused(a, CHAIN(&p), "nobody whom an identity trusts");
	drop(&p);
	authorities_free(&a);
	drop(&ca);
	drop(&other);
}

static void
test_chains(void)
{
	struct party ca = { .key = NULL }, middle = { .key = NULL }, person = { .key = NULL }, ann = { .key = NULL }, forged = { .key = NULL };
	const char *why = "";
	make(&ca, &(struct wish){ .dn = "CN=root", .ca = true });
	make(&middle, &(struct wish){ .dn = "CN=middle", .by = &ca, .ca = true });
	make(&person, &(struct wish){ .dn = "CN=person", .by = &ca });
	make(&ann, &(struct wish){ .dn = "CN=ann", .by = &middle });
	make(&forged, &(struct wish){ .dn = "CN=root", .by = &person }); /* a person vouches for nobody */
	struct authorities *a = trusting(&ca);
	char *text = said(a, CHAIN(&ann, &middle), &why);
	CU_ASSERT_PTR_NOT_NULL(text);
	free(text);
	refused(a, CHAIN(&ann), "nobody whom an identity trusts");
	refused(a, CHAIN(&forged, &person), "nobody whom an identity trusts");
	/* who comes first is who it is: nobody becomes another by what is sent along */
	text = said(a, CHAIN(&person, &ann), &why);
	CU_ASSERT(text == NULL || strstr(text, "\"cn\":\"person\"") != NULL);
	free(text);
	const struct party *many[17];
	for (size_t i = 0; i < 17; i++)
		many[i] = i == 0 ? &ann : &middle;
	refused(a, chain_of(many, 17), "malformed");
	authorities_free(&a);
	drop(&ca);
	drop(&middle);
	drop(&person);
	drop(&ann);
	drop(&forged);
}

static void
test_malformed(void)
{
	struct party ca = { .key = NULL }, ann = { .key = NULL };
	const char *err = "";
	struct authorities *a = NULL;
	static const char *const none[] = { "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		CU_ASSERT_EQUAL(authorities_new(sp_str(none[i]), &a, &err), SP_ECONF);
		CU_ASSERT_PTR_NULL(a);
		CU_ASSERT(strstr(err, "no certificate") != NULL);
	}
	make(&ca, &(struct wish){ .dn = "CN=clients", .ca = true });
	make(&ann, &(struct wish){ .dn = "CN=ann", .by = &ca });
	a = trusting(&ca);
	struct sp_bytes whole = CHAIN(&ann);
	for (size_t n = 0; n < whole.len; n++)
		refused(a, (struct sp_bytes){ whole.p, n }, "malformed");
	/* a bit anywhere: malformed, or not what was signed */
	for (size_t i = 4; i < whole.len; i++) {
		((uint8_t *)(uintptr_t)whole.p)[i] ^= 1;
		char *text = said(a, whole, &err);
		CU_ASSERT_PTR_NULL(text);
		free(text);
		((uint8_t *)(uintptr_t)whole.p)[i] ^= 1;
	}
	authorities_free(&a);
	drop(&ca);
	drop(&ann);
	buffer_free(&chain);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "what it says", test_says },
		{ "who is refused", test_refused },
		{ "chains", test_chains },
		{ "malformed", test_malformed },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("certificate", tests);
}
