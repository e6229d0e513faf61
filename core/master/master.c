/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master's life:
 *
 *   STARTING ─ all are ready ─▶ RUNNING ─ QUIT ─▶ DRAINING ─┐
 *       │                          └─ TERM ─────────────────┴▶ STOPPING ─ workers are gone ─▶ LAST ─▶ end
 *       └ anything fails ──────────────────────────────────────────────────────────────────────▲
 *
 * Workers end first, so that the recorder still hears their last frames and the keeper signs them.
 */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/role.h"

#define TICK_MS 100
#define LATE_MS 300              /* a tick later than this says nothing about workers */
#define STUCK_TICKS 10           /* a worker without a sign for a second is ended (P10) */
#define STOP_MS 5000             /* how long the processes of a phase may take to go */
#define BACKOFF_FIRST 100
#define BACKOFF_LAST 5000
#define STEADY_MS 10000

static const char *const phase_names[] = { "starting", "running", "draining", "stopping", "last" };
_Static_assert(sizeof(phase_names) / sizeof(*phase_names) == MASTER_LAST + 1, "a name for each phase");

/* ---- phases ---- */

static unsigned
alive(const struct master *m, enum role role)
{
	unsigned n = 0;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == role)
			n++;
	return n;
}

static void
tell_quit(struct master *m, enum role role, bool graceful)
{
	const struct message q = { .type = MSG_QUIT, .f = { Q(graceful) } };
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == role && c->link != NULL && link_send(c->link, &q) != SP_OK)
			(void)kill(c->pid, SIGKILL);
	}
}

void
master_enter(struct master *m, enum master_phase phase)
{
	if (phase <= m->phase)
		return;
	log_debug("master goes from %s to %s", phase_names[m->phase], phase_names[phase]);
	m->phase = phase;
	m->phase_since = clock_mono_ms();
	if (phase == MASTER_DRAINING || phase == MASTER_STOPPING) {
		bind_close(m);
		tell_quit(m, ROLE_WORKER, phase == MASTER_DRAINING);
	}
	if (phase == MASTER_LAST) {
		tell_quit(m, ROLE_WORKER, false);
		tell_quit(m, ROLE_CONSOLE, false);
		tell_quit(m, ROLE_RECORDER, false);
	}
}

static void
kill_all(struct master *m, enum role role)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == role)
			(void)kill(m->child[i].pid, SIGKILL);
}

/* The recorder's last checkpoints want the keeper: it is told to go when the recorder is gone. */
static void
phase_tick(struct master *m, uint64_t now)
{
	uint64_t spent = now - m->phase_since;
	uint64_t drain = m->epoch == NULL ? 0 : m->epoch->settings.shutdown_timeout;
	switch (m->phase) {
	case MASTER_DRAINING:
		if (alive(m, ROLE_WORKER) == 0 || spent > drain)
			master_enter(m, MASTER_STOPPING);
		break;
	case MASTER_STOPPING:
		if (spent > STOP_MS)
			kill_all(m, ROLE_WORKER);
		if (alive(m, ROLE_WORKER) == 0)
			master_enter(m, MASTER_LAST);
		break;
	case MASTER_LAST:
		if (alive(m, ROLE_RECORDER) == 0)
			tell_quit(m, ROLE_KEEPER, false);
		for (unsigned r = ROLE_KEEPER; r < ROLES && spent > STOP_MS; r++)
			kill_all(m, (enum role)r);
		if (alive(m, ROLE_KEEPER) + alive(m, ROLE_RECORDER) + alive(m, ROLE_CONSOLE) + alive(m, ROLE_WORKER) + alive(m, ROLE_CHECK) == 0)
			(void)event_base_loopbreak(m->base);
		break;
	default:
		break;
	}
}

/* ---- starting everybody ---- */

static unsigned
workers_wanted(const struct master *m)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = m->epoch->settings.workers != 0 ? m->epoch->settings.workers : cpus > 0 ? (uint64_t)cpus : 1;
	return n > CHILDREN / 4 ? CHILDREN / 4 : (unsigned)n;
}

static int
start_one(struct master *m, enum role role)
{
	struct child *c;
	int rc = child_start(m, role, &c);
	if (rc == SP_OK)
		rc = child_equip(m, c);
	if (rc != SP_OK)
		log_error("%s cannot be started", role_name(role));
	return rc;
}

