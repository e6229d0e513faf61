/* SPDX-License-Identifier: Apache-2.0 */
/* Issuers, their keys, and the principals that they vouch for. */
#include <config.h>

#include "identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "certificate.h"
#include "jwt.h"
#include "provider.h"
#include "ssh_key.h"

#define GROUPS_MAX 1024
#define CERTIFICATE_ISSUER "x509:" /* and the identity's name */
#define NAME_MAX_BYTES 255
#define LOCAL_TTL_MAX (24u * 3600 * 1000)
#define GROUPS_LEFT_OUT "its issuer left the groups out, being too many (overage): let it send only those that the gateway needs"

struct issuer {
	struct issuer *next;
	const struct identity *identity;
	struct jwks *keys;         /* of a file */
	struct provider *provider; /* asked for keys, when there is no file; for sign-ins */
};

/* Whom an identity lets vouch for clients' certificates. */
struct voucher {
	struct voucher *next;
	const struct identity *identity;
	struct authorities *authorities;
};

struct trust {
	struct issuer *issuers;
	struct voucher *vouchers;
	struct identity local;
};

static char error_text[512];

/* ---- keys of an epoch's issuers ---- */

static int
add_issuer(struct trust *t, const struct identity *i, struct jwks *keys, struct provider *provider)
{
	struct issuer *one = mem_alloc(sizeof(*one));
	*one = (struct issuer){ t->issuers, i, keys, provider };
	t->issuers = one;
	return SP_OK;
}

/* The key set came with the epoch: what the check process read counts, not what stands there now. */
static int
add_identity(struct trust *t, const struct epoch *e, const struct identity *i, struct keeper *asker, const char **err_r)
{
	bool file = strncmp(i->oidc.jwks, "file:", 5) == 0;
	struct provider *provider = asker == NULL || (file && i->oidc.client[0] == '\0') ? NULL : provider_of(asker, i);
	if (!file)
		return add_issuer(t, i, NULL, provider);
	const struct epoch_file *f = epoch_find_file(e, i->oidc.jwks + 5);
	struct jwks *keys = NULL;
	const char *why = "is not in the epoch";
	int rc = f == NULL ? SP_ECONF : f->content.len > JWKS_MAX ? SP_ETOOBIG : jwks_parse(f->content, &keys, &why);
	if (rc == SP_OK)
		return add_issuer(t, i, keys, provider);
	(void)snprintf(error_text, sizeof(error_text), "%s:%u: identity %s: jwks %s: %s", i->b.file, i->b.line, i->b.name,
	    i->oidc.jwks, rc == SP_ETOOBIG ? "is too large" : why);
	*err_r = error_text;
	return rc;
}

static int
add_voucher(struct trust *t, const struct epoch *e, const struct identity *i, const char **err_r)
{
	const struct epoch_file *f = epoch_find_file(e, i->certificate.ca);
	struct voucher *one = mem_alloc(sizeof(*one));
	const char *why = "is not in the epoch", *word = "ca", *path = i->certificate.ca;
	int rc = f == NULL ? SP_ECONF : authorities_new(f->content, &one->authorities, &why);
	one->identity = i;
	one->next = t->vouchers;
	t->vouchers = one;
	if (rc == SP_OK && i->certificate.crl[0] != '\0') {
		const struct epoch_file *crl = epoch_find_file(e, i->certificate.crl);
		word = "crl", path = i->certificate.crl;
		rc = crl == NULL ? SP_ECONF : authorities_revoked(one->authorities, f->content, crl->content, &why);
	}
	if (rc == SP_OK)
		return SP_OK;
	(void)snprintf(error_text, sizeof(error_text), "%s:%u: identity %s: certificate %s=%s %s", i->b.file, i->b.line, i->b.name, word, path, why);
	*err_r = error_text;
	return rc;
}

static int
add_local(struct trust *t, const struct keys *keys, const char **err_r)
{
	struct jwks *set = NULL;
	char kid[17];
	text_hex((struct sp_bytes){ keys->issuer.public, 8 }, kid);
	t->local = (struct identity){
		.b = { .name = "local" },
		.oidc = { .issuer = LOCAL_ISSUER, .client = "", .audience = LOCAL_AUDIENCE_DATA, .api_audience = LOCAL_AUDIENCE_API, .jwks = "" },
		.class = CLASS_HUMAN,
		.user = { "sub", "" },
		.groups = { "groups" },
		.person = { "sub" },
		.sponsor = { "" },
		.token_use = TOKEN_ADDRESS,
		.max_age = LOCAL_TTL_MAX,
	};
	int rc = jwks_local(keys->issuer.public, kid, &set, err_r);
	return rc == SP_OK ? add_issuer(t, &t->local, set, NULL) : rc;
}

