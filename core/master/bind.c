/* SPDX-License-Identifier: Apache-2.0 */
/* What root is needed for: ports, folders, accounts, log files. */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <event2/util.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/helpers.h"
#include "../base/role.h"

#define BACKLOG 1024
#define LOCK_WAIT_MS 5000
#define LOCK_STEP_MS 50
#define NOBODY "nobody"
#define SEVERAL INT_MAX
#define CONSOLE "console" /* its listener's name */

/* ---- listeners ---- */

static int
bind_ip(const char *listen_at)
{
	struct hostport at;
	char port[8];
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV },
			*list = NULL;
	int on = 1;
	if (settings_hostport(listen_at, &at) != SP_OK)
		return -1;
	snprintf(port, sizeof(port), "%u", (unsigned)at.port);
	if (getaddrinfo(at.host, port, &hints, &list) != 0 || list == NULL) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (list->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
	int error = errno;
	freeaddrinfo(list);
	if (!ok && fd >= 0)
		close(fd);
	errno = error;
	return ok ? fd : -1;
}

/* A socket that a dead process left is taken away; one that somebody listens on is not. */
static bool
is_left_over(const char *path, const struct sockaddr_un *a)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT;
	int fd = S_ISSOCK(st.st_mode) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 && errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	errno = EADDRINUSE;
	return dead && unlink(path) == 0;
}

/* Everybody on this machine may connect; who they are, their token says. */
static int
bind_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path));
	if (!is_left_over(path, &a))
		return -1;
	mode_t old = umask(0111);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, BACKLOG) == 0;
	int error = errno;
	(void)umask(old);
	if (!ok && fd >= 0)
		close(fd);
	errno = error;
	return ok ? fd : -1;
}

static bool
others_reach(int fd)
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return true;
	if (a.ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)&a)->sin_addr.s_addr) >> 24 != 127;
	return a.ss_family != AF_UNIX && !(a.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)&a)->sin6_addr));
}

/* A socket that systemd has bound (sd_listen_fds(3)).  Its own descriptor stays, for a later configuration. */
static int
bind_systemd(const char *name)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	size_t len = strlen(name);
	int listens = 0, found = -1;
	socklen_t size = sizeof(listens);
	errno = ENOENT;
	if (pid == NULL || count == NULL || names == NULL || strtol(pid, NULL, 10) != (long)getpid())
		return -1;
	for (int fd = 3, end = 3 + atoi(count); fd < end && names != NULL; fd++) {
		const char *next = strchr(names, ':');
		if (strncmp(names, name, len) == 0 && (names[len] == ':' || names[len] == '\0') &&
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
			found = found < 0 ? fd : SEVERAL;
		names = next == NULL ? NULL : next + 1;
	}
	errno = found == SEVERAL ? ENOTUNIQ : ENOENT;
	return found < 0 || found == SEVERAL ? -1 : fcntl(found, F_DUPFD_CLOEXEC, 3);
}

static int
bind_address(const char *listen_at, char *why, size_t len)
{
	const char *path = settings_unix(listen_at), *name = settings_systemd(listen_at);
	int fd = path != NULL ? bind_unix(path) : name != NULL ? bind_systemd(name) : bind_ip(listen_at);
	if (fd < 0 && name != NULL && errno == ENOTUNIQ)
		snprintf(why, len, "cannot listen on %s: systemd hands over several sockets of that name: give each a unit, and a FileDescriptorName=, of its own", listen_at);
	else if (fd < 0 && name != NULL)
		snprintf(why, len, "cannot listen on %s: systemd hands no listening socket of that name to this process (FileDescriptorName=, and start it with -f)", listen_at);
	else if (fd < 0)
		snprintf(why, len, "cannot listen on %s: %s", listen_at, strerror(errno));
	return fd;
}

/* By address: a listener that is only renamed keeps its socket. */
static struct bound *
bound_find(const struct master *m, const char *address)
{
	for (struct bound *b = m->bound; b != NULL; b = b->next)
		if (strcmp(b->address, address) == 0)
			return b;
	return NULL;
}

static void
bound_drop(struct master *m, struct bound *b)
{
	struct bound **at = &m->bound;
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	close(b->fd);
	if (settings_unix(b->address) != NULL)
		(void)unlink(settings_unix(b->address));
	free(b->name);
	free(b->address);
	free(b);
}

struct wanted {
	const char *name, *address;
	bool cleartext;
};

