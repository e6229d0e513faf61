/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sallyport-saml believes, and what it does not: responses of a provider with a key of its own,
 * as they should be, a little wrong, wrapped in every known way (THREATS ID4, XSW 1 to 8), and hostile.
 */
#include <config.h>

#include "cunit_main.h"
#include "saml_world.h"

static struct signer idp, other;
static struct saml_provider *provider;
static struct saml_wants wants;
static struct saml_call call;

static struct signing
by_idp(void)
{
	return (struct signing){ .by = &idp };
}

static int
judge(const char *xml, json_t **facts_r)
{
	call = (struct saml_call){ texts, NULL };
	return saml_response(&call, provider, sp_str(base64(sp_str(xml))), &wants, facts_r);
}

/* Refused, and for that reason. */
static void
refused_at(unsigned line, const char *name, const char *xml, const char *why)
{
	json_t *facts = NULL;
	int rc = judge(xml, &facts);
	bool good = rc == SP_EDENIED && call.why != NULL && strstr(call.why, why) != NULL;
	if (!good)
		printf("line %u: %s: %d %s\n", line, name, rc, call.why == NULL ? "" : call.why);
	CU_ASSERT_EQUAL(rc, SP_EDENIED);
	CU_ASSERT_TRUE(good);
	CU_ASSERT_PTR_NULL(facts);
	json_decref(facts);
}
#define refused(name, xml, why) refused_at(__LINE__, name, xml, why)

static json_t *
accepted_at(unsigned line, const char *xml)
{
	json_t *facts = NULL;
	int rc = judge(xml, &facts);
	if (rc != SP_OK)
		printf("line %u: %d %s\n", line, rc, call.why == NULL ? "" : call.why);
	CU_ASSERT_EQUAL(rc, SP_OK);
	return facts;
}
#define accepted(xml) json_decref(accepted_at(__LINE__, xml))

static char *
signed_assertion(const struct made *m)
{
	struct signing s = by_idp();
	return signed_by(&s, assertion_of(m), OR(m->id, "_assertion"));
}

static char *
with_signed_assertion(const struct made *m)
{
	return response_of(m, signed_assertion(m));
}

static char *
with_signed_response(const struct made *m, const char *assertion)
{
	struct signing s = by_idp();
	return signed_by(&s, response_of(m, assertion), OR(m->response_id, "_response"));
}

static const char *
fact(const json_t *facts, const char *name)
{
	const char *text_of = json_string_value(json_object_get(facts, name));
	return text_of == NULL ? "" : text_of;
}

/* ---- as it should be ---- */

static void
check_ann(const json_t *facts)
{
	const json_t *attributes = json_object_get(facts, "attributes");
	CU_ASSERT_STRING_EQUAL(fact(facts, "subject"), "ann");
	CU_ASSERT_STRING_EQUAL(fact(facts, "issuer"), IDP);
	CU_ASSERT_STRING_EQUAL(fact(facts, "assertion"), "_assertion");
	CU_ASSERT_STRING_EQUAL(fact(facts, "session"), "_s1");
	CU_ASSERT_STRING_EQUAL(fact(facts, "format"), "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent");
	CU_ASSERT_STRING_EQUAL(fact(attributes, "mail"), "ann@example.com");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(attributes, "groups")), 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(attributes, "groups"), 1)), "leads");
	CU_ASSERT_EQUAL((uint64_t)json_integer_value(json_object_get(facts, "until")), saml_time("2026-11-24T12:05:00Z"));
	CU_ASSERT_EQUAL((uint64_t)json_integer_value(json_object_get(facts, "session_until")), saml_time("2026-11-24T20:00:00Z"));
	CU_ASSERT_EQUAL((uint64_t)json_integer_value(json_object_get(facts, "authenticated")), saml_time("2026-11-24T11:59:58Z") + 250000);
}

