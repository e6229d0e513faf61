/* SPDX-License-Identifier: Apache-2.0 */
/* Clicks on Slack messages: see slack.h. */
#include <config.h>

#include "slack.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "../base/log.h"
#include "../base/url.h"
#include "outside.h"
#include "signin.h"
#include "webhook.h"

#define PAYLOAD_MAX (256u << 10)
#define US 1000000ull
#define WITHIN_MS 10000
#define SLACK_SERVER "https://hooks.slack.com"

/* ---- Slack's word ---- */

bool
slack_signed(struct sp_bytes key, struct sp_bytes timestamp, struct sp_bytes body, struct sp_bytes signature)
{
	uint8_t mac[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1], want[2 * DIGEST_LEN + 4];
	struct buffer text = { 0 };
	int rc = buffer_put(&text, SP_LIT("v0:"));
	if (rc == SP_OK)
		rc = buffer_put(&text, timestamp);
	if (rc == SP_OK)
		rc = buffer_put(&text, SP_LIT(":"));
	if (rc == SP_OK)
		rc = buffer_put(&text, body);
	if (rc == SP_OK)
		digest_hmac(key, buffer_bytes(&text), mac);
	buffer_free(&text);
	if (rc != SP_OK || key.len == 0)
		return false;
	text_hex((struct sp_bytes){ mac, sizeof(mac) }, hex);
	(void)snprintf(want, sizeof(want), "v0=%s", hex);
	return mem_equal(sp_str(want), signature);
}

