/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: policies.  The keeper loads none: it asks a worker, which has them in force, and the recorder, which has
 * counted what each rule did.
 *
 *   policies ─ MSG_RULES ─▶ worker ─ MSG_RULED ─▶ MSG_MEASURE ─▶ recorder ─ MSG_MEASURED ─▶ the answer
 *   explain  ─ MSG_RULES ─▶ worker ─ MSG_RULED ─▶ the answer
 *
 * A worker sees the principal and the text that it is asked about, as it would if both came by a session.
 */
#include <config.h>

#include "api.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "admission.h"
#include "metrics.h"

#define ASKED_MAX 64
#define EXPLAINS 60          /* a second, of everybody: each is as much work as an operation */
#define EXPLAINS_EACH 20     /* … of one principal, and those that share a place with it */
#define PLACES 256
#define TEXT_MAX (64u << 10) /* of a text to explain */

struct policy_ask {
	struct policy_ask *next;
	uint32_t id;
	const struct link *worker; /* NULL: it has answered, the recorder is asked */
	struct api_later *later;
	json_t *rules;             /* what the worker said */
	bool counts;               /* the recorder is asked then */
};

struct policy_asks {
	struct policy_ask *list;
	size_t n;
	uint32_t last;
	uint64_t second;           /* of wall time */
	unsigned explains;         /* in it */
	uint8_t each[PLACES];      /* … by principal */
};

void
policies_open(struct keeper *k)
{
	k->policy_asks = mem_alloc(sizeof(*k->policy_asks));
}

static void
ask_end(struct keeper *k, struct policy_ask **at, unsigned status, json_t *answer)
{
	struct policy_ask *a = *at;
	*at = a->next;
	k->policy_asks->n--;
	if (answer == NULL)
		api_later_drop(k, &a->later);
	else
		api_later_answer(k, &a->later, status, answer);
	json_decref(a->rules);
	free(a);
}

void
policies_close(struct keeper *k)
{
	struct policy_asks *p = k->policy_asks;
	while (p != NULL && p->list != NULL)
		ask_end(k, &p->list, 503, NULL);
	free(p);
	k->policy_asks = NULL;
}

/* ---- asking a worker ---- */

/* args is taken over. */
static int
ask_worker(struct api *a, json_t *args, bool counts)
{
	struct policy_asks *p = a->k->policy_asks;
	char *text = args == NULL ? NULL : json_dumps(args, JSON_COMPACT);
	json_decref(args);
	struct worker *w = a->k->workers; /* the youngest: it has the modules of now */
	if (text == NULL || w == NULL || p->n >= ASKED_MAX) {
		free(text);
		return api_refuse(a, 503, w == NULL ? "no worker is there to ask; try again in a moment" : "too many ask about policies; try again in a moment");
	}
	const struct message m = { .type = MSG_RULES, .id = ++p->last, .f = { Z(text) } };
	int rc = link_send(w->link, &m);
	free(text);
	if (rc != SP_OK)
		return api_refuse(a, 503, "a worker could not be asked; try again in a moment");
	struct policy_ask *ask = mem_alloc(sizeof(*ask));
	*ask = (struct policy_ask){ .next = p->list, .id = m.id, .worker = w->link, .counts = counts, .later = api_later(a) };
	p->list = ask;
	p->n++;
	return SP_OK;
}

static const struct target *
target_asked(struct api *a)
{
	const struct target *t = settings_target(keeper_settings(a->k), api_text(a, "target"));
	bool sees = t != NULL && (api_may(a, MAY_AUDIT | MAY_OPERATE) || admission_allows(t, &a->who.principal));
	return sees ? t : NULL;
}

int
api_policies(struct api *a)
{
	const char *target = api_text(a, "target");
	if (target[0] != '\0' && target_asked(a) == NULL)
		return api_refuse(a, 404, "there is no such target");
	return ask_worker(a, json_pack("{s:s}", "target", target), true);
}

/* ---- whom to explain for ---- */

