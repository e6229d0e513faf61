/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker as a process (worker.c): what master says, listeners, descriptors that run out, the two ways to quit;
 * targets that do not answer (dial.c); and calls of modules that come at the wrong time or ask for too much (api.c).
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"

static struct world v;
static struct role_process role;
static struct link *master; /* its end */
static unsigned drained;

static int
hear(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	drained += m->type == MSG_DRAINED;
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

static void
begin(void)
{
	int fd[2];
	const struct link_handler h = { hear, lost, NULL };
	world_begin(&v, WRITE, "");
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	drained = 0;
	role = (struct role_process){ .base = v.base, .self = ROLE_WORKER, .master = link_new(v.base, fd[0], ROLE_WORKER, ROLE_MASTER, 0, &h) };
	master = link_new(v.base, fd[1], ROLE_MASTER, ROLE_WORKER, 0, &h);
	v.w->role = &role;
}

static void
end(void)
{
	if (!v.w->draining)
		worker_handler.quit(v.w, true); /* closes the listeners */
	link_free(&role.master);
	link_free(&master);
	world_end(&v);
}

static void
tick(void)
{
	event_active(&v.w->tick, EV_TIMEOUT, 1);
	world_turn(&v);
}

/* ---- what master says ---- */

static void
test_messages(void)
{
	static const enum role strangers[] = { ROLE_NONE, ROLE_MASTER, ROLE_RECORDER, ROLE_WORKER, ROLE_CONSOLE, ROLE_CHECK };
	int fd[2];
	begin();
	for (uint16_t type = 0; type < MESSAGES; type++) {
		struct message m = { .type = type, .fd = { -1, -1, -1 } };
		if (type != MSG_LISTENER && type != MSG_RING && type != MSG_BOARD && type != MSG_TRY && type != MSG_RECORDER)
			CU_ASSERT_EQUAL(worker_handler.message(v.w, NULL, &m), SP_EPROTO);
	}
	struct ring *mine = v.w->ring;
	struct message again = { .type = MSG_RING, .nfds = 3, .fd = { open("/dev/null", O_RDWR | O_CLOEXEC), eventfd(0, 0), eventfd(0, 0) } };
	CU_ASSERT_EQUAL(worker_handler.message(v.w, NULL, &again), SP_EPROTO); /* one ring, for life */
	CU_ASSERT(v.w->ring == mine && again.fd[1] >= 0);
	v.w->ring = NULL;
	CU_ASSERT_NOT_EQUAL(worker_handler.message(v.w, NULL, &again), SP_OK); /* no ring at all */
	CU_ASSERT(v.w->ring == NULL && again.fd[1] >= 0 && again.fd[2] >= 0);
	v.w->ring = mine;
	for (size_t i = 0; i < 3; i++)
		close(again.fd[i]);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		CU_ASSERT_EQUAL(worker_handler.link(v.w, strangers[i], 0, fd[0]), SP_EPROTO);
		CU_ASSERT_EQUAL(fcntl(fd[0], F_GETFD), -1); /* closed */
		close(fd[1]);
	}
	CU_ASSERT_PTR_NOT_NULL(v.w->keeper); /* and ours is still there */
	end();
}

/* ---- listeners ---- */

static struct sockaddr_in at;

/* A listening socket as master hands it out; `at` is where. */
static int
hand_listener(const char *name)
{
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	struct message m = { .type = MSG_LISTENER, .nfds = 1, .f = { Z(name) }, .fd = { fd, -1, -1 } };
	CU_ASSERT_EQUAL(worker_handler.message(v.w, NULL, &m), SP_OK);
	CU_ASSERT_EQUAL(m.fd[0], -1);
	return fd;
}

static int
comes(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	world_turn(&v);
	return fd;
}

static bool
is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
	close(fd);
	return n <= 0 && !(n < 0 && errno == EAGAIN);
}

static void
test_listeners(void)
{
	begin();
	int first = hand_listener("l"), client = comes();
	CU_ASSERT_EQUAL(v.w->nsessions, 1);
	const struct sp_session *s = LIST_OF(v.w->sessions.node.next, struct sp_session, all);
	CU_ASSERT_STRING_EQUAL(s->address, "127.0.0.1");
	CU_ASSERT_EQUAL(s->state, SESSION_ACCEPTED);
	close(client);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.w->nsessions, 0);
	(void)hand_listener("l"); /* another socket under that name */
	CU_ASSERT_EQUAL(fcntl(first, F_GETFD), -1);
	client = comes();
	CU_ASSERT_EQUAL(v.w->nsessions, 1);
	close(client);
	int stray = hand_listener("of a configuration that is not here yet");
	CU_ASSERT_TRUE(is_closed(comes()));
	world_epoch(&v, WRITE, "");
	CU_ASSERT_EQUAL(fcntl(stray, F_GETFD), -1); /* nor in this one */
	end();
}

