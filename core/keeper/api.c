/* SPDX-License-Identifier: Apache-2.0 */
/* From CALL to RESULT: identity, role, the call's function, JSON. */
#include <config.h>

#include "api.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "caller.h"
#include "metrics.h"
#include "provider.h"
#include "saml.h"
#include "slack.h"

#define ARENA (16u << 20)
#define ARGUMENTS_MAX (1u << 20)
#define PARKED_MAX 256
#define FETCHES_MAX 256

static int (*const calls[CALLS])(struct api *a) = {
	[CALL_WHOAMI] = api_whoami, [CALL_SESSIONS] = api_sessions, [CALL_SESSION] = api_session, [CALL_KILL] = api_kill,
	[CALL_RECORDING] = api_recording, [CALL_VERIFY] = api_verify, [CALL_EXPLAIN] = api_explain,
	[CALL_SEARCH] = api_search, [CALL_REPLAY] = api_replay, [CALL_AUDIT] = api_audit, [CALL_EVENTS] = api_events, [CALL_RECORDINGS] = api_recordings, [CALL_RECORDING_ONE] = api_recording_one, [CALL_REQUESTS] = api_requests,
	[CALL_REQUEST] = api_request, [CALL_APPROVE] = api_approve, [CALL_DENY] = api_deny, [CALL_ASK] = api_ask,
	[CALL_GRANTS] = api_grants, [CALL_END] = api_end, [CALL_BREAK_GLASS] = api_break_glass,
	[CALL_CODES_MAKE] = api_codes_make, [CALL_CODES] = api_codes, [CALL_CODE_END] = api_code_end, [CALL_CODE_SPEND] = api_code_spend,
	[CALL_TICKET] = api_ticket, [CALL_TICKETS] = api_tickets, [CALL_TICKET_END] = api_ticket_end, [CALL_SSH_CERTIFICATE] = api_ssh_certificate, [CALL_TOKEN] = api_token,
	[CALL_REVOKE] = api_revoke, [CALL_TARGETS] = api_targets, [CALL_KEYS] = api_keys, [CALL_STATUS] = api_status, [CALL_METRICS] = api_metrics,
	[CALL_IDENTITIES] = api_identities, [CALL_SIGNIN_BEGIN] = api_signin_begin, [CALL_SIGNIN_CODE] = api_signin_code,
	[CALL_LINK_MAKE] = api_link_make, [CALL_LINK_USE] = api_link_use, [CALL_LOGOUT] = api_logout, [CALL_DEVICE_BEGIN] = api_device_begin, [CALL_DEVICE_POLL] = api_device_poll,
	[CALL_DEVICE_LOOK] = api_device_look, [CALL_DEVICE_CONFIRM] = api_device_confirm, [CALL_BACKCHANNEL] = api_backchannel,
	[CALL_RENEW] = api_renew, [CALL_SLACK] = api_slack, [CALL_POLICIES] = api_policies, [CALL_POLICY_EXPLAIN] = api_policy_explain,
	[CALL_SAML_METADATA] = api_saml_metadata, [CALL_SAML_ACS] = api_saml_acs, [CALL_SAML_LOGOUT] = api_saml_logout,
};

/* What waits for somebody else: a call for master's word, or an answer for the recorder's file. */
struct waiting {
	struct waiting *next;
	struct link *link;
	uint32_t id;           /* of the call */
	uint64_t since;        /* mono ms */
	struct buffer message; /* the call, encoded */
	json_t *answer;        /* for the file */
	uint32_t fetch;        /* id of the question to the recorder */
};

struct api_later {
	struct api_later *next;
	struct link *link; /* NULL: nobody waits */
	uint32_t id;
};

struct fetches {
	struct waiting *parked, *fetching;
	struct api_later *later;
	size_t nparked, nfetching;
	uint32_t last;
};

static void
free_all(struct waiting **list)
{
	while (*list != NULL) {
		struct waiting *next = (*list)->next;
		buffer_free(&(*list)->message);
		json_decref((*list)->answer);
		free(*list);
		*list = next;
	}
}

