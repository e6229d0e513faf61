/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in to targets: the worker brings what the target said, the keeper answers for the
 * credential, and only for a session that it admitted to that target and that is not open yet.
 *
 *   mechanism              step  what the target said        what is answered
 *   SCRAM-SHA-256[-PLUS]   0     nothing                     client-first-message
 *                          1     server-first-message        client-final-message
 *                          2     server-final-message        nothing; ok: it is the right server
 *   md5                    0     the salt, 4 bytes           "md5" and 32 hexadecimal digits
 *   password               0     nothing                     the password (only where `cleartext on`)
 *   ssh-certificate        0     the session's public key      a certificate for it, good for minutes
 *   ssh-key                0     nothing                     the public key (`login key=`)
 *                          1     what the log-in signs       the signature, for that login and key only
 *   (client certificate)         what CertificateVerify signs  a signature, once a login
 *
 * Answers carry no NUL and no framing.  A session logs in once: after a wrong step nothing is proved.
 */
#ifndef SALLYPORT_KEEPER_PROOF_H
#define SALLYPORT_KEEPER_PROOF_H

#include "live.h"

int proof_prove(struct keeper *k, struct link *l, struct message *m);
/* TLS 1.3's algorithms only, once for a session that is not open yet, at the target whose login has that key. */
int proof_tls_sign(struct keeper *k, struct link *l, struct message *m);
/* A first step was made, and not yet the last. */
bool proof_under_way(const struct live *s);
void proof_end(struct keeper *k, struct live *s);
/* A slice of the work on SCRAM keys; k->derive calls it while there is some. */
void proof_derive(struct keeper *k);

/* ---- credentials.c ---- */

struct credential {
	const char *user;
	struct sp_secret *secret; /* NULL: none */
	struct sp_secret *scram;  /* struct lent_scram: only these keys, and no password; NULL: none */
	struct sp_secret *key;    /* PEM of the client certificate's; NULL: none */
	struct sp_secret *ssh;    /* SSH: the key that logs in; NULL: none */
	struct sp_secret *ca;     /* SSH: the key that certifies; NULL: none */
	const char *from;         /* SSH: where certificates are good from */
	bool forwarding;          /* SSH: ports may be forwarded */
	bool cleartext;
};

/* What file:PATH, env:NAME or sealed:NAME holds; *why_r says why not. */
int credential_read(const struct settings *settings, const char *where, struct sp_secret **s_r, const char **why_r) SP_MUST;
/* Reads every target's secrets.  *err_r is good until the next call. */
int credentials_new(const struct settings *s, struct credentials **c_r, const char **err_r) SP_MUST;
void credentials_free(struct credentials **c);
/* The login of a target for that use; its catalogue's is `login`'s where it has none of its own.  NULL: there is none. */
const struct credential *credentials_find(const struct credentials *c, const char *target, enum credential_use use);
/* Of who makes its ephemeral roles, or the token of its vault; NULL: nobody lends. */
const struct credential *credentials_admin(const struct credentials *c, const char *target);

/* The secret of an identity's client at its provider; NULL: it has none. */
const struct sp_secret *credentials_client(const struct credentials *c, const char *identity);
/* The key that signs its requests, PEM; NULL: they are not signed. */
const struct sp_secret *credentials_request_key(const struct credentials *c, const char *identity);

struct scram_keys;
/* Derived keys that were kept, in locked memory; NULL: none for that salt. */
const struct scram_keys *credentials_keys(struct credentials *c, const struct credential *who, struct sp_bytes salt, uint32_t iterations);
void credentials_keep(struct credentials *c, const struct credential *who, struct sp_bytes salt, uint32_t iterations, struct sp_bytes keys);

#endif
