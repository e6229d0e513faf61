/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a target may send, in every state that it can be in. */
#include <config.h>

#include "fuzz_pg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_pg_run(SP_TARGET, data, size);
	return 0;
}
