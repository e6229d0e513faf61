/* SPDX-License-Identifier: Apache-2.0 */
/* A key set as an issuer, or who writes in its place, may publish it (ID3): refused, or keys that can be asked. */
#include <stdlib.h>

#include "core/keeper/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nothing[64];
	const char *err = NULL;
	struct jwks *set;
	if (jwks_parse((struct sp_bytes){ data, size }, &set, &err) != SP_OK) {
		if (set != NULL || err == NULL)
			abort();
		return 0;
	}
	if (set->n > JWKS_KEYS)
		abort();
	for (size_t i = 0; i < set->n; i++) {
		const struct jwk *k = jwks_find(set, set->key[i].kid);
		if (jwk_algorithm_name(&set->key[i]) == NULL || (set->key[i].kid[0] != '\0' && k == NULL))
			abort();
		if (jwk_verify(&set->key[i], SP_LIT("text"), (struct sp_bytes){ nothing, sizeof(nothing) }))
			abort();
	}
	jwks_free(&set);
	return 0;
}
