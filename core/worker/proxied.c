/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See proxied.h.
 *
 *   accept, from a listed network ─▶ peek ─ a whole header ─▶ take its bytes ─▶ session_accept() with the client's address
 *                                      │ not yet whole: wait, as long as `timeout handshake=`
 *                                      └ no header ─▶ close: who is not listed can't get here, who is has to say
 */
#include <config.h>

#include "proxied.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/network.h"
#include "../base/proxy_header.h"
#include "epoch_use.h"
#include "session.h"

struct arriving {
	struct list_node all;
	struct worker *w;
	struct event readable, limit; /* limit: for all of the header, however it comes */
	int fd;
	char listener[128], peer[64];
	uint8_t had[PROXY_HEADER_MAX]; /* of a header that is not yet whole */
	size_t len;
};

bool
proxied_from(const struct listener *l, const char *address)
{
	struct network net;
	bool in = false;
	for (size_t i = 0; i < l->proxy_from.n && !in; i++)
		if (network_parse(l->proxy_from.v[i], &net))
			(void)network_has(&net, sp_str(address), &in);
	return in;
}

static void
arriving_free(struct arriving *a)
{
	(void)event_del(&a->readable);
	(void)event_del(&a->limit);
	if (a->fd >= 0)
		close(a->fd);
	list_remove(&a->all);
	a->w->narriving--;
	free(a);
}

static void
refuse(struct arriving *a, const char *why)
{
	log_warn("listener %s: %s %s", a->listener, a->peer, why);
	arriving_free(a);
}

static void
arrived(struct arriving *a, const char *address)
{
	struct worker *w = a->w;
	struct listener_use *use = w->epoch == NULL ? NULL : epoch_use_listener(w->epoch, a->listener);
	if (use == NULL) {
		refuse(a, "came to a listener that is gone");
		return;
	}
	int fd = a->fd;
	a->fd = -1;
	session_accept(w, use->listener, fd, address[0] == '\0' ? a->peer : address);
	arriving_free(a);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct arriving *a = arg;
	char address[64];
	(void)what;
	worker_clock(a->w);
	ssize_t n = recv(fd, a->had + a->len, sizeof(a->had) - a->len, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && a->len == 0) { /* a balancer that looks whether anybody is there */
		log_debug("listener %s: %s came and went", a->listener, a->peer);
		arriving_free(a);
		return;
	}
	if (n <= 0) {
		refuse(a, "left before its PROXY header was whole");
		return;
	}
	size_t before = a->len;
	long used = proxy_header_parse((struct sp_bytes){ a->had, before + (size_t)n }, address);
	/* What belongs to the header is taken, what follows stays: it may be TLS. */
	size_t take = used > 0 ? (size_t)used - before : (size_t)n;
	if (used < 0 || (used == 0 && before + take == sizeof(a->had)) || recv(fd, a->had + before, take, MSG_DONTWAIT) != (ssize_t)take) {
		refuse(a, "sends no PROXY header, and must (proxy_from)");
		return;
	}
	a->len += take;
	if (used > 0)
		arrived(a, address);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	refuse(arg, "sends no PROXY header in time");
}

void
proxied_begin(struct worker *w, const struct listener *l, int fd, const char *address)
{
	struct arriving *a = mem_alloc(sizeof(*a));
	const struct timeval limit = { .tv_sec = (time_t)(l->handshake / 1000), .tv_usec = (suseconds_t)(l->handshake % 1000 * 1000) };
	a->w = w;
	a->fd = fd;
	(void)snprintf(a->listener, sizeof(a->listener), "%s", l->b.name);
	(void)snprintf(a->peer, sizeof(a->peer), "%s", address);
	list_add(&w->arriving, &a->all);
	w->narriving++;
	event_assign(&a->readable, w->base, fd, EV_READ | EV_PERSIST, on_readable, a);
	event_add(&a->readable, NULL);
	evtimer_assign(&a->limit, w->base, on_limit, a);
	event_add(&a->limit, &limit);
}

void
proxied_end_all(struct worker *w)
{
	LIST_EACH(n, next, &w->arriving)
		arriving_free(LIST_OF(n, struct arriving, all));
}
