/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' certificates (X.509): who vouches for one, and what it says of whom.
 *
 *   TLS handshake ─ worker: the client has the key ─▶ keeper: certificate_check() ─▶ claims ─▶ as of a token (identity.h)
 *
 * As with an SSH key, that the client has the key is the worker's word.
 */
#ifndef SALLYPORT_KEEPER_CERTIFICATE_H
#define SALLYPORT_KEEPER_CERTIFICATE_H

#include <jansson.h>

#include "../base/digest.h"
#include "../base/memory.h"

struct authorities;

struct certificate {
	json_t *claims;           /* sub: its whole name; cn, o, ou, email, dns, uri: a text, or a list of several; the caller's */
	uint64_t issued, expires; /* wall µs: between them it is good */
	uint8_t id[DIGEST_LEN];   /* of all of it */
};

/* pem: those that are trusted, and nobody else.  *err_r stays. */
int authorities_new(struct sp_bytes pem, struct authorities **a_r, const char **err_r) SP_MUST;
/* Of the same authorities, the lists of what they revoked. */
int authorities_revoked(struct authorities *a, struct sp_bytes pem, struct sp_bytes crl, const char **err_r) SP_MUST;
void authorities_free(struct authorities **a);
/* chain: as sp_client_certificate() gave it.  SP_EDENIED: nobody here vouches for it as a client's, or it is odd; *err_r stays. */
int certificate_check(const struct authorities *a, struct sp_bytes chain, struct certificate *c_r, const char **err_r) SP_MUST;

#endif
