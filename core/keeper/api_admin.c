/* SPDX-License-Identifier: Apache-2.0 */
/* The API: the caller, tokens, revocation, targets, keys, status. */
#include <config.h>

#include "api.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "approval.h"
#include "grant.h"
#include "issuer.h"
#include "ledger.h"
#include "live.h"

static json_t *
strings_json(const struct sp_strings *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n; i++)
		(void)json_array_append_new(list, json_string(s->v[i]));
	return list;
}

int
api_whoami(struct api *a)
{
	const struct principal *p = &a->who.principal;
	json_t *may = json_array();
	for (size_t i = 0; caller_roles[i].name != NULL; i++) {
		if (api_may(a, caller_roles[i].bit))
			(void)json_array_append_new(may, json_string(caller_roles[i].name));
	}
	json_decref(a->answer);
	a->answer = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "user", p->user, "name", p->name, "identity", p->identity, "issuer",
	    p->issuer, "subject", p->subject, "class", p->class, "sponsor", p->sponsor, "methods", strings_json(&p->methods), "groups",
	    strings_json(&p->groups), "roles", strings_json(&p->roles), "may",
	    may);
	api_set_time(a->answer, "expires", p->expires);
	api_set_time(a->answer, "authenticated", p->authenticated);
	return a->answer == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- tokens of the local issuer ---- */

static int
groups_of(struct api *a, struct sp_strings *out_r)
{
	const json_t *groups = json_object_get(a->args, "groups");
	size_t n = json_array_size(groups);
	const char **list = arena_alloc(a->arena, n * sizeof(*list));
	if (groups != NULL && !json_is_array(groups))
		return api_refuse(a, 400, "groups must be a list");
	for (size_t i = 0; list != NULL && i < n; i++) {
		list[i] = json_string_value(json_array_get(groups, i));
		if (list[i] == NULL)
			return api_refuse(a, 400, "a group must be a text");
	}
	*out_r = (struct sp_strings){ list, n };
	return list == NULL ? SP_ENOMEM : SP_OK;
}

int
api_token(struct api *a)
{
	const char *class = api_text(a, "class"), *why = NULL;
	struct token_request q = { .user = api_text(a, "user"), .class = class[0] == '\0' ? "human" : class,
		.sponsor = api_text(a, "sponsor"), .ttl = api_number(a, "ttl", ISSUER_TTL_DEFAULT), .audience = api_flag(a, "api") ? AUDIENCE_API : AUDIENCE_DATA };
	struct buffer token = { 0 };
	uint64_t expires = 0;
	if (!keeper_settings(a->k)->local_issuer)
		return api_refuse(a, 403, "the local issuer is off (`local_issuer on` would start it)");
	int rc = groups_of(a, &q.groups);
	if (rc == SP_OK && issuer_mint(&a->k->keys.issuer, &q, &token, &expires, &why) != SP_OK)
		rc = api_refuse(a, 400, "%s", why);
	if (rc == SP_OK) {
		audit(a->k, "token", json_pack("{s:s,s:o,s:s,s:I,s:s,s:s}", "user", q.user, "groups", strings_json(&q.groups), "audience",
		    q.audience == AUDIENCE_API ? "api" : "data", "ttl", (json_int_t)q.ttl, "class", q.class, "by", a->who.principal.user));
		api_set(a, "token", json_stringn((const char *)buffer_bytes(&token).p, token.len));
		api_set(a, "audience", json_string(q.audience == AUDIENCE_API ? LOCAL_AUDIENCE_API : LOCAL_AUDIENCE_DATA));
		api_set_time(a->answer, "expires", expires);
	}
	buffer_free(&token);
	return rc;
}

/* ---- revocation ---- */

static unsigned
end_sessions(struct api *a, const char *user, const char *issuer)
{
	unsigned n = 0;
	for (struct live *s = live_first(a->k); s != NULL; s = s->all_next) {
		if (s->side || strcmp(s->principal.user, user) != 0 || (issuer[0] != '\0' && strcmp(s->principal.issuer, issuer) != 0))
			continue;
		live_kill(a->k, s, SP_END_REVOKED, "the principal was revoked");
		n++;
	}
	return n;
}

