/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer sends before there are keys (SS1, SS11), at once and byte for byte: the same goes through. */
#include <stdlib.h>

#include "modules/ssh/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many bytes go through; `step` of them come at a time. */
static size_t
through(struct sp_bytes in, size_t step, bool *refused_r)
{
	struct guard g = { 0 };
	size_t at = 0, have = step < in.len ? step : in.len;
	*refused_r = false;
	while (at < in.len && g.at != GUARD_OPEN) {
		size_t want = 0;
		const char *why = NULL;
		long n = guard_look(&g, (struct sp_bytes){ in.p + at, have - at }, &want, &why);
		if (n > (long)(have - at) || (n < 0 && why == NULL))
			abort();
		if (n < 0) {
			*refused_r = true;
			return at;
		}
		at += (size_t)n;
		if (n > 0)
			continue;
		if (have == in.len)
			return at;
		have = in.len - have < step ? in.len : have + step;
	}
	return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sp_bytes in = { data, size };
	bool whole, pieces;
	size_t one = through(in, size == 0 ? 1 : size, &whole), two = through(in, 1, &pieces);
	if (whole != pieces || one != two)
		abort();
	return 0;
}
