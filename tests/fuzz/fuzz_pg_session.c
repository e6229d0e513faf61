/* SPDX-License-Identifier: Apache-2.0 */
/* A session both of whose sides say anything, in any order: the client's and the target's bytes interleaved. */
#include <config.h>

#include "fuzz_pg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_pg_session(data, size);
	return 0;
}
