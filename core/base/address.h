/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses may be reached (ID9): a name can be made to point anywhere, so it is the address that
 * counts, looked at when the connection is made.
 */
#ifndef SALLYPORT_ADDRESS_H
#define SALLYPORT_ADDRESS_H

#include <sys/socket.h>

#include "settings.h"

enum reach { REACH_NEVER, REACH_NAMED, REACH_PUBLIC }; /* zero: nowhere */

/*
 * NEVER: link-local (cloud metadata), multicast, none.  NAMED: private, this machine, carrier NAT, which
 * only somebody who means it may name.
 */
enum reach address_reach(const struct sockaddr *address);
/*
 * Why no target is there, a text that stays, or NULL: link-local addresses and metadata of clouds, whoever wrote them;
 * this machine, unless `host`, as the operator wrote it, says so; and where the gateway itself listens, of s (NULL: not asked).
 * here: the address is one of this machine's.
 */
const char *address_refused(const struct settings *s, const char *host, const struct sockaddr *a, bool here);

#define ADDRESS_DIGITS 64
/* Whose listeners address_find() keeps away from; borrowed until the next call, NULL: nobody's. */
void address_ours(const struct settings *s);
/*
 * "HOST:PORT", as the operator wrote it, by the first address of that name that is not refused, in digits; waits for the resolver, so
 * for helpers only.  SP_EIO: no such name.  SP_EDENIED: *why_r, a text that stays, says what is wrong with its addresses.
 */
int address_find(const char *server, struct hostport *h_r, char digits_r[ADDRESS_DIGITS], const char **why_r) SP_MUST;

#endif
