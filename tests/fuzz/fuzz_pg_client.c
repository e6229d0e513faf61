/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a client may send, in every state that it can bring a session to. */
#include <config.h>

#include "fuzz_pg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_pg_run(SP_CLIENT, data, size);
	return 0;
}
