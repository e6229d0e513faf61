/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenID Connect as a client: where a browser goes, what a code and a refresh token are good for.
 *
 *   authorization ── browser ──▶ code ── oidc_ask_code() ──▶ id_token, refresh token
 *                                        oidc_ask_refresh() ─▶ id_token or none, perhaps a new refresh token
 */
#ifndef SALLYPORT_KEEPER_OIDC_H
#define SALLYPORT_KEEPER_OIDC_H

#include "outside.h"

struct signin;

struct oidc_code {
	const char *code, *verifier, *redirect;
};

/* What a token endpoint said; in the arena it was read into. */
struct oidc_answer {
	bool has_principal;         /* an id_token came, and was good */
	struct principal principal;
	const char *sid;            /* the provider's session, or "" */
	const char *refresh;        /* NULL: none came */
	uint64_t issued;            /* wall µs */
};

/* answer() as outside_ask() says; its number in *question_r.  SP_ECONF with a sentence: it cannot be asked now. */
int oidc_ask_code(struct keeper *k, const char *identity, const struct oidc_code *c, outside_answer *answer, void *owner,
    uint32_t *question_r, const char **err_r);
int oidc_ask_refresh(struct keeper *k, const char *identity, struct sp_bytes token, outside_answer *answer, void *owner,
    uint32_t *question_r, const char **err_r);

/*
 * SP_EDENIED: the provider says no, or what it says is not good.  SP_EIO: it was not reached, or is not well.
 * SP_ETIME: it is being asked for the key of its id_token (provider_wait()): read the same once more then.
 */
int oidc_signed_in(struct keeper *k, const char *identity, const char *nonce, const struct outside_told *t, struct arena *a,
    struct oidc_answer *o_r, const char **err_r) SP_MUST;
int oidc_refreshed(struct keeper *k, const struct signin *s, const struct outside_told *t, struct arena *a, struct oidc_answer *o_r,
    const char **err_r) SP_MUST;

struct oidc_begin {
	const char *redirect, *state, *nonce, *challenge; /* challenge: S256 */
};
/* The URL for the browser.  SP_ECONF with a sentence: nobody can sign in there now. */
int oidc_location(struct keeper *k, const char *identity, const struct oidc_begin *b, struct buffer *out, const char **err_r) SP_MUST;
/* …and for its logout, or nothing. */
int oidc_logout_location(struct keeper *k, const char *identity, const char *back, struct buffer *out) SP_MUST;

#endif
