/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new program takes over: `sallyportd -s upgrade` (SIGUSR2).
 *
 *   old program                                   new program, in the same process
 *     links are quiet, state ─▶ memfd
 *     tries the new program on it (--try) ─ no ─▶ refused, nothing has happened
 *     execve() ═══════════════════════════════════▶ takes state: children, listeners, rings, board, locks, epoch
 *                                                   a reload in which each process is replaced (reload.c):
 *                                                   new workers come up, then keeper and recorder follow one another,
 *                                                   then old workers drain, until shutdown_timeout at most
 *
 * Master stays the process that it was: whoever watches it, and the children that die with it, see no change.  No listener
 * is closed, so nobody is refused; rings are memory that is handed on, so no frame is lost; what is held stands in the
 * store and is told to the next keeper by the workers that hold it.  A configuration that the new program does not take
 * leaves the old processes in place, under the new master; the next reload tries again.
 *
 * Processes of both programs talk to one another meanwhile: message_dialect() says whether they can.
 */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "../base/ready.h"
#include "../base/role.h"

#define STATE_MAX (1u << 20)
#define TRY_MS 20000
#define FLUSH_MS 200
#define FDS 1024

/* ---- what is handed on: described once, for both ways ---- */

struct carry {
	struct sp_writer *w;         /* NULL: it is read */
	struct sp_reader r;
	int fd[FDS];                 /* what the state names */
	size_t nfds;
};

static void
carry_q(struct carry *c, uint64_t *v)
{
	if (c->w != NULL)
		sp_wr_be64(c->w, *v);
	else
		*v = sp_rd_be64(&c->r);
}

static void
carry_n(struct carry *c, unsigned *v)
{
	uint64_t q = *v;
	carry_q(c, &q);
	*v = (unsigned)q;
}

static void
carry_flag(struct carry *c, bool *v)
{
	unsigned n = *v;
	carry_n(c, &n);
	*v = n != 0;
}

/* The number stays what it is: descriptors outlive execve(). */
static void
carry_fd(struct carry *c, int *fd)
{
	unsigned n = (unsigned)(*fd + 1);
	carry_n(c, &n);
	*fd = (int)n - 1;
	if (*fd >= 0 && c->nfds < FDS)
		c->fd[c->nfds++] = *fd;
	else if (*fd >= 0)
		c->r.bad = true;
}

/* NULL comes back as NULL. */
static void
carry_text(struct carry *c, char **text)
{
	bool is = *text != NULL;
	carry_flag(c, &is);
	if (!is)
		*text = NULL;
	else if (c->w != NULL)
		sp_wr_cstr(c->w, sp_str(*text));
	else
		*text = mem_string(sp_rd_cstr(&c->r));
}

static void
carry_bound(struct carry *c, struct master *m)
{
	unsigned n = 0;
	for (const struct bound *b = m->bound; b != NULL; b = b->next)
		n++;
	carry_n(c, &n);
	struct bound *b = m->bound;
	for (unsigned i = 0; i < n && !c->r.bad; i++) {
		if (c->w == NULL) {
			b = mem_alloc(sizeof(*b));
			b->next = m->bound;
			m->bound = b;
		}
		carry_text(c, &b->name);
		carry_text(c, &b->address);
		carry_fd(c, &b->fd);
		b = b->next;
	}
}

static void
carry_rings(struct carry *c, struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct ring_kept *r = &m->ring[i];
		carry_flag(c, &r->used);
		if (!r->used)
			continue;
		carry_fd(c, &r->memory);
		carry_fd(c, &r->recorder_bell);
		carry_fd(c, &r->worker_bell);
		carry_n(c, &r->index);
		carry_q(c, &r->gone);
	}
}

static void
carry_child(struct carry *c, struct master *m, struct child *child)
{
	unsigned role = child->role, pid = (unsigned)child->pid;
	int fd = child->link == NULL ? -1 : link_fd(child->link);
	carry_n(c, &role);
	child->role = (enum role)role;
	if (role == ROLE_NONE)
		return;
	carry_n(c, &pid);
	child->pid = (pid_t)pid;
	carry_n(c, &child->index);
	carry_n(c, &child->slot);
	carry_flag(c, &child->ready);
	carry_flag(c, &child->draining);
	carry_flag(c, &child->stopped);
	carry_q(c, &child->given);
	carry_q(c, &child->taken);
	carry_q(c, &child->given_at);
	carry_q(c, &child->started);
	carry_q(c, &child->drain_until);
	carry_fd(c, &fd);
	if (c->w != NULL)
		return;
	child->old = true;
	if (role >= ROLES || pid < 2 || pid > INT_MAX)
		c->r.bad = true;
	else if (fd >= 0 && m->base != NULL) /* --try has no loop, and no such descriptor */
		child_adopt(m, child, fd);
}

