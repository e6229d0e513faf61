/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: signing in with a browser, and out.
 *
 * A flow is not remembered here: all that the way back needs is sealed into the cookie of the browser that began it (so a
 * crowd of beginnings costs nothing), and state, nonce and PKCE verifier are derived from the seed in it (ID5).
 *
 *   flow = seed, 32 | until, be64 | identity | 0 | return        AES-256-GCM, by a key of ours
 */
#include <config.h>

#include "api.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/aead.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "jwt.h"
#include "live.h"
#include "oidc.h"
#include "provider.h"
#include "saml.h"
#include "signin.h"

#define FLOW_LIFE 600000000ull /* µs */
#define SEED 32
#define RETURN_LONGEST 160
#define ALGORITHM_TEXT 44      /* 32 bytes as base64url, and a NUL */

struct flow {
	uint8_t seed[SEED];
	uint64_t until;
	const char *identity, *back;
};

/* ---- what follows from a seed ---- */

static void
derive_text(const struct flow *f, const char *purpose, char out[ALGORITHM_TEXT])
{
	uint8_t bytes[DIGEST_LEN];
	struct buffer text = { 0 };
	digest_derive((struct sp_bytes){ f->seed, SEED }, purpose, sp_str(f->identity), bytes);
	out[0] = '\0';
	if (text_base64url((struct sp_bytes){ bytes, sizeof(bytes) }, &text) == SP_OK && text.len == ALGORITHM_TEXT - 1)
		(void)snprintf(out, ALGORITHM_TEXT, "%.*s", (int)text.len, (const char *)buffer_bytes(&text).p);
	mem_wipe(bytes, sizeof(bytes));
	buffer_free(&text);
}

static void
challenge_of(const char *verifier, char out[ALGORITHM_TEXT])
{
	uint8_t hash[DIGEST_LEN];
	struct buffer text = { 0 };
	digest_sha256(sp_str(verifier), hash);
	out[0] = '\0';
	if (text_base64url((struct sp_bytes){ hash, sizeof(hash) }, &text) == SP_OK && text.len == ALGORITHM_TEXT - 1)
		(void)snprintf(out, ALGORITHM_TEXT, "%.*s", (int)text.len, (const char *)buffer_bytes(&text).p);
	buffer_free(&text);
}

/* ---- the cookie ---- */

static int
seal_flow(struct keeper *k, const struct flow *f, struct buffer *out)
{
	uint8_t key[AEAD_KEY];
	struct buffer plain = { 0 }, sealed = { 0 };
	struct sp_writer w = buffer_writer(&plain);
	sp_wr_put(&w, (struct sp_bytes){ f->seed, SEED });
	sp_wr_be64(&w, f->until);
	sp_wr_put(&w, sp_str(f->identity));
	sp_wr_u8(&w, 0);
	sp_wr_put(&w, sp_str(f->back));
	keys_derive(&k->keys, "seal", SP_LIT("flow"), key);
	int rc = buffer_written(&plain, &w);
	if (rc == SP_OK)
		rc = aead_seal(key, SP_LIT("flow"), buffer_bytes(&plain), &sealed);
	if (rc == SP_OK)
		rc = text_base64url(buffer_bytes(&sealed), out);
	mem_wipe(key, sizeof(key));
	if (plain.p != NULL)
		mem_wipe(plain.p, plain.cap);
	buffer_free(&plain);
	buffer_free(&sealed);
	return rc;
}

static int
read_flow(struct arena *a, struct sp_bytes plain, struct flow *f)
{
	struct sp_reader r = sp_reader(plain);
	struct sp_bytes seed = sp_rd_take(&r, SEED);
	f->until = sp_rd_be64(&r);
	struct sp_bytes identity = sp_rd_until(&r, 0), back = sp_rd_rest(&r);
	if (r.bad || clock_wall_us() >= f->until)
		return SP_EDENIED;
	memcpy(f->seed, seed.p, SEED);
	f->identity = arena_string(a, identity);
	f->back = arena_string(a, back);
	return f->identity == NULL || f->back == NULL ? SP_ENOMEM : SP_OK;
}

static int
open_flow(struct keeper *k, struct arena *a, const char *text, struct flow *f)
{
	uint8_t key[AEAD_KEY];
	struct buffer sealed = { .max = 4096 }, plain = { 0 };
	*f = (struct flow){ .identity = "", .back = "" };
	keys_derive(&k->keys, "seal", SP_LIT("flow"), key);
	int rc = text_unbase64url(sp_str(text), &sealed);
	if (rc == SP_OK)
		rc = aead_open(key, SP_LIT("flow"), buffer_bytes(&sealed), &plain);
	if (rc == SP_OK)
		rc = read_flow(a, buffer_bytes(&plain), f);
	mem_wipe(key, sizeof(key));
	if (plain.p != NULL)
		mem_wipe(plain.p, plain.cap);
	buffer_free(&plain);
	buffer_free(&sealed);
	return rc;
}