static int
start_all(struct master *m)
{
	int rc = start_one(m, ROLE_KEEPER);
	if (rc == SP_OK)
		rc = start_one(m, ROLE_RECORDER);
	if (rc == SP_OK)
		rc = start_one(m, ROLE_CONSOLE);
	for (unsigned i = workers_wanted(m); i > 0 && rc == SP_OK; i--)
		rc = start_one(m, ROLE_WORKER);
	return rc;
}

static int
first_configuration(struct master *m)
{
	const struct settings *s = &m->epoch->settings;
	int rc = accounts_find(m);
	if (rc == SP_OK)
		rc = prepare_folders(m);
	if (rc != SP_OK)
		return rc;
	if (strcmp(s->log.path, "stderr") != 0) {
		m->log_fd = log_open(m, s->log.path);
		if (m->log_fd < 0)
			return SP_EIO;
		log_reopen(fcntl(m->log_fd, F_DUPFD_CLOEXEC, 0));
	}
	rc = bind_control(m);
	return rc == SP_OK ? start_all(m) : rc;
}

static void
write_pid(const struct master *m)
{
	FILE *f = fopen(m->epoch->settings.pid, "we");
	if (f == NULL || fprintf(f, "%d\n", (int)getpid()) < 0)
		log_warn("cannot write %s: %s", m->epoch->settings.pid, strerror(errno));
	if (f != NULL && fclose(f) != 0)
		log_warn("cannot write %s: %s", m->epoch->settings.pid, strerror(errno));
}

/* Called when a configuration has come, and whenever a child is ready. */
void
master_ready(struct master *m)
{
	if (m->phase != MASTER_STARTING)
		return;
	if (alive(m, ROLE_KEEPER) == 0) {
		if (first_configuration(m) == SP_OK)
			return;
		m->status = 1;
		static const char why[] = "it cannot start: the log says why";
		if (m->parent >= 0)
			(void)!write(m->parent, why, sizeof(why) - 1);
		master_enter(m, MASTER_LAST);
		return;
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role != ROLE_NONE && m->child[i].role != ROLE_CHECK && !m->child[i].ready)
			return;
	write_pid(m);
	master_status(m, true, "in force");
	log_info("sallyportd %s is ready: %u workers, %s", PACKAGE_VERSION, alive(m, ROLE_WORKER), m->conf_path);
	master_enter(m, MASTER_RUNNING);
	if (m->parent >= 0) {
		(void)!write(m->parent, "ok", 2);
		close(m->parent);
		m->parent = -1;
	}
}

/* ---- deaths ---- */

static void
tell_worker_gone(struct master *m, const struct child *c)
{
	static const enum role told[] = { ROLE_KEEPER, ROLE_RECORDER };
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->ring[i].used && m->ring[i].index == c->index)
			m->ring[i].gone = clock_mono_ms();
	for (size_t i = 0; i < 2; i++) {
		struct child *to = child_of(m, told[i]);
		if (to != NULL && link_send(to->link, &(struct message){ .type = MSG_WORKER_GONE, .f = { Q(c->index) } }) != SP_OK)
			log_warn("%s cannot be told that worker %u is gone", role_name(told[i]), c->index);
	}
}

static void
log_death(const struct child *c, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s %u (process %d) was ended by signal %d", role_name(c->role), c->index, (int)c->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_error("%s %u (process %d) ended with status %d", role_name(c->role), c->index, (int)c->pid, WEXITSTATUS(status));
}

static void
restart_later(struct master *m, const struct child *c)
{
	uint64_t now = clock_mono_ms(), *b = &m->backoff[c->role];
	*b = now - c->started > STEADY_MS || *b == 0 ? BACKOFF_FIRST : *b * 2 > BACKOFF_LAST ? BACKOFF_LAST : *b * 2;
	m->restart_at[c->role] = now + *b;
	m->missing[c->role]++;
}

void
master_child_died(struct master *m, struct child *c, int status)
{
	struct child dead = *c;
	bool expected = m->phase >= MASTER_DRAINING || dead.draining;
	if (dead.role == ROLE_CHECK) {
		/* its answer may still be in the link */
		if (m->check == c)
			event_base_loop(m->base, EVLOOP_NONBLOCK);
		child_forget(c);
		if (m->check == c)
			reload_check_died(m, status);
		return;
	}
	log_death(&dead, status);
	child_forget(c);
	if (dead.role == ROLE_WORKER)
		tell_worker_gone(m, &dead);
	if (m->phase == MASTER_STARTING) {
		static const char why[] = "a process did not come up: the log says why";
		if (m->parent >= 0)
			(void)!write(m->parent, why, sizeof(why) - 1);
		m->status = 1;
		master_enter(m, MASTER_LAST);
	} else if (!expected) {
		restart_later(m, &dead);
	}
}