static int
bind_one(struct master *m, const struct wanted *l, char *why, size_t len)
{
	struct bound *b = bound_find(m, l->address);
	if (l->address[0] == '\0')
		return SP_OK;
	int fd = b != NULL ? b->fd : bind_address(l->address, why, len);
	if (fd < 0)
		return SP_EIO;
	if (b == NULL) {
		b = mem_alloc(sizeof(*b));
		*b = (struct bound){ m->bound, mem_string(sp_str(l->name)), mem_string(sp_str(l->address)), fd };
		m->bound = b;
	}
	if (!l->cleartext || !others_reach(fd)) /* also of one that was bound before, and had TLS */
		return SP_OK;
	snprintf(why, len, "\"cleartext loopback\" on %s, which others reach too: tokens need TLS there", l->address);
	return SP_ECONF;
}

/* All of them or none: what is new is closed again when one fails. */
int
bind_listeners(struct master *m, const struct epoch *e, char *why, size_t len)
{
	struct bound *had = m->bound;
	int rc = bind_one(m, &(struct wanted){ CONSOLE, e->settings.console.listen, false }, why, len);
	for (const struct listener *l = e->settings.listeners; l != NULL && rc == SP_OK; l = (const struct listener *)l->b.next)
		rc = bind_one(m, &(struct wanted){ l->b.name, l->listen, l->cleartext }, why, len);
	while (rc != SP_OK && m->bound != had)
		bound_drop(m, m->bound);
	return rc;
}

/* The name of what listens there; NULL: nothing does. */
static const char *
wanted_at(const struct epoch *e, const char *address)
{
	for (const struct listener *l = e->settings.listeners; l != NULL; l = (const struct listener *)l->b.next)
		if (strcmp(l->listen, address) == 0)
			return l->b.name;
	return strcmp(e->settings.console.listen, address) == 0 ? CONSOLE : NULL;
}

void
bind_prune(struct master *m)
{
	for (struct bound *b = m->bound, *next; b != NULL; b = next) {
		next = b->next;
		const char *name = wanted_at(m->epoch, b->address);
		if (name == NULL) {
			bound_drop(m, b);
		} else if (strcmp(name, b->name) != 0) {
			free(b->name);
			b->name = mem_string(sp_str(name));
		}
	}
}

void
bind_close(struct master *m)
{
	while (m->bound != NULL)
		bound_drop(m, m->bound);
}

/* ---- the control socket ---- */

static void
on_control(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	struct ucred who;
	socklen_t len = sizeof(who);
	(void)what;
	const struct child *next = child_of(m, ROLE_CONSOLE);
	if (m->reload.upgrade && (next == NULL || next->leaves || !next->ready || child_of(m, ROLE_KEEPER) == NULL)) {
		(void)event_del(&m->control_event); /* callers wait for the next one */
		m->control_paused = true;
		return;
	}
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client < 0) {
		/* It stays readable: without descriptors the loop would spin.  The next tick tries again. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			(void)event_del(&m->control_event);
			m->control_paused = true;
		}
		return;
	}
	struct child *keeper = child_of(m, ROLE_KEEPER), *console = child_of(m, ROLE_CONSOLE);
	if (keeper == NULL || console == NULL || getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
		close(client);
		return;
	}
	const struct passwd *pw = getpwuid(who.uid);
	char name[64];
	snprintf(name, sizeof(name), "%s", pw == NULL ? "" : pw->pw_name);
	if (pw == NULL)
		snprintf(name, sizeof(name), "%u", (unsigned)who.uid);
	struct message msg = { .type = MSG_CALLER, .f = { Q(++m->last_caller), Q(who.uid), Z(name) }, .fd = { -1, -1, -1 } };
	int rc = link_send(keeper->link, &msg);
	msg.fd[0] = client;
	msg.nfds = 1;
	if (rc == SP_OK)
		rc = link_send(console->link, &msg);
	if (rc != SP_OK)
		log_warn("a control connection could not be handed on");
	close(client);
}

void
bind_control_resume(struct master *m)
{
	if (m->control_paused)
		(void)event_add(&m->control_event, NULL);
	m->control_paused = false;
}

int
control_permissions(const struct settings *s)
{
	gid_t gid = (gid_t)-1;
	if (s->control.group[0] != '\0') {
		const struct group *g = getgrnam(s->control.group);
		if (g == NULL) {
			log_error("control: there is no group %s", s->control.group);
			return SP_ECONF;
		}
		gid = g->gr_gid;
	}
	unsigned long mode = strtoul(s->control.mode, NULL, 8) & 0770;
	if (chmod(s->control.path, (mode_t)mode) != 0 || (gid != (gid_t)-1 && chown(s->control.path, (uid_t)-1, gid) != 0)) {
		log_error("control: cannot set mode and group of %s: %s", s->control.path, strerror(errno));
		return SP_EIO;
	}
	return SP_OK;
}

void
bind_control_listen(struct master *m)
{
	event_assign(&m->control_event, m->base, m->control, EV_READ | EV_PERSIST, on_control, m);
	event_add(&m->control_event, NULL);
}

int
bind_control(struct master *m)
{
	const struct settings *s = &m->epoch->settings;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(s->control.path) >= sizeof(a.sun_path)) {
		log_error("control: the path %s is too long for a socket", s->control.path);
		return SP_ECONF;
	}
	memcpy(a.sun_path, s->control.path, strlen(s->control.path));
	struct stat st;
	if (lstat(s->control.path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		log_error("control: %s is there and is no socket", s->control.path);
		return SP_ECONF;
	}
	(void)unlink(s->control.path);
	mode_t old = umask(0177);
	m->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = m->control >= 0 && bind(m->control, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(m->control, 64) == 0;
	(void)umask(old);
	if (!ok) {
		log_error("cannot listen on %s: %s", s->control.path, strerror(errno));
		if (m->control >= 0)
			(void)close(m->control);
		m->control = -1; /* what is there is not ours to remove */
		return SP_EIO;
	}
	m->control_path = mem_string(sp_str(s->control.path));
	bind_control_listen(m);
	return control_permissions(s);
}

