/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that dies with its owner, bytes that grow, and secrets that leave no trace.
 *
 * An arena gives zeroed memory and is freed whole; it counts against a cap and returns NULL
 * beyond it.  A buffer is one growable run of bytes.  A secret lives in locked memory, is wiped
 * when freed and never printed.
 */
#ifndef SALLYPORT_MEMORY_H
#define SALLYPORT_MEMORY_H

#include <sallyport/module.h>

struct arena;

/* cap: bytes that may ever be taken; 0 denies nothing here, it means the default of 16 MB. */
struct arena *arena_new(size_t cap);
void arena_free(struct arena **a);
void *arena_alloc(struct arena *a, size_t n);                   /* zeroed, aligned, NULL over cap */
char *arena_string(struct arena *a, struct sp_bytes s);         /* NUL-terminated copy */
struct sp_bytes arena_bytes(struct arena *a, struct sp_bytes b); /* copy */
char *arena_printf(struct arena *a, const char *fmt, ...) SP_PRINTF(2, 3);
size_t arena_used(const struct arena *a);

/* Overwrites in a way that the compiler keeps. */
void mem_wipe(void *p, size_t n);
/* Equal, in time that depends on the lengths only. */
bool mem_equal(struct sp_bytes a, struct sp_bytes b);
/* malloc that ends the process when the system has none left: our own small needs, never a peer's length. */
void *mem_alloc(size_t n);
char *mem_string(struct sp_bytes s);

struct buffer {
	uint8_t *p;
	size_t start, len, cap; /* live bytes: p[start .. start+len) */
	size_t max;             /* 0: BUFFER_MAX */
};

#define BUFFER_MAX (64u << 20)

static inline struct sp_bytes
buffer_bytes(const struct buffer *b)
{
	return (struct sp_bytes){ b->len == 0 ? NULL : b->p + b->start, b->len };
}

int buffer_put(struct buffer *b, struct sp_bytes in) SP_MUST;
int buffer_printf(struct buffer *b, const char *fmt, ...) SP_PRINTF(2, 3);
uint8_t *buffer_more(struct buffer *b, size_t n); /* buffer_room() where there is none yet */

/* n writable bytes after the live ones, not yet counted; NULL: that would be more than its most, or than there is. */
static inline uint8_t *
buffer_room(struct buffer *b, size_t n)
{
	size_t max = b->max == 0 ? BUFFER_MAX : b->max;
	if (b->len > max || n > max - b->len)
		return NULL;
	return b->p != NULL && n <= b->cap - b->start - b->len ? b->p + b->start + b->len : buffer_more(b, n);
}

/* …now counted */
static inline void
buffer_added(struct buffer *b, size_t n)
{
	b->len += n;
}

/* From the front. */
static inline void
buffer_drop(struct buffer *b, size_t n)
{
	b->start = n >= b->len ? 0 : b->start + n;
	b->len = n >= b->len ? 0 : b->len - n;
}

void buffer_free(struct buffer *b);               /* wiped, empty, usable again */
void buffer_reset(struct buffer *b);              /* the same, and it may keep a little memory for its next use */
/* A writer that appends to b; call buffer_written() before using b again. */
struct sp_writer buffer_writer(struct buffer *b);
int buffer_written(struct buffer *b, const struct sp_writer *w) SP_MUST;

struct sp_secret; /* locked, not dumped, wiped */
struct sp_secret *secret_new(struct sp_bytes b); /* NULL: no locked memory to be had */
void secret_free(struct sp_secret **s);
struct sp_bytes secret_bytes(const struct sp_secret *s);

#endif
