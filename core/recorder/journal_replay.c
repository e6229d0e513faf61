/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the journal after a crash: whole batches in their order, and nothing of a torn one. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/log.h"
#include "journal_file.h"
#include "store.h"

struct replay {
	struct journal *j;
	const struct journal_reader *reader;
	int fd;
	uint64_t at, end;
	uint8_t head[JOURNAL_HEAD];
	bool unreadable; /* the disk did not say what stands there: that is no end */
	uint64_t had;    /* bytes of the file before its present life */
	bool torn; /* what stands at `at` was begun as a batch of this segment */
	struct batch batch;
	struct buffer bytes;
};

static bool
load(struct replay *p, size_t len)
{
	buffer_drop(&p->bytes, p->bytes.len);
	uint8_t *into = len > p->end - p->at ? NULL : buffer_room(&p->bytes, len);
	if (into == NULL)
		return false;
	p->unreadable = read_at(p->fd, into, len, p->at) != SP_OK;
	if (p->unreadable)
		return false;
	buffer_added(&p->bytes, len);
	return true;
}

static void
read_state(struct sp_reader *r, struct journal_state *s)
{
	unsigned state = sp_rd_u8(r);
	if (state >= SESSION_STATES)
		r->bad = true;
	s->state = r->bad ? SESSION_LIVE : (enum session_state)state;
	s->blocks = sp_rd_be32(r);
	s->frames = sp_rd_be32(r);
	s->from = sp_rd_be64(r);
	s->operations = sp_rd_be64(r);
	s->denied = sp_rd_be64(r);
	s->held = sp_rd_be64(r);
	s->rows = sp_rd_be64(r);
	s->bytes = sp_rd_be64(r);
	s->last_at = sp_rd_be64(r);
}

static void
read_array(struct sp_reader *r, uint8_t *into, size_t n)
{
	struct sp_bytes b = sp_rd_take(r, n);
	if (b.len == n)
		memcpy(into, b.p, n);
}

static void
read_entry(struct sp_reader *records, struct sp_reader *blocks, bool placed, struct journal_entry *e)
{
	*e = (struct journal_entry){ 0 };
	read_array(records, e->session, ID_LEN);
	e->ring = sp_rd_be64(records);
	e->offset = sp_rd_be64(records);
	uint32_t len = sp_rd_be32(records);
	read_state(records, &e->state);
	read_array(records, e->previous, DIGEST_LEN);
	read_array(records, e->hash, DIGEST_LEN);
	e->block = sp_rd_take(blocks, placed ? 0 : len);
	e->placed = placed ? len : 0;
}

/* The block is whole: its hash is the one that the records, which have a hash of their own, name.  One in a file is for `verify` to read. */
static bool
entry_holds(const struct journal_entry *e)
{
	struct sp_reader r = sp_reader(e->block);
	struct block b;
	if (e->block.len == 0)
		return true;
	return block_read(&r, &b) == SP_OK && sp_rd_done(&r) && memcmp(b.hash, e->hash, DIGEST_LEN) == 0 &&
	    block_follows(&b, e->previous);
}

static int
read_records(const struct batch *b, struct sp_reader records, struct sp_reader blocks, const struct journal_reader *reader)
{
	int rc = SP_OK;
	while (rc == SP_OK && !records.bad && records.left > 0) {
		uint8_t what = sp_rd_u8(&records);
		if (what == 'R') {
			uint64_t identity = sp_rd_be64(&records), position = sp_rd_be64(&records);
			if (!records.bad)
				rc = reader->ring(reader->owner, identity, position);
		} else if (what == 'K') {
			uint64_t boot = sp_rd_be64(&records);
			if (!records.bad && reader->boot_r != NULL)
				*reader->boot_r = boot;
		} else if (what == 'S' || what == 'F') {
			struct journal_entry e;
			read_entry(&records, &blocks, what == 'F', &e);
			if (!records.bad && !blocks.bad)
				rc = reader->entry(reader->owner, b, &e);
		} else {
			return SP_EPROTO;
		}
	}
	return rc != SP_OK ? rc : sp_rd_done(&records) && sp_rd_done(&blocks) ? SP_OK : SP_EPROTO;
}

static int
any_ring(void *owner, uint64_t identity, uint64_t position)
{
	(void)owner;
	(void)identity;
	(void)position;
	return SP_OK;
}

static int
check_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	(void)owner;
	(void)b;
	return entry_holds(e) ? SP_OK : SP_EPROTO;
}

int
batch_each(const struct batch *b, int (*entry)(void *owner, const struct batch *b, const struct journal_entry *e), void *owner)
{
	const struct journal_reader reader = { any_ring, entry, owner, NULL };
	return read_records(b, sp_reader(buffer_bytes(&b->records)), sp_reader(buffer_bytes(&b->blocks)), &reader);
}

static bool
read_head(struct replay *p, uint64_t segment)
{
	if (!load(p, JOURNAL_HEAD))
		return false;
	struct sp_reader r = sp_reader(buffer_bytes(&p->bytes));
	memcpy(p->head, buffer_bytes(&p->bytes).p, JOURNAL_HEAD);
	bool is = sp_bytes_eq(sp_rd_take(&r, 8), SP_LIT(JOURNAL_MAGIC)) && sp_rd_be64(&r) == segment;
	(void)sp_rd_take(&r, JOURNAL_LIFE);
	p->had = sp_rd_be64(&r);
	return is;
}