static void
reap(struct master *m)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (unsigned i = 0; i < CHILDREN; i++)
			if (m->child[i].role != ROLE_NONE && m->child[i].pid == pid) {
				master_child_died(m, &m->child[i], status);
				break;
			}
}

static void
restart_missing(struct master *m, uint64_t now)
{
	if (m->phase != MASTER_RUNNING)
		return;
	for (unsigned r = ROLE_KEEPER; r < ROLES; r++) {
		while (m->missing[r] > 0 && now >= m->restart_at[r]) {
			m->missing[r]--;
			if (start_one(m, (enum role)r) == SP_OK)
				continue;
			m->missing[r]++;
			m->restart_at[r] = now + BACKOFF_LAST;
		}
	}
}

/* ---- the watchdog ---- */

static void
watch_worker(struct master *m, struct child *c, bool on_time)
{
	uint64_t beat = board_last_beat(m->board, c->slot);
	if (beat != c->beat || !on_time || !c->ready || c->taking) {
		c->beat = beat;
		c->missed = 0;
		return;
	}
	if (++c->missed < STUCK_TICKS)
		return;
	log_error("worker %u gave no sign for a second and is ended", c->index);
	c->missed = 0;
	(void)kill(c->pid, SIGKILL);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	uint64_t now = clock_mono_ms();
	bool on_time = now - m->last_tick < LATE_MS;
	(void)fd;
	(void)what;
	m->last_tick = now;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == ROLE_WORKER)
			watch_worker(m, &m->child[i], on_time);
	restart_missing(m, now);
	ring_forget_old(m, now);
	phase_tick(m, now);
}

/* ---- signals ---- */

void
master_reopen(struct master *m)
{
	const struct settings *s = &m->epoch->settings;
	if (strcmp(s->log.path, "stderr") != 0) {
		int fd = log_open(m, s->log.path);
		if (fd < 0)
			return;
		close(m->log_fd);
		m->log_fd = fd;
		log_reopen(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	}
	int audit = log_open(m, s->audit), access_log = log_open(m, s->access);
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->role == ROLE_CHECK || c->link == NULL)
			continue;
		struct message r = { .type = MSG_REOPEN, .fd = { m->log_fd, -1, -1 }, .nfds = 1 };
		if (c->role == ROLE_RECORDER && audit >= 0) {
			r.fd[r.nfds++] = audit;
			if (access_log >= 0)
				r.fd[r.nfds++] = access_log;
		}
		if (link_send(c->link, &r) != SP_OK)
			log_warn("%s cannot be told to reopen its log", role_name(c->role));
	}
	if (audit >= 0)
		close(audit);
	if (access_log >= 0)
		close(access_log);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct master *m = arg;
	(void)what;
	switch (number) {
	case SIGCHLD:
		reap(m);
		break;
	case SIGHUP:
		if (m->phase == MASTER_RUNNING && reload_start(m) != SP_OK)
			log_error("the configuration cannot be tried");
		break;
	case SIGUSR1:
		if (m->phase == MASTER_RUNNING)
			master_reopen(m);
		break;
	case SIGQUIT:
		master_enter(m, m->phase == MASTER_STARTING ? MASTER_STOPPING : MASTER_DRAINING);
		break;
	default:
		master_enter(m, MASTER_STOPPING);
	}
}

int
master_run(struct master *m)
{
	static const int heard[] = { SIGCHLD, SIGHUP, SIGUSR1, SIGQUIT, SIGTERM, SIGINT };
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	m->base = event_base_new();
	for (size_t i = 0; i < sizeof(heard) / sizeof(*heard); i++) {
		m->signals[i] = evsignal_new(m->base, heard[i], on_signal, m);
		event_add(m->signals[i], NULL);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	event_assign(&m->tick, m->base, -1, EV_PERSIST, on_tick, m);
	event_add(&m->tick, &tick);
	m->last_tick = clock_mono_ms();
	if (board_create(&m->board_fd) != SP_OK || board_map(m->board_fd, &m->board) != SP_OK) {
		log_error("no shared memory for the board");
		return 1;
	}
	if (reload_start(m) != SP_OK)
		return 1;
	if (event_base_dispatch(m->base) < 0)
		m->status = 1;
	if (m->epoch != NULL && m->phase > MASTER_STARTING && m->status == 0) {
		(void)unlink(m->epoch->settings.pid);
		(void)unlink(m->epoch->settings.control.path);
	}
	log_info("sallyportd ends");
	return m->status;
}
