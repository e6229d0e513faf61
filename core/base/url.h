/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A URL that the gateway itself asks: https, a host, perhaps a port, a path and a query.  What more URLs can
 * be (accounts in them, fragments, other schemes, relative ones) is refused: two readers might differ on it.
 */
#ifndef SALLYPORT_URL_H
#define SALLYPORT_URL_H

#include "settings.h"

#define URL_MAX 2048

struct url {
	bool tls;                /* https; else http */
	struct hostport at;      /* the port is always there */
	const char *path;        /* with its query; borrowed; "" is "/" */
};

int url_parse(const char *text, struct url *u_r) SP_MUST;
/* True when it is good to ask: https, or http to this machine where that was allowed in so many words. */
bool url_fits(const char *text, bool insecure_loopback);
/* True when both are of one scheme, host and port. */
bool url_same_origin(const char *a, const char *b);

#endif
