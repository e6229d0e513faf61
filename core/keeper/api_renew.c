/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: sessions of a token go on by a fresh one of the same principal (P6).
 *
 * Who has the token so far names the sessions by it, and shows the fresh one as proof: of the same identity, issuer, subject,
 * user, class and groups, for sessions, and used as `token_use` says.  What was renewed is kept, with the keeper's mark, so
 * that a keeper's restart does not end a session that was told it may go on.
 */
#include <config.h>

#include "api.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "jwt.h"
#include "live.h"
#include "provider.h"
#include "row.h"

#define TYPES "btq" /* session, token, until */

static const char *
token_of(const struct live *s)
{
	return s->renewed != NULL ? s->renewed : s->principal.token;
}

/* ---- kept over a restart ---- */

static void
keep(struct keeper *k, const struct live *s)
{
	uint8_t mac[DIGEST_LEN];
	struct field row[] = { S(((struct sp_bytes){ s->id, ID_LEN })), Z(s->renewed), Q(s->proved), S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "renewal", TYPES, row, mac);
	(void)keeper_write(k, STORE_RENEWAL_KEEP, row);
}

struct kept {
	struct keeper *k;
	struct live *s;
};

static int
take_kept(void *owner, const struct field *row)
{
	struct kept *w = owner;
	const char *token = row_good(&w->k->keys, "renewal", TYPES, row, row[3].s) ? arena_string(w->s->arena, row[1].s) : NULL;
	if (token == NULL || row[2].q <= w->s->proved)
		return SP_OK;
	w->s->renewed = token;
	w->s->proved = row[2].q;
	return SP_OK;
}

void
renewal_resume(struct keeper *k, struct live *s)
{
	struct kept w = { k, s };
	const struct field args[] = { S(((struct sp_bytes){ s->id, ID_LEN })) };
	if (store_read(k->store, STORE_RENEWAL_GET, args, take_kept, &w) != SP_OK)
		log_warn("session %s: whether it was renewed cannot be read", s->name);
}

void
renewal_tick(struct keeper *k)
{
	const struct field args[] = { Q(clock_wall_us()) };
	if (k->ticks % 60 == 0)
		(void)keeper_write(k, STORE_RENEWAL_FORGET, args);
}

/* ---- the call ---- */

static bool
same_groups(const struct sp_strings *a, const struct sp_strings *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = strings_have(b, a->v[i]) && strings_have(a, b->v[i]);
	return same;
}

static bool
same_principal(const struct principal *a, const struct principal *b)
{
	return strcmp(a->identity, b->identity) == 0 && strcmp(a->issuer, b->issuer) == 0 && strcmp(a->subject, b->subject) == 0 &&
	    strcmp(a->user, b->user) == 0 && strcmp(a->class, b->class) == 0 && strcmp(a->sponsor, b->sponsor) == 0 &&
	    same_groups(&a->groups, &b->groups);
}

static void
renew(struct keeper *k, struct live *s, const struct verified *who)
{
	s->renewed = arena_string(s->arena, sp_str(who->principal.token));
	if (s->renewed == NULL)
		return;
	s->proved = who->principal.expires;
	keep(k, s);
	live_bound(k, s);
	audit(k, "renewed", json_pack("{s:s,s:s,s:s}", "session", s->name, "user", s->principal.user, "token", s->renewed));
}

/* How many; *other_r: how many are that token's, but not the fresh one's principal's, or not at an address of its. */
static unsigned
renew_all(struct api *a, const char *old, const struct verified *who, unsigned *other_r)
{
	unsigned n = 0;
	*other_r = 0;
	for (struct live *s = live_first(a->k); s != NULL; s = s->all_next) {
		const char *why = "";
		if (s->side || !live_may(s) || strcmp(token_of(s), old) != 0)
			continue;
		const struct target *t = settings_target(keeper_settings(a->k), s->target);
		if (!same_principal(&s->principal, &who->principal) || t == NULL || !admission_allows(t, &who->principal) ||
		    who->principal.expires <= s->proved || admission_use(a->k, who, s->host, &why) != SP_OK) {
			++*other_r;
			continue;
		}
		renew(a->k, s, who);
		n++;
	}
	return n;
}

int
api_renew(struct api *a)
{
	uint8_t id[DIGEST_LEN];
	char old[2 * DIGEST_LEN + 1];
	struct verified who;
	const char *why = "";
	unsigned other = 0;
	if (jwt_id(sp_str(api_text(a, "old")), id) != SP_OK)
		return api_refuse(a, 400, "which sessions? (old: the token that they were opened with)");
	int rc = identity_verify(a->k->trust, sp_str(api_text(a, "token")), AUDIENCE_DATA, a->arena, &who, &why);
	if (rc == SP_ETIME && provider_park(a->k, api_call_again, a->link, a->message) == SP_OK) {
		a->later = true;
		return SP_OK;
	}
	if (rc == SP_OK && identity_revoked(a->k->store, &who.principal, who.issued)) {
		rc = SP_EDENIED;
		why = "the principal was revoked";
	}
	if (rc != SP_OK) {
		log_info("a token to renew sessions by was refused: %s", why);
		return api_refuse(a, 401, "%s", who.tell != NULL ? who.tell : "the fresh token was not accepted");
	}
	text_hex((struct sp_bytes){ id, sizeof(id) }, old);
	unsigned n = renew_all(a, old, &who, &other);
	if (n == 0 && other > 0)
		return api_refuse(a, 409, "the fresh token is not of the same principal (identity, issuer, subject, user, class, groups), ends no later, or was"
		    " used elsewhere");
	api_set(a, "renewed", json_integer(n));
	api_set_time(a->answer, "expires", who.principal.expires);
	return SP_OK;
}
