/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate that a client shows (SS6, SS7).  The authority's private half is in no corpus: what is accepted
 * is what ssh-keygen signed for the vectors, byte for byte.
 */
#include <stdlib.h>

#include "core/base/digest.h"
#include "core/keeper/ssh_certificate.h"
#include "tests/unit/ssh_certificate_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1700000000u

static const uint8_t authority[] = "\0\0\0\13ssh-ed25519\0\0\0\40\x7d\x0f\x0d\x10\xba\xe7\x73\x0b\x60\xfb\xd9\xa4\x0b\xc5\xce\x8e\x4b\x38\x70\x9d"
				   "\x38\x7b\x53\x40\xf0\x88\x9a\x05\x27\x7c\xa5\xd7";

static bool
is_vector(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct buffer text = { 0 };
		bool same = text_base64((struct sp_bytes){ data, size }, &text) == SP_OK && sp_bytes_is(buffer_bytes(&text), vectors[i].base64);
		buffer_free(&text);
		if (same)
			return vectors[i].why == NULL;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ssh_shown shown;
	const char *why = NULL;
	int rc = ssh_certificate_check((struct sp_bytes){ data, size }, (struct sp_bytes){ authority, sizeof(authority) - 1 }, NOW, &shown, &why);
	if ((rc == SP_OK) != is_vector(data, size) || (rc != SP_OK && why == NULL))
		abort();
	return 0;
}
