/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key pair of a user's, certified for a while: SSH without a password.
 *
 *   POST /ssh-certificate {key} ─▶ a ticket for any target, and a certificate whose principal is its id
 *   a client shows it, signed ─ worker: the signature is the key's ─▶ keeper: ssh_key_check(), then as with a ticket
 *
 * The authority's key is derived from the keeper's own: all gateways of one store have the same.  So the
 * certificate is worth what its ticket is: it ends with its window, its sign-in, a revocation, or `sallyport end`.
 */
#ifndef SALLYPORT_KEEPER_SSH_KEY_H
#define SALLYPORT_KEEPER_SSH_KEY_H

#include "ticket.h"

#define SSH_KEY_WINDOW (8ull * 3600 * 1000) /* ms, unless somebody asks for less or more */

/* A line as in ~/.ssh/id_ed25519.pub: the key as on the wire, appended.  SP_EPROTO: it is none of that kind. */
int ssh_key_read(struct sp_bytes line, struct buffer *key) SP_MUST;
/* key: as on the wire.  certificate_r: a line, appended.  NULL, or why not. */
const char *ssh_key_certify(struct keeper *k, const struct ticket_wish *w, struct sp_bytes key, struct ticket_made *made_r,
    struct buffer *certificate_r);
/*
 * A certificate whose private key somebody has proved to have: SP_OK: it is ours and in force; everything in the arena.
 * host: whence.
 */
#define SSH_KEY_ISSUER "sallyport:keys"
bool ssh_key_is_plain(struct sp_bytes blob);
/*
 * A plain public key: whom the configuration's `ssh_key` says it is.  All of them are compared, whatever it is.
 * SP_EDENIED: nobody's.
 */
int ssh_key_listed(struct keeper *k, struct sp_bytes blob, struct arena *a, struct verified *v_r, const char **why_r) SP_MUST;
/* Is there still the key that this principal of ours showed? */
bool ssh_key_stands(const struct settings *s, const struct principal *p);
int ssh_key_check(struct keeper *k, struct sp_bytes certificate, const char *host, struct arena *a, struct ticket *t_r,
    const char **why_r) SP_MUST;
/* The authority's public key, such a line: appended. */
int ssh_key_authority(struct keeper *k, struct buffer *out) SP_MUST;

#endif
