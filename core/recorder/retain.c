/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: recordings older than `keep`, and the oldest beyond `max` bytes, are removed, each
 * after the keeper signed a tombstone for it and that stands in the ledger.
 *
 *   walk STORE/sessions a little in every sweep ─▶ list ─▶ MSG_REMOVE ─▶ tombstone ─▶ unlink
 *
 * A segment of the journal that may hold the same blocks ends early, so that it goes as well.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "recorder.h"

#define WALK_BUDGET 2000 /* µs of each sweep */
#define REST_MS 60000    /* between two walks, or a quarter of `keep` */
#define ASK_AT_ONCE 32
#define ANSWER_MS 10000

struct kept {
	uint8_t id[ID_LEN];
	uint64_t age, size; /* ms, bytes */
};

struct retention {
	DIR *top, *folder;
	struct kept *kept;
	size_t n, cap;
	uint64_t total;
	size_t next;          /* of kept: to be removed */
	bool removing;
	unsigned waiting;     /* tombstones asked for */
	uint64_t asked, rested; /* mono ms */
};

struct retention *
retention_new(void)
{
	struct retention *t = mem_alloc(sizeof(*t));
	*t = (struct retention){ .top = NULL };
	return t;
}

static void
forget(struct retention *t)
{
	if (t->folder != NULL)
		closedir(t->folder);
	if (t->top != NULL)
		closedir(t->top);
	free(t->kept);
	*t = (struct retention){ .rested = t->rested };
}

void
retention_free(struct retention **t)
{
	if (*t == NULL)
		return;
	forget(*t);
	free(*t);
	*t = NULL;
}

static DIR *
open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static void
note(struct recorder *r, const char *name)
{
	struct retention *t = r->retention;
	struct stat st;
	char text[ID_TEXT] = "";
	struct kept k;
	if (strlen(name) == ID_TEXT - 1 + 4 && strcmp(name + ID_TEXT - 1, ".spr") == 0)
		memcpy(text, name, ID_TEXT - 1);
	if (id_parse(text, k.id) != SP_OK || fstatat(dirfd(t->folder), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	uint64_t wall = clock_wall_us() / 1000, changed = (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
	k.age = wall > changed ? wall - changed : 0;
	k.size = (uint64_t)st.st_size;
	t->total += k.size;
	if (session_find(r, k.id) != NULL)
		return; /* still being written */
	if (t->n == t->cap) {
		size_t cap = 2 * t->cap + 256;
		struct kept *more = mem_alloc(cap * sizeof(*more));
		if (t->n > 0)
			memcpy(more, t->kept, t->n * sizeof(*more));
		free(t->kept);
		t->kept = more;
		t->cap = cap;
	}
	t->kept[t->n++] = k;
}

static int
oldest_first(const void *a, const void *b)
{
	uint64_t x = ((const struct kept *)a)->age, y = ((const struct kept *)b)->age;
	return x > y ? -1 : x < y;
}

/* True when all of the store was seen. */
static bool
walk(struct recorder *r)
{
	struct retention *t = r->retention;
	uint64_t stop = clock_mono_us() + WALK_BUDGET;
	for (unsigned n = 0; n % 16 != 0 || clock_mono_us() < stop; n++) {
		struct dirent *d = readdir(t->folder == NULL ? t->top : t->folder);
		if (d == NULL && t->folder == NULL)
			return true;
		if (d == NULL) {
			closedir(t->folder);
			t->folder = NULL;
		} else if (d->d_name[0] != '.' && t->folder == NULL) {
			t->folder = open_folder(dirfd(t->top), d->d_name);
		} else if (d->d_name[0] != '.') {
			note(r, d->d_name);
		}
	}
	return false;
}

static bool
must_go(const struct recorder *r, const struct kept *k)
{
	const struct options *o = &r->options;
	return (o->keep != 0 && k->age > o->keep) || (o->max != 0 && r->retention->total > o->max);
}

/* A few at a time; their tombstones come by retention_tombstone(). */
static void
ask(struct recorder *r)
{
	struct retention *t = r->retention;
	if (r->send == NULL)
		return;
	if (t->waiting > 0 && r->now - t->asked > ANSWER_MS)
		t->waiting = 0;
	for (; t->next < t->n && t->waiting < ASK_AT_ONCE; t->next++) {
		const struct kept *k = &t->kept[t->next];
		if (!must_go(r, k)) {
			t->next = t->n; /* the rest is younger, and there is room */
			break;
		}
		const struct message m = { .type = MSG_REMOVE, .f = { S(((struct sp_bytes){ k->id, ID_LEN })) } };
		if (r->send(r->send_owner, &m) != SP_OK)
			return;
		t->total -= k->size;
		t->asked = r->now;
		t->waiting++;
	}
	if (t->next >= t->n && t->waiting == 0) {
		t->rested = r->now;
		forget(t);
	}
}

void
retention_step(struct recorder *r)
{
	struct retention *t = r->retention;
	uint64_t rest = r->options.keep != 0 && r->options.keep / 4 < REST_MS ? r->options.keep / 4 : REST_MS;
	if (r->options.keep == 0 && r->options.max == 0)
		return;
	if (t->removing) {
		ask(r);
		return;
	}
	if (t->top == NULL && t->rested != 0 && r->now - t->rested < rest)
		return;
	if (t->top == NULL)
		t->top = open_folder(r->store.sessions, ".");
	if (t->top == NULL || !walk(r))
		return;
	if (t->n > 0)
		qsort(t->kept, t->n, sizeof(*t->kept), oldest_first);
	t->removing = true;
	ask(r);
}

void
retention_tombstone(struct recorder *r, const uint8_t session[ID_LEN])
{
	struct retention *t = r->retention;
	char id[ID_TEXT];
	if (t->waiting > 0)
		t->waiting--;
	if (session_find(r, session) != NULL || ledger_sync(r) != SP_OK)
		return;
	if (store_remove(&r->store, session) != SP_OK) {
		log_error("session %s: its recording cannot be removed: %s", id_format(session, id), strerror(errno));
		return;
	}
	log_info("session %s: its recording was removed, its time is over", id_format(session, id));
	/* By age alone only what is older than the segment goes, if that is not so old itself. */
	uint64_t wall = clock_wall_us() / 1000, since = wall > r->begun_wall ? wall - r->begun_wall : 0; /* ages are by this clock */
	r->purge = r->purge || r->options.max != 0 || r->now - r->begun_at >= r->options.keep || since >= r->options.keep;
}
