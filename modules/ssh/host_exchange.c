/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See host_exchange.h.
 *
 *   gateway                        server
 *   "SSH-2.0-sallyport"  ─────▶
 *   KEXINIT              ─────▶            curve25519-sha256, certificates of hosts only
 *                        ◀───── lines, "SSH-2.0-…"       RFC 4253, 4.2
 *                        ◀───── KEXINIT                  RFC 4253, 7.1
 *   KEX_ECDH_INIT        ─────▶                          RFC 5656, 4
 *                        ◀───── KEX_ECDH_REPLY           certificate, its public value, signature over the hash
 *   DISCONNECT           ─────▶                          RFC 4253, 11.1
 *
 * The hash (RFC 5656, 4; RFC 8731) is over both versions, both KEXINITs, the certificate, both public values and the
 * shared secret: a signature over it is of this exchange and no other.
 */
#include "host_exchange.h"

#include <nettle/curve25519.h>
#include <nettle/sha2.h>

#define VERSION "SSH-2.0-sallyport"
#define EXCHANGES "curve25519-sha256,curve25519-sha256@libssh.org"
/* Never used: a server goes on only when it finds one of its own in each list. */
#define CIPHERS "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define LISTS 10
#define LINES_MAX 20
enum { MSG_DISCONNECT = 1, MSG_KEXINIT = 20, MSG_ECDH_INIT = 30, MSG_ECDH_REPLY = 31 };
enum { LIST_EXCHANGE, LIST_HOST_KEY };
_Static_assert(CURVE25519_SIZE == EXCHANGE_SECRET, "a secret is a scalar");

static long
refuse(const char **why_r, const char *why)
{
	*why_r = why;
	return -1;
}

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

