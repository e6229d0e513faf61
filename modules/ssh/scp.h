/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `scp -f` says, with the contents of its files looked through.
 *
 *   LINE ─ "C0644 LENGTH NAME\n" ─▶ BODY ─ so many bytes ─▶ STATUS ─ NUL ─▶ LINE        T, D, E: LINE again
 *    └ 1 or 2, a message, "\n" ─▶ LINE                        └ 1 or 2: the same
 *
 * Where a file ends is known, so that nothing is let out early because somebody waits; what is hidden keeps its length.
 */
#ifndef SALLYPORT_SSH_SCP_H
#define SALLYPORT_SSH_SCP_H

#include <sallyport/module.h>

#define SCP_LINE 8192u

struct scp_stream {
	enum { SCP_AT_LINE, SCP_AT_BODY, SCP_AT_STATUS } at;
	uint64_t left; /* of the body */
	uint8_t line[SCP_LINE];
	size_t len;
};

/* SP_EPROTO: that is no scp. */
int scp_feed(struct scp_stream *x, struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out) SP_MUST;

#endif
