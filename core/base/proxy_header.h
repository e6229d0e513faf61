/* SPDX-License-Identifier: Apache-2.0 */
/* The header of the PROXY protocol, versions 1 and 2, from whoever is trusted to write one (ID2). */
#ifndef SALLYPORT_PROXY_HEADER_H
#define SALLYPORT_PROXY_HEADER_H

#include "memory.h"

#define PROXY_HEADER_MAX 4096 /* v2's 16 bytes, addresses, and what else is said of the connection, which is passed over */

/*
 * Bytes of the header at the front of `in`; 0 when more are needed, or SP_EPROTO.  address_r: the client's, "" when the
 * balancer speaks for itself (LOCAL, UNKNOWN), or for who came to a socket of its own machine.
 */
long proxy_header_parse(struct sp_bytes in, char address_r[64]) SP_MUST;

#endif
