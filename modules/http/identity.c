/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and what of a head goes on.
 *
 *   Authorization: Bearer TOKEN          Authorization: Basic base64(token:TOKEN)
 *   neither: the client's certificate, where it has shown one in the TLS handshake
 *   Proxy-Authorization: the same        Authorization: Basic base64(spt-…:a ticket's password)
 *
 * None of them goes on.  Of the rest what `headers` names does; what says who somebody is never does, nor
 * a name with an underscore, which servers read as a dash (ID1).
 */
#include "proxy.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdlib.h>

static bool
begins(struct sp_bytes in, const char *word)
{
	size_t n = strlen(word);
	return in.len >= n && http_name_is((struct sp_bytes){ in.p, n }, word);
}

static struct sp_bytes
after(struct sp_bytes in, size_t n)
{
	struct sp_reader r = sp_reader(in);
	(void)sp_rd_take(&r, n);
	while (r.left > 0 && r.p[0] == ' ')
		(void)sp_rd_u8(&r);
	return sp_rd_rest(&r);
}

/* user:password; both end in NUL, in `space`. */
static int
take_basic(struct sp_bytes in, struct sp_proof *proof_r, struct sp_writer *space)
{
	struct base64_decode_ctx c;
	size_t n = BASE64_DECODE_LENGTH(in.len);
	uint8_t *to = sp_wr_room(space, n + 1);
	if (to == NULL)
		return SP_EDENIED;
	base64_decode_init(&c);
	if (!base64_decode_update(&c, &n, to, in.len, (const char *)in.p) || !base64_decode_final(&c))
		return SP_EDENIED;
	to[n] = '\0';
	struct sp_reader r = sp_reader((struct sp_bytes){ to, n });
	struct sp_bytes user = sp_rd_until(&r, ':'), password = sp_rd_rest(&r);
	if (r.bad || password.len == 0 || memchr(to, '\0', n) != NULL)
		return SP_EDENIED;
	to[user.len] = '\0';
	proof_r->secret = password;
	proof_r->user = user.len == 0 ? "token" : (const char *)to;
	proof_r->kind = begins(user, "spt-") ? SP_PROOF_TICKET : SP_PROOF_BEARER;
	return SP_OK;
}

int
proxy_find_proof(struct proxy *p, struct sp_bytes head, struct sp_proof *proof_r, struct sp_writer *space)
{
	static const char *const names[] = { "proxy-authorization", "authorization" };
	*proof_r = (struct sp_proof){ .kind = SP_PROOF_BEARER, .user = "token", .target = "", .part = "" };
	p->by_browser = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct sp_bytes value = http_field(&p->head, head, names[i]);
		if (value.p == NULL)
			continue;
		if (begins(value, "Basic "))
			return take_basic(after(value, 6), proof_r, space);
		p->by_browser = false;
		proof_r->secret = after(value, 7);
		return begins(value, "Bearer ") && proof_r->secret.len > 0 ? SP_OK : SP_EDENIED;
	}
	proof_r->kind = SP_PROOF_CERTIFICATE;
	return p->certified ? SP_OK : SP_EDENIED;
}

void
proxy_hash_proof(const struct sp_proof *proof, uint8_t hash[32])
{
	struct sha256_ctx c;
	const uint8_t kind = (uint8_t)proof->kind;
	sha256_init(&c);
	sha256_update(&c, 1, &kind);
	sha256_update(&c, strlen(proof->user) + 1, (const uint8_t *)proof->user);
	sha256_update(&c, strlen(proof->target) + 1, (const uint8_t *)proof->target);
	sha256_update(&c, proof->secret.len, proof->secret.p);
	sha256_digest(&c, 32, hash);
}

/* By their beginnings: what the servers behind proxies of this world believe. */
bool
proxy_is_identity(struct sp_bytes name)
{
	static const char *const beginnings[] = { "authorization", "proxy-", "forwarded", "x-forwarded", "x-real-", "x-remote", "remote-",
		"x-auth", "x-user", "x-webauth", "x-sallyport", "x-ssl", "ssl-", "x-client", "client-", "true-client", "x-cluster-client",
		"via", "x-envoy", "x-goog-", "x-amzn-", "x-ms-client", "x-ms-token", "x-email", "x-groups", "x-token", "x-jwt", "x-access-",
		"cf-", "tailscale-", "x-original", "x-rewrite", "x-http-method", "x-method-", "x-host", "x-warpgate", "teleport-", "x-teleport",
		"impersonate-", "x-spiffe", "x-consumer", "x-credential", "x-anonymous", "x-api-key", "x-trusted", "x-id-token", "www-auth" };
	if (name.len > 0 && memchr(name.p, '_', name.len) != NULL)
		return true;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++)
		if (begins(name, beginnings[i]))
			return true;
	return false;
}

