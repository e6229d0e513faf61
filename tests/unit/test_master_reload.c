/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a configuration comes into force or does not (reload.c, P11), and what each process is handed (equip.c),
 * with the processes' ends of the links in the test's hand.  master.c is faked; nobody is really killed.
 */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/master/master.h"

#define PID 100000 /* of the first child; no real one: see kill() */
#define LATER 31000

static struct master m;
static char folder[64];
static unsigned ports[2];

/* ---- master.c, and the kernel's kill(), faked ---- */

static bool killed[CHILDREN];
static unsigned workers_started, keepers_started;
static int start_worker_rc, start_keeper_rc, start_helper_rc;
static char not_started[512];

int
kill(pid_t pid, int number)
{
	CU_ASSERT_FATAL(pid >= PID && pid < PID + CHILDREN && number == SIGKILL);
	killed[pid - PID] = true;
	return 0;
}

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
	(void)snprintf(not_started, sizeof(not_started), "%s", why);
}

unsigned
master_workers_wanted(const struct settings *s)
{
	return (unsigned)s->workers;
}

/* ---- the processes' ends ---- */

static struct {
	struct link *link;
	unsigned heard[MESSAGES];
	uint64_t epoch;      /* number of the last */
	ino_t file;          /* that came with it */
	bool graceful;       /* of the last QUIT */
	char links[256];     /* "keeper 0 worker 3 …" */
	char listeners[64];
	unsigned fds;        /* with the last REOPEN */
} far[CHILDREN];

