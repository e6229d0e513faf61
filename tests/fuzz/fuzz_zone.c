/* SPDX-License-Identifier: Apache-2.0 */
/* A time zone's file, and a window's text. */
#include <config.h>

#include <stdlib.h>

#include "core/policy/window.h"
#include "core/policy/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t now = 1767787200000000;
	struct arena *a = arena_new(4 << 20);
	const struct zone *z = zone_parse(a, (struct sp_bytes){ data, size });
	struct window *w;
	const char *err, *text = arena_string(a, (struct sp_bytes){ data, size });

	for (int64_t t = -5000000000; z != NULL && t < 9000000000; t += 500000000) {
		(void)zone_offset(z, t);
		if (zone_next(z, t) <= t)
			abort();
	}
	if (text != NULL && window_parse(a, text, &w, &err) == SP_OK) {
		(void)window_inside(w, now);
		if (window_next(w, now) <= now)
			abort();
	}
	arena_free(&a);
	return 0;
}
