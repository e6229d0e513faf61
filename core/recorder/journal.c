/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the journal: batches and segments. */
#include <config.h>

#include <stdlib.h>

#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "journal_file.h"
#include "store.h"

#define BATCH_MAX (256u << 20)

void
batch_begin(struct batch *b)
{
	buffer_drop(&b->records, b->records.len);
	buffer_drop(&b->blocks, b->blocks.len);
	buffer_drop(&b->places, b->places.len);
	buffer_drop(&b->placed, b->placed.len);
	b->records.max = b->blocks.max = b->places.max = b->placed.max = BATCH_MAX;
	b->entries = 0;
}

void
batch_free(struct batch *b)
{
	buffer_free(&b->records);
	buffer_free(&b->blocks);
	buffer_free(&b->places);
	buffer_free(&b->placed);
}

/* Our own small records: without memory for them nothing can be promised any more. */
static void
put_record(struct buffer *into, struct sp_bytes record)
{
	if (buffer_put(into, record) != SP_OK)
		abort();
}

void
batch_boot(struct batch *b, uint64_t boot)
{
	uint8_t bytes[JOURNAL_BOOT];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	sp_wr_u8(&w, 'K');
	sp_wr_be64(&w, boot);
	put_record(&b->records, sp_written(&w));
}

void
batch_ring(struct batch *b, uint64_t identity, uint64_t position)
{
	uint8_t bytes[JOURNAL_RING];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	sp_wr_u8(&w, 'R');
	sp_wr_be64(&w, identity);
	sp_wr_be64(&w, position);
	put_record(&b->records, sp_written(&w));
}

static void
write_state(struct sp_writer *w, const struct journal_state *s)
{
	sp_wr_u8(w, (uint8_t)s->state);
	sp_wr_be32(w, s->blocks);
	sp_wr_be32(w, s->frames);
	sp_wr_be64(w, s->from);
	sp_wr_be64(w, s->operations);
	sp_wr_be64(w, s->denied);
	sp_wr_be64(w, s->held);
	sp_wr_be64(w, s->rows);
	sp_wr_be64(w, s->bytes);
	sp_wr_be64(w, s->last_at);
}

static void
put_entry(struct batch *b, char what, const struct journal_entry *e, size_t len)
{
	uint8_t bytes[JOURNAL_ENTRY];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	sp_wr_u8(&w, (uint8_t)what);
	sp_wr_put(&w, (struct sp_bytes){ e->session, ID_LEN });
	sp_wr_be64(&w, e->ring);
	sp_wr_be64(&w, e->offset);
	sp_wr_be32(&w, (uint32_t)len);
	write_state(&w, &e->state);
	sp_wr_put(&w, (struct sp_bytes){ e->previous, DIGEST_LEN });
	sp_wr_put(&w, (struct sp_bytes){ e->hash, DIGEST_LEN });
	put_record(&b->records, sp_written(&w));
	b->entries++;
}

void
batch_entry(struct batch *b, const struct journal_entry *e)
{
	put_entry(b, 'S', e, e->block.len);
}

void
batch_place(struct batch *b, const struct journal_entry *e)
{
	struct placement p = { .offset = e->offset, .len = e->placed };
	memcpy(p.session, e->session, ID_LEN);
	put_record(&b->places, (struct sp_bytes){ (const uint8_t *)&p, sizeof(p) });
	put_entry(b, 'F', e, e->placed);
}

const char *
journal_name(uint64_t segment, char name[JOURNAL_NAME])
{
	(void)snprintf(name, JOURNAL_NAME, "%08llu.jnl", (unsigned long long)segment);
	return name;
}

void
journal_close(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}

uint64_t
journal_full(int dir)
{
	struct statvfs v;
	if (fstatvfs(dir, &v) != 0 || v.f_blocks == 0)
		return JOURNAL_SEGMENT;
	uint64_t eighth = (uint64_t)v.f_blocks / 8 * v.f_frsize;
	return eighth < JOURNAL_SMALLEST ? JOURNAL_SMALLEST : eighth < JOURNAL_SEGMENT ? eighth : JOURNAL_SEGMENT;
}

