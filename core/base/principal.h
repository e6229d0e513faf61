/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verified identity.  Only the keeper makes one; everybody else gets it as JSON from the keeper.
 */
#ifndef SALLYPORT_PRINCIPAL_H
#define SALLYPORT_PRINCIPAL_H

#include "memory.h"

struct principal {
	const char *identity; /* the conf block that vouched: corp, local, unix */
	const char *issuer, *subject;
	const char *user;     /* login name; `user` in policies */
	const char *name;     /* display only */
	const char *person;   /* for counting approvers; "" when unknown */
	const char *sponsor;  /* an agent's: whom it works for; "" when unknown */
	const char *class;    /* human, workload, agent */
	struct sp_strings groups, roles;
	struct sp_strings methods; /* how it proved who it is, as the issuer says (amr) */
	const char *token;    /* id of the credential: hex of a hash, never the token */
	uint64_t expires;     /* wall µs */
	uint64_t authenticated; /* wall µs, when it last did; 0: unknown */
};

/* Strings in the arena.  Duplicate keys, missing or odd members: SP_EPROTO; sponsor, methods and authenticated may be missing. */
int principal_parse(struct arena *a, struct sp_bytes json, struct principal *p_r) SP_MUST;
int principal_print(const struct principal *p, struct buffer *out) SP_MUST;
bool strings_have(const struct sp_strings *set, const char *word);

#endif
