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

#include <sallyport/module.h>

struct reads;
struct stream;

struct reads *reads_new(void);
void reads_free(struct reads **reads);
/* Reads for the stream; stream_came() follows, unless there was nothing.  False: it has been read for already, or there is no room. */
bool reads_add(struct reads *reads, struct stream *st) SP_MUST;
/* What is looked at now is all that the turn has read: what it sends need not wait for others. */
bool reads_alone(const struct reads *reads);
/* What was read for it goes to its unconsumed input now, and stream_came() does not follow. */
void reads_settle(struct reads *reads, struct stream *st);
/* …is dropped: the stream closes. */
void reads_forget(struct reads *reads, struct stream *st);
/*
 * Each stream has what was read for it: at the end of a turn, and before anything else happens in it: callbacks of the loop
 * that do other than this begin with it, so that all comes in the order in which the loop told it.
 */
void reads_go(struct reads *reads);

#endif
