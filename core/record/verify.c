/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification (P9): each recording against its chain, each chain against the ledger, the ledger
 * against the keeper's key, and all of it against an anchor kept elsewhere.
 *
 *   anchor ══▶ ledger entry N (signed, names entry N-1) ══▶ session: blocks, chain hash ══▶ block ═▶ block …
 */
#include <config.h>

#include "recording.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block.h"

#define UNSIGNED_GRACE 600 /* s: so long may a recording be without a ledger entry: the keeper was away */
#define PROGRESS_EVERY 64

static int found(struct verify_result *v, const char *fmt, ...) SP_PRINTF(2, 3);

/* The first thing found is the one reported. */
static int
found(struct verify_result *v, const char *fmt, ...)
{
	va_list args;
	if (!v->ok)
		return SP_EPROTO;
	va_start(args, fmt);
	(void)vsnprintf(v->text, sizeof(v->text), fmt, args);
	va_end(args);
	v->ok = false;
	return SP_EPROTO;
}

/* ---- one recording ---- */

static bool
is_final(const struct ledger_entry *e)
{
	return e->kind == LEDGER_CLOSE || e->kind == LEDGER_TORN;
}

/* The entries that speak of the file as it is after this many blocks. */
static int
check_entries(const struct block_file *f, const char *name, const struct ledger_entry *e, size_t n, struct verify_result *v)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].kind == LEDGER_TOMBSTONE || e[i].blocks != f->number)
			continue;
		if (memcmp(e[i].chain, f->chain, DIGEST_LEN) != 0 || e[i].frames != f->frames || e[i].bytes != f->at)
			return found(v, "%s: block %u, up to frame %u, at byte %llu is not what ledger entry %llu signed", name,
			    f->number, f->frames, (unsigned long long)f->from, (unsigned long long)e[i].number);
		if (e[i].wall > v->signed_at)
			v->signed_at = e[i].wall;
		v->ended = v->ended || is_final(&e[i]);
	}
	return SP_OK;
}

static int
check_length(const struct block_file *f, const char *name, const struct ledger_entry *e, size_t n, struct verify_result *v)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].kind == LEDGER_TOMBSTONE)
			continue;
		if (e[i].blocks > f->number)
			return found(v, "%s: its tail was cut, or an older file put in its place: it ends at byte %llu with block %u, "
			    "frame %u; ledger entry %llu signed %u blocks, %u frames", name, (unsigned long long)f->at, f->number,
			    f->frames, (unsigned long long)e[i].number, e[i].blocks, e[i].frames);
		if (is_final(&e[i]) && e[i].blocks < f->number)
			return found(v, "%s: block %u, from frame %u on, was added after the session ended (ledger entry %llu)", name,
			    e[i].blocks + 1, e[i].frames + 1, (unsigned long long)e[i].number);
	}
	return SP_OK;
}

/* The header names another session than the file: another's recording, when its chain holds; else this one, changed. */
static int
check_name(struct block_file *f, const char *name, struct verify_result *v)
{
	uint8_t id[ID_LEN];
	char text[ID_TEXT];
	struct block_file other;
	struct block b;
	if (id_parse(name, id) != SP_OK || memcmp(id, f->session, ID_LEN) == 0)
		return SP_OK;
	bool whole = block_file_open(&other, f->fd, NULL) == SP_OK && block_file_next(&other, &b) == 1;
	block_file_close(&other);
	if (whole)
		return found(v, "%s: this is the recording of session %s", name, id_format(f->session, text));
	memcpy(f->session, id, ID_LEN);
	block_chain_start(id, f->chain);
	return SP_OK;
}

struct verifying {
	struct block_file file;
	const char *name;
	const struct ledger_entry *entry;
	size_t n;
	struct verify_result result;
};

struct verifying *
verify_begin(int fd, const char *name, const struct ledger_entry *e, size_t n)
{
	struct verifying *w = mem_alloc(sizeof(*w));
	*w = (struct verifying){ .name = name, .entry = e, .n = n, .result = { .ok = true, .sessions = 1 } };
	if (block_file_open(&w->file, fd, NULL) != SP_OK)
		(void)found(&w->result, "%s: %s", name, w->file.text);
	else
		(void)check_name(&w->file, name, &w->result);
	return w;
}

