/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity provider: its entityID, its page for sign-ins, its keys; what we send to it; and lasso,
 * which has read the same metadata.
 *
 * What counts of a certificate is its key: that it stands in the metadata makes it good, not its dates
 * and not who signed it.
 */
#include <config.h>

#include "saml.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <lasso/lasso.h>
#include <lasso/xml/saml-2.0/samlp2_authn_request.h>
#include <libxml/parser.h>
#include <libxml/xmlIO.h>
#include <stdlib.h>

#include "../base/clock.h"

#define REDIRECT "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
#define POST "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

enum { KEYS = 8, BITS = 2048, CERTIFICATE = 64 << 10 };

struct saml_provider {
	char *entity, *location; /* location: of HTTP-Redirect; NULL: it has none */
	char *metadata;
	gnutls_pubkey_t key[KEYS];
	size_t nkeys;
};

/* ---- the libraries ---- */

static xmlParserInputPtr
no_entity(const char *url, const char *id, xmlParserCtxtPtr context)
{
	(void)url, (void)id, (void)context;
	return NULL;
}

static void
no_words(void *context, const char *fmt, ...)
{
	(void)context, (void)fmt;
}

static void
no_log(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer owner)
{
	(void)domain, (void)level, (void)text, (void)owner;
}

int
saml_start(void)
{
	xmlInitParser();
	xmlSetExternalEntityLoader(no_entity);
	xmlSetGenericErrorFunc(NULL, no_words);
	(void)g_log_set_default_handler(no_log, NULL); /* lasso would quote what it could not read */
	return lasso_init() == 0 ? SP_OK : SP_EINTERNAL;
}

void
saml_stop(void)
{
	(void)lasso_shutdown();
}

/* ---- metadata ---- */

static int
add_certificate(struct saml_call *c, struct saml_provider *p, const char *text)
{
	struct buffer der = { .max = CERTIFICATE };
	gnutls_x509_crt_t certificate = NULL;
	gnutls_pubkey_t key = NULL;
	unsigned bits = 0;
	int rc = saml_unbase64(c, sp_str(text), true, &der);
	const gnutls_datum_t raw = { (unsigned char *)(uintptr_t)buffer_bytes(&der).p, (unsigned)der.len };
	if (rc == SP_OK && (gnutls_x509_crt_init(&certificate) < 0 || gnutls_pubkey_init(&key) < 0))
		rc = SP_ENOMEM;
	if (rc == SP_OK && (gnutls_x509_crt_import(certificate, &raw, GNUTLS_X509_FMT_DER) < 0 || gnutls_pubkey_import_x509(key, certificate, 0) < 0))
		rc = saml_refuse(c, "the metadata has a certificate that can't be read");
	if (rc == SP_OK && (gnutls_pubkey_get_pk_algorithm(key, &bits) != GNUTLS_PK_RSA || bits < BITS))
		rc = saml_refuse(c, "the metadata has a key that is not RSA, or of %u bits; it takes RSA of %d bits or more", bits, BITS);
	if (rc == SP_OK && p->nkeys == KEYS)
		rc = saml_refuse(c, "the metadata has more than %d keys", KEYS);
	if (rc == SP_OK) {
		p->key[p->nkeys++] = key;
		key = NULL;
	}
	if (key != NULL)
		gnutls_pubkey_deinit(key);
	if (certificate != NULL)
		gnutls_x509_crt_deinit(certificate);
	buffer_free(&der);
	return rc;
}

static int
take_keys(struct saml_call *c, struct saml_provider *p, const xmlNode *role)
{
	int rc = SP_OK;
	for (const xmlNode *k = NULL; rc == SP_OK && (k = saml_child(role, k, SAML_NS_METADATA, "KeyDescriptor")) != NULL;) {
		const char *use = saml_attribute(c, k, "use");
		const xmlNode *info = saml_only(k, SAML_NS_DSIG, "KeyInfo");
		if (info == NULL || (use != NULL && strcmp(use, "signing") != 0))
			continue;
		for (const xmlNode *x = NULL; rc == SP_OK && (x = saml_child(info, x, SAML_NS_DSIG, "X509Data")) != NULL;) {
			const char *text = saml_text(c, saml_child(x, NULL, SAML_NS_DSIG, "X509Certificate"));
			rc = text == NULL ? saml_refuse(c, "the metadata has a key without a certificate") : add_certificate(c, p, text);
		}
	}
	return rc == SP_OK && p->nkeys == 0 ? saml_refuse(c, "the metadata has no certificate for signing") : rc;
}