/* Nobody is let in of whom nothing could be recorded, or when there are too many. */
static void
test_not_let_in(void)
{
	begin();
	(void)hand_listener("l");
	struct ring *ring = v.w->ring;
	v.w->ring = NULL;
	CU_ASSERT_TRUE(is_closed(comes()));
	v.w->ring = ring;
	size_t others = v.w->nsessions;
	v.w->nsessions = 100000000;
	CU_ASSERT_TRUE(is_closed(comes())); /* too many already */
	v.w->nsessions = others;
	int client = comes();
	CU_ASSERT_EQUAL(v.w->nsessions, 1);
	close(client);
	world_turn(&v);
	end();
}

/* Descriptors run out: it rests, and goes on when there are some. */
static void
test_no_descriptors(void)
{
	struct rlimit before, none;
	begin();
	(void)hand_listener("l");
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), next = dup(client);
	close(next);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)next;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	CU_ASSERT_EQUAL(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.w->nsessions, 0);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.w->nsessions, 0); /* it does not spin on it */
	tick();
	world_turn(&v);
	CU_ASSERT_EQUAL(v.w->nsessions, 1);
	close(client);
	world_turn(&v);
	end();
}

/* ---- the end ---- */

static void
test_drain(void)
{
	begin();
	int listener = hand_listener("l");
	world_run(&v);
	worker_handler.quit(v.w, true);
	CU_ASSERT_EQUAL(fcntl(listener, F_GETFD), -1);
	tick();
	CU_ASSERT(v.s != NULL && v.s->state == SESSION_RUN && drained == 0);
	world_say(&v, "select 1\n"); /* it serves to its end */
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	close(v.client);
	v.client = -1;
	world_turn(&v);
	tick();
	CU_ASSERT(drained == 1 && v.closed == 1 && role.status == 0);
	end();
}

static void
test_stop(void)
{
	begin();
	world_run(&v);
	worker_handler.quit(v.w, true);
	worker_handler.quit(v.w, false); /* somebody is impatient */
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_SHUTDOWN);
	CU_ASSERT_STRING_EQUAL(v.end, "the gateway is stopping");
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "BYE the gateway is stopping");
	tick();
	CU_ASSERT_EQUAL(drained, 1);
	end();
}

/* ---- dialling ---- */

/* A port whose queue is full: it neither takes a connection nor refuses it. */
static int
deaf_port(int filler[8])
{
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 0), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	for (unsigned i = 0; i < 8; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(filler[i], (struct sockaddr *)&at, sizeof(at));
	}
	return fd;
}

static void
test_deaf_target(void)
{
	int filler[8], fd = deaf_port(filler);
	begin();
	v.port = ntohs(at.sin_port);
	world_epoch(&v, WRITE, "");
	for (unsigned way = 0; way < 2; way++) {
		unsigned closed = v.closed;
		world_connect(&v);
		world_hello(&v);
		world_admit(&v);
		CU_ASSERT_PTR_NOT_NULL_FATAL(v.s);
		CU_ASSERT_EQUAL(v.s->state, SESSION_DIALING);
		if (way == 0) {
			v.w->now = v.s->deadline - 1;
			session_tick(v.s);
			CU_ASSERT_EQUAL(v.s->state, SESSION_DIALING);
			v.w->now = v.s->deadline;
			session_tick(v.s);
		} else { /* the client has enough */
			close(v.client);
			v.client = -1;
		}
		world_turn(&v);
		CU_ASSERT_EQUAL(v.closed, closed + 1);
		if (way == 0)
			CU_ASSERT_STRING_EQUAL(v.end, "the target did not answer in time");
	}
	for (unsigned i = 0; i < 8; i++)
		close(filler[i]);
	close(fd);
	end();
}

/* Where the client's `server` is: of the epoch that it was admitted in. */
static void
dialled(const char *server)
{
	struct target *t = (struct target *)(uintptr_t)v.w->epoch->target[0].target;
	t->server = server;
	world_connect(&v);
	world_hello(&v);
	world_admit(&v);
	tick(); /* the farewell waits for what is recorded of it */
}

static void
test_no_address(void)
{
	begin();
	dialled("db.test:5432"); /* without a resolver */
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(v.end, "cannot reach target t: names cannot be resolved here; give its address");
	dialled("no port");
	CU_ASSERT_EQUAL(v.closed, 2);
	CU_ASSERT_STRING_EQUAL(v.end, "cannot reach target t: its `server` is not HOST:PORT");
	dialled("[::1]:1");
	CU_ASSERT_EQUAL(v.closed, 3);
	CU_ASSERT_EQUAL(strncmp(v.end, "cannot reach target t: ", 23), 0);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "header operation verdict end header operation verdict end header operation verdict end");
	end();
}

/* ---- calls of modules ---- */

