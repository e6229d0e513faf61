/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: what frames become on disk (frame.h has the bytes), one link of a recording's chain each.
 *
 *     frames ─▶ zstd when it pays ─▶ sealed when asked ─▶ head | stored | SHA-256(previous hash | all of it)
 *
 * block_file walks the blocks of a recording and stops at the first that is not what it must be.
 */
#ifndef SALLYPORT_BLOCK_H
#define SALLYPORT_BLOCK_H

#include "frame.h"
#include "seal.h"

#define RECORDING_MAGIC "SLPREC01"
#define RECORDING_HEAD 8
#define BLOCK_HEAD 32
#define BLOCK_OVERHEAD (BLOCK_HEAD + DIGEST_LEN)
#define BLOCK_PLAIN_MAX (FRAME_MAX + (2u << 20))
#define BLOCK_STORED_MAX (BLOCK_PLAIN_MAX + SEAL_OVERHEAD)
#define BLOCK_COMPRESS_FROM 256       /* bytes; less does not pay … */
#define BLOCK_COMPRESS_FROM_FAST 1024 /* … where there is much else to be written: levels below -1 */

enum block_flag { BLOCK_COMPRESSED = 1, BLOCK_SEALED = 2 };

struct block {
	uint16_t flags;
	uint32_t number, first, frames; /* from 1 */
	uint64_t wall;
	uint32_t plain;
	struct sp_bytes stored;
	struct sp_bytes whole; /* head, stored and hash */
	uint8_t hash[DIGEST_LEN];
};

void block_chain_start(const uint8_t session[ID_LEN], uint8_t out[DIGEST_LEN]);
/* Decodes; checks bounds, not the chain.  Borrows from the reader. */
int block_read(struct sp_reader *r, struct block *b_r) SP_MUST;
bool block_follows(const struct block *b, const uint8_t previous[DIGEST_LEN]);
/* The frames' bytes, into plain_r (emptied first).  u may be NULL: sealed blocks are SP_EDENIED. */
int block_plain(const struct block *b, struct unseal *u, const uint8_t session[ID_LEN], struct buffer *plain_r) SP_MUST;

struct block_maker; /* the compressor's memory, used again and again */
struct block_maker *block_maker_new(void);
void block_maker_free(struct block_maker **m);
/* zstd's level; 0: do not compress. */
void block_maker_level(struct block_maker *m, int level);
/* Called between pieces of what takes longer than some 20 µs; NULL: nobody is, and it is done in one go. */
void block_maker_pause(struct block_maker *m, void (*pause)(void *owner), void *owner);
/*
 * Appends to `out` the block of these frames: number, first, frames and wall of `b` are given, the
 * rest is set.  seal may be NULL.  chain: the previous hash on entry, this block's on return.
 * b_r->stored and ->whole borrow from `out`.
 */
int block_make(struct block_maker *m, const struct seal *seal, const uint8_t session[ID_LEN], struct sp_bytes frames,
    struct block *b_r, uint8_t chain[DIGEST_LEN], struct buffer *out) SP_MUST;

struct block_file {
	int fd;
	uint64_t at, end;      /* of the next block; of the file, as it was when opened */
	uint64_t from;         /* where the block last read begins */
	uint32_t number, frames; /* read so far */
	uint8_t session[ID_LEN], chain[DIGEST_LEN];
	struct buffer in;
	char text[256];        /* what is wrong, once something is */
};

/*
 * Does not own fd, and reads only what was there on opening: a live recording grows meanwhile.
 * session NULL: taken from the header, which is in the first block.
 */
int block_file_open(struct block_file *f, int fd, const uint8_t *session) SP_MUST;
/* 1 a block (borrowed until the next call), 0 the end, < 0 f->text says what is wrong. */
int block_file_next(struct block_file *f, struct block *b_r) SP_MUST;
/* What was written since: whole blocks count, a part of one not yet.  true: there is more. */
bool block_file_grow(struct block_file *f);
void block_file_close(struct block_file *f);

#endif
