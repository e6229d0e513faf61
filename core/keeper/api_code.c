/* SPDX-License-Identifier: Apache-2.0 */
/* The API: codes for a day without an identity provider. */
#include <config.h>

#include "api.h"

#include <stdio.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "caller.h"
#include "code.h"
#include "grant.h"
#include "signin.h"
#include "ticket.h"

#define COUNT_DEFAULT 5
#define COUNT_MAX 20
#define WRONG_TARGET 200 /* bytes of what anybody says */
#define DAY (24ull * 3600 * 1000)

/* ---- making ---- */

/* Whom it is for: as they were when they last signed in; or, where the local issuer may be used, as the admin says. */
static int
person_of(struct api *a, struct principal *p)
{
	const char *user = api_text(a, "user");
	size_t n = json_array_size(json_object_get(a->args, "groups"));
	if (user[0] == '\0')
		return api_refuse(a, 400, "say whom the codes are for (user)");
	if (n > 0 && (!api_may(a, MAY_MINT) || !keeper_settings(a->k)->local_issuer))
		return api_refuse(a, 403, "groups are said by who may mint tokens of the local issuer; without them the codes are for whom it "
		    "was at the last sign-in");
	int rc = n > 0 ? identity_local(a->arena, user, json_object_get(a->args, "groups"), p) : signin_last(a->k, a->arena, user, api_text(a, "identity"), p);
	if (rc == SP_EDENIED)
		return api_refuse(a, 404, "nobody of that name has signed in here, by that identity: codes are for people whom the gateway knows");
	if (rc == SP_ETOOBIG)
		return api_refuse(a, 409, "several have that name: say by which identity they sign in (identity)");
	if (rc == SP_EPROTO)
		return api_refuse(a, 400, "the user's or a group's name is odd");
	return rc == SP_OK && strcmp(p->class, "human") != 0 ? api_refuse(a, 403, "only people break the glass") : rc;
}

int
api_codes_make(struct api *a)
{
	struct principal who;
	uint64_t count = api_number(a, "count", COUNT_DEFAULT), span = api_number(a, "for", CODE_DAYS * DAY);
	if (strcmp(a->who.principal.class, "human") != 0)
		return api_refuse(a, 403, "only a person makes codes");
	if (count < 1 || count > COUNT_MAX || span == 0 || span > CODE_DAYS_MAX * DAY)
		return api_refuse(a, 400, "from 1 to %u codes (count), for at most %ud (for)", COUNT_MAX, CODE_DAYS_MAX);
	int rc = person_of(a, &who);
	json_t *list = json_array();
	const char *why = NULL;
	const struct code_wish w = { &who, &a->who.principal, span };
	for (uint64_t i = 0; rc == SP_OK && why == NULL && i < count; i++) {
		struct code_made made;
		why = code_make(a->k, &w, &made);
		json_t *one = why != NULL ? NULL : json_pack("{s:s,s:s,s:s}", "id", made.id, "code", made.text, "user", who.user);
		mem_wipe(made.text, sizeof(made.text));
		api_set_time(one, "expires", made.expires);
		(void)json_array_append_new(list, one);
	}
	api_set(a, "codes", list);
	return why != NULL ? api_refuse(a, 503, "%s", why) : rc;
}

/* ---- what there is ---- */

static int
add_code(void *owner, const struct code *c)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "id", c->id, "user", c->who.user, "issuer", c->who.issuer, "by", c->by, "state",
	    code_state_name(c->state), "text", c->text);
	api_set_time(j, "created", c->created);
	api_set_time(j, "expires", c->expires);
	api_set_time(j, "changed", c->changed);
	return json_array_append_new(owner, j) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_codes(struct api *a)
{
	json_t *list = json_array();
	int rc = code_list(a->k, a->arena, add_code, list);
	api_set(a, "codes", list);
	return rc;
}

