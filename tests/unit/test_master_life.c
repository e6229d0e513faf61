/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master's decisions (master.c): who is started when, what a death means in each phase, the watchdog, signals,
 * the order of the end.  Time is the test's; child.c, equip.c, bind.c and reload.c are faked here and have
 * their own test (test_master.c).  Children are processes that only sleep, so that deaths are real.
 */
#include <config.h>
#include "cunit_main.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/helpers.h"
#include "core/base/role.h"
#include "core/master/master.h"

static struct master m;
static uint64_t now_ms;

/* ---- time ---- */

uint64_t
clock_mono_us(void)
{
	return now_ms * 1000;
}

uint64_t
clock_wall_us(void)
{
	return 1;
}

const char *
clock_format(uint64_t wall_us, char buf[32])
{
	(void)wall_us;
	(void)snprintf(buf, 32, "-");
	return buf;
}

/* ---- helpers: how many the configuration wants ---- */

static unsigned wanted[ROLES];

unsigned
helpers_wanted(const struct settings *s, enum role role)
{
	(void)s;
	return wanted[role];
}

/* ---- the other files, faked: what they were asked, and which of it fails ---- */

static struct {
	unsigned started[ROLES];
	unsigned reloads, upgrades, closed, logs, ring_gone, checks_lost;
	char status[128];
	const char *failing; /* the function that fails */
	enum role unstartable, unequippable;
	bool lost_expected;
} did;

static const struct link_handler deaf = { NULL, NULL, NULL };

static int
outcome(const char *function)
{
	return did.failing != NULL && strcmp(did.failing, function) == 0 ? SP_EIO : SP_OK;
}

/* What a child was told: its end of the link is ours. */
static struct {
	struct link *link;
	unsigned heard[MESSAGES];
	uint64_t last; /* first field of the last one */
} far[CHILDREN];

static int
hear(void *owner, struct link *l, struct message *msg)
{
	(void)l;
	size_t i = (size_t)(uintptr_t)owner;
	far[i].heard[msg->type]++;
	far[i].last = msg->f[0].q;
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

int
child_start(struct master *at, enum role role, struct child **c_r)
{
	int fd[2];
	unsigned i = 0;
	*c_r = NULL;
	if (role == did.unstartable)
		return SP_EIO;
	while (at->child[i].role != ROLE_NONE)
		i++;
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			(void)pause();
	}
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler h = { hear, lost, (void *)(uintptr_t)i };
	link_free(&far[i].link);
	memset(&far[i], 0, sizeof(far[i]));
	far[i].link = link_new(at->base, fd[1], role, ROLE_MASTER, 0, &h);
	at->child[i] = (struct child){ .role = role, .index = role == ROLE_WORKER ? ++at->last_index : role_is_helper(role) ? helper_index(at, role) : 0, .slot = i, .pid = pid,
		.started = now_ms, .link = link_new(at->base, fd[0], ROLE_MASTER, role, 0, &deaf) };
	did.started[role]++;
	*c_r = &at->child[i];
	return SP_OK;
}

void
child_forget(struct child *c)
{
	link_free(&c->link);
	*c = (struct child){ .role = ROLE_NONE };
}

struct child *
child_of(struct master *at, enum role role)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (at->child[i].role == role && at->child[i].link != NULL)
			return &at->child[i];
	return NULL;
}

int
child_equip(struct master *at, struct child *c)
{
	c->given = c->taken = at->epoch->number;
	return c->role == did.unequippable ? SP_EIO : SP_OK;
}

int
child_give_logs(struct master *at, struct child *c)
{
	(void)at, (void)c;
	did.logs++;
	return SP_OK;
}

void
ring_mark_gone(struct master *at, unsigned index)
{
	(void)at;
	did.ring_gone = index;
}

void
ring_forget_old(struct master *at, uint64_t now)
{
	(void)at, (void)now;
}

void
bind_close(struct master *at)
{
	(void)at;
	did.closed++;
}

void
bind_control_resume(struct master *at)
{
	(void)at;
}

int
bind_control(struct master *at)
{
	(void)at;
	return outcome("bind_control");
}

int
prepare_folders(struct master *at)
{
	(void)at;
	return outcome("prepare_folders");
}

int
accounts_find(struct master *at)
{
	(void)at;
	return outcome("accounts_find");
}

