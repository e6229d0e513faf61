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
#define TAKING_MS 30000          /* reading a configuration may take longer, not for ever */
#define BACKOFF_FIRST 100
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

static unsigned
all_alive(const struct master *m)
{
	unsigned n = 0;
	for (unsigned r = ROLE_KEEPER; r < ROLES; r++)
		n += alive(m, (enum role)r);
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
	if (phase >= MASTER_DRAINING)
		notify("STOPPING=1");
	if (phase >= MASTER_DRAINING)
		bind_close(m);
	if (phase == MASTER_DRAINING || phase == MASTER_STOPPING)
		tell_quit(m, ROLE_WORKER, phase == MASTER_DRAINING);
	if (phase == MASTER_LAST) {
		tell_quit(m, ROLE_WORKER, false);
		tell_quit(m, ROLE_CONSOLE, false);
		tell_quit(m, ROLE_FETCH, false);
		tell_quit(m, ROLE_SAML, false);
		tell_quit(m, ROLE_DIAL, false);
		tell_quit(m, ROLE_SHIP, false); /* what it has not sent yet, the next one will */
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
		if (alive(m, ROLE_RECORDER) == 0 && !m->keeper_told) {
			tell_quit(m, ROLE_KEEPER, false);
			m->keeper_told = true;
		}
		if (m->keeper_told && !m->lenders_told && alive(m, ROLE_KEEPER) == 0) {
			tell_quit(m, ROLE_LEND, true); /* now it has heard of every session's end */
			m->lenders_told = true;
		}
		for (unsigned r = ROLE_KEEPER; r < ROLES && spent > STOP_MS; r++)
			kill_all(m, (enum role)r);
		if (all_alive(m) == 0)
			(void)event_base_loopbreak(m->base);
		break;
	default:
		break;
	}
}

/* ---- starting everybody ---- */

unsigned
master_workers_wanted(const struct settings *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = s->workers != 0 ? s->workers : cpus > 0 ? (uint64_t)cpus : 1;
	return n > CHILDREN / 4 ? CHILDREN / 4 : (unsigned)n;
}

/* A child that was started but could not be equipped is ended: its death starts another. */
static int
start_one(struct master *m, enum role role, bool fresh)
{
	struct child *c;
	int rc = child_start(m, role, &c);
	if (rc != SP_OK) {
		log_error("%s cannot be started", role_name(role));
		return rc;
	}
	c->fresh = fresh;
	if (child_equip(m, c) != SP_OK) {
		log_error("%s %u cannot be given what it needs", role_name(role), c->index);
		(void)kill(c->pid, SIGKILL);
	}
	return SP_OK;
}

int
master_start_worker(struct master *m, bool fresh)
{
	return start_one(m, ROLE_WORKER, fresh);
}

int
master_start_one(struct master *m, enum role role)
{
	return start_one(m, role, false);
}

int
master_start_helper(struct master *m, enum role role)
{
	return start_one(m, role, false);
}

static int
start_all(struct master *m)
{
	int rc = start_one(m, ROLE_KEEPER, false);
	if (rc == SP_OK)
		rc = start_one(m, ROLE_RECORDER, false);
	if (rc == SP_OK)
		rc = start_one(m, ROLE_CONSOLE, false);
	if (rc == SP_OK)
		rc = helpers_start(m, clock_mono_ms());
	for (unsigned i = master_workers_wanted(&m->epoch->settings); i > 0 && rc == SP_OK; i--)
		rc = start_one(m, ROLE_WORKER, false);
	return rc;
}

/* The error log goes to its file, or to that name again after it was moved away. */
static int
log_to_file(struct master *m)
{
	const char *path = m->epoch->settings.log.path;
	int fd = log_open(path, O_WRONLY), own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0) {
		if (fd >= 0)
			(void)close(fd);
		return SP_EIO;
	}
	(void)close(m->log_fd);
	m->log_fd = fd;
	log_reopen(own);
	return SP_OK;
}

