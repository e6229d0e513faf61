/* SPDX-License-Identifier: Apache-2.0 */
/* Issuers, their keys, and the principals that they vouch for. */
#include <config.h>

#include "identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "jwt.h"

#define GROUPS_MAX 1024
#define NAME_MAX_BYTES 255
#define LOCAL_TTL_MAX (24u * 3600 * 1000)

struct issuer {
	struct issuer *next;
	const struct identity *identity;
	struct jwks *keys;
};

struct trust {
	struct issuer *issuers;
	struct identity local;
};

static char error_text[512];

/* ---- keys of an epoch's issuers ---- */

static int
add_issuer(struct trust *t, const struct identity *i, struct jwks *keys)
{
	struct issuer *one = mem_alloc(sizeof(*one));
	*one = (struct issuer){ t->issuers, i, keys };
	t->issuers = one;
	return SP_OK;
}

/* The key set came with the epoch: what the check process read counts, not what stands there now. */
static int
add_identity(struct trust *t, const struct epoch *e, const struct identity *i, const char **err_r)
{
	const struct epoch_file *f = strncmp(i->oidc.jwks, "file:", 5) == 0 ? epoch_find_file(e, i->oidc.jwks + 5) : NULL;
	struct jwks *keys = NULL;
	const char *why = "is not in the epoch";
	int rc = f == NULL ? SP_ECONF : f->content.len > JWKS_MAX ? SP_ETOOBIG : jwks_parse(f->content, &keys, &why);
	if (rc == SP_OK)
		return add_issuer(t, i, keys);
	(void)snprintf(error_text, sizeof(error_text), "%s:%u: identity %s: jwks %s: %s", i->b.file, i->b.line, i->b.name,
	    i->oidc.jwks, rc == SP_ETOOBIG ? "is too large" : why);
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
		.oidc = { LOCAL_ISSUER, LOCAL_AUDIENCE_DATA, LOCAL_AUDIENCE_API, "" },
		.class = CLASS_HUMAN,
		.user = { "sub", "" },
		.groups = { "groups" },
		.person = { "sub" },
		.token_use = TOKEN_ADDRESS,
		.max_age = LOCAL_TTL_MAX,
	};
	int rc = jwks_local(keys->issuer.public, kid, &set, err_r);
	return rc == SP_OK ? add_issuer(t, &t->local, set) : rc;
}

