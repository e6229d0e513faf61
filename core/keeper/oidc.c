/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a provider's token endpoint, and what its answers mean. */
#include <config.h>

#include "oidc.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/log.h"
#include "identity.h"
#include "proof.h"
#include "provider.h"
#include "signin.h"

#define WITHIN 10000u
#define ANSWER_MAX (256u << 10)

static int
fail(int rc, const char **err_r, const char *why)
{
	*err_r = why;
	return rc;
}

/* ---- forms ---- */

/* As application/x-www-form-urlencoded has it: what is not plain is %XX, a space too, which every reader takes. */
static int
put_encoded(struct buffer *out, struct sp_bytes in)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	int rc = SP_OK;
	for (size_t i = 0; i < in.len && rc == SP_OK; i++) {
		if (in.p[i] != '\0' && strchr(plain, in.p[i]) != NULL)
			rc = buffer_put(out, (struct sp_bytes){ in.p + i, 1 });
		else
			rc = buffer_printf(out, "%%%02X", in.p[i]);
	}
	return rc;
}

static int
put_pair(struct buffer *out, const char *between, const char *name, struct sp_bytes value)
{
	int rc = buffer_printf(out, "%s%s=", between, name);
	return rc == SP_OK ? put_encoded(out, value) : rc;
}

struct pair {
	const char *name;
	struct sp_bytes value;
};

static int
put_pairs(struct buffer *out, const char *first, const struct pair *p, size_t n)
{
	int rc = SP_OK;
	for (size_t i = 0; i < n && rc == SP_OK; i++)
		rc = put_pair(out, i == 0 ? first : "&", p[i].name, p[i].value);
	return rc;
}

static void
wipe(struct buffer *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	buffer_free(b);
}

/* ---- where a browser goes ---- */

static struct provider *
provider_for(struct keeper *k, const char *identity, const struct identity **i_r)
{
	*i_r = settings_identity(keeper_settings(k), identity);
	return *i_r == NULL || (*i_r)->oidc.client[0] == '\0' ? NULL : identity_provider(k->trust, identity);
}

int
oidc_location(struct keeper *k, const char *identity, const struct oidc_begin *b, struct buffer *out, const char **err_r)
{
	const struct identity *i;
	struct buffer scope = { 0 };
	const struct provider *p = provider_for(k, identity, &i);
	if (p == NULL)
		return fail(SP_ECONF, err_r, "there is no identity of that name that one can sign in with");
	if (p->authorization == NULL || p->token == NULL)
		return fail(SP_ECONF, err_r, "the identity's provider did not answer yet, or has no place to sign in: try again in a moment");
	int rc = SP_OK;
	for (size_t n = 0; n < i->oidc.scope.n && rc == SP_OK; n++)
		rc = buffer_printf(&scope, "%s%s", n == 0 ? "" : " ", i->oidc.scope.v[n]);
	const struct pair pairs[] = { { "response_type", SP_LIT("code") }, { "client_id", sp_str(i->oidc.client) },
		{ "redirect_uri", sp_str(b->redirect) }, { "scope", buffer_bytes(&scope) }, { "state", sp_str(b->state) },
		{ "nonce", sp_str(b->nonce) }, { "code_challenge", sp_str(b->challenge) }, { "code_challenge_method", SP_LIT("S256") } };
	if (rc == SP_OK)
		rc = buffer_printf(out, "%s", p->authorization);
	if (rc == SP_OK)
		rc = put_pairs(out, strchr(p->authorization, '?') == NULL ? "?" : "&", pairs, sizeof(pairs) / sizeof(*pairs));
	buffer_free(&scope);
	*err_r = "no memory";
	return rc;
}

int
oidc_logout_location(struct keeper *k, const char *identity, const char *back, struct buffer *out)
{
	const struct identity *i;
	const struct provider *p = provider_for(k, identity, &i);
	if (p == NULL || p->end_session == NULL)
		return SP_OK;
	const struct pair pairs[] = { { "client_id", sp_str(i->oidc.client) }, { "post_logout_redirect_uri", sp_str(back) } };
	int rc = buffer_printf(out, "%s", p->end_session);
	return rc == SP_OK ? put_pairs(out, strchr(p->end_session, '?') == NULL ? "?" : "&", pairs, back[0] == '\0' ? 1 : 2) : rc;
}

