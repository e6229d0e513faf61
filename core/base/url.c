/* SPDX-License-Identifier: Apache-2.0 */
/* Reading URLs, strictly. */
#include <config.h>

#include "url.h"

#include <stdio.h>
#include <strings.h>

static const struct {
	const char *prefix, *port;
	bool tls;
} schemes[] = { { "https://", ":443", true }, { "http://", ":80", false } };

/* What RFC 3986 lets a path and a query be made of. */
#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define PLAIN ALPHANUMERIC "-._~:/?@!$&'()*+,;=%"

/* Others read 2130706433, 0x7f.1 or 127.1 as an address: a name does not end like that. */
static bool
is_number_to_others(const struct hostport *at)
{
	const char *dot = strrchr(at->host, '.'), *last = dot == NULL ? at->host : dot + 1;
	size_t n = strlen(last);
	if (at->literal || n == 0)
		return false;
	return strspn(last, "0123456789") == n || (last[0] == '0' && (last[1] == 'x' || last[1] == 'X') && strspn(last + 2, "0123456789abcdefABCDEF") == n - 2);
}

static int
take_host(const char *text, size_t len, const char *port, struct hostport *at)
{
	char host[sizeof(at->host) + 16];
	if (len == 0 || len >= sizeof(at->host))
		return SP_ECONF;
	bool has_port = text[0] == '[' ? text[len - 1] != ']' : memchr(text, ':', len) != NULL;
	(void)snprintf(host, sizeof(host), "%.*s%s", (int)len, text, has_port ? "" : port);
	int rc = settings_hostport(host, at);
	return rc == SP_OK && is_number_to_others(at) ? SP_ECONF : rc;
}

int
url_parse(const char *text, struct url *u_r)
{
	*u_r = (struct url){ .path = "" };
	if (strlen(text) > URL_MAX)
		return SP_ETOOBIG;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t skip = strlen(schemes[i].prefix);
		if (strncmp(text, schemes[i].prefix, skip) != 0)
			continue;
		size_t len = strcspn(text + skip, "/?");
		u_r->tls = schemes[i].tls;
		u_r->path = text + skip + len;
		if (u_r->path[strspn(u_r->path, PLAIN)] != '\0' || u_r->path[0] == '?')
			return SP_ECONF;
		return take_host(text + skip, len, schemes[i].port, &u_r->at);
	}
	return SP_ECONF;
}

static bool
on_this_machine(const struct url *u)
{
	return u->at.loopback || strcasecmp(u->at.host, "localhost") == 0;
}

bool
url_fits(const char *text, bool insecure_loopback)
{
	struct url u;
	return url_parse(text, &u) == SP_OK && (u.tls || (insecure_loopback && on_this_machine(&u)));
}

bool
url_same_origin(const char *a, const char *b)
{
	struct url u, v;
	return url_parse(a, &u) == SP_OK && url_parse(b, &v) == SP_OK && u.tls == v.tls && u.at.port == v.at.port &&
	    strcasecmp(u.at.host, v.at.host) == 0;
}
