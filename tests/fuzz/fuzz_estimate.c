/* SPDX-License-Identifier: Apache-2.0 */
/* Any statement that the planner may be asked about, and any plan that a target may answer with. */
#include <config.h>

#include <stdlib.h>

#include "modules/postgres/estimate.h"
#include "tests/unit/pg_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_estimate e;
	static struct pg_names *world;
	static struct pg_view view;
	struct sp_bytes in = { data, size };
	uint64_t rows;
	if (world == NULL) {
		world = pg_world_names();
		view = pg_world_view(world);
	}
	if (pg_estimate_rows(in, &rows) != SP_OK && rows != 0)
		abort();
	pg_estimate_choose(&view, in, size % 2 == 0, &e);
	for (const char *c = e.why; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			abort();
	if (e.why[0] == '\0' && (e.check.len == 0 || e.path.len == 0 || e.check.len + e.path.len > sizeof(e.memory)))
		abort();
	if (pg_estimate_found(&e, SP_LIT("1"), in) != SP_OK)
		abort();
	return 0;
}
