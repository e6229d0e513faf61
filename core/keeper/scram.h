/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM-SHA-256: with targets the client's side, also -PLUS; with clients that have a ticket the server's
 * (RFC 5802, 7677; tls-server-end-point of RFC 5929).
 *
 *   scram_first()     ─▶ client-first
 *   server-first ─▶ scram_server_first()   parsed; salt and iterations known
 *   scram_derive_…()  keys, in slices: a target may ask for a million rounds
 *   scram_final()     ─▶ client-final
 *   server-final ─▶ scram_server_final()   is it the server that has our verifier?
 *
 * Everything the target says is bounded before it is used (THREATS PG21).
 */
#ifndef SALLYPORT_KEEPER_SCRAM_H
#define SALLYPORT_KEEPER_SCRAM_H

#include "../base/digest.h"

#define SCRAM_ITERATIONS_MIN 4096u
#define SCRAM_ITERATIONS_MAX 1000000u
#define SCRAM_SALT_MIN 4
#define SCRAM_SALT_MAX 128
#define SCRAM_MESSAGE_MAX 2048

struct scram_keys {
	uint8_t client[DIGEST_LEN], server[DIGEST_LEN];
};

/* What the lend helper tells of a role that it made: its verifier was made of these, not of a password. */
struct lent_scram {
	uint8_t salt[16];
	uint8_t iterations[4]; /* big-endian */
	struct scram_keys keys;
};
_Static_assert(sizeof(struct lent_scram) == 16 + 4 + 2 * DIGEST_LEN, "bytes as they are sent");

struct scram {
	char nonce[48];           /* ours */
	struct buffer first;      /* client-first-bare */
	struct buffer header;     /* gs2 header and channel binding data */
	struct buffer server;     /* server-first */
	struct sp_bytes combined; /* nonce of both, in server */
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
	uint8_t expected[DIGEST_LEN]; /* the server's signature */
};

/*
 * plus: bind to the TLS channel, with `binding`.  Without plus, a binding that we could have used
 * is said to be unused ('y'), so that a server which offered -PLUS sees that somebody took it away.
 */
int scram_first(struct scram *s, bool plus, struct sp_bytes binding, struct buffer *out) SP_MUST;
int scram_server_first(struct scram *s, struct sp_bytes in, const char **err_r) SP_MUST;
int scram_final(struct scram *s, const struct scram_keys *k, struct buffer *out) SP_MUST;
int scram_server_final(const struct scram *s, struct sp_bytes in, const char **err_r) SP_MUST;
void scram_clear(struct scram *s);

/*
 * The server's side, without channel binding: a client that saw TLS may say "y", one that wants it is refused.
 *
 *   client-first ─▶ scram_serve_first() ─▶ server-first
 *   client-final ─▶ scram_serve_final() ─▶ server-final: the proof was right
 */
#define SCRAM_SALT 16

struct scram_verifier { /* what stands for a password */
	uint8_t salt[SCRAM_SALT];
	uint32_t iterations;
	uint8_t stored[DIGEST_LEN], server[DIGEST_LEN];
};

struct scram_server {
	char nonce[48];        /* our part; a test brings its own */
	struct buffer header;  /* the client's gs2 header */
	struct buffer first;   /* client-first-bare */
	struct buffer combined; /* nonce of both */
	struct buffer server;  /* server-first */
};

void scram_verifier_make(struct sp_bytes password, struct scram_verifier *v_r);
int scram_serve_first(struct scram_server *s, const struct scram_verifier *v, struct sp_bytes in, struct buffer *out, const char **err_r) SP_MUST;
/* SP_EDENIED: well-formed, and of another password. */
int scram_serve_final(const struct scram_server *s, const struct scram_verifier *v, struct sp_bytes in, struct buffer *out,
    const char **err_r) SP_MUST;
void scram_server_clear(struct scram_server *s);

/* PBKDF2 under way. */
struct scram_derivation;
struct scram_derivation *scram_derive_begin(struct sp_bytes password, struct sp_bytes salt, uint32_t iterations);
/* At most so many rounds; true when keys_r holds the result. */
bool scram_derive_step(struct scram_derivation *d, uint32_t rounds, struct scram_keys *keys_r);
void scram_derive_end(struct scram_derivation **d);

#endif
