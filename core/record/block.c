/* SPDX-License-Identifier: Apache-2.0 */
/* Making one block, reading one block. */
#include <config.h>

#include "block.h"

#include <stdlib.h>

#include <zstd.h>

#define LITTLE (16u << 10) /* bytes of a block's frames */
#define LITTLE_TABLE 11    /* log2 of its 32-bit places */
#define PIECE (12u << 10)  /* what is compressed in one go, when somebody is to be let go first between */

void
block_chain_start(const uint8_t session[ID_LEN], uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("sallyport recording 1"));
	digest_add(d, (struct sp_bytes){ session, ID_LEN });
	digest_end(&d, out);
}

static void
link_add(struct digest *d, const uint8_t previous[DIGEST_LEN], struct sp_bytes block)
{
	digest_add(d, (struct sp_bytes){ previous, DIGEST_LEN });
	digest_add(d, block);
}

/* ---- reading ---- */

int
block_read(struct sp_reader *r, struct block *b_r)
{
	struct sp_reader start = *r;
	*b_r = (struct block){ 0 };
	uint16_t magic = sp_rd_be16(r);
	b_r->flags = sp_rd_be16(r);
	b_r->number = sp_rd_be32(r);
	b_r->first = sp_rd_be32(r);
	b_r->frames = sp_rd_be32(r);
	b_r->wall = sp_rd_be64(r);
	b_r->plain = sp_rd_be32(r);
	uint32_t stored = sp_rd_be32(r);
	if (r->bad || magic != ('B' << 8 | 'K') || (b_r->flags & ~(BLOCK_COMPRESSED | BLOCK_SEALED)) != 0)
		return SP_EPROTO;
	if (b_r->plain > BLOCK_PLAIN_MAX || stored > BLOCK_STORED_MAX)
		return SP_ETOOBIG;
	b_r->stored = sp_rd_take(r, stored);
	struct sp_bytes hash = sp_rd_take(r, DIGEST_LEN);
	if (r->bad)
		return SP_EPROTO;
	memcpy(b_r->hash, hash.p, DIGEST_LEN);
	b_r->whole = sp_rd_take(&start, BLOCK_OVERHEAD + (size_t)stored);
	return SP_OK;
}

bool
block_follows(const struct block *b, const uint8_t previous[DIGEST_LEN])
{
	uint8_t hash[DIGEST_LEN];
	struct digest *d = digest_begin();
	link_add(d, previous, (struct sp_bytes){ b->whole.p, b->whole.len - DIGEST_LEN });
	digest_end(&d, hash);
	return memcmp(hash, b->hash, DIGEST_LEN) == 0;
}

/* What a sealed block is bound to: its session, and its whole head. */
static struct sp_bytes
bound_to(const uint8_t session[ID_LEN], const uint8_t *head, uint8_t into[ID_LEN + BLOCK_HEAD])
{
	memcpy(into, session, ID_LEN);
	memcpy(into + ID_LEN, head, BLOCK_HEAD);
	return (struct sp_bytes){ into, ID_LEN + BLOCK_HEAD };
}

static int
unpack(struct sp_bytes in, uint32_t plain, struct buffer *out)
{
	uint8_t *into = buffer_room(out, plain);
	if (into == NULL)
		return SP_ENOMEM;
	size_t n = ZSTD_decompress(into, plain, in.p, in.len);
	if (ZSTD_isError(n) || n != plain)
		return SP_EPROTO;
	buffer_added(out, n);
	return SP_OK;
}

static int
store(struct sp_bytes in, uint32_t plain, struct buffer *out)
{
	return in.len == plain ? buffer_put(out, in) : SP_EPROTO;
}

int
block_plain(const struct block *b, struct unseal *u, const uint8_t session[ID_LEN], struct buffer *plain_r)
{
	int (*open)(struct sp_bytes, uint32_t, struct buffer *) = b->flags & BLOCK_COMPRESSED ? unpack : store;
	buffer_drop(plain_r, plain_r->len);
	if ((b->flags & BLOCK_SEALED) == 0)
		return open(b->stored, b->plain, plain_r);
	if (u == NULL || b->stored.len < SEAL_OVERHEAD)
		return SP_EDENIED;
	uint8_t bytes[ID_LEN + BLOCK_HEAD];
	size_t len = b->stored.len - SEAL_OVERHEAD;
	uint8_t *packed = mem_alloc(len + 1);
	int rc = unseal_open(u, bound_to(session, b->whole.p, bytes), b->stored, packed);
	if (rc == SP_OK)
		rc = open((struct sp_bytes){ packed, len }, b->plain, plain_r);
	free(packed);
	return rc;
}

/* ---- making ---- */

struct block_maker {
	ZSTD_CCtx *zstd;
	struct digest *hash;
	int level;
	void (*pause)(void *owner);
	void *owner;
	struct buffer packed;
};

struct block_maker *
block_maker_new(void)
{
	struct block_maker *m = mem_alloc(sizeof(*m));
	*m = (struct block_maker){ .zstd = ZSTD_createCCtx(), .hash = digest_begin(), .level = 1 };
	return m;
}

void
block_maker_free(struct block_maker **m)
{
	uint8_t hash[DIGEST_LEN];
	if (*m == NULL)
		return;
	digest_end(&(*m)->hash, hash);
	ZSTD_freeCCtx((*m)->zstd);
	buffer_free(&(*m)->packed);
	free(*m);
	*m = NULL;
}