static int
hear(void *owner, struct link *l, struct message *msg)
{
	(void)l;
	size_t i = (size_t)(uintptr_t)owner, used;
	struct stat st;
	far[i].heard[msg->type]++;
	switch (msg->type) {
	case MSG_EPOCH:
		far[i].epoch = msg->f[0].q;
		far[i].file = fstat(msg->fd[0], &st) == 0 ? st.st_ino : 0;
		break;
	case MSG_LINK:
		used = strlen(far[i].links);
		(void)snprintf(far[i].links + used, sizeof(far[i].links) - used, "%s %u ", role_name((enum role)msg->f[0].q), (unsigned)msg->f[1].q);
		break;
	case MSG_LISTENER:
		used = strlen(far[i].listeners);
		(void)snprintf(far[i].listeners + used, sizeof(far[i].listeners) - used, "%.*s ", (int)msg->f[0].s.len, (const char *)msg->f[0].s.p);
		break;
	case MSG_QUIT:
		far[i].graceful = msg->f[0].q == 1;
		break;
	case MSG_REOPEN:
		far[i].fds = msg->nfds;
		break;
	default:
		break;
	}
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

static struct child *
child_new(enum role role)
{
	int fd[2];
	unsigned i = 0;
	while (m.child[i].role != ROLE_NONE)
		i++;
	static const struct link_handler deaf = { NULL, NULL, NULL };
	const struct link_handler h = { hear, lost, (void *)(uintptr_t)i };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	link_free(&far[i].link);
	memset(&far[i], 0, sizeof(far[i]));
	far[i].link = link_new(m.base, fd[1], role, ROLE_MASTER, 0, &h);
	uint64_t number = m.epoch == NULL ? 0 : m.epoch->number;
	m.child[i] = (struct child){ .role = role, .index = role == ROLE_WORKER ? ++m.last_index : 0, .slot = i, .pid = PID + (pid_t)i,
		.ready = true, .given = number, .taken = number, .link = link_new(m.base, fd[0], ROLE_MASTER, role, 0, &deaf) };
	return &m.child[i];
}

int
master_start_worker(struct master *at, bool fresh)
{
	if (start_worker_rc != SP_OK)
		return start_worker_rc;
	struct child *c = child_new(ROLE_WORKER);
	c->fresh = fresh;
	c->ready = false;
	workers_started++;
	return child_equip(at, c);
}

int
master_start_helper(struct master *at, enum role role)
{
	if (start_helper_rc != SP_OK)
		return start_helper_rc;
	struct child *c = child_new(role);
	c->given = c->taken = 0;
	return child_equip(at, c);
}

int
master_start_one(struct master *at, enum role role)
{
	CU_ASSERT_EQUAL(role, ROLE_KEEPER);
	if (start_keeper_rc != SP_OK)
		return start_keeper_rc;
	struct child *c = child_new(ROLE_KEEPER);
	c->given = c->taken = 0;
	keepers_started++;
	return child_equip(at, c);
}

/* ---- a master ---- */

static struct epoch *
epoch_of(const char *conf)
{
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *err = "";
	*e = (struct epoch){ .arena = arena_new(0), .number = 1 };
	e->settings.folder = folder;
	int rc = conf_parse(e->arena, "t", sp_str(arena_string(e->arena, sp_str(conf))), &top, &err);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, top, &e->settings, &err);
	if (rc != SP_OK)
		printf("\n%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	e->tree = top;
	if (e->settings.targets != NULL) {
		e->policies = arena_alloc(e->arena, sizeof(*e->policies));
		e->policies->path = e->settings.targets->policy.v[0];
		e->npolicies = 1;
	}
	return e;
}

static unsigned
free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* Listener `l` is always there, `n` only in the new one. */
static const char *
conf(bool new, const char *more)
{
	static char text[2][2048];
	char *to = text[new];
	int n = snprintf(to, sizeof(text[0]), "pid gate.pid; control c.sock; load_module p;\n%s\nlistener l { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n", more,
	    ports[0]);
	if (new)
		(void)snprintf(to + n, sizeof(text[0]) - (size_t)n, "listener n { listen 127.0.0.1:%u; protocol p; cleartext loopback; }\n", ports[1]);
	return to;
}

static void
turn(void)
{
	for (unsigned i = 0; i < 20; i++)
		(void)event_base_loop(m.base, EVLOOP_NONBLOCK);
}

#define KEEPER (&m.child[0])
#define RECORDER (&m.child[1])
#define CONSOLE (&m.child[2])
#define WORKER (&m.child[3])

static void
begin(const char *more)
{
	char why[256];
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-reload-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	memset(killed, 0, sizeof(killed));
	workers_started = keepers_started = 0;
	start_worker_rc = start_keeper_rc = start_helper_rc = SP_OK;
	not_started[0] = '\0';
	ports[0] = free_port();
	ports[1] = free_port();
	m = (struct master){ .control = -1, .store_lock = -1, .pid_fd = -1, .parent = -1, .log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
		.sealed = { memfd_create("workers", MFD_CLOEXEC), memfd_create("console", MFD_CLOEXEC), memfd_create("others", MFD_CLOEXEC) },
		.board_fd = memfd_create("board", MFD_CLOEXEC), .reload = { .sealed = SEALED_NONE }, .phase = MASTER_RUNNING, .epochs = 1 };
	m.base = event_base_new();
	m.epoch = epoch_of(conf(false, more));
	CU_ASSERT_EQUAL_FATAL(bind_listeners(&m, m.epoch, why, sizeof(why)), SP_OK);
	CU_ASSERT_EQUAL_FATAL(pid_write(&m), SP_OK);
	(void)child_new(ROLE_KEEPER), (void)child_new(ROLE_RECORDER), (void)child_new(ROLE_CONSOLE), (void)child_new(ROLE_WORKER);
	KEEPER->given = 0;
	CU_ASSERT_EQUAL_FATAL(child_give_epoch(&m, KEEPER), SP_OK); /* its first: what it may read is settled */
	turn();
	far[0].heard[MSG_EPOCH] = 0;
	far[0].epoch = 0;
}

static void
end(void)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		child_forget(&m.child[i]);
		link_free(&far[i].link);
		const int fds[] = { m.ring[i].memory, m.ring[i].recorder_bell, m.ring[i].worker_bell };
		for (size_t k = 0; k < 3 && m.ring[i].used; k++)
			close(fds[k]);
	}
	bind_close(&m);
	epoch_free(&m.reload.epoch);
	epoch_free(&m.epoch);
	while (m.keeper_folders > 0)
		free(m.keeper_folder[--m.keeper_folders]);
	const int fds[] = { m.log_fd, m.board_fd, m.pid_fd };
	sealed_close(&m.sealed);
	sealed_close(&m.reload.sealed);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(m.pid_path);
	event_base_free(m.base);
	(void)files_remove(folder);
}

