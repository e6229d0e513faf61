/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One producer, one consumer, positions that only grow.
 *
 *        taken (journaled)         published        put
 *            │  frames to take         │ not visible │
 *   ─────────┴─────────────────────────┴─────────────┴───────▶   space = size - (put - taken)
 *
 * Each side keeps its own position in private memory and only publishes it; what it reads of the
 * other's is checked for plausibility at each use, since the memory is shared with a process that
 * may be hostile.
 */
#include <config.h>
#include "ring.h"

#include <fcntl.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_HEAD 4096u
#define RING_MIN (64u << 10)
#define RING_MAX (1u << 30)
#define RECORD_HEAD 24u /* length, nothing, session */
#define COPY (32u << 10)     /* at a time: its lines come from the worker's core, many at once sooner than one by one */
#define COPY_KEEP (4u << 20)
#define JOIN_MOST 4096u      /* bytes of payload: what is longer is worth its own head, and not to be moved */

struct ring_shared {
	alignas(64) _Atomic uint64_t published; /* the worker's line … */
	_Atomic uint32_t wake_wanted;
	alignas(64) _Atomic uint64_t journaled; /* … and the recorder's */
	_Atomic uint64_t synced;
	_Atomic uint32_t sleeping;
	_Atomic uint32_t failed;
};
_Static_assert(sizeof(struct ring_shared) <= RING_HEAD, "positions fit their page");

struct ring {
	struct ring_shared *shared;
	uint8_t *data;
	size_t size;
	uint64_t identity;
	uint64_t put;       /* worker: after the last frame put */
	uint64_t freed;     /* worker: journaled, as last seen */
	uint64_t rung;      /* worker: `freed` when the bell was rung for being half full */
	uint64_t shown;     /* worker: up to here others may look */
	struct {            /* worker: the record put last */
		uint64_t at;
		struct frame head; /* of what it is, or when `n` stand together what they share */
		size_t payload;
		unsigned n;
	} last;
	uint64_t published; /* recorder: as last seen */
	uint64_t take;      /* recorder: after the last frame taken */
	struct buffer copy; /* recorder: what is published from there on, or a part of it: ours, no worker can change it */
};

