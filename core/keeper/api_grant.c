/* SPDX-License-Identifier: Apache-2.0 */
/* The API: asking for access, ending it, breaking the glass. */
#include <config.h>

#include "api.h"

#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "approval.h"
#include "grant.h"
#include "statements.h"

#define LIST_DEFAULT 100
#define FILE_WINDOW (3600ull * 1000)        /* ms in which an approved file may be run */
#define FILE_WINDOW_MAX (24ull * 3600 * 1000)

/* NULL: the caller has its answer. */
static const struct target *
target_of(struct api *a)
{
	const struct target *t = settings_target(keeper_settings(a->k), api_text(a, "target"));
	if (t != NULL && admission_allows(t, &a->who.principal))
		return t;
	(void)api_refuse(a, 404, "there is no such target for you: `sallyport targets` lists yours");
	return NULL;
}

static bool
reason_fits(const struct target *t, const char *reason)
{
	regex_t pattern;
	if (t->access.reason[0] == '\0')
		return true;
	if (regcomp(&pattern, t->access.reason, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool fits = regexec(&pattern, reason, 0, NULL, 0) == 0;
	regfree(&pattern);
	return fits;
}

/* How it is said to people: 1h, 90m, 30s. */
static void
span_text(uint64_t ms, char text[32])
{
	static const struct { uint64_t ms; const char *unit; } units[] = { { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
	size_t i = 0;
	while (ms % units[i].ms != 0)
		i++;
	(void)snprintf(text, 32, "%" PRIu64 "%s", ms / units[i].ms, units[i].unit);
}

int
grant_check_reason(struct api *a, const struct target *t, const char *reason)
{
	if (reason[0] == '\0' || strlen(reason) > REASON_MAX)
		return api_refuse(a, 400, "say why (reason, at most %u bytes)", REASON_MAX);
	if (!reason_fits(t, reason))
		return api_refuse(a, 400, "the reason has to hold what fits \"%s\"", t->access.reason);
	return SP_OK;
}

static char *
grant_view(const struct api *a, const struct target *t, uint64_t span, const char *reason)
{
	char text[512], length[32];
	const struct principal *p = &a->who.principal;
	span_text(span, length);
	(void)snprintf(text, sizeof(text), "access to %s for %s: %s", t->b.name, length, reason);
	json_t *groups = json_array();
	for (size_t i = 0; i < p->groups.n; i++)
		(void)json_array_append_new(groups, json_string(p->groups.v[i]));
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s}", "text", text, "target", t->b.name, "for", length, "reason_given", reason,
	    "issuer", p->issuer, "class", p->class, "groups", groups, "name", p->name);
	char *view = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return view;
}

static void
grant_hash(const struct approval *r, uint8_t out[DIGEST_LEN])
{
	uint8_t numbers[17];
	struct sp_writer w = sp_writer(numbers, sizeof(numbers));
	sp_wr_be64(&w, r->span);
	sp_wr_be64(&w, r->count);
	sp_wr_u8(&w, r->sponsor);
	struct digest *d = digest_begin();
	const char *const parts[] = { "sallyport grant 2", r->who.issuer, r->who.subject, r->target, r->reason, r->by };
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		digest_add_part(d, sp_str(parts[i]));
	digest_add_part(d, sp_written(&w));
	digest_end(&d, out);
}

static int
answer_asked(struct api *a, const struct approval *r, const char *id)
{
	char hash[2 * DIGEST_LEN + 1];
	text_hex((struct sp_bytes){ r->hash, DIGEST_LEN }, hash);
	json_decref(a->answer);
	a->answer = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "id", id, "kind", approval_kind_name(r->kind), "state", "waiting", "hash", hash, "by",
	    r->by, "count", (json_int_t)r->count);
	api_set_time(a->answer, "until", r->expires);
	return a->answer == NULL ? SP_ENOMEM : SP_OK;
}

static int
ask_grant(struct api *a, const struct target *t)
{
	const char *reason = api_text(a, "reason");
	uint64_t span = api_number(a, "for", 0);
	char id[ID_TEXT], most[32];
	if (!grant_needed(t))
		return api_refuse(a, 409, "this target needs no grant: connect");
	span_text(t->access.max, most);
	if (span == 0 || span > t->access.max)
		return api_refuse(a, 400, "say for how long (for): at most %s here", most);
	int rc = grant_check_reason(a, t, reason);
	if (rc != SP_OK)
		return rc;
	struct approval r = { .kind = APPROVAL_GRANT, .who = a->who.principal, .target = t->b.name, .rule = "access", .by = t->access.approvers,
		.sponsor = t->access.sponsor, .count = t->access.count, .expires = clock_wall_us() + t->access.expire * 1000, .reason = reason, .span = span };
	grant_hash(&r, r.hash);
	char *view = grant_view(a, t, span, reason);
	r.view = view;
	const char *why = view == NULL ? "the reason is no text" : approval_ask(a->k, &r, id);
	if (why != NULL)
		rc = api_refuse(a, view == NULL ? 400 : 429, "%s", why);
	else
		rc = answer_asked(a, &r, id);
	free(view);
	return rc;
}

/* The group that decides, and how many of it. */
static const char *
deciders(struct api *a, const struct target *t, uint64_t *count_r)
{
	const char *by = api_text(a, "by");
	*count_r = api_number(a, "count", by[0] == '\0' ? t->access.count : 1);
	return by[0] == '\0' ? t->access.approvers : by;
}

static int
check_file(struct api *a, const struct approval *r, const char *text)
{
	if (r->by[0] == '\0')
		return api_refuse(a, 400, "say which group the rules ask (by)");
	if (r->count < 1 || r->count > 10)
		return api_refuse(a, 400, "count is from 1 to 10 persons");
	if (r->span == 0 || r->span > FILE_WINDOW_MAX)
		return api_refuse(a, 400, "it may be run within at most a day of the approval (for)");
	if (strlen(text) > FILE_MAX)
		return api_refuse(a, 400, "a file has at most %u bytes: a person has to read it", FILE_MAX);
	if (file_statements(text) == 0)
		return api_refuse(a, 400, "the file has no statement");
	if (statements_odd(sp_str(text)))
		return api_refuse(a, 400, "the file has commands of psql's own (\\…), inline data, or a quote or parenthesis that does not end: only SQL can be approved");
	return grant_check_reason(a, settings_target(keeper_settings(a->k), r->target), r->reason);
}

static int
ask_file(struct api *a, const struct target *t, const char *text)
{
	char id[ID_TEXT], window[32];
	const char *path = api_text(a, "search_path"), *part = api_text(a, "database");
	struct approval r = { .kind = APPROVAL_FILE, .who = a->who.principal, .target = t->b.name, .rule = "file",
		.expires = clock_wall_us() + t->access.expire * 1000, .reason = api_text(a, "reason"), .span = api_number(a, "for", FILE_WINDOW) };
	r.by = deciders(a, t, &r.count);
	file_policy(a->k, t, r.rule_hash);
	int rc = check_file(a, &r, text);
	if (rc != SP_OK)
		return rc;
	span_text(r.span, window);
	const struct file_wish w = { .text = text, .database = part[0] != '\0' ? part : t->database[0] != '\0' ? t->database : t->b.name,
		.login = t->login.ephemeral ? t->login.role : t->login.user, .search_path = path[0] == '\0' ? "\"$user\", public" : path, .reason = r.reason, .window = window };
	file_hash(&r, &w, r.hash);
	char *view = file_view(&w);
	r.view = view;
	const char *why = view == NULL ? "the file is no text" : approval_ask(a->k, &r, id);
	if (why != NULL)
		rc = api_refuse(a, view == NULL ? 400 : 429, "%s", why);
	else
		rc = answer_asked(a, &r, id);
	free(view);
	return rc;
}

int
api_ask(struct api *a)
{
	const struct target *t = target_of(a);
	const char *text = api_text(a, "text");
	if (t == NULL)
		return SP_EDENIED;
	return text[0] == '\0' ? ask_grant(a, t) : ask_file(a, t, text);
}

/* ---- grants ---- */

static bool
own(const struct api *a, const struct principal *p)
{
	return strcmp(p->issuer, a->who.principal.issuer) == 0 && strcmp(p->subject, a->who.principal.subject) == 0;
}

static bool
approves(const struct api *a, const char *by)
{
	return api_may(a, MAY_APPROVE) && strings_have(&a->who.principal.groups, by);
}

static bool
visible(const struct api *a, const struct grant *g)
{
	return own(a, &g->who) || api_may(a, MAY_AUDIT | MAY_OPERATE) || approves(a, g->by);
}

static json_t *
grant_json(const struct grant *g)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "id", g->id, "user", g->who.user, "target", g->target, "reason", g->reason, "by",
	    g->by, "state", g->state == GRANT_LIVE ? "live" : "ended", "break_glass", g->kind == GRANT_GLASS);
	api_set_time(j, "since", g->since);
	api_set_time(j, "until", g->until);
	api_set_time(j, "ended", g->ended);
	(void)json_object_set_new(j, "text", json_string(g->text));
	return j;
}