static void
wr_string(struct sp_writer *w, struct sp_bytes b)
{
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

/* RFC 4253, 6: before the keys padding makes eights of it, and there is no MAC. */
static void
wr_packet(struct sp_writer *w, struct sp_bytes payload)
{
	static const uint8_t zeros[16];
	size_t padding = 8 - (5 + payload.len) % 8;
	padding += padding < 4 ? 8 : 0;
	sp_wr_be32(w, (uint32_t)(1 + payload.len + padding));
	sp_wr_u8(w, (uint8_t)padding);
	sp_wr_put(w, payload);
	sp_wr_put(w, (struct sp_bytes){ zeros, padding });
}

void
host_exchange_begin(struct host_exchange *x, const uint8_t random[16 + EXCHANGE_SECRET], struct sp_writer *out)
{
	const char *const list[LISTS] = { EXCHANGES, host_algorithms, CIPHERS, CIPHERS, MACS, MACS, "none", "none", "", "" };
	struct sp_writer w = sp_writer(x->ours, sizeof(x->ours));
	x->at = EXCHANGE_VERSION;
	memcpy(x->secret, random + 16, EXCHANGE_SECRET);
	curve25519_mul_g(x->public, x->secret);
	sp_wr_u8(&w, MSG_KEXINIT);
	sp_wr_put(&w, (struct sp_bytes){ random, 16 });
	for (unsigned i = 0; i < LISTS; i++)
		wr_string(&w, sp_str(list[i]));
	sp_wr_u8(&w, 0);
	sp_wr_be32(&w, 0);
	x->ours_len = w.len;
	sp_wr_put(out, SP_LIT(VERSION "\r\n"));
	wr_packet(out, sp_written(&w));
}

/* ---- from the server ---- */

static long
look_at_line(struct host_exchange *x, struct sp_bytes in, size_t *want_r, const char **why_r)
{
	const uint8_t *end = memchr(in.p, '\n', in.len);
	const size_t n = end == NULL ? in.len : (size_t)(end - in.p) + 1;
	if (n > EXCHANGE_LINE)
		return refuse(why_r, "its first line is too long");
	if (end == NULL) {
		*want_r = in.len + 1;
		return 0;
	}
	if (n < 4 || memcmp(in.p, "SSH-", 4) != 0)
		return ++x->lines > LINES_MAX ? refuse(why_r, "it does not speak SSH 2.0") : (long)n;
	if (n < 9 || memcmp(in.p, "SSH-2.0-", 8) != 0)
		return refuse(why_r, "it does not speak SSH 2.0");
	x->version_len = n - 1 - (in.p[n - 2] == '\r');
	memcpy(x->version, in.p, x->version_len);
	x->at = EXCHANGE_LISTS;
	return (long)n;
}

/* A whole packet's payload; as look_at_line() otherwise. */
static long
look_at_packet(struct sp_bytes in, struct sp_bytes *payload_r, size_t *want_r, const char **why_r)
{
	struct sp_reader r = sp_reader(in);
	const uint32_t length = sp_rd_be32(&r);
	if (!r.bad && (length > EXCHANGE_PACKET || length < 12 || (length + 4) % 8 != 0))
		return refuse(why_r, "the length of a packet is impossible");
	if (r.bad || r.left < length) {
		*want_r = r.bad ? 4 : (size_t)length + 4;
		return 0;
	}
	struct sp_reader packet = sp_reader(sp_rd_take(&r, length));
	const uint8_t padding = sp_rd_u8(&packet);
	if (padding < 4 || padding >= packet.left)
		return refuse(why_r, "the padding of a packet is impossible");
	*payload_r = sp_rd_take(&packet, packet.left - padding);
	return (long)length + 4;
}

static struct sp_bytes
next_name(struct sp_reader *r)
{
	struct sp_reader rest = *r;
	struct sp_bytes word = sp_rd_until(r, ',');
	if (r->bad) {
		*r = rest;
		word = sp_rd_rest(r);
	}
	return word;
}

static bool
list_has(struct sp_bytes list, struct sp_bytes name)
{
	struct sp_reader r = sp_reader(list);
	while (r.left > 0)
		if (sp_bytes_eq(next_name(&r), name))
			return true;
	return false;
}

/* RFC 4253, 7.1: the first of ours that is in theirs; empty: none is. */
static struct sp_bytes
agree(const char *ours, struct sp_bytes theirs)
{
	struct sp_reader r = sp_reader(sp_str(ours));
	while (r.left > 0) {
		struct sp_bytes name = next_name(&r);
		if (list_has(theirs, name))
			return name;
	}
	return (struct sp_bytes){ NULL, 0 };
}

static long
take_lists(struct host_exchange *x, struct sp_bytes payload, struct sp_writer *out, const char **why_r)
{
	uint8_t space[1 + 4 + EXCHANGE_SECRET];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct sp_reader r = sp_reader(payload);
	struct sp_bytes list[LISTS];
	(void)sp_rd_take(&r, 1 + 16);
	for (unsigned i = 0; i < LISTS; i++)
		list[i] = rd_string(&r);
	const uint8_t guesses = sp_rd_u8(&r);
	(void)sp_rd_be32(&r);
	if (!sp_rd_done(&r))
		return refuse(why_r, "its list of algorithms is malformed");
	if (guesses != 0)
		return refuse(why_r, "it guesses how keys are exchanged");
	if (agree(EXCHANGES, list[LIST_EXCHANGE]).len == 0)
		return refuse(why_r, "it does not exchange keys by curve25519-sha256");
	x->kind = host_kind_of(agree(host_algorithms, list[LIST_HOST_KEY]));
	if (x->kind == NULL)
		return refuse(why_r, "it has no host certificate (HostCertificate of its sshd_config), or none of Ed25519, ECDSA or RSA with SHA-2");
	memcpy(x->theirs, payload.p, payload.len);
	x->theirs_len = payload.len;
	sp_wr_u8(&w, MSG_ECDH_INIT);
	wr_string(&w, (struct sp_bytes){ x->public, sizeof(x->public) });
	wr_packet(out, sp_written(&w));
	x->at = EXCHANGE_REPLY;
	return 0;
}

static void
hash_string(struct sha256_ctx *h, struct sp_bytes b)
{
	const uint8_t len[4] = { (uint8_t)(b.len >> 24), (uint8_t)(b.len >> 16), (uint8_t)(b.len >> 8), (uint8_t)b.len };
	sha256_update(h, sizeof(len), len);
	sha256_update(h, b.len, b.p);
}

/* RFC 8731, 3.1: the bytes as they are, read as a number: an mpint (RFC 4251, 5). */
static void
hash_number(struct sha256_ctx *h, const uint8_t secret[EXCHANGE_SECRET])
{
	uint8_t text[1 + EXCHANGE_SECRET] = { 0 };
	size_t zeros = 0;
	while (zeros < EXCHANGE_SECRET && secret[zeros] == 0)
		zeros++;
	const size_t sign = zeros < EXCHANGE_SECRET && secret[zeros] >= 0x80, len = EXCHANGE_SECRET - zeros;
	memcpy(text + sign, secret + zeros, len);
	hash_string(h, (struct sp_bytes){ text, sign + len });
	explicit_bzero(text, sizeof(text));
}

static bool
make_hash(struct host_exchange *x, struct sp_bytes theirs)
{
	struct sha256_ctx h;
	uint8_t shared[EXCHANGE_SECRET], any = 0;
	curve25519_mul(shared, x->secret, theirs.p);
	for (size_t i = 0; i < sizeof(shared); i++)
		any |= shared[i];
	sha256_init(&h);
	hash_string(&h, SP_LIT(VERSION));
	hash_string(&h, (struct sp_bytes){ x->version, x->version_len });
	hash_string(&h, (struct sp_bytes){ x->ours, x->ours_len });
	hash_string(&h, (struct sp_bytes){ x->theirs, x->theirs_len });
	hash_string(&h, x->certificate);
	hash_string(&h, (struct sp_bytes){ x->public, sizeof(x->public) });
	hash_string(&h, theirs);
	hash_number(&h, shared);
	sha256_digest(&h, sizeof(x->hash), x->hash);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(x->secret, sizeof(x->secret));
	return any != 0; /* RFC 8731, 3: a value of low order is refused */
}

static long
take_reply(struct host_exchange *x, struct sp_bytes payload, struct sp_writer *out, const char **why_r)
{
	memcpy(x->reply, payload.p, payload.len);
	struct sp_reader r = sp_reader((struct sp_bytes){ x->reply, payload.len });
	(void)sp_rd_u8(&r);
	x->certificate = rd_string(&r);
	const struct sp_bytes theirs = rd_string(&r);
	x->signature = rd_string(&r);
	if (!sp_rd_done(&r) || theirs.len != EXCHANGE_SECRET)
		return refuse(why_r, "its answer to the key exchange is malformed");
	if (!make_hash(x, theirs))
		return refuse(why_r, "its public value is of low order");
	uint8_t space[64];
	struct sp_writer w = sp_writer(space, sizeof(space));
	sp_wr_u8(&w, MSG_DISCONNECT);
	sp_wr_be32(&w, 11); /* by application */
	wr_string(&w, SP_LIT("certificate seen"));
	wr_string(&w, SP_LIT(""));
	wr_packet(out, sp_written(&w));
	x->at = EXCHANGE_DONE;
	return 0;
}

long
host_exchange_look(struct host_exchange *x, struct sp_bytes in, struct sp_writer *out, size_t *want_r, const char **why_r)
{
	struct sp_bytes payload = { NULL, 0 };
	*want_r = 1;
	if (in.len == 0 || x->at == EXCHANGE_DONE)
		return 0;
	if (x->at == EXCHANGE_VERSION)
		return look_at_line(x, in, want_r, why_r);
	const long n = look_at_packet(in, &payload, want_r, why_r);
	if (n <= 0)
		return n;
	const uint8_t type = payload.p[0], wanted = x->at == EXCHANGE_LISTS ? MSG_KEXINIT : MSG_ECDH_REPLY;
	if (type == MSG_DISCONNECT)
		return refuse(why_r, "it ended the connection");
	if (type != wanted)
		return refuse(why_r, "a message came that does not belong there");
	const long rc = wanted == MSG_KEXINIT ? take_lists(x, payload, out, why_r) : take_reply(x, payload, out, why_r);
	return rc < 0 ? rc : n;
}

bool
host_exchange_proved(const struct host_exchange *x, const struct host_key *key)
{
	return x->at == EXCHANGE_DONE && host_signature_good(key, (struct sp_bytes){ x->hash, sizeof(x->hash) }, x->signature);
}
