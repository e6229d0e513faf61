/* SPDX-License-Identifier: Apache-2.0 */
/* A packed epoch from a check process that was taken over: read whole or refused. */
#include "core/base/epoch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct epoch *e;
	const char *err;
	if (epoch_unpack((struct sp_bytes){ data, size }, 1, &e, &err) != SP_OK)
		return 0;
	sink = e->hash[0];
	epoch_free(&e);
	return 0;
}
