/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses, by RFC 6890 and its likes. */
#include <config.h>

#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

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
address_reach(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return reach4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return reach6(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
	return REACH_NEVER;
}

static bool
is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
	const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

/* Where clouds tell machines who they are, and what they may do; the link-local one is in the ranges. */
static bool
is_metadata(const struct sockaddr *a)
{
	static const char *const places[] = { "100.100.100.200", "168.63.129.16", "fd00:ec2::254" };
	uint8_t six[16];
	const void *is = a->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr
						 : (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (inet_pton(a->sa_family, places[i], six) == 1 && memcmp(six, is, a->sa_family == AF_INET ? 4 : 16) == 0)
			return true;
	return false;
}

/* The same address, or every one of this machine's. */
static bool
listens_there(const char *listen, const struct sockaddr *a, bool here)
{
	struct hostport at;
	struct in_addr v4;
	struct in6_addr v6;
	uint16_t port = ntohs(a->sa_family == AF_INET ? ((const struct sockaddr_in *)(const void *)a)->sin_port : ((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
	if (listen == NULL || settings_hostport(listen, &at) != SP_OK || at.port != port)
		return false;
	bool is_v4 = inet_pton(AF_INET, at.host, &v4) == 1, is_v6 = inet_pton(AF_INET6, at.host, &v6) == 1;
	if ((is_v4 && v4.s_addr == 0) || (is_v6 && IN6_IS_ADDR_UNSPECIFIED(&v6)))
		return here;
	if (a->sa_family == AF_INET)
		return is_v4 && memcmp(&v4, &((const struct sockaddr_in *)(const void *)a)->sin_addr, sizeof(v4)) == 0;
	return is_v6 && memcmp(&v6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, sizeof(v6)) == 0;
}

static bool
is_ours(const struct settings *s, const struct sockaddr *a, bool here)
{
	for (const struct listener *l = s->listeners; l != NULL; l = (const struct listener *)l->b.next)
		if (listens_there(l->listen, a, here))
			return true;
	return listens_there(s->console.listen, a, here);
}

const char *
address_refused(const struct settings *s, const char *host, const struct sockaddr *a, bool here)
{
	struct in_addr v4;
	struct in6_addr v6;
	bool literal = inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1;
	if (a->sa_family != AF_INET && a->sa_family != AF_INET6)
		return "it is no address of the internet's";
	if (address_reach(a) == REACH_NEVER || is_metadata(a))
		return "its address is link-local, a cloud's metadata, multicast or none: no target is there";
	if (is_loopback(a) && !literal && strcasecmp(host, "localhost") != 0)
		return "its name leads to this machine: write 127.0.0.1 or localhost if that is meant";
	return s != NULL && is_ours(s, a, here || is_loopback(a)) ? "its address is one where this gateway itself listens" : NULL;
}

static const struct settings *ours;

void
address_ours(const struct settings *s)
{
	ours = s;
}

/* Is it an address of this machine's?  Nothing is sent: the system says from where it would be. */
static bool
is_here(const struct addrinfo *to)
{
	struct sockaddr_storage own = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(own);
	int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
	    own.ss_family == to->ai_family;
	if (fd >= 0)
		(void)close(fd);
	if (!found)
		return false;
	if (own.ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&own)->sin_addr.s_addr == ((const struct sockaddr_in *)(const void *)to->ai_addr)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)&own)->sin6_addr, &((const struct sockaddr_in6 *)(const void *)to->ai_addr)->sin6_addr,
	    sizeof(struct in6_addr)) == 0;
}

int
address_find(const char *server, struct hostport *h_r, char digits_r[ADDRESS_DIGITS], const char **why_r)
{
	const struct addrinfo want = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL, *i;
	char port[8];
	digits_r[0] = '\0';
	*why_r = "the server's name is not known";
	if (settings_hostport(server, h_r) != SP_OK)
		return SP_EIO;
	(void)snprintf(port, sizeof(port), "%u", h_r->port);
	if (getaddrinfo(h_r->host, port, &want, &list) != 0)
		return SP_EIO;
	for (i = list; i != NULL && (*why_r = address_refused(ours, h_r->host, i->ai_addr, ours != NULL && is_here(i))) != NULL; i = i->ai_next)
		continue;
	int rc = i == NULL ? SP_EDENIED : getnameinfo(i->ai_addr, i->ai_addrlen, digits_r, ADDRESS_DIGITS, NULL, 0, NI_NUMERICHOST) == 0 ? SP_OK : SP_EIO;
	freeaddrinfo(list);
	if (rc == SP_EIO)
		*why_r = "the server's name is not known";
	return rc;
}