int
verify_step(struct verifying *w, struct verify_result *v_r)
{
	struct block b;
	struct verify_result *v = &w->result;
	int rc = v->ok ? block_file_next(&w->file, &b) : 0;
	if (rc < 0)
		rc = found(v, "%s: %s", w->name, w->file.text);
	else if (rc == 0 && v->ok)
		rc = check_length(&w->file, w->name, w->entry, w->n, v);
	if (rc == 1) {
		v->blocks++;
		v->frames += b.frames;
		rc = check_entries(&w->file, w->name, w->entry, w->n, v) == SP_OK;
	}
	*v_r = *v;
	return rc == 1;
}

void
verify_end(struct verifying **w)
{
	if (*w == NULL)
		return;
	block_file_close(&(*w)->file);
	free(*w);
	*w = NULL;
}

static void
check_recording(int fd, const char *name, const struct ledger_entry *e, size_t n, struct verify_result *v)
{
	struct verifying *w = verify_begin(fd, name, e, n);
	while (verify_step(w, v) == 1)
		continue;
	verify_end(&w);
}

int
verify_recording(int fd, const char *name, const struct ledger_entry *e, size_t n, struct verify_result *v_r)
{
	check_recording(fd, name, e, n, v_r);
	return v_r->ok ? SP_OK : SP_EPROTO;
}

/* ---- the ledger ---- */

struct ledger {
	int fd;
	uint8_t key[32];
	uint8_t *bytes;          /* all entries */
	size_t n;
	const uint8_t **by_session; /* sorted: session, then number */
};

static const uint8_t *
entry_at(const struct ledger *l, size_t i)
{
	return l->bytes + i * LEDGER_ENTRY;
}

static bool
read_at(int fd, void *into, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (uint8_t *)into + done, len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static int
by_session(const void *a, const void *b)
{
	const uint8_t *x = *(const uint8_t *const *)a, *y = *(const uint8_t *const *)b;
	int c = memcmp(x + 9, y + 9, ID_LEN);
	return c != 0 ? c : memcmp(x, y, 8);
}

static int
ledger_load(struct ledger *l, int dir, const uint8_t *public_key, struct verify_result *v)
{
	struct stat st;
	uint8_t head[LEDGER_HEAD];
	l->fd = openat(dir, "ledger", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (l->fd < 0 || fstat(l->fd, &st) != 0 || !read_at(l->fd, head, sizeof(head), 0))
		return found(v, "ledger: cannot be read: %s", l->fd < 0 ? strerror(errno) : "it is cut");
	memcpy(l->key, head + 8, sizeof(l->key));
	if (memcmp(head, LEDGER_MAGIC, 8) != 0)
		return found(v, "ledger: it does not begin with %s", LEDGER_MAGIC);
	if (public_key != NULL && memcmp(public_key, l->key, sizeof(l->key)) != 0)
		return found(v, "ledger: it was begun with another key than the one given");
	l->n = ((size_t)st.st_size - LEDGER_HEAD) / LEDGER_ENTRY;
	if (((size_t)st.st_size - LEDGER_HEAD) % LEDGER_ENTRY != 0)
		return found(v, "ledger: its last entry, after entry %zu, is cut", l->n);
	l->bytes = mem_alloc(l->n * LEDGER_ENTRY + 1);
	l->by_session = mem_alloc(l->n * sizeof(*l->by_session) + 1);
	if (!read_at(l->fd, l->bytes, l->n * LEDGER_ENTRY, LEDGER_HEAD))
		return found(v, "ledger: cannot be read: %s", strerror(errno));
	for (size_t i = 0; i < l->n; i++)
		l->by_session[i] = entry_at(l, i);
	qsort(l->by_session, l->n, sizeof(*l->by_session), by_session);
	return SP_OK;
}

static void
ledger_unload(struct ledger *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->bytes);
	free(l->by_session);
}

/* Numbers, links and signatures, from the first entry to the last. */
static int
check_ledger(const struct ledger *l, struct verify_result *v)
{
	uint8_t previous[DIGEST_LEN];
	ledger_first(l->key, previous);
	for (size_t i = 0; i < l->n; i++) {
		struct ledger_entry e;
		const uint8_t *at = entry_at(l, i);
		unsigned long long byte = LEDGER_HEAD + i * LEDGER_ENTRY;
		if (ledger_decode((struct sp_bytes){ at, LEDGER_ENTRY }, &e) != SP_OK)
			return found(v, "ledger: entry %zu, at byte %llu, is malformed", i + 1, byte);
		if (e.number != i + 1)
			return found(v, "ledger: entry %zu is missing or out of order: entry %llu stands at byte %llu", i + 1,
			    (unsigned long long)e.number, byte);
		if (memcmp(e.previous, previous, DIGEST_LEN) != 0)
			return found(v, "ledger: entry %zu, at byte %llu, does not follow the one before it: that one was changed", i + 1,
			    byte);
		if (!ledger_signed_by(at, l->key))
			return found(v, "ledger: entry %zu, at byte %llu: its signature does not hold", i + 1, byte);
		ledger_hash(at, previous);
	}
	return SP_OK;
}

/* While we read, retention may have signed a tombstone. */
static bool
has_new_tombstone(const struct ledger *l, const uint8_t *session)
{
	uint8_t bytes[LEDGER_ENTRY];
	struct ledger_entry e;
	for (uint64_t at = LEDGER_HEAD + (uint64_t)l->n * LEDGER_ENTRY; read_at(l->fd, bytes, sizeof(bytes), at);
	    at += LEDGER_ENTRY)
		if (ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) }, &e) == SP_OK && e.kind == LEDGER_TOMBSTONE &&
		    memcmp(e.session, session, ID_LEN) == 0 && ledger_signed_by(bytes, l->key))
			return true;
	return false;
}

