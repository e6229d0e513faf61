/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How master starts a process and hears it (child.c).  Programs are looked for beside the one that runs, so the
 * test runs a copy of itself in a folder, where further copies are the roles: they tell what they were given,
 * in the error log, and do what TZ says, which is one of the few variables that they are left.
 */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/role.h"
#include "core/master/master.h"

extern char **environ;

/* ---- a role ---- */

static void
say(uint16_t type)
{
	struct buffer b = { 0 };
	const struct message m = { .type = type, .f = { Q(1), Q(1), Z("") } };
	if (message_encode(&m, &b) == SP_OK)
		(void)!write(ROLE_MASTER_FD, buffer_bytes(&b).p, b.len);
	buffer_free(&b);
}

static void
tell(int argc, char **argv)
{
	char text[4096], cwd[256] = "?";
	size_t n = 0;
	sigset_t mask;
	unsigned blocked = 0;
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int s = 1; s < 32; s++)
		blocked += sigismember(&mask, s) == 1;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "[");
	for (int i = 0; i < argc; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i == 0 ? "" : " ", argv[i]);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "] cwd %s fds", getcwd(cwd, sizeof(cwd)));
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %d", fd);
	n += (size_t)snprintf(text + n, sizeof(text) - n, ". blocked %u new_privs %d uid %d env", blocked,
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, (int)getuid());
	unsigned others = 0;
	for (char **e = environ; *e != NULL; e++) {
		bool known = strncmp(*e, "TZ=", 3) == 0 || strncmp(*e, "SECRET=", 7) == 0;
		if (known)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %.40s", *e);
		others += !known && strncmp(*e, "GCOV", 4) != 0 && strstr(*e, "SAN_OPTIONS") == NULL;
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, " and %s others.\n", others == 0 ? "no" : "some");
	(void)!write(STDERR_FILENO, text, n);
}

static int
be_role(int argc, char **argv)
{
	static const struct { const char *name; uint16_t type; } says[] = {
		{ "ready", MSG_READY }, { "taken", MSG_EPOCH_TAKEN }, { "drained", MSG_DRAINED }, { "checked", MSG_CHECKED }, { "quit", MSG_QUIT },
	};
	static const char garbage[] = "\xff\xff\xff\xff rubbish";
	const char *what = getenv("TZ");
	char c;
	tell(argc, argv);
	for (size_t i = 0; i < sizeof(says) / sizeof(*says) && what != NULL; i++)
		if (strcmp(what, says[i].name) == 0)
			say(says[i].type);
	if (what != NULL && strcmp(what, "garbage") == 0)
		(void)!write(ROLE_MASTER_FD, garbage, sizeof(garbage));
	if (strcmp(argv[0], "sallyport-check") == 0)
		return 0;
	(void)fcntl(ROLE_MASTER_FD, F_SETFL, fcntl(ROLE_MASTER_FD, F_GETFL) & ~O_NONBLOCK);
	while (read(ROLE_MASTER_FD, &c, 1) > 0)
		continue;
	return 3; /* master let go of it */
}

/* ---- the other files of master, faked ---- */

static unsigned ready, all_ready, taken, checked, lost;

int
master_start_helper(struct master *at, enum role role)
{
	(void)at, (void)role;
	return SP_EIO;
}

void
master_ready(struct master *at)
{
	(void)at;
	all_ready++;
}

void
reload_ready(struct master *at, struct child *c)
{
	(void)at, (void)c;
	ready++;
}

void
reload_taken(struct master *at, struct child *c, const struct message *msg)
{
	(void)at, (void)c, (void)msg;
	taken++;
}

void
reload_checked(struct master *at, struct message *msg)
{
	(void)at, (void)msg;
	checked++;
}

int
trial_message(struct master *at, struct child *c, struct message *msg)
{
	(void)at, (void)c, (void)msg;
	return SP_EPROTO;
}

void
trial_gone(struct master *at, struct child *c)
{
	(void)at, (void)c;
}

int
anchor_send(struct master *at, struct sp_bytes line)
{
	(void)at, (void)line;
	return SP_OK;
}

bool
reload_lost(struct master *at, const struct child *c)
{
	(void)at, (void)c;
	lost++;
	return true;
}

/* ---- a master ---- */

static struct master m;
static char *folder; /* "…/bin" is where we are */
static char log_path[128];

static void
begin(const char *tz)
{
	(void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
	ready = all_ready = taken = checked = lost = 0;
	m = (struct master){ .conf_path = "/the/conf", .log_fd = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666),
		.store_lock = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .phase = MASTER_RUNNING };
	m.base = event_base_new();
	(void)setenv("TZ", tz, 1);
	(void)setenv("SECRET", "canary", 1);
}

