/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GnuTLS on a stream.  Credentials are made once per epoch; a session's TLS state is made when
 * its handshake begins.  No renegotiation, TLS 1.2 and up, no compression.
 */
#ifndef SALLYPORT_TLS_H
#define SALLYPORT_TLS_H

#include <sys/uio.h>

#include "epoch.h"

struct tls;
struct tls_credentials;

struct tls_signature {
	size_t len;
	uint8_t bytes[1024];
};
/* Signs for a client certificate whose key is elsewhere; algorithm: a gnutls_sign_algorithm_t. */
typedef int tls_sign(void *owner, unsigned algorithm, struct sp_bytes data, struct tls_signature *out_r);

/* What is before the handshake's first byte on the wire: bytes already read, or none. */
struct tls_start {
	const char *alpn; /* the only protocol spoken: a peer that names others is refused */
	bool must_alpn;   /* … and so is one that names none: TLS at once, where nothing else told the protocol */
	const char *name; /* as client: the server's name; NULL as server */
	bool verify;      /* as client */
	tls_sign *sign;   /* as client: asked when the server wants our certificate */
	void *sign_owner;
	bool reads_ahead; /* who reads goes on while tls_pending(): no event tells of what is here already */
	struct sp_bytes early;
};

int tls_credentials_server(const struct epoch *e, const struct tls_settings *t, struct tls_credentials **c_r, const char **err_r) SP_MUST;
int tls_credentials_client(const struct epoch *e, const struct target *t, struct tls_credentials **c_r, const char **err_r) SP_MUST;
/* As client, trusting these authorities (PEM), or the system's when there are none. */
int tls_credentials_trust(struct sp_bytes ca, struct tls_credentials **c_r, const char **err_r) SP_MUST;
void tls_credentials_free(struct tls_credentials **c);

int tls_new(struct tls_credentials *c, int fd, const struct tls_start *start, struct tls **t_r) SP_MUST;
void tls_free(struct tls **t);
/* 1 done, 0 wait (wants_write_r says for what), < 0 failed with a sentence. */
int tls_handshake(struct tls *t, bool *wants_write_r, const char **err_r) SP_MUST;
bool tls_ready(const struct tls *t);
const char *tls_alpn(const struct tls *t);
/* Bytes read, 0 at the end, -1 nothing now, < -1 failed. */
long tls_read(struct tls *t, void *p, size_t n) SP_MUST;
bool tls_pending(const struct tls *t);
/* Bytes taken (maybe all into the record layer), -1 nothing now, < -1 failed.  After -1 the same bytes must come again. */
long tls_write(struct tls *t, const void *p, size_t n) SP_MUST;
void tls_bye(struct tls *t);
/* Once it is ready: records go out by this instead of the socket, as by writev(2): bytes taken, or -1 and errno. */
typedef ssize_t tls_push(void *owner, const struct iovec *iov, size_t n);
void tls_pushes(struct tls *t, tls_push *push, void *owner);
/*
 * As server: the chain that the client showed, and has the key of, each certificate as be32 length and DER: appended.  Who
 * vouches for it is not looked at.  Nothing where it showed none; SP_ETOOBIG: a longer one than anybody needs.
 */
bool tls_certified(const struct tls *t);
int tls_client_chain(const struct tls *t, struct sp_writer *out) SP_MUST;
/* RFC 5929 section 4.1: hash of the peer's certificate by its signature's hash. */
struct sp_bytes tls_end_point(struct tls *t);

#endif
