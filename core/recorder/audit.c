/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log, a line for each decision, and the access log, a line for each session; both are
 * JSON lines that begin `{"time":"…","session":"…","frame":N,` and are told apart by session and
 * frame: after a crash the lines of the last moments are derived again, and only what is missing
 * is written.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../record/text.h"
#include "recorder.h"

#define SEEN_TAIL (32u << 20) /* of the log that is looked through after a crash */

/* ---- files of lines ---- */

int
lines_open(struct lines *l, const char *path)
{
	l->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	return l->fd < 0 ? SP_EIO : SP_OK;
}

void
lines_swap(struct lines *l, int fd)
{
	if (l->fd >= 0) {
		(void)fdatasync(l->fd);
		close(l->fd);
	}
	l->fd = fd;
	l->unsynced = false;
}

void
lines_close(struct lines *l)
{
	lines_swap(l, -1);
	buffer_free(&l->pending);
}

/* What a full disk took only in part is taken back: a line is there whole or not at all. */
int
lines_write(struct lines *l)
{
	struct stat st;
	if (l->fd < 0 && l->pending.len < LINES_MAX)
		return SP_OK; /* master hands the file in a moment */
	while (l->fd >= 0 && l->pending.len > 0) {
		struct sp_bytes b = buffer_bytes(&l->pending);
		if (fstat(l->fd, &st) != 0)
			return SP_EIO;
		ssize_t n = write(l->fd, b.p, b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < (ssize_t)b.len) {
			int error = n < 0 ? errno : ENOSPC;
			if (n > 0)
				(void)!ftruncate(l->fd, st.st_size);
			errno = error;
			return SP_EIO;
		}
		l->unsynced = true;
		buffer_drop(&l->pending, b.len);
	}
	buffer_drop(&l->pending, l->pending.len);
	return SP_OK;
}

int
lines_sync(struct lines *l)
{
	if (l->fd < 0 || !l->unsynced)
		return SP_OK;
	if (fdatasync(l->fd) != 0 && errno != EINVAL && errno != EROFS) /* a pipe or terminal has no disk */
		return SP_EIO;
	l->unsynced = false;
	return SP_OK;
}

/*
 * A recorder that was killed inside write(2) leaves the beginning of a line. It goes, as it was
 * never said to be written, and is derived again; where the log takes no cut (chattr +a), it stands
 * by itself as a line.
 */
