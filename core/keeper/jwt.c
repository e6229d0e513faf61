/* SPDX-License-Identifier: Apache-2.0 */
/* A token's form, signature and standard claims. */
#include <config.h>

#include "jwt.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX 4096
#define AUDIENCES_MAX 32
#define SECOND 1000000u
#define LAST_SECOND 253402300799LL /* of the year 9999 */

struct parts {
	struct sp_bytes header, claims, signature, is_signed;
};

static int
fail(const char **err_r, const char *why)
{
	*err_r = why;
	return SP_EDENIED;
}

static int
split(struct sp_bytes token, struct parts *p_r)
{
	struct sp_reader r = sp_reader(token);
	if (token.len > JWT_MAX)
		return SP_ETOOBIG;
	p_r->header = sp_rd_until(&r, '.');
	p_r->claims = sp_rd_until(&r, '.');
	p_r->signature = sp_rd_rest(&r);
	if (r.bad || p_r->header.len == 0 || p_r->claims.len == 0 || p_r->signature.len == 0 || p_r->header.len > HEADER_MAX)
		return SP_EPROTO;
	p_r->is_signed = (struct sp_bytes){ token.p, p_r->header.len + 1 + p_r->claims.len };
	return SP_OK;
}

/* An object, or NULL. */
static json_t *
read_object(struct sp_bytes part)
{
	struct buffer text = { .max = JWT_MAX };
	json_t *j = NULL;
	if (text_unbase64url(part, &text) == SP_OK && text.len > 0)
		j = json_loadb((const char *)buffer_bytes(&text).p, text.len, JSON_REJECT_DUPLICATES, NULL);
	buffer_free(&text);
	if (j != NULL && !json_is_object(j)) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

int
jwt_issuer(struct sp_bytes token, struct arena *a, const char **issuer_r)
{
	struct parts p;
	*issuer_r = NULL;
	json_t *claims = split(token, &p) == SP_OK ? read_object(p.claims) : NULL;
	const char *iss = json_string_value(json_object_get(claims, "iss"));
	if (iss != NULL)
		*issuer_r = arena_string(a, sp_str(iss));
	json_decref(claims);
	return *issuer_r == NULL ? SP_EPROTO : SP_OK;
}

int
jwt_id(struct sp_bytes token, uint8_t id[DIGEST_LEN])
{
	struct parts p;
	int rc = split(token, &p);
	if (rc == SP_OK)
		digest_sha256(p.is_signed, id);
	return rc;
}

const char *
jwt_kid(struct sp_bytes token, struct arena *a)
{
	struct parts p;
	json_t *header = split(token, &p) == SP_OK ? read_object(p.header) : NULL;
	const char *kid = json_string_value(json_object_get(header, "kid"));
	if (kid != NULL)
		kid = arena_string(a, sp_str(kid));
	json_decref(header);
	return kid;
}

/* ---- header and signature ---- */

static bool
type_fits(const json_t *typ, bool logout)
{
	static const char *const of_identity[] = { "JWT", "at+jwt", "application/at+jwt", "application/jwt", NULL };
	static const char *const of_logout[] = { "JWT", "logout+jwt", "application/logout+jwt", "application/jwt", NULL };
	const char *const *types = logout ? of_logout : of_identity;
	const char *text = json_string_value(typ);
	if (typ == NULL)
		return true;
	for (size_t i = 0; text != NULL && types[i] != NULL; i++) {
		if (strcasecmp(text, types[i]) == 0)
			return true;
	}
	return false;
}

static int
check_header(const json_t *h, const struct jwt_rules *rules, const struct jwk **key_r, const char **err_r)
{
	const json_t *kid = json_object_get(h, "kid");
	const char *alg = json_string_value(json_object_get(h, "alg"));
	*key_r = NULL;
	if (json_object_get(h, "crit") != NULL || json_object_get(h, "b64") != NULL)
		return fail(err_r, "its header has an extension that must be understood (crit)");
	if (json_object_get(h, "zip") != NULL || json_object_get(h, "enc") != NULL)
		return fail(err_r, "it is compressed or encrypted");
	if (!type_fits(json_object_get(h, "typ"), rules->logout))
		return fail(err_r, "its type (typ) is another");
	if (kid != NULL && !json_is_string(kid))
		return fail(err_r, "its kid is no text");
	*key_r = jwks_find(rules->keys, json_string_value(kid));
	if (*key_r == NULL)
		return fail(err_r, kid == NULL ? "it names no key (kid) and the issuer has several" : "the issuer has no key with its kid");
	if (alg == NULL || strcmp(alg, jwk_algorithm_name(*key_r)) != 0)
		return fail(err_r, "its algorithm is not that of the issuer's key");
	return SP_OK;
}

static int
check_signature(const struct parts *p, const struct jwt_rules *rules, const char **err_r)
{
	const struct jwk *key = NULL;
	struct buffer sig = { .max = JWT_MAX };
	json_t *header = read_object(p->header);
	int rc = header == NULL ? fail(err_r, "its header is no JSON object") : check_header(header, rules, &key, err_r);
	if (rc == SP_OK && (text_unbase64url(p->signature, &sig) != SP_OK || !jwk_verify(key, p->is_signed, buffer_bytes(&sig))))
		rc = fail(err_r, "its signature is wrong");
	buffer_free(&sig);
	json_decref(header);
	return rc;
}

/* ---- claims ---- */

/* A NumericDate, in µs.  1: there is none. */
static int
date(const json_t *claims, const char *name, uint64_t *us_r)
{
	const json_t *v = json_object_get(claims, name);
	*us_r = 0;
	if (v == NULL)
		return 1;
	double seconds = json_number_value(v);
	if (!json_is_number(v) || !isfinite(seconds) || seconds < 0 || seconds > (double)LAST_SECOND)
		return SP_EPROTO;
	/* Integers keep every digit; fractions are cut, for exp the stricter way. */
	*us_r = json_is_integer(v) ? (uint64_t)json_integer_value(v) * SECOND : (uint64_t)(seconds * SECOND);
	return SP_OK;
}

static int
check_dates(const json_t *claims, const struct jwt_rules *r, struct jwt *t, const char **err_r)
{
	uint64_t not_before, leeway = (uint64_t)JWT_LEEWAY * SECOND;
	int nbf = date(claims, "nbf", &not_before);
	if (date(claims, "exp", &t->expires) != SP_OK)
		return fail(err_r, "it has no end (exp), or an odd one");
	if (date(claims, "iat", &t->issued) != SP_OK)
		return fail(err_r, "it does not say when it was issued (iat), or oddly");
	if (nbf < 0)
		return fail(err_r, "its beginning (nbf) is odd");
	if (r->now >= t->expires)
		return fail(err_r, "it has expired");
	if (t->issued > r->now + leeway)
		return fail(err_r, "it was issued in the future (iat): do the clocks agree?");
	if (nbf == SP_OK && not_before > r->now + leeway)
		return fail(err_r, "it is not valid yet (nbf)");
	if (t->issued >= t->expires)
		return fail(err_r, "it ends before it was issued");
	if (r->max_age > 0 && (t->expires - t->issued) / 1000 > r->max_age)
		return fail(err_r, "its life is longer than max_age allows");
	return SP_OK;
}

static bool
same_text(const json_t *v, const char *want)
{
	const char *text = json_string_value(v);
	/* jansson allows no NUL inside a text, so its end is the end. */
	return text != NULL && want[0] != '\0' && strcmp(text, want) == 0;
}

static int
check_audience(const json_t *claims, const struct jwt_rules *r, const char **err_r)
{
	const json_t *aud = json_object_get(claims, "aud"), *azp = json_object_get(claims, "azp");
	bool ours = same_text(aud, r->audience);
	size_t n = json_array_size(aud);
	if (n > AUDIENCES_MAX)
		return fail(err_r, "it has too many audiences (aud)");
	for (size_t i = 0; i < n; i++) {
		if (!json_is_string(json_array_get(aud, i)))
			return fail(err_r, "one of its audiences (aud) is no text");
		ours = ours || same_text(json_array_get(aud, i), r->audience);
	}
	if (!ours)
		return fail(err_r, "it is for another audience (aud)");
	if (azp != NULL && !same_text(azp, r->audience) && !same_text(azp, r->other_audience))
		return fail(err_r, "it was made for another party (azp)");
	/* Whoever else may show it: the issuer must say that it is ours (OpenID Connect Core 3.1.3.7). */
	if (n > 1 && azp == NULL)
		return fail(err_r, "it has several audiences (aud) and names no party (azp)");
	return SP_OK;
}

int
jwt_verify(struct sp_bytes token, const struct jwt_rules *rules, struct jwt *t_r, const char **err_r)
{
	struct parts p;
	*t_r = (struct jwt){ 0 };
	*err_r = NULL;
	if (split(token, &p) != SP_OK)
		return fail(err_r, "it is no token: not three parts, or too large");
	int rc = check_signature(&p, rules, err_r);
	if (rc != SP_OK)
		return rc;
	t_r->claims = read_object(p.claims);
	if (t_r->claims == NULL)
		return fail(err_r, "its claims are no JSON object, or have a name twice");
	if (!same_text(json_object_get(t_r->claims, "iss"), rules->issuer))
		rc = fail(err_r, "it is from another issuer (iss)");
	/* One is never good for the other. */
	if (rc == SP_OK && (json_object_get(t_r->claims, "events") != NULL) != rules->logout)
		rc = fail(err_r, rules->logout ? "it is no logout token (events)" : "it tells of an event (events) and of no sign-in");
	if (rc == SP_OK)
		rc = check_audience(t_r->claims, rules, err_r);
	if (rc == SP_OK)
		rc = check_dates(t_r->claims, rules, t_r, err_r);
	digest_sha256(p.is_signed, t_r->id);
	if (rc != SP_OK)
		jwt_clear(t_r);
	return rc;
}

void
jwt_clear(struct jwt *t)
{
	json_decref(t->claims);
	*t = (struct jwt){ 0 };
}
