/* SPDX-License-Identifier: Apache-2.0 */
/* The API's routes.  A row's role is what the keeper asks for; whose objects one sees is its business too. */
#include <config.h>

#include "route.h"

#define ANY_READER (MAY_USE | MAY_APPROVE | MAY_AUDIT | MAY_OPERATE)

const struct caller_role_name caller_roles[] = {
	{ MAY_USE, "use" }, { MAY_APPROVE, "approve" }, { MAY_AUDIT, "audit" }, { MAY_OPERATE, "operate" }, { MAY_MINT, "mint" }, { 0, NULL },
};

const struct route route_table[] = {
	{ "GET", "/api/v1/whoami", CALL_WHOAMI, ANY_READER | MAY_MINT, "Who the caller is, and what it may do." },
	{ "GET", "/api/v1/sessions", CALL_SESSIONS, MAY_USE | MAY_AUDIT | MAY_OPERATE, "Sessions, live and past." },
	{ "GET", "/api/v1/sessions/:id", CALL_SESSION, MAY_USE | MAY_AUDIT | MAY_OPERATE, "One session." },
	{ "POST", "/api/v1/sessions/:id/kill", CALL_KILL, MAY_OPERATE, "End a live session." },
	{ "GET", "/api/v1/sessions/:id/recording", CALL_RECORDING, MAY_AUDIT, "The recording of a session." },
	{ "GET", "/api/v1/sessions/:id/verify", CALL_VERIFY, MAY_AUDIT | MAY_OPERATE, "Check a recording." },
	{ "GET", "/api/v1/sessions/:id/explain", CALL_EXPLAIN, MAY_USE | MAY_AUDIT, "Why operation ?op= of a session got its verdict." },
	{ "GET", "/api/v1/search", CALL_SEARCH, MAY_AUDIT, "Operations that contain ?text=." },
	{ "GET", "/api/v1/requests", CALL_REQUESTS, ANY_READER, "Operations that wait for a person." },
	{ "GET", "/api/v1/requests/:id", CALL_REQUEST, ANY_READER, "One of them, with all that an approver must see." },
	{ "POST", "/api/v1/requests/:id/approve", CALL_APPROVE, MAY_APPROVE, "Approve it." },
	{ "POST", "/api/v1/requests/:id/deny", CALL_DENY, MAY_APPROVE, "Deny it." },
	{ "POST", "/api/v1/token", CALL_TOKEN, MAY_MINT, "A token from the local issuer." },
	{ "POST", "/api/v1/revoke", CALL_REVOKE, MAY_OPERATE, "Revoke a principal; its sessions end." },
	{ "GET", "/api/v1/targets", CALL_TARGETS, ANY_READER, "Targets that the caller may reach." },
	{ "GET", "/api/v1/keys", CALL_KEYS, ANY_READER, "Public keys that recordings are signed with." },
	{ "GET", "/api/v1/status", CALL_STATUS, MAY_AUDIT | MAY_OPERATE, "Epoch, workers, sessions, queues." },
	{ "GET", "/api/v1/identities", CALL_IDENTITIES, MAY_ANYBODY, "Identities that one can sign in with, in a browser." },
	{ "POST", "/api/v1/signin", CALL_SIGNIN_BEGIN, MAY_ANYBODY, "Begin to sign in: where the browser has to go." },
	{ "POST", "/api/v1/signin/code", CALL_SIGNIN_CODE, MAY_ANYBODY, "What the browser came back with; the answer is a sign-in." },
	{ "POST", "/api/v1/logout", CALL_LOGOUT, MAY_USE, "End the sign-in that the call is made with." },
	{ "POST", "/api/v1/device", CALL_DEVICE_BEGIN, MAY_ANYBODY, "Begin to sign in on a machine without a browser." },
	{ "POST", "/api/v1/device/token", CALL_DEVICE_POLL, MAY_ANYBODY, "Ask whether that was confirmed; once it was, the answer is a sign-in." },
	{ "GET", "/api/v1/device", CALL_DEVICE_LOOK, MAY_USE, "What would be confirmed by ?code=." },
	{ "POST", "/api/v1/device/confirm", CALL_DEVICE_CONFIRM, MAY_USE, "Let that machine sign in as oneself, or not." },
	{ "POST", "/backchannel-logout/:id", CALL_BACKCHANNEL, MAY_ANYBODY, "OpenID Connect Back-Channel Logout of the identity :id." },
	{ "POST", "/api/v1/renew", CALL_RENEW, MAY_ANYBODY, "Sessions of a token go on by a fresh one of the same principal." },
	{ .method = NULL },
};

/* The next segment of a path that begins with '/'. */
static struct sp_bytes
segment(struct sp_reader *r)
{
	const uint8_t *end;
	if (sp_rd_u8(r) != '/' || r->bad)
		r->bad = true;
	end = r->bad || r->left == 0 ? NULL : memchr(r->p, '/', r->left);
	return end == NULL ? sp_rd_rest(r) : sp_rd_take(r, (size_t)(end - r->p));
}

static bool
path_fits(const char *pattern, struct sp_bytes path, struct sp_bytes *id_r)
{
	struct sp_reader want = sp_reader(sp_str(pattern)), have = sp_reader(path);
	while (want.left > 0) {
		struct sp_bytes w = segment(&want), h = segment(&have);
		if (have.bad)
			return false;
		if (sp_bytes_is(w, ":id")) {
			if (h.len == 0)
				return false;
			*id_r = h;
		} else if (!sp_bytes_eq(w, h)) {
			return false;
		}
	}
	return sp_rd_done(&have);
}

const struct route *
route_find(struct sp_bytes method, struct sp_bytes path, struct sp_bytes *id_r)
{
	for (const struct route *r = route_table; r->method != NULL; r++) {
		*id_r = (struct sp_bytes){ NULL, 0 };
		if (sp_bytes_is(method, r->method) && path_fits(r->path, path, id_r))
			return r;
	}
	*id_r = (struct sp_bytes){ NULL, 0 };
	return NULL;
}
