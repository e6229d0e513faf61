/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before libssh: what comes in clear, until the keys are there.
 *
 *   "SSH-2.0-…\r\n" ─▶ KEXINIT ─▶ messages of the key exchange ─▶ NEWKEYS ─▶ all else is encrypted
 *
 * Lengths are checked before a byte of a packet goes on (SS11).  Nothing else than the key exchange is
 * let through: a message that could shift the sequence numbers (SS1, CVE-2023-48795) ends the session.
 */
#include "guard.h"

enum { BANNER_MAX = 255, LINES_MAX = 20, PACKET_MAX = 35000, HEADER = 6 };
enum { MSG_DISCONNECT = 1, MSG_KEXINIT = 20, MSG_NEWKEYS = 21, MSG_KEX_FIRST = 30, MSG_KEX_LAST = 49 };

static long
refuse(const char **why_r, const char *why)
{
	*why_r = why;
	return -1;
}

/* A server may say more before its version; each line ends somewhere. */
static long
look_at_banner(struct guard *g, struct sp_bytes in, size_t *want_r, const char **why_r)
{
	const uint8_t *end = memchr(in.p, '\n', in.len);
	size_t n = end == NULL ? in.len : (size_t)(end - in.p) + 1;
	if (n > BANNER_MAX)
		return refuse(why_r, "its first line is too long");
	if (end == NULL) {
		*want_r = in.len + 1;
		return 0;
	}
	if (n > 8 && (memcmp(in.p, "SSH-2.0-", 8) == 0 || (n > 9 && memcmp(in.p, "SSH-1.99-", 9) == 0)))
		g->at = GUARD_PACKETS;
	else if (memcmp(in.p, "SSH-", n < 4 ? n : 4) == 0 || ++g->lines > LINES_MAX)
		return refuse(why_r, "it does not speak SSH 2.0");
	for (size_t i = 0; i + 1 < n; i++)
		if (in.p[i] == 0 || (in.p[i] < ' ' && in.p[i] != '\t' && in.p[i] != '\r'))
			return refuse(why_r, "its first line is not text");
	return (long)n;
}

static bool
list_has(struct sp_bytes list, const char *name)
{
	struct sp_reader r = sp_reader(list);
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes word = sp_rd_until(&r, ',');
		if (r.bad) {
			r = rest;
			word = sp_rd_rest(&r);
		}
		if (sp_bytes_is(word, name))
			return true;
	}
	return false;
}

/* Cookie, ten lists of names, two numbers: nothing missing, nothing left over. */
static bool
look_at_kexinit(struct guard *g, struct sp_bytes payload)
{
	struct sp_reader r = sp_reader(payload);
	(void)sp_rd_take(&r, 1 + 16);
	struct sp_bytes exchanges = sp_rd_take(&r, sp_rd_be32(&r));
	for (unsigned i = 1; i < 10; i++)
		(void)sp_rd_take(&r, sp_rd_be32(&r));
	(void)sp_rd_u8(&r);
	(void)sp_rd_be32(&r);
	g->strict = list_has(exchanges, "kex-strict-c-v00@openssh.com") || list_has(exchanges, "kex-strict-s-v00@openssh.com");
	return sp_rd_done(&r);
}

static long
look_at_packet(struct guard *g, struct sp_bytes in, size_t *want_r, const char **why_r)
{
	struct sp_reader r = sp_reader(in);
	uint32_t length = sp_rd_be32(&r);
	if (!r.bad && (length > PACKET_MAX || length < 12 || (length + 4) % 8 != 0))
		return refuse(why_r, "the length of a packet before the keys is impossible");
	if (r.bad || r.left < length) {
		*want_r = r.bad ? HEADER : (size_t)length + 4;
		return 0;
	}
	struct sp_reader packet = sp_reader(sp_rd_take(&r, length));
	uint8_t padding = sp_rd_u8(&packet);
	if (padding < 4 || padding >= packet.left)
		return refuse(why_r, "the padding of a packet before the keys is impossible");
	struct sp_bytes payload = sp_rd_take(&packet, packet.left - padding);
	uint8_t type = payload.p[0];
	if (type == MSG_KEXINIT && !look_at_kexinit(g, payload))
		return refuse(why_r, "its list of algorithms is malformed");
	if (type == MSG_NEWKEYS)
		g->at = GUARD_OPEN;
	else if (type != MSG_KEXINIT && type != MSG_DISCONNECT && (type < MSG_KEX_FIRST || type > MSG_KEX_LAST))
		return refuse(why_r, "a message came before the keys that does not belong there");
	return (long)length + 4;
}

long
guard_look(struct guard *g, struct sp_bytes in, size_t *want_r, const char **why_r)
{
	*want_r = 1;
	if (g->at == GUARD_OPEN || in.len == 0)
		return (long)in.len;
	return g->at == GUARD_BANNER ? look_at_banner(g, in, want_r, why_r) : look_at_packet(g, in, want_r, why_r);
}
