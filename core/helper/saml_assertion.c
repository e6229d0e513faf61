/* SPDX-License-Identifier: Apache-2.0 */
/* What an assertion says, and whether it says it to us, now, and to what we asked. */
#include <config.h>

#include "saml.h"

#include <stdio.h>
#include <time.h>

#define BEARER "urn:oasis:names:tc:SAML:2.0:cm:bearer"
#define SUCCESS "urn:oasis:names:tc:SAML:2.0:status:Success"
#define ENTITY_FORMAT "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

enum { ATTRIBUTES = 256, VALUES = 2048 };

struct reading {
	struct saml_call *c;
	const struct saml_provider *p;
	const struct saml_wants *w;
	json_t *facts;
	uint64_t until; /* the first of all ends */
};

/* ---- times ---- */

static bool
digits(const char **at, unsigned n, int *out_r)
{
	*out_r = 0;
	for (; n > 0; n--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out_r = *out_r * 10 + (**at - '0');
	}
	return true;
}

static bool
sign(const char **at, char c)
{
	return **at == c ? (*at)++, true : false;
}

/* The zone, in seconds east. */
static bool
zone(const char **at, int *east_r)
{
	int hours = 0, minutes = 0, way = **at == '-' ? -1 : 1;
	*east_r = 0;
	if (sign(at, 'Z'))
		return true;
	if ((!sign(at, '+') && !sign(at, '-')) || !digits(at, 2, &hours) || !sign(at, ':') || !digits(at, 2, &minutes) || hours > 14 || minutes > 59)
		return false;
	*east_r = way * (hours * 3600 + minutes * 60);
	return true;
}