int
pid_write(struct master *at)
{
	(void)at;
	return outcome("pid_write");
}

int
log_open(const char *path, int how)
{
	(void)path;
	return outcome("log_open") == SP_OK ? open("/dev/null", how | O_CLOEXEC) : -1;
}

void
upgrade_start(struct master *at)
{
	(void)at;
	did.upgrades++;
}

int
upgrade_take(struct master *at, int fd)
{
	(void)at, (void)fd;
	return SP_EIO;
}

void
reload_start(struct master *at)
{
	(void)at;
	did.reloads++;
}

void
reload_status(struct master *at, uint64_t asked, bool ok, const char *text)
{
	(void)at, (void)asked;
	(void)snprintf(did.status, sizeof(did.status), "%s %s", ok ? "ok" : "refused", text);
}

bool
reload_lost(struct master *at, const struct child *c)
{
	(void)at;
	did.checks_lost += c->role == ROLE_CHECK;
	return did.lost_expected;
}

void
reload_tick(struct master *at, uint64_t now)
{
	(void)at, (void)now;
}

/* ---- a master ---- */

/* It hears of deaths when the test says so: until then the dead can be looked at. */
static void
hears_of_deaths(bool yes)
{
	sigset_t s;
	(void)sigemptyset(&s);
	(void)sigaddset(&s, SIGCHLD);
	(void)sigprocmask(yes ? SIG_UNBLOCK : SIG_BLOCK, &s, NULL);
}

static int parent; /* who started it reads here */
static struct epoch epoch = { .number = 1, .settings = { .workers = 2, .shutdown_timeout = 20000, .log = { .path = "/log" } } };

static void
turn(void)
{
	for (unsigned i = 0; i < 5; i++)
		(void)event_base_loop(m.base, EVLOOP_NONBLOCK);
}

static void
begin(void)
{
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	parent = fd[0];
	memset(&did, 0, sizeof(did));
	now_ms = 1000000;
	m = (struct master){ .conf_path = "/conf", .control = -1, .store_lock = -1, .pid_fd = -1, .parent = fd[1], .sealed = SEALED_NONE,
		.log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .board_fd = -1, .reload = { .sealed = SEALED_NONE } };
	hears_of_deaths(false);
	CU_ASSERT_EQUAL_FATAL(master_open(&m), SP_OK);
	CU_ASSERT_EQUAL(did.reloads, 1);
	event_del(&m.tick); /* ticks are ours */
	m.epoch = &epoch;
}

static void
end(void)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		if (m.child[i].role != ROLE_NONE) {
			(void)kill(m.child[i].pid, SIGKILL);
			(void)waitpid(m.child[i].pid, NULL, 0);
			child_forget(&m.child[i]);
		}
		link_free(&far[i].link);
	}
	for (size_t i = 0; i < sizeof(m.signals) / sizeof(*m.signals); i++)
		event_free(m.signals[i]);
	board_unmap(&m.board);
	const int fds[] = { m.board_fd, m.log_fd, parent, m.parent };
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	event_base_free(m.base);
}

static void
tick(uint64_t ms)
{
	now_ms += ms;
	event_active(&m.tick, EV_TIMEOUT, 1);
	turn();
}

/* Every process says that it is up. */
static void
all_ready(void)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m.child[i].role != ROLE_NONE) {
			m.child[i].ready = true;
			master_ready(&m);
		}
}

static void
run(void)
{
	begin();
	master_ready(&m);
	all_ready();
	CU_ASSERT_EQUAL_FATAL(m.phase, MASTER_RUNNING);
}

static struct child *
nth(enum role role, unsigned n)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m.child[i].role == role && n-- == 0)
			return &m.child[i];
	return NULL;
}

static unsigned
count(enum role role)
{
	unsigned n = 0;
	while (nth(role, n) != NULL)
		n++;
	return n;
}

/* Waits for its death, without reaping; not for ever, should nobody have told it to die. */
static siginfo_t
death_of(const struct child *c)
{
	siginfo_t info = { .si_pid = 0 };
	for (unsigned i = 0; i < 20000 && info.si_pid == 0; i++)
		if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT | WNOHANG) != 0)
			break;
		else if (info.si_pid == 0)
			(void)usleep(1000);
	return info;
}