static char *
redirect_location(struct saml_call *c, const xmlNode *role)
{
	for (const xmlNode *s = NULL; (s = saml_child(role, s, SAML_NS_METADATA, "SingleSignOnService")) != NULL;) {
		const char *binding = saml_attribute(c, s, "Binding"), *at = saml_attribute(c, s, "Location");
		if (binding != NULL && at != NULL && strcmp(binding, REDIRECT) == 0)
			return mem_string(sp_str(at));
	}
	return NULL;
}

static int
take_metadata(struct saml_call *c, struct saml_provider *p, const xmlNode *root)
{
	const char *entity = saml_attribute(c, root, "entityID");
	const xmlNode *role = saml_only(root, SAML_NS_METADATA, "IDPSSODescriptor");
	if (!saml_is(root, SAML_NS_METADATA, "EntityDescriptor") || entity == NULL || entity[0] == '\0')
		return saml_refuse(c, "the metadata is no EntityDescriptor with an entityID: take that of the one identity provider");
	if (role == NULL)
		return saml_refuse(c, "the metadata has not one IDPSSODescriptor: it is not an identity provider's");
	p->entity = mem_string(sp_str(entity));
	p->location = redirect_location(c, role);
	return take_keys(c, p, role);
}

int
saml_provider_new(struct saml_call *c, struct sp_bytes metadata, struct saml_provider **p_r)
{
	struct saml_provider *p = mem_alloc(sizeof(*p));
	xmlDocPtr doc = NULL;
	*p_r = NULL;
	/* Comments are usual here, and harmless: it is the operator's file.  A document type is not. */
	if (metadata.len > 0 && metadata.len <= 1 << 20 && memmem(metadata.p, metadata.len, "<!DOCTYPE", 9) == NULL)
		doc = xmlReadMemory((const char *)metadata.p, (int)metadata.len, NULL, NULL,
		    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
	xmlNodePtr root = doc == NULL ? NULL : xmlDocGetRootElement(doc);
	int rc = root == NULL ? saml_refuse(c, "the metadata is no XML") : take_metadata(c, p, root);
	if (doc != NULL)
		xmlFreeDoc(doc);
	p->metadata = mem_string(metadata);
	if (rc != SP_OK)
		saml_provider_free(&p);
	*p_r = p;
	return rc;
}

void
saml_provider_free(struct saml_provider **p)
{
	if (*p == NULL)
		return;
	for (size_t i = 0; i < (*p)->nkeys; i++)
		gnutls_pubkey_deinit((*p)->key[i]);
	free((*p)->entity);
	free((*p)->location);
	free((*p)->metadata);
	free(*p);
	*p = NULL;
}

const char *
saml_provider_entity(const struct saml_provider *p)
{
	return p->entity;
}

/* ---- signatures ---- */

static const struct {
	const char *uri;
	gnutls_sign_algorithm_t by;
} algorithms[] = {
	{ "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", GNUTLS_SIGN_RSA_SHA256 },
	{ "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", GNUTLS_SIGN_RSA_SHA384 },
	{ "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", GNUTLS_SIGN_RSA_SHA512 },
};

int
saml_provider_verify(struct saml_call *c, const struct saml_provider *p, const char *algorithm, struct sp_bytes in, struct sp_bytes signature)
{
	const gnutls_datum_t sig = { (unsigned char *)(uintptr_t)signature.p, (unsigned)signature.len };
	const gnutls_datum_t data = { (unsigned char *)(uintptr_t)in.p, (unsigned)in.len };
	size_t i = 0, n = sizeof(algorithms) / sizeof(*algorithms);
	while (i < n && strcmp(algorithms[i].uri, algorithm) != 0)
		i++;
	if (i == n)
		return saml_refuse(c, "its signature is by %.100s; the provider must sign by RSA with SHA-256 or longer", algorithm);
	for (size_t k = 0; k < p->nkeys; k++)
		if (gnutls_pubkey_verify_data2(p->key[k], algorithms[i].by, 0, &data, &sig) >= 0)
			return SP_OK;
	return saml_refuse(c, "its signature is not by a key of the metadata: is the metadata of \"%.200s\" the present one?", p->entity);
}

/* ---- what we say of ourselves ---- */

static int
put_escaped(struct buffer *out, const char *text)
{
	xmlChar *escaped = xmlEncodeSpecialChars(NULL, (const xmlChar *)text);
	int rc = escaped == NULL ? SP_ENOMEM : buffer_put(out, sp_str((const char *)escaped));
	xmlFree(escaped);
	return rc;
}

/* The base64 inside a PEM's first certificate. */
static int
put_certificate(struct saml_call *c, struct buffer *out, struct sp_bytes pem)
{
	gnutls_x509_crt_t certificate = NULL;
	gnutls_datum_t der = { NULL, 0 }, text = { NULL, 0 };
	const gnutls_datum_t in = { (unsigned char *)(uintptr_t)pem.p, (unsigned)pem.len };
	int rc = gnutls_x509_crt_init(&certificate) < 0 ? SP_ENOMEM : SP_OK;
	if (rc == SP_OK && (gnutls_x509_crt_import(certificate, &in, GNUTLS_X509_FMT_PEM) < 0 ||
	    gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der) < 0 || gnutls_base64_encode2(&der, &text) < 0))
		rc = saml_refuse(c, "sp_cert is no certificate in PEM");
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT("<md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"" SAML_NS_DSIG "\"><ds:X509Data><ds:X509Certificate>"));
	if (rc == SP_OK)
		rc = buffer_put(out, (struct sp_bytes){ text.data, text.size });
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT("</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"));
	gnutls_free(der.data);
	gnutls_free(text.data);
	if (certificate != NULL)
		gnutls_x509_crt_deinit(certificate);
	return rc;
}