int
api_revoke(struct api *a)
{
	const char *user = api_text(a, "user"), *issuer = api_text(a, "issuer");
	if (user[0] == '\0')
		return api_refuse(a, 400, "whom? (user)");
	const struct field args[] = { Q(2), Z(issuer), Z(user), Q(clock_wall_us()) };
	if (keeper_write(a->k, STORE_REVOKE, args) < 0)
		return SP_EIO;
	unsigned n = end_sessions(a, user, issuer);
	audit(a->k, "revoke", json_pack("{s:s,s:s,s:s,s:I}", "user", user, "issuer", issuer, "by", a->who.principal.user, "sessions",
	    (json_int_t)n));
	log_info("%s revoked %s; %u sessions end", log_quote(sp_str(a->who.principal.user)), log_quote(sp_str(user)), n);
	api_set(a, "user", json_string(user));
	api_set(a, "ended", json_integer(n));
	return SP_OK;
}

/* ---- what there is ---- */

/* What stands between the caller and it: nothing, a grant that there is, one that has to be asked for; or it is only shown. */
static void
add_state(struct api *a, const struct target *t, json_t *one)
{
	struct grant_now now = { .until = 0 };
	bool may = admission_allows(t, &a->who.principal);
	bool granted = may && grant_needed(t) && grant_current(a->k, &a->who.principal, t->b.name, &now);
	const char *state = !may ? "not yours" : !grant_needed(t) ? "allowed" : granted ? "granted" : "needs a grant";
	(void)json_object_set_new(one, "state", json_string(state));
	if (granted) {
		(void)json_object_set_new(one, "grant", json_string(now.id));
		api_set_time(one, "until", now.until);
	}
	if (grant_needed(t))
		(void)json_object_set_new(one, "longest", json_integer((json_int_t)t->access.max));
}

int
api_targets(struct api *a)
{
	json_t *list = json_array();
	for (const struct target *t = keeper_settings(a->k)->targets; t != NULL; t = (const struct target *)t->b.next) {
		json_t *label = json_object();
		if (!admission_allows(t, &a->who.principal) && !api_may(a, MAY_OPERATE | MAY_AUDIT)) {
			json_decref(label);
			continue;
		}
		for (size_t i = 0; i < t->label.n; i++)
			(void)json_object_set_new(label, t->label.key[i], json_string(t->label.value[i]));
		json_t *one = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:s}", "name", t->b.name, "mode", t->mode == MODE_OBSERVE ? "observe" : "enforce", "protocol", t->protocol, "database",
		    t->database[0] == '\0' ? t->b.name : t->database, "databases", strings_json(&t->databases), "label", label, "access", t->access.mode == ACCESS_GRANT ? "grant" : "standing");
		add_state(a, t, one);
		api_door(a, one, t->protocol, t->b.name);
		(void)json_array_append_new(list, one);
	}
	api_set(a, "targets", list);
	return SP_OK;
}

int
api_keys(struct api *a)
{
	char hex[65];
	text_hex((struct sp_bytes){ a->k->keys.signing.public, 32 }, hex);
	api_set(a, "keys", json_pack("[{s:s}]", "key", hex));
	return SP_OK;
}

static int
count_one(void *owner, const struct approval *r)
{
	(void)r;
	++*(json_int_t *)owner;
	return SP_OK;
}

int
api_status(struct api *a)
{
	struct keeper *k = a->k;
	char hex[65];
	json_int_t sessions = 0, held = 0;
	json_t *workers = json_array();
	for (const struct worker *w = k->workers; w != NULL; w = w->next) {
		json_int_t n = 0;
		for (const struct live *s = live_first(k); s != NULL; s = s->all_next)
			n += s->worker == w && !s->side;
		sessions += n;
		(void)json_array_insert_new(workers, 0, json_pack("{s:I,s:I}", "index", (json_int_t)w->index, "sessions", n));
	}
	int rc = approval_list(k, APPROVAL_WAITING, INT32_MAX, count_one, &held);
	text_hex((struct sp_bytes){ k->epoch->hash, 32 }, hex);
	json_decref(a->answer);
	a->answer = json_pack("{s:s,s:I,s:s,s:I,s:I,s:I,s:o,s:b}", "version", PACKAGE_VERSION, "epoch", (json_int_t)k->epoch->number,
	    "epoch_hash", hex, "sessions", sessions, "held", held, "ledger", (json_int_t)ledger_count(k), "workers", workers, "recorder",
	    k->recorder != NULL);
	api_set_time(a->answer, "started", k->started);
	return rc;
}
