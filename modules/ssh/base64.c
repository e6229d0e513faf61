/* SPDX-License-Identifier: Apache-2.0 */
/* See base64.h. */
#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_decode(const char *text, uint8_t *out, size_t max)
{
	uint32_t bits = 0;
	size_t n = 0;
	unsigned have = 0;
	for (; *text != '\0' && *text != '='; text++) {
		const char *at = strchr(digits, *text);
		if (at == NULL)
			return 0;
		bits = bits << 6 | (uint32_t)(at - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == max)
			return 0;
		out[n++] = (uint8_t)(bits >> have);
	}
	return n;
}

bool
base64_encode(struct sp_bytes in, char *out, size_t max)
{
	size_t n = 0;
	if (max < (in.len + 2) / 3 * 4 + 1)
		return false;
	for (size_t i = 0; i < in.len; i += 3) {
		uint32_t bits = (uint32_t)in.p[i] << 16;
		bits |= i + 1 < in.len ? (uint32_t)in.p[i + 1] << 8 : 0;
		bits |= i + 2 < in.len ? in.p[i + 2] : 0;
		out[n++] = digits[bits >> 18];
		out[n++] = digits[bits >> 12 & 63];
		out[n++] = i + 1 < in.len ? digits[bits >> 6 & 63] : '=';
		out[n++] = i + 2 < in.len ? digits[bits & 63] : '=';
	}
	out[n] = '\0';
	return true;
}
