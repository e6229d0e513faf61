/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a URL that is to be asked (ID9): what we take for its host and port is what libcurl, which asks
 * it, takes for them.  Two readers that differ are a way past every list of addresses.
 */
#include <config.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"
#include "core/base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same name, or the same address however it is written. */
static bool
is_same_host(const char *a, const char *b)
{
	struct in6_addr x, y;
	return strcasecmp(a, b) == 0 || (inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1 && memcmp(&x, &y, sizeof(x)) == 0);
}

/* It may refuse more than we do; it must not read anything else. */
static void
compare(const char *text, const struct url *u)
{
	CURLU *c = curl_url();
	char *host = NULL, *port = NULL, *user = NULL, *fragment = NULL, *scheme = NULL;
	if (c != NULL && curl_url_set(c, CURLUPART_URL, text, 0) == CURLUE_OK && curl_url_get(c, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(c, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && curl_url_get(c, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK) {
		size_t n = strlen(host);
		bool brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
		if (brackets)
			host[n - 1] = '\0';
		if (strcmp(scheme, u->tls ? "https" : "http") != 0 || strtoul(port, NULL, 10) != u->at.port || !is_same_host(host + brackets, u->at.host))
			abort();
		if (curl_url_get(c, CURLUPART_USER, &user, 0) == CURLUE_OK || curl_url_get(c, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
			abort();
	}
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_free(fragment);
	curl_free(scheme);
	curl_url_cleanup(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct url u;
	char *text = mem_string((struct sp_bytes){ data, size });
	if (strlen(text) == size && url_parse(text, &u) == SP_OK) {
		if (u.at.host[0] == '\0' || u.at.port == 0 || !url_same_origin(text, text))
			abort();
		compare(text, &u);
	}
	free(text);
	return 0;
}