static void
good_responses(void)
{
	const struct made usual = { NULL };
	json_t *facts = accepted_at(__LINE__, with_signed_assertion(&usual));
	check_ann(facts);
	json_decref(facts);
	facts = accepted_at(__LINE__, with_signed_response(&usual, assertion_of(&usual)));
	check_ann(facts);
	json_decref(facts);
	facts = accepted_at(__LINE__, with_signed_response(&usual, signed_assertion(&usual)));
	check_ann(facts);
	json_decref(facts);
	/* By longer hashes, and with namespaces that the signature includes. */
	struct signing s = { .by = &idp, .algorithm = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", .sign = GNUTLS_SIGN_RSA_SHA512,
		.digest = "http://www.w3.org/2001/04/xmlenc#sha512", .hash = GNUTLS_DIG_SHA512 };
	accepted(response_of(&usual, signed_by(&s, assertion_of(&usual), "_assertion")));
	s = by_idp();
	s.transforms = "<ds:Transform Algorithm=\"" ENV "\"></ds:Transform><ds:Transform Algorithm=\"" EXC "\"><ec:InclusiveNamespaces xmlns:ec=\""
		       EXC "\" PrefixList=\"xs\"></ec:InclusiveNamespaces></ds:Transform>";
	accepted(response_of(&usual, signed_by(&s, assertion_of(&usual), "_assertion")));
	/* What a pretty printer does outside of what is signed, and a declaration. */
	accepted(text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n%s", with_signed_assertion(&usual)));
	/* The other provider's way to write times. */
	const struct made zones = { .until = "2026-11-24T13:05:00.123456789+01:00", .not_before = "2026-11-24T06:59:00-05:00" };
	accepted(with_signed_assertion(&zones));
	/* Many lines of base64 with CR LF. */
	char *b = base64(sp_str(with_signed_assertion(&usual))), *lines = text("%.76s\r\n%s\n", b, b + 76);
	call = (struct saml_call){ texts, NULL };
	CU_ASSERT_EQUAL(saml_response(&call, provider, sp_str(lines), &wants, &facts), SP_OK);
	json_decref(facts);
}

static void
unasked(void)
{
	const struct made none = { .in_response_to = "", .answers = "" }, usual = { NULL };
	refused("no InResponseTo", with_signed_assertion(&none), "does not answer the request");
	const struct made half = { .in_response_to = "" }, wrong = { .in_response_to = " InResponseTo=\"_other\"" };
	refused("none in the assertion", with_signed_assertion(&half), "does not answer the request");
	refused("another one in the assertion", with_signed_assertion(&wrong), "does not answer the request");
	const struct made response = { .answers = " InResponseTo=\"_other\"" };
	refused("another one", with_signed_assertion(&response), "does not answer the request");
	wants.request = "";
	accepted(with_signed_assertion(&none));
	refused("an answer to what was not asked", with_signed_assertion(&usual), "that is not known here");
	refused("half an answer", with_signed_assertion(&half), "that is not known here");
	wants.request = "_request";
}

/* ---- a little wrong ---- */

static void
conditions(void)
{
	const struct {
		const char *name;
		struct made m;
		const char *why; /* NULL: it is good */
	} row[] = {
		{ "another audience", { .audience = "https://other.example.com" }, "its audience is not" },
		{ "an audience that begins alike", { .audience = ENTITY "x" }, "its audience is not" },
		{ "no audience", { .conditions = "<saml:Conditions NotOnOrAfter=\"2026-11-24T12:05:00Z\"></saml:Conditions>" }, "no audience" },
		{ "two restrictions, one of others", { .conditions = "<saml:Conditions NotOnOrAfter=\"2026-11-24T12:05:00Z\">"
		    "<saml:AudienceRestriction><saml:Audience>" ENTITY "</saml:Audience></saml:AudienceRestriction>"
		    "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction></saml:Conditions>" }, "its audience is not" },
		{ "no conditions", { .conditions = "" }, "no conditions" },
		{ "an unknown condition", { .conditions = "<saml:Conditions NotOnOrAfter=\"2026-11-24T12:05:00Z\"><saml:AudienceRestriction><saml:Audience>"
		    ENTITY "</saml:Audience></saml:AudienceRestriction><x:New xmlns:x=\"urn:x\"></x:New></saml:Conditions>" }, "a condition that is not known" },
		{ "no end", { .conditions = "<saml:Conditions><saml:AudienceRestriction><saml:Audience>" ENTITY "</saml:Audience>"
		    "</saml:AudienceRestriction></saml:Conditions>" }, "has no NotOnOrAfter" },
		{ "expired", { .until = "2026-11-24T11:58:59Z" }, "it has expired" },
		{ "expired within the leeway", { .until = "2026-11-24T11:59:01Z" }, NULL },
		{ "not yet", { .not_before = "2026-11-24T12:01:01Z" }, "not good yet" },
		{ "not yet, within the leeway", { .not_before = "2026-11-24T12:00:59Z" }, NULL },
		{ "an odd time", { .until = "2026-11-24 12:05:00" }, "is no time" },
		{ "a time without a zone", { .until = "2026-11-24T12:05:00" }, "is no time" },
		{ "confirmed until then", { .confirmed_until = "2026-11-24T11:58:59Z" }, "it has expired" },
		{ "the session is over", { .session_end = "2026-11-24T11:59:59Z" }, "session at the identity provider is over" },
		{ "another recipient", { .recipient = "https://gate.example.com:8443/saml/acs/other" }, "its Recipient is not" },
		{ "another destination", { .destination = "https://gate.example.com:8443/saml/acs/other" }, "its Destination is" },
		{ "another issuer", { .issuer = "https://evil.example.com" }, "" },
		{ "another issuer of the response", { .response_issuer = "https://evil.example.com" }, "its issuer is not" },
		{ "no bearer", { .confirmation = "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:sender-vouches\">"
		    "</saml:SubjectConfirmation>" }, "not confirmed by bearer" },
		{ "a bearer without data", { .confirmation = "<saml:SubjectConfirmation Method=\"" BEARER "\"></saml:SubjectConfirmation>" }, "has no data" },
		{ "nobody signed in", { .statement = "" }, "does not say that anybody signed in" },
		{ "no name", { .name_id = "" }, "one NameID" },
		{ "an empty name", { .name_id = "<saml:NameID></saml:NameID>" }, "one NameID" },
		{ "two names", { .name_id = "<saml:NameID>ann</saml:NameID><saml:NameID>root</saml:NameID>" }, "" },
		{ "an element in a name", { .name_id = "<saml:NameID>ann<saml:Issuer></saml:Issuer>x</saml:NameID>" }, "" },
		{ "SAML 1.1", { .version = "1.1" }, "not of SAML 2.0" },
		{ "a failure", { .status = "urn:oasis:names:tc:SAML:2.0:status:Responder" }, "the identity provider says urn:oasis" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *xml = with_signed_assertion(&row[i].m);
		if (row[i].why == NULL)
			accepted(xml);
		else
			refused(row[i].name, xml, row[i].why);
	}
	const struct made to_nobody = { NULL };
	struct signing s = by_idp();
	char *r = response_of(&to_nobody, assertion_of(&to_nobody)), *at = strstr(r, " Destination=\"" ACS "\"");
	char *without = text("%.*s%s", (int)(at - r), r, at + strlen(" Destination=\"" ACS "\""));
	refused("a signed response without a Destination", signed_by(&s, without, "_response"), "its Destination is");
}

/* ---- ID4: signatures ---- */

static void
signatures(void)
{
	const struct made usual = { NULL };
	const char *plain = assertion_of(&usual), *good = signed_assertion(&usual);
	refused("unsigned", response_of(&usual, plain), "");
	char *tampered = text("%s", response_of(&usual, good));
	memcpy(strstr(tampered, ">ann<"), ">bob<", 5);
	refused("tampered", tampered, "");
	struct signing s = { .by = &other };
	refused("another key", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s.key_info = text("<ds:KeyInfo><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo>", other.cert);
	refused("another key that comes along", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .algorithm = SAML_NS_DSIG "rsa-sha1", .sign = GNUTLS_SIGN_RSA_SHA1 };
	refused("RSA with SHA-1", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .algorithm = SAML_NS_DSIG "hmac-sha1" };
	refused("HMAC", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .algorithm = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" };
	refused("HMAC with SHA-256", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .digest = SAML_NS_DSIG "sha1", .hash = GNUTLS_DIG_SHA1 };
	refused("hashed by SHA-1", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .uri = "" };
	refused("a reference to the whole document", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .uri = "#_other" };
	refused("a reference to what is not there", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .uri = "file:///etc/passwd" };
	refused("a reference to a file", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
	s = (struct signing){ .by = &idp, .uri = "#xpointer(id('_assertion'))" };
	refused("a reference by XPointer", response_of(&usual, signed_by(&s, plain, "_assertion")), "");
}

/* The same without lasso: our own look must do alone. */
static int
signed_alone(const char *assertion)
{
	const struct made usual = { NULL };
	struct saml_document d;
	xmlDocPtr out = NULL;
	call = (struct saml_call){ texts, NULL };
	int rc = saml_open(&call, sp_str(base64(sp_str(response_of(&usual, assertion)))), "Response", &d);
	if (rc == SP_OK)
		rc = saml_signed(&call, provider, d.assertion, &out);
	CU_ASSERT((rc == SP_OK) == (out != NULL));
	if (out != NULL)
		xmlFreeDoc(out);
	saml_close(&d);
	return rc;
}

static void
signatures_by_our_own_look(void)
{
	static const struct {
		const char *name;
		struct signing s;
		const char *why;
	} row[] = {
		{ "RSA with SHA-1", { .algorithm = SAML_NS_DSIG "rsa-sha1", .sign = GNUTLS_SIGN_RSA_SHA1 }, "must sign by RSA" },
		{ "HMAC", { .algorithm = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" }, "must sign by RSA" },
		{ "none", { .algorithm = "none" }, "must sign by RSA" },
		{ "a hash by SHA-1", { .digest = SAML_NS_DSIG "sha1", .hash = GNUTLS_DIG_SHA1 }, "which is not SHA-256" },
		{ "another hash than it says", { .digest = "http://www.w3.org/2001/04/xmlenc#sha512" }, "not what was signed" },
		{ "another algorithm than it says", { .algorithm = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" }, "not by a key of the metadata" },
		{ "ECDSA by the name only", { .algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" }, "must sign by RSA" },
		{ "the whole document", { .uri = "" }, "for another element" },
		{ "another element", { .uri = "#_response" }, "for another element" },
		{ "no transform", { .transforms = "" }, "transforms what it signs" },
		{ "enveloped only", { .transforms = "<ds:Transform Algorithm=\"" ENV "\"></ds:Transform>" }, "transforms what it signs" },
		{ "XPath", { .transforms = "<ds:Transform Algorithm=\"" ENV "\"></ds:Transform><ds:Transform Algorithm=\"http://www.w3.org/TR/1999/"
		    "REC-xpath-19991116\"><ds:XPath>false()</ds:XPath></ds:Transform>" }, "transforms what it signs" },
		{ "XSLT", { .transforms = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform>"
		    "<ds:Transform Algorithm=\"" EXC "\"></ds:Transform>" }, "transforms what it signs" },
		{ "three", { .transforms = "<ds:Transform Algorithm=\"" ENV "\"></ds:Transform><ds:Transform Algorithm=\"" EXC "\"></ds:Transform>"
		    "<ds:Transform Algorithm=\"" EXC "\"></ds:Transform>" }, "transforms what it signs" },
		{ "an object in it", { .key_info = "<ds:Object>x</ds:Object>" }, "odd parts" },
	};
	const struct made usual = { NULL };
	const char *plain = assertion_of(&usual);
	struct signing s = by_idp();
	CU_ASSERT_EQUAL(signed_alone(signed_by(&s, plain, "_assertion")), SP_OK);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		s = row[i].s;
		s.by = &idp;
		int rc = signed_alone(signed_by(&s, plain, "_assertion"));
		if (rc != SP_EDENIED || call.why == NULL || strstr(call.why, row[i].why) == NULL)
			printf("%s: %d %s\n", row[i].name, rc, call.why == NULL ? "" : call.why);
		CU_ASSERT(rc == SP_EDENIED && call.why != NULL && strstr(call.why, row[i].why) != NULL);
	}
	s = (struct signing){ .by = &other };
	CU_ASSERT_EQUAL(signed_alone(signed_by(&s, plain, "_assertion")), SP_EDENIED);
	CU_ASSERT_EQUAL(signed_alone(plain), SP_EDENIED);
	char *tampered = text("%s", signed_assertion(&usual));
	memcpy(strstr(tampered, ">ann<"), ">bob<", 5);
	CU_ASSERT_EQUAL(signed_alone(tampered), SP_EDENIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(call.why, "not what was signed"));
	/* The hash is put right, and with it the signature is wrong. */
	char *twice = signed_assertion(&usual), *digest = strstr(twice, "<ds:DigestValue>");
	digest[strlen("<ds:DigestValue>")] = digest[strlen("<ds:DigestValue>")] == 'A' ? 'B' : 'A';
	CU_ASSERT_EQUAL(signed_alone(twice), SP_EDENIED);
}

/* lasso knows RSA only: a provider that signs otherwise is told so when its metadata is read. */
static void
a_key_on_a_curve(void)
{
	struct saml_provider *p = NULL;
	struct signer curve = signer_new(GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	call = (struct saml_call){ texts, NULL };
	CU_ASSERT_EQUAL(saml_provider_new(&call, sp_str(metadata_of(IDP, curve.cert)), &p), SP_EDENIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(call.why, "not RSA"));
	gnutls_privkey_deinit(curve.key);
}

/* ---- ID4: wrapping ---- */

/* The parts that the wrappers of SAMLRaider put together anew. */
static void
wrapping(void)
{
	const struct made usual = { NULL }, evil = { .id = "_evil", .name_id = "<saml:NameID>root</saml:NameID>" },
			  evil_response = { .response_id = "_evil_response", .name_id = "<saml:NameID>root</saml:NameID>", .id = "_evil" };
	struct signing s = by_idp();
	const char *plain = assertion_of(&usual), *sig = signature_of(&s, plain, "_assertion"), *good = signed_assertion(&usual);
	const char *bad = assertion_of(&evil), *response = response_of(&usual, plain), *response_sig = signature_of(&s, response, "_response");
	const char *signed_whole = signed_by(&s, response, "_response");
	size_t n = strlen(sig) - strlen("</ds:Signature>"), rn = strlen(response_sig) - strlen("</ds:Signature>");
	const char *bad_at = strstr(bad, "</saml:Issuer>") + strlen("</saml:Issuer>");
	int head = (int)(bad_at - bad);
	struct made with = evil_response;
#define BAD_WITH(inside) text("%.*s%s%s", head, bad, inside, bad_at)
#define SIG_WITH(inside) text("%.*s%s</ds:Signature>", (int)n, sig, inside)
	with.extra = text("%.*s<ds:Object>%s</ds:Object></ds:Signature>", (int)rn, response_sig, response);
	refused("XSW1: the response inside the signature of another", response_of(&with, bad), "");
	with.extra = text("%s%s", response, response_sig);
	refused("XSW2: the response beside its signature, in another", response_of(&with, bad), "");
	refused("XSW3: an assertion before the signed one", response_of(&usual, text("%s%s", bad, good)), "more than one assertion");
	refused("XSW3: behind it", response_of(&usual, text("%s%s", good, bad)), "more than one assertion");
	refused("XSW4: the signed one inside another", response_of(&usual, BAD_WITH(good)), "more than one assertion");
	refused("XSW5: another with its signature, the signed one behind", response_of(&usual, text("%s%s", BAD_WITH(sig), plain)), "more than one");
	refused("XSW6: the signed one inside the signature of another", response_of(&usual, BAD_WITH(SIG_WITH(plain))), "more than one assertion");
	with = usual;
	with.extra = text("<samlp:Extensions>%s</samlp:Extensions>", bad);
	refused("XSW7: another in extensions", response_of(&with, good), "more than one assertion");
	refused("XSW8: the signed one in an object", response_of(&usual, BAD_WITH(SIG_WITH(text("<ds:Object>%s</ds:Object>", plain)))), "more than one");
	refused("the signed one under another name", response_of(&usual, BAD_WITH(SIG_WITH(text("<x:Assertion xmlns:x=\"urn:x\">%s</x:Assertion>", plain)))),
	    "more than one");
	/* The signature of one element in another of the same id, alone. */
	const struct made same = { .name_id = "<saml:NameID>root</saml:NameID>" };
	const char *forged = assertion_of(&same), *forged_at = strstr(forged, "</saml:Issuer>") + strlen("</saml:Issuer>");
	refused("its signature on another", response_of(&usual, text("%.*s%s%s", (int)(forged_at - forged), forged, sig, forged_at)), "");
	struct made twice = usual;
	twice.extra = "<samlp:Extensions><x:y xmlns:x=\"urn:x\" ID=\"_assertion\"></x:y></samlp:Extensions>";
	refused("an id twice", response_of(&twice, good), "the same id");
	twice.extra = "<samlp:Extensions><x:y xmlns:x=\"urn:x\" xml:id=\"_assertion\"></x:y></samlp:Extensions>";
	refused("an id twice, of another kind", response_of(&twice, good), "the same id");
	twice.extra = sig;
	refused("a signature of the assertion on the response", response_of(&twice, plain), "");
	refused("two signatures", response_of(&usual, signed_by(&s, good, "_assertion")), "two signatures");
	refused("signed, in a response whose signature is bad", text("%s", signed_by(&(struct signing){ .by = &other }, response_of(&usual, good),
	    "_response")), "");
	refused("a whole response in a response", response_of(&usual, signed_whole), "");
}

/* ---- ID4: XML ---- */

static void
hostile_xml(void)
{
	const struct made usual = { NULL }, evil = { .name_id = "<saml:NameID>ann@example.com.evil.com</saml:NameID>" };
	const char *good = with_signed_assertion(&usual);
	/* The canonical form has no comments: the signature would still be good. */
	char *commented = with_signed_assertion(&evil), *dot = strstr(commented, ".evil.com");
	refused("a comment in the name", text("%.*s<!-- -->%s", (int)(dot - commented), commented, dot), "a comment");
	refused("an instruction in the name", text("%.*s<?x ?>%s", (int)(dot - commented), commented, dot), "an instruction" + 3);
	refused("CDATA in the name", text("%.*s<![CDATA[]]>%s", (int)(dot - commented), commented, dot), "a CDATA section");
	refused("a document type", text("<!DOCTYPE x>%s", good), "a document type");
	refused("entities", text("<!DOCTYPE x [<!ENTITY a \"b\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>%s", good), "a document type");
	refused("behind a declaration", text("<?xml version=\"1.0\"?><!DOCTYPE x>%s", good), "a document type");
	refused("another encoding", text("<?xml version=\"1.0\" encoding=\"UTF-7\"?>%s", good), "declaration");
	refused("Latin 1", text("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>%s", good), "declaration");
	refused("two declarations", text("<?xml version=\"1.0\"?><?xml version=\"1.0\"?>%s", good), "instruction");
	refused("something behind it", text("%s<x/>", good), "not well-formed");
	refused("something before it", text("x%s", good), "no XML");
	refused("cut", text("%.*s", (int)strlen(good) - 10, good), "not well-formed");
	refused("not a response", "<samlp:AuthnRequest xmlns:samlp=\"" SAML_NS_PROTOCOL "\"></samlp:AuthnRequest>", "no Response");
	refused("a response of nobody", "<Response></Response>", "no Response");
	refused("empty", "<samlp:Response xmlns:samlp=\"" SAML_NS_PROTOCOL "\"></samlp:Response>", "the identity provider says nothing");
	struct made secret = usual;
	refused("encrypted", response_of(&secret, "<saml:EncryptedAssertion xmlns:saml=\"" SAML_NS "\"></saml:EncryptedAssertion>"),
	    "switch the encryption of assertions off");
	secret.name_id = "<saml:EncryptedID></saml:EncryptedID>";
	refused("an encrypted name", with_signed_assertion(&secret), "EncryptedID");
	char *deep = text("%s", "");
	for (unsigned i = 0; i < 60; i++)
		deep = text("<a>%s</a>", deep);
	struct made nested = usual;
	nested.extra = deep;
	refused("deep", response_of(&nested, signed_assertion(&usual)), "deeper than");
	static char many[5000 * 4 + 1];
	for (size_t i = 0; i + 4 < sizeof(many); i += 4)
		memcpy(many + i, "<a/>", 4);
	nested.extra = many;
	refused("many elements", response_of(&nested, signed_assertion(&usual)), "elements");
}

static void
hostile_base64(void)
{
	static char large[SAML_ENCODED_MAX + 8];
	json_t *facts = NULL;
	memset(large, 'A', sizeof(large) - 1);
	const char *const row[] = { "", "=", "A", "AA=", "A===", "AA==AA==", "AAA-", "AA_A", "AA A", "\x01\x02", "PHg+P", "AB==", "%3D", large };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		call = (struct saml_call){ texts, NULL };
		CU_ASSERT_EQUAL(saml_response(&call, provider, sp_str(row[i]), &wants, &facts), SP_EDENIED);
		CU_ASSERT_PTR_NULL(facts);
	}
}

static void
names_and_values(void)
{
	const struct made odd = { .attributes = "<saml:Attribute Name=\"a\"></saml:Attribute><saml:Attribute Name=\"b\"><saml:AttributeValue>"
	    "<x:y xmlns:x=\"urn:x\">root</x:y></saml:AttributeValue></saml:Attribute><saml:Attribute Name=\"c\"><saml:AttributeValue>1"
	    "</saml:AttributeValue></saml:Attribute><saml:Attribute Name=\"c\"><saml:AttributeValue>2</saml:AttributeValue></saml:Attribute>"
	    "<saml:Attribute Name=\"d\"><saml:AttributeValue></saml:AttributeValue></saml:Attribute>" };
	json_t *facts = accepted_at(__LINE__, with_signed_assertion(&odd)), *all = json_object_get(facts, "attributes");
	CU_ASSERT_PTR_NULL(json_object_get(all, "a"));
	CU_ASSERT_PTR_NULL(json_object_get(all, "b"));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(all, "c")), 2);
	CU_ASSERT_STRING_EQUAL(fact(all, "d"), "");
	json_decref(facts);
	const struct made nameless = { .attributes = "<saml:Attribute></saml:Attribute>" };
	refused("an attribute without a name", with_signed_assertion(&nameless), "");
}

/* ---- what we say ---- */

static void
requests(void)
{
	const struct saml_self self = wants.self;
	json_t *out = NULL;
	call = (struct saml_call){ texts, NULL };
	int rc = saml_request(&call, provider, &self, "_abc", "relay-1", &out);
	if (rc != SP_OK)
		printf("%s\n", call.why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	CU_ASSERT_STRING_EQUAL(fact(out, "location"), SSO);
	CU_ASSERT_EQUAL(strncmp(fact(out, "query"), "SAMLRequest=", 12), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "query"), "&RelayState=relay-1"));
	CU_ASSERT_PTR_NULL(strstr(fact(out, "query"), "Signature"));
	json_decref(out);
	CU_ASSERT_EQUAL_FATAL(saml_metadata(&call, &self, &out), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "entityID=\"" ENTITY "\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "Location=\"" ACS "\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "Location=\"" SLO "\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "WantAssertionsSigned=\"true\""));
	json_decref(out);
	struct saml_self odd = self;
	odd.entity = "a\"<&>";
	odd.cert = sp_str(text("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", idp.cert));
	CU_ASSERT_EQUAL_FATAL(saml_metadata(&call, &odd, &out), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "entityID=\"a&quot;&lt;&amp;&gt;\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), "AuthnRequestsSigned=\"true\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fact(out, "xml"), text("<ds:X509Certificate>%s</ds:X509Certificate>", idp.cert)));
	json_decref(out);
	odd.cert = SP_LIT("no certificate");
	CU_ASSERT_EQUAL(saml_metadata(&call, &odd, &out), SP_EDENIED);
}

static void
bad_metadata(void)
{
	const char *good = metadata_of(IDP, idp.cert);
	const char *const row[] = { "", "x", "<a/>", "<!DOCTYPE a><a/>", text("<!DOCTYPE a>%s", good), metadata_of("", idp.cert), metadata_of(IDP, "AAAA"),
		metadata_of(IDP, "!"), text("%s%s", good, good) };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct saml_provider *p = NULL;
		call = (struct saml_call){ texts, NULL };
		CU_ASSERT_EQUAL(saml_provider_new(&call, sp_str(row[i]), &p), SP_EDENIED);
		CU_ASSERT(p == NULL && call.why != NULL);
	}
	struct saml_provider *p = NULL;
	struct signer small = signer_new(GNUTLS_PK_RSA, 1024);
	CU_ASSERT_EQUAL(saml_provider_new(&call, sp_str(metadata_of(IDP, small.cert)), &p), SP_EDENIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(call.why, "1024 bits"));
	gnutls_privkey_deinit(small.key);
}

static char *
logout_of(const char *destination, const char *until)
{
	return text("<samlp:LogoutRequest xmlns:samlp=\"" SAML_NS_PROTOCOL "\" Destination=\"%s\" ID=\"_logout\" IssueInstant=\"2026-11-24T12:00:00Z\""
	    " NotOnOrAfter=\"%s\" Version=\"2.0\"><saml:Issuer xmlns:saml=\"" SAML_NS "\">" IDP "</saml:Issuer><saml:NameID xmlns:saml=\"" SAML_NS
	    "\">ann</saml:NameID><samlp:SessionIndex>_s1</samlp:SessionIndex></samlp:LogoutRequest>", destination, until);
}

static int
log_out(const char *xml, json_t **facts_r)
{
	call = (struct saml_call){ texts, NULL };
	return saml_logout(&call, provider, sp_str(base64(sp_str(xml))), &wants, facts_r);
}

static void
logouts(void)
{
	struct signing s = by_idp(), forged = { .by = &other };
	const char *good = logout_of(SLO, "2026-11-24T12:05:00Z");
	json_t *facts = NULL;
	CU_ASSERT_EQUAL_FATAL(log_out(signed_by(&s, good, "_logout"), &facts), SP_OK);
	CU_ASSERT_STRING_EQUAL(fact(facts, "subject"), "ann");
	CU_ASSERT_STRING_EQUAL(fact(facts, "session"), "_s1");
	CU_ASSERT_STRING_EQUAL(fact(facts, "id"), "_logout");
	json_decref(facts);
	CU_ASSERT_EQUAL(log_out(good, &facts), SP_EDENIED);
	CU_ASSERT_STRING_EQUAL(call.why, "a logout must be signed");
	CU_ASSERT_EQUAL(log_out(signed_by(&forged, good, "_logout"), &facts), SP_EDENIED);
	CU_ASSERT_EQUAL(log_out(signed_by(&s, logout_of(ACS, "2026-11-24T12:05:00Z"), "_logout"), &facts), SP_EDENIED);
	CU_ASSERT_EQUAL(log_out(signed_by(&s, logout_of(SLO, "2026-11-24T11:00:00Z"), "_logout"), &facts), SP_EDENIED);
	CU_ASSERT_PTR_NULL(facts);
	const struct made usual = { NULL };
	CU_ASSERT_EQUAL(log_out(with_signed_response(&usual, assertion_of(&usual)), &facts), SP_EDENIED);
	refused("a logout in place of a response", signed_by(&s, good, "_logout"), "no Response");
}

static void
times(void)
{
	CU_ASSERT_EQUAL(saml_time("1970-01-01T00:00:01Z"), 1000000);
	CU_ASSERT_EQUAL(saml_time("2026-11-24T12:00:00.5Z"), saml_time(NOW) + 500000);
	CU_ASSERT_EQUAL(saml_time("2026-11-24T13:30:00+01:30"), saml_time(NOW));
	const char *const bad[] = { "", "Z", "2026-11-24", "2026-11-24T12:00Z", "2026-13-01T00:00:00Z", "2026-11-24T25:00:00Z", "2026-11-24T12:00:00",
		"2026-11-24T12:00:00.Z", "2026-11-24T12:00:00z", "2026-11-24T12:00:00+1:00", "2026-11-24T12:00:00Zx", "-2026-11-24T12:00:00Z",
		"1969-01-01T00:00:00Z", "99999-11-24T12:00:00Z" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_EQUAL(saml_time(bad[i]), 0);
	CU_ASSERT_EQUAL(saml_time(NULL), 0);
}

static void
a_provider(void)
{
	idp = signer_new(GNUTLS_PK_RSA, 2048);
	other = signer_new(GNUTLS_PK_RSA, 2048);
	call = (struct saml_call){ texts, NULL };
	CU_ASSERT_EQUAL_FATAL(saml_provider_new(&call, sp_str(metadata_of(IDP, idp.cert)), &provider), SP_OK);
	CU_ASSERT_STRING_EQUAL(saml_provider_entity(provider), IDP);
	wants = (struct saml_wants){ .self = { ENTITY, ACS, SLO, { NULL, 0 } }, .request = "_request", .now = saml_time(NOW) };
}

int
main(void)
{
	struct signer *const all_keys[] = { &idp, &other };
	CU_TestInfo tests[] = {
		{ "a provider", a_provider },
		{ "ID4 responses that are good", good_responses },
		{ "ID4 InResponseTo", unasked },
		{ "ID4 conditions", conditions },
		{ "ID4 signatures", signatures },
		{ "ID4 signatures, by our own look", signatures_by_our_own_look },
		{ "ID4 a key on a curve", a_key_on_a_curve },
		{ "ID4 signature wrapping, XSW1 to 8", wrapping },
		{ "ID4 hostile XML", hostile_xml },
		{ "ID4 hostile base64", hostile_base64 },
		{ "attributes", names_and_values },
		{ "requests and metadata", requests },
		{ "metadata that is refused", bad_metadata },
		{ "ID4 logouts", logouts },
		{ "times", times },
		CU_TEST_INFO_NULL,
	};
	texts = arena_new(256u << 20);
	if (saml_start() != SP_OK)
		return 1;
	int status = cunit_main("saml", tests);
	saml_provider_free(&provider);
	for (size_t i = 0; i < 2; i++)
		if (all_keys[i]->key != NULL)
			gnutls_privkey_deinit(all_keys[i]->key);
	arena_free(&texts);
	saml_stop();
	return status;
}
