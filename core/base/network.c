/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as people write them, 10.0.0.0/8, and whether an address is in one. */
#include <config.h>

#include "network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static bool
address_parse(const char *text, uint8_t out[16])
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(out, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		memcpy(out + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

/* The host of "10.0.0.1", "10.0.0.1:5432", "::1", "[::1]:5432". */
static bool
address_of(struct sp_bytes text, uint8_t out[16])
{
	char copy[64];

	if (text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	if (address_parse(copy, out))
		return true;
	char *host = copy, *end = strrchr(copy, ':');
	if (*host == '[') {
		host++;
		end = strchr(host, ']');
	}
	if (end == NULL)
		return false;
	*end = '\0';
	return address_parse(host, out);
}

bool
network_parse(const char *text, struct network *n_r)
{
	char copy[64];
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);

	*n_r = (struct network){ .bits = 128 };
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!address_parse(copy, n_r->bytes))
		return false;
	if (slash == NULL)
		return true;
	unsigned most = strchr(copy, ':') == NULL ? 32 : 128, bits = 0;
	if (slash[1] == '\0' || strlen(slash + 1) > 3 || strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return false;
	bits = (unsigned)strtoul(slash + 1, NULL, 10);
	n_r->bits = bits + 128 - most;
	return bits <= most;
}

bool
network_has(const struct network *n, struct sp_bytes text, bool *in_r)
{
	uint8_t bytes[16];

	*in_r = false;
	if (!address_of(text, bytes))
		return false;
	for (unsigned i = 0; i < n->bits; i++)
		if (((bytes[i / 8] ^ n->bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
			return true;
	*in_r = true;
	return true;
}
