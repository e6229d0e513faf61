/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that dies with its owner.
 *
 *   arena ─▶ chunk ─▶ chunk ─▶ …     newest first; each twice the size of the one before, to 64 kB;
 *     ╰─ stands in ───────╯           the arena itself is the first thing in its first chunk
 *
 * Whatever held input may have held a token, so every chunk and buffer is wiped before anybody
 * gets it again, and a buffer that grows wipes the memory it leaves.  Built with sanitizers, each
 * allocation is a chunk of its own, so that AddressSanitizer sees its edges.
 */
#include <config.h>

#include "memory.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_CAP (16u << 20)
#define CHUNK_FIRST 1024u
#define CHUNK_LAST (64u << 10)
#define SPARES 256u       /* of each size */
#define SPARE_SIZES 2u    /* CHUNK_FIRST and its double */
#define BUFFER_FIRST 256u
#define BUFFER_KEPT 1024u /* wiped at each use: longer is not worth keeping */

#ifdef SANITIZED
enum { CHUNKS_SHARED = false };
#else
enum { CHUNKS_SHARED = true };
#endif

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) uint8_t p[];
};

struct arena {
	struct chunk *chunk;
	size_t used, cap, next_size;
};

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

bool
mem_equal(struct sp_bytes a, struct sp_bytes b)
{
	if (a.len != b.len)
		return false;
	volatile uint8_t differ = 0;
	for (size_t i = 0; i < a.len; i++)
		differ = (uint8_t)(differ | (a.p[i] ^ b.p[i]));
	return differ == 0;
}

