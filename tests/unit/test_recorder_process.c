/* SPDX-License-Identifier: Apache-2.0 */
/* What master and the keeper say to the recorder (process.c): its start, locked down; links, rings, doorbells, lies, and the last signatures. */
#include <config.h>
#include "cunit_main.h"

#include <sys/socket.h>

#include "core/recorder/process.h"
#include "recorder_world.h"

static struct recorder_process p;
static struct world *w;
static char store[96];

/* The keeper's end. */
static struct link *keeper;
static unsigned heard[MESSAGES];
static bool keeper_gone;
static char fetched[128];

static int
hear(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	heard[m->type]++;
	if (m->type == MSG_FETCHED)
		(void)snprintf(fetched, sizeof(fetched), "%llu %u %.*s", (unsigned long long)m->f[1].q, m->nfds, (int)m->f[2].s.len,
		    m->f[2].s.len == 0 ? "" : (const char *)m->f[2].s.p);
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
	keeper_gone = true;
}

static struct epoch *
epoch_of(const char *more)
{
	char text[512];
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *err = "";
	(void)snprintf(text, sizeof(text), "record { store %s; %s }", store, more);
	*e = (struct epoch){ .arena = arena_new(0), .number = 1 };
	e->settings.folder = w->dir;
	int rc = conf_parse(e->arena, "t", sp_str(arena_string(e->arena, sp_str(text))), &top, &err);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, top, &e->settings, &err);
	if (rc != SP_OK)
		printf("\n  %s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	return e;
}

static void
begin(void)
{
	w = world_new();
	(void)snprintf(store, sizeof(store), "%s/sessions", w->dir);
	CU_ASSERT_EQUAL_FATAL(mkdir(store, 0700), 0);
	memset(&p, 0, sizeof(p));
	memset(heard, 0, sizeof(heard));
	keeper = NULL;
	keeper_gone = false;
	p.role = (struct role_process){ .base = event_base_new(), .self = ROLE_RECORDER };
}