static int
put_metadata(struct saml_call *c, const struct saml_self *self, struct buffer *out)
{
	int rc = buffer_put(out, SP_LIT("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor xmlns:md=\"" SAML_NS_METADATA "\" entityID=\""));
	if (rc == SP_OK)
		rc = put_escaped(out, self->entity);
	if (rc == SP_OK)
		rc = buffer_printf(out, "\"><md:SPSSODescriptor AuthnRequestsSigned=\"%s\" WantAssertionsSigned=\"true\" protocolSupportEnumeration=\""
		    SAML_NS_PROTOCOL "\">", self->cert.len > 0 ? "true" : "false");
	if (rc == SP_OK && self->cert.len > 0)
		rc = put_certificate(c, out, self->cert);
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT("<md:SingleLogoutService Binding=\"" POST "\" Location=\""));
	if (rc == SP_OK)
		rc = put_escaped(out, self->logout);
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT("\"/><md:AssertionConsumerService index=\"0\" isDefault=\"true\" Binding=\"" POST "\" Location=\""));
	if (rc == SP_OK)
		rc = put_escaped(out, self->acs);
	return rc == SP_OK ? buffer_put(out, SP_LIT("\"/></md:SPSSODescriptor></md:EntityDescriptor>\n")) : rc;
}

static const char *
metadata_text(struct saml_call *c, const struct saml_self *self)
{
	struct buffer b = { .max = 1 << 20 };
	const char *text = put_metadata(c, self, &b) == SP_OK ? arena_string(c->arena, buffer_bytes(&b)) : NULL;
	buffer_free(&b);
	return text;
}

int
saml_metadata(struct saml_call *c, const struct saml_self *self, json_t **out_r)
{
	const char *text = metadata_text(c, self);
	*out_r = text == NULL ? NULL : json_pack("{s:s}", "xml", text);
	return *out_r != NULL ? SP_OK : c->why != NULL ? SP_EDENIED : SP_ENOMEM;
}

/* ---- lasso ---- */

