/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process gets from master after it was started, always in this order:
 *
 *   epoch ─▶ logs (recorder) ─▶ board (worker, keeper), ring (worker), rings (recorder) ─▶ links ─▶ listeners (worker, console)
 *
 * Rings belong to master: what a worker published is there for the next recorder too.
 */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../record/ring.h"

#define RING_KEPT_MS 60000

/* ---- epoch, logs, listeners ---- */

/* Some live under the coming configuration before it is in force: those that have to take it first. */
static bool
lives_under_coming(const struct reload *r, const struct child *c)
{
	bool keeper = c->role == ROLE_KEEPER && (r->stage == RELOAD_KEEPER || r->stage == RELOAD_RECORDER);
	bool recorder = c->role == ROLE_RECORDER && r->stage == RELOAD_RECORDER;
	return r->epoch != NULL && (c->fresh || keeper || recorder);
}

/* What a keeper locks itself down to, with its first epoch. */
static void
note_keeper_folders(struct master *m, const struct epoch *e)
{
	while (m->keeper_folders > 0)
		free(m->keeper_folder[--m->keeper_folders]);
	m->keeper_folders = settings_secret_folders(&e->settings, m->keeper_folder, SECRET_FOLDERS);
}

void
sealed_close(struct sealed *s)
{
	const int fds[] = { s->workers, s->console, s->others };
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	*s = SEALED_NONE;
}

int
child_give_epoch(struct master *m, struct child *c)
{
	const struct reload *r = &m->reload;
	bool coming = lives_under_coming(r, c);
	const struct epoch *e = coming ? r->epoch : m->epoch;
	if (c->role == ROLE_KEEPER && c->given == 0)
		note_keeper_folders(m, e);
	const struct sealed *s = coming ? &r->sealed : &m->sealed;
	const struct message msg = { .type = MSG_EPOCH, .nfds = 1, .f = { Q(e->number) },
		.fd = { c->role == ROLE_WORKER ? s->workers : c->role == ROLE_CONSOLE ? s->console : s->others, -1, -1 } };
	c->given = e->number;
	c->given_at = clock_mono_ms();
	return c->link == NULL ? SP_EIO : link_send(c->link, &msg);
}

/* The recorder has three files; one that is not wanted is /dev/null, so that each keeps its place. */
/* How far the log host has come: written in place, not with O_APPEND as logs are. */
static int
position_open(const char *audit)
{
	char path[4096 + 16];
	(void)snprintf(path, sizeof(path), "%.4096s.shipped", audit);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		log_error("cannot open %s: %s", path, strerror(errno));
	return fd;
}