/* ---- the anchor ---- */

static int
check_anchored(const struct ledger *l, const char *line, struct verify_result *v)
{
	static const char mark[] = "sallyport-anchor ", member[] = "\"anchor\":\"sallyport-anchor ";
	/* In a line of the audit log that member says it; what people wrote has its quotes escaped. */
	const char *at = strstr(line, strstr(line, "{\"time\":\"") != NULL ? member : mark);
	uint8_t bytes[LEDGER_ENTRY];
	char hex[2 * LEDGER_ENTRY + 1];
	char *end;
	if (at == NULL)
		return SP_OK; /* a log has other lines too */
	at = strstr(at, mark);
	unsigned long long number = strtoull(at + sizeof(mark) - 1, &end, 10);
	size_t len = *end == ' ' ? strspn(end + 1, "0123456789abcdef") : 0;
	if (len != 2 * LEDGER_ENTRY)
		return found(v, "anchor: the line for entry %llu is malformed", number);
	memcpy(hex, end + 1, len);
	hex[len] = '\0';
	if (text_unhex(hex, bytes, sizeof(bytes)) != SP_OK)
		return found(v, "anchor: the line for entry %llu is malformed", number);
	if (number == 0 || number > l->n)
		return found(v, "ledger: it was cut: the anchor has entry %llu, the ledger ends with entry %zu", number, l->n);
	if (memcmp(bytes, entry_at(l, (size_t)number - 1), LEDGER_ENTRY) != 0)
		return found(v, "ledger: entry %llu is not the one that was anchored", number);
	return SP_OK;
}

static int
check_anchor(const struct ledger *l, const char *path, struct verify_result *v)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	if (file == NULL)
		return found(v, "anchor: cannot be read: %s", strerror(errno));
	while (v->ok && getline(&line, &cap, file) >= 0)
		(void)check_anchored(l, line, v);
	free(line);
	(void)fclose(file);
	return v->ok ? SP_OK : SP_EPROTO;
}

/* ---- the store ---- */

struct survey {
	int dir; /* STORE/sessions */
	const struct ledger *ledger;
	struct verify_result *v;
	void (*progress)(uint64_t done, uint64_t all);
	uint64_t done, all;
};

static void
step(struct survey *s)
{
	if (s->progress != NULL && (++s->done % PROGRESS_EVERY == 0 || s->done == s->all))
		s->progress(s->done, s->all);
}

