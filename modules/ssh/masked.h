/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a client reads by SFTP, where a rule asks that its contents are looked through.
 *
 *   client ─ READ, from where the last one ended ─▶ wait ◀─ enough that nothing can become part of a finding ─ filter ◀─ READ ─ target
 *
 * The gateway reads the file by itself, once, from its beginning on; what the client asks for out of this order is refused,
 * so that no finding falls between two of its requests.  What is hidden keeps its length: sizes and offsets stay true.
 */
#ifndef SALLYPORT_SSH_MASKED_H
#define SALLYPORT_SSH_MASKED_H

#include <nettle/sha2.h>
#include <sallyport/module.h>

#define MASKED_READ (64u << 10)   /* asked of the target at once */
#define MASKED_MOST (255u << 10)  /* given to the client at once */

enum masked_answer { MASKED_REFUSED, MASKED_WAIT, MASKED_DATA, MASKED_END, MASKED_FAILED };

struct masked {
	struct sp_filter *filter;
	uint8_t *out;            /* looked through, for the client */
	size_t len, cap;
	uint64_t at;             /* where in the file `out` begins */
	uint64_t asked;          /* where the next READ of the target begins */
	bool waiting;            /* for its answer */
	bool ended;              /* the target has no more */
	uint32_t status;         /* why not; 0: it is the end */
	struct sha256_ctx theirs; /* of the file as the target has it */
};

/* *m_r NULL: no rule asks for it. */
int masked_begin(struct sp_op *op, struct masked **m_r) SP_MUST;
/* The client wants so much from there.  MASKED_DATA: borrowed until masked_given(); at least one byte. */
enum masked_answer masked_read(const struct masked *m, uint64_t offset, uint32_t length, struct sp_bytes *data_r);
void masked_given(struct masked *m, size_t n);
/* What the target said; an empty piece: there is no more, or status says why it failed. */
int masked_take(struct masked *m, struct sp_bytes data, uint32_t status) SP_MUST;
void masked_free(struct masked **m);

#endif
