/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a token to a principal: which issuer vouches, by which keys, and what its claims mean here.
 *
 * One struct trust stands for the identities of one epoch, keys read.  The local issuer is one more
 * identity, named "local".
 */
#ifndef SALLYPORT_KEEPER_IDENTITY_H
#define SALLYPORT_KEEPER_IDENTITY_H

#include <jansson.h>

#include "../base/epoch.h"
#include "../base/principal.h"
#include "../base/route.h"
#include "../base/settings.h"
#include "keys.h"
#include "store.h"

#define LOCAL_ISSUER "sallyport:local"
#define LOCAL_AUDIENCE_DATA "sallyport:data"
#define LOCAL_AUDIENCE_API "sallyport:api"

struct keeper;
struct provider;
struct trust;

enum audience { AUDIENCE_DATA = 1, AUDIENCE_API };

/*
 * e outlives it.  *err_r is good until the next call.  asker: whose providers are asked for keys that are in no
 * file; NULL: none, and their tokens are refused.
 */
int trust_new(const struct epoch *e, const struct keys *keys, struct keeper *asker, struct trust **t_r, const char **err_r) SP_MUST;
void trust_free(struct trust **t);

struct verified {
	struct principal principal;
	unsigned token_use;      /* TOKEN_… */
	unsigned may;            /* enum caller_role, or-ed */
	uint64_t issued;         /* wall µs */
	bool signin;             /* by a sign-in: its principal's token is the sign-in's id */
	bool device;             /* … which a person confirmed for a machine */
	const char *tell;        /* of a refusal: what the client may hear; or NULL */
};

/*
 * All in the arena; *err_r is a sentence for the log.  SP_ETIME: its issuer is being asked for the key that it names
 * (provider_wait()).  Revocation is the caller's to check, by
 * identity_revoked(): it needs the store.
 */
int identity_verify(const struct trust *t, struct sp_bytes token, enum audience audience, struct arena *a,
    struct verified *v_r, const char **err_r) SP_MUST;
/*
 * A chain of certificates whose first the client has the key of, as sp_client_certificate() gave it.  Otherwise as
 * identity_verify().
 */
int identity_certificate(const struct trust *t, struct sp_bytes chain, struct arena *a, struct verified *v_r, const char **err_r) SP_MUST;
/* True when it was revoked after it was issued; also when the store does not say. */
bool identity_revoked(struct store *s, const struct principal *p, uint64_t issued);
/* The same of what our own clock dates, whoever issued the principal: a sign-in, a link. */
bool identity_revoked_since(struct store *s, const struct principal *p, uint64_t made);

struct id_token_wanted {
	struct sp_bytes token;
	const char *nonce; /* NULL: a refreshed one, which need not have any */
};
struct id_token {
	struct principal principal; /* token and expires are the sign-in's to set */
	const char *sid;            /* the provider's session, or "" */
	uint64_t issued;            /* wall µs */
};
/* What a provider gave for a code or a refresh token.  SP_ETIME as identity_verify(). */
int identity_id_token(const struct trust *t, const char *identity, const struct id_token_wanted *w, struct arena *a, struct id_token *t_r,
    const char **err_r) SP_MUST;
/* A back-channel logout token: whom it means, "" for what it does not say; id: of the token, hex. */
struct logout_token {
	const char *issuer, *subject, *sid, *id;
	uint64_t issued, expires;
};
int identity_logout_token(const struct trust *t, const char *identity, struct sp_bytes token, struct arena *a, struct logout_token *t_r,
    const char **err_r) SP_MUST;
/* What such a token claims, by OpenID Connect Back-Channel Logout 2.6; its signature was good. */
struct jwt;
int identity_logout_claims(const struct jwt *jwt, const char *issuer, struct arena *a, struct logout_token *t, const char **err_r) SP_MUST;
/* The provider that is asked for an identity; NULL: none. */
struct provider *identity_provider(const struct trust *t, const char *identity);
/* What somebody who signed in earlier may now; not SP_OK: nothing, its identity is gone or another one. */
int identity_renew(const struct settings *s, struct arena *a, struct verified *v) SP_MUST;
/*
 * Does the configuration still have the identity, of the same issuer and class, that vouched for this principal?  For
 * what lives on without showing its proof again.  A caller of the control socket lives on where it may mint.
 */
bool identity_stands(const struct settings *s, const struct principal *p);
/*
 * Whom a SAML response means: facts as core/helper/saml.h says, of which subject, authenticated, context and attributes
 * are read.  The caller sets when it ends and when it was issued.
 */
int identity_saml(const struct identity *i, const char *issuer, const json_t *facts, struct arena *a, struct verified *v_r,
    const char **err_r) SP_MUST;

/* Somebody as the local issuer would name them; SP_EPROTO: an odd name. */
int identity_local(struct arena *a, const char *user, const json_t *groups, struct principal *p_r) SP_MUST;

/* A caller on the control socket. */
int identity_unix(const struct settings *s, struct sp_bytes name, struct arena *a, struct verified *v_r) SP_MUST;
/* What the machine calls whom identity_unix() calls unix:NAME; other users are called what they are. */
const char *identity_account(const struct principal *p);
/* True when p is whom the agent works for, by whatever name the agent's issuer gave: made to refuse, so it is wide. */
bool identity_sponsors(const struct principal *p, const struct principal *agent);
/* The same, made to permit: by the person's claim, or by what the agent's own issuer calls p. */
bool identity_is_sponsor(const struct principal *p, const struct principal *agent);
/* The same person, as far as anybody can tell: nobody decides on their own request. */
bool identity_same(const struct principal *a, const struct principal *b);

#endif