int
trust_new(const struct epoch *e, const struct keys *keys, struct keeper *asker, struct trust **t_r, const char **err_r)
{
	struct trust *t = mem_alloc(sizeof(*t));
	int rc = SP_OK;
	*t_r = NULL;
	for (const struct identity *i = e->settings.identities; rc == SP_OK && i != NULL; i = (const struct identity *)i->b.next)
		rc = i->saml.metadata[0] != '\0'      ? SP_OK /* saml.c reads those */
		    : i->certificate.ca[0] != '\0' ? add_voucher(t, e, i, err_r)
						   : add_identity(t, e, i, asker, err_r);
	if (rc == SP_OK && e->settings.local_issuer)
		rc = add_local(t, keys, err_r);
	if (rc != SP_OK)
		trust_free(&t);
	*t_r = t;
	return rc;
}

void
trust_free(struct trust **t)
{
	if (*t == NULL)
		return;
	for (struct issuer *i = (*t)->issuers, *next; i != NULL; i = next) {
		next = i->next;
		jwks_free(&i->keys);
		free(i);
	}
	for (struct voucher *v = (*t)->vouchers, *next; v != NULL; v = next) {
		next = v->next;
		authorities_free(&v->authorities);
		free(v);
	}
	free(*t);
	*t = NULL;
}

/* ---- claims ---- */

static const char *const class_names[] = { [CLASS_HUMAN] = "human", [CLASS_WORKLOAD] = "workload", [CLASS_AGENT] = "agent" };
#define CLASSES (sizeof(class_names) / sizeof(*class_names))

/* The operator's word; only our own issuer may say it itself. */
static const char *
class_of(const struct identity *i, const json_t *claims)
{
	const char *said = json_string_value(json_object_get(claims, "class"));
	if (strcmp(i->oidc.issuer, LOCAL_ISSUER) != 0 || said == NULL)
		return class_names[i->class < CLASSES ? i->class : CLASS_AGENT];
	for (size_t c = 0; c < CLASSES; c++) {
		if (strcmp(said, class_names[c]) == 0)
			return class_names[c];
	}
	return class_names[CLASS_AGENT];
}

/* Fit to be shown, compared and logged: not empty, not long, no controls. */
static bool
name_fits(const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text);
	if (n == 0 || n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return true;
}

static int
take_name(struct arena *a, const json_t *claims, const char *claim, const char **out_r)
{
	const char *text = json_string_value(json_object_get(claims, claim));
	*out_r = name_fits(text) ? arena_string(a, sp_str(text)) : NULL;
	return *out_r == NULL ? SP_EDENIED : SP_OK;
}

/* A list of names, or one. */
static int
take_groups(struct arena *a, const json_t *v, struct sp_strings *out_r)
{
	size_t n = json_is_string(v) ? 1 : json_array_size(v);
	*out_r = (struct sp_strings){ NULL, 0 };
	if (v == NULL)
		return SP_OK;
	if ((!json_is_array(v) && !json_is_string(v)) || n > GROUPS_MAX)
		return SP_EDENIED;
	const char **list = arena_alloc(a, n * sizeof(*list));
	for (size_t i = 0; list != NULL && i < n; i++) {
		const char *text = json_string_value(json_is_string(v) ? v : json_array_get(v, i));
		list[i] = name_fits(text) ? arena_string(a, sp_str(text)) : NULL;
		if (list[i] == NULL)
			return SP_EDENIED;
	}
	*out_r = (struct sp_strings){ list, n };
	return list == NULL ? SP_ENOMEM : SP_OK;
}