/* ---- the token endpoint ---- */

/* RFC 6749 2.3.1: both are encoded as in a form before they are joined. */
static int
put_basic(struct buffer *out, const char *client, struct sp_bytes secret)
{
	struct buffer pair = { 0 };
	int rc = put_encoded(&pair, sp_str(client));
	if (rc == SP_OK)
		rc = buffer_put(&pair, SP_LIT(":"));
	if (rc == SP_OK)
		rc = put_encoded(&pair, secret);
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT("\nAuthorization: Basic "));
	if (rc == SP_OK)
		rc = text_base64(buffer_bytes(&pair), out);
	wipe(&pair);
	return rc;
}

static int
ask_token(struct keeper *k, const char *identity, struct buffer *body, outside_answer *answer, void *owner, uint32_t *question_r,
    const char **err_r)
{
	const struct identity *i;
	const struct provider *p = provider_for(k, identity, &i);
	struct buffer headers = { 0 };
	*question_r = 0;
	if (p == NULL || p->token == NULL)
		return fail(SP_ECONF, err_r, p == NULL ? "the identity is gone from the configuration" : "its provider has no token endpoint");
	const struct sp_secret *secret = credentials_client(k->credentials, identity);
	int rc = buffer_put(&headers, SP_LIT("Accept: application/json\nContent-Type: application/x-www-form-urlencoded"));
	if (rc == SP_OK && secret != NULL && !p->secret_in_body)
		rc = put_basic(&headers, i->oidc.client, secret_bytes(secret));
	else if (rc == SP_OK)
		rc = put_pair(body, "&", "client_id", sp_str(i->oidc.client));
	if (rc == SP_OK && secret != NULL && p->secret_in_body)
		rc = put_pair(body, "&", "client_secret", secret_bytes(secret));
	if (rc == SP_OK)
		rc = buffer_put(&headers, (struct sp_bytes){ (const uint8_t *)"", 1 });
	const struct outside_request q = { .method = "POST", .url = p->token, .headers = (const char *)buffer_bytes(&headers).p,
		.body = buffer_bytes(body), .ca = i->oidc.ca, .within = WITHIN, .most = ANSWER_MAX };
	if (rc == SP_OK)
		*question_r = outside_ask(k, &q, answer, owner);
	wipe(&headers);
	*err_r = "no memory";
	return rc;
}

int
oidc_ask_code(struct keeper *k, const char *identity, const struct oidc_code *c, outside_answer *answer, void *owner,
    uint32_t *question_r, const char **err_r)
{
	struct buffer body = { 0 };
	const struct pair pairs[] = { { "grant_type", SP_LIT("authorization_code") }, { "code", sp_str(c->code) },
		{ "redirect_uri", sp_str(c->redirect) }, { "code_verifier", sp_str(c->verifier) } };
	int rc = put_pairs(&body, "", pairs, sizeof(pairs) / sizeof(*pairs));
	*err_r = "no memory";
	if (rc == SP_OK)
		rc = ask_token(k, identity, &body, answer, owner, question_r, err_r);
	wipe(&body);
	return rc;
}

int
oidc_ask_refresh(struct keeper *k, const char *identity, struct sp_bytes token, outside_answer *answer, void *owner,
    uint32_t *question_r, const char **err_r)
{
	struct buffer body = { 0 };
	const struct pair pairs[] = { { "grant_type", SP_LIT("refresh_token") }, { "refresh_token", token } };
	int rc = put_pairs(&body, "", pairs, sizeof(pairs) / sizeof(*pairs));
	*err_r = "no memory";
	if (rc == SP_OK)
		rc = ask_token(k, identity, &body, answer, owner, question_r, err_r);
	wipe(&body);
	return rc;
}

/* ---- answers ---- */

