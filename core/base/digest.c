/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, keys, signatures and their text forms, over GnuTLS and nettle. */
#include <config.h>

#include "digest.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <nettle/eddsa.h>

#include "log.h"

/* The library failed at something that can't fail: nothing that we would say next could be trusted. */
static void
must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	log_error("%s failed: %s", what, gnutls_strerror(rc));
	abort();
}

void
digest_sha256(struct sp_bytes in, uint8_t out[DIGEST_LEN])
{
	must(gnutls_hash_fast(GNUTLS_DIG_SHA256, in.p, in.len, out), "SHA-256");
}

void
digest_hmac(struct sp_bytes key, struct sp_bytes in, uint8_t out[DIGEST_LEN])
{
	must(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.p, key.len, in.p, in.len, out), "HMAC");
}

void
digest_derive(struct sp_bytes key, const char *purpose, struct sp_bytes name, uint8_t out[DIGEST_LEN])
{
	gnutls_hmac_hd_t h;
	must(gnutls_hmac_init(&h, GNUTLS_MAC_SHA256, key.p, key.len), "HMAC");
	must(gnutls_hmac(h, purpose, strlen(purpose) + 1), "HMAC");
	must(gnutls_hmac(h, name.p, name.len), "HMAC");
	gnutls_hmac_deinit(h, out);
}

struct digest {
	gnutls_hash_hd_t h;
};

struct digest *
digest_begin(void)
{
	struct digest *d = mem_alloc(sizeof(*d));
	must(gnutls_hash_init(&d->h, GNUTLS_DIG_SHA256), "SHA-256");
	return d;
}

void
digest_add(struct digest *d, struct sp_bytes b)
{
	must(gnutls_hash(d->h, b.p, b.len), "SHA-256");
}

void
digest_add_part(struct digest *d, struct sp_bytes b)
{
	uint8_t len[4];
	struct sp_writer w = sp_writer(len, sizeof(len));
	sp_wr_be32(&w, (uint32_t)b.len);
	digest_add(d, sp_written(&w));
	digest_add(d, b);
}

void
digest_next(struct digest *d, uint8_t out[DIGEST_LEN])
{
	gnutls_hash_output(d->h, out);
}

void
digest_end(struct digest **d, uint8_t out[DIGEST_LEN])
{
	gnutls_hash_deinit((*d)->h, out);
	free(*d);
	*d = NULL;
}

/*
 * ---- Ed25519 ----
 *
 * By nettle: importing a raw private key into GnuTLS 3.7 needs the public half, does not check it,
 * and would hand out whatever stood there, the seed included.
 */

void
digest_public(const uint8_t seed[32], uint8_t public_r[32])
{
	ed25519_sha512_public_key(public_r, seed);
}

int
digest_keypair(uint8_t seed_r[32], uint8_t public_r[32])
{
	random_bytes(seed_r, 32);
	digest_public(seed_r, public_r);
	return SP_OK;
}

int
digest_sign(const uint8_t seed[32], struct sp_bytes in, uint8_t out[SIGNATURE_LEN])
{
	uint8_t public[32];
	ed25519_sha512_public_key(public, seed);
	ed25519_sha512_sign(public, seed, in.len, in.p, out);
	return SP_OK;
}

bool
digest_verify(const uint8_t public[32], struct sp_bytes in, const uint8_t sig[SIGNATURE_LEN])
{
	return ed25519_sha512_verify(public, in.len, in.p, sig) == 1;
}

void
random_bytes(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = getrandom((uint8_t *)p + done, n - done, 0);
		if (got < 0 && errno != EINTR) {
			log_error("no random bytes: %s", strerror(errno));
			abort();
		}
		done += got < 0 ? 0 : (size_t)got;
	}
}

/* ---- text forms ---- */

/* Four bytes' eight digits at once: a half byte in each byte, '0' added to it, and what is between '9' and 'a' above nine. */
static void
hex_four(const uint8_t in[4], char out[8])
{
	const uint64_t each = 0x0101010101010101u;
	uint32_t four;
	memcpy(&four, in, sizeof(four));
	uint64_t v = be32toh(four);
	v = (v << 16 | v) & 0x0000ffff0000ffffu;
	v = (v << 8 | v) & 0x00ff00ff00ff00ffu;
	v = (v << 4 | v) & each * 15;
	v = htobe64(v + each * '0' + ((v + each * 6) >> 4 & each) * ('a' - '9' - 1));
	memcpy(out, &v, sizeof(v));
}

