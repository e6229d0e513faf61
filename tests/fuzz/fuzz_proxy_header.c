/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header: whole, a part of one, or none; and what it says is an address or nothing, however much more follows. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char address[64], again[64];
	uint8_t ignored[16];
	long n = proxy_header_parse((struct sp_bytes){ data, size }, address);
	if (n > (long)size || (n <= 0 && address[0] != '\0'))
		abort();
	if (address[0] != '\0' && inet_pton(AF_INET, address, ignored) != 1 && inet_pton(AF_INET6, address, ignored) != 1)
		abort();
	if (n > 0 && (proxy_header_parse((struct sp_bytes){ data, (size_t)n }, again) != n || strcmp(address, again) != 0))
		abort();
	if (n > 1 && proxy_header_parse((struct sp_bytes){ data, (size_t)n - 1 }, again) != 0)
		abort();
	return 0;
}