/* The check process is content with this. */
static void
checked(const char *text)
{
	int fd = -1;
	struct epoch *e = epoch_of(text);
	CU_ASSERT_EQUAL_FATAL(epoch_seal(e, EPOCH_ALL, &fd), SP_OK);
	epoch_free(&e);
	m.reload = (struct reload){ .stage = RELOAD_CHECK, .asked = 5, .sealed = SEALED_NONE, .since = clock_mono_ms() };
	struct message msg = { .type = MSG_CHECKED, .nfds = 1, .f = { Q(1), Z("") }, .fd = { fd, -1, -1 } };
	reload_checked(&m, &msg);
	close(fd); /* it has been read: nobody is given the keys of all */
	turn();
}

static void
takes(struct child *c)
{
	struct message msg = { .type = MSG_EPOCH_TAKEN, .f = { Q(c->given), Q(1), Z("") } };
	reload_taken(&m, c, &msg);
	turn();
}

static void
refuses(struct child *c, const char *why)
{
	struct message msg = { .type = MSG_EPOCH_TAKEN, .f = { Q(c->given), Q(0), Z(why) } };
	reload_taken(&m, c, &msg);
	turn();
}

static void
status_is(const char *expected)
{
	char path[128], line[256] = "";
	(void)snprintf(path, sizeof(path), "%s/gate.pid.status", folder);
	FILE *f = fopen(path, "re");
	if (f != NULL) {
		CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), f));
		(void)fclose(f);
	}
	if (strcmp(line, expected) != 0)
		printf("\n  \"%s\", not \"%s\"\n", line, expected);
	CU_ASSERT_STRING_EQUAL(line, expected);
}

static unsigned
bound_count(void)
{
	unsigned n = 0;
	for (const struct bound *b = m.bound; b != NULL; b = b->next)
		n++;
	return n;
}

/* Everything is as it was before, under a number that nobody has seen yet. */
static void
back(const char *status)
{
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_NONE);
	CU_ASSERT(m.reload.epoch == NULL && m.reload.sealed.workers == -1 && m.reload.sealed.console == -1 && m.reload.sealed.others == -1);
	CU_ASSERT_EQUAL(m.epoch->number, 3);
	CU_ASSERT_EQUAL(bound_count(), 1); /* the new port is not ours any more */
	status_is(status);
}

/* ---- into force ---- */

static void
test_in_force(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	CU_ASSERT(m.reload.stage == RELOAD_KEEPER && bound_count() == 2);
	CU_ASSERT(far[0].epoch == 2 && far[1].epoch == 0 && far[2].epoch == 0 && far[3].epoch == 0); /* one after the other */
	CU_ASSERT_EQUAL(m.epoch->number, 1);
	takes(RECORDER); /* says so unasked, of the one it has */
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_KEEPER);
	takes(KEEPER);
	CU_ASSERT(m.reload.stage == RELOAD_RECORDER && far[1].epoch == 2 && far[3].epoch == 0 && m.epoch->number == 1);
	takes(RECORDER);
	CU_ASSERT(m.reload.stage == RELOAD_OTHERS && m.epoch->number == 2);
	CU_ASSERT(far[2].epoch == 2 && far[3].epoch == 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(far[3].listeners, "n "));
	status_is("");
	takes(CONSOLE);
	status_is(""); /* not yet */
	takes(WORKER);
	status_is("5 ok in force\n");
	CU_ASSERT(m.reload.stage == RELOAD_NONE && !killed[0] && !killed[3]);
	end();
}