void
api_open(struct keeper *k)
{
	k->fetches = mem_alloc(sizeof(*k->fetches));
}

void
api_close(struct keeper *k)
{
	if (k->fetches == NULL)
		return;
	free_all(&k->fetches->parked);
	free_all(&k->fetches->fetching);
	free(k->fetches);
	k->fetches = NULL;
}

/* ---- small helpers of the calls ---- */

int
api_refuse(struct api *a, unsigned status, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_decref(a->answer);
	a->status = status;
	a->answer = json_pack("{s:s}", "error", text);
	return SP_EDENIED;
}

const char *
api_text(const struct api *a, const char *name)
{
	const char *text = json_string_value(json_object_get(a->args, name));
	return text == NULL ? "" : text;
}

uint64_t
api_number(const struct api *a, const char *name, uint64_t dflt)
{
	const json_t *v = json_object_get(a->args, name);
	char *end = NULL;
	if (json_is_integer(v))
		return json_integer_value(v) < 0 ? dflt : (uint64_t)json_integer_value(v);
	if (!json_is_string(v))
		return dflt;
	/* From a query everything is a text. */
	unsigned long long n = strtoull(json_string_value(v), &end, 10);
	return end == json_string_value(v) || *end != '\0' ? dflt : n;
}

bool
api_flag(const struct api *a, const char *name)
{
	const json_t *v = json_object_get(a->args, name);
	const char *text = json_string_value(v);
	return json_is_true(v) || (text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "on") == 0));
}

bool
api_may(const struct api *a, unsigned role)
{
	return (a->who.may & role) != 0;
}

void
api_set(struct api *a, const char *name, json_t *value)
{
	if (json_object_set_new(a->answer, name, value) != 0)
		log_error("no memory for an answer of the API");
}

void
api_set_time(json_t *into, const char *name, uint64_t wall_us)
{
	char text[32];
	if (wall_us > 0 && wall_us < INT64_MAX)
		(void)json_object_set_new(into, name, json_string(clock_format(wall_us, text)));
}

/* ---- answers ---- */

void
api_answer(struct keeper *k, struct link *l, uint32_t id, unsigned status, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	const struct message m = { .type = MSG_RESULT, .id = id,
		.f = { Q(text == NULL ? 503 : status), Z(text == NULL ? "{\"error\":\"no memory for the answer\"}" : text) } };
	reply(k, l, &m);
	if (text != NULL)
		mem_wipe(text, strlen(text)); /* it may hold a token */
	free(text);
}

static void
send_error(struct keeper *k, struct link *l, uint32_t id, unsigned status, const char *text)
{
	json_t *answer = json_pack("{s:s}", "error", text);
	api_answer(k, l, id, status, answer);
	json_decref(answer);
}

struct api_later *
api_later(struct api *a)
{
	struct api_later *l = mem_alloc(sizeof(*l));
	*l = (struct api_later){ a->k->fetches->later, a->link, a->id };
	a->k->fetches->later = l;
	a->later = true;
	return l;
}

void
api_later_answer(struct keeper *k, struct api_later **l, unsigned status, json_t *answer)
{
	struct api_later **at = &k->fetches->later, *mine = *l;
	*l = NULL;
	while (mine != NULL && *at != mine)
		at = &(*at)->next;
	if (mine != NULL) {
		*at = mine->next;
		if (mine->link != NULL)
			api_answer(k, mine->link, mine->id, status, answer);
		free(mine);
	}
	json_decref(answer);
}

void
api_later_drop(struct keeper *k, struct api_later **l)
{
	if (*l != NULL)
		api_later_answer(k, l, 503, json_pack("{s:s}", "error", "it could not be finished: try again"));
}

/* ---- one call ---- */

static unsigned
role_of(enum call call)
{
	for (const struct route *r = route_table; r->method != NULL; r++) {
		if (r->call == call)
			return r->role;
	}
	return 0; /* nobody's */
}

