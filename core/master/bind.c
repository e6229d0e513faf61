/* SPDX-License-Identifier: Apache-2.0 */
/* What root is needed for: ports, folders, accounts, log files. */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <event2/util.h>
#include <fcntl.h>
#include <grp.h>
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

#include "../base/role.h"

#define BACKLOG 1024

/* ---- listeners ---- */

static int
bind_address(const char *listen_at, char *why, size_t len)
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
		snprintf(why, len, "cannot listen on %s: it is not an address of this machine", listen_at);
		return -1;
	}
	int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (list->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
	if (!ok) {
		snprintf(why, len, "cannot listen on %s: %s", listen_at, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

static struct bound *
bound_find(const struct master *m, const char *name, const char *address)
{
	for (struct bound *b = m->bound; b != NULL; b = b->next)
		if (strcmp(b->name, name) == 0 && strcmp(b->address, address) == 0)
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
	free(b->name);
	free(b->address);
	free(b);
}

/* All of them or none: what is new is closed again when one fails. */
int
bind_listeners(struct master *m, const struct epoch *e, char *why, size_t len)
{
	struct bound *had = m->bound;
	for (const struct listener *l = e->settings.listeners; l != NULL; l = (const struct listener *)l->b.next) {
		if (bound_find(m, l->b.name, l->listen) != NULL)
			continue;
		int fd = bind_address(l->listen, why, len);
		if (fd < 0) {
			while (m->bound != had)
				bound_drop(m, m->bound);
			return SP_EIO;
		}
		struct bound *b = mem_alloc(sizeof(*b));
		*b = (struct bound){ m->bound, mem_string(sp_str(l->b.name)), mem_string(sp_str(l->listen)), fd };
		m->bound = b;
	}
	return SP_OK;
}

void
bind_prune(struct master *m)
{
	for (struct bound *b = m->bound, *next; b != NULL; b = next) {
		next = b->next;
		const struct listener *l = settings_listener(&m->epoch->settings, b->name);
		if (l == NULL || strcmp(l->listen, b->address) != 0)
			bound_drop(m, b);
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
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client < 0)
		return;
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

static int
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
	(void)unlink(s->control.path);
	mode_t old = umask(0177);
	m->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = m->control >= 0 && bind(m->control, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(m->control, 64) == 0;
	(void)umask(old);
	if (!ok) {
		log_error("cannot listen on %s: %s", s->control.path, strerror(errno));
		return SP_EIO;
	}
	event_assign(&m->control_event, m->base, m->control, EV_READ | EV_PERSIST, on_control, m);
	event_add(&m->control_event, NULL);
	return control_permissions(s);
}

/* ---- accounts and folders ---- */

static int
account_find(struct master *m, enum role role, const char *suffix)
{
	char name[96];
	snprintf(name, sizeof(name), "%s%s", m->epoch->settings.user, suffix);
	const struct passwd *pw = getpwnam(name);
	if (pw == NULL || pw->pw_uid == 0) {
		log_error(pw == NULL ? "there is no user %s: make it with `useradd --system --no-create-home --shell /usr/sbin/nologin %s`"
				     : "user %s is root: %s must be somebody else",
		    name, name);
		return SP_ECONF;
	}
	m->account[role] = (struct account){ pw->pw_uid, pw->pw_gid };
	return SP_OK;
}

int
accounts_find(struct master *m)
{
	int rc = SP_OK;
	m->root = geteuid() == 0;
	for (unsigned i = 0; i < ROLES; i++)
		m->account[i] = (struct account){ geteuid(), getegid() };
	if (!m->root) {
		log_warn("started without root: all processes run as one user, and can reach one another");
		return SP_OK;
	}
	rc = account_find(m, ROLE_WORKER, "");
	m->account[ROLE_CHECK] = m->account[ROLE_WORKER];
	if (rc == SP_OK)
		rc = account_find(m, ROLE_KEEPER, "-keeper");
	if (rc == SP_OK)
		rc = account_find(m, ROLE_RECORDER, "-recorder");
	if (rc == SP_OK)
		rc = account_find(m, ROLE_CONSOLE, "-console");
	return rc;
}

/* The folder and those above it; only the last one is the role's. */
static int
make_folder(struct master *m, const char *path, mode_t mode, enum role owner)
{
	char part[4096];
	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(part, 0755);
		*p = '/';
	}
	if (mkdir(part, mode) != 0 && errno != EEXIST) {
		log_error("cannot make the folder %s: %s", part, strerror(errno));
		return SP_EIO;
	}
	if (owner != ROLE_NONE && m->root &&
	    (chown(part, m->account[owner].uid, m->account[owner].gid) != 0 || chmod(part, mode) != 0)) {
		log_error("cannot give the folder %s to %s: %s", part, role_name(owner), strerror(errno));
		return SP_EIO;
	}
	return SP_OK;
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

static const char *
store_file(const char *store)
{
	return strncmp(store, "sqlite:", 7) == 0 ? store + 7 : store;
}

/* Two masters on one store would both believe to be its only writer. */
static int
lock_store(struct master *m)
{
	const char *path = m->epoch->settings.record.store;
	m->store_lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->store_lock < 0 || flock(m->store_lock, LOCK_EX | LOCK_NB) != 0) {
		log_error("%s is in use by another sallyportd, or cannot be locked: %s", path, strerror(errno));
		return SP_EIO;
	}
	return SP_OK;
}

int
prepare_folders(struct master *m)
{
	const struct settings *s = &m->epoch->settings;
	int rc = make_folder(m, s->record.store, 0700, ROLE_RECORDER);
	if (rc == SP_OK)
		rc = make_parent(m, store_file(s->store), 0700, ROLE_KEEPER);
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
log_open(struct master *m, const char *path)
{
	if (path[0] == '\0')
		return -1;
	if (strcmp(path, "stderr") == 0)
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		log_error("cannot open %s: %s", path, strerror(errno));
	(void)m;
	return fd;
}