static int
first_configuration(struct master *m)
{
	int rc = accounts_find(m);
	if (rc == SP_OK)
		rc = prepare_folders(m);
	if (rc == SP_OK)
		rc = log_to_file(m);
	if (rc == SP_OK)
		rc = pid_write(m);
	if (rc == SP_OK)
		rc = bind_control(m);
	return rc == SP_OK ? start_all(m) : rc;
}

static void
tell_parent(struct master *m, const char *text)
{
	if (m->parent < 0)
		return;
	(void)!write(m->parent, text, strlen(text));
	(void)close(m->parent);
	m->parent = -1;
}

void
master_not_started(struct master *m, const char *why)
{
	tell_parent(m, why);
	m->status = 1;
	master_enter(m, MASTER_LAST);
}

/* Called when the first configuration has come, and whenever a child is ready. */
void
master_ready(struct master *m)
{
	if (m->phase != MASTER_STARTING)
		return;
	if (alive(m, ROLE_KEEPER) == 0) {
		if (first_configuration(m) != SP_OK)
			master_not_started(m, "it cannot start: the error log says why");
		return;
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role != ROLE_NONE && m->child[i].role != ROLE_CHECK && !m->child[i].ready)
			return;
	log_info("sallyportd %s is ready: %u workers, %s", PACKAGE_VERSION, alive(m, ROLE_WORKER), m->conf_path);
	master_enter(m, MASTER_RUNNING);
	reload_status(m, clock_mono_us(), true, "started");
	notify("READY=1");
	tell_parent(m, "ok");
	if (m->reload_wanted)
		reload_start(m);
	m->reload_wanted = false;
}

/* ---- deaths ---- */

static void
tell_worker_gone(struct master *m, const struct child *c)
{
	static const enum role told[] = { ROLE_KEEPER, ROLE_RECORDER };
	ring_mark_gone(m, c->index);
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
	else if (WEXITSTATUS(status) != 0 && c->role != ROLE_CHECK) /* its status is its answer */
		log_error("%s %u (process %d) ended with status %d", role_name(c->role), c->index, (int)c->pid, WEXITSTATUS(status));
}

static void
restart_later(struct master *m, const struct child *c)
{
	uint64_t now = clock_mono_ms(), *b = &m->backoff[c->role];
	*b = now - c->started > STEADY_MS || *b == 0 ? BACKOFF_FIRST : *b * 2 > BACKOFF_LAST ? BACKOFF_LAST : *b * 2;
	m->restart_at[c->role] = now + *b;
	if (!role_is_helper(c->role)) /* of those, the configuration says which are missing */
		m->missing[c->role]++;
}

/* Recorder, keeper and console are needed while sessions drain; of workers nobody is missed then. */
static bool
is_missed(const struct master *m, const struct child *dead)
{
	if (dead->draining || m->phase > MASTER_DRAINING)
		return false;
	return m->phase == MASTER_RUNNING || dead->role != ROLE_WORKER;
}

static void
child_died(struct master *m, struct child *c, int status)
{
	struct child dead = *c;
	log_death(&dead, status);
	if (dead.role == ROLE_CHECK && c->link != NULL) {
		c->dead = true; /* forgotten when its link has been read to the end */
		return;
	}
	if (dead.role == ROLE_RECORDER && c->link != NULL)
		link_drain(c->link); /* its last checkpoints */
	bool expected = dead.role == ROLE_CHECK || reload_lost(m, c);
	child_forget(c);
	if (dead.role == ROLE_CHECK)
		return;
	if (dead.role == ROLE_WORKER)
		tell_worker_gone(m, &dead);
	if (m->phase == MASTER_STARTING)
		master_not_started(m, "a process did not come up: the error log says why");
	else if (!expected && is_missed(m, &dead))
		restart_later(m, &dead);
}

static void
reap(struct master *m)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (unsigned i = 0; i < CHILDREN; i++)
			if (m->child[i].role != ROLE_NONE && !m->child[i].dead && m->child[i].pid == pid) {
				child_died(m, &m->child[i], status);
				break;
			}
}

