/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM's messages, and PBKDF2 in slices. */
#include <config.h>

#include "scram.h"

#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdlib.h>

#define NONCE_BYTES 24
#define NONCE_MAX 512

static int
fail(const char **err_r, const char *why)
{
	*err_r = why;
	return SP_EPROTO;
}

static int
put_base64(struct buffer *out, struct sp_bytes in)
{
	size_t n = BASE64_ENCODE_RAW_LENGTH(in.len);
	uint8_t *room = in.len > SCRAM_MESSAGE_MAX ? NULL : buffer_room(out, n);
	if (room == NULL)
		return SP_ETOOBIG;
	base64_encode_raw((char *)room, in.len, in.p);
	buffer_added(out, n);
	return SP_OK;
}

/* Exactly what the encoder would have made, of min to max bytes; the length, or negative. */
static long
take_base64(struct sp_bytes in, uint8_t *out, size_t min, size_t max)
{
	struct base64_decode_ctx ctx;
	struct buffer bytes = { 0 }, again = { 0 };
	size_t n = BASE64_DECODE_LENGTH(in.len);
	uint8_t *room = in.len > SCRAM_MESSAGE_MAX ? NULL : buffer_room(&bytes, n + 1);
	long rc = SP_EPROTO;
	base64_decode_init(&ctx);
	if (room != NULL && base64_decode_update(&ctx, &n, room, in.len, (const char *)in.p) == 1 &&
	    base64_decode_final(&ctx) == 1 && n >= min && n <= max) {
		buffer_added(&bytes, n);
		/* The decoder skips white space; we don't. */
		if (put_base64(&again, buffer_bytes(&bytes)) == SP_OK && sp_bytes_eq(buffer_bytes(&again), in)) {
			memcpy(out, room, n);
			rc = (long)n;
		}
	}
	buffer_free(&bytes);
	buffer_free(&again);
	return rc;
}

/* ---- messages ---- */

int
scram_first(struct scram *s, bool plus, struct sp_bytes binding, struct buffer *out)
{
	uint8_t random[NONCE_BYTES];
	struct buffer nonce = { 0 };
	if (plus && binding.len == 0)
		return SP_EPROTO;
	if (s->nonce[0] == '\0') { /* a test brings its own */
		random_bytes(random, sizeof(random));
		if (put_base64(&nonce, (struct sp_bytes){ random, sizeof(random) }) != SP_OK || nonce.len >= sizeof(s->nonce))
			return SP_EINTERNAL;
		memcpy(s->nonce, buffer_bytes(&nonce).p, nonce.len);
		buffer_free(&nonce);
	}
	struct sp_bytes gs2 = plus ? SP_LIT("p=tls-server-end-point,,") : binding.len > 0 ? SP_LIT("y,,") : SP_LIT("n,,");
	int rc = buffer_put(&s->header, gs2);
	if (rc == SP_OK && plus)
		rc = buffer_put(&s->header, binding);
	/* PostgreSQL takes the user from the startup message and wants none here. */
	if (rc == SP_OK && s->first.len == 0)
		rc = buffer_printf(&s->first, "n=,r=%s", s->nonce);
	if (rc == SP_OK)
		rc = buffer_put(out, gs2);
	return rc == SP_OK ? buffer_put(out, buffer_bytes(&s->first)) : rc;
}

/* `name=value` up to the next comma or the end. */
static struct sp_bytes
attribute(struct sp_reader *r, char name)
{
	if (sp_rd_u8(r) != (uint8_t)name || sp_rd_u8(r) != '=')
		r->bad = true;
	const uint8_t *end = r->bad || r->left == 0 ? NULL : memchr(r->p, ',', r->left);
	if (end == NULL)
		return sp_rd_rest(r);
	struct sp_bytes v = sp_rd_take(r, (size_t)(end - r->p));
	(void)sp_rd_u8(r);
	return v;
}

static bool
nonce_fits(const struct scram *s, struct sp_bytes nonce)
{
	struct sp_bytes own = sp_str(s->nonce);
	if (nonce.len <= own.len || nonce.len > NONCE_MAX || !sp_bytes_eq((struct sp_bytes){ nonce.p, own.len }, own))
		return false;
	for (size_t i = 0; i < nonce.len; i++) {
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
			return false;
	}
	return true;
}

