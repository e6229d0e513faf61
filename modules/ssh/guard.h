/* SPDX-License-Identifier: Apache-2.0 */
/* What libssh is not trusted with: bytes before the keys (SS1, SS11).  Nothing here knows of libssh. */
#ifndef SALLYPORT_SSH_GUARD_H
#define SALLYPORT_SSH_GUARD_H

#include <sallyport/wire.h>

struct guard {
	enum { GUARD_BANNER, GUARD_PACKETS, GUARD_OPEN } at;
	unsigned lines;
	bool strict; /* the peer does strict key exchange */
};

/*
 * How many bytes at the front of `in` may go on; 0: more are needed, *want_r in all; negative: the peer
 * has to go, and *why_r says why.
 */
long guard_look(struct guard *g, struct sp_bytes in, size_t *want_r, const char **why_r);

#endif