void
text_hex(struct sp_bytes in, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i = 0;
	for (; in.len - i >= 4; i += 4, out += 8)
		hex_four(in.p + i, out);
	for (; i < in.len; i++) {
		*out++ = digit[in.p[i] >> 4];
		*out++ = digit[in.p[i] & 15];
	}
	*out = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_unhex(const char *in, uint8_t *out, size_t len)
{
	if (strnlen(in, 2 * len + 1) != 2 * len)
		return SP_EPROTO;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(in[2 * i]), low = hex_value(in[2 * i + 1]);
		if (high < 0 || low < 0)
			return SP_EPROTO;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return SP_OK;
}

static const char base64_digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char base64_plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
put_base64(struct sp_bytes in, const char *digit, bool pad, struct buffer *out)
{
	struct sp_writer w = buffer_writer(out);
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < in.len; i++) {
		bits = bits << 8 | in.p[i];
		for (have += 8; have >= 6; have -= 6)
			sp_wr_u8(&w, (uint8_t)digit[bits >> (have - 6) & 63]);
	}
	if (have > 0)
		sp_wr_u8(&w, (uint8_t)digit[bits << (6 - have) & 63]);
	for (; pad && have > 0; have = have == 2 ? 4 : 0)
		sp_wr_u8(&w, '=');
	return buffer_written(out, &w);
}

int
text_base64(struct sp_bytes in, struct buffer *out)
{
	return put_base64(in, base64_plain, true, out);
}

int
text_base64url(struct sp_bytes in, struct buffer *out)
{
	return put_base64(in, base64_digit, false, out);
}

int
text_unbase64url(struct sp_bytes in, struct buffer *out)
{
	struct sp_writer w = buffer_writer(out);
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < in.len; i++) {
		const char *at = in.p[i] == 0 ? NULL : strchr(base64_digit, in.p[i]);
		if (at == NULL)
			return SP_EPROTO;
		bits = bits << 6 | (uint32_t)(at - base64_digit);
		have += 6;
		if (have >= 8) {
			have -= 8;
			sp_wr_u8(&w, (uint8_t)(bits >> have));
		}
	}
	/* Six bits left over: half a byte is missing.  Set bits left over: a second spelling of the same bytes. */
	if (have >= 6 || (bits & ((1u << have) - 1)) != 0)
		return SP_EPROTO;
	return buffer_written(out, &w);
}

/* ---- identifiers ---- */

static const char id_digit[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
id_new(uint8_t id[ID_LEN])
{
	random_bytes(id, ID_LEN);
}

/* 130 bits for 128: the first letter has two bits to spare and is at most 7. */
const char *
id_format(const uint8_t id[ID_LEN], char out[ID_TEXT])
{
	uint32_t bits = 0;
	unsigned have = 2, n = 0;
	for (size_t i = 0; i < ID_LEN; i++) {
		bits = bits << 8 | id[i];
		for (have += 8; have >= 5; have -= 5)
			out[n++] = id_digit[bits >> (have - 5) & 31];
	}
	out[n] = '\0';
	return out;
}

/* As people write it: either case, and o for 0, i or l for 1. */
static int
id_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	if (c == 'o')
		return 0;
	if (c == 'i' || c == 'l')
		return 1;
	const char *at = c == '\0' ? NULL : strchr(id_digit, c);
	return at == NULL ? -1 : (int)(at - id_digit);
}

int
id_parse(const char *text, uint8_t id[ID_LEN])
{
	uint32_t bits = 0;
	unsigned have = 0, n = 0;
	memset(id, 0, ID_LEN);
	if (strnlen(text, ID_TEXT) != ID_TEXT - 1 || id_value(text[0]) > 7)
		return SP_EPROTO;
	for (size_t i = 0; i < ID_TEXT - 1; i++) {
		int v = id_value(text[i]);
		if (v < 0)
			return SP_EPROTO;
		bits = bits << 5 | (uint32_t)v;
		have += i == 0 ? 3 : 5;
		if (have >= 8) {
			have -= 8;
			id[n++] = (uint8_t)(bits >> have);
		}
	}
	return SP_OK;
}