static int
open_session(int dir, const char *id)
{
	char path[3 + ID_TEXT + 4];
	(void)snprintf(path, sizeof(path), "%.2s/%s.spr", id, id);
	return openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void
add_up(struct verify_result *v, const struct verify_result *one)
{
	v->sessions++;
	v->blocks += one->blocks;
	v->frames += one->frames;
	if (one->signed_at > v->signed_at)
		v->signed_at = one->signed_at;
	if (!one->ok)
		(void)found(v, "%s", one->text);
}

/* All entries of one session, and its file. */
static int
check_session(struct survey *s, const uint8_t *const *entry, size_t n)
{
	struct verify_result one;
	struct ledger_entry *e = mem_alloc(n * sizeof(*e));
	char id[ID_TEXT];
	bool removed = false;
	for (size_t i = 0; i < n; i++)
		if (ledger_decode((struct sp_bytes){ entry[i], LEDGER_ENTRY }, &e[i]) == SP_OK && e[i].kind == LEDGER_TOMBSTONE)
			removed = true;
	id_format(e[0].session, id);
	int fd = removed ? -1 : open_session(s->dir, id);
	if (fd >= 0) {
		check_recording(fd, id, e, n, &one);
		close(fd);
		add_up(s->v, &one);
	} else if (!removed && !has_new_tombstone(s->ledger, e[0].session)) {
		(void)found(s->v, "%s: the recording is gone (%s): ledger entry %llu signed %u blocks, %u frames", id, strerror(errno),
		    (unsigned long long)e[n - 1].number, e[n - 1].blocks, e[n - 1].frames);
	}
	free(e);
	step(s);
	return s->v->ok ? SP_OK : SP_EPROTO;
}

static int
check_sessions(struct survey *s)
{
	const struct ledger *l = s->ledger;
	for (size_t i = 0, n; i < l->n; i += n) {
		for (n = 1; i + n < l->n && memcmp(l->by_session[i] + 9, l->by_session[i + n] + 9, ID_LEN) == 0;)
			n++;
		if (check_session(s, l->by_session + i, n) != SP_OK)
			return SP_EPROTO;
	}
	return SP_OK;
}

static bool
is_listed(const struct ledger *l, const uint8_t id[ID_LEN])
{
	size_t low = 0, high = l->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = memcmp(l->by_session[middle] + 9, id, ID_LEN);
		if (c == 0)
			return true;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* A file that no entry names: young, its signature may be on its way; old, somebody put it there. */
static void
check_stranger(struct survey *s, int folder, const char *name)
{
	struct verify_result one;
	struct stat st;
	uint8_t id[ID_LEN];
	char text[ID_TEXT] = "";
	size_t len = strlen(name);
	if (len == ID_TEXT - 1 + 4 && strcmp(name + ID_TEXT - 1, ".spr") == 0)
		memcpy(text, name, ID_TEXT - 1);
	if (id_parse(text, id) != SP_OK) {
		(void)found(s->v, "sessions: the file \"%.60s\" is no recording of this gateway", name);
		return;
	}
	if (is_listed(s->ledger, id))
		return;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return;
	time_t now = time(NULL);
	/* One from the future is not young: whoever may write a file may date it. */
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_mtime + UNSIGNED_GRACE < now || st.st_mtime - UNSIGNED_GRACE > now)
		(void)found(s->v, "%s: no ledger entry names this recording: it was put there, or the ledger was cut", text);
	else if (st.st_size > RECORDING_HEAD) {
		check_recording(fd, text, NULL, 0, &one);
		add_up(s->v, &one);
	}
	if (fd >= 0)
		close(fd);
}

static void
check_strangers_in(struct survey *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL) {
		(void)found(s->v, "sessions/%.20s: cannot be read: %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *d; s->v->ok && (d = readdir(folder)) != NULL;)
		if (d->d_name[0] != '.')
			check_stranger(s, fd, d->d_name);
	closedir(folder);
}

static int
check_strangers(struct survey *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *top = fd < 0 ? NULL : fdopendir(fd);
	if (top == NULL)
		return found(s->v, "sessions: cannot be read: %s", strerror(errno));
	for (struct dirent *d; s->v->ok && (d = readdir(top)) != NULL;)
		if (d->d_name[0] != '.')
			check_strangers_in(s, d->d_name);
	closedir(top);
	return s->v->ok ? SP_OK : SP_EPROTO;
}

static uint64_t
count_sessions(const struct ledger *l)
{
	uint64_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		n += i == 0 || memcmp(l->by_session[i - 1] + 9, l->by_session[i] + 9, ID_LEN) != 0;
	return n;
}

int
verify_store(const char *dir, const uint8_t *public_key, const char *anchor,
    void (*progress)(uint64_t done, uint64_t all), struct verify_result *v_r)
{
	struct ledger ledger = { .fd = -1 };
	*v_r = (struct verify_result){ .ok = true };
	int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct survey s = { .dir = -1, .ledger = &ledger, .v = v_r, .progress = progress };
	if (top >= 0)
		s.dir = openat(top, "sessions", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s.dir < 0) {
		(void)found(v_r, "%.200s: not a store of recordings: %s", dir, strerror(errno));
	} else if (ledger_load(&ledger, top, public_key, v_r) == SP_OK && check_ledger(&ledger, v_r) == SP_OK &&
	    (anchor == NULL || check_anchor(&ledger, anchor, v_r) == SP_OK)) {
		s.all = count_sessions(&ledger);
		if (check_sessions(&s) == SP_OK)
			(void)check_strangers(&s);
	}
	ledger_unload(&ledger);
	if (s.dir >= 0)
		close(s.dir);
	if (top >= 0)
		close(top);
	return v_r->ok ? SP_OK : SP_EPROTO;
}