static bool
claim_is(const json_t *v, const char *want)
{
	char text[32];
	if (json_is_string(v))
		return strcmp(json_string_value(v), want) == 0;
	if (json_is_boolean(v))
		return strcmp(json_is_true(v) ? "true" : "false", want) == 0;
	if (!json_is_integer(v))
		return false;
	(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	return strcmp(text, want) == 0;
}

/* Of a list, one element must be it. */
static bool
claim_has(const json_t *v, const char *want)
{
	size_t n = json_array_size(v);
	for (size_t i = 0; i < n; i++) {
		if (claim_is(json_array_get(v, i), want))
			return true;
	}
	return claim_is(v, want);
}

static bool
allowed(const struct identity *i, const json_t *claims)
{
	for (size_t k = 0; k < i->allow.n; k++) {
		if (!claim_has(json_object_get(claims, i->allow.key[k]), i->allow.value[k]))
			return false;
	}
	return true;
}

static bool
in_any(const struct sp_strings *have, const struct sp_strings *want)
{
	for (size_t i = 0; i < want->n; i++) {
		if (strings_have(have, want->v[i]))
			return true;
	}
	return false;
}

/*
 * A person approves when the rule's group says so; `roles approver` narrows that further.  What
 * the local issuer vouches for was minted by whoever may operate anyway: its roles are groups.
 */
static unsigned
rights(const struct identity *i, const struct principal *p)
{
	static const char *const auditors[] = { "auditor" }, *const admins[] = { "admin" }, *const meters[] = { "metrics" };
	const struct sp_strings local_auditor = { auditors, 1 }, local_admin = { admins, 1 }, local_metrics = { meters, 1 };
	bool local = strcmp(p->issuer, LOCAL_ISSUER) == 0;
	unsigned may = MAY_USE;
	if (strcmp(p->class, class_names[CLASS_HUMAN]) == 0 && (i->roles.approver.n == 0 || in_any(&p->groups, &i->roles.approver)))
		may |= MAY_APPROVE;
	if (in_any(&p->groups, local ? &local_auditor : &i->roles.auditor))
		may |= MAY_AUDIT;
	if (in_any(&p->groups, local ? &local_admin : &i->roles.admin))
		may |= MAY_OPERATE;
	if (in_any(&p->groups, local ? &local_metrics : &i->roles.metrics))
		may |= MAY_MEASURE;
	return may;
}

static int
name_roles(struct arena *a, unsigned may, struct sp_strings *out_r)
{
	static const struct {
		unsigned bit;
		const char *name;
	} roles[] = { { MAY_APPROVE, "approver" }, { MAY_AUDIT, "auditor" }, { MAY_OPERATE, "admin" } };
	const char **list = arena_alloc(a, sizeof(roles) / sizeof(*roles) * sizeof(*list));
	size_t n = 0;
	for (size_t i = 0; list != NULL && i < sizeof(roles) / sizeof(*roles); i++) {
		if ((may & roles[i].bit) != 0)
			list[n++] = roles[i].name;
	}
	*out_r = (struct sp_strings){ list, n };
	return list == NULL ? SP_ENOMEM : SP_OK;
}

static int
fail(const char **err_r, const char *why)
{
	*err_r = why;
	return SP_EDENIED;
}

/*
 * A provider that knows too many groups to list them names a place to ask instead (`_claim_names`, `hasgroups`,
 * a group "groups:src1").  That must not be read as no groups.
 */
static bool
groups_left_out(const struct identity *i, const json_t *claims)
{
	const json_t *groups = json_object_get(claims, i->groups.claim), *more = json_object_get(claims, "hasgroups");
	if (json_object_get(json_object_get(claims, "_claim_names"), i->groups.claim) != NULL || claim_is(more, "true") || claim_is(more, "1"))
		return true;
	for (size_t k = 0; k < json_array_size(groups); k++) {
		const char *text = json_string_value(json_array_get(groups, k));
		if (text != NULL && strncmp(text, "groups:src", 10) == 0)
			return true;
	}
	return json_is_string(groups) && strncmp(json_string_value(groups), "groups:src", 10) == 0;
}

/* Whom an agent works for: where the conf says which claim has it, it must be there. */
static int
take_sponsor(const struct identity *i, struct arena *a, const json_t *claims, struct principal *p)
{
	bool local = strcmp(i->oidc.issuer, LOCAL_ISSUER) == 0;
	p->sponsor = "";
	if (strcmp(p->class, class_names[CLASS_AGENT]) != 0)
		return SP_OK;
	return take_name(a, claims, local ? "sponsor" : i->sponsor.claim, &p->sponsor);
}

/* When and how it proved who it is: told to people and policies, so oddities are left out. */
static void
take_authentication(struct arena *a, const json_t *claims, struct principal *p)
{
	const json_t *at = json_object_get(claims, "auth_time");
	json_int_t seconds = json_is_integer(at) ? json_integer_value(at) : 0;
	p->authenticated = seconds > 0 && seconds <= INT64_MAX / 2000000 ? (uint64_t)seconds * 1000000 : 0;
	if (take_groups(a, json_object_get(claims, "amr"), &p->methods) != SP_OK)
		p->methods = (struct sp_strings){ NULL, 0 };
}

static int
take_claims(const struct identity *i, const json_t *claims, struct arena *a, struct principal *p, const char **err_r)
{
	if (!allowed(i, claims))
		return fail(err_r, "a claim is not what the identity's allow wants");
	if (take_name(a, claims, i->user.claim, &p->user) != SP_OK)
		return fail(err_r, "the claim with the user's name is missing or odd");
	if (take_name(a, claims, "sub", &p->subject) != SP_OK)
		return fail(err_r, "its subject (sub) is missing or odd");
	if (groups_left_out(i, claims))
		return fail(err_r, GROUPS_LEFT_OUT);
	if (take_groups(a, json_object_get(claims, i->groups.claim), &p->groups) != SP_OK)
		return fail(err_r, "the claim with the groups is odd");
	p->class = class_of(i, claims);
	if (take_sponsor(i, a, claims, p) != SP_OK)
		return fail(err_r, "the claim with the agent's sponsor is missing or odd");
	if (i->user.show[0] == '\0' || take_name(a, claims, i->user.show, &p->name) != SP_OK)
		p->name = p->user;
	if (i->person.claim[0] == '\0' || take_name(a, claims, i->person.claim, &p->person) != SP_OK)
		p->person = "";
	take_authentication(a, claims, p);
	return SP_OK;
}

static int
principal_of(const struct identity *i, const struct jwt *t, struct arena *a, struct verified *v, const char **err_r)
{
	struct principal *p = &v->principal;
	char id[2 * DIGEST_LEN + 1];
	int rc = take_claims(i, t->claims, a, p, err_r);
	if (rc != SP_OK)
		return rc;
	p->identity = arena_string(a, sp_str(i->b.name));
	p->issuer = arena_string(a, sp_str(i->oidc.issuer));
	text_hex((struct sp_bytes){ t->id, DIGEST_LEN }, id);
	p->token = arena_string(a, sp_str(id));
	p->expires = t->expires;
	if (p->identity == NULL || p->issuer == NULL || p->token == NULL)
		return SP_ENOMEM;
	v->issued = t->issued;
	v->token_use = i->token_use;
	v->may = rights(i, p);
	return name_roles(a, v->may, &p->roles);
}

static const struct jwks *
keys_of(const struct issuer *i)
{
	return i->keys != NULL ? i->keys : i->provider != NULL ? provider_keys(i->provider) : NULL;
}

/* True when its provider is asked for a key that it does not know yet. */
static bool
key_may_come(const struct issuer *i, struct sp_bytes token, struct arena *a)
{
	const struct jwks *keys = keys_of(i);
	if (i->keys != NULL || i->provider == NULL)
		return false;
	if (keys == NULL)
		return provider_unknown(i->provider);
	const char *kid = jwt_kid(token, a);
	return kid != NULL && jwks_find(keys, kid) == NULL && provider_unknown(i->provider);
}

/* One identity's judgement.  SP_EDENIED with *genuine_r: its issuer made that token for us, but its claims do not do. */
static int
judge(const struct issuer *i, struct sp_bytes token, enum audience audience, struct arena *a, struct verified *v_r, const char **err_r,
    bool *genuine_r)
{
	bool data = audience == AUDIENCE_DATA;
	const struct jwks *keys = keys_of(i);
	*genuine_r = false;
	if (keys == NULL)
		return fail(err_r, "the issuer's keys are not known");
	const char *ours = data ? i->identity->oidc.audience : i->identity->oidc.api_audience;
	const char *other = data ? i->identity->oidc.api_audience : i->identity->oidc.audience;
	const struct jwt_rules rules = { .keys = keys, .issuer = i->identity->oidc.issuer, .audience = ours, .other_audience = other,
		.now = clock_wall_us(), .max_age = i->identity->max_age };
	struct jwt jwt;
	int rc = jwt_verify(token, &rules, &jwt, err_r);
	*genuine_r = rc == SP_OK;
	if (rc != SP_OK)
		return rc;
	rc = principal_of(i->identity, &jwt, a, v_r, err_r);
	jwt_clear(&jwt);
	return rc;
}

int
identity_verify(const struct trust *t, struct sp_bytes token, enum audience audience, struct arena *a, struct verified *v_r,
    const char **err_r)
{
	const char *issuer = NULL, *why = NULL;
	bool known = false, later = false;
	*v_r = (struct verified){ 0 };
	*err_r = "it is from an issuer that no identity names";
	if (jwt_issuer(token, a, &issuer) != SP_OK)
		return fail(err_r, "it is no token");
	for (const struct issuer *i = t->issuers; i != NULL && !known; i = i->next) {
		if (strcmp(i->identity->oidc.issuer, issuer) != 0)
			continue;
		if (judge(i, token, audience, a, v_r, &why, &known) == SP_OK)
			return SP_OK;
		later = later || (!known && key_may_come(i, token, a));
		*err_r = why;
	}
	*v_r = (struct verified){ 0 };
	/* Of a genuine token its holder may hear this: it cannot be guessed from "access denied". */
	if (known && strcmp(*err_r, GROUPS_LEFT_OUT) == 0)
		v_r->tell = *err_r;
	return later && !known ? SP_ETIME : SP_EDENIED;
}

/* ---- clients' certificates ---- */

static int
principal_certified(const struct identity *i, const struct certificate *c, struct arena *a, struct verified *v, const char **err_r)
{
	static const char *const methods[] = { "certificate" };
	struct principal *p = &v->principal;
	uint64_t until = clock_wall_us() + i->session * 1000;
	char id[2 * DIGEST_LEN + 1];
	int rc = take_claims(i, c->claims, a, p, err_r);
	if (rc != SP_OK)
		return rc;
	p->identity = arena_string(a, sp_str(i->b.name));
	p->issuer = arena_printf(a, CERTIFICATE_ISSUER "%s", i->b.name);
	text_hex((struct sp_bytes){ c->id, DIGEST_LEN }, id);
	p->token = arena_string(a, sp_str(id));
	p->expires = c->expires < until ? c->expires : until;
	p->methods = (struct sp_strings){ methods, 1 };
	*err_r = "no memory for a session";
	if (p->identity == NULL || p->issuer == NULL || p->token == NULL)
		return SP_ENOMEM;
	v->issued = c->issued;
	v->token_use = TOKEN_ANY; /* it is no secret: who shows it has the key */
	v->may = rights(i, p);
	return name_roles(a, v->may, &p->roles);
}

int
identity_certificate(const struct trust *t, struct sp_bytes chain, struct arena *a, struct verified *v_r, const char **err_r)
{
	int rc = SP_EDENIED;
	bool judged = false;
	*err_r = "no identity is of certificates";
	/*
	 * Those with an `allow` first, and the first whose authorities and `allow` fit is the one: what its own identity refuses
	 * (a workload's, an agent's) must not come in as somebody of another one.
	 */
	for (unsigned pass = 0; pass < 2; pass++)
		for (const struct voucher *v = t->vouchers; v != NULL && !judged; v = v->next) {
			struct certificate c;
			if ((v->identity->allow.n > 0) != (pass == 0))
				continue;
			rc = certificate_check(v->authorities, chain, &c, err_r);
			judged = rc == SP_OK && allowed(v->identity, c.claims);
			*v_r = (struct verified){ 0 };
			if (rc == SP_OK)
				rc = principal_certified(v->identity, &c, a, v_r, err_r);
			json_decref(c.claims);
		}
	if (rc != SP_OK)
		*v_r = (struct verified){ 0 };
	return rc;
}

/* ---- sign-ins ---- */

static const struct issuer *
issuer_of(const struct trust *t, const char *identity)
{
	const struct issuer *i = t->issuers;
	while (i != NULL && strcmp(i->identity->b.name, identity) != 0)
		i = i->next;
	return i;
}

struct provider *
identity_provider(const struct trust *t, const char *identity)
{
	const struct issuer *i = issuer_of(t, identity);
	return i == NULL ? NULL : i->provider;
}

/* Of the identity's client.  Nothing is set on failure. */
static int
client_token(const struct issuer *i, struct sp_bytes token, bool logout, struct arena *a, struct jwt *jwt_r, const char **err_r)
{
	*jwt_r = (struct jwt){ 0 };
	if (i == NULL || i->identity->oidc.client[0] == '\0')
		return fail(err_r, "there is no identity of that name that one can sign in with");
	const struct jwks *keys = keys_of(i);
	if (key_may_come(i, token, a))
		return SP_ETIME;
	if (keys == NULL)
		return fail(err_r, "the issuer's keys are not known");
	const struct jwt_rules rules = { .keys = keys, .issuer = i->identity->oidc.issuer, .audience = i->identity->oidc.client,
		.other_audience = "", .now = clock_wall_us(), .logout = logout };
	return jwt_verify(token, &rules, jwt_r, err_r);
}

int
identity_id_token(const struct trust *t, const char *identity, const struct id_token_wanted *w, struct arena *a, struct id_token *t_r,
    const char **err_r)
{
	const struct issuer *i = issuer_of(t, identity);
	struct jwt jwt;
	*t_r = (struct id_token){ .sid = "" };
	int rc = client_token(i, w->token, false, a, &jwt, err_r);
	if (rc != SP_OK)
		return rc;
	const char *nonce = json_string_value(json_object_get(jwt.claims, "nonce"));
	const char *sid = json_string_value(json_object_get(jwt.claims, "sid"));
	if (w->nonce != NULL && (nonce == NULL || strcmp(nonce, w->nonce) != 0))
		rc = fail(err_r, "the id_token is not for this sign-in (nonce)");
	if (rc == SP_OK)
		rc = take_claims(i->identity, jwt.claims, a, &t_r->principal, err_r);
	if (rc == SP_OK) {
		t_r->principal.identity = arena_string(a, sp_str(identity));
		t_r->principal.issuer = arena_string(a, sp_str(i->identity->oidc.issuer));
		t_r->principal.token = "";
		t_r->sid = name_fits(sid) ? arena_string(a, sp_str(sid)) : "";
		t_r->issued = jwt.issued;
	}
	if (rc == SP_OK && (t_r->principal.identity == NULL || t_r->principal.issuer == NULL || t_r->sid == NULL))
		rc = SP_ENOMEM;
	jwt_clear(&jwt);
	if (rc != SP_OK)
		*t_r = (struct id_token){ .sid = "" };
	return rc;
}

int
identity_logout_claims(const struct jwt *jwt, const char *issuer, struct arena *a, struct logout_token *t, const char **err_r)
{
	static const char event[] = "http://schemas.openid.net/event/backchannel-logout";
	const json_t *sub = json_object_get(jwt->claims, "sub"), *sid = json_object_get(jwt->claims, "sid");
	char id[2 * DIGEST_LEN + 1];
	if (!json_is_object(json_object_get(json_object_get(jwt->claims, "events"), event)))
		return fail(err_r, "it is no logout token (events)");
	if (json_object_get(jwt->claims, "nonce") != NULL)
		return fail(err_r, "it has a nonce, which a logout token must not have");
	if (json_object_get(jwt->claims, "jti") == NULL)
		return fail(err_r, "it has no id (jti)");
	if ((sub != NULL && !name_fits(json_string_value(sub))) || (sid != NULL && !name_fits(json_string_value(sid))) || (sub == NULL && sid == NULL))
		return fail(err_r, "it names neither a subject (sub) nor a session (sid), or oddly");
	text_hex((struct sp_bytes){ jwt->id, DIGEST_LEN }, id);
	*t = (struct logout_token){ .issuer = arena_string(a, sp_str(issuer)), .id = arena_string(a, sp_str(id)),
		.subject = sub == NULL ? "" : arena_string(a, sp_str(json_string_value(sub))),
		.sid = sid == NULL ? "" : arena_string(a, sp_str(json_string_value(sid))), .issued = jwt->issued, .expires = jwt->expires };
	return t->issuer == NULL || t->id == NULL || t->subject == NULL || t->sid == NULL ? SP_ENOMEM : SP_OK;
}

int
identity_logout_token(const struct trust *t, const char *identity, struct sp_bytes token, struct arena *a, struct logout_token *t_r,
    const char **err_r)
{
	const struct issuer *i = issuer_of(t, identity);
	struct jwt jwt;
	*t_r = (struct logout_token){ 0 };
	int rc = client_token(i, token, true, a, &jwt, err_r);
	if (rc != SP_OK)
		return rc;
	rc = identity_logout_claims(&jwt, i->identity->oidc.issuer, a, t_r, err_r);
	jwt_clear(&jwt);
	return rc;
}

static bool
vouches(const struct identity *i, const struct principal *p)
{
	bool saml = strncmp(p->issuer, "saml:", 5) == 0;
	const size_t n = sizeof(CERTIFICATE_ISSUER) - 1;
	if (i != NULL && i->certificate.ca[0] != '\0')
		return i->class < CLASSES && strcmp(p->class, class_names[i->class]) == 0 && strncmp(p->issuer, CERTIFICATE_ISSUER, n) == 0 &&
		    strcmp(p->issuer + n, i->b.name) == 0;
	return i != NULL && i->class < CLASSES && strcmp(p->class, class_names[i->class]) == 0 && (saml == (i->oidc.issuer[0] == '\0')) &&
	    (saml || strcmp(p->issuer, i->oidc.issuer) == 0);
}

bool
identity_stands(const struct settings *s, const struct principal *p)
{
	if (strcmp(p->identity, "local") == 0)
		return s->local_issuer && strcmp(p->issuer, LOCAL_ISSUER) == 0;
	if (strcmp(p->identity, "unix") == 0)
		return s->local_issuer && strings_have(&s->control.may, "mint");
	if (strcmp(p->identity, "ssh_key") == 0)
		return ssh_key_stands(s, p);
	return vouches(settings_identity(s, p->identity), p);
}

/* Of an account at the control socket. */
static int
unix_rights(const struct settings *s, struct arena *a, struct verified *v)
{
	v->may = MAY_USE | MAY_OPERATE | MAY_AUDIT;
	if (strings_have(&s->control.may, "approve"))
		v->may |= MAY_APPROVE;
	if (strings_have(&s->control.may, "mint") && s->local_issuer)
		v->may |= MAY_MINT;
	return name_roles(a, v->may, &v->principal.roles);
}

int
identity_renew(const struct settings *s, struct arena *a, struct verified *v)
{
	const struct identity *i = settings_identity(s, v->principal.identity);
	if (strcmp(v->principal.identity, "unix") == 0 && strcmp(v->principal.issuer, "unix") == 0) {
		/* By a link, for an hour: tokens of a day are for who is at the socket itself. */
		int rc = unix_rights(s, a, v);
		v->may &= ~(unsigned)MAY_MINT;
		return rc == SP_OK ? name_roles(a, v->may, &v->principal.roles) : rc;
	}
	if (!vouches(i, &v->principal))
		return SP_EDENIED;
	v->token_use = i->token_use;
	v->may = rights(i, &v->principal);
	return name_roles(a, v->may, &v->principal.roles);
}

/* ---- SAML, and sign-ins ---- */

/* Only the attributes that the conf names, and then what no attribute may say. */
static json_t *
claims_of(const struct identity *i, const json_t *facts)
{
	const json_t *all = json_object_get(facts, "attributes"), *context = json_object_get(facts, "context");
	const char *const names[] = { i->user.claim, i->user.show, i->person.claim, i->groups.claim };
	json_t *claims = json_object();
	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++)
		(void)json_object_set(claims, names[n], json_object_get(all, names[n]));
	for (size_t n = 0; n < i->allow.n; n++)
		(void)json_object_set(claims, i->allow.key[n], json_object_get(all, i->allow.key[n]));
	(void)json_object_del(claims, "amr");
	(void)json_object_set(claims, "sub", json_object_get(facts, "subject"));
	(void)json_object_set_new(claims, "auth_time", json_integer(json_integer_value(json_object_get(facts, "authenticated")) / 1000000));
	if (json_is_string(context))
		(void)json_object_set(claims, "amr", (json_t *)(uintptr_t)context);
	return claims;
}

