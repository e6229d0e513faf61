/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenID providers that are asked: what their discovery document says, and their keys.
 *
 *   STALE ─ ask for the document ─ its issuer must equal ─▶ ask for the keys ─▶ FRESH, an hour
 *     ▲                    └───────── anything odd ────────────┘     │
 *     └── 5 s, 10 s … 5 min later ◀──────────────────────────────────┴── unknown kid: at once, once a minute
 *
 * The last good answers are kept in the store, with the keeper's mark: for a day they do while the
 * provider is down, over a restart too.  Identities of one issuer, keys and authorities share a provider.
 */
#ifndef SALLYPORT_KEEPER_PROVIDER_H
#define SALLYPORT_KEEPER_PROVIDER_H

#include "jwks.h"
#include "keeper.h"

struct provider {
	struct provider *next;
	struct keeper *k;
	char *issuer, *jwks, *ca;   /* as configured */
	bool insecure;
	bool wanted;                /* some identity of the epoch has it */
	bool wanted_document;       /* …and people sign in there */
	/* what it said; NULL: nothing good yet */
	struct jwks *keys;
	char *jwks_uri, *authorization, *token, *end_session;
	bool says_iss;              /* its answers to sign-ins carry `iss` */
	bool secret_in_body;        /* it takes a client's secret in the body only */
	uint64_t good;              /* wall µs of the last good keys */
	/* asking */
	uint32_t question;          /* 0: none */
	uint64_t next_at;           /* mono ms */
	uint64_t minute;            /* mono ms: until then an unknown kid asks for nothing */
	unsigned failures;
};

void provider_open(struct keeper *k);
void provider_close(struct keeper *k);
/* For an epoch that is about to be taken: the provider of an identity, made when it is not there. */
struct provider *provider_of(struct keeper *k, const struct identity *i);
/* The epoch was taken: others go, new ones are asked. */
void provider_epoch(struct keeper *k);
void provider_tick(struct keeper *k);

/* A discovery document's word: NULL, it was taken; else why not, and nothing is changed. */
const char *provider_document(struct provider *p, struct sp_bytes text);
/* Its keys, unless they are too old; NULL: none. */
const struct jwks *provider_keys(const struct provider *p);
/* A token names a key that is not among them.  True when others may be known soon: provider_wait(). */
bool provider_unknown(struct provider *p);
/* Calls once, later: when what is asked now is answered, well or not. */
typedef void provider_ready(struct keeper *k, void *owner);
void provider_wait(struct keeper *k, provider_ready *ready, void *owner);
/* Nobody waits with that owner any more. */
void provider_forget(struct keeper *k, const void *owner);
/* The same with a message, which is handled then as if it came only now. */
typedef int provider_handler(struct keeper *k, struct link *l, struct message *m);
int provider_park(struct keeper *k, provider_handler *handler, struct link *l, const struct message *m) SP_MUST;
void provider_link_gone(struct keeper *k, const struct link *l);

#endif