static bool
listed(const struct sp_strings *set, struct sp_bytes name)
{
	for (size_t i = 0; i < set->n; i++)
		if (http_name_is(name, set->v[i]))
			return true;
	return false;
}

static void
put_lower(struct sp_writer *w, struct sp_bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		sp_wr_u8(w, name.p[i] >= 'A' && name.p[i] <= 'Z' ? (uint8_t)(name.p[i] + 'a' - 'A') : name.p[i]);
}

/* The console's: browsers send it to every port of its host, and take it from every one. */
bool
proxy_is_consoles(struct sp_bytes pair)
{
	static const char name[] = "__Host-sallyport";
	while (pair.len > 0 && (pair.p[0] == ' ' || pair.p[0] == '\t'))
		pair = (struct sp_bytes){ pair.p + 1, pair.len - 1 };
	return pair.len >= sizeof(name) - 1 && memcmp(pair.p, name, sizeof(name) - 1) == 0;
}

static void
put_cookies(struct sp_writer *w, struct sp_bytes value)
{
	struct sp_reader r = sp_reader(value);
	bool first = true;
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes pair = sp_rd_until(&r, ';');
		if (r.bad) {
			pair = sp_rd_rest(&rest);
			r = rest;
		}
		if (proxy_is_consoles(pair))
			continue;
		sp_wr_put(w, first ? SP_LIT("") : SP_LIT(";"));
		sp_wr_put(w, pair);
		first = false;
	}
}

int
proxy_put_fields(struct sp_session *s, struct sp_bytes head)
{
	static const char *const ours[] = { "host", "content-length", "transfer-encoding", "expect", "range", "if-range", "accept-encoding" };
	const struct sp_strings own = { ours, sizeof(ours) / sizeof(*ours) };
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	for (unsigned i = 0; i < p->head.nfields; i++) {
		const struct http_field *f = &p->head.field[i];
		struct sp_bytes name = http_span(head, f->name), value = http_span(head, f->value);
		if (!listed(&c->headers, name) || listed(&own, name) || proxy_is_identity(name) || http_field_is_hop(&p->head, head, f))
			continue;
		put_lower(&p->r.fields, name);
		sp_wr_put(&p->r.fields, SP_LIT(": "));
		if (http_name_is(name, "cookie"))
			put_cookies(&p->r.fields, value);
		else
			sp_wr_put(&p->r.fields, value);
		sp_wr_put(&p->r.fields, SP_LIT("\r\n"));
		if (!http_name_is(name, "content-type") && !listed(&c->judged, name))
			continue;
		put_lower(&p->r.lines, name);
		sp_wr_put(&p->r.lines, SP_LIT(": "));
		sp_wr_put(&p->r.lines, value);
		sp_wr_u8(&p->r.lines, '\n');
	}
	return p->r.fields.bad || p->r.lines.bad ? SP_ENOMEM : SP_OK;
}

static void
put_basic(struct sp_writer *w, struct sp_bytes user, struct sp_bytes secret)
{
	struct sp_writer plain = proxy_buffer();
	sp_wr_put(&plain, user);
	sp_wr_u8(&plain, ':');
	sp_wr_put(&plain, secret);
	uint8_t *to = plain.bad ? NULL : sp_wr_room(w, BASE64_ENCODE_RAW_LENGTH(plain.len));
	if (to != NULL)
		base64_encode_raw((char *)to, plain.len, plain.p);
	else
		w->bad = true;
	if (plain.p != NULL)
		explicit_bzero(plain.p, plain.cap);
	proxy_free(&plain);
}

int
proxy_make_credential(struct sp_session *s, struct sp_bytes secret)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_writer *w = &p->credential;
	if (secret.len == 0 || secret.len > 16384)
		return SP_ETOOBIG;
	for (size_t i = 0; i < secret.len; i++)
		if (secret.p[i] < ' ' || secret.p[i] == 0x7f)
			return SP_EPROTO;
	*w = proxy_buffer();
	uint8_t *room = sp_wr_room(w, 2 * secret.len + 1024); /* so that it never moves: what moves leaves a copy */
	if (room == NULL)
		return SP_ENOMEM;
	w->len = 0;
	bool basic = strcmp(c->credential, "basic") == 0, bearer = strcmp(c->credential, "bearer") == 0;
	sp_wr_put(w, basic || bearer ? SP_LIT("authorization") : sp_str(c->credential));
	sp_wr_put(w, bearer ? SP_LIT(": Bearer ") : basic ? SP_LIT(": Basic ") : SP_LIT(": "));
	if (basic)
		put_basic(w, sp_str(sp_login(s)), secret);
	else
		sp_wr_put(w, secret);
	sp_wr_put(w, SP_LIT("\r\n"));
	return w->bad ? SP_ENOMEM : SP_OK;
}