/* It reads the audit log for auditors.  One that cannot be opened is the recorder's trouble; without one nothing is read. */
static int
give_keeper_log(struct child *c, struct message msg, const char *audit)
{
	int fd = audit[0] == '\0' ? -1 : log_open(audit, O_RDONLY | O_NONBLOCK); /* a pipe keeps nobody waiting */
	msg.fd[1] = fd;
	msg.nfds += fd >= 0;
	int rc = link_send(c->link, &msg);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int
child_give_logs(struct master *m, struct child *c)
{
	struct message msg = { .type = MSG_REOPEN, .nfds = 1, .fd = { m->log_fd, -1, -1 } };
	bool ship = c->role == ROLE_SHIP; /* reads the one, and writes down how far in the other */
	const char *const paths[] = { m->epoch->settings.audit, m->epoch->settings.access };
	int rc = SP_OK;
	if (c->role == ROLE_KEEPER)
		return give_keeper_log(c, msg, paths[0]);
	if (c->role != ROLE_RECORDER && !ship)
		return link_send(c->link, &msg);
	for (unsigned i = 0; i < 2; i++, msg.nfds++) {
		const char *path = paths[i][0] == '\0' ? "/dev/null" : paths[i];
		int fd = !ship ? log_open(path, O_RDWR) : i == 0 ? log_open(path, O_RDONLY) : position_open(paths[0]);
		if (fd < 0)
			rc = SP_EIO;
		msg.fd[1 + i] = fd;
	}
	if (rc == SP_OK)
		rc = link_send(c->link, &msg);
	for (unsigned i = 1; i < msg.nfds; i++) {
		if (msg.fd[i] >= 0)
			(void)close(msg.fd[i]);
	}
	return rc;
}

int
child_give_listeners(struct master *m, struct child *c)
{
	int rc = SP_OK;
	for (const struct bound *b = m->bound; b != NULL && rc == SP_OK; b = b->next) {
		bool console = strcmp(b->address, m->epoch->settings.console.listen) == 0;
		if (console != (c->role == ROLE_CONSOLE))
			continue; /* also one that a configuration on its way has bound for it */
		const struct message l = { .type = MSG_LISTENER, .f = { Z(b->name) }, .fd = { b->fd, -1, -1 }, .nfds = 1 };
		rc = link_send(c->link, &l);
	}
	return rc;
}

/* ---- links ---- */

/* Two ends of a new socketpair for two children. */
static int
connect_two(struct child *a, struct child *b)
{
	int pair[2];
	if (a == NULL || b == NULL || a->link == NULL || b->link == NULL)
		return SP_OK;
	if (link_pair(pair) != SP_OK)
		return SP_EIO;
	const struct message to_a = { .type = MSG_LINK, .f = { Q(b->role), Q(b->index) }, .fd = { pair[0], -1, -1 }, .nfds = 1 };
	const struct message to_b = { .type = MSG_LINK, .f = { Q(a->role), Q(a->index) }, .fd = { pair[1], -1, -1 }, .nfds = 1 };
	int rc = link_send(a->link, &to_a);
	if (rc == SP_OK)
		rc = link_send(b->link, &to_b);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return rc;
}

/* The keeper speaks with all of the others, but with ship, which has nothing to say; nobody else with anybody. */
static int
connect_all(struct master *m, struct child *c)
{
	int rc = SP_OK;
	if (c->role == ROLE_SHIP)
		return SP_OK;
	if (c->role != ROLE_KEEPER)
		return connect_two(child_of(m, ROLE_KEEPER), c);
	for (unsigned i = 0; i < CHILDREN && rc == SP_OK; i++)
		if (m->child[i].role > ROLE_KEEPER && m->child[i].role != ROLE_CHECK && m->child[i].role != ROLE_SHIP)
			rc = connect_two(c, &m->child[i]);
	return rc;
}

/* ---- rings ---- */

static void
ring_drop(struct ring_kept *r)
{
	const int fds[] = { r->memory, r->recorder_bell, r->worker_bell };
	for (size_t i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	r->used = false;
}

static struct ring_kept *
ring_new(struct master *m, unsigned index)
{
	struct ring_kept *r = NULL;
	for (unsigned i = 0; i < CHILDREN && r == NULL; i++)
		if (!m->ring[i].used)
			r = &m->ring[i];
	if (r == NULL)
		return NULL;
	*r = (struct ring_kept){ .index = index, .used = true, .memory = -1, .recorder_bell = -1, .worker_bell = -1 };
	if (ring_create((size_t)m->epoch->settings.record.ring, &r->memory) == SP_OK) {
		r->recorder_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->worker_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	if (r->memory >= 0 && r->recorder_bell >= 0 && r->worker_bell >= 0)
		return r;
	ring_drop(r);
	return NULL;
}

/* The recorder reads at the memory and its bell; the worker writes, and hears its own bell. */
static int
ring_hand(const struct ring_kept *r, struct child *to)
{
	if (to == NULL || to->link == NULL)
		return SP_OK;
	const struct message msg = { .type = MSG_RING, .nfds = 3, .f = { Q(r->index) },
		.fd = { r->memory, r->recorder_bell, r->worker_bell } };
	return link_send(to->link, &msg);
}

void
ring_mark_gone(struct master *m, unsigned index)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->ring[i].used && m->ring[i].index == index)
			m->ring[i].gone = clock_mono_ms();
}

/* Only when a recorder was there long enough to have emptied it. */
void
ring_forget_old(struct master *m, uint64_t now)
{
	const struct child *recorder = child_of(m, ROLE_RECORDER);
	if (recorder == NULL || !recorder->ready || now - recorder->started < RING_KEPT_MS)
		return;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->ring[i].used && m->ring[i].gone != 0 && now - m->ring[i].gone > RING_KEPT_MS)
			ring_drop(&m->ring[i]);
}

/* ---- all of it ---- */

static int
equip_recorder(struct master *m, struct child *c)
{
	const struct epoch *e = lives_under_coming(&m->reload, c) ? m->reload.epoch : m->epoch;
	int rc = anchor_open(m, e->settings.record.anchor);
	if (rc == SP_OK)
		rc = child_give_logs(m, c);
	for (unsigned i = 0; i < CHILDREN && rc == SP_OK; i++) {
		const struct ring_kept *r = &m->ring[i];
		if (!r->used)
			continue;
		rc = ring_hand(r, c);
		if (rc == SP_OK && r->gone != 0)
			rc = link_send(c->link, &(struct message){ .type = MSG_WORKER_GONE, .f = { Q(r->index) } });
	}
	return rc;
}

static int
equip_worker(struct master *m, struct child *c)
{
	struct ring_kept *r = ring_new(m, c->index);
	const struct message board = { .type = MSG_BOARD, .f = { Q(c->slot) }, .fd = { m->board_fd, -1, -1 }, .nfds = 1 };
	if (r == NULL) {
		log_error("no memory for the ring of worker %u", c->index);
		return SP_ENOMEM;
	}
	int rc = link_send(c->link, &board);
	if (rc == SP_OK)
		rc = ring_hand(r, c);
	return rc == SP_OK ? ring_hand(r, child_of(m, ROLE_RECORDER)) : rc;
}

int
child_equip(struct master *m, struct child *c)
{
	int rc = child_give_epoch(m, c);
	if (rc == SP_OK && c->role == ROLE_WORKER)
		rc = equip_worker(m, c);
	if (rc == SP_OK && c->role == ROLE_KEEPER)
		rc = link_send(c->link, &(struct message){ .type = MSG_BOARD, .f = { Q(BOARD_SLOTS) }, .fd = { m->board_fd, -1, -1 }, .nfds = 1 });
	if (rc == SP_OK && c->role == ROLE_RECORDER)
		rc = equip_recorder(m, c);
	if (rc == SP_OK && (c->role == ROLE_SHIP || (c->role == ROLE_KEEPER && m->trial == 0)))
		rc = child_give_logs(m, c);
	if (rc == SP_OK)
		rc = connect_all(m, c);
	if (rc == SP_OK && (c->role == ROLE_CONSOLE || (c->role == ROLE_WORKER && !c->fresh)))
		rc = child_give_listeners(m, c);
	return rc;
}