static void
end(void)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		child_forget(&m.child[i]);
	close(m.log_fd);
	close(m.store_lock);
	event_base_free(m.base);
}

/* Its status, once it has ended: by itself when `ends`, or because its link is gone. */
static int
ended(struct child *c, bool ends)
{
	int status = -1;
	pid_t pid = c->pid;
	if (!ends)
		child_forget(c);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return status;
}

static bool
logged(const char *expected)
{
	char text[8192];
	ssize_t n = pread(m.log_fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	bool found = strstr(text, expected) != NULL;
	if (!found)
		printf("\n  wanted \"%s\" in \"%s\"\n", expected, text);
	return found;
}

static struct child *
started(enum role role)
{
	struct child *c;
	CU_ASSERT_EQUAL_FATAL(child_start(&m, role, &c), SP_OK);
	CU_ASSERT_PTR_EQUAL(c->link != NULL ? c : NULL, c);
	return c;
}

/* ---- what it is given ---- */

static void
test_worker(void)
{
	begin("x");
	int stray = fcntl(m.log_fd, F_DUPFD, 40); /* not close-on-exec, by somebody's mistake */
	struct child *c = started(ROLE_WORKER);
	CU_ASSERT(c->index == 1 && c->slot == 0 && !c->ready && c->given == 0);
	int status = ended(c, false);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CU_ASSERT(logged("[sallyport-worker 1] cwd / fds 0 1 2 3. blocked 0 new_privs 0 ") && logged(" env TZ=x and no others.\n"));
	CU_ASSERT_EQUAL(started(ROLE_WORKER)->index, 2); /* a number is never used twice */
	(void)ended(&m.child[0], false);
	close(stray);
	end();
}

/* Secrets of the environment are the keeper's alone; it and the recorder hold the store's lock. */
static void
test_keeper(void)
{
	begin("x");
	(void)ended(started(ROLE_KEEPER), false);
	CU_ASSERT(logged("[sallyport-keeper 0] cwd / fds 0 1 2 3 4.") && logged(" SECRET=canary and some others.\n"));
	CU_ASSERT_EQUAL(ftruncate(m.log_fd, 0), 0);
	(void)lseek(m.log_fd, 0, SEEK_SET);
	(void)ended(started(ROLE_RECORDER), false);
	CU_ASSERT(logged("[sallyport-recorder 0] cwd / fds 0 1 2 3 4.") && logged(" env TZ=x and no others.\n"));
	CU_ASSERT_EQUAL(ftruncate(m.log_fd, 0), 0);
	(void)lseek(m.log_fd, 0, SEEK_SET);
	(void)ended(started(ROLE_CONSOLE), false);
	CU_ASSERT(logged("[sallyport-console 0] cwd / fds 0 1 2 3.") && logged(" env TZ=x and no others.\n"));
	end();
}

static void
test_check(void)
{
	char cwd[256], expected[512];
	begin("x");
	CU_ASSERT_PTR_NOT_NULL(getcwd(cwd, sizeof(cwd)));
	struct child *c = started(ROLE_CHECK);
	int status = ended(c, true);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)snprintf(expected, sizeof(expected), "[sallyport-check --serve /the/conf] cwd %s fds 0 1 2 3.", cwd);
	CU_ASSERT(logged(expected) && logged(" env TZ=x and no others.\n"));
	end();
}

/* ---- what it says ---- */

/* Until the link has been read, to its end where the process ends it. */
static void
hear(const unsigned *what)
{
	while (*what == 0)
		(void)event_base_loop(m.base, EVLOOP_ONCE);
}

static void
test_messages(void)
{
	begin("ready");
	struct child *c = started(ROLE_WORKER);
	hear(&ready);
	CU_ASSERT(c->ready && all_ready == 1);
	(void)ended(c, false);
	end();
	begin("taken");
	c = started(ROLE_CONSOLE);
	hear(&taken);
	CU_ASSERT(!c->ready && ready == 0);
	(void)ended(c, false);
	end();
	begin("checked");
	c = started(ROLE_CHECK);
	(void)ended(c, true);
	c->dead = true; /* master saw its death first */
	hear(&lost);
	CU_ASSERT(checked == 1 && lost == 1 && c->role == ROLE_NONE);
	end();
}