/* It is dead when this returns, and master has seen it. */
static void
died(struct child *c)
{
	CU_ASSERT_NOT_EQUAL_FATAL(death_of(c).si_pid, 0);
	hears_of_deaths(true);
	hears_of_deaths(false);
	turn();
}

static void
dies(struct child *c)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(kill(c->pid, SIGKILL), 0);
	died(c);
}

/* Somebody was told to die, and nobody else: looked at without reaping. */
static bool
is_killed(const struct child *c)
{
	siginfo_t info = death_of(c);
	return info.si_pid != 0 && info.si_status == SIGKILL;
}

static bool
lives(const struct child *c)
{
	siginfo_t info = { .si_pid = 0 };
	return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == 0;
}

static void
signalled(int number)
{
	(void)raise(number);
	turn();
}

static const char *
told(void)
{
	static char text[256];
	ssize_t n = read(parent, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* ---- tests ---- */

static void
test_start(void)
{
	begin();
	CU_ASSERT_EQUAL(did.started[ROLE_KEEPER], 0); /* not before the configuration is there */
	master_ready(&m);
	CU_ASSERT(count(ROLE_KEEPER) == 1 && count(ROLE_RECORDER) == 1 && count(ROLE_CONSOLE) == 1 && count(ROLE_WORKER) == 2);
	CU_ASSERT(m.child[0].role == ROLE_KEEPER && m.child[1].role == ROLE_RECORDER); /* who answers is up before who asks */
	for (unsigned i = 0; i < 4; i++) {
		m.child[i].ready = true;
		master_ready(&m);
		CU_ASSERT_EQUAL(m.phase, MASTER_STARTING);
	}
	CU_ASSERT_STRING_EQUAL(told(), "");
	signalled(SIGHUP); /* too early, and not forgotten */
	CU_ASSERT_EQUAL(did.reloads, 1);
	all_ready();
	CU_ASSERT(m.phase == MASTER_RUNNING && did.reloads == 2);
	CU_ASSERT_STRING_EQUAL(told(), "ok");
	CU_ASSERT_STRING_EQUAL(did.status, "ok started");
	CU_ASSERT_EQUAL(m.parent, -1);
	end();
}

/* Whatever is missing: who started it hears so, and nothing is left running. */
static void
test_no_start(void)
{
	static const char *const failing[] = { "accounts_find", "prepare_folders", "log_open", "pid_write", "bind_control" };
	for (size_t i = 0; i < sizeof(failing) / sizeof(*failing); i++) {
		begin();
		did.failing = failing[i];
		master_ready(&m);
		CU_ASSERT(m.phase == MASTER_LAST && m.status == 1 && did.started[ROLE_KEEPER] == 0);
		CU_ASSERT_STRING_EQUAL(told(), "it cannot start: the error log says why");
		tick(100);
		end();
	}
	begin();
	did.unstartable = ROLE_CONSOLE;
	master_ready(&m);
	CU_ASSERT(m.phase == MASTER_LAST && m.status == 1 && count(ROLE_WORKER) == 0);
	end();
	begin();
	master_ready(&m);
	dies(nth(ROLE_RECORDER, 0));
	CU_ASSERT(m.phase == MASTER_LAST && m.status == 1);
	CU_ASSERT_STRING_EQUAL(told(), "a process did not come up: the error log says why");
	tick(6000);
	CU_ASSERT_EQUAL(did.started[ROLE_RECORDER], 1); /* not tried again */
	end();
}

static void
test_worker_dies(void)
{
	run();
	unsigned index = nth(ROLE_WORKER, 0)->index;
	now_ms += 20000; /* it lived for long */
	dies(nth(ROLE_WORKER, 0));
	CU_ASSERT_EQUAL(did.ring_gone, index); /* what it published is kept for the recorder */
	turn();
	CU_ASSERT(far[0].heard[MSG_WORKER_GONE] == 1 && far[1].heard[MSG_WORKER_GONE] == 1 && far[0].last == index);
	tick(99);
	CU_ASSERT_EQUAL(count(ROLE_WORKER), 1);
	tick(1);
	CU_ASSERT_EQUAL(count(ROLE_WORKER), 2);
	CU_ASSERT_NOT_EQUAL(nth(ROLE_WORKER, 0)->index, index); /* a number is never used twice */
	end();
}

/* One that dies at once again and again is not started again and again at once. */
static void
test_backoff(void)
{
	run();
	uint64_t expected = 100;
	for (unsigned i = 0; i < 9; i++) {
		dies(nth(ROLE_CONSOLE, 0));
		CU_ASSERT_EQUAL(m.restart_at[ROLE_CONSOLE] - now_ms, expected);
		tick(expected);
		CU_ASSERT_EQUAL(count(ROLE_CONSOLE), 1);
		expected = expected * 2 > 5000 ? 5000 : expected * 2;
	}
	CU_ASSERT_EQUAL(expected, 5000);
	did.unstartable = ROLE_CONSOLE; /* no memory for a fork, say */
	dies(nth(ROLE_CONSOLE, 0));
	tick(5000);
	CU_ASSERT(count(ROLE_CONSOLE) == 0 && m.missing[ROLE_CONSOLE] == 1 && m.restart_at[ROLE_CONSOLE] == now_ms + 5000);
	did.unstartable = ROLE_NONE;
	tick(5000);
	CU_ASSERT(count(ROLE_CONSOLE) == 1 && m.missing[ROLE_CONSOLE] == 0);
	now_ms += 10001; /* steady: what was is forgiven */
	dies(nth(ROLE_CONSOLE, 0));
	CU_ASSERT_EQUAL(m.restart_at[ROLE_CONSOLE] - now_ms, 100);
	end();
}

/* One that lacks what it needs must not run: its death starts another. */
static void
test_not_equipped(void)
{
	run();
	did.unequippable = ROLE_WORKER;
	CU_ASSERT_EQUAL(master_start_worker(&m, true), SP_OK);
	struct child *c = nth(ROLE_WORKER, 2);
	CU_ASSERT_FATAL(c != NULL && c->fresh);
	CU_ASSERT_TRUE(is_killed(c));
	end();
}

static void
beat(void)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m.child[i].role == ROLE_WORKER)
			board_beat(m.board, i, now_ms);
}