/* What it says it is, in this life of the file. */
static bool
batch_holds(const struct replay *p, struct sp_bytes hashed, struct sp_bytes stated)
{
	uint8_t hash[DIGEST_LEN];
	struct digest *d = digest_begin();
	digest_add(d, (struct sp_bytes){ p->head, sizeof(p->head) });
	digest_add(d, hashed);
	digest_end(&d, hash);
	return stated.len == DIGEST_LEN && memcmp(hash, stated.p, DIGEST_LEN) == 0;
}

/* 1: a batch was there, 0: the end, what a crash left, or what the file held before; < 0: the reader gave up. */
static int
next_batch(struct replay *p)
{
	p->torn = false;
	if (!load(p, JOURNAL_BATCH))
		return 0;
	struct sp_reader r = sp_reader(buffer_bytes(&p->bytes));
	uint32_t magic = sp_rd_be32(&r);
	size_t nrecords = sp_rd_be32(&r), nblocks = sp_rd_be32(&r);
	p->batch.number = sp_rd_be64(&r);
	p->batch.wall = sp_rd_be64(&r);
	p->batch.audited = sp_rd_be64(&r);
	if (magic != JOURNAL_BATCH_MAGIC || p->batch.number <= p->j->batch)
		return 0;
	p->torn = true;
	if (!load(p, JOURNAL_BATCH + nrecords + DIGEST_LEN + nblocks))
		return 0;
	struct sp_bytes whole = buffer_bytes(&p->bytes);
	r = sp_reader(whole);
	struct sp_bytes hashed = sp_rd_take(&r, JOURNAL_BATCH + nrecords), stated = sp_rd_take(&r, DIGEST_LEN);
	struct sp_bytes blocks = sp_rd_rest(&r);
	if (r.bad || !batch_holds(p, hashed, stated))
		return 0;
	struct sp_reader h = sp_reader(hashed);
	(void)sp_rd_take(&h, JOURNAL_BATCH);
	struct sp_reader records = sp_reader(sp_rd_rest(&h));
	/* Twice over the records: all must hold before any counts. */
	const struct journal_reader check = { any_ring, check_entry, NULL, NULL };
	if (read_records(&p->batch, records, sp_reader(blocks), &check) != SP_OK)
		return 0;
	p->j->batch = p->batch.number;
	p->at += whole.len;
	int rc = read_records(&p->batch, records, sp_reader(blocks), p->reader);
	return rc == SP_OK ? 1 : rc;
}

static int
replay_segment(struct replay *p, uint64_t segment, bool last, bool *damaged_r)
{
	char name[JOURNAL_NAME];
	struct stat st;
	int rc = 1;
	p->fd = openat(p->j->dir, journal_name(segment, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p->fd < 0 || fstat(p->fd, &st) != 0) {
		log_error("journal %s cannot be read: %s", name, strerror(errno));
		return SP_EIO;
	}
	p->at = 0;
	p->end = (uint64_t)st.st_size;
	bool begun = read_head(p, segment);
	p->at = begun ? JOURNAL_HEAD : 0;
	p->torn = !begun;
	while (begun && rc == 1)
		rc = next_batch(p);
	close(p->fd);
	if (rc < 0)
		return rc;
	if (p->unreadable) {
		log_error("journal %s cannot be read at byte %llu: mend the disk, or move the file away and lose what only it has", name,
		    (unsigned long long)p->at);
		return SP_EIO;
	}
	if (p->at != p->end && last && (p->torn || p->end > p->had)) /* as long as it was, it may be what it had */
		log_warn("journal %s ends torn: the last %llu bytes, never said to be written, are left out", name,
		    (unsigned long long)(p->end - p->at));
	if (p->at != p->end && !last) {
		log_error("journal %s is damaged at byte %llu", name, (unsigned long long)p->at);
		*damaged_r = true;
	}
	return SP_OK;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Numbers of the segments that are there, sorted; *list_r is freed by the caller. */
static int
list_segments(int dir, uint64_t **list_r, size_t *n_r)
{
	struct buffer found = { 0 };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	*list_r = NULL;
	*n_r = 0;
	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return SP_EIO;
	}
	int rc = SP_OK;
	for (struct dirent *e; rc == SP_OK && (e = readdir(d)) != NULL;) {
		char name[JOURNAL_NAME];
		uint64_t number = strtoull(e->d_name, NULL, 10);
		if (number > 0 && strcmp(journal_name(number, name), e->d_name) == 0)
			rc = buffer_put(&found, (struct sp_bytes){ (const uint8_t *)&number, sizeof(number) });
	}
	closedir(d);
	*n_r = found.len / sizeof(uint64_t);
	*list_r = mem_alloc(found.len + 1);
	if (found.len > 0)
		memcpy(*list_r, buffer_bytes(&found).p, found.len);
	buffer_free(&found);
	qsort(*list_r, *n_r, sizeof(uint64_t), compare);
	return rc;
}

int
journal_replay(struct journal *j, const struct journal_reader *reader, bool *damaged_r)
{
	struct replay p = { .j = j, .reader = reader, .bytes = { .max = SIZE_MAX / 4 } };
	uint64_t *segment;
	size_t n;
	*damaged_r = false;
	int rc = list_segments(j->dir, &segment, &n);
	for (size_t i = 0; i < n && rc == SP_OK; i++) {
		rc = replay_segment(&p, segment[i], i + 1 == n, damaged_r);
		j->segment = segment[i];
		j->size = p.at;
		j->tail = p.at != p.end;
	}
	j->oldest = n > 0 ? segment[0] : 0;
	free(segment);
	buffer_free(&p.bytes);
	return rc;
}
