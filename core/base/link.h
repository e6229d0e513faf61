/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One socketpair end on a libevent loop, speaking message.h.
 *
 * Output is queued without blocking and bounded: a link whose peer stopped reading for 64 MB is
 * broken.  `gone` is called once, from the loop, when the peer left or broke the table.
 */
#ifndef SALLYPORT_LINK_H
#define SALLYPORT_LINK_H

#include <event2/event.h>

#include "message.h"

struct link;

struct link_handler {
	/* m's fields are borrowed until return; its fds are closed after, unless set to -1. */
	int (*message)(void *owner, struct link *l, struct message *m);
	void (*gone)(void *owner, struct link *l, const char *why);
	void *owner;
};

/* Takes fd over.  self and peer decide which messages may go each way. */
struct link *link_new(struct event_base *base, int fd, enum role self, enum role peer, unsigned peer_index,
    const struct link_handler *h);
void link_free(struct link **l);
/* Queues; fds are duplicated by the kernel on sending, the caller keeps its own. */
int link_send(struct link *l, const struct message *m) SP_MUST;
/* Nothing is queued, and no half of a message has come: another may go on with its descriptor. */
bool link_quiet(const struct link *l);
int link_fd(const struct link *l);
/* Sends what is queued, waiting up to ms: before the process ends. */
void link_flush(struct link *l, unsigned ms);
/* Of a peer that has ended: handles what it had said before; gone() is not called. */
void link_drain(struct link *l);
/*
 * Blocks up to ms for the message of that type and id, which goes to take() alone; the others keep
 * their order and come from the loop.  Not from inside the link's own handler.
 */
int link_await(struct link *l, unsigned type, const uint32_t *id, unsigned ms,
    void (*take)(void *owner, const struct message *m), void *owner) SP_MUST;
enum role link_peer(const struct link *l);
unsigned link_peer_index(const struct link *l);
/* socketpair with close-on-exec. */
int link_pair(int fd_r[2]) SP_MUST;

#endif
