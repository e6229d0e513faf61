/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the blocks of a recording; every sentence names the block, its frames and the byte. */
#include <config.h>

#include "block.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int wrong(struct block_file *f, const char *fmt, ...) SP_PRINTF(2, 3);

static int
wrong(struct block_file *f, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
	return SP_EPROTO;
}

/* len bytes at `at`, appended to f->in; a read that comes short means that the file shrank. */
static int
fill(struct block_file *f, uint64_t at, size_t len)
{
	uint8_t *into = buffer_room(&f->in, len);
	if (into == NULL)
		return wrong(f, "no memory for a block of %zu bytes", len);
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(f->fd, into + done, len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return wrong(f, "cannot read at byte %llu: %s", (unsigned long long)(at + done),
			    n == 0 ? "the file became shorter" : strerror(errno));
		done += (size_t)n;
	}
	buffer_added(&f->in, len);
	return SP_OK;
}

/* The next block's bytes into f->in. */
static int
load(struct block_file *f)
{
	uint64_t left = f->end - f->at;
	buffer_drop(&f->in, f->in.len);
	if (left < BLOCK_OVERHEAD)
		return wrong(f, "block %u, after frame %u, is cut at byte %llu", f->number + 1, f->frames,
		    (unsigned long long)f->end);
	int rc = fill(f, f->at, BLOCK_HEAD);
	if (rc != SP_OK)
		return rc;
	struct sp_reader head = sp_reader(buffer_bytes(&f->in));
	(void)sp_rd_take(&head, BLOCK_HEAD - 4);
	size_t stored = sp_rd_be32(&head);
	if (stored > BLOCK_STORED_MAX)
		return wrong(f, "block %u, after frame %u, at byte %llu: its head was changed (it claims %zu bytes)", f->number + 1,
		    f->frames, (unsigned long long)f->at, stored);
	if (stored > left - BLOCK_OVERHEAD)
		return wrong(f, "block %u, after frame %u, at byte %llu is cut: %llu of %zu bytes are there, or its head was changed",
		    f->number + 1, f->frames, (unsigned long long)f->at, (unsigned long long)left, stored + BLOCK_OVERHEAD);
	return fill(f, f->at + BLOCK_HEAD, stored + DIGEST_LEN);
}

static int
check(struct block_file *f, const struct block *b)
{
	unsigned long long at = f->at;
	if (b->number != f->number + 1)
		return wrong(f, "block %u is missing or out of order: block %u stands at byte %llu, after frame %u", f->number + 1,
		    b->number, at, f->frames);
	if (!block_follows(b, f->chain))
		return wrong(f, "block %u, frames %u–%u, at byte %llu: its hash does not match, it was changed or moved", b->number,
		    f->frames + 1, f->frames + (b->frames > 0 ? b->frames : 1), at);
	if (b->first != f->frames + 1 || b->frames == 0 || b->frames > UINT32_MAX - f->frames)
		return wrong(f, "block %u at byte %llu counts frames from %u, not from %u", b->number, at, b->first, f->frames + 1);
	return SP_OK;
}

int
block_file_next(struct block_file *f, struct block *b_r)
{
	*b_r = (struct block){ 0 };
	if (f->text[0] != '\0')
		return SP_EPROTO;
	if (f->at == f->end)
		return 0;
	int rc = load(f);
	if (rc != SP_OK)
		return rc;
	struct sp_reader r = sp_reader(buffer_bytes(&f->in));
	if (block_read(&r, b_r) != SP_OK)
		return wrong(f, "block %u, after frame %u, at byte %llu: its head was changed", f->number + 1, f->frames,
		    (unsigned long long)f->at);
	rc = check(f, b_r);
	if (rc != SP_OK)
		return rc;
	memcpy(f->chain, b_r->hash, DIGEST_LEN);
	f->number = b_r->number;
	f->frames += b_r->frames;
	f->from = f->at;
	f->at += b_r->whole.len;
	return 1;
}

/* The id that the header frame states; the chain will tell whether it is true. */
static int
session_of_header(struct block_file *f)
{
	struct buffer plain = { .max = BLOCK_PLAIN_MAX };
	struct block b;
	struct frame header = { 0 };
	char text[ID_TEXT] = "";
	int rc = load(f);
	if (rc != SP_OK)
		return rc;
	struct sp_reader r = sp_reader(buffer_bytes(&f->in));
	rc = block_read(&r, &b);
	if (rc == SP_OK)
		rc = block_plain(&b, NULL, f->session, &plain);
	r = sp_reader(buffer_bytes(&plain));
	if (rc == SP_OK)
		rc = frame_decode(&r, &header);
	struct sp_bytes id = frame_get(&header, KEY_SESSION);
	if (rc == SP_OK && header.type == FRAME_HEADER && id.len == sizeof(text) - 1)
		memcpy(text, id.p, id.len);
	buffer_free(&plain);
	if (id_parse(text, f->session) != SP_OK)
		return wrong(f, "block 1, at byte %d: no header frame stands at its beginning, or it was changed", RECORDING_HEAD);
	return SP_OK;
}

int
block_file_open(struct block_file *f, int fd, const uint8_t *session)
{
	struct stat st;
	*f = (struct block_file){ .fd = fd, .in = { .max = BLOCK_STORED_MAX + BLOCK_OVERHEAD } };
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return wrong(f, "not a file");
	f->end = (uint64_t)st.st_size;
	if (f->end < RECORDING_HEAD || fill(f, 0, RECORDING_HEAD) != SP_OK ||
	    !sp_bytes_eq(buffer_bytes(&f->in), SP_LIT(RECORDING_MAGIC)))
		return wrong(f, "not a recording: it does not begin with %s", RECORDING_MAGIC);
	f->at = RECORDING_HEAD;
	if (session != NULL)
		memcpy(f->session, session, ID_LEN);
	else if (f->at == f->end)
		return wrong(f, "an empty recording");
	else if (session_of_header(f) != SP_OK)
		return SP_EPROTO;
	block_chain_start(f->session, f->chain);
	return SP_OK;
}

bool
block_file_grow(struct block_file *f)
{
	struct stat st;
	uint64_t end = f->end;
	if (f->text[0] != '\0' || fstat(f->fd, &st) != 0)
		return false;
	uint64_t size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
	while (end < size && size - end >= BLOCK_OVERHEAD) {
		uint8_t head[BLOCK_HEAD];
		if (pread(f->fd, head, sizeof(head), (off_t)end) != (ssize_t)sizeof(head))
			break;
		struct sp_reader r = sp_reader((struct sp_bytes){ head, sizeof(head) });
		(void)sp_rd_take(&r, BLOCK_HEAD - 4);
		uint64_t stored = sp_rd_be32(&r);
		if (stored > BLOCK_STORED_MAX)
			end = size; /* the next read says what is wrong with it */
		else if (stored > size - end - BLOCK_OVERHEAD)
			break;
		else
			end += stored + BLOCK_OVERHEAD;
	}
	bool more = end > f->end;
	f->end = end;
	return more;
}

void
block_file_close(struct block_file *f)
{
	buffer_free(&f->in);
	f->fd = -1;
}