/* P10: a worker without a sign for a second is ended; not when it was master that was not there. */
static void
test_watchdog(void)
{
	run();
	struct child *stuck = nth(ROLE_WORKER, 0), *other = nth(ROLE_WORKER, 1);
	beat();
	tick(100);
	for (unsigned i = 0; i < STUCK_TICKS - 1; i++) {
		now_ms += 1;
		board_beat(m.board, other->slot, now_ms);
		tick(99);
	}
	CU_ASSERT(lives(stuck) && stuck->missed == STUCK_TICKS - 1);
	tick(400); /* late: the machine stood still, or we did */
	CU_ASSERT(lives(stuck) && stuck->missed == 0);
	for (unsigned i = 0; i < STUCK_TICKS; i++) {
		CU_ASSERT_TRUE(lives(stuck));
		now_ms += 1;
		board_beat(m.board, other->slot, now_ms);
		tick(99);
	}
	CU_ASSERT(is_killed(stuck) && lives(other));
	end();
}

/* To take a configuration may take longer than a second, not for ever; that holds for all. */
static void
test_taking(void)
{
	run();
	struct child *worker = nth(ROLE_WORKER, 0), *keeper = nth(ROLE_KEEPER, 0), *recorder = nth(ROLE_RECORDER, 0);
	worker->given = keeper->given = 2;
	worker->given_at = keeper->given_at = now_ms;
	for (unsigned i = 0; i < 300; i++)
		tick(100);
	CU_ASSERT(lives(worker) && lives(keeper));
	tick(100);
	CU_ASSERT(is_killed(worker) && is_killed(keeper) && lives(recorder));
	end();
}

/* The check process' answer may be read after its death was seen. */
static void
test_check_dies(void)
{
	struct child *c;
	run();
	CU_ASSERT_EQUAL_FATAL(child_start(&m, ROLE_CHECK, &c), SP_OK);
	dies(c);
	CU_ASSERT(c->role == ROLE_CHECK && c->dead && did.checks_lost == 0);
	tick(100);
	CU_ASSERT_EQUAL(c->role, ROLE_CHECK);
	child_forget(c);
	CU_ASSERT_EQUAL_FATAL(child_start(&m, ROLE_CHECK, &c), SP_OK);
	link_free(&c->link); /* read to its end before */
	dies(c);
	CU_ASSERT_EQUAL(c->role, ROLE_NONE);
	CU_ASSERT_EQUAL(m.missing[ROLE_CHECK], 0);
	end();
}