static void
restart_missing(struct master *m, uint64_t now)
{
	if (m->phase != MASTER_RUNNING && m->phase != MASTER_DRAINING)
		return;
	for (unsigned r = ROLE_KEEPER; r < ROLES; r++) {
		while (m->missing[r] > 0 && now >= m->restart_at[r]) {
			m->missing[r]--;
			if (start_one(m, (enum role)r, false) == SP_OK)
				continue;
			m->missing[r]++;
			m->restart_at[r] = now + BACKOFF_LAST;
		}
	}
	(void)helpers_start(m, now); /* what it could not start is logged, and tried again later */
}

/* ---- the watchdog ---- */

/* Any process must take a configuration some time; a worker must show every second that it lives. */
static void
watch(struct master *m, struct child *c, uint64_t now, bool on_time)
{
	bool taking = c->taken != c->given, worker = c->role == ROLE_WORKER;
	uint64_t beat = worker ? board_last_beat(m->board, c->slot) : 0;
	bool silent = worker && beat == c->beat && on_time && c->ready && !taking;
	c->beat = beat;
	c->missed = silent ? c->missed + 1 : 0;
	if (c->missed < STUCK_TICKS && !(taking && now - c->given_at > TAKING_MS))
		return;
	log_error("%s %u %s and is ended", role_name(c->role), c->index,
	    taking ? "does not come to an end with a configuration" : "gave no sign for a second");
	c->missed = 0;
	c->given_at = now;
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
		if (m->child[i].role != ROLE_NONE && m->child[i].role != ROLE_CHECK)
			watch(m, &m->child[i], now, on_time);
	bind_control_resume(m);
	reload_tick(m, now);
	restart_missing(m, now);
	ring_forget_old(m, now);
	phase_tick(m, now);
}

/* ---- signals ---- */

static void
reopen_logs(struct master *m)
{
	if (strcmp(m->epoch->settings.log.path, "stderr") != 0 && log_to_file(m) != SP_OK)
		return;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role != ROLE_NONE && c->role != ROLE_CHECK && c->link != NULL && child_give_logs(m, c) != SP_OK)
			log_warn("%s %u cannot be told to reopen its log", role_name(c->role), c->index);
	}
}

static void
on_hangup(struct master *m)
{
	if (m->phase == MASTER_STARTING)
		m->reload_wanted = true;
	else if (m->phase == MASTER_RUNNING)
		reload_start(m);
	else
		reload_status(m, clock_mono_us(), false, "sallyportd is ending");
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
		on_hangup(m);
		break;
	case SIGUSR1:
		if (m->phase == MASTER_RUNNING || m->phase == MASTER_DRAINING)
			reopen_logs(m);
		break;
	case SIGUSR2:
		upgrade_start(m);
		break;
	case SIGQUIT:
		master_enter(m, m->phase == MASTER_STARTING ? MASTER_LAST : MASTER_DRAINING);
		break;
	default:
		master_enter(m, m->phase == MASTER_STARTING ? MASTER_LAST : MASTER_STOPPING);
	}
}

int
master_open(struct master *m)
{
	static const int heard[] = { SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGTERM, SIGINT };
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
	int rc = m->inherited > 0 ? upgrade_take(m, m->inherited) : board_create(&m->board_fd);
	if (rc == SP_OK && (rc = board_map(m->board_fd, &m->board)) != SP_OK)
		log_error("no shared memory for the board");
	if (rc != SP_OK)
		return rc;
	reload_start(m);
	return SP_OK;
}

int
master_run(struct master *m)
{
	if (master_open(m) != SP_OK)
		return 1;
	if (event_base_dispatch(m->base) < 0)
		m->status = 1;
	if (m->control >= 0)
		(void)unlink(m->control_path);
	if (m->pid_path != NULL && m->pid_fd >= 0)
		(void)unlink(m->pid_path);
	log_info("sallyportd ends");
	return m->status;
}
