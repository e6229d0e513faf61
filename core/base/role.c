/* SPDX-License-Identifier: Apache-2.0 */
/* What every process that master starts does alike: see role.h for the conversation. */
#include <config.h>

#include "role.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "log.h"

#define LAST_WORDS_MS 1000

void
role_no_dumps(void)
{
	const struct rlimit none = { 0, 0 };
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		log_warn("core dumps could not be switched off");
}

static void
ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
}

/* jansson would open /dev/urandom at its first object, behind the sandbox, and make do with the time. */
static void
seed_tables(void)
{
	size_t seed = 0;
	random_bytes(&seed, sizeof(seed));
	json_object_seed(seed | 1);
}

void
role_end(struct role_process *p, int status)
{
	p->status = status;
	(void)event_base_loopbreak(p->base);
}

static void
role_quit(struct role_process *p, bool graceful)
{
	/* A second, impatient request may follow a graceful one; nothing else comes twice. */
	if (p->quitting && graceful)
		return;
	p->quitting = true;
	if (p->started && p->handler->quit != NULL)
		p->handler->quit(p->owner, graceful);
	else
		role_end(p, 0);
}

/* ---- what master says ---- */

static int
tell_taken(struct role_process *p, uint64_t number, bool ok, const char *text)
{
	const struct message m = { .type = MSG_EPOCH_TAKEN, .f = { Q(number), Q(ok), Z(text) } };
	return link_send(p->master, &m);
}

static int
on_epoch(struct role_process *p, const struct message *m)
{
	struct epoch *e = NULL;
	const char *why = NULL;
	bool first = !p->started;
	uint64_t number = m->f[0].q;
	int rc = epoch_open(m->fd[0], number, &e, &why);
	if (rc == SP_OK) {
		log_level((enum sp_level)e->settings.log.level);
		rc = first ? p->handler->start(p->owner, e, &why) : p->handler->epoch(p->owner, e, &why);
		if (rc != SP_OK && !first)
			epoch_free(&e);
	}
	if (rc != SP_OK && p->quitting)
		log_info("epoch %llu is not taken here, where the last sessions end under the former one: %s", (unsigned long long)number,
		    why == NULL ? "?" : why);
	else if (rc != SP_OK)
		log_error("epoch %llu was not taken: %s", (unsigned long long)number, why == NULL ? "?" : why);
	int sent = tell_taken(p, number, rc == SP_OK, why == NULL ? "" : why);
	if (rc != SP_OK && first)
		role_end(p, 1);
	if (rc != SP_OK || sent != SP_OK || !first)
		return sent;
	p->started = true;
	return link_send(p->master, &(struct message){ .type = MSG_READY });
}

static int
take_fd(struct message *m, unsigned i)
{
	int fd = i < m->nfds ? m->fd[i] : -1;
	if (fd >= 0)
		m->fd[i] = -1;
	return fd;
}

static int
on_reopen(struct role_process *p, struct message *m)
{
	log_reopen(take_fd(m, 0));
	if (p->started && p->handler->reopen != NULL) {
		int audit = take_fd(m, 1);
		p->handler->reopen(p->owner, audit, take_fd(m, 2));
	}
	return SP_OK;
}

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct role_process *p = owner;
	if (!p->started && m->type != MSG_EPOCH && m->type != MSG_QUIT && m->type != MSG_REOPEN)
		return SP_EPROTO; /* nothing has a meaning before the first epoch */
	switch (m->type) {
	case MSG_EPOCH:
		return on_epoch(p, m);
	case MSG_LINK:
		if (m->f[0].q >= ROLES || m->f[1].q > UINT32_MAX)
			return SP_EPROTO;
		return p->handler->link(p->owner, (enum role)m->f[0].q, (unsigned)m->f[1].q, take_fd(m, 0));
	case MSG_REOPEN:
		return on_reopen(p, m);
	case MSG_QUIT:
		role_quit(p, m->f[0].q == 1);
		return SP_OK;
	default:
		return p->handler->message == NULL ? SP_EPROTO : p->handler->message(p->owner, l, m);
	}
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	struct role_process *p = owner;
	(void)l;
	log_warn("master: %s", why);
	role_quit(p, false);
}

/* ---- start and end ---- */

static struct event_base *
loop_new(void)
{
	struct event_config *c = event_config_new();
	if (c == NULL)
		return NULL;
	(void)event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	struct event_base *base = event_base_new_with_config(c);
	event_config_free(c);
	return base;
}

static bool
started_by_master(int argc, char **argv, unsigned *index_r)
{
	struct stat st;
	char *end = NULL;
	*index_r = 0;
	if (argc != 2 || fstat(ROLE_MASTER_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	unsigned long index = strtoul(argv[1], &end, 10);
	*index_r = (unsigned)index;
	return end != argv[1] && *end == '\0' && index <= INT32_MAX;
}

void
role_init(struct role_process *p, enum role self, int argc, char **argv, const struct role_handler *h, void *owner)
{
	*p = (struct role_process){ .self = self, .handler = h, .owner = owner };
	if (!started_by_master(argc, argv, &p->index)) {
		(void)fprintf(stderr, "%s is a part of sallyportd, which starts it\n", argc > 0 ? argv[0] : "this");
		exit(1);
	}
	log_init(role_name(self), STDERR_FILENO, SP_INFO);
	role_no_dumps();
	ignore_signals();
	seed_tables();
	if (self == ROLE_WORKER || self == ROLE_CONSOLE || role_is_helper(self))
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)fcntl(ROLE_MASTER_FD, F_SETFD, FD_CLOEXEC);
	p->base = loop_new();
	if (p->base == NULL) {
		log_error("no event loop");
		exit(1);
	}
	const struct link_handler handler = { .message = on_message, .gone = on_gone, .owner = p };
	p->master = link_new(p->base, ROLE_MASTER_FD, self, ROLE_MASTER, 0, &handler);
}

/* Once round at a time where somebody wants to know. */
static int
loop_run(struct role_process *p)
{
	if (p->handler->turned == NULL)
		return event_base_dispatch(p->base);
	int rc;
	do {
		rc = event_base_loop(p->base, EVLOOP_ONCE);
		p->handler->turned(p->owner);
	} while (rc == 0 && !event_base_got_break(p->base));
	return rc;
}

int
role_run(struct role_process *p)
{
	if (loop_run(p) < 0) {
		log_error("the event loop failed");
		p->status = 1;
	}
	link_flush(p->master, LAST_WORDS_MS);
	link_free(&p->master);
	event_base_free(p->base);
	p->base = NULL;
	return p->status;
}
