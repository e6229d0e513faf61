/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration text: whatever is read can be printed, read again, packed, and judged by the tables. */
#include <stdlib.h>

#include "core/base/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const struct conf_node *top)
{
	struct arena *a = arena_new(0);
	struct buffer text = { .p = NULL }, again = { .p = NULL }, packed = { .p = NULL };
	struct conf_node *other;
	const char *err;
	if (conf_print(top, &text) != SP_OK || conf_parse(a, "fuzz", buffer_bytes(&text), &other, &err) != SP_OK ||
	    conf_print(other, &again) != SP_OK || !sp_bytes_eq(buffer_bytes(&text), buffer_bytes(&again)))
		abort();
	if (conf_pack(top, &packed) != SP_OK || conf_unpack(a, buffer_bytes(&packed), &other) != SP_OK)
		abort();
	buffer_free(&text);
	buffer_free(&again);
	buffer_free(&packed);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct conf_node *top;
	const char *err = NULL;
	struct settings s = { .folder = "/etc" };
	int rc = size > 1 << 16 ? SP_ETOOBIG : conf_parse(a, "fuzz", (struct sp_bytes){ data, size }, &top, &err);
	if (rc == SP_OK) {
		round_trip(top);
		rc = settings_fill(a, top, &s, &err);
		if (rc == SP_OK)
			rc = settings_check(a, &s, &err);
	}
	if (rc != SP_OK && rc != SP_ETOOBIG && (err == NULL || err[0] == '\0'))
		abort();
	arena_free(&a);
	return 0;
}
