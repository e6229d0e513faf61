/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master's parts that need no other process: sockets (all or none), the control socket, folders, the pid file
 * (bind.c), programs (child.c), what a child is handed (equip.c), a refused configuration (reload.c).
 * How master starts, replaces and ends real processes is tests/master/test_master.py's; master.c is faked here.
 */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/master/master.h"

static struct master m;
static char folder[64];
static char told[512]; /* what master_not_started() was told */

/* ---- master.c, faked ---- */

void
master_ready(struct master *at)
{
	(void)at;
}

void
master_enter(struct master *at, enum master_phase phase)
{
	at->phase = phase;
}

void
master_not_started(struct master *at, const char *why)
{
	(void)at;
	(void)snprintf(told, sizeof(told), "%s", why);
}

int
master_start_worker(struct master *at, bool fresh)
{
	(void)at, (void)fresh;
	return SP_EIO;
}

int
master_start_helper(struct master *at, enum role role)
{
	(void)at, (void)role;
	return SP_EIO;
}

int
master_start_one(struct master *at, enum role role)
{
	(void)at, (void)role;
	return SP_EIO;
}

unsigned
master_workers_wanted(const struct settings *s)
{
	(void)s;
	return 1;
}

/* ---- a master ---- */

static struct epoch *
epoch_of(const char *conf)
{
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *err = "";
	*e = (struct epoch){ .arena = arena_new(0), .number = 1 };
	const char *text = arena_string(e->arena, sp_str(conf));
	e->settings.folder = folder;
	int rc = conf_parse(e->arena, "t", sp_str(text), &top, &err);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, top, &e->settings, &err);
	if (rc != SP_OK)
		printf("\n%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	return e;
}

static void
begin(const char *conf)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-master-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	m = (struct master){ .control = -1, .store_lock = -1, .pid_fd = -1, .parent = -1, .sealed = SEALED_NONE, .log_fd = -1,
		.board_fd = -1, .reload = { .sealed = SEALED_NONE }, .phase = MASTER_RUNNING };
	m.base = event_base_new();
	m.epoch = epoch_of(conf);
	told[0] = '\0';
}

static void
end(void)
{
	const int fds[] = { m.control, m.store_lock, m.pid_fd };
	bind_close(&m);
	if (m.control_path != NULL)
		(void)event_del(&m.control_event);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(m.control_path);
	free(m.pid_path);
	epoch_free(&m.epoch);
	event_base_free(m.base);
	(void)files_remove(folder);
}

static unsigned
bound_count(void)
{
	unsigned n = 0;
	for (const struct bound *b = m.bound; b != NULL; b = b->next)
		n++;
	return n;
}

/* A port that is ours for the moment, as "listener NAME { … }". */
static int
taken_port(unsigned *port_r)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 1), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port_r = ntohs(at.sin_port);
	return fd;
}

/* ---- tests ---- */

static void
test_listeners(void)
{
	unsigned free_port, taken;
	char conf[512], why[256] = "";
	int gone = taken_port(&free_port), busy = taken_port(&taken);
	close(gone);
	(void)snprintf(conf, sizeof(conf), "listener a { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n"
	    "listener b { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n", free_port, taken);
	begin(conf);
	CU_ASSERT_EQUAL(bind_listeners(&m, m.epoch, why, sizeof(why)), SP_EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "Address already in use"));
	CU_ASSERT_EQUAL(bound_count(), 0); /* all of them or none */
	close(busy);
	CU_ASSERT_EQUAL_FATAL(bind_listeners(&m, m.epoch, why, sizeof(why)), SP_OK);
	CU_ASSERT_EQUAL_FATAL(bound_count(), 2);
	int kept = m.bound->next->fd;
	struct epoch *first = m.epoch;
	(void)snprintf(conf, sizeof(conf), "listener other { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n", free_port);
	m.epoch = epoch_of(conf);
	CU_ASSERT_EQUAL(bind_listeners(&m, m.epoch, why, sizeof(why)), SP_OK);
	bind_prune(&m);
	CU_ASSERT_EQUAL_FATAL(bound_count(), 1);
	CU_ASSERT_STRING_EQUAL(m.bound->name, "other"); /* renamed, and the same socket */
	CU_ASSERT_EQUAL(m.bound->fd, kept);
	epoch_free(&first);
	end();
}