/* What is no message, or is not this role's to say: that process is ended. */
static void
test_lies(void)
{
	static const struct { const char *what; enum role role; } row[] = {
		{ "garbage", ROLE_WORKER }, { "garbage", ROLE_KEEPER }, { "checked", ROLE_WORKER }, { "quit", ROLE_KEEPER },
		{ "drained", ROLE_CONSOLE },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		begin(row[i].what);
		struct child *c = started(row[i].role);
		while (c->link != NULL)
			(void)event_base_loop(m.base, EVLOOP_ONCE);
		CU_ASSERT(c->role == row[i].role && checked == 0); /* forgotten when its death is seen */
		int status = ended(c, true);
		CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		end();
	}
}

/* ---- what is not started ---- */

static void
test_not_started(void)
{
	char path[128], aside[128];
	struct child *c = &m.child[0];
	begin("x");
	(void)snprintf(path, sizeof(path), "%s/bin/sallyport-console", folder);
	(void)snprintf(aside, sizeof(aside), "%s/bin/aside", folder);
	CU_ASSERT_EQUAL_FATAL(rename(path, aside), 0);
	CU_ASSERT_EQUAL(child_start(&m, ROLE_CONSOLE, &c), SP_EIO);
	CU_ASSERT_PTR_NULL(c);
	CU_ASSERT_EQUAL_FATAL(rename(aside, path), 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		m.child[i] = (struct child){ .role = ROLE_WORKER };
	CU_ASSERT_EQUAL(child_start(&m, ROLE_CONSOLE, &c), SP_EIO); /* no place left */
	CU_ASSERT_PTR_NULL(c);
	end();
}

/* As root: nothing that others can change, and never as root. */
static void
test_root(void)
{
	char bin[128], path[160];
	if (geteuid() != 0) {
		printf("(skipped: only root can give itself up) ");
		return;
	}
	begin("x");
	m.root = true;
	(void)fchmod(m.log_fd, 0666);
	(void)snprintf(bin, sizeof(bin), "%s/bin", folder);
	(void)snprintf(path, sizeof(path), "%s/sallyport-worker", bin);
	int status = ended(started(ROLE_WORKER), true); /* no account: it would be root's */
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 125);
	child_forget(&m.child[0]);
	m.account[ROLE_WORKER] = (struct account){ .uid = 65534, .gid = 65534, .group = { 65534 }, .ngroups = 1 };
	(void)ended(started(ROLE_WORKER), false);
	CU_ASSERT_TRUE(logged(" uid 65534 "));
	const struct { const char *path; mode_t mode; uid_t owner; bool good; } row[] = {
		{ path, 0755, 0, true }, { path, 0775, 0, false }, { path, 0757, 0, false }, { path, 0755, 65534, false }, { path, 0755, 0, true },
		{ bin, 0775, 0, false }, { bin, 0757, 0, false }, { bin, 0755, 65534, false }, { bin, 0755, 0, true },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CU_ASSERT_EQUAL(chown(row[i].path, row[i].owner, 0), 0);
		CU_ASSERT_EQUAL(chmod(row[i].path, row[i].mode), 0);
		CU_ASSERT_EQUAL(child_program(&m, ROLE_WORKER) != NULL, row[i].good);
	}
	end();
}

/* ---- here and there ---- */

static bool
copy_self(const char *to)
{
	static char block[1 << 16];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	bool good = in >= 0 && out >= 0;
	for (ssize_t n; good && (n = read(in, block, sizeof(block))) > 0;)
		good = write(out, block, (size_t)n) == n;
	close(in);
	close(out);
	return good;
}

static int
run_copy(void)
{
	static const char *const names[] = { "master", "sallyport-keeper", "sallyport-recorder", "sallyport-worker", "sallyport-console",
		"sallyport-check" };
	static char top[] = "/tmp/sallyport-child-XXXXXX", path[128], inside[] = "inside";
	if (mkdtemp(top) == NULL || chmod(top, 0755) != 0)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/bin", top);
	(void)umask(022);
	if (mkdir(path, 0755) != 0)
		return 1;
	for (size_t i = sizeof(names) / sizeof(*names); i > 0; i--) {
		(void)snprintf(path, sizeof(path), "%s/bin/%s", top, names[i - 1]);
		if (!copy_self(path))
			return 1;
	}
	char *const argv[] = { path, inside, top, NULL };
	(void)execv(path, argv);
	return 1;
}

int
main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{ "a worker", test_worker }, { "keeper, recorder, console", test_keeper }, { "check", test_check }, { "messages", test_messages },
		{ "lies", test_lies }, { "what is not started", test_not_started }, { "as root", test_root }, CU_TEST_INFO_NULL,
	};
	if (strncmp(argv[0], "sallyport-", 10) == 0)
		return be_role(argc, argv);
	if (argc != 3)
		return run_copy();
	folder = argv[2];
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	int status = cunit_main("master child", tests);
	(void)files_remove(folder);
	return status;
}
