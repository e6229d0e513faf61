/* SPDX-License-Identifier: Apache-2.0 */
/* What master says to the keeper, and how it locks itself down.  It opens no socket; master hands it its links. */
#include <config.h>

#include "keeper.h"

#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/sandbox.h"

static void
on_failed(struct keeper *k)
{
	role_end(k->role, 1);
}

static void
on_left(struct keeper *k)
{
	role_end(k->role, 0);
}

/* The folders, so that a file may be replaced by rename; and the conf's own.  Others need a new process: master sees to it. */
static int
lock_down(struct keeper *k)
{
	char *folder[SECRET_FOLDERS + 1] = { NULL };
	const char *const write[] = { k->keys.folder, NULL };
	size_t n = settings_secret_folders(keeper_settings(k), folder, SECRET_FOLDERS);
	const struct sandbox_paths paths = { (const char *const *)folder, write };
	int rc = sandbox_enter(ROLE_KEEPER, &paths);
	while (n > 0)
		free(folder[--n]);
	return rc;
}

static int
on_start(void *owner, struct epoch *e, const char **err_r)
{
	struct keeper *k = owner;
	k->failed = on_failed;
	k->left = on_left;
	int rc = keeper_open(k, k->role->base, e, err_r);
	if (rc == SP_OK && (rc = lock_down(k)) != SP_OK)
		*err_r = "the keeper could not be locked down";
	return rc;
}

static int
on_epoch(void *owner, struct epoch *e, const char **err_r)
{
	return keeper_epoch(owner, e, err_r);
}

static int
on_link(void *owner, enum role peer, unsigned index, int fd)
{
	return keeper_link(owner, peer, index, fd);
}

static int
on_message(void *owner, struct link *l, struct message *m)
{
	(void)l;
	return keeper_told(owner, m);
}

static void
on_reopen(void *owner, int audit, int access)
{
	struct keeper *k = owner;
	if (access >= 0)
		(void)close(access);
	if (k->audit_log >= 0)
		(void)close(k->audit_log);
	k->audit_log = audit;
}

static void
on_quit(void *owner, bool graceful)
{
	struct keeper *k = owner;
	if (graceful)
		keeper_leave(k);
	else
		role_end(k->role, 0);
}

const struct role_handler keeper_handler = { .start = on_start, .epoch = on_epoch, .link = on_link, .message = on_message, .reopen = on_reopen,
	.quit = on_quit };