static void
test_control(void)
{
	struct stat st;
	char path[128];
	begin("control control.sock mode=0667;");
	(void)snprintf(path, sizeof(path), "%s/control.sock", folder);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(bind_control(&m), SP_ECONF); /* a file in its place is not removed */
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT(S_ISREG(st.st_mode));
	(void)unlink(path);
	CU_ASSERT_EQUAL_FATAL(bind_control(&m), SP_OK);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660); /* never open to all */
	end();
	begin("control control.sock mode=0660 group=no-such-group-here;");
	CU_ASSERT_EQUAL(bind_control(&m), SP_ECONF);
	end();
}

static void
test_folders(void)
{
	struct stat st;
	char path[128];
	begin("store sqlite:state/state.db; record { store state/sessions; } pid run/gate.pid; audit log/audit; access log/access; control run/c;");
	CU_ASSERT_EQUAL_FATAL(prepare_folders(&m), SP_OK);
	(void)snprintf(path, sizeof(path), "%s/state/sessions", folder);
	CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
	int second = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT(second >= 0 && flock(second, LOCK_EX | LOCK_NB) != 0); /* one master for one store */
	close(second);
	CU_ASSERT_EQUAL_FATAL(pid_write(&m), SP_OK);
	int mine = m.pid_fd;
	char *first = m.pid_path;
	CU_ASSERT_EQUAL(pid_write(&m), SP_EIO); /* another has it */
	CU_ASSERT_EQUAL(m.pid_fd, -1);
	free(first);
	m.pid_fd = mine;
	reload_status(&m, 7, false, "t:1: no");
	char line[64] = "";
	(void)snprintf(path, sizeof(path), "%s/run/gate.pid.status", folder);
	FILE *f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), f));
	CU_ASSERT_STRING_EQUAL(line, "7 refused t:1: no\n");
	(void)fclose(f);
	end();
}