json_t *
api_grant_seen(struct api *a, const char *id)
{
	struct grant g;
	return grant_get(a->k, a->arena, id, &g) == SP_OK && visible(a, &g) ? grant_json(&g) : NULL;
}

struct listing {
	struct api *a;
	json_t *list;
};

static int
add_grant(void *owner, const struct grant *g)
{
	struct listing *l = owner;
	return !visible(l->a, g) || json_array_append_new(l->list, grant_json(g)) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_grants(struct api *a)
{
	struct listing l = { a, json_array() };
	int rc = grant_list(a->k, !api_flag(a, "all"), LIST_DEFAULT, add_grant, &l);
	api_set(a, "grants", l.list);
	return rc;
}

static int
answer_ended(struct api *a, const char *id, const char *state)
{
	api_set(a, "id", json_string(id));
	api_set(a, "state", json_string(state));
	return SP_OK;
}

/* A request that still waits, or was approved and not used: only its asker takes it back. */
static int
take_back(struct api *a)
{
	struct approval r;
	char text[300];
	int rc = approval_get(a->k, a->arena, api_text(a, "id"), &r);
	if (rc == SP_ETOOBIG)
		return api_refuse(a, 409, "several begin like that: give more letters");
	if (rc != SP_OK || !own(a, &r.who))
		return rc == SP_OK || rc == SP_EPROTO ? api_refuse(a, 404, "there is no such grant or request of yours") : rc;
	if (r.kind == APPROVAL_INCIDENT || !r.next_run || (r.state != APPROVAL_WAITING && r.state != APPROVAL_APPROVED))
		return api_refuse(a, 409, "it can't be taken back: it is %s", approval_state_name(r.state));
	(void)snprintf(text, sizeof(text), "taken back by %s", a->who.principal.name);
	if (!approval_enter(a->k, &r, APPROVAL_WITHDRAWN, r.expires, text))
		return api_refuse(a, 409, "it was decided a moment ago");
	return answer_ended(a, r.id, approval_state_name(APPROVAL_WITHDRAWN));
}

int
api_end(struct api *a)
{
	struct grant g;
	char text[300];
	int rc = grant_get(a->k, a->arena, api_text(a, "id"), &g);
	if (rc == SP_ETOOBIG)
		return api_refuse(a, 409, "several grants begin like that: give more letters");
	if (rc == SP_EPROTO)
		return take_back(a);
	if (rc != SP_OK)
		return rc;
	if (!visible(a, &g))
		return api_refuse(a, 404, "there is no such grant or request of yours");
	if (!own(a, &g.who) && !api_may(a, MAY_OPERATE) && !approves(a, g.by))
		return api_refuse(a, 403, "it is ended by who has it, by an approver or by an admin");
	(void)snprintf(text, sizeof(text), "ended by %s", a->who.principal.name);
	if (!grant_end(a->k, &g, text))
		return api_refuse(a, 409, "it has ended already");
	return answer_ended(a, g.id, "ended");
}

/* ---- break-glass ---- */

int
api_break_glass(struct api *a)
{
	const struct target *t = target_of(a);
	char id[ID_TEXT];
	uint64_t until;
	if (t == NULL)
		return SP_EDENIED;
	const struct glass g = { .who = &a->who.principal, .target = t, .reason = api_text(a, "reason"),
		.span = api_number(a, "for", GRANT_GLASS_MAX) };
	int rc = grant_check_reason(a, t, g.reason);
	if (rc != SP_OK)
		return rc;
	const char *why = grant_break_glass(a->k, &g, id, &until);
	if (why != NULL)
		return api_refuse(a, 403, "%s", why);
	log_warn("%s broke the glass of target %s: incident %s", log_quote(sp_str(a->who.principal.user)), t->b.name, id);
	api_set(a, "id", json_string(id));
	api_set(a, "state", json_string("live"));
	api_set_time(a->answer, "until", until);
	return SP_OK;
}