int
identity_saml(const struct identity *i, const char *issuer, const json_t *facts, struct arena *a, struct verified *v_r, const char **err_r)
{
	struct principal *p = &v_r->principal;
	const char *format = json_string_value(json_object_get(facts, "format"));
	*v_r = (struct verified){ 0 };
	if (format != NULL && strstr(format, ":transient") != NULL)
		return fail(err_r, "its NameID is transient, another one each time: let the provider send a persistent one, or an address");
	json_t *claims = claims_of(i, facts);
	int rc = take_claims(i, claims, a, p, err_r);
	json_decref(claims);
	p->identity = arena_string(a, sp_str(i->b.name));
	p->issuer = arena_string(a, sp_str(issuer));
	p->token = "";
	if (rc == SP_OK && (p->identity == NULL || p->issuer == NULL))
		rc = SP_ENOMEM;
	if (rc == SP_OK) {
		v_r->token_use = i->token_use;
		v_r->may = rights(i, p);
		rc = name_roles(a, v_r->may, &p->roles);
	}
	if (rc != SP_OK)
		*v_r = (struct verified){ 0 };
	return rc;
}

/* ---- revocation ---- */

static int
take_not_before(void *owner, const struct field *row)
{
	*(uint64_t *)owner = row[0].q;
	return SP_OK;
}