uint64_t
saml_time(const char *text)
{
	struct tm t = { .tm_isdst = 0 };
	int micro = 0, east = 0, digit;
	const char *at = text;
	if (text == NULL || !digits(&at, 4, &t.tm_year) || !sign(&at, '-') || !digits(&at, 2, &t.tm_mon) || !sign(&at, '-') ||
	    !digits(&at, 2, &t.tm_mday) || !sign(&at, 'T') || !digits(&at, 2, &t.tm_hour) || !sign(&at, ':') || !digits(&at, 2, &t.tm_min) ||
	    !sign(&at, ':') || !digits(&at, 2, &t.tm_sec))
		return 0;
	if (sign(&at, '.')) {
		unsigned n = 0;
		for (; digits(&at, 1, &digit); n++)
			micro = n < 6 ? micro * 10 + digit : micro;
		if (n == 0)
			return 0;
		for (; n < 6; n++)
			micro *= 10;
	}
	if (!zone(&at, &east) || *at != '\0' || t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > 31 ||
	    t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
		return 0;
	t.tm_year -= 1900;
	t.tm_mon--;
	long long seconds = (long long)timegm(&t) - east;
	return seconds <= 0 ? 0 : (uint64_t)seconds * 1000000 + (uint64_t)micro;
}

/* An attribute that is a time; 0: it is not there.  An odd one is refused. */
static int
take_time(struct reading *r, const xmlNode *n, const char *name, uint64_t *out_r)
{
	*out_r = 0;
	if (xmlHasProp((xmlNodePtr)(uintptr_t)n, (const xmlChar *)name) == NULL)
		return SP_OK;
	*out_r = saml_time(saml_attribute(r->c, n, name));
	return *out_r == 0 ? saml_refuse(r->c, "its %s is no time in UTC", name) : SP_OK;
}

/* NotBefore and NotOnOrAfter of an element, against our clock. */
static int
check_window(struct reading *r, const xmlNode *n, bool needs_end)
{
	uint64_t from, until, now = r->w->now;
	int rc = take_time(r, n, "NotBefore", &from);
	if (rc == SP_OK)
		rc = take_time(r, n, "NotOnOrAfter", &until);
	if (rc != SP_OK)
		return rc;
	if (until == 0 && needs_end)
		return saml_refuse(r->c, "its %s has no NotOnOrAfter", (const char *)n->name);
	if (from > now + SAML_LEEWAY)
		return saml_refuse(r->c, "it is not good yet: compare the clocks of the gateway and of the identity provider");
	if (until > 0 && now >= until + SAML_LEEWAY)
		return saml_refuse(r->c, "it has expired: compare the clocks of the gateway and of the identity provider, if it was fresh");
	if (until > 0 && until < r->until)
		r->until = until;
	return SP_OK;
}

static int
check_issued(struct reading *r, const xmlNode *n)
{
	uint64_t at = 0;
	const char *version = saml_attribute(r->c, n, "Version");
	int rc = take_time(r, n, "IssueInstant", &at);
	if (rc != SP_OK)
		return rc;
	if (version == NULL || strcmp(version, "2.0") != 0 || at == 0)
		return saml_refuse(r->c, "its %s is not of SAML 2.0, or has no IssueInstant", (const char *)n->name);
	return at > r->w->now + SAML_LEEWAY
	    ? saml_refuse(r->c, "it was issued in the future: compare the clocks of the gateway and of the identity provider")
	    : SP_OK;
}

/* ---- who speaks, and to whom ---- */

static bool
is_text(const char *text, const char *want)
{
	return text != NULL && strcmp(text, want) == 0;
}

static int
check_issuer(struct reading *r, const xmlNode *n, bool needed)
{
	const xmlNode *issuer = saml_child(n, NULL, SAML_NS, "Issuer");
	if (issuer == NULL && !needed)
		return SP_OK;
	const char *format = issuer == NULL ? NULL : saml_attribute(r->c, issuer, "Format");
	if (issuer == NULL || saml_only(n, SAML_NS, "Issuer") != issuer || (format != NULL && strcmp(format, ENTITY_FORMAT) != 0) ||
	    !is_text(saml_text(r->c, issuer), saml_provider_entity(r->p)))
		return saml_refuse(r->c, "its issuer is not the entityID of the metadata, \"%.200s\"", saml_provider_entity(r->p));
	return SP_OK;
}

/* An answer to what was asked, or to nothing where nothing was. */
static int
check_in_response(struct reading *r, const xmlNode *n, bool needed)
{
	const char *to = saml_attribute(r->c, n, "InResponseTo");
	bool there = xmlHasProp((xmlNodePtr)(uintptr_t)n, (const xmlChar *)"InResponseTo") != NULL;
	if (r->w->request[0] == '\0')
		return there ? saml_refuse(r->c, "it answers a request that is not known here, or no longer") : SP_OK;
	if (!there && !needed)
		return SP_OK;
	return is_text(to, r->w->request) ? SP_OK : saml_refuse(r->c, "it does not answer the request that was made (InResponseTo)");
}

static int
check_destination(struct reading *r, const xmlNode *n, const char *ours, bool needed)
{
	const char *to = saml_attribute(r->c, n, "Destination");
	if (xmlHasProp((xmlNodePtr)(uintptr_t)n, (const xmlChar *)"Destination") == NULL && !needed)
		return SP_OK;
	return is_text(to, ours) ? SP_OK : saml_refuse(r->c, "its Destination is \"%.200s\", not \"%.200s\"", to == NULL ? "" : to, ours);
}

/* ---- the subject ---- */

static int
take(struct reading *r, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0' && json_object_set_new(r->facts, name, json_string(text)) != 0)
		return saml_refuse(r->c, "its %s is no UTF-8", name);
	return SP_OK;
}

static int
check_confirmation(struct reading *r, const xmlNode *confirmation)
{
	const xmlNode *data = saml_only(confirmation, SAML_NS, "SubjectConfirmationData");
	if (data == NULL)
		return saml_refuse(r->c, "its bearer confirmation has no data");
	if (!is_text(saml_attribute(r->c, data, "Recipient"), r->w->self.acs))
		return saml_refuse(r->c, "its Recipient is not \"%.200s\"", r->w->self.acs);
	int rc = check_in_response(r, data, true);
	return rc == SP_OK ? check_window(r, data, true) : rc;
}

static int
take_subject(struct reading *r, const xmlNode *assertion)
{
	const xmlNode *subject = saml_only(assertion, SAML_NS, "Subject");
	const xmlNode *name = subject == NULL ? NULL : saml_only(subject, SAML_NS, "NameID");
	const char *text = saml_text(r->c, name);
	if (text == NULL || text[0] == '\0')
		return saml_refuse(r->c, "it has not one subject with one NameID");
	int rc = take(r, "subject", text);
	if (rc == SP_OK)
		rc = take(r, "format", saml_attribute(r->c, name, "Format"));
	if (rc == SP_OK)
		rc = take(r, "qualifier", saml_attribute(r->c, name, "NameQualifier"));
	unsigned bearers = 0;
	for (const xmlNode *s = NULL; rc == SP_OK && (s = saml_child(subject, s, SAML_NS, "SubjectConfirmation")) != NULL;) {
		if (!is_text(saml_attribute(r->c, s, "Method"), BEARER))
			continue;
		bearers++;
		rc = check_confirmation(r, s);
	}
	return rc == SP_OK && bearers == 0 ? saml_refuse(r->c, "its subject is not confirmed by bearer") : rc;
}

/* ---- conditions ---- */

static bool
names_us(struct reading *r, const xmlNode *restriction)
{
	for (const xmlNode *a = NULL; (a = saml_child(restriction, a, SAML_NS, "Audience")) != NULL;)
		if (is_text(saml_text(r->c, a), r->w->self.entity))
			return true;
	return false;
}

static int
check_conditions(struct reading *r, const xmlNode *assertion)
{
	xmlNodePtr conditions = saml_only(assertion, SAML_NS, "Conditions");
	unsigned audiences = 0;
	if (conditions == NULL)
		return saml_refuse(r->c, "it has no conditions: neither an end nor an audience");
	for (xmlNodePtr n = xmlFirstElementChild(conditions); n != NULL; n = xmlNextElementSibling(n)) {
		if (saml_is(n, SAML_NS, "OneTimeUse") || saml_is(n, SAML_NS, "ProxyRestriction"))
			continue; /* it is used once here, and nothing is passed on */
		if (!saml_is(n, SAML_NS, "AudienceRestriction"))
			return saml_refuse(r->c, "it has a condition that is not known here");
		audiences++;
		if (!names_us(r, n))
			return saml_refuse(r->c, "its audience is not \"%.200s\"", r->w->self.entity);
	}
	return audiences == 0 ? saml_refuse(r->c, "it has no audience") : check_window(r, conditions, true);
}

/* ---- statements ---- */

static int
take_statement(struct reading *r, const xmlNode *s)
{
	const xmlNode *context = saml_only(s, SAML_NS, "AuthnContext");
	uint64_t at, until;
	int rc = take_time(r, s, "AuthnInstant", &at);
	if (rc == SP_OK)
		rc = take_time(r, s, "SessionNotOnOrAfter", &until);
	if (rc == SP_OK && (at == 0 || at > r->w->now + SAML_LEEWAY))
		rc = saml_refuse(r->c, "its AuthnInstant is missing, or in the future");
	if (rc == SP_OK && until > 0 && r->w->now >= until)
		rc = saml_refuse(r->c, "its session at the identity provider is over");
	if (rc == SP_OK)
		rc = take(r, "session", saml_attribute(r->c, s, "SessionIndex"));
	if (rc == SP_OK && context != NULL)
		rc = take(r, "context", saml_text(r->c, saml_only(context, SAML_NS, "AuthnContextClassRef")));
	if (rc == SP_OK && (json_object_set_new(r->facts, "session_until", json_integer((json_int_t)until)) != 0 ||
	    json_object_set_new(r->facts, "authenticated", json_integer((json_int_t)at)) != 0))
		rc = SP_ENOMEM;
	return rc;
}

/* A value joins those of its name: one is a text, more are a list. */
static int
add_value(struct reading *r, json_t *all, const char *name, const char *text)
{
	json_t *had = json_object_get(all, name), *value = json_string(text);
	if (value == NULL)
		return saml_refuse(r->c, "an attribute is no UTF-8");
	if (had == NULL)
		return json_object_set_new(all, name, value) == 0 ? SP_OK : saml_refuse(r->c, "the name of an attribute is no UTF-8");
	if (json_is_array(had))
		return json_array_append_new(had, value) == 0 ? SP_OK : SP_ENOMEM;
	json_t *list = json_pack("[O,o]", had, value);
	return list != NULL && json_object_set_new(all, name, list) == 0 ? SP_OK : SP_ENOMEM;
}

static int
take_attributes(struct reading *r, const xmlNode *statement, json_t *all, size_t *values)
{
	int rc = SP_OK;
	for (const xmlNode *a = NULL; rc == SP_OK && (a = saml_child(statement, a, SAML_NS, "Attribute")) != NULL;) {
		const char *name = saml_attribute(r->c, a, "Name");
		if (name == NULL || name[0] == '\0' || json_object_size(all) > ATTRIBUTES)
			return saml_refuse(r->c, "an attribute has no name, or there are more than %d", ATTRIBUTES);
		for (const xmlNode *v = NULL; rc == SP_OK && (v = saml_child(a, v, SAML_NS, "AttributeValue")) != NULL;) {
			const char *text = saml_text(r->c, v); /* one that holds elements says nothing to us */
			if (text != NULL)
				rc = ++*values > VALUES ? saml_refuse(r->c, "it has more than %d values", VALUES) : add_value(r, all, name, text);
		}
	}
	return rc;
}

static int
take_statements(struct reading *r, const xmlNode *assertion)
{
	json_t *all = json_object();
	size_t values = 0, logins = 0;
	int rc = all == NULL || json_object_set_new(r->facts, "attributes", all) != 0 ? SP_ENOMEM : SP_OK;
	for (const xmlNode *s = NULL; rc == SP_OK && (s = saml_child(assertion, s, SAML_NS, "AuthnStatement")) != NULL; logins++)
		rc = logins > 0 ? saml_refuse(r->c, "it has two AuthnStatements") : take_statement(r, s);
	for (const xmlNode *s = NULL; rc == SP_OK && (s = saml_child(assertion, s, SAML_NS, "AttributeStatement")) != NULL;)
		rc = take_attributes(r, s, all, &values);
	return rc == SP_OK && logins == 0 ? saml_refuse(r->c, "it does not say that anybody signed in (AuthnStatement)") : rc;
}

static int
take_assertion(struct reading *r, const xmlNode *assertion)
{
	int rc = check_issued(r, assertion);
	if (rc == SP_OK)
		rc = check_issuer(r, assertion, true);
	if (rc == SP_OK)
		rc = take_subject(r, assertion);
	if (rc == SP_OK)
		rc = check_conditions(r, assertion);
	if (rc == SP_OK)
		rc = take_statements(r, assertion);
	if (rc == SP_OK)
		rc = take(r, "assertion", saml_attribute(r->c, assertion, "ID"));
	if (rc == SP_OK)
		rc = take(r, "issuer", saml_provider_entity(r->p));
	if (rc == SP_OK && json_object_set_new(r->facts, "until", json_integer((json_int_t)r->until)) != 0)
		rc = SP_ENOMEM;
	return rc;
}

/* ---- messages ---- */

static int
check_status(struct reading *r, const xmlNode *response)
{
	const xmlNode *status = saml_only(response, SAML_NS_PROTOCOL, "Status");
	const xmlNode *code = status == NULL ? NULL : saml_only(status, SAML_NS_PROTOCOL, "StatusCode");
	const char *value = code == NULL ? NULL : saml_attribute(r->c, code, "Value");
	if (is_text(value, SUCCESS))
		return SP_OK;
	const xmlNode *second = code == NULL ? NULL : saml_child(code, NULL, SAML_NS_PROTOCOL, "StatusCode");
	const char *more = second == NULL ? NULL : saml_attribute(r->c, second, "Value");
	return saml_refuse(r->c, "the identity provider says %.100s%s%.100s", value == NULL ? "nothing" : value, more == NULL ? "" : ", ",
	    more == NULL ? "" : more);
}

static int
check_response(struct reading *r, const struct saml_document *d)
{
	int rc = check_status(r, d->root);
	if (rc == SP_OK && d->assertion == NULL)
		rc = saml_refuse(r->c, "it has no assertion");
	if (rc == SP_OK)
		rc = check_issued(r, d->root);
	if (rc == SP_OK)
		rc = check_issuer(r, d->root, false);
	if (rc == SP_OK)
		rc = check_destination(r, d->root, r->w->self.acs, saml_has_signature(d->root));
	return rc == SP_OK ? check_in_response(r, d->root, true) : rc;
}

/* Every signature that is there must be good; the assertion is read from what the nearest one covers. */
static int
read_signed(struct reading *r, const struct saml_document *d)
{
	xmlDocPtr whole = NULL, part = NULL;
	int rc = SP_OK;
	if (saml_has_signature(d->root))
		rc = saml_signed(r->c, r->p, d->root, &whole);
	if (rc == SP_OK && saml_has_signature(d->assertion))
		rc = saml_signed(r->c, r->p, d->assertion, &part);
	if (rc == SP_OK && whole == NULL && part == NULL)
		rc = saml_refuse(r->c, "neither it nor its assertion is signed");
	if (rc == SP_OK) {
		const xmlNode *assertion = part != NULL ? xmlDocGetRootElement(part)
							: saml_only(xmlDocGetRootElement(whole), SAML_NS, "Assertion");
		rc = assertion != NULL && saml_is(assertion, SAML_NS, "Assertion") ? take_assertion(r, assertion)
										   : saml_refuse(r->c, "what is signed is no assertion");
	}
	if (whole != NULL)
		xmlFreeDoc(whole);
	if (part != NULL)
		xmlFreeDoc(part);
	return rc;
}

int
saml_response(struct saml_call *c, const struct saml_provider *p, struct sp_bytes base64, const struct saml_wants *w, json_t **facts_r)
{
	struct saml_document d;
	struct reading r = { .c = c, .p = p, .w = w, .facts = json_object(), .until = INT64_MAX };
	*facts_r = NULL;
	int rc = saml_open(c, base64, "Response", &d);
	if (rc == SP_OK)
		rc = check_response(&r, &d);
	if (rc == SP_OK)
		rc = saml_lasso_accepts(c, p, &w->self, d.encoded);
	if (rc == SP_OK)
		rc = read_signed(&r, &d);
	saml_close(&d);
	if (rc == SP_OK)
		*facts_r = json_incref(r.facts);
	json_decref(r.facts);
	return rc;
}

static int
read_logout(struct reading *r, const xmlNode *n)
{
	const xmlNode *name = saml_only(n, SAML_NS, "NameID"), *index = saml_child(n, NULL, SAML_NS_PROTOCOL, "SessionIndex");
	const char *text = saml_text(r->c, name), *id = saml_attribute(r->c, n, "ID");
	if (text == NULL || text[0] == '\0' || id == NULL)
		return saml_refuse(r->c, "it has no id, or not one NameID");
	int rc = check_issued(r, n);
	if (rc == SP_OK)
		rc = check_issuer(r, n, true);
	if (rc == SP_OK)
		rc = check_destination(r, n, r->w->self.logout, true);
	if (rc == SP_OK)
		rc = check_window(r, n, false);
	if (rc == SP_OK)
		rc = take(r, "subject", text);
	if (rc == SP_OK)
		rc = take(r, "session", saml_text(r->c, index));
	if (rc == SP_OK)
		rc = take(r, "id", id);
	return rc == SP_OK ? take(r, "issuer", saml_provider_entity(r->p)) : rc;
}

int
saml_logout(struct saml_call *c, const struct saml_provider *p, struct sp_bytes base64, const struct saml_wants *w, json_t **facts_r)
{
	struct saml_document d;
	struct reading r = { .c = c, .p = p, .w = w, .facts = json_object(), .until = INT64_MAX };
	xmlDocPtr whole = NULL;
	*facts_r = NULL;
	int rc = saml_open(c, base64, "LogoutRequest", &d);
	if (rc == SP_OK)
		rc = saml_has_signature(d.root) ? saml_signed(c, p, d.root, &whole) : saml_refuse(c, "a logout must be signed");
	if (rc == SP_OK)
		rc = read_logout(&r, xmlDocGetRootElement(whole));
	if (whole != NULL)
		xmlFreeDoc(whole);
	saml_close(&d);
	if (rc == SP_OK)
		*facts_r = json_incref(r.facts);
	json_decref(r.facts);
	return rc;
}