/* Seconds; 0: it is no time. */
static uint64_t
time_of(const char *text)
{
	uint64_t n = 0;
	size_t len = strlen(text);
	if (len == 0 || len > 12 || strspn(text, "0123456789") != len)
		return 0;
	for (; *text != '\0'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	return n;
}

static bool
is_fresh(uint64_t seconds)
{
	uint64_t now = clock_wall_us() / US;
	return seconds != 0 && (seconds > now ? seconds - now : now - seconds) <= SLACK_AGE;
}

/* Each counts once, at any gateway of the store and after a restart. */
static bool
is_first(struct keeper *k, const char *signature, uint64_t seconds)
{
	char name[128];
	(void)snprintf(name, sizeof(name), "slack:%.100s", signature);
	const struct field add[] = { Z(name), Z("slack"), Q((seconds + 2 * SLACK_AGE) * US) };
	return keeper_write(k, STORE_TOKEN_SEEN, add) == 1;
}

static int
hex_of(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *
decoded(struct sp_bytes in)
{
	char *out = mem_alloc(in.len + 1);
	struct sp_reader r = sp_reader(in);
	size_t n = 0;
	while (r.left > 0) {
		uint8_t c = sp_rd_u8(&r);
		if (c == '%') {
			int high = hex_of(sp_rd_u8(&r)), low = hex_of(sp_rd_u8(&r));
			if (r.bad || high < 0 || low < 0 || (high == 0 && low == 0)) {
				free(out);
				return NULL;
			}
			c = (uint8_t)(high << 4 | low);
		} else if (c == '+') {
			c = ' ';
		}
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return out;
}

char *
slack_payload(struct sp_bytes form)
{
	struct sp_bytes found = { NULL, 0 };
	struct sp_reader r = sp_reader(form);
	while (r.left > 0) {
		struct sp_reader before = r;
		struct sp_bytes pair = sp_rd_until(&r, '&');
		if (r.bad) {
			pair = (struct sp_bytes){ before.p, before.left };
			r = (struct sp_reader){ NULL, 0, false };
		}
		struct sp_reader p = sp_reader(pair);
		if (!sp_bytes_is(sp_rd_until(&p, '='), "payload"))
			continue;
		if (found.p != NULL)
			return NULL;
		found = sp_rd_rest(&p);
	}
	return found.len == 0 || found.len > PAYLOAD_MAX ? NULL : decoded(found);
}

/* ---- a click ---- */

struct click {
	struct api *a;
	const struct webhook *hook;
	const char *user, *request, *hash, *back; /* back: response_url */
	bool approve;
	const char *principal;                    /* who that is here; "": nobody */
};

static const char *
text_in(const json_t *j, const char *outer, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(j, outer), name));
	return text == NULL ? "" : text;
}

/* The button that only leads to the console. */
static bool
is_look(const json_t *payload)
{
	const json_t *actions = json_object_get(payload, "actions");
	const char *what = json_string_value(json_object_get(json_array_get(actions, 0), "action_id"));
	return json_array_size(actions) == 1 && what != NULL && strcmp(what, SLACK_LOOK) == 0;
}

/* The button's value is ours, "REQUEST HASH", and came back by Slack. */
static bool
read_click(struct click *c, const json_t *payload)
{
	const json_t *actions = json_object_get(payload, "actions"), *action = json_array_get(actions, 0);
	const char *type = json_string_value(json_object_get(payload, "type")), *what = json_string_value(json_object_get(action, "action_id"));
	const char *value = json_string_value(json_object_get(action, "value")), *back = json_string_value(json_object_get(payload, "response_url"));
	const char *blank = value == NULL ? NULL : strchr(value, ' ');
	if (type == NULL || strcmp(type, "block_actions") != 0 || json_array_size(actions) != 1 || what == NULL || blank == NULL || strlen(blank) < 13)
		return false;
	if (strcmp(text_in(payload, "team", "id"), c->hook->team) != 0 || (strcmp(what, SLACK_APPROVE) != 0 && strcmp(what, SLACK_DENY) != 0))
		return false;
	c->approve = strcmp(what, SLACK_APPROVE) == 0;
	c->user = text_in(payload, "user", "id");
	c->request = arena_string(c->a->arena, (struct sp_bytes){ (const uint8_t *)value, (size_t)(blank - value) });
	c->hash = blank + 1;
	c->back = back == NULL ? "" : back;
	c->principal = "";
	for (size_t i = 0; i < c->hook->users.n; i++)
		if (strcmp(c->hook->users.key[i], c->user) == 0)
			c->principal = c->hook->users.value[i];
	return c->request != NULL && c->user[0] != '\0';
}

/* ---- answers ---- */

static void
on_told(struct keeper *k, void *owner, const struct outside_told *t)
{
	(void)k, (void)owner;
	if (t->status < 200 || t->status > 299)
		log_warn("who clicked on a Slack message was not told what became of it: %s", t->status == 0 ? log_quote(t->why) : "it was refused");
}

/* Only where Slack takes answers: the URL came with the click. */
static bool
may_answer(const struct click *c)
{
	return url_fits(c->back, false) &&
	    (url_same_origin(c->back, SLACK_SERVER) || (c->hook->server[0] != '\0' && url_same_origin(c->back, c->hook->server)));
}

static void
answer(const struct click *c, const char *body)
{
	const struct outside_request q = { .method = "POST", .url = c->back, .headers = "Content-Type: application/json\n", .body = sp_str(body),
		.ca = c->hook->ca, .within = WITHIN_MS, .most = 64u << 10 };
	if (body != NULL && may_answer(c))
		(void)outside_ask(c->a->k, &q, on_told, NULL);
	else
		log_warn("webhook %s: a click can't be answered: %s is no place of Slack's", c->hook->b.name, log_quote(sp_str(c->back)));
}

/* To who clicked alone. */
static void
tell(const struct click *c, const char *text, const char *link)
{
	char *body = webhook_ephemeral(text, link);
	answer(c, body);
	free(body);
	audit(c->a->k, "slack click", json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "webhook", c->hook->b.name, "by", c->user, "as", c->principal, "request", c->request,
	    "what", c->approve ? "approve" : "deny", "outcome", text));
}

/* ---- deciding ---- */

