/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity provider for tests: a key and a certificate made at the start, metadata, and messages
 * that are signed as they are asked for.  Texts are written in canonical form, so that what is hashed
 * is what stands there.
 */
#ifndef SAML_WORLD_H
#define SAML_WORLD_H

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include "core/base/memory.h"
#include "core/helper/saml.h"

#define IDP "https://idp.example.com/saml"
#define ACS "https://gate.example.com:8443/saml/acs/okta"
#define SLO "https://gate.example.com:8443/saml/logout/okta"
#define ENTITY "https://gate.example.com:8443/saml/metadata/okta"
#define SSO "https://idp.example.com/sso"
#define NOW "2026-11-24T12:00:00Z"
#define RSA_SHA256 "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
#define SHA256 "http://www.w3.org/2001/04/xmlenc#sha256"
#define EXC "http://www.w3.org/2001/10/xml-exc-c14n#"
#define ENV SAML_NS_DSIG "enveloped-signature"
#define BEARER "urn:oasis:names:tc:SAML:2.0:cm:bearer"
#define SUCCESS "urn:oasis:names:tc:SAML:2.0:status:Success"

struct signer {
	gnutls_privkey_t key;
	char *cert; /* base64 of the DER */
};

static struct arena *texts; /* of all that is made; freed by the test */

static SP_PRINTF(1, 2) char *
text(const char *fmt, ...)
{
	char *out = NULL;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&out, fmt, args);
	va_end(args);
	char *kept = n < 0 ? NULL : arena_string(texts, sp_str(out));
	free(out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
	return kept;
}

static char *
base64(struct sp_bytes in)
{
	const gnutls_datum_t d = { (unsigned char *)(uintptr_t)in.p, (unsigned)in.len };
	gnutls_datum_t out = { NULL, 0 };
	CU_ASSERT_FATAL(gnutls_base64_encode2(&d, &out) >= 0);
	char *kept = arena_string(texts, (struct sp_bytes){ out.data, out.size });
	gnutls_free(out.data);
	return kept;
}

static struct signer
signer_new(gnutls_pk_algorithm_t kind, unsigned bits)
{
	struct signer s = { NULL, NULL };
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t der = { NULL, 0 };
	const time_t now = time(NULL);
	CU_ASSERT_FATAL(gnutls_x509_privkey_init(&key) >= 0 && gnutls_x509_privkey_generate(key, kind, bits, 0) >= 0);
	CU_ASSERT_FATAL(gnutls_x509_crt_init(&crt) >= 0 && gnutls_x509_crt_set_key(crt, key) >= 0 && gnutls_x509_crt_set_version(crt, 3) >= 0 &&
	    gnutls_x509_crt_set_serial(crt, "\1", 1) >= 0 && gnutls_x509_crt_set_activation_time(crt, now) >= 0 &&
	    gnutls_x509_crt_set_expiration_time(crt, now + 3600) >= 0 && gnutls_x509_crt_set_dn(crt, "CN=idp", NULL) >= 0 &&
	    gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) >= 0);
	CU_ASSERT_FATAL(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der) >= 0);
	s.cert = base64((struct sp_bytes){ der.data, der.size });
	gnutls_free(der.data);
	CU_ASSERT_FATAL(gnutls_privkey_init(&s.key) >= 0 && gnutls_privkey_import_x509(s.key, key, GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE) >= 0);
	gnutls_x509_crt_deinit(crt);
	return s;
}

static char *
metadata_of(const char *entity, const char *cert)
{
	return text("<?xml version=\"1.0\"?>\n<!-- of the provider -->\n<md:EntityDescriptor xmlns:md=\"" SAML_NS_METADATA "\" entityID=\"%s\">"
	    "<md:IDPSSODescriptor protocolSupportEnumeration=\"" SAML_NS_PROTOCOL "\"><md:KeyDescriptor use=\"signing\">"
	    "<ds:KeyInfo xmlns:ds=\"" SAML_NS_DSIG "\"><ds:X509Data><ds:X509Certificate>\n%s\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
	    "</md:KeyDescriptor><md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"" SSO "\"/>"
	    "</md:IDPSSODescriptor></md:EntityDescriptor>\n", entity, cert);
}

/* ---- signatures ---- */

struct signing {
	const struct signer *by;
	const char *algorithm, *digest, *transforms, *uri, *key_info; /* NULL: as usual */
	gnutls_sign_algorithm_t sign;                                 /* 0: RSA with SHA-256 */
	gnutls_digest_algorithm_t hash;                               /* 0: SHA-256 */
};

static char *
sign_raw(const struct signing *s, const char *what)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)what, (unsigned)strlen(what) }, sig = { NULL, 0 };
	CU_ASSERT_FATAL(gnutls_privkey_sign_data2(s->by->key, s->sign == 0 ? GNUTLS_SIGN_RSA_SHA256 : s->sign, 0, &in, &sig) >= 0);
	char *out = base64((struct sp_bytes){ sig.data, sig.size });
	gnutls_free(sig.data);
	return out;
}

