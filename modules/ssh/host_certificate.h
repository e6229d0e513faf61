/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host certificates (PROTOCOL.certkeys of OpenSSH), and signatures by host keys.  Nothing here knows of libssh or of a session.
 */
#ifndef SALLYPORT_SSH_HOST_CERTIFICATE_H
#define SALLYPORT_SSH_HOST_CERTIFICATE_H

#include <sallyport/module.h>

#define HOST_PRINT 51 /* "SHA256:" and 43 characters, and the NUL */

struct host_kind;

struct host_key { /* a plain public key; borrowed */
	const struct host_kind *kind;
	struct sp_bytes field[2]; /* Ed25519: the key; ECDSA: its curve, the point; RSA: e, n */
};

struct host_shown {
	struct host_key key;
	char print[HOST_PRINT];     /* of the plain key, as `ssh-keygen -l` prints it */
	char authority[HOST_PRINT]; /* who signed; "" before it could be read */
	uint64_t after, before;     /* s */
};

/* The algorithms of certificates that are asked for, in order, with commas. */
extern const char host_algorithms[];
/* The row of one of them; NULL: there is none of that name. */
const struct host_kind *host_kind_of(struct sp_bytes algorithm);
/* The kind of plain key that it certifies, as libssh names the algorithms of those. */
const char *host_kind_plain(const struct host_kind *kind);

void host_print(struct sp_bytes blob, char print_r[HOST_PRINT]);
/*
 * Reads a certificate of that kind and checks that it is a host's, that one of `authorities` (fingerprints) signed it, that
 * it is in force at `now`, names `name` itself (no pattern, and not everybody), and has no critical option.
 * SP_EDENIED: *why_r says what is wrong.  Borrowed from the certificate.
 */
int host_certificate_check(const struct host_kind *kind, struct sp_bytes certificate, const struct sp_strings *authorities, const char *name,
    uint64_t now, struct host_shown *shown_r, const char **why_r) SP_MUST;
/* Is that the signature (as on the wire) of that key over these bytes? */
bool host_signature_good(const struct host_key *key, struct sp_bytes data, struct sp_bytes signature);

#endif
