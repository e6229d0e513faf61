/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An enveloped XML signature, in the one form that SAML asks for, and the bytes that it covers.
 *
 *     <Response ID="a">                       the element, and nothing else, is what is signed:
 *       <ds:Signature>                          Reference URI="#a", once
 *         <ds:SignedInfo> … </ds:SignedInfo>    enveloped-signature and exclusive canonicalization
 *         <ds:SignatureValue/> [<ds:KeyInfo/>]  of a key of the metadata, whatever KeyInfo says
 *
 * The canonical bytes of the element without its signature are hashed, compared, and parsed again:
 * who reads on sees what was signed, and can't see anything else.
 */
#include <config.h>

#include "saml.h"

#include <gnutls/crypto.h>
#include <libxml/c14n.h>

#define EXCLUSIVE "http://www.w3.org/2001/10/xml-exc-c14n#"
#define ENVELOPED SAML_NS_DSIG "enveloped-signature"

enum { PREFIXES = 16, SIGNED_MAX = 1 << 20 };

struct canonical {
	const xmlNode *of, *without;
	xmlChar *prefix[PREFIXES + 1]; /* InclusiveNamespaces */
	const char *list;
};

/* ---- canonical bytes ---- */

static int
is_covered(void *owner, xmlNodePtr node, xmlNodePtr parent)
{
	const struct canonical *k = owner;
	const xmlNode *n = node->type == XML_NAMESPACE_DECL || node->type == XML_ATTRIBUTE_NODE ? parent : node;
	for (; n != NULL; n = n->parent) {
		if (n == k->without)
			return 0;
		if (n == k->of)
			return 1;
	}
	return 0;
}