/* A login between us and the provider; its server is freed with saml_login_free(). */
static int
login_new(struct saml_call *c, const struct saml_provider *p, const struct saml_self *self, LassoServer **server_r, LassoLogin **login_r)
{
	const char *ours = metadata_text(c, self);
	*server_r = ours == NULL ? NULL : lasso_server_new_from_buffers(ours, NULL, NULL, NULL);
	*login_r = NULL;
	if (*server_r == NULL)
		return saml_refuse(c, "lasso can't read the gateway's own metadata");
	if (lasso_server_add_provider_from_buffer(*server_r, LASSO_PROVIDER_ROLE_IDP, p->metadata, NULL, NULL) != 0)
		return saml_refuse(c, "lasso can't read the metadata of the identity provider");
	*login_r = lasso_login_new(*server_r);
	return *login_r == NULL ? SP_ENOMEM : SP_OK;
}

static void
login_free(LassoServer *server, LassoLogin *login)
{
	if (login != NULL)
		lasso_login_destroy(login);
	if (server != NULL)
		lasso_server_destroy(server);
}

int
saml_lasso_accepts(struct saml_call *c, const struct saml_provider *p, const struct saml_self *self, const char *response)
{
	LassoServer *server;
	LassoLogin *login;
	int rc = login_new(c, p, self, &server, &login);
	if (rc == SP_OK) {
		int said = lasso_login_process_authn_response_msg(login, (gchar *)(uintptr_t)response);
		if (said != 0)
			rc = saml_refuse(c, "lasso refuses it: %s", lasso_strerror(said));
	}
	login_free(server, login);
	return rc;
}

/* lasso's number, 0: done. */
static int
fill_request(LassoLogin *login, const struct saml_provider *p, const struct saml_self *self, const char *id, const char *relay)
{
	char instant[32], text[32];
	lasso_profile_set_signature_hint(LASSO_PROFILE(login), LASSO_PROFILE_SIGNATURE_HINT_FORBID); /* before: it looks for a key at once */
	int said = lasso_login_init_authn_request(login, p->entity, LASSO_HTTP_METHOD_REDIRECT);
	if (said != 0)
		return said;
	LassoSamlp2RequestAbstract *request = LASSO_SAMLP2_REQUEST_ABSTRACT(LASSO_PROFILE(login)->request);
	LassoSamlp2AuthnRequest *authn = LASSO_SAMLP2_AUTHN_REQUEST(LASSO_PROFILE(login)->request);
	(void)clock_format(clock_wall_us(), text);
	(void)g_snprintf(instant, sizeof(instant), "%.19sZ", text);
	g_free(request->ID);
	request->ID = g_strdup(id);
	g_free(request->IssueInstant);
	request->IssueInstant = g_strdup(instant);
	g_free(authn->AssertionConsumerServiceURL);
	authn->AssertionConsumerServiceURL = g_strdup(self->acs);
	g_free(authn->ProtocolBinding);
	authn->ProtocolBinding = g_strdup(POST);
	if (authn->NameIDPolicy != NULL) {
		g_free(authn->NameIDPolicy->Format);
		authn->NameIDPolicy->Format = NULL; /* what the provider is set up for */
	}
	g_free(LASSO_PROFILE(login)->msg_relayState);
	LASSO_PROFILE(login)->msg_relayState = g_strdup(relay);
	return lasso_login_build_authn_request_msg(login);
}

int
saml_request(struct saml_call *c, const struct saml_provider *p, const struct saml_self *self, const char *id, const char *relay, json_t **out_r)
{
	LassoServer *server = NULL;
	LassoLogin *login = NULL;
	*out_r = NULL;
	if (p->location == NULL)
		return saml_refuse(c, "the metadata of \"%.200s\" has no SingleSignOnService with HTTP-Redirect", p->entity);
	int rc = login_new(c, p, self, &server, &login);
	int said = rc == SP_OK ? fill_request(login, p, self, id, relay) : 0;
	if (said != 0)
		rc = saml_refuse(c, "lasso can't make a request: %s", lasso_strerror(said));
	const char *url = rc != SP_OK ? NULL : LASSO_PROFILE(login)->msg_url, *query = url == NULL ? NULL : strstr(url, "SAMLRequest=");
	if (rc == SP_OK && (query == NULL || (*out_r = json_pack("{s:s,s:s}", "location", p->location, "query", query)) == NULL))
		rc = SP_EINTERNAL;
	login_free(server, login);
	return rc;
}