int
ring_create(size_t size, int *fd_r)
{
	*fd_r = -1;
	if (size < RING_MIN || size > RING_MAX || (size & (size - 1)) != 0)
		return SP_ECONF;
	int fd = memfd_create("sallyport-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return SP_EIO;
	/* Nobody may shrink it under a reader's feet. */
	if (ftruncate(fd, (off_t)(RING_HEAD + size)) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		close(fd);
		return SP_EIO;
	}
	*fd_r = fd;
	return SP_OK;
}

/* Positions and data, and the data once more behind: a record may cross the end of the first. */
static uint8_t *
map_twice(int fd, size_t size)
{
	const int rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;
	uint8_t *at = mmap(NULL, RING_HEAD + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	if (mmap(at, RING_HEAD + size, rw, fixed, fd, 0) == MAP_FAILED ||
	    mmap(at + RING_HEAD + size, size, rw, fixed, fd, RING_HEAD) == MAP_FAILED) {
		munmap(at, RING_HEAD + 2 * size);
		return NULL;
	}
	return at;
}

int
ring_map(int fd, struct ring **r_r)
{
	struct stat st;
	*r_r = NULL;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= RING_HEAD)
		return SP_EPROTO;
	size_t size = (size_t)st.st_size - RING_HEAD;
	int seals = fcntl(fd, F_GET_SEALS);
	if (size < RING_MIN || size > RING_MAX || (size & (size - 1)) != 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return SP_EPROTO;
	uint8_t *at = map_twice(fd, size);
	if (at == NULL)
		return SP_ENOMEM;
	struct ring *r = mem_alloc(sizeof(*r));
	*r = (struct ring){ .shared = (struct ring_shared *)(void *)at, .data = at + RING_HEAD, .size = size };
	r->identity = (uint64_t)st.st_dev << 32 ^ (uint64_t)st.st_ino;
	r->put = atomic_load_explicit(&r->shared->published, memory_order_acquire);
	r->freed = r->take = atomic_load_explicit(&r->shared->journaled, memory_order_acquire);
	r->published = r->take;
	r->shown = r->put;
	r->rung = UINT64_MAX;
	*r_r = r;
	return SP_OK;
}

void
ring_unmap(struct ring **r)
{
	if (*r == NULL)
		return;
	munmap((*r)->shared, RING_HEAD + 2 * (*r)->size);
	buffer_free(&(*r)->copy);
	free(*r);
	*r = NULL;
}

size_t
ring_size(const struct ring *r)
{
	return r->size;
}

size_t
ring_longest(const struct ring *r)
{
	size_t most = r->size - RECORD_HEAD - FRAME_HEAD;
	return most < FRAME_MAX - FRAME_HEAD ? most : FRAME_MAX - FRAME_HEAD;
}

uint64_t
ring_identity(const struct ring *r)
{
	return r->identity;
}

/* ---- worker ---- */

/* Bytes in use; a recorder that claims the impossible only makes us pause. */
static size_t
used_after(const struct ring *r, uint64_t freed)
{
	uint64_t used = r->put - freed;
	return used > r->size ? r->size : (size_t)used;
}

static bool
has_room(struct ring *r, size_t need)
{
	if (need <= r->size - used_after(r, r->freed))
		return true;
	r->freed = atomic_load_explicit(&r->shared->journaled, memory_order_acquire);
	return need <= r->size - used_after(r, r->freed);
}

/* Of a record with so much of payload. */
static size_t
record_size(size_t payload)
{
	return (RECORD_HEAD + FRAME_HEAD + payload + 7) & ~(size_t)7;
}

static void
write_head(struct sp_writer *w, const uint8_t session[ID_LEN], const struct frame *f, size_t payload)
{
	uint32_t head[2] = { (uint32_t)(ID_LEN + FRAME_HEAD + payload), 0 };
	sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)head, sizeof(head) });
	sp_wr_put(w, (struct sp_bytes){ session, ID_LEN });
	frame_encode_head(f, payload, w);
}

/* Nobody has seen the record put last, and it is of the same session, operation and moment. */
static bool
may_join(const struct ring *r, const uint8_t session[ID_LEN], const struct frame *f, size_t payload)
{
	const struct frame *head = &r->last.head;
	if (r->last.n == 0 || r->last.n == TOGETHER_MOST || r->last.at < r->shown || r->last.payload + payload > JOIN_MOST)
		return false;
	if (f->op == 0 || head->op != f->op || head->at != f->at || head->channel != f->channel || head->flags != f->flags ||
	    !frame_stands_together(f->type))
		return false;
	return memcmp(r->data + (r->last.at & (r->size - 1)) + RECORD_HEAD - ID_LEN, session, ID_LEN) == 0;
}

/* Room in the record put last, behind what it has, for one more; it becomes one of several.  NULL: there is none. */
static uint8_t *
join(struct ring *r, const uint8_t session[ID_LEN], const struct frame *f, size_t payload)
{
	const size_t had = r->last.payload, first = r->last.n == 1 ? FRAME_FIELD_HEAD : 0, all = first + had + FRAME_FIELD_HEAD + payload;
	const size_t more = record_size(all) - record_size(had);
	uint8_t *at = r->data + (r->last.at & (r->size - 1)), *body = at + RECORD_HEAD + FRAME_HEAD;
	struct frame head = r->last.head;
	if (!has_room(r, more))
		return NULL;
	memmove(body + first, body, had);
	struct sp_writer w = sp_writer(body, FRAME_FIELD_HEAD);
	if (first > 0)
		frame_field_head(&w, (unsigned)head.type, had);
	head.type = FRAME_TOGETHER;
	w = sp_writer(at, RECORD_HEAD + FRAME_HEAD);
	write_head(&w, session, &head, all);
	w = sp_writer(body + first + had, FRAME_FIELD_HEAD);
	frame_field_head(&w, (unsigned)f->type, payload);
	r->last.head = head;
	r->last.payload = all;
	r->last.n++;
	r->put += more;
	return body + first + had + FRAME_FIELD_HEAD;
}

