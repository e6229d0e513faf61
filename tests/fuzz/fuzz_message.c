/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that was taken over may write to its link: a message, a part of one, or refused; and the same again. */
#include <stdlib.h>

#include "core/base/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One encoding for each message: what was decoded is encoded to the same bytes. */
static void
encodes_to(const struct message *m, struct sp_bytes same)
{
	struct buffer out = { .p = NULL };
	if (message_encode(m, &out) != SP_OK || !sp_bytes_eq(buffer_bytes(&out), same))
		abort();
	buffer_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	while (r.left > 0) {
		struct message m;
		struct sp_bytes in = { r.p, r.left };
		long n = message_decode(in, &m);
		if (n <= 0)
			return 0;
		if ((size_t)n > in.len || m.nfds > MESSAGE_FDS)
			abort();
		encodes_to(&m, sp_rd_take(&r, (size_t)n));
	}
	return 0;
}