/* ---- accounts and folders ---- */

static int
account_find(struct master *m, const char *user, enum role role, const char *suffix)
{
	char name[96];
	(void)snprintf(name, sizeof(name), "%s%s", user, suffix);
	const struct passwd *pw = getpwnam(name);
	if (pw == NULL || pw->pw_uid == 0) {
		log_error(pw == NULL ? "there is no user %s: make it with `useradd --system --no-create-home --shell /usr/sbin/nologin %s`"
				     : "user %s is root: %s must be somebody else",
		    name, name);
		return SP_ECONF;
	}
	struct account *a = &m->account[role];
	*a = (struct account){ .uid = pw->pw_uid, .gid = pw->pw_gid, .group = { pw->pw_gid }, .ngroups = 1 };
	if (role != ROLE_DIAL)
		return SP_OK;
	a->ngroups = ACCOUNT_GROUPS;
	if (getgrouplist(name, a->gid, a->group, &a->ngroups) >= 0)
		return SP_OK;
	log_error("user %s is in more than %d groups", name, ACCOUNT_GROUPS);
	return SP_ECONF;
}

int
accounts_find_helpers(struct master *m, const struct epoch *e)
{
	char suffix[32];
	int rc = SP_OK;
	for (unsigned r = ROLE_FETCH; r < ROLES && rc == SP_OK && m->root; r++) {
		(void)snprintf(suffix, sizeof(suffix), "-%s", role_name((enum role)r));
		if (helpers_wanted(&e->settings, (enum role)r) > 0)
			rc = account_find(m, e->settings.user, (enum role)r, suffix);
	}
	return rc;
}

int
accounts_find(struct master *m)
{
	const char *user = m->epoch->settings.user;
	int rc = SP_OK;
	m->root = geteuid() == 0;
	for (unsigned i = 0; i < ROLES; i++)
		m->account[i] = (struct account){ .uid = geteuid(), .gid = getegid(), .group = { getegid() }, .ngroups = 1 };
	if (!m->root) {
		log_warn("started without root: all processes run as one user, and can reach one another");
		return SP_OK;
	}
	rc = account_find(m, user, ROLE_WORKER, "");
	m->account[ROLE_CHECK] = m->account[ROLE_WORKER];
	if (rc == SP_OK)
		rc = account_find(m, user, ROLE_KEEPER, "-keeper");
	if (rc == SP_OK)
		rc = account_find(m, user, ROLE_RECORDER, "-recorder");
	if (rc == SP_OK)
		rc = account_find(m, user, ROLE_CONSOLE, "-console");
	return rc == SP_OK ? accounts_find_helpers(m, m->epoch) : rc;
}

/*
 * The folder and those above it; only the last one is the role's.  It is opened without following
 * a link, and must be root's or the role's already: a role that owns the folder above could have
 * put anything there.
 */
