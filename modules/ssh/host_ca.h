/* SPDX-License-Identifier: Apache-2.0 */
/* Host keys of targets by a certificate of their host's. */
#ifndef SALLYPORT_SSH_HOST_CA_H
#define SALLYPORT_SSH_HOST_CA_H

#include "ssh.h"

#define HOST_CA "host certificate" /* purpose of the connections that ask */

/* Is this key vouched for, as far as is remembered?  As `ssh-keygen -l` prints it. */
bool host_ca_vouches(struct sp_session *s, const char *print);
/* The algorithms of the key that is vouched for; NULL: there is none. */
const char *host_ca_plain(struct sp_session *s);
/* Ask the target: h->vouching says when there is an answer, and the session's data() is called. */
int host_ca_ask(struct sp_session *s) SP_MUST;
/* There is an answer, but to what another configuration asked, and it is none to this one: ask once more. */
bool host_ca_missed(struct sp_session *s);
/* The session ends, or waits no more. */
void host_ca_forget(struct sp_session *s);

/* Callbacks of the connection that asks. */
int host_ca_open(struct sp_session *s) SP_MUST;
int host_ca_data(struct sp_session *s, enum sp_side from) SP_MUST;
void host_ca_close(struct sp_session *s);

#endif
