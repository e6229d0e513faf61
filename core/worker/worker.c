/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker process: master's messages, the listeners, the doorbell of the recorder, the tick.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/sandbox.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "pool.h"
#include "proxied.h"
#include "reads.h"
#include "record.h"
#include "sends.h"
#include "session.h"
#include "trial.h"

#define TICK_MS 50
#define RECORDER_CHANGES_MAX 60000
#define ACCEPTS_PER_WAKE 32
/*
 * The keeper counts sessions and says when there are too many; this bounds what waits to be let in,
 * side sessions and those that end.
 */
#define CONNECTIONS(sessions) (2 * (sessions) + 64)

struct worker the_worker;

struct listening {
	struct list_node all;
	struct worker *w;
	char *name;
	struct event accept;
	int fd;
};

/* ---- output memory ---- */

#define WRITER_MAX ((size_t)1 << 30) /* no message of a protocol is longer */

static int
writer_grow(struct sp_writer *wr, size_t more)
{
	size_t cap = wr->cap == 0 ? SCRATCH : wr->cap;
	if (more > WRITER_MAX || wr->len > WRITER_MAX - more)
		return SP_ETOOBIG;
	while (cap - wr->len < more)
		cap *= 2;
	uint8_t *p = realloc(wr->p, cap);
	if (p == NULL)
		return SP_ENOMEM;
	wr->p = p;
	wr->cap = cap;
	return SP_OK;
}

/* ---- listeners ---- */

static void
peer_address(int fd, const struct sockaddr_storage *a, char out[64])
{
	struct ucred who;
	socklen_t len = sizeof(who);
	char ip[INET6_ADDRSTRLEN] = "";
	if (a->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, ip, sizeof(ip));
	else if (a->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, ip, sizeof(ip));
	snprintf(out, 64, "%s", ip);
	if (a->ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
		snprintf(out, 64, "uid=%u", (unsigned)who.uid);
}

void
worker_clock(struct worker *w)
{
	w->now_us = clock_mono_us();
	w->now = w->now_us / 1000;
	w->wall = clock_wall_us();
	sends_due(w->sends, w->now_us);
}

/* No descriptor left: rest a little instead of spinning on a listener that stays readable. */
static void
listening_rest(struct listening *l)
{
	log_warn("listener %s cannot accept: %s; trying again soon", l->name, strerror(errno));
	event_del(&l->accept);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct listening *l = arg;
	struct worker *w = l->w;
	(void)what;
	reads_go(w->reads);
	worker_clock(w);
	struct listener_use *use = w->epoch == NULL ? NULL : epoch_use_listener(w->epoch, l->name);
	for (unsigned i = 0; i < ACCEPTS_PER_WAKE; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		char address[64];
		int client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				listening_rest(l);
			return;
		}
		if (use == NULL || w->draining || w->ring == NULL ||
		    w->nsessions + w->narriving >= CONNECTIONS(w->epoch->epoch->settings.limit.sessions)) {
			close(client);
			continue;
		}
		if (peer.ss_family != AF_UNIX)
			stream_keepalive(client, use->listener->keepalive);
		peer_address(client, &peer, address);
		if (proxied_from(use->listener, address))
			proxied_begin(w, use->listener, client, address);
		else
			session_accept(w, use->listener, client, address);
	}
}

static void
listening_free(struct listening *l)
{
	event_del(&l->accept);
	close(l->fd);
	list_remove(&l->all);
	free(l->name);
	free(l);
}

static int
listening_add(struct worker *w, int fd, struct sp_bytes name)
{
	LIST_EACH(n, next, &w->listeners) {
		struct listening *old = LIST_OF(n, struct listening, all);
		if (sp_bytes_is(name, old->name))
			listening_free(old);
	}
	struct listening *l = mem_alloc(sizeof(*l));
	l->w = w;
	l->fd = fd;
	l->name = mem_string(name);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	event_assign(&l->accept, w->base, fd, EV_READ | EV_PERSIST, on_accept, l);
	event_add(&l->accept, NULL);
	list_add(&w->listeners, &l->all);
	return SP_OK;
}

/* Listeners that the configuration no longer has. */
static void
listening_prune(struct worker *w)
{
	LIST_EACH(n, next, &w->listeners) {
		struct listening *l = LIST_OF(n, struct listening, all);
		if (epoch_use_listener(w->epoch, l->name) == NULL)
			listening_free(l);
	}
}

/* ---- time and doorbells ---- */

/* Connections of the gateway's own serve clients' sessions: the last of these takes them along. */
static void
drain(struct worker *w)
{
	LIST_EACH(n, next, &w->sessions)
		if (LIST_OF(n, struct sp_session, all)->purpose[0] == '\0')
			return;
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		if (s->state == SESSION_RUN)
			session_finish(s, SP_END_SHUTDOWN, "nobody needs it any more");
	}
	if (w->nsessions > 0 || w->narriving > 0)
		return;
	struct message m = { .type = MSG_DRAINED };
	if (link_send(w->role->master, &m) != SP_OK)
		log_warn("master could not be told that this worker is drained");
	record_publish(w);
	role_end(w->role, 0);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	(void)fd;
	(void)what;
	reads_go(w->reads);
	worker_clock(w);
	if (w->board != NULL)
		board_beat(w->board, w->board_slot, w->now);
	if (w->epoch == NULL)
		return;
	record_progress(w);
	keeper_tick(w);
	pool_tick(w);
	LIST_EACH(n, next, &w->sessions)
		session_tick(LIST_OF(n, struct sp_session, all));
	LIST_EACH(n, next, &w->listeners) {
		struct listening *l = LIST_OF(n, struct listening, all);
		if (!event_pending(&l->accept, EV_READ, NULL))
			event_add(&l->accept, NULL);
	}
	if (w->draining)
		drain(w);
}

