/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of the record: frames into the ring, and whether they are safe yet (P1, P8).
 *
 * A frame that finds no room in the ring waits in the worker, and while one waits no session's
 * output leaves.  When that lasts longer than sync_wait, or the recorder says it cannot write,
 * every session that would have to be recorded ends.
 */
#ifndef SALLYPORT_WORKER_RECORD_H
#define SALLYPORT_WORKER_RECORD_H

#include "worker.h"

struct sp_op;

void record_frame(struct sp_session *s, enum frame_type type, uint16_t channel, uint32_t op, struct sp_bytes head, struct sp_bytes body);
/* Makes everything recorded so far `written`; rings the recorder when it sleeps. */
void record_publish(struct worker *w);
/* True when output that depends on this ring position may leave. */
bool record_durable(struct worker *w, uint64_t position);
/* The position that output to the target must wait for now; 0: none. */
uint64_t record_gate(struct worker *w);
/* Input should not be read: there is no room for what it would say.  The doorbell tells when there is. */
bool record_behind(struct worker *w);
/* Every tick and doorbell: empty the overflow, end what waited too long. */
void record_progress(struct worker *w);
bool record_failed(struct worker *w);

void record_header(struct sp_session *s);
void record_end(struct sp_session *s);
/* The text with its hidden values replaced by {hash:length}; in the arena of the shape's plan. */
int record_redact(struct worker *w, const struct policy *p, const struct shape *shape, struct buffer *out) SP_MUST;
/* Appends `{3f9a…:11}`, a keyed hash and the length, in place of a value. */
int record_hidden(struct worker *w, struct sp_bytes value, struct buffer *out) SP_MUST;

#endif