static void
refuse_role(struct api *a)
{
	char names[64] = "";
	size_t n = 0;
	for (const struct caller_role_name *r = caller_roles; r->name != NULL; r++)
		if ((role_of(a->call) & r->bit) != 0 && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n == 0 ? "" : " or ", r->name);
	log_warn("%s may not make the call %d: it takes %s", log_quote(sp_str(a->who.principal.user)), (int)a->call, names);
	(void)api_refuse(a, 403, "you may not do this: it takes \"may %s\", and `sallyport whoami` shows what you have", names);
}

static void
run(struct api *a)
{
	if (calls[a->call] == NULL || role_of(a->call) == 0) {
		(void)api_refuse(a, 404, "there is no such call");
		return;
	}
	if (!api_may(a, role_of(a->call))) {
		refuse_role(a);
		return;
	}
	a->status = 200;
	a->answer = json_object();
	int rc = calls[a->call](a);
	if (rc != SP_OK && a->status == 200)
		(void)api_refuse(a, 503, "the keeper could not do it; its log says why");
}

static json_t *
read_arguments(struct sp_bytes text)
{
	if (text.len == 0)
		return json_object();
	json_t *j = text.len > ARGUMENTS_MAX ? NULL : json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (j != NULL && !json_is_object(j)) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

static void
answer_call(struct keeper *k, struct link *l, const struct message *m, struct arena *arena, const struct verified *who)
{
	json_t *args = read_arguments(m->f[3].s);
	struct api a = { .k = k, .link = l, .id = m->id, .message = m, .arena = arena, .who = *who, .args = args,
		.call = m->f[2].q < CALLS ? (enum call)m->f[2].q : CALL_NONE };
	if (args == NULL)
		(void)api_refuse(&a, 400, "the arguments are no JSON object, or have a name twice");
	else
		run(&a);
	if (!a.later)
		api_answer(k, l, m->id, a.status, a.answer);
	json_decref(a.answer);
	json_decref(args);
}

static bool
park(struct keeper *k, struct link *l, const struct message *m)
{
	struct fetches *f = k->fetches;
	struct waiting *w = f->nparked >= PARKED_MAX ? NULL : mem_alloc(sizeof(*w));
	if (w == NULL || message_encode(m, &w->message) != SP_OK) {
		free(w);
		return false;
	}
	w->link = l;
	w->since = clock_mono_ms();
	w->next = f->parked;
	f->parked = w;
	f->nparked++;
	return true;
}

/* Who calls what anybody may: its name is in no table, and it is in no group. */
static const struct verified nobody = {
	.principal = { .identity = "", .issuer = "", .subject = "", .user = "", .name = "", .person = "", .class = "", .token = "" },
	.may = MAY_ANYBODY,
};

static void
call_or_park(struct keeper *k, struct link *l, const struct message *m, bool may_park)
{
	struct verified who = nobody;
	const char *why = "no memory";
	struct arena *arena = arena_new(ARENA);
	bool anybody = m->f[2].q < CALLS && role_of((enum call)m->f[2].q) == MAY_ANYBODY;
	int rc = arena == NULL ? SP_ENOMEM : anybody ? SP_OK : caller_find(k, m->f[0].q, m->f[1].s, arena, &who, &why);
	if (rc == SP_OK) {
		answer_call(k, l, m, arena, &who);
	} else if (rc == SP_ETIME && m->f[1].s.len > 0 && provider_park(k, api_call_again, l, m) == SP_OK) {
		; /* its issuer is asked for the key */
	} else if (rc != SP_ETIME || !may_park || !park(k, l, m)) {
		log_info("a call to the API was refused: %s", why);
		metrics_refused(k);
		/* The reason stays in the log: it would tell a guesser how far a forged token came. */
		send_error(k, l, m->id, 401, rc == SP_ETIME || m->f[1].s.len == 0 ? why : "the token was not accepted: it is expired, revoked, or not for the API");
	}
	arena_free(&arena);
}

int
api_call(struct keeper *k, struct link *l, struct message *m)
{
	call_or_park(k, l, m, true);
	return SP_OK;
}

int
api_call_again(struct keeper *k, struct link *l, struct message *m)
{
	return api_call(k, l, m);
}

void
api_parked(struct keeper *k, bool all)
{
	struct waiting *w = k->fetches->parked;
	uint64_t now = clock_mono_ms();
	k->fetches->parked = NULL;
	k->fetches->nparked = 0;
	while (w != NULL) {
		struct waiting *next = w->next;
		struct message m;
		if (w->link != NULL && message_decode(buffer_bytes(&w->message), &m) > 0)
			call_or_park(k, w->link, &m, !all && now - w->since < 1000);
		buffer_free(&w->message);
		free(w);
		w = next;
	}
}

/* ---- files from the recorder ---- */

int
api_fetch(struct api *a, const char *session)
{
	uint8_t id[ID_LEN];
	struct fetches *f = a->k->fetches;
	if (a->k->recorder == NULL || f->nfetching >= FETCHES_MAX)
		return api_refuse(a, 503, "the recorder is away; try again in a moment");
	struct waiting *w = mem_alloc(sizeof(*w));
	*w = (struct waiting){ .next = f->fetching, .link = a->link, .id = a->id, .since = clock_mono_ms(), .fetch = ++f->last };
	const struct message m = { .type = MSG_FETCH, .id = w->fetch, .f = { S(((struct sp_bytes){ id, ID_LEN })) } };
	if (id_parse(session, id) != SP_OK || link_send(a->k->recorder, &m) != SP_OK) {
		free(w);
		return api_refuse(a, 503, "the recorder could not be asked");
	}
	w->answer = json_incref(a->answer);
	f->fetching = w;
	f->nfetching++;
	a->later = true;
	return SP_OK;
}

static void
hand_over(struct keeper *k, struct waiting *w, struct message *m)
{
	if (m->f[1].q != 1 || m->nfds != 1 || m->fd[0] < 0) {
		char text[256];
		(void)snprintf(text, sizeof(text), "%.*s", (int)(m->f[2].s.len < 200 ? m->f[2].s.len : 200),
		    (const char *)m->f[2].s.p);
		send_error(k, w->link, w->id, 404, text);
		return;
	}
	char *text = json_dumps(w->answer, JSON_COMPACT);
	struct message out = { .type = MSG_RESULT, .id = w->id, .f = { Q(200), Z(text == NULL ? "{}" : text) }, .nfds = 1 };
	out.fd[0] = m->fd[0];
	/* It promises nothing that the store must hold: it may go at once, with its descriptor. */
	if (link_send(w->link, &out) != SP_OK)
		log_warn("a recording could not be handed to the console");
	free(text);
}

int
api_fetched(struct keeper *k, struct link *l, struct message *m)
{
	(void)l;
	for (struct waiting **at = &k->fetches->fetching; *at != NULL; at = &(*at)->next) {
		struct waiting *w = *at;
		if (w->fetch != m->id)
			continue;
		*at = w->next;
		k->fetches->nfetching--;
		if (w->link != NULL)
			hand_over(k, w, m);
		json_decref(w->answer);
		free(w);
		return SP_OK;
	}
	return SP_OK;
}

/* The console left: nobody waits.  The recorder left: nothing comes. */
void
api_link_gone(struct keeper *k, const struct link *l)
{
	for (struct api_later *a = k->fetches->later; a != NULL; a = a->next)
		a->link = a->link == l ? NULL : a->link;
	for (struct waiting *w = k->fetches->parked; w != NULL; w = w->next)
		w->link = w->link == l ? NULL : w->link;
	for (struct waiting **at = &k->fetches->fetching; *at != NULL;) {
		struct waiting *w = *at;
		if (l != k->recorder && w->link != l) {
			at = &w->next;
			continue;
		}
		if (w->link != NULL && w->link != l)
			send_error(k, w->link, w->id, 503, "the recorder went away; try again in a moment");
		*at = w->next;
		k->fetches->nfetching--;
		json_decref(w->answer);
		free(w);
	}
}
