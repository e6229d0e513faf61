/* SPDX-License-Identifier: Apache-2.0 */
/* See dial.h. */
#include <config.h>

#include "dial.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/address.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "session.h"

struct dial {
	struct sp_session *s;
	struct evdns_getaddrinfo_request *name;
	struct evutil_addrinfo *list, *at;
	struct event writable;
	const char *host; /* as the operator wrote it */
	int fd;
	bool waiting;
};

static void dial_next(struct dial *d);

static void
dial_failed(struct dial *d, const char *why)
{
	char text[512];
	snprintf(text, sizeof(text), "cannot reach target %s: %s", d->s->target_name, why);
	session_fail(d->s, SP_EIO, text);
}

static void
dial_drop_socket(struct dial *d)
{
	if (d->waiting)
		event_del(&d->writable);
	d->waiting = false;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* Why the gateway does not go there (ID9), or NULL.  Connected: also its own end says where that is. */
static const char *
refused(const struct dial *d, const struct sockaddr *to, int fd)
{
	struct sockaddr_storage own = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(own);
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)(const void *)&own, *b4 = (const struct sockaddr_in *)(const void *)to;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)(const void *)&own, *b6 = (const struct sockaddr_in6 *)(const void *)to;
	bool here = fd >= 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0 && own.ss_family == to->sa_family &&
	    (to->sa_family == AF_INET ? a4->sin_addr.s_addr == b4->sin_addr.s_addr : memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0);
	return address_refused(&d->s->w->epoch->epoch->settings, d->host, to, here);
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	int err = 0;
	socklen_t len = sizeof(err);
	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
		dial_drop_socket(d);
		errno = err;
		dial_next(d);
		return;
	}
	struct sp_session *s = d->s;
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	len = sizeof(peer);
	const char *why = getpeername(fd, (struct sockaddr *)&peer, &len) != 0 ? "it is gone" : refused(d, (const struct sockaddr *)&peer, fd);
	if (why != NULL) {
		dial_failed(d, why);
		return;
	}
	event_del(&d->writable);
	d->waiting = false;
	d->fd = -1;
	dial_stop(s);
	session_connected(s, fd);
}

/* The next address of the list, or the end of hope. */
static void
dial_next(struct dial *d)
{
	int on = 1, err = errno;
	const char *why = NULL;
	for (; d->at != NULL; d->at = d->at->ai_next) {
		if ((why = refused(d, d->at->ai_addr, -1)) != NULL)
			continue;
		d->fd = socket(d->at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (d->fd < 0) {
			err = errno;
			continue;
		}
		(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		if (connect(d->fd, d->at->ai_addr, (socklen_t)d->at->ai_addrlen) == 0 || errno == EINPROGRESS) {
			d->at = d->at->ai_next;
			event_assign(&d->writable, d->s->w->base, d->fd, EV_WRITE, on_connected, d);
			event_add(&d->writable, NULL);
			d->waiting = true;
			return;
		}
		err = errno;
		dial_drop_socket(d);
	}
	dial_failed(d, why != NULL ? why : err == 0 ? "no address" : strerror(err));
}

static void
on_resolved(int rc, struct evutil_addrinfo *list, void *arg)
{
	struct dial *d = arg;
	d->name = NULL;
	if (rc == EVUTIL_EAI_CANCEL)
		return;
	if (rc != 0) {
		dial_failed(d, evutil_gai_strerror(rc));
		return;
	}
	d->list = d->at = list;
	errno = 0;
	dial_next(d);
}

void
dial_start(struct sp_session *s)
{
	struct hostport at;
	char port[8];
	struct dial *d = arena_alloc(s->arena, sizeof(*d));
	s->dial = d;
	d->s = s;
	d->fd = -1;
	s->deadline = s->w->now + s->home->timeout.connect;
	if (settings_unix(s->home->server) != NULL) {
		if (keeper_connect_target(s) != SP_OK)
			dial_failed(d, "the keeper is away; try again in a few seconds");
		return;
	}
	if (settings_hostport(s->home->server, &at) != SP_OK) {
		dial_failed(d, "its `server` is not HOST:PORT");
		return;
	}
	snprintf(port, sizeof(port), "%u", (unsigned)at.port);
	d->host = arena_printf(s->arena, "%s", at.host);
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP,
		.ai_flags = EVUTIL_AI_NUMERICSERV | EVUTIL_AI_NUMERICHOST }, *list = NULL;
	if (evutil_getaddrinfo(at.host, port, &hints, &list) == 0) {
		on_resolved(0, list, d);
		return;
	}
	if (s->w->dns == NULL) {
		dial_failed(d, "names cannot be resolved here; give its address");
		return;
	}
	hints.ai_flags = EVUTIL_AI_NUMERICSERV;
	d->name = evdns_getaddrinfo(s->w->dns, at.host, port, &hints, on_resolved, d);
}

void
dial_done(struct sp_session *s, int fd, struct sp_bytes why)
{
	struct dial *d = s->dial;
	char text[160];
	bool awaited = s->state == SESSION_DIALING && d != NULL && settings_unix(s->home->server) != NULL;
	if (awaited && fd >= 0) {
		dial_stop(s);
		session_connected(s, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	snprintf(text, sizeof(text), "%.*s", (int)(why.len < 150 ? why.len : 150), (const char *)why.p);
	if (awaited)
		dial_failed(d, text);
}

void
dial_stop(struct sp_session *s)
{
	struct dial *d = s->dial;
	if (d == NULL)
		return;
	s->dial = NULL;
	if (d->name != NULL)
		evdns_getaddrinfo_cancel(d->name);
	dial_drop_socket(d);
	if (d->list != NULL)
		evutil_freeaddrinfo(d->list);
}
