/* SPDX-License-Identifier: Apache-2.0 */
/* The API: sessions, live and past, and their recordings. */
#include <config.h>

#include "api.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "gateways.h"
#include "ledger.h"
#include "live.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000

static const char *const why_names[] = {
	[SP_END_EOF] = "eof", [SP_END_SHUTDOWN] = "shutdown", [SP_END_REVOKED] = "revoked", [SP_END_EXPIRED] = "expired",
	[SP_END_IDLE] = "idle", [SP_END_RULE] = "rule", [SP_END_RECORDER] = "recorder", [SP_END_ERROR] = "error",
};

static json_t *
text_of(const struct field *f)
{
	json_t *j = json_stringn((const char *)f->s.p, f->s.len);
	return j == NULL ? json_string("?") : j; /* not UTF-8 */
}

/* By the order of SESSION_COLUMNS in store.c. */
static json_t *
session_json(const struct field *row)
{
	static const struct {
		const char *name;
		unsigned column;
	} texts[] = { { "user", 2 }, { "target", 3 }, { "part", 4 }, { "address", 5 }, { "protocol", 6 } },
	  numbers[] = { { "operations", 11 }, { "denied", 12 }, { "rows", 13 }, { "bytes", 14 } };
	char id[ID_TEXT];
	uint64_t ended = row[8].q, why = row[9].q;
	json_t *j = json_pack("{s:s}", "id", row[0].s.len == ID_LEN ? id_format(row[0].s.p, id) : "?");
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		(void)json_object_set_new(j, texts[i].name, text_of(&row[texts[i].column]));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		(void)json_object_set_new(j, numbers[i].name, json_integer((json_int_t)row[numbers[i].column].q));
	(void)json_object_set_new(j, "state", json_string(ended == 0 ? "live" : why == LIVE_TORN ? "torn" : "ended"));
	api_set_time(j, "started", row[7].q);
	api_set_time(j, "ended", ended);
	if (ended > 0 && why < sizeof(why_names) / sizeof(*why_names))
		(void)json_object_set_new(j, "why", json_string(why_names[why]));
	if (ended > 0)
		(void)json_object_set_new(j, "text", text_of(&row[10]));
	(void)json_object_set_new(j, "gateway", text_of(&row[17]));
	return j;
}

static int
add_session(void *owner, const struct field *row)
{
	return json_array_append_new(owner, session_json(row)) == 0 ? SP_OK : SP_ENOMEM;
}

static int
list(struct api *a, bool own, store_row *each, void *owner)
{
	const struct principal *p = &a->who.principal;
	uint64_t limit = api_number(a, "limit", LIST_DEFAULT);
	const struct field args[] = { Q(INT64_MAX), Q(api_flag(a, "live")), Z(api_text(a, "user")), Z(api_text(a, "target")),
		Z(own ? p->issuer : ""), Z(own ? p->subject : ""), Q(limit > LIST_MAX ? LIST_MAX : limit) };
	return store_read(a->k->store, STORE_SESSION_LIST, args, each, owner);
}

int
api_sessions(struct api *a)
{
	json_t *sessions = json_array();
	int rc = list(a, !api_may(a, MAY_AUDIT | MAY_OPERATE), add_session, sessions);
	api_set(a, "sessions", sessions);
	return rc;
}

/* ---- one session ---- */

struct found {
	struct api *a;
	json_t *session;
	bool own, visible; /* own: nobody else's, whatever the caller may */
};

static int
take_session(void *owner, const struct field *row)
{
	struct found *f = owner;
	const struct principal *p = &f->a->who.principal;
	f->session = session_json(row);
	f->visible = (!f->own && api_may(f->a, MAY_AUDIT | MAY_OPERATE)) ||
	    (sp_bytes_is(row[15].s, p->issuer) && sp_bytes_is(row[16].s, p->subject));
	return SP_OK;
}

struct prefix {
	const char *text;
	char id[ID_TEXT];
	unsigned n;
};

static int
take_prefix(void *owner, const struct field *row)
{
	struct prefix *p = owner;
	char id[ID_TEXT];
	if (row[0].s.len != ID_LEN || strncmp(id_format(row[0].s.p, id), p->text, strlen(p->text)) != 0)
		return SP_OK;
	memcpy(p->id, id, sizeof(id));
	p->n++;
	return SP_OK;
}

/* The id itself, or a prefix of one of the last thousand. */
static int
session_id(struct api *a, uint8_t id_r[ID_LEN])
{
	struct prefix p = { .text = api_text(a, "id") };
	if (id_parse(p.text, id_r) == SP_OK)
		return SP_OK;
	if (strlen(p.text) >= 4) {
		const struct field args[] = { Q(INT64_MAX), Q(0), Z(""), Z(""), Z(""), Z(""), Q(LIST_MAX) };
		if (store_read(a->k->store, STORE_SESSION_LIST, args, take_prefix, &p) != SP_OK)
			return SP_EIO;
	}
	if (p.n > 1)
		return api_refuse(a, 409, "several sessions begin like that: give more letters");
	if (p.n == 0)
		return api_refuse(a, 404, "there is no such session");
	return id_parse(p.id, id_r);
}

/* The session that the caller asks for and may see; its JSON is the caller's. */
static int
find(struct api *a, uint8_t id_r[ID_LEN], bool own, json_t **session_r)
{
	struct found f = { .a = a, .own = own };
	*session_r = NULL;
	int rc = session_id(a, id_r);
	const struct field args[] = { S(((struct sp_bytes){ id_r, ID_LEN })) };
	if (rc == SP_OK)
		rc = store_read(a->k->store, STORE_SESSION_GET, args, take_session, &f);
	if (rc == SP_OK && !f.visible) {
		json_decref(f.session);
		return api_refuse(a, 404, "there is no such session");
	}
	*session_r = f.session;
	return rc;
}

