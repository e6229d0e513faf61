/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyportd -t --connect: a check, then a keeper and a worker of their own, as they run in earnest,
 * beside a gateway that may be running.  Nothing is bound, nothing written: this keeper's keys and
 * store are in memory only.
 *
 *   check ─epoch─▶ keeper ─ready─▶ worker ─ready─▶ TRY ─▶ FOUND… ─▶ DRAINED
 */
#include <config.h>

#include "master.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/role.h"

#define TRIAL_S 120

static void
problem(struct master *m, const char *text)
{
	fprintf(stderr, "sallyportd: %s\n", text);
	m->trial_problems++;
}

static void
give_up(struct master *m, const char *text)
{
	problem(m, text);
	(void)event_base_loopbreak(m->base);
}

static void
start_one(struct master *m, enum role role)
{
	struct child *c;
	if (child_start(m, role, &c) != SP_OK || (role != ROLE_CHECK && child_equip(m, c) != SP_OK))
		give_up(m, "a process could not be started");
}

static void
checked(struct master *m, struct message *msg)
{
	const char *err = "the configuration was refused";
	char text[1024];
	if (msg->f[0].q != 1 || msg->nfds != 1) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)(msg->f[1].s.len < 1000 ? msg->f[1].s.len : 1000), (const char *)msg->f[1].s.p);
		give_up(m, text);
		return;
	}
	if (epoch_open(msg->fd[0], ++m->epochs, &m->epoch, &err) != SP_OK || epoch_seal(m->epoch, EPOCH_WORKERS, &m->sealed.workers) != SP_OK ||
	    epoch_seal(m->epoch, 0, &m->sealed.others) != SP_OK || accounts_find(m) != SP_OK)
		give_up(m, err);
	else
		start_one(m, ROLE_KEEPER);
}

static int
ready(struct master *m, struct child *c)
{
	const struct message try = { .type = MSG_TRY };
	if (c->role == ROLE_WORKER)
		return link_send(c->link, &try);
	start_one(m, ROLE_WORKER);
	return SP_OK;
}

static void
found(struct master *m, const struct message *msg)
{
	char text[1024];
	(void)snprintf(text, sizeof(text), "target %s, %s", log_quote(msg->f[1].s), "");
	size_t n = strlen(text);
	(void)snprintf(text + n, sizeof(text) - n, "%.*s", (int)(msg->f[2].s.len < 600 ? msg->f[2].s.len : 600), (const char *)msg->f[2].s.p);
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	fprintf(stderr, "%s%s\n", msg->f[0].q != 0 ? "" : "warning: ", text);
	m->trial_problems += msg->f[0].q != 0;
}

int
trial_message(struct master *m, struct child *c, struct message *msg)
{
	switch (msg->type) {
	case MSG_CHECKED:
		checked(m, msg);
		return SP_OK;
	case MSG_EPOCH_TAKEN:
		if (msg->f[1].q != 1)
			give_up(m, log_quote(msg->f[2].s));
		return SP_OK;
	case MSG_READY:
		return ready(m, c);
	case MSG_FOUND:
		found(m, msg);
		return SP_OK;
	case MSG_DRAINED:
		m->trial_over = true;
		return event_base_loopbreak(m->base) == 0 ? SP_OK : SP_EIO;
	default:
		return SP_EPROTO;
	}
}

void
trial_gone(struct master *m, struct child *c)
{
	if (c->role != ROLE_CHECK && m->trial_problems == 0)
		give_up(m, "a process ended before it had answered");
}

/* Who is heard no more: that the others end, too, is no news for who reads this. */
static bool
hush_child(const struct child *c, int nowhere)
{
	struct message quiet = { .type = MSG_REOPEN, .nfds = 1, .fd = { nowhere, -1, -1 } };
	return c->link != NULL && nowhere >= 0 && link_send(c->link, &quiet) == SP_OK;
}

static bool
end_child(const struct child *c)
{
	return link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(0) } }) == SP_OK;
}

static void
end_children(struct master *m)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bool over[CHILDREN] = { false };
	for (unsigned i = 0; i < CHILDREN; i++)
		over[i] = m->trial_over && m->child[i].role != ROLE_NONE && hush_child(&m->child[i], nowhere);
	for (unsigned i = 0; i < CHILDREN; i++) /* all have been told to be quiet: what comes first is read first */
		over[i] = over[i] && end_child(&m->child[i]);
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE)
			continue;
		pid_t pid = c->pid;
		child_forget(c);
		if (!over[i])
			(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	if (nowhere >= 0)
		(void)close(nowhere);
}

/* ROLE_CHECK has printed what it found before; its warnings are not repeated. */
int
trial_run(struct master *m)
{
	const struct timeval limit = { TRIAL_S, 0 };
	log_init("trial", STDERR_FILENO, SP_ERROR);
	role_no_dumps();
	(void)signal(SIGPIPE, SIG_IGN);
	m->log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	m->base = event_base_new();
	m->trial = true;
	if (m->log_fd < 0 || m->base == NULL || account_before_all(m) != SP_OK || board_create(&m->board_fd) != SP_OK ||
	    board_map(m->board_fd, &m->board) != SP_OK || event_base_loopexit(m->base, &limit) != 0)
		return 1;
	start_one(m, ROLE_CHECK);
	(void)event_base_dispatch(m->base);
	if (!m->trial_over && m->trial_problems == 0)
		problem(m, "not all targets were heard in two minutes");
	end_children(m);
	if (m->trial_problems == 0)
		printf("%s: all targets answered\n", m->conf_path);
	else
		fprintf(stderr, "%s: test failed: %u problems\n", m->conf_path, m->trial_problems);
	return m->trial_problems == 0 ? 0 : 1;
}