/* A log that somebody made a link of is not followed. */
static void
test_log(void)
{
	char path[128], other[128];
	begin("");
	(void)snprintf(path, sizeof(path), "%s/log", folder);
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	CU_ASSERT_EQUAL_FATAL(symlink(other, path), 0);
	CU_ASSERT_EQUAL(log_open(path, O_WRONLY), -1);
	CU_ASSERT_NOT_EQUAL(access(other, F_OK), 0);
	int fd = log_open(other, O_WRONLY);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_NOT_EQUAL(fcntl(fd, F_GETFL) & O_APPEND, 0);
	CU_ASSERT_NOT_EQUAL(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	end();
}

static void
test_program(void)
{
	begin("");
	CU_ASSERT_PTR_NULL(child_program(&m, ROLE_NONE)); /* nothing of that name beside this test */
	CU_ASSERT_PTR_NULL(child_of(&m, ROLE_KEEPER));
	end();
}

/* What a child hears, by the type of its messages. */
static unsigned heard[64];

static int
hear(void *owner, struct link *l, struct message *msg)
{
	(void)owner, (void)l;
	heard[msg->type % 64]++;
	for (unsigned i = 0; i < msg->nfds; i++) {
		close(msg->fd[i]);
		msg->fd[i] = -1;
	}
	return SP_OK;
}

static void
gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

/* A worker gets keys and listeners; it hears of no other configuration than the one in force. */
static void
test_equip(void)
{
	int fd[2];
	unsigned port;
	char conf[256], why[256];
	close(taken_port(&port));
	(void)snprintf(conf, sizeof(conf), "listener a { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n", port);
	begin(conf);
	memset(heard, 0, sizeof(heard));
	m.log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	m.sealed = (struct sealed){ open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/null", O_RDONLY | O_CLOEXEC),
		open("/dev/null", O_RDONLY | O_CLOEXEC) };
	CU_ASSERT_EQUAL_FATAL(bind_listeners(&m, m.epoch, why, sizeof(why)), SP_OK);
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler h = { hear, gone, NULL };
	struct link *worker = link_new(m.base, fd[1], ROLE_WORKER, ROLE_MASTER, 0, &h);
	struct child *c = &m.child[0];
	*c = (struct child){ .role = ROLE_WORKER, .index = 1 };
	CU_ASSERT_EQUAL(child_give_epoch(&m, c), SP_EIO); /* before it has a link */
	c->link = link_new(m.base, fd[0], ROLE_MASTER, ROLE_WORKER, 1, &h);
	CU_ASSERT_EQUAL(child_give_epoch(&m, c), SP_OK);
	CU_ASSERT_EQUAL(c->given, 1);
	CU_ASSERT_EQUAL(child_give_logs(&m, c), SP_OK);
	CU_ASSERT_EQUAL(child_give_listeners(&m, c), SP_OK);
	for (unsigned i = 0; i < 20; i++)
		(void)event_base_loop(m.base, EVLOOP_NONBLOCK);
	CU_ASSERT(heard[MSG_EPOCH % 64] == 1 && heard[MSG_REOPEN % 64] == 1 && heard[MSG_LISTENER % 64] == 1);
	CU_ASSERT_PTR_EQUAL(child_of(&m, ROLE_WORKER), c);
	link_free(&c->link);
	link_free(&worker);
	close(m.log_fd);
	sealed_close(&m.sealed);
	end();
}

static void
status_is(const char *expected)
{
	char path[128], line[256] = "";
	(void)snprintf(path, sizeof(path), "%s.status", m.pid_path);
	FILE *f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), f));
	CU_ASSERT_STRING_EQUAL(line, expected);
	CU_ASSERT_PTR_NULL(fgets(line, sizeof(line), f)); /* one line */
	(void)fclose(f);
}

static void
checked(bool ok, const char *text, int fd)
{
	m.reload = (struct reload){ .stage = RELOAD_CHECK, .asked = 5, .sealed = SEALED_NONE };
	struct message msg = { .type = MSG_CHECKED, .nfds = fd >= 0, .f = { Q(ok), Z(text) }, .fd = { fd, -1, -1 } };
	reload_checked(&m, &msg);
	CU_ASSERT(m.reload.stage == RELOAD_NONE && m.reload.epoch == NULL && m.reload.sealed.workers == -1);
	CU_ASSERT_EQUAL(m.epoch->number, 1); /* what was in force still is */
}

/* A refusal, an answer that is none and a death leave everything as it was, and are told in one line (P11). */
static void
test_refused(void)
{
	begin("pid gate.pid;");
	CU_ASSERT_EQUAL_FATAL(pid_write(&m), SP_OK);
	checked(false, "t:1: no\nt:2: nor that", -1);
	status_is("5 refused t:1: no t:2: nor that\n");
	checked(false, "", -1);
	status_is("5 refused the check process does not say why\n");
	checked(true, "", -1); /* says yes and gives nothing */
	status_is("5 refused the check process does not say why\n");
	checked(true, "", open("/dev/null", O_RDONLY | O_CLOEXEC));
	status_is("5 refused the packed configuration is not a sealed memory file of a fair size\n");
	m.reload = (struct reload){ .stage = RELOAD_CHECK, .asked = 6, .sealed = SEALED_NONE, .check = &m.child[0] };
	m.child[0] = (struct child){ .role = ROLE_CHECK };
	CU_ASSERT_TRUE(reload_lost(&m, &m.child[0]));
	status_is("6 refused the check process ended without an answer\n");
	struct message late = { .type = MSG_CHECKED, .f = { Q(1), Z("") }, .fd = { -1, -1, -1 } };
	reload_checked(&m, &late); /* nobody asked */
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_NONE);
	m.phase = MASTER_STARTING;
	m.reload = (struct reload){ .stage = RELOAD_CHECK, .sealed = SEALED_NONE };
	late.f[0] = (struct field)Q(0);
	late.f[1] = (struct field)Z("t:9: never");
	reload_checked(&m, &late);
	CU_ASSERT_STRING_EQUAL(told, "t:9: never"); /* at the start there is nothing to keep */
	end();
}

