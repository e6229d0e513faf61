/* SPDX-License-Identifier: Apache-2.0 */
/* What a target's `scp -f` says, at once and byte for byte: the same comes out, as long as what went in but for a line that is not over. */
#include <stdlib.h>

#include "modules/ssh/scp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of the core's: everything is a star, so that what was looked through can be told from what was not. */
int
sp_filter_feed(struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out)
{
	(void)filter;
	(void)last;
	for (size_t i = 0; i < in.len; i++)
		sp_wr_u8(out, '*');
	return SP_OK;
}

/* How much came out; negative: it was refused. */
static long
through(struct sp_bytes in, size_t step, uint8_t *out, size_t room)
{
	static struct scp_stream x;
	struct sp_writer w = sp_writer(out, room);
	memset(&x, 0, sizeof(x));
	for (size_t at = 0; at < in.len; at += step) {
		const size_t n = in.len - at < step ? in.len - at : step;
		if (scp_feed(&x, NULL, (struct sp_bytes){ in.p + at, n }, at + n == in.len, &w) != SP_OK)
			return -1;
	}
	if (w.bad || w.len + x.len != in.len)
		abort();
	return (long)w.len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t one[1 << 16], two[1 << 16];
	const struct sp_bytes in = { data, size };
	if (size > sizeof(one))
		return 0;
	const long whole = through(in, size == 0 ? 1 : size, one, sizeof(one)), pieces = through(in, 1, two, sizeof(two));
	if (whole != pieces || (whole > 0 && memcmp(one, two, (size_t)whole) != 0))
		abort();
	return 0;
}