void
lines_mend(struct lines *l)
{
	struct stat st;
	if (l->fd < 0 || fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	uint64_t size = (uint64_t)st.st_size;
	size_t len = size < SEEN_TAIL ? (size_t)size : SEEN_TAIL;
	uint8_t *tail = mem_alloc(len);
	if (read_at(l->fd, tail, len, size - len) == SP_OK && tail[len - 1] != '\n') {
		const uint8_t *stop = memrchr(tail, '\n', len);
		uint64_t whole = stop != NULL ? size - len + (uint64_t)(stop - tail) + 1 : 0;
		bool cut = (stop != NULL || len == size) && ftruncate(l->fd, (off_t)whole) == 0;
		if (!cut && write(l->fd, "\n", 1) != 1)
			log_error("%s", "a line of the audit or access log is torn and could not be closed");
	}
	free(tail);
}

/* ---- what is there already ---- */

struct audit_key {
	char id[ID_TEXT - 1];
	uint32_t frame;
};

struct audit_seen {
	struct audit_key *key;
	size_t n;
};

static int
compare(const void *a, const void *b)
{
	const struct audit_key *x = a, *y = b;
	int c = memcmp(x->id, y->id, sizeof(x->id));
	return c != 0 ? c : x->frame < y->frame ? -1 : x->frame > y->frame;
}

static bool
key_of(const char *line, struct audit_key *k)
{
	static const char before_id[] = "\"session\":\"", before_frame[] = "\",\"frame\":";
	const char *at = strstr(line, before_id);
	*k = (struct audit_key){ .frame = 0 };
	if (at == NULL)
		return false;
	at += sizeof(before_id) - 1;
	if (strnlen(at, sizeof(k->id)) < sizeof(k->id))
		return false;
	memcpy(k->id, at, sizeof(k->id));
	at += sizeof(k->id);
	if (strncmp(at, before_frame, sizeof(before_frame) - 1) != 0)
		return false;
	k->frame = (uint32_t)strtoul(at + sizeof(before_frame) - 1, NULL, 10);
	return true;
}

static void
collect(struct audit_seen *seen, int fd)
{
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	size_t len = (uint64_t)st.st_size < SEEN_TAIL ? (size_t)st.st_size : SEEN_TAIL, cap = seen->n;
	char *text = mem_alloc(len + 1);
	text[len] = '\0';
	if (read_at(fd, text, len, (uint64_t)st.st_size - len) != SP_OK)
		len = 0;
	char *end = text + len;
	for (char *line = text, *next; line < end; line = next) {
		char *stop = memchr(line, '\n', (size_t)(end - line));
		next = stop == NULL ? end : stop + 1;
		*(next - 1) = '\0';
		if (seen->n == cap) {
			cap = 2 * cap + 1024;
			struct audit_key *more = mem_alloc(cap * sizeof(*more));
			if (seen->n > 0)
				memcpy(more, seen->key, seen->n * sizeof(*more));
			free(seen->key);
			seen->key = more;
		}
		seen->n += key_of(line, &seen->key[seen->n]);
	}
	free(text);
}

struct audit_seen *
audit_seen_load(int audit, int access)
{
	struct audit_seen *seen = mem_alloc(sizeof(*seen));
	*seen = (struct audit_seen){ NULL, 0 };
	collect(seen, audit);
	collect(seen, access);
	if (seen->n > 0)
		qsort(seen->key, seen->n, sizeof(*seen->key), compare);
	return seen;
}

void
audit_seen_free(struct audit_seen **a)
{
	if (*a == NULL)
		return;
	free((*a)->key);
	free(*a);
	*a = NULL;
}

static bool
is_there(const struct recorder *r, const struct session *s, uint32_t number)
{
	struct audit_key k = { .frame = number };
	if (r->seen == NULL || r->seen->n == 0)
		return false;
	memcpy(k.id, s->name, sizeof(k.id));
	return bsearch(&k, r->seen->key, r->seen->n, sizeof(k), compare) != NULL;
}

/* ---- lines ---- */

/* A line for each operation: what is the same for all of a session's stands ready, and names of members with their commas. */
static inline void
put_number(struct sp_writer *w, struct sp_bytes name, uint64_t value)
{
	sp_wr_put(w, name);
	text_number(w, value);
}

static void
line_begin(struct sp_writer *w, const struct recorder *r, const struct session *s, uint32_t number)
{
	sp_wr_put(w, SP_LIT("{\"time\":\""));
	text_put(w, r->time);
	sp_wr_put(w, SP_LIT("\",\"session\":\""));
	sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)s->name, sizeof(s->name) - 1 });
	if (number == NUMBER_SEALED)
		sp_wr_put(w, SP_LIT("\",\"frame\":null"));
	else
		put_number(w, SP_LIT("\",\"frame\":"), number);
}

static void
line_end(struct lines *l, struct sp_writer *w)
{
	sp_wr_put(w, SP_LIT("}\n"));
	if (buffer_written(&l->pending, w) != SP_OK) {
		log_error("%s", "no memory for a line of the audit log: starting anew");
		abort();
	}
}

void
audit_decision(struct recorder *r, const struct session *s, const struct operation *o, const struct frame *f, uint32_t number)
{
	if (r->quiet || is_there(r, s, number))
		return;
	struct sp_writer w = buffer_writer(&r->audit.pending);
	line_begin(&w, r, s, number);
	put_number(&w, SP_LIT(",\"op\":"), f->op);
	sp_wr_u8(&w, ',');
	sp_wr_put(&w, s->who);
	decision_write(r, &w, o, f);
	line_end(&r->audit, &w);
}

void
access_line(struct recorder *r, const struct session *s, const struct frame *f, uint32_t number)
{
	char started[32];
	if (r->quiet || r->access.fd < 0 || is_there(r, s, number))
		return;
	struct sp_bytes why = frame_get(f, KEY_WHY);
	struct sp_writer w = buffer_writer(&r->access.pending);
	line_begin(&w, r, s, number);
	sp_wr_u8(&w, ',');
	sp_wr_put(&w, s->who);
	if (s->started == 0)
		sp_wr_put(&w, SP_LIT(",\"started\":null")); /* its header could not be read */
	else
		text_json_member(&w, "started", sp_str(clock_format(s->started, started)));
	text_json_number(&w, "duration_ms", s->state.last_at / 1000);
	text_json_number(&w, "operations", s->state.operations);
	text_json_number(&w, "denied", s->state.denied);
	text_json_number(&w, "held", s->state.held);
	text_json_number(&w, "rows", s->state.rows);
	text_json_number(&w, "bytes", s->state.bytes);
	text_json_member(&w, "end", f->type == FRAME_TORN ? SP_LIT("torn") : SP_LIT("end"));
	text_json_member(&w, "why", why);
	struct sp_bytes text = frame_get(f, KEY_MESSAGE);
	if (text.len > 0)
		text_json_member(&w, "text", text);
	line_end(&r->access, &w);
}