int
trust_new(const struct epoch *e, const struct keys *keys, struct trust **t_r, const char **err_r)
{
	struct trust *t = mem_alloc(sizeof(*t));
	int rc = SP_OK;
	*t_r = NULL;
	for (const struct identity *i = e->settings.identities; rc == SP_OK && i != NULL; i = (const struct identity *)i->b.next)
		rc = add_identity(t, e, i, err_r);
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

static bool
allowed(const struct identity *i, const json_t *claims)
{
	for (size_t k = 0; k < i->allow.n; k++) {
		if (!claim_is(json_object_get(claims, i->allow.key[k]), i->allow.value[k]))
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
	static const char *const auditors[] = { "auditor" }, *const admins[] = { "admin" };
	const struct sp_strings local_auditor = { auditors, 1 }, local_admin = { admins, 1 };
	bool local = strcmp(p->issuer, LOCAL_ISSUER) == 0;
	unsigned may = MAY_USE;
	if (strcmp(p->class, class_names[CLASS_HUMAN]) == 0 && (i->roles.approver.n == 0 || in_any(&p->groups, &i->roles.approver)))
		may |= MAY_APPROVE;
	if (in_any(&p->groups, local ? &local_auditor : &i->roles.auditor))
		may |= MAY_AUDIT;
	if (in_any(&p->groups, local ? &local_admin : &i->roles.admin))
		may |= MAY_OPERATE;
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

static int
principal_of(const struct identity *i, const struct jwt *t, struct arena *a, struct verified *v, const char **err_r)
{
	struct principal *p = &v->principal;
	char id[2 * DIGEST_LEN + 1];
	if (!allowed(i, t->claims))
		return fail(err_r, "a claim is not what the identity's allow wants");
	if (take_name(a, t->claims, i->user.claim, &p->user) != SP_OK)
		return fail(err_r, "the claim with the user's name is missing or odd");
	if (take_name(a, t->claims, "sub", &p->subject) != SP_OK)
		return fail(err_r, "its subject (sub) is missing or odd");
	if (take_groups(a, json_object_get(t->claims, i->groups.claim), &p->groups) != SP_OK)
		return fail(err_r, "the claim with the groups is odd");
	if (i->user.show[0] == '\0' || take_name(a, t->claims, i->user.show, &p->name) != SP_OK)
		p->name = p->user;
	if (i->person.claim[0] == '\0' || take_name(a, t->claims, i->person.claim, &p->person) != SP_OK)
		p->person = "";
	p->identity = arena_string(a, sp_str(i->b.name));
	p->issuer = arena_string(a, sp_str(i->oidc.issuer));
	p->class = class_of(i, t->claims);
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

int
identity_verify(const struct trust *t, struct sp_bytes token, enum audience audience, struct arena *a, struct verified *v_r,
    const char **err_r)
{
	const char *issuer = NULL;
	*v_r = (struct verified){ 0 };
	*err_r = "it is from an issuer that no identity names";
	if (jwt_issuer(token, a, &issuer) != SP_OK)
		return fail(err_r, "it is no token");
	for (const struct issuer *i = t->issuers; i != NULL; i = i->next) {
		if (strcmp(i->identity->oidc.issuer, issuer) != 0)
			continue;
		bool data = audience == AUDIENCE_DATA;
		const char *ours = data ? i->identity->oidc.audience : i->identity->oidc.api_audience;
		const char *other = data ? i->identity->oidc.api_audience : i->identity->oidc.audience;
		const struct jwt_rules rules = { i->keys, i->identity->oidc.issuer, ours, other, clock_wall_us(),
			i->identity->max_age };
		struct jwt jwt;
		if (jwt_verify(token, &rules, &jwt, err_r) != SP_OK)
			continue;
		int rc = principal_of(i->identity, &jwt, a, v_r, err_r);
		jwt_clear(&jwt);
		if (rc == SP_OK)
			return SP_OK;
	}
	*v_r = (struct verified){ 0 };
	return SP_EDENIED;
}

/* ---- revocation ---- */

static int
take_not_before(void *owner, const struct field *row)
{
	*(uint64_t *)owner = row[0].q;
	return SP_OK;
}

bool
identity_revoked(struct store *s, const struct principal *p, uint64_t issued)
{
	uint64_t not_before = 0;
	/* Another's clock may be ahead of ours by as much as its tokens may come from the future. */
	bool own_clock = strcmp(p->issuer, LOCAL_ISSUER) == 0 || strcmp(p->issuer, "unix") == 0;
	uint64_t ahead = own_clock ? 0 : (uint64_t)JWT_LEEWAY * 1000000;
	const struct field args[] = { Z(p->issuer), Z(p->subject), Z(p->user) };
	if (store_read(s, STORE_REVOKED, args, take_not_before, &not_before) != SP_OK)
		return true;
	return not_before > 0 && issued <= not_before + ahead;
}

/* ---- callers on the control socket ---- */

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
	p->class = "human";
	p->token = "";
	p->expires = INT64_MAX;
	v_r->may = MAY_USE | MAY_OPERATE | MAY_AUDIT;
	if (strings_have(&s->control.may, "approve"))
		v_r->may |= MAY_APPROVE;
	if (strings_have(&s->control.may, "mint") && s->local_issuer)
		v_r->may |= MAY_MINT;
	return name_roles(a, v_r->may, &p->roles);
}

/* ann by a token, and ann at the control socket */
static const char *
bare(const struct principal *p)
{
	return strcmp(p->identity, "unix") == 0 && strncmp(p->user, "unix:", 5) == 0 ? p->user + 5 : p->user;
}

bool
identity_same(const struct principal *a, const struct principal *b)
{
	if (strcmp(a->issuer, b->issuer) == 0 && strcmp(a->subject, b->subject) == 0)
		return true;
	if (a->person[0] != '\0' && strcmp(a->person, b->person) == 0)
		return true;
	bool by_socket = strcmp(a->identity, "unix") == 0 || strcmp(b->identity, "unix") == 0;
	return by_socket && strcmp(bare(a), bare(b)) == 0;
}
