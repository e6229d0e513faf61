/* SPDX-License-Identifier: Apache-2.0 */
/* A helper's start, its epochs and its one link. */
#include <config.h>

#include "helper.h"

#include <unistd.h>

#include "../base/log.h"

static int
on_job(void *owner, struct link *l, struct message *m)
{
	struct helper *h = owner;
	(void)l;
	return h->kind->job(h, m);
}

static void
keeper_gone(struct helper *h)
{
	link_free(&h->keeper);
	if (h->kind->void_jobs != NULL)
		h->kind->void_jobs(h);
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	(void)l;
	log_warn("keeper: %s", why);
	keeper_gone(owner);
}

void
helper_answer(struct helper *h, const struct message *m)
{
	if (h->keeper != NULL && link_send(h->keeper, m) != SP_OK)
		log_warn("an answer to the keeper is lost");
}

/* ---- what master says ---- */

static int
helper_start(void *owner, struct epoch *e, const char **err_r)
{
	struct helper *h = owner;
	h->epoch = e;
	int rc = h->kind->start == NULL ? SP_OK : h->kind->start(h, err_r);
	if (rc == SP_OK && (rc = sandbox_enter(h->kind->role, h->kind->paths)) != SP_OK)
		*err_r = "the sandbox can't be entered";
	return rc;
}

static int
helper_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct helper *h = owner;
	(void)err_r;
	epoch_free(&h->epoch);
	h->epoch = e;
	if (h->kind->epoch != NULL)
		h->kind->epoch(h);
	return SP_OK;
}

static int
helper_link(void *owner, enum role peer, unsigned index, int fd)
{
	struct helper *h = owner;
	const struct link_handler handler = { .message = on_job, .gone = on_gone, .owner = h };
	if (peer != ROLE_KEEPER) {
		(void)close(fd);
		return SP_EPROTO;
	}
	if (h->keeper != NULL)
		keeper_gone(h);
	h->keeper = link_new(h->process.base, fd, h->kind->role, ROLE_KEEPER, index, &handler);
	return h->keeper == NULL ? SP_ENOMEM : SP_OK;
}

static void
helper_reopen(void *owner, int first, int second)
{
	struct helper *h = owner;
	if (h->kind->reopen != NULL) {
		h->kind->reopen(h, first, second);
		return;
	}
	if (first >= 0)
		(void)close(first);
	if (second >= 0)
		(void)close(second);
}

static void
helper_quit(void *owner, bool graceful)
{
	struct helper *h = owner;
	if (graceful && h->kind->quit != NULL)
		h->kind->quit(h);
	else
		helper_end(h);
}

int
helper_main(const struct helper_kind *kind, int argc, char **argv)
{
	static const struct role_handler handler = { .start = helper_start, .epoch = helper_epoch, .link = helper_link, .reopen = helper_reopen, .quit = helper_quit };
	static struct helper helper;
	helper.kind = kind;
	role_init(&helper.process, kind->role, argc, argv, &handler, &helper);
	int status = role_run(&helper.process);
	if (kind->void_jobs != NULL)
		kind->void_jobs(&helper);
	if (kind->close != NULL)
		kind->close(&helper);
	link_free(&helper.keeper);
	epoch_free(&helper.epoch);
	return status;
}
