/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From base64 to a document in which little is possible: UTF-8, no DTD, no entity, no comment, no
 * processing instruction, no CDATA; few elements, not deep; an id once; signatures only where SAML has them.
 */
#include <config.h>

#include "saml.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "../base/digest.h"

enum { DEPTH = 48, ELEMENTS = 4096, NAMESPACES = 1024, IDS = 64 };

int
saml_refuse(struct saml_call *c, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	c->why = arena_string(c->arena, sp_str(text));
	if (c->why == NULL)
		c->why = "there is no memory for it";
	return SP_EDENIED;
}

/* ---- base64 ---- */

static char *
one_line(struct saml_call *c, struct sp_bytes in, bool space, size_t *len_r)
{
	char *out = arena_alloc(c->arena, in.len + 1);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < in.len; i++) {
		uint8_t b = in.p[i];
		if (b == '\r' || b == '\n' || (space && (b == ' ' || b == '\t')))
			continue;
		out[n++] = (char)b;
	}
	*len_r = n;
	return out;
}

static int
decode(char *text, size_t len, struct buffer *out)
{
	size_t n = len;
	for (unsigned pads = 0; n > 0 && text[n - 1] == '=' && pads < 2; pads++)
		n--;
	if (len == 0 || len % 4 != 0 || memchr(text, '-', n) != NULL || memchr(text, '_', n) != NULL)
		return SP_EPROTO;
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	return text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, out);
}

int
saml_unbase64(struct saml_call *c, struct sp_bytes in, bool space, struct buffer *out)
{
	size_t len = 0;
	char *text = one_line(c, in, space, &len);
	if (text == NULL)
		return SP_ENOMEM;
	return decode(text, len, out) == SP_OK ? SP_OK : saml_refuse(c, "it is not base64");
}

/* ---- bytes that may be parsed ---- */

static bool
has(struct sp_bytes in, const char *what)
{
	return memmem(in.p, in.len, what, strlen(what)) != NULL;
}

/* `<?xml … ?>` at the front, of UTF-8; what follows it. */
static bool
take_declaration(struct sp_reader *r)
{
	char text[128] = "";
	if (r->left < 5 || memcmp(r->p, "<?xml", 5) != 0)
		return true;
	struct sp_bytes d = sp_rd_until(r, '>');
	if (r->bad || d.len >= sizeof(text) || d.len < 6 || d.p[d.len - 1] != '?')
		return false;
	memcpy(text, d.p, d.len);
	return strstr(text, "encoding") == NULL || strcasestr(text, "\"utf-8\"") != NULL || strcasestr(text, "'utf-8'") != NULL;
}

/* All markup begins with '<', which stands for nothing else in well-formed XML: what begins with "<!" or "<?" is not wanted. */
static int
check_bytes(struct saml_call *c, struct sp_bytes xml)
{
	struct sp_reader r = sp_reader(xml);
	if (xml.len == 0 || xml.p[0] != '<' || memchr(xml.p, 0, xml.len) != NULL)
		return saml_refuse(c, "it is no XML in UTF-8");
	if (!take_declaration(&r))
		return saml_refuse(c, "its XML declaration is not the one of UTF-8");
	struct sp_bytes rest = sp_rd_rest(&r);
	if (has(rest, "<!"))
		return saml_refuse(c, "it has a document type, an entity, a comment or a CDATA section, which no SAML message needs");
	if (has(rest, "<?"))
		return saml_refuse(c, "it has a processing instruction, which no SAML message needs");
	return SP_OK;
}

