/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the others: fork, give up root, exec the role's own program, and hand out what it needs. */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/role.h"
#include "../record/ring.h"

#define STACK_BYTES (256u << 20) /* the SQL parser recurses: DEPENDENCIES, a limit of depth stands before it */
#define MEMLOCK_BYTES (64u << 20)
#define RING_KEPT_MS 60000

extern char **environ;

/* ---- where the programs are ---- */

static bool
trusted_program(const struct master *m, const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	if (!m->root)
		return true;
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		log_error("%s is not root's alone to write: it is not started", path);
		return false;
	}
	return true;
}

const char *
child_program(const struct master *m, enum role role)
{
	static char path[PATH_MAX];
	char self[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	*slash = '\0';
	const char *const places[] = { "%s/../libexec/sallyport/sallyport-%s", "%s/sallyport-%s" };
	for (size_t i = 0; i < 2; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(path, sizeof(path), places[i], self, role_name(role));
#pragma GCC diagnostic pop
		if (access(path, X_OK) == 0)
			return trusted_program(m, path) ? path : NULL;
	}
	log_error("sallyport-%s is neither in libexec nor beside %s", role_name(role), self);
	return NULL;
}

/* ---- in the child, before exec ---- */

static void
limit(int what, rlim_t value)
{
	struct rlimit l;
	if (getrlimit(what, &l) != 0)
		return;
	if (l.rlim_max != RLIM_INFINITY && value > l.rlim_max && geteuid() != 0)
		value = l.rlim_max;
	l.rlim_cur = value;
	if (l.rlim_max != RLIM_INFINITY && l.rlim_max < value)
		l.rlim_max = value;
	(void)setrlimit(what, &l);
}

static void
child_limits(enum role role)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	limit(RLIMIT_MEMLOCK, MEMLOCK_BYTES);
	if (role == ROLE_WORKER || role == ROLE_CHECK)
		limit(RLIMIT_STACK, STACK_BYTES);
}

/* The keeper's secrets may be in its environment; the others get what the tools of tests need. */
static char **
child_environment(enum role role)
{
	static const char *const kept[] = { "TZ=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "GCOV_PREFIX=" };
	static char *out[8];
	size_t n = 0;
	if (role == ROLE_KEEPER || role == ROLE_CHECK)
		return environ;
	for (char **e = environ; *e != NULL; e++)
		for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
			if (strncmp(*e, kept[i], strlen(kept[i])) == 0 && n + 1 < sizeof(out) / sizeof(*out))
				out[n++] = *e;
	out[n] = NULL;
	return out;
}

static void
child_exec(const struct master *m, enum role role, unsigned index, int fd, const char *path)
{
	char number[16], title[64];
	sigset_t none;
	const struct account *a = &m->account[role];
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(m->log_fd, STDERR_FILENO) < 0 || dup2(fd, ROLE_MASTER_FD) < 0)
		_exit(126);
	(void)close_range(ROLE_MASTER_FD + 1, ~0U, 0);
	child_limits(role);
	if (m->root && (setgroups(1, &a->gid) != 0 || setresgid(a->gid, a->gid, a->gid) != 0 || setresuid(a->uid, a->uid, a->uid) != 0))
		_exit(125);
	if (role != ROLE_CHECK && chdir("/") != 0)
		_exit(124);
	snprintf(number, sizeof(number), "%u", index);
	snprintf(title, sizeof(title), "sallyport-%s", role_name(role));
	char *argv[4] = { title, number, NULL, NULL };
	if (role == ROLE_CHECK) {
		argv[1] = (char *)(uintptr_t)"--serve";
		argv[2] = (char *)(uintptr_t)m->conf_path;
	}
	execve(path, argv, child_environment(role));
	_exit(127);
}

/* ---- links and messages ---- */

static int
on_message(void *owner, struct link *l, struct message *msg)
{
	struct master *m = owner;
	struct child *c = NULL;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role != ROLE_NONE && m->child[i].link == l)
			c = &m->child[i];
	if (c == NULL)
		return SP_EINTERNAL;
	switch (msg->type) {
	case MSG_READY:
		c->ready = true;
		master_ready(m);
		return SP_OK;
	case MSG_EPOCH_TAKEN:
		reload_taken(m, c, msg);
		return SP_OK;
	case MSG_CHECKED:
		reload_checked(m, msg);
		return SP_OK;
	case MSG_DRAINED:
		log_info("worker %u has no session left", c->index);
		return SP_OK;
	default:
		return SP_EPROTO;
	}
}

/* Its death is what counts: SIGCHLD tells. */
static void
on_gone(void *owner, struct link *l, const char *why)
{
	struct master *m = owner;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->link != l)
			continue;
		log_debug("link to %s %u: %s", role_name(c->role), c->index, why);
		link_free(&c->link);
		if (kill(c->pid, 0) == 0 && m->phase < MASTER_DRAINING && c->role != ROLE_CHECK && !c->draining)
			(void)kill(c->pid, SIGKILL); /* alive, but it broke the rules of the link */
	}
}

static struct child *
child_place(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == ROLE_NONE)
			return &m->child[i];
	return NULL;
}