/* A Signature for the canonical text of the element with that id. */
static char *
signature_of(const struct signing *s, const char *canonical, const char *id)
{
	uint8_t hash[64];
	gnutls_digest_algorithm_t by = s->hash == 0 ? GNUTLS_DIG_SHA256 : s->hash;
	CU_ASSERT_FATAL(gnutls_hash_fast(by, canonical, strlen(canonical), hash) >= 0);
	const char *transforms = s->transforms != NULL ? s->transforms
						       : "<ds:Transform Algorithm=\"" ENV "\"></ds:Transform><ds:Transform Algorithm=\"" EXC "\"></ds:Transform>";
	char *inside = text("<ds:CanonicalizationMethod Algorithm=\"" EXC "\"></ds:CanonicalizationMethod>"
	    "<ds:SignatureMethod Algorithm=\"%s\"></ds:SignatureMethod><ds:Reference URI=\"%s\"><ds:Transforms>%s</ds:Transforms>"
	    "<ds:DigestMethod Algorithm=\"%s\"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>",
	    s->algorithm == NULL ? RSA_SHA256 : s->algorithm, s->uri != NULL ? s->uri : text("#%s", id), transforms,
	    s->digest == NULL ? SHA256 : s->digest, base64((struct sp_bytes){ hash, gnutls_hash_get_len(by) }));
	char *value = sign_raw(s, text("<ds:SignedInfo xmlns:ds=\"" SAML_NS_DSIG "\">%s", inside));
	return text("<ds:Signature xmlns:ds=\"" SAML_NS_DSIG "\"><ds:SignedInfo>%s<ds:SignatureValue>%s</ds:SignatureValue>%s</ds:Signature>", inside,
	    value, s->key_info == NULL ? "" : s->key_info);
}

/* `element` with its signature behind its Issuer. */
static char *
signed_by(const struct signing *s, const char *element, const char *id)
{
	const char *at = strstr(element, "</saml:Issuer>");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at += strlen("</saml:Issuer>");
	return text("%.*s%s%s", (int)(at - element), element, signature_of(s, element, id), at);
}

/* ---- messages ---- */

struct made { /* NULL: as it should be */
	const char *id, *issuer, *name_id, *recipient, *in_response_to, *confirmed_until, *audience, *not_before, *until, *session_end, *attributes,
	    *conditions, *statement, *confirmation, *version;
	const char *response_id, *destination, *answers, *status, *response_issuer, *extra;
};
#define OR(value, usual) ((value) == NULL ? (usual) : (value))

static char *
assertion_of(const struct made *m)
{
	const char *answers = m->in_response_to == NULL ? " InResponseTo=\"_request\"" : m->in_response_to;
	const char *confirmation = m->confirmation != NULL ? m->confirmation
	    : text("<saml:SubjectConfirmation Method=\"" BEARER "\"><saml:SubjectConfirmationData%s NotOnOrAfter=\"%s\" Recipient=\"%s\">"
		   "</saml:SubjectConfirmationData></saml:SubjectConfirmation>", answers, OR(m->confirmed_until, "2026-11-24T12:05:00Z"),
		OR(m->recipient, ACS));
	const char *conditions = m->conditions != NULL ? m->conditions
	    : text("<saml:Conditions NotBefore=\"%s\" NotOnOrAfter=\"%s\"><saml:AudienceRestriction><saml:Audience>%s</saml:Audience>"
		   "</saml:AudienceRestriction></saml:Conditions>", OR(m->not_before, "2026-11-24T11:59:00Z"), OR(m->until, "2026-11-24T12:05:00Z"),
		OR(m->audience, ENTITY));
	const char *statement = m->statement != NULL ? m->statement
	    : text("<saml:AuthnStatement AuthnInstant=\"2026-11-24T11:59:58.250Z\" SessionIndex=\"_s1\" SessionNotOnOrAfter=\"%s\"><saml:AuthnContext>"
		   "<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>"
		   "</saml:AuthnContext></saml:AuthnStatement>", OR(m->session_end, "2026-11-24T20:00:00Z"));
	return text("<saml:Assertion xmlns:saml=\"" SAML_NS "\" ID=\"%s\" IssueInstant=\"2026-11-24T12:00:00Z\" Version=\"%s\">"
	    "<saml:Issuer>%s</saml:Issuer><saml:Subject>%s%s</saml:Subject>%s%s<saml:AttributeStatement>%s</saml:AttributeStatement>"
	    "</saml:Assertion>", OR(m->id, "_assertion"), OR(m->version, "2.0"), OR(m->issuer, IDP),
	    OR(m->name_id, "<saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">ann</saml:NameID>"), confirmation,
	    conditions, statement,
	    OR(m->attributes, "<saml:Attribute Name=\"mail\"><saml:AttributeValue>ann@example.com</saml:AttributeValue></saml:Attribute>"
			      "<saml:Attribute Name=\"groups\"><saml:AttributeValue>dba</saml:AttributeValue>"
			      "<saml:AttributeValue>leads</saml:AttributeValue></saml:Attribute>"));
}

static char *
response_of(const struct made *m, const char *assertion)
{
	return text("<samlp:Response xmlns:samlp=\"" SAML_NS_PROTOCOL "\" Destination=\"%s\" ID=\"%s\"%s IssueInstant=\"2026-11-24T12:00:00Z\""
	    " Version=\"2.0\"><saml:Issuer xmlns:saml=\"" SAML_NS "\">%s</saml:Issuer>%s<samlp:Status><samlp:StatusCode Value=\"%s\">"
	    "</samlp:StatusCode></samlp:Status>%s</samlp:Response>", OR(m->destination, ACS), OR(m->response_id, "_response"),
	    OR(m->answers, " InResponseTo=\"_request\""), OR(m->response_issuer, IDP), OR(m->extra, ""), OR(m->status, SUCCESS), assertion);
}

#endif
