/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses an outside request may go to (ID9).
 *
 * A URL can come from a provider's document, and a name can be made to point anywhere: so it is the
 * address that counts, looked at when the connection is made.
 *
 *                                          the operator wrote that host   anybody else did
 *   of the public internet                          yes                        yes
 *   private, this machine, carrier NAT              yes                        no
 *   link-local (cloud metadata), multicast, none    no                         no
 */
#ifndef SALLYPORT_HELPER_FETCH_ADDRESS_H
#define SALLYPORT_HELPER_FETCH_ADDRESS_H

#include "../base/address.h"

/* True when the configuration itself has a URL of that scheme, host and port; *insecure_r: it may be http, on this machine. */
bool fetch_named(const struct settings *s, const char *url, bool *insecure_r);

#endif