int
child_start(struct master *m, enum role role, struct child **c_r)
{
	int pair[2];
	struct child *c = child_place(m);
	const char *path = child_program(m, role);
	*c_r = NULL;
	if (c == NULL || path == NULL || link_pair(pair) != SP_OK)
		return SP_EIO;
	unsigned index = role == ROLE_WORKER ? ++m->last_index : 0;
	pid_t pid = fork();
	if (pid == 0)
		child_exec(m, role, index, pair[1], path);
	close(pair[1]);
	if (pid < 0) {
		log_error("cannot fork: %s", strerror(errno));
		close(pair[0]);
		return SP_EIO;
	}
	const struct link_handler h = { on_message, on_gone, m };
	*c = (struct child){ .role = role, .index = index, .pid = pid, .started = clock_mono_ms() };
	c->slot = (unsigned)(c - m->child);
	c->link = link_new(m->base, pair[0], ROLE_MASTER, role, index, &h);
	log_debug("%s %u starts as process %d", role_name(role), index, (int)pid);
	*c_r = c;
	return SP_OK;
}

void
child_forget(struct child *c)
{
	link_free(&c->link);
	*c = (struct child){ .role = ROLE_NONE };
}

struct child *
child_of(struct master *m, enum role role)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == role && m->child[i].link != NULL)
			return &m->child[i];
	return NULL;
}

/* ---- what it needs ---- */

/* Two ends of a new socketpair for two children. */
static int
child_connect(struct child *a, struct child *b)
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
	close(pair[0]);
	close(pair[1]);
	return rc;
}

/* The keeper speaks with all of the others; nobody else with anybody. */
static int
child_connect_all(struct master *m, struct child *c)
{
	int rc = SP_OK;
	if (c->role != ROLE_KEEPER)
		return child_connect(child_of(m, ROLE_KEEPER), c);
	for (unsigned i = 0; i < CHILDREN && rc == SP_OK; i++)
		if (m->child[i].role > ROLE_KEEPER && m->child[i].role != ROLE_CHECK)
			rc = child_connect(c, &m->child[i]);
	return rc;
}

static struct ring_kept *
ring_of(struct master *m, unsigned index)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->ring[i].used && m->ring[i].index == index)
			return &m->ring[i];
	return NULL;
}

int
ring_new(struct master *m, struct child *worker)
{
	struct ring_kept *r = NULL;
	for (unsigned i = 0; i < CHILDREN && r == NULL; i++)
		if (!m->ring[i].used)
			r = &m->ring[i];
	if (r == NULL)
		return SP_EIO;
	*r = (struct ring_kept){ .index = worker->index, .memory = -1, .recorder_bell = -1, .worker_bell = -1 };
	int rc = ring_create((size_t)m->epoch->settings.record.ring, &r->memory);
	if (rc != SP_OK)
		return rc;
	r->recorder_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->worker_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->used = true;
	return r->recorder_bell < 0 || r->worker_bell < 0 ? SP_EIO : SP_OK;
}

/* The recorder reads at the memory and its bell; the worker writes, and hears its own bell. */
static int
ring_hand(const struct ring_kept *r, struct child *to)
{
	if (to == NULL || to->link == NULL)
		return SP_OK;
	const struct message msg = { .type = MSG_RING, .f = { Q(r->index) }, .fd = { r->memory, r->recorder_bell, r->worker_bell }, .nfds = 3 };
	return link_send(to->link, &msg);
}

static void
ring_drop(struct ring_kept *r)
{
	close(r->memory);
	close(r->recorder_bell);
	close(r->worker_bell);
	r->used = false;
}

void
ring_forget_old(struct master *m, uint64_t now)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->ring[i].used && m->ring[i].gone != 0 && now - m->ring[i].gone > RING_KEPT_MS)
			ring_drop(&m->ring[i]);
}

static int
equip_recorder(struct master *m, struct child *c)
{
	int rc = SP_OK;
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
	struct ring_kept *r = ring_of(m, c->index);
	const struct message board = { .type = MSG_BOARD, .f = { Q(c->slot) }, .fd = { m->board_fd, -1, -1 }, .nfds = 1 };
	int rc = link_send(c->link, &board);
	if (rc == SP_OK && r != NULL)
		rc = ring_hand(r, c);
	if (rc == SP_OK && r != NULL)
		rc = ring_hand(r, child_of(m, ROLE_RECORDER));
	for (const struct bound *b = m->bound; b != NULL && rc == SP_OK; b = b->next) {
		const struct message l = { .type = MSG_LISTENER, .f = { Z(b->name) }, .fd = { b->fd, -1, -1 }, .nfds = 1 };
		rc = link_send(c->link, &l);
	}
	return rc;
}

static int
send_epoch(struct master *m, struct child *c)
{
	const struct message e = { .type = MSG_EPOCH, .f = { Q(m->epoch->number) }, .nfds = 1,
		.fd = { c->role == ROLE_WORKER ? m->epoch_fd : m->public_fd, -1, -1 } };
	c->taking = true;
	return link_send(c->link, &e);
}

int
child_equip(struct master *m, struct child *c)
{
	int rc = send_epoch(m, c);
	if (rc == SP_OK && c->role == ROLE_RECORDER)
		master_reopen(m); /* its audit and access logs */
	if (rc == SP_OK && c->role == ROLE_WORKER)
		rc = ring_new(m, c);
	if (rc == SP_OK && c->role == ROLE_WORKER)
		rc = equip_worker(m, c);
	if (rc == SP_OK && c->role == ROLE_RECORDER)
		rc = equip_recorder(m, c);
	if (rc == SP_OK)
		rc = child_connect_all(m, c);
	return rc;
}
