/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every process of the gateway does alike (role.c), with master's end in the test's hand; and two small
 * things that they share: clocks (clock.c) and the folders of secrets (secret_folders.c).
 */
#include <config.h>
#include "cunit_main.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/ready.h"
#include "core/base/role.h"

/* ---- a role, in a process of its own ---- */

static struct role_process process;
static const char *refuse_first;

static int
on_start(void *owner, struct epoch *e, const char **err_r)
{
	struct epoch **mine = owner;
	*err_r = refuse_first;
	if (refuse_first != NULL) {
		epoch_free(&e);
		return SP_ECONF;
	}
	*mine = e;
	return SP_OK;
}

/* Takes every second one. */
static int
on_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct epoch **mine = owner;
	*err_r = "not this one";
	if (e->number % 2 == 0)
		return SP_ECONF;
	epoch_free(mine);
	*mine = e;
	return SP_OK;
}

static int
on_link(void *owner, enum role peer, unsigned index, int fd)
{
	(void)owner, (void)peer, (void)index;
	close(fd);
	return SP_OK;
}

/* Ends as 7 when all that role_init() promises holds. */
static void
on_quit(void *owner, bool graceful)
{
	struct rlimit core;
	bool good = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 && signal(SIGPIPE, SIG_DFL) == SIG_IGN &&
	    signal(SIGHUP, SIG_DFL) == SIG_IGN && fcntl(ROLE_MASTER_FD, F_GETFD) == FD_CLOEXEC;
	epoch_free(owner);
	role_end(&process, good ? (graceful ? 7 : 8) : 9);
}

static const struct role_handler handler = { .start = on_start, .epoch = on_epoch, .link = on_link, .quit = on_quit };

static pid_t
role_fork(int fd, const char *index)
{
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	static struct epoch *mine;
	static char name[] = "role", number[16];
	char *argv[] = { name, number, NULL };
	(void)snprintf(number, sizeof(number), "%s", index);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	(void)dup2(null, STDERR_FILENO);
	if (fd >= 0 && fd != ROLE_MASTER_FD)
		(void)dup2(fd, ROLE_MASTER_FD);
	else if (fd < 0)
		close(ROLE_MASTER_FD);
	role_init(&process, ROLE_RECORDER, 2, argv, &handler, &mine);
	exit(role_run(&process));
}