void
block_maker_level(struct block_maker *m, int level)
{
	m->level = level;
}

void
block_maker_pause(struct block_maker *m, void (*pause)(void *owner), void *owner)
{
	m->pause = pause;
	m->owner = owner;
}

/*
 * In a little block level -1 takes no longer than -5 and makes it smaller; and zstd's table of 8 KB finds as much in it
 * as one of 32 KB, which is emptied for every block.
 */
static bool
tune(const struct block_maker *m, size_t len)
{
	bool little = len <= LITTLE;
	int level = little && m->level < -1 && m->level >= -5 ? -1 : m->level;
	return !ZSTD_isError(ZSTD_CCtx_setParameter(m->zstd, ZSTD_c_compressionLevel, level)) &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(m->zstd, ZSTD_c_hashLog, little && level < 0 ? LITTLE_TABLE : 0));
}

/* Into less room than it had: what doesn't shrink is an error, cheaply found. */
static size_t
pack_whole(struct block_maker *m, struct sp_bytes frames, uint8_t *into)
{
	return ZSTD_compress2(m->zstd, into, frames.len - 1, frames.p, frames.len);
}

/* The same, one zstd frame, with pauses: each piece is one of its blocks, and finds what repeats in those before. */
static size_t
pack_pieces(struct block_maker *m, struct sp_bytes frames, uint8_t *into)
{
	ZSTD_inBuffer in = { frames.p, 0, 0 };
	ZSTD_outBuffer out = { into, frames.len - 1, 0 };
	(void)ZSTD_CCtx_reset(m->zstd, ZSTD_reset_session_only); /* one that found no room is not over yet */
	size_t rc = ZSTD_CCtx_setPledgedSrcSize(m->zstd, frames.len);
	while (!ZSTD_isError(rc) && in.size < frames.len) {
		in.size = frames.len - in.pos > PIECE ? in.pos + PIECE : frames.len;
		rc = ZSTD_compressStream2(m->zstd, &out, &in, in.size < frames.len ? ZSTD_e_flush : ZSTD_e_end);
		if (rc != 0) /* an error, or there is no room */
			break;
		if (in.size < frames.len)
			m->pause(m->owner);
	}
	return rc == 0 ? out.pos : (size_t)-1; /* what ZSTD_isError() takes for one */
}

/* The frames compressed, when that makes them smaller. */
static struct sp_bytes
pack(struct block_maker *m, struct sp_bytes frames)
{
	const size_t from = m->level < -1 ? BLOCK_COMPRESS_FROM_FAST : BLOCK_COMPRESS_FROM;
	buffer_drop(&m->packed, m->packed.len);
	if (m->zstd == NULL || m->level == 0 || frames.len < from || !tune(m, frames.len))
		return frames;
	uint8_t *into = buffer_room(&m->packed, frames.len);
	if (into == NULL)
		return frames;
	size_t n = (m->pause != NULL && frames.len > LITTLE ? pack_pieces : pack_whole)(m, frames, into);
	return ZSTD_isError(n) ? frames : (struct sp_bytes){ into, n };
}

static void
write_head(const struct block *b, size_t stored, uint8_t *into)
{
	struct sp_writer w = sp_writer(into, BLOCK_HEAD);
	sp_wr_be16(&w, 'B' << 8 | 'K');
	sp_wr_be16(&w, b->flags);
	sp_wr_be32(&w, b->number);
	sp_wr_be32(&w, b->first);
	sp_wr_be32(&w, b->frames);
	sp_wr_be64(&w, b->wall);
	sp_wr_be32(&w, b->plain);
	sp_wr_be32(&w, (uint32_t)stored);
}

int
block_make(struct block_maker *m, const struct seal *seal, const uint8_t session[ID_LEN], struct sp_bytes frames,
    struct block *b_r, uint8_t chain[DIGEST_LEN], struct buffer *out)
{
	uint8_t bytes[ID_LEN + BLOCK_HEAD];
	if (frames.len > BLOCK_PLAIN_MAX)
		return SP_ETOOBIG;
	struct sp_bytes packed = pack(m, frames);
	size_t stored = packed.len + (seal == NULL ? 0 : SEAL_OVERHEAD);
	uint8_t *at = buffer_room(out, BLOCK_OVERHEAD + stored);
	if (at == NULL)
		return SP_ENOMEM;
	b_r->flags = (uint16_t)((packed.p == frames.p ? 0 : BLOCK_COMPRESSED) | (seal == NULL ? 0 : BLOCK_SEALED));
	b_r->plain = (uint32_t)frames.len;
	write_head(b_r, stored, at);
	if (seal == NULL && packed.len > 0)
		memcpy(at + BLOCK_HEAD, packed.p, packed.len);
	else if (seal != NULL && seal_close(seal, bound_to(session, at, bytes), packed, at + BLOCK_HEAD) != SP_OK)
		return SP_EINTERNAL;
	link_add(m->hash, chain, (struct sp_bytes){ at, BLOCK_HEAD + stored });
	digest_next(m->hash, b_r->hash);
	memcpy(at + BLOCK_HEAD + stored, b_r->hash, DIGEST_LEN);
	memcpy(chain, b_r->hash, DIGEST_LEN);
	b_r->stored = (struct sp_bytes){ at + BLOCK_HEAD, stored };
	b_r->whole = (struct sp_bytes){ at, BLOCK_OVERHEAD + stored };
	buffer_added(out, BLOCK_OVERHEAD + stored);
	return SP_OK;
}