static json_t *
list_or_none(const struct api *a, const char *name)
{
	json_t *list = json_object_get(a->args, name);
	return list == NULL ? json_array() : json_incref(list);
}

static json_t *
another(const struct api *a)
{
	const char *user = api_text(a, "user"), *class = api_text(a, "class");
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:I}", "identity", "none", "issuer", "", "subject", user, "user", user, "name", user,
	    "person", user, "class", class[0] == '\0' ? "human" : class, "token", "", "sponsor", api_text(a, "sponsor"), "groups",
	    list_or_none(a, "groups"), "roles", list_or_none(a, "roles"), "expires", (json_int_t)0);
}

/* The principal as a text of JSON; NULL: the call has its answer. */
static json_t *
whom(struct api *a)
{
	static const char *const others[] = { "user", "groups", "roles", "class", "sponsor" };
	struct buffer own = { 0 };
	bool of_other = false;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		of_other = of_other || json_object_get(a->args, others[i]) != NULL;
	if (!of_other) {
		json_t *text = principal_print(&a->who.principal, &own) == SP_OK ? json_stringn((const char *)buffer_bytes(&own).p, own.len) : NULL;
		buffer_free(&own);
		return text;
	}
	if (!api_may(a, MAY_AUDIT | MAY_OPERATE)) {
		(void)api_refuse(a, 403, "you may ask for yourself: for somebody else it takes \"may audit or operate\"");
		return NULL;
	}
	if (api_text(a, "user")[0] == '\0') {
		(void)api_refuse(a, 400, "for whom? (user)");
		return NULL;
	}
	json_t *o = another(a);
	char *printed = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_t *text = printed == NULL ? NULL : json_string(printed);
	free(printed);
	json_decref(o);
	return text;
}

static bool
too_many(struct policy_asks *p, const struct principal *who)
{
	uint8_t place[DIGEST_LEN];
	uint64_t now = clock_mono_ms() / 1000;
	if (p->second != now) {
		p->explains = 0;
		memset(p->each, 0, sizeof(p->each));
	}
	p->second = now;
	digest_sha256(sp_str(who->subject), place);
	if (p->each[place[0]] >= EXPLAINS_EACH || p->explains >= EXPLAINS)
		return true;
	p->each[place[0]]++;
	p->explains++;
	return false;
}

/* Who looks for a gap leaves a trace, of what was asked its hash. */
static void
audit_explain(const struct api *a)
{
	uint8_t hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];
	const char *user = api_text(a, "user");
	digest_sha256(sp_str(api_text(a, "text")), hash);
	text_hex((struct sp_bytes){ hash, sizeof(hash) }, hex);
	audit(a->k, "policy explained", json_pack("{s:s,s:s,s:s,s:s,s:s}", "by", a->who.principal.user, "issuer", a->who.principal.issuer, "for",
	    user[0] == '\0' ? a->who.principal.user : user, "target", api_text(a, "target"), "sha256", hex));
}

int
api_policy_explain(struct api *a)
{
	static const char *const words[] = { "text", "address", "at", "database", "role", "search_path" };
	const char *kind = api_text(a, "kind");
	if (target_asked(a) == NULL)
		return api_refuse(a, 404, "which target? (target; `sallyport targets` lists those that there are for you)");
	if (strlen(api_text(a, "text")) > TEXT_MAX)
		return api_refuse(a, 400, "the text is longer than 64 KB: ask about it with `sallyport policy explain --conf`, where the configuration is");
	if (too_many(a->k->policy_asks, &a->who.principal))
		return api_refuse(a, 429, "too many ask what rules would say: try again in a second");
	json_t *principal = whom(a);
	if (principal == NULL)
		return a->status == 200 ? SP_ENOMEM : SP_EDENIED;
	audit_explain(a);
	json_t *args = json_pack("{s:s,s:o,s:s}", "target", api_text(a, "target"), "principal", principal, "kind", kind[0] == '\0' ? "sql.statement" : kind);
	for (size_t i = 0; args != NULL && i < sizeof(words) / sizeof(*words); i++)
		(void)json_object_set_new(args, words[i], json_string(api_text(a, words[i])));
	return ask_worker(a, args, false);
}

