/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring between one worker (writes) and the recorder (reads): shared memory that outlives both.
 *
 *   worker: ring_put()… ring_publish()   nothing is `written` (P1) before publish
 *   recorder: ring_take()… (copy, hash, journal) ring_taken()… fdatasync, ring_synced_set()
 *
 * Positions only grow.  The worker's side trusts nothing it reads back but to pause; the recorder
 * checks every length against the ring before it copies.  The recorder reads a frame after
 * copying it, never before: a worker can't change what was taken.
 *
 * The memory is one page of positions, then the data, mapped twice in a row: no frame is ever
 * split.  Record = u32 bytes that follow (native) | u32 0 | session[16] | frame (frame.h) | to 8.
 * What is put behind one of the same operation and moment, before anybody sees that, joins it.
 */
#ifndef SALLYPORT_RING_H
#define SALLYPORT_RING_H

#include "frame.h"

struct ring;

int ring_create(size_t size, int *fd_r) SP_MUST; /* master: memfd of a power of two bytes */
int ring_map(int fd, struct ring **r_r) SP_MUST;  /* either side; does not take fd over */
void ring_unmap(struct ring **r);

/* Worker.  0 when it does not fit (pause, then P8); else the position after it. */
uint64_t ring_put(struct ring *r, const uint8_t session[ID_LEN], const struct frame *f, const struct sp_bytes *more, size_t nmore);
/* Makes what was put visible; true when the recorder sleeps and its doorbell must be rung. */
bool ring_publish(struct ring *r); /* …also when the ring is half full: the tick need not be waited for */
uint64_t ring_position(const struct ring *r);   /* published */
uint64_t ring_journaled(const struct ring *r);  /* up to here it is in the recorder's journal */
uint64_t ring_synced(const struct ring *r);     /* up to here it is on disk */
bool ring_failed(const struct ring *r);         /* the recorder can't write: P8 */
size_t ring_space(const struct ring *r);
/* Ask the recorder to ring this worker's doorbell at its next progress. */
void ring_want_wake(struct ring *r);

/* Recorder. */
/* 1 taken, 0 empty, < 0 the worker lies.  The frame is a copy, borrowed until the next one is taken. */
int ring_take(struct ring *r, uint8_t session_r[ID_LEN], struct sp_bytes *frame_r) SP_MUST;
void ring_taken(struct ring *r);                /* everything taken so far is journaled */
void ring_synced_set(struct ring *r);           /* …and on disk */
void ring_fail(struct ring *r, bool failed);
bool ring_wake_wanted(struct ring *r);
/* Before sleeping: true when it is still empty and the worker will ring. */
bool ring_sleep(struct ring *r);
/* What the kernel calls this memory: the same for every process, and no worker can change it. */
uint64_t ring_identity(const struct ring *r);
size_t ring_size(const struct ring *r);    /* of its data */
size_t ring_longest(const struct ring *r); /* of a frame's payload: a longer one never gets in */
uint64_t ring_taken_position(const struct ring *r); /* after the last frame taken */
uint64_t ring_waiting(const struct ring *r);        /* bytes published and not taken */
bool ring_filling(const struct ring *r);            /* a quarter of it waits */
/* After a crash: go on from where the journal says, which no worker could write. */
int ring_seek(struct ring *r, uint64_t position) SP_MUST;

#endif