int
api_session(struct api *a)
{
	uint8_t id[ID_LEN];
	json_t *session;
	int rc = find(a, id, false, &session);
	if (rc != SP_OK)
		return rc;
	json_decref(a->answer);
	a->answer = session;
	return SP_OK;
}

/* Here, or by way of the gateway that has it. */
static int
end_one(struct api *a, const uint8_t id[ID_LEN], const char *gateway, const char *text)
{
	struct live *s = live_find(a->k, (struct sp_bytes){ id, ID_LEN });
	if (s != NULL)
		live_kill(a->k, s, SP_END_REVOKED, text);
	else if (gateways_own(sp_str(gateway)))
		return api_refuse(a, 409, "the session has ended");
	else
		return gateways_wish(a->k, id, gateway, text);
	return SP_OK;
}

int
api_kill(struct api *a)
{
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	json_t *session;
	int rc = find(a, id, false, &session);
	const char *gateway = rc == SP_OK ? arena_string(a->arena, sp_str(json_string_value(json_object_get(session, "gateway")))) : NULL;
	const char *state = rc == SP_OK ? json_string_value(json_object_get(session, "state")) : NULL;
	bool live = state != NULL && strcmp(state, "live") == 0;
	json_decref(session);
	if (rc != SP_OK)
		return rc;
	if (!live || gateway == NULL)
		return api_refuse(a, 409, "the session has ended");
	const char *reason = api_text(a, "reason");
	char *text = arena_printf(a->arena, "ended by %s%s%.200s", a->who.principal.name, reason[0] == '\0' ? "" : ": ", reason);
	rc = end_one(a, id, gateway, text == NULL ? "ended by an operator" : text);
	if (rc != SP_OK)
		return rc;
	audit(a->k, "kill", json_pack("{s:s,s:s,s:s,s:s}", "session", id_format(id, name), "by", a->who.principal.user, "issuer",
	    a->who.principal.issuer, "reason", reason));
	api_set(a, "killed", json_integer(1));
	api_set(a, "id", json_string(id_format(id, name)));
	return SP_OK;
}

/* ---- recordings ---- */

/* A recording is where its session was. */
static int
check_here(struct api *a, const json_t *session)
{
	const char *gateway = json_string_value(json_object_get(session, "gateway"));
	if (gateway == NULL || gateways_own(sp_str(gateway)))
		return SP_OK;
	return api_refuse(a, 409, "its recording is kept by the gateway %s: ask there", gateway);
}

static int
hand_out(struct api *a, const char *event)
{
	uint8_t id[ID_LEN];
	char name[ID_TEXT], hex[65];
	json_t *session, *entries = json_array();
	int rc = find(a, id, false, &session);
	if (rc == SP_OK)
		rc = check_here(a, session);
	json_decref(session);
	if (rc == SP_OK)
		rc = ledger_entries(a->k, (struct sp_bytes){ id, ID_LEN }, entries);
	if (rc != SP_OK) {
		json_decref(entries);
		return rc;
	}
	text_hex((struct sp_bytes){ a->k->keys.signing.public, 32 }, hex);
	(void)id_format(id, name);
	api_set(a, "id", json_string(name));
	api_set(a, "key", json_string(hex));
	api_set(a, "entries", entries);
	rc = api_fetch(a, name);
	/* Who read whose recording is itself worth a line. */
	if (rc == SP_OK)
		audit(a->k, event, json_pack("{s:s,s:s,s:s}", "session", name, "by", a->who.principal.user, "issuer", a->who.principal.issuer));
	return rc;
}

int
api_recording(struct api *a)
{
	return hand_out(a, "read");
}

int
api_verify(struct api *a)
{
	return hand_out(a, "verify");
}

/* One's own operations, and an auditor everybody's: what an operator may see of a session is not its text. */
int
api_explain(struct api *a)
{
	uint64_t op = api_number(a, "op", 0);
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	json_t *session;
	if (op == 0 || op > UINT32_MAX)
		return api_refuse(a, 400, "say which operation: ?op=NUMBER");
	int rc = find(a, id, !api_may(a, MAY_AUDIT), &session);
	if (rc == SP_OK)
		rc = check_here(a, session);
	json_decref(session);
	if (rc != SP_OK)
		return rc;
	(void)id_format(id, name);
	api_set(a, "id", json_string(name));
	api_set(a, "op", json_integer((json_int_t)op));
	rc = api_fetch(a, name);
	if (rc == SP_OK)
		audit(a->k, "explain", json_pack("{s:s,s:I,s:s,s:s}", "session", name, "op", (json_int_t)op, "by", a->who.principal.user,
		    "issuer", a->who.principal.issuer));
	return rc;
}

static int
add_searched(void *owner, const struct field *row)
{
	json_t *whole = session_json(row);
	static const char *const keep[] = { "id", "user", "target", "started" };
	json_t *j = json_object();
	for (size_t i = 0; i < sizeof(keep) / sizeof(*keep); i++)
		(void)json_object_set(j, keep[i], json_object_get(whole, keep[i]));
	json_decref(whole);
	return json_array_append_new(owner, j) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_search(struct api *a)
{
	json_t *sessions = json_array();
	int rc = list(a, false, add_searched, sessions);
	audit(a->k, "search", json_pack("{s:s,s:s}", "by", a->who.principal.user, "issuer", a->who.principal.issuer));
	api_set(a, "sessions", sessions);
	return rc;
}