/* A death that the reload waits for is the reload's. */
static void
test_expected(void)
{
	run();
	did.lost_expected = true;
	dies(nth(ROLE_KEEPER, 0));
	CU_ASSERT_EQUAL(m.missing[ROLE_KEEPER], 0);
	did.lost_expected = false;
	nth(ROLE_WORKER, 0)->draining = true;
	dies(nth(ROLE_WORKER, 0));
	CU_ASSERT_EQUAL(m.missing[ROLE_WORKER], 0);
	end();
}

static void
test_signals(void)
{
	run();
	signalled(SIGHUP);
	CU_ASSERT_EQUAL(did.reloads, 2);
	did.logs = 0;
	signalled(SIGUSR1);
	CU_ASSERT_EQUAL(did.logs, 5);
	int before = m.log_fd;
	did.failing = "log_open";
	signalled(SIGUSR1);
	CU_ASSERT(did.logs == 5 && m.log_fd == before); /* it goes on in the old one */
	signalled(SIGUSR2);
	CU_ASSERT_EQUAL(did.upgrades, 1);
	signalled(SIGQUIT);
	CU_ASSERT_EQUAL(m.phase, MASTER_DRAINING);
	signalled(SIGHUP);
	CU_ASSERT_STRING_EQUAL(did.status, "refused sallyportd is ending");
	CU_ASSERT_EQUAL(did.reloads, 2);
	master_enter(&m, MASTER_RUNNING);
	CU_ASSERT_EQUAL(m.phase, MASTER_DRAINING); /* there is no way back */
	end();
	begin();
	master_ready(&m);
	signalled(SIGTERM); /* while it starts */
	CU_ASSERT_EQUAL(m.phase, MASTER_LAST);
	end();
}

/* Workers first; then the recorder; the keeper, which signs, last. */
static void
test_end(void)
{
	run();
	signalled(SIGQUIT);
	turn();
	CU_ASSERT(m.phase == MASTER_DRAINING && did.closed == 1);
	CU_ASSERT(far[3].heard[MSG_QUIT] == 1 && far[4].heard[MSG_QUIT] == 1 && far[3].last == 1); /* gracefully */
	CU_ASSERT(far[0].heard[MSG_QUIT] == 0 && far[1].heard[MSG_QUIT] == 0);
	dies(nth(ROLE_WORKER, 0));
	CU_ASSERT_EQUAL(m.missing[ROLE_WORKER], 0); /* nobody new comes */
	dies(nth(ROLE_RECORDER, 0));
	tick(100);
	CU_ASSERT_EQUAL(count(ROLE_RECORDER), 1); /* sessions go on, and are recorded */
	tick(19800);
	CU_ASSERT_EQUAL(m.phase, MASTER_DRAINING);
	tick(200);
	CU_ASSERT_EQUAL(m.phase, MASTER_STOPPING); /* shutdown_timeout */
	turn();
	unsigned slot = nth(ROLE_WORKER, 0)->slot;
	CU_ASSERT(far[slot].heard[MSG_QUIT] == 2 && far[slot].last == 0);
	tick(STOP_MS + 1);
	CU_ASSERT_TRUE(is_killed(nth(ROLE_WORKER, 0)));
	died(nth(ROLE_WORKER, 0));
	tick(100);
	CU_ASSERT_EQUAL(m.phase, MASTER_LAST);
	turn();
	unsigned recorder = nth(ROLE_RECORDER, 0)->slot;
	CU_ASSERT(far[recorder].heard[MSG_QUIT] == 1 && far[0].heard[MSG_QUIT] == 0);
	tick(100);
	CU_ASSERT_EQUAL(far[0].heard[MSG_QUIT], 0); /* the recorder is still there */
	dies(nth(ROLE_RECORDER, 0));
	tick(100);
	turn();
	CU_ASSERT_EQUAL(far[0].heard[MSG_QUIT], 1);
	dies(nth(ROLE_CONSOLE, 0));
	CU_ASSERT_FALSE(event_base_got_break(m.base));
	tick(STOP_MS + 1); /* the keeper does not go */
	CU_ASSERT_TRUE(is_killed(nth(ROLE_KEEPER, 0)));
	died(nth(ROLE_KEEPER, 0));
	now_ms += 100;
	event_active(&m.tick, EV_TIMEOUT, 1);
	(void)event_base_loop(m.base, EVLOOP_NONBLOCK);
	CU_ASSERT(event_base_got_break(m.base) && m.status == 0);
	end();
}

