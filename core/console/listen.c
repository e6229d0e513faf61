/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS: the listening socket that master bound, and the certificate of the epoch.
 *
 * A certificate lives until the last connection that came in under it is closed, so that a reload
 * takes a new one without ending anybody's request.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/log.h"
#include "console.h"

#define ACCEPTS_PER_WAKE 32
#define REST_MS 100

void
door_leave(struct door **at)
{
	struct door *d = *at;
	*at = NULL;
	if (d == NULL || --d->users > 0)
		return;
	tls_credentials_free(&d->tls);
	free(d);
}

static void
visitor_of(int fd, const struct sockaddr_storage *a, struct visitor *v_r)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(who);
	*v_r = (struct visitor){ .address = "", .local = a->ss_family == AF_UNIX };
	if (a->ss_family == AF_INET) {
		const struct in_addr *v4 = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
		(void)inet_ntop(AF_INET, v4, v_r->address, sizeof(v_r->address));
		memset(v_r->net + 10, 0xff, 2);
		memcpy(v_r->net + 12, v4, 4);
	} else if (a->ss_family == AF_INET6) {
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
		(void)inet_ntop(AF_INET6, v6, v_r->address, sizeof(v_r->address));
		memcpy(v_r->net, v6, 8);
	} else if (a->ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
		(void)snprintf(v_r->address, sizeof(v_r->address), "uid=%u", (unsigned)who.uid);
	}
}

/* It stays readable: without descriptors the loop would spin. */
static void
rest(struct console *c)
{
	const struct timeval soon = { 0, REST_MS * 1000 };
	log_warn("the console cannot accept: %s; trying again soon", strerror(errno));
	(void)event_del(c->accept);
	(void)event_add(c->rest, &soon);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct console *c = arg;
	(void)fd, (void)what;
	if (c->accept != NULL && event_add(c->accept, NULL) != 0)
		log_error("the console cannot listen any more");
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct console *c = arg;
	(void)what;
	for (unsigned i = 0; i < ACCEPTS_PER_WAKE; i++) {
		struct sockaddr_storage peer;
		struct visitor v;
		socklen_t len = sizeof(peer);
		int on = 1, client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				rest(c);
			return;
		}
		if (c->door == NULL) {
			close(client);
			continue;
		}
		(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		visitor_of(client, &peer, &v);
		caller_visit(c, client, &v);
	}
}

static void
stop_listening(struct console *c)
{
	if (c->accept == NULL)
		return;
	event_free(c->accept);
	event_free(c->rest);
	c->accept = c->rest = NULL;
	close(c->listening);
	c->listening = -1;
}

int
listen_take(struct console *c, int fd)
{
	stop_listening(c);
	c->listening = fd;
	(void)evutil_make_socket_nonblocking(fd);
	c->accept = event_new(c->role.base, fd, EV_READ | EV_PERSIST, on_accept, c);
	c->rest = event_new(c->role.base, -1, 0, on_rested, c);
	if (c->accept != NULL && c->rest != NULL && event_add(c->accept, NULL) == 0)
		return SP_OK;
	return SP_ENOMEM;
}

int
listen_epoch(struct console *c, const struct epoch *e, const char **err_r)
{
	struct door *d = NULL;
	if (e->settings.console.listen[0] != '\0') {
		d = mem_alloc(sizeof(*d));
		d->users = 1;
		int rc = tls_credentials_server(e, &e->settings.console.tls, &d->tls, err_r);
		if (rc != SP_OK) {
			free(d);
			return rc;
		}
	}
	if (d == NULL || (c->epoch != NULL && strcmp(c->epoch->settings.console.listen, e->settings.console.listen) != 0))
		stop_listening(c); /* master sends the new one */
	door_leave(&c->door);
	c->door = d;
	return SP_OK;
}

void
listen_end(struct console *c)
{
	stop_listening(c);
	door_leave(&c->door);
	attempts_free(&c->attempts);
}