/* A change here changes DIALECT (message.h). */
static void
carry_all(struct carry *c, struct master *m)
{
	unsigned folders = (unsigned)m->keeper_folders;
	int *const fds[] = { &m->sealed.workers, &m->sealed.console, &m->sealed.others, &m->control, &m->board_fd, &m->pid_fd,
		&m->store_lock, &m->log_fd };
	char **const texts[] = { &m->pid_path, &m->control_path, &m->anchor.to };
	carry_n(c, &m->last_index);
	carry_q(c, &m->epochs);
	carry_q(c, &m->last_caller);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		carry_fd(c, fds[i]);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		carry_text(c, texts[i]);
	if (m->anchor.to != NULL)
		carry_fd(c, &m->anchor.fd);
	carry_n(c, &folders);
	m->keeper_folders = folders <= SECRET_FOLDERS ? folders : 0;
	for (unsigned i = 0; i < m->keeper_folders; i++)
		carry_text(c, &m->keeper_folder[i]);
	carry_bound(c, m);
	carry_rings(c, m);
	for (unsigned i = 0; i < CHILDREN; i++)
		carry_child(c, m, &m->child[i]);
}

/* ---- the old program ---- */

/* "SPU1", the dialect, the number of the epoch, then all of it. */
static int
state_write(struct master *m, struct carry *c, int *fd_r)
{
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	uint8_t dialect[DIGEST_LEN];
	*fd_r = -1;
	message_dialect(dialect);
	sp_wr_put(&w, SP_LIT("SPU1"));
	sp_wr_put(&w, (struct sp_bytes){ dialect, sizeof(dialect) });
	sp_wr_be64(&w, m->epoch->number);
	*c = (struct carry){ .w = &w };
	carry_all(c, m);
	int rc = c->r.bad || w.bad ? SP_EIO : buffer_written(&b, &w);
	int fd = rc != SP_OK ? -1 : memfd_create("sallyport-upgrade", MFD_CLOEXEC);
	struct sp_bytes all = buffer_bytes(&b);
	if (fd >= 0 && (write(fd, all.p, all.len) != (ssize_t)all.len || lseek(fd, 0, SEEK_SET) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	buffer_free(&b);
	*fd_r = fd;
	return fd >= 0 ? SP_OK : SP_EIO;
}

static void
keep_through_exec(const struct carry *c, int state, bool keep)
{
	int flag = keep ? 0 : FD_CLOEXEC;
	for (size_t i = 0; i < c->nfds; i++)
		(void)fcntl(c->fd[i], F_SETFD, flag);
	(void)fcntl(state, F_SETFD, flag);
}

static void
run_new(struct master *m, int state, bool try)
{
	char number[16], option[] = "--takes-over", test[] = "--try", foreground[] = "-f", conf[] = "-c", name[] = "sallyportd";
	char *path = (char *)(uintptr_t)m->conf_path; /* execve() takes it without writing */
	(void)snprintf(number, sizeof(number), "%d", state);
	char *const argv[] = { name, conf, path, foreground, option, number, try ? test : NULL, NULL };
	(void)execv(m->program, argv);
}

/* All that it says; SP_OK: it could go on with this state. */
static int
try_new(struct master *m, int state, char why[512])
{
	int p[2], status = 1;
	size_t n = 0;
	why[0] = '\0';
	if (pipe2(p, O_CLOEXEC) != 0)
		return SP_EIO;
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t none;
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)dup2(p[1], STDERR_FILENO);
		(void)fcntl(state, F_SETFD, 0);
		(void)fcntl(m->sealed.others, F_SETFD, 0);
		run_new(m, state, true);
		_exit(127);
	}
	(void)close(p[1]);
	uint64_t end = clock_mono_ms() + TRY_MS;
	while (pid > 0 && n < 511) {
		ssize_t got = ready_by(p[0], POLLIN, end) ? read(p[0], why + n, 511 - n) : -1;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)close(p[0]);
	why[n] = '\0';
	if (pid > 0 && clock_mono_ms() >= end)
		(void)kill(pid, SIGKILL);
	bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok && n == 0)
		(void)snprintf(why, 512, "%.300s does not run, or is not a sallyportd that can take over", m->program);
	why[strcspn(why, "\n")] = '\0';
	return ok ? SP_OK : SP_EPROTO;
}