/* A path of the console's own, and nothing that a browser might take for another place. */
static const char *
plain_return(const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/?=&";
	if (path[0] != '/' || path[1] == '/' || strlen(path) > RETURN_LONGEST || path[strspn(path, plain)] != '\0')
		return "/";
	return path;
}

/* The one redirect URI of an identity: exactly that is asked for, and exactly that is redeemed. */
static const char *
redirect_of(struct keeper *k, struct arena *a, const char *identity)
{
	const char *url = keeper_settings(k)->console.url;
	return url[0] == '\0' ? NULL : arena_printf(a, "%s/signin/callback/%s", url, identity);
}

/* ---- beginning ---- */

int
api_identities(struct api *a)
{
	static const char *const classes[] = { [CLASS_HUMAN] = "human", [CLASS_WORKLOAD] = "workload", [CLASS_AGENT] = "agent" };
	json_t *list = json_array();
	for (const struct identity *i = keeper_settings(a->k)->identities; i != NULL; i = (const struct identity *)i->b.next) {
		if (i->saml.metadata[0] != '\0')
			(void)json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", i->b.name, "kind", "saml", "class", classes[i->class]));
		if (i->oidc.client[0] != '\0')
			(void)json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", i->b.name, "kind", "oidc", "class", classes[i->class]));
	}
	api_set(a, "identities", list);
	return SP_OK;
}

int
api_signin_begin(struct api *a)
{
	char state[ALGORITHM_TEXT], nonce[ALGORITHM_TEXT], verifier[ALGORITHM_TEXT], challenge[ALGORITHM_TEXT];
	struct flow f = { .until = clock_wall_us() + FLOW_LIFE, .identity = api_text(a, "identity"), .back = plain_return(api_text(a, "return")) };
	struct buffer location = { 0 }, flow = { 0 };
	const char *why = "no memory", *redirect = redirect_of(a->k, a->arena, f.identity);
	const struct identity *i = settings_identity(keeper_settings(a->k), f.identity);
	if (i != NULL && i->saml.metadata[0] != '\0')
		return api_saml_login(a);
	if (redirect == NULL)
		return api_refuse(a, 400, "nobody can sign in here: the configuration's \"console\" has no url");
	random_bytes(f.seed, SEED);
	derive_text(&f, "state", state);
	derive_text(&f, "nonce", nonce);
	derive_text(&f, "verifier", verifier);
	challenge_of(verifier, challenge);
	int rc = oidc_location(a->k, f.identity, &(struct oidc_begin){ redirect, state, nonce, challenge }, &location, &why);
	if (rc == SP_OK)
		rc = seal_flow(a->k, &f, &flow);
	if (rc == SP_OK) {
		api_set(a, "location", json_stringn((const char *)buffer_bytes(&location).p, location.len));
		api_set(a, "flow", json_stringn((const char *)buffer_bytes(&flow).p, flow.len));
	} else {
		rc = api_refuse(a, rc == SP_ECONF ? 404 : 503, "%s", why);
	}
	mem_wipe(&f.seed, SEED);
	buffer_free(&location);
	buffer_free(&flow);
	return rc;
}

/* ---- coming back ---- */

/* A code that is being redeemed. */
struct exchange {
	struct exchange *next;
	struct keeper *k;
	struct api_later *later;
	struct arena *arena;
	struct flow flow;
	char nonce[ALGORITHM_TEXT];
	uint32_t question;
	struct outside_told told;  /* kept while the id_token's key is asked for */
	bool waited;
};

static void
exchange_free(struct exchange *e)
{
	struct exchange **at = &e->k->exchanges;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (e->question != 0)
		outside_cancel(e->k, &e->question);
	provider_forget(e->k, e);
	api_later_drop(e->k, &e->later);
	arena_free(&e->arena);
	mem_wipe(e, sizeof(*e));
	free(e);
}

void
api_signin_close(struct keeper *k)
{
	while (k->exchanges != NULL)
		exchange_free(k->exchanges);
}

static void
exchange_refuse(struct exchange *e, unsigned status, const char *log, const char *text)
{
	log_warn("a sign-in by %s failed: %s", e->flow.identity, log);
	audit(e->k, "signin-refused", json_pack("{s:s,s:s}", "identity", e->flow.identity, "why", log));
	api_later_answer(e->k, &e->later, status, json_pack("{s:s}", "error", text));
	exchange_free(e);
}

