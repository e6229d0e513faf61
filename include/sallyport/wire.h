/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing bytes that come from people we do not trust.
 *
 *     struct sp_reader r = sp_reader(in);
 *     uint32_t n = sp_rd_be32(&r);
 *     struct sp_bytes v = sp_rd_take(&r, n);
 *     if (!sp_rd_done(&r)) return SP_EPROTO;      one test, at the end
 *
 * A reader never leaves its bytes: a read that does not fit sets `bad`, yields zero or
 * empty, and so does every read after it.  A writer is the mirror image over memory of the
 * caller's, or over memory that `grow` provides.  No pointer arithmetic on input belongs
 * anywhere but here.
 *
 * Ownership: nothing here allocates or frees; what a read yields points into the bytes that were given.
 * Units: bytes.  be16, be32, be64: unsigned, most significant byte first.
 * Errors: `bad`, latched; nothing else.
 */
#ifndef SALLYPORT_WIRE_H
#define SALLYPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes: whoever hands them out says until when they live. */
struct sp_bytes {
	const uint8_t *p;
	size_t len;
};

#define SP_LIT(s) ((struct sp_bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

/* The text without its NUL, borrowed; NULL is empty. */
static inline struct sp_bytes
sp_str(const char *s)
{
	return (struct sp_bytes){ (const uint8_t *)s, s == NULL ? 0 : strlen(s) };
}

/* Not in constant time: never for secrets. */
static inline bool
sp_bytes_eq(struct sp_bytes a, struct sp_bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool
sp_bytes_is(struct sp_bytes a, const char *s)
{
	return sp_bytes_eq(a, sp_str(s));
}

/* ---- reading ---- */

struct sp_reader {
	const uint8_t *p;
	size_t left;
	bool bad; /* latched by the first read that does not fit */
};

/* A reader at the first of these bytes, which stay the caller's and must outlive it. */
static inline struct sp_reader
sp_reader(struct sp_bytes b)
{
	return (struct sp_reader){ b.p, b.len, false };
}

/* The next n bytes, or empty and bad. */
static inline struct sp_bytes
sp_rd_take(struct sp_reader *r, size_t n)
{
	struct sp_bytes v = { r->p, n };
	if (r->bad || n > r->left) {
		r->bad = true;
		return (struct sp_bytes){ NULL, 0 };
	}
	if (n > 0)
		r->p += n;
	r->left -= n;
	return v;
}

/* A number; 0 and bad when its bytes are not all there. */
static inline uint8_t
sp_rd_u8(struct sp_reader *r)
{
	struct sp_bytes v = sp_rd_take(r, 1);
	return v.len == 0 ? 0 : v.p[0];
}

static inline uint16_t
sp_rd_be16(struct sp_reader *r)
{
	struct sp_bytes v = sp_rd_take(r, 2);
	return (uint16_t)(v.len == 0 ? 0 : v.p[0] << 8 | v.p[1]);
}

static inline uint32_t
sp_rd_be32(struct sp_reader *r)
{
	struct sp_bytes v = sp_rd_take(r, 4);
	if (v.len == 0)
		return 0;
	return (uint32_t)v.p[0] << 24 | (uint32_t)v.p[1] << 16 | (uint32_t)v.p[2] << 8 | v.p[3];
}

static inline uint64_t
sp_rd_be64(struct sp_reader *r)
{
	uint64_t high = sp_rd_be32(r);
	return high << 32 | sp_rd_be32(r);
}

/* The bytes before the next `end`, which is consumed too; bad when there is none. */
static inline struct sp_bytes
sp_rd_until(struct sp_reader *r, uint8_t end)
{
	const uint8_t *at = r->bad || r->left == 0 ? NULL : memchr(r->p, end, r->left);
	if (at == NULL) {
		r->bad = true;
		return (struct sp_bytes){ NULL, 0 };
	}
	struct sp_bytes v = sp_rd_take(r, (size_t)(at - r->p));
	(void)sp_rd_take(r, 1);
	return v;
}

/* A NUL-terminated string; the terminator is consumed and stands at v.p[v.len]. */
static inline struct sp_bytes
sp_rd_cstr(struct sp_reader *r)
{
	return sp_rd_until(r, 0);
}

/* All that is left; empty when bad. */
static inline struct sp_bytes
sp_rd_rest(struct sp_reader *r)
{
	return sp_rd_take(r, r->bad ? 0 : r->left);
}

/* True when every byte was accounted for: nothing missing, nothing left over. */
static inline bool
sp_rd_done(const struct sp_reader *r)
{
	return !r->bad && r->left == 0;
}

/* ---- writing ---- */

struct sp_writer {
	uint8_t *p;
	size_t len, cap;
	bool bad;                                         /* latched: did not fit */
	int (*grow)(struct sp_writer *w, size_t more);    /* NULL: fixed; 0: cap - len >= more now */
	void *owner;                                      /* for grow() */
};

/* A writer over memory of the caller's, which does not grow. */
static inline struct sp_writer
sp_writer(void *p, size_t cap)
{
	return (struct sp_writer){ .p = p, .cap = cap };
}

/* Room for n bytes at the end, or NULL and bad; the bytes count as written. */
static inline uint8_t *
sp_wr_room(struct sp_writer *w, size_t n)
{
	if (w->bad)
		return NULL;
	if (n > w->cap - w->len && (w->grow == NULL || w->grow(w, n) != 0)) {
		w->bad = true;
		return NULL;
	}
	uint8_t *at = w->p + w->len;
	w->len += n;
	return at;
}

/* Copied to the end, whole or not at all. */
static inline void
sp_wr_put(struct sp_writer *w, struct sp_bytes b)
{
	uint8_t *at = b.len == 0 ? NULL : sp_wr_room(w, b.len);
	if (at != NULL)
		memcpy(at, b.p, b.len);
}

static inline void
sp_wr_u8(struct sp_writer *w, uint8_t v)
{
	sp_wr_put(w, (struct sp_bytes){ &v, 1 });
}

static inline void
sp_wr_be16(struct sp_writer *w, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };
	sp_wr_put(w, (struct sp_bytes){ b, sizeof(b) });
}

static inline void
sp_wr_be32(struct sp_writer *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
	sp_wr_put(w, (struct sp_bytes){ b, sizeof(b) });
}

static inline void
sp_wr_be64(struct sp_writer *w, uint64_t v)
{
	sp_wr_be32(w, (uint32_t)(v >> 32));
	sp_wr_be32(w, (uint32_t)v);
}

/* The string and a NUL; a string with a NUL inside is bad. */
static inline void
sp_wr_cstr(struct sp_writer *w, struct sp_bytes s)
{
	if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
		w->bad = true;
	sp_wr_put(w, s);
	sp_wr_u8(w, 0);
}

/* Overwrites four bytes already written, at `at`: for a length known only afterwards. */
static inline void
sp_wr_patch32(struct sp_writer *w, size_t at, size_t v)
{
	if (w->bad || v > UINT32_MAX || at > w->len || 4 > w->len - at) {
		w->bad = true;
		return;
	}
	w->p[at] = (uint8_t)(v >> 24);
	w->p[at + 1] = (uint8_t)(v >> 16);
	w->p[at + 2] = (uint8_t)(v >> 8);
	w->p[at + 3] = (uint8_t)v;
}

/* What was written, in the writer's own memory: until the next write.  Empty when bad. */
static inline struct sp_bytes
sp_written(const struct sp_writer *w)
{
	return (struct sp_bytes){ w->p, w->bad ? 0 : w->len };
}

#endif
