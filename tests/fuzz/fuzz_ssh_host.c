/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target says to a connection that asks for its host certificate (SS6, SS7, SS13), at once and byte for byte.  The private
 * keys are in no corpus: what is accepted is what a real server signed for these bytes of ours, one of the vectors.
 */
#include "tests/unit/ssh_host_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t signed_hash[VECTORS][32];

static void
learn(void)
{
	static uint8_t space[8192];
	for (size_t i = 0; i < VECTORS; i++) {
		const struct sp_bytes in = { space, base64_decode(vectors[i].base64, space, sizeof(space)) };
		if (!known(in, in.len, vectors[i].authority, "host.example", NOW))
			abort();
		memcpy(signed_hash[i], x.hash, sizeof(x.hash));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool learned;
	const struct sp_bytes in = { data, size };
	if (!learned)
		learn();
	learned = true;
	for (size_t i = 0; i < VECTORS; i++) {
		bool whole = known(in, size == 0 ? 1 : size, vectors[i].authority, "host.example", NOW);
		if (whole && memcmp(x.hash, signed_hash[i], sizeof(x.hash)) != 0)
			abort();
		if (i == 0 && known(in, 1, vectors[i].authority, "host.example", NOW) != whole)
			abort();
	}
	return 0;
}
