/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A statement of a client, or any bytes: classified with and without a catalogue, never a crash, and
 * what is not understood is unclear, with every literal of it marked.
 */
#include <config.h>

#include <stdlib.h>

#include "tests/unit/pg_show.h"
#include "tests/unit/pg_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

/* Something was said of every node; an unclear text has its literals hidden. */
static void
check_shape(const struct shape *s)
{
	if (s == NULL || s->failed)
		return;
	if (s->nnodes == 0 || s->node[0].value[PG_A_VERB].known != PRESENT)
		abort();
	for (size_t i = 0; i < s->nliterals; i++) {
		const struct literal *l = &s->literal[i];
		if (l->offset > s->text.len || l->len > s->text.len - l->offset)
			abort();
		sink += l->len;
	}
	bool dark = sp_bytes_is(s->node[0].value[PG_A_VERB].text, "unclear");
	if (dark && s->nunclear == 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_names *names;
	static struct pg_view view;

	if (names == NULL) {
		names = pg_world_names();
		view = pg_world_view(names);
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct sp_scope scope = { .view = i == 0 ? NULL : &view };
		struct shape *s = shape_make(&pg_shown, &scope, PG_STATEMENT, (struct sp_bytes){ data, size });
		check_shape(s);
		shape_free(&s);
	}
	return 0;
}