static void
test_wrong_time(void)
{
	begin();
	world_run(&v);
	const struct sp_proof proof = { .kind = SP_PROOF_BEARER, .secret = SP_LIT("x"), .user = "eve", .target = "t", .part = "" };
	const struct sp_challenge c = { .mechanism = "md5" };
	unsigned before = world_heard_times(&v, MSG_AUTHENTICATE);
	CU_ASSERT_EQUAL(sp_authenticate(v.s, &proof), SP_EPROTO); /* a second name in the same session (PG5) */
	CU_ASSERT_STRING_EQUAL(v.s->end_text, "a proof came in state run");
	CU_ASSERT_EQUAL(sp_prove(v.s, &c), SP_EPROTO);
	CU_ASSERT_EQUAL(sp_ready(v.s), SP_EINTERNAL);
	world_turn(&v);
	CU_ASSERT(world_heard_times(&v, MSG_AUTHENTICATE) == before && world_heard(&v, MSG_PROVE) == NULL);
	CU_ASSERT_STRING_EQUAL(v.s->end_text, "a proof came in state run"); /* the first reason counts */
	end();
}

static void
test_starttls(void)
{
	begin();
	world_run(&v);
	CU_ASSERT(!sp_tls_active(v.s, SP_CLIENT) && sp_tls_mode(v.s, SP_CLIENT) == SP_TLS_OFF && sp_tls_mode(v.s, SP_TARGET) == SP_TLS_OFF);
	CU_ASSERT_EQUAL(sp_channel_binding(v.s).len, 0);
	session_enter_module(v.s);
	v.s->side[SP_TARGET].view = SP_LIT("ErrorResponse"); /* before TLS, from somebody in the middle (PG4, PG20) */
	CU_ASSERT_EQUAL(sp_starttls(v.s, SP_TARGET, false, NULL), SP_EPROTO);
	CU_ASSERT_STRING_EQUAL(v.s->end_text, "13 bytes came in clear before the TLS handshake");
	v.s->side[SP_TARGET].view = (struct sp_bytes){ NULL, 0 };
	v.s->end_text = NULL;
	CU_ASSERT_EQUAL(sp_starttls(v.s, SP_TARGET, false, NULL), SP_OK);
	CU_ASSERT_EQUAL(sp_starttls(v.s, SP_TARGET, false, NULL), SP_EPROTO);
	CU_ASSERT_STRING_EQUAL(v.s->end_text, "TLS was asked for twice");
	v.s->end_text = NULL;
	v.s->end_told = false;
	(void)session_leave_module(v.s, SP_OK); /* and now it begins, where no certificate is configured */
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(v.end, "TLS was asked for on a side that has no certificate configured");
	end();
}

static void
test_bounds(void)
{
	char name[16];
	begin();
	world_run(&v);
	CU_ASSERT_EQUAL(sp_pass(v.s, SP_CLIENT, 1), SP_EINTERNAL); /* more than there is */
	CU_ASSERT_EQUAL(sp_drop(v.s, SP_TARGET, 1), SP_EINTERNAL);
	CU_ASSERT_EQUAL(sp_want(v.s, SP_CLIENT, 11, 10), SP_ETOOBIG);
	CU_ASSERT_STRING_EQUAL(v.s->end_text, "a message of 11 bytes is longer than the 10 allowed here");
	size_t room = sizeof(v.s->fact) / sizeof(*v.s->fact), had = v.s->nfacts;
	for (size_t i = had; i < room; i++) {
		(void)snprintf(name, sizeof(name), "fact%zu", i);
		CU_ASSERT_EQUAL(sp_fact(v.s, name, SP_LIT("1")), SP_OK);
	}
	CU_ASSERT_EQUAL(sp_fact(v.s, "one-more", SP_LIT("1")), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_fact(v.s, name, SP_LIT("2")), SP_OK); /* known: changed */
	CU_ASSERT(v.s->nfacts == room && sp_bytes_is(v.s->fact[room - 1].value, "2"));
	int *one = sp_target_block(v.s, sizeof(*one), NULL);
	*one = 7;
	CU_ASSERT_PTR_EQUAL(sp_target_block(v.s, sizeof(*one), NULL), one); /* one for each target and part */
	v.s->part = "other";
	CU_ASSERT_PTR_NOT_EQUAL(sp_target_block(v.s, sizeof(*one), NULL), one);
	end();
}

/* A module that writes for a session which does not run would write into another's bytes: it ends here. */
static void
test_foreign_output(void)
{
	begin();
	world_run(&v);
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		_exit(sp_put(v.s, SP_CLIENT, SP_LIT("x")) == SP_OK);
	}
	int status = 0;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "messages and links", test_messages }, { "listeners", test_listeners }, { "not let in", test_not_let_in },
		{ "descriptors run out", test_no_descriptors }, { "drain", test_drain }, { "stop", test_stop }, { "a target that is deaf", test_deaf_target },
		{ "no address", test_no_address }, { "calls at the wrong time (PG5)", test_wrong_time }, { "TLS at the wrong time (PG4)", test_starttls },
		{ "bounds", test_bounds }, { "output for another session", test_foreign_output }, CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("worker process", tests);
}
