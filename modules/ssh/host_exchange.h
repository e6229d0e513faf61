/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSH's first key exchange with a server, as far as its proof of who it is, for one thing: its host certificate, which libssh's
 * client can't ask for.  No key is ever used, nothing is encrypted, and nobody logs in.  Nothing here knows of a session.
 */
#ifndef SALLYPORT_SSH_HOST_EXCHANGE_H
#define SALLYPORT_SSH_HOST_EXCHANGE_H

#include "host_certificate.h"

#define EXCHANGE_PACKET 35000u /* RFC 4253, 6.1 */
#define EXCHANGE_LINE 255u
#define EXCHANGE_SECRET 32

enum host_exchange_at { EXCHANGE_VERSION, EXCHANGE_LISTS, EXCHANGE_REPLY, EXCHANGE_DONE };

/* 70 kB: one at a time. */
struct host_exchange {
	enum host_exchange_at at;
	unsigned lines;
	uint8_t secret[EXCHANGE_SECRET], public[EXCHANGE_SECRET];
	uint8_t version[EXCHANGE_LINE], ours[1024], theirs[EXCHANGE_PACKET], reply[EXCHANGE_PACKET];
	size_t version_len, ours_len, theirs_len;
	const struct host_kind *kind;  /* agreed on */
	struct sp_bytes certificate, signature; /* at EXCHANGE_DONE; in `reply` */
	uint8_t hash[32];              /* the exchange's, which the host key signed */
};

/* random: 16 bytes for the cookie, 32 for the secret.  What goes first to the server is appended. */
void host_exchange_begin(struct host_exchange *x, const uint8_t random[16 + EXCHANGE_SECRET], struct sp_writer *out);
/*
 * How many bytes of the server's were taken; 0: more are needed, *want_r in all; negative: it is refused, *why_r says why.
 * What has to be sent is appended.  At EXCHANGE_DONE nothing more is taken.
 */
long host_exchange_look(struct host_exchange *x, struct sp_bytes in, struct sp_writer *out, size_t *want_r, const char **why_r);
/* At EXCHANGE_DONE: has whoever answered the key that this certificate is about? */
bool host_exchange_proved(const struct host_exchange *x, const struct host_key *key);

#endif