int
saml_parse(struct saml_call *c, struct sp_bytes xml, xmlDocPtr *doc_r)
{
	*doc_r = NULL;
	int rc = check_bytes(c, xml);
	if (rc != SP_OK)
		return rc;
	*doc_r = xmlReadMemory((const char *)xml.p, (int)xml.len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (*doc_r == NULL)
		return saml_refuse(c, "it is not well-formed XML");
	if ((*doc_r)->intSubset == NULL && (*doc_r)->extSubset == NULL && xmlDocGetRootElement(*doc_r) != NULL)
		return SP_OK;
	xmlFreeDoc(*doc_r);
	*doc_r = NULL;
	return saml_refuse(c, "it has a document type");
}

/* ---- elements ---- */

bool
saml_is(const xmlNode *n, const char *ns, const char *name)
{
	return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0 && n->ns != NULL && n->ns->href != NULL &&
	    strcmp((const char *)n->ns->href, ns) == 0;
}

xmlNodePtr
saml_child(const xmlNode *parent, const xmlNode *after, const char *ns, const char *name)
{
	xmlNodePtr n = after == NULL ? parent->children : after->next;
	while (n != NULL && !saml_is(n, ns, name))
		n = n->next;
	return n;
}

xmlNodePtr
saml_only(const xmlNode *parent, const char *ns, const char *name)
{
	xmlNodePtr n = saml_child(parent, NULL, ns, name);
	return n == NULL || saml_child(parent, n, ns, name) != NULL ? NULL : n;
}

static const char *
texts_of(struct saml_call *c, const xmlNode *first)
{
	const char *text = "";
	for (const xmlNode *n = first; n != NULL; n = n->next) {
		if (n->type != XML_TEXT_NODE || n->content == NULL)
			return NULL;
		text = text[0] == '\0' ? arena_string(c->arena, sp_str((const char *)n->content))
				       : arena_printf(c->arena, "%s%s", text, (const char *)n->content);
		if (text == NULL)
			return NULL;
	}
	return text;
}

const char *
saml_text(struct saml_call *c, const xmlNode *n)
{
	return n == NULL ? NULL : texts_of(c, n->children);
}

const char *
saml_attribute(struct saml_call *c, const xmlNode *n, const char *name)
{
	for (const xmlAttr *a = n->properties; a != NULL; a = a->next)
		if (a->ns == NULL && strcmp((const char *)a->name, name) == 0)
			return texts_of(c, a->children);
	return NULL;
}

/* ---- the whole tree ---- */

struct walk {
	struct saml_call *c;
	struct saml_document *d;
	unsigned depth, elements, namespaces, assertions;
	const char *ids[IDS];
	size_t nids;
};

static int
look_at_id(struct walk *w, const char *id)
{
	if (id == NULL || id[0] == '\0')
		return saml_refuse(w->c, "an id is empty or odd");
	for (size_t i = 0; i < w->nids; i++)
		if (strcmp(w->ids[i], id) == 0)
			return saml_refuse(w->c, "two elements have the same id");
	if (w->nids == IDS)
		return saml_refuse(w->c, "it has more than %d ids", IDS);
	w->ids[w->nids++] = id;
	return SP_OK;
}

static int
look_at_names(struct walk *w, const xmlNode *n)
{
	for (const xmlNs *ns = n->nsDef; ns != NULL; ns = ns->next)
		if (++w->namespaces > NAMESPACES)
			return saml_refuse(w->c, "it has more than %d namespaces", NAMESPACES);
	for (const xmlAttr *a = n->properties; a != NULL; a = a->next) {
		if (strcasecmp((const char *)a->name, "id") != 0)
			continue;
		int rc = look_at_id(w, texts_of(w->c, a->children));
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

static int
look_at_signature(struct walk *w, const xmlNode *n)
{
	bool place = n->parent == w->d->root || (saml_is(n->parent, SAML_NS, "Assertion") && n->parent->parent == w->d->root);
	if (!place)
		return saml_refuse(w->c, "a signature stands where it is not the message's or its assertion's own");
	return saml_only(n->parent, SAML_NS_DSIG, "Signature") == n ? SP_OK : saml_refuse(w->c, "an element has two signatures");
}

static int
look_at(struct walk *w, xmlNodePtr n)
{
	const char *name = (const char *)n->name;
	if (n->type == XML_TEXT_NODE)
		return SP_OK;
	if (n->type != XML_ELEMENT_NODE)
		return saml_refuse(w->c, "it has something that is neither element nor text");
	if (++w->elements > ELEMENTS || w->depth > DEPTH)
		return saml_refuse(w->c, "it has more than %d elements, or is deeper than %d", ELEMENTS, DEPTH);
	if (strncmp(name, "Encrypted", 9) == 0)
		return saml_refuse(w->c, "it has an %s, which is not read here: switch the encryption of assertions off at the identity"
		    " provider; TLS encrypts them on their way", name);
	if (strcmp(name, "Assertion") == 0) {
		if (!saml_is(n, SAML_NS, name) || n->parent != w->d->root || ++w->assertions > 1)
			return saml_refuse(w->c, "it has more than one assertion, or one that is not the message's own child");
		w->d->assertion = n;
	}
	/* By its local name: whatever somebody might take for a signature must be one, and in its place. */
	if (strcmp(name, "Signature") == 0) {
		int rc = saml_is(n, SAML_NS_DSIG, name) ? look_at_signature(w, n) : saml_refuse(w->c, "a signature is of no known kind");
		if (rc != SP_OK)
			return rc;
	}
	return look_at_names(w, n);
}

static xmlNodePtr
next_node(struct walk *w, xmlNodePtr n)
{
	if (n->children != NULL && n->type == XML_ELEMENT_NODE) {
		w->depth++;
		return n->children;
	}
	while (n != w->d->root && n->next == NULL) {
		n = n->parent;
		w->depth--;
	}
	return n == w->d->root ? NULL : n->next;
}

static int
look_at_all(struct walk *w)
{
	int rc = SP_OK;
	for (xmlNodePtr n = w->d->root; rc == SP_OK && n != NULL; n = next_node(w, n))
		rc = look_at(w, n);
	return rc;
}

int
saml_open(struct saml_call *c, struct sp_bytes base64, const char *root, struct saml_document *d_r)
{
	struct buffer xml = { .max = SAML_ENCODED_MAX };
	struct walk w = { .c = c, .d = d_r };
	size_t len = 0;
	*d_r = (struct saml_document){ NULL };
	if (base64.len > SAML_ENCODED_MAX)
		return saml_refuse(c, "it is larger than %u KB", SAML_ENCODED_MAX >> 10);
	d_r->encoded = one_line(c, base64, false, &len);
	int rc = d_r->encoded == NULL ? SP_ENOMEM : saml_unbase64(c, base64, false, &xml);
	if (rc == SP_OK)
		rc = saml_parse(c, buffer_bytes(&xml), &d_r->doc);
	if (rc == SP_OK) {
		d_r->root = xmlDocGetRootElement(d_r->doc);
		rc = saml_is(d_r->root, SAML_NS_PROTOCOL, root) ? look_at_all(&w) : saml_refuse(c, "it is no %s of SAML 2.0", root);
	}
	buffer_free(&xml);
	if (rc != SP_OK)
		saml_close(d_r);
	return rc;
}

void
saml_close(struct saml_document *d)
{
	if (d->doc != NULL)
		xmlFreeDoc(d->doc);
	*d = (struct saml_document){ NULL };
}