static int
ended(pid_t pid)
{
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- master ---- */

static struct event_base *base;
static struct link *role;
static unsigned ready;
static uint64_t taken, refused;
static char why[128];
static bool gone;

static int
hear(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	ready += m->type == MSG_READY;
	if (m->type == MSG_EPOCH_TAKEN) {
		*(m->f[1].q == 1 ? &taken : &refused) = m->f[0].q;
		(void)snprintf(why, sizeof(why), "%.*s", (int)m->f[2].s.len, (const char *)m->f[2].s.p);
	}
	(void)event_base_loopbreak(base);
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *text)
{
	(void)owner, (void)l, (void)text;
	gone = true;
	(void)event_base_loopbreak(base);
}

static pid_t
begin(void)
{
	int fd[2];
	const struct link_handler h = { hear, lost, NULL };
	ready = 0;
	taken = refused = 0;
	gone = false;
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	pid_t pid = role_fork(fd[1], "0");
	close(fd[1]);
	base = event_base_new();
	role = link_new(base, fd[0], ROLE_MASTER, ROLE_RECORDER, 0, &h);
	return pid;
}

static void
end(void)
{
	link_free(&role);
	event_base_free(base);
}

static void
say(struct message m)
{
	CU_ASSERT_EQUAL(link_send(role, &m), SP_OK);
}

static void
say_epoch(uint64_t number)
{
	static const char conf[] = "record { store /s; }";
	struct epoch e = { .arena = arena_new(0), .number = number };
	struct conf_node *top;
	const char *err = "";
	int fd = -1;
	e.settings.folder = "/etc/x";
	CU_ASSERT_EQUAL_FATAL(conf_parse(e.arena, "t", sp_str(conf), &top, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(settings_fill(e.arena, top, &e.settings, &err), SP_OK);
	e.tree = top;
	CU_ASSERT_EQUAL_FATAL(epoch_seal(&e, EPOCH_ALL, &fd), SP_OK);
	say((struct message){ .type = MSG_EPOCH, .nfds = 1, .f = { Q(number) }, .fd = { fd, -1, -1 } });
	close(fd);
	arena_free(&e.arena);
}

/* Until something comes; an answer or the end always does. */
static void
wait_for(const uint64_t *what, uint64_t value)
{
	while (!gone && *what != value)
		(void)event_base_loop(base, EVLOOP_ONCE);
	if (*what != value)
		printf("\n  %s\n", why);
	CU_ASSERT_EQUAL(*what, value);
}

static void
test_life(void)
{
	pid_t pid = begin();
	say_epoch(1);
	wait_for(&taken, 1);
	say_epoch(2);
	wait_for(&refused, 2);
	CU_ASSERT_STRING_EQUAL(why, "not this one");
	say_epoch(3);
	wait_for(&taken, 3);
	CU_ASSERT_EQUAL(ready, 1); /* once */
	say((struct message){ .type = MSG_QUIT, .f = { Q(1) } });
	CU_ASSERT_EQUAL(ended(pid), 7);
	end();
}

static void
test_master_gone(void)
{
	pid_t pid = begin();
	say_epoch(1);
	wait_for(&taken, 1);
	end();
	CU_ASSERT_EQUAL(ended(pid), 8); /* at once, not gracefully */
}

static void
test_first_refused(void)
{
	refuse_first = "no store";
	pid_t pid = begin();
	refuse_first = NULL;
	say_epoch(1);
	wait_for(&refused, 1);
	CU_ASSERT_STRING_EQUAL(why, "no store");
	CU_ASSERT_EQUAL(ready, 0);
	CU_ASSERT_EQUAL(ended(pid), 1);
	end();
}

/* Nothing has a meaning before the first epoch; a memory file that anybody could still write is no epoch. */
static void
test_out_of_order(void)
{
	int pair[2];
	pid_t pid = begin();
	CU_ASSERT_EQUAL_FATAL(link_pair(pair), SP_OK);
	say((struct message){ .type = MSG_LINK, .nfds = 1, .f = { Q(ROLE_KEEPER), Q(0) }, .fd = { pair[0], -1, -1 } });
	CU_ASSERT_EQUAL(ended(pid), 0);
	close(pair[0]);
	close(pair[1]);
	end();
	pid = begin();
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	say((struct message){ .type = MSG_EPOCH, .nfds = 1, .f = { Q(1) }, .fd = { fd, -1, -1 } });
	close(fd);
	wait_for(&refused, 1);
	CU_ASSERT_EQUAL(ended(pid), 1);
	end();
}

static void
test_not_by_hand(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fd[2];
	CU_ASSERT_EQUAL(ended(role_fork(-1, "0")), 1);
	CU_ASSERT_EQUAL(ended(role_fork(null, "0")), 1); /* fd 3 is no socket */
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	CU_ASSERT_EQUAL(ended(role_fork(fd[1], "")), 1);
	CU_ASSERT_EQUAL(ended(role_fork(fd[1], "1x")), 1);
	CU_ASSERT_EQUAL(ended(role_fork(fd[1], "4294967296")), 1);
	close(fd[0]);
	close(fd[1]);
	close(null);
}

/* ---- what they share ---- */

static volatile sig_atomic_t signals;

static void
on_signal(int number)
{
	(void)number;
	signals++;
}

static void
test_clock(void)
{
	static const struct {
		uint64_t s;
		const char *text;
	} row[] = {
		{ 0, "1970-01-01T00:00:00.123Z" }, { 951782399, "2000-02-28T23:59:59.123Z" }, { 951782400, "2000-02-29T00:00:00.123Z" },
		{ 951868800, "2000-03-01T00:00:00.123Z" }, { 1735689599, "2024-12-31T23:59:59.123Z" }, { 4107542400, "2100-03-01T00:00:00.123Z" },
		{ 253402300799, "9999-12-31T23:59:59.123Z" }, { 253402300800, "9999-12-31T23:59:59.123Z" },
	};
	char buf[32];
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_STRING_EQUAL(clock_format(row[i].s * 1000000 + 123456, buf), row[i].text);
	CU_ASSERT_EQUAL(strlen(clock_format(UINT64_MAX, buf)), 24);
	uint64_t us;
	for (size_t i = 0; i + 1 < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT(clock_parse(row[i].text, &us) && us == row[i].s * 1000000 + 123000);
	CU_ASSERT(clock_parse("2026-11-24T04:12:33Z", &us) && us == 1795493553000000u);
	CU_ASSERT(clock_parse("2026-11-24T04:12:33.1234567Z", &us) && us == 1795493553123456u);
	static const char *const bad[] = { "", "2026", "2026-11-24", "2026-11-24T04:12:33", "2026-11-24T04:12:33+01:00", "2026-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"1969-12-31T23:59:59Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00Zx", "-026-01-01T00:00:00Z", "90m" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT(!clock_parse(bad[i], &us));
	uint64_t before = clock_mono_us();
	CU_ASSERT(before > 0 && clock_mono_us() >= before && clock_wall_us() > 0);
}

/* A child that ends sends a signal to who waits for another one's answer: neither is what is waited for. */
static void
a_signal_ends_no_wait(void)
{
	struct sigaction noted = { .sa_handler = on_signal }, before;
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &noted, &before), 0);
	CU_ASSERT_EQUAL_FATAL(setitimer(ITIMER_REAL, &often, NULL), 0);
	uint64_t end = clock_mono_ms() + 40;
	CU_ASSERT_FALSE(ready_by(fd[0], POLLIN, end));
	CU_ASSERT(clock_mono_ms() >= end && signals > 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(poll(NULL, 0, 30) == 0 && write(fd[1], "x", 1) == 1 ? 0 : 1);
	CU_ASSERT(ready_by(fd[0], POLLIN, clock_mono_ms() + 60000));
	CU_ASSERT_EQUAL(setitimer(ITIMER_REAL, &never, NULL), 0);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
	CU_ASSERT_FALSE(ready_by(fd[0], POLLIN, clock_mono_ms())); /* the end has come: not even looked at */
	CU_ASSERT_EQUAL(sigaction(SIGALRM, &before, NULL), 0);
	close(fd[0]);
	close(fd[1]);
}

static void
test_secret_folders(void)
{
	static const char conf[] = "target a { protocol p; server a:1; policy p; tls off; login user=u secret=file:/s/one/a; catalogue user=c secret=file:/s/two/b; }\n"
				   "target b { protocol p; server a:1; policy p; login user=u secret=file:/s/one/c; }\n"
				   "target c { protocol p; server a:1; policy p; login user=u secret=env:NAME; }\n"
				   "target d { protocol p; server a:1; policy p; login user=u secret=file:/top; }\n";
	static const char *const expected[] = { "/etc/x", "/s/one", "/s/two", "/" };
	struct settings s = { .folder = "/etc/x" };
	struct arena *a = arena_new(0);
	struct conf_node *top;
	const char *err = "";
	char *folder[8];
	CU_ASSERT_EQUAL_FATAL(conf_parse(a, "t", sp_str(conf), &top, &err), SP_OK);
	int rc = settings_fill(a, top, &s, &err);
	if (rc != SP_OK)
		printf("\n  %s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	size_t n = settings_secret_folders(&s, folder, 8);
	CU_ASSERT_EQUAL_FATAL(n, 4);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_STRING_EQUAL(folder[i], expected[i]); /* each once; env: names none */
		free(folder[i]);
	}
	n = settings_secret_folders(&s, folder, 2);
	CU_ASSERT_EQUAL_FATAL(n, 2); /* never beyond the room */
	free(folder[0]);
	free(folder[1]);
	CU_ASSERT_EQUAL(settings_secret_folders(&s, folder, 0), 0);
	arena_free(&a);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a life", test_life }, { "master is gone", test_master_gone }, { "the first epoch is refused", test_first_refused },
		{ "out of order", test_out_of_order }, { "not by hand", test_not_by_hand }, { "clocks", test_clock }, { "a signal ends no wait", a_signal_ends_no_wait },
		{ "folders of secrets", test_secret_folders }, CU_TEST_INFO_NULL,
	};
	return cunit_main("role", tests);
}