/* Room in a record of its own. */
static uint8_t *
begin(struct ring *r, const uint8_t session[ID_LEN], const struct frame *f, size_t payload)
{
	uint8_t *at = r->data + (r->put & (r->size - 1));
	struct sp_writer w = sp_writer(at, RECORD_HEAD + FRAME_HEAD);
	if (!has_room(r, record_size(payload)))
		return NULL;
	write_head(&w, session, f, payload);
	r->last.at = r->put;
	r->last.head = *f;
	r->last.payload = payload;
	r->last.n = frame_stands_together((unsigned)f->type) ? 1 : 0;
	r->put += record_size(payload);
	return at + RECORD_HEAD + FRAME_HEAD;
}

uint64_t
ring_put(struct ring *r, const uint8_t session[ID_LEN], const struct frame *f, const struct sp_bytes *more, size_t nmore)
{
	size_t payload = f->payload.len;
	for (size_t i = 0; i < nmore && payload <= FRAME_MAX; i++)
		payload += more[i].len > FRAME_MAX ? FRAME_MAX : more[i].len;
	if (payload > FRAME_MAX - FRAME_HEAD)
		return 0;
	uint8_t *into = (may_join(r, session, f, payload) ? join : begin)(r, session, f, payload);
	struct sp_writer w = sp_writer(into, into == NULL ? 0 : payload);
	sp_wr_put(&w, f->payload);
	for (size_t i = 0; i < nmore; i++)
		sp_wr_put(&w, more[i]);
	return into == NULL ? 0 : r->put;
}

bool
ring_publish(struct ring *r)
{
	struct ring_shared *s = r->shared;
	r->shown = r->put;
	atomic_store_explicit(&s->published, r->put, memory_order_seq_cst);
	/* Either the recorder sees the frames before it sleeps, or we see that it sleeps. */
	if (atomic_load_explicit(&s->sleeping, memory_order_seq_cst) != 0)
		return atomic_exchange_explicit(&s->sleeping, 0, memory_order_seq_cst) != 0;
	if (used_after(r, r->freed) <= r->size / 2)
		return false;
	r->freed = atomic_load_explicit(&s->journaled, memory_order_acquire);
	if (used_after(r, r->freed) <= r->size / 2 || r->rung == r->freed)
		return false;
	r->rung = r->freed; /* once for each progress of the recorder */
	return true;
}

uint64_t
ring_position(const struct ring *r)
{
	return atomic_load_explicit(&r->shared->published, memory_order_relaxed);
}

uint64_t
ring_journaled(const struct ring *r)
{
	return atomic_load_explicit(&r->shared->journaled, memory_order_acquire);
}

uint64_t
ring_synced(const struct ring *r)
{
	return atomic_load_explicit(&r->shared->synced, memory_order_acquire);
}

bool
ring_failed(const struct ring *r)
{
	return atomic_load_explicit(&r->shared->failed, memory_order_acquire) != 0;
}

size_t
ring_space(const struct ring *r)
{
	return r->size - used_after(r, ring_journaled(r));
}

void
ring_want_wake(struct ring *r)
{
	atomic_store_explicit(&r->shared->wake_wanted, 1, memory_order_seq_cst);
}

/* ---- recorder ---- */

uint64_t
ring_taken_position(const struct ring *r)
{
	return r->take;
}

uint64_t
ring_waiting(const struct ring *r)
{
	return atomic_load_explicit(&r->shared->published, memory_order_acquire) - r->take;
}

bool
ring_filling(const struct ring *r)
{
	return ring_waiting(r) > r->size / 4;
}

int
ring_seek(struct ring *r, uint64_t position)
{
	uint64_t published = atomic_load_explicit(&r->shared->published, memory_order_acquire);
	if (published - position > r->size || (position & 7) != 0)
		return SP_EPROTO;
	r->take = r->published = position;
	buffer_drop(&r->copy, r->copy.len);
	return SP_OK;
}

