/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSH certificates (PROTOCOL.certkeys), Ed25519 only: signed for the key pair of one session, and
 * checked when a client shows one.
 */
#ifndef SALLYPORT_KEEPER_SSH_CERTIFICATE_H
#define SALLYPORT_KEEPER_SSH_CERTIFICATE_H

#include "../base/memory.h"

#define SSH_CERTIFICATE_LIFE 300u /* seconds that one for a target is good for: it is used within one login */

struct ssh_certificate {
	struct sp_bytes key;    /* whose it is: a public key as on the wire, ssh-ed25519 */
	const char *principal;  /* the one login name */
	const char *id;         /* what the target's log shows */
	const char *from;       /* source-address: ADDRESS[/BITS] with commas; "": anywhere */
	bool forwarding;        /* permit-port-forwarding; a pty is always permitted, nothing else ever */
	uint64_t now;           /* s */
	uint64_t life;          /* s; 0: SSH_CERTIFICATE_LIFE */
};

/* Is it a private key that we can certify with (OpenSSH's own format without a passphrase, or PEM)? */
int ssh_ca_check(const struct sp_secret *ca, const char **why_r) SP_MUST;
/* Its public key as on the wire: appended. */
/*
 * The signature of publickey authentication (RFC 4252, 7) with this key, as on the wire, if `what` is that of this user with this
 * key for "ssh-connection", and nothing else.  *why_r on refusal.
 */
int ssh_login_sign(const struct sp_secret *key, const char *user, struct sp_bytes what, struct buffer *out, const char **why_r) SP_MUST;
int ssh_ca_public(const struct sp_secret *ca, struct buffer *out, const char **why_r) SP_MUST;
/* Appends the certificate as on the wire. */
int ssh_certificate_sign(const struct sp_secret *ca, const struct ssh_certificate *want, struct buffer *out, const char **why_r) SP_MUST;

/* Is it an ssh-ed25519 public key as on the wire? */
bool ssh_certificate_key(struct sp_bytes key);
/* The same by the authority whose private key is that seed, and its public key as on the wire: appended. */
#define SSH_SEED_LEN 32
int ssh_certificate_issue(const uint8_t seed[SSH_SEED_LEN], const struct ssh_certificate *want, struct buffer *out, const char **why_r) SP_MUST;
int ssh_seed_public(const uint8_t seed[SSH_SEED_LEN], struct buffer *out) SP_MUST;

/* A certificate that somebody shows: fields borrow from its bytes. */
struct ssh_shown {
	struct sp_bytes key;       /* the certified public key: 32 bytes */
	struct sp_bytes id;
	struct sp_bytes principal; /* the only one that it names */
	struct sp_bytes from;      /* source-address; empty: none */
	uint64_t serial, after, before; /* s */
};
/*
 * Reads a user certificate and checks that `ca` (a public key as on the wire) signed it, that it is in
 * force at `now`, that it names exactly one principal, and that it has no critical option but
 * source-address.  SP_EDENIED: *why_r says what is wrong.
 */
int ssh_certificate_check(struct sp_bytes certificate, struct sp_bytes ca, uint64_t now, struct ssh_shown *shown_r, const char **why_r) SP_MUST;

#endif
