/* SPDX-License-Identifier: Apache-2.0 */
/* What may be posted as a click (AP8): any form; never signed by chance. */
#include <config.h>

#include <stdlib.h>

#include "core/keeper/slack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_bytes in = { data, size };
	char *payload = slack_payload(in);
	if (payload != NULL && strlen(payload) > size)
		abort();
	if (slack_signed(SP_LIT("key"), SP_LIT("1531420618"), in, in))
		abort();
	free(payload);
	return 0;
}