bool
identity_revoked_since(struct store *s, const struct principal *p, uint64_t made)
{
	uint64_t not_before = 0;
	const struct field args[] = { Z(p->issuer), Z(p->subject), Z(p->user) };
	if (store_read(s, STORE_REVOKED, args, take_not_before, &not_before) != SP_OK)
		return true;
	return not_before > 0 && made <= not_before;
}

bool
identity_revoked(struct store *s, const struct principal *p, uint64_t issued)
{
	/* Another's clock may be ahead of ours by as much as its tokens may come from the future. */
	bool own_clock = strcmp(p->issuer, LOCAL_ISSUER) == 0 || strcmp(p->issuer, "unix") == 0;
	uint64_t ahead = own_clock ? 0 : (uint64_t)JWT_LEEWAY * 1000000;
	return identity_revoked_since(s, p, issued > ahead ? issued - ahead : 0);
}

/* ---- callers on the control socket ---- */

int
identity_local(struct arena *a, const char *user, const json_t *groups, struct principal *p_r)
{
	size_t n = json_array_size(groups);
	const char **list = arena_alloc(a, (n + 1) * sizeof(*list));
	*p_r = (struct principal){ .identity = "local", .issuer = LOCAL_ISSUER, .user = user, .subject = user, .name = user, .person = user,
		.sponsor = "", .class = class_names[CLASS_HUMAN], .token = "" };
	if (list == NULL)
		return SP_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		list[i] = json_string_value(json_array_get(groups, i));
		if (list[i] == NULL || !name_fits(list[i]))
			return SP_EPROTO;
	}
	p_r->groups = (struct sp_strings){ list, n };
	return name_fits(user) ? SP_OK : SP_EPROTO;
}