static json_t *
read_answer(const struct outside_told *t)
{
	json_t *j = t->body.len == 0 ? NULL : json_loadb((const char *)t->body.p, t->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (j != NULL && !json_is_object(j)) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

/* In words of ours: the provider's own are anybody's. */
static const char *
refusal(const struct outside_told *t)
{
	static const char bad_client[] = "the provider knows no client of this name and secret: see `client=` and `secret=` of the identity";
	static const struct {
		const char *error, *text;
	} known[] = { { "invalid_client", bad_client }, { "unauthorized_client", bad_client }, /* so says Keycloak */
		{ "invalid_grant", "the provider refused: the code or the sign-in is not good any more" } };
	json_t *j = read_answer(t);
	const char *error = json_string_value(json_object_get(j, "error")), *text = "the provider refused";
	for (size_t i = 0; error != NULL && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(error, known[i].error) == 0)
			text = known[i].text;
	json_decref(j);
	return text;
}

/* An error that is the provider's own answer to this request; else it is not well, and may be asked again. */
static int
refused(const struct outside_told *t, const char **err_r)
{
	if (t->status == 0)
		return fail(SP_EIO, err_r, "the provider was not reached");
	if (t->status == 400 || t->status == 401 || t->status == 403)
		return fail(SP_EDENIED, err_r, refusal(t));
	return fail(SP_EIO, err_r, "the provider's answer is neither yes nor no");
}

static int
read_tokens(struct keeper *k, const char *identity, const char *nonce, const json_t *j, struct arena *a, struct oidc_answer *o,
    const char **err_r)
{
	const json_t *id = json_object_get(j, "id_token"), *refresh = json_object_get(j, "refresh_token");
	if (refresh != NULL && json_string_length(refresh) > 0)
		o->refresh = arena_string(a, sp_str(json_string_value(refresh)));
	if (id == NULL)
		return SP_OK;
	const struct sp_bytes token = { (const uint8_t *)json_string_value(id), json_string_length(id) };
	struct id_token t;
	int rc = identity_id_token(k->trust, identity, &(struct id_token_wanted){ token, nonce }, a, &t, err_r);
	if (rc != SP_OK)
		return rc;
	o->has_principal = true;
	o->principal = t.principal;
	o->sid = t.sid;
	o->issued = t.issued;
	return SP_OK;
}

int
oidc_signed_in(struct keeper *k, const char *identity, const char *nonce, const struct outside_told *t, struct arena *a,
    struct oidc_answer *o_r, const char **err_r)
{
	*o_r = (struct oidc_answer){ .sid = "" };
	if (t->status != 200)
		return refused(t, err_r);
	json_t *j = read_answer(t);
	int rc = j == NULL ? fail(SP_EDENIED, err_r, "the provider's answer is no JSON object") : read_tokens(k, identity, nonce, j, a, o_r, err_r);
	json_decref(j);
	if (rc == SP_OK && !o_r->has_principal)
		rc = fail(SP_EDENIED, err_r, "the provider gave no id_token");
	return rc;
}

int
oidc_refreshed(struct keeper *k, const struct signin *s, const struct outside_told *t, struct arena *a, struct oidc_answer *o_r,
    const char **err_r)
{
	*o_r = (struct oidc_answer){ .sid = "" };
	if (t->status != 200)
		return refused(t, err_r);
	json_t *j = read_answer(t);
	int rc = j == NULL ? fail(SP_EIO, err_r, "the provider's answer is no JSON object") : read_tokens(k, s->identity, NULL, j, a, o_r, err_r);
	json_decref(j);
	/* Its key is not known yet: that is no word about the user, so it is asked again. */
	if (rc == SP_ETIME)
		return fail(SP_EIO, err_r, "the key of its id_token is not known yet");
	if (rc == SP_OK && o_r->has_principal && (strcmp(o_r->principal.subject, s->subject) != 0 || strcmp(o_r->principal.issuer, s->issuer) != 0))
		rc = fail(SP_EDENIED, err_r, "the provider's answer is about somebody else");
	return rc;
}