static void
on_bell(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t rung;
	(void)what;
	reads_go(w->reads);
	worker_clock(w);
	if (read(fd, &rung, sizeof(rung)) > 0 && w->epoch != NULL)
		record_progress(w);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	session_run_kicked(arg);
}

/* ---- master ---- */

static int
worker_start(void *owner, struct epoch *e, const char **err_r)
{
	struct worker *w = owner;
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	int rc = policy_prepare(); /* time zones are files: read before the sandbox takes them away */
	if (rc != SP_OK)
		*err_r = "rules could not be given a clock";
	if (rc == SP_OK)
		rc = modules_load(w->arena, &e->settings, &w->modules, err_r);
	if (rc == SP_OK)
		rc = epoch_use(w, e, &w->epoch, err_r);
	if (rc != SP_OK)
		return rc;
	worker_events(w, w->role->base);
	w->dns = evdns_base_new(w->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	event_add(&w->tick, &tick);
	worker_clock(w);
	if (e->settings.io_uring)
		sends_share(w->sends);
	rc = sandbox_enter(ROLE_WORKER, NULL);
	if (rc != SP_OK)
		*err_r = "the worker could not be locked down";
	return rc;
}

static int
worker_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct worker *w = owner;
	struct worker_epoch *next;
	reads_go(w->reads);
	int rc = epoch_use(w, e, &next, err_r);
	if (rc != SP_OK)
		return rc;
	struct worker_epoch *old = w->epoch;
	w->epoch = next;
	worker_clock(w);
	listening_prune(w);
	pool_clear(w);
	LIST_EACH(n, after, &w->sessions)
		session_follow(LIST_OF(n, struct sp_session, all));
	epoch_use_unref(&old);
	return SP_OK;
}

static int
worker_link(void *owner, enum role peer, unsigned index, int fd)
{
	(void)index;
	if (peer != ROLE_KEEPER) {
		close(fd);
		return SP_EPROTO;
	}
	keeper_connect(owner, fd);
	return SP_OK;
}

static int
take_ring(struct worker *w, struct message *m)
{
	if (w->ring != NULL || m->nfds != 3)
		return SP_EPROTO;
	int rc = ring_map(m->fd[0], &w->ring);
	if (rc != SP_OK)
		return rc;
	w->recorder_bell = m->fd[1];
	w->ring_bell = m->fd[2];
	m->fd[1] = m->fd[2] = -1;
	(void)fcntl(w->ring_bell, F_SETFL, O_NONBLOCK);
	(void)fcntl(w->recorder_bell, F_SETFL, O_NONBLOCK);
	event_assign(&w->bell, w->base, w->ring_bell, EV_READ | EV_PERSIST, on_bell, w);
	event_add(&w->bell, NULL);
	return SP_OK;
}

static int
worker_message(void *owner, struct link *l, struct message *m)
{
	struct worker *w = owner;
	int fd;
	(void)l;
	switch (m->type) {
	case MSG_LISTENER:
		fd = m->fd[0];
		m->fd[0] = -1;
		return listening_add(w, fd, m->f[0].s);
	case MSG_RING:
		return take_ring(w, m);
	case MSG_RECORDER:
		worker_clock(w);
		w->recorder_changes = w->now + (m->f[0].q < RECORDER_CHANGES_MAX ? m->f[0].q : RECORDER_CHANGES_MAX);
		return SP_OK;
	case MSG_TRY:
		return trial_start(w);
	case MSG_BOARD:
		w->board_slot = (unsigned)m->f[0].q;
		return board_map(m->fd[0], &w->board);
	default:
		return SP_EPROTO;
	}
}

static void
worker_quit(void *owner, bool graceful)
{
	struct worker *w = owner;
	reads_go(w->reads);
	w->draining = true;
	worker_clock(w);
	LIST_EACH(n, next, &w->listeners)
		listening_free(LIST_OF(n, struct listening, all));
	if (graceful)
		return;
	proxied_end_all(w);
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		if (s->purpose[0] == '\0') /* the others: drain() */
			session_finish(s, SP_END_SHUTDOWN, "the gateway is stopping");
	}
}

static void
worker_turned(void *owner)
{
	struct worker *w = owner;
	reads_go(w->reads);
	sends_go(w->sends);
}

void
worker_init(struct worker *w)
{
	list_init(&w->sessions);
	list_init(&w->listeners);
	list_init(&w->kicked);
	list_init(&w->warm);
	list_init(&w->arriving);
	w->arena = arena_new(0);
	w->scratch = mem_alloc(SCRATCH);
	w->writer = (struct sp_writer){ .grow = writer_grow };
	w->reads = reads_new();
	w->sends = sends_new();
	policy_mask_keys(keeper_mask_key, w);
}

void
worker_events(struct worker *w, struct event_base *base)
{
	w->base = base;
	event_assign(&w->tick, base, -1, EV_PERSIST, on_tick, w);
	event_assign(&w->kick, base, -1, 0, on_kick, w);
}

const struct role_handler worker_handler = { .start = worker_start, .epoch = worker_epoch, .link = worker_link,
	.message = worker_message, .turned = worker_turned, .quit = worker_quit };
