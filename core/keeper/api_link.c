/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link that opens the console once, for who may use the control socket: the way in before there is a provider.
 *
 *   control socket ─ console-link ─▶ URL#LINK ─ a browser posts LINK, within two minutes ─▶ a sign-in of that account
 *
 * LINK is sealed by the keeper's key and names the gateway, since an account is one of its machine; nothing is kept of it
 * but that it was used.  It stands behind '#', which browsers send to nobody.
 */
#include <config.h>

#include "api.h"

#include <stdio.h>
#include <string.h>

#include "../base/aead.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "gateways.h"
#include "signin.h"

#define LINK_LIFE (120ull * 1000000)         /* µs */
#define LINK_SESSION (3600ull * 1000000)     /* µs that its sign-in lasts */
#define LINK_MAX 1024u
#define PURPOSE "console-link"

static int
seal_link(struct keeper *k, const char *account, uint64_t until, struct buffer *text_r)
{
	uint8_t key[AEAD_KEY], id[ID_LEN];
	struct buffer plain = { 0 }, sealed = { 0 };
	struct sp_writer w = buffer_writer(&plain);
	id_new(id);
	sp_wr_put(&w, (struct sp_bytes){ id, sizeof(id) });
	sp_wr_be64(&w, until);
	sp_wr_put(&w, sp_str(account));
	sp_wr_u8(&w, 0);
	sp_wr_put(&w, sp_str(gateways_self()));
	keys_derive(&k->keys, "seal", SP_LIT(PURPOSE), key);
	int rc = buffer_written(&plain, &w);
	if (rc == SP_OK)
		rc = aead_seal(key, SP_LIT(PURPOSE), buffer_bytes(&plain), &sealed);
	if (rc == SP_OK)
		rc = text_base64url(buffer_bytes(&sealed), text_r);
	mem_wipe(key, sizeof(key));
	buffer_free(&plain);
	buffer_free(&sealed);
	return rc;
}

/* Whose it is, and what is kept of it. */
struct link_found {
	char id[ID_TEXT];
	uint64_t until;
	struct sp_bytes account; /* in plain */
	uint64_t made;
	struct buffer plain;
};

static int
open_link(struct keeper *k, const char *text, struct link_found *f)
{
	uint8_t key[AEAD_KEY];
	struct buffer sealed = { .max = LINK_MAX };
	*f = (struct link_found){ .until = 0 };
	keys_derive(&k->keys, "seal", SP_LIT(PURPOSE), key);
	int rc = text_unbase64url(sp_str(text), &sealed);
	if (rc == SP_OK)
		rc = aead_open(key, SP_LIT(PURPOSE), buffer_bytes(&sealed), &f->plain);
	mem_wipe(key, sizeof(key));
	buffer_free(&sealed);
	if (rc != SP_OK)
		return SP_EDENIED;
	struct sp_reader r = sp_reader(buffer_bytes(&f->plain));
	struct sp_bytes id = sp_rd_take(&r, ID_LEN);
	f->until = sp_rd_be64(&r);
	f->made = f->until - LINK_LIFE;
	f->account = sp_rd_rest(&r);
	const uint8_t *stop = r.bad || f->account.len == 0 ? NULL : memchr(f->account.p, 0, f->account.len);
	if (stop == NULL || clock_wall_us() >= f->until)
		return SP_EDENIED;
	struct sp_bytes gateway = { stop + 1, f->account.len - (size_t)(stop + 1 - f->account.p) };
	f->account.len = (size_t)(stop - f->account.p);
	if (!sp_bytes_is(gateway, gateways_self()))
		return SP_EDENIED;
	(void)id_format(id.p, f->id);
	return SP_OK;
}

int
api_link_make(struct api *a)
{
	const struct principal *p = &a->who.principal;
	const char *url = keeper_settings(a->k)->console.url;
	struct buffer link = { 0 };
	uint64_t until = clock_wall_us() + LINK_LIFE;
	/* A sign-in by a link makes none: it would go on for ever. */
	if (strcmp(p->identity, "unix") != 0 || a->who.signin)
		return api_refuse(a, 400, "only the control socket gives such a link: run `sallyport console --control PATH` where the gateway is, or sign in by %s/signin",
		    url);
	if (url[0] == '\0')
		return api_refuse(a, 400, "there is no console to open: the configuration has no `console { listen …; tls …; url …; }`");
	int rc = seal_link(a->k, identity_account(p), until, &link);
	if (rc == SP_OK) {
		api_set(a, "url", json_sprintf("%s/signin/link#%.*s", url, (int)link.len, (const char *)buffer_bytes(&link).p));
		api_set_time(a->answer, "expires", until);
		audit(a->k, PURPOSE, json_pack("{s:s}", "user", p->user));
	}
	buffer_free(&link);
	return rc;
}

/* The same for a guesser, whatever is wrong. */
static int
refuse_link(struct api *a, const char *log)
{
	log_warn("a link to the console was refused: %s", log);
	audit(a->k, "signin-refused", json_pack("{s:s,s:s,s:s}", "identity", "unix", "why", log, "address", api_text(a, "address")));
	return api_refuse(a, 400, "this link was used before, or is older than two minutes: `sallyport console --open` makes another");
}

/* For the page that asks whether to open it: nothing is used up, and whether it is still good is found when it is. */
static int
look_at_link(struct api *a, const struct link_found *f)
{
	struct verified who;
	if (identity_unix(keeper_settings(a->k), f->account, a->arena, &who) != SP_OK)
		return api_refuse(a, 503, "the gateway could not read the link: make another one");
	api_set(a, "user", json_string(who.principal.user));
	api_set_time(a->answer, "expires", f->until);
	return SP_OK;
}

int
api_link_use(struct api *a)
{
	struct link_found f;
	struct verified who;
	struct buffer secret = { 0 };
	int rc = open_link(a->k, api_text(a, "link"), &f);
	if (rc == SP_OK && api_flag(a, "look")) {
		rc = look_at_link(a, &f);
		buffer_free(&f.plain);
		return rc;
	}
	const struct field used[] = { Z(f.id), Z(PURPOSE), Q(f.until) };
	long n = rc == SP_OK ? keeper_write(a->k, STORE_TOKEN_SEEN, used) : 0;
	if (rc != SP_OK || n == 0) {
		rc = refuse_link(a, rc != SP_OK ? "it is none, or its time is over" : "it was used before");
	} else if (n < 0 || (rc = identity_unix(keeper_settings(a->k), f.account, a->arena, &who)) != SP_OK) {
		rc = api_refuse(a, 503, "the gateway could not keep the sign-in: make another link");
	} else if (identity_revoked_since(a->k->store, &who.principal, f.made)) {
		rc = refuse_link(a, "the account was revoked since");
	} else {
		const struct signin_wanted w = { .principal = &who.principal, .parent = "", .sid = gateways_self(), .expires = clock_wall_us() + LINK_SESSION };
		rc = signin_new(a->k, &w, &secret);
		json_decref(a->answer);
		a->answer = rc == SP_OK ? api_signin_answer(&who.principal, buffer_bytes(&secret), w.expires, "/") : json_object();
		log_info("%s signed in by a link", log_quote(sp_str(who.principal.user)));
	}
	if (secret.p != NULL)
		mem_wipe(secret.p, secret.cap);
	buffer_free(&secret);
	buffer_free(&f.plain);
	return rc;
}
