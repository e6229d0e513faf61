/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SAML 2.0 as a service provider has to read and write it.  Only sallyport-saml links this: no other
 * process parses XML.
 *
 *   base64 ─ saml_open.c ─▶ document ─ saml_signed.c ─▶ what was signed ─ saml_assertion.c ─▶ facts (JSON)
 *            strict XML: no             signature by a        parsed anew from     conditions, subject,
 *            DTD, comment, double id    key of the metadata   the signed bytes     attributes
 *
 * lasso judges a response first; then it is judged again here, by rules that are narrower: what is
 * read is read from the very bytes that were hashed for the signature, so that nothing that was wrapped
 * around them, or left beside them, is seen.  Times are µs since 1970.
 */
#ifndef SALLYPORT_HELPER_SAML_H
#define SALLYPORT_HELPER_SAML_H

#include <jansson.h>
#include <libxml/tree.h>

#include "../base/memory.h"

#define SAML_ENCODED_MAX (384u << 10) /* a message as it comes, base64 */
#define SAML_LEEWAY (60u * 1000000)   /* clocks may differ by this */

#define SAML_NS "urn:oasis:names:tc:SAML:2.0:assertion"
#define SAML_NS_PROTOCOL "urn:oasis:names:tc:SAML:2.0:protocol"
#define SAML_NS_METADATA "urn:oasis:names:tc:SAML:2.0:metadata"
#define SAML_NS_DSIG "http://www.w3.org/2000/09/xmldsig#"

struct saml_call {
	struct arena *arena;
	const char *why; /* in the arena: a sentence for the log, once something was refused */
};
int saml_refuse(struct saml_call *c, const char *fmt, ...) SP_PRINTF(2, 3);

/* ---- libraries: before the lock-down, and at the end ---- */

int saml_start(void) SP_MUST;
void saml_stop(void);

/* ---- saml_provider.c: an identity provider, as its metadata says ---- */

struct saml_provider;
int saml_provider_new(struct saml_call *c, struct sp_bytes metadata, struct saml_provider **p_r) SP_MUST;
void saml_provider_free(struct saml_provider **p);
const char *saml_provider_entity(const struct saml_provider *p);

/* Who we are at that provider. */
struct saml_self {
	const char *entity; /* our entityID */
	const char *acs;    /* URL that responses are posted to */
	const char *logout; /* URL that logouts are posted to */
	struct sp_bytes cert; /* PEM; the requests are signed by its key.  Empty: they are not */
};

/* {"location": the provider's page, "query": SAMLRequest=…&RelayState=…}: HTTP-Redirect, not signed. */
int saml_request(struct saml_call *c, const struct saml_provider *p, const struct saml_self *self, const char *id, const char *relay,
    json_t **out_r) SP_MUST;
/* {"xml": our metadata} */
int saml_metadata(struct saml_call *c, const struct saml_self *self, json_t **out_r) SP_MUST;
/* lasso's word. */
int saml_lasso_accepts(struct saml_call *c, const struct saml_provider *p, const struct saml_self *self, const char *response) SP_MUST;
/* A signature of one of its keys over `in`; algorithm: XML Signature's URI. */
int saml_provider_verify(struct saml_call *c, const struct saml_provider *p, const char *algorithm, struct sp_bytes in,
    struct sp_bytes signature) SP_MUST;

/* ---- saml_open.c ---- */

struct saml_document {
	xmlDocPtr doc;
	xmlNodePtr root, assertion; /* assertion: NULL when there is none */
	char *encoded;              /* the base64 in one line, for lasso; in the arena */
};
/* root: local name that the message must have. */
int saml_open(struct saml_call *c, struct sp_bytes base64, const char *root, struct saml_document *d_r) SP_MUST;
void saml_close(struct saml_document *d);
/* Bytes of base64; space: white space in between is passed over. */
int saml_unbase64(struct saml_call *c, struct sp_bytes in, bool space, struct buffer *out) SP_MUST;
/* XML without a DTD, comments, instructions; nothing is fetched. */
int saml_parse(struct saml_call *c, struct sp_bytes xml, xmlDocPtr *doc_r) SP_MUST;
bool saml_is(const xmlNode *n, const char *ns, const char *name);
/* The first child element of that name, or the next one after `after`. */
xmlNodePtr saml_child(const xmlNode *parent, const xmlNode *after, const char *ns, const char *name);
/* The one child of that name; NULL when there is none or more than one. */
xmlNodePtr saml_only(const xmlNode *parent, const char *ns, const char *name);
/* In the arena: the text of an element without child elements, or of an attribute without a namespace; NULL: none. */
const char *saml_text(struct saml_call *c, const xmlNode *n);
const char *saml_attribute(struct saml_call *c, const xmlNode *n, const char *name);

/* ---- saml_signed.c ---- */

bool saml_has_signature(const xmlNode *n);
/* n's enveloped signature is one of the provider's: signed_r is what it covers. */
int saml_signed(struct saml_call *c, const struct saml_provider *p, xmlNodePtr n, xmlDocPtr *signed_r) SP_MUST;

/* ---- saml_assertion.c ---- */

struct saml_wants {
	struct saml_self self;
	const char *request; /* id of the request that this must answer; "": it must answer none */
	uint64_t now;
};
/*
 * A Response of HTTP-POST → issuer subject format qualifier assertion session context until session_until
 * authenticated attributes{name: text or list of texts}.  The caller checks that the assertion is new.
 */
int saml_response(struct saml_call *c, const struct saml_provider *p, struct sp_bytes base64, const struct saml_wants *w,
    json_t **facts_r) SP_MUST;
/* A LogoutRequest of HTTP-POST → issuer id subject session until.  One without a signature is refused. */
int saml_logout(struct saml_call *c, const struct saml_provider *p, struct sp_bytes base64, const struct saml_wants *w, json_t **facts_r)
    SP_MUST;
/* xs:dateTime with a zone; 0: it is none. */
uint64_t saml_time(const char *text);

#endif
