/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2: a load balancer says whose connection it is (ID2). */
#ifndef SALLYPORT_PROXIED_H
#define SALLYPORT_PROXIED_H

#include "worker.h"

/* Does the listener take a header from that peer?  Then each of its connections must begin with one. */
bool proxied_from(const struct listener *l, const char *address);
/* Reads the header, and no byte more; then session_accept().  Takes fd over. */
void proxied_begin(struct worker *w, const struct listener *l, int fd, const char *address);
void proxied_end_all(struct worker *w);
#endif
