/* SPDX-License-Identifier: Apache-2.0 */
/* See dial.h. */
#include <config.h>

#include "dial.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/address.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "session.h"
#include "stream.h"

struct dial {
	struct sp_session *s;
	struct evdns_getaddrinfo_request *name;
	struct evutil_addrinfo *list, *at;
	struct event writable, patience; /* patience: with one of several servers, all of its addresses and its name included */
	const char *host; /* as the operator wrote it */
	const char **server; /* of the target, in the order that they are tried in; the session's epoch owns the names */
	size_t n, tried;
	int fd;
	bool waiting;
};

static void dial_next(struct dial *d);
static void server_failed(struct dial *d, const char *why);

/* ---- health: which servers did not answer a moment ago, as this worker saw it ---- */

#define DOWN_MS 10000
#define HEALTH 64

static struct health {
	char server[300];
	uint64_t until; /* mono ms */
} health[HEALTH];

static struct health *
health_find(const char *server)
{
	struct health *oldest = &health[0];
	for (size_t i = 0; i < HEALTH; i++) {
		if (strcmp(health[i].server, server) == 0)
			return &health[i];
		if (health[i].until < oldest->until)
			oldest = &health[i];
	}
	*oldest = (struct health){ .until = 0 };
	(void)snprintf(oldest->server, sizeof(oldest->server), "%s", server);
	return oldest;
}

static bool
health_down(const char *server, uint64_t now)
{
	return health_find(server)->until > now;
}

static void
health_set(const char *server, uint64_t until)
{
	health_find(server)->until = until;
}

/* ---- one connection ---- */

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

static void
server_leave(struct dial *d)
{
	if (d->name != NULL)
		evdns_getaddrinfo_cancel(d->name);
	d->name = NULL;
	dial_drop_socket(d);
	if (d->n > 1)
		(void)event_del(&d->patience);
	if (d->list != NULL)
		evutil_freeaddrinfo(d->list);
	d->list = d->at = NULL;
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
	health_set(d->server[d->tried - 1], 0);
	s->reached = arena_string(s->arena, sp_str(d->server[d->tried - 1]));
	dial_stop(s);
	session_connected(s, fd);
}

/* The next address of the list, or the end of hope. */
static void
dial_next(struct dial *d)
{
	int err = errno;
	const char *why = NULL;
	for (; d->at != NULL; d->at = d->at->ai_next) {
		if ((why = refused(d, d->at->ai_addr, -1)) != NULL)
			continue;
		d->fd = socket(d->at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (d->fd < 0) {
			err = errno;
			continue;
		}
		stream_keepalive(d->fd, d->s->home->keepalive);
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
	server_failed(d, why != NULL ? why : err == 0 ? "no address" : strerror(err));
}

static void
on_resolved(int rc, struct evutil_addrinfo *list, void *arg)
{
	struct dial *d = arg;
	if (rc == EVUTIL_EAI_CANCEL)
		return; /* d may ask for another one by now, or be gone */
	d->name = NULL;
	if (rc != 0) {
		server_failed(d, evutil_gai_strerror(rc));
		return;
	}
	d->list = d->at = list;
	errno = 0;
	dial_next(d);
}

/* The next of the target's servers: its name is looked up anew each time, in the background. */
static void
server_next(struct dial *d)
{
	struct hostport at;
	char port[8];
	const struct sp_session *s = d->s;
	uint64_t each = s->home->timeout.connect / d->n;
	const struct timeval limit = { .tv_sec = (time_t)(each / 1000), .tv_usec = (suseconds_t)(each % 1000 * 1000) };
	if (d->n > 1)
		event_add(&d->patience, &limit);
	if (settings_hostport(d->server[d->tried++], &at) != SP_OK) {
		server_failed(d, "its `server` is not HOST:PORT");
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
		server_failed(d, "names cannot be resolved here; give its address");
		return;
	}
	hints.ai_flags = EVUTIL_AI_NUMERICSERV;
	struct evdns_getaddrinfo_request *asked = evdns_getaddrinfo(s->w->dns, at.host, port, &hints, on_resolved, d);
	if (asked != NULL) /* NULL: on_resolved() was called, and may have gone on to the next server */
		d->name = asked;
}

static void
on_impatient(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	(void)fd;
	(void)what;
	worker_clock(d->s->w);
	server_failed(d, "it did not answer in its part of `timeout connect=`");
}

static void
server_failed(struct dial *d, const char *why)
{
	const char *server = d->server[d->tried - 1];
	if (d->n > 1) {
		health_set(server, d->s->w->now + DOWN_MS);
		sp_log(d->s, SP_WARN, "server %s of target %s is not reached: %s", server, d->s->target_name, why);
	}
	if (d->tried == d->n) {
		dial_failed(d, why);
		return;
	}
	server_leave(d);
	server_next(d);
}

/* As they are written; those that did not answer a moment ago come last.  Where its session is, a side session goes too. */
static void
servers_order(struct dial *d, const struct target *t, uint64_t now)
{
	size_t n = t->standby.n + 1, k = 0;
	d->n = 1;
	if (d->s->reached != NULL) {
		d->server = &d->s->reached;
		return;
	}
	d->server = arena_alloc(d->s->arena, n * sizeof(*d->server));
	for (unsigned down = 0; down < 2; down++)
		for (size_t i = 0; i < n; i++) {
			const char *server = i == 0 ? t->server : t->standby.v[i - 1];
			if (health_down(server, now) == (down == 1))
				d->server[k++] = server;
		}
	d->n = n;
}

void
dial_start(struct sp_session *s)
{
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
	evtimer_assign(&d->patience, s->w->base, on_impatient, d);
	servers_order(d, s->home, s->w->now);
	server_next(d);
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
	server_leave(d);
}
