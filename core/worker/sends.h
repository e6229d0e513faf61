/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sends of a turn.  What sessions send in small pieces while the loop goes round once leaves at
 * the end of it, in one system call: a worker that is put aside for the one it has just woken, at
 * each of sixteen sends, is put aside once.  Who was alone in a turn has sent at once: see reads_alone().
 *
 *     session's turn ─ sends_add() ─ … ─ the loop's turn ends ─ sends_go() ─▶ stream_sent() each
 *
 * The call is io_uring_enter(2), of a ring that was restricted to IORING_OP_SEND before it was enabled
 * (io_uring_register(2), IORING_REGISTER_RESTRICTIONS).  Each send is done within the call: nothing waits in
 * the kernel, no memory of ours is its own for longer.  Where a kernel or an administrator
 * (kernel.io_uring_disabled) has no ring to give, each piece is a send() of its own.
 */
#ifndef SALLYPORT_SENDS_H
#define SALLYPORT_SENDS_H

#include <sys/uio.h>

#include "../base/memory.h"

struct io_uring;
struct stream;
struct sends;

#define SENDS_PIECE 4096u /* longer output goes out by itself, uncopied */

/* Each by itself, until a ring was asked for, before the sandbox is entered. */
struct sends *sends_new(void);
void sends_share(struct sends *sends);
void sends_free(struct sends **sends);
/* Bytes, copied, all of them: stream_sent() follows once; or 0: it may not go with others. */
size_t sends_add(struct sends *sends, struct stream *st, const struct iovec *iov, size_t n) SP_MUST;
/* A ring that can send and nothing else; false: there is none to be had, errno says why.  io_uring_queue_exit() ends it. */
bool sends_ring(struct io_uring *ring) SP_MUST;
/* All of them go now: at the end of a turn, before what takes long, and where a stream must know. */
void sends_go(struct sends *sends);
/* Those that have waited long enough for the turn to end. */
void sends_due(struct sends *sends, uint64_t now_us);

#endif
