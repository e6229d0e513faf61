/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-keeper: the process that has the secrets.  It opens no socket; master hands it its links.
 */
#include <config.h>

#include "keeper.h"

#include <stdlib.h>

#include "../base/log.h"
#include "../base/role.h"

static struct role_process process;
static struct keeper keeper;

static void
on_failed(struct keeper *k)
{
	(void)k;
	role_end(&process, 1);
}

static int
on_start(void *owner, struct epoch *e, const char **err_r)
{
	struct keeper *k = owner;
	k->failed = on_failed;
	return keeper_open(k, process.base, e, err_r);
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

int
main(int argc, char **argv)
{
	static const struct role_handler handler = {
		.start = on_start, .epoch = on_epoch, .link = on_link, .message = on_message,
	};
	role_init(&process, ROLE_KEEPER, argc, argv, &handler, &keeper);
	int status = role_run(&process);
	keeper_close(&keeper);
	return status;
}