/* Whoever reloads finds the helpers that the new one is the first to need. */
static void
test_first_helper(void)
{
	static const char more[] = "workers 1; webhook w { url https://chat.example/; }";
	begin("workers 1;");
	checked(conf(true, more));
	takes(KEEPER);
	CU_ASSERT_PTR_NULL(helper_of(&m, ROLE_FETCH, 0));
	takes(RECORDER);
	struct child *fetch = helper_of(&m, ROLE_FETCH, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fetch);
	CU_ASSERT_STRING_EQUAL(far[0].links, "fetch 0 ");
	takes(CONSOLE);
	takes(WORKER);
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_OTHERS);
	takes(fetch);
	status_is("5 ok in force\n");
	end();
	/* One that can't be started holds nothing up. */
	begin("workers 1;");
	start_helper_rc = SP_EIO;
	checked(conf(true, more));
	takes(KEEPER);
	takes(RECORDER);
	takes(CONSOLE);
	takes(WORKER);
	status_is("5 ok in force\n");
	CU_ASSERT(m.restart_at[ROLE_FETCH] > clock_mono_ms());
	end();
}

/* Workers get the keys of listeners, the console its own, others none. */
static void
test_keys(void)
{
	struct stat workers, own, public;
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	CU_ASSERT(fstat(m.reload.sealed.workers, &workers) == 0 && fstat(m.reload.sealed.console, &own) == 0 && fstat(m.reload.sealed.others, &public) == 0);
	CU_ASSERT(workers.st_ino != public.st_ino && own.st_ino != public.st_ino && own.st_ino != workers.st_ino);
	takes(KEEPER);
	takes(RECORDER);
	CU_ASSERT(far[0].file == public.st_ino && far[1].file == public.st_ino);
	CU_ASSERT(far[2].file == own.st_ino && far[3].file == workers.st_ino);
	end();
}

/* ---- refused ---- */

static void
test_refused_by_keeper(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	refuses(KEEPER, "target t: no\nsecret");
	back("5 refused keeper does not take it: target t: no secret\n");
	CU_ASSERT(far[0].heard[MSG_EPOCH] == 1 && KEEPER->given == 3 && KEEPER->taken == 3); /* it keeps what it has */
	end();
}

static void
test_refused_by_recorder(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	refuses(RECORDER, "no such folder");
	back("5 refused recorder does not take it: no such folder\n");
	CU_ASSERT(far[0].heard[MSG_EPOCH] == 2 && far[0].epoch == 3); /* the keeper had taken it: it is given the old one again */
	CU_ASSERT(far[3].heard[MSG_EPOCH] == 0 && far[2].heard[MSG_EPOCH] == 0); /* sessions saw nothing of it */
	struct message late = { .type = MSG_EPOCH_TAKEN, .f = { Q(2), Q(1), Z("") } };
	reload_taken(&m, KEEPER, &late);
	CU_ASSERT(KEEPER->given == 3 && KEEPER->taken == 2 && m.reload.stage == RELOAD_NONE); /* what it says of 2 is old */
	end();
}

static void
test_deaths(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	CU_ASSERT_FALSE(reload_lost(&m, KEEPER)); /* it is missed */
	back("5 refused keeper 0 ended while it took it\n");
	CU_ASSERT_FALSE(reload_lost(&m, KEEPER));
	end();
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	CU_ASSERT_FALSE(reload_lost(&m, CONSOLE)); /* is not waited for */
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_RECORDER);
	CU_ASSERT_FALSE(reload_lost(&m, RECORDER));
	back("5 refused recorder 0 ended while it took it\n");
	end();
	begin("workers 1;");
	link_free(&RECORDER->link); /* it is just coming up again */
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	back("5 refused the recorder is being started again: try once more\n");
	end();
}