static bool
number_fits(struct sp_bytes text, uint32_t *n_r)
{
	uint32_t n = 0;
	if (text.len == 0 || text.len > 7 || text.p[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		n = 10 * n + (uint32_t)(text.p[i] - '0');
	}
	*n_r = n;
	return n >= SCRAM_ITERATIONS_MIN && n <= SCRAM_ITERATIONS_MAX;
}

int
scram_server_first(struct scram *s, struct sp_bytes in, const char **err_r)
{
	if (in.len > SCRAM_MESSAGE_MAX || s->server.len > 0)
		return fail(err_r, "the target's SCRAM message is too long, or came twice");
	if (buffer_put(&s->server, in) != SP_OK)
		return SP_ENOMEM;
	struct sp_reader r = sp_reader(buffer_bytes(&s->server));
	s->combined = attribute(&r, 'r');
	struct sp_bytes salt = attribute(&r, 's'), rounds = attribute(&r, 'i');
	/* Nothing may follow: the one extension there is (m=) means "refuse what you do not understand". */
	if (!sp_rd_done(&r))
		return fail(err_r, "the target's SCRAM message is malformed");
	if (!nonce_fits(s, s->combined))
		return fail(err_r, "the target's SCRAM nonce does not continue ours");
	long n = take_base64(salt, s->salt, SCRAM_SALT_MIN, sizeof(s->salt));
	if (n < 0)
		return fail(err_r, "the target's SCRAM salt is malformed, too short or too long");
	s->salt_len = (size_t)n;
	if (!number_fits(rounds, &s->iterations))
		return fail(err_r, "the target's SCRAM iterations are not from 4096 to 1000000");
	return SP_OK;
}

int
scram_final(struct scram *s, const struct scram_keys *k, struct buffer *out)
{
	uint8_t stored[DIGEST_LEN], proof[DIGEST_LEN];
	struct buffer last = { 0 }, all = { 0 };
	int rc = buffer_put(&last, SP_LIT("c="));
	if (rc == SP_OK)
		rc = put_base64(&last, buffer_bytes(&s->header));
	if (rc == SP_OK)
		rc = buffer_put(&last, SP_LIT(",r="));
	if (rc == SP_OK)
		rc = buffer_put(&last, s->combined);
	const struct sp_bytes message[] = { buffer_bytes(&s->first), SP_LIT(","), buffer_bytes(&s->server), SP_LIT(","),
		buffer_bytes(&last) };
	for (size_t i = 0; rc == SP_OK && i < sizeof(message) / sizeof(*message); i++)
		rc = buffer_put(&all, message[i]);
	if (rc == SP_OK) {
		digest_sha256((struct sp_bytes){ k->client, DIGEST_LEN }, stored);
		digest_hmac((struct sp_bytes){ stored, DIGEST_LEN }, buffer_bytes(&all), proof);
		digest_hmac((struct sp_bytes){ k->server, DIGEST_LEN }, buffer_bytes(&all), s->expected);
		for (size_t i = 0; i < DIGEST_LEN; i++)
			proof[i] ^= k->client[i];
		rc = buffer_put(out, buffer_bytes(&last));
	}
	if (rc == SP_OK)
		rc = buffer_put(out, SP_LIT(",p="));
	if (rc == SP_OK)
		rc = put_base64(out, (struct sp_bytes){ proof, sizeof(proof) });
	mem_wipe(stored, sizeof(stored));
	mem_wipe(proof, sizeof(proof));
	buffer_free(&last);
	buffer_free(&all);
	return rc;
}

int
scram_server_final(const struct scram *s, struct sp_bytes in, const char **err_r)
{
	uint8_t sig[DIGEST_LEN];
	struct sp_reader r = sp_reader(in);
	if (in.len > SCRAM_MESSAGE_MAX)
		return fail(err_r, "the target's last SCRAM message is too long");
	struct sp_bytes v = attribute(&r, 'v');
	if (!sp_rd_done(&r) || take_base64(v, sig, DIGEST_LEN, DIGEST_LEN) != DIGEST_LEN)
		return fail(err_r, "the target's last SCRAM message is malformed");
	if (!mem_equal((struct sp_bytes){ sig, DIGEST_LEN }, (struct sp_bytes){ s->expected, DIGEST_LEN }))
		return fail(err_r, "the target did not prove that it knows the password: it is not the server it should be");
	return SP_OK;
}

void
scram_clear(struct scram *s)
{
	buffer_free(&s->first);
	buffer_free(&s->header);
	buffer_free(&s->server);
	mem_wipe(s, sizeof(*s));
}

/* ---- keys ---- */

struct scram_derivation {
	struct hmac_sha256_ctx h;
	uint8_t last[DIGEST_LEN], sum[DIGEST_LEN];
	uint32_t left;
};

struct scram_derivation *
scram_derive_begin(struct sp_bytes password, struct sp_bytes salt, uint32_t iterations)
{
	static const uint8_t first_block[4] = { 0, 0, 0, 1 };
	struct scram_derivation *d = mem_alloc(sizeof(*d));
	hmac_sha256_set_key(&d->h, password.len, password.p);
	hmac_sha256_update(&d->h, salt.len, salt.p);
	hmac_sha256_update(&d->h, sizeof(first_block), first_block);
	hmac_sha256_digest(&d->h, DIGEST_LEN, d->last);
	memcpy(d->sum, d->last, DIGEST_LEN);
	d->left = iterations - 1;
	return d;
}

bool
scram_derive_step(struct scram_derivation *d, uint32_t rounds, struct scram_keys *keys_r)
{
	uint32_t n = d->left < rounds ? d->left : rounds;
	d->left -= n;
	for (; n > 0; n--) {
		hmac_sha256_update(&d->h, DIGEST_LEN, d->last);
		hmac_sha256_digest(&d->h, DIGEST_LEN, d->last);
		for (size_t i = 0; i < DIGEST_LEN; i++)
			d->sum[i] ^= d->last[i];
	}
	if (d->left > 0)
		return false;
	digest_hmac((struct sp_bytes){ d->sum, DIGEST_LEN }, SP_LIT("Client Key"), keys_r->client);
	digest_hmac((struct sp_bytes){ d->sum, DIGEST_LEN }, SP_LIT("Server Key"), keys_r->server);
	return true;
}

void
scram_derive_end(struct scram_derivation **d)
{
	if (*d == NULL)
		return;
	mem_wipe(*d, sizeof(**d));
	free(*d);
	*d = NULL;
}

/* ---- the server's side ---- */

void
scram_verifier_make(struct sp_bytes password, struct scram_verifier *v_r)
{
	struct scram_keys keys;
	random_bytes(v_r->salt, sizeof(v_r->salt));
	v_r->iterations = SCRAM_ITERATIONS_MIN; /* of a password that nobody can guess */
	struct scram_derivation *d = scram_derive_begin(password, (struct sp_bytes){ v_r->salt, sizeof(v_r->salt) }, v_r->iterations);
	(void)scram_derive_step(d, v_r->iterations, &keys);
	scram_derive_end(&d);
	digest_sha256((struct sp_bytes){ keys.client, DIGEST_LEN }, v_r->stored);
	memcpy(v_r->server, keys.server, DIGEST_LEN);
	mem_wipe(&keys, sizeof(keys));
}

/* "n,," or "y,,": no binding, nobody else's name. */
static int
take_header(struct scram_server *s, struct sp_reader *r, const char **err_r)
{
	struct sp_bytes whole = { r->p, r->left };
	uint8_t flag = sp_rd_u8(r);
	if (flag == 'p')
		return fail(err_r, "the client wants channel binding, which was not offered");
	bool good = (flag == 'n' || flag == 'y') && sp_rd_u8(r) == ',' && sp_rd_u8(r) == ',';
	if (!good || r->bad)
		return fail(err_r, "the client's first SCRAM message is malformed");
	return buffer_put(&s->header, (struct sp_bytes){ whole.p, 3 });
}

static int
answer_first(struct scram_server *s, const struct scram_verifier *v, struct sp_bytes client, struct buffer *out)
{
	uint8_t random[NONCE_BYTES];
	struct buffer nonce = { 0 };
	int rc = SP_OK;
	if (s->nonce[0] == '\0') {
		random_bytes(random, sizeof(random));
		rc = put_base64(&nonce, (struct sp_bytes){ random, sizeof(random) });
		if (rc == SP_OK && nonce.len < sizeof(s->nonce))
			memcpy(s->nonce, buffer_bytes(&nonce).p, nonce.len);
		buffer_free(&nonce);
	}
	if (rc == SP_OK)
		rc = buffer_put(&s->combined, client);
	if (rc == SP_OK)
		rc = buffer_put(&s->combined, sp_str(s->nonce));
	if (rc == SP_OK)
		rc = buffer_printf(&s->server, "r=%.*s,s=", (int)s->combined.len, (const char *)buffer_bytes(&s->combined).p);
	if (rc == SP_OK)
		rc = put_base64(&s->server, (struct sp_bytes){ v->salt, sizeof(v->salt) });
	if (rc == SP_OK)
		rc = buffer_printf(&s->server, ",i=%u", v->iterations);
	return rc == SP_OK ? buffer_put(out, buffer_bytes(&s->server)) : rc;
}

static bool
printable(struct sp_bytes nonce)
{
	for (size_t i = 0; i < nonce.len; i++) {
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
			return false;
	}
	return nonce.len > 0 && nonce.len <= NONCE_MAX;
}

int
scram_serve_first(struct scram_server *s, const struct scram_verifier *v, struct sp_bytes in, struct buffer *out, const char **err_r)
{
	struct sp_reader r = sp_reader(in);
	*err_r = "no memory";
	if (in.len > SCRAM_MESSAGE_MAX || s->first.len > 0)
		return fail(err_r, "the client's first SCRAM message is too long, or came twice");
	int rc = take_header(s, &r, err_r);
	if (rc != SP_OK)
		return rc;
	struct sp_bytes bare = { r.p, r.left };
	(void)attribute(&r, 'n'); /* PostgreSQL's clients say who they are in the startup message */
	struct sp_bytes nonce = attribute(&r, 'r');
	/* An extension ("m=" in front, or anything behind) is one that we don't understand. */
	if (!sp_rd_done(&r) || !printable(nonce))
		return fail(err_r, "the client's first SCRAM message is malformed");
	rc = buffer_put(&s->first, bare);
	return rc == SP_OK ? answer_first(s, v, nonce, out) : rc;
}

/* What both have said, up to the proof. */
static int
transcript(const struct scram_server *s, struct sp_bytes without_proof, struct buffer *all)
{
	const struct sp_bytes part[] = { buffer_bytes(&s->first), SP_LIT(","), buffer_bytes(&s->server), SP_LIT(","), without_proof };
	int rc = SP_OK;
	for (size_t i = 0; rc == SP_OK && i < sizeof(part) / sizeof(*part); i++)
		rc = buffer_put(all, part[i]);
	return rc;
}

static bool
proof_fits(const struct scram_verifier *v, struct sp_bytes all, const uint8_t proof[DIGEST_LEN])
{
	uint8_t key[DIGEST_LEN], hash[DIGEST_LEN];
	digest_hmac((struct sp_bytes){ v->stored, DIGEST_LEN }, all, key);
	for (size_t i = 0; i < DIGEST_LEN; i++)
		key[i] ^= proof[i];
	digest_sha256((struct sp_bytes){ key, DIGEST_LEN }, hash);
	mem_wipe(key, sizeof(key));
	return mem_equal((struct sp_bytes){ hash, DIGEST_LEN }, (struct sp_bytes){ v->stored, DIGEST_LEN });
}

/* c= must be the header, again; r= the nonce of both. */
static bool
repeats(const struct scram_server *s, struct sp_bytes binding, struct sp_bytes nonce)
{
	uint8_t header[8];
	long n = take_base64(binding, header, 1, sizeof(header));
	return n > 0 && sp_bytes_eq((struct sp_bytes){ header, (size_t)n }, buffer_bytes(&s->header)) &&
	    sp_bytes_eq(nonce, buffer_bytes(&s->combined));
}

int
scram_serve_final(const struct scram_server *s, const struct scram_verifier *v, struct sp_bytes in, struct buffer *out, const char **err_r)
{
	uint8_t proof[DIGEST_LEN], signature[DIGEST_LEN];
	struct sp_reader r = sp_reader(in);
	struct buffer all = { 0 };
	*err_r = "no memory";
	if (in.len > SCRAM_MESSAGE_MAX || s->server.len == 0)
		return fail(err_r, "the client's last SCRAM message is too long, or came first");
	struct sp_bytes binding = attribute(&r, 'c'), nonce = attribute(&r, 'r');
	size_t before = in.len - r.left;
	struct sp_bytes sent = attribute(&r, 'p');
	if (!sp_rd_done(&r) || before == 0 || take_base64(sent, proof, DIGEST_LEN, DIGEST_LEN) != DIGEST_LEN)
		return fail(err_r, "the client's last SCRAM message is malformed");
	if (!repeats(s, binding, nonce))
		return fail(err_r, "the client's last SCRAM message does not go with its first");
	int rc = transcript(s, (struct sp_bytes){ in.p, before - 1 }, &all);
	if (rc == SP_OK && !proof_fits(v, buffer_bytes(&all), proof)) {
		*err_r = "the proof is not that of the ticket's password";
		rc = SP_EDENIED;
	}
	if (rc == SP_OK) {
		digest_hmac((struct sp_bytes){ v->server, DIGEST_LEN }, buffer_bytes(&all), signature);
		rc = buffer_put(out, SP_LIT("v="));
	}
	if (rc == SP_OK)
		rc = put_base64(out, (struct sp_bytes){ signature, DIGEST_LEN });
	buffer_free(&all);
	return rc;
}

void
scram_server_clear(struct scram_server *s)
{
	buffer_free(&s->header);
	buffer_free(&s->first);
	buffer_free(&s->combined);
	buffer_free(&s->server);
	mem_wipe(s, sizeof(*s));
}