static bool
who_is_it(const struct click *c, struct verified *v)
{
	const char *why = "", *slash = strchr(c->principal, '/');
	if (slash == NULL)
		return false;
	const char *identity = arena_string(c->a->arena, (struct sp_bytes){ (const uint8_t *)c->principal, (size_t)(slash - c->principal) });
	return identity != NULL && signin_of(c->a->k, identity, slash + 1, c->a->arena, v, &why) == SP_OK;
}

static void
decide(const struct click *c, const struct verified *v, const struct approval *r)
{
	struct keeper *k = c->a->k;
	struct decision d = { .allow = c->approve, .comment = "" };
	char votes[96];
	approval_decide(k, v, r, &d);
	if (d.status != 200) {
		tell(c, d.text, webhook_link(k, c->a->arena, r->id));
		return;
	}
	if (d.state == APPROVAL_WAITING) {
		(void)snprintf(votes, sizeof(votes), "your vote counts: %u of %u", (unsigned)d.votes, (unsigned)r->count);
		tell(c, votes, "");
		return;
	}
	char *body = webhook_replacement(k, r, d.allow ? "approved" : "denied");
	answer(c, body);
	free(body);
	audit(k, "slack click", json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "webhook", c->hook->b.name, "by", c->user, "as", c->principal, "request", r->id, "what",
	    c->approve ? "approve" : "deny", "outcome", approval_state_name(d.state)));
}

static void
clicked(const struct click *c)
{
	struct verified v;
	struct approval r;
	const char *link = webhook_link(c->a->k, c->a->arena, c->request);
	if (c->principal[0] == '\0') {
		tell(c, "this gateway does not know who you are: sign in to look and decide", link);
		return;
	}
	if (!who_is_it(c, &v)) {
		tell(c, "you are not signed in at the gateway: sign in, then click again", link);
		return;
	}
	if (strlen(c->request) + 1 != ID_TEXT || approval_get(c->a->k, c->a->arena, c->request, &r) != SP_OK ||
	    (!approval_visible(&r, &v) && approval_may_not(&r, &v) != NULL))
		tell(c, "there is no such request", "");
	else if (!approval_hash_fits(&r, c->hash))
		tell(c, "the request is for other bytes than this message says: look at it again", link);
	else if (c->approve && c->hook->decide != SLACK_DECIDE_BOTH)
		tell(c, "approve it at the gateway: by this message it can only be denied", link);
	else if (c->approve && !approval_was_shown(&r, &v.principal))
		tell(c, "look at the whole request first: this message has neither its text nor its parameters", link);
	else
		decide(c, &v, &r);
}

int
api_slack(struct api *a)
{
	const char *name = api_text(a, "id"), *body = api_text(a, "body"), *signature = api_text(a, "signature"), *timestamp = api_text(a, "timestamp");
	struct click c = { .a = a };
	struct sp_bytes key;
	uint64_t seconds = time_of(timestamp);
	if (!webhook_interactive(a->k, name, &c.hook, &key))
		return api_refuse(a, 404, "no webhook of that name takes clicks");
	if (!slack_signed(key, sp_str(timestamp), sp_str(body), sp_str(signature)) || !is_fresh(seconds)) {
		log_warn("webhook %s: a click was refused: it is not signed by Slack's key, or is more than five minutes old", c.hook->b.name);
		return api_refuse(a, 401, "it is not signed by Slack, or not of now");
	}
	if (!is_first(a->k, signature, seconds)) {
		log_warn("webhook %s: a click was refused: it came before", c.hook->b.name);
		return api_refuse(a, 401, "it came before");
	}
	char *payload = slack_payload(sp_str(body));
	json_t *j = payload == NULL ? NULL : json_loads(payload, JSON_REJECT_DUPLICATES, NULL);
	bool looks = is_look(j), good = looks || (j != NULL && read_click(&c, j));
	if (good && !looks)
		clicked(&c);
	json_decref(j);
	free(payload);
	return good ? SP_OK : api_refuse(a, 400, "it is no click on a message of this webhook");
}