json_t *
api_signin_answer(const struct principal *p, struct sp_bytes secret, uint64_t expires, const char *back)
{
	json_t *j = json_pack("{s:s%,s:s,s:s,s:s,s:s}", "secret", (const char *)secret.p, (int)secret.len, "user", p->user, "name", p->name, "class",
	    p->class, "return", back);
	api_set_time(j, "expires", expires);
	return j;
}

static void
exchange_finish(struct exchange *e, const struct oidc_answer *o)
{
	const struct identity *i = settings_identity(keeper_settings(e->k), e->flow.identity);
	struct buffer secret = { 0 };
	const struct signin_wanted w = { .principal = &o->principal, .parent = "", .sid = o->sid,
		.expires = clock_wall_us() + (i == NULL ? 0 : i->session) * 1000,
		.refresh = o->refresh == NULL ? (struct sp_bytes){ 0 } : sp_str(o->refresh) };
	if (identity_revoked(e->k->store, &o->principal, o->issued)) {
		exchange_refuse(e, 403, "the principal was revoked", "you may not sign in: your access was revoked a moment ago");
		return;
	}
	if (i == NULL || signin_new(e->k, &w, &secret) != SP_OK) {
		exchange_refuse(e, 503, "it could not be stored", "the gateway could not keep the sign-in: try again");
	} else {
		log_info("%s signed in by %s", log_quote(sp_str(o->principal.user)), e->flow.identity);
		api_later_answer(e->k, &e->later, 200, api_signin_answer(&o->principal, buffer_bytes(&secret), w.expires, e->flow.back));
		exchange_free(e);
	}
	if (secret.p != NULL)
		mem_wipe(secret.p, secret.cap);
	buffer_free(&secret);
}

static void exchange_ready(struct keeper *k, void *owner);

static void
exchange_read(struct exchange *e, const struct outside_told *t)
{
	struct oidc_answer o;
	const char *why = "no memory";
	int rc = oidc_signed_in(e->k, e->flow.identity, e->nonce, t, e->arena, &o, &why);
	if (rc == SP_OK) {
		exchange_finish(e, &o);
	} else if (rc == SP_ETIME && !e->waited) {
		e->waited = true;
		e->told = *t;
		e->told.body = sp_str(arena_string(e->arena, t->body));
		provider_wait(e->k, exchange_ready, e);
	} else if (rc == SP_EIO) {
		exchange_refuse(e, 502, why, "the identity provider did not answer: try again");
	} else {
		bool overage = strstr(why, "overage") != NULL;
		exchange_refuse(e, 403, why, overage ? why : "the identity provider's answer was not accepted: begin again; the gateway's log says why");
	}
}

static void
exchange_ready(struct keeper *k, void *owner)
{
	struct exchange *e = owner;
	(void)k;
	exchange_read(e, &e->told);
}

static void
on_token(struct keeper *k, void *owner, const struct outside_told *t)
{
	struct exchange *e = owner;
	(void)k;
	e->question = 0;
	exchange_read(e, t);
}

static bool
same(const char *a, const char *b)
{
	return mem_equal(sp_str(a), sp_str(b));
}

/* NULL: the way back is that of this flow. */
static const char *
odd_return(struct api *a, const struct flow *f)
{
	char state[ALGORITHM_TEXT];
	const char *iss = api_text(a, "iss");
	const struct provider *p = identity_provider(a->k->trust, f->identity);
	derive_text(f, "state", state);
	if (state[0] == '\0' || !same(state, api_text(a, "state")))
		return "this is not the answer to what this browser asked (state): begin again";
	if (p == NULL)
		return "the identity is gone from the configuration";
	/* RFC 9207: whose answer it is, where the provider says that it says so. */
	if (iss[0] != '\0' ? strcmp(iss, p->issuer) != 0 : p->says_iss)
		return "this is another provider's answer (iss): begin again";
	if (api_text(a, "error")[0] != '\0')
		return "the identity provider refused, or you did";
	return api_text(a, "code")[0] == '\0' ? "the answer of the identity provider has no code" : NULL;
}

