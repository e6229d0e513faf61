/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as people write them: 10.0.0.0/8, fd00::/8, 192.0.2.7. */
#ifndef SALLYPORT_NETWORK_H
#define SALLYPORT_NETWORK_H

#include "memory.h"

struct network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};
bool network_parse(const char *text, struct network *n_r);
/* text: "10.0.0.1", "10.0.0.1:5432", "::1", "[::1]:5432".  false: it is no address, and *in_r is false too. */
bool network_has(const struct network *n, struct sp_bytes text, bool *in_r);

#endif