int
api_code_end(struct api *a)
{
	struct code c;
	char text[300];
	int rc = code_get(a->k, a->arena, api_text(a, "id"), &c);
	if (rc == SP_EPROTO)
		return api_refuse(a, 404, "there is no such code");
	if (rc != SP_OK)
		return rc;
	(void)snprintf(text, sizeof(text), "ended by %s", a->who.principal.name);
	if (!code_change(a->k, &c, CODE_ENDED, text))
		return api_refuse(a, 409, "it was spent, or has ended");
	api_set(a, "id", json_string(c.id));
	api_set(a, "state", json_string("ended"));
	return SP_OK;
}

/* ---- spending ---- */

/* Where guesses are counted: at the control socket each caller has a place of their own. */
static const char *
guesser(struct api *a)
{
	struct verified who;
	const char *address = api_text(a, "address"), *why = "";
	if (address[0] != '\0' || caller_find(a->k, a->message->f[0].q, SP_LIT(""), a->arena, &who, &why) != SP_OK)
		return address;
	return who.principal.user;
}

/* What a guesser hears is the same, whatever is wrong. */
static int
find_code(struct api *a, struct code *c)
{
	const char *address = guesser(a);
	if (code_barred(a->k, address))
		return api_refuse(a, 429, "too many wrong codes from there: wait ten minutes");
	int rc = code_find(a->k, sp_str(api_text(a, "code")), a->arena, c);
	if (rc != SP_EPROTO)
		return rc;
	const char *target = api_text(a, "target");
	code_wrong(a->k, address);
	log_warn("a wrong break-glass code came from %s", address[0] == '\0' ? "the control socket" : log_quote(sp_str(address)));
	audit(a->k, "code refused", json_pack("{s:s,s:s#}", "address", address, "target", target, audit_cut(target, WRONG_TARGET)));
	return api_refuse(a, 400, "this is no code, or it was used, ended or revoked, or its time is over");
}

/* A broken glass, and a ticket to come in by. */
static int
go_in(struct api *a, const struct glass *g, const struct code *c)
{
	struct ticket_made made;
	char id[ID_TEXT];
	uint64_t until;
	const char *why = grant_break_glass(a->k, g, id, &until);
	if (why != NULL)
		return api_refuse(a, 403, "%s", why);
	log_warn("%s broke the glass of target %s by a code: incident %s", log_quote(sp_str(g->who->user)), g->target->b.name, id);
	struct verified who = { .principal = *g->who, .may = MAY_USE, .issued = clock_wall_us() };
	who.principal.expires = until;
	const struct ticket_wish w = { .who = &who, .target = g->target, .kind = TICKET_MANY, .span = g->span };
	why = ticket_make(a->k, &w, &made);
	if (why != NULL)
		return api_refuse(a, 503, "the glass is broken (%s), but there is no ticket: %s", c->id, why);
	api_set(a, "incident", json_string(id));
	api_set(a, "user", json_string(g->who->user));
	return ticket_answer(a, &made, g->target);
}

int
api_code_spend(struct api *a)
{
	struct code c;
	int rc = find_code(a, &c);
	if (rc != SP_OK)
		return rc;
	const struct target *t = settings_target(keeper_settings(a->k), api_text(a, "target"));
	if (t == NULL || !admission_allows(t, &c.who))
		return api_refuse(a, 404, "there is no such target for %s: the code was not spent", c.who.user);
	const struct glass g = { .who = &c.who, .target = t, .reason = api_text(a, "reason"), .span = api_number(a, "for", GRANT_GLASS_MAX),
		.by_code = true, .made_by = c.by };
	rc = grant_check_reason(a, t, g.reason);
	if (rc != SP_OK)
		return rc;
	const char *why = grant_may_not_break(&g);
	if (why != NULL)
		return api_refuse(a, 403, "%s: the code was not spent", why);
	if (!code_change(a->k, &c, CODE_SPENT, g.reason))
		return api_refuse(a, 409, "the code was used a moment ago");
	return go_in(a, &g, &c);
}
