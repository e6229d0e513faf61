/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ssh-keygen's. */
#ifndef SALLYPORT_OPENSSH_H
#define SALLYPORT_OPENSSH_H

#include "memory.h"

/*
 * The public half of a private key in OpenSSH's own format, which is in clear there: "ssh-ed25519 AAAA…", appended.
 * SP_EPROTO: it is in another format.
 */
int openssh_public(struct sp_bytes file, struct buffer *line) SP_MUST;

#endif