static int
take_prefixes(struct saml_call *c, const xmlNode *method, struct canonical *k)
{
	const xmlNode *list = method->children == NULL ? NULL : saml_child(method, NULL, EXCLUSIVE, "InclusiveNamespaces");
	const char *text = list == NULL ? NULL : saml_attribute(c, list, "PrefixList");
	char *copy = text == NULL ? NULL : arena_string(c->arena, sp_str(text)), *rest = NULL;
	size_t n = 0;
	for (char *word = copy == NULL ? NULL : strtok_r(copy, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
		if (n == PREFIXES)
			return saml_refuse(c, "its signature names too many namespaces");
		k->prefix[n++] = (xmlChar *)word;
	}
	return SP_OK;
}

static int
canonicalize(struct saml_call *c, struct canonical *k, struct buffer *out)
{
	xmlOutputBufferPtr b = xmlAllocOutputBuffer(NULL);
	int rc = SP_ENOMEM;
	if (b == NULL)
		return rc;
	int n = xmlC14NExecute(k->of->doc, is_covered, k, XML_C14N_EXCLUSIVE_1_0, k->prefix[0] == NULL ? NULL : k->prefix, 0, b);
	size_t len = xmlOutputBufferGetSize(b);
	if (n < 0 || len == 0 || len > SIGNED_MAX)
		rc = saml_refuse(c, "what it signs has no canonical form");
	else
		rc = buffer_put(out, (struct sp_bytes){ xmlOutputBufferGetContent(b), len });
	(void)xmlOutputBufferClose(b);
	return rc;
}

/* ---- SignedInfo ---- */

static const struct {
	const char *uri;
	gnutls_digest_algorithm_t hash;
} digests[] = {
	{ "http://www.w3.org/2001/04/xmlenc#sha256", GNUTLS_DIG_SHA256 },
	{ "http://www.w3.org/2001/04/xmldsig-more#sha384", GNUTLS_DIG_SHA384 },
	{ "http://www.w3.org/2001/04/xmlenc#sha512", GNUTLS_DIG_SHA512 },
};

/* The element children, by name and in this order; NULL ends the list.  A name that ends with '?' may be missing. */
static bool
has_children(const xmlNode *n, const char *const *names)
{
	const xmlNode *at = xmlFirstElementChild((xmlNodePtr)(uintptr_t)n);
	for (; *names != NULL; names++) {
		size_t len = strlen(*names);
		bool optional = (*names)[len - 1] == '?';
		len -= optional;
		bool is = at != NULL && strlen((const char *)at->name) == len && strncmp((const char *)at->name, *names, len) == 0 &&
		    saml_is(at, SAML_NS_DSIG, (const char *)at->name);
		if (!is && !optional)
			return false;
		if (is)
			at = xmlNextElementSibling((xmlNodePtr)(uintptr_t)at);
	}
	return at == NULL;
}

static int
check_transforms(struct saml_call *c, const xmlNode *transforms, struct canonical *k)
{
	static const char *const names[] = { "Transform", "Transform", NULL };
	const xmlNode *first = saml_child(transforms, NULL, SAML_NS_DSIG, "Transform");
	const xmlNode *second = first == NULL ? NULL : saml_child(transforms, first, SAML_NS_DSIG, "Transform");
	const char *one = first == NULL ? NULL : saml_attribute(c, first, "Algorithm");
	const char *two = second == NULL ? NULL : saml_attribute(c, second, "Algorithm");
	if (!has_children(transforms, names) || one == NULL || two == NULL || strcmp(one, ENVELOPED) != 0 || strcmp(two, EXCLUSIVE) != 0)
		return saml_refuse(c, "its signature transforms what it signs by other than enveloped-signature and exclusive canonicalization");
	return take_prefixes(c, second, k);
}

static int
check_digest(struct saml_call *c, const xmlNode *reference, struct sp_bytes covered)
{
	const char *uri = saml_attribute(c, saml_only(reference, SAML_NS_DSIG, "DigestMethod"), "Algorithm");
	const char *value = saml_text(c, saml_only(reference, SAML_NS_DSIG, "DigestValue"));
	struct buffer want = { .max = 256 };
	uint8_t have[64];
	size_t i = 0, n = sizeof(digests) / sizeof(*digests);
	while (i < n && (uri == NULL || strcmp(digests[i].uri, uri) != 0))
		i++;
	if (i == n)
		return saml_refuse(c, "its signature hashes by %.100s, which is not SHA-256, SHA-384 or SHA-512", uri == NULL ? "nothing" : uri);
	int rc = value == NULL ? saml_refuse(c, "its signature has no hash") : saml_unbase64(c, sp_str(value), true, &want);
	if (rc == SP_OK && gnutls_hash_fast(digests[i].hash, covered.p, covered.len, have) < 0)
		rc = SP_EINTERNAL;
	if (rc == SP_OK && !sp_bytes_eq(buffer_bytes(&want), (struct sp_bytes){ have, gnutls_hash_get_len(digests[i].hash) }))
		rc = saml_refuse(c, "it is not what was signed");
	buffer_free(&want);
	return rc;
}

static int
check_reference(struct saml_call *c, const xmlNode *reference, struct canonical *k, struct buffer *covered)
{
	static const char *const names[] = { "Transforms", "DigestMethod", "DigestValue", NULL };
	const char *uri = saml_attribute(c, reference, "URI"), *id = saml_attribute(c, k->of, "ID");
	if (!has_children(reference, names))
		return saml_refuse(c, "its signature has an odd reference");
	if (uri == NULL || id == NULL || uri[0] != '#' || strcmp(uri + 1, id) != 0)
		return saml_refuse(c, "its signature is for another element");
	int rc = check_transforms(c, saml_only(reference, SAML_NS_DSIG, "Transforms"), k);
	if (rc == SP_OK)
		rc = canonicalize(c, k, covered);
	return rc == SP_OK ? check_digest(c, reference, buffer_bytes(covered)) : rc;
}

static int
check_value(struct saml_call *c, const struct saml_provider *p, const xmlNode *signature, const xmlNode *info)
{
	const xmlNode *canonical = saml_only(info, SAML_NS_DSIG, "CanonicalizationMethod");
	const xmlNode *method = saml_only(info, SAML_NS_DSIG, "SignatureMethod");
	const char *by = saml_attribute(c, canonical, "Algorithm"), *algorithm = saml_attribute(c, method, "Algorithm");
	const char *value = saml_text(c, saml_only(signature, SAML_NS_DSIG, "SignatureValue"));
	struct canonical k = { .of = info };
	struct buffer bytes = { .max = SIGNED_MAX }, sig = { .max = 4096 };
	if (by == NULL || strcmp(by, EXCLUSIVE) != 0)
		return saml_refuse(c, "its signature is canonicalized by other than exclusive canonicalization");
	if (algorithm == NULL || value == NULL || xmlFirstElementChild((xmlNodePtr)(uintptr_t)method) != NULL)
		return saml_refuse(c, "its signature has no value, or an odd method");
	int rc = take_prefixes(c, canonical, &k);
	if (rc == SP_OK)
		rc = canonicalize(c, &k, &bytes);
	if (rc == SP_OK)
		rc = saml_unbase64(c, sp_str(value), true, &sig);
	if (rc == SP_OK)
		rc = saml_provider_verify(c, p, algorithm, buffer_bytes(&bytes), buffer_bytes(&sig));
	buffer_free(&bytes);
	buffer_free(&sig);
	return rc;
}

/* ---- the signature ---- */

bool
saml_has_signature(const xmlNode *n)
{
	return saml_child(n, NULL, SAML_NS_DSIG, "Signature") != NULL;
}

int
saml_signed(struct saml_call *c, const struct saml_provider *p, xmlNodePtr n, xmlDocPtr *signed_r)
{
	static const char *const parts[] = { "SignedInfo", "SignatureValue", "KeyInfo?", NULL };
	static const char *const infos[] = { "CanonicalizationMethod", "SignatureMethod", "Reference", NULL };
	const xmlNode *signature = saml_only(n, SAML_NS_DSIG, "Signature");
	struct canonical k = { .of = n, .without = signature };
	struct buffer covered = { .max = SIGNED_MAX };
	*signed_r = NULL;
	if (signature == NULL || !has_children(signature, parts))
		return saml_refuse(c, "it has no signature, or one with odd parts");
	const xmlNode *info = saml_only(signature, SAML_NS_DSIG, "SignedInfo");
	if (!has_children(info, infos))
		return saml_refuse(c, "its signature signs other than one reference");
	int rc = check_reference(c, saml_only(info, SAML_NS_DSIG, "Reference"), &k, &covered);
	if (rc == SP_OK)
		rc = check_value(c, p, signature, info);
	if (rc == SP_OK)
		rc = saml_parse(c, buffer_bytes(&covered), signed_r);
	buffer_free(&covered);
	return rc;
}
