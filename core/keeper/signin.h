/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sign-ins: who came through a browser has a secret that is good for the API, and for tickets, until its end.
 *
 *   signin_new() ─▶ ALIVE ── logout, revoke, the provider's no, its identity is gone ─▶ ended
 *                     │ └─── `session` is over ─▶ expired
 *                     └ every `recheck`, where there is a refresh token: does the provider still know this user?
 *
 * A row of the store each, with the keeper's mark; only a hash of the secret is in it, and the refresh token
 * is sealed.  A sign-in that was confirmed for a device is a child of the browser's: it is alive while that
 * one is, for whom that one stands, and confirms no device itself.
 */
#ifndef SALLYPORT_KEEPER_SIGNIN_H
#define SALLYPORT_KEEPER_SIGNIN_H

#include "keeper.h"

#define SIGNIN_PREFIX "sps_"

struct signin {
	const char *id, *parent;  /* parent: "" for none */
	const char *principal;    /* JSON; its token is the id */
	const char *identity, *issuer, *subject;
	const char *sid;          /* the provider's own session; of an account of the control socket the gateway; or "" */
	const char *why;          /* …it ended */
	uint64_t created, expires, checked, ended; /* wall µs; ended: 0 while it is not */
	struct sp_bytes hash, refresh; /* refresh: sealed; empty for none */
};

struct signin_wanted {
	const struct principal *principal; /* token and expires are set here */
	const char *parent, *sid;
	uint64_t expires;         /* wall µs */
	struct sp_bytes refresh;  /* in clear; empty for none */
};

/* Appends the secret's text.  It stands once the reply of this turn goes out. */
int signin_new(struct keeper *k, const struct signin_wanted *w, struct buffer *secret_r) SP_MUST;
bool signin_is(struct sp_bytes token);
/* As identity_verify(), for a secret.  Revocation is looked at, too. */
int signin_verify(struct keeper *k, struct sp_bytes secret, struct arena *a, struct verified *v_r, const char **err_r) SP_MUST;
/* The newest that is alive of that identity's subject, whose secret nobody showed: for what is tied to it by the configuration. */
int signin_of(struct keeper *k, const char *identity, const char *subject, struct arena *a, struct verified *v_r, const char **err_r) SP_MUST;
/* By its id: alive now.  What was made by it may go on only as long. */
int signin_find(struct keeper *k, const char *id, struct arena *a, struct signin *s_r) SP_MUST;
bool signin_alive(struct keeper *k, const char *id);
/* …and whom it stands for, as signin_verify() would have it: a person confirmed something with it. */
int signin_stands(struct keeper *k, const char *id, struct arena *a, struct verified *v_r, const char **err_r) SP_MUST;
/*
 * Whom it stands for now, as the last re-check of the browser's left them; in the arena, its token being the id.
 * SP_EDENIED: it, or what confirmed it, has ended; SP_EPROTO: there is none of that id.
 */
int signin_now(struct keeper *k, const char *id, struct arena *a, struct principal *p_r) SP_MUST;
/*
 * Who it was that signed in last under that user's name, by that identity ("": any): everything in the arena.
 * SP_EDENIED: nobody; SP_ETOOBIG: not the same subject each time.
 */
int signin_last(struct keeper *k, struct arena *a, const char *user, const char *identity, struct principal *p_r) SP_MUST;

/* Ends it, its children, and the live sessions of all of them; how many sessions. */
unsigned signin_end(struct keeper *k, const char *id, const char *why);
/* All of that issuer that fit subject and sid; "" fits any, not both. */
unsigned signin_end_all(struct keeper *k, const char *issuer, const char *subject, const char *sid, const char *why);

/* Another gateway on the same store wrote it. */
void signin_heard(struct keeper *k, const char *id);
void signin_tick(struct keeper *k);
void signin_open(struct keeper *k);
void signin_close(struct keeper *k);

#endif
