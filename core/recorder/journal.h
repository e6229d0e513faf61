/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: every tick's blocks of all sessions, in one write and one fdatasync (P1).
 *
 * Segment = head: "SLPJNL02" | be64 number | life[16] | be64 bytes the file had | batch*            STORE/journal/NNNNNNNN.jnl
 * Batch   = be32 magic | be32 bytes of records | be32 bytes of blocks | be64 batch number | be64 wall µs |
 *           be64 batch up to which the audit log is on disk | records | SHA-256 of the head and all that | blocks
 * Record  = 'K' | be64 the kernel's run that it was written in
 *         | 'R' | ring: be64 identity, be64 position                     frames before it are in the journal
 *         | 'S' | session[16] | be64 ring | be64 offset in the session's file | be32 length of the block |
 *           state as it is after the block (struct journal_state) | previous hash[32] | hash[32]
 *         | 'F' | as 'S', but the block is not among the batch's: it is on disk in the session's file already
 *
 * A batch is there whole or not at all: a torn one is found by its hashes.  So frames and ring
 * positions can't disagree, and nothing is lost or written twice by a crash.  What a file has beyond the
 * last 'F' counts only after a power loss: else the rings have those frames still.  The first batch of a
 * segment names every ring and, with empty blocks, every session that is not finished; older
 * segments may then go once the session files hold what they held.
 *
 * One that goes is kept as the spare, and written over from its front as a later segment: a file that does not grow
 * costs a sync less.  So behind the last batch stands what the file held in another life, bytes of clients among
 * it; `life` is drawn anew each time, and nobody who had a say in those bytes can have known it.
 *
 *   NNNNNNNN.jnl ─(has served)─▶ spare.jnl ─(new head on disk)─▶ MMMMMMMM.jnl ─(left: cut behind its last batch)─▶ …
 */
#ifndef SALLYPORT_RECORDER_JOURNAL_H
#define SALLYPORT_RECORDER_JOURNAL_H

#include "../record/block.h"

#define JOURNAL_SEGMENT (64u << 20)
#define JOURNAL_SMALLEST (1u << 20) /* …where an eighth of the file system is less */
#define JOURNAL_LIFE 16
#define JOURNAL_HEAD (8 + 8 + JOURNAL_LIFE + 8)

enum session_state { SESSION_LIVE, SESSION_ENDED, SESSION_TORN, SESSION_STATES };

struct journal_state {
	enum session_state state;
	uint32_t blocks, frames;
	uint64_t from; /* offset of the block where the oldest operation under way began */
	uint64_t operations, denied, held, rows, bytes; /* for the access log */
	uint64_t last_at; /* µs since the session began, of the last frame */
};

struct journal_entry {
	uint8_t session[ID_LEN];
	uint64_t ring, offset;
	struct journal_state state;
	uint8_t previous[DIGEST_LEN], hash[DIGEST_LEN];
	struct sp_bytes block; /* empty: only says that the session is there */
	uint32_t placed;       /* …or that so many bytes are in its file */
};

/* Bytes for a session's file, before the batch that tells of them. */
struct placement {
	uint8_t session[ID_LEN];
	uint64_t offset;
	size_t len;
	bool written; /* not yet on disk */
};

struct batch {
	uint64_t number, wall, audited;
	struct buffer records, blocks;
	struct buffer places, placed; /* struct placement, one after the other; their bytes, likewise */
	unsigned entries;
};

void batch_begin(struct batch *b);
void batch_free(struct batch *b);
void batch_boot(struct batch *b, uint64_t boot);
void batch_ring(struct batch *b, uint64_t identity, uint64_t position);
/* e->block must be the last bytes put into b->blocks, or empty. */
void batch_entry(struct batch *b, const struct journal_entry *e);
/* e->placed are the last bytes put into b->placed. */
void batch_place(struct batch *b, const struct journal_entry *e);
/* Each entry of a batch that batch_entry() made, in their order; a negative answer ends it. */
int batch_each(const struct batch *b, int (*entry)(void *owner, const struct batch *b, const struct journal_entry *e),
    void *owner) SP_MUST;

struct journal {
	int dir, fd;
	uint64_t segment, size; /* of the one written to */
	uint8_t head[JOURNAL_HEAD]; /* …likewise */
	bool tail;              /* something stands behind its end that does not count */
	bool failed;            /* a sync of it: what was written before may not be there, and nobody is told again */
	uint64_t full;          /* from this size on a segment is to be followed by the next */
	uint64_t batch;         /* number of the last one */
	uint64_t oldest;        /* segment that still exists */
	bool spare;             /* there is one, by that name also on disk */
	uint64_t spent;         /* segments up to this one are not to be the spare */
};

/* Bytes of a full segment: JOURNAL_SEGMENT, or less where the file system is small. */
uint64_t journal_full(int dir);
/* The next segment, over the spare if there is one; the first time, after journal_replay(), behind all that are there. */
int journal_rotate(struct journal *j) SP_MUST;
/* One write.  On failure nothing of it counts: call again, or journal_rotate() and again. */
int journal_append(struct journal *j, struct batch *b) SP_MUST;
int journal_sync(struct journal *j) SP_MUST;
/* It is the spare now, where none is there. */
int journal_remove(struct journal *j, uint64_t segment) SP_MUST;
/* Nothing stays but the segments: no spare, nothing behind the last batch; and of those that are there none is to be written over. */
int journal_keep_none(struct journal *j) SP_MUST;
void journal_close(struct journal *j);

struct journal_reader {
	int (*ring)(void *owner, uint64_t identity, uint64_t position);
	int (*entry)(void *owner, const struct batch *b, const struct journal_entry *e);
	void *owner;
	uint64_t *boot_r; /* the kernel's run of the last whole batch; NULL: nobody asks */
};
/*
 * All whole batches of all segments in their order.  A torn batch ends its segment, and so does what the file
 * held before; in any but the last segment, which alone may have that, it is damage: logged, and `damaged_r` set.
 */
int journal_replay(struct journal *j, const struct journal_reader *reader, bool *damaged_r) SP_MUST;

#endif