/* As many as the configuration wants, each with its index; what is wanted no more is told to go, once. */
static void
test_helpers(void)
{
	memset(wanted, 0, sizeof(wanted));
	wanted[ROLE_FETCH] = 1;
	wanted[ROLE_LEND] = 2;
	run();
	CU_ASSERT(count(ROLE_FETCH) == 1 && count(ROLE_LEND) == 2 && count(ROLE_SAML) == 0);
	CU_ASSERT(helper_of(&m, ROLE_LEND, 0) != NULL && helper_of(&m, ROLE_LEND, 1) != NULL && helper_of(&m, ROLE_LEND, 2) == NULL);
	unsigned first = helper_of(&m, ROLE_LEND, 0)->slot;
	dies(helper_of(&m, ROLE_LEND, 0));
	tick(99);
	CU_ASSERT_EQUAL(count(ROLE_LEND), 1);
	tick(1);
	CU_ASSERT(count(ROLE_LEND) == 2 && helper_of(&m, ROLE_LEND, 0) != NULL);
	wanted[ROLE_LEND] = 1;
	unsigned second = helper_of(&m, ROLE_LEND, 1)->slot;
	helpers_end(&m);
	helpers_end(&m);
	turn();
	CU_ASSERT(far[second].heard[MSG_QUIT] == 1 && far[second].last == 1 && far[first].heard[MSG_QUIT] == 0);
	CU_ASSERT(count(ROLE_LEND) == 2 && helper_of(&m, ROLE_LEND, 1) == NULL);
	dies(&m.child[second]);
	tick(5000);
	CU_ASSERT_EQUAL(count(ROLE_LEND), 1);
	wanted[ROLE_SAML] = 1; /* a reload */
	did.unstartable = ROLE_SAML;
	tick(1);
	CU_ASSERT_EQUAL(m.restart_at[ROLE_SAML], now_ms + BACKOFF_LAST);
	did.unstartable = ROLE_NONE;
	tick(BACKOFF_LAST);
	CU_ASSERT_EQUAL(count(ROLE_SAML), 1);
	memset(wanted, 0, sizeof(wanted));
	end();
}

/* A lender gives back what it lent: it goes last, when the keeper can't ask for anything more. */
static void
test_lenders_last(void)
{
	memset(wanted, 0, sizeof(wanted));
	wanted[ROLE_LEND] = wanted[ROLE_FETCH] = 1;
	run();
	unsigned lend = helper_of(&m, ROLE_LEND, 0)->slot, fetch = helper_of(&m, ROLE_FETCH, 0)->slot;
	master_enter(&m, MASTER_LAST);
	turn();
	CU_ASSERT(far[fetch].heard[MSG_QUIT] == 1 && far[lend].heard[MSG_QUIT] == 0);
	dies(nth(ROLE_RECORDER, 0));
	tick(100);
	turn();
	CU_ASSERT_EQUAL(far[lend].heard[MSG_QUIT], 0);
	dies(nth(ROLE_KEEPER, 0));
	tick(100);
	tick(100);
	turn();
	CU_ASSERT(far[lend].heard[MSG_QUIT] == 1 && far[lend].last == 1);
	memset(wanted, 0, sizeof(wanted));
	end();
}

static void
test_wanted(void)
{
	struct settings s = { .workers = 0 };
	CU_ASSERT(master_workers_wanted(&s) >= 1);
	s.workers = 3;
	CU_ASSERT_EQUAL(master_workers_wanted(&s), 3);
	s.workers = UINT64_MAX;
	CU_ASSERT_EQUAL(master_workers_wanted(&s), CHILDREN / 4); /* two generations, and the others, must fit */
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a start", test_start }, { "no start", test_no_start }, { "a worker dies", test_worker_dies }, { "dying again and again", test_backoff },
		{ "not equipped", test_not_equipped }, { "the watchdog (P10)", test_watchdog }, { "taking a configuration", test_taking },
		{ "the check process dies", test_check_dies }, { "deaths that were expected", test_expected }, { "signals", test_signals },
		{ "the end", test_end }, { "how many workers", test_wanted }, { "helpers", test_helpers }, { "lenders go last", test_lenders_last }, CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("master life", tests);
}