static void
test_no_answer(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	reload_tick(&m, m.reload.since + 29999);
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_KEEPER);
	reload_tick(&m, m.reload.since + LATER);
	back("5 refused no answer in 30 s at the stage \"keeper\"\n");
	struct child *check = child_new(ROLE_CHECK);
	m.reload = (struct reload){ .stage = RELOAD_CHECK, .asked = 6, .sealed = SEALED_NONE, .check = check };
	reload_tick(&m, LATER);
	status_is("6 refused no answer in 30 s at the stage \"check\"\n");
	CU_ASSERT_TRUE(killed[check->slot]);
	end();
}

/* Behind the line nothing goes back: who can't follow is replaced. */
static void
test_cannot_follow(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	takes(RECORDER);
	refuses(WORKER, "no memory");
	CU_ASSERT(killed[3] && m.epoch->number == 2 && m.reload.stage == RELOAD_OTHERS);
	child_forget(WORKER);
	takes(CONSOLE);
	status_is("5 ok in force\n");
	end();
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	takes(RECORDER);
	takes(WORKER);
	child_forget(CONSOLE); /* died; the next one begins with the new one */
	reload_tick(&m, m.reload.since + 100);
	status_is("5 ok in force\n");
	end();
}

/* Changed while it was read: read again. */
static void
test_again(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 1;"));
	reload_start(&m);
	CU_ASSERT(m.reload.again && m.reload.stage == RELOAD_KEEPER);
	takes(KEEPER);
	takes(RECORDER);
	takes(CONSOLE);
	takes(WORKER);
	/* there is no check program beside this test: that it was wanted is what counts */
	CU_ASSERT(m.reload.stage == RELOAD_NONE && m.epoch->number == 2);
	char path[128], line[256] = "";
	(void)snprintf(path, sizeof(path), "%s/gate.pid.status", folder);
	FILE *f = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), f));
	(void)fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(line, " refused the check process cannot be started: the error log says why"));
	end();
}

/* A port that somebody else has. */
static void
test_port_taken(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	begin("workers 1;");
	at.sin_port = htons((uint16_t)ports[1]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 1), 0);
	checked(conf(true, "workers 1;"));
	CU_ASSERT(m.reload.stage == RELOAD_NONE && m.epoch->number == 1 && far[0].heard[MSG_EPOCH] == 0 && bound_count() == 1);
	close(fd);
	end();
}

/* ---- workers ---- */

static void
test_new_modules(void)
{
	begin("workers 1;");
	checked(conf(true, "workers 2; load_module q;"));
	CU_ASSERT(m.reload.stage == RELOAD_WORKERS && workers_started == 2);
	struct child *one = &m.child[4], *two = &m.child[5];
	CU_ASSERT(far[4].epoch == 2 && far[5].epoch == 2 && far[4].listeners[0] == '\0'); /* no client before it is in force */
	one->ready = true;
	reload_ready(&m, one);
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_WORKERS);
	two->ready = true;
	reload_ready(&m, two);
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_KEEPER);
	turn();
	takes(KEEPER);
	takes(RECORDER);
	CU_ASSERT(far[3].heard[MSG_QUIT] == 1 && far[3].graceful && WORKER->draining); /* the old one serves to its end */
	CU_ASSERT(strcmp(far[4].listeners, far[5].listeners) == 0 && strlen(far[4].listeners) == 4);
	CU_ASSERT(far[3].listeners[0] == '\0' && m.missing[ROLE_WORKER] == 0);
	end();
}

static void
test_new_workers_fail(void)
{
	begin("workers 1;");
	start_worker_rc = SP_EIO;
	checked(conf(true, "workers 2; load_module q;"));
	back("5 refused new workers cannot be started: the error log says why\n");
	end();
	begin("workers 1;");
	checked(conf(true, "workers 2; load_module q;"));
	CU_ASSERT_TRUE(reload_lost(&m, &m.child[4])); /* nobody misses it */
	back("5 refused worker 2 ended while it took it\n");
	CU_ASSERT(killed[4] && killed[5] && m.child[5].draining && !killed[3]); /* the others of them go too */
	end();
}

