/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a browser could be made to send by somebody else's page, and is not taken (ID10, MC1).
 *
 *   Host      names us, and nobody else: no other name may be turned on our address
 *   Origin    where a browser says who wrote the request, it was a page of ours
 *   cookie    writes only with Origin and the CSRF token of that very sign-in; reads only by our pages
 *
 * A token in Authorization is sent by no browser of its own accord.  At the control socket there is no
 * browser: master says who it is, and cookies mean nothing.
 */
#include <config.h>

#include "../../modules/http/http.h"
#include "../base/digest.h"
#include "../base/log.h"
#include "console.h"

#define TOKEN_MAX (64u << 10)
#define COOKIE_MAX 512u

/* What a token is made of; anything else is not asked about. */
static bool
is_token(struct sp_bytes t, size_t max)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.p[i] <= ' ' || t.p[i] > '~')
			return false;
	return t.len > 0 && t.len <= max;
}

bool
guard_proof(struct caller *c, const struct request *r, struct proof *p_r)
{
	*p_r = (struct proof){ .carrier = CARRIER_NONE };
	if (r->authorization.p != NULL) {
		struct sp_reader rd = sp_reader(r->authorization);
		struct sp_bytes scheme = sp_rd_until(&rd, ' '), token = sp_rd_rest(&rd);
		if (!http_name_is(scheme, "bearer") || !is_token(token, TOKEN_MAX)) {
			caller_refuse(c, 401, "Authorization must be \"Bearer TOKEN\"");
			return false;
		}
		*p_r = (struct proof){ CARRIER_BEARER, token };
	} else if (caller_visitor(c) != NULL && is_token(r->cookie, COOKIE_MAX)) {
		*p_r = (struct proof){ CARRIER_COOKIE, r->cookie };
	}
	return true;
}

void
guard_csrf(struct sp_bytes secret, char out[CSRF_TEXT])
{
	uint8_t bound[DIGEST_LEN];
	struct buffer text = { .p = NULL };
	digest_derive(secret, "csrf", SP_LIT(""), bound);
	out[0] = '\0';
	if (text_base64url((struct sp_bytes){ bound, sizeof(bound) }, &text) == SP_OK && text.len < CSRF_TEXT) {
		memcpy(out, buffer_bytes(&text).p, text.len);
		out[text.len] = '\0';
	}
	buffer_free(&text);
}

static bool
csrf_fits(struct sp_bytes secret, struct sp_bytes given)
{
	char want[CSRF_TEXT];
	guard_csrf(secret, want);
	bool yes = want[0] != '\0' && mem_equal(sp_str(want), given);
	mem_wipe(want, sizeof(want));
	return yes;
}

static bool
begins(struct sp_bytes path, const char *with)
{
	struct sp_reader r = sp_reader(path);
	return sp_bytes_is(sp_rd_take(&r, strlen(with)), with);
}

static bool
refuse(struct caller *c, unsigned status, const char *what, struct sp_bytes given)
{
	log_warn("%s: %s: %s", caller_visitor(c)->address, what, log_quote(given));
	caller_refuse(c, status, "%s", what);
	return false;
}

bool
guard_host(struct caller *c, const struct request *r)
{
	const char *host = settings_console_host(caller_console(c)->epoch->settings.console.url);
	return (host != NULL && http_name_is(r->host, host)) || refuse(c, 421, "this gateway has another name: use its `console { url }`", r->host);
}

bool
guard_request(struct caller *c, const struct request *r, const struct proof *p, struct sp_bytes csrf)
{
	if (caller_visitor(c) == NULL)
		return true;
	bool get = sp_bytes_is(r->method, "GET"), ours = sp_bytes_is(r->origin, caller_console(c)->epoch->settings.console.url);
	if (!guard_host(c, r))
		return false;
	if (!get && r->origin.p != NULL && !ours)
		return refuse(c, 403, "a page of another site sent this request", r->origin);
	if (p->carrier != CARRIER_COOKIE)
		return true;
	if (r->site.p != NULL && begins(r->path, "/api/") && !sp_bytes_is(r->site, "same-origin") && !sp_bytes_is(r->site, "none"))
		return refuse(c, 403, "a page of another site sent this request", r->site);
	if (!get && !ours)
		return refuse(c, 403, "a request with the cookie must say that a page of ours sent it (Origin)", r->origin);
	if (!get && !csrf_fits(p->token, csrf))
		return refuse(c, 403, "this page is of another sign-in: load it again", SP_LIT("CSRF token"));
	return true;
}
