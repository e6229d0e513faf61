/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the others: fork, give up root, exec the role's own program; and hearing them. */
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
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/role.h"

#define STACK_BYTES (256u << 20) /* the SQL parser recurses: DEPENDENCIES, a limit of depth stands before it */
#define MEMLOCK_BYTES (64u << 20)
#define LOCK_FD 4 /* of keeper and recorder: while either lives, the store stays locked */

extern char **environ;

/* ---- where the programs are ---- */

bool
child_trusts(const struct master *m, const char *path, const char *folder)
{
	const char *const both[] = { path, folder };
	for (size_t i = 0; i < 2 && m->root; i++) {
		struct stat st;
		if (stat(both[i], &st) == 0 && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
			continue;
		log_error("%s is not root's alone to write: nothing from there is started", both[i]);
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
	const char *const places[] = { "/../libexec/sallyport", "" };
	for (size_t i = 0; i < 2; i++) {
		char folder[PATH_MAX - 32];
		(void)snprintf(folder, sizeof(folder), "%.*s%s", (int)(sizeof(folder) - 32), self, places[i]);
		(void)snprintf(path, sizeof(path), "%s/sallyport-%s", folder, role_name(role));
		if (access(path, X_OK) == 0)
			return child_trusts(m, path, folder) ? path : NULL;
	}
	log_error("sallyport-%s is neither in libexec nor beside %s", role_name(role), self);
	return NULL;
}

/* ---- in the child, before exec ---- */

/* As much as is wanted, or as may be had: root in a container may not raise a hard limit. */
static void
limit(int what, rlim_t value)
{
	struct rlimit l;
	if (getrlimit(what, &l) != 0 || (l.rlim_cur != RLIM_INFINITY && l.rlim_cur >= value && value != RLIM_INFINITY))
		return;
	struct rlimit wanted = { value, l.rlim_max == RLIM_INFINITY || l.rlim_max > value ? l.rlim_max : value };
	if (l.rlim_cur == RLIM_INFINITY || setrlimit(what, &wanted) == 0)
		return;
	l.rlim_cur = l.rlim_max;
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
	/* These two do more at a time when they don't take the processor from whom they just woke, or wait for.  Another policy is the operator's. */
	if ((role == ROLE_WORKER || role == ROLE_RECORDER) && sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
}

int
child_become(const struct master *m, enum role role)
{
	const struct account *a = &m->account[role];
	child_limits(role);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return SP_EIO;
	if (!m->root)
		return SP_OK;
	if (a->uid == 0 || setgroups((size_t)a->ngroups, a->group) != 0 || setresgid(a->gid, a->gid, a->gid) != 0 ||
	    setresuid(a->uid, a->uid, a->uid) != 0)
		return SP_EDENIED;
	return SP_OK;
}

/* The keeper's secrets may be in its environment; the others get what the tools of tests need. */
static char **
child_environment(enum role role)
{
	static const char *const kept[] = { "TZ=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "GCOV_PREFIX=" };
	static char *out[8];
	size_t n = 0;
	if (role == ROLE_KEEPER)
		return environ;
	for (char **e = environ; *e != NULL; e++)
		for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
			if (strncmp(*e, kept[i], strlen(kept[i])) == 0 && n + 1 < sizeof(out) / sizeof(*out))
				out[n++] = *e;
	out[n] = NULL;
	return out;
}

/* The descriptors of a role: 0 and 1 nothing, 2 the log, 3 master, 4 the lock where it holds one. */
static int
child_descriptors(const struct master *m, enum role role, int fd)
{
	bool locks = m->store_lock >= 0 && (role == ROLE_KEEPER || role == ROLE_RECORDER);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Out of the way first: any of them may stand where another has to go. */
	int log = fcntl(m->log_fd, F_DUPFD_CLOEXEC, 16), link = fcntl(fd, F_DUPFD_CLOEXEC, 16);
	int lock = locks ? fcntl(m->store_lock, F_DUPFD_CLOEXEC, 16) : -1;
	if (null < 0 || log < 0 || link < 0 || (locks && lock < 0))
		return SP_EIO;
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(link, ROLE_MASTER_FD) < 0 || (locks && dup2(lock, LOCK_FD) < 0))
		return SP_EIO;
	return close_range(locks ? LOCK_FD + 1 : LOCK_FD, ~0U, 0) == 0 ? SP_OK : SP_EIO;
}

static void
child_exec(const struct master *m, enum role role, unsigned index, int fd, const char *path)
{
	char number[16], title[64], serve[] = "--serve";
	sigset_t none;
	if (child_descriptors(m, role, fd) != SP_OK)
		_exit(126);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (child_become(m, role) != SP_OK)
		_exit(125);
	if (role != ROLE_CHECK && chdir("/") != 0)
		_exit(124);
	(void)snprintf(number, sizeof(number), "%u", index);
	(void)snprintf(title, sizeof(title), "sallyport-%s", role_name(role));
	char *conf = (char *)(uintptr_t)m->conf_path; /* execve() takes it without writing */
	char *const plain[] = { title, number, NULL }, *const check[] = { title, serve, conf, NULL };
	(void)execve(path, role == ROLE_CHECK ? check : plain, child_environment(role));
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
	if (m->trial)
		return trial_message(m, c, msg);
	switch (msg->type) {
	case MSG_READY:
		c->ready = true;
		master_ready(m);
		reload_ready(m, c);
		return SP_OK;
	case MSG_EPOCH_TAKEN:
		reload_taken(m, c, msg);
		return SP_OK;
	case MSG_CHECKED:
		reload_checked(m, msg);
		return SP_OK;
	case MSG_ANCHOR:
		return anchor_send(m, msg->f[0].s);
	case MSG_DRAINED:
		log_info("worker %u has no session left", c->index);
		return SP_OK;
	default:
		return SP_EPROTO;
	}
}

/*
 * For most, death is what counts, and SIGCHLD tells.  The check process answers and ends: its answer
 * may come after its death was seen, so for it the end of the link counts.
 */
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
		if (m->trial) {
			trial_gone(m, c);
		} else if (c->role == ROLE_CHECK) {
			(void)reload_lost(m, c);
			if (c->dead)
				child_forget(c);
		} else if (m->phase < MASTER_DRAINING && !c->draining) {
			(void)kill(c->pid, SIGKILL); /* alive, it broke the rules of the link; dead, it is not yet reaped */
		}
		return;
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

void
child_adopt(struct master *m, struct child *c, int fd)
{
	const struct link_handler h = { on_message, on_gone, m };
	c->link = link_new(m->base, fd, ROLE_MASTER, c->role, c->index, &h);
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
	unsigned index = role == ROLE_WORKER ? ++m->last_index : role_is_helper(role) ? helper_index(m, role) : m->trial;
	/* The loop's signal handlers write to a pipe that a child shares until it has closed it. */
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		child_exec(m, role, index, pair[1], path);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid < 0) {
		log_error("cannot fork: %s", strerror(errno));
		close(pair[0]);
		return SP_EIO;
	}
	*c = (struct child){ .role = role, .index = index, .pid = pid, .started = clock_mono_ms() };
	c->slot = (unsigned)(c - m->child);
	child_adopt(m, c, pair[0]);
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