static void
test_number_of_workers(void)
{
	begin("workers 1;");
	(void)child_new(ROLE_WORKER);
	checked(conf(true, "workers 1;"));
	takes(KEEPER);
	takes(RECORDER);
	CU_ASSERT(far[4].heard[MSG_QUIT] == 1 && far[3].heard[MSG_QUIT] == 0);
	end();
	begin("workers 1;");
	checked(conf(true, "workers 4;"));
	takes(KEEPER);
	takes(RECORDER);
	CU_ASSERT_EQUAL(m.missing[ROLE_WORKER], 3);
	end();
}

/* ---- the keeper's folders ---- */

#define SECRET(path) \
	"workers 1; target t { protocol p; server 127.0.0.1:5; tls off; policy p.lua; allow groups=g; login user=u secret=file:" path "; }"

/* A sandbox can't be widened: a secret elsewhere wants another keeper. */
static void
test_other_folder(void)
{
	begin(SECRET("/s/one/a"));
	checked(conf(true, SECRET("/s/one/deeper/b")));
	CU_ASSERT(m.reload.renews == ROLE_NONE && far[0].epoch == 2); /* beneath: it can */
	refuses(KEEPER, "no");
	checked(conf(true, SECRET("/s/one-more/b")));
	CU_ASSERT(m.reload.renews == ROLE_KEEPER && far[0].heard[MSG_QUIT] == 1 && m.reload.stage == RELOAD_KEEPER);
	reload_tick(&m, m.reload.since + 1);
	CU_ASSERT_EQUAL(keepers_started, 0); /* the store is still the old one's */
	CU_ASSERT_TRUE(reload_lost(&m, KEEPER));
	child_forget(KEEPER);
	reload_tick(&m, m.reload.since + 2);
	CU_ASSERT(keepers_started == 1 && m.reload.stage == RELOAD_KEEPER);
	turn();
	CU_ASSERT_EQUAL(far[0].epoch, m.reload.epoch->number); /* it lives under the coming one */
	takes(KEEPER);
	CU_ASSERT_EQUAL(m.reload.stage, RELOAD_RECORDER);
	end();
}

/* The old keeper went for it, and a new one could not be started: refused, and a keeper is missed. */
static void
test_no_other_keeper(void)
{
	begin(SECRET("/s/one/a"));
	checked(conf(true, SECRET("/s/two/b")));
	CU_ASSERT_TRUE(reload_lost(&m, KEEPER));
	child_forget(KEEPER);
	start_keeper_rc = SP_EIO;
	reload_tick(&m, m.reload.since + 1);
	back("5 refused the keeper cannot be started again: the error log says why\n");
	CU_ASSERT_EQUAL(m.missing[ROLE_KEEPER], 1);
	end();
}

/* ---- what a process is handed ---- */