/* The same as a start, but for the lock: that is a way of no return. */
static void
open_recorder(void)
{
	const char *err = "";
	begin();
	struct epoch *e = epoch_of("sync group;");
	CU_ASSERT_EQUAL_FATAL(recorder_process_open(&p, &e->settings, &err), SP_OK);
	epoch_free(&e);
	recorder_handler.reopen(&p, open(w->audit, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
	    open(w->access, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
}

static void
end(void)
{
	link_free(&p.keeper);
	link_free(&keeper);
	recorder_close(&p.recorder);
	if (p.tick != NULL)
		event_free(p.tick);
	event_base_free(p.role.base);
	world_free(&w);
}

static void
turn(void)
{
	for (unsigned i = 0; i < 20; i++)
		(void)event_base_loop(p.role.base, EVLOOP_NONBLOCK);
}

static int
keeper_comes(void)
{
	int fd[2];
	const struct link_handler h = { hear, lost, NULL };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	CU_ASSERT_EQUAL_FATAL(recorder_handler.link(&p, ROLE_KEEPER, 0, fd[0]), SP_OK);
	link_free(&keeper);
	int raw = dup(fd[1]);
	keeper = link_new(p.role.base, fd[1], ROLE_KEEPER, ROLE_RECORDER, 0, &h);
	return raw;
}

static int
starts_locked_down(void)
{
	char inside[128];
	const char *err = NULL;
	if (recorder_handler.start(&p, epoch_of("sync group;"), &err) != SP_OK)
		return 1;
	(void)snprintf(inside, sizeof(inside), "%s/new", store);
	int status = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : 2;
	status |= open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 4;
	status |= socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? 0 : 8;
	return status;
}

static void
test_start(void)
{
	begin();
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(starts_locked_down());
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (status != 0)
		printf("\n  status %x\n", status);
	const char *err = NULL;
	(void)snprintf(store, sizeof(store), "%s/none/at/all", w->dir);
	CU_ASSERT_NOT_EQUAL(recorder_handler.start(&p, epoch_of(""), &err), SP_OK); /* and says why */
	CU_ASSERT(err != NULL && strstr(err, "/none/at/all") != NULL);
	end();
}

static void
test_epochs(void)
{
	const char *err = NULL;
	open_recorder();
	CU_ASSERT_EQUAL(recorder_handler.epoch(&p, epoch_of("sync always;"), &err), SP_OK);
	CU_ASSERT_EQUAL(p.recorder.options.sync, SYNC_ALWAYS);
	struct epoch *bad = epoch_of("sync write;");
	bad->settings.record.encrypt = (char[]){ "0000000000000000000000000000000000000000000000000000000000000000" };
	CU_ASSERT_EQUAL(recorder_handler.epoch(&p, bad, &err), SP_ECONF);
	CU_ASSERT(err != NULL && p.recorder.options.sync == SYNC_ALWAYS); /* what was stays */
	epoch_free(&bad);
	end();
}

static void
test_links(void)
{
	static const enum role strangers[] = { ROLE_NONE, ROLE_MASTER, ROLE_RECORDER, ROLE_WORKER, ROLE_CONSOLE, ROLE_CHECK };
	int fd[2];
	open_recorder();
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		CU_ASSERT_EQUAL(recorder_handler.link(&p, strangers[i], 0, fd[0]), SP_EPROTO);
		CU_ASSERT_EQUAL(fcntl(fd[0], F_GETFD), -1); /* closed */
		close(fd[1]);
	}
	for (uint16_t type = 0; type < MESSAGES; type++) {
		struct message m = { .type = type, .fd = { -1, -1, -1 } };
		if (type != MSG_WORKER_GONE && type != MSG_RING)
			CU_ASSERT_EQUAL(recorder_handler.message(&p, NULL, &m), SP_EPROTO);
	}
	end();
}

/* A ring that is none hurts its worker alone; one that is good is emptied when its bell rings. */
static void
test_rings(void)
{
	uint8_t id[ID_LEN];
	open_recorder();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), bell = eventfd(0, EFD_CLOEXEC), wake = eventfd(0, EFD_CLOEXEC);
	struct message m = { .type = MSG_RING, .nfds = 3, .f = { Q(7) }, .fd = { null, dup(bell), dup(wake) } };
	CU_ASSERT_EQUAL(recorder_handler.message(&p, NULL, &m), SP_OK);
	CU_ASSERT(p.recorder.sources == NULL && m.fd[1] >= 0 && m.fd[2] >= 0); /* the link closes them */
	m.fd[0] = w->memory[0];
	CU_ASSERT_EQUAL(recorder_handler.message(&p, NULL, &m), SP_OK);
	CU_ASSERT(p.recorder.sources != NULL && m.fd[1] == -1 && m.fd[2] == -1); /* taken */
	CU_ASSERT_NOT_EQUAL(fcntl(bell, F_GETFL) & O_NONBLOCK, 0);
	say_header(w, id);
	event_del(p.tick);
	uint64_t one = 1;
	CU_ASSERT_EQUAL(write(bell, &one, sizeof(one)), sizeof(one));
	turn();
	CU_ASSERT_TRUE(event_pending(p.tick, EV_TIMEOUT, NULL)); /* it will look */
	event_active(p.tick, EV_TIMEOUT, 1);
	turn();
	CU_ASSERT_EQUAL(p.recorder.nsessions, 1);
	m = (struct message){ .type = MSG_WORKER_GONE, .f = { Q(7) }, .fd = { -1, -1, -1 } };
	CU_ASSERT_EQUAL(recorder_handler.message(&p, NULL, &m), SP_OK);
	for (unsigned i = 0; i < 8; i++) {
		p.recorder.swept = 0; /* long ago */
		event_active(p.tick, EV_TIMEOUT, 1);
		turn();
	}
	CU_ASSERT_PTR_NULL(p.recorder.sources); /* empty, and its worker dead */
	close(null);
	close(bell);
	close(wake);
	end();
}

/* P1: lines of the keeper's bring the tick nearer, and never put it off: workers wait for it. */
static void
test_lines_wait(void)
{
	const struct timeval minute = { 60, 0 };
	const struct message line = { .type = MSG_AUDIT, .f = { Z("{\"event\":\"x\"}") } };
	struct timeval before, after;
	open_recorder();
	int raw = keeper_comes();
	for (unsigned i = 0; i < 2; i++) {
		event_add(p.tick, &minute);
		CU_ASSERT_TRUE(event_pending(p.tick, EV_TIMEOUT, &before));
		p.due = clock_mono_us() + (i == 0 ? 1 : 60000000);
		CU_ASSERT_EQUAL(link_send(keeper, &line), SP_OK);
		turn();
		CU_ASSERT_TRUE(event_pending(p.tick, EV_TIMEOUT, &after));
		CU_ASSERT(i == 0 ? !timercmp(&after, &before, !=) : timercmp(&after, &before, <));
	}
	close(raw);
	end();
}

static void
test_keeper(void)
{
	uint8_t key[32];
	open_recorder();
	int raw = keeper_comes();
	memcpy(key, w->public, sizeof(key));
	const struct message keys = { .type = MSG_KEYS, .f = { S(((struct sp_bytes){ key, sizeof(key) })), Z("") } },
		refused = { .type = MSG_SIGNED, .f = { Z(""), Z("") } }, fetch = { .type = MSG_FETCH, .id = 3, .f = { Z("no such session!") } },
		line = { .type = MSG_AUDIT, .f = { Z("{\"event\":\"x\"}") } };
	CU_ASSERT_EQUAL(link_send(keeper, &keys), SP_OK);
	turn();
	CU_ASSERT(p.recorder.ledger.have_key && heard[MSG_HAVE] == 1);
	CU_ASSERT(link_send(keeper, &refused) == SP_OK && link_send(keeper, &fetch) == SP_OK && link_send(keeper, &line) == SP_OK);
	turn();
	CU_ASSERT_EQUAL(heard[MSG_FETCHED], 1);
	CU_ASSERT_EQUAL(strncmp(fetched, "0 0 ", 4), 0);
	CU_ASSERT(strlen(fetched) > 4); /* and why */
	CU_ASSERT_FALSE(keeper_gone);
	event_active(p.tick, EV_TIMEOUT, 1);
	turn();
	struct stat st;
	CU_ASSERT(stat(w->audit, &st) == 0 && st.st_size == 14);
	close(raw);
	end();
}

/* What no keeper says ends its link, and nothing is signed until another one comes. */
static void
test_keeper_lies(void)
{
	static const uint8_t garbage[] = { 0, 0, 0, 8, 0xff, 0xff, 0, 0, 0, 0, 0, 0 };
	const struct message lies[] = {
		{ .type = MSG_KEYS, .f = { Z("short"), Z("") } }, { .type = MSG_SIGNED, .f = { Z("an entry"), Z("a signature") } },
		{ .type = MSG_AUDIT, .f = { Z("{\n}") } },
	};
	open_recorder();
	for (size_t i = 0; i <= sizeof(lies) / sizeof(*lies); i++) {
		keeper_gone = false;
		int raw = keeper_comes();
		bool said = i < sizeof(lies) / sizeof(*lies) ? link_send(keeper, &lies[i]) == SP_OK :
			write(raw, garbage, sizeof(garbage)) == (ssize_t)sizeof(garbage);
		CU_ASSERT_TRUE(said);
		close(raw);
		turn();
		CU_ASSERT_TRUE(keeper_gone);
		CU_ASSERT_PTR_NULL(p.keeper);
		CU_ASSERT_PTR_NULL(p.recorder.send);
	}
	end();
}

static void
test_quit(void)
{
	open_recorder();
	recorder_handler.quit(&p, false);
	CU_ASSERT_TRUE(event_base_got_break(p.role.base)); /* nobody would sign */
	end();
	open_recorder();
	int raw = keeper_comes();
	recorder_handler.quit(&p, false);
	CU_ASSERT_FALSE(event_base_got_break(p.role.base)); /* a moment for the last signatures */
	link_free(&keeper);
	close(raw);
	for (unsigned i = 0; i < 100 && !event_base_got_break(p.role.base); i++)
		(void)event_base_loop(p.role.base, EVLOOP_ONCE);
	CU_ASSERT(event_base_got_break(p.role.base) && p.role.status == 0);
	end();
	open_recorder();
	raw = keeper_comes();
	recorder_handler.quit(&p, true);
	CU_ASSERT_TRUE(event_base_got_break(p.role.base)); /* the next one asks for what is not signed */
	link_free(&keeper);
	close(raw);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a start", test_start }, { "epochs", test_epochs }, { "links and messages", test_links }, { "rings", test_rings },
		{ "lines and the tick", test_lines_wait }, { "the keeper", test_keeper }, { "a keeper that lies", test_keeper_lies }, { "quit", test_quit }, CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("recorder process", tests);
}
