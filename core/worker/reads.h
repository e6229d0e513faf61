/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reads of a turn.  What has come for sessions while the loop goes round once is read for all of them first, and
 * looked at then, one after the other: the kernel's code and ours push each other out of the processor's caches once in
 * a turn, and not at each message.
 *
 *     readable ─ reads_add() ─ … ─ the loop's turn ends ─ reads_go() ─▶ stream_came() each
 *
 * For plain sockets of which nothing waits to be consumed; the others read by themselves, see stream.c.
 */
#ifndef SALLYPORT_READS_H
#define SALLYPORT_READS_H

struct reads;
struct stream;

struct reads *reads_new(void);
void reads_free(struct reads **reads);
/* Reads for the stream, once in a turn; stream_came() follows, unless there was nothing. */
void reads_add(struct reads *reads, struct stream *st);
/* What was read for it goes to its unconsumed input now, and stream_came() does not follow. */
void reads_settle(struct reads *reads, struct stream *st);
/* …is dropped: the stream closes. */
void reads_forget(struct reads *reads, struct stream *st);
/* At the end of a turn: each stream has what was read for it. */
void reads_go(struct reads *reads);

#endif