/* ---- answers ---- */

/* What each rule did, by verdict: {"deny": 3, "observed": 1}; and in each of the last 24 hours, this one last: {"deny": [0, …, 3]}. */
static void
add_hits(json_t *policies, const json_t *rows)
{
	size_t i, p, r;
	const json_t *row;
	json_t *policy, *rule;
	json_array_foreach(rows, i, row) {
		const char *target = json_string_value(json_object_get(row, "target")), *name = json_string_value(json_object_get(row, "rule"));
		const char *what = json_string_value(json_object_get(row, "verdict"));
		if (target == NULL || name == NULL || what == NULL || name[0] == '\0')
			continue;
		json_array_foreach(policies, p, policy) {
			const char *of = json_string_value(json_object_get(policy, "target"));
			if (of == NULL || strcmp(of, target) != 0)
				continue;
			json_array_foreach(json_object_get(policy, "rules"), r, rule) {
				const char *called = json_string_value(json_object_get(rule, "rule"));
				if (called == NULL || strcmp(called, name) != 0)
					continue;
				(void)json_object_set(json_object_get(rule, "hits"), what, json_object_get(row, "n"));
				(void)json_object_set(json_object_get(rule, "day"), what, json_object_get(row, "day"));
			}
		}
	}
}

static json_t *
with_counts(struct policy_ask *a, const json_t *measured)
{
	json_t *policies = json_object_get(a->rules, "policies"), *policy, *rule;
	size_t p, r;
	json_array_foreach(policies, p, policy)
		json_array_foreach(json_object_get(policy, "rules"), r, rule)
			(void)json_object_update_new(rule, json_pack("{s:{},s:{}}", "hits", "day"));
	add_hits(policies, json_object_get(measured, "operations"));
	add_hits(policies, json_object_get(measured, "hits"));
	json_int_t since = json_integer_value(json_object_get(measured, "since"));
	if (since > 0) /* else the recorder is away, and nothing is known of hits */
		api_set_time(a->rules, "counted_since", (uint64_t)since);
	return json_incref(a->rules);
}

/* NULL: the recorder has nothing to say. */
void
policies_measured(struct keeper *k, const json_t *measured)
{
	for (struct policy_ask **at = &k->policy_asks->list; *at != NULL;) {
		if ((*at)->worker == NULL)
			ask_end(k, at, 200, with_counts(*at, measured));
		else
			at = &(*at)->next;
	}
}

int
policies_ruled(struct keeper *k, struct link *l, struct message *m)
{
	struct policy_ask **at = &k->policy_asks->list;
	while (*at != NULL && ((*at)->id != m->id || (*at)->worker != l))
		at = &(*at)->next;
	if (*at == NULL)
		return SP_OK; /* nobody waits any more */
	json_t *answer = json_loadb((const char *)m->f[1].s.p, m->f[1].s.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(answer) || m->f[0].q < 200 || m->f[0].q > 599) {
		json_decref(answer);
		ask_end(k, at, 503, NULL);
		return SP_EPROTO;
	}
	if (!(*at)->counts || m->f[0].q != 200) {
		ask_end(k, at, (unsigned)m->f[0].q, answer);
		return SP_OK;
	}
	(*at)->rules = answer;
	(*at)->worker = NULL;
	if (k->recorder == NULL || link_send(k->recorder, &(struct message){ .type = MSG_MEASURE }) != SP_OK)
		ask_end(k, at, 200, with_counts(*at, NULL));
	return SP_OK;
}

void
policies_link_gone(struct keeper *k, const struct link *l)
{
	if (k->policy_asks == NULL)
		return;
	if (l == k->recorder)
		policies_measured(k, NULL);
	for (struct policy_ask **at = &k->policy_asks->list; *at != NULL;) {
		if ((*at)->worker == l)
			ask_end(k, at, 503, NULL);
		else
			at = &(*at)->next;
	}
}