static void
test_equip_worker(void)
{
	struct stat whole;
	begin("workers 1;");
	struct child *w = child_new(ROLE_WORKER);
	CU_ASSERT_EQUAL(child_equip(&m, w), SP_OK);
	turn();
	CU_ASSERT(fstat(m.sealed.workers, &whole) == 0 && far[4].file == whole.st_ino);
	CU_ASSERT(far[4].heard[MSG_BOARD] == 1 && far[4].heard[MSG_RING] == 1);
	CU_ASSERT_STRING_EQUAL(far[4].links, "keeper 0 ");
	CU_ASSERT_STRING_EQUAL(far[4].listeners, "l ");
	CU_ASSERT(far[1].heard[MSG_RING] == 1 && far[1].heard[MSG_LINK] == 0); /* the recorder reads what it writes, and hears nothing from it */
	CU_ASSERT_STRING_EQUAL(far[0].links, "worker 2 ");
	CU_ASSERT_EQUAL(far[2].heard[MSG_LINK], 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		if (!m.ring[i].used)
			m.ring[i] = (struct ring_kept){ .used = true, .memory = -1, .recorder_bell = -1, .worker_bell = -1, .index = 1000 };
	CU_ASSERT_EQUAL(child_equip(&m, child_new(ROLE_WORKER)), SP_ENOMEM); /* without a ring nothing could be recorded */
	turn();
	CU_ASSERT(far[5].heard[MSG_LISTENER] == 0 && far[5].heard[MSG_LINK] == 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		m.ring[i].used = m.ring[i].used && m.ring[i].memory >= 0;
	end();
}

/* Another recorder: every ring, also of the dead, since what stands in it was published. */
static void
test_equip_recorder(void)
{
	begin("workers 1; audit audit.log; access access.log;");
	CU_ASSERT_EQUAL(child_equip(&m, WORKER), SP_OK);
	struct child *dead = child_new(ROLE_WORKER);
	CU_ASSERT_EQUAL(child_equip(&m, dead), SP_OK);
	ring_mark_gone(&m, dead->index);
	child_forget(dead);
	child_forget(RECORDER);
	struct child *c = child_new(ROLE_RECORDER);
	c->ready = false;
	CU_ASSERT_EQUAL(child_equip(&m, c), SP_OK);
	turn();
	CU_ASSERT(far[1].fds == 3 && far[1].heard[MSG_RING] == 2 && far[1].heard[MSG_WORKER_GONE] == 1);
	CU_ASSERT_STRING_EQUAL(far[1].links, "keeper 0 ");
	uint64_t now = clock_mono_ms();
	c->started = now;
	ring_forget_old(&m, now + 200000); /* not ready: it has read nothing */
	CU_ASSERT_TRUE(m.ring[1].used);
	c->ready = true;
	ring_forget_old(&m, now + 59000); /* not long enough there */
	CU_ASSERT_TRUE(m.ring[1].used);
	ring_forget_old(&m, now + 61000);
	CU_ASSERT(!m.ring[1].used && m.ring[0].used);
	end();
	begin("workers 1; audit /no/such/folder/at/all/audit.log; access access.log;");
	child_forget(RECORDER);
	CU_ASSERT_NOT_EQUAL(child_equip(&m, child_new(ROLE_RECORDER)), SP_OK); /* no recorder without an audit log */
	end();
}

static void
test_equip_keeper(void)
{
	struct stat public;
	begin("workers 1;");
	(void)child_new(ROLE_CHECK);
	(void)child_new(ROLE_WORKER);
	child_forget(KEEPER);
	CU_ASSERT_EQUAL(child_equip(&m, child_new(ROLE_KEEPER)), SP_OK);
	turn();
	CU_ASSERT(fstat(m.sealed.others, &public) == 0 && far[0].file == public.st_ino);
	CU_ASSERT_STRING_EQUAL(far[0].links, "recorder 0 console 0 worker 1 worker 2 ");
	CU_ASSERT_STRING_EQUAL(far[2].links, "keeper 0 ");
	CU_ASSERT_EQUAL(far[4].heard[MSG_LINK], 0); /* check speaks with nobody */
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "into force", test_in_force }, { "the first helper", test_first_helper }, { "keys", test_keys }, { "refused by the keeper", test_refused_by_keeper },
		{ "refused by the recorder", test_refused_by_recorder }, { "deaths", test_deaths }, { "no answer", test_no_answer },
		{ "who cannot follow", test_cannot_follow }, { "asked for again", test_again }, { "a port that is taken", test_port_taken },
		{ "other modules", test_new_modules }, { "new workers fail", test_new_workers_fail }, { "more or fewer workers", test_number_of_workers },
		{ "a secret in another folder", test_other_folder }, { "no other keeper", test_no_other_keeper }, { "a worker's things", test_equip_worker },
		{ "a recorder's things", test_equip_recorder }, { "a keeper's things", test_equip_keeper }, CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("master reload", tests);
}