/* Nothing behind the last batch: once another segment follows it would look like damage. */
static int
cut(struct journal *j)
{
	char name[JOURNAL_NAME];
	bool another = j->fd < 0 && j->segment > 0; /* who wrote it may have died before he synced it */
	if (!j->tail && !another)
		return SP_OK;
	int fd = j->fd >= 0 ? j->fd : openat(j->dir, journal_name(j->segment, name), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = fd >= 0 && ftruncate(fd, (off_t)j->size) == 0 ? SP_OK : SP_EIO;
	j->tail = false; /* a disk that fails is not asked again: it may never do it, and at worst there is a false alarm */
	if (rc == SP_OK && fsync(fd) != 0) {
		rc = SP_EIO;
		j->failed = true;
	}
	int error = errno;
	if (fd >= 0 && fd != j->fd)
		close(fd);
	errno = error;
	return rc;
}

/* The spare, still by that name, or a new file; one may be there whose first batch never came to be. */
static int
open_next(struct journal *j, const char *name, bool *over_r)
{
	int fd = j->spare ? openat(j->dir, JOURNAL_SPARE, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
	*over_r = fd >= 0;
	j->spare = false; /* what fails with it is done without it */
	return fd >= 0 ? fd : openat(j->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static int
write_head(int fd, uint64_t segment, uint8_t head[JOURNAL_HEAD])
{
	struct stat st;
	struct sp_writer w = sp_writer(head, JOURNAL_HEAD);
	uint8_t life[JOURNAL_LIFE];
	random_bytes(life, sizeof(life));
	sp_wr_put(&w, SP_LIT(JOURNAL_MAGIC));
	sp_wr_be64(&w, segment);
	sp_wr_put(&w, (struct sp_bytes){ life, sizeof(life) });
	if (fstat(fd, &st) != 0)
		return SP_EIO;
	sp_wr_be64(&w, (uint64_t)st.st_size);
	return write_at(fd, sp_written(&w), 0);
}

int
journal_rotate(struct journal *j)
{
	char name[JOURNAL_NAME];
	uint8_t head[JOURNAL_HEAD];
	bool over;
	int fd = cut(j) != SP_OK ? -1 : open_next(j, journal_name(j->segment + 1, name), &over);
	if (fd < 0)
		return SP_EIO;
	/* The head is on disk before the name: at no moment does a file bear another one's. */
	if (write_head(fd, j->segment + 1, head) != SP_OK || fsync(fd) != 0 ||
	    (over && renameat(j->dir, JOURNAL_SPARE, j->dir, name) != 0) || fsync(j->dir) != 0) {
		int error = errno;
		(void)unlinkat(j->dir, JOURNAL_SPARE, 0);
		close(fd);
		errno = error;
		return SP_EIO;
	}
	journal_close(j);
	j->fd = fd;
	j->segment++;
	j->size = sizeof(head);
	memcpy(j->head, head, sizeof(head));
	j->tail = over;
	j->failed = false;
	if (j->oldest == 0)
		j->oldest = j->segment;
	return SP_OK;
}

static size_t
total(const struct iovec *part, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += part[i].iov_len;
	return sum;
}

/* Usually one call; the kernel may take less at a time. */
static int
write_parts(int fd, struct iovec *part, int n, uint64_t at)
{
	while (total(part, n) > 0) {
		ssize_t done = pwritev(fd, part, n, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return SP_EIO;
		at += (uint64_t)done;
		for (int i = 0; i < n && done > 0; i++) {
			size_t step = (size_t)done < part[i].iov_len ? (size_t)done : part[i].iov_len;
			if (step == 0)
				continue; /* nothing there, not even an address */
			part[i].iov_base = (uint8_t *)part[i].iov_base + step;
			part[i].iov_len -= step;
			done -= (ssize_t)step;
		}
	}
	return SP_OK;
}

int
journal_append(struct journal *j, struct batch *b)
{
	uint8_t head[JOURNAL_BATCH], hash[DIGEST_LEN];
	struct sp_writer w = sp_writer(head, sizeof(head));
	struct sp_bytes records = buffer_bytes(&b->records), blocks = buffer_bytes(&b->blocks);
	b->number = j->batch + 1;
	sp_wr_be32(&w, JOURNAL_BATCH_MAGIC);
	sp_wr_be32(&w, (uint32_t)records.len);
	sp_wr_be32(&w, (uint32_t)blocks.len);
	sp_wr_be64(&w, b->number);
	sp_wr_be64(&w, b->wall);
	sp_wr_be64(&w, b->audited);
	struct digest *d = digest_begin();
	digest_add(d, (struct sp_bytes){ j->head, sizeof(j->head) });
	digest_add(d, sp_written(&w));
	digest_add(d, records);
	digest_end(&d, hash);
	struct iovec part[] = { { head, sizeof(head) }, { (void *)records.p, records.len }, { hash, sizeof(hash) },
		{ (void *)blocks.p, blocks.len } };
	const int n = sizeof(part) / sizeof(*part);
	size_t len = total(part, n);
	if (write_parts(j->fd, part, n, j->size) != SP_OK) {
		int error = errno;
		j->tail = ftruncate(j->fd, (off_t)j->size) != 0 || j->tail;
		errno = error;
		return SP_EIO;
	}
	j->size += len;
	j->batch = b->number;
	return SP_OK;
}

int
journal_sync(struct journal *j)
{
	if (!j->failed && fdatasync(j->fd) == 0)
		return SP_OK;
	errno = j->failed ? EIO : errno;
	j->failed = true;
	return SP_EIO;
}

int
journal_remove(struct journal *j, uint64_t segment)
{
	char name[JOURNAL_NAME];
	bool keeps = segment > j->spent && !j->spare;
	journal_name(segment, name);
	int rc = keeps ? renameat(j->dir, name, j->dir, JOURNAL_SPARE) : unlinkat(j->dir, name, 0);
	if ((rc != 0 && errno != ENOENT) || fsync(j->dir) != 0)
		return SP_EIO;
	j->spare = j->spare || keeps; /* not before it is so on disk: it gets another segment's head */
	return SP_OK;
}

int
journal_keep_none(struct journal *j)
{
	j->spent = j->segment;
	j->spare = false;
	int rc = unlinkat(j->dir, JOURNAL_SPARE, 0);
	if (rc == 0 ? fsync(j->dir) != 0 : errno != ENOENT)
		return SP_EIO;
	return cut(j);
}
