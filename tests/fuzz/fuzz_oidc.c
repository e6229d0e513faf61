/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a provider, or who answers in its place, may say (ID3, ID5): its discovery document, what it gives for a code or a
 * refresh token, what a logout token claims.  The first byte says which; its keys are fuzz_jwks's, tokens fuzz_jwt's.
 */
#include <config.h>

#include <stdlib.h>

#include "core/base/url.h"
#include "core/keeper/identity.h"
#include "core/keeper/jwt.h"
#include "core/keeper/oidc.h"
#include "core/keeper/outside.h"
#include "core/keeper/provider.h"
#include "core/keeper/signin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
document(struct sp_bytes text)
{
	char issuer[] = "https://idp.example.com", none[] = "";
	struct provider p = { .issuer = issuer, .jwks = none, .ca = none };
	const char *why = provider_document(&p, text);
	const char *const said[] = { p.jwks_uri, p.authorization, p.token, p.end_session };
	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++)
		if (said[i] != NULL && (why != NULL || !url_fits(said[i], false)))
			abort();
	if (why == NULL && p.jwks_uri == NULL)
		abort();
	free(p.jwks_uri);
	free(p.authorization);
	free(p.token);
	free(p.end_session);
}

static void
answer(struct sp_bytes body, struct arena *a)
{
	static struct trust *trust;
	static struct keeper k;
	static const struct epoch epoch;
	static const struct keys keys;
	struct oidc_answer o;
	const char *why = NULL;
	if (trust == NULL && trust_new(&epoch, &keys, NULL, &trust, &why) != SP_OK)
		abort();
	k.trust = trust;
	const struct outside_told told = { .status = 200, .body = body };
	const struct signin s = { .identity = "corp", .issuer = "https://idp.example.com", .subject = "ann" };
	/* There is no such identity: no id_token may be good, and a sign-in needs one. */
	if (oidc_signed_in(&k, "corp", "nonce", &told, a, &o, &why) == SP_OK || why == NULL || o.has_principal)
		abort();
	if (oidc_refreshed(&k, &s, &told, a, &o, &why) == SP_OK && o.has_principal)
		abort();
}

static void
logout(struct sp_bytes text, struct arena *a)
{
	struct logout_token t = { .issuer = NULL };
	struct jwt jwt = { .claims = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL) };
	const char *why = NULL;
	if (json_is_object(jwt.claims) && identity_logout_claims(&jwt, "https://idp.example.com", a, &t, &why) == SP_OK &&
	    (t.subject == NULL || t.sid == NULL || (t.subject[0] == '\0' && t.sid[0] == '\0') || json_object_get(jwt.claims, "nonce") != NULL))
		abort();
	json_decref(jwt.claims);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1u << 20);
	struct sp_bytes rest = { data + (size > 0), size - (size > 0) };
	switch (size == 0 ? 0 : data[0]) {
	case 'd':
		document(rest);
		break;
	case 'a':
		answer(rest, a);
		break;
	default:
		logout(rest, a);
	}
	arena_free(&a);
	return 0;
}