void *
mem_alloc(size_t n)
{
	void *p = calloc(1, n == 0 ? 1 : n);
	if (p == NULL) {
		static const char text[] = "out of memory\n";
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return p;
}

char *
mem_string(struct sp_bytes s)
{
	char *copy = mem_alloc(s.len + 1);
	if (s.len > 0)
		memcpy(copy, s.p, s.len);
	return copy;
}

/* ---- arena ---- */

/* First and second chunks, wiped and so all zero: most arenas have no more, and are as short as an operation. */
static _Thread_local struct spares {
	struct chunk *chunk;
	unsigned n;
} spares[SPARE_SIZES];

static struct spares *
spares_of(size_t size)
{
	for (unsigned i = 0; CHUNKS_SHARED && i < SPARE_SIZES; i++)
		if (size == CHUNK_FIRST << i)
			return &spares[i];
	return NULL;
}

static struct chunk *
spare_take(size_t size)
{
	struct spares *s = spares_of(size);
	struct chunk *c = s == NULL ? NULL : s->chunk;
	if (c == NULL)
		return NULL;
	s->chunk = c->next;
	s->n--;
	c->next = NULL;
	return c;
}

static bool
spare_keep(struct chunk *c)
{
	struct spares *s = spares_of(c->size);
	if (s == NULL || s->n >= SPARES)
		return false;
	c->used = 0;
	c->next = s->chunk;
	s->chunk = c;
	s->n++;
	return true;
}

static struct chunk *
chunk_of(size_t size)
{
	struct chunk *c = spare_take(size);
	if (c == NULL)
		c = calloc(1, sizeof(*c) + size);
	if (c != NULL)
		c->size = size;
	return c;
}

struct arena *
arena_new(size_t cap)
{
	struct chunk *c = chunk_of(CHUNKS_SHARED ? CHUNK_FIRST : sizeof(struct arena));
	if (c == NULL)
		return NULL;
	struct arena *a = (struct arena *)c->p;
	c->used = sizeof(*a);
	*a = (struct arena){ .chunk = c, .cap = cap == 0 ? ARENA_CAP : cap, .next_size = 2 * CHUNK_FIRST };
	return a;
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	for (struct chunk *c = (*a)->chunk, *next; c != NULL; c = next) {
		next = c->next;
		mem_wipe(c->p, c->used);
		if (!spare_keep(c))
			free(c);
	}
	*a = NULL;
}

static struct chunk *
chunk_new(struct arena *a, size_t need)
{
	bool shared = CHUNKS_SHARED && need <= a->next_size / 2;
	struct chunk *c = chunk_of(shared ? a->next_size : need);
	if (c == NULL)
		return NULL;
	if (shared && a->next_size < CHUNK_LAST)
		a->next_size *= 2;
	/* A chunk made for one large thing goes behind the one that still has room. */
	if (!shared) {
		c->next = a->chunk->next;
		a->chunk->next = c;
	} else {
		c->next = a->chunk;
		a->chunk = c;
	}
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	if (n > a->cap - a->used)
		return NULL;
	size_t need = n == 0 ? align : n + (align - n % align) % align;
	if (need > a->cap - a->used)
		return NULL;
	struct chunk *c = a->chunk;
	if (!CHUNKS_SHARED || need > c->size - c->used)
		c = chunk_new(a, CHUNKS_SHARED || n == 0 ? need : n);
	if (c == NULL)
		return NULL;
	void *p = c->p + c->used;
	c->used += CHUNKS_SHARED ? need : c->size;
	a->used += need;
	return p;
}

char *
arena_string(struct arena *a, struct sp_bytes s)
{
	char *copy = s.len == SIZE_MAX ? NULL : arena_alloc(a, s.len + 1);
	if (copy != NULL && s.len > 0)
		memcpy(copy, s.p, s.len);
	return copy;
}

struct sp_bytes
arena_bytes(struct arena *a, struct sp_bytes b)
{
	uint8_t *copy = arena_alloc(a, b.len);
	if (copy == NULL)
		return (struct sp_bytes){ NULL, 0 };
	if (b.len > 0)
		memcpy(copy, b.p, b.len);
	return (struct sp_bytes){ copy, b.len };
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *text = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (text == NULL)
		return NULL;
	va_start(args, fmt);
	(void)vsnprintf(text, (size_t)n + 1, fmt, args);
	va_end(args);
	return text;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

/* ---- buffer ---- */

uint8_t *
buffer_more(struct buffer *b, size_t n)
{
	size_t max = b->max == 0 ? BUFFER_MAX : b->max;
	/* Moving the live bytes to the front costs no more than what was dropped before them. */
	if (b->p != NULL && n <= b->cap - b->len && b->start >= b->len) {
		memmove(b->p, b->p + b->start, b->len);
		b->start = 0;
		return b->p + b->len;
	}
	size_t cap = b->len + n > BUFFER_FIRST ? b->len + n : BUFFER_FIRST;
	if (cap < 2 * b->cap)
		cap = 2 * b->cap;
	if (cap > max)
		cap = max;
	uint8_t *p = malloc(cap);
	if (p == NULL)
		return NULL;
	if (b->len > 0)
		memcpy(p, b->p + b->start, b->len);
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	free(b->p);
	b->p = p;
	b->start = 0;
	b->cap = cap;
	return p + b->len;
}

void
buffer_free(struct buffer *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	free(b->p);
	*b = (struct buffer){ .max = b->max };
}

void
buffer_reset(struct buffer *b)
{
	if (b->cap > BUFFER_KEPT) {
		buffer_free(b);
		return;
	}
	mem_wipe(b->p, b->cap);
	b->start = b->len = 0;
}

int
buffer_put(struct buffer *b, struct sp_bytes in)
{
	uint8_t *p = buffer_room(b, in.len);
	if (p == NULL)
		return SP_ETOOBIG;
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	buffer_added(b, in.len);
	return SP_OK;
}

int
buffer_printf(struct buffer *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return SP_EINTERNAL;
	uint8_t *p = buffer_room(b, (size_t)n + 1);
	if (p == NULL)
		return SP_ETOOBIG;
	va_start(args, fmt);
	(void)vsnprintf((char *)p, (size_t)n + 1, fmt, args);
	va_end(args);
	buffer_added(b, (size_t)n);
	return SP_OK;
}

/* What the writer wrote stands after the live bytes and is kept by counting it while growing. */
static int
buffer_grow(struct sp_writer *w, size_t more)
{
	struct buffer *b = w->owner;
	b->len += w->len;
	uint8_t *at = buffer_room(b, more);
	b->len -= w->len;
	if (at == NULL)
		return SP_ETOOBIG;
	w->p = b->p + b->start + b->len;
	w->cap = b->cap - b->start - b->len;
	return SP_OK;
}

struct sp_writer
buffer_writer(struct buffer *b)
{
	struct sp_writer w = { .grow = buffer_grow, .owner = b };
	if (b->p != NULL) {
		w.p = b->p + b->start + b->len;
		w.cap = b->cap - b->start - b->len;
	}
	size_t max = b->max == 0 ? BUFFER_MAX : b->max;
	if (b->len < max && w.cap > max - b->len)
		w.cap = max - b->len;
	return w;
}

int
buffer_written(struct buffer *b, const struct sp_writer *w)
{
	if (w->bad)
		return SP_ETOOBIG;
	buffer_added(b, w->len);
	return SP_OK;
}

/* ---- secret ---- */

struct sp_secret {
	size_t mapped, len;
	uint8_t p[];
};

struct sp_secret *
secret_new(struct sp_bytes b)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (b.len > SIZE_MAX / 2)
		return NULL;
	size_t size = (sizeof(struct sp_secret) + b.len + page - 1) / page * page;
	struct sp_secret *s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	if (mlock(s, size) != 0) {
		(void)munmap(s, size);
		return NULL;
	}
	(void)madvise(s, size, MADV_DONTDUMP);
	(void)madvise(s, size, MADV_WIPEONFORK);
	s->mapped = size;
	s->len = b.len;
	if (b.len > 0)
		memcpy(s->p, b.p, b.len);
	return s;
}

void
secret_free(struct sp_secret **s)
{
	if (*s == NULL)
		return;
	size_t size = (*s)->mapped;
	mem_wipe(*s, size);
	(void)munmap(*s, size);
	*s = NULL;
}

struct sp_bytes
secret_bytes(const struct sp_secret *s)
{
	return s == NULL ? (struct sp_bytes){ NULL, 0 } : (struct sp_bytes){ s->p, s->len };
}
