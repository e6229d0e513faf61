/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keeper in a temporary folder, with the ends of its links in the test's hand: the test speaks the
 * internal protocol as worker, recorder, console and master, and sees every answer.
 */
#ifndef KEEPER_FAKE_H
#define KEEPER_FAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/keeper/approval.h"
#include "core/keeper/issuer.h"
#include "core/keeper/keeper.h"
#include "core/keeper/live.h"
#include "files.h"

#define HEARD 64

struct peer {
	struct link *link;
	struct message m[HEARD]; /* what it was told, oldest first */
	struct buffer bytes[HEARD];
	size_t n;
	bool gone;
};

struct fake {
	char folder[64];
	struct event_base *base;
	struct keeper k;
	struct peer worker, other, recorder, console;
	bool failed;
	uint32_t id;
};

static struct fake *the_fake;

static int
fake_hears(void *owner, struct link *l, struct message *m)
{
	struct peer *p = owner;
	(void)l;
	if (p->n == HEARD)
		return SP_OK;
	CU_ASSERT_EQUAL(message_encode(m, &p->bytes[p->n]), SP_OK);
	CU_ASSERT(message_decode(buffer_bytes(&p->bytes[p->n]), &p->m[p->n]) > 0);
	for (unsigned i = 0; i < m->nfds; i++) {
		p->m[p->n].fd[i] = m->fd[i];
		m->fd[i] = -1;
	}
	p->n++;
	return SP_OK;
}

static void
fake_gone(void *owner, struct link *l, const char *why)
{
	struct peer *p = owner;
	(void)l, (void)why;
	p->gone = true;
}

static inline void
fake_turn(struct fake *f)
{
	for (unsigned i = 0; i < 20; i++)
		(void)event_base_loop(f->base, EVLOOP_NONBLOCK);
	/* Keys are derived a slice at a time: how many there are is the machine's affair. */
	while (f->k.deriving != NULL)
		(void)event_base_loop(f->base, EVLOOP_NONBLOCK);
	/* A commit may be a few milliseconds away (reply.c): it is not waited for. */
	if (f->k.store != NULL && store_dirty(f->k.store)) {
		keeper_commit(&f->k);
		for (unsigned i = 0; i < 20; i++)
			(void)event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
}

static inline void
fake_forget(struct peer *p)
{
	for (size_t i = 0; i < p->n; i++) {
		for (unsigned j = 0; j < p->m[i].nfds; j++)
			if (p->m[i].fd[j] >= 0)
				(void)close(p->m[i].fd[j]);
		buffer_free(&p->bytes[i]);
	}
	p->n = 0;
}

static inline void
fake_connect(struct fake *f, struct peer *p, enum role as, unsigned index)
{
	int fd[2];
	const struct link_handler h = { fake_hears, fake_gone, p };
	*p = (struct peer){ .n = 0 };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	p->link = link_new(f->base, fd[0], as, ROLE_KEEPER, 0, &h);
	CU_ASSERT_EQUAL_FATAL(keeper_link(&f->k, as, index, fd[1]), SP_OK);
}

static inline void
fake_leave(struct fake *f, struct peer *p)
{
	fake_forget(p);
	link_free(&p->link);
	fake_turn(f);
}

/* Sends, lets the keeper work, returns the last answer of that type, or NULL. */
static inline const struct message *
fake_ask(struct fake *f, struct peer *p, struct message *m, unsigned answer)
{
	fake_forget(p);
	m->id = ++f->id;
	CU_ASSERT_EQUAL(link_send(p->link, m), SP_OK);
	fake_turn(f);
	for (size_t i = p->n; i > 0; i--)
		if (p->m[i - 1].type == answer)
			return &p->m[i - 1];
	return NULL;
}

static inline const struct message *
fake_heard(const struct peer *p, unsigned type)
{
	for (size_t i = p->n; i > 0; i--)
		if (p->m[i - 1].type == type)
			return &p->m[i - 1];
	return NULL;
}

static void
fake_failed(struct keeper *k)
{
	(void)k;
	the_fake->failed = true;
}

static inline struct epoch *
fake_epoch(const char *text, uint64_t number)
{
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *why = "";
	e->arena = arena_new(0);
	e->number = number;
	int rc = conf_parse(e->arena, "test.conf", (struct sp_bytes){ (const uint8_t *)arena_string(e->arena, sp_str(text)), strlen(text) },
	    &top, &why);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, top, &e->settings, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	return e;
}

static inline void
fake_file(const struct fake *f, const char *name, const char *text)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	FILE *out = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	(void)fputs(text, out);
	(void)fclose(out);
	(void)chmod(path, 0600);
}

/* conf: a format with one %s for each place where the folder stands, at most four. */
static inline int
fake_start(struct fake *f, const char *conf, const char **err_r)
{
	char text[4096];
	the_fake = f;
	f->base = event_base_new();
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db;\n%s", f->folder, conf);
	f->k = (struct keeper){ .failed = fake_failed };
	f->failed = false;
	return keeper_open(&f->k, f->base, fake_epoch(text, 1), err_r);
}

static inline void
fake_links(struct fake *f)
{
	fake_connect(f, &f->worker, ROLE_WORKER, 1);
	fake_connect(f, &f->other, ROLE_WORKER, 2);
	fake_connect(f, &f->recorder, ROLE_RECORDER, 0);
	fake_connect(f, &f->console, ROLE_CONSOLE, 0);
}

static inline void
fake_stop(struct fake *f)
{
	struct peer *all[] = { &f->worker, &f->other, &f->recorder, &f->console };
	keeper_close(&f->k);
	for (size_t i = 0; i < 4; i++) {
		fake_forget(all[i]);
		link_free(&all[i]->link);
	}
	event_base_free(f->base);
	f->base = NULL;
}

static inline void
fake_folder(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/sallyport-keeper.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->folder));
}

static inline void
fake_clean(struct fake *f)
{
	(void)files_remove(f->folder);
}

#endif