static void
refuse(struct master *m, const char *why)
{
	log_error("no upgrade: %s", why);
	reload_status(m, clock_mono_us(), false, why);
}

/* A link must be between two messages. */
static bool
all_quiet(struct master *m)
{
	bool quiet = true;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->link == NULL)
			continue;
		link_flush(c->link, FLUSH_MS);
		quiet = quiet && link_quiet(c->link);
	}
	return quiet;
}

/* Signals wait until the new program listens: most would end it. */
static void
execute(struct master *m, const struct carry *c, int state)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	keep_through_exec(c, state, true);
	log_info("%s takes over", m->program);
	run_new(m, state, false);
	int error = errno;
	keep_through_exec(c, state, false);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	char why[256];
	(void)snprintf(why, sizeof(why), "the new program cannot be executed: %s", strerror(error));
	refuse(m, why);
}

void
upgrade_start(struct master *m)
{
	static struct carry c;
	char folder[PATH_MAX], why[512];
	int state;
	(void)snprintf(folder, sizeof(folder), "%s", m->program);
	*strrchr(folder, '/') = '\0';
	if (m->phase != MASTER_RUNNING)
		refuse(m, "sallyportd is just starting or ending");
	else if (m->reload.stage != RELOAD_NONE)
		refuse(m, "a configuration is just being taken over: try again in a moment");
	else if (!child_trusts(m, m->program, folder))
		refuse(m, "others than root can write the new program, or it is not there: the error log says which");
	else if (!all_quiet(m))
		refuse(m, "a process is in the middle of a message: try again in a moment");
	else if (state_write(m, &c, &state) != SP_OK)
		refuse(m, "what has to be handed on cannot be written");
	else {
		if (try_new(m, state, why) == SP_OK)
			execute(m, &c, state);
		else
			refuse(m, why);
		(void)close(state);
	}
}

/* ---- the new program ---- */

static int
take(struct master *m, int fd)
{
	static struct carry c;
	static uint8_t in[STATE_MAX];
	uint8_t dialect[DIGEST_LEN];
	const char *err = "";
	message_dialect(dialect);
	ssize_t n = pread(fd, in, sizeof(in), 0);
	c = (struct carry){ .r = sp_reader((struct sp_bytes){ in, n > 0 ? (size_t)n : 0 }) };
	if (!sp_bytes_is(sp_rd_take(&c.r, 4), "SPU1") || !sp_bytes_eq(sp_rd_take(&c.r, DIGEST_LEN), (struct sp_bytes){ dialect, DIGEST_LEN })) {
		log_error("sallyportd %s does not understand the processes of the version that runs: it takes a restart", PACKAGE_VERSION);
		return SP_EPROTO;
	}
	uint64_t number = sp_rd_be64(&c.r);
	carry_all(&c, m);
	if (!sp_rd_done(&c.r) || m->keeper_folders > SECRET_FOLDERS) {
		log_error("what the running sallyportd hands on is not whole: it takes a restart");
		return SP_EPROTO;
	}
	if (epoch_open(m->sealed.others, number, &m->epoch, &err) != SP_OK) {
		log_error("the configuration in force is not one for sallyportd %s: %s", PACKAGE_VERSION, err);
		return SP_ECONF;
	}
	for (size_t i = 0; i < c.nfds && m->base != NULL; i++)
		(void)fcntl(c.fd[i], F_SETFD, FD_CLOEXEC);
	return SP_OK;
}

int
upgrade_try(struct master *m, int fd)
{
	log_init("master", STDERR_FILENO, SP_ERROR);
	return take(m, fd) == SP_OK ? 0 : 1;
}

int
upgrade_take(struct master *m, int fd)
{
	sigset_t none;
	int rc = take(m, fd);
	(void)close(fd);
	if (rc != SP_OK)
		return rc;
	int log = fcntl(m->log_fd, F_DUPFD_CLOEXEC, 3);
	if (log >= 0 && strcmp(m->epoch->settings.log.path, "stderr") != 0)
		log_reopen(log);
	else if (log >= 0)
		(void)close(log);
	log_level((enum sp_level)m->epoch->settings.log.level);
	if (accounts_find(m) != SP_OK)
		return SP_ECONF;
	if (m->control >= 0)
		bind_control_listen(m);
	m->phase = MASTER_RUNNING;
	m->phase_since = clock_mono_ms();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)kill(getpid(), SIGCHLD); /* who died meanwhile */
	return SP_OK;
}
