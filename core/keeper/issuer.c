/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Minting.  libjwt 1.10 knows no EdDSA: it makes the claims, digest_sign() the signature.
 */
#include <config.h>

#include "issuer.h"

#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"

#define NAME_LONGEST 128
#define GROUPS_MOST 64

/* What every protocol and every log can carry: letters, digits, and a few signs between them. */
static bool
name_fits(const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text);
	if (n == 0 || n > NAME_LONGEST)
		return false;
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@+") == n;
}

static const char *
odd_request(const struct token_request *q)
{
	if (!name_fits(q->user) || strcmp(q->user, "token") == 0)
		return "user must be 1 to 128 letters, digits or . _ - @ + (and not \"token\")";
	if (q->groups.n > GROUPS_MOST)
		return "at most 64 groups";
	for (size_t i = 0; i < q->groups.n; i++) {
		if (!name_fits(q->groups.v[i]))
			return "a group must be 1 to 128 letters, digits or . _ - @ +";
	}
	if (strcmp(q->class, "human") != 0 && strcmp(q->class, "workload") != 0 && strcmp(q->class, "agent") != 0)
		return "class must be human, workload or agent";
	if (strcmp(q->class, "agent") == 0 && (q->sponsor == NULL || q->sponsor[0] == '\0'))
		return "an agent needs its sponsor: who answers for it, and may not approve what it asks";
	if (q->sponsor != NULL && q->sponsor[0] != '\0' && (!name_fits(q->sponsor) || strcmp(q->class, "agent") != 0))
		return "a sponsor goes with class agent, and must be 1 to 128 letters, digits or . _ - @ +";
	if (q->ttl < 1000 || q->ttl > ISSUER_TTL_MAX)
		return "ttl must be from 1 second to 24 hours";
	return NULL;
}

static char *
groups_json(const struct sp_strings *groups, const char *sponsor)
{
	json_t *top = json_object(), *list = json_array();
	for (size_t i = 0; i < groups->n; i++)
		(void)json_array_append_new(list, json_string(groups->v[i]));
	(void)json_object_set_new(top, "groups", list);
	if (sponsor != NULL && sponsor[0] != '\0')
		(void)json_object_set_new(top, "sponsor", json_string(sponsor));
	char *text = json_dumps(top, JSON_COMPACT);
	json_decref(top);
	return text;
}

static char *
claims_json(const struct token_request *q, uint64_t now, uint64_t expires)
{
	uint8_t id[ID_LEN];
	char jti[ID_TEXT];
	jwt_t *j = NULL;
	char *groups = groups_json(&q->groups, q->sponsor), *text = NULL;
	id_new(id);
	if (groups != NULL && jwt_new(&j) == 0 && jwt_add_grant(j, "iss", LOCAL_ISSUER) == 0 &&
	    jwt_add_grant(j, "sub", q->user) == 0 && jwt_add_grant(j, "class", q->class) == 0 && jwt_add_grants_json(j, groups) == 0 &&
	    jwt_add_grant(j, "aud", q->audience == AUDIENCE_API ? LOCAL_AUDIENCE_API : LOCAL_AUDIENCE_DATA) == 0 &&
	    jwt_add_grant_int(j, "iat", (long)(now / 1000000)) == 0 && jwt_add_grant_int(j, "exp", (long)(expires / 1000000)) == 0 &&
	    jwt_add_grant(j, "jti", id_format(id, jti)) == 0)
		text = jwt_get_grants_json(j, NULL);
	jwt_free(j);
	free(groups);
	return text;
}

int
issuer_mint(const struct key_pair *key, const struct token_request *q, struct buffer *token_r, uint64_t *expires_r,
    const char **err_r)
{
	char header[96], kid[17];
	uint8_t sig[SIGNATURE_LEN];
	uint64_t now = clock_wall_us();
	*expires_r = (now + q->ttl * 1000) / 1000000 * 1000000;
	*err_r = odd_request(q);
	if (*err_r != NULL)
		return SP_EPROTO;
	text_hex((struct sp_bytes){ key->public, 8 }, kid);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"JWT\"}", kid);
	char *claims = claims_json(q, now, *expires_r);
	*err_r = "no memory for a token";
	if (claims == NULL)
		return SP_ENOMEM;
	int rc = text_base64url(sp_str(header), token_r);
	if (rc == SP_OK)
		rc = buffer_put(token_r, SP_LIT("."));
	if (rc == SP_OK)
		rc = text_base64url(sp_str(claims), token_r);
	if (rc == SP_OK)
		rc = keys_sign(key, buffer_bytes(token_r), sig);
	if (rc == SP_OK)
		rc = buffer_put(token_r, SP_LIT("."));
	if (rc == SP_OK)
		rc = text_base64url((struct sp_bytes){ sig, sizeof(sig) }, token_r);
	free(claims);
	return rc;
}