int
api_signin_code(struct api *a)
{
	char verifier[ALGORITHM_TEXT];
	struct exchange *e = mem_alloc(sizeof(*e));
	const char *why = NULL;
	*e = (struct exchange){ .next = a->k->exchanges, .k = a->k, .arena = arena_new(4u << 20) };
	a->k->exchanges = e;
	if (e->arena == NULL || open_flow(a->k, e->arena, api_text(a, "flow"), &e->flow) != SP_OK)
		why = "this browser has not begun to sign in, or longer ago than ten minutes: begin again";
	else
		why = odd_return(a, &e->flow);
	if (why != NULL) {
		log_info("a way back from an identity provider was refused: %s", why);
		exchange_free(e);
		return api_refuse(a, 400, "%s", why);
	}
	derive_text(&e->flow, "nonce", e->nonce);
	derive_text(&e->flow, "verifier", verifier);
	const char *redirect = redirect_of(a->k, e->arena, e->flow.identity);
	int rc = redirect == NULL ? SP_ECONF : oidc_ask_code(a->k, e->flow.identity, &(struct oidc_code){ api_text(a, "code"), verifier, redirect },
	    on_token, e, &e->question, &why);
	mem_wipe(verifier, sizeof(verifier));
	if (rc != SP_OK) {
		exchange_free(e);
		return api_refuse(a, 503, "the identity provider cannot be asked now: try again");
	}
	e->later = api_later(a);
	return SP_OK;
}

/* ---- the end ---- */

int
api_logout(struct api *a)
{
	struct buffer location = { 0 };
	const struct principal *p = &a->who.principal;
	if (!a->who.signin)
		return api_refuse(a, 400, "there is no sign-in to end: this call was made with a token, or over the control socket");
	unsigned n = signin_end(a->k, p->token, "its user logged out");
	if (oidc_logout_location(a->k, p->identity, keeper_settings(a->k)->console.url, &location) != SP_OK)
		location.len = 0;
	api_set(a, "ended", json_integer(n));
	api_set(a, "location", location.len == 0 ? json_string("") : json_stringn((const char *)buffer_bytes(&location).p, location.len));
	buffer_free(&location);
	return SP_OK;
}

static int
token_seen(void *owner, const struct field *row)
{
	(void)row;
	*(bool *)owner = true;
	return SP_OK;
}

/* Once each: a replayed one would end sign-ins that were made since. */
static bool
is_replayed(struct api *a, const struct logout_token *t)
{
	bool seen = false;
	const struct field get[] = { Z(t->id) }, add[] = { Z(t->id), Z("logout"), Q(t->expires) };
	if (store_read(a->k->store, STORE_TOKEN_GET, get, token_seen, &seen) != SP_OK || seen)
		return true;
	return keeper_write(a->k, STORE_TOKEN_SEEN, add) < 1;
}

/* Of everything that a subject has, or of one session at the provider. */
static unsigned
log_out(struct keeper *k, const struct logout_token *t)
{
	unsigned n = signin_end_all(k, t->issuer, t->sid[0] != '\0' ? "" : t->subject, t->sid, "the identity provider logged the user out");
	if (t->sid[0] != '\0')
		return n;
	/* By the issuer's own clock: identity_revoked() adds what clocks may differ by. */
	const struct field revoke[] = { Q(1), Z(t->issuer), Z(t->subject), Q(t->issued - (uint64_t)JWT_LEEWAY * 1000000) };
	if (keeper_write(k, STORE_REVOKE, revoke) < 0)
		return n;
	for (struct live *l = live_first(k); l != NULL; l = l->all_next) {
		if (l->side || l->ended || strcmp(l->principal.issuer, t->issuer) != 0 || strcmp(l->principal.subject, t->subject) != 0)
			continue;
		live_kill(k, l, SP_END_REVOKED, "the identity provider logged the user out");
		n++;
	}
	return n;
}

int
api_backchannel(struct api *a)
{
	struct logout_token t;
	const char *why = "no memory";
	const struct sp_bytes token = sp_str(api_text(a, "logout_token"));
	int rc = identity_logout_token(a->k->trust, api_text(a, "id"), token, a->arena, &t, &why);
	if (rc == SP_ETIME && provider_park(a->k, api_call_again, a->link, a->message) == SP_OK) {
		a->later = true;
		return SP_OK;
	}
	if (rc == SP_OK && is_replayed(a, &t)) {
		rc = SP_EDENIED;
		why = "it was used before";
	}
	if (rc != SP_OK) {
		log_warn("a logout token for %s was refused: %s", log_quote(sp_str(api_text(a, "id"))), rc == SP_ETIME ? "its key is not known" : why);
		return api_refuse(a, 400, "the logout token was not accepted");
	}
	unsigned n = log_out(a->k, &t);
	audit(a->k, "backchannel-logout", json_pack("{s:s,s:s,s:s,s:I}", "issuer", t.issuer, "subject", t.subject, "sid", t.sid, "sessions",
	    (json_int_t)n));
	api_set(a, "ended", json_integer(n));
	return SP_OK;
}
