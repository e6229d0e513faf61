/* SPDX-License-Identifier: Apache-2.0 */
/* What master says to the keeper (keeper.c): its start, locked down; peers that are no peers, messages that are none of its own, a store that fails. */
#include <config.h>
#include "cunit_main.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "keeper_fake.h"

static struct fake f;
static struct role_process role;

static struct epoch *
conf(uint64_t number)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; local_issuer on; load_module postgres; target orders { protocol postgres;"
	    " server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba; login user=app secret=file:%s/secret; }", f.folder, f.folder);
	struct epoch *e = fake_epoch(text, number);
	e->settings.folder = f.folder;
	return e;
}

static void
begin(void)
{
	fake_folder(&f);
	fake_file(&f, "secret", "pa55word\n");
	the_fake = &f;
	f.base = event_base_new();
	role = (struct role_process){ .base = f.base, .self = ROLE_KEEPER };
	f.k = (struct keeper){ .role = &role };
}

static void
end(void)
{
	event_base_free(f.base);
	fake_clean(&f);
}

/* In a process of its own, since there is no way back: 0, or a bit for each thing that is not so. */
static int
starts_locked_down(void)
{
	char path[128];
	const char *err = NULL;
	if (keeper_handler.start(&f.k, conf(1), &err) != SP_OK)
		return 1;
	int status = 0;
	(void)snprintf(path, sizeof(path), "%s/secret", f.folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	status |= fd >= 0 ? 0 : 2; /* read again at a reload */
	status |= open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 4;
	status |= socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? 0 : 8;
	status |= socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? 0 : 16;
	status |= keeper_handler.epoch(&f.k, conf(2), &err) == SP_OK && f.k.epoch->number == 2 ? 0 : 32;
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
	end();
}

/* A secret that is not there: it says which target's, and does not start. */
static void
test_refused(void)
{
	char path[128];
	const char *err = NULL;
	begin();
	(void)snprintf(path, sizeof(path), "%s/secret", f.folder);
	(void)unlink(path);
	CU_ASSERT_NOT_EQUAL(keeper_handler.start(&f.k, conf(1), &err), SP_OK);
	CU_ASSERT(err != NULL && strstr(err, "target orders") != NULL);
	keeper_close(&f.k);
	end();
}

/* A keeper as it is after its start, but for the lock. */
static void
open_keeper(void)
{
	const char *err = NULL;
	begin();
	f.k.failed = fake_failed;
	CU_ASSERT_EQUAL_FATAL(keeper_open(&f.k, f.base, conf(1), &err), SP_OK);
}

static void
test_links(void)
{
	static const enum role strangers[] = { ROLE_NONE, ROLE_MASTER, ROLE_KEEPER, ROLE_CHECK };
	int fd[2];
	open_keeper();
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		CU_ASSERT_EQUAL(keeper_handler.link(&f.k, strangers[i], 0, fd[0]), SP_EPROTO);
		CU_ASSERT_EQUAL(fcntl(fd[0], F_GETFD), -1); /* closed */
		close(fd[1]);
	}
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	CU_ASSERT_EQUAL(keeper_handler.link(&f.k, ROLE_CONSOLE, 0, fd[0]), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(f.k.console);
	close(fd[1]);
	fake_turn(&f);
	CU_ASSERT_PTR_NULL(f.k.console); /* it left */
	keeper_close(&f.k);
	end();
}

/* Nobody has anything else to say to it: least of all master, what only a worker may. */
static void
test_messages(void)
{
	open_keeper();
	for (uint16_t type = 0; type < MESSAGES; type++) {
		struct message m = { .type = type, .fd = { -1, -1, -1 } };
		if (type != MSG_CALLER && type != MSG_WORKER_GONE)
			CU_ASSERT_EQUAL(keeper_handler.message(&f.k, NULL, &m), SP_EPROTO);
	}
	struct message gone = { .type = MSG_WORKER_GONE, .f = { Q(UINT64_MAX) } };
	CU_ASSERT_EQUAL(keeper_handler.message(&f.k, NULL, &gone), SP_OK); /* of a worker that never was */
	keeper_close(&f.k);
	end();
}

/* Peers that break the table lose their link, and only theirs. */
static void
test_peers_lie(void)
{
	static const uint8_t garbage[] = { 0, 0, 0, 8, 0xff, 0xff, 0, 0, 0, 0, 0, 0 };
	open_keeper();
	fake_links(&f);
	/* what only the recorder may say, from a worker */
	struct message have = { .type = MSG_HAVE, .f = { Q(0) } };
	struct buffer bytes = { 0 };
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	CU_ASSERT_EQUAL_FATAL(keeper_handler.link(&f.k, ROLE_WORKER, 3, fd[0]), SP_OK);
	CU_ASSERT_EQUAL(message_encode(&have, &bytes), SP_OK);
	CU_ASSERT_EQUAL(write(fd[1], buffer_bytes(&bytes).p, bytes.len), (ssize_t)bytes.len);
	fake_turn(&f);
	char c;
	CU_ASSERT_EQUAL(read(fd[1], &c, 1), 0); /* closed */
	close(fd[1]);
	buffer_free(&bytes);
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	CU_ASSERT_EQUAL_FATAL(keeper_handler.link(&f.k, ROLE_WORKER, 4, fd[0]), SP_OK);
	CU_ASSERT_EQUAL(write(fd[1], garbage, sizeof(garbage)), (ssize_t)sizeof(garbage));
	fake_turn(&f);
	CU_ASSERT_EQUAL(read(fd[1], &c, 1), 0);
	close(fd[1]);
	CU_ASSERT(!f.worker.gone && !f.other.gone && !f.recorder.gone && !f.console.gone && !f.failed);
	unsigned workers = 0;
	for (const struct worker *w = f.k.workers; w != NULL; w = w->next)
		workers++;
	CU_ASSERT_EQUAL(workers, 2);
	fake_stop(&f);
	fake_clean(&f);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a start", test_start }, { "no start", test_refused }, { "links", test_links }, { "messages", test_messages },
		{ "peers that lie", test_peers_lie }, CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("keeper process", tests);
}