static int
make_folder(struct master *m, const char *path, mode_t mode, enum role owner)
{
	char part[4096];
	struct stat st;
	(void)snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(part, 0755);
		*p = '/';
	}
	if (mkdir(part, owner == ROLE_NONE ? mode : 0700) != 0 && errno != EEXIST) {
		log_error("cannot make the folder %s: %s", part, strerror(errno));
		return SP_EIO;
	}
	if (owner == ROLE_NONE || !m->root)
		return SP_OK;
	const struct account *a = &m->account[owner];
	int fd = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error = errno;
	bool ok = fd >= 0 && fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == a->uid);
	if (fd >= 0 && !ok)
		log_error("the folder %s belongs to neither root nor the %s", part, role_name(owner));
	else if (fd < 0)
		log_error("cannot open the folder %s: %s", part, strerror(error));
	if (ok && (fchown(fd, a->uid, a->gid) != 0 || fchmod(fd, mode) != 0)) {
		log_error("cannot give the folder %s to the %s: %s", part, role_name(owner), strerror(errno));
		ok = false;
	}
	if (fd >= 0)
		(void)close(fd);
	return ok ? SP_OK : SP_EIO;
}

static int
make_parent(struct master *m, const char *file, mode_t mode, enum role owner)
{
	char folder[4096];
	snprintf(folder, sizeof(folder), "%s", file);
	char *slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return SP_OK;
	*slash = '\0';
	return make_folder(m, folder, mode, owner);
}

/*
 * Two masters on one store would both believe to be its only writer.  Keeper and recorder hold the
 * same lock: those of a master that was killed may need a moment to finish.
 */
static int
lock_store(struct master *m)
{
	const char *path = m->epoch->settings.record.store;
	m->store_lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned waited = 0; m->store_lock >= 0; waited += LOCK_STEP_MS) {
		if (flock(m->store_lock, LOCK_EX | LOCK_NB) == 0)
			return SP_OK;
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			break;
		(void)usleep(LOCK_STEP_MS * 1000);
	}
	log_error("%s is in use by another sallyportd, or cannot be locked: %s", path, strerror(errno));
	return SP_EIO;
}

/* The recordings may lie below the keeper's folder: the recorder has to get through it, not to see. */
static mode_t
store_folder_mode(const struct settings *s)
{
	const char *file = s->store.file, *slash = strrchr(file, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - file) + 1;
	return len > 1 && strncmp(file, s->record.store, len) == 0 ? 0711 : 0700;
}

int
prepare_folders(struct master *m)
{
	const struct settings *s = &m->epoch->settings;
	int rc = make_parent(m, s->store.file, store_folder_mode(s), ROLE_KEEPER);
	if (rc == SP_OK)
		rc = make_folder(m, s->record.store, 0700, ROLE_RECORDER);
	if (rc == SP_OK)
		rc = make_parent(m, s->control.path, 0755, ROLE_NONE);
	if (rc == SP_OK)
		rc = make_parent(m, s->pid, 0755, ROLE_NONE);
	if (rc == SP_OK)
		rc = make_parent(m, s->audit, 0755, ROLE_NONE);
	if (rc == SP_OK && s->access[0] != '\0')
		rc = make_parent(m, s->access, 0755, ROLE_NONE);
	if (rc == SP_OK && s->log.path[0] == '/')
		rc = make_parent(m, s->log.path, 0755, ROLE_NONE);
	return rc == SP_OK ? lock_store(m) : rc;
}

int
account_before_all(struct master *m)
{
	if (!m->root)
		return SP_OK;
	const struct passwd *pw = getpwnam(PACKAGE_NAME);
	if (pw == NULL)
		pw = getpwnam(NOBODY);
	if (pw == NULL || pw->pw_uid == 0) {
		log_error("there is neither a user " PACKAGE_NAME " nor " NOBODY ": a configuration is never read as root");
		return SP_ECONF;
	}
	m->account[ROLE_CHECK] = (struct account){ .uid = pw->pw_uid, .gid = pw->pw_gid, .group = { pw->pw_gid }, .ngroups = 1 };
	return SP_OK;
}

int
log_open(const char *path, int how)
{
	if (strcmp(path, "stderr") == 0)
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	int fd = open(path, how | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0)
		log_error("cannot open %s: %s", path, strerror(errno));
	return fd;
}

/* The lock on it says that the number inside is alive, and is us. */
int
pid_write(struct master *m)
{
	m->pid_path = mem_string(sp_str(m->epoch->settings.pid));
	m->pid_fd = open(m->pid_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (m->pid_fd < 0 || flock(m->pid_fd, LOCK_EX | LOCK_NB) != 0 || ftruncate(m->pid_fd, 0) != 0 ||
	    dprintf(m->pid_fd, "%d\n", (int)getpid()) < 0) {
		log_error("cannot write %s, or another sallyportd has it: %s", m->pid_path, strerror(errno));
		if (m->pid_fd >= 0)
			(void)close(m->pid_fd);
		m->pid_fd = -1; /* the file is not ours to remove */
		return SP_EIO;
	}
	return SP_OK;
}