/* ---- checkpoints to a log host ---- */

static int
log_host(unsigned *port_r)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*port_r = ntohs(at.sin_port);
	return fd;
}

/* The name names.test is known to who holds no descriptor of another's; others are looked up as ever. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (real == NULL)
		*(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (node == NULL || strcmp(node, "names.test") != 0)
		return real(node, service, hints, list);
	for (int fd = 4; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return EAI_FAIL;
	return real("127.0.0.1", service, hints, list);
}

static void
test_anchor(void)
{
	static const char *const lies[] = { "", "sallyport-anchor ", "hello", "sallyport-anchor 1 ab\n<0>1 x", "sallyport-anchor 1 xyz" };
	char to[64], got[2048] = "";
	unsigned port;
	begin("");
	int fd = log_host(&port);
	(void)snprintf(to, sizeof(to), "syslog://127.0.0.1:%u", port);
	CU_ASSERT_EQUAL(anchor_open(&m, "file:/x"), SP_OK);
	CU_ASSERT_PTR_NULL(m.anchor.to);
	CU_ASSERT_EQUAL(anchor_send(&m, SP_LIT("sallyport-anchor 1 ab")), SP_OK); /* said in the log */
	CU_ASSERT_EQUAL_FATAL(anchor_open(&m, to), SP_OK);
	int socket = m.anchor.fd;
	CU_ASSERT_EQUAL(anchor_open(&m, to), SP_OK);
	CU_ASSERT_EQUAL(m.anchor.fd, socket);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++)
		CU_ASSERT_EQUAL(anchor_send(&m, sp_str(lies[i])), SP_EPROTO);
	CU_ASSERT_EQUAL(anchor_send(&m, SP_LIT("sallyport-anchor 7 0123456789abcdef")), SP_OK);
	CU_ASSERT(recv(fd, got, sizeof(got) - 1, 0) > 0);
	CU_ASSERT_EQUAL(strncmp(got, "<85>1 20", 8), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, " anchor - sallyport-anchor 7 0123456789abcdef"));
	CU_ASSERT(recv(fd, got, sizeof(got), 0) < 0); /* one line, one datagram; of lies none */
	(void)close(fd);
	for (unsigned i = 0; i < 3; i++) /* the first goes out, and comes back as an error of the next */
		CU_ASSERT_EQUAL(anchor_send(&m, SP_LIT("sallyport-anchor 8 00")), SP_OK);
	CU_ASSERT_TRUE(m.anchor.deaf);
	/* who looks names up has nothing of master's in its hands */
	int mine = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 20);
	CU_ASSERT_FATAL(mine >= 20);
	(void)snprintf(to, sizeof(to), "syslog://names.test:%u", port);
	CU_ASSERT_EQUAL(anchor_open(&m, to), SP_OK);
	(void)close(mine);
	CU_ASSERT_EQUAL(anchor_open(&m, "syslog://[::1"), SP_ECONF);
	CU_ASSERT_PTR_NULL(m.anchor.to);
	anchor_close(&m);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "listeners: all or none", test_listeners }, { "the control socket", test_control }, { "folders, lock and pid file", test_folders },
		{ "logs", test_log }, { "programs", test_program }, { "what a child is given", test_equip },
		{ "checkpoints to a log host", test_anchor }, { "a configuration is refused (P11)", test_refused }, CU_TEST_INFO_NULL,
	};
	return cunit_main("master", tests);
}