int
identity_unix(const struct settings *s, struct sp_bytes name, struct arena *a, struct verified *v_r)
{
	*v_r = (struct verified){ 0 };
	struct principal *p = &v_r->principal;
	p->user = arena_printf(a, "unix:%.*s", (int)(name.len > NAME_MAX_BYTES ? NAME_MAX_BYTES : name.len), (const char *)name.p);
	if (name.len == 0 || p->user == NULL || !name_fits(p->user))
		return SP_EDENIED;
	p->identity = "unix";
	p->issuer = "unix";
	p->subject = p->name = p->person = p->user;
	p->sponsor = "";
	p->class = "human";
	p->token = "";
	p->expires = INT64_MAX;
	return unix_rights(s, a, v_r);
}

/* ann by a token, and ann at the control socket */
const char *
identity_account(const struct principal *p)
{
	return strcmp(p->identity, "unix") == 0 && strncmp(p->user, "unix:", 5) == 0 ? p->user + 5 : p->user;
}

static bool
alike(const char *a, const char *b)
{
	return a != NULL && b != NULL && a[0] != '\0' && strcasecmp(a, b) == 0;
}

bool
identity_same(const struct principal *a, const struct principal *b)
{
	if (a->subject[0] != '\0' && strcmp(a->issuer, b->issuer) == 0 && strcmp(a->subject, b->subject) == 0)
		return true;
	if (a->person[0] != '\0' && strcmp(a->person, b->person) == 0)
		return true;
	/* Whose identity does not say which person it is may be that of another identity with a name of theirs. */
	if ((a->person[0] == '\0' || b->person[0] == '\0') &&
	    (alike(a->user, b->user) || alike(a->user, b->name) || alike(a->name, b->user) || alike(a->name, b->name) ||
		alike(a->user, b->person) || alike(a->person, b->user) || alike(a->name, b->person) || alike(a->person, b->name)))
		return true;
	bool by_socket = strcmp(a->identity, "unix") == 0 || strcmp(b->identity, "unix") == 0;
	return by_socket && strcmp(identity_account(a), identity_account(b)) == 0;
}

static bool
named(const struct principal *agent, const char *name)
{
	return agent->sponsor != NULL && agent->sponsor[0] != '\0' && name != NULL && strcmp(name, agent->sponsor) == 0;
}

bool
identity_sponsors(const struct principal *p, const struct principal *agent)
{
	return named(agent, p->person) || named(agent, p->subject) || named(agent, p->user) || named(agent, p->name) ||
	    (p->identity != NULL && named(agent, identity_account(p)));
}

bool
identity_is_sponsor(const struct principal *p, const struct principal *agent)
{
	bool same_issuer = strcmp(p->issuer, agent->issuer) == 0;
	return strcmp(agent->class, "agent") == 0 && (named(agent, p->person) || (same_issuer && named(agent, p->subject)));
}
