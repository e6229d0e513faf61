/* SPDX-License-Identifier: Apache-2.0 */
/* See proxy_header.h. */
#include <config.h>

#include "proxy_header.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define V1_MAX 107 /* with its CRLF, as its specification says */

#define UNIX_PATHS 216u
enum { TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool
is_address(int family, const char *text)
{
	uint8_t ignored[16];
	return inet_pton(family, text, ignored) == 1;
}

/* One word up to a blank or the end, of printable letters. */
static bool
take_word(struct sp_bytes *line, char word[64])
{
	size_t n = 0;
	while (n < line->len && line->p[n] != ' ')
		n++;
	if (n == 0 || n >= 64)
		return false;
	for (size_t i = 0; i < n; i++)
		if (line->p[i] < 0x21 || line->p[i] > 0x7e)
			return false;
	memcpy(word, line->p, n);
	word[n] = '\0';
	size_t used = n < line->len ? n + 1 : n;
	*line = (struct sp_bytes){ line->p + used, line->len - used };
	return true;
}

static bool
is_port(const char *text)
{
	size_t n = strlen(text);
	return n > 0 && n <= 5 && strspn(text, "0123456789") == n && strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432, without its CRLF. */
static int
parse_line(struct sp_bytes line, char address_r[64])
{
	char word[6][64];
	for (size_t i = 0; i < 2; i++)
		if (!take_word(&line, word[i]))
			return SP_EPROTO;
	if (strcmp(word[0], "PROXY") != 0)
		return SP_EPROTO;
	if (strcmp(word[1], "UNKNOWN") == 0)
		return SP_OK; /* and what follows is to be passed over */
	int family = strcmp(word[1], "TCP4") == 0 ? AF_INET : strcmp(word[1], "TCP6") == 0 ? AF_INET6 : AF_UNSPEC;
	for (size_t i = 2; i < 6; i++)
		if (!take_word(&line, word[i]))
			return SP_EPROTO;
	if (family == AF_UNSPEC || line.len != 0 || !is_address(family, word[2]) || !is_address(family, word[3]) || !is_port(word[4]) || !is_port(word[5]))
		return SP_EPROTO;
	memcpy(address_r, word[2], 64);
	return SP_OK;
}

static long
parse_v1(struct sp_bytes in, char address_r[64])
{
	const uint8_t *end = memchr(in.p, '\n', in.len < V1_MAX ? in.len : V1_MAX);
	static const char start[] = "PROXY ";
	size_t same = in.len < sizeof(start) - 1 ? in.len : sizeof(start) - 1;
	if (memcmp(in.p, start, same) != 0)
		return SP_EPROTO;
	if (end == NULL)
		return in.len < V1_MAX ? 0 : SP_EPROTO;
	size_t n = (size_t)(end - in.p);
	if (n < 1 || in.p[n - 1] != '\r' || parse_line((struct sp_bytes){ in.p, n - 1 }, address_r) != SP_OK)
		return SP_EPROTO;
	return (long)n + 1;
}

static long
parse_v2(struct sp_bytes in, char address_r[64])
{
	struct sp_reader r = sp_reader(in);
	(void)sp_rd_take(&r, sizeof(signature));
	uint8_t command = sp_rd_u8(&r), family = sp_rd_u8(&r);
	size_t len = sp_rd_be16(&r);
	if (r.bad)
		return 0;
	if (command >> 4 != 2 || (command & 15) > 1 || len > PROXY_HEADER_MAX - 16)
		return SP_EPROTO;
	struct sp_reader body = sp_reader(sp_rd_take(&r, len));
	if (r.bad)
		return 0;
	size_t size = family == TCP4 ? 4 : family == TCP6 ? 16 : 0;
	if ((command & 15) == 0 || family == 0) /* LOCAL; UNSPEC */
		return (long)(16 + len);
	if (family == UNIX_STREAM) /* paths, which are no address of a client's */
		return len >= UNIX_PATHS ? (long)(16 + len) : SP_EPROTO;
	struct sp_bytes from = sp_rd_take(&body, size);
	(void)sp_rd_take(&body, size + 4); /* to whom, and both ports */
	if (size == 0 || body.bad || inet_ntop(size == 4 ? AF_INET : AF_INET6, from.p, address_r, 64) == NULL)
		return SP_EPROTO;
	return (long)(16 + len);
}

long
proxy_header_parse(struct sp_bytes in, char address_r[64])
{
	size_t same = in.len < sizeof(signature) ? in.len : sizeof(signature);
	address_r[0] = '\0';
	if (in.len == 0)
		return 0;
	bool second = memcmp(in.p, signature, same) == 0;
	long n = second && same < sizeof(signature) ? 0 : second ? parse_v2(in, address_r) : parse_v1(in, address_r);
	if (n <= 0)
		address_r[0] = '\0';
	return n;
}
