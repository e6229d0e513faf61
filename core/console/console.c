/* SPDX-License-Identifier: Apache-2.0 */
/* What master and the keeper say to the console. */
#include <config.h>

#include <limits.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/sandbox.h"
#include "console.h"
#include "files.h"

static int
on_keeper(void *owner, struct link *l, struct message *m)
{
	(void)l;
	return m->type == MSG_RESULT ? ask_answered(owner, m) : SP_EPROTO;
}

static void
on_keeper_gone(void *owner, struct link *l, const char *why)
{
	struct console *c = owner;
	log_warn("keeper: %s", why);
	if (c->keeper == l)
		link_free(&c->keeper);
	ask_lost(c);
}

static int
console_link(void *owner, enum role peer, unsigned index, int fd)
{
	struct console *c = owner;
	if (peer != ROLE_KEEPER) {
		close(fd);
		return SP_EPROTO;
	}
	if (c->keeper != NULL) {
		link_free(&c->keeper);
		ask_lost(c);
	}
	const struct link_handler handler = { .message = on_keeper, .gone = on_keeper_gone, .owner = c };
	c->keeper = link_new(c->role.base, fd, ROLE_CONSOLE, ROLE_KEEPER, index, &handler);
	return c->keeper == NULL ? SP_ENOMEM : SP_OK;
}

static int
console_message(void *owner, struct link *l, struct message *m)
{
	struct console *c = owner;
	(void)l;
	if ((m->type != MSG_CALLER && m->type != MSG_LISTENER) || m->nfds != 1)
		return SP_EPROTO;
	int fd = m->fd[0];
	m->fd[0] = -1;
	if (m->type == MSG_LISTENER)
		return listen_take(c, fd);
	caller_new(c, fd, m->f[0].q, m->f[1].q);
	return SP_OK;
}

/* Before the lock-down: after it nothing can be opened. */
static void
read_pages(struct console *c)
{
	char folder[PATH_MAX];
	const char *why = "";
	files_folder(folder, sizeof(folder));
	if (files_read(folder, &c->files, &why) != SP_OK)
		log_error("the console's pages in %s are not served: %s", folder, why);
	else if (c->files == NULL)
		log_info("there are no pages of the console in %s (--without-console): sign-in and API only", folder);
}

static int
console_start(void *owner, struct epoch *e, const char **err_r)
{
	static const struct sandbox_paths nothing = { NULL, NULL };
	struct console *c = owner;
	read_pages(c);
	if (sandbox_enter(ROLE_CONSOLE, &nothing) != SP_OK) {
		*err_r = "the sandbox can't be entered";
		return SP_EINTERNAL;
	}
	int rc = listen_epoch(c, e, err_r);
	c->epoch = e;
	return rc;
}

static int
console_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct console *c = owner;
	int rc = listen_epoch(c, e, err_r);
	if (rc != SP_OK)
		return rc;
	epoch_free(&c->epoch);
	c->epoch = e;
	return SP_OK;
}

/* Only its own log comes here; the audit log is asked for anew by those who follow it. */
static void
console_reopen(void *owner, int audit, int access)
{
	struct console *c = owner;
	if (audit >= 0)
		close(audit);
	if (access >= 0)
		close(access);
	c->reopened++;
}

static void
console_quit(void *owner, bool graceful)
{
	struct console *c = owner;
	c->quitting = true;
	listen_end(c);
	if (graceful)
		callers_finish(c); /* the last to leave ends the process */
	if (!graceful || c->ncallers == 0)
		role_end(&c->role, 0);
}

const struct role_handler console_handler = { .start = console_start, .epoch = console_epoch, .link = console_link,
	.message = console_message, .reopen = console_reopen, .quit = console_quit };
