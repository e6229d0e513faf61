/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token as a client may send it (ID3).  The keys are real and their private halves are gone; what the
 * corpus has of them was signed to expire in 2001: nothing may ever be good.
 */
#include <stdlib.h>

#include "core/keeper/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char set[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"yniyjDo-Kn5Jtfxv2tVeXY4bHCwDpWSV65rE1GmRLR37klq4RI9ehA4VetfZsuHzPSI2FXI5VYkAAfDKrrz"
	"6PcXCx8I9tuxPvtHP78zAxdOHRbXqIW2cGxjQ13ykHgRd1rrxeWYEOhDTxZZL4swi5t7fdIwJfcmRayv8HvmpPaeCIMnvqWLAQ0tBMIWzdvjTo"
	"igC06ybhNxQzDuu_IGhRhb6mL8Kz3WvZEq4kS0lDbhQ7m4j6San-nu8zUpWcHQFgEVWMO7Ch0Y1lZHb7sdMrcqXTYphNvW35bmx3Vq0f_4M12j"
	"D33mvl23VMDqipSlXUmCQcjXRi7x1rAMniBy0BQ\",\"e\":\"AQAB\",\"kid\":\"rs\",\"alg\":\"RS256\",\"use\":\"sig\"},{\"kty\":\"RSA\",\"n\":\"yn"
	"iyjDo-Kn5Jtfxv2tVeXY4bHCwDpWSV65rE1GmRLR37klq4RI9ehA4VetfZsuHzPSI2FXI5VYkAAfDKrrz6PcXCx8I9tuxPvtHP78zAxdOHRbXq"
	"IW2cGxjQ13ykHgRd1rrxeWYEOhDTxZZL4swi5t7fdIwJfcmRayv8HvmpPaeCIMnvqWLAQ0tBMIWzdvjToigC06ybhNxQzDuu_IGhRhb6mL8Kz3"
	"WvZEq4kS0lDbhQ7m4j6San-nu8zUpWcHQFgEVWMO7Ch0Y1lZHb7sdMrcqXTYphNvW35bmx3Vq0f_4M12jD33mvl23VMDqipSlXUmCQcjXRi7x1"
	"rAMniBy0BQ\",\"e\":\"AQAB\",\"kid\":\"ps\",\"alg\":\"PS256\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"cJJmFTeVUqZYe5U-VeH6k5UVLiCK-v"
	"Fai3kbMxqBDNQ\",\"y\":\"VQ098ztiFOWvmeKH7PFw3mIYw8IJbC3GdQpwDfmrDJA\",\"kid\":\"es\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
	"\"nnG19atfddOPhKMDO9WcvbIEawatW4xhcqHI0iGuFBE\",\"kid\":\"ed\"}]}";

#define NOW 1800000000000000ull /* wall µs */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwks *keys;
	const char *err = "", *issuer = NULL;
	if (keys == NULL && jwks_parse(sp_str(set), &keys, &err) != SP_OK)
		abort();
	struct sp_bytes token = { data, size };
	struct arena *a = arena_new(1u << 20);
	if (jwt_issuer(token, a, &issuer) == SP_OK && issuer == NULL)
		abort();
	const struct jwt_rules rules = { .keys = keys, .issuer = "https://idp.example.com", .audience = "sallyport", .other_audience = "",
		.now = NOW };
	struct jwt t;
	if (jwt_verify(token, &rules, &t, &err) == SP_OK || err == NULL)
		abort();
	arena_free(&a);
	return 0;
}
