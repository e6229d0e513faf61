/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every role at once, for the tests of master: does what role.h asks and logs what it was given.
 *
 * What it does wrong is said by names of targets in the configuration:
 *   refuse-ROLE  does not take it        die-ROLE  dies when it comes      hang-ROLE  never answers
 *   stuck        workers stop beating    slow-check  check takes a second  wild  a worker lies to master
 */
#include <config.h>

#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/board.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/role.h"

static struct role_process self;
static struct board *board;
static unsigned slot;
static struct event beat;
static bool stuck;

static bool
told(const struct epoch *e, const char *what)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "%s-%s", what, role_name(self.self));
	return settings_target(&e->settings, name) != NULL || settings_target(&e->settings, what) != NULL;
}

static int
take(struct epoch *e, const char **err_r)
{
	if (told(e, "die"))
		(void)raise(SIGKILL);
	while (told(e, "hang"))
		(void)pause();
	if (told(e, "refuse")) {
		*err_r = "told to refuse";
		return SP_ECONF;
	}
	stuck = told(e, "stuck");
	log_info("took epoch %llu uid %d keys %s", (unsigned long long)e->number, (int)getuid(),
	    e->nfiles > 0 && e->files[0].content.len > 0 ? "yes" : "no");
	if (self.self == ROLE_WORKER && told(e, "wild"))
		(void)!write(ROLE_MASTER_FD, "\0\0\0\x08\0\x01\0\0\0\0\0\0", 12);
	epoch_free(&e);
	return SP_OK;
}

static int
start(void *owner, struct epoch *e, const char **err_r)
{
	(void)owner;
	int rc = take(e, err_r);
	return rc;
}

static int
epoch(void *owner, struct epoch *e, const char **err_r)
{
	(void)owner;
	return take(e, err_r);
}

static int
link_given(void *owner, enum role peer, unsigned index, int fd)
{
	(void)owner;
	log_info("link to %s %u", role_name(peer), index);
	(void)close(fd);
	return SP_OK;
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (!stuck)
		board_beat(board, slot, clock_mono_ms());
}

static int
message(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	const struct timeval each = { .tv_usec = 100000 };
	struct sp_bytes name = m->type == MSG_LISTENER ? m->f[0].s : m->type == MSG_CALLER ? m->f[2].s : sp_str("");
	log_info("got %s %llu %.*s fds %u", message_name(m->type), (unsigned long long)m->f[0].q, (int)name.len,
	    name.len == 0 ? "" : (const char *)name.p, m->nfds);
	if (m->type != MSG_BOARD)
		return SP_OK;
	slot = (unsigned)m->f[0].q;
	if (board_map(m->fd[0], &board) != SP_OK)
		return SP_EPROTO;
	(void)event_assign(&beat, self.base, -1, EV_PERSIST, on_beat, NULL);
	return event_add(&beat, &each) == 0 ? SP_OK : SP_EINTERNAL;
}

static void
reopen(void *owner, int audit, int access)
{
	(void)owner;
	static const char line[] = "{}\n";
	log_info("reopened %s %s", audit >= 0 ? "audit" : "-", access >= 0 ? "access" : "-");
	if (audit >= 0)
		(void)!write(audit, line, sizeof(line) - 1);
	(void)close(audit), (void)close(access);
}

static void
quit(void *owner, bool graceful)
{
	(void)owner;
	log_info("quit %s", graceful ? "gracefully" : "now");
	role_end(&self, 0);
}

/* ---- the check process ---- */

/* From the text alone: a daemon must be stoppable while its configuration is being edited. */
static int
print_pid_file(const char *path)
{
	struct arena *a = arena_new(0);
	struct conf_node *top = NULL;
	const char *err = "";
	int rc = conf_read(a, path, &top, &err);
	const struct conf_node *pid = rc == SP_OK ? conf_find(top, "pid") : NULL;
	if (rc != SP_OK)
		(void)fprintf(stderr, "sallyport-check: %s\n", err);
	if (pid != NULL && pid->nargs == 1)
		(void)puts(pid->args[0]);
	arena_free(&a);
	return pid == NULL;
}

/* Tells master what the check said; the epoch goes with it. */
static int
serve(struct epoch *e, int rc, const char *err)
{
	int fd = -1;
	if (rc == SP_OK && settings_target(&e->settings, "die-check") != NULL)
		(void)raise(SIGKILL);
	if (rc == SP_OK && settings_target(&e->settings, "slow-check") != NULL)
		(void)sleep(1);
	log_info("check uid %d secret %s", (int)getuid(), getenv("SECRET") == NULL ? "no" : "yes");
	if (rc == SP_OK)
		rc = epoch_seal(e, EPOCH_ALL, &fd);
	struct event_base *base = event_base_new();
	const struct link_handler none = { NULL, NULL, NULL };
	struct link *l = link_new(base, ROLE_MASTER_FD, ROLE_CHECK, ROLE_MASTER, 0, &none);
	const struct message m = { .type = MSG_CHECKED, .f = { Q(rc == SP_OK), Z(rc == SP_OK ? "" : err) },
		.nfds = rc == SP_OK, .fd = { fd, -1, -1 } };
	bool sent = link_send(l, &m) == SP_OK;
	if (sent)
		link_flush(l, 1000);
	link_free(&l);
	event_base_free(base);
	return !sent || rc != SP_OK;
}

static int
check(const char *option, const char *path)
{
	struct epoch *e = NULL;
	const char *err = "";
	log_init("check", STDERR_FILENO, SP_INFO);
	int rc = epoch_read(path, &e, &err);
	if (strcmp(option, "--serve") == 0) {
		rc = serve(e, rc, err);
	} else {
		(void)printf("%s uid %d %s\n", option, (int)getuid(), rc == SP_OK ? "ok" : err);
		rc = rc != SP_OK;
	}
	epoch_free(&e);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct role_handler handler = { .start = start, .epoch = epoch, .link = link_given, .message = message, .reopen = reopen, .quit = quit };
	const char *name = strrchr(argv[0], '-');
	enum role r = ROLE_NONE;
	for (unsigned i = 1; name != NULL && i < ROLES; i++) {
		if (strcmp(name + 1, role_name((enum role)i)) == 0)
			r = (enum role)i;
	}
	if (r == ROLE_CHECK)
		return argc != 3 ? 2 : strcmp(argv[1], "--pid-file") == 0 ? print_pid_file(argv[2]) : check(argv[1], argv[2]);
	role_init(&self, r, argc, argv, &handler, NULL);
	if (r == ROLE_KEEPER)
		log_info("keeper secret %s", getenv("SECRET") == NULL ? "no" : "yes");
	if (r == ROLE_WORKER)
		log_info("worker secret %s", getenv("SECRET") == NULL ? "no" : "yes");
	return role_run(&self);
}
