/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the gateway: over its control socket, or over HTTPS. */
#ifndef SALLYPORT_REACH_H
#define SALLYPORT_REACH_H

#include "command.h"

struct tls;
struct tls_credentials;

struct reach {
	char url[320];       /* "https://gate.example.com:8443"; "": the control socket */
	char host[320];      /* what the request's Host says */
	const char *control; /* path of the socket */
	json_t *saved;       /* saved_read() */
	bool patient;        /* set before reach_open(): an answer may take for ever */
	int fd;
	struct tls_credentials *trust;
	struct tls *tls;
};

/* Each: DONE, or FAILED (MISUSED) after having said why.  reach_end() in any case. */
int reach_find(const struct run *r, struct reach *at) SP_MUST;
int reach_open(const struct run *r, struct reach *at) SP_MUST;
/* Appends the token that one acts under; nothing when there is none. */
int reach_token(const struct run *r, const struct reach *at, struct buffer *token) SP_MUST;
int reach_send(struct reach *at, struct sp_bytes out) SP_MUST;
int reach_receive(struct reach *at, struct buffer *in) SP_MUST; /* some more */
void reach_end(struct reach *at);

#endif