/* Published bytes not yet taken, or < 0 when that can't be. */
static int64_t
available(struct ring *r)
{
	if (r->published == r->take)
		r->published = atomic_load_explicit(&r->shared->published, memory_order_acquire);
	uint64_t n = r->published - r->take;
	if (n > r->size || (n & 7) != 0)
		return SP_EPROTO;
	return (int64_t)n;
}

/* Of the n bytes that are there, `whole` and what comes behind them. */
static int
copy_more(struct ring *r, size_t whole, size_t n)
{
	size_t len = whole > COPY ? whole : n < COPY ? n : COPY;
	buffer_drop(&r->copy, r->copy.len);
	if (r->copy.cap > COPY_KEEP && len <= COPY)
		buffer_free(&r->copy);
	uint8_t *into = buffer_room(&r->copy, len);
	if (into == NULL)
		return SP_ENOMEM;
	memcpy(into, r->data + (r->take & (r->size - 1)), len);
	buffer_added(&r->copy, len);
	return SP_OK;
}

/* The record at the beginning of our copy, where it is to have that length: the worker may have changed it since we saw it. */
static int
read_copy(struct ring *r, uint32_t len, uint8_t session_r[ID_LEN], struct sp_bytes *frame_r)
{
	struct sp_reader in = sp_reader(buffer_bytes(&r->copy));
	struct sp_bytes head = sp_rd_take(&in, RECORD_HEAD - ID_LEN), session = sp_rd_take(&in, ID_LEN), frame = sp_rd_take(&in, len - ID_LEN);
	struct sp_reader inner = sp_reader(frame);
	if (in.bad || memcmp(head.p, &len, sizeof(len)) != 0 || sp_rd_be32(&inner) != frame.len - 4)
		return SP_EPROTO;
	memcpy(session_r, session.p, ID_LEN);
	*frame_r = frame;
	return SP_OK;
}

int
ring_take(struct ring *r, uint8_t session_r[ID_LEN], struct sp_bytes *frame_r)
{
	int64_t n = available(r);
	*frame_r = (struct sp_bytes){ NULL, 0 };
	if (n <= 0)
		return (int)n;
	const uint8_t *at = r->copy.len >= RECORD_HEAD ? buffer_bytes(&r->copy).p : r->data + (r->take & (r->size - 1));
	/* Read once: the worker may change it under our eyes. */
	uint32_t len = atomic_load_explicit((const _Atomic uint32_t *)(const void *)at, memory_order_relaxed);
	size_t whole = (RECORD_HEAD - ID_LEN + (size_t)len + 7) & ~(size_t)7;
	int rc = len < ID_LEN + FRAME_HEAD || len > ID_LEN + FRAME_MAX || whole > (uint64_t)n ? SP_EPROTO : SP_OK;
	if (rc == SP_OK && r->copy.len < whole)
		rc = copy_more(r, whole, (size_t)n);
	if (rc == SP_OK)
		rc = read_copy(r, len, session_r, frame_r);
	if (rc != SP_OK) {
		buffer_drop(&r->copy, r->copy.len);
		return rc;
	}
	buffer_drop(&r->copy, whole);
	r->take += whole;
	return 1;
}

void
ring_taken(struct ring *r)
{
	atomic_store_explicit(&r->shared->journaled, r->take, memory_order_seq_cst);
}

void
ring_synced_set(struct ring *r)
{
	atomic_store_explicit(&r->shared->synced, r->take, memory_order_seq_cst);
}

void
ring_fail(struct ring *r, bool failed)
{
	atomic_store_explicit(&r->shared->failed, failed, memory_order_seq_cst);
}

bool
ring_wake_wanted(struct ring *r)
{
	if (atomic_load_explicit(&r->shared->wake_wanted, memory_order_seq_cst) == 0)
		return false;
	return atomic_exchange_explicit(&r->shared->wake_wanted, 0, memory_order_seq_cst) != 0;
}

bool
ring_sleep(struct ring *r)
{
	atomic_store_explicit(&r->shared->sleeping, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&r->shared->published, memory_order_seq_cst) == r->take)
		return true;
	atomic_store_explicit(&r->shared->sleeping, 0, memory_order_relaxed);
	return false;
}
