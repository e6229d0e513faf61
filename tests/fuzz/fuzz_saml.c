/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a provider, or anybody in its place, posts (ID4): the first byte says whether the XML behind it is a response, a
 * logout or metadata.  The certificate is real and its key is gone; what the corpus has of it was good for five minutes of
 * a day that is over: nothing may ever be accepted, and a refusal says why.
 */
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "core/helper/saml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char metadata[] =
	"<md:EntityDescriptor xmlns:md=\"" SAML_NS_METADATA "\" entityID=\"https://idp.example.com/saml\"><md:IDPSSODescriptor"
	" protocolSupportEnumeration=\"" SAML_NS_PROTOCOL "\"><md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"" SAML_NS_DSIG
	"\"><ds:X509Data><ds:X509Certificate>"
	"MIIClTCCAX2gAwIBAgIBATANBgkqhkiG9w0BAQsFADAOMQwwCgYDVQQDEwNpZHAwHhcNMjYxMTI2MDMxNDMwWhcNMjYxMTI2MDQxNDMwWjAOMQ"
	"wwCgYDVQQDEwNpZHAwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCn7onj/H1klS7LuH2ZWqCv1oMenqhoXwH+AqvnE3dzB36VZ3c0"
	"8Z+YjuaKBKF23z/0NXWtyullGOCYQiQo5TdIF5DUe9EkO3B5yFAE+JQoOThvzwBWGso8TVgQAUodkGq7mpmLD1LN9FXQB0m+4iiSU53XfXnwoz"
	"umktbVoFe9uzMYS2Od6qdHs/8J4DYE67qqIb6BQsA/FRlJfrn1S7BZFGy1bjVGYZHl0oeBEVbpX+ORsgycBk+uDdC6z5itHwsk9dHRMHI5l4a0"
	"2Va1zAG4JRViPAOfEZOYt8SX9PnTylJKJJXucy4htzHtUInj5AOJzn88U5hz6/SZvrF+CCnzAgMBAAEwDQYJKoZIhvcNAQELBQADggEBAJ5Ela"
	"V/mRVj8eV+nPDoxtECJRBv02qSnCTl+w/l8eZCP/qLxO4ZusxUGEsP9862VNMBXQ41GxmIK5X1qAFTpGFXnbYZn3XJQ7lBEA0fvjmgGDq2k3aB"
	"S08+awrpANive6pcV7sgaQV4fXo6ohw2Xygvm2FbYdtTEtdJWQD+kNEuwsUOTpKItGJb+Wq72oeku4QKKoHzVEsDMlVOJuY3i8ra31hWM0bR7M"
	"4VRYcmguSxXp4MsK7jS7zcFc3IK47/MT0KP6Y37Qm72N9FirtbyKh8o+b3v2M7xG3pvFp5V4bg5rhm+NAR8lNl6SPqdagZPobfRqxzY/FCH4cf"
	"4oQbSGw="
	"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService"
	" Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://idp.example.com/sso\"/>"
	"</md:IDPSSODescriptor></md:EntityDescriptor>";

static const struct saml_provider *
provider(struct saml_call *c)
{
	static struct saml_provider *p;
	if (p == NULL && (saml_start() != SP_OK || saml_provider_new(c, sp_str(metadata), &p) != SP_OK))
		abort();
	return p;
}

static void
post(struct saml_call *c, const struct saml_provider *p, bool logout, struct sp_bytes base64)
{
	static const char acs[] = "https://gate.example.com:8443/saml/acs/okta", out[] = "https://gate.example.com:8443/saml/logout/okta";
	struct saml_wants w = { .self = { .entity = "https://gate.example.com:8443/saml/metadata/okta", .acs = acs, .logout = out },
		.now = saml_time("2027-11-24T12:00:00Z") };
	for (unsigned i = 0; i < 2; i++) {
		json_t *facts = NULL;
		w.request = i == 0 ? "_request" : "";
		if ((logout ? saml_logout(c, p, base64, &w, &facts) : saml_response(c, p, base64, &w, &facts)) == SP_OK || facts != NULL || c->why == NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct saml_call c = { arena_new(32u << 20), NULL };
	const struct saml_provider *p = provider(&c);
	struct saml_provider *other = NULL;
	gnutls_datum_t xml = { (unsigned char *)(uintptr_t)data + 1, size == 0 ? 0 : (unsigned)size - 1 }, base64 = { NULL, 0 };
	if (size > 1 && data[0] == 'M') {
		if ((saml_provider_new(&c, (struct sp_bytes){ xml.data, xml.size }, &other) == SP_OK) != (other != NULL))
			abort();
		saml_provider_free(&other);
	} else if (size > 1 && gnutls_base64_encode2(&xml, &base64) >= 0) {
		post(&c, p, data[0] == 'L', (struct sp_bytes){ base64.data, base64.size });
	}
	gnutls_free(base64.data);
	arena_free(&c.arena);
	return 0;
}
