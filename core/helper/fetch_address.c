/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses, by RFC 6890 and its likes; and the hosts that the operator named. */
#include <config.h>

#include "fetch_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "../base/url.h"

struct range4 {
	uint32_t net;
	unsigned bits;
	enum reach reach;
};

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
static const struct range4 ranges4[] = {
	{ V4(0, 0, 0, 0), 8, REACH_NEVER },        /* this network: 0.0.0.0 is this machine */
	{ V4(10, 0, 0, 0), 8, REACH_NAMED },
	{ V4(100, 64, 0, 0), 10, REACH_NAMED },    /* carrier NAT; clouds have services there */
	{ V4(127, 0, 0, 0), 8, REACH_NAMED },
	{ V4(169, 254, 0, 0), 16, REACH_NEVER },   /* link-local: the metadata of clouds */
	{ V4(172, 16, 0, 0), 12, REACH_NAMED },
	{ V4(192, 0, 0, 0), 24, REACH_NEVER },
	{ V4(192, 88, 99, 0), 24, REACH_NEVER },   /* 6to4 relays */
	{ V4(192, 168, 0, 0), 16, REACH_NAMED },
	{ V4(198, 18, 0, 0), 15, REACH_NAMED },    /* benchmarks */
	{ V4(224, 0, 0, 0), 3, REACH_NEVER },      /* multicast, reserved, broadcast */
};

static enum reach
reach4(uint32_t address)
{
	for (size_t i = 0; i < sizeof(ranges4) / sizeof(*ranges4); i++) {
		if ((address ^ ranges4[i].net) >> (32 - ranges4[i].bits) == 0)
			return ranges4[i].reach;
	}
	return REACH_PUBLIC;
}

static uint32_t
be32(const uint8_t *p)
{
	return V4(p[0], p[1], p[2], p[3]);
}

static enum reach
reach6(const struct in6_addr *a)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	const uint8_t *p = a->s6_addr;
	if (IN6_IS_ADDR_LOOPBACK(a))
		return REACH_NAMED;
	/* An IPv4 address in another coat is that address. */
	if (IN6_IS_ADDR_V4MAPPED(a) || memcmp(p, nat64, sizeof(nat64)) == 0)
		return reach4(be32(p + 12));
	if (p[0] == 0x20 && p[1] == 0x02)
		return reach4(be32(p + 2));
	if ((p[0] & 0xfe) == 0xfc)
		return REACH_NAMED; /* unique local */
	if (p[0] == 0x20 && p[1] == 0x01 && p[2] == 0 && p[3] == 0)
		return REACH_NEVER; /* Teredo */
	return (p[0] & 0xe0) == 0x20 ? REACH_PUBLIC : REACH_NEVER; /* 2000::/3 is what is routed */
}

enum reach
fetch_reach(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return reach4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return reach6(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
	return REACH_NEVER;
}

bool
fetch_named(const struct settings *s, const char *url, bool *insecure_r)
{
	bool named = false;
	*insecure_r = false;
	for (const struct identity *i = s->identities; i != NULL; i = (const struct identity *)i->b.next) {
		if (!url_same_origin(i->oidc.issuer, url) && !url_same_origin(i->oidc.jwks, url))
			continue;
		named = true;
		*insecure_r = *insecure_r || i->oidc.insecure_loopback;
	}
	for (const struct webhook *w = s->webhooks; w != NULL; w = (const struct webhook *)w->b.next)
		named = named || url_same_origin(w->url, url) || url_same_origin(w->server, url);
	return named;
}
