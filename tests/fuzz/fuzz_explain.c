/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a recording, as explain reads them: whatever stands in them becomes text in JSON. */
#include <config.h>

#include <stdlib.h>

#include "core/record/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	struct explain *e = explain_begin(1);
	struct frame f;

	while (r.left > 0 && frame_decode(&r, &f) == SP_OK && frame_check(&f) == SP_OK)
		if (explain_frame(e, &f))
			break;
	json_t *o = explain_end(&e);
	char *text = o == NULL ? NULL : json_dumps(o, 0);
	if (o != NULL && text == NULL)
		abort();
	free(text);
	json_decref(o);
	return 0;
}
